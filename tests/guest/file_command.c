// SPDX-License-Identifier: GPL-2.0
/*
 * file_command.c - the dmabuf-rw command as users run it on files: what arrives where, what
 * it says, and that an old file stays as it was until the new one is complete, whatever
 * happens to the command, the drive or the buffer meanwhile.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "tool.h"

#define ROLE		"priv512p1"
#define BUF_BYTES	(2 * MiB)
#define OLD_BYTES	100001
/* What the library writes of zeros at a time, and a store of several of that. */
#define ZEROS		(4 * MiB)
#define LONG		(3 * ZEROS - 4095)
#define LONG_TEXT	"12578817"
#define USER		65534
/* For what the kernel does after a process has ended; a slow machine included. */
#define PATIENCE_US	30000000ULL

static struct fs fs;
static struct buf buf;

static const char *path(const char *name)
{
	return fs_path(&fs, name);
}

static void open_all(const char *kind, u64 buf_bytes)
{
	umask(022);
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_udmabuf, buf_bytes);
	buf_fill(&buf, 0, buf_bytes, 9, 0);
}

/* An ordinary program finds @bytes bytes in it that @tag has from @pos on, and no more. */
static void file_is(const char *name, u64 bytes, u64 tag, u64 pos)
{
	u8 *got = data_alloc(bytes), *want = data_alloc(bytes);
	int fd;

	drop_caches();
	fd = fs_open(&fs, name, O_RDONLY);
	CHECK_EQ(file_bytes(fd), bytes, "%s", name);
	file_get(fd, 0, got, bytes);
	data_fill(want, bytes, tag, pos);
	data_check(name, got, want, bytes, 0);
	close(fd);
	munmap(got, bytes);
	munmap(want, bytes);
}

/* All names in the file system, one after the other, in their order. */
static const char *names(void)
{
	static char text[512];
	struct dirent **list;
	int n = SYS(scandir(fs.dir, &list, NULL, alphasort));

	text[0] = 0;
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lost+found"))
			continue;
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			 text[0] ? " " : "", name);
	}
	return text;
}

#define NAMES_ARE(want) CHECK(!strcmp(names(), want), "%s", names())

static u64 free_bytes(void)
{
	struct statvfs st;

	SYS(statvfs(fs.dir, &st));
	return st.f_bfree * st.f_frsize;
}

/* What was given up is free again, but for what the file system needs for itself. */
static void space_comes_back(u64 before, u64 given_up)
{
	u64 end = now_us() + PATIENCE_US;

	while (free_bytes() + given_up / 4 < before) {
		CHECK(now_us() < end, "%llu bytes were free, and now %llu",
		      (unsigned long long)before, (unsigned long long)free_bytes());
		usleep(10000);
	}
}

/* Who was killed lets go of a binding a moment later. */
static void gets_unbound(int fd)
{
	u64 end = now_us() + PATIENCE_US;

	while (file_is_pinned(fd)) {
		CHECK(now_us() < end, "it is still bound");
		usleep(10000);
	}
}

/* ---- load -------------------------------------------------------------------------- */

struct range {
	const char *name;
	u64 off, len;
	u64 tag;	/* of the file */
};

static void files_and_ranges_of_them_fill_the_buffer(const void *kind)
{
	static const struct range ranges[] = {
		{ "a", 0, 300001, 1 },
		{ "b", 123, 4567, 2 },
		{ "b", 65536, 200003, 2 },
		{ "b", 5, 0, 2 },
		{ "c", 0, 1, 3 },
	};
	const u64 first = 777;
	const char *to;
	u64 at = first;

	open_all(kind, BUF_BYTES);
	close(file_make(&fs, "a", 300001, 1));
	close(file_make(&fs, "b", 400000, 2));
	close(file_make(&fs, "c", 1, 3));
	to = inherited(&buf);
	RUNS(0, TOOL " load %s %s --range 123:4567 --range 64K:200003 --range 5:0 %s "
	     "--into %s --buf-offset %llu --block-size 64K --verify -o json", path("a"),
	     path("b"), path("c"), to, (unsigned long long)first);

	buf_check(&buf, 0, first, 9, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		const struct range *r = &ranges[i];

		buf_check(&buf, at, r->len, r->tag, r->off);
		CHECK(!strcmp(json_range(i, "file"), path(r->name)));
		CHECK_EQ(json_range_u64(i, "file_offset"), r->off);
		CHECK_EQ(json_range_u64(i, "buf_offset"), at);
		CHECK_EQ(json_range_u64(i, "length"), r->len);
		CHECK_EQ(json_range_u64(i, "bytes"), r->len);
		CHECK_EQ(json_range_u64(i, "direct_bytes"), r->len);
		CHECK_EQ(json_range_u64(i, "bounced_bytes"), 0);
		CHECK(!strcmp(json_range(i, "path"), r->len ? "direct" : "none"));
		at += r->len;
	}
	buf_check(&buf, at, BUF_BYTES - at, 9, at);
	JSON_IS("path", "direct");
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("bytes"), at - first);
	CHECK_EQ(json_u64("direct_bytes"), at - first);
	CHECK_EQ(json_u64("bounced_bytes"), 0);

	RUNS(0, TOOL " load %s %s --into %s", path("b"), path("a"), to);
	CHECK(strstr(out, "/b and 1 more into fd:") && strstr(out, "/s, direct\n"), "%s", out);
	buf_check(&buf, 0, 400000, 2, 0);
	buf_check(&buf, 400000, 300001, 1, 0);

	/* What is wrong with the second is found before the first is read. */
	buf_fill(&buf, 0, BUF_BYTES, 9, 0);
	RUNS(2, TOOL " load %s %s --range 399999:2 --into %s", path("a"), path("b"), to);
	CHECK(strstr(err, "/b has only 1 bytes"), "%s", err);
	RUNS(2, TOOL " load %s %s --buf-offset 1500000 --into %s", path("a"), path("b"), to);
	CHECK(strstr(err, "the files before"), "%s", err);
	RUNS(1, TOOL " load %s %s --into %s", path("a"), path("none"), to);
	buf_check(&buf, 0, BUF_BYTES, 9, 0);
	fs_finish(&fs);
}

/* ---- store ------------------------------------------------------------------------- */

static void store_makes_a_new_file_of_any_length(const void *kind)
{
	static const u64 lengths[] = { 1000003, 4096, 1, 0 };
	struct stat st;

	open_all(kind, BUF_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		RUNS(0, TOOL " store %s --from %s --length %llu --buf-offset 4099 --verify "
		     "-o json", path("new"), inherited(&buf), (unsigned long long)lengths[i]);
		JSON_IS("path", lengths[i] ? "direct" : "none");
		JSON_IS("verified", "true");
		CHECK_EQ(json_u64("direct_bytes"), lengths[i]);
		CHECK_EQ(json_range_u64(0, "direct_bytes"), lengths[i]);
		CHECK_EQ(json_u64("bounced_bytes"), 0);
		NAMES_ARE("new");
		if (lengths[i])
			file_is("new", lengths[i], 9, 4099);
		SYS(stat(path("new"), &st));
		CHECK_EQ(st.st_size, lengths[i]);
		CHECK_EQ(st.st_mode & 07777, 0644);
		SYS(unlink(path("new")));
	}
	/* All of the buffer, where nothing else is said. */
	RUNS(0, "cd %s && " TOOL " store new --from %s --checksum", fs.dir, inherited(&buf));
	CHECK(strstr(out, "stored new from fd:") && strstr(out, "/s, direct\n") &&
	      strstr(out, "sha256 "), "%s", out);
	file_is("new", BUF_BYTES, 9, 0);
	/* A link is taken for what it is, a name; what it leads to is another file. */
	SYS(symlink("new", path("link")));
	RUNS(0, TOOL " store %s --from %s --length 5", path("link"), inherited(&buf));
	SYS(lstat(path("link"), &st));
	CHECK(S_ISREG(st.st_mode));
	file_is("link", 5, 9, 0);
	file_is("new", BUF_BYTES, 9, 0);
	fs_finish(&fs);
}

/* Somebody who looks all the time sees the one or the other, and always all of it. */
static void the_old_file_is_replaced_in_one_step(const void *kind)
{
	u8 *got = data_alloc(BUF_BYTES), *old = data_alloc(BUF_BYTES);
	u8 *new = data_alloc(BUF_BYTES);
	siginfo_t info = {};
	struct stat st, now;
	bool ended;
	pid_t pid;
	int fd, f;

	open_all(kind, BUF_BYTES);
	data_fill(old, OLD_BYTES, 1, 0);
	data_fill(new, 70003, 9, 0);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(fchown(fd, 12, 34));
	SYS(fchmod(fd, 02750));
	SYS(fstat(fd, &st));

	pid = run_start(0, (const char *const[]){ TOOL, "store", path("f"), "--from",
			inherited(&buf), "--length", "70003", "--fsync", NULL });
	do {
		/* At least once more after its end. */
		SYS(waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT));
		ended = info.si_pid == pid;
		f = fs_open(&fs, "f", O_RDONLY);
		SYS(fstat(f, &now));
		CHECK_EQ(now.st_size, now.st_ino == st.st_ino ? OLD_BYTES : 70003);
		file_get(f, 0, got, now.st_size);
		data_check("file", got, now.st_ino == st.st_ino ? old : new, now.st_size, 0);
		close(f);
	} while (!ended);
	CHECK_EQ(run_end(pid), 0, "%s", err);

	CHECK(now.st_ino != st.st_ino);
	CHECK_EQ(now.st_uid, 12);
	CHECK_EQ(now.st_gid, 34);
	CHECK_EQ(now.st_mode & 07777, 02750);
	CHECK_EQ(now.st_nlink, 1);
	NAMES_ARE("f");
	file_is("f", 70003, 9, 0);
	/* Who has it open still has the old one. */
	SYS(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	file_check(fd, 0, OLD_BYTES, 1);
	close(fd);
	fs_finish(&fs);
}

static void in_place_changes_its_range_only(const void *kind)
{
	const u64 at = 12345, len = 50007;
	const char *from;
	struct stat st, now;
	int fd;

	open_all(kind, BUF_BYTES);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(fstat(fd, &st));
	from = inherited(&buf);
	RUNS(0, TOOL " store %s --in-place --from %s --offset %llu --length %llu "
	     "--buf-offset 77 --fsync --verify -o json", path("f"), from,
	     (unsigned long long)at, (unsigned long long)len);
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("direct_bytes"), len);

	/* And these leave it alone. */
	RUNS(2, TOOL " store %s --in-place --from %s --offset 1 --length %u", path("f"), from,
	     OLD_BYTES);
	RUNS(2, TOOL " store %s --from %s --offset 1", path("f"), from);
	CHECK(strstr(err, "--in-place"), "%s", err);
	RUNS(1, TOOL " store %s --in-place --from %s", path("none"), from);
	CHECK(strstr(err, "/none cannot be opened"), "%s", err);
	NAMES_ARE("f");

	drop_caches();
	SYS(fstat(fd, &now));
	CHECK_EQ(now.st_ino, st.st_ino);
	CHECK_EQ(now.st_size, OLD_BYTES);
	CHECK_EQ(now.st_nlink, 1);
	file_check(fd, 0, at, 1);
	file_check(fd, at + len, OLD_BYTES - at - len, 1);
	{
		u8 *got = data_alloc(len), *want = data_alloc(len);

		file_get(fd, at, got, len);
		data_fill(want, len, 9, 77);
		data_check("file", got, want, len, at);
	}
	close(fd);
	fs_finish(&fs);
}

/* ---- what ends in the middle ---------------------------------------------------------- */

/* Descriptors that the command has of files without a name; *@space: of the last one's. */
static unsigned int nameless_files(pid_t pid, u64 *space)
{
	char dir[64], link[64], target[128];
	struct dirent *entry;
	unsigned int nr = 0;
	struct stat st;
	ssize_t n;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", pid);
	d = opendir(dir);
	while (d && (entry = readdir(d))) {
		snprintf(link, sizeof(link), "%s/%.16s", dir, entry->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		target[MAX(n, 0)] = 0;
		if (strncmp(target, fs.dir, strlen(fs.dir)) || !strstr(target, " (deleted)") ||
		    stat(link, &st))
			continue;
		nr++;
		*space = st.st_blocks * 512ULL;
	}
	if (d)
		closedir(d);
	return nr;
}

/* The new file has a second descriptor, through which the first zeros have gone. */
static bool writes_zeros(pid_t pid, const void *arg)
{
	unsigned long long written = 0;
	char path_io[64], line[64];
	u64 space;
	FILE *f;

	if (nameless_files(pid, &space) < 2)
		return false;
	snprintf(path_io, sizeof(path_io), "/proc/%d/io", pid);
	f = fopen(path_io, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "wchar: %llu", &written);
	if (f)
		fclose(f);
	return written >= ZEROS;
}

/* It has its space, and is not bound yet. */
static bool has_space(pid_t pid, const void *arg)
{
	u64 space;

	return nameless_files(pid, &space) && space >= LONG && run_fdinfo(pid, "writes") < 0;
}

static bool stores(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "write-bytes") > 0;
}

static bool loads(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "read-bytes") > 0;
}

/* The new file is complete, and has the name from which it will be renamed. */
static bool is_named(pid_t pid, const void *arg)
{
	return strstr(names(), ".dmabuf-rw-");
}

/* In pieces so small and so few at a time that there is a middle. */
static pid_t start_store(const char *name)
{
	return run_start_stepped((const char *const[]){ TOOL, "store", path(name), "--from",
			inherited(&buf), "--length", LONG_TEXT, "--block-size", "64K",
			"--depth", "2", "-o", "json", NULL });
}

static void old_file_is_as_it_was(int fd)
{
	struct stat st, now;

	NAMES_ARE("f");
	SYS(fstat(fd, &st));
	SYS(stat(path("f"), &now));
	CHECK_EQ(now.st_ino, st.st_ino);
	file_is("f", OLD_BYTES, 1, 0);
}

/* While the new file gets its zeros: see dmabuf_rw_file_create(). */
static bool (*zeros_moment(void))(pid_t pid, const void *arg)
{
	pid_t pid = start_store("g");
	bool seen = run_until(pid, writes_zeros, NULL);

	if (seen)
		run_release(pid, SIGKILL);
	CHECK_EQ(run_end(pid), seen ? 128 + SIGKILL : 0, "%s", err);
	if (!seen)
		SYS(unlink(path("g")));
	note("the zeros are written by %s", seen ? "the command" : "the drive");
	return seen ? writes_zeros : has_space;
}

static void end_a_store(bool (*moment)(pid_t pid, const void *arg), const char *says)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGKILL };
	int fd = fs_open(&fs, "f", O_RDONLY);
	u64 before = free_bytes();

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t pid = start_store("f");

		CHECK(run_until(pid, moment, NULL), "no such moment; %s", err);
		NAMES_ARE("f");
		run_release(pid, signals[i]);
		if (signals[i] == SIGKILL) {
			CHECK_EQ(run_end(pid), 128 + SIGKILL);
		} else {
			CHECK_EQ(run_end(pid), 130, "%s", err);
			CHECK(strstr(err, says) && strstr(err, "as it was"), "%s", err);
			JSON_IS("status", "130");
		}
		old_file_is_as_it_was(fd);
		/* Had anything kept the new one, bound or open, its space would be taken. */
		space_comes_back(before, LONG);
	}
	close(fd);
}

static void a_store_that_is_ended_leaves_the_old_file(const void *kind)
{
	bool (*zeros)(pid_t pid, const void *arg);
	int fd;

	open_all(kind, LONG + 4095);
	CHECK_EQ(LONG, atoi(LONG_TEXT));
	zeros = zeros_moment();
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(syncfs(fd));
	close(fd);
	end_a_store(zeros, zeros == writes_zeros ? "interrupted before anything was stored" :
						   "interrupted; the first 0 of " LONG_TEXT);
	end_a_store(stores, "interrupted; the first ");
	fs_finish(&fs);
}

/* From when the new file has a name, there is nothing left that could be interrupted. */
static void a_store_that_is_ended_at_its_last_step_is_complete(const void *kind)
{
	char left[64];
	pid_t pid;
	int fd;

	open_all(kind, BUF_BYTES);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	for (int i = 0; i < 2; i++) {
		pid = run_start_stepped((const char *const[]){ TOOL, "store", path("f"),
				"--from", inherited(&buf), "--length", "70003", NULL });
		CHECK(run_until(pid, is_named, NULL), "no such moment; %s", err);
		file_is("f", OLD_BYTES, 1, 0);
		run_release(pid, i ? SIGINT : SIGKILL);
		if (i) {
			CHECK_EQ(run_end(pid), 0, "%s", err);
			break;
		}
		/* Only this can leave a name behind, and it is that of a whole file. */
		CHECK_EQ(run_end(pid), 128 + SIGKILL);
		file_is("f", OLD_BYTES, 1, 0);
		CHECK_EQ(sscanf(names(), ".dmabuf-rw-%16[0-9a-f] f", left), 1, "%s", names());
		CHECK_EQ(strlen(names()), strlen(".dmabuf-rw-0123456789abcdef f"));
		snprintf(left, sizeof(left), "%.27s", names());
		file_is(left, 70003, 9, 0);
		SYS(unlink(path(left)));
	}
	NAMES_ARE("f");
	file_is("f", 70003, 9, 0);
	close(fd);
	fs_finish(&fs);
}

static void a_load_that_is_ended_lets_the_file_go(const void *kind)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGKILL };
	u64 done;
	pid_t pid;
	int fd;

	open_all(kind, BUF_BYTES);
	fd = file_make(&fs, "f", BUF_BYTES - 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid = run_start_stepped((const char *const[]){ TOOL, "load", path("f"),
				"--into", inherited(&buf), "--block-size", "64K", "--depth", "2",
				"-o", "json", NULL });
		CHECK(run_until(pid, loads, NULL), "no such moment; %s", err);
		CHECK(file_is_pinned(fd));
		run_release(pid, signals[i]);
		if (signals[i] == SIGKILL) {
			CHECK_EQ(run_end(pid), 128 + SIGKILL);
		} else {
			CHECK_EQ(run_end(pid), 130, "%s", err);
			CHECK(strstr(err, "interrupted; the first "), "%s", err);
			done = json_u64("bytes");
			CHECK(done && done < BUF_BYTES - 1, "%llu", (unsigned long long)done);
			CHECK_EQ(json_range_u64(0, "bytes"), done);
			buf_check(&buf, 0, done, 1, 0);
		}
		gets_unbound(fd);
	}
	file_is("f", BUF_BYTES - 1, 1, 0);
	close(fd);
	fs_finish(&fs);
}

static void a_store_into_a_full_file_system_leaves_the_old_file(const void *kind)
{
	u64 before;
	int fd;

	umask(022);
	fs_make(&fs, kind, ROLE, 48 * MiB, "", "");
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(syncfs(fd));
	before = free_bytes();
	CHECK(before < 64 * MiB);
	RUNS(1, TOOL " store %s --from udmabuf:64M -o json", path("f"));
	JSON_IS("errno_name", "ENOSPC");
	CHECK(strstr(err, "/f: the file system has no space left"), "%s", err);
	old_file_is_as_it_was(fd);
	space_comes_back(before, before);
	/* And goes on from there. */
	RUNS(0, TOOL " store %s --from udmabuf:1M", path("f"));
	NAMES_ARE("f");
	close(fd);
	fs_finish(&fs);
}

static void a_store_whose_buffer_goes_leaves_the_old_file(const void *kind)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = LONG + 4095 };
	u64 before;
	pid_t pid;
	int fd;

	umask(022);
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create_mock(&buf, &args);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(syncfs(fd));
	before = free_bytes();
	pid = start_store("f");
	CHECK(run_until(pid, stores, NULL), "no such moment; %s", err);
	OK(mock_invalidate(&buf, MOCK_INV_REVOKE | MOCK_INV_FORCE, NULL));
	run_release(pid, 0);
	CHECK_EQ(run_end(pid), 1, "%s", err);
	JSON_IS("errno_name", "ESTALE");
	CHECK(json_u64("bytes") < LONG);
	CHECK(strstr(err, "revoked") && strstr(err, "the file is as it was"), "%s", err);
	old_file_is_as_it_was(fd);
	space_comes_back(before, LONG);
	close(fd);
	fs_finish(&fs);
}

#define BAD	(1 * MiB)	/* what the drive does not give any more; a page of it */

static void load_a_bad_file(void)
{
	RUNS(1, TOOL " load %s --into %s --block-size 64K -o json", path("f"), inherited(&buf));
	JSON_IS("errno_name", "ENODATA");
	CHECK_EQ(json_u64("bytes"), BAD);
	CHECK(strstr(err, "medium error") && strstr(err, "the first 1048576 of 2097151 bytes"),
	      "%s", err);
	buf_check(&buf, 0, BAD, 1, 0);
}

static void a_drive_that_fails_ends_a_load_after_its_good_part(const void *kind)
{
	static const char *const ctrls[] = { "DRW_PRIV_PCI", NULL };
	struct file_extent e;
	u64 range[2];
	int fd, status;

	open_all(kind, BUF_BYTES);
	fd = file_make(&fs, "f", BUF_BYTES - 1, 1);
	CHECK(file_extent(fd, BAD, &e));
	range[0] = e.at + BAD - e.pos;
	range[1] = 4096;
	SYS(ioctl(fs.disk.fd, BLKDISCARD, range));
	if (!disk_set_dulbe(&fs.disk, ctrls, true))
		skip("the drive does not report reads of deallocated blocks");
	/* It outlives the test, so it is taken back whatever happens. */
	if (!SYS(fork())) {
		load_a_bad_file();
		_exit(0);
	}
	SYS(wait(&status));
	disk_set_dulbe(&fs.disk, ctrls, false);
	if (status)
		_exit(1);
	gets_unbound(fd);
	close(fd);
	fs_finish(&fs);
}

/* ---- caches ------------------------------------------------------------------------- */

/* Pages of the file that are in the page cache. */
static u64 cached(const char *name)
{
	static unsigned char in[BUF_BYTES / 4096];
	int fd = fs_open(&fs, name, O_RDWR);
	u64 bytes = file_bytes(fd), nr = 0;
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED && bytes <= BUF_BYTES);
	SYS(mincore(map, bytes, in));
	for (u64 i = 0; i < (bytes + 4095) / 4096; i++)
		nr += in[i] & 1;
	munmap(map, bytes);
	close(fd);
	return nr;
}

static void the_page_cache_is_no_fuller_afterwards(const void *kind)
{
	u64 before;
	int fd;
	u8 byte;

	open_all(kind, BUF_BYTES);
	close(file_make(&fs, "f", 1000003, 1));
	drop_caches();
	CHECK_EQ(cached("f"), 0);
	RUNS(0, TOOL " load %s --into %s --range 5:999000 --verify --checksum", path("f"),
	     inherited(&buf));
	CHECK_EQ(cached("f"), 0);
	/* Nor, of course, is it where something of it was read before. */
	fd = fs_open(&fs, "f", O_RDONLY);
	SYS(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
	file_get(fd, 500000, &byte, 1);
	close(fd);
	before = cached("f");
	CHECK(before > 0);
	RUNS(0, TOOL " load %s --into %s --verify", path("f"), inherited(&buf));
	CHECK(cached("f") <= before);
	RUNS(0, TOOL " store %s --in-place --from %s --verify", path("f"), inherited(&buf));
	CHECK(cached("f") <= before);

	RUNS(0, TOOL " store %s --from %s --length 1MiB --verify", path("new"),
	     inherited(&buf));
	CHECK_EQ(cached("new"), 0);
	/* Cutting a file within a page is the file system's work, which it does in the cache. */
	RUNS(0, TOOL " store %s --from %s --length 1000003 --verify", path("new"),
	     inherited(&buf));
	CHECK(cached("new") <= 1, "%llu", (unsigned long long)cached("new"));
	fs_finish(&fs);
}

/* ---- bouncing, and buffers -------------------------------------------------------------- */

static void make_tmpfile(u64 bytes, u64 tag)
{
	u8 *mem = data_alloc(bytes);
	int fd = SYS(open("/tmp/f", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	data_fill(mem, bytes, tag, 0);
	file_put(fd, 0, mem, bytes);
	close(fd);
}

static void what_is_not_direct_bounces_if_allowed_and_says_so(const void *kind)
{
	const u64 len = 300001;
	struct stat st;
	const char *b;
	int fd;

	open_all(kind, BUF_BYTES);
	make_tmpfile(len, 2);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	b = inherited(&buf);
	RUNS(3, TOOL " load /tmp/f --into %s", b);
	CHECK(strstr(err, "/tmp/f into fd:") && strstr(err, "other than ext4 and XFS"), "%s",
	      err);
	CHECK(!out[0], "%s", out);
	RUNS(3, TOOL " store /tmp/f --from %s", b);
	buf_check(&buf, 0, BUF_BYTES, 9, 0);

	RUNS(0, TOOL " load /tmp/f %s --into %s --allow-bounce --verify -o json", path("f"), b);
	buf_check(&buf, 0, len, 2, 0);
	buf_check(&buf, len, OLD_BYTES, 1, 0);
	JSON_IS("path", "mixed");
	CHECK_EQ(json_u64("bounced_bytes"), len);
	CHECK_EQ(json_u64("direct_bytes"), OLD_BYTES);
	CHECK(!strcmp(json_range(0, "path"), "bounced"));
	CHECK_EQ(json_range_u64(0, "bounced_bytes"), len);
	CHECK(!strcmp(json_range(0, "reason_name"), "FILESYSTEM"));
	CHECK(!strcmp(json_range(1, "path"), "direct"));
	CHECK_EQ(json_range_u64(1, "direct_bytes"), OLD_BYTES);
	CHECK_EQ(json_range_u64(1, "bounced_bytes"), 0);

	RUNS(0, TOOL " load /tmp/f --into %s --allow-bounce", b);
	CHECK(strstr(out, "/s, bounced\ndirect 0 B (0 bytes), bounced 293.0 KiB (300001 bytes)\n"
		     "/tmp/f is not direct: "), "%s", out);

	/* The other way, in place, it does not become longer. */
	RUNS(2, TOOL " store /tmp/f --from %s --in-place --offset 1 --length %llu --allow-bounce",
	     b, (unsigned long long)len);
	buf_fill(&buf, 0, BUF_BYTES, 7, 0);
	RUNS(0, TOOL " store /tmp/f --from %s --length 70003 --allow-bounce -o json", b);
	JSON_IS("path", "bounced");
	CHECK_EQ(json_u64("bounced_bytes"), 70003);
	fd = SYS(open("/tmp/f", O_RDONLY | O_CLOEXEC));
	SYS(fstat(fd, &st));
	CHECK_EQ(st.st_size, 70003);
	file_check(fd, 0, 70003, 7);
	close(fd);
	CHECK_EQ(sh("test -z \"$(ls -A /tmp | grep dmabuf-rw-)\""), 0, "something is left over");
	fs_finish(&fs);
}

static void buffers_of_every_name_are_filled_and_stored(const void *kind)
{
	char bar[64] = "", sum[65];
	const char *buffers[] = { "udmabuf:1M", "heap:system:1M", NULL, bar };

	open_all(kind, BUF_BYTES);
	buffers[2] = inherited(&buf);
	close(file_make(&fs, "f", 1000003, 1));
	RUNS(0, "sha256sum %s", path("f"));
	snprintf(sum, sizeof(sum), "%s", out);
	if (strcmp(machine_var("DRW_IOMMU"), "off") && atof(machine_var("DRW_KERNEL")) >= 6.19)
		snprintf(bar, sizeof(bar), "vfio:%s/%s", machine_var("DRW_BAR_PCI"),
			 machine_var("DRW_BAR_INDEX"));
	for (size_t i = 0; i < ARRAY_SIZE(buffers) && buffers[i][0]; i++) {
		RUNS(0, TOOL " load %s --into %s --verify --checksum -o json", path("f"),
		     buffers[i]);
		JSON_IS("sha256", sum);
		JSON_IS("path", "direct");
		JSON_IS("buffer", buffers[i]);
		RUNS(0, TOOL " store %s --from %s --length 70003 --verify --checksum -o json",
		     path("g"), buffers[i]);
		JSON_IS("path", "direct");
		snprintf(sum, sizeof(sum), "%s", json("sha256"));
		RUNS(0, "sha256sum %s", path("g"));
		CHECK(!strncmp(out, sum, 64), "%s: %s and %s", buffers[i], out, sum);
		RUNS(0, "sha256sum %s", path("f"));
		snprintf(sum, sizeof(sum), "%s", out);
	}
	fs_finish(&fs);
}

/* ---- what is not a file ------------------------------------------------------------------ */

/* One sentence, of which @words are a part. */
static void says(int status, int want, const char *words)
{
	CHECK_EQ(status, want, "%s", err);
	CHECK(!strncmp(err, "dmabuf-rw ", 10) && strchr(err, '\n') == err + strlen(err) - 1,
	      "%s", err);
	CHECK(strstr(err, words) && !strstr(err, "usage") && !strstr(err, "--help"), "%s", err);
	CHECK(!out[0], "%s", out);
}

static int as_user(const char *verb, const char *file, const char *preposition)
{
	return run_end(run_start(USER, (const char *const[]){ TOOL, verb, file, preposition,
								inherited(&buf), NULL }));
}

static void as_a_user_without_rights(const char *f)
{
	SYS(chmod(f, 0600));
	says(as_user("load", f, "--into"), 1, "/f cannot be opened: Permission denied");
	SYS(chmod(f, 0644));
	says(as_user("load", f, "--into"), 3, "neither open for writing nor owned");
	says(as_user("store", f, "--from"), 1, "/f: ");
	/* Who may write it may also keep others from that for a while. */
	SYS(chmod(f, 0666));
	CHECK_EQ(as_user("load", f, "--into"), 0, "%s", err);
	CHECK(strstr(out, "/s, direct\n"), "%s", out);
}

static void what_cannot_be_used_is_refused_in_a_sentence(const void *kind)
{
	static const char *const not_files[] = { "/tmp/pipe", "/tmp/pipe --allow-bounce",
						 "/proc/self/fd/0" };
	const char *f, *b;
	int status;

	open_all(kind, BUF_BYTES);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	close(fs_open(&fs, "empty", O_RDWR | O_CREAT));
	f = path("f");
	b = inherited(&buf);
	if (mkfifo("/tmp/pipe", 0600) && errno != EEXIST)
		FAIL("mkfifo: %s", strerror(errno));

	says(run(TOOL " load %s --into %s", path("none"), b), 1, "/none cannot be opened: No such");
	says(run(TOOL " load %s/g --into %s", f, b), 1, "/f/g cannot be opened: Not a directory");
	says(run(TOOL " load %s --into %s", path("empty"), b), 3, "/empty into fd:");
	CHECK(strstr(err, "the file is empty"), "%s", err);
	says(run(TOOL " load %s --into %s", fs.dir, b), 3, "not a regular file");
	says(run(TOOL " load %s --into %s --allow-bounce", fs.dir, b), 3, "a directory");
	for (size_t i = 0; i < ARRAY_SIZE(not_files); i++)
		says(run("true | " TOOL " load %s --into %s", not_files[i], b), 3,
		     "not a regular file");
	says(run(TOOL " store /tmp/pipe --from %s", b), 3, "not a regular file");
	says(run(TOOL " store %s --from %s", fs.dir, b), 1, "Is a directory");
	says(run(TOOL " store %s/g --from %s", path("none"), b), 1, "/none/g: No such file");
	says(run(TOOL " load %s --into fd:99", f), 1, "fd:99");
	says(run(TOOL " load %s --into heap:none:1M", f), 1, "/dev/dma_heap/none");

	/* A file is one on standard input as well. */
	RUNS(0, TOOL " load /proc/self/fd/0 --into %s <%s", b, f);
	buf_check(&buf, 0, OLD_BYTES, 1, 0);

	/* The node is for its group; here it is the file's rights that are asked. */
	SYS(chmod(DMABUF_RW_DEVICE, 0666));
	if (!SYS(fork())) {
		as_a_user_without_rights(f);
		_exit(0);
	}
	SYS(wait(&status));
	SYS(chmod(DMABUF_RW_DEVICE, 0660));
	if (status)
		_exit(1);
	NAMES_ARE("empty f");
	file_is("f", OLD_BYTES, 1, 0);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(120);
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, files_and_ranges_of_them_fill_the_buffer);
		TEST_OF_KIND(i, store_makes_a_new_file_of_any_length);
		TEST_OF_KIND(i, the_old_file_is_replaced_in_one_step);
		TEST_OF_KIND(i, in_place_changes_its_range_only);
		TEST_OF_KIND(i, a_store_that_is_ended_leaves_the_old_file);
		TEST_OF_KIND(i, a_store_that_is_ended_at_its_last_step_is_complete);
		TEST_OF_KIND(i, a_load_that_is_ended_lets_the_file_go);
		TEST_OF_KIND(i, a_store_into_a_full_file_system_leaves_the_old_file);
		TEST_OF_KIND(i, a_store_whose_buffer_goes_leaves_the_old_file);
		TEST_OF_KIND(i, a_drive_that_fails_ends_a_load_after_its_good_part);
		TEST_OF_KIND(i, the_page_cache_is_no_fuller_afterwards);
	}
	/* Which of the two it is matters less here. */
	TEST_OF_KIND(0, what_is_not_direct_bounces_if_allowed_and_says_so);
	TEST_OF_KIND(1, buffers_of_every_name_are_filled_and_stored);
	TEST_OF_KIND(0, what_cannot_be_used_is_refused_in_a_sentence);
}

const struct program program = { "file_command", add };
