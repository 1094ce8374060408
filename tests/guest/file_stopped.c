// SPDX-License-Identifier: GPL-2.0
/*
 * file_stopped.c - runs of the dmabuf-rw command on files that do not come to their end: for a
 * signal, at whatever moment it comes, or because file system, drive or buffer fail. An old
 * file is there as it was then, and nothing is left beside it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs.h"
#include "tool.h"

#define ROLE		"priv512p1"
#define BUF_BYTES	(2 * MiB)
#define OLD_BYTES	100001
/* What the library writes of zeros at a time, and a store of several of that. */
#define ZEROS		(4 * MiB)
#define LONG		(3 * ZEROS - 4095)
#define LONG_TEXT	"12578817"
/* For what the kernel does after a process has ended; a slow machine included. */
#define PATIENCE_US	30000000ULL

static struct fs fs;
static struct buf buf;

#define NAMES_ARE(want) CHECK(!strcmp(fs_names(&fs), want), "%s", fs_names(&fs))

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

/* ---- moments ----------------------------------------------------------------------- */

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
	u64 space;

	return nameless_files(pid, &space) >= 2 && run_written(pid) >= ZEROS;
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
	return strstr(fs_names(&fs), ".dmabuf-rw-");
}

/* ---- tests --------------------------------------------------------------------------- */

/* In pieces so small and so few at a time that there is a middle. */
static pid_t start_store(void)
{
	return run_start_stepped((const char *const[]){ TOOL, "store", path("f"), "--from",
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
	file_is(&fs, "f", OLD_BYTES, 1, 0);
}

static bool writes_zeros_or_stores(pid_t pid, const void *arg)
{
	return writes_zeros(pid, arg) || stores(pid, arg);
}

/* While the new file gets its zeros: see dmabuf_rw_file_create(). */
static bool (*zeros_moment(void))(pid_t pid, const void *arg)
{
	pid_t pid = start_store();
	bool seen;

	CHECK(run_until(pid, writes_zeros_or_stores, NULL), "no such moment; %s", err);
	seen = !stores(pid, NULL);
	run_release(pid, SIGKILL);
	CHECK_EQ(run_end(pid), 128 + SIGKILL);
	note("the zeros are written by %s", seen ? "the command" : "the drive");
	return seen ? writes_zeros : has_space;
}

/* @fd: the old file; @before: bytes that are free beside it. */
static void end_a_store(bool (*moment)(pid_t pid, const void *arg), const char *says, int fd,
			u64 before)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGKILL };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t pid = start_store();

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
}

static void a_store_that_is_ended_leaves_the_old_file(const void *kind)
{
	bool (*zeros)(pid_t pid, const void *arg);
	u64 before;
	int fd;

	open_all(kind, LONG + 4095);
	CHECK_EQ(LONG, atoi(LONG_TEXT));
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(syncfs(fd));
	before = free_bytes();
	zeros = zeros_moment();
	/* Where the drive does it, that is one step, and the next thing is the transfer. */
	end_a_store(zeros, zeros == writes_zeros ? "interrupted before anything was stored" :
						   "interrupted", fd, before);
	end_a_store(stores, "interrupted; the first ", fd, before);
	close(fd);
	fs_finish(&fs);
}

/* All that end a process and can be caught, but for faults and those that ask for a core. */
static const int ends[] = {
	SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGUSR2, SIGIO,
	SIGPWR, SIGSTKFLT, 34, 64,
};

/* Where the new file has a name from the beginning, it would stay if the process just ended. */
static void no_signal_leaves_a_temporary_file(const void *kind)
{
	int fd;

	open_all(kind, LONG + 4095);
	run_forbid_tmpfile();
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		pid_t pid = start_store();

		CHECK(run_until(pid, stores, NULL), "no such moment; %s", err);
		CHECK(is_named(pid, NULL), "%s", fs_names(&fs));
		/* Some come more than once. */
		if (ends[i] != SIGINT && ends[i] != SIGTERM)
			SYS(kill(pid, ends[i]));
		run_release(pid, ends[i]);
		CHECK_EQ(run_end(pid), 130, "signal %d: %s", ends[i], err);
		JSON_IS("status", "130");
		old_file_is_as_it_was(fd);
	}
	/* Of this one nobody knows in time; the old file is there even so. */
	{
		pid_t pid = start_store();

		CHECK(run_until(pid, stores, NULL), "no such moment; %s", err);
		run_release(pid, SIGKILL);
		CHECK_EQ(run_end(pid), 128 + SIGKILL);
		CHECK(is_named(pid, NULL) && strstr(fs_names(&fs), " f"), "%s", fs_names(&fs));
		file_is(&fs, "f", OLD_BYTES, 1, 0);
	}
	close(fd);
	fs_finish(&fs);
}

/* nohup and shells do that, and mean it. */
static void a_signal_that_was_ignored_stays_so(const void *kind)
{
	pid_t pid;

	open_all(kind, LONG + 4095);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		signal(ends[i], SIG_IGN);
	pid = start_store();
	CHECK(run_until(pid, stores, NULL), "no such moment; %s", err);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		SYS(kill(pid, ends[i]));
	run_release(pid, 0);
	CHECK_EQ(run_end(pid), 0, "%s", err);
	NAMES_ARE("f");
	file_is(&fs, "f", LONG, 9, 0);
	fs_finish(&fs);
}

static void a_limit_of_size_or_a_closed_pipe_is_an_error_like_others(const void *kind)
{
	int fd;

	open_all(kind, LONG + 4095);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	/* In units of 512 or 1024 bytes, as the shell likes. */
	RUNS(1, "ulimit -f 1000; " TOOL " store %s --from %s -o json", path("f"), inherited(&buf));
	JSON_IS("errno_name", "EFBIG");
	old_file_is_as_it_was(fd);
	/* And so is it where nothing goes direct. */
	RUNS(1, "ulimit -f 1000; " TOOL " store /tmp/g --from %s --allow-bounce", inherited(&buf));
	CHECK(strstr(err, "EFBIG"), "%s", err);
	CHECK_EQ(sh("test -z \"$(ls -A /tmp | grep -e dmabuf-rw- -e ^g$)\""), 0);

	/* Who listened is gone before the first word. */
	RUNS(0, "{ " TOOL " store %s --from %s --length 5; echo $? >/tmp/status; } | "
	     "{ exec <&-; while ! test -s /tmp/status; do sleep 0.1; done; }", path("f"),
	     inherited(&buf));
	CHECK(strstr(err, "standard output cannot be written: Broken pipe\n"), "%s", err);
	CHECK(!strcmp(slurp("/tmp/status"), "1"), "%s", slurp("/tmp/status"));
	NAMES_ARE("f");
	file_is(&fs, "f", 5, 9, 0);
	close(fd);
	fs_finish(&fs);
}

static void end_as_it_gets_its_name(int signal)
{
	pid_t pid = run_start_stepped((const char *const[]){ TOOL, "store", path("f"), "--from",
			inherited(&buf), "--length", "70003", NULL });

	CHECK(run_until(pid, is_named, NULL), "no such moment; %s", err);
	file_is(&fs, "f", OLD_BYTES, 1, 0);
	run_release(pid, signal);
	CHECK_EQ(run_end(pid), signal == SIGKILL ? 128 + SIGKILL : 0, "%s", err);
}

/* From then on there is nothing left that could be interrupted. */
static void a_store_that_is_ended_at_its_last_step_is_complete(const void *kind)
{
	static const char hidden[] = ".dmabuf-rw-0123456789abcdef";
	char name[sizeof(hidden)];

	open_all(kind, BUF_BYTES);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	/* Only this leaves another name behind, and it is that of a whole file. */
	end_as_it_gets_its_name(SIGKILL);
	CHECK_EQ(strlen(fs_names(&fs)), strlen(hidden) + strlen(" f"), "%s", fs_names(&fs));
	snprintf(name, sizeof(name), "%s", fs_names(&fs));
	CHECK(!strncmp(name, hidden, strlen(".dmabuf-rw-")), "%s", name);
	file_is(&fs, name, 70003, 9, 0);
	file_is(&fs, "f", OLD_BYTES, 1, 0);
	SYS(unlink(path(name)));

	end_as_it_gets_its_name(SIGINT);
	NAMES_ARE("f");
	file_is(&fs, "f", 70003, 9, 0);
	fs_finish(&fs);
}

static void a_load_that_is_ended_says_how_far_it_came(const void *kind)
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
		/* Nobody is kept from the file meanwhile. */
		SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, BUF_BYTES));
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
	}
	file_is(&fs, "f", BUF_BYTES - 1, 1, 0);
	close(fd);
	fs_finish(&fs);
}

static bool has_bound(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "reads") >= 0;
}

static void a_load_is_ended_between_the_files_that_it_checks(const void *kind)
{
	static const int signals[] = { SIGINT, SIGHUP };
	pid_t pid;
	int fd;

	open_all(kind, BUF_BYTES);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid = run_start_stepped((const char *const[]){ TOOL, "load", path("f"), path("f"),
				path("f"), "--into", inherited(&buf), "-o", "json", NULL });
		CHECK(run_until(pid, has_bound, NULL), "no such moment; %s", err);
		run_release(pid, signals[i]);
		CHECK_EQ(run_end(pid), 130, "%s", err);
		CHECK(strstr(err, "interrupted before anything was loaded"), "%s", err);
		JSON_IS("status", "130");
		buf_check(&buf, 0, BUF_BYTES, 9, 0);
	}
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
	pid = start_store();
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

/* Who has bound it goes on with the old one. */
static void a_store_over_a_bound_file_replaces_it(const void *kind)
{
	int fd, binding;

	open_all(kind, BUF_BYTES);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	binding = OK(drw_bind(buf.fd, fd));
	RUNS(0, TOOL " store %s --from %s", path("f"), inherited(&buf));
	NAMES_ARE("f");
	file_is(&fs, "f", BUF_BYTES, 9, 0);
	file_check(fd, 0, OLD_BYTES, 1);
	close(binding);
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
	close(fd);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(120);
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, a_store_that_is_ended_leaves_the_old_file);
		TEST_OF_KIND(i, a_store_that_is_ended_at_its_last_step_is_complete);
		TEST_OF_KIND(i, a_load_that_is_ended_says_how_far_it_came);
		TEST_OF_KIND(i, a_store_into_a_full_file_system_leaves_the_old_file);
	}
	/* Which of the two it is matters less here. */
	TEST_OF_KIND(1, a_load_is_ended_between_the_files_that_it_checks);
	TEST_OF_KIND(0, no_signal_leaves_a_temporary_file);
	TEST_OF_KIND(1, a_signal_that_was_ignored_stays_so);
	TEST_OF_KIND(0, a_limit_of_size_or_a_closed_pipe_is_an_error_like_others);
	TEST_OF_KIND(0, a_store_whose_buffer_goes_leaves_the_old_file);
	TEST_OF_KIND(1, a_store_over_a_bound_file_replaces_it);
	TEST_OF_KIND(1, a_drive_that_fails_ends_a_load_after_its_good_part);
}

const struct program program = { "file_stopped", add };
