/* SPDX-License-Identifier: MIT */
/*
 * mounts.h - facts from /proc about a file's file system and leases, and what /proc hides.
 */
#ifndef TOOLS_MOUNTS_H
#define TOOLS_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount {
	unsigned long long id;	/* the mount's id from statx() */
	const char *type;	/* "ext4"; points into @line, like @dir and @source */
	const char *dir;	/* the mount point, as the kernel writes it */
	char *options;		/* of the mount and of the file system */
	char *source;		/* "/dev/nvme0n1p1" */
	dev_t dev;
	char *line;
};

/* The holder of a lease on a file (fcntl(2), F_SETLEASE). */
struct lease {
	bool write;
	int pid;
};

/*
 * @fd: of the file or directory, in any mode, even O_PATH. False: not in /proc. In either case call
 * mount_free().
 */
bool mount_of(const char *root, int fd, struct mount *mount);
void mount_free(struct mount *mount);
/* The mount point for open(2), allocated; null: no memory. */
char *mount_path(const struct mount *mount);
/*
 * Calls @each with every mount that this process sees, in the order of /proc. @each may keep a
 * mount by moving it out and leaving an empty one.
 */
void mounts_each(const char *root, void (*each)(void *arg, struct mount *mount), void *arg);
/* Whether the options include "@option" or "@option=VALUE". */
bool mount_has(const struct mount *mount, const char *option);
/* Whether /proc (mounted with hidepid) hides other users' processes from this user. */
bool proc_hides_processes(const char *root);
/* False: /proc does not list leases (as with subset=pid). */
bool leases_are_told(const char *root);
/* Finds the first lease on inode @ino of @dev; false: this user sees none. */
bool find_lease(const char *root, dev_t dev, ino_t ino, struct lease *lease);

#endif
