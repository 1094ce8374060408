// SPDX-License-Identifier: GPL-2.0
/*
 * loop.c - one run of one lane: the same loop for all of them, and the checks after it.
 *
 * Every slot has its place in memory, @block bytes at slot * @block. A slot that
 * completes is submitted again, all completions of one wait together, until the time is
 * over; those of a batch with one entry. A wait ends when half of the slots have completed, so
 * that the number of wake-ups for each transfer is alike in all lanes and does not depend on how
 * fast the host emulates the drive. The blocks on the disk that a slot uses are congruent to it
 * modulo the depth, so that no two transfers in flight meet there; in sequential cells each
 * slot takes the next of them, so that all together go through the area from its beginning
 * to its end.
 *
 * On a ring with IOPOLL the thread that waits polls all the time, and how often depends on how
 * fast the host emulates the drive. So there each call submits half of the slots and wants the
 * half that the call before has submitted, and before each call the thread rests until the drive
 * has done them. The rest is not counted. A run has POLLS calls. The host's side counts how
 * often the driver was asked, which should be as often as such a run needs.
 *
 * Checks: each result has its full length; the binding's counters (direct) or the block
 * layer's (others, but the bare command has none) have grown by just what was done; and,
 * up to CHECK_BYTES of it, the data: memory after reading, the disk after writing. Memory
 * is spoilt, or given a new tag, before each run.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "kmod/drw_floor.h"

#define CHECK_BYTES	(2 * MiB)
#define TAG_SPOILT	0xffffffffU
/* Of polled lanes: calls of a run, and seconds that it rests before each. */
#define POLLS		60
#define MIN_REST	0.003
#define MAX_REST	0.05

struct run {
	struct lane *lane;
	const struct cell *cell;
	u64 origin;		/* of the half of the area that is used */
	u64 blocks;
	u64 random;
	u64 ios;
	u64 polls;		/* calls that wait, on a ring with IOPOLL */
	u64 at[MAX_DEPTH];	/* block that the slot is at, or was last */
	struct dmabuf_rw_range ranges[MAX_DEPTH];	/* BATCH */
	bool bounce_in, bounce_out;
};

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Choose the next block of a slot. Returns its place on the disk. */
static u64 move_slot(struct run *r, u32 slot)
{
	const struct cell *cell = r->cell;

	if (cell->random)
		r->at[slot] = (next_random(&r->random) & (r->blocks - 1) &
			       ~(u64)(cell->depth - 1)) + slot;
	else
		r->at[slot] = (r->at[slot] + cell->depth) & (r->blocks - 1);
	return r->origin + r->at[slot] * cell->block + r->lane->skew;
}

/* An entry of a batch is for its slots. */
static void prep_batch(struct run *r, struct io_uring_sqe *sqe, u32 entry)
{
	const struct cell *cell = r->cell;
	struct dmabuf_rw_range *ranges = &r->ranges[entry * BATCH];
	u32 i;

	for (i = 0; i < BATCH; i++) {
		u32 slot = entry * BATCH + i;

		ranges[i].file_off = move_slot(r, slot);
		ranges[i].buf_off = slot * cell->block;
		ranges[i].len = cell->block;
	}
	if (cell->write)
		dmabuf_rw_prep_write_many(sqe, r->lane->binding, ranges, BATCH, 0);
	else
		dmabuf_rw_prep_read_many(sqe, r->lane->binding, ranges, BATCH, 0);
	dmabuf_rw_sqe_set_fixed_file(sqe, 0);
}

static void prep_slot(struct run *r, struct io_uring_sqe *sqe, u32 slot)
{
	const struct cell *cell = r->cell;
	struct lane *lane = r->lane;
	u64 place = slot * cell->block, off = move_slot(r, slot);

	if (r->bounce_out)
		lane->copy_out(lane->stage + place, lane->target->map + place, cell->block);

	/* By the kernel's way the buffer is at slot 0 of the ring's table. */
	if (lane->kind == LANE_DIRECT || lane->kind == LANE_KERNEL) {
		if (cell->write)
			dmabuf_rw_prep_write(sqe, lane->binding, off, place, cell->block, 0);
		else
			dmabuf_rw_prep_read(sqe, lane->binding, off, place, cell->block, 0);
		dmabuf_rw_sqe_set_fixed_file(sqe, 0);
	} else if (lane->kind == LANE_FLOOR) {
		io_uring_prep_rw(IORING_OP_URING_CMD, sqe, 0, NULL, cell->block, 0);
		sqe->cmd_op = cell->write ? FLOOR_URING_WRITE : FLOOR_URING_READ;
		sqe->addr = off;
		sqe->addr3 = place;
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		if (cell->write)
			io_uring_prep_write_fixed(sqe, 0, lane->stage + place, cell->block,
						  off, 0);
		else
			io_uring_prep_read_fixed(sqe, 0, lane->stage + place, cell->block,
						 off, 0);
		sqe->flags |= IOSQE_FIXED_FILE;
	}
}

static void submit(struct run *r, u32 entry)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->lane->ring);

	if (r->lane->kind == LANE_BATCH)
		prep_batch(r, sqe, entry);
	else
		prep_slot(r, sqe, entry);
	sqe->user_data = entry;
}

static void complete(struct run *r, const struct io_uring_cqe *cqe)
{
	struct lane *lane = r->lane;
	u64 place = cqe->user_data * r->cell->block;

	if (cqe->res != (int)(r->cell->block * lane_batch(lane))) {
		char name[64];

		cell_name(r->cell, name);
		die("%s, %s: a transfer gave %d (%s)", lane->name, name, cqe->res,
		    cqe->res < 0 ? strerror(-cqe->res) : "short");
	}
	r->ios += lane_batch(lane);
	if (r->bounce_in)
		lane->copy_in(lane->target->map + place, lane->stage + place,
			      r->cell->block);
}

static void turn(struct run *r, double seconds)
{
	struct io_uring *ring = &r->lane->ring;
	double end = clock_seconds() + seconds;
	u32 entries = r->cell->depth / lane_batch(r->lane), inflight = entries, entry;
	u32 half = (entries + 1) / 2;
	bool more = true;

	for (entry = 0; entry < entries; entry++)
		submit(r, entry);
	while (inflight) {
		unsigned int n = 0, head;
		struct io_uring_cqe *cqe;
		int ret = io_uring_submit_and_wait(ring, inflight < half ? inflight : half);

		if (ret < 0 && ret != -EINTR)
			die("%s: io_uring_enter: %s", r->lane->name, strerror(-ret));
		if (more)
			more = clock_seconds() < end;
		io_uring_for_each_cqe(ring, head, cqe) {
			complete(r, cqe);
			if (more)
				submit(r, cqe->user_data);
			else
				inflight--;
			n++;
		}
		io_uring_cq_advance(ring, n);
	}
}

static void turn_polled(struct run *r)
{
	static double rest = MIN_REST;
	struct io_uring *ring = &r->lane->ring;
	u32 entries = r->cell->depth / lane_batch(r->lane), idle[MAX_DEPTH];
	u32 nr_idle = 0, inflight = 0, wanted, i;

	while (nr_idle < entries) {
		idle[nr_idle] = nr_idle;
		nr_idle++;
	}
	while (r->polls < POLLS || inflight) {
		unsigned int n = 0, head;
		struct io_uring_cqe *cqe;
		double began;
		int ret;

		wanted = inflight;
		for (i = 0; i < entries / 2 && nr_idle && r->polls < POLLS; i++, inflight++)
			submit(r, idle[--nr_idle]);
		began = cpu_rest(rest);
		ret = io_uring_submit_and_wait(ring, wanted);
		if (ret < 0 && ret != -EINTR)
			die("%s: io_uring_enter: %s", r->lane->name, strerror(-ret));
		io_uring_for_each_cqe(ring, head, cqe) {
			complete(r, cqe);
			idle[nr_idle++] = cqe->user_data;
			n++;
		}
		io_uring_cq_advance(ring, n);
		inflight -= n;
		r->polls++;
		/* It was on the way for so long that it has waited, perhaps. */
		if (clock_seconds() - began > rest && rest < MAX_REST)
			rest *= 1.5;
	}
}

/* One call after the other; there is one slot. */
static void turn_calls(struct run *r, double seconds)
{
	const struct lane *lane = r->lane;
	struct target *t = lane->target;
	double end = clock_seconds() + seconds;
	u64 block = r->cell->block, off, done;
	int fd = lane->area->fd;
	s64 n;

	do {
		off = move_slot(r, 0);
		if (lane->kind == LANE_LIBRARY || lane->kind == LANE_CALL) {
			n = r->cell->write ?
			    dmabuf_rw_write(lane->binding, off, 0, block, 0, NULL) :
			    dmabuf_rw_read(lane->binding, off, 0, block, 0, NULL);
			if (n != (s64)block)
				die("%s: a transfer gave %lld", lane->name, (long long)n);
		}
		if (lane->kind == LANE_PREAD) {
			n = r->cell->write ? pwrite(fd, lane->stage, block, off) :
					     pread(fd, lane->stage, block, off);
			if (n != (s64)block)
				die("%s: a transfer gave %lld", lane->name, (long long)n);
		}
		for (done = 0; lane->kind == LANE_NAIVE && done < block; done += MAX_BLOCK) {
			if (r->cell->write) {
				lane->copy_out(lane->stage, t->map + done, MAX_BLOCK);
				n = pwrite(fd, lane->stage, MAX_BLOCK, off + done);
			} else {
				n = pread(fd, lane->stage, MAX_BLOCK, off + done);
				lane->copy_in(t->map + done, lane->stage, MAX_BLOCK);
			}
			if (n != (s64)MAX_BLOCK)
				die("%s: a transfer gave %lld", lane->name, (long long)n);
		}
		r->ios++;
	} while (clock_seconds() < end);
}

/* Before writing, all slots get content with a tag of this run; before reading, none. */
static void prepare_memory(struct run *r, u32 tag)
{
	struct lane *lane = r->lane;
	bool *filled = lane->target ? &lane->target->filled : &lane->filled;
	u64 bytes = r->cell->depth * r->cell->block;

	if (r->cell->write && !*filled)
		content_fill(lane_view(lane), MEM_BYTES, tag, 0);
	else
		content_retag(lane_view(lane), bytes, r->cell->write ? tag : TAG_SPOILT, 0);
	*filled = r->cell->write;
	if (lane->kind == LANE_BOUNCE || lane->kind == LANE_NAIVE)
		content_retag(lane->stage, bytes, TAG_SPOILT, 0);
}

/* Content has whole sectors: make those that a slot's bytes are from, and compare. */
static void check_skewed(struct run *r, const char *name)
{
	static u8 *mem;
	u64 block = r->cell->block;
	u32 slot;

	mem = mem ? mem : aligned_alloc(4096, MAX_BLOCK + 4096);
	for (slot = 0; slot < r->cell->depth && slot * block < CHECK_BYTES; slot++) {
		content_fill(mem, block + SECTOR, 0, r->at[slot] * block);
		if (memcmp(lane_view(r->lane) + slot * block, mem + r->lane->skew, block))
			die("%s, %s: wrong data in slot %u", r->lane->name, name, slot);
	}
}

static void check_memory(struct run *r, const char *name)
{
	u64 block = r->cell->block;
	u32 slot;

	if (r->lane->skew) {
		check_skewed(r, name);
		return;
	}
	for (slot = 0; slot < r->cell->depth && slot * block < CHECK_BYTES; slot++)
		if (!content_is(lane_view(r->lane) + slot * block, block, 0,
				r->at[slot] * block))
			die("%s, %s: wrong data in slot %u", r->lane->name, name, slot);
}

static void check_disk(struct run *r, const char *name, u32 tag)
{
	static u8 *mem;
	u64 block = r->cell->block, done = 0, k;
	u32 slot;

	mem = mem ? mem : aligned_alloc(4096, MAX_CALL);
	for (slot = 0; slot < r->cell->depth && done < CHECK_BYTES; slot++, done += block) {
		k = r->at[slot];
		if (pread(r->lane->area->fd, mem, block, r->origin + k * block) !=
		    (ssize_t)block)
			die("%s, %s: the disk cannot be read back", r->lane->name, name);
		if (!content_is(mem, block, tag, slot * block))
			die("%s, %s: wrong data in block %llu", r->lane->name, name,
			    (unsigned long long)k);
	}
}

static void counters(const struct run *r, u64 *ios, u64 *bytes)
{
	struct dmabuf_rw_info info;

	*ios = 0;
	*bytes = 0;
	if (r->lane->kind == LANE_FLOOR)
		return;
	if (!lane_is_direct(r->lane)) {
		*bytes = area_sectors(r->lane->area, r->cell->write) * SECTOR;
		return;
	}
	lane_info(r->lane, &info);
	*ios = r->cell->write ? info.writes : info.reads;
	*bytes = r->cell->write ? info.write_bytes : info.read_bytes;
	if (info.errors)
		die("%s: the binding counts errors", r->lane->name);
}

void lane_run(struct lane *lane, const struct cell *cell, double seconds,
	      struct sample *sample)
{
	static u32 tag;
	struct run r = {
		.lane = lane,
		.cell = cell,
		.origin = lane->area->base + (cell->write ? lane->area->half : 0),
		/* With a skew, the last block would end outside. */
		.blocks = lane->area->half / cell->block / (lane->skew ? 2 : 1),
		.random = 88172645463325252ULL + tag,
		.bounce_in = lane->kind == LANE_BOUNCE && !cell->write,
		.bounce_out = lane->kind == LANE_BOUNCE && cell->write,
	};
	u64 ios_before, ios_after, bytes_before, bytes_after;
	struct cpu_mark begin;
	char name[64];
	u32 slot;

	cell_name(cell, name);
	/* Both powers of two. */
	if (r.blocks < cell->depth || r.blocks & (r.blocks - 1) ||
	    cell->depth & (cell->depth - 1))
		die("%s: the area does not suit this cell", name);
	for (slot = 0; slot < cell->depth; slot++)
		r.at[slot] = slot;
	prepare_memory(&r, ++tag);
	counters(&r, &ios_before, &bytes_before);

	cpu_begin(&begin);
	if (lane_calls(lane))
		turn_calls(&r, seconds);
	else if (lane->poll)
		turn_polled(&r);
	else
		turn(&r, seconds);
	cpu_end(&begin, &sample->use);

	counters(&r, &ios_after, &bytes_after);
	/* What a file system writes for itself is counted, too. */
	if (lane->area->file && cell->write && !lane_is_direct(lane) &&
	    bytes_after - bytes_before > r.ios * cell->block)
		bytes_after = bytes_before + r.ios * cell->block;
	if (lane->kind != LANE_FLOOR &&
	    (bytes_after - bytes_before != r.ios * cell->block ||
	     (lane_is_direct(lane) && ios_after - ios_before != r.ios)))
		die("%s, %s: %llu transfers of %llu bytes were done, and %llu bytes counted",
		    lane->name, name, (unsigned long long)r.ios,
		    (unsigned long long)cell->block,
		    (unsigned long long)(bytes_after - bytes_before));
	if (cell->write)
		check_disk(&r, name, tag);
	else
		check_memory(&r, name);

	sample->ios = r.ios;
	/* The first call, which waits for nothing, asks the driver once for each entry. */
	sample->polls = lane->poll ? r.polls - 1 + cell->depth / lane_batch(lane) / 2 : 0;
}
