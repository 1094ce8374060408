// SPDX-License-Identifier: MIT
/*
 * queue.c - many transfers in flight over an io_uring of our own.
 *
 * Vocabulary
 *   slot		one transfer from queueing to reaping; its index is the user_data
 *		that io_uring sees
 *   pending	slots in use: queued, submitted, or finished but not reaped
 *   queued	entries that the kernel has not taken yet: io_uring_sq_ready()
 *   attached	a binding whose descriptor is in the ring's table of registered files
 *
 * Invariants
 *   - A slot has at most one entry in the ring, and pending <= depth <= entries of the
 *     submission ring, half of those of the completion ring; neither overflows.
 *   - A transfer that came back short, or was too long for one entry, is queued again
 *     for the rest from its slot. Only when the rest gives nothing or an error does it
 *     become a completion; so completions have the meaning of the synchronous calls.
 *
 * Thread-safety: none inside; one thread at a time per queue. Bindings are only read.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <liburing.h>

#include "private.h"

#define DEFAULT_DEPTH	128
#define QUEUE_FLAGS	(DMABUF_RW_QUEUE_IOPOLL | DMABUF_RW_QUEUE_SQPOLL | \
			 DMABUF_RW_QUEUE_SINGLE_THREAD)
#define NO_SLOT		UINT32_MAX

struct slot {
	uint64_t user_data;
	uint64_t file_off;
	uint64_t buf_off;	/* not with pieces */
	uint64_t left;		/* bytes still to move */
	uint64_t done;		/* bytes moved, without a gap */
	uint64_t flags;
	const struct dmabuf_rw_piece *pieces;	/* the caller's, or @rest; or null */
	struct dmabuf_rw_piece *rest;	/* ours: what remains of them after a short run */
	const struct dmabuf_rw_binding *binding;
	int fd;			/* or, if @attached, its index in the ring's table */
	bool attached;
	uint32_t op;		/* enum dmabuf_rw_uring_op */
	uint32_t nr_pieces;
	uint32_t next_free;	/* valid while free */
};

struct dmabuf_rw_queue {
	struct io_uring ring;
	uint64_t flags;
	uint32_t depth;
	uint32_t pending;
	uint32_t free_head;
	/* By their index in the ring's table; null: free. All before nr_attached. */
	const struct dmabuf_rw_binding *attached[DMABUF_RW_QUEUE_MAX_ATTACHED];
	uint32_t nr_attached;
	bool has_table;
	pthread_t owner;	/* with SINGLE_THREAD */
	struct slot slots[];
};

DMABUF_RW_API int dmabuf_rw_queue_create(const struct dmabuf_rw_queue_opts *opts,
					 struct dmabuf_rw_queue **queue)
{
	struct io_uring_params params = { 0 };
	struct dmabuf_rw_queue_opts o;
	struct dmabuf_rw_queue *q;
	uint32_t depth, i;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts, sizeof(o));
	if (ret)
		return ret;
	depth = o.depth ? o.depth : DEFAULT_DEPTH;
	if (!queue || o.flags & ~QUEUE_FLAGS || depth > DMABUF_RW_QUEUE_MAX_DEPTH ||
	    (o.flags & DMABUF_RW_QUEUE_SQPOLL &&
	     o.flags & DMABUF_RW_QUEUE_SINGLE_THREAD) ||
	    (o.sq_idle_ms && !(o.flags & DMABUF_RW_QUEUE_SQPOLL)))
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUEUE, EINVAL, 0, 0);

	q = calloc(1, sizeof(*q) + depth * sizeof(q->slots[0]));
	if (!q)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUEUE, ENOMEM, 0, 0);
	q->flags = o.flags;
	q->owner = pthread_self();
	q->depth = depth;
	for (i = 0; i < depth; i++)
		q->slots[i].next_free = i + 1 < depth ? i + 1 : NO_SLOT;

	if (o.flags & DMABUF_RW_QUEUE_IOPOLL)
		params.flags |= IORING_SETUP_IOPOLL;
	if (o.flags & DMABUF_RW_QUEUE_SQPOLL) {
		params.flags |= IORING_SETUP_SQPOLL;
		params.sq_thread_idle = o.sq_idle_ms;
	} else {
		/* Completions wait for our next call instead of interrupting us. */
		params.flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	}
	if (o.flags & DMABUF_RW_QUEUE_SINGLE_THREAD)
		params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	ret = io_uring_queue_init_params(depth, &q->ring, &params);
	if (ret < 0) {
		free(q);
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUEUE, -ret, 0, 0);
	}
	/* Registration belongs to a thread, so only where the thread is known. */
	if (o.flags & DMABUF_RW_QUEUE_SINGLE_THREAD)
		io_uring_register_ring_fd(&q->ring);
	*queue = q;
	return 0;
}

static void free_slot(struct dmabuf_rw_queue *q, struct slot *slot)
{
	free(slot->rest);
	slot->rest = NULL;
	slot->next_free = q->free_head;
	q->free_head = slot - q->slots;
	q->pending--;
}

/* Queues the entry for what is left of a slot. */
static int queue_slot(struct dmabuf_rw_queue *q, struct slot *slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);
	uint32_t len = slot->left < DMABUF_RW_MAX_BYTES ? slot->left :
							   DMABUF_RW_MAX_BYTES;

	/*
	 * The kernel's submitting thread moves the ring's head only after a batch, by
	 * which time the first of the batch may already have come back.
	 */
	if (!sqe && q->flags & DMABUF_RW_QUEUE_SQPOLL) {
		io_uring_submit(&q->ring);
		io_uring_sqring_wait(&q->ring);
		sqe = io_uring_get_sqe(&q->ring);
	}
	if (!sqe)
		return -EAGAIN;

	if (slot->pieces)
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->op, slot->file_off + slot->done,
				   (uintptr_t)slot->pieces, slot->nr_pieces,
				   slot->flags);
	else
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->op, slot->file_off + slot->done,
				   slot->buf_off + slot->done, len, slot->flags);
	if (slot->attached)
		dmabuf_rw_sqe_set_fixed_file(sqe, slot->fd);
	sqe->user_data = slot - q->slots;
	return 0;
}

/* The index that @binding has in the ring's table, or -1. */
static int find_attached(const struct dmabuf_rw_queue *q,
			 const struct dmabuf_rw_binding *binding)
{
	uint32_t i;

	for (i = 0; i < q->nr_attached; i++)
		if (q->attached[i] == binding)
			return i;
	return -1;
}

static int queue_transfer(struct dmabuf_rw_queue *q,
			  const struct dmabuf_rw_binding *binding,
			  const struct slot *transfer)
{
	int ret, index = find_attached(q, binding);
	struct slot *slot;

	if (q->free_head == NO_SLOT)
		return -EAGAIN;
	slot = &q->slots[q->free_head];
	q->free_head = slot->next_free;
	*slot = *transfer;
	slot->binding = binding;
	slot->attached = index >= 0;
	slot->fd = slot->attached ? index : binding->fd;
	q->pending++;

	ret = queue_slot(q, slot);
	if (ret)
		free_slot(q, slot);
	return ret;
}

static int queue_range(struct dmabuf_rw_queue *q,
		       const struct dmabuf_rw_binding *binding, uint32_t op,
		       uint64_t file_off, uint64_t buf_off, uint64_t len,
		       uint64_t flags, uint64_t user_data)
{
	struct slot slot = {
		.user_data = user_data,
		.file_off = file_off,
		.buf_off = buf_off,
		.left = len,
		.flags = flags,
		.op = op,
	};
	uint64_t end;

	/* The kernel sees only the first part; refuse the whole as it would have. */
	if (len > DMABUF_RW_MAX_BYTES) {
		if (__builtin_add_overflow(file_off, len, &end) || end > INT64_MAX ||
		    __builtin_add_overflow(buf_off, len, &end) || end > INT64_MAX)
			return -EOVERFLOW;
		if (end > binding->buf_bytes)
			return -ERANGE;
	}
	return queue_transfer(q, binding, &slot);
}

static int queue_pieces(struct dmabuf_rw_queue *q,
			const struct dmabuf_rw_binding *binding, uint32_t op,
			uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			unsigned int nr, uint64_t flags, uint64_t user_data)
{
	struct slot slot = {
		.user_data = user_data,
		.file_off = file_off,
		.flags = flags,
		.pieces = pieces,
		.op = op,
		.nr_pieces = nr,
	};

	if (nr > DMABUF_RW_MAX_PIECES)
		return -EMSGSIZE;
	if (!pieces)
		return -EFAULT;
	slot.left = dmabuf_rw_sum_pieces(pieces, nr);
	return queue_transfer(q, binding, &slot);
}

DMABUF_RW_API int dmabuf_rw_queue_read(struct dmabuf_rw_queue *queue,
				       const struct dmabuf_rw_binding *binding,
				       uint64_t file_off, uint64_t buf_off,
				       uint64_t len, uint64_t flags,
				       uint64_t user_data)
{
	return queue_range(queue, binding, DMABUF_RW_URING_READ, file_off, buf_off, len,
			   flags, user_data);
}

DMABUF_RW_API int dmabuf_rw_queue_write(struct dmabuf_rw_queue *queue,
					const struct dmabuf_rw_binding *binding,
					uint64_t file_off, uint64_t buf_off,
					uint64_t len, uint64_t flags,
					uint64_t user_data)
{
	return queue_range(queue, binding, DMABUF_RW_URING_WRITE, file_off, buf_off,
			   len, flags, user_data);
}

DMABUF_RW_API int dmabuf_rw_queue_readv(struct dmabuf_rw_queue *queue,
					const struct dmabuf_rw_binding *binding,
					uint64_t file_off,
					const struct dmabuf_rw_piece *pieces,
					unsigned int nr, uint64_t flags,
					uint64_t user_data)
{
	return queue_pieces(queue, binding, DMABUF_RW_URING_READV, file_off, pieces, nr,
			    flags, user_data);
}

DMABUF_RW_API int dmabuf_rw_queue_writev(struct dmabuf_rw_queue *queue,
					 const struct dmabuf_rw_binding *binding,
					 uint64_t file_off,
					 const struct dmabuf_rw_piece *pieces,
					 unsigned int nr, uint64_t flags,
					 uint64_t user_data)
{
	return queue_pieces(queue, binding, DMABUF_RW_URING_WRITEV, file_off, pieces,
			    nr, flags, user_data);
}

/*
 * Takes an entry's result into its slot. Returns 0 if the rest was queued again, else
 * 1 with the errno that ended the transfer in @err.
 */
static int slot_result(struct dmabuf_rw_queue *q, struct slot *slot, int32_t res,
		       int *err)
{
	int ret;

	*err = 0;
	if (res <= 0) {
		*err = -res;
		return 1;
	}
	if ((uint32_t)res > slot->left) {
		*err = EPROTO;
		return 1;
	}
	slot->done += res;
	slot->left -= res;
	if (!slot->left)
		return 1;

	if (slot->pieces) {
		if (!slot->rest) {
			slot->rest = calloc(slot->nr_pieces, sizeof(*slot->rest));
			if (!slot->rest) {
				*err = ENOMEM;
				return 1;
			}
		}
		slot->nr_pieces = dmabuf_rw_trim_pieces(slot->rest, slot->pieces,
							slot->nr_pieces, res);
		slot->pieces = slot->rest;
	}
	ret = queue_slot(q, slot);
	if (ret) {
		*err = -ret;
		return 1;
	}
	return 0;
}

/* Turns what is in the completion ring into at most @max completions. */
static unsigned int collect(struct dmabuf_rw_queue *q,
			    struct dmabuf_rw_completion *completions, unsigned int max)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0, seen = 0, head;

	if (!max)
		return 0;
	io_uring_for_each_cqe(&q->ring, head, cqe) {
		struct slot *slot;
		int err;

		seen++;
		/* liburing's own, where the kernel cannot wait with a timeout. */
		if (cqe->user_data >= q->depth)
			continue;
		slot = &q->slots[cqe->user_data];
		if (!slot_result(q, slot, cqe->res, &err))
			continue;

		completions[n++] = (struct dmabuf_rw_completion){
			.user_data = slot->user_data,
			.bytes = slot->done ? (int64_t)slot->done : -err,
			.error = err,
			.path = slot->done ? DMABUF_RW_PATH_DIRECT :
					     DMABUF_RW_PATH_NONE,
			.direct_bytes = slot->done,
		};
		dmabuf_rw_count(slot->binding, slot->done, 0);
		free_slot(q, slot);
		if (n == max)
			break;
	}
	io_uring_cq_advance(&q->ring, seen);
	return n;
}

/* -EAGAIN from the kernel is want of memory; here it would say "queue full". */
static int kernel_errno(int ret)
{
	return ret == -EAGAIN ? -ENOMEM : ret;
}

/*
 * The kernel refuses other threads as well, but with different errnos, depending on what
 * is registered.
 */
static bool is_foreign(const struct dmabuf_rw_queue *q)
{
	return q->flags & DMABUF_RW_QUEUE_SINGLE_THREAD &&
	       !pthread_equal(q->owner, pthread_self());
}

DMABUF_RW_API int dmabuf_rw_queue_submit(struct dmabuf_rw_queue *queue)
{
	int ret;

	if (is_foreign(queue))
		return -EEXIST;
	do {
		if (!io_uring_sq_ready(&queue->ring))
			return 0;
		ret = io_uring_submit(&queue->ring);
	} while (ret == -EINTR);
	return ret < 0 ? kernel_errno(ret) : 0;
}

/* Enters the kernel so that finished transfers show up, without waiting. */
static int poke(struct dmabuf_rw_queue *q)
{
	int ret = 0;

	if (io_uring_sq_ready(&q->ring))
		ret = io_uring_submit(&q->ring);
	if (ret >= 0 && (q->flags & DMABUF_RW_QUEUE_IOPOLL ||
			 IO_URING_READ_ONCE(*q->ring.sq.kflags) &
			 IORING_SQ_TASKRUN))
		ret = io_uring_get_events(&q->ring);
	return ret;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int wait_for(struct dmabuf_rw_queue *q, unsigned int nr, int64_t deadline)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int64_t left;

	if (deadline < 0)
		return io_uring_submit_and_wait(&q->ring, nr);
	left = deadline - now_ns();
	if (left <= 0)
		return -ETIME;
	ts.tv_sec = left / 1000000000;
	ts.tv_nsec = left % 1000000000;
	return io_uring_submit_and_wait_timeout(&q->ring, &cqe, nr, &ts, NULL);
}

DMABUF_RW_API int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue,
				       struct dmabuf_rw_completion *completions,
				       unsigned int max, unsigned int min,
				       const struct timespec *timeout)
{
	int64_t deadline = -1;
	unsigned int n;
	int ret;

	if (is_foreign(queue))
		return -EEXIST;
	if (min > max)
		min = max;
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
		    timeout->tv_nsec > 999999999)
			return -EINVAL;
		deadline = now_ns();
		if (timeout->tv_sec > INT32_MAX)
			deadline = -1;
		else
			deadline += timeout->tv_sec * INT64_C(1000000000) +
				    timeout->tv_nsec;
	}

	n = collect(queue, completions, max);
	if (n >= min) {
		ret = poke(queue);
		if (!n && ret >= 0)
			n = collect(queue, completions, max);
		return n || ret >= 0 ? (int)n : kernel_errno(ret);
	}

	for (;;) {
		unsigned int want = min - n;

		if (want > queue->pending)
			want = queue->pending;
		if (!want) {
			/* All is reaped; nothing can be queued either. */
			return n;
		}
		ret = wait_for(queue, want, deadline);
		n += collect(queue, completions + n, max - n);
		if (n >= min)
			break;
		if (ret == -ETIME && now_ns() < deadline)
			continue;
		if (ret == -ETIME)
			return n;
		if (ret < 0)
			return n ? (int)n : kernel_errno(ret);
	}
	/* A short transfer may have been queued again while collecting. */
	if (io_uring_sq_ready(&queue->ring))
		io_uring_submit(&queue->ring);
	return n;
}

DMABUF_RW_API int dmabuf_rw_queue_attach(struct dmabuf_rw_queue *queue,
					 const struct dmabuf_rw_binding *binding)
{
	int index, ret;

	if (find_attached(queue, binding) >= 0)
		return -EEXIST;
	index = find_attached(queue, NULL);
	if (index < 0)
		index = queue->nr_attached;
	if (index == DMABUF_RW_QUEUE_MAX_ATTACHED)
		return -ENOSPC;

	if (!queue->has_table) {
		ret = io_uring_register_files_sparse(&queue->ring,
						     DMABUF_RW_QUEUE_MAX_ATTACHED);
		if (ret < 0)
			return ret;
		queue->has_table = true;
	}
	ret = io_uring_register_files_update(&queue->ring, index, &binding->fd, 1);
	if (ret < 0)
		return ret;
	queue->attached[index] = binding;
	if ((uint32_t)index == queue->nr_attached)
		queue->nr_attached++;
	return 0;
}

DMABUF_RW_API void dmabuf_rw_queue_detach(struct dmabuf_rw_queue *queue,
					  const struct dmabuf_rw_binding *binding)
{
	int index = find_attached(queue, binding), none = -1;

	if (index < 0)
		return;
	io_uring_register_files_update(&queue->ring, index, &none, 1);
	queue->attached[index] = NULL;
	while (queue->nr_attached && !queue->attached[queue->nr_attached - 1])
		queue->nr_attached--;
}

DMABUF_RW_API unsigned int dmabuf_rw_queue_pending(const struct dmabuf_rw_queue *queue)
{
	return queue->pending;
}

DMABUF_RW_API unsigned int dmabuf_rw_queue_depth(const struct dmabuf_rw_queue *queue)
{
	return queue->depth;
}

/* Entries that the kernel does not have and will not get. */
static unsigned int unsubmitted(const struct dmabuf_rw_queue *q)
{
	/* The kernel's thread takes whatever has been flushed to the ring. */
	if (q->flags & DMABUF_RW_QUEUE_SQPOLL)
		return q->ring.sq.sqe_tail - q->ring.sq.sqe_head;
	return io_uring_sq_ready(&q->ring);
}

DMABUF_RW_API void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue)
{
	struct io_uring_cqe *cqe;
	uint32_t i;
	int ret;

	if (!queue)
		return;

	/*
	 * Closing a ring leaves its requests to a worker of the kernel; wait here, so
	 * that the caller may reuse the buffers.
	 */
	while (queue->pending > unsubmitted(queue)) {
		ret = io_uring_wait_cqe(&queue->ring, &cqe);
		if (ret == -EINTR || ret == -EAGAIN)
			continue;
		if (ret < 0)
			break;
		if (cqe->user_data < queue->depth)
			free_slot(queue, &queue->slots[cqe->user_data]);
		io_uring_cqe_seen(&queue->ring, cqe);
	}
	/* For the same reason: a ring lets go of its files long after it was closed. */
	if (queue->has_table)
		io_uring_unregister_files(&queue->ring);
	io_uring_queue_exit(&queue->ring);
	for (i = 0; i < queue->depth; i++)
		free(queue->slots[i].rest);
	free(queue);
}
