/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * check.h - results of the arithmetic's tests, in the lines of tests/README.md.
 *
 * For tests that replay from a seed; --list, --only NAME and --seed N as described there.
 * A failed CHECK() ends its test at once, and the reason goes on the result line. What a
 * test takes, it takes from static storage, so nothing is to be undone after a failure.
 */
#ifndef CHECK_H
#define CHECK_H

#include "../../kernel/pure.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define KiB		1024U
#define MiB		(1024U * KiB)

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(fn)	{ .name = #fn, .run = fn }

/**
 * run_tests() - run all or some of the tests and report them
 * @tests: the program's tests
 * @nr: how many
 * @argc: of main()
 * @argv: of main()
 *
 * Return: exit status: 0, 1 if a test failed, 2 for a wrong command line.
 */
int run_tests(const struct test *tests, unsigned int nr, int argc, char **argv);

/* Of the command line, else always the same: a failure on one machine is one on all. */
u64 test_seed(void);

/* Said in front of the reason of a failure, to find the case again; "" to end it. */
void __attribute__((format(printf, 1, 2))) check_context(const char *fmt, ...);

void __attribute__((noreturn, format(printf, 3, 4)))
check_failed(const char *file, int line, const char *fmt, ...);

#define CHECK(cond, ...)						\
	do {								\
		if (!(cond))						\
			check_failed(__FILE__, __LINE__, __VA_ARGS__);	\
	} while (0)

/* Equal integers of any type. */
#define CHECK_EQ(is, should)						\
	do {								\
		unsigned long long is_ = (is), should_ = (should);	\
									\
		CHECK(is_ == should_, "%s is %#llx, not %#llx",		\
		      #is, is_, should_);				\
	} while (0)

#endif
