// SPDX-License-Identifier: GPL-2.0
/*
 * lane.c - the ways that are compared, each made ready to run.
 *
 * What is alike in all of them: the ring (one issuer, task work run when the issuer
 * waits), one registered file, the thread, the disk, and the loop in loop.c. The
 * memory of the FIXED and BOUNCE lanes is registered once and lies in huge pages, the
 * best that an application can do for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/nvme_ioctl.h>

#include "bench.h"
#include "kmod/drw_floor.h"

void cell_name(const struct cell *cell, char name[64])
{
	snprintf(name, 64, "%llu%s-%s-%s-qd%u",
		 (unsigned long long)(cell->block % MiB ? cell->block / KiB : cell->block / MiB),
		 cell->block % MiB ? "k" : "m", cell->random ? "random" : "sequential",
		 cell->write ? "write" : "read", cell->depth);
}

/* @flags: of io_uring_setup(2), in addition. */
static void open_ring(struct lane *lane, int fd, unsigned int flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | flags,
	};
	int ret;

	ret = io_uring_queue_init_params(2 * MAX_DEPTH, &lane->ring, &params);
	if (!ret)
		ret = io_uring_register_files(&lane->ring, &fd, 1);
	if (ret)
		die("%s: the ring cannot be made: %s", lane->name, strerror(-ret));
}

static void open_stage(struct lane *lane, bool huge)
{
	/* Aligned to 2 MiB, or the kernel finds no huge page in it. */
	u64 align = 2 * MiB, bytes = MAX_DEPTH * MAX_BLOCK;
	struct iovec iov;
	u8 *map;
	int ret;

	map = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (map == MAP_FAILED)
		die("%s: no memory", lane->name);
	lane->stage = (u8 *)(((uintptr_t)map + align - 1) & ~(uintptr_t)(align - 1));
	madvise(lane->stage, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (huge)
		memset(lane->stage, 0, bytes);
	else
		populate_scattered(lane->stage, bytes);

	iov.iov_base = lane->stage;
	iov.iov_len = bytes;
	ret = io_uring_register_buffers(&lane->ring, &iov, 1);
	if (ret)
		die("%s: the buffer cannot be registered: %s", lane->name, strerror(-ret));
}

/* Read all of a file once: the first transfers of its blocks look them up. */
static void meet_blocks(const struct lane *lane)
{
	u64 off;

	for (off = 0; off < 2 * lane->area->half; off += MAX_BLOCK)
		if (dmabuf_rw_read(lane->binding, off, 0, MAX_BLOCK, 0, NULL) !=
		    (s64)MAX_BLOCK)
			die("%s: the file cannot be read", lane->name);
}

void lane_open_direct(struct lane *lane, const char *name, const struct area *area,
		      struct dmabuf_rw_device *device, struct target *target,
		      unsigned int flags)
{
	struct dmabuf_rw_error error = { 0 };
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &error };
	char why[512];

	*lane = (struct lane){ .name = name, .kind = LANE_DIRECT, .area = area,
			       .target = target };
	if (!strcmp(target->name, "bar"))
		opts.flags = DMABUF_RW_BIND_DEVICE_MEMORY;
	if (dmabuf_rw_binding_create(device, target->fd, area->fd, &opts, &lane->binding)) {
		dmabuf_rw_error_format(&error, why, sizeof(why));
		die("%s: bind: %s", name, why);
	}
	open_ring(lane, dmabuf_rw_binding_fd(lane->binding), flags);
	if (area->file)
		meet_blocks(lane);
}

void lane_open_kernel(struct lane *lane, const char *name, const struct area *area,
		      struct target *target)
{
	struct dmabuf_rw_error error = { 0 };
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .error = &error, .ways = DMABUF_RW_PATH_KERNEL,
	};
	char why[800];
	int ret;

	*lane = (struct lane){ .name = name, .kind = LANE_KERNEL, .area = area,
			       .target = target };
	if (dmabuf_rw_binding_create(NULL, target->fd, area->fd, &opts, &lane->binding)) {
		dmabuf_rw_error_format(&error, why, sizeof(why));
		die("%s: bind: %s", name, why);
	}
	/* The area is open with O_DIRECT, so the binding's file is this one. */
	open_ring(lane, area->fd, 0);
	ret = io_uring_register_buffers_sparse(&lane->ring, 1);
	if (!ret)
		ret = dmabuf_rw_binding_register(lane->binding, lane->ring.ring_fd, 0);
	if (ret)
		die("%s: the buffer cannot be registered: %s", name, strerror(-ret));
}

void lane_make(struct lane *lane, enum lane_kind kind)
{
	lane->kind = kind;
}

bool lane_calls(const struct lane *lane)
{
	return lane->kind == LANE_LIBRARY || lane->kind == LANE_NAIVE || lane->kind == LANE_CALL ||
	       lane->kind == LANE_PREAD;
}

u32 lane_batch(const struct lane *lane)
{
	return lane->kind == LANE_BATCH ? BATCH : 1;
}

bool lane_is_direct(const struct lane *lane)
{
	return lane->kind == LANE_DIRECT || lane->kind == LANE_BATCH || lane->kind == LANE_CALL;
}

void lane_open_floor(struct lane *lane, const char *name, const struct area *area,
		     struct target *target)
{
	struct floor_join join = { .disk_fd = area->fd, .dmabuf_fd = target->fd };
	int nsid;

	*lane = (struct lane){ .name = name, .kind = LANE_FLOOR, .area = area,
			       .target = target };
	module_load("drw_floor");
	lane->floor_fd = open(FLOOR_DEVICE, O_RDWR | O_CLOEXEC);
	if (lane->floor_fd < 0)
		die(FLOOR_DEVICE ": %m");
	nsid = ioctl(area->fd, NVME_IOCTL_ID);
	if (nsid <= 0)
		die("%s: NVME_IOCTL_ID: %m", name);
	join.nsid = nsid;
	if (ioctl(lane->floor_fd, FLOOR_IOC_JOIN, &join))
		die("%s: %m", name);
	open_ring(lane, lane->floor_fd, 0);
}

void lane_open_fixed(struct lane *lane, const char *name, const struct area *area, bool huge,
		     unsigned int flags)
{
	*lane = (struct lane){ .name = name, .kind = LANE_FIXED, .area = area };
	open_ring(lane, area->fd, flags);
	open_stage(lane, huge);
}

void lane_open_bounce(struct lane *lane, const char *name, const struct area *area,
		      struct target *target)
{
	*lane = (struct lane){ .name = name, .kind = LANE_BOUNCE, .area = area,
			       .target = target };
	open_ring(lane, area->fd, 0);
	open_stage(lane, true);
	lane->copy_in = copy_choose(target->map, lane->stage, MAX_BLOCK,
				    &lane->copy_in_name);
	lane->copy_out = copy_choose(lane->stage, target->map, MAX_BLOCK,
				     &lane->copy_out_name);
}

void lane_open_library(struct lane *lane, const char *name, const struct area *area,
		       struct target *target, u32 chunk, u32 depth)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .allow_bounce = 1, .bounce_chunk = chunk,
		.bounce_depth = depth, .ways = DMABUF_RW_PATH_BOUNCED,
	};
	int ret;

	*lane = (struct lane){ .name = name, .kind = LANE_LIBRARY, .area = area,
			       .target = target };
	ret = dmabuf_rw_binding_create(NULL, target->fd, area->fd, &opts, &lane->binding);
	if (ret)
		die("%s: bind: %s", name, strerror(-ret));
}

void lane_open_naive(struct lane *lane, const char *name, const struct area *area,
		     struct target *target)
{
	lane_open_bounce(lane, name, area, target);
	lane->kind = LANE_NAIVE;
}

bool lane_takes(const struct lane *lane, const struct cell *cell)
{
	bool big = lane->kind == LANE_LIBRARY || lane->kind == LANE_NAIVE;

	if (big != (cell->block > MAX_BLOCK) || (lane_calls(lane) && cell->depth > 1))
		return false;
	if (lane->kind == LANE_FLOOR && cell->block > 4 * KiB)
		return false;
	if (cell->depth < lane_batch(lane) || (lane->poll && cell->depth == 1))
		return false;
	if (cell->write && (lane->skew || lane->area->read_only))
		return false;
	/* Its area has to hold all that is in flight, twice with a skew. */
	return lane->area->half / cell->block / (lane->skew ? 2 : 1) >= cell->depth;
}

u8 *lane_view(const struct lane *lane)
{
	return lane->target ? lane->target->map : lane->stage;
}

void lane_info(const struct lane *lane, struct dmabuf_rw_info *info)
{
	int ret;

	*info = (struct dmabuf_rw_info){ .size = sizeof(*info) };
	ret = dmabuf_rw_binding_info(lane->binding, info);
	if (ret)
		die("%s: info: %s", lane->name, strerror(-ret));
}

void lane_close(struct lane *lane)
{
	/* What a ring holds goes long after the ring, unless it is taken from it. */
	if (lane->kind != LANE_LIBRARY) {
		io_uring_unregister_files(&lane->ring);
		if (lane->stage || lane->kind == LANE_KERNEL)
			io_uring_unregister_buffers(&lane->ring);
		io_uring_queue_exit(&lane->ring);
	}
	dmabuf_rw_binding_destroy(lane->binding);
	if (lane->kind == LANE_FLOOR) {
		close(lane->floor_fd);
		module_unload("drw_floor");
	}
}
