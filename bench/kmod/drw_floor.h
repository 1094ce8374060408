/* SPDX-License-Identifier: GPL-2.0 */
/*
 * drw_floor.h - what bench/kmod/drw_floor.c understands; for benchmarks only.
 */
#ifndef _DRW_FLOOR_H
#define _DRW_FLOOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FLOOR_DEVICE	"/dev/drw_floor"

/**
 * struct floor_join - which buffer goes with which disk
 * @disk_fd: a whole NVMe disk with one path, by PCI, without metadata; it must not go or
 *	change its format
 * @dmabuf_fd: whole pages of system memory; not of an exporter that may move them
 * @nsid: the disk's namespace
 */
struct floor_join {
	__s32 disk_fd;
	__s32 dmabuf_fd;
	__u32 nsid;
};

/*
 * Once for each open file: 0, or -1 with errno EBADF, ENOTBLK, EFAULT, EINVAL (no dma-buf, or
 * not of whole pages; metadata, or LBAs longer than a page), EISCONN (it has been), ENOMEM, or
 * the exporter's.
 */
#define FLOOR_IOC_JOIN	_IOW('F', 1, struct floor_join)

/*
 * io_uring commands: addr (the disk's offset), len and addr3 (the buffer's offset) as
 * with dmabuf_rw. addr3 is the beginning of a page and len a page at most, both in whole
 * LBAs and inside. None of that is checked.
 */
#define FLOOR_URING_READ	1
#define FLOOR_URING_WRITE	2

#endif
