// SPDX-License-Identifier: MIT
/*
 * stage.c - moves through host memory the bytes that the library can neither bind nor bounce:
 * memory without a dma-buf, writes that extend a file, parts of LBAs without /dev/udmabuf, and
 * reads from the page cache.
 *
 * Chunk by chunk. Used memory is kept for the next transfer.
 *
 * Thread-safety: "lock" protects the list of unused memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "front.h"

#define CHUNK (4UL << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *unused;	/* protected by @lock; each begins with the next one's address */

/* Null: there is none. */
static void *take_memory(void)
{
	void *mem;

	pthread_mutex_lock(&lock);
	mem = unused;
	if (mem)
		unused = *(void **)mem;
	pthread_mutex_unlock(&lock);
	if (mem)
		return mem;
	mem = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mem == MAP_FAILED ? NULL : mem;
}

static void give_memory(void *mem)
{
	pthread_mutex_lock(&lock);
	*(void **)mem = unused;
	unused = mem;
	pthread_mutex_unlock(&lock);
}

static int64_t move_chunk(struct front_file *file, const struct gpu_segment *segment, bool write,
			  uint64_t p, void *mem, size_t len, uint64_t off)
{
	ssize_t n;
	int ret;

	if (write) {
		ret = gpu_copy_from(segment, p, mem, len);
		return ret ? ret : file_transfer(file, true, mem, len, off);
	}
	n = file_transfer(file, false, mem, len, off);
	if (n <= 0)
		return n;
	ret = gpu_copy_to(segment, p, mem, n);
	return ret ? ret : n;
}

static int64_t move_cached(struct front_file *file, const struct gpu_segment *segment, uint64_t p,
			   void *mem, size_t len, uint64_t off)
{
	ssize_t n = file_read_cached(file, mem, len, off);
	int ret = n > 0 ? gpu_copy_to(segment, p, mem, n) : 0;

	return ret ? ret : n;
}

enum stage_how { READ, WRITE, READ_CACHED };

static int64_t move_all(struct front_file *file, const struct gpu_segment *segment,
			enum stage_how how, uint64_t p, uint64_t len, uint64_t off)
{
	void *mem = take_memory();
	uint64_t done = 0;
	int64_t n = 0;

	if (!mem)
		return -ENOMEM;
	while (done < len) {
		/* All chunks but the first begin at an offset that suits O_DIRECT. */
		uint64_t want = CHUNK - (off + done) % CHUNK;

		if (want > len - done)
			want = len - done;
		n = how == READ_CACHED ?
			move_cached(file, segment, p + done, mem, want, off + done) :
			move_chunk(file, segment, how == WRITE, p + done, mem, want, off + done);
		if (n <= 0)
			break;
		done += n;
		if ((uint64_t)n < want)
			break;
	}
	give_memory(mem);
	return done ? (int64_t)done : n;
}

int64_t stage_move(struct front_file *file, const struct gpu_segment *segment, bool write,
		   uint64_t p, uint64_t len, uint64_t off)
{
	return move_all(file, segment, write ? WRITE : READ, p, len, off);
}

int64_t stage_read_cached(struct front_file *file, const struct gpu_segment *segment, uint64_t p,
			  uint64_t len, uint64_t off)
{
	return move_all(file, segment, READ_CACHED, p, len, off);
}
