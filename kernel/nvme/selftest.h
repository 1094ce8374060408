/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * selftest.h - proves on each controller, before it is used, what request.h assumes about the
 * NVMe driver, and finds which SGLs the controller takes, which the kernel does not publish.
 *
 * It reads one LBA into scratch memory a few times and checks what arrived. One read must
 * fail, to prove that the drive's status is seen: a read by an SGL that the controller does not
 * take, else one beyond the last LBA. Failed commands fill the drive's small error log, so a
 * success is kept as long as the controller has its driver. A failure is not kept: perhaps no
 * LBA could be read, or somebody wrote to it meanwhile.
 */
#ifndef _DRW_SELFTEST_H
#define _DRW_SELFTEST_H

#include "nvme/controller.h"
#include "refusal.h"
#include "storage/storage.h"

int drw_selftest(struct drw_storage *storage, struct gendisk *disk, struct drw_controller *ctrl,
		 struct drw_refusal *refusal);

#endif /* _DRW_SELFTEST_H */
