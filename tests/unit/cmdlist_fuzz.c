// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmdlist_fuzz.c - random buffers, transfers and limits, each run from end to end.
 *
 * As a test program it makes a bounded number of cases from a seed. Compiled with
 * -DLIBFUZZER, by clang with -fsanitize=fuzzer, the choices come from libFuzzer's bytes
 * ("make fuzz").
 */
#include <stdio.h>

#include "command.h"

static struct layout layout;
static struct transfer transfer;

static void limits_random(struct drw_limits *lim, struct dice *d, u64 lba)
{
	static const u32 segs[] = { 127, 1, 2, 3, 5, 16, 17, 255, DRW_SGLS_PER_PAGE };
	static const u32 thresholds[] = { 32 * KiB, 0, 1, 512, 2048, 4096, U32_MAX };
	u64 most = DRW_MAX_CMD_BYTES / lba;

	/* Limits of real drives, and ones that cut what is moved here. */
	if (!dice_below(d, 2))
		lim->max_bytes = most * lba;
	else
		lim->max_bytes = dice_between(d, 1, most < 40 ? most : 40) * lba;
	lim->lba_bytes = lba;
	lim->max_segs = segs[dice_below(d, COUNT(segs))];
	lim->sgl_threshold = thresholds[dice_below(d, COUNT(thresholds))];
	lim->sgl = dice_below(d, 3);
}

/* What is found in one walk is what trying everything finds. */
static void check_reference(const struct transfer *t, u32 n, const struct drw_limits *lim)
{
	struct ref_plan fast, slow;

	if (n > lim->max_bytes)
		n = lim->max_bytes;
	if (n > 16 * KiB)
		return;
	fast = ref_plan(t->want, n, lim);
	slow = ref_plan_by_trial(t->want, n, lim);
	CHECK_EQ(fast.prp_bytes, slow.prp_bytes);
	CHECK_EQ(fast.sgl_bytes, slow.sgl_bytes);
}

static void one(struct dice *d, u64 max_bytes)
{
	static const u64 lbas[] = { 512, 512, 4096, 65536 };
	u64 lba = lbas[dice_below(d, COUNT(lbas))], most, base = 0, len;
	struct drw_limits lim;
	u32 tries;

	limits_random(&lim, d, lba);
	layout_random(&layout, d, max_bytes);
	most = (max_bytes < 256 * layout.bytes ? max_bytes : 256 * layout.bytes) / lba;
	len = dice_between(d, 1, most ? most : 1) * lba;
	if (dice_one_in(d, 3))
		base = dice_below(d, len / lba) * lba;
	transfer_random(&transfer, &layout, d, len, lba);

	check_reference(&transfer, len, &lim);
	/* Where an LBA cannot be expressed, the next one is looked at. */
	for (tries = 0; tries < 8 && base < len; tries++)
		base = transfer_check(&transfer, base, len, &lim, d) + lba;
}

#ifdef LIBFUZZER

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct dice d = { .data = data, .left = size };

	one(&d, 16 * KiB);
	return 0;
}

#else

static void many(u32 nr, u64 max_bytes)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct dice d = { .state = test_seed() * nr + i };

		check_context("--seed %llu, case %u", (unsigned long long)test_seed(), i);
		one(&d, max_bytes);
	}
}

static void small_random_transfers_arrive_where_they_should(void)
{
	many(2000, 16 * KiB);
}

static void random_transfers_arrive_where_they_should(void)
{
	many(400, 256 * KiB);
}

static void large_random_transfers_arrive_where_they_should(void)
{
	many(8, 6 * MiB);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(small_random_transfers_arrive_where_they_should),
		TEST(random_transfers_arrive_where_they_should),
		TEST(large_random_transfers_arrive_where_they_should),
	};

	return run_tests(tests, COUNT(tests), argc, argv);
}

#endif
