// SPDX-License-Identifier: GPL-2.0-only
/*
 * stamp.c - times and privileges of a regular file that is written.
 *
 * The first write of a second removes privileges (suid) and updates times before its first
 * command, as any write does. Times for later writes of that second are updated by a work
 * item a moment later, so that a file whose last bytes are new never looks old for long.
 *
 * An update of times counts i_version up and moves no block. If the block map of a file on XFS
 * belonged to the version before, it belongs to the one after, provided that nobody moves blocks
 * at the same time: the inode is locked, exclusive, and nobody else's direct I/O is in flight.
 */
#include <linux/cred.h>
#include <linux/iversion.h>

#include "storage/storage.h"

/* How long times may lag behind a write. */
#define DRW_STAMP_DELAY		max(HZ / 10, 1)

/* The version of the block map, if it is the inode's and can move on; the inode is locked. */
static u64 stamp_known_version(const struct drw_file *f)
{
	u64 version = READ_ONCE(f->version);

	if (atomic_read(&f->inode->i_dio_count) > !!atomic_read(&f->holders))
		return DRW_NO_VERSION;
	return version != DRW_NO_VERSION && inode_eq_iversion(f->inode, version) ? version :
										   DRW_NO_VERSION;
}

/* Let the block map move on from @known, unless it was emptied meanwhile. */
static void stamp_done(struct drw_file *f, u64 known)
{
	if (known != DRW_NO_VERSION)
		cmpxchg(&f->version, known, inode_query_iversion(f->inode));
	/* Never 0. */
	WRITE_ONCE(f->stamp, jiffies ?: 1);
}

/**
 * drw_stamp() - before a write
 * @s: regular file; freeze protection is held
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
	 * Whether privileges stay is a matter of who writes. A kernel thread that repeats a
	 * write has all rights, so it takes those with which the file was opened.
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

/* Only tries for locks: whoever unbinds waits for this. */
static void stamp_times(struct drw_storage *s)
{
	struct drw_file *f = s->regular;
	struct inode *inode = f->inode;
	u64 known = DRW_NO_VERSION;
	bool locked;

	/* Not on a frozen file system: nobody wants close() to wait for the thaw. */
	if (!sb_start_write_trylock(inode->i_sb))
		return;
	locked = f->versioned && inode_trylock(inode);
	if (locked)
		known = stamp_known_version(f);
	/* Without the lock the map is lost, and the next write will see to it again. */
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

/* A binding goes. May sleep. */
void drw_stamp_exit(struct drw_storage *s)
{
	if (cancel_delayed_work_sync(&s->stamp))
		stamp_times(s);
}

/* A write that relies on an older stamp has begun; any context. */
void drw_stamp_later(struct drw_storage *s)
{
	if (!delayed_work_pending(&s->stamp))
		queue_delayed_work(drw_wq, &s->stamp, DRW_STAMP_DELAY);
}
