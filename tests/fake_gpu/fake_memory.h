/* SPDX-License-Identifier: MIT */
/*
 * fake_memory.h - the memory of a fake GPU; a part of each fake driver.
 *
 * A block is physical memory, mapped for the CPU somewhere; an allocation is a range of device
 * addresses in a block. Small ones share a block, as the real drivers' do. All is under one lock,
 * which functions that end in _locked need to be held.
 */
#ifndef FAKE_MEMORY_H
#define FAKE_MEMORY_H

#include <pthread.h>

#include "fake_gpu.h"

#pragma GCC visibility push(hidden)

struct fake_block {
	uint64_t va, bytes;	/* @bytes 0: free */
	int fd;			/* memfd, or the dma-buf of a test; ours */
	unsigned char *map;	/* null: the CPU has none */
	bool given;		/* by a test, with its map */
	unsigned int allocs;
	uint64_t used;		/* of a shared one */
	bool shared;
};

enum fake_kind { FAKE_PLAIN, FAKE_MANAGED, FAKE_POOL };

struct fake_alloc {
	uint64_t base, bytes;	/* @bytes 0: free */
	uint64_t id;
	uint64_t range;		/* base of the range that is freed as one */
	struct fake_block *block;
	enum fake_kind kind;
	void *context;
	/* called before it is freed */
	void (*on_free)(void *p, void *arg);
	void *arg;
};

/* The driver's. */
extern struct fake_gpu *const fake_gpu;

extern pthread_mutex_t fake_lock;

/* 0: there are no addresses left. */
uint64_t fake_allocate(uint64_t bytes, enum fake_kind kind, void *context);
uint64_t fake_allocate_segments(unsigned int nr, uint64_t bytes);
uint64_t fake_allocate_of(int dmabuf_fd, void *map, uint64_t bytes);
/* False: there is nothing. */
bool fake_free(uint64_t p);
/* Null: there is nothing there. */
struct fake_alloc *fake_find_locked(uint64_t p);
unsigned char *fake_at(uint64_t p);

/* The error that the test has set for an export. */
int fake_fail_export(void);

/*
 * A dma-buf of a range that begins in a block; 0 or an errno, positive: EINVAL: there is no such
 * range; EPERM: the block's memory has no dma-buf there; ENOMEM: there is something lacking.
 */
int fake_export_locked(const struct fake_block *block, uint64_t p, uint64_t bytes, int *fd);

#pragma GCC visibility pop

#endif
