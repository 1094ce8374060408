/* SPDX-License-Identifier: MIT */
/* cuda.h - as much of it as programs in the tests include; see fake_cuda.h. */
#ifndef FAKE_CUDA_H_STUB
#define FAKE_CUDA_H_STUB

typedef int CUresult;
typedef struct CUstream_st *CUstream;

#endif
