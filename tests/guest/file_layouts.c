// SPDX-License-Identifier: GPL-2.0
/*
 * file_layouts.c - each way in which ext4 and XFS lay out their files is served, byte for byte,
 * or is refused with a reason.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define FS_BYTES	(64 * MiB)
#define FILE_BYTES	(MiB + 12345)
#define BUF_BYTES	(2 * MiB)
#define ROUNDS		24

struct layout {
	const char *name, *kind, *role, *mkfs, *mount;
	u64 chunk;		/* of a file in pieces; 0: a block */
	u32 refused;		/* enum dmabuf_rw_reason */
};

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static struct rng rng;
static u64 next_tag;
static int fd, binding;
static u8 *model, *mem, *guard;

static s64 ask(bool use_ring, enum dmabuf_rw_op op, u64 pos, u64 off, u64 len, u64 flags)
{
	return use_ring ? drw_ring_io(&ring, binding, op, pos, off, len, flags)
			: drw_io(binding, op, pos, off, len, flags);
}

static void read_in(bool use_ring, u64 pos, u64 len)
{
	u64 off = rng_step(&rng, 4096, BUF_BYTES - 8192 - ROUND_UP(len, 4096), info.buf_align);

	memset(guard, 0x5a, BUF_BYTES);
	buf_put(&buf, 0, guard, BUF_BYTES);
	CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, pos, off, len, 0), len,
		 "read of %llu at %llu", (unsigned long long)len, (unsigned long long)pos);
	memcpy(guard + off, model + pos, len);
	buf_get(&buf, 0, mem, BUF_BYTES);
	data_check("buffer", mem, guard, BUF_BYTES, 0);
}

static void write_out(bool use_ring, u64 pos, u64 len, u64 flags)
{
	u64 off = rng_step(&rng, 0, BUF_BYTES - 8192 - ROUND_UP(len, 4096), info.buf_align);
	u64 tag = next_tag++;

	buf_fill(&buf, off, len, tag, pos);
	CHECK_EQ(ask(use_ring, DMABUF_RW_OP_WRITE, pos, off, len, flags), len,
		 "write of %llu at %llu", (unsigned long long)len, (unsigned long long)pos);
	data_fill(model + pos, len, tag, pos);
}

static void check_file(const char *what)
{
	CHECK_EQ(file_bytes(fd), FILE_BYTES);
	file_get(fd, 0, mem, FILE_BYTES);
	data_check(what, mem, model, FILE_BYTES, 0);
}

/* Pieces all over the disk, made of blocks that others had before; written in part by each way. */
static void make_file(const struct layout *l)
{
	u64 chunk = l->chunk ?: fs.block, step = 8 * chunk;
	int other = fs_open(&fs, "other", O_RDWR | O_CREAT);

	fd = fs_open(&fs, "f", O_RDWR | O_CREAT | O_TRUNC);
	for (u64 at = 0; at < FILE_BYTES; at += step) {
		u64 n = MIN(step, FILE_BYTES - at);

		data_fill(mem, n, next_tag, at);
		file_put(fd, at, mem, n);
		file_put(other, at / 8, mem, chunk);
		if (at % (8 * step) == 0) {
			SYS(fsync(fd));
			SYS(fsync(other));
		}
	}
	data_fill(model, FILE_BYTES, next_tag++, 0);
	SYS(fsync(fd));
	close(other);
}

static void served(const struct layout *l)
{
	u64 block = fs.block, lba;

	binding = OK(drw_bind(buf.fd, fd));
	OK(drw_info(binding, &info));
	CHECK_EQ(info.file_bytes, FILE_BYTES);
	lba = info.write_align;
	CHECK_EQ(lba, fs.disk.lba);
	read_in(false, 0, FILE_BYTES);
	write_out(true, 0, FILE_BYTES, 0);
	check_file("after all of it was written");
	for (int i = 0; i < ROUNDS; i++) {
		/* Within a block, over the edges of a few, and long ones. */
		u64 most = i % 3 == 0 ? block : i % 3 == 1 ? 5 * block : 300 * KiB;
		u64 len = rng_step(&rng, info.read_align, most, info.read_align);
		u64 pos = rng_step(&rng, 0, ROUND_DOWN(FILE_BYTES - len, info.read_align),
				   info.read_align);

		read_in(i & 1, pos, len);
		len = rng_step(&rng, lba, MAX(most, lba), lba);
		pos = rng_step(&rng, 0, ROUND_DOWN(FILE_BYTES, lba), lba);
		write_out(i & 1, pos, MIN(len, FILE_BYTES - pos), i % 5 ? 0 : DMABUF_RW_IO_FUA);
	}
	/* To the last byte, which is not the last of its block or LBA. */
	write_out(false, ROUND_DOWN(FILE_BYTES - 1, lba), FILE_BYTES - ROUND_DOWN(FILE_BYTES - 1,
										  lba), 0);
	read_in(true, FILE_BYTES - 4321, 4321);
	check_file("through the cache");
	SYS(fsync(fd));
	drop_caches();
	check_file("from the disk");

	/* Holes, and what is written there later. */
	SYS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 128 * KiB, 64 * KiB));
	memset(model + 128 * KiB, 0, 64 * KiB);
	FAILS(ask(true, DMABUF_RW_OP_READ, 128 * KiB, 0, 4096, 0), ENXIO);
	FAILS(ask(false, DMABUF_RW_OP_WRITE, 192 * KiB - lba, 0, lba, 0), ENXIO);
	CHECK_EQ(ask(true, DMABUF_RW_OP_READ, 128 * KiB - lba, 0, 128 * KiB, 0), lba);
	data_fill(mem, 64 * KiB, next_tag, 128 * KiB);
	file_put(fd, 128 * KiB, mem, 64 * KiB);
	memcpy(model + 128 * KiB, mem, 64 * KiB);
	read_in(true, 100 * KiB, 128 * KiB);
	write_out(false, 128 * KiB, 64 * KiB, DMABUF_RW_IO_FUA);
	check_file("after a hole was filled");
	close(binding);
}

static void files_are_served_or_refused(const void *arg)
{
	const struct layout *l = arg;

	rng.s = harness_seed();
	next_tag = harness_seed() << 16;
	model = data_alloc(FILE_BYTES);
	mem = data_alloc(BUF_BYTES);
	guard = data_alloc(BUF_BYTES);
	fs_make_or_skip(&fs, l->kind, l->role, FS_BYTES, l->mkfs, l->mount);
	/* What a block holds before it is the file's. */
	fs_fill_free_space(&fs, 0xbd);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 4, 0);
	make_file(l);
	if (l->refused) {
		struct dmabuf_rw_bind why;

		FAILS(drw_bind_why(buf.fd, fd, 0, &why), EOPNOTSUPP);
		CHECK_EQ(why.reason, l->refused);
		check_file("a file that was refused");
	} else {
		served(l);
	}
	mock_check_clean(&buf);
	close(fd);
	/* And anew, without what was kept in memory. */
	fs_remount(&fs);
	fd = fs_open(&fs, "f", O_RDONLY);
	check_file("mounted anew");
	close(fd);
	fs_finish(&fs);
}

#define MANY		8000
#define MANY_FS_BYTES	(48 * MiB)

/* Read the first @n blocks of a file whose every second block has been written. */
static void read_pieces(u64 n)
{
	struct dmabuf_rw_range ranges[DMABUF_RW_MAX_BATCH];

	for (u64 at = 0, nr; at < n; at += nr) {
		nr = MIN(n - at, DMABUF_RW_MAX_BATCH);
		for (u64 i = 0; i < nr; i++)
			ranges[i] = (struct dmabuf_rw_range){
				.file_off = (at + i) * 2 * fs.block, .buf_off = i * fs.block,
				.len = fs.block,
			};
		CHECK_EQ(drw_many(binding, DMABUF_RW_OP_READ, ranges, nr, DMABUF_RW_IO_WHOLE),
			 nr * fs.block, "blocks from %llu on", (unsigned long long)at);
		buf_get(&buf, 0, mem, nr * fs.block);
		for (u64 i = 0; i < nr; i++)
			data_check("block", mem + i * fs.block, model + (at + i) * fs.block,
				   fs.block, 0);
	}
}

/* However many levels the map of its blocks has, and however full they are. */
static void a_file_in_many_pieces_is_read_and_let_go(const void *kind)
{
	static const u64 counts[] = { 1, 16, 200, 241, 1000, 1801, 2500, 3600, 3841, 6000, MANY };

	next_tag = harness_seed() << 16;
	fs_make(&fs, kind, "priv512p1", fs_kinds[0] == kind ? MANY_FS_BYTES : 0,
		fs_kinds[0] == kind ? "-b 1024" : "-b size=1024", "");
	model = data_alloc(MANY * fs.block);
	mem = data_alloc(BUF_BYTES);
	data_fill(model, MANY * fs.block, next_tag, 0);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	for (u64 i = 0; i < MANY; i++)
		file_put(fd, i * 2 * fs.block, model + i * fs.block, fs.block);
	SYS(fsync(fd));
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		binding = OK(drw_bind(buf.fd, fd));
		read_pieces(counts[i]);
		close(binding);
		/* The kernel takes its time to free it. */
		usleep(50000);
	}
	mock_check_clean(&buf);
	close(fd);
	fs_finish(&fs);
}

static const struct layout layouts[] = {
	{ "1k_blocks", "ext4", "priv512p1", "-b 1024", "" },
	{ "2k_blocks", "ext4", "mp512p2", "-b 2048", "" },
	{ "4k_blocks", "ext4", "priv4kp2", "", "" },
	{ "bigalloc", "ext4", "priv512p1", "-O bigalloc -C 65536", "", .chunk = 64 * KiB },
	{ "no_extents", "ext4", "priv512p2", "-O ^extents,^64bit", "" },
	{ "no_extents_1k_blocks", "ext4", "priv512p1", "-b 1024 -O ^extents,^64bit", "" },
	{ "no_journal", "ext4", "priv4kp1", "-O ^has_journal", "" },
	{ "fast_commit", "ext4", "priv512p2", "-O fast_commit", "" },
	{ "quota", "ext4", "priv512p1", "-O quota", "usrquota,grpquota" },
	{ "nodelalloc", "ext4", "mp512p1", "", "nodelalloc" },
	{ "writeback", "ext4", "priv512p1", "", "data=writeback" },
	{ "inline_data", "ext4", "priv512p2", "-O inline_data", "" },
	{ "metadata_csum_off", "ext4", "priv512p1", "-O ^metadata_csum", "nobarrier" },
	{ "dioread_lock", "ext4", "priv512p2", "", "dioread_lock" },
	{ "data_journal", "ext4", "priv512p1", "", "data=journal",
	  .refused = DMABUF_RW_REASON_NO_DIRECT },
	{ "1k_blocks", "xfs", "priv512p1", "-b size=1024", "" },
	{ "2k_blocks", "xfs", "mp512p2", "-b size=2048", "" },
	{ "4k_blocks", "xfs", "priv4kp2", "", "" },
	{ "no_reflink_no_rmap", "xfs", "priv512p2", "-m reflink=0,rmapbt=0", "" },
	{ "quota", "xfs", "priv512p1", "", "usrquota" },
	{ "extent_size_hint", "xfs", "priv512p1", "-d extszinherit=16 -m reflink=0", "" },
	{ "8k_blocks", "xfs", "priv512p1", "-b size=8192", "" },
};

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, a_file_in_many_pieces_is_read_and_let_go);
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		test_add(files_are_served_or_refused, &layouts[i], "files_are_%s.%s.%s",
			 layouts[i].refused ? "refused" : "served", layouts[i].kind,
			 layouts[i].name);
}

const struct program program = { "file_layouts", add, .debug = true };
