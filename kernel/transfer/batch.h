/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * batch.h - many transfers of one binding and direction, under one grip.
 *
 * A batch begins what it can without sleeping, in one go: the grip is taken once, requests are
 * allocated together and given to the driver together. Short transfers (short.h) have their
 * state in the batch, others an attempt of their own. When the last of them has ended, the grip
 * goes, and whoever has begun the batch hears of it. What could not begin, or has failed in a way
 * that may pass, is then brought to its end by a task that may sleep: together as long as that
 * gets on, else one after the other, as if each had been asked for alone, with tries of all that
 * are left in between. Checks, waits and repetitions are those of single transfers, but that all
 * items share the time for which they wait for a path or for others.
 *
 * State of an item
 *   waits	item.error is -EAGAIN or -DRW_ENOTAG, and nothing of it has been moved
 *   flies	one of batch.pending; item.done and item.error are as if it ended well, and its
 *		completion corrects them
 *   ended	else
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
 * @hctx: its hardware context while it flies, to be polled; NULL: an attempt has it, or nothing
 * @attempt: where it takes more than a short command; until the batch is freed
 * @pos: file offset
 * @buf_off: buffer offset
 * @len: bytes
 * @done: bytes that have been moved
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
 * @flags: DMABUF_RW_IO_*, of all
 * @ranges: where results go
 * @ended: called when nothing of it is in flight any more, in any context
 * @private: for @ended
 * @work: for who has begun the batch
 * @wait: for drw_batch_finish()
 * @path: the grip's, while anything is in flight; if @polled until its attempts are freed
 * @failed_on: the path of one that has failed, only to be compared
 * @mm: the task's that has asked, only to be compared
 * @pending: items in flight, and one for the issuer
 * @nr: items
 * @any_flags: flags of the items, or-ed together
 * @write: buffer to file
 * @polled: on poll queues
 * @cancelled: nobody wants it any more
 * @attempts: an item has one
 * @failed: there is an item for who may sleep
 * @on_map: while it is @polled and in flight
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

/* Has another process asked for it than this one, which has memory of its own? */
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
