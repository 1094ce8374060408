// SPDX-License-Identifier: GPL-2.0
/*
 * file_bytes.c - transfers at any byte: of disks and of files, compared with a model of all
 * bytes that could be touched.
 *
 * A drive moves whole LBAs, so what is before and after the bytes asked for is where this
 * can go wrong: guard bytes are all around, on the disk and in the buffer. Reads begin and end
 * anywhere; writes are of whole LBAs, or end with a file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define AT		(16 * MiB)	/* of a disk, what is used begins here */
#define SPAN		(MiB + 64 * KiB + 1234)
#define CHUNK		(16 * KiB)
#define BUF_BYTES	(2 * MiB)

struct place {
	const char *kind;		/* NULL: the disk itself */
	const char *role;
	const struct exporter *exporter;
};

static struct fs fs;
static struct disk *disk;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static struct rng rng;
static u64 next_tag, base, span;
static u8 *model, *mem;		/* what [base, base + span) must hold; scratch */
static int fd, binding;

static void open_all(const struct place *p)
{
	rng.s = harness_seed();
	next_tag = harness_seed() << 16;
	span = SPAN;
	if (p->kind) {
		fs_make(&fs, p->kind, p->role, 0, "", "");
		fd = file_make_fragmented(&fs, "f", span, CHUNK, next_tag);
		disk = &fs.disk;
		base = 0;
	} else {
		static struct disk raw;

		disk_open(&raw, p->role);
		disk = &raw;
		fd = raw.fd;
		base = AT;
		span = ROUND_DOWN(span, 4096);
		disk_fill(disk, base, span, next_tag, 0);
	}
	model = data_alloc(ROUND_UP(span, 4096));
	mem = data_alloc(BUF_BYTES);
	data_fill(model, span, next_tag++, 0);
	buf_create(&buf, p->exporter, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, 8, 0);
}

static void close_all(const struct place *p)
{
	io_uring_queue_exit(&ring);
	close(binding);
	if (buf.exporter->mock)
		mock_check_clean(&buf);
	if (p->kind) {
		file_check_on_disk(&fs, fd, model, span);
		close(fd);
		fs_finish(&fs);
	}
}

static void check_all(const char *what)
{
	if (base)
		disk_pread(disk, mem, span, base);
	else
		file_get(fd, 0, mem, span);
	data_check(what, mem, model, span, 0);
}

static s64 ask(bool use_ring, enum dmabuf_rw_op op, u64 pos,
	       const struct dmabuf_rw_piece *pieces, u32 nr)
{
	bool write = op == DMABUF_RW_OP_WRITE;

	if (nr > 1 && use_ring) {
		drw_prepv(io_uring_get_sqe(&ring), binding,
			  write ? DMABUF_RW_URING_WRITEV : DMABUF_RW_URING_READV, base + pos,
			  pieces, nr, 0);
		return drw_ring_one(&ring);
	}
	if (nr > 1)
		return drw_iov(binding, op, base + pos, pieces, nr, 0);
	return use_ring ? drw_ring_io(&ring, binding, op, base + pos, pieces->buf_off,
				      pieces->len, 0)
			: drw_io(binding, op, base + pos, pieces->buf_off, pieces->len, 0);
}

/* One transfer of a disjoint set of pieces, and a look at every byte there is. */
static void transfer(bool use_ring, enum dmabuf_rw_op op, u64 pos,
		     const struct dmabuf_rw_piece *pieces, u32 nr)
{
	static u8 *should;
	u64 tag = next_tag++, len = 0;
	s64 got;

	should = should ?: data_alloc(BUF_BYTES);
	data_fill(should, BUF_BYTES, tag, 0);
	buf_put(&buf, 0, should, BUF_BYTES);
	for (u32 i = 0; i < nr; i++) {
		if (op == DMABUF_RW_OP_READ)
			memcpy(should + pieces[i].buf_off, model + pos + len, pieces[i].len);
		else
			memcpy(model + pos + len, should + pieces[i].buf_off, pieces[i].len);
		len += pieces[i].len;
	}
	got = ask(use_ring, op, pos, pieces, nr);
	CHECK(got == (s64)len, "%s %s of %llu at %llu, buffer %#llx, %u pieces: %lld",
	      use_ring ? "io_uring" : "sync", op ? "write" : "read", (unsigned long long)len,
	      (unsigned long long)pos, (unsigned long long)pieces->buf_off, nr,
	      (long long)got);
	buf_get(&buf, 0, mem, BUF_BYTES);
	data_check("buffer", mem, should, BUF_BYTES, 0);
	if (op == DMABUF_RW_OP_WRITE)
		check_all("disk");
}

/* Where a transfer begins and ends within LBAs. */
enum shape { INSIDE, HEAD, TAIL, BOTH, LONG, ANY, SHAPES };

static void draw(enum shape shape, u64 *pos, u64 *len)
{
	u64 lba = disk->lba;
	u64 head = 1 + rng_below(&rng, lba - 1), tail = 1 + rng_below(&rng, lba - 1);
	u64 whole = rng_below(&rng, 40) * lba;
	u64 at = rng_below(&rng, 100 * KiB / lba) * lba;

	switch (shape) {
	case INSIDE:
		*len = 1 + rng_below(&rng, lba - head);
		*pos = at + head - 1;
		return;
	case HEAD:
		*pos = at + head;
		*len = lba - head + whole;
		return;
	case TAIL:
		*pos = at;
		*len = whole + tail;
		return;
	case BOTH:
		*pos = at + head;
		*len = lba - head + whole + tail;
		return;
	case LONG:
		/* More than a command moves. */
		*pos = at + head;
		*len = 2ULL * info.max_cmd_bytes + rng_below(&rng, 3 * lba);
		*len = MIN(*len, span - *pos - lba);
		return;
	default:
		*pos = rng_below(&rng, span);
		*len = 1 + rng_below(&rng, span - *pos);
	}
}

/* To whole LBAs; the last one of a file ends with it. */
static void widen(u64 *pos, u64 *len)
{
	u64 end = MIN(ROUND_UP(*pos + *len, disk->lba), span);

	*pos = ROUND_DOWN(*pos, disk->lba);
	*len = end - *pos;
}

/* Cut a length into pieces at places of the buffer in falling order, with gaps. */
static u32 draw_pieces(struct dmabuf_rw_piece *pieces, u32 most, u64 len)
{
	u32 nr = 2 + rng_below(&rng, most - 1), i;
	u64 end = BUF_BYTES;

	for (i = 0; i < nr; i++) {
		u64 n = rng_below(&rng, 2 * len / nr + 2);

		n = i == nr - 1 ? len : MIN(n, len);
		end -= n + rng_below(&rng, 3000);
		pieces[i] = (struct dmabuf_rw_piece){ end, n };
		len -= n;
	}
	return nr;
}

static void any_bytes_match_the_model(const void *arg)
{
	struct dmabuf_rw_piece pieces[12];
	u64 pos, len;

	open_all(arg);
	if (info.read_align > 1)
		skip("this drive takes whole LBAs only");
	for (int i = 0; i < 6 * SHAPES; i++) {
		enum dmabuf_rw_op op = i / SHAPES & 1 ? DMABUF_RW_OP_READ : DMABUF_RW_OP_WRITE;
		u32 nr = 1;

		draw(i % SHAPES, &pos, &len);
		if (op == DMABUF_RW_OP_WRITE)
			widen(&pos, &len);
		pieces[0] = (struct dmabuf_rw_piece){ rng_below(&rng, BUF_BYTES - len), len };
		if (i / SHAPES % 4 > 1)
			nr = draw_pieces(pieces, ARRAY_SIZE(pieces), len);
		transfer(rng_below(&rng, 2), op, pos, pieces, nr);
	}
	close_all(arg);
}

/* ---- refusals ---------------------------------------------------------------------- */

static void unaligned_writes_are_EDOM(const void *arg)
{
	struct dmabuf_rw_piece pieces[4];
	u64 pos, len;

	open_all(arg);
	CHECK_EQ(info.write_align, disk->lba);
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	for (int i = 0; i < 8 * LONG; i++) {
		u32 nr = 1;

		draw(i % LONG, &pos, &len);
		/* By chance it may be of whole LBAs. */
		if (pos % disk->lba == 0 && len % disk->lba == 0)
			continue;
		pieces[0] = (struct dmabuf_rw_piece){ rng_below(&rng, MiB), len };
		if (i / LONG & 1)
			nr = draw_pieces(pieces, ARRAY_SIZE(pieces), len);
		for (int use_ring = 0; use_ring <= 1; use_ring++)
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, pos, pieces, nr), EDOM);
	}
	/* One that ends where a file does, but begins within an LBA. */
	pieces[0] = (struct dmabuf_rw_piece){ 4096, 5000 };
	FAILS(ask(false, DMABUF_RW_OP_WRITE, span - 5000, pieces, 1), EDOM);
	check_all("what was not to change");
	close_all(arg);
}

static void odd_without_SGLs(const void *arg)
{
	struct dmabuf_rw_piece piece;
	u64 pos, len;

	open_all(arg);
	CHECK_EQ(info.flags & DMABUF_RW_INFO_SGL, 0);
	CHECK_EQ(info.read_align, disk->lba);
	CHECK_EQ(info.write_align, disk->lba);
	CHECK_EQ(info.buf_align, 4);
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	for (int i = 0; i < 4 * LONG; i++) {
		draw(i % LONG, &pos, &len);
		piece = (struct dmabuf_rw_piece){ 4096, len };
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			FAILS(ask(use_ring, DMABUF_RW_OP_READ, pos, &piece, 1), EDOM);
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, pos, &piece, 1), EDOM);
		}
		piece = (struct dmabuf_rw_piece){ 4096 + 1 + i % 3, disk->lba };
		FAILS(ask(i & 1, DMABUF_RW_OP_READ, 0, &piece, 1), EDOM);
		FAILS(ask(i & 1, DMABUF_RW_OP_WRITE, 0, &piece, 1), EDOM);
	}
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	check_all("disk");
	/* Whole LBAs go, and the last one of a file as far as the buffer's pages allow. */
	piece = (struct dmabuf_rw_piece){ 8192, 64 * KiB };
	transfer(false, DMABUF_RW_OP_WRITE, 128 * KiB, &piece, 1);
	transfer(true, DMABUF_RW_OP_READ, 128 * KiB, &piece, 1);
	pos = ROUND_DOWN(span - 1, disk->lba);
	len = span - pos;
	if (len % disk->lba) {
		s64 n;

		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		piece = (struct dmabuf_rw_piece){ ROUND_UP(len, 4096) - len, len };
		piece.buf_off = ROUND_DOWN(piece.buf_off, 4);
		n = ask(false, DMABUF_RW_OP_READ, pos, &piece, 1);
		CHECK(n == (s64)len || n == -EDOM, "%lld", (long long)n);
		if (n > 0) {
			buf_get(&buf, piece.buf_off, mem, len);
			data_check("buffer", mem, model + pos, len, pos);
		}
		buf_check(&buf, 0, piece.buf_off, 2, 0);
		buf_check(&buf, piece.buf_off + len, MiB, 2, piece.buf_off + len);
	}
	close_all(arg);
}

static void odd_bytes_without_SGLs_are_EDOM(const void *arg)
{
	drw_with_parameters("use_sgl=0", odd_without_SGLs, arg);
}

/* ---- table ------------------------------------------------------------------------- */

static void add_place(void (*run)(const void *arg), const char *what, struct place place)
{
	struct place *p = malloc(sizeof(*p));

	*p = place;
	test_add(run, p, "%s.%s.%s.%s", what, p->kind ?: "disk", p->role, p->exporter->name);
}

static void add(void)
{
	static const struct place places[] = {
		{ NULL, "priv512", &exporter_mock_scattered },
		{ NULL, "mp4k", &exporter_udmabuf },
		{ "ext4", "mp512p2", &exporter_mock_scattered },
		{ "ext4", "priv4kp1", &exporter_vfio },
		{ "xfs", "priv512p1", &exporter_heap },
		{ "xfs", "mp4kp2", &exporter_mock_bar },
	};
	static const struct place shared[] = {
		{ NULL, "priv4k", &exporter_mock_scattered },
		{ "ext4", "priv4kp1", &exporter_mock_scattered },
		{ "xfs", "mp512p2", &exporter_udmabuf },
	};

	fs_program();
	test_limit(90);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		add_place(any_bytes_match_the_model, "any_bytes_match_the_model", places[i]);
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		add_place(unaligned_writes_are_EDOM, "unaligned_writes_are_EDOM", shared[i]);
		add_place(odd_bytes_without_SGLs_are_EDOM, "odd_bytes_without_SGLs_are_EDOM",
			  shared[i]);
	}
}

const struct program program = {
	"file_bytes", add, .machines = MACHINES_IOMMU_OR_NOT, .debug = true,
};
