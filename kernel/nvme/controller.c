// SPDX-License-Identifier: GPL-2.0-only
/*
 * controller.c - one NVMe PCI function as a DMA device.
 *
 * See controller.h for lifetime and lock rules. The part that must not be missed: a mapping
 * may not outlive the driver of the device that it was made for. The PCI bus tells us
 * twice about an unbind:
 *
 *  - BUS_NOTIFY_UNBIND_DRIVER, before the driver's remove: the device still works, so
 *    transfers in flight finish, and everything is torn down here.
 *  - BUS_NOTIFY_UNBOUND_DRIVER, after it. This serves a device that was pulled out: its
 *    transfers finish only because the driver's remove cancels them, so waiting any
 *    earlier would wait for their timeouts. The device cannot do DMA any more. It also
 *    catches a binding made between the two calls.
 */
#include <linux/pci.h>

#include "nvme/controller.h"
#include "buffer/mapping.h"

static DEFINE_MUTEX(drw_controllers_lock);
static LIST_HEAD(drw_controllers);

/* Zeroed, so that nothing of the kernel's is in it. 0 or -ENOMEM. */
int drw_page_alloc(struct drw_controller *ctrl, gfp_t gfp, struct drw_page *page)
{
	page->virt = dma_pool_zalloc(ctrl->page, gfp, &page->dma);
	return page->virt ? 0 : -ENOMEM;
}

/* Callable in any context, and for a page that is none. */
void drw_page_free(struct drw_controller *ctrl, struct drw_page *page)
{
	if (page->virt)
		dma_pool_free(ctrl->page, page->virt, page->dma);
	page->virt = NULL;
}

static int drw_controller_create_pools(struct drw_controller *ctrl)
{
	ctrl->small = dma_pool_create("dmabuf_rw small", ctrl->dev, DRW_SMALL_BYTES,
				    DRW_SMALL_BYTES, 0);
	ctrl->page = dma_pool_create("dmabuf_rw page", ctrl->dev, DRW_PAGE_BYTES, DRW_PAGE_BYTES, 0);
	if (!ctrl->small || !ctrl->page || drw_page_alloc(ctrl, GFP_KERNEL, &ctrl->dump) ||
	    drw_page_alloc(ctrl, GFP_KERNEL, &ctrl->zeros))
		return -ENOMEM;
	return 0;
}

/* Also what drw_controller_create_pools() did not finish. */
static void drw_controller_destroy_pools(struct drw_controller *ctrl)
{
	if (ctrl->page) {
		drw_page_free(ctrl, &ctrl->dump);
		drw_page_free(ctrl, &ctrl->zeros);
	}
	dma_pool_destroy(ctrl->small);
	dma_pool_destroy(ctrl->page);
	ctrl->small = NULL;
	ctrl->page = NULL;
}

static void drw_controller_release(struct kref *ref)
{
	struct drw_controller *ctrl = container_of(ref, struct drw_controller, ref);

	lockdep_assert_held(&drw_controllers_lock);
	list_del(&ctrl->node);
	mutex_unlock(&drw_controllers_lock);

	WARN_ON(!list_empty(&ctrl->maps));
	/* No reference is left, so no teardown can run beside this. */
	drw_controller_destroy_pools(ctrl);
	put_device(ctrl->dev);
	mutex_destroy(&ctrl->lock);
	mutex_destroy(&ctrl->probe_lock);
	kfree(ctrl);
}

/* Drop a reference. May sleep. */
void drw_controller_put(struct drw_controller *ctrl)
{
	kref_put_mutex(&ctrl->ref, drw_controller_release, &drw_controllers_lock);
}

static struct drw_controller *drw_controller_find_locked(struct device *dev)
{
	struct drw_controller *ctrl;

	lockdep_assert_held(&drw_controllers_lock);
	list_for_each_entry(ctrl, &drw_controllers, node)
		if (ctrl->dev == dev && !READ_ONCE(ctrl->gone))
			return ctrl;
	return NULL;
}

/**
 * drw_controller_get() - the object for a controller, made if there is none
 * @dev: the PCI function
 *
 * Return: the object, with a reference for the caller, or ERR_PTR(-ENOMEM).
 */
struct drw_controller *drw_controller_get(struct device *dev)
{
	struct drw_controller *ctrl, *other;

	mutex_lock(&drw_controllers_lock);
	ctrl = drw_controller_find_locked(dev);
	if (ctrl)
		kref_get(&ctrl->ref);
	mutex_unlock(&drw_controllers_lock);
	if (ctrl)
		return ctrl;

	ctrl = kzalloc(sizeof(*ctrl), GFP_KERNEL);
	if (!ctrl)
		return ERR_PTR(-ENOMEM);
	kref_init(&ctrl->ref);
	mutex_init(&ctrl->probe_lock);
	mutex_init(&ctrl->lock);
	INIT_LIST_HEAD(&ctrl->maps);
	ctrl->dev = get_device(dev);
	if (drw_controller_create_pools(ctrl))
		goto err_pools;

	mutex_lock(&drw_controllers_lock);
	other = drw_controller_find_locked(dev);
	if (other)
		kref_get(&other->ref);
	else
		list_add(&ctrl->node, &drw_controllers);
	mutex_unlock(&drw_controllers_lock);
	if (!other)
		return ctrl;

	drw_controller_destroy_pools(ctrl);
	put_device(ctrl->dev);
	kfree(ctrl);
	return other;

err_pools:
	drw_controller_destroy_pools(ctrl);
	put_device(ctrl->dev);
	kfree(ctrl);
	return ERR_PTR(-ENOMEM);
}

/*
 * Look for completions of all transfers on poll queues. Mappings that are being changed are
 * left out; they are drained, which polls.
 */
void drw_controller_poll_all(void)
{
	struct drw_controller *ctrl;
	struct drw_map *map;

	mutex_lock(&drw_controllers_lock);
	list_for_each_entry(ctrl, &drw_controllers, node) {
		if (!mutex_trylock(&ctrl->lock))
			continue;
		list_for_each_entry(map, &ctrl->maps, node)
			drw_map_poll(map);
		mutex_unlock(&ctrl->lock);
	}
	mutex_unlock(&drw_controllers_lock);
}

/*
 * Drain and remove everything that touches the device. Cannot fail, does not allocate.
 * Callers hold a reference.
 */
static void drw_controller_teardown(struct drw_controller *ctrl)
{
	struct drw_map *map;

	mutex_lock(&ctrl->probe_lock);
	mutex_lock(&ctrl->lock);
	WRITE_ONCE(ctrl->gone, true);
	list_for_each_entry(map, &ctrl->maps, node)
		drw_map_sever(map);
	drw_controller_destroy_pools(ctrl);
	mutex_unlock(&ctrl->lock);
	mutex_unlock(&ctrl->probe_lock);
}

static int drw_controller_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;
	struct drw_controller *ctrl;

	switch (action) {
	case BUS_NOTIFY_UNBIND_DRIVER:
		if (pci_channel_offline(to_pci_dev(dev)))
			return NOTIFY_DONE;
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
		break;
	default:
		return NOTIFY_DONE;
	}

	mutex_lock(&drw_controllers_lock);
	ctrl = drw_controller_find_locked(dev);
	if (ctrl)
		kref_get(&ctrl->ref);
	mutex_unlock(&drw_controllers_lock);
	if (!ctrl)
		return NOTIFY_DONE;

	drw_controller_teardown(ctrl);
	drw_controller_put(ctrl);
	return NOTIFY_OK;
}

static struct notifier_block drw_controller_nb = {
	.notifier_call = drw_controller_notify,
	/* Before dma-debug's, which counts what is still mapped. */
	.priority = INT_MAX,
};

int drw_controller_init(void)
{
	return bus_register_notifier(&pci_bus_type, &drw_controller_nb);
}

void drw_controller_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &drw_controller_nb);
	WARN_ON(!list_empty(&drw_controllers));
}

/**
 * drw_list_alloc() - list memory for a planned command
 * @ctrl: controller; the caller holds a mapping for it, so it is not torn down
 * @plan: from drw_plan()
 * @gfp: allocation flags
 * @list: filled
 * @nr: blocks that @list holds, for drw_list_free(); 0 if none is needed
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

/* Give list memory back; callable in any context. */
void drw_list_free(struct drw_controller *ctrl, struct drw_list *list, u8 nr)
{
	if (nr == DRW_LIST_SMALL) {
		dma_pool_free(ctrl->small, list->virt[0], list->dma[0]);
		return;
	}
	while (nr--)
		dma_pool_free(ctrl->page, list->virt[nr], list->dma[nr]);
}
