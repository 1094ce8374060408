/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - one run of load or store, and its parts:
 *
 *   transfer_options.c	the command line
 *   transfer_inputs.c	opens, binds, makes, checks and closes files
 *   cmd_transfer.c	the order of operations
 *   transfer_result.c	the report
 *
 * Vocabulary
 *   input	a file named on the command line, even if store writes to it
 *   part	one range of one input; parts follow each other in the buffer, and those of
 *		an input are adjacent
 *   held	an input that stays open and bound after it was checked. Only some inputs are
 *		held; the others are opened and bound again when their turn comes
 */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include <sys/types.h>

#include "options.h"

/* Must be the same when an input is opened again. */
struct identity {
	dev_t dev, rdev;
	ino_t ino;
	uint64_t bytes;
};

struct input {
	const char *name;
	int fd;			/* -1: not open */
	struct dmabuf_rw_binding *binding;	/* null: not bound */
	bool known;		/* it has been opened before */
	struct identity identity;
	struct dmabuf_rw_info info;	/* of the last binding */
	struct dmabuf_rw_error refusal;	/* err 0: direct */
};

struct part {
	unsigned int input;
	bool ranged;		/* by --range */
	bool len_given;
	uint64_t file_off;
	uint64_t len;
	uint64_t buf_off;	/* settled by inputs_check() */
	/* after the transfer */
	uint64_t gapless;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
	uint32_t path;		/* enum dmabuf_rw_path */
};

struct transfer_options {
	struct input *inputs;
	struct part *parts;
	unsigned int nr_inputs, nr_parts;
	const char *buffer;
	uint64_t file_off;	/* for parts without --range */
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
	bool trust_addresses;
	bool allow_bounce;
	uint32_t way;		/* enum dmabuf_rw_path; 0: all */
	bool progress;
};

extern const struct command_option load_options[], store_options[];
/* The commands' @argument; @into is a struct transfer_options. */
int transfer_add_file(struct report *report, void *into, const char *name);

/* -1: go on; else the exit status. Call transfer_options_free() in either case. */
int transfer_options_parse(const struct command *command, struct transfer_options *o,
			   struct report *report, bool write, int argc, char **argv);
void transfer_options_free(struct transfer_options *o);

struct run {
	struct report *report;
	struct session session;	/* device and buffer; the files are the inputs */
	struct transfer_options o;
	bool write;
	volatile sig_atomic_t *stop;
	bool makes_file;	/* store, neither to a disk nor in place */
	struct dmabuf_rw_file *file;	/* the new file, once it is made */
	unsigned int nr_held;
	uint64_t total;

	/* of the transfer */
	bool moving;		/* it has begun */
	int64_t clock;		/* when the clocks were started */
	double cpu_clock;
	uint64_t before;	/* bytes of completed parts */
	struct progress progress;
	uint64_t moved, gapless, direct_bytes, bounced_bytes, kernel_bytes, completions;
	uint32_t path;		/* enum dmabuf_rw_path */
	bool io_uring;		/* not forbidden here */
	/* From before the first file is opened or made until all bytes are in place. */
	double seconds;
	double transfer_seconds;	/* the part of it spent on transfers */
	double cpu;			/* CPU time of the process in @seconds */
	char digest[DIGEST_TEXT];
};

/* ---- transfer_inputs.c ---------------------------------------------------------------- */

/* These give STATUS_OK, or a status after the failure was reported. */

/* Checks without opening that all inputs exist and may be opened. */
int inputs_look(struct run *r);
/* Opens or makes, binds and checks all inputs, and settles the parts. */
int inputs_check(struct run *r);
/* Opens (again) and, if @bind, binds the input. Refuses a file that was replaced. */
int input_get(struct run *r, struct input *input, bool bind);
/* After its bytes are moved: unbinds, and keeps the last info. */
void input_unbind(struct input *input);
/* Unbinds and closes it. */
void input_put(struct run *r, struct input *input);
void inputs_close(struct run *r);
/* "FILE into BUFFER", allocated. */
char *pair_name(const struct run *r, const struct input *input);
/* Reports an interruption. STATUS_INTERRUPTED. */
int interrupted(struct run *r, const char *name);
/* DMABUF_RW_BIND_* from the options. */
uint64_t transfer_bind_flags(const struct run *r);

/* ---- transfer_errors.c ----------------------------------------------------------------- */

/* Reports the error that ended the transfer of @what. */
void report_transfer_error(struct run *r, const char *what, const struct dmabuf_rw_error *error);
/* Reports that the pair could not be bound. Returns a status. */
int report_refusal(struct run *r, const struct input *input, const char *what,
		   const struct dmabuf_rw_error *error);

/* ---- transfer_result.c ----------------------------------------------------------------- */

void put_result(const struct run *r);
void print_result(const struct run *r);

#endif
