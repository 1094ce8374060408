/* SPDX-License-Identifier: MIT */
/*
 * cuda.h - what the examples use of the CUDA driver API, on the fake driver; see fake_cuda.h.
 *
 * As in the real one, some names are macros for newer forms. Values are those of the public driver
 * API reference.
 */
#ifndef EXAMPLES_CUDA_H
#define EXAMPLES_CUDA_H

#include "../fake_cuda/fake_cuda.h"

typedef int CUresult;
typedef int CUdevice;

#define cuMemAlloc	cuMemAlloc_v2
#define cuMemFree	cuMemFree_v2

#define CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD			1
#define CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX	0
#define CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER		100

#endif
