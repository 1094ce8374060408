// SPDX-License-Identifier: GPL-2.0
/*
 * harness.c - runs named tests in children and reports them; see harness.h.
 *
 * A child tells its fate by its exit status (0, TEST_FAILED, TEST_SKIPPED) and one line
 * through a pipe. The parent prints all result lines, so that they never mix.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../tools/descriptors.h"
#include "harness.h"

#define TEST_FAILED	1
#define TEST_SKIPPED	77
#define MAX_TESTS	1024
#define SLOW_US		4000000		/* worth a remark */

struct test {
	char *name;
	void (*run)(const void *arg);
	const void *arg;
	void (*before)(void);	/* or NULL */
	unsigned int limit;
};

static struct test tests[MAX_TESTS];
static const char *second_suffix;	/* of tests that are added twice; NULL: none is */
static void (*second_before)(void);
static size_t nr_tests;
static unsigned int limit = 120;
static unsigned int slow = 1;		/* times longer than usual that all may take */
static u64 seed;
static int report_fd = -1;
static void (*tell_on_fail)(void);
static pid_t test_pid;

void test_limit(unsigned int seconds)
{
	limit = seconds;
}

void test_twice(const char *suffix, void (*before)(void))
{
	second_suffix = suffix;
	second_before = before;
}

static struct test *add_one(void (*run)(const void *arg), const void *arg)
{
	struct test *t = &tests[nr_tests++];

	if (nr_tests > MAX_TESTS)
		abort();
	t->run = run;
	t->arg = arg;
	t->limit = limit * slow;
	return t;
}

void test_add(void (*run)(const void *arg), const void *arg, const char *fmt, ...)
{
	struct test *t = add_one(run, arg), *second;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&t->name, fmt, ap) < 0)
		abort();
	va_end(ap);
	if (!second_suffix)
		return;
	second = add_one(run, arg);
	second->before = second_before;
	if (asprintf(&second->name, "%s%s", t->name, second_suffix) < 0)
		abort();
}

unsigned int harness_slow(void)
{
	return slow;
}

u64 harness_seed(void)
{
	return seed;
}

void on_fail(void (*tell)(void))
{
	tell_on_fail = tell;
}

/* One line to the parent, or to nobody if a helper process of the test speaks. */
static void report(const char *text)
{
	char line[1024];
	size_t n = snprintf(line, sizeof(line) - 1, "%s", text);

	n = MIN(n, sizeof(line) - 2);
	for (size_t i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	if (write(report_fd, line, n) < 0)
		abort();
}

void fail_at(const char *file, int line, const char *fmt, ...)
{
	static int failing;
	const char *base = strrchr(file, '/');
	char text[1000];
	va_list ap;
	int n;

	/* Of several threads that fail only the first is heard. */
	if (__atomic_exchange_n(&failing, 1, __ATOMIC_SEQ_CST))
		for (;;)
			pause();
	n = snprintf(text, sizeof(text), "%s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	report(text);
	if (tell_on_fail && getpid() == test_pid)
		tell_on_fail();
	fflush(stdout);
	_exit(TEST_FAILED);
}

void fail_check_at(const char *file, int line, const char *cond, const char *fmt, ...)
{
	char more[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(more, sizeof(more), fmt, ap);
	va_end(ap);
	fail_at(file, line, "not %s%s%s", cond, more[0] ? ": " : "", more);
}

void fail_eq_at(const char *file, int line, const char *what, long long is,
		const char *wanted, long long should, const char *fmt, ...)
{
	char more[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(more, sizeof(more), fmt, ap);
	va_end(ap);
	fail_at(file, line, "%s is %lld, not %lld (%s)%s%s", what, is, should, wanted,
		more[0] ? ": " : "", more);
}

void skip(const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(text);
	_exit(TEST_SKIPPED);
}

void note(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

const char *slurp(const char *fmt, ...)
{
	static char text[4096];
	char path[512];
	va_list ap;
	ssize_t n;
	int fd;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	text[0] = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return text;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[MAX(n, 0)] = 0;
	text[strcspn(text, "\n")] = 0;
	return text;
}

int spit(const char *text, const char *fmt, ...)
{
	char path[512];
	va_list ap;
	ssize_t n;
	int fd, err;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

int sh(const char *fmt, ...)
{
	char command[1024], line[1200];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	/* Nothing of the output may be taken for a result line. */
	snprintf(line, sizeof(line),
		 "{ { %s ; } 2>&1 </dev/null; echo $? >/tmp/sh.status; } | sed 's/^/# /'; "
		 "exit $(cat /tmp/sh.status)", command);
	fflush(stdout);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

u64 now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

/* Returns the child's status as waitpid() gives it, or -1 after the limit. */
static int wait_limited(pid_t pid, unsigned int seconds)
{
	struct timespec start, now, nap = { .tv_nsec = 2000000 };
	int status;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > (time_t)seconds)
			return -1;
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 50000000)
			nap.tv_nsec += nap.tv_nsec / 4;
	}
}

/* The kernel functions in which a process sleeps, innermost first; empty if it runs. */
static void where(pid_t pid, char *out, size_t size)
{
	char path[64], line[160], name[96];
	size_t len = 0;
	FILE *f;

	out[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	for (int frames = 0; frames < 8 && fgets(line, sizeof(line), f); ) {
		if (sscanf(line, "[<%*[^>]>] %95[^+]", name) != 1 || len + strlen(name) + 2 > size)
			continue;
		len += snprintf(out + len, size - len, "%s%s", len ? " " : ", in ", name);
		frames++;
	}
	fclose(f);
}

static void child(const struct test *t, int fd)
{
	report_fd = fd;
	test_pid = getpid();
	/* A group of its own: helpers that a test leaves behind are killed with it. */
	setpgid(0, 0);
	if (t->before)
		t->before();
	t->run(t->arg);
	fflush(stdout);
	_exit(0);
}

/* Returns 0, TEST_FAILED or TEST_SKIPPED, and has printed the result. */
static int run_one(const struct test *t)
{
	char why[1024] = "", stack[400];
	int p[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		abort();
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid)
		child(t, p[1]);
	setpgid(pid, pid);
	status = wait_limited(pid, t->limit);
	if (status == -1)
		where(pid, stack, sizeof(stack));
	kill(-pid, SIGKILL);
	if (status == -1) {
		kill(pid, SIGKILL);
		/* A process that hangs in the kernel must not hang the run. */
		wait_limited(pid, 5);
	}
	n = read(p[0], why, sizeof(why) - 1);
	why[MAX(n, 0)] = 0;
	close(p[0]);
	close(p[1]);

	if (status == -1) {
		printf("not ok %s - not finished after %u s%s\n", t->name, t->limit, stack);
		return TEST_FAILED;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("ok %s\n", t->name);
		return 0;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED) {
		printf("skip %s - %s\n", t->name, why);
		return TEST_SKIPPED;
	}
	if (WIFSIGNALED(status))
		printf("not ok %s - killed by signal %d (%s)\n", t->name, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else
		printf("not ok %s - %s\n", t->name, why[0] ? why : "exited without a word");
	return TEST_FAILED;
}

static bool wanted(const struct test *t, char **only, int nr_only)
{
	for (int i = 0; i < nr_only; i++) {
		size_t n = strlen(only[i]);

		/* "abc*" takes all names that begin so. */
		if (n && only[i][n - 1] == '*' ? !strncmp(t->name, only[i], n - 1)
					       : !strcmp(t->name, only[i]))
			return true;
	}
	return !nr_only;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

/* Why the program has nothing to do on this machine, or NULL. */
static const char *not_here(const struct program *program)
{
	bool multipath = strcmp(variable("DRW_MULTIPATH"), "0");
	bool strict = !strcmp(variable("DRW_IOMMU"), "strict");
	bool off = !strcmp(variable("DRW_IOMMU"), "off");

	/* Named by the user, or started by hand. */
	if (*variable("DRW_NAMED") || !*variable("DRW_IOMMU"))
		return NULL;
	if (slow > 1 && !program->debug)
		return "it finds nothing here that it does not find on a stock kernel";
	switch (program->machines) {
	case MACHINE_ONE:
		return strict && multipath ? NULL :
		       "the machine with an IOMMU and multipath is enough";
	case MACHINES_IOMMU_OR_NOT:
		return (strict || off) && multipath ? NULL :
		       "the machines with multipath, and an IOMMU or none, are enough";
	case MACHINES_EACH_KIND:
		return strict || multipath ? NULL :
		       "without multipath the machine with an IOMMU is enough";
	default:
		return NULL;
	}
}

static void skip_as_a_whole(const void *why)
{
	skip("%s", (const char *)why);
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [--list] [--only NAME[*]]... [--seed N]\n", name);
	return 2;
}

int harness_main(const struct program *program, int argc, char **argv)
{
	unsigned int passed = 0, failed = 0, skipped = 0, plan = 0;
	u64 start = now_us(), before;
	bool list = false;
	char **only = calloc(argc, sizeof(*only));
	const char *why;
	struct timespec now;
	int nr_only = 0;

	take_standard_descriptors();
	clock_gettime(CLOCK_REALTIME, &now);
	seed = (now.tv_sec * 1000003ULL + now.tv_nsec) & 0xffffffff;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list"))
			list = true;
		else if (!strcmp(argv[i], "--only") && i + 1 < argc)
			only[nr_only++] = argv[++i];
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else
			return usage(program->name);
	}
	signal(SIGPIPE, SIG_IGN);
	if (getenv("DRW_SLOW"))
		slow = MAX(atoi(getenv("DRW_SLOW")), 1);
	why = not_here(program);
	if (why)
		test_add(skip_as_a_whole, why, "all");
	else
		program->add();
	for (size_t i = 0; i < nr_tests; i++)
		plan += wanted(&tests[i], only, nr_only);
	if (list) {
		for (size_t i = 0; i < nr_tests; i++)
			if (wanted(&tests[i], only, nr_only))
				printf("%s\n", tests[i].name);
		return 0;
	}
	printf("# %s --seed %llu\n", program->name, (unsigned long long)seed);
	printf("plan %u\n", plan);
	for (size_t i = 0; i < nr_tests; i++) {
		if (!wanted(&tests[i], only, nr_only))
			continue;
		before = now_us();
		switch (run_one(&tests[i])) {
		case 0:
			passed++;
			break;
		case TEST_SKIPPED:
			skipped++;
			break;
		default:
			failed++;
		}
		if (now_us() - before > SLOW_US)
			note("%s took %llu s", tests[i].name,
			     (unsigned long long)(now_us() - before) / 1000000);
		fflush(stdout);
	}
	if (!plan) {
		fprintf(stderr, "%s: no such test\n", program->name);
		return 2;
	}
	note("%s took %llu s", program->name,
	     (unsigned long long)(now_us() - start) / 1000000);
	printf("done %u %u %u\n", passed, failed, skipped);
	fflush(stdout);
	return failed != 0;
}
