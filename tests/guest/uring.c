// SPDX-License-Identifier: GPL-2.0
/*
 * uring.c - transfers by io_uring: every operation, every kind of ring, and rings that end
 * with transfers in flight.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(4 * MiB)
#define AT		(16 * MiB)

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static int binding;

static void open_all(const char *role, unsigned int entries, unsigned int flags)
{
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, entries, flags);
}

static s64 reap(u64 *user_data)
{
	struct io_uring_cqe *cqe;
	s64 res;

	OK(drw_wait_cqe(&ring, &cqe));
	res = cqe->res;
	if (user_data)
		*user_data = cqe->user_data;
	io_uring_cqe_seen(&ring, cqe);
	return res;
}

/* All four operations, a few sizes, checked; @sqe_flags are put on each entry. */
static void all_operations(int fd, unsigned int sqe_flags)
{
	const u64 sizes[] = { 4096, 64 * KiB, MiB + 4096 };
	struct dmabuf_rw_piece pieces[3];
	u64 tag = 1;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 len = sizes[i];

		pieces[0] = (struct dmabuf_rw_piece){ 8192, len / 2 };
		pieces[1] = (struct dmabuf_rw_piece){ 2 * MiB, 0 };
		pieces[2] = (struct dmabuf_rw_piece){ 2 * MiB + 4096, len - len / 2 };
		for (u32 op = DMABUF_RW_URING_READ; op <= DMABUF_RW_URING_WRITEV; op++) {
			bool vec = op >= DMABUF_RW_URING_READV;
			bool write = op == DMABUF_RW_URING_WRITE ||
				     op == DMABUF_RW_URING_WRITEV;
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			disk_fill(&disk, AT, len, tag, 0);
			buf_fill(&buf, 0, BUF_BYTES, tag + 1, 0);
			if (vec)
				drw_prepv(sqe, fd, op, AT, pieces, 3, 0);
			else
				drw_prep(sqe, fd, op, AT, 8192, len, 0);
			sqe->flags |= sqe_flags;
			CHECK_EQ(drw_ring_one(&ring), len, "op %u", op);

			u64 first = vec ? len / 2 : len;

			if (write) {
				disk_check(&disk, AT, first, tag + 1, 8192);
				disk_check(&disk, AT + first, len - first, tag + 1,
					   2 * MiB + 4096);
			} else {
				buf_check(&buf, 0, 8192, tag + 1, 0);
				buf_check(&buf, 8192, first, tag, 0);
				buf_check(&buf, 8192 + first, 4096, tag + 1, 8192 + first);
				if (vec)
					buf_check(&buf, 2 * MiB + 4096, len - first, tag,
						  first);
			}
			tag += 2;
		}
	}
}

struct kind {
	const char *name;
	unsigned int ring_flags;
	unsigned int sqe_flags;
};

#define DEFER_TASKRUN	7

static const struct kind kinds[] = {
	{ "plain", 0, 0 },
	{ "async", 0, IOSQE_ASYNC },
	{ "sqpoll", IORING_SETUP_SQPOLL, 0 },
	{ "sqpoll_async", IORING_SETUP_SQPOLL, IOSQE_ASYNC },
	{ "sqe128", IORING_SETUP_SQE128, 0 },
	{ "cqe32", IORING_SETUP_CQE32, 0 },
	{ "sqe128_cqe32", IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 0 },
	[DEFER_TASKRUN] = { "defer_taskrun",
			    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0 },
	{ "coop_taskrun", IORING_SETUP_COOP_TASKRUN, 0 },
};

static void ring_serves_all_operations(const void *arg)
{
	const struct kind *k = arg;

	open_all("priv512", 8, k->ring_flags);
	all_operations(binding, k->sqe_flags);
}

static void binding_can_be_a_registered_file(const void *arg)
{
	open_all("mp512", 8, 0);
	OK(io_uring_register_files(&ring, &binding, 1));
	close(binding);
	all_operations(0, IOSQE_FIXED_FILE);
	OK(io_uring_unregister_files(&ring));
	io_uring_queue_exit(&ring);
	/* The table held the last reference; its end is not synchronous. */
	for (int i = 0; i < 200; i++) {
		struct mock_query q;

		mock_query(&buf, &q);
		if (!q.attached)
			break;
		usleep(20000);
	}
	mock_check_clean(&buf);
}

static void polled_ring_serves_all_operations(const void *arg)
{
	const struct kind *k = arg;

	open_all("priv512", 8, IORING_SETUP_IOPOLL | k->ring_flags);
	if (!(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	all_operations(binding, k->sqe_flags);
	/* And many at once. */
	for (int round = 0; round < 20; round++) {
		u64 seen = 0, which;

		for (u64 i = 0; i < 8; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			drw_prep(sqe, binding, i & 1 ? DMABUF_RW_URING_READ
						     : DMABUF_RW_URING_WRITE,
				 AT + i * 256 * KiB, i * 256 * KiB, 256 * KiB, 0);
			sqe->user_data = i;
		}
		CHECK_EQ(io_uring_submit(&ring), 8);
		for (int i = 0; i < 8; i++) {
			CHECK_EQ(reap(&which), 256 * KiB);
			seen |= 1ULL << which;
		}
		CHECK_EQ(seen, 0xff);
	}
}

static void polled_transfer_without_poll_queue_is_EOPNOTSUPP(const void *arg)
{
	open_all("priv512", 8, IORING_SETUP_IOPOLL);
	if (info.flags & DMABUF_RW_INFO_POLL)
		skip("the drive has a poll queue here");
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0), EOPNOTSUPP);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0, MiB, 0), EOPNOTSUPP);
}

/*
 * An exporter that moves its buffer must not have to wait until the owner of a ring cares
 * to look for completions.
 */
static void invalidation_ends_while_polled_transfer_waits(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = MiB, .nr_pattern = 1,
				    .pattern = { 4096 } };
	u64 start;
	int ret;

	open_all("priv512", 8, IORING_SETUP_IOPOLL);
	if (!(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	buf_create_mock(&buf, &args);
	close(binding);
	binding = OK(drw_bind(buf.fd, disk.fd));
	disk_fill(&disk, AT, MiB, 3, 0);
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ, AT, 0, MiB, 0);
	CHECK_EQ(io_uring_submit(&ring), 1);
	start = now_us();
	ret = mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL);
	CHECK_EQ(ret, 0);
	CHECK(now_us() - start < 5000000, "it took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	CHECK_EQ(reap(NULL), MiB);
	buf_check(&buf, 0, MiB, 3, 0);
	close(binding);
	mock_check_clean(&buf);
}

/* A worker that waits for a tag must not wait for its own commands that nobody polls. */
static void polled_transfer_of_more_commands_than_tags_ends(const void *arg)
{
	struct mock_create args = { .bytes = MiB, .nr_pattern = 1, .pattern = { 4 },
				    .align = 4, .gap = 4, .flags = MOCK_DYNAMIC };
	u32 segments;
	u64 start;

	open_all("priv512", 8, IORING_SETUP_IOPOLL);
	if (!(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	if (!(info.flags & DMABUF_RW_INFO_SGL))
		skip("the drive takes no SGLs");
	/* The driver lets a command have this many; choose chunks so that an LBA fills it. */
	segments = info.max_cmd_bytes / 4096 + 1;
	while (disk.lba / args.pattern[0] > segments)
		args.pattern[0] *= 2;
	buf_create_mock(&buf, &args);
	close(binding);
	binding = OK(drw_bind(buf.fd, disk.fd));
	disk_fill(&disk, AT, MiB, 4, 0);
	start = now_us();
	CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, MiB, 0), MiB);
	CHECK(now_us() - start < 25000000, "it took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	buf_check(&buf, 0, MiB, 4, 0);
	close(binding);
	mock_check_clean(&buf);
}

/* With IOSQE_ASYNC behind a link, which Linux 6.12 needs (DMABUF_RW_URING_READ). */
static void links_run_in_order_and_break_at_errors(const void *arg)
{
	struct io_uring_sqe *sqe;
	s64 res[4];
	u64 which;

	open_all("priv512", 8, 0);
	disk_fill(&disk, AT, 256 * KiB, 1, 0);
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	/* Copy disk to disk through the buffer: right only if the order is kept. */
	for (int i = 0; i < 2; i++) {
		sqe = io_uring_get_sqe(&ring);
		drw_prep(sqe, binding, i ? DMABUF_RW_URING_WRITE : DMABUF_RW_URING_READ,
			 i ? AT + MiB : AT, 0, 256 * KiB, 0);
		sqe->user_data = i;
		sqe->flags |= i ? IOSQE_ASYNC : IOSQE_IO_LINK;
	}
	CHECK_EQ(io_uring_submit(&ring), 2);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(reap(NULL), 256 * KiB);
	disk_check(&disk, AT + MiB, 256 * KiB, 1, 0);

	/* The second fails, so the third must not run. */
	disk_fill(&disk, AT + MiB, 4096, 3, 0);
	for (int i = 0; i < 4; i++) {
		sqe = io_uring_get_sqe(&ring);
		drw_prep(sqe, binding, DMABUF_RW_URING_WRITE, AT + MiB, 0, 4096, 0);
		if (i == 0)
			sqe->addr = AT;
		if (i == 1)
			sqe->addr3 = BUF_BYTES;
		if (i == 3)
			sqe->addr = AT + 2 * MiB;
		sqe->user_data = i;
		sqe->flags |= (i < 2 ? IOSQE_IO_LINK : 0) | (i ? IOSQE_ASYNC : 0);
	}
	CHECK_EQ(io_uring_submit(&ring), 4);
	for (int i = 0; i < 4; i++) {
		s64 r = reap(&which);

		res[which] = r;
	}
	CHECK_EQ(res[0], 4096);
	CHECK_EQ(res[1], -ERANGE);
	CHECK_EQ(res[2], -ECANCELED);
	CHECK_EQ(res[3], 4096);
	disk_check(&disk, AT + MiB, 4096, 3, 0);
}

static void drained_entry_waits_for_those_before(const void *arg)
{
	struct io_uring_sqe *sqe;

	open_all("priv512", 32, 0);
	disk_fill(&disk, AT, 2 * MiB, 1, 0);
	for (int i = 0; i < 16; i++)
		drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ,
			 AT + i * 128 * KiB, i * 128 * KiB, 128 * KiB, 0);
	sqe = io_uring_get_sqe(&ring);
	drw_prep(sqe, binding, DMABUF_RW_URING_WRITE, AT + 4 * MiB, 0, 2 * MiB, 0);
	sqe->flags |= IOSQE_IO_DRAIN;
	CHECK_EQ(io_uring_submit(&ring), 17);
	for (int i = 0; i < 17; i++)
		CHECK_EQ(reap(NULL), i < 16 ? 128 * KiB : 2 * MiB);
	disk_check(&disk, AT + 4 * MiB, 2 * MiB, 1, 0);
}

/* More in flight than tags, with other kinds of requests between. */
static void many_in_flight_all_arrive(const void *arg)
{
	const u32 nr = 2048, unit = 2048;
	u8 *got = data_alloc(nr * unit), *want = data_alloc(nr * unit);
	u8 *seen = calloc(nr, 1);
	u32 submitted = 0;

	open_all(arg, 4096, IORING_SETUP_CLAMP);
	disk_fill(&disk, AT, nr * unit * (u64)2, 1, 0);

	for (u32 i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		CHECK(sqe, "ring has no place %u", i);
		/* From even places on the disk to places in reverse order. */
		drw_prep(sqe, binding, DMABUF_RW_URING_READ, AT + i * 2ULL * unit,
			 (nr - 1 - i) * (u64)unit, unit, 0);
		sqe->user_data = i;
		if (i % 7 == 3)
			sqe->flags |= IOSQE_ASYNC;
	}
	while (submitted < nr)
		submitted += OK(io_uring_submit(&ring));
	for (u32 i = 0; i < nr; i++) {
		u64 which;

		CHECK_EQ(reap(&which), unit);
		CHECK(which < nr && !seen[which], "completion %llu twice",
		      (unsigned long long)which);
		seen[which] = 1;
	}
	buf_get(&buf, 0, got, nr * unit);
	for (u32 i = 0; i < nr; i++)
		data_fill(want + (nr - 1 - i) * (size_t)unit, unit, 1, i * 2ULL * unit);
	data_check("buffer", got, want, nr * unit, 0);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.reads, nr);
}

static void fill_ring(unsigned int sqe_flags)
{
	for (int i = 0; i < 64; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		drw_prep(sqe, binding, i & 1 ? DMABUF_RW_URING_READ : DMABUF_RW_URING_WRITE,
			 AT + i * 64 * KiB, i * 64 * KiB, 64 * KiB, 0);
		sqe->flags |= sqe_flags;
		sqe->user_data = i;
	}
	CHECK_EQ(io_uring_submit(&ring), 64);
}

/* The ring is torn down while transfers run: they end, and nothing is left. */
static void ring_may_end_before_its_transfers(const void *arg)
{
	const struct kind *k = arg;

	open_all("priv512", 64, k->ring_flags);
	fill_ring(k->sqe_flags);
	io_uring_queue_exit(&ring);
	close(binding);
	mock_wait_clean(&buf);
}

static void process_may_end_before_its_transfers(const void *arg)
{
	const struct kind *k = arg;
	int status;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid) {
			binding = OK(drw_bind(buf.fd, disk.fd));
			drw_ring(&ring, 64, k->ring_flags);
			fill_ring(k->sqe_flags);
			if (i)
				_exit(0);
			kill(getpid(), SIGKILL);
		}
		SYS(waitpid(pid, &status, 0));
		CHECK(i ? status == 0 : WIFSIGNALED(status), "status %#x", status);
	}
	mock_wait_clean(&buf);
}

/* A cancelled transfer completes once, as done or as cancelled, and never corrupts. */
static void cancel_gives_one_completion_each(const void *arg)
{
	u8 seen[64] = {};
	struct io_uring_sqe *sqe;
	int done = 0;

	open_all("priv512", 256, 0);
	disk_fill(&disk, AT, 4 * MiB, 1, 0);
	fill_ring(IOSQE_ASYNC);
	for (int i = 0; i < 64; i += 3) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_cancel64(sqe, i, 0);
		sqe->user_data = 1000 + i;
	}
	OK(io_uring_submit(&ring));
	while (done < 64) {
		u64 which;
		s64 res = reap(&which);

		if (which >= 1000)
			continue;
		CHECK(!seen[which], "transfer %llu completed twice", (unsigned long long)which);
		seen[which] = 1;
		done++;
		CHECK(res == 64 * KiB || ((res == -ECANCELED || res == -EINTR) &&
					  which % 3 == 0),
		      "transfer %llu: %lld", (unsigned long long)which, (long long)res);
	}
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
}

/* A ring on which everything must be done without sleeping does not sleep on tags. */
static void submitter_gets_back_at_once(const void *arg)
{
	u64 start, took;

	open_all("priv512", 1024, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	for (int i = 0; i < 512; i++)
		drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ,
			 AT + i * 4096ULL, i * 4096ULL, 4096, 0);
	start = now_us();
	CHECK_EQ(io_uring_submit(&ring), 512);
	took = now_us() - start;
	for (int i = 0; i < 512; i++)
		CHECK_EQ(reap(NULL), 4096);
	note("512 submissions took %llu us, all completions %llu us",
	     (unsigned long long)took, (unsigned long long)(now_us() - start));
}

/*
 * The buffer is on its way to another place, and what it holds arrives when the test says so.
 * Whoever maps it waits for that. If submitting did, it would be for ever.
 */
static void submission_does_not_wait_for_the_buffer(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 16 * MiB, .nr_pattern = 2,
				    .pattern = { 4096, 256 * KiB }, .gap = 4096 };
	struct dmabuf_rw_piece pieces[2] = { { MiB, 64 * KiB }, { 2 * MiB, 64 * KiB } };
	const u64 at[] = { AT, AT + 64 * KiB, AT + 128 * KiB, AT + 256 * KiB, AT + 16 * MiB };
	u64 len[] = { 4096, 4096, 128 * KiB, 128 * KiB, 0 };
	const struct kind *k = arg;
	struct io_uring_cqe *cqe;
	unsigned int seen = 0;
	u64 which;

	open_all("priv512", 8, k->ring_flags);
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	/* More commands than are made without sleeping. */
	len[4] = 17ULL * info.max_cmd_bytes;
	CHECK(4 * MiB + len[4] <= args.bytes, "%u", info.max_cmd_bytes);
	disk_fill(&disk, AT, MiB, 1, 0);
	disk_fill(&disk, at[4], len[4], 3, 0);
	buf_fill(&buf, 0, args.bytes, 2, 0);
	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE | MOCK_INV_GATE, NULL));

	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ, at[0], 0, len[0], 0);
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_WRITE, at[1], 64 * KiB, len[1],
		 0);
	drw_prepv(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READV, at[2], pieces, 2, 0);
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_WRITE, at[3], 3 * MiB, len[3],
		 0);
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ, at[4], 4 * MiB, len[4],
		 0);
	for (u64 i = 0; i < ARRAY_SIZE(len); i++)
		ring.sq.sqes[i].user_data = i;
	CHECK_EQ(io_uring_submit(&ring), ARRAY_SIZE(len));
	CHECK_EQ(io_uring_peek_cqe(&ring, &cqe), -EAGAIN);
	SYS(ioctl(mock_device(), MOCK_IOC_OPEN_GATE, &buf.fd));
	for (size_t i = 0; i < ARRAY_SIZE(len); i++) {
		s64 res = reap(&which);

		CHECK_EQ(res, len[which], "%llu", (unsigned long long)which);
		seen |= 1U << which;
	}
	CHECK_EQ(seen, 0x1f);
	buf_check(&buf, 0, 4096, 1, 0);
	disk_check(&disk, at[1], len[1], 2, 64 * KiB);
	buf_check(&buf, MiB, 64 * KiB, 1, 128 * KiB);
	buf_check(&buf, 2 * MiB, 64 * KiB, 1, 192 * KiB);
	disk_check(&disk, at[3], len[3], 2, 3 * MiB);
	buf_check(&buf, 4 * MiB, len[4], 3, 0);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.remaps, 1);
	/* A ring that defers its work may hold the binding for as long as nobody enters it. */
	io_uring_queue_exit(&ring);
	close(binding);
	mock_check_clean(&buf);
}

/*
 * Every third of 32 reads is one that is refused with @err. @bad_off: its place in the
 * buffer, or BUF_BYTES: as that of a good one.
 */
static void bad_reads_among_good_ones(u64 bad_off, u32 bad_len, int err)
{
	open_all("priv512", 64, 0);
	disk_fill(&disk, AT, MiB, 1, 0);
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	for (int i = 0; i < 32; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		bool good = i % 3;

		drw_prep(sqe, binding, DMABUF_RW_URING_READ, AT + i * 4096,
			 good || bad_off == BUF_BYTES ? i * 8192ULL : bad_off,
			 good ? 4096 : bad_len, 0);
		sqe->user_data = i;
	}
	CHECK_EQ(io_uring_submit(&ring), 32);
	for (int i = 0; i < 32; i++) {
		u64 which;
		s64 res = reap(&which);

		CHECK_EQ(res, which % 3 ? 4096 : -err, "%llu", (unsigned long long)which);
	}
	for (int i = 0; i < 32; i++) {
		buf_check(&buf, i * 8192, 4096, i % 3 ? 1 : 2, i % 3 ? i * 4096 : i * 8192);
		buf_check(&buf, i * 8192 + 4096, 4096, 2, i * 8192 + 4096);
	}
}

static void refused_ring_results_do_not_disturb_good_ones(const void *arg)
{
	bad_reads_among_good_ones(BUF_BYTES - 4095, 4096, ERANGE);
}

/* Reads of whole LBAs and of parts of them, which take other ways, side by side. */
static void unaligned_ring_transfers_do_not_disturb_others(const void *arg)
{
	const u32 odd = 4095;

	open_all("priv512", 64, 0);
	if (info.read_align > 1)
		skip("this drive takes whole LBAs only");
	disk_fill(&disk, AT, MiB, 1, 0);
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	for (int i = 0; i < 32; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		drw_prep(sqe, binding, DMABUF_RW_URING_READ, AT + i * 4096 + !(i % 3),
			 i * 8192, i % 3 ? 4096 : odd, 0);
		sqe->user_data = i;
	}
	CHECK_EQ(io_uring_submit(&ring), 32);
	for (int i = 0; i < 32; i++) {
		u64 which;
		s64 res = reap(&which);

		CHECK_EQ(res, which % 3 ? 4096 : odd, "%llu", (unsigned long long)which);
	}
	for (int i = 0; i < 32; i++) {
		u32 len = i % 3 ? 4096 : odd;

		buf_check(&buf, i * 8192, len, 1, i * 4096 + !(i % 3));
		buf_check(&buf, i * 8192 + len, 8192 - len, 2, i * 8192 + len);
	}
}

static void unaligned_without_SGLs(const void *arg)
{
	bad_reads_among_good_ones(BUF_BYTES, 4095, EDOM);
}

static void unaligned_ring_results_without_SGLs_are_EDOM(const void *arg)
{
	drw_with_parameters("use_sgl=0", unaligned_without_SGLs, NULL);
}

static void add(void)
{
	static const struct kind polled[] = {
		{ "plain", 0, 0 }, { "async", 0, IOSQE_ASYNC },
		{ "sqpoll", IORING_SETUP_SQPOLL, 0 },
	};

	test_limit(90);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		test_add(ring_serves_all_operations, &kinds[i],
			 "ring_serves_all_operations.%s", kinds[i].name);
	TEST(binding_can_be_a_registered_file);
	for (size_t i = 0; i < ARRAY_SIZE(polled); i++)
		test_add(polled_ring_serves_all_operations, &polled[i],
			 "polled_ring_serves_all_operations.%s", polled[i].name);
	TEST(polled_transfer_without_poll_queue_is_EOPNOTSUPP);
	TEST(invalidation_ends_while_polled_transfer_waits);
	TEST(polled_transfer_of_more_commands_than_tags_ends);
	TEST(links_run_in_order_and_break_at_errors);
	TEST(drained_entry_waits_for_those_before);
	test_add(many_in_flight_all_arrive, "priv512", "many_in_flight_all_arrive.priv512");
	test_add(many_in_flight_all_arrive, "mp512", "many_in_flight_all_arrive.mp512");
	for (size_t i = 0; i < 3; i++) {
		test_add(ring_may_end_before_its_transfers, &kinds[i],
			 "ring_may_end_before_its_transfers.%s", kinds[i].name);
		test_add(process_may_end_before_its_transfers, &kinds[i],
			 "process_may_end_before_its_transfers.%s", kinds[i].name);
	}
	TEST(cancel_gives_one_completion_each);
	TEST(submitter_gets_back_at_once);
	/* Where one waits, it does so until it is killed. */
	test_limit(30);
	test_add(submission_does_not_wait_for_the_buffer, &kinds[0],
		 "submission_does_not_wait_for_the_buffer.%s", kinds[0].name);
	test_add(submission_does_not_wait_for_the_buffer, &kinds[DEFER_TASKRUN],
		 "submission_does_not_wait_for_the_buffer.%s", kinds[DEFER_TASKRUN].name);
	test_limit(90);
	TEST(refused_ring_results_do_not_disturb_good_ones);
	TEST(unaligned_ring_transfers_do_not_disturb_others);
	TEST(unaligned_ring_results_without_SGLs_are_EDOM);
}

const struct program program = { "uring", add, .machines = MACHINES_EACH_KIND, .debug = true };
