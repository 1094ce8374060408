// SPDX-License-Identifier: MIT
/*
 * lib_man.c - the manual pages are well formed, and leave out no option, function, structure,
 * errno or reason. What their examples do is man_examples.c's.
 */
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uapi_text.h"
#include "unit.h"

#define MAN TOP "/man/"

static int is_part_of_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

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
	static const char *const commands[] = {
		"load", "store", "info", "check", "stat", "bench", "run",
	};
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

/* ---- functions ---------------------------------------------------------------------- */

#define LETTERS "abcdefghijklmnopqrstuvwxyz_"
#define MADE OUT "/man/"	/* the pages of other names */

/* Calls @look for each page of section 3. */
static void each_page(void (*look)(const char *name, char *text))
{
	glob_t pages;
	size_t i;

	assert_int_equal(glob(MAN "*.3", 0, NULL, &pages), 0);
	assert_true(pages.gl_pathc > 8);
	for (i = 0; i < pages.gl_pathc; i++) {
		char *text = read_text(pages.gl_pathv[i]);

		look(strrchr(pages.gl_pathv[i], '/') + 1, text);
		free(text);
	}
	globfree(&pages);
}

static int is_public(const char *name, size_t len)
{
	static char *map, *cufile;
	char text[96];

	if (!map) {
		map = read_text(TOP "/lib/libdmabuf_rw.map");
		cufile = read_text(TOP "/lib/cufile/cufile.h");
	}
	snprintf(text, sizeof(text), "\t%.*s;", (int)len, name);
	if (strstr(map, text))
		return 1;
	snprintf(text, sizeof(text), " %.*s(", (int)len, name);
	return !strncmp(name, "cuFile", 6) && strstr(cufile, text);
}

static void every_function_has_a_page_that_begins_with_its_name(void **state)
{
	char *map = read_text(TOP "/lib/libdmabuf_rw.map"), *p, *q, *page;
	char name[64], path[256], text[160];
	FILE *f;

	(void)state;
	assert_int_equal(system("make -s -C " TOP "/man O=" MADE), 0);
	for (p = map; (p = strstr(p, "\tdmabuf_rw_")); p++) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p + 1, ";"), p + 1);
		snprintf(path, sizeof(path), MAN "%s.3", name);
		snprintf(text, sizeof(text), MADE "%s.3", name);
		f = fopen(text, "r");
		if (f) {
			assert_int_equal(fscanf(f, ".so man3/%63s", text), 1);
			fclose(f);
			snprintf(path, sizeof(path), MAN "%s", text);
		}
		page = read_text(path);
		snprintf(text, sizeof(text), "\n.Nm %s", name);
		q = strstr(page, text);
		if (!q || q > strstr(page, "\n.Nd ") || isalpha((unsigned char)q[strlen(text)]))
			fail_msg("%s has no %s in its NAME", path, name);
		*strstr(page, "\n.Sh DESCRIPTION\n") = 0;
		snprintf(text, sizeof(text), "\n.Fn %s ", name);
		q = strstr(page, text);
		snprintf(text, sizeof(text), "\n.Fo %s\n", name);
		if (!q && !strstr(page, text))
			fail_msg("%s has no %s in its SYNOPSIS", path, name);
		free(page);
	}
	free(map);
}

static void look_for_functions(const char *name, char *text)
{
	static const char *const macros[] = { "\n.Nm ", "\n.Fn ", "\n.Fo " };
	const char *p;
	size_t i, len;

	for (i = 0; i < COUNT(macros); i++)
		for (p = text; (p = strstr(p, macros[i]));) {
			p += strlen(macros[i]);
			len = strspn(p, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
			if ((!strncmp(p, "dmabuf_rw_", 10) || !strncmp(p, "cuFile", 6)) &&
			    !is_public(p, len))
				fail_msg("%s has %.*s, which is no function", name, (int)len, p);
		}
}

static void the_functions_of_each_page_are_there(void **state)
{
	(void)state;
	each_page(look_for_functions);
}

/* Of this project's pages; in those of other sections, too. */
static void look_for_references(const char *name, char *text)
{
	char page[64], path[128], *p;
	int section;

	for (p = text; (p = strstr(p, "\n.Xr "));) {
		p += strlen("\n.Xr ");
		assert_int_equal(sscanf(p, "%63s %d", page, &section), 2);
		if (!strstr(page, "dmabuf"))
			continue;
		snprintf(path, sizeof(path), MAN "%s.%d", page, section);
		if (!access(path, R_OK))
			continue;
		snprintf(path, sizeof(path), MADE "%s.%d", page, section);
		if (access(path, R_OK))
			fail_msg("%s refers to %s(%d), which is no page", name, page, section);
	}
}

static void the_pages_refer_to_pages(void **state)
{
	static const char *const others[] = { "dmabuf-rw.1", "dmabuf-rw-info.1", "dmabuf_rw.4" };
	size_t i;

	(void)state;
	assert_int_equal(system("make -s -C " TOP "/man O=" MADE), 0);
	each_page(look_for_references);
	for (i = 0; i < COUNT(others); i++) {
		char path[64], *text;

		snprintf(path, sizeof(path), MAN "%s", others[i]);
		text = read_text(path);
		look_for_references(others[i], text);
		free(text);
	}
}

/* Pages with a dash in their name are about other things than functions of the library. */
static void look_for_sections(const char *name, char *text)
{
	static const char *const sections[] = {
		"NAME", "LIBRARY", "SYNOPSIS", "DESCRIPTION", "RETURN VALUES", "EXAMPLES", "ERRORS",
		"THREAD SAFETY", "SEE ALSO",
	};
	const char *p = text, *q;
	char line[64];
	size_t i;

	for (i = 0; i < COUNT(sections); i++) {
		snprintf(line, sizeof(line), "\n.Sh %s\n", sections[i]);
		q = strstr(p, line);
		if (!q && strchr(name, '-') && (i == 1 || i == 2))
			continue;
		if (!q)
			fail_msg("%s has no section %s in its place", name, sections[i]);
		p = q;
		if (!strcmp(sections[i], "EXAMPLES") && !strstr(q, "\n.Bd -literal\n"))
			fail_msg("%s has no example", name);
	}
}

static void each_page_has_all_sections(void **state)
{
	(void)state;
	each_page(look_for_sections);
}

/* ---- structures --------------------------------------------------------------------- */

static char *headers[2];
static unsigned int structures;

/* Without comments, and with one blank for any; allocated. */
static char *bare(const char *text, const char *end)
{
	char *out = calloc(1, end - text + 1), *to = out;

	while (text < end) {
		if (!strncmp(text, "/*", 2)) {
			text = strstr(text, "*/") + 2;
		} else if (isspace((unsigned char)*text)) {
			if (to > out && to[-1] != ' ')
				*to++ = ' ';
			text++;
		} else {
			*to++ = *text++;
		}
	}
	return out;
}

static char *structure_of_header(const char *first_line)
{
	const char *p = NULL;
	size_t i;

	for (i = 0; i < COUNT(headers) && !p; i++)
		p = strstr(headers[i], first_line);
	return p ? bare(p + 1, strstr(p, "\n};") + 3) : NULL;
}

/* Each field has a comment where it is shown, or is in the text. */
static void expect_fields(const char *page, const char *text, const char *structure,
			  const char *end)
{
	const char *line = strchr(structure + 1, '\n'), *next;
	char field[64];

	for (; line < end - 1; line = next) {
		const char *p = strchr(line, ';'), *q;

		next = strchr(line + 1, '\n');
		if (!p || p > next || memmem(p, next - p, "/*", 2))
			continue;
		for (q = p; !isspace((unsigned char)q[-1]) && q[-1] != '*'; q--)
			;
		snprintf(field, sizeof(field), "%.*s", (int)strcspn(q, "[;"), q);
		/* A function's: its name is in brackets. */
		if (strchr(field, ')') || !strcmp(field, "size"))
			continue;
		snprintf(field, sizeof(field), " %.*s", (int)strcspn(q, "[;"), q);
		for (q = text; (q = strstr(q, field)); q++)
			if ((q < structure || q > end) && !is_part_of_word(q[strlen(field)]))
				break;
		if (!q)
			fail_msg("%s does not say what%s is", page, field);
	}
}

static void look_for_structures(const char *name, char *text)
{
	char first_line[64], *p, *end, *shown, *real;

	for (p = text; (p = strstr(p, "\nstruct dmabuf_rw_")); p = end) {
		end = strstr(p, "\n};");
		if (!memchr(p + 1, '{', strcspn(p + 1, "\n")) || !end) {
			end = p + 1;
			continue;
		}
		snprintf(first_line, sizeof(first_line), "%.*s", (int)strcspn(p + 1, "\n") + 1, p);
		shown = bare(p + 1, end + 3);
		real = structure_of_header(first_line);
		if (!real || strcmp(shown, real))
			fail_msg("%s shows %s but it is %s", name, shown, real ? real : "nowhere");
		expect_fields(name, text, p, end);
		structures++;
		free(shown);
		free(real);
	}
}

static void structures_are_shown_as_they_are_and_every_field_is_explained(void **state)
{
	char *p;
	int nr = 0;

	(void)state;
	headers[0] = read_text(TOP "/lib/libdmabuf_rw.h");
	headers[1] = read_text(TOP "/include/uapi/dmabuf_rw.h");
	each_page(look_for_structures);
	/* Every one of the library's, and those that it takes from the kernel's interface. */
	for (p = headers[0]; (p = strstr(p, "\nstruct dmabuf_rw_")); p++)
		nr += strcspn(p + 1, "{") < strcspn(p + 1, "\n");
	assert_int_equal(structures, nr + 4);
	free(headers[0]);
	free(headers[1]);
}

/* What the environment may say to libcufile, in each place where users look. */
static void every_variable_of_libcufile_is_in_all_its_documents(void **state)
{
	static const char *const documents[] = {
		"/man/dmabuf-rw-run.1", "/man/dmabuf-rw-cufile.3", "/docs/gpu.md",
		"/lib/cufile/cufile.h",
	};
	char name[64], path[256], *text;
	unsigned int found = 0;
	size_t i;
	FILE *f;

	(void)state;
	f = popen("grep -hoE '\"DMABUF_RW_CUFILE_[A-Z_]+\"' " TOP "/lib/cufile/*.c | tr -d '\"' | "
		  "sort -u", "r");
	assert_non_null(f);
	for (; fscanf(f, "%63s", name) == 1; found++)
		for (i = 0; i < COUNT(documents); i++) {
			snprintf(path, sizeof(path), TOP "%s", documents[i]);
			text = read_text(path);
			if (!strstr(text, name))
				fail_msg("%s has no %s", documents[i] + 1, name);
			free(text);
		}
	pclose(f);
	assert_true(found >= 3);
}

/* ---- examples --------------------------------------------------------------------- */

#define INCLUDES \
	"#include <cuda.h>\n#include <errno.h>\n#include <fcntl.h>\n#include <poll.h>\n" \
	"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n" \
	"#include <liburing.h>\n#include <libdmabuf_rw.h>\n"

static const char given_in_readme[] = INCLUDES
	"extern int dmabuf_fd, file_fd, ret;\n"
	"extern uint64_t bytes, file_off, buf_off, len;\n"
	"extern ssize_t n;\n";

/* The fragments between each pair of marks, in a function of its own. Returns how many. */
static int compile_examples(const char *path, const char *given, const char *begin,
			    const char *end)
{
	char *page = read_text(path), *from = page, *to, *p;
	int nr = 0, line;
	FILE *f;

	while ((from = strstr(from, begin))) {
		from += strlen(begin);
		to = strstr(from, end);
		assert_non_null(to);
		for (line = 1, p = page; p < from; p++)
			line += *p == '\n';
		f = popen(CC " -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I" TOP "/lib "
			  "-I" TOP "/include/uapi -I" TOP "/tests/examples -S -o /dev/null "
			  "-x c - >&2", "w");
		assert_non_null(f);
		fprintf(f, "%sint example(void);\nint example(void)\n{\n#line %d \"%s\"\n", given,
			line, path);
		fwrite(from, 1, to - from, f);
		fprintf(f, "\nreturn 0;\n}\n");
		if (pclose(f))
			fail_msg("%s: the example at line %d does not compile", path, line);
		from = to;
		nr++;
	}
	free(page);
	return nr;
}

static void every_example_of_the_readme_compiles(void **state)
{
	(void)state;
	assert_in_range(compile_examples(TOP "/README.md", given_in_readme, "\n```c\n", "\n```\n"),
			1, 9);
}

/* ---- errors and reasons ------------------------------------------------------------- */

static int has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = text; (p = strstr(p, word)); p += len)
		if (!is_part_of_word(p[-1]) && !is_part_of_word(p[len]))
			return 1;
	return 0;
}

/* Whether all errnos of the header's table for @call are in the section ERRORS of @page. */
static void expect_errnos(const char *page, const char *call, const char *const *never)
{
	static char calls[MAX_NAMES][32];
	char path[128], *text, *errors;
	int errnos[MAX_NAMES], n, i;

	snprintf(path, sizeof(path), MAN "%s.3", page);
	text = read_text(path);
	errors = strstr(text, "\n.Sh ERRORS\n");
	assert_non_null(errors);
	n = table_errnos(errnos, calls);
	for (i = 0; i < n; i++) {
		const char *name = strerrorname_np(errnos[i]);
		const char *const *p;

		if (strcmp(calls[i], "all") && !strstr(calls[i], call))
			continue;
		for (p = never; *p && strcmp(*p, name); p++)
			;
		if (!*p && !has_word(errors, name))
			fail_msg("%s.3 has no %s", page, name);
	}
	free(text);
}

static void each_page_has_the_errnos_of_its_functions(void **state)
{
	/* The library's own requests and structures are well formed. */
	static const char *const of_bind[] = { "EFAULT", "ENOTTY", NULL };
	static const char *const of_transfers[] = { "ENOTTY", NULL };

	(void)state;
	expect_errnos("dmabuf_rw_binding_create", "BIND", of_bind);
	expect_errnos("dmabuf_rw_read", "I/O", of_transfers);
}

static void every_reason_of_the_library_is_explained(void **state)
{
	char *header = read_text(TOP "/lib/libdmabuf_rw.h"), *page, *p, *end, text[64];
	unsigned int nr = 0;

	(void)state;
	page = read_text(MAN "dmabuf_rw_error_format.3");
	p = strstr(header, "enum dmabuf_rw_library_reason {");
	assert_non_null(p);
	end = strstr(p, "};");
	for (; (p = strstr(p, "DMABUF_RW_REASON_")) && p < end; nr++) {
		p += strlen("DMABUF_RW_REASON_");
		snprintf(text, sizeof(text), "\n.It Dv %.*s\n",
			 (int)strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), p);
		if (!strstr(page, text))
			fail_msg("dmabuf_rw_error_format.3 has no %s", text + 8);
	}
	assert_true(nr > 10);
	free(header);
	free(page);
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
		cmocka_unit_test(every_function_has_a_page_that_begins_with_its_name),
		cmocka_unit_test(the_functions_of_each_page_are_there),
		cmocka_unit_test(the_pages_refer_to_pages),
		cmocka_unit_test(each_page_has_all_sections),
		cmocka_unit_test(structures_are_shown_as_they_are_and_every_field_is_explained),
		cmocka_unit_test(every_variable_of_libcufile_is_in_all_its_documents),
		cmocka_unit_test(every_example_of_the_readme_compiles),
		cmocka_unit_test(every_errno_and_reason_is_explained),
		cmocka_unit_test(each_page_has_the_errnos_of_its_functions),
		cmocka_unit_test(every_reason_of_the_library_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
