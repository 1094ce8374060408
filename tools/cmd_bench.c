// SPDX-License-Identifier: MIT
/*
 * cmd_bench.c - dmabuf-rw bench: a small load generator for one file and one buffer.
 *
 * Each job is a thread with its own queue; all share one binding. Every slot of every job has its
 * own place in the buffer while there is room; further slots share places, which affects only the
 * contents. A job counts in its own struct; the totals are summed up after all jobs have ended.
 *
 * A histogram with 16 cells per power of two holds the latencies, so percentiles are accurate to
 * 6 %.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"

#define MAX_JOBS	256
#define MAX_RUNTIME	86400
#define DEFAULT_DEPTH	32
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
	uint32_t depth;		/* a multiple of @batch */
	uint32_t batch;		/* transfers in one queue entry */
	uint32_t jobs;
	uint32_t runtime_s;
	uint64_t count;		/* most transfers of a job, a multiple of @batch; 0: no limit */
	uint64_t file_off;
	uint64_t file_len;
	uint64_t io_flags;
	uint64_t seed;
	bool overwrite;
	bool force;
	uint64_t bind_flags;
	uint32_t way;
};

struct job {
	pthread_t thread;
	const struct options *o;
	const struct dmabuf_rw_binding *binding;
	volatile sig_atomic_t *stop;
	uint64_t buf_base;	/* place of slot 0, in blocks */
	uint64_t buf_blocks;	/* blocks of the whole buffer */
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
	struct dmabuf_rw_range *ranges;	/* of each slot: its batch */
	/* The first failure. */
	struct dmabuf_rw_error error;	/* err 0: none */
	uint64_t error_off;		/* file offset of the failure */
	bool ended;			/* the file has become shorter */
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

static int queue_slot(struct job *job, struct dmabuf_rw_queue *queue, uint32_t slot)
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
	if (o->batch > 1)
		return (o->write ? dmabuf_rw_queue_write_many : dmabuf_rw_queue_read_many)(queue,
				job->binding, ranges, o->batch, o->io_flags, slot);
	return (o->write ? dmabuf_rw_queue_write : dmabuf_rw_queue_read)(queue, job->binding,
			ranges->file_off, ranges->buf_off, o->block, o->io_flags, slot);
}

static bool has_failed(const struct job *job)
{
	return job->error.err || job->ended;
}

/* Keeps the first failure. The range of the error may not be the first short one. */
static void note_failure(struct job *job, const struct dmabuf_rw_completion *c,
			 const struct dmabuf_rw_range *ranges)
{
	const struct dmabuf_rw_range *failed = NULL;
	uint32_t i;

	if (has_failed(job))
		return;
	for (i = 0; i < job->o->batch; i++) {
		if (ranges[i].result == -(int64_t)c->error) {
			failed = &ranges[i];
			break;
		}
		if (!failed && ranges[i].result < ranges[i].len)
			failed = &ranges[i];
	}
	job->error.call = DMABUF_RW_CALL_IO;
	job->error.err = c->error;
	job->ended = !c->error;
	if (failed)
		job->error_off = failed->file_off + (failed->result > 0 ? failed->result : 0);
}

/* Returns the complete transfers of a batch that is not complete. */
static uint32_t count_parts(struct job *job, const struct dmabuf_rw_completion *c)
{
	struct dmabuf_rw_range *ranges = &job->ranges[c->user_data * job->o->batch];
	uint32_t i, whole = 0;

	if (job->o->batch == 1)
		ranges->result = c->bytes;
	for (i = 0; i < job->o->batch; i++) {
		whole += ranges[i].result == ranges[i].len;
		if (ranges[i].result > 0)
			job->bytes += ranges[i].result;
	}
	note_failure(job, c, ranges);
	return whole;
}

static void count(struct job *job, const struct dmabuf_rw_completion *c, uint64_t ns)
{
	uint32_t whole = job->o->batch;

	if (c->bytes >= 0 && (uint64_t)c->bytes == job->o->block * whole)
		job->bytes += c->bytes;
	else
		whole = count_parts(job, c);
	job->transfers += whole;
	job->direct_bytes += c->direct_bytes;
	job->path |= c->path;
	job->latency_sum_ns += ns * whole;
	if (whole && ns > job->latency_max_ns)
		job->latency_max_ns = ns;
	job->cells[cell_of(ns)] += whole;
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
		ret = queue_slot(job, queue, slot);
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
			if (now >= end || *job->stop || has_failed(job) ||
			    (o->count && submitted >= o->count))
				continue;
			begun[slot] = now;
			if (queue_slot(job, queue, slot))
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
		/* Attaching only saves time. */
		dmabuf_rw_queue_attach(queue, job->binding);
		ret = run_queue(job, queue, begun);
		dmabuf_rw_queue_destroy(queue);
		if (ret && !has_failed(job)) {
			job->error.call = DMABUF_RW_CALL_QUEUE;
			job->error.err = -ret;
		}
	}
out:
	free(job->ranges);
	free(begun);
	return NULL;
}

static double percentile_us(const struct job *sum, double share)
{
	uint64_t seen = 0, want = sum->transfers * share;
	double ns = 0;
	unsigned int i;

	for (i = 0; i < CELLS && seen <= want; i++) {
		seen += sum->cells[i];
		ns = cell_ns(i);
	}
	/* The middle of a cell may exceed the slowest latency in it. */
	return (ns < sum->latency_max_ns ? ns : sum->latency_max_ns) / 1000.0;
}

/* A value per transfer; null if there was no transfer. */
static void put_us(struct json_object *object, const char *key, bool any, double us)
{
	json_object_object_add(object, key, any ? json_object_new_double(us) : NULL);
}

static void show_result(struct report *report, const struct options *o,
			const struct session *s, const struct job *sum, double seconds,
			double cpu)
{
	struct json_object *root = report->root, *latency;
	bool any = sum->transfers;
	double n = any ? sum->transfers : 1;
	double mean = sum->latency_sum_ns / n / 1000;
	double p50 = percentile_us(sum, 0.50);
	double p99 = percentile_us(sum, 0.99);
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
	put_us(root, "cpu_us_per_io", any, cpu * 1e6 / n);
	latency = json_object_new_object();
	put_us(latency, "mean_us", any, mean);
	put_us(latency, "p50_us", any, p50);
	put_us(latency, "p99_us", any, p99);
	put_us(latency, "max_us", any, max);
	json_object_object_add(root, "latency", latency);
	json_object_object_add(root, "binding", json_of_info(&s->info));
	if (report->json)
		return;

	if (o->batch > 1)
		snprintf(batch, sizeof(batch), " in batches of %u", o->batch);
	say(stdout, "%s, %s blocks, depth %u%s, %u %s, %.2f s, %s%s", o->rw,
	    size_format(o->block, block, sizeof(block)), o->depth, batch, o->jobs,
	    o->jobs == 1 ? "job" : "jobs", seconds, dmabuf_rw_path_name(sum->path),
	    text_of_way(sum->path));
	say(stdout, "  %.0f IOPS, %.1f MB/s (%s/s), %llu transfers", sum->transfers / seconds,
	    sum->bytes / seconds / 1e6, size_format(sum->bytes / seconds, rate, sizeof(rate)),
	    (unsigned long long)sum->transfers);
	if (any) {
		say(stdout, "  latency mean %.1f us, p50 %.1f us, p99 %.1f us, max %.1f us", mean,
		    p50, p99, max);
		say(stdout, "  CPU of this process %.2f us per transfer", cpu * 1e6 / n);
	} else {
		say(stdout, "  latency -");
		say(stdout, "  CPU of this process -");
	}
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
	if (!has_failed(sum)) {
		sum->error = job->error;
		sum->error_off = job->error_off;
		sum->ended = job->ended;
	}
}

/* A transfer that races with a truncation may see the old size and no blocks. */
static bool has_become_shorter(const struct options *o, const struct session *s,
			       const struct job *sum)
{
	struct stat st;

	if (sum->ended)
		return true;
	return (sum->error.err == ENXIO || sum->error.err == ENOSPC) &&
	       !fstat(s->file_fd, &st) && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size < o->file_off + o->file_len;
}

/* The library's remedy for unwritten places is to bounce, which bench does not do. */
static void report_failure(struct report *report, const struct options *o, const struct session *s,
			   struct job *sum)
{
	if (has_become_shorter(o, s, sum)) {
		report_fail(report, "%s has become shorter while it was measured; leave it alone, "
			    "or measure less of it (--length)", o->file);
		return;
	}
	dmabuf_rw_error_explain(&sum->error, s->file_fd, sum->error_off);
	if (sum->error.reason == DMABUF_RW_REASON_NEVER_WRITTEN)
		report_error_but(report, o->file, &sum->error, "write the file first, or measure "
				 "another range (--offset, --length)");
	else
		report_error(report, o->file, &sum->error);
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
	if (has_failed(sum)) {
		report_failure(report, o, s, sum);
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

static int take_rw(struct report *report, const struct command_option *option, void *into,
		   const char *text)
{
	struct options *o = into;
	const char *rest = text;

	o->rw = text;
	o->random = !strncmp(text, "rand", 4);
	if (o->random)
		rest += 4;
	o->write = !strcmp(rest, "write");
	if (o->write || !strcmp(rest, "read"))
		return -1;
	return report_usage(report, "--%s takes read, write, randread or randwrite, not '%s'",
			    option->name, text);
}

static const struct command_option options[] = {
	{ "rw", OPTION_CALL, .take = take_rw },
	{ "bs", OPTION_SIZE, AT(struct options, block), .least = 1, .most = 1 << 30 },
	{ "qd", OPTION_NUMBER, AT(struct options, depth), .least = 1,
	  .most = DMABUF_RW_QUEUE_MAX_DEPTH },
	{ "runtime", OPTION_NUMBER, AT(struct options, runtime_s), .least = 1,
	  .most = MAX_RUNTIME },
	{ "jobs", OPTION_NUMBER, AT(struct options, jobs), .least = 1, .most = MAX_JOBS },
	{ "count", OPTION_NUMBER, AT(struct options, count), .least = 1, .most = INT64_MAX },
	{ "offset", OPTION_SIZE, AT(struct options, file_off), .most = INT64_MAX },
	{ "length", OPTION_SIZE, AT(struct options, file_len), .least = 1, .most = INT64_MAX },
	{ "batch", OPTION_NUMBER, AT(struct options, batch), .least = 1,
	  .most = DMABUF_RW_MAX_BATCH },
	{ "fua", OPTION_BITS, AT(struct options, io_flags), .bits = DMABUF_RW_IO_FUA },
	{ "seed", OPTION_NUMBER, AT(struct options, seed), .most = INT64_MAX },
	{ "overwrite", OPTION_FLAG, AT(struct options, overwrite) },
	{ "force", OPTION_FLAG, AT(struct options, force) },
	BIND_FLAG_OPTIONS(struct options),
	{ "way", OPTION_WAY, AT(struct options, way) },
	{ 0 }
};

static int add_argument(struct report *report, void *into, const char *text)
{
	struct options *o = into;

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

/* Refuses a number that is not a multiple of the batch. */
static int refuse_multiple(struct report *report, const char *name, uint64_t number,
			   uint32_t batch)
{
	bool depth = !strcmp(name, "qd");
	unsigned long long n = number, below = n - n % batch, above = below + batch;

	if (depth && above > DMABUF_RW_QUEUE_MAX_DEPTH)
		return report_usage(report, "--%s %llu is not a multiple of --batch %u: say %llu",
				    name, n, batch, below);
	if (!below && depth)
		return report_usage(report, "--%s %llu is not a multiple of --batch %u: say %llu, "
				    "or %llu for two batches in flight", name, n, batch, above,
				    2 * above);
	if (!below)
		return report_usage(report, "--%s %llu is not a multiple of --batch %u: say %llu",
				    name, n, batch, above);
	return report_usage(report, "--%s %llu is not a multiple of --batch %u: say %llu or %llu",
			    name, n, batch, below, above);
}

/* Checks the options against each other. -1, or the exit status. */
static int check_batch(struct report *report, struct options *o)
{
	uint32_t two = 2 * o->batch;

	if (!o->depth)
		o->depth = two > DEFAULT_DEPTH ? two :
			   (DEFAULT_DEPTH + o->batch - 1) / o->batch * o->batch;
	if (o->depth % o->batch)
		return refuse_multiple(report, "qd", o->depth, o->batch);
	if (o->count % o->batch)
		return refuse_multiple(report, "count", o->count, o->batch);
	if (o->batch * o->block > DMABUF_RW_MAX_BYTES)
		return report_usage(report, "--batch %u of --bs %llu is %llu bytes, and a batch "
				    "moves %llu at most; make one of the two smaller", o->batch,
				    (unsigned long long)o->block,
				    (unsigned long long)(o->batch * o->block),
				    (unsigned long long)DMABUF_RW_MAX_BYTES);
	return -1;
}

static int parse_arguments(const struct command *command, struct options *o,
			   struct report *report, int argc, char **argv)
{
	int status;

	*o = (struct options){
		.rw = "randread",
		.random = true,
		.block = 4096,
		.batch = 1,
		.jobs = 1,
		.runtime_s = 5,
		.seed = 1,
	};
	status = options_parse(command, report, o, argc, argv);
	if (status >= 0)
		return status;
	if (!o->buffer)
		return report_usage(report, "a file and a buffer are needed");
	status = check_batch(report, o);
	if (status >= 0)
		return status;
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
	opts.ways = o.way;
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
		"  --qd N                   transfers in flight per job, 1 to 16384 (32, or two "
		"batches\n"
		"                           if that is more)\n"
		"  --batch N                transfers asked for together, 1 to 256; --qd and "
		"--count are\n"
		"                           multiples of it (1)\n"
		"  --jobs N                 threads, 1 to 256 (1)\n"
		"  --runtime SECONDS        how long (5)\n"
		"  --count N                transfers of each job at most\n"
		"  --offset SIZE            where the file's range begins (0)\n"
		"  --length SIZE            how long it is (to the end)\n"
		"  --seed N                 of the random offsets (1)\n"
		"  --fua                    each write is on the medium when it is done\n"
		"  --overwrite              needed for writing\n"
		"  --force                  also write to a device that is mounted or in use\n"
		"  --require-device-memory  fail unless the buffer lies in PCI BARs\n"
		"  --way WAY                module, kernel or bounce, and no other\n"
		"  --trust-addresses        take addresses that the kernel cannot vouch for\n"
		"  -o, --output FORMAT      text or json\n"
		"\n"
		"N is a plain number; SIZE may end in K, M, G and the like.\n"
		"\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 the pair cannot go direct, "
		"130\n"
		"interrupted.\n",
	.options = options,
	.argument = add_argument,
	.run = run_bench,
};
