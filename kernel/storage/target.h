/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * target.h - the storage side of a binding: from an open file to NVMe request queues.
 *
 * Vocabulary
 *   head	the disk that user space opened; with native multipath it has no queue that
 *		takes requests
 *   path	a disk whose queue does: the opened disk itself, or one of the hidden disks
 *		behind a multipath head
 *
 * No locks of our own: everything here is constant once it has been filled, but for the
 * fields of a path that say otherwise.
 */
#ifndef _DRW_TARGET_H
#define _DRW_TARGET_H

#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/fs.h>

#include "nvme/cmdlist.h"
#include "nvme/controller.h"
#include "storage/inode.h"
#include "buffer/mapping.h"

/**
 * struct drw_path - one way to the namespace
 * @node: in drw_binding.paths or .retired; protected by drw_binding.path_lock
 * @users: transfers that use it; counted for multipath only, where paths come and go
 * @disk: device reference held. That keeps the disk's and its queue's memory, but behind
 *	a multipath head not the controller's, to which disk->parent and queue->tag_set
 *	point: they may be followed only while a request of the queue is held. The queue may
 *	be entered at any time; on a disk that has gone that fails with ENODEV.
 * @has_poll: it has poll queues
 * @ctrl: the controller; reference held
 * @map: the buffer, mapped for it; one use held
 * @lim: what its commands may be
 * @failed_at: jiffies of the last path error, 0: none yet; drw_binding.path_lock
 */
struct drw_path {
	struct list_head node;
	atomic_t users;
	struct gendisk *disk;
	bool has_poll;
	struct drw_controller *ctrl;
	struct drw_map *map;
	struct drw_limits lim;
	unsigned long failed_at;
};

/**
 * struct drw_way - what a path is made of
 * @disk: the disk; device reference held
 * @dma_dev: the PCI function that does DMA for it; reference held
 * @has_poll: it has poll queues
 */
struct drw_way {
	struct gendisk *disk;
	struct device *dma_dev;
	bool has_poll;
};

static inline void drw_way_put(struct drw_way *way)
{
	put_device(way->dma_dev);
	put_device(disk_to_dev(way->disk));
}

/**
 * struct drw_target - the file
 * @file: reference held
 * @di: what is shared with other bindings of the file; one use held
 * @bdev: the disk or partition, or the one that the regular file is on; lives as long as
 *	@file
 * @nsid: namespace identifier
 * @lba_bytes: LBA size at bind time
 * @format_at: jiffies when the rest of the format was last found to be as at bind time; any
 *	transfer's finding is as good as another's, so nothing protects it
 * @lba_shift: logarithm of @lba_bytes
 * @multipath: @bdev belongs to a multipath head
 */
struct drw_target {
	struct file *file;
	struct drw_inode *di;
	struct block_device *bdev;
	u32 nsid;
	u32 lba_bytes;
	unsigned long format_at;
	u8 lba_shift;
	bool multipath;
};

int drw_target_init(struct drw_target *t, struct file *file, bool sparse, u32 *reason);
void drw_target_exit(struct drw_target *t);
int drw_target_ask_format(struct drw_target *t, struct gendisk *disk);
int drw_target_find_paths(const struct drw_target *t, struct drw_way *ways, int max);

/* Does the disk or a path of it look otherwise than at bind time, as far as a comparison tells? */
static inline bool drw_target_reformatted(const struct drw_target *t, struct gendisk *disk)
{
	return unlikely(queue_logical_block_size(disk->queue) != t->lba_bytes ||
			blk_get_integrity(disk));
}

/**
 * drw_target_check_format() - does a bound namespace still have the format of bind time?
 * @t: target
 * @disk: a path to it, of which the caller holds a request
 *
 * The request keeps what the driver knows from changing; between the end of the drive's
 * formatting and the driver's look at it, the driver's own commands are wrong as well. What
 * takes longer than a comparison is looked at once a tick. Does not sleep.
 *
 * Return: 0; -EMEDIUMTYPE if its LBAs are no longer those that commands are made for;
 * -ENOMEM if that could not be found out.
 */
static inline int drw_target_check_format(struct drw_target *t, struct gendisk *disk)
{
	if (drw_target_reformatted(t, disk))
		return -EMEDIUMTYPE;
	if (likely(READ_ONCE(t->format_at) == jiffies))
		return 0;
	return drw_target_ask_format(t, disk);
}

/* May the file be written to, as blkdev_write_iter() has it? 0, -EPERM or -ETXTBSY. */
static inline int drw_target_may_write(const struct drw_target *t)
{
	/* chattr +i and +a after the file was opened, as ext4 has it for write(2). */
	if (bdev_read_only(t->bdev) || IS_IMMUTABLE(t->di->inode) || IS_APPEND(t->di->inode))
		return -EPERM;
	if (drw_inode_regular(t->di))
		return sb_rdonly(t->di->inode->i_sb) ? -EPERM : 0;
	return IS_SWAPFILE(t->di->inode) ? -ETXTBSY : 0;
}

/* Size of the file, disk or partition, in bytes. */
static inline u64 drw_target_bytes(const struct drw_target *t)
{
	return drw_inode_regular(t->di) ? t->di->bytes : bdev_nr_bytes(t->bdev);
}

/*
 * The sector of the namespace that byte @pos of the file is in, and how many bytes from
 * there on are consecutive.
 */
static inline sector_t drw_target_locate(const struct drw_target *t, u64 pos, u64 *bytes)
{
	*bytes = U64_MAX;
	if (drw_inode_regular(t->di))
		pos = drw_inode_locate(t->di, pos, bytes);
	return t->bdev->bd_start_sect + (pos >> SECTOR_SHIFT);
}

/*
 * Is all of it on the disk or partition? The table of a regular file was right when it was
 * bound; since then a partition may have been made smaller.
 */
static inline bool drw_target_has(const struct drw_target *t, sector_t sector, u32 bytes)
{
	sector_t end = sector - t->bdev->bd_start_sect + (bytes >> SECTOR_SHIFT);

	return end <= bdev_nr_sectors(t->bdev);
}

/*
 * Has the disk not been removed? disk_live() will not do: it asks for the block device
 * inode, which hidden disks do not publish.
 */
static inline bool drw_disk_alive(struct gendisk *disk)
{
	return !test_bit(GD_DEAD, &disk->state);
}

/**
 * drw_target_recheck() - is the namespace still there, and formatted as at bind time?
 * @t: target
 *
 * Return: 0, -ENODEV or -EMEDIUMTYPE.
 */
static inline int drw_target_recheck(const struct drw_target *t)
{
	struct gendisk *disk = t->bdev->bd_disk;

	/*
	 * Removal takes the capacity before it marks the disk dead; a read must not take that
	 * for the end of the disk.
	 */
	if (unlikely(!drw_disk_alive(disk) || !get_capacity(disk)))
		return -ENODEV;
	return drw_target_reformatted(t, disk) ? -EMEDIUMTYPE : 0;
}

#endif /* _DRW_TARGET_H */
