// SPDX-License-Identifier: GPL-2.0
/*
 * batch.c - many transfers in one call or queue entry: each moves its bytes and no others, and has
 * a result of its own, whatever becomes of those beside it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(4 * MiB)
#define AT		(16 * MiB)	/* where what is read is, as much as the buffer has */
#define TO		(32 * MiB)	/* where it is written to */
#define RESULTS		DMABUF_RW_IO_RESULTS
#define WHOLE		DMABUF_RW_IO_WHOLE

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static struct dmabuf_rw_range ranges[DMABUF_RW_MAX_BATCH + 1];
static struct rng rng;
static u8 *want, *got;
static int binding;

/* How batches are asked for. */
struct way {
	const char *name;
	bool ring;
	unsigned int ring_flags;
	unsigned int sqe_flags;
};

#define DEFER_TASKRUN	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

static const struct way ways[] = {
	{ "ioctl" },
	{ "ring", true },
	{ "async", true, 0, IOSQE_ASYNC },
	{ "sqpoll", true, IORING_SETUP_SQPOLL },
	{ "defer_taskrun", true, DEFER_TASKRUN },
	{ "polled", true, IORING_SETUP_IOPOLL },
};

static const struct way *way;

static void open_all(const char *role, const struct way *w)
{
	way = w;
	want = data_alloc(BUF_BYTES);
	got = data_alloc(BUF_BYTES);
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	if ((way->ring_flags & IORING_SETUP_IOPOLL) && !(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	drw_ring(&ring, 64, way->ring_flags);
	rng.s = harness_seed();
}

static s64 transfer(enum dmabuf_rw_op op, u32 nr, u64 flags)
{
	struct io_uring_sqe *sqe;

	if (!way->ring)
		return drw_many(binding, op, ranges, nr, flags);
	sqe = io_uring_get_sqe(&ring);
	drw_prep_many(sqe, binding, op, ranges, nr, flags);
	sqe->flags |= way->sqe_flags;
	return drw_ring_one(&ring);
}

static void range(u32 i, u64 file_off, u64 buf_off, u32 len, u32 flags)
{
	ranges[i] = (struct dmabuf_rw_range){ .file_off = file_off, .buf_off = buf_off,
					      .len = len, .flags = flags, .result = 77 };
}

static void results_are(u32 nr, s64 should)
{
	for (u32 i = 0; i < nr; i++)
		CHECK_EQ(ranges[i].result, should, "%u", i);
}

/*
 * Draw ranges that share no byte, neither in the buffer nor on the disk: place i of each, in
 * another order. @unit: of lengths and offsets. Returns their sum.
 */
static u64 draw(u32 nr, u64 base, u64 unit, u64 most)
{
	u64 slot = ROUND_DOWN(BUF_BYTES / nr, 4096), sum = 0;
	u32 order[DMABUF_RW_MAX_BATCH];

	for (u32 i = 0; i < nr; i++) {
		u32 j = rng_below(&rng, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (u32 i = 0; i < nr; i++) {
		u64 len = rng_step(&rng, unit, MIN(most, slot), unit);
		u64 in = rng_step(&rng, 0, slot - len, MAX(unit, 4ULL));

		range(i, base + order[i] * slot + rng_step(&rng, 0, slot - len, unit),
		      i * slot + in, len, 0);
		sum += len;
	}
	return sum;
}

static void reads_and_checks(u32 nr, u64 sum)
{
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	data_fill(want, BUF_BYTES, 2, 0);
	buf_put(&buf, 0, want, BUF_BYTES);
	CHECK_EQ(transfer(DMABUF_RW_OP_READ, nr, RESULTS), sum, "%u ranges", nr);
	for (u32 i = 0; i < nr; i++) {
		CHECK_EQ(ranges[i].result, ranges[i].len, "%u", i);
		data_fill(want + ranges[i].buf_off, ranges[i].len, 1, ranges[i].file_off - AT);
	}
	buf_get(&buf, 0, got, BUF_BYTES);
	data_check("buffer", got, want, BUF_BYTES, 0);
}

static void writes_and_checks(u32 nr, u64 sum)
{
	disk_fill(&disk, TO, BUF_BYTES, 3, 0);
	buf_fill(&buf, 0, BUF_BYTES, 4, 0);
	CHECK_EQ(transfer(DMABUF_RW_OP_WRITE, nr, RESULTS), sum, "%u ranges", nr);
	data_fill(want, BUF_BYTES, 3, 0);
	for (u32 i = 0; i < nr; i++) {
		CHECK_EQ(ranges[i].result, ranges[i].len, "%u", i);
		data_fill(want + ranges[i].file_off - TO, ranges[i].len, 4, ranges[i].buf_off);
	}
	disk_pread(&disk, got, BUF_BYTES, TO);
	data_check("disk", got, want, BUF_BYTES, 0);
}

/* From one to as many as can be, and from an LBA to what takes several commands. */
static void transfers_move_their_bytes_and_no_others(const void *arg)
{
	const u32 counts[] = { 1, 16, DMABUF_RW_MAX_BATCH };
	u64 unit, sum, moved = 0, nr = 0;

	open_all("priv512", arg);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (unit = disk.lba; unit; unit = unit > 4096 ? 0 : unit * 8) {
			if (counts[i] * unit > BUF_BYTES)
				continue;
			sum = draw(counts[i], AT, unit, unit == disk.lba ? 4096 : 3 * MiB);
			reads_and_checks(counts[i], sum);
			moved += sum;
			nr += counts[i];
			sum = draw(counts[i], TO, unit, unit == disk.lba ? 4096 : 3 * MiB);
			writes_and_checks(counts[i], sum);
		}
	}
	OK(drw_info(binding, &info));
	CHECK_EQ(info.reads, nr);
	CHECK_EQ(info.writes, nr);
	CHECK_EQ(info.read_bytes, moved);
	CHECK_EQ(info.errors, 0);
}

static void unaligned_reads_move_their_bytes(const void *arg)
{
	open_all("priv512", arg);
	if (info.read_align > 1)
		skip("this drive takes whole LBAs only");
	for (int round = 0; round < 4; round++)
		reads_and_checks(64, draw(64, AT, 1, 9000));
}

/* Every kind of refusal, each among good ones. */
static void each_transfer_has_its_own_result(const void *arg)
{
	const struct {
		u64 file_off, buf_off;
		u32 len, flags;
		s64 read, write;
	} odd[] = {
		{ AT, BUF_BYTES - 4095, 4096, 0, -ERANGE, -ERANGE },
		{ AT, ~0ULL, 4096, 0, -EOVERFLOW, -EOVERFLOW },
		{ INT64_MAX - 100, 0, 4096, 0, -EOVERFLOW, -EOVERFLOW },
		{ AT, 0, 0, 0, 0, 0 },
		{ AT, 0, 4096, 1U << 20, -EINVAL, -EINVAL },
		{ AT, 0, 4096, RESULTS, -EINVAL, -EINVAL },
		{ AT, 0, 4096, DMABUF_RW_IO_FUA, -EINVAL, 4096 },
		{ 1ULL << 50, 0, 4096, 0, 0, -ENOSPC },
		{ 1ULL << 50, 0, 4096, WHOLE, -ESPIPE, -ENOSPC },
		{ 0, 0, 8192, 0, 4096, 4096 },	/* at the end of the disk */
		{ 0, 0, 8192, WHOLE, -ESPIPE, -ESPIPE },
	};
	u32 nr = 3 * ARRAY_SIZE(odd);

	open_all("priv512", arg);
	for (int write = 0; write < 2; write++) {
		u64 base = write ? TO : AT, sum = 0;

		disk_fill(&disk, AT, BUF_BYTES, 1, 0);
		disk_fill(&disk, TO, BUF_BYTES, 3, 0);
		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		for (u32 i = 0; i < nr; i++) {
			if (i % 3 == 1) {
				size_t k = i / 3;

				range(i, odd[k].file_off ?: disk.bytes - 4096,
				      odd[k].buf_off ?: 2 * MiB + i * 8192, odd[k].len,
				      odd[k].flags);
				sum += MAX(write ? odd[k].write : odd[k].read, (s64)0);
			} else {
				range(i, base + i * 8192, i * 8192, 4096, 0);
				sum += 4096;
			}
		}
		CHECK_EQ(transfer(write, nr, RESULTS), sum);
		for (u32 i = 0; i < nr; i++) {
			s64 should = i % 3 != 1 ? 4096 : write ? odd[i / 3].write
							       : odd[i / 3].read;

			CHECK_EQ(ranges[i].result, should, "%s %u", write ? "write" : "read", i);
			if (i % 3 == 1)
				continue;
			if (write)
				disk_check(&disk, TO + i * 8192, 4096, 2, i * 8192);
			else
				buf_check(&buf, i * 8192, 4096, 1, i * 8192);
		}
	}
	OK(drw_info(binding, &info));
	CHECK(info.errors, "refusals are counted");
}

static void an_unaligned_write_is_EDOM_by_itself(const void *arg)
{
	open_all("priv512", arg);
	disk_fill(&disk, TO, MiB, 3, 0);
	buf_fill(&buf, 0, MiB, 2, 0);
	range(0, TO, 0, 512, 0);
	range(1, TO + 1024, 4096, 100, 0);
	range(2, TO + 2048 + 1, 8192, 512, 0);
	range(3, TO + 4096, 12288, 512, 0);
	CHECK_EQ(transfer(DMABUF_RW_OP_WRITE, 4, RESULTS), 1024);
	CHECK_EQ(ranges[0].result, 512);
	CHECK_EQ(ranges[1].result, -EDOM);
	CHECK_EQ(ranges[2].result, -EDOM);
	CHECK_EQ(ranges[3].result, 512);
	disk_check(&disk, TO + 512, 4096 - 512, 3, 512);
}

static void malformed_batches_are_refused(const void *arg)
{
	struct dmabuf_rw_batch b = { .nr = 1, .ranges = (uintptr_t)ranges };
	struct io_uring_sqe *sqe;
	int only_read;

	open_all("priv512", &ways[1]);
	range(0, AT, 0, 4096, 0);
	for (int i = 0; i < 2; i++) {
		way = &ways[i];
		CHECK_EQ(transfer(DMABUF_RW_OP_READ, 0, 0), 0);
		FAILS(transfer(DMABUF_RW_OP_READ, DMABUF_RW_MAX_BATCH + 1, 0), EMSGSIZE);
		FAILS(transfer(DMABUF_RW_OP_READ, 1, 1ULL << 40), EINVAL);
		FAILS(transfer(DMABUF_RW_OP_READ, 1, DMABUF_RW_IO_FUA), EINVAL);
		range(1, AT, 0, DMABUF_RW_MAX_BYTES, 0);
		FAILS(transfer(DMABUF_RW_OP_READ, 2, 0), EOVERFLOW);
		CHECK_EQ(ranges[0].result, 77, "a batch that was refused has results");
	}
	b.op = 2;
	FAILS(drw_do_batch(binding, &b), EINVAL);
	b = (struct dmabuf_rw_batch){ .nr = 1, .ranges = (uintptr_t)ranges, .done = 1 };
	FAILS(drw_do_batch(binding, &b), EINVAL);
	b = (struct dmabuf_rw_batch){ .nr = 1, .ranges = (uintptr_t)ranges, .error = 1 };
	FAILS(drw_do_batch(binding, &b), EINVAL);
	b = (struct dmabuf_rw_batch){ .nr = 1, .ranges = (uintptr_t)ranges, .resv = { 0, 1 } };
	FAILS(drw_do_batch(binding, &b), EINVAL);
	b = (struct dmabuf_rw_batch){ .nr = 1, .ranges = 4096 };
	FAILS(drw_do_batch(binding, &b), EFAULT);
	b = (struct dmabuf_rw_batch){ .nr = 1, .ranges = ~0ULL - 8 };
	FAILS(drw_do_batch(binding, &b), EFAULT);
	sqe = io_uring_get_sqe(&ring);
	drw_prep_many(sqe, binding, DMABUF_RW_OP_READ, ranges, 1, 0);
	sqe->addr = 4096;
	FAILS(drw_ring_one(&ring), EINVAL);

	only_read = disk_fd(&disk, O_RDONLY);
	close(binding);
	binding = OK(drw_bind(buf.fd, only_read));
	for (int i = 0; i < 2; i++) {
		way = &ways[i];
		FAILS(transfer(DMABUF_RW_OP_WRITE, 1, 0), EACCES);
		CHECK_EQ(transfer(DMABUF_RW_OP_READ, 1, 0), 4096);
	}
}

/* The array is written to only if results are asked for; and where it cannot be, that is told. */
static void results_are_stored_if_asked_for(const void *arg)
{
	struct dmabuf_rw_range *fixed = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dmabuf_rw_batch b = { .nr = 4, .ranges = (uintptr_t)fixed };

	open_all("priv512", arg);
	for (u32 i = 0; i < 4; i++)
		range(i, AT + i * 4096, i * 4096, 4096, 0);
	CHECK_EQ(transfer(DMABUF_RW_OP_READ, 4, 0), 4 * 4096);
	results_are(4, 77);
	CHECK_EQ(transfer(DMABUF_RW_OP_READ, 4, RESULTS), 4 * 4096);
	results_are(4, 4096);

	memcpy(fixed, ranges, 4 * sizeof(*ranges));
	SYS(mprotect(fixed, 8192, PROT_READ));
	if (!way->ring) {
		OK(drw_do_batch(binding, &b));
		b = (struct dmabuf_rw_batch){ .nr = 4, .ranges = (uintptr_t)fixed,
					      .flags = RESULTS };
		FAILS(drw_do_batch(binding, &b), EFAULT);
		return;
	}
	drw_prep_many(io_uring_get_sqe(&ring), binding, DMABUF_RW_OP_READ, fixed, 4, 0);
	CHECK_EQ(drw_ring_one(&ring), 4 * 4096);
	drw_prep_many(io_uring_get_sqe(&ring), binding, DMABUF_RW_OP_READ, fixed, 4, RESULTS);
	FAILS(drw_ring_one(&ring), EFAULT);
}

static void first_error_is_told_where_nothing_moved_or_all_must(const void *arg)
{
	struct dmabuf_rw_batch b = { .nr = 3, .ranges = (uintptr_t)ranges };

	open_all("priv512", arg);
	range(0, AT, BUF_BYTES, 4096, 0);
	range(1, AT, ~0ULL, 4096, 0);
	range(2, AT, 0, 0, 0);
	FAILS(transfer(DMABUF_RW_OP_READ, 3, RESULTS), ERANGE);
	CHECK_EQ(ranges[0].result, -ERANGE);
	CHECK_EQ(ranges[1].result, -EOVERFLOW);
	CHECK_EQ(ranges[2].result, 0);

	range(2, AT, 0, 4096, 0);
	CHECK_EQ(transfer(DMABUF_RW_OP_READ, 3, RESULTS), 4096);
	FAILS(transfer(DMABUF_RW_OP_READ, 3, RESULTS | WHOLE), ERANGE);
	CHECK_EQ(ranges[2].result, 4096);
	if (!way->ring) {
		OK(drw_do_batch(binding, &b));
		CHECK_EQ(b.done, 4096);
		CHECK_EQ(b.error, ERANGE);
	}
}

/* What must be whole and is not is an error, and nothing linked behind it begins. */
static void what_is_not_whole_breaks_a_link(const void *arg)
{
	struct dmabuf_rw_piece piece = { 0, 8192 };
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	s64 res[2];

	open_all("priv512", &ways[1]);
	FAILS(drw_io(binding, DMABUF_RW_OP_READ, disk.bytes - 4096, 0, 8192, WHOLE), ESPIPE);
	FAILS(drw_io(binding, DMABUF_RW_OP_WRITE, disk.bytes - 4096, 0, 8192, WHOLE), ESPIPE);
	FAILS(drw_io(binding, DMABUF_RW_OP_READ, disk.bytes, 0, 4096, WHOLE), ESPIPE);
	FAILS(drw_iov(binding, DMABUF_RW_OP_READ, disk.bytes - 4096, &piece, 1, WHOLE), ESPIPE);
	CHECK_EQ(drw_io(binding, DMABUF_RW_OP_READ, disk.bytes - 4096, 0, 4096, WHOLE), 4096);
	CHECK_EQ(drw_io(binding, DMABUF_RW_OP_READ, disk.bytes, 0, 0, WHOLE), 0);
	disk_fill(&disk, TO, 4096, 3, 0);
	buf_fill(&buf, 0, 8192, 4, 0);
	for (int kind = 0; kind < 4; kind++) {
		bool whole = kind & 1;

		sqe = io_uring_get_sqe(&ring);
		if (kind & 2) {
			range(0, AT, MiB, 4096, 0);
			range(1, disk.bytes - 4096, 2 * MiB, 8192, 0);
			drw_prep_many(sqe, binding, DMABUF_RW_OP_READ, ranges, 2,
				      whole ? WHOLE : 0);
		} else {
			drw_prep(sqe, binding, DMABUF_RW_URING_READ, disk.bytes - 4096, 2 * MiB,
				 8192, whole ? WHOLE : 0);
		}
		sqe->flags |= IOSQE_IO_LINK;
		sqe->user_data = 0;
		sqe = io_uring_get_sqe(&ring);
		drw_prep(sqe, binding, DMABUF_RW_URING_WRITE, TO + kind * 4096, 0, 4096, 0);
		sqe->flags |= IOSQE_ASYNC;
		sqe->user_data = 1;
		disk_fill(&disk, TO + kind * 4096, 4096, 3, 0);
		CHECK_EQ(io_uring_submit(&ring), 2);
		for (int i = 0; i < 2; i++) {
			OK(drw_wait_cqe(&ring, &cqe));
			res[cqe->user_data] = cqe->res;
			io_uring_cqe_seen(&ring, cqe);
		}
		CHECK_EQ(res[0], whole ? -ESPIPE : kind & 2 ? 8192 : 4096, "%d", kind);
		CHECK_EQ(res[1], whole ? -ECANCELED : 4096, "%d", kind);
		disk_check(&disk, TO + kind * 4096, 4096, whole ? 3 : 4, 0);
	}
}

static void prep_reads(u32 entries, u32 nr, u32 len, u64 flags)
{
	for (u32 e = 0; e < entries; e++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		for (u32 i = 0; i < nr; i++) {
			u64 place = (e * nr + i) * (u64)len;

			range(i, AT + place, place, len, 0);
		}
		/* Who reads late may find a later array; each is good. */
		drw_prep_many(sqe, binding, DMABUF_RW_OP_READ, ranges, nr, flags);
		sqe->user_data = e;
		/* With a kernel thread that submits, it may be more by now. */
		CHECK(io_uring_submit(&ring) >= 1, "entry %u", e);
	}
}

/* More in flight than the drive has tags, so some find none and are begun later. */
static void more_than_tags_all_arrive(const void *arg)
{
	const u32 entries = 8, nr = DMABUF_RW_MAX_BATCH, len = 2048;
	struct dmabuf_rw_range *all = calloc(entries * nr, sizeof(*all));
	struct io_uring_cqe *cqe;

	open_all("priv512", arg);
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	for (u32 e = 0; e < entries; e++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		for (u32 i = 0; i < nr; i++) {
			u64 place = (e * nr + i) * (u64)len;

			all[e * nr + i] = (struct dmabuf_rw_range){
				.file_off = AT + place, .buf_off = place, .len = len };
		}
		drw_prep_many(sqe, binding, DMABUF_RW_OP_READ, all + e * nr, nr, RESULTS);
		sqe->flags |= way->sqe_flags;
	}
	CHECK_EQ(io_uring_submit(&ring), entries);
	for (u32 e = 0; e < entries; e++) {
		OK(drw_wait_cqe(&ring, &cqe));
		CHECK_EQ(cqe->res, nr * len);
		io_uring_cqe_seen(&ring, cqe);
	}
	for (u32 i = 0; i < entries * nr; i++)
		CHECK_EQ(all[i].result, len, "%u", i);
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.reads, entries * nr);
	CHECK_EQ(info.errors, 0);
}

static void ring_may_end_before_its_batches(const void *arg)
{
	open_all("priv512", arg);
	prep_reads(8, 128, 4096, RESULTS);
	io_uring_queue_exit(&ring);
	close(binding);
	mock_wait_clean(&buf);
}

static void process_may_end_before_its_batches(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 2,
				    .pattern = { 4096, 64 * KiB }, .gap = 4096 };
	int status;

	for (int i = 0; i < 4; i++) {
		pid_t pid;

		disk_open(&disk, "priv512");
		buf_create_mock(&buf, &args);
		pid = SYS(fork());
		if (!pid) {
			way = arg;
			binding = OK(drw_bind(buf.fd, disk.fd));
			drw_ring(&ring, 64, way->ring_flags);
			/* Half of them have something in their way. */
			if (i & 1)
				OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL));
			prep_reads(8, 128, 4096, RESULTS);
			if (i & 2)
				_exit(0);
			kill(getpid(), SIGKILL);
		}
		SYS(waitpid(pid, &status, 0));
		CHECK(i & 2 ? status == 0 : WIFSIGNALED(status), "status %#x", status);
		mock_wait_clean(&buf);
	}
}

static void buffer_moves_and_batches_go_on(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC | MOCK_REVERSE, .bytes = BUF_BYTES,
				    .nr_pattern = 1, .pattern = { 8192 } };

	open_all("priv512", arg);
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(mock_storm(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, 3000));
	for (int round = 0; round < 6; round++) {
		u64 sum = draw(100, AT, 512, 40000);

		CHECK_EQ(transfer(DMABUF_RW_OP_READ, 100, RESULTS), sum);
		for (u32 i = 0; i < 100; i++)
			CHECK_EQ(ranges[i].result, ranges[i].len, "%u", i);
	}
	OK(mock_storm(&buf, 0, 0));
	for (int round = 0; round < 3; round++)
		reads_and_checks(100, draw(100, AT, 512, 40000));
	OK(drw_info(binding, &info));
	CHECK(info.remaps, "the buffer has not moved");
	io_uring_queue_exit(&ring);
	close(binding);
	mock_check_clean(&buf);
}

/* Nobody enters the ring meanwhile. */
static void buffer_can_move_while_polled_batches_wait(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 1,
				    .pattern = { 4096 } };
	struct io_uring_cqe *cqe;
	u64 start;

	open_all("priv512", &ways[5]);
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	disk_fill(&disk, AT, MiB, 3, 0);
	for (u32 i = 0; i < 16; i++)
		range(i, AT + i * 64 * KiB, i * 64 * KiB, i & 1 ? 4096 : 64 * KiB, 0);
	drw_prep_many(io_uring_get_sqe(&ring), binding, DMABUF_RW_OP_READ, ranges, 16, 0);
	CHECK_EQ(io_uring_submit(&ring), 1);
	start = now_us();
	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL));
	CHECK(now_us() - start < 5000000, "it took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	OK(drw_wait_cqe(&ring, &cqe));
	CHECK_EQ(cqe->res, 8 * (4096 + 64 * KiB));
	io_uring_cqe_seen(&ring, cqe);
	for (u32 i = 0; i < 16; i++)
		buf_check(&buf, i * 64 * KiB, ranges[i].len, 3, i * 64 * KiB);
	close(binding);
	mock_check_clean(&buf);
}

static void revoked_buffer_is_told_by_each(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 1,
				    .pattern = { 4096 } };

	open_all("priv512", arg);
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(mock_invalidate(&buf, MOCK_INV_REVOKE | MOCK_INV_FORCE, NULL));
	for (u32 i = 0; i < 16; i++)
		range(i, AT + i * 4096, i * 4096, 4096, 0);
	FAILS(transfer(DMABUF_RW_OP_READ, 16, RESULTS), ESTALE);
	results_are(16, -ESTALE);
}

static void add(void)
{
	test_limit(90);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct way *w = &ways[i];

		test_add(transfers_move_their_bytes_and_no_others, w,
			 "transfers_move_their_bytes_and_no_others.%s", w->name);
		test_add(unaligned_reads_move_their_bytes, w,
			 "unaligned_reads_move_their_bytes.%s", w->name);
		test_add(each_transfer_has_its_own_result, w,
			 "each_transfer_has_its_own_result.%s", w->name);
		test_add(buffer_moves_and_batches_go_on, w, "buffer_moves_and_batches_go_on.%s",
			 w->name);
		test_add(results_are_stored_if_asked_for, w,
			 "results_are_stored_if_asked_for.%s", w->name);
		test_add(first_error_is_told_where_nothing_moved_or_all_must, w,
			 "first_error_is_told_where_nothing_moved_or_all_must.%s", w->name);
		if (!w->ring)
			continue;
		test_add(more_than_tags_all_arrive, w, "more_than_tags_all_arrive.%s", w->name);
		test_add(ring_may_end_before_its_batches, w,
			 "ring_may_end_before_its_batches.%s", w->name);
		test_add(process_may_end_before_its_batches, w,
			 "process_may_end_before_its_batches.%s", w->name);
	}
	for (size_t i = 0; i < 2; i++) {
		test_add(an_unaligned_write_is_EDOM_by_itself, &ways[i],
			 "an_unaligned_write_is_EDOM_by_itself.%s", ways[i].name);
		test_add(revoked_buffer_is_told_by_each, &ways[i],
			 "revoked_buffer_is_told_by_each.%s", ways[i].name);
	}
	TEST(malformed_batches_are_refused);
	TEST(what_is_not_whole_breaks_a_link);
	TEST(buffer_can_move_while_polled_batches_wait);
}

const struct program program = { "batch", add, .machines = MACHINES_EACH_KIND, .debug = true };
