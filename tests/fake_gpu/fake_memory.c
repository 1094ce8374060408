// SPDX-License-Identifier: MIT
/* fake_memory.c - see fake_memory.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/udmabuf.h>

#include "fake_memory.h"

#define RANGE		(64UL << 30)	/* of device addresses; a GPU's worth, and no memory */
#define SMALL		(256UL << 10)	/* shares a block */
#define SMALL_ALIGN	512
#define MAX_BLOCKS	4096
#define MAX_ALLOCS	16384

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

static struct fake_block blocks[MAX_BLOCKS];
static struct fake_alloc allocs[MAX_ALLOCS];
static uint64_t first, last_id;

static uint64_t round_up(uint64_t x, uint64_t to)
{
	return (x + to - 1) / to * to;
}

/* The lowest addresses that are free; 0: none are. */
static uint64_t free_range(uint64_t bytes)
{
	uint64_t va;
	int i;

	if (!first) {
		void *p = mmap(NULL, RANGE, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			return 0;
		first = round_up((uintptr_t)p, FAKE_GPU_BLOCK);
	}
	va = first;
	for (i = 0; i < MAX_BLOCKS; i++) {
		const struct fake_block *b = &blocks[i];

		if (!b->bytes || b->va >= va + bytes || b->va + b->bytes <= va)
			continue;
		va = round_up(b->va + b->bytes, FAKE_GPU_BLOCK);
		i = -1;
	}
	return va + bytes > first + RANGE - FAKE_GPU_BLOCK ? 0 : va;
}

static struct fake_block *new_block(uint64_t va, uint64_t bytes, int fd, void *map)
{
	struct fake_block *b = NULL;
	int i;

	for (i = 0; i < MAX_BLOCKS && !b; i++)
		if (!blocks[i].bytes)
			b = &blocks[i];
	if (!b)
		return NULL;
	*b = (struct fake_block){ .va = va, .bytes = bytes, .map = map, .given = fd >= 0 };
	if (b->given) {
		b->fd = dup(fd);
	} else {
		b->fd = memfd_create("device memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (b->fd < 0 || ftruncate(b->fd, bytes) ||
		    fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK))
			abort();
		b->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
		if (b->map == MAP_FAILED)
			abort();
	}
	fake_gpu->blocks++;
	return b;
}

static void put_block(struct fake_block *b)
{
	if (--b->allocs)
		return;
	if (!b->given)
		munmap(b->map, b->bytes);
	close(b->fd);
	b->bytes = 0;
	fake_gpu->blocks--;
}

static struct fake_alloc *new_alloc(struct fake_block *b, uint64_t base, uint64_t bytes,
				    enum fake_kind kind, void *context)
{
	int i;

	for (i = 0; i < MAX_ALLOCS; i++) {
		if (allocs[i].bytes)
			continue;
		allocs[i] = (struct fake_alloc){
			.base = base, .bytes = bytes, .range = base, .block = b,
			.id = ++last_id, .kind = kind, .context = context,
		};
		b->allocs++;
		return &allocs[i];
	}
	abort();
}

struct fake_alloc *fake_find_locked(uint64_t p)
{
	int i;

	for (i = 0; i < MAX_ALLOCS; i++)
		if (allocs[i].bytes && p >= allocs[i].base && p < allocs[i].base + allocs[i].bytes)
			return &allocs[i];
	return NULL;
}

static struct fake_block *shared_block(uint64_t bytes)
{
	struct fake_block *b;
	uint64_t va;
	int i;

	for (i = 0; i < MAX_BLOCKS; i++)
		if (blocks[i].bytes && blocks[i].shared &&
		    blocks[i].used + bytes <= blocks[i].bytes)
			return &blocks[i];
	va = free_range(FAKE_GPU_BLOCK);
	b = va ? new_block(va, FAKE_GPU_BLOCK, -1, NULL) : NULL;
	if (b)
		b->shared = true;
	return b;
}

uint64_t fake_allocate(uint64_t bytes, enum fake_kind kind, void *context)
{
	const char *given = getenv("FAKE_GPU_FD");
	struct fake_block *b;
	uint64_t va;

	if (given)
		return fake_allocate_of(atoi(given), NULL, bytes);
	pthread_mutex_lock(&fake_lock);
	if (bytes < SMALL) {
		b = shared_block(bytes);
		va = b ? b->va + b->used : 0;
		if (b)
			b->used += round_up(bytes, SMALL_ALIGN);
	} else {
		va = free_range(round_up(bytes, FAKE_GPU_BLOCK));
		b = va ? new_block(va, round_up(bytes, FAKE_GPU_BLOCK), -1, NULL) : NULL;
	}
	if (b)
		new_alloc(b, va, bytes, kind, context);
	pthread_mutex_unlock(&fake_lock);
	return b ? va : 0;
}

uint64_t fake_allocate_segments(unsigned int nr, uint64_t bytes)
{
	unsigned int i;
	uint64_t va;

	pthread_mutex_lock(&fake_lock);
	va = free_range(nr * bytes);
	for (i = 0; va && i < nr; i++)
		new_alloc(new_block(va + i * bytes, bytes, -1, NULL), va + i * bytes, bytes,
			  FAKE_PLAIN, NULL)->range = va;
	pthread_mutex_unlock(&fake_lock);
	return va;
}

uint64_t fake_allocate_of(int dmabuf_fd, void *map, uint64_t bytes)
{
	uint64_t va;

	pthread_mutex_lock(&fake_lock);
	va = free_range(bytes);
	new_alloc(new_block(va, bytes, dmabuf_fd, map), va, bytes, FAKE_PLAIN, NULL);
	pthread_mutex_unlock(&fake_lock);
	return va;
}

bool fake_free(uint64_t p)
{
	void (*on_free)(void *p, void *arg) = NULL;
	struct fake_alloc *a;
	void *arg = NULL;
	int i, found = 0;

	pthread_mutex_lock(&fake_lock);
	a = fake_find_locked(p);
	if (a && a->base == p) {
		on_free = a->on_free;
		arg = a->arg;
		a->on_free = NULL;
	}
	pthread_mutex_unlock(&fake_lock);
	if (on_free)
		on_free((void *)(uintptr_t)p, arg);
	pthread_mutex_lock(&fake_lock);
	for (i = 0; i < MAX_ALLOCS; i++)
		if (allocs[i].bytes && allocs[i].range == p) {
			put_block(allocs[i].block);
			allocs[i].bytes = 0;
			found = 1;
		}
	pthread_mutex_unlock(&fake_lock);
	return found;
}

unsigned char *fake_at(uint64_t p)
{
	struct fake_alloc *a;
	unsigned char *at = NULL;

	pthread_mutex_lock(&fake_lock);
	a = fake_find_locked(p);
	if (a && a->block->map)
		at = a->block->map + (p - a->block->va);
	pthread_mutex_unlock(&fake_lock);
	return at;
}

int fake_export_locked(const struct fake_block *b, uint64_t p, uint64_t bytes, int *fd)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC };
	int dev;

	if (p < b->va || p + bytes > b->va + b->bytes)
		return EINVAL;
	if (b->given || fake_gpu->memfd) {
		if (p != b->va)
			return EPERM;
		*fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
		return *fd < 0 ? ENOMEM : 0;
	}
	create.memfd = b->fd;
	create.offset = p - b->va;
	create.size = bytes;
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return EPERM;
	*fd = ioctl(dev, UDMABUF_CREATE, &create);
	close(dev);
	return *fd < 0 ? ENOMEM : 0;
}

int fake_fail_export(void)
{
	int error = fake_gpu->export_error;

	if (fake_gpu->export_failures && !--fake_gpu->export_failures)
		fake_gpu->export_error = 0;
	return error;
}
