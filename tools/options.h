/* SPDX-License-Identifier: MIT */
/*
 * options.h - the options of a command in a table: the name of each, its argument, and the member
 * of the command's struct that it sets.
 *
 * Every command also has -o and --help, which are in no table.
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
 * @kind:	kind of its argument
 * @at, @size:	the member that it sets, by AT()
 * @given:	offset of a bool that it also sets; 0: none
 * @bits:	for OPTION_BITS
 * @least, @most: limits of numbers and sizes; @most 0: no limit
 * @take:	for OPTION_CALL; @into is the command's struct. -1: go on; else the exit status
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
 * Parses options and arguments into @into, the command's struct. -1: go on; else the exit status.
 * With @command->program, the words after "--" are left at argv[optind].
 */
int options_parse(const struct command *command, struct report *report, void *into, int argc,
		  char **argv);
/* The long options of @command for getopt_long(); valid until the next call. */
const struct option *options_long(const struct command *command);

#endif
