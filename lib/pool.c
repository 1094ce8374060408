// SPDX-License-Identifier: MIT
/*
 * pool.c - the memory that transfers bounce through, one pool for the whole process.
 *
 * Vocabulary
 *   lane		some memory, divided into chunks, and an io_uring with which it is
 *		registered, so that it is locked down; serves one transfer at a time
 *   running	a lane that a transfer has
 *   idle	one that is kept for the next
 *
 * A process has as many lanes as transfers bounce at the same time, whatever the number of its
 * bindings: when a transfer ends, its lane is kept if no more are idle than run. The last one
 * is kept until nothing is left that could bounce.
 *
 * Fork. A child has nothing of its parent's lanes: their memory and rings are not even mapped
 * there (MADV_DONTFORK), since the kernel knows them as the parent's.
 *
 * Lock: "lock" guards everything that is static here and the list, and is not held during I/O.
 * fork() takes it, so that a child finds the list whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <liburing.h>

#include "private.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* By @lock. */
static struct dmabuf_rw_lane *lanes;	/* all of this process */
static unsigned int nr_running, nr_idle;
static unsigned int holders;
static uint64_t process;		/* whose lanes they are */

static _Atomic bool without_rings;

static void link_lane(struct dmabuf_rw_lane *lane)
{
	lane->prev = NULL;
	lane->next = lanes;
	if (lanes)
		lanes->prev = lane;
	lanes = lane;
}

static void unlink_lane(struct dmabuf_rw_lane *lane)
{
	if (lane->prev)
		lane->prev->next = lane->next;
	else
		lanes = lane->next;
	if (lane->next)
		lane->next->prev = lane->prev;
}

static size_t lane_bytes(const struct dmabuf_rw_lane *lane)
{
	return (size_t)lane->depth * lane->chunk;
}

static void lane_free(struct dmabuf_rw_lane *lane)
{
	/* The kernel ends a ring some time after it was closed, and unlocks the memory then. */
	if (lane->registered)
		io_uring_unregister_buffers(lane->ring);
	if (lane->ring) {
		dmabuf_rw_private_fd_drop(&lane->ring_fd);
		io_uring_queue_exit(lane->ring);
	}
	munmap(lane->memory, lane_bytes(lane));
	free(lane->ring);
	free(lane);
}

/* Without io_uring, or over the limit of locked memory, all works, but slower. */
static void make_ring(struct dmabuf_rw_lane *lane)
{
	struct io_uring_params params = { 0 };
	struct iovec memory = { lane->memory, lane_bytes(lane) };
	struct io_uring *ring = calloc(1, sizeof(*ring));
	int ret = -ENOMEM;

	if (without_rings) {
		free(ring);
		return;
	}
	if (!ring)
		goto none;
	ret = io_uring_queue_init_params(lane->depth, ring, &params);
	if (ret)
		goto free_ring;
	if (io_uring_ring_dontfork(ring) || dmabuf_rw_ring_above_std(ring)) {
		ret = -ENOMEM;
		io_uring_queue_exit(ring);
		goto free_ring;
	}
	dmabuf_rw_private_fd_add(&lane->ring_fd, ring->ring_fd);
	lane->ring = ring;
	lane->registered = !io_uring_register_buffers(ring, &memory, 1);
	return;

free_ring:
	free(ring);
none:
	/* The next one may have one again. */
	lane->broken = !dmabuf_rw_ring_is_forbidden(ret);
}

static struct dmabuf_rw_lane *lane_new(uint32_t depth, uint32_t chunk)
{
	struct dmabuf_rw_lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return NULL;
	lane->depth = depth;
	lane->chunk = chunk;
	lane->memory = mmap(NULL, lane_bytes(lane), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lane->memory == MAP_FAILED)
		goto free_lane;
	if (madvise(lane->memory, lane_bytes(lane), MADV_DONTFORK))
		goto unmap;
	make_ring(lane);
	return lane;

unmap:
	munmap(lane->memory, lane_bytes(lane));
free_lane:
	free(lane);
	return NULL;
}

/* The parent's lanes, in a child. */
static void forget_inherited_locked(void)
{
	struct dmabuf_rw_lane *lane;

	if (process == dmabuf_rw_process())
		return;
	while ((lane = lanes)) {
		unlink_lane(lane);
		if (lane->ring)
			dmabuf_rw_private_fd_drop(&lane->ring_fd);
		free(lane->ring);
		free(lane);
	}
	nr_running = nr_idle = 0;
	process = dmabuf_rw_process();
}

void dmabuf_rw_pool_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void dmabuf_rw_pool_after_fork(void)
{
	forget_inherited_locked();
	pthread_mutex_unlock(&lock);
}

void dmabuf_rw_pool_without_rings(void)
{
	without_rings = true;
}

bool dmabuf_rw_pool_has_rings(void)
{
	return !without_rings;
}

int dmabuf_rw_pool_hold(void)
{
	sigset_t old;

	if (!dmabuf_rw_process())
		return -ENOMEM;
	dmabuf_rw_lock_for_fork(&lock, &old);
	holders++;
	dmabuf_rw_unlock_for_fork(&lock, &old);
	return 0;
}

/* Takes idle lanes out of the list, least recently used first, until @most are left. */
static struct dmabuf_rw_lane *trim_locked(unsigned int most)
{
	struct dmabuf_rw_lane *lane, *last = NULL, *out = NULL;

	while (nr_idle > most) {
		for (lane = lanes; lane; lane = lane->next)
			if (lane->idle)
				last = lane;
		unlink_lane(last);
		nr_idle--;
		last->next = out;
		out = last;
	}
	return out;
}

static void free_all(struct dmabuf_rw_lane *list)
{
	struct dmabuf_rw_lane *lane;

	while ((lane = list)) {
		list = lane->next;
		lane_free(lane);
	}
}

void dmabuf_rw_pool_drop(void)
{
	struct dmabuf_rw_lane *list = NULL;
	sigset_t old;

	dmabuf_rw_lock_for_fork(&lock, &old);
	forget_inherited_locked();
	if (!--holders)
		list = trim_locked(0);
	dmabuf_rw_unlock_for_fork(&lock, &old);
	free_all(list);
}

struct dmabuf_rw_lane *dmabuf_rw_lane_get(uint32_t depth, uint32_t chunk)
{
	struct dmabuf_rw_lane *lane;
	sigset_t old;

	dmabuf_rw_lock_for_fork(&lock, &old);
	forget_inherited_locked();
	for (lane = lanes; lane; lane = lane->next)
		if (lane->idle && lane->depth == depth && lane->chunk == chunk)
			break;
	if (lane) {
		lane->idle = false;
		nr_idle--;
		nr_running++;
	}
	dmabuf_rw_unlock_for_fork(&lock, &old);
	if (lane) {
		memset(lane->window, 0, sizeof(lane->window));
		return lane;
	}

	lane = lane_new(depth, chunk);
	if (!lane)
		return NULL;
	dmabuf_rw_lock_for_fork(&lock, &old);
	link_lane(lane);
	nr_running++;
	dmabuf_rw_unlock_for_fork(&lock, &old);
	return lane;
}

void dmabuf_rw_lane_put(struct dmabuf_rw_lane *lane)
{
	struct dmabuf_rw_lane *list;
	sigset_t old;

	dmabuf_rw_lock_for_fork(&lock, &old);
	nr_running--;
	unlink_lane(lane);
	if (!lane->broken) {
		link_lane(lane);
		lane->idle = true;
		nr_idle++;
	}
	list = trim_locked(nr_running ? nr_running : 1);
	if (lane->broken) {
		lane->next = list;
		list = lane;
	}
	dmabuf_rw_unlock_for_fork(&lock, &old);
	free_all(list);
}
