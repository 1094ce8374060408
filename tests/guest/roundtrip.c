// SPDX-License-Identifier: GPL-2.0
/*
 * roundtrip.c - data goes where it should and nowhere else, for every exporter, disk,
 * partition and size.
 *
 * Each transfer is checked against ordinary O_DIRECT access of the disk and CPU access
 * of the buffer, with guard bytes before and after on both sides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "kernel_way.h"

#define GUARD		4096ULL
#define SMALL_BUF	(3 * MiB)

/* What the two sides hold before; every transfer gets new tags. */
static u64 next_tag;

struct round {
	struct disk disk;
	struct buf buf;
	struct dmabuf_rw_info info;
	struct io_uring ring;
	struct rng rng;
	int binding;
	u64 reads, writes, read_bytes, write_bytes;
};

struct pair {
	const struct exporter *exporter;
	const char *role;
};

static void round_open(struct round *r, const struct pair *pair, u64 bytes)
{
	r->rng.s = harness_seed();
	next_tag = harness_seed() << 16;
	disk_open(&r->disk, pair->role);
	buf_create(&r->buf, pair->exporter, bytes);
	r->binding = OK(drw_bind(r->buf.fd, r->disk.fd));
	OK(drw_info(r->binding, &r->info));
	drw_ring(&r->ring, 4, 0);
}

static void round_close(struct round *r)
{
	struct dmabuf_rw_info info;

	OK(drw_info(r->binding, &info));
	if (!drw_way) {
		CHECK_EQ(info.reads, r->reads);
		CHECK_EQ(info.writes, r->writes);
		CHECK_EQ(info.read_bytes, r->read_bytes);
		CHECK_EQ(info.write_bytes, r->write_bytes);
		CHECK_EQ(info.errors, 0);
	}
	io_uring_queue_exit(&r->ring);
	drw_unbind(r->binding);
	if (r->buf.exporter->mock)
		drw_check_clean(&r->buf);
}

static void transfer(struct round *r, enum dmabuf_rw_op op, bool ring, u64 file_off,
		     u64 buf_off, u64 len)
{
	s64 n = ring ? drw_ring_io(&r->ring, r->binding, op, file_off, buf_off, len, 0)
		     : drw_io(r->binding, op, file_off, buf_off, len, 0);

	CHECK(n == (s64)len, "%s %s of %llu at %llu, buffer %#llx gave %lld (%s)",
	      ring ? "io_uring" : "sync", op ? "write" : "read", (unsigned long long)len,
	      (unsigned long long)file_off, (unsigned long long)buf_off, (long long)n,
	      n < 0 ? strerror(-n) : "short");
	if (op == DMABUF_RW_OP_READ) {
		r->reads++;
		r->read_bytes += len;
	} else {
		r->writes++;
		r->write_bytes += len;
	}
}

static void write_out(struct round *r, bool ring, u64 file_off, u64 buf_off, u64 len)
{
	u64 before = next_tag++, data = next_tag++;

	disk_fill(&r->disk, file_off - GUARD, len + 2 * GUARD, before, 0);
	buf_fill(&r->buf, buf_off, len, data, 0);
	transfer(r, DMABUF_RW_OP_WRITE, ring, file_off, buf_off, len);
	disk_check(&r->disk, file_off - GUARD, GUARD, before, 0);
	disk_check(&r->disk, file_off, len, data, 0);
	disk_check(&r->disk, file_off + len, GUARD, before, GUARD + len);
}

static void read_in(struct round *r, bool ring, u64 file_off, u64 buf_off, u64 len)
{
	u64 before = next_tag++, data = next_tag++;

	disk_fill(&r->disk, file_off, len, data, 0);
	buf_fill(&r->buf, buf_off - GUARD, len + 2 * GUARD, before, 0);
	transfer(r, DMABUF_RW_OP_READ, ring, file_off, buf_off, len);
	buf_check(&r->buf, buf_off - GUARD, GUARD, before, 0);
	buf_check(&r->buf, buf_off, len, data, 0);
	buf_check(&r->buf, buf_off + len, GUARD, before, GUARD + len);
}

/* Any place in the disk, and one in the buffer, page-aligned or as odd as allowed. */
static void draw_places(struct round *r, u64 len, bool odd, u64 *file_off, u64 *buf_off)
{
	u64 first = ROUND_UP(r->disk.first + GUARD, MAX(GUARD, r->disk.lba));
	u64 align = !odd ? 4096 : drw_way ? r->disk.lba : r->info.buf_align;

	*file_off = rng_step(&r->rng, first,
			     ROUND_DOWN(r->disk.bytes - len - GUARD, r->disk.lba),
			     r->disk.lba);
	*buf_off = rng_step(&r->rng, GUARD, ROUND_DOWN(r->buf.bytes - len - GUARD, align),
			    align);
}

/* Sizes at which the way a transfer is expressed changes, and their neighbours. */
static size_t draw_sizes(const struct round *r, u64 *sizes, size_t max)
{
	/* Not known of all ways. */
	const u64 max_cmd = r->info.max_cmd_bytes ?: 512 * KiB;
	const u64 at[] = {
		4096, 2 * 4096, 3 * 4096, 32 * 4096, 33 * 4096, 128 * 4096,
		max_cmd, 2 * max_cmd,
		512 * 4096ULL,
	};
	u64 lba = r->disk.lba;
	size_t n = 0;

	sizes[n++] = lba;
	sizes[n++] = 3 * lba;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		for (int d = -1; d <= 1; d++) {
			u64 len = ROUND_DOWN(at[i], lba) + d * (s64)lba;
			bool twice = !len || len > SMALL_BUF - 4 * GUARD;

			for (size_t j = 0; j < n; j++)
				twice |= sizes[j] == len;
			if (!twice && n < max)
				sizes[n++] = len;
		}
	}
	return n;
}

static void every_size_goes_both_ways(const void *arg)
{
	static struct round r;
	u64 sizes[40], file_off, buf_off;
	size_t n;

	round_open(&r, arg, SMALL_BUF);
	n = draw_sizes(&r, sizes, ARRAY_SIZE(sizes));
	for (size_t i = 0; i < n; i++) {
		/* Each size by both ways of asking, once aligned and once odd. */
		for (int ring = 0; ring <= 1; ring++) {
			draw_places(&r, sizes[i], ring ^ (i & 1), &file_off, &buf_off);
			write_out(&r, ring, file_off, buf_off, sizes[i]);
			draw_places(&r, sizes[i], ring ^ !(i & 1), &file_off, &buf_off);
			read_in(&r, ring, file_off, buf_off, sizes[i]);
		}
	}
	round_close(&r);
}

static void one_transfer_moves_64MiB(const void *arg)
{
	static struct round r;
	u64 file_off, buf_off;

	round_open(&r, arg, 64 * MiB + 4 * GUARD);
	draw_places(&r, 64 * MiB, true, &file_off, &buf_off);
	write_out(&r, false, file_off, buf_off, 64 * MiB);
	draw_places(&r, 64 * MiB, true, &file_off, &buf_off);
	read_in(&r, true, file_off, buf_off, 64 * MiB);
	round_close(&r);
}

static void bind_tells_what_it_found(const void *arg)
{
	const struct pair *pair = arg;
	static struct round r;

	round_open(&r, pair, SMALL_BUF);
	CHECK_EQ(r.info.mem_class, pair->exporter->mem_class);
	CHECK_EQ(r.info.buf_bytes, SMALL_BUF);
	CHECK_EQ(r.info.file_bytes, r.disk.bytes);
	CHECK_EQ(r.info.lba_bytes, r.disk.lba);
	/* Only a list that can leave out bytes can leave out parts of LBAs. */
	CHECK_EQ(r.info.read_align, r.info.buf_align == 1 ? 1 :
		 r.info.flags & DMABUF_RW_INFO_SGL ? 4 : r.disk.lba);
	CHECK_EQ(r.info.write_align, r.disk.lba);
	CHECK_EQ(r.info.flags & DMABUF_RW_INFO_NO_BLOCKS, 0);
	CHECK_EQ(r.info.nvme_domain, r.info.nvme_pci >> 16);
	CHECK_EQ(r.info.flags & DMABUF_RW_INFO_REGULAR, 0);
	CHECK_EQ(r.info.file_extents, 0);
	CHECK(r.info.buf_align && r.info.buf_align <= r.disk.lba, "%u", r.info.buf_align);
	CHECK(r.info.flags & DMABUF_RW_INFO_CAN_READ, "%#llx",
	      (unsigned long long)r.info.flags);
	CHECK(r.info.flags & DMABUF_RW_INFO_CAN_WRITE, "%#llx",
	      (unsigned long long)r.info.flags);
	CHECK(r.info.max_cmd_bytes >= r.disk.lba, "%u", r.info.max_cmd_bytes);
	CHECK(r.info.extents, "none");
	CHECK(r.info.paths, "none");
	if (pair->exporter->mem_class == DMABUF_RW_CLASS_BAR) {
		CHECK_EQ(r.info.bar_pci, pci_number(machine_var("DRW_BAR_PCI")));
		CHECK_EQ(r.info.bar, atoi(machine_var("DRW_BAR_INDEX")));
	}
	round_close(&r);
}

static const char *const roles[] = {
	"priv512", "priv4k", "mp512", "mp4k", "mp512b", "priv512p1", "priv4kp2", "mp512p2",
	"mp4kp1",
};

static void add_pair(void (*run)(const void *arg), const char *what,
		     const struct exporter *exporter, const char *role)
{
	struct pair *pair = malloc(sizeof(*pair));

	*pair = (struct pair){ exporter, role };
	test_add(run, pair, "%s.%s.%s", what, exporter->name, role);
}

static void add(void)
{
	for (size_t e = 0; e < nr_exporters; e++)
		add_pair(bind_tells_what_it_found, "bind_tells_what_it_found", exporters[e],
			 e & 1 ? "mp4k" : "priv512");
	both_ways_from_here(true);
	for (size_t e = 0; e < nr_exporters; e++) {
		for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
			/*
			 * Everything with what the kernel has; of the mock's layouts some
			 * with one half of the disks and some with the other.
			 */
			if (exporters[e]->mock && exporters[e] != &exporter_mock_bar &&
			    (e + i) % 2)
				continue;
			/* The second name of a shared disk is there without multipath. */
			if (strcmp(roles[i], "mp512b") || disk_exists(roles[i]))
				add_pair(every_size_goes_both_ways,
					 "every_size_goes_both_ways", exporters[e],
					 roles[i]);
		}
	}
	for (size_t e = 0; e < nr_exporters; e++)
		if (!exporters[e]->max)
			add_pair(one_transfer_moves_64MiB, "one_transfer_moves_64MiB",
				 exporters[e], e & 1 ? "priv4k" : "mp512");
}

const struct program program = { "roundtrip", add, .machines = MACHINES_ALL, .debug = true };
