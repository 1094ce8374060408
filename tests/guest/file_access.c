// SPDX-License-Identifier: GPL-2.0
/*
 * file_access.c - who may transfer what: the descriptors decide, as they do for read(2) and
 * write(2), on whatever mount the file was opened.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "require.h"

#define ROLE		"mp512p1"
#define FILE_BYTES	(256 * KiB + 100)
#define BUF_BYTES	MiB
#define NOBODY		65534
#define ON		"/tmp/fs.there"		/* another mount of the same files */

static struct fs fs;
static struct buf buf;
static struct io_uring ring;

static void open_all(const char *kind)
{
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_device();
	close(file_make(&fs, "f", FILE_BYTES, 1));
	SYS(chmod(fs.dir, 0755));
	SYS(chmod(fs_path(&fs, "f"), 0644));
	if (mkdir(ON, 0755) && errno != EEXIST)
		FAIL("%s: %s", ON, strerror(errno));
}

static void become_nobody(void)
{
	SYS(setresgid(NOBODY, NOBODY, NOBODY));
	SYS(setresuid(NOBODY, NOBODY, NOBODY));
}

/* Runs @fn as somebody who has no rights but those of his descriptors. */
static void as_nobody(void (*fn)(int fd), int fd)
{
	int status;
	pid_t pid = SYS(fork());

	if (!pid) {
		become_nobody();
		fn(fd);
		fflush(stdout);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	/* The child has said why. */
	if (status)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static s64 ask(bool use_ring, int b, enum dmabuf_rw_op op, u64 len)
{
	return use_ring ? drw_ring_io(&ring, b, op, 0, 0, len, 0) : drw_io(b, op, 0, 0, len, 0);
}

/* By a descriptor that is open for reading only all of the file can be read, and no more. */
static void reads_only(int fd)
{
	struct dmabuf_rw_info info;
	int b = OK(drw_bind(buf.fd, fd));

	drw_ring(&ring, 4, 0);
	OK(drw_info(b, &info));
	CHECK_EQ(info.flags & (DMABUF_RW_INFO_CAN_READ | DMABUF_RW_INFO_CAN_WRITE),
		 DMABUF_RW_INFO_CAN_READ);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		buf_fill(&buf, 0, FILE_BYTES, 99, 0);
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_READ, FILE_BYTES), FILE_BYTES);
		buf_check(&buf, 0, FILE_BYTES, 1, 0);
		FAILS(ask(use_ring, b, DMABUF_RW_OP_WRITE, 4096), EACCES);
	}
	io_uring_queue_exit(&ring);
	close(b);
}

static void writes_only(int fd)
{
	int b = OK(drw_bind(buf.fd, fd));

	drw_ring(&ring, 4, 0);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		buf_fill(&buf, 0, 8192, 5 + use_ring, 0);
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_WRITE, 8192), 8192);
		FAILS(ask(use_ring, b, DMABUF_RW_OP_READ, 4096), EACCES);
	}
	io_uring_queue_exit(&ring);
	close(b);
}

static int open_at(const char *dir, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, flags | O_CLOEXEC);
}

static void finish(void)
{
	struct stat st;

	/* Reading it changed nothing but its access time. */
	SYS(stat(fs_path(&fs, "f"), &st));
	CHECK_EQ(st.st_size, FILE_BYTES);
	mock_check_clean(&buf);
	fs_finish(&fs);
}

/* ---- descriptors ------------------------------------------------------------------------- */

static void whoever_can_read_it_can_bind_it(const void *arg)
{
	int fd;

	open_all(arg);
	/* Somebody else's file, opened by himself. */
	if (!SYS(fork())) {
		become_nobody();
		CHECK(open_at(fs.dir, "f", O_RDWR) < 0 && errno == EACCES, "he may write to it");
		fd = SYS(open_at(fs.dir, "f", O_RDONLY));
		reads_only(fd);
		fflush(stdout);
		_exit(0);
	}
	int status;

	SYS(wait(&status));
	if (status)
		_exit(1);
	/* A descriptor that he was given, of a file that he cannot even open. */
	fd = fs_open(&fs, "f", O_RDONLY);
	SYS(chmod(fs_path(&fs, "f"), 0));
	as_nobody(reads_only, fd);
	/* A file that nobody may change. */
	CHECK_EQ(sh("chattr +i %s", fs_path(&fs, "f")), 0);
	as_nobody(reads_only, fd);
	CHECK_EQ(sh("chattr -i %s", fs_path(&fs, "f")), 0);
	close(fd);
	finish();
}

static void a_descriptor_for_writing_only_writes(const void *arg)
{
	int fd;

	open_all(arg);
	fd = fs_open(&fs, "f", O_WRONLY);
	as_nobody(writes_only, fd);
	close(fd);
	fd = fs_open(&fs, "f", O_RDONLY);
	file_check(fd, 0, 8192, 6);
	close(fd);
	finish();
}

/* As what it was opened counts, not what its mode is by now. */
static void rights_are_those_of_the_opening(const void *arg)
{
	struct dmabuf_rw_bind why;
	int fd, b;

	open_all(arg);
	fd = fs_open(&fs, "f", O_RDWR);
	b = OK(drw_bind(buf.fd, fd));
	drw_ring(&ring, 4, 0);
	SYS(fchmod(fd, 0));
	SYS(fchown(fd, 1, 1));
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_READ, FILE_BYTES), FILE_BYTES);
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_WRITE, 4096), 4096);
	}
	close(b);
	close(fd);
	/* Bytes that can only be appended cannot be written anywhere else. */
	CHECK_EQ(sh("chattr +a %s", fs_path(&fs, "f")), 0);
	fd = fs_open(&fs, "f", O_WRONLY | O_APPEND);
	FAILS(drw_bind_why(buf.fd, fd, 0, &why), EACCES);
	CHECK_EQ(why.reason, DMABUF_RW_REASON_ACCESS);
	close(fd);
	fd = fs_open(&fs, "f", O_RDWR | O_APPEND);
	reads_only(fd);
	close(fd);
	CHECK_EQ(sh("chattr -a %s", fs_path(&fs, "f")), 0);
	finish();
}

/* The bytes of a buffer that its owner lets others only fill stay with him. */
static void a_buffer_for_writing_only_is_not_written_out(const void *arg)
{
	struct dmabuf_rw_info info;
	struct dmabuf_rw_bind why;
	struct buf full;
	int fd, b;

	open_all(arg);
	drw_ring(&ring, 4, 0);
	buf_create_heap(&full, BUF_BYTES, O_WRONLY);
	fd = fs_open(&fs, "f", O_RDWR);
	b = OK(drw_bind(full.fd, fd));
	OK(drw_info(b, &info));
	CHECK_EQ(info.flags & (DMABUF_RW_INFO_CAN_READ | DMABUF_RW_INFO_CAN_WRITE),
		 DMABUF_RW_INFO_CAN_READ);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_READ, FILE_BYTES), FILE_BYTES);
		FAILS(ask(use_ring, b, DMABUF_RW_OP_WRITE, 4096), EACCES);
	}
	close(b);
	close(fd);
	/* A file that can only be written to, and a buffer that can only be filled. */
	fd = fs_open(&fs, "f", O_WRONLY);
	FAILS(drw_bind_why(full.fd, fd, 0, &why), EACCES);
	CHECK_EQ(why.reason, DMABUF_RW_REASON_ACCESS);
	/* The same for a disk. */
	b = OK(drw_bind(full.fd, fs.disk.fd));
	CHECK_EQ(ask(false, b, DMABUF_RW_OP_READ, 4096), 4096);
	FAILS(ask(false, b, DMABUF_RW_OP_WRITE, 4096), EACCES);
	close(b);
	close(fd);
	buf_create_heap(&full, BUF_BYTES, O_RDONLY);
	fd = fs_open(&fs, "f", O_RDONLY);
	FAILS(drw_bind_why(full.fd, fd, 0, &why), EACCES);
	CHECK_EQ(why.reason, DMABUF_RW_REASON_ACCESS);
	close(fd);
	fd = fs_open(&fs, "f", O_RDONLY);
	file_check(fd, 0, FILE_BYTES, 1);
	close(fd);
	finish();
}

/* ---- mounts -------------------------------------------------------------------------------- */

static void files_on_a_read_only_mount_can_be_read(const void *arg)
{
	int fd;

	open_all(arg);
	CHECK_EQ(sh("mount -o remount,ro %s", fs.dir), 0);
	fd = fs_open(&fs, "f", O_RDONLY);
	reads_only(fd);
	as_nobody(reads_only, fd);
	close(fd);
	fs_unmount(&fs);
	/* Never mounted in another way, and the disk itself is read-only. */
	CHECK_EQ(fs_mount(&fs, "ro"), 0);
	fd = fs_open(&fs, "f", O_RDONLY);
	reads_only(fd);
	close(fd);
	finish();
}

static void files_on_a_bind_mount_are_files(const void *arg)
{
	int fd;

	open_all(arg);
	SYS(mount(fs.dir, ON, NULL, MS_BIND, NULL));
	fd = SYS(open_at(ON, "f", O_RDWR));
	int b = OK(drw_bind(buf.fd, fd));

	CHECK_EQ(drw_read(b, 0, 0, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, 0, FILE_BYTES, 1, 0);
	CHECK_EQ(drw_write(b, 0, 0, FILE_BYTES), FILE_BYTES);
	close(b);
	close(fd);
	/* One that only allows reading. */
	SYS(mount(NULL, ON, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	CHECK(open_at(ON, "f", O_RDWR) < 0 && errno == EROFS, "%d", errno);
	fd = SYS(open_at(ON, "f", O_RDONLY));
	as_nobody(reads_only, fd);
	close(fd);
	SYS(umount(ON));
	finish();
}

/* A user namespace in which @NOBODY is called 0: somebody has to live in it. */
static int user_namespace(void)
{
	char path[64];
	int ready[2], fd;
	char byte;
	pid_t pid;

	SYS(pipe(ready));
	pid = SYS(fork());
	if (!pid) {
		if (unshare(CLONE_NEWUSER))
			_exit(1);
		SYS(write(ready[1], "x", 1));
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		skip("this kernel has no user namespaces");
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	OK(spit("0 65534 1", "%s", path));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	OK(spit("0 65534 1", "%s", path));
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = SYS(open(path, O_RDONLY | O_CLOEXEC));
	kill(pid, SIGKILL);
	SYS(waitpid(pid, NULL, 0));
	close(ready[0]);
	return fd;
}

/* On it root's file is nobody's own, who may write to it, take away its bits and all. */
static void own_file_there(int fd)
{
	struct stat st;
	int b = OK(drw_bind(buf.fd, fd));

	SYS(fstat(fd, &st));
	CHECK_EQ(st.st_uid, NOBODY);
	drw_ring(&ring, 4, 0);
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_READ, FILE_BYTES), FILE_BYTES);
		buf_check(&buf, 0, FILE_BYTES, 1, 0);
		SYS(fchmod(fd, 04755));
		CHECK_EQ(ask(use_ring, b, DMABUF_RW_OP_WRITE, FILE_BYTES), FILE_BYTES);
		SYS(fstat(fd, &st));
		CHECK_EQ(st.st_mode & 07777, 0755);
	}
	io_uring_queue_exit(&ring);
	close(b);
}

static void files_on_an_idmapped_mount_are_files(const void *arg)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree, fd;

	open_all(arg);
	attr.userns_fd = user_namespace();
	tree = SYS(syscall(SYS_open_tree, AT_FDCWD, fs.dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	SYS(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	SYS(syscall(SYS_move_mount, tree, "", AT_FDCWD, ON, MOVE_MOUNT_F_EMPTY_PATH));
	fd = SYS(open_at(ON, "f", O_RDONLY));
	as_nobody(reads_only, fd);
	close(fd);
	fd = SYS(open_at(ON, "f", O_RDWR));
	as_nobody(own_file_there, fd);
	close(fd);
	close(tree);
	SYS(umount(ON));
	finish();
}

/* Which of the files below is meant may change, so the file below has to be named. */
static void files_of_an_overlay_are_refused_and_those_below_are_not(const void *arg)
{
	struct dmabuf_rw_bind why;
	int fd;

	require_filesystem("overlay");
	open_all(arg);
	CHECK_EQ(sh("cd %s && mkdir l u w && cp f l/low && cp f u/up && chmod 644 l/low u/up && "
		    "mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay %s", fs.dir, ON),
		 0);
	sync();
	for (int up = 0; up <= 1; up++) {
		fd = SYS(open_at(ON, up ? "up" : "low", O_RDONLY));
		FAILS(drw_bind_why(buf.fd, fd, 0, &why), ENOTBLK);
		CHECK_EQ(why.reason, DMABUF_RW_REASON_OVERLAY);
		close(fd);
		fd = fs_open(&fs, up ? "u/up" : "l/low", O_RDONLY);
		as_nobody(reads_only, fd);
		close(fd);
	}
	SYS(umount(ON));
	finish();
}

static void nothing_is_held_after_the_last_close(const void *arg)
{
	int fd, b[3];

	open_all(arg);
	for (int write = 0; write <= 1; write++) {
		fd = fs_open(&fs, "f", write ? O_RDWR : O_RDONLY);
		for (int i = 0; i < 3; i++) {
			b[i] = OK(drw_bind(buf.fd, fd));
			CHECK_EQ(drw_read(b[i], 0, 0, FILE_BYTES), FILE_BYTES);
			if (write)
				CHECK_EQ(drw_write(b[i], 0, 0, FILE_BYTES), FILE_BYTES);
		}
		close(fd);
		for (int i = 0; i < 3; i++) {
			CHECK(umount2(fs.dir, 0) == -1 && errno == EBUSY, "%d", errno);
			CHECK_EQ(drw_read(b[i], 0, 0, FILE_BYTES), FILE_BYTES);
			close(b[i]);
		}
		SYS(umount2(fs.dir, 0));
		CHECK_EQ(fs_mount(&fs, ""), 0);
	}
	/* A file without a name lives as long as its binding, and its space with it. */
	fd = fs_open(&fs, "f", O_RDONLY);
	b[0] = OK(drw_bind(buf.fd, fd));
	close(fd);
	SYS(unlink(fs_path(&fs, "f")));
	buf_fill(&buf, 0, FILE_BYTES, 99, 0);
	CHECK_EQ(drw_read(b[0], 0, 0, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, 0, FILE_BYTES, 1, 0);
	close(b[0]);
	SYS(umount2(fs.dir, 0));
	CHECK_EQ(fs_mount(&fs, ""), 0);
	mock_check_clean(&buf);
	fs_finish(&fs);
}

/* What a failed test leaves mounted there is in the way of others. */
static void leave(void)
{
	umount2(ON, MNT_DETACH);
}

static void add(void)
{
	fs_program();
	atexit(leave);
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, whoever_can_read_it_can_bind_it);
		TEST_OF_KIND(i, a_descriptor_for_writing_only_writes);
		TEST_OF_KIND(i, rights_are_those_of_the_opening);
		TEST_OF_KIND(i, a_buffer_for_writing_only_is_not_written_out);
		TEST_OF_KIND(i, files_on_a_read_only_mount_can_be_read);
		TEST_OF_KIND(i, files_on_a_bind_mount_are_files);
		TEST_OF_KIND(i, files_on_an_idmapped_mount_are_files);
		TEST_OF_KIND(i, files_of_an_overlay_are_refused_and_those_below_are_not);
		TEST_OF_KIND(i, nothing_is_held_after_the_last_close);
	}
}

const struct program program = { "file_access", add };
