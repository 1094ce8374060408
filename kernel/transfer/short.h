/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * short.h - transfers of one command without a list, as most are: nothing is allocated for
 * them.
 *
 * They go through the checks that all transfers go through, and are made under a grip
 * (transfer.h). What is no such transfer is told as DRW_TOO_LONG, and becomes an attempt.
 */
#ifndef _DRW_SHORT_H
#define _DRW_SHORT_H

#include "transfer/transfer.h"

#define DRW_TOO_LONG	1

/**
 * drw_short_check() - refuse what can be refused
 * @rq: as for drw_request_check()
 * @span: filled
 *
 * Return: 0; then span->len is 0 if there is nothing to do. DRW_TOO_LONG or a negative errno.
 */
static __always_inline int drw_short_check(struct drw_request *rq, struct drw_span *span)
{
	struct drw_binding *b = rq->b;
	int ret;

	ret = drw_request_check(rq);
	if (unlikely(ret))
		return ret;
	*span = drw_request_span(rq, 0);
	ret = drw_storage_check(&b->storage, span);
	if (unlikely(ret || !span->len))
		return ret;
	return ((span->pos | span->len) & (b->storage.lba_bytes - 1)) || span->lock ?
	       DRW_TOO_LONG : 0;
}

/**
 * drw_short_build() - the command of a short transfer, ready but for its end
 * @rq: checked
 * @span: likewise; the caller has its grip
 * @path: the grip's
 * @polled: on a poll queue
 * @req: set on success
 *
 * Does not sleep.
 *
 * Return: 0, DRW_TOO_LONG, or a negative errno; -DRW_ENOTAG if there was no tag.
 */
static __always_inline int drw_short_build(const struct drw_request *rq,
					   const struct drw_span *span, struct drw_path *path,
					   bool polled, struct request **req)
{
	struct drw_storage *s = &rq->b->storage;
	struct drw_map *map = path->map;
	struct drw_rw rw __uninitialized;
	u64 contiguous, ext_off;
	u32 idx;
	int ret;

	ret = drw_storage_locate(s, span->pos, &rw.sector, &contiguous);
	if (unlikely(ret))
		return ret;
	idx = drw_extents_find(&map->x, rq->one.buf_off);
	ext_off = rq->one.buf_off - map->x.ext[idx].buf_off;
	if (span->len > contiguous || span->len > path->lim.max_bytes ||
	    span->len > drw_extent_len(&map->x, idx) - ext_off ||
	    !drw_dptr_inline(map->x.ext[idx].addr + ext_off, span->len, &path->lim, &rw.dptr,
			     &rw.sgl))
		return DRW_TOO_LONG;
	rw.op = span->write ? DMABUF_RW_OP_WRITE : DMABUF_RW_OP_READ;
	rw.fua = span->fua;
	rw.bytes = span->len;
	*req = drw_rq_alloc(s, path->disk, rw.op, true, polled);
	if (IS_ERR(*req))
		return *req == ERR_PTR(-EAGAIN) ? -DRW_ENOTAG : PTR_ERR(*req);
	drw_rq_init(*req, s, &rw);
	return 0;
}

#endif /* _DRW_SHORT_H */
