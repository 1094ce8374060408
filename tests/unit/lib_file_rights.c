// SPDX-License-Identifier: MIT
/*
 * lib_file_rights.c - who replaces a file gives nobody more rights to the new one than they
 * had to the old one, whatever is refused on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fake_files.h"

/* linux/posix_acl_xattr.h, in the machine's byte order. */
struct list {
	uint32_t version;
	struct { uint16_t tag, perm; uint32_t id; } entries[5];
};

enum { USER_OBJ = 0x01, USER = 0x02, GROUP_OBJ = 0x04, MASK = 0x10, OTHER = 0x20 };

/* user::rw-, user:1:rw-, group::---, mask::rw-, other::---: fchmod() of 0660 gives no group it. */
static const struct list old_list = {
	2, { { USER_OBJ, 6, -1 }, { USER, 6, 1 }, { GROUP_OBJ, 0, -1 }, { MASK, 6, -1 },
	     { OTHER, 0, -1 } }
};
/* What a directory hands down: all to user 2. */
static const struct list handed_down = {
	2, { { USER_OBJ, 7, -1 }, { USER, 7, 2 }, { GROUP_OBJ, 7, -1 }, { MASK, 7, -1 },
	     { OTHER, 7, -1 } }
};

static void set_or_skip(const char *at, const char *name, const void *value, size_t len)
{
	if (!setxattr(at, name, value, len, 0))
		return;
	assert_true(errno == EOPNOTSUPP || errno == EPERM);
	skip();
}

static void expect_list(const struct list *want)
{
	char got[sizeof(*want)];
	ssize_t n = getxattr(path, ACCESS_LIST, got, sizeof(got));

	if (!want) {
		assert_int_equal(n, -1);
		assert_int_equal(errno, ENODATA);
	} else {
		assert_int_equal(n, sizeof(*want));
		assert_memory_equal(got, want, n);
	}
}

/* Nobody but the maker can use it; a list's mask is the group's bits. */
static void is_the_makers_alone(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static mode_t final_mode;
static bool bytes_were_seen;

static void has_its_final_rights(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, final_mode);
	bytes_were_seen = true;
}

static void expect_before_bytes(mode_t mode)
{
	before_rights = is_the_makers_alone;
	before_bytes = has_its_final_rights;
	final_mode = mode;
	bytes_were_seen = false;
	seen.written = 0;
	assert_int_equal(mode_after_replacing(), mode);
	assert_true(bytes_were_seen);
	assert_int_equal(seen.made_with, 0600);
}

static void who_replaces_a_file_gives_nobody_more_than_they_had(void **state)
{
	struct dmabuf_rw_file *file;

	(void)state;
	put_old("old", 06775);
	assert_int_equal(mode_after_replacing(), 06775);
	/* The group is kept: only what was the owner's goes. */
	put_old("old", 06764);
	failing.chown = true;
	assert_int_equal(mode_after_replacing(), 02764);
	/* It is not: it would be another one's. */
	put_old("old", 06764);
	failing.chgrp = true;
	assert_int_equal(mode_after_replacing(), 0744);
	put_old("old", 0660);
	assert_int_equal(mode_after_replacing(), 0600);
	/* Who was in the group is one of the others now. */
	put_old("old", 0604);
	assert_int_equal(mode_after_replacing(), 0600);
	/* A temporary name is there for all to see from the first moment. */
	failing.tmpfile = EOPNOTSUPP;
	put_old("old", 0600);
	assert_int_equal(mode_after_replacing(), 0600);
	assert_int_equal(seen.made_with, 0600);
	failing.chmod = EPERM;
	assert_int_equal(dmabuf_rw_file_create(path, 1, NULL, &file), -EPERM);
	assert_int_equal(nr_names(), 1);
}

static void rights_are_complete_before_the_first_byte(void **state)
{
	int named;

	(void)state;
	for (named = 0; named <= 1; named++) {
		failing.tmpfile = named ? EOPNOTSUPP : 0;
		put_old("old", 0664);
		expect_before_bytes(0664);
		set_or_skip(path, ACCESS_LIST, &old_list, sizeof(old_list));
		expect_before_bytes(0660);
		unlink(path);
	}
}

static void an_access_control_list_is_kept_or_its_members_lose_theirs(void **state)
{
	(void)state;
	put_old("old", 0600);
	set_or_skip(path, ACCESS_LIST, &old_list, sizeof(old_list));
	assert_int_equal(mode_after_replacing(), 0660);
	expect_list(&old_list);
	failing.setlist = EPERM;
	assert_int_equal(mode_after_replacing(), 0600);
	expect_list(NULL);
	/* Its group would be another one. */
	failing.setlist = 0;
	set_or_skip(path, ACCESS_LIST, &old_list, sizeof(old_list));
	failing.chown = failing.chgrp = true;
	assert_int_equal(mode_after_replacing(), 0600);
	expect_list(NULL);
}

static void a_default_list_of_the_directory_gives_nobody_anything(void **state)
{
	(void)state;
	put_old("old", 0664);
	set_or_skip(dir, DEFAULT_LIST, &handed_down, sizeof(handed_down));
	expect_before_bytes(0664);
	expect_list(NULL);
	/* The old file's own is what counts. */
	set_or_skip(path, ACCESS_LIST, &old_list, sizeof(old_list));
	expect_before_bytes(0660);
	expect_list(&old_list);
	/* Where nothing can be done about it, it is closed. */
	failing.removexattr = failing.setlist = EPERM;
	expect_before_bytes(0600);
	unlink(path);
	failing.setlist = 0;
	assert_int_equal(removexattr(dir, DEFAULT_LIST), 0);
	put_old("old", 0664);
	set_or_skip(dir, DEFAULT_LIST, &handed_down, sizeof(handed_down));
	expect_before_bytes(0600);
}

/* A file that replaces none is what its directory says. */
static void a_first_file_gets_what_its_directory_hands_down(void **state)
{
	struct list want = handed_down;

	(void)state;
	set_or_skip(dir, DEFAULT_LIST, &handed_down, sizeof(handed_down));
	assert_int_equal(mode_after_replacing(), 0666);
	want.entries[0].perm = want.entries[3].perm = want.entries[4].perm = 6;
	expect_list(&want);
}

static int replace_in_a_root_without_proc(void)
{
	struct dmabuf_rw_file *file;
	struct stat st;

	WANT(!chroot(dir) && !chdir("/"));
	WANT(!dmabuf_rw_file_create("/target", 3, NULL, &file));
	WANT(!dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	WANT(!stat("/target", &st) && (st.st_mode & 07777) == 0660);
	return 0;
}

static void without_proc_a_list_is_kept_as_well(void **state)
{
	(void)state;
	put_old("old", 0600);
	set_or_skip(path, ACCESS_LIST, &old_list, sizeof(old_list));
	in_child(replace_in_a_root_without_proc);
	expect_list(&old_list);
}

/* Nobody can tell what its labels are. */
static int replace_what_cannot_be_read(void)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;

	WANT(!chown(dir, 1000, 1000) && !chown(path, 1000, 1000) && !chmod(path, 0200));
	WANT(!chroot(dir) && !chdir("/") && !setresgid(1000, 1000, 1000) &&
	     !setresuid(1000, 1000, 1000));
	WANT(dmabuf_rw_file_create("/target", 3, &opts, &file) == -EACCES);
	WANT(error.reason == DMABUF_RW_REASON_LABEL);
	return 0;
}

static void without_proc_a_file_that_cannot_be_read_is_not_replaced(void **state)
{
	(void)state;
	put_old("old", 0600);
	in_child(replace_what_cannot_be_read);
	expect_old("old");
	assert_int_equal(nr_names(), 1);
}

static void a_label_is_kept_or_the_file_refused(void **state)
{
	char got[32];

	(void)state;
	put_old("old", 0600);
	set_or_skip(path, "security.unit", "secret", 6);
	assert_int_equal(mode_after_replacing(), 0600);
	assert_int_equal(getxattr(path, "security.unit", got, sizeof(got)), 6);
	assert_memory_equal(got, "secret", 6);
	put_old("old", 0600);
	seen.written = 0;
	failing.setlabel = EPERM;
	assert_int_equal(refused(path, EPERM), DMABUF_RW_REASON_LABEL);
	expect_old("old");
	assert_int_equal(nr_names(), 1);
	/* Who states the permissions wants a new file. */
	{
		struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .mode = 0644 };
		struct dmabuf_rw_file *file;

		assert_int_equal(dmabuf_rw_file_create(path, 3, &opts, &file), 0);
		dmabuf_rw_file_close(file);
	}
}

static void what_may_be_about_the_old_contents_stays_with_them(void **state)
{
	static const uint32_t capability[5] = { 0x02000000, 1 };
	char got[32];

	(void)state;
	put_old("old", 0755);
	set_or_skip(path, "security.capability", capability, sizeof(capability));
	set_or_skip(path, "user.unit", "1", 1);
	set_or_skip(path, "trusted.unit", "1", 1);
	failing.setlabel = EPERM;
	assert_int_equal(mode_after_replacing(), 0755);
	assert_int_equal(getxattr(path, "security.capability", got, sizeof(got)), -1);
	assert_int_equal(getxattr(path, "user.unit", got, sizeof(got)), -1);
	assert_int_equal(getxattr(path, "trusted.unit", got, sizeof(got)), -1);
}

/* Storing takes its time, in which somebody may have been shut out. */
static void rights_that_were_taken_meanwhile_do_not_come_back(void **state)
{
	struct dmabuf_rw_file *file;
	struct stat st;
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		unlink(path);
		if (i < 2)
			put_old("old", 0644);
		file = create(3);
		if (i == 0) {
			assert_int_equal(chmod(path, 0600), 0);
			assert_int_equal(chown(path, 9, 9), 0);
		} else {
			/* Another one, or the first. */
			unlink(path);
			put_old("new", 0600);
		}
		failing.chmod = EPERM;
		assert_int_equal(dmabuf_rw_file_commit(file), -EPERM);
		failing.chmod = 0;
		assert_int_equal(dmabuf_rw_file_commit(file), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 3);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(st.st_uid, i ? 0 : 9);
		dmabuf_rw_file_close(file);
	}
}

/* Where writing takes them away: root may keep them, so another user looks. */
static void the_special_bits_outlive_the_writing(void **state)
{
	static const mode_t modes[] = { 04755, 02755, 06711 };
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts) };
	struct dmabuf_rw_file *file;
	struct stat st;
	int status;
	size_t i;
	pid_t pid;

	(void)state;
	assert_int_equal(chown(dir, 1000, 1000), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (setgid(1000) || setuid(1000))
			_exit(1);
		for (i = 0; i < COUNT(modes) * 2; i++) {
			mode_t mode = modes[i / 2];

			put_old("old", i & 1 ? 0600 : mode);
			opts.mode = i & 1 ? mode : 0;
			if (dmabuf_rw_file_create(path, 100000, &opts, &file) ||
			    fstat(dmabuf_rw_file_fd(file), &st) || st.st_mode & 06000 ||
			    pwrite(dmabuf_rw_file_fd(file), "x", 1, 5) != 1 ||
			    dmabuf_rw_file_commit(file) || stat(path, &st) ||
			    (st.st_mode & 07777) != mode)
				_exit(2 + i);
			dmabuf_rw_file_close(file);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		FILE_TEST(who_replaces_a_file_gives_nobody_more_than_they_had),
		FILE_TEST(rights_are_complete_before_the_first_byte),
		FILE_TEST(an_access_control_list_is_kept_or_its_members_lose_theirs),
		FILE_TEST(a_default_list_of_the_directory_gives_nobody_anything),
		FILE_TEST(a_first_file_gets_what_its_directory_hands_down),
		FILE_TEST(without_proc_a_list_is_kept_as_well),
		FILE_TEST(without_proc_a_file_that_cannot_be_read_is_not_replaced),
		FILE_TEST(a_label_is_kept_or_the_file_refused),
		FILE_TEST(rights_that_were_taken_meanwhile_do_not_come_back),
		FILE_TEST(the_special_bits_outlive_the_writing),
		FILE_TEST(what_may_be_about_the_old_contents_stays_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
