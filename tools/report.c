// SPDX-License-Identifier: MIT
/*
 * report.c - results and failures, as text for people or JSON for programs.
 *
 * With -o json, stdout carries exactly one JSON object, with a member "error" after a failure.
 * Messages go to stderr in either format. Only help and the version remain text.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

void report_begin(struct report *report)
{
	report->command = NULL;
	report->json = false;
	report->root = json_object_new_object();
}

void report_command(struct report *report, const char *command)
{
	report->command = command;
	json_put_string(report->root, "command", command);
}

bool report_knows_format(const char *format)
{
	return !strcmp(format, "json") || !strcmp(format, "text");
}

/* Keeps the first failure, which explains the others. */
static void add_error(struct report *report, struct json_object *error)
{
	if (json_object_object_get_ex(report->root, "error", NULL))
		json_object_put(error);
	else
		json_object_object_add(report->root, "error", error);
}

void report_note(const struct report *report, const char *text)
{
	if (report->command)
		say(stderr, "dmabuf-rw %s: %s", report->command, text);
	else
		say(stderr, "dmabuf-rw: %s", text);
}

static void fail(struct report *report, const char *text, const char *hint)
{
	struct json_object *error = json_object_new_object();
	char *both = text_format("%s%s", text, hint);

	report_note(report, text_or_excuse(both));
	json_put_string(error, "message", text);
	add_error(report, error);
	free(both);
}

void report_fail(struct report *report, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	text = text_vformat(format, ap);
	va_end(ap);
	fail(report, text_or_excuse(text), "");
	free(text);
}

void report_error_and(struct report *report, const char *what,
		      const struct dmabuf_rw_error *error, const char *hint)
{
	char *sentence = text_of_error(error);
	char *text = text_format("%s: %s%s", what, text_or_excuse(sentence), hint);

	report_note(report, text_or_excuse(text));
	add_error(report, json_of_error(error));
	free(sentence);
	free(text);
}

void report_error_but(struct report *report, const char *what,
		      const struct dmabuf_rw_error *error, const char *remedy)
{
	const char *name = dmabuf_rw_errno_name(error->err);
	char *sentence = text_format("%s (%s); %s", dmabuf_rw_error_cause(error),
				     name ? name : "unknown", remedy);
	char *text = text_format("%s: %s", what, text_or_excuse(sentence));
	struct json_object *object = json_of_error(error);

	report_note(report, text_or_excuse(text));
	json_put_string(object, "message", text_or_excuse(sentence));
	json_put_string(object, "remedy", remedy);
	add_error(report, object);
	free(sentence);
	free(text);
}

void report_error(struct report *report, const char *what,
		  const struct dmabuf_rw_error *error)
{
	report_error_and(report, what, error, "");
}

int report_usage(struct report *report, const char *format, ...)
{
	const char *name = report->command ? report->command : "";
	char *hint = text_format("; dmabuf-rw %s%s--help shows how", name, *name ? " " : "");
	va_list ap;
	char *text;

	va_start(ap, format);
	text = text_vformat(format, ap);
	va_end(ap);
	fail(report, text_or_excuse(text), text_or_excuse(hint));
	free(text);
	free(hint);
	return STATUS_USAGE;
}

/* Reports why getopt_long() refuses @word, which begins with "--". */
static int refuse_long_option(struct report *report, const struct option *options, const char *word)
{
	int len = strcspn(word, "="), status;
	char *meant = NULL, *more;

	if (optopt)
		return report_usage(report, "%.*s takes no value", len, word);
	for (; options->name; options++) {
		if (strncmp(options->name, word + 2, len - 2))
			continue;
		more = meant ? text_format("%s or --%s", meant, options->name) :
			       text_format("--%s", options->name);
		free(meant);
		meant = more;
	}
	status = meant ? report_usage(report, "%.*s could mean %s", len, word, meant) :
			 report_usage(report, "%.*s is not an option of this command", len, word);
	free(meant);
	return status;
}

int report_option(struct report *report, const struct option *options, int c, char **argv)
{
	const char *word = argv[optind - 1];
	char letter[] = { '-', optopt, 0 };

	/* With several letters in a word, getopt may not have advanced optind. */
	if (optopt < 0 && argv[optind])
		word = argv[optind];	/* inside a multi-byte character */
	else if (strncmp(word, "--", 2) && optopt > 0 && optopt < 256)
		word = letter;
	if (c == ':')
		return report_usage(report, "%s needs a value", word);
	if (!strncmp(word, "--", 2))
		return refuse_long_option(report, options, word);
	return report_usage(report, "%s is not an option of this command", word);
}

int report_check_format(struct report *report, const char *format)
{
	if (report_knows_format(format))
		return -1;
	return report_usage(report, "-o takes text or json, not '%s'", format);
}

int report_help(struct report *report, const struct command *command)
{
	report->json = false;
	say_as_is(stdout, "usage: dmabuf-rw ");
	say_as_is(stdout, command->help);
	return STATUS_OK;
}

int report_end(struct report *report, int status)
{
	int err;

	if (report->json) {
		json_put_u64(report->root, "status", status);
		json_print(stdout, report->root);
	}
	json_object_put(report->root);
	report->root = NULL;
	err = end_of_output();
	if (!err)
		return status;
	say(stderr, "dmabuf-rw: standard output cannot be written: %s", strerror(err));
	return status == STATUS_OK ? STATUS_FAILED : status;
}
