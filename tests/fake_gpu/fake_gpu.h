/* SPDX-License-Identifier: MIT */
/*
 * fake_gpu.h - what the fakes of GPU drivers have in common, for those that test with them.
 *
 * Device memory is a udmabuf, a memfd (where a fake module takes one for a dma-buf), or what the
 * test hands over. The addresses that are given out cannot be touched by the CPU, as those of a
 * GPU. Addresses are used again as soon as they are free. Each driver has memory of its own.
 *
 * A program that is tested as it is can be given two things in its environment:
 *   FAKE_GPU_NO_DMA_BUF	the device has no dma-bufs
 *   FAKE_GPU_FD		the dma-buf that all memory is, a descriptor that is inherited
 */
#ifndef FAKE_GPU_H
#define FAKE_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_GPU_BLOCK (2UL << 20)	/* physical memory comes in these */

struct fake_gpu {
	/* set by the test */
	bool memfd;		/* exports are memfds, of whole blocks only */
	bool no_dma_buf;	/* the device has none */
	uint64_t grain;		/* exports are multiples of this; 0: pages. CUDA only */
	int export_error;	/* every export fails, */
	unsigned int export_failures;	/* or so many, if not 0 */
	int copy_error;
	int wait_error;		/* a stream takes no waits for values. CUDA only */
	bool capturing;		/* streams record for a graph, which is run twice. CUDA only */
	int writes_ordering;	/* device attribute; 0: what came over the bus must be flushed */
	bool no_notices;	/* nobody can have it said that memory is freed. HSA only */
	/* seen by the test */
	unsigned int exports;
	unsigned int copies;
	unsigned int flushes;
	unsigned int sync_memops;	/* set, so often. CUDA only */
	unsigned int forbidden;	/* calls that may not be made, where or when they were */
	unsigned int blocks;	/* of physical memory, now; what is exported is not counted */
};

#endif
