/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * storage.h - the storage side of a binding: a disk, a partition, or a regular file.
 *
 * Objects
 *   storage	an open file, and the NVMe namespace that its bytes are on
 *   file	the part of a regular file that all its bindings share (file.h)
 *   span	a range of the file to move in one direction
 *
 * The calls for a span, in this order:
 *
 *   drw_storage_check()	refuses bad spans, and cuts the span at the file's end
 *   drw_storage_enter()	takes all that keeps the span in place, or nothing; never sleeps
 *   drw_storage_locate()	locates its bytes on the disk
 *   drw_storage_leave()	releases what was taken; any context
 *   drw_storage_finish()	drops cached pages after a write; sleeps
 *
 *   drw_storage_prepare()	after -EAGAIN: waits for what is in the way and looks up blocks;
 *				sleeps, and holds nothing when it returns
 *
 * So a span waits for others with nothing held, except for the inode lock below, and callers that
 * may not sleep run the same code, up to the first -EAGAIN.
 *
 * For a regular file drw_storage_enter() takes freeze protection, if the span is a write, then a
 * hold of the file (file.h).
 *
 * Some spans need the inode lock (drw_storage_lock()) from before drw_storage_enter() until
 * cached pages are dropped: writes of parts of pages, which others could bring in and change
 * meanwhile. That includes a partial last page, which changes when the file is made longer. The
 * span waits for the lock with nothing held. With the lock it waits for cached pages, tries for
 * the rest, and waits for the drive, as direct I/O of parts of pages does. A task with a cached
 * page locked waits for none of these.
 *
 * A span also gets the lock if others change the file too fast (drw_span.look_up). On XFS its
 * blocks are then looked up under the lock; on ext4 before, because ->bmap() takes the lock.
 *
 * Locks: see file.h. Fields are constant once filled, unless they say otherwise.
 */
#ifndef _DRW_STORAGE_H
#define _DRW_STORAGE_H

#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/workqueue.h>

#include <uapi/dmabuf_rw.h>
#include "storage/file.h"
#include "storage/pagecache.h"

/**
 * struct drw_storage - the storage side of a binding
 * @file: reference held
 * @mapping: its page cache
 * @regular: the shared part of a regular file; NULL for a disk or partition
 * @bdev: the disk or partition, or the one that the regular file is on; valid while @file is
 *	open
 * @nsid: namespace identifier
 * @lba_bytes: LBA size at bind time
 * @lba_shift: binary logarithm of @lba_bytes
 * @multipath: @bdev belongs to a multipath head
 * @no_blocks: DMABUF_RW_INFO_NO_BLOCKS
 * @format_at: jiffies of the last full check that the format is that of bind time;
 *	unprotected, since any transfer's check will do
 * @stamp: updates the times of a regular file after writes
 */
struct drw_storage {
	struct file *file;
	struct address_space *mapping;
	struct drw_file *regular;
	struct block_device *bdev;
	u32 nsid;
	u32 lba_bytes;
	u8 lba_shift;
	bool multipath;
	bool no_blocks;
	unsigned long format_at;
	struct delayed_work stamp;
};

/**
 * struct drw_span - a range of the file to move
 * @pos: its first byte
 * @len: bytes; drw_storage_check() cuts them at the end of the file, drw_storage_prepare()
 *	at the first unwritten block
 * @write: to the file
 * @fua: the write is durable when it has ended
 * @whole: must not be cut at the end of the file
 * @lock: needs drw_storage_lock()
 * @exclusive: drw_storage_lock() has taken the inode lock exclusively
 * @look_up: others change the file too fast: use the lock, and on XFS look up blocks under it
 * @prepared: drw_storage_prepare() has dealt with cached pages, times and @fua
 */
struct drw_span {
	u64 pos;
	u64 len;
	bool write;
	bool fua;
	bool whole;
	bool lock;
	bool exclusive;
	bool look_up;
	bool prepared;
};

/**
 * struct drw_disk - a disk whose queue takes the namespace's commands
 * @disk: device reference held
 * @dma_dev: the PCI function that does DMA for it; reference held
 * @has_poll: it has poll queues
 */
struct drw_disk {
	struct gendisk *disk;
	struct device *dma_dev;
	bool has_poll;
};

/* For work that sleeps briefly, and for work that waits for drives and others; main.c. */
extern struct workqueue_struct *drw_wq, *drw_wait_wq;

/* target.c */
int drw_target_find(struct drw_storage *s, struct file *file, struct drw_refusal *refusal);
int drw_target_ask_format(struct drw_storage *s, struct gendisk *disk);
int drw_target_find_disks(const struct drw_storage *s, struct drw_disk *disks, int max);
void drw_disk_put(struct drw_disk *d);

/* storage.c */
int drw_storage_init(struct drw_storage *s, struct file *file, struct drw_refusal *refusal);
void drw_storage_exit(struct drw_storage *s);
int drw_storage_enter_regular(struct drw_storage *s, const struct drw_span *span);
void drw_storage_leave_regular(struct drw_storage *s, bool write);
int drw_storage_lock(struct drw_storage *s, struct drw_span *span);
void drw_storage_unlock(struct drw_storage *s, const struct drw_span *span);
int drw_storage_prepare(struct drw_storage *s, struct drw_span *span);
int drw_storage_commit(struct drw_storage *s);
void drw_storage_finish(struct drw_storage *s, const struct drw_span *span, u64 written);
void drw_storage_describe(struct drw_storage *s, struct dmabuf_rw_info *info);

/* stamp.c */
int drw_stamp(struct drw_storage *s);
void drw_stamp_later(struct drw_storage *s);
void drw_stamp_init(struct drw_storage *s);
void drw_stamp_exit(struct drw_storage *s);

/* Were times updated less than a second ago, and are there no privileges to remove? */
static inline bool drw_is_stamped(const struct drw_file *f)
{
	unsigned long stamp = READ_ONCE(f->stamp);

	return stamp && time_before(jiffies, stamp + HZ) && IS_NOSEC(f->inode);
}

/* Has the disk, or a path of it, visibly another format than at bind time? Two loads. */
static inline bool drw_target_reformatted(const struct drw_storage *s, struct gendisk *disk)
{
	return unlikely(queue_logical_block_size(disk->queue) != s->lba_bytes ||
			blk_get_integrity(disk));
}

/**
 * drw_target_check_format() - does a bound namespace still have the format of bind time?
 * @s: storage
 * @disk: a path to it; the caller holds a request of its queue
 *
 * The request keeps the driver's knowledge of the format from changing. Between the drive's
 * formatting and the driver's rescan, the driver's own commands are wrong as well. The slow part
 * of the check runs once a tick. Does not sleep.
 *
 * Return: 0; -EMEDIUMTYPE if the format of its LBAs has changed; -ENOMEM if that is unknown for
 * want of memory.
 */
static inline int drw_target_check_format(struct drw_storage *s, struct gendisk *disk)
{
	if (drw_target_reformatted(s, disk))
		return -EMEDIUMTYPE;
	if (likely(READ_ONCE(s->format_at) == jiffies))
		return 0;
	return drw_target_ask_format(s, disk);
}

/* Not disk_live(): that tests the block device inode, which hidden disks do not publish. */
static inline bool drw_disk_alive(struct gendisk *disk)
{
	return !test_bit(GD_DEAD, &disk->state);
}

/* Size of the file, disk or partition, in bytes. */
static inline u64 drw_storage_bytes(const struct drw_storage *s)
{
	return s->regular ? i_size_read(s->regular->inode) : bdev_nr_bytes(s->bdev);
}

/* May the file be written, by the rules of blkdev_write_iter() and ext4? 0 or -EPERM. */
static inline int drw_storage_may_write(const struct drw_storage *s)
{
	struct inode *inode = s->mapping->host;

	/* chattr +i and +a count even after open, as for write(2) on ext4. */
	return bdev_read_only(s->bdev) || (inode->i_flags & (S_IMMUTABLE | S_APPEND)) ||
	       (s->regular && sb_rdonly(inode->i_sb)) ? -EPERM : 0;
}

/*
 * The part of drw_storage_check() that all spans of a direction share. Call it after reading the
 * size of the file, see there.
 */
static __always_inline int drw_storage_check_state(const struct drw_storage *s, bool write)
{
	struct gendisk *disk = s->bdev->bd_disk;

	/* Removal takes the capacity before it marks the disk dead. */
	if (unlikely(!drw_disk_alive(disk) || !get_capacity(disk)))
		return -ENODEV;
	if (unlikely(IS_SWAPFILE(s->mapping->host)) && (write || s->regular))
		return -ETXTBSY;
	return write ? drw_storage_may_write(s) : 0;
}

/* Does a write to a file of @size bytes need the inode lock? Not for whole pages within it. */
static __always_inline bool drw_storage_needs_lock(const struct drw_storage *s,
						   const struct drw_span *span, u64 size)
{
	u64 end = span->pos + span->len;

	return end > size || ((span->pos | end) & (s->regular->page_bytes - 1));
}

/* The part of drw_storage_check() for one span, in a file of @size bytes. */
static __always_inline int drw_storage_check_span(const struct drw_storage *s,
						  struct drw_span *span, u64 size)
{
	u64 end = span->pos + span->len;

	if (unlikely(end > size)) {
		if (!span->len)
			return 0;
		if (span->write && span->pos >= size)
			return -ENOSPC;
		if (span->whole)
			return -ESPIPE;
		span->len = span->pos < size ? size - span->pos : 0;
	}
	if (!span->write || !s->regular || !span->len)
		return 0;
	end = span->pos + span->len;
	if (unlikely(end & (s->lba_bytes - 1)) && end != size)
		return -EDOM;
	span->lock |= drw_storage_needs_lock(s, span, size);
	return 0;
}

/**
 * drw_storage_check() - refuse a bad span, or cut it at the end of the file
 * @s: storage
 * @span: pos, len and write are set; its end fits in 63 bits
 *
 * Does not sleep.
 *
 * Return: 0, and span->len is 0 for a read at the end of the file; -ENODEV, -EPERM, -ETXTBSY,
 * -ENOSPC, -ESPIPE; -EDOM for a write to a regular file that ends within an LBA and before the
 * end of the file.
 */
static __always_inline int drw_storage_check(const struct drw_storage *s, struct drw_span *span)
{
	/* Before the state: removal of the disk must not look like the end of the file. */
	u64 size = drw_storage_bytes(s);
	int ret;

	smp_rmb();
	ret = drw_storage_check_state(s, span->write);
	return unlikely(ret) ? ret : drw_storage_check_span(s, span, size);
}

/* May a transfer end at @end if that is within an LBA? */
static inline bool drw_storage_may_end(const struct drw_storage *s, u64 end)
{
	return s->regular && end >= drw_storage_bytes(s);
}

/* Are cached pages in the way of a span that is not empty? */
static inline bool drw_storage_is_cached(const struct drw_storage *s, const struct drw_span *span)
{
	return !span->prepared && drw_pagecache_in_the_way(s->mapping, span->pos, span->len,
							   span->write);
}

/**
 * drw_storage_enter() - take all that keeps a span in place
 * @s: storage
 * @span: checked; or empty, if the caller checks its spans, and the page cache, afterwards
 *
 * Does not sleep. drw_storage_leave() undoes it.
 *
 * Return: 0; -EAGAIN if something is in the way: then drw_storage_check() returns the error, or
 * drw_storage_prepare() waits; -EIO, -EPERM.
 */
static __always_inline int drw_storage_enter(struct drw_storage *s, const struct drw_span *span)
{
	/* A copy, so that the caller's span need not be in memory. */
	struct drw_span copy __uninitialized;

	if (span->len && drw_storage_is_cached(s, span))
		return -EAGAIN;
	if (!s->regular)
		return 0;
	copy = *span;
	return drw_storage_enter_regular(s, &copy);
}

/* Undo drw_storage_enter(), once the commands have ended. Any context. */
static inline void drw_storage_leave(struct drw_storage *s, bool write)
{
	if (s->regular)
		drw_storage_leave_regular(s, write);
}

/* The offset in the whole disk of a byte of the disk or partition. */
static __always_inline u64 drw_storage_disk_pos(const struct drw_storage *s, u64 pos)
{
	return (s->bdev->bd_start_sect << SECTOR_SHIFT) + pos;
}

/**
 * drw_storage_locate() - locate a byte of the file on the disk
 * @s: storage that was entered
 * @pos: the byte
 * @fua: for a durable write, which needs the location to be durable as well
 * @at: set to its offset in the whole disk
 * @bytes: bytes wanted; cut to those that are consecutive from there on
 *
 * Return: 0; -EAGAIN if the location must be looked up or made durable; -ENODEV if the disk is
 * gone; -EMEDIUMTYPE if the disk or partition has become too short.
 */
static __always_inline int drw_storage_locate(struct drw_storage *s, u64 pos, bool fua, u64 *at,
				     u64 *bytes)
{
	u64 disk_bytes;

	if (s->regular && (!drw_blocks_locate(s->regular, pos, &pos, bytes) ||
			   (unlikely(fua) && !drw_blocks_are_committed(s->regular))))
		return -EAGAIN;
	disk_bytes = bdev_nr_bytes(s->bdev);
	/* Removal takes the capacity first. */
	if (unlikely(pos >= disk_bytes))
		return get_capacity(s->bdev->bd_disk) ? -EMEDIUMTYPE : -ENODEV;
	*bytes = min(*bytes, disk_bytes - pos);
	*at = drw_storage_disk_pos(s, pos);
	return 0;
}

/* Must cached pages be dropped after a write? Any context. */
static inline bool drw_storage_must_finish(const struct drw_storage *s, bool write)
{
	return write && READ_ONCE(s->mapping->nrpages);
}

#endif /* _DRW_STORAGE_H */
