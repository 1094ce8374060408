// SPDX-License-Identifier: GPL-2.0-only
/*
 * attempt.c - commands that are in flight together, under one grip. See transfer.h.
 *
 * An attempt that runs out of memory or tags ends early and releases the grip; retry.c waits.
 * Waiting for a tag here would hold the mapping for longer than the drive takes: a controller
 * reset may have frozen the queue, and it allocates memory, for which an exporter may have to
 * evict.
 */
#include <linux/slab.h>

#include "compat.h"
#include "transfer/transfer.h"

/* The most commands of an attempt that issues all or none; a longer one fails with -EAGAIN. */
#define DRW_ALL_CMDS		16

static struct kmem_cache *attempt_cmd_cache;

int drw_transfer_init(void)
{
	attempt_cmd_cache = KMEM_CACHE(drw_cmd, SLAB_ACCOUNT);
	return attempt_cmd_cache ? 0 : -ENOMEM;
}

void drw_transfer_exit(void)
{
	kmem_cache_destroy(attempt_cmd_cache);
}

static void attempt_free_chain(struct drw_attempt *a)
{
	struct drw_cmd *cmd;

	while ((cmd = a->chain)) {
		a->chain = cmd->next;
		kmem_cache_free(attempt_cmd_cache, cmd);
	}
}

/* Free the commands, and the path that pollers used. The attempt has ended or did not start. */
void drw_attempt_free(struct drw_attempt *a)
{
	attempt_free_chain(a);
	if (a->mode == DRW_POLLED && a->path)
		drw_path_put(&a->rq->b->paths, a->path);
}

/* Note that the bytes from @off on did not arrive; the lowest offset wins. */
static void attempt_fail(struct drw_attempt *a, u64 off, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&a->lock, flags);
	if (off < a->fail_off) {
		a->fail_off = off;
		a->error = error;
	}
	spin_unlock_irqrestore(&a->lock, flags);
}

/* Drop one of a->pending; the last one ends the attempt. */
static void attempt_put(struct drw_attempt *a)
{
	u64 end;

	if (!atomic_dec_and_test(&a->pending))
		return;
	if (a->mode == DRW_POLLED)
		drw_map_remove_polled(a->path->map, &a->on_map);
	end = min(a->issued, a->fail_off);
	a->moved = end > a->head ? min(end - a->head, a->span.len) : 0;
	drw_grip_end(a->rq->b, a->span.write, a->path, a->mode == DRW_POLLED);
	a->ended(a);
}

static bool attempt_polled_get(struct drw_polled *p)
{
	return atomic_inc_not_zero(&container_of(p, struct drw_attempt, on_map)->pending);
}

static void attempt_polled_poll_put(struct drw_polled *p)
{
	struct drw_attempt *a = container_of(p, struct drw_attempt, on_map);

	drw_attempt_poll(a, NULL);
	attempt_put(a);
}

static const struct drw_polled_ops attempt_polled_ops = {
	.get = attempt_polled_get,
	.poll_put = attempt_polled_poll_put,
};

static DRW_END_IO(attempt_end_io, rq, status)
{
	struct drw_cmd *cmd = rq->end_io_data;
	struct drw_attempt *a = cmd->attempt;
	int error = drw_rq_error(rq, status);

	if (unlikely(error))
		attempt_fail(a, cmd->off, error);
	if (cmd->list_nr)
		drw_list_free(a->path->ctrl, &cmd->list, cmd->list_nr);
	WRITE_ONCE(cmd->ended, true);
	attempt_put(a);
	return RQ_END_IO_FREE;
}

static struct drw_cmd *attempt_alloc_cmd(struct drw_attempt *a, u64 off)
{
	if (!off)
		return &a->first;
	return kmem_cache_alloc(attempt_cmd_cache, GFP_NOWAIT | __GFP_NOWARN);
}

static void attempt_free_cmd(struct drw_attempt *a, struct drw_cmd *cmd)
{
	if (cmd != &a->first)
		kmem_cache_free(attempt_cmd_cache, cmd);
}

/* Give a planned command list memory and a request. 0 or a negative errno. */
static int attempt_fill_cmd(struct drw_attempt *a, struct drw_cmd *cmd, struct drw_iter *it,
			    const struct drw_plan *plan, u64 pos)
{
	struct drw_storage *s = &a->rq->b->storage;
	struct drw_path *path = a->path;
	struct drw_rw rw = {
		.op = a->rq->write ? DMABUF_RW_OP_WRITE : DMABUF_RW_OP_READ,
		.fua = a->span.fua,
		.sgl = plan->sgl,
		.pos = pos,
		.bytes = plan->bytes,
	};
	struct request *rq;
	int ret;

	ret = drw_list_alloc(path->ctrl, plan, GFP_NOWAIT | __GFP_NOWARN, &cmd->list,
			     &cmd->list_nr);
	if (ret)
		return ret;
	rq = drw_rq_alloc(s, path->disk, rw.op, true, a->mode == DRW_POLLED);
	if (IS_ERR(rq)) {
		drw_list_free(path->ctrl, &cmd->list, cmd->list_nr);
		return PTR_ERR(rq);
	}
	if (plan->sgl)
		drw_fill_sgl(it, plan, &cmd->list, &rw.dptr);
	else
		drw_fill_prp(it, plan, &cmd->list, &rw.dptr);
	drw_rq_init(rq, s, &rw);
	rq->end_io = attempt_end_io;
	rq->end_io_data = cmd;
	cmd->rq = rq;
	cmd->queue = rq->q;
	cmd->hctx = rq->mq_hctx;
	WRITE_ONCE(cmd->ended, false);
	return 0;
}

/* Build the command that begins at @off, and advance @it. The command, or an ERR_PTR. */
static struct drw_cmd *attempt_build(struct drw_attempt *a, struct drw_iter *it, u64 off)
{
	u64 bytes = a->head + a->span.len + a->tail - off;
	struct drw_plan plan;
	struct drw_cmd *cmd;
	u64 pos;
	int ret;

	ret = drw_storage_locate(&a->rq->b->storage, a->span.pos - a->head + off, a->span.fua,
				 &pos, &bytes);
	if (ret)
		return ERR_PTR(ret);
	ret = drw_plan(it, bytes, &a->path->lim, &plan);
	if (ret)
		return ERR_PTR(ret);
	cmd = attempt_alloc_cmd(a, off);
	if (!cmd)
		return ERR_PTR(-ENOMEM);
	cmd->attempt = a;
	cmd->off = off;
	cmd->bytes = plan.bytes;
	ret = attempt_fill_cmd(a, cmd, it, &plan, pos);
	if (ret) {
		attempt_free_cmd(a, cmd);
		return ERR_PTR(ret);
	}
	if (cmd != &a->first) {
		cmd->next = a->chain;
		a->chain = cmd;
	}
	return cmd;
}

static void attempt_execute(struct drw_attempt *a, struct drw_cmd *cmd)
{
	atomic_inc(&a->pending);
	a->issued = cmd->off + cmd->bytes;
	blk_execute_rq_nowait(cmd->rq, false);
}

/*
 * Issue all commands or none: after -EAGAIN io_uring repeats the whole, and commands that have
 * run cannot be undone.
 */
static int attempt_issue_all(struct drw_attempt *a, struct drw_iter *it)
{
	u64 off = 0, end = a->head + a->span.len + a->tail;
	struct drw_cmd *cmds[DRW_ALL_CMDS];
	unsigned int nr = 0, i;
	struct blk_plug plug;

	while (off < end) {
		struct drw_cmd *cmd = nr < DRW_ALL_CMDS ? attempt_build(a, it, off) :
							  ERR_PTR(-EAGAIN);

		if (IS_ERR(cmd)) {
			while (nr--) {
				blk_mq_free_request(cmds[nr]->rq);
				drw_list_free(a->path->ctrl, &cmds[nr]->list, cmds[nr]->list_nr);
			}
			attempt_free_chain(a);
			return PTR_ERR(cmd);
		}
		cmds[nr++] = cmd;
		off += cmd->bytes;
	}
	/* io_uring plugs only submissions of several entries. */
	blk_start_plug(&plug);
	for (i = 0; i < nr; i++)
		attempt_execute(a, cmds[i]);
	blk_finish_plug(&plug);
	if (a->mode == DRW_POLLED)
		drw_map_add_polled(a->path->map, &a->on_map, &attempt_polled_ops);
	return 0;
}

/* Issue commands as far as possible without waiting; record the error that stops this. */
static void attempt_issue_some(struct drw_attempt *a, struct drw_iter *it)
{
	u64 off = 0, end = a->head + a->span.len + a->tail;
	struct blk_plug plug;

	blk_start_plug(&plug);
	while (off < end) {
		struct drw_cmd *cmd = attempt_build(a, it, off);

		if (IS_ERR(cmd)) {
			attempt_fail(a, off, PTR_ERR(cmd));
			break;
		}
		off += cmd->bytes;
		attempt_execute(a, cmd);
	}
	blk_finish_plug(&plug);
}

/* Set @it to the bus addresses of the span, pads included. */
static void attempt_init_iter(struct drw_attempt *a, struct drw_iter *it)
{
	struct drw_request *rq = a->rq;
	struct drw_controller *ctrl = a->path->ctrl;
	/* For PRPs the head ends at a page boundary, and the tail begins at one. */
	struct drw_pad head = { .addr = ctrl->dump + DRW_PAGE_BYTES - a->head,
				.len = a->head };
	struct drw_pad tail = { .addr = rq->write ? ctrl->zeros : ctrl->dump,
				.len = a->tail };

	/* The tail follows the last piece. */
	if (a->tail)
		drw_request_cut(rq, a->span.pos + a->span.len - rq->pos);
	drw_iter_init(it, &a->path->map->x, rq->pc, rq->nr_pc);
	if (a->span.pos > rq->pos)
		drw_iter_skip(it, a->span.pos - rq->pos);
	if (unlikely(a->head | a->tail))
		drw_iter_set_pads(it, &head, &tail);
}

/**
 * drw_attempt_start() - take the grip and give commands to the drive
 * @a: rq, mode, ended and a checked span are set
 *
 * Does not sleep. If a->span.lock, the caller has drw_storage_lock().
 *
 * Return: 0 if a->ended() has been or will be called. A negative errno if nothing was started;
 * -EAGAIN if something must be prepared first.
 */
int drw_attempt_start(struct drw_attempt *a)
{
	struct drw_binding *b = a->rq->b;
	u32 lba_mask = b->storage.lba_bytes - 1;
	struct drw_iter it;
	int ret;

	a->head = a->span.pos & lba_mask;
	a->tail = -(a->span.pos + a->span.len) & lba_mask;
	a->issued = 0;
	a->fail_off = U64_MAX;
	a->error = 0;
	a->moved = 0;
	a->chain = NULL;
	a->first.ended = true;
	spin_lock_init(&a->lock);
	atomic_set(&a->pending, 1);
	ret = drw_grip_take(b, &a->span, &a->path);
	if (ret) {
		a->path = NULL;
		return ret;
	}
	attempt_init_iter(a, &it);
	if (a->mode == DRW_SOME) {
		attempt_issue_some(a, &it);
	} else {
		ret = attempt_issue_all(a, &it);
		if (ret) {
			drw_grip_drop(b, a->span.write, a->path);
			a->path = NULL;
			return ret;
		}
	}
	attempt_put(a);
	return 0;
}

static int attempt_poll_cmd(const struct drw_cmd *cmd, struct io_comp_batch *iob)
{
	return READ_ONCE(cmd->ended) ? 0 : drw_rq_poll(cmd->queue, cmd->hctx, iob);
}

/*
 * Poll for the commands of an attempt. Its path keeps the memory of queues and hardware
 * contexts.
 */
int drw_attempt_poll(struct drw_attempt *a, struct io_comp_batch *iob)
{
	struct drw_cmd *cmd;
	int ret = attempt_poll_cmd(&a->first, iob);

	for (cmd = a->chain; cmd; cmd = cmd->next)
		ret |= attempt_poll_cmd(cmd, iob);
	return ret > 0;
}
