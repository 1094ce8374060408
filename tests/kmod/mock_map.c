// SPDX-License-Identifier: GPL-2.0
/*
 * mock_map.c - what importers see of a mock buffer: attach, map, pin, and the faults.
 *
 * A mapping holds a reference on the arena that it was made for, so that an importer
 * which unmaps late still unmaps what it had. Importers get DMA addresses and lengths
 * only; there are no pages in the list, and orig_nents is zero as in the kernel's own
 * exporters of memory without pages.
 *
 * Locks: map, unmap, pin and unpin run under the reservation lock; attach and detach
 * take it.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "mock.h"

struct mock_map {
	struct sg_table sgt;
	unsigned int sg_allocated;	/* entries; sgt.orig_nents says zero */
	struct mock_arena *arena;
	u32 generation;
	u32 mapped;			/* entries of addr that are valid */
	dma_addr_t *addr;		/* one per chunk, to unmap; NULL: raw */
};

static int mock_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct mock_buf *buf = dmabuf->priv;
	int ret = 0;

	if (READ_ONCE(buf->fault.attach_ms))
		msleep(READ_ONCE(buf->fault.attach_ms));
	dma_resv_lock(dmabuf->resv, NULL);
	if (buf->fault.attach_errno)
		ret = -buf->fault.attach_errno;
	else if (buf->pdev && !attach->peer2peer)
		ret = -EOPNOTSUPP;
	if (!ret) {
		buf->attaches++;
		buf->attached++;
	}
	dma_resv_unlock(dmabuf->resv);
	return ret;
}

static void mock_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct mock_buf *buf = dmabuf->priv;

	dma_resv_lock(dmabuf->resv, NULL);
	if (!WARN_ON(!buf->attached))
		buf->attached--;
	dma_resv_unlock(dmabuf->resv);
}

static void undo_dma(struct mock_map *map, struct device *dev,
		     enum dma_data_direction dir)
{
	const struct mock_geom *geom = map->arena->geom;
	u32 i;

	for (i = 0; i < map->mapped; i++) {
		if (map->arena->io)
			dma_unmap_resource(dev, map->addr[i], geom->chunks[i].len, dir, 0);
		else
			dma_unmap_page_attrs(dev, map->addr[i], geom->chunks[i].len, dir,
					     DMA_ATTR_SKIP_CPU_SYNC);
	}
	map->mapped = 0;
}

static int do_dma(struct mock_map *map, struct device *dev,
		  enum dma_data_direction dir)
{
	const struct mock_geom *geom = map->arena->geom;
	u32 i;

	for (i = 0; i < geom->nr_chunks; i++) {
		const struct mock_chunk *c = &geom->chunks[i];
		dma_addr_t addr;

		if (map->arena->io)
			addr = dma_map_resource(dev, mock_chunk_phys(map->arena, c),
						c->len, dir, 0);
		else
			addr = dma_map_page_attrs(dev, mock_chunk_page(map->arena, c),
						  offset_in_page(c->off), c->len, dir,
						  DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, addr)) {
			undo_dma(map, dev, dir);
			return -EIO;
		}
		map->addr[i] = addr;
		map->mapped = i + 1;
	}
	return 0;
}

static dma_addr_t shown_addr(const struct mock_map *map, const struct mock_fault *fault,
			     const struct mock_chunk *c, u32 i)
{
	switch (fault->addr) {
	case MOCK_ADDR_RAW:
		return mock_chunk_phys(map->arena, c);
	case MOCK_ADDR_FIXED:
		return fault->addr_base + c->pos;
	default:
		return map->addr[i];
	}
}

/* Fill the list that the importer gets, true or not. */
static int fill_list(struct mock_map *map, const struct mock_fault *fault)
{
	const struct mock_geom *geom = map->arena->geom;
	u64 want = geom->bytes, pos = 0;
	struct scatterlist *sg;
	unsigned int nents = 0;
	dma_addr_t end = 0;
	int ret;
	u32 i;

	if (fault->length == MOCK_LENGTH_SHORT)
		want -= min_t(u64, fault->length_by, want - 1);
	ret = sg_alloc_table(&map->sgt, geom->nr_chunks + 1, GFP_KERNEL);
	if (ret)
		return ret;
	map->sg_allocated = map->sgt.orig_nents;

	sg = map->sgt.sgl;
	for (i = 0; i < geom->nr_chunks && pos < want; i++, sg = sg_next(sg)) {
		const struct mock_chunk *c = &geom->chunks[i];
		u32 len = min_t(u64, c->len, want - pos);

		sg_dma_address(sg) = shown_addr(map, fault, c, i);
		sg_dma_len(sg) = len;
		end = sg_dma_address(sg) + len;
		pos += len;
		nents++;
	}
	if (fault->length == MOCK_LENGTH_LONG) {
		/* The excess shows the buffer's own tail once more, which is mapped. */
		sg_dma_address(sg) = end - min_t(u64, fault->length_by, pos);
		sg_dma_len(sg) = fault->length_by;
		nents++;
	}
	map->sgt.nents = nents;
	map->sgt.orig_nents = 0;
	return 0;
}

static void map_free(struct mock_map *map)
{
	map->sgt.orig_nents = map->sg_allocated;
	if (map->sg_allocated)
		sg_free_table(&map->sgt);
	kvfree(map->addr);
	mock_arena_put(map->arena);
	kfree(map);
}

static struct sg_table *mock_map_dma_buf(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	struct mock_buf *buf = attach->dmabuf->priv;
	struct mock_map *map;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (buf->revoked)
		return ERR_PTR(-ENODEV);
	if (buf->fault.map_errno) {
		int error = buf->fault.map_errno;

		if (buf->fault.map_failures && !--buf->fault.map_failures)
			buf->fault.map_errno = 0;
		return ERR_PTR(-error);
	}
	/* As real exporters do when device memory is asked for without peer-to-peer. */
	if (buf->arena->io && !attach->peer2peer)
		return ERR_PTR(-EOPNOTSUPP);

	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return ERR_PTR(-ENOMEM);
	kref_get(&buf->arena->ref);
	map->arena = buf->arena;
	map->generation = buf->generation;

	if (buf->fault.addr == MOCK_ADDR_MAPPED) {
		map->addr = kvcalloc(buf->geom.nr_chunks, sizeof(*map->addr), GFP_KERNEL);
		ret = map->addr ? do_dma(map, attach->dev, dir) : -ENOMEM;
		if (ret)
			goto free;
	}
	ret = fill_list(map, &buf->fault);
	if (ret)
		goto undo;

	buf->direction = dir;
	buf->maps++;
	buf->mapped++;
	buf->mapped_now++;
	return &map->sgt;

undo:
	undo_dma(map, attach->dev, dir);
free:
	map_free(map);
	return ERR_PTR(ret);
}

static void mock_unmap_dma_buf(struct dma_buf_attachment *attach, struct sg_table *sgt,
			       enum dma_data_direction dir)
{
	struct mock_map *map = container_of(sgt, struct mock_map, sgt);
	struct mock_buf *buf = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (WARN_ON(!buf->mapped))
		return;
	buf->unmaps++;
	buf->mapped--;
	if (map->generation == buf->generation) {
		WARN_ON(!buf->mapped_now);
		buf->mapped_now--;
	}
	undo_dma(map, attach->dev, dir);
	map_free(map);
	wake_up_all(&buf->unmapped);
}

static int mock_pin(struct dma_buf_attachment *attach)
{
	struct mock_buf *buf = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (buf->revoked)
		return -ENODEV;
	buf->pins++;
	buf->pinned++;
	return 0;
}

static void mock_unpin(struct dma_buf_attachment *attach)
{
	struct mock_buf *buf = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (!WARN_ON(!buf->pinned))
		buf->pinned--;
}

/*
 * Map the buffer into a process. Only chunks of whole pages can be mapped, and the
 * arena must then stay where it is.
 */
static int mock_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct mock_buf *buf = dmabuf->priv;
	u64 pos = (u64)vma->vm_pgoff << PAGE_SHIFT;
	unsigned long at = vma->vm_start;
	const struct mock_geom *geom = &buf->geom;
	struct mock_arena *arena;
	int ret = 0;
	u32 i;

	for (i = 0; i < geom->nr_chunks; i++)
		if (!PAGE_ALIGNED(geom->chunks[i].len) ||
		    !PAGE_ALIGNED(geom->chunks[i].off))
			return -EOPNOTSUPP;

	dma_resv_lock(dmabuf->resv, NULL);
	buf->user_mapped = true;
	arena = buf->arena;
	dma_resv_unlock(dmabuf->resv);

	if (arena->io)
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	for (i = 0; i < geom->nr_chunks && at < vma->vm_end; i++) {
		const struct mock_chunk *c = &geom->chunks[i];
		u64 skip, n;

		if (c->pos + c->len <= pos)
			continue;
		skip = pos - c->pos;
		n = min_t(u64, c->len - skip, vma->vm_end - at);
		ret = remap_pfn_range(vma, at,
				      (mock_chunk_phys(arena, c) + skip) >> PAGE_SHIFT, n,
				      vma->vm_page_prot);
		if (ret)
			return ret;
		at += n;
		pos += n;
	}
	return 0;
}

const struct dma_buf_ops mock_static_ops = {
	.attach = mock_attach,
	.detach = mock_detach,
	.map_dma_buf = mock_map_dma_buf,
	.unmap_dma_buf = mock_unmap_dma_buf,
	.mmap = mock_mmap,
	.release = mock_buf_release,
};

const struct dma_buf_ops mock_dynamic_ops = {
	.attach = mock_attach,
	.detach = mock_detach,
	.pin = mock_pin,
	.unpin = mock_unpin,
	.map_dma_buf = mock_map_dma_buf,
	.unmap_dma_buf = mock_unmap_dma_buf,
	.mmap = mock_mmap,
	.release = mock_buf_release,
};
