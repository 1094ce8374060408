/* SPDX-License-Identifier: MIT */
/*
 * fake_cuda.h - a libcuda.so.1 for tests, without a GPU; and what a test may ask of it.
 *
 * What the real driver refuses is refused: copies without the allocation's context, most calls
 * without any or in a function that a stream calls, ranges that are not whole pages, exports of
 * managed memory and of pools. An address that is used again has another buffer id.
 *
 * For programs that a test starts, FAKE_CUDA_GPUS has the PCI addresses of the devices there are,
 * with a comma between them, and FAKE_CUDA_DELAY the milliseconds that cuInit() takes. Only the
 * first one has memory.
 */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../fake_gpu/fake_gpu.h"

#define FAKE_CUDA_BLOCK FAKE_GPU_BLOCK

extern struct fake_gpu fake_cuda;

typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;

/* Memory of kinds that the API has more calls for. */
int fake_cuda_alloc_pool(CUdeviceptr *p, size_t bytes);
/* One range of @nr physical segments of @bytes each, a multiple of a block. */
int fake_cuda_alloc_segments(CUdeviceptr *p, unsigned int nr, size_t bytes);
/* Of a dma-buf that the CPU sees at @map, both the caller's. */
int fake_cuda_alloc_of(CUdeviceptr *p, int dmabuf_fd, void *map, size_t bytes);
/* Where the CPU finds a byte of device memory. */
unsigned char *fake_cuda_at(CUdeviceptr p);

int cuInit(unsigned int flags);
int cuDeviceGetCount(int *nr);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetName(char *name, int len, int device);
int cuDeviceGetPCIBusId(char *pci, int len, int device);
int cuDevicePrimaryCtxRetain(CUcontext *context, int device);
int cuCtxCreate_v2(CUcontext *context, unsigned int flags, int device);
int cuCtxDestroy_v2(CUcontext context);
int cuCtxGetId(CUcontext context, unsigned long long *id);
int cuCtxSetCurrent(CUcontext context);
int cuCtxGetCurrent(CUcontext *context);
int cuCtxPushCurrent_v2(CUcontext context);
int cuCtxPopCurrent_v2(CUcontext *context);
int cuDeviceGetCount(int *count);
int cuDeviceGetPCIBusId(char *name, int len, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuMemAlloc_v2(CUdeviceptr *p, size_t bytes);
int cuMemAllocManaged(CUdeviceptr *p, size_t bytes, unsigned int flags);
int cuMemFree_v2(CUdeviceptr p);
int cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr p);
int cuPointerGetAttribute(void *value, int attribute, CUdeviceptr p);
int cuPointerSetAttribute(const void *value, int attribute, CUdeviceptr p);
int cuMemGetHandleForAddressRange(void *handle, CUdeviceptr p, size_t bytes, int type,
				  unsigned long long flags);
int cuMemcpyDtoH_v2(void *host, CUdeviceptr p, size_t bytes);
int cuMemcpyHtoD_v2(CUdeviceptr p, const void *host, size_t bytes);
int cuMemcpyDtoHAsync_v2(void *host, CUdeviceptr p, size_t bytes, CUstream stream);
int cuMemcpyHtoDAsync_v2(CUdeviceptr p, const void *host, size_t bytes, CUstream stream);
int cuMemHostAlloc(void **mem, size_t bytes, unsigned int flags);
int cuMemFreeHost(void *mem);
int cuMemHostRegister_v2(void *mem, size_t bytes, unsigned int flags);
int cuMemHostGetDevicePointer_v2(CUdeviceptr *p, void *mem, unsigned int flags);
int cuStreamCreate(CUstream *stream, unsigned int flags);
int cuStreamDestroy_v2(CUstream stream);
int cuStreamSynchronize(CUstream stream);
int cuStreamIsCapturing(CUstream stream, int *status);
int cuLaunchHostFunc(CUstream stream, void (*fn)(void *), void *arg);
int cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr p, uint32_t value, unsigned int flags);
int cuFlushGPUDirectRDMAWrites(int target, int scope);
int cuGetErrorName(int result, const char **name);

#endif
