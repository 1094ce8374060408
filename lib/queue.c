// SPDX-License-Identifier: MIT
/*
 * queue.c - many transfers in flight over an io_uring of our own.
 *
 * Vocabulary
 *   slot		one transfer from queueing to reaping; its index is the user_data
 *		that io_uring sees
 *   pending	slots in use: queued, submitted, or finished but not reaped
 *   queued	entries that the kernel has not taken yet: io_uring_sq_ready()
 *   held	bounce-only transfers that were queued but not submitted
 *   worker	a thread that runs transfers which have to bounce: workers.c
 *   attached	a binding whose descriptor is in the ring's table of registered files
 *
 * Invariants
 *   - A slot is in one place: free, in the ring (with one entry), held, or with the
 *     workers. Pending <= depth <= entries of the submission ring, half of those of the
 *     completion ring; neither overflows. The one more entry that waits for workers is
 *     there only while they have a slot.
 *   - A transfer that came back short, or was too long for one entry, is queued again
 *     for the rest from its slot. Only when the rest gives nothing or an error does it
 *     become a completion; so completions have the meaning of the synchronous calls.
 *   - A transfer that the module refuses and that may bounce goes to the workers for its
 *     rest, and so does all of one on a bounce-only binding, when it is submitted.
 *
 * Thread-safety: one thread at a time per queue. Bindings are only read. The workers
 * touch a slot only while it is with them, and never the ring.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <liburing.h>

#include "private.h"
#include "workers.h"

#define DEFAULT_DEPTH	128
#define QUEUE_FLAGS	(DMABUF_RW_QUEUE_IOPOLL | DMABUF_RW_QUEUE_SQPOLL | \
			 DMABUF_RW_QUEUE_SINGLE_THREAD)
#define NO_SLOT		UINT32_MAX
/* user_data of the entry that waits for workers; no slot has it. */
#define WORKERS_DATA	(UINT64_MAX - 1)

struct slot {
	struct dmabuf_rw_job job;	/* the whole transfer, and how far it is */
	struct dmabuf_rw_piece range;	/* its one piece, if it is plain */
	uint64_t user_data;
	uint64_t left;		/* bytes still to move */
	const struct dmabuf_rw_piece *pieces;	/* of these: the caller's or @rest; or null */
	struct dmabuf_rw_piece *rest;	/* ours: what remains of them after a short run */
	uint32_t nr_pieces;
	int fd;			/* or, if @attached, its index in the ring's table */
	bool attached;
	uint32_t uring_op;	/* enum dmabuf_rw_uring_op */
	uint32_t next;		/* free or held: the next one */
};

struct dmabuf_rw_queue {
	struct io_uring ring;
	uint64_t flags;
	uint32_t depth;
	uint32_t pending;
	uint32_t free_head;
	uint32_t held_head, held_tail;
	struct dmabuf_rw_workers *workers;	/* null until the first is needed */
	uint32_t nr_working;	/* slots with them, finished or not */
	bool watching;		/* the entry that waits for them is in the ring */
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
	q->held_head = q->held_tail = NO_SLOT;
	q->flags = o.flags;
	q->owner = pthread_self();
	q->depth = depth;
	for (i = 0; i < depth; i++)
		q->slots[i].next = i + 1 < depth ? i + 1 : NO_SLOT;

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
	slot->next = q->free_head;
	q->free_head = slot - q->slots;
	q->pending--;
}

static struct io_uring_sqe *get_entry(struct dmabuf_rw_queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

	/*
	 * The kernel's submitting thread moves the ring's head only after a batch, by
	 * which time the first of the batch may already have come back.
	 */
	if (!sqe && q->flags & DMABUF_RW_QUEUE_SQPOLL) {
		io_uring_submit(&q->ring);
		io_uring_sqring_wait(&q->ring);
		sqe = io_uring_get_sqe(&q->ring);
	}
	return sqe;
}

/* Queues the entry for what is left of a slot. */
static int queue_slot(struct dmabuf_rw_queue *q, struct slot *slot)
{
	const struct dmabuf_rw_transfer *t = &slot->job.transfer;
	uint64_t done = slot->job.progress.done;
	struct io_uring_sqe *sqe = get_entry(q);
	uint32_t len = MIN(slot->left, DMABUF_RW_MAX_BYTES);

	if (!sqe)
		return -EAGAIN;
	if (slot->pieces)
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->uring_op, t->file_off + done,
				   (uintptr_t)slot->pieces, slot->nr_pieces, t->flags);
	else
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->uring_op, t->file_off + done,
				   slot->range.buf_off + done, len, t->flags);
	if (slot->attached)
		dmabuf_rw_sqe_set_fixed_file(sqe, slot->fd);
	sqe->user_data = slot - q->slots;
	return 0;
}

/* Gives a slot to the workers. Where there can be none, it is done when this returns. */
static int give_to_workers(struct dmabuf_rw_queue *q, struct slot *slot)
{
	int ret;

	if (!q->workers) {
		ret = dmabuf_rw_workers_create(&q->workers);
		if (ret)
			return ret;
	}
	q->nr_working++;
	dmabuf_rw_workers_add(q->workers, &slot->job);
	return 0;
}

static void hold(struct dmabuf_rw_queue *q, struct slot *slot)
{
	uint32_t index = slot - q->slots;

	slot->next = NO_SLOT;
	if (q->held_tail == NO_SLOT)
		q->held_head = index;
	else
		q->slots[q->held_tail].next = index;
	q->held_tail = index;
}

static struct slot *unhold(struct dmabuf_rw_queue *q)
{
	struct slot *slot;

	if (q->held_head == NO_SLOT)
		return NULL;
	slot = &q->slots[q->held_head];
	q->held_head = slot->next;
	if (q->held_head == NO_SLOT)
		q->held_tail = NO_SLOT;
	return slot;
}

/* Submits what bounces from the beginning. */
static int submit_held(struct dmabuf_rw_queue *q)
{
	while (q->held_head != NO_SLOT) {
		int ret = give_to_workers(q, &q->slots[q->held_head]);

		if (ret)
			return ret;
		unhold(q);
	}
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

/* Takes a free slot for the transfer. @plain: @pieces is null. */
static int queue_transfer(struct dmabuf_rw_queue *q,
			  const struct dmabuf_rw_binding *binding,
			  const struct dmabuf_rw_transfer *t, uint32_t uring_op,
			  uint64_t user_data)
{
	int ret, index = find_attached(q, binding);
	struct slot *slot;

	if (q->free_head == NO_SLOT)
		return -EAGAIN;
	slot = &q->slots[q->free_head];
	q->free_head = slot->next;
	*slot = (struct slot){
		.job = { .binding = binding, .transfer = *t },
		.user_data = user_data,
		.left = t->len,
		.nr_pieces = t->nr,
		.uring_op = uring_op,
		.attached = index >= 0,
		.fd = index >= 0 ? index : binding->fd,
	};
	if (t->plain) {
		slot->range = t->pieces[0];
		slot->job.transfer.pieces = &slot->range;
	} else {
		slot->pieces = t->pieces;
	}
	q->pending++;

	if (binding->fd < 0) {
		hold(q, slot);
		return 0;
	}
	ret = queue_slot(q, slot);
	if (ret)
		free_slot(q, slot);
	return ret;
}

static int queue_range(struct dmabuf_rw_queue *q,
		       const struct dmabuf_rw_binding *binding, uint32_t uring_op,
		       uint64_t file_off, uint64_t buf_off, uint64_t len,
		       uint64_t flags, uint64_t user_data)
{
	const struct dmabuf_rw_piece range = { buf_off, len };
	const struct dmabuf_rw_transfer t = {
		.op = uring_op == DMABUF_RW_URING_WRITE ? DMABUF_RW_OP_WRITE :
							  DMABUF_RW_OP_READ,
		.plain = true,
		.nr = 1,
		.file_off = file_off,
		.len = len,
		.flags = flags,
		.pieces = &range,
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
	return queue_transfer(q, binding, &t, uring_op, user_data);
}

static int queue_pieces(struct dmabuf_rw_queue *q,
			const struct dmabuf_rw_binding *binding, uint32_t uring_op,
			uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			unsigned int nr, uint64_t flags, uint64_t user_data)
{
	struct dmabuf_rw_transfer t = {
		.op = uring_op == DMABUF_RW_URING_WRITEV ? DMABUF_RW_OP_WRITE :
							   DMABUF_RW_OP_READ,
		.nr = nr,
		.file_off = file_off,
		.flags = flags,
		.pieces = pieces,
	};

	if (nr > DMABUF_RW_MAX_PIECES)
		return -EMSGSIZE;
	if (nr && !pieces)
		return -EFAULT;
	t.len = dmabuf_rw_sum_pieces(pieces, nr);
	return queue_transfer(q, binding, &t, uring_op, user_data);
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
 * Takes an entry's result into its slot. Returns 0 if the rest was queued again or given
 * to the workers, else 1 with the errno that ended the transfer in @err.
 */
static int slot_result(struct dmabuf_rw_queue *q, struct slot *slot, int32_t res,
		       int *err)
{
	struct dmabuf_rw_progress *p = &slot->job.progress;
	int ret;

	*err = 0;
	if (res <= 0) {
		*err = -res;
		if (!dmabuf_rw_may_bounce(slot->job.binding, slot->job.transfer.op, -res))
			return 1;
		ret = give_to_workers(q, slot);
		if (ret)
			*err = -ret;
		return !!ret;
	}
	if ((uint32_t)res > slot->left) {
		*err = EPROTO;
		return 1;
	}
	p->done += res;
	p->direct += res;
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

/* Makes a completion of a slot and frees it. */
static void complete(struct dmabuf_rw_queue *q, struct slot *slot, int err,
		     struct dmabuf_rw_completion *completion)
{
	const struct dmabuf_rw_progress *p = &slot->job.progress;

	*completion = (struct dmabuf_rw_completion){
		.user_data = slot->user_data,
		.bytes = p->done ? (int64_t)p->done : -err,
		.error = err,
		.path = dmabuf_rw_path_of(p->direct, p->bounced),
		.direct_bytes = p->direct,
		.bounced_bytes = p->bounced,
	};
	dmabuf_rw_count(slot->job.binding, p->direct, p->bounced);
	free_slot(q, slot);
}

static struct slot *slot_of(struct dmabuf_rw_job *job)
{
	return (struct slot *)((char *)job - offsetof(struct slot, job));
}

/* Turns what is in the completion ring, and what workers have done, into completions. */
static unsigned int collect(struct dmabuf_rw_queue *q,
			    struct dmabuf_rw_completion *completions, unsigned int max)
{
	struct dmabuf_rw_job *job;
	struct io_uring_cqe *cqe;
	unsigned int n = 0, seen = 0, head;

	if (!max)
		return 0;
	io_uring_for_each_cqe(&q->ring, head, cqe) {
		struct slot *slot;
		int err;

		seen++;
		if (cqe->user_data == WORKERS_DATA) {
			q->watching = false;
			dmabuf_rw_workers_rearm(q->workers);
			continue;
		}
		/* liburing's own, where the kernel cannot wait with a timeout. */
		if (cqe->user_data >= q->depth)
			continue;
		slot = &q->slots[cqe->user_data];
		if (!slot_result(q, slot, cqe->res, &err))
			continue;
		complete(q, slot, err, &completions[n++]);
		if (n == max)
			break;
	}
	io_uring_cq_advance(&q->ring, seen);

	/* After rearming, so that none is missed. */
	while (n < max && q->nr_working && (job = dmabuf_rw_workers_take(q->workers))) {
		q->nr_working--;
		complete(q, slot_of(job), job->err, &completions[n++]);
	}
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
	ret = submit_held(queue);
	if (ret)
		return ret;
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

/*
 * The same while workers have transfers, for anything to come back. Their descriptor is
 * waited for in the ring; but a ring that polls drives can wait for nothing else, so
 * there we look at both in turn.
 */
static int wait_for_any(struct dmabuf_rw_queue *q, int64_t deadline)
{
	struct pollfd pfd = { .fd = dmabuf_rw_workers_fd(q->workers), .events = POLLIN };
	struct io_uring_sqe *sqe;
	int ret;

	if (!(q->flags & DMABUF_RW_QUEUE_IOPOLL)) {
		sqe = q->watching ? NULL : get_entry(q);
		if (sqe) {
			io_uring_prep_poll_add(sqe, pfd.fd, POLLIN);
			sqe->user_data = WORKERS_DATA;
			q->watching = true;
		}
		if (q->watching)
			return wait_for(q, 1, deadline);
	}
	if (deadline >= 0 && now_ns() >= deadline)
		return -ETIME;
	if (q->pending > q->nr_working) {
		ret = poke(q);
		if (ret < 0)
			return ret;
		sched_yield();
	}
	/* A worker's descriptor stays readable until it is rearmed. */
	ret = poll(&pfd, 1, q->pending > q->nr_working ? 0 : 1);
	if (ret < 0)
		return -errno;
	if (ret)
		dmabuf_rw_workers_rearm(q->workers);
	return 0;
}

static int reap(struct dmabuf_rw_queue *queue, struct dmabuf_rw_completion *completions,
		unsigned int max, unsigned int min, int64_t deadline)
{
	unsigned int n;
	int ret;

	if (min > max)
		min = max;
	ret = submit_held(queue);
	if (ret)
		return ret;
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
		ret = queue->nr_working ? wait_for_any(queue, deadline) :
					  wait_for(queue, want, deadline);
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
	return n;
}

DMABUF_RW_API int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue,
				       struct dmabuf_rw_completion *completions,
				       unsigned int max, unsigned int min,
				       const struct timespec *timeout)
{
	int64_t deadline = -1;
	int ret;

	if (is_foreign(queue))
		return -EEXIST;
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
	ret = reap(queue, completions, max, min, deadline);
	/*
	 * A short transfer may have been queued again while collecting: it has been
	 * submitted, so whatever ended this call must not leave its rest behind.
	 */
	if (io_uring_sq_ready(&queue->ring))
		io_uring_submit(&queue->ring);
	return ret;
}

DMABUF_RW_API int dmabuf_rw_queue_attach(struct dmabuf_rw_queue *queue,
					 const struct dmabuf_rw_binding *binding)
{
	int index, ret;

	if (binding->fd < 0)
		return -EOPNOTSUPP;
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

/* Nobody will ask for the result any more. */
static void drop_slot(struct dmabuf_rw_queue *q, struct slot *slot)
{
	const struct dmabuf_rw_progress *p = &slot->job.progress;

	dmabuf_rw_count(slot->job.binding, p->direct, p->bounced);
	free_slot(q, slot);
}

/* Does what an entry's result leaves to be done here and now. */
static void finish_slot(struct dmabuf_rw_queue *q, struct slot *slot, int32_t res)
{
	struct dmabuf_rw_job *job = &slot->job;
	bool rest;

	if (res > 0) {
		rest = (uint32_t)res < slot->left;
		job->progress.done += MIN((uint32_t)res, slot->left);
		job->progress.direct += MIN((uint32_t)res, slot->left);
	} else {
		rest = dmabuf_rw_may_bounce(job->binding, job->transfer.op, -res);
	}
	if (rest)
		dmabuf_rw_run_through(job->binding, &job->transfer, &job->progress);
	drop_slot(q, slot);
}

DMABUF_RW_API void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue)
{
	struct dmabuf_rw_job *job;
	struct io_uring_cqe *cqe;
	struct slot *slot;
	uint32_t i;
	int ret;

	if (!queue)
		return;

	while ((slot = unhold(queue)))
		free_slot(queue, slot);
	if (queue->workers) {
		/* This also ends the entry that waits for them. */
		dmabuf_rw_workers_finish(queue->workers);
		while ((job = dmabuf_rw_workers_take(queue->workers)))
			drop_slot(queue, slot_of(job));
	}

	/*
	 * Closing a ring leaves its requests to a worker of the kernel; wait here, so
	 * that the caller may reuse the buffers.
	 */
	while (queue->pending + queue->watching > unsubmitted(queue)) {
		ret = io_uring_wait_cqe(&queue->ring, &cqe);
		if (ret == -EINTR || ret == -EAGAIN)
			continue;
		if (ret < 0)
			break;
		if (cqe->user_data < queue->depth)
			finish_slot(queue, &queue->slots[cqe->user_data], cqe->res);
		else if (cqe->user_data == WORKERS_DATA)
			queue->watching = false;
		io_uring_cqe_seen(&queue->ring, cqe);
	}
	/* For the same reason: a ring lets go of its files long after it was closed. */
	if (queue->has_table)
		io_uring_unregister_files(&queue->ring);
	io_uring_queue_exit(&queue->ring);
	dmabuf_rw_workers_destroy(queue->workers);
	for (i = 0; i < queue->depth; i++)
		free(queue->slots[i].rest);
	free(queue);
}
