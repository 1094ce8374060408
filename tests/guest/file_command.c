// SPDX-License-Identifier: GPL-2.0
/*
 * file_command.c - the dmabuf-rw command as users run it on files: what arrives where, by
 * which way, and what it says. What becomes of files if it does not come to its end is tested
 * in file_stopped.c.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "tool.h"
#include "vfio_bar.h"

#define ROLE		"priv512p1"
#define BUF_BYTES	(2 * MiB)
#define OLD_BYTES	100001
#define USER		65534

static struct fs fs;
static struct buf buf;

#define NAMES_ARE(want) CHECK(!strcmp(fs_names(&fs), want), "%s", fs_names(&fs))

static const char *path(const char *name)
{
	return fs_path(&fs, name);
}

static void open_all(const char *kind)
{
	umask(022);
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	buf_fill(&buf, 0, BUF_BYTES, 9, 0);
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

	open_all(kind);
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
	CHECK(strstr(out, "/b and 1 more into fd:") && strstr(out, "/s, direct (module)\n"),
	      "%s", out);
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

#define MANY		300
#define MANY_BYTES	5003

static void make_many(void)
{
	char name[16];

	for (unsigned int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%03u", i);
		close(file_make(&fs, name, MANY_BYTES, 100 + i));
	}
	sync();
}

/* KiB that the largest of all runs so far has needed. */
static long memory_of_runs(void)
{
	struct rusage usage;

	SYS(getrusage(RUSAGE_CHILDREN, &usage));
	return usage.ru_maxrss;
}

static void hundreds_of_files_need_few_descriptors(const void *kind)
{
	static const char *const options[] = { "", "--verify", "--allow-bounce --verify" };
	long before;

	open_all(kind);
	make_many();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		buf_fill(&buf, 0, BUF_BYTES, 9, 0);
		RUNS(0, TOOL " load %s --into %s %s", path("f000"), inherited(&buf), options[i]);
		before = memory_of_runs();
		RUNS(0, "cd %s && ulimit -n 256 && " TOOL " load f* --into %s %s -o json", fs.dir,
		     inherited(&buf), options[i]);
		CHECK(memory_of_runs() < before + 4096, "%ld and %ld KiB", before,
		      memory_of_runs());
		CHECK_EQ(json_u64("bytes"), MANY * MANY_BYTES);
		JSON_IS("path", "direct");
		for (unsigned int f = 0; f < MANY; f++)
			buf_check(&buf, f * MANY_BYTES, MANY_BYTES, 100 + f, 0);
	}
	/* And still all are looked at before the first is read. */
	buf_fill(&buf, 0, BUF_BYTES, 9, 0);
	RUNS(3, "cd %s && echo x >/tmp/f999 && ln -s /tmp/f999 f999 && ulimit -n 256 && " TOOL
	     " load f* --into %s", fs.dir, inherited(&buf));
	CHECK(strstr(err, "f999 into fd:") && strstr(err, "other than ext4 and XFS"), "%s", err);
	buf_check(&buf, 0, BUF_BYTES, 9, 0);
	fs_finish(&fs);
}

static bool has_loaded(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "read-bytes") > 0;
}

/* Which is open only when it was checked, and when its turn has come. */
static void a_file_that_changes_between_its_check_and_its_turn_is_refused(const void *kind)
{
	const char *args[MANY + 8] = { TOOL, "load", "-o", "json", "--into" };
	unsigned int nr = 5;
	struct rlimit limit;
	pid_t pid;

	open_all(kind);
	make_many();
	SYS(getrlimit(RLIMIT_NOFILE, &limit));
	/* 16 of the 20 can stay open. */
	limit.rlim_cur = 128;
	limit.rlim_max = 128;
	args[nr++] = inherited(&buf);
	for (unsigned int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%03u", i);
		args[nr++] = strdup(path(name));
	}
	SYS(setrlimit(RLIMIT_NOFILE, &limit));
	pid = run_start_stepped(args);
	if (!run_until(pid, has_loaded, NULL))
		FAIL("status %d; %s", run_end(pid), err);
	SYS(rename(path("f100"), path("f019")));
	run_release(pid, 0);
	CHECK_EQ(run_end(pid), 1, "%s", err);
	CHECK(strstr(err, "/f019 is another file than when it was checked"), "%s", err);
	CHECK(strstr(err, "the first 95057 of 100060 bytes are done\n"), "%s", err);
	CHECK_EQ(json_u64("bytes"), 19 * MANY_BYTES);
	buf_check(&buf, 0, MANY_BYTES, 100, 0);
	buf_check(&buf, 18 * MANY_BYTES, MANY_BYTES, 118, 0);
	buf_check(&buf, 19 * MANY_BYTES, MANY_BYTES, 9, 19 * MANY_BYTES);
	fs_finish(&fs);
}

/* ---- store ------------------------------------------------------------------------- */

static void store_makes_a_new_file_of_any_length(const void *kind)
{
	static const u64 lengths[] = { 1000003, 4096, 1, 0 };
	struct stat st;

	open_all(kind);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		RUNS(0, TOOL " store %s --from %s --length %llu --buf-offset 4099 --verify "
		     "-o json", path("new"), inherited(&buf), (unsigned long long)lengths[i]);
		JSON_IS("path", lengths[i] ? "direct" : "none");
		JSON_IS("verified", "true");
		CHECK_EQ(json_u64("direct_bytes"), lengths[i]);
		CHECK_EQ(json_range_u64(0, "direct_bytes"), lengths[i]);
		CHECK_EQ(json_u64("bounced_bytes"), 0);
		/* Zeros and what makes it durable count, too. */
		CHECK(atof(json("seconds")) > atof(json("transfer_seconds")), "%s", out);
		CHECK(!lengths[i] || atof(json("transfer_seconds")) > 0, "%s", out);
		NAMES_ARE("new");
		if (lengths[i])
			file_is(&fs, "new", lengths[i], 9, 4099);
		SYS(stat(path("new"), &st));
		CHECK_EQ(st.st_size, lengths[i]);
		CHECK_EQ(st.st_mode & 07777, 0644);
		SYS(unlink(path("new")));
	}
	/* All of the buffer, where nothing else is said. */
	RUNS(0, "cd %s && " TOOL " store new --from %s --checksum", fs.dir, inherited(&buf));
	CHECK(strstr(out, "stored new from fd:") && strstr(out, "/s, direct (module)\n") &&
	      strstr(out, "sha256 "), "%s", out);
	file_is(&fs, "new", BUF_BYTES, 9, 0);
	fs_finish(&fs);
}

/* Links are followed and stay; what is at their end, wherever that is, is made anew. */
static void store_goes_where_a_link_leads(const void *kind)
{
	struct stat st, now;

	open_all(kind);
	SYS(mkdir(path("d"), 0755));
	close(file_make(&fs, "d/old", OLD_BYTES, 1));
	SYS(stat(path("d/old"), &st));
	SYS(symlink("d/old", path("link")));
	SYS(symlink("link", path("link2")));
	RUNS(0, TOOL " store %s --from %s --length 70003", path("link2"), inherited(&buf));
	SYS(lstat(path("link"), &now));
	CHECK(S_ISLNK(now.st_mode));
	SYS(lstat(path("link2"), &now));
	CHECK(S_ISLNK(now.st_mode));
	SYS(lstat(path("d/old"), &now));
	CHECK(S_ISREG(now.st_mode) && now.st_ino != st.st_ino);
	file_is(&fs, "d/old", 70003, 9, 0);
	NAMES_ARE("d link link2");

	/* In place it is the file at the end as well, and a disk may be at it, too. */
	RUNS(0, TOOL " store %s --in-place --from %s --length 4096", path("link2"),
	     inherited(&buf));
	SYS(stat(path("link2"), &st));
	CHECK_EQ(st.st_ino, now.st_ino);
	/* One to nothing may be meant for a disk that is not there. */
	SYS(unlink(path("d/old")));
	RUNS(1, TOOL " store %s --from %s -o json", path("link2"), inherited(&buf));
	CHECK(strstr(err, "symbolic link") && strstr(err, "nothing"), "%s", err);
	CHECK(!strcmp(slurp("%s", path("d/old")), ""));
	SYS(lstat(path("link"), &now));
	CHECK(S_ISLNK(now.st_mode));
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

	open_all(kind);
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
	file_is(&fs, "f", 70003, 9, 0);
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

	open_all(kind);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(fstat(fd, &st));
	from = inherited(&buf);
	/* The drive writes whole blocks; who wants others says that they may be copied. */
	RUNS(2, TOOL " store %s --in-place --from %s --offset %llu --length %llu", path("f"), from,
	     (unsigned long long)at, (unsigned long long)len);
	CHECK(strstr(err, "multiple of 512") && strstr(err, "--allow-bounce"), "%s", err);
	RUNS(0, TOOL " store %s --in-place --from %s --offset %llu --length %llu --allow-bounce "
	     "--buf-offset 77 --fsync --verify -o json", path("f"), from,
	     (unsigned long long)at, (unsigned long long)len);
	JSON_IS("verified", "true");
	JSON_IS("path", "mixed");
	CHECK(json_u64("bounced_bytes") < 1024, "%s", json("bounced_bytes"));
	CHECK_EQ(json_u64("direct_bytes") + json_u64("bounced_bytes"), len);

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

	open_all(kind);
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

	open_all(kind);
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

/* Never: it is looked at how much it has written on the way. */
static bool has_written(pid_t pid, const void *arg)
{
	u64 *most = (u64 *)arg;

	*most = MAX(*most, run_written(pid));
	return false;
}

/* Only what the drive is to write to must have been written with zeros before. */
static void a_new_file_that_bounces_is_written_once(const void *kind)
{
	u64 most = 0;
	pid_t pid;

	open_all(kind);
	pid = run_start_stepped((const char *const[]){ TOOL, "store", "/tmp/once", "--from",
			inherited(&buf), "--allow-bounce", "-o", "json", NULL });
	run_until(pid, has_written, &most);
	CHECK_EQ(run_end(pid), 0, "%s", err);
	JSON_IS("path", "bounced");
	JSON_IS("reason_name", "FILESYSTEM");
	CHECK_EQ(json_u64("bounced_bytes"), BUF_BYTES);
	CHECK(most < BUF_BYTES + BUF_BYTES / 2, "%llu", (unsigned long long)most);
	RUNS(0, "test $(stat -c %%s /tmp/once) = %llu; rm /tmp/once", BUF_BYTES);
	fs_finish(&fs);
}

static void buffers_of_every_name_are_filled_and_stored(const void *kind)
{
	char bar[64] = "", sum[65];
	const char *buffers[] = { "udmabuf:1M", "heap:system:1M", NULL, bar };

	open_all(kind);
	buffers[2] = inherited(&buf);
	close(file_make(&fs, "f", 1000003, 1));
	RUNS(0, "sha256sum %s", path("f"));
	snprintf(sum, sizeof(sum), "%s", out);
	if (strcmp(machine_var("DRW_IOMMU"), "off") && atof(machine_var("DRW_KERNEL")) >= 6.19) {
		vfio_bar_claim(machine_var("DRW_BAR_PCI"));
		snprintf(bar, sizeof(bar), "vfio:%s/%s", machine_var("DRW_BAR_PCI"),
			 machine_var("DRW_BAR_INDEX"));
	}
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

/* Under cron, standard input is one; and nothing of a file is less than all of it. */
static void what_has_no_bytes_to_give_changes_nothing(const void *kind)
{
	const char *b;
	char f[64];

	open_all(kind);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	snprintf(f, sizeof(f), "%s", path("f"));
	b = inherited(&buf);
	says(run(TOOL " store %s --from fd:0 </dev/null", f), 1, "not a dma-buf");
	says(run(TOOL " store %s --from fd:0 --allow-bounce <%s", f, f), 1, "not a dma-buf");
	says(run(TOOL " load /dev/zero --into %s --allow-bounce", b), 3, "nor a regular file");
	says(run(TOOL " load /proc/cpuinfo --into %s --allow-bounce", b), 2, "tells no bytes");
	says(run(TOOL " store /proc/sys/kernel/hostname --in-place --from %s --allow-bounce", b), 2,
	     "tells no bytes");
	says(run(TOOL " store /dev/nvme99n1 --from %s --allow-bounce", b), 1, "no such device");
	RUNS(1, TOOL " info heap:system:100G");
	CHECK(strstr(err, "make it smaller"), "%s", err);
	/* All that was asked for, and not what the heap has rounded it to. */
	RUNS(0, TOOL " store %s --from heap:system:20000 -o json", path("g"));
	CHECK_EQ(json_u64("bytes"), 20000);
	NAMES_ARE("f g");
	file_is(&fs, "f", OLD_BYTES, 1, 0);
	buf_check(&buf, 0, BUF_BYTES, 9, 0);
	fs_finish(&fs);
}

/* The limit of the test says how long that may take: looking at each block takes longer. */
static void a_huge_sparse_file_is_loaded_in_seconds(const void *kind)
{
	int fd;

	umask(022);
	fs_make(&fs, kind, "big512", 0, "", "");
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, 150 * 1024 * 1024 * KiB));
	file_fill(fd, 0, 300001, 3);
	SYS(fsync(fd));
	close(fd);
	RUNS(0, TOOL " load %s --into %s --allow-bounce --verify -o json", path("f"),
	     inherited(&buf));
	JSON_IS("path", "mixed");
	CHECK(json_u64("direct_bytes") >= 300001);
	buf_check(&buf, 0, 300001, 3, 0);
	RUNS(0, TOOL " load %s --range 149G:1M --into %s --allow-bounce", path("f"),
	     inherited(&buf));
	RUNS(1, TOOL " load %s --range 149G:1M --into %s -o json", path("f"), inherited(&buf));
	JSON_IS("reason_name", "NEVER_WRITTEN");
	CHECK(strstr(err, "hole"), "%s", err);
	fs_finish(&fs);
}

static void make_clone(const char *of, const char *name)
{
	int from = SYS(open(of, O_RDONLY | O_CLOEXEC)), to = fs_open(&fs, name, O_WRONLY | O_CREAT);

	SYS(ioctl(to, FICLONE, from));
	SYS(fsync(to));
	close(to);
	close(from);
}

/* A drive that holds the data, which the file system does not tell of. */
static void a_clone_is_refused_and_says_what_helps(const void *kind)
{
	const char *b;

	umask(022);
	fs_make(&fs, kind, ROLE, 0, "-m reflink=1", "");
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	b = inherited(&buf);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	make_clone(path("f"), "clone");
	RUNS(3, TOOL " info %s %s -o json", path("clone"), b);
	JSON_IS("direct", "false");
	JSON_IS("reason_name", "CLONE");
	RUNS(3, TOOL " load %s --into %s", path("clone"), b);
	CHECK(strstr(err, "cp --reflink=never"), "%s", err);
	RUNS(0, TOOL " load %s --into %s --allow-bounce -o json", path("clone"), b);
	JSON_IS("path", "bounced");
	buf_check(&buf, 0, OLD_BYTES, 1, 0);
	/* As GNU's does with --reflink=never. */
	RUNS(0, "cp %s %s && sync", path("clone"), path("copy"));
	RUNS(0, TOOL " load %s --into %s -o json", path("copy"), b);
	JSON_IS("path", "direct");
	fs_finish(&fs);
}

/* Nobody is kept from it, and only asked is what reading does not change. */
static void info_and_load_open_a_file_for_reading_only(const void *kind)
{
	const char *f, *b;

	open_all(kind);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	f = path("f");
	b = inherited(&buf);
	RUNS(0, TOOL " info %s %s -o json", f, b);
	JSON_IS("can_store", "true");
	/* The command itself, while it runs, can be opened by nobody for writing. */
	RUNS(0, "cp " TOOL " %s/tool && sync && %s/tool load %s/tool --into %s --length 65536",
	     fs.dir, fs.dir, fs.dir, b);
	RUNS(0, "mount -o remount,ro %s && " TOOL " info %s %s -o json; s=$?; " TOOL
	     " load %s --into %s >/dev/null && mount -o remount,rw %s && exit $s", fs.dir, f, b, f,
	     b, fs.dir);
	JSON_IS("can_load", "true");
	JSON_IS("can_store", "false");
	buf_check(&buf, 0, OLD_BYTES, 1, 0);
	fs_finish(&fs);
}

static void rights_that_are_taken_during_a_store_stay_taken(const void *kind)
{
	struct stat st;
	pid_t pid;
	int fd;

	open_all(kind);
	fd = file_make(&fs, "f", OLD_BYTES, 1);
	SYS(fchmod(fd, 0644));
	pid = run_start(0, (const char *const[]){ TOOL, "store", path("f"), "--from",
			inherited(&buf), "--verify", NULL });
	/* At some moment of it. */
	usleep(200000);
	SYS(fchmod(fd, 0600));
	SYS(fchown(fd, 9, 9));
	CHECK_EQ(run_end(pid), 0, "%s", err);
	SYS(stat(path("f"), &st));
	/* Before the new one took its place, or it would be the old one's. */
	if (st.st_uid == 9)
		CHECK_EQ(st.st_mode & 07777, 0600);
	else
		note("too late");
	close(fd);
	fs_finish(&fs);
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
	says(as_user("store", f, "--from"), 1, "/f: ");
	/* Who may read it needs no more. */
	CHECK_EQ(as_user("load", f, "--into"), 0, "%s", err);
	CHECK(strstr(out, "/s, direct (module)\n"), "%s", out);
}

static void what_cannot_be_used_is_refused_in_a_sentence(const void *kind)
{
	static const char *const not_files[] = { "/tmp/pipe", "/tmp/pipe --allow-bounce",
						 "/proc/self/fd/0" };
	const char *b;
	char f[64];
	int status;

	open_all(kind);
	close(file_make(&fs, "f", OLD_BYTES, 1));
	close(fs_open(&fs, "empty", O_RDWR | O_CREAT));
	snprintf(f, sizeof(f), "%s", path("f"));
	b = inherited(&buf);
	if (mkfifo("/tmp/pipe", 0600) && errno != EEXIST)
		FAIL("mkfifo: %s", strerror(errno));

	says(run(TOOL " load %s --into %s", path("none"), b), 1, "/none cannot be opened: No such");
	says(run(TOOL " load %s/g --into %s", f, b), 1, "/f/g cannot be opened: Not a directory");
	RUNS(0, TOOL " load %s --into %s", path("empty"), b);
	says(run(TOOL " load %s --into %s", fs.dir, b), 3, "nor a regular file");
	says(run(TOOL " load %s --into %s --allow-bounce", fs.dir, b), 3, "a directory");
	for (size_t i = 0; i < ARRAY_SIZE(not_files); i++)
		says(run("true | " TOOL " load %s --into %s", not_files[i], b), 3,
		     "nor a regular file");
	says(run(TOOL " store /tmp/pipe --from %s", b), 1, "regular file");
	says(run(TOOL " store /dev/null --from %s", b), 1, "regular file");
	says(run(TOOL " store %s --from %s", fs.dir, b), 1, "directory");
	says(run(TOOL " store /tmp/pipe --in-place --from %s", b), 3, "nor a regular file");
	says(run(TOOL " store /dev/null --in-place --from %s", b), 3, "nor a regular file");
	says(run(TOOL " store %s --in-place --from %s", fs.dir, b), 3, "nor a regular file");
	says(run(TOOL " store %s/g --from %s", path("none"), b), 1,
	     "/none/g: the directory that the file is to be in does not exist");
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
	file_is(&fs, "f", OLD_BYTES, 1, 0);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(120);
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, files_and_ranges_of_them_fill_the_buffer);
		TEST_OF_KIND(i, store_makes_a_new_file_of_any_length);
		TEST_OF_KIND(i, store_goes_where_a_link_leads);
		TEST_OF_KIND(i, the_old_file_is_replaced_in_one_step);
		TEST_OF_KIND(i, in_place_changes_its_range_only);
		TEST_OF_KIND(i, the_page_cache_is_no_fuller_afterwards);
	}
	/* Which of the two it is matters less here. */
	TEST_OF_KIND(0, hundreds_of_files_need_few_descriptors);
	TEST_OF_KIND(1, a_file_that_changes_between_its_check_and_its_turn_is_refused);
	TEST_OF_KIND(0, what_is_not_direct_bounces_if_allowed_and_says_so);
	TEST_OF_KIND(0, a_new_file_that_bounces_is_written_once);
	TEST_OF_KIND(1, buffers_of_every_name_are_filled_and_stored);
	TEST_OF_KIND(0, what_has_no_bytes_to_give_changes_nothing);
	TEST_OF_KIND(1, a_huge_sparse_file_is_loaded_in_seconds);
	TEST_OF_KIND(1, a_clone_is_refused_and_says_what_helps);
	TEST_OF_KIND(0, info_and_load_open_a_file_for_reading_only);
	TEST_OF_KIND(1, rights_that_are_taken_during_a_store_stay_taken);
	TEST_OF_KIND(0, what_cannot_be_used_is_refused_in_a_sentence);
}

const struct program program = { "file_command", add };
