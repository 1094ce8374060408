// SPDX-License-Identifier: GPL-2.0
/*
 * owners.c - a bound file that is read and written all the time; see owners.h.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "owners.h"

/* For the file, a second one, the neighbours, and what the file system needs for itself. */
#define FREE_BYTES	(7 * OWNER_MOST_BYTES)
#define IO_BYTES	(16 * KiB)
#define WORKERS		4
#define MOST_DEPTH	32

struct owner owner = { .own = -1 };

static struct buf buf;
static bool stop;
static u32 phase;

/* ---- whose a word is --------------------------------------------------------------------- */

void check_words(const char *what, const u64 *words, u64 len, u64 at)
{
	for (u64 i = 0; i < len / 8; i++) {
		u64 w = words[i];

		/* Zeros are what it has where nothing was written. */
		CHECK(w == FIRST || w == WRITTEN || w == CHANGED || !w,
		      "%s: %016llx at %llu, which is %s", what, (unsigned long long)w,
		      (unsigned long long)(at + i * 8),
		      w >> 32 == NEIGHBOURS >> 32 ? "a neighbour's" : w == DONORS ? "the donor's" :
		      (u8)w == NOBODYS ? "what the disk held before" : "nobody's");
	}
}

static void fill_words(u64 *mem, u64 len, u64 word)
{
	for (u64 i = 0; i < len / 8; i++)
		mem[i] = word;
}

void put_words(int file, u64 pos, u64 len, u64 word)
{
	u64 *mem = aligned_alloc(4096, len);

	fill_words(mem, len, word);
	file_put(file, pos, mem, len);
	free(mem);
}

/* ---- transfers --------------------------------------------------------------------------- */

struct worker {
	pthread_t thread;
	unsigned int index;
	unsigned int depth;	/* 0: calls */
};

struct flight {
	u64 pos;
	u32 phase;
	bool write;
};

static u64 slot_at(const struct worker *w, unsigned int slot)
{
	return (w->index * MOST_DEPTH + slot) * IO_BYTES;
}

#define SOURCE_AT	(WORKERS * MOST_DEPTH * IO_BYTES)	/* what is written out */
#define BUF_BYTES	(SOURCE_AT + IO_BYTES)

static struct flight draw(const struct worker *w, struct rng *rng)
{
	struct flight f = {
		.pos = rng_below(rng, owner.len / 4096) * 4096,
		.phase = __atomic_load_n(&phase, __ATOMIC_SEQ_CST),
		.write = owner.writable && (w->index == 1 || (w->depth && rng_below(rng, 2))),
	};

	return f;
}

static void judge(const struct worker *w, unsigned int slot, const struct flight *f, s64 n)
{
	u32 now = __atomic_load_n(&phase, __ATOMIC_SEQ_CST);
	u64 mem[IO_BYTES / 8];

	__atomic_fetch_add(&owner.transfers, 1, __ATOMIC_RELAXED);
	if (n == -EBUSY)
		__atomic_fetch_add(&owner.busy, 1, __ATOMIC_RELAXED);
	CHECK(n >= 0 || n == -ENXIO || n == -EBUSY || (n == -ENOSPC && f->write) ||
	      n == -owner.also, "a %s at %llu gave %lld (%s)", f->write ? "write" : "read",
	      (unsigned long long)f->pos, (long long)n, strerror(-n));
	CHECK(n <= (s64)IO_BYTES);
	if (n <= 0) {
		/* Let those work who give the file its bytes again. */
		usleep(200);
		return;
	}
	CHECK(!(now & 1) || now != f->phase, "%lld bytes were %s while the file had none",
	      (long long)n, f->write ? "written" : "read");
	__atomic_fetch_add(&owner.moved, 1, __ATOMIC_RELAXED);
	if (f->write)
		return;
	buf_get(&buf, slot_at(w, slot), mem, n);
	check_words("read", mem, n, f->pos);
}

static void call_on_and_on(const struct worker *w, struct rng *rng)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		struct flight f = draw(w, rng);

		judge(w, 0, &f, f.write ?
		      drw_write(owner.binding, f.pos, SOURCE_AT, IO_BYTES) :
		      drw_read(owner.binding, f.pos, slot_at(w, 0), IO_BYTES));
	}
}

static void ring_on_and_on(const struct worker *w, struct rng *rng)
{
	struct flight flights[MOST_DEPTH];
	struct io_uring ring;
	unsigned int started = 0, flying = 0;

	drw_ring(&ring, w->depth, 0);
	while (flying || !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		struct io_uring_cqe *cqe;
		unsigned int slot = started;

		if (started < w->depth) {
			started++;
		} else if (flying) {
			OK(drw_wait_cqe(&ring, &cqe));
			slot = cqe->user_data;
			judge(w, slot, &flights[slot], cqe->res);
			io_uring_cqe_seen(&ring, cqe);
			flying--;
		}
		if (__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
			continue;
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		struct flight *f = &flights[slot];

		*f = draw(w, rng);
		drw_prep(sqe, owner.binding,
			 f->write ? DMABUF_RW_URING_WRITE : DMABUF_RW_URING_READ, f->pos,
			 f->write ? SOURCE_AT : slot_at(w, slot), IO_BYTES, 0);
		sqe->user_data = slot;
		CHECK_EQ(io_uring_submit(&ring), 1);
		flying++;
	}
	io_uring_queue_exit(&ring);
}

static void *work(void *arg)
{
	const struct worker *w = arg;
	struct rng rng = { harness_seed() * WORKERS + w->index };

	if (w->depth)
		ring_on_and_on(w, &rng);
	else
		call_on_and_on(w, &rng);
	return NULL;
}

static struct worker workers[WORKERS] = {
	{ .index = 0 }, { .index = 1 }, { .index = 2, .depth = 1 },
	{ .index = 3, .depth = MOST_DEPTH },
};

void owner_start(void)
{
	u64 before = __atomic_load_n(&owner.transfers, __ATOMIC_RELAXED);

	stop = false;
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	/* All of them are under way. */
	while (__atomic_load_n(&owner.transfers, __ATOMIC_RELAXED) < before + 2 * MOST_DEPTH)
		usleep(500);
}

void owner_stop(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
}

void owner_next_phase(void)
{
	__atomic_fetch_add(&phase, 1, __ATOMIC_SEQ_CST);
}

/* ---- neighbours -------------------------------------------------------------------------- */

#define KEPT	4	/* neighbours that are there at a time */

static u32 neighbours;
static struct file_extent old[64];
static unsigned int nr_old;

/* Where the file is now, before it gives that back. */
void note_blocks(void)
{
	int file = fs_open(&owner.fs, "s", O_RDONLY);

	nr_old = 0;
	for (u64 pos = 0; nr_old < ARRAY_SIZE(old); nr_old++) {
		if (!file_extent(file, pos, &old[nr_old]))
			break;
		pos = old[nr_old].pos + old[nr_old].len;
	}
	close(file);
}

static bool has_old_blocks(int file)
{
	struct file_extent e;

	for (u64 pos = 0; file_extent(file, pos, &e); pos = e.pos + e.len)
		for (unsigned int i = 0; i < nr_old; i++)
			if (e.at < old[i].at + old[i].len && old[i].at < e.at + e.len)
				return true;
	return false;
}

static const char *neighbour_name(u32 id)
{
	static char name[16];

	snprintf(name, sizeof(name), "n%u", id % KEPT);
	return name;
}

/* What is on the disk of one, past the page cache. */
void check_words_of(const char *name, u64 word)
{
	static u64 *got;
	int file = open(fs_path(&owner.fs, name), O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (file < 0)
		return;
	got = got ?: data_alloc(OWNER_MOST_BYTES);
	file_get(file, 0, got, OWNER_MOST_BYTES);
	for (u64 i = 0; i < OWNER_MOST_BYTES / 8; i++)
		CHECK(got[i] == word, "%s has %016llx at %llu, and was written with %016llx",
		      name, (unsigned long long)got[i], (unsigned long long)i * 8,
		      (unsigned long long)word);
	close(file);
}

void check_neighbours(void)
{
	for (u32 id = neighbours - MIN(neighbours, KEPT); id < neighbours; id++)
		check_words_of(neighbour_name(id), NEIGHBOURS | id);
}

static void sync_fs(void)
{
	int dir = SYS(open(owner.fs.dir, O_RDONLY | O_DIRECTORY));

	/* What was freed can be had again when the journal has committed. */
	SYS(syncfs(dir));
	close(dir);
}

/* Somebody who takes what was freed just now. */
void new_neighbour(void)
{
	static u64 *mem;
	u32 id = neighbours++;
	int file, tries = 0;

	mem = mem ?: data_alloc(OWNER_MOST_BYTES);
	if (id >= KEPT) {
		check_words_of(neighbour_name(id), NEIGHBOURS | (id - KEPT));
		SYS(unlink(fs_path(&owner.fs, neighbour_name(id))));
	}
	sync_fs();
	fill_words(mem, OWNER_MOST_BYTES, NEIGHBOURS | id);
	file = fs_open(&owner.fs, neighbour_name(id), O_RDWR | O_CREAT | (id & 1 ? O_DIRECT : 0));
	while (pwrite(file, mem, OWNER_MOST_BYTES, 0) != (ssize_t)OWNER_MOST_BYTES) {
		CHECK(tries++ < 20, "no room for a neighbour");
		sync_fs();
	}
	SYS(fsync(file));
	owner.reused += has_old_blocks(file);
	close(file);
	check_words_of(neighbour_name(id), NEIGHBOURS | id);
}

/* Takes all space but a little. */
static void take_space(void)
{
	u8 *mem = data_alloc(MiB);
	struct statvfs st;
	u64 bytes;
	int file;

	fs_fill_free_space(&owner.fs, NOBODYS);
	file = fs_open(&owner.fs, "ballast", O_RDWR | O_CREAT);
	SYS(statvfs(owner.fs.dir, &st));
	CHECK(st.f_bavail * owner.fs.block > 2 * FREE_BYTES);
	bytes = ROUND_DOWN(st.f_bavail * owner.fs.block - FREE_BYTES, MiB);
	if (fallocate(file, 0, 0, bytes)) {
		/* Without extents it has to be written. */
		CHECK(errno == EOPNOTSUPP, "%s", strerror(errno));
		for (u64 at = 0; at < bytes; at += MiB)
			file_put(file, at, mem, MiB);
		SYS(fsync(file));
	}
	close(file);
	sync_fs();
}

/* ---- the bound file -------------------------------------------------------------------- */

void owner_prepare(void)
{
	u64 *source = data_alloc(IO_BYTES);

	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	fill_words(source, IO_BYTES, owner.word);
	buf_put(&buf, SOURCE_AT, source, IO_BYTES);
	take_space();
}

int make_other(const char *name, u64 word)
{
	int file = fs_open(&owner.fs, name, O_RDWR | O_CREAT | O_TRUNC);

	put_words(file, 0, owner.len, word);
	SYS(fsync(file));
	return file;
}

void owner_bind(bool write)
{
	close(make_other("s", FIRST));
	owner.writable = write;
	owner.fd = fs_open(&owner.fs, "s", write ? O_RDWR : O_RDONLY);
	owner.own = write ? fs_open(&owner.fs, "s", O_RDWR) : -1;
	owner.binding = OK(drw_bind(buf.fd, owner.fd));
}

void owner_unbind(void)
{
	if (owner.own >= 0)
		close(owner.own);
	close(owner.binding);
	close(owner.fd);
	SYS(unlink(fs_path(&owner.fs, "s")));
	check_neighbours();
}

int owner_open(void)
{
	return owner.own >= 0 ? owner.own : fs_open(&owner.fs, "s", O_RDWR);
}

void owner_close(int file)
{
	if (file != owner.own)
		close(file);
}

void check_owners_words(void)
{
	static u64 *whole;
	int file = fs_open(&owner.fs, "s", O_RDONLY);
	u64 len = MIN(file_bytes(file), owner.len);

	whole = whole ?: data_alloc(OWNER_MOST_BYTES);
	file_get(file, 0, whole, len);
	check_words("the file", whole, len, 0);
	close(file);
}
