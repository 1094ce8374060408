// SPDX-License-Identifier: MIT
/*
 * lib_tool.c - the command as a user meets it where the module is not loaded: help,
 * wrong usage, exit statuses, JSON that is JSON, and sentences that help.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include <dmabuf_rw.h>

#include "unit.h"

#define TOOL OUT "/dmabuf-rw"

static char out[65536], err[65536];

static void slurp(const char *path, char *text, size_t len)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, len - 1, f);
	text[n] = 0;
	fclose(f);
	unlink(path);
}

/* Runs the command with the arguments; fills out and err; its exit status, 124 if it hangs. */
static int run(const char *arguments)
{
	char command[2048], out_path[] = "/tmp/lib_tool-out-XXXXXX";
	char err_path[] = "/tmp/lib_tool-err-XXXXXX";
	int fds[2] = { mkstemp(out_path), mkstemp(err_path) }, status;

	assert_true(fds[0] >= 0 && fds[1] >= 0);
	close(fds[0]);
	close(fds[1]);
	snprintf(command, sizeof(command), "timeout 60 " TOOL " %s >%s 2>%s </dev/null",
		 arguments, out_path, err_path);
	status = system(command);
	slurp(out_path, out, sizeof(out));
	slurp(err_path, err, sizeof(err));
	assert_true(WIFEXITED(status));
	if (strstr(err, "Sanitizer") || strstr(err, "runtime error"))
		fail_msg("%s: %s", arguments, err);
	return WEXITSTATUS(status);
}

/*
 * What is said goes nowhere then, and not into a file that has got the number. A descriptor
 * that is no dma-buf is found out only after the file has been opened.
 */
static void with_standard_descriptors_closed_no_message_is_in_a_file(void **state)
{
	static const char *const closed[] = { "2>&-", ">&-", "<&-", "<&- >&-", ">&- 2>&-",
					      "<&- >&- 2>&-" };
	static const char contents[] = "contents\n";
	char path[] = "/tmp/lib_tool-XXXXXX", command[1024], text[64];
	int fd = mkstemp(path);
	size_t i;

	(void)state;
	assert_true(fd >= 0);
	for (i = 0; i < COUNT(closed); i++) {
		assert_int_equal(pwrite(fd, contents, strlen(contents), 0), strlen(contents));
		snprintf(command, sizeof(command), TOOL " store %s --in-place --from fd:9 "
			 "--allow-bounce 9<" TOP "/README.md 2>/dev/null %s", path, closed[i]);
		assert_true(WEXITSTATUS(system(command)) != 0);
		memset(text, 0, sizeof(text));
		assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), strlen(contents));
		assert_string_equal(text, contents);
	}
	close(fd);
	unlink(path);
}

static void every_command_has_help_on_stdout(void **state)
{
	static const char *const commands[] = { "load", "store", "info", "bench" };
	char arguments[64];
	size_t i;

	(void)state;
	assert_int_equal(run("--help"), 0);
	for (i = 0; i < COUNT(commands); i++)
		assert_non_null(strstr(out, commands[i]));
	for (i = 0; i < COUNT(commands); i++) {
		snprintf(arguments, sizeof(arguments), "%s --help", commands[i]);
		assert_int_equal(run(arguments), 0);
		snprintf(arguments, sizeof(arguments), "usage: dmabuf-rw %s ", commands[i]);
		assert_memory_equal(out, arguments, strlen(arguments));
		assert_non_null(strstr(out, "Exit status:"));
		assert_string_equal(err, "");
	}
}

/* The help is the only list of options that a user sees, so it must be complete. */
static void every_option_in_the_help_is_known(void **state)
{
	static const char *const commands[] = { "load", "store", "info", "bench" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(commands); i++) {
		char help[65536], arguments[128], *p;
		int options = 0;

		snprintf(arguments, sizeof(arguments), "%s --help", commands[i]);
		assert_int_equal(run(arguments), 0);
		memcpy(help, out, sizeof(help));
		for (p = help; (p = strstr(p, "--")); p++) {
			size_t len = strspn(p, "-abcdefghijklmnopqrstuvwxyz");

			if (p[-1] != ' ' || len < 4)
				continue;
			/* --help last: it ends the parsing, unless the option is unknown. */
			snprintf(arguments, sizeof(arguments), "%s %.*s%s --help",
				 commands[i], (int)len, p, p[len] == ' ' &&
				 p[len + 1] >= 'A' && p[len + 1] <= 'Z' ? " 1" : "");
			run(arguments);
			if (strstr(err, "is not an option"))
				fail_msg("%s: %s", arguments, err);
			options++;
		}
		assert_in_range(options, 2, 40);
	}
}

static void wrong_usage_is_status_2_and_says_what_is_wrong(void **state)
{
	static const struct {
		const char *arguments, *word;
	} cases[] = {
		{ "", "usage" },
		{ "explode", "explode" },
		{ "load", "file is missing" },
		{ "load f", "--into" },
		{ "store f", "--from" },
		{ "store f g --from udmabuf:4K", "'g'" },
		{ "store f --from udmabuf:4K --range 0:1", "--range" },
		{ "load f --into udmabuf:4K --range 5", "'5'" },
		{ "load f --into udmabuf:4K --range 5:x", "5:x" },
		{ "load f --range 0:1 --into udmabuf:4K --offset 1", "--offset" },
		{ "load f g --into udmabuf:4K --length 1", "--range" },
		{ "load f --into udmabuf:4K --allow-bounce --require-device-memory",
		  "exclude" },
		{ "load f --into udmabuf:4K --in-place", "--in-place" },
		{ "load f --into udmabuf:4K --fua", "--fua" },
		{ "load f --into udmabuf:4K --length", "--length needs a value" },
		{ "load f --into udmabuf:4K --length x", "'x'" },
		{ "load f --into udmabuf:4K --depth 0", "--depth" },
		{ "load f --into udmabuf:4K --depth 99999", "99999" },
		{ "load f --into udmabuf:4K --block-size 0", "--block-size" },
		{ "load f --into udmabuf:4K --progress maybe", "maybe" },
		{ "load f --into udmabuf:4K -o yaml", "yaml" },
		{ "load f --into nonsense", "nonsense" },
		{ "info a b", "'b'" },
		{ "info -x", "-x" },
		{ "bench a", "needed" },
		{ "bench a udmabuf:4K --rw sideways", "sideways" },
		{ "bench a udmabuf:4K --rw write", "--overwrite" },
		{ "bench a udmabuf:4K --fua", "--fua" },
		{ "bench a udmabuf:4K --jobs 0", "'0'" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		int status = run(cases[i].arguments);

		if (status != 2)
			fail_msg("'%s': status %d", cases[i].arguments, status);
		if (!strstr(err, cases[i].word))
			fail_msg("'%s' says only: %s", cases[i].arguments, err);
		assert_string_equal(out, "");
	}
}

static void a_file_that_is_not_there_is_status_1_and_named(void **state)
{
	(void)state;
	assert_int_equal(run("load /nowhere/disk --into udmabuf:4K"), 1);
	assert_non_null(strstr(err, "/nowhere/disk"));
	assert_non_null(strstr(err, "No such file"));
}

/* Nobody is at its other end, and nobody is waited for. */
static void a_pipe_is_refused_at_once(void **state)
{
	char dir[] = "/tmp/lib_tool-XXXXXX", path[64], arguments[128];
	static const char *const options[] = { "", "--allow-bounce", "-o json" };
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (i = 0; i < COUNT(options); i++) {
		snprintf(arguments, sizeof(arguments), "load %s --into udmabuf:4K %s", path,
			 options[i]);
		assert_int_equal(run(arguments), 3);
		assert_non_null(strstr(err, path));
		assert_non_null(strstr(err, "not a regular file"));
		assert_true(!!strstr(out, "\"reason_name\":\"NOT_BLOCK\"") == (i == 2));
	}
	unlink(path);
	rmdir(dir);
}

static void without_the_module_the_sentence_says_how_to_load_it(void **state)
{
	struct json_object *root, *error, *value;

	(void)state;
	if (!access(DMABUF_RW_DEVICE, F_OK))
		skip();
	assert_int_equal(run("load /dev/null --into udmabuf:4K"), 1);
	assert_non_null(strstr(err, "modprobe dmabuf_rw"));
	assert_string_equal(out, "");

	assert_int_equal(run("info -o json"), 1);
	root = json_tokener_parse(out);
	assert_non_null(root);
	assert_true(json_object_object_get_ex(root, "error", &error));
	assert_true(json_object_object_get_ex(error, "remedy", &value));
	assert_non_null(strstr(json_object_get_string(value), "modprobe dmabuf_rw"));
	assert_true(json_object_object_get_ex(error, "errno_name", &value));
	assert_string_equal(json_object_get_string(value), "ENOENT");
	assert_true(json_object_object_get_ex(root, "status", &value));
	assert_int_equal(json_object_get_int(value), 1);
	json_object_put(root);
}

static void the_version_is_printed(void **state)
{
	(void)state;
	assert_int_equal(run("--version"), 0);
	assert_memory_equal(out, "dmabuf-rw ", 10);
}

static void json_is_utf_8_whatever_a_file_is_called(void **state)
{
	struct json_object *root, *error, *value;

	(void)state;
	/* A whole character, parts of some, a longer way to write one, a surrogate. */
	assert_int_equal(run("load -o json \"$(printf '/no/\\303\\244\\303\\377\\300\\200\\355\\240\\200.')\" "
			     "--into udmabuf:4K"), 1);
	root = json_tokener_parse(out);
	assert_non_null(root);
	assert_true(json_object_object_get_ex(root, "error", &error));
	assert_true(json_object_object_get_ex(error, "message", &value));
#define BAD "\xef\xbf\xbd"
	assert_non_null(strstr(json_object_get_string(value),
			       "/no/\xc3\xa4" BAD BAD BAD BAD BAD BAD BAD "."));
	json_object_put(root);
}

static void a_store_through_a_link_to_nothing_is_refused(void **state)
{
	static const char link[] = "/tmp/lib_tool-link";
	struct stat st;

	(void)state;
	unlink(link);
	assert_int_equal(symlink("/dev/disk/by-id/gone", link), 0);
	assert_int_equal(run("store /tmp/lib_tool-link --from udmabuf:4K --allow-bounce"), 1);
	assert_non_null(strstr(err, "is a symbolic link to something that is not there"));
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	unlink(link);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_standard_descriptors_closed_no_message_is_in_a_file),
		cmocka_unit_test(every_command_has_help_on_stdout),
		cmocka_unit_test(every_option_in_the_help_is_known),
		cmocka_unit_test(wrong_usage_is_status_2_and_says_what_is_wrong),
		cmocka_unit_test(a_file_that_is_not_there_is_status_1_and_named),
		cmocka_unit_test(a_pipe_is_refused_at_once),
		cmocka_unit_test(without_the_module_the_sentence_says_how_to_load_it),
		cmocka_unit_test(the_version_is_printed),
		cmocka_unit_test(json_is_utf_8_whatever_a_file_is_called),
		cmocka_unit_test(a_store_through_a_link_to_nothing_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
