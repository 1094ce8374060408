// SPDX-License-Identifier: GPL-2.0
/*
 * library.c - what libdmabuf_rw promises, on a real kernel with a real drive.
 *
 * The other programs speak to the module directly; here everything goes through the
 * library: each way to transfer, the threads rules, and the sentences.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include <liburing.h>
#include <libdmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "kernel_way.h"

struct joined {
	struct disk disk;
	struct buf buf;
	struct dmabuf_rw_device *device;
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_info info;
	u64 at;			/* where on the disk the test may work */
};

static struct dmabuf_rw_device *device_open(void)
{
	struct dmabuf_rw_device *device;

	OK(dmabuf_rw_device_open(NULL, &device));
	return device;
}

/* The way that this test is about: enum dmabuf_rw_path. */
static u32 way(void)
{
	return drw_way ? DMABUF_RW_PATH_KERNEL : DMABUF_RW_PATH_MODULE;
}

static struct dmabuf_rw_binding *bind_way(const struct joined *j, int file)
{
	const struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .ways = way() };
	struct dmabuf_rw_binding *binding;

	OK(dmabuf_rw_binding_create(j->device, j->buf.fd, file, &opts, &binding));
	return binding;
}

static void join(struct joined *j, const char *role, const struct exporter *exporter,
		 u64 bytes)
{
	disk_open(&j->disk, role);
	buf_create(&j->buf, exporter, bytes);
	j->at = ROUND_UP(j->disk.first, MiB);
	j->device = device_open();
	j->binding = bind_way(j, j->disk.fd);
	j->info.size = sizeof(j->info);
	OK(dmabuf_rw_binding_info(j->binding, &j->info));
}

static void part(struct joined *j)
{
	dmabuf_rw_binding_destroy(j->binding);
	dmabuf_rw_device_close(j->device);
	buf_destroy(&j->buf);
}

static struct dmabuf_rw_queue *queue_create(u32 depth, u64 flags)
{
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts),
		.depth = depth,
		.flags = flags,
	};
	struct dmabuf_rw_queue *queue;

	OK(dmabuf_rw_queue_create(&opts, &queue));
	return queue;
}

static void calls_that_wait_go_both_ways(const void *exporter)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	const u64 len = 4 * MiB;
	struct joined j;

	join(&j, "priv512", exporter, len);
	disk_fill(&j.disk, j.at, len, 1, 0);
	CHECK_EQ(dmabuf_rw_read(j.binding, j.at, 0, len, 0, &result), len);
	CHECK_EQ(result.error, 0);
	CHECK_EQ(result.path, way());
	CHECK_EQ(result.direct_bytes, len);
	CHECK_EQ(result.kernel_bytes, drw_way ? len : 0);
	buf_check(&j.buf, 0, len, 1, 0);

	buf_fill(&j.buf, 0, len, 2, 0);
	CHECK_EQ(dmabuf_rw_write(j.binding, j.at + 512, 512, len - 1024,
				 DMABUF_RW_IO_FUA, &result), len - 1024);
	disk_check(&j.disk, j.at, 512, 1, 0);
	disk_check(&j.disk, j.at + 512, len - 1024, 2, 512);
	disk_check(&j.disk, j.at + len - 512, 512, 1, len - 512);
	CHECK(drw_way || strstr(dmabuf_rw_class_name(j.info.mem_class),
		     ((const struct exporter *)exporter)->mem_class == DMABUF_RW_CLASS_BAR ?
		     "BAR" : "RAM"));
	part(&j);
}

static void pieces_are_filled_and_emptied_in_order(const void *arg)
{
	struct dmabuf_rw_piece pieces[] = {
		{ 1 * MiB, 8192 }, { 0, 4096 }, { 512 * KiB, 0 }, { 2 * MiB, 65536 },
	};
	const u64 len = 8192 + 4096 + 65536;
	struct joined j;

	join(&j, "priv512", &exporter_udmabuf, 4 * MiB);
	disk_fill(&j.disk, j.at, len, 3, 0);
	CHECK_EQ(dmabuf_rw_readv(j.binding, j.at, pieces, 4, 0, NULL), len);
	buf_check(&j.buf, 1 * MiB, 8192, 3, 0);
	buf_check(&j.buf, 0, 4096, 3, 8192);
	buf_check(&j.buf, 2 * MiB, 65536, 3, 12288);
	CHECK_EQ(dmabuf_rw_writev(j.binding, j.at + MiB, pieces, 4, 0, NULL), len);
	disk_check(&j.disk, j.at + MiB, len, 3, 0);
	part(&j);
}

struct queue_kind {
	const char *name;
	u64 flags;
	bool attached;
};

/* Every block to another place, many in flight, then back by pieces. */
static void queue_moves_every_block(const void *arg)
{
	const struct queue_kind *kind = arg;
	const u32 block = 16 * KiB, nr = 128;
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_piece pieces[128][2];
	struct dmabuf_rw_queue *queue;
	u32 next = 0, finished = 0;
	struct joined j;
	int round, n;

	join(&j, "priv512", &exporter_udmabuf, (u64)block * nr);
	queue = queue_create(24, kind->flags);
	if (kind->attached)
		OK(dmabuf_rw_queue_attach(queue, j.binding));
	disk_fill(&j.disk, j.at, (u64)block * nr, 4, 0);
	for (round = 0; round < 2; round++) {
		for (next = finished = 0; finished < nr; finished += n) {
			for (; next < nr; next++) {
				u64 buf_off = (u64)(nr - 1 - next) * block;

				if (round == 0) {
					n = dmabuf_rw_queue_read(queue, j.binding,
						j.at + (u64)next * block, buf_off, block, 0,
						next);
				} else {
					pieces[next][0] = (struct dmabuf_rw_piece){
						buf_off, 4096 };
					pieces[next][1] = (struct dmabuf_rw_piece){
						buf_off + 4096, block - 4096 };
					n = dmabuf_rw_queue_writev(queue, j.binding,
						j.at + 8 * MiB + (u64)next * block,
						pieces[next], 2, 0, next);
				}
				if (n == -EAGAIN)
					break;
				OK(n);
			}
			n = OK(dmabuf_rw_queue_reap(queue, done, 16, 1, NULL));
			for (int i = 0; i < n; i++) {
				CHECK_EQ(done[i].bytes, block);
				CHECK_EQ(done[i].error, 0);
				CHECK_EQ(done[i].path, way());
			}
		}
		CHECK_EQ(dmabuf_rw_queue_pending(queue), 0);
		for (u32 i = 0; round == 0 && i < nr; i++)
			buf_check(&j.buf, (u64)(nr - 1 - i) * block, block, 4,
				  (u64)i * block);
	}
	disk_check(&j.disk, j.at + 8 * MiB, (u64)block * nr, 4, 0);
	dmabuf_rw_queue_destroy(queue);
	part(&j);
}

static void polling_without_poll_queues_says_so(const void *arg)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_IO };
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct joined j;
	char text[600];

	join(&j, "priv512", &exporter_udmabuf, MiB);
	if (j.info.flags & DMABUF_RW_INFO_POLL)
		skip("the drive has poll queues here");
	OK(io_uring_queue_init(4, &ring, IORING_SETUP_IOPOLL));
	sqe = io_uring_get_sqe(&ring);
	dmabuf_rw_prep_read(sqe, j.binding, j.at, 0, 4096, 0);
	OK(io_uring_submit(&ring));
	OK(drw_wait_cqe(&ring, &cqe));
	CHECK_EQ(cqe->res, -EOPNOTSUPP);
	error.err = -cqe->res;
	dmabuf_rw_error_format(&error, text, sizeof(text));
	CHECK(strstr(text, "poll_queues"), "%s", text);
	io_uring_queue_exit(&ring);
	part(&j);
}

static void queued_transfers_know_errors_from_the_end(const void *arg)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *queue;
	struct joined j;
	u64 end;

	join(&j, "priv512p1", &exporter_udmabuf, MiB);
	end = j.info.file_bytes;
	queue = queue_create(4, 0);
	disk_fill(&j.disk, end - 4096, 4096, 5, 0);
	OK(dmabuf_rw_queue_read(queue, j.binding, end - 4096, 0, 65536, 0, 1));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.bytes, 4096);
	CHECK_EQ(done.error, 0);
	buf_check(&j.buf, 0, 4096, 5, 0);

	OK(dmabuf_rw_queue_write(queue, j.binding, end - 4096, 0, 65536, 0, 1));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.bytes, 4096);
	CHECK_EQ(done.error, ENOSPC);

	OK(dmabuf_rw_queue_read(queue, j.binding, 0, 1, MiB, 0, 1));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.bytes, -ERANGE);

	OK(dmabuf_rw_queue_read(queue, j.binding, 0, 0, 512, DMABUF_RW_IO_FUA, 1));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.bytes, -EINVAL);
	dmabuf_rw_queue_destroy(queue);
	part(&j);
}

static void destroying_a_queue_waits_for_the_drive(const void *arg)
{
	const u64 len = 16 * MiB, block = 512 * KiB;
	struct dmabuf_rw_queue *queue;
	struct joined j;

	join(&j, "priv512", &exporter_udmabuf, len);
	disk_fill(&j.disk, j.at, len, 6, 0);
	for (int round = 0; round < 8; round++) {
		queue = queue_create(32, round & 1 ? DMABUF_RW_QUEUE_SINGLE_THREAD : 0);
		for (u64 off = 0; off < len; off += block)
			OK(dmabuf_rw_queue_read(queue, j.binding, j.at + off, off, block, 0,
						0));
		OK(dmabuf_rw_queue_submit(queue));
		dmabuf_rw_queue_destroy(queue);
		/* What comes from the drive after this would spoil it. */
		buf_fill(&j.buf, 0, len, 7 + round, 0);
		usleep(20000);
		buf_check(&j.buf, 0, len, 7 + round, 0);
	}
	part(&j);
}

/* A ring that lets go of its files late would keep the disk in use. */
static void nothing_is_held_when_all_is_destroyed(const void *arg)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *queue;
	struct joined j;
	int fd;

	for (int round = 0; round < 20; round++) {
		disk_open(&j.disk, "priv512p1");
		close(j.disk.fd);
		buf_create(&j.buf, &exporter_udmabuf, MiB);
		fd = open(j.disk.path, O_RDWR | O_EXCL | O_CLOEXEC);
		CHECK(fd >= 0, "round %d: %s", round, strerror(errno));
		j.device = device_open();
		j.binding = bind_way(&j, fd);
		queue = queue_create(8, round & 1 ? DMABUF_RW_QUEUE_SINGLE_THREAD : 0);
		if (round % 3)
			OK(dmabuf_rw_queue_attach(queue, j.binding));
		OK(dmabuf_rw_queue_read(queue, j.binding, 0, 0, MiB, 0, 0));
		if (round & 4)
			CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
		else
			OK(dmabuf_rw_queue_submit(queue));
		dmabuf_rw_queue_destroy(queue);
		part(&j);
		close(fd);
	}
}

struct ring_kind {
	const char *name;
	unsigned int setup;
	bool fixed;
};

static void entries_work_on_a_ring_of_ones_own(const void *arg)
{
	const struct ring_kind *kind = arg;
	struct dmabuf_rw_piece pieces[] = { { 65536, 4096 }, { 0, 4096 } };
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct joined j;
	int fd, i;

	join(&j, "priv512", &exporter_udmabuf, MiB);
	if (kind->setup & IORING_SETUP_IOPOLL && !(j.info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queues here");
	OK(io_uring_queue_init(8, &ring, kind->setup));
	fd = dmabuf_rw_binding_fd(j.binding);
	if (kind->fixed)
		OK(io_uring_register_files(&ring, &fd, 1));
	disk_fill(&j.disk, j.at, 65536, 8, 0);
	buf_fill(&j.buf, 0, MiB, 9, 0);

	/* Twice round the ring, so that entries have old contents. */
	for (i = 0; i < 16; i++) {
		sqe = io_uring_get_sqe(&ring);
		CHECK(sqe);
		switch (i % 4) {
		case 0:
			dmabuf_rw_prep_read(sqe, j.binding, j.at, 131072, 65536, 0);
			break;
		case 1:
			dmabuf_rw_prep_write(sqe, j.binding, j.at + MiB, 131072, 65536,
					     DMABUF_RW_IO_FUA);
			break;
		case 2:
			dmabuf_rw_prep_readv(sqe, j.binding, j.at, pieces, 2, 0);
			break;
		default:
			dmabuf_rw_prep_writev(sqe, j.binding, j.at + 2 * MiB, pieces, 2, 0);
			break;
		}
		if (kind->fixed)
			dmabuf_rw_sqe_set_fixed_file(sqe, 0);
		sqe->user_data = i;
		OK(io_uring_submit(&ring));
		OK(drw_wait_cqe(&ring, &cqe));
		CHECK_EQ(cqe->user_data, i);
		CHECK_EQ(cqe->res, i % 4 < 2 ? 65536 : 8192);
		io_uring_cqe_seen(&ring, cqe);
	}
	buf_check(&j.buf, 131072, 65536, 8, 0);
	buf_check(&j.buf, 65536, 4096, 8, 0);
	buf_check(&j.buf, 0, 4096, 8, 4096);
	disk_check(&j.disk, j.at + MiB, 65536, 8, 0);
	disk_check(&j.disk, j.at + 2 * MiB, 8192, 8, 0);
	io_uring_queue_exit(&ring);
	part(&j);
}

static s64 plain_entry(struct io_uring *ring, const struct joined *j, bool write, u64 at, u64 off,
		       u32 len)
{
	u64 until = now_us() + 10000000;
	struct io_uring_cqe *cqe;
	s64 res;

	do {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		CHECK(sqe);
		(write ? dmabuf_rw_prep_write : dmabuf_rw_prep_read)(sqe, j->binding, at, off, len,
								     0);
		dmabuf_rw_sqe_set_slot(sqe, 3);
		OK(io_uring_submit(ring));
		OK(drw_wait_cqe(ring, &cqe));
		res = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	} while (res == -EAGAIN && now_us() < until);
	return res;
}

/* As a program does that does not ask by which way its binding goes. */
static void plain_entries_go_by_either_way(const void *arg)
{
	const struct ring_kind *kind = arg;
	const u32 len = 64 * KiB;
	struct io_uring ring;
	struct joined j;

	join(&j, "priv512", &exporter_udmabuf, MiB);
	OK(io_uring_queue_init(8, &ring, kind->setup));
	OK(io_uring_register_buffers_sparse(&ring, 4));
	OK(dmabuf_rw_binding_register(j.binding, ring.ring_fd, 3));
	disk_fill(&j.disk, j.at, MiB, 8, 0);
	buf_fill(&j.buf, 0, MiB, 9, 0);
	for (u64 off = 0; off < MiB; off += len)
		CHECK_EQ(plain_entry(&ring, &j, off % (2 * len), j.at + off, off, len), len);
	for (u64 off = 0; off < MiB; off += len) {
		u64 tag = off % (2 * len) ? 9 : 8;

		buf_check(&j.buf, off, len, tag, off);
		disk_check(&j.disk, j.at + off, len, tag, off);
	}
	io_uring_queue_exit(&ring);
	part(&j);
}

#define WORKERS 4
#define SHARE	(2 * MiB)

struct worker {
	pthread_t thread;
	struct joined *j;
	u32 nr;
};

/* Reads its share of the disk into its share of the buffer and back, several ways. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct joined *j = w->j;
	u64 off = w->nr * SHARE, n = 0;
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *queue = queue_create(8, w->nr & 1 ?
					DMABUF_RW_QUEUE_SINGLE_THREAD : 0);

	for (int round = 0; round < 10; round++) {
		CHECK_EQ(dmabuf_rw_read(j->binding, j->at + off, off, SHARE, 0, NULL),
			 SHARE);
		for (u64 at = 0; at < SHARE; at += SHARE / 8)
			OK(dmabuf_rw_queue_write(queue, j->binding,
						 j->at + 16 * MiB + off + at, off + at,
						 SHARE / 8, 0, at));
		for (n = 0; n < 8;) {
			int got = OK(dmabuf_rw_queue_reap(queue, done, 8, 8 - n, NULL));

			for (int i = 0; i < got; i++)
				CHECK_EQ(done[i].bytes, SHARE / 8);
			n += got;
		}
	}
	dmabuf_rw_queue_destroy(queue);
	return NULL;
}

static void threads_share_a_binding(const void *arg)
{
	struct worker w[WORKERS];
	struct joined j;
	u32 i;

	join(&j, "priv512", &exporter_udmabuf, WORKERS * SHARE);
	disk_fill(&j.disk, j.at, WORKERS * SHARE, 10, 0);
	for (i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ .j = &j, .nr = i };
		OK(-pthread_create(&w[i].thread, NULL, work, &w[i]));
	}
	for (i = 0; i < WORKERS; i++)
		pthread_join(w[i].thread, NULL);
	buf_check(&j.buf, 0, WORKERS * SHARE, 10, 0);
	disk_check(&j.disk, j.at + 16 * MiB, WORKERS * SHARE, 10, 0);
	j.info = (struct dmabuf_rw_info){ .size = sizeof(j.info) };
	OK(dmabuf_rw_binding_info(j.binding, &j.info));
	if (!drw_way) {
		CHECK_EQ(j.info.read_bytes, 10 * WORKERS * SHARE);
		CHECK_EQ(j.info.write_bytes, 10 * WORKERS * SHARE);
	}
	part(&j);
}

struct other {
	struct dmabuf_rw_queue *queue;
	int ret;
};

static void *reap_there(void *arg)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct other *other = arg;

	other->ret = dmabuf_rw_queue_reap(other->queue, &done, 1, 1, NULL);
	return NULL;
}

static void a_queue_may_change_threads_unless_it_promised_not_to(const void *arg)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct other other;
	pthread_t thread;
	struct joined j;

	join(&j, "priv512", &exporter_udmabuf, MiB);
	other.queue = queue_create(4, 0);
	OK(dmabuf_rw_queue_read(other.queue, j.binding, j.at, 0, MiB, 0, 1));
	OK(dmabuf_rw_queue_submit(other.queue));
	OK(-pthread_create(&thread, NULL, reap_there, &other));
	pthread_join(thread, NULL);
	CHECK_EQ(other.ret, 1);
	dmabuf_rw_queue_destroy(other.queue);

	other.queue = queue_create(4, DMABUF_RW_QUEUE_SINGLE_THREAD);
	OK(dmabuf_rw_queue_read(other.queue, j.binding, j.at, 0, MiB, 0, 1));
	OK(-pthread_create(&thread, NULL, reap_there, &other));
	pthread_join(thread, NULL);
	CHECK_EQ(other.ret, -EEXIST);
	CHECK_EQ(dmabuf_rw_queue_reap(other.queue, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.bytes, MiB);
	dmabuf_rw_queue_destroy(other.queue);
	part(&j);
}

static void on_alarm(int sig)
{
}

/* However signals fall, the count that comes back is true. */
static void signals_leave_true_counts(const void *arg)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = {};
	const u64 len = 8 * MiB;
	u32 shorts = 0, whole = 0;
	struct joined j;

	join(&j, "priv512", &exporter_udmabuf, len);
	disk_fill(&j.disk, j.at, len, 11, 0);
	sigaction(SIGALRM, &action, NULL);
	for (int round = 0; round < 40; round++) {
		struct dmabuf_rw_result result = { .size = sizeof(result) };
		s64 n;

		buf_fill(&j.buf, 0, len, 12, 0);
		SYS(setitimer(ITIMER_REAL, &often, NULL));
		n = dmabuf_rw_read(j.binding, j.at, 0, len, 0, &result);
		SYS(setitimer(ITIMER_REAL, &never, NULL));
		if (n < 0) {
			CHECK_EQ(n, -EINTR);
			n = 0;
		}
		if (n < (s64)len)
			CHECK_EQ(result.error, EINTR);
		shorts += n < (s64)len;
		whole += n == (s64)len;
		buf_check(&j.buf, 0, n, 11, 0);
	}
	note("%u whole, %u short", whole, shorts);
	part(&j);
}

static void a_binding_travels_as_a_descriptor(const void *arg)
{
	struct dmabuf_rw_binding *adopted;
	struct joined j;
	int fd, fds[2];

	join(&j, "priv512", &exporter_udmabuf, MiB);
	disk_fill(&j.disk, j.at, MiB, 13, 0);
	fd = SYS(dup(dmabuf_rw_binding_fd(j.binding)));
	dmabuf_rw_binding_destroy(j.binding);
	dmabuf_rw_device_close(j.device);
	OK(dmabuf_rw_binding_adopt(fd, &adopted));
	CHECK_EQ(dmabuf_rw_read(adopted, j.at, 0, MiB, 0, NULL), MiB);
	buf_check(&j.buf, 0, MiB, 13, 0);
	dmabuf_rw_binding_destroy(adopted);

	SYS(pipe(fds));
	FAILS(dmabuf_rw_binding_adopt(fds[0], &adopted), ENOTTY);
	FAILS(dmabuf_rw_binding_adopt(j.buf.fd, &adopted), ENOTTY);
	FAILS(dmabuf_rw_binding_adopt(-1, &adopted), EBADF);
	buf_destroy(&j.buf);
}

struct refusal {
	const char *name;
	const char *role;	/* of a disk; or */
	const char *path;	/* a file */
	u64 flags;
	int err;
	u32 reason;
	const char *words;	/* in the sentence */
};

static const struct refusal refusals[] = {
	{ "character_device", NULL, "/dev/null", 0, ENOTBLK, DMABUF_RW_REASON_NOT_BLOCK,
	  "neither a block device" },
	{ "metadata", "meta512", NULL, 0, EMEDIUMTYPE, DMABUF_RW_REASON_METADATA,
	  "nvme format" },
	{ "zoned", "zoned", NULL, 0, EMEDIUMTYPE, DMABUF_RW_REASON_ZONED, "conventional" },
	{ "ram_for_device_memory", "priv512", NULL, DMABUF_RW_BIND_DEVICE_MEMORY, EXDEV,
	  DMABUF_RW_REASON_NOT_DEVICE_MEMORY, "system RAM" },
};

static void refused_with_a_sentence(const void *arg)
{
	const struct refusal *r = arg;
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = r->flags,
		.error = &error,
	};
	struct dmabuf_rw_binding *binding;
	struct disk disk = { .fd = -1 };
	struct buf buf;
	char text[800];

	if (r->role)
		disk_open(&disk, r->role);
	else
		disk.fd = SYS(open(r->path, O_RDWR));
	buf_create(&buf, &exporter_udmabuf, 65536);
	FAILS(dmabuf_rw_binding_create(device_open(), buf.fd, disk.fd, &opts, &binding),
	      r->err);
	CHECK_EQ(error.err, r->err);
	CHECK_EQ(error.reason, r->reason);
	dmabuf_rw_error_format(&error, text, sizeof(text));
	CHECK(strstr(text, r->words), "%s", text);
	CHECK(strstr(text, dmabuf_rw_errno_name(r->err)), "%s", text);
}

static void the_exporters_refusal_reaches_the_sentence(const void *arg)
{
	struct mock_fault fault = { .attach_errno = EOPNOTSUPP };
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_binding *binding;
	struct disk disk;
	struct buf buf;
	char text[800];

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_contiguous, 65536);
	OK(mock_fault(&buf, fault));
	FAILS(dmabuf_rw_binding_create(device_open(), buf.fd, disk.fd, &opts, &binding),
	      EREMOTEIO);
	CHECK_EQ(error.reason, DMABUF_RW_REASON_ATTACH);
	CHECK_EQ(error.detail, EOPNOTSUPP);
	dmabuf_rw_error_format(&error, text, sizeof(text));
	CHECK(strstr(text, "exporter said"), "%s", text);
}

static void add(void)
{
	static const struct exporter *const kinds[] = {
		&exporter_udmabuf, &exporter_heap, &exporter_vfio, &exporter_mock_scattered,
	};
	static const struct queue_kind queues[] = {
		{ "plain", 0, false },
		{ "attached", 0, true },
		{ "single_thread", DMABUF_RW_QUEUE_SINGLE_THREAD, false },
		{ "single_thread_attached", DMABUF_RW_QUEUE_SINGLE_THREAD, true },
	};
	static const struct ring_kind rings[] = {
		{ "sqe64", 0, false },
		{ "sqe64_fixed", 0, true },
		{ "sqe128", IORING_SETUP_SQE128, false },
		{ "sqe128_fixed", IORING_SETUP_SQE128, true },
		{ "cqe32", IORING_SETUP_CQE32, false },
		{ "sqpoll", IORING_SETUP_SQPOLL, false },
		{ "sqpoll_fixed", IORING_SETUP_SQPOLL, true },
		{ "iopoll", IORING_SETUP_IOPOLL, false },
		{ "iopoll_deferred", IORING_SETUP_IOPOLL | IORING_SETUP_SINGLE_ISSUER |
				     IORING_SETUP_DEFER_TASKRUN, true },
	};
	size_t i;

	test_limit(60);
	both_ways_from_here(true);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_add(calls_that_wait_go_both_ways, kinds[i],
			 "calls_that_wait_go_both_ways.%s", kinds[i]->name);
	TEST(pieces_are_filled_and_emptied_in_order);
	for (i = 0; i < ARRAY_SIZE(queues); i++)
		test_add(queue_moves_every_block, &queues[i], "queue_moves_every_block.%s",
			 queues[i].name);
	TEST(queued_transfers_know_errors_from_the_end);
	TEST(destroying_a_queue_waits_for_the_drive);
	TEST(nothing_is_held_when_all_is_destroyed);
	TEST(threads_share_a_binding);
	TEST(a_queue_may_change_threads_unless_it_promised_not_to);
	TEST(signals_leave_true_counts);
	/* The kernel's own interface has no poll queues, and needs no file of the binding's. */
	for (i = 0; i < ARRAY_SIZE(rings); i++)
		if (!rings[i].fixed && !(rings[i].setup & IORING_SETUP_IOPOLL))
			test_add(plain_entries_go_by_either_way, &rings[i],
				 "plain_entries_go_by_either_way.%s", rings[i].name);

	/* Pieces, forced writes, poll queues, descriptors, and what the module says. */
	both_ways_from_here(false);
	TEST(polling_without_poll_queues_says_so);
	for (i = 0; i < ARRAY_SIZE(rings); i++)
		test_add(entries_work_on_a_ring_of_ones_own, &rings[i],
			 "entries_work_on_a_ring_of_ones_own.%s", rings[i].name);
	TEST(a_binding_travels_as_a_descriptor);
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		test_add(refused_with_a_sentence, &refusals[i],
			 "refused_with_a_sentence.%s", refusals[i].name);
	TEST(the_exporters_refusal_reaches_the_sentence);
}

const struct program program = { "library", add };
