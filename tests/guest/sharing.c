// SPDX-License-Identifier: GPL-2.0
/*
 * sharing.c - one buffer and many files: all bindings of it to files of one drive have one
 * attachment and one mapping, and what one of them does harms no other.
 *
 * The mock counts what an exporter sees. Drives are DMA devices: priv512 and priv4k are
 * namespaces of one, plug512 is another.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "fs.h"

#define BUF_BYTES	(1 * MiB)
#define SLICE		(128 * KiB)
#define AT		(16 * MiB)
#define MOVE		(MOCK_INV_MOVE | MOCK_INV_FORCE)

static struct buf buf;

static const struct mock_create scattered = {
	.flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 3, .gap = 4096,
	.pattern = { 4096, 16384, 65536 },
};

/* What the exporter sees now: that many attachments, each of them mapped. */
static struct mock_query check_attached(u32 nr)
{
	struct mock_query q;

	mock_query(&buf, &q);
	CHECK_EQ(q.attached, nr);
	CHECK_EQ(q.mapped, nr);
	return q;
}

/* ---- users of the buffer: a binding each, and a slice of the buffer and of the disk -------- */

struct user {
	struct disk disk;
	int binding;
	unsigned int index;
	pthread_t thread;
	s64 end;		/* what has ended its load, 0: it was told to */
	u64 rounds;
};

static bool stop;

static void user_open(struct user *u, unsigned int index, const char *role)
{
	*u = (struct user){ .index = index };
	disk_open(&u->disk, role);
	u->binding = OK(drw_bind(buf.fd, u->disk.fd));
}

static void user_close(struct user *u)
{
	close(u->binding);
	close(u->disk.fd);
}

/* Buffer to disk, and back to the buffer after that has been wiped: 0 or -errno. */
static s64 user_round(struct user *u, struct io_uring *ring, u64 tag)
{
	u64 off = u->index * SLICE, at = AT + u->index * SLICE;
	s64 n;

	buf_fill(&buf, off, SLICE, tag, 0);
	n = ring ? drw_ring_io(ring, u->binding, DMABUF_RW_OP_WRITE, at, off, SLICE, 0)
		 : drw_write(u->binding, at, off, SLICE);
	if (n < 0)
		return n;
	CHECK_EQ(n, SLICE, "write");
	buf_fill(&buf, off, SLICE, ~tag, 0);
	n = ring ? drw_ring_io(ring, u->binding, DMABUF_RW_OP_READ, at, off, SLICE, 0)
		 : drw_read(u->binding, at, off, SLICE);
	if (n < 0)
		return n;
	CHECK_EQ(n, SLICE, "read");
	buf_check(&buf, off, SLICE, tag, 0);
	return 0;
}

static void check_works(struct user *u)
{
	CHECK_EQ(user_round(u, NULL, 7 + u->index), 0);
}

/* Rounds until told to stop, or until a transfer fails; every second user has a ring. */
static void *user_load(void *arg)
{
	struct user *u = arg;
	struct io_uring ring;
	bool ringed = u->index & 1;

	if (ringed)
		drw_ring(&ring, 4, 0);
	while (!u->end && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		u->end = user_round(u, ringed ? &ring : NULL, u->index * 1000000 + u->rounds);
		__atomic_add_fetch(&u->rounds, !u->end, __ATOMIC_RELAXED);
	}
	if (ringed)
		io_uring_queue_exit(&ring);
	return NULL;
}

static void wait_rounds(struct user *u, u64 more)
{
	u64 from = __atomic_load_n(&u->rounds, __ATOMIC_RELAXED);

	for (int i = 0; i < 3000; i++) {
		if (__atomic_load_n(&u->rounds, __ATOMIC_RELAXED) >= from + more)
			return;
		usleep(10000);
	}
	FAIL("user %u stands still", u->index);
}

static void start_load(struct user *users, unsigned int nr)
{
	stop = false;
	for (unsigned int i = 0; i < nr; i++)
		pthread_create(&users[i].thread, NULL, user_load, &users[i]);
	for (unsigned int i = 0; i < nr; i++)
		wait_rounds(&users[i], 1);
}

/* Each load must have ended as @end says: 0, because it was told to, or -errno. */
static void stop_load(struct user *users, unsigned int nr, s64 end)
{
	if (!end)
		__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(users[i].thread, NULL);
		CHECK_EQ(users[i].end, end, "user %u", users[i].index);
	}
}

/* ---- one mapping --------------------------------------------------------------------- */

#define FILES		6
#define FILE_BYTES	(64 * KiB)

static void all_files_of_a_drive_share_a_mapping(const void *arg)
{
	struct disk other;
	struct mock_query q;
	struct fs fs;
	int b[FILES + 1];

	fs_make(&fs, arg, "priv512p1", 0, "", "");
	buf_create_mock(&buf, &scattered);
	for (int i = 0; i < FILES; i++) {
		char name[8];
		int fd;

		snprintf(name, sizeof(name), "f%d", i);
		fd = file_make(&fs, name, FILE_BYTES, i);
		b[i] = OK(drw_bind(buf.fd, fd));
		close(fd);
		check_attached(1);
	}
	/* Another namespace, by the same function of the PCI bus. */
	disk_open(&other, "priv4k");
	b[FILES] = OK(drw_bind(buf.fd, other.fd));
	disk_fill(&other, AT, FILE_BYTES, FILES, 0);
	check_attached(1);

	for (int i = 0; i <= FILES; i++)
		CHECK_EQ(drw_read(b[i], i < FILES ? 0 : AT, i * FILE_BYTES, FILE_BYTES),
			 FILE_BYTES);
	for (int i = 0; i <= FILES; i++)
		buf_check(&buf, i * FILE_BYTES, FILE_BYTES, i, 0);
	/* It stays until the last one has gone, whoever has come first. */
	for (int i = 0; i <= FILES; i++) {
		check_attached(1);
		close(b[i]);
	}
	mock_check_clean(&buf);
	mock_query(&buf, &q);
	CHECK_EQ(q.attaches, 1);
	CHECK_EQ(q.maps, 1);
	fs_finish(&fs);
}

static void each_drive_has_a_mapping_of_its_own(const void *arg)
{
	struct user users[4];

	buf_create_mock(&buf, &scattered);
	user_open(&users[0], 0, "priv512");
	check_attached(1);
	user_open(&users[1], 1, "plug512");
	check_attached(2);
	user_open(&users[2], 2, "priv512");
	user_open(&users[3], 3, "plug512");
	check_attached(2);
	for (int i = 0; i < 4; i++)
		check_works(&users[i]);
	user_close(&users[0]);
	user_close(&users[1]);
	check_attached(2);
	check_works(&users[2]);
	check_works(&users[3]);
	user_close(&users[2]);
	check_attached(1);
	check_works(&users[3]);
	user_close(&users[3]);
	mock_check_clean(&buf);
}

#define MANY		1000

/* Kernel memory in use, of the kinds that a binding may take some of: kilobytes. */
static u64 kernel_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128], name[64];
	u64 sum = 0, n;

	CHECK(f, "no /proc/meminfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %" SCNu64, name, &n) == 2 &&
		    (!strcmp(name, "Slab") || !strcmp(name, "Percpu") ||
		     !strcmp(name, "VmallocUsed")))
			sum += n;
	fclose(f);
	CHECK(sum, "/proc/meminfo tells nothing");
	return sum;
}

/* What is shared is not paid for again: neither by the exporter nor by memory for extents. */
static void a_thousandth_binding_maps_nothing(const void *arg)
{
	const struct mock_create args = { .flags = MOCK_REVERSE, .bytes = 64 * MiB,
					  .nr_pattern = 1, .pattern = { 4096 } };
	const struct rlimit limit = { MANY + 100, MANY + 100 };
	struct dmabuf_rw_info first, last;
	u64 start, first_us, many_us, kilobytes;
	struct mock_query q;
	static int b[MANY];
	struct disk disk;

	SYS(setrlimit(RLIMIT_NOFILE, &limit));
	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	start = now_us();
	b[0] = OK(drw_bind(buf.fd, disk.fd));
	first_us = now_us() - start;
	kilobytes = kernel_memory();
	start = now_us();
	for (int i = 1; i < MANY; i++)
		b[i] = OK(drw_bind(buf.fd, disk.fd));
	many_us = now_us() - start;
	kilobytes = kernel_memory() - kilobytes;
	q = check_attached(1);
	CHECK_EQ(q.attaches, 1);
	CHECK_EQ(q.maps, 1);
	OK(drw_info(b[0], &first));
	OK(drw_info(b[MANY - 1], &last));
	CHECK_EQ(first.extents, last.extents);
	CHECK_EQ(first.metadata_bytes, last.metadata_bytes);
	/* Where an IOMMU puts the pages in a row there is no table to speak of. */
	CHECK(first.extents < 1024 || kilobytes < MANY * first.metadata_bytes / KiB / 8,
	      "%llu KiB for all", (unsigned long long)kilobytes);
	note("%llu extents: the first binding takes %llu us and %llu bytes, a further one %llu us "
	     "and %llu bytes of all of the kernel's", (unsigned long long)first.extents,
	     (unsigned long long)first_us, (unsigned long long)first.metadata_bytes,
	     (unsigned long long)many_us / (MANY - 1), (unsigned long long)kilobytes * KiB / MANY);
	for (int i = 0; i < MANY; i++)
		close(b[i]);
	mock_check_clean(&buf);
}

/* ---- moves ------------------------------------------------------------------------------- */

static pthread_barrier_t all_ready;

static void *round_of_all(void *arg)
{
	struct user *u = arg;

	pthread_barrier_wait(&all_ready);
	u->end = user_round(u, NULL, ++u->rounds);
	return NULL;
}

/* All find it unmapped at once, and one of them maps it. */
static void a_moved_buffer_is_mapped_once_for_all(const void *arg)
{
	enum { USERS = 8, ROUNDS = 10 };
	struct user users[USERS];
	struct dmabuf_rw_info info;
	struct mock_query q;

	buf_create_mock(&buf, &scattered);
	for (int i = 0; i < USERS; i++)
		user_open(&users[i], i, i & 1 ? "priv4k" : "priv512");
	for (u64 n = 1; n <= ROUNDS; n++) {
		OK(mock_invalidate(&buf, MOVE, NULL));
		pthread_barrier_init(&all_ready, NULL, USERS);
		for (int i = 0; i < USERS; i++)
			pthread_create(&users[i].thread, NULL, round_of_all, &users[i]);
		stop_load(users, USERS, 0);
		q = check_attached(1);
		CHECK_EQ(q.maps, 1 + n);
		for (int i = 0; i < USERS; i++) {
			OK(drw_info(users[i].binding, &info));
			CHECK_EQ(info.remaps, n);
		}
	}
	for (int i = 0; i < USERS; i++)
		user_close(&users[i]);
	mock_check_clean(&buf);
}

static void moves_stop_the_transfers_of_all_bindings(const void *arg)
{
	static const char *const roles[] = { "priv512", "priv512", "plug512", "priv4k", "plug512" };
	struct user users[ARRAY_SIZE(roles)];
	u64 worst = 0, rounds = 0, until;
	struct dmabuf_rw_info info;
	int moves;

	buf_create_mock(&buf, &scattered);
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		user_open(&users[i], i, roles[i]);
	start_load(users, ARRAY_SIZE(users));
	until = now_us() + 5000000;
	for (moves = 0; now_us() < until; moves++) {
		struct mock_invalidate inv = { .fence_ms = moves % 5 == 4 ? 20 : 0 };

		OK(mock_invalidate(&buf, MOVE, &inv));
		CHECK_EQ(inv.mapped, 0, "still mapped when the callbacks had returned");
		worst = MAX(worst, inv.callback_us);
		usleep(10000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		wait_rounds(&users[i], 1);
	stop_load(users, ARRAY_SIZE(users), 0);
	check_attached(2);
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		OK(drw_info(users[i].binding, &info));
		CHECK_EQ(info.errors, 0);
		CHECK(info.remaps > 3, "%llu", (unsigned long long)info.remaps);
		rounds += users[i].rounds;
		user_close(&users[i]);
	}
	note("%d moves, %llu rounds, slowest callbacks %llu us", moves, (unsigned long long)rounds,
	     (unsigned long long)worst);
	CHECK(moves > 5, "%d", moves);
	mock_check_clean(&buf);
}

static void revocation_ends_the_transfers_of_all_bindings(const void *arg)
{
	struct user users[4], late;
	struct mock_invalidate inv = {};
	struct mock_query q;

	buf_create_mock(&buf, &scattered);
	for (int i = 0; i < 4; i++)
		user_open(&users[i], i, i < 2 ? "priv512" : "plug512");
	start_load(users, 4);
	OK(mock_invalidate(&buf, MOCK_INV_REVOKE | MOCK_INV_FORCE, &inv));
	CHECK_EQ(inv.mapped, 0);
	/* From here on nobody writes. */
	stop_load(users, 4, -ESTALE);
	buf_fill(&buf, 0, BUF_BYTES, 9, 0);
	for (int i = 0; i < 4; i++) {
		FAILS(drw_bind(buf.fd, users[i].disk.fd), EREMOTEIO);
		FAILS(drw_read(users[i].binding, AT, 0, SLICE), ESTALE);
	}
	buf_check(&buf, 0, BUF_BYTES, 9, 0);

	/* A binding of what it is now has nothing in common with those of what it was. */
	OK(mock_invalidate(&buf, MOCK_INV_RESTORE, NULL));
	user_open(&late, 0, "priv512");
	mock_query(&buf, &q);
	CHECK_EQ(q.attached, 3);
	CHECK_EQ(q.mapped, 1);
	check_works(&late);
	for (int i = 0; i < 4; i++) {
		FAILS(drw_read(users[i].binding, AT, 0, SLICE), ESTALE);
		user_close(&users[i]);
	}
	check_attached(1);
	check_works(&late);
	user_close(&late);
	mock_check_clean(&buf);
}

/* ---- ends ---------------------------------------------------------------------------- */

static void bindings_end_beside_transfers_of_others(const void *arg)
{
	struct user users[2], guest;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct mock_query q;

	buf_create_mock(&buf, &scattered);
	user_open(&users[0], 0, "priv512");
	user_open(&users[1], 1, "priv4k");
	start_load(users, 2);
	drw_ring(&ring, 4, 0);
	for (int i = 0; i < 100; i++) {
		user_open(&guest, 2, "priv512");
		/* Its transfers keep it when its descriptor has gone. */
		for (int j = 0; j < 4; j++)
			drw_prep(io_uring_get_sqe(&ring), guest.binding, DMABUF_RW_URING_READ, AT,
				 (2 + j) * SLICE, SLICE, 0);
		CHECK_EQ(io_uring_submit(&ring), 4);
		user_close(&guest);
		for (int j = 0; j < 4; j++) {
			OK(drw_wait_cqe(&ring, &cqe));
			CHECK_EQ(cqe->res, SLICE);
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	stop_load(users, 2, 0);
	io_uring_queue_exit(&ring);
	q = check_attached(1);
	CHECK_EQ(q.attaches, 1);
	CHECK_EQ(q.maps, 1);
	user_close(&users[0]);
	user_close(&users[1]);
	mock_check_clean(&buf);
}

static void a_killed_user_leaves_the_mapping_to_the_others(const void *arg)
{
	struct user users[2];
	struct mock_query q;

	buf_create_mock(&buf, &scattered);
	user_open(&users[0], 0, "priv512");
	for (int i = 0; i < 5; i++) {
		int runs[2], status;
		pid_t pid;
		char byte;

		SYS(pipe(runs));
		pid = fork();
		if (!pid) {
			user_open(&users[1], 1, "priv512");
			start_load(&users[1], 1);
			SYS(write(runs[1], "", 1));
			pause();
		}
		close(runs[1]);
		CHECK_EQ(read(runs[0], &byte, 1), 1, "the other user has no load");
		close(runs[0]);
		for (int j = 0; j < 10; j++)
			check_works(&users[0]);
		usleep(i * 30000);
		SYS(kill(pid, SIGKILL));
		SYS(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status), "%#x", status);
		check_works(&users[0]);
	}
	q = check_attached(1);
	CHECK_EQ(q.attaches, 1);
	CHECK_EQ(q.maps, 1);
	user_close(&users[0]);
	mock_check_clean(&buf);
}

static void unplug_driver(const char *pci, bool unbind)
{
	OK(spit(pci, "/sys/bus/pci/drivers/nvme/%s", unbind ? "unbind" : "bind"));
}

static void a_drive_that_goes_takes_its_own_bindings(const void *arg)
{
	const char *pci = machine_var("DRW_PLUG_PCI");
	struct user users[4], back;

	buf_create_mock(&buf, &scattered);
	for (int i = 0; i < 4; i++)
		user_open(&users[i], i, i < 2 ? "priv512" : "plug512");
	start_load(users, 4);
	unplug_driver(pci, true);
	check_attached(1);
	for (int i = 2; i < 4; i++) {
		pthread_join(users[i].thread, NULL);
		CHECK_EQ(users[i].end, -ENODEV);
		FAILS(drw_bind(buf.fd, users[i].disk.fd), ENODEV);
	}
	wait_rounds(&users[0], 2);
	wait_rounds(&users[1], 2);
	unplug_driver(pci, false);
	disk_relink("drw-plug", 1);
	/* What has been left behind is not shared with who comes. */
	user_open(&back, 4, "plug512");
	check_attached(2);
	check_works(&back);
	FAILS(drw_read(users[2].binding, AT, 0, SLICE), ENODEV);
	stop_load(users, 2, 0);
	for (int i = 0; i < 4; i++)
		user_close(&users[i]);
	check_attached(1);
	check_works(&back);
	user_close(&back);
	mock_check_clean(&buf);
}

#define COMERS		2

static void *come_and_go(void *arg)
{
	struct user *u = arg;

	for (int i = 0; i < 150; i++) {
		int b = OK(drw_bind(buf.fd, u->disk.fd));

		/* Let the other one's be the last and the first in turns. */
		if (i % 3)
			CHECK_EQ(drw_read(b, AT, u->index * SLICE, 4096 * (1 + i % 4)),
				 4096 * (1 + i % 4));
		close(b);
	}
	__atomic_add_fetch(&u->rounds, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void binds_and_unbinds_side_by_side_leave_nothing(const void *arg)
{
	struct user comers[COMERS];
	struct mock_query q;
	u32 most = 0;

	buf_create_mock(&buf, &scattered);
	for (int i = 0; i < COMERS; i++) {
		comers[i] = (struct user){ .index = i };
		disk_open(&comers[i].disk, i & 1 ? "priv4k" : "priv512");
	}
	OK(mock_storm(&buf, arg ? MOVE : 0, arg ? 300 : 0));
	for (int i = 0; i < COMERS; i++)
		pthread_create(&comers[i].thread, NULL, come_and_go, &comers[i]);
	do {
		usleep(500);
		mock_query(&buf, &q);
		most = MAX(most, q.attached);
	} while (!__atomic_load_n(&comers[0].rounds, __ATOMIC_ACQUIRE) ||
		 !__atomic_load_n(&comers[1].rounds, __ATOMIC_ACQUIRE));
	OK(mock_storm(&buf, 0, 0));
	for (int i = 0; i < COMERS; i++)
		pthread_join(comers[i].thread, NULL);
	/* One that the last user is about to leave, beside the next. */
	CHECK(most && most <= 2, "%u attachments at once", most);
	mock_check_clean(&buf);
	mock_query(&buf, &q);
	note("%llu attachments for 300 bindings", (unsigned long long)q.attaches);
}

/* ---- isolation --------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
}

static void *read_later(void *arg)
{
	struct user *u = arg;

	usleep(u->rounds);
	u->end = drw_read(u->binding, AT, 0, SLICE);
	return NULL;
}

/*
 * Both wait for a move to end: one for its fence, to map for both, and the other one for that.
 * Either may be the one that a signal takes out of it.
 */
static void who_gives_up_waiting_harms_nobody(const void *arg)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct user users[2];
	sigset_t alarms;

	buf_create_mock(&buf, &scattered);
	user_open(&users[0], 0, "priv512");
	user_open(&users[1], 1, "priv512");
	disk_fill(&users[0].disk, AT, SLICE, 5, 0);
	SYS(sigaction(SIGALRM, &act, NULL));
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	for (int second = 0; second < 2; second++) {
		OK(mock_invalidate(&buf, MOVE | MOCK_INV_GATE, NULL));
		/* Only this thread takes the signal. */
		SYS(sigprocmask(SIG_BLOCK, &alarms, NULL));
		users[0].rounds = second ? 0 : 200000;
		pthread_create(&users[0].thread, NULL, read_later, &users[0]);
		SYS(sigprocmask(SIG_UNBLOCK, &alarms, NULL));
		usleep(second ? 200000 : 0);
		ualarm(500000, 500000);
		FAILS(drw_read(users[1].binding, AT, SLICE, SLICE), EINTR);
		ualarm(0, 0);
		SYS(ioctl(mock_device(), MOCK_IOC_OPEN_GATE, &buf.fd));
		pthread_join(users[0].thread, NULL);
		CHECK_EQ(users[0].end, SLICE);
		buf_check(&buf, 0, SLICE, 5, 0);
	}
	check_attached(1);
	user_close(&users[0]);
	user_close(&users[1]);
	mock_check_clean(&buf);
}

/* Who owns a polled ring and does not look holds up neither the exporter nor other users. */
static void polled_transfers_that_nobody_reaps_hold_up_nobody(const void *arg)
{
	struct user users[2];
	struct dmabuf_rw_info info;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	u64 start;

	buf_create_mock(&buf, &scattered);
	user_open(&users[0], 0, "priv512");
	user_open(&users[1], 1, "priv512");
	check_attached(1);
	OK(drw_info(users[1].binding, &info));
	if (!(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	drw_ring(&ring, 4, IORING_SETUP_IOPOLL);
	for (int i = 0; i < 5; i++) {
		for (int j = 0; j < 4; j++)
			drw_prep(io_uring_get_sqe(&ring), users[1].binding, DMABUF_RW_URING_READ,
				 AT, (1 + j) * SLICE, SLICE, 0);
		CHECK_EQ(io_uring_submit(&ring), 4);
		start = now_us();
		OK(mock_invalidate(&buf, MOVE, NULL));
		check_works(&users[0]);
		CHECK(now_us() - start < 5000000, "%llu ms",
		      (unsigned long long)(now_us() - start) / 1000);
		for (int j = 0; j < 4; j++) {
			OK(drw_wait_cqe(&ring, &cqe));
			CHECK_EQ(cqe->res, SLICE);
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	io_uring_queue_exit(&ring);
	user_close(&users[1]);
	check_attached(1);
	check_works(&users[0]);
	user_close(&users[0]);
	mock_check_clean(&buf);
}

static void add(void)
{
	test_limit(90);
	fs_program();
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, all_files_of_a_drive_share_a_mapping);
	TEST(each_drive_has_a_mapping_of_its_own);
	TEST(a_thousandth_binding_maps_nothing);
	TEST(a_moved_buffer_is_mapped_once_for_all);
	TEST(moves_stop_the_transfers_of_all_bindings);
	TEST(revocation_ends_the_transfers_of_all_bindings);
	TEST(bindings_end_beside_transfers_of_others);
	TEST(a_killed_user_leaves_the_mapping_to_the_others);
	TEST(a_drive_that_goes_takes_its_own_bindings);
	test_add(binds_and_unbinds_side_by_side_leave_nothing, NULL,
		 "binds_and_unbinds_side_by_side_leave_nothing.idle");
	test_add(binds_and_unbinds_side_by_side_leave_nothing, "moves",
		 "binds_and_unbinds_side_by_side_leave_nothing.moved");
	TEST(who_gives_up_waiting_harms_nobody);
	TEST(polled_transfers_that_nobody_reaps_hold_up_nobody);
}

const struct program program = {
	"sharing", add, .machines = MACHINES_IOMMU_OR_NOT, .debug = true,
};
