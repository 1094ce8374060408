/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * inode.h - what all bindings of one file share.
 *
 * Two things belong to a file and not to a binding: for a regular file, the pin that keeps
 * its blocks where they are, with the table of those blocks; and for every file, the lock
 * that keeps writes of parts of LBAs apart from other writes.
 *
 * The pin is S_SWAPFILE, set under the inode lock as swapon(2) does. It stands from the
 * first binding of the inode to the last, so the table is constant while anybody can see
 * it.
 *
 * Locks: drw_inodes_lock > (nothing); it is held for list operations only.
 *	  drw_inode.pin_lock > inode lock. It is held over I/O of the file system.
 *	  Freeze protection of the superblock > drw_inode.writers > everything that a
 *	  transfer takes. Both are dropped in interrupt context when the last command of a
 *	  transfer has ended, whoever took them.
 */
#ifndef _DRW_INODE_H
#define _DRW_INODE_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/percpu-rwsem.h>

#include "extents.h"

/*
 * Blocks whose being written is looked up and remembered together: a bit for 128 KiB, so
 * 100 GiB take 100 KiB. Looking up costs a microsecond or less a block, once.
 */
#define DRW_WRITTEN_SHIFT	17

/*
 * Where the holes of a sparse file are said to be: on no disk, and such that a hole is one
 * extent. Nothing is ever transferred there, because no block of it has been written.
 */
#define DRW_HOLE_AT	(1ULL << 62)

/**
 * struct drw_inode - a file
 * @node: in the list of all; protected by drw_inodes_lock
 * @ref: who holds it; protected by drw_inodes_lock
 * @inode: its inode; every holder has the file open
 * @pin_lock: protects @pins, and the making and unmaking of the pin
 * @pins: bindings
 * @writers: taken shared by writes of whole LBAs, exclusively by those of parts
 * @bdev: regular file: the disk or partition that its file system is on
 * @bytes: regular file: its size
 * @x: regular file: byte offsets in @bdev of its blocks, the whole last block included,
 *	unless that had never been written; or places from DRW_HOLE_AT on
 * @sparse: regular file: it may have holes
 * @x_bytes: memory that @x takes
 * @written: regular file: a bit for each DRW_WRITTEN_SHIFT, set when all blocks there are
 *	known to have been written; they stay so
 * @a_ops: regular file: when it was pinned; a change means another journal mode
 * @modified: regular file: its times have been updated for a write
 */
struct drw_inode {
	struct list_head node;
	unsigned int ref;
	struct inode *inode;
	struct mutex pin_lock;
	unsigned int pins;
	struct percpu_rw_semaphore writers;

	struct block_device *bdev;
	u64 bytes;
	struct drw_extents x;
	bool sparse;
	size_t x_bytes;
	unsigned long *written;
	const struct address_space_operations *a_ops;
	bool modified;
};

struct block_device *drw_inode_bdev(struct file *file);
struct drw_inode *drw_inode_get(struct file *file, bool sparse, u32 *reason);
void drw_inode_put(struct drw_inode *di, struct file *file);
int drw_inode_recheck(const struct drw_inode *di);
int drw_inode_check_written(struct drw_inode *di, u64 pos, u64 *len, bool nowait);
int drw_inode_start_write(struct drw_inode *di, struct file *file, bool exclusive,
			  bool nowait);
void drw_inode_end_write(struct drw_inode *di, bool exclusive);
size_t drw_inode_metadata(const struct drw_inode *di);

/* Is it a regular file, whose blocks are pinned? */
static inline bool drw_inode_regular(const struct drw_inode *di)
{
	return di->bdev;
}

/* Are all blocks of a range known to have been written? Callable in any context. */
static inline bool drw_inode_known_written(const struct drw_inode *di, u64 pos, u64 len)
{
	u64 bit, last = (pos + len - 1) >> DRW_WRITTEN_SHIFT;

	for (bit = pos >> DRW_WRITTEN_SHIFT; bit <= last; bit++)
		if (!test_bit(bit, di->written))
			return false;
	return true;
}

/**
 * drw_inode_locate() - where a byte of a regular file is
 * @di: a regular file
 * @pos: its offset, inside the file
 * @bytes: how many bytes from there on are consecutive
 *
 * Return: the offset in di->bdev.
 */
static inline u64 drw_inode_locate(const struct drw_inode *di, u64 pos, u64 *bytes)
{
	u32 idx = di->x.nr > 1 ? drw_extents_find(&di->x, pos) : 0;
	u64 off = pos - di->x.ext[idx].buf_off;

	*bytes = drw_extent_len(&di->x, idx) - off;
	return di->x.ext[idx].addr + off;
}

#endif /* _DRW_INODE_H */
