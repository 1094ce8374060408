// SPDX-License-Identifier: MIT
/* fake_cudart.c - a libcudart.so on the fake driver: each thread has the primary context. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fake_cuda.h"
#include "include/cuda_runtime.h"

static void use_primary_context(void)
{
	CUcontext context;

	cuCtxGetCurrent(&context);
	if (!context && !cuDevicePrimaryCtxRetain(&context, 0))
		cuCtxSetCurrent(context);
}

int cudaSetDevice(int device)
{
	use_primary_context();
	return device ? 101 : 0;
}

int cudaMalloc(void **p, size_t bytes)
{
	CUdeviceptr at;
	int ret;

	use_primary_context();
	ret = cuMemAlloc_v2(&at, bytes);
	if (!ret)
		*p = (void *)(uintptr_t)at;
	return ret;
}

int cudaFree(void *p)
{
	return p ? cuMemFree_v2((uintptr_t)p) : 0;
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int kind)
{
	use_primary_context();
	return kind == cudaMemcpyHostToDevice ? cuMemcpyHtoD_v2((uintptr_t)to, from, bytes) :
						cuMemcpyDtoH_v2(to, (uintptr_t)from, bytes);
}

int cudaMemset(void *p, int value, size_t bytes)
{
	memset(fake_cuda_at((uintptr_t)p), value, bytes);
	return 0;
}

const char *cudaGetErrorName(int error)
{
	const char *name;

	return cuGetErrorName(error, &name) ? "cudaError" : name;
}
