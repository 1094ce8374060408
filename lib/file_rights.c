// SPDX-License-Identifier: MIT
/*
 * file_rights.c - owner, permissions, access control list and security labels of a file that
 * a new one replaces.
 *
 * The promise: whatever fails, nobody but its maker ever has more rights to the new file than to
 * the old one. The new file begins with mode 0600 and belongs to its maker, so nobody else has any
 * rights; the mode is set last. A default list that the directory hands down is removed first, as
 * setting the mode would enable it.
 *
 * Labels are not rights that could be reduced: if one cannot be copied, there is no new file.
 *
 * Thread-safety: one thread at a time per file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"

/* The attribute of an access control list; values from linux/xattr.h, posix_acl_xattr.h. */
#define ACL		"system.posix_acl_access"
/* 8 bytes per entry; no list is as long as that. */
#define ACL_MAX		16384
#define LABEL		"security."

/* Access to the old file's attributes. */
struct source {
	int fd;			/* -1: by @path */
	int err;		/* why there is no access; else 0 */
	char path[32];
};

struct labels {
	char names[XATTR_LIST_MAX];
	char old[XATTR_SIZE_MAX];
	char new[XATTR_SIZE_MAX];
};

/*
 * O_PATH descriptors give no attributes, but their paths in /proc do, even if the caller may not
 * read the file. Without /proc the file has to be opened.
 */
static void open_source(struct source *s, const struct dmabuf_rw_target *t)
{
	struct stat opened, old;

	s->fd = -1;
	s->err = 0;
	snprintf(s->path, sizeof(s->path), "/proc/thread-self/fd/%d", t->old);
	if (!faccessat(AT_FDCWD, s->path, F_OK, AT_EACCESS))
		return;
	s->fd = openat(t->dir, t->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd >= 0 && !fstat(s->fd, &opened) && !fstat(t->old, &old) &&
	    opened.st_dev == old.st_dev && opened.st_ino == old.st_ino)
		return;
	/* The file has been replaced, or may not be read. */
	s->err = s->fd < 0 ? errno : ESTALE;
}

static void close_source(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
}

static ssize_t get(const struct source *s, const char *name, void *value, size_t len)
{
	if (s->err) {
		errno = s->err;
		return -1;
	}
	return s->fd < 0 ? getxattr(s->path, name, value, len) :
			   fgetxattr(s->fd, name, value, len);
}

static ssize_t list(const struct source *s, char *names, size_t len)
{
	if (s->err) {
		errno = s->err;
		return -1;
	}
	return s->fd < 0 ? listxattr(s->path, names, len) : flistxattr(s->fd, names, len);
}

/* Labels that describe the old contents are not copied. */
static bool is_label(const char *name)
{
	return !strncmp(name, LABEL, strlen(LABEL)) && strcmp(name, LABEL "capability") &&
		strcmp(name, LABEL "ima") && strcmp(name, LABEL "evm");
}

/* 0 or an errno. */
static int take_label(int fd, const struct source *s, struct labels *l, const char *name)
{
	ssize_t n = get(s, name, l->old, sizeof(l->old)), has;

	if (n < 0)
		return errno == ENODATA ? 0 : errno;
	has = fgetxattr(fd, name, l->new, sizeof(l->new));
	if (has == n && !memcmp(l->old, l->new, n))
		return 0;
	return fsetxattr(fd, name, l->old, n, 0) ? errno : 0;
}

static int take_labels(int fd, const struct source *s, struct dmabuf_rw_error *error)
{
	struct labels *l = malloc(sizeof(*l));
	const char *name;
	int err = 0;
	ssize_t n;

	if (!l)
		return dmabuf_rw_file_fail(error, ENOMEM, 0);
	n = list(s, l->names, sizeof(l->names));
	if (n < 0 && errno != EOPNOTSUPP)
		err = errno;
	for (name = l->names; !err && name < l->names + MAX(n, 0); name += strlen(name) + 1)
		if (is_label(name))
			err = take_label(fd, s, l, name);
	free(l);
	return err ? dmabuf_rw_file_fail(error, err, DMABUF_RW_REASON_LABEL) : 0;
}

/*
 * Copies the old file's list. Returns 0 if the new file then has the same list; else the rights
 * that group and others must lose. (In a mode with a list, the group bits are the list's mask, not
 * the group's rights.)
 */
static mode_t take_list(int fd, const struct source *s, bool removed, bool group)
{
	char acl[ACL_MAX];
	ssize_t n = get(s, ACL, acl, sizeof(acl));

	if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
		return removed ? 0 : 077;
	if (n < 0 || !group || fsetxattr(fd, ACL, acl, n, 0))
		return 077;
	return 0;
}

/*
 * If the group cannot be kept, its members count as others from now on; so others get no more than
 * the group had. Setting the mode also sets a list's mask.
 */
int dmabuf_rw_file_take_rights(int fd, const struct dmabuf_rw_target *target, mode_t *special,
			       struct dmabuf_rw_error *error)
{
	mode_t mode = target->st.stx_mode & 07777, lost, both;
	bool removed = !fremovexattr(fd, ACL) || errno == ENODATA || errno == EOPNOTSUPP;
	bool owner, group;
	struct source s;
	int ret;

	open_source(&s, target);
	/* While we still own the file. */
	ret = take_labels(fd, &s, error);
	if (ret)
		goto out;
	owner = !fchown(fd, target->st.stx_uid, target->st.stx_gid);
	group = owner || !fchown(fd, -1, target->st.stx_gid);
	if (!owner)
		mode &= ~S_ISUID;
	if (!group)
		mode &= ~S_ISGID;
	lost = take_list(fd, &s, removed, group);
	mode &= ~lost;
	if (!group && !lost) {
		both = mode >> 3 & mode & 07;
		mode = (mode & ~077) | both << 3 | both;
	}
	*special = mode & (S_ISUID | S_ISGID);
	if (fchmod(fd, mode - *special))
		ret = dmabuf_rw_file_fail(error, errno, 0);
out:
	close_source(&s);
	return ret;
}
