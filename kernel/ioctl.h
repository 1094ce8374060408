/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctl.h - calls on /dev/dmabuf_rw. */
#ifndef _DRW_IOCTL_H
#define _DRW_IOCTL_H

#include <linux/fs.h>

extern struct miscdevice drw_misc;

long drw_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* _DRW_IOCTL_H */
