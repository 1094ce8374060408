/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * storage.h - the door to what is behind a file descriptor.
 *
 * Objects
 *   storage	the storage side of one binding: an open file, and the NVMe namespace that its
 *		bytes are on. The file is a disk, a partition, or a regular file.
 *   file	what all bindings of one regular file share (file.h)
 *   span	a range of the file that is to be moved in one direction
 *
 * A span goes through the door like this. Nobody outside asks what kind of file it is.
 *
 *   drw_storage_check()	refuses what can be refused, and cuts the span at the file's end
 *   drw_storage_enter()	takes all that keeps the span as it is, or nothing; never sleeps
 *   drw_storage_locate()	says where its bytes are on the disk
 *   drw_storage_leave()	gives back what was taken; any context
 *   drw_storage_finish()	drops cached pages after a write; sleeps
 *
 *   drw_storage_prepare()	where enter said EAGAIN: waits for what is in the way and looks
 *				up blocks; sleeps, and holds nothing when it returns
 *
 * So nothing is waited for while anything is held, and whoever may not sleep takes the same
 * way as everybody else, until the first EAGAIN.
 *
 * What is taken, in this order: a share of the file system's writers (freeze protection), for a
 * write to a regular file; and a hold of the file (file.h).
 *
 * Some spans need the inode locked from before that until cached pages have been dropped:
 * writes of parts of pages, which others may otherwise bring in and change meanwhile, and to
 * the last page, which changes when the file is made longer. The lock is waited for with nothing
 * held, the rest is tried for with the lock held, and then the drive is waited for, as in direct
 * I/O of such parts. Who has a cached page locked waits for none of it.
 *
 * On XFS a span also gets the lock when others change the file faster than blocks can be looked
 * up without it. (On ext4 ->bmap() takes it, so that is no way.)
 *
 * Locks: those of file.h. All fields are constant once filled, but for those that say
 * otherwise.
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
 * @regular: what is shared with other bindings of a regular file; NULL: a disk
 * @bdev: the disk or partition, or the one that the regular file is on; lives as long as
 *	@file
 * @nsid: namespace identifier
 * @lba_bytes: LBA size at bind time
 * @lba_shift: logarithm of @lba_bytes
 * @multipath: @bdev belongs to a multipath head
 * @no_blocks: DMABUF_RW_INFO_NO_BLOCKS
 * @format_at: jiffies when the rest of the format was last found to be as at bind time; any
 *	transfer's finding is as good as another's, so nothing protects it
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
 * struct drw_span - a range of the file to be moved
 * @pos: its first byte
 * @len: bytes; cut at the end of the file by drw_storage_check(), where there is no block by
 *	drw_storage_prepare()
 * @write: to the file
 * @fua: the write is durable when it has ended
 * @whole: it is not to be cut at the end of the file
 * @lock: it needs drw_storage_lock()
 * @exclusive: which has taken the inode lock exclusively
 * @look_up: others are too fast: it gets that lock, and on XFS blocks are looked up under it
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

/* For what must sleep, shortly; and for what waits for drives and others; main.c. */
extern struct workqueue_struct *drw_wq, *drw_wait_wq;

/* target.c: from an open file to the disks that take its commands */
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

/* Times to the second, and privileges whenever there are any: as recent as that? */
static inline bool drw_is_stamped(const struct drw_file *f)
{
	unsigned long stamp = READ_ONCE(f->stamp);

	return stamp && time_before(jiffies, stamp + HZ) && IS_NOSEC(f->inode);
}

/* Does the disk or a path of it look otherwise than at bind time, as far as a comparison tells? */
static inline bool drw_target_reformatted(const struct drw_storage *s, struct gendisk *disk)
{
	return unlikely(queue_logical_block_size(disk->queue) != s->lba_bytes ||
			blk_get_integrity(disk));
}

/**
 * drw_target_check_format() - does a bound namespace still have the format of bind time?
 * @s: storage
 * @disk: a path to it, of which the caller holds a request
 *
 * The request keeps what the driver knows from changing; between the end of the drive's
 * formatting and the driver's look at it, the driver's own commands are wrong as well. What
 * takes longer than a comparison is looked at once a tick. Does not sleep.
 *
 * Return: 0; -EMEDIUMTYPE if its LBAs are no longer those that commands are made for;
 * -ENOMEM if that could not be found out.
 */
static inline int drw_target_check_format(struct drw_storage *s, struct gendisk *disk)
{
	if (drw_target_reformatted(s, disk))
		return -EMEDIUMTYPE;
	if (likely(READ_ONCE(s->format_at) == jiffies))
		return 0;
	return drw_target_ask_format(s, disk);
}

/*
 * Has the disk not been removed? disk_live() will not do: it asks for the block device
 * inode, which hidden disks do not publish.
 */
static inline bool drw_disk_alive(struct gendisk *disk)
{
	return !test_bit(GD_DEAD, &disk->state);
}

/* Size of the file, disk or partition, in bytes. */
static inline u64 drw_storage_bytes(const struct drw_storage *s)
{
	return s->regular ? i_size_read(s->regular->inode) : bdev_nr_bytes(s->bdev);
}

/* May the file be written to, as blkdev_write_iter() and ext4 have it? 0 or -EPERM. */
static inline int drw_storage_may_write(const struct drw_storage *s)
{
	struct inode *inode = s->mapping->host;

	/* chattr +i and +a after the file was opened, as ext4 has it for write(2). */
	return bdev_read_only(s->bdev) || (inode->i_flags & (S_IMMUTABLE | S_APPEND)) ||
	       (s->regular && sb_rdonly(inode->i_sb)) ? -EPERM : 0;
}

/*
 * drw_storage_check() of what is the same for all spans of a direction. Only after the size of the
 * file has been read, see below.
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

/*
 * Must the inode be locked for a write to a file of @size bytes? See above. Of whole pages that
 * end there or before none is the last one in part, which changes when the file is made longer.
 */
static __always_inline bool drw_storage_needs_lock(const struct drw_storage *s,
						   const struct drw_span *span, u64 size)
{
	u64 end = span->pos + span->len;

	return end > size || ((span->pos | end) & (s->regular->page_bytes - 1));
}

/* drw_storage_check() of a span of a file of @size bytes. */
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
 * drw_storage_check() - refuse what can be refused, cut a span at the end
 * @s: storage
 * @span: pos, len and write are set; its end fits in 63 bits
 *
 * Does not sleep.
 *
 * Return: 0; then span->len may have become 0, at the end of the file for a read. -ENODEV, -EPERM,
 * -ETXTBSY, -ENOSPC, -ESPIPE; -EDOM for a write that does not end with an LBA nor with a regular
 * file.
 */
static __always_inline int drw_storage_check(const struct drw_storage *s, struct drw_span *span)
{
	/* Before the state: a disk that is removed meanwhile must not look like one that ends. */
	u64 size = drw_storage_bytes(s);
	int ret;

	smp_rmb();
	ret = drw_storage_check_state(s, span->write);
	return unlikely(ret) ? ret : drw_storage_check_span(s, span, size);
}

/* May a transfer end at @end, wherever that is in an LBA? */
static inline bool drw_storage_may_end(const struct drw_storage *s, u64 end)
{
	return s->regular && end >= drw_storage_bytes(s);
}

/* Are cached pages in the way of a span, which is not empty? */
static inline bool drw_storage_is_cached(const struct drw_storage *s, const struct drw_span *span)
{
	return !span->prepared && drw_pagecache_in_the_way(s->mapping, span->pos, span->len,
							   span->write);
}

/**
 * drw_storage_enter() - take all that keeps a span as it is
 * @s: storage
 * @span: checked; or empty, for spans that are checked and looked for in the page cache
 *	afterwards
 *
 * Does not sleep. Given back by drw_storage_leave().
 *
 * Return: 0; -EAGAIN if something is in the way: drw_storage_check() then names the error, or
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

/* The commands of a span have ended. Any context. */
static inline void drw_storage_leave(struct drw_storage *s, bool write)
{
	if (s->regular)
		drw_storage_leave_regular(s, write);
}

/* Where on the whole disk a byte of the disk or partition is. */
static __always_inline u64 drw_storage_disk_pos(const struct drw_storage *s, u64 pos)
{
	return (s->bdev->bd_start_sect << SECTOR_SHIFT) + pos;
}

/**
 * drw_storage_locate() - where on the disk a byte of the file is
 * @s: storage that was entered
 * @pos: the byte
 * @fua: what is written there must be durable, and so must be what says where that is
 * @at: set to its offset in the whole disk
 * @bytes: how many are asked for; cut to those that are consecutive from there on
 *
 * Return: 0; -EAGAIN if it must be looked up, or made durable; -ENODEV or -EMEDIUMTYPE if the disk
 * or partition does not reach that far any more.
 */
static __always_inline int drw_storage_locate(struct drw_storage *s, u64 pos, bool fua, u64 *at,
				     u64 *bytes)
{
	u64 disk_bytes;

	if (s->regular && (!drw_blocks_locate(s->regular, pos, &pos, bytes) ||
			   (unlikely(fua) && !drw_blocks_are_committed(s->regular))))
		return -EAGAIN;
	disk_bytes = bdev_nr_bytes(s->bdev);
	/* A disk that is being removed loses its capacity first. */
	if (unlikely(pos >= disk_bytes))
		return get_capacity(s->bdev->bd_disk) ? -EMEDIUMTYPE : -ENODEV;
	*bytes = min(*bytes, disk_bytes - pos);
	*at = drw_storage_disk_pos(s, pos);
	return 0;
}

/* Are cached pages to be dropped after a write? Any context. */
static inline bool drw_storage_must_finish(const struct drw_storage *s, bool write)
{
	return write && READ_ONCE(s->mapping->nrpages);
}

#endif /* _DRW_STORAGE_H */
