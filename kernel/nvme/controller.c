// SPDX-License-Identifier: GPL-2.0-only
/*
 * controller.c - one NVMe PCI function as a DMA device. See controller.h for lifetime and
 * locks, and unplug.c for when a controller is torn down.
 */
#include <linux/dma-mapping.h>

#include "buffer/mapping.h"
#include "nvme/controller.h"

/* The dump page and the page of zeros. */
#define DRW_PADS_BYTES	(2 * DRW_PAGE_BYTES)

static DEFINE_MUTEX(drw_controllers_lock);
static LIST_HEAD(drw_controllers);

static void controller_free_memory(struct drw_controller *ctrl)
{
	if (ctrl->pads)
		dma_free_coherent(ctrl->dev, DRW_PADS_BYTES, ctrl->pads, ctrl->dump);
	dma_pool_destroy(ctrl->small);
	dma_pool_destroy(ctrl->page);
	ctrl->pads = NULL;
	ctrl->small = NULL;
	ctrl->page = NULL;
}

/* Allocate memory for commands, unless it is there. 0, -ENOMEM or -ENODEV. */
static int controller_alloc_memory(struct drw_controller *ctrl)
{
	struct device *dev = ctrl->dev;

	guard(mutex)(&ctrl->lock);
	if (ctrl->gone)
		return -ENODEV;
	if (ctrl->pads)
		return 0;
	ctrl->small = dma_pool_create("dmabuf_rw small", dev, DRW_SMALL_BYTES, DRW_SMALL_BYTES,
				      0);
	ctrl->page = dma_pool_create("dmabuf_rw page", dev, DRW_PAGE_BYTES, DRW_PAGE_BYTES, 0);
	/* dma_alloc_coherent() zeroes it. */
	if (ctrl->small && ctrl->page)
		ctrl->pads = dma_alloc_coherent(dev, DRW_PADS_BYTES, &ctrl->dump, GFP_KERNEL);
	if (!ctrl->pads) {
		controller_free_memory(ctrl);
		return -ENOMEM;
	}
	ctrl->zeros = ctrl->dump + DRW_PAGE_BYTES;
	return 0;
}

static void controller_release(struct kref *ref)
{
	struct drw_controller *ctrl = container_of(ref, struct drw_controller, ref);

	/* Teardown dropped the list's reference. */
	WARN_ON(!ctrl->gone || !list_empty(&ctrl->maps));
	put_device(ctrl->dev);
	mutex_destroy(&ctrl->lock);
	mutex_destroy(&ctrl->test_lock);
	kfree(ctrl);
}

/* Drop a reference; may sleep. */
void drw_controller_put(struct drw_controller *ctrl)
{
	kref_put(&ctrl->ref, controller_release);
}

static struct drw_controller *controller_find_locked(struct device *dev)
{
	struct drw_controller *ctrl;

	lockdep_assert_held(&drw_controllers_lock);
	list_for_each_entry(ctrl, &drw_controllers, node)
		if (ctrl->dev == dev)
			return ctrl;
	return NULL;
}

/* Not charged to a user: all bindings share it, and it outlives them. */
static struct drw_controller *controller_create_locked(struct device *dev)
{
	struct drw_controller *ctrl = kzalloc(sizeof(*ctrl), GFP_KERNEL);

	lockdep_assert_held(&drw_controllers_lock);
	if (!ctrl)
		return NULL;
	kref_init(&ctrl->ref);
	mutex_init(&ctrl->test_lock);
	mutex_init(&ctrl->lock);
	INIT_LIST_HEAD(&ctrl->maps);
	ctrl->dev = get_device(dev);
	ctrl->pci = drw_pci_id(dev);
	list_add(&ctrl->node, &drw_controllers);
	return ctrl;
}

/**
 * drw_controller_get() - the controller of a disk
 * @disk: one of its disks
 * @dev: its PCI function
 *
 * Return: the controller, with a reference for the caller, or an ERR_PTR: -ENOMEM, -ENODEV
 * if the disk is gone.
 */
struct drw_controller *drw_controller_get(struct gendisk *disk, struct device *dev)
{
	struct drw_controller *ctrl;
	int ret;

	scoped_guard(mutex, &drw_controllers_lock) {
		/*
		 * The NVMe driver's remove marks all its disks dead before UNBOUND_DRIVER
		 * (unplug.c). So while the disk is not dead, that teardown is still to come
		 * and finds a controller that is added now.
		 */
		if (test_bit(GD_DEAD, &disk->state))
			return ERR_PTR(-ENODEV);
		ctrl = controller_find_locked(dev) ?: controller_create_locked(dev);
		if (!ctrl)
			return ERR_PTR(-ENOMEM);
		kref_get(&ctrl->ref);
	}
	ret = controller_alloc_memory(ctrl);
	if (!ret)
		return ctrl;
	drw_controller_put(ctrl);
	return ERR_PTR(ret);
}

static void controller_sever(struct drw_controller *ctrl)
{
	struct drw_map *map;

	guard(mutex)(&ctrl->test_lock);
	guard(mutex)(&ctrl->lock);
	ctrl->gone = true;
	list_for_each_entry(map, &ctrl->maps, node)
		drw_map_sever(map);
	controller_free_memory(ctrl);
}

/**
 * drw_controller_teardown() - a PCI function loses its driver
 * @dev: the function; most have no controller here
 *
 * Afterwards this module does not touch the device. Cannot fail, does not allocate.
 */
void drw_controller_teardown(struct device *dev)
{
	struct drw_controller *ctrl;

	scoped_guard(mutex, &drw_controllers_lock) {
		ctrl = controller_find_locked(dev);
		if (ctrl)
			list_del(&ctrl->node);
	}
	if (!ctrl)
		return;
	controller_sever(ctrl);
	drw_controller_put(ctrl);
}

/* No binding is left. The lock keeps drivers from going away before their controllers. */
void drw_controller_exit(void)
{
	struct drw_controller *ctrl, *next;

	guard(mutex)(&drw_controllers_lock);
	list_for_each_entry_safe(ctrl, next, &drw_controllers, node) {
		list_del(&ctrl->node);
		controller_sever(ctrl);
		drw_controller_put(ctrl);
	}
}

/**
 * drw_list_alloc() - list memory for a planned command
 * @ctrl: controller; the caller holds a mapping for it, which holds off teardown
 * @plan: from drw_plan()
 * @gfp: allocation flags
 * @list: filled
 * @nr: set to the blocks in @list, for drw_list_free(); 0 if none is needed
 *
 * Return: 0 or -ENOMEM.
 */
int drw_list_alloc(struct drw_controller *ctrl, const struct drw_plan *plan, gfp_t gfp,
		   struct drw_list *list, u8 *nr)
{
	u32 bytes = drw_list_bytes(plan), pages, i;
	dma_addr_t dma;

	*nr = 0;
	if (!bytes)
		return 0;

	if (bytes <= DRW_SMALL_BYTES) {
		list->virt[0] = dma_pool_alloc(ctrl->small, gfp, &dma);
		if (!list->virt[0])
			return -ENOMEM;
		list->dma[0] = dma;
		*nr = DRW_LIST_SMALL;
		return 0;
	}

	pages = drw_list_pages(plan);
	for (i = 0; i < pages; i++) {
		list->virt[i] = dma_pool_alloc(ctrl->page, gfp, &dma);
		if (!list->virt[i]) {
			drw_list_free(ctrl, list, i);
			return -ENOMEM;
		}
		list->dma[i] = dma;
	}
	*nr = pages;
	return 0;
}

/* Free list memory. Any context. */
void drw_list_free(struct drw_controller *ctrl, struct drw_list *list, u8 nr)
{
	if (nr == DRW_LIST_SMALL) {
		dma_pool_free(ctrl->small, list->virt[0], list->dma[0]);
		return;
	}
	while (nr--)
		dma_pool_free(ctrl->page, list->virt[nr], list->dma[nr]);
}
