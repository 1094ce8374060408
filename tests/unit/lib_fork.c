// SPDX-License-Identifier: MIT
/*
 * lib_fork.c - what a child process may do with the objects of its parent, over the fake
 * module and a real io_uring: only the kernel knows whose memory is registered with one.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <liburing.h>

#include "fixture_bounce.h"
#include "fixture_child.h"
#include "fixture_queue.h"
#include "real_ring.h"

#define BYTES	(16 * CHUNK)

long __real_syscall(long number, ...);

static bool file_is_in_buffer(void)
{
	return !memcmp(fake.buffer, fake.file, BYTES);
}

/* With an idle lane, which a child must not use. */
static void bind_and_bounce(void)
{
	bounce_only_binding(BYTES, BYTES, false);
	assert_int_equal(move(false, 0, 0, BYTES), BYTES);
	assert_true(file_is_in_buffer());
	memset(fake.buffer, 0, BYTES);
}

static bool reads_and_writes(void *arg)
{
	uint64_t i;

	(void)arg;
	if (move(false, 0, 0, BYTES) != BYTES || !file_is_in_buffer())
		return false;
	for (i = 0; i < BYTES; i++)
		fake.buffer[i] = i % 239;
	if (move(true, 0, 0, BYTES) != BYTES)
		return false;
	for (i = 0; i < BYTES; i++)
		if (fake.file[i] != i % 239)
			return false;
	return true;
}

static void a_child_bounces_through_memory_of_its_own(void **state)
{
	(void)state;
	bind_and_bounce();
	assert_true(in_child(reads_and_writes, NULL));
	/* And the parent goes on with its. */
	memset(fake.buffer, 0, BYTES);
	assert_int_equal(move(false, 0, 0, BYTES), BYTES);
	assert_true(file_is_in_buffer());
}

static bool so_does_its_child(void *arg)
{
	return reads_and_writes(arg) && in_child(reads_and_writes, arg);
}

static void a_grandchild_does_too(void **state)
{
	(void)state;
	bind_and_bounce();
	assert_true(in_child(so_does_its_child, NULL));
	assert_true(reads_and_writes(NULL));
}

/* Without what fork(3) calls before and after. */
static void a_child_that_came_without_fork_does_too(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	bind_and_bounce();
	pid = __real_syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (!pid)
		_exit(reads_and_writes(NULL) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static unsigned int nr_rings(void)
{
	char path[300], target[64];
	struct dirent *entry;
	unsigned int nr = 0;
	ssize_t n;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = 0;
			nr += !!strstr(target, "io_uring");
		}
	}
	if (dir)
		closedir(dir);
	return nr;
}

static bool has_no_ring(void *arg)
{
	(void)arg;
	return !nr_rings();
}

/* What a child keeps open, its parent could not free. */
static void a_child_keeps_nothing_of_its_parents_lanes(void **state)
{
	(void)state;
	bind_and_bounce();
	assert_int_equal(nr_rings(), 1);
	assert_true(in_child(has_no_ring, NULL));
}

static bool unbinds(void *arg)
{
	(void)arg;
	unbind();
	close_device();
	return true;
}

static void a_child_may_destroy_what_it_inherits(void **state)
{
	(void)state;
	bind_and_bounce();
	assert_true(in_child(unbinds, NULL));
	assert_true(reads_and_writes(NULL));
}

static _Atomic bool stop;

static void *bounce_all_the_time(void *arg)
{
	static unsigned char mem[8][CHUNK];
	uint64_t at = (uintptr_t)arg;

	while (!stop) {
		/* The buffers' places are the threads' own. */
		struct dmabuf_rw_result r = { .size = sizeof(r) };

		if (dmabuf_rw_read(binding, at * CHUNK, at * CHUNK, CHUNK, 0, &r) != CHUNK)
			return "a read failed";
		memcpy(mem[at], fake.buffer + at * CHUNK, CHUNK);
		if (memcmp(mem[at], fake.file + at * CHUNK, CHUNK))
			return "wrong bytes were read";
	}
	return NULL;
}

static bool reads_its_part(void *arg)
{
	(void)arg;
	return move(false, 8 * CHUNK, 8 * CHUNK, 8 * CHUNK) == 8 * CHUNK &&
	       !memcmp(fake.buffer + 8 * CHUNK, fake.file + 8 * CHUNK, 8 * CHUNK);
}

static void forks_and_transfers_do_not_meet(void **state)
{
	pthread_t threads[4];
	uintptr_t i;
	void *ret;

	(void)state;
	bind_and_bounce();
	stop = false;
	for (i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, bounce_all_the_time,
						(void *)i), 0);
	for (i = 0; i < 20; i++)
		assert_true(in_child(reads_its_part, NULL));
	stop = true;
	for (i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &ret);
		if (ret)
			fail_msg("%s", (char *)ret);
	}
}

static bool is_refused(void *arg)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *q = arg;

	if (dmabuf_rw_queue_read(q, binding, 0, 0, CHUNK, 0, 2) != -ECHILD ||
	    dmabuf_rw_queue_submit(q) != -ECHILD ||
	    dmabuf_rw_queue_reap(q, &done, 1, 1, NULL) != -ECHILD ||
	    dmabuf_rw_queue_attach(q, binding) != -ECHILD ||
	    dmabuf_rw_queue_cancel_all(q) != -ECHILD ||
	    dmabuf_rw_queue_fd(q) != -ECHILD || dmabuf_rw_queue_pending(q))
		return false;
	dmabuf_rw_queue_destroy(q);
	/* One of its own works. */
	if (dmabuf_rw_queue_create(NULL, &q) ||
	    dmabuf_rw_queue_read(q, binding, 0, 0, CHUNK, 0, 3) ||
	    dmabuf_rw_queue_reap(q, &done, 1, 1, NULL) != 1 || done.bytes != CHUNK)
		return false;
	dmabuf_rw_queue_destroy(q);
	return true;
}

static void a_queue_stays_its_makers(void **state)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	static const uint64_t flags[] = { 0, DMABUF_RW_QUEUE_SINGLE_THREAD };
	struct dmabuf_rw_queue *q;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(flags); i++) {
		bind_and_bounce();
		q = new_queue(4, flags[i]);
		assert_int_equal(dmabuf_rw_queue_read(q, binding, 0, 0, BYTES, 0, 1), 0);
		assert_int_equal(dmabuf_rw_queue_submit(q), 0);
		assert_true(in_child(is_refused, q));
		assert_int_equal(dmabuf_rw_queue_reap(q, &done, 1, 1, NULL), 1);
		assert_int_equal(done.bytes, BYTES);
		assert_true(file_is_in_buffer());
		dmabuf_rw_queue_destroy(q);
	}
}

/* By way of scratch memory, which parent and child must not share. */
static bool writes_odd_bytes(void *arg)
{
	uint64_t at = *(uint64_t *)arg, i;

	for (i = 0; i < 50; i++)
		if (move(true, at + i * 1024 + 3, at + i * 1024 + 3, 700) != 700 ||
		    memcmp(fake.file + at + i * 1024 + 3, fake.buffer + at + i * 1024 + 3, 700))
			return false;
	return true;
}

static void odd_writes_of_parent_and_child_do_not_meet(void **state)
{
	uint64_t parents = 0, childs = 8 * CHUNK;
	int status;
	pid_t pid;

	(void)state;
	mixed_binding(BYTES, BYTES, 512, 4);
	assert_int_equal(move(true, 1, 1, 5), 5);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(writes_odd_bytes(&childs) ? 0 : 1);
	assert_true(writes_odd_bytes(&parents));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_file_untouched(childs, childs + 3);
	expect_file_untouched(childs + 703, childs + 1024);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOUNCE_TEST(a_child_bounces_through_memory_of_its_own),
		BOUNCE_TEST(a_grandchild_does_too),
		BOUNCE_TEST(a_child_that_came_without_fork_does_too),
		BOUNCE_TEST(a_child_keeps_nothing_of_its_parents_lanes),
		BOUNCE_TEST(a_child_may_destroy_what_it_inherits),
		BOUNCE_TEST(forks_and_transfers_do_not_meet),
		BOUNCE_TEST(a_queue_stays_its_makers),
		BOUNCE_TEST(odd_writes_of_parent_and_child_do_not_meet),
	};

	return RUN_WITH_RING(tests);
}
