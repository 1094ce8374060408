// SPDX-License-Identifier: MIT
/* lib_io.c - synchronous transfers, against the fake module. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

#define GIB (UINT64_C(1) << 30)

static void a_whole_transfer_reports_direct_bytes_and_no_error(void **state)
{
	struct dmabuf_rw_result result = { .size = sizeof(result), .error = 99 };

	(void)state;
	fake_fill(65536, 65536);
	assert_int_equal(dmabuf_rw_read(binding, 4096, 512, 8192, 0, &result), 8192);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
	assert_int_equal(result.direct_bytes, 8192);
	assert_memory_equal(fake.buffer + 512, fake.file + 4096, 8192);
	assert_int_equal(fake.transfers, 1);
}

static void short_transfers_are_continued_where_they_stopped(void **state)
{
	(void)state;
	fake_fill(65536, 65536);
	fake.max_move = 1536;
	assert_int_equal(dmabuf_rw_write(binding, 8192, 1024, 16384, 0, NULL), 16384);
	assert_memory_equal(fake.buffer + 1024, fake.file + 8192, 16384);
	assert_int_equal(fake.transfers, (16384 + 1535) / 1536);
}

static void more_than_two_gib_are_moved_in_one_call(void **state)
{
	(void)state;
	fake.file_bytes = fake.buf_bytes = 16 * GIB;
	assert_int_equal(dmabuf_rw_read(binding, GIB, 0, 9 * GIB, 0, NULL), 9 * GIB);
	assert_int_equal(fake.moved, 9 * GIB);
	assert_int_equal(fake.transfers, 5);
}

static void a_read_over_the_end_of_the_file_is_short_without_error(void **state)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	(void)state;
	fake_fill(8192, 65536);
	assert_int_equal(dmabuf_rw_read(binding, 4096, 0, 16384, 0, &result), 4096);
	assert_int_equal(result.error, 0);
	assert_int_equal(dmabuf_rw_read(binding, 8192, 0, 4096, 0, &result), 0);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.path, DMABUF_RW_PATH_NONE);
}

static void a_write_over_the_end_tells_bytes_and_error(void **state)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	(void)state;
	fake_fill(8192, 65536);
	assert_int_equal(dmabuf_rw_write(binding, 4096, 0, 16384, 0, &result), 4096);
	assert_int_equal(result.error, ENOSPC);
	assert_int_equal(result.direct_bytes, 4096);
	assert_int_equal(dmabuf_rw_write(binding, 8192, 0, 512, 0, &result), -ENOSPC);
	assert_int_equal(result.error, ENOSPC);
	assert_int_equal(result.direct_bytes, 0);
}

static void an_error_after_some_bytes_gives_the_bytes_and_the_errno(void **state)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	(void)state;
	fake.bad_from = 10240;
	fake.bad_to = 10752;
	fake.bad_errno = ENODATA;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 65536, 0, &result), 10240);
	assert_int_equal(result.error, ENODATA);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
	assert_int_equal(fake.transfers, 1);
	/* Nothing is asked for behind the bad place, and the next call meets it again. */
	assert_int_equal(dmabuf_rw_read(binding, 10240, 0, 512, 0, &result), -ENODATA);
	/* A short run first, then the error on its own. */
	fake.max_move = 10240;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 65536, 0, &result), 10240);
	assert_int_equal(result.error, ENODATA);
}

static void a_signal_before_anything_was_done_is_eintr(void **state)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	(void)state;
	fake.interrupts = 1;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 4096, 0, &result), -EINTR);
	assert_int_equal(result.error, EINTR);
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 4096, 0, &result), 4096);
}

/* The second transfer of one call, interrupted. */
static void a_signal_after_some_bytes_gives_the_bytes(void **state)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 8192, 4096 } };

	(void)state;
	fake.bad_from = 4096;
	fake.bad_to = 1 << 20;
	fake.bad_errno = EINTR;
	fake.max_move = 4096;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 8192, 0, &result), 4096);
	assert_int_equal(result.error, EINTR);
	assert_int_equal(dmabuf_rw_readv(binding, 0, pieces, 2, 0, &result), 4096);
	assert_int_equal(result.error, EINTR);
}

static void pieces_are_filled_in_order_however_short_the_runs(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = {
		{ 40000, 1000 }, { 100, 0 }, { 0, 512 }, { 8192, 3000 }, { 20000, 1 },
		{ 30000, 0 }, { 30000, 4999 },
	};
	uint64_t run, file_off;
	size_t i;

	(void)state;
	for (run = 1; run <= 10000; run = run * 3 + 1) {
		fake_fill(65536, 65536);
		fake.max_move = run;
		assert_int_equal(dmabuf_rw_readv(binding, 777, pieces, COUNT(pieces), 0,
						 NULL), 9512);
		file_off = 777;
		for (i = 0; i < COUNT(pieces); i++) {
			assert_memory_equal(fake.buffer + pieces[i].buf_off,
					    fake.file + file_off, pieces[i].len);
			file_off += pieces[i].len;
		}
		/* The guards around one piece. */
		assert_int_equal(fake.buffer[19999], 19999 % 241 ^ 0x80);
		assert_int_equal(fake.buffer[20001], 20001 % 241 ^ 0x80);
	}
	assert_int_equal(pieces[0].len, 1000);
}

static void no_pieces_move_nothing(void **state)
{
	(void)state;
	assert_int_equal(dmabuf_rw_writev(binding, 0, NULL, 0, 0, NULL), 0);
	assert_int_equal(dmabuf_rw_readv(binding, 0, NULL, 0, 0, NULL), 0);
}

static void too_many_pieces_or_none_where_promised_are_refused(void **state)
{
	static struct dmabuf_rw_piece pieces[DMABUF_RW_MAX_PIECES + 1];
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	(void)state;
	assert_int_equal(dmabuf_rw_readv(binding, 0, pieces, COUNT(pieces), 0, &result),
			 -EMSGSIZE);
	assert_int_equal(result.error, EMSGSIZE);
	assert_int_equal(dmabuf_rw_readv(binding, 0, NULL, 1, 0, NULL), -EFAULT);
	assert_int_equal(fake.transfers, 0);
	assert_int_equal(dmabuf_rw_readv(binding, 0, pieces, DMABUF_RW_MAX_PIECES, 0, NULL),
			 0);
}

static void ranges_are_judged_by_the_kernel_as_a_whole(void **state)
{
	struct dmabuf_rw_piece wild[] = { { 0, UINT64_MAX }, { 0, 2 } };

	(void)state;
	assert_int_equal(dmabuf_rw_read(binding, 0, (1 << 20) - 512, 1024, 0, NULL),
			 -ERANGE);
	assert_int_equal(dmabuf_rw_read(binding, INT64_MAX, 0, 1, 0, NULL), -EOVERFLOW);
	assert_int_equal(dmabuf_rw_read(binding, 0, 512, UINT64_MAX, 0, NULL), -EOVERFLOW);
	assert_int_equal(dmabuf_rw_readv(binding, 0, wild, 2, 0, NULL), -EOVERFLOW);
	assert_int_equal(fake.moved, 0);
}

static void flags_reach_every_part_of_a_transfer(void **state)
{
	(void)state;
	fake.max_move = 4096;
	assert_int_equal(dmabuf_rw_write(binding, 0, 0, 8192, DMABUF_RW_IO_FUA, NULL), 8192);
	assert_int_equal(fake.last_flags, DMABUF_RW_IO_FUA);
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 8192, DMABUF_RW_IO_FUA, NULL),
			 -EINVAL);
}

static void a_short_result_structure_is_refused_before_anything_moves(void **state)
{
	struct dmabuf_rw_result result = { .size = 8 };

	(void)state;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 512, 0, &result), -EINVAL);
	assert_int_equal(dmabuf_rw_readv(binding, 0, NULL, 0, 0, &result), -EINVAL);
	assert_int_equal(fake.transfers, 0);
}

/* Of a program that was built for a newer library. */
static void a_longer_result_structure_is_filled_as_far_as_it_is_known(void **state)
{
	struct {
		struct dmabuf_rw_result result;
		uint64_t more;
	} longer = { .result.size = sizeof(longer), .more = 0x5a5a };

	(void)state;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 512, 0, &longer.result), 512);
	assert_int_equal(longer.result.direct_bytes, 512);
	assert_int_equal(longer.result.bounced_bytes, 0);
	assert_int_equal(longer.more, 0x5a5a);
}

static void a_count_that_cannot_be_is_an_error(void **state)
{
	(void)state;
	fake.lie = true;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 512, 0, NULL), -EPROTO);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRANSFER_TEST(a_whole_transfer_reports_direct_bytes_and_no_error),
		TRANSFER_TEST(short_transfers_are_continued_where_they_stopped),
		TRANSFER_TEST(more_than_two_gib_are_moved_in_one_call),
		TRANSFER_TEST(a_read_over_the_end_of_the_file_is_short_without_error),
		TRANSFER_TEST(a_write_over_the_end_tells_bytes_and_error),
		TRANSFER_TEST(an_error_after_some_bytes_gives_the_bytes_and_the_errno),
		TRANSFER_TEST(a_signal_before_anything_was_done_is_eintr),
		TRANSFER_TEST(a_signal_after_some_bytes_gives_the_bytes),
		TRANSFER_TEST(pieces_are_filled_in_order_however_short_the_runs),
		TRANSFER_TEST(no_pieces_move_nothing),
		TRANSFER_TEST(too_many_pieces_or_none_where_promised_are_refused),
		TRANSFER_TEST(ranges_are_judged_by_the_kernel_as_a_whole),
		TRANSFER_TEST(flags_reach_every_part_of_a_transfer),
		TRANSFER_TEST(a_short_result_structure_is_refused_before_anything_moves),
		TRANSFER_TEST(a_longer_result_structure_is_filled_as_far_as_it_is_known),
		TRANSFER_TEST(a_count_that_cannot_be_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
