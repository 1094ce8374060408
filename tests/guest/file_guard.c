// SPDX-License-Identifier: GPL-2.0
/*
 * file_guard.c - bound files when what is below them changes: file systems that stop, and
 * partitions that are made smaller.
 */
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define FS_BYTES	(64 * MiB)
#define FS_XFS_BYTES	(300 * MiB)
#define FILE_BYTES	(2 * MiB)
#define BUF_BYTES	(2 * MiB)

/* EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one; ext4.h and xfs_fs.h are no public headers. */
#define IOC_SHUTDOWN	_IOR('X', 125, u32)
#define SHUTDOWN_NOLOG	2

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static int fd, binding;

static void open_all(const char *kind, const char *role, const char *options)
{
	fs_make(&fs, kind, role, strcmp(kind, "xfs") ? FS_BYTES : FS_XFS_BYTES, "", options);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 4, 0);
	fd = file_make(&fs, "f", FILE_BYTES, 1);
}

static s64 ask(bool use_ring, enum dmabuf_rw_op op, u64 pos, u64 len)
{
	return use_ring ? drw_ring_io(&ring, binding, op, pos, 0, len, 0)
			: drw_io(binding, op, pos, 0, len, 0);
}

/* The answer within a while: it is asked for once a tick only. */
static s64 ask_until(bool use_ring, enum dmabuf_rw_op op, s64 wanted)
{
	s64 n;

	for (int i = 0; i < 100; i++) {
		n = ask(use_ring, op, 0, 4096);
		if (n == wanted)
			break;
		usleep(20000);
	}
	return n;
}

static void transfers_end_when_the_file_system_is_shut_down(const void *arg)
{
	u32 how = SHUTDOWN_NOLOG;
	int dir;

	open_all(arg, "priv512", "");
	binding = OK(drw_bind(buf.fd, fd));
	for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++)
		for (int use_ring = 0; use_ring <= 1; use_ring++)
			CHECK_EQ(ask(use_ring, op, 0, 4096), 4096);
	SYS(fsync(fd));
	dir = SYS(open(fs.dir, O_RDONLY | O_DIRECTORY));
	SYS(ioctl(dir, IOC_SHUTDOWN, &how));
	close(dir);
	/* Some ticks, in one of which it is asked; and less than times are relied on. */
	usleep(100000);
	for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++)
		for (int use_ring = 0; use_ring <= 1; use_ring++)
			/* Where blocks are known, and where they would have to be looked up. */
			for (u64 pos = 0; pos < FILE_BYTES; pos += FILE_BYTES / 2)
				CHECK_EQ(ask(use_ring, op, pos, 4096), -EIO,
					 "op %d, ring %d, at %llu", op, use_ring,
					 (unsigned long long)pos);
	close(binding);
	close(fd);
	mock_check_clean(&buf);
	/* Its log is replayed before it is checked. */
	fs_remount(&fs);
	fs_finish(&fs);
}

/* ext4 after it has found an error: it says so to write(2), but not in the mount's flags. */
static void writes_end_when_ext4_has_found_an_error(const void *arg)
{
	bool reads;
	u8 *mem;

	open_all("ext4", "priv4kp1", "errors=remount-ro");
	mem = data_alloc(4096);
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(ask(true, DMABUF_RW_OP_WRITE, 0, 4096), 4096);
	SYS(fsync(fd));
	OK(spit("1", "/sys/fs/ext4/%s/trigger_fs_error",
		strrchr(realpath(fs.disk.path, NULL), '/') + 1));
	/* Kernels differ in whether they still let it be read. */
	drop_caches();
	reads = pread(fd, mem, 4096, 0) == 4096;
	note("it can %sbe read", reads ? "" : "not ");
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		CHECK_EQ(ask_until(use_ring, DMABUF_RW_OP_WRITE, reads ? -EPERM : -EIO),
			 reads ? -EPERM : -EIO);
		CHECK_EQ(ask_until(use_ring, DMABUF_RW_OP_READ, reads ? 4096 : -EIO),
			 reads ? 4096 : -EIO);
	}
	close(binding);
	close(fd);
	fs_unmount(&fs);
	/* The error is noted in the superblock, which a check takes note of once. */
	sh("/usr/sbin/e2fsck -fy %s", fs.disk.path);
	OK(fs_mount(&fs, ""));
	fs_finish(&fs);
}

/* As partx(8) and the tools that repartition do, also of a partition in use. */
static void resize_partition(const char *disk, int number, u64 start, u64 length)
{
	struct blkpg_partition part = { .start = start, .length = length, .pno = number };
	struct blkpg_ioctl_arg arg = { .op = BLKPG_RESIZE_PARTITION, .datalen = sizeof(part),
				       .data = &part };
	int whole = SYS(open(disk, O_RDONLY));

	SYS(ioctl(whole, BLKPG, &arg));
	close(whole);
}

static void commands_stay_within_a_partition_made_smaller(const void *arg)
{
	const char *whole = machine_var("DRW_PRIV512");
	u64 start, length, cut, far = 0;
	struct file_extent e;
	char name[64];

	open_all("ext4", "priv512p1", "");
	snprintf(name, sizeof(name), "%s", strrchr(realpath(fs.disk.path, NULL), '/') + 1);
	start = strtoull(slurp("/sys/class/block/%s/start", name), NULL, 10) * 512;
	length = strtoull(slurp("/sys/class/block/%s/size", name), NULL, 10) * 512;
	binding = OK(drw_bind(buf.fd, fd));
	for (int use_ring = 0; use_ring <= 1; use_ring++)
		CHECK_EQ(ask(use_ring, DMABUF_RW_OP_READ, 0, FILE_BYTES), FILE_BYTES);
	for (u64 pos = 0; file_extent(fd, pos, &e); pos = e.pos + e.len)
		far = MAX(far, e.at);
	CHECK(far > MiB, "the file lies at the very beginning");

	/* The last LBA that is left is the one before the last extent. */
	cut = ROUND_DOWN(far, 4096);
	resize_partition(whole, 1, start, cut);
	for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++) {
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			for (u64 pos = 0; file_extent(fd, pos, &e); pos = e.pos + e.len) {
				s64 n = ask(use_ring, op, e.pos, 4096);

				CHECK(n == (e.at < cut ? 4096 : -EMEDIUMTYPE),
				      "op %d, ring %d, at %llu gave %lld", op, use_ring,
				      (unsigned long long)e.at, (long long)n);
			}
		}
	}
	resize_partition(whole, 1, start, length);
	CHECK_EQ(ask(false, DMABUF_RW_OP_READ, 0, FILE_BYTES), FILE_BYTES);
	close(binding);
	close(fd);
	mock_check_clean(&buf);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, transfers_end_when_the_file_system_is_shut_down);
	TEST(writes_end_when_ext4_has_found_an_error);
	TEST(commands_stay_within_a_partition_made_smaller);
}

const struct program program = { "file_guard", add, .debug = true };
