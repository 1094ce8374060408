// SPDX-License-Identifier: GPL-2.0
/*
 * vectored.c - many pieces of the buffer against one range of the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(3 * MiB)
#define AT		(8 * MiB)	/* in the file */

static struct disk disk;
static struct buf buf;
static struct dmabuf_rw_info info;
static struct io_uring ring;
static struct rng rng;
static int binding;

static void open_all(const struct exporter *exporter, const char *role)
{
	disk_open(&disk, role);
	buf_create(&buf, exporter, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, 8, 0);
	rng.s = harness_seed();
}

static u64 total(const struct dmabuf_rw_piece *pieces, u32 nr)
{
	u64 sum = 0;

	for (u32 i = 0; i < nr; i++)
		sum += pieces[i].len;
	return sum;
}

static s64 transfer(bool use_ring, enum dmabuf_rw_op op, u64 file_off,
		    const struct dmabuf_rw_piece *pieces, u32 nr)
{
	if (!use_ring)
		return drw_iov(binding, op, file_off, pieces, nr, 0);
	drw_prepv(io_uring_get_sqe(&ring), binding,
		  op == DMABUF_RW_OP_READ ? DMABUF_RW_URING_READV : DMABUF_RW_URING_WRITEV,
		  file_off, pieces, nr, 0);
	return drw_ring_one(&ring);
}

/* Read through @pieces, then write through them elsewhere, and look at every byte. */
static void both_ways(bool use_ring, const struct dmabuf_rw_piece *pieces, u32 nr)
{
	static u8 *want, *got, *data;
	u64 len = total(pieces, nr), pos = 0;
	s64 n;

	want = want ?: data_alloc(BUF_BYTES);
	got = got ?: data_alloc(BUF_BYTES);
	data = data ?: data_alloc(BUF_BYTES);

	disk_fill(&disk, AT, len, 1, 0);
	data_fill(data, len, 1, 0);
	data_fill(want, BUF_BYTES, 2, 0);
	buf_put(&buf, 0, want, BUF_BYTES);
	n = transfer(use_ring, DMABUF_RW_OP_READ, AT, pieces, nr);
	CHECK_EQ(n, len, "%u pieces", nr);
	for (u32 i = 0; i < nr; i++) {
		memcpy(want + pieces[i].buf_off, data + pos, pieces[i].len);
		pos += pieces[i].len;
	}
	buf_get(&buf, 0, got, BUF_BYTES);
	data_check("buffer", got, want, BUF_BYTES, 0);

	disk_fill(&disk, AT + 4 * MiB - 4096, len + 8192, 3, 0);
	n = transfer(use_ring, DMABUF_RW_OP_WRITE, AT + 4 * MiB, pieces, nr);
	CHECK_EQ(n, len, "%u pieces", nr);
	disk_check(&disk, AT + 4 * MiB - 4096, 4096, 3, 0);
	disk_check(&disk, AT + 4 * MiB, len, 1, 0);
	disk_check(&disk, AT + 4 * MiB + len, 4096, 3, len + 4096);
}

/* Disjoint pieces in random order, whose lengths add up to whole LBAs. */
static u32 draw_pieces(struct dmabuf_rw_piece *pieces, u32 nr, u64 unit, u64 most)
{
	u64 slot = ROUND_DOWN(BUF_BYTES / nr, unit), sum = 0, last;

	most = MIN(most, slot);
	for (u32 i = 0; i < nr; i++) {
		u64 len = rng_step(&rng, unit, most, unit);

		pieces[i].len = len;
		pieces[i].buf_off = i * slot + rng_step(&rng, 0, slot - len, unit);
		sum += len;
	}
	/* Cut from the end until the sum fits; some may become empty, which is allowed. */
	for (last = nr - 1; sum % disk.lba; last--) {
		u64 cut = MIN(sum % disk.lba, pieces[last].len);

		pieces[last].len -= cut;
		sum -= cut;
	}
	for (u32 i = nr - 1; i > 0; i--) {
		u32 j = rng_below(&rng, i + 1);
		struct dmabuf_rw_piece t = pieces[i];

		pieces[i] = pieces[j];
		pieces[j] = t;
	}
	return sum ? nr : 0;
}

struct layout {
	const struct exporter *exporter;
	const char *role;
};

static void pieces_fill_and_empty_in_their_order(const void *arg)
{
	const struct layout *l = arg;
	struct dmabuf_rw_piece pieces[64];

	open_all(l->exporter, l->role);
	for (int round = 0; round < 12; round++) {
		u32 nr = 1 + rng_below(&rng, ARRAY_SIZE(pieces));
		/* From whole LBAs to what only an SGL can say. */
		u64 unit = round % 3 == 0 ? disk.lba : round % 3 == 1 ? 4096 : 4;
		u64 most = unit == 4 ? 9000 : 20 * 4096;

		if (unit == 4 && !(info.flags & DMABUF_RW_INFO_SGL))
			continue;
		if (draw_pieces(pieces, nr, unit, most))
			both_ways(round & 1, pieces, nr);
	}
	close(binding);
	if (buf.exporter->mock)
		mock_check_clean(&buf);
}

static void empty_pieces_move_nothing(const void *arg)
{
	const struct dmabuf_rw_piece mixed[] = {
		{ 0, 0 }, { 8192, 4096 }, { BUF_BYTES, 0 }, { 100, 0 }, { 0, 4096 }, { 4096, 0 },
	};
	const struct dmabuf_rw_piece empty[] = { { 0, 0 }, { 12345, 0 }, { BUF_BYTES, 0 } };

	open_all(&exporter_mock_scattered, "priv512");
	both_ways(false, mixed, ARRAY_SIZE(mixed));
	both_ways(true, mixed, ARRAY_SIZE(mixed));
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, AT, empty, 3), 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_WRITE, AT, empty, 3), 0);
	}
	CHECK_EQ(transfer(true, DMABUF_RW_OP_READ, AT, empty, 0), 0);
}

static void as_many_pieces_as_allowed(const void *arg)
{
	static struct dmabuf_rw_piece pieces[DMABUF_RW_MAX_PIECES + 1];

	open_all(&exporter_mock_scattered, arg);
	for (u32 i = 0; i < ARRAY_SIZE(pieces); i++) {
		/* Every other 1 KiB, from the end. */
		pieces[i].buf_off = (DMABUF_RW_MAX_PIECES - i) * 2048ULL % BUF_BYTES;
		pieces[i].len = 1024;
	}
	both_ways(false, pieces, DMABUF_RW_MAX_PIECES);
	both_ways(true, pieces, DMABUF_RW_MAX_PIECES);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		FAILS(transfer(use_ring, DMABUF_RW_OP_READ, AT, pieces,
			       DMABUF_RW_MAX_PIECES + 1), EMSGSIZE);
		FAILS(transfer(use_ring, DMABUF_RW_OP_WRITE, AT, pieces, 0x10000), EMSGSIZE);
	}
	FAILS(transfer(false, DMABUF_RW_OP_WRITE, AT, pieces, 0xffffffff), EMSGSIZE);
}

/* One byte of the file can go to one place only, but one place can be written out twice. */
static void overlapping_pieces_can_be_written(const void *arg)
{
	const struct dmabuf_rw_piece pieces[] = {
		{ 0, 8192 }, { 4096, 8192 }, { 0, 8192 }, { 512, 512 }, { 512, 512 },
	};
	u64 at = AT;

	open_all(&exporter_mock_scattered, "priv512");
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		buf_fill(&buf, 0, 64 * KiB, 5 + use_ring, 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_WRITE, AT, pieces,
				  ARRAY_SIZE(pieces)), total(pieces, ARRAY_SIZE(pieces)));
		at = AT;
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			disk_check(&disk, at, pieces[i].len, 5 + use_ring,
				   pieces[i].buf_off);
			at += pieces[i].len;
		}
	}
}

struct bad_piece {
	struct dmabuf_rw_piece bad;
	int err;
};

static void refuse_with_each(const struct bad_piece *cases, size_t nr)
{
	struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 4096, 4096 }, { 8192, 4096 } };

	open_all(&exporter_mock_scattered, "priv512");
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	disk_fill(&disk, AT, MiB, 2, 0);
	for (size_t i = 0; i < nr; i++) {
		for (u32 where = 0; where < 3; where++) {
			struct dmabuf_rw_piece saved = pieces[where];

			pieces[where] = cases[i].bad;
			for (int use_ring = 0; use_ring <= 1; use_ring++) {
				CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, AT, pieces, 3),
					 -cases[i].err, "case %zu in place %u", i, where);
				CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_WRITE, AT, pieces, 3),
					 -cases[i].err, "case %zu in place %u", i, where);
			}
			pieces[where] = saved;
		}
	}
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	disk_check(&disk, AT, MiB, 2, 0);
}

static void one_bad_piece_refuses_all(const void *arg)
{
	const struct bad_piece cases[] = {
		{ { BUF_BYTES, 4096 }, ERANGE },
		{ { BUF_BYTES - 4, 4096 }, ERANGE },
		{ { BUF_BYTES + 4, 0 }, ERANGE },
		{ { 1ULL << 63, 4096 }, EOVERFLOW },
		{ { -4096ULL, 8192 }, EOVERFLOW },
		{ { 0, ~0ULL }, EOVERFLOW },
	};

	refuse_with_each(cases, ARRAY_SIZE(cases));
}

static void bad_pieces_without_SGLs(const void *arg)
{
	/* A sum of lengths, or one offset in the buffer, that PRPs cannot say. */
	const struct bad_piece cases[] = {
		{ { 8192, 4092 }, EDOM },
		{ { 8192, 1 }, EDOM },
		{ { 8193, 4096 }, EDOM },
	};

	refuse_with_each(cases, ARRAY_SIZE(cases));
	CHECK_EQ(info.read_align, disk.lba);
}

static void one_bad_piece_refuses_all_without_SGLs(const void *arg)
{
	drw_with_parameters("use_sgl=0", bad_pieces_without_SGLs, NULL);
}

static void sum_of_lengths_must_not_overflow(const void *arg)
{
	struct dmabuf_rw_piece pieces[3] = {
		{ 0, BUF_BYTES }, { 0, BUF_BYTES }, { 0, BUF_BYTES },
	};

	open_all(&exporter_mock_scattered, "priv512");
	/* A file range that ends beyond 63 bits only by the sum of the pieces. */
	for (int use_ring = 0; use_ring <= 1; use_ring++)
		FAILS(transfer(use_ring, DMABUF_RW_OP_READ, (1ULL << 63) - 2 * BUF_BYTES,
			       pieces, 3), EOVERFLOW);
}

/*
 * Whole pages, then an LBA in more pieces than a list can hold: what could be moved has
 * been, and the error is told.
 */
static void error_after_a_part_tells_the_part(const void *arg)
{
	static struct dmabuf_rw_piece pieces[DMABUF_RW_MAX_PIECES];
	const u64 first = 64 * KiB + 4;
	struct dmabuf_rw_io io = { .op = DMABUF_RW_OP_READ, .file_off = AT,
				   .nr_pieces = ARRAY_SIZE(pieces),
				   .pieces = (uintptr_t)pieces };
	s64 n;

	open_all(&exporter_mock_scattered, "priv4k");
	pieces[0] = (struct dmabuf_rw_piece){ 0, first };
	for (u32 i = 1; i < ARRAY_SIZE(pieces); i++)
		pieces[i] = (struct dmabuf_rw_piece){ 128 * KiB + i * 8, 4 };
	disk_fill(&disk, AT, 128 * KiB, 1, 0);
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);

	OK(drw_do(binding, &io));
	if (io.done == 68 * KiB)
		skip("this drive takes 1024 pieces in one command");
	CHECK_EQ(io.done, 64 * KiB);
	CHECK_EQ(io.error, EDOM);
	buf_check(&buf, 0, 64 * KiB, 1, 0);
	buf_check(&buf, 64 * KiB, BUF_BYTES - 64 * KiB, 2, 64 * KiB);

	n = transfer(true, DMABUF_RW_OP_READ, AT, pieces, ARRAY_SIZE(pieces));
	CHECK_EQ(n, 64 * KiB);
	pieces[0].buf_off += 64 * KiB;
	pieces[0].len = 4;
	n = transfer(true, DMABUF_RW_OP_READ, AT + 64 * KiB, pieces, ARRAY_SIZE(pieces));
	CHECK_EQ(n, -EDOM);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.reads, 2);
	CHECK_EQ(info.read_bytes, 128 * KiB);
	CHECK_EQ(info.errors, 3);
}

/* The pieces are read when the call is made; later changes mean nothing. */
static void pieces_are_read_once(const void *arg)
{
	struct dmabuf_rw_piece pieces[2] = { { 0, 4096 }, { 8192, 4096 } };
	struct io_uring_cqe *cqe;

	open_all(&exporter_mock_scattered, "priv512");
	disk_fill(&disk, AT, 8192, 1, 0);
	for (int i = 0; i < 50; i++) {
		buf_fill(&buf, 0, 64 * KiB, 2, 0);
		pieces[0] = (struct dmabuf_rw_piece){ 0, 4096 };
		pieces[1] = (struct dmabuf_rw_piece){ 8192, 4096 };
		drw_prepv(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READV, AT,
			  pieces, 2, 0);
		OK(io_uring_submit(&ring));
		memset(pieces, 0xff, sizeof(pieces));
		OK(drw_wait_cqe(&ring, &cqe));
		CHECK_EQ(cqe->res, 8192);
		io_uring_cqe_seen(&ring, cqe);
		buf_check(&buf, 0, 4096, 1, 0);
		buf_check(&buf, 4096, 4096, 2, 4096);
		buf_check(&buf, 8192, 4096, 1, 4096);
		buf_check(&buf, 12288, 52 * KiB, 2, 12288);
	}
}

/* Short at the end of the device, and the pieces beyond are left alone. */
static void end_of_device_cuts_pieces(const void *arg)
{
	const struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 64 * KiB, 8192 },
						  { 128 * KiB, 4096 } };

	open_all(&exporter_mock_scattered, "priv512p1");
	disk_fill(&disk, disk.bytes - 8192, 8192, 1, 0);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, disk.bytes - 8192, pieces, 3),
			 8192);
		buf_check(&buf, 0, 4096, 1, 0);
		buf_check(&buf, 64 * KiB, 4096, 1, 4096);
		buf_check(&buf, 68 * KiB, BUF_BYTES - 68 * KiB, 2, 68 * KiB);
		CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, disk.bytes, pieces, 3), 0);
		FAILS(transfer(use_ring, DMABUF_RW_OP_WRITE, disk.bytes, pieces, 3), ENOSPC);
	}
}

static void add(void)
{
	static const char *const roles[] = { "priv512", "priv4k", "mp512" };

	test_limit(90);
	for (size_t e = 0; e < nr_exporters; e++) {
		struct layout *l = malloc(sizeof(*l));

		*l = (struct layout){ exporters[e], roles[e % 3] };
		test_add(pieces_fill_and_empty_in_their_order, l,
			 "pieces_fill_and_empty_in_their_order.%s.%s", l->exporter->name,
			 l->role);
	}
	TEST(empty_pieces_move_nothing);
	test_add(as_many_pieces_as_allowed, "priv512", "as_many_pieces_as_allowed.priv512");
	test_add(as_many_pieces_as_allowed, "priv4k", "as_many_pieces_as_allowed.priv4k");
	TEST(overlapping_pieces_can_be_written);
	TEST(one_bad_piece_refuses_all);
	TEST(one_bad_piece_refuses_all_without_SGLs);
	TEST(sum_of_lengths_must_not_overflow);
	TEST(error_after_a_part_tells_the_part);
	TEST(pieces_are_read_once);
	TEST(end_of_device_cuts_pieces);
}

const struct program program = {
	"vectored", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
