// SPDX-License-Identifier: GPL-2.0
/* file_bench.c - dmabuf-rw bench on files that change, or have never been written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "tool.h"

#define ROLE		"priv512p1"
#define BUF_BYTES	MiB

static struct fs fs;
static struct buf buf;

static void open_all(const char *kind)
{
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
}

static const char *path(const char *name)
{
	return fs_path(&fs, name);
}

static void bench_says_that_a_file_has_become_shorter(const void *kind)
{
	static const char *const options[][2] = {
		{ "1", "read" }, { "16", "randread" }, { "1", "randwrite" }, { "16", "write" },
	};

	open_all(kind);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int fd = file_make(&fs, "f", MiB, 1);
		pid_t pid = run_start(0, (const char *const[]){ TOOL, "bench", path("f"),
				inherited(&buf), "--batch", options[i][0], "--rw", options[i][1],
				"--overwrite", "--runtime", "100", "-o", "json", NULL });

		while (run_fdinfo(pid, strstr(options[i][1], "read") ? "read-bytes" :
				  "write-bytes") <= 0)
			usleep(1000);
		SYS(ftruncate(fd, 8192));
		CHECK_EQ(run_end(pid), 1, "%s", err);
		CHECK(strstr(err, "/f has become shorter while it was measured; "), "%s", err);
		CHECK_EQ(json_u64("bytes"), json_u64("read_bytes") + json_u64("write_bytes"));
		CHECK(atof(json("p50_us")) <= atof(json("p99_us")) &&
		      atof(json("p99_us")) <= atof(json("max_us")), "%s", out);
		close(fd);
	}
	fs_finish(&fs);
}

/* It has no option that has it copied through memory. */
static void bench_says_what_to_do_where_nothing_was_written(const void *kind)
{
	int fd;

	open_all(kind);
	fd = file_make(&fs, "f", 64 * KiB, 1);
	SYS(ftruncate(fd, MiB));
	SYS(fsync(fd));
	close(fd);
	RUNS(1, TOOL " bench %s %s --rw read --batch 32 -o json", path("f"), inherited(&buf));
	JSON_IS("reason_name", "NEVER_WRITTEN");
	JSON_IS("path", "direct");
	CHECK(strstr(err, "hole") && strstr(err, "another range (--offset, --length)\n") &&
	      !strstr(err, "bounc"), "%s", err);
	CHECK_EQ(json_u64("transfers"), 16);
	CHECK_EQ(json_u64("bytes"), 64 * KiB);
	CHECK_EQ(json_u64("direct_bytes"), json_u64("bytes"));
	CHECK_EQ(json_u64("read_bytes"), json_u64("bytes"));
	/* Of nothing, nothing is measured. */
	RUNS(1, TOOL " bench %s %s --offset 512K -o json", path("f"), inherited(&buf));
	CHECK_EQ(json_u64("transfers"), 0);
	JSON_IS("p99_us", "null");
	JSON_IS("cpu_us_per_io", "null");
	RUNS(1, TOOL " bench %s %s --offset 512K", path("f"), inherited(&buf));
	CHECK(strstr(out, "  latency -\n  CPU of this process -\n"), "%s", out);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(120);
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, bench_says_that_a_file_has_become_shorter);
		TEST_OF_KIND(i, bench_says_what_to_do_where_nothing_was_written);
	}
}

const struct program program = { "file_bench", add };
