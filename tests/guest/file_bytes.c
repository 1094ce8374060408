// SPDX-License-Identifier: GPL-2.0
/*
 * file_bytes.c - transfers at any byte: of disks and of files, compared with a model of all
 * bytes that could be touched, and many writers that share LBAs.
 *
 * A drive moves whole LBAs, so what is before and after the bytes asked for is where this
 * can go wrong: guard bytes are all around, on the disk and in the buffer.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
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
	u64 lba = disk->lba, head = 1 + rng_below(&rng, lba - 1), tail = 1 + rng_below(&rng, lba - 1);
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
	if (info.file_align > 1)
		skip("this drive takes whole LBAs only");
	for (int i = 0; i < 6 * SHAPES; i++) {
		enum dmabuf_rw_op op = i / SHAPES & 1 ? DMABUF_RW_OP_READ : DMABUF_RW_OP_WRITE;
		u32 nr = 1;

		draw(i % SHAPES, &pos, &len);
		pieces[0] = (struct dmabuf_rw_piece){ rng_below(&rng, BUF_BYTES - len), len };
		if (i / SHAPES % 4 > 1)
			nr = draw_pieces(pieces, ARRAY_SIZE(pieces), len);
		transfer(rng_below(&rng, 2), op, pos, pieces, nr);
	}
	close_all(arg);
}

/* ---- many writers ------------------------------------------------------------------ */

#define WRITERS		6
#define SHARED_LBAS	3

struct writer {
	u32 index;
	u32 rounds;
	u64 pos, len;
	pthread_t thread;
};

/*
 * Writes its own bytes again and again, and reads them back each time. Every other one with
 * io_uring; some with a binding of their own.
 */
static void *write_own_bytes(void *arg)
{
	struct writer *w = arg;
	u64 off = w->index * 64 * KiB + w->index * 3;
	u8 *data = data_alloc(w->len), *got = data_alloc(w->len);
	bool use_ring = w->index & 1;
	int b = w->index % 3 ? binding : (int)OK(drw_bind(buf.fd, fd));
	struct io_uring own;

	drw_ring(&own, 4, 0);
	for (u32 i = 0; i < w->rounds; i++) {
		for (int op = DMABUF_RW_OP_WRITE; op >= DMABUF_RW_OP_READ; op--) {
			s64 n;

			data_fill(data, w->len, w->index * 1000 + i, w->pos);
			if (op == DMABUF_RW_OP_WRITE)
				buf_put(&buf, off, data, w->len);
			n = use_ring ? drw_ring_io(&own, b, op, base + w->pos, off, w->len, 0)
				     : drw_io(b, op, base + w->pos, off, w->len, 0);
			CHECK_EQ(n, w->len, "writer %u, round %u", w->index, i);
			/* Elsewhere in the buffer would be no proof: it has come back. */
			buf_get(&buf, off, got, w->len);
			data_check("own bytes", got, data, w->len, w->pos);
		}
	}
	io_uring_queue_exit(&own);
	if (b != binding)
		close(b);
	memcpy(model + w->pos, data, w->len);
	return NULL;
}

/* The bytes of a few LBAs, shared out; the last writer has whole LBAs next to them. */
static void share_out(struct writer *w, u32 rounds)
{
	u64 lba = disk->lba, from = 5 * lba + 17, each;

	each = (SHARED_LBAS * lba - 100) / (WRITERS - 1);
	for (u32 i = 0; i < WRITERS; i++)
		w[i] = (struct writer){ .index = i, .rounds = rounds, .pos = from + i * each,
					.len = each };
	w[WRITERS - 1].pos = ROUND_UP(from + (WRITERS - 1) * each, lba);
	w[WRITERS - 1].len = 4 * lba;
	w[WRITERS - 1].rounds = 2 * rounds;
}

static void threads_within_an_LBA_lose_nothing(const void *arg)
{
	struct writer w[WRITERS];

	open_all(arg);
	if (info.file_align > 1)
		skip("this drive takes whole LBAs only");
	share_out(w, 40);
	for (u32 i = 0; i < WRITERS; i++)
		pthread_create(&w[i].thread, NULL, write_own_bytes, &w[i]);
	for (u32 i = 0; i < WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	check_all("after all writers");
	close_all(arg);
}

static void processes_within_an_LBA_lose_nothing(const void *arg)
{
	struct writer w[WRITERS];
	int status, bad = 0;
	u8 *shared;

	open_all(arg);
	if (info.file_align > 1)
		skip("this drive takes whole LBAs only");
	/* The model must be seen by all. */
	shared = mmap(NULL, ROUND_UP(span, 4096), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	memcpy(shared, model, span);
	model = shared;
	share_out(w, 25);
	for (u32 i = 0; i < WRITERS; i++) {
		if (!SYS(fork())) {
			write_own_bytes(&w[i]);
			_exit(0);
		}
	}
	for (u32 i = 0; i < WRITERS; i++) {
		SYS(wait(&status));
		bad |= status;
	}
	/* The child has said why. */
	if (bad)
		_exit(1);
	check_all("after all writers");
	close_all(arg);
}

/* ---- refusals and errors ----------------------------------------------------------- */

static void odd_without_SGLs(const void *arg)
{
	struct dmabuf_rw_piece piece;
	u64 pos, len;

	open_all(arg);
	CHECK_EQ(info.flags & DMABUF_RW_INFO_SGL, 0);
	CHECK_EQ(info.file_align, disk->lba);
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

/* Where on the disk a byte is. */
static u64 on_disk(u64 pos)
{
	struct file_extent x;

	if (base)
		return base + pos;
	CHECK(file_extent(fd, pos, &x) && x.pos <= pos && x.pos + x.len > pos);
	return x.at + pos - x.pos;
}

/* The drive has it as the model has; whole blocks. */
static void check_direct(const char *what, u64 pos, u64 len)
{
	int direct = base ? -1 : fs_open(&fs, "f", O_RDONLY | O_DIRECT);

	if (base) {
		disk_pread(disk, mem, len, base + pos);
	} else {
		file_get(direct, pos, mem, len);
		close(direct);
	}
	data_check(what, mem, model + pos, len, 0);
}

/*
 * The drive fails to read the LBA that a write covers in part: the write fails as a whole,
 * and others go on.
 */
static void write_over_unreadable_edges(void)
{
	struct dmabuf_rw_piece piece;
	/* One extent of a file. */
	u64 lba = disk->lba, hole = 16 * CHUNK, end = hole + CHUNK;
	u64 range[2] = { on_disk(hole), CHUNK };

	SYS(ioctl(disk->fd, BLKDISCARD, range));
	buf_fill(&buf, 0, BUF_BYTES, 3, 0);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		/* Inside one; the first; the last; reads, too. */
		const u64 cases[][2] = {
			{ hole + 5, 7 }, { end - 5, 3 * lba },
			{ hole - 3 * lba, 3 * lba + 9 }, { hole + lba + 1, 8 * lba },
		};

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			piece = (struct dmabuf_rw_piece){ 1001, cases[i][1] };
			FAILS(ask(use_ring, DMABUF_RW_OP_WRITE, cases[i][0], &piece, 1),
			      ENODATA);
		}
		piece = (struct dmabuf_rw_piece){ 1001, 100 };
		FAILS(ask(use_ring, DMABUF_RW_OP_READ, hole + 5, &piece, 1), ENODATA);
		buf_check(&buf, 0, BUF_BYTES, 3, 0);
		/* Around it nothing has changed, and nobody waits for anybody. */
		check_direct("before", 0, hole);
		check_direct("behind", end, ROUND_DOWN(span - end, 4096));
	}
	/* Whole LBAs need no reading; then parts can be written again. */
	piece = (struct dmabuf_rw_piece){ 4096, CHUNK };
	transfer(false, DMABUF_RW_OP_WRITE, hole, &piece, 1);
	piece = (struct dmabuf_rw_piece){ 77, 1000 };
	transfer(true, DMABUF_RW_OP_WRITE, hole + 5, &piece, 1);
	check_all("all");
}

static void edge_that_cannot_be_read_fails_the_write(const void *arg)
{
	static const char *const ctrls[] = { "DRW_PRIV_PCI", NULL };
	int status;

	open_all(arg);
	if (info.file_align > 1)
		skip("this drive takes whole LBAs only");
	if (!disk_set_dulbe(disk, ctrls, true))
		skip("the drive does not report reads of deallocated blocks");
	/* It outlives the test, so it is taken back whatever happens. */
	if (!SYS(fork())) {
		write_over_unreadable_edges();
		_exit(0);
	}
	SYS(wait(&status));
	disk_set_dulbe(disk, ctrls, false);
	if (status)
		_exit(1);
	/* What the child has written is in its model. */
	if (!base)
		file_get(fd, 0, model, span);
	close_all(arg);
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
	static const struct place priv[] = {
		{ NULL, "priv512", &exporter_mock_scattered },
		{ "ext4", "priv512p1", &exporter_mock_scattered },
		{ "xfs", "priv512p1", &exporter_mock_scattered },
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
		add_place(threads_within_an_LBA_lose_nothing,
			  "threads_within_an_LBA_lose_nothing", shared[i]);
		add_place(processes_within_an_LBA_lose_nothing,
			  "processes_within_an_LBA_lose_nothing", shared[i]);
		add_place(odd_bytes_without_SGLs_are_EDOM, "odd_bytes_without_SGLs_are_EDOM",
			  shared[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(priv); i++)
		add_place(edge_that_cannot_be_read_fails_the_write,
			  "edge_that_cannot_be_read_fails_the_write", priv[i]);
}

const struct program program = { "file_bytes", add };
