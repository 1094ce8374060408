/* SPDX-License-Identifier: GPL-2.0 */
/*
 * trace.h - the commands that a drive was given, as the NVMe driver's trace events tell it.
 *
 * Only those of the disk itself: what is asked of a multipath head is told of its paths.
 */
#ifndef TRACE_H
#define TRACE_H

#include "disk.h"
#include "harness.h"

/**
 * struct trace_event - a command has been made, or has ended
 * @end:	it has ended, and nothing else is known of it
 * @task:	in whose context, as gettid() tells it; interrupts have that of whom they met
 * @write:	a Write command, else Read
 * @lba:	the first one
 * @blocks:	how many
 * @control:	upper half of dword 12
 */
struct trace_event {
	bool end;
	int task;
	bool write;
	u64 lba;
	u32 blocks;
	u32 control;
};

/* Begin; skips the test where the kernel has no such events. */
void trace_start(const struct disk *disk);
/* End; how many events there are now in @events, in their order. More than @max fail the test. */
unsigned int trace_stop(struct trace_event *events, unsigned int max);

/* What was made of those: Read or Write commands. */
unsigned int trace_count(const struct trace_event *events, unsigned int nr, bool write);

#endif
