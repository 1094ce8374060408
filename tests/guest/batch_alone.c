// SPDX-License-Identifier: GPL-2.0
/*
 * batch_alone.c - whatever its numbers are, a transfer of a batch comes to what it comes to alone;
 * and what is in the way of all is waited for once.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "fs.h"

#define BUF_BYTES	(4 * MiB)
#define AT		(16 * MiB)
#define RESULTS		DMABUF_RW_IO_RESULTS
#define WHOLE		DMABUF_RW_IO_WHOLE
#define FUA		DMABUF_RW_IO_FUA
#define MOST		DMABUF_RW_MAX_BATCH
#define ROUNDS		40
#define FILE_BYTES	(2 * MiB + 777)

static const struct mock_create moving = {
	.flags = MOCK_DYNAMIC | MOCK_REVERSE, .bytes = BUF_BYTES, .nr_pattern = 2,
	.pattern = { 8192, 4096 }, .gap = 4096,
};

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct rng rng;
static struct dmabuf_rw_range ranges[MOST];
static int binding;

static void make_ranges(u32 nr, u32 len)
{
	for (u32 i = 0; i < nr; i++)
		ranges[i] = (struct dmabuf_rw_range){ .file_off = AT + (u64)i * len,
						      .buf_off = (u64)i * len, .len = len };
}

/* @usual, or a number that something may stumble over; @end: of the file or buffer. */
static u64 odd_offset(u64 usual, u64 end)
{
	const u64 odd[] = { 0, 1, 511, 512, 4095, 4096, end, end - 1, end - 512, end - 4096,
			    end + 1, INT64_MAX, INT64_MAX - 511, INT64_MAX - 4095, 1ULL << 63,
			    ~0ULL, ~0ULL - 4095, 1ULL << 32, (1ULL << 32) - 512 };

	return rng_below(&rng, 4) ? usual : odd[rng_below(&rng, ARRAY_SIZE(odd))];
}

static u32 odd_len(void)
{
	static const u32 odd[] = { 0, 1, 3, 4, 511, 513, 512, 4096, 4097, 8192, 65536, 300000 };

	return odd[rng_below(&rng, ARRAY_SIZE(odd))];
}

static void draw(u32 nr, u64 from, u64 size, bool write)
{
	static const u32 flags[] = { 0, 0, 0, 0, 0, 0, WHOLE, FUA, RESULTS, 8, 1U << 31 };

	for (u32 i = 0; i < nr; i++) {
		ranges[i] = (struct dmabuf_rw_range){
			.file_off = odd_offset(from + rng_below(&rng, 4096) * 512, size),
			.buf_off = odd_offset(rng_below(&rng, 4096) * 512, BUF_BYTES),
			.len = odd_len(),
			.flags = flags[rng_below(&rng, ARRAY_SIZE(flags))],
			.result = 77,
		};
		/* Never the first MiB of a disk, where its partitions are listed. */
		if (write && ranges[i].file_off < from)
			ranges[i].file_off += MiB;
	}
}

/* The second time alone. What is read, or written, twice is the same. */
static void compare(u32 nr, bool write, u64 all, s64 got)
{
	s64 sum = 0, first = 0;

	for (u32 i = 0; i < nr; i++) {
		const struct dmabuf_rw_range *r = &ranges[i];
		s64 alone = drw_io(binding, write, r->file_off, r->buf_off, r->len,
				   r->flags | all);

		CHECK(r->result == alone,
		      "%u of %u: %s of %u at %#llx, buffer %#llx, flags %#llx: %lld, alone %lld",
		      i, nr, write ? "write" : "read", r->len, (unsigned long long)r->file_off,
		      (unsigned long long)r->buf_off, (unsigned long long)(r->flags | all),
		      (long long)r->result, (long long)alone);
		sum += MAX(alone, (s64)0);
		first = first ?: MIN(alone, (s64)0);
	}
	/* A part may have an error behind it, which only the batch tells: see WHOLE. */
	if ((all & WHOLE) && first)
		CHECK_EQ(got, first);
	else if (sum)
		CHECK(got == sum || ((all & WHOLE) && got < 0), "%lld, not %lld", (long long)got,
		      (long long)sum);
	else
		CHECK_EQ(got, first);
}

static void batches_and_singles_agree(u64 from, u64 size)
{
	for (int round = 0; round < ROUNDS; round++) {
		bool write = round & 1;
		u32 nr = 1 + rng_below(&rng, MOST);
		u64 all = rng_below(&rng, 4) ? 0 : rng_below(&rng, 2) ? WHOLE : write ? FUA : 0;
		s64 got;

		draw(nr, from, size, write);
		if (round & 2) {
			drw_prep_many(io_uring_get_sqe(&ring), binding, write, ranges, nr,
				      all | RESULTS);
			got = drw_ring_one(&ring);
		} else {
			got = drw_many(binding, write, ranges, nr, all | RESULTS);
		}
		compare(nr, write, all, got);
	}
}

static void of_a_disk_each_is_as_alone(const void *arg)
{
	struct dmabuf_rw_info info;

	rng.s = harness_seed();
	disk_open(&disk, arg);
	buf_create_mock(&buf, &moving);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, 8, 0);
	batches_and_singles_agree(MiB, info.file_bytes);
	close(binding);
	mock_check_clean(&buf);
}

/* With holes, space that was never written, and an odd end. */
static void of_a_file_each_is_as_alone(const void *kind)
{
	struct fs fs;
	int fd;

	rng.s = harness_seed();
	fs_make(&fs, kind, "priv512p2", kind == fs_kinds[0] ? 48 * MiB : 0, "", "");
	fd = file_make_fragmented(&fs, "f", FILE_BYTES, 16 * KiB, 7);
	SYS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 300 * KiB, 40 * KiB));
	SYS(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 600 * KiB, 24 * KiB));
	SYS(fsync(fd));
	buf_create_mock(&buf, &moving);
	binding = OK(drw_bind(buf.fd, fd));
	drw_ring(&ring, 8, 0);
	batches_and_singles_agree(0, FILE_BYTES);
	io_uring_queue_exit(&ring);
	close(binding);
	close(fd);
	mock_wait_clean(&buf);
	fs_finish(&fs);
}

static char removal[96];

static void set_paths(bool there)
{
	static const char *const ids[] = { "DRW_MPA_PCI", "DRW_MPB_PCI" };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		OK(spit(machine_var(ids[i]), "/sys/bus/pci/drivers/nvme/%s",
			there ? "bind" : "unbind"));
}

static void all_wait_for_a_path_as_long_as_one(const void *arg)
{
	u64 start, one, all;

	if (!machine_has_multipath())
		skip("native multipath is off");
	disk_open(&disk, "mp512");
	buf_create_mock(&buf, &moving);
	binding = OK(drw_bind(buf.fd, disk.fd));
	snprintf(removal, sizeof(removal), "/sys/block/%s/delayed_removal_secs", disk.name);
	if (access(removal, F_OK))
		skip("this kernel removes a head with its last path");
	OK(spit("2", "/sys/module/dmabuf_rw/parameters/path_timeout"));
	OK(spit("120", "%s", removal));
	set_paths(false);
	start = now_us();
	FAILS(drw_read(binding, AT, 0, 4096), ENOLINK);
	one = now_us() - start;
	make_ranges(32, 4096);
	start = now_us();
	FAILS(drw_many(binding, DMABUF_RW_OP_READ, ranges, 32, RESULTS), ENOLINK);
	all = now_us() - start;
	for (u32 i = 0; i < 32; i++)
		CHECK_EQ(ranges[i].result, -ENOLINK, "%u", i);
	set_paths(true);
	usleep(1500000);
	OK(spit("0", "%s", removal));
	OK(spit("30", "/sys/module/dmabuf_rw/parameters/path_timeout"));
	close(binding);
	disk_relink("drw-mp", 2);
	CHECK(all < 2 * one + 1000000, "%llu ms, one alone %llu ms", (unsigned long long)all / 1000,
	      (unsigned long long)one / 1000);
}

/* Completions of the caller's own ring interrupt waits as signals do. */
static void no_signal_no_EINTR(const void *arg)
{
	struct __kernel_timespec ts = { .tv_nsec = 500000 };
	u64 until = now_us() + 4000000;
	struct dmabuf_rw_device *device;
	struct dmabuf_rw_binding *b;
	struct io_uring_cqe *cqe;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &moving);
	OK(dmabuf_rw_device_open(NULL, &device));
	OK(dmabuf_rw_binding_create(device, buf.fd, disk.fd, NULL, &b));
	drw_ring(&ring, 8, 0);
	io_uring_prep_timeout(io_uring_get_sqe(&ring), &ts, 0, IORING_TIMEOUT_MULTISHOT);
	OK(io_uring_submit(&ring));
	OK(mock_storm(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, 1500));
	while (now_us() < until) {
		make_ranges(MOST, 4096);
		CHECK_EQ(dmabuf_rw_read_many(b, ranges, MOST, 0, NULL), MOST * 4096);
		while (!io_uring_peek_cqe(&ring, &cqe))
			io_uring_cqe_seen(&ring, cqe);
	}
	OK(mock_storm(&buf, 0, 0));
	dmabuf_rw_binding_destroy(b);
	dmabuf_rw_device_close(device);
	mock_check_clean(&buf);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	test_add(of_a_disk_each_is_as_alone, "priv512", "of_a_disk_each_is_as_alone.512");
	test_add(of_a_disk_each_is_as_alone, "priv4k", "of_a_disk_each_is_as_alone.4k");
	for (size_t i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, of_a_file_each_is_as_alone);
	TEST(all_wait_for_a_path_as_long_as_one);
	TEST(no_signal_no_EINTR);
}

const struct program program = { "batch_alone", add, .debug = true };
