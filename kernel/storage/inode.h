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
 * it. It is not enough by itself: fallocate(2) and XFS_IOC_SWAPEXT look at the flag, and then
 * may sleep before they take the inode lock and change blocks. So each attempt of a transfer
 * is a holder of the blocks from before its first command to the end of its last one, and
 * holders are counted, all together as one, as direct I/O (inode_dio_begin()). Whoever frees
 * blocks holds the inode lock, waits for direct I/O, and changes i_version. Therefore
 *
 *   - the first holder takes the inode lock, shared, for a look at i_version: nobody is about
 *     to free blocks then, and whoever comes later waits until the last holder has gone;
 *   - while there are holders, another one may join them with a look at i_version alone: what
 *     may not be used any more had been freed before the first holder came, or will be after
 *     the last one. But it does so only while nobody has the inode locked, because who waits
 *     for the last holder has it, and must not wait forever.
 *
 * When i_version has changed, nothing that was known of blocks is true any more: they are
 * looked up again and compared with the table.
 *
 * Locks: drw_inodes_lock > (nothing); it is held for list operations only.
 *	  drw_inode.pin_lock, drw_inode.check_lock > inode lock. They are held over I/O of
 *	  the file system.
 *	  The share or the whole of drw_inode.writers > freeze protection of the superblock >
 *	  inode lock, shared > everything that an attempt takes. The first two are given back
 *	  in interrupt context when the last command of a transfer has ended.
 *	  drw_inode.late_lock > (nothing). The work of late stamps only tries for the locks
 *	  above, since it is waited for under pin_lock.
 */
#ifndef _DRW_INODE_H
#define _DRW_INODE_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "buffer/extents.h"

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
 * @writers: shares that writes of whole LBAs have; -1: a write of parts has it all
 * @gate: a write of parts waits for the shares to come back: no new ones
 * @sharers: how many wait for a share
 * @odd_lock: held by the write of parts that waits or runs
 * @wait: for @writers and @gate to change
 * @bdev: regular file: the disk or partition that its file system is on
 * @bytes: regular file: its size
 * @x: regular file: byte offsets in @bdev of its blocks, the whole last block included,
 *	unless that had never been written; or places from DRW_HOLE_AT on
 * @sparse: regular file: it may have holes
 * @x_bytes: memory that @x takes
 * @written: regular file: a bit for each DRW_WRITTEN_SHIFT, set when all blocks there are
 *	known to have been written, and to be where @x says
 * @check_lock: regular file: protects changes of @written and @version
 * @version: regular file: the i_version for which @written is right
 * @a_ops: regular file: when it was pinned; a change means another journal mode
 * @holders: regular file: attempts of transfers that keep the blocks from being freed
 * @stamp: regular file: jiffies of the last update of its times for a write, 0: none
 * @late_lock: regular file: protects @late_file
 * @late_file: as what the file was opened for one of the writes since then, reference held;
 *	NULL: there were none
 * @late_work: updates the times for them; queued while there is @late_file
 * @read_at: regular file: jiffies when its file system was last found to allow reading; any
 *	transfer's finding is as good as another's, so nothing protects it
 * @write_at: likewise for writing
 */
struct drw_inode {
	struct list_head node;
	unsigned int ref;
	struct inode *inode;
	struct mutex pin_lock;
	unsigned int pins;
	atomic_t writers;
	bool gate;
	atomic_t sharers;
	struct mutex odd_lock;
	wait_queue_head_t wait;

	struct block_device *bdev;
	u64 bytes;
	struct drw_extents x;
	bool sparse;
	size_t x_bytes;
	unsigned long *written;
	struct mutex check_lock;
	u64 version;
	const struct address_space_operations *a_ops;
	atomic_t holders;
	unsigned long stamp;
	spinlock_t late_lock;
	struct file *late_file;
	struct delayed_work late_work;
	unsigned long read_at;
	unsigned long write_at;
};

struct block_device *drw_inode_bdev(struct file *file);
struct drw_inode *drw_inode_get(struct file *file, bool sparse, u32 *reason);
void drw_inode_put(struct drw_inode *di, struct file *file);
size_t drw_inode_metadata(const struct drw_inode *di);
int drw_inode_ask(struct drw_inode *di, struct file *file, bool write);

/* blocks.c */
u64 drw_block_at(struct inode *inode, u64 pos);
int drw_blocks_check(struct drw_inode *di, u64 pos, u64 *len, u64 *version, bool nowait);
int drw_blocks_hold(struct drw_inode *di, u64 version, bool lock, bool nowait);

/* writers.c */
enum drw_wait {
	DRW_WAIT,	/* for whatever it takes */
	DRW_WAIT_SHORT,	/* not for other writes, nor for a thaw */
	DRW_NOWAIT,
};

/* A version that no inode has: i_version counts in steps from what it was on disk. */
#define DRW_NO_VERSION	U64_MAX

void drw_writers_init(struct drw_inode *di);
void drw_writers_forget(struct drw_inode *di, struct file *file);
int drw_writers_start_any(struct drw_inode *di, struct file *file, bool odd,
			  enum drw_wait wait);
void drw_writers_end_any(struct drw_inode *di, bool odd);
int drw_writers_restamp(struct drw_inode *di, struct file *file);

/* Size of drw_inode.written for a file of @bytes. */
static inline size_t drw_written_bytes(u64 bytes)
{
	return BITS_TO_LONGS((bytes >> DRW_WRITTEN_SHIFT) + 1) * sizeof(long);
}

/* Is it a regular file, whose blocks are pinned? */
static inline bool drw_inode_regular(const struct drw_inode *di)
{
	return di->bdev;
}

/* A share of the file's writes, if it can be had at once. */
static inline bool drw_writers_try_share(struct drw_inode *di)
{
	int n = atomic_read(&di->writers);

	do {
		if (n < 0 || READ_ONCE(di->gate))
			return false;
	} while (!atomic_try_cmpxchg_acquire(&di->writers, &n, n + 1));
	return true;
}

static inline void drw_writers_put_share(struct drw_inode *di)
{
	if (atomic_dec_and_test(&di->writers) && wq_has_sleeper(&di->wait))
		wake_up_all(&di->wait);
}

/**
 * drw_writers_start() - before the first command of a write
 * @di: file
 * @file: as what it was opened
 * @odd: the write covers parts of LBAs; only with DRW_WAIT
 * @wait: what to wait for
 *
 * What is taken is given back by drw_writers_end(), by anybody for one that is not @odd.
 *
 * Return: 0; -EAGAIN not with DRW_WAIT; -EINTR; an errno of changing the inode.
 */
static inline int drw_writers_start(struct drw_inode *di, struct file *file, bool odd,
				    enum drw_wait wait)
{
	if (wait == DRW_NOWAIT && !odd && !drw_inode_regular(di))
		return drw_writers_try_share(di) ? 0 : -EAGAIN;
	return drw_writers_start_any(di, file, odd, wait);
}

/* The last command of a write has ended; in any context, but for odd ones. */
static inline void drw_writers_end(struct drw_inode *di, bool odd)
{
	if (!odd && !drw_inode_regular(di))
		drw_writers_put_share(di);
	else
		drw_writers_end_any(di, odd);
}

/**
 * drw_inode_alive() - does the file system still stand for its files?
 * @di: regular file
 * @file: as what it was opened
 * @write: for writing
 *
 * Asked once a tick. Callable where sleeping is not allowed.
 *
 * Return: 0; -EIO if it has shut itself down, -EPERM if it only allows reading.
 */
static inline int drw_inode_alive(struct drw_inode *di, struct file *file, bool write)
{
	if (likely(READ_ONCE(*(write ? &di->write_at : &di->read_at)) == jiffies))
		return 0;
	return drw_inode_ask(di, file, write);
}

/* The inode lock of drw_blocks_hold() is no longer needed. */
static inline void drw_blocks_unlock(struct drw_inode *di)
{
	inode_unlock_shared(di->inode);
}

/* The commands have ended. Callable in any context. */
static inline void drw_blocks_release(struct drw_inode *di)
{
	if (atomic_dec_and_test(&di->holders))
		inode_dio_end(di->inode);
}

/*
 * Are all blocks of a range known to have been written? Then @version is what
 * drw_blocks_hold() wants. Callable in any context.
 */
static inline bool drw_blocks_known(const struct drw_inode *di, u64 pos, u64 len, u64 *version)
{
	u64 bit, last = (pos + len - 1) >> DRW_WRITTEN_SHIFT;

	/* Pairs with the release in forget(): bits that are seen belong to this version. */
	*version = smp_load_acquire(&di->version);
	for (bit = pos >> DRW_WRITTEN_SHIFT; bit <= last; bit++)
		if (!test_bit(bit, di->written))
			return false;
	smp_rmb();
	return *version != DRW_NO_VERSION && READ_ONCE(di->version) == *version;
}

/**
 * drw_inode_locate() - where a byte of a regular file is
 * @di: a regular file
 * @pos: its offset, where a block has been written
 * @bytes: how many bytes from there on are consecutive
 *
 * Return: the offset in di->bdev.
 */
static inline u64 drw_inode_locate(const struct drw_inode *di, u64 pos, u64 *bytes)
{
	u32 idx = drw_extents_find(&di->x, pos);
	u64 off = pos - di->x.ext[idx].buf_off;

	*bytes = drw_extent_len(&di->x, idx) - off;
	return di->x.ext[idx].addr + off;
}

#endif /* _DRW_INODE_H */
