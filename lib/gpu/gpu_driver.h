/* SPDX-License-Identifier: MIT */
/*
 * gpu_driver.h - what gpu_memory.c asks of a vendor's driver; not installed.
 *
 * A driver is found in the process, where the program has loaded it, and never loaded. One that is
 * not there knows no pointers. All functions may be called by any thread, and leave what is
 * current in it as it was.
 */
#ifndef GPU_DRIVER_H
#define GPU_DRIVER_H

#include <stddef.h>
#include <stdint.h>

struct gpu_segment;

/* Why a segment has no dma-buf. */
enum gpu_refusal {
	GPU_EXPORTED		= 0,
	GPU_OLD_DRIVER		= 1,	/* the driver has no such function */
	GPU_NO_DMA_BUFS		= 2,	/* the device has none */
	GPU_MANAGED		= 3,	/* memory that moves to the host and back, or is shared */
	GPU_REFUSED		= 4,	/* the driver refuses this allocation */
	GPU_NO_ROOM		= 5,	/* the driver lacks something now */
	GPU_NO_NOTICE		= 6,	/* the driver does not say when the memory is freed */
	GPU_NR_REFUSALS,
};

struct gpu_refusal_text {
	const char *cause, *remedy;
};

/**
 * struct gpu_driver - one vendor's driver
 * @identify:	the allocation at @p: a number that no other one has had, since its address may.
 *		Asked for each transfer, without locks. -ENXIO: no memory of this driver's;
 *		-EFAULT: the driver knows the pointer, but of no allocation there
 * @check:	asked after @identify where the allocation was not met before: 0, or -ENXIO
 * @fill:	the segment of the allocation at @p: all but what gpu_memory.c counts, with a
 *		dma-buf or a refusal. One call at a time. 0, -EFAULT, or what is lacking
 * @copy:	to the host memory @to, or from @from; done when it returns. 0 or -errno
 * @flush:	where the segment says that it needs it. 0 or -errno
 * @error_name:	of the driver's error
 * @refusals:	by enum gpu_refusal
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
 * An export has failed, for @refusal; or for want of descriptors, which a driver tells in no
 * certain way: -EMFILE or -ENFILE then, else 0.
 */
int gpu_segment_refuse(struct gpu_segment *segment, enum gpu_refusal refusal);

#endif /* GPU_DRIVER_H */
