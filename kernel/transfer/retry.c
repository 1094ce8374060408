// SPDX-License-Identifier: GPL-2.0-only
/*
 * retry.c - which failed attempts are repeated, and when.
 *
 * Like the NVMe driver for ordinary I/O, but with nothing held, this waits for the missing
 * resource, then repeats the attempt, on another path if there is one.
 */
#include <linux/delay.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "transfer/transfer.h"

static unsigned int path_timeout = 30;
module_param(path_timeout, uint, 0644);
MODULE_PARM_DESC(path_timeout,
		 "seconds that a transfer waits for a controller to come back, for another path, or for its turn at a file (default: 30)");

/* Retries for want of memory before a transfer fails. */
#define DRW_NOMEM_TRIES		32

/* Retries after errors that the drive does not forbid to retry; as nvme_core.max_retries. */
#define DRW_TRANSIENT_TRIES	5

/* Retries for want of a tag, each a millisecond or more, before trying another path. */
#define DRW_NOTAG_TRIES		100

/* Retries because of others, before a span gets the inode lock (drw_span.look_up). */
#define DRW_OTHERS_TRIES	2

#define DRW_PATH_WAIT_MS	50

/* Wait. False if the transfer was cancelled or its task is killed. */
static bool retry_wait(const struct drw_transfer *t, unsigned int ms)
{
	if (ms)
		schedule_timeout_killable(max(msecs_to_jiffies(ms), 1UL));
	return !fatal_signal_pending(current) && !drw_transfer_cancelled(t);
}

static bool retry_memory(struct drw_transfer *t)
{
	struct drw_retry *r = &t->retry;
	void *p;

	if (++r->nomem > DRW_NOMEM_TRIES)
		return false;
	p = (void *)__get_free_page(GFP_KERNEL);
	if (p)
		free_page((unsigned long)p);
	return retry_wait(t, 1);
}

/* When to give up; never 0, which stands for no deadline. */
static unsigned long retry_deadline(void)
{
	return (jiffies + min(path_timeout, 3600U) * HZ) | 1;
}

static bool retry_others(struct drw_transfer *t)
{
	struct drw_retry *r = &t->retry;

	r->others++;
	if (!r->others_deadline)
		r->others_deadline = retry_deadline();
	t->error = -EBUSY;
	/* Even past the deadline make one try with look_up, which has better chances. */
	if (r->others > DRW_OTHERS_TRIES + 1 && time_after(jiffies, r->others_deadline))
		return false;
	t->error = -EINTR;
	t->crowded = r->others > DRW_OTHERS_TRIES;
	return retry_wait(t, t->crowded ? 1 : 0);
}

/* Tags return soon, unless a controller reset freezes the queues, perhaps for long. */
static bool retry_tag(struct drw_transfer *t)
{
	struct drw_binding *b = t->rq.b;

	if (++t->retry.notag % DRW_NOTAG_TRIES == 0 && b->storage.multipath &&
	    drw_paths_next(b, t->failed))
		atomic64_inc(&b->failovers);
	if (retry_wait(t, 1))
		return true;
	t->error = -EINTR;
	return false;
}

static bool retry_transient(struct drw_transfer *t)
{
	if (++t->retry.transient <= DRW_TRANSIENT_TRIES && retry_wait(t, DRW_PATH_WAIT_MS))
		return true;
	t->error = -EIO;
	return false;
}

/* May the drive come back? */
static bool retry_drive_may_return(struct drw_binding *b)
{
	struct drw_path *path;
	bool severed;

	if (!drw_disk_alive(b->storage.bdev->bd_disk))
		return false;
	if (b->storage.multipath)
		return true;
	path = drw_path_get(&b->paths);
	severed = READ_ONCE(path->map->severed);
	drw_path_put(&b->paths, path);
	return !severed;
}

static bool retry_path(struct drw_transfer *t)
{
	struct drw_binding *b = t->rq.b;
	struct drw_retry *r = &t->retry;

	if (!r->deadline)
		r->deadline = retry_deadline();
	if (!retry_drive_may_return(b)) {
		t->error = -ENODEV;
		return false;
	}
	if (time_after(jiffies, r->deadline) || !retry_wait(t, 0)) {
		/* The disk still exists, but no path to it. */
		if (t->error == -ENODEV)
			t->error = -ENOLINK;
		return false;
	}
	if (b->storage.multipath && drw_paths_next(b, t->failed))
		atomic64_inc(&b->failovers);
	else
		retry_wait(t, DRW_PATH_WAIT_MS);
	return true;
}

/**
 * drw_retry() - decide whether to retry after an error, and wait for the missing resource
 * @t: transfer; its error is the attempt's, and may be replaced by the one to report
 *
 * Sleeps.
 *
 * Return: true if the rest shall be tried again.
 */
bool drw_retry(struct drw_transfer *t)
{
	switch (t->error) {
	case -ENOMEM:
		return retry_memory(t);
	case -DRW_ENOAPERTURE:
		if (retry_memory(t))
			return true;
		t->error = -EREMOTEIO;
		return false;
	case -EAGAIN:
		return retry_others(t);
	case -DRW_ENOTAG:
		return retry_tag(t);
	case -DRW_ETRANSIENT:
		return retry_transient(t);
	case -ENOLINK:
	case -ENODEV:
	case -ETIMEDOUT:
		return retry_path(t);
	default:
		return false;
	}
}
