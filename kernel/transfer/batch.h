/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * batch.h - many transfers of one binding and direction, under one grip.
 *
 * A batch first starts all items that it can start without sleeping: it takes the grip once, and
 * allocates and issues requests together. Short transfers (short.h) keep their state in the
 * batch, others have an attempt each. The end of the last one releases the grip and calls
 * batch.ended(). A task that may sleep then finishes the items that did not start or have failed:
 * in rounds of all that wait, as long as rounds make progress, then one by one, like single
 * transfers, with more rounds in between. Checks, waits and retries are those of single
 * transfers, except that all items share their deadlines for a path and for others.
 *
 * State of an item
 *   waits	item.error is -EAGAIN or -DRW_ENOTAG, and no byte was moved
 *   in flight	counted in batch.pending; item.done and item.error assume success, and the
 *		completion corrects them
 *   ended	otherwise
 * The task owns the batch, except from drw_batch_start() until batch.ended().
 */
#ifndef _DRW_BATCH_H
#define _DRW_BATCH_H

#include "transfer/transfer.h"

struct drw_batch;
struct drw_batch_long;

/**
 * struct drw_batch_item - one transfer
 * @batch: the batch
 * @hctx: hardware context to poll while a short transfer is in flight, else NULL
 * @attempt: its attempt if it is not short; freed before the next round, or with the batch
 * @pos: file offset
 * @buf_off: buffer offset
 * @len: bytes
 * @done: bytes moved
 * @flags: DMABUF_RW_IO_*
 * @error: 0 or a negative errno
 */
struct drw_batch_item {
	struct drw_batch *batch;
	struct blk_mq_hw_ctx *hctx;
	struct drw_batch_long *attempt;
	u64 pos;
	u64 buf_off;
	u32 len;
	u32 done;
	u32 flags;
	s32 error;
};

/**
 * struct drw_batch - a batch
 * @b: binding; the caller keeps its file
 * @flags: DMABUF_RW_IO_* of the whole batch
 * @ranges: the user's array, for results
 * @ended: called when no item is in flight any more, in any context
 * @private: for @ended
 * @work: for the user of @ended
 * @wait: for rounds that a task waits for
 * @path: the grip's, while items are in flight; if @polled, until attempts are freed
 * @failed_on: path of an item that has failed; only compared
 * @mm: of the task that made the batch; only compared
 * @pending: items in flight, and at least one for the issuer
 * @nr: items
 * @any_flags: flags of the items, or-ed together
 * @write: buffer to file
 * @polled: on poll queues
 * @cancelled: its result is no longer wanted
 * @attempts: an item has an attempt
 * @failed: an item needs a task that may sleep
 * @on_map: on drw_map.polled, while @polled and in flight
 * @items: the transfers
 */
struct drw_batch {
	struct drw_binding *b;
	u64 flags;
	struct dmabuf_rw_range __user *ranges;
	void (*ended)(struct drw_batch *batch);
	void *private;
	struct work_struct work;
	struct completion *wait;
	struct drw_path *path;
	const struct drw_path *failed_on;
	const struct mm_struct *mm;
	atomic_t pending;
	u32 nr;
	u32 any_flags;
	bool write;
	bool polled;
	bool cancelled;
	bool attempts;
	bool failed;
	struct drw_polled on_map;
	struct drw_batch_item items[] __counted_by(nr);
};

/* Did another process than current's make the batch? False for kernel threads. */
static inline bool drw_batch_is_foreign(const struct drw_batch *batch)
{
	return current->mm && current->mm != batch->mm;
}

struct drw_batch *drw_batch_create(struct drw_binding *b, bool write, u64 flags, u64 uaddr, u32 nr,
				   bool nowait);
void drw_batch_free(struct drw_batch *batch);
bool drw_batch_start(struct drw_batch *batch);
bool drw_batch_is_unfinished(const struct drw_batch *batch);
void drw_batch_finish(struct drw_batch *batch);
int drw_batch_poll(struct drw_batch *batch, struct io_comp_batch *iob);
s64 drw_batch_settle(struct drw_batch *batch, int *error);
int drw_batch_sync(struct drw_binding *b, struct dmabuf_rw_batch *arg);

#endif /* _DRW_BATCH_H */
