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
	bool needed;		/* the library is unusable without it; else the field may be null */
};

struct gpu_library {
	const char *soname;
	const struct gpu_symbol *symbols;
	size_t nr;
	void *table;		/* only function pointers; static storage */
	size_t bytes;		/* size of @table */
	_Atomic(const void *) published;	/* @table, once it is filled, for good */
	_Atomic unsigned long long missed;	/* count of loads when it was missing; or 0 */
};

#define GPU_TABLE_BYTES	(64 * sizeof(void *))	/* maximum */

/*
 * The table, if the process has loaded the library; null: it has not, or the library lacks needed
 * functions. Cheap. The library stays loaded from then on.
 */
const void *gpu_library_find(struct gpu_library *library);
/* The same, but loads the library. */
const void *gpu_library_load(struct gpu_library *library);

#endif /* GPU_LIBRARY_H */
