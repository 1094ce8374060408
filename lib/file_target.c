// SPDX-License-Identifier: MIT
/*
 * file_target.c - where the path of a new file leads, and whether a file can be put there.
 *
 * Links are followed one at a time, each by an open descriptor, so that the checked link is the
 * followed one. Only directories are opened; the old file is only inspected (O_PATH). All
 * conditions that would make the final rename fail are checked here, as far as they can be known,
 * since hours of writing may pass before it.
 *
 * Thread-safety: each object is for one thread at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/magic.h>

#include "file.h"

/* mount(8)'s nosymfollow; Linux 5.10, and not in all headers. */
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW	0x2000
#endif

/* The kernel's limit. */
#define MAX_LINKS	40

/* Opens the directory of @path, relative to the open one, and stores the name in it. */
static int open_directory(struct dmabuf_rw_target *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *dir;
	int fd, err;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EISDIR;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	dir = slash ? strndup(path, slash == path ? 1 : slash - path) : strdup(".");
	if (!dir)
		return -ENOMEM;
	fd = dmabuf_rw_above_std(openat(t->dir < 0 ? AT_FDCWD : t->dir, dir,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	err = errno;
	free(dir);
	if (fd < 0)
		return -err;
	if (t->dir >= 0)
		close(t->dir);
	t->dir = fd;
	strcpy(t->name, name);
	return 0;
}

/*
 * The kernel's rule against links that others leave in /tmp (fs.protected_symlinks), which the
 * kernel cannot apply to a process that reads links itself.
 */
static bool is_trusted(const struct dmabuf_rw_target *t, const struct stat *dir)
{
	if ((dir->st_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH))
		return true;
	return t->st.stx_uid == geteuid() || t->st.stx_uid == dir->st_uid;
}

/* Stores the link's destination in @path. */
static int read_link(struct dmabuf_rw_target *t, char *path, struct dmabuf_rw_error *error)
{
	struct stat dir;
	ssize_t n;

	if (fstat(t->dir, &dir))
		return dmabuf_rw_file_fail(error, errno, 0);
	if (!is_trusted(t, &dir))
		return dmabuf_rw_file_fail(error, EACCES, DMABUF_RW_REASON_UNTRUSTED_LINK);
	n = readlinkat(t->old, "", path, PATH_MAX);
	dmabuf_rw_target_close_old(t);
	if (n <= 0)
		return dmabuf_rw_file_fail(error, n ? errno : ENOENT, 0);
	if (n == PATH_MAX)
		return dmabuf_rw_file_fail(error, ENAMETOOLONG, 0);
	path[n] = 0;
	return 0;
}

/*
 * Takes one step along @path. Returns 1 if it is a link, with its destination in @path; -ENOENT
 * with @t->dir open if there is no file.
 */
static int step(struct dmabuf_rw_target *t, char *path, struct dmabuf_rw_error *error)
{
	struct statfs fs;
	int ret = open_directory(t, path);

	if (ret)
		return dmabuf_rw_file_fail(error, -ret, 0);
	/* Links of /proc/self/fd may lead to files without a path. */
	if (fstatfs(t->dir, &fs))
		return dmabuf_rw_file_fail(error, errno, 0);
	if (fs.f_type == PROC_SUPER_MAGIC)
		return dmabuf_rw_file_fail(error, EEXIST, DMABUF_RW_REASON_DESCRIPTOR);
	t->old = dmabuf_rw_above_std(openat(t->dir, t->name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
	if (t->old < 0 || statx(t->old, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &t->st))
		return dmabuf_rw_file_fail(error, errno, 0);
	if (S_ISREG(t->st.stx_mode))
		return 0;
	if (S_ISLNK(t->st.stx_mode) && fs.f_flags & ST_NOSYMFOLLOW)
		return dmabuf_rw_file_fail(error, ELOOP, 0);
	if (!S_ISLNK(t->st.stx_mode))
		return dmabuf_rw_file_fail(error, S_ISDIR(t->st.stx_mode) ? EISDIR : EEXIST, 0);
	ret = read_link(t, path, error);
	return ret ? ret : 1;
}

static bool may_remove_others_files(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { };

	return !syscall(SYS_capget, &head, data) &&
		data[CAP_TO_INDEX(CAP_FOWNER)].effective & CAP_TO_MASK(CAP_FOWNER);
}

/* Checks that the kernel will let a new file replace the old one. */
static int check_renaming(const struct dmabuf_rw_target *t, struct dmabuf_rw_error *error)
{
	const uint64_t fixed = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
	uid_t user = geteuid();
	struct statx dir;

	if (statx(t->dir, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &dir))
		return dmabuf_rw_file_fail(error, errno, 0);
	if (dir.stx_attributes & fixed)
		return dmabuf_rw_file_fail(error, EPERM, DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE);
	if (t->old < 0)
		return 0;
	if (t->st.stx_attributes & fixed)
		return dmabuf_rw_file_fail(error, EPERM, DMABUF_RW_REASON_FILE_ATTRIBUTE);
	if (t->st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return dmabuf_rw_file_fail(error, EBUSY, DMABUF_RW_REASON_MOUNT_POINT);
	if (dir.stx_mode & S_ISVTX && t->st.stx_uid != user && dir.stx_uid != user &&
	    !may_remove_others_files())
		return dmabuf_rw_file_fail(error, EPERM, DMABUF_RW_REASON_STICKY);
	return 0;
}

int dmabuf_rw_target_open(struct dmabuf_rw_target *t, const char *path,
			  struct dmabuf_rw_error *error)
{
	unsigned int links = 0;
	char at[PATH_MAX];
	int ret;

	t->dir = -1;
	t->old = -1;
	if (strlen(path) >= sizeof(at))
		return dmabuf_rw_file_fail(error, ENAMETOOLONG, 0);
	strcpy(at, path);
	do {
		ret = step(t, at, error);
	} while (ret > 0 && ++links <= MAX_LINKS);

	if (ret > 0)
		return dmabuf_rw_file_fail(error, ELOOP, 0);
	if (ret == -ENOENT && links)
		return dmabuf_rw_file_fail(error, ENOENT, DMABUF_RW_REASON_DANGLING_LINK);
	/* The directory exists, the file does not. */
	if (ret == -ENOENT && t->dir >= 0) {
		t->st.stx_mask = 0;
		ret = 0;
	}
	return ret ? ret : check_renaming(t, error);
}

static bool is_as_it_was(const struct statx *a, const struct statx *b)
{
	return a->stx_mask && a->stx_ino == b->stx_ino &&
	       a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor &&
	       a->stx_ctime.tv_sec == b->stx_ctime.tv_sec &&
	       a->stx_ctime.tv_nsec == b->stx_ctime.tv_nsec;
}

int dmabuf_rw_target_look_again(struct dmabuf_rw_target *t)
{
	struct statx st;

	t->old = openat(t->dir, t->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (t->old < 0)
		return errno == ENOENT ? 0 : -errno;
	if (statx(t->old, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st))
		return -errno;
	if (!S_ISREG(st.stx_mode) || is_as_it_was(&t->st, &st))
		return 0;
	t->st = st;
	return 1;
}

void dmabuf_rw_target_close_old(struct dmabuf_rw_target *t)
{
	if (t->old >= 0)
		close(t->old);
	t->old = -1;
}

void dmabuf_rw_target_close(struct dmabuf_rw_target *t)
{
	dmabuf_rw_target_close_old(t);
	if (t->dir >= 0)
		close(t->dir);
	t->dir = -1;
}
