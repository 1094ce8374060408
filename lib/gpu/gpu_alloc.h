/* SPDX-License-Identifier: MIT */
/*
 * gpu_alloc.h - GPU memory for the command, which has no program around it; not installed.
 *
 * Only these functions load the vendor's library. They are no part of libcufile.
 */
#ifndef GPU_ALLOC_H
#define GPU_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

#define GPU_PCI_NAME	16	/* "dddd:bb:dd.f" */

struct gpu_failure {
	const char *said;	/* the driver's name of its error; null: it gave none */
	unsigned int gpus;	/* number of GPUs */
};

struct gpu_allocator {
	/*
	 * On GPU number @gpu, as the vendor counts them. 0, or with @failure filled
	 *   -ELIBACC	the library is missing, or lacks the functions
	 *   -EIO	the driver cannot be used
	 *   -ENODEV	there is no such GPU
	 *   -ENOMEM	it has no such memory left
	 */
	int (*allocate)(unsigned int gpu, uint64_t bytes, uint64_t *p, struct gpu_failure *failure);
	void (*release)(uint64_t p);
	/* Of a GPU that has allocated memory. False: not known. */
	bool (*pci_name)(unsigned int gpu, char name[GPU_PCI_NAME]);
};

extern const struct gpu_allocator gpu_cuda_allocator, gpu_hsa_allocator;

#endif /* GPU_ALLOC_H */
