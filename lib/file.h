/* SPDX-License-Identifier: MIT */
/*
 * file.h - what file.c and its relatives share.
 *
 *   file.c		the file object: made, named, committed
 *   file_target.c	where the path leads, and whether a file there can be replaced
 *   file_rights.c	what the new file takes over from the old one
 *   file_contents.c	its blocks, and the zeros in them
 *
 * Functions that take an error fill it when they fail, and return its -errno.
 */
#ifndef DMABUF_RW_FILE_H
#define DMABUF_RW_FILE_H

#include <limits.h>
#include <sys/stat.h>

#include "private.h"

/* What zeros are written in: O_DIRECT takes it everywhere. */
#define DMABUF_RW_FILE_BLOCK	4096

/* Where the path leads when all links are followed. */
struct dmabuf_rw_target {
	int dir;		/* the directory, open; ours. -1: not yet */
	int old;		/* O_PATH of the file there, a regular one; ours. -1: none */
	struct statx st;	/* of @old, when it was looked at; mask 0: there was none */
	char name[NAME_MAX + 1];	/* in @dir */
};

struct dmabuf_rw_file {
	int fd;
	uint64_t bytes;
	uint64_t process;	/* that made it; see dmabuf_rw_process() */
	struct dmabuf_rw_target target;
	char temporary[NAME_MAX + 1];	/* name in the target's directory; "": none */
	bool committed;
	bool takes_rights;	/* of the file that it replaces */
	mode_t special;		/* S_ISUID, S_ISGID: writing takes them away, commit gives them */
	int lost;		/* errno that fsync() has told, which the kernel does once */
	struct dmabuf_rw_error refusal;	/* why there are no zeros; else no error */
	int (*interrupted)(void *arg);
	void *arg;
};

static inline int dmabuf_rw_file_fail(struct dmabuf_rw_error *error, int err, uint32_t reason)
{
	return dmabuf_rw_fail(error, DMABUF_RW_CALL_FILE, err, reason, 0);
}

/* Whole blocks of the file. */
static inline uint64_t dmabuf_rw_file_whole(const struct dmabuf_rw_file *f)
{
	return (f->bytes + DMABUF_RW_FILE_BLOCK - 1) / DMABUF_RW_FILE_BLOCK *
		DMABUF_RW_FILE_BLOCK;
}

/* ---- file_target.c ------------------------------------------------------------------ */

/* @target must be closed afterwards, also after a failure. */
int dmabuf_rw_target_open(struct dmabuf_rw_target *target, const char *path,
			  struct dmabuf_rw_error *error);
/*
 * Opens what is at the target now, if that is a regular file, and not the one that was looked at
 * last or as it was. Returns 1 then, 0 if nothing has changed, or -errno.
 */
int dmabuf_rw_target_look_again(struct dmabuf_rw_target *target);
/* The old file is needed no longer. */
void dmabuf_rw_target_close_old(struct dmabuf_rw_target *target);
void dmabuf_rw_target_close(struct dmabuf_rw_target *target);

/* ---- file_rights.c ------------------------------------------------------------------ */

/*
 * For a new file at @fd that has mode 0600 and belongs to its maker. @special gets those of
 * S_ISUID and S_ISGID that it may have in the end.
 */
int dmabuf_rw_file_take_rights(int fd, const struct dmabuf_rw_target *target, mode_t *special,
			       struct dmabuf_rw_error *error);

/* ---- file_contents.c ---------------------------------------------------------------- */

/* Fails if the file would be larger than any file, or than this process may make one. */
int dmabuf_rw_file_check_size(const struct dmabuf_rw_file *f, struct dmabuf_rw_error *error);
/* Gives the file its blocks, and writes zeros to them if the options want that. */
int dmabuf_rw_file_make_contents(struct dmabuf_rw_file *f,
				 const struct dmabuf_rw_file_opts *opts,
				 struct dmabuf_rw_error *error);

#endif /* DMABUF_RW_FILE_H */
