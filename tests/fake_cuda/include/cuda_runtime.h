/* SPDX-License-Identifier: MIT */
/* cuda_runtime.h - what fio's engine for cuFile calls of the runtime; on the fake driver. */
#ifndef FAKE_CUDA_RUNTIME_H
#define FAKE_CUDA_RUNTIME_H

#include <stddef.h>

typedef int cudaError_t;

#define cudaSuccess		0
#define cudaMemcpyHostToDevice	1
#define cudaMemcpyDeviceToHost	2

int cudaSetDevice(int device);
int cudaMalloc(void **p, size_t bytes);
int cudaFree(void *p);
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind);
int cudaMemset(void *p, int value, size_t bytes);
const char *cudaGetErrorName(int error);

#endif
