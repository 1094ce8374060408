/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * controller.h - one NVMe PCI function as a DMA device.
 *
 * A controller has what belongs to neither a namespace nor a buffer: memory for lists, what
 * the self-test has found, and the mappings of buffers for it. All bindings share it.
 *
 * It is made by the first binding, and stays in the list until its device loses its driver:
 * the answer of the self-test holds as long as that. unplug.c then has it torn down: all that
 * touches the device is drained and removed, and it goes out of the list. What references
 * are left find it gone, and never use it for DMA again. Nothing of it outlives the driver
 * but this memory.
 *
 * Locks: drw_controllers_lock > drw_controller.test_lock > drw_controller.lock. The device
 * lock of the function is above them all: a driver is unbound under it. test_lock is held
 * over commands to the drive, so that only those wait for them who need their result.
 */
#ifndef _DRW_CONTROLLER_H
#define _DRW_CONTROLLER_H

#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/dmapool.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "nvme/cmdlist.h"
#include "nvme/pci_id.h"

/**
 * struct drw_controller - one controller
 * @node: in the list of all, which has a reference; drw_controllers_lock
 * @ref: mappings, paths, and the list
 * @dev: the PCI function; reference held; constant
 * @pci: what it is called, also when its bus has gone; constant
 * @test_lock: protects @tested, and @sgl until that is set
 * @tested: the self-test has succeeded
 * @sgl: what SGLs the controller takes; constant once @tested
 * @lock: protects @maps
 * @maps: struct drw_map.node
 * @gone: torn down; written under @test_lock and @lock
 * @small: blocks of DRW_SMALL_BYTES for short lists. It, and what follows, is made under
 *	@lock and then constant until teardown, which frees it after every mapping has been
 *	drained: a transfer holds its mapping while it holds list memory.
 * @page: blocks of DRW_PAGE_BYTES for longer ones
 * @pads: two pages
 * @dump: bus address of the first, for what reads of parts of LBAs do not want; only ever
 *	written to, by the drive
 * @zeros: that of the other, zeros for the drive to read: the rest of the LBA in which a
 *	regular file ends
 */
struct drw_controller {
	struct list_head node;
	struct kref ref;
	struct device *dev;
	struct drw_pci_id pci;
	struct mutex test_lock;
	bool tested;
	enum drw_sgl_support sgl;
	struct mutex lock;
	struct list_head maps;
	bool gone;
	struct dma_pool *small;
	struct dma_pool *page;
	void *pads;
	dma_addr_t dump;
	dma_addr_t zeros;
};

struct drw_controller *drw_controller_get(struct gendisk *disk, struct device *dev);
void drw_controller_put(struct drw_controller *ctrl);
void drw_controller_teardown(struct device *dev);
void drw_controller_exit(void);

int drw_list_alloc(struct drw_controller *ctrl, const struct drw_plan *plan, gfp_t gfp,
		   struct drw_list *list, u8 *nr);
void drw_list_free(struct drw_controller *ctrl, struct drw_list *list, u8 nr);

#endif /* _DRW_CONTROLLER_H */
