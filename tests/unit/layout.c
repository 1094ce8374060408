// SPDX-License-Identifier: GPL-2.0-only
/*
 * layout.c - slow and obvious: where each single byte of a buffer is on the bus; see
 * layout.h.
 */
#include "layout.h"

void layout_begin(struct layout *l)
{
	l->x = (struct drw_extents) { };
	l->bytes = 0;
	l->nr_chunks = 0;
}

void layout_add(struct layout *l, u64 addr, u64 len)
{
	u64 i;

	CHECK(l->nr_chunks < LAYOUT_CHUNKS && len <= LAYOUT_BYTES - l->bytes,
	      "the test's layout is too large");
	l->chunks[l->nr_chunks++] = (struct chunk) { addr, len };
	for (i = 0; i < len; i++)
		l->bus[l->bytes++] = addr + i;
}

/* Make the table as mapping.c does: count first, then store. */
void layout_end(struct layout *l)
{
	struct drw_extents_builder b = { };
	u32 nr, i;

	for (i = 0; i < l->nr_chunks; i++)
		CHECK_EQ(drw_extents_add(&b, l->chunks[i].addr, l->chunks[i].len), 0);
	CHECK_EQ(b.bytes, l->bytes);
	nr = b.nr;
	CHECK(nr <= LAYOUT_CHUNKS, "%u extents of %u ranges", nr, l->nr_chunks);

	b = (struct drw_extents_builder) { .ext = &l->table[LAYOUT_CHUNKS - nr], .cap = nr };
	for (i = 0; i < l->nr_chunks; i++)
		CHECK_EQ(drw_extents_add(&b, l->chunks[i].addr, l->chunks[i].len), 0);
	CHECK_EQ(b.bytes, l->bytes);
	CHECK_EQ(b.nr, nr);
	l->x = drw_extents_built(&b);
}

static u64 align_of(struct dice *d)
{
	static const u64 aligns[] = { 4096, 4096, 512, 4, 1 };

	return aligns[dice_below(d, COUNT(aligns))];
}

static u64 next_addr(struct dice *d, u64 align, u64 prev, u64 end, u64 len)
{
	u64 addr;

	switch (dice_below(d, 8)) {
	case 0:	/* anywhere */
	case 1:
	case 2:
		addr = (dice_u64(d) & ((1ULL << 52) - 1)) / align * align;
		break;
	case 3:	/* goes on: the same extent */
	case 4:
		addr = end;
		break;
	case 5:	/* the next page after a hole */
		addr = (end + DRW_PAGE_MASK) / DRW_PAGE_BYTES * DRW_PAGE_BYTES + DRW_PAGE_BYTES;
		break;
	case 6:	/* ends where the last one began: backwards */
		addr = prev - len;
		break;
	default: /* as high as there are addresses */
		addr = LAYOUT_TOP - len - dice_below(d, 4) * align;
	}
	/* Wrapped, or too high. */
	if (addr + len < addr || addr + len > LAYOUT_TOP)
		addr = align * 16;
	return addr;
}

/* One range, in up to three chunks that go on where the last one ended. */
static void add_in_parts(struct layout *l, struct dice *d, u64 addr, u64 len)
{
	u32 parts;

	for (parts = dice_below(d, 3); parts && len > 1; parts--) {
		u64 part = dice_between(d, 1, len - 1);

		layout_add(l, addr, part);
		addr += part;
		len -= part;
	}
	layout_add(l, addr, len);
}

/* Half of them are whole pages, as most memory is: what PRPs can express. */
void layout_random(struct layout *l, struct dice *d, u64 max_bytes)
{
	bool paged = dice_one_in(d, 2);
	u64 unit = paged ? DRW_PAGE_BYTES : align_of(d);
	u64 align = paged ? DRW_PAGE_BYTES : align_of(d);
	u64 most = paged ? dice_between(d, 1, 8) : dice_between(d, 1, 64);
	u64 goal = dice_between(d, DRW_PAGE_BYTES, max_bytes), prev = 0, end = 0;

	layout_begin(l);
	while (l->bytes < goal) {
		u64 len = unit * dice_between(d, 1, most), addr;

		if (len > goal - l->bytes || l->nr_chunks >= LAYOUT_CHUNKS - 6)
			len = goal - l->bytes;
		addr = next_addr(d, align, prev, end, len);
		if (paged)
			addr = addr / DRW_PAGE_BYTES * DRW_PAGE_BYTES;
		add_in_parts(l, d, addr, len);
		prev = addr;
		end = addr + len;
	}
	layout_end(l);
}

void transfer_begin(struct transfer *t, const struct layout *l)
{
	t->l = l;
	t->head = (struct drw_pad) { };
	t->tail = (struct drw_pad) { };
	t->bytes = 0;
	t->pc = t->store;
	t->nr = 0;
}

void transfer_add(struct transfer *t, u64 buf_off, u64 len)
{
	u64 i;

	CHECK(t->nr < COUNT(t->store) && len <= LAYOUT_BYTES - t->bytes &&
	      buf_off + len <= t->l->bytes, "the test's transfer is too large");
	t->pc[t->nr++] = (struct dmabuf_rw_piece) { buf_off, len };
	for (i = 0; i < len; i++)
		t->want[t->bytes++] = t->l->bus[buf_off + i];
}

static void add_pad(struct transfer *t, struct drw_pad *pad, u64 addr, u32 len)
{
	u32 i;

	CHECK(len <= LAYOUT_BYTES - t->bytes && !pad->len, "the test's pads are too many");
	*pad = (struct drw_pad) { .addr = addr, .len = len };
	for (i = 0; i < len; i++)
		t->want[t->bytes++] = addr + i;
}

void transfer_head(struct transfer *t, u64 addr, u32 len)
{
	CHECK(!t->nr, "a head after a piece");
	add_pad(t, &t->head, addr, len);
}

void transfer_tail(struct transfer *t, u64 addr, u32 len)
{
	add_pad(t, &t->tail, addr, len);
}

void transfer_iter(const struct transfer *t, struct drw_iter *it)
{
	drw_iter_init(it, &t->l->x, t->pc, t->nr);
	if (t->head.len || t->tail.len)
		drw_iter_set_pads(it, t->head.len ? &t->head : NULL, t->tail.len ? &t->tail : NULL);
}

void transfer_end(struct transfer *t)
{
	u64 total;

	t->pc = &t->store[COUNT(t->store) - t->nr];
	memmove(t->pc, t->store, t->nr * sizeof(*t->pc));
	CHECK_EQ(drw_pieces_check(t->pc, t->nr, t->l->bytes, &total), 0);
	CHECK_EQ(total + t->head.len + t->tail.len, t->bytes);
}

void transfer_all(struct transfer *t, const struct layout *l)
{
	transfer_begin(t, l);
	transfer_add(t, 0, l->bytes);
	transfer_end(t);
}

/* Where a pad of @len goes: mostly where PRPs could have it, or beside bytes of @near. */
static u64 pad_addr(struct dice *d, u32 len, bool head, u64 near)
{
	u64 addr = (dice_u64(d) & ((1ULL << 52) - 1)) & ~(u64)DRW_PAGE_MASK;

	switch (dice_below(d, 5)) {
	case 0:
	case 1:
		/* In whole pages, the head to the end of one and the tail from the start. */
		return head ? addr + LAYOUT_PAD_BYTES - len : addr;
	case 2:
		return addr + dice_below(d, DRW_PAGE_BYTES);
	case 3:	/* consecutive with the pieces, by chance */
		addr = head ? near - len : near + 1;
		return addr + len < addr || addr + len > LAYOUT_TOP ? 0 : addr;
	default: /* at the end of addresses */
		return LAYOUT_TOP - len;
	}
}

void transfer_random(struct transfer *t, const struct layout *l, struct dice *d, u64 bytes,
		     u32 lba)
{
	bool paged = dice_one_in(d, 2), single = dice_one_in(d, 3), more = dice_one_in(d, 4);
	u64 unit = paged ? DRW_PAGE_BYTES : align_of(d);
	u64 align = paged ? DRW_PAGE_BYTES : align_of(d);
	u64 most = dice_between(d, 1, 64), end = 0;
	u64 first = dice_below(d, l->bytes);
	u32 head = 0, tail = 0;

	/* Half of them have none; whole dwords where PRPs and most SGLs shall do. */
	if (lba && bytes >= 2 * lba && dice_one_in(d, 2)) {
		u32 grain = dice_one_in(d, 2) ? 4 : 1;

		head = dice_below(d, lba / grain) * grain;
		tail = dice_below(d, lba / grain) * grain;
	}

	transfer_begin(t, l);
	if (head)
		transfer_head(t, pad_addr(d, head, true, l->bus[first]), head);
	while (t->bytes < bytes - tail) {
		u64 left = bytes - tail - t->bytes, len, off, within;

		/* Few pieces are left, so take as much as there is. */
		if (single || t->nr > DMABUF_RW_MAX_PIECES / 2)
			len = left;
		else
			len = unit * dice_below(d, most + 1);
		if (len > left)
			len = left;
		if (len > l->bytes)
			len = l->bytes;
		switch (dice_below(d, 6)) {
		case 0:	/* at the end of the buffer */
			off = l->bytes - len;
			break;
		case 1:	/* where the last one ended */
			off = end;
			break;
		default:
			off = dice_between(d, 0, l->bytes - len);
		}
		off = off / align * align;
		/* Where the head's addresses may go on. */
		if (head && !t->nr && dice_one_in(d, 2))
			off = first;
		if (off > l->bytes - len)
			off = 0;
		/* The first page may begin anywhere. */
		within = dice_below(d, DRW_PAGE_BYTES / 4) * 4;
		if (paged && !t->bytes && len > within) {
			off += within;
			len -= within;
		}
		transfer_add(t, off, len);
		end = off + len;
	}
	if (tail) {
		transfer_tail(t, pad_addr(d, tail, false, t->want[t->bytes - 1]), tail);
	} else if (more) {
		/* io.c cuts a transfer at the device's end and at the ABI's limit: pieces stay. */
		transfer_add(t, l->bytes, 0);
		transfer_add(t, 0, dice_between(d, 1, DRW_PAGE_BYTES));
	}
	transfer_end(t);
}

void transfer_check_iter(const struct transfer *t, const struct drw_iter *it, u64 off)
{
	struct drw_iter copy = *it;
	u64 addr, len, i;
	u32 runs;

	for (runs = 0; runs < 16; runs++) {
		len = drw_iter_next(&copy, ~0ULL, &addr);
		if (!len) {
			CHECK_EQ(off, t->bytes);
			return;
		}
		CHECK(len <= t->bytes - off, "a run of %#llx bytes, %#llx are left",
		      (unsigned long long)len, (unsigned long long)(t->bytes - off));
		for (i = 0; i < len && i < 64 * KiB; i++, off++)
			CHECK_EQ(addr + i, t->want[off]);
		if (i < len)
			return;
	}
}

struct ref_plan ref_plan(const u64 *want, u32 n, const struct drw_limits *lim)
{
	struct ref_plan r = { };
	bool prp = true, sgl = lim->sgl != DRW_SGL_NONE, dwords = true;
	u32 segs = 0, i;

	for (i = 0; i < n; i++) {
		if (!i) {
			prp = want[0] % 4 == 0;
			dwords = prp;
			segs = 1;
		} else if (want[i] != want[i - 1] + 1) {
			prp = prp && want[i] % 4096 == 0 && want[i - 1] % 4096 == 4095;
			dwords = dwords && want[i] % 4 == 0 && want[i - 1] % 4 == 3;
			segs++;
		}
		if (segs > lim->max_segs || (lim->sgl == DRW_SGL_DWORD && !dwords))
			sgl = false;
		/* What has become impossible does not become possible further on. */
		if (!prp && !sgl)
			break;
		if ((i + 1) % lim->lba_bytes)
			continue;
		if (prp)
			r.prp_bytes = i + 1;
		if (sgl && (lim->sgl == DRW_SGL_BYTE || want[i] % 4 == 3))
			r.sgl_bytes = i + 1;
	}
	return r;
}

/*
 * PRP entries leave no choice: the first one is the first byte's address, each further
 * one the address of the byte after the last page's end. Do they give what is wanted?
 */
static bool try_prps(const u64 *want, u32 n)
{
	u32 at = 0, i;

	while (at < n) {
		u64 entry = want[at];

		if (at ? entry % 4096 : entry % 4)
			return false;
		for (i = 0; at < n && i < 4096 - entry % 4096; i++)
			if (want[at++] != entry + i)
				return false;
	}
	return true;
}

static bool try_sgl(const u64 *want, u32 n, const struct drw_limits *lim)
{
	u32 at = 0, segs = 0;

	while (at < n) {
		u64 start = want[at], len = 0;

		while (at < n && want[at] == start + len) {
			at++;
			len++;
		}
		segs++;
		if (lim->sgl == DRW_SGL_DWORD && (start % 4 || len % 4))
			return false;
	}
	return lim->sgl != DRW_SGL_NONE && segs <= lim->max_segs;
}

struct ref_plan ref_plan_by_trial(const u64 *want, u32 n, const struct drw_limits *lim)
{
	struct ref_plan r = { };
	u32 bytes;

	for (bytes = lim->lba_bytes; bytes <= n; bytes += lim->lba_bytes) {
		if (try_prps(want, bytes))
			r.prp_bytes = bytes;
		if (try_sgl(want, bytes, lim))
			r.sgl_bytes = bytes;
	}
	return r;
}

u32 ref_segments(const u64 *want, u32 n)
{
	u32 segs = 1, i;

	for (i = 1; i < n; i++)
		segs += want[i] != want[i - 1] + 1;
	return segs;
}

u32 ref_prp_entries(const u64 *want, u32 n)
{
	u32 entries = 1, i;

	for (i = 1; i < n; i++)
		entries += want[i] % 4096 == 0;
	return entries;
}
