// SPDX-License-Identifier: MIT
/* transfer_options.c - the command line of load and store. */
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

#define DEFAULT_BLOCK	(UINT64_C(1) << 20)
#define DEFAULT_DEPTH	32

int transfer_add_file(struct report *report, void *into, const char *name)
{
	struct transfer_options *o = into;
	/* A range before the first file belongs to that file. */
	bool ranged = o->nr_parts && !o->nr_inputs;

	if (!*name)
		return report_usage(report, "the name of the file is empty");
	if (!ranged)
		o->parts[o->nr_parts++].input = o->nr_inputs;
	o->inputs[o->nr_inputs++] = (struct input){ .name = name, .fd = -1 };
	return -1;
}

static int take_range(struct report *report, const struct command_option *option, void *into,
		      const char *text)
{
	struct transfer_options *o = into;
	struct part part = { .ranged = true, .len_given = true };
	struct part *last = o->nr_parts ? &o->parts[o->nr_parts - 1] : NULL;

	if (size_parse_range(text, &part.file_off, &part.len))
		return report_usage(report, "--%s takes OFFSET:LENGTH, not '%s'", option->name,
				    text);
	part.input = o->nr_inputs ? o->nr_inputs - 1 : 0;
	/* The first range of a file replaces the whole file. */
	if (last && !last->ranged)
		*last = part;
	else
		o->parts[o->nr_parts++] = part;
	return -1;
}

static int take_progress(struct report *report, const struct command_option *option, void *into,
			 const char *text)
{
	struct transfer_options *o = into;

	if (progress_mode(text, &o->progress))
		return -1;
	return report_usage(report, "--%s takes auto, always or never, not '%s'", option->name,
			    text);
}

#define SETS(member) AT(struct transfer_options, member)

#define COMMON_OPTIONS \
	{ "offset", OPTION_SIZE, SETS(file_off), \
	  .given = offsetof(struct transfer_options, off_given) }, \
	{ "length", OPTION_SIZE, SETS(len), \
	  .given = offsetof(struct transfer_options, len_given) }, \
	{ "buf-offset", OPTION_SIZE, SETS(buf_off) }, \
	{ "block-size", OPTION_SIZE, SETS(block) }, \
	{ "depth", OPTION_NUMBER, SETS(depth), .least = 1, .most = DMABUF_RW_QUEUE_MAX_DEPTH }, \
	{ "verify", OPTION_FLAG, SETS(verify) }, \
	{ "checksum", OPTION_FLAG, SETS(checksum) }, \
	{ "require-device-memory", OPTION_FLAG, SETS(device_memory) }, \
	{ "trust-addresses", OPTION_FLAG, SETS(trust_addresses) }, \
	{ "allow-bounce", OPTION_FLAG, SETS(allow_bounce) }, \
	{ "way", OPTION_WAY, SETS(way) }, \
	{ "progress", OPTION_CALL, .take = take_progress }

const struct command_option load_options[] = {
	COMMON_OPTIONS,
	{ "into", OPTION_TEXT, SETS(buffer) },
	{ "range", OPTION_CALL, .take = take_range },
	{ 0 }
};

const struct command_option store_options[] = {
	COMMON_OPTIONS,
	{ "from", OPTION_TEXT, SETS(buffer) },
	{ "in-place", OPTION_FLAG, SETS(in_place) },
	{ "fua", OPTION_FLAG, SETS(fua) },
	{ "fsync", OPTION_FLAG, SETS(fsync) },
	{ "force", OPTION_FLAG, SETS(force) },
	{ 0 }
};

/* Checks the options against each other. */
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
	o->allow_bounce |= o->way == DMABUF_RW_PATH_BOUNCED;
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
	int status;

	*o = (struct transfer_options){ .block = DEFAULT_BLOCK, .depth = DEFAULT_DEPTH };
	progress_mode("auto", &o->progress);
	/* An argument adds at most one of each. */
	o->inputs = calloc(argc, sizeof(*o->inputs));
	o->parts = calloc(argc, sizeof(*o->parts));
	if (!o->inputs || !o->parts) {
		report_fail(report, "there is no memory");
		return STATUS_FAILED;
	}

	status = options_parse(command, report, o, argc, argv);
	if (status >= 0)
		return status;
	return check_options(report, o, write);
}

void transfer_options_free(struct transfer_options *o)
{
	free(o->inputs);
	free(o->parts);
}
