// SPDX-License-Identifier: GPL-2.0-only
/*
 * mapping.c - one dma-buf mapped for one controller, shared by all bindings that need it.
 *
 * See mapping.h for states and rules. Lock order: drw_controller.lock > reservation lock.
 */
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "buffer/mapping.h"

DRW_IMPORT_NS_DMA_BUF;

static void drw_map_drained(struct percpu_ref *ref)
{
	complete(&container_of(ref, struct drw_map, io_ref)->drained);
}

/* A drain may wait this long before it looks at transfers on poll queues. */
#define DRW_DRAIN_POLL_JIFFIES	max(HZ / 200, 1)

/* Poll for every transfer on poll queues once. */
void drw_map_poll(struct drw_map *map)
{
	struct drw_polled *p, *first = NULL;
	unsigned long flags;

	for (;;) {
		spin_lock_irqsave(&map->polled_lock, flags);
		p = list_first_entry_or_null(&map->polled, struct drw_polled, node);
		if (p == first || (p && !p->ops->get(p)))
			p = NULL;
		if (p)
			list_move_tail(&p->node, &map->polled);
		spin_unlock_irqrestore(&map->polled_lock, flags);
		if (!p)
			return;
		/*
		 * The first one may end and its memory come back as another transfer; then
		 * this round is a little longer or shorter, and the next one makes up for it.
		 */
		if (!first)
			first = p;
		p->ops->poll_put(p);
	}
}

/*
 * Let no new transfer in, wait for the running ones, unmap. Cannot fail, does not
 * allocate.
 */
static void drw_map_unmap_locked(struct drw_map *map)
{
	dma_resv_assert_held(map->dmabuf->resv);

	if (!map->sgt)
		return;
	reinit_completion(&map->drained);
	percpu_ref_kill(&map->io_ref);
	while (!wait_for_completion_timeout(&map->drained, DRW_DRAIN_POLL_JIFFIES))
		drw_map_poll(map);

	dma_buf_unmap_attachment(map->attach, map->sgt, map->dir);
	map->sgt = NULL;
	kvfree(map->x.ext);
	map->x = (struct drw_extents) { };
	map->ext_bytes = 0;
}

/* The exporter moves or revokes the buffer; it holds the reservation lock. */
static void drw_map_invalidate_locked(struct dma_buf_attachment *attach)
{
	drw_map_unmap_locked(attach->importer_priv);
}

static const struct dma_buf_attach_ops drw_map_attach_ops = {
	.allow_peer2peer = true,
	.drw_invalidate_cb = drw_map_invalidate_locked,
};

/* Feed the table into @b, up to the size of the buffer. */
static int drw_map_walk_sgt(struct drw_map *map, struct sg_table *sgt,
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
	/* Longer is padding, as with huge pages, and is not used. */
	return b->bytes == map->dmabuf->size ? 0 : -EMSGSIZE;
}

static int drw_map_build_extents(struct drw_map *map, struct sg_table *sgt,
				 struct drw_refusal *refusal)
{
	struct drw_extents_builder b = { };

	if (drw_map_walk_sgt(map, sgt, &b))
		goto bad_mapping;

	b = (struct drw_extents_builder) {
		.ext = drw_extents_alloc(b.nr),
		.cap = b.nr,
	};
	if (!b.ext)
		return -ENOMEM;
	/* The same table gives the same answer; this only guards our own arithmetic. */
	if (drw_map_walk_sgt(map, sgt, &b)) {
		kvfree(b.ext);
		goto bad_mapping;
	}
	map->x = drw_extents_built(&b);
	map->ext_bytes = array_size(b.cap, sizeof(*b.ext));
	return 0;

bad_mapping:
	refusal->reason = DMABUF_RW_REASON_BAD_MAPPING;
	return -EREMOTEIO;
}

/* Map, check, and open the mapping for transfers. */
static int drw_map_map_locked(struct drw_map *map, struct drw_refusal *refusal)
{
	struct sg_table *sgt;
	long left;
	int ret;

	dma_resv_assert_held(map->dmabuf->resv);

	sgt = dma_buf_map_attachment(map->attach, map->dir);
	if (IS_ERR(sgt)) {
		ret = PTR_ERR(sgt);
		if (ret == -EINTR || ret == -ERESTARTSYS)
			return -EINTR;
		if (ret == -ENOMEM)
			return -ENOMEM;
		if (ret == -ENODEV && map->mapped_once) {
			/*
			 * It could be mapped once and no longer can: revoked. Whatever the
			 * exporter does later, the contents that the user knew are gone.
			 */
			WRITE_ONCE(map->revoked, true);
			return -ESTALE;
		}
		refusal->reason = DMABUF_RW_REASON_MAP;
		refusal->detail = -ret;
		return -EREMOTEIO;
	}

	/* Addresses are final, but a move that the exporter queued may still be running. */
	left = dma_resv_wait_timeout(map->dmabuf->resv, DMA_RESV_USAGE_KERNEL, true,
				     MAX_SCHEDULE_TIMEOUT);
	if (left <= 0) {
		ret = -EINTR;
		goto err_unmap;
	}

	ret = drw_memclass_check(map->ctrl->dev, sgt, map->dmabuf->size, &map->mc, &refusal->reason);
	if (ret)
		goto err_unmap;
	ret = drw_map_build_extents(map, sgt, refusal);
	if (ret)
		goto err_unmap;

	map->sgt = sgt;
	if (map->mapped_once)
		WRITE_ONCE(map->remaps, map->remaps + 1);
	map->mapped_once = true;
	/* Pairs with the barrier in drw_map_acquire(). */
	smp_wmb();
	percpu_ref_reinit(&map->io_ref);
	return 0;

err_unmap:
	dma_buf_unmap_attachment(map->attach, sgt, map->dir);
	return ret;
}

/**
 * drw_map_acquire_slow() - drw_map_acquire() when the buffer may have to be mapped
 * @map: mapping
 * @refusal: the cause, on failure
 *
 * Takes the reservation lock; may sleep for long.
 *
 * Return: as drw_map_acquire().
 */
int drw_map_acquire_slow(struct drw_map *map, struct drw_refusal *refusal)
{
	struct dma_resv *resv = map->dmabuf->resv;
	int ret;

	*refusal = (struct drw_refusal) { };
	if (dma_resv_lock_interruptible(resv, NULL))
		return -EINTR;
	if (map->severed) {
		refusal->reason = DMABUF_RW_REASON_GONE;
		ret = -ENODEV;
	} else if (map->revoked) {
		ret = -ESTALE;
	} else {
		ret = map->sgt ? 0 : drw_map_map_locked(map, refusal);
		if (!ret)
			percpu_ref_get(&map->io_ref);
	}
	dma_resv_unlock(resv);
	return ret;
}

/**
 * drw_map_sever() - the drive goes away: drain, unmap, detach
 * @map: mapping; the caller holds drw_controller.lock
 *
 * Cannot fail, does not allocate. Harmless if repeated.
 */
void drw_map_sever(struct drw_map *map)
{
	struct dma_buf_attachment *attach;

	lockdep_assert_held(&map->ctrl->lock);

	dma_resv_lock(map->dmabuf->resv, NULL);
	drw_map_unmap_locked(map);
	attach = map->attach;
	map->attach = NULL;
	WRITE_ONCE(map->severed, true);
	dma_resv_unlock(map->dmabuf->resv);

	if (attach)
		dma_buf_detach(map->dmabuf, attach);
}

static struct drw_map *drw_map_create(struct drw_controller *ctrl, struct dma_buf *dmabuf,
				      struct drw_refusal *refusal)
{
	struct dma_buf_attachment *attach;
	struct drw_map *map;
	int ret;

	lockdep_assert_held(&ctrl->lock);

	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return ERR_PTR(-ENOMEM);
	map->ctrl = ctrl;
	map->dmabuf = dmabuf;
	map->dir = dmabuf->file->f_mode & FMODE_WRITE ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
	map->users = 1;
	init_completion(&map->drained);
	spin_lock_init(&map->polled_lock);
	INIT_LIST_HEAD(&map->polled);
	ret = percpu_ref_init(&map->io_ref, drw_map_drained,
			      PERCPU_REF_INIT_DEAD | PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
	if (ret)
		goto err_free;

	/* From here on the invalidate callback may run; it does nothing while unmapped. */
	attach = dma_buf_dynamic_attach(dmabuf, ctrl->dev, &drw_map_attach_ops, map);
	if (IS_ERR(attach)) {
		ret = PTR_ERR(attach);
		if (ret != -ENOMEM) {
			refusal->reason = DMABUF_RW_REASON_ATTACH;
			refusal->detail = -ret;
			ret = -EREMOTEIO;
		}
		goto err_ref;
	}
	map->attach = attach;

	get_dma_buf(dmabuf);
	kref_get(&ctrl->ref);
	list_add(&map->node, &ctrl->maps);
	return map;

err_ref:
	percpu_ref_exit(&map->io_ref);
err_free:
	kfree(map);
	return ERR_PTR(ret);
}

/**
 * drw_map_get() - the mapping of a buffer for a controller, made and mapped if need be
 * @ctrl: controller
 * @dmabuf: buffer
 * @refusal: the cause, on failure
 *
 * Return: the mapping, with a use for the caller to give back by drw_map_put(), or an
 * ERR_PTR as of drw_map_acquire().
 */
struct drw_map *drw_map_get(struct drw_controller *ctrl, struct dma_buf *dmabuf,
			    struct drw_refusal *refusal)
{
	struct drw_map *map;
	int ret;

	*refusal = (struct drw_refusal) { };
	mutex_lock(&ctrl->lock);
	if (ctrl->gone) {
		refusal->reason = DMABUF_RW_REASON_GONE;
		map = ERR_PTR(-ENODEV);
		goto unlock;
	}
	list_for_each_entry(map, &ctrl->maps, node) {
		if (map->dmabuf == dmabuf && !READ_ONCE(map->revoked)) {
			map->users++;
			goto unlock;
		}
	}
	map = drw_map_create(ctrl, dmabuf, refusal);
unlock:
	mutex_unlock(&ctrl->lock);
	if (IS_ERR(map))
		return map;

	/* Map now: whatever is wrong with the addresses is BIND's to say. */
	ret = drw_map_acquire_slow(map, refusal);
	if (ret == -ESTALE) {
		/* To a newcomer a revoked buffer is one that cannot be mapped. */
		refusal->reason = DMABUF_RW_REASON_MAP;
		refusal->detail = ENODEV;
		ret = -EREMOTEIO;
	}
	if (ret) {
		drw_map_put(map);
		return ERR_PTR(ret);
	}
	drw_map_release(map);
	return map;
}

/* Give a use back; the last one unmaps. May sleep. */
void drw_map_put(struct drw_map *map)
{
	struct drw_controller *ctrl = map->ctrl;

	mutex_lock(&ctrl->lock);
	if (--map->users) {
		mutex_unlock(&ctrl->lock);
		return;
	}
	list_del(&map->node);
	drw_map_sever(map);
	mutex_unlock(&ctrl->lock);

	percpu_ref_exit(&map->io_ref);
	dma_buf_put(map->dmabuf);
	kfree(map);
	drw_controller_put(ctrl);
}

/* Memory that the mapping takes, and its number of extents. 0 or -EINTR. */
int drw_map_metadata(struct drw_map *map, size_t *bytes, u32 *extents)
{
	if (dma_resv_lock_interruptible(map->dmabuf->resv, NULL))
		return -EINTR;
	*bytes = sizeof(*map) + num_possible_cpus() * sizeof(unsigned long) + map->ext_bytes;
	*extents = map->x.nr;
	dma_resv_unlock(map->dmabuf->resv);
	return 0;
}
