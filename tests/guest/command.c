// SPDX-License-Identifier: GPL-2.0
/*
 * command.c - the dmabuf-rw command as users run it: what it moves, what it says, and
 * what it exits with.
 *
 * A buffer that the test itself looks at is handed to the command as fd:N. The command
 * speaks JSON here, so that a sentence may change and its facts may not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"

#define TOOL	"/usr/bin/dmabuf-rw"

static char out[65536], err[8192];

static void take(const char *path, char *text, size_t size)
{
	int fd = SYS(open(path, O_RDONLY | O_CLOEXEC));
	ssize_t n = SYS(read(fd, text, size - 1));

	text[n] = 0;
	close(fd);
}

/* Runs a shell command; its exit status, with what it printed in out and err. */
static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *fmt, ...)
{
	char line[1024], command[1200];
	va_list ap;
	int status;

	if (access(TOOL, X_OK))
		skip("the command is not in this machine");
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "{ %s; } >/tmp/out 2>/tmp/err", line);
	status = system(command);
	take("/tmp/out", out, sizeof(out));
	take("/tmp/err", err, sizeof(err));
	CHECK(WIFEXITED(status), "%s", line);
	return WEXITSTATUS(status);
}

#define RUNS(status, ...)							\
	do {									\
		int got_ = run(__VA_ARGS__);					\
										\
		if (got_ != (status))						\
			FAIL("status %d, not %d: %s", got_, status, err);	\
	} while (0)

/* What follows "key": in the JSON object; each key that is asked for is there once. */
static const char *json(const char *key)
{
	static char value[1024];
	char pattern[64];
	const char *p;

	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	p = strstr(out, pattern);
	CHECK(p, "no %s in %s", key, out);
	p += strlen(pattern);
	if (*p == '"')
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + 1, "\""), p + 1);
	else
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, ",}\n"), p);
	return value;
}

#define JSON_IS(key, want)							\
	do {									\
		if (strcmp(json(key), want))					\
			FAIL("%s is %s, not %s", key, json(key), want);		\
	} while (0)

static u64 json_u64(const char *key)
{
	return strtoull(json(key), NULL, 10);
}

/* A name for the buffer that children can open. */
static const char *inherited(const struct buf *buf)
{
	static char name[16];

	snprintf(name, sizeof(name), "fd:%d", (int)SYS(dup(buf->fd)));
	return name;
}

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

static void depth_one_does_without_io_uring(const void *arg)
{
	struct disk disk;
	struct buf buf;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, 2 * MiB);
	disk_fill(&disk, 4 * MiB, 2 * MiB, 5, 0);
	if (spit("2", "/proc/sys/kernel/io_uring_disabled"))
		skip("this kernel cannot forbid io_uring");
	RUNS(1, TOOL " load %s --into %s --offset 4M -o json", disk.path, inherited(&buf));
	JSON_IS("errno_name", "EPERM");
	CHECK(strstr(json("remedy"), "--depth 1"));
	RUNS(0, TOOL " load %s --into %s --offset 4M --depth 1", disk.path,
	     inherited(&buf));
	OK(spit("0", "/proc/sys/kernel/io_uring_disabled"));
	buf_check(&buf, 0, 2 * MiB, 5, 0);
}

static void a_bar_is_filled_and_written_back(const void *arg)
{
	char bar[64], sum[65], again[65];
	struct disk disk;

	if (strcmp(machine_var("DRW_IOMMU"), "strict") &&
	    strcmp(machine_var("DRW_IOMMU"), "pt"))
		skip("vfio-pci needs an IOMMU");
	if (atof(machine_var("DRW_KERNEL")) < 6.19)
		skip("vfio-pci exports no BARs before 6.19");
	snprintf(bar, sizeof(bar), "vfio:%s/%s", machine_var("DRW_BAR_PCI"),
		 machine_var("DRW_BAR_INDEX"));
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

/* What load says of a file, beside what an ordinary program finds in it. */
static void loads_like_cat(const char *file, const char *range, const char *path)
{
	char want[65] = "";
	FILE *p;

	RUNS(0, "tail -c +124 %s | head -c 300001 >/tmp/part", file);
	p = popen("sha256sum /tmp/part", "r");
	CHECK(p && fscanf(p, "%64s", want) == 1);
	pclose(p);
	RUNS(0, TOOL " load %s --into udmabuf:1M %s --allow-bounce --verify --checksum -o json",
	     file, range);
	JSON_IS("path", path);
	JSON_IS("sha256", want);
}

static void files_go_direct_and_others_bounce_if_allowed(const void *arg)
{
	struct disk disk;

	disk_open(&disk, "priv512p1");
	CHECK_EQ(sh("mkfs.ext4 -q -F -b 4096 %s", disk.path), 0);
	SYS(mkdir("/tmp/files", 0700));
	SYS(mount(disk.path, "/tmp/files", "ext4", 0, NULL));
	CHECK_EQ(sh("head -c 500001 /dev/urandom >/tmp/files/a && cp /tmp/files/a /tmp/a"), 0);
	loads_like_cat("/tmp/files/a", "--range 123:300001", "direct");
	loads_like_cat("/tmp/a", "--range 123:300001", "bounced");

	/* A new file, and then a shorter one in its place, come in one step. */
	for (int bytes = 400003; bytes > 0; bytes -= 400000) {
		RUNS(0, TOOL " store /tmp/files/b --from udmabuf:1M --length %d --verify -o json",
		     bytes);
		JSON_IS("path", "direct");
		CHECK_EQ(sh("test $(stat -c %%s /tmp/files/b) = %d", bytes), 0);
		CHECK_EQ(sh("test $(ls /tmp/files | wc -l) = 3"), 0, "something is left over");
	}
	SYS(umount("/tmp/files"));
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

/*
 * Runs the command without a shell, as another user if @uid is not 0, and sends it
 * @signal, if not 0, once it has drawn its progress; its exit status, with what it printed in out and err.
 */
static int run_process(uid_t uid, int signal, const char *const *args)
{
	int status, fds[2];
	struct stat st;
	pid_t pid;

	if (access(TOOL, X_OK))
		skip("the command is not in this machine");
	fds[0] = SYS(open("/tmp/out", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
	fds[1] = SYS(open("/tmp/err", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
	pid = SYS(fork());
	if (!pid) {
		dup2(fds[0], 1);
		dup2(fds[1], 2);
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(99);
		execv(TOOL, (char *const *)args);
		_exit(98);
	}
	if (signal) {
		do {
			usleep(10000);
			SYS(fstat(fds[1], &st));
		} while (!st.st_size && !waitpid(pid, &status, WNOHANG));
		usleep(100000);
		SYS(kill(pid, signal));
	}
	SYS(waitpid(pid, &status, 0));
	close(fds[0]);
	close(fds[1]);
	take("/tmp/out", out, sizeof(out));
	take("/tmp/err", err, sizeof(err));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

struct interruption {
	const char *depth;
	int signal;
};

/* The part that is reported as done must be there, and the rest be said to be missing. */
static void an_interrupted_load_tells_how_far_it_came(const void *arg)
{
	const struct interruption *how = arg;
	const u64 len = 48 * MiB;
	struct disk disk;
	struct buf buf;
	u64 done;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, len);
	disk_fill(&disk, 4 * MiB, len, 10, 0);
	buf_fill(&buf, 0, len, 11, 0);
	/* In blocks of 512 it takes seconds. */
	CHECK_EQ(run_process(0, how->signal, (const char *const[]){
			TOOL, "load", disk.path, "--into", inherited(&buf), "--offset", "4M",
			"--block-size", "512", "--depth", how->depth, "--progress", "always",
			"-o", "json", NULL }),
		 130, "%s", err);
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
	status = run_process(65534, 0, (const char *const[]){
			TOOL, "load", disk.path, "--into", "udmabuf:64K", "-o", "json", NULL });
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
		"--rw randwrite --overwrite --fua --qd 4 --jobs 2", "--sqpoll",
	};
	static const char *const bench_names[] = {
		"randread", "read_jobs", "write", "randwrite_fua", "sqpoll",
	};
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
	TEST(depth_one_does_without_io_uring);
	TEST(a_bar_is_filled_and_written_back);
	TEST(the_checksum_is_that_of_sha256sum);
	TEST(verify_finds_a_difference);
	TEST(info_answers_for_a_pair);
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
	TEST(files_go_direct_and_others_bounce_if_allowed);
	TEST(progress_is_drawn_when_asked_for);
	for (i = 0; i < ARRAY_SIZE(benches); i++)
		test_add(bench_counts_what_it_moves, benches[i],
			 "bench_counts_what_it_moves.%s", bench_names[i]);
	TEST(bench_ends_after_its_time);
}

const struct program program = { "command", add };
