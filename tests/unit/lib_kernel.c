// SPDX-License-Identifier: MIT
/*
 * lib_kernel.c - kernel bindings, against the fake of the kernel's own interface: which pairs
 * they are of, and calls that wait.
 *
 * What is alike by the module and by the kernel is tried in both ways by the same tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture_kernel.h"

static int refusal_without_module(const struct dmabuf_rw_binding_opts *opts)
{
	return bind_pair(NULL, fake.dmabuf_fd, fake.file_fd, opts);
}

/* ---- which way ----------------------------------------------------------------------- */

static void without_the_module_the_kernel_serves_a_disk(void **state)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_error why;

	(void)state;
	bind_way(false);
	assert_int_equal(dmabuf_rw_binding_fd(binding), -1);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 0);
	assert_int_equal(dmabuf_rw_binding_way_refusal(binding, DMABUF_RW_PATH_KERNEL, &why), 0);
	assert_int_equal(dmabuf_rw_binding_way_refusal(binding, DMABUF_RW_PATH_MODULE, &why), 1);
	assert_int_equal(why.reason, DMABUF_RW_REASON_NO_DEVICE);
	assert_int_equal(move(false, 8192, 4096, 65536), 65536);
	assert_int_equal(result.path, DMABUF_RW_PATH_KERNEL);
	assert_int_equal(result.direct_bytes, 65536);
	assert_int_equal(result.kernel_bytes, 65536);
	assert_memory_equal(fake.buffer + 4096, fake.file + 8192, 65536);
	expect_buffer_untouched(0, 4096);
	expect_buffer_untouched(4096 + 65536, BYTES);
	assert_int_equal(move(true, 0, BYTES - 4096, 4096), 4096);
	assert_memory_equal(fake.file, fake.buffer + BYTES - 4096, 4096);
	assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
	assert_int_equal(stats.direct_transfers, 2);
	assert_int_equal(stats.kernel_bytes, 65536 + 4096);
	assert_int_equal(stats.kernel_bytes, stats.direct_bytes);
	assert_int_equal(dmabuf_rw_binding_info(binding, &info), 0);
	assert_true(info.flags & DMABUF_RW_INFO_KERNEL && info.flags & DMABUF_RW_INFO_CAN_WRITE);
	assert_int_equal(info.file_bytes, BYTES);
	assert_int_equal(info.read_align, LBA);
	assert_int_equal(fake.transfers, fake.kernel_ios);
}

static void the_module_comes_first_unless_another_way_is_chosen(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(true);
	struct dmabuf_rw_error why;

	(void)state;
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding),
			 DMABUF_RW_PATH_MODULE | DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(fake.registered, 0);
	assert_int_equal(dmabuf_rw_binding_way_refusal(binding, DMABUF_RW_PATH_KERNEL, &why), 1);
	assert_int_equal(why.reason, DMABUF_RW_REASON_NOT_CHOSEN);
	opts.ways = DMABUF_RW_PATH_KERNEL;
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_KERNEL);
	opts.ways = DMABUF_RW_PATH_BOUNCED;
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 1);
	assert_int_equal(why.reason, DMABUF_RW_REASON_NOT_CHOSEN);
	opts.ways = DMABUF_RW_PATH_MODULE | 8;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts.ways = 0;
	opts.zeros = DMABUF_RW_ZEROS_WRITTEN << 1;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts.zeros = 0;
	opts.ways = DMABUF_RW_PATH_BOUNCED;
	opts.allow_bounce = 0;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	opts.ways = DMABUF_RW_PATH_MODULE;
	refuse(EPROTO, DMABUF_RW_REASON_DRIVER);
	assert_int_equal(bind_bounce(&opts), -EPROTO);
}

static void what_the_module_refuses_the_kernel_may_take_but_for_bad_addresses(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(false);

	(void)state;
	refuse(EPROTO, DMABUF_RW_REASON_DRIVER);
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_KERNEL);
	refuse(EADDRNOTAVAIL, DMABUF_RW_REASON_NOT_TRANSLATED);
	assert_int_equal(bind_bounce(&opts), -EADDRNOTAVAIL);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_NOT_TRANSLATED);
	opts.flags = DMABUF_RW_BIND_DEVICE_MEMORY;
	assert_int_equal(refusal_without_module(&opts), -EOPNOTSUPP);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_KERNEL_BLIND);
}

static void a_refusal_says_whether_there_is_an_interface(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(false);
	struct dmabuf_rw_error why;

	(void)state;
	fake.kernel_errno = EOPNOTSUPP;
	assert_int_equal(refusal_without_module(&opts), -EOPNOTSUPP);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_KERNEL_REFUSED);
	assert_int_equal(bind_error.detail, EOPNOTSUPP);
	/* Without one, the module is what can be had. */
	fake.kernel_way = false;
	assert_int_equal(refusal_without_module(&opts), -ENODEV);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_NO_DEVICE);
	opts.ways = DMABUF_RW_PATH_KERNEL;
	assert_int_equal(refusal_without_module(&opts), -EOPNOTSUPP);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_NO_KERNEL_WAY);
	assert_int_equal(bind_error.detail, EINVAL);
	fake.ring_errno = EPERM;
	assert_int_equal(refusal_without_module(&opts), -EOPNOTSUPP);
	assert_int_equal(bind_error.detail, EPERM);
	fake.ring_errno = 0;
	opts = way_opts(true);
	assert_int_equal(refusal_without_module(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(dmabuf_rw_binding_way_refusal(binding, DMABUF_RW_PATH_KERNEL, &why), 1);
	assert_int_equal(why.reason, DMABUF_RW_REASON_NO_KERNEL_WAY);
	unbind();
	assert_int_equal(fake.registered | fake.rings, 0);
}

static void files_and_what_takes_no_o_direct_are_refused(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(false);

	(void)state;
	opts.ways = DMABUF_RW_PATH_KERNEL;
	fake.direct_errno = EINVAL;
	assert_int_equal(refusal_without_module(&opts), -EOPNOTSUPP);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_KERNEL_REFUSED);
	fake.direct_errno = 0;
	fake.lba = 0;
	assert_int_equal(refusal_without_module(&opts), -EOPNOTSUPP);
	assert_int_equal(bind_error.detail, ENOTBLK);
	fake.lba = LBA;
	assert_int_equal(bind_pair(NULL, fake.file_fd, fake.file_fd, &opts), -EBADFD);
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, 999, &opts), -EBADF);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_FILE_FD);
}

static void a_buffer_above_the_limit_is_refused_for_its_size(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(false);

	(void)state;
	assert_int_equal(ftruncate(fake.dmabuf_fd, (1LL << 30) + 4096), 0);
	assert_int_equal(refusal_without_module(&opts), -EFBIG);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_KERNEL_SIZE);
	opts.allow_bounce = 1;
	assert_int_equal(refusal_without_module(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &bind_error), 1);
	assert_int_equal(bind_error.err, EFBIG);
	fake.kernel_max = 4ULL << 30;
	opts.allow_bounce = 0;
	assert_int_equal(refusal_without_module(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_KERNEL);
}

/* A read puts bytes into the buffer, and a write takes them out of it. */
static void the_open_modes_of_both_decide_the_directions(void **state)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	struct dmabuf_rw_binding_opts opts = way_opts(false);
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	unsigned int i;

	(void)state;
	for (i = 0; i < COUNT(modes) * COUNT(modes); i++) {
		int of_file = modes[i / COUNT(modes)], of_buffer = modes[i % COUNT(modes)];
		bool read = of_file != O_WRONLY && of_buffer != O_RDONLY;
		bool write = of_file != O_RDONLY && of_buffer != O_WRONLY;
		int file = open_anew(fake.file_fd, of_file);
		int buffer = open_anew(fake.dmabuf_fd, of_buffer);

		assert_int_equal(bind_pair(NULL, buffer, file, &opts), read || write ? 0 : -EACCES);
		if (binding) {
			assert_int_equal(move(false, 0, 0, 4096), read ? 4096 : -EACCES);
			assert_int_equal(move(true, 0, 0, 4096), write ? 4096 : -EACCES);
			assert_int_equal(dmabuf_rw_binding_info(binding, &info), 0);
			assert_int_equal(!!(info.flags & DMABUF_RW_INFO_CAN_READ), read);
			assert_int_equal(!!(info.flags & DMABUF_RW_INFO_CAN_WRITE), write);
		} else {
			assert_int_equal(bind_error.reason, DMABUF_RW_REASON_ACCESS);
		}
		unbind();
		close(file);
		close(buffer);
	}
}

static void binding_leaves_the_buffer_where_its_exporter_has_it(void **state)
{
	(void)state;
	bind_way(false);
	assert_int_equal(fake.syncs, 0);
}

static void want_of_memory_is_told_also_where_the_module_has_refused_the_pair(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(true);

	(void)state;
	refuse(EPROTO, DMABUF_RW_REASON_DRIVER);
	fake.register_errno = ENOMEM;
	assert_int_equal(bind_bounce(&opts), -ENOMEM);
	assert_int_equal(bind_error.err, ENOMEM);
	fake.register_errno = 0;
	assert_int_equal(bind_bounce(&opts), 0);
}

static void unknown_flags_are_refused_whoever_is_asked(void **state)
{
	struct dmabuf_rw_binding_opts opts = way_opts(false);

	(void)state;
	opts.flags = 1ULL << 40;
	opts.ways = DMABUF_RW_PATH_KERNEL;
	assert_int_equal(bind_bounce(&opts), -EINVAL);
	assert_int_equal(bind_error.reason, 0);
	assert_int_equal(refusal_without_module(&opts), -EINVAL);
	/* The module may know more of them. */
	opts.ways = DMABUF_RW_PATH_MODULE;
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(fake.bind.flags, opts.flags);
}

static int registered_flags(void)
{
	return fcntl(fake.registered_file, F_GETFL);
}

static void o_sync_stays_when_the_file_is_opened_anew(void **state)
{
	int fd = open_anew(fake.file_fd, O_RDWR | O_DSYNC);

	(void)state;
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, fd, NULL), 0);
	assert_int_equal(registered_flags() & O_SYNC, O_DSYNC);
	close(fd);
}

static void o_append_of_a_disk_means_nothing(void **state)
{
	(void)state;
	assert_int_equal(fcntl(fake.file_fd, F_SETFL, O_APPEND | O_DIRECT), 0);
	bind_way(false);
	assert_false(registered_flags() & O_APPEND);
	assert_int_equal(move(true, 0, 0, 4096), 4096);
	assert_memory_equal(fake.file, fake.buffer, 4096);
}

/* ---- alike in both ways ----------------------------------------------------------------- */

static void long_transfers_arrive_whole(void **state)
{
	(void)state;
	bind_way(false);
	assert_int_equal(move(false, 0, 0, BYTES), BYTES);
	assert_int_equal(result.path, path_direct());
	assert_memory_equal(fake.buffer, fake.file, BYTES);
	fake.max_move = 3 * LBA;
	memset(fake.file, 0, BYTES);
	assert_int_equal(move(true, 0, 0, 1 << 20), 1 << 20);
	assert_memory_equal(fake.buffer, fake.file, 1 << 20);
	assert_int_equal(fake.file[1 << 20], 0);
}

static void refusals_have_the_same_errnos(void **state)
{
	struct dmabuf_rw_result r = { .size = sizeof(r) };

	(void)state;
	bind_way(false);
	assert_int_equal(move(false, 0, BYTES - LBA, 2 * LBA), -ERANGE);
	assert_int_equal(move(false, 0, UINT64_MAX - LBA + 1, LBA), -EOVERFLOW);
	assert_int_equal(move(true, INT64_MAX - 510, 0, LBA), -EOVERFLOW);
	assert_int_equal(move(false, 1, 0, LBA), -EDOM);
	assert_int_equal(move(false, 0, 0, LBA - 1), -EDOM);
	assert_int_equal(move(false, 0, 2, LBA), -EDOM);
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, LBA, DMABUF_RW_IO_FUA, &r), -EINVAL);
	assert_int_equal(dmabuf_rw_write(binding, 0, 0, LBA, 1ULL << 40, &r), -EINVAL);
	assert_int_equal(move(false, 0, 0, 0), 0);
	expect_buffer_untouched(0, BYTES);
}

static void the_end_of_the_disk_is_short(void **state)
{
	(void)state;
	bind_way(false);
	assert_int_equal(move(false, BYTES - 4096, 0, 8192), 4096);
	assert_int_equal(result.error, 0);
	assert_int_equal(move(false, BYTES, 0, 4096), 0);
	assert_int_equal(move(true, BYTES - 4096, 0, 8192), 4096);
	assert_int_equal(move(true, BYTES, 0, 4096), -ENOSPC);
	assert_int_equal(dmabuf_rw_read(binding, BYTES - 4096, 0, 8192, DMABUF_RW_IO_WHOLE, NULL),
			 -ESPIPE);
}

/* A drive may want more of it than bind has told of. */
static void a_place_in_the_buffer_that_the_drive_cannot_be_given_bounces_or_is_edom(void **state)
{
	(void)state;
	fake.buf_align = LBA;
	bind_way(false);
	assert_int_equal(move(false, 0, 4, 4096), -EDOM);
	assert_int_equal(move(true, 0, LBA + 4, LBA), -EDOM);
	assert_int_equal(move(false, 0, LBA, 4096), 4096);
	bind_way(true);
	assert_int_equal(move(false, 4096, 4, 4096), 4096);
	assert_int_equal(result.path, DMABUF_RW_PATH_BOUNCED);
	assert_memory_equal(fake.buffer + 4, fake.file + 4096, 4096);
}

static void an_error_leaves_a_count_without_a_gap(void **state)
{
	(void)state;
	bind_way(false);
	fake.bad_from = 3 << 20;
	fake.bad_to = fake.bad_from + LBA;
	fake.bad_errno = ENODATA;
	assert_int_equal(move(false, 0, 0, BYTES), 3 << 20);
	assert_int_equal(result.error, ENODATA);
	assert_memory_equal(fake.buffer, fake.file, 3 << 20);
	assert_int_equal(move(false, 3 << 20, 0, LBA), -ENODATA);
}

static void pieces_arrive_in_their_order(void **state)
{
	const struct dmabuf_rw_piece pieces[] = {
		{ 1 << 20, 2 << 20 }, { 0, LBA }, { 76, 0 }, { 65536, 4096 },
	};
	struct dmabuf_rw_result r = { .size = sizeof(r) };
	uint64_t total = (2 << 20) + LBA + 4096;

	(void)state;
	bind_way(false);
	assert_int_equal(dmabuf_rw_readv(binding, 4096, pieces, COUNT(pieces), 0, &r), total);
	assert_int_equal(r.path, path_direct());
	assert_memory_equal(fake.buffer + (1 << 20), fake.file + 4096, 2 << 20);
	assert_memory_equal(fake.buffer, fake.file + 4096 + (2 << 20), LBA);
	assert_memory_equal(fake.buffer + 65536, fake.file + 4096 + (2 << 20) + LBA, 4096);
	assert_int_equal(dmabuf_rw_writev(binding, 0, pieces, COUNT(pieces), 0, &r), total);
	assert_memory_equal(fake.file, fake.buffer + (1 << 20), 2 << 20);
}

/* Against a model: each piece is somewhere in a part of the buffer of its own, the last first. */
static void any_pieces_arrive(void **state)
{
	static unsigned char model[BYTES];
	struct dmabuf_rw_piece pieces[100];
	unsigned int round, i, nr;
	uint64_t file_off, at, room;

	(void)state;
	bind_way(false);
	srandom(1);
	for (round = 0; round < 100; round++) {
		fake.max_move = random() % 2 ? DMABUF_RW_MAX_BYTES : (1 + random() % 64) * LBA;
		nr = 1 + random() % COUNT(pieces);
		room = BYTES / nr / LBA;
		file_off = at = random() % 1000 * LBA;
		memcpy(model, fake.buffer, BYTES);
		for (i = 0; i < nr; i++) {
			pieces[i].len = random() % (room - 1) * LBA;
			pieces[i].buf_off = (nr - 1 - i) * room * LBA + random() % 128 * 4;
			if (pieces[i].len > BYTES - at)
				pieces[i].len = 0;
			memcpy(model + pieces[i].buf_off, fake.file + at, pieces[i].len);
			at += pieces[i].len;
		}
		assert_int_equal(dmabuf_rw_readv(binding, file_off, pieces, nr, 0, NULL),
				 at - file_off);
		assert_memory_equal(fake.buffer, model, BYTES);
	}
}

static void a_batch_has_a_result_for_each(void **state)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	struct dmabuf_rw_result r = { .size = sizeof(r) };
	struct dmabuf_rw_range ranges[200];
	unsigned int i;

	(void)state;
	bind_way(false);
	for (i = 0; i < COUNT(ranges); i++)
		ranges[i] = (struct dmabuf_rw_range){ i * 8192, i * 4096, 4096, 0, 1 };
	ranges[3].buf_off = BYTES;
	ranges[7].file_off = 1;
	ranges[150].file_off = BYTES - LBA;
	assert_int_equal(dmabuf_rw_read_many(binding, ranges, COUNT(ranges), 0, &r),
			 197 * 4096 + LBA);
	assert_int_equal(r.error, ERANGE);
	assert_int_equal(ranges[3].result, -ERANGE);
	assert_int_equal(ranges[7].result, -EDOM);
	assert_int_equal(ranges[150].result, LBA);
	assert_int_equal(ranges[199].result, 4096);
	assert_memory_equal(fake.buffer + 199 * 4096, fake.file + 199 * 8192, 4096);
	assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
	assert_int_equal(stats.direct_transfers, 198);
	assert_int_equal(stats.kernel_bytes, by_kernel ? r.direct_bytes : 0);
}

static void signals_end_a_batch_that_has_moved_nothing_and_no_other(void **state)
{
	struct dmabuf_rw_result r = { .size = sizeof(r) };
	struct dmabuf_rw_range ranges[300];
	unsigned int i;

	(void)state;
	bind_way(false);
	for (i = 0; i < COUNT(ranges); i++)
		ranges[i] = (struct dmabuf_rw_range){ i * 4096, i * 4096, 4096, 0, 1 };
	/* Some entries, or ranges, have to be asked for again, and a signal comes. */
	fake.wait_interrupts = by_kernel;
	fake.kernel_again = by_kernel ? 20 : 0;
	fake.interrupts = by_kernel ? 0 : 20;
	assert_int_equal(dmabuf_rw_read_many(binding, ranges, COUNT(ranges), 0, &r),
			 COUNT(ranges) * 4096);
	assert_int_equal(r.error, 0);
	assert_memory_equal(fake.buffer, fake.file, COUNT(ranges) * 4096);
	/* All of those that the kernel was asked for together have. */
	memset(fake.buffer, 0, BYTES);
	fake.wait_interrupts = by_kernel;
	fake.kernel_again = by_kernel ? 10000 : 0;
	fake.interrupts = by_kernel ? 0 : 10000;
	fake.kernel_ios = 0;
	assert_int_equal(dmabuf_rw_read_many(binding, ranges, COUNT(ranges), 0, &r), -EINTR);
	assert_int_equal(r.error, EINTR);
	assert_in_range(fake.kernel_ios, 0, 64);
	for (i = 0; i < COUNT(ranges); i++)
		assert_int_equal(ranges[i].result, -EINTR);
	assert_int_equal(fake.buffer[0] | fake.buffer[sizeof(ranges) - 1], 0);
}

static void a_range_of_a_batch_may_be_longer_than_a_request(void **state)
{
	struct dmabuf_rw_range range = { 0, 0, UINT32_MAX - LBA + 1, 0, 0 };

	(void)state;
	fake.kernel_max = 4ULL << 30;
	assert_int_equal(ftruncate(fake.dmabuf_fd, 4LL << 30), 0);
	bind_way(false);
	assert_int_equal(dmabuf_rw_read_many(binding, &range, 1, 0, NULL), BYTES);
	assert_int_equal(range.result, BYTES);
	assert_memory_equal(fake.buffer, fake.file, BYTES);
}

static void unaligned_ends_bounce_and_the_middle_goes_direct(void **state)
{
	static const struct { uint64_t off, len; } cases[] = {
		{ 100, 3 * LBA }, { LBA, LBA + 1 }, { 511, 2 }, { 77, 1 << 20 }, { 3, 5 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		uint64_t off = cases[i].off, len = cases[i].len;

		fake_pair(BYTES, BYTES);
		bind_way(true);
		assert_int_equal(move(false, off, off, len), len);
		assert_memory_equal(fake.buffer + off, fake.file + off, len);
		expect_buffer_untouched(0, off);
		expect_buffer_untouched(off + len, off + len + LBA);
		assert_true(result.path & DMABUF_RW_PATH_BOUNCED);
		fake_pair(BYTES, BYTES);
		bind_way(true);
		assert_int_equal(move(true, off, off, len), len);
		assert_memory_equal(fake.file + off, fake.buffer + off, len);
		expect_file_untouched(0, off);
		expect_file_untouched(off + len, off + len + LBA);
		/* LBAs that are written in part go by scratch memory, not by the page cache. */
		assert_int_equal(fake.plain_ios, 0);
	}
	assert_int_equal(move(true, 77, 77, 1 << 20), 1 << 20);
	assert_int_equal(result.path, path_direct() | DMABUF_RW_PATH_BOUNCED);
}

static void a_signal_ends_a_long_transfer_between_its_parts(void **state)
{
	(void)state;
	bind_way(false);
	if (by_kernel)
		fake.wait_interrupts = 1;
	else
		fake.interrupts = 1;
	fake.max_move = LBA;
	if (by_kernel)
		assert_in_range(move(false, 0, 0, BYTES), LBA, BYTES - 1);
	else
		assert_int_equal(move(false, 0, 0, BYTES), -EINTR);
	assert_int_equal(result.error, EINTR);
}

/* ---- the kernel's alone ------------------------------------------------------------------ */

static void eagain_is_asked_again_with_a_bound(void **state)
{
	struct dmabuf_rw_range ranges[64];
	unsigned int i;

	(void)state;
	bind_way(false);
	fake.kernel_again = 50;
	assert_int_equal(move(false, 0, 0, 1 << 20), 1 << 20);
	assert_int_equal(fake.kernel_again, 0);
	assert_memory_equal(fake.buffer, fake.file, 1 << 20);
	fake.kernel_again = 10000;
	fake.clock_step = 1;
	assert_int_equal(move(false, 0, 0, 4096), -EREMOTEIO);
	assert_in_range(10000 - fake.kernel_again, 5, 20);
	/* That is a time, however many entries there are. */
	fake.kernel_again = 10000;
	for (i = 0; i < COUNT(ranges); i++)
		ranges[i] = (struct dmabuf_rw_range){ 0, i * 4096, 4096, 0, 0 };
	assert_int_equal(dmabuf_rw_read_many(binding, ranges, COUNT(ranges), 0, NULL), -EREMOTEIO);
	assert_int_equal(ranges[63].result, -EREMOTEIO);
	assert_in_range(10000 - fake.kernel_again, 64, 100);
}

static void a_signal_ends_the_asking_again(void **state)
{
	(void)state;
	bind_way(false);
	fake.kernel_again = 10000;
	fake.sleep_interrupts = 1;
	assert_int_equal(move(false, 0, 0, 4096), -EINTR);
	assert_in_range(10000 - fake.kernel_again, 5, 20);
	/* Also one that comes while an entry is waited for. */
	fake.wait_interrupts = 1;
	assert_int_equal(move(false, 0, 0, 4096), -EINTR);
	fake.kernel_again = 20;
	assert_int_equal(move(false, 0, 0, 4096), 4096);
}

static void forced_durability_flushes_and_counts_nothing_else(void **state)
{
	struct dmabuf_rw_range ranges[] = { { 0, 0, 4096, 0, 0 }, { 8192, 8192, 4096, 0, 0 } };
	struct dmabuf_rw_result r = { .size = sizeof(r) };

	(void)state;
	/* Of one with O_DIRECT the binding has a duplicate. */
	assert_int_equal(fcntl(fake.file_fd, F_SETFL, O_DIRECT), 0);
	bind_way(false);
	assert_int_equal(dmabuf_rw_write(binding, 0, 0, 4096, DMABUF_RW_IO_FUA, &r), 4096);
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(move(true, 0, 0, 4096), 4096);
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(dmabuf_rw_write_many(binding, ranges, 2, DMABUF_RW_IO_FUA, &r), 8192);
	assert_int_equal(fake.flushes, 2);
	fake.lost_errno = EIO;
	assert_int_equal(dmabuf_rw_write_many(binding, ranges, 2, 0, &r), 8192);
	ranges[1].flags = DMABUF_RW_IO_FUA;
	assert_int_equal(dmabuf_rw_write_many(binding, ranges, 2, 0, &r), 4096);
	assert_int_equal(ranges[1].result, -EIO);
	assert_int_equal(dmabuf_rw_write(binding, 0, 0, 4096, DMABUF_RW_IO_FUA, &r), -EIO);
	assert_int_equal(r.direct_bytes | r.kernel_bytes, 0);
}

static void what_the_kernel_says_is_told_as_the_module_says_it(void **state)
{
	static const struct { int said, told; } cases[] = {
		{ EIO, EIO }, { EREMOTEIO, EIO }, { EFAULT, ERANGE }, { EINVAL, EREMOTEIO },
		{ ENOLINK, ENOLINK }, { EBADE, EBADE }, { EPERM, EPERM },
	};
	size_t i;

	(void)state;
	bind_way(false);
	fake.bad_to = BYTES;
	for (i = 0; i < COUNT(cases); i++) {
		fake.bad_errno = cases[i].said;
		assert_int_equal(move(false, 0, 0, 4096), -cases[i].told);
	}
}

static void a_ring_that_is_forbidden_later_is_told_as_such(void **state)
{
	(void)state;
	bind_way(false);
	fake.enter_errno = EPERM;
	assert_int_equal(move(false, 0, 0, 4096), -EPERM);
	fake.enter_errno = 0;
	fake.ring_errno = ENOSYS;
	assert_int_equal(move(false, 0, 0, 4096), -ENOSYS);
	fake.ring_errno = 0;
	/* The exporter's word. */
	fake.kernel_errno = EOPNOTSUPP;
	assert_int_equal(move(false, 0, 0, 4096), -EREMOTEIO);
	fake.kernel_errno = 0;
	assert_int_equal(move(false, 0, 0, 4096), 4096);
}

static void a_disk_with_other_lbas_than_at_bind_is_told_as_such(void **state)
{
	(void)state;
	bind_way(false);
	fake.lba = 4096;
	assert_int_equal(move(false, LBA, 0, LBA), -EMEDIUMTYPE);
	assert_int_equal(move(false, 4096, 0, 4096), 4096);
	fake.lba = LBA;
	assert_int_equal(move(false, LBA, 0, LBA), LBA);
}

static void a_disk_that_has_gone_is_told_by_its_size(void **state)
{
	(void)state;
	bind_way(false);
	fake.gone = true;
	assert_int_equal(move(false, 0, 0, 4096), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KERNEL_TEST(without_the_module_the_kernel_serves_a_disk),
		KERNEL_TEST(the_module_comes_first_unless_another_way_is_chosen),
		KERNEL_TEST(what_the_module_refuses_the_kernel_may_take_but_for_bad_addresses),
		KERNEL_TEST(a_refusal_says_whether_there_is_an_interface),
		KERNEL_TEST(files_and_what_takes_no_o_direct_are_refused),
		KERNEL_TEST(a_buffer_above_the_limit_is_refused_for_its_size),
		KERNEL_TEST(the_open_modes_of_both_decide_the_directions),
		KERNEL_TEST(binding_leaves_the_buffer_where_its_exporter_has_it),
		KERNEL_TEST(want_of_memory_is_told_also_where_the_module_has_refused_the_pair),
		KERNEL_TEST(unknown_flags_are_refused_whoever_is_asked),
		KERNEL_TEST(o_sync_stays_when_the_file_is_opened_anew),
		KERNEL_TEST(o_append_of_a_disk_means_nothing),
		BOTH(long_transfers_arrive_whole),
		BOTH(refusals_have_the_same_errnos),
		BOTH(the_end_of_the_disk_is_short),
		BOTH(a_place_in_the_buffer_that_the_drive_cannot_be_given_bounces_or_is_edom),
		BOTH(an_error_leaves_a_count_without_a_gap),
		BOTH(pieces_arrive_in_their_order),
		BOTH(any_pieces_arrive),
		BOTH(a_batch_has_a_result_for_each),
		BOTH(signals_end_a_batch_that_has_moved_nothing_and_no_other),
		KERNEL_TEST(a_range_of_a_batch_may_be_longer_than_a_request),
		BOTH(unaligned_ends_bounce_and_the_middle_goes_direct),
		BOTH(a_signal_ends_a_long_transfer_between_its_parts),
		KERNEL_TEST(a_signal_ends_the_asking_again),
		KERNEL_TEST(eagain_is_asked_again_with_a_bound),
		KERNEL_TEST(forced_durability_flushes_and_counts_nothing_else),
		KERNEL_TEST(what_the_kernel_says_is_told_as_the_module_says_it),
		KERNEL_TEST(a_ring_that_is_forbidden_later_is_told_as_such),
		KERNEL_TEST(a_disk_with_other_lbas_than_at_bind_is_told_as_such),
		KERNEL_TEST(a_disk_that_has_gone_is_told_by_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
