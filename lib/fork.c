// SPDX-License-Identifier: MIT
/*
 * fork.c - detects that this process is a child of the one that made an object.
 *
 * A child inherits descriptors and memory, but neither threads nor the kernel's knowledge of
 * memory: pages registered with an io_uring stay the parent's. So each object with such state
 * keeps the number of the process that made it, and compares.
 *
 * The number is in a page that the kernel wipes in a child (MADV_WIPEONFORK), also in one that was
 * not made by fork(3). A process that finds the page wiped takes the next number. So numbers differ
 * only along a line of descent, which is enough: a process has objects of its ancestors only.
 *
 * fork(3) closes in the child the descriptors that are useless there: while a child has them open,
 * its parent cannot free the objects behind them. Those of bindings and dma-bufs stay.
 *
 * Thread-safety: the number is atomic. "lock" protects the list; it is below the pool's. fork()
 * takes both, so that a child finds the data under them consistent.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private.h"

struct wiped {
	_Atomic uint64_t number;	/* 0: just wiped */
};

static struct wiped *page;		/* set once; null: there is none */
static _Atomic uint64_t last;		/* last number taken in this line of descent */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dmabuf_rw_private_fd *private_fds;	/* protected by @lock */

static void before_fork(void)
{
	dmabuf_rw_pool_before_fork();
	pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&lock);
	dmabuf_rw_pool_after_fork();
}

static void after_fork_in_child(void)
{
	struct dmabuf_rw_private_fd *p;

	while ((p = private_fds)) {
		private_fds = p->next;
		close(p->fd);
		p->fd = -1;
	}
	pthread_mutex_unlock(&lock);
	dmabuf_rw_pool_after_fork();
	dmabuf_rw_scratch_after_fork();
}

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
	if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child)) {
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

void dmabuf_rw_private_fd_add(struct dmabuf_rw_private_fd *p, int fd)
{
	sigset_t old;

	p->fd = fd;
	p->process = dmabuf_rw_process();
	p->prev = NULL;
	dmabuf_rw_lock_for_fork(&lock, &old);
	p->next = private_fds;
	if (private_fds)
		private_fds->prev = p;
	private_fds = p;
	dmabuf_rw_unlock_for_fork(&lock, &old);
}

void dmabuf_rw_private_fd_drop(struct dmabuf_rw_private_fd *p)
{
	sigset_t old;

	/* A child of fork(3) has emptied the list. */
	if (p->fd < 0)
		return;
	dmabuf_rw_lock_for_fork(&lock, &old);
	if (p->prev)
		p->prev->next = p->next;
	else
		private_fds = p->next;
	if (p->next)
		p->next->prev = p->prev;
	dmabuf_rw_unlock_for_fork(&lock, &old);
	/* Another kind of child has not. */
	if (p->process != dmabuf_rw_process())
		close(p->fd);
	p->fd = -1;
}
