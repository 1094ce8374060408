// SPDX-License-Identifier: GPL-2.0
/*
 * file_size.c - sizes near the top: a file of 100 GiB in a thousand extents, a sparse one of
 * 1 TiB, and transfers of as many bytes as one may move.
 *
 * The disk is larger than what holds its image, so next to nothing may be written to it: the
 * blocks of the files are allocated only, and reads of what was never written are free of cost.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
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
#define RANGE		(128 * KiB)
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
	u64 first_us[RANGES], second_us[RANGES], bytes, edge;
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

	/* Who has it open for writing may have its blocks moved, so they are not remembered. */
	close(fd);
	fd = fs_open(&fs, "f", O_RDONLY);
	binding = OK(drw_bind(buf.fd, fd));
	OK(drw_info(binding, &info));
	CHECK_EQ(info.file_bytes, FILE_BYTES);
	CHECK_EQ(info.file_extents, 0);
	bytes = info.metadata_bytes - metadata(fs.disk.fd);
	CHECK(bytes < 4096, "%llu", (unsigned long long)bytes);

	for (unsigned int i = 0; i < RANGES; i++) {
		first_us[i] = timed_read(range_at(i), RANGE);
		second_us[i] = timed_read(range_at(i), RANGE);
	}
	OK(drw_info(binding, &info));
	CHECK(info.file_extents >= RANGES && info.file_extents <= RANGES + 2, "%llu",
	      (unsigned long long)info.file_extents);
	bytes = info.metadata_bytes - metadata(fs.disk.fd);
	CHECK(bytes < 4096 + info.file_extents * 1024, "%llu", (unsigned long long)bytes);
	note("%s: %llu bytes for %llu extents of %u", fs.kind, (unsigned long long)bytes,
	     (unsigned long long)info.file_extents, nr);
	note("128 KiB are read in %llu us, when their blocks are known in %llu us",
	     (unsigned long long)median(first_us), (unsigned long long)median(second_us));
	timed_read(edge, RANGE);
	/* Nothing is known of what lies between. */
	FAILS(drw_read(binding, range_at(1) + RANGE, 0, RANGE), ENXIO);
	close(binding);
	close(fd);
	fd = fs_open(&fs, "f", O_RDWR);
	binding = OK(drw_bind(buf.fd, fd));
	FAILS(drw_write(binding, range_at(1) - RANGE, 0, RANGE), ENXIO);
	buf_fill(&buf, 0, RANGE, 3, 0);
	CHECK_EQ(drw_write(binding, FILE_BYTES - RANGE, 0, RANGE), RANGE);
	timed_read(edge, RANGE);
	close(binding);
	mock_check_clean(&buf);
	close(fd);
	fs_finish(&fs);
}

/* ---- what BIND costs ------------------------------------------------------------------ */

#define BINDS		40
/* Far more than two runs of the same thing differ by, far less than a look at each block. */
#define MUCH		20

static bool stop;
static u64 stores, worst_us;

/* Stores into the sparse file, which has to be locked for that. */
static void *store_on_and_on(void *arg)
{
	u8 *page = data_alloc(4096);

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		u64 start = now_us();

		file_put(fd, 4096 * (stores % 64), page, 4096);
		start = now_us() - start;
		worst_us = MAX(worst_us, start);
		__atomic_fetch_add(&stores, 1, __ATOMIC_RELAXED);
		/* The binder has a turn, too. */
		sched_yield();
	}
	return NULL;
}

/* The quickest of some: the rest has met the machine's other work. */
static u64 time_bind(int file)
{
	u64 least = ~0ULL;

	for (int i = 0; i < BINDS; i++) {
		u64 start = now_us();
		int b = OK(drw_bind(buf.fd, file));

		least = MIN(least, now_us() - start);
		close(b);
	}
	return MAX(least, 1);
}

static void bind_costs_the_same_for_any_file(const void *arg)
{
	u64 small_us, sparse_us, full_us, before;
	pthread_t thread;
	int small, full;

	fs_make(&fs, arg, ROLE, 0, strcmp(arg, "xfs") ? "-O ^resize_inode -i 16777216" :
		"-l size=16m", "");
	buf_create(&buf, &exporter_mock_contiguous, MiB);
	small = file_make(&fs, "small", MiB, TAG);
	fd = fs_open(&fs, "sparse", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, 1024 * GiB));
	/* Something at its end, or there is nothing to look for. */
	file_fill(fd, 1024 * GiB - MiB, MiB, TAG);
	full = fs_open(&fs, "full", O_RDWR | O_CREAT);
	SYS(fallocate(full, 0, 0, 100 * GiB));
	SYS(syncfs(fd));

	small_us = time_bind(small);
	sparse_us = time_bind(fd);
	full_us = time_bind(full);
	note("%s: bound in %llu us (1 MiB), %llu us (1 TiB, sparse), %llu us (100 GiB, unwritten)",
	     fs.kind, (unsigned long long)small_us, (unsigned long long)sparse_us,
	     (unsigned long long)full_us);
	CHECK(sparse_us < MUCH * small_us, "%llu us, %llu us", (unsigned long long)sparse_us,
	      (unsigned long long)small_us);
	CHECK(full_us < MUCH * small_us, "%llu us, %llu us", (unsigned long long)full_us,
	      (unsigned long long)small_us);

	/* Nobody who writes to it has to wait for BIND. */
	pthread_create(&thread, NULL, store_on_and_on, NULL);
	before = __atomic_load_n(&stores, __ATOMIC_RELAXED);
	time_bind(fd);
	CHECK(__atomic_load_n(&stores, __ATOMIC_RELAXED) > before, "no store went through");
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	note("%llu stores beside it, the longest %llu us", (unsigned long long)stores,
	     (unsigned long long)worst_us);

	binding = OK(drw_bind(buf.fd, fd));
	timed_read(1024 * GiB - MiB, MiB);
	FAILS(drw_read(binding, 512 * GiB, 0, MiB), ENXIO);
	close(binding);
	close(full);
	close(small);
	close(fd);
	mock_check_clean(&buf);
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
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, a_file_of_a_thousand_extents_costs_little);
		TEST_OF_KIND(i, bind_costs_the_same_for_any_file);
	}
	test_add(transfers_end_at_the_most_that_one_may_move, NULL,
		 "transfers_end_at_the_most_that_one_may_move.ioctl");
	test_add(transfers_end_at_the_most_that_one_may_move, (void *)1,
		 "transfers_end_at_the_most_that_one_may_move.io_uring");
}

const struct program program = { "file_size", add, .machines = MACHINES_IOMMU_OR_NOT };
