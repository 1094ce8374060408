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
 * @disk_fd: an NVMe disk with one path, by PCI
 * @dmabuf_fd: system memory, in whole pages; not an exporter that may move it
 * @nsid: the disk's namespace
 * @lba_shift: of its LBA size
 */
struct floor_join {
	__s32 disk_fd;
	__s32 dmabuf_fd;
	__u32 nsid;
	__u32 lba_shift;
};

/* Once for each open file. */
#define FLOOR_IOC_JOIN	_IOW('F', 1, struct floor_join)

/*
 * io_uring commands: addr (the disk's offset), len and addr3 (the buffer's offset) as
 * with dmabuf_rw; all of it in one page of the buffer, and nothing is checked.
 */
#define FLOOR_URING_READ	1
#define FLOOR_URING_WRITE	2

#endif
