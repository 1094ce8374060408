/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nvme_rq.h - NVMe Read and Write commands as block-layer passthrough requests.
 *
 * The mechanism of this module in one place: a passthrough request without a bio has no
 * physical segments, so the NVMe driver maps nothing, and the data pointer that we put in
 * the command goes to the drive as it is (nvme_prep_rq(), drivers/nvme/host/pci.c).
 * Everything else is the driver's: tags, queues, doorbells, timeouts, aborts, resets.
 */
#ifndef _DRW_NVME_RQ_H
#define _DRW_NVME_RQ_H

#include "target.h"

/* Inside the module: the drive asks to try again. Reported as EIO when that is of no use. */
#define DRW_ETRANSIENT	EALREADY

/**
 * struct drw_rw - what a command shall do
 * @op: enum dmabuf_rw_op
 * @fua: force unit access
 * @sgl: @dptr is an SGL
 * @nsid: namespace
 * @sector: where on the disk, in units of 512 bytes
 * @bytes: how much; a multiple of @lba_bytes
 * @lba_bytes: LBA size
 * @dptr: data pointer
 */
struct drw_rw {
	u32 op;
	bool fua;
	bool sgl;
	u32 nsid;
	u64 sector;
	u32 bytes;
	u32 lba_bytes;
	union drw_dptr dptr;
};

struct request *drw_rq_alloc(struct drw_target *t, struct gendisk *disk, u32 op,
			     bool nowait, bool polled);
void drw_rq_init(struct request *rq, const struct drw_rw *rw);
int drw_rq_error(struct request *rq, blk_status_t status);

int drw_nvme_probe(struct drw_target *t, struct gendisk *disk, struct drw_dmadev *dd,
		   u32 *reason);

#endif /* _DRW_NVME_RQ_H */
