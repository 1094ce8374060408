// SPDX-License-Identifier: MIT
/*
 * cmd_stat.c - dmabuf-rw stat: the system's bindings and the bytes that they have moved.
 *
 * The module counts for a binding since it was made, and for a drive since the module was loaded,
 * including bindings that have ended. --watch shows the change in the interval, per second; for a
 * new binding, since it was made.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bindings.h"
#include "mounts.h"
#include "options.h"
#include "totals.h"

struct question {
	bool watch, prometheus;
	double interval;	/* seconds */
	uint64_t count;		/* tables; 0: until interrupted */
	pid_t pid;		/* 0: all */
};

/* A snapshot. */
struct seen {
	struct bindings bindings;
	struct totals totals;
};

/* ---- text --------------------------------------------------------------------------- */

#define TABLE	"%7s %-15.15s %10s %10s %9s %-8s %-26s %s"

/* The change from @then to @now per second; @seconds 0: the whole change. */
static double rate(uint64_t now, uint64_t then, double seconds)
{
	/* The number decreases when the module is loaded anew. */
	const uint64_t added = now >= then ? now - then : now;

	return seconds > 0 ? added / seconds : now;
}

static void say_row(const struct bound *b, const struct bound *before, double seconds)
{
	const struct bound none = { 0 }, *then = before ? before : &none;
	char read[24], written[24], size[24], pid[16], transfers[24];
	char *buffer, *file;

	snprintf(pid, sizeof(pid), "%d", b->holders[0].pid);
	if (!b->told) {
		say(stdout, TABLE, pid, b->command ? b->command : "?", "?", "?", "?", "busy", "?",
		    "?");
		return;
	}
	size_format(rate(b->read_bytes, then->read_bytes, seconds), read, sizeof(read));
	size_format(rate(b->write_bytes, then->write_bytes, seconds), written, sizeof(written));
	snprintf(transfers, sizeof(transfers), "%.0f",
		 rate(b->reads + b->writes, then->reads + then->writes, seconds));
	size_format(b->buffer_bytes, size, sizeof(size));
	buffer = text_format("%s %s", b->bar ? b->bar : b->class ? b->class : "?", size);
	file = b->disk ? text_format("%s (%s)", b->file, b->disk) : NULL;
	say(stdout, TABLE, pid, b->command ? b->command : "?", read, written, transfers, b->state,
	    text_or_excuse(buffer), file ? file : b->file ? b->file : "?");
	free(buffer);
	free(file);
}

/* Prints lines only for numbers that are not 0. */
static void say_details(const struct bound *b)
{
	char *holders = NULL, *more;
	size_t i;

	if (b->errors || b->remaps || b->failovers)
		say(stdout, "        %llu errors, mapped again %llu times, %llu changes of path",
		    (unsigned long long)b->errors, (unsigned long long)b->remaps,
		    (unsigned long long)b->failovers);
	for (i = 1; i < b->nr_holders; i++) {
		if (b->holders[i].pid == b->holders[0].pid)
			continue;
		more = text_format("%s%s%d", holders ? holders : "", holders ? ", " : "",
				   b->holders[i].pid);
		free(holders);
		holders = more;
	}
	if (holders)
		say(stdout, "        also open in process %s", holders);
	free(holders);
}

/* A line for each drive that has been bound since the module was loaded. */
static void say_totals(const struct totals *now, const struct totals *then, double seconds)
{
	const char *per = seconds > 0 ? "/s" : "";
	char read[24], written[24];
	size_t i;

	for (i = 0; i < now->nr; i++) {
		const struct total none = { 0 }, *t = &now->drives[i];
		const struct total *old = then ? totals_of(then, t) : NULL;

		old = old ? old : &none;
		size_format(rate(t->read_bytes, old->read_bytes, seconds), read, sizeof(read));
		size_format(rate(t->write_bytes, old->write_bytes, seconds), written,
			    sizeof(written));
		say(stdout, "drive %s%s: %llu binding%s, read %s%s, written %s%s, "
		    "%.0f transfers%s, %.0f errors%s%s", t->name, t->gone ? " (gone)" : "",
		    (unsigned long long)t->bindings, t->bindings == 1 ? "" : "s", read, per,
		    written, per,
		    rate(t->reads + t->writes, old->reads + old->writes, seconds), per,
		    rate(t->errors, old->errors, seconds), per,
		    seconds > 0 ? "" : ", since the module was loaded");
	}
}

/* A line for each drive, in order of its first binding. */
static void say_drives(const struct bindings *now, const struct bindings *then, double seconds)
{
	char read[24], written[24];
	size_t i, j;

	for (i = 0; i < now->nr; i++) {
		const char *drive = now->bound[i].drive;
		double r = 0, w = 0;
		unsigned int nr = 0;

		for (j = 0; drive && j < now->nr; j++) {
			const struct bound *b = &now->bound[j];
			const struct bound *before = then ? bindings_with(then, b->id) : NULL;

			if (!b->drive || strcmp(b->drive, drive))
				continue;
			if (j < i)
				break;
			nr++;
			r += rate(b->read_bytes, before ? before->read_bytes : 0, seconds);
			w += rate(b->write_bytes, before ? before->write_bytes : 0, seconds);
		}
		if (nr)
			say(stdout, "drive %s: %u binding%s, read %s%s, written %s%s", drive, nr,
			    nr == 1 ? "" : "s", size_format(r, read, sizeof(read)),
			    seconds > 0 ? "/s" : "", size_format(w, written, sizeof(written)),
			    seconds > 0 ? "/s" : "");
	}
}

static void say_bindings(const struct bindings *now, const struct bindings *then, double seconds)
{
	size_t i;

	if (!now->nr) {
		say(stdout, "nothing is bound%s", now->unseen || now->hidden ?
		    ", as far as can be seen" : "");
		return;
	}
	say(stdout, TABLE, "PID", "COMMAND", seconds > 0 ? "READ/s" : "READ",
	    seconds > 0 ? "WRITTEN/s" : "WRITTEN", seconds > 0 ? "IO/s" : "IO", "STATE", "BUFFER",
	    "FILE");
	for (i = 0; i < now->nr; i++) {
		say_row(&now->bound[i], then ? bindings_with(then, now->bound[i].id) : NULL,
			seconds);
		say_details(&now->bound[i]);
	}
}

static void say_table(const struct seen *now, const struct seen *then, double seconds)
{
	const struct bindings *before = then ? &then->bindings : NULL;

	say_bindings(&now->bindings, before, seconds);
	/* With --pid, or with an older module, there are no totals. */
	if (now->totals.known)
		say_totals(&now->totals, then ? &then->totals : NULL, seconds);
	else
		say_drives(&now->bindings, before, seconds);
}

/* ---- JSON and Prometheus ------------------------------------------------------------ */

struct number {
	const char *name;
	const char *help;
	size_t offset;
};

#define NUMBER(field, text) { #field, text, offsetof(struct bound, field) }

static const struct number numbers[] = {
	NUMBER(reads, "Transfers from storage to the buffer."),
	NUMBER(read_bytes, "Bytes moved from storage to the buffer."),
	NUMBER(writes, "Transfers from the buffer to storage."),
	NUMBER(write_bytes, "Bytes moved from the buffer to storage."),
	NUMBER(errors, "Transfers that met an error."),
	NUMBER(remaps, "Times the buffer was mapped again after its exporter had moved it."),
	NUMBER(failovers, "Times a transfer moved to another path."),
};

#define TOTAL(field, text) { #field, text, offsetof(struct total, field) }

static const struct number totals[] = {
	TOTAL(reads, "Transfers from the drive to buffers since the module was loaded."),
	TOTAL(read_bytes, "Bytes moved from the drive to buffers since the module was loaded."),
	TOTAL(writes, "Transfers from buffers to the drive since the module was loaded."),
	TOTAL(write_bytes, "Bytes moved from buffers to the drive since the module was loaded."),
	TOTAL(errors, "Transfers that met an error since the module was loaded."),
};

/* @what: struct bound or struct total */
static uint64_t number_of(const void *what, const struct number *n)
{
	return *(const uint64_t *)((const char *)what + n->offset);
}

static struct json_object *json_of_bound(const struct bound *b)
{
	struct json_object *o = json_object_new_object(), *holders = json_object_new_array();
	size_t i;

	json_put_u64(o, "id", b->id);
	json_put_string(o, "command", b->command ? b->command : "?");
	for (i = 0; i < b->nr_holders; i++) {
		struct json_object *holder = json_object_new_object();

		json_put_u64(holder, "pid", b->holders[i].pid);
		json_put_u64(holder, "fd", b->holders[i].fd);
		json_object_array_add(holders, holder);
	}
	json_object_object_add(o, "holders", holders);
	json_put_bool(o, "known", b->told);
	if (!b->told)
		return o;
	json_put_string(o, "state", b->state);
	json_put_u64(o, "buffer_bytes", b->buffer_bytes);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		json_put_u64(o, numbers[i].name, number_of(b, &numbers[i]));
	if (b->class)
		json_put_string(o, "class", b->class);
	if (b->bar)
		json_put_string(o, "bar", b->bar);
	if (b->file)
		json_put_string(o, "file", b->file);
	if (b->disk)
		json_put_string(o, "disk", b->disk);
	if (b->drive)
		json_put_string(o, "drive", b->drive);
	return o;
}

static struct json_object *json_of_total(const struct total *t)
{
	struct json_object *o = json_object_new_object();
	size_t i;

	json_put_string(o, "disk", t->name);
	json_put_u64(o, "diskseq", t->diskseq);
	json_put_bool(o, "gone", t->gone);
	json_put_u64(o, "bindings", t->bindings);
	for (i = 0; i < ARRAY_SIZE(totals); i++)
		json_put_u64(o, totals[i].name, number_of(t, &totals[i]));
	return o;
}

static void put_json(struct report *report, const struct seen *seen)
{
	struct json_object *bindings = json_object_new_array(), *drives;
	const struct bindings *found = &seen->bindings;
	size_t i;

	for (i = 0; i < found->nr; i++)
		json_object_array_add(bindings, json_of_bound(&found->bound[i]));
	json_object_object_add(report->root, "bindings", bindings);
	json_put_u64(report->root, "unseen_processes", found->unseen);
	json_put_bool(report->root, "processes_hidden", found->hidden);
	if (!seen->totals.known)
		return;
	drives = json_object_new_array();
	for (i = 0; i < seen->totals.nr; i++)
		json_object_array_add(drives, json_of_total(&seen->totals.drives[i]));
	json_object_object_add(report->root, "drives", drives);
}

/*
 * A label's value: Prometheus, exposition formats, "Comments, help text, and type information".
 * Omits control characters and bytes that are not UTF-8.
 */
static char *escape(const char *text)
{
	char *out = malloc(2 * strlen(text) + 1), *to = out;
	size_t n;

	for (; out && *text; text += n ? n : 1) {
		n = utf8_length(text);
		if (*text == '\\' || *text == '"')
			*to++ = '\\';
		/* C1 controls are two bytes. */
		if (n && !iscntrl((unsigned char)*text) &&
		    !((unsigned char)*text == 0xc2 && (unsigned char)text[1] < 0xa0))
			to = mempcpy(to, text, n);
		else
			*to++ = '?';
	}
	if (out)
		*to = 0;
	return out;
}

static void say_sample(const struct bound *b, const struct number *n)
{
	char *command = escape(b->command ? b->command : "?");
	char *file = escape(b->file ? b->file : "?");

	say(stdout, "dmabuf_rw_%s_total{binding=\"%llu\",pid=\"%d\",command=\"%s\",file=\"%s\","
	    "drive=\"%s\"} %llu", n->name, (unsigned long long)b->id, b->holders[0].pid,
	    text_or_excuse(command), text_or_excuse(file), b->drive ? b->drive : "?",
	    (unsigned long long)number_of(b, n));
	free(command);
	free(file);
}

static void say_metric(const char *name, const char *kind, const char *help)
{
	say(stdout, "# HELP dmabuf_rw_%s %s", name, help);
	say(stdout, "# TYPE dmabuf_rw_%s %s", name, kind);
}

/* "device" is the usual label for numbers of a block device. */
static void say_prometheus_totals(const struct totals *found)
{
	char name[64];
	size_t i, j;

	if (!found->known)
		return;
	for (i = 0; i < ARRAY_SIZE(totals); i++) {
		snprintf(name, sizeof(name), "drive_%s_total", totals[i].name);
		say_metric(name, "counter", totals[i].help);
		for (j = 0; j < found->nr; j++)
			say(stdout, "dmabuf_rw_%s{device=\"%s\"} %llu", name,
			    found->drives[j].name,
			    (unsigned long long)number_of(&found->drives[j], &totals[i]));
	}
	say_metric("drive_bindings", "gauge", "Bindings that the drive has.");
	for (j = 0; j < found->nr; j++)
		say(stdout, "dmabuf_rw_drive_bindings{device=\"%s\"} %llu", found->drives[j].name,
		    (unsigned long long)found->drives[j].bindings);
}

static void say_prometheus(const struct bindings *found)
{
	char name[64];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		snprintf(name, sizeof(name), "%s_total", numbers[i].name);
		say_metric(name, "counter", numbers[i].help);
		for (j = 0; j < found->nr; j++)
			if (found->bound[j].told)
				say_sample(&found->bound[j], &numbers[i]);
	}
	say_metric("unseen_processes", "gauge", "Processes that may not be looked into.");
	say(stdout, "dmabuf_rw_unseen_processes %zu", found->unseen);
	say_metric("processes_hidden", "gauge", "1 if /proc hides the processes of others.");
	say(stdout, "dmabuf_rw_processes_hidden %d", found->hidden);
}

/* ---- the command -------------------------------------------------------------------- */

static int take_interval(struct report *report, const struct command_option *option, void *into,
			 const char *text)
{
	struct question *q = into;
	char *end;

	q->interval = strtod(text, &end);
	if (*text && !*end && q->interval >= 0.1 && q->interval <= 86400)
		return -1;
	return report_usage(report, "--%s takes a number from 0.1 to 86400, not '%s'",
			    option->name, text);
}

static const struct command_option options[] = {
	{ "watch", OPTION_FLAG, AT(struct question, watch) },
	{ "interval", OPTION_CALL, .take = take_interval },
	{ "count", OPTION_NUMBER, AT(struct question, count), .least = 1, .most = 1000000000 },
	{ "pid", OPTION_NUMBER, AT(struct question, pid), .least = 1, .most = INT32_MAX },
	{ "prometheus", OPTION_FLAG, AT(struct question, prometheus) },
	{ 0 }
};

static int refuse_argument(struct report *report, void *into, const char *text)
{
	(void)into;
	return report_usage(report, "'%s' is too much; --pid chooses a process", text);
}

static int parse(const struct command *command, struct report *report, struct question *q,
		 int argc, char **argv)
{
	int status = options_parse(command, report, q, argc, argv);

	if (status >= 0)
		return status;
	if (!q->watch && (q->count || q->interval))
		return report_usage(report, "--interval and --count are for --watch");
	if (q->watch && (q->prometheus || report->json))
		return report_usage(report, "--watch prints tables only; ask again for the others");
	if (q->prometheus && report->json)
		return report_usage(report, "--prometheus is a format of its own");
	q->interval = q->interval ? q->interval : 1;
	return -1;
}

static void forget(struct seen *seen)
{
	bindings_free(&seen->bindings);
	totals_free(&seen->totals);
}

static int find(struct report *report, const struct question *q, struct seen *seen)
{
	int ret = bindings_find("", q->pid, &seen->bindings);

	seen->totals = (struct totals){ 0 };
	if (!ret && !q->pid) {
		ret = totals_find("", &seen->totals);
		if (ret)
			bindings_free(&seen->bindings);
	}
	if (!ret)
		return STATUS_OK;
	if (ret == -ESRCH && proc_hides_processes(""))
		report_fail(report, "there is no process %d, or /proc hides it (hidepid): ask as "
			    "root", q->pid);
	else if (ret == -ESRCH)
		report_fail(report, "there is no process %d", q->pid);
	else
		report_fail(report, "/proc cannot be read: %s", strerror(-ret));
	return STATUS_FAILED;
}

/* Reports how many processes are not shown. */
static void note_unseen(const struct report *report, const struct bindings *found)
{
	if (found->unseen)
		report_note(report, "some processes are not yours to look into, as root's are: "
			    "what they have bound is not shown");
	if (found->hidden)
		report_note(report, "/proc hides the processes of others (hidepid): what they have "
			    "bound is not shown, unless you ask as root");
}

static int watch(struct report *report, const struct question *q)
{
	const time_t whole = q->interval;
	const struct timespec nap = { .tv_sec = whole,
				      .tv_nsec = (q->interval - whole) * 1e9 };
	volatile sig_atomic_t *stop = catch_signals();
	struct seen now, then;
	int64_t at, since = clock_ns();
	uint64_t tables = 0;
	int status = find(report, q, &then);

	if (status)
		return status;
	note_unseen(report, &then.bindings);
	while (!*stop && (!q->count || tables < q->count)) {
		nanosleep(&nap, NULL);
		if (*stop)
			break;
		status = find(report, q, &now);
		if (status)
			break;
		at = clock_ns();
		if (tables++)
			say(stdout, "%s", "");
		say_table(&now, &then, (at - since) / 1e9);
		if (fflush(stdout)) {
			report_fail(report, "standard output cannot be written: %s",
				    strerror(errno));
			status = STATUS_FAILED;
		}
		forget(&then);
		then = now;
		since = at;
		if (status)
			break;
	}
	forget(&then);
	return status;
}

static int run_stat(const struct command *command, struct report *report, int argc, char **argv)
{
	struct question q = { 0 };
	struct seen seen;
	int status = parse(command, report, &q, argc, argv);

	if (status >= 0)
		return status;
	if (q.watch)
		return watch(report, &q);
	status = find(report, &q, &seen);
	if (status)
		return status;
	if (q.prometheus) {
		say_prometheus(&seen.bindings);
		say_prometheus_totals(&seen.totals);
	} else if (report->json) {
		put_json(report, &seen);
	} else {
		say_table(&seen, NULL, 0);
	}
	if (!q.prometheus)
		note_unseen(report, &seen.bindings);
	forget(&seen);
	return STATUS_OK;
}

const struct command cmd_stat = {
	.name = "stat",
	.summary = "show who has bound what, and what has gone through it",
	.help = "stat [OPTION...]\n"
		"\n"
		"Prints a line for each binding of the processes that the caller may look into: "
		"bytes and\n"
		"transfers since it was made, its buffer, its file; and a line for each drive, "
		"with all\n"
		"that has gone through it since the module was loaded, which everybody may see. "
		"These\n"
		"transfers are not in the drive's own counters, so iostat does not show them.\n"
		"\n"
		"  --watch            a table again and again, of what was added, by the second\n"
		"  --interval SECONDS between two of them (1)\n"
		"  --count N          tables, and then end\n"
		"  --pid PID          of this process only; without totals\n"
		"  --prometheus       in Prometheus' text format, for a collector\n"
		"  -o, --output FORMAT  text or json\n"
		"\n"
		"Exit status: 0, 1 failed, 2 wrong usage.\n",
	.options = options,
	.argument = refuse_argument,
	.run = run_stat,
};
