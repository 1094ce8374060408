// SPDX-License-Identifier: GPL-2.0-only
/* batch.c - many transfers of one binding and direction, under one grip: see batch.h. */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "transfer/batch.h"
#include "transfer/short.h"

/* Requests that are allocated together: BLK_MAX_REQUEST_COUNT of block/blk.h. */
#define BATCH_ALLOC	32U

/**
 * struct drw_batch_long - an item that takes an attempt
 * @rq: what the attempt is for
 * @a: the attempt
 */
struct drw_batch_long {
	struct drw_request rq;
	struct drw_attempt a;
};

static bool batch_item_waits(const struct drw_batch_item *item)
{
	return !item->done && (item->error == -EAGAIN || item->error == -DRW_ENOTAG);
}

/* Leave an item to a task that may sleep. Returns false: it is not in flight. */
static bool batch_item_fail(struct drw_batch_item *item, int error)
{
	item->error = error;
	WRITE_ONCE(item->batch->failed, true);
	return false;
}

/* Make an item a request of its own. */
static void batch_request(const struct drw_batch_item *item, struct drw_request *rq)
{
	const struct drw_batch *batch = item->batch;

	*rq = (struct drw_request) {
		.b = batch->b,
		.write = batch->write,
		.flags = item->flags,
		.pos = item->pos,
		.len = item->len,
		.pc = &rq->one,
		.nr_pc = 1,
		.one = { .buf_off = item->buf_off, .len = item->len },
	};
}

/* Read the ranges, once. @flags: for each item. 0, -EFAULT, or -EOVERFLOW. */
static int batch_read_ranges(struct drw_batch *batch, u32 flags)
{
	struct dmabuf_rw_range __user *ranges = batch->ranges;
	u64 total = 0;
	u32 i;

	if (!user_read_access_begin(ranges, batch->nr * sizeof(*ranges)))
		return -EFAULT;
	for (i = 0; i < batch->nr; i++) {
		struct drw_batch_item *item = &batch->items[i];

		unsafe_get_user(item->pos, &ranges[i].file_off, fault);
		unsafe_get_user(item->buf_off, &ranges[i].buf_off, fault);
		unsafe_get_user(item->len, &ranges[i].len, fault);
		unsafe_get_user(item->flags, &ranges[i].flags, fault);
		item->flags |= flags;
		item->batch = batch;
		item->hctx = NULL;
		item->attempt = NULL;
		item->done = 0;
		item->error = -EAGAIN;
		total += item->len;
		batch->any_flags |= item->flags;
	}
	user_read_access_end();
	return total > DMABUF_RW_MAX_BYTES ? -EOVERFLOW : 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

/**
 * drw_batch_create() - create a batch from the ranges of user space; starts nothing
 * @b: binding
 * @write: buffer to file
 * @flags: DMABUF_RW_IO_*
 * @uaddr: user address of struct dmabuf_rw_range[]
 * @nr: how many
 * @nowait: fail with -EAGAIN rather than wait for memory
 *
 * Copies the ranges once, so that checks and use see the same.
 *
 * Return: the batch, for drw_batch_free(), or an ERR_PTR: -EINVAL, -EACCES, -EMSGSIZE, -EFAULT,
 * -EOVERFLOW, -ENOMEM, -EAGAIN.
 */
struct drw_batch *drw_batch_create(struct drw_binding *b, bool write, u64 flags, u64 uaddr, u32 nr,
				   bool nowait)
{
	u64 of_each = flags & ~DMABUF_RW_IO_RESULTS;
	struct drw_batch *batch;
	int ret;

	ret = drw_binding_may(b, write, of_each);
	if (ret)
		return ERR_PTR(ret);
	if (nr > DMABUF_RW_MAX_BATCH)
		return ERR_PTR(-EMSGSIZE);
	batch = kvmalloc(struct_size(batch, items, nr),
			 nowait ? GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT : GFP_KERNEL_ACCOUNT);
	if (!batch)
		return ERR_PTR(nowait ? -EAGAIN : -ENOMEM);
	batch->b = b;
	batch->flags = flags;
	batch->ranges = u64_to_user_ptr(uaddr);
	batch->nr = nr;
	batch->path = NULL;
	batch->failed_on = NULL;
	batch->mm = current->mm;
	batch->any_flags = 0;
	batch->write = write;
	batch->polled = false;
	batch->cancelled = false;
	batch->attempts = false;
	batch->failed = false;
	ret = batch_read_ranges(batch, of_each);
	if (ret) {
		kvfree(batch);
		return ERR_PTR(ret);
	}
	return batch;
}

/* Free the attempts, and drop the path that pollers used. Nothing is in flight. */
static void batch_free_attempts(struct drw_batch *batch)
{
	u32 i;

	for (i = 0; batch->attempts && i < batch->nr; i++) {
		struct drw_batch_item *item = &batch->items[i];

		if (!item->attempt)
			continue;
		drw_attempt_free(&item->attempt->a);
		kfree(item->attempt);
		item->attempt = NULL;
	}
	batch->attempts = false;
	if (batch->polled && batch->path)
		drw_path_put(&batch->b->paths, batch->path);
	batch->path = NULL;
}

/* Nothing of it is in flight. */
void drw_batch_free(struct drw_batch *batch)
{
	batch_free_attempts(batch);
	kvfree(batch);
}

static void batch_put(struct drw_batch *batch, u32 nr)
{
	if (!atomic_sub_and_test(nr, &batch->pending))
		return;
	if (batch->polled)
		drw_map_remove_polled(batch->path->map, &batch->on_map);
	drw_grip_end(batch->b, batch->write, batch->path, batch->polled);
	batch->ended(batch);
}

static DRW_END_IO(batch_end_io, rq, status)
{
	struct drw_batch_item *item = rq->end_io_data;
	int error = drw_rq_error(rq, status);

	if (unlikely(error)) {
		item->done = 0;
		WRITE_ONCE(item->batch->failed_on, item->batch->path);
		batch_item_fail(item, error);
	}
	WRITE_ONCE(item->hctx, NULL);
	batch_put(item->batch, 1);
	return RQ_END_IO_FREE;
}

static void batch_attempt_ended(struct drw_attempt *a)
{
	struct drw_batch_item *item = a->private;

	if (unlikely(a->moved < item->done || a->error)) {
		item->done = a->moved;
		WRITE_ONCE(item->batch->failed_on, a->path);
		batch_item_fail(item, a->error);
	}
	batch_put(item->batch, 1);
}

/* Assume success. Call it before the commands are issued. */
static __always_inline void batch_item_assume_done(struct drw_batch_item *item, u64 len)
{
	item->done = len;
	item->error = 0;
}

static void batch_wake(struct drw_batch *batch)
{
	complete(batch->wait);
}

/* Start an item that is not short. True if it is in flight. */
static noinline bool batch_start_attempt(struct drw_batch_item *item, const struct drw_span *span)
{
	struct drw_batch *batch = item->batch;
	bool waits = batch->ended == batch_wake;
	struct drw_batch_long *l;
	int ret;

	/* The lock must be waited for. */
	if (span->lock)
		return batch_item_fail(item, -EAGAIN);
	l = kmalloc(sizeof(*l), GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT);
	if (!l)
		return batch_item_fail(item, -EAGAIN);
	batch_request(item, &l->rq);
	l->a.rq = &l->rq;
	l->a.mode = waits ? DRW_SOME : batch->polled ? DRW_POLLED : DRW_ALL;
	l->a.span = *span;
	l->a.ended = batch_attempt_ended;
	l->a.private = item;
	l->a.chain = NULL;
	l->a.path = NULL;
	batch_item_assume_done(item, span->len);
	ret = drw_attempt_start(&l->a);
	if (likely(!ret)) {
		item->attempt = l;
		batch->attempts = true;
		return true;
	}
	/* A task that may sleep meets the error again. */
	item->done = 0;
	drw_attempt_free(&l->a);
	kfree(l);
	return batch_item_fail(item, ret == -DRW_ENOTAG ? ret : -EAGAIN);
}

/* Under the grip, start an item that waits. @size: of the file. True if it is in flight. */
static __always_inline bool batch_start_item(struct drw_batch_item *item, u64 size)
{
	struct drw_batch *batch = item->batch;
	struct drw_binding *b = batch->b;
	struct drw_span span __uninitialized;
	struct request *req;
	int ret;

	ret = drw_short_check(b, item->flags, item->pos, item->buf_off, item->len, batch->write,
			      &span);
	if (likely(!ret))
		ret = drw_storage_check_span(&b->storage, &span, size);
	if (unlikely(ret || !span.len)) {
		item->error = ret;
		return false;
	}
	if (unlikely(drw_storage_is_cached(&b->storage, &span)))
		return batch_item_fail(item, -EAGAIN);
	ret = span.lock || drw_short_excludes(&b->storage, span.pos, span.len) ? DRW_NOT_SHORT :
	      drw_short_build(b, &span, item->buf_off, batch->path, batch->polled, &req);
	if (ret == DRW_NOT_SHORT)
		return batch_start_attempt(item, &span);
	if (unlikely(ret))
		/* Without a poll queue, leave it to a task that sleeps instead of polling. */
		return batch_item_fail(item, ret == -EOPNOTSUPP ? -EAGAIN : ret);
	batch_item_assume_done(item, span.len);
	item->hctx = req->mq_hctx;
	req->end_io = batch_end_io;
	req->end_io_data = item;
	blk_execute_rq_nowait(req, false);
	return true;
}

/* Under the grip, start items. @size: of the file. Returns how many are in flight. */
static u32 batch_start_items(struct drw_batch *batch, u64 size)
{
	struct blk_plug plug, *outer = current->plug;
	u32 i, nr = 0;

	/*
	 * io_uring's plug would keep issued requests until the submission ends, and keep unused
	 * ones for bios. Nothing here sleeps, so that plug need not be flushed meanwhile. But the
	 * task may be preempted, and the scheduler expects a plug while PF_BLOCK_TS is set.
	 */
	blk_plug_invalidate_ts();
	current->plug = NULL;
	blk_start_plug(&plug);
	for (i = 0; i < batch->nr; i++) {
		struct drw_batch_item *item = &batch->items[i];

		if (!(i % BATCH_ALLOC))
			plug.nr_ios = min(batch->nr - i, BATCH_ALLOC);
		if (!batch_item_waits(item))
			continue;
		nr += batch_start_item(item, size);
		/* Then there is none for the others. */
		if (unlikely(item->error == -DRW_ENOTAG))
			break;
	}
	blk_finish_plug(&plug);
	current->plug = outer;
	return nr;
}

static bool batch_polled_get(struct drw_polled *p)
{
	return atomic_inc_not_zero(&container_of(p, struct drw_batch, on_map)->pending);
}

static void batch_polled_poll_put(struct drw_polled *p)
{
	struct drw_batch *batch = container_of(p, struct drw_batch, on_map);

	drw_batch_poll(batch, NULL);
	batch_put(batch, 1);
}

static const struct drw_polled_ops batch_polled_ops = {
	.get = batch_polled_get,
	.poll_put = batch_polled_poll_put,
};

/**
 * drw_batch_start() - start the items that wait and can start without sleeping
 * @batch: a batch with nothing in flight; ended is set
 *
 * Does not sleep.
 *
 * Return: true if batch->ended() has been or will be called, false if nothing is in flight.
 */
bool drw_batch_start(struct drw_batch *batch)
{
	struct drw_span span = {
		.write = batch->write,
		.fua = batch->any_flags & DMABUF_RW_IO_FUA,
	};
	struct drw_storage *s = &batch->b->storage;
	u32 nr = 0;
	u64 size;

	if (drw_grip_take(batch->b, &span, &batch->path)) {
		batch->path = NULL;
		batch->failed = true;
		return false;
	}
	/* The order of drw_storage_check(). */
	size = drw_storage_bytes(s);
	smp_rmb();
	/* One more than the items, for the issuer; it drops those that did not start. */
	atomic_set(&batch->pending, batch->nr + 1);
	if (drw_storage_check_state(s, batch->write))
		batch->failed = true;
	else
		nr = batch_start_items(batch, size);
	if (!nr) {
		drw_grip_drop(batch->b, batch->write, batch->path);
		batch->path = NULL;
		return false;
	}
	if (batch->polled)
		drw_map_add_polled(batch->path->map, &batch->on_map, &batch_polled_ops);
	batch_put(batch, batch->nr + 1 - nr);
	return true;
}

/*
 * Poll for the attempts before the first short command in flight, and for that command. The path
 * keeps the memory of queue and hardware context.
 */
int drw_batch_poll(struct drw_batch *batch, struct io_comp_batch *iob)
{
	struct request_queue *q = batch->path->disk->queue;
	int ret = 0;
	u32 i;

	for (i = 0; i < batch->nr && !ret; i++) {
		struct drw_batch_item *item = &batch->items[i];
		struct blk_mq_hw_ctx *hctx = READ_ONCE(item->hctx);

		if (item->attempt) {
			ret = drw_attempt_poll(&item->attempt->a, iob);
		} else if (hctx) {
			ret = drw_rq_poll(q, hctx, iob);
			break;
		}
	}
	return ret > 0;
}

/* Is there anything left that needs a task that may sleep? */
bool drw_batch_is_unfinished(const struct drw_batch *batch)
{
	return READ_ONCE(batch->failed) ||
	       drw_storage_must_finish(&batch->b->storage, batch->write);
}

static u32 batch_count_waiting(const struct drw_batch *batch)
{
	u32 i, nr = 0;

	for (i = 0; i < batch->nr; i++)
		nr += batch_item_waits(&batch->items[i]);
	return nr;
}

/* Was the batch cancelled, or is the task killed? */
static bool batch_is_given_up(const struct drw_batch *batch)
{
	return fatal_signal_pending(current) || READ_ONCE(batch->cancelled);
}

/* Wait for what is in the way of an item, and look up its blocks. */
static void batch_prepare_item(struct drw_batch_item *item)
{
	struct drw_storage *s = &item->batch->b->storage;
	struct drw_request rq;
	struct drw_span span;
	int ret;

	batch_request(item, &rq);
	ret = drw_request_check(&rq);
	if (!ret) {
		span = drw_request_span(&rq, 0);
		/* batch_round() makes blocks durable, once for all items. */
		span.fua = false;
		ret = drw_storage_check(s, &span);
	}
	if (!ret && span.len)
		ret = drw_storage_prepare(s, &span);
	if (ret)
		item->error = ret;
}

/* Start the items that wait and can start, and wait for their end. */
static void batch_try(struct drw_batch *batch)
{
	DECLARE_COMPLETION_ONSTACK(wait);

	batch->ended = batch_wake;
	batch->wait = &wait;
	if (drw_batch_start(batch))
		wait_for_completion_io(&wait);
}

/* Try all items that wait once more. False if too few make progress for another round. */
static bool batch_round(struct drw_batch *batch)
{
	u32 i, waiting = batch_count_waiting(batch);
	const struct drw_path *unused;

	if (waiting < 2 || batch_is_given_up(batch))
		return false;
	/* An error of the buffer or the disk shows again when the first item runs alone. */
	drw_transfer_prepare_map(batch->b, &unused);
	for (i = 0; i < batch->nr && !batch_is_given_up(batch); i++)
		if (batch_item_waits(&batch->items[i]))
			batch_prepare_item(&batch->items[i]);
	if (batch->write && (batch->any_flags & DMABUF_RW_IO_FUA))
		drw_storage_commit(&batch->b->storage);
	if (batch_is_given_up(batch))
		return false;
	batch_try(batch);
	/* A round prepares all that wait, which is expensive if few of them then start. */
	return 2 * batch_count_waiting(batch) <= waiting;
}

/* Make rounds as long as they make progress. Nothing is in flight. */
static void batch_rounds(struct drw_batch *batch)
{
	do {
		batch_free_attempts(batch);
		/* This task sleeps instead of polling. */
		batch->polled = false;
	} while (batch_round(batch));
	batch_free_attempts(batch);
}

/* Drop pages that were cached while items from @first on were written. Nothing is in flight. */
static void batch_uncache(struct drw_batch *batch, u32 first)
{
	struct drw_storage *s = &batch->b->storage;
	u32 i;

	if (!drw_storage_must_finish(s, batch->write))
		return;
	for (i = first; i < batch->nr; i++) {
		struct drw_batch_item *item = &batch->items[i];
		struct drw_span span = { .pos = item->pos, .len = item->len };

		if (item->done)
			drw_storage_finish(s, &span, item->done);
	}
}

/* One item has succeeded alone, so retry those from @first on whose errors may have passed. */
static void batch_try_again(struct drw_batch *batch, u32 first)
{
	u32 i;

	for (i = first; i < batch->nr; i++)
		if (!batch->items[i].done && drw_may_pass(batch->items[i].error))
			batch->items[i].error = -EAGAIN;
	batch_rounds(batch);
	batch_uncache(batch, first);
}

/*
 * Run an item to its end, as a transfer of its own. @retry: of the previous item. Items share
 * deadlines, so that they do not wait for the same thing one after the other.
 */
static void batch_run_item(struct drw_batch_item *item, struct drw_retry *retry)
{
	struct drw_transfer t = {
		.done = item->done,
		.error = batch_item_waits(item) ? 0 : item->error,
		.failed = item->batch->failed_on,
		.cancelled = &item->batch->cancelled,
		.retry = {
			.deadline = retry->deadline,
			.others_deadline = retry->others_deadline,
		},
	};

	batch_request(item, &t.rq);
	item->error = batch_is_given_up(item->batch) ? -EINTR : drw_request_check(&t.rq);
	if (item->error)
		return;
	drw_transfer_run(&t);
	item->done = t.done;
	item->error = t.error;
	*retry = t.retry;
}

/**
 * drw_batch_finish() - run a batch to its end; sleeps
 * @batch: a batch with nothing in flight; it need not have been started
 */
void drw_batch_finish(struct drw_batch *batch)
{
	struct drw_retry retry = { };
	u32 i, alone = 0, most = 1;

	batch_rounds(batch);
	batch_uncache(batch, 0);
	for (i = 0; i < batch->nr; i++) {
		struct drw_batch_item *item = &batch->items[i];

		if (!item->error)
			continue;
		batch_run_item(item, &retry);
		/* The obstacle may be gone for all. Rounds are expensive, so make ever fewer. */
		if (item->error || ++alone < most)
			continue;
		batch_try_again(batch, i + 1);
		alone = 0;
		most *= 2;
	}
}

static s64 batch_item_result(const struct drw_batch_item *item)
{
	return drw_result(item->done, item->error, item->flags);
}

/* 0 or -EFAULT. */
static int batch_store_results(struct drw_batch *batch)
{
	struct dmabuf_rw_range __user *ranges = batch->ranges;
	u32 i;

	/* Another task does this because the ring ends: the results will not be read. */
	if (current->mm != batch->mm)
		return 0;
	if (!user_write_access_begin(ranges, batch->nr * sizeof(*ranges)))
		return -EFAULT;
	for (i = 0; i < batch->nr; i++)
		unsafe_put_user(batch_item_result(&batch->items[i]), &ranges[i].result, fault);
	user_write_access_end();
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

/**
 * drw_batch_settle() - count a batch that has ended and store its results
 * @batch: the batch
 * @first: if not NULL, set to the negative errno of the first item that has one, or 0
 *
 * Called in the task that made the batch; in another one it stores nothing. May sleep.
 *
 * Return: bytes moved, or a negative errno: see struct dmabuf_rw_batch.
 */
s64 drw_batch_settle(struct drw_batch *batch, int *first)
{
	u32 i, moved = 0, errors = 0;
	u64 done = 0, sum = 0;
	int error = 0;

	for (i = 0; i < batch->nr; i++) {
		const struct drw_batch_item *item = &batch->items[i];

		moved += !!item->done;
		done += item->done;
		sum += max(batch_item_result(item), 0);
		if (likely(!item->error))
			continue;
		errors += drw_is_failure(item->error);
		error = error ?: item->error;
	}
	if (first)
		*first = error;
	drw_binding_count(batch->b, batch->write, moved, done, errors);
	if ((batch->flags & DMABUF_RW_IO_RESULTS) && batch_store_results(batch))
		return -EFAULT;
	return drw_result(sum, error, batch->flags);
}

/**
 * drw_batch_sync() - DMABUF_RW_IOC_BATCH
 * @b: binding
 * @arg: its form is checked; sets done and error
 *
 * Return: 0 or a negative errno.
 */
int drw_batch_sync(struct drw_binding *b, struct dmabuf_rw_batch *arg)
{
	struct drw_batch *batch;
	int error;
	s64 ret;

	batch = drw_batch_create(b, arg->op == DMABUF_RW_OP_WRITE, arg->flags, arg->ranges,
				 arg->nr, false);
	if (IS_ERR(batch))
		return PTR_ERR(batch);
	batch_try(batch);
	if (drw_batch_is_unfinished(batch))
		drw_batch_finish(batch);
	ret = drw_batch_settle(batch, &error);
	drw_batch_free(batch);
	if (ret < 0)
		return ret;
	arg->done = ret;
	arg->error = -error;
	return 0;
}
