// SPDX-License-Identifier: GPL-2.0
/*
 * cpu.c - what the machine's CPUs did: the marks for the counter of instructions, and how
 * long they were busy.
 *
 * The plugin (plugin.c) numbers its windows, and so does this file: the host's side joins
 * them. The marks are the innermost of what begins and ends a measurement, so asking for the
 * time is not counted; and the time that the plugin takes is taken off.
 *
 * "busy" is elapsed time less idle time over all CPUs, as the machine itself sees it. It comes
 * from a small module of the benchmark's own, bench/kmod/drw_idle.c, in nanoseconds. The
 * kernel's books cannot be used: 7.3 accounts idle periods partly by the tick, and so finds
 * less busy time in /proc/stat than a thread has used by its own clock (0.19 s of 0.36 s, for
 * one that works 3 ms and sleeps 1 ms in turn). On 6.12, whose books are right, both agree.
 * What asking costs is measured at the beginning and taken off.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "mark.h"

#define IDLE		"/sys/module/drw_idle/parameters/idle"
#define TRIALS		15

static double asking;	/* busy seconds that a measurement of nothing shows */
static int idle_fd;
static long cpus;

double clock_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void read_idle(struct cpu_mark *mark)
{
	unsigned long long now, idle;
	char text[64];
	ssize_t n;

	n = pread(idle_fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	if (sscanf(text, "%llu %llu", &now, &idle) != 2)
		die(IDLE " cannot be read");
	mark->clock = now * 1e-9;
	mark->idle = idle * 1e-9;
}

static long sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

void cpu_begin(struct cpu_mark *mark)
{
	double before;

	mark->sleeps = sleeps();
	read_idle(mark);
	before = clock_seconds();
	MARK(MARK_BEGIN);
	mark->mark = clock_seconds() - before;
}

void cpu_end(const struct cpu_mark *begin, struct cpu_use *use)
{
	static unsigned int windows;
	double before = clock_seconds(), marks;
	struct cpu_mark end;

	MARK(MARK_END);
	marks = begin->mark + clock_seconds() - before;
	read_idle(&end);
	use->sleeps = sleeps() - begin->sleeps;
	use->window = windows++;
	use->seconds = end.clock - begin->clock;
	use->busy = use->seconds * cpus - (end.idle - begin->idle) - marks - asking;
	use->seconds -= marks;
}

double cpu_rest(double seconds)
{
	const struct timespec ts = { .tv_nsec = seconds * 1e9 };
	double end;

	MARK(MARK_PAUSE);
	nanosleep(&ts, NULL);
	end = clock_seconds();
	MARK(MARK_RESUME);
	return end;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void cpu_init(void)
{
	double busy[TRIALS];
	struct cpu_mark mark;
	struct cpu_use use;
	cpu_set_t set;
	int i;

	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	CPU_ZERO(&set);
	CPU_SET(cpus - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("the benchmark cannot be kept on one CPU");

	module_load("drw_idle");
	idle_fd = open(IDLE, O_RDONLY | O_CLOEXEC);
	if (idle_fd < 0)
		die(IDLE ": %m");

	for (i = 0; i < TRIALS; i++) {
		cpu_begin(&mark);
		cpu_end(&mark, &use);
		busy[i] = use.busy;
	}
	qsort(busy, TRIALS, sizeof(busy[0]), by_value);
	asking = busy[TRIALS / 2];
}

void cpu_exit(void)
{
	close(idle_fd);
	module_unload("drw_idle");
}
