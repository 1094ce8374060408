// SPDX-License-Identifier: GPL-2.0-only
/*
 * command.c - plans and builds commands as io.c does, and checks all that can be checked.
 *
 * List memory is what drw_list_alloc() in nvme/controller.c gives: one small block, here in
 * any place of a page, or pages. Each page lies between pages that cannot be accessed, all
 * of a page that was not given is poisoned for the address sanitizer, and what is given
 * holds rubbish. On the bus the pages are apart.
 */
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "command.h"
#include "controller.h"

#define RUBBISH		0xdb

/* Pages 0 to DRW_LIST_PAGES - 1 for pages, the last one for small blocks. */
static u8 *arena[DRW_LIST_PAGES + 1];
static u8 fetched[DRW_LIST_PAGES][DRW_PAGE_BYTES];
static struct ctl_region regions[DRW_LIST_PAGES];
static unsigned int nr_regions;
static u64 got[DRW_MAX_CMD_BYTES];

static void arena_make(void)
{
	const size_t n = 2 * COUNT(arena) + 1;
	u8 *p = mmap(NULL, n * DRW_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (p == MAP_FAILED)
		abort();
	for (i = 0; i < COUNT(arena); i++) {
		arena[i] = p + (2 * i + 1) * DRW_PAGE_BYTES;
		if (mprotect(arena[i], DRW_PAGE_BYTES, PROT_READ | PROT_WRITE))
			abort();
		ASAN_POISON_MEMORY_REGION(arena[i], DRW_PAGE_BYTES);
	}
}

static u64 region_add(void *virt, u32 len, u64 bus)
{
	ASAN_UNPOISON_MEMORY_REGION(virt, len);
	memset(virt, RUBBISH, len);
	memset(fetched[nr_regions], 0, len);
	regions[nr_regions] = (struct ctl_region) {
		.bus = bus,
		.virt = virt,
		.fetched = fetched[nr_regions],
		.len = len,
	};
	nr_regions++;
	return bus;
}

static void list_alloc(const struct drw_plan *plan, struct drw_list *list, struct dice *d)
{
	u32 bytes = drw_list_bytes(plan), pages = drw_list_pages(plan), i;
	u64 bus = dice_u64(d) >> 12 << DRW_PAGE_SHIFT;

	if (!arena[0])
		arena_make();
	nr_regions = 0;
	*list = (struct drw_list) { };
	CHECK_EQ(!pages, !bytes);
	if (!bytes)
		return;

	if (bytes <= DRW_SMALL_BYTES) {
		u32 at = dice_below(d, DRW_PAGE_BYTES / DRW_SMALL_BYTES) * DRW_SMALL_BYTES;

		list->virt[0] = arena[DRW_LIST_PAGES] + at;
		list->dma[0] = region_add(list->virt[0], DRW_SMALL_BYTES, bus + at);
		return;
	}
	CHECK(pages <= DRW_LIST_PAGES, "%u entries are said to take %u pages", plan->entries,
	      pages);
	/* The highest page's bus address is not followed by another page of the list. */
	for (i = 0; i < pages; i++) {
		list->virt[i] = arena[i];
		list->dma[i] = region_add(arena[i], DRW_PAGE_BYTES,
					  bus ^ (u64)(pages - i) << (DRW_PAGE_SHIFT + 1));
	}
}

/* A list has no unused pages, and nothing in it that no controller looks at. */
static void list_check_and_free(void)
{
	unsigned int i;
	u32 at;

	for (i = 0; i < nr_regions; i++) {
		const struct ctl_region *r = &regions[i];

		for (at = 0; at < r->len; at++)
			CHECK(r->fetched[at] || r->virt[at] == RUBBISH,
			      "byte %u of list block %u of %u was written for nobody", at, i,
			      nr_regions);
		CHECK(r->fetched[0], "list block %u of %u is not used", i, nr_regions);
	}
	while (nr_regions--)
		ASAN_POISON_MEMORY_REGION(regions[nr_regions].virt, regions[nr_regions].len);
	nr_regions = 0;
}

static void plan_check(const struct transfer *t, u64 off, const struct drw_limits *lim,
		       const struct drw_plan *plan, const struct ref_plan *ref)
{
	const u64 *want = t->want + off;
	u32 segs, entries;
	bool sgl;

	CHECK_EQ(plan->bytes, ref->prp_bytes > ref->sgl_bytes ? ref->prp_bytes : ref->sgl_bytes);
	CHECK(plan->bytes <= lim->max_bytes && plan->bytes % lim->lba_bytes == 0,
	      "a command of %u bytes", plan->bytes);

	segs = ref_segments(want, plan->bytes);
	if (ref->prp_bytes != ref->sgl_bytes)
		sgl = ref->sgl_bytes > ref->prp_bytes;
	else
		sgl = lim->sgl_threshold && plan->bytes / segs >= lim->sgl_threshold;
	CHECK(plan->sgl == sgl, "%s for %u bytes in %u segments, threshold %u",
	      plan->sgl ? "an SGL" : "PRPs", plan->bytes, segs, lim->sgl_threshold);

	entries = sgl ? segs : ref_prp_entries(want, plan->bytes);
	CHECK(plan->entries == entries, "%u entries are planned, it takes %u", plan->entries,
	      entries);
}

union command {
	union drw_dptr dptr;
	u8 raw[16];
};

/* What the same place looks like to one who must walk. */
struct walker {
	struct drw_extents x;
	struct drw_iter it;
};

static void walker_init(struct walker *w, const struct drw_iter *it)
{
	w->x = *it->x;
	w->x.paged = false;
	memcpy(&w->it, it, sizeof(w->it));
	w->it.x = &w->x;
}

static void fill(struct drw_iter *it, const struct drw_plan *plan, const struct drw_list *list,
		 union command *cmd)
{
	unsigned int i;

	memset(cmd, RUBBISH, sizeof(*cmd));
	for (i = 0; i < nr_regions; i++)
		memset((void *)regions[i].virt, RUBBISH, regions[i].len);
	if (plan->sgl)
		CHECK_EQ(drw_fill_sgl(it, plan, list, &cmd->dptr), plan->entries);
	else
		drw_fill_prp(it, plan, list, &cmd->dptr);
}

/* Build the command in both ways: equal to the last byte. */
static void fill_and_compare(struct drw_iter *it, struct walker *w, const struct drw_plan *plan,
			     const struct drw_list *list, union command *cmd)
{
	static u8 walked[DRW_LIST_PAGES][DRW_PAGE_BYTES];
	struct drw_plan walk = *plan;
	union command other;
	unsigned int i;

	walk.paged = false;
	fill(&w->it, &walk, list, &other);
	for (i = 0; i < nr_regions; i++)
		memcpy(walked[i], regions[i].virt, regions[i].len);
	fill(it, plan, list, cmd);
	CHECK(!memcmp(cmd, &other, sizeof(other)), "data pointers differ without a walk");
	for (i = 0; i < nr_regions; i++)
		CHECK(!memcmp(walked[i], regions[i].virt, regions[i].len),
		      "list block %u differs without a walk", i);
}

bool command_check(const struct transfer *t, u64 off, u64 left, const struct drw_limits *lim,
		   struct drw_iter *it, struct drw_plan *plan, struct dice *d)
{
	u32 n = left < lim->max_bytes ? left : lim->max_bytes, i;
	struct ctl ctl = { .regions = regions, .got = got };
	struct ref_plan ref = ref_plan(t->want + off, n, lim);
	struct drw_plan walked = { };
	struct drw_iter before;
	struct drw_list list;
	union command cmd;
	struct walker w;
	bool sound;
	int ret;

	walker_init(&w, it);
	memcpy(&before, it, sizeof(before));
	ret = drw_plan(it, left, lim, plan);
	CHECK(!memcmp(&before, it, sizeof(before)), "drw_plan() moved the iterator");
	CHECK_EQ(-drw_plan(&w.it, left, lim, &walked), -ret);
	if (ret) {
		CHECK_EQ(-ret, EDOM);
		CHECK(!ref.prp_bytes && !ref.sgl_bytes, "EDOM, but PRPs can do %u, an SGL %u bytes",
		      ref.prp_bytes, ref.sgl_bytes);
		return false;
	}
	plan_check(t, off, lim, plan, &ref);
	CHECK_EQ(walked.paged, false);
	CHECK_EQ(walked.sgl, plan->sgl);
	CHECK_EQ(walked.bytes, plan->bytes);
	CHECK_EQ(walked.entries, plan->entries);

	list_alloc(plan, &list, d);
	fill_and_compare(it, &w, plan, &list, &cmd);

	ctl.nr_regions = nr_regions;
	ctl.sgl_dwords = lim->sgl == DRW_SGL_DWORD;
	ctl.bytes = plan->bytes;
	sound = plan->sgl ? ctl_walk_sgl(&ctl, cmd.raw) : ctl_walk_prp(&ctl, cmd.raw);
	CHECK(sound, "the controller refuses %s of %u bytes: %s", plan->sgl ? "an SGL" : "PRPs",
	      plan->bytes, ctl.why);
	for (i = 0; i < plan->bytes; i++)
		CHECK(got[i] == t->want[off + i], "byte %u of %u goes to %#llx, not %#llx", i,
		      plan->bytes, (unsigned long long)got[i],
		      (unsigned long long)t->want[off + i]);
	CHECK_EQ(ctl.entries, plan->entries);
	list_check_and_free();
	transfer_check_iter(t, it, off + plan->bytes);
	transfer_check_iter(t, &w.it, off + plan->bytes);
	return true;
}

/* As drw_io_issue(): skip what is done, then command after command. */
u64 transfer_check(const struct transfer *t, u64 base, u64 len, const struct drw_limits *lim,
		   struct dice *d)
{
	struct drw_plan plan;
	struct drw_iter it;
	u64 off = base;

	transfer_iter(t, &it);
	if (base)
		drw_iter_skip(&it, base);
	transfer_check_iter(t, &it, base);
	while (off < len) {
		if (!command_check(t, off, len - off, lim, &it, &plan, d))
			break;
		off += plan.bytes;
	}
	return off;
}
