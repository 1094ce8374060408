// SPDX-License-Identifier: MIT
/* cufile_run.c - dmabuf-rw run: what programs find, and what is said when they have ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell.h"
#include "unit.h"

#define TOOL	OUT "/dmabuf-rw"
#define RUN	TOOL " run --library " OUT "/shared/libcufile.so.0 "
#define CLIENT	OUT "/cufile_client"
#define FILE_	TOP "/lib/cufile/cufile.h"

/* Both kinds of output. */
static int run_all(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "{ %s ; } 2>&1", command);
	return run(line);
}

static void programs_find_the_library_however_they_look(void **state)
{
	static const char *const how[] = { "name", "devel", "default", "maps" };
	char command[512];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(how); i++) {
		snprintf(command, sizeof(command), RUN "-- " CLIENT " %s " FILE_, how[i]);
		assert_int_equal(run_all(command), 5);
		expect("read 4096\n");
		expect("(cufile_client)\nread: 0 bytes direct, 0 bounced, 4096 to host memory\n");
	}
}

static void the_status_is_that_of_the_program(void **state)
{
	(void)state;
	assert_int_equal(run_all(RUN "-- true"), 0);
	expect("no process of the program has ended after using cuFile");
	assert_int_equal(run_all(RUN "-- /no/such/program"), 127);
	assert_int_equal(run_all(RUN "-- " FILE_), 126);
	assert_int_equal(run_all(RUN "-- sh -c 'kill -9 $$'"), 128 + 9);
	/* What the command ignores for itself the program does not. */
	assert_int_equal(run_all(RUN "-- sh -c 'kill -13 $$'"), 128 + 13);
}

static void signals_that_were_ignored_stay_so(void **state)
{
	static const char *const names[] = { "INT", "QUIT", "PIPE", "HUP" };
	char command[512];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		snprintf(command, sizeof(command), "trap '' %s; " RUN "-- sh -c 'kill -%s $$; "
			 "echo alive'", names[i], names[i]);
		assert_int_equal(run_all(command), 0);
		expect("alive\n");
	}
}

static void signals_are_passed_on(void **state)
{
	(void)state;
	assert_int_equal(run_all(RUN "-- sh -c 'trap \"echo told; exit 3\" TERM; kill -TERM $PPID; "
			     "for i in $(seq 500); do sleep 0.01; done'"), 3);
	expect("told\n");
}

static void options_of_the_program_are_its_own(void **state)
{
	(void)state;
	assert_int_equal(run_all(RUN "-- sh -c 'echo $0' -o json --report"), 0);
	expect("-o\n");
	assert_int_equal(run_all(RUN "true"), 2);
	expect("comes after '--'");
	assert_int_equal(run_all(RUN), 2);
	assert_int_equal(run_all(RUN "-o json -- true"), 2);
	assert_int_equal(run_all(TOOL " run --library /no/such/library -- true"), 1);
	expect("/no/such/library");
}

static void the_environment_carries_what_was_asked_for(void **state)
{
	char path[] = "/tmp/cufile-report-XXXXXX", command[512];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	snprintf(command, sizeof(command), RUN "--direct-only --report %s -- sh -c '"
		 "echo $DMABUF_RW_CUFILE_DIRECT_ONLY $LD_LIBRARY_PATH; " CLIENT " name " FILE_ "; "
		 CLIENT " name " FILE_ "; true'", path);
	assert_int_equal(run_all(command), 0);
	expect("1 " OUT "/shared\n");
	assert_null(strstr(output, "cuFile, process"));
	snprintf(command, sizeof(command), "[ $(grep -c ' 4096 to host memory' %s) = 2 ]", path);
	assert_int_equal(run_all(command), 0);
	assert_int_equal(run_all("LD_LIBRARY_PATH=/a:/b " RUN
				 "-- sh -c 'echo $LD_LIBRARY_PATH'"), 0);
	expect(OUT "/shared:/a:/b\n");
	close(fd);
	unlink(path);
}

/* Where there is no module, as on most machines that compile this, it is one line. */
static void what_to_expect_is_said_first_unless_it_is_not_wanted(void **state)
{
	(void)state;
	assert_int_equal(run_all(RUN "-- echo program"), 0);
	expect("dmabuf-rw: ");
	expect("\nprogram\n");
	assert_true(strstr(output, " direct") < strstr(output, "program"));
	assert_int_equal(run_all(RUN "--quiet -- echo program"), 0);
	assert_ptr_equal(strstr(output, "program"), output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_find_the_library_however_they_look),
		cmocka_unit_test(the_status_is_that_of_the_program),
		cmocka_unit_test(signals_that_were_ignored_stay_so),
		cmocka_unit_test(signals_are_passed_on),
		cmocka_unit_test(options_of_the_program_are_its_own),
		cmocka_unit_test(the_environment_carries_what_was_asked_for),
		cmocka_unit_test(what_to_expect_is_said_first_unless_it_is_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
