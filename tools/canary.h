/* SPDX-License-Identifier: MIT */
/*
 * canary.h - an end-to-end proof that bytes arrive, on a range of a file and of a buffer that the
 * caller has offered, and nowhere else.
 *
 * A round: the CPU writes a pattern into the first half of the file's range and fills the rest of
 * it and the buffer's range with something else; the drive reads from the first half into the
 * buffer, and writes from there into the second half; the CPU reads the whole range past the page
 * cache, and the buffer's where it sees it, and compares every byte: those that were moved, and
 * those that were not to be touched. Each round has a pattern of its own, which no memory or drive
 * has seen before, and other places.
 *
 * Nothing bounces, as the binding must not: one that may is refused.
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
	char *where;		/* the same */
};

enum canary_end canary_run(struct canary *canary);
void canary_free(struct canary *canary);

#endif
