// SPDX-License-Identifier: GPL-2.0
/*
 * cpu.c - time that the machine's CPUs were busy, from two sources.
 *
 * "busy" is elapsed time less idle time over all CPUs, as the machine itself sees it: the
 * measure that the project's goals are about. It comes from a small module of the
 * benchmark's own, bench/kmod/drw_idle.c, in nanoseconds. The kernel's books cannot be
 * used: 7.3 accounts idle periods partly by the tick, and so finds less busy time in
 * /proc/stat than a thread has used by its own clock (0.19 s of 0.36 s, for one that
 * works 3 ms and sleeps 1 ms in turn). On 6.12, whose books are right, both agree.
 *
 * "host" is what the host has given to the machine's virtual CPUs, which are threads of
 * the hypervisor that block while their CPU is idle; the runner tells it through the
 * "host" port. It lacks time in which the host let others run, so it suffers less from
 * a busy host, and time in which a virtual CPU waited for the emulation of a device.
 * Under KVM it includes the host's polling for wake-ups (kvm.halt_poll_ns).
 *
 * What asking costs is measured at the beginning and taken off.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define IDLE		"/sys/module/drw_idle/parameters/idle"
#define PORT		"/dev/drw/port-host"
#define TRIALS		15
#define ANSWER_MS	10000

static struct cpu_use asking;	/* what a pair of marks costs */
static int idle_fd, port_fd;
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

static double host_seconds(void)
{
	static const char question[] = "cpu-time\n";
	struct pollfd pfd = { .fd = port_fd, .events = POLLIN };
	char text[128];
	ssize_t n, len = 0;

	if (write(port_fd, question, sizeof(question) - 1) != sizeof(question) - 1)
		die("the host cannot be asked");
	do {
		if (poll(&pfd, 1, ANSWER_MS) != 1)
			die("the host does not answer");
		n = read(port_fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			die("the host's answer cannot be read");
		len += n;
		text[len] = 0;
	} while (!strchr(text, '\n') && len < (ssize_t)sizeof(text) - 1);
	if (strncmp(text, "ok ", 3))
		die("the host knows no CPU times: %s", text);
	return strtoull(text + 3, NULL, 10) * 1e-9;
}

void cpu_begin(struct cpu_mark *mark)
{
	mark->host = host_seconds();
	read_idle(mark);
}

void cpu_end(const struct cpu_mark *begin, struct cpu_use *use)
{
	struct cpu_mark end;

	read_idle(&end);
	end.host = host_seconds();
	use->seconds = end.clock - begin->clock;
	use->busy = use->seconds * cpus - (end.idle - begin->idle) - asking.busy;
	use->host = end.host - begin->host - asking.host;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void cpu_init(void)
{
	double busy[TRIALS], host[TRIALS];
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
	port_fd = open(PORT, O_RDWR | O_CLOEXEC);
	if (port_fd < 0)
		die(PORT ": %m");

	for (i = 0; i < TRIALS; i++) {
		cpu_begin(&mark);
		cpu_end(&mark, &use);
		busy[i] = use.busy;
		host[i] = use.host;
	}
	qsort(busy, TRIALS, sizeof(busy[0]), by_value);
	qsort(host, TRIALS, sizeof(host[0]), by_value);
	asking.busy = busy[TRIALS / 2];
	asking.host = host[TRIALS / 2];
}

void cpu_exit(void)
{
	close(port_fd);
	close(idle_fd);
	module_unload("drw_idle");
}
