/* SPDX-License-Identifier: MIT */
/*
 * source.h - a file as it is on the drive: read by the CPU, past the page cache.
 *
 * With O_DIRECT where the file has it, else with its cached pages dropped before and after.
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
 * Opens it anew, so that what is read is what is stored. Where that cannot be, by /proc or for
 * rights, the descriptor that there is does as well, without O_DIRECT. 0 or -errno.
 */
int source_open(struct source *source, int fd);
/*
 * Points *@at to the @len bytes at @off, or fewer at the end of the file; how many, or -errno.
 * @len: so that they fit into the chunk when both ends are widened to what O_DIRECT takes.
 */
ssize_t source_read(struct source *source, uint64_t off, size_t len, const char **at);
void source_close(struct source *source);

#endif
