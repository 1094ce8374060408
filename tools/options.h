/* SPDX-License-Identifier: MIT */
/*
 * options.h - the command line of a command, by a table: what each option is called, what it takes,
 * and which member of the command's own struct it sets.
 *
 * Every command has -o and --help, too; they are in no table.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stddef.h>

#include "tool.h"

enum option_kind {
	OPTION_FLAG = 1,	/* no argument, sets a bool */
	OPTION_BITS,		/* no argument, adds @bits to a uint64_t */
	OPTION_SIZE,		/* size.h; into a uint32_t or a uint64_t */
	OPTION_NUMBER,		/* the same, but messages call it a number */
	OPTION_TEXT,		/* into a const char * */
	OPTION_WAY,		/* into a uint32_t, enum dmabuf_rw_path */
	OPTION_DIRECT_WAY,	/* the same, direct ways only */
	OPTION_CALL,		/* anything; @take parses it */
};

/**
 * struct command_option - one line of a table; the last one has no name
 * @name:	of the long option
 * @kind:	what it takes
 * @at, @size:	the member that it sets, by AT()
 * @given:	offset of a bool that is set, too; 0: there is none
 * @bits:	for OPTION_BITS
 * @least, @most: of numbers and sizes; @most 0: any
 * @take:	for OPTION_CALL: into the command's struct @into. -1: go on; else the status to
 *		leave with
 */
struct command_option {
	const char *name;
	enum option_kind kind;
	size_t at, size, given;
	uint64_t bits, least, most;
	int (*take)(struct report *report, const struct command_option *option, void *into,
		    const char *text);
};

#define AT(type, member) .at = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Sets @bind_flags and @way in the struct of a command that only binds directly. */
#define DIRECT_BIND_OPTIONS(type)						\
	BIND_FLAG_OPTIONS(type),						\
	{ "way", OPTION_DIRECT_WAY, AT(type, way) }

#define BIND_FLAG_OPTIONS(type)							\
	{ "require-device-memory", OPTION_BITS, AT(type, bind_flags),		\
	  .bits = DMABUF_RW_BIND_DEVICE_MEMORY },				\
	{ "trust-addresses", OPTION_BITS, AT(type, bind_flags),			\
	  .bits = DMABUF_RW_BIND_TRUST_ADDRESSES }

/*
 * Takes the options and arguments into @into, the command's struct. -1: go on; else the status to
 * leave with. With @command->program what follows "--" is left at argv[optind].
 */
int options_parse(const struct command *command, struct report *report, void *into, int argc,
		  char **argv);
/* The long options of @command for getopt_long(); valid until the next call. */
const struct option *options_long(const struct command *command);

#endif
