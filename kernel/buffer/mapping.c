// SPDX-License-Identifier: GPL-2.0-only
/*
 * mapping.c - one dma-buf mapped for one controller, shared by all bindings that need it.
 * See mapping.h for states and locks.
 */
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "buffer/mapping.h"
#include "compat.h"
#include "trace.h"

DRW_IMPORT_NS_DMA_BUF;

/* How often a drain polls for transfers on poll queues. */
#define DRW_DRAIN_POLL_JIFFIES	max(HZ / 200, 1)

static void map_io_drained(struct percpu_ref *ref)
{
	complete(&container_of(ref, struct drw_map, io_ref)->drained);
}

/* Poll about once for every transfer on poll queues. Those that end leave the list meanwhile. */
static void map_poll(struct drw_map *map)
{
	struct drw_polled *p;
	size_t left;

	scoped_guard(spinlock_irqsave, &map->polled_lock)
		left = list_count_nodes(&map->polled);
	for (; left; left--) {
		scoped_guard(spinlock_irqsave, &map->polled_lock) {
			p = list_first_entry_or_null(&map->polled, struct drw_polled, node);
			if (!p || !p->ops->get(p))
				return;
			list_move_tail(&p->node, &map->polled);
		}
		p->ops->poll_put(p);
		cond_resched();
	}
}

/* Drain and unmap. Cannot fail, does not allocate. */
static void map_close_locked(struct drw_map *map)
{
	dma_resv_assert_held(map->dmabuf->resv);

	if (!map->sgt)
		return;
	reinit_completion(&map->drained);
	percpu_ref_kill(&map->io_ref);
	while (!wait_for_completion_timeout(&map->drained, DRW_DRAIN_POLL_JIFFIES))
		map_poll(map);

	dma_buf_unmap_attachment(map->attach, map->sgt, map->dir);
	map->sgt = NULL;
	kvfree(map->x.ext);
	map->x = (struct drw_extents) { };
	map->ext_bytes = 0;
}

/* The exporter, which holds the reservation lock, moves or revokes the buffer. */
static void map_invalidate_locked(struct dma_buf_attachment *attach)
{
	struct drw_map *map = attach->importer_priv;

	trace_drw_invalidate(map);
	map_close_locked(map);
	trace_drw_invalidated(map);
}

static const struct dma_buf_attach_ops map_attach_ops = {
	.allow_peer2peer = true,
	.drw_invalidate_cb = map_invalidate_locked,
};

/* Add the exporter's table to @b, up to the buffer's size. */
static int map_add_extents(struct drw_map *map, struct sg_table *sgt,
			   struct drw_extents_builder *b)
{
	struct scatterlist *sg;
	int i, ret;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 len = min_t(u64, sg_dma_len(sg), map->dmabuf->size - b->bytes);

		ret = drw_extents_add(b, sg_dma_address(sg), len);
		if (ret)
			return ret;
		if (!(i & 1023))
			cond_resched();
	}
	/* Anything beyond is padding, as with huge pages, and is not used. */
	return b->bytes == map->dmabuf->size ? 0 : -EMSGSIZE;
}

/* Count, then build. The second walk fails only if our own arithmetic is wrong. */
static int map_build_extents(struct drw_map *map, struct sg_table *sgt,
			     struct drw_refusal *refusal)
{
	struct drw_extents_builder b = { };

	if (map_add_extents(map, sgt, &b))
		return drw_refuse(refusal, DMABUF_RW_REASON_BAD_MAPPING, -EREMOTEIO);
	b = (struct drw_extents_builder) { .ext = drw_extents_alloc(b.nr), .cap = b.nr };
	if (!b.ext)
		return -ENOMEM;
	if (map_add_extents(map, sgt, &b)) {
		kvfree(b.ext);
		return drw_refuse(refusal, DMABUF_RW_REASON_BAD_MAPPING, -EREMOTEIO);
	}
	map->x = drw_extents_built(&b);
	map->ext_bytes = array_size(b.cap, sizeof(*b.ext));
	return 0;
}

/* Did a signal end the exporter's wait? */
static bool map_is_interrupted(int error)
{
	return error == -EINTR || error == -ERESTARTSYS;
}

/* The exporter refused to map: choose an errno. */
static int map_refused_locked(struct drw_map *map, int error, struct drw_refusal *refusal)
{
	if (map_is_interrupted(error))
		return -EINTR;
	/* It was mapped before, so its contents are gone, even if it can be mapped later. */
	if (error == -ENODEV && map->mapped_once) {
		WRITE_ONCE(map->revoked, true);
		return -ESTALE;
	}
	refusal->detail = -error;
	/* ENOMEM may pass, although some exporters return it for every failure. */
	return drw_refuse(refusal, DMABUF_RW_REASON_MAP,
			  error == -ENOMEM ? -ENOMEM : -EREMOTEIO);
}

/* Map, check, and let transfers in. */
static int map_open_locked(struct drw_map *map, struct drw_refusal *refusal)
{
	struct dma_buf *dmabuf = map->dmabuf;
	struct drw_memclass mc;
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	sgt = dma_buf_map_attachment(map->attach, map->dir);
	if (IS_ERR(sgt))
		return map_refused_locked(map, PTR_ERR(sgt), refusal);

	/* Addresses are final, but a move that the exporter queued may still be running. */
	ret = dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_KERNEL, true,
				    MAX_SCHEDULE_TIMEOUT) > 0 ? 0 : -EINTR;
	if (!ret)
		ret = drw_memclass_check(map->ctrl->dev, sgt, dmabuf->size, &mc, refusal);
	if (!ret)
		ret = map_build_extents(map, sgt, refusal);
	if (ret) {
		dma_buf_unmap_attachment(map->attach, sgt, map->dir);
		return ret;
	}

	map->sgt = sgt;
	map->mc = mc;
	if (map->mapped_once)
		WRITE_ONCE(map->remaps, map->remaps + 1);
	map->mapped_once = true;
	/* Pairs with the barrier in drw_map_try_acquire(). */
	smp_wmb();
	percpu_ref_reinit(&map->io_ref);
	return 0;
}

/**
 * drw_map_prepare() - map the buffer if it is not mapped
 * @map: mapping
 * @refusal: the cause, on failure
 *
 * May wait long for the exporter, so the caller must hold nothing that others wait for.
 * Afterwards drw_map_try_acquire() succeeds, unless the exporter invalidates first.
 *
 * Return: 0; -ESTALE, -ENODEV, -EREMOTEIO, -EADDRNOTAVAIL, -EINTR; -ENOMEM, the exporter's if
 * @refusal has a reason.
 */
int drw_map_prepare(struct drw_map *map, struct drw_refusal *refusal)
{
	struct dma_resv *resv = map->dmabuf->resv;
	int ret = 0;

	*refusal = (struct drw_refusal) { };
	if (dma_resv_lock_interruptible(resv, NULL))
		return -EINTR;
	if (map->severed) {
		ret = drw_refuse(refusal, DMABUF_RW_REASON_GONE, -ENODEV);
	} else if (map->revoked) {
		ret = -ESTALE;
	} else if (!map->sgt) {
		ret = map_open_locked(map, refusal);
		trace_drw_map(map, ret);
	}
	dma_resv_unlock(resv);
	return ret;
}

/**
 * drw_map_sever() - drain, unmap, detach
 * @map: mapping
 *
 * Cannot fail, does not allocate, and may be repeated.
 */
void drw_map_sever(struct drw_map *map)
{
	struct dma_buf_attachment *attach;

	guard(mutex)(&map->attach_lock);
	dma_resv_lock(map->dmabuf->resv, NULL);
	map_close_locked(map);
	attach = map->attach;
	map->attach = NULL;
	WRITE_ONCE(map->severed, true);
	dma_resv_unlock(map->dmabuf->resv);

	if (attach)
		dma_buf_detach(map->dmabuf, attach);
}

static int map_attach(struct drw_map *map, struct drw_refusal *refusal)
{
	struct dma_buf_attachment *attach;
	int ret = 0;

	if (mutex_lock_interruptible(&map->attach_lock))
		return -EINTR;
	if (map->attach || map->severed)
		goto unlock;
	/* From here on the invalidate callback may run; it does nothing while unmapped. */
	attach = dma_buf_dynamic_attach(map->dmabuf, map->ctrl->dev, &map_attach_ops, map);
	if (IS_ERR(attach)) {
		ret = -EINTR;
		if (map_is_interrupted(PTR_ERR(attach)))
			goto unlock;
		refusal->detail = -PTR_ERR(attach);
		ret = drw_refuse(refusal, DMABUF_RW_REASON_ATTACH, -EREMOTEIO);
		goto unlock;
	}
	dma_resv_lock(map->dmabuf->resv, NULL);
	map->attach = attach;
	dma_resv_unlock(map->dmabuf->resv);
unlock:
	mutex_unlock(&map->attach_lock);
	return ret;
}

/* From the open mode of the buffer: the drive may do no more than its user. */
static enum dma_data_direction map_direction(const struct dma_buf *dmabuf)
{
	switch (dmabuf->file->f_mode & (FMODE_READ | FMODE_WRITE)) {
	case FMODE_READ:
		return DMA_TO_DEVICE;
	case FMODE_WRITE:
		return DMA_FROM_DEVICE;
	default:
		return DMA_BIDIRECTIONAL;
	}
}

/* Charged to the user's memory cgroup, except for the attachment, which cannot be. */
static struct drw_map *map_create_locked(struct drw_controller *ctrl, struct dma_buf *dmabuf)
{
	struct drw_map *map;

	lockdep_assert_held(&ctrl->lock);

	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	if (percpu_ref_init(&map->io_ref, map_io_drained,
			    PERCPU_REF_INIT_DEAD | PERCPU_REF_ALLOW_REINIT,
			    GFP_KERNEL_ACCOUNT)) {
		kfree(map);
		return ERR_PTR(-ENOMEM);
	}
	map->ctrl = ctrl;
	map->dmabuf = dmabuf;
	map->dir = map_direction(dmabuf);
	map->users = 1;
	mutex_init(&map->attach_lock);
	init_completion(&map->drained);
	spin_lock_init(&map->polled_lock);
	INIT_LIST_HEAD(&map->polled);

	get_dma_buf(dmabuf);
	kref_get(&ctrl->ref);
	list_add(&map->node, &ctrl->maps);
	return map;
}

/* Returns the mapping with a use for the caller. */
static struct drw_map *map_find_or_create(struct drw_controller *ctrl, struct dma_buf *dmabuf)
{
	struct drw_map *map;

	guard(mutex)(&ctrl->lock);
	if (ctrl->gone)
		return ERR_PTR(-ENODEV);
	list_for_each_entry(map, &ctrl->maps, node) {
		/* A mapping without users is being severed. */
		if (map->dmabuf == dmabuf && map->users && !READ_ONCE(map->revoked)) {
			map->users++;
			return map;
		}
	}
	return map_create_locked(ctrl, dmabuf);
}

/**
 * drw_map_get() - get the mapping of a buffer for a controller
 * @ctrl: controller
 * @dmabuf: buffer
 * @refusal: the cause, on failure
 *
 * Maps at once, so that BIND can report what is wrong with the addresses.
 *
 * Return: the mapping, with a use for the caller, who drops it with drw_map_put(), or an
 * ERR_PTR: -ENODEV, -EREMOTEIO, -EADDRNOTAVAIL, -EINTR, -ENOMEM.
 */
struct drw_map *drw_map_get(struct drw_controller *ctrl, struct dma_buf *dmabuf,
			    struct drw_refusal *refusal)
{
	struct drw_map *map;
	int ret;

	*refusal = (struct drw_refusal) { };
	map = map_find_or_create(ctrl, dmabuf);
	if (IS_ERR(map)) {
		if (map == ERR_PTR(-ENODEV))
			refusal->reason = DMABUF_RW_REASON_GONE;
		return map;
	}

	ret = map_attach(map, refusal) ?: drw_map_prepare(map, refusal);
	if (!ret)
		return map;
	drw_map_put(map);
	if (ret == -ESTALE)
		/* To a new binding, a revoked buffer is one that cannot be mapped. */
		*refusal = (struct drw_refusal) {
			.reason = DMABUF_RW_REASON_MAP,
			.detail = ENODEV,
		};
	if (ret == -ESTALE || (ret == -ENOMEM && refusal->reason))
		ret = -EREMOTEIO;
	return ERR_PTR(ret);
}

/* Drop a use; the last one unmaps. May sleep. */
void drw_map_put(struct drw_map *map)
{
	struct drw_controller *ctrl = map->ctrl;

	scoped_guard(mutex, &ctrl->lock)
		if (--map->users)
			return;
	/* It stays in the list meanwhile, so that removal of the drive waits for it. */
	drw_map_sever(map);
	scoped_guard(mutex, &ctrl->lock)
		list_del(&map->node);

	percpu_ref_exit(&map->io_ref);
	dma_buf_put(map->dmabuf);
	kfree(map);
	drw_controller_put(ctrl);
}

/* Memory used by the mapping, and its number of extents. 0 or -EINTR. */
int drw_map_metadata(struct drw_map *map, size_t *bytes, u32 *extents)
{
	if (dma_resv_lock_interruptible(map->dmabuf->resv, NULL))
		return -EINTR;
	*bytes = sizeof(*map) + num_possible_cpus() * sizeof(unsigned long) + map->ext_bytes;
	*extents = map->x.nr;
	dma_resv_unlock(map->dmabuf->resv);
	return 0;
}
