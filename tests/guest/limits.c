// SPDX-License-Identifier: GPL-2.0
/*
 * limits.c - what a binding costs, and how far its numbers go.
 */
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define AT (16 * MiB)

static struct disk disk;

static struct dmabuf_rw_info bind_info(const struct buf *buf)
{
	struct dmabuf_rw_info info;
	int b = OK(drw_bind(buf->fd, disk.fd));

	OK(drw_info(b, &info));
	close(b);
	return info;
}

static void contiguous_bar_costs_the_same_at_any_size(const void *arg)
{
	const u64 sizes[] = { 4096, MiB, 16 * MiB, 128 * MiB };
	struct dmabuf_rw_info first = {}, info;

	disk_open(&disk, "priv512");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct buf buf;

		buf_create(&buf, &exporter_mock_bar, sizes[i]);
		info = bind_info(&buf);
		CHECK_EQ(info.extents, 1);
		if (!i)
			first = info;
		CHECK_EQ(info.metadata_bytes, first.metadata_bytes, "%llu bytes",
			 (unsigned long long)sizes[i]);
		buf_destroy(&buf);
	}
	CHECK(first.metadata_bytes < 8192, "%llu", (unsigned long long)first.metadata_bytes);
	note("%llu bytes for a buffer of any size", (unsigned long long)first.metadata_bytes);
}

static void contiguous_ram_is_one_extent(const void *arg)
{
	struct mock_create args = { .bytes = 4 * MiB, .nr_pattern = 1, .pattern = { 4096 },
				    .block = 4 * MiB };
	struct dmabuf_rw_info info;
	struct buf buf;

	disk_open(&disk, "priv512");
	/* Told as 1024 entries; with the addresses in a row it is one. */
	buf_create_mock(&buf, &args);
	info = bind_info(&buf);
	if (info.iommu == DMABUF_RW_IOMMU_TRANSLATED)
		CHECK(info.extents <= 1024, "%llu", (unsigned long long)info.extents);
	else
		CHECK_EQ(info.extents, 1);
	/* Told as one entry. */
	args.nr_pattern = 0;
	args.block = 0;
	buf_create_mock(&buf, &args);
	info = bind_info(&buf);
	CHECK_EQ(info.extents, 1);
}

static void scattered_pages_are_an_extent_each(const void *arg)
{
	struct dmabuf_rw_info info;
	struct mock_query q;
	struct buf buf;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, 4 * MiB);
	info = bind_info(&buf);
	mock_query(&buf, &q);
	CHECK_EQ(q.chunks, 1024);
	/* The IOMMU may by chance give addresses in a row. */
	if (info.iommu == DMABUF_RW_IOMMU_TRANSLATED)
		CHECK(info.extents && info.extents <= 1024, "%llu",
		      (unsigned long long)info.extents);
	else
		CHECK_EQ(info.extents, 1024);
	CHECK(info.metadata_bytes <= 8192 + 1024 * 32, "%llu",
	      (unsigned long long)info.metadata_bytes);
	mock_check_clean(&buf);
}

/* One kilobyte in a thousand, where struct pages for the same would take 64 bytes a page. */
static void metadata_is_small_beside_struct_pages(const void *arg)
{
	struct dmabuf_rw_info info;
	struct buf buf;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_heap, 64 * MiB);
	info = bind_info(&buf);
	CHECK(info.metadata_bytes < 64 * MiB / 4096 * 64, "%llu",
	      (unsigned long long)info.metadata_bytes);
	note("system heap, 64 MiB: %llu extents, %llu bytes; struct pages: %llu bytes",
	     (unsigned long long)info.extents, (unsigned long long)info.metadata_bytes,
	     64 * MiB / 4096 * 64);
}

/* Sizes of buffers that are no multiple of anything. */
static void buffers_of_any_size_serve_all_their_bytes(const void *arg)
{
	const u64 sizes[] = { 512, 516, 4095, 4097, 5000, 65535, 70004 };

	disk_open(&disk, "priv512");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mock_create args = { .bytes = sizes[i], .nr_pattern = 1,
					    .pattern = { 4096 }, .gap = 512,
					    .align = 512 };
		u64 whole = ROUND_DOWN(sizes[i], 512), off;
		struct dmabuf_rw_info info;
		struct buf buf;
		int b;

		buf_create_mock(&buf, &args);
		b = OK(drw_bind(buf.fd, disk.fd));
		OK(drw_info(b, &info));
		CHECK_EQ(info.buf_bytes, sizes[i]);
		disk_fill(&disk, AT, whole, i, 0);
		off = ROUND_DOWN(sizes[i] - whole, info.buf_align);
		buf_fill(&buf, 0, sizes[i], 99, 0);
		CHECK_EQ(drw_read(b, AT, off, whole), whole, "size %llu",
			 (unsigned long long)sizes[i]);
		buf_check(&buf, 0, off, 99, 0);
		buf_check(&buf, off, whole, i, 0);
		buf_check(&buf, off + whole, sizes[i] - off - whole, 99, off + whole);
		FAILS(drw_read(b, AT, off + 512, whole), ERANGE);
		close(b);
		mock_check_clean(&buf);
	}
}

/* Whatever the layout, a transfer is right or says that it cannot be expressed. */
static void byte_granular_chunks_are_right_or_EDOM(const void *arg)
{
	static const struct mock_create layouts[] = {
		{ .nr_pattern = 4, .pattern = { 4095, 1, 4097, 3 }, .align = 1, .gap = 1 },
		{ .nr_pattern = 3, .pattern = { 510, 514, 1027 }, .align = 1, .gap = 5 },
		{ .nr_pattern = 2, .pattern = { 65535, 1 }, .align = 1, .gap = 1 },
		{ .nr_pattern = 1, .pattern = { 2 }, .align = 2, .gap = 2 },
		{ .nr_pattern = 1, .pattern = { 1 }, .align = 1, .gap = 1 },
	};
	struct rng rng = { harness_seed() };
	unsigned int right = 0;

	disk_open(&disk, arg);
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		struct mock_create args = layouts[i];
		struct buf buf;
		int b;

		args.bytes = 128 * KiB;
		buf_create_mock(&buf, &args);
		b = OK(drw_bind(buf.fd, disk.fd));
		for (int round = 0; round < 12; round++) {
			u64 len = rng_step(&rng, disk.lba, 64 * KiB, disk.lba);
			u64 off = rng_step(&rng, 0, args.bytes - len, round & 1 ? 4 : 1);
			s64 n;

			disk_fill(&disk, AT, len, 1, 0);
			buf_fill(&buf, 0, args.bytes, 2, 0);
			n = drw_read(b, AT, off, len);
			CHECK(n == -EDOM || (n > 0 && n <= (s64)len), "%lld", (long long)n);
			buf_check(&buf, 0, off, 2, 0);
			if (n > 0)
				buf_check(&buf, off, n, 1, 0);
			n = MAX(n, 0);
			buf_check(&buf, off + n, args.bytes - off - n, 2, off + n);
			right += n == (s64)len;

			disk_fill(&disk, AT, len + 4096, 3, 0);
			n = drw_write(b, AT, off, len);
			CHECK(n == -EDOM || (n > 0 && n <= (s64)len), "%lld", (long long)n);
			n = MAX(n, 0);
			disk_check(&disk, AT + n, len + 4096 - n, 3, n);
		}
		close(b);
		mock_check_clean(&buf);
	}
	note("%u of %zu transfers went through", right, 12 * ARRAY_SIZE(layouts));
}

/* More bytes than a transfer may move are no error; here the disk ends long before. */
static void four_GiB_of_pieces_end_with_the_device(const void *arg)
{
	static struct dmabuf_rw_piece pieces[DMABUF_RW_MAX_PIECES];
	struct buf buf;
	s64 n;
	int b;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_contiguous, 4 * MiB);
	b = OK(drw_bind(buf.fd, disk.fd));
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		pieces[i] = (struct dmabuf_rw_piece){ 0, 4 * MiB };
	disk_fill(&disk, disk.bytes - 4 * MiB, 4 * MiB, 5, 0);
	n = drw_iov(b, DMABUF_RW_OP_READ, disk.bytes - 8 * MiB, pieces, ARRAY_SIZE(pieces), 0);
	CHECK_EQ(n, 8 * MiB);
	close(b);
	mock_check_clean(&buf);
}

static void add(void)
{
	test_limit(90);
	TEST(contiguous_bar_costs_the_same_at_any_size);
	TEST(contiguous_ram_is_one_extent);
	TEST(scattered_pages_are_an_extent_each);
	TEST(metadata_is_small_beside_struct_pages);
	TEST(buffers_of_any_size_serve_all_their_bytes);
	test_add(byte_granular_chunks_are_right_or_EDOM, "priv512",
		 "byte_granular_chunks_are_right_or_EDOM.priv512");
	test_add(byte_granular_chunks_are_right_or_EDOM, "priv4k",
		 "byte_granular_chunks_are_right_or_EDOM.priv4k");
	TEST(four_GiB_of_pieces_end_with_the_device);
}

const struct program program = { "limits", add, .machines = MACHINES_EACH_KIND };
