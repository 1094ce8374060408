// SPDX-License-Identifier: GPL-2.0
/*
 * file_roundtrip.c - data of regular files goes where it should and nowhere else: every
 * exporter, disks, partitions and multipath, any size, few extents and many.
 *
 * Each transfer is checked against ordinary access to the file and CPU access to the
 * buffer, with bytes around it on both sides, and against what lies between the extents of
 * the file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define FILE_BYTES	(MiB + 12345)
#define CHUNK		(16 * KiB)
#define BUF_BYTES	(2 * MiB)
#define ROUNDS		16

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static struct rng rng;
static u64 next_tag;
static int fd, binding;
static u8 *model, *mem;		/* what the file must hold; scratch */

struct place {
	const char *kind;
	const char *role;
	u64 bytes;
	const struct exporter *exporter;
};

static void open_fs(const struct place *p)
{
	rng.s = harness_seed();
	next_tag = harness_seed() << 16;
	fs_make(&fs, p->kind, p->role, p->bytes, "", "");
	drw_ring(&ring, 4, 0);
}

static void bind_file(const struct place *p, u64 buf_bytes)
{
	buf_create(&buf, p->exporter, buf_bytes);
	binding = OK(drw_bind(buf.fd, fd));
	OK(drw_info(binding, &info));
}

static void unbind(void)
{
	close(binding);
	if (buf.exporter->mock)
		mock_check_clean(&buf);
	buf_destroy(&buf);
}

static void take_model(u64 bytes, u64 tag)
{
	model = data_alloc(bytes);
	mem = data_alloc(bytes);
	data_fill(model, bytes, tag, 0);
}

static s64 ask(bool use_ring, enum dmabuf_rw_op op, u64 pos, u64 off, u64 len)
{
	return use_ring ? drw_ring_io(&ring, binding, op, pos, off, len, 0)
			: drw_io(binding, op, pos, off, len, 0);
}

static void transfer(bool use_ring, enum dmabuf_rw_op op, u64 pos, u64 off, u64 len)
{
	s64 n = ask(use_ring, op, pos, off, len);

	CHECK(n == (s64)len, "%s %s of %llu at %llu, buffer %#llx gave %lld (%s)",
	      use_ring ? "io_uring" : "sync", op ? "write" : "read", (unsigned long long)len,
	      (unsigned long long)pos, (unsigned long long)off, (long long)n,
	      n < 0 ? strerror(-n) : "short");
}

static void read_in(bool use_ring, u64 pos, u64 off, u64 len)
{
	u64 guard = next_tag++, from = off - MIN(off, 4096), to = MIN(off + len + 4096, buf.bytes);

	buf_fill(&buf, from, to - from, guard, from);
	transfer(use_ring, DMABUF_RW_OP_READ, pos, off, len);
	buf_check(&buf, from, off - from, guard, from);
	buf_check(&buf, off + len, to - off - len, guard, off + len);
	buf_get(&buf, off, mem, len);
	data_check("buffer", mem, model + pos, len, pos);
}

static void write_out(bool use_ring, u64 pos, u64 off, u64 len)
{
	u64 tag = next_tag++;

	buf_fill(&buf, off, len, tag, pos);
	transfer(use_ring, DMABUF_RW_OP_WRITE, pos, off, len);
	buf_check(&buf, off, len, tag, pos);
	data_fill(model + pos, len, tag, pos);
}

static void check_file(u64 bytes)
{
	CHECK_EQ(file_bytes(fd), bytes);
	file_get(fd, 0, mem, bytes);
	data_check("file", mem, model, bytes, 0);
	file_check_on_disk(&fs, fd, model, bytes);
}

/* Some bytes on each side of where one extent ends and the next begins. */
static void cross_extents(unsigned int most)
{
	struct file_extent e;
	u64 at = 0;

	for (unsigned int i = 0; i < most && file_extent(fd, at, &e); i++) {
		u64 before = 1 + rng_below(&rng, 5000), after = 1 + rng_below(&rng, 5000), off;

		at = e.pos + e.len;
		if (at + after > FILE_BYTES)
			break;
		before = ROUND_UP(before, i & 1 ? info.read_align : info.write_align);
		after = ROUND_UP(after, i & 1 ? info.read_align : info.write_align);
		off = rng_step(&rng, 0, MiB, info.buf_align);
		if (i & 1)
			read_in(i & 2, at - before, off, before + after);
		else
			write_out(i & 2, at - before, off, before + after);
	}
}

static void every_transfer_goes_both_ways(const void *arg)
{
	const struct place *p = arg;
	u64 tag;

	open_fs(p);
	tag = next_tag++;
	fd = file_make_fragmented(&fs, "f", FILE_BYTES, CHUNK, tag);
	take_model(FILE_BYTES, tag);
	bind_file(p, BUF_BYTES);
	/* All of it, and all of it elsewhere. */
	read_in(false, 0, 0, FILE_BYTES);
	write_out(true, 0, 4096 * 3, FILE_BYTES);
	for (int i = 0; i < ROUNDS; i++) {
		u64 most = i % 3 ? 70 * KiB : FILE_BYTES - info.lba_bytes;
		u64 align = i & 1 ? info.read_align : info.write_align;
		u64 len = rng_step(&rng, align, ROUND_DOWN(most, align), align);
		u64 pos = rng_step(&rng, 0, ROUND_DOWN(FILE_BYTES - len, align), align);
		u64 off = rng_step(&rng, 0, BUF_BYTES - len, info.buf_align);

		if (i & 1)
			read_in(i & 2, pos, off, len);
		else
			write_out(i & 2, pos, off, len);
	}
	cross_extents(12);
	check_file(FILE_BYTES);
	file_check_gaps(&fs, fd, CHUNK, tag);
	unbind();
	close(fd);
	fs_finish(&fs);
}

/* ---- sizes ------------------------------------------------------------------------- */

static const u64 sizes[] = {
	1, 2, 511, 512, 513, 1024, 4095, 4096, 4097, 8191, 12288, 65535, 65536, 65537,
	512 * KiB - 1, MiB + 1,
};

/* Asked for more than there is: what there is, and not a byte more on either side. */
static void files_of_any_size_end_where_they_end(const void *arg)
{
	const struct place *p = arg;
	u64 tag;

	open_fs(p);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 bytes = sizes[i], guard = next_tag++, part;
		bool use_ring = i & 1;

		tag = next_tag++;
		fd = file_make(&fs, "f", bytes, tag);
		take_model(bytes, tag);
		bind_file(p, BUF_BYTES);
		CHECK_EQ(info.file_bytes, bytes);

		buf_fill(&buf, 0, BUF_BYTES, guard, 0);
		CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, 0, 4096, MiB + 64 * KiB), bytes,
			 "file of %llu", (unsigned long long)bytes);
		buf_check(&buf, 0, 4096, guard, 0);
		buf_check(&buf, 4096, bytes, tag, 0);
		buf_check(&buf, 4096 + bytes, BUF_BYTES - 4096 - bytes, guard, 4096 + bytes);

		/* Nothing is behind the end, and nothing can be put there. */
		for (u64 at = ROUND_UP(bytes, info.write_align); at < 3 * MiB; at += MiB) {
			CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, at, 0, 4096), 0);
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, at, 0, 4096), ENOSPC);
		}
		buf_check(&buf, 4096 + bytes, BUF_BYTES - 4096 - bytes, guard, 4096 + bytes);

		/* A write over the end is short. */
		part = ROUND_DOWN(rng_below(&rng, bytes), info.write_align);
		tag = next_tag++;
		buf_fill(&buf, 0, MiB + 64 * KiB, tag, part);
		CHECK_EQ(ask(use_ring, DMABUF_RW_OP_WRITE, part, 0, MiB + 64 * KiB),
			 bytes - part, "file of %llu from %llu", (unsigned long long)bytes,
			 (unsigned long long)part);
		data_fill(model + part, bytes - part, tag, part);
		check_file(bytes);
		unbind();
		close(fd);
	}
	fs_finish(&fs);
}

static void one_transfer_moves_64MiB(const void *arg)
{
	const struct place *p = arg;
	/* The last LBA is the file's in part only. */
	const u64 bytes = 64 * MiB - 1;
	struct dmabuf_rw_info after;

	open_fs(p);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	file_fill(fd, 0, bytes, 1);
	SYS(fsync(fd));
	bind_file(p, 64 * MiB + 8192);
	CHECK_EQ(ask(false, DMABUF_RW_OP_READ, 0, 4096, 64 * MiB), bytes);
	buf_check(&buf, 4096, bytes, 1, 0);
	buf_fill(&buf, 4096, bytes, 2, 0);
	CHECK_EQ(ask(true, DMABUF_RW_OP_WRITE, 0, 4096, 64 * MiB), bytes);
	OK(drw_info(binding, &after));
	CHECK_EQ(after.reads, 1);
	CHECK_EQ(after.writes, 1);
	CHECK_EQ(after.read_bytes, bytes);
	CHECK_EQ(after.write_bytes, bytes);
	CHECK_EQ(after.errors, 0);
	unbind();
	file_check(fd, 0, bytes, 2);
	CHECK_EQ(file_bytes(fd), bytes);
	close(fd);
	fs_finish(&fs);
}

static void bind_tells_what_it_found(const void *arg)
{
	const struct place *p = arg;
	const u64 can = DMABUF_RW_INFO_CAN_READ | DMABUF_RW_INFO_CAN_WRITE;
	struct dmabuf_rw_info raw;
	int b;

	open_fs(p);
	fd = file_make_fragmented(&fs, "f", FILE_BYTES, CHUNK, 1);
	bind_file(p, BUF_BYTES);
	b = OK(drw_bind(buf.fd, fs.disk.fd));
	OK(drw_info(b, &raw));
	close(b);
	CHECK_EQ(info.flags, raw.flags | DMABUF_RW_INFO_REGULAR);
	CHECK_EQ(info.flags & can, can);
	CHECK_EQ(info.file_bytes, FILE_BYTES);
	CHECK_EQ(info.lba_bytes, fs.disk.lba);
	CHECK_EQ(info.read_align, raw.read_align);
	CHECK_EQ(info.write_align, raw.write_align);
	CHECK_EQ(info.buf_align, raw.buf_align);
	CHECK_EQ(info.max_cmd_bytes, raw.max_cmd_bytes);
	CHECK_EQ(info.paths, raw.paths);
	CHECK_EQ(info.nvme_pci, raw.nvme_pci);
	CHECK_EQ(info.mem_class, raw.mem_class);
	/* Nothing has been looked up. */
	CHECK_EQ(info.file_extents, 0);
	CHECK(info.metadata_bytes > raw.metadata_bytes, "%llu, raw %llu",
	      (unsigned long long)info.metadata_bytes,
	      (unsigned long long)raw.metadata_bytes);
	unbind();
	/* A descriptor that can only read gives a binding that can only read. */
	close(fd);
	fd = fs_open(&fs, "f", O_RDONLY);
	bind_file(p, BUF_BYTES);
	CHECK_EQ(info.flags & can, DMABUF_RW_INFO_CAN_READ);
	FAILS(ask(false, DMABUF_RW_OP_WRITE, 0, 0, 4096), EACCES);
	CHECK_EQ(ask(true, DMABUF_RW_OP_READ, 0, 0, FILE_BYTES), FILE_BYTES);
	/* Extents that the file system tells one by one may be neighbours on the disk. */
	OK(drw_info(binding, &info));
	CHECK(info.file_extents > 1 && info.file_extents <= file_extents(fd),
	      "%llu of %u", (unsigned long long)info.file_extents, file_extents(fd));
	unbind();
	close(fd);
	fs_finish(&fs);
}

/* ---- table ------------------------------------------------------------------------- */

static void add_place(void (*run)(const void *arg), const char *what, struct place place)
{
	struct place *p = malloc(sizeof(*p));

	*p = place;
	test_add(run, p, "%s.%s.%s.%s", what, p->kind, p->role, p->exporter->name);
}

static void add(void)
{
	/* The second partition of a disk with small LBAs does not begin at a page. */
	static const char *const roles[] = {
		"priv512p1", "mp512p2", "priv4kp2", "mp4kp1", "priv512p2",
	};
	fs_program();
	test_limit(90);
	for (size_t e = 0; e < nr_exporters; e++)
		add_place(every_transfer_goes_both_ways, "every_transfer_goes_both_ways",
			  (struct place){ fs_kinds[e & 1], roles[e % ARRAY_SIZE(roles)], 0,
					  exporters[e] });
	for (int k = 0; k < 2; k++) {
		/* On the whole disk. */
		add_place(every_transfer_goes_both_ways, "every_transfer_goes_both_ways",
			  (struct place){ fs_kinds[k], k ? "mp4k" : "priv512", 160 * MiB,
					  &exporter_mock_scattered });
		add_place(files_of_any_size_end_where_they_end,
			  "files_of_any_size_end_where_they_end",
			  (struct place){ fs_kinds[k], k ? "mp4kp1" : "priv512p1", 0,
					  &exporter_mock_scattered });
		add_place(one_transfer_moves_64MiB, "one_transfer_moves_64MiB",
			  (struct place){ fs_kinds[k], k ? "mp4k" : "priv512", 160 * MiB,
					  k ? &exporter_udmabuf : &exporter_heap });
		add_place(bind_tells_what_it_found, "bind_tells_what_it_found",
			  (struct place){ fs_kinds[k], k ? "priv4kp1" : "mp512p1", 0,
					  &exporter_mock_scattered });
	}
}

const struct program program = {
	"file_roundtrip", add, .machines = MACHINES_ALL, .debug = true,
};
