/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * selftest.h - proves on each controller, before it is used, what request.h takes for
 * granted of the NVMe driver, and finds out what SGLs the controller takes, for which there is
 * no public source in the kernel.
 *
 * It reads one LBA into scratch memory a few times and looks at what arrived. Once, a read
 * has to fail, to prove that the drive's status is seen: that of an SGL which the controller
 * does not take, else one behind the last LBA. Drives log failed commands, in few places, so
 * the answer is kept for as long as the controller has its driver. A failure is not kept: it
 * may be for want of an LBA that can be read, or because somebody wrote to it meanwhile.
 */
#ifndef _DRW_SELFTEST_H
#define _DRW_SELFTEST_H

#include "nvme/controller.h"
#include "refusal.h"
#include "storage/storage.h"

int drw_selftest(struct drw_storage *storage, struct gendisk *disk, struct drw_controller *ctrl,
		 struct drw_refusal *refusal);

#endif /* _DRW_SELFTEST_H */
