// SPDX-License-Identifier: MIT
/*
 * batch.c - batches as programs see them: states of entries, waiting, cancelling. batch.h describes
 * how they run.
 *
 * Waiting. While groups are in the ring, one thread, the waiter, waits in the kernel; all others
 * sleep until it, or a job, has ended enough entries. While there is a waiter, only it takes groups
 * from the ring, so every group that ends wakes it. When it leaves, a sleeper takes its place.
 *
 * A thread that deregisters a file may be the last to look at a batch, so it waits like the others.
 * For that batches are not freed: the batch may be destroyed meanwhile.
 *
 * Locks: "all_lock" protects only the lists of batches.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "batch.h"

#define NS_PER_S	1000000000L

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct batch *all, *unused;	/* by @all_lock */

static struct batch *batch_of(CUfileBatchHandle_t handle)
{
	return handle;
}

/* Null: there is no memory. */
static struct batch *make_batch(void)
{
	struct batch *b = calloc(1, sizeof(*b));
	pthread_condattr_t monotonic;

	if (!b)
		return NULL;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&b->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_lock(&all_lock);
	b->next_made = all;
	all = b;
	pthread_mutex_unlock(&all_lock);
	return b;
}

CUFILE_API CUfileError_t cuFileBatchIOSetUp(CUfileBatchHandle_t *handle, unsigned int nr)
{
	struct batch *b;
	int ret = front_open();

	if (ret)
		return front_status(ret);
	if (!handle || !nr || nr > FRONT_MAX_BATCH)
		return front_status(CU_FILE_INVALID_VALUE);
	pthread_mutex_lock(&all_lock);
	b = unused;
	if (b)
		unused = b->next_free;
	pthread_mutex_unlock(&all_lock);
	if (!b)
		b = make_batch();
	if (!b)
		return front_status(CU_FILE_INTERNAL_ERROR);
	pthread_mutex_lock(&b->lock);
	b->nr = nr;
	b->in_state[FREE] = nr;
	b->wanted = UINT_MAX;
	pthread_mutex_unlock(&b->lock);
	*handle = b;
	return front_status(0);
}

/* ---- states ------------------------------------------------------------------------------- */

void entry_set_locked(struct batch *b, struct entry *e, enum entry_state state)
{
	b->in_state[e->state]--;
	b->in_state[state]++;
	e->state = state;
}

static unsigned int under_way_locked(const struct batch *b)
{
	return b->in_state[WAITING] + b->in_state[RUNNING];
}

void entry_end_locked(struct batch *b, struct entry *e, CUfileStatus_t status, int64_t ret)
{
	e->event.status = status;
	e->event.ret = ret;
	entry_set_locked(b, e, OVER);
}

void entry_end_with_locked(struct batch *b, struct entry *e, int64_t n)
{
	entry_end_locked(b, e, n < 0 ? CUFILE_FAILED : CUFILE_COMPLETE, n);
}

/* ---- waiting ------------------------------------------------------------------------------ */

void batch_wake_locked(struct batch *b)
{
	if (b->in_state[OVER] < b->wanted && under_way_locked(b))
		return;
	/* Threads that want more set it again. */
	b->wanted = UINT_MAX;
	if (b->has_waiter)
		ring_wake(b->ring);
	if (b->sleepers)
		pthread_cond_broadcast(&b->over);
}

void batch_hand_over_locked(struct batch *b)
{
	if (b->in_ring && !b->has_waiter && b->sleepers)
		pthread_cond_broadcast(&b->over);
}

/* False: the time has passed. */
static bool time_until(const struct timespec *until, struct timespec *left)
{
	clock_gettime(CLOCK_MONOTONIC, left);
	left->tv_sec = until->tv_sec - left->tv_sec;
	left->tv_nsec = until->tv_nsec - left->tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_nsec += NS_PER_S;
		left->tv_sec--;
	}
	return left->tv_sec >= 0 && (left->tv_sec || left->tv_nsec);
}

/*
 * Waits until @wanted entries are over, or perhaps less; or until @until, if not null. False: that
 * time has passed.
 */
static bool wait_locked(struct batch *b, unsigned int wanted, const struct timespec *until)
{
	struct timespec left;
	int err = 0;

	if (wanted < b->wanted)
		b->wanted = wanted;
	if (!b->in_ring || b->has_waiter) {
		b->sleepers++;
		if (until)
			err = pthread_cond_timedwait(&b->over, &b->lock, until);
		else
			pthread_cond_wait(&b->over, &b->lock);
		b->sleepers--;
		return err != ETIMEDOUT;
	}
	if (until && !time_until(until, &left))
		return false;
	b->has_waiter = true;
	pthread_mutex_unlock(&b->lock);
	ring_wait(b->ring, until ? &left : NULL);
	pthread_mutex_lock(&b->lock);
	b->has_waiter = false;
	batch_reap_locked(b);
	return true;
}

static void deadline_of(const struct timespec *timeout, struct timespec *until)
{
	clock_gettime(CLOCK_MONOTONIC, until);
	until->tv_sec += timeout->tv_sec;
	until->tv_nsec += timeout->tv_nsec;
	if (until->tv_nsec >= NS_PER_S) {
		until->tv_nsec -= NS_PER_S;
		until->tv_sec++;
	}
}

/* Reports up to @nr finished entries. Returns how many. */
static unsigned int report_locked(struct batch *b, CUfileIOEvents_t *events, unsigned int nr)
{
	unsigned int i, stored = 0;

	if (nr > b->in_state[OVER])
		nr = b->in_state[OVER];
	for (i = 0; stored < nr; i++) {
		if (b->entries[i].state != OVER)
			continue;
		events[stored++] = b->entries[i].event;
		b->entries[i].state = FREE;
	}
	b->in_state[OVER] -= nr;
	b->in_state[FREE] += nr;
	return nr;
}

CUFILE_API CUfileError_t cuFileBatchIOGetStatus(CUfileBatchHandle_t handle, unsigned int min_nr,
						unsigned int *nr, CUfileIOEvents_t *events,
						struct timespec *timeout)
{
	struct batch *b = batch_of(handle);
	struct timespec until;
	int ret = front_open();

	if (ret)
		return front_status(ret);
	if (!b || !nr || !events || min_nr > *nr ||
	    (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
			 timeout->tv_nsec >= NS_PER_S)))
		return front_status(CU_FILE_INVALID_VALUE);
	/* Decades count as for ever, and cannot overflow a sum. */
	if (timeout && timeout->tv_sec > INT32_MAX)
		timeout = NULL;
	if (timeout)
		deadline_of(timeout, &until);
	pthread_mutex_lock(&b->lock);
	if (!b->has_waiter)
		batch_reap_locked(b);
	while (b->in_state[OVER] < min_nr && under_way_locked(b))
		if (!wait_locked(b, min_nr, timeout ? &until : NULL))
			break;
	*nr = report_locked(b, events, *nr);
	batch_hand_over_locked(b);
	pthread_mutex_unlock(&b->lock);
	return front_status(0);
}

static bool has_file_locked(const struct batch *b, const struct front_file *file)
{
	const struct group *g = b->in_ring;

	while (g && g->file != file)
		g = g->next;
	return g;
}

void batches_end_file(const struct front_file *file)
{
	struct batch *b;

	pthread_mutex_lock(&all_lock);
	b = all;
	pthread_mutex_unlock(&all_lock);
	for (; b; b = b->next_made) {
		pthread_mutex_lock(&b->lock);
		while (has_file_locked(b, file))
			wait_locked(b, 0, NULL);
		batch_hand_over_locked(b);
		pthread_mutex_unlock(&b->lock);
	}
}

/* ---- submitting, and ending --------------------------------------------------------------- */

/* Whether the call is malformed; entries that cannot run are no error of the call. */
static bool is_malformed(const CUfileIOParams_t *params, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (params[i].mode != CUFILE_BATCH ||
		    (params[i].opcode != CUFILE_READ && params[i].opcode != CUFILE_WRITE))
			return true;
	return false;
}

/* Takes @nr free entries. 0 or a CUfileOpError. */
static int take_entries(struct batch *b, struct entry **taken, unsigned int nr)
{
	struct entry *e = b->entries;
	unsigned int found = 0;
	int ret = CU_FILE_BATCH_FULL;

	pthread_mutex_lock(&b->lock);
	if (b->in_state[FREE] >= nr) {
		for (; found < nr; e++)
			if (e->state == FREE) {
				taken[found++] = e;
				e->state = RUNNING;
			}
		b->in_state[FREE] -= nr;
		b->in_state[RUNNING] += nr;
		ret = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return ret;
}

CUFILE_API CUfileError_t cuFileBatchIOSubmit(CUfileBatchHandle_t handle, unsigned int nr,
					     CUfileIOParams_t *params, unsigned int flags)
{
	struct batch *b = batch_of(handle);
	struct entry *taken[FRONT_MAX_BATCH];
	int ret = front_open();

	if (ret)
		return front_status(ret);
	if (!b || !nr || !params || flags)
		return front_status(CU_FILE_INVALID_VALUE);
	if (nr > b->nr)
		return front_status(CU_FILE_BATCH_FULL);
	if (is_malformed(params, nr))
		return front_status(CU_FILE_INVALID_VALUE);
	ret = take_entries(b, taken, nr);
	if (!ret)
		batch_begin(b, taken, params, nr);
	return front_status(ret);
}

static void cancel(struct batch *b)
{
	unsigned int i;

	pthread_mutex_lock(&b->lock);
	for (i = 0; i < b->nr; i++)
		if (b->entries[i].state == WAITING)
			entry_end_locked(b, &b->entries[i], CUFILE_CANCELED, 0);
	batch_wake_locked(b);
	pthread_mutex_unlock(&b->lock);
}

CUFILE_API CUfileError_t cuFileBatchIOCancel(CUfileBatchHandle_t handle)
{
	int ret = front_let_go();

	if (ret)
		return front_status(ret);
	if (!handle)
		return front_status(CU_FILE_INVALID_VALUE);
	cancel(batch_of(handle));
	return front_status(0);
}

CUFILE_API void cuFileBatchIODestroy(CUfileBatchHandle_t handle)
{
	struct batch *b = batch_of(handle);
	unsigned int i;

	/* A destroyed batch has no entries, and is ignored. */
	if (!b || front_let_go() || !b->nr)
		return;
	cancel(b);
	pthread_mutex_lock(&b->lock);
	while (b->groups)
		wait_locked(b, 0, NULL);
	for (i = 0; i < b->nr; i++)
		entry_set_locked(b, &b->entries[i], FREE);
	b->in_state[FREE] = b->nr = 0;
	pthread_mutex_unlock(&b->lock);
	pthread_mutex_lock(&all_lock);
	b->next_free = unused;
	unused = b;
	pthread_mutex_unlock(&all_lock);
}
