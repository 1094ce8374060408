// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring.c - transfers by IORING_OP_URING_CMD.
 *
 * The queue entry is shared with user space, so every field is read once. A command that must
 * not block makes one attempt, all or nothing. If anything is in the way, it fails with -EAGAIN,
 * and io_uring runs it again in a worker, to its end. So no task waits for an attempt that starts
 * here: its completion queues task work, and work that is left (another path, dropping cached
 * pages) goes on in a workqueue.
 *
 * Short transfers (short.h) keep their state in io_uring's memory; long ones have a struct
 * uring_transfer. Both pass the same checks and take the same grip. A short one with work left
 * after its command becomes a long one.
 *
 * On poll queues there is no task work, because a task that waits for a ring or a task to end
 * polls in a loop and runs none. There all transfers are long, and io_uring's polling advances
 * their state (enum uring_state), under the ring's lock:
 *   POLLED	the attempt is in flight
 *   LANDED	the attempt has ended
 *   WORKS	a worker does the rest, or task work of the submitter completes a batch
 *   DONE	the worker has finished
 *
 * A batch (batch.h) is handled like a long transfer, except that it starts all items that it
 * can, and fails with -EAGAIN only if none start and some need a worker.
 */
#include <linux/slab.h>

#include "compat.h"
#include "trace.h"
#include "transfer/batch.h"
#include "transfer/short.h"

/* The code below compares operations by their order. */
static_assert(DMABUF_RW_URING_READ == 1 && DMABUF_RW_URING_WRITE == 2 &&
	      DMABUF_RW_URING_READV == 3 && DMABUF_RW_URING_WRITEV == 4 &&
	      DMABUF_RW_URING_READ_MANY == 5 && DMABUF_RW_URING_WRITE_MANY == 6);

enum uring_state {
	URING_POLLED,
	URING_LANDED,
	URING_WORKS,
	URING_DONE,
};

/**
 * struct uring_transfer - a long transfer
 * @t: the transfer
 * @a: its attempt
 * @cancelled: its result is no longer wanted
 * @ucmd: io_uring's command
 * @work: runs the rest in process context
 */
struct uring_transfer {
	struct drw_transfer t;
	struct drw_attempt a;
	bool cancelled;
	struct io_uring_cmd *ucmd;
	struct work_struct work;
};

/**
 * struct uring_short - a short transfer
 * @path: its path, in use until the command has ended
 * @pos: file offset
 * @buf_off: buffer offset
 * @bytes: how many
 * @error: 0 or the negative errno of the command
 * @flags: DMABUF_RW_IO_*
 */
struct uring_short {
	struct drw_path *path;
	u64 pos;
	u64 buf_off;
	u32 bytes;
	s16 error;
	u8 flags;
};

/* @state: enum uring_state, on poll queues */
struct uring_long {
	union {
		struct uring_transfer *ut;
		struct drw_batch *batch;
	};
	enum uring_state state;
};

static_assert(DMABUF_RW_IO_FLAGS <= U8_MAX);

static struct drw_binding *uring_binding(struct io_uring_cmd *ucmd)
{
	return ucmd->file->private_data;
}

static struct uring_short *uring_short(struct io_uring_cmd *ucmd)
{
	return io_uring_cmd_to_pdu(ucmd, struct uring_short);
}

static struct uring_long *uring_long(struct io_uring_cmd *ucmd)
{
	return io_uring_cmd_to_pdu(ucmd, struct uring_long);
}

static bool uring_is_batch(const struct io_uring_cmd *ucmd)
{
	return ucmd->cmd_op >= DMABUF_RW_URING_READ_MANY;
}

static bool uring_writes(const struct io_uring_cmd *ucmd)
{
	return !(ucmd->cmd_op & 1);
}

/* Out of line, to keep the untraced path short. */
static noinline __cold void uring_trace_completed(struct io_uring_cmd *ucmd, s64 res)
{
	trace_drw_complete(ucmd->file, ucmd, uring_writes(ucmd), res);
}

static void uring_trace_complete(struct io_uring_cmd *ucmd, s64 res)
{
	if (trace_drw_complete_enabled())
		uring_trace_completed(ucmd, res);
}

static struct uring_transfer *uring_alloc(struct io_uring_cmd *ucmd,
					  const struct drw_request *rq, gfp_t gfp)
{
	struct uring_transfer *ut = kmalloc(sizeof(*ut), gfp);

	if (!ut)
		return NULL;
	ut->t = (struct drw_transfer) { .rq = *rq };
	if (rq->pc == &rq->one)
		ut->t.rq.pc = &ut->t.rq.one;
	ut->t.cancelled = &ut->cancelled;
	ut->cancelled = false;
	ut->a.rq = &ut->t.rq;
	ut->a.mode = DRW_ALL;
	ut->a.chain = NULL;
	ut->a.path = NULL;
	ut->ucmd = ucmd;
	return ut;
}

static void uring_free(struct uring_transfer *ut)
{
	drw_attempt_free(&ut->a);
	drw_request_free(&ut->t.rq);
	kfree(ut);
}

/* Complete a long transfer or a batch; a batch in the task that made it. */
static void uring_done(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	struct uring_long *l = uring_long(ucmd);
	s64 res;

	if (uring_is_batch(ucmd)) {
		res = drw_batch_settle(l->batch, NULL);
		drw_batch_free(l->batch);
	} else {
		res = drw_transfer_result(&l->ut->t);
		uring_free(l->ut);
	}
	uring_trace_complete(ucmd, res);
	drw_uring_cmd_done(ucmd, res, issue_flags);
}

static DRW_URING_TASK_CB(uring_done_cb)
{
	unsigned int issue_flags;
	struct io_uring_cmd *ucmd = drw_uring_task_cmd(issue_flags);

	uring_done(ucmd, issue_flags);
}

/* The worker has finished. */
static void uring_worked(struct io_uring_cmd *ucmd, bool polled)
{
	if (polled)
		smp_store_release(&uring_long(ucmd)->state, URING_DONE);
	else
		io_uring_cmd_do_in_task_lazy(ucmd, uring_done_cb);
}

static void uring_work(struct work_struct *work)
{
	struct uring_transfer *ut = container_of(work, struct uring_transfer, work);
	struct drw_transfer *t = &ut->t;

	if (t->rq.write && t->done)
		drw_storage_finish(&t->rq.b->storage, &ut->a.span, t->done);
	if (t->error)
		drw_transfer_run(t);
	uring_worked(ut->ucmd, ut->a.mode == DRW_POLLED);
}

static void uring_batch_work(struct work_struct *work)
{
	struct drw_batch *batch = container_of(work, struct drw_batch, work);
	bool polled = batch->polled;

	drw_batch_finish(batch);
	uring_worked(batch->private, polled);
}

/* Do the rest in a workqueue: it needs process context, and may take long. */
static void uring_go_on(struct io_uring_cmd *ucmd)
{
	struct uring_long *l = uring_long(ucmd);
	struct work_struct *work;
	bool waits;

	if (uring_is_batch(ucmd)) {
		work = &l->batch->work;
		waits = l->batch->failed;
		INIT_WORK(work, uring_batch_work);
	} else {
		work = &l->ut->work;
		waits = l->ut->t.error;
		INIT_WORK(work, uring_work);
	}
	queue_work(waits ? drw_wait_wq : drw_wq, work);
}

static bool uring_is_unfinished(const struct drw_binding *b, bool write, int error)
{
	return error || drw_storage_must_finish(&b->storage, write);
}

static bool uring_long_is_unfinished(struct io_uring_cmd *ucmd)
{
	const struct uring_long *l = uring_long(ucmd);

	return uring_is_batch(ucmd) ? drw_batch_is_unfinished(l->batch) :
	       uring_is_unfinished(l->ut->t.rq.b, l->ut->t.rq.write, l->ut->t.error);
}

static DRW_URING_TASK_CB(uring_landed_cb)
{
	unsigned int issue_flags;
	struct io_uring_cmd *ucmd = drw_uring_task_cmd(issue_flags);

	io_uring_cmd_mark_cancelable(ucmd, issue_flags);
	uring_go_on(ucmd);
}

/* The last command of a long transfer or a batch has ended. Mostly interrupt context. */
static void uring_landed(struct io_uring_cmd *ucmd, bool polled)
{
	if (polled)
		smp_store_release(&uring_long(ucmd)->state, URING_LANDED);
	/* Not lazy work, which does not wake a task that waits for more completions than it has. */
	else if (unlikely(uring_long_is_unfinished(ucmd)))
		io_uring_cmd_complete_in_task(ucmd, uring_landed_cb);
	else
		io_uring_cmd_do_in_task_lazy(ucmd, uring_done_cb);
}

static void uring_ended(struct drw_attempt *a)
{
	struct uring_transfer *ut = container_of(a, struct uring_transfer, a);

	ut->t.done = a->moved;
	ut->t.error = a->error;
	ut->t.failed = a->path;
	uring_landed(ut->ucmd, a->mode == DRW_POLLED);
}

static void uring_batch_ended(struct drw_batch *batch)
{
	uring_landed(batch->private, batch->polled);
}

/* Turn a short transfer into a long one whose attempt has ended. */
static noinline void uring_lengthen(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	struct uring_short sh = *uring_short(ucmd);
	struct drw_request rq = {
		.b = uring_binding(ucmd),
		.write = uring_writes(ucmd),
		.flags = sh.flags,
		.pos = sh.pos,
		.len = sh.bytes,
		.nr_pc = 1,
		.one = { .buf_off = sh.buf_off, .len = sh.bytes },
	};
	struct uring_transfer *ut;

	rq.pc = &rq.one;
	/* __GFP_NOFAIL: the drive may have moved the data, so this must not fail. */
	ut = uring_alloc(ucmd, &rq, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	ut->a.span = drw_request_span(&ut->t.rq, 0);
	ut->t.done = sh.error ? 0 : sh.bytes;
	ut->t.error = sh.error;
	ut->t.failed = sh.path;
	uring_long(ucmd)->ut = ut;
	io_uring_cmd_mark_cancelable(ucmd, issue_flags);
	uring_go_on(ucmd);
}

static DRW_URING_TASK_CB(uring_short_cb)
{
	unsigned int issue_flags;
	struct io_uring_cmd *ucmd = drw_uring_task_cmd(issue_flags);
	struct drw_binding *b = uring_binding(ucmd);
	struct uring_short *sh = uring_short(ucmd);
	bool write = uring_writes(ucmd);

	if (unlikely(uring_is_unfinished(b, write, sh->error))) {
		uring_lengthen(ucmd, issue_flags);
		return;
	}
	drw_binding_count(b, write, 1, sh->bytes, 0);
	uring_trace_complete(ucmd, sh->bytes);
	drw_uring_cmd_done(ucmd, sh->bytes, issue_flags);
}

static DRW_END_IO(uring_short_end_io, rq, status)
{
	struct io_uring_cmd *ucmd = rq->end_io_data;
	struct drw_binding *b = uring_binding(ucmd);
	struct uring_short *sh = uring_short(ucmd);
	bool write = uring_writes(ucmd);

	sh->error = drw_rq_error(rq, status);
	drw_grip_drop(b, write, sh->path);
	if (likely(!uring_is_unfinished(b, write, sh->error)))
		io_uring_cmd_do_in_task_lazy(ucmd, uring_short_cb);
	else
		io_uring_cmd_complete_in_task(ucmd, uring_short_cb);
	return RQ_END_IO_FREE;
}

/* Release the grip of a short transfer that did not start. */
static noinline void uring_drop_short(struct io_uring_cmd *ucmd)
{
	drw_grip_drop(uring_binding(ucmd), uring_writes(ucmd), uring_short(ucmd)->path);
}

/*
 * Start a short transfer without sleeping. -EIOCBQUEUED, DRW_NOT_SHORT, or a negative errno;
 * -EAGAIN if a worker may succeed.
 */
static __always_inline int uring_start_short(struct io_uring_cmd *ucmd, u64 flags, u64 pos,
					     u64 buf_off, u32 len, bool write)
{
	struct drw_binding *b = uring_binding(ucmd);
	struct drw_span span __uninitialized;
	struct uring_short *sh = uring_short(ucmd);
	struct drw_path *path;
	struct request *req;
	int ret;

	ret = drw_short_check(b, flags, pos, buf_off, len, write, &span);
	if (likely(!ret))
		ret = drw_storage_check(&b->storage, &span);
	if (unlikely(ret))
		return ret;
	/* Read these back from memory below, so that the compiler need not spill them. */
	sh->pos = pos;
	sh->buf_off = buf_off;
	sh->bytes = len;
	sh->flags = flags;
	/* A span that was cut makes a long transfer. */
	if (unlikely(span.len != len || span.lock))
		return DRW_NOT_SHORT;
	if (unlikely(drw_grip_take(b, &span, &path)))
		return -EAGAIN;
	sh->path = path;
	span.pos = sh->pos;
	span.len = sh->bytes;
	ret = drw_short_build(b, &span, sh->buf_off, path, false, &req);
	if (unlikely(ret)) {
		uring_drop_short(ucmd);
		return ret == DRW_NOT_SHORT ? ret : -EAGAIN;
	}
	req->end_io = uring_short_end_io;
	req->end_io_data = ucmd;
	blk_execute_rq_nowait(req, false);
	return -EIOCBQUEUED;
}

/*
 * Start a long transfer without sleeping. -EIOCBQUEUED, 0 if there is nothing to move, or a
 * negative errno; -EAGAIN if a worker may succeed.
 */
static int uring_start_long(struct io_uring_cmd *ucmd, struct drw_request *rq, bool polled)
{
	struct uring_transfer *ut;
	struct drw_span span;
	int ret;

	span = drw_request_span(rq, 0);
	ret = drw_storage_check(&rq->b->storage, &span);
	if (ret || !span.len)
		return ret;
	/* The lock must be waited for. */
	if (span.lock)
		return -EAGAIN;
	ut = uring_alloc(ucmd, rq, GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT);
	if (!ut)
		return -EAGAIN;
	ut->a.mode = polled ? DRW_POLLED : DRW_ALL;
	ut->a.span = span;
	ut->a.ended = uring_ended;
	*uring_long(ucmd) = (struct uring_long) { .ut = ut, .state = URING_POLLED };
	if (likely(!drw_attempt_start(&ut->a)))
		return -EIOCBQUEUED;
	/* The caller frees the pieces. */
	drw_attempt_free(&ut->a);
	kfree(ut);
	return -EAGAIN;
}

/* Start a batch without sleeping. -EIOCBQUEUED, bytes, or a negative errno. */
static int uring_start_batch_nowait(struct io_uring_cmd *ucmd, struct drw_batch *batch,
				    bool polled)
{
	batch->polled = polled;
	batch->ended = uring_batch_ended;
	batch->private = ucmd;
	*uring_long(ucmd) = (struct uring_long) { .batch = batch, .state = URING_POLLED };
	if (likely(drw_batch_start(batch)))
		return -EIOCBQUEUED;
	return drw_batch_is_unfinished(batch) ? -EAGAIN : drw_batch_settle(batch, NULL);
}

static int uring_start_batch(struct io_uring_cmd *ucmd, u64 flags, u64 ranges, u32 nr, bool nowait,
			     bool polled)
{
	struct drw_binding *b = uring_binding(ucmd);
	struct drw_batch *batch;
	int ret;

	if (polled && !drw_paths_have_poll(&b->paths))
		return -EOPNOTSUPP;
	batch = drw_batch_create(b, uring_writes(ucmd), flags, ranges, nr, nowait);
	if (IS_ERR(batch))
		return PTR_ERR(batch);
	if (nowait) {
		ret = uring_start_batch_nowait(ucmd, batch, polled);
		if (likely(ret == -EIOCBQUEUED))
			return ret;
	} else {
		/* In a worker of io_uring, like uring_run(). */
		drw_batch_finish(batch);
		ret = drw_batch_settle(batch, NULL);
	}
	drw_batch_free(batch);
	return ret;
}

/* Run a transfer to its end in a worker of io_uring. Not on poll queues: nothing may poll then. */
static int uring_run(const struct drw_request *rq)
{
	struct drw_transfer t = { .rq = *rq };

	if (rq->pc == &rq->one)
		t.rq.pc = &t.rq.one;
	drw_transfer_run(&t);
	return drw_transfer_result(&t);
}

/* Start or run all but short transfers, with the fields as read from the entry. */
static noinline int uring_start(struct io_uring_cmd *ucmd, unsigned int issue_flags, u64 flags,
				u64 pos, u64 addr3, u32 len)
{
	bool nowait = issue_flags & IO_URING_F_NONBLOCK, polled = issue_flags & IO_URING_F_IOPOLL;
	struct drw_request rq = {
		.b = uring_binding(ucmd),
		.write = uring_writes(ucmd),
		.flags = flags,
		.pos = pos,
		.nr_pc = 1,
		.one = { .buf_off = addr3, .len = len },
	};
	int ret = 0;

	if (uring_is_batch(ucmd))
		return pos ? -EINVAL :
			     uring_start_batch(ucmd, flags, addr3, len, nowait, polled);
	rq.pc = &rq.one;
	if (ucmd->cmd_op >= DMABUF_RW_URING_READV)
		ret = drw_request_set_pieces(&rq, addr3, len, nowait);
	if (!ret)
		ret = drw_request_check(&rq);
	if (!ret && polled && !drw_paths_have_poll(&rq.b->paths))
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = nowait ? uring_start_long(ucmd, &rq, polled) : uring_run(&rq);
	/* A long transfer that was queued owns the pieces. */
	if (ret != -EIOCBQUEUED)
		drw_request_free(&rq);
	return ret;
}

/* The process exits, so the result is no longer wanted. */
static void uring_cancel(struct io_uring_cmd *ucmd)
{
	if (uring_is_batch(ucmd))
		WRITE_ONCE(uring_long(ucmd)->batch->cancelled, true);
	else
		WRITE_ONCE(uring_long(ucmd)->ut->cancelled, true);
}

/* Out of line, to keep the untraced path short. Does not reveal user addresses. */
static noinline __cold void uring_trace_submit(struct io_uring_cmd *ucmd, unsigned int issue_flags,
					       u64 flags, u64 pos, u64 addr3, u32 len)
{
	bool many = ucmd->cmd_op >= DMABUF_RW_URING_READV;

	trace_drw_submit(ucmd->file, ucmd, uring_writes(ucmd),
			 !(issue_flags & IO_URING_F_NONBLOCK), flags, many ? len : 1, pos,
			 many ? 0 : addr3, many ? 0 : len);
}

/* Read the queue entry and start. Pieces and ranges are read later. */
static __always_inline int uring_issue(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	const struct io_uring_sqe *sqe = ucmd->sqe;
	const struct uring_short *sh = uring_short(ucmd);
	u32 op = ucmd->cmd_op, len;
	u64 flags, pos, addr3;
	int ret;

	if (op < DMABUF_RW_URING_READ || op > DMABUF_RW_URING_WRITE_MANY)
		return -ENOTTY;
	/* ucmd->flags: io_uring has acted on the flags as it read them. */
	if (unlikely(READ_ONCE(sqe->ioprio) | READ_ONCE(sqe->buf_index) |
		     READ_ONCE(sqe->uring_cmd_flags) | READ_ONCE(sqe->splice_fd_in) |
		     (ucmd->flags & IORING_URING_CMD_MASK)))
		return -EINVAL;
	flags = READ_ONCE(*(const u64 *)(sqe->cmd + DMABUF_RW_URING_FLAGS_OFFSET));
	pos = READ_ONCE(sqe->addr);
	addr3 = READ_ONCE(sqe->addr3);
	len = READ_ONCE(sqe->len);
	if (trace_drw_submit_enabled())
		uring_trace_submit(ucmd, issue_flags, flags, pos, addr3, len);
	if ((issue_flags & (IO_URING_F_NONBLOCK | IO_URING_F_IOPOLL)) == IO_URING_F_NONBLOCK &&
	    op < DMABUF_RW_URING_READV &&
	    !drw_short_excludes(&uring_binding(ucmd)->storage, pos, len)) {
		/* Inlined for each direction, so that the direction is tested once. */
		ret = op == DMABUF_RW_URING_READ ?
		      uring_start_short(ucmd, flags, pos, addr3, len, false) :
		      uring_start_short(ucmd, flags, pos, addr3, len, true);
		if (likely(ret != DRW_NOT_SHORT))
			return ret;
		return uring_start(ucmd, IO_URING_F_NONBLOCK, sh->flags, sh->pos, sh->buf_off,
				   sh->bytes);
	}
	return uring_start(ucmd, issue_flags, flags, pos, addr3, len);
}

int drw_uring_cmd(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	int ret;

	if (unlikely(issue_flags & IO_URING_F_CANCEL)) {
		uring_cancel(ucmd);
		return 0;
	}
	/* User space may have changed the entry since it was submitted. */
	if (unlikely(!drw_uring_sqe_is_stable(ucmd, issue_flags)))
		return -EOPNOTSUPP;
	ret = uring_issue(ucmd, issue_flags);
	/* The command may have ended and been freed. */
	if (likely(ret == -EIOCBQUEUED))
		return ret;
	if (ret == -EAGAIN)
		drw_uring_keep_sqe(ucmd, issue_flags);
	else
		uring_trace_complete(ucmd, ret);
	return ret;
}

/* Is the ring, or its task, ending, so that results are no longer wanted? */
static bool uring_is_ending(void)
{
	return (current->flags & PF_EXITING) || current->in_execve || !current->mm;
}

/* io_uring polls for a command, under the ring's lock. Positive if there was progress. */
int drw_uring_cmd_iopoll(struct io_uring_cmd *ucmd, struct io_comp_batch *iob,
			 unsigned int poll_flags)
{
	struct uring_long *l = uring_long(ucmd);
	bool batch = uring_is_batch(ucmd);
	int ret = 0;

	if (READ_ONCE(l->state) == URING_POLLED)
		ret = batch ? drw_batch_poll(l->batch, iob) : drw_attempt_poll(&l->ut->a, iob);
	switch (smp_load_acquire(&l->state)) {
	case URING_LANDED:
		if (unlikely(uring_long_is_unfinished(ucmd))) {
			l->state = URING_WORKS;
			uring_go_on(ucmd);
			return 1;
		}
		fallthrough;
	case URING_DONE:
		/* The task that made the batch stores results; one without memory skips that. */
		if (unlikely(batch && drw_batch_is_foreign(l->batch))) {
			l->state = URING_WORKS;
			io_uring_cmd_do_in_task_lazy(ucmd, uring_done_cb);
		} else {
			uring_done(ucmd, 0);
		}
		return 1;
	case URING_WORKS:
		if (unlikely(uring_is_ending()))
			uring_cancel(ucmd);
		return 0;
	default:
		return ret;
	}
}
