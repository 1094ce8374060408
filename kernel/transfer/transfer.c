// SPDX-License-Identifier: GPL-2.0-only
/* transfer.c - requests, and transfers that may sleep: see transfer.h. */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "transfer/short.h"

/**
 * drw_request_set_pieces() - read the pieces of a vectored request from user space
 * @rq: request
 * @uaddr: user address of struct dmabuf_rw_piece[]
 * @nr: how many
 * @nowait: fail with -EAGAIN rather than wait for memory
 *
 * Copies them once, so that checks and use see the same.
 *
 * Return: 0, -EMSGSIZE, -EFAULT, -ENOMEM or -EAGAIN.
 */
int drw_request_set_pieces(struct drw_request *rq, u64 uaddr, u64 nr, bool nowait)
{
	struct dmabuf_rw_piece *pc;

	if (nr > DMABUF_RW_MAX_PIECES)
		return -EMSGSIZE;
	rq->nr_pc = nr;
	if (!nr)
		return 0;
	pc = kvmalloc_array(nr, sizeof(*pc), nowait ? GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT :
						      GFP_KERNEL_ACCOUNT);
	if (!pc)
		return nowait ? -EAGAIN : -ENOMEM;
	if (copy_from_user(pc, u64_to_user_ptr(uaddr), nr * sizeof(*pc))) {
		kvfree(pc);
		return -EFAULT;
	}
	rq->pc = pc;
	return 0;
}

void drw_request_free(struct drw_request *rq)
{
	if (rq->pc != &rq->one)
		kvfree(rq->pc);
}

/* Cut a request to @len bytes. */
void drw_request_cut(struct drw_request *rq, u64 len)
{
	u32 i;

	rq->len = len;
	for (i = 0; i < rq->nr_pc; i++) {
		rq->pc[i].len = min(rq->pc[i].len, len);
		len -= rq->pc[i].len;
	}
}

/* The part of drw_check_amount() for unaligned files and buffers. 0 or -EDOM. */
int drw_check_unaligned(struct drw_binding *b, bool write, u64 pos, u64 len, u64 buf_offs)
{
	enum drw_sgl_support sgl = drw_paths_sgl(&b->paths);
	u32 lba_bytes = b->storage.lba_bytes;
	u32 file_mask = (write ? lba_bytes : drw_read_align(sgl, lba_bytes)) - 1;

	/* A regular file may end within its last LBA. */
	if ((pos & file_mask) ||
	    ((len & file_mask) && !drw_storage_may_end(&b->storage, pos + len)))
		return -EDOM;
	return buf_offs & (drw_buf_align(sgl) - 1) ? -EDOM : 0;
}

static void transfer_attempt_ended(struct drw_attempt *a)
{
	complete(a->private);
}

/*
 * Map the buffer before the grip is taken. Sleeps, and holds nothing afterwards. *@used: the path,
 * only to be compared.
 */
int drw_transfer_prepare_map(struct drw_binding *b, const struct drw_path **used)
{
	struct drw_paths *paths = &b->paths;
	struct drw_path *path = drw_path_get(paths);
	struct drw_refusal refusal;
	int ret = 0;

	*used = path;
	/* Nearly always mapped: then avoid the lock, a wait for which a signal interrupts. */
	if (drw_map_try_acquire(path->map))
		drw_map_release(path->map);
	else
		ret = drw_map_prepare(path->map, &refusal);
	if (ret == -ENOMEM && refusal.reason)
		ret = -DRW_ENOAPERTURE;
	drw_path_put(paths, path);
	return ret;
}

struct transfer_short {
	struct drw_binding *b;
	struct drw_path *path;
	bool write;
	int error;
	struct completion wait;
};

static DRW_END_IO(transfer_short_end_io, rq, status)
{
	struct transfer_short *sh = rq->end_io_data;

	sh->error = drw_rq_error(rq, status);
	drw_grip_drop(sh->b, sh->write, sh->path);
	complete(&sh->wait);
	return RQ_END_IO_FREE;
}

/* Run a short transfer, if it can begin at once. False if nothing was started. */
static bool transfer_run_short(struct drw_transfer *t)
{
	struct drw_binding *b = t->rq.b;
	struct drw_span span = drw_request_span(&t->rq, 0);
	struct drw_storage *s = &b->storage;
	struct transfer_short sh;
	struct request *req;

	if (t->rq.nr_pc != 1 || drw_storage_check(s, &span) || span.lock ||
	    drw_short_excludes(s, span.pos, span.len) || drw_grip_take(b, &span, &sh.path))
		return false;
	if (drw_short_build(b, &span, t->rq.pc->buf_off, sh.path, false, &req)) {
		drw_grip_drop(b, span.write, sh.path);
		return false;
	}
	sh.b = b;
	sh.write = span.write;
	init_completion(&sh.wait);
	req->end_io = transfer_short_end_io;
	req->end_io_data = &sh;
	blk_execute_rq_nowait(req, false);
	wait_for_completion_io(&sh.wait);
	t->error = sh.error;
	t->failed = sh.path;
	t->done = sh.error ? 0 : span.len;
	if (t->done && drw_storage_must_finish(s, span.write))
		drw_storage_finish(s, &span, span.len);
	return true;
}

/* Make one attempt of a prepared span and wait for it. Adds to t->done. 0 or its error. */
static int transfer_attempt(struct drw_transfer *t, struct drw_span *span)
{
	struct drw_storage *s = &t->rq.b->storage;
	DECLARE_COMPLETION_ONSTACK(wait);
	struct drw_attempt a = {
		.rq = &t->rq,
		.mode = DRW_SOME,
		.ended = transfer_attempt_ended,
		.private = &wait,
	};
	int ret;

	ret = span->lock ? drw_storage_lock(s, span) : 0;
	if (ret)
		return ret;
	a.span = *span;
	ret = drw_attempt_start(&a);
	if (ret)
		goto unlock;
	wait_for_completion_io(&wait);
	t->failed = a.path;
	t->done += a.moved;
	if (span->write && a.moved)
		drw_storage_finish(s, span, a.moved);
	drw_attempt_free(&a);
	ret = a.error;
unlock:
	if (span->lock)
		drw_storage_unlock(s, span);
	return ret;
}

/* Prepare and try the rest. Returns 1 if that was all, 0 if not, or a negative errno. */
static int transfer_step(struct drw_transfer *t)
{
	struct drw_span span = drw_request_span(&t->rq, t->done);
	struct drw_storage *s = &t->rq.b->storage;
	u64 left;
	int ret;

	span.look_up = t->crowded;
	ret = drw_storage_check(s, &span);
	if (ret || !span.len)
		return ret ?: 1;
	left = span.len;
	ret = drw_transfer_prepare_map(t->rq.b, &t->failed);
	if (!ret)
		ret = drw_storage_prepare(s, &span);
	if (!ret)
		ret = transfer_attempt(t, &span);
	if (ret)
		return ret;
	/* If prepare cut the span at an unwritten block, the next step returns -ENXIO. */
	return span.len == left;
}

/**
 * drw_transfer_run() - run a transfer to its end; sleeps
 * @t: checked; if t->error is set, the last attempt failed with it
 *
 * Sets t->done and t->error.
 */
void drw_transfer_run(struct drw_transfer *t)
{
	if (t->error && !drw_retry(t))
		return;
	for (;;) {
		u64 before = t->done;
		int ret;

		if (before && (fatal_signal_pending(current) || drw_transfer_cancelled(t))) {
			t->error = -EINTR;
			return;
		}
		ret = transfer_step(t);
		t->error = min(ret, 0);
		if (ret > 0)
			return;
		/* Progress: count retries anew. */
		if (t->done > before) {
			t->retry = (struct drw_retry) { };
			/* The commands that have ended freed their tags. */
			if (ret == -DRW_ENOTAG)
				continue;
		}
		if (ret && !drw_retry(t))
			return;
	}
}

/**
 * drw_transfer_result() - count a transfer and return its result
 * @t: transfer that has ended
 *
 * Return: bytes moved; or the negative errno if it moved none, or, with DMABUF_RW_IO_WHOLE, if it
 * failed at all.
 */
s64 drw_transfer_result(struct drw_transfer *t)
{
	drw_binding_count(t->rq.b, t->rq.write, !!t->done, t->done, drw_is_failure(t->error));
	return drw_result(t->done, t->error, t->rq.flags);
}

/**
 * drw_transfer_sync() - DMABUF_RW_IOC_IO
 * @b: binding
 * @arg: its form is checked; sets done and error
 *
 * Return: 0, or the negative errno of drw_transfer_result() or of a check.
 */
int drw_transfer_sync(struct drw_binding *b, struct dmabuf_rw_io *arg)
{
	struct drw_transfer t = {
		.rq = {
			.b = b,
			.write = arg->op == DMABUF_RW_OP_WRITE,
			.flags = arg->flags,
			.pos = arg->file_off,
			.one = { .buf_off = arg->buf_off, .len = arg->len },
			.nr_pc = 1,
		},
	};
	s64 ret = 0;

	t.rq.pc = &t.rq.one;
	if (arg->nr_pieces)
		ret = drw_request_set_pieces(&t.rq, arg->pieces, arg->nr_pieces, false);
	if (!ret)
		ret = drw_request_check(&t.rq);
	if (!ret) {
		if (!transfer_run_short(&t) || t.error)
			drw_transfer_run(&t);
		ret = drw_transfer_result(&t);
		if (ret >= 0) {
			arg->done = ret;
			arg->error = -t.error;
			ret = 0;
		}
	}
	drw_request_free(&t.rq);
	return ret;
}
