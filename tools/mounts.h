/* SPDX-License-Identifier: MIT */
/*
 * mounts.h - what /proc tells of the file system that a file is on, and of who has a hand on the
 * file already; and what it does not tell.
 */
#ifndef TOOLS_MOUNTS_H
#define TOOLS_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount {
	unsigned long long id;	/* as statx() has it */
	const char *type;	/* "ext4"; lies in @line, as @dir and @source do */
	const char *dir;	/* where it is mounted, as the kernel writes it */
	char *options;		/* of the mount and of the file system */
	char *source;		/* "/dev/nvme0n1p1" */
	dev_t dev;
	char *line;
};

/* Somebody who has a lease on a file (fcntl(2), F_SETLEASE). */
struct lease {
	bool write;
	int pid;
};

/*
 * @fd: of the file or directory, in any mode, O_PATH too. False: /proc does not tell. @mount is for
 * mount_free() in either case.
 */
bool mount_of(const char *root, int fd, struct mount *mount);
void mount_free(struct mount *mount);
/* Where it is mounted, for open(2) and free(); null: no memory. */
char *mount_path(const struct mount *mount);
/*
 * Calls @each with every mount that this process sees, in the order of /proc. Who keeps one takes
 * all of it, and leaves an empty one.
 */
void mounts_each(const char *root, void (*each)(void *arg, struct mount *mount), void *arg);
/* Is @option one of those, by itself or as the beginning "@option="? */
bool mount_has(const struct mount *mount, const char *option);
/* Is /proc mounted so (hidepid) that the processes of others are not in it for this user? */
bool proc_hides_processes(const char *root);
/* False: /proc has no list of leases (as with subset=pid), so none is seen. */
bool leases_are_told(const char *root);
/* The first lease on the file of inode @ino on @dev; false: there is none that this user sees. */
bool find_lease(const char *root, dev_t dev, ino_t ino, struct lease *lease);

#endif
