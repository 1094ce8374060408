/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * uaccess.h - structures that begin with their own size, to and from user space.
 *
 * The size is read once, and the copy keeps that value even if user space changes it.
 */
#ifndef _DRW_UACCESS_H
#define _DRW_UACCESS_H

#include <linux/uaccess.h>

/* No structure has grown since the first version, so its size is also the smallest accepted. */
static inline int __drw_get_struct(void *dst, size_t ksize, const void __user *uarg, u32 *usize)
{
	int ret;

	if (get_user(*usize, (const u32 __user *)uarg))
		return -EFAULT;
	if (*usize < ksize)
		return -EINVAL;
	if (*usize > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(dst, ksize, uarg, *usize);
	if (!ret)
		*(u32 *)dst = *usize;
	return ret;
}

static inline int __drw_put_struct(void __user *uarg, const void *src, size_t ksize, u32 usize)
{
	return copy_to_user(uarg, src, min_t(size_t, ksize, usize)) ? -EFAULT : 0;
}

/*
 * Begin an interrupted ioctl again, unless a signal handler says otherwise. It has done
 * nothing, or it must be whole (DMABUF_RW_IO_WHOLE) and moves its bytes again. The interruption
 * may be the completions of the caller's own io_uring (TIF_NOTIFY_SIGNAL), not a signal.
 */
static inline long drw_restart(long ret)
{
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

/* Read *@dst from @uarg: 0, -EFAULT, -EINVAL (too short) or -E2BIG (tail not zero). */
#define drw_get_struct(dst, uarg, usize) __drw_get_struct(dst, sizeof(*(dst)), uarg, usize)
/* Write *@src to @uarg: 0 or -EFAULT. */
#define drw_put_struct(uarg, src, usize) __drw_put_struct(uarg, src, sizeof(*(src)), usize)

#endif /* _DRW_UACCESS_H */
