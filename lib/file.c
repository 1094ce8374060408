// SPDX-License-Identifier: MIT
/*
 * file.c - new regular files that can be bound at once.
 *
 * A bound file cannot grow, its blocks must all be there, and blocks that were never
 * written cannot be transferred. So the file gets its size and zeros on the drive first.
 * It has no name (O_TMPFILE), or where the file system does not know that, a temporary
 * one, until it is committed; then it takes the place of the old one by rename(2), which is one
 * step for everybody else and after a crash.
 *
 * Vocabulary
 *   target	the path that was asked for: a directory, open, and a name in it
 *   temporary	the name in that directory that is renamed onto the target; "" while
 *		there is none
 *
 * Thread-safety: one thread at a time per file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "private.h"

/* Kernel 6.17; the headers that this is built with may be older. */
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

/*
 * Blocks of every file system that can be bound. Until the file is committed it has whole
 * ones, so that a drive that takes no SGLs can write its end as well.
 */
#define BLOCK		4096
/* Zeros that the file system writes at a time; a drive may take a second for them. */
#define DRIVE_ZEROS	(UINT64_C(1) << 30)
/* Zeros written at a time: enough for several of the drive's commands. */
#define ZEROS		(4U << 20)
#define NAME_TRIES	16
/*
 * io_uring's workers give back the binding that a transfer went to after its completion has
 * been seen, so a file may be bound for a moment after its binding has been destroyed.
 */
#define BUSY_TRIES	100
#define BUSY_US		10000

struct dmabuf_rw_file {
	int fd;
	int dir;		/* of the target */
	uint64_t bytes;
	bool committed;
	int (*interrupted)(void *arg);
	void *arg;
	char name[NAME_MAX + 1];	/* of the target */
	char temporary[NAME_MAX + 1];
};

/* Makes up a temporary name. It begins with a dot, so that ls and globs pass it over. */
static int new_name(struct dmabuf_rw_file *f)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(f->temporary, sizeof(f->temporary), ".dmabuf-rw-%016llx",
		 (unsigned long long)random);
	return 0;
}

static int open_directory(struct dmabuf_rw_file *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *dir;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EISDIR;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(f->name, name);
	dir = slash ? strndup(path, slash == path ? 1 : slash - path) : strdup(".");
	if (!dir)
		return -ENOMEM;
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return f->dir < 0 ? -errno : 0;
}

/* The file, with or without a temporary name. */
static int open_file(struct dmabuf_rw_file *f, mode_t mode)
{
	int i, ret;

	f->fd = openat(f->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return -errno;
	for (i = 0; i < NAME_TRIES; i++) {
		ret = new_name(f);
		if (ret)
			return ret;
		f->fd = openat(f->dir, f->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC,
			       mode);
		if (f->fd >= 0)
			return 0;
		ret = -errno;
		f->temporary[0] = 0;
		if (ret != -EEXIST)
			return ret;
	}
	return -EEXIST;
}

/* What an access control list is kept in; values as in linux/xattr.h, posix_acl_xattr.h. */
#define ACL		"system.posix_acl_access"
/* 8 bytes an entry, and nobody has as many as that. */
#define ACL_MAX		16384

/*
 * The rights of the file that will be replaced, or that a link to be replaced leads to.
 * Nobody gets more than he had there: until here the file is its maker's alone. Who was in a
 * group, or in a list, that cannot be kept, is one of the others from now on; and these get
 * no more than he had.
 */
static int take_rights(const struct dmabuf_rw_file *f, const struct stat *old)
{
	bool owner = !fchown(f->fd, old->st_uid, old->st_gid);
	bool group = owner || !fchown(f->fd, -1, old->st_gid);
	mode_t mode = old->st_mode & 07777, both;
	char path[32 + NAME_MAX], acl[ACL_MAX];
	ssize_t n;

	if (!owner)
		mode &= ~S_ISUID;
	if (!group)
		mode &= ~S_ISGID;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", f->dir, f->name);
	n = getxattr(path, ACL, acl, sizeof(acl));
	if (n >= 0 || (errno != ENODATA && errno != EOPNOTSUPP)) {
		/* The group's bits say what its members get at most, and setting it sets all. */
		mode &= ~077;
	} else if (!group) {
		both = mode >> 3 & mode & 07;
		mode = (mode & ~077) | both << 3 | both;
	}
	if (fchmod(f->fd, mode))
		return -errno;
	if (group && n > 0)
		fsetxattr(f->fd, ACL, acl, n, 0);
	return 0;
}

/* Zeros from the beginning to @end through @fd. */
static int write_zeros(const struct dmabuf_rw_file *f, int fd, const char *zeros, uint64_t end)
{
	uint64_t off = 0;

	while (off < end) {
		ssize_t n;

		if (f->interrupted && f->interrupted(f->arg))
			return -EINTR;
		n = pwrite(fd, zeros, MIN(end - off, ZEROS), off);
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		off += n;
	}
	return 0;
}

static int fill(const struct dmabuf_rw_file *f, uint64_t bytes)
{
	char path[32], *zeros;
	int direct, ret;

	zeros = mmap(NULL, ZEROS, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (zeros == MAP_FAILED)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	ret = direct < 0 ? -EINVAL : write_zeros(f, direct, zeros, bytes);
	if (direct >= 0)
		close(direct);
	if (ret == -EINVAL) {
		/* No O_DIRECT here. Leave the page cache as it was found. */
		ret = write_zeros(f, f->fd, zeros, bytes);
		if (!ret && fdatasync(f->fd))
			ret = -errno;
		if (!ret)
			posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	munmap(zeros, ZEROS);
	return ret;
}

/* Where kernel, file system and drive can; else some -errno. */
static int let_drive_write_zeros(const struct dmabuf_rw_file *f, uint64_t end)
{
	uint64_t off;

	for (off = 0; off < end; off += DRIVE_ZEROS) {
		if (off && f->interrupted && f->interrupted(f->arg))
			return -EINTR;
		if (fallocate(f->fd, FALLOC_FL_WRITE_ZEROES, off, MIN(end - off, DRIVE_ZEROS)))
			return -errno;
	}
	return 0;
}

/* Space with zeros in it, which the drive has been told. */
static int make_contents(const struct dmabuf_rw_file *f)
{
	uint64_t whole = (f->bytes + BLOCK - 1) / BLOCK * BLOCK;
	int ret = 0;

	if (f->bytes > INT64_MAX - BLOCK)
		return -EFBIG;
	if (!whole)
		return fsync(f->fd) ? -errno : 0;
	/* In one piece if possible, and no surprise by a full file system later. */
	if (fallocate(f->fd, 0, 0, whole) && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	ret = let_drive_write_zeros(f, whole);
	if (ret == -EINTR || ret == -ENOSPC || ret == -EDQUOT)
		return ret;
	if (ret)
		ret = fill(f, whole);
	if (!ret && fsync(f->fd))
		ret = -errno;
	return ret;
}

DMABUF_RW_API int dmabuf_rw_file_create(const char *path, uint64_t bytes,
					const struct dmabuf_rw_file_opts *opts,
					struct dmabuf_rw_file **file)
{
	struct dmabuf_rw_file_opts o;
	struct dmabuf_rw_file *f;
	struct stat old;
	bool replaces;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts,
				  MIN_OPTS(dmabuf_rw_file_opts, resv), DMABUF_RW_CALL_FILE);
	if (ret)
		return ret;
	if (!path || !file || o.flags || o.resv || o.mode & ~07777U)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_FILE, EINVAL, 0, 0);
	f = calloc(1, sizeof(*f));
	if (!f)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_FILE, ENOMEM, 0, 0);
	f->fd = -1;
	f->dir = -1;
	f->bytes = bytes;
	f->interrupted = o.interrupted;
	f->arg = o.arg;

	ret = open_directory(f, path);
	if (ret)
		goto fail;
	replaces = !fstatat(f->dir, f->name, &old, AT_SYMLINK_NOFOLLOW);
	if (replaces && !S_ISREG(old.st_mode) && !S_ISLNK(old.st_mode)) {
		ret = -EEXIST;
		goto fail;
	}
	if (replaces && S_ISLNK(old.st_mode))
		replaces = !fstatat(f->dir, f->name, &old, 0);
	replaces = replaces && S_ISREG(old.st_mode);
	/* A temporary name can be opened by others at once. */
	ret = open_file(f, o.mode ? o.mode : replaces ? 0600 : 0666);
	if (!ret && replaces && !o.mode)
		ret = take_rights(f, &old);
	if (ret)
		goto fail;
	ret = make_contents(f);
	if (ret)
		goto fail;
	*file = f;
	return 0;

fail:
	dmabuf_rw_file_close(f);
	return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_FILE, -ret, 0, 0);
}

DMABUF_RW_API int dmabuf_rw_file_fd(const struct dmabuf_rw_file *file)
{
	return file->fd;
}

/* A name for the file to be renamed from. */
static int give_name(struct dmabuf_rw_file *f)
{
	char path[32];
	int i, ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	for (i = 0; i < NAME_TRIES; i++) {
		ret = new_name(f);
		if (!ret && linkat(AT_FDCWD, path, f->dir, f->temporary,
				   AT_SYMLINK_FOLLOW))
			ret = -errno;
		if (!ret)
			return 0;
		f->temporary[0] = 0;
		if (ret != -EEXIST)
			return ret;
	}
	return -EEXIST;
}

/*
 * The kernel refuses this of a bound file. Later it would refuse the renaming, when there is
 * a temporary name that cannot be removed.
 */
static int cut_to_size(const struct dmabuf_rw_file *f)
{
	int i;

	for (i = 0; ftruncate(f->fd, f->bytes); i++) {
		if (errno != ETXTBSY || i == BUSY_TRIES)
			return -errno;
		usleep(BUSY_US);
	}
	return 0;
}

DMABUF_RW_API int dmabuf_rw_file_commit(struct dmabuf_rw_file *file)
{
	int ret;

	if (file->committed)
		return -EINVAL;
	ret = cut_to_size(file);
	if (ret)
		return ret;
	/* Also flushes the drive's cache, and with it what went there directly. */
	if (fsync(file->fd))
		return -errno;
	if (!file->temporary[0]) {
		ret = give_name(file);
		if (ret)
			return ret;
	}
	if (renameat(file->dir, file->temporary, file->dir, file->name))
		return -errno;
	file->committed = true;
	/* Cutting it to its size has left the last page in the cache. */
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
	return fsync(file->dir) ? -EUCLEAN : 0;
}

DMABUF_RW_API void dmabuf_rw_file_close(struct dmabuf_rw_file *file)
{
	if (!file)
		return;
	if (file->temporary[0] && !file->committed)
		unlinkat(file->dir, file->temporary, 0);
	if (file->fd >= 0)
		close(file->fd);
	if (file->dir >= 0)
		close(file->dir);
	free(file);
}
