// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - /dev/dmabuf_rw and the module's beginning and end.
 *
 * The device node only answers questions and makes bindings; everything else happens on
 * a binding's descriptor. Bindings hold the module (file_operations.owner).
 */
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include <uapi/dmabuf_rw.h>
#include "binding.h"
#include "nvme/controller.h"
#include "transfer/io.h"
#include "uaccess.h"

static long drw_ioctl_query(void __user *uarg)
{
	struct dmabuf_rw_query q;
	u32 usize;
	int ret;

	ret = drw_get_struct(&q, uarg, &usize);
	if (ret)
		return ret;
	if (q.resv0 || q.resv1)
		return -EINVAL;
	q = (struct dmabuf_rw_query) {
		.size = q.size,
		.abi_major = DMABUF_RW_ABI_MAJOR,
		.abi_minor = DMABUF_RW_ABI_MINOR,
		.bind_flags = DMABUF_RW_BIND_FLAGS,
		.io_flags = DMABUF_RW_IO_FLAGS,
		.uring_ops = BIT_ULL(DMABUF_RW_URING_READ) | BIT_ULL(DMABUF_RW_URING_WRITE) |
			     BIT_ULL(DMABUF_RW_URING_READV) | BIT_ULL(DMABUF_RW_URING_WRITEV),
		.max_pieces = DMABUF_RW_MAX_PIECES,
		.max_bytes = DMABUF_RW_MAX_BYTES,
	};
	return drw_put_struct(uarg, &q, usize);
}

static long drw_ioctl_bind(void __user *uarg)
{
	struct dmabuf_rw_bind arg;
	u32 usize;
	int ret;

	ret = drw_get_struct(&arg, uarg, &usize);
	if (ret)
		return ret;
	if (arg.reason || arg.detail || arg.resv0 || (arg.flags & ~DMABUF_RW_BIND_FLAGS) ||
	    memchr_inv(arg.resv, 0, sizeof(arg.resv)))
		return -EINVAL;
	ret = drw_bind(&arg);
	if (ret < 0 && drw_put_struct(uarg, &arg, usize))
		return -EFAULT;
	return ret;
}

static long drw_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case DMABUF_RW_IOC_QUERY:
		return drw_ioctl_query(uarg);
	case DMABUF_RW_IOC_BIND:
		return drw_restart(drw_ioctl_bind(uarg));
	default:
		return -ENOTTY;
	}
}

static const struct file_operations drw_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = drw_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice drw_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_rw",
	.fops = &drw_fops,
	.mode = 0660,
};

static int __init drw_init(void)
{
	int ret;

	ret = drw_io_init();
	if (ret)
		return ret;
	ret = drw_controller_init();
	if (ret)
		goto err_io;
	ret = misc_register(&drw_misc);
	if (ret)
		goto err_controller;
	return 0;

err_controller:
	drw_controller_exit();
err_io:
	drw_io_exit();
	return ret;
}

static void __exit drw_exit(void)
{
	misc_deregister(&drw_misc);
	drw_controller_exit();
	drw_io_exit();
}

module_init(drw_init);
module_exit(drw_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Read and write NVMe with a dma-buf as the memory side");
