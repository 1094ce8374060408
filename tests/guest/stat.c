// SPDX-License-Identifier: GPL-2.0
/*
 * stat.c - dmabuf-rw stat as users run it: who has bound what, and what has gone through it; what
 * has gone through each drive, with bindings that have gone; and what the kernel's own counters of
 * the drive say of that, which is nothing.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "fs.h"
#include "tool.h"

#define AT	(16 * MiB)

static struct fs fs;
static struct disk disk;
static struct buf buf;
static int binding;

static void open_disk(void)
{
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, MiB);
	binding = OK(drw_bind(buf.fd, disk.fd));
}

/* Of the binding that process @pid has, as JSON has it; "" if there is none. */
static const char *of_process(int pid, const char *key)
{
	static char value[256];
	char pattern[64];
	const char *p;

	RUNS(0, TOOL " stat -o json --pid %d", pid);
	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	p = strstr(out, pattern);
	if (!p)
		return "";
	p += strlen(pattern);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, ",}\n"), p);
	return value;
}

static u64 number(const char *key)
{
	return strtoull(of_process(getpid(), key), NULL, 10);
}

static void transfers_are_counted(const void *arg)
{
	open_disk();
	CHECK_EQ(number("reads"), 0);
	CHECK_EQ(number("buffer_bytes"), MiB);
	CHECK_EQ(drw_read(binding, AT, 0, 64 * KiB), 64 * KiB);
	CHECK_EQ(drw_read(binding, AT, 0, 100), 100);
	CHECK_EQ(drw_write(binding, AT, 0, 4096), 4096);
	FAILS(drw_read(binding, AT, MiB, 512), ERANGE);
	CHECK_EQ(number("reads"), 2);
	CHECK_EQ(number("read_bytes"), 64 * KiB + 100);
	CHECK_EQ(number("writes"), 1);
	CHECK_EQ(number("write_bytes"), 4096);
	CHECK(!strcmp(of_process(getpid(), "state"), "\"mapped\""), "%s", out);
	CHECK(strstr(out, machine_var("DRW_PRIV_PCI")), "%s", out);
	CHECK(strstr(out, disk.name), "%s", out);
	close(binding);
	CHECK(!*of_process(getpid(), "reads"), "%s", out);
}

static void a_file_is_named_with_its_disk(const void *kind)
{
	int fd;

	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "a model", 64 * KiB, 1);
	buf_create(&buf, &exporter_udmabuf, MiB);
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(drw_read(binding, 0, 0, 64 * KiB), 64 * KiB);
	RUNS(0, TOOL " stat");
	CHECK(strstr(out, fs_path(&fs, "a\\040model")), "%s", out);
	CHECK(strstr(out, "64.0 KiB"), "%s", out);
	RUNS(0, TOOL " stat --prometheus");
	CHECK(strstr(out, "a\\\\040model"), "%s", out);
	CHECK(strstr(out, "# TYPE dmabuf_rw_read_bytes_total counter\n"), "%s", out);
	CHECK(strstr(out, "} 65536\n"), "%s", out);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* A child has the same descriptor. */
static void one_that_two_processes_have_is_told_once(const void *arg)
{
	int p[2];
	pid_t pid;
	char c;

	open_disk();
	SYS(pipe(p));
	pid = SYS(fork());
	if (!pid) {
		close(p[1]);
		_exit(read(p[0], &c, 1) != 0);
	}
	RUNS(0, TOOL " stat");
	CHECK(strstr(out, "also open in process"), "%s", out);
	CHECK(strstr(out, ": 1 binding, "), "%s", out);
	RUNS(0, TOOL " stat --pid %d -o json", pid);
	CHECK(strstr(out, disk.name), "%s", out);
	close(p[1]);
	RUNS(1, TOOL " stat --pid 4194000");
	CHECK(strstr(err, "no process"), "%s", err);
}

static void rates_are_of_the_interval(const void *arg)
{
	open_disk();
	CHECK_EQ(drw_read(binding, AT, 0, MiB), MiB);
	RUNS(0, TOOL " stat --watch --interval 0.2 --count 2");
	CHECK(strstr(out, "READ/s"), "%s", out);
	/* Nothing has moved meanwhile. */
	CHECK(strstr(out, "read 0 B/s"), "%s", out);
	CHECK(!strstr(out, "MiB/s"), "%s", out);
}

static void strangers_see_their_own_only(const void *arg)
{
	const char *const args[] = { TOOL, "stat", NULL };

	open_disk();
	CHECK_EQ(run_end(run_start(65534, args)), 0);
	CHECK(strstr(out, "nothing is bound, as far as can be seen"), "%s", out);
	CHECK(strstr(err, "not yours to look into"), "%s", err);
	RUNS(0, TOOL " stat");
	CHECK(strstr(out, disk.name), "%s", out);
}

static void who_is_not_shown_others_is_told_so(const void *arg)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	open_disk();
	run_hide_processes();
	CHECK_EQ(run_end(run_start(65534, (const char *const[]){ TOOL, "stat", NULL })), 0);
	CHECK(strstr(out, "nothing is bound, as far as can be seen"), "%s", out);
	CHECK(strstr(err, "/proc hides the processes of others"), "%s", err);
	CHECK(!strstr(err, "not yours to look into"), "%s", err);
	CHECK_EQ(run_end(run_start(65534, (const char *const[]){
		TOOL, "stat", "-o", "json", NULL })), 0);
	JSON_IS("processes_hidden", "true");
	CHECK_EQ(run_end(run_start(65534, (const char *const[]){
		TOOL, "stat", "--pid", pid, NULL })), 1);
	CHECK(strstr(err, "or /proc hides it"), "%s", err);
	/* Root sees all. */
	CHECK_EQ(run_end(run_start(0, (const char *const[]){
		TOOL, "stat", "-o", "json", NULL })), 0);
	JSON_IS("processes_hidden", "false");
	CHECK(strstr(out, disk.name), "%s", out);
	CHECK(!*err, "%s", err);
}

static u64 kernel_reads(void)
{
	char *text = (char *)slurp("/sys/block/%s/stat", disk.name);

	return strtoull(text, NULL, 10);
}

/*
 * Commands that a driver makes have no bio, and blk_rq_passthrough_stats() wants one, so the
 * drive's counters stay as they are with queue/iostats_passthrough, too.
 */
static void drive_counts_none_of_it_itself(const void *arg)
{
	u64 before;

	open_disk();
	for (int passthrough = 0; passthrough <= 1; passthrough++) {
		if (passthrough && spit("1", "/sys/block/%s/queue/iostats_passthrough",
					disk.name))
			break;
		before = kernel_reads();
		for (int i = 0; i < 8; i++)
			CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
		CHECK_EQ(kernel_reads(), before, "with iostats_passthrough %d", passthrough);
	}
	spit("0", "/sys/block/%s/queue/iostats_passthrough", disk.name);
	CHECK_EQ(number("reads") >= 8, 1);
}

/* ---- totals of drives ----------------------------------------------------------------------- */

#define TOTALS	"/sys/class/misc/dmabuf_rw/drives"

struct total {
	u64 diskseq, bindings, reads, read_bytes, writes, write_bytes, errors;
};

/* What the module's file for a disk says; all zero if there is none. */
static struct total total_of(const char *name)
{
	const char *text = slurp(TOTALS "/%s", name);
	struct total t = { 0 };

	if (*text)
		CHECK_EQ(sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
				" %" SCNu64 " %" SCNu64, &t.diskseq, &t.bindings, &t.reads,
				&t.read_bytes, &t.writes, &t.write_bytes, &t.errors), 7, "%s", text);
	return t;
}

static void totals_outlive_bindings(const void *arg)
{
	struct total before, now;
	char line[128];

	open_disk();
	before = total_of(disk.name);
	CHECK_EQ(before.diskseq, strtoull(slurp("/sys/block/%s/diskseq", disk.name), NULL, 10));
	CHECK_EQ(before.bindings, 1);
	CHECK_EQ(drw_read(binding, AT, 0, 64 * KiB), 64 * KiB);
	CHECK_EQ(drw_read(binding, AT, 0, 512), 512);
	CHECK_EQ(drw_write(binding, AT, 0, 4096), 4096);
	now = total_of(disk.name);
	CHECK_EQ(now.reads, before.reads + 2);
	CHECK_EQ(now.read_bytes, before.read_bytes + 64 * KiB + 512);
	close(binding);
	now = total_of(disk.name);
	CHECK_EQ(now.bindings, 0);
	CHECK_EQ(now.reads, before.reads + 2);
	CHECK_EQ(now.read_bytes, before.read_bytes + 64 * KiB + 512);
	CHECK_EQ(now.writes, before.writes + 1);
	CHECK_EQ(now.write_bytes, before.write_bytes + 4096);
	CHECK_EQ(now.errors, before.errors);

	RUNS(0, TOOL " stat");
	snprintf(line, sizeof(line), "drive %s: 0 bindings, read ", disk.name);
	CHECK(strstr(out, line), "%s", out);
	CHECK(strstr(out, ", since the module was loaded"), "%s", out);
	RUNS(0, TOOL " stat --prometheus");
	CHECK(strstr(out, "# TYPE dmabuf_rw_drive_read_bytes_total counter\n"), "%s", out);
	snprintf(line, sizeof(line), "dmabuf_rw_drive_read_bytes_total{device=\"%s\"} %llu\n",
		 disk.name, (unsigned long long)now.read_bytes);
	CHECK(strstr(out, line), "%s", out);
	RUNS(0, TOOL " stat -o json");
	CHECK(strstr(out, "\"drives\""), "%s", out);
	/* Nobody's in particular. */
	RUNS(0, TOOL " stat -o json --pid %d", getpid());
	CHECK(!strstr(out, "\"drives\""), "%s", out);
}

/* Of the disk and of a partition of it, at the same time; calls that fail count as errors. */
static void totals_are_of_all_bindings(const void *arg)
{
	struct total before, now;
	struct disk part;
	int other;

	open_disk();
	disk_open(&part, "priv512p1");
	other = OK(drw_bind(buf.fd, part.fd));
	before = total_of(disk.name);
	CHECK_EQ(before.bindings, 2);
	CHECK(access(TOTALS, X_OK) == 0 && !*slurp(TOTALS "/%s", part.name), "%s", part.name);
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	CHECK_EQ(drw_write(other, AT, 0, 8192), 8192);
	now = total_of(disk.name);
	CHECK_EQ(now.reads, before.reads + 1);
	CHECK_EQ(now.write_bytes, before.write_bytes + 8192);
	close(other);
	now = total_of(disk.name);
	CHECK_EQ(now.bindings, 1);
	CHECK_EQ(now.reads, before.reads + 1);
	CHECK_EQ(now.write_bytes, before.write_bytes + 8192);
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	close(binding);
	CHECK_EQ(total_of(disk.name).reads, before.reads + 2);
}

static void totals_are_for_everybody_to_see(const void *arg)
{
	const char *const args[] = { TOOL, "stat", NULL };
	char line[64];

	open_disk();
	CHECK_EQ(run_end(run_start(65534, args)), 0);
	snprintf(line, sizeof(line), "drive %s: 1 binding, ", disk.name);
	CHECK(strstr(out, line), "%s", out);
}

static const char *driver_of_plug(void)
{
	static char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/nvme/%s", machine_var("DRW_PLUG_PCI"));
	return path;
}

static void drive_comes(void)
{
	if (access(driver_of_plug(), F_OK))
		OK(spit(machine_var("DRW_PLUG_PCI"), "/sys/bus/pci/drivers/nvme/bind"));
	disk_relink("drw-plug", 1);
}

/*
 * The numbers stay when the drive goes, and hold nothing of it, so that it gets its name again when
 * it comes back. They begin anew when it is bound then; what is still bound to what it was counts
 * no more.
 */
static void totals_of_a_drive_that_has_gone_are_told_until_another_has_its_name(const void *arg)
{
	struct total gone, now;
	struct disk again;
	int other;

	/* So that it has the first name that is free, whatever has become of it before. */
	drive_comes();
	OK(spit(machine_var("DRW_PLUG_PCI"), "/sys/bus/pci/drivers/nvme/unbind"));
	drive_comes();
	disk_open(&disk, "plug512");
	buf_create(&buf, &exporter_udmabuf, MiB);
	binding = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	close(binding);
	binding = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(drw_read(binding, AT, 0, 8192), 8192);
	gone = total_of(disk.name);
	CHECK(gone.reads >= 2 && gone.bindings == 1, "%llu %llu", (unsigned long long)gone.reads,
	      (unsigned long long)gone.bindings);

	OK(spit(machine_var("DRW_PLUG_PCI"), "/sys/bus/pci/drivers/nvme/unbind"));
	FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
	now = total_of(disk.name);
	CHECK_EQ(now.diskseq, gone.diskseq);
	CHECK_EQ(now.reads, gone.reads);
	CHECK_EQ(now.errors, gone.errors + 1);
	RUNS(0, TOOL " stat");
	CHECK(strstr(out, " (gone): 1 binding, read "), "%s", out);
	/* What is bound keeps the old disk's number; to be in a total does not. */
	close(binding);
	close(disk.fd);
	CHECK_EQ(total_of(disk.name).read_bytes, gone.read_bytes);

	drive_comes();
	disk_open(&again, "plug512");
	CHECK(!strcmp(again.name, disk.name), "%s was %s", again.name, disk.name);
	CHECK_EQ(total_of(disk.name).diskseq, gone.diskseq);
	binding = OK(drw_bind(buf.fd, again.fd));
	now = total_of(disk.name);
	CHECK(now.diskseq > gone.diskseq, "%llu", (unsigned long long)now.diskseq);
	CHECK_EQ(now.reads, 0);
	CHECK_EQ(now.bindings, 1);
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);

	/* This one stays open while the drive comes back, so that gets another name. */
	OK(spit(machine_var("DRW_PLUG_PCI"), "/sys/bus/pci/drivers/nvme/unbind"));
	drive_comes();
	disk_open(&disk, "plug512");
	other = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(drw_read(other, AT, 0, 4096), 4096);
	FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
	CHECK_EQ(total_of(disk.name).reads, 1);
	CHECK_EQ(total_of(disk.name).errors, 0);
	close(binding);
	CHECK_EQ(total_of(disk.name).reads, 1);
	CHECK_EQ(total_of(disk.name).bindings, 1);
	close(other);
}

static void add(void)
{
	fs_program();
	TEST(transfers_are_counted);
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, a_file_is_named_with_its_disk);
	TEST(one_that_two_processes_have_is_told_once);
	TEST(rates_are_of_the_interval);
	TEST(strangers_see_their_own_only);
	TEST(who_is_not_shown_others_is_told_so);
	TEST(drive_counts_none_of_it_itself);
	TEST(totals_outlive_bindings);
	TEST(totals_are_of_all_bindings);
	TEST(totals_are_for_everybody_to_see);
	TEST(totals_of_a_drive_that_has_gone_are_told_until_another_has_its_name);
}

const struct program program = { "stat", add };
