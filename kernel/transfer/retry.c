// SPDX-License-Identifier: GPL-2.0-only
/*
 * retry.c - what is repeated when an attempt of a transfer has failed, and when.
 *
 * Requests fail fast, so that none waits in a queue, with the mapping held, for a controller
 * that is being reset. What the NVMe driver does for ordinary I/O is done here, with
 * nothing held: wait for what is missing, then repeat, on another path if there is one.
 */
#include <linux/delay.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "transfer/io.h"
#include "nvme/request.h"

static unsigned int path_timeout = 30;
module_param(path_timeout, uint, 0644);
MODULE_PARM_DESC(path_timeout,
		 "seconds that a transfer waits for a controller to come back, or looks for another path (default: 30)");

/* Repetitions for want of memory before a transfer fails with ENOMEM. */
#define DRW_NOMEM_TRIES		32

/* Repetitions of what the drive does not say never to repeat; as nvme_core.max_retries. */
#define DRW_TRANSIENT_TRIES	5

/* Wait until memory can be had; holds nothing meanwhile. */
static bool wait_for_memory(struct drw_io *io)
{
	void *p;

	if (++io->nomem > DRW_NOMEM_TRIES)
		return false;
	drw_io_reserve(io);
	p = (void *)__get_free_page(GFP_KERNEL);
	if (p)
		free_page((unsigned long)p);
	fsleep(1000);
	return !fatal_signal_pending(current);
}

/* Wait until the queue has a tag; holds nothing meanwhile. */
static bool wait_for_tag(struct drw_io *io)
{
	struct drw_path *path = drw_binding_get_path(io->b);
	struct request *rq = drw_rq_alloc(&io->b->target, path->disk, io->op, false, false);

	if (!IS_ERR(rq))
		blk_mq_free_request(rq);
	drw_binding_put_path(io->b, path);
	/* What is wrong, if anything, is for the next attempt to find. */
	return true;
}

/* Is there any use in waiting for the drive to come back? */
static bool drive_may_return(struct drw_io *io)
{
	struct drw_target *t = &io->b->target;

	return drw_disk_alive(t->bdev->bd_disk) &&
	       (t->multipath || !READ_ONCE(io->path->map->severed));
}

/* An attempt has ended: shall the rest be tried again? May sleep. */
bool drw_io_again(struct drw_io *io)
{
	struct drw_binding *b = io->b;

	switch (io->error) {
	case 0:
		return false;
	case -ENOMEM:
		return wait_for_memory(io);
	case -EAGAIN:
		return wait_for_tag(io);
	case -DRW_ETRANSIENT:
		if (++io->transient > DRW_TRANSIENT_TRIES || fatal_signal_pending(current)) {
			io->error = -EIO;
			return false;
		}
		msleep(50);
		return true;
	case -ENOLINK:
	case -ENODEV:
	case -ETIMEDOUT:
		break;
	default:
		return false;
	}

	if (!io->deadline)
		/* Never 0. */
		io->deadline = (jiffies + min(path_timeout, 3600U) * HZ) | 1;
	if (!drive_may_return(io)) {
		io->error = -ENODEV;
		return false;
	}
	if (time_after(jiffies, io->deadline) || fatal_signal_pending(current)) {
		/* The disk is there, its controllers are not. */
		if (io->error == -ENODEV)
			io->error = -ENOLINK;
		return false;
	}
	if (b->target.multipath && drw_binding_next_path(b, io->path))
		atomic64_inc(&b->failovers);
	else
		msleep(50);
	return true;
}
