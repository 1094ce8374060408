// SPDX-License-Identifier: GPL-2.0
/*
 * errors_io.c - what transfers and INFO refuse, each with its errno, both by ioctl and by
 * io_uring, and that a refused transfer touches nothing.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "kernel_way.h"

#define BUF_BYTES	(256 * KiB)
#define WINDOW		(2 * MiB)	/* where refused transfers point to */
#define WINDOW_BYTES	(1 * MiB)

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static int binding;

static void open_all(const char *role)
{
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 4, 0);
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	disk_fill(&disk, WINDOW, WINDOW_BYTES, 2, 0);
}

/* Nothing moved, and nothing is held. */
static void check_untouched(void)
{
	struct dmabuf_rw_info info;

	OK(drw_info(binding, &info));
	CHECK_EQ(info.reads, 0);
	CHECK_EQ(info.writes, 0);
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	disk_check(&disk, WINDOW, WINDOW_BYTES, 2, 0);
	io_uring_queue_exit(&ring);
	drw_unbind(binding);
	drw_check_clean(&buf);
}

/* Both ways of asking must give the same. */
static void both(const char *what, enum dmabuf_rw_op op, u64 file_off, u64 buf_off, u64 len,
		 u64 flags, s64 want)
{
	s64 got = drw_io(binding, op, file_off, buf_off, len, flags);

	CHECK(got == want, "%s by ioctl: %lld (%s), not %lld (%s)", what, (long long)got,
	      got < 0 ? strerror(-got) : "", (long long)want,
	      want < 0 ? strerror(-want) : "");
	/* Entries of the kernel's way have its errnos. */
	if (len > UINT32_MAX || drw_way)
		return;
	got = drw_ring_io(&ring, binding, op, file_off, buf_off, len, flags);
	CHECK(got == want, "%s by io_uring: %lld (%s), not %lld (%s)", what, (long long)got,
	      got < 0 ? strerror(-got) : "", (long long)want,
	      want < 0 ? strerror(-want) : "");
}

static void both_ops(const char *what, u64 file_off, u64 buf_off, u64 len, s64 want)
{
	both(what, DMABUF_RW_OP_READ, file_off, buf_off, len, 0, want);
	both(what, DMABUF_RW_OP_WRITE, file_off, buf_off, len, 0, want);
}

static void unaligned_without_SGLs(const void *arg)
{
	struct dmabuf_rw_info info;
	u64 lba;

	open_all(arg);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.flags & DMABUF_RW_INFO_SGL, 0);
	CHECK_EQ(info.read_align, disk.lba);
	CHECK_EQ(info.write_align, disk.lba);
	CHECK_EQ(info.buf_align, 4);
	lba = disk.lba;
	both_ops("offset + 1", WINDOW + 1, 0, lba, -EDOM);
	both_ops("offset + 256", WINDOW + 256, 0, lba, -EDOM);
	both_ops("offset + lba / 2", WINDOW + lba / 2, 0, lba, -EDOM);
	both_ops("length 1", WINDOW, 0, 1, -EDOM);
	both_ops("length lba - 1", WINDOW, 0, lba - 1, -EDOM);
	both_ops("length lba + 4", WINDOW, 0, lba + 4, -EDOM);
	both_ops("both", WINDOW + 4, 0, lba - 4, -EDOM);
	for (u64 off = 1; off < 4; off++)
		both_ops("buffer offset", WINDOW, off, lba, -EDOM);
	check_untouched();
}

static void unaligned_ranges_without_SGLs_are_EDOM(const void *arg)
{
	drw_with_parameters("use_sgl=0", unaligned_without_SGLs, arg);
}

static void unaligned_ranges_can_be_read_and_not_written(const void *arg)
{
	struct dmabuf_rw_info info;
	u64 lba;

	open_all(arg);
	lba = disk.lba;
	OK(drw_info(binding, &info));
	CHECK_EQ(info.write_align, lba);
	if (info.read_align > 1) {
		both_ops("offset + 1", WINDOW + 1, 0, lba, -EDOM);
		both_ops("length 1", WINDOW, 0, 1, -EDOM);
		check_untouched();
		return;
	}
	const struct {
		u64 at, len;
	} cases[] = {
		{ 1, lba }, { 256, lba }, { lba / 2, lba }, { 0, 1 }, { 0, lba - 1 },
		{ 0, lba + 4 }, { 4, lba - 4 }, { lba - 1, 2 }, { 3, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 at = cases[i].at, len = cases[i].len;

		buf_fill(&buf, 0, BUF_BYTES, 1, 0);
		both("read", DMABUF_RW_OP_READ, WINDOW + at, 64, len, 0, len);
		buf_check(&buf, 0, 64, 1, 0);
		buf_check(&buf, 64, len, 2, at);
		buf_check(&buf, 64 + len, 4 * lba, 1, 64 + len);
		both("write", DMABUF_RW_OP_WRITE, WINDOW + at, 64, len, 0, -EDOM);
		both("forced write", DMABUF_RW_OP_WRITE, WINDOW + at, 64, len,
		     DMABUF_RW_IO_FUA, -EDOM);
	}
	disk_check(&disk, WINDOW, WINDOW_BYTES, 2, 0);
}

static void unaligned_buffer_offsets_are_EDOM_or_right(const void *arg)
{
	struct dmabuf_rw_info info;

	open_all("priv512");
	OK(drw_info(binding, &info));
	if (info.buf_align > 1) {
		for (u64 off = 1; off < info.buf_align; off++)
			both_ops("buffer offset", WINDOW, off, 512, -EDOM);
		check_untouched();
		return;
	}
	for (u64 off = 1; off < 8; off++) {
		CHECK_EQ(drw_read(binding, WINDOW, off, 4096), 4096);
		buf_check(&buf, 0, off, 1, 0);
		buf_check(&buf, off, 4096, 2, 0);
		buf_check(&buf, off + 4096, 4096, 1, off + 4096);
		buf_fill(&buf, 0, 8192, 1, 0);
	}
}

static void pieces_outside_the_buffer_are_ERANGE(const void *arg)
{
	open_all("priv512");
	both_ops("one LBA too far", WINDOW, BUF_BYTES, 512, -ERANGE);
	both_ops("one LBA over the end", WINDOW, BUF_BYTES - 512, 1024, -ERANGE);
	both_ops("four bytes over the end", WINDOW, BUF_BYTES - 508, 512, -ERANGE);
	both_ops("longer than the buffer", WINDOW, 0, BUF_BYTES + 512, -ERANGE);
	both_ops("far away", WINDOW, 1ULL << 40, 512, -ERANGE);
	both_ops("32-bit wrap", WINDOW, (1ULL << 32) + 512, 512, -ERANGE);
	check_untouched();
}

static void ends_beyond_63_bits_are_EOVERFLOW(const void *arg)
{
	const u64 top = 1ULL << 63;

	open_all("priv512");
	both_ops("file end at 2^63", top - 512, 0, 512, -EOVERFLOW);
	both_ops("file offset 2^63", top, 0, 512, -EOVERFLOW);
	both_ops("file end at 2^64", -512ULL, 0, 512, -EOVERFLOW);
	both_ops("buffer end at 2^63", WINDOW, top - 512, 512, -EOVERFLOW);
	both_ops("buffer offset 2^63", WINDOW, top, 512, -EOVERFLOW);
	both_ops("buffer end wraps", WINDOW, -256ULL, 512, -EOVERFLOW);
	both_ops("length 2^63", WINDOW, 0, top, -EOVERFLOW);
	both_ops("length wraps", WINDOW, 512, -512ULL, -EOVERFLOW);
	check_untouched();
}

static void unknown_flags_are_EINVAL(const void *arg)
{
	open_all("priv512");
	both("flag 3", DMABUF_RW_OP_READ, WINDOW, 0, 512, 1ULL << 3, -EINVAL);
	both("RESULTS", DMABUF_RW_OP_READ, WINDOW, 0, 512, DMABUF_RW_IO_RESULTS, -EINVAL);
	both("flag 63", DMABUF_RW_OP_WRITE, WINDOW, 0, 512, 1ULL << 63, -EINVAL);
	both("flag 33 with FUA", DMABUF_RW_OP_WRITE, WINDOW, 0, 512,
	     1ULL << 33 | DMABUF_RW_IO_FUA, -EINVAL);
	both("FUA on a read", DMABUF_RW_OP_READ, WINDOW, 0, 512, DMABUF_RW_IO_FUA, -EINVAL);
	check_untouched();
}

static int io_raw(void *arg)
{
	return ioctl(binding, DMABUF_RW_IOC_IO, arg) ? -errno : 0;
}

static int info_raw(void *arg)
{
	return ioctl(binding, DMABUF_RW_IOC_INFO, arg) ? -errno : 0;
}

static void malformed_ioctls_are_EINVAL(const void *arg)
{
	struct dmabuf_rw_piece piece = { 0, 512 };
	struct dmabuf_rw_info info = { .size = sizeof(info) }, bad_info;
	struct dmabuf_rw_io good, bad;

	open_all("priv512");
	good = (struct dmabuf_rw_io){ .size = sizeof(good), .file_off = WINDOW, .len = 512 };

#define SPOIL(field, value)				\
	do {						\
		bad = good;				\
		bad.field = value;			\
		FAILS(io_raw(&bad), EINVAL);		\
	} while (0)

	SPOIL(size, 0);
	SPOIL(size, 8);
	SPOIL(size, offsetof(struct dmabuf_rw_io, len));
	SPOIL(op, 2);
	SPOIL(op, 0xffffffff);
	SPOIL(error, 1);
	SPOIL(done, 1);
	SPOIL(resv[0], 1);
	SPOIL(resv[1], 1ULL << 63);
	/* Pieces say where, or buf_off and len do, not both. */
	SPOIL(pieces, (uintptr_t)&piece);
	good.nr_pieces = 1;
	good.pieces = (uintptr_t)&piece;
	FAILS(io_raw(&good), EINVAL);
	good.len = 0;
	SPOIL(buf_off, 512);
#undef SPOIL
	bad_info = info;
	bad_info.size = 8;
	FAILS(info_raw(&bad_info), EINVAL);
	bad_info = info;
	bad_info.resv0 = 1;
	FAILS(info_raw(&bad_info), EINVAL);
	bad_info = info;
	bad_info.resv[ARRAY_SIZE(info.resv) - 1] = 1;
	FAILS(info_raw(&bad_info), EINVAL);
	check_untouched();
}

static void malformed_sqes_are_refused(const void *arg)
{
	struct io_uring_sqe *sqe;
	s64 res;

	open_all("priv512");
#define SPOILED(spoil, err)							\
	do {									\
		sqe = io_uring_get_sqe(&ring);					\
		drw_prep(sqe, binding, DMABUF_RW_URING_READ, WINDOW, 0, 512, 0);	\
		spoil;								\
		FAILS(drw_ring_one(&ring), err);				\
	} while (0)

	SPOILED(sqe->ioprio = 1, EINVAL);
	SPOILED(sqe->buf_index = 1, EINVAL);
	SPOILED(sqe->uring_cmd_flags = 1U << 5, EINVAL);
	/* Registered buffers: io_uring itself may find that there is none. */
	sqe = io_uring_get_sqe(&ring);
	drw_prep(sqe, binding, DMABUF_RW_URING_READ, WINDOW, 0, 512, 0);
	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	res = drw_ring_one(&ring);
	CHECK(res == -EINVAL || res == -EFAULT, "%lld", (long long)res);
	SPOILED(sqe->cmd_op = 0, ENOTTY);
	SPOILED(sqe->cmd_op = DMABUF_RW_URING_WRITE_MANY + 1, ENOTTY);
	SPOILED(sqe->cmd_op = 0xffffffff, ENOTTY);
#undef SPOILED
	check_untouched();
}

static void longer_structures_are_taken_if_the_tail_is_zero(const void *arg)
{
	struct {
		struct dmabuf_rw_io io;
		u8 tail[64];
	} io = {};
	struct {
		struct dmabuf_rw_info info;
		u8 tail[64];
	} info = {};

	open_all("priv512");
	io.io = (struct dmabuf_rw_io){ .size = sizeof(io), .file_off = WINDOW, .len = 512 };
	io.tail[0] = 1;
	FAILS(io_raw(&io), E2BIG);
	io.tail[0] = 0;
	io.tail[63] = 1;
	FAILS(io_raw(&io), E2BIG);
	info.info.size = sizeof(info);
	info.tail[7] = 1;
	FAILS(info_raw(&info), E2BIG);
	memset(info.tail, 0, sizeof(info.tail));
	OK(info_raw(&info));
	CHECK_EQ(info.info.buf_bytes, BUF_BYTES);
	for (size_t i = 0; i < sizeof(info.tail); i++)
		CHECK_EQ(info.tail[i], 0, "%zu", i);
	io.tail[63] = 0;
	io.io.len = 0;
	OK(io_raw(&io));
	check_untouched();
}

static void pointers_to_nowhere_are_EFAULT(const void *arg)
{
	u8 *page = data_alloc(8192);
	struct dmabuf_rw_piece *pieces = (void *)(page + 4096 - sizeof(*pieces) * 3);
	struct dmabuf_rw_io *edge = (void *)(page + 4096 - sizeof(*edge) / 2);
	struct io_uring_sqe *sqe;

	open_all("priv512");
	FAILS(io_raw(NULL), EFAULT);
	FAILS(info_raw((void *)-4096UL), EFAULT);
	SYS(munmap(page + 4096, 4096));
	edge->size = sizeof(*edge);
	FAILS(io_raw(edge), EFAULT);

	for (int i = 0; i < 3; i++)
		pieces[i] = (struct dmabuf_rw_piece){ i * 512, 512 };
	/* The fourth piece cannot be read: none may be used. */
	FAILS(drw_iov(binding, DMABUF_RW_OP_READ, WINDOW, pieces, 4, 0), EFAULT);
	FAILS(drw_iov(binding, DMABUF_RW_OP_WRITE, WINDOW, NULL, 1, 0), EFAULT);
	FAILS(drw_iov(binding, DMABUF_RW_OP_WRITE, WINDOW, (void *)-8192UL, 1, 0), EFAULT);
	sqe = io_uring_get_sqe(&ring);
	drw_prepv(sqe, binding, DMABUF_RW_URING_READV, WINDOW, pieces, 4, 0);
	FAILS(drw_ring_one(&ring), EFAULT);
	sqe = io_uring_get_sqe(&ring);
	drw_prepv(sqe, binding, DMABUF_RW_URING_WRITEV, WINDOW, NULL, 2, 0);
	FAILS(drw_ring_one(&ring), EFAULT);
	check_untouched();
}

static void nothing_asked_is_nothing_done(const void *arg)
{
	open_all("priv512");
	both_ops("length 0", WINDOW, 0, 0, 0);
	both_ops("length 0 at the buffer's end", WINDOW, BUF_BYTES, 0, 0);
	both_ops("length 0 at the disk's end", disk.bytes, 0, 0, 0);
	check_untouched();
}

static void end_of_device_is_as_with_O_DIRECT(const void *arg)
{
	void *mem = data_alloc(64 * KiB);
	u64 end, lba;

	open_all(arg);
	end = disk.bytes;
	lba = disk.lba;
	disk_fill(&disk, end - 16 * KiB, 16 * KiB, 3, 0);

	/* What the kernel does for ordinary I/O. */
	CHECK_EQ(pread(disk.fd, mem, 64 * KiB, end - 16 * KiB), 16 * KiB);
	CHECK_EQ(pread(disk.fd, mem, 4096, end), 0);
	CHECK(pwrite(disk.fd, mem, 4096, end) == -1 && errno == ENOSPC, "%d", errno);
	disk_fill(&disk, end - 16 * KiB, 16 * KiB, 3, 0);

	both("read at the end", DMABUF_RW_OP_READ, end, 0, lba, 0, 0);
	both("read far beyond", DMABUF_RW_OP_READ, end + (1ULL << 40), 0, lba, 0, 0);
	both("write at the end", DMABUF_RW_OP_WRITE, end, 0, lba, 0, -ENOSPC);
	both("write far beyond", DMABUF_RW_OP_WRITE, end + (1ULL << 40), 0, lba, 0, -ENOSPC);
	disk_check(&disk, end - 16 * KiB, 16 * KiB, 3, 0);
	buf_check(&buf, 0, BUF_BYTES, 1, 0);

	both("read over the end", DMABUF_RW_OP_READ, end - 16 * KiB, 4096, 64 * KiB, 0,
	     16 * KiB);
	buf_check(&buf, 0, 4096, 1, 0);
	buf_check(&buf, 4096, 16 * KiB, 3, 0);
	buf_check(&buf, 20 * KiB, BUF_BYTES - 20 * KiB, 1, 20 * KiB);
	both("write over the end", DMABUF_RW_OP_WRITE, end - lba, 64 * KiB, 64 * KiB, 0,
	     lba);
	disk_check(&disk, end - lba, lba, 1, 64 * KiB);
	disk_check(&disk, end - 16 * KiB, 16 * KiB - lba, 3, 0);
}

/* A partition's end protects what comes after it on the disk. */
static void end_of_partition_is_an_end(const void *arg)
{
	struct disk whole;
	u64 start;

	open_all("priv512p1");
	disk_open(&whole, "priv512");
	start = strtoull(slurp("/sys/class/block/%s/start", disk.name), NULL, 0) * 512;
	CHECK_EQ(start, MiB);
	disk_fill(&whole, start + disk.bytes - 4096, 8192, 4, 0);
	both("write over the end", DMABUF_RW_OP_WRITE, disk.bytes - 4096, 0, 8192, 0, 4096);
	both("write at the end", DMABUF_RW_OP_WRITE, disk.bytes, 0, 4096, 0, -ENOSPC);
	disk_check(&whole, start + disk.bytes - 4096, 4096, 1, 0);
	disk_check(&whole, start + disk.bytes, 4096, 4, 4096);
	buf_fill(&buf, 0, 8192, 5, 0);
	both("read over the end", DMABUF_RW_OP_READ, disk.bytes - 4096, 0, 8192, 0, 4096);
	buf_check(&buf, 0, 4096, 1, 0);
	buf_check(&buf, 4096, 4096, 5, 4096);
}

static void read_only_device_is_EPERM(const void *arg)
{
	int on = 1, off = 0;

	open_all("priv512p2");
	SYS(ioctl(disk.fd, BLKROSET, &on));
	both("write", DMABUF_RW_OP_WRITE, 0, 0, 4096, 0, -EPERM);
	CHECK_EQ(drw_read(binding, WINDOW, 0, 4096), 4096);
	SYS(ioctl(disk.fd, BLKROSET, &off));
	CHECK_EQ(drw_write(binding, WINDOW, 0, 4096), 4096);
}

static void swap_device_is_ETXTBSY(const void *arg)
{
	open_all("priv512p2");
	CHECK_EQ(sh("mkswap %s", disk.path), 0);
	SYS(swapon(disk.path, 0));
	both("write", DMABUF_RW_OP_WRITE, WINDOW, 0, 4096, 0, -ETXTBSY);
	SYS(swapoff(disk.path));
	CHECK_EQ(drw_write(binding, WINDOW, 0, 4096), 4096);
}

/* What a file system holds in the cache cannot be dropped, so it must not be bypassed. */
static void metadata_of_a_mounted_fs_is_EBUSY(const void *arg)
{
	open_all("priv4kp2");
	/* Nothing that runs later: it would write by itself. */
	CHECK_EQ(sh("/usr/sbin/mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 %s",
		    disk.path), 0);
	SYS(mkdir("/tmp/m", 0700));
	SYS(mount(disk.path, "/tmp/m", "ext4", 0, ""));
	both("write over the superblock", DMABUF_RW_OP_WRITE, 0, 0, 4096, 0, -EBUSY);
	/* Reading is harmless. */
	CHECK_EQ(drw_read(binding, 0, 0, 4096), 4096);
	SYS(umount("/tmp/m"));
	/* The file system has not suffered. */
	SYS(mount(disk.path, "/tmp/m", "ext4", 0, ""));
	SYS(umount("/tmp/m"));
	SYS(rmdir("/tmp/m"));
	CHECK_EQ(drw_write(binding, WINDOW, 0, 4096), 4096);
}

static void shorter_structure_gets_its_part_of_info(const void *arg)
{
	struct dmabuf_rw_info info, full;
	int ret;

	open_all("priv512");
	OK(drw_info(binding, &full));
	memset(&info, 0, sizeof(info));
	info.size = offsetof(struct dmabuf_rw_info, resv);
	ret = info_raw(&info);
	/* This is the first version of the structure: shorter ones may be refused. */
	CHECK(ret == 0 || ret == -EINVAL, "%d", ret);
	if (!ret)
		CHECK_EQ(info.buf_bytes, full.buf_bytes);
	check_untouched();
}

static void add(void)
{
	test_limit(60);
	test_add(unaligned_ranges_without_SGLs_are_EDOM, "priv512",
		 "unaligned_ranges_without_SGLs_are_EDOM.priv512");
	test_add(unaligned_ranges_without_SGLs_are_EDOM, "priv4k",
		 "unaligned_ranges_without_SGLs_are_EDOM.priv4k");
	test_add(unaligned_ranges_can_be_read_and_not_written, "priv512",
		 "unaligned_ranges_can_be_read_and_not_written.priv512");
	test_add(unaligned_ranges_can_be_read_and_not_written, "priv4k",
		 "unaligned_ranges_can_be_read_and_not_written.priv4k");
	TEST(unaligned_buffer_offsets_are_EDOM_or_right);
	TEST(malformed_ioctls_are_EINVAL);
	TEST(malformed_sqes_are_refused);
	TEST(longer_structures_are_taken_if_the_tail_is_zero);
	TEST(shorter_structure_gets_its_part_of_info);
	TEST(pointers_to_nowhere_are_EFAULT);
	TEST(metadata_of_a_mounted_fs_is_EBUSY);
	both_ways_from_here(true);
	TEST(pieces_outside_the_buffer_are_ERANGE);
	TEST(ends_beyond_63_bits_are_EOVERFLOW);
	TEST(unknown_flags_are_EINVAL);
	TEST(nothing_asked_is_nothing_done);
	test_add(end_of_device_is_as_with_O_DIRECT, "priv512",
		 "end_of_device_is_as_with_O_DIRECT.priv512");
	test_add(end_of_device_is_as_with_O_DIRECT, "mp4k",
		 "end_of_device_is_as_with_O_DIRECT.mp4k");
	TEST(end_of_partition_is_an_end);
	TEST(read_only_device_is_EPERM);
	TEST(swap_device_is_ETXTBSY);
}

const struct program program = {
	"errors_io", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
