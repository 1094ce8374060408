// SPDX-License-Identifier: GPL-2.0
/*
 * cost.c - the memory of a binding, and the CPU time of a transfer, beside the usual ways. It
 * measures with the benchmark's parts; make bench does so at length.
 */
#include <stdlib.h>
#include <string.h>

#include "demo.h"

#define ROUNDS		7
#define RUN_SECONDS	0.1
#define AREA_HALF	(32 * MiB)

/* sizeof(struct page), for each 4 KiB. */
#define STRUCT_PAGE	64

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), by_value);
	return values[nr / 2];
}

static void show_cpu(struct lane *direct, struct lane *bounce)
{
	const struct cell cell = { .block = 128 * KiB, .depth = MAX_DEPTH };
	double ours[ROUNDS], theirs[ROUNDS];
	struct sample sample;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		lane_run(direct, &cell, RUN_SECONDS, &sample);
		ours[i] = sample.use.busy / sample.ios * 1e6;
		lane_run(bounce, &cell, RUN_SECONDS, &sample);
		theirs[i] = sample.use.busy / sample.ios * 1e6;
	}
	fact("CPU time", "%.0f us to read 128 KiB into the BAR; %.0f us through RAM and a copy by CPU",
	     median(ours, ROUNDS), median(theirs, ROUNDS));
	fact("", "(median of %u runs, %u transfers in flight, data checked after each run)",
	     ROUNDS, cell.depth);
}

void show_cost(void)
{
	struct lane direct, bounce;
	struct dmabuf_rw_device *device;
	struct dmabuf_rw_info info;
	struct target bar;
	struct area area;
	u64 pages;
	int ret;

	ret = dmabuf_rw_device_open(NULL, &device);
	if (ret)
		die("the module: %s", strerror(-ret));
	area_open(&area, "plug512", 0, AREA_HALF);
	target_open_bar(&bar);
	lane_open_direct(&direct, "direct", &area, device, &bar, 0);
	lane_info(&direct, &info);
	pages = info.buf_bytes / 4096 * STRUCT_PAGE;
	if (!info.metadata_bytes || info.metadata_bytes >= pages)
		die("the binding takes %llu bytes, and struct pages would take %llu",
		    (unsigned long long)info.metadata_bytes, (unsigned long long)pages);
	fact("memory", "%llu bytes for a binding of %llu MiB; struct pages for them would take %llu",
	     (unsigned long long)info.metadata_bytes,
	     (unsigned long long)(info.buf_bytes / MiB), (unsigned long long)pages);

	lane_open_bounce(&bounce, "bounce", &area, &bar);
	cpu_init();
	show_cpu(&direct, &bounce);
	lane_close(&direct);
	lane_close(&bounce);
	cpu_exit();
	dmabuf_rw_device_close(device);
}
