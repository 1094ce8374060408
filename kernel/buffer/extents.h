/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * extents.h - where the bytes of a dma-buf are on the bus: pure arithmetic.
 *
 * Vocabulary
 *   extent	a run of the buffer whose bus addresses are consecutive
 *   run	what an iterator yields: part of one extent inside one piece, or of a pad
 *   pad	memory outside the buffer for the rest of an LBA, before the first byte of a
 *		transfer or after the last one
 *
 * In a finished table extents are sorted by buf_off, the first begins at 0, none is empty, no
 * two neighbours could be merged, and the last ends at bytes. So the length of an extent is
 * the distance to the next one and is not stored: an extent takes 16 bytes, and a contiguous
 * buffer of any size takes one extent.
 *
 * Nothing here locks; the owner of a table keeps it unchanged while it is read.
 */
#ifndef _DRW_EXTENTS_H
#define _DRW_EXTENTS_H

#ifdef __KERNEL__
#include <linux/slab.h>
#endif

#include "pure.h"
#include <uapi/dmabuf_rw.h>

/* A page of the controller: CC.MPS = 4 KiB, see cmdlist.h. */
#define DRW_PAGE_SHIFT		12
#define DRW_PAGE_BYTES		(1U << DRW_PAGE_SHIFT)
#define DRW_PAGE_MASK		(DRW_PAGE_BYTES - 1)

/*
 * No range ends above this. Without the last page of the address space, any address in a
 * table, and the end after it, can be rounded up to a page.
 */
#define DRW_MAX_BUS_END		(~(u64)0xfff)

struct drw_extent {
	u64 buf_off;
	u64 addr;
};

/**
 * struct drw_extents - a table
 * @ext: extents
 * @nr: how many
 * @paged: each extent begins a page both in the buffer and on the bus, as in almost all
 *	memory; false is always safe
 * @bytes: size of the buffer
 */
struct drw_extents {
	struct drw_extent *ext;
	u32 nr;
	bool paged;
	u64 bytes;
};

/**
 * struct drw_extents_builder - builds a table, or counts what it would need
 * @ext: where to store; NULL to count only
 * @cap: entries that fit in @ext
 * @nr: extents so far
 * @bytes: bytes so far
 * @end: bus address after the last byte so far
 * @starts: buffer offsets and bus addresses of all extents, or-ed together
 */
struct drw_extents_builder {
	struct drw_extent *ext;
	u32 cap;
	u32 nr;
	u64 bytes;
	u64 end;
	u64 starts;
};

/* Buffer offset after extent @idx, which must exist. */
static inline u64 drw_extent_end(const struct drw_extents *x, u32 idx)
{
	return idx + 1 < x->nr ? x->ext[idx + 1].buf_off : x->bytes;
}

/* Length of extent @idx, which must exist. */
static inline u64 drw_extent_len(const struct drw_extents *x, u32 idx)
{
	return drw_extent_end(x, idx) - x->ext[idx].buf_off;
}

int drw_extents_add(struct drw_extents_builder *b, u64 addr, u64 len);

static inline struct drw_extents drw_extents_built(const struct drw_extents_builder *b)
{
	return (struct drw_extents) {
		.ext = b->ext,
		.nr = b->nr,
		.paged = !(b->starts & DRW_PAGE_MASK),
		.bytes = b->bytes,
	};
}

u32 drw_extents_search(const struct drw_extents *x, u64 off);

/**
 * drw_extents_at() - the extent in which a byte lies
 * @x: table
 * @off: its buffer offset, below x->bytes
 * @end: set to the buffer offset after the extent
 *
 * Every transfer calls this, so it is inline: no search if there is one extent, or if each
 * is a page, as in long tables.
 *
 * Return: the extent.
 */
static inline const struct drw_extent *drw_extents_at(const struct drw_extents *x, u64 off,
						      u64 *end)
{
	const struct drw_extent *ext = x->ext;
	u64 idx = off >> DRW_PAGE_SHIFT;

	*end = x->bytes;
	if (x->nr == 1)
		return ext;
	if (idx + 1 < x->nr) {
		ext += idx;
		*end = ext[1].buf_off;
		if (ext->buf_off <= off && off < *end)
			return ext;
	}
	idx = drw_extents_search(x, off);
	*end = drw_extent_end(x, idx);
	return &x->ext[idx];
}

/* Its index. */
static inline u32 drw_extents_find(const struct drw_extents *x, u64 off)
{
	u64 unused;

	return drw_extents_at(x, off, &unused) - x->ext;
}

/* The bus address of a byte, and how many are consecutive from there on. */
static inline u64 drw_extents_locate(const struct drw_extents *x, u64 off, u64 *addr)
{
	u64 end;
	const struct drw_extent *ext = drw_extents_at(x, off, &end);

	*addr = ext->addr + (off - ext->buf_off);
	return end - off;
}

#ifdef __KERNEL__
/* Allocate a table, for kvfree(). NULL also if it exceeds what kvmalloc() can give. */
static inline struct drw_extent *drw_extents_alloc(u32 nr)
{
	if (nr > INT_MAX / sizeof(struct drw_extent))
		return NULL;
	return kvmalloc_array(nr, sizeof(struct drw_extent), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}
#endif

/**
 * struct drw_pad - one run of bus addresses outside the buffer
 * @addr: of its first byte; the run ends at or below DRW_MAX_BUS_END
 * @len: bytes, 0: none
 */
struct drw_pad {
	u64 addr;
	u32 len;
};

/**
 * struct drw_iter - walks the pieces of a transfer as runs of bus addresses
 * @x: the buffer's extents
 * @pc: pieces; each lies inside the buffer (drw_pieces_check())
 * @nr_pc: pieces left, including @pc
 * @done: bytes of @pc already walked
 * @idx: extent in which the next byte lies, valid if @have_idx
 * @have_idx: @idx has been looked up for the current piece; never while @head is left
 * @head: rest of the pad before the first piece
 * @tail: rest of the pad after the last piece
 */
struct drw_iter {
	const struct drw_extents *x;
	const struct dmabuf_rw_piece *pc;
	u32 nr_pc;
	u32 idx;
	u64 done;
	bool have_idx;
	struct drw_pad head;
	struct drw_pad tail;
};

/**
 * drw_pieces_check() - check that all pieces are inside the buffer
 * @pc: pieces; an empty one must be inside as well
 * @nr: how many
 * @buf_bytes: size of the buffer
 * @total: set to the sum of their lengths
 *
 * Return: 0; -EOVERFLOW if an offset plus its length, or the sum of the lengths, does not
 * fit in 63 bits; -ERANGE if a piece ends outside the buffer.
 */
static __always_inline int drw_pieces_check(const struct dmabuf_rw_piece *pc, u32 nr,
					    u64 buf_bytes, u64 *total)
{
	const u64 limit = ~0ULL >> 1;
	u64 sum = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		u64 end = pc[i].buf_off + pc[i].len;

		/* A sum of two that fit does not wrap around. */
		sum += pc[i].len;
		if ((pc[i].buf_off | pc[i].len | end | sum) > limit)
			return -EOVERFLOW;
		if (end > buf_bytes)
			return -ERANGE;
	}
	*total = sum;
	return 0;
}

void drw_iter_init(struct drw_iter *it, const struct drw_extents *x,
		   const struct dmabuf_rw_piece *pc, u32 nr);
void drw_iter_set_pads(struct drw_iter *it, const struct drw_pad *head,
		       const struct drw_pad *tail);
void drw_iter_skip(struct drw_iter *it, u64 bytes);
u64 drw_iter_next_pad(struct drw_iter *it, u64 max, u64 *addr);

static inline void drw_iter_next_piece(struct drw_iter *it)
{
	it->pc++;
	it->nr_pc--;
	it->done = 0;
	it->have_idx = false;
}

/**
 * drw_iter_next() - the next run
 * @it: iterator
 * @max: most bytes wanted, not zero
 * @addr: set to the bus address of the run
 *
 * The head pad comes first, then the pieces, then the tail pad. Inline because a command over
 * scattered pages takes one step for each page; pads cost nothing while an extent goes on.
 *
 * Return: its length, or 0 at the end.
 */
static inline u64 drw_iter_next(struct drw_iter *it, u64 max, u64 *addr)
{
	const struct drw_extent *ext;
	u64 off, in_ext, len;

	while (it->nr_pc && it->done == it->pc->len)
		drw_iter_next_piece(it);
	if (!it->nr_pc)
		return drw_iter_next_pad(it, max, addr);

	off = it->pc->buf_off + it->done;
	if (!it->have_idx) {
		if (it->head.len)
			return drw_iter_next_pad(it, max, addr);
		it->idx = drw_extents_find(it->x, off);
		it->have_idx = true;
	}
	ext = &it->x->ext[it->idx];
	off -= ext->buf_off;
	in_ext = drw_extent_len(it->x, it->idx) - off;
	len = min_t(u64, max, min_t(u64, in_ext, it->pc->len - it->done));

	*addr = ext->addr + off;
	it->done += len;
	if (len == in_ext)
		it->idx++;	/* past the last extent only if the piece ends here */
	return len;
}

#endif /* _DRW_EXTENTS_H */
