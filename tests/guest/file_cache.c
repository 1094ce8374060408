// SPDX-License-Identifier: GPL-2.0
/*
 * file_cache.c - what transfers of files leave in the page cache: nothing that was not there.
 *
 * Which pages of a file are cached is asked from mincore(2), before and after. A file that
 * takes no O_DIRECT has its data in the journal; or it is an ordinary one, and its descriptor
 * cannot be opened anew, since the test has gone where there is no /proc.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "data.h"
#include "fs.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE	0x80
#endif

#define ROLE		"priv512p2"
#define BYTES		(3 * MiB + 777)
#define PAGES		(ROUND_UP(BYTES, 4096) / 4096)
#define BUF_BYTES	(7 * MiB / 2)

/* How the bytes are to go. */
enum way { DIRECT, BOUNCED, BUFFERED, JOURNALED };

static struct fs fs;
static struct buf buf;
static struct dmabuf_rw_device *device;
static struct dmabuf_rw_binding *binding;
static struct dmabuf_rw_queue *queue;
static u8 before[PAGES], after[PAGES];
static int fd;

static void open_all(const char *kind, const char *mount)
{
	struct dmabuf_rw_queue_opts opts = { .size = sizeof(opts), .depth = 8 };

	fs_make(&fs, kind, ROLE, 0, "", mount);
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	OK(dmabuf_rw_device_open(NULL, &device));
	OK(dmabuf_rw_queue_create(&opts, &queue));
}

static void finish(void)
{
	dmabuf_rw_queue_destroy(queue);
	dmabuf_rw_device_close(device);
	fs_finish(&fs);
}

static unsigned int look(int file, u8 *pages)
{
	void *map = mmap(NULL, PAGES * 4096, PROT_READ, MAP_SHARED, file, 0);
	unsigned int nr = 0;

	CHECK(map != MAP_FAILED, "%s", strerror(errno));
	SYS(mincore(map, PAGES * 4096, pages));
	munmap(map, PAGES * 4096);
	for (unsigned int i = 0; i < PAGES; i++) {
		pages[i] &= 1;
		nr += pages[i];
	}
	return nr;
}

/* Nothing of the file is cached but, with @some, what others have just read. */
static void prepare_cache(bool some)
{
	static const struct { u64 off, len; } parts[] = {
		{ 0, 4096 }, { MiB + 8192, 300 * KiB }, { 2 * MiB - 4096, 8192 },
	};
	void *mem = data_alloc(MiB);
	unsigned int nr, tries = 0;

	SYS(fsync(fd));
	/* Pages that the journal holds are let go a little later. */
	do {
		SYS(syncfs(fd));
		OK(-posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
		nr = look(fd, before);
	} while (nr && ++tries < 50 && !usleep(20000));
	CHECK(!nr, "%u pages cannot be dropped", nr);
	/* Of what is read, no page before or behind it. */
	OK(-posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
	for (size_t i = 0; some && i < ARRAY_SIZE(parts); i++)
		file_get(fd, parts[i].off, mem, parts[i].len);
	nr = look(fd, before);
	CHECK(some ? nr > 50 && nr < PAGES / 2 : !nr, "%u pages are cached", nr);
}

static void bind_file(enum way way, int file)
{
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .allow_bounce = 1 };

	OK(dmabuf_rw_binding_create(way == DIRECT ? device : NULL, buf.fd, file,
				    way == DIRECT ? NULL : &opts, &binding));
}

static void check_cache_after(const char *what)
{
	unsigned int nr = look(fd, after), more = 0, first = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		if (after[i] && !before[i] && !more++)
			first = i;
	CHECK(!more, "%s: %u pages of %u are cached now and were not, the first is %u", what,
	      more, nr, first);
}

/* And what others had cached is still there. */
static void check_cache_kept(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		CHECK(after[i] || !before[i], "page %u was dropped", i);
}

/* All of the file in one call, then by a queue in blocks, then a part. */
static void load(enum way way)
{
	const u64 block = 256 * KiB;
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	u64 next = 0;

	CHECK_EQ(dmabuf_rw_read(binding, 0, 33, BYTES, 0, NULL), BYTES);
	buf_check(&buf, 33, BYTES, 1, 0);
	check_cache_after("one call");
	buf_fill(&buf, 0, BUF_BYTES, 9, 0);
	while (next < BYTES || dmabuf_rw_queue_pending(queue)) {
		if (next < BYTES && dmabuf_rw_queue_pending(queue) < 8) {
			OK(dmabuf_rw_queue_read(queue, binding, next, 4096 + next,
						MIN(block, BYTES - next), 0, 0));
			next += block;
			continue;
		}
		CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
		CHECK(done.bytes > 0, "%s", strerror(-done.bytes));
	}
	buf_check(&buf, 4096, BYTES, 1, 0);
	check_cache_after("a queue");
	CHECK_EQ(dmabuf_rw_read(binding, MiB + 9, 0, MiB + 9, 0, NULL), MiB + 9);
	buf_check(&buf, 0, MiB + 9, 1, MiB + 9);
	check_cache_after("a part");
	if (way != DIRECT)
		check_cache_kept();
}

static void load_with_cache(enum way way)
{
	for (int some = 0; some <= 1; some++) {
		prepare_cache(some);
		bind_file(way, fd);
		load(way);
		dmabuf_rw_binding_destroy(binding);
	}
}

static void loads_leave_nothing(const void *arg)
{
	open_all(arg, "");
	fd = file_make(&fs, "f", BYTES, 1);
	load_with_cache(DIRECT);
	load_with_cache(BOUNCED);
	close(fd);
	finish();
}

static void loads_by_way_of_the_page_cache_leave_nothing(const void *arg)
{
	struct statx stx;

	open_all("ext4", "data=journal");
	fd = file_make(&fs, "f", BYTES, 1);
	SYS(statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx));
	CHECK_EQ(stx.stx_dio_offset_align, 0, "O_DIRECT is possible");
	load_with_cache(JOURNALED);
	close(fd);
	finish();
}

/* Runs @fn in a process of its own, after @change has changed that. */
static void in_child(void (*change)(void), void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = SYS(fork());
	if (!pid) {
		change();
		fn();
		fflush(stdout);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	/* The child has said why. */
	if (status)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/*
 * To where there is no /proc. The descriptor is as the caller has made it, so nobody but the
 * test keeps the kernel from reading ahead.
 */
static void go_away_from_proc(void)
{
	SYS(chroot(fs.dir));
}

static void load_buffered(void)
{
	struct dmabuf_rw_queue_opts opts = { .size = sizeof(opts), .depth = 8 };

	/* A queue is not for children. */
	OK(dmabuf_rw_queue_create(&opts, &queue));
	load_with_cache(BUFFERED);
}

static void loads_without_proc_leave_nothing(const void *arg)
{
	open_all(arg, "");
	fd = file_make(&fs, "f", BYTES, 1);
	in_child(go_away_from_proc, load_buffered);
	close(fd);
	finish();
}

static void become_nobody(void)
{
	SYS(setgid(65534));
	SYS(setuid(65534));
}

static void load_once(void)
{
	bind_file(JOURNALED, fd);
	CHECK_EQ(dmabuf_rw_read(binding, 0, 0, BYTES, 0, NULL), BYTES);
	buf_check(&buf, 0, BYTES, 1, 0);
	dmabuf_rw_binding_destroy(binding);
}

/* Who may not write to a file may not ask what of it is cached. */
static void readers_without_rights_leave_nothing_where_the_kernel_helps(const void *arg)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	bool helps;
	int own;

	open_all("ext4", "data=journal");
	own = file_make(&fs, "f", BYTES, 1);
	SYS(fchmod(own, 0644));
	fd = own;
	prepare_cache(true);
	fd = fs_open(&fs, "f", O_RDONLY);
	helps = preadv2(fd, &iov, 1, BYTES, RWF_DONTCACHE) == 0;
	in_child(become_nobody, load_once);
	if (helps)
		check_cache_after("a reader");
	else
		note("the file system does not know RWF_DONTCACHE: %u of %llu pages are cached",
		     look(own, after), PAGES);
	close(fd);
	close(own);
	finish();
}

/* ---- stores --------------------------------------------------------------------------- */

/* A page at each end may stay: what is written in part. */
static void allow_ends(u64 pos, u64 len)
{
	if (pos % 4096)
		before[pos / 4096] = 1;
	if ((pos + len) % 4096)
		before[(pos + len) / 4096] = 1;
}

static void store(enum way way)
{
	static const struct { u64 pos, len; } parts[] = {
		{ 0, BYTES }, { 8192, 2 * MiB }, { 4097, MiB + 4096 }, { 100, 200 },
	};
	/* What is not whole LBAs does not go direct. */
	size_t nr = way == DIRECT ? 2 : ARRAY_SIZE(parts);
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	for (size_t i = 0; i < nr; i++) {
		u64 pos = parts[i].pos, len = parts[i].len;

		prepare_cache(i == 1 && way != DIRECT);
		bind_file(way, fd);
		buf_fill(&buf, 17, len, 50 + i, pos);
		CHECK_EQ(dmabuf_rw_write(binding, pos, 17, len, 0, &result), len);
		CHECK_EQ(result.path, way == DIRECT ? DMABUF_RW_PATH_MODULE :
						      DMABUF_RW_PATH_BOUNCED);
		if (way != DIRECT)
			allow_ends(pos, len);
		check_cache_after("a store");
		dmabuf_rw_binding_destroy(binding);
		file_check(fd, pos, len, 50 + i);
	}
}

static void stores_leave_nothing(const void *arg)
{
	open_all(arg, "");
	fd = file_make(&fs, "f", BYTES, 1);
	store(DIRECT);
	store(BOUNCED);
	close(fd);
	finish();
}

static void store_buffered(void)
{
	store(BUFFERED);
}

static void stores_without_proc_leave_nothing(const void *arg)
{
	open_all(arg, "");
	fd = file_make(&fs, "f", BYTES, 1);
	in_child(go_away_from_proc, store_buffered);
	close(fd);
	finish();
}

/* It is made of zeros, written to, and cut: only its last page goes through the cache. */
static void new_files_are_not_cached(const void *arg)
{
	struct dmabuf_rw_file *file;

	open_all(arg, "");
	OK(dmabuf_rw_file_create(fs_path(&fs, "new"), BYTES, NULL, &file));
	fd = dmabuf_rw_file_fd(file);
	memset(before, 0, sizeof(before));
	check_cache_after("zeros");
	bind_file(DIRECT, fd);
	buf_fill(&buf, 0, BYTES, 3, 0);
	CHECK_EQ(dmabuf_rw_write(binding, 0, 0, BYTES, 0, NULL), BYTES);
	dmabuf_rw_binding_destroy(binding);
	check_cache_after("a store");
	OK(dmabuf_rw_file_commit(file));
	before[PAGES - 1] = 1;
	check_cache_after("the commit");
	dmabuf_rw_file_close(file);
	fd = fs_open(&fs, "new", O_RDONLY);
	file_check(fd, 0, BYTES, 3);
	close(fd);
	finish();
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, loads_leave_nothing);
		TEST_OF_KIND(i, loads_without_proc_leave_nothing);
		TEST_OF_KIND(i, stores_leave_nothing);
		TEST_OF_KIND(i, stores_without_proc_leave_nothing);
		TEST_OF_KIND(i, new_files_are_not_cached);
	}
	TEST(loads_by_way_of_the_page_cache_leave_nothing);
	TEST(readers_without_rights_leave_nothing_where_the_kernel_helps);
}

const struct program program = { "file_cache", add };
