// SPDX-License-Identifier: MIT
/*
 * fake_ring.c - the calls of liburing that enter the kernel, over fake_kernel.c. The
 * inline part of liburing is the real one, working on rings that are made here.
 *
 * Submitted entries wait in an array until a wait completes them, in the order and the
 * number that the test has set; so completions arrive late, as from a drive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include "fake_kernel.h"
#include "unit.h"

static struct io_uring_sqe submitted[FAKE_RING_MAX];
static int table[FAKE_TABLE];

struct rings {
	unsigned int sq_head, sq_tail, sq_flags, cq_head, cq_tail, cq_flags;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	struct rings *r;
	unsigned int size = 1;

	if (fake.ring_errno)
		return -fake.ring_errno;
	while (size < entries)
		size *= 2;
	r = calloc(1, sizeof(*r));
	assert_non_null(r);
	/* Entries begin as rubbish, as those of a ring that has gone round. */
	r->sqes = malloc(size * sizeof(*r->sqes));
	r->cqes = calloc(size * 2, sizeof(*r->cqes));
	assert_non_null(r->sqes);
	assert_non_null(r->cqes);
	memset(r->sqes, 0xa5, size * sizeof(*r->sqes));

	memset(ring, 0, sizeof(*ring));
	ring->flags = p->flags;
	ring->features = IORING_FEAT_EXT_ARG;
	ring->sq.khead = &r->sq_head;
	ring->sq.ktail = &r->sq_tail;
	ring->sq.kflags = &r->sq_flags;
	ring->sq.sqes = r->sqes;
	ring->sq.ring_mask = size - 1;
	ring->sq.ring_entries = size;
	ring->cq.khead = &r->cq_head;
	ring->cq.ktail = &r->cq_tail;
	ring->cq.kflags = &r->cq_flags;
	ring->cq.cqes = r->cqes;
	ring->cq.ring_mask = size * 2 - 1;
	ring->cq.ring_entries = size * 2;
	ring->sq.ring_ptr = r;
	fake.ring_flags = p->flags;
	fake.rings++;
	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	struct rings *r = ring->sq.ring_ptr;

	/* The library promises to have waited. */
	assert_int_equal(fake.in_flight, 0);
	assert_false(fake.has_table);
	free(r->sqes);
	free(r->cqes);
	free(r);
	fake.rings--;
}

int io_uring_register_ring_fd(struct io_uring *ring)
{
	(void)ring;
	return 1;
}

int io_uring_register_files_sparse(struct io_uring *ring, unsigned int nr)
{
	unsigned int i;

	(void)ring;
	assert_int_equal(nr, FAKE_TABLE);
	assert_false(fake.has_table);
	if (fake.table_errno)
		return -fake.table_errno;
	fake.has_table = true;
	for (i = 0; i < nr; i++)
		table[i] = -1;
	return 0;
}

int io_uring_register_files_update(struct io_uring *ring, unsigned int index,
				   const int *fds, unsigned int nr)
{
	(void)ring;
	assert_true(fake.has_table);
	assert_int_equal(nr, 1);
	assert_in_range(index, 0, FAKE_TABLE - 1);
	assert_true((table[index] < 0) != (fds[0] < 0));
	table[index] = fds[0];
	return nr;
}

int io_uring_unregister_files(struct io_uring *ring)
{
	(void)ring;
	assert_true(fake.has_table);
	fake.has_table = false;
	return 0;
}

static void complete(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	struct dmabuf_rw_piece one;
	const struct dmabuf_rw_piece *pieces = &one;
	unsigned int nr = 1, tail = *ring->cq.ktail;
	struct io_uring_cqe *cqe = &ring->cq.cqes[tail & ring->cq.ring_mask];
	bool write = sqe->cmd_op == DMABUF_RW_URING_WRITE ||
		     sqe->cmd_op == DMABUF_RW_URING_WRITEV;
	uint64_t flags, done;
	int err;

	assert_int_equal(sqe->opcode, IORING_OP_URING_CMD);
	assert_int_equal(sqe->off >> 32, 0);
	assert_int_equal(sqe->flags & ~IOSQE_FIXED_FILE, 0);
	if (sqe->flags & IOSQE_FIXED_FILE) {
		assert_in_range(sqe->fd, 0, FAKE_TABLE - 1);
		assert_true(fake_is_binding(table[sqe->fd]));
		fake.by_table++;
	} else {
		assert_true(fake_is_binding(sqe->fd));
	}
	assert_int_equal(sqe->ioprio | sqe->buf_index | sqe->uring_cmd_flags, 0);
	assert_in_range(tail - *ring->cq.khead, 0, ring->cq.ring_entries - 1);
	memcpy(&flags, (const char *)sqe + 56, sizeof(flags));
	if (sqe->cmd_op >= DMABUF_RW_URING_READV) {
		pieces = (const void *)(uintptr_t)sqe->addr3;
		nr = sqe->len;
	} else {
		one.buf_off = sqe->addr3;
		one.len = sqe->len;
	}
	done = fake_move(write, sqe->addr, pieces, nr, flags, &err);
	cqe->user_data = sqe->user_data;
	cqe->res = done ? (int)done : -err;
	cqe->flags = 0;
	*ring->cq.ktail = tail + 1;
}

static int submit(struct io_uring *ring)
{
	unsigned int n = 0, tail = ring->sq.sqe_tail;

	fake.enters++;
	ring->sq.sqe_head = tail;
	*ring->sq.ktail = tail;
	if (fake.submit_refuse) {
		fake.submit_refuse--;
		return -EAGAIN;
	}
	while (*ring->sq.khead != tail) {
		assert_in_range(fake.in_flight, 0, FAKE_RING_MAX - 1);
		submitted[fake.in_flight++] =
			ring->sq.sqes[*ring->sq.khead & ring->sq.ring_mask];
		++*ring->sq.khead;
		n++;
	}
	return n;
}

/* Completes until the ring has @nr completions. */
static int wait_for(struct io_uring *ring, unsigned int nr, bool timeout)
{
	unsigned int left = fake.per_wait ? fake.per_wait : nr;

	if (fake.wait_errno)
		return -fake.wait_errno;
	if (fake.wait_interrupts) {
		fake.wait_interrupts--;
		return -EINTR;
	}
	if (timeout && fake.never_complete)
		return -ETIME;
	/* The kernel would sleep for ever, and so would the test. */
	assert_true(nr <= *ring->cq.ktail - *ring->cq.khead + fake.in_flight);
	while (left-- && fake.in_flight && *ring->cq.ktail - *ring->cq.khead < nr) {
		struct io_uring_sqe sqe;

		fake.in_flight--;
		if (fake.last_first) {
			sqe = submitted[fake.in_flight];
		} else {
			sqe = submitted[0];
			memmove(submitted, submitted + 1,
				fake.in_flight * sizeof(submitted[0]));
		}
		complete(ring, &sqe);
	}
	return 0;
}

int io_uring_submit(struct io_uring *ring)
{
	return submit(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr)
{
	int n = submit(ring), ret;

	if (n < 0)
		return n;
	ret = wait_for(ring, nr, false);
	return ret < 0 && !n ? ret : n;
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
				     unsigned int nr, struct __kernel_timespec *ts,
				     sigset_t *mask)
{
	int n = submit(ring);

	(void)mask;
	assert_true(ts->tv_sec > 0 || ts->tv_nsec > 0);
	*cqe = NULL;
	return n < 0 ? n : wait_for(ring, nr, true);
}

int io_uring_get_events(struct io_uring *ring)
{
	fake.enters++;
	return wait_for(ring, fake.in_flight ? 1 : 0, false);
}

int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
		       unsigned int to_submit, unsigned int nr, sigset_t *mask)
{
	int ret;

	(void)mask;
	assert_int_equal(to_submit, 0);
	fake.enters++;
	ret = wait_for(ring, nr, false);
	if (ret < 0)
		return ret;
	*cqe = &ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
	return 0;
}

int __io_uring_sqring_wait(struct io_uring *ring)
{
	(void)ring;
	return 0;
}
