// SPDX-License-Identifier: MIT
/* tool_bindings.c - bindings are found by the descriptors of processes, and told once each. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings.h"
#include "fake_sysfs.h"
#include "unit.h"

#define GENERIC	"pos:\t0\nflags:\t02000002\nmnt_id:\t15\n"

static struct bindings found;

static int make(void **state)
{
	(void)state;
	fake_sysfs_make();
	found = (struct bindings){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	bindings_free(&found);
	fake_sysfs_remove();
	return 0;
}

static void add_process(int pid, const char *command)
{
	char path[128];

	fake_attribute(command, "/proc/%d/comm", pid);
	snprintf(path, sizeof(path), "%s/proc/%d/fd", fake_root, pid);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void add_descriptor(int pid, int fd, const char *link, const char *lines)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/proc/%d/fd/%d", fake_root, pid, fd);
	assert_int_equal(symlink(link, path), 0);
	if (lines)
		fake_attribute(lines, "/proc/%d/fdinfo/%d", pid, fd);
}

#define FILE_LINES GENERIC "ino:\t77\n" \
	"buffer-bytes:\t134217728\nclass:\tbar\nbar:\t2\nbar-device:\t0000:00:09.0\n" \
	"file:\t/mnt/a\\040model:1\ndisk:\tnvme0n1\nfile-extents:\t3\ndrive:\t0000:00:03.0\n" \
	"paths:\t1\nextents:\t1\nmetadata-bytes:\t832\nreads:\t5\nread-bytes:\t20480\n" \
	"writes:\t2\nwrite-bytes:\t8192\nerrors:\t1\nremaps:\t4\nfailovers:\t6\nstate:\tmapped"

static void every_line_is_taken(void **state)
{
	const struct bound *b;

	(void)state;
	add_process(10, "serve");
	add_descriptor(10, 3, "anon_inode:[dmabuf_rw]", FILE_LINES);
	assert_int_equal(bindings_find(fake_root, 0, &found), 0);
	assert_int_equal(found.nr, 1);
	assert_int_equal(found.unseen, 0);
	b = &found.bound[0];
	assert_true(b->told);
	assert_int_equal(b->id, 77);
	assert_string_equal(b->command, "serve");
	assert_string_equal(b->file, "/mnt/a\\040model:1");
	assert_string_equal(b->disk, "nvme0n1");
	assert_string_equal(b->drive, "0000:00:03.0");
	assert_string_equal(b->class, "bar");
	assert_string_equal(b->bar, "0000:00:09.0/2");
	assert_string_equal(b->state, "mapped");
	assert_int_equal(b->buffer_bytes, 128 << 20);
	assert_int_equal(b->reads, 5);
	assert_int_equal(b->read_bytes, 20480);
	assert_int_equal(b->writes, 2);
	assert_int_equal(b->write_bytes, 8192);
	assert_int_equal(b->errors, 1);
	assert_int_equal(b->remaps, 4);
	assert_int_equal(b->failovers, 6);
	assert_ptr_equal(bindings_with(&found, 77), b);
	assert_null(bindings_with(&found, 78));
}

static void one_that_several_have_open_is_told_once(void **state)
{
	(void)state;
	add_process(10, "a");
	add_process(9, "b");
	add_descriptor(10, 3, "anon_inode:[dmabuf_rw]", FILE_LINES);
	add_descriptor(10, 12, "anon_inode:[dmabuf_rw]", FILE_LINES);
	add_descriptor(9, 5, "anon_inode:[dmabuf_rw]", FILE_LINES);
	add_descriptor(9, 6, "anon_inode:[dmabuf_rw]",
		       GENERIC "ino:\t78\nclass:\tram\nfile:\tnvme0n1\nstate:\trevoked");
	assert_int_equal(bindings_find(fake_root, 0, &found), 0);
	assert_int_equal(found.nr, 2);
	assert_string_equal(found.bound[0].command, "b");
	assert_int_equal(found.bound[0].nr_holders, 3);
	assert_int_equal(found.bound[0].holders[0].pid, 9);
	assert_int_equal(found.bound[0].holders[2].pid, 10);
	assert_int_equal(found.bound[0].holders[2].fd, 12);
	assert_int_equal(found.bound[1].id, 78);
	assert_null(found.bound[1].disk);
	assert_null(found.bound[1].bar);
	bindings_free(&found);

	/* Only what process 10 has. */
	assert_int_equal(bindings_find(fake_root, 10, &found), 0);
	assert_int_equal(found.nr, 1);
	assert_int_equal(found.bound[0].nr_holders, 2);
	bindings_free(&found);
	assert_int_equal(bindings_find(fake_root, 11, &found), -ESRCH);
	assert_int_equal(found.nr, 0);
}

static void other_descriptors_are_none(void **state)
{
	(void)state;
	add_process(10, "a");
	add_descriptor(10, 0, "/dev/null", GENERIC "ino:\t1\nstate:\tmapped");
	add_descriptor(10, 1, "anon_inode:[io_uring]", GENERIC "ino:\t2");
	add_descriptor(10, 2, "/tmp/anon_inode:[dmabuf_rw]", GENERIC "ino:\t3");
	/* Closed since its name was read. */
	add_descriptor(10, 3, "anon_inode:[dmabuf_rw]", NULL);
	fake_attribute("0.1 0.2", "/proc/uptime");
	assert_int_equal(bindings_find(fake_root, 0, &found), 0);
	assert_int_equal(found.nr, 0);
	assert_int_equal(found.unseen, 0);
}

static void one_that_is_busy_is_there_and_not_known(void **state)
{
	(void)state;
	add_process(10, "a");
	add_descriptor(10, 3, "anon_inode:[dmabuf_rw]", GENERIC "ino:\t5");
	assert_int_equal(bindings_find(fake_root, 0, &found), 0);
	assert_int_equal(found.nr, 1);
	assert_int_equal(found.bound[0].id, 5);
	assert_false(found.bound[0].told);
}

static void processes_that_proc_hides_are_known_to_be_missing(void **state)
{
	char path[96], text[256];
	struct statx sx;

	(void)state;
	add_process(10, "mine");
	snprintf(path, sizeof(path), "%s/proc", fake_root);
	assert_int_equal(statx(AT_FDCWD, path, 0, STATX_MNT_ID, &sx), 0);
	snprintf(text, sizeof(text), "%llu 1 0:5 / /proc rw - proc proc rw,hidepid=invisible",
		 (unsigned long long)sx.stx_mnt_id);
	fake_attribute(text, "/proc/self/mountinfo");
	assert_int_equal(bindings_find(fake_root, 0, &found), 0);
	assert_int_equal(found.nr, 0);
	assert_int_equal(found.unseen, 0);
	assert_true(found.hidden);
	/* One that may look into all has them all. */
	fake_attribute("CapEff:\t000001ffffffffff", "/proc/self/status");
	add_process(1, "init");
	assert_int_equal(bindings_find(fake_root, 0, &found), 0);
	assert_false(found.hidden);
}

static void no_proc_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(bindings_find(fake_root, 0, &found), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_line_is_taken, make, end),
		cmocka_unit_test_setup_teardown(one_that_several_have_open_is_told_once, make, end),
		cmocka_unit_test_setup_teardown(other_descriptors_are_none, make, end),
		cmocka_unit_test_setup_teardown(one_that_is_busy_is_there_and_not_known, make, end),
		cmocka_unit_test_setup_teardown(processes_that_proc_hides_are_known_to_be_missing,
						make, end),
		cmocka_unit_test_setup_teardown(no_proc_is_an_error, make, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
