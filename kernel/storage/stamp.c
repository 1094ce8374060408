// SPDX-License-Identifier: GPL-2.0-only
/*
 * stamp.c - times and privileges of a regular file that is written.
 *
 * The first write of a second removes privileges (suid) and updates times before its first
 * command, as any write does. For later writes of that second a work item updates times soon
 * afterwards, so new data does not look old for long.
 *
 * An update of times increments i_version but moves no block. If the block map of a file on XFS
 * is of the version before, it is advanced to the version after. That needs the inode locked
 * exclusively and no direct I/O of others in flight, so that no block moves at the same time.
 */
#include <linux/cred.h>
#include <linux/iversion.h>

#include "storage/storage.h"

/* How long times may lag behind a write. */
#define DRW_STAMP_DELAY		max(HZ / 10, 1)

/* The map's version if it is current and may be advanced. The caller has the inode lock. */
static u64 stamp_known_version(const struct drw_file *f)
{
	u64 version = READ_ONCE(f->version);

	if (atomic_read(&f->inode->i_dio_count) > !!atomic_read(&f->holders))
		return DRW_NO_VERSION;
	return version != DRW_NO_VERSION && inode_eq_iversion(f->inode, version) ? version :
										   DRW_NO_VERSION;
}

/* Advance the block map from version @known, unless it was emptied meanwhile. */
static void stamp_done(struct drw_file *f, u64 known)
{
	if (known != DRW_NO_VERSION)
		cmpxchg(&f->version, known, inode_query_iversion(f->inode));
	/* Never 0, which stands for no update. */
	WRITE_ONCE(f->stamp, jiffies ?: 1);
}

/**
 * drw_stamp() - update times and remove privileges before a write
 * @s: regular file; the caller has freeze protection
 *
 * Sleeps.
 *
 * Return: 0 or an errno of changing the inode.
 */
int drw_stamp(struct drw_storage *s)
{
	struct drw_file *f = s->regular;
	struct inode *inode = f->inode;
	const struct cred *cred = NULL;
	u64 known;
	int ret;

	if (inode_lock_killable(inode))
		return -EINTR;
	/*
	 * The writer's rights decide whether privileges stay. A kernel thread that repeats a
	 * write has all rights, so it uses those with which the file was opened.
	 */
	if (current->flags & PF_KTHREAD)
		cred = override_creds(s->file->f_cred);
	known = stamp_known_version(f);
	ret = file_modified(s->file);
	if (!ret)
		stamp_done(f, known);
	if (cred)
		revert_creds(cred);
	inode_unlock(inode);
	return drw_writing_error(ret);
}

/* Only tries for locks, because unbind waits for this. */
static void stamp_times(struct drw_storage *s)
{
	struct drw_file *f = s->regular;
	struct inode *inode = f->inode;
	u64 known = DRW_NO_VERSION;
	bool locked;

	/* Not on a frozen file system: close() must not wait for the thaw. */
	if (!sb_start_write_trylock(inode->i_sb))
		return;
	locked = f->versioned && inode_trylock(inode);
	if (locked)
		known = stamp_known_version(f);
	/* Without the lock, on XFS, this outdates the map, and the next write stamps again. */
	if (!file_update_time(s->file) && (locked || !f->versioned))
		stamp_done(f, known);
	if (locked)
		inode_unlock(inode);
	sb_end_write(inode->i_sb);
}

static void stamp_work(struct work_struct *work)
{
	stamp_times(container_of(to_delayed_work(work), struct drw_storage, stamp));
}

void drw_stamp_init(struct drw_storage *s)
{
	INIT_DELAYED_WORK(&s->stamp, stamp_work);
}

/* The binding is released. May sleep. */
void drw_stamp_exit(struct drw_storage *s)
{
	if (cancel_delayed_work_sync(&s->stamp))
		stamp_times(s);
}

/* A write relies on an older stamp: update times soon. Any context. */
void drw_stamp_later(struct drw_storage *s)
{
	if (!delayed_work_pending(&s->stamp))
		queue_delayed_work(drw_wq, &s->stamp, DRW_STAMP_DELAY);
}
