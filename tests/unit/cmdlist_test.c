// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdlist_test.c - plans, PRP lists and SGLs at their edges.
 *
 * Each command is walked by the controller of controller.h and compared with one address
 * per byte, see command.h; so a test states the case, and what is particular to it.
 */
#include <stdio.h>

#include "command.h"

static struct layout layout;
static struct transfer transfer;
static struct dice dice;

static const struct drw_limits no_sgl = {
	.max_bytes = DRW_MAX_CMD_BYTES,
	.lba_bytes = 512,
	.max_segs = 127,
	.sgl_threshold = 32 * KiB,
	.sgl = DRW_SGL_NONE,
};
static const struct drw_limits dwords = {
	.max_bytes = DRW_MAX_CMD_BYTES,
	.lba_bytes = 512,
	.max_segs = 127,
	.sgl_threshold = 32 * KiB,
	.sgl = DRW_SGL_DWORD,
};
static const struct drw_limits bytes = {
	.max_bytes = DRW_MAX_CMD_BYTES,
	.lba_bytes = 512,
	.max_segs = 127,
	.sgl_threshold = 32 * KiB,
	.sgl = DRW_SGL_BYTE,
};

/* A buffer of chunks, each at an address of its own: { addr, len }, ended by len 0. */
static void buffer(const struct chunk *chunks)
{
	layout_begin(&layout);
	for (; chunks->len; chunks++)
		layout_add(&layout, chunks->addr, chunks->len);
	layout_end(&layout);
	transfer_all(&transfer, &layout);
}

#define BUFFER(...)	buffer((const struct chunk[]) { __VA_ARGS__, { 0, 0 } })

/* @nr pages, no two of them consecutive; the first begins at @offset in its page. */
static void scattered_pages(u32 nr, u32 offset)
{
	u32 i;

	layout_begin(&layout);
	for (i = 0; i < nr; i++)
		layout_add(&layout, 0x100000000ULL - i * 0x2000ULL + (i ? 0 : offset),
			   DRW_PAGE_BYTES - (i ? 0 : offset));
	layout_end(&layout);
}

/* The first command of the transfer from @off on; what is planned comes back. */
static struct drw_plan first_at(u64 off, u64 left, const struct drw_limits *lim)
{
	struct drw_plan plan = { };
	struct drw_iter it;

	transfer_iter(&transfer, &it);
	drw_iter_skip(&it, off);
	if (!command_check(&transfer, off, left, lim, &it, &plan, &dice))
		plan = (struct drw_plan) { };
	return plan;
}

static struct drw_plan first(const struct drw_limits *lim)
{
	return first_at(0, transfer.bytes, lim);
}

static void whole_transfer(const struct drw_limits *lim)
{
	CHECK_EQ(transfer_check(&transfer, 0, transfer.bytes, lim, &dice), transfer.bytes);
}

static void expect_prps(struct drw_plan plan, u32 len, u32 entries)
{
	CHECK_EQ(plan.sgl, false);
	CHECK_EQ(plan.bytes, len);
	CHECK_EQ(plan.entries, entries);
}

static void expect_sgl(struct drw_plan plan, u32 len, u32 entries)
{
	CHECK_EQ(plan.sgl, true);
	CHECK_EQ(plan.bytes, len);
	CHECK_EQ(plan.entries, entries);
}

static void expect_edom(struct drw_plan plan)
{
	CHECK_EQ(plan.bytes, 0);
}

static void one_page_takes_prp1_alone(void)
{
	BUFFER({ 0x10000, 512 });
	expect_prps(first(&no_sgl), 512, 1);
	BUFFER({ 0x10000, 4096 });
	expect_prps(first(&no_sgl), 4096, 1);
	BUFFER({ 0x10e00, 512 });
	expect_prps(first(&no_sgl), 512, 1);
}

static void two_pages_take_prp2_and_no_list(void)
{
	BUFFER({ 0x10e04, 512 });
	expect_prps(first(&no_sgl), 512, 2);
	BUFFER({ 0x10ffc, 4096 });
	expect_prps(first(&no_sgl), 4096, 2);
	BUFFER({ 0x10000, 8192 });
	expect_prps(first(&no_sgl), 8192, 2);
	BUFFER({ 0x10000, 4096 }, { 0, 4096 });
	expect_prps(first(&no_sgl), 8192, 2);
}

static void three_pages_take_a_list(void)
{
	BUFFER({ 0x10ffc, 4096 + 512 });
	expect_prps(first(&no_sgl), 4096 + 512, 3);
	BUFFER({ 0x10000, 4096 }, { 0x50000, 4096 }, { 0, 4096 });
	expect_prps(first(&no_sgl), 3 * 4096, 3);
}

/* Pieces and ranges that end within a page, and go on at the consecutive address. */
static void what_goes_on_within_a_page_shares_its_entry(void)
{
	static const u32 cut[] = { 1, 3, 4, 511, 512, 2048, 4095, 4096, 4097, 5000, 8191 };
	u32 i;

	for (i = 0; i < COUNT(cut); i++) {
		check_context("cut after %u", cut[i]);
		BUFFER({ 0x10000, cut[i] }, { 0x10000 + cut[i], 3 * 4096 - cut[i] });
		CHECK_EQ(layout.x.nr, 1);
		expect_prps(first(&no_sgl), 3 * 4096, 3);

		transfer_begin(&transfer, &layout);
		transfer_add(&transfer, 0, cut[i]);
		transfer_add(&transfer, cut[i], 1);
		transfer_add(&transfer, cut[i] + 1, 3 * 4096 - cut[i] - 1);
		transfer_end(&transfer);
		expect_prps(first(&no_sgl), 3 * 4096, 3);
		expect_sgl(first(&(struct drw_limits) { .max_bytes = MiB, .lba_bytes = 512,
			   .max_segs = 1, .sgl_threshold = 1, .sgl = DRW_SGL_DWORD }),
			   3 * 4096, 1);
	}
}

/* The same page once more, and pages whose addresses are consecutive by chance. */
static void a_page_can_come_again(void)
{
	BUFFER({ 0x10000, 4096 }, { 0x20000, 4096 }, { 0x30000, 4096 });
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 0, 4096);
	transfer_add(&transfer, 0, 4096);
	transfer_add(&transfer, 8192, 4096);
	transfer_add(&transfer, 4096, 4096);
	transfer_end(&transfer);
	expect_prps(first(&no_sgl), 4 * 4096, 4);

	BUFFER({ 0x10000, 4096 }, { 0x20000, 4096 }, { 0x11000, 4096 });
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 0, 4096);
	transfer_add(&transfer, 8192, 4096);
	transfer_add(&transfer, 4096, 4096);
	transfer_end(&transfer);
	expect_prps(first(&no_sgl), 3 * 4096, 3);
	expect_sgl(first(&(struct drw_limits) { .max_bytes = MiB, .lba_bytes = 512,
		   .max_segs = 2, .sgl_threshold = 6144, .sgl = DRW_SGL_DWORD }), 3 * 4096, 2);
}

/* By the rule itself: entries in a page, one less if a link is needed. */
static u32 pages_slowly(u32 entries)
{
	u32 pages = 0;

	while (entries) {
		pages++;
		if (entries <= 512)
			break;
		entries -= 511;
	}
	return pages;
}

static void list_sizes_are_right_for_every_number_of_entries(void)
{
	struct drw_plan plan = { };
	u32 n;

	for (n = 1; n <= 2049; n++) {
		plan.entries = n;
		CHECK_EQ(drw_list_bytes(&plan), n <= 2 ? 0 : (n - 1) * 8);
		CHECK_EQ(drw_list_pages(&plan), n <= 2 ? 0 : pages_slowly(n - 1));
	}
	CHECK_EQ(pages_slowly(2048), DRW_LIST_PAGES);

	plan.sgl = true;
	for (n = 1; n <= DRW_SGLS_PER_PAGE; n++) {
		plan.entries = n;
		CHECK_EQ(drw_list_bytes(&plan), n == 1 ? 0 : n * 16);
		CHECK_EQ(drw_list_pages(&plan), n == 1 ? 0 : 1);
	}
}

/* Of a list: a small block, the last entry of each page, one less, one more. */
static void prp_lists_are_chained_where_a_page_ends(void)
{
	static const u32 list[] = { 2, 63, 64, 65, 510, 511, 512, 513, 1021, 1022, 1023, 1024,
				    1533, 1534, 1535, 2043, 2044, 2045, 2046, 2047 };
	u32 i, offset;

	for (i = 0; i < COUNT(list); i++) {
		check_context("%u entries in the list", list[i]);
		offset = i % 2 ? 0 : 512;
		scattered_pages(list[i] + 1, offset);
		transfer_all(&transfer, &layout);
		expect_prps(first(&no_sgl), (list[i] + 1) * 4096 - offset, list[i] + 1);
	}
}

static void small_blocks_can_be_anywhere_in_a_page(void)
{
	/* As many entries as fit: in a page's last block the last one ends the page. */
	const u32 prps = DRW_SMALL_BYTES / 8 + 1, segs = DRW_SMALL_BYTES / 16;
	const struct drw_limits sgl = {
		.max_bytes = segs * 4096,
		.lba_bytes = 4096,
		.max_segs = segs,
		.sgl_threshold = 4096,
		.sgl = DRW_SGL_DWORD,
	};
	u32 i;

	scattered_pages(prps, 0);
	transfer_all(&transfer, &layout);
	for (i = 0; i < 64; i++) {
		expect_prps(first(&no_sgl), prps * 4096, prps);
		expect_sgl(first(&sgl), segs * 4096, segs);
	}
}

static void the_largest_command_takes_2049_entries_in_five_pages(void)
{
	struct drw_plan plan;

	scattered_pages(2049, 2048);
	transfer_all(&transfer, &layout);
	plan = first_at(0, DRW_MAX_CMD_BYTES, &no_sgl);
	expect_prps(plan, DRW_MAX_CMD_BYTES, 2049);
	CHECK_EQ(drw_list_pages(&plan), 5);
}

static void a_transfer_above_the_limit_is_cut_there(void)
{
	struct drw_limits lim = bytes;

	BUFFER({ 0x10000, 9 * MiB });
	expect_sgl(first(&lim), DRW_MAX_CMD_BYTES, 1);
	lim.sgl = DRW_SGL_NONE;
	expect_prps(first(&lim), DRW_MAX_CMD_BYTES, 2048);
	lim.max_bytes = 128 * KiB;
	expect_prps(first(&lim), 128 * KiB, 32);
	lim.max_bytes = lim.lba_bytes;
	expect_prps(first(&lim), 512, 1);
}

static void a_command_is_a_whole_number_of_lbas(void)
{
	static const u32 lbas[] = { 512, 4096, 65536 };
	u32 i;

	for (i = 0; i < COUNT(lbas); i++) {
		struct drw_limits lim = no_sgl;

		check_context("LBA of %u", lbas[i]);
		lim.lba_bytes = lbas[i];
		/* PRPs can do all but the last LBA. */
		BUFFER({ 0x12000, 3 * 65536 - 4 }, { 0x8000000, 4 });
		expect_prps(first(&lim), 3 * 65536 - lbas[i], (3 * 65536 - lbas[i] + 4095) / 4096);
		expect_edom(first_at(3 * 65536 - lbas[i], lbas[i], &lim));
	}
}

static void an_lba_larger_than_a_page_can_be_scattered(void)
{
	struct drw_limits lim = no_sgl;

	lim.lba_bytes = 65536;
	lim.max_bytes = 65536;
	scattered_pages(32, 0);
	transfer_all(&transfer, &layout);
	expect_prps(first(&lim), 65536, 16);
	whole_transfer(&lim);

	lim.sgl = DRW_SGL_DWORD;
	lim.sgl_threshold = 1;
	lim.max_segs = 15;
	expect_prps(first(&lim), 65536, 16);
	lim.max_segs = 16;
	expect_sgl(first(&lim), 65536, 16);
}

/* As the NVMe driver: bytes by segments, compared with the parameter; 0 is never. */
static void sgls_are_chosen_from_the_threshold_on(void)
{
	struct drw_limits lim = dwords;

	BUFFER({ 0x10000, 24576 }, { 0x20000, 40960 });
	lim.sgl_threshold = 32768;
	expect_sgl(first(&lim), 65536, 2);
	lim.sgl_threshold = 32769;
	expect_prps(first(&lim), 65536, 16);
	lim.sgl_threshold = 1;
	expect_sgl(first(&lim), 65536, 2);
	lim.sgl_threshold = U32_MAX;
	expect_prps(first(&lim), 65536, 16);
	lim.sgl_threshold = 0;
	expect_prps(first(&lim), 65536, 16);

	BUFFER({ 0x10000, 32768 });
	lim.sgl_threshold = 32768;
	expect_sgl(first(&lim), 32768, 1);
	lim.max_bytes = 32768 - 512;
	expect_prps(first(&lim), 32768 - 512, 8);
}

/* What lies behind the last whole LBA has no say in it. */
static void the_average_is_that_of_the_command_alone(void)
{
	struct drw_limits lim = dwords;

	lim.sgl_threshold = 4096;
	lim.lba_bytes = 4096;
	BUFFER({ 0x10000, 4096 }, { 0x20000, 1024 }, { 0x30002, 3072 });
	expect_sgl(first(&lim), 4096, 1);
}

static void sgls_are_used_where_only_they_can_do_it(void)
{
	/* A segment that ends within a page. */
	BUFFER({ 0x10000, 512 }, { 0x20000, 512 });
	expect_prps(first(&no_sgl), 512, 1);
	expect_sgl(first(&dwords), 1024, 2);
	expect_sgl(first(&bytes), 1024, 2);

	/* Within an LBA. */
	BUFFER({ 0x10004, 4 }, { 0x20040, 508 });
	expect_edom(first(&no_sgl));
	expect_sgl(first(&dwords), 512, 2);

	/* Bytes. */
	BUFFER({ 0x10001, 512 });
	expect_edom(first(&no_sgl));
	expect_edom(first(&dwords));
	expect_sgl(first(&bytes), 512, 1);
	BUFFER({ 0x10000, 511 }, { 0x20000, 1 });
	expect_edom(first(&no_sgl));
	expect_edom(first(&dwords));
	expect_sgl(first(&bytes), 512, 2);
}

static void prps_are_used_where_only_they_can_do_it(void)
{
	struct drw_limits lim = bytes;

	lim.sgl_threshold = 1;
	scattered_pages(200, 0);
	transfer_all(&transfer, &layout);
	expect_prps(first(&lim), 200 * 4096, 200);
	lim.max_segs = 200;
	expect_sgl(first(&lim), 200 * 4096, 200);
}

/* Whichever moves more, even if the threshold is for the other one. */
static void the_form_that_takes_more_is_used(void)
{
	struct drw_limits lim = dwords;

	lim.max_segs = 3;
	lim.sgl_threshold = 1;
	BUFFER({ 0x10000, 4096 }, { 0x20000, 4096 }, { 0x30000, 4096 }, { 0x40000, 4096 },
	       { 0x50000, 512 }, { 0x60000, 512 });
	expect_prps(first(&lim), 4 * 4096 + 512, 5);
	lim.max_segs = 6;
	lim.sgl_threshold = U32_MAX;
	expect_sgl(first(&lim), 4 * 4096 + 1024, 6);
}

static void an_sgl_has_no_more_segments_than_the_limit(void)
{
	static const u32 limits[] = { 1, 2, 16, 17, 127, 255, 256 };
	struct drw_limits lim = bytes;
	u32 i, n;

	layout_begin(&layout);
	for (i = 0; i < 300; i++)
		layout_add(&layout, 0x10000 + i * 0x10001ULL, 512);
	layout_end(&layout);
	transfer_all(&transfer, &layout);
	for (i = 0; i < COUNT(limits); i++) {
		n = lim.max_segs = limits[i];
		check_context("%u segments", n);
		/* The first one PRPs can do, too. */
		if (n == 1)
			expect_prps(first(&lim), 512, 1);
		else
			expect_sgl(first(&lim), n * 512, n);
		whole_transfer(&lim);
	}
}

static void an_lba_in_more_segments_than_the_limit_is_refused(void)
{
	struct drw_limits lim = bytes;
	u32 i;

	layout_begin(&layout);
	for (i = 0; i < 256; i++)
		layout_add(&layout, 0x10000 + i * 0x10000ULL, 2);
	layout_end(&layout);
	transfer_all(&transfer, &layout);
	lim.max_segs = 255;
	expect_edom(first(&lim));
	lim.max_segs = 256;
	expect_sgl(first(&lim), 512, 256);
}

/* Odd ranges and pieces that together are whole dwords. */
static void dwords_are_those_of_segments_not_of_pieces(void)
{
	BUFFER({ 0x10000, 4 }, { 0x20000, 508 });
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 0, 1);
	transfer_add(&transfer, 1, 3);
	transfer_add(&transfer, 4, 3);
	transfer_add(&transfer, 7, 505);
	transfer_end(&transfer);
	expect_edom(first(&no_sgl));
	expect_sgl(first(&dwords), 512, 2);
}

/* An odd end after the last whole LBA does not matter. */
static void dwords_are_those_of_the_command_not_of_what_follows(void)
{
	BUFFER({ 0x10000, 4 }, { 0x20000, 511 }, { 0x30000, 509 });
	expect_sgl(first(&dwords), 512, 2);
	expect_edom(first_at(512, 512, &dwords));
	expect_sgl(first(&bytes), 1024, 3);
}

static void an_sgl_in_use_ends_with_the_command(void)
{
	struct drw_limits lim = bytes;

	/* Planned for one segment, with more of them behind the last whole LBA. */
	lim.lba_bytes = 4096;
	lim.sgl_threshold = 1;
	BUFFER({ 0x10001, 4096 + 100 }, { 0x20000, 3996 - 2 }, { 0x30000, 2 });
	lim.max_segs = 2;
	expect_sgl(first(&lim), 4096, 1);
	lim.max_segs = 3;
	expect_sgl(first(&lim), 8192, 3);
}

static void buffers_at_both_ends_of_addresses_work(void)
{
	const u64 top = LAYOUT_TOP;

	BUFFER({ 0, 3 * 4096 });
	expect_prps(first(&no_sgl), 3 * 4096, 3);
	BUFFER({ top - 512, 512 });
	expect_prps(first(&no_sgl), 512, 1);
	expect_sgl(first(&(struct drw_limits) { .max_bytes = 4096, .lba_bytes = 512,
		   .max_segs = 1, .sgl_threshold = 1, .sgl = DRW_SGL_BYTE }), 512, 1);
	BUFFER({ top - 3 * 4096 + 8, 3 * 4096 - 8 }, { 0, 8 });
	expect_prps(first(&no_sgl), 3 * 4096, 4);
	BUFFER({ top - 4096, 4096 }, { 0, 4096 }, { top - 8192, 4096 });
	expect_prps(first(&no_sgl), 3 * 4096, 3);
}

static void a_transfer_goes_on_after_any_number_of_lbas(void)
{
	u64 off;

	BUFFER({ 0x10204, 3580 }, { 0x20000, 8192 }, { 0x40000, 4612 });
	for (off = 0; off < layout.bytes; off += 512) {
		check_context("after %llu", (unsigned long long)off);
		CHECK_EQ(transfer_check(&transfer, off, layout.bytes, &no_sgl, &dice),
			 layout.bytes);
	}
}

/* @len bytes of the buffer from @off on, between pads of whole LBAs in all. */
static void padded(u64 head, u32 head_len, u64 off, u64 len, u64 tail, u32 tail_len)
{
	transfer_begin(&transfer, &layout);
	transfer_head(&transfer, head, head_len);
	transfer_add(&transfer, off, len);
	transfer_tail(&transfer, tail, tail_len);
	transfer_end(&transfer);
}

/* The head ends a page, where the piece begins one; or the other way round at the tail. */
static void pads_in_pages_of_their_own_work_with_prps(void)
{
	struct drw_limits lim = no_sgl;

	lim.lba_bytes = 4096;
	BUFFER({ 0x10000, 4096 }, { 0x20000, 4096 });
	padded(0x90ff0, 16, 0, 8192 - 16, 0, 0);
	expect_prps(first(&lim), 8192, 3);
	padded(0, 0, 16, 8192 - 16, 0x90000, 16);
	expect_prps(first(&lim), 8192, 3);
	padded(0x90e00, 512, 0, 8192, 0xa0000, 4096 - 512);
	expect_prps(first(&lim), 8192 + 4096, 4);
	/* No longer than an LBA, but longer than a page. */
	lim.lba_bytes = 65536;
	padded(0x90010, 32752, 0, 8192, 0xa0000, 65536 - 32752 - 8192);
	expect_prps(first(&lim), 65536, 17);
	/* PRP1 may be anywhere in its page, in whole dwords. */
	padded(0x90ffe, 2, 0, 8192, 0xa0000, 65536 - 2 - 8192);
	expect_edom(first(&lim));
}

static void pads_within_a_page_need_sgls(void)
{
	BUFFER({ 0x10000, 4096 });
	padded(0x90000, 100, 0, 412, 0, 0);
	expect_edom(first(&no_sgl));
	expect_sgl(first(&dwords), 512, 2);
	padded(0, 0, 0, 412, 0x90000, 100);
	expect_edom(first(&no_sgl));
	expect_sgl(first(&dwords), 512, 2);
	padded(0x90000, 100, 200, 300, 0x90064, 112);
	expect_edom(first(&no_sgl));
	expect_sgl(first(&dwords), 512, 3);

	/* What is between them is whole LBAs, and does not help. */
	padded(0x90ff0, 16, 0, 1024, 0x90000, 496);
	expect_prps(first(&no_sgl), 1024, 2);
	expect_edom(first_at(1024, 512, &no_sgl));
	expect_sgl(first(&dwords), 1536, 3);
}

static void pads_of_odd_bytes_need_sgls_of_bytes(void)
{
	BUFFER({ 0x10000, 4096 });
	padded(0x90000, 1, 0, 511, 0, 0);
	expect_edom(first(&no_sgl));
	expect_edom(first(&dwords));
	expect_sgl(first(&bytes), 512, 2);
	padded(0x90000, 1, 7, 1, 0x90000, 510);
	expect_edom(first(&no_sgl));
	expect_edom(first(&dwords));
	expect_sgl(first(&bytes), 512, 3);
}

/* One page, one segment, whatever its parts are called. */
static void pads_at_consecutive_addresses_share_an_entry(void)
{
	struct drw_limits lim = bytes;

	lim.max_segs = 1;
	lim.sgl_threshold = 1;
	BUFFER({ 0x10800, 8192 });
	padded(0x10701, 255, 0, 512, 0x10a00, 257);
	expect_edom(first(&no_sgl));
	expect_sgl(first(&lim), 1024, 1);
	padded(0x10700, 256, 0, 512, 0x10a00, 256);
	expect_prps(first(&no_sgl), 1024, 1);
	expect_sgl(first(&lim), 1024, 1);
	padded(0x10700, 256, 0, 8192, 0x12800, 256);
	expect_prps(first(&no_sgl), 8192 + 512, 3);
	expect_sgl(first(&lim), 8192 + 512, 1);
	/* The same bytes as the piece. */
	padded(0x10800, 256, 0, 256, 0, 0);
	expect_sgl(first(&bytes), 512, 2);
}

static void a_padded_transfer_goes_on_after_any_number_of_lbas(void)
{
	static const struct { u32 head, tail; } pads[] = {
		{ 0, 1 }, { 1, 0 }, { 511, 511 }, { 4, 508 }, { 300, 17 },
	};
	u32 i;

	BUFFER({ 0x10204, 3580 }, { 0x20000, 8192 }, { 0x40000, 4612 });
	for (i = 0; i < COUNT(pads); i++) {
		u64 len = 15 * 512 - pads[i].head - pads[i].tail, off;

		padded(0x90000 - pads[i].head, pads[i].head, 3000, len, 0x90000, pads[i].tail);
		for (off = 0; off < transfer.bytes; off += 512) {
			check_context("pads of %u and %u, after %llu", pads[i].head, pads[i].tail,
				      (unsigned long long)off);
			CHECK_EQ(transfer_check(&transfer, off, transfer.bytes, &bytes, &dice),
				 transfer.bytes);
		}
	}
}

/* Not by chance: neither the walk of plans nor that of lists is taken. */
static void what_lies_in_one_piece_of_whole_pages_needs_no_walk(void)
{
	struct drw_limits lim = no_sgl;
	struct drw_plan plan;
	struct drw_iter it;
	u32 i;

	lim.max_bytes = 8192;
	scattered_pages(16, 0);
	transfer_all(&transfer, &layout);
	CHECK_EQ(first(&lim).paged, true);
	CHECK_EQ(first_at(4096 + 512, 8192, &lim).paged, true);
	scattered_pages(16, 512);
	transfer_all(&transfer, &layout);
	CHECK_EQ(first(&lim).paged, false);

	/* Commands that touch a pad walk, those between do not; nor do later pieces. */
	scattered_pages(16, 0);
	transfer_begin(&transfer, &layout);
	transfer_head(&transfer, 0x10000 - 512, 512);
	transfer_add(&transfer, 0, 4 * 8192 - 512);
	transfer_add(&transfer, 8192, 2 * 8192);
	transfer_add(&transfer, 8192, 8192);
	transfer_add(&transfer, 0, 8192 - 512);
	transfer_tail(&transfer, 0x20000, 512);
	transfer_end(&transfer);
	transfer_iter(&transfer, &it);
	lim = bytes;
	lim.max_bytes = 8192;
	for (i = 0; i < 8; i++) {
		CHECK(command_check(&transfer, i * 8192, (8 - i) * 8192, &lim, &it, &plan, &dice),
		      "command %u cannot be built", i);
		CHECK_EQ(plan.bytes, 8192);
		CHECK_EQ(plan.paged, i && i < 7);
	}
}

/* Extents of one page and of more, in all places of a chained list. */
static void extents_of_any_number_of_pages_fill_chained_lists(void)
{
	static const u32 sizes[][4] = {
		{ 1, 2 }, { 2, 1, 1 }, { 1, 1, 1, 300 }, { 511, 1 }, { 513 }, { 7, 5 }, { 600, 1 },
		{ 2048, 1 }, { 1, 2047 },
	};
	static const u32 offs[] = { 0, 4, 4092, 4096, 8192 - 512, 511 * 4096, 513 * 4096 - 4 };
	u32 i, n, k;

	for (i = 0; i < COUNT(sizes); i++) {
		u64 addr = 1ULL << 40;

		layout_begin(&layout);
		for (n = 0; layout.bytes < LAYOUT_BYTES; n = n < 3 && sizes[i][n + 1] ? n + 1 : 0) {
			u64 len = sizes[i][n] * 4096ULL;

			if (len > LAYOUT_BYTES - layout.bytes)
				len = LAYOUT_BYTES - layout.bytes;
			addr -= len + 4096;
			layout_add(&layout, addr, len);
		}
		layout_end(&layout);
		for (k = 0; k < COUNT(offs); k++) {
			check_context("sizes %u, offset %u", i, offs[k]);
			transfer_begin(&transfer, &layout);
			/* Up to the last byte of the buffer, in two commands. */
			transfer_add(&transfer, offs[k], LAYOUT_BYTES - offs[k]);
			transfer_end(&transfer);
			CHECK_EQ(transfer_check(&transfer, 0, transfer.bytes / 512 * 512, &no_sgl,
						&dice), transfer.bytes / 512 * 512);
		}
	}
}

/* Where PRPs cannot help, an SGL ends with the last LBA that its segments hold. */
static void sgls_of_whole_pages_at_odd_offsets_end_with_an_lba(void)
{
	struct drw_limits lim = bytes;

	lim.max_segs = 5;
	scattered_pages(300, 0);
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 4095, 128 * KiB);
	transfer_end(&transfer);
	expect_sgl(first(&lim), 4 * 4096, 5);
	lim.lba_bytes = 4096;
	expect_sgl(first(&lim), 4 * 4096, 5);
	lim.max_segs = 4;
	expect_sgl(first(&lim), 3 * 4096, 4);
	/* Its last segment has no whole LBA. */
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 1, 128 * KiB);
	transfer_end(&transfer);
	expect_sgl(first(&lim), 3 * 4096, 4);
	/* One byte too far. */
	lim.max_bytes = 4096;
	lim.max_segs = 1;
	expect_edom(first(&lim));
	lim.max_segs = 2;
	expect_sgl(first(&lim), 4096, 2);
	lim.max_bytes = DRW_MAX_CMD_BYTES;
	lim.lba_bytes = 65536;
	lim.max_segs = 16;
	expect_edom(first(&lim));
	lim.max_segs = 17;
	expect_sgl(first(&lim), 65536, 17);
	lim.sgl = DRW_SGL_DWORD;
	expect_edom(first(&lim));
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(one_page_takes_prp1_alone),
		TEST(two_pages_take_prp2_and_no_list),
		TEST(three_pages_take_a_list),
		TEST(what_goes_on_within_a_page_shares_its_entry),
		TEST(a_page_can_come_again),
		TEST(list_sizes_are_right_for_every_number_of_entries),
		TEST(prp_lists_are_chained_where_a_page_ends),
		TEST(small_blocks_can_be_anywhere_in_a_page),
		TEST(the_largest_command_takes_2049_entries_in_five_pages),
		TEST(a_transfer_above_the_limit_is_cut_there),
		TEST(a_command_is_a_whole_number_of_lbas),
		TEST(an_lba_larger_than_a_page_can_be_scattered),
		TEST(sgls_are_chosen_from_the_threshold_on),
		TEST(the_average_is_that_of_the_command_alone),
		TEST(sgls_are_used_where_only_they_can_do_it),
		TEST(prps_are_used_where_only_they_can_do_it),
		TEST(the_form_that_takes_more_is_used),
		TEST(an_sgl_has_no_more_segments_than_the_limit),
		TEST(an_lba_in_more_segments_than_the_limit_is_refused),
		TEST(dwords_are_those_of_segments_not_of_pieces),
		TEST(dwords_are_those_of_the_command_not_of_what_follows),
		TEST(an_sgl_in_use_ends_with_the_command),
		TEST(buffers_at_both_ends_of_addresses_work),
		TEST(a_transfer_goes_on_after_any_number_of_lbas),
		TEST(pads_in_pages_of_their_own_work_with_prps),
		TEST(pads_within_a_page_need_sgls),
		TEST(pads_of_odd_bytes_need_sgls_of_bytes),
		TEST(pads_at_consecutive_addresses_share_an_entry),
		TEST(a_padded_transfer_goes_on_after_any_number_of_lbas),
		TEST(what_lies_in_one_piece_of_whole_pages_needs_no_walk),
		TEST(extents_of_any_number_of_pages_fill_chained_lists),
		TEST(sgls_of_whole_pages_at_odd_offsets_end_with_an_lba),
	};

	return run_tests(tests, COUNT(tests), argc, argv);
}
