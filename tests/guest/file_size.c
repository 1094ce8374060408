// SPDX-License-Identifier: GPL-2.0
/*
 * file_size.c - sizes near the top: a file of 100 GiB in a thousand extents, and transfers of
 * as many bytes as one may move.
 *
 * The disk is larger than what holds its image, so next to nothing may be written to it: the
 * blocks of the files are allocated only, and reads of what was never written are free of cost.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"big512"
#define GiB		(1024 * MiB)
#define FILE_BYTES	(100 * GiB)
#define PIECE		(100 * MiB)
#define PIECES		(FILE_BYTES / PIECE)
#define RANGE		(128 * KiB)	/* what is remembered by one bit */
#define RANGES		15
#define TAG		1

static struct disk disk;
static struct fs fs;
static struct buf buf;
static int fd, binding;

/* ---- files -------------------------------------------------------------------------- */

/*
 * A file whose every piece is elsewhere: from the last one on, so that there are no free blocks
 * in front of the one that is there already.
 */
static void make_pieces(void)
{
	for (u64 i = PIECES; i-- > 0;)
		SYS(fallocate(fd, 0, i * PIECE, PIECE));
}

/* Extents whose blocks do not follow one another, whether or not they have been written. */
static unsigned int count_extents(void)
{
	struct file_extent e;
	unsigned int nr = 0;
	u64 pos = 0, end = 0;

	for (; pos < FILE_BYTES && file_extent(fd, pos, &e); pos = e.pos + e.len) {
		CHECK_EQ(e.pos, pos, "a hole");
		nr += !nr || e.at != end;
		end = e.at + e.len;
	}
	CHECK(pos >= FILE_BYTES, "it ends at %llu", (unsigned long long)pos);
	return nr;
}

/* In steps that have nothing to do with pieces; the last range is that of the file. */
static u64 range_at(unsigned int i)
{
	return i == RANGES - 1 ? FILE_BYTES - RANGE :
				 ROUND_DOWN(FILE_BYTES / RANGES * i + 7 * PIECE / 3, RANGE);
}

static u64 metadata(int file)
{
	struct dmabuf_rw_info info;
	int b = OK(drw_bind(buf.fd, file));

	OK(drw_info(b, &info));
	close(b);
	return info.metadata_bytes;
}

static u64 timed_read(u64 pos, u64 len)
{
	u64 start;

	buf_fill(&buf, 0, len, 99, 0);
	start = now_us();
	CHECK_EQ(drw_read(binding, pos, 0, len), len);
	start = now_us() - start;
	buf_check(&buf, 0, len, TAG, pos);
	return start;
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static u64 median(u64 *times)
{
	qsort(times, RANGES, sizeof(*times), compare);
	return times[RANGES / 2];
}

static void a_file_of_a_thousand_extents_costs_little(const void *arg)
{
	u64 start, bind_us, first_us[RANGES], second_us[RANGES], bytes, edge;
	struct dmabuf_rw_info info;
	unsigned int nr;

	fs_make(&fs, arg, ROLE, 0, strcmp(arg, "xfs") ? "-O ^resize_inode -i 16777216" :
		"-l size=16m", "");
	buf_create(&buf, &exporter_mock_contiguous, MiB);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	make_pieces();
	CHECK_EQ(file_bytes(fd), FILE_BYTES);
	/* What is written is at a few places, and over the edge of a piece. */
	edge = 500 * PIECE - RANGE / 2;
	file_fill(fd, edge, RANGE, TAG);
	for (unsigned int i = 0; i < RANGES; i++)
		file_fill(fd, range_at(i), RANGE, TAG);
	SYS(fsync(fd));
	nr = count_extents();
	CHECK(nr >= 1000 && nr < 1100, "%u extents", nr);

	start = now_us();
	binding = OK(drw_bind(buf.fd, fd));
	bind_us = now_us() - start;
	OK(drw_info(binding, &info));
	CHECK_EQ(info.file_bytes, FILE_BYTES);
	CHECK_EQ(info.file_extents, nr);
	bytes = info.metadata_bytes - metadata(fs.disk.fd);
	/* 16 bytes an extent, and a bit for each range. */
	CHECK(bytes >= 16 * nr + FILE_BYTES / RANGE / 8 &&
	      bytes < 16 * nr + FILE_BYTES / RANGE / 8 + 64, "%llu", (unsigned long long)bytes);
	CHECK(bytes < 150 * KiB, "%llu", (unsigned long long)bytes);

	for (unsigned int i = 0; i < RANGES; i++) {
		first_us[i] = timed_read(range_at(i), RANGE);
		second_us[i] = timed_read(range_at(i), RANGE);
	}
	note("%s: %u extents, %llu bytes, bound in %llu us", fs.kind, nr,
	     (unsigned long long)bytes, (unsigned long long)bind_us);
	note("128 KiB are read in %llu us, when their blocks are known in %llu us",
	     (unsigned long long)median(first_us), (unsigned long long)median(second_us));
	timed_read(edge, RANGE);
	/* Nothing is known of what lies between. */
	FAILS(drw_read(binding, range_at(1) + RANGE, 0, RANGE), ENXIO);
	FAILS(drw_write(binding, range_at(1) - RANGE, 0, RANGE), ENXIO);
	buf_fill(&buf, 0, RANGE, 3, 0);
	CHECK_EQ(drw_write(binding, FILE_BYTES - RANGE, 0, RANGE), RANGE);
	close(binding);
	CHECK(!file_is_pinned(fd));
	mock_check_clean(&buf);
	close(fd);
	fs_finish(&fs);
}

/* ---- transfers ---------------------------------------------------------------------- */

/*
 * 4 GiB are asked for, through a buffer of little more than 4 MiB that is filled again and
 * again. The last bytes that may arrive have a place of their own in it.
 */
static void transfers_end_at_the_most_that_one_may_move(const void *arg)
{
	const bool use_ring = arg;
	const u64 most = DMABUF_RW_MAX_BYTES, part = 4 * MiB, seen = 64 * KiB, at = 16 * GiB;
	static struct dmabuf_rw_piece pieces[DMABUF_RW_MAX_PIECES];
	struct dmabuf_rw_io io = { .op = DMABUF_RW_OP_READ, .file_off = at,
				   .pieces = (uintptr_t)pieces };
	struct io_uring ring;
	u64 asked = 0, start;

	disk_open(&disk, ROLE);
	buf_create(&buf, &exporter_mock_contiguous, part + 2 * seen);
	drw_ring(&ring, 4, 0);
	binding = OK(drw_bind(buf.fd, disk.fd));
	disk_fill(&disk, at + most - seen, 2 * seen, 5, 0);
	buf_fill(&buf, part, 2 * seen, 6, 0);
	for (u64 n; asked < most - seen; asked += n) {
		n = MIN(part, most - seen - asked);
		pieces[io.nr_pieces++] = (struct dmabuf_rw_piece){ 0, n };
	}
	pieces[io.nr_pieces++] = (struct dmabuf_rw_piece){ part, 2 * seen };
	for (; io.nr_pieces < DMABUF_RW_MAX_PIECES; io.nr_pieces++)
		pieces[io.nr_pieces] = (struct dmabuf_rw_piece){ 0, part };

	start = now_us();
	if (use_ring) {
		drw_prepv(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READV, at, pieces,
			  io.nr_pieces, 0);
		CHECK_EQ(drw_ring_one(&ring), most);
	} else {
		OK(drw_do(binding, &io));
		CHECK_EQ(io.done, most);
		/* To be short for this is no error. */
		CHECK_EQ(io.error, 0);
	}
	note("%llu bytes in %llu ms", (unsigned long long)most,
	     (unsigned long long)(now_us() - start) / 1000);
	buf_check(&buf, part, seen, 5, 0);
	buf_check(&buf, part + seen, seen, 6, seen);
	/* The rest is there for who asks. */
	CHECK_EQ(drw_read(binding, at + most, part, seen), seen);
	buf_check(&buf, part, seen, 5, seen);
	close(binding);
	mock_check_clean(&buf);
}

static void add(void)
{
	fs_program();
	test_limit(120);
	for (size_t i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, a_file_of_a_thousand_extents_costs_little);
	test_add(transfers_end_at_the_most_that_one_may_move, NULL,
		 "transfers_end_at_the_most_that_one_may_move.ioctl");
	test_add(transfers_end_at_the_most_that_one_may_move, (void *)1,
		 "transfers_end_at_the_most_that_one_may_move.io_uring");
}

const struct program program = { "file_size", add };
