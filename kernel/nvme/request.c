// SPDX-License-Identifier: GPL-2.0-only
/*
 * request.c - NVMe Read and Write commands as block-layer passthrough requests: the largest
 * one, and how one has failed. See request.h.
 */
#include "nvme/request.h"

static_assert(sizeof(struct drw_sgl_desc) == sizeof(struct nvme_sgl_desc));
static_assert(sizeof(union drw_dptr) == sizeof(union nvme_data_ptr));
static_assert(sizeof(union drw_dptr) == 2 * sizeof(__le64));
static_assert(sizeof(struct nvme_rw_command) == sizeof(struct nvme_command));
static_assert(DRW_SGL_LAST_SEGMENT == NVME_SGL_FMT_LAST_SEG_DESC << 4);

/**
 * drw_rq_max_bytes() - the most bytes that a command may move
 * @disk: a path
 * @lba_bytes: LBA size
 *
 * The hardware's limit, or queue/max_sectors_kb if a user has set it lower; its default does
 * not limit commands. Under a translating IOMMU the driver lowers the hardware's limit to what
 * is fast to map. The drive's own limit (MDTS) cannot be read anywhere.
 *
 * Return: whole LBAs, at least one.
 */
u32 drw_rq_max_bytes(struct gendisk *disk, u32 lba_bytes)
{
	const struct queue_limits *lim = &disk->queue->limits;
	u64 bytes = (u64)min_not_zero(lim->max_hw_sectors, READ_ONCE(lim->max_user_sectors))
		    << SECTOR_SHIFT;

	bytes = min_t(u64, bytes, DRW_MAX_CMD_BYTES);
	return max_t(u32, round_down(bytes, lba_bytes), lba_bytes);
}

/* drw_rq_error() of a command that failed. */
int drw_rq_error_told(struct request *rq, blk_status_t status)
{
	u16 nvme_status = drw_rq_nvme(rq)->status;

	/* The command did not reach the drive: its queue was not ready. */
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
