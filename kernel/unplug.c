// SPDX-License-Identifier: GPL-2.0-only
/*
 * unplug.c - tears controllers down when their PCI functions lose their driver: no DMA mapping
 * may outlive the driver of its device.
 *
 * Notifications of the PCI bus, in order:
 *
 *  UNBIND_DRIVER	before the driver's remove. The device still works, so transfers in
 *			flight finish. If it was pulled out, they finish only when remove
 *			cancels them; to wait here would be to wait for their timeouts.
 *  remove		marks all disks dead, and ends all requests
 *  UNBOUND_DRIVER	catches a pulled device, and bindings made since UNBIND_DRIVER. There is
 *			no DMA any more, but device and IOMMU domain are still there to unmap.
 *  DEL_DEVICE		the device has no driver by now, so no controller is found
 *  REMOVED_DEVICE	removes the device from the IOMMU: too late for anything
 *
 * A controller enters the list only while a disk of it is not dead, so before remove. Both that
 * check and the look-up here hold drw_controllers_lock, so UNBOUND_DRIVER always finds it.
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
	/* Before dma-debug's notifier, which counts what is still mapped. */
	.priority = INT_MAX,
};

int drw_unplug_init(void)
{
	return bus_register_notifier(&pci_bus_type, &unplug_nb);
}

/* No binding is left. Tear controllers down while unbinds are still notified. */
void drw_unplug_exit(void)
{
	drw_controller_exit();
	bus_unregister_notifier(&pci_bus_type, &unplug_nb);
}
