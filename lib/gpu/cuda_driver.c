// SPDX-License-Identifier: MIT
/* cuda_driver.c - the functions of the CUDA driver. */
#include "cuda_driver.h"
#include "gpu_library.h"

#define NEEDED(field, symbol)	{ offsetof(struct cuda_driver, field), symbol, true }
#define OPTIONAL(field, symbol)	{ offsetof(struct cuda_driver, field), symbol, false }

/* The suffixes _v2 are the driver's, for newer forms of a function. */
static const struct gpu_symbol functions[] = {
	NEEDED(mem_get_address_range, "cuMemGetAddressRange_v2"),
	NEEDED(pointer_get_attribute, "cuPointerGetAttribute"),
	NEEDED(pointer_set_attribute, "cuPointerSetAttribute"),
	NEEDED(memcpy_dtoh_async, "cuMemcpyDtoHAsync_v2"),
	NEEDED(memcpy_htod_async, "cuMemcpyHtoDAsync_v2"),
	NEEDED(device_get_attribute, "cuDeviceGetAttribute"),
	NEEDED(device_primary_ctx_retain, "cuDevicePrimaryCtxRetain"),
	NEEDED(ctx_push_current, "cuCtxPushCurrent_v2"),
	NEEDED(ctx_pop_current, "cuCtxPopCurrent_v2"),
	NEEDED(ctx_get_current, "cuCtxGetCurrent"),
	NEEDED(stream_create, "cuStreamCreate"),
	NEEDED(stream_destroy, "cuStreamDestroy_v2"),
	NEEDED(stream_synchronize, "cuStreamSynchronize"),
	/* From CUDA 11.7 on. */
	OPTIONAL(mem_get_handle_for_address_range, "cuMemGetHandleForAddressRange"),
	OPTIONAL(flush_gpudirect_rdma_writes, "cuFlushGPUDirectRDMAWrites"),
	OPTIONAL(launch_host_func, "cuLaunchHostFunc"),
	OPTIONAL(stream_is_capturing, "cuStreamIsCapturing"),
	OPTIONAL(stream_wait_value32, "cuStreamWaitValue32_v2"),
	OPTIONAL(mem_host_register, "cuMemHostRegister_v2"),
	OPTIONAL(mem_host_get_device_pointer, "cuMemHostGetDevicePointer_v2"),
	OPTIONAL(get_error_name, "cuGetErrorName"),
	/* From CUDA 12.0 on. */
	OPTIONAL(ctx_get_id, "cuCtxGetId"),
		/* For allocating. */
	OPTIONAL(init, "cuInit"),
	OPTIONAL(device_get_count, "cuDeviceGetCount"),
	OPTIONAL(device_get_pci_bus_id, "cuDeviceGetPCIBusId"),
	OPTIONAL(mem_alloc, "cuMemAlloc_v2"),
	OPTIONAL(mem_free, "cuMemFree_v2"),
};

static struct cuda_driver table;
static struct gpu_library library = {
	.soname = "libcuda.so.1", .symbols = functions,
	.nr = sizeof(functions) / sizeof(functions[0]), .table = &table, .bytes = sizeof(table),
};

_Static_assert(sizeof(table) <= GPU_TABLE_BYTES, "the table is too long");

const struct cuda_driver *cuda_driver(void)
{
	return gpu_library_find(&library);
}

const struct cuda_driver *cuda_driver_load(void)
{
	return gpu_library_load(&library);
}

unsigned long long cuda_context_id(const struct cuda_driver *driver, cuda_context context)
{
	unsigned long long id;

	return driver->ctx_get_id && !driver->ctx_get_id(context, &id) ? id : 0;
}

const char *cuda_error_name(int result)
{
	const struct cuda_driver *driver = cuda_driver();
	const char *name;

	if (!driver || !driver->get_error_name || driver->get_error_name(result, &name) || !name)
		return "a CUDA error";
	return name;
}
