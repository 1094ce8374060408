// SPDX-License-Identifier: MIT
/*
 * main.c - the dmabuf-rw command: its table of subcommands, and how every run begins and
 * ends.
 */
#include <getopt.h>
#include <string.h>

#include "buffer_kind.h"
#include "descriptors.h"
#include "options.h"

static const struct command *const commands[] = {
	&cmd_load,
	&cmd_store,
	&cmd_info,
	&cmd_check,
	&cmd_stat,
	&cmd_bench,
	&cmd_run,
};

/* Options before the command. */
static const struct option options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ 0 }
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i]->name))
			return commands[i];
	return NULL;
}

static void overview(FILE *out)
{
	size_t i;

	say_as_is(out,
		  "usage: dmabuf-rw COMMAND [ARGUMENT...]\n"
		  "\n"
		  "Moves data between NVMe storage and dma-bufs, by the drive's own DMA.\n"
		  "\n"
		  "commands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		say(out, "  %-8s %s", commands[i]->name, commands[i]->summary);
	say_as_is(out,
		  "\n"
		  "buffers:\n");
	for (i = 0; i < nr_buffer_kinds; i++)
		say(out, "  %-17s %s", buffer_kinds[i]->form, buffer_kinds[i]->summary);
	say_as_is(out,
		  "\n"
		  "Sizes: K, M, G, T or KiB, MiB ... are powers of 1024; KB, MB ... of 1000.\n"
		  "dmabuf-rw COMMAND --help says more; dmabuf-rw --version names the release.\n");
}

/*
 * Takes the last valid format that @argv asks for, whatever else is wrong there; as
 * getopt_long() reads it, so up to "--" and with abbreviations.
 */
static void find_format(struct report *report, const struct option *long_options,
			const char *short_options, int argc, char **argv)
{
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1)
		if (c == 'o' && report_knows_format(optarg))
			report->json = !strcmp(optarg, "json");
}

/* -1: go on; else the status to leave with. */
static int run_options(struct report *report, int argc, char **argv)
{
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+:o:h", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			status = report_check_format(report, optarg);
			if (status >= 0)
				return status;
			break;
		case 'h':
			report->json = false;
			overview(stdout);
			return STATUS_OK;
		case 'v':
			report->json = false;
			say(stdout, "dmabuf-rw %s", dmabuf_rw_version());
			return STATUS_OK;
		default:
			return report_option(report, options, c, argv);
		}
	}
	return -1;
}

static int run(struct report *report, int argc, char **argv)
{
	const struct command *command;
	int first, status;

	opterr = 0;
	find_format(report, options, "+:o:h", argc, argv);
	first = optind;
	command = first < argc ? find_command(argv[first]) : NULL;
	if (first < argc)
		find_format(report, command ? options_long(command) : options, SHORT_OPTIONS,
			    argc - first, argv + first);

	status = run_options(report, argc, argv);
	if (status >= 0)
		return status;
	if (first >= argc) {
		if (report->json)
			return report_usage(report, "the command is missing");
		overview(stderr);
		return STATUS_USAGE;
	}
	if (!command)
		return report_usage(report, "there is no command '%s'", argv[first]);
	report_command(report, command->name);
	optind = 0;
	return command->run(command, report, argc - first, argv + first);
}

int main(int argc, char **argv)
{
	struct report report;
	int status;

	take_standard_descriptors();
	ignore_write_signals();
	report_begin(&report);
	status = run(&report, argc, argv);
	return report_end(&report, status);
}
