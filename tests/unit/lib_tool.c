// SPDX-License-Identifier: MIT
/*
 * lib_tool.c - the command as a user meets it where the module is not loaded: help,
 * wrong usage, exit statuses, JSON that is JSON, and sentences that help.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
	char command[8192], out_path[] = "/tmp/lib_tool-out-XXXXXX";
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
	static const char *const commands[] = {
		"load", "store", "info", "check", "stat", "bench", "run",
	};
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
	static const char *const commands[] = {
		"load", "store", "info", "check", "stat", "bench", "run",
	};
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
		{ "load f --into udmabuf:4K --length x", "--length takes a size, not 'x'" },
		{ "load f --into udmabuf:4K --buf-off=", "--buf-offset takes a size, not ''" },
		{ "load f --into udmabuf:4K --depth 0", "--depth" },
		{ "load f --into udmabuf:4K --depth 99999", "99999" },
		{ "load f --into udmabuf:4K --block-size 0", "--block-size" },
		{ "load f --into udmabuf:4K --progress maybe", "maybe" },
		{ "load f --into udmabuf:4K -o yaml", "yaml" },
		{ "load f --into nonsense", "nonsense" },
		{ "info a b", "'b'" },
		{ "info -x", "-x" },
		{ "stat -x", "-x" },
		{ "stat f", "'f' is too much" },
		{ "stat --watch --prometheus", "--watch prints tables only" },
		{ "stat --count 3", "are for --watch" },
		{ "stat --watch --interval 0", "--interval takes a number" },
		{ "stat --pid x", "--pid takes a number" },
		{ "check -x", "-x" },
		{ "check udmabuf:4K udmabuf:4K", "one buffer too many" },
		{ "check ''", "name of the file is empty" },
		{ "check f udmabuf:x", "is not a size" },
		{ "check f --range 0:1M", "for --canary" },
		{ "check f --way bounce", "--way takes module or kernel here" },
		{ "check --canary udmabuf:4K", "takes one directory" },
		{ "check --canary a b udmabuf:4K", "takes one directory" },
		{ "check --canary /tmp", "takes a buffer" },
		{ "check --canary /tmp udmabuf:4K --range 0:1M", "has a file of its own" },
		{ "check --canary /etc/passwd udmabuf:4K", "--range OFFSET:LENGTH" },
		{ "check --canary /etc/passwd udmabuf:4K --range 5", "OFFSET:LENGTH, not '5'" },
		{ "check --canary /tmp udmabuf:4K --buffer-range 0:0", "OFFSET:LENGTH, not '0:0'" },
		{ "bench a", "needed" },
		{ "bench a udmabuf:4K --rw sideways", "sideways" },
		{ "bench a udmabuf:4K --rw write", "--overwrite" },
		{ "bench a udmabuf:4K --fua", "--fua" },
		{ "bench a udmabuf:4K --jobs 0", "--jobs takes a number from 1 to 256, not '0'" },
		{ "bench a udmabuf:4K --batch 257",
		  "--batch takes a number from 1 to 256, not '257'" },
		{ "bench a udmabuf:4K --qd x", "--qd takes a number from 1 to 16384, not 'x'" },
		{ "bench a udmabuf:4K --bs 2G",
		  "--bs takes a size from 1 to 1073741824, not '2G'" },
		{ "bench a udmabuf:4K --seed -1", "--seed takes a number" },
		{ "bench a udmabuf:4K --batch 64 --qd 32",
		  "--qd 32 is not a multiple of --batch 64: say 64, or 128 for two batches" },
		{ "bench a udmabuf:4K --batch 20 --qd 32",
		  "--qd 32 is not a multiple of --batch 20: say 20 or 40" },
		{ "bench a udmabuf:4K --batch 255 --qd 16384",
		  "--qd 16384 is not a multiple of --batch 255: say 16320;" },
		{ "bench a udmabuf:4K --batch 32 --count 33",
		  "--count 33 is not a multiple of --batch 32: say 32 or 64" },
		{ "bench a udmabuf:4K --batch 32 --count 3", "say 32;" },
		{ "bench a udmabuf:4K --batch 256 --bs 8M",
		  "--batch 256 of --bs 8388608 is 2147483648 bytes, and a batch moves 2147479552 "
		  "at most" },
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

/* Batches are accepted, so that what is missed is the file. */
static void bench_finds_a_depth_for_every_batch_by_itself(void **state)
{
	char arguments[64];
	unsigned int batch;

	(void)state;
	for (batch = 1; batch <= DMABUF_RW_MAX_BATCH; batch += batch < 34 ? 1 : 37) {
		snprintf(arguments, sizeof(arguments), "bench /nowhere udmabuf:4K --batch %u",
			 batch);
		assert_int_equal(run(arguments), 1);
		assert_non_null(strstr(err, "/nowhere"));
	}
}

static void a_file_that_is_not_there_is_status_1_and_named(void **state)
{
	(void)state;
	assert_int_equal(run("load /nowhere/disk --into udmabuf:4K"), 1);
	assert_non_null(strstr(err, "/nowhere/disk"));
	assert_non_null(strstr(err, "No such file"));
}

/*
 * Nobody is at the pipe's other end, and nobody is waited for; and opening a device may do
 * something already.
 */
static void what_is_no_storage_is_refused_unopened(void **state)
{
	static const char *const commands[] = {
		"load %s --into udmabuf:4K", "load %s --into udmabuf:4K --allow-bounce",
		"load %s --into udmabuf:4K -o json", "store %s --in-place --from udmabuf:4K",
		"store %s --in-place --from udmabuf:4K --allow-bounce",
		"store %s --in-place --force --from udmabuf:4K -o json",
		"bench %s udmabuf:4K --rw write --overwrite", "bench %s udmabuf:4K",
	};
	char dir[] = "/tmp/lib_tool-XXXXXX", pipe_path[64], arguments[160];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *paths[] = { pipe_path, address.sun_path, "/dev/null", dir };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t i, j;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", dir);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	for (i = 0; i < COUNT(paths); i++)
		for (j = 0; j < COUNT(commands); j++) {
			bool writes = strstr(commands[j], "store") || strstr(commands[j], "write");

			/* That others cannot be loaded is said by who binds them. */
			if (i >= 2 && !writes)
				continue;
			snprintf(arguments, sizeof(arguments), commands[j], paths[i]);
			assert_int_equal(run(arguments), 3);
			assert_non_null(strstr(err, paths[i]));
			assert_non_null(strstr(err, "neither a block device nor a regular file"));
			assert_true(!!strstr(out, "\"reason_name\":\"NOT_BLOCK\"") ==
				    !!strstr(commands[j], "json"));
		}
	close(fd);
	unlink(pipe_path);
	unlink(address.sun_path);
	rmdir(dir);
}

static void without_the_module_the_sentence_says_how_to_load_it(void **state)
{
	struct json_object *root, *error, *value;

	(void)state;
	if (!access(DMABUF_RW_DEVICE, F_OK))
		skip();
	assert_int_equal(run("load /etc/passwd --into udmabuf:4K"), 1);
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

/* Scripts ask by the status; people read the lines, which are the same facts. */
static void check_answers_by_its_status(void **state)
{
	struct json_object *root, *value, *facts;

	(void)state;
	if (!access(DMABUF_RW_DEVICE, F_OK))
		skip();
	assert_int_equal(run("check"), 3);
	assert_non_null(strstr(out, "NO   module"));
	assert_non_null(strstr(out, "modprobe dmabuf_rw"));
	assert_string_equal(err, "");
	assert_int_equal(run("check /proc/self/status /nowhere"), 3);
	assert_non_null(strstr(out, "\n/proc/self/status:\n"));
	assert_non_null(strstr(out, "\n/nowhere:\n"));
	assert_non_null(strstr(out, "No such file"));

	assert_int_equal(run("check /proc/self/status -o json"), 3);
	root = json_tokener_parse(out);
	assert_non_null(root);
	assert_true(json_object_object_get_ex(root, "status", &value));
	assert_int_equal(json_object_get_int(value), 3);
	assert_true(json_object_object_get_ex(root, "direct", &value));
	assert_false(json_object_get_boolean(value));
	assert_true(json_object_object_get_ex(root, "error", &value));
	assert_true(json_object_object_get_ex(root, "facts", &facts));
	assert_in_range(json_object_array_length(facts), 6, 60);
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
	assert_int_equal(run("load -o json "
			     "\"$(printf '/no/\\303\\244\\303\\377\\300\\200\\355\\240\\200.')\" "
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

/* ---- what is printed ----------------------------------------------------------------- */

/* Runs the command with its output to @fd; its exit status. */
static int run_to(int fd, const char *arguments)
{
	char command[2048];
	int status;

	snprintf(command, sizeof(command), "timeout 60 " TOOL " %s >&%d 2>/tmp/lib_tool-err "
		 "</dev/null", arguments, fd);
	status = system(command);
	slurp("/tmp/lib_tool-err", err, sizeof(err));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void output_that_is_lost_is_a_failure(void **state)
{
	static const struct {
		const char *arguments;
		int status;
	} cases[] = {
		{ "--help", 1 }, { "-h", 1 }, { "--version", 1 }, { "load --help", 1 },
		{ "store --help", 1 }, { "info --help", 1 }, { "bench -h", 1 },
		/* What was wrong before is still what the status says. */
		{ "explode -o json", 2 }, { "load -o json", 2 },
	};
	int full = open("/dev/full", O_WRONLY), fds[2];
	size_t i;

	(void)state;
	assert_true(full >= 0);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(run_to(full, cases[i].arguments), cases[i].status);
		assert_non_null(strstr(err, "No space left on device\n"));
		assert_int_equal(run_to(fds[1], cases[i].arguments), cases[i].status);
		assert_non_null(strstr(err, "Broken pipe\n"));
		if (cases[i].status == 1)
			assert_int_equal(strchr(err, '\n') - err, strlen(err) - 1);
	}
	close(full);
	close(fds[1]);
}

static void a_name_of_any_length_leaves_the_reason_in_the_sentence(void **state)
{
	static const char *const frames[] = {
		"load %s --into udmabuf:4K", "load /etc/passwd %s --into udmabuf:4K",
		"store %s --in-place --from udmabuf:4K", "bench %s udmabuf:4K",
	};
	static char name[3001], arguments[4096];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(name) - 1; i++)
		name[i] = i % 100 ? 'a' : '/';
	for (i = 0; i < COUNT(frames); i++) {
		snprintf(arguments, sizeof(arguments), frames[i], name);
		assert_int_equal(run(arguments), 1);
		assert_non_null(strstr(err, name));
		assert_non_null(strstr(err, "No such file or directory\n"));
	}
	snprintf(arguments, sizeof(arguments), "load f --into %s", name);
	assert_int_equal(run(arguments), 2);
	assert_non_null(strstr(err, "a buffer is vfio:PCI/BAR"));
	snprintf(arguments, sizeof(arguments), "info %s %s", name, name);
	assert_int_equal(run(arguments), 2);
	assert_non_null(strstr(err, "one argument too many; dmabuf-rw info --help shows how"));
}

/* Red, a bell, a line of somebody else's, DEL, C1 in UTF-8 and not; and what is good. */
#define NASTY "\"$(printf '\\033[31m\\a\\nx\\177\\302\\233\\233\\377\\303\\244\\342\\202\\254.')\""
#define NASTY_SHOWN "\\x1b[31m\\x07\\x0ax\\x7f\\xc2\\x9b\\x9b\\xff\xc3\xa4\xe2\x82\xac."

static void no_name_does_anything_to_a_terminal(void **state)
{
	static const char *const cases[] = {
		"load " NASTY " --into udmabuf:4K", "store " NASTY " --in-place --from udmabuf:4K",
		"load f --into " NASTY, "load f --into udmabuf:4K --length " NASTY,
		"load f --into udmabuf:4K --range " NASTY, "load -o " NASTY, "-o " NASTY,
		"load --" NASTY, NASTY, "info " NASTY " b", "info -o " NASTY,
		"bench " NASTY " udmabuf:4K", "bench a b " NASTY, "bench a b --rw " NASTY,
		"store f --from udmabuf:" NASTY, "store f --from heap:." NASTY ":4K",
		"load f --into fd:" NASTY, "load f --progress " NASTY,
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		run(cases[i]);
		if (!strstr(err, NASTY_SHOWN) && strcmp(cases[i], "info " NASTY " b"))
			fail_msg("%s says: %s", cases[i], err);
		for (j = 0; err[j]; j++)
			if ((unsigned char)err[j] < 0x20 || err[j] == 0x7f)
				assert_true(err[j] == '\n' && !err[j + 1]);
		assert_null(strstr(err, "\xc2\x9b"));
	}
	/* Here it is a part of the result. */
	run("check " NASTY);
	assert_non_null(strstr(out, "\n" NASTY_SHOWN ":\n"));
	for (j = 0; out[j]; j++)
		assert_true((unsigned char)out[j] >= 0x20 || out[j] == '\n');
}

/* ---- JSON ------------------------------------------------------------------------------ */

/* The only thing in out; its status is @status, and it says what is wrong. */
static struct json_object *only_object(int status)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *root = json_tokener_parse_ex(tokener, out, strlen(out) + 1);
	struct json_object *error, *value;

	if (!root || strspn(out + json_tokener_get_parse_end(tokener), "\n") !=
		     strlen(out + json_tokener_get_parse_end(tokener)))
		fail_msg("not one object: %s", out);
	json_tokener_free(tokener);
	assert_true(json_object_object_get_ex(root, "status", &value));
	assert_int_equal(json_object_get_int(value), status);
	assert_true(json_object_object_get_ex(root, "error", &error));
	assert_true(json_object_object_get_ex(error, "message", &value));
	assert_true(json_object_get_string_len(value) > 5);
	return root;
}

static void every_failure_has_its_one_json_object(void **state)
{
	static const struct {
		const char *arguments;
		int status;
	} cases[] = {
		{ "-o json", 2 }, { "-o json explode", 2 }, { "explode -o json", 2 },
		{ "--output=json explode", 2 }, { "explode --out json", 2 },
		{ "-ojson --bogus", 2 }, { "--bogus -ojson load", 2 }, { "-o json load", 2 },
		{ "load -o json", 2 }, { "load --bogus -o json", 2 }, { "load -xo json", 2 },
		{ "load -o json --into", 2 }, { "load -o yaml -o json", 2 },
		{ "load -o json -o yaml", 2 }, { "load f --ou=json --into x", 2 },
		{ "store f -ojson --length x", 2 }, { "store --outp json f g", 2 },
		{ "info a b --o json", 2 }, { "info --require-device-memory=1 -o json", 2 },
		{ "bench -o json", 2 }, { "bench a b c -o json", 2 },
		{ "load -o text /nowhere --into udmabuf:4K -o json", 1 },
		{ "load -o json -- --into", 2 },
	};
	static const char *const text[] = {
		"load -- -o json", "load -o json -o text", "load --into -o json", "load --o json",
		"explode -- -o json",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		int status = run(cases[i].arguments);

		if (status != cases[i].status || !out[0])
			fail_msg("'%s': status %d, %s", cases[i].arguments, status, out);
		json_object_put(only_object(status));
		assert_true(err[0]);
	}
	for (i = 0; i < COUNT(text); i++) {
		assert_int_equal(run(text[i]), 2);
		assert_string_equal(out, "");
	}
}

static void json_has_no_control_character_as_it_is(void **state)
{
	struct json_object *root, *error, *value;
	size_t i;

	(void)state;
	assert_int_equal(run("load -o json " NASTY " --into udmabuf:4K"), 1);
	for (i = 0; out[i]; i++)
		assert_true((unsigned char)out[i] >= 0x20 || out[i] == '\n');
	assert_null(strchr(out, 0x7f));
	assert_null(strstr(out, "\xc2\x9b"));
	assert_non_null(strstr(out, "\\u007f\\u009b"));
	root = only_object(1);
	assert_true(json_object_object_get_ex(root, "error", &error));
	assert_true(json_object_object_get_ex(error, "message", &value));
	assert_memory_equal(json_object_get_string(value), "\033[31m\a\nx\x7f\xc2\x9b", 11);
	json_object_put(root);
}

/* ---- names and places -------------------------------------------------------------------- */

static void names_may_begin_with_a_dash_and_be_anything_but_empty(void **state)
{
	static const struct {
		const char *arguments;
		int status;
		const char *words;
	} cases[] = {
		{ "load --into udmabuf:4K -- -f", 1, "load: -f cannot be opened" },
		{ "load --into udmabuf:4K ./-f", 1, "./-f cannot be opened" },
		{ "load --into udmabuf:4K 'a b\nc'", 1, "a b\\x0ac cannot be opened" },
		{ "store --in-place --from udmabuf:4K -- --help", 1, "--help cannot be opened" },
		{ "-- load --into udmabuf:4K -- -f", 1, "load: -f cannot be opened" },
		{ "-- --help", 2, "no command '--help'" },
		{ "bench -- -f udmabuf:4K", 1, "bench: -f cannot be opened" },
		{ "bench -- -f -g -h", 2, "'-h' is one argument too many" },
		{ "info -- -f -g", 2, "'-g' is one argument too many" },
		{ "load '' --into udmabuf:4K", 2, "name of the file is empty" },
		{ "load --into udmabuf:4K -- ''", 2, "name of the file is empty" },
		{ "store '' --from udmabuf:4K", 2, "name of the file is empty" },
		{ "info ''", 2, "name of the file is empty" },
		{ "bench '' udmabuf:4K", 2, "is empty" },
		{ "load f --into ''", 2, "'' is not a buffer" },
		{ "''", 2, "no command ''" },
		{ "load -xy", 2, "-x is not an option" },
		{ "load --batch 3", 2, "--batch is not an option of this command;" },
		{ "load --batch=3", 2, "--batch is not an option of this command;" },
		{ "load f --off 1 --o 2", 2, "--o could mean --offset or --output;" },
		{ "bench --b=1", 2, "--b could mean --bs or --batch;" },
		{ "load --verify=1", 2, "--verify takes no value;" },
		{ "info --he=1", 2, "--he takes no value;" },
		{ "--bogus", 2, "--bogus is not an option" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		int status = run(cases[i].arguments);

		if (status != cases[i].status || !strstr(err, cases[i].words))
			fail_msg("%s: status %d, %s", cases[i].arguments, status, err);
	}
}

/* One with a comma for a point, where the machine has it. */
static void the_locale_changes_nothing(void **state)
{
	static const char *const cases[] = {
		"--help", "load --help", "load /nowhere --into udmabuf:4K -o json",
		"load f --into udmabuf:1.5G", "load f --into udmabuf:1I", "explode",
		"load " NASTY " --into udmabuf:4K",
	};
	static const char *const locales[] = {
		"C.UTF-8", "POSIX", "de_DE.UTF-8", "tr_TR.UTF-8", "fr_FR.ISO-8859-1",
	};
	static char out_before[sizeof(out)], err_before[sizeof(err)];
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		setenv("LC_ALL", "C", 1);
		run(cases[i]);
		memcpy(out_before, out, sizeof(out));
		memcpy(err_before, err, sizeof(err));
		for (j = 0; j < COUNT(locales); j++) {
			setenv("LC_ALL", locales[j], 1);
			setenv("LANGUAGE", "de", 1);
			run(cases[i]);
			assert_string_equal(out, out_before);
			assert_string_equal(err, err_before);
		}
	}
	unsetenv("LC_ALL");
	unsetenv("LANGUAGE");
}

/* With drivers that are fakes, and with none: it is loaded when it is asked for, not before. */
static void a_gpu_s_driver_is_needed_only_for_its_memory(void **state)
{
	static const struct {
		const char *buffer, *library, *remedy;
	} cases[] = {
		{ "cuda:0:4M", "libcuda.so.1", "NVIDIA's driver" },
		{ "hip:0:4M", "libhsa-runtime64.so.1", "LD_LIBRARY_PATH" },
	};
	char arguments[128];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		snprintf(arguments, sizeof(arguments),
			 "load " TOP "/README.md --allow-bounce --into %s", cases[i].buffer);
		assert_int_equal(run(arguments), 1);
		assert_non_null(strstr(err, cases[i].library));
		assert_non_null(strstr(err, cases[i].remedy));
		assert_int_equal(setenv("LD_LIBRARY_PATH", OUT "/plain", 1), 0);
		assert_int_equal(setenv("FAKE_GPU_NO_DMA_BUF", "1", 1), 0);
		assert_int_equal(run(arguments), 1);
		unsetenv("LD_LIBRARY_PATH");
		unsetenv("FAKE_GPU_NO_DMA_BUF");
		assert_null(strstr(err, cases[i].library));
		assert_non_null(strstr(err, "cannot export memory as a dma-buf"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_standard_descriptors_closed_no_message_is_in_a_file),
		cmocka_unit_test(every_command_has_help_on_stdout),
		cmocka_unit_test(every_option_in_the_help_is_known),
		cmocka_unit_test(wrong_usage_is_status_2_and_says_what_is_wrong),
		cmocka_unit_test(bench_finds_a_depth_for_every_batch_by_itself),
		cmocka_unit_test(a_file_that_is_not_there_is_status_1_and_named),
		cmocka_unit_test(what_is_no_storage_is_refused_unopened),
		cmocka_unit_test(without_the_module_the_sentence_says_how_to_load_it),
		cmocka_unit_test(check_answers_by_its_status),
		cmocka_unit_test(the_version_is_printed),
		cmocka_unit_test(json_is_utf_8_whatever_a_file_is_called),
		cmocka_unit_test(output_that_is_lost_is_a_failure),
		cmocka_unit_test(a_name_of_any_length_leaves_the_reason_in_the_sentence),
		cmocka_unit_test(no_name_does_anything_to_a_terminal),
		cmocka_unit_test(every_failure_has_its_one_json_object),
		cmocka_unit_test(json_has_no_control_character_as_it_is),
		cmocka_unit_test(names_may_begin_with_a_dash_and_be_anything_but_empty),
		cmocka_unit_test(the_locale_changes_nothing),
		cmocka_unit_test(a_gpu_s_driver_is_needed_only_for_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
