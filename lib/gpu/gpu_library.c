// SPDX-License-Identifier: MIT
/*
 * gpu_library.c - finds a vendor's library that the process has already loaded, or loads it.
 *
 * Thread-safety: each thread that finds no table fills one of its own; the first to finish
 * publishes it, and it does not change afterwards. The loader is not called under "lock": it has a
 * lock of its own, under which it runs constructors, and these may call functions of this file. The
 * library stays loaded through the reference of dlopen().
 *
 * A process that uses one vendor looks for the other's library in each transfer. So a missing
 * library is looked for again only after the process has loaded another object.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

#include "gpu_library.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool fill_table(const struct gpu_library *library, void *handle, char *table)
{
	size_t i;

	for (i = 0; i < library->nr; i++) {
		const struct gpu_symbol *symbol = &library->symbols[i];
		void *function = dlsym(handle, symbol->name);

		if (!function && symbol->needed)
			return false;
		memcpy(table + symbol->at, &function, sizeof(function));
	}
	return true;
}

static int take_loads(struct dl_phdr_info *info, size_t size, void *loads)
{
	(void)size;
	*(unsigned long long *)loads = info->dlpi_adds;
	return 1;
}

/* Number of objects that the process has ever loaded; never 0. */
static unsigned long long count_loads(void)
{
	unsigned long long loads = 1;

	dl_iterate_phdr(take_loads, &loads);
	return loads;
}

static const void *find(struct gpu_library *library, int flags)
{
	const void *table = atomic_load_explicit(&library->published, memory_order_acquire);
	char found[GPU_TABLE_BYTES] = { 0 };
	void *handle;

	if (table)
		return table;
	handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL | flags);
	if (!handle)
		return NULL;
	if (!fill_table(library, handle, found)) {
		dlclose(handle);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	if (!atomic_load(&library->published)) {
		memcpy(library->table, found, library->bytes);
		atomic_store_explicit(&library->published, library->table, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return library->table;
}

const void *gpu_library_find(struct gpu_library *library)
{
	const void *table = atomic_load_explicit(&library->published, memory_order_acquire);
	unsigned long long loads;

	if (table)
		return table;
	loads = count_loads();
	if (atomic_load(&library->missed) == loads)
		return NULL;
	table = find(library, RTLD_NOLOAD);
	if (!table)
		atomic_store(&library->missed, loads);
	return table;
}

const void *gpu_library_load(struct gpu_library *library)
{
	return find(library, 0);
}
