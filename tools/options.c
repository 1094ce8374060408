// SPDX-License-Identifier: MIT
/* options.c - see options.h. */
#include <getopt.h>
#include <stdlib.h>

#include "options.h"

/* Values of long options without a letter start here, in the order of @command->options. */
#define FIRST	256
#define MAX	32

const struct option *options_long(const struct command *command)
{
	static struct option all[MAX + 3];
	const struct command_option *o;
	struct option *to = all;

	for (o = command->options; o->name; o++, to++) {
		if (o - command->options == MAX)
			abort();
		*to = (struct option){
			.name = o->name,
			.has_arg = o->kind == OPTION_FLAG || o->kind == OPTION_BITS ?
				   no_argument : required_argument,
			.val = FIRST + (o - command->options),
		};
	}
	*to++ = (struct option){ "output", required_argument, NULL, 'o' };
	*to++ = (struct option){ "help", no_argument, NULL, 'h' };
	*to = (struct option){ 0 };
	return all;
}

static int take_number(struct report *report, const struct command_option *o, void *member,
		       const char *text)
{
	const char *what = o->kind == OPTION_SIZE ? "size" : "number";
	uint64_t value;
	bool good = !size_parse(text, &value);

	if (!good && !o->most)
		return report_usage(report, "--%s takes a %s, not '%s'", o->name, what, text);
	if (!good || (o->most && (value < o->least || value > o->most)))
		return report_usage(report, "--%s takes a %s from %llu to %llu, not '%s'", o->name,
				    what, (unsigned long long)o->least,
				    (unsigned long long)o->most, text);
	if (o->size == sizeof(uint32_t))
		*(uint32_t *)member = value;
	else
		*(uint64_t *)member = value;
	return -1;
}

static int take(struct report *report, const struct command_option *o, void *into)
{
	void *member = (char *)into + o->at;

	if (o->given)
		*(bool *)((char *)into + o->given) = true;
	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)member = true;
		break;
	case OPTION_BITS:
		*(uint64_t *)member |= o->bits;
		break;
	case OPTION_SIZE:
	case OPTION_NUMBER:
		return take_number(report, o, member, optarg);
	case OPTION_TEXT:
		*(const char **)member = optarg;
		break;
	case OPTION_WAY:
		return parse_way(report, optarg, member);
	case OPTION_DIRECT_WAY:
		return parse_direct_way(report, optarg, member);
	case OPTION_CALL:
		return o->take(report, o, into, optarg);
	}
	return -1;
}

int options_parse(const struct command *command, struct report *report, void *into, int argc,
		  char **argv)
{
	const struct option *all = options_long(command);
	int c, status = -1;

	while (status < 0 && (c = getopt_long(argc, argv, SHORT_OPTIONS, all, NULL)) != -1) {
		if (c >= FIRST)
			status = take(report, &command->options[c - FIRST], into);
		else if (c == 1)
			status = command->argument(report, into, optarg);
		else if (c == 'o')
			status = report_check_format(report, optarg);
		else if (c == 'h')
			status = report_help(report, command);
		else
			status = report_option(report, all, c, argv);
	}
	while (status < 0 && optind < argc && !command->program)
		status = command->argument(report, into, argv[optind++]);
	return status;
}
