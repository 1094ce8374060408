// SPDX-License-Identifier: GPL-2.0
/*
 * invalidate.c - buffers that their exporter moves, breaks and revokes, idle and under
 * load.
 *
 * The mock poisons a place as soon as the buffer has left it. So a transfer that writes
 * there late is counted, and one that reads there late brings poison.
 *
 * All invalidations are forced: kernels without CONFIG_DMABUF_MOVE_NOTIFY pin a mapped
 * buffer, and the callback must work there too.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "kernel_way.h"

#define BUF_BYTES	(1 * MiB)
#define AT		(16 * MiB)
#define MOVE		(MOCK_INV_MOVE | MOCK_INV_FORCE)

static struct disk disk;
static struct buf buf;
static int binding;

static const struct mock_create scattered = {
	.flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 3, .gap = 4096,
	.pattern = { 4096, 16384, 65536 },
};

static void open_all(const char *role, const struct mock_create *args)
{
	disk_open(&disk, role);
	buf_create_mock(&buf, args);
	binding = OK(drw_bind(buf.fd, disk.fd));
}

static void close_all(void)
{
	drw_unbind(binding);
	drw_check_clean(&buf);
}

/* Only the module tells of these. */
static void check_remaps(u64 nr)
{
	struct dmabuf_rw_info info;

	OK(drw_info(binding, &info));
	if (!drw_way)
		CHECK_EQ(info.remaps, nr);
}

static void check_remaps_above(u64 nr)
{
	struct dmabuf_rw_info info;

	OK(drw_info(binding, &info));
	CHECK(drw_way || info.remaps > nr, "%llu", (unsigned long long)info.remaps);
}

static void check_mapped(bool mapped)
{
	struct dmabuf_rw_info info;

	OK(drw_info(binding, &info));
	if (!drw_way)
		CHECK_EQ(!!(info.flags & DMABUF_RW_INFO_MAPPED), mapped);
}

static void idle_buffer_is_unmapped_and_mapped_again(const void *arg)
{
	struct mock_invalidate inv = {};
	struct mock_query q;

	open_all(arg, &scattered);
	check_mapped(true);
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	for (u64 i = 1; i <= 5; i++) {
		OK(mock_invalidate(&buf, MOVE, &inv));
		CHECK_EQ(inv.mapped, 0, "not unmapped by the callback");
		check_mapped(false);
		mock_query(&buf, &q);
		CHECK_EQ(q.mapped, 0);
		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		/* Nothing maps it before it is needed, and then it comes back. */
		CHECK_EQ(drw_read(binding, AT, 4096, 128 * KiB), 128 * KiB);
		check_mapped(true);
		buf_check(&buf, 0, 4096, 2, 0);
		buf_check(&buf, 4096, 128 * KiB, 1, 0);
		buf_check(&buf, 132 * KiB, BUF_BYTES - 132 * KiB, 2, 132 * KiB);
		check_remaps(i);
	}
	close_all();
}

static void invalidation_without_move_keeps_the_data(const void *arg)
{
	open_all("priv512", &scattered);
	buf_fill(&buf, 0, BUF_BYTES, 3, 0);
	for (int i = 0; i < 3; i++) {
		OK(mock_invalidate(&buf, MOCK_INV_FORCE, NULL));
		CHECK_EQ(drw_write(binding, AT, 0, BUF_BYTES), BUF_BYTES);
		disk_check(&disk, AT, BUF_BYTES, 3, 0);
	}
	check_remaps(3);
	close_all();
}

static void ring_maps_again_too(const void *arg)
{
	struct io_uring ring;

	open_all("priv512", &scattered);
	drw_ring(&ring, 4, 0);
	disk_fill(&disk, AT, BUF_BYTES, 4, 0);
	for (int i = 0; i < 3; i++) {
		OK(mock_invalidate(&buf, MOVE, NULL));
		CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, BUF_BYTES, 0),
			 BUF_BYTES);
		buf_check(&buf, 0, BUF_BYTES, 4, 0);
	}
	check_remaps(3);
	io_uring_queue_exit(&ring);
	close_all();
}

/* One mapping serves all bindings of a buffer, so all must come back. */
static void all_bindings_of_a_buffer_come_back(const void *arg)
{
	struct mock_query q;
	int other;

	open_all("priv512", &scattered);
	other = OK(drw_bind(buf.fd, disk.fd));
	mock_query(&buf, &q);
	/* By the kernel's way each ring has one of its own. */
	CHECK(drw_way || q.mapped == 1, "one drive needs one mapping, not %u", q.mapped);
	disk_fill(&disk, AT, BUF_BYTES, 5, 0);
	OK(mock_invalidate(&buf, MOVE, NULL));
	CHECK_EQ(drw_read(other, AT, 0, BUF_BYTES), BUF_BYTES);
	buf_check(&buf, 0, BUF_BYTES, 5, 0);
	CHECK_EQ(drw_write(binding, AT + BUF_BYTES, 0, BUF_BYTES), BUF_BYTES);
	disk_check(&disk, AT + BUF_BYTES, BUF_BYTES, 5, 0);
	drw_unbind(other);
	CHECK_EQ(drw_write(binding, AT, 0, BUF_BYTES), BUF_BYTES);
	close_all();
}

/* The exporter's fence says when the content has arrived in the new place. */
static void transfer_waits_for_the_move_to_end(const void *arg)
{
	struct mock_invalidate inv;
	struct io_uring ring;
	u64 start;

	open_all("priv512", &scattered);
	drw_ring(&ring, 4, 0);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		buf_fill(&buf, 0, BUF_BYTES, 6 + use_ring, 0);
		inv = (struct mock_invalidate){ .fence_ms = 400 };
		OK(mock_invalidate(&buf, MOVE, &inv));
		start = now_us();
		if (use_ring)
			CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0,
					     BUF_BYTES, 0), BUF_BYTES);
		else
			CHECK_EQ(drw_write(binding, AT, 0, BUF_BYTES), BUF_BYTES);
		CHECK(now_us() - start > 100000, "only %llu us",
		      (unsigned long long)(now_us() - start));
		disk_check(&disk, AT, BUF_BYTES, 6 + use_ring, 0);

		/* A read that came too early would be overwritten by the move. */
		disk_fill(&disk, AT, BUF_BYTES, 8 + use_ring, 0);
		OK(mock_invalidate(&buf, MOVE, &inv));
		if (use_ring)
			CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0,
					     BUF_BYTES, 0), BUF_BYTES);
		else
			CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
		buf_check(&buf, 0, BUF_BYTES, 8 + use_ring, 0);
	}
	io_uring_queue_exit(&ring);
	close_all();
}

static void on_alarm(int sig)
{
}

static void signal_ends_the_wait_with_EINTR(const void *arg)
{
	struct mock_invalidate inv = { .fence_ms = 4000 };
	struct sigaction act = { .sa_handler = on_alarm };
	u64 start;

	open_all("priv512", &scattered);
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	OK(mock_invalidate(&buf, MOVE, &inv));
	SYS(sigaction(SIGALRM, &act, NULL));
	start = now_us();
	ualarm(200000, 0);
	FAILS(drw_write(binding, AT, 0, BUF_BYTES), EINTR);
	CHECK(now_us() - start < 3000000, "%llu us", (unsigned long long)(now_us() - start));
	CHECK_EQ(drw_write(binding, AT, 0, BUF_BYTES), BUF_BYTES);
	disk_check(&disk, AT, BUF_BYTES, 1, 0);
	close_all();
}

/* A completion on a ring of the same thread is work for it, but not a signal. */
static void completions_do_not_interrupt_a_call(const void *arg)
{
	struct __kernel_timespec soon = { .tv_nsec = 100000000 };
	struct mock_invalidate inv = { .fence_ms = 500 };
	struct io_uring ring;

	open_all("priv512", &scattered);
	drw_ring(&ring, 4, 0);
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	OK(mock_invalidate(&buf, MOVE, &inv));
	io_uring_prep_timeout(io_uring_get_sqe(&ring), &soon, 0, 0);
	CHECK_EQ(io_uring_submit(&ring), 1);
	CHECK_EQ(drw_write(binding, AT, 0, BUF_BYTES), BUF_BYTES);
	disk_check(&disk, AT, BUF_BYTES, 1, 0);
	io_uring_queue_exit(&ring);
	close_all();
}

static void revoked_buffer_is_ESTALE_for_good(const void *arg)
{
	struct mock_invalidate inv = {};
	struct dmabuf_rw_info info;
	struct io_uring ring;
	char state[32];
	int b;

	open_all(arg, &scattered);
	drw_ring(&ring, 4, 0);
	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	disk_fill(&disk, AT, BUF_BYTES, 2, 0);
	OK(mock_invalidate(&buf, MOCK_INV_REVOKE | MOCK_INV_FORCE, &inv));
	CHECK_EQ(inv.mapped, 0);
	for (int i = 0; i < 2; i++) {
		FAILS(drw_read(binding, AT, 0, 4096), ESTALE);
		FAILS(drw_write(binding, AT, 0, BUF_BYTES), ESTALE);
		FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0), ESTALE);
		FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0, 4096, 0), ESTALE);
	}
	OK(drw_info(binding, &info));
	CHECK(info.flags & DMABUF_RW_INFO_REVOKED, "%#llx", (unsigned long long)info.flags);
	CHECK(!(info.flags & DMABUF_RW_INFO_MAPPED), "%#llx", (unsigned long long)info.flags);
	CHECK_EQ(info.errors, 8);
	CHECK(drw_fdinfo(binding, "state", state, sizeof(state)) && !strcmp(state, "revoked"),
	      "fdinfo says %s", state);

	/* It cannot be bound anew while it is revoked ... */
	b = drw_bind(buf.fd, disk.fd);
	CHECK_EQ(b, -EREMOTEIO);
	/* ... and the old binding is dead even when the exporter changes its mind. */
	OK(mock_invalidate(&buf, MOCK_INV_RESTORE, NULL));
	FAILS(drw_read(binding, AT, 0, 4096), ESTALE);
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	disk_check(&disk, AT, BUF_BYTES, 2, 0);
	b = OK(drw_bind(buf.fd, disk.fd));
	CHECK_EQ(drw_read(b, AT, 0, 4096), 4096);
	close(b);
	io_uring_queue_exit(&ring);
	close_all();
}

/* The same with the real exporter of device memory: it revokes when the device resets. */
static void exporter_that_fails_for_a_while_is_EREMOTEIO(const void *arg)
{
	open_all("priv512", &scattered);
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	OK(mock_fault(&buf, (struct mock_fault){ .map_errno = EBUSY }));
	/* It is mapped still. */
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	OK(mock_invalidate(&buf, MOVE, NULL));
	FAILS(drw_read(binding, AT, 0, 4096), EREMOTEIO);
	FAILS(drw_write(binding, AT, 0, 4096), EREMOTEIO);
	OK(mock_fault(&buf, (struct mock_fault){ .map_errno = ENOMEM }));
	FAILS(drw_read(binding, AT, 0, 4096), EREMOTEIO);
	/* That is what an exporter says while it evicts, too. */
	OK(mock_fault(&buf, (struct mock_fault){ .map_errno = ENOMEM, .map_failures = 3 }));
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	OK(mock_invalidate(&buf, MOVE, NULL));
	OK(mock_fault(&buf, (struct mock_fault){ .length = MOCK_LENGTH_SHORT,
						 .length_by = 512 }));
	FAILS(drw_read(binding, AT, 0, 4096), EREMOTEIO);
	OK(mock_fault(&buf, (struct mock_fault){}));
	CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	close_all();
}

static void addresses_are_checked_again_after_a_move(const void *arg)
{
	struct dmabuf_rw_info info;

	open_all("priv512", &scattered);
	OK(drw_info(binding, &info));
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	OK(mock_fault(&buf, (struct mock_fault){ .addr = MOCK_ADDR_RAW }));
	OK(mock_invalidate(&buf, MOVE, NULL));
	if (info.iommu == DMABUF_RW_IOMMU_TRANSLATED) {
		buf_fill(&buf, 0, BUF_BYTES, 2, 0);
		FAILS(drw_read(binding, AT, 0, 4096), EADDRNOTAVAIL);
		buf_check(&buf, 0, BUF_BYTES, 2, 0);
	} else {
		CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
		buf_check(&buf, 0, BUF_BYTES, 1, 0);
	}
	OK(mock_fault(&buf, (struct mock_fault){}));
	OK(mock_invalidate(&buf, MOVE, NULL));
	CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
	buf_check(&buf, 0, BUF_BYTES, 1, 0);
	close_all();
}

/* As amdgpu does under memory pressure: from the card to RAM and back. */
static void device_memory_flag_holds_after_a_move(const void *arg)
{
	struct mock_create args = mock_bar_args(BUF_BYTES);
	struct dmabuf_rw_info info;
	int any;

	args.flags = MOCK_DYNAMIC;
	args.nr_pattern = 1;
	args.pattern[0] = 65536;
	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	/* Trusted, as a kernel without PCI_P2PDMA knows no way to a BAR but a common switch. */
	binding = OK(drw_bind_why(buf.fd, disk.fd, DMABUF_RW_BIND_DEVICE_MEMORY |
				  DMABUF_RW_BIND_TRUST_ADDRESSES, NULL));
	any = OK(drw_bind(buf.fd, disk.fd));
	disk_fill(&disk, AT, BUF_BYTES, 1, 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(drw_read(binding, AT, 0, BUF_BYTES), BUF_BYTES);
		OK(drw_info(binding, &info));
		CHECK_EQ(info.mem_class, DMABUF_RW_CLASS_BAR);

		OK(mock_invalidate(&buf, MOVE | MOCK_INV_RAM, NULL));
		FAILS(drw_read(binding, AT, 0, 4096), EXDEV);
		FAILS(drw_write(binding, AT, 0, 4096), EXDEV);
		/* Who did not insist goes on, and is told. */
		CHECK_EQ(drw_read(any, AT, 0, BUF_BYTES), BUF_BYTES);
		OK(drw_info(any, &info));
		CHECK_EQ(info.mem_class, DMABUF_RW_CLASS_RAM);
		buf_check(&buf, 0, BUF_BYTES, 1, 0);

		OK(mock_invalidate(&buf, MOVE | MOCK_INV_BAR, NULL));
		CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	}
	close(any);
	close_all();
}

/* ---- under load --------------------------------------------------------------- */

static bool stop;
static u64 transfers;

/* Each loader owns a slice of the buffer and of the disk, and knows what is in them. */
struct loader {
	pthread_t thread;
	u32 index;
	bool ring;
};

#define SLICE		(128 * KiB)
#define LOADERS		4

static void *load(void *arg)
{
	struct loader *l = arg;
	u64 at = AT + l->index * 4 * MiB, off = l->index * SLICE, tag = l->index * 1000;
	struct rng rng = { harness_seed() + l->index };
	u8 *mem = data_alloc(SLICE), *want = data_alloc(SLICE);
	struct io_uring ring;

	if (l->ring)
		drw_ring(&ring, 8, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		u64 len = rng_step(&rng, 4096, SLICE, 4096);
		s64 n;

		tag++;
		data_fill(want, len, tag, 0);
		/* Buffer to disk, disk to buffer elsewhere: the data must make the round. */
		buf_put(&buf, off, want, len);
		n = l->ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, at, off, len, 0)
			    : drw_write(binding, at, off, len);
		CHECK_EQ(n, len, "write");
		memset(mem, 0, len);
		buf_put(&buf, off, mem, len);
		n = l->ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, at, off, len, 0)
			    : drw_read(binding, at, off, len);
		CHECK_EQ(n, len, "read");
		buf_get(&buf, off, mem, len);
		data_check("slice", mem, want, len, off);
		__atomic_add_fetch(&transfers, 2, __ATOMIC_RELAXED);
	}
	if (l->ring)
		io_uring_queue_exit(&ring);
	return NULL;
}

static void start_load(struct loader *loaders)
{
	stop = false;
	transfers = 0;
	for (u32 i = 0; i < LOADERS; i++) {
		loaders[i].index = i;
		loaders[i].ring = i & 1;
		pthread_create(&loaders[i].thread, NULL, load, &loaders[i]);
	}
}

static void stop_load(struct loader *loaders)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (u32 i = 0; i < LOADERS; i++)
		pthread_join(loaders[i].thread, NULL);
	CHECK(transfers, "no transfer was done meanwhile");
}

static void moves_under_load_lose_nothing(const void *arg)
{
	struct loader loaders[LOADERS];
	u64 worst = 0, until;
	int moves = 0;

	open_all(arg, &scattered);
	start_load(loaders);
	until = now_us() + 6000000;
	while (now_us() < until) {
		struct mock_invalidate inv = { .fence_ms = moves % 5 == 4 ? 20 : 0 };

		OK(mock_invalidate(&buf, MOVE, &inv));
		CHECK_EQ(inv.mapped, 0, "still mapped when the callback returned");
		worst = MAX(worst, inv.callback_us);
		moves++;
		usleep(10000);
	}
	stop_load(loaders);
	note("%d moves, %llu transfers, slowest callback %llu us", moves,
	     (unsigned long long)transfers, (unsigned long long)worst);
	CHECK(moves > 5, "%d", moves);
	check_remaps_above(3);
	close_all();
}

/* However slow the machine is. */
static void storm_until(u32 flags, u32 period_us, u64 invalidations)
{
	struct mock_query q;

	OK(mock_storm(&buf, flags, period_us));
	sleep(3);
	for (mock_query(&buf, &q); q.invalidations <= invalidations; mock_query(&buf, &q))
		usleep(100000);
}

static void storm_lets_transfers_through(const void *arg)
{
	struct loader loaders[LOADERS];
	struct mock_query q;

	open_all(arg, &scattered);
	start_load(loaders);
	storm_until(MOCK_INV_FORCE, 500, 10);
	storm_until(MOVE, 2000, 20);
	OK(mock_storm(&buf, 0, 0));
	stop_load(loaders);
	mock_query(&buf, &q);
	note("%llu invalidations, %llu transfers", (unsigned long long)q.invalidations,
	     (unsigned long long)transfers);
	CHECK(q.invalidations > 20, "%llu", (unsigned long long)q.invalidations);
	close_all();
}

static void bindings_come_and_go_in_a_storm(const void *arg)
{
	open_all("priv512", &scattered);
	disk_fill(&disk, AT, 64 * KiB, 1, 0);
	OK(mock_storm(&buf, MOVE, 300));
	for (int i = 0; i < 100; i++) {
		int b = OK(drw_bind(buf.fd, disk.fd));

		CHECK_EQ(drw_read(b, AT, 0, 64 * KiB), 64 * KiB);
		drw_unbind(b);
	}
	OK(mock_storm(&buf, 0, 0));
	buf_check(&buf, 0, 64 * KiB, 1, 0);
	close_all();
}

static void *hammer(void *arg)
{
	s64 n;

	do {
		n = drw_read(binding, AT, 0, 128 * KiB);
		/* By the kernel's way the errno is whatever the exporter says. */
		CHECK(n == 128 * KiB || (drw_way ? n < 0 : n == -ESTALE), "%lld", (long long)n);
		__atomic_add_fetch(&transfers, 1, __ATOMIC_RELAXED);
	} while (n > 0);
	return NULL;
}

static void revocation_under_load_stops_all(const void *arg)
{
	struct mock_invalidate inv = {};
	pthread_t threads[4];
	struct mock_query q;

	open_all(arg, &scattered);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, hammer, NULL);
	usleep(500000);
	OK(mock_invalidate(&buf, MOCK_INV_REVOKE | MOCK_INV_FORCE, &inv));
	CHECK_EQ(inv.mapped, 0);
	/* From here on nobody writes. */
	buf_fill(&buf, 0, BUF_BYTES, 9, 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	buf_check(&buf, 0, BUF_BYTES, 9, 0);
	mock_query(&buf, &q);
	CHECK_EQ(q.mapped, 0);
	CHECK(transfers > 4, "%llu", (unsigned long long)transfers);
	close_all();
}

/* Nothing that others wait for may be published, or memory management could deadlock. */
static void no_fence_is_published(const void *arg)
{
	struct loader loaders[LOADERS];

	open_all("priv512", &scattered);
	start_load(loaders);
	for (int i = 0; i < 100; i++) {
		/* Readable and writable: no fence of any importer is pending. */
		struct pollfd p = { .fd = buf.fd, .events = POLLIN | POLLOUT };

		SYS(poll(&p, 1, 0));
		CHECK_EQ(p.revents, POLLIN | POLLOUT);
		usleep(2000);
	}
	stop_load(loaders);
	close_all();
}

static void *bind_to(void *arg)
{
	*(int *)arg = drw_bind(buf.fd, disk.fd);
	return NULL;
}

/* Its attach lasts; other buffers are bound and unbound for the same drive meanwhile. */
static void slow_exporter_delays_nobody_else(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = BUF_BYTES };
	pthread_t thread;
	struct buf other;
	u64 start;
	int b;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	buf_create_mock(&other, &args);
	OK(mock_fault(&buf, (struct mock_fault){ .attach_ms = 4000 }));
	pthread_create(&thread, NULL, bind_to, &binding);
	usleep(200000);
	start = now_us();
	b = OK(drw_bind(other.fd, disk.fd));
	CHECK_EQ(drw_read(b, AT, 0, 4096), 4096);
	drw_unbind(b);
	CHECK(now_us() - start < 2000000, "%llu ms", (unsigned long long)(now_us() - start) / 1000);
	drw_check_clean(&other);
	pthread_join(thread, NULL);
	OK(binding);
	close_all();
}

static void add(void)
{
	test_limit(90);
	both_ways_from_here(true);
	test_add(idle_buffer_is_unmapped_and_mapped_again, "priv512",
		 "idle_buffer_is_unmapped_and_mapped_again.priv512");
	test_add(idle_buffer_is_unmapped_and_mapped_again, "mp4k",
		 "idle_buffer_is_unmapped_and_mapped_again.mp4k");
	TEST(invalidation_without_move_keeps_the_data);
	TEST(ring_maps_again_too);
	TEST(all_bindings_of_a_buffer_come_back);
	TEST(transfer_waits_for_the_move_to_end);
	TEST(completions_do_not_interrupt_a_call);
	test_add(moves_under_load_lose_nothing, "priv512",
		 "moves_under_load_lose_nothing.priv512");
	test_add(moves_under_load_lose_nothing, "mp4k", "moves_under_load_lose_nothing.mp4k");
	test_add(storm_lets_transfers_through, "priv4k",
		 "storm_lets_transfers_through.priv4k");
	TEST(bindings_come_and_go_in_a_storm);
	test_add(revocation_under_load_stops_all, "priv512",
		 "revocation_under_load_stops_all.priv512");
	test_add(revocation_under_load_stops_all, "mp512",
		 "revocation_under_load_stops_all.mp512");
	TEST(slow_exporter_delays_nobody_else);

	/* Where the two ways differ: the table in docs/design.md. */
	both_ways_from_here(false);
	/* The kernel's own interface lets a worker wait, which hears of no signal. */
	TEST(signal_ends_the_wait_with_EINTR);
	/* It does not tell a revocation from a move, and passes on what the exporter says. */
	test_add(revoked_buffer_is_ESTALE_for_good, "priv512",
		 "revoked_buffer_is_ESTALE_for_good.priv512");
	test_add(revoked_buffer_is_ESTALE_for_good, "mp512",
		 "revoked_buffer_is_ESTALE_for_good.mp512");
	TEST(exporter_that_fails_for_a_while_is_EREMOTEIO);
	/* It looks at no address, and does not know where a buffer lies. */
	TEST(addresses_are_checked_again_after_a_move);
	TEST(device_memory_flag_holds_after_a_move);
	/* Whether it publishes fences is not in the hands of this project. */
	TEST(no_fence_is_published);
}

const struct program program = {
	"invalidate", add, .machines = MACHINES_IOMMU_OR_NOT, .debug = true,
};
