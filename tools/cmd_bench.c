// SPDX-License-Identifier: MIT
/*
 * cmd_bench.c - dmabuf-rw bench: a small load generator for one file and one buffer.
 *
 * Each job is a thread with a queue of its own; all share one binding. Every slot of
 * every job has its own place in the buffer as long as the buffer has room for them;
 * beyond that, places are shared, which costs nothing but the contents. A job counts
 * into its own struct and the totals are made after all have ended.
 *
 * Latencies go to a histogram with 16 cells per power of two, so percentiles are right
 * within 6 %.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define MAX_JOBS	256
#define MAX_RUNTIME	86400
#define CELL_BITS	4
#define CELLS		(64 << CELL_BITS)
#define REAP_MAX	64

struct options {
	const char *file;
	const char *buffer;
	bool write;
	bool random;
	const char *rw;
	uint64_t block;
	uint32_t depth;
	uint32_t batch;		/* transfers that are asked for at once; divides @depth */
	uint32_t jobs;
	uint32_t runtime_s;
	uint64_t count;		/* transfers of each job at most; 0: by time alone */
	uint64_t file_off;
	uint64_t file_len;
	uint64_t io_flags;
	uint64_t seed;
	bool overwrite;
	bool force;
	uint64_t bind_flags;
};

struct job {
	pthread_t thread;
	const struct options *o;
	const struct dmabuf_rw_binding *binding;
	volatile sig_atomic_t *stop;
	uint64_t buf_base;	/* place of slot 0, in blocks */
	uint64_t buf_blocks;	/* blocks that the buffer has */
	uint64_t file_blocks;
	uint64_t next_block;	/* sequential: the next one */
	uint64_t random;	/* state; never 0 */

	uint64_t transfers;
	uint64_t bytes;
	uint64_t direct_bytes;
	uint32_t path;		/* enum dmabuf_rw_path */
	uint64_t latency_sum_ns;
	uint64_t latency_max_ns;
	uint64_t *cells;
	struct dmabuf_rw_range *ranges;	/* of each slot's batch */
	struct dmabuf_rw_error error;
};

static unsigned int cell_of(uint64_t ns)
{
	unsigned int msb;

	if (ns < 1 << CELL_BITS)
		return ns;
	msb = 63 - __builtin_clzll(ns);
	return ((msb - CELL_BITS + 1) << CELL_BITS) |
	       (ns >> (msb - CELL_BITS) & ((1 << CELL_BITS) - 1));
}

/* The middle of a cell. */
static double cell_ns(unsigned int cell)
{
	unsigned int msb;

	if (cell < 1 << CELL_BITS)
		return cell;
	msb = (cell >> CELL_BITS) + CELL_BITS - 1;
	return ((1 << CELL_BITS) + (cell & ((1 << CELL_BITS) - 1)) + 0.5) *
	       (double)(1ULL << (msb - CELL_BITS));
}

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift"). */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t pick_block(struct job *job)
{
	uint64_t block;

	if (job->o->random)
		return next_random(&job->random) % job->file_blocks;
	block = job->next_block;
	job->next_block = (block + 1) % job->file_blocks;
	return block;
}

static int queue_batch(struct job *job, struct dmabuf_rw_queue *queue, uint32_t slot)
{
	const struct options *o = job->o;
	struct dmabuf_rw_range *ranges = &job->ranges[slot * o->batch];
	uint32_t i;

	for (i = 0; i < o->batch; i++)
		ranges[i] = (struct dmabuf_rw_range){
			.file_off = o->file_off + pick_block(job) * o->block,
			.buf_off = (job->buf_base + slot * o->batch + i) % job->buf_blocks *
				   o->block,
			.len = o->block,
		};
	return (o->write ? dmabuf_rw_queue_write_many : dmabuf_rw_queue_read_many)(queue,
			job->binding, ranges, o->batch, o->io_flags, slot);
}

static int queue_one(struct job *job, struct dmabuf_rw_queue *queue, uint32_t slot)
{
	const struct options *o = job->o;

	if (o->batch > 1)
		return queue_batch(job, queue, slot);

	uint64_t file_off = o->file_off + pick_block(job) * o->block;
	uint64_t buf_off = (job->buf_base + slot) % job->buf_blocks * o->block;

	return (o->write ? dmabuf_rw_queue_write : dmabuf_rw_queue_read)(queue,
			job->binding, file_off, buf_off, o->block, o->io_flags, slot);
}

static void count(struct job *job, const struct dmabuf_rw_completion *c, uint64_t ns)
{
	uint32_t batch = job->o->batch;

	if (c->bytes < 0 || (uint64_t)c->bytes != job->o->block * batch) {
		if (!job->error.err) {
			job->error.call = DMABUF_RW_CALL_IO;
			job->error.err = c->error ? c->error : ENOSPC;
		}
		return;
	}
	job->transfers += batch;
	job->bytes += c->bytes;
	job->direct_bytes += c->direct_bytes;
	job->path |= c->path;
	job->latency_sum_ns += ns * batch;
	if (ns > job->latency_max_ns)
		job->latency_max_ns = ns;
	job->cells[cell_of(ns)] += batch;
}

static int run_queue(struct job *job, struct dmabuf_rw_queue *queue, int64_t *begun)
{
	struct dmabuf_rw_completion done[REAP_MAX] = { { .size = sizeof(done[0]) } };
	const struct options *o = job->o;
	int64_t now = clock_ns(), end = now + o->runtime_s * INT64_C(1000000000);
	uint64_t submitted = 0;
	uint32_t slot;
	int ret, i;

	for (slot = 0; slot < o->depth / o->batch && (!o->count || submitted < o->count); slot++) {
		begun[slot] = now;
		ret = queue_one(job, queue, slot);
		if (ret)
			return ret;
		submitted += o->batch;
	}
	while (dmabuf_rw_queue_pending(queue)) {
		ret = dmabuf_rw_queue_reap(queue, done, REAP_MAX, 1, NULL);
		if (ret == -EINTR)
			continue;
		if (ret < 0)
			return ret;
		now = clock_ns();
		for (i = 0; i < ret; i++) {
			slot = done[i].user_data;
			count(job, &done[i], now - begun[slot]);
			if (now >= end || *job->stop || job->error.err ||
			    (o->count && submitted >= o->count))
				continue;
			begun[slot] = now;
			if (queue_one(job, queue, slot))
				return -EAGAIN;
			submitted += o->batch;
		}
	}
	return 0;
}

static void *run_job(void *arg)
{
	struct job *job = arg;
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts),
		.flags = DMABUF_RW_QUEUE_SINGLE_THREAD,
		.depth = job->o->depth / job->o->batch,
		.error = &job->error,
	};
	struct dmabuf_rw_queue *queue;
	int64_t *begun;
	int ret;

	begun = calloc(job->o->depth, sizeof(*begun));
	job->ranges = calloc(job->o->depth, sizeof(*job->ranges));
	if (!begun || !job->ranges) {
		job->error.err = ENOMEM;
		goto out;
	}
	if (!dmabuf_rw_queue_create(&opts, &queue)) {
		/* Without it all works, at a little more cost. */
		dmabuf_rw_queue_attach(queue, job->binding);
		ret = run_queue(job, queue, begun);
		dmabuf_rw_queue_destroy(queue);
		if (ret && !job->error.err) {
			job->error.call = DMABUF_RW_CALL_QUEUE;
			job->error.err = -ret;
		}
	}
out:
	free(job->ranges);
	free(begun);
	return NULL;
}

static double percentile_us(const uint64_t *cells, uint64_t total, double share)
{
	uint64_t seen = 0, want = total * share;
	unsigned int i;

	for (i = 0; i < CELLS; i++) {
		seen += cells[i];
		if (seen > want)
			return cell_ns(i) / 1000;
	}
	return 0;
}

static void show_result(struct report *report, const struct options *o,
			const struct session *s, const struct job *sum, double seconds,
			double cpu)
{
	struct json_object *root = report->root, *latency;
	double n = sum->transfers ? sum->transfers : 1;
	double mean = sum->latency_sum_ns / n / 1000;
	double p50 = percentile_us(sum->cells, sum->transfers, 0.50);
	double p99 = percentile_us(sum->cells, sum->transfers, 0.99);
	double max = sum->latency_max_ns / 1000.0;
	char rate[24], block[24], batch[40] = "", *text;

	json_put_string(root, "file", o->file);
	json_put_string(root, "buffer", o->buffer);
	json_put_string(root, "rw", o->rw);
	json_put_u64(root, "block_size", o->block);
	json_put_u64(root, "depth", o->depth);
	json_put_u64(root, "batch", o->batch);
	json_put_u64(root, "jobs", o->jobs);
	json_put_u64(root, "seed", o->seed);
	json_put_double(root, "seconds", seconds);
	json_put_u64(root, "transfers", sum->transfers);
	json_put_u64(root, "bytes", sum->bytes);
	json_put_u64(root, "direct_bytes", sum->direct_bytes);
	json_put_path(root, sum->path);
	json_put_double(root, "iops", sum->transfers / seconds);
	json_put_double(root, "bytes_per_second", sum->bytes / seconds);
	json_put_double(root, "cpu_seconds", cpu);
	json_put_double(root, "cpu_us_per_io", cpu * 1e6 / n);
	latency = json_object_new_object();
	json_put_double(latency, "mean_us", mean);
	json_put_double(latency, "p50_us", p50);
	json_put_double(latency, "p99_us", p99);
	json_put_double(latency, "max_us", max);
	json_object_object_add(root, "latency", latency);
	json_object_object_add(root, "binding", json_of_info(&s->info));
	if (report->json)
		return;

	if (o->batch > 1)
		snprintf(batch, sizeof(batch), " in batches of %u", o->batch);
	say(stdout, "%s, %s blocks, depth %u%s, %u %s, %.2f s, %s", o->rw,
	    size_format(o->block, block, sizeof(block)), o->depth, batch, o->jobs,
	    o->jobs == 1 ? "job" : "jobs", seconds, dmabuf_rw_path_name(sum->path));
	say(stdout, "  %.0f IOPS, %.1f MB/s (%s/s), %llu transfers", sum->transfers / seconds,
	    sum->bytes / seconds / 1e6, size_format(sum->bytes / seconds, rate, sizeof(rate)),
	    (unsigned long long)sum->transfers);
	say(stdout, "  latency mean %.1f us, p50 %.1f us, p99 %.1f us, max %.1f us", mean, p50,
	    p99, max);
	say(stdout, "  CPU of this process %.2f us per transfer", cpu * 1e6 / n);
	text = text_of_info(&s->info);
	say(stdout, "  %s", text_or_excuse(text));
	free(text);
}

static void add_job(struct job *sum, const struct job *job)
{
	unsigned int i;

	sum->transfers += job->transfers;
	sum->bytes += job->bytes;
	sum->direct_bytes += job->direct_bytes;
	sum->path |= job->path;
	sum->latency_sum_ns += job->latency_sum_ns;
	if (job->latency_max_ns > sum->latency_max_ns)
		sum->latency_max_ns = job->latency_max_ns;
	for (i = 0; i < CELLS; i++)
		sum->cells[i] += job->cells[i];
	if (!sum->error.err)
		sum->error = job->error;
}

static void prepare_job(struct job *job, const struct options *o,
			const struct session *s, uint32_t nr, volatile sig_atomic_t *stop)
{
	job->o = o;
	job->binding = s->binding;
	job->stop = stop;
	job->buf_base = (uint64_t)nr * o->depth;
	job->buf_blocks = s->info.buf_bytes / o->block;
	job->file_blocks = o->file_len / o->block;
	/* Sequential jobs begin at equal distances. */
	job->next_block = job->file_blocks / o->jobs * nr;
	job->random = (o->seed + nr) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static int run_jobs(struct report *report, const struct options *o, struct session *s)
{
	volatile sig_atomic_t *stop = catch_signals();
	struct job *jobs = calloc(o->jobs + 1, sizeof(*jobs)), *sum = &jobs[o->jobs];
	uint64_t *cells = calloc(o->jobs + 1, CELLS * sizeof(*cells));
	double seconds, cpu = cpu_seconds();
	int64_t begin = clock_ns();
	int status = STATUS_OK, err = 0;
	uint32_t i, started;

	if (!jobs || !cells) {
		report_fail(report, "there is no memory for this many jobs");
		status = STATUS_FAILED;
		goto out;
	}
	for (i = 0; i <= o->jobs; i++)
		jobs[i].cells = cells + (size_t)i * CELLS;
	for (started = 0; started < o->jobs; started++) {
		prepare_job(&jobs[started], o, s, started, stop);
		err = pthread_create(&jobs[started].thread, NULL, run_job, &jobs[started]);
		if (err)
			break;
	}
	if (err)
		*stop = 1;
	for (i = 0; i < started; i++) {
		pthread_join(jobs[i].thread, NULL);
		add_job(sum, &jobs[i]);
	}
	seconds = (clock_ns() - begin) / 1e9;
	cpu = cpu_seconds() - cpu;
	if (err) {
		report_fail(report, "a thread cannot be started: %s", strerror(err));
		status = STATUS_FAILED;
		goto out;
	}

	s->info = (struct dmabuf_rw_info){ .size = sizeof(s->info) };
	dmabuf_rw_binding_info(s->binding, &s->info);
	show_result(report, o, s, sum, seconds, cpu);
	if (sum->error.err) {
		report_error(report, o->file, &sum->error);
		status = STATUS_FAILED;
	} else if (*stop) {
		report_fail(report, "interrupted after %llu transfers",
			    (unsigned long long)sum->transfers);
		status = STATUS_INTERRUPTED;
	}
out:
	free(cells);
	free(jobs);
	return status;
}

static bool check_ranges(struct report *report, struct options *o, const struct session *s)
{
	const struct dmabuf_rw_info *info = &s->info;
	uint32_t align = o->write ? info->write_align : info->read_align;

	if (o->file_off > info->file_bytes ||
	    o->file_len > info->file_bytes - o->file_off) {
		report_fail(report, "%s has only %llu bytes", o->file,
			    (unsigned long long)info->file_bytes);
		return false;
	}
	if (!o->file_len)
		o->file_len = info->file_bytes - o->file_off;
	if (o->block % align || o->block % info->buf_align || o->file_off % align) {
		report_fail(report, "block size and offset must be multiples of %u",
			    align > info->buf_align ? align : info->buf_align);
		return false;
	}
	if (o->block > o->file_len || o->block > info->buf_bytes) {
		report_fail(report, "a block of %llu bytes does not fit into the %s",
			    (unsigned long long)o->block,
			    o->block > o->file_len ? "file's range" : "buffer");
		return false;
	}
	return true;
}

enum {
	OPT_RW = 256, OPT_BS, OPT_QD, OPT_RUNTIME, OPT_JOBS, OPT_COUNT, OPT_OFFSET,
	OPT_LENGTH, OPT_BATCH, OPT_FUA, OPT_SEED, OPT_OVERWRITE, OPT_FORCE, OPT_DEVICE_MEMORY, OPT_TRUST,
};

static const struct option long_options[] = {
	{ "rw", required_argument, NULL, OPT_RW },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "qd", required_argument, NULL, OPT_QD },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "offset", required_argument, NULL, OPT_OFFSET },
	{ "length", required_argument, NULL, OPT_LENGTH },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "fua", no_argument, NULL, OPT_FUA },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "overwrite", no_argument, NULL, OPT_OVERWRITE },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "require-device-memory", no_argument, NULL, OPT_DEVICE_MEMORY },
	{ "trust-addresses", no_argument, NULL, OPT_TRUST },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

static bool parse_rw(struct options *o, const char *text)
{
	o->rw = text;
	o->random = !strncmp(text, "rand", 4);
	if (o->random)
		text += 4;
	o->write = !strcmp(text, "write");
	return o->write || !strcmp(text, "read");
}

static int add_argument(struct report *report, struct options *o, const char *text)
{
	if (!*text)
		return report_usage(report, "the name of the file or the buffer is empty");
	if (o->buffer)
		return report_usage(report, "'%s' is one argument too many", text);
	if (o->file)
		o->buffer = text;
	else
		o->file = text;
	return -1;
}

static void set_number(struct options *o, int option, uint64_t value)
{
	switch (option) {
	case OPT_BS:
		o->block = value;
		break;
	case OPT_QD:
		o->depth = value;
		break;
	case OPT_RUNTIME:
		o->runtime_s = value;
		break;
	case OPT_JOBS:
		o->jobs = value;
		break;
	case OPT_COUNT:
		o->count = value;
		break;
	case OPT_OFFSET:
		o->file_off = value;
		break;
	case OPT_LENGTH:
		o->file_len = value;
		break;
	case OPT_BATCH:
		o->batch = value;
		break;
	default:
		o->seed = value;
		break;
	}
}

/* The number that @option takes, if it takes one. -1: go on; else the status to leave with. */
static int parse_number(struct report *report, struct options *o, int option)
{
	static const struct {
		int option;
		uint64_t min, max;
	} ranges[] = {
		{ OPT_BS, 1, 1ULL << 30 },
		{ OPT_QD, 1, DMABUF_RW_QUEUE_MAX_DEPTH },
		{ OPT_RUNTIME, 1, MAX_RUNTIME },
		{ OPT_JOBS, 1, MAX_JOBS },
		{ OPT_COUNT, 1, INT64_MAX },
		{ OPT_OFFSET, 0, INT64_MAX },
		{ OPT_LENGTH, 1, INT64_MAX },
		{ OPT_BATCH, 1, DMABUF_RW_MAX_BATCH },
		{ OPT_SEED, 0, INT64_MAX },
	};
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i].option != option)
			continue;
		if (size_parse(optarg, &value) || value < ranges[i].min ||
		    value > ranges[i].max)
			return report_usage(report, "'%s' is not a number from %llu to %llu",
					    optarg, (unsigned long long)ranges[i].min,
					    (unsigned long long)ranges[i].max);
		set_number(o, option, value);
	}
	return -1;
}

/* -1: go on; else the status to leave with. */
static int parse_option(const struct command *command, struct options *o,
			struct report *report, int c, char **argv)
{
	int status = parse_number(report, o, c);

	if (status >= 0)
		return status;
	switch (c) {
	case OPT_BS ... OPT_BATCH:
	case OPT_SEED:
		break;
	case 1:
		return add_argument(report, o, optarg);
	case OPT_RW:
		if (!parse_rw(o, optarg))
			return report_usage(report, "--rw takes read, write, randread or "
					    "randwrite, not '%s'", optarg);
		break;
	case OPT_FUA:
		o->io_flags |= DMABUF_RW_IO_FUA;
		break;
	case OPT_OVERWRITE:
		o->overwrite = true;
		break;
	case OPT_FORCE:
		o->force = true;
		break;
	case OPT_DEVICE_MEMORY:
		o->bind_flags |= DMABUF_RW_BIND_DEVICE_MEMORY;
		break;
	case OPT_TRUST:
		o->bind_flags |= DMABUF_RW_BIND_TRUST_ADDRESSES;
		break;
	case 'o':
		return report_check_format(report, optarg);
	case 'h':
		return report_help(report, command);
	default:
		return report_option(report, c, argv);
	}
	return -1;
}

static int parse_arguments(const struct command *command, struct options *o,
			   struct report *report, int argc, char **argv)
{
	int c, status;

	*o = (struct options){
		.rw = "randread",
		.random = true,
		.block = 4096,
		.depth = 32,
		.batch = 1,
		.jobs = 1,
		.runtime_s = 5,
		.seed = 1,
	};
	while ((c = getopt_long(argc, argv, SHORT_OPTIONS, long_options, NULL)) != -1) {
		status = parse_option(command, o, report, c, argv);
		if (status >= 0)
			return status;
	}
	for (; optind < argc; optind++) {
		status = add_argument(report, o, argv[optind]);
		if (status >= 0)
			return status;
	}
	if (!o->buffer)
		return report_usage(report, "a file and a buffer are needed");
	if (o->depth % o->batch || o->count % o->batch)
		return report_usage(report, "--qd and --count must be multiples of --batch %u",
				    o->batch);
	if (o->batch * o->block > DMABUF_RW_MAX_BYTES)
		return report_usage(report, "a batch moves less than 2 GiB: %u times %llu bytes is "
				    "more", o->batch, (unsigned long long)o->block);
	if (o->io_flags && !o->write)
		return report_usage(report, "--fua goes with writes only");
	if (o->write && !o->overwrite)
		return report_usage(report, "'--rw %s' destroys what is on %s; say "
				    "--overwrite if that is meant", o->rw, o->file);
	return -1;
}

static int run_bench(const struct command *command, struct report *report, int argc, char **argv)
{
	struct session_opts opts = { 0 };
	struct session session;
	struct options o;
	int status;

	status = parse_arguments(command, &o, report, argc, argv);
	if (status >= 0)
		return status;
	opts.open_flags = o.write ? O_RDWR : O_RDONLY;
	if (o.write && !o.force)
		opts.open_flags |= O_EXCL;
	opts.bind_flags = o.bind_flags;
	status = session_open(&session, report, o.file, o.buffer, &opts);
	if (!status)
		status = check_ranges(report, &o, &session) ?
			 run_jobs(report, &o, &session) : STATUS_USAGE;
	session_close(&session);
	return status;
}

const struct command cmd_bench = {
	.name = "bench",
	.summary = "measure transfers between a file and a buffer",
	.help = "bench FILE BUFFER [OPTION...]\n"
		"\n"
		"Keeps a number of transfers in flight for a while and reports rate, latency and "
		"the\n"
		"CPU time of this process. Writing destroys what is on the file.\n"
		"\n"
		"  --rw KIND                read, write, randread (default) or randwrite\n"
		"  --bs SIZE                bytes of one transfer (4K)\n"
		"  --qd N                   transfers in flight per job (32)\n"
		"  --batch N                ask for so many of them at once (1)\n"
		"  --jobs N                 threads (1)\n"
		"  --runtime SECONDS        how long (5)\n"
		"  --count N                transfers of each job at most\n"
		"  --offset SIZE            where the file's range begins (0)\n"
		"  --length SIZE            how long it is (to the end)\n"
		"  --seed N                 of the random offsets (1)\n"
		"  --fua                    each write is on the medium when it is done\n"
		"  --overwrite              needed for writing\n"
		"  --force                  also write to a device that is mounted or in use\n"
		"  --require-device-memory  fail unless the buffer lies in PCI BARs\n"
		"  --trust-addresses        take addresses that the kernel cannot vouch for\n"
		"  -o, --output FORMAT      text or json\n"
		"\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 the pair cannot go direct, "
		"130\n"
		"interrupted.\n",
	.options = long_options,
	.run = run_bench,
};
