// SPDX-License-Identifier: MIT
/*
 * lib_symbols.c - the public header, the symbol map and what the shared library exports
 * name the same functions, so that none is forgotten and none leaks.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define HEADER	TOP "/lib/libdmabuf_rw.h"
#define MAP	TOP "/lib/libdmabuf_rw.map"
#define LIBRARY	OUT "/shared/libdmabuf_rw.so"
#define NODE	"DMABUF_RW_0."
#define MAX	256

struct names {
	char name[MAX][64];
	size_t nr;
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void add(struct names *names, const char *name, size_t len)
{
	assert_true(names->nr < MAX && len < sizeof(names->name[0]));
	snprintf(names->name[names->nr++], sizeof(names->name[0]), "%.*s", (int)len, name);
}

static void sort(struct names *names)
{
	assert_true(names->nr > 10);
	qsort(names->name, names->nr, sizeof(names->name[0]), compare);
}

static void read_text(FILE *f, char *text, size_t len)
{
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, len - 1, f);
	assert_in_range(n, 1, len - 2);
	text[n] = 0;
}

static void blank_comments(char *text)
{
	char *p = text, *end;

	while ((p = strstr(p, "/*"))) {
		end = strstr(p, "*/");
		assert_non_null(end);
		memset(p, ' ', end + 2 - p);
	}
}

/* Every identifier with our prefix, of which @after is the next character. */
static void collect(const char *text, char after, struct names *names)
{
	const char *p = text;

	names->nr = 0;
	while ((p = strstr(p, "dmabuf_rw_"))) {
		size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");

		if (p[len] == after && (p == text || isspace((unsigned char)p[-1]) ||
					p[-1] == '*'))
			add(names, p, len);
		p += len;
	}
	sort(names);
}

static void header_names(struct names *names)
{
	static char text[1 << 17];
	FILE *f = fopen(HEADER, "r");

	read_text(f, text, sizeof(text));
	fclose(f);
	blank_comments(text);
	collect(text, '(', names);
}

static void map_names(struct names *names)
{
	static char text[1 << 15];
	FILE *f = fopen(MAP, "r");

	read_text(f, text, sizeof(text));
	fclose(f);
	collect(text, ';', names);
}

static void exported_names(struct names *names)
{
	char line[512], name[256], kind;
	FILE *f = popen("nm --dynamic --defined-only " LIBRARY, "r");

	assert_non_null(f);
	names->nr = 0;
	while (fgets(line, sizeof(line), f)) {
		assert_int_equal(sscanf(line, "%*s %c %255s", &kind, name), 2);
		/* The version itself. */
		if (kind == 'A')
			continue;
		if (kind != 'T')
			fail_msg("%s is exported and is no function", name);
		if (!strstr(name, "@@" NODE))
			fail_msg("%s has no version", name);
		add(names, name, strcspn(name, "@"));
	}
	assert_int_equal(pclose(f), 0);
	sort(names);
}

static void expect_equal(const struct names *a, const char *a_is, const struct names *b,
			 const char *b_is)
{
	size_t i, j;

	for (i = j = 0; i < a->nr || j < b->nr;) {
		int order = i == a->nr ? 1 : j == b->nr ? -1 :
			    strcmp(a->name[i], b->name[j]);

		if (order < 0)
			fail_msg("%s is in %s, but not in %s", a->name[i], a_is, b_is);
		if (order > 0)
			fail_msg("%s is in %s, but not in %s", b->name[j], b_is, a_is);
		i++;
		j++;
	}
}

static void the_header_declares_what_the_map_exports(void **state)
{
	static struct names header, map;

	(void)state;
	header_names(&header);
	map_names(&map);
	expect_equal(&header, "the header", &map, "the map");
}

static void the_library_exports_the_map_and_nothing_else(void **state)
{
	static struct names map, exported;

	(void)state;
	map_names(&map);
	exported_names(&exported);
	expect_equal(&map, "the map", &exported, "the library");
}

static void a_program_finds_every_function_under_its_version(void **state)
{
	static struct names header;
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	(void)state;
	if (!library)
		fail_msg("%s", dlerror());
	header_names(&header);
	for (i = 0; i < header.nr; i++)
		if (!dlvsym(library, header.name[i], NODE "1") &&
		    !dlvsym(library, header.name[i], NODE "2"))
			fail_msg("%s is missing", header.name[i]);
	dlclose(library);
}

static void the_soname_carries_the_major_version(void **state)
{
	char line[512];
	FILE *f = popen("readelf -d " LIBRARY, "r");
	int found = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found += strstr(line, "SONAME") && strstr(line, "[libdmabuf_rw.so.0]");
	assert_int_equal(pclose(f), 0);
	assert_int_equal(found, 1);
}

/* A header that needs another one first, or that C++ cannot take, is of little use. */
static void the_header_stands_alone_in_c_and_cpp(void **state)
{
	static const char *const compilers[] = {
		"cc -std=c11 -Wall -Wextra -Wpedantic -Werror -x c",
		"c++ -std=c++11 -Wall -Wextra -Werror -x c++",
	};
	char command[1024];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(compilers); i++) {
		snprintf(command, sizeof(command), "command -v %s >/dev/null || exit 0; "
			 "echo '#include <libdmabuf_rw.h>' | %s -fsyntax-only -I" TOP
			 "/lib -I" TOP "/include/uapi -", i ? "c++" : "cc", compilers[i]);
		assert_int_equal(system(command), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_declares_what_the_map_exports),
		cmocka_unit_test(the_library_exports_the_map_and_nothing_else),
		cmocka_unit_test(a_program_finds_every_function_under_its_version),
		cmocka_unit_test(the_soname_carries_the_major_version),
		cmocka_unit_test(the_header_stands_alone_in_c_and_cpp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
