// SPDX-License-Identifier: GPL-2.0
/*
 * cufile_fio.c - a client of cuFile that nobody here wrote: fio's own engine, as scripts/fio
 * compiles it from fio's source, with checksums of all that it writes and reads.
 *
 * Bouncing is forbidden in it, and the library's report must say that every byte went direct.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "disk.h"
#include "fs.h"
#include "harness.h"
#include "require.h"

#define REPORT "/tmp/cufile-report"

struct direction {
	unsigned long long direct, bounced, host;
};

/* The report of the one process. */
static void read_report(struct direction *read, struct direction *written)
{
	FILE *f = fopen(REPORT, "r");

	CHECK(f, "fio has left no report");
	CHECK_EQ(fscanf(f, "cuFile, process %*d (%*[^)])\n"
			"read: %llu bytes direct, %llu bounced, %llu to host memory\n"
			"written: %llu bytes direct, %llu bounced, %llu from host memory\n",
			&read->direct, &read->bounced, &read->host, &written->direct,
			&written->bounced, &written->host), 6);
	fclose(f);
}

/* Jobs are threads: a job that is a process ends by _exit(2), and has no report. */
#define FIO "DMABUF_RW_CUFILE_DIRECT_ONLY=1 DMABUF_RW_CUFILE_REPORT=" REPORT " "		\
	"/usr/bin/fio --ioengine=libcufile --gpu_dev_ids=0 --cuda_io=cufile --direct=1 "	\
	"--thread --group_reporting --verify=crc32c --verify_fatal=1 --output=/tmp/fio.log "

static void run_fio(const char *arguments, u64 least_read, u64 least_written)
{
	struct direction read, written;

	unlink(REPORT);
	if (sh(FIO "%s", arguments)) {
		sh("cat /tmp/fio.log");
		FAIL("fio has failed");
	}
	read_report(&read, &written);
	note("read %llu, written %llu bytes", read.direct, written.direct);
	CHECK(read.direct >= least_read && written.direct >= least_written);
	CHECK_EQ(read.bounced + read.host + written.bounced + written.host, 0);
}

static void fio_moves_all_bytes_direct(const char *at)
{
	char arguments[512];

	snprintf(arguments, sizeof(arguments),
		 "--name=write --rw=write --bs=64k --size=8M --filename=%s", at);
	run_fio(arguments, 8 * MiB, 8 * MiB);
	snprintf(arguments, sizeof(arguments),
		 "--name=mixed --rw=randrw --bs=16k --size=4M --filename=%s", at);
	run_fio(arguments, 2 * MiB, MiB);
	snprintf(arguments, sizeof(arguments),
		 "--name=jobs --rw=randwrite --bs=4k --size=1M --numjobs=4 --offset_increment=1M "
		 "--filename=%s", at);
	run_fio(arguments, 4 * MiB, 4 * MiB);
}

static void on_files(const void *kind)
{
	struct fs fs;
	char path[128];
	int fd;

	require_tool("/usr/bin/fio");
	fs_make(&fs, kind, "priv512", 0, "", "");
	/* Written once, since a write that makes a file longer bounces. */
	fd = file_make(&fs, "file", 8 * MiB, 1);
	close(fd);
	snprintf(path, sizeof(path), "%s", fs_path(&fs, "file"));
	fio_moves_all_bytes_direct(path);
	fs_finish(&fs);
}

static void on_a_disk(const void *arg)
{
	struct disk disk;

	require_tool("/usr/bin/fio");
	disk_open(&disk, "priv512p2");
	fio_moves_all_bytes_direct(disk.path);
}

static void add(void)
{
	fs_program();
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, on_files);
	TEST(on_a_disk);
}

const struct program program = { "cufile_fio", add };
