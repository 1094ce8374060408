/* SPDX-License-Identifier: MIT */
/*
 * gpus.h - the GPUs that the CUDA driver reports, as a program started now will see them, and the
 * ROCm GPUs that the kernel reports.
 *
 * Asking CUDA initializes the driver, which is slow, may leave threads, and can fail in its own
 * ways. So a child process asks, which creates no context and touches no GPU memory; the caller
 * waits for it only for a limited time. ROCm GPUs are in sysfs, which needs no runtime.
 */
#ifndef TOOLS_GPUS_H
#define TOOLS_GPUS_H

#include <stdbool.h>
#include <sys/types.h>

#define GPUS_MAX	32

struct gpu {
	bool rocm;
	char pci[24];		/* "0000:18:00.0"; "": unknown */
	char name[64];
	bool dma_buf;		/* its memory can be exported at all */
};

struct gpus {
	unsigned int nr;
	struct gpu gpus[GPUS_MAX];
	char why_none[96];	/* why there are no CUDA GPUs */
};

/* A query in progress, until gpus_finish(). */
struct gpus_question {
	pid_t child;		/* -1: fork() failed */
	int fd;
};

void gpus_ask(struct gpus_question *question);
/* Waits for the answer, at most @timeout_ms. */
void gpus_finish(struct gpus_question *question, int timeout_ms, struct gpus *gpus);
/*
 * The ROCm GPUs: each PCI function that the kernel's driver (amdkfd) lists, once even if it is
 * partitioned, and regardless of the program's environment. None if this user or container may not
 * use them.
 */
void gpus_of_rocm(const char *root, struct gpus *gpus);

#endif
