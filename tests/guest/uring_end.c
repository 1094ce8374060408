// SPDX-License-Identifier: GPL-2.0
/*
 * uring_end.c - a ring, its process, or the program in it ends at any moment, with transfers of
 * each kind in flight and a buffer that moves: everything ends with it, soon, and lets go of the
 * buffer.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(4 * MiB)
#define AT		(16 * MiB)
#define ENTRIES		16
#define NR		64
#define DEFER		(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

struct way {
	const char *name;
	unsigned int ring_flags;
};

static const struct way ways[] = {
	{ "plain", 0 },
	{ "defer", DEFER },
	{ "sqpoll", IORING_SETUP_SQPOLL },
	{ "polled", IORING_SETUP_IOPOLL },
	{ "polled_defer", IORING_SETUP_IOPOLL | DEFER },
	{ "polled_sqpoll", IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL },
};

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct rng rng;
static int binding;

/* Single ones, vectored ones and batches, each third, of one command and of several. */
static void begin(const struct way *way)
{
	static struct dmabuf_rw_range ranges[ENTRIES][NR];
	static struct dmabuf_rw_piece pieces[ENTRIES][2];

	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 64, way->ring_flags);
	for (u32 e = 0; e < ENTRIES; e++) {
		u32 len = e & 1 ? 4096 : 16 * KiB;
		enum dmabuf_rw_op op = e & 2 ? DMABUF_RW_OP_WRITE : DMABUF_RW_OP_READ;
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		for (u32 i = 0; i < NR; i++)
			ranges[e][i] = (struct dmabuf_rw_range){
				.file_off = AT + i * len, .buf_off = i * len, .len = len,
			};
		for (u32 i = 0; i < 2; i++)
			pieces[e][i] = (struct dmabuf_rw_piece){ i * MiB, 256 * KiB };
		switch (e % 3) {
		case 0:
			drw_prep_many(sqe, binding, op, ranges[e], NR, DMABUF_RW_IO_RESULTS);
			break;
		case 1:
			drw_prepv(sqe, binding, op == DMABUF_RW_OP_READ ? DMABUF_RW_URING_READV :
				  DMABUF_RW_URING_WRITEV, AT, pieces[e], 2, 0);
			break;
		case 2:
			drw_prep(sqe, binding, op == DMABUF_RW_OP_READ ? DMABUF_RW_URING_READ :
				 DMABUF_RW_URING_WRITE, AT, 0, len, 0);
			break;
		}
		if (e % 5 == 4)
			mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL);
		io_uring_submit(&ring);
	}
}

static void end_by_signal(void)
{
	kill(getpid(), SIGKILL);
}

static void end_of_ring(void)
{
	io_uring_queue_exit(&ring);
}

static void end_of_descriptors(void)
{
	close(binding);
	close(buf.fd);
}

static void end_by_exec(void)
{
	execl("/bin/true", "true", NULL);
	_exit(127);
}

static void (*const ends[])(void) = {
	end_by_signal, end_of_ring, end_of_descriptors, end_by_exec,
};

static void whatever_is_in_flight_ends_with_it(const void *arg)
{
	static const struct mock_create args = {
		.flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 2,
		.pattern = { 4096, 64 * KiB }, .gap = 4096,
	};
	const struct way *way = arg;
	struct dmabuf_rw_info info;
	int status;

	rng.s = harness_seed();
	disk_open(&disk, "priv512");
	for (u32 round = 0; round < 32; round++) {
		useconds_t pause = rng_below(&rng, 20000);
		pid_t pid;

		buf_create_mock(&buf, &args);
		binding = OK(drw_bind(buf.fd, disk.fd));
		OK(drw_info(binding, &info));
		close(binding);
		if ((way->ring_flags & IORING_SETUP_IOPOLL) && !(info.flags & DMABUF_RW_INFO_POLL))
			skip("the drive has no poll queue");
		pid = SYS(fork());
		if (!pid) {
			begin(way);
			usleep(pause);
			ends[round % ARRAY_SIZE(ends)]();
			_exit(0);
		}
		SYS(waitpid(pid, &status, 0));
		CHECK(round % ARRAY_SIZE(ends) ? status == 0 : WIFSIGNALED(status),
		      "round %u: status %#x", round, status);
		mock_wait_clean(&buf);
		buf_destroy(&buf);
	}
}

static void add(void)
{
	test_limit(60);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		test_add(whatever_is_in_flight_ends_with_it, &ways[i],
			 "whatever_is_in_flight_ends_with_it.%s", ways[i].name);
}

const struct program program = { "uring_end", add, .debug = true };
