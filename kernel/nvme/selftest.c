// SPDX-License-Identifier: GPL-2.0-only
/*
 * selftest.c - checks that the NVMe driver does what this module relies on. See selftest.h.
 */
#include <linux/dma-mapping.h>
#include <linux/moduleparam.h>

#include "nvme/request.h"
#include "nvme/selftest.h"

static bool use_sgl = true;
module_param(use_sgl, bool, 0444);
MODULE_PARM_DESC(use_sgl, "use SGLs where a controller takes them (default: true)");

/* Another writer may change the LBA between two reads. That is rare, so try again. */
#define SELFTEST_TRIES	3

/**
 * struct selftest - one run
 * @storage: the namespace
 * @disk: the path
 * @sector: the LBA that is read
 * @bytes: its length; requests fail if the namespace's LBAs have another by then
 * @reason: what -EPROTO stands for
 * @sgl: SGLs that were seen to work
 * @failure_seen: a read has failed, and the failure was seen
 * @ref: memory for the LBA as it is
 * @buf: memory of twice its length
 * @list: memory for an SGL
 */
struct selftest {
	struct drw_storage *storage;
	struct gendisk *disk;
	u64 sector;
	u32 bytes;
	u32 reason;
	enum drw_sgl_support sgl;
	bool failure_seen;
	void *ref;
	dma_addr_t ref_dma;
	void *buf;
	dma_addr_t buf_dma;
	struct drw_sgl_desc *list;
	dma_addr_t list_dma;
};

/* Is the command where we expect it, and ours? Only then may its flags be changed. */
static bool selftest_owns(struct selftest *s, struct request *rq, const union drw_dptr *dptr)
{
	const struct nvme_command *cmd = drw_rq_nvme(rq)->cmd;
	unsigned int size = rq->q->tag_set->cmd_size;
	const char *pdu = blk_mq_rq_to_pdu(rq);

	return size >= sizeof(struct drw_nvme_request) && (const char *)cmd >= pdu &&
	       (const char *)cmd + sizeof(*cmd) <= pdu + size &&
	       cmd->rw.opcode == nvme_cmd_read && cmd->rw.nsid == cpu_to_le32(s->storage->nsid) &&
	       !memcmp(&cmd->rw.dptr, dptr, sizeof(*dptr));
}

/* Read the LBA at s->sector. *@error: the drive's result; -ENODEV if it has not given one. */
static int selftest_read(struct selftest *s, const union drw_dptr *dptr, bool sgl, int *error)
{
	struct drw_rw rw = {
		.op = DMABUF_RW_OP_READ,
		.pos = s->sector << SECTOR_SHIFT,
		.bytes = s->bytes,
		.dptr = *dptr,
	};
	blk_status_t status;
	struct request *rq;

	rq = drw_rq_alloc(s->storage, s->disk, rw.op, false, false);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	drw_rq_init(rq, s->storage, &rw);
	if (!selftest_owns(s, rq, dptr)) {
		blk_mq_free_request(rq);
		return -EPROTO;
	}
	if (sgl)
		drw_rq_nvme(rq)->cmd->common.flags |= NVME_CMD_SGL_METABUF;

	rq->rq_flags |= RQF_QUIET;
	status = blk_execute_rq(rq, false);
	*error = drw_rq_error(rq, status);
	blk_mq_free_request(rq);
	/* Not a failure for good: a path that is down may come back. */
	return *error == -ENOLINK || *error == -ENODEV ? -ENODEV : 0;
}

/* The reference read. 0, and *@error 0, prove that our data pointer reaches the drive. */
static int selftest_prp(struct selftest *s, int *error)
{
	union drw_dptr dptr = { .prp1 = cpu_to_le64(s->ref_dma) };
	int ret, pass;

	/* Two patterns: memory that keeps both was not written, since the LBA cannot equal both. */
	for (pass = 0; pass < 2; pass++) {
		u8 pattern = pass ? 0xc3 : 0x3c;

		memset(s->ref, pattern, s->bytes);
		ret = selftest_read(s, &dptr, false, error);
		if (ret || *error)
			return ret;
		if (memchr_inv(s->ref, pattern, s->bytes))
			return 0;
	}
	return -EPROTO;
}

/* Find an LBA that can be read; a medium may have bad ones. */
static int selftest_find_lba(struct selftest *s)
{
	const sector_t lba_sectors = s->bytes >> SECTOR_SHIFT, capacity = get_capacity(s->disk);
	const sector_t places[] = { 0, capacity / 2, capacity - lba_sectors };
	int ret, i, error = 0;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		s->sector = round_down(places[i], lba_sectors);
		ret = selftest_prp(s, &error);
		if (ret || !error)
			return ret;
	}
	/* Nothing could be proven. */
	s->reason = DMABUF_RW_REASON_UNREADABLE;
	return -EPROTO;
}

/* Read beyond the last LBA: do we see that the drive fails it? */
static int selftest_failure(struct selftest *s)
{
	union drw_dptr dptr = { .prp1 = cpu_to_le64(s->ref_dma) };
	int ret, error;

	s->sector = round_up(get_capacity(s->disk), s->bytes >> SECTOR_SHIFT);
	ret = selftest_read(s, &dptr, false, &error);
	return ret ?: error ? 0 : -EPROTO;
}

/* Is every byte where the list of selftest_sgl() puts it, and nowhere else? */
static bool selftest_arrived(const struct selftest *s, u32 cut, u32 gap)
{
	const u8 *buf = s->buf, *ref = s->ref;
	u32 second = s->bytes - cut, i;

	/* A controller that takes the list for PRPs writes over the list itself. */
	if (le32_to_cpu(s->list[1].length) != second || memcmp(buf + gap, ref, cut) ||
	    memcmp(buf + 2 * gap + cut, ref + cut, second))
		return false;
	for (i = 0; i < 2 * s->bytes; i++) {
		bool first = i >= gap && i < gap + cut;
		bool last = i >= 2 * gap + cut && i < 2 * gap + s->bytes;

		if (!first && !last && buf[i] != 0x5a)
			return false;
	}
	return true;
}

/*
 * Read the LBA through an SGL of two pieces, the first of @cut bytes, with a gap of @gap bytes
 * before each. Returns 1 if that works, 0 if the controller fails it, -EAGAIN if neither was
 * seen, or an error of selftest_read().
 */
static int selftest_sgl(struct selftest *s, u32 cut, u32 gap)
{
	union drw_dptr dptr = { };
	int error, ret;

	/* Both pieces and the gaps fit in twice the LBA. */
	memset(s->buf, 0x5a, 2 * s->bytes);
	memset(s->list, 0, 2 * sizeof(*s->list));
	s->list[0].addr = cpu_to_le64(s->buf_dma + gap);
	s->list[0].length = cpu_to_le32(cut);
	s->list[1].addr = cpu_to_le64(s->buf_dma + 2 * gap + cut);
	s->list[1].length = cpu_to_le32(s->bytes - cut);
	dptr.sgl.addr = cpu_to_le64(s->list_dma);
	dptr.sgl.length = cpu_to_le32(2 * sizeof(*s->list));
	dptr.sgl.type = DRW_SGL_LAST_SEGMENT;

	ret = selftest_read(s, &dptr, true, &error);
	if (ret)
		return ret;
	if (error) {
		s->failure_seen = true;
		/* Other errors are the medium's, or transient. */
		return error == -EIO ? 0 : -EAGAIN;
	}
	return selftest_arrived(s, cut, gap) ? 1 : -EAGAIN;
}

/* Dwords first, so that a controller without SGLs fails one command, not two. */
static int selftest_find_sgl(struct selftest *s)
{
	int ret = selftest_sgl(s, 256, 32);

	if (ret <= 0)
		return ret;
	s->sgl = DRW_SGL_DWORD;
	ret = selftest_sgl(s, 123, 7);
	if (ret > 0)
		s->sgl = DRW_SGL_BYTE;
	return min(ret, 0);
}

static int selftest_run(struct selftest *s)
{
	int tries, ret = -EAGAIN;

	for (tries = 0; ret == -EAGAIN && tries < SELFTEST_TRIES; tries++) {
		ret = selftest_find_lba(s);
		if (!ret && use_sgl)
			ret = selftest_find_sgl(s);
	}
	/* After -EAGAIN only the SGLs seen to work are used. */
	if (ret && ret != -EAGAIN)
		return ret;
	return s->failure_seen ? 0 : selftest_failure(s);
}

static int selftest_alloc_and_run(struct selftest *s, struct device *dev)
{
	int ret = -ENOMEM;

	s->ref = dma_alloc_coherent(dev, s->bytes, &s->ref_dma, GFP_KERNEL);
	s->buf = dma_alloc_coherent(dev, 2 * s->bytes, &s->buf_dma, GFP_KERNEL);
	s->list = dma_alloc_coherent(dev, DRW_PAGE_BYTES, &s->list_dma, GFP_KERNEL);
	if (s->ref && s->buf && s->list)
		ret = selftest_run(s);
	if (s->ref)
		dma_free_coherent(dev, s->bytes, s->ref, s->ref_dma);
	if (s->buf)
		dma_free_coherent(dev, 2 * s->bytes, s->buf, s->buf_dma);
	if (s->list)
		dma_free_coherent(dev, DRW_PAGE_BYTES, s->list, s->list_dma);
	return ret;
}

/**
 * drw_selftest() - prove the mechanism on a controller, unless that has been done
 * @storage: a namespace
 * @disk: a path to it
 * @ctrl: the path's controller; ctrl->sgl is constant after success
 * @refusal: the cause, on failure
 *
 * Return: 0, -EPROTO, -ENODEV, -EMEDIUMTYPE, -ENOMEM, or -EINTR.
 */
int drw_selftest(struct drw_storage *storage, struct gendisk *disk, struct drw_controller *ctrl,
		 struct drw_refusal *refusal)
{
	struct selftest s = {
		.storage = storage,
		.disk = disk,
		.bytes = storage->lba_bytes,
		.reason = DMABUF_RW_REASON_DRIVER,
	};
	int ret = 0;

	if (mutex_lock_interruptible(&ctrl->test_lock))
		return -EINTR;
	if (ctrl->gone)
		ret = -ENODEV;
	else if (!ctrl->tested)
		ret = selftest_alloc_and_run(&s, ctrl->dev);
	if (!ret && !ctrl->tested) {
		ctrl->sgl = s.sgl;
		ctrl->tested = true;
	}
	mutex_unlock(&ctrl->test_lock);

	switch (ret) {
	case -EPROTO:
		return drw_refuse(refusal, s.reason, ret);
	case -ENODEV:
		return drw_refuse(refusal, DMABUF_RW_REASON_GONE, ret);
	case -EMEDIUMTYPE:
		return drw_refuse(refusal, DMABUF_RW_REASON_LBA_SIZE, ret);
	default:
		return ret;
	}
}
