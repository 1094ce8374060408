/* SPDX-License-Identifier: MIT */
/*
 * gpu_memory.h - dma-bufs from device pointers; not installed.
 *
 * Vocabulary
 *   segment	an allocation, or one physical part of a virtual range that has several
 *		(expandable segments), with the one dma-buf that was made of it
 *   memory	a range of device addresses: one segment or several, one after the other
 *   user	who may touch a segment's dma-buf: a memory, or a transfer under way
 *
 * A segment is exported once and shared by all its users, since each export takes the device's
 * aperture anew; where that was refused for want of room, the next lookup tries again. A dma-buf
 * keeps the memory alive even when the program has freed it, so a segment without users goes after
 * GPU_LINGER_MS; and it is known by an identity that the driver gives, so that an address that was
 * freed and given out again does not lead to the old memory. Whose a pointer is, is found by asking
 * each driver that the process has loaded (gpu_driver.h).
 *
 * Thread-safety: all functions may be called by any number of threads. A segment does not change
 * after it was made, but for its counts, which are guarded by the lock of gpu_memory.c.
 */
#ifndef GPU_MEMORY_H
#define GPU_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu_driver.h"

#define GPU_LINGER_MS	500

/* Whose memory it is, and which allocation of that driver's. */
struct gpu_owner {
	const struct gpu_driver *driver;
	uint64_t identity;
};

struct gpu_segment {
	uint64_t number;	/* no other segment of the process has had it */
	uint64_t base, bytes;	/* device addresses */
	const struct gpu_driver *driver;
	uint64_t identity;	/* the driver's, of the allocation */
	int fd;			/* the dma-buf; ours. -1: @refusal */
	uint64_t start, span;	/* the range that the dma-buf is of; it may begin before @base */
	enum gpu_refusal refusal;
	int error;		/* the driver's, of a refusal that is its own; else 0 */
	int device;		/* CUDA's */
	void *context;		/* the driver's, for copies */
	bool flush;		/* what a third device wrote needs a flush to be seen by kernels */
	bool may_move;		/* out of the device: to be bound as device memory, or not at all */
	unsigned int refs;	/* the cache's, and those of all that point here */
	unsigned int users;
	uint64_t idle_since;	/* ms; @users is 0 */
	_Atomic bool cached;	/* lookups find it; once it does not, it never will again */
	_Atomic bool touched;	/* by who is no user, since the sweeper has looked */
};

/*
 * The segment that has the byte at @p; the caller is a user of it until gpu_segment_done().
 *   -ENXIO	@p is no device memory, as far as the driver knows
 *   -EFAULT	the driver knows the pointer, but of no allocation there
 *   -ENOMEM, -EMFILE, -ENFILE
 * A segment without a dma-buf is no error.
 */
int gpu_segment_use(uint64_t p, struct gpu_segment **segment);
/* The same in two steps: the first asks the drivers whose it is; -ENXIO, -EFAULT. */
int gpu_owner_of(uint64_t p, struct gpu_owner *owner);
int gpu_segment_use_of(uint64_t p, const struct gpu_owner *owner, struct gpu_segment **segment);
void gpu_segment_done(struct gpu_segment *segment);
/* A reference for who keeps the pointer; it does not keep the segment in the cache. */
void gpu_segment_get(struct gpu_segment *segment);
void gpu_segment_put(struct gpu_segment *segment);

/* Offset in the segment's dma-buf of the byte at @p. */
static inline uint64_t gpu_segment_offset(const struct gpu_segment *s, uint64_t p)
{
	return p - s->start;
}

static inline uint64_t gpu_segment_end(const struct gpu_segment *s)
{
	return s->base + s->bytes;
}

static inline bool gpu_segment_is_of(const struct gpu_segment *s, const struct gpu_owner *owner)
{
	return s->driver == owner->driver && s->identity == owner->identity;
}

/* Whether all of the range is in @s, of an allocation that a driver has just told. */
static inline bool gpu_segment_has(const struct gpu_segment *s, uint64_t p, uint64_t len,
				   const struct gpu_owner *owner)
{
	return gpu_segment_is_of(s, owner) && p >= s->base && p - s->base < s->bytes &&
	       len <= s->bytes - (p - s->base) && atomic_load(&s->cached);
}

/*
 * Who has a reference, and is no user, uses the segment: as good as having been a user until now,
 * but for a transfer that takes longer than GPU_LINGER_MS.
 */
static inline void gpu_segment_touch(struct gpu_segment *s)
{
	if (!atomic_load_explicit(&s->touched, memory_order_relaxed))
		atomic_store_explicit(&s->touched, true, memory_order_relaxed);
}

/*
 * Called without locks for each segment that has left the cache, so that others let go of it. Who
 * still uses the segment looks at @cached after what it adds.
 */
void gpu_on_drop(void (*fn)(struct gpu_segment *segment));
/* Has all segments without users leave now. False: there are none. */
bool gpu_drop_idle(void);

/* Why it has no dma-buf: sentences without a full stop, as those of an error of the library. */
const char *gpu_segment_cause(const struct gpu_segment *segment);
const char *gpu_segment_remedy(const struct gpu_segment *segment);
/* The driver's name of its error; null: it is not the driver that has refused. */
const char *gpu_segment_detail(const struct gpu_segment *segment);

/*
 * Copies between @host and the device's memory at @p, in the segment; it is there when the
 * function returns. Any thread. 0 or -errno.
 */
int gpu_copy_to(const struct gpu_segment *segment, uint64_t p, const void *host, size_t len);
int gpu_copy_from(const struct gpu_segment *segment, uint64_t p, void *host, size_t len);
/* After a drive has written to the segment, before its owner is told so. 0 or -errno. */
int gpu_flush(const struct gpu_segment *segment);

/* A place in a memory. */
struct gpu_place {
	struct gpu_segment *segment;	/* the memory's */
	uint64_t len;		/* bytes from here on that are in the same segment */
};

struct gpu_memory;

/*
 * Of @len bytes of device memory at @p. The segments stay as long as the memory does, and memory
 * operations of the driver on them are synchronous from then on. Errors as gpu_segment_use(), and
 *   -ERANGE	device memory ends before the range does
 */
int gpu_memory_create(uint64_t p, uint64_t len, struct gpu_memory **memory);
/* Whether the program has freed some of it, as far as lookups have seen. */
bool gpu_memory_is_gone(const struct gpu_memory *memory);
/* Takes null. */
void gpu_memory_destroy(struct gpu_memory *memory);
/* @off is less than the memory's length. */
void gpu_memory_find(const struct gpu_memory *memory, uint64_t off, struct gpu_place *place);

#endif /* GPU_MEMORY_H */
