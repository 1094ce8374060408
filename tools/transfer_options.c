// SPDX-License-Identifier: MIT
/* transfer_options.c - the command line of load and store. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

#define DEFAULT_BLOCK	(UINT64_C(1) << 20)
#define DEFAULT_DEPTH	32

enum {
	OPT_OFFSET = 256, OPT_LENGTH, OPT_BUF_OFFSET, OPT_BLOCK, OPT_DEPTH, OPT_VERIFY,
	OPT_CHECKSUM, OPT_DEVICE_MEMORY, OPT_PROGRESS, OPT_FUA, OPT_FSYNC, OPT_FORCE,
	OPT_BUFFER, OPT_RANGE, OPT_ALLOW_BOUNCE, OPT_IN_PLACE, OPT_TRUST,
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
	{ "trust-addresses", no_argument, NULL, OPT_TRUST }, \
	{ "allow-bounce", no_argument, NULL, OPT_ALLOW_BOUNCE }, \
	{ "progress", required_argument, NULL, OPT_PROGRESS }, \
	{ "output", required_argument, NULL, 'o' }, \
	{ "help", no_argument, NULL, 'h' }

const struct option load_options[] = {
	COMMON_LONG_OPTIONS,
	{ "into", required_argument, NULL, OPT_BUFFER },
	{ "range", required_argument, NULL, OPT_RANGE },
	{ 0 }
};

const struct option store_options[] = {
	COMMON_LONG_OPTIONS,
	{ "from", required_argument, NULL, OPT_BUFFER },
	{ "in-place", no_argument, NULL, OPT_IN_PLACE },
	{ "fua", no_argument, NULL, OPT_FUA },
	{ "fsync", no_argument, NULL, OPT_FSYNC },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ 0 }
};

static bool parse_u64(const char *text, uint64_t *value)
{
	return !size_parse(text, value);
}

/* "OFF:LEN" */
static bool parse_range(const char *text, struct part *part)
{
	const char *colon = strchr(text, ':');
	char *off = colon ? strndup(text, colon - text) : NULL;
	bool fits = off && parse_u64(off, &part->file_off) && parse_u64(colon + 1, &part->len);

	free(off);
	return fits;
}

/* -1: go on; else the status to leave with. */
static int add_file(struct report *report, struct transfer_options *o, const char *name)
{
	/* A range that came before the first file is its. */
	bool ranged = o->nr_parts && !o->nr_inputs;

	if (!*name)
		return report_usage(report, "the name of the file is empty");
	if (!ranged)
		o->parts[o->nr_parts++].input = o->nr_inputs;
	o->inputs[o->nr_inputs++] = (struct input){ .name = name, .fd = -1 };
	return -1;
}

static int add_range(struct report *report, struct transfer_options *o, const char *text)
{
	struct part part = { .ranged = true, .len_given = true };
	struct part *last = o->nr_parts ? &o->parts[o->nr_parts - 1] : NULL;

	if (!parse_range(text, &part))
		return report_usage(report, "--range takes OFFSET:LENGTH, not '%s'", text);
	part.input = o->nr_inputs ? o->nr_inputs - 1 : 0;
	/* The first range of a file takes the place of the whole file. */
	if (last && !last->ranged)
		*last = part;
	else
		o->parts[o->nr_parts++] = part;
	return -1;
}

/* What an option without a value sets; null: it is none of these. */
static bool *find_flag(struct transfer_options *o, int option)
{
	switch (option) {
	case OPT_VERIFY:
		return &o->verify;
	case OPT_CHECKSUM:
		return &o->checksum;
	case OPT_DEVICE_MEMORY:
		return &o->device_memory;
	case OPT_TRUST:
		return &o->trust_addresses;
	case OPT_ALLOW_BOUNCE:
		return &o->allow_bounce;
	case OPT_FUA:
		return &o->fua;
	case OPT_FSYNC:
		return &o->fsync;
	case OPT_FORCE:
		return &o->force;
	case OPT_IN_PLACE:
		return &o->in_place;
	default:
		return NULL;
	}
}

/* What an option that takes a size sets; null: it is none of these. */
static uint64_t *find_size(struct transfer_options *o, int option)
{
	switch (option) {
	case OPT_OFFSET:
		o->off_given = true;
		return &o->file_off;
	case OPT_LENGTH:
		o->len_given = true;
		return &o->len;
	case OPT_BUF_OFFSET:
		return &o->buf_off;
	case OPT_BLOCK:
		return &o->block;
	default:
		return NULL;
	}
}

static int set_depth(struct report *report, struct transfer_options *o, const char *text)
{
	uint64_t depth;

	if (!parse_u64(text, &depth) || !depth || depth > DMABUF_RW_QUEUE_MAX_DEPTH)
		return report_usage(report, "--depth takes a number from 1 to %d, not '%s'",
				    DMABUF_RW_QUEUE_MAX_DEPTH, text);
	o->depth = depth;
	return -1;
}

/* -1: go on; else the status to leave with. */
static int parse_option(const struct command *command, struct transfer_options *o,
			struct report *report, int c, char **argv)
{
	uint64_t *size = find_size(o, c);
	bool *flag = find_flag(o, c);

	if (flag)
		*flag = true;
	if (size && !parse_u64(optarg, size))
		return report_usage(report, "'%s' is not a size", optarg);
	if (flag || size)
		return -1;
	switch (c) {
	case 1:
		return add_file(report, o, optarg);
	case OPT_RANGE:
		return add_range(report, o, optarg);
	case OPT_BUFFER:
		o->buffer = optarg;
		return -1;
	case OPT_DEPTH:
		return set_depth(report, o, optarg);
	case OPT_PROGRESS:
		if (progress_mode(optarg, &o->progress))
			return -1;
		return report_usage(report, "--progress takes auto, always or never, not '%s'",
				    optarg);
	case 'o':
		return report_check_format(report, optarg);
	case 'h':
		return report_help(report, command);
	default:
		return report_option(report, c, argv);
	}
}

/* What only all options together show. */
static int check_options(struct report *report, struct transfer_options *o, bool write)
{
	unsigned int i;

	if (!o->nr_inputs)
		return report_usage(report, "the file is missing");
	if (write && o->nr_inputs > 1)
		return report_usage(report, "'%s' is one argument too many",
				    o->inputs[1].name);
	if (!o->buffer)
		return report_usage(report, "the buffer is missing: %s BUFFER",
				    write ? "--from" : "--into");
	if (!o->block)
		return report_usage(report, "--block-size must not be 0");
	if (o->device_memory && o->allow_bounce)
		return report_usage(report, "--allow-bounce and --require-device-memory "
				    "exclude each other");
	if ((o->off_given || o->len_given) && o->nr_parts > 1)
		return report_usage(report, "--offset and --length are for one file; with "
				    "more, give --range OFFSET:LENGTH after each");
	for (i = 0; i < o->nr_parts; i++) {
		struct part *part = &o->parts[i];

		if (part->ranged && (o->off_given || o->len_given))
			return report_usage(report, "--range says what --offset and "
					    "--length say");
		if (part->ranged)
			continue;
		part->file_off = o->file_off;
		part->len = o->len;
		part->len_given = o->len_given;
	}
	return -1;
}

int transfer_options_parse(const struct command *command, struct transfer_options *o,
			   struct report *report, bool write, int argc, char **argv)
{
	int c, status;

	*o = (struct transfer_options){ .block = DEFAULT_BLOCK, .depth = DEFAULT_DEPTH };
	progress_mode("auto", &o->progress);
	/* An argument makes at most one of each. */
	o->inputs = calloc(argc, sizeof(*o->inputs));
	o->parts = calloc(argc, sizeof(*o->parts));
	if (!o->inputs || !o->parts) {
		report_fail(report, "there is no memory");
		return STATUS_FAILED;
	}

	while ((c = getopt_long(argc, argv, SHORT_OPTIONS, command->options, NULL)) != -1) {
		status = parse_option(command, o, report, c, argv);
		if (status >= 0)
			return status;
	}
	for (; optind < argc; optind++) {
		status = add_file(report, o, argv[optind]);
		if (status >= 0)
			return status;
	}
	return check_options(report, o, write);
}

void transfer_options_free(struct transfer_options *o)
{
	free(o->inputs);
	free(o->parts);
}
