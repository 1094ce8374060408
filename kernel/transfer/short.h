/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * short.h - short transfers: one command without a list, and no allocation. Most are short.
 *
 * They pass the checks of all transfers and hold a grip (transfer.h). DRW_NOT_SHORT means that
 * a transfer needs an attempt.
 */
#ifndef _DRW_SHORT_H
#define _DRW_SHORT_H

#include "transfer/transfer.h"

#define DRW_NOT_SHORT	1

/**
 * drw_short_check() - drw_request_check() for one piece
 * @b: binding
 * @flags: DMABUF_RW_IO_*
 * @pos: file offset
 * @buf_off: buffer offset
 * @len: bytes
 * @write: buffer to file
 * @span: set on success, for drw_storage_check()
 *
 * Return: 0 or a negative errno.
 */
static __always_inline int drw_short_check(struct drw_binding *b, u64 flags, u64 pos, u64 buf_off,
					   u64 len, bool write, struct drw_span *span)
{
	const struct dmabuf_rw_piece pc = { .buf_off = buf_off, .len = len };
	int ret;

	ret = drw_binding_may(b, write, flags);
	if (unlikely(ret))
		return ret;
	ret = drw_pieces_check(&pc, 1, b->dmabuf->size, &len);
	if (unlikely(ret))
		return ret;
	ret = drw_check_amount(b, write, flags, pos, &len, buf_off);
	if (unlikely(ret))
		return ret;
	*span = (struct drw_span) {
		.pos = pos,
		.len = len,
		.write = write,
		.fua = flags & DMABUF_RW_IO_FUA,
		.whole = flags & DMABUF_RW_IO_WHOLE,
	};
	return 0;
}

/* Do position and length alone exclude a short transfer? They do if the length is 0. */
static inline bool drw_short_excludes(const struct drw_storage *s, u64 pos, u64 len)
{
	return ((pos | len) & (s->lba_bytes - 1)) || len - 1 >= DRW_MAX_CMD_BYTES;
}

/**
 * drw_short_build() - build the command of a short transfer; the caller sets rq->end_io
 * @b: binding
 * @span: checked, and not excluded; the caller has its grip
 * @buf_off: buffer offset
 * @path: the grip's
 * @polled: on a poll queue
 * @req: set on success
 *
 * Does not sleep.
 *
 * Return: 0, DRW_NOT_SHORT, or a negative errno of drw_storage_locate() or drw_rq_alloc().
 */
static __always_inline int drw_short_build(struct drw_binding *b, const struct drw_span *span,
					   u64 buf_off, struct drw_path *path, bool polled,
					   struct request **req)
{
	const struct drw_extents *x = &path->map->x;
	struct drw_storage *s = &b->storage;
	struct drw_rw rw __uninitialized;
	u64 contiguous = span->len, addr;
	int ret;

	/* For a disk, drw_storage_check() has just compared the span with the size. */
	if (s->regular) {
		ret = drw_storage_locate(s, span->pos, span->fua, &rw.pos, &contiguous);
		if (unlikely(ret))
			return ret;
	} else {
		rw.pos = drw_storage_disk_pos(s, span->pos);
	}
	if (span->len > contiguous || span->len > path->lim.max_bytes ||
	    span->len > drw_extents_locate(x, buf_off, &addr) ||
	    !drw_dptr_inline(addr, span->len, &path->lim, &rw.dptr, &rw.sgl))
		return DRW_NOT_SHORT;
	rw.op = span->write ? DMABUF_RW_OP_WRITE : DMABUF_RW_OP_READ;
	rw.fua = span->fua;
	rw.bytes = span->len;
	*req = drw_rq_alloc(s, path->disk, rw.op, true, polled);
	if (IS_ERR(*req))
		return PTR_ERR(*req);
	drw_rq_init(*req, s, &rw);
	return 0;
}

#endif /* _DRW_SHORT_H */
