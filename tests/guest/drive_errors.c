// SPDX-License-Identifier: GPL-2.0
/*
 * drive_errors.c - commands that the drive itself fails, and namespaces whose format
 * changes.
 *
 * The drive is told to report reads of deallocated blocks as errors (Error Recovery
 * feature, DULBE: NVM Command Set Specification, section 4.1.3.2), which gives an error at
 * a place of the test's choice.
 */
#include <linux/fs.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(4 * MiB)
#define AT		(16 * MiB)
#define HOLE		(2 * MiB)	/* from AT on */
#define HOLE_BYTES	(64 * KiB)

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static int binding;

static const char *const priv_ctrls[] = { "DRW_PRIV_PCI", NULL };
static const char *const mp_ctrls[] = { "DRW_MPA_PCI", "DRW_MPB_PCI", NULL };

static void make_hole(void)
{
	u64 range[2] = { AT + HOLE, HOLE_BYTES };

	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	SYS(ioctl(disk.fd, BLKDISCARD, range));
}

static void open_all(const char *role)
{
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, 4, 0);
	make_hole();
}

/* What holds for every read over the hole. */
static void check_partial(u64 done)
{
	CHECK(done <= HOLE && done + info.max_cmd_bytes > HOLE, "%llu bytes",
	      (unsigned long long)done);
	buf_check(&buf, 0, done, 1, 0);
}

static void read_over_the_hole(void)
{
	struct dmabuf_rw_io io = { .op = DMABUF_RW_OP_READ, .file_off = AT, .len = BUF_BYTES };
	struct dmabuf_rw_info after;
	u64 start;
	s64 n;

	/* Part of it moved: what is before the error, then the error. */
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	start = now_us();
	OK(drw_do(binding, &io));
	CHECK(now_us() - start < 10000000, "the error took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	CHECK_EQ(io.error, ENODATA);
	check_partial(io.done);

	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	n = drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, BUF_BYTES, 0);
	CHECK(n > 0, "%lld", (long long)n);
	check_partial(n);

	/* Asking for the rest gives the error. */
	FAILS(drw_read(binding, AT + HOLE, HOLE, 4096), ENODATA);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT + HOLE, HOLE, 4096, 0), ENODATA);

	OK(drw_info(binding, &after));
	CHECK_EQ(after.reads, 2);
	CHECK_EQ(after.read_bytes, io.done + n);
	CHECK_EQ(after.errors, 4);

	/* Around the hole nothing is wrong, and the drive goes on. */
	CHECK_EQ(drw_read(binding, AT, 0, HOLE), HOLE);
	buf_check(&buf, 0, HOLE, 1, 0);
	CHECK_EQ(drw_read(binding, AT + HOLE + HOLE_BYTES, 0, 64 * KiB), 64 * KiB);
	buf_check(&buf, 0, 64 * KiB, 1, HOLE + HOLE_BYTES);
	CHECK_EQ(drw_write(binding, AT + HOLE, 0, HOLE_BYTES), HOLE_BYTES);
	CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
}

/* The feature outlives the test, so it is taken back by the parent whatever happens. */
static void in_child(void (*fn)(void), const char *const *ctrls)
{
	int status;
	pid_t pid;

	if (!disk_set_dulbe(&disk, ctrls, true))
		skip("the drive does not report reads of deallocated blocks");
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	disk_set_dulbe(&disk, ctrls, false);
	if (status)
		_exit(1);
}

static void error_ends_a_transfer_after_its_good_part(const void *arg)
{
	bool mp = !strncmp(arg, "mp", 2);

	open_all(arg);
	in_child(read_over_the_hole, mp ? mp_ctrls : priv_ctrls);
}

static void vectored_read_over_the_hole(void)
{
	struct dmabuf_rw_piece pieces[64];
	s64 n;

	/* 64 pieces of 64 KiB, backwards in the buffer. */
	for (u32 i = 0; i < 64; i++)
		pieces[i] = (struct dmabuf_rw_piece){ (63 - i) * 64 * KiB, 64 * KiB };
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	n = drw_iov(binding, DMABUF_RW_OP_READ, AT, pieces, 64, 0);
	CHECK(n > 0 && n <= (s64)HOLE && (u64)n + info.max_cmd_bytes > HOLE, "%lld",
	      (long long)n);
	for (u64 pos = 0; pos + 64 * KiB <= (u64)n; pos += 64 * KiB)
		buf_check(&buf, BUF_BYTES - 64 * KiB - pos, 64 * KiB, 1, pos);
}

static void error_in_a_vectored_transfer(const void *arg)
{
	open_all("priv512");
	in_child(vectored_read_over_the_hole, priv_ctrls);
}

static void polled_read_over_the_hole(void)
{
	struct io_uring polled;
	s64 n;

	drw_ring(&polled, 4, IORING_SETUP_IOPOLL);
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	n = drw_ring_io(&polled, binding, DMABUF_RW_OP_READ, AT, 0, BUF_BYTES, 0);
	CHECK(n > 0, "%lld", (long long)n);
	check_partial(n);
	FAILS(drw_ring_io(&polled, binding, DMABUF_RW_OP_READ, AT + HOLE, HOLE, 4096, 0), ENODATA);
	io_uring_queue_exit(&polled);
}

static void error_in_a_polled_transfer(const void *arg)
{
	open_all("priv512");
	if (!(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	in_child(polled_read_over_the_hole, priv_ctrls);
}

/* The mapping must be free again after an error. */
static void move_after_error(void)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = MiB, .nr_pattern = 1,
				    .pattern = { 4096 } };
	struct buf moving;
	int b;

	buf_create_mock(&moving, &args);
	b = OK(drw_bind(moving.fd, disk.fd));
	for (int i = 0; i < 20; i++) {
		FAILS(drw_read(b, AT + HOLE, 0, 4096), ENODATA);
		FAILS(drw_ring_io(&ring, b, DMABUF_RW_OP_READ, AT + HOLE, 0, 8192, 0), ENODATA);
		OK(mock_invalidate(&moving, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL));
		CHECK_EQ(drw_read(b, AT, 0, 64 * KiB), 64 * KiB);
		buf_check(&moving, 0, 64 * KiB, 1, 0);
	}
	close(b);
	mock_check_clean(&moving);
}

static void errors_leave_nothing_behind(const void *arg)
{
	open_all("priv512");
	in_child(move_after_error, priv_ctrls);
}

/* ---- format ---------------------------------------------------------------------- */

static void format_drive(u32 lba)
{
	CHECK_EQ(sh("nvme format %s --block-size=%u --force", disk.path, lba), 0);
	for (int i = 0; i < 200; i++) {
		int now;

		SYS(ioctl(disk.fd, BLKSSZGET, &now));
		if (now == (int)lba)
			return;
		usleep(20000);
	}
	FAIL("the block size did not become %u", lba);
}

static void reformatted_namespace_is_EMEDIUMTYPE(const void *arg)
{
	int b;

	disk_relink("drw-plug", 1);
	/* A test that failed may have left the other format. */
	disk_open(&disk, disk_exists("plug512") ? "plug512" : "plug4k");
	if (disk.lba != 512)
		format_drive(512);
	disk_relink("drw-plug", 1);
	disk_open(&disk, "plug512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 4, 0);
	CHECK_EQ(drw_write(binding, AT, 0, 4096), 4096);

	format_drive(4096);
	FAILS(drw_read(binding, AT, 0, 4096), EMEDIUMTYPE);
	FAILS(drw_write(binding, AT, 0, 4096), EMEDIUMTYPE);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0), EMEDIUMTYPE);
	/* As it is now it can be bound. */
	b = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(b, &info));
	CHECK_EQ(info.lba_bytes, 4096);
	disk.lba = 4096;
	disk_fill(&disk, AT, 64 * KiB, 3, 0);
	CHECK_EQ(drw_read(b, AT, 0, 64 * KiB), 64 * KiB);
	buf_check(&buf, 0, 64 * KiB, 3, 0);
	close(b);

	format_drive(512);
	/* The format of the binding's time has come back, and so has its meaning. */
	CHECK_EQ(drw_read(binding, AT, 0, 512), 512);
	close(binding);
	mock_check_clean(&buf);
	disk_relink("drw-plug", 1);
}

static void add(void)
{
	test_limit(90);
	test_add(error_ends_a_transfer_after_its_good_part, "priv512",
		 "error_ends_a_transfer_after_its_good_part.priv512");
	test_add(error_ends_a_transfer_after_its_good_part, "mp512",
		 "error_ends_a_transfer_after_its_good_part.mp512");
	TEST(error_in_a_vectored_transfer);
	TEST(error_in_a_polled_transfer);
	TEST(errors_leave_nothing_behind);
	TEST(reformatted_namespace_is_EMEDIUMTYPE);
}

const struct program program = { "drive_errors", add };
