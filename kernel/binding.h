/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * binding.h - a file descriptor that joins one dma-buf to one file.
 *
 * A binding is reached through its struct file only, so it outlives any call or io_uring
 * command on it. It holds the storage side (storage/), the buffer, and the paths between them
 * (path.h).
 */
#ifndef _DRW_BINDING_H
#define _DRW_BINDING_H

#include <linux/dma-buf.h>

#include "path.h"
#include "storage/storage.h"

struct drw_stats {
	u64 reads;
	u64 writes;
	u64 read_bytes;
	u64 write_bytes;
	u64 errors;
};

/**
 * struct drw_binding - a binding
 * @storage: the file
 * @dmabuf: the buffer; reference held; constant
 * @flags: DMABUF_RW_BIND_*; constant
 * @minds: DRW_LACKS_* that @flags do not accept; constant
 * @can: directions allowed, by enum dmabuf_rw_op; constant
 * @paths: from the buffer to the namespace
 * @stats: counters of each CPU
 * @failovers: times a transfer moved to another path
 * @totals: counters of its drive; constant while @totals_node is in a list
 * @totals_node: in drw_totals.bindings; see totals.c
 */
struct drw_binding {
	struct drw_storage storage;
	struct dma_buf *dmabuf;
	u64 flags;
	u32 minds;
	bool can[2];
	struct drw_paths paths;
	struct drw_stats __percpu *stats;
	atomic64_t failovers;
	struct drw_totals *totals;
	struct list_head totals_node;
};

/* totals.c */
extern const struct attribute_group *drw_totals_groups[];
int drw_totals_add(struct drw_binding *b);
void drw_totals_remove(struct drw_binding *b);
void drw_totals_exit(void);

/* info.c */
void drw_binding_sum(const struct drw_binding *b, struct drw_stats *sum);
long drw_info(struct drw_binding *b, void __user *uarg);
void drw_info_show(struct seq_file *m, struct file *file);

/* May this transfer be made with these DMABUF_RW_IO_* flags? 0, -EINVAL or -EACCES. */
static inline int drw_binding_may(const struct drw_binding *b, bool write, u64 flags)
{
	if (unlikely(flags & ~(DMABUF_RW_IO_WHOLE | (write ? DMABUF_RW_IO_FUA : 0))))
		return -EINVAL;
	return likely(b->can[write]) ? 0 : -EACCES;
}

/* Count ended transfers: @moved that moved @bytes altogether, and @errors that failed. */
static inline void drw_binding_count(struct drw_binding *b, bool write, u32 moved, u64 bytes,
				     u32 errors)
{
	struct drw_stats __percpu *s = b->stats;

	if (unlikely(errors))
		this_cpu_add(s->errors, errors);
	if (unlikely(!moved))
		return;
	if (write) {
		this_cpu_add(s->writes, moved);
		this_cpu_add(s->write_bytes, bytes);
	} else {
		this_cpu_add(s->reads, moved);
		this_cpu_add(s->read_bytes, bytes);
	}
}

#endif /* _DRW_BINDING_H */
