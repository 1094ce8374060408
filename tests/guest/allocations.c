// SPDX-License-Identifier: GPL-2.0
/*
 * allocations.c - every allocation that a call makes fails in turn, and nothing is lost,
 * leaked or done by half.
 *
 * Uses /proc/self/fail-nth (Documentation/fault-injection), which only kernels built for
 * debugging have: the test kernels of distributions skip this.
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

#define BUF_BYTES	(1 * MiB)
#define AT		(16 * MiB)
#define MAX_NTH		2000

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static int binding, fail_nth;

/*
 * Let the allocations of the DMA API's own checks be: when one fails they switch
 * themselves off. All their functions lie together, and a range of addresses on the
 * stack is what failslab can be told to pass over.
 */
static void spare_the_checks(void)
{
	unsigned long long addr, first = ~0ULL, last = 0;
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[512], name[256], type, text[32];

	while (symbols && fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %c %255s", &addr, &type, name) != 3 || type != 'T' ||
		    strncmp(name, "debug_dma_", 10))
			continue;
		first = MIN(first, addr);
		last = MAX(last, addr);
	}
	if (symbols)
		fclose(symbols);
	if (!last)
		return;
	snprintf(text, sizeof(text), "0x%llx", first);
	OK(spit(text, "/sys/kernel/debug/failslab/reject-start"));
	snprintf(text, sizeof(text), "0x%llx", last);
	OK(spit(text, "/sys/kernel/debug/failslab/reject-end"));
}

static void open_all(const char *role)
{
	fail_nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		skip("this kernel cannot inject faults");
	/* By default sleeping allocations are spared. */
	spit("N", "/sys/kernel/debug/failslab/ignore-gfp-wait");
	spit("N", "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait");
	spit("N", "/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem");
	spit("0", "/sys/kernel/debug/fail_page_alloc/min-order");
	/* Injected failures are no splats. */
	spit("0", "/sys/kernel/debug/failslab/verbose");
	spit("0", "/sys/kernel/debug/fail_page_alloc/verbose");
	spare_the_checks();
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	drw_device();
	drw_ring(&ring, 4, 0);
}

/* Let the nth allocation from now on fail. */
static void arm(int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", nth);
	CHECK_EQ(pwrite(fail_nth, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* Has one failed? Disarms. */
static bool disarm(void)
{
	char text[16] = "";

	CHECK(pread(fail_nth, text, sizeof(text) - 1, 0) > 0, "%s", strerror(errno));
	CHECK_EQ(pwrite(fail_nth, "0", 1, 0), 1);
	return atoi(text) == 0;
}

/* Binds @file while allocation @nth fails: -1 if that has made it fail. */
static int bind_despite(int nth, int file, bool *injected)
{
	int b;

	arm(nth);
	b = drw_bind(buf.fd, file);
	*injected = disarm();
	if (b >= 0)
		return b;
	CHECK(*injected, "failed by itself: %d", b);
	/* An exporter that has no memory may say so in its own way. */
	CHECK(b == -ENOMEM || b == -EREMOTEIO || b == -ENFILE || b == -EMFILE,
	      "number %d: %d (%s)", nth, b, strerror(-b));
	return -1;
}

static void bind_survives_each_failure(const void *arg)
{
	int nth, failed = 0;

	open_all(arg);
	for (nth = 1; nth < MAX_NTH; nth++) {
		bool injected;
		int b = bind_despite(nth, disk.fd, &injected);

		failed += b < 0;
		if (b >= 0) {
			CHECK_EQ(drw_read(b, AT, 0, 4096), 4096);
			close(b);
			if (!injected)
				break;
		}
		mock_check_clean(&buf);
	}
	note("%d allocations, of which %d made bind fail", nth - 1, failed);
	CHECK(nth > 3 && nth < MAX_NTH, "%d", nth);
	/* With two paths, most failures only cost one of them. */
	CHECK(failed, "no failure reached bind");
}

/* A file that could not be bound can be bound later. */
static void bind_of_a_file_survives_each_failure(const void *arg)
{
	int nth, failed = 0, fd;
	struct fs fs;

	open_all("priv512");
	fs_make(&fs, arg, "priv512p2", 0, "", "");
	/* An odd end has a block of its own to be looked up. */
	fd = file_make_fragmented(&fs, "f", BUF_BYTES - 100, 64 * KiB, 1);
	for (nth = 1; nth < MAX_NTH; nth++) {
		bool injected;
		int b = bind_despite(nth, fd, &injected);

		failed += b < 0;
		if (b >= 0) {
			CHECK_EQ(drw_read(b, 0, 0, BUF_BYTES), BUF_BYTES - 100);
			buf_check(&buf, 0, BUF_BYTES - 100, 1, 0);
			close(b);
			if (!injected)
				break;
		}
		mock_check_clean(&buf);
	}
	note("%d allocations, of which %d made bind fail", nth - 1, failed);
	CHECK(nth < MAX_NTH && failed > 3, "%d, %d", nth, failed);
	close(fd);
	fs_finish(&fs);
}

/*
 * The first transfer of a file looks up its blocks, which takes memory to remember: where
 * there is none, it is done without remembering or not at all.
 */
static void first_transfers_of_a_file_survive_each_failure(const void *arg)
{
	const u64 bytes = BUF_BYTES - 100;
	int nth, failed = 0, fd;
	struct fs fs;

	open_all("priv512");
	fs_make(&fs, arg, "priv512p2", 0, "", "");
	fd = file_make_fragmented(&fs, "f", bytes, 16 * KiB, 1);
	for (nth = 1; nth < MAX_NTH; nth++) {
		bool injected;
		s64 n;

		binding = OK(drw_bind(buf.fd, fd));
		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		arm(nth);
		n = nth & 1 ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 0, 0, BUF_BYTES, 0)
			    : drw_read(binding, 0, 0, BUF_BYTES);
		injected = disarm();
		if (n != (s64)bytes) {
			CHECK(injected && n == -ENOMEM, "number %d: %lld", nth, (long long)n);
			buf_check(&buf, 0, BUF_BYTES, 2, 0);
			failed++;
			CHECK_EQ(drw_read(binding, 0, 0, BUF_BYTES), bytes);
		}
		buf_check(&buf, 0, bytes, 1, 0);
		buf_check(&buf, bytes, BUF_BYTES - bytes, 2, bytes);
		close(binding);
		mock_check_clean(&buf);
		/* One without a ring, too. */
		if (!injected && nth & 1)
			break;
	}
	note("%d allocations, of which %d made the transfer fail", nth - 1, failed);
	CHECK(nth < MAX_NTH, "%d", nth);
	file_check_gaps(&fs, fd, 16 * KiB, 1);
	close(fd);
	fs_finish(&fs);
}

/* A transfer may fail for want of memory, or get round it; never end by half or wrong. */
static void transfers_survive_each_failure(const void *arg)
{
	const bool use_ring = arg;
	int nth, failed = 0;

	open_all("priv512");
	binding = OK(drw_bind(buf.fd, disk.fd));
	for (nth = 1; nth < MAX_NTH; nth++) {
		bool injected;
		s64 n;

		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		arm(nth);
		n = use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0,
					   BUF_BYTES, 0)
			     : drw_read(binding, AT, 0, BUF_BYTES);
		injected = disarm();
		if (n == (s64)BUF_BYTES) {
			buf_check(&buf, 0, BUF_BYTES, 1, 0);
		} else {
			CHECK(injected && n == -ENOMEM, "number %d: %lld", nth, (long long)n);
			buf_check(&buf, 0, BUF_BYTES, 2, 0);
			failed++;
		}
		if (!injected)
			break;
	}
	note("%d allocations, of which %d made the transfer fail", nth - 1, failed);
	CHECK(nth < MAX_NTH, "%d", nth);
	close(binding);
	mock_check_clean(&buf);
}

static void remapping_survives_each_failure(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 1,
				    .pattern = { 16384 }, .gap = 4096 };
	int nth, failed = 0;

	open_all("mp512");
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	for (nth = 1; nth < MAX_NTH; nth++) {
		bool injected;
		s64 n;

		OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL));
		arm(nth);
		n = drw_read(binding, AT, 0, BUF_BYTES);
		injected = disarm();
		if (n != (s64)BUF_BYTES) {
			CHECK(injected && (n == -ENOMEM || n == -EREMOTEIO), "number %d: %lld",
			      nth, (long long)n);
			failed++;
			/* It comes back. */
			CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
		}
		buf_check(&buf, 0, BUF_BYTES, 1, 0);
		if (!injected)
			break;
	}
	/* What is overcome by trying again does not fail. */
	note("%d allocations, of which %d made the transfer fail", nth - 1, failed);
	CHECK(nth < MAX_NTH && nth > 2, "%d", nth);
	close(binding);
	mock_check_clean(&buf);
}

static void add(void)
{
	fs_program();
	test_limit(300);
	test_add(bind_survives_each_failure, "priv512", "bind_survives_each_failure.priv512");
	test_add(bind_survives_each_failure, "mp512", "bind_survives_each_failure.mp512");
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, bind_of_a_file_survives_each_failure);
		TEST_OF_KIND(i, first_transfers_of_a_file_survive_each_failure);
	}
	test_add(transfers_survive_each_failure, NULL, "transfers_survive_each_failure.ioctl");
	test_add(transfers_survive_each_failure, (void *)1,
		 "transfers_survive_each_failure.io_uring");
	TEST(remapping_survives_each_failure);
}

const struct program program = {
	"allocations", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
