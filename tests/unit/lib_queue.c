// SPDX-License-Identifier: MIT
/* lib_queue.c - the queue, against the fake module and a fake io_uring. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include "fixture.h"
#include "fixture_queue.h"

#define GIB (UINT64_C(1) << 30)

static void blocks_come_back_with_their_user_data_and_bytes(void **state)
{
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q;
	int i, n, got = 0, order;

	(void)state;
	for (order = 0; order < 2; order++) {
		fake_fill(65536, 65536);
		fake.last_first = order;
		q = new_queue(8, 0);
		for (i = 0; i < 8; i++)
			assert_int_equal(dmabuf_rw_queue_read(q, binding, i * 4096,
					(7 - i) * 4096, 4096, 0, 1000 + i), 0);
		assert_int_equal(dmabuf_rw_queue_pending(q), 8);
		assert_int_equal(fake.transfers, order * 8);
		for (got = 0; got < 8; got += n) {
			n = dmabuf_rw_queue_reap(q, done, 8, 1, NULL);
			assert_in_range(n, 1, 8);
			for (i = 0; i < n; i++) {
				assert_in_range(done[i].user_data, 1000, 1007);
				assert_int_equal(done[i].bytes, 4096);
				assert_int_equal(done[i].direct_bytes, 4096);
				assert_int_equal(done[i].error, 0);
				assert_int_equal(done[i].path, DMABUF_RW_PATH_MODULE);
			}
		}
		assert_int_equal(dmabuf_rw_queue_pending(q), 0);
		for (i = 0; i < 8; i++)
			assert_memory_equal(fake.buffer + (7 - i) * 4096,
					    fake.file + i * 4096, 4096);
		dmabuf_rw_queue_destroy(q);
	}
}

static void a_full_queue_says_eagain_until_something_is_reaped(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = new_queue(3, 0);
	int i;

	(void)state;
	assert_int_equal(dmabuf_rw_queue_depth(q), 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(dmabuf_rw_queue_write(q, binding, 0, 0, 512, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 0, 0, 512, 0, 9), -EAGAIN);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 0, 0, 512, 0, 9), 0);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 0, 0, 512, 0, 9), -EAGAIN);
	dmabuf_rw_queue_destroy(q);
}

static void nothing_is_submitted_before_it_is_asked_for(void **state)
{
	struct dmabuf_rw_queue *q = new_queue(4, 0);

	(void)state;
	fake.enters = 0;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 1), 0);
	assert_int_equal(fake.in_flight, 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(fake.in_flight, 1);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(fake.enters, 1);
	dmabuf_rw_queue_destroy(q);
	assert_int_equal(fake.transfers, 1);
}

static void submitting_and_waiting_is_one_system_call(void **state)
{
	struct dmabuf_rw_completion done[4] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(4, 0);
	int i;

	(void)state;
	fake.enters = 0;
	for (i = 0; i < 4; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 4, 4, NULL), 4);
	assert_int_equal(fake.enters, 1);
	dmabuf_rw_queue_destroy(q);
}

static void asking_for_more_than_is_pending_does_not_hang(void **state)
{
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(8, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 8, NULL), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 8, NULL), 1);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 0, 1, NULL), 0);
	dmabuf_rw_queue_destroy(q);
}

static void reaping_waits_until_the_minimum_is_there(void **state)
{
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(8, 0);
	int i;

	(void)state;
	fake.per_wait = 1;
	for (i = 0; i < 8; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 5, NULL), 5);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 3, NULL), 3);
	dmabuf_rw_queue_destroy(q);
}

static void a_short_run_is_continued_before_it_completes(void **state)
{
	struct dmabuf_rw_completion done[2] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(2, 0);

	(void)state;
	fake_fill(65536, 65536);
	fake.max_move = 1000;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 100, 200, 9999, 0, 5), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, NULL), 1);
	assert_int_equal(done[0].user_data, 5);
	assert_int_equal(done[0].bytes, 9999);
	assert_int_equal(done[0].error, 0);
	assert_int_equal(fake.transfers, 10);
	assert_memory_equal(fake.buffer + 200, fake.file + 100, 9999);
	dmabuf_rw_queue_destroy(q);
}

static void a_short_run_is_continued_when_the_queue_is_destroyed_before_it_is_reaped(void **state)
{
	struct dmabuf_rw_completion done[2] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(2, 0);

	(void)state;
	fake_fill(65536, 65536);
	fake.max_move = 1000;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 100, 200, 3999, 0, 5), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	/* Sees the first 1000 bytes; the kernel has the rest when it returns. */
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 0, NULL), 0);
	assert_int_equal(fake.transfers, 1);
	assert_int_equal(fake.in_flight, 1);
	dmabuf_rw_queue_destroy(q);
	assert_memory_equal(fake.buffer + 200, fake.file + 100, 3999);
}

static void pieces_are_continued_from_the_middle(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = {
		{ 0, 700 }, { 5000, 0 }, { 9000, 1500 }, { 4096, 1 },
	};
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = new_queue(2, 0);
	uint64_t run;

	(void)state;
	for (run = 1; run < 3000; run = run * 2 + 1) {
		fake_fill(16384, 16384);
		fake.max_move = run;
		assert_int_equal(dmabuf_rw_queue_readv(q, binding, 10, pieces, 4, 0, 6), 0);
		assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
		assert_int_equal(done.bytes, 2201);
		assert_memory_equal(fake.buffer, fake.file + 10, 700);
		assert_memory_equal(fake.buffer + 9000, fake.file + 710, 1500);
		assert_int_equal(fake.buffer[4096], fake.file[2210]);
	}
	dmabuf_rw_queue_destroy(q);
}

static void a_write_from_pieces_arrives_in_order(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = { { 512, 100 }, { 0, 50 } };
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = new_queue(2, 0);

	(void)state;
	fake_fill(4096, 4096);
	assert_int_equal(dmabuf_rw_queue_writev(q, binding, 7, pieces, 2, DMABUF_RW_IO_FUA,
						1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 150);
	assert_int_equal(fake.last_flags, DMABUF_RW_IO_FUA);
	assert_memory_equal(fake.file + 7, fake.buffer + 512, 100);
	assert_memory_equal(fake.file + 107, fake.buffer, 50);
	dmabuf_rw_queue_destroy(q);
}

/* The kernel would see only the first part of it, and move that. */
static void a_transfer_beyond_the_buffer_is_refused_whole(void **state)
{
	struct dmabuf_rw_queue *q = new_queue(2, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 5 * GIB, 0, 1), -ERANGE);
	assert_int_equal(dmabuf_rw_queue_pending(q), 0);
	dmabuf_rw_queue_destroy(q);
	assert_int_equal(fake.transfers, 0);
}

static void a_long_transfer_is_split_and_summed(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_binding *large;
	struct dmabuf_rw_queue *q = new_queue(2, 0);

	(void)state;
	fake.file_bytes = fake.buf_bytes = 16 * GIB;
	assert_int_equal(dmabuf_rw_binding_adopt(dmabuf_rw_binding_fd(binding), &large), 0);
	assert_int_equal(dmabuf_rw_queue_write(q, large, GIB, 2 * GIB, 5 * GIB, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 5 * GIB);
	assert_int_equal(done.direct_bytes, 5 * GIB);
	assert_int_equal(fake.transfers, 3);
	assert_int_equal(dmabuf_rw_queue_read(q, large, UINT64_MAX, 0, 5 * GIB, 0, 1),
			 -EOVERFLOW);
	assert_int_equal(dmabuf_rw_queue_read(q, large, 0, UINT64_MAX, 5 * GIB, 0, 1),
			 -EOVERFLOW);
	dmabuf_rw_queue_destroy(q);
	free(large);
}

static void errors_and_ends_of_file_are_told_apart(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = new_queue(2, 0);

	(void)state;
	fake_fill(8192, 65536);
	/* The end of the file. */
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 4096, 0, 8192, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 4096);
	assert_int_equal(done.error, 0);
	/* A write over it. */
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 4096, 0, 8192, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 4096);
	assert_int_equal(done.error, ENOSPC);
	/* An error at once. */
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 65536, 512, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, -ERANGE);
	assert_int_equal(done.error, ERANGE);
	assert_int_equal(done.path, DMABUF_RW_PATH_NONE);
	/* An error after some bytes. */
	fake.bad_from = 1024;
	fake.bad_to = 2048;
	fake.bad_errno = EIO;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 4096, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 1024);
	assert_int_equal(done.error, EIO);
	assert_int_equal(done.direct_bytes, 1024);
	/* Nothing asked for. */
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 0, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 0);
	assert_int_equal(done.error, 0);
	dmabuf_rw_queue_destroy(q);
}

static void a_signal_ends_a_wait_with_what_is_there(void **state)
{
	struct dmabuf_rw_completion done[2] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(4, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	fake.wait_interrupts = 1;
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, NULL), -EINTR);
	assert_int_equal(dmabuf_rw_queue_pending(q), 1);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, NULL), 1);
	dmabuf_rw_queue_destroy(q);
}

/* As who may not sleep does; deferred completions show up all the same. */
static void polling_with_a_timeout_of_zero_completes(void **state)
{
	static const uint64_t flags[] = { 0, DMABUF_RW_QUEUE_SINGLE_THREAD };
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	const struct timespec now = { 0 };
	struct dmabuf_rw_queue *q;
	int n = 0, tries;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(flags); i++) {
		q = new_queue(4, flags[i]);
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 7), 0);
		for (tries = 0, n = 0; !n && tries < 3; tries++)
			n = dmabuf_rw_queue_reap(q, &done, 1, 1, &now);
		assert_int_equal(n, 1);
		assert_int_equal(done.user_data, 7);
		assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, &now), 0);
		dmabuf_rw_queue_destroy(q);
	}
}

static void a_timeout_ends_a_wait_with_nothing(void **state)
{
	const struct timespec soon = { .tv_nsec = 2000000 }, never = { .tv_nsec = -1 };
	struct dmabuf_rw_completion done[2] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(4, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 1), 0);
	fake.never_complete = true;
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, &soon), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, &never), -EINVAL);
	fake.never_complete = false;
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, &soon), 1);
	dmabuf_rw_queue_destroy(q);
}

static void want_of_memory_in_the_kernel_is_not_taken_for_a_full_queue(void **state)
{
	struct dmabuf_rw_completion done[2] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(4, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 1), 0);
	fake.submit_refuse = 1;
	assert_int_equal(dmabuf_rw_queue_submit(q), -ENOMEM);
	fake.submit_refuse = 1;
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, NULL), -ENOMEM);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, NULL), 1);
	dmabuf_rw_queue_destroy(q);
}

static void what_the_kernel_takes_in_parts_is_submitted_whole(void **state)
{
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q = new_queue(8, 0);
	int i;

	(void)state;
	fake.submit_max = 3;
	for (i = 0; i < 8; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(fake.in_flight, 8);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 8, NULL), 8);
	dmabuf_rw_queue_destroy(q);
}

/* fake_ring.c fails the test if a ring is closed with entries in flight. */
static void destroying_waits_for_what_was_submitted_and_drops_the_rest(void **state)
{
	struct dmabuf_rw_queue *q = new_queue(8, 0);
	int i;

	(void)state;
	fake.per_wait = 1;
	for (i = 0; i < 5; i++)
		assert_int_equal(dmabuf_rw_queue_write(q, binding, 0, 0, 512, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(dmabuf_rw_queue_write(q, binding, 0, 0, 512, 0, i), 0);
	fake.wait_interrupts = 2;
	dmabuf_rw_queue_destroy(q);
	assert_int_equal(fake.transfers, 5);
	dmabuf_rw_queue_destroy(NULL);
}

static void destroying_in_the_middle_of_continued_pieces_leaks_nothing(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 8192, 4096 } };
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = new_queue(8, 0);

	(void)state;
	fake.max_move = 512;
	fake.per_wait = 1;
	assert_int_equal(dmabuf_rw_queue_readv(q, binding, 0, pieces, 2, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 0, NULL), 0);
	fake.wait_interrupts = 1;
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), -EINTR);
	dmabuf_rw_queue_destroy(q);
}

static void flags_become_the_rings_flags(void **state)
{
	static const struct {
		uint64_t flags;
		unsigned int ring;
	} cases[] = {
		{ 0, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG },
		{ DMABUF_RW_QUEUE_SINGLE_THREAD, IORING_SETUP_COOP_TASKRUN |
		  IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
		  IORING_SETUP_DEFER_TASKRUN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		dmabuf_rw_queue_destroy(new_queue(4, cases[i].flags));
		assert_int_equal(fake.ring_flags, cases[i].ring);
	}
}

static void bad_options_are_refused_with_an_error_filled(void **state)
{
	static const struct dmabuf_rw_queue_opts cases[] = {
		{ .size = sizeof(cases[0]), .flags = 1ULL << 40 },
		{ .size = sizeof(cases[0]), .depth = DMABUF_RW_QUEUE_MAX_DEPTH + 1 },
		{ .size = sizeof(cases[0]), .resv = 5 },
	};
	struct dmabuf_rw_queue *queue;
	struct dmabuf_rw_error error;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct dmabuf_rw_queue_opts opts = cases[i];

		opts.error = &error;
		assert_int_equal(dmabuf_rw_queue_create(&opts, &queue), -EINVAL);
		assert_int_equal(error.err, EINVAL);
		assert_int_equal(error.call, DMABUF_RW_CALL_QUEUE);
	}
	fake.ring_errno = EMFILE;
	assert_int_equal(dmabuf_rw_queue_create(NULL, &queue), -EMFILE);
	fake.ring_errno = 0;
	fake.table_errno = ENOMEM;
	assert_int_equal(dmabuf_rw_queue_create(NULL, &queue), -ENOMEM);
}

static void polling_looks_for_completions_without_waiting(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = new_queue(4, DMABUF_RW_QUEUE_SINGLE_THREAD);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 3), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 0, NULL), 1);
	assert_int_equal(done.user_data, 3);
	dmabuf_rw_queue_destroy(q);
}

static void completions_are_as_long_as_the_caller_says(void **state)
{
	struct longer {
		struct dmabuf_rw_completion completion;
		uint64_t more;
	} done[4];
	struct dmabuf_rw_queue *q = new_queue(4, 0);
	int i;

	(void)state;
	memset(done, 0xff, sizeof(done));
	for (i = 0; i < 4; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, i), 0);
	/* All of them are rubbish, or say so. */
	assert_int_equal(dmabuf_rw_queue_reap(q, &done[0].completion, 4, 4, NULL), -EINVAL);
	done[0].completion.size = sizeof(done[0].completion) - 1;
	assert_int_equal(dmabuf_rw_queue_reap(q, &done[0].completion, 4, 4, NULL), -EINVAL);
	assert_int_equal(dmabuf_rw_queue_reap(q, NULL, 4, 4, NULL), -EINVAL);
	done[0].completion.size = sizeof(done[0]);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done[0].completion, 4, 4, NULL), 4);
	for (i = 0; i < 4; i++) {
		assert_int_equal(done[i].completion.size, sizeof(done[0]));
		assert_int_equal(done[i].completion.user_data, i);
		assert_int_equal(done[i].completion.bytes, 512);
		assert_int_equal(done[i].more, 0);
	}
	dmabuf_rw_queue_destroy(q);
}

static void without_io_uring_system_calls_do(void **state)
{
	static const int errnos[] = { EPERM, EACCES, ENOSYS };
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	static const struct dmabuf_rw_piece pieces[] = { { 0, 700 }, { 5000, 1500 } };
	struct pollfd pfd = { .events = POLLIN };
	struct dmabuf_rw_queue *q;
	int i, n, got;
	size_t e;

	(void)state;
	for (e = 0; e < COUNT(errnos); e++) {
		fake_fill(1 << 20, 1 << 20);
		fake.max_move = 10000;
		fake.ring_errno = errnos[e];
		q = new_queue(16, e & 1 ? DMABUF_RW_QUEUE_SINGLE_THREAD : 0);
		assert_int_equal(dmabuf_rw_queue_ring_error(q), errnos[e]);
		assert_int_equal(dmabuf_rw_queue_attach(q, binding), 0);
		pfd.fd = dmabuf_rw_queue_fd(q);
		assert_true(pfd.fd >= 0);
		for (i = 0; i < 15; i++)
			assert_int_equal(dmabuf_rw_queue_read(q, binding, i * 65536,
					(15 - i) * 65536, 65536, 0, i), 0);
		assert_int_equal(dmabuf_rw_queue_readv(q, binding, 10, pieces, 2, 0, 15), 0);
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 1, 0, 9), -EAGAIN);
		assert_int_equal(fake.transfers, 0);
		assert_int_equal(dmabuf_rw_queue_submit(q), 0);
		assert_int_equal(poll(&pfd, 1, 10000), 1);
		for (got = 0; got < 16; got += n) {
			n = dmabuf_rw_queue_reap(q, done, 16, 16 - got, NULL);
			assert_in_range(n, 1, 16);
			for (i = 0; i < n; i++) {
				assert_int_equal(done[i].bytes,
						 done[i].user_data < 15 ? 65536 : 2200);
				assert_int_equal(done[i].path, DMABUF_RW_PATH_MODULE);
			}
		}
		assert_int_equal(poll(&pfd, 1, 0), 0);
		for (i = 0; i < 15; i++)
			assert_memory_equal(fake.buffer + (15 - i) * 65536,
					    fake.file + i * 65536, 65536);
		assert_memory_equal(fake.buffer, fake.file + 10, 700);
		dmabuf_rw_queue_detach(q, binding);
		dmabuf_rw_queue_destroy(q);
		fake.ring_errno = 0;
		fake.transfers = 0;
	}
}

static void refused_pieces_take_no_place_in_the_queue(void **state)
{
	static struct dmabuf_rw_piece pieces[DMABUF_RW_MAX_PIECES + 1];
	struct dmabuf_rw_queue *q = new_queue(4, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_queue_readv(q, binding, 0, pieces, COUNT(pieces), 0, 1),
			 -EMSGSIZE);
	assert_int_equal(dmabuf_rw_queue_readv(q, binding, 0, NULL, 1, 0, 1), -EFAULT);
	assert_int_equal(dmabuf_rw_queue_pending(q), 0);
	dmabuf_rw_queue_destroy(q);
}

static void an_attached_binding_is_named_by_its_place(void **state)
{
	struct dmabuf_rw_completion done[2] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_binding *other;
	struct dmabuf_rw_queue *q = new_queue(4, 0);

	(void)state;
	assert_int_equal(dmabuf_rw_binding_adopt(dmabuf_rw_binding_fd(binding), &other), 0);
	fake.max_move = 512;
	assert_int_equal(dmabuf_rw_queue_attach(q, binding), 0);
	assert_int_equal(dmabuf_rw_queue_attach(q, binding), -EEXIST);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 1024, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, other, 0, 0, 512, 0, 2), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 2, NULL), 2);
	/* Both parts of the first, and not the second. */
	assert_int_equal(fake.by_table, 2);
	assert_int_equal(fake.transfers, 3);

	dmabuf_rw_queue_detach(q, other);
	dmabuf_rw_queue_detach(q, binding);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 512, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 2, 1, NULL), 1);
	assert_int_equal(fake.by_table, 2);
	dmabuf_rw_queue_destroy(q);
	free(other);
}

/* Its memory is used again, and its place in the table still has the old one. */
static void a_binding_at_the_place_of_another_is_not_taken_for_it(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_binding *first, *second;
	struct dmabuf_rw_queue *q = new_queue(4, 0);
	int fd = dmabuf_rw_binding_fd(binding);

	(void)state;
	assert_int_equal(dmabuf_rw_binding_adopt(fd, &first), 0);
	assert_int_equal(dmabuf_rw_queue_attach(q, first), 0);
	free(first);
	assert_int_equal(dmabuf_rw_binding_adopt(fd, &second), 0);
	assert_ptr_equal(first, second);
	assert_int_equal(dmabuf_rw_queue_read(q, second, 0, 0, 512, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(fake.by_table, 0);
	assert_int_equal(dmabuf_rw_queue_attach(q, second), 0);
	dmabuf_rw_queue_destroy(q);
	free(second);
}

static void places_of_detached_bindings_are_used_again(void **state)
{
	struct dmabuf_rw_binding *b[DMABUF_RW_QUEUE_MAX_ATTACHED + 1];
	struct dmabuf_rw_queue *q = new_queue(4, 0);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(b); i++)
		assert_int_equal(dmabuf_rw_binding_adopt(dmabuf_rw_binding_fd(binding),
							 &b[i]), 0);
	for (i = 0; i + 1 < COUNT(b); i++)
		assert_int_equal(dmabuf_rw_queue_attach(q, b[i]), 0);
	assert_int_equal(dmabuf_rw_queue_attach(q, b[i]), -ENOSPC);
	dmabuf_rw_queue_detach(q, b[5]);
	assert_int_equal(dmabuf_rw_queue_attach(q, b[i]), 0);
	for (i = 0; i < COUNT(b); i++)
		dmabuf_rw_queue_detach(q, b[i]);
	assert_int_equal(dmabuf_rw_queue_attach(q, b[0]), 0);
	dmabuf_rw_queue_destroy(q);
	for (i = 0; i < COUNT(b); i++)
		free(b[i]);
}

/* 20,000 transfers, random in everything, with completions out of order. */
static void a_queue_that_goes_round_many_times_loses_nothing(void **state)
{
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	unsigned char seen[20000] = { 0 };
	struct dmabuf_rw_queue *q;
	unsigned int queued = 0, reaped = 0, seed = 1;
	int i, n;

	(void)state;
	fake_fill(65536, 65536);
	fake.max_move = 3000;
	fake.last_first = true;
	q = new_queue(13, 0);
	while (reaped < COUNT(seen)) {
		while (queued < COUNT(seen) && rand_r(&seed) % 8) {
			uint64_t len = rand_r(&seed) % 8000;
			uint64_t off = rand_r(&seed) % (65536 - 8000);

			n = (rand_r(&seed) % 2 ? dmabuf_rw_queue_read :
			     dmabuf_rw_queue_write)(q, binding, off, off, len, 0,
						    (uint64_t)queued << 32 | len);
			if (n == -EAGAIN)
				break;
			assert_int_equal(n, 0);
			queued++;
		}
		n = dmabuf_rw_queue_reap(q, done, 1 + rand_r(&seed) % 16,
					 rand_r(&seed) % 8, NULL);
		assert_true(n >= 0);
		for (i = 0; i < n; i++) {
			assert_int_equal(done[i].bytes, done[i].user_data & 0xffffffff);
			assert_int_equal(seen[done[i].user_data >> 32]++, 0);
		}
		reaped += n;
	}
	assert_int_equal(dmabuf_rw_queue_pending(q), 0);
	dmabuf_rw_queue_destroy(q);
}

/* What is freed is used again at once, for the test of that. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=0:thread_local_quarantine_size_kb=0";
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRANSFER_TEST(blocks_come_back_with_their_user_data_and_bytes),
		TRANSFER_TEST(a_full_queue_says_eagain_until_something_is_reaped),
		TRANSFER_TEST(nothing_is_submitted_before_it_is_asked_for),
		TRANSFER_TEST(submitting_and_waiting_is_one_system_call),
		TRANSFER_TEST(asking_for_more_than_is_pending_does_not_hang),
		TRANSFER_TEST(reaping_waits_until_the_minimum_is_there),
		TRANSFER_TEST(a_short_run_is_continued_before_it_completes),
		TRANSFER_TEST(a_short_run_is_continued_when_the_queue_is_destroyed_before_it_is_reaped),
		TRANSFER_TEST(pieces_are_continued_from_the_middle),
		TRANSFER_TEST(a_write_from_pieces_arrives_in_order),
		TRANSFER_TEST(a_transfer_beyond_the_buffer_is_refused_whole),
		TRANSFER_TEST(a_long_transfer_is_split_and_summed),
		TRANSFER_TEST(errors_and_ends_of_file_are_told_apart),
		TRANSFER_TEST(a_signal_ends_a_wait_with_what_is_there),
		TRANSFER_TEST(polling_with_a_timeout_of_zero_completes),
		TRANSFER_TEST(a_timeout_ends_a_wait_with_nothing),
		TRANSFER_TEST(want_of_memory_in_the_kernel_is_not_taken_for_a_full_queue),
		TRANSFER_TEST(what_the_kernel_takes_in_parts_is_submitted_whole),
		TRANSFER_TEST(destroying_waits_for_what_was_submitted_and_drops_the_rest),
		TRANSFER_TEST(destroying_in_the_middle_of_continued_pieces_leaks_nothing),
		TRANSFER_TEST(flags_become_the_rings_flags),
		TRANSFER_TEST(bad_options_are_refused_with_an_error_filled),
		TRANSFER_TEST(polling_looks_for_completions_without_waiting),
		TRANSFER_TEST(completions_are_as_long_as_the_caller_says),
		TRANSFER_TEST(without_io_uring_system_calls_do),
		TRANSFER_TEST(refused_pieces_take_no_place_in_the_queue),
		TRANSFER_TEST(an_attached_binding_is_named_by_its_place),
		TRANSFER_TEST(a_binding_at_the_place_of_another_is_not_taken_for_it),
		TRANSFER_TEST(places_of_detached_bindings_are_used_again),
		TRANSFER_TEST(a_queue_that_goes_round_many_times_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
