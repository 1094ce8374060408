/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mapping.h - one dma-buf mapped for one controller, shared by all bindings that need it.
 *
 * A mapping is the attachment of a buffer to a controller, the exporter's scatter list, and
 * the extents made from that list. Transfers use the extents; the exporter may take them back
 * at any time.
 *
 * Vocabulary
 *   prepare	map the buffer if it is not mapped; may wait for the exporter
 *   acquire	take the right to use the extents for a transfer; never waits
 *   drain	let no new transfer in and wait until the running ones have ended
 *   sever	drain, unmap and detach for good
 *
 * States, under the buffer's reservation lock:
 *   unmapped	sgt == NULL, io_ref dead and zero: at first, and after an invalidation
 *   mapped	sgt != NULL, io_ref live, extents valid
 *   revoked	unmapped, and the exporter refuses to map again: prepare returns ESTALE
 *   severed	unmapped, attach == NULL: prepare returns ENODEV
 *
 * The invalidate callback drains synchronously under the reservation lock; no fence is
 * published. So between acquire and release a transfer must not take that lock, must not
 * allocate in a way that waits for reclaim (an exporter may evict from a shrinker), and must
 * wait for nothing but the drive.
 *
 * Locks: drw_controller.lock > drw_map.attach_lock > reservation lock. Except when the drive is
 * removed, the exporter's attach and detach run under attach_lock only, so a slow exporter
 * delays nothing but the users of its own buffer and the removal of the drive.
 */
#ifndef _DRW_MAPPING_H
#define _DRW_MAPPING_H

#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/percpu-refcount.h>

#include "buffer/extents.h"
#include "buffer/memclass.h"
#include "nvme/controller.h"

struct drw_polled;

/**
 * struct drw_polled_ops - how a drain polls for a transfer on poll queues
 * @get: keep the transfer from ending; false if it already has. Called under
 *	drw_map.polled_lock.
 * @poll_put: look for completions, then undo @get; may end the transfer
 */
struct drw_polled_ops {
	bool (*get)(struct drw_polled *p);
	void (*poll_put)(struct drw_polled *p);
};

/**
 * struct drw_polled - a transfer on poll queues
 *
 * Poll queues raise no interrupt, and the owner of the transfer may be busy elsewhere, so a
 * drain has to poll for it. On drw_map.polled as long as commands may be in flight.
 */
struct drw_polled {
	struct list_head node;
	const struct drw_polled_ops *ops;
};

/**
 * struct drw_map - a mapping
 * @node: in drw_controller.maps until the mapping is freed; drw_controller.lock
 * @users: paths of bindings that hold it; drw_controller.lock
 * @ctrl: controller; reference held; constant
 * @dmabuf: buffer; reference held; constant
 * @dir: direction it is mapped for; constant
 * @attach_lock: keeps attach and sever apart
 * @attach: attachment, or NULL; written under both @attach_lock and the reservation lock
 * @sgt: the exporter's table, or NULL; reservation lock
 * @mapped_once: reservation lock
 * @revoked: see above; written under the reservation lock, read anywhere
 * @severed: see above; like @revoked
 * @remaps: mappings after the first; like @revoked
 * @io_ref: transfers that use the extents. The fields that each transfer reads begin here and
 *	fit in a cache line of 64 bytes, which binding and polling do not write.
 * @x: extents; stable while @io_ref is held
 * @mc: the kind of memory at the last mapping; stable while @io_ref is held
 * @drained: completed when @io_ref has dropped to zero
 * @polled_lock: protects @polled; taken in any context
 * @polled: struct drw_polled.node
 * @ext_bytes: memory used by the extents; reservation lock
 */
struct drw_map {
	struct list_head node;
	unsigned int users;
	struct drw_controller *ctrl;
	struct dma_buf *dmabuf;
	enum dma_data_direction dir;

	struct mutex attach_lock;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	bool mapped_once;
	bool revoked;
	bool severed;
	u64 remaps;

	struct percpu_ref io_ref ____cacheline_aligned;
	struct drw_extents x;
	struct drw_memclass mc;
	struct completion drained;
	spinlock_t polled_lock;
	struct list_head polled;
	size_t ext_bytes;
};

static_assert(offsetof(struct drw_map, drained) - offsetof(struct drw_map, io_ref) <= 64);

struct drw_map *drw_map_get(struct drw_controller *ctrl, struct dma_buf *dmabuf,
			    struct drw_refusal *refusal);
void drw_map_put(struct drw_map *map);
int drw_map_prepare(struct drw_map *map, struct drw_refusal *refusal);
void drw_map_sever(struct drw_map *map);
int drw_map_metadata(struct drw_map *map, size_t *bytes, u32 *extents);

/**
 * drw_map_try_acquire() - take the right to use the extents; any context
 * @map: mapping
 *
 * Return: false if the buffer is not mapped; drw_map_prepare() then maps it, or says why not.
 */
static inline bool drw_map_try_acquire(struct drw_map *map)
{
	if (unlikely(!percpu_ref_tryget_live(&map->io_ref)))
		return false;
	/* Pairs with the barrier in map_open_locked(): live means valid. */
	smp_rmb();
	return true;
}

/* Let a drain poll for @p. The caller has acquired the mapping. */
static inline void drw_map_add_polled(struct drw_map *map, struct drw_polled *p,
				      const struct drw_polled_ops *ops)
{
	unsigned long flags;

	p->ops = ops;
	spin_lock_irqsave(&map->polled_lock, flags);
	list_add_tail(&p->node, &map->polled);
	spin_unlock_irqrestore(&map->polled_lock, flags);
}

/* Call this before drw_map_release(). Any context. */
static inline void drw_map_remove_polled(struct drw_map *map, struct drw_polled *p)
{
	unsigned long flags;

	spin_lock_irqsave(&map->polled_lock, flags);
	list_del(&p->node);
	spin_unlock_irqrestore(&map->polled_lock, flags);
}

/* End the use of the extents. Any context. */
static inline void drw_map_release(struct drw_map *map)
{
	percpu_ref_put(&map->io_ref);
}

#endif /* _DRW_MAPPING_H */
