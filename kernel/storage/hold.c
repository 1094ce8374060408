// SPDX-License-Identifier: GPL-2.0-only
/*
 * hold.c - keeps the blocks of a file in place while commands run.
 *
 * See file.h for the rules. A change of drw_file.holders from 0 to 1 adds one direct I/O to the
 * inode, and a change from 1 to 0 removes one. So an old epoch's inode_dio_end() may follow the
 * next one's inode_dio_begin().
 */
#include "storage/file.h"
#include "trace.h"

/* Ticks that an unused epoch lingers. With the inode locked exclusively, one at most. */
#define DRW_HOLD_IDLE_TICKS	HZ

static void hold_drop(struct drw_file *f)
{
	if (!atomic_dec_and_test(&f->holders))
		return;
	/* Before inode_dio_end(), so that a look-up sees it before blocks can move. */
	atomic_inc(&f->ended);
	smp_mb__after_atomic();
	trace_drw_release(f->inode);
	inode_dio_end(f->inode);
}

/* Release the timer's hold, if it has one. Any context. */
void drw_hold_stop_lingering(struct drw_file *f)
{
	if (test_and_clear_bit(DRW_FILE_LINGERS, &f->state))
		hold_drop(f);
}

/* End a hold, after its commands. Any context. */
void drw_hold_release(struct drw_file *f)
{
	/* If only the timer's hold remains, release it: a waiter need not wait for a tick. */
	if (unlikely(drw_inode_locked_exclusive(f->inode)) && atomic_read(&f->holders) == 2)
		drw_hold_stop_lingering(f);
	hold_drop(f);
}

static void hold_tick(struct timer_list *timer)
{
	struct drw_file *f = container_of(timer, struct drw_file, timer);

	if (!test_bit(DRW_FILE_LINGERS, &f->state))
		return;
	if (READ_ONCE(f->busy)) {
		WRITE_ONCE(f->busy, false);
		f->idle = 0;
	}
	if (atomic_read(&f->holders) == 1 &&
	    (drw_inode_locked_exclusive(f->inode) || ++f->idle > DRW_HOLD_IDLE_TICKS)) {
		drw_hold_stop_lingering(f);
		return;
	}
	mod_timer(&f->timer, jiffies + 1);
}

/* Add a hold, perhaps the first. The caller has the inode lock, shared at least. */
static void hold_add(struct drw_file *f)
{
	inode_dio_begin(f->inode);
	if (atomic_inc_return(&f->holders) > 1)
		inode_dio_end(f->inode);
	else
		trace_drw_hold(f->inode);
}

/* Give the timer a hold. The caller has the inode lock, shared. */
void drw_hold_linger(struct drw_file *f)
{
	/* The hold first: once the bit is set, a tick may release it. */
	hold_add(f);
	if (test_and_set_bit(DRW_FILE_LINGERS, &f->state)) {
		hold_drop(f);
		return;
	}
	f->idle = 0;
	mod_timer(&f->timer, jiffies + 1);
}

/* drw_hold() of a caller with the inode lock. False if the map is no longer valid. */
bool drw_hold_locked(struct drw_file *f)
{
	/* During an epoch the map is valid; on XFS only if i_version agrees. */
	bool held = !f->versioned && atomic_inc_not_zero(&f->holders);

	if (!held && drw_blocks_true(f)) {
		hold_add(f);
		held = true;
	}
	if (held && !READ_ONCE(f->busy))
		WRITE_ONCE(f->busy, true);
	return held;
}

/* drw_hold() without an epoch to join. */
bool drw_hold_begin(struct drw_file *f)
{
	bool held;

	if (!inode_trylock_shared(f->inode))
		return false;
	held = drw_hold_locked(f);
	inode_unlock_shared(f->inode);
	return held;
}

void drw_hold_init(struct drw_file *f)
{
	timer_setup(&f->timer, hold_tick, 0);
}

/* The last binding is released; no transfer is left. May sleep. */
void drw_hold_exit(struct drw_file *f)
{
	drw_hold_stop_lingering(f);
	timer_shutdown_sync(&f->timer);
	WARN_ON(atomic_read(&f->holders));
}
