// SPDX-License-Identifier: MIT
/*
 * gpu_memory.c - exports device memory as dma-bufs, and caches the exports.
 *
 * The cache is an array of segments that do not overlap, sorted by address. A cached segment is
 * valid only while the driver gives the same identity for it. A stale one leaves the cache, and
 * lives until its last reference is dropped.
 *
 * Locks: "lock" protects the cache and all counts, and is held for array operations only.
 * "export_lock" serializes exports, so that two threads do not both export an allocation that is
 * new to them; it is taken before "lock".
 *
 * The sweeper is a thread that drops segments that have had no users for GPU_LINGER_MS. It starts
 * with the first export, and sleeps while there is nothing to drop.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "gpu_memory.h"
#include "own_thread.h"

#define SWEEP_MS 100

static pthread_mutex_t export_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static struct gpu_segment **cache;	/* protected by @lock, like all below */
static size_t nr_cached, room;
static bool has_sweeper, sweeper_sleeps;
static uint64_t last_number;

static const struct gpu_driver *const drivers[] = { &gpu_cuda, &gpu_hsa };

static void (*on_drop)(struct gpu_segment *segment);

void gpu_on_drop(void (*fn)(struct gpu_segment *segment))
{
	on_drop = fn;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

const char *gpu_segment_cause(const struct gpu_segment *segment)
{
	return segment->driver->refusals[segment->refusal].cause;
}

const char *gpu_segment_remedy(const struct gpu_segment *segment)
{
	return segment->driver->refusals[segment->refusal].remedy;
}

const char *gpu_segment_detail(const struct gpu_segment *segment)
{
	return segment->error ? segment->driver->error_name(segment->error) : NULL;
}

/* ---- references, protected by @lock --------------------------------------------------- */

static void free_segment(struct gpu_segment *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

void gpu_segment_get(struct gpu_segment *segment)
{
	pthread_mutex_lock(&lock);
	segment->refs++;
	pthread_mutex_unlock(&lock);
}

void gpu_segment_put(struct gpu_segment *segment)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = !--segment->refs;
	pthread_mutex_unlock(&lock);
	if (last)
		free_segment(segment);
}

void gpu_segment_done(struct gpu_segment *segment)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = !--segment->refs;
	if (!--segment->users) {
		segment->idle_since = now_ms();
		if (segment->cached && sweeper_sleeps) {
			sweeper_sleeps = false;
			pthread_cond_signal(&idle);
		}
	}
	pthread_mutex_unlock(&lock);
	if (last)
		free_segment(segment);
}

/* ---- the cache ------------------------------------------------------------------------ */

/* Index of the first segment that ends after @p. */
static size_t find_locked(uint64_t p)
{
	size_t low = 0, high = nr_cached;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (gpu_segment_end(cache[middle]) <= p)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The caller gets the cache's reference, and calls dropped() without the lock. */
static struct gpu_segment *remove_locked(size_t i)
{
	struct gpu_segment *s = cache[i];

	s->cached = false;
	nr_cached--;
	memmove(&cache[i], &cache[i + 1], (nr_cached - i) * sizeof(*cache));
	return s;
}

static void dropped(struct gpu_segment *s)
{
	if (on_drop)
		on_drop(s);
	gpu_segment_put(s);
}

/* The segment at @p with that identity, with a user; null if there is none. Drops a stale one. */
static struct gpu_segment *use_cached(uint64_t p, const struct gpu_owner *owner)
{
	struct gpu_segment *s = NULL, *stale = NULL;
	size_t i;

	pthread_mutex_lock(&lock);
	i = find_locked(p);
	if (i < nr_cached && cache[i]->base <= p) {
		if (gpu_segment_is_of(cache[i], owner)) {
			s = cache[i];
			s->refs++;
			s->users++;
		} else {
			stale = remove_locked(i);
		}
	}
	pthread_mutex_unlock(&lock);
	if (stale)
		dropped(stale);
	return s;
}

/* The first segment that has had no users for @ms; null if there is none. */
static struct gpu_segment *take_idle_locked(uint64_t ms)
{
	uint64_t now = now_ms();
	size_t i;

	for (i = 0; i < nr_cached; i++) {
		if (cache[i]->users)
			continue;
		if (ms && atomic_exchange(&cache[i]->touched, false))
			cache[i]->idle_since = now;
		if (now - cache[i]->idle_since >= ms)
			return remove_locked(i);
	}
	return NULL;
}

static bool any_idle_locked(void)
{
	size_t i;

	for (i = 0; i < nr_cached; i++)
		if (!cache[i]->users)
			return true;
	return false;
}

bool gpu_drop_idle(void)
{
	struct gpu_segment *s;
	bool any = false;

	do {
		pthread_mutex_lock(&lock);
		s = take_idle_locked(0);
		pthread_mutex_unlock(&lock);
		if (s)
			dropped(s);
		any |= s != NULL;
	} while (s);
	return any;
}

static void *sweep(void *arg)
{
	struct gpu_segment *s;
	bool again;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		s = take_idle_locked(GPU_LINGER_MS);
		again = s || any_idle_locked();
		if (!again) {
			sweeper_sleeps = true;
			pthread_cond_wait(&idle, &lock);
		}
		pthread_mutex_unlock(&lock);
		if (s)
			dropped(s);
		else if (again)
			usleep(SWEEP_MS * 1000);
	}
	return NULL;
}

/* Puts @s into the cache. The program has freed segments that overlap it there. 0 or -ENOMEM. */
static int insert(struct gpu_segment *s)
{
	struct gpu_segment **grown, *stale;
	size_t i;

	for (;;) {
		pthread_mutex_lock(&lock);
		i = find_locked(s->base);
		if (i == nr_cached || cache[i]->base >= gpu_segment_end(s))
			break;
		stale = remove_locked(i);
		pthread_mutex_unlock(&lock);
		dropped(stale);
	}
	if (nr_cached == room) {
		grown = realloc(cache, (room + 64) * sizeof(*cache));
		if (!grown) {
			pthread_mutex_unlock(&lock);
			return -ENOMEM;
		}
		cache = grown;
		room += 64;
	}
	memmove(&cache[i + 1], &cache[i], (nr_cached - i) * sizeof(*cache));
	cache[i] = s;
	nr_cached++;
	s->number = ++last_number;
	s->cached = true;
	s->refs++;
	/* Without a sweeper, segments are dropped only by gpu_drop_idle(). */
	if (!has_sweeper)
		has_sweeper = !start_own_thread(sweep);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* ---- exporting ------------------------------------------------------------------------ */

int gpu_segment_keep_fd(struct gpu_segment *s, int fd)
{
		/* Above the standard descriptors: a program that closed one might write to it. */
	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return s->fd < 0 ? -errno : 0;
}

int gpu_segment_refuse(struct gpu_segment *s, enum gpu_refusal refusal)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	s->refusal = refusal;
	return 0;
}

/* The caller is the only user; not in the cache. Errors as gpu_segment_use(). */
static int make_segment(uint64_t p, const struct gpu_owner *owner, struct gpu_segment **segment)
{
	struct gpu_segment *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->driver = owner->driver;
	s->identity = owner->identity;
	s->refs = s->users = 1;
	ret = s->driver->fill(p, s);
	if (ret)
		free_segment(s);
	else
		*segment = s;
	return ret;
}

/* Makes the segment, with a user, and caches it unless its refusal is temporary. */
static int add_segment(uint64_t p, const struct gpu_owner *owner, struct gpu_segment **segment)
{
	struct gpu_segment *s;
	int ret = make_segment(p, owner, &s);

	/* Unused exports may take up the room. */
	if (!ret && s->refusal == GPU_NO_ROOM && gpu_drop_idle()) {
		gpu_segment_done(s);
		ret = make_segment(p, owner, &s);
	}
	if (!ret && s->refusal != GPU_NO_ROOM) {
		ret = insert(s);
		if (ret)
			gpu_segment_done(s);
	}
	if (!ret)
		*segment = s;
	return ret;
}

int gpu_owner_of(uint64_t p, struct gpu_owner *owner)
{
	int ret = -ENXIO;
	size_t i;

	for (i = 0; i < sizeof(drivers) / sizeof(drivers[0]) && ret == -ENXIO; i++) {
		owner->driver = drivers[i];
		ret = drivers[i]->identify(p, &owner->identity);
	}
	return ret;
}

/* For a cached segment the driver is asked only once, as each transfer comes here. */
int gpu_segment_use_of(uint64_t p, const struct gpu_owner *owner, struct gpu_segment **segment)
{
	int ret;

	*segment = use_cached(p, owner);
	if (*segment)
		return 0;
	ret = owner->driver->check(p);
	if (ret)
		return ret;
	pthread_mutex_lock(&export_lock);
	*segment = use_cached(p, owner);
	if (!*segment)
		ret = add_segment(p, owner, segment);
	pthread_mutex_unlock(&export_lock);
	return ret;
}

int gpu_segment_use(uint64_t p, struct gpu_segment **segment)
{
	struct gpu_owner owner;
	int ret = gpu_owner_of(p, &owner);

	return ret ? ret : gpu_segment_use_of(p, &owner, segment);
}

/* ---- driver calls ---------------------------------------------------------------------- */

int gpu_copy_to(const struct gpu_segment *segment, uint64_t p, const void *host, size_t len)
{
	return segment->driver->copy(segment, p, NULL, host, len);
}

int gpu_copy_from(const struct gpu_segment *segment, uint64_t p, void *host, size_t len)
{
	return segment->driver->copy(segment, p, host, NULL, len);
}

int gpu_flush(const struct gpu_segment *segment)
{
	return segment->flush ? segment->driver->flush(segment) : 0;
}

/* ---- memory ---------------------------------------------------------------------------- */

struct gpu_memory {
	uint64_t p, len;
	size_t nr;
	struct gpu_segment *segments[];	/* a user of each; in order, without gaps */
};

int gpu_memory_create(uint64_t p, uint64_t len, struct gpu_memory **memory)
{
	struct gpu_memory *m = calloc(1, sizeof(*m)), *grown;
	uint64_t at = p, end;
	int ret;

	if (!m)
		return -ENOMEM;
	m->p = p;
	m->len = len;
	ret = __builtin_add_overflow(p, len, &end) || !len ? -ERANGE : 0;
	while (!ret && at < end) {
		grown = realloc(m, sizeof(*m) + (m->nr + 1) * sizeof(m->segments[0]));
		if (!grown) {
			ret = -ENOMEM;
			break;
		}
		m = grown;
		ret = gpu_segment_use(at, &m->segments[m->nr]);
		if (ret) {
			if (m->nr && (ret == -ENXIO || ret == -EFAULT))
				ret = -ERANGE;
			break;
		}
		at = gpu_segment_end(m->segments[m->nr++]);
	}
	if (ret)
		gpu_memory_destroy(m);
	else
		*memory = m;
	return ret;
}

void gpu_memory_destroy(struct gpu_memory *memory)
{
	size_t i;

	if (!memory)
		return;
	for (i = 0; i < memory->nr; i++)
		gpu_segment_done(memory->segments[i]);
	free(memory);
}

bool gpu_memory_is_gone(const struct gpu_memory *memory)
{
	size_t i;

	/* A segment with users leaves the cache only when it is stale. */
	for (i = 0; i < memory->nr; i++)
		if (!memory->segments[i]->cached && memory->segments[i]->refusal != GPU_NO_ROOM)
			return true;
	return false;
}

void gpu_memory_find(const struct gpu_memory *memory, uint64_t off, struct gpu_place *place)
{
	uint64_t p = memory->p + off, end = memory->p + memory->len;
	size_t i = 0;

	while (gpu_segment_end(memory->segments[i]) <= p)
		i++;
	place->segment = memory->segments[i];
	if (end > gpu_segment_end(place->segment))
		end = gpu_segment_end(place->segment);
	place->len = end - p;
}
