// SPDX-License-Identifier: GPL-2.0
/*
 * multipath.c - namespaces with two controllers: paths that go, fail, reset and return
 * under load.
 *
 * The promise is that a transfer does not fail while any path works, and that it moves
 * each byte where it belongs although it may be tried on more than one path.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(1 * MiB)
#define AT		(16 * MiB)
#define LOADERS		4
#define SLICE		(256 * KiB)
#define TIMEOUT_PARAM	"/sys/module/dmabuf_rw/parameters/path_timeout"

static struct disk disk;
static struct buf buf;
static int binding;
static char pci[2][32];

static bool stop;
static u64 good;

static bool has_driver(int path)
{
	char link[96];

	snprintf(link, sizeof(link), "/sys/bus/pci/drivers/nvme/%s", pci[path]);
	return !access(link, F_OK);
}

static void take(int path)
{
	OK(spit(pci[path], "/sys/bus/pci/drivers/nvme/unbind"));
}

static void give(int path)
{
	OK(spit(pci[path], "/sys/bus/pci/drivers/nvme/bind"));
}

/* Paths that the kernel's own multipath has for the disk, live ones. */
static unsigned int kernel_paths(void)
{
	unsigned int subsys, head, found = 0;
	DIR *d = opendir("/sys/class/nvme");
	struct dirent *e;

	CHECK_EQ(sscanf(disk.name, "nvme%un%u", &subsys, &head), 2, "%s", disk.name);
	while ((e = readdir(d))) {
		char path[128];
		unsigned int ctrl;

		if (sscanf(e->d_name, "nvme%u", &ctrl) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/class/nvme/nvme%u/nvme%uc%un%u", ctrl,
			 subsys, ctrl, head);
		found += !access(path, F_OK) &&
			 !strcmp(slurp("/sys/class/nvme/nvme%u/state", ctrl), "live");
	}
	closedir(d);
	return found;
}

static void wait_kernel_paths(unsigned int count)
{
	for (int i = 0; i < 500 && kernel_paths() != count; i++)
		usleep(20000);
	CHECK_EQ(kernel_paths(), count);
}

static void open_all(const char *role)
{
	if (!machine_has_multipath())
		skip("native multipath is off on this machine");
	snprintf(pci[0], sizeof(pci[0]), "%s", machine_var("DRW_MPA_PCI"));
	snprintf(pci[1], sizeof(pci[1]), "%s", machine_var("DRW_MPB_PCI"));
	/* A test that failed may have left a controller away. */
	for (int i = 0; i < 2; i++)
		if (!has_driver(i))
			spit(pci[i], "/sys/bus/pci/drivers/nvme/bind");
	for (int i = 0; i < 2; i++)
		if (!has_driver(i))
			sh("host plug mp%c", 'A' + i);
	disk_relink("drw-mp", 2);
	disk_open(&disk, role);
	wait_kernel_paths(2);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
}

static void close_all(void)
{
	close(binding);
	mock_check_clean(&buf);
}

static struct dmabuf_rw_info info(void)
{
	struct dmabuf_rw_info i;

	OK(drw_info(binding, &i));
	return i;
}

static void check_works(u64 tag)
{
	disk_fill(&disk, AT, SLICE, tag, 0);
	CHECK_EQ(drw_read(binding, AT, 0, SLICE), SLICE);
	buf_check(&buf, 0, SLICE, tag, 0);
	CHECK_EQ(drw_write(binding, AT + 64 * MiB, 0, SLICE), SLICE);
	disk_check(&disk, AT + 64 * MiB, SLICE, tag, 0);
}

/*
 * Write, scrub the buffer, read back, compare; each loader in its own slices, and in a way of its
 * own.
 */
static void *load(void *arg)
{
	u64 index = (uintptr_t)arg, off = index * SLICE, at = AT + index * MiB;
	u64 tag = index << 32;
	u8 *want = data_alloc(SLICE), *got = data_alloc(SLICE);
	struct io_uring ring;
	bool use_ring = index & 1;

	if (use_ring)
		drw_ring(&ring, 4, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		data_fill(want, SLICE, tag++, 0);
		buf_put(&buf, off, want, SLICE);
		for (int op = DMABUF_RW_OP_WRITE; op >= DMABUF_RW_OP_READ; op--) {
			s64 n = drw_slice(use_ring ? &ring : NULL, index & 2, binding, op, at, off,
					  SLICE);

			CHECK_EQ(n, SLICE, "%s", op ? "write" : "read");
			if (op == DMABUF_RW_OP_WRITE) {
				memset(got, 0x77, SLICE);
				buf_put(&buf, off, got, SLICE);
			}
		}
		buf_get(&buf, off, got, SLICE);
		data_check("slice", got, want, SLICE, off);
		__atomic_add_fetch(&good, 1, __ATOMIC_RELAXED);
	}
	if (use_ring)
		io_uring_queue_exit(&ring);
	return NULL;
}

static void start_load(pthread_t *threads)
{
	stop = false;
	good = 0;
	for (uintptr_t i = 0; i < LOADERS; i++)
		pthread_create(&threads[i], NULL, load, (void *)i);
}

static void stop_load(pthread_t *threads)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < LOADERS; i++)
		pthread_join(threads[i], NULL);
}

/*
 * Let the load get on by some rounds. QEMU 10 may forget the commands of one controller when
 * another one with the same namespace is unplugged; the driver then resets it, after two
 * timeouts of 30 s (nvme_core.io_timeout), and the load must go on as if nothing had been.
 */
static void let_run(u64 rounds)
{
	u64 start = __atomic_load_n(&good, __ATOMIC_RELAXED);

	for (int i = 0; i < 12000; i++) {
		if (__atomic_load_n(&good, __ATOMIC_RELAXED) >= start + rounds)
			return;
		usleep(10000);
	}
	FAIL("the load stands still");
}

static void head_is_bound_by_all_its_paths(const void *arg)
{
	struct mock_query q;

	open_all("mp512");
	CHECK_EQ(info().paths, 2);
	CHECK(info().flags & DMABUF_RW_INFO_MULTIPATH);
	CHECK(info().nvme_pci == pci_number(pci[0]) || info().nvme_pci == pci_number(pci[1]),
	      "%#x", info().nvme_pci);
	mock_query(&buf, &q);
	CHECK_EQ(q.attached, 2);
	CHECK_EQ(q.mapped, 2);
	check_works(1);
	CHECK_EQ(info().failovers, 0);
	close_all();
}

/* Either path may be the one in use. */
static void path_goes_while_idle(const void *arg)
{
	for (int path = 0; path < 2; path++) {
		struct mock_query q;

		open_all(arg);
		check_works(1);
		take(path);
		mock_query(&buf, &q);
		CHECK_EQ(q.attached, 1, "a mapping for a drive without driver");
		check_works(2);
		CHECK_EQ(info().paths, 1);
		CHECK_EQ(info().nvme_pci, pci_number(pci[!path]));
		give(path);
		wait_kernel_paths(2);
		check_works(3);
		/* The one that has come back must be taken into use when the other goes. */
		take(!path);
		check_works(4);
		CHECK_EQ(info().nvme_pci, pci_number(pci[path]));
		CHECK(info().failovers, "none counted");
		give(!path);
		wait_kernel_paths(2);
		close_all();
	}
}

static void paths_go_and_come_under_load(const void *arg)
{
	pthread_t threads[LOADERS];

	open_all(arg);
	start_load(threads);
	let_run(4);
	for (int i = 0; i < 6; i++) {
		take(i & 1);
		let_run(6);
		give(i & 1);
		wait_kernel_paths(2);
		let_run(2);
	}
	stop_load(threads);
	note("%llu rounds, %llu failovers, %llu errors", (unsigned long long)good,
	     (unsigned long long)info().failovers, (unsigned long long)info().errors);
	CHECK_EQ(info().errors, 0);
	CHECK(info().failovers > 1, "%llu", (unsigned long long)info().failovers);
	close_all();
}

/* The path's disk goes, its controller stays. What is in flight then fails, as in pread(2). */
static void namespace_leaves_a_controller(const void *arg)
{
	open_all("mp512");
	check_works(1);
	for (int i = 0; i < 4; i++) {
		if (!disk_attach(&disk, pci[i & 1], false))
			skip("the drive does not detach namespaces");
		wait_kernel_paths(1);
		check_works(2 + i);
		CHECK_EQ(info().nvme_pci, pci_number(pci[!(i & 1)]));
		CHECK(disk_attach(&disk, pci[i & 1], true));
		wait_kernel_paths(2);
	}
	CHECK_EQ(info().errors, 0);
	CHECK(info().failovers, "none counted");
	close_all();
}

static void controllers_reset_under_load(const void *arg)
{
	pthread_t threads[LOADERS];

	open_all("mp512");
	start_load(threads);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(sh("cd /sys/bus/pci/devices/%s/nvme/nvme* && "
			    "echo 1 >reset_controller", pci[i & 1]), 0);
		let_run(4);
	}
	stop_load(threads);
	CHECK_EQ(info().errors, 0);
	close_all();
}

/* Pulled, not asked: commands in flight never come back by themselves. */
static void path_is_unplugged_under_load(const void *arg)
{
	pthread_t threads[LOADERS];

	open_all("mp4k");
	start_load(threads);
	let_run(4);
	CHECK_EQ(sh("host unplug mpA"), 0);
	let_run(6);
	CHECK_EQ(sh("host plug mpA"), 0);
	wait_kernel_paths(2);
	let_run(2);
	take(1);
	let_run(6);
	stop_load(threads);
	CHECK_EQ(info().errors, 0);
	give(1);
	wait_kernel_paths(2);
	close_all();
}

static void exporter_moves_while_paths_change(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC | MOCK_REVERSE, .bytes = BUF_BYTES,
				    .nr_pattern = 1, .pattern = { 8192 } };
	pthread_t threads[LOADERS];

	open_all("mp512");
	close(binding);
	buf_create_mock(&buf, &args);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(mock_storm(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, 2000));
	start_load(threads);
	for (int i = 0; i < 4; i++) {
		take(i & 1);
		let_run(3);
		give(i & 1);
		wait_kernel_paths(2);
	}
	stop_load(threads);
	OK(mock_storm(&buf, 0, 0));
	CHECK_EQ(info().errors, 0);
	close_all();
}

/* Bound when one path was away; the other must be found later. */
static void binding_finds_paths_that_come_later(const void *arg)
{
	open_all("mp512");
	close(binding);
	take(0);
	binding = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(info().paths, 1);
	check_works(1);
	give(0);
	wait_kernel_paths(2);
	take(1);
	check_works(2);
	CHECK_EQ(info().nvme_pci, pci_number(pci[0]));
	give(1);
	wait_kernel_paths(2);
	close_all();
}

/*
 * With no path left the kernel keeps the head for a time, if told so; transfers wait for
 * path_timeout and then say ENOLINK, and go on when a path comes back.
 */
static void no_path_is_ENOLINK_until_one_returns(const void *arg)
{
	char old[16], attr[96];
	struct io_uring ring;
	u64 start;

	open_all("mp512");
	snprintf(attr, sizeof(attr), "/sys/block/%s/delayed_removal_secs", disk.name);
	if (access(attr, F_OK))
		skip("this kernel removes a head with its last path");
	drw_ring(&ring, 4, 0);
	snprintf(old, sizeof(old), "%s", slurp(TIMEOUT_PARAM));
	OK(spit("2", TIMEOUT_PARAM));
	OK(spit("60", "%s", attr));
	take(0);
	take(1);
	start = now_us();
	FAILS(drw_read(binding, AT, 0, 4096), ENOLINK);
	CHECK(now_us() - start > 1000000 && now_us() - start < 15000000, "after %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0, 4096, 0), ENOLINK);

	/* A transfer that waits gets its path. */
	OK(spit("30", TIMEOUT_PARAM));
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READ, AT, 0, SLICE, 0);
	OK(io_uring_submit(&ring));
	usleep(300000);
	give(1);
	give(0);
	struct io_uring_cqe *cqe;

	OK(drw_wait_cqe(&ring, &cqe));
	CHECK_EQ(cqe->res, SLICE);
	io_uring_cqe_seen(&ring, cqe);
	wait_kernel_paths(2);
	check_works(3);
	OK(spit("0", "%s", attr));
	OK(spit(old, TIMEOUT_PARAM));
	io_uring_queue_exit(&ring);
	close_all();
}

/* The last path takes the head with it. */
static void removed_head_is_ENODEV(const void *arg)
{
	struct mock_query q;

	open_all("mp512");
	take(0);
	take(1);
	FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
	FAILS(drw_write(binding, AT, 0, 4096), ENODEV);
	FAILS(drw_bind(buf.fd, disk.fd), ENODEV);
	mock_query(&buf, &q);
	CHECK_EQ(q.attached, 0);
	CHECK_EQ(info().paths, 0);
	give(0);
	give(1);
	disk_relink("drw-mp", 2);
	/* Another disk as far as the kernel is concerned. */
	FAILS(drw_read(binding, AT, 0, 4096), ENODEV);
	close_all();
	open_all("mp512");
	check_works(5);
	close_all();
}

/* Many comings and goings must not wear a binding out. */
static void binding_survives_many_returns(const void *arg)
{
	open_all("mp512");
	for (int i = 0; i < 18; i++) {
		take(0);
		CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096, "return %d", i);
		give(0);
		wait_kernel_paths(2);
		take(1);
		CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096, "return %d", i);
		give(1);
		wait_kernel_paths(2);
	}
	check_works(6);
	close_all();
}

static void *bind_to(void *arg)
{
	*(int *)arg = drw_bind(buf.fd, disk.fd);
	return NULL;
}

/*
 * A bind finds two paths, and one of them goes while it is at the first: nothing may be made
 * for a device that has lost its driver.
 */
static void path_goes_while_a_bind_lasts(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES };
	int path = *(const int *)arg;
	pthread_t thread;

	open_all("mp512");
	close(binding);
	buf_create_mock(&buf, &args);
	OK(mock_fault(&buf, (struct mock_fault){ .attach_ms = 8000 }));
	pthread_create(&thread, NULL, bind_to, &binding);
	usleep(500000);
	OK(spit("1", "/sys/bus/pci/devices/%s/remove", pci[path]));
	pthread_join(thread, NULL);
	OK(binding);
	CHECK_EQ(info().paths, 1);
	check_works(1);
	close_all();
	OK(spit("1", "/sys/bus/pci/rescan"));
	disk_relink("drw-mp", 2);
	wait_kernel_paths(2);
}

static void add(void)
{
	static const int both[] = { 0, 1 };

	/* More than QEMU's lost commands take, twice: see let_run(). */
	test_limit(270);
	TEST(head_is_bound_by_all_its_paths);
	test_add(path_goes_while_idle, "mp512", "path_goes_while_idle.mp512");
	test_add(path_goes_while_idle, "mp4kp1", "path_goes_while_idle.mp4kp1");
	test_add(path_goes_while_a_bind_lasts, &both[0], "path_goes_while_a_bind_lasts.first");
	test_add(path_goes_while_a_bind_lasts, &both[1], "path_goes_while_a_bind_lasts.second");
	TEST(binding_finds_paths_that_come_later);
	test_add(paths_go_and_come_under_load, "mp512", "paths_go_and_come_under_load.mp512");
	TEST(namespace_leaves_a_controller);
	TEST(controllers_reset_under_load);
	TEST(exporter_moves_while_paths_change);
	TEST(path_is_unplugged_under_load);
	TEST(binding_survives_many_returns);
	TEST(no_path_is_ENOLINK_until_one_returns);
	TEST(removed_head_is_ENODEV);
}

const struct program program = {
	"multipath", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
