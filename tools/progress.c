// SPDX-License-Identifier: MIT
/*
 * progress.c - one line on stderr that says how far a transfer is; and clocks.
 */
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define BAR_CELLS	24
#define REDRAW_NS	INT64_C(100000000)
#define NS_PER_S	1000000000.0

int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static double seconds(const struct timeval *tv)
{
	return tv->tv_sec + tv->tv_usec / 1e6;
}

double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

bool progress_mode(const char *when, bool *shown)
{
	if (!strcmp(when, "always"))
		*shown = true;
	else if (!strcmp(when, "never"))
		*shown = false;
	else if (!strcmp(when, "auto"))
		*shown = isatty(STDERR_FILENO);
	else
		return false;
	return true;
}

void progress_begin(struct progress *p, bool shown, const char *verb, uint64_t total)
{
	*p = (struct progress){
		.shown = shown,
		.verb = verb,
		.total = total,
		.begin_ns = clock_ns(),
	};
}

static void draw(struct progress *p, uint64_t done, uint32_t path, int64_t now)
{
	double elapsed = (now - p->begin_ns) / NS_PER_S;
	double rate = elapsed > 0 ? done / elapsed : 0;
	unsigned int cells = p->total ? done * (double)BAR_CELLS / p->total : BAR_CELLS;
	char bar[BAR_CELLS + 1], have[24], want[24], speed[24];
	long eta = rate > 0 ? (p->total - done) / rate + 0.5 : 0;

	memset(bar, '.', BAR_CELLS);
	memset(bar, '#', cells);
	bar[BAR_CELLS] = 0;
	fprintf(stderr, "\r%s [%s] %3.0f%%  %s of %s  %s/s  %s  ", p->verb, bar,
		p->total ? done * 100.0 / p->total : 100.0,
		size_format(done, have, sizeof(have)),
		size_format(p->total, want, sizeof(want)),
		size_format(rate, speed, sizeof(speed)), dmabuf_rw_path_name(path));
	if (rate > 0 && done < p->total)
		fprintf(stderr, "ETA %ld:%02ld", eta / 60, eta % 60);
	fprintf(stderr, "\033[K");
	fflush(stderr);
	p->last_ns = now;
}

void progress_update(void *progress, uint64_t done, uint32_t path)
{
	struct progress *p = progress;
	int64_t now;

	if (!p->shown)
		return;
	now = clock_ns();
	if (now - p->last_ns >= REDRAW_NS)
		draw(p, done, path, now);
}

void progress_end(struct progress *p, uint64_t done, uint32_t path)
{
	if (!p->shown)
		return;
	draw(p, done, path, clock_ns());
	fputc('\n', stderr);
}
