// SPDX-License-Identifier: MIT
/*
 * lib_bounce_around.c - what bouncing leaves alone: the page cache, and all that can go direct
 * or belongs to others' transfers on bindings that bounce what the module refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/fiemap.h>

#include "fixture_bounce.h"

/* ---- the page cache ------------------------------------------------------------------------ */

#define CACHED_FILE (8 * CHUNK)
#define CACHED_PAGES (CACHED_FILE / FAKE_PAGE)

enum pattern { NONE, ALL, FIRST_HALF, ONE, EVERY_OTHER, RUNS, PATTERNS };

static bool was_cached(enum pattern pattern, unsigned int page)
{
	switch (pattern) {
	case ALL:
		return true;
	case FIRST_HALF:
		return page < CACHED_PAGES / 2;
	case ONE:
		return page == CACHED_PAGES / 2 + 3;
	case EVERY_OTHER:
		return page % 2;
	case RUNS:
		return page / 5 % 3 == 1;
	default:
		return false;
	}
}

/* A file that takes no O_DIRECT, of which others have cached what the pattern says. */
static void cached_binding(enum pattern pattern, bool dontcache, bool ring)
{
	unsigned int i;

	fake.ring_errno = ring ? 0 : EPERM;
	fake.dontcache = dontcache;
	bounce_only_binding(CACHED_FILE, CACHED_FILE + FAKE_PAGE, true);
	assert_int_equal(fake.random_fds, 1);
	fake.random_fds = fake.drops = 0;
	for (i = 0; i < FAKE_PAGES; i++)
		fake.pages[i] = i < CACHED_PAGES && was_cached(pattern, i) ? FAKE_CLEAN :
									     FAKE_ABSENT;
}

static const struct {
	uint64_t off, len;
} cached_ranges[] = {
	{ 0, CACHED_FILE }, { 1, 1 }, { 4095, 2 }, { 4096, 4096 }, { 5000, 3 * CHUNK },
	{ 12288, 2 * CHUNK + 1 }, { CHUNK - 1, 6 * CHUNK + 4098 }, { 7 * CHUNK + 9, 4000 },
};

static void reads_leave_the_page_cache_as_it_was(void **state)
{
	unsigned int how, pattern, i, page;

	(void)state;
	for (how = 0; how < 4; how++)
		for (pattern = 0; pattern < PATTERNS; pattern++)
			for (i = 0; i < COUNT(cached_ranges); i++) {
				uint64_t f = cached_ranges[i].off, n = cached_ranges[i].len;

				cached_binding(pattern, how & 1, how & 2);
				assert_int_equal(move(false, f, 3, n), n);
				assert_memory_equal(fake.file + f, fake.buffer + 3, n);
				for (page = 0; page < FAKE_PAGES; page++)
					assert_int_equal(fake.pages[page],
							 page < CACHED_PAGES &&
							 was_cached(pattern, page));
				/* Where the kernel does it, nobody else has to. */
				assert_int_equal(how & 1 ? fake.drops : 0, 0);
				unbind();
			}
}

/* What is behind the end cannot be cached, and is no reason to read page by page. */
static void a_read_over_the_end_leaves_nothing_either(void **state)
{
	unsigned int page;

	(void)state;
	bounce_only_binding(CHUNK + 100, CACHED_FILE, true);
	assert_int_equal(move(false, 10, 0, CACHED_FILE), CHUNK + 90);
	for (page = 0; page < FAKE_PAGES; page++)
		assert_int_equal(fake.pages[page], FAKE_ABSENT);
	assert_in_range(fake.plain_ios, 2, 10);
}

/* Pages that are written in part stay for who writes the rest of them. */
static void whole_pages_that_were_written_are_dropped(void **state)
{
	unsigned int how, pattern, i, page;

	(void)state;
	for (how = 0; how < 4; how++)
		for (pattern = 0; pattern < PATTERNS; pattern++)
			for (i = 0; i < COUNT(cached_ranges); i++) {
				uint64_t f = cached_ranges[i].off, n = cached_ranges[i].len;

				cached_binding(pattern, how & 1, how & 2);
				assert_int_equal(move(true, f, 0, n), n);
				assert_memory_equal(fake.file + f, fake.buffer, n);
				for (page = 0; page < FAKE_PAGES; page++) {
					uint64_t at = page * FAKE_PAGE, end = at + FAKE_PAGE;
					bool in_part = at < f + n && end > f &&
						       (at < f || end > f + n);

					assert_int_equal(fake.pages[page] != FAKE_ABSENT,
							 in_part || (page < CACHED_PAGES &&
								     was_cached(pattern, page)));
				}
				unbind();
			}
}

static void unaligned_ends_of_writes_stay_in_the_page_cache(void **state)
{
	unsigned int page;

	(void)state;
	bounce_only_binding(CACHED_FILE, CACHED_FILE, false);
	assert_int_equal(move(true, 5000, 0, 3 * CHUNK), 3 * CHUNK);
	for (page = 0; page < FAKE_PAGES; page++)
		assert_int_equal(fake.pages[page],
				 page == 1 || page == (5000 + 3 * CHUNK) / FAKE_PAGE ?
				 FAKE_DIRTY : FAKE_ABSENT);
	assert_int_equal(fake.drops, 0);
}

/* It may be somebody else's. */
static void what_cannot_be_asked_about_is_not_dropped(void **state)
{
	static const int errs[] = { EPERM, ENOSYS, EOPNOTSUPP };
	unsigned int i, page;
	bool write;

	(void)state;
	for (i = 0; i < COUNT(errs); i++)
		for (write = false;; write = true) {
			cached_binding(ONE, false, true);
			fake.cachestat_errno = errs[i];
			assert_int_equal(move(write, 0, 0, CACHED_FILE), CACHED_FILE);
			for (page = 0; page < CACHED_PAGES; page++)
				assert_int_not_equal(fake.pages[page], FAKE_ABSENT);
			unbind();
			if (write)
				break;
		}
	/* Nor is what cannot be waited for, by whatever kind of file. */
	cached_binding(NONE, false, true);
	fake.cachestat_errno = 0;
	fake.sync_range_errno = ESPIPE;
	assert_int_equal(move(true, 0, 0, CACHED_FILE), CACHED_FILE);
	assert_int_equal(result.error, 0);
	assert_int_equal(fake.drops, 0);
}

/* As with O_DIRECT, what is counted has reached the drive. */
static void bytes_that_are_not_written_back_do_not_count(void **state)
{
	bool ring;

	(void)state;
	for (ring = false;; ring = true) {
		cached_binding(NONE, false, ring);
		fake.lost_from = 3 * CHUNK + 4096;
		fake.lost_to = fake.lost_from + 1;
		fake.lost_errno = EIO;
		assert_int_equal(move(true, 0, 0, CACHED_FILE), 3 * CHUNK);
		assert_int_equal(result.error, EIO);
		assert_int_equal(result.bounced_bytes, 3 * CHUNK);
		assert_int_equal(move(true, 3 * CHUNK, 0, CHUNK), -EIO);
		assert_int_equal(result.path, DMABUF_RW_PATH_NONE);
		assert_int_equal(move(true, 0, 0, 3 * CHUNK), 3 * CHUNK);
		assert_int_equal(result.error, 0);
		unbind();
		if (ring)
			break;
	}
}

/* ---- direct where possible ---------------------------------------------------------------- */

static void only_the_unaligned_ends_of_a_transfer_bounce(void **state)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	bool write;

	(void)state;
	for (write = false;; write = true) {
		mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 4);
		/* 100 bytes to the first LBA's end, 7 after the last one's beginning. */
		assert_int_equal(move(write, 412, 100, 100 + 3 * CHUNK + 7),
				 100 + 3 * CHUNK + 7);
		assert_int_equal(result.path, PATH_MIXED);
		assert_int_equal(result.direct_bytes, 3 * CHUNK);
		assert_int_equal(result.bounced_bytes, 107);
		assert_memory_equal(fake.file + 412, fake.buffer + 100, 107 + 3 * CHUNK);
		if (write) {
			expect_file_untouched(0, 412);
			expect_file_untouched(412 + 107 + 3 * CHUNK, 8 * CHUNK);
		} else {
			expect_buffer_untouched(0, 100);
			expect_buffer_untouched(100 + 107 + 3 * CHUNK, 8 * CHUNK);
		}
		assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
		assert_int_equal(stats.mixed_transfers, 1);
		assert_int_equal(stats.bounced_bytes, 107);
		unbind();
		if (write)
			break;
	}
}

static void where_the_buffer_does_not_fit_all_of_it_bounces(void **state)
{
	(void)state;
	mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 4);
	assert_int_equal(move(false, 512, 3, 2 * CHUNK), 2 * CHUNK);
	assert_int_equal(result.path, DMABUF_RW_PATH_BOUNCED);
	assert_memory_equal(fake.file + 512, fake.buffer + 3, 2 * CHUNK);
	assert_int_equal(move(false, 100, 200, 50), 50);
	assert_int_equal(result.path, DMABUF_RW_PATH_BOUNCED);
}

static void unaligned_pieces_are_bounced_where_they_must(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = {
		{ 0, 1000 }, { 8192, CHUNK }, { 4096, 24 },
	};

	(void)state;
	mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 1);
	assert_int_equal(dmabuf_rw_readv(binding, 12, pieces, 3, 0, NULL), CHUNK + 1024);
	assert_memory_equal(fake.buffer, fake.file + 12, 1000);
	assert_memory_equal(fake.buffer + 8192, fake.file + 1012, CHUNK);
	assert_memory_equal(fake.buffer + 4096, fake.file + 1012 + CHUNK, 24);
	expect_buffer_untouched(1000, 4096);
	expect_buffer_untouched(4120, 8192);
}

static void never_written_ranges_are_read_through_memory(void **state)
{
	(void)state;
	mixed_binding(32 * CHUNK, 32 * CHUNK, 512, 4);
	fake.bad_errno = ENXIO;
	fake.bad_from = CHUNK;
	fake.bad_to = 2 * CHUNK;
	assert_int_equal(move(false, 0, 0, 32 * CHUNK), 32 * CHUNK);
	assert_int_equal(result.path, PATH_MIXED);
	assert_true(result.bounced_bytes >= CHUNK);
	assert_true(result.direct_bytes >= 8 * CHUNK);
	assert_memory_equal(fake.file, fake.buffer, 32 * CHUNK);
}

static void holes_do_not_keep_a_pair_from_going_direct(void **state)
{
	struct dmabuf_rw_error why;

	(void)state;
	file_binding(32 * CHUNK, 32 * CHUNK, true);
	fake.bad_errno = ENXIO;
	fake.bad_from = CHUNK;
	fake.bad_to = 2 * CHUNK;
	assert_int_equal(fake.bind.flags, 0);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), PATH_MIXED);
	assert_int_equal(move(false, 0, 0, 32 * CHUNK), 32 * CHUNK);
	assert_int_equal(result.path, PATH_MIXED);
	assert_memory_equal(fake.file, fake.buffer, 32 * CHUNK);
	/* Who cannot read them otherwise is told. */
	fake.mmap_errno = EINVAL;
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_MODULE);
	assert_int_equal(move(false, 0, 0, 32 * CHUNK), CHUNK);
	assert_int_equal(result.error, ENXIO);
}

static void never_written_ranges_are_written_through_memory(void **state)
{
	static const struct {
		uint64_t file_off, buf_off, len;
	} cases[] = {
		{ 0, 0, 8 * CHUNK }, { 1, 3, 8 * CHUNK - 1 }, { CHUNK + 5, 1, 100 },
		{ CHUNK - 7, 0, CHUNK + 14 }, { CHUNK + 4096, 4096, 8192 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		uint64_t f = cases[i].file_off, b = cases[i].buf_off, n = cases[i].len;

		file_binding(8 * CHUNK, 9 * CHUNK, true);
		fake.bad_errno = ENXIO;
		fake.bad_from = CHUNK;
		fake.bad_to = 2 * CHUNK;
		assert_int_equal(move(true, f, b, n), n);
		assert_true(result.path & DMABUF_RW_PATH_BOUNCED);
		assert_memory_equal(fake.file + f, fake.buffer + b, n);
		expect_file_untouched(0, f);
		expect_file_untouched(f + n, 8 * CHUNK);
		unbind();
	}
}

/* Not even by pwrite(), which could. */
static void a_write_to_a_hole_at_the_end_makes_no_file_longer(void **state)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };

	(void)state;
	file_binding(10001, 65536, true);
	fake.bad_errno = ENXIO;
	fake.bad_from = 0;
	fake.bad_to = 10001;
	assert_int_equal(move(true, 4096, 0, 8192), 10001 - 4096);
	assert_int_equal(result.error, ENOSPC);
	assert_int_equal(result.path, DMABUF_RW_PATH_BOUNCED);
	assert_memory_equal(fake.file + 4096, fake.buffer, 10001 - 4096);
	assert_int_equal(lseek(fake.file_fd, 0, SEEK_END), 10001);
}

static void other_errors_of_the_drive_do_not_bounce(void **state)
{
	static const int errs[] = { EIO, ENODATA, ESTALE, ENODEV, EACCES, ENOSPC, EINTR };
	size_t i;

	(void)state;
	mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 4);
	fake.bad_from = CHUNK;
	fake.bad_to = 2 * CHUNK;
	for (i = 0; i < COUNT(errs); i++) {
		fake.bad_errno = errs[i];
		assert_int_equal(move(false, CHUNK, 0, CHUNK), -errs[i]);
	}
	assert_int_equal(fake.direct_ios + fake.plain_ios, 0);
}

static void a_read_over_the_end_of_a_bound_file_stays_direct(void **state)
{
	(void)state;
	mixed_binding(10001, 65536, 512, 4);
	assert_int_equal(move(false, 512, 4, 10001 - 512), 10001 - 512);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
	assert_int_equal(move(false, 0, 0, 65536), 10001);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
	/* Odd, and over it. */
	assert_int_equal(move(false, 3, 1, 65535), 10001 - 3);
	assert_int_equal(result.error, 0);
}

/* ---- unaligned writes to what is bound --------------------------------------------------- */

static void an_unaligned_write_to_a_file_changes_nothing_around_it(void **state)
{
	static const struct {
		uint64_t file_off, buf_off, len;
	} cases[] = {
		{ 0, 0, 1 }, { 511, 5, 1 }, { 511, 5, 2 }, { 100, 7, 50 }, { 512, 3, 512 },
		{ 513, 4, 511 }, { 1, 1, 2 << 20 }, { 700, 0, 3 << 20 }, { 4096, 1, 1 << 20 },
		{ (4 << 20) + 512, 0, 489 }, { (4 << 20) + 999, 8, 2 }, { 5, 5, (4 << 20) + 996 },
	};
	const uint64_t size = (4 << 20) + 1001;
	size_t i;
	int sgl;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		for (sgl = 0; sgl < 2; sgl++) {
			uint64_t f = cases[i].file_off, b = cases[i].buf_off, n = cases[i].len;

			file_binding(size, 8 << 20, sgl);
			fake.plain_ios = 0;
			assert_int_equal(move(true, f, b, n), n);
			assert_int_equal(result.direct_bytes + result.bounced_bytes, n);
			assert_memory_equal(fake.file + f, fake.buffer + b, n);
			expect_file_untouched(0, f);
			expect_file_untouched(f + n, size);
			/* The page cache sees no more than the end that no LBA has to itself. */
			assert_in_range(fake.plain_ios, 0, !sgl && f + n > 4 << 20);
			assert_int_equal(fake.open_syncs, 0);
			unbind();
		}
}

static void whole_LBAs_of_an_unaligned_write_stay_direct(void **state)
{
	(void)state;
	file_binding(8 * CHUNK + 100, 9 * CHUNK, true);
	assert_int_equal(move(true, 412, 3, 100 + 3 * CHUNK + 7), 107 + 3 * CHUNK);
	assert_int_equal(result.path, PATH_MIXED);
	assert_int_equal(result.direct_bytes, 3 * CHUNK);
	/* One that ends with the file needs none of it. */
	assert_int_equal(move(true, 512, 3, 8 * CHUNK + 100 - 512), 8 * CHUNK + 100 - 512);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
}

static void without_permission_an_unaligned_write_is_refused_as_a_whole(void **state)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_IO, .err = EDOM };
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &bind_error };

	(void)state;
	file_binding(65536, 65536, true);
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_MODULE);
	assert_int_equal(move(true, 100, 0, 8192), -EDOM);
	expect_file_untouched(0, 65536);
	/* Reading is direct at any byte. */
	assert_int_equal(move(false, 100, 0, 8192), 8192);
	assert_int_equal(result.path, DMABUF_RW_PATH_MODULE);
	/* So it is where the CPU cannot reach the buffer, and the sentence says that. */
	fake.mmap_errno = EINVAL;
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(move(true, 100, 0, 8192), -EDOM);
	assert_non_null(strstr(dmabuf_rw_error_remedy(&error), "CPU mapping or a copy function"));
}

/* What is stored within one LBA by several threads, byte by byte. */
#define WRITERS	4
#define ROUNDS	24

static void *write_every_fourth(void *arg)
{
	uint64_t first = (uintptr_t)arg, i;

	for (i = first; i < WRITERS * ROUNDS; i += WRITERS)
		if (dmabuf_rw_write(binding, 4096 + 37 * i, 37 * i, 37, 0, NULL) != 37)
			return "a write failed";
	return NULL;
}

static void unaligned_writes_of_threads_do_not_undo_each_other(void **state)
{
	pthread_t threads[WRITERS];
	uintptr_t i;
	void *ret;

	(void)state;
	file_binding(65536, 65536, true);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_every_fourth,
						(void *)i), 0);
	for (i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], &ret);
		if (ret)
			fail_msg("%s", (char *)ret);
	}
	assert_memory_equal(fake.file + 4096, fake.buffer, 37 * WRITERS * ROUNDS);
	expect_file_untouched(0, 4096);
	expect_file_untouched(4096 + 37 * WRITERS * ROUNDS, 65536);
}

/*
 * The page cache would read and write all of such an LBA's page, with LBAs in it that another
 * transfer may be writing directly.
 */
static void an_unaligned_write_to_a_disk_touches_its_own_LBAs_only(void **state)
{
	static const struct {
		uint64_t file_off, buf_off, len;
		bool direct;	/* some of it goes by O_DIRECT */
	} cases[] = {
		{ 0, 0, 5000, false }, { 5120, 4, 1000, false }, { 513, 1, 100, false },
		/* Where the buffer does not fit, whole blocks need no scratch memory. */
		{ 100, 7, 3 * CHUNK, true }, { 4096, 1, CHUNK, true },
		{ 512, 1, 3584, false }, { 512, 1, 3584 + 4096 + 1, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		uint64_t f = cases[i].file_off, b = cases[i].buf_off, n = cases[i].len;

		mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 4);
		fake.direct_ios = 0;
		assert_int_equal(move(true, f, b, n), n);
		assert_memory_equal(fake.file + f, fake.buffer + b, n);
		expect_file_untouched(0, f);
		expect_file_untouched(f + n, 8 * CHUNK);
		assert_int_equal(fake.plain_ios, 0);
		assert_int_equal(fake.direct_ios != 0, cases[i].direct);
		unbind();
	}
	mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 4);
	fake.udmabuf_errno = ENOENT;
	assert_int_equal(move(true, 1, 0, 100), -EDOM);
	expect_file_untouched(0, 8 * CHUNK);
}

static void want_of_memory_or_descriptors_is_no_silent_lack_of_bouncing(void **state)
{
	(void)state;
	mixed_binding(65536, 65536, 512, 4);
	fake.dup_errno = EMFILE;
	assert_int_equal(bind_bounce(NULL), -EMFILE);
	assert_int_equal(bind_error.err, EMFILE);
	fake.dup_errno = 0;
}

static void a_bound_file_does_not_grow_by_bouncing(void **state)
{
	(void)state;
	file_binding(10001, 65536, true);
	assert_int_equal(move(true, 9999, 1, 100), 2);
	assert_int_equal(result.error, ENOSPC);
	assert_int_equal(result.path, DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(move(true, 10001, 1, 100), -ENOSPC);
}

static void the_size_is_that_of_the_moment(void **state)
{
	(void)state;
	file_binding(65536, 65536, true);
	assert_int_equal(move(true, 60001, 1, 100), 100);
	fake_lock();
	assert_int_equal(ftruncate(fake.file_fd, 50001), 0);
	fake.file_bytes = 50001;
	fake_unlock();
	assert_int_equal(move(true, 60001, 1, 100), -ENOSPC);
	assert_int_equal(move(true, 50000, 1, 100), 1);
	assert_int_equal(lseek(fake.file_fd, 0, SEEK_END), 50001);
	/* As it was, for what maps it. */
	assert_int_equal(ftruncate(fake.file_fd, 65536), 0);
	fake.file_bytes = 65536;
}

/* What does not come would be taken from another transfer. */
static void an_edge_that_cannot_be_read_is_not_written(void **state)
{
	(void)state;
	mixed_binding(65536, 65536, 512, 4);
	assert_int_equal(move(true, 1000, 1, 2000), 2000);
	fake.reads_nothing = true;
	assert_int_equal(move(true, 8292, 1, 50), -EIO);
	expect_file_untouched(8192, 8704);
}

static struct dmabuf_rw_binding *other;

/* Writes an odd range itself before it copies, as a cache of blocks might. */
static int copy_and_write(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off, void *host,
			  size_t len)
{
	(void)arg;
	assert_int_equal(direction, DMABUF_RW_COPY_FROM_BUFFER);
	assert_int_equal(dmabuf_rw_write(other, 40001, 40001, 77, 0, NULL), 77);
	memcpy(host, fake.buffer + buf_off, len);
	return 0;
}

static void a_copy_function_may_write_unaligned_ranges_itself(void **state)
{
	struct dmabuf_rw_binding_opts opts = bounce_opts();

	(void)state;
	mixed_binding(65536, 65536, 512, 4);
	other = binding;
	binding = NULL;
	opts.copy = copy_and_write;
	assert_int_equal(bind_bounce(&opts), 0);
	assert_int_equal(move(true, 1001, 3, 5000), 5000);
	assert_memory_equal(fake.file + 1001, fake.buffer + 3, 5000);
	assert_memory_equal(fake.file + 40001, fake.buffer + 40001, 77);
	dmabuf_rw_binding_destroy(other);
}

static void without_scratch_memory_an_unaligned_write_is_refused(void **state)
{
	(void)state;
	file_binding(65536, 65536, false);
	fake.udmabuf_errno = ENOENT;
	assert_int_equal(move(true, 1, 0, 100), -EDOM);
	fake.udmabuf_errno = EMFILE;
	assert_int_equal(move(true, 1, 0, 100), -EMFILE);
	expect_file_untouched(0, 65536);
	/* It is tried again, and reading does without. */
	fake.udmabuf_errno = 0;
	assert_int_equal(move(false, 1, 0, 100), 100);
	assert_int_equal(move(true, 1, 0, 100), 100);
	fake.bad_errno = EIO;
	fake.bad_from = 0;
	fake.bad_to = 512;
	assert_int_equal(move(true, 1, 0, 100), -EIO);
}

/* ---- clones ------------------------------------------------------------------------------- */

static void a_clone_is_refused_when_it_is_bound(void **state)
{
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &bind_error };
	struct dmabuf_rw_error why;

	(void)state;
	fake_pair(8 * CHUNK, 8 * CHUNK);
	fake.info_flags = DMABUF_RW_INFO_REGULAR | DMABUF_RW_INFO_NO_BLOCKS;
	fake.bad_errno = ENXIO;
	fake.bad_to = 8 * CHUNK;
	fake.xfs = true;
	/* Of eight places the last one has been written. */
	fake.written_from = 7 * CHUNK;
	fake.written_to = 8 * CHUNK;
	assert_int_equal(bind_bounce(&opts), -ENXIO);
	assert_int_equal(bind_error.reason, DMABUF_RW_REASON_CLONE);
	assert_int_equal(bind_error.call, DMABUF_RW_CALL_BIND);
	assert_non_null(strstr(dmabuf_rw_error_remedy(&bind_error), "cp --reflink=never"));
	/* Or bounces as a whole, without the drive being asked again and again. */
	assert_int_equal(bind_bounce(NULL), 0);
	assert_int_equal(dmabuf_rw_binding_refusal(binding, &why), 1);
	assert_int_equal(why.reason, DMABUF_RW_REASON_CLONE);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(move(false, 0, 0, 8 * CHUNK), 8 * CHUNK);
	assert_int_equal(fake.transfers, 0);
}

static void what_may_be_no_clone_is_bound(void **state)
{
	static const struct {
		uint64_t from, to;
		uint32_t flags;
		bool xfs;
		uint32_t reason;
	} cases[] = {
		/* Between the places that were looked at. */
		{ CHUNK + 4096, CHUNK + 8192, 0, true, 0 },
		{ 0, 8 * CHUNK, FIEMAP_EXTENT_UNWRITTEN, true, DMABUF_RW_REASON_NEVER_WRITTEN },
		{ 0, 8 * CHUNK, FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNKNOWN, true, 0 },
		{ 0, 0, 0, true, DMABUF_RW_REASON_NEVER_WRITTEN },
		{ 0, 0, 0, false, DMABUF_RW_REASON_NEVER_WRITTEN },
		{ 0, 8 * CHUNK, 0, false, 0 },
	};
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &bind_error };
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_error why;
	size_t i;

	(void)state;
	fake_pair(8 * CHUNK, 8 * CHUNK);
	fake.info_flags = DMABUF_RW_INFO_REGULAR | DMABUF_RW_INFO_NO_BLOCKS;
	for (i = 0; i < COUNT(cases); i++) {
		fake.written_from = cases[i].from;
		fake.written_to = cases[i].to;
		fake.extent_flags = cases[i].flags;
		fake.xfs = cases[i].xfs;
		assert_int_equal(bind_bounce(&opts), 0);
		assert_int_equal(dmabuf_rw_binding_info(binding, &info), 0);
		assert_int_equal(dmabuf_rw_info_refusal(&info, fake.file_fd, &why),
				 cases[i].reason != 0);
		assert_int_equal(why.reason, cases[i].reason);
		assert_int_equal(why.err, cases[i].reason ? ENXIO : 0);
	}
	/* BIND looks at a few places of a file on XFS only. */
	info.flags = DMABUF_RW_INFO_REGULAR;
	fake.written_from = fake.written_to = 0;
	assert_int_equal(dmabuf_rw_info_refusal(&info, fake.file_fd, &why), 1);
	/* What the file system does not tell is not guessed. */
	assert_int_equal(dmabuf_rw_info_refusal(&info, -1, &why), 0);
	/* There are no bytes to be refused. */
	info.file_bytes = 0;
	assert_int_equal(dmabuf_rw_info_refusal(&info, fake.file_fd, &why), 0);
}

static uint32_t reason_at(uint64_t off, int err)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_IO, .err = err };

	dmabuf_rw_error_explain(&error, fake.file_fd, off);
	return error.reason;
}

static void an_error_of_a_transfer_tells_a_clone_from_a_hole(void **state)
{
	(void)state;
	fake_pair(8 * CHUNK, 8 * CHUNK);
	fake.xfs = true;
	fake.written_from = 4096;
	fake.written_to = 8192;
	assert_int_equal(reason_at(0, ENXIO), DMABUF_RW_REASON_NEVER_WRITTEN);
	assert_int_equal(reason_at(4096, ENXIO), DMABUF_RW_REASON_CLONE);
	assert_int_equal(reason_at(8191, ENXIO), DMABUF_RW_REASON_CLONE);
	assert_int_equal(reason_at(8192, ENXIO), DMABUF_RW_REASON_NEVER_WRITTEN);
	assert_int_equal(reason_at(4096, EIO), 0);
	fake.extent_flags = FIEMAP_EXTENT_UNWRITTEN;
	assert_int_equal(reason_at(4096, ENXIO), DMABUF_RW_REASON_NEVER_WRITTEN);
	/* There are none on ext4. */
	fake.extent_flags = 0;
	fake.xfs = false;
	assert_int_equal(reason_at(4096, ENXIO), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOUNCE_TEST(reads_leave_the_page_cache_as_it_was),
		BOUNCE_TEST(a_read_over_the_end_leaves_nothing_either),
		BOUNCE_TEST(whole_pages_that_were_written_are_dropped),
		BOUNCE_TEST(unaligned_ends_of_writes_stay_in_the_page_cache),
		BOUNCE_TEST(what_cannot_be_asked_about_is_not_dropped),
		BOUNCE_TEST(bytes_that_are_not_written_back_do_not_count),
		BOUNCE_TEST(only_the_unaligned_ends_of_a_transfer_bounce),
		BOUNCE_TEST(where_the_buffer_does_not_fit_all_of_it_bounces),
		BOUNCE_TEST(unaligned_pieces_are_bounced_where_they_must),
		BOUNCE_TEST(never_written_ranges_are_read_through_memory),
		BOUNCE_TEST(holes_do_not_keep_a_pair_from_going_direct),
		BOUNCE_TEST(never_written_ranges_are_written_through_memory),
		BOUNCE_TEST(a_write_to_a_hole_at_the_end_makes_no_file_longer),
		BOUNCE_TEST(other_errors_of_the_drive_do_not_bounce),
		BOUNCE_TEST(a_read_over_the_end_of_a_bound_file_stays_direct),
		BOUNCE_TEST(an_unaligned_write_to_a_file_changes_nothing_around_it),
		BOUNCE_TEST(whole_LBAs_of_an_unaligned_write_stay_direct),
		BOUNCE_TEST(without_permission_an_unaligned_write_is_refused_as_a_whole),
		BOUNCE_TEST(unaligned_writes_of_threads_do_not_undo_each_other),
		BOUNCE_TEST(an_unaligned_write_to_a_disk_touches_its_own_LBAs_only),
		BOUNCE_TEST(want_of_memory_or_descriptors_is_no_silent_lack_of_bouncing),
		BOUNCE_TEST(a_bound_file_does_not_grow_by_bouncing),
		BOUNCE_TEST(the_size_is_that_of_the_moment),
		BOUNCE_TEST(an_edge_that_cannot_be_read_is_not_written),
		BOUNCE_TEST(a_copy_function_may_write_unaligned_ranges_itself),
		BOUNCE_TEST(without_scratch_memory_an_unaligned_write_is_refused),
		BOUNCE_TEST(a_clone_is_refused_when_it_is_bound),
		BOUNCE_TEST(what_may_be_no_clone_is_bound),
		BOUNCE_TEST(an_error_of_a_transfer_tells_a_clone_from_a_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
