// SPDX-License-Identifier: MIT
/* cuda_alloc.c - memory of NVIDIA's GPUs; see gpu_alloc.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cuda_driver.h"
#include "gpu_alloc.h"

static int fail(struct gpu_failure *failure, int err, int error)
{
	failure->said = error ? cuda_error_name(error) : NULL;
	return -err;
}

/* In the device's primary context, which is never released. */
static int allocate_in(const struct cuda_driver *cuda, cuda_context context, uint64_t bytes,
		       uint64_t *p)
{
	cuda_context before;
	cuda_ptr at = 0;
	int error = cuda->ctx_push_current(context);

	if (error)
		return error;
	error = cuda->mem_alloc(&at, bytes);
	cuda->ctx_pop_current(&before);
	*p = at;
	return error;
}

static int allocate(unsigned int gpu, uint64_t bytes, uint64_t *p, struct gpu_failure *failure)
{
	const struct cuda_driver *cuda = cuda_driver_load();
	cuda_context context;
	int count = 0, error;

	*failure = (struct gpu_failure){ 0 };
	if (!cuda || !cuda->init || !cuda->device_get_count || !cuda->mem_alloc || !cuda->mem_free)
		return fail(failure, ELIBACC, 0);
	error = cuda->init(0);
	if (!error)
		error = cuda->device_get_count(&count);
	if (error)
		return fail(failure, EIO, error);
	failure->gpus = count;
	if (gpu >= failure->gpus)
		return fail(failure, ENODEV, 0);
	error = cuda->device_primary_ctx_retain(&context, gpu);
	if (error)
		return fail(failure, EIO, error);
	error = allocate_in(cuda, context, bytes, p);
	return error ? fail(failure, ENOMEM, error) : 0;
}

static void release(uint64_t p)
{
	const struct cuda_driver *cuda = cuda_driver();
	cuda_context context = NULL, before;

	if (cuda->pointer_get_attribute(&context, CUDA_POINTER_CONTEXT, p) || !context ||
	    cuda->ctx_push_current(context))
		return;
	cuda->mem_free(p);
	cuda->ctx_pop_current(&before);
}

/* The driver writes upper case, sysfs lower case. */
static bool pci_name(unsigned int gpu, char name[GPU_PCI_NAME])
{
	const struct cuda_driver *cuda = cuda_driver();

	name[0] = 0;
	if (!cuda->device_get_pci_bus_id ||
	    cuda->device_get_pci_bus_id(name, GPU_PCI_NAME, gpu))
		return false;
	name[GPU_PCI_NAME - 1] = 0;
	for (; *name; name++)
		*name = tolower((unsigned char)*name);
	return true;
}

const struct gpu_allocator gpu_cuda_allocator = {
	.allocate = allocate, .release = release, .pci_name = pci_name,
};
