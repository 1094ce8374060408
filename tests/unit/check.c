// SPDX-License-Identifier: GPL-2.0-only
/*
 * check.c - results of the arithmetic's tests; see check.h.
 *
 * One test runs at a time. Outside a test, which is where libFuzzer calls from, a failed
 * check aborts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static u64 seed = 1;
static jmp_buf leave;
static bool in_test;
static char context[160];
static char reason[400];

u64 test_seed(void)
{
	return seed;
}

void check_context(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
}

void check_failed(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	va_list ap;
	int n;

	n = snprintf(reason, sizeof(reason), "%s:%d: %s%s", base ? base + 1 : file, line,
		     context, *context ? ": " : "");
	va_start(ap, fmt);
	vsnprintf(reason + n, sizeof(reason) - n, fmt, ap);
	va_end(ap);
	if (in_test)
		longjmp(leave, 1);
	fprintf(stderr, "%s\n", reason);
	abort();
}

static bool run_one(const struct test *t)
{
	check_context("%s", "");
	if (!setjmp(leave)) {
		in_test = true;
		t->run();
		in_test = false;
		printf("ok %s\n", t->name);
		return true;
	}
	in_test = false;
	printf("not ok %s - %s\n", t->name, reason);
	return false;
}

int run_tests(const struct test *tests, unsigned int nr, int argc, char **argv)
{
	bool list = false, all = true, *chosen;
	unsigned int plan = 0, failed = 0, i;
	int a;

	chosen = calloc(nr, sizeof(*chosen));
	if (!chosen)
		abort();
	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--list")) {
			list = true;
		} else if (!strcmp(argv[a], "--seed") && a + 1 < argc) {
			seed = strtoull(argv[++a], NULL, 0);
		} else if (!strcmp(argv[a], "--only") && a + 1 < argc) {
			all = false;
			a++;
			for (i = 0; i < nr && strcmp(tests[i].name, argv[a]); i++)
				;
			if (i == nr) {
				fprintf(stderr, "%s: there is no test %s\n", argv[0], argv[a]);
				goto usage;
			}
			chosen[i] = true;
		} else {
			fprintf(stderr, "usage: %s [--list] [--only NAME]... [--seed N]\n",
				argv[0]);
			goto usage;
		}
	}
	for (i = 0; i < nr; i++)
		plan += all || chosen[i];
	if (!list)
		printf("plan %u\n", plan);
	for (i = 0; i < nr; i++) {
		if (!all && !chosen[i])
			continue;
		if (list)
			printf("%s\n", tests[i].name);
		else
			failed += !run_one(&tests[i]);
		fflush(stdout);
	}
	free(chosen);
	return failed ? 1 : 0;
usage:
	free(chosen);
	return 2;
}
