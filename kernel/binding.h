/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * binding.h - a file descriptor that joins one dma-buf to one file.
 *
 * A binding is reached through its struct file only, so it lives at least as long as any
 * call or io_uring command on it. It holds the file, the buffer, and for each path one
 * use of the buffer's mapping for that path's controller.
 *
 * Paths are only ever added while the binding lives: readers take them without a lock
 * and need no reference. A path that has died stays as a husk; one that comes back is
 * added anew. When the array is full no more come, which a namespace reaches after
 * DRW_MAX_PATHS arrivals of a controller.
 */
#ifndef _DRW_BINDING_H
#define _DRW_BINDING_H

#include <linux/io_uring/cmd.h>
#include <linux/mutex.h>

#include "target.h"

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
 * @path_lock: serialises additions to @paths; taken before drw_dmadev.lock
 * @paths: entries below @nr_paths are constant
 * @nr_paths: published with smp_store_release()
 * @cur: index of the path that new transfers use; a hint, written by anybody
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
	struct drw_path *paths[DRW_MAX_PATHS];
	unsigned int nr_paths;
	unsigned int cur;

	struct drw_stats __percpu *stats;
	atomic64_t failovers;
};

int drw_bind(struct dmabuf_rw_bind *arg);
struct drw_binding *drw_binding_from_file(struct file *file);
struct drw_path *drw_binding_path(struct drw_binding *b);
bool drw_binding_next_path(struct drw_binding *b, struct drw_path *failed);

#endif /* _DRW_BINDING_H */
