// SPDX-License-Identifier: GPL-2.0-only
/*
 * extents.c - where the bytes of a dma-buf are on the bus: pure arithmetic.
 *
 * See extents.h for vocabulary and invariants, and pure.h: no kernel state here.
 */
#include "buffer/extents.h"

/**
 * drw_extents_add() - append a range of bus addresses
 * @b: builder; unchanged on error
 * @addr: bus address
 * @len: bytes; an empty range adds nothing
 *
 * A range that continues the previous one is merged into it.
 *
 * Return: 0; -EOVERFLOW if the range ends above DRW_MAX_BUS_END, or if addresses, sizes
 * or the number of extents wrap; -ENOSPC if the table is full.
 */
int drw_extents_add(struct drw_extents_builder *b, u64 addr, u64 len)
{
	u64 end, bytes;

	if (!len)
		return 0;
	if (check_add_overflow(addr, len, &end) || end > DRW_MAX_BUS_END ||
	    check_add_overflow(b->bytes, len, &bytes))
		return -EOVERFLOW;

	if (!b->nr || addr != b->end) {
		if (b->nr == U32_MAX)
			return -EOVERFLOW;
		if (b->ext) {
			if (b->nr >= b->cap)
				return -ENOSPC;
			b->ext[b->nr].buf_off = b->bytes;
			b->ext[b->nr].addr = addr;
		}
		b->nr++;
		b->starts |= b->bytes | addr;
	}
	b->end = end;
	b->bytes = bytes;
	return 0;
}

/*
 * drw_extents_find() where extents are not pages. They are often of one size all the same, so
 * try the extent that proportion suggests before a binary search.
 */
u32 drw_extents_search(const struct drw_extents *x, u64 off)
{
	u32 lo = 0, hi = x->nr;

	if (hi > 1) {
		/* No extent is empty, so the average is not zero. */
		u32 guess = min_t(u64, off / (x->bytes / hi), hi - 1);

		if (x->ext[guess].buf_off > off)
			hi = guess;
		else if (off - x->ext[guess].buf_off < drw_extent_len(x, guess))
			return guess;
		else
			lo = guess;
	}
	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;

		if (x->ext[mid].buf_off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void drw_iter_init(struct drw_iter *it, const struct drw_extents *x,
		   const struct dmabuf_rw_piece *pc, u32 nr)
{
	it->x = x;
	it->pc = pc;
	it->nr_pc = nr;
	it->idx = 0;
	it->done = 0;
	it->have_idx = false;
	it->head.len = 0;
	it->tail.len = 0;
}

/**
 * drw_iter_set_pads() - put runs around the pieces
 * @it: iterator, just initialised
 * @head: before the first piece, or NULL
 * @tail: after the last piece, or NULL
 *
 * From here on offsets and lengths count the pads like bytes of the buffer. The caller chooses
 * the pads so that the sum is whole LBAs.
 */
void drw_iter_set_pads(struct drw_iter *it, const struct drw_pad *head,
		       const struct drw_pad *tail)
{
	if (head)
		it->head = *head;
	if (tail)
		it->tail = *tail;
}

/* drw_iter_next() before the first piece or after the last. */
u64 drw_iter_next_pad(struct drw_iter *it, u64 max, u64 *addr)
{
	struct drw_pad *pad = it->head.len ? &it->head : &it->tail;
	u32 len = min_t(u64, max, pad->len);

	if (!len)
		return 0;
	*addr = pad->addr;
	pad->addr += len;
	pad->len -= len;
	return len;
}

static u64 skip_pad(struct drw_pad *pad, u64 bytes)
{
	u32 step = min_t(u64, bytes, pad->len);

	pad->addr += step;
	pad->len -= step;
	return bytes - step;
}

/* Skip @bytes without looking at addresses; at least that many must be left. */
void drw_iter_skip(struct drw_iter *it, u64 bytes)
{
	if (it->head.len)
		bytes = skip_pad(&it->head, bytes);
	while (bytes && it->nr_pc) {
		u64 step = min_t(u64, bytes, it->pc->len - it->done);

		it->done += step;
		bytes -= step;
		it->have_idx = false;
		if (it->done == it->pc->len)
			drw_iter_next_piece(it);
	}
	if (bytes)
		skip_pad(&it->tail, bytes);
}
