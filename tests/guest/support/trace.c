// SPDX-License-Identifier: GPL-2.0
/*
 * trace.c - the commands that a drive was given; see trace.h.
 *
 * The lines read (drivers/nvme/host/trace.h):
 *
 *   TASK-PID [CPU] FLAGS TIME: nvme_setup_cmd: nvme0: disk=nvme0n1, qid=1, ...,
 *	cmd=(nvme_cmd_read slba=32768, len=7, ctrl=0x0, dsmgmt=0, reftag=0)
 *   TASK-PID [CPU] FLAGS TIME: nvme_complete_rq: nvme0: disk=nvme0n1, qid=1, ...
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "trace.h"

#define TRACING		"/sys/kernel/tracing"
#define EVENTS		TRACING "/events/nvme"

static char of_disk[48];

void trace_start(const struct disk *disk)
{
	if (access(TRACING "/trace", F_OK))
		sh("mount -t tracefs none " TRACING);
	if (access(EVENTS "/nvme_setup_cmd/enable", F_OK))
		skip("this kernel has no trace event nvme:nvme_setup_cmd");
	snprintf(of_disk, sizeof(of_disk), " disk=%s, ", disk->name);
	OK(spit("0", TRACING "/tracing_on"));
	/* Times of two processors can be compared only if they are no times. */
	OK(spit("counter", TRACING "/trace_clock"));
	/* What is there from before. */
	close(SYS(open(TRACING "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC)));
	OK(spit("1", EVENTS "/nvme_setup_cmd/enable"));
	OK(spit("1", EVENTS "/nvme_complete_rq/enable"));
	OK(spit("1", TRACING "/tracing_on"));
}

static u64 number(const char *line, const char *name)
{
	const char *p = strstr(line, name);

	CHECK(p, "no %s in: %s", name, line);
	return strtoull(p + strlen(name), NULL, 0);
}

static int task_of(const char *line)
{
	const char *p = strstr(line, " [");

	CHECK(p, "%s", line);
	while (p > line && p[-1] != '-')
		p--;
	return atoi(p);
}

static bool parse(const char *line, struct trace_event *e)
{
	bool read = strstr(line, "(nvme_cmd_read "), write = strstr(line, "(nvme_cmd_write ");

	if (!strstr(line, of_disk))
		return false;
	*e = (struct trace_event){ .task = task_of(line), .write = write };
	if (strstr(line, " nvme_complete_rq: ")) {
		e->end = true;
		return true;
	}
	if (!read && !write)
		return false;
	e->lba = number(line, "slba=");
	e->blocks = number(line, " len=") + 1;
	e->control = number(line, " ctrl=");
	return true;
}

unsigned int trace_stop(struct trace_event *events, unsigned int max)
{
	struct trace_event event;
	unsigned int nr = 0;
	char line[512];
	FILE *f;

	OK(spit("0", TRACING "/tracing_on"));
	OK(spit("0", EVENTS "/nvme_setup_cmd/enable"));
	OK(spit("0", EVENTS "/nvme_complete_rq/enable"));
	f = fopen(TRACING "/trace", "r");
	CHECK(f, "%s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (!parse(line, &event))
			continue;
		CHECK(nr < max, "more than %u events", max);
		events[nr++] = event;
	}
	fclose(f);
	OK(spit("local", TRACING "/trace_clock"));
	return nr;
}

unsigned int trace_count(const struct trace_event *events, unsigned int nr, bool write)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < nr; i++)
		count += !events[i].end && events[i].write == write;
	return count;
}
