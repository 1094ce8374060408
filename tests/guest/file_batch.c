// SPDX-License-Identifier: GPL-2.0
/*
 * file_batch.c - batches on regular files: blocks that nobody has looked up, holes, cached pages,
 * ends of files, and a file that changes meanwhile. Each transfer has what it would have alone.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv512p2"
#define FS_BYTES	(48 * MiB)
#define FILE_BYTES	(8 * MiB)
#define TAG		7
#define NR		64
#define STEP		(FILE_BYTES / NR)
#define RESULTS		DMABUF_RW_IO_RESULTS

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_range ranges[NR];
static int fd, binding;

static void open_all(const char *kind)
{
	fs_make(&fs, kind, ROLE, FS_BYTES, "", "");
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
	drw_ring(&ring, 8, 0);
}

static void finish(void)
{
	io_uring_queue_exit(&ring);
	close(binding);
	close(fd);
	mock_wait_clean(&buf);
	fs_finish(&fs);
}

/* Each from a part of the file of its own, to the same place in the buffer. */
static void make_ranges(u32 len)
{
	for (u32 i = 0; i < NR; i++)
		ranges[i] = (struct dmabuf_rw_range){ .file_off = i * STEP, .buf_off = i * STEP,
						      .len = len, .result = 77 };
}

static s64 transfer(bool use_ring, enum dmabuf_rw_op op, u64 flags)
{
	if (!use_ring)
		return drw_many(binding, op, ranges, NR, flags | RESULTS);
	drw_prep_many(io_uring_get_sqe(&ring), binding, op, ranges, NR, flags | RESULTS);
	return drw_ring_one(&ring);
}

static void blocks_are_looked_up_when_they_are_met(const void *arg)
{
	open_all(arg);
	fd = file_make_fragmented(&fs, "f", FILE_BYTES, 16 * KiB, TAG);
	for (int use_ring = 0; use_ring < 2; use_ring++) {
		binding = OK(drw_bind(buf.fd, fd));
		for (int again = 0; again < 3; again++) {
			u32 len = again == 2 ? STEP : 4096;

			make_ranges(len);
			buf_fill(&buf, 0, FILE_BYTES, TAG + 1, 0);
			CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, 0), NR * (u64)len);
			for (u32 i = 0; i < NR; i++) {
				CHECK_EQ(ranges[i].result, len, "%u", i);
				buf_check(&buf, i * STEP, len, TAG, i * STEP);
			}
		}
		close(binding);
	}
	binding = -1;
	finish();
}

static void holes_are_ENXIO_by_themselves(const void *arg)
{
	open_all(arg);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, FILE_BYTES));
	for (u32 i = 0; i < NR; i += 2)
		file_fill(fd, i * STEP, STEP / 2, TAG);
	SYS(fsync(fd));
	for (int use_ring = 0; use_ring < 2; use_ring++) {
		binding = OK(drw_bind(buf.fd, fd));
		make_ranges(STEP);
		buf_fill(&buf, 0, FILE_BYTES, TAG + 1, 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, 0), NR / 2 * (STEP / 2));
		for (u32 i = 0; i < NR; i++) {
			CHECK_EQ(ranges[i].result, i & 1 ? -ENXIO : (s64)STEP / 2, "%u", i);
			if (!(i & 1))
				buf_check(&buf, i * STEP, STEP / 2, TAG, i * STEP);
		}
		/* All of each, or an error. */
		FAILS(transfer(use_ring, DMABUF_RW_OP_READ, DMABUF_RW_IO_WHOLE), ENXIO);
		close(binding);
	}
	binding = -1;
	finish();
}

static void what_is_cached_and_what_is_written_agree(const void *arg)
{
	u8 *mem = data_alloc(4096), *want = data_alloc(4096);

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	for (int round = 0; round < 6; round++) {
		bool use_ring = round & 1;

		/* Every third is dirty in the cache; others are in it, or not. */
		for (u32 i = 0; i < NR; i += 3)
			file_fill(fd, i * STEP, 4096, TAG + 10 + round);
		make_ranges(4096);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, 0), NR * 4096);
		for (u32 i = 0; i < NR; i += 3)
			buf_check(&buf, i * STEP, 4096, TAG + 10 + round, i * STEP);

		for (u32 i = 0; i < NR; i += 2)
			file_get(fd, i * STEP, mem, 4096);
		buf_fill(&buf, 0, FILE_BYTES, TAG + 20 + round, 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_WRITE,
				  round < 3 ? 0 : DMABUF_RW_IO_FUA), NR * 4096);
		for (u32 i = 0; i < NR; i++) {
			CHECK_EQ(ranges[i].result, 4096, "%u", i);
			file_get(fd, i * STEP, mem, 4096);
			data_fill(want, 4096, TAG + 20 + round, i * STEP);
			data_check("file", mem, want, 4096, i * STEP);
		}
	}
	finish();
}

/* The last ones reach over the end, and one is of the last, partial LBA. */
static void ends_of_files_are_as_for_single_transfers(const void *arg)
{
	const u64 bytes = FILE_BYTES - STEP - 100;

	open_all(arg);
	fd = file_make(&fs, "f", bytes, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	for (int use_ring = 0; use_ring < 2; use_ring++) {
		make_ranges(STEP);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, 0), bytes);
		CHECK_EQ(ranges[NR - 2].result, STEP - 100);
		CHECK_EQ(ranges[NR - 1].result, 0);
		for (u32 i = 0; i < NR - 1; i++)
			buf_check(&buf, i * STEP, ranges[i].result, TAG, i * STEP);

		buf_fill(&buf, 0, FILE_BYTES, TAG + 1 + use_ring, 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_WRITE, 0), bytes);
		CHECK_EQ(ranges[NR - 2].result, STEP - 100);
		CHECK_EQ(ranges[NR - 1].result, -ENOSPC);
		CHECK_EQ(file_bytes(fd), bytes);
		file_check(fd, 0, bytes, TAG + 1 + use_ring);
		buf_fill(&buf, 0, FILE_BYTES, TAG, 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_WRITE, 0), bytes);
	}
	finish();
}

static bool stop;

/*
 * The second half comes and goes; blocks that it had may be anybody's meanwhile. On a slow machine
 * a transfer would wait for minutes beside one who never ends.
 */
static void *shorten_and_lengthen(void *arg)
{
	unsigned int left = harness_slow() > 1 ? 10 : UINT_MAX;

	while (left-- && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		SYS(ftruncate(fd, FILE_BYTES / 2));
		file_fill(fd, FILE_BYTES / 2, FILE_BYTES / 2, TAG);
		/* On a slow machine all that readers have to do takes longer. */
		usleep(2000 * harness_slow());
	}
	return NULL;
}

static void a_file_that_changes_gives_its_own_bytes_or_none(const void *arg)
{
	pthread_t thread;
	u64 moved = 0;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	stop = false;
	pthread_create(&thread, NULL, shorten_and_lengthen, NULL);
	for (u32 round = 0; round < MAX(12 / harness_slow(), 3); round++) {
		make_ranges(round % 3 ? 4096 : 16 * KiB);
		buf_fill(&buf, 0, FILE_BYTES, TAG + 1, 0);
		moved += MAX(transfer(round & 1, DMABUF_RW_OP_READ, 0), (s64)0);
		for (u32 i = 0; i < NR; i++) {
			s64 n = ranges[i].result;

			CHECK(n >= 0 || n == -ENXIO || n == -EBUSY, "%u: %lld", i, (long long)n);
			/* To wait for one's turn takes long on a slow machine, and has an end. */
			if (i < NR / 2 && (n != -EBUSY || harness_slow() == 1))
				CHECK_EQ(n, ranges[i].len, "%u", i);
			if (n > 0)
				buf_check(&buf, i * STEP, n, TAG, i * STEP);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(moved, "nothing was moved");
	finish();
}

static void add(void)
{
	fs_program();
	test_limit(90);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, blocks_are_looked_up_when_they_are_met);
		TEST_OF_KIND(i, holes_are_ENXIO_by_themselves);
		TEST_OF_KIND(i, what_is_cached_and_what_is_written_agree);
		TEST_OF_KIND(i, ends_of_files_are_as_for_single_transfers);
		TEST_OF_KIND(i, a_file_that_changes_gives_its_own_bytes_or_none);
	}
}

const struct program program = { "file_batch", add, .debug = true };
