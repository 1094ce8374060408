/* SPDX-License-Identifier: MIT */
/*
 * gpu_memory.h - dma-bufs from device pointers; not installed.
 *
 * Vocabulary
 *   segment	an allocation, or one physical part of a virtual range that has several
 *		(expandable segments), with its one dma-buf
 *   memory	a range of device addresses: one or several consecutive segments
 *   user	a memory, or a transfer under way, that may touch a segment's dma-buf
 *
 * A segment is exported once and shared by all its users, since each export takes a part of the
 * device's aperture. If the aperture was full, the next lookup tries again. A dma-buf keeps the
 * memory allocated even after the program has freed it, so a segment without users is dropped after
 * GPU_LINGER_MS. The driver's identity of the allocation tells an address that was freed and
 * allocated again from the old memory. To find the owner of a pointer, each driver that the process
 * has loaded is asked (gpu_driver.h).
 *
 * Thread-safety: any number of threads may call all functions. A segment does not change after it
 * was made, except its counts, which the lock of gpu_memory.c protects.
 */
#ifndef GPU_MEMORY_H
#define GPU_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu_driver.h"

#define GPU_LINGER_MS	500

/* The driver that owns the memory, and its identity of the allocation. */
struct gpu_owner {
	const struct gpu_driver *driver;
	uint64_t identity;
};

struct gpu_segment {
	uint64_t number;	/* unique in the process */
	uint64_t base, bytes;	/* device addresses */
	const struct gpu_driver *driver;
	uint64_t identity;	/* the driver's, of the allocation */
	int fd;			/* the dma-buf, owned; -1: see @refusal */
	uint64_t start, span;	/* range of the dma-buf; may begin before @base */
	enum gpu_refusal refusal;
	int error;		/* the driver's error, if it refused; else 0 */
	int device;		/* CUDA's */
	void *context;		/* the driver's, for copies */
	bool flush;		/* kernels see a third device's writes only after a flush */
	bool may_move;		/* out of the device; go direct only as device memory */
	unsigned int refs;	/* the cache's, and those of all pointers to it */
	unsigned int users;
	uint64_t idle_since;	/* ms; valid while @users is 0 */
	_Atomic bool cached;	/* lookups find it; once cleared, stays so */
	_Atomic bool touched;	/* without being a user, since the sweeper last looked */
};

/*
 * Finds the segment with the byte at @p, and makes the caller a user until gpu_segment_done().
 *   -ENXIO	@p is no device memory, as far as the driver knows
 *   -EFAULT	the driver knows the pointer, but no allocation there
 *   -ENOMEM, -EMFILE, -ENFILE
 * Succeeds also for a segment without a dma-buf.
 */
int gpu_segment_use(uint64_t p, struct gpu_segment **segment);
/* The same in two steps. The first asks each driver whether it owns @p; -ENXIO, -EFAULT. */
int gpu_owner_of(uint64_t p, struct gpu_owner *owner);
int gpu_segment_use_of(uint64_t p, const struct gpu_owner *owner, struct gpu_segment **segment);
void gpu_segment_done(struct gpu_segment *segment);
/* References for stored pointers. A reference does not keep the segment in the cache. */
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

/* Whether @s has all of the range; @owner is what the driver has just answered. */
static inline bool gpu_segment_has(const struct gpu_segment *s, uint64_t p, uint64_t len,
				   const struct gpu_owner *owner)
{
	return gpu_segment_is_of(s, owner) && p >= s->base && p - s->base < s->bytes &&
	       len <= s->bytes - (p - s->base) && atomic_load(&s->cached);
}

/*
 * Marks a use by a holder of a reference that is not a user. It delays the drop like a use that ends
 * now, so it does not cover transfers longer than GPU_LINGER_MS.
 */
static inline void gpu_segment_touch(struct gpu_segment *s)
{
	if (!atomic_load_explicit(&s->touched, memory_order_relaxed))
		atomic_store_explicit(&s->touched, true, memory_order_relaxed);
}

/*
 * @fn is called without locks for each segment that has left the cache, to drop references to it. A
 * user that adds a reference checks @cached afterwards.
 */
void gpu_on_drop(void (*fn)(struct gpu_segment *segment));
/* Drops all segments without users now. False: there were none. */
bool gpu_drop_idle(void);

/* Why it has no dma-buf: sentences without a full stop, like those of a library error. */
const char *gpu_segment_cause(const struct gpu_segment *segment);
const char *gpu_segment_remedy(const struct gpu_segment *segment);
/* The driver's name of its error; null: the driver did not refuse. */
const char *gpu_segment_detail(const struct gpu_segment *segment);

/*
 * Copies between @host and the device's memory at @p, inside the segment; complete on return. Any
 * thread. 0 or -errno.
 */
int gpu_copy_to(const struct gpu_segment *segment, uint64_t p, const void *host, size_t len);
int gpu_copy_from(const struct gpu_segment *segment, uint64_t p, void *host, size_t len);
/* After a drive has written to the segment, before its owner is told. 0 or -errno. */
int gpu_flush(const struct gpu_segment *segment);

/* A place in a memory. */
struct gpu_place {
	struct gpu_segment *segment;	/* borrowed from the memory */
	uint64_t len;		/* bytes from here to the end of segment or memory */
};

struct gpu_memory;

/*
 * For @len bytes of device memory at @p. Keeps the segments, and makes the driver's memory
 * operations on them synchronous. Errors as gpu_segment_use(), and
 *   -ERANGE	device memory ends before the range does
 */
int gpu_memory_create(uint64_t p, uint64_t len, struct gpu_memory **memory);
/* Whether the program has freed a part of it, as far as lookups have noticed. */
bool gpu_memory_is_gone(const struct gpu_memory *memory);
/* Takes null. */
void gpu_memory_destroy(struct gpu_memory *memory);
/* @off is less than the memory's length. */
void gpu_memory_find(const struct gpu_memory *memory, uint64_t off, struct gpu_place *place);

#endif /* GPU_MEMORY_H */
