// SPDX-License-Identifier: GPL-2.0
/*
 * durability.c - writes that are to survive a loss of power: forced ones, and those
 * before an fsync.
 *
 * A test machine cannot lose power with its cache, so what is checked is what the drive is
 * told: the commands, as the NVMe driver's trace event shows them, and the flushes that
 * the disk's statistics count.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "fs.h"
#include "trace.h"

#define BUF_BYTES	(4 * MiB)
#define AT		(16 * MiB)
/* Control bits of a Write command's dword 12, as the trace event prints them. */
#define FUA_BIT		0x4000

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static int binding;

static void open_all(const char *role)
{
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, 4, 0);
}

static void forced_writes_arrive(const void *arg)
{
	const u64 sizes[] = { 4096, 64 * KiB, 2 * MiB };
	struct dmabuf_rw_piece pieces[2];

	open_all(arg);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 len = sizes[i];

		disk_fill(&disk, AT, len, 1, 0);
		buf_fill(&buf, 0, len, 2 + i, 0);
		CHECK_EQ(drw_io(binding, DMABUF_RW_OP_WRITE, AT, 0, len, DMABUF_RW_IO_FUA),
			 len);
		disk_check(&disk, AT, len, 2 + i, 0);
		CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT + 4 * MiB, 0, len,
				     DMABUF_RW_IO_FUA), len);
		disk_check(&disk, AT + 4 * MiB, len, 2 + i, 0);
		pieces[0] = (struct dmabuf_rw_piece){ 0, 512 };
		pieces[1] = (struct dmabuf_rw_piece){ 512, len - 512 };
		CHECK_EQ(drw_iov(binding, DMABUF_RW_OP_WRITE, AT + 8 * MiB, pieces, 2,
				 DMABUF_RW_IO_FUA), len);
		disk_check(&disk, AT + 8 * MiB, len, 2 + i, 0);
	}
}

/* Ends the trace; Write commands seen, and how many of them had the bit. */
static void count_writes(unsigned int *writes, unsigned int *forced)
{
	static struct trace_event events[256];
	unsigned int nr = trace_stop(events, ARRAY_SIZE(events));

	*writes = trace_count(events, nr, true);
	*forced = 0;
	for (unsigned int i = 0; i < nr; i++)
		*forced += !events[i].end && events[i].control & FUA_BIT;
}

static void drive_is_told_to_force(const void *arg)
{
	unsigned int writes, forced;

	open_all("priv512");
	trace_start(&disk);
	CHECK_EQ(drw_write(binding, AT, 0, 2 * MiB), 2 * MiB);
	CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0, 4096, 0), 4096);
	count_writes(&writes, &forced);
	CHECK(writes >= 2, "%u", writes);
	CHECK_EQ(forced, 0, "of %u writes", writes);

	/* All commands of a long transfer, not only the first or the last. */
	trace_start(&disk);
	CHECK_EQ(drw_io(binding, DMABUF_RW_OP_WRITE, AT, 0, 4 * MiB, DMABUF_RW_IO_FUA),
		 4 * MiB);
	CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0, 4096,
			     DMABUF_RW_IO_FUA), 4096);
	count_writes(&writes, &forced);
	CHECK(writes >= 4 * MiB / info.max_cmd_bytes + 1, "%u", writes);
	CHECK_EQ(forced, writes);
}

/* Requests flushed, field 16 of the statistics (Documentation/block/stat.rst). */
static u64 flushes(void)
{
	const char *p = slurp("/sys/class/block/%s/stat", disk.name);
	u64 value = 0;
	char *end;

	for (int i = 0; i < 16; i++, p = end)
		value = strtoull(p, &end, 10);
	return value;
}

static void fsync_after_direct_writes_flushes_the_drive(const void *arg)
{
	u64 before;
	int fd;

	open_all("priv512");
	if (!(info.flags & DMABUF_RW_INFO_WRITE_CACHE))
		skip("the drive has no volatile write cache");
	fd = disk_fd(&disk, O_RDWR);
	for (int i = 0; i < 3; i++) {
		buf_fill(&buf, 0, MiB, i, 0);
		CHECK_EQ(drw_write(binding, AT, 0, MiB), MiB);
		before = flushes();
		SYS(i == 1 ? fdatasync(disk.fd) : fsync(i ? fd : disk.fd));
		CHECK(flushes() > before, "no flush was sent");
		disk_check(&disk, AT, MiB, i, 0);
	}
}

/* Flushes that a forced write brings with it. */
static u64 forced_write_flushes(u64 pos)
{
	u64 before = flushes();

	buf_fill(&buf, 0, 64 * KiB, 3, pos);
	CHECK_EQ(drw_io(binding, DMABUF_RW_OP_WRITE, pos, 0, 64 * KiB, DMABUF_RW_IO_FUA),
		 64 * KiB);
	return flushes() - before;
}

/*
 * A block is durable only if the file system's journal says so, too. What it has committed once
 * it does not commit again.
 */
static void forced_writes_commit_new_blocks_once(const void *arg)
{
	u64 least = ~0ULL;
	struct fs fs;
	int fd;

	/* Flushes are counted of whole disks only. */
	fs_make(&fs, arg, "priv512", 160 * MiB, "", "");
	disk = fs.disk;
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	/* Made and named, but for its blocks. */
	SYS(fsync(fd));
	binding = OK(drw_bind(buf.fd, fd));
	for (u64 pos = 0; pos < MiB; pos += 256 * KiB) {
		file_fill(fd, pos, 64 * KiB, 1);
		CHECK(forced_write_flushes(pos) >= 1, "new blocks at %llu were not committed",
		      (unsigned long long)pos);
		/* Others may have the journal committed at any time. */
		for (int i = 0; i < 20; i++)
			least = MIN(least, forced_write_flushes(pos));
	}
	CHECK_EQ(least, 0, "each forced write has the journal committed");
	close(binding);
	close(fd);
	fs_finish(&fs);
}

static void info_tells_of_the_write_cache(const void *arg)
{
	bool cache;

	open_all(arg);
	cache = !strcmp(slurp("/sys/class/block/%s/queue/write_cache", disk.name),
			"write back");
	CHECK_EQ(!!(info.flags & DMABUF_RW_INFO_WRITE_CACHE), cache);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	test_add(forced_writes_arrive, "priv512", "forced_writes_arrive.priv512");
	test_add(forced_writes_arrive, "mp4kp1", "forced_writes_arrive.mp4kp1");
	TEST(drive_is_told_to_force);
	TEST(fsync_after_direct_writes_flushes_the_drive);
	for (size_t i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, forced_writes_commit_new_blocks_once);
	test_add(info_tells_of_the_write_cache, "priv512",
		 "info_tells_of_the_write_cache.priv512");
	test_add(info_tells_of_the_write_cache, "mp4k", "info_tells_of_the_write_cache.mp4k");
}

const struct program program = {
	"durability", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
