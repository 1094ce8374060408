// SPDX-License-Identifier: MIT
/*
 * tool_transfer.c - what load and store say, over the fake module: why something bounced, or could
 * not, and that nothing was there to move. Nobody is sent where he has been.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "fake_dmabuf.h"
#include "fake_module.h"
#include "tool.h"
#include "unit.h"

#define FILE_BYTES	100000
#define BUF_BYTES	(1 << 20)

int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_fstatfs(int fd, struct statfs *fs);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

static bool no_mapping;		/* the buffer has none for the CPU */
static char path[] = "/tmp/tool-XXXXXX", said[16384];
static int dmabuf_fd;

int __wrap_fstatfs(int fd, struct statfs *fs)
{
	int ret = __real_fstatfs(fd, fs);

	if (fake_is_dmabuf(fd))
		fs->f_type = DMA_BUF_MAGIC;
	return ret;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (no_mapping && !fake_module_maps && fd >= 0 && fake_is_dmabuf(fd)) {
		errno = ENODEV;
		return MAP_FAILED;
	}
	return __real_mmap(addr, len, prot, flags, fd, off);
}

static int setup(void **state)
{
	static const char bytes[FILE_BYTES] = "contents";
	int fd;

	(void)state;
	module = (struct fake_module){ 0 };
	no_mapping = false;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	dmabuf_fd = memfd_create("buffer", MFD_CLOEXEC);
	if (fd < 0 || write(fd, bytes, FILE_BYTES) != FILE_BYTES || ftruncate(dmabuf_fd, BUF_BYTES))
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	close(dmabuf_fd);
	return module.bindings != 0;
}

/* "load" or "store", the file, and the rest; returns the status, and keeps what was said. */
static int run_tool(const struct command *command, const char *words)
{
	char text[512], buffer[16], *argv[32] = { (char *)command->name, path }, *save, *word;
	char to[] = "/tmp/said-XXXXXX";
	int argc = 2, status, was[2], i, fd = mkstemp(to);
	struct report report;
	ssize_t n;

	snprintf(buffer, sizeof(buffer), "fd:%d", dmabuf_fd);
	argv[argc++] = command == &cmd_load ? "--into" : "--from";
	argv[argc++] = buffer;
	snprintf(text, sizeof(text), "%s", words);
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		was[i] = dup(STDOUT_FILENO + i);
		dup2(fd, STDOUT_FILENO + i);
	}
	optind = 0;
	report_begin(&report);
	report_command(&report, command->name);
	status = command->run(command, &report, argc, argv);
	json_object_put(report.root);
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		dup2(was[i], STDOUT_FILENO + i);
		close(was[i]);
	}
	n = pread(fd, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	close(fd);
	unlink(to);
	return status;
}

static void expect(const char *text)
{
	if (!strstr(said, text))
		fail_msg("\"%s\" is not in: %s", text, said);
}

static void expect_no(const char *text)
{
	if (strstr(said, text))
		fail_msg("\"%s\" is in: %s", text, said);
}

static void who_has_not_allowed_it_is_told_that_he_may(void **state)
{
	(void)state;
	module.align = 512;
	assert_int_equal(run_tool(&cmd_load, "--offset 1 --length 512"), STATUS_USAGE);
	expect("multiple of 512");
	expect("--allow-bounce");
	module.bind_errno = ENOTBLK;
	module.bind_reason = DMABUF_RW_REASON_FILESYSTEM;
	assert_int_equal(run_tool(&cmd_load, ""), STATUS_REFUSED);
	expect("or have it copied through memory (--allow-bounce)");
}

static void who_has_allowed_it_is_told_what_it_lacks(void **state)
{
	(void)state;
	no_mapping = true;
	module.bind_errno = ENOTBLK;
	module.bind_reason = DMABUF_RW_REASON_FILESYSTEM;
	assert_int_equal(run_tool(&cmd_load, "--allow-bounce"), STATUS_REFUSED);
	expect("file system other than ext4 and XFS");
	expect("--allow-bounce does not help, as the buffer has no CPU mapping");
	module.bind_errno = 0;
	module.bind_reason = 0;
	module.align = 512;
	assert_int_equal(run_tool(&cmd_load, "--offset 1 --length 512 --allow-bounce"), STATUS_FAILED);
	expect("EDOM");
	expect("--allow-bounce could not help, as copying needs a CPU mapping");
	expect_no("or allow bouncing");
}

static void holes_are_not_to_be_bounced_by_who_has_tried(void **state)
{
	(void)state;
	no_mapping = true;
	assert_int_equal(truncate(path, 0) || truncate(path, FILE_BYTES), 0);
	assert_int_equal(run_tool(&cmd_load, "--allow-bounce"), STATUS_FAILED);
	expect("write the file first");
	expect("--allow-bounce could not help");
	expect_no("or allow bouncing");
}

static void what_bounces_says_why(void **state)
{
	(void)state;
	module.align = 512;
	assert_int_equal(run_tool(&cmd_load, "--offset 1 --length 5000 --allow-bounce"), STATUS_OK);
	expect("bounced of /tmp/tool-");
	expect("begins or ends within a block of 512 bytes");
	assert_int_equal(truncate(path, 0) || truncate(path, FILE_BYTES), 0);
	assert_int_equal(run_tool(&cmd_load, "--allow-bounce"), STATUS_OK);
	expect("what was never written (a hole, or only reserved)");
	module.bind_errno = ENOTBLK;
	module.bind_reason = DMABUF_RW_REASON_FILESYSTEM;
	assert_int_equal(run_tool(&cmd_load, "--allow-bounce"), STATUS_OK);
	expect(" is not direct: the file is on a file system other than ext4 and XFS");
	assert_int_equal(run_tool(&cmd_load, "--way bounce"), STATUS_OK);
	expect("was not asked to go direct (--way)");
	expect_no("choose it");
}

/* An empty file is as it is; to begin at the end, or to have no room, is a mistake. */
static void nothing_is_not_loaded_with_success(void **state)
{
	(void)state;
	assert_int_equal(run_tool(&cmd_load, "--offset 100000"), STATUS_USAGE);
	expect("so nothing can be loaded");
	assert_int_equal(run_tool(&cmd_load, "--buf-offset 1M"), STATUS_USAGE);
	expect("so nothing would be loaded");
	module.align = 512;
	assert_int_equal(run_tool(&cmd_load, "--buf-offset 1048476"), STATUS_USAGE);
	expect("room for 100 bytes");
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(run_tool(&cmd_load, ""), STATUS_OK);
	expect("0 B (0 bytes)");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(who_has_not_allowed_it_is_told_that_he_may),
		TEST(who_has_allowed_it_is_told_what_it_lacks),
		TEST(holes_are_not_to_be_bounced_by_who_has_tried),
		TEST(what_bounces_says_why),
		TEST(nothing_is_not_loaded_with_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
