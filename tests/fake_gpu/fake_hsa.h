/* SPDX-License-Identifier: MIT */
/*
 * fake_hsa.h - a libhsa-runtime64.so.1 for tests, without a GPU; and what a test may ask of it.
 *
 * It has a processor and one GPU, with a pool of fine-grained memory and one of coarse-grained.
 * What the real runtime refuses is refused: all calls before hsa_init(), exports of memory that is
 * not the GPU's, or fine-grained; copies of what is not one allocation. An allocation is exported
 * with all of its block, where it begins somewhere.
 */
#ifndef FAKE_HSA_H
#define FAKE_HSA_H

#include "../fake_gpu/fake_gpu.h"

typedef struct {
	uint64_t handle;
} hsa_agent_t;

typedef struct {
	uint64_t handle;
} hsa_amd_memory_pool_t;

typedef struct {
	uint32_t size;
	int type;
	void *agentBaseAddress;
	void *hostBaseAddress;
	size_t sizeInBytes;
	void *userData;
	hsa_agent_t agentOwner;
	uint32_t global_flags;
} hsa_amd_pointer_info_t;

extern struct fake_gpu fake_hsa;

/* hsa_init(), and memory as HIP's runtime allocates it. 0, or the address. */
uint64_t fake_hsa_alloc(size_t bytes);
uint64_t fake_hsa_alloc_fine(size_t bytes);
/* That another process has allocated. */
uint64_t fake_hsa_alloc_ipc(size_t bytes);
/* Of a dma-buf that the CPU sees at @map, both the caller's. */
uint64_t fake_hsa_alloc_of(int dmabuf_fd, void *map, size_t bytes);
/* Where the CPU finds a byte of device memory. */
unsigned char *fake_hsa_at(uint64_t p);

int hsa_init(void);
int hsa_shut_down(void);
int hsa_status_string(int status, const char **text);
int hsa_system_get_info(int attribute, void *value);
int hsa_iterate_agents(int (*fn)(hsa_agent_t agent, void *arg), void *arg);
int hsa_agent_get_info(hsa_agent_t agent, int attribute, void *value);
int hsa_amd_agent_iterate_memory_pools(hsa_agent_t agent,
				       int (*fn)(hsa_amd_memory_pool_t pool, void *arg), void *arg);
int hsa_amd_memory_pool_get_info(hsa_amd_memory_pool_t pool, int attribute, void *value);
int hsa_amd_memory_pool_allocate(hsa_amd_memory_pool_t pool, size_t bytes, uint32_t flags,
				 void **p);
int hsa_amd_memory_pool_free(void *p);
int hsa_amd_memory_lock(void *mem, size_t bytes, hsa_agent_t *agents, int nr, void **p);
int hsa_amd_memory_unlock(void *mem);
int hsa_amd_pointer_info(const void *p, hsa_amd_pointer_info_t *info, void *(*alloc)(size_t bytes),
			 uint32_t *nr, hsa_agent_t **agents);
int hsa_amd_register_deallocation_callback(void *p, void (*fn)(void *p, void *arg), void *arg);
int hsa_amd_portable_export_dmabuf(const void *p, size_t bytes, int *fd, uint64_t *offset);
int hsa_amd_portable_close_dmabuf(int fd);
int hsa_memory_copy(void *to, const void *from, size_t bytes);

#endif
