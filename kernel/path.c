// SPDX-License-Identifier: GPL-2.0-only
/* path.c - the paths from a binding's buffer to its namespace: see path.h. */
#include <linux/moduleparam.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "binding.h"
#include "nvme/request.h"
#include "nvme/selftest.h"

/* The most disks that one scan finds. */
#define DRW_MAX_PATHS	32

/* A failed path is not chosen again for this long. */
#define DRW_PATH_REST	HZ

/* Like the NVMe driver's parameter of that name, with its default (drivers/nvme/host/pci.c). */
static unsigned int sgl_threshold = SZ_32K;
module_param(sgl_threshold, uint, 0644);
MODULE_PARM_DESC(sgl_threshold,
		 "use SGLs when the average segment has at least this many bytes, 0: only where PRPs cannot do it (default: 32768)");

static struct drw_limits path_limits(const struct drw_path *path, u32 lba_bytes)
{
	struct request_queue *q = path->disk->queue;

	return (struct drw_limits) {
		.max_bytes = drw_rq_max_bytes(path->disk, lba_bytes),
		.lba_bytes = lba_bytes,
		.max_segs = clamp_t(u32, queue_max_segments(q), 1, DRW_SGLS_PER_PAGE),
		.sgl_threshold = READ_ONCE(sgl_threshold),
		/* Constant once the self-test has succeeded. */
		.sgl = READ_ONCE(path->ctrl->sgl),
	};
}

/* Open a path through a disk. */
static struct drw_path *path_open(struct drw_binding *b, const struct drw_disk *d,
				  struct drw_refusal *refusal)
{
	struct drw_path *path;
	int ret;

	*refusal = (struct drw_refusal) { };
	path = kzalloc(sizeof(*path), GFP_KERNEL_ACCOUNT);
	if (!path)
		return ERR_PTR(-ENOMEM);
	get_device(disk_to_dev(d->disk));
	path->disk = d->disk;
	path->has_poll = d->has_poll;

	path->ctrl = drw_controller_get(d->disk, d->dma_dev);
	if (IS_ERR(path->ctrl)) {
		ret = PTR_ERR(path->ctrl);
		if (ret == -ENODEV)
			refusal->reason = DMABUF_RW_REASON_GONE;
		goto err_path;
	}
	ret = drw_selftest(&b->storage, d->disk, path->ctrl, refusal);
	if (ret)
		goto err_ctrl;
	path->map = drw_map_get(path->ctrl, b->dmabuf, refusal);
	if (IS_ERR(path->map)) {
		ret = PTR_ERR(path->map);
		goto err_ctrl;
	}
	/* Bindings share the mapping; each judges it for itself. */
	ret = drw_memclass_judge(&path->map->mc, b->flags, refusal);
	if (ret)
		goto err_map;
	path->lim = path_limits(path, b->storage.lba_bytes);
	return path;

err_map:
	drw_map_put(path->map);
err_ctrl:
	drw_controller_put(path->ctrl);
err_path:
	put_device(disk_to_dev(d->disk));
	kfree(path);
	return ERR_PTR(ret);
}

static void path_close(struct drw_path *path)
{
	drw_map_put(path->map);
	drw_controller_put(path->ctrl);
	put_device(disk_to_dev(path->disk));
	kfree(path);
}

bool drw_path_dead(const struct drw_path *path)
{
	return READ_ONCE(path->map->severed) || !drw_disk_alive(path->disk);
}

static bool path_leads_through(struct drw_paths *p, const struct gendisk *disk)
{
	struct drw_path *path;

	list_for_each_entry(path, &p->live, node)
		if (path->disk == disk && !drw_path_dead(path))
			return true;
	return false;
}

/*
 * Open paths through new disks. If the binding then has none, returns the errno of the last disk
 * that could not be opened, with its cause in @refusal.
 */
static int path_scan(struct drw_binding *b, struct drw_refusal *refusal)
{
	struct drw_disk disks[DRW_MAX_PATHS];
	struct drw_paths *p = &b->paths;
	int nr, i, ret = -ENODEV;

	lockdep_assert_held(&p->lock);
	*refusal = (struct drw_refusal) { .reason = DMABUF_RW_REASON_NO_PATH };
	nr = drw_target_find_disks(&b->storage, disks, DRW_MAX_PATHS);
	for (i = 0; i < nr; i++) {
		struct drw_path *path;

		if (path_leads_through(p, disks[i].disk)) {
			drw_disk_put(&disks[i]);
			continue;
		}
		path = path_open(b, &disks[i], refusal);
		drw_disk_put(&disks[i]);
		if (IS_ERR(path)) {
			ret = PTR_ERR(path);
			continue;
		}
		list_add_tail(&path->node, &p->live);
		if (!rcu_access_pointer(p->cur))
			rcu_assign_pointer(p->cur, path);
	}
	return list_empty(&p->live) ? ret : 0;
}

/* Retire dead paths, and free retired ones that no transfer uses. */
static void path_reap(struct drw_paths *p)
{
	struct drw_path *cur = rcu_dereference_protected(p->cur, lockdep_is_held(&p->lock));
	struct drw_path *path, *next;
	bool retired = false;

	list_for_each_entry_safe(path, next, &p->live, node) {
		if (path == cur || !drw_path_dead(path))
			continue;
		list_move(&path->node, &p->retired);
		retired = true;
	}
	/* After this, every transfer that took one of them as the current path is counted. */
	if (retired)
		synchronize_rcu();
	list_for_each_entry_safe(path, next, &p->retired, node) {
		if (atomic_read_acquire(&path->users))
			continue;
		list_del(&path->node);
		path_close(path);
	}
}

/**
 * drw_paths_next() - choose another path after a failure
 * @b: binding to a multipath head
 * @failed: the path that failed; only compared, since it may have been freed
 *
 * Opens paths that are new, then chooses the first that is alive and has not failed within
 * the last second. May sleep.
 *
 * Return: true if there is one.
 */
bool drw_paths_next(struct drw_binding *b, const struct drw_path *failed)
{
	struct drw_paths *p = &b->paths;
	struct drw_refusal refusal;
	struct drw_path *path;
	bool found = false;

	mutex_lock(&p->lock);
	path_scan(b, &refusal);
	list_for_each_entry(path, &p->live, node) {
		/* Never 0, which stands for no failure. */
		if (path == failed)
			path->failed_at = jiffies | 1;
		if (found || drw_path_dead(path) ||
		    (path->failed_at && time_before(jiffies, path->failed_at + DRW_PATH_REST)))
			continue;
		rcu_assign_pointer(p->cur, path);
		found = true;
	}
	if (found)
		path_reap(p);
	mutex_unlock(&p->lock);
	return found;
}

void drw_paths_init(struct drw_binding *b)
{
	mutex_init(&b->paths.lock);
	INIT_LIST_HEAD(&b->paths.live);
	INIT_LIST_HEAD(&b->paths.retired);
}

/* Open all paths, once b->storage is known. May sleep. 0 or an errno of BIND. */
int drw_paths_open(struct drw_binding *b, struct drw_refusal *refusal)
{
	int ret;

	b->paths.counted = b->storage.multipath;
	mutex_lock(&b->paths.lock);
	ret = path_scan(b, refusal);
	mutex_unlock(&b->paths.lock);
	return ret;
}

/* Close all paths. No transfer is left. May sleep. */
void drw_paths_exit(struct drw_binding *b)
{
	struct drw_path *path, *next;

	list_splice(&b->paths.retired, &b->paths.live);
	list_for_each_entry_safe(path, next, &b->paths.live, node)
		path_close(path);
	mutex_destroy(&b->paths.lock);
}
