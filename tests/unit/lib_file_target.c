// SPDX-License-Identifier: MIT
/*
 * lib_file_target.c - where the path of a new file leads, and what is refused before anything
 * is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/fs.h>

#include "fake_files.h"

static char at[96];		/* a path in @dir */

static const char *in_dir(const char *name)
{
	snprintf(at, sizeof(at), "%s/%s", dir, name);
	return at;
}

/* A remedy that helps is part of what a reason is for. */
static const char *remedy(int err, uint32_t reason)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_FILE, .err = err,
					 .reason = reason };

	return dmabuf_rw_error_remedy(&error);
}

/* ---- links --------------------------------------------------------------------------- */

static void a_link_is_followed_and_stays(void **state)
{
	static const char *const ways[] = { "there/file", "./there/../there/file", "again" };
	char to[PATH_MAX];
	struct stat st;
	size_t i;

	(void)state;
	assert_int_equal(mkdir(in_dir("there"), 0755), 0);
	assert_int_equal(symlink("there/file", in_dir("again")), 0);
	for (i = 0; i < 2 * COUNT(ways); i++) {
		put_old("old", 0640);
		snprintf(to, sizeof(to), "%s", in_dir("there/file"));
		assert_int_equal(rename(path, to), 0);
		if (i & 1)
			snprintf(to, sizeof(to), "%s/%s", dir, ways[i / 2]);
		else
			snprintf(to, sizeof(to), "%s", ways[i / 2]);
		assert_int_equal(symlink(to, path), 0);
		assert_int_equal(mode_after_replacing(), 0640);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISLNK(st.st_mode));
		assert_int_equal(lstat(in_dir("there/file"), &st), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(st.st_size, 3);
		/* The link, the other link and the directory, which has one name. */
		assert_int_equal(nr_names(), 3);
		assert_int_equal(unlink(in_dir("there/file")), 0);
		unlink(path);
	}
	unlink(in_dir("again"));
	assert_int_equal(rmdir(in_dir("there")), 0);
}

static void a_link_to_nothing_is_refused(void **state)
{
	static const char *const nothing[] = { "nothing", "no/thing", "/nothing" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(nothing); i++) {
		assert_int_equal(symlink(nothing[i], path), 0);
		assert_int_equal(refused(path, ENOENT), DMABUF_RW_REASON_DANGLING_LINK);
		assert_int_equal(nr_names(), 1);
		unlink(path);
	}
	/* That a directory is missing is no matter of links. */
	assert_int_equal(refused(in_dir("no/thing"), ENOENT), 0);
}

static void forty_links_are_followed(void **state)
{
	char from[96], to[16];
	int i;

	(void)state;
	put_old("old", 0600);
	for (i = 0; i <= 40; i++) {
		snprintf(from, sizeof(from), "%s/%d", dir, i);
		snprintf(to, sizeof(to), i ? "%d" : "target", i - 1);
		assert_int_equal(symlink(to, from), 0);
	}
	strcpy(from, path);
	snprintf(path, sizeof(path), "%s/39", dir);
	assert_int_equal(mode_after_replacing(), 0600);
	strcpy(path, from);
	seen.written = 0;
	assert_int_equal(refused(in_dir("40"), ELOOP), 0);
	for (i = 0; i <= 40; i++) {
		snprintf(from, sizeof(from), "%s/%d", dir, i);
		unlink(from);
	}
	unlink(path);
	assert_int_equal(symlink(path, path), 0);
	assert_int_equal(refused(path, ELOOP), 0);
}

static void what_leads_to_a_descriptor_is_refused(void **state)
{
	char name[64];
	int fd = open(dir, O_TMPFILE | O_RDWR, 0600);

	(void)state;
	assert_true(fd >= 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	assert_int_equal(refused(name, EEXIST), DMABUF_RW_REASON_DESCRIPTOR);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	assert_int_equal(refused(name, EEXIST), DMABUF_RW_REASON_DESCRIPTOR);
	assert_int_equal(refused("/dev/stdout", EEXIST), DMABUF_RW_REASON_DESCRIPTOR);
	assert_int_equal(symlink("/dev/stdout", path), 0);
	assert_int_equal(refused(path, EEXIST), DMABUF_RW_REASON_DESCRIPTOR);
	assert_non_null(strstr(remedy(EEXIST, DMABUF_RW_REASON_DESCRIPTOR), "--in-place"));
	close(fd);
	/* A directory may be named like that. */
	unlink(path);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	strcpy(name, path);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/target", fd);
	assert_int_equal(mode_after_replacing(), 0644);
	strcpy(path, name);
	close(fd);
}

static int follow_anothers_link(void)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;
	char link[96];

	snprintf(link, sizeof(link), "%s/link", dir);
	WANT(!chmod(dir, 01777) && !symlink("target", link) && !lchown(link, 1000, 1000));
	WANT(dmabuf_rw_file_create(link, 3, &opts, &file) == -EACCES);
	WANT(error.reason == DMABUF_RW_REASON_UNTRUSTED_LINK);
	/* Its own maker, everybody where not everyone can put one, and the directory's owner's. */
	WANT(!chmod(dir, 0777));
	WANT(!dmabuf_rw_file_create(link, 3, &opts, &file));
	dmabuf_rw_file_close(file);
	WANT(!chmod(dir, 01777) && !chown(dir, 1000, 1000));
	WANT(!dmabuf_rw_file_create(link, 3, &opts, &file));
	dmabuf_rw_file_close(file);
	WANT(!chown(dir, 0, 0) && !chown(path, 1000, 1000) && !setresuid(1000, 1000, 1000));
	WANT(!dmabuf_rw_file_create(link, 3, &opts, &file));
	dmabuf_rw_file_close(file);
	return 0;
}

static void anothers_link_in_a_directory_of_everybodys_is_not_followed(void **state)
{
	(void)state;
	put_old("old", 0600);
	in_child(follow_anothers_link);
	expect_old("old");
	assert_int_equal(unlink(in_dir("link")), 0);
}

/* ---- what is there -------------------------------------------------------------------- */

/* Opening the pipe would wait for a writer, and a device may do anything. */
static void what_is_not_a_regular_file_is_refused_without_being_opened(void **state)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(refused(dir, EISDIR), 0);
	assert_int_equal(refused("/tmp/", EISDIR), 0);
	assert_int_equal(refused("/dev/null", EEXIST), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(refused(path, EEXIST), 0);
	unlink(path);
	strcpy(name.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(refused(path, EEXIST), 0);
	close(fd);
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(refused(path, EEXIST), 0);
	assert_int_equal(nr_names(), 1);
}

static void names_that_are_too_long_are_refused(void **state)
{
	char name[PATH_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[NAME_MAX + 1] = 0;
	assert_int_equal(refused(name, ENAMETOOLONG), 0);
	name[NAME_MAX + 1] = '/';
	name[sizeof(name) - 1] = 0;
	assert_int_equal(refused(name, ENAMETOOLONG), 0);
}

/* ---- what could not be renamed at the end ------------------------------------------------ */

static int store_onto_a_mount_point(void)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;

	if (unshare(CLONE_NEWNS) || mount(path, path, NULL, MS_BIND, NULL))
		return CANNOT;
	WANT(dmabuf_rw_file_create(path, 3, &opts, &file) == -EBUSY);
	WANT(error.reason == DMABUF_RW_REASON_MOUNT_POINT);
	return 0;
}

static void a_mount_point_is_refused_at_the_beginning(void **state)
{
	(void)state;
	put_old("old", 0600);
	in_child(store_onto_a_mount_point);
	expect_old("old");
	assert_non_null(strstr(remedy(EBUSY, DMABUF_RW_REASON_MOUNT_POINT), "--in-place"));
}

/* -1: the file system does not know it. */
static int set_attribute(const char *name, int flag)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC), flags, ret;

	assert_true(fd >= 0);
	ret = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags = (flags & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)) | flag;
	if (!ret)
		ret = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	close(fd);
	return ret;
}

static void an_immutable_or_append_only_file_is_refused_at_the_beginning(void **state)
{
	static const int attributes[] = { FS_IMMUTABLE_FL, FS_APPEND_FL };
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < 2 * COUNT(attributes); i++) {
		const char *name = i & 1 ? dir : path;

		put_old("old", 0600);
		if (set_attribute(name, attributes[i / 2])) {
			assert_true(errno == EOPNOTSUPP || errno == ENOTTY || errno == EPERM);
			skip();
		}
		ret = dmabuf_rw_file_create(path, 3, &opts, &file);
		assert_int_equal(set_attribute(name, 0), 0);
		assert_int_equal(ret, -EPERM);
		assert_int_equal(error.reason, i & 1 ? DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE :
						       DMABUF_RW_REASON_FILE_ATTRIBUTE);
		assert_non_null(strstr(remedy(EPERM, error.reason), "chattr"));
		assert_int_equal(nr_names(), 1);
		assert_int_equal(seen.written, 0);
	}
}

static int store_onto_anothers_file(void)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;

	/* With all capabilities it is allowed. */
	WANT(!chmod(dir, 01777) && !chown(path, 1000, 1000) && !chown(dir, 1001, 1001));
	WANT(!dmabuf_rw_file_create(path, 3, &opts, &file));
	dmabuf_rw_file_close(file);
	WANT(!setresuid(1002, 1002, 1002));
	WANT(dmabuf_rw_file_create(path, 3, &opts, &file) == -EPERM);
	WANT(error.reason == DMABUF_RW_REASON_STICKY);
	WANT(nr_names() == 1);
	return 0;
}

static int store_onto_the_own_file(void)
{
	struct dmabuf_rw_file *file;

	WANT(!setresuid(1000, 1000, 1000));
	WANT(!dmabuf_rw_file_create(path, 3, NULL, &file));
	WANT(!dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	return 0;
}

static void anothers_file_in_a_sticky_directory_is_refused_at_the_beginning(void **state)
{
	(void)state;
	put_old("old", 0666);
	in_child(store_onto_anothers_file);
	expect_old("old");
	assert_non_null(strstr(remedy(EPERM, DMABUF_RW_REASON_STICKY), "--in-place"));
	in_child(store_onto_the_own_file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		FILE_TEST(a_link_is_followed_and_stays),
		FILE_TEST(a_link_to_nothing_is_refused),
		FILE_TEST(forty_links_are_followed),
		FILE_TEST(what_leads_to_a_descriptor_is_refused),
		FILE_TEST(anothers_link_in_a_directory_of_everybodys_is_not_followed),
		FILE_TEST(what_is_not_a_regular_file_is_refused_without_being_opened),
		FILE_TEST(names_that_are_too_long_are_refused),
		FILE_TEST(a_mount_point_is_refused_at_the_beginning),
		FILE_TEST(an_immutable_or_append_only_file_is_refused_at_the_beginning),
		FILE_TEST(anothers_file_in_a_sticky_directory_is_refused_at_the_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
