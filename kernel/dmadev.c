// SPDX-License-Identifier: GPL-2.0-only
/*
 * dmadev.c - one NVMe PCI function as a DMA device.
 *
 * See dmadev.h for lifetime and lock rules. The part that must not be missed: a mapping
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

#include "dmadev.h"
#include "mapping.h"

static DEFINE_MUTEX(drw_dmadevs_lock);
static LIST_HEAD(drw_dmadevs);

/* Zeroed, so that nothing of the kernel's is in it. 0 or -ENOMEM. */
int drw_page_alloc(struct drw_dmadev *dd, gfp_t gfp, struct drw_page *page)
{
	page->virt = dma_pool_zalloc(dd->page, gfp, &page->dma);
	return page->virt ? 0 : -ENOMEM;
}

/* Callable in any context, and for a page that is none. */
void drw_page_free(struct drw_dmadev *dd, struct drw_page *page)
{
	if (page->virt)
		dma_pool_free(dd->page, page->virt, page->dma);
	page->virt = NULL;
}

static int drw_dmadev_create_pools(struct drw_dmadev *dd)
{
	dd->small = dma_pool_create("dmabuf_rw small", dd->dev, DRW_SMALL_BYTES,
				    DRW_SMALL_BYTES, 0);
	dd->page = dma_pool_create("dmabuf_rw page", dd->dev, DRW_PAGE_BYTES, DRW_PAGE_BYTES, 0);
	if (!dd->small || !dd->page || drw_page_alloc(dd, GFP_KERNEL, &dd->dump) ||
	    drw_page_alloc(dd, GFP_KERNEL, &dd->zeros))
		return -ENOMEM;
	return 0;
}

/* Also what drw_dmadev_create_pools() did not finish. */
static void drw_dmadev_destroy_pools(struct drw_dmadev *dd)
{
	if (dd->page) {
		drw_page_free(dd, &dd->dump);
		drw_page_free(dd, &dd->zeros);
	}
	dma_pool_destroy(dd->small);
	dma_pool_destroy(dd->page);
	dd->small = NULL;
	dd->page = NULL;
}

static void drw_dmadev_release(struct kref *ref)
{
	struct drw_dmadev *dd = container_of(ref, struct drw_dmadev, ref);

	lockdep_assert_held(&drw_dmadevs_lock);
	list_del(&dd->node);
	mutex_unlock(&drw_dmadevs_lock);

	WARN_ON(!list_empty(&dd->maps));
	/* No reference is left, so no teardown can run beside this. */
	drw_dmadev_destroy_pools(dd);
	put_device(dd->dev);
	mutex_destroy(&dd->lock);
	mutex_destroy(&dd->probe_lock);
	kfree(dd);
}

/* Drop a reference. May sleep. */
void drw_dmadev_put(struct drw_dmadev *dd)
{
	kref_put_mutex(&dd->ref, drw_dmadev_release, &drw_dmadevs_lock);
}

static struct drw_dmadev *drw_dmadev_find_locked(struct device *dev)
{
	struct drw_dmadev *dd;

	lockdep_assert_held(&drw_dmadevs_lock);
	list_for_each_entry(dd, &drw_dmadevs, node)
		if (dd->dev == dev && !READ_ONCE(dd->gone))
			return dd;
	return NULL;
}

/**
 * drw_dmadev_get() - the object for a controller, made if there is none
 * @dev: the PCI function
 *
 * Return: the object, with a reference for the caller, or ERR_PTR(-ENOMEM).
 */
struct drw_dmadev *drw_dmadev_get(struct device *dev)
{
	struct drw_dmadev *dd, *other;

	mutex_lock(&drw_dmadevs_lock);
	dd = drw_dmadev_find_locked(dev);
	if (dd)
		kref_get(&dd->ref);
	mutex_unlock(&drw_dmadevs_lock);
	if (dd)
		return dd;

	dd = kzalloc(sizeof(*dd), GFP_KERNEL);
	if (!dd)
		return ERR_PTR(-ENOMEM);
	kref_init(&dd->ref);
	mutex_init(&dd->probe_lock);
	mutex_init(&dd->lock);
	INIT_LIST_HEAD(&dd->maps);
	dd->dev = get_device(dev);
	if (drw_dmadev_create_pools(dd))
		goto err_pools;

	mutex_lock(&drw_dmadevs_lock);
	other = drw_dmadev_find_locked(dev);
	if (other)
		kref_get(&other->ref);
	else
		list_add(&dd->node, &drw_dmadevs);
	mutex_unlock(&drw_dmadevs_lock);
	if (!other)
		return dd;

	drw_dmadev_destroy_pools(dd);
	put_device(dd->dev);
	kfree(dd);
	return other;

err_pools:
	drw_dmadev_destroy_pools(dd);
	put_device(dd->dev);
	kfree(dd);
	return ERR_PTR(-ENOMEM);
}

/*
 * Look for completions of all transfers on poll queues. Mappings that are being changed are
 * left out; they are drained, which polls.
 */
void drw_dmadev_poll_all(void)
{
	struct drw_dmadev *dd;
	struct drw_map *map;

	mutex_lock(&drw_dmadevs_lock);
	list_for_each_entry(dd, &drw_dmadevs, node) {
		if (!mutex_trylock(&dd->lock))
			continue;
		list_for_each_entry(map, &dd->maps, node)
			drw_map_poll(map);
		mutex_unlock(&dd->lock);
	}
	mutex_unlock(&drw_dmadevs_lock);
}

/*
 * Drain and remove everything that touches the device. Cannot fail, does not allocate.
 * Callers hold a reference.
 */
static void drw_dmadev_teardown(struct drw_dmadev *dd)
{
	struct drw_map *map;

	mutex_lock(&dd->probe_lock);
	mutex_lock(&dd->lock);
	WRITE_ONCE(dd->gone, true);
	list_for_each_entry(map, &dd->maps, node)
		drw_map_sever(map);
	drw_dmadev_destroy_pools(dd);
	mutex_unlock(&dd->lock);
	mutex_unlock(&dd->probe_lock);
}

static int drw_dmadev_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;
	struct drw_dmadev *dd;

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

	mutex_lock(&drw_dmadevs_lock);
	dd = drw_dmadev_find_locked(dev);
	if (dd)
		kref_get(&dd->ref);
	mutex_unlock(&drw_dmadevs_lock);
	if (!dd)
		return NOTIFY_DONE;

	drw_dmadev_teardown(dd);
	drw_dmadev_put(dd);
	return NOTIFY_OK;
}

static struct notifier_block drw_dmadev_nb = {
	.notifier_call = drw_dmadev_notify,
	/* Before dma-debug's, which counts what is still mapped. */
	.priority = INT_MAX,
};

int drw_dmadev_init(void)
{
	return bus_register_notifier(&pci_bus_type, &drw_dmadev_nb);
}

void drw_dmadev_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &drw_dmadev_nb);
	WARN_ON(!list_empty(&drw_dmadevs));
}

/**
 * drw_list_alloc() - list memory for a planned command
 * @dd: controller; the caller holds a mapping for it, so it is not torn down
 * @plan: from drw_plan()
 * @gfp: allocation flags
 * @list: filled
 * @nr: blocks that @list holds, for drw_list_free(); 0 if none is needed
 *
 * Return: 0 or -ENOMEM.
 */
int drw_list_alloc(struct drw_dmadev *dd, const struct drw_plan *plan, gfp_t gfp,
		   struct drw_list *list, u8 *nr)
{
	u32 bytes = drw_list_bytes(plan), pages, i;
	dma_addr_t dma;

	*nr = 0;
	if (!bytes)
		return 0;

	if (bytes <= DRW_SMALL_BYTES) {
		list->virt[0] = dma_pool_alloc(dd->small, gfp, &dma);
		if (!list->virt[0])
			return -ENOMEM;
		list->dma[0] = dma;
		*nr = DRW_LIST_SMALL;
		return 0;
	}

	pages = drw_list_pages(plan);
	for (i = 0; i < pages; i++) {
		list->virt[i] = dma_pool_alloc(dd->page, gfp, &dma);
		if (!list->virt[i]) {
			drw_list_free(dd, list, i);
			return -ENOMEM;
		}
		list->dma[i] = dma;
	}
	*nr = pages;
	return 0;
}

/* Give list memory back; callable in any context. */
void drw_list_free(struct drw_dmadev *dd, struct drw_list *list, u8 nr)
{
	if (nr == DRW_LIST_SMALL) {
		dma_pool_free(dd->small, list->virt[0], list->dma[0]);
		return;
	}
	while (nr--)
		dma_pool_free(dd->page, list->virt[nr], list->dma[nr]);
}
