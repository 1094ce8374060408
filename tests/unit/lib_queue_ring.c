// SPDX-License-Identifier: MIT
/*
 * lib_queue_ring.c - the queue over a real io_uring: signals, event loops and threads are the
 * kernel's, and differ from one to the next. What stands for a transfer is a read from a pipe,
 * which ends when the test wants it to.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>

#include "fixture_queue.h"
#include "private.h"
#include "real_ring.h"

#define BYTES	4096

void __wrap_dmabuf_rw_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t op, uint64_t file_off,
			       uint64_t addr3, uint32_t len, uint64_t flags);

static struct dmabuf_rw_binding binding = { .id = 1, .fd = 3, .buf_bytes = 1 << 20 };
static struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
static char mem[BYTES];
static int pipe_fds[2];
static const uint64_t flags[] = { 0, DMABUF_RW_QUEUE_SINGLE_THREAD };

void __wrap_dmabuf_rw_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t op, uint64_t file_off,
			       uint64_t addr3, uint32_t len, uint64_t io_flags)
{
	(void)fd;
	(void)op;
	(void)file_off;
	(void)addr3;
	(void)io_flags;
	io_uring_prep_read(sqe, pipe_fds[0], mem, len, 0);
}

static int setup(void **state)
{
	(void)state;
	return pipe(pipe_fds);
}

static int teardown(void **state)
{
	(void)state;
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

static struct dmabuf_rw_queue *queue_with_one(uint64_t queue_flags)
{
	struct dmabuf_rw_queue *q = new_queue(4, queue_flags);

	assert_int_equal(dmabuf_rw_queue_ring_error(q), 0);
	assert_int_equal(dmabuf_rw_queue_read(q, &binding, 0, 0, BYTES, 0, 7), 0);
	return q;
}

static void end_transfer(void)
{
	static const char zeros[BYTES];

	assert_int_equal(write(pipe_fds[1], zeros, BYTES), BYTES);
}

static void *end_later(void *arg)
{
	(void)arg;
	usleep(100000);
	end_transfer();
	return NULL;
}

static pthread_t ended_later(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, end_later, NULL), 0);
	return thread;
}

static void the_descriptor_wakes_an_event_loop(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct dmabuf_rw_queue *q;
	pthread_t thread;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < COUNT(flags); i++) {
		q = queue_with_one(flags[i]);
		pfd.fd = dmabuf_rw_queue_fd(q);
		assert_true(pfd.fd >= 0);
		/* What may be there from before. */
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 0, NULL), 0);
		assert_int_equal(poll(&pfd, 1, 0), 0);
		thread = ended_later();
		do {
			n = poll(&pfd, 1, 20000);
			assert_true(n == 1 || (n < 0 && errno == EINTR));
			n = dmabuf_rw_queue_reap(q, done, 8, 0, NULL);
		} while (!n);
		assert_int_equal(n, 1);
		assert_int_equal(done[0].bytes, BYTES);
		assert_int_equal(poll(&pfd, 1, 0), 0);
		pthread_join(thread, NULL);
		dmabuf_rw_queue_destroy(q);
	}
}

static void what_one_reap_leaves_keeps_the_descriptor_readable(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct dmabuf_rw_queue *q;
	size_t i;
	int j;

	(void)state;
	for (i = 0; i < COUNT(flags); i++) {
		q = queue_with_one(flags[i]);
		pfd.fd = dmabuf_rw_queue_fd(q);
		for (j = 0; j < 3; j++)
			assert_int_equal(dmabuf_rw_queue_read(q, &binding, 0, 0, BYTES, 0, j),
					 0);
		assert_int_equal(dmabuf_rw_queue_submit(q), 0);
		for (j = 0; j < 4; j++)
			end_transfer();
		for (j = 0; j < 4; j++) {
			assert_int_equal(poll(&pfd, 1, 20000), 1);
			assert_int_equal(dmabuf_rw_queue_reap(q, done, 1, 1, NULL), 1);
		}
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 1, 0, NULL), 0);
		assert_int_equal(poll(&pfd, 1, 0), 0);
		dmabuf_rw_queue_destroy(q);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void alarm_soon(void)
{
	const struct itimerval soon = { .it_value = { .tv_usec = 100000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

/* Also one that has submitted something first. */
static void a_signal_ends_every_wait(void **state)
{
	const struct timespec long_time = { .tv_sec = 20 };
	struct dmabuf_rw_queue *q;
	size_t i;
	int j;

	(void)state;
	for (i = 0; i < COUNT(flags) * 4; i++) {
		q = queue_with_one(flags[i % COUNT(flags)]);
		j = i / COUNT(flags);
		if (j & 1)
			assert_int_equal(dmabuf_rw_queue_submit(q), 0);
		alarm_soon();
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, j & 2 ? &long_time : NULL),
				 -EINTR);
		assert_int_equal(dmabuf_rw_queue_pending(q), 1);
		end_transfer();
		assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), 1);
		dmabuf_rw_queue_destroy(q);
	}
}

static void *submit_one(void *arg)
{
	struct dmabuf_rw_queue **q = arg;

	*q = queue_with_one(DMABUF_RW_QUEUE_SINGLE_THREAD);
	assert_int_equal(dmabuf_rw_queue_submit(*q), 0);
	return NULL;
}

/* A child has the descriptors of its parent, and lives as long as it likes. */
static void another_thread_destroys_a_queue_while_children_live(void **state)
{
	struct dmabuf_rw_queue *q = NULL;
	struct timespec begin, end;
	pthread_t owner;
	pid_t pid;

	(void)state;
	assert_int_equal(pthread_create(&owner, NULL, submit_one, &q), 0);
	pthread_join(owner, NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		sleep(30);
		_exit(0);
	}
	end_transfer();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	dmabuf_rw_queue_destroy(q);
	clock_gettime(CLOCK_MONOTONIC, &end);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(end.tv_sec - begin.tv_sec < 20);
}

static void a_low_limit_of_descriptors_is_enough(void **state)
{
	struct rlimit old, low;
	struct dmabuf_rw_queue *q;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 24;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	q = queue_with_one(0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	end_transfer();
	assert_int_equal(dmabuf_rw_queue_reap(q, done, 8, 1, NULL), 1);
	dmabuf_rw_queue_destroy(q);
}

static bool came_through;

static void *cancelled_before(void *arg)
{
	struct dmabuf_rw_queue *q = arg;

	pthread_cancel(pthread_self());
	dmabuf_rw_queue_fd(q);
	dmabuf_rw_queue_read(q, &binding, 0, 0, BYTES, 0, 8);
	dmabuf_rw_queue_submit(q);
	dmabuf_rw_queue_reap(q, done, 8, 0, NULL);
	dmabuf_rw_queue_cancel_all(q);
	dmabuf_rw_queue_reap(q, done, 8, 0, NULL);
	dmabuf_rw_queue_destroy(q);
	came_through = true;
	pthread_testcancel();
	return NULL;
}

static void no_call_is_a_cancellation_point(void **state)
{
	struct dmabuf_rw_queue *q = queue_with_one(0);
	pthread_t thread;
	void *ret;

	(void)state;
	end_transfer();
	end_transfer();
	assert_int_equal(pthread_create(&thread, NULL, cancelled_before, q), 0);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_ptr_equal(ret, PTHREAD_CANCELED);
	assert_true(came_through);
}

int main(void)
{
#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		RING_TEST(the_descriptor_wakes_an_event_loop),
		RING_TEST(what_one_reap_leaves_keeps_the_descriptor_readable),
		RING_TEST(a_signal_ends_every_wait),
		RING_TEST(another_thread_destroys_a_queue_while_children_live),
		RING_TEST(a_low_limit_of_descriptors_is_enough),
		RING_TEST(no_call_is_a_cancellation_point),
	};

	return RUN_WITH_RING(tests);
}
