// SPDX-License-Identifier: GPL-2.0
/*
 * file_model.c - random operations on files of a file system against a model in memory.
 *
 * Each step does one thing to one of several files: binds it to one of several buffers,
 * unbinds it, transfers in batches as model.c does, reads it or changes it in every ordinary
 * way, bound or not. The model (file_state.h) knows each byte, and of each block whether it
 * has been written, as far as that can be known. In the end, after a mount anew and a check of
 * the file system, all bytes must be there.
 *
 * All choices come from the seed: --seed N with the same test gives the same steps, as far
 * as the file system answers alike. A failure prints the last ones.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "history.h"
#include "file_state.h"
#include "require.h"

/* Since 6.17. */
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

#define MOUNT		"/tmp/file_model"
#define FILES		4
#define BUF_BYTES	(640 * KiB)
#define MAX_BUFS	5
#define MAX_BINDINGS	10
#define MAX_BATCH	6
#define MAX_PIECES	7
#define OPERATIONS	5000		/* of each test: 20,000 in all */
#define COMPARE_EVERY	700		/* operations */

struct setup {
	const char *fs, *role, *mkfs, *options;
	u32 number;
};

struct file {
	struct file_state state;
	char path[64];
	int fd, direct;
	u8 *map;			/* FILE_MAX_BYTES, shared, for reading */
	u32 bindings;
};

struct side {
	struct buf buf;
	bool can_move;
	u8 *model;
};

struct binding {
	int fd;
	struct file *file;
	struct side *side;
	u32 read_align, write_align, buf_align;
};

struct transfer {
	const struct binding *b;
	enum dmabuf_rw_op op;
	u64 pos, len;
	u32 nr_pieces;			/* 0: one range, pieces[0] */
	struct dmabuf_rw_piece pieces[MAX_PIECES];
	u64 flags;
	enum { BY_IOCTL, BY_RING, BY_WORKER } how;
	s64 result;
};

static const struct setup *setup;
static bool is_xfs;
static struct disk disk;
static struct file files[FILES];
static struct side sides[MAX_BUFS];
static u32 nr_sides;
static struct binding bindings[MAX_BINDINGS];
static u32 nr_bindings;
static struct io_uring ring;
static struct rng rng;
static u8 *scratch;
static u64 next_tag;

static struct {
	u64 operations, transfers, unwritten, binds, changes, remounts;
} counts;

static void tell_history(void)
{
	history_tell(counts.operations, "operations");
}

static u32 number(const struct file *f)
{
	return f - files;
}

/* --- reading ------------------------------------------------------------------------- */

enum way { BUFFERED, DIRECT, MAPPED, WAYS };

static const char *const way_names[] = { "cached read", "O_DIRECT read", "mmap read" };

/* Read a range by one of the ordinary ways, and compare it with the model. */
static void check_file(struct file *f, enum way way, u64 pos, u64 len)
{
	u64 size = f->state.size, at = pos;

	len = MIN(len, FILE_MAX_BYTES - pos);
	if (way == MAPPED) {
		len = pos < size ? MIN(len, size - pos) : 0;
		data_check(way_names[way], f->map + pos, f->state.data + pos, len, pos);
		return;
	}
	if (way == DIRECT) {
		at = ROUND_DOWN(pos, disk.lba);
		/*
		 * Not far behind the end: where XFS has reserved blocks there, direct reads
		 * collide with them (EIO).
		 */
		len = ROUND_UP(MIN(pos + len, size), disk.lba);
		len = len > at ? len - at : 0;
	}
	CHECK_EQ(pread(way == DIRECT ? f->direct : f->fd, scratch, len, at),
		 at < size ? MIN(len, size - at) : 0, "file %u at %#llx: %m", number(f),
		 (unsigned long long)at);
	if (at < size)
		data_check(way_names[way], scratch, f->state.data + at, MIN(len, size - at),
			   at);
}

static void compare_all(void)
{
	remember("compare all");
	for (u32 i = 0; i < FILES; i++) {
		struct stat st;

		SYS(fstat(files[i].fd, &st));
		CHECK_EQ(st.st_size, files[i].state.size, "file %u", i);
		for (enum way way = 0; way < WAYS; way++)
			check_file(&files[i], way, 0, FILE_MAX_BYTES);
	}
	for (u32 i = 0; i < nr_sides; i++) {
		buf_get(&sides[i].buf, 0, scratch, BUF_BYTES);
		data_check(sides[i].buf.exporter->name, scratch, sides[i].model, BUF_BYTES, 0);
	}
}

static void read_step(struct file *f)
{
	enum way way = rng_below(&rng, WAYS);
	u64 pos = rng_below(&rng, f->state.size + 1), len = 1 + rng_below(&rng, 64 * KiB);

	remember("%s file %u pos %#llx len %#llx", way_names[way], number(f),
		 (unsigned long long)pos, (unsigned long long)len);
	check_file(f, way, pos, len);
}

/* --- the file system ----------------------------------------------------------------- */

static void open_files(void)
{
	for (u32 i = 0; i < FILES; i++) {
		struct file *f = &files[i];

		f->fd = SYS(open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
		f->direct = SYS(open(f->path, O_RDWR | O_DIRECT | O_CLOEXEC));
		/* Longer than the file: what is behind its end is not touched. */
		f->map = mmap(NULL, FILE_MAX_BYTES, PROT_READ, MAP_SHARED, f->fd, 0);
		CHECK(f->map != MAP_FAILED, "%s", strerror(errno));
	}
}

static void close_files(void)
{
	for (u32 i = 0; i < FILES; i++) {
		SYS(munmap(files[i].map, FILE_MAX_BYTES));
		close(files[i].fd);
		close(files[i].direct);
	}
}

static void mount_fs(void)
{
	SYS(mount(disk.path, MOUNT, setup->fs, 0, setup->options));
}

/* A ring may hold a binding for a moment after it has told of a transfer's end. */
static void unmount_fs(void)
{
	u64 start = now_us();

	while (umount(MOUNT)) {
		CHECK(errno == EBUSY, "%s", strerror(errno));
		CHECK(now_us() - start < 5000000ULL * harness_slow(), "it stays busy");
		usleep(500);
	}
}

static void check_fs(void)
{
	if (is_xfs)
		CHECK_EQ(sh("xfs_repair -n %s", disk.path), 0);
	else
		CHECK_EQ(sh("e2fsck -fn %s", disk.path), 0);
}

static void remount_step(void)
{
	remember("umount and mount");
	close_files();
	unmount_fs();
	mount_fs();
	open_files();
	counts.remounts++;
}

/* Small blocks of all files in turns, so that each file has many extents. */
static void scatter(void)
{
	for (u32 i = 0; i < FILES; i++)
		for (u64 at = 0; at < FILE_MAX_BYTES / 2;) {
			struct file *f = &files[(i + at / FS_BLOCK) % FILES];
			u64 len = FS_BLOCK * (1 + rng_below(&rng, 24));

			len = MIN(len, FILE_MAX_BYTES - at);
			SYS(fallocate(f->fd, 0, at, len));
			file_state_fallocate(&f->state, 0, at, len);
			at += len;
		}
}

static void make_fs(void)
{
	disk_open(&disk, setup->role);
	is_xfs = !strcmp(setup->fs, "xfs");
	require_filesystem(setup->fs);
	/* The variables let mkfs.xfs make file systems below 300 MB. */
	CHECK_EQ(sh("TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x mkfs.%s %s -q %s", setup->fs,
		    setup->mkfs, disk.path), 0);
	SYS(mkdir(MOUNT, 0700) && errno != EEXIST ? -1 : 0);
	mount_fs();
	for (u32 i = 0; i < FILES; i++) {
		snprintf(files[i].path, sizeof(files[i].path), MOUNT "/file%u", i);
		file_state_init(&files[i].state, !is_xfs);
	}
	open_files();
	scatter();
}

/* --- ordinary changes ---------------------------------------------------------------- */

static u64 draw_len(void)
{
	static const u64 most[] = { 300, 3000, 9000, 9000, 20000, 20000, 70000, 300000 };

	return 1 + rng_below(&rng, most[rng_below(&rng, ARRAY_SIZE(most))]);
}

/* A range that begins in the file or a bit behind it, in steps of @align. */
static void draw_change(const struct file *f, u64 align, u64 *pos, u64 *len)
{
	u64 furthest = MIN(f->state.size + 20000, FILE_MAX_BYTES - align);

	*pos = ROUND_DOWN(rng_below(&rng, furthest + 1), align);
	*len = ROUND_UP(draw_len(), align);
	*len = MIN(*len, FILE_MAX_BYTES - *pos);
}

static void write_step(struct file *f, bool direct)
{
	u64 pos, len;

	draw_change(f, direct ? disk.lba : 1, &pos, &len);
	remember("%s write file %u pos %#llx len %#llx", direct ? "O_DIRECT" : "buffered",
		 number(f), (unsigned long long)pos, (unsigned long long)len);
	data_fill(scratch, len, next_tag++, pos);
	CHECK_EQ(pwrite(direct ? f->direct : f->fd, scratch, len, pos), len);
	file_state_write(&f->state, pos, scratch, len);
}

static void store_step(struct file *f)
{
	u64 pos, len = draw_len();
	u8 *map;

	if (!f->state.size)
		return;
	pos = rng_below(&rng, f->state.size);
	len = MIN(len, f->state.size - pos);
	remember("mmap store file %u pos %#llx len %#llx", number(f),
		 (unsigned long long)pos, (unsigned long long)len);
	map = mmap(NULL, FILE_MAX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	CHECK(map != MAP_FAILED, "%s", strerror(errno));
	data_fill(scratch, len, next_tag++, pos);
	memcpy(map + pos, scratch, len);
	if (rng_below(&rng, 4) == 0)
		SYS(msync(map, f->state.size, MS_SYNC));
	SYS(munmap(map, FILE_MAX_BYTES));
	file_state_store(&f->state, pos, scratch, len);
}

static void truncate_step(struct file *f)
{
	u64 size = rng_below(&rng, 3) ? f->state.size + rng_below(&rng, 40000) :
		   f->state.size - MIN(f->state.size, rng_below(&rng, 60000));

	size = MIN(size, FILE_MAX_BYTES);
	if (rng_below(&rng, 3) == 0)
		size = ROUND_DOWN(size, FS_BLOCK);
	remember("truncate file %u from %#llx to %#llx", number(f),
		 (unsigned long long)f->state.size, (unsigned long long)size);
	SYS(ftruncate(f->fd, size));
	file_state_truncate(&f->state, size);
}

static void fallocate_step(struct file *f)
{
	static const int modes[] = {
		0, 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE,
		FALLOC_FL_WRITE_ZEROES,
	};
	int mode = modes[rng_below(&rng, ARRAY_SIZE(modes))];
	bool whole = mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE |
			     FALLOC_FL_WRITE_ZEROES) || rng_below(&rng, 3) == 0;
	u64 pos, len;

	draw_change(f, whole ? FS_BLOCK : 1, &pos, &len);
	/* These two have to stay inside the file. */
	if ((mode & FALLOC_FL_COLLAPSE_RANGE && pos + len >= f->state.size) ||
	    (mode & FALLOC_FL_INSERT_RANGE &&
	     (pos >= f->state.size || f->state.size + len > FILE_MAX_BYTES)))
		return;
	/* ext4 in 7.3 leaves what is in the last block if these make the file longer. */
	if (mode & (FALLOC_FL_WRITE_ZEROES | FALLOC_FL_ZERO_RANGE) && f->state.size % FS_BLOCK &&
	    pos + len > f->state.size)
		return;
	remember("fallocate file %u (%#llx) mode %#x pos %#llx len %#llx", number(f),
		 (unsigned long long)f->state.size, mode, (unsigned long long)pos,
		 (unsigned long long)len);
	if (fallocate(f->fd, mode, pos, len)) {
		CHECK(errno == EOPNOTSUPP && mode & (FALLOC_FL_UNSHARE_RANGE |
						     FALLOC_FL_WRITE_ZEROES),
		      "fallocate mode %#x: %s", mode, strerror(errno));
		remember("... which this file system does not have");
		return;
	}
	file_state_fallocate(&f->state, mode, pos, len);
}

static void change_step(struct file *f)
{
	counts.changes++;
	switch (rng_below(&rng, 8)) {
	case 0 ... 1:
		return write_step(f, false);
	case 2:
		return write_step(f, true);
	case 3:
		return store_step(f);
	case 4:
		return truncate_step(f);
	default:
		return fallocate_step(f);
	}
}

static void cache_step(struct file *f)
{
	u32 what = rng_below(&rng, 8);

	remember("cache %u file %u", what, number(f));
	if (what < 3)
		SYS(fsync(f->fd));
	else if (what < 6)
		SYS(posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0);
	else if (what < 7)
		SYS(syncfs(f->fd));
	else
		OK(spit("1", "/proc/sys/vm/drop_caches"));
}

/* --- binding ------------------------------------------------------------------------- */

/* Give all of the file blocks, and now and then write them all. */
static void fill(struct file *f)
{
	if (!f->state.size)
		return;
	SYS(fallocate(f->fd, 0, 0, f->state.size));
	file_state_fallocate(&f->state, 0, 0, f->state.size);
	if (rng_below(&rng, 3) == 0)
		return;
	remember("write all that is unwritten of file %u", number(f));
	for (u64 b = 0; b * FS_BLOCK < f->state.size; b++) {
		u64 len = MIN(FS_BLOCK, f->state.size - b * FS_BLOCK);

		if (f->state.block[b] == BLOCK_WRITTEN)
			continue;
		data_fill(scratch, len, next_tag++, b);
		CHECK_EQ(pwrite(f->fd, scratch, len, b * FS_BLOCK), len);
		file_state_write(&f->state, b * FS_BLOCK, scratch, len);
	}
}

static void bind_step(struct file *f)
{
	struct side *s = &sides[rng_below(&rng, nr_sides)];
	struct binding *b = &bindings[nr_bindings];
	struct dmabuf_rw_bind bind;
	struct dmabuf_rw_info info;

	if (nr_bindings == MAX_BINDINGS)
		return;
	if (!f->bindings && rng_below(&rng, 5))
		fill(f);
	b->fd = drw_bind_why(s->buf.fd, rng_below(&rng, 2) ? f->fd : f->direct, 0, &bind);
	remember("bind file %u (%#llx) to side %ld (%s): %d", number(f),
		 (unsigned long long)f->state.size, (long)(s - sides), s->buf.exporter->name,
		 b->fd);
	CHECK(b->fd >= 0, "bind: %s, reason %u", strerror(-b->fd), bind.reason);
	OK(drw_info(b->fd, &info));
	CHECK_EQ(info.file_bytes, f->state.size);
	CHECK(info.flags & DMABUF_RW_INFO_REGULAR);
	b->file = f;
	b->side = s;
	b->read_align = info.read_align;
	b->write_align = info.write_align;
	b->buf_align = info.buf_align;
	nr_bindings++;
	f->bindings++;
	counts.binds++;
}

static void unbind(u32 i)
{
	struct file *f = bindings[i].file;

	remember("unbind file %u from side %ld", number(f), (long)(bindings[i].side - sides));
	close(bindings[i].fd);
	bindings[i] = bindings[--nr_bindings];
	f->bindings--;
}

/* One binding, or all of a file. */
static void unbind_step(void)
{
	u32 i = rng_below(&rng, nr_bindings);
	const struct file *f = bindings[i].file;

	if (rng_below(&rng, 3) == 0)
		return unbind(i);
	for (i = nr_bindings; i--;)
		if (bindings[i].file == f)
			unbind(i);
}

/* --- transfers ----------------------------------------------------------------------- */

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
	bool writes = a->op == DMABUF_RW_OP_WRITE || b->op == DMABUF_RW_OP_WRITE;
	bool reads = a->op == DMABUF_RW_OP_READ || b->op == DMABUF_RW_OP_READ;

	if (a->b->file == b->b->file && writes && overlap(a->pos, a->len, b->pos, b->len))
		return false;
	if (a->b->side != b->b->side || !reads)
		return true;
	for (u32 i = 0; i < count(a); i++)
		for (u32 j = 0; j < count(b); j++)
			if (overlap(a->pieces[i].buf_off, a->pieces[i].len,
				    b->pieces[j].buf_off, b->pieces[j].len))
				return false;
	return true;
}

/* Where it may begin and end in the file, but for the file's end. */
static u32 file_align(const struct transfer *t)
{
	return t->op == DMABUF_RW_OP_READ ? t->b->read_align : t->b->write_align;
}

/* Divide the length over disjoint pieces, each in a slot of its own, from the last on. */
static void draw_pieces(struct transfer *t)
{
	u32 nr = 1 + rng_below(&rng, MAX_PIECES), align = t->b->buf_align;
	u64 slot = ROUND_DOWN(BUF_BYTES / nr, 4096), left = t->len;

	for (u32 i = 0; i < nr; i++) {
		u64 share = i == nr - 1 ? left : rng_below(&rng, left + 1);
		u64 off;

		share = ROUND_DOWN(MIN(share, slot), MAX(align, file_align(t)));
		off = (nr - 1 - i) * slot;
		off += rng_step(&rng, 0, ROUND_DOWN(slot - share, align), align);
		t->pieces[i] = (struct dmabuf_rw_piece){ off, share };
		left -= share;
	}
	t->len -= left;
	t->nr_pieces = nr;
}

static void draw_transfer(struct transfer *t)
{
	u64 size, align;

	t->b = &bindings[rng_below(&rng, nr_bindings)];
	t->op = rng_below(&rng, 2);
	t->how = rng_below(&rng, 3);
	t->flags = t->op == DMABUF_RW_OP_WRITE && !rng_below(&rng, 8) ? DMABUF_RW_IO_FUA : 0;
	/* A third as aligned as most programs have it. */
	align = rng_below(&rng, 3) ? file_align(t) : FS_BLOCK;
	t->len = ROUND_UP(draw_len(), align);
	if (rng_below(&rng, 4) == 0) {
		draw_pieces(t);
	} else {
		u64 buf_align = MAX(t->b->buf_align, MIN(align, 4096));

		t->nr_pieces = 0;
		t->pieces[0].len = t->len;
		t->pieces[0].buf_off = rng_step(&rng, 0, ROUND_DOWN(BUF_BYTES - t->len,
								    buf_align), buf_align);
	}
	/* Now and then over the end, or behind it. */
	size = t->b->file->state.size;
	if (rng_below(&rng, 10) && size > t->len)
		t->pos = ROUND_DOWN(rng_below(&rng, size - t->len + 1), align);
	else
		t->pos = ROUND_DOWN(rng_below(&rng, size + FS_BLOCK), align);
}

/* Apply to the model what has been moved. */
static void apply(const struct transfer *t)
{
	struct file_state *f = &t->b->file->state;
	u64 pos = t->pos, left = MAX(t->result, 0);

	for (u32 i = 0; i < count(t) && left; i++) {
		const struct dmabuf_rw_piece *p = &t->pieces[i];
		u64 n = MIN(p->len, left);

		if (t->op == DMABUF_RW_OP_READ)
			memcpy(t->b->side->model + p->buf_off, f->data + pos, n);
		else
			memcpy(f->data + pos, t->b->side->model + p->buf_off, n);
		pos += n;
		left -= n;
	}
}

/* Compare what the transfer has changed, and what it was not to change. */
static void check(const struct transfer *t)
{
	const struct side *s = t->b->side;

	if (t->op == DMABUF_RW_OP_WRITE) {
		if (t->result > 0)
			check_file(t->b->file, rng_below(&rng, WAYS), t->pos, t->len);
		return;
	}
	for (u32 i = 0; i < count(t); i++) {
		const struct dmabuf_rw_piece *p = &t->pieces[i];
		u64 from = p->buf_off - MIN(p->buf_off, 64);
		u64 to = MIN(p->buf_off + p->len + 64, BUF_BYTES);

		buf_get(&s->buf, from, scratch, to - from);
		data_check(s->buf.exporter->name, scratch, s->model + from, to - from, from);
	}
}

static void prepare(struct transfer *t, u32 index)
{
	static const u32 ops[2][2] = {
		{ DMABUF_RW_URING_READ, DMABUF_RW_URING_READV },
		{ DMABUF_RW_URING_WRITE, DMABUF_RW_URING_WRITEV },
	};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	u32 op = ops[t->op][t->nr_pieces != 0];

	if (t->nr_pieces)
		drw_prepv(sqe, t->b->fd, op, t->pos, t->pieces, t->nr_pieces, t->flags);
	else
		drw_prep(sqe, t->b->fd, op, t->pos, t->pieces[0].buf_off, t->len, t->flags);
	if (t->how == BY_WORKER)
		sqe->flags |= IOSQE_ASYNC;
	sqe->user_data = index;
}

static s64 run_sync(const struct transfer *t)
{
	if (t->nr_pieces)
		return drw_iov(t->b->fd, t->op, t->pos, t->pieces, t->nr_pieces, t->flags);
	return drw_io(t->b->fd, t->op, t->pos, t->pieces[0].buf_off, t->len, t->flags);
}

static u32 draw_batch(struct transfer *batch)
{
	u32 want = 1 + rng_below(&rng, MAX_BATCH), nr = 0;

	for (u32 tries = 0; tries < want * 2 && nr < want; tries++) {
		struct transfer *t = &batch[nr];
		bool ok = true;

		draw_transfer(t);
		for (u32 i = 0; i < nr; i++)
			ok &= independent(t, &batch[i]);
		nr += ok;
	}
	return nr;
}

static void transfer_step(void)
{
	static const char *const ways[] = { "ioctl", "ring", "worker" };
	static struct transfer batch[MAX_BATCH];
	u32 nr = draw_batch(batch), queued = 0;

	for (u32 i = 0; i < nr; i++) {
		const struct transfer *t = &batch[i];

		remember("%s %s%s file %u pos %#llx len %#llx side %ld at %#llx, %u pieces%s",
			 ways[t->how], t->op ? "write" : "read", i ? " +" : "",
			 number(t->b->file), (unsigned long long)t->pos,
			 (unsigned long long)t->len, (long)(t->b->side - sides),
			 (unsigned long long)t->pieces[0].buf_off, t->nr_pieces,
			 t->flags ? " FUA" : "");
		if (t->how == BY_IOCTL)
			continue;
		prepare(&batch[i], i);
		queued++;
	}
	if (queued)
		CHECK_EQ(io_uring_submit(&ring), queued);
	for (u32 i = 0; i < nr; i++)
		if (batch[i].how == BY_IOCTL)
			batch[i].result = run_sync(&batch[i]);
	while (queued--) {
		struct io_uring_cqe *cqe;

		OK(drw_wait_cqe(&ring, &cqe));
		batch[cqe->user_data].result = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
	for (u32 i = 0; i < nr; i++) {
		struct transfer *t = &batch[i];

		file_state_judge(&t->b->file->state, t->op, t->pos, t->len, t->result);
		apply(t);
		counts.unwritten += t->result == -ENXIO;
	}
	/* All are compared in time; looking at one in three now finds faults early. */
	for (u32 i = rng_below(&rng, 3); i < nr; i += 3)
		check(&batch[i]);
	counts.transfers += nr;
	counts.operations += nr;
}

/* The CPU stores into a buffer, or its exporter moves it. */
static void buffer_step(void)
{
	struct side *s = &sides[rng_below(&rng, nr_sides)];
	u64 len, off;

	if (s->can_move && rng_below(&rng, 2)) {
		u32 flags = MOCK_INV_FORCE | (rng_below(&rng, 3) ? MOCK_INV_MOVE : 0);
		struct mock_invalidate inv = { };

		remember("invalidate side %ld flags %#x", (long)(s - sides), flags);
		OK(mock_invalidate(&s->buf, flags, &inv));
		return;
	}
	len = 1 + rng_below(&rng, 20000);
	off = rng_below(&rng, BUF_BYTES - len);
	remember("CPU stores side %ld at %#llx len %#llx", (long)(s - sides),
		 (unsigned long long)off, (unsigned long long)len);
	data_fill(s->model + off, len, next_tag++, off);
	buf_put(&s->buf, off, s->model + off, len);
}

static void add_side(bool can_move)
{
	struct side *s = &sides[nr_sides++];

	s->can_move = can_move;
	s->model = data_alloc(BUF_BYTES);
	data_fill(s->model, BUF_BYTES, next_tag++, 0);
	buf_put(&s->buf, 0, s->model, BUF_BYTES);
}

static void open_sides(void)
{
	/* One that moves, with chunks that are no pages; and what the kernel has. */
	static const struct exporter moving = { .name = "moving", .mock = true };
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .gap = 256,
				    .nr_pattern = 4, .align = 4,
				    .pattern = { 4096, 12288, 1536, 65536 } };
	const struct exporter *const fixed[] = {
		&exporter_udmabuf, &exporter_heap, &exporter_mock_scattered,
		&exporter_mock_bar,
	};

	buf_create_mock(&sides[0].buf, &args);
	sides[0].buf.exporter = &moving;
	add_side(true);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		buf_create(&sides[nr_sides].buf, fixed[i], BUF_BYTES);
		add_side(false);
	}
}

static void step(void)
{
	struct file *f = &files[rng_below(&rng, FILES)];
	u32 what = rng_below(&rng, 64);

	if (what < 4)
		read_step(f);
	else if (what < 6)
		cache_step(f);
	else if (what < 8)
		buffer_step();
	else if (what < 15)
		bind_step(f);
	else if (what < 21 && nr_bindings)
		unbind_step();
	else if (what < 38)
		change_step(f);
	else if (nr_bindings)
		return transfer_step();
	else if (what > 60)
		remount_step();
	else
		bind_step(f);
	counts.operations++;
}

static void random_operations_agree_with_the_model(const void *arg)
{
	u64 compared = 0;

	setup = arg;
	/* Not the same steps in all. */
	rng.s = harness_seed() * 8 + setup->number;
	next_tag = harness_seed() << 20;
	on_fail(tell_history);
	scratch = data_alloc(FILE_MAX_BYTES + 4096);
	make_fs();
	drw_ring(&ring, 32, 0);
	open_sides();

	while (counts.operations < OPERATIONS) {
		step();
		if (counts.operations - compared > COMPARE_EVERY) {
			compare_all();
			compared = counts.operations;
		}
	}
	while (nr_bindings)
		unbind(nr_bindings - 1);
	compare_all();
	close_files();
	unmount_fs();
	check_fs();
	mount_fs();
	open_files();
	compare_all();
	close_files();
	SYS(umount(MOUNT));
	for (u32 i = 0; i < nr_sides; i++)
		if (sides[i].buf.exporter->mock)
			mock_check_clean(&sides[i].buf);
	note("%llu operations: %llu transfers (%llu of unwritten blocks), %llu bindings, "
	     "%llu changes, %llu mounts",
	     (unsigned long long)counts.operations, (unsigned long long)counts.transfers,
	     (unsigned long long)counts.unwritten, (unsigned long long)counts.binds,
	     (unsigned long long)counts.changes, (unsigned long long)counts.remounts);
}

/* What a failed test leaves is in the way of other programs. */
static void leave(void)
{
	umount2(MOUNT, MNT_DETACH);
}

static void add(void)
{
	/* The second partitions begin at an odd LBA, so that blocks are nowhere aligned. */
	static const struct setup setups[] = {
		{ "ext4", "priv512p1", "-F -b 4096", "", 0 },
		{ "ext4", "mp512p2", "-F -b 4096", "discard,nodelalloc", 1 },
		{ "xfs", "priv4kp1", "-f", "", 2 },
		{ "xfs", "mp512p2", "-f", "discard", 3 },
	};

	atexit(leave);
	test_limit(120);
	for (size_t i = 0; i < ARRAY_SIZE(setups); i++)
		test_add(random_operations_agree_with_the_model, &setups[i],
			 "random_operations_agree_with_the_model.%s.%s", setups[i].fs,
			 setups[i].role);
}

const struct program program = { "file_model", add };
