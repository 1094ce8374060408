// SPDX-License-Identifier: MIT
/* fake_files.c - see fake_files.h. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>

#include "fake_files.h"

#define WRITE_ZEROES	0x80

int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_ftruncate(int fd, off_t len);
ssize_t __wrap_pwrite(int fd, const void *mem, size_t len, off_t off);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_linkat(int from, const char *a, int to, const char *b, int flags);
int __wrap_fsync(int fd);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags);
int __wrap_fremovexattr(int fd, const char *name);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __real_ftruncate(int fd, off_t len);
int __real_renameat(int from, const char *a, int to, const char *b);
int __real_openat(int dir, const char *path, int flags, ...);
int __real_linkat(int from, const char *a, int to, const char *b, int flags);
int __real_fsync(int fd);
int __real_ioctl(int fd, unsigned long request, ...);
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __real_fchmod(int fd, mode_t mode);
int __real_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags);
int __real_fremovexattr(int fd, const char *name);
int __real_fstatfs(int fd, struct statfs *fs);

struct failures failing;
struct seen seen;
void (*before_rights)(int fd);
void (*before_bytes)(int fd);
char dir[32];
char path[64];

static int fail_with(int err)
{
	errno = err;
	return -1;
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
	int err = mode == WRITE_ZEROES ? failing.zeroes : failing.fallocate;

	if (err)
		return fail_with(err);
	seen.zeroed |= mode == WRITE_ZEROES;
	if (mode != WRITE_ZEROES && off + len > seen.reserved)
		seen.reserved = off + len;
	/* The file system below need not know how to write zeros. */
	return __real_fallocate(fd, mode & ~WRITE_ZEROES, off, len);
}

int __wrap_ftruncate(int fd, off_t len)
{
	return failing.truncate ? fail_with(failing.truncate) : __real_ftruncate(fd, len);
}

ssize_t __wrap_pwrite(int fd, const void *mem, size_t len, off_t off)
{
	if (before_bytes && !seen.written)
		before_bytes(fd);
	if (failing.write && off >= 4 << 20)
		return fail_with(failing.write);
	seen.written += len;
	return __real_pwrite(fd, mem, len, off);
}

int __wrap_renameat(int from, const char *a, int to, const char *b)
{
	return failing.rename ? fail_with(failing.rename) : __real_renameat(from, a, to, b);
}

int __wrap_linkat(int from, const char *a, int to, const char *b, int flags)
{
	return failing.link ? fail_with(failing.link) : __real_linkat(from, a, to, b, flags);
}

int __wrap_openat(int at, const char *name, int flags, ...)
{
	va_list ap;
	int mode, fd;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if ((flags & O_TMPFILE) == O_TMPFILE && failing.tmpfile)
		return fail_with(failing.tmpfile);
	if (flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY)
		seen.made_with = mode;
	fd = __real_openat(at, name, flags, mode);
	/* It is there, as after a signal in the middle of a network file system's work. */
	if (fd >= 0 && flags & O_CREAT && failing.mkname) {
		close(fd);
		return fail_with(failing.mkname);
	}
	return fd;
}

int __wrap_fsync(int fd)
{
	int err = failing.fsync;

	failing.fsync = 0;
	return err ? fail_with(err) : __real_fsync(fd);
}

static int fake_bind(struct dmabuf_rw_bind *bind)
{
	seen.binds++;
	seen.bind_flags = bind->flags;
	seen.written_before_bind = seen.written;
	bind->reason = failing.bind_reason;
	return failing.bind ? fail_with(failing.bind) : dup(bind->file_fd);
}

static int fake_info(int fd, struct dmabuf_rw_info *info)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	info->file_bytes = st.st_size;
	info->flags = failing.clone ? DMABUF_RW_INFO_NO_BLOCKS : 0;
	return 0;
}

/* All of the file has been written. */
static int fake_fiemap(struct fiemap *map)
{
	map->fm_mapped_extents = 1;
	map->fm_extents[0] = (struct fiemap_extent){ .fe_length = INT64_MAX };
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == DMABUF_RW_IOC_BIND)
		return fake_bind(arg);
	if (request == DMABUF_RW_IOC_INFO)
		return fake_info(fd, arg);
	if (request == FS_IOC_FIEMAP)
		return fake_fiemap(arg);
	return __real_ioctl(fd, request, arg);
}

int __wrap_fstatfs(int fd, struct statfs *fs)
{
	if (!failing.clone)
		return __real_fstatfs(fd, fs);
	*fs = (struct statfs){ .f_bsize = 4096, .f_type = XFS_SUPER_MAGIC };
	return 0;
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
	if (before_rights)
		before_rights(fd);
	if (uid == (uid_t)-1 ? failing.chgrp : failing.chown)
		return fail_with(EPERM);
	return __real_fchown(fd, uid, gid);
}

int __wrap_fchmod(int fd, mode_t mode)
{
	return failing.chmod ? fail_with(failing.chmod) : __real_fchmod(fd, mode);
}

int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	int err = strncmp(name, "security.", 9) ? failing.setlist : failing.setlabel;

	if (before_rights)
		before_rights(fd);
	return err ? fail_with(err) : __real_fsetxattr(fd, name, value, len, flags);
}

int __wrap_fremovexattr(int fd, const char *name)
{
	return failing.removexattr ? fail_with(failing.removexattr) :
				     __real_fremovexattr(fd, name);
}

int files_setup(void **state)
{
	(void)state;
	failing = (struct failures){ .zeroes = EOPNOTSUPP };
	seen = (struct seen){ 0 };
	before_rights = before_bytes = NULL;
	strcpy(dir, "/tmp/lib_file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/target", dir);
	umask(022);
	return 0;
}

int files_teardown(void **state)
{
	(void)state;
	unlink(path);
	/* Fails if a test left a file behind. */
	return rmdir(dir);
}

unsigned int nr_names(void)
{
	struct dirent *entry;
	DIR *d = opendir(dir);
	unsigned int n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(d);
	return n;
}

struct dmabuf_rw_file *create(uint64_t bytes)
{
	struct dmabuf_rw_file *file;

	assert_int_equal(dmabuf_rw_file_create(path, bytes, NULL, &file), 0);
	return file;
}

uint32_t refused(const char *name, int err)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file = (void *)1;

	assert_int_equal(dmabuf_rw_file_create(name, 3, &opts, &file), -err);
	assert_ptr_equal(file, (void *)1);
	assert_int_equal(error.err, err);
	assert_int_equal(error.call, DMABUF_RW_CALL_FILE);
	assert_int_equal(seen.written, 0);
	return error.reason;
}

void put_old(const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(__real_fchmod(fd, mode), 0);
	close(fd);
}

void expect_old(const char *text)
{
	char got[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

mode_t mode_after_replacing(void)
{
	struct dmabuf_rw_file *file = create(3);
	struct stat st;

	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	dmabuf_rw_file_close(file);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

void in_child(int (*fn)(void))
{
	int ends[2], line = -1, status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		line = fn();
		_exit(write(ends[1], &line, sizeof(line)) != sizeof(line));
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &line, sizeof(line)), sizeof(line));
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	if (line == CANNOT)
		skip();
	if (line)
		fail_msg("line %d in the child", line);
}
