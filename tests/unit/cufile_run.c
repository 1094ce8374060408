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
	expect("no process of the program has told that it used cuFile");
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

/* ---- processes and their ends ------------------------------------------------------------ */

#define LIVES(life) RUN "--quiet -- " CLIENT " name " FILE_ " " life
#define ENDED ", ended by a signal, _exit() or exec(): counted up to then\n"
#define READ(bytes) "read: 0 bytes direct, 0 bounced, " bytes " to host memory\n"		\
	"written: 0 bytes direct, 0 bounced, 0 from host memory\n"

static unsigned int times(const char *text)
{
	const char *p = output;
	unsigned int n;

	for (n = 0; (p = strstr(p, text)); n++)
		p++;
	return n;
}

static void a_process_that_ends_without_a_word_is_told_as_such(void **state)
{
	(void)state;
	assert_int_equal(run_all(LIVES("signal")), 128 + 9);
	expect("(cufile_client)" ENDED READ("4096"));
	assert_int_equal(run_all(LIVES("_exit")), 5);
	expect("(cufile_client)" ENDED READ("4096"));
	assert_int_equal(times("cuFile, process"), 1);
	/* Whatever descriptors it has closed. */
	assert_int_equal(run_all(LIVES("closed")), 128 + 9);
	expect("(cufile_client)" ENDED READ("8192"));
}

static void what_a_process_did_before_and_after_exec_is_told_apart(void **state)
{
	(void)state;
	assert_int_equal(run_all(LIVES("exec")), 5);
	expect("(cufile_client)" ENDED READ("4096") "cuFile, process ");
	expect("(cufile_client)\n" READ("4096"));
	assert_int_equal(times("cuFile, process"), 2);
}

static void each_child_is_told_by_itself(void **state)
{
	(void)state;
	assert_int_equal(run_all(LIVES("children")), 5);
	assert_int_equal(times("(cufile_client)" ENDED READ("4096")), 3);
	assert_int_equal(times("(cufile_client)\n" READ("4096")), 1);
	assert_int_equal(times("cuFile, process"), 4);
}

static void processes_that_find_no_room_are_told_of(void **state)
{
	(void)state;
	assert_int_equal(run_all("{ " LIVES("many") "; } >/dev/null 2>/tmp/cufile-many; s=$?; "
				 "grep -c '^cuFile, process' /tmp/cufile-many; "
				 "grep -v '^[crw]' /tmp/cufile-many; "
				 "rm /tmp/cufile-many; exit $s"), 5);
	expect("1024\n");
	assert_int_equal(times("does not count for this process (/proc/"), 2);
	expect("dmabuf-rw: and 2 more processes, which were not counted here");
}

/* Status 77: the test itself has not the right to. */
static void who_cannot_open_the_account_tells_at_exit_and_says_so(void **state)
{
	static const char *const lives[] = { LIVES("nobody"), LIVES("chroot") };
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < COUNT(lives); i++) {
		status = run_all(lives[i]);
		if (status == 77)
			continue;
		assert_int_equal(status, 5);
		assert_int_equal(times("does not count for this process (/proc/"), 1);
		expect("(cufile_client)\n" READ("4096"));
		assert_int_equal(times("cuFile, process"), 1);
		expect("no process of the program has told");
	}
}

static void who_outlives_the_command_tells_the_whole_at_exit(void **state)
{
	(void)state;
	assert_int_equal(run_all(LIVES("outlives")), 5);
	expect("(cufile_client), which still runs: counted so far\n" READ("4096"));
	expect("(cufile_client)\n" READ("8192"));
	assert_int_equal(times("cuFile, process"), 2);
	/* The shell that waits for the command ends with it; who writes is the program. */
	assert_int_equal(run_all(LIVES("kills") " & wait"), 0);
	expect("(cufile_client)\n" READ("4096"));
	assert_int_equal(times("cuFile, process"), 1);
}

static void what_others_write_into_the_account_does_no_harm(void **state)
{
	(void)state;
	assert_int_equal(run_all(LIVES("spoils") " >/tmp/cufile-spoilt 2>&1; s=$?; "
				 "cd /tmp; echo $(tr -dc '\\033' <cufile-spoilt | wc -c) escapes; "
				 "grep -c '^cuFile, process 454761243 (.x1b' cufile-spoilt; "
				 "tail -n 1 cufile-spoilt; rm cufile-spoilt; exit $s"), 5);
	expect("0 escapes\n1022\ndmabuf-rw: and ");
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
		cmocka_unit_test(a_process_that_ends_without_a_word_is_told_as_such),
		cmocka_unit_test(what_a_process_did_before_and_after_exec_is_told_apart),
		cmocka_unit_test(each_child_is_told_by_itself),
		cmocka_unit_test(processes_that_find_no_room_are_told_of),
		cmocka_unit_test(who_cannot_open_the_account_tells_at_exit_and_says_so),
		cmocka_unit_test(who_outlives_the_command_tells_the_whole_at_exit),
		cmocka_unit_test(what_others_write_into_the_account_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
