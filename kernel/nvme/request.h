/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * request.h - NVMe Read and Write commands as block-layer passthrough requests.
 *
 * The mechanism of this module: a passthrough request without a bio has no physical segments,
 * so the NVMe driver maps nothing and passes the data pointer that we put in the command to
 * the drive (nvme_prep_rq(), drivers/nvme/host/pci.c). The driver does everything else: tags,
 * queues, doorbells, timeouts, aborts, resets.
 *
 * Three things are private to the NVMe driver: where a request's private area points to its
 * command, where it keeps the drive's status, and that it leaves the data pointer alone.
 * drw_selftest() proves them on each controller before it is used.
 *
 * Functions that every transfer calls are inline.
 */
#ifndef _DRW_REQUEST_H
#define _DRW_REQUEST_H

#include <linux/blk-mq.h>
#include <linux/nvme.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "nvme/cmdlist.h"
#include "storage/storage.h"

/* Internal: the drive allows another try. Reported as EIO when tries do not help. */
#define DRW_ETRANSIENT	EALREADY
/* Internal: no tag is free, or the queue is frozen. */
#define DRW_ENOTAG	ENOBUFS

/**
 * struct drw_rw - a command
 * @op: enum dmabuf_rw_op
 * @fua: force unit access
 * @sgl: @dptr is an SGL
 * @pos: where on the disk, in bytes
 * @bytes: how many; whole LBAs
 * @dptr: data pointer
 */
struct drw_rw {
	u32 op;
	bool fua;
	bool sgl;
	u64 pos;
	u32 bytes;
	union drw_dptr dptr;
};

u32 drw_rq_max_bytes(struct gendisk *disk, u32 lba_bytes);
int drw_rq_error_told(struct request *rq, blk_status_t status);

static inline struct drw_nvme_request *drw_rq_nvme(struct request *rq)
{
	return blk_mq_rq_to_pdu(rq);
}

/**
 * drw_rq_alloc() - allocate a passthrough request on a path
 * @s: the namespace
 * @disk: the path
 * @op: enum dmabuf_rw_op
 * @nowait: fail with -DRW_ENOTAG rather than wait for a tag or for a frozen queue
 * @polled: on a poll queue, or not at all
 *
 * Checks the namespace's format while the request keeps the queue from being frozen, and so
 * the format from changing. A check before the wait would be stale.
 *
 * Return: the request, or an ERR_PTR: -DRW_ENOTAG, -ENODEV if the disk is gone, -EMEDIUMTYPE
 * if its format has changed since BIND, -ENOMEM, -EOPNOTSUPP if there is no poll queue.
 */
static __always_inline struct request *drw_rq_alloc(struct drw_storage *s, struct gendisk *disk,
						    u32 op, bool nowait, bool polled)
{
	blk_opf_t opf = op == DMABUF_RW_OP_READ ? REQ_OP_DRV_IN : REQ_OP_DRV_OUT;
	struct request *rq;
	int ret;

	if (polled)
		opf |= REQ_POLLED;
	rq = blk_mq_alloc_request(disk->queue, opf, nowait ? BLK_MQ_REQ_NOWAIT : 0);
	if (IS_ERR(rq)) {
		if (rq != ERR_PTR(-EAGAIN))
			return rq;
		/* The same for a dying disk, whose queue may stay frozen. */
		return ERR_PTR(drw_disk_alive(disk) ? -DRW_ENOTAG : -ENODEV);
	}

	if (unlikely(!get_capacity(disk)))
		ret = -ENODEV;
	else
		ret = drw_target_check_format(s, disk);
	if (!ret && unlikely(polled && rq->mq_hctx->type != HCTX_TYPE_POLL))
		ret = -EOPNOTSUPP;
	if (likely(!ret))
		return rq;
	blk_mq_free_request(rq);
	return ERR_PTR(ret);
}

/*
 * Poll the queue that a request went to. Takes no request, since another poller may reap and
 * free it at any time. The caller keeps @q and @hctx in memory. Returns how many have ended.
 */
static inline int drw_rq_poll(struct request_queue *q, struct blk_mq_hw_ctx *hctx,
			      struct io_comp_batch *iob)
{
	int ret;

	if (!percpu_ref_tryget(&q->q_usage_counter))
		return 0;
	ret = q->mq_ops->poll(hctx, iob);
	percpu_ref_put(&q->q_usage_counter);
	return ret;
}

/**
 * drw_rq_init() - put a command into a request
 * @rq: from drw_rq_alloc()
 * @s: the namespace
 * @rw: the command
 *
 * nvme_init_request() makes the command fail fast: errors come back at once.
 */
static __always_inline void drw_rq_init(struct request *rq, const struct drw_storage *s,
					const struct drw_rw *rw)
{
	/* The mask is free, and spares a check by UBSAN. */
	unsigned int shift = s->lba_shift & 63;
	/* All of it is set below; clearing it first costs a slow instruction. */
	struct nvme_command c __uninitialized;

	c.rw = (struct nvme_rw_command) {
		.opcode = rw->op == DMABUF_RW_OP_READ ? nvme_cmd_read : nvme_cmd_write,
		.flags = 0,
		.command_id = 0,
		.nsid = cpu_to_le32(s->nsid),
		.cdw2 = 0,
		.cdw3 = 0,
		.metadata = 0,
		/* All 16 bytes, also of an SGL descriptor. */
		.dptr = { .prp1 = rw->dptr.prp1, .prp2 = rw->dptr.prp2 },
		.slba = cpu_to_le64(rw->pos >> shift),
		.length = cpu_to_le16(((u64)rw->bytes >> shift) - 1),
		.control = rw->fua ? cpu_to_le16(NVME_RW_FUA) : 0,
		.dsmgmt = 0,
		.reftag = 0,
		.lbat = 0,
		.lbatm = 0,
	};

	nvme_init_request(rq, &c);
	/* After nvme_init_request(), which clears flags that a submitter normally cannot know. */
	if (rw->sgl)
		drw_rq_nvme(rq)->cmd->common.flags |= NVME_CMD_SGL_METABUF;
}

/**
 * drw_rq_error() - the errno of a command that has ended
 * @rq: the request, not freed yet
 * @status: the block layer's status
 *
 * @status alone is not enough: passthrough requests that complete in a batch end with
 * BLK_STS_OK whatever the drive reported (blk_mq_add_to_batch() takes failed ones,
 * blk_mq_end_request_batch() passes 0). The drive's own status is in the private area.
 *
 * Return: 0 or a negative errno; -DRW_ETRANSIENT where ordinary I/O would be repeated.
 */
static inline int drw_rq_error(struct request *rq, blk_status_t status)
{
	if (likely(!drw_rq_nvme(rq)->status && !status))
		return 0;
	return drw_rq_error_told(rq, status);
}

#endif /* _DRW_REQUEST_H */
