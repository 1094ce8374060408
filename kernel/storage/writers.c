// SPDX-License-Identifier: GPL-2.0-only
/*
 * writers.c - what a write has to have before its first command.
 *
 * Writes of whole LBAs share a file; a write of parts of LBAs, which reads them first, has
 * it to itself. An rwsem would be that, but for three things: a share is given back in
 * interrupt context, the wait for all of them must end at a fatal signal, and while it lasts
 * transfers on poll queues have to be polled for, whose owner may be who waits.
 *
 * For a regular file also: the file system is not frozen, and the file's times and
 * privileges have been dealt with, as by any write; times to the second, or a second later.
 */
#include <linux/cred.h>
#include <linux/iversion.h>

#include "nvme/controller.h"
#include "storage/inode.h"
#include "transfer/io.h"

/* How often a write of parts looks at poll queues while it waits. */
#define DRW_WRITERS_POLL	max(HZ / 200, 1)

static void late(struct work_struct *work);

void drw_writers_init(struct drw_inode *di)
{
	mutex_init(&di->odd_lock);
	init_waitqueue_head(&di->wait);
	spin_lock_init(&di->late_lock);
	INIT_DELAYED_WORK(&di->late_work, late);
}

static int wait_share(struct drw_inode *di)
{
	int ret;

	if (likely(drw_writers_try_share(di)))
		return 0;
	atomic_inc(&di->sharers);
	ret = wait_event_killable(di->wait, drw_writers_try_share(di));
	if (atomic_dec_and_test(&di->sharers))
		wake_up_all(&di->wait);
	return ret ? -EINTR : 0;
}

static bool try_all(struct drw_inode *di)
{
	return !atomic_read(&di->writers) && !atomic_cmpxchg_acquire(&di->writers, 0, -1);
}

static int wait_all(struct drw_inode *di)
{
	if (mutex_lock_killable(&di->odd_lock))
		return -EINTR;
	/* After another write of parts, those who waited for it come first. */
	wait_event_timeout(di->wait, !atomic_read(&di->sharers), 1);
	WRITE_ONCE(di->gate, true);
	for (;;) {
		long left = wait_event_killable_timeout(di->wait, try_all(di),
							DRW_WRITERS_POLL);

		if (left > 0)
			return 0;
		if (left < 0)
			break;
		drw_controller_poll_all();
	}
	WRITE_ONCE(di->gate, false);
	wake_up_all(&di->wait);
	mutex_unlock(&di->odd_lock);
	return -EINTR;
}

static void put_all(struct drw_inode *di)
{
	WRITE_ONCE(di->gate, false);
	atomic_set_release(&di->writers, 0);
	wake_up_all(&di->wait);
	mutex_unlock(&di->odd_lock);
}

static void put(struct drw_inode *di, bool odd)
{
	if (odd)
		put_all(di);
	else
		drw_writers_put_share(di);
}

/* Times to the second, and privileges whenever there are any: as recent as that? */
static bool is_stamped(const struct drw_inode *di)
{
	unsigned long stamp = READ_ONCE(di->stamp);

	return stamp && time_before(jiffies, stamp + HZ) && IS_NOSEC(di->inode);
}

/* The inode and di->check_lock are locked. @late: for writes that have dealt with privileges. */
static int stamp_locked(struct drw_inode *di, struct file *file, bool late)
{
	/* Our own change of i_version says nothing about blocks. */
	bool known = inode_eq_iversion(di->inode, di->version);
	int ret = late ? file_update_time(file) : file_modified(file);

	if (known)
		WRITE_ONCE(di->version, inode_query_iversion(di->inode));
	if (ret)
		return ret == -EINTR || ret == -ENOMEM || ret == -ENOSPC ? ret : -EIO;
	/* Never 0. */
	WRITE_ONCE(di->stamp, jiffies ?: 1);
	return 0;
}

static int stamp(struct drw_inode *di, struct file *file)
{
	struct inode *inode = di->inode;
	const struct cred *cred;
	int ret;

	if (mutex_lock_killable(&di->check_lock))
		return -EINTR;
	if (inode_lock_killable(inode)) {
		mutex_unlock(&di->check_lock);
		return -EINTR;
	}
	/*
	 * Whether privileges stay is a matter of who writes. A kernel thread that repeats a
	 * write has all rights, so it takes those with which the file was opened.
	 */
	cred = current->flags & PF_KTHREAD ? override_creds(file->f_cred) : NULL;
	ret = stamp_locked(di, file, false);
	if (cred)
		revert_creds(cred);
	inode_unlock(inode);
	mutex_unlock(&di->check_lock);
	return ret;
}

/*
 * Nobody can tell a file whose last writes have not been stamped from one that was not
 * written, so they are stamped a little later.
 */
static void stamp_later(struct drw_inode *di, struct file *file)
{
	if (READ_ONCE(di->late_file))
		return;
	spin_lock(&di->late_lock);
	if (!di->late_file) {
		WRITE_ONCE(di->late_file, get_file(file));
		queue_delayed_work(drw_wq, &di->late_work, HZ);
	}
	spin_unlock(&di->late_lock);
}

/* Take it, if it is @file or that is NULL. */
static struct file *take_late_file(struct drw_inode *di, struct file *file)
{
	struct file *late_file;

	spin_lock(&di->late_lock);
	late_file = di->late_file;
	if (file && late_file != file)
		late_file = NULL;
	else
		WRITE_ONCE(di->late_file, NULL);
	spin_unlock(&di->late_lock);
	return late_file;
}

static void late(struct work_struct *work)
{
	struct drw_inode *di = container_of(to_delayed_work(work), struct drw_inode, late_work);
	struct super_block *sb = di->inode->i_sb;
	/* Writes from here on are later than this. */
	struct file *file = take_late_file(di, NULL);
	bool again;

	if (!file)
		return;
	/*
	 * Without waiting: whoever unbinds waits for this, and may be the one who has to poll
	 * for what the inode's holder waits for.
	 */
	if (!sb_start_write_trylock(sb)) {
		again = true;
		goto put;
	}
	again = !mutex_trylock(&di->check_lock);
	if (!again) {
		again = !inode_trylock(di->inode);
		if (!again) {
			/* Where it fails the next write, or the last unbind, tries again. */
			stamp_locked(di, file, true);
			inode_unlock(di->inode);
		}
		mutex_unlock(&di->check_lock);
	}
	sb_end_write(sb);
put:
	if (again)
		stamp_later(di, file);
	__fput_sync(file);
}

/**
 * drw_writers_forget() - a binding goes
 * @di: its file
 * @file: as what it was opened, which is not kept open any longer
 *
 * The caller updates the times. May sleep.
 */
void drw_writers_forget(struct drw_inode *di, struct file *file)
{
	struct file *late_file;

	cancel_delayed_work_sync(&di->late_work);
	late_file = take_late_file(di, file);
	if (late_file)
		fput(late_file);
	/* That of another binding, which is there to be waited for when it goes. */
	else if (READ_ONCE(di->late_file))
		queue_delayed_work(drw_wq, &di->late_work, HZ);
}

/**
 * drw_writers_restamp() - before a write is repeated after its inode has changed
 * @di: regular file
 * @file: as what it was opened
 *
 * Return: 0 or an errno of changing the inode.
 */
int drw_writers_restamp(struct drw_inode *di, struct file *file)
{
	return IS_NOSEC(di->inode) ? 0 : stamp(di, file);
}

/* drw_writers_start() of whatever it is. */
int drw_writers_start_any(struct drw_inode *di, struct file *file, bool odd, enum drw_wait wait)
{
	struct super_block *sb = di->inode->i_sb;
	int ret;

	if (odd)
		ret = wait_all(di);
	else if (wait == DRW_WAIT)
		ret = wait_share(di);
	else
		ret = drw_writers_try_share(di) ? 0 : -EAGAIN;
	if (ret || !drw_inode_regular(di))
		return ret;

	ret = -EAGAIN;
	if (wait == DRW_NOWAIT && !is_stamped(di))
		goto put;
	if (wait == DRW_WAIT)
		sb_start_write(sb);
	else if (!sb_start_write_trylock(sb))
		goto put;
	/* With DRW_WAIT_SHORT it is the repetition of a write that has been stamped. */
	if (wait != DRW_WAIT || is_stamped(di)) {
		stamp_later(di, file);
	} else {
		ret = stamp(di, file);
		if (ret) {
			sb_end_write(sb);
			goto put;
		}
	}
	/* Lockdep: whoever ends the write has it from here on. */
	__sb_writers_release(sb, SB_FREEZE_WRITE);
	return 0;
put:
	put(di, odd);
	return ret;
}

/* drw_writers_end() of whatever it was. */
void drw_writers_end_any(struct drw_inode *di, bool odd)
{
	if (drw_inode_regular(di)) {
		__sb_writers_acquired(di->inode->i_sb, SB_FREEZE_WRITE);
		sb_end_write(di->inode->i_sb);
	}
	put(di, odd);
}
