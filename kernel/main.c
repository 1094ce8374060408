// SPDX-License-Identifier: GPL-2.0-only
/* main.c - module init and exit. */
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "binding.h"
#include "ioctl.h"
#include "storage/storage.h"
#include "trace.h"
#include "transfer/transfer.h"
#include "unplug.h"

struct workqueue_struct *drw_wq, *drw_wait_wq;

static const struct file_operations drw_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = drw_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

struct miscdevice drw_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_rw",
	.fops = &drw_fops,
	.mode = 0660,
	.groups = drw_totals_groups,
};

static int __init drw_init(void)
{
	int ret = -ENOMEM;

	drw_trace_init();
	drw_wq = alloc_workqueue("dmabuf_rw", WQ_UNBOUND, 0);
	if (!drw_wq)
		return ret;
	drw_wait_wq = alloc_workqueue("dmabuf_rw_wait", WQ_UNBOUND, 0);
	if (!drw_wait_wq)
		goto err_wq;
	ret = drw_transfer_init();
	if (ret)
		goto err_wait_wq;
	ret = drw_unplug_init();
	if (ret)
		goto err_transfer;
	ret = misc_register(&drw_misc);
	if (ret)
		goto err_unplug;
	return 0;

err_unplug:
	drw_unplug_exit();
err_transfer:
	drw_transfer_exit();
err_wait_wq:
	destroy_workqueue(drw_wait_wq);
err_wq:
	destroy_workqueue(drw_wq);
	return ret;
}

static void __exit drw_exit(void)
{
	misc_deregister(&drw_misc);
	drw_totals_exit();
	drw_unplug_exit();
	drw_transfer_exit();
	destroy_workqueue(drw_wait_wq);
	destroy_workqueue(drw_wq);
}

module_init(drw_init);
module_exit(drw_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION(DRW_VERSION);
MODULE_DESCRIPTION("Read and write NVMe with a dma-buf as the memory side");
