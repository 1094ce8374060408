// SPDX-License-Identifier: MIT
/*
 * progress.c - one line on stderr with the progress of a transfer; and clocks.
 *
 * On a terminal the line must fit into a row, as redrawing does not erase what wrapped into the
 * next one. The bar shrinks first.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define BAR_CELLS	24
#define BAR_CELLS_MIN	4
#define ROW		80	/* if the terminal's width is unknown */
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

/* The most columns of the line. */
static size_t room(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size))
		return INT_MAX;
	/* Writing to the last column may wrap. */
	return size.ws_col ? size.ws_col - 1 : ROW - 1;
}

/* "[####....] ", with as many cells as fit beside @used other characters. */
static void format_bar(char bar[BAR_CELLS + 4], double part, size_t used)
{
	size_t have = room(), frame = strlen("[] "), cells;

	bar[0] = 0;
	if (have < used + frame + BAR_CELLS_MIN)
		return;
	cells = have - used - frame;
	if (cells > BAR_CELLS)
		cells = BAR_CELLS;
	bar[0] = '[';
	memset(bar + 1, '.', cells);
	memset(bar + 1, '#', part * cells);
	strcpy(bar + 1 + cells, "] ");
}

static void draw(struct progress *p, uint64_t done, uint32_t path, int64_t now)
{
	double elapsed = (now - p->begin_ns) / NS_PER_S;
	double rate = elapsed > 0 ? done / elapsed : 0;
	double part = p->total ? (double)done / p->total : 1;
	char bar[BAR_CELLS + 4], have[24], want[24], speed[24], *left = NULL, *text, *line;
	long eta = rate > 0 ? (p->total - done) / rate + 0.5 : 0;

	if (rate > 0 && done < p->total)
		left = text_format("  ETA %ld:%02ld", eta / 60, eta % 60);
	text = text_format("%3.0f%%  %s of %s  %s/s  %s%s", part * 100,
			   size_format(done, have, sizeof(have)),
			   size_format(p->total, want, sizeof(want)),
			   size_format(rate, speed, sizeof(speed)), dmabuf_rw_path_name(path),
			   left ? left : "");
	format_bar(bar, part, strlen(p->verb) + 1 + strlen(text_or_excuse(text)));
	line = text_format("%s %s%s", p->verb, bar, text_or_excuse(text));
	/* The line contains no user-supplied name. */
	fprintf(stderr, "\r%.*s\033[K", (int)room(), text_or_excuse(line));
	free(left);
	free(text);
	free(line);
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
