/* SPDX-License-Identifier: MIT */
/* cuda_copy.h - CUDA's copies and flushes, for gpu_driver.h; not installed. */
#ifndef CUDA_COPY_H
#define CUDA_COPY_H

#include <stddef.h>
#include <stdint.h>

struct gpu_segment;

int cuda_copy(const struct gpu_segment *segment, uint64_t p, void *to, const void *from,
	      size_t len);
int cuda_flush(const struct gpu_segment *segment);

#endif /* CUDA_COPY_H */
