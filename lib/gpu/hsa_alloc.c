// SPDX-License-Identifier: MIT
/* hsa_alloc.c - memory of AMD's GPUs; see gpu_alloc.h. */
#include <errno.h>
#include <stdio.h>

#include "gpu_alloc.h"
#include "hsa_driver.h"

struct search {
	const struct hsa_driver *hsa;
	unsigned int wanted, gpus;
	struct hsa_agent agent;	/* the wanted one; 0: not found */
	struct hsa_pool pool;	/* likewise */
};

static int look_at_agent(struct hsa_agent agent, void *arg)
{
	struct search *search = arg;
	int device;

	if (search->hsa->agent_get_info(agent, HSA_AGENT_DEVICE, &device) ||
	    device != HSA_DEVICE_GPU)
		return HSA_OK;
	if (search->gpus++ == search->wanted)
		search->agent = agent;
	return HSA_OK;
}

/* Shared pools cannot be exported. */
static int look_at_pool(struct hsa_pool pool, void *arg)
{
	struct search *search = arg;
	const struct hsa_driver *hsa = search->hsa;
	bool may_allocate = false;
	uint32_t flags = 0;
	int segment = -1;

	hsa->pool_get_info(pool, HSA_POOL_SEGMENT, &segment);
	hsa->pool_get_info(pool, HSA_POOL_FLAGS, &flags);
	hsa->pool_get_info(pool, HSA_POOL_MAY_ALLOCATE, &may_allocate);
	if (segment != HSA_SEGMENT_GLOBAL || !(flags & HSA_POOL_COARSE) || !may_allocate)
		return HSA_OK;
	search->pool = pool;
	return HSA_BREAK;
}

static int fail(struct gpu_failure *failure, int err, int error)
{
	failure->said = error ? hsa_error_name(error) : NULL;
	return -err;
}

static int find_agent(struct search *search)
{
	int error = search->hsa->init();

	return error ? error : search->hsa->iterate_agents(look_at_agent, search);
}

static int allocate(unsigned int gpu, uint64_t bytes, uint64_t *p, struct gpu_failure *failure)
{
	struct search search = { .hsa = hsa_driver_load(), .wanted = gpu };
	const struct hsa_driver *hsa = search.hsa;
	void *at;
	int error;

	*failure = (struct gpu_failure){ 0 };
	if (!hsa || !hsa->iterate_agents || !hsa->iterate_pools || !hsa->pool_get_info ||
	    !hsa->pool_allocate || !hsa->pool_free)
		return fail(failure, ELIBACC, 0);
	error = find_agent(&search);
	if (error)
		return fail(failure, EIO, error);
	failure->gpus = search.gpus;
	if (!search.agent.handle)
		return fail(failure, ENODEV, 0);
	error = hsa->iterate_pools(search.agent, look_at_pool, &search);
	if (!search.pool.handle)
		return fail(failure, EIO, error == HSA_BREAK ? 0 : error);
	error = hsa->pool_allocate(search.pool, bytes, 0, &at);
	if (error)
		return fail(failure, ENOMEM, error);
	*p = (uintptr_t)at;
	return 0;
}

static void release(uint64_t p)
{
	hsa_driver()->pool_free((void *)(uintptr_t)p);
}

static bool pci_name(unsigned int gpu, char name[GPU_PCI_NAME])
{
	struct search search = { .hsa = hsa_driver(), .wanted = gpu };
	uint32_t bdf, domain = 0;

	if (search.hsa->iterate_agents(look_at_agent, &search) || !search.agent.handle ||
	    search.hsa->agent_get_info(search.agent, HSA_AGENT_BDF, &bdf))
		return false;
	search.hsa->agent_get_info(search.agent, HSA_AGENT_DOMAIN, &domain);
	snprintf(name, GPU_PCI_NAME, "%04x:%02x:%02x.%x", domain & 0xffff, bdf >> 8 & 0xff,
		 bdf >> 3 & 0x1f, bdf & 7);
	return true;
}

const struct gpu_allocator gpu_hsa_allocator = {
	.allocate = allocate, .release = release, .pci_name = pci_name,
};
