// SPDX-License-Identifier: MIT
/* lib_many.c - batches, by calls and by queues, against the fake module. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include "fixture_bounce.h"
#include "fixture_queue.h"

#define BLOCK 4096

static struct dmabuf_rw_range ranges[1000];

/* Range @i: block @i of the file, and of the buffer the one as far from its end. */
static void make_ranges(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		ranges[i] = (struct dmabuf_rw_range){
			.file_off = i * BLOCK, .buf_off = (nr - 1 - i) * BLOCK, .len = BLOCK,
			.result = 77,
		};
}

static void expect_moved(unsigned int i)
{
	assert_int_equal(ranges[i].result, ranges[i].len);
	assert_memory_equal(fake.buffer + ranges[i].buf_off, fake.file + ranges[i].file_off,
			    ranges[i].len);
}

/* How a batch is asked for. */
enum by { CALL, QUEUE, QUEUE_WITHOUT_RING, NR_BY };

static ssize_t ask(enum by by, bool write, unsigned int nr, uint64_t flags)
{
	struct dmabuf_rw_completion done;
	struct dmabuf_rw_queue *q;
	int ret;

	result = (struct dmabuf_rw_result){ .size = sizeof(result) };
	if (by == CALL)
		return (write ? dmabuf_rw_write_many : dmabuf_rw_read_many)(binding, ranges, nr,
									    flags, &result);
	fake.ring_errno = by == QUEUE ? 0 : EPERM;
	q = new_queue(4, 0);
	fake.ring_errno = 0;
	ret = (write ? dmabuf_rw_queue_write_many : dmabuf_rw_queue_read_many)(q, binding, ranges,
									       nr, flags, 9);
	if (!ret) {
		reap_one(q, &done);
		assert_int_equal(done.user_data, 9);
		assert_int_equal(dmabuf_rw_queue_pending(q), 0);
		result.error = done.error;
		result.path = done.path;
		result.direct_bytes = done.direct_bytes;
		result.bounced_bytes = done.bounced_bytes;
	}
	dmabuf_rw_queue_destroy(q);
	return ret ? ret : done.bytes;
}

static void every_range_moves_its_bytes_in_one_call_of_the_kernel(void **state)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	unsigned int i;
	int by;

	(void)state;
	for (by = 0; by < NR_BY; by++) {
		mixed_binding(64 * BLOCK, 64 * BLOCK, 512, 1);
		fake.batches = 0;
		make_ranges(64);
		assert_int_equal(ask(by, false, 64, 0), 64 * BLOCK);
		assert_int_equal(fake.batches, 1);
		assert_int_equal(result.error, 0);
		assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
		assert_int_equal(result.direct_bytes, 64 * BLOCK);
		for (i = 0; i < 64; i++)
			expect_moved(i);
		assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
		assert_int_equal(stats.direct_transfers, 64);
		assert_int_equal(stats.bounced_transfers, 0);
	}
}

static void more_than_a_batch_is_several(void **state)
{
	unsigned int i;

	(void)state;
	mixed_binding(1000 * BLOCK, 1000 * BLOCK, 512, 1);
	make_ranges(1000);
	assert_int_equal(ask(CALL, true, 1000, DMABUF_RW_IO_FUA), 1000 * BLOCK);
	assert_int_equal(fake.batches, 4);
	assert_int_equal(fake.last_flags, DMABUF_RW_IO_FUA);
	for (i = 0; i < 1000; i++)
		expect_moved(i);
}

static void ranges_of_two_gib_and_more_are_moved(void **state)
{
	(void)state;
	/* Without contents: bytes are only counted. */
	fake.file_bytes = fake.buf_bytes = UINT64_C(1) << 36;
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, NULL, &binding), 0);
	make_ranges(3);
	ranges[0].len = UINT32_MAX - 511;
	ranges[1].len = 1U << 30;
	ranges[2].len = 3U << 29;
	assert_int_equal(ask(CALL, false, 3, 0), (4LL << 30) - 512 + (1LL << 30) + (3LL << 29));
	assert_int_equal(ranges[0].result, UINT32_MAX - 511);
	assert_int_equal(ranges[2].result, 3U << 29);
}

static void a_range_that_fails_leaves_the_others_alone(void **state)
{
	unsigned int i;
	int by;

	(void)state;
	for (by = 0; by < NR_BY; by++) {
		mixed_binding(16 * BLOCK, 16 * BLOCK, 512, 1);
		make_ranges(16);
		ranges[3].buf_off = 16 * BLOCK;
		ranges[5].file_off = 20 * BLOCK;
		ranges[7].len = 0;
		assert_int_equal(ask(by, false, 16, 0), 13 * BLOCK);
		assert_int_equal(result.error, ERANGE);
		for (i = 0; i < 16; i++)
			if (i != 3 && i != 5)
				expect_moved(i);
		assert_int_equal(ranges[3].result, -ERANGE);
		assert_int_equal(ranges[5].result, 0);
		/* All of it, or an error. */
		assert_int_equal(ask(by, false, 16, DMABUF_RW_IO_WHOLE), -ERANGE);
		assert_int_equal(ranges[5].result, -ESPIPE);
		assert_int_equal(ranges[3].result, -ERANGE);
		expect_moved(4);
	}
}

static void an_error_after_a_part_is_told(void **state)
{
	int by;

	(void)state;
	for (by = 0; by < NR_BY; by++) {
		mixed_binding(16 * BLOCK, 16 * BLOCK, 512, 1);
		make_ranges(16);
		fake.bad_from = 4 * BLOCK + 1024;
		fake.bad_to = fake.bad_from + 512;
		fake.bad_errno = ENODATA;
		assert_int_equal(ask(by, false, 16, 0), 15 * BLOCK + 1024);
		assert_int_equal(ranges[4].result, 1024);
		assert_int_equal(result.error, ENODATA);
		assert_int_equal(result.direct_bytes, 15 * BLOCK + 1024);
		assert_int_equal(ask(by, false, 16, DMABUF_RW_IO_WHOLE), -ENODATA);
		assert_int_equal(ranges[4].result, -ENODATA);
		fake.bad_errno = 0;
	}
}

static void ranges_bounce_where_they_must_and_may(void **state)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	unsigned int i;
	int by;

	(void)state;
	for (by = 0; by < NR_BY; by++) {
		mixed_binding(64 * BLOCK, 64 * BLOCK, 512, 4);
		make_ranges(16);
		/* Parts of LBAs, and one whose middle is of whole ones. */
		ranges[2].file_off += 1;
		ranges[2].len = 100;
		ranges[9].file_off += 100;
		ranges[9].buf_off += 100;
		ranges[9].len = 3000;
		assert_int_equal(ask(by, false, 16, 0), 14 * BLOCK + 3100);
		assert_int_equal(result.error, 0);
		assert_int_equal(result.path, PATH_MIXED);
		assert_int_equal(result.direct_bytes + result.bounced_bytes, 14 * BLOCK + 3100);
		assert_int_equal(result.bounced_bytes, 100 + (512 - 100) + (3100 - 6 * 512));
		for (i = 0; i < 16; i++)
			expect_moved(i);
		assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
		assert_int_equal(stats.direct_transfers, 14);
		assert_int_equal(stats.bounced_transfers, 1);
		assert_int_equal(stats.mixed_transfers, 1);
	}
}

static void a_bounce_only_binding_bounces_all(void **state)
{
	unsigned int i;
	int by;

	(void)state;
	for (by = 0; by < NR_BY; by++) {
		bounce_only_binding(16 * BLOCK, 16 * BLOCK, false);
		make_ranges(16);
		ranges[15].len = 2 * BLOCK;
		ranges[15].flags = DMABUF_RW_IO_WHOLE;
		assert_int_equal(ask(by, false, 16, 0), 16 * BLOCK);
		assert_int_equal(result.path, DMABUF_RW_PATH_BOUNCED);
		assert_int_equal(result.bounced_bytes, 16 * BLOCK);
		for (i = 0; i < 15; i++)
			expect_moved(i);
		assert_int_equal(ranges[15].result, -ESPIPE);
		assert_int_equal(result.error, ESPIPE);
	}
}

static void a_batch_that_is_refused_gives_that_result_to_all(void **state)
{
	unsigned int i;
	int by;

	(void)state;
	for (by = 0; by < NR_BY; by++) {
		mixed_binding(16 * BLOCK, 16 * BLOCK, 512, 1);
		make_ranges(16);
		fake.batch_errno = EACCES;
		assert_int_equal(ask(by, false, 16, 0), -EACCES);
		assert_int_equal(result.error, EACCES);
		for (i = 0; i < 16; i++)
			assert_int_equal(ranges[i].result, -EACCES);
		fake.batch_errno = 0;
		assert_int_equal(ask(by, false, 16, 1ULL << 40), -EINVAL);
		assert_int_equal(ranges[0].result, -EINVAL);
	}
}

static void signals_end_a_call_and_no_queue(void **state)
{
	(void)state;
	mixed_binding(16 * BLOCK, 16 * BLOCK, 512, 1);
	make_ranges(16);
	fake.batch_errno = EINTR;
	assert_int_equal(ask(CALL, false, 16, 0), -EINTR);
	fake.batch_errno = 0;
	/* What came in between may be no signal, and the others have moved their bytes. */
	fake.interrupts = 2;
	fake.batches = 0;
	assert_int_equal(ask(CALL, false, 16, 0), 16 * BLOCK);
	assert_int_equal(result.error, 0);
	assert_int_equal(fake.batches, 2);
	/* None has: that ends the call, with all that follow. */
	make_ranges(1000);
	mixed_binding(1000 * BLOCK, 1000 * BLOCK, 512, 1);
	fake.interrupts = 300;
	fake.batches = 0;
	assert_int_equal(ask(CALL, false, 1000, 0), -EINTR);
	assert_int_equal(fake.batches, 1);
	assert_int_equal(ranges[0].result, -EINTR);
	assert_int_equal(ranges[999].result, -EINTR);
	fake.interrupts = 2;
	make_ranges(16);
	assert_int_equal(ask(QUEUE_WITHOUT_RING, false, 16, 0), 16 * BLOCK);
	assert_int_equal(result.error, 0);
}

static void malformed_batches_are_refused(void **state)
{
	struct dmabuf_rw_queue *q;

	(void)state;
	mixed_binding(16 * BLOCK, 16 * BLOCK, 512, 1);
	make_ranges(300);
	assert_int_equal(ask(CALL, false, 0, 0), 0);
	assert_int_equal(dmabuf_rw_read_many(binding, NULL, 1, 0, NULL), -EFAULT);
	q = new_queue(2, 0);
	assert_int_equal(dmabuf_rw_queue_read_many(q, binding, ranges, 0, 0, 0), -EINVAL);
	assert_int_equal(dmabuf_rw_queue_read_many(q, binding, NULL, 1, 0, 0), -EFAULT);
	assert_int_equal(dmabuf_rw_queue_read_many(q, binding, ranges, 257, 0, 0), -EMSGSIZE);
	ranges[0].len = DMABUF_RW_MAX_BYTES;
	assert_int_equal(dmabuf_rw_queue_read_many(q, binding, ranges, 2, 0, 0), -EOVERFLOW);
	assert_int_equal(dmabuf_rw_queue_pending(q), 0);
	dmabuf_rw_queue_destroy(q);
}

static void a_cancelled_batch_says_so_in_every_range(void **state)
{
	struct dmabuf_rw_completion done;
	struct dmabuf_rw_queue *q;
	unsigned int i, round;

	(void)state;
	for (round = 0; round < 2; round++) {
		mixed_binding(16 * BLOCK, 16 * BLOCK, 512, 1);
		make_ranges(16);
		fake.ring_errno = round ? EPERM : 0;
		q = new_queue(2, 0);
		fake.ring_errno = 0;
		assert_int_equal(dmabuf_rw_queue_read_many(q, binding, ranges, 16, 0, 5), 0);
		assert_int_equal(dmabuf_rw_queue_cancel(q, 5), 1);
		reap_one(q, &done);
		assert_int_equal(done.bytes, -ECANCELED);
		assert_int_equal(done.error, ECANCELED);
		for (i = 0; i < 16; i++)
			assert_int_equal(ranges[i].result, -ECANCELED);
		dmabuf_rw_queue_destroy(q);
	}
}

static void single_transfers_must_be_whole_if_that_is_asked(void **state)
{
	(void)state;
	mixed_binding(4 * BLOCK, 16 * BLOCK, 512, 1);
	result = (struct dmabuf_rw_result){ .size = sizeof(result) };
	assert_int_equal(dmabuf_rw_read(binding, 3 * BLOCK, 0, 2 * BLOCK, DMABUF_RW_IO_WHOLE,
					&result), -ESPIPE);
	assert_int_equal(result.error, ESPIPE);
	assert_int_equal(result.direct_bytes, BLOCK);
	assert_int_equal(dmabuf_rw_read(binding, 3 * BLOCK, 0, BLOCK, DMABUF_RW_IO_WHOLE, NULL),
			 BLOCK);
	bounce_only_binding(4 * BLOCK, 16 * BLOCK, false);
	assert_int_equal(dmabuf_rw_read(binding, 3 * BLOCK, 0, 2 * BLOCK, DMABUF_RW_IO_WHOLE,
					NULL), -ESPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOUNCE_TEST(every_range_moves_its_bytes_in_one_call_of_the_kernel),
		BOUNCE_TEST(more_than_a_batch_is_several),
		BOUNCE_TEST(ranges_of_two_gib_and_more_are_moved),
		BOUNCE_TEST(a_range_that_fails_leaves_the_others_alone),
		BOUNCE_TEST(an_error_after_a_part_is_told),
		BOUNCE_TEST(ranges_bounce_where_they_must_and_may),
		BOUNCE_TEST(a_bounce_only_binding_bounces_all),
		BOUNCE_TEST(a_batch_that_is_refused_gives_that_result_to_all),
		BOUNCE_TEST(signals_end_a_call_and_no_queue),
		BOUNCE_TEST(malformed_batches_are_refused),
		BOUNCE_TEST(a_cancelled_batch_says_so_in_every_range),
		BOUNCE_TEST(single_transfers_must_be_whole_if_that_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
