// SPDX-License-Identifier: GPL-2.0
/*
 * file_coherence.c - transfers of a regular file and every other way to its bytes agree:
 * write(2), mmap and O_DIRECT, before it was bound and while it is, and all of them after the
 * file system has been mounted anew. And what a write(2) would do to a file beside its bytes,
 * a transfer does: times and privileges.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"mp512p2"
#define FILE_BYTES	(MiB + 4321)
#define BUF_BYTES	(2 * MiB)

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static struct rng rng;
static int fd, direct, binding;
static u8 *map, *want, *got;

static void open_all(const char *kind)
{
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 4, 0);
	rng.s = harness_seed();
	want = data_alloc(FILE_BYTES);
	got = data_alloc(ROUND_UP(FILE_BYTES, 4096));
}

static void transfer(bool use_ring, enum dmabuf_rw_op op, u64 pos, u64 off, u64 len)
{
	s64 n = use_ring ? drw_ring_io(&ring, binding, op, pos, off, len, 0)
			 : drw_io(binding, op, pos, off, len, 0);

	CHECK_EQ(n, len, "%s", op ? "write" : "read");
}

static void check_buffer(void)
{
	buf_get(&buf, 0, got, FILE_BYTES);
	data_check("buffer", got, want, FILE_BYTES, 0);
}

/* ---- before it is bound ----------------------------------------------------------------- */

static void transfers_see_what_was_only_in_the_cache(const void *arg)
{
	open_all(arg);
	for (int round = 0; round < 6; round++) {
		bool use_ring = round & 1;
		u64 pos, len;

		fd = fs_open(&fs, "f", O_RDWR | O_CREAT | O_TRUNC);
		file_fill(fd, 0, FILE_BYTES, round);
		data_fill(want, FILE_BYTES, round, 0);
		if (round > 1) {
			SYS(fsync(fd));
			/* Dirty again, in part: by write(2), or through a mapping. */
			pos = rng_below(&rng, 100000);
			len = 1 + rng_below(&rng, 100000);
			data_fill(want + pos, len, 50 + round, pos);
			if (round & 2) {
				file_put(fd, pos, want + pos, len);
			} else {
				map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
					   fd, 0);
				CHECK(map != MAP_FAILED);
				memcpy(map + pos, want + pos, len);
			}
		}
		binding = OK(drw_bind(buf.fd, fd));
		buf_fill(&buf, 0, FILE_BYTES, 99, 0);
		transfer(use_ring, DMABUF_RW_OP_READ, 0, 0, FILE_BYTES);
		check_buffer();
		close(binding);
		if (map)
			munmap(map, FILE_BYTES);
		map = NULL;
		close(fd);
	}
	fs_finish(&fs);
}

/* What was dirty beside the bytes that a transfer writes is not lost. */
static void a_write_beside_dirty_pages_loses_nothing(const void *arg)
{
	u64 pos, len, lba;

	open_all(arg);
	lba = fs.disk.lba;
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	for (int round = 0; round < 8; round++) {
		file_fill(fd, 0, FILE_BYTES, 10 + round);
		data_fill(want, FILE_BYTES, 10 + round, 0);
		binding = OK(drw_bind(buf.fd, fd));
		pos = rng_step(&rng, 0, 196608, lba);
		len = rng_step(&rng, lba, 196608, lba);
		buf_fill(&buf, 0, len, 30 + round, pos);
		data_fill(want + pos, len, 30 + round, pos);
		transfer(round & 1, DMABUF_RW_OP_WRITE, pos, 0, len);
		close(binding);
		file_get(fd, 0, got, FILE_BYTES);
		data_check("cached read", got, want, FILE_BYTES, 0);
		file_check_on_disk(&fs, fd, want, FILE_BYTES);
	}
	close(fd);
	fs_finish(&fs);
}

/* ---- while it is bound ------------------------------------------------------------------- */

static void everybody_sees(const char *what)
{
	file_get(fd, 0, got, FILE_BYTES);
	data_check("read", got, want, FILE_BYTES, 0);
	data_check("mapping", map, want, FILE_BYTES, 0);
	CHECK_EQ(pread(direct, got, ROUND_UP(FILE_BYTES, 4096), 0), FILE_BYTES, "%s", what);
	data_check("O_DIRECT", got, want, FILE_BYTES, 0);
}

static void everybody_sees_what_a_transfer_wrote(const void *arg)
{
	u64 pos, len, step;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	data_fill(want, FILE_BYTES, 1, 0);
	direct = fs_open(&fs, "f", O_RDONLY | O_DIRECT);
	map = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	binding = OK(drw_bind(buf.fd, fd));
	for (int round = 0; round < 12; round++) {
		/* In the cache, mapped or not, or nowhere. */
		if (round % 3 == 1)
			everybody_sees("before");
		else if (round % 3 == 2)
			drop_caches();
		/* Pages, or LBAs; now and then to the end. */
		step = round & 4 ? 4096 : fs.disk.lba;
		pos = rng_step(&rng, 0, MiB, step);
		len = rng_step(&rng, step, 300 * KiB, step);
		len = MIN(len, FILE_BYTES - pos);
		buf_fill(&buf, 0, len, 20 + round, pos);
		data_fill(want + pos, len, 20 + round, pos);
		transfer(round & 1, DMABUF_RW_OP_WRITE, pos, 0, len);
		everybody_sees("after");
		transfer(!(round & 1), DMABUF_RW_OP_READ, 0, 0, FILE_BYTES);
		check_buffer();
	}
	/* And after everything that could have been kept in memory has gone. */
	SYS(fsync(fd));
	drop_caches();
	everybody_sees("without caches");
	close(binding);
	munmap(map, FILE_BYTES);
	close(fd);
	close(direct);
	fs_remount(&fs);
	fd = fs_open(&fs, "f", O_RDONLY);
	CHECK_EQ(file_bytes(fd), FILE_BYTES);
	file_get(fd, 0, got, FILE_BYTES);
	data_check("mounted anew", got, want, FILE_BYTES, 0);
	binding = OK(drw_bind(buf.fd, fd));
	transfer(true, DMABUF_RW_OP_READ, 0, 0, FILE_BYTES);
	check_buffer();
	close(binding);
	close(fd);
	fs_finish(&fs);
}

static void write_by_another_way(u32 way, u64 pos, u64 len)
{
	u8 *shared, *aligned;

	switch (way) {
	case 0:
		file_put(fd, pos, want + pos, len);
		break;
	case 1:
		shared = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(shared != MAP_FAILED);
		memcpy(shared + pos, want + pos, len);
		munmap(shared, FILE_BYTES);
		break;
	default:
		aligned = data_alloc(len);
		memcpy(aligned, want + pos, len);
		CHECK_EQ(pwrite(direct, aligned, len, pos), len);
		munmap(aligned, len);
	}
}

static void transfers_see_what_everybody_wrote(const void *arg)
{
	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	data_fill(want, FILE_BYTES, 1, 0);
	direct = fs_open(&fs, "f", O_RDWR | O_DIRECT);
	binding = OK(drw_bind(buf.fd, fd));
	for (int round = 0; round < 30; round++) {
		u64 pos = rng_step(&rng, 0, MiB - 4096, 4096);
		u64 len = rng_step(&rng, 4096, 256 * KiB, 4096);

		len = MIN(len, MiB - pos);
		data_fill(want + pos, len, 40 + round, pos);
		write_by_another_way(round % 3, pos, len);
		buf_fill(&buf, 0, FILE_BYTES, 99, 0);
		transfer(round & 1, DMABUF_RW_OP_READ, 0, 0, FILE_BYTES);
		check_buffer();
	}
	close(binding);
	close(direct);
	file_check_on_disk(&fs, fd, want, FILE_BYTES);
	close(fd);
	fs_finish(&fs);
}

/* A reader that keeps the cache full while transfers write: it never stays stale. */
static void readers_at_the_same_time_leave_no_stale_page(const void *arg)
{
	int status;
	pid_t pid;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	data_fill(want, FILE_BYTES, 1, 0);
	binding = OK(drw_bind(buf.fd, fd));
	pid = SYS(fork());
	if (!pid) {
		u8 *mem = data_alloc(ROUND_UP(FILE_BYTES, 4096));

		map = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
		for (;;) {
			file_get(fd, 0, mem, FILE_BYTES);
			memcpy(mem, map, FILE_BYTES);
		}
	}
	for (int round = 0; round < 60; round++) {
		u64 lba = fs.disk.lba, pos = rng_step(&rng, 0, MiB, lba);
		u64 len = rng_step(&rng, lba, 64 * KiB, lba);

		len = MIN(len, FILE_BYTES - pos);
		buf_fill(&buf, 0, len, 100 + round, pos);
		data_fill(want + pos, len, 100 + round, pos);
		transfer(round & 1, DMABUF_RW_OP_WRITE, pos, 0, len);
		file_get(fd, pos, got, len);
		data_check("read after a write", got, want + pos, len, pos);
	}
	kill(pid, SIGKILL);
	SYS(waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status), "the reader ended with %#x", status);
	file_get(fd, 0, got, FILE_BYTES);
	data_check("at the end", got, want, FILE_BYTES, 0);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* ---- beside the bytes ----------------------------------------------------------------- */

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static void times_change_with_writes_and_not_with_reads(const void *arg)
{
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	struct stat st, after;

	open_all(arg);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		fd = file_make(&fs, "f", FILE_BYTES, 1);
		SYS(futimens(fd, old));
		SYS(fstat(fd, &st));
		binding = OK(drw_bind(buf.fd, fd));
		transfer(use_ring, DMABUF_RW_OP_READ, 0, 0, FILE_BYTES);
		close(binding);
		SYS(fstat(fd, &after));
		CHECK_EQ(after.st_mtime, st.st_mtime);
		CHECK_EQ(after.st_ctime, st.st_ctime);

		binding = OK(drw_bind(buf.fd, fd));
		transfer(use_ring, DMABUF_RW_OP_WRITE, 4096, 0, 4096);
		SYS(fstat(fd, &after));
		CHECK(later(after.st_mtim, st.st_mtim), "mtime %lld", (long long)after.st_mtime);
		CHECK(after.st_mtime > 1000000000, "mtime %lld", (long long)after.st_mtime);
		CHECK(!later(st.st_ctim, after.st_ctim), "ctime went back");
		CHECK_EQ(after.st_size, FILE_BYTES);
		/* Each write is told, a moment later. */
		for (int i = 0; i < 4; i++) {
			struct timespec before = after.st_mtim;

			usleep(30000);
			transfer(use_ring, DMABUF_RW_OP_WRITE, 8192, 0, 4096);
			for (int tries = 0; tries < 50; tries++) {
				usleep(20000);
				SYS(fstat(fd, &after));
				if (later(after.st_mtim, before))
					break;
			}
			CHECK(later(after.st_mtim, before), "write %d: mtime stays %lld.%09ld", i,
			      (long long)after.st_mtime, after.st_mtim.tv_nsec);
		}
		/* Who closes has not written. */
		usleep(300000);
		SYS(fstat(fd, &after));
		close(binding);
		SYS(fstat(fd, &st));
		CHECK(!later(st.st_mtim, after.st_mtim), "mtime moved by unbinding");
		usleep(1200000);
		SYS(fstat(fd, &st));
		CHECK(!later(st.st_mtim, after.st_mtim), "mtime moved a second later");
		close(fd);
	}
	fs_finish(&fs);
}

/* A writer without privilege, as with write(2). */
static void a_write_takes_the_setuid_bit(const void *arg)
{
	struct stat st;
	int status;

	open_all(arg);
	drw_device();
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		fd = file_make(&fs, "f", FILE_BYTES, 1);
		SYS(fchmod(fd, 06755));
		if (!SYS(fork())) {
			SYS(setresgid(65534, 65534, 65534));
			SYS(setresuid(65534, 65534, 65534));
			binding = OK(drw_bind(buf.fd, fd));
			drw_ring(&ring, 4, 0);
			transfer(use_ring, DMABUF_RW_OP_READ, 0, 0, 4096);
			SYS(fstat(fd, &st));
			CHECK_EQ(st.st_mode & 07777, 06755, "by a read");
			transfer(use_ring, DMABUF_RW_OP_WRITE, 0, 0, 4096);
			SYS(fstat(fd, &st));
			CHECK_EQ(st.st_mode & 07777, 0755);
			_exit(0);
		}
		SYS(wait(&status));
		if (status)
			_exit(1);
		/* One that comes while it is bound goes as well. */
		binding = OK(drw_bind(buf.fd, fd));
		transfer(use_ring, DMABUF_RW_OP_WRITE, 0, 0, 4096);
		SYS(fchmod(fd, 04755));
		if (!SYS(fork())) {
			SYS(setresgid(65534, 65534, 65534));
			SYS(setresuid(65534, 65534, 65534));
			drw_ring(&ring, 4, 0);
			transfer(use_ring, DMABUF_RW_OP_WRITE, 0, 0, 4096);
			_exit(0);
		}
		SYS(wait(&status));
		if (status)
			_exit(1);
		SYS(fstat(fd, &st));
		CHECK_EQ(st.st_mode & 07777, 0755, "set while it was bound");
		close(binding);
		close(fd);
	}
	fs_finish(&fs);
}

#define NEIGHBOUR_US	10000000	/* of some hundred rounds, usually */

static bool ends;

/* Writes a byte of the same page over and over, behind the LBA that transfers write. */
static void *write_a_byte(void *arg)
{
	int file = fs_open(&fs, "f", O_RDWR);

	for (u8 byte = 0; !__atomic_load_n(&ends, __ATOMIC_ACQUIRE); byte++)
		CHECK_EQ(pwrite(file, &byte, 1, 3000), 1);
	close(file);
	return NULL;
}

static void *read_the_page(void *arg)
{
	int file = fs_open(&fs, "f", O_RDONLY);
	u8 page[4096];

	for (u64 i = 1; !__atomic_load_n(&ends, __ATOMIC_ACQUIRE); i++) {
		CHECK_EQ(pread(file, page, sizeof(page), 0), (ssize_t)sizeof(page));
		if (!(i % 4))
			posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	}
	close(file);
	return NULL;
}

/* Neither is lost, in the cache and on the disk, and nobody has to try again. */
static void a_write_of_part_of_a_page_is_not_lost_beside_others(const void *arg)
{
	void *(*const others[])(void *) = { write_a_byte, read_the_page };
	pthread_t threads[ARRAY_SIZE(others)];
	unsigned int i = 0;
	u64 end;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	direct = fs_open(&fs, "f", O_RDWR | O_DIRECT);
	binding = OK(drw_bind(buf.fd, fd));
	for (size_t t = 0; t < ARRAY_SIZE(others); t++)
		pthread_create(&threads[t], NULL, others[t], NULL);
	end = now_us() + NEIGHBOUR_US;
	for (; now_us() < end; i++) {
		data_fill(want, 512, 1000 + i, 0);
		buf_put(&buf, 0, want, 512);
		transfer(i & 1, DMABUF_RW_OP_WRITE, 0, 0, 512);
		CHECK_EQ(pread(fd, got, 512, 0), 512);
		data_check("the cache", got, want, 512, 0);
		SYS(fdatasync(fd));
		CHECK_EQ(pread(direct, got, 4096, 0), 4096);
		data_check("the disk", got, want, 512, 0);
	}
	note("%u rounds", i);
	__atomic_store_n(&ends, true, __ATOMIC_RELEASE);
	for (size_t t = 0; t < ARRAY_SIZE(others); t++)
		pthread_join(threads[t], NULL);
	close(binding);
	close(direct);
	close(fd);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, transfers_see_what_was_only_in_the_cache);
		TEST_OF_KIND(i, a_write_beside_dirty_pages_loses_nothing);
		TEST_OF_KIND(i, everybody_sees_what_a_transfer_wrote);
		TEST_OF_KIND(i, transfers_see_what_everybody_wrote);
		TEST_OF_KIND(i, readers_at_the_same_time_leave_no_stale_page);
		TEST_OF_KIND(i, times_change_with_writes_and_not_with_reads);
		TEST_OF_KIND(i, a_write_takes_the_setuid_bit);
		TEST_OF_KIND(i, a_write_of_part_of_a_page_is_not_lost_beside_others);
	}
}

const struct program program = { "file_coherence", add, .debug = true };
