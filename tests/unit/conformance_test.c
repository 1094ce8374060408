// SPDX-License-Identifier: MIT
/*
 * conformance_test.c - the conformance program on our libcufile: as it is shipped, without a
 * module, and with a module that is a fake; and that it tells what differs.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "shell.h"
#include "unit.h"

/* Fewer lines: some were not asked. */
#define LEAST	330

#define SHIPPED	"LD_LIBRARY_PATH=" OUT "/plain " OUT "/conformance/conformance --dir /tmp " \
		"--library " OUT "/shared/libcufile.so.0 "
#define DIRECT	OUT "/conformance_direct --dir /tmp --library '' "
#define OTHER	"LD_LIBRARY_PATH=" OUT "/plain " OUT "/conformance/conformance --dir /tmp " \
		"--library "

static unsigned int count(const char *text)
{
	const char *p = output;
	unsigned int n;

	for (n = 0; (p = strstr(p, text)); n++)
		p++;
	return n;
}

static void expect_all_ok(const char *command)
{
	int status = run(command);
	char *differs = strstr(output, "\tdiffers\n"), *line = differs;

	while (line && line > output && line[-1] != '\n')
		line--;
	if (status || differs)
		fail_msg("status %d: %.200s", status, line ? line : output);
	assert_in_range(count("\tok\n"), LEAST, 9999);
}

static void all_answers_are_as_expected_by_memory(void **state)
{
	(void)state;
	expect_all_ok(SHIPPED "2>/dev/null");
}

/* Direct bytes of all processes, by the reports that they leave. */
static unsigned long long direct_bytes(const char *path)
{
	unsigned long long sum = 0, n;
	char line[512];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*[^:]: %llu bytes direct", &n) == 1)
			sum += n;
	fclose(f);
	return sum;
}

static void all_answers_are_as_expected_direct(void **state)
{
	char path[] = "/tmp/conformance-report-XXXXXX", command[512];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	snprintf(command, sizeof(command), "DMABUF_RW_CUFILE_REPORT=%s " DIRECT "2>/dev/null",
		 path);
	expect_all_ok(command);
	assert_true(direct_bytes(path) > 10000000);
	assert_int_equal(remove(path), 0);
}

/*
 * Programs need not know which way their bytes go. Where several answers are expected, they may
 * differ: the errno of a descriptor that is not open for it.
 */
static void both_ways_answer_the_same(void **state)
{
	int status = run("a=$(mktemp) b=$(mktemp); " SHIPPED "2>/dev/null | grep -v '|' >$a; "
			 DIRECT "2>/dev/null | grep -v '|' >$b; [ $(wc -l <$a) -gt 300 ] && "
			 "diff $a $b; s=$?; rm $a $b; exit $s");

	(void)state;
	if (status)
		fail_msg("%s", output);
}

static void what_differs_is_told_and_fails(void **state)
{
	(void)state;
	assert_int_equal(run("DMABUF_RW_CUFILE_DIRECT_ONLY=1 " SHIPPED "reads 2>/dev/null"), 1);
	assert_int_equal(count("reads/whole_file\tdocumented\t1000000 right\t"
			       "-1 EOPNOTSUPP nothing touched\tdiffers\n"), 1);
	assert_int_equal(count("reads/negative_offset\tchosen\t-INVALID_VALUE nothing touched\t"
			       "-INVALID_VALUE nothing touched\tok\n"), 1);
}

/* The C library has none of the functions. */
static void a_library_that_dies_is_told_and_the_next_group_runs(void **state)
{
	(void)state;
	assert_int_equal(run("ASAN_OPTIONS= " OTHER "libc.so.6 names_are_there "
			     "driver_is_counted batch_set_up"), 1);
	assert_int_equal(count("names_are_there/cuFileRead\tdocumented\tthere\tmissing\tdiffers\n"),
			 1);
	assert_int_equal(count("driver_is_counted/end\trelied-on\texit 0\tsignal 11\t"
			       "differs\n"), 1);
	assert_int_equal(count("batch_set_up/end\trelied-on\texit 0\tsignal 11\tdiffers\n"), 1);
}

static void what_cannot_be_asked_is_no_success(void **state)
{
	(void)state;
	assert_int_equal(run(OTHER "/no/such/library reads"), 2);
	assert_int_equal(count("/no/such/library"), 1);
	assert_int_equal(run(SHIPPED "no_such_group"), 2);
	assert_int_equal(run(SHIPPED "--wrong 2>&1"), 2);
	assert_int_equal(count("usage: "), 1);
	assert_int_equal(run(SHIPPED "--list"), 0);
	assert_int_equal(count("reads\n"), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_answers_are_as_expected_by_memory),
		cmocka_unit_test(all_answers_are_as_expected_direct),
		cmocka_unit_test(both_ways_answer_the_same),
		cmocka_unit_test(what_differs_is_told_and_fails),
		cmocka_unit_test(a_library_that_dies_is_told_and_the_next_group_runs),
		cmocka_unit_test(what_cannot_be_asked_is_no_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
