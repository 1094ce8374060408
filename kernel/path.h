/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * path.h - the paths from a binding's buffer to its namespace.
 *
 * A path is a disk whose queue takes the namespace's commands, the controller behind it, and
 * the mapping of the buffer for that controller. Without multipath a binding has one path all
 * its life; with it, one for each live controller. There is always a current path, though it
 * may be dead. Transfers take it under RCU and count themselves as its users. A dead path
 * that is no longer current is retired; after a grace period it is freed with its last user.
 *
 * Locks: drw_paths.lock > drw_controller.lock > reservation lock of the buffer.
 */
#ifndef _DRW_PATH_H
#define _DRW_PATH_H

#include <linux/mutex.h>

#include "buffer/mapping.h"
#include "nvme/cmdlist.h"
#include "nvme/controller.h"
#include "storage/storage.h"

/**
 * struct drw_path - one path to the namespace
 * @node: in drw_paths.live or .retired; drw_paths.lock
 * @users: transfers that use it; counted for multipath only, where paths come and go
 * @disk: device reference held, which keeps the memory of the disk and its queue. Behind a
 *	multipath head it does not keep the controller's, to which disk->parent and
 *	queue->tag_set point: follow those only while holding a request of the queue. Requests
 *	may be allocated at any time (drw_rq_alloc()).
 * @has_poll: it has poll queues
 * @ctrl: the controller; reference held
 * @map: the buffer's mapping for @ctrl; one use held
 * @lim: limits of its commands
 * @failed_at: jiffies of the last path error, 0: none yet; drw_paths.lock
 */
struct drw_path {
	struct list_head node;
	atomic_t users;
	struct gendisk *disk;
	bool has_poll;
	struct drw_controller *ctrl;
	struct drw_map *map;
	struct drw_limits lim;
	unsigned long failed_at;
};

/**
 * struct drw_paths - paths of a binding
 * @lock: protects @live and @retired, and changes of @cur
 * @live: struct drw_path.node
 * @retired: paths that no new transfer can take
 * @cur: the path that new transfers take. With multipath read under RCU; without it set
 *	before the binding has a file, then constant.
 * @counted: with multipath, so paths come and go; constant
 */
struct drw_paths {
	struct mutex lock;
	struct list_head live;
	struct list_head retired;
	struct drw_path __rcu *cur;
	bool counted;
};

struct drw_binding;

void drw_paths_init(struct drw_binding *b);
void drw_paths_exit(struct drw_binding *b);
int drw_paths_open(struct drw_binding *b, struct drw_refusal *refusal);
bool drw_paths_next(struct drw_binding *b, const struct drw_path *failed);
bool drw_path_dead(const struct drw_path *path);

/* Take the current path for a new transfer, until drw_path_put(). */
static inline struct drw_path *drw_path_get(struct drw_paths *p)
{
	struct drw_path *path;

	/* Constant without multipath. */
	if (likely(!p->counted))
		return rcu_dereference_protected(p->cur, true);
	rcu_read_lock();
	path = rcu_dereference(p->cur);
	atomic_inc(&path->users);
	rcu_read_unlock();
	return path;
}

/* End the use of a path, which may then be freed at once (path_reap()). Any context. */
static inline void drw_path_put(struct drw_paths *p, struct drw_path *path)
{
	if (unlikely(p->counted))
		atomic_dec_return_release(&path->users);
}

/* SGLs that the current path's controller takes. */
static inline enum drw_sgl_support drw_paths_sgl(struct drw_paths *p)
{
	enum drw_sgl_support sgl;

	rcu_read_lock();
	sgl = rcu_dereference(p->cur)->lim.sgl;
	rcu_read_unlock();
	return sgl;
}

static inline bool drw_paths_have_poll(struct drw_paths *p)
{
	bool ret;

	rcu_read_lock();
	ret = rcu_dereference(p->cur)->has_poll;
	rcu_read_unlock();
	return ret;
}

/* Buffer offsets must be multiples of this: PRPs begin at dwords, SGLs may at any byte. */
static inline u32 drw_buf_align(enum drw_sgl_support sgl)
{
	return sgl == DRW_SGL_BYTE ? 1 : 4;
}

/* Offsets and lengths of reads must be multiples of this: only SGLs can leave out parts of LBAs. */
static inline u32 drw_read_align(enum drw_sgl_support sgl, u32 lba_bytes)
{
	return sgl == DRW_SGL_BYTE ? 1 : sgl == DRW_SGL_DWORD ? 4 : lba_bytes;
}

#endif /* _DRW_PATH_H */
