// SPDX-License-Identifier: MIT
/*
 * lib_queue_cancel.c - ending transfers of a queue early, and the descriptor that tells of
 * those that have ended, over the fake module and the fake io_uring.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fixture_bounce.h"
#include "fixture_queue.h"

#define BIG (1 << 20)

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

static struct dmabuf_rw_completion done[32] = { { .size = sizeof(done[0]) } };

static unsigned int reap_all(struct dmabuf_rw_queue *q)
{
	unsigned int nr = dmabuf_rw_queue_pending(q);

	assert_int_equal(dmabuf_rw_queue_reap(q, done, COUNT(done), nr, NULL), nr);
	assert_int_equal(dmabuf_rw_queue_pending(q), 0);
	return nr;
}

static void what_was_not_submitted_does_not_happen(void **state)
{
	struct dmabuf_rw_queue *q;
	unsigned int i, n;

	(void)state;
	mixed_binding(BIG, BIG, 512, 4);
	q = new_queue(8, 0);
	assert_int_equal(dmabuf_rw_queue_cancel_all(q), -ENOENT);
	for (i = 0; i < 8; i++)
		assert_int_equal(dmabuf_rw_queue_write(q, binding, i * 4096, i * 4096, 4096, 0,
						       i / 4), 0);
	assert_int_equal(dmabuf_rw_queue_cancel(q, 7), -ENOENT);
	assert_int_equal(dmabuf_rw_queue_cancel(q, 1), 4);
	n = reap_all(q);
	assert_int_equal(n, 8);
	for (i = 0; i < n; i++) {
		assert_int_equal(done[i].error, done[i].user_data ? ECANCELED : 0);
		assert_int_equal(done[i].bytes, done[i].user_data ? -ECANCELED : 4096);
	}
	assert_memory_equal(fake.file, fake.buffer, 4 * 4096);
	expect_file_untouched(4 * 4096, 8 * 4096);
	/* Their places are used again, by transfers that are not. */
	for (i = 0; i < 8; i++)
		assert_int_equal(dmabuf_rw_queue_write(q, binding, i * 4096, i * 4096, 4096, 0,
						       1), 0);
	reap_all(q);
	for (i = 0; i < n; i++)
		assert_int_equal(done[i].bytes, 4096);
	dmabuf_rw_queue_destroy(q);
}

static void what_the_drive_has_comes_back_and_its_rest_does_not_happen(void **state)
{
	struct dmabuf_rw_queue *q;

	(void)state;
	mixed_binding(BIG, BIG, 512, 4);
	fake.max_move = 8192;
	q = new_queue(8, DMABUF_RW_QUEUE_SINGLE_THREAD);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, 8192, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 65536, 65536, 65536, 0, 2), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(dmabuf_rw_queue_cancel_all(q), 2);
	reap_all(q);
	assert_int_equal(done[0].user_data, 1);
	assert_int_equal(done[0].bytes, 8192);
	assert_int_equal(done[0].error, 0);
	assert_int_equal(done[1].bytes, 8192);
	assert_int_equal(done[1].error, ECANCELED);
	assert_int_equal(fake.transfers, 2);
	dmabuf_rw_queue_destroy(q);
}

/* A copy function that takes its time, as a device may. */
static _Atomic unsigned int copies;

static int slow_copy(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off, void *host,
		     size_t len)
{
	(void)arg;
	copies++;
	usleep(20000);
	if (direction == DMABUF_RW_COPY_TO_BUFFER)
		memcpy(fake.buffer + buf_off, host, len);
	else
		memcpy(host, fake.buffer + buf_off, len);
	return 0;
}

/* Each of them has a place of its own. */
#define SLOW		20
#define SLOW_CHUNKS	12

static struct dmabuf_rw_queue *slow_queue(void)
{
	struct dmabuf_rw_binding_opts opts = bounce_opts();

	fake_pair(256 * CHUNK, 256 * CHUNK);
	refuse(EOPNOTSUPP, DMABUF_RW_REASON_LAYOUT);
	opts.copy = slow_copy;
	assert_int_equal(bind_bounce(&opts), 0);
	copies = 0;
	return new_queue(32, 0);
}

/* More than there are threads: some wait. */
static void submit_slow(struct dmabuf_rw_queue *q)
{
	unsigned int i;

	for (i = 0; i < SLOW; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, i * SLOW_CHUNKS * CHUNK,
						      SLOW_CHUNKS * CHUNK, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
}

static void a_slow_bounced_transfer_ends_soon(void **state)
{
	struct dmabuf_rw_queue *q = slow_queue();
	unsigned int i, n;

	(void)state;
	submit_slow(q);
	while (copies < 8)
		usleep(1000);
	assert_int_equal(dmabuf_rw_queue_cancel_all(q), SLOW);
	n = reap_all(q);
	for (i = 0; i < n; i++) {
		assert_int_equal(done[i].error, ECANCELED);
		assert_true(done[i].bytes < SLOW_CHUNKS * CHUNK);
		assert_true(done[i].bytes < 0 ? done[i].bytes == -ECANCELED :
						(uint64_t)done[i].bytes == done[i].bounced_bytes);
	}
	assert_true(copies < SLOW * SLOW_CHUNKS / 2);
	dmabuf_rw_queue_destroy(q);
}

#define SLOW_RANGES	8

/* What a batch says of itself is what its ranges say, wherever it was when it was cancelled. */
static void a_slow_bounced_batch_counts_each_range_once(void **state)
{
	static struct dmabuf_rw_range ranges[SLOW][SLOW_RANGES];
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	struct dmabuf_rw_queue *q = slow_queue();
	int64_t all = 0;
	unsigned int i, k, n;

	(void)state;
	for (i = 0; i < SLOW; i++) {
		for (k = 0; k < SLOW_RANGES; k++)
			ranges[i][k] = (struct dmabuf_rw_range){
				.file_off = k * CHUNK, .buf_off = (i * SLOW_RANGES + k) * CHUNK,
				.len = CHUNK,
			};
		assert_int_equal(dmabuf_rw_queue_read_many(q, binding, ranges[i], SLOW_RANGES, 0,
							   i), 0);
	}
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	while (copies < 12)
		usleep(1000);
	assert_int_equal(dmabuf_rw_queue_cancel_all(q), SLOW);
	n = reap_all(q);
	assert_int_equal(n, SLOW);
	for (i = 0; i < n; i++) {
		int64_t moved = 0;

		for (k = 0; k < SLOW_RANGES; k++) {
			int64_t result = ranges[done[i].user_data][k].result;

			assert_true(result == CHUNK || result == -ECANCELED);
			moved += result > 0 ? result : 0;
		}
		assert_int_equal(done[i].bytes, moved ? moved : -ECANCELED);
		assert_int_equal(done[i].bounced_bytes, moved);
		assert_int_equal(done[i].direct_bytes, 0);
		all += moved;
	}
	assert_int_equal(dmabuf_rw_binding_stats(binding, &stats), 0);
	assert_int_equal(stats.bounced_bytes, all);
	assert_int_equal(stats.direct_bytes, 0);
	assert_int_equal(stats.direct_transfers, 0);
	assert_true(copies < SLOW * SLOW_RANGES / 2);
	dmabuf_rw_queue_destroy(q);
}

static void one_of_several_is_ended_and_the_others_are_not(void **state)
{
	struct dmabuf_rw_queue *q = slow_queue();
	unsigned int i, n;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, (i ? 200 + i : 0) * CHUNK,
						      (i ? 1 : 200) * CHUNK, 0, i), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), 0);
	assert_int_equal(dmabuf_rw_queue_cancel(q, 0), 1);
	n = reap_all(q);
	for (i = 0; i < n; i++)
		assert_int_equal(done[i].error, done[i].user_data ? 0 : ECANCELED);
	dmabuf_rw_queue_destroy(q);
}

static void destroying_after_cancelling_takes_no_longer(void **state)
{
	struct dmabuf_rw_queue *q = slow_queue();

	(void)state;
	submit_slow(q);
	assert_int_equal(dmabuf_rw_queue_cancel_all(q), SLOW);
	dmabuf_rw_queue_destroy(q);
	assert_true(copies < SLOW * SLOW_CHUNKS / 2);
}

static bool readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

/* Of bounced ones here; those of the ring need a real one. */
static void the_descriptor_is_readable_while_completions_wait(void **state)
{
	struct dmabuf_rw_queue *q;
	unsigned int i, errnos[] = { 0, EPERM };
	size_t e;
	int fd;

	(void)state;
	for (e = 0; e < COUNT(errnos); e++) {
		fake.ring_errno = errnos[e];
		bounce_only_binding(16 * CHUNK, 16 * CHUNK, false);
		q = new_queue(8, 0);
		fake.ring_errno = 0;
		fd = e ? dmabuf_rw_queue_fd(q) : -1;
		for (i = 0; e && i < 8; i++)
			assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, i * CHUNK, CHUNK, 0,
							      i), 0);
		assert_true(!e || !readable(fd, 0));
		assert_int_equal(dmabuf_rw_queue_submit(q), 0);
		for (i = 0; e && i < 8; i++) {
			assert_true(readable(fd, 10000));
			assert_int_equal(dmabuf_rw_queue_reap(q, done, 1, 0, NULL), 1);
			assert_int_equal(done[0].bytes, CHUNK);
		}
		assert_true(!e || !readable(fd, 0));
		/* What is cancelled waits as well. */
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, CHUNK, 0, i), 0);
		assert_int_equal(dmabuf_rw_queue_cancel_all(q), 1);
		assert_int_equal(dmabuf_rw_queue_submit(q), 0);
		assert_true(!e || readable(fd, 10000));
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), 1);
		assert_int_equal(done[0].error, ECANCELED);
		dmabuf_rw_queue_destroy(q);
		unbind();
	}
}

/* Without a thread to run them, held transfers can be cancelled, and keep no other. */
static void want_of_threads_keeps_nothing_but_what_needs_them(void **state)
{
	struct dmabuf_rw_binding *direct;
	struct dmabuf_rw_queue *q;
	struct rlimit old, low;

	(void)state;
	mixed_binding(BIG, BIG, 512, 4);
	direct = binding;
	binding = NULL;
	refuse(EOPNOTSUPP, DMABUF_RW_REASON_LAYOUT);
	assert_int_equal(bind_bounce(NULL), 0);
	q = new_queue(8, 0);
	assert_int_equal(dmabuf_rw_queue_read(q, direct, 0, 0, 4096, 0, 1), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 8192, 4096, 0, 2), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 16384, 4096, 0, 3), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(dmabuf_rw_queue_submit(q), -EMFILE);
	assert_int_equal(fake.in_flight, 1);
	/* The direct one comes out when it is looked for. */
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 0, NULL), 1);
	assert_int_equal(done[0].user_data, 1);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), -EMFILE);
	assert_int_equal(dmabuf_rw_queue_cancel(q, 3), 1);
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), 1);
	assert_int_equal(done[0].user_data, 3);
	assert_int_equal(done[0].error, ECANCELED);
	assert_int_equal(dmabuf_rw_queue_cancel(q, 2), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 16384, 4096, 0, 4), 0);
	assert_int_equal(reap_all(q), 2);
	dmabuf_rw_queue_destroy(q);
	dmabuf_rw_binding_destroy(direct);
}

static void *page_of(void *address)
{
	return (void *)((uintptr_t)address & ~(uintptr_t)(FAKE_PAGE - 1));
}

static _Atomic unsigned int faults;

/* Puts memory where the buffer was, as programs do that want to live. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	faults++;
	__real_mmap(page_of(info->si_addr), FAKE_PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void a_handler_for_sigbus_works_in_the_threads_of_a_queue(void **state)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO }, old;
	struct dmabuf_rw_queue *q;
	sigset_t none;

	(void)state;
	bounce_only_binding(CHUNK, CHUNK, false);
	q = new_queue(4, 0);
	sigemptyset(&none);
	assert_int_equal(sigaction(SIGBUS, &action, &old), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, CHUNK, 0, 1), 0);
	/* The exporter takes its buffer away. */
	assert_int_equal(ftruncate(fake.dmabuf_fd, 0), 0);
	faults = 0;
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 1, 1, NULL), 1);
	assert_int_equal(done[0].bytes, CHUNK);
	assert_int_equal(faults, CHUNK / FAKE_PAGE);
	assert_int_equal(sigaction(SIGBUS, &old, NULL), 0);
	dmabuf_rw_queue_destroy(q);
}

static void *read_slowly(void *arg)
{
	ssize_t *n = arg;

	*n = dmabuf_rw_read(binding, 0, 0, 8 * CHUNK, 0, NULL);
	pthread_testcancel();
	return NULL;
}

/* fake.rings and others are looked at when the test ends. */
static void a_thread_is_cancelled_after_its_call_and_leaks_nothing(void **state)
{
	struct dmabuf_rw_queue *q = slow_queue();
	pthread_t thread;
	ssize_t n = 0;
	void *ret;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &n), 0);
	while (!copies)
		usleep(1000);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_ptr_equal(ret, PTHREAD_CANCELED);
	assert_int_equal(n, 8 * CHUNK);
	assert_int_equal(fake.rings, 2);
	dmabuf_rw_queue_destroy(q);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOUNCE_TEST(what_was_not_submitted_does_not_happen),
		BOUNCE_TEST(what_the_drive_has_comes_back_and_its_rest_does_not_happen),
		BOUNCE_TEST(a_slow_bounced_transfer_ends_soon),
		BOUNCE_TEST(a_slow_bounced_batch_counts_each_range_once),
		BOUNCE_TEST(one_of_several_is_ended_and_the_others_are_not),
		BOUNCE_TEST(destroying_after_cancelling_takes_no_longer),
		BOUNCE_TEST(the_descriptor_is_readable_while_completions_wait),
		BOUNCE_TEST(want_of_threads_keeps_nothing_but_what_needs_them),
		BOUNCE_TEST(a_handler_for_sigbus_works_in_the_threads_of_a_queue),
		BOUNCE_TEST(a_thread_is_cancelled_after_its_call_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
