// SPDX-License-Identifier: MIT
/*
 * fake_ring.c - the calls of liburing that enter the kernel, over fake_kernel.c. The
 * inline part of liburing is the real one, working on rings that are made here.
 *
 * Submitted entries wait in an array of their ring until a wait completes them, in the
 * order and the number that the test has set; so completions arrive late, as from a
 * drive. Polling an eventfd is real: such an entry completes when another thread has
 * written to it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>

#include "fake_kernel.h"
#include "uring_dmabuf.h"
#include "unit.h"

int __wrap_ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *ts, const sigset_t *mask);

static int table[FAKE_TABLE];

struct rings {
	unsigned int sq_head, sq_tail, sq_flags, cq_head, cq_tail, cq_flags;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned int in_flight;
	bool has_buffer;
	bool has_table;
	int end;		/* what it has registered beside bindings */
	int wake;		/* its eventfd; -1: none */
	struct iovec buffer;
	unsigned int nr_slots;	/* of a table that dma-bufs are registered in; 0: there is none */
	struct slot {
		int registered;	/* fake_register()'s; 0: empty */
		int file_fd;
	} slots[FAKE_TABLE];
	struct io_uring_sqe submitted[FAKE_RING_MAX];
};

#define MAX_RINGS 128

/* By their descriptors. */
static struct {
	int fd;
	struct rings *rings;
} open_rings[MAX_RINGS];

static struct rings *ring_of_fd(int fd, bool forget);

static void note_ring(int fd, struct rings *r)
{
	int i;

	/* In a child, one that its parent has may have had the number. */
	ring_of_fd(fd, true);
	fake_lock();
	for (i = 0; i < MAX_RINGS && open_rings[i].rings; i++)
		;
	assert_int_not_equal(i, MAX_RINGS);
	open_rings[i].fd = fd;
	open_rings[i].rings = r;
	fake_unlock();
}

/* @forget: it is closed. Null if it is none. */
static struct rings *ring_of_fd(int fd, bool forget)
{
	struct rings *r = NULL;
	int i;

	fake_lock();
	for (i = 0; i < MAX_RINGS && !r; i++)
		if (open_rings[i].rings && (open_rings[i].fd == fd ||
					    (!forget && open_rings[i].rings->wake == fd))) {
			r = open_rings[i].rings;
			if (forget)
				open_rings[i].rings = NULL;
		}
	fake_unlock();
	return r;
}

static struct rings *rings_of(const struct io_uring *ring)
{
	return ring->sq.ring_ptr;
}

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
	r->end = r->wake = -1;
	ring->ring_fd = ring->enter_ring_fd = fake_ring_fd();
	note_ring(ring->ring_fd, r);
	fake_lock();
	fake.ring_flags = p->flags;
	fake.rings++;
	fake_unlock();
	return 0;
}

static unsigned int slots_in_use(const struct rings *r)
{
	unsigned int i, n = 0;

	for (i = 0; i < r->nr_slots; i++)
		n += !!r->slots[i].registered;
	return n;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	struct rings *r = rings_of(ring);

	/* The library promises to have waited, and has the kernel let go at once. */
	assert_int_equal(r->in_flight, 0);
	assert_int_equal(slots_in_use(r), 0);
	assert_false(r->has_table);
	if (r->end >= 0)
		close(r->end);
	ring_of_fd(ring->ring_fd, true);
	fake_close(ring->ring_fd);
	free(r->sqes);
	free(r->cqes);
	free(r);
	fake_lock();
	fake.rings--;
	fake_unlock();
}

int io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs,
			      unsigned int nr)
{
	assert_int_equal(nr, 1);
	if (fake.register_errno)
		return -fake.register_errno;
	rings_of(ring)->buffer = iovecs[0];
	rings_of(ring)->has_buffer = true;
	return 0;
}

static void empty_slot(struct slot *slot)
{
	if (slot->registered)
		fake_close(slot->registered);
	*slot = (struct slot){ 0 };
}

int io_uring_unregister_buffers(struct io_uring *ring)
{
	struct rings *r = rings_of(ring);
	unsigned int i;

	assert_true(r->has_buffer || r->nr_slots);
	for (i = 0; i < r->nr_slots; i++)
		empty_slot(&r->slots[i]);
	r->nr_slots = 0;
	r->has_buffer = false;
	return 0;
}

int io_uring_register_buffers_sparse(struct io_uring *ring, unsigned int nr)
{
	struct rings *r = rings_of(ring);

	assert_false(r->has_buffer || r->nr_slots);
	assert_in_range(nr, 1, FAKE_TABLE);
	if (fake.register_errno)
		return -fake.register_errno;
	r->nr_slots = nr;
	return 0;
}

/* Updates of the buffers' table in the extended form. */
long fake_ring_register(int fd, unsigned int op, const void *arg, unsigned int nr)
{
	const struct uring_rsrc_update2 *up = arg;
	const struct uring_regbuf_desc *desc = (const void *)(uintptr_t)up->data;
	struct rings *r = ring_of_fd(fd, false);
	struct slot *slot;
	int ret;

	assert_non_null(r);
	assert_int_equal(op, IORING_REGISTER_BUFFERS_UPDATE);
	assert_int_equal(nr, sizeof(*up));
	assert_int_equal(up->flags, URING_RSRC_UPDATE_EXTENDED);
	assert_int_equal(up->nr, 1);
	assert_in_range(up->offset, 0, r->nr_slots - 1);
	assert_int_equal(desc->flags | desc->size | desc->uaddr | up->tags | up->resv2, 0);
	slot = &r->slots[up->offset];
	if (desc->type == URING_REGBUF_TYPE_EMPTY) {
		/* EINVAL */
		assert_int_equal(desc->dmabuf_fd | desc->target_fd, 0);
		empty_slot(slot);
		return 1;
	}
	assert_int_equal(desc->type, URING_REGBUF_TYPE_DMABUF);
	ret = fake_register(desc->dmabuf_fd, desc->target_fd);
	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	empty_slot(slot);
	*slot = (struct slot){ ret, desc->target_fd };
	return 1;
}

int io_uring_ring_dontfork(struct io_uring *ring)
{
	(void)ring;
	return 0;
}

int io_uring_register_files_sparse(struct io_uring *ring, unsigned int nr)
{
	unsigned int i;

	assert_in_range(nr, 1, FAKE_TABLE);
	if (fake.table_errno)
		return -fake.table_errno;
	rings_of(ring)->has_table = true;
	for (i = 0; i < nr; i++)
		table[i] = -1;
	return 0;
}

int io_uring_register_files_update(struct io_uring *ring, unsigned int index,
				   const int *fds, unsigned int nr)
{
	struct rings *r = rings_of(ring);

	assert_true(r->has_table);
	assert_int_equal(nr, 1);
	assert_in_range(index, 0, FAKE_TABLE - 1);
	if (!fake_is_binding(fds[0]) && fds[0] >= 0) {
		assert_int_equal(index, 0);
		r->end = dup(fds[0]);
		return nr;
	}
	assert_true((table[index] < 0) != (fds[0] < 0));
	table[index] = fds[0];
	return nr;
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
	rings_of(ring)->wake = fd;
	return 0;
}

int io_uring_unregister_files(struct io_uring *ring)
{
	struct rings *r = rings_of(ring);

	assert_true(r->has_table);
	r->has_table = false;
	close(r->end);
	r->end = -1;
	return 0;
}

/* A command for the module. */
static int command(const struct io_uring_sqe *sqe)
{
	struct dmabuf_rw_piece one;
	const struct dmabuf_rw_piece *pieces = &one;
	bool write = sqe->cmd_op == DMABUF_RW_URING_WRITE ||
		     sqe->cmd_op == DMABUF_RW_URING_WRITEV;
	unsigned int nr = 1;
	int fd = sqe->fd, err;
	uint64_t flags, done;

	assert_int_equal(sqe->off >> 32, 0);
	assert_int_equal(sqe->flags & ~IOSQE_FIXED_FILE, 0);
	if (sqe->flags & IOSQE_FIXED_FILE) {
		assert_in_range(sqe->fd, 0, FAKE_TABLE - 1);
		fd = table[sqe->fd];
		fake.by_table++;
	}
	assert_true(fake_is_binding(fd));
	assert_int_equal(sqe->ioprio | sqe->buf_index | sqe->uring_cmd_flags, 0);
	memcpy(&flags, (const char *)sqe + 56, sizeof(flags));
	if (sqe->cmd_op >= DMABUF_RW_URING_READ_MANY) {
		assert_int_equal(sqe->addr, 0);
		return fake_batch(fd, sqe->cmd_op == DMABUF_RW_URING_WRITE_MANY,
				  (void *)(uintptr_t)sqe->addr3, sqe->len, flags);
	}
	if (sqe->cmd_op >= DMABUF_RW_URING_READV) {
		pieces = (const void *)(uintptr_t)sqe->addr3;
		nr = sqe->len;
	} else {
		one.buf_off = sqe->addr3;
		one.len = sqe->len;
	}
	done = fake_move(fd, write, sqe->addr, pieces, nr, flags, &err);
	return done ? (int)done : -err;
}

/* A read or write of the file itself. */
static int read_or_write(const struct rings *r, const struct io_uring_sqe *sqe)
{
	bool fixed = sqe->opcode == IORING_OP_READ_FIXED ||
		     sqe->opcode == IORING_OP_WRITE_FIXED;
	bool write = sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITE_FIXED;
	char *mem = (char *)(uintptr_t)sqe->addr, *pool = r->buffer.iov_base;

	if (fixed && r->nr_slots) {
		const struct slot *slot = &r->slots[sqe->buf_index];

		assert_in_range(sqe->buf_index, 0, r->nr_slots - 1);
		assert_true(slot->registered);
		assert_int_equal(sqe->rw_flags, 0);
		return sqe->fd == slot->file_fd ?
		       fake_kernel_rw(slot->registered, write, sqe->len, sqe->off, sqe->addr) :
		       -EBADF;
	}
	if (fixed) {
		assert_true(r->has_buffer);
		assert_int_equal(sqe->buf_index, 0);
		assert_true(mem >= pool && mem + sqe->len <= pool + r->buffer.iov_len);
		fake.fixed_ios++;
	}
	return fake_rw(write, sqe->fd, mem, sqe->len, sqe->off, sqe->rw_flags);
}

static void complete(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	unsigned int tail = *ring->cq.ktail;
	struct io_uring_cqe *cqe = &ring->cq.cqes[tail & ring->cq.ring_mask];

	assert_in_range(tail - *ring->cq.khead, 0, ring->cq.ring_entries - 1);
	switch (sqe->opcode) {
	case IORING_OP_URING_CMD:
		cqe->res = command(sqe);
		break;
	case IORING_OP_NOP:
	case IORING_OP_ASYNC_CANCEL:
		cqe->res = 0;
		break;
	default:
		cqe->res = read_or_write(rings_of(ring), sqe);
	}
	cqe->user_data = sqe->user_data;
	cqe->flags = 0;
	*ring->cq.ktail = tail + 1;
}

static int submit(struct io_uring *ring)
{
	struct rings *r = rings_of(ring);
	unsigned int n = 0, tail = ring->sq.sqe_tail;

	if (fake.enter_errno)
		return -fake.enter_errno;
	fake_lock();
	fake.enters++;
	ring->sq.sqe_head = tail;
	*ring->sq.ktail = tail;
	if (fake.submit_refuse) {
		fake.submit_refuse--;
		fake_unlock();
		return -EAGAIN;
	}
	while (*ring->sq.khead != tail && (!fake.submit_max || n < fake.submit_max)) {
		assert_in_range(r->in_flight, 0, FAKE_RING_MAX - 1);
		r->submitted[r->in_flight++] =
			ring->sq.sqes[*ring->sq.khead & ring->sq.ring_mask];
		fake.in_flight++;
		++*ring->sq.khead;
		n++;
		r->sq_flags = IORING_SQ_TASKRUN;
	}
	fake_unlock();
	return n;
}

/* Takes an entry out of the array. */
static void take(struct rings *r, struct io_uring_sqe *sqe)
{
	unsigned int at = fake.last_first ? r->in_flight - 1 : 0;

	*sqe = r->submitted[at];
	memmove(r->submitted + at, r->submitted + at + 1,
		(r->in_flight - at - 1) * sizeof(r->submitted[0]));
	r->in_flight--;
	fake.in_flight--;
	r->sq_flags = r->in_flight ? IORING_SQ_TASKRUN : 0;
}

enum { WAIT, WAIT_TIMEOUT, LOOK };

/* Completes until the ring has @nr completions. */
static int wait_for(struct io_uring *ring, unsigned int nr, int how)
{
	unsigned int left = fake.per_wait && how != WAIT ? fake.per_wait : nr;
	struct rings *r = rings_of(ring);
	struct io_uring_sqe sqe;

	if (fake.wait_errno)
		return -fake.wait_errno;
	fake_lock();
	if (fake.wait_interrupts) {
		fake.wait_interrupts--;
		fake_unlock();
		return -EINTR;
	}
	if (how != WAIT && fake.never_complete) {
		fake_unlock();
		return how == LOOK ? 0 : -ETIME;
	}
	/* The kernel would sleep for ever, and so would the test. */
	assert_true(nr <= *ring->cq.ktail - *ring->cq.khead + r->in_flight);
	while (left && r->in_flight && *ring->cq.ktail - *ring->cq.khead < nr) {
		take(r, &sqe);
		complete(ring, &sqe);
		left--;
	}
	fake_unlock();
	return 0;
}

static bool is_ready(struct pollfd *pfd)
{
	struct rings *r = ring_of_fd(pfd->fd, false);

	pfd->revents = 0;
	if (pfd->fd < 0)
		return false;
	if (!r)
		return poll(pfd, 1, 0) == 1;
	fake_lock();
	if (r->in_flight || r->cq_head != r->cq_tail)
		pfd->revents = POLLIN;
	fake_unlock();
	/* Or it was raised by hand. */
	return pfd->revents || poll(pfd, 1, 0) == 1;
}

/* Of rings and of real descriptors. What a ring has in flight can complete at any time. */
int __wrap_ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *ts, const sigset_t *mask)
{
	const struct timespec nap = { .tv_nsec = 200000 };
	unsigned int naps, most = ts ? 100 : 50000;
	nfds_t i;
	int n;

	(void)mask;
	for (naps = 0; naps < most; naps++) {
		for (i = n = 0; i < nr; i++)
			n += is_ready(&fds[i]);
		if (n)
			return n;
		nanosleep(&nap, NULL);
	}
	if (!ts)
		fail_msg("the library waits for what nobody does");
	return 0;
}

static void count_enter(void)
{
	fake_lock();
	fake.enters++;
	fake_unlock();
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
	ret = wait_for(ring, nr, WAIT);
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
	return n < 0 ? n : wait_for(ring, nr, WAIT_TIMEOUT);
}

int io_uring_get_events(struct io_uring *ring)
{
	count_enter();
	return wait_for(ring, rings_of(ring)->in_flight ? 1 : 0, LOOK);
}

int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe,
		       unsigned int to_submit, unsigned int nr, sigset_t *mask)
{
	int ret;

	(void)mask;
	assert_int_equal(to_submit, 0);
	count_enter();
	ret = wait_for(ring, nr, WAIT);
	if (ret < 0)
		return ret;
	*cqe = &ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
	return 0;
}
