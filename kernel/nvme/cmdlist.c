// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdlist.c - data pointers of one NVMe command: PRP lists and SGLs, pure arithmetic.
 *
 * See cmdlist.h for the order of calls. This file is compiled into the module and into
 * host unit tests; it must stay free of kernel state.
 *
 * What PRPs can express: the first entry may begin anywhere in a page (in whole dwords),
 * every later one begins a page, and every one but the last ends its page. So a transfer
 * can use PRPs exactly if every place where bus addresses are not consecutive is a page
 * boundary on both sides. An SGL can express anything, in as many descriptors as there
 * are consecutive ranges ("segments" here).
 *
 * Most buffers are made of whole pages ("paged", extents.h), and most commands lie in one
 * piece. Then each extent is a segment, and a page of the buffer is a page on the bus: PRPs
 * can express it if it begins in whole dwords, and neither a plan nor a list takes a walk.
 * What the functions named _paged say is what the walk would have said.
 */
#include "nvme/cmdlist.h"

/* Pages that hold bytes of [addr, addr + len), len > 0. */
static u32 pages_spanned(u64 addr, u64 len)
{
	return ((addr & DRW_PAGE_MASK) + len + DRW_PAGE_MASK) >> DRW_PAGE_SHIFT;
}

/* Do the next @bytes lie in one piece, of a buffer with a paged table? */
static bool is_paged(const struct drw_iter *it, u32 bytes)
{
	return it->x->paged && !it->head.len && it->nr_pc && it->pc->len - it->done >= bytes;
}

/* drw_plan() for at most @max bytes, whole LBAs, with is_paged(). */
static noinline int plan_paged(const struct drw_iter *it, u32 max, const struct drw_limits *lim,
		      struct drw_plan *plan)
{
	const struct drw_extents *x = it->x;
	u64 off = it->pc->buf_off + it->done, end = off + max;
	u32 first = it->have_idx ? it->idx : drw_extents_find(x, off);
	bool prp_ok = !(off & 3);
	u32 segs = lim->max_segs;

	*plan = (struct drw_plan) {
		.bytes = max,
		.entries = pages_spanned(off, max),
		.paged = true,
		.first = first,
	};
	if (prp_ok) {
		/* An SGL must move all, too, in segments that are large enough. */
		if (lim->sgl == DRW_SGL_NONE || !lim->sgl_threshold || max < lim->sgl_threshold)
			return 0;
		segs = min_t(u32, segs, max / lim->sgl_threshold);
	} else if (lim->sgl != DRW_SGL_BYTE) {
		return -EDOM;
	}

	if (x->nr - first > segs && x->ext[first + segs].buf_off < end) {
		if (prp_ok)
			return 0;
		end = x->ext[first + segs].buf_off;
		plan->bytes = (u32)(end - off) & ~(lim->lba_bytes - 1);
		if (!plan->bytes)
			return -EDOM;
		end = off + plan->bytes;
	}
	plan->sgl = true;
	plan->entries = drw_extents_find(x, end - 1) - first + 1;
	return 0;
}

/* drw_plan() for at most @max bytes, run by run. */
static noinline int plan_walk(const struct drw_iter *it, u32 max, const struct drw_limits *lim,
			      struct drw_plan *plan)
{
	const u32 lba_mask = lim->lba_bytes - 1;
	u32 bytes = 0, segs = 0, prps = 0;	/* @prps: of segments before the last */
	struct drw_plan prp = { }, sgl = { .sgl = true };	/* the most for either form */
	bool prp_ok = true, sgl_ok = lim->sgl != DRW_SGL_NONE;
	struct drw_iter ahead = *it;
	u64 end = 0, seg_start = 0;

	while (bytes < max && (prp_ok || sgl_ok)) {
		u64 addr, len = drw_iter_next(&ahead, max - bytes, &addr);
		u32 whole;

		if (!len)
			break;
		if (!segs || addr != end) {
			if (!segs) {
				prp_ok = !(addr & 3);
			} else {
				if ((addr | end) & DRW_PAGE_MASK)
					prp_ok = false;
				prps += pages_spanned(seg_start, end - seg_start);
			}
			/*
			 * The last segment is whole dwords, too: the command is, being
			 * whole LBAs, and the others are.
			 */
			if (lim->sgl == DRW_SGL_DWORD && ((addr | end) & 3))
				sgl_ok = false;
			if (++segs > lim->max_segs)
				sgl_ok = false;
			seg_start = addr;
		}
		end = addr + len;
		bytes += len;
		whole = bytes & ~lba_mask;
		/* The command may end in this run only if an LBA does. */
		if (bytes - whole >= len)
			continue;
		if (prp_ok) {
			prp.bytes = whole;
			prp.entries = prps + pages_spanned(seg_start, end - (bytes - whole) -
							   seg_start);
		}
		if (sgl_ok) {
			sgl.bytes = whole;
			sgl.entries = segs;
		}
	}

	if (!prp.bytes && !sgl.bytes)
		return -EDOM;
	if (prp.bytes == sgl.bytes)
		*plan = lim->sgl_threshold && sgl.bytes / sgl.entries >= lim->sgl_threshold ?
			sgl : prp;
	else
		*plan = sgl.bytes > prp.bytes ? sgl : prp;
	return 0;
}

/**
 * drw_plan() - how the next command shall be built
 * @it: where the transfer stands; not moved
 * @left: bytes left in the transfer, pads included, a multiple of the LBA size, not zero
 * @lim: what a command may be
 * @plan: the answer
 *
 * Takes as many bytes as one command can. If both forms can take the same, it chooses as
 * the NVMe driver does: SGLs for few large segments, PRPs for many small ones. Nothing
 * that lies behind the command has a say in whether or how it is built.
 *
 * Return: 0, or -EDOM if not even one LBA at this place can be expressed.
 */
int drw_plan(const struct drw_iter *it, u64 left, const struct drw_limits *lim,
	     struct drw_plan *plan)
{
	u32 max = min_t(u64, left, lim->max_bytes);

	if (is_paged(it, max))
		return plan_paged(it, max, lim, plan);
	return plan_walk(it, max, lim, plan);
}

/* Bytes of list memory that @plan needs, chaining not counted; 0: none. */
u32 drw_list_bytes(const struct drw_plan *plan)
{
	if (plan->sgl)
		return plan->entries > 1 ? plan->entries * sizeof(struct drw_sgl_desc) : 0;
	return plan->entries > 2 ? (plan->entries - 1) * sizeof(__le64) : 0;
}

/*
 * Pages of list memory that @plan needs. The last entry of a full page points to the next
 * page if more entries follow, so each page but the last holds one entry less.
 */
u32 drw_list_pages(const struct drw_plan *plan)
{
	u32 entries = drw_list_bytes(plan) / sizeof(__le64);

	if (!entries)
		return 0;
	if (plan->sgl || entries <= DRW_PRPS_PER_PAGE)
		return 1;
	return 1 + (entries - DRW_PRPS_PER_PAGE + DRW_PRPS_PER_PAGE - 2) /
		   (DRW_PRPS_PER_PAGE - 1);
}

/*
 * Where the entries of a PRP list go. @slot counts within @page; @left counts entries
 * that are still to come, to know whether a page's last slot is an entry or a link.
 */
struct prp_writer {
	const struct drw_list *list;
	u32 page;
	u32 slot;
	u32 left;
};

static void put_prp(struct prp_writer *w, u64 addr)
{
	__le64 *entry = w->list->virt[w->page];

	if (w->slot == DRW_PRPS_PER_PAGE - 1 && w->left > 1) {
		entry[w->slot] = cpu_to_le64(w->list->dma[w->page + 1]);
		w->page++;
		w->slot = 0;
		entry = w->list->virt[w->page];
	}
	entry[w->slot++] = cpu_to_le64(addr);
	w->left--;
}

/* Move on by a command whose last byte is in extent @last. */
static void advance_paged(struct drw_iter *it, u32 bytes, u32 last)
{
	it->done += bytes;
	if (it->done == it->pc->len) {
		/* At once, so that is_paged() sees the next piece. */
		drw_iter_next_piece(it);
		return;
	}
	it->idx = last;
	if (it->pc->buf_off + it->done == drw_extent_end(it->x, last))
		it->idx++;
	it->have_idx = true;
}

/*
 * Write the addresses of @n pages of the buffer from offset @pos on, which is in extent
 * @idx. Returns the extent of the last one.
 */
static u32 put_pages(const struct drw_extents *x, u32 idx, u64 pos, __le64 *entry, u32 n)
{
	const struct drw_extent *ext = &x->ext[idx];
	__le64 *stop = entry + n;
	u64 addr, end;

	/* As many extents as pages: each has one page, and nothing needs to be looked up. */
	if (n <= x->nr - idx && ext->buf_off == pos &&
	    ext[n - 1].buf_off - pos == (u64)(n - 1) << DRW_PAGE_SHIFT) {
		for (; entry < stop; entry++, ext++)
			*entry = cpu_to_le64(ext->addr);
		return idx + n - 1;
	}

	addr = ext->addr + (pos - ext->buf_off);
	end = drw_extent_end(x, idx);
	for (; entry < stop; entry++) {
		if (pos == end) {
			addr = x->ext[++idx].addr;
			end = drw_extent_end(x, idx);
		}
		*entry = cpu_to_le64(addr);
		addr += DRW_PAGE_BYTES;
		pos += DRW_PAGE_BYTES;
	}
	return idx;
}

static noinline void fill_prp_paged(struct drw_iter *it, const struct drw_plan *plan,
			   const struct drw_list *list, union drw_dptr *dptr)
{
	const struct drw_extents *x = it->x;
	u64 off = it->pc->buf_off + it->done;
	u32 idx = plan->first, left = plan->entries - 1, page = 0;
	__le64 *entry = &dptr->prp2;

	dptr->prp1 = cpu_to_le64(x->ext[idx].addr + (off - x->ext[idx].buf_off));
	dptr->prp2 = 0;
	if (left > 1) {
		dptr->prp2 = cpu_to_le64(list->dma[0]);
		entry = list->virt[0];
	}
	/* From here on the offset of the next entry's page. */
	off = (off | DRW_PAGE_MASK) + 1;
	while (left) {
		u32 n = left <= DRW_PRPS_PER_PAGE ? left : DRW_PRPS_PER_PAGE - 1;

		if (off == drw_extent_end(x, idx))
			idx++;
		idx = put_pages(x, idx, off, entry, n);
		off += (u64)n << DRW_PAGE_SHIFT;
		left -= n;
		if (left) {
			entry[n] = cpu_to_le64(list->dma[++page]);
			entry = list->virt[page];
		}
	}
	advance_paged(it, plan->bytes, idx);
}

static noinline void fill_prp_walk(struct drw_iter *it, const struct drw_plan *plan,
				   const struct drw_list *list, union drw_dptr *dptr)
{
	struct prp_writer w = { .list = list, .left = plan->entries - 1 };
	u32 bytes, index = 0;
	u64 addr, len;

	dptr->prp2 = plan->entries > 2 ? cpu_to_le64(list->dma[0]) : 0;

	for (bytes = plan->bytes; bytes; bytes -= len) {
		u64 at, stop;

		len = drw_iter_next(it, bytes, &addr);
		stop = addr + len;
		/* Later entries begin pages; an offset means that the entry is there. */
		at = !index ? addr : (addr + DRW_PAGE_MASK) & ~(u64)DRW_PAGE_MASK;
		while (at < stop) {
			if (!index)
				dptr->prp1 = cpu_to_le64(at);
			else if (plan->entries == 2)
				dptr->prp2 = cpu_to_le64(at);
			else
				put_prp(&w, at);
			index++;
			at = (at | DRW_PAGE_MASK) + 1;
		}
	}
}

/**
 * drw_fill_prp() - write the PRP entries of a planned command
 * @it: where the transfer stands, as drw_plan() saw it; moved on by plan->bytes
 * @plan: from drw_plan(), with !plan->sgl
 * @list: drw_list_pages() pages, or a small block if drw_list_bytes() fits in it
 * @dptr: the command's data pointer
 */
void drw_fill_prp(struct drw_iter *it, const struct drw_plan *plan,
		  const struct drw_list *list, union drw_dptr *dptr)
{
	if (plan->paged)
		fill_prp_paged(it, plan, list, dptr);
	else
		fill_prp_walk(it, plan, list, dptr);
}

static struct drw_sgl_desc data_block(u64 addr, u32 len)
{
	return (struct drw_sgl_desc) {
		.addr = cpu_to_le64(addr),
		.length = cpu_to_le32(len),
		.type = DRW_SGL_DATA,
	};
}

static u32 fill_sgl_paged(struct drw_iter *it, const struct drw_plan *plan,
			  struct drw_sgl_desc *desc)
{
	const struct drw_extents *x = it->x;
	u64 off = it->pc->buf_off + it->done;
	u32 idx = plan->first, left = plan->bytes, n = 0;
	u64 addr = x->ext[idx].addr + (off - x->ext[idx].buf_off);

	for (;;) {
		u32 len = min_t(u64, left, drw_extent_end(x, idx) - off);

		desc[n++] = data_block(addr, len);
		left -= len;
		if (!left)
			break;
		off += len;
		addr = x->ext[++idx].addr;
	}
	advance_paged(it, plan->bytes, idx);
	return n;
}

static u32 fill_sgl_walk(struct drw_iter *it, const struct drw_plan *plan,
			 struct drw_sgl_desc *desc)
{
	u64 addr, len, start = 0, end = 0;
	u32 bytes, n = 0;

	for (bytes = plan->bytes; bytes; bytes -= len) {
		len = drw_iter_next(it, bytes, &addr);
		if (!n || addr != end) {
			n++;
			start = addr;
		}
		end = addr + len;
		desc[n - 1] = data_block(start, end - start);
	}
	return n;
}

/**
 * drw_fill_sgl() - write the SGL of a planned command
 * @it: where the transfer stands, as drw_plan() saw it; moved on by plan->bytes
 * @plan: from drw_plan(), with plan->sgl
 * @list: one page, or a small block if drw_list_bytes() fits in it; none for one segment
 * @dptr: the command's data pointer
 *
 * Return: data descriptors written.
 */
u32 drw_fill_sgl(struct drw_iter *it, const struct drw_plan *plan,
		 const struct drw_list *list, union drw_dptr *dptr)
{
	struct drw_sgl_desc *desc = plan->entries > 1 ? list->virt[0] : &dptr->sgl;
	u32 n = plan->paged ? fill_sgl_paged(it, plan, desc) : fill_sgl_walk(it, plan, desc);

	if (plan->entries > 1)
		dptr->sgl = (struct drw_sgl_desc) {
			.addr = cpu_to_le64(list->dma[0]),
			.length = cpu_to_le32(n * (u32)sizeof(*desc)),
			.type = DRW_SGL_LAST_SEGMENT,
		};
	return n;
}
