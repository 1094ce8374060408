// SPDX-License-Identifier: GPL-2.0
/*
 * command.c - the dmabuf-rw command as users run it on disks: what it moves, what it says,
 * and what it exits with. Files have a program of their own, file_command.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "tool.h"
#include "vfio_bar.h"

static void sha256_of_disk(const struct disk *disk, u64 off, u64 len, char *sum)
{
	CHECK_EQ(run("dd if=%s bs=4096 skip=%llu count=%llu 2>/dev/null | sha256sum",
		     disk->path, (unsigned long long)off / 4096,
		     (unsigned long long)len / 4096), 0);
	snprintf(sum, 65, "%s", out);
	CHECK_EQ(strlen(sum), 64);
}

static void load_fills_exactly_its_range(const void *arg)
{
	const u64 at = 4 * MiB, len = 3 * MiB + 4096;
	struct disk disk;
	struct buf buf;

	disk_open(&disk, arg);
	buf_create(&buf, &exporter_udmabuf, 8 * MiB);
	disk_fill(&disk, at, len, 1, 0);
	buf_fill(&buf, 0, 8 * MiB, 2, 0);
	RUNS(0, TOOL " load %s --into %s --offset 4M --length %llu --buf-offset 1MiB "
	     "--block-size 64K --depth 5 --verify -o json", disk.path, inherited(&buf),
	     (unsigned long long)len);
	buf_check(&buf, 0, MiB, 2, 0);
	buf_check(&buf, MiB, len, 1, 0);
	buf_check(&buf, MiB + len, 8 * MiB - MiB - len, 2, MiB + len);
	JSON_IS("path", "direct");
	CHECK(strstr(out, "\"module\""), "%s", out);
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("bytes"), len);
	CHECK_EQ(json_u64("direct_bytes"), len);
	CHECK_EQ(json_u64("read_bytes"), len);
	CHECK_EQ(json_u64("transfers"), (len + 65535) / 65536);
}

static void store_fills_exactly_its_range(const void *arg)
{
	const u64 at = 4 * MiB, len = 2 * MiB;
	struct disk disk;
	struct buf buf;

	disk_open(&disk, arg);
	buf_create(&buf, &exporter_udmabuf, 8 * MiB);
	disk_fill(&disk, at - MiB, len + 2 * MiB, 3, 0);
	buf_fill(&buf, 0, 8 * MiB, 4, 0);
	RUNS(0, TOOL " store %s --from %s --offset 4M --length 2M --buf-offset 4K --fua "
	     "--fsync --verify -o json", disk.path, inherited(&buf));
	disk_check(&disk, at - MiB, MiB, 3, 0);
	disk_check(&disk, at, len, 4, 4096);
	disk_check(&disk, at + len, MiB, 3, MiB + len);
	JSON_IS("path", "direct");
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("write_bytes"), len);
}

static void forbidden_io_uring_is_done_without(const void *arg)
{
	struct disk disk;
	struct buf buf;
	int status;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, 2 * MiB);
	disk_fill(&disk, 4 * MiB, 2 * MiB, 5, 0);
	RUNS(0, TOOL " load %s --into udmabuf:4K -o json", disk.path);
	JSON_IS("io_uring", "true");
	if (spit("2", "/proc/sys/kernel/io_uring_disabled"))
		skip("this kernel cannot forbid io_uring");
	status = run(TOOL " load %s --into %s --offset 4M --verify -o json", disk.path,
		     inherited(&buf));
	OK(spit("0", "/proc/sys/kernel/io_uring_disabled"));
	CHECK_EQ(status, 0, "%s", err);
	JSON_IS("io_uring", "false");
	JSON_IS("path", "direct");
	buf_check(&buf, 0, 2 * MiB, 5, 0);
}

static void a_bar_is_filled_and_written_back(const void *arg)
{
	const char *bar = vfio_bar_name();
	char sum[65], again[65];
	struct disk disk;

	disk_open(&disk, "priv512");
	disk_fill(&disk, 8 * MiB, 16 * MiB, 6, 0);
	disk_fill(&disk, 32 * MiB, 16 * MiB, 7, 0);
	sha256_of_disk(&disk, 8 * MiB, 16 * MiB, sum);

	RUNS(0, TOOL " load %s --into %s --offset 8M --length 16M --verify --checksum "
	     "--require-device-memory -o json", disk.path, bar);
	JSON_IS("sha256", sum);
	JSON_IS("mem_class", "BAR");
	JSON_IS("bar_pci", machine_var("DRW_BAR_PCI"));
	CHECK(!strncmp(json("description"), "peer to peer", 12), "%s", json("description"));
	RUNS(0, TOOL " store %s --from %s --offset 32M --length 16M --fsync", disk.path, bar);
	CHECK(strstr(out, "direct"), "%s", out);
	sha256_of_disk(&disk, 32 * MiB, 16 * MiB, again);
	CHECK(!strcmp(sum, again), "%s and %s", sum, again);
}

static void the_checksum_is_that_of_sha256sum(const void *arg)
{
	struct disk disk;
	char sum[65];

	disk_open(&disk, "priv4k");
	disk_fill(&disk, 4 * MiB, 3 * MiB, 8, 0);
	sha256_of_disk(&disk, 4 * MiB, 3 * MiB, sum);
	RUNS(0, TOOL " load %s --into heap:system:3M --offset 4M --checksum -o json",
	     disk.path);
	JSON_IS("sha256", sum);
	RUNS(0, TOOL " load %s --into udmabuf:3M --offset 4M --checksum", disk.path);
	CHECK(strstr(out, sum), "%s", out);
}

struct spoiler {
	struct buf *buf;
	volatile bool end;
};

static void *spoil(void *arg)
{
	struct spoiler *s = arg;

	while (!s->end)
		for (u64 off = 0; off < s->buf->bytes; off += 512)
			((volatile u8 *)s->buf->map)[off] = 0xff;
	return NULL;
}

/* Another writer keeps changing the buffer while the command works. */
static void verify_finds_a_difference(const void *arg)
{
	u8 *zeros = data_alloc(4 * MiB);
	struct spoiler s = {};
	struct disk disk;
	struct buf buf;
	pthread_t thread;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, 4 * MiB);
	CHECK(buf.map);
	memset(zeros, 0, 4 * MiB);
	disk_pwrite(&disk, zeros, 4 * MiB, 4 * MiB);
	s.buf = &buf;
	OK(-pthread_create(&thread, NULL, spoil, &s));
	/* In small blocks, so that there is time between the first one and its check. */
	RUNS(4, TOOL " load %s --into %s --offset 4M --verify --block-size 512 --depth 1 "
	     "-o json", disk.path, inherited(&buf));
	s.end = true;
	pthread_join(thread, NULL);
	JSON_IS("verified", "false");
	CHECK_EQ(json_u64("first_difference") % 512, 0);
	CHECK(strstr(err, "differ"), "%s", err);
}

static void info_answers_for_a_pair(const void *arg)
{
	struct disk disk;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " info");
	CHECK(strstr(out, "usable"), "%s", out);
	RUNS(0, TOOL " info %s udmabuf:1M -o json", disk.path);
	JSON_IS("direct", "true");
	JSON_IS("mem_class", "RAM");
	JSON_IS("nvme_pci", machine_var("DRW_PRIV_PCI"));
	CHECK_EQ(json_u64("file_bytes"), disk.bytes);
	CHECK(strstr(json("description"), "not peer to peer"));
	JSON_IS("iommu", !strcmp(machine_var("DRW_IOMMU"), "off") ? "none" :
		!strcmp(machine_var("DRW_IOMMU"), "pt") ? "passthrough" : "translated");
	/* The order does not matter, and a file may stand alone. */
	RUNS(0, TOOL " info heap:system:64K %s", disk.path);
	CHECK(strstr(out, "load and store"), "%s", out);
	RUNS(0, TOOL " info %s", disk.path);
	CHECK(strstr(out, "tried with"), "%s", out);
}

static void info_says_why_not_the_other_way(const void *arg)
{
	struct disk disk;
	bool usable;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " info");
	usable = strstr(out, "kernel's way   usable");
	RUNS(0, TOOL " info %s udmabuf:1M", disk.path);
	CHECK(strstr(out, usable ? "by the kernel  yes, too\n" : "by the kernel  no: "), "%s", out);
	/* A pair that no way takes has a reason for each. */
	OK(sh("echo none >/tmp/on-no-disk"));
	RUNS(3, TOOL " info /tmp/on-no-disk udmabuf:1M");
	CHECK(strstr(out, "direct         no\nwhy            "), "%s", out);
	CHECK(strstr(out, "by the kernel  no: "), "%s", out);
	RUNS(usable ? 0 : 3, TOOL " info %s udmabuf:1M --way kernel -o json", disk.path);
	JSON_IS("direct", usable ? "true" : "false");
	if (!usable) {
		JSON_IS("reason_name", "NO_KERNEL_WAY");
		return;
	}
	RUNS(0, TOOL " info %s udmabuf:1M --way kernel", disk.path);
	CHECK(strstr(out, "by the module  no: "), "%s", out);
}

/* Who closes a disk that was open for writing has udev read it anew. */
static void info_opens_a_disk_for_reading_only(const void *arg)
{
	int watch = SYS(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)), on = 1, off = 0;
	char event[4096];
	struct disk disk;

	disk_open(&disk, "priv512");
	SYS(inotify_add_watch(watch, disk.path, IN_CLOSE_WRITE));
	RUNS(0, TOOL " info %s udmabuf:1M -o json", disk.path);
	JSON_IS("can_load", "true");
	JSON_IS("can_store", "true");
	RUNS(0, TOOL " info %s", disk.path);
	CHECK(strstr(out, "yes: load and store, by the module\n"), "%s", out);
	CHECK(read(watch, event, sizeof(event)) < 0 && errno == EAGAIN);

	SYS(ioctl(disk.fd, BLKROSET, &on));
	RUNS(0, TOOL " info %s udmabuf:1M -o json", disk.path);
	SYS(ioctl(disk.fd, BLKROSET, &off));
	JSON_IS("can_load", "true");
	JSON_IS("can_store", "false");
}

struct refusal {
	const char *name;
	const char *role;	/* of a disk; null: the path below */
	const char *path;
	const char *options;
	const char *errno_name, *reason_name;
};

static const struct refusal refusals[] = {
	{ "metadata", "meta512", NULL, "", "EMEDIUMTYPE", "METADATA" },
	{ "zoned", "zoned", NULL, "", "EMEDIUMTYPE", "ZONED" },
	{ "character_device", NULL, "/dev/null", "", "ENOTBLK", "NOT_BLOCK" },
	{ "file_on_tmpfs", NULL, "/tmp/file", "", "ENOTBLK", "FILESYSTEM" },
	{ "device_memory", "priv512", NULL, "--require-device-memory", "EXDEV",
	  "NOT_DEVICE_MEMORY" },
};

static void refused_with_status_3_and_a_remedy(const void *arg)
{
	const struct refusal *r = arg;
	struct disk disk;

	if (r->role)
		disk_open(&disk, r->role);
	else
		snprintf(disk.path, sizeof(disk.path), "%s", r->path);
	if (r->path && !strcmp(r->path, "/tmp/file"))
		CHECK_EQ(sh("echo contents > %s", r->path), 0);
	RUNS(3, TOOL " load %s --into udmabuf:64K %s -o json", disk.path, r->options);
	JSON_IS("errno_name", r->errno_name);
	JSON_IS("reason_name", r->reason_name);
	CHECK(strlen(json("remedy")) > 10);
	RUNS(3, TOOL " info %s udmabuf:64K %s -o json", disk.path, r->options);
	JSON_IS("direct", "false");
	JSON_IS("reason_name", r->reason_name);
	RUNS(3, TOOL " info %s udmabuf:64K %s", disk.path, r->options);
	CHECK(strstr(out, "what to do"), "%s", out);
}

static void ranges_outside_are_refused_before_anything_moves(const void *arg)
{
	static const char *const ranges[] = {
		"--offset 1T", "--buf-offset 1G", "--length 2M", "--offset 511M --length 1G",
		"--range 511M:1G", "--block-size 0",
	};
	struct disk disk;
	struct buf buf;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, MiB);
	buf_fill(&buf, 0, MiB, 9, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		int status = run(TOOL " load %s --into %s %s", disk.path, inherited(&buf),
				 ranges[i]);

		CHECK_EQ(status, 2, "%s: %s", ranges[i], err);
	}
	buf_check(&buf, 0, MiB, 9, 0);
}

static void a_mounted_device_is_not_written_to(const void *arg)
{
	struct disk disk;
	int status;

	disk_open(&disk, "priv512p1");
	CHECK_EQ(sh("mkfs.ext4 -q -F %s", disk.path), 0);
	SYS(mkdir("/tmp/mnt", 0700));
	SYS(mount(disk.path, "/tmp/mnt", "ext4", 0, NULL));
	status = run(TOOL " store %s --from udmabuf:64K", disk.path);
	/* Reading is harmless. */
	CHECK_EQ(run(TOOL " load %s --into udmabuf:64K", disk.path), 0, "%s", err);
	SYS(umount("/tmp/mnt"));
	CHECK_EQ(status, 1);
	RUNS(0, TOOL " store %s --from udmabuf:64K", disk.path);
}

static void progress_is_drawn_when_asked_for(const void *arg)
{
	struct disk disk;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " load %s --into udmabuf:4M --progress always", disk.path);
	CHECK(strstr(err, "100%"), "%s", err);
	CHECK(strstr(err, "direct"), "%s", err);
	RUNS(0, TOOL " load %s --into udmabuf:4M", disk.path);
	CHECK(!err[0], "%s", err);
}

/* As much of a terminal as the command uses. */
struct screen {
	unsigned int columns, row, column;
	char rows[24][128];
};

static void put(struct screen *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\r') {
			s->column = 0;
		} else if (text[i] == '\n') {
			s->row++;
		} else if (len - i >= 3 && !memcmp(text + i, "\033[K", 3)) {
			memset(s->rows[s->row] + s->column, 0, s->columns - s->column);
			i += 2;
		} else {
			if (s->column == s->columns) {
				s->row++;
				s->column = 0;
			}
			CHECK(s->row < ARRAY_SIZE(s->rows), "the screen is full");
			s->rows[s->row][s->column++] = text[i];
		}
	}
}

/* Drawing it again leaves nothing of it elsewhere, however narrow the terminal is. */
static void progress_stays_in_one_row_of_a_terminal(const void *arg)
{
	struct winsize size = { .ws_row = 24, .ws_col = *(const unsigned short *)arg };
	struct screen screen = { .columns = size.ws_col ?: 80 };
	static char text[65536];
	unsigned int lines = 0;
	size_t len = 0;
	struct disk disk;
	int fd, status;
	ssize_t n;
	pid_t pid;

	if (access(TOOL, X_OK))
		skip("the command is not in this machine");
	disk_open(&disk, "priv512");
	pid = SYS(forkpty(&fd, NULL, NULL, &size));
	if (!pid) {
		execl(TOOL, TOOL, "load", disk.path, "--into", "udmabuf:1M", "--depth", "1",
		      "--block-size", "64K", NULL);
		_exit(98);
	}
	/* At the other end's close it says EIO. */
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	SYS(waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);

	put(&screen, text, len);
	for (unsigned int i = 0; i < ARRAY_SIZE(screen.rows); i++) {
		if (strncmp(screen.rows[i], "load ", 5))
			continue;
		lines++;
		CHECK(strstr(screen.rows[i], "100%"), "%s", screen.rows[i]);
		CHECK(!strstr(screen.rows[i], "ETA"), "%s", screen.rows[i]);
		CHECK(!strncmp(screen.rows[i + 1], "loaded ", 7), "%s", screen.rows[i + 1]);
	}
	CHECK_EQ(lines, 1, "%s", text);
	CHECK_EQ(screen.column, 0);
	/* While it lasts, the first block at least, there is more to say. */
	if (screen.columns >= 80)
		CHECK(strstr(text, "load [#") && strstr(text, "iB/s  direct  ETA "), "%s", text);
}

static void bench_counts_what_it_moves(const void *arg)
{
	const char *options = arg;
	struct disk disk;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " bench %s udmabuf:1M --count 500 --runtime 30 --offset 4M --length 64M "
	     "%s -o json", disk.path, options);
	JSON_IS("path", "direct");
	CHECK_EQ(json_u64("transfers"), 500 * json_u64("jobs"));
	CHECK_EQ(json_u64("bytes"), json_u64("transfers") * json_u64("block_size"));
	CHECK_EQ(json_u64("read_bytes") + json_u64("write_bytes"), json_u64("bytes"));
	CHECK(atof(json("iops")) > 0);
	CHECK(atof(json("cpu_us_per_io")) > 0);
	CHECK(atof(json("p99_us")) <= atof(json("max_us")), "%s", out);
}

static void bench_ends_after_its_time(const void *arg)
{
	u64 begin = now_us();
	struct disk disk;

	disk_open(&disk, "priv512");
	RUNS(0, TOOL " bench %s udmabuf:1M --runtime 1 --jobs 2", disk.path);
	CHECK(now_us() - begin < 10000000);
	CHECK(strstr(out, "IOPS"), "%s", out);
}

static bool has_read_some(pid_t pid, const void *arg)
{
	return run_fdinfo(pid, "read-bytes") >= (s64)(64 * KiB);
}

struct interruption {
	const char *depth;
	int signal;
};

/* The part that is reported as done must be there, and the rest be said to be missing. */
static void an_interrupted_load_tells_how_far_it_came(const void *arg)
{
	const struct interruption *how = arg;
	const u64 len = 4 * MiB;
	struct disk disk;
	struct buf buf;
	pid_t pid;
	u64 done;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, len);
	disk_fill(&disk, 4 * MiB, len, 10, 0);
	buf_fill(&buf, 0, len, 11, 0);
	pid = run_start_stepped((const char *const[]){
		TOOL, "load", disk.path, "--into", inherited(&buf), "--offset", "4M",
		"--block-size", "512", "--depth", how->depth, "-o", "json", NULL });
	CHECK(run_until(pid, has_read_some, NULL));
	run_release(pid, how->signal);
	CHECK_EQ(run_end(pid), 130, "%s", err);
	done = json_u64("bytes");
	CHECK(done < len, "it was done before the signal");
	note("%llu of %llu bytes", (unsigned long long)done, (unsigned long long)len);
	CHECK_EQ(done % 512, 0);
	buf_check(&buf, 0, done, 10, 0);
	JSON_IS("status", "130");
	CHECK(strstr(err, "interrupted"), "%s", err);
}

/* The module's node is for its group; others learn that from the sentence. */
static void a_user_without_rights_is_told_of_the_group(const void *arg)
{
	struct disk disk;
	int status;

	disk_open(&disk, "priv512");
	SYS(chmod(disk.path, 0666));
	status = run_end(run_start(65534, (const char *const[]){
			TOOL, "load", disk.path, "--into", "udmabuf:64K", "-o", "json", NULL }));
	SYS(chmod(disk.path, 0600));
	CHECK_EQ(status, 1, "%s", err);
	JSON_IS("errno_name", "EACCES");
	CHECK(strstr(json("remedy"), "group"), "%s", json("remedy"));
}

static void add(void)
{
	static const char *const disks[] = { "priv512", "priv4k", "mp512", "priv512p2" };
	static const char *const benches[] = {
		"--rw randread", "--rw read --bs 16K --jobs 3", "--rw write --overwrite",
		"--rw randwrite --overwrite --fua --qd 4 --jobs 2",
		"--batch 50", "--rw write --overwrite --batch 10 --qd 10 --jobs 2",
	};
	static const char *const bench_names[] = {
		"randread", "read_jobs", "write", "randwrite_fua", "batch", "batch_write",
	};
	/* 0: it does not say how many it has. */
	static const unsigned short columns[] = { 80, 40, 0 };
	static const struct interruption interruptions[] = {
		{ "1", SIGINT }, { "16", SIGINT }, { "16", SIGTERM },
	};
	size_t i;

	test_limit(60);
	for (i = 0; i < ARRAY_SIZE(disks); i++) {
		test_add(load_fills_exactly_its_range, disks[i],
			 "load_fills_exactly_its_range.%s", disks[i]);
		test_add(store_fills_exactly_its_range, disks[i],
			 "store_fills_exactly_its_range.%s", disks[i]);
	}
	TEST(forbidden_io_uring_is_done_without);
	TEST(a_bar_is_filled_and_written_back);
	TEST(the_checksum_is_that_of_sha256sum);
	TEST(verify_finds_a_difference);
	TEST(info_answers_for_a_pair);
	TEST(info_says_why_not_the_other_way);
	TEST(info_opens_a_disk_for_reading_only);
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		test_add(refused_with_status_3_and_a_remedy, &refusals[i],
			 "refused_with_status_3_and_a_remedy.%s", refusals[i].name);
	TEST(ranges_outside_are_refused_before_anything_moves);
	TEST(a_mounted_device_is_not_written_to);
	for (i = 0; i < ARRAY_SIZE(interruptions); i++)
		test_add(an_interrupted_load_tells_how_far_it_came, &interruptions[i],
			 "an_interrupted_load_tells_how_far_it_came.%s_depth_%s",
			 interruptions[i].signal == SIGINT ? "int" : "term",
			 interruptions[i].depth);
	TEST(a_user_without_rights_is_told_of_the_group);
	TEST(progress_is_drawn_when_asked_for);
	for (i = 0; i < ARRAY_SIZE(columns); i++)
		test_add(progress_stays_in_one_row_of_a_terminal, &columns[i],
			 "progress_stays_in_one_row_of_a_terminal.%u", columns[i]);
	for (i = 0; i < ARRAY_SIZE(benches); i++)
		test_add(bench_counts_what_it_moves, benches[i],
			 "bench_counts_what_it_moves.%s", bench_names[i]);
	TEST(bench_ends_after_its_time);
}

const struct program program = { "command", add };
