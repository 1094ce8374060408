/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * layout.h - slow and obvious: where each single byte of a buffer is on the bus.
 *
 * Vocabulary
 *   layout	a buffer: the ranges that its exporter gave ("chunks"), the table that is
 *		tested, and the reference, which has one bus address for each byte
 *   transfer	pieces of a layout, maybe between pads, and the bus address of each of their
 *		bytes in order
 *
 * What extents.c and cmdlist.c say is compared with these addresses, byte by byte.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "../../kernel/nvme/cmdlist.h"
#include "check.h"
#include "dice.h"

#define LAYOUT_BYTES	(9 * MiB)	/* above the largest command */
#define LAYOUT_CHUNKS	(64 * KiB)

/* A pad of a layout may be as long as the largest LBA. */
#define LAYOUT_PAD_BYTES	(64 * KiB)

/* The highest address after a range's last byte that a table takes. */
#define LAYOUT_TOP	(~(u64)DRW_PAGE_MASK)

struct chunk {
	u64 addr;
	u64 len;
};

/**
 * struct layout - a buffer
 * @x: the table, made by layout_end(); its entries are the last ones of @table, so that
 *	a sanitizer sees a step over their end
 * @bytes: size
 * @nr_chunks: how many chunks
 * @chunks: what the exporter gave
 * @bus: bus address of each byte
 * @table: for @x
 */
struct layout {
	struct drw_extents x;
	u64 bytes;
	u32 nr_chunks;
	struct chunk chunks[LAYOUT_CHUNKS];
	u64 bus[LAYOUT_BYTES];
	struct drw_extent table[LAYOUT_CHUNKS];
};

/**
 * struct transfer - pieces of a layout
 * @l: the layout
 * @head: pad before them
 * @tail: pad after them
 * @bytes: the sum of all
 * @pc: pieces, the last ones of @store
 * @nr: how many
 * @want: bus address of each byte
 * @store: for @pc
 */
struct transfer {
	const struct layout *l;
	struct drw_pad head;
	struct drw_pad tail;
	u64 bytes;
	struct dmabuf_rw_piece *pc;
	u32 nr;
	u64 want[LAYOUT_BYTES];
	struct dmabuf_rw_piece store[DMABUF_RW_MAX_PIECES];
};

void layout_begin(struct layout *l);
void layout_add(struct layout *l, u64 addr, u64 len);
void layout_end(struct layout *l);
/* Of at least 4 KiB and at most @max_bytes. */
void layout_random(struct layout *l, struct dice *d, u64 max_bytes);

void transfer_begin(struct transfer *t, const struct layout *l);
/* In this order: head, pieces, tail. */
void transfer_head(struct transfer *t, u64 addr, u32 len);
void transfer_add(struct transfer *t, u64 buf_off, u64 len);
void transfer_tail(struct transfer *t, u64 addr, u32 len);
void transfer_end(struct transfer *t);
/*
 * Of at least @bytes, which must not be more than 256 times the layout's; of @bytes exactly
 * if it has a tail. Pads are shorter than @lba, and there are none if that is 0.
 */
void transfer_random(struct transfer *t, const struct layout *l, struct dice *d, u64 bytes,
		     u32 lba);

/* An iterator at the first byte. */
void transfer_iter(const struct transfer *t, struct drw_iter *it);

/* The whole layout in one piece. */
void transfer_all(struct transfer *t, const struct layout *l);

/* Does @it stand at byte @off of @t? Looks at some runs, without moving it. */
void transfer_check_iter(const struct transfer *t, const struct drw_iter *it, u64 off);

/*
 * What one command could do with the first @n bytes of @want, @n not above max_bytes: the
 * most bytes in whole LBAs for either form, 0 if there is none.
 */
struct ref_plan {
	u32 prp_bytes;
	u32 sgl_bytes;
};

/* Found in one walk over the bytes. */
struct ref_plan ref_plan(const u64 *want, u32 n, const struct drw_limits *lim);
/* Found by trying every number of LBAs; takes the square of the time. */
struct ref_plan ref_plan_by_trial(const u64 *want, u32 n, const struct drw_limits *lim);

/* Ranges of consecutive addresses in @want; PRP entries for it, if PRPs can express it. */
u32 ref_segments(const u64 *want, u32 n);
u32 ref_prp_entries(const u64 *want, u32 n);

#endif
