// SPDX-License-Identifier: GPL-2.0-only
/*
 * hold.c - keeping the blocks of a file as they are, for as long as commands run.
 *
 * See file.h for the rules. Every change of drw_file.holders from 0 to 1 adds one direct
 * I/O to the inode and every change from 1 to 0 takes one away, so the old epoch's
 * inode_dio_end() may come after the new one's inode_dio_begin().
 */
#include "storage/file.h"
#include "trace.h"

/* Ticks that an unused epoch lingers. Who waits for its end waits for one of them at most. */
#define DRW_HOLD_IDLE_TICKS	HZ

static void hold_drop(struct drw_file *f)
{
	if (!atomic_dec_and_test(&f->holders))
		return;
	/* First, so that who looked up blocks sees it before anybody can move them. */
	atomic_inc(&f->ended);
	smp_mb__after_atomic();
	trace_drw_release(f->inode);
	inode_dio_end(f->inode);
}

/* Give the timer's hold back, if it has one. Callable in any context. */
void drw_hold_stop_lingering(struct drw_file *f)
{
	if (test_and_clear_bit(DRW_FILE_LINGERS, &f->state))
		hold_drop(f);
}

/* The commands have ended. Callable in any context. */
void drw_hold_release(struct drw_file *f)
{
	/* Only the timer's hold would be left: who waits need not wait for the tick. */
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

/* One more hold, maybe the first. The caller has the inode lock, shared. */
static void hold_add(struct drw_file *f)
{
	inode_dio_begin(f->inode);
	if (atomic_inc_return(&f->holders) > 1)
		inode_dio_end(f->inode);
	else
		trace_drw_hold(f->inode);
}

/* Let the timer have a hold. The caller has the inode lock, shared. */
void drw_hold_linger(struct drw_file *f)
{
	/* The hold comes first: a tick that finds the bit may give it back at once. */
	hold_add(f);
	if (test_and_set_bit(DRW_FILE_LINGERS, &f->state)) {
		hold_drop(f);
		return;
	}
	f->idle = 0;
	mod_timer(&f->timer, jiffies + 1);
}

/* drw_hold() for who has the inode lock, shared. False if the map is no longer true. */
bool drw_hold_locked(struct drw_file *f)
{
	/* The map of a running epoch is true; on XFS only if i_version says so, too. */
	bool held = !f->versioned && atomic_inc_not_zero(&f->holders);

	if (!held && drw_blocks_true(f)) {
		hold_add(f);
		held = true;
	}
	if (held && !READ_ONCE(f->busy))
		WRITE_ONCE(f->busy, true);
	return held;
}

/* drw_hold() where there is no epoch to join. */
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

/* The last binding goes; no transfer is left. May sleep. */
void drw_hold_exit(struct drw_file *f)
{
	drw_hold_stop_lingering(f);
	timer_shutdown_sync(&f->timer);
	WARN_ON(atomic_read(&f->holders));
}
