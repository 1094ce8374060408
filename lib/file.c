// SPDX-License-Identifier: MIT
/*
 * file.c - new regular files that can be bound at once.
 *
 * Transfers neither extend a file nor write to blocks that were never written. So the file gets
 * its size and zeros on the drive first. Until it is committed it has no name (O_TMPFILE), or a
 * temporary one, if the file system does not support that or the kernel could not name it
 * afterwards. The commit replaces the old file by rename(2), in one step for all observers and
 * after a crash.
 *
 * Vocabulary
 *   target	where the path leads in the end: an open directory, and a name in it
 *   temporary	the name in that directory that is renamed onto the target; "": none
 *
 * Thread-safety: one thread at a time per file. A child process shares the descriptor, but neither
 * names nor removes the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "file.h"

#define NAME_TRIES	16

/* Makes a temporary name. It begins with a dot, so ls and globs skip it. */
static int new_name(struct dmabuf_rw_file *f)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(f->temporary, sizeof(f->temporary), ".dmabuf-rw-%016llx",
		 (unsigned long long)random);
	return 0;
}

static void remove_name(struct dmabuf_rw_file *f)
{
	if (f->temporary[0])
		unlinkat(f->target.dir, f->temporary, 0);
	f->temporary[0] = 0;
}

/*
 * Tries temporary names until @make, which gives the file the name @f->temporary, does not return
 * -EEXIST. 0 or -errno.
 */
static int find_name(struct dmabuf_rw_file *f, mode_t mode,
		     int (*make)(struct dmabuf_rw_file *f, mode_t mode))
{
	int i, ret;

	for (i = 0; i < NAME_TRIES; i++) {
		ret = new_name(f);
		if (!ret)
			ret = make(f, mode);
		if (!ret)
			return 0;
		/* After a signal the file may exist anyway; it is ours. */
		if (ret != -EEXIST)
			remove_name(f);
		f->temporary[0] = 0;
		if (ret != -EEXIST)
			return ret;
	}
	return -EEXIST;
}

/* Creates the file with a temporary name. */
static int open_named(struct dmabuf_rw_file *f, mode_t mode)
{
	f->fd = openat(f->target.dir, f->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
	return f->fd < 0 ? -errno : 0;
}

/*
 * Names the file by its descriptor, which Linux before 6.10 allows only to root, or by its path in
 * /proc, which not every process has. -errno.
 */
static int link_as(const struct dmabuf_rw_file *f, const char *name)
{
	char path[32];

	if (!linkat(f->fd, "", f->target.dir, name, AT_EMPTY_PATH))
		return 0;
	if (errno != ENOENT)
		return -errno;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", f->fd);
	return linkat(AT_FDCWD, path, f->target.dir, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* Creates the file, with or without a temporary name. */
static int open_file(struct dmabuf_rw_file *f, mode_t mode)
{
	f->fd = openat(f->target.dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (f->fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT &&
	    errno != EINVAL)
		return -errno;
	/* "." always exists, so -EEXIST means that the file can be linked. */
	if (f->fd >= 0 && link_as(f, ".") == -EEXIST)
		return 0;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	return find_name(f, mode, open_named);
}

static int make_file(struct dmabuf_rw_file *f, const char *path,
		     const struct dmabuf_rw_file_opts *opts, struct dmabuf_rw_error *error)
{
	bool replaces;
	int ret;

	f->process = dmabuf_rw_process();
	if (!f->process)
		return dmabuf_rw_file_fail(error, ENOMEM, 0);
	ret = dmabuf_rw_file_check_size(f, error);
	if (!ret)
		ret = dmabuf_rw_target_open(&f->target, path, error);
	if (ret)
		return ret;
	f->takes_rights = !opts->mode;
	replaces = f->takes_rights && f->target.old >= 0;
	f->special = opts->mode & (S_ISUID | S_ISGID);
	ret = open_file(f, opts->mode ? opts->mode - f->special : replaces ? 0600 : 0666);
	if (!ret) {
		f->fd = dmabuf_rw_above_std(f->fd);
		ret = f->fd < 0 ? -errno : 0;
	}
	if (ret)
		return dmabuf_rw_file_fail(error, -ret, 0);
	if (replaces)
		ret = dmabuf_rw_file_take_rights(f->fd, &f->target, &f->special, error);
	dmabuf_rw_target_close_old(&f->target);
	return ret ? ret : dmabuf_rw_file_make_contents(f, opts, error);
}

DMABUF_RW_API int dmabuf_rw_file_create(const char *path, uint64_t bytes,
					const struct dmabuf_rw_file_opts *opts,
					struct dmabuf_rw_file **file)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts o;
	struct dmabuf_rw_file *f;
	DMABUF_RW_NO_CANCEL;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts, sizeof(o), DMABUF_RW_CALL_FILE);
	if (ret)
		return ret;
	if (!path || !*path || !file || o.mode & ~07777U ||
	    o.flags & ~DMABUF_RW_FILE_FOR_BUFFER ||
	    (!o.flags && (o.device || o.dmabuf_fd || o.bind_flags)))
		return dmabuf_rw_file_fail(o.error, EINVAL, 0);
	f = calloc(1, sizeof(*f));
	if (!f)
		return dmabuf_rw_file_fail(o.error, ENOMEM, 0);
	f->fd = -1;
	f->target.dir = -1;
	f->target.old = -1;
	f->bytes = bytes;
	f->interrupted = o.interrupted;
	f->arg = o.arg;
	ret = make_file(f, path, &o, &error);
	if (ret) {
		dmabuf_rw_file_close(f);
		if (o.error)
			*o.error = error;
		return ret;
	}
	*file = f;
	return 0;
}

DMABUF_RW_API int dmabuf_rw_file_fd(const struct dmabuf_rw_file *file)
{
	return file->fd;
}

DMABUF_RW_API int dmabuf_rw_file_refusal(const struct dmabuf_rw_file *file,
					 struct dmabuf_rw_error *error)
{
	if (error)
		*error = file->refusal;
	return file->refusal.err != 0;
}

/* Gives the file a name to be renamed from. */
static int give_name(struct dmabuf_rw_file *f, mode_t mode)
{
	(void)mode;
	return link_as(f, f->temporary);
}

/*
 * Writing may have taken hours. The old file's rights may have been reduced since, or another file
 * may be in its place.
 */
static int follow_rights(struct dmabuf_rw_file *f)
{
	struct dmabuf_rw_error error;
	int ret = f->takes_rights ? dmabuf_rw_target_look_again(&f->target) : 0;

	if (ret > 0)
		ret = fchmod(f->fd, 0600) ? -errno :
		      dmabuf_rw_file_take_rights(f->fd, &f->target, &f->special, &error);
	/* So that the next commit sees a change, and tries again. */
	if (ret)
		f->target.st.stx_mask = 0;
	dmabuf_rw_target_close_old(&f->target);
	return ret;
}

/* The last change before the file is durable; writing to it would undo it. */
static int give_special_bits(const struct dmabuf_rw_file *f)
{
	struct stat st;

	if (!f->special)
		return 0;
	if (fstat(f->fd, &st) || fchmod(f->fd, (st.st_mode & 07777) | f->special))
		return -errno;
	return 0;
}

/*
 * Makes the file durable. The kernel reports data lost on the way to the drive once; afterwards we
 * do.
 */
static int finish_contents(struct dmabuf_rw_file *f)
{
	int ret;

	if (f->lost)
		return -f->lost;
	ret = give_special_bits(f);
	if (ret)
		return ret;
	/* Also flushes the drive's cache, and with it data written directly. */
	if (!fsync(f->fd))
		return 0;
	ret = -errno;
	if (ret != -EINTR)
		f->lost = -ret;
	return ret;
}

DMABUF_RW_API int dmabuf_rw_file_commit(struct dmabuf_rw_file *file)
{
	DMABUF_RW_NO_CANCEL;
	int ret;

	if (file->process != dmabuf_rw_process())
		return -ECHILD;
	if (file->committed)
		return -EINVAL;
	ret = follow_rights(file);
	if (!ret)
		ret = finish_contents(file);
	/* If the rename fails the file keeps this name, as the kernel gives it no second. */
	if (!ret && !file->temporary[0])
		ret = find_name(file, 0, give_name);
	if (ret)
		return ret;
	if (renameat(file->target.dir, file->temporary, file->target.dir, file->target.name))
		return -errno;
	file->committed = true;
	return fsync(file->target.dir) ? -EUCLEAN : 0;
}

DMABUF_RW_API void dmabuf_rw_file_close(struct dmabuf_rw_file *file)
{
	DMABUF_RW_NO_CANCEL;

	if (!file)
		return;
	/* A child does not remove its parent's file. */
	if (!file->committed && file->process == dmabuf_rw_process())
		remove_name(file);
	if (file->fd >= 0)
		close(file->fd);
	dmabuf_rw_target_close(&file->target);
	free(file);
}
