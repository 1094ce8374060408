/* SPDX-License-Identifier: MIT */
/* gpu_library.h - finds a vendor's library and fills a table of its functions; not installed. */
#ifndef GPU_LIBRARY_H
#define GPU_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct gpu_symbol {
	size_t at;		/* in the table */
	const char *name;
	bool needed;		/* without it the library is of no use; else the field is null */
};

struct gpu_library {
	const char *soname;
	const struct gpu_symbol *symbols;
	size_t nr;
	void *table;		/* pointers to functions and nothing else; static storage */
	size_t bytes;		/* of it */
	_Atomic(const void *) published;	/* @table, when it is filled, for good */
	_Atomic unsigned long long missed;	/* so much was loaded when it was not there; or 0 */
};

#define GPU_TABLE_BYTES	(64 * sizeof(void *))	/* at most */

/*
 * The table, if the process has the library already; null: it has none, or one without what is
 * needed. Cheap. The library stays loaded from then on.
 */
const void *gpu_library_find(struct gpu_library *library);
/* The same, but loads the library. Null: there is none, or it lacks what is needed. */
const void *gpu_library_load(struct gpu_library *library);

#endif /* GPU_LIBRARY_H */
