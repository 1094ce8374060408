// SPDX-License-Identifier: GPL-2.0
/*
 * file_shared.c - a file that is bound is everybody's as ever: what others do to it succeeds,
 * at once or after the transfers in flight, and transfers see it.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "moves.h"

#define ROLE		"priv4kp1"
#define FILE_BYTES	(256 * KiB)
#define MOST_BYTES	(2 * FILE_BYTES)
#define BUF_BYTES	(2 * MiB)
#define TAG		1
#define GROWTHS		60
#define LOAD_AT		MiB		/* of the buffer, what the load reads into */

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static int fd, binding;

static void open_all(const char *kind)
{
	/* XFS can only exchange blocks if it was made for that. */
	fs_make(&fs, kind, ROLE, 0, strcmp(kind, "xfs") ? "" : "-i exchange=1", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 8, 0);
}

static void check_transfers(u64 tag)
{
	buf_fill(&buf, 0, FILE_BYTES, 99, 0);
	CHECK_EQ(drw_read(binding, 0, 0, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, 0, FILE_BYTES, tag, 0);
}

/* ---- a load that never lets the drive rest ------------------------------------------- */

#define LOADERS		2
#define LOAD_DEPTH	16
#define LOAD_BYTES	(16 * KiB)

static struct loader {
	pthread_t thread;
	u64 transfers;
	u64 busy_us;		/* of all of them, each from its start to its end */
} loaders[LOADERS];
static bool load_stops;

static void load_result(s64 n)
{
	/* At a hole, and at the end, there is nothing. */
	CHECK(n >= 0 || n == -ENXIO, "a transfer gave %lld (%s)", (long long)n, strerror(-n));
}

static void *load(void *arg)
{
	struct loader *l = arg;
	u64 started[LOAD_DEPTH], base = LOAD_AT + (l - loaders) * LOAD_DEPTH * LOAD_BYTES;
	struct io_uring_cqe *cqe;
	struct io_uring own;
	unsigned int flying = 0;

	drw_ring(&own, LOAD_DEPTH, 0);
	for (u64 i = 0; i < LOAD_DEPTH || flying; ) {
		bool start = !__atomic_load_n(&load_stops, __ATOMIC_ACQUIRE);
		u64 slot = i;

		if (i >= LOAD_DEPTH) {
			OK(drw_wait_cqe(&own, &cqe));
			slot = cqe->user_data;
			load_result(cqe->res);
			io_uring_cqe_seen(&own, cqe);
			l->busy_us += now_us() - started[slot];
			l->transfers++;
			flying--;
		} else {
			i++;
		}
		if (!start)
			continue;
		struct io_uring_sqe *sqe = io_uring_get_sqe(&own);

		drw_prep(sqe, binding, DMABUF_RW_URING_READ,
			 (l->transfers + slot) * LOAD_BYTES % FILE_BYTES,
			 base + slot * LOAD_BYTES, LOAD_BYTES, 0);
		sqe->user_data = slot;
		started[slot] = now_us();
		CHECK_EQ(io_uring_submit(&own), 1);
		flying++;
	}
	io_uring_queue_exit(&own);
	return NULL;
}

static void load_start(void)
{
	load_stops = false;
	for (int i = 0; i < LOADERS; i++) {
		loaders[i] = (struct loader){};
		pthread_create(&loaders[i].thread, NULL, load, &loaders[i]);
	}
	/* It runs. */
	while (!__atomic_load_n(&loaders[LOADERS - 1].transfers, __ATOMIC_RELAXED))
		usleep(1000);
}

/* What a transfer has taken on average, in microseconds. */
static u64 load_stop(void)
{
	u64 us = 0, nr = 0;

	__atomic_store_n(&load_stops, true, __ATOMIC_RELEASE);
	for (int i = 0; i < LOADERS; i++) {
		pthread_join(loaders[i].thread, NULL);
		us += loaders[i].busy_us;
		nr += loaders[i].transfers;
	}
	return MAX(us / nr, 1);
}

/* ---- what others do ------------------------------------------------------------------ */

static const char *path_f, *path_g;
static u8 *want, *got;		/* what the file must hold; scratch */
static u64 want_bytes;

static int result(long long ret)
{
	return ret < 0 ? -errno : 0;
}

static int with(const char *path, int flags, int (*fn)(int other))
{
	int other = open(path, flags | O_CLOEXEC, 0600), ret;

	if (other < 0)
		return -errno;
	ret = fn(other);
	close(other);
	return ret;
}

/* What is at @pos from now on; the file may be longer then. */
static void expect(u64 pos, const void *mem, u64 len)
{
	memcpy(want + pos, mem, len);
	want_bytes = MAX(want_bytes, pos + len);
}

static void expect_zeros(u64 pos, u64 len)
{
	memset(want + pos, 0, len);
}

static int do_write(int f)
{
	expect(4097, "x", 1);
	return result(pwrite(f, "x", 1, 4097));
}

static int try_write(void)
{
	return with(path_f, O_RDWR, do_write);
}

static int do_direct(int f)
{
	u8 *page = data_alloc(8192);

	data_fill(page, 8192, 77, 0);
	expect(4096, page, 8192);
	return result(pwrite(f, page, 8192, 4096));
}

static int try_direct_write(void)
{
	return with(path_f, O_RDWR | O_DIRECT, do_direct);
}

static int do_append(int f)
{
	expect(want_bytes, "appended", 8);
	return result(write(f, "appended", 8));
}

static int try_append(void)
{
	return with(path_f, O_WRONLY | O_APPEND, do_append);
}

static void expect_end(u64 bytes)
{
	if (bytes < want_bytes)
		expect_zeros(bytes, want_bytes - bytes);
	want_bytes = bytes;
}

static int try_truncate(void)
{
	expect_end(5000);
	return result(truncate(path_f, 5000));
}

static int try_grow(void)
{
	expect_end(FILE_BYTES + 12345);
	return result(truncate(path_f, FILE_BYTES + 12345));
}

static int nothing(int f)
{
	return 0;
}

static int try_O_TRUNC(void)
{
	expect_end(0);
	return with(path_f, O_WRONLY | O_TRUNC, nothing);
}

static int try_open_for_writing(void)
{
	return with(path_f, O_RDWR, nothing);
}

#define TRY_FALLOCATE(name, mode, off, len, changes)		\
static int do_##name(int f)					\
{								\
	changes;						\
	return result(fallocate(f, mode, off, len));		\
}								\
								\
static int try_##name(void)					\
{								\
	return with(path_f, O_RDWR, do_##name);			\
}

TRY_FALLOCATE(allocate, 0, 0, 2 * FILE_BYTES, want_bytes = 2 * FILE_BYTES)
TRY_FALLOCATE(keep_size, FALLOC_FL_KEEP_SIZE, FILE_BYTES, 8192, )
TRY_FALLOCATE(punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192,
	      expect_zeros(8192, 8192))
TRY_FALLOCATE(zero, FALLOC_FL_ZERO_RANGE, 8192, 8192, expect_zeros(8192, 8192))
TRY_FALLOCATE(collapse, FALLOC_FL_COLLAPSE_RANGE, 8192, 8192,
	      memmove(want + 8192, want + 16384, FILE_BYTES - 16384);
	      expect_end(FILE_BYTES - 8192))
TRY_FALLOCATE(insert, FALLOC_FL_INSERT_RANGE, 8192, 8192,
	      memmove(want + 16384, want + 8192, FILE_BYTES - 8192);
	      expect_zeros(8192, 8192);
	      want_bytes += 8192)

static int do_copy_to(int f)
{
	loff_t in = 0, out = 4096;
	int g = open(path_g, O_RDONLY | O_CLOEXEC), ret;

	data_fill(want + 4096, 8192, TAG + 1, 0);
	ret = result(copy_file_range(g, &in, f, &out, 8192, 0));
	close(g);
	return ret;
}

static int try_copy_to(void)
{
	return with(path_f, O_RDWR, do_copy_to);
}

static int do_copy_from(int g)
{
	loff_t in = 0, out = 4096;
	int f = open(path_f, O_RDONLY | O_CLOEXEC), ret;

	ret = result(copy_file_range(f, &in, g, &out, 8192, 0));
	close(f);
	return ret;
}

static int try_copy_from(void)
{
	return with(path_g, O_RDWR, do_copy_from);
}

static int try_clone_to(void)
{
	data_fill(want, FILE_BYTES, TAG + 1, 0);
	return move_clone(path_g, path_f);
}

static int try_clone_from(void)
{
	return move_clone(path_f, path_g);
}

static int try_dedupe_to(void)
{
	return move_dedupe(fs_path(&fs, "same"), path_f, 0, FILE_BYTES);
}

static int try_exchange_to(void)
{
	data_fill(want, FILE_BYTES, TAG + 1, 0);
	return move_exchange(&fs, path_g, path_f, FILE_BYTES);
}

static int try_exchange_from(void)
{
	data_fill(want, FILE_BYTES, TAG + 1, 0);
	return move_exchange(&fs, path_f, path_g, FILE_BYTES);
}

/* What the other file has is the file's blocks' data, not its bytes. */
static int try_move_extents(void)
{
	return move_extents(path_g, path_f, FILE_BYTES / fs.block);
}

static int try_unlink(void)
{
	return result(unlink(path_f));
}

static int try_rename(void)
{
	return result(rename(path_f, fs_path(&fs, "h")));
}

static int try_rename_over(void)
{
	return result(rename(path_g, path_f));
}

static int try_chmod(void)
{
	return result(chmod(path_f, 0444));
}

static int try_chown(void)
{
	return result(chown(path_f, 65534, 65534));
}

static int do_map(int f)
{
	u8 *map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);

	if (map == MAP_FAILED)
		return -errno;
	map[12345] = 'm';
	expect(12345, "m", 1);
	munmap(map, FILE_BYTES);
	return 0;
}

static int try_map(void)
{
	return with(path_f, O_RDWR, do_map);
}

static const struct attempt {
	const char *what;
	int (*try)(void);
	const char *only;	/* on this kind of file system */
	bool shares;		/* blocks are shared from then on */
	bool may_lack;		/* a kernel may be without it */
} attempts[] = {
	{ "an open for writing", try_open_for_writing },
	{ "pwrite", try_write },
	{ "O_DIRECT pwrite", try_direct_write },
	{ "append", try_append },
	{ "truncate", try_truncate },
	{ "a truncate that makes it longer", try_grow },
	{ "O_TRUNC", try_O_TRUNC },
	{ "fallocate", try_allocate },
	{ "FALLOC_FL_KEEP_SIZE", try_keep_size },
	{ "FALLOC_FL_PUNCH_HOLE", try_punch },
	{ "FALLOC_FL_ZERO_RANGE", try_zero },
	{ "FALLOC_FL_COLLAPSE_RANGE", try_collapse },
	{ "FALLOC_FL_INSERT_RANGE", try_insert },
	{ "copy_file_range to it", try_copy_to, .shares = true },
	{ "copy_file_range from it", try_copy_from, .shares = true },
	{ "FICLONE to it", try_clone_to, "xfs", .shares = true },
	{ "FICLONE from it", try_clone_from, "xfs", .shares = true },
	{ "FIDEDUPERANGE to it", try_dedupe_to, "xfs", .shares = true },
	{ "an exchange of blocks to it", try_exchange_to, "xfs", .may_lack = true },
	{ "an exchange of blocks from it", try_exchange_from, "xfs", .may_lack = true },
	{ "EXT4_IOC_MOVE_EXT", try_move_extents, "ext4" },
	{ "mmap for shared writing", try_map },
	{ "unlink", try_unlink },
	{ "rename", try_rename },
	{ "rename over it", try_rename_over },
	{ "chmod", try_chmod },
	{ "chown", try_chown },
};

/*
 * Transfers give what the file holds, and where they end there is no block that has been
 * written; or, on XFS, the file shares blocks, or did.
 */
static void check_agreement(const struct attempt *a)
{
	u64 pos = 0;

	CHECK_EQ(file_bytes(fd), want_bytes, "%s", a->what);
	file_get(fd, 0, got, want_bytes);
	data_check(a->what, got, want, want_bytes, 0);
	while (pos < want_bytes) {
		u64 written = file_written(fd, pos, want_bytes - pos);
		s64 n;

		buf_fill(&buf, 0, want_bytes, 99, 0);
		n = drw_read(binding, pos, 0, want_bytes - pos);
		if (n == -ENXIO) {
			CHECK(a->shares || written < fs.block, "%s: ENXIO at %llu of %llu", a->what,
			      (unsigned long long)pos, (unsigned long long)want_bytes);
			pos += fs.block;
			continue;
		}
		CHECK(n > 0 && n <= (s64)(want_bytes - pos), "%s: %lld", a->what, (long long)n);
		buf_get(&buf, 0, got, n);
		data_check(a->what, got, want + pos, n, pos);
		pos += n;
	}
	CHECK_EQ(drw_read(binding, ROUND_UP(want_bytes, 4096), 0, 4096), 0, "%s", a->what);
}

static void others_do(bool loaded)
{
	u64 done = 0;
	int ret;

	want = data_alloc(MOST_BYTES + MiB);
	got = data_alloc(MOST_BYTES + MiB);
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		const struct attempt *a = &attempts[i];

		if (a->only && strcmp(a->only, fs.kind))
			continue;
		path_f = strdup(fs_path(&fs, "f"));
		path_g = strdup(fs_path(&fs, "g"));
		close(file_make(&fs, "g", FILE_BYTES, TAG + 1));
		close(file_make(&fs, "same", FILE_BYTES, TAG));
		fd = file_make(&fs, "f", FILE_BYTES, TAG);
		memset(want, 0, MOST_BYTES + MiB);
		data_fill(want, FILE_BYTES, TAG, 0);
		want_bytes = FILE_BYTES;
		binding = OK(drw_bind(buf.fd, fd));
		/* Nobody has it open for writing, so its blocks are remembered. */
		close(fd);
		fd = fs_open(&fs, "f", O_RDONLY);
		check_transfers(TAG);
		if (loaded)
			load_start();
		ret = a->try();
		if (loaded)
			load_stop();
		if (a->may_lack && (ret == -ENOTTY || ret == -EOPNOTSUPP)) {
			note("this kernel does not know %s", a->what);
		} else {
			CHECK_EQ(ret, 0, "%s", a->what);
			check_agreement(a);
			done++;
		}
		close(binding);
		close(fd);
		unlink(path_f);
		unlink(path_g);
		unlink(fs_path(&fs, "h"));
	}
	note("%llu operations", (unsigned long long)done);
	fs_finish(&fs);
}

static void whatever_others_do_works_and_is_seen(const void *arg)
{
	open_all(arg);
	others_do(false);
}

static void whatever_others_do_works_under_load(const void *arg)
{
	open_all(arg);
	others_do(true);
}

/* ---- how long they wait ---------------------------------------------------------------- */

#define WAITS	100

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void tell_waits(const char *what, u64 *us, u64 transfer_us)
{
	qsort(us, WAITS, sizeof(*us), compare);
	note("%s: half within %llu us, 99 of 100 within %llu us, which are %llu.%llu transfers of "
	     "%llu us",
	     what, (unsigned long long)us[WAITS / 2], (unsigned long long)us[WAITS * 99 / 100],
	     (unsigned long long)(us[WAITS * 99 / 100] / transfer_us),
	     (unsigned long long)(us[WAITS * 99 / 100] * 10 / transfer_us % 10),
	     (unsigned long long)transfer_us);
}

/* Each gets its turn, though there is not a moment without a transfer in flight. */
static void who_opens_or_truncates_gets_a_turn_under_load(const void *arg)
{
	static u64 opens[WAITS], truncates[WAITS];
	u64 start, transfer_us;
	int other;

	open_all(arg);
	close(file_make(&fs, "f", FILE_BYTES + 8192, TAG));
	fd = fs_open(&fs, "f", O_RDONLY);
	binding = OK(drw_bind(buf.fd, fd));
	load_start();
	for (int i = 0; i < WAITS; i++) {
		start = now_us();
		other = fs_open(&fs, "f", O_WRONLY);
		opens[i] = now_us() - start;
		start = now_us();
		SYS(ftruncate(other, FILE_BYTES + (i & 1) * 8192));
		truncates[i] = now_us() - start;
		close(other);
		/* Time enough for blocks to be looked up and remembered again. */
		usleep(5000);
	}
	transfer_us = load_stop();
	tell_waits("open for writing", opens, transfer_us);
	tell_waits("ftruncate", truncates, transfer_us);
	check_transfers(TAG);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* ---- a neighbour in the page cache ----------------------------------------------------- */

#define STORED	(FILE_BYTES / 2)	/* what the neighbour writes, again and again */

static bool neighbour_stops;
static u64 begun, finished;		/* versions: every word of theirs is its number */

static void *write_on_and_on(void *arg)
{
	u64 *mem = data_alloc(STORED);

	for (u64 v = 1; !__atomic_load_n(&neighbour_stops, __ATOMIC_ACQUIRE); v++) {
		for (u64 i = 0; i < STORED / 8; i++)
			mem[i] = v;
		__atomic_store_n(&begun, v, __ATOMIC_SEQ_CST);
		file_put(fd, 0, mem, STORED);
		__atomic_store_n(&finished, v, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Few: on ext4 each looks up every block anew, and waits for its turn at each. */
#define READS	6

/* The same by the file system's own direct I/O, for comparison. */
static u64 time_direct_reads(void)
{
	int direct = fs_open(&fs, "f", O_RDONLY | O_DIRECT);
	u8 *mem = data_alloc(FILE_BYTES);
	u64 start = now_us();

	for (int i = 0; i < READS; i++)
		file_get(direct, 0, mem, FILE_BYTES);
	close(direct);
	return now_us() - start;
}

static void reads_beside_a_writer_that_never_stops_get_on(const void *arg)
{
	u64 nr, writes = 0, lowest, highest, start, us;
	u64 *mem = data_alloc(STORED);
	pthread_t thread;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	file_put(fd, 0, mem, STORED);
	binding = OK(drw_bind(buf.fd, fd));
	pthread_create(&thread, NULL, write_on_and_on, NULL);
	start = now_us();
	for (nr = 0; nr < READS; nr++) {
		bool use_ring = nr & 1;

		lowest = __atomic_load_n(&finished, __ATOMIC_SEQ_CST);
		CHECK_EQ(use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 0, 0,
						FILE_BYTES, 0)
				  : drw_read(binding, 0, 0, FILE_BYTES), FILE_BYTES);
		highest = __atomic_load_n(&begun, __ATOMIC_SEQ_CST);
		buf_get(&buf, 0, mem, STORED);
		for (u64 i = 0; i < STORED / 8; i++)
			CHECK(mem[i] >= lowest && mem[i] <= highest,
			      "version %llu at %llu, which was %llu before and %llu after",
			      (unsigned long long)mem[i], (unsigned long long)i * 8,
			      (unsigned long long)lowest, (unsigned long long)highest);
		buf_check(&buf, STORED, FILE_BYTES - STORED, TAG, STORED);
	}
	us = now_us() - start;
	/* A page of the other half, which he may have in one piece of the cache with his. */
	for (nr = 0; nr < READS; nr++) {
		s64 n;

		buf_fill(&buf, MiB, 4096, TAG, STORED);
		n = drw_write(binding, STORED, MiB, 4096);
		CHECK(n == 4096 || n == -EBUSY, "%lld", (long long)n);
		writes += n > 0;
	}
	start = time_direct_reads();
	__atomic_store_n(&neighbour_stops, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	note("%d reads in %llu ms, where O_DIRECT takes %llu ms; %llu of %d writes; beside %llu "
	     "buffered writes",
	     READS, (unsigned long long)us / 1000, (unsigned long long)start / 1000,
	     (unsigned long long)writes, READS, (unsigned long long)finished);
	CHECK(finished > READS, "%llu", (unsigned long long)finished);
	close(binding);
	file_check(fd, STORED, FILE_BYTES - STORED, TAG);
	close(fd);
	fs_finish(&fs);
}

/* ---- a neighbour that reads new parts of the file --------------------------------------- */

#define COLD_BYTES	(32 * MiB)
#define COLD_STEP	(128 * KiB)	/* what one look-up finds at least */
#define FORCED_WRITES	20

/* Each read looks up blocks; a change of the file's mode makes all of them unknown again. */
static void *read_new_parts(void *arg)
{
	int own = OK(drw_bind(buf.fd, fd));

	while (!__atomic_load_n(&neighbour_stops, __ATOMIC_ACQUIRE)) {
		SYS(fchmod(fd, 0600));
		for (u64 pos = COLD_STEP; pos < COLD_BYTES; pos += COLD_STEP)
			CHECK_EQ(drw_read(own, pos, MiB, 4096), 4096);
		finished++;
	}
	close(own);
	return NULL;
}

static void forced_writes_beside_reads_of_new_parts_get_on(const void *arg)
{
	u64 start, us, most = 0;
	pthread_t thread;

	open_all(arg);
	fd = file_make(&fs, "f", COLD_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	pthread_create(&thread, NULL, read_new_parts, NULL);
	for (int i = 0; i < FORCED_WRITES; i++) {
		buf_fill(&buf, 0, 4096, 50 + i, 0);
		start = now_us();
		CHECK_EQ(drw_io(binding, DMABUF_RW_OP_WRITE, 0, 0, 4096, DMABUF_RW_IO_FUA), 4096);
		us = now_us() - start;
		most = MAX(most, us);
		file_check(fd, 0, 4096, 50 + i);
	}
	__atomic_store_n(&neighbour_stops, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	note("the longest of %d took %llu us; the file was read %llu times", FORCED_WRITES,
	     (unsigned long long)most, (unsigned long long)finished);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* ---- its size, its mappings, its extents ------------------------------------------------ */

static void transfers_end_where_the_file_ends_now(const void *arg)
{
	const u64 sizes[] = { FILE_BYTES - 1000, FILE_BYTES + MiB, 5000, 4096, 1, 0, FILE_BYTES };
	u8 *zeros = data_alloc(MiB), *mem = data_alloc(MiB);

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 bytes = sizes[i];
		struct dmabuf_rw_info info;

		SYS(ftruncate(fd, bytes));
		/* All of it is written, or transfers would end before its end. */
		file_fill(fd, 0, bytes, TAG + i);
		OK(drw_info(binding, &info));
		CHECK_EQ(info.file_bytes, bytes);
		for (int use_ring = 0; use_ring <= 1; use_ring++) {
			const u64 len = BUF_BYTES, end = ROUND_UP(bytes, 4096);

			buf_fill(&buf, 0, BUF_BYTES, 50, 0);
			CHECK_EQ(use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 0, 0,
							len, 0)
					  : drw_read(binding, 0, 0, len), bytes);
			buf_check(&buf, 0, bytes, TAG + i, 0);
			buf_check(&buf, bytes, 4096, 50, bytes);
			FAILS(use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, end, 0,
						     4096, 0)
				       : drw_write(binding, end, 0, 4096), ENOSPC);
			buf_fill(&buf, 0, bytes, TAG + i, 0);
			if (bytes)
				CHECK_EQ(use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE,
								0, 0, len, 0)
						  : drw_write(binding, 0, 0, len), bytes);
		}
		CHECK_EQ(file_bytes(fd), bytes);
		/* What it grows by is zeros, also beside what a transfer wrote last. */
		SYS(ftruncate(fd, bytes + 5000));
		file_get(fd, bytes, mem, 5000);
		data_check("what it has grown by", mem, zeros, 5000, bytes);
	}
	close(binding);
	close(fd);
	fs_finish(&fs);
}

static void stores_to_its_mappings_are_seen(const void *arg)
{
	u8 *map, byte;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	for (int i = 0; i < 100; i++) {
		u64 at = i * 2477 % FILE_BYTES;

		map[at] = i;
		CHECK_EQ(i & 1 ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, at / 4096 * 4096, 0,
					     4096, 0)
			       : drw_read(binding, at / 4096 * 4096, 0, 4096), 4096);
		buf_get(&buf, at % 4096, &byte, 1);
		CHECK_EQ(byte, i);
		/* And the other way. */
		byte = i + 100;
		buf_put(&buf, at % 4096, &byte, 1);
		CHECK_EQ(drw_write(binding, at / 4096 * 4096, 0, 4096), 4096);
		CHECK_EQ(map[at], byte);
	}
	close(binding);
	munmap(map, FILE_BYTES);
	close(fd);
	fs_finish(&fs);
}

static void defragmenters_do_their_work(const void *arg)
{
	const u64 bytes = MiB, chunk = 16 * KiB;
	unsigned int before;

	open_all(arg);
	/* e4defrag wants it. */
	if (symlink("/proc/self/mounts", "/etc/mtab") && errno != EEXIST)
		FAIL("/etc/mtab: %s", strerror(errno));
	close(file_make_fragmented(&fs, "f", bytes, chunk, TAG));
	fd = fs_open(&fs, "f", O_RDONLY);
	before = file_extents(fd);
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(drw_read(binding, 0, 0, bytes), bytes);
	if (fs_is_xfs(&fs))
		sh("xfs_fsr -v %s", fs_path(&fs, "f"));
	else
		sh("e4defrag -v %s", fs_path(&fs, "f"));
	CHECK(file_extents(fd) < before, "%u extents, %u before", file_extents(fd), before);
	buf_fill(&buf, 0, bytes, 99, 0);
	CHECK_EQ(drw_read(binding, 0, 0, bytes), bytes);
	buf_check(&buf, 0, bytes, TAG, 0);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* Whoever makes it swap has it for himself. */
static void a_bound_file_can_become_swap(const void *arg)
{
	s64 n[4];

	open_all(arg);
	fd = file_make(&fs, "f", MiB, TAG);
	CHECK_EQ(sh("mkswap %s", fs_path(&fs, "f")), 0);
	SYS(fsync(fd));
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(drw_read(binding, 0, 0, MiB), MiB);
	SYS(swapon(fs_path(&fs, "f"), 0));
	/* The header stays as it is, whatever the outcome. */
	for (int i = 0; i < 4; i++)
		n[i] = i & 1 ? drw_ring_io(&ring, binding, i / 2, MiB - 4096, 0, 4096, 0)
			     : drw_io(binding, i / 2, MiB - 4096, 0, 4096, 0);
	/* Swap that outlives the test would be in the way of all that follow. */
	SYS(swapoff(fs_path(&fs, "f")));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(n[i], -ETXTBSY, "%s by %s", i / 2 ? "write" : "read",
			 i & 1 ? "io_uring" : "ioctl");
	CHECK_EQ(drw_read(binding, 0, 0, MiB), MiB);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* ---- the file system around it -------------------------------------------------------- */

static void it_keeps_its_file_system_as_an_open_file_does(const void *arg)
{
	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	close(fd);
	CHECK(umount2(fs.dir, 0) == -1 && errno == EBUSY, "%d", errno);
	/* It may be written to, so it cannot become read-only. */
	CHECK(sh("mount -o remount,ro %s", fs.dir), "remounted read-only");
	check_transfers(TAG);
	close(binding);
	/* A binding that only reads does not mind. */
	fd = fs_open(&fs, "f", O_RDONLY);
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(sh("mount -o remount,ro %s", fs.dir), 0);
	check_transfers(TAG);
	CHECK_EQ(sh("mount -o remount,rw %s", fs.dir), 0);
	check_transfers(TAG);
	close(fd);
	close(binding);
	/* Nothing is left that would. */
	SYS(umount2(fs.dir, 0));
	CHECK_EQ(fs_mount(&fs, ""), 0);
	fs_finish(&fs);
}

static int frozen_result = -1;

static bool is_read_only(void)
{
	struct statvfs st;

	SYS(statvfs(fs.dir, &st));
	return st.f_flag & ST_RDONLY;
}

/* The only way that leads from "open for writing" to a read-only file system. */
static void an_emergency_remount_ends_writes_and_no_reads(const void *arg)
{
	int sysrq, tries;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	close(fd);
	check_transfers(TAG);
	sysrq = SYS(open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC));
	CHECK_EQ(write(sysrq, "u", 1), 1);
	close(sysrq);
	for (tries = 0; tries < 200 && !is_read_only(); tries++)
		usleep(50000);
	CHECK(is_read_only());
	FAILS(drw_write(binding, 0, 0, FILE_BYTES), EPERM);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, 0, 0, 4096, 0), EPERM);
	check_transfers(TAG);
	close(binding);
	fs_remount(&fs);
	fd = fs_open(&fs, "f", O_RDWR);
	file_check(fd, 0, FILE_BYTES, TAG);
	close(fd);
	fs_finish(&fs);
}

static void *write_while_frozen(void *arg)
{
	s64 n = drw_write(binding, 0, 0, FILE_BYTES);

	__atomic_store_n(&frozen_result, n, __ATOMIC_SEQ_CST);
	return NULL;
}

static void writes_wait_for_the_thaw_and_reads_do_not(const void *arg)
{
	struct io_uring_cqe *cqe;
	pthread_t thread;
	u64 start;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	SYS(ioctl(fd, FIFREEZE, 0));
	pthread_create(&thread, NULL, write_while_frozen, NULL);
	start = now_us();
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_WRITE, 0, 0, 4096, 0);
	CHECK_EQ(io_uring_submit(&ring), 1);
	CHECK(now_us() - start < 5000000, "submitting took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	usleep(300000);
	CHECK_EQ(__atomic_load_n(&frozen_result, __ATOMIC_SEQ_CST), -1);
	CHECK_EQ(io_uring_peek_cqe(&ring, &cqe), -EAGAIN);
	/* Elsewhere in the buffer, since the writes read from its beginning. */
	CHECK_EQ(drw_read(binding, 0, MiB, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, MiB, FILE_BYTES, TAG, 0);
	SYS(ioctl(fd, FITHAW, 0));
	pthread_join(thread, NULL);
	CHECK_EQ(frozen_result, FILE_BYTES);
	OK(drw_wait_cqe(&ring, &cqe));
	CHECK_EQ(cqe->res, 4096);
	io_uring_cqe_seen(&ring, cqe);
	/* The last close on a frozen file system waits for nobody. */
	CHECK_EQ(drw_write(binding, 0, 0, FILE_BYTES), FILE_BYTES);
	SYS(ioctl(fd, FIFREEZE, 0));
	start = now_us();
	close(binding);
	CHECK(now_us() - start < 5000000, "close took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	SYS(ioctl(fd, FITHAW, 0));
	io_uring_queue_exit(&ring);
	close(fd);
	fs_finish(&fs);
}

#define ENTRIES		((unsigned int)(FILE_BYTES / 4096))

/*
 * Write every block by an entry of its own, two of them after one another, in a ring that has
 * place for two. All wait for the thaw: one for the only worker, the others for that one.
 */
static void write_in_turn(unsigned int first, unsigned int second, bool may_be_lost)
{
	unsigned int one_worker[2] = { 1, 1 }, lost = 0;
	bool refused[ENTRIES] = {};
	struct io_uring_cqe *cqe;
	struct io_uring small;

	file_fill(fd, 0, FILE_BYTES, TAG);
	SYS(fsync(fd));
	drw_ring(&small, 2, 0);
	OK(io_uring_register_iowq_max_workers(&small, one_worker));
	SYS(ioctl(fd, FIFREEZE, 0));
	for (unsigned int i = 0; i < ENTRIES; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&small);

		CHECK(sqe, "no entry %u", i);
		drw_prep(sqe, binding, DMABUF_RW_URING_WRITE, i * 4096, i * 4096, 4096, 0);
		sqe->user_data = i;
		sqe->flags |= i & 1 ? second : first;
		if (i & 1)
			CHECK_EQ(io_uring_submit(&small), 2);
	}
	SYS(ioctl(fd, FITHAW, 0));
	for (unsigned int i = 0; i < ENTRIES; i++) {
		OK(drw_wait_cqe(&small, &cqe));
		if (may_be_lost && (cqe->user_data & 1) && cqe->res == -EOPNOTSUPP) {
			refused[cqe->user_data] = true;
			lost++;
		} else {
			CHECK_EQ(cqe->res, 4096, "entry %llu", cqe->user_data);
		}
		io_uring_cqe_seen(&small, cqe);
	}
	io_uring_queue_exit(&small);
	CHECK(!lost || lost == ENTRIES / 2, "%u were refused", lost);
	for (unsigned int i = 0; i < ENTRIES; i++)
		file_check(fd, i * 4096, 4096, refused[i] ? TAG : 2);
	if (may_be_lost)
		note("entries behind a link are %s", lost ? "refused" : "served");
}

/*
 * Places in a ring are free again once they were submitted. Linux 6.12 does not keep what entries
 * behind a link say, without IOSQE_ASYNC; those are refused. No entry may become another.
 */
static void entries_that_wait_stay_what_they_are(const void *arg)
{
	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	buf_fill(&buf, 0, FILE_BYTES, 2, 0);
	write_in_turn(0, 0, false);
	write_in_turn(IOSQE_IO_LINK, 0, true);
	write_in_turn(IOSQE_IO_LINK, IOSQE_ASYNC, false);
	write_in_turn(IOSQE_ASYNC, IOSQE_ASYNC, false);
	close(binding);
	io_uring_queue_exit(&ring);
	close(fd);
	fs_finish(&fs);
}

static pthread_barrier_t together;

/* From within the file's last block to beyond its end. */
static void *make_longer(void *arg)
{
	int direct = SYS(openat(AT_FDCWD, fs_path(&fs, "f"), O_RDWR | O_DIRECT));

	for (unsigned int i = 0; i < GROWTHS; i++) {
		pthread_barrier_wait(&together);
		CHECK_EQ(pwrite(direct, arg, 8192, FILE_BYTES), 8192);
		pthread_barrier_wait(&together);
	}
	close(direct);
	return NULL;
}

/* A write that ends with the file writes zeros behind that, but not over what comes there. */
static void who_makes_a_file_longer_loses_nothing(const void *kind)
{
	u8 *data = data_alloc(8192), *now = data_alloc(8192);
	unsigned int served = 0;
	pthread_t thread;

	open_all(kind);
	fd = file_make(&fs, "f", FILE_BYTES + 8192, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	buf_fill(&buf, 0, 4096, 2, 0);
	data_fill(data, 8192, 3, 0);
	pthread_barrier_init(&together, NULL, 2);
	pthread_create(&thread, NULL, make_longer, data);
	for (unsigned int i = 0; i < GROWTHS; i++) {
		s64 n;

		SYS(ftruncate(fd, FILE_BYTES + 100));
		SYS(fsync(fd));
		pthread_barrier_wait(&together);
		n = drw_write(binding, FILE_BYTES, 0, 100);
		CHECK(n == 100 || n == -EDOM, "%lld", (long long)n);
		served += n == 100;
		pthread_barrier_wait(&together);
		drop_caches();
		CHECK_EQ(file_bytes(fd), FILE_BYTES + 8192);
		file_get(fd, FILE_BYTES, now, 8192);
		/* The first bytes are either's. */
		data_check("f", now + 100, data + 100, 8192 - 100, FILE_BYTES + 100);
	}
	pthread_join(thread, NULL);
	note("%u of %u were served", served, GROWTHS);
	close(binding);
	io_uring_queue_exit(&ring);
	close(fd);
	fs_finish(&fs);
}

static volatile bool stop;

static void *transfer_on_and_on(void *arg)
{
	unsigned int *rounds = arg;

	while (!stop) {
		buf_fill(&buf, 0, FILE_BYTES, *rounds, 0);
		CHECK_EQ(drw_write(binding, 0, 0, FILE_BYTES), FILE_BYTES);
		CHECK_EQ(drw_read(binding, 0, MiB, FILE_BYTES), FILE_BYTES);
		buf_check(&buf, MiB, FILE_BYTES, *rounds, 0);
		++*rounds;
	}
	return NULL;
}

static void the_file_system_grows_while_transfers_run(const void *arg)
{
	unsigned int rounds = 0;
	pthread_t thread;

	/* Made smaller than the disk. */
	fs_make(&fs, arg, ROLE, 48 * MiB, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	pthread_create(&thread, NULL, transfer_on_and_on, &rounds);
	usleep(50000);
	if (fs_is_xfs(&fs))
		CHECK_EQ(sh("xfs_growfs %s", fs.dir), 0);
	else
		CHECK_EQ(sh("resize2fs %s", fs.disk.path), 0);
	usleep(50000);
	stop = true;
	pthread_join(thread, NULL);
	CHECK(rounds > 1, "%u", rounds);
	file_check(fd, 0, FILE_BYTES, rounds - 1);
	close(binding);
	close(fd);
	/* There is room for what did not fit before. */
	close(file_make(&fs, "g", 60 * MiB, 3));
	fs_finish(&fs);
}

static void run_until_killed(void)
{
	int b = OK(drw_bind(buf.fd, fd));
	struct io_uring own;

	drw_ring(&own, 64, 0);
	for (;;) {
		struct io_uring_cqe *cqe;

		for (int i = 0; i < 32; i++)
			drw_prep(io_uring_get_sqe(&own), b, i & 1 ? DMABUF_RW_URING_READ :
				 DMABUF_RW_URING_WRITE, i * 8192 % 131072, i * 32768,
				 20480, 0);
		OK(io_uring_submit(&own));
		for (int i = 0; i < 32; i++) {
			OK(drw_wait_cqe(&own, &cqe));
			CHECK(cqe->res > 0, "%d", cqe->res);
			io_uring_cqe_seen(&own, cqe);
		}
	}
}

static void a_killed_process_keeps_nothing(const void *arg)
{
	int status;
	pid_t pid;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	for (int i = 0; i < 4; i++) {
		pid = SYS(fork());
		if (!pid)
			run_until_killed();
		usleep(20000 + i * 30000);
		kill(pid, SIGKILL);
		SYS(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", status);
	}
	/* What a ring held goes a little later. */
	close(fd);
	fs_remount(&fs);
	mock_check_clean(&buf);
	fd = fs_open(&fs, "f", O_RDWR);
	file_fill(fd, 0, FILE_BYTES, 3);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(3);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, whatever_others_do_works_and_is_seen);
		TEST_OF_KIND(i, whatever_others_do_works_under_load);
		TEST_OF_KIND(i, who_opens_or_truncates_gets_a_turn_under_load);
		TEST_OF_KIND(i, reads_beside_a_writer_that_never_stops_get_on);
		TEST_OF_KIND(i, forced_writes_beside_reads_of_new_parts_get_on);
		TEST_OF_KIND(i, transfers_end_where_the_file_ends_now);
		TEST_OF_KIND(i, stores_to_its_mappings_are_seen);
		TEST_OF_KIND(i, defragmenters_do_their_work);
		TEST_OF_KIND(i, a_bound_file_can_become_swap);
		TEST_OF_KIND(i, it_keeps_its_file_system_as_an_open_file_does);
		TEST_OF_KIND(i, an_emergency_remount_ends_writes_and_no_reads);
		TEST_OF_KIND(i, writes_wait_for_the_thaw_and_reads_do_not);
		TEST_OF_KIND(i, entries_that_wait_stay_what_they_are);
		TEST_OF_KIND(i, who_makes_a_file_longer_loses_nothing);
		TEST_OF_KIND(i, the_file_system_grows_while_transfers_run);
		TEST_OF_KIND(i, a_killed_process_keeps_nothing);
	}
}

const struct program program = { "file_shared", add };
