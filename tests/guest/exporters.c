// SPDX-License-Identifier: GPL-2.0
/*
 * exporters.c - the buffers that the other programs use are what they are taken for.
 *
 * Needs the mock but not the module under test, so that a fault of the tools is told
 * from a fault of the module.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"

static void cpu_finds_what_it_stored(const void *arg)
{
	const struct exporter *exporter = arg;
	struct rng rng = { harness_seed() };
	const u64 bytes = 2 * MiB + 12 * KiB;
	struct buf buf;

	buf_create(&buf, exporter, bytes);
	buf_fill(&buf, 0, bytes, 1, 0);
	buf_check(&buf, 0, bytes, 1, 0);
	for (int i = 0; i < 20; i++) {
		u64 off = rng_below(&rng, bytes - 1);
		u64 len = 1 + rng_below(&rng, MIN(bytes - off, 20000));

		buf_fill(&buf, off, len, 2, 0);
		buf_check(&buf, off, len, 2, 0);
		buf_fill(&buf, off, len, 1, off);
	}
	buf_check(&buf, 0, bytes, 1, 0);
	if (exporter->mock)
		mock_check_clean(&buf);
	buf_destroy(&buf);
}

static void mock_move_keeps_content(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 300000, .nr_pattern = 3,
				    .pattern = { 520, 4096, 12 }, .align = 4, .gap = 8 };
	struct mock_invalidate inv = {};
	struct mock_query q;
	struct buf buf;

	buf_create_mock(&buf, &args);
	buf_fill(&buf, 0, args.bytes, 5, 0);
	for (int i = 0; i < 6; i++)
		OK(mock_invalidate(&buf, MOCK_INV_MOVE, NULL));
	buf_check(&buf, 0, args.bytes, 5, 0);
	inv.fence_ms = 50;
	OK(mock_invalidate(&buf, MOCK_INV_MOVE, &inv));
	buf_check(&buf, 0, args.bytes, 5, 0);
	mock_query(&buf, &q);
	CHECK_EQ(q.moves, 7);
	CHECK_EQ(q.invalidations, 7);
	mock_check_clean(&buf);
}

static void mock_bar_moves_to_ram_and_back(const void *arg)
{
	struct mock_create args = mock_bar_args(3 * MiB);
	struct buf buf;

	args.flags = MOCK_DYNAMIC;
	args.nr_pattern = 1;
	args.pattern[0] = 65536;
	buf_create_mock(&buf, &args);
	buf_fill(&buf, 0, args.bytes, 6, 0);
	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_RAM, NULL));
	buf_check(&buf, 0, args.bytes, 6, 0);
	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_BAR, NULL));
	buf_check(&buf, 0, args.bytes, 6, 0);
	OK(mock_invalidate(&buf, MOCK_INV_MOVE, NULL));
	buf_check(&buf, 0, args.bytes, 6, 0);
	mock_check_clean(&buf);
}

static void mock_bar_can_be_mapped(const void *arg)
{
	struct mock_create args = mock_bar_args(MiB);
	u8 *p, *want = data_alloc(MiB);
	struct buf buf;

	buf_create_mock(&buf, &args);
	p = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, buf.fd, 0);
	CHECK(p != MAP_FAILED, "%s", strerror(errno));
	data_fill(want, MiB, 7, 0);
	memcpy(p, want, MiB);
	buf_check(&buf, 0, MiB, 7, 0);
	FAILS(mock_invalidate(&buf, MOCK_INV_MOVE, NULL), EBUSY);
}

/* The mock's own detectors, on which other tests rely. */
static void mock_notices_stray_writes(const void *arg)
{
	struct mock_create args = mock_bar_args(MiB);
	struct mock_query q;
	struct buf buf;
	char path[128];
	u8 *bar;
	int fd;

	args.flags = MOCK_DYNAMIC;
	args.nr_pattern = 1;
	args.pattern[0] = 4096;
	args.gap = 4096;
	buf_create_mock(&buf, &args);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource2",
		 machine_var("DRW_BAR_PCI"));
	fd = SYS(open(path, O_RDWR));
	bar = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(bar != MAP_FAILED, "%s", strerror(errno));

	CHECK_EQ(bar[0], MOCK_POISON);
	bar[4095] = 0;
	bar[8192] = 1;
	mock_query(&buf, &q);
	CHECK_EQ(q.gap_bad, 2);
	bar[4095] = MOCK_POISON;
	bar[8192] = MOCK_POISON;

	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_RAM, NULL));
	CHECK_EQ(bar[4096], MOCK_POISON);
	bar[4096] = 2;
	mock_query(&buf, &q);
	CHECK_EQ(q.left_bad, 1);
	bar[4096] = MOCK_POISON;
	mock_check_clean(&buf);
}

static void mock_refuses_bad_requests(const void *arg)
{
	struct mock_create args = { .bytes = 4096 };
	struct mock_fault fault = { .length = MOCK_LENGTH_LONG };
	struct buf buf;
	u8 b[16];

	buf_create_mock(&buf, &args);
	struct mock_copy copy = { .dmabuf_fd = buf.fd, .off = 4090, .len = 7,
				  .user = (uintptr_t)b };
	CHECK(ioctl(mock_device(), MOCK_IOC_PEEK, &copy) && errno == ERANGE, "%d", errno);
	FAILS(mock_fault(&buf, fault), EINVAL);
	FAILS(mock_invalidate(&buf, 1U << 31, NULL), EINVAL);
	FAILS(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_BAR, NULL), EINVAL);
	args.bytes = 0;
	CHECK(ioctl(mock_device(), MOCK_IOC_CREATE, &args) == -1 && errno == EINVAL, "%d",
	      errno);
}

static void mock_storm_runs_and_stops(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 65536, .nr_pattern = 1,
				    .pattern = { 4096 } };
	struct mock_query q, later;
	struct buf buf;

	buf_create_mock(&buf, &args);
	buf_fill(&buf, 0, args.bytes, 8, 0);
	OK(mock_storm(&buf, MOCK_INV_MOVE, 200));
	usleep(300000);
	OK(mock_storm(&buf, 0, 0));
	mock_query(&buf, &q);
	CHECK(q.moves > 3, "%llu", (unsigned long long)q.moves);
	usleep(50000);
	mock_query(&buf, &later);
	CHECK_EQ(q.moves, later.moves);
	buf_check(&buf, 0, args.bytes, 8, 0);
	mock_check_clean(&buf);
}

static void add(void)
{
	test_limit(60);
	for (size_t i = 0; i < nr_exporters; i++)
		test_add(cpu_finds_what_it_stored, exporters[i],
			 "cpu_finds_what_it_stored.%s", exporters[i]->name);
	TEST(mock_move_keeps_content);
	TEST(mock_bar_moves_to_ram_and_back);
	TEST(mock_bar_can_be_mapped);
	TEST(mock_notices_stray_writes);
	TEST(mock_refuses_bad_requests);
	TEST(mock_storm_runs_and_stops);
}

const struct program program = { "exporters", add, .machines = MACHINES_EACH_KIND };
