// SPDX-License-Identifier: GPL-2.0
/*
 * model.c - random transfers against a model in memory.
 *
 * The model is what disk region and buffers must hold. Each step is a batch of transfers
 * that do not touch each other's bytes, issued together in random ways (ioctl, io_uring,
 * from a worker, vectored, forced) or something else: ordinary I/O on the disk, the CPU
 * storing into a buffer, the exporter moving it. Since the transfers of a batch are
 * disjoint, the outcome is known whatever their order.
 *
 * All choices come from the seed: --seed N with the same test gives the same steps. A
 * failure prints the last ones.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "history.h"
#include "kernel_way.h"

#define REGION_AT	(8 * MiB)	/* of the disk */
#define REGION		(4 * MiB)
#define BUF_BYTES	(768 * KiB)
#define MAX_BUFS	6
#define MAX_BATCH	12
#define MAX_PIECES	9
#define COMPARE_EVERY	1500		/* transfers */

struct side {
	struct buf buf;
	int binding;
	u32 align;
	bool can_move;
	u8 *model;
};

struct range {
	u64 at, len;
};

struct transfer {
	u32 side;
	enum dmabuf_rw_op op;
	u64 pos;			/* in the region */
	u64 len;
	u32 nr_pieces;			/* 0: one range, pieces[0] */
	struct dmabuf_rw_piece pieces[MAX_PIECES];
	u64 flags;
	enum { BY_IOCTL, BY_RING, BY_WORKER } how;
};

static struct disk disk;
static int cached;
static struct side sides[MAX_BUFS];
static u32 nr_sides;
static struct io_uring ring;
static struct rng rng;
static u8 *region, *scratch;
static u64 transfers, next_tag;

static void tell_history(void)
{
	history_tell(transfers, "transfers");
}

static bool overlap(u64 a, u64 a_len, u64 b, u64 b_len)
{
	return a < b + b_len && b < a + a_len;
}

static u32 count(const struct transfer *t)
{
	return t->nr_pieces ? t->nr_pieces : 1;
}

/* May both run at the same time, with an outcome that is known? */
static bool independent(const struct transfer *a, const struct transfer *b)
{
	/* The disk is written by WRITE, the buffer by READ. */
	if ((a->op == DMABUF_RW_OP_WRITE || b->op == DMABUF_RW_OP_WRITE) &&
	    overlap(a->pos, a->len, b->pos, b->len))
		return false;
	if (a->side != b->side ||
	    (a->op == DMABUF_RW_OP_WRITE && b->op == DMABUF_RW_OP_WRITE))
		return true;
	for (u32 i = 0; i < count(a); i++)
		for (u32 j = 0; j < count(b); j++)
			if (overlap(a->pieces[i].buf_off, a->pieces[i].len,
				    b->pieces[j].buf_off, b->pieces[j].len))
				return false;
	return true;
}

static u64 draw_len(void)
{
	u64 most;

	switch (rng_below(&rng, 16)) {
	case 0:
		most = 512 * KiB;
		break;
	case 1 ... 3:
		most = 128 * KiB;
		break;
	case 4 ... 8:
		most = 16 * KiB;
		break;
	default:
		most = 8 * KiB;
	}
	return rng_step(&rng, disk.lba, most, disk.lba);
}

/* Divide the length over disjoint pieces in random order, each in a slot of its own. */
static void draw_pieces(struct transfer *t, const struct side *s)
{
	u32 nr = 1 + rng_below(&rng, MAX_PIECES);
	u64 slot = ROUND_DOWN(BUF_BYTES / nr, 4096), left = t->len;

	for (u32 i = 0; i < nr; i++) {
		u64 share = i == nr - 1 ? left :
			    rng_step(&rng, 0, left, drw_way ? disk.lba : s->align);
		u64 off;

		share = MIN(share, slot);
		off = i * slot + rng_step(&rng, 0, ROUND_DOWN(slot - share, s->align),
					  s->align);
		t->pieces[i] = (struct dmabuf_rw_piece){ off, share };
		left -= share;
	}
	t->len -= left;
	/* Whole LBAs: cut the excess from the pieces' ends. */
	for (u32 i = nr; t->len % disk.lba; i--) {
		u64 cut = MIN(t->len % disk.lba, t->pieces[i - 1].len);

		t->pieces[i - 1].len -= cut;
		t->len -= cut;
	}
	for (u32 i = nr - 1; i > 0; i--) {
		u32 j = rng_below(&rng, i + 1);
		struct dmabuf_rw_piece p = t->pieces[i];

		t->pieces[i] = t->pieces[j];
		t->pieces[j] = p;
	}
	t->nr_pieces = nr;
}

static void draw_transfer(struct transfer *t)
{
	const struct side *s;

	t->side = rng_below(&rng, nr_sides);
	s = &sides[t->side];
	t->op = rng_below(&rng, 2);
	t->len = draw_len();
	t->flags = t->op == DMABUF_RW_OP_WRITE && !rng_below(&rng, 8) ? DMABUF_RW_IO_FUA : 0;
	t->how = rng_below(&rng, 3);
	if (drw_way)
		t->how = BY_IOCTL;
	if (rng_below(&rng, 4) == 0) {
		draw_pieces(t, s);
	} else {
		/* Half of them as aligned as most programs have it. */
		u64 align = rng_below(&rng, 2) ? 4096 : s->align;

		t->nr_pieces = 0;
		t->pieces[0].len = t->len;
		t->pieces[0].buf_off = rng_step(&rng, 0,
						ROUND_DOWN(BUF_BYTES - t->len, align), align);
	}
	t->pos = rng_step(&rng, 0, REGION - t->len, disk.lba);
}

/* Apply to the model, after the transfer has ended. */
static void apply(const struct transfer *t)
{
	const struct side *s = &sides[t->side];
	u64 pos = t->pos;

	for (u32 i = 0; i < count(t); i++) {
		const struct dmabuf_rw_piece *p = &t->pieces[i];

		if (t->op == DMABUF_RW_OP_READ)
			memcpy(s->model + p->buf_off, region + pos, p->len);
		else
			memcpy(region + pos, s->model + p->buf_off, p->len);
		pos += p->len;
	}
}

/* Compare what the transfer has changed. */
static void check(const struct transfer *t)
{
	const struct side *s = &sides[t->side];

	if (t->op == DMABUF_RW_OP_WRITE) {
		if (!t->len)
			return;
		disk_pread(&disk, scratch, t->len, REGION_AT + t->pos);
		data_check("disk after a write", scratch, region + t->pos, t->len, t->pos);
		return;
	}
	for (u32 i = 0; i < count(t); i++) {
		const struct dmabuf_rw_piece *p = &t->pieces[i];

		buf_get(&s->buf, p->buf_off, scratch, p->len);
		data_check(s->buf.exporter->name, scratch, s->model + p->buf_off, p->len,
			   p->buf_off);
	}
}

static void prepare(struct transfer *t, u32 index)
{
	static const u32 ops[2][2] = {
		{ DMABUF_RW_URING_READ, DMABUF_RW_URING_READV },
		{ DMABUF_RW_URING_WRITE, DMABUF_RW_URING_WRITEV },
	};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	const struct side *s = &sides[t->side];
	u32 op = ops[t->op][t->nr_pieces != 0];

	if (t->nr_pieces)
		drw_prepv(sqe, s->binding, op, REGION_AT + t->pos, t->pieces, t->nr_pieces,
			  t->flags);
	else
		drw_prep(sqe, s->binding, op, REGION_AT + t->pos, t->pieces[0].buf_off,
			 t->len, t->flags);
	if (t->how == BY_WORKER)
		sqe->flags |= IOSQE_ASYNC;
	sqe->user_data = index;
}

static s64 run_sync(const struct transfer *t)
{
	const struct side *s = &sides[t->side];

	if (t->nr_pieces)
		return drw_iov(s->binding, t->op, REGION_AT + t->pos, t->pieces, t->nr_pieces,
			       t->flags);
	return drw_io(s->binding, t->op, REGION_AT + t->pos, t->pieces[0].buf_off, t->len,
		      t->flags);
}

static void transfer_step(void)
{
	static struct transfer batch[MAX_BATCH];
	u32 want = 1 + rng_below(&rng, MAX_BATCH), nr = 0, queued = 0;

	for (u32 tries = 0; tries < want * 2 && nr < want; tries++) {
		struct transfer *t = &batch[nr];
		bool ok = true;

		draw_transfer(t);
		for (u32 i = 0; i < nr; i++)
			ok &= independent(t, &batch[i]);
		if (!ok)
			continue;
		remember("%s %s%s side %u (%s) pos %#llx len %#llx at %#llx, %u pieces%s",
			 t->how == BY_IOCTL ? "ioctl" : t->how == BY_RING ? "ring" : "worker",
			 t->op ? "write" : "read", nr ? " +" : "", t->side,
			 sides[t->side].buf.exporter->name, (unsigned long long)t->pos,
			 (unsigned long long)t->len,
			 (unsigned long long)t->pieces[0].buf_off, t->nr_pieces,
			 t->flags ? " FUA" : "");
		nr++;
	}

	for (u32 i = 0; i < nr; i++) {
		if (batch[i].how == BY_IOCTL)
			continue;
		prepare(&batch[i], i);
		queued++;
	}
	if (queued)
		CHECK_EQ(io_uring_submit(&ring), queued);
	for (u32 i = 0; i < nr; i++)
		if (batch[i].how == BY_IOCTL)
			CHECK_EQ(run_sync(&batch[i]), batch[i].len, "ioctl, number %u of batch",
				 i);
	while (queued--) {
		struct io_uring_cqe *cqe;

		OK(drw_wait_cqe(&ring, &cqe));
		CHECK_EQ(cqe->res, batch[cqe->user_data].len, "number %llu of batch",
			 (unsigned long long)cqe->user_data);
		io_uring_cqe_seen(&ring, cqe);
	}
	for (u32 i = 0; i < nr; i++)
		apply(&batch[i]);
	/* All are compared in time; looking at one in three now finds faults early. */
	for (u32 i = rng_below(&rng, 3); i < nr; i += 3)
		check(&batch[i]);
	transfers += nr;
}

/* Ordinary I/O on the disk, through the cache and around it. */
static void disk_step(void)
{
	u64 len = draw_len(), pos = rng_step(&rng, 0, REGION - len, disk.lba);
	int fd = rng_below(&rng, 2) ? cached : disk.fd;

	if (rng_below(&rng, 2)) {
		remember("pwrite %s pos %#llx len %#llx", fd == cached ? "cached" : "O_DIRECT",
			 (unsigned long long)pos, (unsigned long long)len);
		data_fill(scratch, len, next_tag++, pos);
		CHECK_EQ(pwrite(fd, scratch, len, REGION_AT + pos), len);
		memcpy(region + pos, scratch, len);
	} else {
		remember("pread %s pos %#llx len %#llx", fd == cached ? "cached" : "O_DIRECT",
			 (unsigned long long)pos, (unsigned long long)len);
		CHECK_EQ(pread(fd, scratch, len, REGION_AT + pos), len);
		data_check(fd == cached ? "cached read" : "O_DIRECT read", scratch,
			   region + pos, len, pos);
	}
}

static void buffer_step(void)
{
	u32 side = rng_below(&rng, nr_sides);
	struct side *s = &sides[side];
	u64 len, off;

	if (s->can_move && rng_below(&rng, 2)) {
		u32 flags = MOCK_INV_FORCE | (rng_below(&rng, 3) ? MOCK_INV_MOVE : 0);
		struct mock_invalidate inv = { .fence_ms = rng_below(&rng, 40) ? 0 : 4 };

		remember("invalidate side %u flags %#x fence %u", side, flags, inv.fence_ms);
		OK(mock_invalidate(&s->buf, flags, &inv));
		return;
	}
	len = 1 + rng_below(&rng, 20000);
	off = rng_below(&rng, BUF_BYTES - len);
	remember("CPU stores side %u at %#llx len %#llx", side, (unsigned long long)off,
		 (unsigned long long)len);
	data_fill(s->model + off, len, next_tag++, off);
	buf_put(&s->buf, off, s->model + off, len);
}

static void compare_all(void)
{
	remember("compare all");
	for (u64 pos = 0; pos < REGION; pos += 512 * KiB) {
		disk_pread(&disk, scratch, 512 * KiB, REGION_AT + pos);
		data_check("disk", scratch, region + pos, 512 * KiB, pos);
	}
	for (u32 i = 0; i < nr_sides; i++) {
		buf_get(&sides[i].buf, 0, scratch, BUF_BYTES);
		data_check(sides[i].buf.exporter->name, scratch, sides[i].model, BUF_BYTES, 0);
	}
}

static void add_side(void)
{
	struct side *s = &sides[nr_sides++];
	struct dmabuf_rw_info info;

	s->binding = OK(drw_bind(s->buf.fd, disk.fd));
	OK(drw_info(s->binding, &info));
	s->align = drw_way ? disk.lba : info.buf_align;
	s->model = data_alloc(BUF_BYTES);
	data_fill(s->model, BUF_BYTES, next_tag++, 0);
	buf_put(&s->buf, 0, s->model, BUF_BYTES);
}

static void open_sides(void)
{
	/* One that moves, with chunks that are no pages; and what the kernel has. */
	static const struct exporter moving = {
		.name = "moving", .mock = true,
	};
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .gap = 256,
				    .nr_pattern = 4, .align = 4,
				    .pattern = { 4096, 12288, 1536, 65536 } };
	/* The kernel's way takes whole pages only. */
	struct mock_create pages = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .gap = 4096,
				     .nr_pattern = 3, .pattern = { 4096, 12288, 65536 } };
	const struct exporter *const fixed[] = {
		&exporter_udmabuf, &exporter_heap, &exporter_mock_scattered,
		&exporter_mock_bar,
	};

	buf_create_mock(&sides[0].buf, drw_way ? &pages : &args);
	sides[0].buf.exporter = &moving;
	sides[0].can_move = true;
	add_side();
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		buf_create(&sides[nr_sides].buf, fixed[i], BUF_BYTES);
		add_side();
	}
}

struct size {
	const char *role;
	u64 transfers;
};

static void random_transfers_agree_with_the_model(const void *arg)
{
	const struct size *size = arg;
	u64 compared = 0;

	rng.s = harness_seed();
	next_tag = harness_seed() << 20;
	on_fail(tell_history);
	disk_open(&disk, size->role);
	cached = disk_fd(&disk, O_RDWR);
	drw_ring(&ring, 32, 0);
	region = data_alloc(REGION);
	scratch = data_alloc(MAX(BUF_BYTES, 512 * KiB));
	disk_fill(&disk, REGION_AT, REGION, next_tag, 0);
	data_fill(region, REGION, next_tag++, 0);
	open_sides();

	while (transfers < size->transfers) {
		u32 what = rng_below(&rng, 20);

		if (what == 0)
			disk_step();
		else if (what == 1)
			buffer_step();
		else
			transfer_step();
		if (transfers - compared > COMPARE_EVERY) {
			compare_all();
			compared = transfers;
		}
	}
	compare_all();
	for (u32 i = 0; i < nr_sides; i++) {
		struct dmabuf_rw_info info;

		OK(drw_info(sides[i].binding, &info));
		CHECK_EQ(info.errors, 0);
		drw_unbind(sides[i].binding);
		if (sides[i].buf.exporter->mock)
			drw_check_clean(&sides[i].buf);
	}
	note("%llu transfers in %llu steps", (unsigned long long)transfers,
	     (unsigned long long)steps);
}

static void add(void)
{
	static const struct size sizes[] = {
		{ "priv512", 20000 }, { "mp512", 4000 }, { "priv4k", 4000 },
		{ "mp4kp1", 4000 },
	};

	test_limit(200);
	both_ways_from_here(true);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		test_add(random_transfers_agree_with_the_model, &sizes[i],
			 "random_transfers_agree_with_the_model.%s", sizes[i].role);
}

const struct program program = { "model", add, .machines = MACHINES_IOMMU_OR_NOT };
