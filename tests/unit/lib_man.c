// SPDX-License-Identifier: MIT
/*
 * lib_man.c - the manual pages are well formed, and leave out no option, function, errno
 * or reason.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uapi_text.h"
#include "unit.h"

#define MAN TOP "/man/"

static void the_pages_are_well_formed(void **state)
{
	(void)state;
	if (system("command -v mandoc >/dev/null"))
		skip();
	assert_int_equal(system("make -s -C " TOP "/man lint"), 0);
}

/* "--length SIZE" in the help is "Fl -length" in the page. */
static void every_option_in_the_help_is_in_the_page(void **state)
{
	static const char *const commands[] = { "load", "store", "info", "bench" };
	char text[256], help[65536], *page, *p;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(commands); i++) {
		FILE *f;

		snprintf(text, sizeof(text), OUT "/dmabuf-rw %s --help", commands[i]);
		f = popen(text, "r");
		assert_non_null(f);
		help[fread(help, 1, sizeof(help) - 1, f)] = 0;
		assert_int_equal(pclose(f), 0);
		snprintf(text, sizeof(text), MAN "dmabuf-rw-%s.1", commands[i]);
		page = read_text(text);
		for (p = help; (p = strstr(p, "--")); p += 2) {
			size_t len = strspn(p, "-abcdefghijklmnopqrstuvwxyz");

			snprintf(text, sizeof(text), "Fl %.*s", (int)len - 1, p + 1);
			if (!strstr(page, text))
				fail_msg("dmabuf-rw-%s.1 has no %.*s", commands[i],
					 (int)len, p);
		}
		free(page);
	}
}

static void every_function_has_its_synopsis(void **state)
{
	char *map = read_text(TOP "/lib/libdmabuf_rw.map"), *p;
	char *page = read_text(MAN "libdmabuf_rw.3"), text[128];

	(void)state;
	for (p = map; (p = strstr(p, "\tdmabuf_rw_")); p++) {
		snprintf(text, sizeof(text), "\n.Fn %.*s ", (int)strcspn(p + 1, ";"),
			 p + 1);
		if (!strstr(page, text))
			fail_msg("libdmabuf_rw.3 has no%s", text + 4);
	}
	free(map);
	free(page);
}

static int is_part_of_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static int has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = text; (p = strstr(p, word)); p += len)
		if (!is_part_of_word(p[-1]) && !is_part_of_word(p[len]))
			return 1;
	return 0;
}

static void every_errno_and_reason_is_explained(void **state)
{
	static char calls[MAX_NAMES][32], names[MAX_NAMES][48];
	char *page = read_text(MAN "dmabuf_rw.4"), text[128];
	const char *errors = strstr(page, "\n.Sh ERRORS\n");
	unsigned int values[MAX_NAMES];
	int errnos[MAX_NAMES], n, i;

	(void)state;
	assert_non_null(errors);
	n = table_errnos(errnos, calls);
	for (i = 0; i < n; i++)
		if (!has_word(errors, strerrorname_np(errnos[i])))
			fail_msg("dmabuf_rw.4 has no %s", strerrorname_np(errnos[i]));
	n = enum_reasons(names, values);
	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), ".It Dv %s\n", names[i]);
		if (values[i] && !strstr(page, text))
			fail_msg("dmabuf_rw.4 has no %s", names[i]);
	}
	free(page);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pages_are_well_formed),
		cmocka_unit_test(every_option_in_the_help_is_in_the_page),
		cmocka_unit_test(every_function_has_its_synopsis),
		cmocka_unit_test(every_errno_and_reason_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
