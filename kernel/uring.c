// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring.c - transfers by IORING_OP_URING_CMD.
 *
 * The queue entry is shared with user space: every field is read once. A command that
 * must not block is tried without sleeping and refused with -EAGAIN, which makes io_uring
 * run it again from a worker, so what runs here under IO_URING_F_NONBLOCK is all or
 * nothing. Completions run in interrupt context and hand over to task work; what must
 * sleep (another path, dropping cached pages) goes through drw_wq first.
 */
#include <linux/uio.h>

#include "../include/uapi/dmabuf_rw.h"
#include "compat.h"
#include "io.h"

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
	struct drw_io *io = container_of(work, struct drw_io, work);

	drw_io_run(io);
	io_uring_cmd_do_in_task_lazy(io->ucmd, uring_task_cb);
}

/* The last command of a transfer has ended; interrupt context, mostly. */
static void uring_done(struct drw_io *io)
{
	if (unlikely(drw_io_needs_process(io))) {
		INIT_WORK(&io->work, uring_work);
		queue_work(drw_wq, &io->work);
		return;
	}
	io_uring_cmd_do_in_task_lazy(io->ucmd, uring_task_cb);
}

int drw_uring_cmd(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	struct drw_binding *b = drw_binding_from_file(ucmd->file);
	const struct io_uring_sqe *sqe = ucmd->sqe;
	bool nowait = issue_flags & IO_URING_F_NONBLOCK;
	bool vec = false;
	struct drw_io *io;
	u64 addr3, len;
	int ret;

	if (issue_flags & IO_URING_F_CANCEL)
		return -EINVAL;

	io = drw_io_alloc(b, nowait ? GFP_NOWAIT | __GFP_NOWARN : GFP_KERNEL);
	if (!io)
		return nowait ? -EAGAIN : -ENOMEM;

	ret = -ENOTTY;
	switch (ucmd->cmd_op) {
	case DMABUF_RW_URING_READV:
		vec = true;
		fallthrough;
	case DMABUF_RW_URING_READ:
		io->op = DMABUF_RW_OP_READ;
		break;
	case DMABUF_RW_URING_WRITEV:
		vec = true;
		fallthrough;
	case DMABUF_RW_URING_WRITE:
		io->op = DMABUF_RW_OP_WRITE;
		break;
	default:
		goto err_free;
	}

	ret = -EINVAL;
	if (READ_ONCE(sqe->ioprio) || READ_ONCE(sqe->buf_index) ||
	    READ_ONCE(sqe->uring_cmd_flags))
		goto err_free;
	io->pos = READ_ONCE(sqe->addr);
	len = READ_ONCE(sqe->len);
	addr3 = READ_ONCE(sqe->addr3);
	io->flags = READ_ONCE(*(const u64 *)(sqe->cmd + DMABUF_RW_URING_FLAGS_OFFSET));
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
	ret = drw_pagecache_before(io, nowait);
	if (ret)
		goto err_free;

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
	if (b->target.multipath) {
		/* Nothing was started: find another path in peace. */
		INIT_WORK(&io->work, uring_work);
		queue_work(drw_wq, &io->work);
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

	return io && io->polled ? drw_io_poll(io, iob, poll_flags) : 0;
}
