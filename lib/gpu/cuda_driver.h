/* SPDX-License-Identifier: MIT */
/*
 * cuda_driver.h - the part of the CUDA driver API that the library calls; not installed.
 *
 * These declarations are our own, so building needs nothing of CUDA. A function that the driver
 * lacks is null. Only the command loads the driver; libcufile does not: a process has device
 * pointers only if it has loaded libcuda.so.1 itself, and cuda_driver() finds it from then on.
 *
 * Values are those of the public driver API reference.
 */
#ifndef CUDA_DRIVER_H
#define CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned long long cuda_ptr;
typedef struct CUctx_st *cuda_context;
typedef struct CUstream_st *cuda_stream;
typedef void (*cuda_host_fn)(void *arg);

enum cuda_result {
	CUDA_OK			= 0,
	CUDA_INVALID_VALUE	= 1,
	CUDA_OUT_OF_MEMORY	= 2,
	CUDA_INVALID_CONTEXT	= 201,
	CUDA_OPERATING_SYSTEM	= 304,
	CUDA_NOT_SUPPORTED	= 801,
	CUDA_CAPTURE_UNSUPPORTED = 900,
	CUDA_UNKNOWN		= 999,
};

enum cuda_pointer_attribute {
	CUDA_POINTER_CONTEXT	= 1,	/* cuda_context; null for memory from pools and VMM */
	CUDA_POINTER_TYPE	= 2,	/* enum cuda_memory_type, unsigned int */
	CUDA_POINTER_SYNC_MEMOPS = 6,	/* unsigned int */
	CUDA_POINTER_BUFFER_ID	= 7,	/* unsigned long long, unique in the process */
	CUDA_POINTER_IS_MANAGED	= 8,	/* unsigned int */
	CUDA_POINTER_DEVICE	= 9,	/* int */
};

enum cuda_memory_type {
	CUDA_MEMORY_HOST	= 1,
	CUDA_MEMORY_DEVICE	= 2,
	CUDA_MEMORY_ARRAY	= 3,
	CUDA_MEMORY_UNIFIED	= 4,
};

enum cuda_device_attribute {
	CUDA_DEVICE_FLUSH_OPTIONS	= 117,	/* CUDA_FLUSH_OPTION_HOST */
	CUDA_DEVICE_WRITES_ORDERING	= 118,	/* CUDA_ORDERING_* */
	CUDA_DEVICE_DMA_BUF		= 124,	/* whether it can export dma-bufs */
};

#define CUDA_FLUSH_OPTION_HOST		1
#define CUDA_ORDERING_OWNER	100	/* the owning device's kernels need no flush */
#define CUDA_FLUSH_CURRENT_CONTEXT	0
#define CUDA_FLUSH_TO_OWNER		100
#define CUDA_HANDLE_DMA_BUF_FD		1
#define CUDA_STREAM_NON_BLOCKING	1
#define CUDA_WAIT_VALUE_GEQ		0
#define CUDA_HOST_PORTABLE	1
#define CUDA_HOST_DEVICEMAP	2

struct cuda_driver {
	int (*mem_get_address_range)(cuda_ptr *base, size_t *bytes, cuda_ptr p);
	int (*pointer_get_attribute)(void *value, int attribute, cuda_ptr p);
	int (*pointer_set_attribute)(const void *value, int attribute, cuda_ptr p);
	int (*mem_get_handle_for_address_range)(void *handle, cuda_ptr p, size_t bytes, int type,
						unsigned long long flags);
	int (*memcpy_dtoh_async)(void *host, cuda_ptr p, size_t bytes, cuda_stream stream);
	int (*memcpy_htod_async)(cuda_ptr p, const void *host, size_t bytes, cuda_stream stream);
	int (*device_get_attribute)(int *value, int attribute, int device);
	int (*device_primary_ctx_retain)(cuda_context *context, int device);
	int (*ctx_push_current)(cuda_context context);
	int (*ctx_pop_current)(cuda_context *context);
	int (*ctx_get_current)(cuda_context *context);
	int (*stream_create)(cuda_stream *stream, unsigned int flags);
	int (*stream_destroy)(cuda_stream stream);
	int (*stream_synchronize)(cuda_stream stream);
	/* Optional from here on. */
	int (*flush_gpudirect_rdma_writes)(int target, int scope);
	int (*launch_host_func)(cuda_stream stream, cuda_host_fn fn, void *arg);
	int (*stream_is_capturing)(cuda_stream stream, int *status);
	int (*stream_wait_value32)(cuda_stream stream, cuda_ptr p, uint32_t value,
				   unsigned int flags);
	int (*mem_host_register)(void *mem, size_t bytes, unsigned int flags);
	int (*mem_host_get_device_pointer)(cuda_ptr *p, void *mem, unsigned int flags);
	int (*get_error_name)(int result, const char **name);
	int (*ctx_get_id)(cuda_context context, unsigned long long *id);
	int (*init)(unsigned int flags);
	int (*device_get_count)(int *count);
	int (*device_get_pci_bus_id)(char *name, int len, int device);
	int (*mem_alloc)(cuda_ptr *p, size_t bytes);
	int (*mem_free)(cuda_ptr p);
};

/* Null: this process has no CUDA driver, or one that lacks needed functions. Cheap. */
const struct cuda_driver *cuda_driver(void);
/* The same, but loads the driver. For the command. */
const struct cuda_driver *cuda_driver_load(void);

/*
 * A number that is unique in the process, while a new context may have the address of a destroyed
 * one. 0: not known, before CUDA 12.0.
 */
unsigned long long cuda_context_id(const struct cuda_driver *driver, cuda_context context);

/* "CUDA_ERROR_INVALID_VALUE"; "a CUDA error" if the driver has no name. */
const char *cuda_error_name(int result);

#endif /* CUDA_DRIVER_H */
