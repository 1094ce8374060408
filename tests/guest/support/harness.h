/* SPDX-License-Identifier: GPL-2.0 */
/*
 * harness.h - runs named tests and reports them, one line each.
 *
 *   plan N
 *   ok NAME
 *   not ok NAME - FILE:LINE: why, with values
 *   skip NAME - reason
 *   done PASSED FAILED SKIPPED
 *
 * Each test runs in a child process of its own, so that descriptors, mappings, threads
 * and rings of a failed test are gone before the next begins, and a crash or a hang is
 * a failure of that test only. A failed check ends the test at once; there is no
 * clean-up code in tests for the benefit of failures.
 *
 * The exit status is 0 if none failed, 1 otherwise; the "done" line is printed last,
 * so a run that does not end with it has died.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define KiB 1024ULL
#define MiB (1024 * KiB)
#define ROUND_UP(x, a) (((x) + (a) - 1) / (a) * (a))
#define ROUND_DOWN(x, a) ((x) / (a) * (a))

/* The machines of a kernel on which a program may find something that it finds nowhere else. */
enum machines {
	MACHINE_ONE,		/* any: the one that translates addresses, with multipath */
	MACHINES_IOMMU_OR_NOT,	/* and one without an IOMMU */
	MACHINES_EACH_KIND,	/* and one with an IOMMU that passes through; multipath off */
	MACHINES_ALL,		/* each IOMMU with multipath and without */
};

/**
 * struct program - one test program
 * @name:	its file's
 * @add:	adds the tests by test_add(); runs once, before any test
 * @machines:	elsewhere it is skipped as a whole, unless the user has named it
 * @debug:	worth its time on a kernel that checks itself, too
 *
 * What else a test needs, it asks for itself: require.h.
 */
struct program {
	const char *name;
	void (*add)(void);
	enum machines machines;
	bool debug;
};

/**
 * test_add - add a test to the table
 * @run:	the test; passes by returning
 * @arg:	given to @run; must stay
 * @fmt:	name, in words joined by '_' or '.'
 */
void test_add(void (*run)(const void *arg), const void *arg, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Each test that is added from here on is added a second time, with @suffix at its name; @before
 * runs first in it then. @suffix NULL: no more.
 */
void test_twice(const char *suffix, void (*before)(void));

#define TEST(fn) test_add(fn, NULL, "%s", #fn)

/* The most seconds that one test may take; for the tests added after the call. */
void test_limit(unsigned int seconds);

/* How many times longer than usual anything may take on this machine. */
unsigned int harness_slow(void);

/* A value given on the command line or drawn; printed in any case. */
u64 harness_seed(void);

/* Called by each test program's entry. */
int harness_main(const struct program *program, int argc, char **argv);

__attribute__((noreturn, format(printf, 3, 4)))
void fail_at(const char *file, int line, const char *fmt, ...);
__attribute__((noreturn, format(printf, 4, 5)))
void fail_check_at(const char *file, int line, const char *cond, const char *fmt, ...);
__attribute__((noreturn, format(printf, 7, 8)))
void fail_eq_at(const char *file, int line, const char *what, long long is,
		const char *wanted, long long should, const char *fmt, ...);
__attribute__((noreturn, format(printf, 1, 2)))
void skip(const char *fmt, ...);
/* A line of explanation, "# ..." */
__attribute__((format(printf, 1, 2)))
void note(const char *fmt, ...);

/* In a failure, the text that this gives is added to the reason. */
void on_fail(void (*tell)(void));

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(cond, ...)						\
	do {								\
		if (!(cond))						\
			fail_check_at(__FILE__, __LINE__, #cond, "" __VA_ARGS__); \
	} while (0)

/* Integers; both are printed. */
#define CHECK_EQ(a, b, ...)						\
	do {								\
		long long a_ = (long long)(a), b_ = (long long)(b);	\
									\
		if (a_ != b_)						\
			fail_eq_at(__FILE__, __LINE__, #a, a_, #b, b_,	\
				   "" __VA_ARGS__);			\
	} while (0)

/* A system call that must work; gives its value. */
#define SYS(call)							\
	({								\
		long long r_ = (long long)(call);			\
									\
		if (r_ == -1)						\
			fail_at(__FILE__, __LINE__, "%s: %s", #call, strerror(errno)); \
		r_;							\
	})

/* A call that returns 0 or -errno and must work. */
#define OK(call)							\
	({								\
		long long r_ = (long long)(call);			\
									\
		if (r_ < 0)						\
			fail_at(__FILE__, __LINE__, "%s: %s", #call, strerror(-r_)); \
		r_;							\
	})

/* A call that returns -errno and must fail so. */
#define FAILS(call, err)						\
	do {								\
		long long r_ = (long long)(call);			\
									\
		if (r_ != -(err))					\
			fail_at(__FILE__, __LINE__, "%s gave %lld (%s), not -%s", #call, \
				r_, r_ < 0 ? strerror(-r_) : "no error", #err); \
	} while (0)

/* Whole contents of a small file with the newline cut; "" if it is not there. */
const char *slurp(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Write a string to a file, as "echo > file"; 0 or -errno. */
int spit(const char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A shell command; its exit status. Output goes where the test's goes, as notes. */
int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Monotonic time in microseconds. */
u64 now_us(void);

#endif
