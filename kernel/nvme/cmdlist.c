// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdlist.c - data pointers of one NVMe command: PRP lists and SGLs, pure arithmetic.
 *
 * See cmdlist.h for the order of calls, and pure.h: no kernel state here.
 *
 * The first PRP entry may begin at any dword of a page. Every later one begins a page, and
 * every one but the last ends its page. So PRPs can express a transfer exactly if both sides
 * of every gap in its bus addresses are page boundaries. An SGL can express anything, with one
 * descriptor for each range of consecutive addresses ("segment" here).
 *
 * Most buffers are made of whole pages ("paged", extents.h), and most commands lie in one
 * piece. There a page of the buffer is a page on the bus, and PRPs are planned without a walk.
 * For 128 KiB of scattered pages that takes a fourteenth of the instructions.
 */
#include "nvme/cmdlist.h"

/* Pages that hold bytes of [addr, addr + len), len > 0. */
static u32 cmdlist_pages(u64 addr, u64 len)
{
	return ((addr & DRW_PAGE_MASK) + len + DRW_PAGE_MASK) >> DRW_PAGE_SHIFT;
}

/*
 * drw_plan() without a walk: PRPs for exactly @max bytes. False if that is not possible, or if
 * the segments are large enough for an SGL: there are few of them then, and the walk is short.
 */
static bool cmdlist_plan_pages(const struct drw_iter *it, u32 max, const struct drw_limits *lim,
			       struct drw_plan *plan)
{
	const struct drw_extents *x = it->x;
	u64 off;

	if (!x->paged || it->head.len || !it->nr_pc || it->pc->len - it->done < max)
		return false;
	off = it->pc->buf_off + it->done;
	if (off & 3)
		return false;
	if (lim->sgl != DRW_SGL_NONE && lim->sgl_threshold && max >= lim->sgl_threshold) {
		u32 first = drw_extents_find(x, off);
		u32 segs = max / lim->sgl_threshold;

		if (x->nr - first <= segs || x->ext[first + segs].buf_off >= off + max)
			return false;
	}
	*plan = (struct drw_plan) {
		.bytes = max,
		.entries = cmdlist_pages(off, max),
		.paged = true,
	};
	return true;
}

/* drw_plan() for at most @max bytes, run by run. */
static noinline int cmdlist_plan_walk(const struct drw_iter *it, u32 max,
				      const struct drw_limits *lim, struct drw_plan *plan)
{
	const u32 lba_mask = lim->lba_bytes - 1;
	u32 bytes = 0, segs = 0, prps = 0;	/* @prps: of segments before the last */
	struct drw_plan prp = { }, sgl = { .sgl = true };	/* the longest so far */
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
				prps += cmdlist_pages(seg_start, end - seg_start);
			}
			/*
			 * The command is whole LBAs, so if all other segments are whole dwords, the
			 * last one is as well.
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
		/* The command can end in this run only if an LBA does. */
		if (bytes - whole >= len)
			continue;
		if (prp_ok) {
			prp.bytes = whole;
			prp.entries = prps + cmdlist_pages(seg_start, end - (bytes - whole) -
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
 * drw_plan() - plan the next command
 * @it: where the transfer stands; not moved
 * @left: bytes left in the transfer, pads included, a multiple of the LBA size, not zero
 * @lim: limits of a command
 * @plan: filled
 *
 * Plans as many bytes as one command can take. Where both forms can take the same, it chooses
 * as the NVMe driver does: SGLs for few large segments, PRPs for many small ones. The plan
 * does not depend on bytes after the command.
 *
 * Return: 0, or -EDOM if neither form can express even one LBA here.
 */
int drw_plan(const struct drw_iter *it, u64 left, const struct drw_limits *lim,
	     struct drw_plan *plan)
{
	u32 max = min_t(u64, left, lim->max_bytes);

	return cmdlist_plan_pages(it, max, lim, plan) ? 0 :
	       cmdlist_plan_walk(it, max, lim, plan);
}

/* Bytes of list memory that @plan needs, links between pages not counted; 0: none. */
u32 drw_list_bytes(const struct drw_plan *plan)
{
	if (plan->sgl)
		return plan->entries > 1 ? plan->entries * sizeof(struct drw_sgl_desc) : 0;
	return plan->entries > 2 ? (plan->entries - 1) * sizeof(__le64) : 0;
}

/*
 * Pages of list memory that @plan needs. The last slot of a full page links to the next page if
 * more entries follow, so each page but the last holds one entry less.
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
 * Writes a PRP list. @slot counts within @page. @left, the entries still to come, tells whether
 * a page's last slot is an entry or a link.
 */
struct cmdlist_writer {
	const struct drw_list *list;
	u32 page;
	u32 slot;
	u32 left;
};

static void cmdlist_put(struct cmdlist_writer *w, u64 addr)
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

/* How many of the next @n pages, from extent @idx on, begin an extent each; 1 unless all do. */
static u32 cmdlist_single_pages(const struct drw_extents *x, u32 idx, u32 n)
{
	u32 run = min_t(u32, n, x->nr - idx);
	u64 bytes = x->ext[idx + run - 1].buf_off - x->ext[idx].buf_off;

	return bytes == (u64)(run - 1) << DRW_PAGE_SHIFT ? run : 1;
}

/* drw_fill_prp() if each page of the buffer is a page on the bus. */
static noinline void cmdlist_fill_pages(struct drw_iter *it, const struct drw_plan *plan,
					const struct drw_list *list, union drw_dptr *dptr)
{
	const struct drw_extents *x = it->x;
	u64 off = it->pc->buf_off + it->done, addr, end;
	u32 idx = drw_extents_find(x, off), left = plan->entries - 1, page = 0;
	__le64 *entry = &dptr->prp2;

	addr = x->ext[idx].addr + (off - x->ext[idx].buf_off);
	dptr->prp1 = cpu_to_le64(addr);
	dptr->prp2 = 0;
	if (left > 1) {
		dptr->prp2 = cpu_to_le64(list->dma[0]);
		entry = list->virt[0];
	}
	/* From here on @off and @addr are those of the next entry's page. */
	off = (off | DRW_PAGE_MASK) + 1;
	addr = (addr | DRW_PAGE_MASK) + 1;
	end = drw_extent_end(x, idx);
	while (left) {
		u32 n = left <= DRW_PRPS_PER_PAGE ? left : DRW_PRPS_PER_PAGE - 1;

		left -= n;
		while (n) {
			u32 run;

			if (off == end) {
				/* Scattered pages: no need to look for the end of each extent. */
				for (run = cmdlist_single_pages(x, ++idx, n); run > 1; run--) {
					*entry++ = cpu_to_le64(x->ext[idx++].addr);
					off += DRW_PAGE_BYTES;
					n--;
				}
				addr = x->ext[idx].addr;
				end = drw_extent_end(x, idx);
			}
			*entry++ = cpu_to_le64(addr);
			addr += DRW_PAGE_BYTES;
			off += DRW_PAGE_BYTES;
			n--;
		}
		if (left) {
			*entry = cpu_to_le64(list->dma[++page]);
			entry = list->virt[page];
		}
	}
	drw_iter_skip(it, plan->bytes);
}

static noinline void cmdlist_fill_walk(struct drw_iter *it, const struct drw_plan *plan,
				       const struct drw_list *list, union drw_dptr *dptr)
{
	struct cmdlist_writer w = { .list = list, .left = plan->entries - 1 };
	u32 bytes, index = 0;
	u64 addr, len;

	dptr->prp2 = plan->entries > 2 ? cpu_to_le64(list->dma[0]) : 0;

	for (bytes = plan->bytes; bytes; bytes -= len) {
		u64 at, stop;

		len = drw_iter_next(it, bytes, &addr);
		stop = addr + len;
		/* Later entries begin pages; a run that begins within a page has its entry. */
		at = !index ? addr : (addr + DRW_PAGE_MASK) & ~(u64)DRW_PAGE_MASK;
		while (at < stop) {
			if (!index)
				dptr->prp1 = cpu_to_le64(at);
			else if (plan->entries == 2)
				dptr->prp2 = cpu_to_le64(at);
			else
				cmdlist_put(&w, at);
			index++;
			at = (at | DRW_PAGE_MASK) + 1;
		}
	}
}

/**
 * drw_fill_prp() - write the PRP entries of a planned command
 * @it: as drw_plan() saw it; moved on by plan->bytes
 * @plan: from drw_plan(), with !plan->sgl
 * @list: drw_list_pages() pages, or a small block if drw_list_bytes() fits in it
 * @dptr: the command's data pointer
 */
void drw_fill_prp(struct drw_iter *it, const struct drw_plan *plan,
		  const struct drw_list *list, union drw_dptr *dptr)
{
	if (plan->paged)
		cmdlist_fill_pages(it, plan, list, dptr);
	else
		cmdlist_fill_walk(it, plan, list, dptr);
}

/**
 * drw_fill_sgl() - write the SGL of a planned command
 * @it: as drw_plan() saw it; moved on by plan->bytes
 * @plan: from drw_plan(), with plan->sgl
 * @list: one page, or a small block if drw_list_bytes() fits in it; unused for one segment
 * @dptr: the command's data pointer
 *
 * Return: data descriptors written.
 */
u32 drw_fill_sgl(struct drw_iter *it, const struct drw_plan *plan,
		 const struct drw_list *list, union drw_dptr *dptr)
{
	struct drw_sgl_desc *desc = plan->entries > 1 ? list->virt[0] : &dptr->sgl;
	u64 addr, len, start = 0, end = 0;
	u32 bytes, n = 0;

	for (bytes = plan->bytes; bytes; bytes -= len) {
		len = drw_iter_next(it, bytes, &addr);
		if (!n || addr != end) {
			n++;
			start = addr;
		}
		end = addr + len;
		desc[n - 1] = (struct drw_sgl_desc) {
			.addr = cpu_to_le64(start),
			.length = cpu_to_le32(end - start),
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
