/* SPDX-License-Identifier: MIT */
/*
 * file.h - shared by file.c and file_*.c.
 *
 *   file.c		the file object: made, named, committed
 *   file_target.c	where the path leads, and whether a file there can be replaced
 *   file_rights.c	rights that the new file gets from the old one
 *   file_contents.c	its blocks, and the zeros in them
 *
 * Functions that take an error fill it when they fail, and return its -errno.
 */
#ifndef DMABUF_RW_FILE_H
#define DMABUF_RW_FILE_H

#include <limits.h>
#include <sys/stat.h>

#include "private.h"

/* Unit of zeros, which suits O_DIRECT everywhere. */
#define DMABUF_RW_FILE_BLOCK	4096

/* Where the path leads after all links. */
struct dmabuf_rw_target {
	int dir;		/* the directory, open; owned. -1: not yet */
	int old;		/* O_PATH of the regular file there; owned. -1: none */
	struct statx st;	/* of @old when last inspected; mask 0: there was none */
	char name[NAME_MAX + 1];	/* in @dir */
};

struct dmabuf_rw_file {
	int fd;
	uint64_t bytes;
	uint64_t process;	/* its maker; see dmabuf_rw_process() */
	struct dmabuf_rw_target target;
	char temporary[NAME_MAX + 1];	/* name in the target's directory; "": none */
	bool committed;
	bool takes_rights;	/* from the file that it replaces */
	mode_t special;		/* S_ISUID, S_ISGID: cleared by writing, set by the commit */
	int lost;		/* errno of a failed fsync(), which the kernel reports once */
	struct dmabuf_rw_error refusal;	/* why there are no zeros; else no error */
	int (*interrupted)(void *arg);
	void *arg;
};

static inline int dmabuf_rw_file_fail(struct dmabuf_rw_error *error, int err, uint32_t reason)
{
	return dmabuf_rw_fail(error, DMABUF_RW_CALL_FILE, err, reason, 0);
}

/* Size of the file in whole blocks. */
static inline uint64_t dmabuf_rw_file_whole(const struct dmabuf_rw_file *f)
{
	return (f->bytes + DMABUF_RW_FILE_BLOCK - 1) / DMABUF_RW_FILE_BLOCK *
		DMABUF_RW_FILE_BLOCK;
}

/* ---- file_target.c ------------------------------------------------------------------ */

/* Close @target afterwards, even after a failure. */
int dmabuf_rw_target_open(struct dmabuf_rw_target *target, const char *path,
			  struct dmabuf_rw_error *error);
/*
 * Opens the target's current file if it is regular, and has been replaced or changed since it was
 * last inspected. Returns 1 then, 0 if nothing has changed, or -errno.
 */
int dmabuf_rw_target_look_again(struct dmabuf_rw_target *target);
/* Call when the old file is no longer needed. */
void dmabuf_rw_target_close_old(struct dmabuf_rw_target *target);
void dmabuf_rw_target_close(struct dmabuf_rw_target *target);

/* ---- file_rights.c ------------------------------------------------------------------ */

/*
 * For a new file at @fd with mode 0600 that belongs to its maker. @special gets the S_ISUID and
 * S_ISGID bits that the commit sets.
 */
int dmabuf_rw_file_take_rights(int fd, const struct dmabuf_rw_target *target, mode_t *special,
			       struct dmabuf_rw_error *error);

/* ---- file_contents.c ---------------------------------------------------------------- */

/* Fails if the size exceeds the maximum of any file, or the limit of this process. */
int dmabuf_rw_file_check_size(const struct dmabuf_rw_file *f, struct dmabuf_rw_error *error);
/* Gives the file its blocks, and fills them with zeros if the options require that. */
int dmabuf_rw_file_make_contents(struct dmabuf_rw_file *f,
				 const struct dmabuf_rw_file_opts *opts,
				 struct dmabuf_rw_error *error);

#endif /* DMABUF_RW_FILE_H */
