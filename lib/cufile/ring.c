// SPDX-License-Identifier: MIT
/*
 * ring.c - an io_uring for groups of a batch, each of which is one entry (batch_run.c).
 *
 * A thread submits and goes on, and any thread may wait for the results. So the ring has no flags:
 * the kernel then reports each end at once, whatever the submitting thread does.
 *
 * Rings stay until the process ends, with the batches that have them; there are MAX_RINGS at most.
 * A child of fork(2) uses none, and does not inherit their memory.
 *
 * Thread-safety: the batch's lock protects everything except ring_wait(), which only enters the
 * kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "batch.h"

#define MAX_RINGS	64

/* In place of a group: an entry that wakes the waiter, or one that was taken back. */
#define NO_GROUP	0

struct ring {
	struct io_uring uring;
	bool woken;		/* a waking entry is in the ring */
};

static _Atomic unsigned int nr_rings;
static _Atomic bool none;	/* no rings: a setting, a filter, or the kernel forbids them */

static int above_std(struct io_uring *uring)
{
	int fd = uring->ring_fd;

	if (fd > STDERR_FILENO)
		return 0;
	uring->ring_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (uring->ring_fd < 0) {
		uring->ring_fd = fd;
		return -EMFILE;
	}
	uring->enter_ring_fd = uring->ring_fd;
	close(fd);
	return 0;
}

static int open_ring(struct ring *r)
{
	struct io_uring_params params = { 0 };
	int ret = io_uring_queue_init_params(FRONT_MAX_BATCH, &r->uring, &params);

	if (ret < 0)
		return ret;
	ret = io_uring_ring_dontfork(&r->uring);
	if (!ret)
		ret = above_std(&r->uring);
	if (ret)
		io_uring_queue_exit(&r->uring);
	return ret;
}

struct ring *ring_create(void)
{
	struct ring *r = NULL;
	int ret = -ENOMEM;

	if (atomic_load(&none))
		return NULL;
	if (atomic_fetch_add(&nr_rings, 1) < MAX_RINGS)
		r = calloc(1, sizeof(*r));
	if (r)
		ret = open_ring(r);
	if (!ret)
		return r;
	if (ret != -ENOMEM && ret != -EMFILE && ret != -ENFILE && ret != -EAGAIN)
		atomic_store(&none, true);
	free(r);
	atomic_fetch_sub(&nr_rings, 1);
	return NULL;
}

bool ring_add(struct ring *r, struct group *g)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
	uint64_t flags = DMABUF_RW_IO_RESULTS | (g->write ? g->file->write_flags : 0);

	if (!sqe)
		return false;
	(g->write ? dmabuf_rw_prep_write_many : dmabuf_rw_prep_read_many)(sqe, g->bond->binding,
									  g->ranges, g->nr, flags);
	sqe->user_data = (uintptr_t)g;
	return true;
}

void ring_submit(struct ring *r)
{
	int ret;

	/* The kernel may take only some of them. */
	do {
		ret = io_uring_submit(&r->uring);
	} while ((ret > 0 || ret == -EINTR) && io_uring_sq_ready(&r->uring));
}

struct group *ring_take_back(struct ring *r)
{
	struct io_uring_sq *sq = &r->uring.sq;
	unsigned int nr = io_uring_sq_ready(&r->uring);
	struct group *g;

	/* The entry stays, and does nothing when it is submitted later. */
	while (nr) {
		struct io_uring_sqe *sqe = &sq->sqes[(sq->sqe_tail - nr--) & sq->ring_mask];

		g = (struct group *)(uintptr_t)sqe->user_data;
		if (!g)
			continue;
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_NOP;
		sqe->user_data = NO_GROUP;
		return g;
	}
	return NULL;
}

/* If this fails, the next group that ends wakes the waiter. */
void ring_wake(struct ring *r)
{
	struct io_uring_sqe *sqe;

	if (r->woken)
		return;
	/* A waking entry that the kernel did not take is still there. */
	if (!io_uring_sq_ready(&r->uring)) {
		sqe = io_uring_get_sqe(&r->uring);
		if (!sqe)
			return;
		io_uring_prep_nop(sqe);
		sqe->user_data = NO_GROUP;
	}
	ring_submit(r);
	r->woken = !io_uring_sq_ready(&r->uring);
}

struct group *ring_take(struct ring *r, int64_t *moved)
{
	struct io_uring_cqe *cqe;
	struct group *g = NULL;

	while (!g && io_uring_peek_batch_cqe(&r->uring, &cqe, 1)) {
		g = (struct group *)(uintptr_t)cqe->user_data;
		*moved = cqe->res;
		if (!g)
			r->woken = false;
		io_uring_cq_advance(&r->uring, 1);
	}
	return g;
}

void ring_wait(const struct ring *r, const struct timespec *left)
{
	struct __kernel_timespec ts = { 0 };
	struct io_uring_getevents_arg arg = { 0 };
	int ret;

	if (left) {
		ts.tv_sec = left->tv_sec;
		ts.tv_nsec = left->tv_nsec;
		arg.ts = (uintptr_t)&ts;
	}
	ret = io_uring_enter2(r->uring.ring_fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
			      (void *)&arg, sizeof(arg));
	/* Programs do not expect signals here. A lack of memory may pass. */
	if (ret < 0 && ret != -EINTR && ret != -ETIME)
		usleep(1000);
}
