// SPDX-License-Identifier: MIT
/* fake_hsa.c - see fake_hsa.h. The memory itself is fake_memory.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_hsa.h"
#include "fake_memory.h"

#define OK			0
#define ERROR			0x1000
#define INVALID_ARGUMENT	0x1001
#define INVALID_ALLOCATION	0x1003
#define INVALID_AGENT		0x1004
#define OUT_OF_RESOURCES	0x1008
#define NOT_INITIALIZED		0x100b

#define PROCESSOR	1
#define GPU		2
#define FINE_POOL	21
#define COARSE_POOL	22
#define FINE		2
#define COARSE		4

struct fake_gpu fake_hsa = { .writes_ordering = 200 };
struct fake_gpu *const fake_gpu = &fake_hsa;

static int users;
/* One range of the host's memory is locked at most. */
static char *locked;
static size_t locked_bytes;

int hsa_init(void)
{
	__atomic_add_fetch(&users, 1, __ATOMIC_SEQ_CST);
	return OK;
}

/* Calls of what is not there may end in anything; these end a test. */
static int check_init(void)
{
	if (__atomic_load_n(&users, __ATOMIC_SEQ_CST))
		return OK;
	__atomic_add_fetch(&fake_hsa.forbidden, 1, __ATOMIC_RELAXED);
	return NOT_INITIALIZED;
}

int hsa_shut_down(void)
{
	int ret = check_init();

	if (!ret)
		__atomic_sub_fetch(&users, 1, __ATOMIC_SEQ_CST);
	return ret;
}

int hsa_status_string(int status, const char **text)
{
	*text = status == INVALID_ALLOCATION ? "HSA_STATUS_ERROR_INVALID_ALLOCATION: fake" :
		status == INVALID_AGENT ? "HSA_STATUS_ERROR_INVALID_AGENT: fake" : NULL;
	return *text ? OK : INVALID_ARGUMENT;
}

int hsa_system_get_info(int attribute, void *value)
{
	int ret = check_init();

	if (ret || attribute != 0x204)
		return ret ? ret : INVALID_ARGUMENT;
	*(bool *)value = !fake_hsa.no_dma_buf && !getenv("FAKE_GPU_NO_DMA_BUF");
	return OK;
}

/* ---- agents and pools ------------------------------------------------------------------- */

int hsa_iterate_agents(int (*fn)(hsa_agent_t agent, void *arg), void *arg)
{
	static const hsa_agent_t agents[] = { { PROCESSOR }, { GPU } };
	int i, ret = check_init();

	for (i = 0; i < 2 && !ret; i++)
		ret = fn(agents[i], arg);
	return ret;
}

int hsa_agent_get_info(hsa_agent_t agent, int attribute, void *value)
{
	int ret = check_init();

	if (ret || (agent.handle != GPU && agent.handle != PROCESSOR))
		return ret ? ret : INVALID_AGENT;
	switch (attribute) {
	case 17:
		*(int *)value = agent.handle == GPU;
		return OK;
	case 0xa006:
		*(uint32_t *)value = 0xfef8;
		return OK;
	case 0xa00e:
		/* A write of 1 there is a flush. */
		((uint32_t **)value)[0] = fake_hsa.writes_ordering ? NULL : &fake_hsa.flushes;
		((uint32_t **)value)[1] = NULL;
		return OK;
	case 0xa00f:
		*(uint32_t *)value = 0;
		return OK;
	}
	return INVALID_ARGUMENT;
}

int hsa_amd_agent_iterate_memory_pools(hsa_agent_t agent,
				       int (*fn)(hsa_amd_memory_pool_t pool, void *arg), void *arg)
{
	static const hsa_amd_memory_pool_t pools[] = { { FINE_POOL }, { COARSE_POOL } };
	int i, ret = check_init();

	if (agent.handle != GPU)
		return ret ? ret : INVALID_AGENT;
	for (i = 0; i < 2 && !ret; i++)
		ret = fn(pools[i], arg);
	return ret;
}

int hsa_amd_memory_pool_get_info(hsa_amd_memory_pool_t pool, int attribute, void *value)
{
	int ret = check_init();

	if (ret)
		return ret;
	switch (attribute) {
	case 0:
		*(int *)value = 0;
		return OK;
	case 1:
		*(uint32_t *)value = pool.handle == COARSE_POOL ? COARSE : FINE;
		return OK;
	case 5:
		*(bool *)value = true;
		return OK;
	}
	return INVALID_ARGUMENT;
}

/* ---- memory ----------------------------------------------------------------------------- */

int hsa_amd_memory_pool_allocate(hsa_amd_memory_pool_t pool, size_t bytes, uint32_t flags,
				 void **p)
{
	int ret = check_init();
	uint64_t at;

	if (ret || !bytes || flags)
		return ret ? ret : INVALID_ARGUMENT;
	at = fake_allocate(bytes, pool.handle == COARSE_POOL ? FAKE_PLAIN : FAKE_MANAGED, NULL);
	*p = (void *)(uintptr_t)at;
	return at ? OK : OUT_OF_RESOURCES;
}

int hsa_amd_memory_pool_free(void *p)
{
	int ret = check_init();

	return ret ? ret : fake_free((uintptr_t)p) ? OK : INVALID_ALLOCATION;
}

static uint64_t allocate(size_t bytes, enum fake_kind kind)
{
	if (!__atomic_load_n(&users, __ATOMIC_SEQ_CST))
		hsa_init();
	return fake_allocate(bytes, kind, NULL);
}

uint64_t fake_hsa_alloc(size_t bytes)
{
	return allocate(bytes, FAKE_PLAIN);
}

uint64_t fake_hsa_alloc_fine(size_t bytes)
{
	return allocate(bytes, FAKE_MANAGED);
}

uint64_t fake_hsa_alloc_ipc(size_t bytes)
{
	return allocate(bytes, FAKE_POOL);
}

uint64_t fake_hsa_alloc_of(int dmabuf_fd, void *map, size_t bytes)
{
	if (!__atomic_load_n(&users, __ATOMIC_SEQ_CST))
		hsa_init();
	return fake_allocate_of(dmabuf_fd, map, bytes);
}

unsigned char *fake_hsa_at(uint64_t p)
{
	return fake_at(p);
}

int hsa_amd_memory_lock(void *mem, size_t bytes, hsa_agent_t *agents, int nr, void **p)
{
	(void)agents;
	(void)nr;
	if (check_init())
		return NOT_INITIALIZED;
	locked = *p = mem;
	locked_bytes = bytes;
	return OK;
}

int hsa_amd_memory_unlock(void *mem)
{
	if (mem != locked)
		return INVALID_ARGUMENT;
	locked = NULL;
	return OK;
}

/* This one only tells it, as the real one does; so asking is not forbidden before. */
int hsa_amd_pointer_info(const void *p, hsa_amd_pointer_info_t *info, void *(*alloc)(size_t bytes),
			 uint32_t *nr, hsa_agent_t **agents)
{
	const struct fake_alloc *a;

	(void)nr;
	if (!__atomic_load_n(&users, __ATOMIC_SEQ_CST))
		return NOT_INITIALIZED;
	if (info->size < sizeof(*info) || alloc || agents)
		return INVALID_ARGUMENT;
	memset((char *)info + sizeof(info->size), 0, sizeof(*info) - sizeof(info->size));
	info->size = sizeof(*info);
	if (locked && (const char *)p >= locked && (const char *)p < locked + locked_bytes) {
		info->type = 2;
		info->agentBaseAddress = info->hostBaseAddress = locked;
		info->sizeInBytes = locked_bytes;
		info->agentOwner.handle = PROCESSOR;
		return OK;
	}
	pthread_mutex_lock(&fake_lock);
	a = fake_find_locked((uintptr_t)p);
	if (a) {
		info->type = a->kind == FAKE_POOL ? 4 : 1;
		info->agentBaseAddress = (void *)(uintptr_t)a->base;
		info->sizeInBytes = a->bytes;
		info->agentOwner.handle = GPU;
		info->global_flags = a->kind == FAKE_MANAGED ? FINE : COARSE;
	}
	pthread_mutex_unlock(&fake_lock);
	return OK;
}

int hsa_amd_register_deallocation_callback(void *p, void (*fn)(void *p, void *arg), void *arg)
{
	int ret = check_init();
	struct fake_alloc *a;

	if (ret)
		return ret;
	pthread_mutex_lock(&fake_lock);
	a = fake_find_locked((uintptr_t)p);
	/* One for each is all that is needed here. */
	if (fake_hsa.no_notices || !a || a->kind == FAKE_POOL || a->on_free) {
		ret = INVALID_ALLOCATION;
	} else {
		a->on_free = fn;
		a->arg = arg;
	}
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

/* ---- exports and copies ----------------------------------------------------------------- */

static int export_locked(uint64_t p, size_t bytes, int *fd, uint64_t *offset)
{
	const struct fake_alloc *a = fake_find_locked(p);

	if (!a || p - a->base + bytes > a->bytes)
		return INVALID_ALLOCATION;
	/* What is not its own has it fall. */
	if (a->kind == FAKE_POOL)
		abort();
	if (a->kind == FAKE_MANAGED)
		return INVALID_AGENT;
	*offset = p - a->block->va;
	switch (fake_export_locked(a->block, a->block->va, a->block->bytes, fd)) {
	case 0:
		return OK;
	case ENOMEM:
		return OUT_OF_RESOURCES;
	}
	return ERROR;
}

int hsa_amd_portable_export_dmabuf(const void *p, size_t bytes, int *fd, uint64_t *offset)
{
	int ret = check_init();

	if (ret)
		return ret;
	if (fake_hsa.export_error)
		return fake_fail_export();
	pthread_mutex_lock(&fake_lock);
	ret = export_locked((uintptr_t)p, bytes, fd, offset);
	fake_hsa.exports += ret == OK;
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

int hsa_amd_portable_close_dmabuf(int fd)
{
	return close(fd) ? 0x100a : OK;
}

/* Where the CPU finds what may be an address of the device; null: beyond the allocation. */
static void *place_locked(const void *p, size_t bytes)
{
	const struct fake_alloc *a = fake_find_locked((uintptr_t)p);

	if (!a)
		return (void *)p;
	if ((uintptr_t)p - a->base + bytes > a->bytes || !a->block->map)
		return NULL;
	return a->block->map + ((uintptr_t)p - a->block->va);
}

int hsa_memory_copy(void *to, const void *from, size_t bytes)
{
	int ret = check_init();
	const void *source;
	void *target;

	if (ret || fake_hsa.copy_error)
		return ret ? ret : fake_hsa.copy_error;
	pthread_mutex_lock(&fake_lock);
	fake_hsa.copies++;
	target = place_locked(to, bytes);
	source = place_locked(from, bytes);
	if (target && source)
		memcpy(target, source, bytes);
	else
		ret = INVALID_ARGUMENT;
	pthread_mutex_unlock(&fake_lock);
	return ret;
}
