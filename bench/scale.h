/* SPDX-License-Identifier: GPL-2.0 */
/*
 * scale.h - what the parts of the program scale share: windows for the plugin to count in, and a
 * record for each.
 */
#ifndef SCALE_H
#define SCALE_H

#include "bench.h"

#define BLOCK		4096U
#define DISK		"/dev/drw/plug512"
#define DISK_BLOCKS	(16 * MiB / BLOCK)
#define MOUNT		"/tmp/scale"

/* A number from the environment. */
unsigned long setting(const char *name, unsigned long otherwise);
u64 next_random(u64 *state);
void keep_on(unsigned int cpu);
/* After a window, in the windows' order: what was measured, and how many of it. */
void record(const char *subject, const char *name, u64 count);

/*
 * gpu.c: what calls of libcufile take beside the library's own, on the same memory, from @disk,
 * whose blocks begin with their numbers, and from files below MOUNT.
 */
void measure_cufile(struct dmabuf_rw_device *device, int disk, unsigned long rounds);
void measure_cufile_files(struct dmabuf_rw_device *device, unsigned long rounds);

#endif
