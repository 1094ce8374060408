/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * batch.h - many transfers of one binding and direction, under one grip.
 *
 * A batch begins what it can without sleeping, in one go: the grip is taken once, requests are
 * allocated together and given to the driver together. Short transfers (short.h) have their
 * state in the batch, others an attempt of their own. When the last of them has ended, the grip
 * goes, and whoever has begun the batch hears of it. What could not begin, or has failed in a way
 * that may pass, is then brought to its end by a task that may sleep: again together as long
 * as that gets anywhere, and then one transfer after the other, as if each had been asked for
 * alone. So a batch knows no rules of its own for what is checked, waited for or repeated.
 *
 * State of an item
 *   waits	item.error is -EAGAIN or -DRW_ENOTAG, and nothing of it has been moved
 *   flies	one of batch.pending; item.done and item.error are as if it ended well, and its
 *		completion corrects them
 *   ended	else
 * A batch is its task's, but from drw_batch_start() until batch.ended().
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
 * @path: the grip's, while anything is in flight; if @polled until the batch is freed
 * @pending: items in flight, and one for the issuer
 * @nr: items
 * @any_flags: flags of the items, or-ed together
 * @write: buffer to file
 * @polled: on poll queues
 * @cancelled: nobody wants it any more
 * @attempts: an item has one
 * @failed: there is an item that has not ended well, or may not have been tried
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

struct drw_batch *drw_batch_create(struct drw_binding *b, bool write, u64 flags, u64 uaddr, u32 nr,
				   bool nowait);
void drw_batch_free(struct drw_batch *batch);
bool drw_batch_start(struct drw_batch *batch);
bool drw_batch_is_unfinished(const struct drw_batch *batch);
void drw_batch_finish(struct drw_batch *batch);
int drw_batch_poll(struct drw_batch *batch, struct io_comp_batch *iob);
s64 drw_batch_result(struct drw_batch *batch, int *error);
int drw_batch_sync(struct drw_binding *b, struct dmabuf_rw_batch *arg);

#endif /* _DRW_BATCH_H */
