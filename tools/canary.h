/* SPDX-License-Identifier: MIT */
/*
 * canary.h - an end-to-end proof that bytes arrive, within the ranges of a file and of a buffer
 * that the caller offers.
 *
 * In each round the CPU writes a pattern to the first half of the file's range and other bytes to
 * the rest of it and to the buffer's range. The drive reads from the first half into the buffer and
 * writes from the buffer to the second half. The CPU then reads the file's range past the page
 * cache and, if it has a view, the buffer's, and compares every byte, including those that must not
 * have changed. Each round has new places and a new pattern, which no memory or drive has held
 * before.
 *
 * A binding that may bounce is refused.
 */
#ifndef TOOLS_CANARY_H
#define TOOLS_CANARY_H

#include "tool.h"

#define CANARY_ROUNDS	6
/* Most bytes of one round; a range has use for twice as many. */
#define CANARY_BYTES	(1 << 20)
#define CANARY_PATHS	16

struct canary_range {
	uint64_t off;
	uint64_t len;
};

struct canary_round {
	uint64_t from;		/* file offsets of the read and the write, buffer offset */
	uint64_t to;
	uint64_t buf_off;
	uint64_t len;		/* 0: no room for this round */
};

enum canary_end {
	CANARY_PROVEN,
	CANARY_DIFFERS,		/* see @where */
	CANARY_FAILED,		/* see @why, or @error if its err is not 0 */
	CANARY_STOPPED,
};

struct canary {
	/* in */
	struct dmabuf_rw_binding *binding;
	struct buffer *buffer;	/* mapped if the CPU has a view of it */
	int fd;			/* of the file, O_RDWR, without O_DIRECT */
	struct canary_range file, memory;	/* the offered ranges */
	volatile sig_atomic_t *stop;

	/* out */
	struct canary_range used;	/* of the file: whole pages of the offered range */
	struct canary_range used_memory;
	struct canary_round rounds[CANARY_ROUNDS];
	unsigned int nr_rounds;	/* completed */
	uint32_t file_step, memory_step;	/* finest offsets that were tried */
	bool past_cache;	/* the CPU read by O_DIRECT */
	bool seen;		/* the CPU looked at the buffer, too */
	uint32_t pci[CANARY_PATHS], domain[CANARY_PATHS];	/* the controllers used */
	unsigned int nr_pci;
	struct dmabuf_rw_error error;
	char *why;		/* a sentence; the caller frees it */
	char *where;		/* a sentence; the caller frees it */
};

enum canary_end canary_run(struct canary *canary);
void canary_free(struct canary *canary);

#endif
