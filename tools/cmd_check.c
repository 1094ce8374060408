// SPDX-License-Identifier: MIT
/*
 * cmd_check.c - dmabuf-rw check: whether transfers will go direct, by which way, and what prevents
 * it; with --canary, whether bytes arrive. See cmd_check.h.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cmd_check.h"
#include "options.h"

struct question {
	const char **names;
	unsigned int nr;
	const char *buffer;
	struct buffer_spec spec;
	uint64_t bind_flags;
	uint32_t way;
	bool canary, ranged, memory_ranged;
	struct canary_range range, memory;
};

static int add_argument(struct report *report, void *into, const char *text)
{
	struct question *q = into;

	if (!*text)
		return report_usage(report, "the name of the file is empty");
	if (!buffer_is_name(text)) {
		q->names[q->nr++] = text;
		return -1;
	}
	if (q->buffer)
		return report_usage(report, "'%s' is one buffer too many", text);
	q->buffer = text;
	return -1;
}

static int take_range(struct report *report, const struct command_option *option, void *into,
		      const char *text)
{
	struct canary_range *range = (void *)((char *)into + option->at);

	if (!size_parse_range(text, &range->off, &range->len) && range->len)
		return -1;
	return report_usage(report, "--%s takes OFFSET:LENGTH, not '%s'", option->name, text);
}

static const struct command_option options[] = {
	{ "canary", OPTION_FLAG, AT(struct question, canary) },
	{ "range", OPTION_CALL, AT(struct question, range), .take = take_range,
	  .given = offsetof(struct question, ranged) },
	{ "buffer-range", OPTION_CALL, AT(struct question, memory), .take = take_range,
	  .given = offsetof(struct question, memory_ranged) },
	DIRECT_BIND_OPTIONS(struct question),
	{ 0 }
};

/* Checks the arguments against each other. */
static int check_usage(struct report *report, struct question *q)
{
	int status = q->buffer ? session_parse_buffer(report, q->buffer, &q->spec) : STATUS_OK;

	if (status)
		return status;
	if (!q->canary && (q->ranged || q->memory_ranged))
		return report_usage(report, "--range and --buffer-range are for --canary");
	if (!q->canary)
		return -1;
	if (q->nr != 1)
		return report_usage(report, "--canary takes one directory, file or disk");
	if (!q->buffer)
		return report_usage(report, "--canary takes a buffer, whose contents are lost");
	return check_canary_usage(report, q->names[0], q->ranged);
}

/* Opens the buffer or a page of memory; if that fails, the other facts are still reported. */
static void open_buffer(struct check *c, const struct question *q)
{
	struct session *s = &c->session;
	char *why = NULL, size[24];
	struct json_object *o;
	int ret;

	if (!q->buffer && !q->nr)
		return;
	s->buffer_name = q->buffer;
	ret = q->buffer ? buffer_open(&s->buffer, &q->spec, &why) :
			  pair_open_some_buffer(s, &why);
	if (ret) {
		fact(&c->facts, "buffer", FACT_UNKNOWN, q->buffer ? NULL : "name one", "%s: %s",
		     q->buffer ? q->buffer : "there is none to try it with", text_or_excuse(why));
		c->unknown = true;
		free(why);
		return;
	}
	o = fact(&c->facts, "buffer", FACT_INFO, NULL, "%s: %s%s", s->buffer_name,
		 size_format(s->buffer.size, size, sizeof(size)),
		 q->buffer ? "" : ", a page of system memory to try with, as no buffer was named");
	json_put_string(o, "name", s->buffer_name);
	json_put_u64(o, "bytes", s->buffer.size);
}

/* The exit status. */
static int status_of(const struct check *c)
{
	if (c->no)
		return STATUS_REFUSED;
	return c->unknown ? STATUS_FAILED : STATUS_OK;
}

static int run_all(struct check *c, const struct question *q)
{
	unsigned int i;

	check_machine(c);
	open_buffer(c, q);
	for (i = 0; i < q->nr; i++)
		check_name(c, q->names[i]);
	if (!q->nr)
		c->no = !c->module && !c->kernel_way;
	if (!q->canary)
		return status_of(c);
	if (c->no || c->no_scratch || c->session.buffer.fd < 0) {
		fact(&c->facts, "canary", FACT_INFO, NULL, "not let loose, as is said above why");
		return status_of(c);
	}
	/* The canary's result decides. */
	return check_canary(c, q->names[0], &q->range, &q->memory);
}

static int run_check(const struct command *command, struct report *report, int argc, char **argv)
{
	struct question q = { .names = calloc(argc, sizeof(*q.names)) };
	struct check c = { .root = "", .report = report, .scratch = -1 };
	int status = q.names ? options_parse(command, report, &q, argc, argv) : STATUS_FAILED;

	if (status < 0)
		status = check_usage(report, &q);
	if (status < 0) {
		session_init(&c.session);
		c.session.ways = q.way;
		c.bind_flags = q.bind_flags;
		c.canary = q.canary;
		facts_begin(&c.facts, report);
		status = run_all(&c, &q);
		json_put_bool(report->root, "direct", status == STATUS_OK);
		if (status && report->json)
			report_fail(report, status == STATUS_REFUSED ? "it will not go direct" :
				    status == STATUS_MISMATCH ? "the canary found a difference" :
				    status == STATUS_INTERRUPTED ? "interrupted" :
				    "not everything could be found out");
		if (c.scratch >= 0)
			close(c.scratch);
		session_close(&c.session);
	}
	free(q.names);
	return status;
}

const struct command cmd_check = {
	.name = "check",
	.summary = "say what is as it should be and what is not; prove that bytes arrive",
	.help = "check [DIRECTORY|FILE|DISK]... [BUFFER] [OPTION...]\n"
		"\n"
		"Prints a line for each fact that decides whether transfers go direct: module, "
		"kernel,\n"
		"rights, drive, file system, IOMMU, the route from the drive to the buffer; with "
		"what to\n"
		"do where it is not as it should be. \"ok\" is good, \"NO\" is in the way, "
		"\"note\" could be\n"
		"better, \"?\" cannot be known, mostly by this user, \"-\" is neither. Nothing is "
		"written.\n"
		"\n"
		"  --canary                 write and read, and see that every byte arrives: in a "
		"file\n"
		"                           of its own in DIRECTORY, or in a range of FILE or "
		"DISK; what\n"
		"                           is there, and in BUFFER, is lost\n"
		"  --range OFFSET:LENGTH    what of FILE or DISK may be lost\n"
		"  --buffer-range OFFSET:LENGTH  what of BUFFER may be lost (default: all)\n"
		"  --require-device-memory  refuse unless the buffer lies in PCI BARs\n"
		"  --trust-addresses        take addresses that the kernel cannot vouch for\n"
		"  --way WAY                only by the module, or the kernel\n"
		"  -o, --output FORMAT      text or json\n"
		"\n"
		"Exit status: 0 all of it will go direct, 1 something could not be found out, 2 "
		"wrong\n"
		"usage, 3 something will not go direct, 4 the canary found a difference, 130 "
		"interrupted.\n",
	.options = options,
	.argument = add_argument,
	.run = run_check,
};
