/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * controller.h - one NVMe PCI function as a DMA device.
 *
 * A controller has list memory, the result of the self-test, and the mappings of buffers for
 * this function. All bindings share it.
 *
 * The first binding creates it. It stays in the list until its device loses its driver, since
 * the result of the self-test is valid for as long. unplug.c then tears it down: everything
 * that touches the device is drained and removed, and the controller leaves the list. Holders
 * of references find it gone and never use it for DMA again. Only this structure outlives the
 * driver.
 *
 * Locks: drw_controllers_lock > drw_controller.test_lock > drw_controller.lock. The function's
 * device lock is above them all, since drivers are unbound under it. test_lock is held across
 * commands to the drive, so only callers that need the result of the self-test wait for them.
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
 * @node: in the list of controllers, which has a reference; drw_controllers_lock
 * @ref: mappings, paths, and the list
 * @dev: the PCI function; reference held; constant
 * @pci: its address, valid even after its bus is gone; constant
 * @test_lock: protects @tested, and @sgl until that is set
 * @tested: the self-test has succeeded
 * @sgl: SGLs that the controller takes; constant once @tested
 * @lock: protects @maps
 * @maps: struct drw_map.node
 * @gone: torn down; written under @test_lock and @lock
 * @small: blocks of DRW_SMALL_BYTES for short lists. This and the fields below are set under
 *	@lock, then constant until teardown, which frees them after it has drained every
 *	mapping: a transfer holds its mapping while it holds list memory.
 * @page: blocks of DRW_PAGE_BYTES for longer lists
 * @pads: two pages
 * @dump: bus address of the first page: takes the unwanted parts of LBAs in reads; written by
 *	the drive only
 * @zeros: bus address of the second page, zeros that the drive reads for the rest of the LBA
 *	in which a regular file ends
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
