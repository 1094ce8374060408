// SPDX-License-Identifier: MIT
/*
 * fork.c - noticing that this process is a child of the one that made an object.
 *
 * A child inherits descriptors and memory, but neither threads nor what the kernel has been
 * told about memory: pages that are registered with an io_uring stay the parent's. So each
 * object that has such state keeps the number of the process that made it, and compares.
 *
 * The number is in a page that the kernel wipes in a child (MADV_WIPEONFORK), which also
 * notices a child that came about without fork(3). A process that finds the page wiped takes
 * the next number. So numbers differ along a line of descent, and that is enough: nobody
 * meets objects of anybody but ancestors.
 *
 * Thread-safety: atomic.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "private.h"

struct wiped {
	_Atomic uint64_t number;	/* 0: just wiped */
};

static struct wiped *page;		/* does not change once it is set; null: there is none */
static _Atomic uint64_t last;		/* number taken in this line of descent */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_page(void)
{
	size_t bytes = sysconf(_SC_PAGESIZE);
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	if (map == MAP_FAILED)
		return;
	if (madvise(map, bytes, MADV_WIPEONFORK)) {
		munmap(map, bytes);
		return;
	}
	page = map;
}

uint64_t dmabuf_rw_process(void)
{
	uint64_t number, next;

	pthread_once(&once, make_page);
	if (!page)
		return 0;
	number = atomic_load(&page->number);
	if (number)
		return number;
	next = atomic_fetch_add(&last, 1) + 1;
	return atomic_compare_exchange_strong(&page->number, &number, next) ? next : number;
}
