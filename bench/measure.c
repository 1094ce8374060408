// SPDX-License-Identifier: GPL-2.0
/*
 * measure.c - the benchmark's program inside a test machine.
 *
 * Each cell is measured in rounds, and each round runs every lane once, beginning with
 * another one each time; so what disturbs the machine for a while disturbs all lanes
 * alike. Before the first round every lane runs shortly without being measured.
 *
 * Output: lines that begin with "{" are records for bench/report.py, one JSON object
 * each; others say how far it is.
 *
 * Environment: those of every test machine (tests/README.md), and
 *   BENCH_ROUNDS	rounds of each cell (5)
 *   BENCH_MS		length of one run in milliseconds (500)
 *   BENCH_CELLS	shell pattern: only cells whose name matches
 *   BENCH_LANES	shell pattern: only lanes whose name matches
 *   BENCH_BOUNCES	KIB:DEPTH,... more lanes of the library's bouncing, with chunks of so
 *			many KiB and so many in flight (none)
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "descriptors.h"

/* A drive with one namespace, as most are; blk-mq has more work where tags are shared. */
#define ROLE		"plug512"
#define AREA_BASE	0
#define AREA_HALF	(32 * MiB)
/* On the same disk behind that, for a file system. */
#define FILE_AT		(64 * MiB)
#define FILE_FS_BYTES	(64 * MiB)
#define FILE_HALF	(8 * MiB)
#define SKEW		123
#define MAX_ROUNDS	100
#define WARM_UP		0.05
#define MAX_LANES	32

static const u64 blocks[] = { 4 * KiB, 128 * KiB, MiB, MAX_CALL };
static const u32 depths[] = { 1, 32 };

void die(const char *format, ...)
{
	va_list ap;

	fputs("measure: ", stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	exit(1);
}

static const char *setting(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

static void report_machine(const struct area *area)
{
	struct utsname uts;

	uname(&uts);
	printf("{\"record\": \"machine\", \"kernel\": \"%s\", \"package\": \"%s\", "
	       "\"iommu\": \"%s\", \"accel\": \"%s\", \"cpus\": %ld, \"disk\": \"%s\"}\n",
	       uts.release, setting("DRW_KERNEL_PACKAGE", ""), setting("DRW_IOMMU", ""),
	       setting("DRW_ACCEL", ""), sysconf(_SC_NPROCESSORS_ONLN), area->disk);
}

static void report_lane(const struct lane *lane)
{
	static const char *const kinds[] = {
		[LANE_DIRECT] = "direct", [LANE_BATCH] = "batch", [LANE_FIXED] = "fixed",
		[LANE_BOUNCE] = "bounce",
		[LANE_FLOOR] = "floor", [LANE_LIBRARY] = "library", [LANE_NAIVE] = "naive",
		[LANE_CALL] = "call", [LANE_PREAD] = "pread",
		[LANE_KERNEL] = "kernel",
	};
	struct dmabuf_rw_info info;

	printf("{\"record\": \"lane\", \"name\": \"%s\", \"kind\": \"%s\"", lane->name,
	       kinds[lane->kind]);
	if (lane->target)
		printf(", \"exporter\": \"%s\", \"buffer_bytes\": %llu",
		       lane->target->exporter, (unsigned long long)lane->target->bytes);
	if (lane_is_direct(lane)) {
		lane_info(lane, &info);
		printf(", \"class\": \"%s\", \"iommu\": \"%s\", \"extents\": %llu, "
		       "\"metadata_bytes\": %llu", dmabuf_rw_class_name(info.mem_class),
		       dmabuf_rw_iommu_name(info.iommu), (unsigned long long)info.extents,
		       (unsigned long long)info.metadata_bytes);
	}
	if (lane->kind == LANE_BOUNCE || lane->kind == LANE_NAIVE)
		printf(", \"mapping\": \"%s\", \"copy_in\": \"%s\", \"copy_out\": \"%s\"",
		       lane->target->mapping, lane->copy_in_name, lane->copy_out_name);
	printf("}\n");
}

/* What a binding of the BAR's first @bytes costs. */
static void report_metadata(struct dmabuf_rw_device *device, const struct target *bar,
			    const struct area *area, u64 bytes)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_binding *binding;
	int fd = target_bar_part(bar, bytes), ret;

	ret = dmabuf_rw_binding_create(device, fd, area->fd, NULL, &binding);
	if (!ret)
		ret = dmabuf_rw_binding_info(binding, &info);
	if (ret)
		die("bind of a part of the BAR: %s", strerror(-ret));
	printf("{\"record\": \"metadata\", \"exporter\": \"%s\", \"buffer_bytes\": %llu, "
	       "\"extents\": %llu, \"metadata_bytes\": %llu}\n", bar->exporter,
	       (unsigned long long)info.buf_bytes, (unsigned long long)info.extents,
	       (unsigned long long)info.metadata_bytes);
	dmabuf_rw_binding_destroy(binding);
	close(fd);
}

/* What the machine does when nothing is asked of it. */
static void report_background(void)
{
	struct cpu_mark begin;
	struct cpu_use use;

	cpu_begin(&begin);
	sleep(1);
	cpu_end(&begin, &use);
	printf("{\"record\": \"background\", \"window\": %u, \"seconds\": %.6f, "
	       "\"busy\": %.6f}\n", use.window, use.seconds, use.busy);
}

static void measure_cell(const struct cell *cell, struct lane *lanes, unsigned int nr,
			 unsigned int rounds, double seconds)
{
	struct sample sample;
	unsigned int round, i;
	char name[64];

	cell_name(cell, name);
	printf("%s\n", name);
	for (i = 0; i < nr; i++)
		if (lane_takes(&lanes[i], cell))
			lane_run(&lanes[i], cell, WARM_UP, &sample);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < nr; i++) {
			struct lane *lane = &lanes[(round + i) % nr];

			if (!lane_takes(lane, cell))
				continue;
			lane_run(lane, cell, seconds, &sample);
			printf("{\"record\": \"run\", \"cell\": \"%s\", \"lane\": \"%s\", "
			       "\"round\": %u, \"window\": %u, \"ios\": %llu, "
			       "\"polls\": %llu, "
			       "\"sleeps\": %lu, \"seconds\": %.6f, \"busy\": %.6f}\n", name,
			       lane->name, round, sample.use.window,
			       (unsigned long long)sample.ios,
			       (unsigned long long)sample.polls, sample.use.sleeps,
			       sample.use.seconds, sample.use.busy);
		}
	fflush(stdout);
}

static void measure(struct lane *lanes, unsigned int nr)
{
	unsigned int rounds = atoi(setting("BENCH_ROUNDS", "5")), b, d, write;
	double seconds = atoi(setting("BENCH_MS", "500")) / 1000.0;
	const char *only = setting("BENCH_CELLS", "*");
	char name[64];

	if (!rounds || rounds > MAX_ROUNDS || seconds < 0.01)
		die("BENCH_ROUNDS or BENCH_MS is out of range");
	for (b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++)
		for (d = 0; d < sizeof(depths) / sizeof(depths[0]); d++)
			for (write = 0; write < 2; write++) {
				struct cell cell = {
					.block = blocks[b],
					.depth = depths[d],
					.random = blocks[b] == 4 * KiB,
					.write = write,
				};

				/* Calls of the biggest size come one after the other. */
				if (cell.block > MAX_BLOCK && cell.depth > 1)
					continue;
				cell_name(&cell, name);
				if (!fnmatch(only, name, FNM_EXTMATCH))
					measure_cell(&cell, lanes, nr, rounds, seconds);
			}
}

static bool has_poll_queue(struct dmabuf_rw_device *device, const struct target *target,
			   const struct area *area)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_binding *binding;

	if (dmabuf_rw_binding_create(device, target->fd, area->fd, NULL, &binding) ||
	    dmabuf_rw_binding_info(binding, &info))
		die("the info of a binding cannot be had");
	dmabuf_rw_binding_destroy(binding);
	return info.flags & DMABUF_RW_INFO_POLL;
}

/* ---- what there is to move data between, and the lanes -------------------------------- */

static struct area disk, file, read_only, unbound;
static struct target bar, udmabuf, heap;

static void open_places(void)
{
	area_open(&disk, ROLE, AREA_BASE, AREA_HALF);
	area_mount(&disk, FILE_AT, FILE_FS_BYTES);
	area_open_file(&file, &disk, "bound", FILE_HALF, false);
	area_open_file(&read_only, &disk, "read-only", FILE_HALF, true);
	/* A bound file takes no ordinary writes. */
	area_open_file(&unbound, &disk, "unbound", FILE_HALF, false);
	target_open_bar(&bar);
	target_open_udmabuf(&udmabuf, MAX_DEPTH * MAX_BLOCK);
	target_open_heap(&heap, MAX_DEPTH * MAX_BLOCK);
}

static void close_places(void)
{
	close(file.fd);
	close(read_only.fd);
	close(unbound.fd);
	area_unmount();
}

struct plan {
	const char *name;
	enum lane_kind kind;
	const struct area *area;
	struct target *target;	/* not FIXED, PREAD */
	bool scattered;		/* FIXED: in single pages */
	bool poll;
	u64 skew;
};

#define PLAN(lane, how, where, with, ...) \
	{ .name = lane, .kind = how, .area = where, .target = with, __VA_ARGS__ }

static const struct plan plans[] = {
	PLAN("direct-bar", LANE_DIRECT, &disk, &bar),
	PLAN("direct-udmabuf", LANE_DIRECT, &disk, &udmabuf),
	PLAN("batch-udmabuf", LANE_BATCH, &disk, &udmabuf),
	PLAN("call-udmabuf", LANE_CALL, &disk, &udmabuf),
	PLAN("direct-heap", LANE_DIRECT, &disk, &heap),
	PLAN("kernel-udmabuf", LANE_KERNEL, &disk, &udmabuf),
	PLAN("fixed", LANE_FIXED, &disk, NULL),
	PLAN("pread", LANE_PREAD, &disk, NULL),
	PLAN("fixed-pages", LANE_FIXED, &disk, NULL, .scattered = true),
	PLAN("bounce-bar", LANE_BOUNCE, &disk, &bar),
	PLAN("bounce-udmabuf", LANE_BOUNCE, &disk, &udmabuf),
	PLAN("floor-udmabuf", LANE_FLOOR, &disk, &udmabuf),
	PLAN("file-udmabuf", LANE_DIRECT, &file, &udmabuf),
	PLAN("file-batch-udmabuf", LANE_BATCH, &file, &udmabuf),
	PLAN("file-ro-udmabuf", LANE_DIRECT, &read_only, &udmabuf),
	PLAN("file-fixed", LANE_FIXED, &unbound, NULL),
	PLAN("odd-udmabuf", LANE_DIRECT, &disk, &udmabuf, .skew = SKEW),
	PLAN("poll-udmabuf", LANE_DIRECT, &disk, &udmabuf, .poll = true),
	PLAN("poll-batch-udmabuf", LANE_BATCH, &disk, &udmabuf, .poll = true),
	PLAN("poll-fixed", LANE_FIXED, &disk, NULL, .poll = true),
	PLAN("library-udmabuf", LANE_LIBRARY, &disk, &udmabuf),
};

/* Behind those that BENCH_BOUNCES asks for. */
static const struct plan last_plan = PLAN("naive-udmabuf", LANE_NAIVE, &disk, &udmabuf);

static void open_lane(struct lane *lane, const struct plan *p, struct dmabuf_rw_device *device)
{
	unsigned int flags = p->poll ? IORING_SETUP_IOPOLL : 0;

	switch (p->kind) {
	case LANE_DIRECT:
	case LANE_BATCH:
	case LANE_CALL:
		lane_open_direct(lane, p->name, p->area, device, p->target, flags);
		break;
	case LANE_FIXED:
	case LANE_PREAD:
		lane_open_fixed(lane, p->name, p->area, !p->scattered, flags);
		break;
	case LANE_KERNEL:
		lane_open_kernel(lane, p->name, p->area, p->target);
		break;
	case LANE_BOUNCE:
		lane_open_bounce(lane, p->name, p->area, p->target);
		break;
	case LANE_FLOOR:
		lane_open_floor(lane, p->name, p->area, p->target);
		break;
	case LANE_LIBRARY:
		lane_open_library(lane, p->name, p->area, p->target, 0, 0);
		break;
	case LANE_NAIVE:
		lane_open_naive(lane, p->name, p->area, p->target);
		break;
	}
	lane_make(lane, p->kind);
	lane->skew = p->skew;
	lane->poll = p->poll;
}

static bool wanted(const struct plan *p)
{
	return !fnmatch(setting("BENCH_LANES", "*"), p->name, FNM_EXTMATCH);
}

/* Those that BENCH_BOUNCES asks for; returns how many. */
static unsigned int open_bounces(struct lane *lanes, unsigned int max)
{
	const char *text = setting("BENCH_BOUNCES", "");
	unsigned int nr = 0, kib, depth;
	int used;

	for (; *text; text += used + (text[used] == ',')) {
		char *name;

		if (nr == max || sscanf(text, "%u:%u%n", &kib, &depth, &used) != 2)
			die("BENCH_BOUNCES: %s", text);
		if (asprintf(&name, "library-%uk-%u", kib, depth) < 0)
			die("no memory");
		lane_open_library(&lanes[nr++], name, &disk, &udmabuf, kib * KiB, depth);
	}
	return nr;
}

/* Returns how many. */
static unsigned int open_lanes(struct lane lanes[MAX_LANES], struct dmabuf_rw_device *device)
{
	bool poll = has_poll_queue(device, &udmabuf, &disk);
	unsigned int nr = 0, i;

	for (i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		const struct plan *p = &plans[i];

		if ((p->poll && !poll) ||
		    (p->kind == LANE_KERNEL && !dmabuf_rw_has_kernel_way(NULL)))
			continue;
		if (wanted(p))
			open_lane(&lanes[nr++], p, device);
	}
	nr += open_bounces(lanes + nr, MAX_LANES - 1 - nr);
	if (wanted(&last_plan))
		open_lane(&lanes[nr++], &last_plan, device);
	if (!nr)
		die("BENCH_LANES leaves no lane");
	return nr;
}

int main(void)
{
	static struct lane lanes[MAX_LANES];
	struct dmabuf_rw_device *device;
	unsigned int nr, i;
	int ret;

	take_standard_descriptors();
	setvbuf(stdout, NULL, _IOLBF, 0);
	cpu_init();
	ret = dmabuf_rw_device_open(NULL, &device);
	if (ret)
		die("the module: %s", dmabuf_rw_error_cause(&(struct dmabuf_rw_error){
			.call = DMABUF_RW_CALL_OPEN, .err = -ret }));
	open_places();
	report_machine(&disk);
	report_metadata(device, &bar, &disk, MiB);
	report_metadata(device, &bar, &disk, bar.bytes);
	nr = open_lanes(lanes, device);
	for (i = 0; i < nr; i++)
		report_lane(&lanes[i]);

	report_symbols();
	report_background();
	measure(lanes, nr);
	for (i = 0; i < nr; i++)
		lane_close(&lanes[i]);
	close_places();
	cpu_exit();
	printf("measured\n");
	return 0;
}
