// SPDX-License-Identifier: GPL-2.0
/*
 * coherence.c - direct transfers, the page cache, mappings and O_DIRECT of the same disk
 * agree, one after the other and all at once.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(2 * MiB)
#define AT		(16 * MiB)
#define LEN		(256 * KiB)

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static int binding, cached;
static u8 *mem, *want;

static void open_all(const char *role)
{
	disk_open(&disk, role);
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	/* The cache belongs to the device, not to the descriptor: bind the O_DIRECT one. */
	binding = OK(drw_bind(buf.fd, disk.fd));
	cached = disk_fd(&disk, O_RDWR);
	drw_ring(&ring, 8, 0);
	mem = data_alloc(4 * MiB);
	want = data_alloc(4 * MiB);
}

static void transfer(bool use_ring, enum dmabuf_rw_op op, u64 at, u64 off, u64 len)
{
	s64 n = use_ring ? drw_ring_io(&ring, binding, op, at, off, len, 0)
			 : drw_io(binding, op, at, off, len, 0);

	CHECK_EQ(n, len, "%s", op ? "write" : "read");
}

static void cached_write(u64 at, u64 len, u64 tag)
{
	data_fill(mem, len, tag, at);
	CHECK_EQ(pwrite(cached, mem, len, at), len);
}

static void cached_check(u64 at, u64 len, u64 tag)
{
	CHECK_EQ(pread(cached, mem, len, at), len);
	data_fill(want, len, tag, at);
	data_check("cached read", mem, want, len, at);
}

static void direct_read_sees_dirty_cache(const void *arg)
{
	open_all(arg);
	for (int round = 0; round < 6; round++) {
		u64 at = AT + round * MiB;

		disk_fill(&disk, at, LEN, 1, at);
		cached_write(at + 4096, LEN - 8192, 2 + round);
		buf_fill(&buf, 0, BUF_BYTES, 3, 0);
		transfer(round & 1, DMABUF_RW_OP_READ, at, 0, LEN);
		buf_check(&buf, 0, 4096, 1, at);
		buf_check(&buf, 4096, LEN - 8192, 2 + round, at + 4096);
		buf_check(&buf, LEN - 4096, 4096, 1, at + LEN - 4096);
	}
}

static void cached_read_sees_direct_write(const void *arg)
{
	open_all(arg);
	for (int round = 0; round < 6; round++) {
		disk_fill(&disk, AT, LEN, 10 + round, AT);
		/* In the cache now. */
		cached_check(AT, LEN, 10 + round);
		buf_fill(&buf, 4096, LEN - 8192, 20 + round, AT + 4096);
		transfer(round & 1, DMABUF_RW_OP_WRITE, AT + 4096, 4096, LEN - 8192);
		cached_check(AT, 4096, 10 + round);
		cached_check(AT + 4096, LEN - 8192, 20 + round);
		cached_check(AT + LEN - 4096, 4096, 10 + round);
	}
}

static void mapping_sees_direct_write(const void *arg)
{
	u8 *map;

	open_all("priv512");
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, cached, AT);
	CHECK(map != MAP_FAILED, "%s", strerror(errno));
	for (int round = 0; round < 6; round++) {
		disk_fill(&disk, AT, LEN, 30 + round, AT);
		data_fill(want, LEN, 30 + round, AT);
		data_check("mapping", map, want, LEN, AT);
		buf_fill(&buf, 0, LEN, 40 + round, AT);
		transfer(round & 1, DMABUF_RW_OP_WRITE, AT, 0, LEN);
		data_fill(want, LEN, 40 + round, AT);
		data_check("mapping after a direct write", map, want, LEN, AT);
	}
}

static void direct_read_sees_dirty_mapping(const void *arg)
{
	u8 *map;

	open_all("priv512");
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, cached, AT);
	CHECK(map != MAP_FAILED, "%s", strerror(errno));
	for (int round = 0; round < 6; round++) {
		disk_fill(&disk, AT, LEN, 1, AT);
		data_fill(map, LEN, 50 + round, AT);
		transfer(round & 1, DMABUF_RW_OP_READ, AT, 8, LEN);
		buf_check(&buf, 8, LEN, 50 + round, AT);
	}
}

/* An LBA may be less than a page: what else is in the page must survive. */
static void direct_write_within_a_dirty_page_loses_no_neighbour(const void *arg)
{
	open_all("priv512");
	for (int round = 0; round < 8; round++) {
		u64 at = AT + round * 512;

		disk_fill(&disk, AT, 8192, 60, AT);
		cached_write(AT, 8192, 61);
		buf_fill(&buf, 0, 512, 62, at);
		transfer(round & 1, DMABUF_RW_OP_WRITE, at, 0, 512);
		cached_check(AT, at - AT, 61);
		cached_check(at, 512, 62);
		cached_check(at + 512, AT + 8192 - at - 512, 61);
		SYS(fsync(cached));
		disk_check(&disk, AT, at - AT, 61, AT);
		disk_check(&disk, at, 512, 62, at);
		disk_check(&disk, at + 512, AT + 8192 - at - 512, 61, at + 512);
	}
}

static void direct_and_O_DIRECT_agree(const void *arg)
{
	open_all(arg);
	for (int round = 0; round < 8; round++) {
		u64 len = disk.lba << round;

		disk_fill(&disk, AT, len, 70 + round, 0);
		transfer(round & 1, DMABUF_RW_OP_READ, AT, 0, len);
		buf_check(&buf, 0, len, 70 + round, 0);
		buf_fill(&buf, 0, len, 80 + round, 0);
		transfer(round & 1, DMABUF_RW_OP_WRITE, AT, 0, len);
		disk_check(&disk, AT, len, 80 + round, 0);
	}
}

/* ---- all at once --------------------------------------------------------------- */

/* A worker owns regions of the disk and remembers what it put into each. */
#define WORKERS		5
#define REGIONS		16	/* for each worker */
#define REGION		(16 * KiB)

enum access { CACHED, O_DIRECT_FD, MAPPED, SYNC, RING, ACCESSES };

struct worker {
	u32 index;
	u32 rounds;
	u32 unit;		/* regions interleave in steps of this */
	u32 allowed;		/* bits of enum access */
	pthread_t thread;
};

/* Regions of different workers lie side by side, so that readahead crosses them. */
static u64 region_at(const struct worker *w, u32 region)
{
	return AT + (region * WORKERS + w->index) * (u64)w->unit;
}

static void store(enum access how, struct io_uring *r, u64 at, u64 off, u8 *data, u64 len)
{
	u8 *map;
	s64 n;

	switch (how) {
	case CACHED:
		CHECK_EQ(pwrite(cached, data, len, at), len);
		return;
	case O_DIRECT_FD:
		CHECK_EQ(pwrite(disk.fd, data, len, at), len);
		return;
	case MAPPED:
		map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, cached, at);
		CHECK(map != MAP_FAILED, "%s", strerror(errno));
		memcpy(map, data, len);
		munmap(map, len);
		return;
	default:
		buf_put(&buf, off, data, len);
		n = how == RING ? drw_ring_io(r, binding, DMABUF_RW_OP_WRITE, at, off, len, 0)
				: drw_write(binding, at, off, len);
		CHECK_EQ(n, len);
	}
}

static void fetch(enum access how, struct io_uring *r, u64 at, u64 off, u8 *data, u64 len)
{
	u8 *map;
	s64 n;

	switch (how) {
	case CACHED:
		CHECK_EQ(pread(cached, data, len, at), len);
		return;
	case O_DIRECT_FD:
		CHECK_EQ(pread(disk.fd, data, len, at), len);
		return;
	case MAPPED:
		map = mmap(NULL, len, PROT_READ, MAP_SHARED, cached, at);
		CHECK(map != MAP_FAILED, "%s", strerror(errno));
		memcpy(data, map, len);
		munmap(map, len);
		return;
	default:
		n = how == RING ? drw_ring_io(r, binding, DMABUF_RW_OP_READ, at, off, len, 0)
				: drw_read(binding, at, off, len);
		CHECK_EQ(n, len);
		buf_get(&buf, off, data, len);
	}
}

static const char *const access_name[] = { "cached", "O_DIRECT", "mapped", "ioctl", "io_uring" };

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng rng = { harness_seed() * 31 + w->index };
	u8 *data = data_alloc(REGION), *should = data_alloc(REGION);
	u64 tags[REGIONS] = {}, next = (u64)w->index << 40 | 1;
	enum access by[REGIONS] = {};
	u64 off = w->index * REGION, len = w->unit;
	struct io_uring own;

	drw_ring(&own, 4, 0);
	for (u32 i = 0; i < w->rounds; i++) {
		u32 region = rng_below(&rng, REGIONS);
		enum access how;

		do
			how = rng_below(&rng, ACCESSES);
		while (!(w->allowed & 1U << how));
		if (!tags[region] || rng_below(&rng, 2)) {
			tags[region] = next++;
			by[region] = how;
			data_fill(data, len, tags[region], 0);
			store(how, &own, region_at(w, region), off, data, len);
		} else {
			fetch(how, &own, region_at(w, region), off, data, len);
			data_fill(should, len, tags[region], 0);
			if (memcmp(data, should, len))
				note("worker %u, round %u: region %u was stored by %s", w->index,
				     i, region, access_name[by[region]]);
			data_check(access_name[how], data, should, len,
				   region_at(w, region));
		}
	}
	/* What is left in the cache must reach the disk where it belongs. */
	SYS(fsync(cached));
	for (u32 region = 0; region < REGIONS; region++) {
		if (!tags[region])
			continue;
		fetch(O_DIRECT_FD, &own, region_at(w, region), off, data, len);
		data_fill(should, len, tags[region], 0);
		data_check("at the end", data, should, len, region_at(w, region));
	}
	io_uring_queue_exit(&own);
	return NULL;
}

static void run_threads(u32 unit, u32 allowed, u32 rounds)
{
	struct worker workers[WORKERS];

	for (u32 i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){ .index = i, .unit = unit, .rounds = rounds,
					      .allowed = allowed };
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (u32 i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void threads_mixing_everything_agree(const void *arg)
{
	open_all(arg);
	run_threads(REGION, 0x1f, 300);
}

/* Neighbours share a page: nothing that works on pages may take part. */
static void threads_writing_neighbouring_lbas_agree(const void *arg)
{
	open_all("priv512");
	run_threads(512, 1U << O_DIRECT_FD | 1U << SYNC | 1U << RING, 300);
}

static void processes_mixing_everything_agree(const void *arg)
{
	pid_t pids[WORKERS];
	int status, bad = 0;

	open_all("priv512");
	for (u32 i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			struct worker w = { .index = i, .unit = REGION, .rounds = 200,
					    .allowed = 0x1f };

			/* Every other one with a binding of its own. */
			if (i & 1)
				binding = OK(drw_bind(buf.fd, disk.fd));
			work(&w);
			_exit(0);
		}
	}
	for (u32 i = 0; i < WORKERS; i++) {
		SYS(waitpid(pids[i], &status, 0));
		bad |= status;
	}
	/* The child has said why. */
	if (bad)
		_exit(1);
}

/* Two drives and two buffers at once: nothing gets mixed up between them. */
static void *copy_loop(void *arg)
{
	const char *role = arg;
	struct disk d;
	struct buf b;
	u64 tag = role[4];
	int bind;

	disk_open(&d, role);
	buf_create(&b, role[0] == 'p' ? &exporter_mock_scattered : &exporter_udmabuf, LEN);
	bind = OK(drw_bind(b.fd, d.fd));
	u8 *data = data_alloc(LEN), *should = data_alloc(LEN);

	for (int i = 0; i < 40; i++) {
		data_fill(should, LEN, tag + i * 256, 0);
		buf_put(&b, 0, should, LEN);
		CHECK_EQ(drw_write(bind, AT, 0, LEN), LEN);
		memset(data, 0, LEN);
		buf_put(&b, 0, data, LEN);
		CHECK_EQ(drw_read(bind, AT, 0, LEN), LEN);
		buf_get(&b, 0, data, LEN);
		data_check(role, data, should, LEN, 0);
	}
	close(bind);
	return NULL;
}

static void drives_do_not_disturb_each_other(const void *arg)
{
	static const char *const roles[] = { "priv512", "priv4k", "mp512", "mp4k" };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, copy_loop, (void *)roles[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void add(void)
{
	test_limit(90);
	test_add(direct_read_sees_dirty_cache, "priv512",
		 "direct_read_sees_dirty_cache.priv512");
	test_add(direct_read_sees_dirty_cache, "mp4kp1", "direct_read_sees_dirty_cache.mp4kp1");
	test_add(cached_read_sees_direct_write, "priv512",
		 "cached_read_sees_direct_write.priv512");
	test_add(cached_read_sees_direct_write, "mp4kp1",
		 "cached_read_sees_direct_write.mp4kp1");
	TEST(mapping_sees_direct_write);
	TEST(direct_read_sees_dirty_mapping);
	TEST(direct_write_within_a_dirty_page_loses_no_neighbour);
	test_add(direct_and_O_DIRECT_agree, "priv512", "direct_and_O_DIRECT_agree.priv512");
	test_add(direct_and_O_DIRECT_agree, "priv4k", "direct_and_O_DIRECT_agree.priv4k");
	test_add(threads_mixing_everything_agree, "priv512",
		 "threads_mixing_everything_agree.priv512");
	test_add(threads_mixing_everything_agree, "mp4k",
		 "threads_mixing_everything_agree.mp4k");
	TEST(threads_writing_neighbouring_lbas_agree);
	TEST(processes_mixing_everything_agree);
	TEST(drives_do_not_disturb_each_other);
}

const struct program program = { "coherence", add, .machines = MACHINES_EACH_KIND };
