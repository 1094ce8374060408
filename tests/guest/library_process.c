// SPDX-License-Identifier: GPL-2.0
/*
 * library_process.c - what libdmabuf_rw promises to programs as they live: they fork, start
 * others, have threads that hand things over, wait for many things at once, want no more of
 * something that is under way, and may be forbidden to use io_uring.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "fs.h"

#define LEN	(16 * MiB)

static struct disk disk;
static struct buf buf;
static struct dmabuf_rw_device *device;
static struct dmabuf_rw_binding *binding;
static u64 at;		/* where on the disk the test may work */

static struct dmabuf_rw_binding *bind_to(int fd, bool allow_bounce, bool with_device)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.error = &error,
		.allow_bounce = allow_bounce,
	};
	struct dmabuf_rw_binding *b;

	OK(dmabuf_rw_binding_create(with_device ? device : NULL, buf.fd, fd, &opts, &b));
	return b;
}

/* @bounce: nothing goes direct. */
static void open_all(bool bounce)
{
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, LEN);
	at = ROUND_UP(disk.first, MiB);
	OK(dmabuf_rw_device_open(NULL, &device));
	binding = bind_to(disk.fd, bounce, !bounce);
}

static void close_all(void)
{
	dmabuf_rw_binding_destroy(binding);
	dmabuf_rw_device_close(device);
	buf_destroy(&buf);
}

static struct dmabuf_rw_queue *queue_create(u32 depth, u64 flags)
{
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts), .depth = depth, .flags = flags,
	};
	struct dmabuf_rw_queue *queue;

	OK(dmabuf_rw_queue_create(&opts, &queue));
	return queue;
}

/* ---- children ------------------------------------------------------------------------- */

/* Its checks end it with a failure. */
static pid_t child(void (*work)(void))
{
	pid_t pid = SYS(fork());

	if (!pid) {
		work();
		_exit(0);
	}
	return pid;
}

static void ends_well(pid_t pid)
{
	int status;

	SYS(waitpid(pid, &status, 0));
	CHECK(!status, "status %#x", status);
}

static void read_what_is_there(void)
{
	CHECK_EQ(dmabuf_rw_read(binding, at, 0, LEN, 0, NULL), LEN);
	buf_check(&buf, 0, LEN, 1, 0);
}

static void read_and_write(void)
{
	read_what_is_there();
	buf_fill(&buf, 0, LEN, 2, 0);
	CHECK_EQ(dmabuf_rw_write(binding, at + LEN, 0, LEN, 0, NULL), LEN);
}

/* As daemon(3) does it: the child of a child, whose parents have gone. */
static void read_and_write_as_a_daemon(void)
{
	ends_well(child(read_and_write));
}

struct way {
	const char *name;
	bool bounce;
	void (*work)(void);
};

static void a_child_uses_a_binding_of_its_parent(const void *arg)
{
	const struct way *way = arg;

	open_all(way->bounce);
	disk_fill(&disk, at, LEN, 1, 0);
	/* There is an idle lane now, of the parent's. */
	read_what_is_there();
	buf_fill(&buf, 0, LEN, 3, 0);
	ends_well(child(way->work));
	disk_check(&disk, at, LEN, 1, 0);
	disk_check(&disk, at + LEN, LEN, 2, 0);
	read_what_is_there();
	close_all();
}

static struct dmabuf_rw_queue *parents;

static void is_refused_the_queue(void)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *own;

	FAILS(dmabuf_rw_queue_read(parents, binding, at, 0, MiB, 0, 1), ECHILD);
	FAILS(dmabuf_rw_queue_reap(parents, &done, 1, 1, NULL), ECHILD);
	dmabuf_rw_queue_destroy(parents);
	own = queue_create(4, DMABUF_RW_QUEUE_SINGLE_THREAD);
	OK(dmabuf_rw_queue_read(own, binding, at, 0, MiB, 0, 1));
	CHECK_EQ(dmabuf_rw_queue_reap(own, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.bytes, MiB);
	dmabuf_rw_queue_destroy(own);
}

static void a_queue_stays_its_makers(const void *arg)
{
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	const u64 *flags = arg;

	open_all(false);
	disk_fill(&disk, at, LEN, 1, 0);
	parents = queue_create(16, *flags);
	for (u64 off = 0; off < LEN; off += MiB)
		OK(dmabuf_rw_queue_read(parents, binding, at + off, off, MiB, 0, off));
	OK(dmabuf_rw_queue_submit(parents));
	ends_well(child(is_refused_the_queue));
	CHECK_EQ(dmabuf_rw_queue_reap(parents, done, 16, 16, NULL), 16);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(done[i].bytes, MiB);
	buf_check(&buf, 0, LEN, 1, 0);
	dmabuf_rw_queue_destroy(parents);
	close_all();
}

static void a_program_that_is_started_inherits_nothing(const void *arg)
{
	char *const argv[] = { "sh", "-c",
		"for f in /proc/$$/fd/*; do readlink $f; done > /tmp/inherited; true", NULL };
	char *const envp[] = { "PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL };
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_queue *queue;
	pid_t pid;

	open_all(true);
	queue = queue_create(4, 0);
	OK(dmabuf_rw_queue_read(queue, binding, at, 0, MiB, 0, 1));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	OK(dmabuf_rw_queue_fd(queue));
	OK(-posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, envp));
	ends_well(pid);
	CHECK_EQ(sh("! grep -E 'dma|uring|event|memfd|nvme' /tmp/inherited"), 0);
	dmabuf_rw_queue_destroy(queue);
	close_all();
}

/* ---- waiting ---------------------------------------------------------------------------- */

static void polling_with_a_timeout_of_zero_completes(const void *arg)
{
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	const struct timespec now = {};
	const u64 *flags = arg;
	struct dmabuf_rw_queue *queue;
	u64 end = now_us() + 20000000;
	int n = 0;

	open_all(false);
	queue = queue_create(8, *flags);
	for (int i = 0; i < 8; i++)
		OK(dmabuf_rw_queue_read(queue, binding, at, i * MiB, MiB, 0, i));
	while (n < 8 && now_us() < end) {
		int got = OK(dmabuf_rw_queue_reap(queue, done, 8, 1, &now));

		for (int i = 0; i < got; i++)
			CHECK_EQ(done[i].bytes, MiB);
		n += got;
	}
	CHECK_EQ(n, 8);
	dmabuf_rw_queue_destroy(queue);
	close_all();
}

struct wait_kind {
	const char *name;
	u64 flags;
	bool bounce;
};

/* An event loop: it sleeps until the descriptor is readable, and never for nothing. */
static void an_event_loop_is_woken_for_every_completion(const void *arg)
{
	struct dmabuf_rw_completion done[4] = { { .size = sizeof(done[0]) } };
	struct epoll_event event = { .events = EPOLLIN };
	const struct wait_kind *kind = arg;
	struct dmabuf_rw_queue *queue;
	int loop = SYS(epoll_create1(EPOLL_CLOEXEC)), n, left;
	struct pollfd pfd = { .events = POLLIN };

	open_all(kind->bounce);
	queue = queue_create(16, kind->flags);
	pfd.fd = OK(dmabuf_rw_queue_fd(queue));
	CHECK_EQ(dmabuf_rw_queue_fd(queue), pfd.fd);
	SYS(epoll_ctl(loop, EPOLL_CTL_ADD, pfd.fd, &event));
	for (int round = 0; round < 20; round++) {
		CHECK_EQ(poll(&pfd, 1, 0), 0);
		for (int i = 0; i < 16; i++)
			OK(dmabuf_rw_queue_read(queue, binding, at, i * MiB,
						i & 1 ? 4096 : MiB, 0, i));
		OK(dmabuf_rw_queue_submit(queue));
		for (left = 16; left; left -= n) {
			n = round & 1 ? poll(&pfd, 1, 20000) : epoll_wait(loop, &event, 1, 20000);
			if (n < 0 && errno == EINTR)
				n = 1;
			CHECK_EQ(n, 1, "round %d, %d left", round, left);
			n = OK(dmabuf_rw_queue_reap(queue, done, 4, 0, NULL));
			for (int i = 0; i < n; i++)
				CHECK(done[i].bytes > 0);
		}
	}
	dmabuf_rw_queue_destroy(queue);
	close_all();
}

/* ---- threads ---------------------------------------------------------------------------- */

static pthread_barrier_t barrier;
static bool owner_stays;

static void *make_and_submit(void *arg)
{
	struct dmabuf_rw_queue **queue = arg;

	*queue = queue_create(32, DMABUF_RW_QUEUE_SINGLE_THREAD);
	OK(dmabuf_rw_queue_attach(*queue, binding));
	for (u64 off = 0; off < LEN; off += MiB / 2)
		OK(dmabuf_rw_queue_read(*queue, binding, at + off, off, MiB / 2, 0, 0));
	OK(dmabuf_rw_queue_submit(*queue));
	if (owner_stays) {
		pthread_barrier_wait(&barrier);
		/* The other one destroys it. */
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* When it returns, nothing of it touches the buffer any more, and the disk can be had alone. */
static void another_thread_destroys_a_queue_safely(const void *arg)
{
	struct dmabuf_rw_queue *queue;
	pthread_t owner;
	int fd;

	open_all(false);
	disk_fill(&disk, at, LEN, 1, 0);
	for (int round = 0; round < 6; round++) {
		owner_stays = round & 1;
		OK(-pthread_barrier_init(&barrier, NULL, 2));
		OK(-pthread_create(&owner, NULL, make_and_submit, &queue));
		if (owner_stays)
			pthread_barrier_wait(&barrier);
		else
			OK(-pthread_join(owner, NULL));
		dmabuf_rw_queue_destroy(queue);
		buf_fill(&buf, 0, LEN, 7 + round, 0);
		usleep(20000);
		buf_check(&buf, 0, LEN, 7 + round, 0);
		if (owner_stays) {
			pthread_barrier_wait(&barrier);
			OK(-pthread_join(owner, NULL));
		}
		pthread_barrier_destroy(&barrier);
	}
	close_all();
	close(disk.fd);
	fd = open(disk.path, O_RDWR | O_EXCL | O_CLOEXEC);
	CHECK(fd >= 0, "%s", strerror(errno));
	close(fd);
}

/* ---- ending early -------------------------------------------------------------------------- */

static void cancelled_transfers_end_with_what_they_have_moved(const void *arg)
{
	struct dmabuf_rw_completion done[8] = { { .size = sizeof(done[0]) } };
	const struct wait_kind *kind = arg;
	struct dmabuf_rw_queue *queue;
	int cancelled = 0;

	open_all(kind->bounce);
	disk_fill(&disk, at, LEN, 1, 0);
	for (int round = 0; round < 8; round++) {
		buf_fill(&buf, 0, LEN, 9, 0);
		queue = queue_create(8, kind->flags);
		for (int i = 0; i < 8; i++)
			OK(dmabuf_rw_queue_read(queue, binding, at + i * 2 * MiB, i * 2 * MiB,
						2 * MiB, 0, i));
		if (round) {
			OK(dmabuf_rw_queue_submit(queue));
			usleep(round * 1000);
		}
		CHECK_EQ(dmabuf_rw_queue_cancel_all(queue), 8);
		CHECK_EQ(dmabuf_rw_queue_reap(queue, done, 8, 8, NULL), 8);
		for (int i = 0; i < 8; i++) {
			u64 off = done[i].user_data * 2 * MiB, n = MAX(done[i].bytes, 0);

			CHECK_EQ(done[i].error, n < 2 * MiB ? ECANCELED : 0);
			buf_check(&buf, off, n, 1, off);
			cancelled += !!done[i].error;
		}
		FAILS(dmabuf_rw_queue_cancel_all(queue), ENOENT);
		dmabuf_rw_queue_destroy(queue);
	}
	CHECK(cancelled >= 8);
	note("%d of 64 were cancelled", cancelled);
	close_all();
}

/* ---- without io_uring, and with many files ------------------------------------------------ */

static void without_io_uring_a_queue_makes_system_calls(const void *arg)
{
	struct dmabuf_rw_completion done[16] = { { .size = sizeof(done[0]) } };
	struct dmabuf_rw_queue *queue;

	open_all(false);
	disk_fill(&disk, at, LEN, 1, 0);
	OK(spit("2", "/proc/sys/kernel/io_uring_disabled"));
	queue = queue_create(16, 0);
	CHECK_EQ(dmabuf_rw_queue_ring_error(queue), EPERM);
	for (u64 off = 0; off < LEN; off += MiB)
		OK(dmabuf_rw_queue_read(queue, binding, at + off, off, MiB, 0, off));
	CHECK_EQ(dmabuf_rw_queue_reap(queue, done, 16, 16, NULL), 16);
	for (int i = 0; i < 16; i++) {
		CHECK_EQ(done[i].bytes, MiB);
		CHECK_EQ(done[i].path, DMABUF_RW_PATH_MODULE);
	}
	buf_check(&buf, 0, LEN, 1, 0);
	dmabuf_rw_queue_destroy(queue);
	OK(spit("0", "/proc/sys/kernel/io_uring_disabled"));
	close_all();
}

static u64 status_kib(const char *key)
{
	char line[128], pattern[32];
	unsigned long long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	CHECK(f);
	snprintf(pattern, sizeof(pattern), "%s: %%llu", key);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, pattern, &kib) == 1)
			break;
	fclose(f);
	return kib;
}

#define FILES 400

static void many_small_files_pin_no_more_than_one(const void *kind)
{
	static struct dmabuf_rw_binding *many[FILES];
	struct rlimit limit = { 8192, 8192 };
	u64 pinned = 0;
	struct fs fs;
	char name[16];
	int fd;

	SYS(setrlimit(RLIMIT_NOFILE, &limit));
	fs_make(&fs, kind, "priv512p1", 0, "", "");
	buf_create(&buf, &exporter_udmabuf, LEN);
	OK(dmabuf_rw_device_open(NULL, &device));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fd = file_make(&fs, name, 5000, i);
		many[i] = bind_to(fd, true, false);
		close(fd);
		CHECK_EQ(dmabuf_rw_read(many[i], 0, i * 8192, 5000, 0, NULL), 5000);
		pinned = MAX(pinned, status_kib("VmPin") + status_kib("VmLck"));
	}
	CHECK(pinned <= 4096, "%llu KiB", (unsigned long long)pinned);
	for (int i = 0; i < FILES; i++) {
		buf_check(&buf, i * 8192, 5000, i, 0);
		dmabuf_rw_binding_destroy(many[i]);
	}
	CHECK_EQ(status_kib("VmPin") + status_kib("VmLck"), 0);
	fs_finish(&fs);
}

static void add(void)
{
	static const struct way ways[] = {
		{ "direct", false, read_and_write },
		{ "bounced", true, read_and_write },
		{ "bounced_daemon", true, read_and_write_as_a_daemon },
	};
	static const u64 flags[] = { 0, DMABUF_RW_QUEUE_SINGLE_THREAD };
	static const char *const flag_names[] = { "shared", "single_thread" };
	static const struct wait_kind waits[] = {
		{ "direct_shared", 0, false },
		{ "direct_single_thread", DMABUF_RW_QUEUE_SINGLE_THREAD, false },
		{ "bounced_shared", 0, true },
		{ "bounced_single_thread", DMABUF_RW_QUEUE_SINGLE_THREAD, true },
	};
	size_t i;

	fs_program();
	test_limit(90);
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		test_add(a_child_uses_a_binding_of_its_parent, &ways[i],
			 "a_child_uses_a_binding_of_its_parent.%s", ways[i].name);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		test_add(a_queue_stays_its_makers, &flags[i], "a_queue_stays_its_makers.%s",
			 flag_names[i]);
		test_add(polling_with_a_timeout_of_zero_completes, &flags[i],
			 "polling_with_a_timeout_of_zero_completes.%s", flag_names[i]);
	}
	TEST(a_program_that_is_started_inherits_nothing);
	for (i = 0; i < ARRAY_SIZE(waits); i++) {
		test_add(an_event_loop_is_woken_for_every_completion, &waits[i],
			 "an_event_loop_is_woken_for_every_completion.%s", waits[i].name);
		test_add(cancelled_transfers_end_with_what_they_have_moved, &waits[i],
			 "cancelled_transfers_end_with_what_they_have_moved.%s", waits[i].name);
	}
	TEST(another_thread_destroys_a_queue_safely);
	TEST(without_io_uring_a_queue_makes_system_calls);
	TEST_OF_KIND(0, many_small_files_pin_no_more_than_one);
}

const struct program program = { "library_process", add };
