/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * binding.h - a file descriptor that joins one dma-buf to one file.
 *
 * A binding is reached through its struct file only, so it lives at least as long as any
 * call or io_uring command on it. It holds the file, the buffer, and for each path one
 * use of the buffer's mapping for that path's controller.
 *
 * There is always a current path, though it may be dead. Without multipath it is the
 * only one and lives as long as the binding. With it, transfers take the current path
 * under RCU and count themselves as its users; a path that has died and is no longer
 * current is retired, and freed when a grace period has passed and its last user is gone.
 */
#ifndef _DRW_BINDING_H
#define _DRW_BINDING_H

#include <linux/io_uring/cmd.h>
#include <linux/mutex.h>

#include "storage/target.h"

/* Paths that one look around finds at most. */
#define DRW_MAX_PATHS	32

struct drw_stats {
	u64 reads;
	u64 writes;
	u64 read_bytes;
	u64 write_bytes;
	u64 errors;
};

/**
 * struct drw_binding - a binding
 * @target: the file; constant
 * @dmabuf: the buffer; reference held; constant
 * @flags: DMABUF_RW_BIND_*; constant
 * @can_read: file to buffer is allowed; constant
 * @can_write: buffer to file is allowed; constant
 * @path_lock: protects @paths and @retired; taken before drw_controller.lock
 * @paths: struct drw_path.node
 * @retired: paths that no new transfer can take
 * @cur: the path that new transfers take; with multipath written under @path_lock and read
 *	under RCU, without it constant from before the binding has a file
 * @stats: counters of each CPU
 * @failovers: transfers that moved to another path
 */
struct drw_binding {
	struct drw_target target;
	struct dma_buf *dmabuf;
	u64 flags;
	bool can_read;
	bool can_write;

	struct mutex path_lock;
	struct list_head paths;
	struct list_head retired;
	struct drw_path __rcu *cur;

	struct drw_stats __percpu *stats;
	atomic64_t failovers;
};

int drw_bind(struct dmabuf_rw_bind *arg);
bool drw_binding_next_path(struct drw_binding *b, const struct drw_path *failed);
bool drw_binding_has_poll(struct drw_binding *b);

/* Is a transfer of this kind, with DMABUF_RW_IO_* flags, allowed? 0, -EINVAL or -EACCES. */
static inline int drw_binding_may(const struct drw_binding *b, u32 op, u64 flags)
{
	if (flags & ~(op == DMABUF_RW_OP_WRITE ? DMABUF_RW_IO_FUA : 0))
		return -EINVAL;
	return (op == DMABUF_RW_OP_READ ? b->can_read : b->can_write) ? 0 : -EACCES;
}

/* Count a transfer that has ended. */
static inline void drw_binding_count(struct drw_binding *b, u32 op, u64 bytes, int error)
{
	struct drw_stats __percpu *s = b->stats;

	if (unlikely(error))
		this_cpu_inc(s->errors);
	if (bytes && op == DMABUF_RW_OP_READ) {
		this_cpu_inc(s->reads);
		this_cpu_add(s->read_bytes, bytes);
	} else if (bytes) {
		this_cpu_inc(s->writes);
		this_cpu_add(s->write_bytes, bytes);
	}
}

/* The binding of a struct file that io_uring called us for. */
static inline struct drw_binding *drw_binding_from_file(const struct file *file)
{
	return file->private_data;
}

/* The path that a new transfer shall use, until drw_binding_put_path(). */
static inline struct drw_path *drw_binding_get_path(struct drw_binding *b)
{
	struct drw_path *path;

	/* Constant, as long as anybody can get here. */
	if (!b->target.multipath)
		return rcu_dereference_protected(b->cur, true);
	rcu_read_lock();
	path = rcu_dereference(b->cur);
	atomic_inc(&path->users);
	rcu_read_unlock();
	return path;
}

/* What lists the current path's controller takes. */
static inline enum drw_sgl_support drw_binding_sgl(struct drw_binding *b)
{
	enum drw_sgl_support sgl;

	if (!b->target.multipath)
		return rcu_dereference_protected(b->cur, true)->lim.sgl;
	rcu_read_lock();
	sgl = rcu_dereference(b->cur)->lim.sgl;
	rcu_read_unlock();
	return sgl;
}

/* Buffer offsets must be multiples of this: PRPs begin at dwords, SGLs may do better. */
static inline u32 drw_binding_buf_align(struct drw_binding *b)
{
	return drw_binding_sgl(b) == DRW_SGL_BYTE ? 1 : 4;
}

/* File offsets and lengths must be multiples of this: only SGLs can leave out parts of LBAs. */
static inline u32 drw_binding_file_align(struct drw_binding *b)
{
	switch (drw_binding_sgl(b)) {
	case DRW_SGL_BYTE:
		return 1;
	case DRW_SGL_DWORD:
		return 4;
	default:
		return b->target.lba_bytes;
	}
}

/* End the use of a path; callable in any context. It may be freed at once. */
static inline void drw_binding_put_path(struct drw_binding *b, struct drw_path *path)
{
	if (b->target.multipath)
		atomic_dec(&path->users);
}

#endif /* _DRW_BINDING_H */
