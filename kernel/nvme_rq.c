// SPDX-License-Identifier: GPL-2.0-only
/*
 * nvme_rq.c - NVMe Read and Write commands as block-layer passthrough requests.
 *
 * See nvme_rq.h. Two things here are the NVMe driver's private matter: that the first
 * word of a request's private area points to its command, and that the command's data
 * pointer is left alone. drw_nvme_probe() proves both on each controller before it is
 * used, by reading one LBA into scratch memory and looking at what arrived; the same
 * reads find out whether the controller takes SGLs, for which there is no public source
 * in the kernel.
 */
#include <linux/moduleparam.h>
#include <linux/nvme.h>

#include "../include/uapi/dmabuf_rw.h"
#include "compat.h"
#include "nvme_rq.h"

static bool use_sgl = true;
module_param(use_sgl, bool, 0444);
MODULE_PARM_DESC(use_sgl, "use SGLs where a controller takes them (default: true)");

static_assert(sizeof(struct drw_sgl_desc) == sizeof(struct nvme_sgl_desc));
static_assert(sizeof(union drw_dptr) == sizeof(union nvme_data_ptr));
static_assert(DRW_SGL_LAST_SEGMENT == NVME_SGL_FMT_LAST_SEG_DESC << 4);

/* The command in a request's private area; see above. */
static struct nvme_command *rq_cmd(struct request *rq)
{
	return *(struct nvme_command **)blk_mq_rq_to_pdu(rq);
}

/**
 * drw_rq_alloc() - a passthrough request on a path
 * @disk: the path
 * @op: enum dmabuf_rw_op
 * @nowait: fail with -EAGAIN rather than wait for a tag
 * @polled: on a poll queue, or not at all
 *
 * Return: the request, or an ERR_PTR: -EAGAIN, -ENODEV if the disk has gone, -EOPNOTSUPP
 * if there is no poll queue.
 */
struct request *drw_rq_alloc(struct gendisk *disk, u32 op, bool nowait, bool polled)
{
	blk_opf_t opf = op == DMABUF_RW_OP_READ ? REQ_OP_DRV_IN : REQ_OP_DRV_OUT;
	struct request *rq;

	if (polled)
		opf |= REQ_POLLED;
	rq = blk_mq_alloc_request(disk->queue, opf, nowait ? BLK_MQ_REQ_NOWAIT : 0);
	if (!IS_ERR(rq) && polled && rq->mq_hctx->type != HCTX_TYPE_POLL) {
		blk_mq_free_request(rq);
		return ERR_PTR(-EOPNOTSUPP);
	}
	return rq;
}

/**
 * drw_rq_init() - put a command into a request
 * @rq: from drw_rq_alloc()
 * @rw: the command
 * @retry: let the NVMe driver hold and repeat the command over a controller reset, as it
 *	does for ordinary reads and writes. Not on a path of a multipath namespace, where
 *	errors must come back at once, so that we try another path.
 */
void drw_rq_init(struct request *rq, const struct drw_rw *rw, bool retry)
{
	unsigned int lba_shift = ilog2(rw->lba_bytes);
	struct nvme_command c = { };

	c.rw.opcode = rw->op == DMABUF_RW_OP_READ ? nvme_cmd_read : nvme_cmd_write;
	c.rw.nsid = cpu_to_le32(rw->nsid);
	c.rw.slba = cpu_to_le64(rw->sector >> (lba_shift - SECTOR_SHIFT));
	c.rw.length = cpu_to_le16((rw->bytes >> lba_shift) - 1);
	if (rw->fua)
		c.rw.control = cpu_to_le16(NVME_RW_FUA);
	memcpy(&c.rw.dptr, &rw->dptr, sizeof(c.rw.dptr));

	nvme_init_request(rq, &c);
	/* nvme_init_request() clears these flags: a submitter normally cannot know them. */
	if (rw->sgl)
		rq_cmd(rq)->common.flags |= NVME_CMD_SGL_METABUF;
	if (retry)
		rq->cmd_flags &= ~REQ_FAILFAST_DRIVER;
}

/* A command's status as an errno of this interface. */
int drw_rq_status(blk_status_t status)
{
	switch (status) {
	case BLK_STS_OK:
	case BLK_STS_TIMEOUT:
	case BLK_STS_NOSPC:
	case BLK_STS_TRANSPORT:
	case BLK_STS_RESV_CONFLICT:
	case BLK_STS_MEDIUM:
	case BLK_STS_PROTECTION:
	case BLK_STS_OFFLINE:
		return blk_status_to_errno(status);
	default:
		/* The errnos of the others have meanings of their own in this interface. */
		return -EIO;
	}
}

/* Scratch memory for probing: a page for the list, one for the reference, one for the test. */
struct probe {
	const struct drw_target *t;
	struct gendisk *disk;
	u32 bytes;
	void *ref;
	dma_addr_t ref_dma;
	void *buf;
	dma_addr_t buf_dma;
	struct drw_sgl_desc *list;
	dma_addr_t list_dma;
};

static int probe_read(struct probe *p, const union drw_dptr *dptr, bool sgl, blk_status_t *status)
{
	struct drw_rw rw = {
		.op = DMABUF_RW_OP_READ,
		.sgl = sgl,
		.nsid = p->t->nsid,
		.bytes = p->bytes,
		.lba_bytes = p->bytes,
		.dptr = *dptr,
	};
	struct nvme_command *cmd;
	struct request *rq;
	char *pdu;

	rq = drw_rq_alloc(p->disk, rw.op, false, false);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	pdu = blk_mq_rq_to_pdu(rq);

	/* Is the command where we think it is, and is it ours? */
	drw_rq_init(rq, &(struct drw_rw) { .op = rw.op, .nsid = rw.nsid, .bytes = rw.bytes,
					   .lba_bytes = rw.lba_bytes, .dptr = rw.dptr }, false);
	cmd = rq_cmd(rq);
	if ((char *)cmd < pdu ||
	    (char *)cmd + sizeof(*cmd) > pdu + rq->q->tag_set->cmd_size ||
	    cmd->rw.opcode != nvme_cmd_read || cmd->rw.nsid != cpu_to_le32(rw.nsid) ||
	    memcmp(&cmd->rw.dptr, dptr, sizeof(*dptr))) {
		blk_mq_free_request(rq);
		return -EPROTO;
	}

	drw_rq_init(rq, &rw, false);
	rq->rq_flags |= RQF_QUIET;
	*status = blk_execute_rq(rq, false);
	blk_mq_free_request(rq);
	return 0;
}

/*
 * Read the LBA through an SGL of @nr pieces that ends at the ends in @cut, with a gap of
 * @gap bytes after each piece. True if every byte came where the list says, and nowhere
 * else: a controller that took the list for PRPs would have written over the list itself.
 */
static int probe_sgl(struct probe *p, u32 cut, u32 gap)
{
	u32 second = p->bytes - cut, i;
	union drw_dptr dptr = { };
	blk_status_t status;
	u8 *buf = p->buf;
	int ret;

	/* Both pieces and the gaps fit in twice the LBA. */
	for (i = 0; i < 2 * p->bytes; i++)
		buf[i] = 0x5a;
	memset(p->list, 0, 2 * sizeof(*p->list));
	p->list[0].addr = cpu_to_le64(p->buf_dma + gap);
	p->list[0].length = cpu_to_le32(cut);
	p->list[1].addr = cpu_to_le64(p->buf_dma + 2 * gap + cut);
	p->list[1].length = cpu_to_le32(second);
	dptr.sgl.addr = cpu_to_le64(p->list_dma);
	dptr.sgl.length = cpu_to_le32(2 * sizeof(*p->list));
	dptr.sgl.type = DRW_SGL_LAST_SEGMENT;

	ret = probe_read(p, &dptr, true, &status);
	if (ret)
		return ret;
	if (status || le32_to_cpu(p->list[1].length) != second ||
	    memcmp(buf + gap, p->ref, cut) || memcmp(buf + 2 * gap + cut, p->ref + cut, second))
		return 0;
	for (i = 0; i < 2 * p->bytes; i++) {
		if (i >= gap && i < gap + cut)
			continue;
		if (i >= 2 * gap + cut && i < 2 * gap + p->bytes)
			continue;
		if (buf[i] != 0x5a)
			return 0;
	}
	return 1;
}

/* The reference read. Proves that a data pointer of ours reaches the drive. */
static int probe_prp(struct probe *p)
{
	union drw_dptr dptr = {
		.prp1 = cpu_to_le64(p->ref_dma),
		.prp2 = p->bytes > DRW_PAGE_BYTES ? cpu_to_le64(p->ref_dma + DRW_PAGE_BYTES) : 0,
	};
	blk_status_t status;
	u32 i;
	int ret, pass;

	/*
	 * Two patterns: a byte that keeps both is one that nobody wrote. The whole LBA
	 * cannot equal both.
	 */
	for (pass = 0; pass < 2; pass++) {
		u8 pattern = pass ? 0xc3 : 0x3c;

		memset(p->ref, pattern, p->bytes);
		ret = probe_read(p, &dptr, false, &status);
		if (ret)
			return ret;
		/* A bad first block says nothing about the driver; other I/O will tell. */
		if (status)
			return drw_rq_status(status);
		for (i = 0; i < p->bytes; i++)
			if (((u8 *)p->ref)[i] != pattern)
				return 0;
	}
	return -EPROTO;
}

/**
 * drw_nvme_probe() - prove the mechanism on a controller, and find out about SGLs
 * @t: a namespace
 * @disk: a path to it
 * @dd: the path's controller; dd->sgl and dd->sgl_known are set
 * @reason: enum dmabuf_rw_reason, set on failure
 *
 * Reads the namespace's first LBA into scratch memory, once per controller.
 *
 * Return: 0, -EPROTO, -ENODEV or -ENOMEM.
 */
int drw_nvme_probe(const struct drw_target *t, struct gendisk *disk, struct drw_dmadev *dd,
		   u32 *reason)
{
	struct probe p = { .t = t, .disk = disk, .bytes = t->lba_bytes };
	enum drw_sgl_support sgl = DRW_SGL_NONE;
	int ret = 0, attempt, found = 0;

	mutex_lock(&dd->lock);
	if (dd->gone) {
		ret = -ENODEV;
		goto unlock;
	}
	if (dd->sgl_known)
		goto unlock;

	ret = -ENOMEM;
	p.ref = dma_alloc_coherent(dd->dev, p.bytes, &p.ref_dma, GFP_KERNEL);
	p.buf = dma_alloc_coherent(dd->dev, 2 * p.bytes, &p.buf_dma, GFP_KERNEL);
	p.list = dma_alloc_coherent(dd->dev, DRW_PAGE_BYTES, &p.list_dma, GFP_KERNEL);
	if (!p.ref || !p.buf || !p.list)
		goto free;

	/* An LBA above two pages would need a list in PRP2; contiguous, so use SGL or skip. */
	if (p.bytes > 2 * DRW_PAGE_BYTES) {
		ret = 0;
		goto known;
	}

	/* Somebody may write the LBA between the reads: an honest mismatch is rare, so retry. */
	for (attempt = 0; attempt < 3 && !found; attempt++) {
		ret = probe_prp(&p);
		if (ret == -EPROTO || ret == -ENODEV)
			goto free;
		if (ret) {
			/* Not proven, not disproven: the next bind tries again. */
			ret = 0;
			goto free;
		}
		if (!use_sgl)
			break;
		found = probe_sgl(&p, 123, 7);
		if (found > 0)
			sgl = DRW_SGL_BYTE;
		if (!found) {
			found = probe_sgl(&p, 256, 32);
			if (found > 0)
				sgl = DRW_SGL_DWORD;
		}
		if (found < 0) {
			ret = found;
			goto free;
		}
	}
known:
	dd->sgl = sgl;
	dd->sgl_known = true;
free:
	if (p.ref)
		dma_free_coherent(dd->dev, p.bytes, p.ref, p.ref_dma);
	if (p.buf)
		dma_free_coherent(dd->dev, 2 * p.bytes, p.buf, p.buf_dma);
	if (p.list)
		dma_free_coherent(dd->dev, DRW_PAGE_BYTES, p.list, p.list_dma);
unlock:
	mutex_unlock(&dd->lock);
	if (ret == -EPROTO)
		*reason = DMABUF_RW_REASON_DRIVER;
	else if (ret == -ENODEV)
		*reason = DMABUF_RW_REASON_GONE;
	return ret;
}
