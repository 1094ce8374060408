// SPDX-License-Identifier: GPL-2.0
/*
 * file_zeros.c - writes into space that was only reserved, or into holes, by bindings that may put
 * zeros there first: they go direct, whoever puts the zeros; what holds data stays, nothing of what
 * the disk held before comes out, and each zero is counted once.
 *
 * The disk is full of a pattern before the file system is made.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/falloc.h>

#include <libdmabuf_rw.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv512p2"
#define OLD		0xbd		/* what the disk held before */
#define BUF_BYTES	(3 * MiB / 2)
#define FS_BYTES	(32 * MiB)
#define BYTES		(MiB + 777)
#define BLOCK		4096ULL
#define ROUNDS		16

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

#define WRITTEN	DMABUF_RW_ZEROS_WRITTEN
#define BOTH	(DMABUF_RW_ZEROS_BY_DRIVE | DMABUF_RW_ZEROS_WRITTEN)

static struct fs fs;
static struct buf buf;
static struct dmabuf_rw_device *device;
static struct dmabuf_rw_queue *queue;
static struct dmabuf_rw_binding *binding;
static struct rng rng;
static u8 *mem, *bytes_of_buffer, *content;
static int fd;
static bool drive_can;

static void open_all(const char *kind)
{
	struct dmabuf_rw_queue_opts opts = { .size = sizeof(opts), .depth = 4 };
	struct disk d;

	mem = data_alloc(BUF_BYTES);
	bytes_of_buffer = data_alloc(BUF_BYTES);
	content = data_alloc(BUF_BYTES);
	rng.s = harness_seed();
	disk_open(&d, ROLE);
	memset(mem, OLD, MiB);
	for (u64 at = 0; at < FS_BYTES; at += MiB)
		disk_pwrite(&d, mem, MiB, at);
	close(d.fd);
	fs_make(&fs, kind, ROLE, FS_BYTES, "", "");
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	OK(dmabuf_rw_device_open(NULL, &device));
	OK(dmabuf_rw_queue_create(&opts, &queue));
	fd = fs_open(&fs, "probe", O_RDWR | O_CREAT);
	drive_can = !fallocate(fd, FALLOC_FL_WRITE_ZEROES, 0, MiB);
	note(drive_can ? "the drive puts zeros there by itself" : "zeros are written");
	close(fd);
}

static void finish(void)
{
	dmabuf_rw_queue_destroy(queue);
	dmabuf_rw_device_close(device);
	fs_finish(&fs);
}

/* A file with a hole, reserved space, and some data. */
static void make_file(void)
{
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT | O_TRUNC);
	SYS(ftruncate(fd, BYTES));
	SYS(fallocate(fd, 0, 300 * KiB, BYTES - 300 * KiB));
	for (int i = 1; i < 5; i++)
		file_fill(fd, rng_below(&rng, BYTES - 20000), 1 + rng_below(&rng, 20000), i);
	SYS(fsync(fd));
	file_get(fd, 0, content, BYTES);
}

static void bind_file(u32 zeros, u32 allow_bounce)
{
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .zeros = zeros,
					       .allow_bounce = allow_bounce };

	OK(dmabuf_rw_binding_create(device, buf.fd, fd, &opts, &binding));
}

static void check_file(void)
{
	file_get(fd, 0, mem, BYTES);
	data_check("file", mem, content, BYTES, 0);
}

/* Bytes of whole blocks, and of the file's last one, in which nothing is written. */
static u64 unwritten(u64 pos, u64 len)
{
	u64 sum = 0, n;

	for (u64 at = pos; at < pos + len; at += n) {
		n = MIN(BLOCK, pos + len - at);
		sum += file_written(fd, at, n) ? 0 : n;
	}
	return sum;
}

static s64 write_by(int how, u64 pos, u64 len, struct dmabuf_rw_result *r)
{
	struct dmabuf_rw_range ranges[2] = {
		{ .file_off = pos, .len = len / BLOCK / 2 * BLOCK },
		{ .file_off = pos + len / BLOCK / 2 * BLOCK, .buf_off = len / BLOCK / 2 * BLOCK,
		  .len = len - len / BLOCK / 2 * BLOCK },
	};
	struct dmabuf_rw_completion done = { .size = sizeof(done) };

	*r = (struct dmabuf_rw_result){ .size = sizeof(*r) };
	if (how == 0)
		return dmabuf_rw_write(binding, pos, 0, len, 0, r);
	if (how == 1)
		return dmabuf_rw_write_many(binding, ranges, 2, 0, r);
	OK(dmabuf_rw_queue_write(queue, binding, pos, 0, len, 0, 7));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	r->direct_bytes = done.direct_bytes;
	r->bounced_bytes = done.bounced_bytes;
	r->error = done.error;
	return done.bytes;
}

static void fill_buffer(u64 tag, u64 pos, u64 len)
{
	data_fill(bytes_of_buffer, len, tag, pos);
	buf_put(&buf, 0, bytes_of_buffer, len);
	memcpy(content + pos, bytes_of_buffer, len);
}

/* Whole blocks, or up to the file's end; nothing may bounce. */
static void write_blocks_direct(u32 zeros)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	u64 sum = 0;

	make_file();
	bind_file(zeros, 0);
	for (int i = 0; i < ROUNDS; i++) {
		u64 pos = rng_step(&rng, 0, BYTES - BLOCK, BLOCK), len, want;
		struct dmabuf_rw_result r;
		s64 got;

		/* The last one leaves nothing unwritten. */
		if (i == ROUNDS - 1)
			pos = 0;
		len = i % 4 == 3 ? BYTES - pos : rng_step(&rng, BLOCK, MIN(BYTES - pos, 300 * KiB),
							  BLOCK);
		want = unwritten(pos, len);
		fill_buffer(50 + i, pos, len);
		got = write_by(i % 3, pos, len, &r);
		CHECK(got == (s64)len, "write %d of %llu at %llu gave %lld (error %d)", i % 3,
		      (unsigned long long)len, (unsigned long long)pos, (long long)got, r.error);
		CHECK_EQ(r.direct_bytes, len);
		CHECK_EQ(r.bounced_bytes, 0);
		if (i % 3 != 2)
			CHECK_EQ(r.zeros_by_drive + r.zeros_written, want);
		sum += want;
		check_file();
		CHECK_EQ(unwritten(pos, len), 0);
	}
	OK(dmabuf_rw_binding_stats(binding, &stats));
	CHECK_EQ(stats.zeros_by_drive + stats.zeros_written, sum);
	if (!(zeros & DMABUF_RW_ZEROS_BY_DRIVE) || !drive_can)
		CHECK_EQ(stats.zeros_by_drive, 0);
	else
		/* Only a block in which the file ends is not the drive's work. */
		CHECK(stats.zeros_written < BLOCK && stats.zeros_by_drive, "%llu, %llu",
		      (unsigned long long)stats.zeros_written,
		      (unsigned long long)stats.zeros_by_drive);
	dmabuf_rw_binding_destroy(binding);
	SYS(fsync(fd));
	file_check_on_disk(&fs, fd, content, BYTES);
	close(fd);
}

static void blocks_go_direct_from_the_first_write_on(const void *kind)
{
	open_all(kind);
	write_blocks_direct(BOTH);
	write_blocks_direct(WRITTEN);
	finish();
}

/* Ends in blocks that are not filled go through memory, and nothing else. */
static void only_the_ends_of_unaligned_writes_bounce(const void *kind)
{
	open_all(kind);
	for (int both = 0; both <= 1; both++) {
		make_file();
		bind_file(both ? BOTH : WRITTEN, 1);
		for (int i = 0; i < ROUNDS; i++) {
			u64 pos = rng_below(&rng, BYTES - 1);
			u64 len = 1 + rng_below(&rng, MIN(BYTES - pos, i & 4 ? 5000 : 300000));
			struct dmabuf_rw_result r;

			fill_buffer(80 + i, pos, len);
			CHECK_EQ(write_by(i % 3, pos, len, &r), len);
			CHECK_EQ(r.direct_bytes + r.bounced_bytes, len);
			/* A batch has four ends. */
			CHECK(r.bounced_bytes <= 4 * BLOCK, "%llu of %llu bounced",
			      (unsigned long long)r.bounced_bytes, (unsigned long long)len);
			check_file();
		}
		dmabuf_rw_binding_destroy(binding);
		close(fd);
	}
	finish();
}

static void without_permission_there_are_no_zeros(const void *kind)
{
	struct dmabuf_rw_result r;

	open_all(kind);
	fd = file_make_unwritten(&fs, "f", BYTES);
	bind_file(0, 0);
	FAILS(write_by(0, 0, 64 * KiB, &r), ENXIO);
	dmabuf_rw_binding_destroy(binding);
	/* Nor does a read make any. */
	bind_file(BOTH, 0);
	FAILS(dmabuf_rw_read(binding, 0, 0, 64 * KiB, 0, NULL), ENXIO);
	/* A part of a block has somebody else's bytes beside it. */
	FAILS(write_by(0, 512, 512, &r), ENXIO);
	CHECK_EQ(unwritten(0, BYTES), BYTES);
	dmabuf_rw_binding_destroy(binding);
	close(fd);
	finish();
}

/* ---- several at once ---------------------------------------------------------------------- */

#define WRITERS 3

struct writer {
	pthread_t thread;
	int nr;
};

/* Blocks are the writers' in turn; the last one's go through the page cache. */
static void *write_own_blocks(void *arg)
{
	struct writer *w = arg;
	u8 *block = data_alloc(BLOCK);
	/* One from the end, so that they meet. */
	u64 nr = (BYTES / BLOCK - w->nr + WRITERS - 1) / WRITERS;

	for (u64 i = 0; i < nr; i++) {
		u64 b = w->nr + WRITERS * (w->nr == 1 ? nr - 1 - i : i);
		struct dmabuf_rw_result r = { .size = sizeof(r) };

		if (w->nr == WRITERS - 1) {
			data_fill(block, BLOCK, 9, b * BLOCK);
			file_put(fd, b * BLOCK, block, BLOCK);
		} else {
			CHECK_EQ(dmabuf_rw_write(binding, b * BLOCK, b * BLOCK, BLOCK, 0, &r),
				 BLOCK);
			CHECK_EQ(r.direct_bytes, BLOCK);
		}
	}
	return NULL;
}

static void nobodys_bytes_are_zeroed_by_others(const void *kind)
{
	struct writer writers[WRITERS];

	open_all(kind);
	for (int round = 0; round < 4; round++) {
		fd = file_make_unwritten(&fs, "f", BYTES / BLOCK * BLOCK);
		bind_file(round & 1 ? WRITTEN : BOTH, 0);
		data_fill(content, BUF_BYTES, 9, 0);
		buf_put(&buf, 0, content, BUF_BYTES);
		for (int i = 0; i < WRITERS; i++) {
			writers[i].nr = i;
			CHECK_EQ(pthread_create(&writers[i].thread, NULL, write_own_blocks,
						&writers[i]), 0);
		}
		for (int i = 0; i < WRITERS; i++)
			pthread_join(writers[i].thread, NULL);
		file_get(fd, 0, mem, BYTES / BLOCK * BLOCK);
		data_check("file", mem, content, BYTES / BLOCK * BLOCK, 0);
		dmabuf_rw_binding_destroy(binding);
		close(fd);
		unlink(fs_path(&fs, "f"));
	}
	finish();
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, blocks_go_direct_from_the_first_write_on);
		TEST_OF_KIND(i, only_the_ends_of_unaligned_writes_bounce);
		TEST_OF_KIND(i, without_permission_there_are_no_zeros);
		TEST_OF_KIND(i, nobodys_bytes_are_zeroed_by_others);
	}
}

const struct program program = { "file_zeros", add, .machines = MACHINES_IOMMU_OR_NOT };
