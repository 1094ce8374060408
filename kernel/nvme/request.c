// SPDX-License-Identifier: GPL-2.0-only
/*
 * request.c - NVMe Read and Write commands as block-layer passthrough requests.
 *
 * See request.h. drw_nvme_probe() proves what that says by reading one LBA into scratch
 * memory and looking at what arrived, and by a read that must fail; the same reads find out
 * whether the controller takes SGLs, for which there is no public source in the kernel.
 */
#include <linux/dma-mapping.h>
#include <linux/moduleparam.h>
#include <linux/nvme.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "nvme/request.h"

static bool use_sgl = true;
module_param(use_sgl, bool, 0444);
MODULE_PARM_DESC(use_sgl, "use SGLs where a controller takes them (default: true)");

static_assert(sizeof(struct drw_sgl_desc) == sizeof(struct nvme_sgl_desc));
static_assert(sizeof(union drw_dptr) == sizeof(union nvme_data_ptr));
static_assert(sizeof(union drw_dptr) == 2 * sizeof(__le64));
static_assert(sizeof(struct nvme_rw_command) == sizeof(struct nvme_command));
static_assert(DRW_SGL_LAST_SEGMENT == NVME_SGL_FMT_LAST_SEG_DESC << 4);

/* drw_rq_error() of a command that has not gone well. */
int drw_rq_error_told(struct request *rq, blk_status_t status)
{
	u16 nvme_status = drw_rq_nvme(rq)->status;

	/* The drive has never seen it: its queue was not ready. */
	if (!nvme_status)
		return status == BLK_STS_OFFLINE ? -ENODEV :
		       status == BLK_STS_TIMEOUT ? -ETIMEDOUT : -ENOLINK;

	/* Status codes: NVM Express Base Specification 2.0, section 3.3.3.2.1. */
	if ((nvme_status & NVME_SCT_MASK) == NVME_SCT_PATH)
		return -ENOLINK;
	switch (nvme_status & NVME_SCT_SC_MASK) {
	case NVME_SC_CAP_EXCEEDED:
		return -ENOSPC;
	case NVME_SC_WRITE_FAULT:
	case NVME_SC_READ_ERROR:
	case NVME_SC_UNWRITTEN_BLOCK:
	case NVME_SC_ACCESS_DENIED:
	case NVME_SC_COMPARE_FAILED:
		return -ENODATA;
	case NVME_SC_READ_ONLY:
		return -EPERM;
	case NVME_SC_GUARD_CHECK:
	case NVME_SC_APPTAG_CHECK:
	case NVME_SC_REFTAG_CHECK:
	case NVME_SC_INVALID_PI:
		return -EILSEQ;
	case NVME_SC_RESERVATION_CONFLICT:
		return -EBADE;
	default:
		return nvme_status & NVME_STATUS_DNR ? -EIO : -DRW_ETRANSIENT;
	}
}

/*
 * Scratch memory for probing: a page for the list, one for the reference, two for the test.
 * @reason: what -EPROTO stands for.
 */
struct probe {
	struct drw_target *t;
	struct gendisk *disk;
	u64 sector;
	u32 bytes;
	u32 reason;
	void *ref;
	dma_addr_t ref_dma;
	void *buf;
	dma_addr_t buf_dma;
	struct drw_sgl_desc *list;
	dma_addr_t list_dma;
};

/* Read the LBA at p->sector. @error: how the drive ended it. */
static int probe_read(struct probe *p, const union drw_dptr *dptr, bool sgl, int *error)
{
	struct drw_rw rw = {
		.op = DMABUF_RW_OP_READ,
		.sector = p->sector,
		.bytes = p->bytes,
		.dptr = *dptr,
	};
	struct nvme_command *cmd;
	blk_status_t status;
	struct request *rq;
	char *pdu;

	rq = drw_rq_alloc(p->t, p->disk, rw.op, false, false);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	pdu = blk_mq_rq_to_pdu(rq);

	/* Is the command where we think it is, and is it ours? Only then touch its flags. */
	drw_rq_init(rq, p->t, &rw);
	cmd = drw_rq_nvme(rq)->cmd;
	if (rq->q->tag_set->cmd_size < sizeof(struct drw_nvme_request) || (char *)cmd < pdu ||
	    (char *)cmd + sizeof(*cmd) > pdu + rq->q->tag_set->cmd_size ||
	    cmd->rw.opcode != nvme_cmd_read || cmd->rw.nsid != cpu_to_le32(p->t->nsid) ||
	    memcmp(&cmd->rw.dptr, dptr, sizeof(*dptr))) {
		blk_mq_free_request(rq);
		return -EPROTO;
	}
	if (sgl)
		cmd->common.flags |= NVME_CMD_SGL_METABUF;

	rq->rq_flags |= RQF_QUIET;
	status = blk_execute_rq(rq, false);
	*error = drw_rq_error(rq, status);
	blk_mq_free_request(rq);
	return 0;
}

/*
 * Read the LBA through an SGL of two pieces, the first of @cut bytes, with a gap of @gap
 * bytes before each. 1 if every byte came where the list says, and nowhere else: a
 * controller that took the list for PRPs would have written over the list itself.
 */
static int probe_sgl(struct probe *p, u32 cut, u32 gap)
{
	u32 second = p->bytes - cut, i;
	union drw_dptr dptr = { };
	u8 *buf = p->buf;
	int error, ret;

	/* Both pieces and the gaps fit in twice the LBA. */
	memset(buf, 0x5a, 2 * p->bytes);
	memset(p->list, 0, 2 * sizeof(*p->list));
	p->list[0].addr = cpu_to_le64(p->buf_dma + gap);
	p->list[0].length = cpu_to_le32(cut);
	p->list[1].addr = cpu_to_le64(p->buf_dma + 2 * gap + cut);
	p->list[1].length = cpu_to_le32(second);
	dptr.sgl.addr = cpu_to_le64(p->list_dma);
	dptr.sgl.length = cpu_to_le32(2 * sizeof(*p->list));
	dptr.sgl.type = DRW_SGL_LAST_SEGMENT;

	ret = probe_read(p, &dptr, true, &error);
	if (ret)
		return ret;
	if (error || le32_to_cpu(p->list[1].length) != second ||
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

/* The reference read: 0 proves that a data pointer of ours reaches the drive. */
static int probe_prp(struct probe *p, int *error)
{
	union drw_dptr dptr = { .prp1 = cpu_to_le64(p->ref_dma) };
	int ret, pass;

	/*
	 * Two patterns: a byte that keeps both is one that nobody wrote, and the LBA cannot
	 * equal both.
	 */
	for (pass = 0; pass < 2; pass++) {
		u8 pattern = pass ? 0xc3 : 0x3c;

		memset(p->ref, pattern, p->bytes);
		ret = probe_read(p, &dptr, false, error);
		if (ret || *error)
			return ret;
		if (memchr_inv(p->ref, pattern, p->bytes))
			return 0;
	}
	return -EPROTO;
}

/* An LBA that can be read; a medium may have bad ones. */
static int probe_find_lba(struct probe *p)
{
	const sector_t lba_sectors = p->bytes >> SECTOR_SHIFT, capacity = get_capacity(p->disk);
	const sector_t places[] = { 0, capacity / 2, capacity - lba_sectors };
	int ret, i, error = 0;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		p->sector = round_down(places[i], lba_sectors);
		ret = probe_prp(p, &error);
		if (ret || !error)
			return ret;
	}
	/* Not proven is not good enough. A path that is down may come back. */
	p->reason = DMABUF_RW_REASON_UNREADABLE;
	return error == -ENOLINK || error == -ENODEV ? -ENODEV : -EPROTO;
}

/* A read behind the last LBA: 0 if we see that the drive fails it. */
static int probe_status(struct probe *p)
{
	union drw_dptr dptr = { .prp1 = cpu_to_le64(p->ref_dma) };
	sector_t good = p->sector;
	int ret, error;

	p->sector = round_up(get_capacity(p->disk), p->bytes >> SECTOR_SHIFT);
	ret = probe_read(p, &dptr, false, &error);
	p->sector = good;
	if (ret)
		return ret;
	if (error == -ENOLINK || error == -ENODEV)
		return -ENODEV;
	return error ? 0 : -EPROTO;
}

/* What SGLs the controller takes, or a negative errno if the mechanism does not work. */
static int probe_controller(struct probe *p)
{
	int attempt, found;

	/* Somebody may write the LBA between the reads: rare, so try again. */
	for (attempt = 0; attempt < 3; attempt++) {
		found = probe_find_lba(p);
		if (!found && !attempt)
			found = probe_status(p);
		if (found)
			return found;
		if (!use_sgl)
			return DRW_SGL_NONE;
		found = probe_sgl(p, 123, 7);
		if (found)
			return found > 0 ? DRW_SGL_BYTE : found;
		found = probe_sgl(p, 256, 32);
		if (found)
			return found > 0 ? DRW_SGL_DWORD : found;
	}
	return DRW_SGL_NONE;
}

/**
 * drw_nvme_probe() - prove the mechanism on a controller, and find out about SGLs
 * @t: a namespace
 * @disk: a path to it
 * @ctrl: the path's controller; ctrl->sgl and ctrl->sgl_known are set
 * @reason: enum dmabuf_rw_reason, set on failure
 *
 * Reads one LBA of the namespace into scratch memory a few times, once per controller.
 *
 * Return: 0, -EPROTO, -ENODEV, -EMEDIUMTYPE or -ENOMEM.
 */
int drw_nvme_probe(struct drw_target *t, struct gendisk *disk, struct drw_controller *ctrl,
		   u32 *reason)
{
	struct probe p = {
		.t = t,
		.disk = disk,
		.bytes = t->lba_bytes,
		.reason = DMABUF_RW_REASON_DRIVER,
	};
	int ret;

	mutex_lock(&ctrl->probe_lock);
	if (ctrl->gone) {
		ret = -ENODEV;
		goto unlock;
	}
	ret = 0;
	if (ctrl->sgl_known)
		goto unlock;

	ret = -ENOMEM;
	p.ref = dma_alloc_coherent(ctrl->dev, p.bytes, &p.ref_dma, GFP_KERNEL);
	p.buf = dma_alloc_coherent(ctrl->dev, 2 * p.bytes, &p.buf_dma, GFP_KERNEL);
	p.list = dma_alloc_coherent(ctrl->dev, DRW_PAGE_BYTES, &p.list_dma, GFP_KERNEL);
	if (!p.ref || !p.buf || !p.list)
		goto free;

	ret = probe_controller(&p);
	if (ret >= 0) {
		WRITE_ONCE(ctrl->sgl, ret);
		ctrl->sgl_known = true;
		ret = 0;
	}
free:
	if (p.ref)
		dma_free_coherent(ctrl->dev, p.bytes, p.ref, p.ref_dma);
	if (p.buf)
		dma_free_coherent(ctrl->dev, 2 * p.bytes, p.buf, p.buf_dma);
	if (p.list)
		dma_free_coherent(ctrl->dev, DRW_PAGE_BYTES, p.list, p.list_dma);
unlock:
	mutex_unlock(&ctrl->probe_lock);
	if (ret == -EPROTO)
		*reason = p.reason;
	else if (ret == -ENODEV)
		*reason = DMABUF_RW_REASON_GONE;
	else if (ret == -EMEDIUMTYPE)
		*reason = DMABUF_RW_REASON_LBA_SIZE;
	return ret;
}
