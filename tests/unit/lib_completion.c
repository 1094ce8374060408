// SPDX-License-Identifier: MIT
/*
 * lib_completion.c - bash offers each command, option, word and buffer that the command's help
 * has, and nothing that the command refuses.
 *
 * Completion runs in a bash without a terminal, which has no compopt then.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "unit.h"

#define TOOL OUT "/dmabuf-rw"

/*
 * Runs the shell command; its output with a line feed in front of it, so that "\nWORD\n" finds
 * words.
 */
static int run(const char *command, char *out, size_t len)
{
	FILE *f = popen(command, "r");
	size_t n;
	int status;

	assert_non_null(f);
	out[0] = '\n';
	n = fread(out + 1, 1, len - 2, f);
	out[n + 1] = 0;
	status = pclose(f);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What is offered for "dmabuf-rw @line", a word in a line. */
static void complete(const char *line, char *out, size_t len)
{
	char command[2048];

	snprintf(command, sizeof(command),
		 "bash -c '. " TOP "/tools/completion.bash; compopt() { :; }\n"
		 "COMP_WORDBREAKS=\"=:\" COMP_LINE=\"dmabuf-rw %s\"\n"
		 "COMP_POINT=${#COMP_LINE}; read -ra COMP_WORDS <<<\"$COMP_LINE\"\n"
		 "case $COMP_LINE in *\" \") COMP_WORDS+=(\"\") ;; esac\n"
		 "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _dmabuf_rw " TOOL "\n"
		 "printf \"%%s\\n\" \"${COMPREPLY[@]}\"' 2>&1", line);
	assert_int_equal(run(command, out, len), 0);
}

static bool offers(const char *offered, const char *word, size_t len)
{
	char text[128];

	snprintf(text, sizeof(text), "\n%.*s\n", (int)len, word);
	return strstr(offered, text);
}

/* Calls @each with every command that the overview names. */
static void for_each_command(void (*each)(const char *name))
{
	char overview[16384], name[64], *line;
	int nr = 0;

	assert_int_equal(run(TOOL " --help", overview, sizeof(overview)), 0);
	line = strstr(overview, "\ncommands:\n");
	assert_non_null(line);
	for (line += strlen("\ncommands:\n"); *line == ' '; line = strchr(line, '\n') + 1, nr++) {
		assert_int_equal(sscanf(line, " %63[a-z-]", name), 1);
		each(name);
	}
	assert_in_range(nr, 5, 30);
}

static char commands_offered[4096];

static void expect_command(const char *name)
{
	if (!offers(commands_offered, name, strlen(name)))
		fail_msg("%s is not offered", name);
}

static void every_command_is_offered(void **state)
{
	(void)state;
	complete("", commands_offered, sizeof(commands_offered));
	for_each_command(expect_command);
	complete("-o json ", commands_offered, sizeof(commands_offered));
	for_each_command(expect_command);
}

static void expect_options(const char *name)
{
	char text[256], help[16384], offered[4096], *p, *first_line;
	int nr = 0;

	snprintf(text, sizeof(text), TOOL " %s --help", name);
	assert_int_equal(run(text, help, sizeof(help)), 0);
	snprintf(text, sizeof(text), "%s --", name);
	complete(text, offered, sizeof(offered));
	first_line = strchr(help + 1, '\n');
	for (p = help; (p = strstr(p, "--")); p++) {
		size_t len = strspn(p, "-abcdefghijklmnopqrstuvwxyz");
		bool listed = !strncmp(p - 3, "\n  ", 3) || !strncmp(p - 7, "\n  -", 4);

		if (len < 4 || (p > first_line && !listed))
			continue;
		if (!offers(offered, p, len))
			fail_msg("%s: %.*s is not offered", name, (int)len, p);
		nr++;
	}
	assert_in_range(nr, 1, 60);
}

static void every_option_in_the_help_is_offered(void **state)
{
	(void)state;
	for_each_command(expect_options);
}

/*
 * --help behind an option or its word ends the parsing with status 0, unless the option or the word
 * is not known. Options that take what is not a word of a list offer nothing, or how buffers begin.
 */
static void expect_known(const char *name)
{
	char text[256], offered[4096], words[4096], out[16384], *option, *word, *at, *at_word;

	snprintf(text, sizeof(text), "%s --", name);
	complete(text, offered, sizeof(offered));
	for (option = strtok_r(offered, "\n", &at); option; option = strtok_r(NULL, "\n", &at)) {
		snprintf(text, sizeof(text), "%s %s ", name, option);
		complete(text, words, sizeof(words));
		snprintf(text, sizeof(text), TOOL " %s %s 1 --help 2>&1", name, option);
		run(text, out, sizeof(out));
		if (strstr(out, "is not an option"))
			fail_msg("%s: %s is offered", name, option);
		for (word = strtok_r(words, "\n", &at_word); word;
		     word = strtok_r(NULL, "\n", &at_word)) {
			if (strpbrk(word, ":/"))
				continue;
			snprintf(text, sizeof(text), TOOL " %s %s %s --help 2>&1", name, option,
				 word);
			if (run(text, out, sizeof(out)))
				fail_msg("%s %s: %s is offered: %s", name, option, word, out);
		}
	}
}

static void nothing_is_offered_that_the_command_refuses(void **state)
{
	(void)state;
	for_each_command(expect_known);
}

static void words_of_options_are_offered(void **state)
{
	static const struct {
		const char *line, *word;
	} cases[] = {
		{ "load f --way ", "kernel" },
		{ "store f --progress=a", "auto" },
		{ "info -o ", "json" },
		{ "-o ", "text" },
		{ "bench f udmabuf:4K --rw rand", "randwrite" },
		{ "load f --into ", "udmabuf:" },
		{ "load f --into=v", "vfio:" },
		{ "info /dev/nvme0n1 h", "heap:" },
		{ "info /dev/nvme0n1 h", "hip:" },
		{ "load f --into c", "cuda:" },
		{ "store f --from f", "fd:" },
	};
	char offered[4096];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		complete(cases[i].line, offered, sizeof(offered));
		if (!offers(offered, cases[i].word, strlen(cases[i].word)))
			fail_msg("'%s' offers only: %s", cases[i].line, offered);
	}
}

/* Bash replaces only what is behind the last colon. */
static void what_is_in_front_of_a_colon_is_not_said_again(void **state)
{
	char offered[4096];

	(void)state;
	complete("load f --into udmabuf:", offered, sizeof(offered));
	assert_null(strstr(offered, "udmabuf"));
}

static void behind_two_dashes_run_takes_a_program(void **state)
{
	char offered[65536];

	(void)state;
	complete("run -- ba", offered, sizeof(offered));
	assert_true(offers(offered, "bash", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_offered),
		cmocka_unit_test(every_option_in_the_help_is_offered),
		cmocka_unit_test(nothing_is_offered_that_the_command_refuses),
		cmocka_unit_test(words_of_options_are_offered),
		cmocka_unit_test(what_is_in_front_of_a_colon_is_not_said_again),
		cmocka_unit_test(behind_two_dashes_run_takes_a_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
