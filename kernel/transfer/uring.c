// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring.c - transfers by IORING_OP_URING_CMD.
 *
 * The queue entry is shared with user space: every field is read once. A command that
 * must not block is tried without sleeping and refused with -EAGAIN, which makes io_uring
 * run it again from a worker, so what runs here under IO_URING_F_NONBLOCK is all or
 * nothing. Completions run in interrupt context and hand over to task work; what must
 * sleep (another path, dropping cached pages) goes through drw_wq first.
 *
 * Two ways lead through this file: transfers of one command without a list keep their state
 * in io_uring's memory (struct fast_pdu); all others are a struct drw_io.
 */
#include <linux/uio.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "transfer/io.h"
#include "nvme/request.h"

struct uring_pdu {
	struct drw_io *io;
};

static struct uring_pdu *uring_pdu(struct io_uring_cmd *ucmd)
{
	return io_uring_cmd_to_pdu(ucmd, struct uring_pdu);
}

static DRW_URING_TASK_CB(uring_task_cb)
{
	unsigned int issue_flags;
	struct io_uring_cmd *ucmd = drw_uring_task_cmd(issue_flags);
	struct drw_io *io = uring_pdu(ucmd)->io;
	int res = drw_io_result(io);

	drw_io_free(io);
	drw_uring_cmd_done(ucmd, res, issue_flags);
}

static void uring_work(struct work_struct *work)
{
	struct drw_io *io = container_of(to_delayed_work(work), struct drw_io, work);
	struct drw_target *t = &io->b->target;

	/*
	 * A short transfer that failed has given back its share of the file's writes. Others
	 * that have theirs need this queue to end, so it must not fill with those who wait.
	 */
	if (io->error && io->op == DMABUF_RW_OP_WRITE && !io->writing) {
		if (drw_writers_start(t->di, t->file, false, DRW_WAIT_SHORT)) {
			queue_delayed_work(drw_wq, &io->work, msecs_to_jiffies(10));
			return;
		}
		io->writing = true;
		io->odd = false;
	}
	drw_io_run(io);
	io_uring_cmd_do_in_task_lazy(io->ucmd, uring_task_cb);
}

static void go_on_in_work(struct drw_io *io)
{
	INIT_DELAYED_WORK(&io->work, uring_work);
	queue_delayed_work(drw_wq, &io->work, 0);
}

/* The last command of a transfer has ended; interrupt context, mostly. */
static void uring_done(struct drw_io *io)
{
	if (unlikely(drw_io_needs_process(io))) {
		go_on_in_work(io);
		return;
	}
	/* Not in task work: the task may be waiting for just this, in another call. */
	drw_io_end_write(io);
	io_uring_cmd_do_in_task_lazy(io->ucmd, uring_task_cb);
}

/**
 * struct fast_pdu - a transfer of one command without a list, in io_uring's own memory
 * @path: its path, in use until the command has ended
 * @pos: file offset
 * @buf_off: buffer offset
 * @bytes: how many
 * @error: how the command has ended: 0 or a negative errno
 * @op: enum dmabuf_rw_op
 * @fua: force unit access
 *
 * Most transfers are short and meet no obstacle. They need no struct drw_io; one is made
 * for those that end otherwise than expected.
 */
struct fast_pdu {
	struct drw_path *path;
	u64 pos;
	u64 buf_off;
	u32 bytes;
	s16 error;
	u8 op;
	bool fua;
};

static struct fast_pdu *fast_pdu(struct io_uring_cmd *ucmd)
{
	return io_uring_cmd_to_pdu(ucmd, struct fast_pdu);
}

/* Go on as if the transfer had been a struct drw_io that has ended its first attempt. */
static void fast_to_slow(struct io_uring_cmd *ucmd)
{
	struct drw_binding *b = drw_binding_from_file(ucmd->file);
	struct fast_pdu fast = *fast_pdu(ucmd);
	/* The drive may have done the work: there is no way to refuse it any more. */
	struct drw_io *io = drw_io_alloc(b, GFP_KERNEL | __GFP_NOFAIL);

	io->op = fast.op;
	io->flags = fast.fua ? DMABUF_RW_IO_FUA : 0;
	io->pos = fast.pos;
	io->len = fast.bytes;
	io->one = (struct dmabuf_rw_piece) { .buf_off = fast.buf_off, .len = fast.bytes };
	io->path = fast.path;
	io->error = fast.error;
	io->base = fast.error ? 0 : fast.bytes;
	io->ucmd = ucmd;
	uring_pdu(ucmd)->io = io;
	go_on_in_work(io);
}

/* Is there anything left to do? */
static bool fast_unfinished(struct drw_binding *b, const struct fast_pdu *fast)
{
	return fast->error || (fast->op == DMABUF_RW_OP_WRITE &&
			       READ_ONCE(b->target.file->f_mapping->nrpages));
}

static DRW_URING_TASK_CB(fast_task_cb)
{
	unsigned int issue_flags;
	struct io_uring_cmd *ucmd = drw_uring_task_cmd(issue_flags);
	struct drw_binding *b = drw_binding_from_file(ucmd->file);
	struct fast_pdu *fast = fast_pdu(ucmd);

	if (unlikely(fast_unfinished(b, fast))) {
		fast_to_slow(ucmd);
		return;
	}
	drw_binding_count(b, fast->op, fast->bytes, 0);
	drw_uring_cmd_done(ucmd, fast->bytes, issue_flags);
}

static DRW_END_IO(fast_end_io, rq, status)
{
	struct io_uring_cmd *ucmd = rq->end_io_data;
	struct drw_binding *b = drw_binding_from_file(ucmd->file);
	struct fast_pdu *fast = fast_pdu(ucmd);
	struct drw_path *path = fast->path;

	fast->error = drw_rq_error(rq, status);
	if (drw_inode_regular(b->target.di))
		drw_blocks_release(b->target.di);
	if (fast->op == DMABUF_RW_OP_WRITE)
		drw_writers_end(b->target.di, false);
	drw_map_release(path->map);
	drw_binding_put_path(b, path);
	/* Lazily only where the callback completes: a waiter for several is not woken by it. */
	if (likely(!fast_unfinished(b, fast)))
		io_uring_cmd_do_in_task_lazy(ucmd, fast_task_cb);
	else
		io_uring_cmd_complete_in_task(ucmd, fast_task_cb);
	return RQ_END_IO_FREE;
}

/*
 * Start a transfer that must not sleep if one command without a list can do it and nothing
 * speaks against it. Otherwise return false, having done nothing; the long way then finds
 * out what is to be done or said. So every check here must be at least as strict as
 * drw_io_check() and drw_io_begin().
 */
static __always_inline bool fast_issue(struct drw_binding *b, struct io_uring_cmd *ucmd, u32 op,
				       u64 pos, u64 buf_off, u32 len, u64 flags)
{
	struct drw_target *t = &b->target;
	struct fast_pdu *fast = fast_pdu(ucmd);
	u64 size = drw_target_bytes(t), ext_off, contiguous, version;
	struct drw_inode *di = t->di;
	bool regular = drw_inode_regular(di);
	struct drw_rw rw;
	struct drw_path *path;
	struct drw_map *map;
	struct request *rq;
	u32 idx;

	if (!len || ((pos | len) & (t->lba_bytes - 1)) || pos >= size || len > size - pos ||
	    buf_off >= b->dmabuf->size || len > b->dmabuf->size - buf_off ||
	    READ_ONCE(t->file->f_mapping->nrpages) || drw_binding_may(b, op, flags) ||
	    (op == DMABUF_RW_OP_WRITE && drw_target_may_write(t)))
		return false;

	/* The table may be asked only where blocks are known. */
	if (regular && !drw_blocks_known(di, pos, len, &version))
		return false;
	rw.sector = drw_target_locate(t, pos, &contiguous);
	if (len > contiguous || !drw_target_has(t, rw.sector, len))
		return false;
	if (regular && drw_inode_alive(di, t->file, op == DMABUF_RW_OP_WRITE))
		return false;
	if (op == DMABUF_RW_OP_WRITE) {
		if (regular && pos + len > round_down(size, PAGE_SIZE))
			return false;
		if (drw_writers_start(di, t->file, false, DRW_NOWAIT))
			return false;
	}
	if (regular && drw_blocks_hold(di, version, false, true))
		goto end_write;

	path = drw_binding_get_path(b);
	map = path->map;
	if (len > path->lim.max_bytes || (buf_off & 3 && path->lim.sgl != DRW_SGL_BYTE) ||
	    drw_map_acquire(map, true))
		goto put_path;
	if ((b->flags & DMABUF_RW_BIND_DEVICE_MEMORY) && !map->mc.device_memory)
		goto release_map;

	idx = drw_extents_find(&map->x, buf_off);
	ext_off = buf_off - map->x.ext[idx].buf_off;
	if (len > drw_extent_len(&map->x, idx) - ext_off ||
	    !drw_dptr_inline(map->x.ext[idx].addr + ext_off, len, &path->lim, &rw.dptr, &rw.sgl))
		goto release_map;

	rq = drw_rq_alloc(t, path->disk, op, true, false);
	if (IS_ERR(rq))
		goto release_map;
	rw.op = op;
	rw.fua = flags & DMABUF_RW_IO_FUA;
	rw.bytes = len;
	drw_rq_init(rq, t, &rw);

	*fast = (struct fast_pdu) {
		.path = path,
		.pos = pos,
		.buf_off = buf_off,
		.bytes = len,
		.error = 0,
		.op = op,
		.fua = rw.fua,
	};
	rq->end_io = fast_end_io;
	rq->end_io_data = ucmd;
	blk_execute_rq_nowait(rq, false);
	return true;

release_map:
	drw_map_release(map);
put_path:
	drw_binding_put_path(b, path);
	if (regular)
		drw_blocks_release(di);
end_write:
	if (op == DMABUF_RW_OP_WRITE)
		drw_writers_end(di, false);
	return false;
}

int drw_uring_cmd(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	struct drw_binding *b = drw_binding_from_file(ucmd->file);
	const struct io_uring_sqe *sqe = ucmd->sqe;
	bool nowait = issue_flags & IO_URING_F_NONBLOCK;
	u64 pos, len, addr3, flags;
	struct drw_io *io;
	bool vec = false;
	u32 op;
	int ret;

	if (issue_flags & IO_URING_F_CANCEL)
		return -EINVAL;
	switch (ucmd->cmd_op) {
	case DMABUF_RW_URING_READV:
		vec = true;
		fallthrough;
	case DMABUF_RW_URING_READ:
		op = DMABUF_RW_OP_READ;
		break;
	case DMABUF_RW_URING_WRITEV:
		vec = true;
		fallthrough;
	case DMABUF_RW_URING_WRITE:
		op = DMABUF_RW_OP_WRITE;
		break;
	default:
		return -ENOTTY;
	}
	/* io_uring has acted on the flags already, as it read them. */
	if (READ_ONCE(sqe->ioprio) || READ_ONCE(sqe->buf_index) ||
	    READ_ONCE(sqe->uring_cmd_flags) || READ_ONCE(sqe->splice_fd_in) ||
	    (ucmd->flags & IORING_URING_CMD_MASK))
		return -EINVAL;
	pos = READ_ONCE(sqe->addr);
	len = READ_ONCE(sqe->len);
	addr3 = READ_ONCE(sqe->addr3);
	flags = READ_ONCE(*(const u64 *)(sqe->cmd + DMABUF_RW_URING_FLAGS_OFFSET));

	if (nowait && !vec && !(issue_flags & IO_URING_F_IOPOLL) &&
	    fast_issue(b, ucmd, op, pos, addr3, len, flags))
		return -EIOCBQUEUED;

	io = drw_io_alloc(b, nowait ? GFP_NOWAIT | __GFP_NOWARN : GFP_KERNEL);
	if (!io)
		return nowait ? -EAGAIN : -ENOMEM;
	io->op = op;
	io->pos = pos;
	io->flags = flags;
	if (vec) {
		ret = drw_io_set_pieces(io, addr3, len, nowait);
		if (ret)
			goto err_free;
	} else {
		io->one = (struct dmabuf_rw_piece) { .buf_off = addr3, .len = len };
	}

	ret = drw_io_check(io);
	if (ret || !io->len)
		goto err_free;
	ret = -EOPNOTSUPP;
	if ((issue_flags & IO_URING_F_IOPOLL) && !drw_binding_has_poll(b))
		goto err_free;
	ret = drw_io_begin(io, nowait);
	if (ret)
		goto err_free;

	if (io->solo) {
		drw_io_run(io);
		ret = drw_io_result(io);
		goto err_free;
	}

	io->ucmd = ucmd;
	io->done = uring_done;
	/*
	 * What waits for tags must not fill poll queues that nobody polls meanwhile, so a
	 * transfer that was punted to a worker is completed by interrupts.
	 */
	io->polled = nowait && (issue_flags & IO_URING_F_IOPOLL);
	uring_pdu(ucmd)->io = io;
	ret = drw_io_issue(io, nowait);
	if (!ret)
		return -EIOCBQUEUED;
	if (ret == -EAGAIN)
		goto err_free;

	io->error = ret;
	if (ret == -ENODEV || ret == -ENOLINK) {
		/* Nothing was started: find another path, or wait for this one, in peace. */
		io->polled = false;
		go_on_in_work(io);
		return -EIOCBQUEUED;
	}
	ret = drw_io_result(io);

err_free:
	drw_io_free(io);
	return ret;
}

int drw_uring_cmd_iopoll(struct io_uring_cmd *ucmd, struct io_comp_batch *iob,
			 unsigned int poll_flags)
{
	struct drw_io *io = READ_ONCE(uring_pdu(ucmd)->io);

	return io && io->polled ? drw_io_poll(io, iob) : 0;
}
