// SPDX-License-Identifier: MIT
/*
 * fake_cuda.c - see fake_cuda.h: memory, contexts and copies; fake_stream.c has the streams.
 *
 * The memory itself is fake_memory.c's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fake_gpu/fake_memory.h"
#include "fake_cuda.h"
#include "fake_stream.h"

#define OK		0
#define INVALID_VALUE	1
#define OUT_OF_MEMORY	2
#define NO_DEVICE	100
#define INVALID_CONTEXT	201
#define NOT_PERMITTED	800
#define NOT_SUPPORTED	801

#define MAX_DEPTH	16

#define MAX_CONTEXTS 16

struct CUctx_st {
	unsigned long long id;	/* 0: there is none here */
};

struct fake_gpu fake_cuda = { .writes_ordering = 200 };
struct fake_gpu *const fake_gpu = &fake_cuda;

static struct CUctx_st primary = { .id = 1 }, contexts[MAX_CONTEXTS];
static unsigned long long last_context = 1;
static __thread CUcontext stack[MAX_DEPTH];
static __thread int depth;

/* ---- devices ---------------------------------------------------------------------------- */

int cuInit(unsigned int flags)
{
	const char *delay = getenv("FAKE_CUDA_DELAY");

	if (delay)
		usleep(1000 * atoi(delay));
	return flags ? INVALID_VALUE : OK;
}

/* The address of a device; null: there is none. */
static const char *device_at(int device)
{
	const char *at = getenv("FAKE_CUDA_GPUS");

	if (!at)
		return device ? NULL : "0000:FF:1F.0";
	while (at && device-- > 0) {
		at = strchr(at, ',');
		at += !!at;
	}
	return at && *at ? at : NULL;
}

int cuDeviceGetCount(int *nr)
{
	for (*nr = 0; device_at(*nr); ++*nr)
		;
	return *nr ? OK : NO_DEVICE;
}

int cuDeviceGet(int *device, int ordinal)
{
	*device = ordinal;
	return device_at(ordinal) ? OK : INVALID_VALUE;
}

int cuDeviceGetName(char *name, int len, int device)
{
	snprintf(name, len, "Fake %d", device);
	return device_at(device) ? OK : INVALID_VALUE;
}

int cuDeviceGetPCIBusId(char *pci, int len, int device)
{
	const char *at = device_at(device);

	if (at)
		snprintf(pci, len, "%.*s", (int)strcspn(at, ","), at);
	return at ? OK : INVALID_VALUE;
}

/* ---- contexts --------------------------------------------------------------------------- */

int cuDevicePrimaryCtxRetain(CUcontext *context, int device)
{
	*context = &primary;
	return device ? INVALID_VALUE : OK;
}

int cuCtxSetCurrent(CUcontext context)
{
	depth = 1;
	stack[0] = context;
	return OK;
}

static CUcontext current(void)
{
	return depth ? stack[depth - 1] : NULL;
}

/* Of a function that works in the current context, and in none that a stream calls. */
static int check_caller(void)
{
	if (fake_stream_is_calling()) {
		__atomic_add_fetch(&fake_cuda.forbidden, 1, __ATOMIC_RELAXED);
		return NOT_PERMITTED;
	}
	return current() ? OK : INVALID_CONTEXT;
}

int cuCtxPushCurrent_v2(CUcontext context)
{
	if (fake_stream_is_calling())
		return check_caller();
	if (!context || depth == MAX_DEPTH)
		return INVALID_CONTEXT;
	stack[depth++] = context;
	return OK;
}

int cuCtxPopCurrent_v2(CUcontext *context)
{
	if (!depth)
		return INVALID_CONTEXT;
	*context = stack[--depth];
	return OK;
}

int cuCtxGetCurrent(CUcontext *context)
{
	*context = depth ? stack[depth - 1] : NULL;
	return OK;
}

int cuCtxCreate_v2(CUcontext *context, unsigned int flags, int device)
{
	int i;

	if (flags || device)
		return INVALID_VALUE;
	pthread_mutex_lock(&fake_lock);
	for (i = 0; i < MAX_CONTEXTS - 1 && contexts[i].id; i++)
		;
	contexts[i].id = ++last_context;
	pthread_mutex_unlock(&fake_lock);
	*context = &contexts[i];
	return cuCtxPushCurrent_v2(*context);
}

/* Its place is the next one's; streams and registrations are gone with it. */
int cuCtxDestroy_v2(CUcontext context)
{
	fake_stream_end_context(context);
	pthread_mutex_lock(&fake_lock);
	context->id = 0;
	pthread_mutex_unlock(&fake_lock);
	return OK;
}

int cuCtxGetId(CUcontext context, unsigned long long *id)
{
	pthread_mutex_lock(&fake_lock);
	*id = context->id;
	pthread_mutex_unlock(&fake_lock);
	return *id ? OK : INVALID_CONTEXT;
}

static bool has_dma_bufs(void)
{
	return !fake_cuda.no_dma_buf && !getenv("FAKE_GPU_NO_DMA_BUF");
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
	if (device && !device_at(device))
		return INVALID_VALUE;
	switch (attribute) {
	case 117:
		*value = 1;
		return OK;
	case 118:
		*value = fake_cuda.writes_ordering;
		return OK;
	case 124:
		*value = has_dma_bufs();
		return OK;
	}
	return INVALID_VALUE;
}

int cuFlushGPUDirectRDMAWrites(int target, int scope)
{
	int ret = check_caller();

	__atomic_add_fetch(&fake_cuda.flushes, 1, __ATOMIC_RELAXED);
	return ret ? ret : target || scope != 100 ? INVALID_VALUE : OK;
}

int cuGetErrorName(int result, const char **name)
{
	*name = result == OK ? "CUDA_SUCCESS" :
		result == INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE" :
		result == NOT_SUPPORTED ? "CUDA_ERROR_NOT_SUPPORTED" : NULL;
	return *name ? OK : INVALID_VALUE;
}

/* ---- memory ------------------------------------------------------------------------------ */

static int allocate(CUdeviceptr *p, size_t bytes, enum fake_kind kind)
{
	int ret = check_caller();

	if (!bytes || ret)
		return ret ? ret : INVALID_VALUE;
	*p = fake_allocate(bytes, kind, current());
	return *p ? OK : OUT_OF_MEMORY;
}

int cuMemAlloc_v2(CUdeviceptr *p, size_t bytes)
{
	return allocate(p, bytes, FAKE_PLAIN);
}

int cuMemAllocManaged(CUdeviceptr *p, size_t bytes, unsigned int flags)
{
	return flags == 1 ? allocate(p, bytes, FAKE_MANAGED) : INVALID_VALUE;
}

int fake_cuda_alloc_pool(CUdeviceptr *p, size_t bytes)
{
	return allocate(p, bytes, FAKE_POOL);
}

int fake_cuda_alloc_segments(CUdeviceptr *p, unsigned int nr, size_t bytes)
{
	if (bytes % FAKE_GPU_BLOCK)
		return INVALID_VALUE;
	*p = fake_allocate_segments(nr, bytes);
	return *p ? OK : OUT_OF_MEMORY;
}

int fake_cuda_alloc_of(CUdeviceptr *p, int dmabuf_fd, void *map, size_t bytes)
{
	*p = fake_allocate_of(dmabuf_fd, map, bytes);
	return OK;
}

int cuMemFree_v2(CUdeviceptr p)
{
	return fake_free(p) ? OK : INVALID_VALUE;
}

unsigned char *fake_cuda_at(CUdeviceptr p)
{
	return fake_at(p);
}

int cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr p)
{
	int ret = check_caller();
	struct fake_alloc *a;

	if (ret)
		return ret;
	pthread_mutex_lock(&fake_lock);
	a = fake_find_locked(p);
	if (a) {
		*base = a->base;
		*bytes = a->bytes;
	}
	pthread_mutex_unlock(&fake_lock);
	return a ? OK : INVALID_VALUE;
}

static int attribute_locked(void *value, int attribute, uint64_t p)
{
	const struct fake_alloc *a = fake_find_locked(p);

	if (!a && fake_stream_is_host(p)) {
		*(unsigned int *)value = 1;
		return attribute == 2 ? OK : INVALID_VALUE;
	}
	if (!a)
		return INVALID_VALUE;
	switch (attribute) {
	case 1:
		*(CUcontext *)value = a->kind == FAKE_POOL ? NULL : a->context;
		return OK;
	case 2:
		*(unsigned int *)value = 2;
		return OK;
	case 7:
		*(unsigned long long *)value = a->id;
		return OK;
	case 8:
		*(unsigned int *)value = a->kind == FAKE_MANAGED;
		return OK;
	case 9:
		*(int *)value = 0;
		return OK;
	}
	return INVALID_VALUE;
}

/* Unified addresses tell it without a context. */
int cuPointerGetAttribute(void *value, int attribute, CUdeviceptr p)
{
	int ret;

	if (fake_stream_is_calling())
		return check_caller();
	pthread_mutex_lock(&fake_lock);
	ret = attribute_locked(value, attribute, p);
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

int cuPointerSetAttribute(const void *value, int attribute, CUdeviceptr p)
{
	int ret = check_caller();
	struct fake_alloc *a;

	if (ret)
		return ret;
	ret = INVALID_VALUE;
	pthread_mutex_lock(&fake_lock);
	a = fake_find_locked(p);
	if (a && attribute == 6 && *(const unsigned int *)value == 1) {
		ret = a->kind == FAKE_POOL ? NOT_SUPPORTED : OK;
		fake_cuda.sync_memops += ret == OK;
	}
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

/* ---- exports ---------------------------------------------------------------------------- */

static int export_locked(int *fd, uint64_t p, uint64_t bytes)
{
	struct fake_alloc *a = fake_find_locked(p);
	uint64_t at;

	/* A range that begins before the allocation whose pages it has. */
	for (at = p; !a && at < p + bytes; at += 512)
		a = fake_find_locked(at);
	if (!a)
		return INVALID_VALUE;
	if (a->kind != FAKE_PLAIN)
		return NOT_SUPPORTED;
	switch (fake_export_locked(a->block, p, bytes, fd)) {
	case 0:
		return OK;
	case EINVAL:
		return INVALID_VALUE;
	case EPERM:
		return NOT_SUPPORTED;
	}
	return OUT_OF_MEMORY;
}

int cuMemGetHandleForAddressRange(void *handle, CUdeviceptr p, size_t bytes, int type,
				  unsigned long long flags)
{
	uint64_t grain = fake_cuda.grain ? fake_cuda.grain : 4096;
	int ret = check_caller();

	if (ret)
		return ret;
	if (type != 1 || flags || !bytes || p % grain || bytes % grain)
		return INVALID_VALUE;
	if (!has_dma_bufs())
		return NOT_SUPPORTED;
	if (fake_cuda.export_error)
		return fake_fail_export();
	pthread_mutex_lock(&fake_lock);
	ret = export_locked(handle, p, bytes);
	fake_cuda.exports += ret == OK;
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

/* ---- copies ----------------------------------------------------------------------------- */

/* Of one allocation, or of several that follow each other. */
static int copy(CUdeviceptr p, void *to, const void *from, size_t bytes, CUcontext context)
{
	struct fake_alloc *a;
	int ret = OK;

	if (fake_cuda.copy_error)
		return fake_cuda.copy_error;
	pthread_mutex_lock(&fake_lock);
	fake_cuda.copies++;
	while (bytes && !ret) {
		size_t n;

		a = fake_find_locked(p);
		if (!a || !a->block->map) {
			ret = INVALID_VALUE;
			break;
		}
		if (a->kind == FAKE_PLAIN && a->context && a->context != context) {
			ret = INVALID_CONTEXT;
			break;
		}
		n = a->base + a->bytes - p;
		if (n > bytes)
			n = bytes;
		if (to) {
			memcpy(to, a->block->map + (p - a->block->va), n);
			to = (char *)to + n;
		} else {
			memcpy(a->block->map + (p - a->block->va), from, n);
			from = (const char *)from + n;
		}
		p += n;
		bytes -= n;
	}
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

int fake_cuda_copy(const struct fake_copy *c)
{
	return copy(c->p, c->to, c->from, c->bytes, c->context);
}

int cuMemcpyDtoH_v2(void *host, CUdeviceptr p, size_t bytes)
{
	return !check_caller() ? copy(p, host, NULL, bytes, current()) : INVALID_CONTEXT;
}

int cuMemcpyHtoD_v2(CUdeviceptr p, const void *host, size_t bytes)
{
	return !check_caller() ? copy(p, NULL, host, bytes, current()) : INVALID_CONTEXT;
}

int cuMemcpyDtoHAsync_v2(void *host, CUdeviceptr p, size_t bytes, CUstream stream)
{
	return !check_caller() ? fake_stream_copy(stream, (struct fake_copy){
			.p = p, .to = host, .bytes = bytes, .context = current() }) :
	       INVALID_CONTEXT;
}

int cuMemcpyHtoDAsync_v2(CUdeviceptr p, const void *host, size_t bytes, CUstream stream)
{
	return !check_caller() ? fake_stream_copy(stream, (struct fake_copy){
			.p = p, .from = host, .bytes = bytes, .context = current() }) :
	       INVALID_CONTEXT;
}
