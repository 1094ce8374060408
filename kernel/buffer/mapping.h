/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mapping.h - one dma-buf mapped for one controller, shared by all bindings that need it.
 *
 * Vocabulary
 *   acquire	take the right to use the extents, for the time of a transfer
 *   drain	let no new transfer in and wait until the running ones have ended
 *   sever	drain, unmap and detach for good, because the drive goes away
 *
 * States, under the buffer's reservation lock:
 *   unmapped	sgt == NULL, io_ref dead and zero. So at first, and after an invalidation.
 *   mapped	sgt != NULL, io_ref live, extents valid
 *   revoked	unmapped, and the exporter will not map any more: every acquire is ESTALE
 *   severed	unmapped, attach == NULL: every acquire is ENODEV
 *
 * The invalidate callback drains synchronously under the reservation lock. So whoever
 * holds an acquired mapping must get to its release without that lock, without
 * allocating in a way that may wait for reclaim (an exporter may evict from a shrinker),
 * and without waiting for anything but the drive. No fence is published.
 */
#ifndef _DRW_MAPPING_H
#define _DRW_MAPPING_H

#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/percpu-refcount.h>

#include "nvme/controller.h"
#include "buffer/extents.h"
#include "buffer/memclass.h"

struct drw_polled;

/**
 * struct drw_polled_ops - how a drain deals with a transfer on poll queues
 * @get: keep the transfer from ending; false if it already has. Called under
 *	drw_map.polled_lock.
 * @poll_put: look for completions, then undo @get; may end the transfer
 */
struct drw_polled_ops {
	bool (*get)(struct drw_polled *p);
	void (*poll_put)(struct drw_polled *p);
};

/**
 * struct drw_polled - a transfer whose commands complete only when somebody polls
 *
 * Poll queues raise no interrupt, and the transfer's owner may do other things, so a drain
 * has to poll for it. On drw_map.polled as long as commands may be in flight.
 */
struct drw_polled {
	struct list_head node;
	const struct drw_polled_ops *ops;
};

/**
 * struct drw_map - a mapping
 * @node: in drw_controller.maps; protected by drw_controller.lock
 * @users: bindings' paths that hold it; protected by drw_controller.lock
 * @ctrl: controller; reference held; constant
 * @dmabuf: buffer; reference held; constant
 * @dir: direction it is mapped for; follows from the buffer's open mode; constant
 * @attach: attachment, or NULL when severed; reservation lock
 * @sgt: the exporter's table, or NULL; reservation lock
 * @revoked: see above; written under the reservation lock, read anywhere
 * @severed: likewise
 * @remaps: mappings made after the first; written under the reservation lock
 * @mapped_once: reservation lock
 * @io_ref: transfers that use the extents
 * @drained: completed when @io_ref has dropped to zero
 * @polled_lock: protects @polled; taken in any context
 * @polled: struct drw_polled.node
 * @x: extents; stable while @io_ref is held
 * @ext_bytes: memory that they take
 * @mc: class of memory; stable while @io_ref is held
 */
struct drw_map {
	struct list_head node;
	unsigned int users;
	struct drw_controller *ctrl;
	struct dma_buf *dmabuf;
	enum dma_data_direction dir;

	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	bool revoked;
	bool severed;
	bool mapped_once;
	u64 remaps;

	struct percpu_ref io_ref;
	struct completion drained;
	spinlock_t polled_lock;
	struct list_head polled;
	struct drw_extents x;
	size_t ext_bytes;
	struct drw_memclass mc;
};

/* Why a mapping could not be made: enum dmabuf_rw_reason and the exporter's errno. */
struct drw_refusal {
	u32 reason;
	s32 detail;
};

struct drw_map *drw_map_get(struct drw_controller *ctrl, struct dma_buf *dmabuf,
			    struct drw_refusal *refusal);
void drw_map_put(struct drw_map *map);
int drw_map_acquire_slow(struct drw_map *map, struct drw_refusal *refusal);
void drw_map_sever(struct drw_map *map);
void drw_map_poll(struct drw_map *map);
int drw_map_metadata(struct drw_map *map, size_t *bytes, u32 *extents);

/**
 * drw_map_acquire() - take the right to use the extents
 * @map: mapping
 * @nowait: do not sleep
 *
 * Return: 0; -EAGAIN if @nowait and the buffer has to be mapped first; -ESTALE, -ENODEV
 * and what mapping can give: -EREMOTEIO, -EADDRNOTAVAIL, -ENOMEM, -EINTR.
 */
static inline int drw_map_acquire(struct drw_map *map, bool nowait)
{
	struct drw_refusal refusal;

	if (likely(percpu_ref_tryget_live(&map->io_ref))) {
		/* Pairs with the barrier in drw_map_map_locked(): live means valid. */
		smp_rmb();
		return 0;
	}
	return nowait ? -EAGAIN : drw_map_acquire_slow(map, &refusal);
}

/* End the use of the extents; callable in any context. */
static inline void drw_map_release(struct drw_map *map)
{
	percpu_ref_put(&map->io_ref);
}

#endif /* _DRW_MAPPING_H */
