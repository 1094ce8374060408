/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * file.h - what all bindings of one regular file share: its hold and its block map.
 *
 * The rule that keeps blocks true
 *   What frees or moves blocks of a file takes the inode lock, exclusive, and waits for
 *   direct I/O (inode_dio_wait()) before it begins. Two things on XFS do not, not even for
 *   XFS's own direct I/O: XFS_IOC_SWAPEXT, and the end of a write with RWF_ATOMIC that is
 *   done by copying. They count i_version up, and are dealt with below. So:
 *
 *   1. Commands run only under a hold: a count of direct I/O (inode_dio_begin()), taken
 *      while the inode lock is held, shared. All holds of a file count as one direct I/O,
 *      from the first to the last: an epoch. Nothing can move blocks before it ends.
 *   2. Blocks are looked up during an epoch. The map keeps what was found until it ends.
 *   3. The map outlives its epoch only where a change cannot go unseen. On XFS every change
 *      of blocks counts i_version up. On ext4 EXT4_IOC_MOVE_EXT and EXT4_IOC_SWAP_BOOT do
 *      not, so there the map goes with its epoch.
 *
 * Holds
 *   A transfer tries for a hold and never waits for one. It counts itself, and steps back if
 *   somebody has the inode lock, exclusive: he may be waiting for the epoch to end. On XFS
 *   it also looks at i_version, and so does every look into the map. A write in flight when
 *   blocks are swapped lands in blocks that are the other file's by then, as a direct write of
 *   XFS's own does; nothing new begins.
 *
 *   So on ext4 the epoch lingers: a timer keeps a hold of its own for a second, so that
 *   transfers one after the other do not look up the same blocks. It gives its hold back on the
 *   first tick that finds the inode locked, exclusive, and no other hold.
 *
 * Looking up
 *   ->bmap() may lock the inode itself (ext4). Who waits for the epoch to end may have that
 *   lock, so the one who looks up keeps no hold. The timer does, and gives it up as ever. What
 *   was looked up counts only if no epoch has ended meanwhile.
 *
 *   A block may be allocated before its first data is written, and hold what the disk held
 *   before. So after a look-up nobody may be left in a write or a page fault that began before
 *   it, and then dirty pages are written, which also waits for writeback that has allocated
 *   a block and holds its page locked. Only then does the block go into the map.
 *
 * Locks: drw_files_lock > (nothing); it is held for list operations only.
 *	  drw_file.lookup_lock > inode lock, shared; invalidate lock. Both are waited for, also
 *	  under the timer's hold, which is given up for that.
 *	  Who has a hold waits for nothing but the drive, and on poll queues for whoever polls
 *	  them, as direct I/O does; who writes the last page of a file, where nobody else
 *	  writes, also for that page (storage.h).
 */
#ifndef _DRW_FILE_H
#define _DRW_FILE_H

#include <linux/fs.h>
#include <linux/iversion.h>
#include <linux/mutex.h>
#include <linux/timer.h>
#include <linux/xarray.h>

#include "compat.h"
#include "refusal.h"

/**
 * struct drw_run - blocks of a file that are consecutive on the disk, as far as is known
 * @first: block of the file
 * @last: likewise; a run grows on both sides before the eyes of readers
 * @ahead: how far they are on the disk from where they are in the file, modulo 2^64
 * @rcu: it goes under RCU
 *
 * The map has it at each of its blocks, and while it grows at some more.
 */
struct drw_run {
	u64 first;
	u64 last;
	u64 ahead;
	struct rcu_head rcu;
};

/* Bit of drw_file.state: the timer has a hold; who clears the bit gives it back. */
#define DRW_FILE_LINGERS	0

/**
 * struct drw_file - a regular file
 * @node: in drw_files; drw_files_lock
 * @users: bindings; drw_files_lock
 * @inode: its inode; every binding has the file open
 * @a_ops: when it was first bound; a change means another journal mode
 * @versioned: on XFS, where every change of blocks counts i_version up; but so do others'
 *	writes, each of which empties the map
 * @page_bytes: what of it is cached, and allocated, as one
 * @holders: holds, the timer's included
 * @ended: epochs that have ended
 * @state: DRW_FILE_LINGERS
 * @busy: somebody has taken a hold since the last tick
 * @idle: ticks without
 * @timer: the lingering hold
 * @lookup_lock: protects changes of @blocks, @largest, @extents and @looked_up, and the emptying of
 *	the map
 * @blocks: for each block of the file, in i_blkbits, that is known: the run that it is in
 *	(struct drw_run). Read under RCU by those who have a hold.
 * @largest: of them, where most of a file is
 * @extents: runs in it
 * @version: i_version that @blocks belongs to; DRW_NO_VERSION: the map does not survive. Set
 *	under @lookup_lock, and moved on by updates of times (stamp.c)
 * @looked_up: counts up before blocks become known
 * @committed: @looked_up when the file was last synced
 * @stamp: jiffies of the last update of its times, 0: none
 * @read_at: jiffies when its file system was last found to allow reading; any finding is as
 *	good as another, so nothing protects it
 * @write_at: likewise for writing
 */
struct drw_file {
	struct hlist_node node;
	unsigned int users;
	struct inode *inode;
	const struct address_space_operations *a_ops;
	bool versioned;
	u32 page_bytes;

	atomic_t holders;
	atomic_t ended;
	unsigned long state;
	bool busy;
	unsigned int idle;
	struct timer_list timer;

	struct mutex lookup_lock;
	struct xarray blocks;
	struct drw_run __rcu *largest;
	u64 extents;
	u64 version;
	u32 looked_up;
	u32 committed;

	unsigned long stamp;
	unsigned long read_at;
	unsigned long write_at;
};

/* A version that no inode has: i_version counts in steps from what it was on disk. */
#define DRW_NO_VERSION	U64_MAX

/* file.c */
struct drw_file *drw_file_get(struct file *file,
			      const struct address_space_operations *a_ops);
void drw_file_put(struct drw_file *f);
int drw_file_check(struct file *file, struct drw_refusal *refusal);
int drw_file_ask(struct drw_file *f, struct file *file, bool write);

/* hold.c */
void drw_hold_init(struct drw_file *f);
void drw_hold_exit(struct drw_file *f);
bool drw_hold_begin(struct drw_file *f);
bool drw_hold_locked(struct drw_file *f);
void drw_hold_release(struct drw_file *f);
void drw_hold_linger(struct drw_file *f);
void drw_hold_stop_lingering(struct drw_file *f);

/* blocks.c */
bool drw_blocks_true(const struct drw_file *f);
int drw_blocks_look_up(struct drw_file *f, u64 pos, u64 *len, bool locked);
int drw_blocks_commit(struct drw_file *f, struct file *file);
const struct drw_run *drw_blocks_find(struct drw_file *f, u64 block);
u64 drw_blocks_metadata(struct drw_file *f);
void drw_blocks_free(struct drw_file *f);
bool drw_blocks_none(struct file *file);

/* What drw_blocks_locate() says of a run that has, or had a moment ago, the block of @pos. */
static inline void drw_run_locate(const struct drw_run *run, u64 pos, u8 shift, u64 *at,
				  u64 *bytes)
{
	u64 last = max(READ_ONCE(run->last), pos >> shift);

	*at = pos + (run->ahead << shift);
	*bytes = min(*bytes, ((last + 1) << shift) - pos);
}

/**
 * drw_blocks_locate() - where a byte of a file is
 * @f: file; the caller has a hold
 * @pos: its offset
 * @at: set to its offset in the file system's block device
 * @bytes: how many are asked for; cut to those that are consecutive from there on
 *
 * Does not sleep.
 *
 * Return: false if it must be looked up.
 */
static inline bool drw_blocks_locate(struct drw_file *f, u64 pos, u64 *at, u64 *bytes)
{
	/* The mask is free, and spares a check by UBSAN. */
	u8 shift = f->inode->i_blkbits & 63;
	const struct drw_run *run;
	u64 block = pos >> shift;

	/* Pairs with the release in blocks_forget(): the map is at least as new. */
	if (f->versioned && !inode_eq_iversion(f->inode, smp_load_acquire(&f->version)))
		return false;
	rcu_read_lock();
	run = rcu_dereference(f->largest);
	if (!run || block < READ_ONCE(run->first) || block > READ_ONCE(run->last))
		run = drw_blocks_find(f, block);
	if (run)
		drw_run_locate(run, pos, shift, at, bytes);
	rcu_read_unlock();
	return run;
}

/* Is all that is known of blocks durable? Under a hold, also what has been located in it. */
static inline bool drw_blocks_are_committed(const struct drw_file *f)
{
	/* Pairs with the store of a block, which counts first (blocks_settle()). */
	smp_rmb();
	return READ_ONCE(f->committed) == READ_ONCE(f->looked_up);
}

/**
 * drw_hold() - keep the blocks of a file as they are
 * @f: file
 *
 * Does not sleep. The hold ends with drw_hold_release().
 *
 * Return: false if the inode lock cannot be had, or blocks must be looked up again.
 */
static inline bool drw_hold(struct drw_file *f)
{
	if (unlikely(!atomic_inc_not_zero(&f->holders)))
		return drw_hold_begin(f);
	if (likely(!drw_inode_locked_exclusive(f->inode) &&
		   (!f->versioned || inode_eq_iversion(f->inode, READ_ONCE(f->version))))) {
		if (!READ_ONCE(f->busy))
			WRITE_ONCE(f->busy, true);
		return true;
	}
	drw_hold_release(f);
	return false;
}

/**
 * drw_file_alive() - does the file system still stand for its files?
 * @f: file
 * @file: as what it was opened
 * @write: for writing
 *
 * Asked once a tick. Callable where sleeping is not allowed.
 *
 * Return: 0; -EIO if it has shut itself down, -EPERM if it only allows reading.
 */
static inline int drw_file_alive(struct drw_file *f, struct file *file, bool write)
{
	if (likely(READ_ONCE(*(write ? &f->write_at : &f->read_at)) == jiffies))
		return 0;
	return drw_file_ask(f, file, write);
}

#endif /* _DRW_FILE_H */
