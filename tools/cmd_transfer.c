// SPDX-License-Identifier: MIT
/*
 * cmd_transfer.c - dmabuf-rw load and store: ranges of files, one range of a buffer.
 *
 * The two differ only in direction and in a few options. The order is: parse, open the buffer, map
 * it if its contents are needed, open, bind and check the files, transfer, flush, verify, give a
 * new file its name, report. All checks come before the first transfer.
 *
 * Storing to a regular file makes a new file beside it, which replaces the old one when it is
 * complete and durable. So no one sees half of it, and the old file survives an interruption or a
 * crash. --in-place writes into the existing file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transfer.h"

static void start_clocks(struct run *r)
{
	r->clock = clock_ns();
	r->cpu_clock = cpu_seconds();
}

static void stop_clocks(struct run *r)
{
	r->seconds += (clock_ns() - r->clock) / 1e9;
	r->cpu += cpu_seconds() - r->cpu_clock;
}

/* ---- the transfer ------------------------------------------------------------------- */

static void show_progress(void *arg, uint64_t done, uint32_t path)
{
	struct run *r = arg;

	progress_update(&r->progress, r->before + done, path);
}

/* A status, after the failure was reported for @what. */
static int move_part(struct run *r, struct dmabuf_rw_queue *queue, struct part *part,
		     const char *what)
{
	struct engine e = {
		.queue = queue,
		.binding = r->o.inputs[part->input].binding,
		.write = r->write,
		.file_off = part->file_off,
		.buf_off = part->buf_off,
		.len = part->len,
		.block = r->o.block,
		.io_flags = r->o.fua ? DMABUF_RW_IO_FUA : 0,
		.stop = r->stop,
		.progress = show_progress,
		.progress_arg = r,
	};
	int64_t begin = clock_ns();
	int ret = engine_run(&e);

	r->transfer_seconds += (clock_ns() - begin) / 1e9;
	part->gapless = e.gapless;
	part->direct_bytes = e.direct_bytes;
	part->bounced_bytes = e.bounced_bytes;
	part->kernel_bytes = e.kernel_bytes;
	part->path = e.path;
	r->before += e.moved;
	r->moved += e.moved;
	r->gapless += e.gapless;
	r->direct_bytes += e.direct_bytes;
	r->bounced_bytes += e.bounced_bytes;
	r->kernel_bytes += e.kernel_bytes;
	r->path |= e.path;
	r->completions += e.completions;
	if (!ret)
		return STATUS_OK;
	dmabuf_rw_error_explain(&e.error, r->o.inputs[part->input].fd,
				part->file_off + e.gapless);
	if (e.error.err)
		report_transfer_error(r, what, &e.error);
	else if (e.ended)
		report_fail(r->report, "%s: the file has become shorter since it was checked",
			    what);
	else
		return interrupted(r, what);
	return STATUS_FAILED;
}

/* The last part of a file is done. Verification may still use its descriptor. */
static void let_go(struct run *r, unsigned int input)
{
	if (r->write)
		return;
	if (r->o.verify && input < r->nr_held)
		input_unbind(&r->o.inputs[input]);
	else
		input_put(r, &r->o.inputs[input]);
}

/* Moves part after part; stops after the first that is not complete. */
static int move_parts(struct run *r, struct dmabuf_rw_queue *queue)
{
	unsigned int i, status = STATUS_OK;

	for (i = 0; i < r->o.nr_parts && !status; i++) {
		struct part *part = &r->o.parts[i];
		struct input *input = &r->o.inputs[part->input];
		char *what = pair_name(r, input);

		if (*r->stop)
			status = interrupted(r, text_or_excuse(what));
		else if (part->len)
			status = input_get(r, input, true);
		if (!status && part->len)
			status = move_part(r, queue, part, text_or_excuse(what));
		if (!status && (i + 1 == r->o.nr_parts || r->o.parts[i + 1].input != part->input))
			let_go(r, part->input);
		free(what);
	}
	return status;
}

static int flush(struct run *r)
{
	const struct input *input = &r->o.inputs[0];

	/* The commit flushes a new file. */
	if (!r->o.fsync || r->file || !fsync(input->fd))
		return STATUS_OK;
	report_fail(r->report, "%s: the drive's cache could not be flushed: %s", input->name,
		    strerror(errno));
	return STATUS_FAILED;
}

static int move(struct run *r)
{
	struct dmabuf_rw_error error = { 0 };
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts),
		.flags = DMABUF_RW_QUEUE_SINGLE_THREAD,
		.depth = r->o.depth,
		.error = &error,
	};
	struct dmabuf_rw_queue *queue;
	char *text;
	int status;

	if (!r->total)
		return flush(r);
	if (dmabuf_rw_queue_create(&opts, &queue)) {
		report_error(r->report, "the queue for the transfers", &error);
		return STATUS_FAILED;
	}
	r->moving = true;
	progress_begin(&r->progress, r->o.progress, r->write ? "store" : "load", r->total);
	status = move_parts(r, queue);
	progress_end(&r->progress, r->moved, r->path);
	r->io_uring = !dmabuf_rw_queue_ring_error(queue);
	dmabuf_rw_queue_destroy(queue);
	if (!status)
		return flush(r);
	if (status == STATUS_INTERRUPTED)
		return status;
	text = text_format("the first %llu of %llu bytes are done%s",
			   (unsigned long long)r->gapless, (unsigned long long)r->total,
			   r->file ? ", and the file is as it was" : "");
	report_note(r->report, text_or_excuse(text));
	free(text);
	return status;
}

/* ---- afterwards -------------------------------------------------------------------- */

static int verify_part(struct run *r, const struct part *part)
{
	struct input *input = &r->o.inputs[part->input];
	struct report *report = r->report;
	uint64_t where;
	int status, ret;

	status = input_get(r, input, false);
	if (status)
		return status;
	ret = verify_range(report, &r->session, input->fd, input->name, part->file_off,
			   part->buf_off, part->len, r->stop, &where);
	if (ret == -EINTR)
		return STATUS_INTERRUPTED;
	if (ret < 0)
		return STATUS_FAILED;
	if (!ret)
		return STATUS_OK;
	json_put_bool(report->root, "verified", false);
	json_put_u64(report->root, "first_difference", where);
	report_fail(report, "%s and %s differ, first at byte %llu of the range (file offset "
		    "%llu, buffer offset %llu)", input->name, r->o.buffer,
		    (unsigned long long)where, (unsigned long long)(part->file_off + where),
		    (unsigned long long)(part->buf_off + where));
	return STATUS_MISMATCH;
}

static int verify(struct run *r)
{
	unsigned int i;
	int status;

	for (i = 0; i < r->o.nr_parts; i++) {
		const struct part *part = &r->o.parts[i];

		status = part->len ? verify_part(r, part) : STATUS_OK;
		if (status)
			return status;
		if (!r->write &&
		    (i + 1 == r->o.nr_parts || r->o.parts[i + 1].input != part->input))
			input_put(r, &r->o.inputs[part->input]);
	}
	json_put_bool(r->report->root, "verified", true);
	return STATUS_OK;
}

static int checksum(struct run *r)
{
	int ret = digest_range(&r->session, r->o.buf_off, r->total, r->stop, r->digest);

	if (ret == -EINTR) {
		report_fail(r->report, "interrupted while the checksum was made");
		return STATUS_INTERRUPTED;
	}
	if (ret) {
		report_fail(r->report, "%s cannot be read for its checksum: %s", r->o.buffer,
			    strerror(-ret));
		return STATUS_FAILED;
	}
	json_put_string(r->report->root, "sha256", r->digest);
	return STATUS_OK;
}

/* Gives the new file its name. */
static int commit(struct run *r)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_FILE };
	struct input *input = &r->o.inputs[0];

	input_put(r, input);
	start_clocks(r);
	error.err = -dmabuf_rw_file_commit(r->file);
	stop_clocks(r);
	if (!error.err)
		return STATUS_OK;
	report_error(r->report, input->name, &error);
	return STATUS_FAILED;
}

/* ---- a run -------------------------------------------------------------------------- */

/* run() closes everything that this opens, even after a failure. */
static int open_all(struct run *r)
{
	struct buffer_spec spec;
	char *why;
	int status;

	session_init(&r->session);
	status = session_parse_buffer(r->report, r->o.buffer, &spec);
	if (!status)
		status = inputs_look(r);
	r->session.ways = r->o.way;
	if (!status)
		status = session_open_device(&r->session, r->o.allow_bounce ? NULL : r->report);
	if (!status)
		status = session_open_buffer(&r->session, r->report, r->o.buffer);
	if (!status && (r->o.verify || r->o.checksum) && buffer_map(&r->session.buffer, &why)) {
		report_fail(r->report, "%s: %s", r->o.buffer, text_or_excuse(why));
		free(why);
		status = STATUS_FAILED;
	}
	return status;
}

static int transfer(struct run *r)
{
	int status;

	start_clocks(r);
	status = inputs_check(r);
	if (status)
		return status;
	status = move(r);
	stop_clocks(r);
	if (!status && r->o.verify)
		status = verify(r);
	if (!status && r->o.checksum)
		status = checksum(r);
	if (status && r->file && r->gapless == r->total)
		report_note(r->report, "the file is as it was");
	if (!status && r->file)
		status = commit(r);
	/* Keep the info with the binding's counters. */
	input_unbind(&r->o.inputs[0]);
	put_result(r);
	if (!status && !r->report->json)
		print_result(r);
	return status;
}

/* Each file needs descriptors while it is held. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct command *command, struct report *report, bool write, int argc,
	       char **argv)
{
	struct run r = { .report = report, .write = write };
	int status;

	status = transfer_options_parse(command, &r.o, report, write, argc, argv);
	if (status < 0) {
		r.stop = catch_signals();
		raise_descriptor_limit();
		status = open_all(&r);
		if (!status)
			status = transfer(&r);
		inputs_close(&r);
		session_close(&r.session);
	}
	transfer_options_free(&r.o);
	return status;
}

static int run_load(const struct command *command, struct report *report, int argc, char **argv)
{
	return run(command, report, false, argc, argv);
}

static int run_store(const struct command *command, struct report *report, int argc, char **argv)
{
	return run(command, report, true, argc, argv);
}

#define COMMON_HELP \
	"  --offset SIZE            where to begin in the file (0)\n" \
	"  --length SIZE            how much (all that file and buffer have)\n" \
	"  --buf-offset SIZE        where to begin in the buffer (0)\n" \
	"  --block-size SIZE        bytes of one transfer (1M)\n" \
	"  --depth N                transfers in flight (32)\n" \
	"  --verify                 read the file again and compare, by the CPU\n" \
	"  --checksum               print the SHA-256 of the buffer's range\n" \
	"  --allow-bounce           what cannot go direct may be copied through memory\n" \
	"  --way WAY                module, kernel or bounce, and no other (the best there is)\n" \
	"  --require-device-memory  fail unless the buffer lies in PCI BARs\n" \
	"  --trust-addresses        take addresses that the kernel cannot vouch for\n" \
	"  --progress WHEN          auto, always or never (auto: on a terminal)\n" \
	"  -o, --output FORMAT      text or json\n"

#define STATUS_HELP \
	"Exit status: 0 done, 1 failed, 2 wrong usage, 3 the pair cannot go direct,\n" \
	"4 the verification found a difference, 130 interrupted.\n"

const struct command cmd_load = {
	.name = "load",
	.summary = "read NVMe disks, partitions or files into a buffer",
	.help = "load FILE... --into BUFFER [OPTION...]\n"
		"\n"
		"Reads NVMe disks, partitions or files on them into a dma-buf, by the drive's "
		"own\n"
		"DMA. Several files go one after the other into the buffer.\n"
		"\n"
		"  --range OFFSET:LENGTH    of the file named before it, or of the first; can "
		"be\n"
		"                           given several times for a file\n"
		COMMON_HELP
		"\n"
		STATUS_HELP,
	.options = load_options,
	.argument = transfer_add_file,
	.run = run_load,
};

const struct command cmd_store = {
	.name = "store",
	.summary = "write from a buffer to an NVMe disk, partition or file",
	.help = "store FILE --from BUFFER [OPTION...]\n"
		"\n"
		"Writes from a dma-buf to an NVMe disk, a partition or a file on one, by the "
		"drive's\n"
		"own DMA. A regular file is made anew, and gets its name when it is complete.\n"
		"\n"
		COMMON_HELP
		"  --in-place               write into the regular file that is there\n"
		"  --fua                    each write is on the medium when it is done\n"
		"  --fsync                  flush the drive's cache at the end\n"
		"  --force                  also write to a device that is mounted or in use\n"
		"\n"
		STATUS_HELP,
	.options = store_options,
	.argument = transfer_add_file,
	.run = run_store,
};
