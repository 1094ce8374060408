// SPDX-License-Identifier: GPL-2.0
/*
 * conformance.c - the conformance program on a drive: what libcufile answers there is what it
 * answers without one, and its bytes go direct.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "disk.h"
#include "fs.h"
#include "harness.h"
#include "require.h"

#define PROGRAM	"/usr/bin/cufile-conformance"
#define REPORT	"/tmp/conformance-report"
#define ANSWERS	"/tmp/conformance-answers"

/* Answers that are as expected; the test fails at the first that differs. */
static unsigned int read_answers(void)
{
	FILE *f = fopen(ANSWERS, "r");
	unsigned int ok = 0;
	char line[512];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (strstr(line, "\tdiffers"))
			FAIL("%s", line);
		ok += !!strstr(line, "\tok");
	}
	fclose(f);
	return ok;
}

/* Direct bytes of all groups. */
static void read_report(u64 *read, u64 *written)
{
	FILE *f = fopen(REPORT, "r");
	unsigned long long n;
	char line[512];

	CHECK(f, "there is no report");
	*read = *written = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "read: %llu bytes direct", &n) == 1)
			*read += n;
		if (sscanf(line, "written: %llu bytes direct", &n) == 1)
			*written += n;
	}
	fclose(f);
}

static void all_answers_are_as_expected(const void *kind)
{
	u64 read, written;
	struct fs fs;
	int status;

	require_tool(PROGRAM);
	require_path("/dev/udmabuf", "make device memory");
	fs_make(&fs, kind, "priv512", 0, "", "");
	unlink(REPORT);
	status = sh("DMABUF_RW_CUFILE_REPORT=" REPORT " " PROGRAM " --dir %s >" ANSWERS
		    " 2>/tmp/conformance.log", fs.dir);
	CHECK(read_answers() > 330);
	CHECK_EQ(status, 0);
	read_report(&read, &written);
	CHECK(read > 10 * MiB, "%llu bytes were read direct", (unsigned long long)read);
	CHECK(written > 512 * KiB, "%llu bytes were written direct", (unsigned long long)written);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	/* 16 threads and 800 reads, in the emulator too. */
	test_limit(300);
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, all_answers_are_as_expected);
}

const struct program program = { "conformance", add };
