// SPDX-License-Identifier: MIT
/*
 * queue.c - many transfers in flight over an io_uring of our own.
 *
 * Vocabulary
 *   slot	one transfer from queueing to reaping; its index is its user_data in the ring
 *   pending	slots in use: queued, submitted, or finished but not reaped
 *   held	queued transfers for the workers, which get them at the next submit
 *   worker	a thread that runs whole transfers (workers.c): those that must bounce, and
 *		without io_uring all
 *   attached	a module binding in the ring's table of files, or a kernel binding in that of
 *		buffers (queue_attach.c)
 *
 * Invariants
 *   - A slot is in one place: free, in the ring (with one entry), held, or with the workers.
 *     Pending <= depth <= entries of the submission ring, half of those of the completion
 *     ring; neither overflows.
 *   - A transfer that came back short, or was too long for one entry, is queued again for the
 *     rest from its slot. It completes only when the rest gives nothing or an error, so
 *     completions have the meaning of the synchronous calls.
 *   - The workers get the rest of a transfer that the module refuses and that may bounce, and
 *     each transfer on a bounce-only binding when it is submitted.
 *   - On a kernel binding, plain, aligned transfers without flags have an entry, if the binding
 *     is attached; the first of them attaches it. The workers run all others.
 *   - The ring's memory is not mapped in a child process, so no child can submit to its
 *     parent's ring. A child's calls are refused before they touch it.
 *
 * The end of a ring. Closing it leaves its requests to a worker of the kernel. The ring's table has
 * one end of a pipe, which the kernel closes when the last request has ended; end_fd is the other
 * end. Any thread can wait for that, while only the owner of a SINGLE_THREAD ring can wait for its
 * completions. A child closes the ring's descriptor, or the ring would not end before the child.
 *
 * Waking. Completions that wait for their thread make the ring's own descriptor readable only on
 * some kernels, but signal a registered eventfd on all. So the eventfd is polled. It may be
 * readable without cause, but is never unreadable while something waits: reaping resets it at its
 * end, and signals it again if something is left.
 *
 * Thread-safety: one thread at a time per queue. Bindings are only read. The workers touch a slot
 * only while they own it, and never the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "queue.h"

#define DEFAULT_DEPTH	128

/* ---- the ring ---------------------------------------------------------------------- */

/* Makes a pipe, whose write end only the ring keeps. 0 or -errno. */
static int watch_end(struct dmabuf_rw_queue *q)
{
	int fds[2], ret;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	ret = io_uring_register_files_update(&q->ring, DMABUF_RW_END_INDEX, &fds[1], 1);
	close(fds[1]);
	q->end_fd = dmabuf_rw_above_std(fds[0]);
	if (ret >= 0 && q->end_fd >= 0)
		return 0;
	return ret < 0 ? ret : -errno;
}

/* The table may not exceed the process's limit of descriptors. */
static int make_table(struct dmabuf_rw_queue *q)
{
	struct rlimit limit;
	int ret;

	q->nr_table = DMABUF_RW_TABLE_MAX;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < DMABUF_RW_TABLE_MAX)
		q->nr_table = limit.rlim_cur;
	ret = io_uring_register_files_sparse(&q->ring, q->nr_table);
	return ret < 0 ? ret : watch_end(q);
}

static int open_ring(struct dmabuf_rw_queue *q)
{
	struct io_uring_params params = { 0 };
	int ret;

	/* Completions wait for our next call and do not interrupt the thread. */
	params.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	if (q->flags & DMABUF_RW_QUEUE_SINGLE_THREAD)
		params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	ret = io_uring_queue_init_params(q->depth, &q->ring, &params);
	if (ret < 0)
		return ret;
	/* A sandbox may allow creating a ring, but not entering it. */
	ret = io_uring_get_events(&q->ring);
	if (ret >= 0)
		ret = io_uring_ring_dontfork(&q->ring);
	if (!ret)
		ret = dmabuf_rw_ring_above_std(&q->ring);
	if (!ret)
		ret = make_table(q);
	if (ret < 0) {
		io_uring_queue_exit(&q->ring);
		if (q->end_fd >= 0)
			close(q->end_fd);
		return ret;
	}
	dmabuf_rw_private_fd_add(&q->ring_fd, q->ring.ring_fd);
	return 0;
}

DMABUF_RW_API int dmabuf_rw_queue_create(const struct dmabuf_rw_queue_opts *opts,
					 struct dmabuf_rw_queue **queue)
{
	struct dmabuf_rw_queue_opts o;
	struct dmabuf_rw_queue *q;
	DMABUF_RW_NO_CANCEL;
	uint32_t depth, i;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts, sizeof(o), DMABUF_RW_CALL_QUEUE);
	if (ret)
		return ret;
	depth = o.depth ? o.depth : DEFAULT_DEPTH;
	if (!queue || o.flags & ~DMABUF_RW_QUEUE_SINGLE_THREAD || o.resv ||
	    depth > DMABUF_RW_QUEUE_MAX_DEPTH)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUEUE, EINVAL, 0, 0);

	q = calloc(1, sizeof(*q) + depth * sizeof(q->slots[0]));
	if (!q)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUEUE, ENOMEM, 0, 0);
	q->process = dmabuf_rw_process();
	q->end_fd = q->wake_fd = q->epoll_fd = -1;
	q->held_head = q->held_tail = DMABUF_RW_NO_SLOT;
	q->flags = o.flags;
	q->owner = pthread_self();
	q->nr_attached = DMABUF_RW_END_INDEX + 1;
	q->nr_table = DMABUF_RW_TABLE_MAX;
	q->depth = depth;
	for (i = 0; i < depth; i++)
		q->slots[i].next = i + 1 < depth ? i + 1 : DMABUF_RW_NO_SLOT;

	ret = q->process ? open_ring(q) : -ENOMEM;
	if (dmabuf_rw_ring_is_forbidden(ret)) {
		q->ring_err = -ret;
		ret = 0;
	}
	if (ret < 0) {
		free(q);
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUEUE, -ret, 0, 0);
	}
	*queue = q;
	return 0;
}

DMABUF_RW_API int dmabuf_rw_queue_ring_error(const struct dmabuf_rw_queue *queue)
{
	return queue->ring_err;
}

int dmabuf_rw_queue_check_caller(const struct dmabuf_rw_queue *q)
{
	if (q->process != dmabuf_rw_process())
		return -ECHILD;
	/* The kernel also refuses other threads, but only at the next system call. */
	if (q->flags & DMABUF_RW_QUEUE_SINGLE_THREAD &&
	    !pthread_equal(q->owner, pthread_self()))
		return -EEXIST;
	return 0;
}

/* ---- slots ------------------------------------------------------------------------- */

void dmabuf_rw_queue_free_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot)
{
	free(slot->rest);
	slot->rest = NULL;
	slot->place = DMABUF_RW_FREE;
	slot->next = q->free_head;
	q->free_head = slot - q->slots;
	q->pending--;
}

int dmabuf_rw_queue_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot)
{
	const struct dmabuf_rw_transfer *t = &slot->job.transfer;
	uint64_t done = slot->job.progress.done;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);
	uint32_t len = MIN(slot->left, DMABUF_RW_MAX_BYTES);

	if (!sqe)
		return -EAGAIN;
	if (slot->job.binding->kernel)
		dmabuf_rw_kernel_fill_sqe(sqe, slot->job.binding->kernel, t->op, slot->fd,
					  t->file_off + done, slot->range.buf_off + done, len);
	else if (t->ranges)
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->uring_op, 0, (uintptr_t)t->ranges, t->nr,
				   t->flags | DMABUF_RW_IO_RESULTS);
	else if (slot->pieces)
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->uring_op, t->file_off + done,
				   (uintptr_t)slot->pieces, slot->nr_pieces, t->flags);
	else
		dmabuf_rw_fill_sqe(sqe, slot->fd, slot->uring_op, t->file_off + done,
				   slot->range.buf_off + done, len, t->flags);
	if (slot->attached && !slot->job.binding->kernel)
		dmabuf_rw_sqe_set_fixed_file(sqe, slot->fd);
	sqe->user_data = slot - q->slots;
	slot->place = DMABUF_RW_IN_RING;
	return 0;
}

static int need_workers(struct dmabuf_rw_queue *q)
{
	return q->workers ? 0 : dmabuf_rw_workers_create(&q->workers);
}

int dmabuf_rw_queue_give(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot)
{
	int ret = need_workers(q);

	if (ret)
		return ret;
	slot->place = DMABUF_RW_WORKING;
	q->nr_working++;
	dmabuf_rw_workers_add(q->workers, &slot->job);
	return 0;
}

static void hold(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot)
{
	uint32_t index = slot - q->slots;

	slot->place = DMABUF_RW_HELD;
	slot->next = DMABUF_RW_NO_SLOT;
	if (q->held_tail == DMABUF_RW_NO_SLOT)
		q->held_head = index;
	else
		q->slots[q->held_tail].next = index;
	q->held_tail = index;
}

static struct dmabuf_rw_slot *unhold(struct dmabuf_rw_queue *q)
{
	struct dmabuf_rw_slot *slot;

	if (q->held_head == DMABUF_RW_NO_SLOT)
		return NULL;
	slot = &q->slots[q->held_head];
	q->held_head = slot->next;
	if (q->held_head == DMABUF_RW_NO_SLOT)
		q->held_tail = DMABUF_RW_NO_SLOT;
	return slot;
}

/*
 * Scans the whole list: cancelled slots may be behind others that wait for workers that cannot be
 * started.
 */
struct dmabuf_rw_slot *dmabuf_rw_queue_unhold_cancelled(struct dmabuf_rw_queue *q)
{
	uint32_t *link = &q->held_head, before = DMABUF_RW_NO_SLOT;
	struct dmabuf_rw_slot *slot;

	while (*link != DMABUF_RW_NO_SLOT) {
		slot = &q->slots[*link];
		if (!slot->job.cancelled) {
			before = *link;
			link = &slot->next;
			continue;
		}
		if (q->held_tail == *link)
			q->held_tail = before;
		*link = slot->next;
		return slot;
	}
	return NULL;
}

int dmabuf_rw_queue_submit_held(struct dmabuf_rw_queue *q)
{
	struct dmabuf_rw_slot *slot;
	int ret;

	while (q->held_head != DMABUF_RW_NO_SLOT) {
		ret = need_workers(q);
		if (ret)
			return ret;
		slot = unhold(q);
		dmabuf_rw_queue_give(q, slot);
	}
	return 0;
}

/*
 * True if the transfer can be one entry of the ring. @index: where its binding is attached, or -1;
 * set if the binding is attached now.
 */
static bool goes_by_ring(struct dmabuf_rw_queue *q, const struct dmabuf_rw_binding *binding,
			 const struct dmabuf_rw_transfer *t, int *index)
{
	if (q->ring_err || !binding->kernel)
		return !q->ring_err && binding->fd >= 0;
	if (t->ranges || dmabuf_rw_check(binding, t) || !dmabuf_rw_kernel_takes(binding->kernel, t))
		return false;
	if (*index < 0)
		*index = dmabuf_rw_queue_add(q, binding);
	return *index >= 0;
}

/* Takes a free slot for the transfer. */
static int queue_transfer(struct dmabuf_rw_queue *q,
			  const struct dmabuf_rw_binding *binding,
			  const struct dmabuf_rw_transfer *t, uint32_t uring_op,
			  uint64_t user_data)
{
	int ret = dmabuf_rw_queue_check_caller(q), index = dmabuf_rw_queue_find(q, binding->id);
	struct dmabuf_rw_slot *slot;
	bool by_ring;

	if (ret)
		return ret;
	if (q->free_head == DMABUF_RW_NO_SLOT)
		return -EAGAIN;
	slot = &q->slots[q->free_head];
	q->free_head = slot->next;
	*slot = (struct dmabuf_rw_slot){
		.job = { .binding = binding, .transfer = *t },
		.user_data = user_data,
		.left = t->len,
		.nr_pieces = t->nr,
		.uring_op = uring_op,
	};
	slot->job.transfer.cancelled = &slot->job.cancelled;
	slot->job.transfer.whole = t->flags & DMABUF_RW_IO_WHOLE;
	slot->job.transfer.flags &= ~(uint64_t)DMABUF_RW_IO_WHOLE;
	if (t->plain) {
		slot->range = t->pieces[0];
		slot->job.transfer.pieces = &slot->range;
	} else {
		slot->pieces = t->pieces;
	}
	if (t->ranges)
		dmabuf_rw_many_reset(t);
	q->pending++;

	by_ring = goes_by_ring(q, binding, &slot->job.transfer, &index);
	slot->attached = index >= 0;
	slot->fd = index >= 0 ? index : binding->fd;
	if (!by_ring) {
		hold(q, slot);
		return 0;
	}
	ret = dmabuf_rw_queue_slot(q, slot);
	if (ret)
		dmabuf_rw_queue_free_slot(q, slot);
	return ret;
}

static int queue_range(struct dmabuf_rw_queue *q,
		       const struct dmabuf_rw_binding *binding, uint32_t uring_op,
		       uint64_t file_off, uint64_t buf_off, uint64_t len,
		       uint64_t flags, uint64_t user_data)
{
	const struct dmabuf_rw_piece range = { buf_off, len };
	const struct dmabuf_rw_transfer t = dmabuf_rw_plain_transfer(
		uring_op == DMABUF_RW_URING_WRITE ? DMABUF_RW_OP_WRITE : DMABUF_RW_OP_READ,
		file_off, &range, flags);
	uint64_t end;

	/* The kernel sees only the first part; refuse the whole transfer as it would. */
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

static int queue_many(struct dmabuf_rw_queue *q, const struct dmabuf_rw_binding *binding,
		      uint32_t uring_op, struct dmabuf_rw_range *ranges, unsigned int nr,
		      uint64_t flags, uint64_t user_data)
{
	struct dmabuf_rw_transfer t = {
		.op = uring_op == DMABUF_RW_URING_WRITE_MANY ? DMABUF_RW_OP_WRITE :
							       DMABUF_RW_OP_READ,
		.nr = nr,
		.flags = flags & ~(uint64_t)DMABUF_RW_IO_RESULTS,
		.ranges = ranges,
	};

	if (nr > DMABUF_RW_MAX_BATCH)
		return -EMSGSIZE;
	if (!nr)
		return -EINVAL;
	if (!ranges)
		return -EFAULT;
	t.len = dmabuf_rw_sum_ranges(ranges, nr);
	if (t.len > DMABUF_RW_MAX_BYTES)
		return -EOVERFLOW;
	return queue_transfer(q, binding, &t, uring_op, user_data);
}

DMABUF_RW_API int dmabuf_rw_queue_read_many(struct dmabuf_rw_queue *queue,
					    const struct dmabuf_rw_binding *binding,
					    struct dmabuf_rw_range *ranges, unsigned int nr,
					    uint64_t flags, uint64_t user_data)
{
	return queue_many(queue, binding, DMABUF_RW_URING_READ_MANY, ranges, nr, flags,
			  user_data);
}

DMABUF_RW_API int dmabuf_rw_queue_write_many(struct dmabuf_rw_queue *queue,
					     const struct dmabuf_rw_binding *binding,
					     struct dmabuf_rw_range *ranges, unsigned int nr,
					     uint64_t flags, uint64_t user_data)
{
	return queue_many(queue, binding, DMABUF_RW_URING_WRITE_MANY, ranges, nr, flags,
			  user_data);
}

int dmabuf_rw_queue_submit_ring(struct dmabuf_rw_queue *q)
{
	int ret;

	/* The kernel may take only some of them. */
	while (!q->ring_err && io_uring_sq_ready(&q->ring)) {
		ret = io_uring_submit(&q->ring);
		if (ret < 0 && ret != -EINTR)
			return ret;
		if (!ret)
			return -ENOMEM;
	}
	return 0;
}

DMABUF_RW_API int dmabuf_rw_queue_submit(struct dmabuf_rw_queue *queue)
{
	int ret = dmabuf_rw_queue_check_caller(queue), held;
	DMABUF_RW_NO_CANCEL;

	if (ret)
		return ret;
	/* A lack of threads must not keep entries from the drive. */
	held = dmabuf_rw_queue_submit_held(queue);
	ret = dmabuf_rw_queue_submit_ring(queue);
	return ret ? dmabuf_rw_kernel_errno(ret) : held;
}

/* ---- cancelling -------------------------------------------------------------------- */

/* Turns entries of cancelled slots that the kernel has not taken into NOPs. */
static void take_back_entries(struct dmabuf_rw_queue *q)
{
	struct io_uring_sq *sq = &q->ring.sq;
	unsigned int i, nr = io_uring_sq_ready(&q->ring);

	for (i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[(sq->sqe_tail - nr + i) & sq->ring_mask];
		uint64_t index = sqe->user_data;

		if (!dmabuf_rw_is_slot(q, index) || !q->slots[index].job.cancelled)
			continue;
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_NOP;
		sqe->user_data = index;
		q->slots[index].taken_back = true;
	}
}

static int cancel(struct dmabuf_rw_queue *q, bool all, uint64_t user_data)
{
	int ret = dmabuf_rw_queue_check_caller(q), nr = 0;
	DMABUF_RW_NO_CANCEL;
	uint32_t i;

	if (ret)
		return ret;
	for (i = 0; i < q->depth; i++) {
		struct dmabuf_rw_slot *slot = &q->slots[i];

		if (slot->place == DMABUF_RW_FREE || (!all && slot->user_data != user_data))
			continue;
		slot->job.cancelled = true;
		nr++;
	}
	if (!q->ring_err)
		take_back_entries(q);
	if (q->workers)
		dmabuf_rw_workers_sweep(q->workers);
	return nr ? nr : -ENOENT;
}

DMABUF_RW_API int dmabuf_rw_queue_cancel(struct dmabuf_rw_queue *queue, uint64_t user_data)
{
	return cancel(queue, false, user_data);
}

DMABUF_RW_API int dmabuf_rw_queue_cancel_all(struct dmabuf_rw_queue *queue)
{
	return cancel(queue, true, 0);
}

/* ---- state and descriptors ---------------------------------------------------------- */

DMABUF_RW_API unsigned int dmabuf_rw_queue_pending(const struct dmabuf_rw_queue *queue)
{
	return queue->process == dmabuf_rw_process() ? queue->pending : 0;
}

DMABUF_RW_API unsigned int dmabuf_rw_queue_depth(const struct dmabuf_rw_queue *queue)
{
	return queue->depth;
}

int dmabuf_rw_queue_need_wake(struct dmabuf_rw_queue *q)
{
	int fd, ret;

	if (q->wake_fd >= 0)
		return 0;
	fd = dmabuf_rw_above_std(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (fd < 0)
		return -errno;
	ret = io_uring_register_eventfd(&q->ring, fd);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	/* Finished transfers do not signal it any more. */
	if (io_uring_cq_ready(&q->ring) || dmabuf_rw_has_deferred(q))
		eventfd_write(fd, 1);
	q->wake_fd = fd;
	return 0;
}

static int make_epoll(struct dmabuf_rw_queue *q)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = dmabuf_rw_above_std(epoll_create1(EPOLL_CLOEXEC)), ret;

	if (fd < 0)
		return -errno;
	if (epoll_ctl(fd, EPOLL_CTL_ADD, q->wake_fd, &event) ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, dmabuf_rw_workers_fd(q->workers), &event)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	q->epoll_fd = fd;
	return 0;
}

DMABUF_RW_API int dmabuf_rw_queue_fd(struct dmabuf_rw_queue *queue)
{
	int ret = dmabuf_rw_queue_check_caller(queue);
	DMABUF_RW_NO_CANCEL;

	if (!ret)
		ret = need_workers(queue);
	if (!ret && queue->ring_err)
		return dmabuf_rw_workers_fd(queue->workers);
	if (!ret)
		ret = dmabuf_rw_queue_need_wake(queue);
	if (!ret && queue->epoll_fd < 0)
		ret = make_epoll(queue);
	return ret ? ret : queue->epoll_fd;
}

/* ---- the end ------------------------------------------------------------------------- */

/* Nobody will reap the result. */
static void drop_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot)
{
	dmabuf_rw_count(slot->job.binding, &slot->job.progress);
	dmabuf_rw_queue_free_slot(q, slot);
}

/* Runs the rest of a transfer after its entry's result, in this thread. */
static void finish_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot, int32_t res)
{
	struct dmabuf_rw_job *job = &slot->job;
	bool rest;

	if (job->transfer.ranges) {
		job->transfer.asked = true;
		rest = dmabuf_rw_many_take(job->binding, &job->transfer, &job->progress,
					   res < 0 ? -res : EPROTO);
	} else if (res > 0) {
		rest = (uint32_t)res < slot->left;
		dmabuf_rw_add_direct(job->binding, &job->progress,
				     MIN((uint32_t)res, slot->left));
	} else {
		rest = dmabuf_rw_is_for_worker(job->binding, res);
	}
	if (rest)
		dmabuf_rw_run_through(job->binding, &job->transfer, &job->progress);
	drop_slot(q, slot);
}

/* Waits for all entries in the kernel. False if the kernel does not let this thread wait. */
static bool drain(struct dmabuf_rw_queue *q)
{
	struct io_uring_cqe *cqe;
	int ret;

	while (q->pending > io_uring_sq_ready(&q->ring)) {
		ret = io_uring_wait_cqe(&q->ring, &cqe);
		if (ret == -EINTR || ret == -EAGAIN)
			continue;
		if (ret < 0)
			return false;
		if (dmabuf_rw_is_slot(q, cqe->user_data))
			finish_slot(q, &q->slots[cqe->user_data], cqe->res);
		io_uring_cqe_seen(&q->ring, cqe);
	}
	return true;
}

/* On return the caller may use the buffers, and destroy the bindings. */
static void end_ring(struct dmabuf_rw_queue *q)
{
	struct pollfd end = { .fd = q->end_fd, .events = POLLIN };
	bool drained = !dmabuf_rw_queue_check_caller(q) && drain(q);

	/* The kernel releases a ring's files long after its close. */
	if (drained)
		io_uring_unregister_files(&q->ring);
	if (drained && q->has_buffers)
		io_uring_unregister_buffers(&q->ring);
	dmabuf_rw_private_fd_drop(&q->ring_fd);
	io_uring_queue_exit(&q->ring);
	while (!drained && poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	close(q->end_fd);
}

/*
 * The caller's epoll set may still have our epoll_fd, and keeps it while a child has it open. So
 * empty it: it is then never readable.
 */
static void close_wakers(struct dmabuf_rw_queue *q)
{
	if (q->epoll_fd >= 0 && q->process == dmabuf_rw_process()) {
		epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, q->wake_fd, NULL);
		epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, dmabuf_rw_workers_fd(q->workers), NULL);
	}
	if (q->epoll_fd >= 0)
		close(q->epoll_fd);
	if (q->wake_fd >= 0)
		close(q->wake_fd);
}

/*
 * In a child process. The parent still uses the ring and the threads, which do not exist here and
 * may have been anywhere at the fork. So this releases only descriptors and memory that is
 * certainly consistent.
 */
static void leave_to_parent(struct dmabuf_rw_queue *q)
{
	if (!q->ring_err) {
		dmabuf_rw_private_fd_drop(&q->ring_fd);
		close(q->end_fd);
	}
	close_wakers(q);
	dmabuf_rw_queue_put_kernels(q);
	dmabuf_rw_workers_destroy(q->workers);
	free(q);
}

DMABUF_RW_API void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue)
{
	struct dmabuf_rw_slot *slot;
	struct dmabuf_rw_job *job;
	DMABUF_RW_NO_CANCEL;
	uint32_t i;

	if (!queue)
		return;
	if (queue->process != dmabuf_rw_process()) {
		leave_to_parent(queue);
		return;
	}

	while ((slot = unhold(queue)))
		dmabuf_rw_queue_free_slot(queue, slot);
	if (queue->workers) {
		dmabuf_rw_workers_finish(queue->workers);
		while ((job = dmabuf_rw_workers_take(queue->workers)))
			drop_slot(queue, dmabuf_rw_slot_of(job));
	}
	close_wakers(queue);
	if (!queue->ring_err)
		end_ring(queue);
	dmabuf_rw_queue_put_kernels(queue);
	dmabuf_rw_workers_destroy(queue->workers);
	for (i = 0; i < queue->depth; i++)
		free(queue->slots[i].rest);
	free(queue);
}
