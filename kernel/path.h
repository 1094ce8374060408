/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * path.h - the ways from a binding's buffer to its namespace.
 *
 * A path is a disk whose queue takes the namespace's commands, the controller behind it, and
 * the buffer as it is mapped for that controller. Without multipath there is one, for as
 * long as the binding lives. With it there is one for each live controller. There is always
 * a current path, though it may be dead. Transfers take it under RCU and count themselves as
 * its users. A path that has died and is no longer current is retired, and freed when a grace
 * period has passed and its last user is gone.
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
 * struct drw_path - one way to the namespace
 * @node: in drw_paths.live or .retired; drw_paths.lock
 * @users: transfers that use it; counted for multipath only, where paths come and go
 * @disk: device reference held. That keeps the disk's and its queue's memory, but behind
 *	a multipath head not the controller's, to which disk->parent and queue->tag_set
 *	point: they may be followed only while a request of the queue is held. The queue may
 *	be asked for a request at any time (drw_rq_alloc()).
 * @has_poll: it has poll queues
 * @ctrl: the controller; reference held
 * @map: the buffer, mapped for it; one use held
 * @lim: what its commands may be
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
 * struct drw_paths - all of a binding
 * @lock: protects @live and @retired, and changes of @cur
 * @live: struct drw_path.node
 * @retired: paths that no new transfer can take
 * @cur: the path that new transfers take; with multipath read under RCU, without it constant
 *	from before the binding has a file
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

/* The path that a new transfer shall use, until drw_path_put(). */
static inline struct drw_path *drw_path_get(struct drw_paths *p)
{
	struct drw_path *path;

	/* Constant, as long as anybody can get here. */
	if (likely(!p->counted))
		return rcu_dereference_protected(p->cur, true);
	rcu_read_lock();
	path = rcu_dereference(p->cur);
	atomic_inc(&path->users);
	rcu_read_unlock();
	return path;
}

/* End the use of a path; callable in any context. It may be freed at once (path_reap()). */
static inline void drw_path_put(struct drw_paths *p, struct drw_path *path)
{
	if (unlikely(p->counted))
		atomic_dec_return_release(&path->users);
}

/* What lists the current path's controller takes. */
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

/* Buffer offsets must be multiples of this: PRPs begin at dwords, SGLs may do better. */
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
