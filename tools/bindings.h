/* SPDX-License-Identifier: MIT */
/*
 * bindings.h - the bindings of the system, as the descriptors of its processes tell of them.
 *
 * A binding is found by a descriptor of it in /proc/PID/fd, and told of by its lines in
 * /proc/PID/fdinfo, for which the caller must be allowed to look into the process (as its owner, or
 * with CAP_SYS_PTRACE). Nothing is opened that anybody could notice. Not found are bindings that
 * only a socket in flight or a ring's table of files holds.
 */
#ifndef TOOLS_BINDINGS_H
#define TOOLS_BINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* struct holder - a descriptor of a binding */
struct holder {
	pid_t pid;
	int fd;
};

/**
 * struct bound - one binding
 * @id:		inode number of its descriptors, of no other binding at the same time
 * @holders:	every descriptor of it, in order of process and number; @nr_holders > 0
 * @command:	name of the first holder's process
 * @told:	its lines could be had; without, nothing below is known
 * @file:	as the kernel names it: octal numbers for blanks and backslashes
 * @disk:	the block device of a regular file; null for others
 * @drive:	PCI address of the controller in use
 * @class, @state: as in fdinfo
 * @bar:	"0000:00:09.0/2" if the buffer is a BAR, else null
 *
 * Texts that the kernel did not give are null.
 */
struct bound {
	uint64_t id;
	struct holder *holders;
	size_t nr_holders;
	char *command;
	bool told;
	char *file, *disk, *drive, *class, *state, *bar;
	uint64_t buffer_bytes;
	uint64_t reads, read_bytes, writes, write_bytes;
	uint64_t errors, remaps, failovers;
};

/**
 * struct bindings - all that were found, in order of their first holder
 * @unseen:	processes whose descriptors the caller may not see
 * @hidden:	there may be others that /proc does not show to the caller at all
 */
struct bindings {
	struct bound *bound;
	size_t nr;
	size_t unseen;
	bool hidden;
};

/* @root: see sysfs.h; @pid 0: all processes. 0 or -errno (no memory, no /proc). */
int bindings_find(const char *root, pid_t pid, struct bindings *found);
void bindings_free(struct bindings *found);
/* Returns the binding with this id, or null. */
const struct bound *bindings_with(const struct bindings *found, uint64_t id);

#endif
