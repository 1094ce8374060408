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
		[LANE_DIRECT] = "direct", [LANE_BATCH] = "batch", [LANE_FIXED] = "fixed", [LANE_BOUNCE] = "bounce",
		[LANE_FLOOR] = "floor", [LANE_LIBRARY] = "library", [LANE_NAIVE] = "naive",
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
			       "\"sleeps\": %lu, \"seconds\": %.6f, \"busy\": %.6f}\n", name,
			       lane->name, round, sample.use.window,
			       (unsigned long long)sample.ios, sample.use.sleeps,
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

static bool wanted(const char *lane)
{
	return !fnmatch(setting("BENCH_LANES", "*"), lane, FNM_EXTMATCH);
}

/* Those that BENCH_BOUNCES asks for; returns how many. */
static unsigned int open_bounces(struct lane *lanes, unsigned int max,
				 const struct area *area, struct target *target)
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
		lane_open_library(&lanes[nr++], name, area, target, kib * KiB, depth);
	}
	return nr;
}

int main(void)
{
	static struct target bar, udmabuf, heap;
	static struct lane lanes[MAX_LANES];
	struct dmabuf_rw_device *device;
	unsigned int nr = 0, i;
	struct area area, file, read_only, unbound;
	bool poll;
	int ret;

	take_standard_descriptors();
	setvbuf(stdout, NULL, _IOLBF, 0);
	cpu_init();
	ret = dmabuf_rw_device_open(NULL, &device);
	if (ret)
		die("the module: %s", dmabuf_rw_error_cause(&(struct dmabuf_rw_error){
			.call = DMABUF_RW_CALL_OPEN, .err = -ret }));
	area_open(&area, ROLE, AREA_BASE, AREA_HALF);
	area_mount(&area, FILE_AT, FILE_FS_BYTES);
	area_open_file(&file, &area, "bound", FILE_HALF, false);
	area_open_file(&read_only, &area, "read-only", FILE_HALF, true);
	/* A bound file takes no ordinary writes. */
	area_open_file(&unbound, &area, "unbound", FILE_HALF, false);
	target_open_bar(&bar);
	target_open_udmabuf(&udmabuf, MAX_DEPTH * MAX_BLOCK);
	target_open_heap(&heap, MAX_DEPTH * MAX_BLOCK);

	report_machine(&area);
	report_metadata(device, &bar, &area, MiB);
	report_metadata(device, &bar, &area, bar.bytes);

	if (wanted("direct-bar"))
		lane_open_direct(&lanes[nr++], "direct-bar", &area, device, &bar, 0);
	if (wanted("direct-udmabuf"))
		lane_open_direct(&lanes[nr++], "direct-udmabuf", &area, device, &udmabuf, 0);
	if (wanted("batch-udmabuf")) {
		lane_open_direct(&lanes[nr], "batch-udmabuf", &area, device, &udmabuf, 0);
		lane_make_batch(&lanes[nr++]);
	}
	if (wanted("direct-heap"))
		lane_open_direct(&lanes[nr++], "direct-heap", &area, device, &heap, 0);
	if (wanted("fixed"))
		lane_open_fixed(&lanes[nr++], "fixed", &area, true, 0);
	if (wanted("fixed-pages"))
		lane_open_fixed(&lanes[nr++], "fixed-pages", &area, false, 0);
	if (wanted("bounce-bar"))
		lane_open_bounce(&lanes[nr++], "bounce-bar", &area, &bar);
	if (wanted("bounce-udmabuf"))
		lane_open_bounce(&lanes[nr++], "bounce-udmabuf", &area, &udmabuf);
	if (wanted("floor-udmabuf"))
		lane_open_floor(&lanes[nr++], "floor-udmabuf", &area, &udmabuf);
	if (wanted("file-udmabuf"))
		lane_open_direct(&lanes[nr++], "file-udmabuf", &file, device, &udmabuf, 0);
	if (wanted("file-batch-udmabuf")) {
		lane_open_direct(&lanes[nr], "file-batch-udmabuf", &file, device, &udmabuf, 0);
		lane_make_batch(&lanes[nr++]);
	}
	if (wanted("file-ro-udmabuf"))
		lane_open_direct(&lanes[nr++], "file-ro-udmabuf", &read_only, device,
				 &udmabuf, 0);
	if (wanted("file-fixed"))
		lane_open_fixed(&lanes[nr++], "file-fixed", &unbound, true, 0);
	if (wanted("odd-udmabuf")) {
		lane_open_direct(&lanes[nr], "odd-udmabuf", &area, device, &udmabuf, 0);
		lanes[nr++].skew = SKEW;
	}
	poll = has_poll_queue(device, &udmabuf, &area);
	if (poll && wanted("poll-udmabuf"))
		lane_open_direct(&lanes[nr++], "poll-udmabuf", &area, device, &udmabuf,
				 IORING_SETUP_IOPOLL);
	if (poll && wanted("poll-batch-udmabuf")) {
		lane_open_direct(&lanes[nr], "poll-batch-udmabuf", &area, device, &udmabuf,
				 IORING_SETUP_IOPOLL);
		lane_make_batch(&lanes[nr++]);
	}
	if (poll && wanted("poll-fixed"))
		lane_open_fixed(&lanes[nr++], "poll-fixed", &area, true, IORING_SETUP_IOPOLL);
	if (wanted("library-udmabuf"))
		lane_open_library(&lanes[nr++], "library-udmabuf", &area, &udmabuf, 0, 0);
	nr += open_bounces(lanes + nr, MAX_LANES - 1 - nr, &area, &udmabuf);
	if (wanted("naive-udmabuf"))
		lane_open_naive(&lanes[nr++], "naive-udmabuf", &area, &udmabuf);
	if (!nr)
		die("BENCH_LANES leaves no lane");
	for (i = 0; i < nr; i++)
		report_lane(&lanes[i]);

	report_symbols();
	report_background();
	measure(lanes, nr);
	for (i = 0; i < nr; i++)
		lane_close(&lanes[i]);
	close(file.fd);
	close(read_only.fd);
	close(unbound.fd);
	area_unmount();
	cpu_exit();
	printf("measured\n");
	return 0;
}
