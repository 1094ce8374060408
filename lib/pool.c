// SPDX-License-Identifier: MIT
/*
 * pool.c - rings, each with a registered buffer. The process has one pool for the memory that
 * transfers bounce through; each kernel binding has one for its buffer.
 *
 * Vocabulary
 *   lane	an io_uring with buffer 0 registered: either memory that is divided into chunks, and
 *		locked by the registration, or a dma-buf; serves one transfer at a time
 *   running	a lane in use by a transfer
 *   idle	a lane kept for the next transfer
 *
 * A pool has as many lanes as transfers run at the same time: when a transfer ends, its lane is
 * kept unless more are idle than running. The last one is kept until the pool has no user. Each
 * lane maps the dma-buf once more, so that kind of pool has a limit; further transfers wait for
 * "room", and a signal ends that wait.
 *
 * Fork. A child does not inherit lanes: their memory and rings are not even mapped there
 * (MADV_DONTFORK), since the kernel has registered them for the parent.
 *
 * Lock: "lock" protects everything static here and the lists. It is not held during I/O or while
 * waiting for room. fork() takes it, so that a child finds the lists consistent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <liburing.h>

#include "private.h"
#include "uring_dmabuf.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Protected by @lock. */
static struct dmabuf_rw_pool memory = { .dmabuf_fd = -1 };
static unsigned int holders;

static _Atomic bool without_rings;

static void link_lane(struct dmabuf_rw_pool *pool, struct dmabuf_rw_lane *lane)
{
	lane->prev = NULL;
	lane->next = pool->lanes;
	if (pool->lanes)
		pool->lanes->prev = lane;
	pool->lanes = lane;
}

static void unlink_lane(struct dmabuf_rw_pool *pool, struct dmabuf_rw_lane *lane)
{
	if (lane->prev)
		lane->prev->next = lane->next;
	else
		pool->lanes = lane->next;
	if (lane->next)
		lane->next->prev = lane->prev;
}

static size_t lane_bytes(const struct dmabuf_rw_lane *lane)
{
	return (size_t)lane->depth * lane->chunk;
}

static void lane_free(struct dmabuf_rw_lane *lane)
{
	/* The kernel frees a ring some time after its close, and only then unpins the buffer. */
	if (lane->registered)
		io_uring_unregister_buffers(lane->ring);
	if (lane->ring) {
		dmabuf_rw_private_fd_drop(&lane->ring_fd);
		io_uring_queue_exit(lane->ring);
	}
	if (lane->memory)
		munmap(lane->memory, lane_bytes(lane));
	free(lane->ring);
	free(lane);
}

/* 0 or -errno. */
static int make_ring(struct dmabuf_rw_lane *lane)
{
	struct io_uring_params params = { 0 };
	struct io_uring *ring = calloc(1, sizeof(*ring));
	int ret;

	if (!ring)
		return -ENOMEM;
	ret = io_uring_queue_init_params(lane->depth, ring, &params);
	if (!ret && (io_uring_ring_dontfork(ring) || dmabuf_rw_ring_above_std(ring))) {
		ret = -ENOMEM;
		io_uring_queue_exit(ring);
	}
	if (ret) {
		free(ring);
		return ret;
	}
	dmabuf_rw_private_fd_add(&lane->ring_fd, ring->ring_fd);
	lane->ring = ring;
	return 0;
}

/* 0 or -errno. */
static int add_memory(struct dmabuf_rw_lane *lane)
{
	struct iovec iov = { .iov_len = lane_bytes(lane) };
	int ret;

	iov.iov_base = mmap(NULL, iov.iov_len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (iov.iov_base == MAP_FAILED)
		return -ENOMEM;
	lane->memory = iov.iov_base;
	if (madvise(iov.iov_base, iov.iov_len, MADV_DONTFORK))
		return -ENOMEM;
	/* Without io_uring, or above the limit of locked memory, it works, but slower. */
	if (without_rings)
		return 0;
	ret = make_ring(lane);
	if (!ret)
		lane->registered = !io_uring_register_buffers(lane->ring, &iov, 1);
	else
		/* The next lane may get a ring again. */
		lane->broken = !dmabuf_rw_ring_is_forbidden(ret);
	return 0;
}

/* 0 or -errno. */
static int add_dmabuf(struct dmabuf_rw_lane *lane, const struct dmabuf_rw_pool *pool)
{
	int ret = make_ring(lane);

	if (!ret)
		ret = io_uring_register_buffers_sparse(lane->ring, 1);
	if (ret)
		return ret;
	lane->registered = true;
	return dmabuf_rw_uring_register(lane->ring->ring_fd, 0, pool->dmabuf_fd, pool->file_fd);
}

/* Null with errno. */
static struct dmabuf_rw_lane *lane_new(const struct dmabuf_rw_pool *pool, uint32_t depth,
				       uint32_t chunk)
{
	struct dmabuf_rw_lane *lane = calloc(1, sizeof(*lane));
	int ret;

	if (!lane)
		return NULL;
	lane->depth = depth;
	lane->chunk = chunk;
	ret = pool->dmabuf_fd >= 0 ? add_dmabuf(lane, pool) : add_memory(lane);
	if (!ret)
		return lane;
	lane_free(lane);
	errno = -ret;
	return NULL;
}

/* Drops the parent's lanes, in a child. */
static void forget_inherited_locked(struct dmabuf_rw_pool *pool)
{
	struct dmabuf_rw_lane *lane;

	if (pool->process == dmabuf_rw_process())
		return;
	while ((lane = pool->lanes)) {
		unlink_lane(pool, lane);
		if (lane->ring)
			dmabuf_rw_private_fd_drop(&lane->ring_fd);
		free(lane->ring);
		free(lane);
	}
	pool->nr_running = pool->nr_idle = 0;
	/* The parent's waiting threads do not exist here. */
	if (pool->most)
		sem_init(&pool->room, 0, pool->most);
	pool->process = dmabuf_rw_process();
}

void dmabuf_rw_pool_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void dmabuf_rw_pool_after_fork(void)
{
	forget_inherited_locked(&memory);
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

/* Removes idle lanes from the list, least recently used first, until @most are left. */
static struct dmabuf_rw_lane *trim_locked(struct dmabuf_rw_pool *pool, unsigned int most)
{
	struct dmabuf_rw_lane *lane, *last = NULL, *out = NULL;

	while (pool->nr_idle > most) {
		for (lane = pool->lanes; lane; lane = lane->next)
			if (lane->idle)
				last = lane;
		unlink_lane(pool, last);
		pool->nr_idle--;
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
	forget_inherited_locked(&memory);
	if (!--holders)
		list = trim_locked(&memory, 0);
	dmabuf_rw_unlock_for_fork(&lock, &old);
	free_all(list);
}

void dmabuf_rw_pool_end(struct dmabuf_rw_pool *pool)
{
	struct dmabuf_rw_lane *list;
	sigset_t old;

	dmabuf_rw_lock_for_fork(&lock, &old);
	forget_inherited_locked(pool);
	list = trim_locked(pool, 0);
	dmabuf_rw_unlock_for_fork(&lock, &old);
	free_all(list);
}

/* Waits until another lane may run. 0, or -1 with errno: EINTR. */
static int take_room(struct dmabuf_rw_pool *pool)
{
	sigset_t old;

	if (!pool->most)
		return 0;
	if (pool->process != dmabuf_rw_process()) {
		dmabuf_rw_lock_for_fork(&lock, &old);
		forget_inherited_locked(pool);
		dmabuf_rw_unlock_for_fork(&lock, &old);
	}
	return sem_wait(&pool->room);
}

static void leave_room(struct dmabuf_rw_pool *pool)
{
	if (pool->most)
		sem_post(&pool->room);
}

/* Finds an idle lane of that size, or null. Counts one more running lane in either case. */
static struct dmabuf_rw_lane *take_idle(struct dmabuf_rw_pool *pool, uint32_t depth,
					uint32_t chunk)
{
	struct dmabuf_rw_lane *lane;
	sigset_t old;

	dmabuf_rw_lock_for_fork(&lock, &old);
	forget_inherited_locked(pool);
	for (lane = pool->lanes; lane; lane = lane->next)
		if (lane->idle && lane->depth == depth && lane->chunk == chunk)
			break;
	if (lane) {
		lane->idle = false;
		pool->nr_idle--;
	}
	pool->nr_running++;
	dmabuf_rw_unlock_for_fork(&lock, &old);
	return lane;
}

/* @lane null: making it failed, so one less runs. */
static void link_new(struct dmabuf_rw_pool *pool, struct dmabuf_rw_lane *lane)
{
	sigset_t old;

	dmabuf_rw_lock_for_fork(&lock, &old);
	if (lane)
		link_lane(pool, lane);
	else
		pool->nr_running--;
	dmabuf_rw_unlock_for_fork(&lock, &old);
}

struct dmabuf_rw_lane *dmabuf_rw_lane_get(struct dmabuf_rw_pool *pool, uint32_t depth,
					  uint32_t chunk)
{
	struct dmabuf_rw_lane *lane;
	int err;

	if (!pool)
		pool = &memory;
	if (take_room(pool))
		return NULL;
	lane = take_idle(pool, depth, chunk);
	if (lane) {
		if (lane->memory)
			memset(lane->window, 0, sizeof(lane->window));
		return lane;
	}
	lane = lane_new(pool, depth, chunk);
	err = errno;
	link_new(pool, lane);
	if (!lane)
		leave_room(pool);
	errno = err;
	return lane;
}

void dmabuf_rw_lane_put(struct dmabuf_rw_pool *pool, struct dmabuf_rw_lane *lane)
{
	struct dmabuf_rw_lane *list;
	sigset_t old;

	if (!pool)
		pool = &memory;
	dmabuf_rw_lock_for_fork(&lock, &old);
	pool->nr_running--;
	unlink_lane(pool, lane);
	if (!lane->broken) {
		link_lane(pool, lane);
		lane->idle = true;
		pool->nr_idle++;
	}
	list = trim_locked(pool, pool->nr_running ? pool->nr_running : 1);
	if (lane->broken) {
		lane->next = list;
		list = lane;
	}
	dmabuf_rw_unlock_for_fork(&lock, &old);
	/* In this order: the next transfer may make a ring, and their number is limited. */
	free_all(list);
	leave_room(pool);
}
