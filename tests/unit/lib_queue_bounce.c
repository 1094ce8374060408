// SPDX-License-Identifier: MIT
/*
 * lib_queue_bounce.c - the queue with bindings that bounce all or some of their
 * transfers. The threads are real.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "fixture_bounce.h"
#include "fixture_queue.h"

#define CHUNK DMABUF_RW_BOUNCE_MIN_CHUNK

static bool no_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(thread, attr, start, arg);
}

static void bounced_blocks_come_back_with_their_user_data_and_bytes(void **state)
{
	static const uint64_t flags[] = { 0, DMABUF_RW_QUEUE_SINGLE_THREAD };
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q;
	int i, n, got;
	size_t f;

	(void)state;
	for (f = 0; f < COUNT(flags) * 2; f++) {
		no_threads = f >= COUNT(flags);
		bounce_only_binding(16 * CHUNK, 16 * CHUNK, false);
		fake.direct_ios = 0;
		q = new_queue(16, flags[f % COUNT(flags)]);
		assert_int_equal(dmabuf_rw_queue_attach(q, binding), -EOPNOTSUPP);
		for (i = 0; i < 16; i++)
			assert_int_equal(dmabuf_rw_queue_read(q, binding, i * CHUNK,
					(15 - i) * CHUNK, CHUNK, 0, 1000 + i), 0);
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 1, 0, 9), -EAGAIN);
		/* Nothing happens before it is asked for. */
		usleep(2000);
		assert_int_equal(fake.direct_ios, 0);
		for (got = 0; got < 16; got += n) {
			n = dmabuf_rw_queue_reap(q, done, 16, 16 - got, NULL);
			assert_in_range(n, 1, 16);
			for (i = 0; i < n; i++) {
				assert_in_range(done[i].user_data, 1000, 1015);
				assert_int_equal(done[i].bytes, CHUNK);
				assert_int_equal(done[i].bounced_bytes, CHUNK);
				assert_int_equal(done[i].direct_bytes, 0);
				assert_int_equal(done[i].error, 0);
				assert_int_equal(done[i].path, DMABUF_RW_PATH_BOUNCED);
			}
		}
		assert_int_equal(got, 16);
		assert_int_equal(dmabuf_rw_queue_pending(q), 0);
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 16, 1, NULL), 0);
		for (i = 0; i < 16; i++)
			assert_memory_equal(fake.buffer + (15 - i) * CHUNK,
					    fake.file + i * CHUNK, CHUNK);
		dmabuf_rw_queue_destroy(q);
		/* One lane of the pool stays as long as it may be wanted. */
		assert_int_equal(fake.rings, 1);
		unbind();
		assert_int_equal(fake.rings, 0);
	}
	no_threads = false;
}

static void a_refused_transfer_bounces_and_says_so(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = { { 3, 1000 }, { 8192, 2000 } };
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q;

	(void)state;
	mixed_binding(8 * CHUNK, 8 * CHUNK, 512, 4);
	q = new_queue(4, 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 512, 0, CHUNK, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.path, DMABUF_RW_PATH_MODULE);

	assert_int_equal(dmabuf_rw_queue_read(q, binding, 500, 0, CHUNK + 12, 0, 2), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, CHUNK + 12);
	assert_int_equal(done.path, PATH_MIXED);
	assert_int_equal(done.direct_bytes, CHUNK);
	assert_int_equal(done.bounced_bytes, 12);
	assert_memory_equal(fake.buffer, fake.file + 500, CHUNK + 12);

	assert_int_equal(dmabuf_rw_queue_writev(q, binding, 77, pieces, 2, 0, 3), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 3000);
	assert_int_equal(done.user_data, 3);
	assert_int_equal(done.path, DMABUF_RW_PATH_BOUNCED);
	assert_memory_equal(fake.file + 77, fake.buffer + 3, 1000);
	assert_memory_equal(fake.file + 1077, fake.buffer + 8192, 2000);
	dmabuf_rw_queue_destroy(q);
}

/* Direct up to the range, in runs, then bounced, then direct again; in pieces too. */
static void a_range_that_was_never_written_is_met_half_way(void **state)
{
	static const struct dmabuf_rw_piece pieces[] = {
		{ 16 * CHUNK, 5 * CHUNK }, { 0, 3 * CHUNK }, { 8 * CHUNK, 8 * CHUNK },
	};
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q;

	(void)state;
	mixed_binding(32 * CHUNK, 32 * CHUNK, 512, 4);
	fake.bad_errno = ENXIO;
	fake.bad_from = 6 * CHUNK;
	fake.bad_to = 7 * CHUNK;
	fake.max_move = CHUNK;
	q = new_queue(4, 0);
	assert_int_equal(dmabuf_rw_queue_readv(q, binding, 0, pieces, 3, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 16 * CHUNK);
	assert_int_equal(done.error, 0);
	assert_int_equal(done.path, PATH_MIXED);
	assert_int_equal(done.direct_bytes + done.bounced_bytes, 16 * CHUNK);
	assert_true(done.direct_bytes >= 6 * CHUNK);
	assert_memory_equal(fake.buffer + 16 * CHUNK, fake.file, 5 * CHUNK);
	assert_memory_equal(fake.buffer, fake.file + 5 * CHUNK, 3 * CHUNK);
	assert_memory_equal(fake.buffer + 8 * CHUNK, fake.file + 8 * CHUNK, 8 * CHUNK);
	dmabuf_rw_queue_destroy(q);
}

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	unsigned int waiting;
};

static int gated_copy(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off, void *host,
		      size_t len)
{
	struct gate *g = arg;

	pthread_mutex_lock(&g->lock);
	g->waiting++;
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	if (direction == DMABUF_RW_COPY_TO_BUFFER)
		memcpy(fake.buffer + buf_off, host, len);
	else
		memcpy(host, fake.buffer + buf_off, len);
	return 0;
}

static void *open_later(void *arg)
{
	struct gate *g = arg;

	usleep(20000);
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static struct dmabuf_rw_queue *gated_queue(struct gate *g)
{
	struct dmabuf_rw_binding_opts opts = bounce_opts();

	*g = (struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER,
			    .changed = PTHREAD_COND_INITIALIZER };
	fake_pair(8 * CHUNK, 8 * CHUNK);
	fake.read_align = fake.write_align = 512;
	opts.copy = gated_copy;
	opts.copy_arg = g;
	assert_int_equal(bind_bounce(&opts), 0);
	return new_queue(8, 0);
}

static void direct_transfers_are_not_kept_by_a_bounced_one(void **state)
{
	const struct timespec soon = { .tv_nsec = 5000000 };
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *q;
	struct gate g;
	int i;

	(void)state;
	q = gated_queue(&g);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 1, 0, 100, 0, 99), 0);
	for (i = 0; i < 20; i++) {
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 512, 4096, 512, 0, i), 0);
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), 1);
		assert_int_equal(done[0].user_data, i);
	}
	assert_int_equal(dmabuf_rw_queue_pending(q), 1);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, &soon), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 0, NULL), 0);
	open_later(&g);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), 1);
	assert_int_equal(done[0].user_data, 99);
	assert_int_equal(done[0].bytes, 100);
	dmabuf_rw_queue_destroy(q);
}

static void destroy_while_bouncing(bool noticed)
{
	const struct timespec soon = { .tv_nsec = 1000000 };
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q;
	pthread_t opener;
	struct gate g;

	q = gated_queue(&g);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 1, 0, 100, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 4097, 7, 100, 0, 2), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(fake.in_flight, 2);
	if (noticed)
		assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, &soon), 0);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 8193, 7, 100, 0, 3), 0);
	/* A stop of the process interrupts threads that have all signals blocked. */
	fake_lock();
	fake.interrupts = noticed ? 3 : 0;
	fake.io_interrupts = 3;
	fake_unlock();
	assert_int_equal(__real_pthread_create(&opener, NULL, open_later, &g), 0);
	dmabuf_rw_queue_destroy(q);
	pthread_join(opener, NULL);
	assert_int_equal(fake.interrupts, 0);
	assert_memory_equal(fake.file + 1, fake.buffer, 100);
	assert_memory_equal(fake.file + 4097, fake.buffer + 7, 100);
	assert_int_equal(fake.file[8193], fake_file_byte(8193));
	unbind();
}

static void destroying_waits_for_what_bounces_and_drops_what_was_not_submitted(void **state)
{
	struct dmabuf_rw_queue *q;

	(void)state;
	/* The queue may have seen the refusals already, or hears of them only now. */
	destroy_while_bouncing(true);
	destroy_while_bouncing(false);

	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	q = new_queue(4, 0);
	assert_int_equal(dmabuf_rw_queue_write(q, binding, 1, 0, 100, 0, 1), 0);
	dmabuf_rw_queue_destroy(q);
	assert_int_equal(fake.file[1], fake_file_byte(1));
}

static void errors_of_bounced_transfers_are_told_with_their_bytes(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q;

	(void)state;
	bounce_only_binding(8 * CHUNK, 8 * CHUNK, false);
	q = new_queue(4, 0);
	fake.io_bad_from = 2 * CHUNK;
	fake.io_bad_to = 3 * CHUNK;
	fake.io_bad_errno = ENODATA;
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 8 * CHUNK, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, 2 * CHUNK);
	assert_int_equal(done.error, ENODATA);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 2 * CHUNK, 0, 100, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, -ENODATA);
	assert_int_equal(done.path, DMABUF_RW_PATH_NONE);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 8 * CHUNK, 1, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, -ERANGE);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 7 * CHUNK, 0, 2 * CHUNK, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
	assert_int_equal(done.bytes, CHUNK);
	assert_int_equal(done.error, 0);
	dmabuf_rw_queue_destroy(q);
}

/* Odd and even, in and out of order, with places of their own; each comes back once. */
static void a_queue_of_all_kinds_loses_nothing(void **state)
{
	const uint64_t area = 16384;
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	unsigned char seen[3000] = { 0 };
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	unsigned int queued = 0, reaped = 0, seed = 1, nr_free = 16;
	unsigned char free_areas[16];
	struct dmabuf_rw_queue *q;
	uint64_t sum = 0;
	int i, n;

	(void)state;
	for (i = 0; i < 16; i++)
		free_areas[i] = i;
	mixed_binding(16 * area, 16 * area, 512, 4);
	fake.max_move = 3072;
	fake.last_first = true;
	q = new_queue(13, 0);
	while (reaped < COUNT(seen)) {
		while (queued < COUNT(seen) && rand_r(&seed) % 8) {
			uint64_t at = free_areas[nr_free - 1] * area;
			uint64_t len = rand_r(&seed) % 8000;
			uint64_t odd = rand_r(&seed) % 2 ? rand_r(&seed) % 4096 : 0;

			n = (rand_r(&seed) % 2 ? dmabuf_rw_queue_read :
			     dmabuf_rw_queue_write)(q, binding, at + odd, at + odd, len, 0,
						    (uint64_t)queued << 32 | at / area << 16 | len);
			if (n == -EAGAIN)
				break;
			assert_int_equal(n, 0);
			queued++;
			nr_free--;
		}
		n = dmabuf_rw_queue_reap(q, done, 1 + rand_r(&seed) % 16,
					 rand_r(&seed) % 8, NULL);
		assert_true(n >= 0);
		for (i = 0; i < n; i++) {
			assert_int_equal(done[i].bytes, done[i].user_data & 0xffff);
			assert_int_equal(seen[done[i].user_data >> 32]++, 0);
			free_areas[nr_free++] = done[i].user_data >> 16 & 15;
			sum += done[i].bytes;
		}
		reaped += n;
	}
	assert_int_equal(dmabuf_rw_queue_pending(q), 0);
	dmabuf_rw_queue_destroy(q);
	assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
	assert_int_equal(stats.direct_bytes + stats.bounced_bytes, sum);
	assert_true(stats.direct_transfers && stats.bounced_transfers &&
		    stats.mixed_transfers);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOUNCE_TEST(bounced_blocks_come_back_with_their_user_data_and_bytes),
		BOUNCE_TEST(a_refused_transfer_bounces_and_says_so),
		BOUNCE_TEST(a_range_that_was_never_written_is_met_half_way),
		BOUNCE_TEST(direct_transfers_are_not_kept_by_a_bounced_one),
		BOUNCE_TEST(destroying_waits_for_what_bounces_and_drops_what_was_not_submitted),
		BOUNCE_TEST(errors_of_bounced_transfers_are_told_with_their_bytes),
		BOUNCE_TEST(a_queue_of_all_kinds_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
