// SPDX-License-Identifier: MIT
/* lib_engine.c - the command's long transfers, over the library and the fakes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "tool.h"

static volatile sig_atomic_t stop;

static struct dmabuf_rw_queue *queue;

/* With a queue of its own, which is for end_engine(). */
static struct engine new_engine(uint64_t len, uint64_t block, uint32_t depth)
{
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts),
		.flags = DMABUF_RW_QUEUE_SINGLE_THREAD,
		.depth = depth,
	};

	stop = 0;
	assert_int_equal(dmabuf_rw_queue_create(&opts, &queue), 0);
	return (struct engine){
		.queue = queue,
		.binding = binding,
		.file_off = 4096,
		.buf_off = 512,
		.len = len,
		.block = block,
		.stop = &stop,
	};
}

static void end_engine(void)
{
	assert_int_equal(dmabuf_rw_queue_pending(queue), 0);
	dmabuf_rw_queue_destroy(queue);
}

static void every_depth_and_block_size_moves_the_same_bytes(void **state)
{
	static const uint32_t depths[] = { 1, 2, 3, 32 };
	static const uint64_t blocks[] = { 512, 1000, 4096, 50000, 1 << 20 };
	size_t d, b;

	(void)state;
	for (d = 0; d < COUNT(depths); d++)
		for (b = 0; b < COUNT(blocks); b++) {
			struct engine e = new_engine(50001, blocks[b], depths[d]);

			fake_fill(65536, 65536);
			fake.last_first = b & 1;
			assert_int_equal(engine_run(&e), 0);
			assert_int_equal(e.moved, 50001);
			assert_int_equal(e.gapless, 50001);
			assert_int_equal(e.direct_bytes, 50001);
			assert_int_equal(e.path, DMABUF_RW_PATH_MODULE);
			assert_int_equal(e.completions, (50001 + blocks[b] - 1) / blocks[b]);
			assert_memory_equal(fake.buffer + 512, fake.file + 4096, 50001);
			assert_int_equal(fake.buffer[511], 511 % 241 ^ 0x80);
			assert_int_equal(fake.buffer[50513], 50513 % 241 ^ 0x80);
			end_engine();
		}
}

static void writing_goes_the_other_way_with_its_flags(void **state)
{
	struct engine e = new_engine(20000, 4096, 4);

	(void)state;
	fake_fill(65536, 65536);
	e.write = true;
	e.io_flags = DMABUF_RW_IO_FUA;
	assert_int_equal(engine_run(&e), 0);
	assert_memory_equal(fake.buffer + 512, fake.file + 4096, 20000);
	assert_int_equal(fake.last_flags, DMABUF_RW_IO_FUA);
	end_engine();
}

/* Blocks behind the bad one may have been moved; they do not count as done. */
static void after_an_error_only_the_bytes_before_it_count(void **state)
{
	static const uint32_t depths[] = { 1, 8 };
	size_t d;

	(void)state;
	for (d = 0; d < COUNT(depths); d++) {
		struct engine e = new_engine(32768, 4096, depths[d]);

		fake_fill(65536, 65536);
		fake.bad_from = 4096 + 10240;
		fake.bad_to = fake.bad_from + 512;
		fake.bad_errno = ENODATA;
		assert_int_equal(engine_run(&e), -ENODATA);
		assert_int_equal(e.error.err, ENODATA);
		assert_int_equal(e.error.call, DMABUF_RW_CALL_IO);
		assert_int_equal(e.gapless, 10240);
		assert_true(e.moved >= e.gapless && e.moved < 32768);
		assert_memory_equal(fake.buffer + 512, fake.file + 4096, 10240);
		end_engine();
	}
}

/* Only the first block is odd, so that a drive can do all others by itself. */
static void blocks_end_where_blocks_of_the_file_do(void **state)
{
	struct engine e = new_engine(100000, 8192, 4);

	(void)state;
	fake_fill(1 << 18, 1 << 18);
	e.file_off = 4099;
	assert_int_equal(engine_run(&e), 0);
	assert_int_equal(e.moved, 100000);
	/* 8189, eleven times 8192, and the rest. */
	assert_int_equal(e.completions, 13);
	assert_memory_equal(fake.buffer + 512, fake.file + 4099, 100000);
	end_engine();
}

static void bounced_bytes_are_told_apart(void **state)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.allow_bounce = 1,
	};
	static const uint32_t depths[] = { 1, 8 };
	struct dmabuf_rw_binding *whole = binding;
	size_t d;

	(void)state;
	for (d = 0; d < COUNT(depths); d++) {
		struct engine e = new_engine(100000, 8192, depths[d]);

		fake_pair(1 << 18, 1 << 18);
		assert_int_equal(dmabuf_rw_binding_create(NULL, fake.dmabuf_fd, fake.file_fd,
							  &opts, &binding), 0);
		e.binding = binding;
		assert_int_equal(engine_run(&e), 0);
		assert_int_equal(e.bounced_bytes, 100000);
		assert_int_equal(e.direct_bytes, 0);
		assert_int_equal(e.path, DMABUF_RW_PATH_BOUNCED);
		assert_memory_equal(fake.buffer + 512, fake.file + 4096, 100000);
		end_engine();
		dmabuf_rw_binding_destroy(binding);
	}
	binding = whole;
}

static void a_device_that_shrank_is_an_error_not_a_success(void **state)
{
	struct engine e = new_engine(32768, 4096, 4);

	(void)state;
	fake_fill(16384, 65536);
	assert_int_equal(engine_run(&e), -ENODATA);
	assert_true(e.ended);
	assert_int_equal(e.error.err, 0);
	assert_int_equal(e.gapless, 12288);
	end_engine();
}

static void count_and_stop(void *arg, uint64_t done, uint32_t path)
{
	assert_int_equal(path, DMABUF_RW_PATH_MODULE);
	if (done >= *(uint64_t *)arg)
		stop = 1;
}

static void an_interruption_leaves_nothing_in_flight_and_no_gap(void **state)
{
	static const uint32_t depths[] = { 1, 4 };
	uint64_t limit = 20000;
	size_t d;

	(void)state;
	for (d = 0; d < COUNT(depths); d++) {
		struct engine e = new_engine(50000, 4096, depths[d]);

		fake_fill(65536, 65536);
		fake.per_wait = 1;
		e.progress = count_and_stop;
		e.progress_arg = &limit;
		assert_int_equal(engine_run(&e), -EINTR);
		assert_int_equal(e.error.err, 0);
		assert_int_equal(fake.in_flight, 0);
		assert_in_range(e.gapless, 20000, 50000 - 1);
		assert_int_equal(e.gapless, e.moved);
		assert_memory_equal(fake.buffer + 512, fake.file + 4096, e.gapless);
		end_engine();
	}
}

static int stop_at_third_chunk(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off,
			       void *host, size_t len)
{
	unsigned int *chunks = arg;

	(void)direction;
	/* So slow that there is time to end it. */
	usleep(40000);
	memcpy(fake.buffer + buf_off, host, len);
	if (++*chunks == 3)
		stop = 1;
	return 0;
}

/* A block that goes by way of memory is not moved to its end first. */
static void an_interruption_ends_a_slow_block(void **state)
{
	unsigned int chunks = 0;
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.allow_bounce = 1,
		.bounce_chunk = DMABUF_RW_BOUNCE_MIN_CHUNK,
		.bounce_depth = 1,
		.copy = stop_at_third_chunk,
		.copy_arg = &chunks,
	};
	struct engine e = new_engine(1 << 20, 1 << 20, 1);
	struct dmabuf_rw_binding *whole = binding;

	(void)state;
	fake_pair(2 << 20, 2 << 20);
	assert_int_equal(dmabuf_rw_binding_create(NULL, fake.dmabuf_fd, fake.file_fd, &opts,
						  &binding), 0);
	e.binding = binding;
	assert_int_equal(engine_run(&e), -EINTR);
	assert_int_equal(e.error.err, 0);
	assert_in_range(e.gapless, 3 * DMABUF_RW_BOUNCE_MIN_CHUNK, (1 << 20) - 1);
	assert_memory_equal(fake.buffer + 512, fake.file + 4096, e.gapless);
	end_engine();
	dmabuf_rw_binding_destroy(binding);
	binding = whole;
}

static void a_signal_that_does_not_stop_costs_nothing(void **state)
{
	struct engine e = new_engine(50000, 4096, 4);

	(void)state;
	fake_fill(65536, 65536);
	fake.wait_interrupts = 3;
	assert_int_equal(engine_run(&e), 0);
	assert_int_equal(e.gapless, 50000);
	end_engine();
}

static void one_queue_serves_one_transfer_after_the_other(void **state)
{
	struct engine e = new_engine(50000, 4096, 8);
	unsigned int i;

	(void)state;
	fake_fill(65536, 65536);
	/* More than can be attached at the same time. */
	for (i = 0; i < DMABUF_RW_QUEUE_MAX_ATTACHED + 3; i++) {
		e.file_off = i;
		assert_int_equal(engine_run(&e), 0);
		assert_int_equal(e.gapless, 50000);
		assert_memory_equal(fake.buffer + 512, fake.file + i, 50000);
	}
	assert_int_equal(fake.rings, 1);
	end_engine();
}

static void without_io_uring_all_is_moved_too(void **state)
{
	struct engine e;

	(void)state;
	fake_fill(65536, 65536);
	fake.ring_errno = EPERM;
	e = new_engine(50000, 4096, 8);
	assert_int_equal(dmabuf_rw_queue_ring_error(queue), EPERM);
	assert_int_equal(engine_run(&e), 0);
	assert_int_equal(e.moved, 50000);
	assert_memory_equal(fake.buffer + 512, fake.file + 4096, 50000);
	end_engine();
}

static void nothing_to_move_is_done_at_once(void **state)
{
	struct engine e = new_engine(0, 4096, 8);

	(void)state;
	assert_int_equal(engine_run(&e), 0);
	assert_int_equal(e.completions, 0);
	assert_int_equal(e.path, DMABUF_RW_PATH_NONE);
	end_engine();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRANSFER_TEST(every_depth_and_block_size_moves_the_same_bytes),
		TRANSFER_TEST(writing_goes_the_other_way_with_its_flags),
		TRANSFER_TEST(after_an_error_only_the_bytes_before_it_count),
		TRANSFER_TEST(blocks_end_where_blocks_of_the_file_do),
		TRANSFER_TEST(bounced_bytes_are_told_apart),
		TRANSFER_TEST(a_device_that_shrank_is_an_error_not_a_success),
		TRANSFER_TEST(an_interruption_leaves_nothing_in_flight_and_no_gap),
		TRANSFER_TEST(an_interruption_ends_a_slow_block),
		TRANSFER_TEST(a_signal_that_does_not_stop_costs_nothing),
		TRANSFER_TEST(one_queue_serves_one_transfer_after_the_other),
		TRANSFER_TEST(without_io_uring_all_is_moved_too),
		TRANSFER_TEST(nothing_to_move_is_done_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
