// SPDX-License-Identifier: GPL-2.0
/*
 * hotplug.c - drives that are unbound, removed, unplugged and reset while bindings exist
 * and transfers run.
 *
 * The buffer's mapping for a drive must be gone before the drive's driver has left it.
 * The mock says whether it is.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "trace.h"

#define BUF_BYTES	(1 * MiB)
#define AT		(8 * MiB)
#define LOADERS		4

static struct disk disk;
static struct buf buf;
static int binding;
static char pci[32];

static bool stop;
static u64 good, failed;

/* A test that failed may have left the drive away. */
static void restore_drive(void)
{
	char driver[64];

	snprintf(pci, sizeof(pci), "%s", machine_var("DRW_PLUG_PCI"));
	snprintf(driver, sizeof(driver), "/sys/bus/pci/drivers/nvme/%s", pci);
	if (access(driver, F_OK)) {
		spit("1", "/sys/bus/pci/rescan");
		spit(pci, "/sys/bus/pci/drivers/nvme/bind");
	}
	if (access(driver, F_OK))
		sh("host plug plug");
	disk_relink("drw-plug", 1);
}

static void open_all(void)
{
	restore_drive();
	disk_open(&disk, "plug512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
}

/* Whatever happens to the drive, a transfer ends with its data or with ENODEV. */
static void *load(void *arg)
{
	u64 index = (uintptr_t)arg, off = index * 256 * KiB;
	struct io_uring ring;
	bool use_ring = index & 1;

	if (use_ring)
		drw_ring(&ring, 4, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		s64 n = drw_slice(use_ring ? &ring : NULL, index & 2, binding, DMABUF_RW_OP_WRITE,
				  AT + off, off, 256 * KiB);

		if (n > 0) {
			__atomic_add_fetch(&good, 1, __ATOMIC_RELAXED);
		} else {
			CHECK_EQ(n, -ENODEV);
			__atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
			usleep(10000);
		}
	}
	if (use_ring)
		io_uring_queue_exit(&ring);
	return NULL;
}

static void start_load(pthread_t *threads)
{
	stop = false;
	good = failed = 0;
	for (uintptr_t i = 0; i < LOADERS; i++)
		pthread_create(&threads[i], NULL, load, (void *)i);
	/* Something has run before the drive goes. */
	for (int i = 0; i < 200 && __atomic_load_n(&good, __ATOMIC_RELAXED) < 6; i++)
		usleep(10000);
}

static void stop_load(pthread_t *threads)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < LOADERS; i++)
		pthread_join(threads[i], NULL);
}

/* The drive has gone: nothing is mapped for it, and the binding says so. */
static void check_gone(void)
{
	struct dmabuf_rw_info info;
	struct mock_query q;

	mock_query(&buf, &q);
	CHECK_EQ(q.mapped, 0);
	CHECK_EQ(q.attached, 0);
	for (int i = 0; i < 2; i++) {
		FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
		FAILS(drw_write(binding, AT, 0, 4096), ENODEV);
	}
	OK(drw_info(binding, &info));
	CHECK(!(info.flags & DMABUF_RW_INFO_MAPPED), "%#llx", (unsigned long long)info.flags);
	FAILS(drw_bind(buf.fd, disk.fd), ENODEV);
	/* The exporter may move the buffer as if there had never been a drive. */
	mock_check_clean(&buf);
}

/* The old binding stays dead; a new one to the drive that came back works. */
static void check_back(void)
{
	struct disk again;
	int b;

	disk_relink("drw-plug", 1);
	FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
	disk_open(&again, "plug512");
	b = OK(drw_bind(buf.fd, again.fd));
	disk_fill(&again, AT, 256 * KiB, 77, 0);
	CHECK_EQ(drw_read(b, AT, 0, 256 * KiB), 256 * KiB);
	buf_check(&buf, 0, 256 * KiB, 77, 0);
	close(b);
	close(binding);
	mock_check_clean(&buf);
}

static void unbind_driver(void)
{
	OK(spit(pci, "/sys/bus/pci/drivers/nvme/unbind"));
}

static void bind_driver(void)
{
	OK(spit(pci, "/sys/bus/pci/drivers/nvme/bind"));
}

static void remove_device(void)
{
	OK(spit("1", "/sys/bus/pci/devices/%s/remove", pci));
}

static void rescan_bus(void)
{
	OK(spit("1", "/sys/bus/pci/rescan"));
}

static void unplug_device(void)
{
	CHECK_EQ(sh("host unplug plug"), 0);
}

static void plug_device(void)
{
	CHECK_EQ(sh("host plug plug"), 0);
}

/* Ways in which a drive goes and comes. */
struct way {
	const char *name;
	void (*go)(void);
	void (*come)(void);
};

static const struct way ways[] = {
	{ "driver_unbind", unbind_driver, bind_driver },
	{ "sysfs_remove", remove_device, rescan_bus },
	{ "unplug", unplug_device, plug_device },
};

static void drive_goes_while_idle(const void *arg)
{
	const struct way *way = arg;

	open_all();
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	way->go();
	check_gone();
	way->come();
	check_back();
}

static void drive_goes_during_transfers(const void *arg)
{
	const struct way *way = arg;
	pthread_t threads[LOADERS];

	open_all();
	start_load(threads);
	way->go();
	for (int i = 0; i < 500 && !__atomic_load_n(&failed, __ATOMIC_RELAXED); i++)
		usleep(20000);
	stop_load(threads);
	note("%llu transfers succeeded, then %llu failed", (unsigned long long)good,
	     (unsigned long long)failed);
	CHECK(good && failed, "%llu and %llu", (unsigned long long)good,
	      (unsigned long long)failed);
	check_gone();
	way->come();
	check_back();
}

static void *close_late(void *arg)
{
	usleep(100000);
	close(binding);
	return NULL;
}

/* Unbinding the buffer and unbinding the drive at the same time, both ways round. */
static void binding_is_closed_while_the_drive_goes(const void *arg)
{
	open_all();
	for (int round = 0; round < 4; round++) {
		pthread_t thread;

		pthread_create(&thread, NULL, close_late, NULL);
		usleep(60000 + round * 20000);
		unbind_driver();
		pthread_join(thread, NULL);
		mock_check_clean(&buf);
		bind_driver();
		disk_relink("drw-plug", 1);
		disk_open(&disk, "plug512");
		binding = OK(drw_bind(buf.fd, disk.fd));
	}
	close(binding);
}

static void exporter_moves_while_the_drive_goes(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC | MOCK_REVERSE, .bytes = BUF_BYTES,
				    .nr_pattern = 1, .pattern = { 4096 } };
	pthread_t threads[LOADERS];

	open_all();
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(mock_storm(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, 1000));
	start_load(threads);
	unbind_driver();
	for (int i = 0; i < 500 && !__atomic_load_n(&failed, __ATOMIC_RELAXED); i++)
		usleep(20000);
	stop_load(threads);
	OK(mock_storm(&buf, 0, 0));
	check_gone();
	bind_driver();
	check_back();
}

/* Nobody looks for the completions of a polled ring, and the drive goes all the same. */
static void drive_goes_while_polled_transfers_wait(const void *arg)
{
	struct dmabuf_rw_info info;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	u64 start;

	open_all();
	OK(drw_info(binding, &info));
	if (!(info.flags & DMABUF_RW_INFO_POLL))
		skip("the drive has no poll queue here");
	drw_ring(&ring, 8, IORING_SETUP_IOPOLL);
	for (int i = 0; i < 8; i++)
		drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_WRITE,
			 AT + i * 128 * KiB, i * 128 * KiB, 128 * KiB, 0);
	CHECK_EQ(io_uring_submit(&ring), 8);
	start = now_us();
	unbind_driver();
	CHECK(now_us() - start < 10000000, "unbinding took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	for (int i = 0; i < 8; i++) {
		OK(drw_wait_cqe(&ring, &cqe));
		CHECK(cqe->res == 128 * KiB || cqe->res == -ENODEV, "%d", cqe->res);
		io_uring_cqe_seen(&ring, cqe);
	}
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0), ENODEV);
	io_uring_queue_exit(&ring);
	check_gone();
	bind_driver();
	check_back();
}

static void *check_loop(void *arg)
{
	u64 index = (uintptr_t)arg, off = index * 256 * KiB, at = AT + off, tag = index << 32;
	u8 *want = data_alloc(256 * KiB), *got = data_alloc(256 * KiB);
	struct io_uring ring;
	bool use_ring = index & 1;

	if (use_ring)
		drw_ring(&ring, 4, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		data_fill(want, 256 * KiB, tag++, 0);
		buf_put(&buf, off, want, 256 * KiB);
		for (int op = DMABUF_RW_OP_WRITE; op >= DMABUF_RW_OP_READ; op--) {
			s64 n = use_ring ? drw_ring_io(&ring, binding, op, at, off,
						       256 * KiB, 0)
					 : drw_io(binding, op, at, off, 256 * KiB, 0);

			CHECK_EQ(n, 256 * KiB, "op %d", op);
			if (op == DMABUF_RW_OP_WRITE)
				buf_put(&buf, off, got, 256 * KiB);
		}
		buf_get(&buf, off, got, 256 * KiB);
		data_check("slice", got, want, 256 * KiB, off);
		__atomic_add_fetch(&good, 1, __ATOMIC_RELAXED);
	}
	if (use_ring)
		io_uring_queue_exit(&ring);
	return NULL;
}

static void controller_reset_loses_nothing(const void *arg)
{
	pthread_t threads[LOADERS];
	struct dmabuf_rw_info info;
	char ctrl[128];

	open_all();
	stop = false;
	for (uintptr_t i = 0; i < LOADERS; i++)
		pthread_create(&threads[i], NULL, check_loop, (void *)i);
	snprintf(ctrl, sizeof(ctrl), "cd /sys/bus/pci/devices/%s/nvme/nvme* && "
		 "echo 1 >reset_controller", pci);
	for (int i = 0; i < 8; i++) {
		u64 before = __atomic_load_n(&good, __ATOMIC_RELAXED);

		CHECK_EQ(sh("%s", ctrl), 0);
		for (int j = 0; j < 500 &&
		     __atomic_load_n(&good, __ATOMIC_RELAXED) < before + 3; j++)
			usleep(10000);
	}
	stop_load(threads);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.errors, 0);
	CHECK(good > 8, "%llu", (unsigned long long)good);
	close(binding);
	mock_check_clean(&buf);
}

static void other_drives_do_not_notice(const void *arg)
{
	struct disk other;
	int b;

	open_all();
	disk_open(&other, "priv512");
	b = OK(drw_bind(buf.fd, other.fd));
	disk_fill(&other, AT, 256 * KiB, 5, 0);
	unbind_driver();
	FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
	CHECK_EQ(drw_read(b, AT, 0, 256 * KiB), 256 * KiB);
	buf_check(&buf, 0, 256 * KiB, 5, 0);
	close(binding);
	bind_driver();
	disk_relink("drw-plug", 1);
	CHECK_EQ(drw_read(b, AT, 0, 256 * KiB), 256 * KiB);
	close(b);
	mock_check_clean(&buf);
}

/*
 * The drive has few places to log failed commands, and a bind can be repeated by anybody who
 * may bind at all.
 */
static void drive_is_tested_once_for_each_driver(const void *arg)
{
	static struct trace_event events[4096];
	unsigned int nr, behind = 0;

	open_all();
	close(binding);
	for (int round = 0; round < 2; round++) {
		close(disk.fd);
		unbind_driver();
		bind_driver();
		disk_relink("drw-plug", 1);
		disk_open(&disk, "plug512");
		trace_start(&disk);
		for (int i = 0; i < 50; i++)
			close(OK(drw_bind(buf.fd, disk.fd)));
		nr = trace_stop(events, ARRAY_SIZE(events));
		for (unsigned int i = 0; i < nr; i++)
			behind += !events[i].end && events[i].lba >= disk.bytes / disk.lba;
		note("%u reads, %u of them behind the end", trace_count(events, nr, false),
		     behind);
		CHECK(trace_count(events, nr, false) <= 8, "for 50 binds");
	}
	CHECK(behind <= 2, "%u commands that fail", behind);
	mock_check_clean(&buf);
}

/*
 * A controller owns the commands that it was given until a reset has disabled it, so an
 * invalidation may have to wait for that, but for nothing that waits for the reset's end.
 */

#define BATCH	32

static bool batched;

static void *load_in_batches(void *arg)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	drw_ring(&ring, BATCH, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < BATCH; i++) {
			drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ,
				 AT + i * 4096, i * 4096, 4096, 0);
			if (!batched)
				CHECK_EQ(io_uring_submit(&ring), 1);
		}
		if (batched)
			CHECK_EQ(io_uring_submit(&ring), BATCH);
		for (int i = 0; i < BATCH; i++) {
			OK(drw_wait_cqe(&ring, &cqe));
			CHECK_EQ(cqe->res, 4096);
			io_uring_cqe_seen(&ring, cqe);
		}
		__atomic_add_fetch(&good, BATCH, __ATOMIC_RELAXED);
	}
	io_uring_queue_exit(&ring);
	return NULL;
}

static u64 longest_reset;

static void *reset_again_and_again(void *arg)
{
	const char *name = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		u64 start = now_us();

		OK(spit("1", name));
		longest_reset = MAX(longest_reset, now_us() - start);
		usleep(20000);
	}
	return NULL;
}

static void moves_wait_no_longer_than_a_reset(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES };
	struct mock_invalidate inv = {};
	pthread_t loaders[2], resetter;
	u64 sum = 0, most = 0, slow = 0;
	char name[128];
	int n;

	batched = arg;
	open_all();
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	for (n = 0; n < 100; n++) {
		snprintf(name, sizeof(name), "/sys/bus/pci/devices/%s/nvme/nvme%d/reset_controller",
			 pci, n);
		if (!access(name, F_OK))
			break;
	}
	stop = false;
	for (int i = 0; i < 2; i++)
		pthread_create(&loaders[i], NULL, load_in_batches, NULL);
	pthread_create(&resetter, NULL, reset_again_and_again, name);
	n = 0;
	for (u64 end = now_us() + 10000000; now_us() < end; n++) {
		OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, &inv));
		sum += inv.callback_us;
		most = MAX(most, inv.callback_us);
		slow += inv.callback_us > 20000;
		usleep(3000 + n % 7 * 1000);
	}
	stop = true;
	pthread_join(resetter, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(loaders[i], NULL);
	CHECK(most < longest_reset + 5000000, "%llu ms", (unsigned long long)most / 1000);
	note("%d moves, %llu transfers, resets up to %llu us; callbacks: average %llu us, "
	     "longest %llu us, %llu over 20 ms",
	     n, (unsigned long long)good, (unsigned long long)longest_reset,
	     (unsigned long long)sum / n, (unsigned long long)most, (unsigned long long)slow);
	close(binding);
	mock_check_clean(&buf);
}

static void add(void)
{
	test_limit(90);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		test_add(drive_goes_while_idle, &ways[i], "drive_goes_while_idle.%s",
			 ways[i].name);
		test_add(drive_goes_during_transfers, &ways[i],
			 "drive_goes_during_transfers.%s", ways[i].name);
	}
	TEST(binding_is_closed_while_the_drive_goes);
	TEST(exporter_moves_while_the_drive_goes);
	TEST(drive_goes_while_polled_transfers_wait);
	TEST(controller_reset_loses_nothing);
	TEST(other_drives_do_not_notice);
	TEST(drive_is_tested_once_for_each_driver);
	test_add(moves_wait_no_longer_than_a_reset, NULL,
		 "moves_wait_no_longer_than_a_reset.single");
	test_add(moves_wait_no_longer_than_a_reset, "b",
		 "moves_wait_no_longer_than_a_reset.batched");
}

const struct program program = {
	"hotplug", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
