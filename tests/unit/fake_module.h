/* SPDX-License-Identifier: MIT */
/*
 * fake_module.h - the module as libcufile meets it: many files, real ones, and many buffers.
 *
 * fake_kernel.c has one pair and a thousand ways to fail. Here a memfd stands for each dma-buf,
 * and transfers are pread() and pwrite() on the file. Linked with -Wl,--wrap for open, close,
 * ioctl and fallocate.
 */
#ifndef FAKE_MODULE_H
#define FAKE_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include <dmabuf_rw.h>

struct fake_module {
	/* set by the test */
	bool absent;		/* no node */
	int abi_ahead;		/* of the header, in major versions */
	bool in_ram;		/* buffers are no device memory */
	bool exporters;		/* /dev/udmabuf and a heap are there */
	unsigned int refuse;	/* entries of rings that the kernel does not take */
	unsigned int lose;	/* of which it does not store the results */
	int bind_errno;
	uint32_t bind_reason;
	int32_t bind_detail;
	unsigned int bind_signals;	/* so many binds are interrupted first */
	uint32_t align;		/* of file offsets and lengths; 0: 1 */
	unsigned int delay_us;	/* of each transfer */
	int io_errno;
	uint64_t io_errno_from;	/* for file offsets from here on */
	/*
	 * Asked before a transfer moves anything; true: it has done what it likes in its place, and
	 * all is said to be moved. @file may be read and written. Null: nobody is asked.
	 */
	bool (*instead)(uint32_t op, int file, uint64_t off, unsigned char *map, uint64_t buf_off,
			uint64_t len);
	/*
	 * The file system tells of holes (FIEMAP), as tmpfs does not; and puts zeros into them by
	 * itself. Without @tells_holes it does neither.
	 */
	bool tells_holes, puts_zeros;
	/* What the info says of drive and memory; the rest is filled. */
	struct dmabuf_rw_info info;
	/* seen by the test */
	unsigned int binds;	/* so often */
	unsigned int bindings;	/* now */
	unsigned int most_bindings;
	uint64_t moved[2];	/* bytes, by enum dmabuf_rw_op */
	uint64_t durable;	/* of the bytes written */
	uint64_t zeros;		/* put by the file system */
	unsigned int ios, batches, ranges;
	unsigned int entries;	/* of the batches, those that came by a ring */
};

extern struct fake_module module;

/* This thread is in the module, which maps a buffer for a binding. */
extern __thread bool fake_module_maps;

/* While transfers are under way. */
unsigned int fake_module_bindings(void);

#endif
