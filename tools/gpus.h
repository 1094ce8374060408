/* SPDX-License-Identifier: MIT */
/*
 * gpus.h - the GPUs that the CUDA driver tells of, as a program that is started now will see them.
 *
 * Asking initializes the driver, which takes its time, may leave threads, and can fail in ways of
 * its own; so a child process asks, which makes no context and touches no GPU's memory, and is
 * not waited for when it does not answer in time.
 */
#ifndef TOOLS_GPUS_H
#define TOOLS_GPUS_H

#include <stdbool.h>
#include <sys/types.h>

#define GPUS_MAX	32

struct gpu {
	char pci[24];		/* "0000:18:00.0"; "": the driver does not tell */
	char name[64];
	bool dma_buf;		/* its memory can be exported at all */
};

struct gpus {
	unsigned int nr;
	struct gpu gpus[GPUS_MAX];
	char why_none[96];	/* if there are none */
};

/* Somebody who asks, up to gpus_finish(). */
struct gpus_question {
	pid_t child;		/* -1: none could be made */
	int fd;
};

void gpus_ask(struct gpus_question *question);
/* Waits for the answer, for @timeout_ms at most. */
void gpus_finish(struct gpus_question *question, int timeout_ms, struct gpus *gpus);

#endif
