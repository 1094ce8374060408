// SPDX-License-Identifier: GPL-2.0-only
/*
 * extents_test.c - the table of extents and the iterator, against one address per byte.
 */
#include <stdio.h>

#include "layout.h"

#define RANDOM_LAYOUTS	150

static struct layout layout;
static struct transfer transfer;
static struct dice dice;

static void consecutive_ranges_merge(void)
{
	struct drw_extent ext[2];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };

	CHECK_EQ(drw_extents_add(&b, 0x10000, 0x1000), 0);
	CHECK_EQ(drw_extents_add(&b, 0x11000, 0x123), 0);
	CHECK_EQ(drw_extents_add(&b, 0x11123, 1), 0);
	CHECK_EQ(b.nr, 1);
	CHECK_EQ(b.bytes, 0x1124);
	CHECK_EQ(ext[0].buf_off, 0);
	CHECK_EQ(ext[0].addr, 0x10000);
}

static void ranges_with_a_gap_or_backwards_stay_apart(void)
{
	struct drw_extent ext[4];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };
	struct drw_extents x;

	CHECK_EQ(drw_extents_add(&b, 0x10000, 0x1000), 0);
	CHECK_EQ(drw_extents_add(&b, 0x11001, 0x1000), 0);
	CHECK_EQ(drw_extents_add(&b, 0x10001, 0x1000), 0);
	CHECK_EQ(drw_extents_add(&b, 0x10001, 0x1000), 0);
	CHECK_EQ(b.nr, 4);
	x = (struct drw_extents) { .ext = ext, .nr = b.nr, .bytes = b.bytes };
	CHECK_EQ(ext[1].buf_off, 0x1000);
	CHECK_EQ(ext[3].buf_off, 0x3000);
	CHECK_EQ(drw_extent_len(&x, 0), 0x1000);
	CHECK_EQ(drw_extent_len(&x, 3), 0x1000);
	CHECK_EQ(drw_extents_find(&x, 0xfff), 0);
	CHECK_EQ(drw_extents_find(&x, 0x1000), 1);
	CHECK_EQ(drw_extents_find(&x, 0x3fff), 3);
}

static void a_first_range_at_address_0_is_an_extent(void)
{
	struct drw_extent ext[1];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };

	CHECK_EQ(drw_extents_add(&b, 0, 0x1000), 0);
	CHECK_EQ(b.nr, 1);
	CHECK_EQ(ext[0].addr, 0);
}

static void empty_ranges_add_nothing(void)
{
	struct drw_extent ext[1];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };

	CHECK_EQ(drw_extents_add(&b, 0x5000, 0), 0);
	CHECK_EQ(b.nr, 0);
	CHECK_EQ(drw_extents_add(&b, 0x10000, 0x1000), 0);
	CHECK_EQ(drw_extents_add(&b, 0x5000, 0), 0);
	CHECK_EQ(drw_extents_add(&b, ~0ULL, 0), 0);
	/* Nor do they break what they stand between. */
	CHECK_EQ(drw_extents_add(&b, 0x11000, 0x1000), 0);
	CHECK_EQ(b.nr, 1);
	CHECK_EQ(b.bytes, 0x2000);
}

/* An error leaves the builder as it was. */
static void refused(struct drw_extents_builder *b, u64 addr, u64 len, int error)
{
	struct drw_extents_builder before;

	memcpy(&before, b, sizeof(before));
	CHECK_EQ(-drw_extents_add(b, addr, len), error);
	CHECK(!memcmp(&before, b, sizeof(before)), "a refused range changed the builder");
}

static void addresses_that_wrap_are_refused(void)
{
	struct drw_extent ext[4];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };

	refused(&b, ~0ULL, 1, EOVERFLOW);
	refused(&b, ~0ULL, 2, EOVERFLOW);
	refused(&b, 2, ~0ULL, EOVERFLOW);
	refused(&b, 1ULL << 63, 1ULL << 63, EOVERFLOW);
	CHECK_EQ(drw_extents_add(&b, 0x1000, 0x1000), 0);
	refused(&b, ~0ULL - 0xfff, 0x1000, EOVERFLOW);
}

/* So that whoever rounds an address up to a page does not get 0. */
static void the_last_page_of_addresses_is_refused(void)
{
	struct drw_extent ext[4];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };

	refused(&b, LAYOUT_TOP, 1, EOVERFLOW);
	refused(&b, LAYOUT_TOP, 0xfff, EOVERFLOW);
	refused(&b, LAYOUT_TOP - 1, 2, EOVERFLOW);
	CHECK_EQ(drw_extents_add(&b, LAYOUT_TOP - 1, 1), 0);
	refused(&b, LAYOUT_TOP, 1, EOVERFLOW);
	CHECK_EQ(b.nr, 1);
}

static void sizes_that_wrap_are_refused(void)
{
	struct drw_extents_builder b = { };

	CHECK_EQ(drw_extents_add(&b, 0, LAYOUT_TOP), 0);
	refused(&b, 0, 0x1000, EOVERFLOW);
	refused(&b, 0, LAYOUT_TOP, EOVERFLOW);
	CHECK_EQ(drw_extents_add(&b, 0, 0xfff), 0);
	CHECK_EQ(b.bytes, ~0ULL);
	refused(&b, 0x1000, 1, EOVERFLOW);
}

static void more_extents_than_can_be_counted_are_refused(void)
{
	struct drw_extents_builder b = { .nr = U32_MAX - 1, .bytes = 0x1000, .end = 0x1000 };

	CHECK_EQ(drw_extents_add(&b, 0x5000, 0x1000), 0);
	CHECK_EQ(b.nr, U32_MAX);
	refused(&b, 0x8000, 0x1000, EOVERFLOW);
	CHECK_EQ(drw_extents_add(&b, 0x6000, 0x1000), 0);
	CHECK_EQ(b.nr, U32_MAX);
}

static void a_full_table_takes_only_what_merges(void)
{
	struct drw_extent ext[1];
	struct drw_extents_builder b = { .ext = ext, .cap = COUNT(ext) };

	CHECK_EQ(drw_extents_add(&b, 0x1000, 0x1000), 0);
	refused(&b, 0x8000, 0x1000, ENOSPC);
	CHECK_EQ(drw_extents_add(&b, 0x2000, 0x1000), 0);
	CHECK_EQ(b.bytes, 0x2000);

	b = (struct drw_extents_builder) { .ext = ext, .cap = 0 };
	refused(&b, 0x1000, 0x1000, ENOSPC);
}

static void tables_of_random_layouts_hold_their_invariants_and_every_byte(void)
{
	int n;

	for (n = 0; n < RANDOM_LAYOUTS; n++) {
		const struct drw_extents *x = &layout.x;
		bool paged = true;
		u64 off, sum = 0;
		u32 i;

		dice = (struct dice) { .state = test_seed() + n };
		check_context("--seed %llu, layout %d", (unsigned long long)test_seed(), n);
		layout_random(&layout, &dice, 32 * KiB);

		CHECK_EQ(x->bytes, layout.bytes);
		CHECK_EQ(x->ext[0].buf_off, 0);
		for (i = 0; i < x->nr; i++) {
			u64 len = drw_extent_len(x, i);

			CHECK(len && len <= layout.bytes - sum, "extent %u has %#llx bytes", i,
			      (unsigned long long)len);
			CHECK_EQ(x->ext[i].buf_off, sum);
			sum += len;
			if (x->ext[i].buf_off % 4096 || x->ext[i].addr % 4096)
				paged = false;
			if (i)
				CHECK(x->ext[i].addr != layout.bus[x->ext[i].buf_off - 1] + 1,
				      "extent %u could be merged", i);
		}
		CHECK_EQ(sum, layout.bytes);
		CHECK_EQ(x->paged, paged);
		for (off = 0; off < layout.bytes; off++) {
			i = drw_extents_find(x, off);
			CHECK(i < x->nr && x->ext[i].buf_off <= off &&
			      off - x->ext[i].buf_off < drw_extent_len(x, i),
			      "byte %#llx is not in extent %u", (unsigned long long)off, i);
			CHECK_EQ(x->ext[i].addr + (off - x->ext[i].buf_off), layout.bus[off]);
		}
	}
}

static void a_contiguous_buffer_takes_one_extent_whatever_its_size(void)
{
	struct drw_extents_builder b = { };
	u64 addr;

	for (addr = 1ULL << 40; addr < 1ULL << 46; addr += 1ULL << 31)
		CHECK_EQ(drw_extents_add(&b, addr, 1ULL << 31), 0);
	CHECK_EQ(b.nr, 1);
	CHECK_EQ(b.bytes, (1ULL << 46) - (1ULL << 40));
}

/* Extents, not the exporter's ranges; and the last one may end anywhere. */
static void a_table_is_paged_if_every_extent_begins_a_page(void)
{
	static const struct {
		bool paged;
		struct chunk c[4];
	} cases[] = {
		{ true, { { 0x10000, 0x1000 }, { 0x20000, 0x1000 }, { 0, 0x2000 } } },
		{ true, { { 0x10000, 0x1000 }, { 0x20000, 0x123 } } },
		{ true, { { 0x10000, 0x123 }, { 0x10123, 0xedd }, { 0x20000, 0x1000 } } },
		{ true, { { 0x10000, 1 } } },
		{ false, { { 0x10001, 0x1000 } } },
		{ false, { { 0x10000, 0x1000 }, { 0x20800, 0x1000 } } },
		{ false, { { 0x10000, 0x800 }, { 0x20000, 0x1000 } } },
		{ false, { { 0x10000, 0x800 }, { 0x20000, 0x800 }, { 0x30000, 0x1000 } } },
	};
	u32 i, n;

	for (i = 0; i < COUNT(cases); i++) {
		check_context("case %u", i);
		layout_begin(&layout);
		for (n = 0; n < COUNT(cases[i].c) && cases[i].c[n].len; n++)
			layout_add(&layout, cases[i].c[n].addr, cases[i].c[n].len);
		layout_end(&layout);
		CHECK_EQ(layout.x.paged, cases[i].paged);
	}
}

static void pieces_must_lie_in_the_buffer(void)
{
	const u64 top = ~0ULL >> 1;
	static const u64 untouched = 0xdbdbdbdbdbdbdbdb;
	const struct {
		struct dmabuf_rw_piece pc[2];
		u32 nr;
		u64 bytes;
		int error;
		u64 total;
	} cases[] = {
		{ { { 0, 0 } }, 0, 0, 0, 0 },
		{ { { 0, 0 } }, 1, 0, 0, 0 },
		{ { { 1, 0 } }, 1, 0, ERANGE, 0 },
		{ { { 0, 4096 } }, 1, 4096, 0, 4096 },
		{ { { 0, 4097 } }, 1, 4096, ERANGE, 0 },
		{ { { 1, 4096 } }, 1, 4096, ERANGE, 0 },
		{ { { 4095, 1 } }, 1, 4096, 0, 1 },
		{ { { 4096, 0 } }, 1, 4096, 0, 0 },
		{ { { 4097, 0 } }, 1, 4096, ERANGE, 0 },
		{ { { 4096, 1 } }, 1, 4096, ERANGE, 0 },
		{ { { 0, 4096 }, { 0, 4096 } }, 2, 4096, 0, 8192 },
		{ { { 0, 4096 }, { 1, 4096 } }, 2, 4096, ERANGE, 0 },
		/* 63 bits, whatever the buffer's size. */
		{ { { 0, top } }, 1, top, 0, top },
		{ { { top, 0 } }, 1, top, 0, 0 },
		{ { { 0, top } }, 1, top - 1, ERANGE, 0 },
		{ { { 0, top + 1 } }, 1, ~0ULL, EOVERFLOW, 0 },
		{ { { top + 1, 0 } }, 1, ~0ULL, EOVERFLOW, 0 },
		{ { { top, 1 } }, 1, ~0ULL, EOVERFLOW, 0 },
		{ { { 1, ~0ULL } }, 1, ~0ULL, EOVERFLOW, 0 },
		{ { { ~0ULL, 1 } }, 1, ~0ULL, EOVERFLOW, 0 },
		{ { { ~0ULL, ~0ULL } }, 1, 4096, EOVERFLOW, 0 },
		{ { { 0, top }, { 0, 0 } }, 2, top, 0, top },
		{ { { 0, top }, { 0, 1 } }, 2, top, EOVERFLOW, 0 },
		{ { { 0, top }, { 0, top } }, 2, top, EOVERFLOW, 0 },
	};
	u32 i;

	for (i = 0; i < COUNT(cases); i++) {
		u64 total = untouched;

		check_context("case %u", i);
		CHECK_EQ(-drw_pieces_check(cases[i].pc, cases[i].nr, cases[i].bytes, &total),
			 cases[i].error);
		CHECK_EQ(total, cases[i].error ? untouched : cases[i].total);
	}
}

/* Runs of at most @max bytes give every byte once, are whole, and end for good. */
static void walk(u64 max)
{
	struct drw_iter it;
	u64 addr, len, off = 0, i;

	transfer_iter(&transfer, &it);
	while ((len = drw_iter_next(&it, max, &addr))) {
		CHECK(len <= max && len <= transfer.bytes - off, "a run of %#llx bytes",
		      (unsigned long long)len);
		for (i = 0; i < len; i++, off++)
			CHECK_EQ(addr + i, transfer.want[off]);
	}
	CHECK_EQ(off, transfer.bytes);
	CHECK_EQ(drw_iter_next(&it, max, &addr), 0);
}

static void iterators_give_every_byte_of_random_pieces_once(void)
{
	int n;

	for (n = 0; n < RANDOM_LAYOUTS; n++) {
		dice = (struct dice) { .state = test_seed() + n };
		check_context("--seed %llu, layout %d", (unsigned long long)test_seed(), n);
		layout_random(&layout, &dice, 16 * KiB);
		transfer_random(&transfer, &layout, &dice, dice_between(&dice, 1, 32 * KiB),
				512);
		walk(~0ULL);
		walk(4096);
		walk(dice_between(&dice, 1, 700));
	}
}

static void runs_are_as_long_as_extent_and_piece_allow(void)
{
	struct drw_iter it;
	u64 addr;

	layout_begin(&layout);
	layout_add(&layout, 0x10000, 0x800);
	layout_add(&layout, 0x10800, 0x1800);
	layout_add(&layout, 0x50000, 0x1000);
	layout_end(&layout);
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 0x100, 0x2000);
	transfer_add(&transfer, 0x2100, 0x100);
	transfer_end(&transfer);

	transfer_iter(&transfer, &it);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x1f00);
	CHECK_EQ(addr, 0x10100);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x100);
	CHECK_EQ(addr, 0x50000);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x100);
	CHECK_EQ(addr, 0x50100);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0);
}

static void empty_pieces_and_pieces_at_the_buffers_end_are_walked(void)
{
	layout_begin(&layout);
	layout_add(&layout, 0x10000, 0x1000);
	layout_add(&layout, 0x30000, 0x1000);
	layout_end(&layout);
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 0x2000, 0);
	transfer_add(&transfer, 0, 0);
	transfer_add(&transfer, 0x1fff, 1);
	transfer_add(&transfer, 0x2000, 0);
	transfer_add(&transfer, 0x1000, 0x1000);
	transfer_add(&transfer, 0xfff, 2);
	transfer_add(&transfer, 0x1001, 0xfff);
	transfer_add(&transfer, 0x1000, 0);
	transfer_add(&transfer, 0x2000, 0);
	transfer_end(&transfer);
	walk(~0ULL);
	walk(1);
}

static void no_pieces_and_empty_ones_alone_are_nothing(void)
{
	layout_begin(&layout);
	layout_add(&layout, 0x10000, 0x1000);
	layout_end(&layout);
	transfer_begin(&transfer, &layout);
	transfer_end(&transfer);
	walk(~0ULL);
	transfer_begin(&transfer, &layout);
	transfer_add(&transfer, 0x1000, 0);
	transfer_add(&transfer, 0, 0);
	transfer_end(&transfer);
	walk(~0ULL);
}

static void pads_come_before_the_first_piece_and_after_the_last(void)
{
	struct drw_iter it;
	u64 addr;

	layout_begin(&layout);
	layout_add(&layout, 0x10000, 0x1000);
	layout_add(&layout, 0x50000, 0x1000);
	layout_end(&layout);
	transfer_begin(&transfer, &layout);
	/* At consecutive addresses, too, a run does not leave its pad or piece. */
	transfer_head(&transfer, 0x10400, 0x100);
	transfer_add(&transfer, 0x2000, 0);
	transfer_add(&transfer, 0x500, 0x20);
	transfer_add(&transfer, 0xff0, 0x20);
	transfer_add(&transfer, 0x2000, 0);
	transfer_tail(&transfer, 0x50010, 0x30);
	transfer_end(&transfer);

	transfer_iter(&transfer, &it);
	CHECK_EQ(drw_iter_next(&it, 0x40, &addr), 0x40);
	CHECK_EQ(addr, 0x10400);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0xc0);
	CHECK_EQ(addr, 0x10440);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x20);
	CHECK_EQ(addr, 0x10500);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x10);
	CHECK_EQ(addr, 0x10ff0);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x10);
	CHECK_EQ(addr, 0x50000);
	CHECK_EQ(drw_iter_next(&it, 1, &addr), 1);
	CHECK_EQ(addr, 0x50010);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x2f);
	CHECK_EQ(addr, 0x50011);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0);
	walk(~0ULL);
	walk(1);
	walk(3);
}

static void pads_do_not_need_pieces(void)
{
	layout_begin(&layout);
	layout_add(&layout, 0x10000, 0x1000);
	layout_end(&layout);
	transfer_begin(&transfer, &layout);
	transfer_head(&transfer, 0x20ff0, 0x10);
	transfer_tail(&transfer, 0x21000, 0x10);
	transfer_end(&transfer);
	walk(~0ULL);
	walk(1);
	transfer_begin(&transfer, &layout);
	transfer_head(&transfer, 0x20ff0, 0x10);
	transfer_add(&transfer, 0x1000, 0);
	transfer_add(&transfer, 0, 0);
	transfer_tail(&transfer, 0x21000, 0x10);
	transfer_end(&transfer);
	walk(~0ULL);
	walk(1);
}

static void pads_without_length_are_none(void)
{
	const struct drw_pad none = { .addr = 0x20000 };
	struct drw_iter it;
	u64 addr;

	layout_begin(&layout);
	layout_add(&layout, 0x10000, 0x1000);
	layout_end(&layout);
	transfer_all(&transfer, &layout);
	transfer_iter(&transfer, &it);
	drw_iter_set_pads(&it, &none, &none);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x1000);
	CHECK_EQ(addr, 0x10000);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0);
	transfer_iter(&transfer, &it);
	drw_iter_set_pads(&it, NULL, NULL);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0x1000);
	CHECK_EQ(drw_iter_next(&it, ~0ULL, &addr), 0);
}

/* From any place, also after part of a piece or pad has been walked. */
static void skipping_is_walking_without_looking(void)
{
	int n;

	for (n = 0; n < RANDOM_LAYOUTS; n++) {
		struct drw_iter it;
		u64 off = 0, addr;

		dice = (struct dice) { .state = test_seed() + n };
		check_context("--seed %llu, layout %d", (unsigned long long)test_seed(), n);
		layout_random(&layout, &dice, 16 * KiB);
		transfer_random(&transfer, &layout, &dice, dice_between(&dice, 1, 32 * KiB),
				512);

		transfer_iter(&transfer, &it);
		for (;;) {
			u64 left = transfer.bytes - off, step;

			step = dice_below(&dice, (dice_one_in(&dice, 4) || left < 64 ? left :
						  64) + 1);
			drw_iter_skip(&it, step);
			off += step;
			transfer_check_iter(&transfer, &it, off);
			if (off == transfer.bytes)
				break;
			off += drw_iter_next(&it, dice_between(&dice, 1, 600), &addr);
			transfer_check_iter(&transfer, &it, off);
		}
		drw_iter_skip(&it, 0);
		CHECK_EQ(drw_iter_next(&it, 1, &addr), 0);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(consecutive_ranges_merge),
		TEST(ranges_with_a_gap_or_backwards_stay_apart),
		TEST(a_first_range_at_address_0_is_an_extent),
		TEST(empty_ranges_add_nothing),
		TEST(addresses_that_wrap_are_refused),
		TEST(the_last_page_of_addresses_is_refused),
		TEST(sizes_that_wrap_are_refused),
		TEST(more_extents_than_can_be_counted_are_refused),
		TEST(a_full_table_takes_only_what_merges),
		TEST(tables_of_random_layouts_hold_their_invariants_and_every_byte),
		TEST(a_contiguous_buffer_takes_one_extent_whatever_its_size),
		TEST(a_table_is_paged_if_every_extent_begins_a_page),
		TEST(pieces_must_lie_in_the_buffer),
		TEST(iterators_give_every_byte_of_random_pieces_once),
		TEST(runs_are_as_long_as_extent_and_piece_allow),
		TEST(empty_pieces_and_pieces_at_the_buffers_end_are_walked),
		TEST(no_pieces_and_empty_ones_alone_are_nothing),
		TEST(pads_come_before_the_first_piece_and_after_the_last),
		TEST(pads_do_not_need_pieces),
		TEST(pads_without_length_are_none),
		TEST(skipping_is_walking_without_looking),
	};

	return run_tests(tests, COUNT(tests), argc, argv);
}
