/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * controller.h - one NVMe PCI function as a DMA device.
 *
 * Everything that belongs to the controller and not to a namespace or a buffer: list
 * memory, what SGLs it takes, and the mappings of buffers for it. One object per
 * controller, shared by all bindings, found by its struct device.
 *
 * The object outlives the device's driver as a husk: when the NVMe driver is about to be
 * unbound, drw_controller_teardown() drains and removes everything that touches the device,
 * and sets gone; the memory goes with the last reference.
 *
 * Locks: drw_controllers_lock > (nothing), but for trylocks of drw_controller.lock; it is held for
 *	  list operations, and to poll.
 *	  drw_controller.probe_lock > drw_controller.lock; the former is held over commands to the
 *	  drive, so that only those wait for them who need their result.
 *	  drw_controller.lock > dma_resv of any mapped buffer. It is taken under the device
 *	  lock of the controller (driver unbind), never the other way round.
 */
#ifndef _DRW_CONTROLLER_H
#define _DRW_CONTROLLER_H

#include <linux/device.h>
#include <linux/dmapool.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "nvme/cmdlist.h"

/* A block of drw_controller.page. */
struct drw_page {
	void *virt;
	dma_addr_t dma;
};

/**
 * struct drw_controller - one controller
 * @node: in the list of all; protected by drw_controllers_lock
 * @ref: mappings, paths and lookups that hold it
 * @dev: the PCI function; reference held; constant
 * @probe_lock: protects @sgl and @sgl_known; held to keep the device from being torn down
 * @lock: protects @maps; @gone is written under both
 * @maps: struct drw_map.node
 * @small: blocks of DRW_SMALL_BYTES for short lists; constant until teardown
 * @page: blocks of DRW_PAGE_BYTES; likewise. Teardown frees both after every mapping has
 *	been drained; a transfer holds its mapping while it holds list memory.
 * @dump: a page for what reads of parts of LBAs do not want; only ever written to, by the
 *	drive; lives as long as @page
 * @zeros: a page of zeros for the drive to read, for the rest of the LBA in which a regular
 *	file ends; likewise
 * @sgl: what SGLs the controller takes
 * @sgl_known: @sgl has been found out
 * @gone: torn down; never used for DMA again
 */
struct drw_controller {
	struct list_head node;
	struct kref ref;
	struct device *dev;
	struct mutex probe_lock;
	struct mutex lock;
	struct list_head maps;
	struct dma_pool *small;
	struct dma_pool *page;
	struct drw_page dump;
	struct drw_page zeros;
	enum drw_sgl_support sgl;
	bool sgl_known;
	bool gone;
};

struct drw_controller *drw_controller_get(struct device *dev);
void drw_controller_put(struct drw_controller *ctrl);

int drw_list_alloc(struct drw_controller *ctrl, const struct drw_plan *plan, gfp_t gfp,
		   struct drw_list *list, u8 *nr);
void drw_list_free(struct drw_controller *ctrl, struct drw_list *list, u8 nr);

int drw_page_alloc(struct drw_controller *ctrl, gfp_t gfp, struct drw_page *page);
void drw_page_free(struct drw_controller *ctrl, struct drw_page *page);

void drw_controller_poll_all(void);

int drw_controller_init(void);
void drw_controller_exit(void);

#endif /* _DRW_CONTROLLER_H */
