/* SPDX-License-Identifier: MIT */
/*
 * gpu_alloc.h - memory of a GPU for the command, which has no program around it; not installed.
 *
 * These load the vendor's library, which nothing else here does. Of libcufile they are no part.
 */
#ifndef GPU_ALLOC_H
#define GPU_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

#define GPU_PCI_NAME	16	/* "dddd:bb:dd.f" */

struct gpu_failure {
	const char *said;	/* the driver's name of its error; null: it has said nothing */
	unsigned int gpus;	/* that there are */
};

struct gpu_allocator {
	/*
	 * On the GPU of that number, as the vendor counts them. 0, or with @failure filled
	 *   -ELIBACC	the library is not there, or has not the functions
	 *   -EIO	the driver cannot be used
	 *   -ENODEV	there is no such GPU
	 *   -ENOMEM	it has no such memory left
	 */
	int (*allocate)(unsigned int gpu, uint64_t bytes, uint64_t *p, struct gpu_failure *failure);
	void (*release)(uint64_t p);
	/* Of a GPU that has given memory. False: not known. */
	bool (*pci_name)(unsigned int gpu, char name[GPU_PCI_NAME]);
};

extern const struct gpu_allocator gpu_cuda_allocator, gpu_hsa_allocator;

#endif /* GPU_ALLOC_H */
