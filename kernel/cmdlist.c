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
 */
#include "cmdlist.h"

/* Pages that hold bytes of [addr, addr + len), len > 0. */
static u32 pages_spanned(u64 addr, u64 len)
{
	return ((addr & DRW_PAGE_MASK) + len + DRW_PAGE_MASK) >> DRW_PAGE_SHIFT;
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
	const u32 lba_mask = lim->lba_bytes - 1;
	u32 max = min_t(u64, left, lim->max_bytes);
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

/**
 * drw_fill_prp() - write the PRP entries of a planned command
 * @it: where the transfer stands; moved on by plan->bytes
 * @plan: from drw_plan(), with !plan->sgl
 * @list: drw_list_pages() pages, or a small block if drw_list_bytes() fits in it
 * @dptr: the command's data pointer
 */
void drw_fill_prp(struct drw_iter *it, const struct drw_plan *plan,
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
 * drw_fill_sgl() - write the SGL of a planned command
 * @it: where the transfer stands; moved on by plan->bytes
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
	u32 bytes, n = 0;
	u64 addr, len, start = 0, end = 0;

	for (bytes = plan->bytes; bytes; bytes -= len) {
		len = drw_iter_next(it, bytes, &addr);
		if (!n || addr != end) {
			n++;
			start = addr;
		}
		end = addr + len;
		desc[n - 1] = (struct drw_sgl_desc) {
			.addr = cpu_to_le64(start),
			.length = cpu_to_le32((u32)(end - start)),
			.type = DRW_SGL_DATA,
		};
	}
	if (plan->entries > 1)
		dptr->sgl = (struct drw_sgl_desc) {
			.addr = cpu_to_le64(list->dma[0]),
			.length = cpu_to_le32(n * (u32)sizeof(*desc)),
			.type = DRW_SGL_LAST_SEGMENT,
		};
	return n;
}
