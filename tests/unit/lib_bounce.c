// SPDX-License-Identifier: MIT
/*
 * lib_bounce.c - transfers through memory: bindings that bounce only, and bindings that
 * bounce what the module refuses. Calls that wait; the queue's are in lib_queue.c.
 */
#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fixture_bounce.h"

/* ---- binding ------------------------------------------------------------------------ */

static void a_refusal_makes_a_binding_that_remembers_why(void **state)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_error why;

	(void)state;
	fake_pair(10000, 65536);
	refuse(EOPNOTSUPP, DMABUF_RW_REASON_LAYOUT);
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(dmabuf_rw_binding_fd(binding), -1);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 1);
	assert_int_equal(why.err, EOPNOTSUPP);
	assert_int_equal(why.reason, DMABUF_RW_REASON_LAYOUT);
	assert_int_equal(why.call, DMABUF_RW_CALL_BIND);
	assert_int_equal(dmabuf_rw_binding_info(binding, &info), 0);
	assert_int_equal(info.file_bytes, 10000);
	assert_int_equal(info.buf_bytes, 65536);
	assert_int_equal(info.read_align | info.write_align, 1);
	assert_int_equal(info.flags, DMABUF_RW_INFO_BOUNCE_ONLY | DMABUF_RW_INFO_REGULAR |
			 DMABUF_RW_INFO_CAN_READ | DMABUF_RW_INFO_CAN_WRITE);
}

static void without_a_device_everything_bounces(void **state)
{
	struct dmabuf_rw_error why;

	(void)state;
	fake_pair(65536, 65536);
	close_device();
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 1);
	assert_int_equal(why.reason, DMABUF_RW_REASON_NO_DEVICE);
	assert_int_equal(move(false, 0, 0, 65536), 65536);
	assert_memory_equal(fake.buffer, fake.file, 65536);
}

static void a_pair_that_can_go_direct_does(void **state)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	struct dmabuf_rw_error why;

	(void)state;
	fake_pair(65536, 65536);
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 0);
	assert_int_equal(why.err, 0);
	assert_int_equal(move(false, 0, 0, 65536), 65536);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
	assert_int_equal(result.direct_bytes, 65536);
	assert_int_equal(result.bounced_bytes, 0);
	assert_int_equal(fake.direct_ios + fake.plain_ios, 0);
	assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
	assert_int_equal(stats.direct_transfers, 1);
	assert_int_equal(stats.direct_bytes, 65536);
	assert_int_equal(stats.bounced_transfers | stats.bounced_bytes |
			 stats.mixed_transfers, 0);
}

/* These say that the call is wrong or cannot be served, not that the pair is. */
static void refusals_of_the_call_itself_stay_errors(void **state)
{
	static const struct {
		int err;
		uint32_t reason;
	} cases[] = {
		{ EINVAL, 0 }, { E2BIG, 0 }, { EINTR, 0 }, { ENOMEM, 0 }, { EMFILE, 0 },
		{ EBADF, DMABUF_RW_REASON_FILE_FD }, { EBADFD, DMABUF_RW_REASON_NOT_DMABUF },
		{ EACCES, DMABUF_RW_REASON_ACCESS }, { ENODEV, DMABUF_RW_REASON_GONE },
	};
	size_t i;

	(void)state;
	fake_pair(4096, 4096);
	for (i = 0; i < COUNT(cases); i++) {
		refuse(cases[i].err, cases[i].reason);
		assert_int_equal(bind_bounce(NULL), -cases[i].err);
		assert_int_equal(bind_error.err, cases[i].err);
		assert_int_equal(bind_error.reason, cases[i].reason);
	}
}

static void without_permission_nothing_bounces(void **state)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.error = &bind_error,
	};

	(void)state;
	fake_pair(4096, 4096);
	refuse(EOPNOTSUPP, DMABUF_RW_REASON_LAYOUT);
	assert_int_equal(dmabuf_rw_binding_create(device, fake.dmabuf_fd, fake.file_fd,
						  &opts, &binding), -EOPNOTSUPP);
	opts.bounce_depth = 4;
	assert_int_equal(dmabuf_rw_binding_create(device, fake.dmabuf_fd, fake.file_fd,
						  &opts, &binding), -EINVAL);
	assert_int_equal(dmabuf_rw_binding_create(NULL, fake.dmabuf_fd, fake.file_fd, NULL,
						  &binding), -ENODEV);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	struct dmabuf_rw_binding_opts opts = bounce_opts();

	(void)state;
	fake_pair(4096, 4096);
	opts.bounce_chunk = 65536 + 512;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts.bounce_chunk = CHUNK / 2;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts.bounce_chunk = DMABUF_RW_BOUNCE_MAX_CHUNK * 2ULL;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts = bounce_opts();
	opts.bounce_depth = DMABUF_RW_BOUNCE_MAX_DEPTH + 1;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts = bounce_opts();
	opts.allow_bounce = 2;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts = bounce_opts();
	opts.flags = DMABUF_RW_BIND_DEVICE_MEMORY;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_CONTRADICTION);
}

static void a_buffer_that_the_cpu_cannot_reach_is_refused_with_that_reason(void **state)
{
	(void)state;
	fake_pair(4096, 4096);
	refuse(ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	fake.mmap_errno = EINVAL;
	assert_int_equal(bind_bounce(NULL), -EOPNOTSUPP);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_NO_CPU_ACCESS);
	assert_int_equal(bind_error.detail, EINVAL);
	/* Where the pair can go direct, it does, and what would have to bounce fails. */
	fake.bind_errno = 0;
	fake.read_align = 512;
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(move(false, 0, 0, 1024), 1024);
	assert_int_equal(move(false, 1, 0, 1024), -EDOM);
}

static void descriptors_of_the_wrong_kind_are_told_apart(void **state)
{
	int file = -1, pipes[2];

	(void)state;
	fake_pair(4096, 4096);
	close_device();
	file = fake.file_fd;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(bind_pair(NULL, file, file, NULL), -EBADFD);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_NOT_DMABUF);
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, pipes[0], NULL), -ESPIPE);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_NOT_SEEKABLE);
	assert_int_equal(bind_pair(NULL, 900, file, NULL), -EBADF);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_DMABUF_FD);
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, 900, NULL), -EBADF);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_FILE_FD);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- bounce-only transfers -------------------------------------------------------------- */

static void any_offset_and_length_arrives_and_nothing_around_it(void **state)
{
	static const uint64_t offs[] = { 0, 1, 511, 4095, 4096, 5000, CHUNK - 1, CHUNK + 7 };
	static const uint64_t lens[] = { 1, 511, 512, 4096, 4097, CHUNK, 3 * CHUNK + 12345 };
	const uint64_t size = 8 * CHUNK;
	bool write, direct;
	size_t i, j;

	(void)state;
	for (direct = false;; direct = true) {
		for (write = false;; write = true) {
			for (i = 0; i < COUNT(offs); i++)
				for (j = 0; j < COUNT(lens); j++) {
					uint64_t f = offs[i], b = 777 + i, n = lens[j];

					bounce_only_binding(size, size, !direct);
					assert_int_equal(move(write, f, b, n), n);
					assert_int_equal(result.path,
							 DMABUF_RW_PATH_BOUNCED);
					assert_int_equal(result.bounced_bytes, n);
					assert_int_equal(result.direct_bytes, 0);
					assert_memory_equal(fake.file + f, fake.buffer + b,
							    n);
					if (write) {
						expect_file_untouched(0, f);
						expect_file_untouched(f + n, size);
					} else {
						expect_buffer_untouched(0, b);
						expect_buffer_untouched(b + n, size);
					}
					unbind();
				}
			if (write)
				break;
		}
		if (direct)
			break;
	}
}

static void reads_never_fill_the_page_cache_where_o_direct_works(void **state)
{
	(void)state;
	bounce_only_binding(4 * CHUNK, 4 * CHUNK, false);
	assert_int_equal(move(false, 12345, 678, 2 * CHUNK + 99), 2 * CHUNK + 99);
	assert_int_equal(fake.plain_ios, 0);
	assert_int_equal(fake.fixed_ios, fake.direct_ios);
	/* Of a write only the two ends go through it. */
	assert_int_equal(move(true, 12345, 678, 2 * CHUNK + 99), 2 * CHUNK + 99);
	assert_int_equal(fake.plain_ios, 2);
}

static void a_read_is_short_at_the_files_end_at_any_byte(void **state)
{
	static const uint64_t sizes[] = { 1, 511, 512, 4096, 10001, CHUNK, 2 * CHUNK + 1 };
	bool plain;
	size_t i;

	(void)state;
	for (plain = false;; plain = true) {
		for (i = 0; i < COUNT(sizes); i++) {
			bounce_only_binding(sizes[i], 8 * CHUNK, plain);
			assert_int_equal(move(false, 0, 100, 6 * CHUNK), sizes[i]);
			assert_int_equal(result.error, 0);
			assert_memory_equal(fake.file, fake.buffer + 100, sizes[i]);
			expect_buffer_untouched(100 + sizes[i], 8 * CHUNK);
			assert_int_equal(move(false, sizes[i], 0, 4096), 0);
			assert_int_equal(result.error, 0);
			assert_int_equal(result.path, DMABUF_RW_PATH_NONE);
			assert_int_equal(move(false, sizes[i] + 5000, 0, 1), 0);
			unbind();
		}
		if (plain)
			break;
	}
}

/* What was read behind the old end does not count, as there is a gap. */
static void a_file_that_grows_meanwhile_ends_where_it_ended(void **state)
{
	(void)state;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	fake.io_end = 2 * CHUNK;
	fake.io_end_to = 3 * CHUNK;
	assert_int_equal(move(false, 0, 0, 8 * CHUNK), 2 * CHUNK);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.bounced_bytes, 2 * CHUNK);
}

static void a_write_behind_the_end_of_a_file_grows_it(void **state)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };

	(void)state;
	bounce_only_binding(5000, 3 * CHUNK, false);
	assert_int_equal(move(true, 4000, 3, 2 * CHUNK), 2 * CHUNK);
	assert_int_equal(dmabuf_rw_binding_info(binding, &info), 0);
	assert_int_equal(info.file_bytes, 4000 + 2 * CHUNK);
}

static void short_reads_and_writes_are_continued(void **state)
{
	static const uint32_t runs[] = { 512, 1024, 4096, 700, 1 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(runs); i++) {
		uint64_t n = i == 4 ? 600 : CHUNK + 5001;

		bounce_only_binding(4 * CHUNK, 4 * CHUNK, false);
		fake.io_max = runs[i];
		assert_int_equal(move(false, 1000, 3, n), n);
		assert_memory_equal(fake.file + 1000, fake.buffer + 3, n);
		assert_int_equal(move(true, 2000, 3, n), n);
		assert_memory_equal(fake.file + 2000, fake.buffer + 3, n);
		unbind();
	}
}

/* Chunks behind the bad one may have arrived, in whatever order; they do not count. */
static void the_first_error_wins_and_the_count_has_no_gap(void **state)
{
	bool write, last_first;

	(void)state;
	for (last_first = false;; last_first = true) {
		for (write = false;; write = true) {
			bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
			fake.last_first = last_first;
			fake.io_bad_from = 3 * CHUNK + 8192;
			fake.io_bad_to = 8 * CHUNK;
			fake.io_bad_errno = EIO;
			assert_int_equal(move(write, 4096, 0, 7 * CHUNK),
					 3 * CHUNK + 8192 - 4096);
			assert_int_equal(result.error, EIO);
			assert_memory_equal(fake.file + 4096, fake.buffer,
					    3 * CHUNK + 4096);
			assert_int_equal(move(write, 4 * CHUNK, 0, CHUNK), -EIO);
			assert_int_equal(result.path, DMABUF_RW_PATH_NONE);
			assert_int_equal(fake.in_flight, 0);
			unbind();
			if (write)
				break;
		}
		if (last_first)
			break;
	}
}

static void a_signal_ends_a_transfer_where_it_is(void **state)
{
	ssize_t n;

	(void)state;
	bounce_only_binding(32 * CHUNK, 32 * CHUNK, false);
	fake.per_wait = 1;
	fake.wait_interrupts = 1;
	n = move(false, 0, 0, 32 * CHUNK);
	/* What was in flight has arrived. */
	assert_in_range(n, CHUNK, 31 * CHUNK);
	assert_int_equal(result.error, EINTR);
	assert_memory_equal(fake.file, fake.buffer, n);
	expect_buffer_untouched(n, 32 * CHUNK);
	assert_int_equal(fake.in_flight, 0);
	/* Of a read or write that the kernel gives up, only that one is repeated. */
	fake.io_interrupts = 3;
	assert_int_equal(move(false, 0, 0, 32 * CHUNK), 32 * CHUNK);
}

static void a_file_that_refuses_o_direct_goes_through_the_page_cache(void **state)
{
	(void)state;
	bounce_only_binding(4 * CHUNK, 4 * CHUNK, true);
	assert_int_equal(move(false, 1, 1, 3 * CHUNK), 3 * CHUNK);
	assert_int_equal(fake.direct_ios, 0);
	unbind();
	/* It may also say so only when it is asked to read. */
	bounce_only_binding(4 * CHUNK, 4 * CHUNK, false);
	fake.io_direct_errno = EINVAL;
	assert_int_equal(move(false, 1, 1, 3 * CHUNK), 3 * CHUNK);
	assert_memory_equal(fake.file + 1, fake.buffer + 1, 3 * CHUNK);
	assert_int_equal(move(true, 5, 1, 3 * CHUNK), 3 * CHUNK);
	assert_memory_equal(fake.file + 5, fake.buffer + 1, 3 * CHUNK);
}

static void a_file_that_cannot_be_reopened_is_used_as_it_is(void **state)
{
	(void)state;
	fake_pair(4 * CHUNK, 4 * CHUNK);
	close_device();
	fake.reopen_errno = EACCES;
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(move(false, 3, 0, 2 * CHUNK), 2 * CHUNK);
	assert_memory_equal(fake.file + 3, fake.buffer, 2 * CHUNK);
	unbind();
	/* But with O_APPEND, a write would go elsewhere. */
	assert_int_equal(fcntl(fake.file_fd, F_SETFL, O_APPEND), 0);
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(move(true, 0, 0, 512), -EACCES);
}

static void without_io_uring_chunks_go_one_by_one(void **state)
{
	bool write;

	(void)state;
	for (write = false;; write = true) {
		fake.ring_errno = EPERM;
		bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
		assert_int_equal(move(write, 1000, 77, 5 * CHUNK), 5 * CHUNK);
		assert_memory_equal(fake.file + 1000, fake.buffer + 77, 5 * CHUNK);
		assert_int_equal(fake.rings, 0);
		fake.io_bad_from = 2 * CHUNK;
		fake.io_bad_to = 8 * CHUNK;
		fake.io_bad_errno = ENODATA;
		assert_int_equal(move(write, 0, 0, 8 * CHUNK), 2 * CHUNK);
		assert_int_equal(result.error, ENODATA);
		unbind();
		if (write)
			break;
	}
}

static void over_the_limit_of_locked_memory_it_still_works(void **state)
{
	(void)state;
	fake.register_errno = ENOMEM;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	assert_int_equal(move(false, 0, 0, 8 * CHUNK), 8 * CHUNK);
	assert_int_equal(fake.fixed_ios, 0);
	assert_memory_equal(fake.file, fake.buffer, 8 * CHUNK);
}

struct reader {
	pthread_t thread;
	const struct dmabuf_rw_binding *binding;
	uint64_t at;
	ssize_t n;
};

static void *read_some(void *arg)
{
	struct reader *r = arg;

	r->n = dmabuf_rw_read(r->binding, r->at, r->at, CHUNK, 0, NULL);
	return NULL;
}

/* A lane has a ring of its own, so rings tell how many there are. */
static void all_bindings_share_the_memory_that_transfers_need(void **state)
{
	struct dmabuf_rw_binding *many[50];
	struct reader readers[8];
	size_t i, round;

	(void)state;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	for (i = 0; i < COUNT(many); i++) {
		struct dmabuf_rw_binding_opts opts = bounce_opts();

		assert_int_equal(dmabuf_rw_binding_create(device, fake.dmabuf_fd, fake.file_fd,
							  &opts, &many[i]), 0);
		assert_int_equal(dmabuf_rw_read(many[i], 0, 0, 3 * CHUNK, 0, NULL), 3 * CHUNK);
		assert_int_equal(fake.rings, 1);
	}
	for (round = 0; round < 10; round++) {
		for (i = 0; i < COUNT(readers); i++) {
			readers[i] = (struct reader){ .binding = many[i], .at = i * CHUNK };
			assert_int_equal(pthread_create(&readers[i].thread, NULL, read_some,
							&readers[i]), 0);
		}
		for (i = 0; i < COUNT(readers); i++) {
			pthread_join(readers[i].thread, NULL);
			assert_int_equal(readers[i].n, CHUNK);
		}
		assert_int_equal(fake.rings, 1);
	}
	for (i = 0; i < COUNT(many); i++)
		dmabuf_rw_binding_destroy(many[i]);
	assert_int_equal(fake.rings, 1);
	unbind();
	assert_int_equal(fake.rings, 0);
}

static void want_of_memory_for_the_pool_is_enomem(void **state)
{
	(void)state;
	bounce_only_binding(4096, 4096, false);
	fake.pool_errno = ENOMEM;
	assert_int_equal(move(false, 0, 0, 4096), -ENOMEM);
	fake.pool_errno = 0;
	fake.submit_refuse = 1;
	assert_int_equal(move(false, 0, 0, 4096), -ENOMEM);
	assert_int_equal(move(false, 0, 0, 4096), 4096);
}

static void pieces_are_filled_and_emptied_in_order(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = {
		{ 200000, 70000 }, { 5, 0 }, { 100, 1 }, { 4096, 65536 }, { 300, 33 },
	};
	const uint64_t n = 70000 + 1 + 65536 + 33;
	uint64_t at = 999;
	size_t i;

	(void)state;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	assert_int_equal(dmabuf_rw_readv(binding, at, pieces, COUNT(pieces), 0, NULL), n);
	for (i = 0; i < COUNT(pieces); at += pieces[i++].len)
		assert_memory_equal(fake.buffer + pieces[i].buf_off, fake.file + at,
				    pieces[i].len);
	expect_buffer_untouched(0, 100);
	expect_buffer_untouched(101, 300);
	expect_buffer_untouched(333, 4096);
	at = 4097;
	assert_int_equal(dmabuf_rw_writev(binding, at, pieces, COUNT(pieces), 0, NULL), n);
	for (i = 0; i < COUNT(pieces); at += pieces[i++].len)
		assert_memory_equal(fake.buffer + pieces[i].buf_off, fake.file + at,
				    pieces[i].len);
	assert_int_equal(dmabuf_rw_readv(binding, 0, NULL, 0, 0, NULL), 0);
}

static void ranges_and_flags_are_judged_as_the_module_would(void **state)
{
	struct dmabuf_rw_piece wild[] = { { 0, UINT64_MAX }, { 0, 2 } };

	(void)state;
	bounce_only_binding(65536, 65536, false);
	assert_int_equal(move(false, 0, 65536 - 511, 512), -ERANGE);
	assert_int_equal(move(false, INT64_MAX, 0, 1), -EOVERFLOW);
	assert_int_equal(move(false, 0, 512, UINT64_MAX), -EOVERFLOW);
	assert_int_equal(dmabuf_rw_readv(binding, 0, wild, 2, 0, NULL), -EOVERFLOW);
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 1, DMABUF_RW_IO_FUA, NULL), -EINVAL);
	assert_int_equal(dmabuf_rw_write(binding, 0, 0, 1, 1 << 7, NULL), -EINVAL);
	expect_buffer_untouched(0, 65536);
	expect_file_untouched(0, 65536);
}

static void forced_durability_reaches_every_write(void **state)
{
	(void)state;
	bounce_only_binding(65536, 65536, false);
	assert_int_equal(dmabuf_rw_write(binding, 1, 0, 20000, DMABUF_RW_IO_FUA, NULL),
			 20000);
	assert_int_equal(fake.last_rw_flags, RWF_DSYNC);
	assert_int_equal(move(true, 0, 0, 1), 1);
	assert_int_equal(fake.last_rw_flags, 0);
}

static void open_modes_decide_the_directions(void **state)
{
	int fd;

	(void)state;
	fake_pair(4096, 4096);
	close_device();
	fd = open_anew(fake.file_fd, O_RDONLY);
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, fd, NULL), 0);
	assert_int_equal(move(false, 0, 0, 4096), 4096);
	assert_int_equal(move(true, 0, 0, 4096), -EACCES);
	unbind();
	close(fd);
	fd = open_anew(fake.file_fd, O_WRONLY);
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, fd, NULL), 0);
	assert_int_equal(move(false, 0, 0, 4096), -EACCES);
	assert_int_equal(move(true, 0, 0, 4096), 4096);
	unbind();
	close(fd);
}

static void the_cpus_accesses_are_bracketed(void **state)
{
	(void)state;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	fake.syncs = 0;
	assert_int_equal(move(false, 0, 0, 8 * CHUNK), 8 * CHUNK);
	assert_int_equal(fake.syncs, 16);
	assert_int_equal(fake.open_syncs, 0);
	fake.sync_interrupts = 3;
	assert_int_equal(move(true, 0, 0, 8 * CHUNK), 8 * CHUNK);
	assert_int_equal(fake.open_syncs, 0);
	fake.sync_errno = EIO;
	assert_int_equal(move(false, 0, 0, CHUNK), -EIO);
	assert_int_equal(move(true, 0, 0, CHUNK), -EIO);
}

/* ---- copy functions -------------------------------------------------------------------- */

struct runtime {
	unsigned int calls, fail_at;
	int ret;
};

static int runtime_copy(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off,
			void *host, size_t len)
{
	struct runtime *r = arg;

	if (++r->calls == r->fail_at)
		return r->ret;
	assert_true(buf_off + len <= fake.buf_bytes);
	if (direction == DMABUF_RW_COPY_TO_BUFFER)
		memcpy(fake.buffer + buf_off, host, len);
	else
		memcpy(host, fake.buffer + buf_off, len);
	return 0;
}

static void a_copy_function_wins_over_the_mapping(void **state)
{
	struct dmabuf_rw_binding_opts opts = bounce_opts();
	struct runtime runtime = { 0 };

	(void)state;
	fake_pair(8 * CHUNK, 8 * CHUNK);
	close_device();
	fake.mmap_errno = EINVAL;
	opts.copy = runtime_copy;
	opts.copy_arg = &runtime;
	assert_int_equal(bind_bounce(&opts), 0);
	fake.syncs = 0;
	assert_int_equal(move(false, 5, 6, 5 * CHUNK), 5 * CHUNK);
	assert_memory_equal(fake.file + 5, fake.buffer + 6, 5 * CHUNK);
	assert_int_equal(move(true, 9, 6, 5 * CHUNK), 5 * CHUNK);
	assert_memory_equal(fake.file + 9, fake.buffer + 6, 5 * CHUNK);
	assert_true(runtime.calls > 10);
	assert_int_equal(fake.syncs, 0);
}

static void a_buffer_that_is_open_for_writing_only_gives_no_bytes(void **state)
{
	struct dmabuf_rw_binding_opts opts = bounce_opts();
	struct runtime runtime = { 0 };
	int fd;

	(void)state;
	fake_pair(4096, 4096);
	close_device();
	fd = open_anew(fake.dmabuf_fd, O_WRONLY);
	opts.copy = runtime_copy;
	opts.copy_arg = &runtime;
	assert_int_equal(bind_pair(NULL, fd, fake.file_fd, &opts), 0);
	assert_int_equal(move(false, 0, 0, 4096), 4096);
	assert_int_equal(move(true, 0, 0, 4096), -EACCES);
	unbind();
	close(fd);
}

static void an_error_of_the_copy_function_ends_the_transfer(void **state)
{
	static const struct {
		int ret, err;
	} cases[] = {
		{ -EIO, EIO }, { -ENODEV, ENODEV }, { 1, EIO }, { -EINTR, EIO },
		{ -100000, EIO },
	};
	struct dmabuf_rw_binding_opts opts = bounce_opts();
	struct runtime runtime = { 0 };
	bool write;
	size_t i;

	(void)state;
	fake_pair(8 * CHUNK, 8 * CHUNK);
	close_device();
	opts.copy = runtime_copy;
	opts.copy_arg = &runtime;
	assert_int_equal(bind_bounce(&opts), 0);
	for (i = 0; i < COUNT(cases); i++)
		for (write = false;; write = true) {
			runtime = (struct runtime){ .fail_at = 3, .ret = cases[i].ret };
			assert_int_equal(move(write, 0, 0, 8 * CHUNK), 2 * CHUNK);
			assert_int_equal(result.error, cases[i].err);
			assert_int_equal(fake.in_flight, 0);
			runtime = (struct runtime){ .fail_at = 1, .ret = cases[i].ret };
			assert_int_equal(move(write, 0, 0, 100), -cases[i].err);
			if (write)
				break;
		}
}

/* The last one: what is found out here is true for the rest of the process. */
static void a_sandbox_that_is_entered_later_costs_nothing_but_speed(void **state)
{
	(void)state;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	assert_int_equal(move(false, 0, 0, 8 * CHUNK), 8 * CHUNK);
	assert_int_equal(fake.rings, 1);
	fake.enter_errno = EPERM;
	memset(fake.buffer, 0, 8 * CHUNK);
	assert_int_equal(move(false, 0, 0, 8 * CHUNK), 8 * CHUNK);
	assert_memory_equal(fake.buffer, fake.file, 8 * CHUNK);
	assert_int_equal(fake.rings, 0);
	assert_int_equal(move(true, 100, 7, 3 * CHUNK), 3 * CHUNK);
	assert_memory_equal(fake.file + 100, fake.buffer + 7, 3 * CHUNK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOUNCE_TEST(a_refusal_makes_a_binding_that_remembers_why),
		BOUNCE_TEST(without_a_device_everything_bounces),
		BOUNCE_TEST(a_pair_that_can_go_direct_does),
		BOUNCE_TEST(refusals_of_the_call_itself_stay_errors),
		BOUNCE_TEST(without_permission_nothing_bounces),
		BOUNCE_TEST(options_that_make_no_sense_are_refused),
		BOUNCE_TEST(a_buffer_that_the_cpu_cannot_reach_is_refused_with_that_reason),
		BOUNCE_TEST(descriptors_of_the_wrong_kind_are_told_apart),
		BOUNCE_TEST(any_offset_and_length_arrives_and_nothing_around_it),
		BOUNCE_TEST(reads_never_fill_the_page_cache_where_o_direct_works),
		BOUNCE_TEST(a_read_is_short_at_the_files_end_at_any_byte),
		BOUNCE_TEST(a_file_that_grows_meanwhile_ends_where_it_ended),
		BOUNCE_TEST(a_write_behind_the_end_of_a_file_grows_it),
		BOUNCE_TEST(short_reads_and_writes_are_continued),
		BOUNCE_TEST(the_first_error_wins_and_the_count_has_no_gap),
		BOUNCE_TEST(a_signal_ends_a_transfer_where_it_is),
		BOUNCE_TEST(a_file_that_refuses_o_direct_goes_through_the_page_cache),
		BOUNCE_TEST(a_file_that_cannot_be_reopened_is_used_as_it_is),
		BOUNCE_TEST(without_io_uring_chunks_go_one_by_one),
		BOUNCE_TEST(over_the_limit_of_locked_memory_it_still_works),
		BOUNCE_TEST(all_bindings_share_the_memory_that_transfers_need),
		BOUNCE_TEST(want_of_memory_for_the_pool_is_enomem),
		BOUNCE_TEST(pieces_are_filled_and_emptied_in_order),
		BOUNCE_TEST(ranges_and_flags_are_judged_as_the_module_would),
		BOUNCE_TEST(forced_durability_reaches_every_write),
		BOUNCE_TEST(open_modes_decide_the_directions),
		BOUNCE_TEST(the_cpus_accesses_are_bracketed),
		BOUNCE_TEST(a_copy_function_wins_over_the_mapping),
		BOUNCE_TEST(a_buffer_that_is_open_for_writing_only_gives_no_bytes),
		BOUNCE_TEST(an_error_of_the_copy_function_ends_the_transfer),
		BOUNCE_TEST(a_sandbox_that_is_entered_later_costs_nothing_but_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
