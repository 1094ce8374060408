/* SPDX-License-Identifier: MIT */
/*
 * bindings.h - the bindings of the system, found through the descriptors of its processes.
 *
 * /proc/PID/fd shows the descriptors of a binding and /proc/PID/fdinfo its numbers, if the caller
 * may inspect the process (as its owner, or with CAP_SYS_PTRACE). Reading them does not disturb the
 * process. A binding that only a socket in flight or a ring's table of files holds is not found.
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
 * @id:		inode number of its descriptors, unique among bindings at one time
 * @holders:	all its descriptors, in order of process and number; @nr_holders > 0
 * @command:	name of the first holder's process
 * @told:	its fdinfo was readable; if not, the fields below are unknown
 * @file:	as the kernel names it, with octal escapes for blanks and backslashes
 * @disk:	the block device of a regular file; null for others
 * @drive:	PCI address of the controller in use
 * @class, @state: as in fdinfo
 * @bar:	"0000:00:09.0/2" if the buffer is a BAR, else null
 *
 * Unknown texts are null.
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
 * struct bindings - all bindings found, in order of their first holder
 * @unseen:	number of processes whose descriptors the caller may not see
 * @hidden:	/proc may hide further processes from the caller
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
