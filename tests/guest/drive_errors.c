// SPDX-License-Identifier: GPL-2.0
/*
 * drive_errors.c - commands that the drive itself fails, and namespaces whose format
 * changes.
 *
 * The drive is told to report reads of deallocated blocks as errors (Error Recovery
 * feature, DULBE: NVM Command Set Specification, section 4.1.3.2), which gives an error at
 * a place of the test's choice. Those that an emulated drive cannot be made to give are
 * injected, where the kernel can do that.
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
#include "trace.h"

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

/* ---- other errors ------------------------------------------------------------------ */

/*
 * What a BIND has to prove takes an LBA that can be read. The first one, the middle and the
 * last are tried, and here none of them can be.
 */
static void bind_to_unreadable_drive(void)
{
	const u64 places[] = { 0, ROUND_DOWN(disk.bytes / 2, MiB), disk.bytes - MiB };
	struct dmabuf_rw_bind why;
	u64 range[2] = { 0, MiB };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		range[0] = places[i];
		SYS(ioctl(disk.fd, BLKDISCARD, range));
	}
	for (int i = 0; i < 2; i++) {
		FAILS(drw_bind_why(buf.fd, disk.fd, 0, &why), EPROTO);
		CHECK_EQ(why.reason, DMABUF_RW_REASON_UNREADABLE);
		CHECK_EQ(why.detail, 0);
		mock_check_clean(&buf);
	}
	/* One is enough. */
	range[0] = places[1];
	disk_fill(&disk, range[0], MiB, 1, 0);
	binding = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(drw_read(binding, range[0], 0, MiB), MiB);
	buf_check(&buf, 0, MiB, 1, 0);
	FAILS(drw_read(binding, 0, 0, 4096), ENODATA);
	close(binding);
	SYS(ioctl(disk.fd, BLKDISCARD, range));
}

static void drive_of_which_nothing_can_be_read_is_EPROTO(const void *arg)
{
	static const char *const ctrls[] = { "DRW_BIG_PCI", NULL };

	/* What a controller has proven it is not asked again until it gets its driver anew. */
	OK(spit(machine_var("DRW_BIG_PCI"), "/sys/bus/pci/drivers/nvme/unbind"));
	OK(spit(machine_var("DRW_BIG_PCI"), "/sys/bus/pci/drivers/nvme/bind"));
	disk_relink("drw-big", 1);
	disk_open(&disk, "big512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	in_child(bind_to_unreadable_drive, ctrls);
	/* Without the feature it reads as zeros. */
	binding = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(drw_read(binding, 0, 0, 4096), 4096);
	close(binding);
	mock_check_clean(&buf);
}

/* Read commands of a transfer, and what came of it. */
static unsigned int count_reads(bool use_ring, s64 *result)
{
	static struct trace_event events[64];
	unsigned int nr;

	trace_start(&disk);
	*result = use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0)
			   : drw_read(binding, AT, 0, 4096);
	nr = trace_stop(events, ARRAY_SIZE(events));
	return trace_count(events, nr, false);
}

/*
 * The emulated drive refuses to move data to or from its own registers, by Data Transfer Error
 * and a word that it is no use to try again.
 */
static void other_errors_are_EIO_at_once(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 8192 };
	struct mock_fault registers = { .addr = MOCK_ADDR_FIXED };
	struct dmabuf_rw_bind why;
	char words[64];
	s64 n;

	disk_open(&disk, "priv512");
	drw_ring(&ring, 4, 0);
	/* First and last address of BAR 0. */
	snprintf(words, sizeof(words), "%s", slurp("/sys/bus/pci/devices/%s/resource",
						   machine_var("DRW_PRIV_PCI")));
	registers.addr_base = strtoull(words, NULL, 16);
	CHECK(registers.addr_base, "%s", words);
	buf_create_mock(&buf, &args);
	OK(mock_fault(&buf, registers));
	binding = drw_bind_why(buf.fd, disk.fd, DMABUF_RW_BIND_TRUST_ADDRESSES, &why);
	if (binding == -EADDRNOTAVAIL && why.reason == DMABUF_RW_REASON_NOT_TRANSLATED)
		skip("the IOMMU does not let the drive at its registers");
	OK(binding);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.mem_class, DMABUF_RW_CLASS_BAR);
	CHECK_EQ(info.bar_pci, info.nvme_pci);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		CHECK_EQ(count_reads(use_ring, &n), 1);
		CHECK_EQ(n, -EIO);
	}
	FAILS(drw_write(binding, AT, 0, 4096), EIO);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.errors, 3);
	CHECK_EQ(info.reads + info.writes, 0);
	close(binding);

	/* The drive has taken no harm. */
	OK(mock_fault(&buf, (struct mock_fault){}));
	binding = OK(drw_bind(buf.fd, disk.fd));
	disk_fill(&disk, AT, 4096, 1, 0);
	CHECK_EQ(count_reads(false, &n), 1);
	CHECK_EQ(n, 4096);
	buf_check(&buf, 0, 4096, 1, 0);
	close(binding);
	mock_check_clean(&buf);
}

/* ---- injected status ----------------------------------------------------------------- */

/* Let the next @times commands end with @status; only kernels built for debugging can. */
static void inject(u32 status, bool do_not_retry, int times)
{
	const char *const dir = "/sys/kernel/debug/%s/fault_inject/%s";
	const struct {
		const char *file;
		int value;
	} values[] = {
		/* An injected failure is no splat. */
		{ "verbose", 0 }, { "interval", 1 }, { "probability", 100 }, { "space", 0 },
		{ "status", status }, { "dont_retry", do_not_retry }, { "times", times },
	};
	char text[16];

	if (!slurp(dir, disk.name, "status")[0])
		skip("this kernel cannot inject status codes");
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		snprintf(text, sizeof(text), "%d", values[i].value);
		OK(spit(text, dir, disk.name, values[i].file));
	}
}

static void status_of_the_drive_becomes_an_errno(const void *arg)
{
	/* Status code type and code (include/linux/nvme.h), all of which are not to be repeated. */
	static const struct {
		u32 status;
		int err;
	} codes[] = {
		{ 0x002, EIO },		/* Invalid Field */
		{ 0x006, EIO },		/* Internal Error */
		{ 0x020, EIO },		/* Namespace is Write Protected */
		{ 0x080, EIO },		/* LBA Out of Range */
		{ 0x081, ENOSPC },	/* Capacity Exceeded */
		{ 0x083, EBADE },	/* Reservation Conflict */
		{ 0x181, EILSEQ },	/* Invalid Protection Information */
		{ 0x182, EPERM },	/* Attempted Write to Read Only Range */
		{ 0x280, ENODATA },	/* Write Fault */
		{ 0x281, ENODATA },	/* Unrecovered Read Error */
		{ 0x282, EILSEQ },	/* End-to-end Guard Check Error */
		{ 0x283, EILSEQ },	/* End-to-end Application Tag Check Error */
		{ 0x284, EILSEQ },	/* End-to-end Reference Tag Check Error */
		{ 0x286, ENODATA },	/* Access Denied */
		{ 0x287, ENODATA },	/* Deallocated or Unwritten Logical Block */
	};

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 4, 0);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++) {
			s64 n;

			inject(codes[i].status, true, 1);
			n = drw_io(binding, op, AT, 0, 4096, 0);
			CHECK_EQ(n, -codes[i].err, "status %#x, op %d", codes[i].status, op);
			inject(codes[i].status, true, 1);
			n = drw_ring_io(&ring, binding, op, AT, 0, 4096, 0);
			CHECK_EQ(n, -codes[i].err, "status %#x, op %d by ring",
				 codes[i].status, op);
			/* It was one command's. */
			CHECK_EQ(drw_io(binding, op, AT, 0, 4096, 0), 4096);
		}
	}
	close(binding);
	mock_check_clean(&buf);
}

/* Errors of a path, and those that the drive does not say never to repeat. */
static void status_that_may_pass_is_repeated(const void *arg)
{
	static const u32 codes[] = { 0x006, 0x082, 0x022, 0x300, 0x370, 0x371 };

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 4, 0);
	disk_fill(&disk, AT, 64 * KiB, 1, 0);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			buf_fill(&buf, 0, 64 * KiB, 2, 0);
			inject(codes[i], false, 3);
			CHECK_EQ(use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0,
							64 * KiB, 0)
					  : drw_read(binding, AT, 0, 64 * KiB), 64 * KiB,
				 "status %#x", codes[i]);
			buf_check(&buf, 0, 64 * KiB, 1, 0);
		}
	}
	/* One time too often. */
	inject(0x006, false, 6);
	FAILS(drw_read(binding, AT, 0, 4096), EIO);
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	close(binding);
	mock_check_clean(&buf);
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

/* A namespace that may be formatted, bound and working. */
static void bind_to_format(void)
{
	disk_relink("drw-plug", 1);
	/* A test that failed may have left another format. */
	disk_open(&disk, disk_exists("plug512") ? "plug512" : "plug4k");
	format_drive(512);
	disk_relink("drw-plug", 1);
	disk_open(&disk, "plug512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 4, 0);
	CHECK_EQ(drw_write(binding, AT, 0, 4096), 4096);
}

static void expect_transfers_refused(void)
{
	FAILS(drw_read(binding, AT, 0, 4096), EMEDIUMTYPE);
	FAILS(drw_write(binding, AT, 0, 4096), EMEDIUMTYPE);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0), EMEDIUMTYPE);
}

static void reformatted_namespace_is_EMEDIUMTYPE(const void *arg)
{
	int b;

	bind_to_format();

	format_drive(4096);
	expect_transfers_refused();
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

/*
 * The LBA size is the same, there is capacity, and the block layer knows of no metadata: only
 * the driver does.
 */
static void reformatted_to_interleaved_protection_is_EMEDIUMTYPE(const void *arg)
{
	const char *name;

	bind_to_format();
	name = strrchr(realpath(disk.path, NULL), '/') + 1;
	/* Format 1 of the emulated drive: 512 bytes and 8 of metadata. */
	CHECK_EQ(sh("nvme format %s --lbaf=1 --ms=1 --pi=1 --force", disk.path), 0);
	for (int i = 0; i < 200 && atoi(slurp("/sys/block/%s/metadata_bytes", name)) != 8; i++)
		usleep(20000);
	CHECK_EQ(atoi(slurp("/sys/block/%s/metadata_bytes", name)), 8);
	/* It is looked at once a tick. */
	usleep(20000);
	buf_fill(&buf, 0, 64 * KiB, 5, 0);
	expect_transfers_refused();
	buf_check(&buf, 0, 64 * KiB, 5, 0);
	FAILS(drw_bind(buf.fd, disk.fd), EMEDIUMTYPE);

	CHECK_EQ(sh("nvme format %s --lbaf=0 --ms=0 --pi=0 --force", disk.path), 0);
	for (int i = 0; i < 200 && atoi(slurp("/sys/block/%s/metadata_bytes", name)); i++)
		usleep(20000);
	usleep(20000);
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
	TEST(drive_of_which_nothing_can_be_read_is_EPROTO);
	TEST(other_errors_are_EIO_at_once);
	TEST(status_of_the_drive_becomes_an_errno);
	TEST(status_that_may_pass_is_repeated);
	TEST(reformatted_namespace_is_EMEDIUMTYPE);
	TEST(reformatted_to_interleaved_protection_is_EMEDIUMTYPE);
}

const struct program program = {
	"drive_errors", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
