// SPDX-License-Identifier: MIT
/* cuda_memory.c - CUDA's allocations and their dma-bufs. cuda_copy.c copies. */
#include <errno.h>
#include <unistd.h>

#include "cuda_copy.h"
#include "cuda_driver.h"
#include "gpu_memory.h"

static int device_attribute(const struct cuda_driver *cuda, int device, int attribute)
{
	int value = 0;

	return cuda->device_get_attribute(&value, attribute, device) ? 0 : value;
}

static bool is_lack(int error)
{
	return error == CUDA_OUT_OF_MEMORY || error == CUDA_OPERATING_SYSTEM;
}

/*
 * The driver exports whole pages of the host or, if it wants more, of the device. The range grows
 * to whole pages: an allocation shares pages only with others of this process, and transfers stay
 * inside the allocation. 0, or -errno if descriptors are lacking.
 */
static int export_segment(const struct cuda_driver *cuda, struct gpu_segment *s)
{
	const uint64_t grains[] = { sysconf(_SC_PAGESIZE), 64 << 10, 2 << 20 };
	size_t i;
	int fd, ret;

	for (i = 0; i < sizeof(grains) / sizeof(grains[0]); i++) {
		uint64_t end = (gpu_segment_end(s) + grains[i] - 1) & ~(grains[i] - 1);

		s->start = s->base & ~(grains[i] - 1);
		s->span = end - s->start;
		fd = -1;
		s->error = cuda->mem_get_handle_for_address_range(&fd, s->start, s->span,
								  CUDA_HANDLE_DMA_BUF_FD, 0);
		if (is_lack(s->error))
			break;
		if (s->error || fd < 0)
			continue;
		ret = gpu_segment_keep_fd(s, fd);
		close(fd);
		return ret;
	}
	return gpu_segment_refuse(s, is_lack(s->error) ? GPU_NO_ROOM : GPU_REFUSED);
}

/* Null: there is none. */
static cuda_context context_of(const struct cuda_driver *cuda, uint64_t p, int device)
{
	cuda_context context = NULL;

	if (!cuda->pointer_get_attribute(&context, CUDA_POINTER_CONTEXT, p) && context)
		return context;
	/* Memory of pools and of virtual ranges belongs to a device, not to a context. */
	if (cuda->device_primary_ctx_retain(&context, device))
		return NULL;
	return context;
}

static bool needs_flush(const struct cuda_driver *cuda, int device)
{
	return cuda->flush_gpudirect_rdma_writes &&
	       device_attribute(cuda, device, CUDA_DEVICE_WRITES_ORDERING) < CUDA_ORDERING_OWNER &&
	       device_attribute(cuda, device, CUDA_DEVICE_FLUSH_OPTIONS) & CUDA_FLUSH_OPTION_HOST;
}

/* In the segment's context. 0, -EFAULT or an error of export_segment(). */
static int fill_in_context(const struct cuda_driver *cuda, uint64_t p, struct gpu_segment *s)
{
	unsigned int managed = 0, on = 1;
	cuda_ptr base;
	size_t bytes;
	int ret = 0;

	if (cuda->mem_get_address_range(&base, &bytes, p) || !bytes || p < base ||
	    p - base >= bytes)
		return -EFAULT;
	s->base = base;
	s->bytes = bytes;
	cuda->pointer_get_attribute(&managed, CUDA_POINTER_IS_MANAGED, p);
	/* The driver may refuse this for memory of pools; the program must then order its work. */
	cuda->pointer_set_attribute(&on, CUDA_POINTER_SYNC_MEMOPS, p);
	if (!cuda->mem_get_handle_for_address_range)
		s->refusal = GPU_OLD_DRIVER;
	else if (managed)
		s->refusal = GPU_MANAGED;
	else if (!device_attribute(cuda, s->device, CUDA_DEVICE_DMA_BUF))
		s->refusal = GPU_NO_DMA_BUFS;
	else
		ret = export_segment(cuda, s);
	s->flush = s->fd >= 0 && needs_flush(cuda, s->device);
	return ret;
}

/* The calling thread may have any context, or none. */
static int fill(uint64_t p, struct gpu_segment *s)
{
	const struct cuda_driver *cuda = cuda_driver();
	cuda_context before;
	int ret;

	cuda->pointer_get_attribute(&s->device, CUDA_POINTER_DEVICE, p);
	s->context = context_of(cuda, p, s->device);
	if (!s->context || cuda->ctx_push_current(s->context))
		return -EFAULT;
	ret = fill_in_context(cuda, p, s);
	cuda->ctx_pop_current(&before);
	return ret;
}

/* 0: device memory, as far as the driver knows. */
static int check(uint64_t p)
{
	unsigned int type = 0;

	if (cuda_driver()->pointer_get_attribute(&type, CUDA_POINTER_TYPE, p))
		return -ENXIO;
	return !type || type == CUDA_MEMORY_HOST ? -ENXIO : 0;
}

static int identify(uint64_t p, uint64_t *identity)
{
	const struct cuda_driver *cuda = cuda_driver();
	unsigned long long buffer_id;
	int ret;

	if (!cuda)
		return -ENXIO;
	if (!cuda->pointer_get_attribute(&buffer_id, CUDA_POINTER_BUFFER_ID, p)) {
		*identity = buffer_id;
		return 0;
	}
	ret = check(p);
	return ret ? ret : -EFAULT;
}

static const struct gpu_refusal_text refusals[GPU_NR_REFUSALS] = {
	[GPU_EXPORTED] = { "the memory is exported", "nothing is to be done" },
	[GPU_OLD_DRIVER] = { "the CUDA driver is too old to export memory as a dma-buf",
			     "install a driver of CUDA 11.7 or later" },
	[GPU_NO_DMA_BUFS] = { "this GPU's kernel driver cannot export memory as a dma-buf",
			      "use NVIDIA's open kernel modules" },
	[GPU_MANAGED] = { "managed memory cannot be exported as a dma-buf",
			  "allocate it with cudaMalloc()" },
	[GPU_REFUSED] = { "the CUDA driver refuses to export this allocation as a dma-buf",
			  "allocate it with cudaMalloc(), not from a pool, another process or "
			  "another API" },
	[GPU_NO_ROOM] = { "there is no room to export this allocation as a dma-buf",
			  "register less memory at a time: the GPU's aperture (BAR1) may be used "
			  "up" },
};

const struct gpu_driver gpu_cuda = {
	.identify = identify, .check = check, .fill = fill, .copy = cuda_copy,
	.flush = cuda_flush, .error_name = cuda_error_name, .refusals = refusals,
};
