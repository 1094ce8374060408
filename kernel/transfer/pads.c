// SPDX-License-Identifier: GPL-2.0-only
/*
 * pads.c - memory for the parts of LBAs that a transfer does not move.
 *
 * What a read does not want goes to a page of the controller that nobody looks at. What a
 * write must not change is read first (io->rmw), and goes back with the command that writes
 * the rest; behind the end of a regular file it is zeros.
 */
#include "transfer/io.h"
#include "nvme/request.h"

/* Read an LBA of the file, the one that byte @off of a transfer is in. */
static int read_edge(struct drw_io *io, u64 off, struct drw_page *edge)
{
	struct drw_target *t = &io->b->target;
	struct drw_rw rw = {
		.op = DMABUF_RW_OP_READ,
		.bytes = t->lba_bytes,
	};
	blk_status_t status;
	struct request *rq;
	u64 unused;
	int ret;

	ret = drw_page_alloc(io->path->ctrl, GFP_NOWAIT | __GFP_NOWARN, edge);
	if (ret)
		return ret;
	rq = drw_rq_alloc(t, io->path->disk, rw.op, true, false);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	rw.sector = drw_target_locate(t, io->pos + round_down(off, t->lba_bytes), &unused);
	rw.dptr.prp1 = cpu_to_le64(edge->dma);
	drw_rq_init(rq, t, &rw);
	status = blk_execute_rq(rq, false);
	ret = drw_rq_error(rq, status);
	blk_mq_free_request(rq);
	return ret;
}

/**
 * drw_pads_set() - give an attempt the memory for its pads
 * @io: transfer with pads, its mapping acquired
 * @it: at its beginning
 *
 * Waits for the drive if io->rmw, as any drain of the mapping does, but for nothing else.
 *
 * Return: 0; -ENOMEM or -EAGAIN, to be repeated; an error of the drive.
 */
int drw_pads_set(struct drw_io *io, struct drw_iter *it)
{
	const u32 lba = io->b->target.lba_bytes;
	struct drw_controller *ctrl = io->path->ctrl;
	/* The head ends where its page does, for the sake of PRPs, and the tail begins there. */
	struct drw_pad head = { .addr = ctrl->dump.dma + DRW_PAGE_BYTES - io->head,
				.len = io->head };
	struct drw_pad tail = { .addr = ctrl->dump.dma, .len = io->tail };
	int ret;

	if (io->rmw) {
		bool one = io->len == lba;

		if (io->head || one) {
			ret = read_edge(io, 0, &io->edges[0]);
			if (ret)
				return ret;
			head.addr = io->edges[0].dma;
		}
		if (io->tail && !one) {
			ret = read_edge(io, io->len - 1, &io->edges[1]);
			if (ret)
				return ret;
		}
		tail.addr = io->edges[!one].dma + lba - io->tail;
	} else if (io->op == DMABUF_RW_OP_WRITE) {
		tail.addr = ctrl->zeros.dma;
	}
	drw_iter_set_pads(it, &head, &tail);
	return 0;
}

/* Before the mapping is released, which keeps the controller's pools. */
void drw_pads_free(struct drw_io *io)
{
	if (likely(!io->rmw))
		return;
	drw_page_free(io->path->ctrl, &io->edges[0]);
	drw_page_free(io->path->ctrl, &io->edges[1]);
}
