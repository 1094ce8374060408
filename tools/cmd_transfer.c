// SPDX-License-Identifier: MIT
/*
 * cmd_transfer.c - dmabuf-rw load and store: one range of a file, one of a buffer.
 *
 * The two differ in direction and in a few options, so they share everything else.
 * Order: parse, open and bind (which checks the pair), map the buffer if its contents
 * are to be looked at, check the ranges, transfer, flush, verify, report. Nothing is
 * transferred before everything that can be refused has been.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define DEFAULT_BLOCK	(UINT64_C(1) << 20)
#define DEFAULT_DEPTH	32

struct options {
	const char *file;
	const char *buffer;
	uint64_t file_off;
	uint64_t buf_off;
	uint64_t len;
	bool len_given;
	uint64_t block;
	uint32_t depth;
	bool verify;
	bool checksum;
	bool fua;
	bool fsync;
	bool force;
	bool device_memory;
	bool progress;
};

enum {
	OPT_OFFSET = 256, OPT_LENGTH, OPT_BUF_OFFSET, OPT_BLOCK, OPT_DEPTH, OPT_VERIFY,
	OPT_CHECKSUM, OPT_DEVICE_MEMORY, OPT_PROGRESS, OPT_FUA, OPT_FSYNC, OPT_FORCE,
	OPT_BUFFER,
};

#define COMMON_LONG_OPTIONS \
	{ "offset", required_argument, NULL, OPT_OFFSET }, \
	{ "length", required_argument, NULL, OPT_LENGTH }, \
	{ "buf-offset", required_argument, NULL, OPT_BUF_OFFSET }, \
	{ "block-size", required_argument, NULL, OPT_BLOCK }, \
	{ "depth", required_argument, NULL, OPT_DEPTH }, \
	{ "verify", no_argument, NULL, OPT_VERIFY }, \
	{ "checksum", no_argument, NULL, OPT_CHECKSUM }, \
	{ "require-device-memory", no_argument, NULL, OPT_DEVICE_MEMORY }, \
	{ "progress", required_argument, NULL, OPT_PROGRESS }, \
	{ "output", required_argument, NULL, 'o' }, \
	{ "help", no_argument, NULL, 'h' }

static const struct option load_options[] = {
	COMMON_LONG_OPTIONS,
	{ "into", required_argument, NULL, OPT_BUFFER },
	{ 0 }
};

static const struct option store_options[] = {
	COMMON_LONG_OPTIONS,
	{ "from", required_argument, NULL, OPT_BUFFER },
	{ "fua", no_argument, NULL, OPT_FUA },
	{ "fsync", no_argument, NULL, OPT_FSYNC },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ 0 }
};

static bool parse_u64(const char *text, uint64_t *value)
{
	return !size_parse(text, value);
}

/* -1: go on; else the status to leave with. */
static int parse_option(const struct command *command, struct options *o,
			struct report *report, int c, const char *text)
{
	uint64_t *number = NULL, depth;

	switch (c) {
	case OPT_BUFFER:
		o->buffer = optarg;
		return -1;
	case OPT_OFFSET:
		number = &o->file_off;
		break;
	case OPT_LENGTH:
		o->len_given = true;
		number = &o->len;
		break;
	case OPT_BUF_OFFSET:
		number = &o->buf_off;
		break;
	case OPT_BLOCK:
		number = &o->block;
		break;
	case OPT_DEPTH:
		if (!parse_u64(optarg, &depth) || !depth ||
		    depth > DMABUF_RW_QUEUE_MAX_DEPTH)
			return usage_error(command, "--depth takes a number from 1 to %d, "
					   "not '%s'", DMABUF_RW_QUEUE_MAX_DEPTH, optarg);
		o->depth = depth;
		return -1;
	case OPT_VERIFY:
		o->verify = true;
		return -1;
	case OPT_CHECKSUM:
		o->checksum = true;
		return -1;
	case OPT_DEVICE_MEMORY:
		o->device_memory = true;
		return -1;
	case OPT_PROGRESS:
		if (!progress_mode(optarg, &o->progress))
			return usage_error(command, "--progress takes auto, always or "
					   "never, not '%s'", optarg);
		return -1;
	case OPT_FUA:
		o->fua = true;
		return -1;
	case OPT_FSYNC:
		o->fsync = true;
		return -1;
	case OPT_FORCE:
		o->force = true;
		return -1;
	case 'o':
		if (!report_format(report, optarg))
			return usage_error(command, "-o takes text or json, not '%s'",
					   optarg);
		return -1;
	case 'h':
		print_help(command);
		return STATUS_OK;
	case ':':
		return usage_error(command, "%s needs a value", text);
	default:
		return usage_error(command, "%s is not an option, or takes no value", text);
	}
	if (!parse_u64(optarg, number))
		return usage_error(command, "'%s' is not a size", optarg);
	return -1;
}

static int parse_arguments(const struct command *command, struct options *o,
			   struct report *report, bool write, int argc, char **argv)
{
	int c, status;

	*o = (struct options){ .block = DEFAULT_BLOCK, .depth = DEFAULT_DEPTH };
	progress_mode("auto", &o->progress);

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:h", write ? store_options : load_options,
				NULL)) != -1) {
		status = parse_option(command, o, report, c, argv[optind - 1]);
		if (status >= 0)
			return status;
	}
	if (optind == argc)
		return usage_error(command, "the file is missing");
	o->file = argv[optind];
	if (optind + 1 < argc)
		return usage_error(command, "'%s' is one argument too many",
				   argv[optind + 1]);
	if (!o->buffer)
		return usage_error(command, "the buffer is missing: %s BUFFER",
				   write ? "--from" : "--into");
	if (!o->block)
		return usage_error(command, "--block-size must not be 0");
	return -1;
}

/* Settles the length, and refuses ranges that cannot be. */
static bool check_ranges(struct report *report, struct session *s, struct options *o)
{
	const struct dmabuf_rw_info *info = &s->info;
	uint64_t file_room, buf_room;

	if (o->file_off > info->file_bytes) {
		report_fail(report, "%s ends at %llu, before the offset %llu", o->file,
			    (unsigned long long)info->file_bytes,
			    (unsigned long long)o->file_off);
		return false;
	}
	if (o->buf_off > info->buf_bytes) {
		report_fail(report, "%s has %llu bytes, fewer than the buffer offset %llu",
			    o->buffer, (unsigned long long)info->buf_bytes,
			    (unsigned long long)o->buf_off);
		return false;
	}
	file_room = info->file_bytes - o->file_off;
	buf_room = info->buf_bytes - o->buf_off;
	if (!o->len_given)
		o->len = file_room < buf_room ? file_room : buf_room;
	if (o->len > file_room) {
		report_fail(report, "%s has only %llu bytes after the offset, and %llu were "
			    "asked for", o->file, (unsigned long long)file_room,
			    (unsigned long long)o->len);
		return false;
	}
	if (o->len > buf_room) {
		report_fail(report, "%s has only %llu bytes after the buffer offset, and %llu "
			    "were asked for", o->buffer, (unsigned long long)buf_room,
			    (unsigned long long)o->len);
		return false;
	}
	if (!o->len_given && info->file_align)
		o->len -= o->len % info->file_align;
	if (info->file_align && (o->file_off % info->file_align ||
				 o->len % info->file_align ||
				 o->block % info->file_align)) {
		report_fail(report, "the offset, the length and the block size must be "
			    "multiples of %u, the block size of %s", info->file_align,
			    o->file);
		return false;
	}
	if (info->buf_align && (o->buf_off % info->buf_align ||
				o->block % info->buf_align)) {
		report_fail(report, "the buffer offset and the block size must be multiples "
			    "of %u for this drive", info->buf_align);
		return false;
	}
	return true;
}

static const char *range_name(const struct options *o, bool write, char *buf, size_t len)
{
	snprintf(buf, len, "%s %s %s", o->file, write ? "from" : "into", o->buffer);
	return buf;
}

static int flush(struct report *report, const struct options *o, const struct session *s)
{
	if (!o->fsync || !fsync(s->file_fd))
		return STATUS_OK;
	report_fail(report, "%s: the drive's cache could not be flushed: %s", o->file,
		    strerror(errno));
	return STATUS_FAILED;
}

static int check_contents(struct report *report, const struct options *o,
			  struct session *s, volatile sig_atomic_t *stop,
			  char digest[DIGEST_TEXT])
{
	uint64_t where;
	int ret;

	if (o->verify) {
		ret = verify_range(report, s, o->file_off, o->buf_off, o->len, stop,
				   &where);
		if (ret == -EINTR)
			return STATUS_INTERRUPTED;
		if (ret < 0)
			return STATUS_FAILED;
		json_put_bool(report->root, "verified", ret == 0);
		if (ret) {
			json_put_u64(report->root, "first_difference", where);
			report_fail(report, "%s and %s differ, first at byte %llu of the "
				    "range (file offset %llu, buffer offset %llu)", o->file,
				    o->buffer, (unsigned long long)where,
				    (unsigned long long)(o->file_off + where),
				    (unsigned long long)(o->buf_off + where));
			return STATUS_MISMATCH;
		}
	}
	if (o->checksum) {
		ret = digest_range(s, o->buf_off, o->len, digest);
		if (ret) {
			report_fail(report, "%s cannot be read for its checksum: %s",
				    o->buffer, strerror(-ret));
			return STATUS_FAILED;
		}
		json_put_string(report->root, "sha256", digest);
	}
	return STATUS_OK;
}

static void put_result(struct report *report, const struct options *o,
		       const struct session *s, const struct engine *e, double seconds,
		       double cpu)
{
	struct json_object *root = report->root;

	json_put_string(root, "file", o->file);
	json_put_string(root, "buffer", o->buffer);
	json_put_u64(root, "file_offset", o->file_off);
	json_put_u64(root, "buf_offset", o->buf_off);
	json_put_u64(root, "length", o->len);
	json_put_u64(root, "bytes", e->gapless);
	json_put_u64(root, "bytes_moved", e->moved);
	json_put_u64(root, "direct_bytes", e->direct_bytes);
	json_put_string(root, "path", dmabuf_rw_path_name(e->path));
	json_put_u64(root, "transfers", e->completions);
	json_put_u64(root, "depth", o->depth);
	json_put_u64(root, "block_size", o->block);
	json_put_double(root, "seconds", seconds);
	json_put_double(root, "bytes_per_second", seconds > 0 ? e->moved / seconds : 0);
	json_put_double(root, "cpu_seconds", cpu);
	json_object_object_add(root, "binding", json_of_info(&s->info));
}

static void print_result(const struct options *o, const struct session *s,
			 const struct engine *e, double seconds, bool write,
			 const char *digest)
{
	char size[24], rate[24], text[512];

	printf("%s %s %s %s: %s (%llu bytes) in %.3f s, %s/s, %s\n",
	       write ? "stored" : "loaded", o->file, write ? "from" : "into", o->buffer,
	       size_format(e->moved, size, sizeof(size)), (unsigned long long)e->moved,
	       seconds, size_format(seconds > 0 ? e->moved / seconds : 0, rate,
				    sizeof(rate)),
	       dmabuf_rw_path_name(e->path));
	dmabuf_rw_info_describe(&s->info, text, sizeof(text));
	printf("%s\n", text);
	if (o->verify)
		printf("verified: the buffer equals the file\n");
	if (o->checksum)
		printf("sha256 %s\n", digest);
}

static int transfer(struct report *report, struct session *s, struct options *o,
		    bool write)
{
	volatile sig_atomic_t *stop = catch_signals();
	struct engine e = {
		.binding = s->binding,
		.write = write,
		.file_off = o->file_off,
		.buf_off = o->buf_off,
		.len = o->len,
		.block = o->block,
		.depth = o->depth,
		.io_flags = o->fua ? DMABUF_RW_IO_FUA : 0,
		.stop = stop,
		.progress = progress_update,
	};
	char what[512], digest[DIGEST_TEXT] = "", why[BUFFER_WHY];
	struct progress progress;
	double seconds, cpu;
	int status, ret;

	range_name(o, write, what, sizeof(what));
	if ((o->verify || o->checksum) && buffer_map(&s->buffer, why)) {
		report_fail(report, "%s: %s", o->buffer, why);
		return STATUS_FAILED;
	}

	progress_begin(&progress, o->progress, write ? "store" : "load", o->len);
	e.progress_arg = &progress;
	cpu = cpu_seconds();
	ret = engine_run(&e);
	status = ret ? STATUS_OK : flush(report, o, s);
	seconds = (clock_ns() - progress.begin_ns) / 1e9;
	cpu = cpu_seconds() - cpu;
	progress_end(&progress, e.moved, e.path);

	s->info = (struct dmabuf_rw_info){ .size = sizeof(s->info) };
	dmabuf_rw_binding_info(s->binding, &s->info);
	put_result(report, o, s, &e, seconds, cpu);
	if (ret == -EINTR && !e.error.err) {
		report_fail(report, "%s: interrupted; the first %llu of %llu bytes are "
			    "done", what, (unsigned long long)e.gapless,
			    (unsigned long long)o->len);
		return STATUS_INTERRUPTED;
	}
	if (ret) {
		report_error(report, what, &e.error);
		fprintf(stderr, "dmabuf-rw %s: the first %llu of %llu bytes are done\n",
			report->command, (unsigned long long)e.gapless,
			(unsigned long long)o->len);
		return STATUS_FAILED;
	}
	if (status)
		return status;

	status = check_contents(report, o, s, stop, digest);
	if (!status && !report->json)
		print_result(o, s, &e, seconds, write, digest);
	return status;
}

static int run(const struct command *command, int argc, char **argv, bool write)
{
	struct session_opts opts = { .open_flags = write ? O_RDWR : O_RDONLY };
	struct session session;
	struct report report;
	struct options o;
	int status;

	report_begin(&report, command->name);
	status = parse_arguments(command, &o, &report, write, argc, argv);
	if (status >= 0) {
		json_object_put(report.root);
		return status;
	}
	/* On a block device O_EXCL fails while a file system or another device has it. */
	if (write && !o.force)
		opts.open_flags |= O_EXCL;
	if (o.device_memory)
		opts.bind_flags |= DMABUF_RW_BIND_DEVICE_MEMORY;

	status = session_open(&session, &report, o.file, o.buffer, &opts);
	if (!status)
		status = check_ranges(&report, &session, &o) ?
			 transfer(&report, &session, &o, write) : STATUS_USAGE;
	session_close(&session);
	return report_end(&report, status);
}

static int run_load(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, false);
}

static int run_store(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, true);
}

#define COMMON_HELP \
	"  --offset SIZE            where to begin in the file (0)\n" \
	"  --length SIZE            how much (all that file and buffer have)\n" \
	"  --buf-offset SIZE        where to begin in the buffer (0)\n" \
	"  --block-size SIZE        bytes of one transfer (1M)\n" \
	"  --depth N                transfers in flight (32); 1 does without io_uring\n" \
	"  --verify                 read the file again and compare, by the CPU\n" \
	"  --checksum               print the SHA-256 of the buffer's range\n" \
	"  --require-device-memory  fail unless the buffer lies in PCI BARs\n" \
	"  --progress WHEN          auto, always or never (auto: on a terminal)\n" \
	"  -o, --output FORMAT      text or json\n"

#define STATUS_HELP \
	"Exit status: 0 done, 1 failed, 2 wrong usage, 3 the pair cannot go direct,\n" \
	"4 the verification found a difference, 130 interrupted.\n"

const struct command cmd_load = {
	.name = "load",
	.summary = "read from an NVMe disk or partition into a buffer",
	.help = "load FILE --into BUFFER [OPTION...]\n"
		"\n"
		"Reads from an NVMe disk or partition into a dma-buf, by the drive's own "
		"DMA.\n"
		"\n"
		COMMON_HELP
		"\n"
		STATUS_HELP,
	.run = run_load,
};

const struct command cmd_store = {
	.name = "store",
	.summary = "write from a buffer to an NVMe disk or partition",
	.help = "store FILE --from BUFFER [OPTION...]\n"
		"\n"
		"Writes from a dma-buf to an NVMe disk or partition, by the drive's own DMA.\n"
		"\n"
		COMMON_HELP
		"  --fua                    each write is on the medium when it is done\n"
		"  --fsync                  flush the drive's cache at the end\n"
		"  --force                  also write to a device that is mounted or in use\n"
		"\n"
		STATUS_HELP,
	.run = run_store,
};
