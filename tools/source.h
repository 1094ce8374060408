/* SPDX-License-Identifier: MIT */
/*
 * source.h - reads a file with the CPU as it is on the drive, past the page cache.
 *
 * Uses O_DIRECT if the file supports it, else drops cached pages before and after a read.
 */
#ifndef TOOLS_SOURCE_H
#define TOOLS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SOURCE_CHUNK	(1 << 20)

struct source {
	int fd;
	bool direct;
	uint32_t align;		/* of offsets and lengths; 1 without O_DIRECT */
	char *chunk;		/* of SOURCE_CHUNK bytes */
};

/*
 * Reopens the file of @fd with O_DIRECT. If /proc or the rights do not allow that, uses @fd itself,
 * without O_DIRECT. 0 or -errno.
 */
int source_open(struct source *source, int fd);
/*
 * Points *@at to the @len bytes at @off, or fewer at the end of the file; returns how many, or
 * -errno. @len must fit into the chunk when both ends are extended to O_DIRECT's alignment.
 */
ssize_t source_read(struct source *source, uint64_t off, size_t len, const char **at);
void source_close(struct source *source);

#endif
