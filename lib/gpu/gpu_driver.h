/* SPDX-License-Identifier: MIT */
/*
 * gpu_driver.h - the interface of gpu_memory.c to a vendor's driver; not installed.
 *
 * A driver is used if the program has loaded it; it is never loaded here. One that is not loaded
 * knows no pointers. Any thread may call all functions; they leave its current context as it was.
 */
#ifndef GPU_DRIVER_H
#define GPU_DRIVER_H

#include <stddef.h>
#include <stdint.h>

struct gpu_segment;

/* Why a segment has no dma-buf. */
enum gpu_refusal {
	GPU_EXPORTED		= 0,
	GPU_OLD_DRIVER		= 1,	/* the driver has no function to export */
	GPU_NO_DMA_BUFS		= 2,	/* the device has none */
	GPU_MANAGED		= 3,	/* migrates to the host and back, or is shared */
	GPU_REFUSED		= 4,	/* the driver refuses this allocation */
	GPU_NO_ROOM		= 5,	/* the driver lacks a resource now */
	GPU_NO_NOTICE		= 6,	/* the driver does not report when the memory is freed */
	GPU_NR_REFUSALS,
};

struct gpu_refusal_text {
	const char *cause, *remedy;
};

/**
 * struct gpu_driver - one vendor's driver
 * @identify:	finds a number for the allocation at @p that, unlike its address, is never used
 *		again. Called for each transfer, without locks. -ENXIO: not this driver's memory;
 *		-EFAULT: the driver knows the pointer, but no allocation there
 * @check:	called after @identify for an allocation that is not cached: 0, or -ENXIO
 * @fill:	fills the segment of the allocation at @p, except gpu_memory.c's counts, with a
 *		dma-buf or a refusal. One call at a time. 0, -EFAULT, or the lacking resource
 * @copy:	to the host memory @to, or from @from; complete on return. 0 or -errno
 * @flush:	for segments with @flush set. 0 or -errno
 * @error_name:	name of a driver's error
 * @refusals:	texts, by enum gpu_refusal
 */
struct gpu_driver {
	int (*identify)(uint64_t p, uint64_t *identity);
	int (*check)(uint64_t p);
	int (*fill)(uint64_t p, struct gpu_segment *segment);
	int (*copy)(const struct gpu_segment *segment, uint64_t p, void *to, const void *from,
		    size_t len);
	int (*flush)(const struct gpu_segment *segment);
	const char *(*error_name)(int error);
	const struct gpu_refusal_text *refusals;
};

extern const struct gpu_driver gpu_cuda, gpu_hsa;

/* gpu_memory.c, for drivers: a duplicate of @fd becomes the segment's dma-buf. 0 or -errno. */
int gpu_segment_keep_fd(struct gpu_segment *segment, int fd);
/*
 * For a failed export: sets @refusal and returns 0, or -EMFILE or -ENFILE if no descriptor is left,
 * which drivers do not report reliably.
 */
int gpu_segment_refuse(struct gpu_segment *segment, enum gpu_refusal refusal);

#endif /* GPU_DRIVER_H */
