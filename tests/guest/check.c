// SPDX-License-Identifier: GPL-2.0
/*
 * check.c - dmabuf-rw check as users run it: its facts are those of the machine, asking disturbs
 * nobody, and the canary proves what works and finds what somebody spoils on the way.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "fs.h"
#include "require.h"
#include "tool.h"
#include "trace.h"
#include "vfio_bar.h"

#define ROLE		"priv512p1"
#define BUF_BYTES	(2 * MiB)
/* A round of the canary at most, and where its second half begins in a scratch file. */
#define ROUND		MiB
#define SECOND_HALF	(MiB + 4096)

static struct fs fs;
static struct buf buf;

/* Of the first fact of the name the member, as JSON has it. */
static const char *member(const char *name, const char *key)
{
	static char value[2048];
	char pattern[64];
	const char *p, *end;

	snprintf(pattern, sizeof(pattern), "\"fact\":\"%s\"", name);
	p = strstr(out, pattern);
	if (!p)
		return "";
	end = strstr(p + 1, "\"fact\":");
	snprintf(pattern, sizeof(pattern), "\"%s\":\"", key);
	p = strstr(p, pattern);
	if (!p || (end && p > end))
		return "";
	p += strlen(pattern);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\""), p);
	return value;
}

#define FACT_IS(name, state, words)						\
	do {									\
		CHECK(!strcmp(member(name, "state"), state), "%s: %s, %s", name,\
		      member(name, "state"), out);				\
		CHECK(strstr(member(name, "text"), words), "%s: %s", name,	\
		      member(name, "text"));					\
	} while (0)

/* ---- facts ----------------------------------------------------------------------------- */

static void iommu_is_told(void)
{
	const char *mode = machine_var("DRW_IOMMU");

	FACT_IS("IOMMU", "info", !strcmp(mode, "off") ? "none" : !strcmp(mode, "pt") ?
		"passes addresses through" : "translates");
}

static void a_disk_that_goes_direct_has_all_its_facts(const void *role)
{
	struct disk disk;
	char lba[32];

	disk_open(&disk, role);
	RUNS(0, TOOL " check %s udmabuf:1M -o json", disk.path);
	JSON_IS("direct", "true");
	FACT_IS("module", "ok", "loaded");
	FACT_IS("kernel", "ok", machine_var("DRW_KERNEL"));
	FACT_IS("drive", "ok", "QEMU NVMe");
	FACT_IS("path", "ok", "live");
	snprintf(lba, sizeof(lba), "LBAs of %u bytes, no metadata", disk.lba);
	FACT_IS("format", "ok", lba);
	FACT_IS("direct", "ok", "yes, by the module");
	FACT_IS("rights", "ok", "load and store");
	FACT_IS("alignment", "ok", "takes SGLs");
	FACT_IS("route", "ok", "not peer to peer");
	iommu_is_told();
	if (!strncmp(role, "priv", 4)) {
		CHECK(strstr(member("path", "text"), machine_var("DRW_PRIV_PCI")), "%s", out);
		CHECK(strstr(out, "the drive ("), "%s", out);
	}
	/* The same as text, a line for each. */
	RUNS(0, TOOL " check %s udmabuf:1M", disk.path);
	CHECK(strstr(out, "\nok   direct       yes, by the module\n"), "%s", out);
	CHECK(!strstr(out, "\nNO "), "%s", out);
}

static void each_path_of_a_head_is_told(const void *arg)
{
	struct disk disk;
	const char *p;

	require_multipath();
	disk_open(&disk, "mp512");
	RUNS(0, TOOL " check %s udmabuf:1M -o json", disk.path);
	FACT_IS("drive", "ok", "2 paths");
	p = strstr(out, "\"fact\":\"path\"");
	CHECK(p && strstr(p + 1, "\"fact\":\"path\""), "%s", out);
	CHECK(strstr(out, machine_var("DRW_MPA_PCI")), "%s", out);
	CHECK(strstr(out, machine_var("DRW_MPB_PCI")), "%s", out);
	/* Both are behind root ports, which are drawn. */
	CHECK(strstr(out, "root port"), "%s", out);
}

static void a_bars_route_and_aperture_are_told(const void *arg)
{
	const char *bar = vfio_bar_name();
	char aperture[64];
	struct disk disk;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " check %s %s --require-device-memory -o json", disk.path, bar);
	FACT_IS("route", "ok", "peer to peer");
	FACT_IS("route", "ok", "they meet at the host bridge");
	CHECK(strstr(out, "the buffer (BAR "), "%s", out);
	snprintf(aperture, sizeof(aperture), "has %s.0 MiB", machine_var("DRW_BAR_MB"));
	FACT_IS("aperture", "ok", aperture);
}

static void what_is_refused_is_status_3(const void *role)
{
	struct disk disk;

	disk_open(&disk, role);
	RUNS(3, TOOL " check %s udmabuf:1M -o json", disk.path);
	JSON_IS("direct", "false");
	CHECK(!strcmp(member("direct", "state"), "no"), "%s", out);
	CHECK(member("direct", "remedy")[0], "%s", out);
}

/* ---- files ------------------------------------------------------------------------------ */

static void open_all(const char *kind)
{
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
}

static void a_directory_says_what_of_it_goes_direct(const void *kind)
{
	open_all(kind);
	close(file_make(&fs, "good", 100001, 1));
	close(file_make_unwritten(&fs, "unwritten", MiB));
	RUNS(0, TOOL " check %s -o json", fs.dir);
	FACT_IS("file system", "ok", fs.kind);
	FACT_IS("files", "note", "1 of 2");
	FACT_IS("refused", "note", "unwritten for instance");
	FACT_IS("direct", "ok", "yes, files here");
	RUNS(3, TOOL " check %s %s -o json", fs_path(&fs, "good"), fs_path(&fs, "unwritten"));
	RUNS(0, TOOL " check %s %s -o json", fs_path(&fs, "good"), inherited(&buf));
	FACT_IS("direct", "ok", "yes");
	fs_finish(&fs);
}

/* Its disk is tried, which has the same route. */
static void an_empty_directory_is_answered_by_its_disk(const void *kind)
{
	open_all(kind);
	RUNS(0, TOOL " check %s/. udmabuf:1M -o json", fs.dir);
	FACT_IS("direct", "ok", "yes, by the module");
	fs_finish(&fs);
}

static void a_leased_file_is_left_alone(const void *kind)
{
	int fd;

	open_all(kind);
	close(file_make(&fs, "f", 100001, 1));
	fd = fs_open(&fs, "f", O_RDONLY | O_CLOEXEC);
	/* Whoever opens it has the holder get a signal, which ends this test. */
	SYS(fcntl(fd, F_SETSIG, SIGUSR1));
	SYS(fcntl(fd, F_SETLEASE, F_WRLCK));
	RUNS(1, TOOL " check %s udmabuf:1M -o json", fs_path(&fs, "f"));
	FACT_IS("lease", "unknown", "write lease");
	FACT_IS("direct", "unknown", "not opened");
	RUNS(0, TOOL " check %s udmabuf:1M -o json", fs.dir);
	FACT_IS("leased", "note", "1 with a write lease");
	/* Its holder cannot be seen, and the lease can. */
	run_hide_processes();
	CHECK_EQ(run_end(run_start(65534, (const char *const[]){
		TOOL, "check", fs_path(&fs, "f"), "-o", "json", NULL })), 3, "%s", err);
	FACT_IS("lease", "unknown", "write lease");
	CHECK_EQ(SYS(fcntl(fd, F_GETLEASE)), F_WRLCK);
	SYS(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(fd);
	fs_finish(&fs);
}

/* ---- asking disturbs nobody -------------------------------------------------------------- */

/*
 * Nothing but reads of what is there, so nothing that the drive could log as an error. The module
 * tries a drive out once, with a read behind the end, which is not asked about here.
 */
static void asking_writes_nothing_and_asks_for_nothing_that_fails(const void *arg)
{
	static struct trace_event events[1024];
	int watch = SYS(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	u8 *mem = data_alloc(4096);
	struct disk disk;
	char event[4096];
	unsigned int nr;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " check %s udmabuf:1M", disk.path);
	SYS(inotify_add_watch(watch, disk.path, IN_CLOSE_WRITE | IN_MODIFY));
	trace_start(&disk);
	RUNS(0, TOOL " check %s udmabuf:1M", disk.path);
	RUNS(0, TOOL " check %s", disk.path);
	/* This one is to be seen. */
	disk_pread(&disk, mem, 4096, 4 * MiB);
	nr = trace_stop(events, ARRAY_SIZE(events));
	CHECK(trace_count(events, nr, false) >= 1);
	CHECK_EQ(trace_count(events, nr, true), 0);
	for (unsigned int i = 0; i < nr; i++)
		CHECK(events[i].end || (events[i].lba + events[i].blocks) * disk.lba <= disk.bytes,
		      "LBA %llu", (unsigned long long)events[i].lba);
	CHECK(read(watch, event, sizeof(event)) < 0 && errno == EAGAIN);
	close(watch);
}

static void who_has_no_rights_is_told_what_is_not_known(const void *arg)
{
	struct disk disk;
	int status;

	disk_open(&disk, "mp512");
	status = run_end(run_start(65534, (const char *const[]){
		TOOL, "check", disk.path, "-o", "json", NULL }));
	CHECK_EQ(status, 3, "%s", err);
	FACT_IS("user", "info", "65534");
	FACT_IS("module", "no", "may not open");
	FACT_IS("direct", "no", "");
	/* What sysfs tells everybody. */
	FACT_IS("drive", "ok", "QEMU NVMe");
	FACT_IS("path", "ok", "live");
	iommu_is_told();
}

/* ---- the canary ---------------------------------------------------------------------------- */

struct way {
	const char *kind;
	const struct exporter *exporter;
};

static void nothing_is_left(void)
{
	CHECK(!strcmp(fs_names(&fs), "f"), "%s", fs_names(&fs));
	file_is(&fs, "f", 100001, 1, 0);
}

static void the_canary_proves_a_file_system(const void *arg)
{
	const struct way *way = arg;
	const char *trust = "";

	fs_make(&fs, way->kind, ROLE, 0, "", "");
	buf_create(&buf, way->exporter, BUF_BYTES);
	close(file_make(&fs, "f", 100001, 1));
	if (way->exporter == &exporter_mock_bar && !bars_have_a_route()) {
		RUNS(3, TOOL " check --canary %s %s -o json", fs.dir, inherited(&buf));
		FACT_IS("direct", "no", "host bridge");
		FACT_IS("canary", "info", "not let loose");
		trust = "--trust-addresses";
	}
	RUNS(0, TOOL " check --canary %s %s %s -o json", trust, fs.dir, inherited(&buf));
	FACT_IS("proven", "ok", "past the page cache");
	CHECK(strstr(member("proven", "text"), machine_var("DRW_PRIV_PCI")), "%s", out);
	FACT_IS("round", "ok", "bytes from 0 of the file to 0 of the buffer");
	JSON_IS("past_page_cache", "true");
	if (!way->exporter->mock)
		JSON_IS("seen_in_buffer", "true");
	nothing_is_left();
	fs_finish(&fs);
}

static void the_canary_touches_only_its_range_of_a_disk(const void *role)
{
	const u64 at = 8 * MiB, len = 200 * KiB, edge = MiB;
	struct disk disk;

	disk_open(&disk, role);
	disk_fill(&disk, at - edge, len + 2 * edge, 3, 0);
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	buf_fill(&buf, 0, BUF_BYTES, 4, 0);
	RUNS(0, TOOL " check --canary %s --range %llu:%llu %s --buffer-range 64K:100000 -o json",
	     disk.path, (unsigned long long)at, (unsigned long long)len, inherited(&buf));
	FACT_IS("proven", "ok", "rounds");
	FACT_IS("not proven", "info", "");
	disk_check(&disk, at - edge, edge, 3, 0);
	disk_check(&disk, at + len, edge, 3, edge + len);
	buf_check(&buf, 0, 64 * KiB, 4, 0);
	buf_check(&buf, 64 * KiB + 100000, BUF_BYTES - 64 * KiB - 100000, 4, 64 * KiB + 100000);
}

static void the_canary_says_which_paths_it_did_not_take(const void *arg)
{
	struct disk disk;

	require_multipath();
	disk_open(&disk, "mp512");
	RUNS(0, TOOL " check --canary %s --range 64M:1M udmabuf:1M -o json", disk.path);
	CHECK(strstr(out, "1 of the 2 paths") || strstr(out, " and 0000:"), "%s", out);
}

static void the_canary_asks_for_what_may_be_lost(const void *kind)
{
	open_all(kind);
	close(file_make(&fs, "f", 100001, 1));
	RUNS(2, TOOL " check --canary %s udmabuf:1M", fs_path(&fs, "f"));
	CHECK(strstr(err, "--range"), "%s", err);
	RUNS(2, TOOL " check --canary %s", fs.dir);
	/* Nor is it let loose behind the end. */
	RUNS(1, TOOL " check --canary %s --range 64K:64K udmabuf:1M -o json", fs_path(&fs, "f"));
	FACT_IS("canary", "unknown", "not within the file");
	/* What is mounted is not written to. */
	RUNS(1, TOOL " check --canary %s --range 0:1M udmabuf:1M -o json", fs.disk.path);
	FACT_IS("canary", "unknown", "in use");
	nothing_is_left();
	fs_finish(&fs);
}

static void the_canary_is_judged_by_its_own_file(const void *kind)
{
	open_all(kind);
	close(file_make_unwritten(&fs, "f", MiB));
	RUNS(3, TOOL " check %s %s -o json", fs.dir, inherited(&buf));
	RUNS(0, TOOL " check --canary %s %s -o json", fs.dir, inherited(&buf));
	FACT_IS("files", "note", "0 of 1");
	FACT_IS("direct", "ok", "yes, by the module");
	FACT_IS("proven", "ok", "past the page cache");
	CHECK(!strcmp(fs_names(&fs), "f"), "%s", fs_names(&fs));
	fs_finish(&fs);
}

/* Bytes of the events that have come since. */
static ssize_t names_changed(int watch)
{
	static char events[4096];
	ssize_t n = read(watch, events, sizeof(events));

	CHECK(n > 0 || errno == EAGAIN);
	return n > 0 ? n : 0;
}

static void the_canarys_file_never_has_a_name(const void *kind)
{
	int watch = SYS(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));

	open_all(kind);
	close(file_make(&fs, "f", 100001, 1));
	SYS(inotify_add_watch(watch, fs.dir, IN_CREATE | IN_MOVE | IN_DELETE));
	RUNS(0, TOOL " check --canary %s %s", fs.dir, inherited(&buf));
	CHECK_EQ(names_changed(watch), 0);
	/* Where there are no files without a name, there is one for a moment. */
	run_forbid_tmpfile();
	CHECK_EQ(run_end(run_start(0, (const char *const[]){
		TOOL, "check", "--canary", fs.dir, inherited(&buf), NULL })), 0, "%s %s", out, err);
	CHECK(names_changed(watch) > 0);
	close(watch);
	nothing_is_left();
	fs_finish(&fs);
}

/* ---- what the canary finds ------------------------------------------------------------------ */

/* The scratch file of the command, as /proc has it. */
static int scratch_fd(pid_t pid)
{
	char dir[64], link[96], target[128];
	struct dirent *entry;
	int fd = -1;
	ssize_t n;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", pid);
	d = opendir(dir);
	while (d && fd < 0 && (entry = readdir(d))) {
		snprintf(link, sizeof(link), "%s/%.16s", dir, entry->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		target[MAX(n, 0)] = 0;
		if (!strncmp(target, fs.dir, strlen(fs.dir)) && strstr(target, " (deleted)"))
			fd = open(link, O_RDWR | O_CLOEXEC);
	}
	closedir(d);
	return fd;
}

static bool has_read(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "read-bytes") > 0;
}

static bool has_written(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "write-bytes") > 0;
}

/*
 * A byte that changes when it should not, as if the drive, the exporter or the IOMMU had put
 * another one there: somebody else writes it between two steps of the command, which stands
 * still meanwhile.
 */
struct spoiling {
	const char *name;
	bool (*moment)(pid_t pid, const void *arg);
	bool in_file;
	u64 at;
	const char *words;
};

static const struct spoiling spoilings[] = {
	{ "read", has_read, false, 123456, "of the buffer is not what the drive was to read" },
	{ "beside_what_is_read", has_read, false, ROUND + 17,
	  "of the buffer was changed, and was not to be touched" },
	{ "written", has_written, true, SECOND_HALF + 654321,
	  "of the file is not what the drive was to write" },
	{ "beside_what_is_written", has_written, true, SECOND_HALF + ROUND + 4095,
	  "of the file was changed, and was not to be touched" },
	{ "source", has_written, true, 77, "of the file was changed, and was not to be touched" },
};

static void spoil(const struct spoiling *s, pid_t pid)
{
	int fd = s->in_file ? scratch_fd(pid) : -1;
	u8 byte;

	if (!s->in_file) {
		buf_get(&buf, s->at, &byte, 1);
		byte ^= 1;
		buf_put(&buf, s->at, &byte, 1);
		return;
	}
	CHECK(fd >= 0, "the command has no scratch file");
	file_get(fd, s->at, &byte, 1);
	byte ^= 1;
	file_put(fd, s->at, &byte, 1);
	SYS(fsync(fd));
	close(fd);
}

static void the_canary_finds_a_spoilt_byte(const void *arg)
{
	const struct spoiling *s = arg;
	pid_t pid;

	open_all("ext4");
	close(file_make(&fs, "f", 100001, 1));
	pid = run_start_stepped((const char *const[]){ TOOL, "check", "--canary", fs.dir,
				inherited(&buf), "-o", "json", NULL });
	CHECK(run_until(pid, s->moment, NULL), "no such moment; %s", out);
	spoil(s, pid);
	run_release(pid, 0);
	CHECK_EQ(run_end(pid), 4, "%s %s", out, err);
	FACT_IS("canary", "no", s->words);
	JSON_IS("direct", "false");
	nothing_is_left();
	fs_finish(&fs);
}

static void an_interrupted_canary_leaves_nothing(const void *kind)
{
	pid_t pid;

	open_all(kind);
	close(file_make(&fs, "f", 100001, 1));
	pid = run_start_stepped((const char *const[]){ TOOL, "check", "--canary", fs.dir,
				inherited(&buf), "-o", "json", NULL });
	CHECK(run_until(pid, has_read, NULL), "no such moment; %s", out);
	run_release(pid, SIGINT);
	CHECK_EQ(run_end(pid), 130, "%s %s", out, err);
	nothing_is_left();
	fs_finish(&fs);
}

static void add(void)
{
	static const char *const disks[] = { "priv512", "priv4k", "mp512", "priv512p2" };
	static const char *const refused[] = { "meta512", "zoned" };
	static const struct exporter *const exporters_used[] = {
		&exporter_udmabuf, &exporter_heap, &exporter_mock_scattered, &exporter_mock_bar,
	};
	static struct way ways[FS_KINDS * ARRAY_SIZE(exporters_used)];
	size_t i, j, n = 0;

	fs_program();
	test_limit(120);
	for (i = 0; i < ARRAY_SIZE(disks); i++)
		test_add(a_disk_that_goes_direct_has_all_its_facts, disks[i],
			 "a_disk_that_goes_direct_has_all_its_facts.%s", disks[i]);
	TEST(each_path_of_a_head_is_told);
	TEST(a_bars_route_and_aperture_are_told);
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		test_add(what_is_refused_is_status_3, refused[i],
			 "what_is_refused_is_status_3.%s", refused[i]);
	TEST(asking_writes_nothing_and_asks_for_nothing_that_fails);
	TEST(who_has_no_rights_is_told_what_is_not_known);
	for (i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, a_directory_says_what_of_it_goes_direct);
		TEST_OF_KIND(i, an_empty_directory_is_answered_by_its_disk);
		TEST_OF_KIND(i, a_leased_file_is_left_alone);
		TEST_OF_KIND(i, the_canary_asks_for_what_may_be_lost);
		TEST_OF_KIND(i, the_canary_is_judged_by_its_own_file);
		TEST_OF_KIND(i, the_canarys_file_never_has_a_name);
		TEST_OF_KIND(i, an_interrupted_canary_leaves_nothing);
		for (j = 0; j < ARRAY_SIZE(exporters_used); j++) {
			ways[n] = (struct way){ fs_kinds[i], exporters_used[j] };
			test_add(the_canary_proves_a_file_system, &ways[n],
				 "the_canary_proves_a_file_system.%s.%s", fs_kinds[i],
				 exporters_used[j]->name);
			n++;
		}
	}
	for (i = 0; i < 3; i++)
		test_add(the_canary_touches_only_its_range_of_a_disk, disks[i],
			 "the_canary_touches_only_its_range_of_a_disk.%s", disks[i]);
	TEST(the_canary_says_which_paths_it_did_not_take);
	for (i = 0; i < ARRAY_SIZE(spoilings); i++)
		test_add(the_canary_finds_a_spoilt_byte, &spoilings[i],
			 "the_canary_finds_a_spoilt_byte.%s", spoilings[i].name);
}

const struct program program = { "check", add, .machines = MACHINES_EACH_KIND };
