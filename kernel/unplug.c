// SPDX-License-Identifier: GPL-2.0-only
/*
 * unplug.c - hears of PCI functions that lose their driver, and has their controllers torn
 * down: no DMA mapping may outlive the driver of the device that it was made for.
 *
 * The PCI bus tells of the end of a driver, in this order:
 *
 *  UNBIND_DRIVER	before the driver's remove. The device still works, so transfers in
 *			flight finish. Of a device that was pulled out they finish only because
 *			remove cancels them: to wait here would be to wait for their timeouts.
 *  remove		marks all disks dead, and ends all requests
 *  UNBOUND_DRIVER	catches such a device, and what was bound since UNBIND_DRIVER. There is no
 *			DMA any more, but device and IOMMU domain are still there to unmap from.
 *  DEL_DEVICE		only of a device without driver. Nothing is left to be found.
 *  REMOVED_DEVICE	takes the IOMMU's part of the device away: too late for anything
 *
 * A controller enters the list only while a disk of it is not dead, checked under the same
 * lock under which it is looked up here: before remove, so UNBOUND_DRIVER always finds it.
 */
#include <linux/pci.h>

#include "nvme/controller.h"
#include "unplug.h"

static int unplug_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;

	switch (action) {
	case BUS_NOTIFY_UNBIND_DRIVER:
		if (pci_channel_offline(to_pci_dev(dev)))
			return NOTIFY_DONE;
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
	case BUS_NOTIFY_DEL_DEVICE:
		break;
	default:
		return NOTIFY_DONE;
	}
	drw_controller_teardown(dev);
	return NOTIFY_OK;
}

static struct notifier_block unplug_nb = {
	.notifier_call = unplug_notify,
	/* Before dma-debug's, which counts what is still mapped. */
	.priority = INT_MAX,
};

int drw_unplug_init(void)
{
	return bus_register_notifier(&pci_bus_type, &unplug_nb);
}

/* No binding is left. Controllers go first, while their drivers' ends are still heard of. */
void drw_unplug_exit(void)
{
	drw_controller_exit();
	bus_unregister_notifier(&pci_bus_type, &unplug_nb);
}
