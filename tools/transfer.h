/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - what load and store are asked to do: transfer_options.c reads it off the
 * command line, cmd_transfer.c does it.
 *
 * Vocabulary
 *   input	a file as it was named, once; also where it is written
 *   part	one range of one input; parts follow each other in the buffer
 */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include "tool.h"

struct input {
	const char *name;
	int fd;			/* -1: not open */
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_info info;
	struct dmabuf_rw_error refusal;	/* err 0: direct */
};

struct part {
	unsigned int input;
	bool ranged;		/* by --range */
	bool len_given;
	uint64_t file_off;
	uint64_t len;
	uint64_t buf_off;	/* settled by check_ranges() */
	/* after the transfer */
	uint64_t gapless;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
};

struct transfer_options {
	struct input *inputs;
	struct part *parts;
	unsigned int nr_inputs, nr_parts;
	const char *buffer;
	uint64_t file_off;	/* for parts without a range of their own */
	uint64_t buf_off;
	uint64_t len;
	bool off_given;
	bool len_given;
	uint64_t block;
	uint32_t depth;
	bool verify;
	bool checksum;
	bool fua;
	bool fsync;
	bool force;
	bool in_place;
	bool device_memory;
	bool allow_bounce;
	bool progress;
};

/* -1: go on; else the status to leave with. Always transfer_options_free(). */
int transfer_options_parse(const struct command *command, struct transfer_options *o,
			   struct report *report, bool write, int argc, char **argv);
void transfer_options_free(struct transfer_options *o);

#endif
