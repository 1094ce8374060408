/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * file.h - what all bindings of one regular file share: its hold and its block map.
 *
 * The rule that keeps the block map valid
 *   To free or move blocks of a file, a file system takes the inode lock exclusively and waits
 *   for direct I/O (inode_dio_wait()). Two operations of XFS do not wait, not even for XFS's
 *   own direct I/O: XFS_IOC_SWAPEXT, and the end of an RWF_ATOMIC write that is done by
 *   copying. Both increment i_version, see below. So:
 *
 *   1. Commands run only under a hold: a count of direct I/O (inode_dio_begin()), taken with
 *      the inode lock held shared. The holds of a file count as one direct I/O, from the first
 *      to the last: an epoch. No blocks move before it ends.
 *   2. Blocks are looked up during an epoch, and stay in the map until it ends.
 *   3. The map outlives its epoch only where every change of blocks shows. On XFS each
 *      increments i_version. On ext4 EXT4_IOC_MOVE_EXT and EXT4_IOC_SWAP_BOOT do not, so there
 *      the map ends with its epoch.
 *
 * Holds
 *   A transfer tries for a hold and never waits for one. It joins an epoch by counting itself,
 *   and backs off if the inode is locked exclusively: the owner may be waiting for the epoch to
 *   end. On XFS it also compares i_version, and so does every access to the map. A write in
 *   flight during a swap of blocks lands in blocks of the other file, as XFS's own direct
 *   writes do; new writes do not begin.
 *
 *   On ext4 the epoch lingers, so that successive transfers do not repeat look-ups: a timer
 *   keeps a hold until no transfer has taken one for a second. If the inode is locked
 *   exclusively and no other hold is left, the next tick or the last transfer ends it.
 *
 * Looking up
 *   ->bmap() may lock the inode (ext4), and the owner of that lock may be waiting for the epoch
 *   to end. So the task that looks up has no hold; the timer has one, and gives it up as
 *   above. The blocks found are used only if no epoch has ended meanwhile.
 *
 *   A block may be allocated before its first data is written; until then the disk has old
 *   data there. So a look-up waits for writes and page faults that began before it, then writes
 *   dirty pages, which also waits for writeback that has allocated a block and has its page
 *   locked. Only then does the block enter the map.
 *
 * Locks: drw_files_lock, for list operations only; no lock is taken inside.
 *	  drw_file.lookup_lock > inode lock > invalidate lock. A look-up waits for all three,
 *	  under the timer's hold at most, which does not last while the inode is locked
 *	  exclusively.
 *	  A transfer with a hold waits only for the drive, and on poll queues for the task that
 *	  polls them, as direct I/O does.
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
 * struct drw_run - blocks of a file that are known to be consecutive on the disk
 * @first: first block, in the file; decreases while readers look
 * @last: last block, in the file; increases while readers look
 * @ahead: block on the disk minus block in the file, modulo 2^64
 * @rcu: frees it after a grace period
 *
 * The map has an entry for it at each of its blocks, and while it grows at more.
 */
struct drw_run {
	u64 first;
	u64 last;
	u64 ahead;
	struct rcu_head rcu;
};

/* Bit of drw_file.state: the timer has a hold. The task that clears the bit releases it. */
#define DRW_FILE_LINGERS	0

/**
 * struct drw_file - a regular file
 * @node: in drw_files; drw_files_lock
 * @users: bindings; drw_files_lock
 * @inode: its inode; every binding has the file open
 * @a_ops: from when it was first bound; a change means another journal mode
 * @versioned: on XFS, where every change of blocks increments i_version; so do writes of
 *	others, after each of which blocks are looked up again
 * @page_bytes: unit of the page cache and of allocation
 * @holders: holds, the timer's included
 * @ended: epochs that have ended
 * @state: DRW_FILE_LINGERS
 * @busy: a hold was taken since the last tick
 * @idle: ticks without one
 * @timer: the lingering hold
 * @lookup_lock: protects changes of @blocks, @largest, @extents and @looked_up
 * @blocks: runs (struct drw_run), by the blocks of the file, in units of i_blkbits. Read under
 *	RCU, with a hold.
 * @largest: the longest run, or NULL; tried first, since it often has most of a file
 * @extents: runs in @blocks
 * @version: i_version that @blocks belongs to; DRW_NO_VERSION: the map ends with its epoch. Set
 *	under @lookup_lock, and advanced by updates of times (stamp.c)
 * @looked_up: incremented before blocks enter the map
 * @committed: @looked_up when the file was last synced
 * @stamp: jiffies of the last update of its times, 0: none
 * @read_at: jiffies when its file system last allowed reading; unprotected, since any
 *	transfer's answer will do
 * @write_at: the same for writing
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

/* A version that no inode has: inode_eq_iversion() compares 63 bits. */
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

/* drw_blocks_locate() in the run at the block of @pos; run->last may not include it yet. */
static inline void drw_run_locate(const struct drw_run *run, u64 pos, u8 shift, u64 *at,
				  u64 *bytes)
{
	u64 last = max(READ_ONCE(run->last), pos >> shift);

	*at = pos + (run->ahead << shift);
	*bytes = min(*bytes, ((last + 1) << shift) - pos);
}

/**
 * drw_blocks_locate() - locate a byte of a file
 * @f: file; the caller has a hold
 * @pos: its offset
 * @at: set to its offset in the file system's block device
 * @bytes: bytes wanted; cut to those that are consecutive from there on
 *
 * Does not sleep.
 *
 * Return: false if its block must be looked up.
 */
static inline bool drw_blocks_locate(struct drw_file *f, u64 pos, u64 *at, u64 *bytes)
{
	/* The mask costs nothing and avoids a check by UBSAN. */
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

/* Are all blocks in the map durable? With a hold, so are those that were located before. */
static inline bool drw_blocks_are_committed(const struct drw_file *f)
{
	/* Pairs with blocks_settle(), which counts before it stores blocks. */
	smp_rmb();
	return READ_ONCE(f->committed) == READ_ONCE(f->looked_up);
}

/**
 * drw_hold() - keep the blocks of a file as they are
 * @f: file
 *
 * Does not sleep. The hold ends with drw_hold_release().
 *
 * Return: false if the inode is locked exclusively, or blocks must be looked up again.
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
 * drw_file_alive() - does the file system still allow access to its files?
 * @f: file
 * @file: the open file
 * @write: for writing
 *
 * Asks once a tick. Does not sleep.
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
