// SPDX-License-Identifier: GPL-2.0-only
/*
 * controller_test.c - does the controller refuse what it should? The tests of lists are
 * worth no more than that.
 *
 * Data pointers and lists are written out by hand here; nothing of the module is used.
 */
#include <string.h>

#include "check.h"
#include "controller.h"

#define PAGE	4096

static u64 list[2 * PAGE / 8];
static u8 fetched[2][PAGE];
static const struct ctl_region regions[] = {
	{ .bus = 0x70000, .virt = (u8 *)list, .fetched = fetched[0], .len = PAGE },
	{ .bus = 0x80000, .virt = (u8 *)list + PAGE, .fetched = fetched[1], .len = PAGE },
};
static u64 got[4 * MiB];
static struct ctl ctl;

static bool walk(bool sgl, u64 low, u64 high, u32 bytes)
{
	u64 dptr[2] = { htole64(low), htole64(high) };

	ctl = (struct ctl) { .regions = regions, .nr_regions = COUNT(regions), .got = got,
			     .bytes = bytes, .sgl_dwords = ctl.sgl_dwords };
	return sgl ? ctl_walk_sgl(&ctl, dptr) : ctl_walk_prp(&ctl, dptr);
}

#define GOOD_PRP(prp1, prp2, bytes)	CHECK(walk(false, prp1, prp2, bytes), "%s", ctl.why)
#define BAD_PRP(prp1, prp2, bytes)	CHECK(!walk(false, prp1, prp2, bytes), "accepted")

/* An SGL descriptor's second half. */
#define SGL(type, len)			((u64)(type) << 56 | (len))
#define DATA(len)			SGL(0x00, len)
#define SEGMENT(len)			SGL(0x20, len)
#define LAST(len)			SGL(0x30, len)
#define GOOD_SGL(addr, high, bytes)	CHECK(walk(true, addr, high, bytes), "%s", ctl.why)
#define BAD_SGL(addr, high, bytes)	CHECK(!walk(true, addr, high, bytes), "accepted")

static void write_list(unsigned int at, u64 value)
{
	list[at] = htole64(value);
}

static void write_sgl(unsigned int at, u64 addr, u64 high)
{
	write_list(2 * at, addr);
	write_list(2 * at + 1, high);
}

static void clear(void)
{
	memset(list, 0, sizeof(list));
	ctl.sgl_dwords = false;
}

static void bad_prps_are_refused(void)
{
	clear();
	GOOD_PRP(0x10000, 0, 4096);
	CHECK_EQ(got[4095], 0x10fff);
	CHECK_EQ(ctl.entries, 1);
	GOOD_PRP(0x10ffc, 0x20000, 512);
	CHECK_EQ(got[3], 0x10fff);
	CHECK_EQ(got[4], 0x20000);
	CHECK_EQ(ctl.entries, 2);

	BAD_PRP(0x10002, 0, 512);
	BAD_PRP(0x10000, 0x20000, 4096);
	BAD_PRP(0x10ffc, 0x20004, 512);
}

static void bad_prp_lists_are_refused(void)
{
	unsigned int i;

	clear();
	for (i = 0; i < 512; i++)
		write_list(i, 0x100000 + i * 0x2000);
	GOOD_PRP(0x10800, 0x70000, 2048 + 2 * 4096);
	CHECK_EQ(got[2048], 0x100000);
	CHECK_EQ(got[2048 + 4096], 0x102000);
	CHECK_EQ(ctl.entries, 3);
	CHECK_EQ(fetched[0][15], 1);
	CHECK_EQ(fetched[0][16], 0);

	/* The last entry of a page is one if it is the last of all, wherever it began. */
	GOOD_PRP(0x10000, 0x70000, 513 * 4096);
	CHECK_EQ(ctl.entries, 513);
	GOOD_PRP(0x10000, 0x70fe0, 5 * 4096);
	CHECK_EQ(got[4 * 4096], 0x100000 + 511 * 0x2000);

	/* Else it is a link. */
	BAD_PRP(0x10000, 0x70000, 513 * 4096 + 512);
	write_list(511, 0x80000);
	write_list(512, 0x900000);
	write_list(513, 0xa00000);
	GOOD_PRP(0x10000, 0x70000, 513 * 4096 + 512);
	CHECK_EQ(got[512 * 4096], 0x900000);
	CHECK_EQ(got[513 * 4096], 0xa00000);
	CHECK_EQ(ctl.entries, 514);
	write_list(511, 0x80008);
	BAD_PRP(0x10000, 0x70000, 513 * 4096 + 512);

	write_list(1, 0x104004);
	BAD_PRP(0x10000, 0x70000, 3 * 4096);
	BAD_PRP(0x10000, 0x70004, 3 * 4096);
	BAD_PRP(0x10000, 0x90000, 3 * 4096);
	BAD_PRP(0x10000, 0, 3 * 4096);
}

static void bad_sgls_of_one_descriptor_are_refused(void)
{
	clear();
	GOOD_SGL(0x10001, DATA(4095), 4095);
	CHECK_EQ(got[4094], 0x10fff);
	BAD_SGL(0x10000, DATA(511), 512);
	BAD_SGL(0x10000, DATA(513), 512);
	BAD_SGL(0x10000, SGL(0x01, 512), 512);
	BAD_SGL(0x10000, SGL(0x10, 512), 512);
	BAD_SGL(0x10000, SGL(0x40, 512), 512);
	BAD_SGL(0x10000, DATA(512) | 1ULL << 40, 512);
	BAD_SGL(~0ULL - 255, DATA(512), 512);

	ctl.sgl_dwords = true;
	GOOD_SGL(0x10004, DATA(512), 512);
	BAD_SGL(0x10001, DATA(512), 512);
	BAD_SGL(0x10004, DATA(511), 511);
}

static void bad_sgl_segments_are_refused(void)
{
	clear();
	write_sgl(0, 0x10001, DATA(500));
	write_sgl(1, 0x20002, DATA(12));
	GOOD_SGL(0x70000, LAST(32), 512);
	CHECK_EQ(got[499], 0x10001 + 499);
	CHECK_EQ(got[500], 0x20002);
	CHECK_EQ(ctl.entries, 2);
	BAD_SGL(0x70000, LAST(16), 512);
	BAD_SGL(0x70000, LAST(48), 512);
	BAD_SGL(0x70000, LAST(0), 512);
	BAD_SGL(0x70000, LAST(24), 512);
	BAD_SGL(0x70004, LAST(32), 512);
	BAD_SGL(0x90000, LAST(32), 512);
	BAD_SGL(0x70ff0, LAST(32), 512);
	BAD_SGL(0x70000, SEGMENT(32), 512);
	BAD_SGL(0x70000, LAST(32), 511);
	BAD_SGL(0x70000, LAST(32), 513);

	write_sgl(1, 0x80000, LAST(16));
	write_sgl(256, 0x20002, DATA(12));
	GOOD_SGL(0x70000, SEGMENT(32), 512);
	CHECK_EQ(got[511], 0x20002 + 11);
	BAD_SGL(0x70000, LAST(32), 512);
	BAD_SGL(0x70000, SEGMENT(48), 512);
	BAD_SGL(0x70010, SEGMENT(16), 512);

	ctl.sgl_dwords = true;
	BAD_SGL(0x70000, SEGMENT(32), 512);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(bad_prps_are_refused),
		TEST(bad_prp_lists_are_refused),
		TEST(bad_sgls_of_one_descriptor_are_refused),
		TEST(bad_sgl_segments_are_refused),
	};

	return run_tests(tests, COUNT(tests), argc, argv);
}
