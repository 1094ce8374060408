/* SPDX-License-Identifier: MIT */
/*
 * totals.h - what has gone through each drive since the module was loaded, by the files that it
 * has in sysfs for that; everybody may read them. docs/observe.md describes them.
 */
#ifndef TOOLS_TOTALS_H
#define TOOLS_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct total - of a drive
 * @name:	the disk's
 * @gone:	the disk of which the numbers are is not there any more
 * @diskseq:	its number, which no other disk has before the next boot
 * @bindings:	that it has now
 */
struct total {
	char *name;
	bool gone;
	uint64_t diskseq, bindings;
	uint64_t reads, read_bytes, writes, write_bytes, errors;
};

/**
 * struct totals - of all drives that have been bound, in order of their names
 * @known:	false: the module is not there, or tells of no drive
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
