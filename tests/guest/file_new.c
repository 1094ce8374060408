// SPDX-License-Identifier: GPL-2.0
/*
 * file_new.c - new files of the library on the file systems that they are for: whether they
 * get zeros, what they take over from the file that they replace, what is refused, and how
 * they get their names.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv512p2"
#define FS_BYTES	(48 * MiB)
#define BYTES		(3 * MiB + 777)
#define WHOLE		ROUND_UP(BYTES, 4096)
#define ACCESS_LIST	"system.posix_acl_access"
#define DEFAULT_LIST	"system.posix_acl_default"
#define USER		1000

static struct fs fs;
static struct buf buf;
static struct dmabuf_rw_device *device;
static char target[64];

static void open_all(const char *kind, const char *mount)
{
	fs_make(&fs, kind, ROLE, FS_BYTES, "", mount);
	buf_create(&buf, &exporter_udmabuf, ROUND_UP(BYTES, MiB));
	OK(dmabuf_rw_device_open(NULL, &device));
	snprintf(target, sizeof(target), "%s", fs_path(&fs, "target"));
}

static void finish(void)
{
	dmabuf_rw_device_close(device);
	buf_destroy(&buf);
	fs_finish(&fs);
}

/* Names in the file system's root, but for lost+found. */
static unsigned int nr_names(void)
{
	DIR *dir = opendir(fs.dir);
	struct dirent *entry;
	unsigned int n = 0;

	CHECK(dir);
	while ((entry = readdir(dir)))
		n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
			strcmp(entry->d_name, "lost+found");
	closedir(dir);
	return n;
}

/* ---- for a buffer --------------------------------------------------------------------- */

static struct dmabuf_rw_file *make_for_buffer(struct dmabuf_rw_device *d, u32 reason)
{
	struct dmabuf_rw_error error, why;
	struct dmabuf_rw_file_opts opts = {
		.size = sizeof(opts), .error = &error, .device = d, .dmabuf_fd = buf.fd,
		.flags = DMABUF_RW_FILE_FOR_BUFFER,
	};
	struct dmabuf_rw_file *file;

	OK(dmabuf_rw_file_create(target, BYTES, &opts, &file));
	CHECK_EQ(dmabuf_rw_file_refusal(file, &why), reason != 0);
	CHECK_EQ(why.reason, reason);
	CHECK_EQ(file_bytes(dmabuf_rw_file_fd(file)), BYTES);
	return file;
}

/* Writes the buffer to it, and makes it the target. */
static void store(struct dmabuf_rw_file *file, struct dmabuf_rw_device *d, u32 path, u64 tag)
{
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .allow_bounce = 1 };
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	struct dmabuf_rw_binding *binding;
	int fd;

	buf_fill(&buf, 0, BYTES, tag, 0);
	OK(dmabuf_rw_binding_create(d, buf.fd, dmabuf_rw_file_fd(file), &opts, &binding));
	CHECK_EQ(dmabuf_rw_write(binding, 0, 0, BYTES, 0, &result), BYTES);
	CHECK_EQ(result.path, path);
	dmabuf_rw_binding_destroy(binding);
	OK(dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	fd = SYS(open(target, O_RDONLY | O_CLOEXEC));
	CHECK_EQ(file_bytes(fd), BYTES);
	file_check(fd, 0, BYTES, tag);
	close(fd);
	CHECK_EQ(nr_names(), 1);
}

static void zeros_are_written_if_the_pair_goes_direct(const void *kind)
{
	struct dmabuf_rw_file *file;

	open_all(kind, "");
	file = make_for_buffer(device, 0);
	CHECK_EQ(file_written(dmabuf_rw_file_fd(file), 0, WHOLE), WHOLE);
	CHECK_EQ(file_extents(dmabuf_rw_file_fd(file)), 1);
	store(file, device, DMABUF_RW_PATH_MODULE, 1);
	finish();
}

static void no_zeros_are_written_without_a_device(const void *kind)
{
	struct dmabuf_rw_file *file;
	struct file_extent e;
	int fd;

	open_all(kind, "");
	file = make_for_buffer(NULL, DMABUF_RW_REASON_NO_DEVICE);
	fd = dmabuf_rw_file_fd(file);
	/* The space is there. */
	for (u64 pos = 0; pos < WHOLE; pos = e.pos + e.len)
		CHECK(file_extent(fd, pos, &e) && e.pos <= pos && e.unwritten, "at %llu",
		      (unsigned long long)pos);
	store(file, NULL, DMABUF_RW_PATH_BOUNCED, 2);
	finish();
}

/* Its data goes through the journal. */
static void no_zeros_are_written_where_the_file_is_refused(const void *arg)
{
	struct dmabuf_rw_file *file;

	open_all("ext4", "data=journal");
	file = make_for_buffer(device, DMABUF_RW_REASON_NO_DIRECT);
	CHECK_EQ(file_written(dmabuf_rw_file_fd(file), 0, WHOLE), 4096);
	store(file, device, DMABUF_RW_PATH_BOUNCED, 3);
	finish();
}

/* ---- rights --------------------------------------------------------------------------- */

struct list {
	u32 version;
	struct { u16 tag, perm; u32 id; } entries[5];
};

static const struct list own_list = { 2, {
	{ 0x01, 6, -1 }, { 0x02, 4, 7 }, { 0x04, 0, -1 }, { 0x10, 4, -1 }, { 0x20, 0, -1 } } };
static const struct list default_list = { 2, {
	{ 0x01, 7, -1 }, { 0x02, 7, 8 }, { 0x04, 7, -1 }, { 0x10, 7, -1 }, { 0x20, 7, -1 } } };

static void replace_and_check_rights(mode_t mode, bool list)
{
	struct dmabuf_rw_file *file;
	char got[sizeof(own_list)];
	struct stat st;

	OK(dmabuf_rw_file_create(target, BYTES, NULL, &file));
	OK(dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	SYS(stat(target, &st));
	CHECK_EQ(st.st_mode & 07777, mode);
	CHECK_EQ(st.st_uid, USER);
	CHECK_EQ(st.st_gid, USER + 1);
	if (!list) {
		FAILS(getxattr(target, ACCESS_LIST, got, sizeof(got)) < 0 ? -errno : 0, ENODATA);
		return;
	}
	CHECK_EQ(getxattr(target, ACCESS_LIST, got, sizeof(got)), sizeof(own_list));
	CHECK(!memcmp(got, &own_list, sizeof(own_list)));
}

static void rights_are_the_old_files_and_not_the_directorys(const void *kind)
{
	char got[8];

	open_all(kind, "");
	close(file_make(&fs, "target", 5000, 1));
	SYS(chown(target, USER, USER + 1));
	SYS(chmod(target, 02664));
	SYS(setxattr(fs.dir, DEFAULT_LIST, &default_list, sizeof(default_list), 0));
	replace_and_check_rights(02664, false);
	SYS(setxattr(target, ACCESS_LIST, &own_list, sizeof(own_list), 0));
	SYS(chmod(target, 0640));
	SYS(setxattr(target, "security.test", "label", 5, 0));
	SYS(setxattr(target, "user.test", "sum", 3, 0));
	replace_and_check_rights(0640, true);
	CHECK_EQ(getxattr(target, "security.test", got, sizeof(got)), 5);
	CHECK(!memcmp(got, "label", 5));
	CHECK(getxattr(target, "user.test", got, sizeof(got)) < 0);
	finish();
}

/* ---- refused at the beginning ------------------------------------------------------------ */

static void refused(int err, u32 reason)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;

	FAILS(dmabuf_rw_file_create(target, BYTES, &opts, &file), err);
	CHECK_EQ(error.reason, reason);
	CHECK_EQ(nr_names(), 1);
}

static void refused_with_attribute(const char *name, int flag, u32 reason)
{
	int fd = SYS(open(name, O_RDONLY | O_CLOEXEC)), flags, with;

	SYS(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	with = flags | flag;
	SYS(ioctl(fd, FS_IOC_SETFLAGS, &with));
	refused(EPERM, reason);
	SYS(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	close(fd);
}

static void what_cannot_be_replaced_is_refused_at_the_beginning(const void *kind)
{
	open_all(kind, "");
	close(file_make(&fs, "target", 5000, 1));
	refused_with_attribute(target, FS_IMMUTABLE_FL, DMABUF_RW_REASON_FILE_ATTRIBUTE);
	refused_with_attribute(target, FS_APPEND_FL, DMABUF_RW_REASON_FILE_ATTRIBUTE);
	refused_with_attribute(fs.dir, FS_APPEND_FL, DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE);
	SYS(mount(target, target, NULL, MS_BIND, NULL));
	refused(EBUSY, DMABUF_RW_REASON_MOUNT_POINT);
	SYS(umount(target));
	finish();
}

/* ---- names ---------------------------------------------------------------------------- */

static void set_flags(int fd, int flags)
{
	SYS(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static void a_commit_that_failed_can_be_tried_again(const void *kind)
{
	struct dmabuf_rw_file *file;
	int fd, flags;

	open_all(kind, "");
	fd = file_make(&fs, "target", MiB, 1);
	OK(dmabuf_rw_file_create(target, BYTES, NULL, &file));
	file_fill(dmabuf_rw_file_fd(file), 0, BYTES, 2);
	SYS(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	set_flags(fd, flags | FS_IMMUTABLE_FL);
	FAILS(dmabuf_rw_file_commit(file), EPERM);
	FAILS(dmabuf_rw_file_commit(file), EPERM);
	file_check(fd, 0, MiB, 1);
	set_flags(fd, flags);
	close(fd);
	OK(dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	CHECK_EQ(nr_names(), 1);
	fd = fs_open(&fs, "target", O_RDONLY);
	CHECK_EQ(file_bytes(fd), BYTES);
	file_check(fd, 0, BYTES, 2);
	close(fd);
	finish();
}

/* Old and new one; and each binding goes on with its own. */
static void bound_files_are_committed_and_replaced(const void *kind)
{
	struct dmabuf_rw_binding *old, *new;
	struct dmabuf_rw_file *file;
	int fd;

	open_all(kind, "");
	fd = file_make(&fs, "target", MiB, 1);
	OK(dmabuf_rw_file_create(target, BYTES, NULL, &file));
	OK(dmabuf_rw_binding_create(device, buf.fd, fd, NULL, &old));
	OK(dmabuf_rw_binding_create(device, buf.fd, dmabuf_rw_file_fd(file), NULL, &new));
	buf_fill(&buf, 0, BYTES, 2, 0);
	CHECK_EQ(dmabuf_rw_write(new, 0, 0, BYTES, 0, NULL), BYTES);
	OK(dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	buf_fill(&buf, 0, BYTES, 3, 0);
	CHECK_EQ(dmabuf_rw_read(old, 0, 0, MiB, 0, NULL), MiB);
	buf_check(&buf, 0, MiB, 1, 0);
	CHECK_EQ(dmabuf_rw_read(new, 0, 0, BYTES, 0, NULL), BYTES);
	buf_check(&buf, 0, BYTES, 2, 0);
	dmabuf_rw_binding_destroy(old);
	dmabuf_rw_binding_destroy(new);
	close(fd);
	CHECK_EQ(nr_names(), 1);
	finish();
}

/* Linux before 6.10 lets root alone name a file by its descriptor. */
static void a_user_without_proc(void)
{
	struct dmabuf_rw_file *file;

	SYS(chroot(fs.dir));
	SYS(chdir("/"));
	SYS(setresgid(USER, USER, USER));
	SYS(setresuid(USER, USER, USER));
	CHECK(access("/proc/self", F_OK), "there is /proc");
	for (int i = 0; i < 2; i++) {
		OK(dmabuf_rw_file_create("/home/new", BYTES, NULL, &file));
		OK(dmabuf_rw_file_commit(file));
		dmabuf_rw_file_close(file);
	}
	OK(dmabuf_rw_file_create("/home/gone", BYTES, NULL, &file));
	dmabuf_rw_file_close(file);
}

static void users_without_proc_make_and_replace_files(const void *kind)
{
	int status;

	open_all(kind, "");
	SYS(mkdir(fs_path(&fs, "home"), 0700));
	SYS(chown(fs_path(&fs, "home"), USER, USER));
	if (!SYS(fork())) {
		a_user_without_proc();
		_exit(0);
	}
	SYS(wait(&status));
	if (status)
		_exit(1);
	CHECK_EQ(sh("test \"$(ls -A %s)\" = new", fs_path(&fs, "home")), 0, "names are left");
	finish();
}

static void links_are_followed_to_other_file_systems(const void *kind)
{
	const char *link = "/tmp/file_new";
	struct dmabuf_rw_file *file;
	struct stat st;

	open_all(kind, "");
	close(file_make(&fs, "target", 5000, 1));
	unlink(link);
	SYS(symlink(target, link));
	OK(dmabuf_rw_file_create(link, BYTES, NULL, &file));
	OK(dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	SYS(lstat(link, &st));
	CHECK(S_ISLNK(st.st_mode));
	SYS(lstat(target, &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, BYTES);
	CHECK_EQ(nr_names(), 1);
	unlink(link);
	finish();
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, zeros_are_written_if_the_pair_goes_direct);
		TEST_OF_KIND(i, no_zeros_are_written_without_a_device);
		TEST_OF_KIND(i, rights_are_the_old_files_and_not_the_directorys);
		TEST_OF_KIND(i, what_cannot_be_replaced_is_refused_at_the_beginning);
		TEST_OF_KIND(i, a_commit_that_failed_can_be_tried_again);
		TEST_OF_KIND(i, bound_files_are_committed_and_replaced);
		TEST_OF_KIND(i, users_without_proc_make_and_replace_files);
		TEST_OF_KIND(i, links_are_followed_to_other_file_systems);
	}
	TEST(no_zeros_are_written_where_the_file_is_refused);
}

const struct program program = { "file_new", add };
