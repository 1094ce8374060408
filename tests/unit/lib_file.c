// SPDX-License-Identifier: MIT
/* lib_file.c - new files: contents, size, names, and what is left after a failure. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "unit.h"

#define WRITE_ZEROES 0x80

int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_ftruncate(int fd, off_t len);
ssize_t __wrap_pwrite(int fd, const void *mem, size_t len, off_t off);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags);
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __real_fchmod(int fd, mode_t mode);
int __real_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags);
int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __real_ftruncate(int fd, off_t len);
ssize_t __real_pwrite(int fd, const void *mem, size_t len, off_t off);
int __real_renameat(int from, const char *a, int to, const char *b);
int __real_openat(int dir, const char *path, int flags, ...);

static char dir[] = "/tmp/lib_file-XXXXXX";
static char path[64];
/* Set by a test: what fails, and what was seen. */
static int zeroes_errno, fallocate_errno, truncate_errno, write_errno, rename_errno;
static int tmpfile_errno, chmod_errno, setxattr_errno;
static bool may_chown = true, may_chgrp = true;
static int made_with;		/* the mode that a file was made with */
static unsigned int truncate_tries;	/* that fail; then none does */
static int64_t written;
static bool zeroed;

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
	int err = mode == WRITE_ZEROES ? zeroes_errno : fallocate_errno;

	if (err) {
		errno = err;
		return -1;
	}
	zeroed |= mode == WRITE_ZEROES;
	/* The file system below need not know how to write zeros. */
	return __real_fallocate(fd, 0, off, len);
}

int __wrap_ftruncate(int fd, off_t len)
{
	if (truncate_errno && truncate_tries) {
		truncate_tries--;
		errno = truncate_errno;
		return -1;
	}
	return __real_ftruncate(fd, len);
}

ssize_t __wrap_pwrite(int fd, const void *mem, size_t len, off_t off)
{
	if (write_errno && off >= 4 << 20) {
		errno = write_errno;
		return -1;
	}
	written += len;
	return __real_pwrite(fd, mem, len, off);
}

int __wrap_renameat(int from, const char *a, int to, const char *b)
{
	errno = rename_errno;
	return rename_errno ? -1 : __real_renameat(from, a, to, b);
}

int __wrap_openat(int at, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if ((flags & O_TMPFILE) == O_TMPFILE && tmpfile_errno) {
		errno = tmpfile_errno;
		return -1;
	}
	if (flags & O_CREAT)
		made_with = mode;
	return __real_openat(at, name, flags, mode);
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
	if (uid == (uid_t)-1 ? may_chgrp : may_chown)
		return __real_fchown(fd, uid, gid);
	errno = EPERM;
	return -1;
}

int __wrap_fchmod(int fd, mode_t mode)
{
	errno = chmod_errno;
	return chmod_errno ? -1 : __real_fchmod(fd, mode);
}

int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	errno = setxattr_errno;
	return setxattr_errno ? -1 : __real_fsetxattr(fd, name, value, len, flags);
}

static unsigned int nr_names(void)
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

static int setup(void **state)
{
	(void)state;
	zeroes_errno = EOPNOTSUPP;
	fallocate_errno = truncate_errno = write_errno = rename_errno = tmpfile_errno = 0;
	chmod_errno = setxattr_errno = 0;
	may_chown = may_chgrp = true;
	truncate_tries = UINT_MAX;
	written = 0;
	zeroed = false;
	strcpy(dir, "/tmp/lib_file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/target", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	/* Fails if a test left a file behind. */
	return rmdir(dir);
}

static struct dmabuf_rw_file *create(uint64_t bytes)
{
	struct dmabuf_rw_file *file;

	assert_int_equal(dmabuf_rw_file_create(path, bytes, NULL, &file), 0);
	return file;
}

static void put_old(const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_old(const char *text)
{
	char got[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

static void a_new_file_has_its_exact_size_in_zeros_that_were_written(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4096, 4097, 10000001 };
	static char got[10002432];
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++) {
		struct dmabuf_rw_file *file;
		struct stat st;

		written = 0;
		file = create(sizes[i]);
		assert_int_equal(fstat(dmabuf_rw_file_fd(file), &st), 0);
		/* Whole blocks, until it has its name. */
		assert_int_equal(st.st_size, (sizes[i] + 4095) / 4096 * 4096);
		assert_int_equal(written, st.st_size);
		assert_int_equal(pread(dmabuf_rw_file_fd(file), got, sizeof(got), 0),
				 st.st_size);
		for (j = 0; j < sizes[i]; j++)
			assert_int_equal(got[j], 0);
		assert_int_equal(nr_names(), 0);
		assert_int_equal(dmabuf_rw_file_commit(file), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
		dmabuf_rw_file_close(file);
		assert_int_equal(unlink(path), 0);
	}
}

static void where_the_kernel_writes_zeros_the_library_does_not(void **state)
{
	struct dmabuf_rw_file *file;
	struct stat st;

	(void)state;
	zeroes_errno = 0;
	file = create(10001);
	assert_true(zeroed);
	assert_int_equal(written, 0);
	assert_int_equal(fstat(dmabuf_rw_file_fd(file), &st), 0);
	assert_int_equal(st.st_size, 12288);
	dmabuf_rw_file_close(file);
}

static void committing_replaces_the_old_file_in_one_step(void **state)
{
	struct dmabuf_rw_file *file;
	struct stat st;

	(void)state;
	put_old("old", 0640);
	file = create(3);
	assert_int_equal(__real_pwrite(dmabuf_rw_file_fd(file), "new", 3, 0), 3);
	expect_old("old");
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	expect_old("new");
	assert_int_equal(nr_names(), 1);
	assert_int_equal(dmabuf_rw_file_commit(file), -EINVAL);
	dmabuf_rw_file_close(file);
	expect_old("new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_file_that_is_not_committed_leaves_what_was_there(void **state)
{
	(void)state;
	put_old("old", 0600);
	dmabuf_rw_file_close(create(10000));
	expect_old("old");
	assert_int_equal(nr_names(), 1);
	unlink(path);
	dmabuf_rw_file_close(create(10000));
	assert_int_equal(nr_names(), 0);
	dmabuf_rw_file_close(NULL);
}

static void a_file_system_without_nameless_files_is_served(void **state)
{
	struct dmabuf_rw_file *file;

	(void)state;
	tmpfile_errno = EOPNOTSUPP;
	file = create(3);
	assert_int_equal(nr_names(), 1);
	assert_int_equal(access(path, F_OK), -1);
	dmabuf_rw_file_close(file);
	assert_int_equal(nr_names(), 0);
	file = create(3);
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	assert_int_equal(nr_names(), 1);
	assert_int_equal(access(path, F_OK), 0);
	dmabuf_rw_file_close(file);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_bound_file_is_not_committed_and_can_be_later(void **state)
{
	struct dmabuf_rw_file *file = create(3);

	(void)state;
	truncate_errno = ETXTBSY;
	assert_int_equal(dmabuf_rw_file_commit(file), -ETXTBSY);
	assert_int_equal(nr_names(), 0);
	truncate_errno = 0;
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	assert_int_equal(access(path, F_OK), 0);
	dmabuf_rw_file_close(file);
}

static void a_binding_that_goes_late_is_waited_for(void **state)
{
	struct dmabuf_rw_file *file = create(3);

	(void)state;
	truncate_errno = ETXTBSY;
	truncate_tries = 3;
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	assert_int_equal(truncate_tries, 0);
	dmabuf_rw_file_close(file);
}

static int after_two(void *arg)
{
	return ++*(int *)arg > 2;
}

static void the_writing_of_zeros_can_be_interrupted(void **state)
{
	int asked = 0;
	struct dmabuf_rw_file_opts opts = {
		.size = sizeof(opts), .interrupted = after_two, .arg = &asked,
	};
	struct dmabuf_rw_file *file;

	(void)state;
	put_old("old", 0600);
	tmpfile_errno = EOPNOTSUPP;
	assert_int_equal(dmabuf_rw_file_create(path, 64 << 20, &opts, &file), -EINTR);
	assert_int_equal(asked, 3);
	assert_true(written > 0 && written < 64 << 20);
	assert_int_equal(nr_names(), 1);
	expect_old("old");
	/* Callers that were built before it existed are not asked. */
	opts.size = offsetof(struct dmabuf_rw_file_opts, interrupted);
	assert_int_equal(dmabuf_rw_file_create(path, 64 << 20, &opts, &file), 0);
	assert_int_equal(asked, 3);
	dmabuf_rw_file_close(file);
}

static void a_failed_renaming_leaves_no_trace(void **state)
{
	struct dmabuf_rw_file *file;

	(void)state;
	put_old("old", 0600);
	file = create(3);
	rename_errno = EPERM;
	assert_int_equal(dmabuf_rw_file_commit(file), -EPERM);
	expect_old("old");
	dmabuf_rw_file_close(file);
	expect_old("old");
	assert_int_equal(nr_names(), 1);
}

static void a_failure_says_why_and_leaves_nothing(void **state)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file = (void *)1;

	(void)state;
	fallocate_errno = ENOSPC;
	assert_int_equal(dmabuf_rw_file_create(path, 5 << 20, &opts, &file), -ENOSPC);
	assert_int_equal(error.err, ENOSPC);
	assert_int_equal(error.call, DMABUF_RW_CALL_FILE);
	fallocate_errno = EOPNOTSUPP;
	write_errno = EIO;
	assert_int_equal(dmabuf_rw_file_create(path, 5 << 20, &opts, &file), -EIO);
	zeroes_errno = EINTR;
	assert_int_equal(dmabuf_rw_file_create(path, 5 << 20, &opts, &file), -EINTR);
	assert_int_equal(dmabuf_rw_file_create("/nowhere/file", 1, &opts, &file), -ENOENT);
	assert_int_equal(dmabuf_rw_file_create("/tmp/", 1, &opts, &file), -EISDIR);
	assert_int_equal(dmabuf_rw_file_create("/tmp", 1, &opts, &file), -EEXIST);
	assert_int_equal(dmabuf_rw_file_create("/dev/null", 1, &opts, &file), -EEXIST);
	assert_int_equal(dmabuf_rw_file_create(path, INT64_MAX, &opts, &file), -EFBIG);
	opts.mode = 0100644;
	assert_int_equal(dmabuf_rw_file_create(path, 1, &opts, &file), -EINVAL);
	assert_ptr_equal(file, (void *)1);
	assert_int_equal(nr_names(), 0);
}

static void permissions_are_those_asked_for(void **state)
{
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .mode = 0751 };
	struct dmabuf_rw_file *file;
	mode_t mask = umask(022);
	struct stat st;

	(void)state;
	assert_int_equal(dmabuf_rw_file_create(path, 1, &opts, &file), 0);
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	dmabuf_rw_file_close(file);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	umask(mask);
}

static mode_t mode_after_replacing(void)
{
	struct dmabuf_rw_file *file = create(3);
	struct stat st;

	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	dmabuf_rw_file_close(file);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void who_replaces_a_file_gives_nobody_more_than_they_had(void **state)
{
	struct dmabuf_rw_file *file;

	(void)state;
	put_old("old", 06775);
	assert_int_equal(mode_after_replacing(), 06775);
	/* The group is kept: only what was the owner's goes. */
	put_old("old", 06764);
	may_chown = false;
	assert_int_equal(mode_after_replacing(), 02764);
	/* It is not: it would be another one's. */
	put_old("old", 06764);
	may_chgrp = false;
	assert_int_equal(mode_after_replacing(), 0744);
	put_old("old", 0660);
	assert_int_equal(mode_after_replacing(), 0600);
	/* Who was in the group is one of the others now. */
	put_old("old", 0604);
	assert_int_equal(mode_after_replacing(), 0600);
	/* A temporary name is there for all to see from the first moment. */
	tmpfile_errno = EOPNOTSUPP;
	put_old("old", 0600);
	assert_int_equal(mode_after_replacing(), 0600);
	assert_int_equal(made_with, 0600);
	chmod_errno = EPERM;
	assert_int_equal(dmabuf_rw_file_create(path, 1, NULL, &file), -EPERM);
	assert_int_equal(nr_names(), 1);
}

static void a_file_in_a_links_place_has_the_rights_of_what_it_led_to(void **state)
{
	char target[96];
	struct stat st;

	(void)state;
	put_old("old", 0640);
	snprintf(target, sizeof(target), "%s.linked", path);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(mode_after_replacing(), 0640);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(unlink(target), 0);
	/* It led nowhere. */
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
	umask(022);
	assert_int_equal(mode_after_replacing(), 0644);
}

/* user::rw-, user:1:rw-, group::---, mask::rw-, other::---: fchmod() of 0660 gives no group it. */
static void an_access_control_list_is_kept_or_its_members_lose_theirs(void **state)
{
	static const struct {
		uint32_t version;
		struct { uint16_t tag, perm; uint32_t id; } entries[5];
	} acl = { 2, { { 0x01, 6, -1 }, { 0x02, 6, 1 }, { 0x04, 0, -1 }, { 0x10, 6, -1 },
		       { 0x20, 0, -1 } } };
	char got[sizeof(acl)];

	(void)state;
	put_old("old", 0600);
	if (setxattr(path, "system.posix_acl_access", &acl, sizeof(acl), 0)) {
		assert_int_equal(errno, EOPNOTSUPP);
		skip();
	}
	assert_int_equal(mode_after_replacing(), 0660);
	assert_int_equal(getxattr(path, "system.posix_acl_access", got, sizeof(got)), sizeof(acl));
	assert_memory_equal(got, &acl, sizeof(acl));
	setxattr_errno = EPERM;
	assert_int_equal(mode_after_replacing(), 0600);
	assert_int_equal(getxattr(path, "system.posix_acl_access", got, sizeof(got)), -1);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		FILE_TEST(a_new_file_has_its_exact_size_in_zeros_that_were_written),
		FILE_TEST(where_the_kernel_writes_zeros_the_library_does_not),
		FILE_TEST(committing_replaces_the_old_file_in_one_step),
		FILE_TEST(a_file_that_is_not_committed_leaves_what_was_there),
		FILE_TEST(a_file_system_without_nameless_files_is_served),
		FILE_TEST(a_bound_file_is_not_committed_and_can_be_later),
		FILE_TEST(a_binding_that_goes_late_is_waited_for),
		FILE_TEST(the_writing_of_zeros_can_be_interrupted),
		FILE_TEST(a_failed_renaming_leaves_no_trace),
		FILE_TEST(a_failure_says_why_and_leaves_nothing),
		FILE_TEST(permissions_are_those_asked_for),
		FILE_TEST(who_replaces_a_file_gives_nobody_more_than_they_had),
		FILE_TEST(a_file_in_a_links_place_has_the_rights_of_what_it_led_to),
		FILE_TEST(an_access_control_list_is_kept_or_its_members_lose_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
