// SPDX-License-Identifier: MIT
/*
 * hsa_memory.c - ROCm's allocations, their dma-bufs, and copies.
 *
 * The runtime has no number that tells an allocation from a later one at the same address. So each
 * allocation gets a number of ours. The runtime reports when it is freed, before the address can be
 * used again, and we forget the number. If the runtime cannot promise that report, the memory is
 * not exported, and gets another number each time.
 *
 * An allocation may be a part of a larger one of the runtime's own. The dma-buf is then the larger
 * one's, and the runtime gives the allocation's offset in it.
 *
 * A runtime that the program has not initialized answers so, and has no memory. Once it is
 * initialized, we hold a reference, so that it does not shut down while we use it.
 *
 * Locks: "lock" protects the numbers. It is taken in callbacks of the runtime, so it is not held
 * while the runtime is called. "naming" lets one thread at a time number allocations; it is taken
 * before "lock", and the runtime may be called under it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "gpu_memory.h"
#include "hsa_driver.h"

#define NR_CHAINS 256

struct known {
	struct known *next;
	uint64_t base, bytes, identity;
};

static pthread_mutex_t naming = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known *chains[NR_CHAINS];	/* by base; protected by @lock, like the next */
static uint64_t last_identity;

static struct known **chain_of(uint64_t base)
{
	return &chains[base / 4096 % NR_CHAINS];
}

/* False: not known. */
static bool find_identity(uint64_t base, uint64_t bytes, uint64_t *identity)
{
	const struct known *k;

	pthread_mutex_lock(&lock);
	for (k = *chain_of(base); k && (k->base != base || k->bytes != bytes); k = k->next)
		;
	if (k)
		*identity = k->identity;
	pthread_mutex_unlock(&lock);
	return k;
}

/* Called by the runtime before the addresses can be used again. */
static void forget(void *p, void *arg)
{
	struct known *k = arg, **at;

	(void)p;
	pthread_mutex_lock(&lock);
	for (at = chain_of(k->base); *at != k; at = &(*at)->next)
		;
	*at = k->next;
	pthread_mutex_unlock(&lock);
	free(k);
}

static uint64_t new_identity(void)
{
	uint64_t identity;

	pthread_mutex_lock(&lock);
	identity = ++last_identity;
	pthread_mutex_unlock(&lock);
	return identity;
}

/* The number is in the list before the runtime can report that the memory is freed. */
static void name_allocation(const struct hsa_driver *hsa, uint64_t base, uint64_t bytes,
			    uint64_t identity)
{
	struct known *k = hsa->on_free ? malloc(sizeof(*k)) : NULL;
	struct known **chain = chain_of(base);

	if (!k)
		return;
	*k = (struct known){ .base = base, .bytes = bytes, .identity = identity };
	pthread_mutex_lock(&lock);
	k->next = *chain;
	*chain = k;
	pthread_mutex_unlock(&lock);
	if (hsa->on_free((void *)(uintptr_t)base, forget, k))
		forget(NULL, k);
}

static bool is_gpu(const struct hsa_driver *hsa, struct hsa_agent agent)
{
	int device;

	return agent.handle && !hsa->agent_get_info(agent, HSA_AGENT_DEVICE, &device) &&
	       device == HSA_DEVICE_GPU;
}

static void hold_runtime(const struct hsa_driver *hsa)
{
	static atomic_bool held;

	if (!atomic_exchange(&held, true))
		hsa->init();
}

/* 0, -ENXIO or -EFAULT; as identify() of gpu_driver.h. */
static int ask(const struct hsa_driver *hsa, uint64_t p, struct hsa_pointer_info *info)
{
	*info = (struct hsa_pointer_info){ .bytes = sizeof(*info) };
	if (hsa->pointer_info((void *)(uintptr_t)p, info, NULL, NULL, NULL))
		return -ENXIO;
	switch (info->type) {
	case HSA_POINTER_UNKNOWN:
	case HSA_POINTER_LOCKED:
		return -ENXIO;
	case HSA_POINTER_RESERVED:
	case HSA_POINTER_VIRTUAL:
		/* The runtime does not report where virtual memory begins. */
		return -EFAULT;
	case HSA_POINTER_ALLOCATED:
		if (!is_gpu(hsa, info->owner))
			return -ENXIO;
	}
	return p < (uintptr_t)info->base || p - (uintptr_t)info->base >= info->len ? -EFAULT : 0;
}

static int identify(uint64_t p, uint64_t *identity)
{
	const struct hsa_driver *hsa = hsa_driver();
	struct hsa_pointer_info info;
	uint64_t base;
	int ret = hsa ? ask(hsa, p, &info) : -ENXIO;

	if (ret)
		return ret;
	base = (uintptr_t)info.base;
	if (find_identity(base, info.len, identity))
		return 0;
	hold_runtime(hsa);
	pthread_mutex_lock(&naming);
	if (!find_identity(base, info.len, identity)) {
		*identity = new_identity();
		if (info.type == HSA_POINTER_ALLOCATED)
			name_allocation(hsa, base, info.len, *identity);
	}
	pthread_mutex_unlock(&naming);
	return 0;
}

/* identify() has checked everything. */
static int check(uint64_t p)
{
	(void)p;
	return 0;
}

static bool has_dma_bufs(const struct hsa_driver *hsa)
{
	bool has = false;

	return !hsa->system_get_info(HSA_SYSTEM_DMA_BUF, &has) && has;
}

/* Writing to it flushes to memory what came over the bus; null: nothing to flush. */
static volatile uint32_t *flush_register(const struct hsa_driver *hsa, void *context)
{
	struct hsa_agent agent = { .handle = (uintptr_t)context };
	struct hsa_hdp_flush hdp = { 0 };

	return hsa->agent_get_info(agent, HSA_AGENT_HDP_FLUSH, &hdp) ? NULL : hdp.memory;
}

/* The runtime owns @fd, which has the allocation at @offset. */
static int keep_dmabuf(const struct hsa_driver *hsa, struct gpu_segment *s, int fd,
		       uint64_t offset)
{
	off_t size = lseek(fd, 0, SEEK_END);
	int ret;

	if (size < 0 || offset > (uint64_t)size || s->bytes > (uint64_t)size - offset) {
		ret = gpu_segment_refuse(s, GPU_REFUSED);
	} else {
		s->start = s->base - offset;
		s->span = size;
		ret = gpu_segment_keep_fd(s, fd);
	}
	if (!hsa->close_dmabuf || hsa->close_dmabuf(fd))
		close(fd);
	return ret;
}

static int export_segment(const struct hsa_driver *hsa, struct gpu_segment *s, uint32_t flags)
{
	uint64_t offset = 0;
	int fd = -1;

	s->error = hsa->export_dmabuf((void *)(uintptr_t)s->base, s->bytes, &fd, &offset);
	if (!s->error && fd >= 0)
		return keep_dmabuf(hsa, s, fd, offset);
	if (s->error == HSA_OUT_OF_RESOURCES)
		return gpu_segment_refuse(s, GPU_NO_ROOM);
	return gpu_segment_refuse(s, flags & HSA_POOL_COARSE ? GPU_REFUSED : GPU_MANAGED);
}

static int fill(uint64_t p, struct gpu_segment *s)
{
	const struct hsa_driver *hsa = hsa_driver();
	struct hsa_pointer_info info;
	uint64_t identity = 0;
	int ret = ask(hsa, p, &info);

	if (ret)
		return -EFAULT;
	s->base = (uintptr_t)info.base;
	s->bytes = info.len;
	s->context = (void *)(uintptr_t)info.owner.handle;
	/* Some versions of the runtime crash when they export memory that is not their own. */
	if (info.type != HSA_POINTER_ALLOCATED)
		s->refusal = GPU_REFUSED;
	else if (!hsa->export_dmabuf)
		s->refusal = GPU_OLD_DRIVER;
	else if (!has_dma_bufs(hsa))
		s->refusal = GPU_NO_DMA_BUFS;
	else if (!find_identity(s->base, s->bytes, &identity) || identity != s->identity)
		s->refusal = GPU_NO_NOTICE;
	else
		ret = export_segment(hsa, s, info.flags);
	s->may_move = true;
	s->flush = s->fd >= 0 && flush_register(hsa, s->context);
	return ret;
}

static int copy(const struct gpu_segment *segment, uint64_t p, void *to, const void *from,
		size_t len)
{
	const struct hsa_driver *hsa = hsa_driver();
	void *at = (void *)(uintptr_t)p;

	(void)segment;
	if (!hsa || hsa->memory_copy(to ? to : at, to ? at : from, len))
		return -EIO;
	return 0;
}

static int flush(const struct gpu_segment *segment)
{
	const struct hsa_driver *hsa = hsa_driver();
	volatile uint32_t *at = hsa ? flush_register(hsa, segment->context) : NULL;

	if (!at)
		return -EIO;
	*at = 1;
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

static const struct gpu_refusal_text refusals[GPU_NR_REFUSALS] = {
	[GPU_EXPORTED] = { "the memory is exported", "nothing is to be done" },
	[GPU_OLD_DRIVER] = { "the ROCm runtime is too old to export memory as a dma-buf",
			     "install a later version of ROCm" },
	[GPU_NO_DMA_BUFS] = { "the amdgpu driver of this kernel cannot export memory as a dma-buf",
			      "use a later kernel, or the amdgpu driver that comes with ROCm" },
	[GPU_MANAGED] = { "fine-grained memory is not exported as a dma-buf",
			  "allocate it with hipMalloc()" },
	[GPU_REFUSED] = { "the ROCm runtime refuses to export this allocation as a dma-buf",
			  "allocate it with hipMalloc(), not in another process or by another "
			  "API" },
	[GPU_NO_ROOM] = { "the ROCm runtime lacks what it takes to export this allocation as a "
			  "dma-buf",
			  "register less memory at a time, or raise the limit of descriptors "
			  "(ulimit -n)" },
	[GPU_NO_NOTICE] = { "the ROCm runtime does not say when this memory is freed, and its "
			    "address may be used again",
			    "install a later version of ROCm, or allocate it with hipMalloc()" },
};

const struct gpu_driver gpu_hsa = {
	.identify = identify, .check = check, .fill = fill, .copy = copy, .flush = flush,
	.error_name = hsa_error_name, .refusals = refusals,
};
