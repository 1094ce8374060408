/* SPDX-License-Identifier: MIT */
/*
 * fake_files.h - new files in a directory of their own in /tmp, with system calls that fail
 * when they are told to.
 *
 * Linked with -Wl,--wrap for each of the calls in fake_files.c.
 */
#ifndef FAKE_FILES_H
#define FAKE_FILES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <libdmabuf_rw.h>

#include "unit.h"

#define ACCESS_LIST	"system.posix_acl_access"
#define DEFAULT_LIST	"system.posix_acl_default"

/* Set by a test: what fails. */
struct failures {
	int zeroes, fallocate, truncate, write, rename, tmpfile, chmod, link, mkname;
	int removexattr, setlist, setlabel;
	int fsync;		/* once, as the kernel does it */
	int bind;		/* else the pair can be bound */
	uint32_t bind_reason;
	bool clone;		/* the module finds no block, and the file system says XFS */
	bool chown, chgrp;
};

/* What was seen. */
struct seen {
	mode_t made_with;	/* the mode that a file was made with */
	int64_t written;
	int64_t written_before_bind;
	int64_t reserved;
	bool zeroed;
	unsigned int binds;
	uint64_t bind_flags;
};

extern struct failures failing;
extern struct seen seen;
/* Called before owner, list or mode change, and before the first byte is written. */
extern void (*before_rights)(int fd);
extern void (*before_bytes)(int fd);

extern char dir[32];
extern char path[64];		/* "target" in @dir */

int files_setup(void **state);
int files_teardown(void **state);
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)

ssize_t __real_pwrite(int fd, const void *mem, size_t len, off_t off);

unsigned int nr_names(void);
struct dmabuf_rw_file *create(uint64_t bytes);
/* Must fail; gives the reason. */
uint32_t refused(const char *name, int err);
void put_old(const char *text, mode_t mode);
void expect_old(const char *text);
mode_t mode_after_replacing(void);

/*
 * Runs @fn in a child process; it returns 0, or by WANT the line of what it found wrong, or
 * CANNOT, by which the test is skipped. An assertion of cmocka's would go on with the parent's
 * other tests.
 */
void in_child(int (*fn)(void));
#define CANNOT	(-2)
#define WANT(cond) do { if (!(cond)) return __LINE__; } while (0)

#endif
