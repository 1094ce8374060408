// SPDX-License-Identifier: GPL-2.0-only
/*
 * io.c - one transfer between a file and a buffer: checks, commands, results.
 *
 * See io.h for the life of a transfer. What holds between acquire and release of the
 * mapping follows mapping.h: no reservation lock, no allocation that may reclaim. When
 * memory is short, the attempt ends where it stands, the mapping is released, and
 * drw_io_again() waits for memory in peace.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "transfer/io.h"
#include "nvme/request.h"

/* Commands that a transfer may have when it must not sleep; a longer one is punted. */
#define DRW_NOWAIT_CMDS		16

/* Times that the blocks of an attempt are looked up because the inode has changed. */
#define DRW_HOLD_ROUNDS		64

static struct kmem_cache *drw_io_cache;
static struct kmem_cache *drw_cmd_cache;
struct workqueue_struct *drw_wq;

int drw_io_init(void)
{
	drw_io_cache = KMEM_CACHE(drw_io, SLAB_ACCOUNT);
	drw_cmd_cache = KMEM_CACHE(drw_cmd, SLAB_ACCOUNT);
	drw_wq = alloc_workqueue("dmabuf_rw", WQ_UNBOUND, 0);
	if (drw_io_cache && drw_cmd_cache && drw_wq)
		return 0;
	drw_io_exit();
	return -ENOMEM;
}

void drw_io_exit(void)
{
	if (drw_wq)
		destroy_workqueue(drw_wq);
	kmem_cache_destroy(drw_cmd_cache);
	kmem_cache_destroy(drw_io_cache);
}

/* A transfer, without pieces, or NULL. */
struct drw_io *drw_io_alloc(struct drw_binding *b, gfp_t gfp)
{
	struct drw_io *io = kmem_cache_alloc(drw_io_cache, gfp);

	if (!io)
		return NULL;
	io->b = b;
	io->polled = false;
	io->repeated = false;
	io->pc = &io->one;
	io->nr_pc = 1;
	io->base = 0;
	io->error = 0;
	io->deadline = 0;
	io->nomem = 0;
	io->spare = NULL;
	io->chain = NULL;
	io->repeats = NULL;
	io->path = NULL;
	io->polled_path = NULL;
	io->transient = 0;
	io->head = 0;
	io->tail = 0;
	io->rmw = false;
	io->tail_block = false;
	io->solo = false;
	io->writing = false;
	io->locked = false;
	io->stop = 0;
	io->version = DRW_NO_VERSION;
	io->edges[0].virt = NULL;
	io->edges[1].virt = NULL;
	/* Nothing to poll for yet. */
	io->first.ended = true;
	spin_lock_init(&io->lock);
	return io;
}

static void free_chain(struct drw_cmd **chain)
{
	struct drw_cmd *cmd;

	while ((cmd = *chain)) {
		*chain = cmd->next;
		kmem_cache_free(drw_cmd_cache, cmd);
	}
}

void drw_io_free(struct drw_io *io)
{
	drw_io_end_write(io);
	if (io->polled_path)
		drw_binding_put_path(io->b, io->polled_path);
	free_chain(&io->chain);
	free_chain(&io->repeats);
	if (io->spare)
		kmem_cache_free(drw_cmd_cache, io->spare);
	if (io->pc != &io->one)
		kvfree(io->pc);
	kmem_cache_free(drw_io_cache, io);
}

/**
 * drw_io_set_pieces() - read the pieces of a vectored transfer from user space
 * @io: transfer
 * @uaddr: user address of struct dmabuf_rw_piece[]
 * @nr: how many
 * @nowait: fail with -EAGAIN rather than wait for memory
 *
 * They are copied once; what is checked is what is used.
 *
 * Return: 0, -EMSGSIZE, -EFAULT, -ENOMEM or -EAGAIN.
 */
int drw_io_set_pieces(struct drw_io *io, u64 uaddr, u64 nr, bool nowait)
{
	struct dmabuf_rw_piece *pc;

	if (nr > DMABUF_RW_MAX_PIECES)
		return -EMSGSIZE;
	io->nr_pc = nr;
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
	io->pc = pc;
	return 0;
}

/*
 * Wait for memory for one command, which the next attempt may use. That is memory of the same
 * kind, and counted for the same group of processes, as what could not be had.
 */
void drw_io_reserve(struct drw_io *io)
{
	if (!io->spare)
		io->spare = kmem_cache_alloc(drw_cmd_cache, GFP_KERNEL);
}

/* Let a transfer end @len bytes after its first LBA's beginning, and widen it to a whole LBA. */
static void cut(struct drw_io *io, u64 len)
{
	const struct drw_target *t = &io->b->target;
	u64 end = io->pos + len, left = len - io->head;
	u32 i;

	for (i = 0; i < io->nr_pc; i++) {
		io->pc[i].len = min(io->pc[i].len, left);
		left -= io->pc[i].len;
	}
	io->tail = -len & (t->lba_bytes - 1);
	io->len = len + io->tail;
	/* Behind the end of a regular file there is nothing to be kept but zeros. */
	io->rmw = io->op == DMABUF_RW_OP_WRITE &&
		  (io->head || (io->tail && !(drw_inode_regular(t->di) && end == t->di->bytes)));
	io->tail_block = io->op == DMABUF_RW_OP_WRITE && drw_inode_regular(t->di) &&
			 end > round_down(t->di->bytes, PAGE_SIZE);
}

/**
 * drw_io_check() - everything that can be refused before anything is done
 * @io: transfer with op, flags, pos, pieces; sets len
 *
 * Widens it to whole LBAs.
 *
 * Return: 0; then io->len is what shall be moved, which may be nothing. A negative errno
 * of the ABI header otherwise.
 */
int drw_io_check(struct drw_io *io)
{
	struct drw_binding *b = io->b;
	const u32 lba_mask = b->target.lba_bytes - 1;
	u64 size = drw_target_bytes(&b->target);
	u32 i, buf_mask, file_mask;
	u64 end;
	int ret;

	ret = drw_binding_may(b, io->op, io->flags);
	if (ret)
		return ret;

	ret = drw_pieces_check(io->pc, io->nr_pc, b->dmabuf->size, &io->len);
	if (ret)
		return ret;
	if (check_add_overflow(io->pos, io->len, &end) || end > LLONG_MAX)
		return -EOVERFLOW;
	/* The last LBA of a regular file may be the file's in part only. */
	file_mask = drw_binding_file_align(b) - 1;
	if ((io->pos & file_mask) ||
	    ((io->len & file_mask) && (!drw_inode_regular(b->target.di) || end < size)))
		return -EDOM;
	ret = drw_target_recheck(&b->target);
	if (!ret && drw_inode_regular(b->target.di))
		ret = drw_inode_alive(b->target.di, b->target.file,
				      io->op == DMABUF_RW_OP_WRITE);
	if (ret)
		return ret;

	buf_mask = drw_binding_buf_align(b) - 1;
	for (i = 0; i < io->nr_pc; i++)
		if (io->pc[i].buf_off & buf_mask)
			return -EDOM;

	/* From here on as blkdev_read_iter() and blkdev_write_iter(), block/fops.c. */
	if (io->op == DMABUF_RW_OP_WRITE) {
		ret = drw_target_may_write(&b->target);
		if (ret)
			return ret;
	}
	if (!io->len)
		return 0;
	if (io->pos >= size) {
		io->len = 0;
		return io->op == DMABUF_RW_OP_WRITE ? -ENOSPC : 0;
	}
	io->len = min(io->len, size - io->pos);
	io->head = io->pos & lba_mask;
	io->pos -= io->head;
	cut(io, min_t(u64, io->head + io->len, DMABUF_RW_MAX_BYTES & ~lba_mask));
	return 0;
}

/*
 * Cut the part of a transfer that a regular file has no written blocks for. Those end with
 * whole LBAs.
 */
static int cut_unwritten(struct drw_io *io, bool nowait)
{
	u64 asked = io->len - io->head - io->tail, len = asked;
	int ret;

	ret = drw_blocks_check(io->b->target.di, io->pos + io->head, &len, &io->version,
			       nowait);
	if (ret || len == asked)
		return ret;
	cut(io, io->head + len);
	io->stop = -ENXIO;
	return 0;
}

/**
 * drw_io_begin() - what has to be done before the first attempt
 * @io: checked transfer with at least one byte
 * @nowait: do not sleep
 *
 * Return: 0; -EAGAIN if @nowait; a negative errno of the ABI header. After an error the
 * transfer can only be freed, or begun again.
 */
int drw_io_begin(struct drw_io *io, bool nowait)
{
	struct drw_target *t = &io->b->target;
	int ret;

	if (io->op == DMABUF_RW_OP_WRITE) {
		io->solo = io->rmw || io->tail_block;
		io->odd = io->rmw;
		if (io->solo && nowait)
			return -EAGAIN;
		ret = drw_writers_start(t->di, t->file, io->odd, nowait ? DRW_NOWAIT : DRW_WAIT);
		if (ret)
			return ret;
		io->writing = true;
	}
	ret = drw_pagecache_before(io, nowait);
	if (!ret && drw_inode_regular(t->di))
		ret = cut_unwritten(io, nowait);
	if (ret)
		drw_io_end_write(io);
	return ret;
}

/* No command of a write is in flight any more, nor will be. Any context unless io->solo. */
void drw_io_end_write(struct drw_io *io)
{
	if (!io->writing)
		return;
	io->writing = false;
	drw_writers_end(io->b->target.di, io->odd);
}

/* Note that the bytes from @off on did not arrive; the lowest offset wins. */
static void io_fail(struct drw_io *io, u64 off, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	if (off < io->fail_off) {
		io->fail_off = off;
		io->error = error;
	}
	spin_unlock_irqrestore(&io->lock, flags);
}

/* Drop one of io->pending; the last one ends the attempt. */
static void io_put_pending(struct drw_io *io)
{
	struct drw_path *path = io->path;
	struct drw_map *map = path->map;

	if (!atomic_dec_and_test(&io->pending))
		return;
	if (io->polled && !io->repeated) {
		unsigned long flags;

		spin_lock_irqsave(&map->polled_lock, flags);
		list_del(&io->on_map.node);
		spin_unlock_irqrestore(&map->polled_lock, flags);
	}
	io->base = min(io->issued, io->fail_off);
	drw_pads_free(io);
	if (drw_inode_regular(io->b->target.di))
		drw_blocks_release(io->b->target.di);
	drw_map_release(map);
	/* A poller may look at the queues of a polled transfer until it is freed. */
	if (!io->polled || io->repeated)
		drw_binding_put_path(io->b, path);
	io->done(io);
}

static bool io_polled_get(struct drw_polled *p)
{
	return atomic_inc_not_zero(&container_of(p, struct drw_io, on_map)->pending);
}

static void io_polled_poll_put(struct drw_polled *p)
{
	struct drw_io *io = container_of(p, struct drw_io, on_map);

	drw_io_poll(io, NULL);
	io_put_pending(io);
}

static const struct drw_polled_ops io_polled_ops = {
	.get = io_polled_get,
	.poll_put = io_polled_poll_put,
};

/* A drain of the mapping must be able to poll for this attempt. */
static void io_make_polled(struct drw_io *io)
{
	struct drw_map *map = io->path->map;
	unsigned long flags;

	io->polled_path = io->path;
	io->on_map.ops = &io_polled_ops;
	spin_lock_irqsave(&map->polled_lock, flags);
	list_add_tail(&io->on_map.node, &map->polled);
	spin_unlock_irqrestore(&map->polled_lock, flags);
}

static DRW_END_IO(cmd_end_io, rq, status)
{
	struct drw_cmd *cmd = rq->end_io_data;
	struct drw_io *io = cmd->io;
	int error = drw_rq_error(rq, status);

	if (unlikely(error))
		io_fail(io, cmd->off, error);
	if (cmd->list_nr)
		drw_list_free(io->path->ctrl, &cmd->list, cmd->list_nr);
	WRITE_ONCE(cmd->ended, true);
	io_put_pending(io);
	return RQ_END_IO_FREE;
}

/*
 * Build the next command of the attempt. On success the iterator has moved on, and
 * cmd->rq is ready to be executed.
 */
static int cmd_prepare(struct drw_io *io, struct drw_iter *it, u64 off,
		       struct drw_cmd **out)
{
	struct drw_target *t = &io->b->target;
	struct drw_path *path = io->path;
	struct drw_plan plan;
	struct drw_cmd *cmd;
	struct request *rq;
	struct drw_rw rw;
	sector_t sector;
	u64 contiguous;
	int ret;

	sector = drw_target_locate(t, io->pos + off, &contiguous);
	ret = drw_plan(it, min(io->len - off, contiguous), &path->lim, &plan);
	if (ret)
		return ret;
	/* A disk that is being removed loses its capacity first. */
	if (!drw_target_has(t, sector, plan.bytes))
		return get_capacity(t->bdev->bd_disk) ? -EMEDIUMTYPE : -ENODEV;

	if (off == io->base && !io->repeated) {
		cmd = &io->first;
	} else {
		cmd = kmem_cache_alloc(drw_cmd_cache, GFP_NOWAIT | __GFP_NOWARN);
		if (!cmd)
			swap(cmd, io->spare);
		if (!cmd)
			return -ENOMEM;
	}
	cmd->io = io;
	cmd->off = off;
	cmd->bytes = plan.bytes;
	ret = drw_list_alloc(path->ctrl, &plan, GFP_NOWAIT | __GFP_NOWARN, &cmd->list,
			     &cmd->list_nr);
	if (ret)
		goto err_cmd;

	rq = drw_rq_alloc(t, path->disk, io->op, true, io->polled && !io->repeated);
	if (IS_ERR(rq)) {
		ret = PTR_ERR(rq);
		goto err_list;
	}

	rw = (struct drw_rw) {
		.op = io->op,
		.fua = io->flags & DMABUF_RW_IO_FUA,
		.sgl = plan.sgl,
		.sector = sector,
		.bytes = plan.bytes,
	};
	if (plan.sgl)
		drw_fill_sgl(it, &plan, &cmd->list, &rw.dptr);
	else
		drw_fill_prp(it, &plan, &cmd->list, &rw.dptr);
	drw_rq_init(rq, t, &rw);
	rq->end_io = cmd_end_io;
	rq->end_io_data = cmd;
	cmd->rq = rq;
	cmd->queue = rq->q;
	cmd->hctx = rq->mq_hctx;
	WRITE_ONCE(cmd->ended, false);
	if (cmd != &io->first) {
		struct drw_cmd **chain = io->repeated ? &io->repeats : &io->chain;

		cmd->next = *chain;
		*chain = cmd;
	}
	*out = cmd;
	return 0;

err_list:
	drw_list_free(path->ctrl, &cmd->list, cmd->list_nr);
err_cmd:
	if (cmd != &io->first)
		kmem_cache_free(drw_cmd_cache, cmd);
	return ret;
}

/* Undo cmd_prepare() of a command that has not been executed. */
static void cmd_abandon(struct drw_io *io, struct drw_cmd *cmd)
{
	blk_mq_free_request(cmd->rq);
	drw_list_free(io->path->ctrl, &cmd->list, cmd->list_nr);
}

static void cmd_execute(struct drw_io *io, struct drw_cmd *cmd)
{
	atomic_inc(&io->pending);
	io->issued = cmd->off + cmd->bytes;
	blk_execute_rq_nowait(cmd->rq, false);
}

/*
 * All commands or none, without sleeping: a part that has run could not be taken back,
 * and io_uring repeats the whole when it hears -EAGAIN.
 */
static int issue_nowait(struct drw_io *io, struct drw_iter *it)
{
	struct drw_cmd *cmds[DRW_NOWAIT_CMDS];
	unsigned int nr = 0, i;
	struct blk_plug plug;
	u64 off = io->base;
	int ret;

	while (off < io->len) {
		if (nr == DRW_NOWAIT_CMDS) {
			ret = -EAGAIN;
			goto abandon;
		}
		ret = cmd_prepare(io, it, off, &cmds[nr]);
		if (ret) {
			/* Only if it is the first can the error be told as it is. */
			if (nr || ret == -ENOMEM)
				ret = -EAGAIN;
			goto abandon;
		}
		off += cmds[nr++]->bytes;
	}
	/* io_uring has a plug for several entries only. */
	blk_start_plug(&plug);
	for (i = 0; i < nr; i++)
		cmd_execute(io, cmds[i]);
	blk_finish_plug(&plug);
	if (io->polled)
		io_make_polled(io);
	return 0;

abandon:
	while (nr--)
		cmd_abandon(io, cmds[nr]);
	free_chain(&io->chain);
	return ret;
}

/*
 * One after the other, as far as it goes without waiting; what stopped it is noted. Waiting
 * for a tag here would be waiting with the mapping held for more than the drive: a queue
 * may be frozen by a controller reset, which allocates memory, for which an exporter may
 * have to evict.
 */
static void issue_some(struct drw_io *io, struct drw_iter *it)
{
	struct blk_plug plug;
	u64 off = io->base;

	blk_start_plug(&plug);
	while (off < io->len) {
		struct drw_cmd *cmd;
		int ret = cmd_prepare(io, it, off, &cmd);

		if (ret) {
			io_fail(io, off, ret);
			break;
		}
		off += cmd->bytes;
		cmd_execute(io, cmd);
	}
	blk_finish_plug(&plug);
}

/* Keep the blocks that are left to move as they are. */
static int hold_blocks(struct drw_io *io, bool nowait)
{
	struct drw_inode *di = io->b->target.di;
	u64 from = io->pos + max_t(u64, io->base, io->head);
	u64 bytes = io->pos + io->len - io->tail - from;
	int ret, rounds = 0;

	/* Again: this may be after a long wait. */
	ret = drw_inode_alive(di, io->b->target.file, io->op == DMABUF_RW_OP_WRITE);
	if (ret)
		return ret;
	while ((ret = drw_blocks_hold(di, io->version, io->tail_block, nowait)) == -ESTALE) {
		u64 written = bytes;

		if (nowait)
			return -EAGAIN;
		/* Somebody does nothing but change the inode. */
		if (++rounds > DRW_HOLD_ROUNDS)
			return -EBUSY;
		if (io->op == DMABUF_RW_OP_WRITE) {
			ret = drw_writers_restamp(di, io->b->target.file);
			if (ret)
				return ret;
		}
		ret = drw_blocks_check(di, from, &written, &io->version, false);
		/* What was written cannot become otherwise in any way that is allowed. */
		if (ret == -ENXIO || (!ret && written < bytes))
			ret = -EMEDIUMTYPE;
		if (ret)
			return ret;
	}
	if (ret || !io->tail_block)
		return ret;

	/*
	 * Making the file longer goes through the cached last page, so what is cached must be
	 * gone while the inode is locked; and behind the old end may be data by now.
	 */
	ret = drw_pagecache_before(io, false);
	if (!ret && io->tail && !io->rmw && i_size_read(di->inode) != di->bytes)
		ret = -EMEDIUMTYPE;
	if (ret) {
		drw_blocks_unlock(di);
		drw_blocks_release(di);
	}
	return ret;
}

/**
 * drw_io_issue() - start an attempt
 * @io: transfer with something left to move
 * @nowait: do not sleep
 *
 * Return: 0: ->done() has been or will be called. A negative errno: nothing has been
 * started and it will not be called; -EAGAIN if @nowait, or if io->rmw and there was no tag.
 */
int drw_io_issue(struct drw_io *io, bool nowait)
{
	struct drw_inode *di = io->b->target.di;
	struct drw_path *path;
	struct drw_iter it;
	int ret;

	if (drw_inode_regular(di)) {
		ret = hold_blocks(io, nowait);
		if (ret)
			return ret;
	}
	path = drw_binding_get_path(io->b);
	io->path = path;
	io->error = 0;
	io->fail_off = U64_MAX;
	io->issued = io->base;
	free_chain(&io->repeats);

	ret = drw_map_acquire(path->map, nowait);
	if (ret)
		goto put_path;
	ret = -EXDEV;
	if ((io->b->flags & DMABUF_RW_BIND_DEVICE_MEMORY) && !path->map->mc.device_memory)
		goto release_map;

	drw_iter_init(&it, &path->map->x, io->pc, io->nr_pc);
	if (unlikely(io->head | io->tail)) {
		ret = drw_pads_set(io, &it);
		if (ret)
			goto release_map;
	}
	if (io->base)
		drw_iter_skip(&it, io->base);
	atomic_set(&io->pending, 1);
	if (nowait) {
		ret = issue_nowait(io, &it);
		if (ret)
			goto release_map;
	} else {
		issue_some(io, &it);
	}
	io->locked = io->tail_block;
	io_put_pending(io);
	return 0;

release_map:
	drw_pads_free(io);
	drw_map_release(path->map);
put_path:
	drw_binding_put_path(io->b, path);
	if (drw_inode_regular(di)) {
		if (io->tail_block)
			drw_blocks_unlock(di);
		drw_blocks_release(di);
	}
	return ret;
}

/* Is there anything left to do that needs process context? Callable in any context. */
bool drw_io_needs_process(struct drw_io *io)
{
	if (io->error)
		return true;
	return io->op == DMABUF_RW_OP_WRITE &&
	       READ_ONCE(io->b->target.file->f_mapping->nrpages);
}

static void sync_done(struct drw_io *io)
{
	complete(&io->wait);
}

/**
 * drw_io_run() - bring a transfer to its end, waiting for it
 * @io: transfer that has been begun; if io->error is set, an attempt has ended with it
 *
 * Uses io->done and io->wait.
 */
void drw_io_run(struct drw_io *io)
{
	bool more = io->error ? drw_io_again(io) : io->base < io->len;

	io->done = sync_done;
	/* A poller may be looking at the commands of the first attempt. */
	io->repeated = io->error;
	while (more) {
		u64 before = io->base;
		int ret;

		init_completion(&io->wait);
		ret = drw_io_issue(io, false);
		if (ret)
			io->error = ret;
		else
			wait_for_completion_io(&io->wait);
		if (io->locked) {
			drw_pagecache_after(io);
			io->locked = false;
			drw_blocks_unlock(io->b->target.di);
		}
		io->repeated = true;
		/* What went wrong before this has been overcome. */
		if (io->base > before) {
			io->deadline = 0;
			io->transient = 0;
			io->nomem = 0;
		}
		more = drw_io_again(io);
	}
	drw_io_end_write(io);
	/* Otherwise it has been done, with the inode locked. */
	if (!io->tail_block)
		drw_pagecache_after(io);
}

/* The negative errno that ended a transfer, after what drw_io_result() says; 0: none. */
int drw_io_error(const struct drw_io *io)
{
	return io->error ?: io->stop;
}

/**
 * drw_io_result() - what a transfer came to; counts it
 * @io: transfer that has ended
 *
 * Return: bytes moved, or the negative errno if none was and there was an error.
 */
int drw_io_result(struct drw_io *io)
{
	u64 asked = io->len - io->head - io->tail;
	u64 bytes = io->base > io->head ? min(io->base - io->head, asked) : 0;

	/* To be interrupted is no error. */
	drw_binding_count(io->b, io->op, bytes, io->error == -EINTR ? 0 : io->error);
	if (unlikely(io->error && !bytes))
		return io->error;
	return bytes;
}

/*
 * Poll the queue that a command went to. Not through the request: another poller may reap
 * the command and free it at any time. The memory of queue and hardware context is kept by
 * the path that the transfer holds.
 */
static int cmd_poll(const struct drw_cmd *cmd, struct io_comp_batch *iob)
{
	int ret;

	if (READ_ONCE(cmd->ended) || !percpu_ref_tryget(&cmd->queue->q_usage_counter))
		return 0;
	ret = cmd->queue->mq_ops->poll(cmd->hctx, iob);
	percpu_ref_put(&cmd->queue->q_usage_counter);
	return ret;
}

/* Look for completions of a transfer's commands on poll queues. */
int drw_io_poll(struct drw_io *io, struct io_comp_batch *iob)
{
	struct drw_cmd *cmd;
	int ret = cmd_poll(&io->first, iob);

	for (cmd = io->chain; cmd; cmd = cmd->next)
		ret |= cmd_poll(cmd, iob);
	return ret > 0;
}
