// SPDX-License-Identifier: GPL-2.0
/*
 * file_unwritten.c - holes, and blocks that a file owns but that have never been written:
 * nothing of what the disk held before comes out.
 *
 * The disk is full of a pattern before the file system is made. What has been written and
 * what has not is asked from the file system (FIEMAP): it may write zeros to unwritten
 * blocks beside those that are written to.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv512p2"
#define OLD		0xbd		/* what the disk held before */
#define GUARD		0x5a		/* what the buffer holds */
#define BUF_BYTES	(2 * MiB)
#define FS_BYTES	(32 * MiB)

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static struct rng rng;
static u8 *mem, *should;
static int fd, binding;

static void fill_disk(const char *role)
{
	struct disk d;

	disk_open(&d, role);
	memset(mem, OLD, 2 * MiB);
	for (u64 at = 0; at < FS_BYTES; at += 2 * MiB)
		disk_pwrite(&d, mem, 2 * MiB, at);
	close(d.fd);
}

static void open_all(const char *kind)
{
	mem = data_alloc(2 * MiB);
	should = data_alloc(2 * MiB);
	rng.s = harness_seed();
	fill_disk(ROLE);
	fs_make(&fs, kind, ROLE, FS_BYTES, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 4, 0);
}

static void finish(void)
{
	close(fd);
	fs_finish(&fs);
}

static void bind_file(void)
{
	binding = OK(drw_bind(buf.fd, fd));
	OK(drw_info(binding, &info));
}

static s64 ask(bool use_ring, enum dmabuf_rw_op op, u64 pos, u64 off, u64 len)
{
	return use_ring ? drw_ring_io(&ring, binding, op, pos, off, len, 0)
			: drw_io(binding, op, pos, off, len, 0);
}

static void guard_buffer(void)
{
	memset(mem, GUARD, BUF_BYTES);
	buf_put(&buf, 0, mem, BUF_BYTES);
}

/* The buffer holds @len bytes of the file from @pos at @off, and is untouched elsewhere. */
static void check_buffer(u64 off, u64 pos, u64 len)
{
	memset(should, GUARD, BUF_BYTES);
	if (len)
		file_get(fd, pos, should + off, len);
	buf_get(&buf, 0, mem, BUF_BYTES);
	data_check("buffer", mem, should, BUF_BYTES, 0);
}

/* What a transfer of this range must come to: bytes, -ENXIO, or 0 at the end. */
static s64 expected(u64 pos, u64 len)
{
	u64 bytes = file_bytes(fd), n;

	if (pos >= bytes)
		return 0;
	n = file_written(fd, pos, MIN(len, bytes - pos));
	return n ? (s64)n : -ENXIO;
}

static void read_and_check(bool use_ring, u64 pos, u64 off, u64 len)
{
	struct dmabuf_rw_io io = { .file_off = pos, .buf_off = off, .len = len };
	s64 want = expected(pos, len), got;

	guard_buffer();
	got = ask(use_ring, DMABUF_RW_OP_READ, pos, off, len);
	CHECK(got == want, "%s of %llu at %llu gave %lld, not %lld",
	      use_ring ? "io_uring" : "ioctl", (unsigned long long)len,
	      (unsigned long long)pos, (long long)got, (long long)want);
	check_buffer(off, pos, MAX(got, 0));
	/* A short one says why. */
	if (got > 0 && !use_ring) {
		OK(drw_do(binding, &io));
		CHECK_EQ(io.done, got);
		CHECK_EQ(io.error, (u64)got < len && pos + got < file_bytes(fd) ? ENXIO : 0);
	}
}

static void unwritten_file_gives_ENXIO_and_no_old_bytes(const void *arg)
{
	const u64 sizes[] = { MiB + 100, 512, 1024, 1, 4095, 4096, 4097, 12288 + 512 };

	open_all(arg);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 bytes = sizes[i];

		fd = file_make_unwritten(&fs, "f", bytes);
		bind_file();
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			read_and_check(use_ring, 0, 0, 512);
			read_and_check(use_ring, 0, 4096, BUF_BYTES - 4096);
			read_and_check(use_ring, bytes - 1, 123, 1);
			read_and_check(use_ring, ROUND_DOWN(bytes - 1, 512), 0, 512);
			read_and_check(use_ring, bytes / 2, 0, bytes);
			guard_buffer();
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, 0, 0, bytes), ENXIO);
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, 0, 0, 512), ENXIO);
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, ROUND_DOWN(bytes - 1, 512), 0,
				  512), ENXIO);
		}
		OK(drw_info(binding, &info));
		CHECK_EQ(info.read_bytes, 0);
		CHECK_EQ(info.write_bytes, 0);
		/* What the file has to hold it still holds. */
		memset(should, 0, bytes);
		file_get(fd, 0, mem, bytes);
		data_check("file", mem, should, bytes, 0);
		close(binding);
		close(fd);
	}
	fs_finish(&fs);
}

/* Written here and there: each transfer goes as far as there is something written. */
static void transfer_ends_before_what_was_never_written(const void *arg)
{
	const u64 bytes = MiB + 777;
	u64 before, at, len;

	open_all(arg);
	fd = file_make_unwritten(&fs, "f", bytes);
	for (int i = 0; i < 12; i++) {
		len = 1 + rng_below(&rng, 60 * KiB);
		file_fill(fd, rng_below(&rng, bytes - len), len, i);
	}
	SYS(fsync(fd));
	CHECK(file_written(fd, 0, bytes) < bytes, "nothing is unwritten");
	bind_file();
	read_and_check(false, 0, 0, bytes);
	for (int i = 0; i < 40; i++) {
		at = rng_step(&rng, 0, bytes - 1, info.read_align);
		len = rng_step(&rng, info.read_align, i & 2 ? 4096 : 256 * KiB,
			       info.read_align);
		read_and_check(i & 1, at, rng_below(&rng, 1000) * 4, len);
	}
	/* The same for writes; what is behind the end of what was written stays so. */
	for (int i = 0; i < 16; i++) {
		s64 want, got;

		at = rng_step(&rng, 0, ROUND_DOWN(bytes - 1, info.write_align),
			      info.write_align);
		len = rng_step(&rng, info.write_align, 256 * KiB, info.write_align);
		want = expected(at, len);
		before = file_written(fd, at, bytes);
		file_get(fd, 0, should, bytes);
		buf_fill(&buf, 0, len, 100 + i, at);
		got = ask(i & 1, DMABUF_RW_OP_WRITE, at, 0, len);
		CHECK_EQ(got, want, "write %d of %llu at %llu", i, (unsigned long long)len,
			 (unsigned long long)at);
		if (got > 0)
			data_fill(should + at, got, 100 + i, at);
		file_get(fd, 0, mem, bytes);
		data_check("file", mem, should, bytes, 0);
		CHECK_EQ(file_written(fd, at, bytes), before);
	}
	close(binding);
	finish();
}

/* Blocks behind the end are not the file's. */
static void blocks_behind_the_end_are_out_of_reach(const void *arg)
{
	const u64 bytes = 100 * KiB + 300;

	open_all(arg);
	fd = file_make(&fs, "f", bytes, 1);
	SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MiB));
	SYS(fsync(fd));
	bind_file();
	CHECK_EQ(info.file_bytes, bytes);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		guard_buffer();
		CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, 0, 4096, MiB), bytes);
		check_buffer(4096, 0, bytes);
		CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, 128 * KiB, 0, 4096), 0);
		FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, 128 * KiB, 0, 4096), ENOSPC);
	}
	CHECK_EQ(file_bytes(fd), bytes);
	/* Still so when the file grows into them. */
	SYS(ftruncate(fd, 300 * KiB));
	SYS(fsync(fd));
	for (int i = 0; i < 12; i++)
		read_and_check(i & 1, rng_below(&rng, 300 * KiB / 512) * 512, 0, 64 * KiB);
	close(binding);
	finish();
}

static void what_is_written_later_can_be_read_then(const void *arg)
{
	const u64 bytes = 256 * KiB + 1;

	open_all(arg);
	fd = file_make_unwritten(&fs, "f", bytes);
	bind_file();
	read_and_check(false, 0, 0, 4096);
	file_fill(fd, 0, bytes, 3);
	/* Not even flushed: the transfer sees to it. */
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		guard_buffer();
		CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, 0, 0, bytes), bytes);
		buf_check(&buf, 0, bytes, 3, 0);
	}
	/* And what is punched out cannot be read any more. */
	SYS(fallocate(fd, FALLOC_FL_ZERO_RANGE, 64 * KiB, 64 * KiB));
	SYS(fsync(fd));
	read_and_check(true, 64 * KiB, 0, 64 * KiB);
	SYS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 128 * KiB, 8192));
	SYS(fsync(fd));
	read_and_check(false, 120 * KiB, 0, 64 * KiB);
	for (int i = 0; i < 12; i++)
		read_and_check(i & 1, rng_below(&rng, bytes / 512) * 512, 0, 100 * KiB);
	close(binding);
	finish();
}

/* All pages but the last, which the file has in part. */
static void unwritten_last_page_is_not_read(const void *arg)
{
	const u64 tails[] = { 1, 100, 511, 512, 1024, 4095 };

	open_all(arg);
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		u64 bytes = 256 * KiB + tails[i];

		fd = file_make_unwritten(&fs, "f", bytes);
		file_fill(fd, 0, 256 * KiB, 1);
		SYS(fsync(fd));
		bind_file();
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			read_and_check(use_ring, 0, 64, bytes);
			read_and_check(use_ring, 256 * KiB, 64, 512);
			read_and_check(use_ring, 256 * KiB - 512, 64, 1024);
			read_and_check(use_ring, bytes - 1, 64, 1);
		}
		close(binding);
		close(fd);
	}
	fs_finish(&fs);
}

static void holes_are_ENXIO(const void *arg)
{
	const u64 bytes = MiB + 4097;
	u64 at, len;

	open_all(arg);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, bytes));
	for (int i = 0; i < 6; i++)
		file_fill(fd, rng_below(&rng, bytes - 70000), 1 + rng_below(&rng, 70000), i);
	/* Some that is allocated only. */
	SYS(fallocate(fd, 0, 512 * KiB, 40 * KiB));
	SYS(fsync(fd));
	bind_file();
	CHECK_EQ(info.file_bytes, bytes);
	for (int i = 0; i < 30; i++) {
		at = rng_step(&rng, 0, bytes - 1, info.read_align);
		len = rng_step(&rng, info.read_align, 256 * KiB, info.read_align);
		read_and_check(i & 1, at, 512, len);
		at = rng_step(&rng, 0, ROUND_DOWN(bytes - 1, info.write_align),
			      info.write_align);
		len = rng_step(&rng, info.write_align, 256 * KiB, info.write_align);
		buf_fill(&buf, 0, len, 50 + i, at);
		file_get(fd, 0, should, bytes);
		s64 want = expected(at, len);

		CHECK_EQ(ask(i & 1, DMABUF_RW_OP_WRITE, at, 0, len), want);
		if (want > 0)
			data_fill(should + at, want, 50 + i, at);
		file_get(fd, 0, mem, bytes);
		data_check("file", mem, should, bytes, 0);
	}
	close(binding);
	finish();
}

static void empty_files_have_nothing(const void *arg)
{
	open_all(arg);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	bind_file();
	CHECK_EQ(info.file_bytes, 0);
	for (int behind = 0; behind <= 1; behind++) {
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, 0, 0, 4096), 0);
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, 0, 0, 4096), ENOSPC);
		}
		/* Blocks, but no byte. */
		SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192));
	}
	/* It grows while it is bound. */
	file_fill(fd, 0, 10000, 1);
	for (int use_ring = 0; use_ring <= 1; use_ring++)
		read_and_check(use_ring, 0, 512, 64 * KiB);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.file_bytes, 10000);
	close(binding);
	finish();
}

/* So that a user learns at once that all will have to go through memory. */
static void files_without_a_block_that_can_be_used_are_told_of(const void *arg)
{
	bool xfs = !strcmp(arg, "xfs");

	open_all(arg);
	fd = file_make_unwritten(&fs, "u", 256 * KiB);
	bind_file();
	CHECK_EQ(!!(info.flags & DMABUF_RW_INFO_NO_BLOCKS), xfs);
	close(binding);
	close(fd);
	fd = fs_open(&fs, "s", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, 256 * KiB));
	bind_file();
	CHECK_EQ(info.flags & DMABUF_RW_INFO_NO_BLOCKS, 0, "it has no block at all");
	close(binding);
	close(fd);
	fd = file_make(&fs, "f", 256 * KiB, 1);
	bind_file();
	CHECK_EQ(info.flags & DMABUF_RW_INFO_NO_BLOCKS, 0);
	close(binding);
	finish();
}

static void clones_are_ENXIO(const void *arg)
{
	int g;

	mem = data_alloc(2 * MiB);
	should = data_alloc(2 * MiB);
	fs_make(&fs, "xfs", ROLE, 0, "-m reflink=1", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 4, 0);
	fd = file_make(&fs, "f", 256 * KiB, 1);
	g = fs_open(&fs, "g", O_RDWR | O_CREAT);
	SYS(ioctl(g, FICLONE, fd));
	for (int i = 0; i < 2; i++) {
		bind_file();
		CHECK(info.flags & DMABUF_RW_INFO_NO_BLOCKS);
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			guard_buffer();
			FAILS(ask(use_ring, DMABUF_RW_OP_READ, 0, 0, 8192), ENXIO);
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, 0, 0, 8192), ENXIO);
			check_buffer(0, 0, 0);
		}
		close(binding);
		/* The clone, after its original. */
		close(fd);
		fd = g;
	}
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, unwritten_file_gives_ENXIO_and_no_old_bytes);
		TEST_OF_KIND(i, transfer_ends_before_what_was_never_written);
		TEST_OF_KIND(i, blocks_behind_the_end_are_out_of_reach);
		TEST_OF_KIND(i, what_is_written_later_can_be_read_then);
		TEST_OF_KIND(i, unwritten_last_page_is_not_read);
		TEST_OF_KIND(i, holes_are_ENXIO);
		TEST_OF_KIND(i, empty_files_have_nothing);
		TEST_OF_KIND(i, files_without_a_block_that_can_be_used_are_told_of);
	}
	test_add(clones_are_ENXIO, NULL, "clones_are_ENXIO.xfs");
}

const struct program program = { "file_unwritten", add, .machines = MACHINES_IOMMU_OR_NOT };
