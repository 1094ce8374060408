/* SPDX-License-Identifier: MIT */
/*
 * totals.h - the totals of each drive since the module was loaded, from the module's files in
 * sysfs, which everyone may read. docs/observe.md describes them.
 */
#ifndef TOOLS_TOTALS_H
#define TOOLS_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct total - the totals of a drive
 * @name:	of the disk
 * @gone:	the disk no longer exists
 * @diskseq:	its sequence number, unique until the next boot
 * @bindings:	current number
 */
struct total {
	char *name;
	bool gone;
	uint64_t diskseq, bindings;
	uint64_t reads, read_bytes, writes, write_bytes, errors;
};

/**
 * struct totals - the totals of all drives that have been bound, sorted by name
 * @known:	false: no module, or one without totals
 */
struct totals {
	struct total *drives;
	size_t nr;
	bool known;
};

/* @root: see sysfs.h. 0 or -ENOMEM. */
int totals_find(const char *root, struct totals *found);
void totals_free(struct totals *found);
/* The same disk in another snapshot; null: not in it. */
const struct total *totals_of(const struct totals *found, const struct total *drive);

#endif
