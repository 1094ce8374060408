// SPDX-License-Identifier: MIT
/* lib_file.c - new files: contents, size, names, and what is left after a failure. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_files.h"
#include "private.h"

static int64_t whole_blocks(uint64_t bytes)
{
	return (bytes + 4095) / 4096 * 4096;
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

		seen.written = 0;
		file = create(sizes[i]);
		assert_int_equal(fstat(dmabuf_rw_file_fd(file), &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
		assert_int_equal(seen.written, whole_blocks(sizes[i]));
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
	failing.zeroes = 0;
	file = create(10001);
	assert_true(seen.zeroed);
	assert_int_equal(seen.written, 0);
	assert_int_equal(fstat(dmabuf_rw_file_fd(file), &st), 0);
	assert_int_equal(st.st_size, 10001);
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
	failing.tmpfile = EOPNOTSUPP;
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
	failing.tmpfile = EOPNOTSUPP;
	assert_int_equal(dmabuf_rw_file_create(path, 64 << 20, &opts, &file), -EINTR);
	assert_int_equal(asked, 3);
	assert_true(seen.written > 0 && seen.written < 64 << 20);
	assert_int_equal(nr_names(), 1);
	expect_old("old");
}

static void a_failed_renaming_leaves_no_trace(void **state)
{
	struct dmabuf_rw_file *file;

	(void)state;
	put_old("old", 0600);
	file = create(3);
	failing.rename = EPERM;
	assert_int_equal(dmabuf_rw_file_commit(file), -EPERM);
	expect_old("old");
	dmabuf_rw_file_close(file);
	expect_old("old");
	assert_int_equal(nr_names(), 1);
	/* It can be tried again. */
	file = create(4);
	assert_int_equal(dmabuf_rw_file_commit(file), -EPERM);
	failing.rename = 0;
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	dmabuf_rw_file_close(file);
	assert_int_equal(nr_names(), 1);
}

static void a_failure_says_why_and_leaves_nothing(void **state)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file = (void *)1;

	(void)state;
	failing.fallocate = ENOSPC;
	assert_int_equal(dmabuf_rw_file_create(path, 5 << 20, &opts, &file), -ENOSPC);
	assert_int_equal(error.err, ENOSPC);
	assert_int_equal(error.call, DMABUF_RW_CALL_FILE);
	failing.fallocate = EOPNOTSUPP;
	failing.write = EIO;
	assert_int_equal(dmabuf_rw_file_create(path, 5 << 20, &opts, &file), -EIO);
	failing.zeroes = EINTR;
	assert_int_equal(dmabuf_rw_file_create(path, 5 << 20, &opts, &file), -EINTR);
	failing.zeroes = EOPNOTSUPP;
	failing.write = 0;
	failing.truncate = EDQUOT;
	assert_int_equal(dmabuf_rw_file_create(path, 5000, &opts, &file), -EDQUOT);
	assert_int_equal(dmabuf_rw_file_create("/nowhere/file", 1, &opts, &file), -ENOENT);
	assert_int_equal(dmabuf_rw_file_create("/tmp/", 1, &opts, &file), -EISDIR);
	assert_int_equal(dmabuf_rw_file_create("", 1, &opts, &file), -EINVAL);
	assert_int_equal(dmabuf_rw_file_create(path, INT64_MAX, &opts, &file), -EFBIG);
	opts.mode = 0100644;
	assert_int_equal(dmabuf_rw_file_create(path, 1, &opts, &file), -EINVAL);
	opts.mode = 0;
	opts.device = (void *)1;
	assert_int_equal(dmabuf_rw_file_create(path, 1, &opts, &file), -EINVAL);
	opts.device = NULL;
	opts.dmabuf_fd = 3;
	assert_int_equal(dmabuf_rw_file_create(path, 1, &opts, &file), -EINVAL);
	opts.dmabuf_fd = 0;
	opts.bind_flags = DMABUF_RW_BIND_DEVICE_MEMORY;
	assert_int_equal(dmabuf_rw_file_create(path, 1, &opts, &file), -EINVAL);
	opts.size -= sizeof(opts.bind_flags);
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

/* ---- errors that are told once ------------------------------------------------------ */

static void what_was_lost_is_said_by_every_commit(void **state)
{
	static const int errs[] = { EIO, ENOSPC, EDQUOT };
	struct dmabuf_rw_file *file;
	size_t i;

	(void)state;
	put_old("old", 0600);
	for (i = 0; i < COUNT(errs); i++) {
		int err = errs[i];

		file = create(3);
		failing.fsync = err;
		assert_int_equal(dmabuf_rw_file_commit(file), -err);
		assert_int_equal(failing.fsync, 0);
		assert_int_equal(dmabuf_rw_file_commit(file), -err);
		assert_int_equal(dmabuf_rw_file_commit(file), -err);
		dmabuf_rw_file_close(file);
		expect_old("old");
		assert_int_equal(nr_names(), 1);
	}
	/* Nothing is lost by a signal. */
	file = create(3);
	failing.fsync = EINTR;
	assert_int_equal(dmabuf_rw_file_commit(file), -EINTR);
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	dmabuf_rw_file_close(file);
}

/* ---- files for a buffer -------------------------------------------------------------- */

#define BYTES	(5 << 20)
#define WHOLE	(BYTES + 4096)

static struct dmabuf_rw_device device = { .fd = 1000 };

static int create_for_buffer(uint64_t bytes, struct dmabuf_rw_error *error,
			     struct dmabuf_rw_file **file)
{
	struct dmabuf_rw_file_opts opts = {
		.size = sizeof(opts), .error = error, .flags = DMABUF_RW_FILE_FOR_BUFFER,
		.device = &device, .dmabuf_fd = 11,
		.bind_flags = DMABUF_RW_BIND_TRUST_ADDRESSES,
	};

	return dmabuf_rw_file_create(path, bytes, &opts, file);
}

static void a_file_for_a_buffer_that_goes_direct_is_filled(void **state)
{
	struct dmabuf_rw_error error = { .err = 1 };
	struct dmabuf_rw_file *file;
	struct stat st;

	(void)state;
	assert_int_equal(create_for_buffer(BYTES + 1, &error, &file), 0);
	assert_int_equal(dmabuf_rw_file_refusal(file, &error), 0);
	assert_int_equal(error.err, 0);
	assert_int_equal(seen.binds, 1);
	assert_int_equal(seen.bind_flags, DMABUF_RW_BIND_TRUST_ADDRESSES);
	assert_int_equal(seen.written_before_bind, 4096);
	assert_int_equal(seen.written, 4096 + WHOLE);
	assert_int_equal(seen.reserved, WHOLE);
	assert_int_equal(fstat(dmabuf_rw_file_fd(file), &st), 0);
	assert_int_equal(st.st_size, BYTES + 1);
	dmabuf_rw_file_close(file);
	/* Without the flag nobody asks. */
	file = create(BYTES);
	assert_int_equal(dmabuf_rw_file_refusal(file, NULL), 0);
	assert_int_equal(seen.binds, 1);
	dmabuf_rw_file_close(file);
}

static void a_file_for_a_buffer_that_cannot_go_direct_gets_no_zeros(void **state)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file *file;
	struct stat st;

	(void)state;
	failing.zeroes = 0;
	failing.bind = EADDRNOTAVAIL;
	failing.bind_reason = DMABUF_RW_REASON_NOT_TRANSLATED;
	assert_int_equal(create_for_buffer(BYTES + 1, NULL, &file), 0);
	assert_int_equal(dmabuf_rw_file_refusal(file, &error), 1);
	assert_int_equal(error.call, DMABUF_RW_CALL_BIND);
	assert_int_equal(error.err, EADDRNOTAVAIL);
	assert_int_equal(error.reason, DMABUF_RW_REASON_NOT_TRANSLATED);
	assert_int_equal(seen.binds, 1);
	assert_int_equal(seen.written, 4096);
	assert_false(seen.zeroed);
	assert_int_equal(seen.reserved, WHOLE);
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, BYTES + 1);
	dmabuf_rw_file_close(file);
	/* Where space cannot be reserved it has its size. */
	failing.fallocate = EOPNOTSUPP;
	assert_int_equal(create_for_buffer(BYTES + 1, NULL, &file), 0);
	assert_int_equal(fstat(dmabuf_rw_file_fd(file), &st), 0);
	assert_int_equal(st.st_size, BYTES + 1);
	dmabuf_rw_file_close(file);
}

/* As on an XFS that gives no file blocks of its own. */
static void a_file_whose_blocks_the_module_cannot_find_gets_no_zeros(void **state)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file *file;

	(void)state;
	failing.clone = true;
	assert_int_equal(create_for_buffer(BYTES, NULL, &file), 0);
	assert_int_equal(dmabuf_rw_file_refusal(file, &error), 1);
	assert_int_equal(error.call, DMABUF_RW_CALL_BIND);
	assert_int_equal(error.reason, DMABUF_RW_REASON_CLONE);
	assert_int_equal(seen.written, 4096);
	dmabuf_rw_file_close(file);
}

static void without_a_device_a_file_for_a_buffer_gets_no_zeros(void **state)
{
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts),
					    .flags = DMABUF_RW_FILE_FOR_BUFFER, .dmabuf_fd = 11 };
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file *file;

	(void)state;
	assert_int_equal(dmabuf_rw_file_create(path, BYTES, &opts, &file), 0);
	assert_int_equal(dmabuf_rw_file_refusal(file, &error), 1);
	assert_int_equal(error.reason, DMABUF_RW_REASON_NO_DEVICE);
	assert_int_equal(seen.written, 0);
	assert_int_equal(seen.reserved, BYTES);
	dmabuf_rw_file_close(file);
	failing.fallocate = ENOSPC;
	assert_int_equal(dmabuf_rw_file_create(path, BYTES, &opts, &file), -ENOSPC);
}

static void a_refusal_of_the_call_itself_refuses_the_file(void **state)
{
	struct dmabuf_rw_file *file = (void *)1;
	struct dmabuf_rw_error error;

	(void)state;
	failing.bind = EBADFD;
	failing.bind_reason = DMABUF_RW_REASON_NOT_DMABUF;
	assert_int_equal(create_for_buffer(BYTES, &error, &file), -EBADFD);
	assert_int_equal(error.call, DMABUF_RW_CALL_BIND);
	assert_int_equal(error.reason, DMABUF_RW_REASON_NOT_DMABUF);
	assert_ptr_equal(file, (void *)1);
	/* An empty file is bound by nobody. */
	assert_int_equal(create_for_buffer(0, &error, &file), 0);
	assert_int_equal(dmabuf_rw_file_refusal(file, NULL), 0);
	assert_int_equal(seen.binds, 1);
	dmabuf_rw_file_close(file);
}

/* ---- names --------------------------------------------------------------------------- */

static int store_in_a_root_without_proc(void)
{
	struct dmabuf_rw_file *file;
	struct stat st;

	WANT(!chroot(dir) && !chdir("/"));
	WANT(access("/proc", F_OK));
	WANT(!dmabuf_rw_file_create("/target", 5000, NULL, &file));
	WANT(!dmabuf_rw_file_commit(file));
	WANT(!stat("/target", &st) && st.st_size == 5000);
	dmabuf_rw_file_close(file);
	return 0;
}

static void without_proc_a_file_gets_its_name(void **state)
{
	(void)state;
	in_child(store_in_a_root_without_proc);
	assert_int_equal(nr_names(), 1);
	/* And an old kernel's users that are not root. */
	failing.link = ENOENT;
	in_child(store_in_a_root_without_proc);
	assert_int_equal(nr_names(), 1);
}

static void where_nothing_could_name_it_a_file_has_a_name_from_the_beginning(void **state)
{
	struct dmabuf_rw_file *file;

	(void)state;
	failing.link = ENOENT;
	file = create(3);
	assert_int_equal(nr_names(), 1);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(nr_names(), 1);
	dmabuf_rw_file_close(file);
}

static void an_interruption_leaves_no_name(void **state)
{
	int *const calls[] = { &failing.fallocate, &failing.zeroes, &failing.write,
			       &failing.mkname };
	struct dmabuf_rw_file *file;
	size_t i;

	(void)state;
	for (i = 0; i < 2 * COUNT(calls); i++) {
		failing.zeroes = EOPNOTSUPP;
		failing.tmpfile = i & 1 || calls[i / 2] == &failing.mkname ? EOPNOTSUPP : 0;
		*calls[i / 2] = EINTR;
		assert_int_equal(dmabuf_rw_file_create(path, BYTES, NULL, &file), -EINTR);
		assert_int_equal(nr_names(), 0);
		*calls[i / 2] = 0;
	}
	failing.zeroes = EOPNOTSUPP;
	failing.tmpfile = 0;
	file = create(3);
	failing.link = EINTR;
	assert_int_equal(dmabuf_rw_file_commit(file), -EINTR);
	assert_int_equal(nr_names(), 0);
	failing.link = 0;
	assert_int_equal(dmabuf_rw_file_commit(file), 0);
	dmabuf_rw_file_close(file);
}

/* ---- the process and its limits --------------------------------------------------------- */

static struct dmabuf_rw_file *inherited;

static int use_the_parents_file(void)
{
	WANT(dmabuf_rw_file_commit(inherited) == -ECHILD);
	WANT(__real_pwrite(dmabuf_rw_file_fd(inherited), "new", 3, 0) == 3);
	dmabuf_rw_file_close(inherited);
	WANT(nr_names() == 1);
	return 0;
}

static void a_child_can_write_to_a_file_and_close_it_but_not_commit_it(void **state)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_FILE, .err = ECHILD };

	(void)state;
	failing.tmpfile = EOPNOTSUPP;
	inherited = create(3);
	in_child(use_the_parents_file);
	assert_int_equal(nr_names(), 1);
	assert_int_equal(dmabuf_rw_file_commit(inherited), 0);
	expect_old("new");
	dmabuf_rw_file_close(inherited);
	assert_non_null(strstr(dmabuf_rw_error_cause(&error), "process"));
}

static int store_with_closed_standard_descriptors(void)
{
	struct dmabuf_rw_file *file;
	int i;

	for (i = 0; i < 2; i++) {
		close(0);
		close(1);
		close(2);
		failing.tmpfile = i ? EOPNOTSUPP : 0;
		WANT(!dmabuf_rw_file_create(path, 3, NULL, &file));
		WANT(dmabuf_rw_file_fd(file) > 2);
		WANT(fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0);
		WANT(fcntl(dmabuf_rw_file_fd(file), F_GETFD) == FD_CLOEXEC);
		dmabuf_rw_file_close(file);
	}
	return 0;
}

static void a_file_is_never_a_standard_descriptor(void **state)
{
	(void)state;
	in_child(store_with_closed_standard_descriptors);
}

/* SIGXFSZ would end it. */
static int store_beyond_the_limit(void)
{
	const struct rlimit limit = { .rlim_cur = 8192, .rlim_max = 8192 };
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_file *file;

	WANT(!setrlimit(RLIMIT_FSIZE, &limit));
	WANT(dmabuf_rw_file_create(path, 8193, &opts, &file) == -EFBIG);
	WANT(error.err == EFBIG && error.call == DMABUF_RW_CALL_FILE);
	WANT(strstr(dmabuf_rw_error_cause(&error), "ulimit -f"));
	WANT(strstr(dmabuf_rw_error_cause(&error), "file system"));
	WANT(!strstr(dmabuf_rw_error_remedy(&error), "kernel log"));
	WANT(seen.reserved == 0);
	WANT(!dmabuf_rw_file_create(path, 8192, &opts, &file));
	WANT(!dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	return 0;
}

static void a_limit_of_the_process_refuses_and_does_not_kill(void **state)
{
	(void)state;
	in_child(store_beyond_the_limit);
}

static void *store_while_cancelled(void *arg)
{
	struct dmabuf_rw_file *file;

	pthread_cancel(pthread_self());
	if (!dmabuf_rw_file_create(path, 3, NULL, &file)) {
		*(int *)arg = dmabuf_rw_file_commit(file);
		dmabuf_rw_file_close(file);
	}
	pthread_testcancel();
	return NULL;
}

static void a_thread_is_not_cancelled_in_the_middle(void **state)
{
	pthread_t thread;
	int ret = -1;
	void *end;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, store_while_cancelled, &ret), 0);
	assert_int_equal(pthread_join(thread, &end), 0);
	assert_int_equal(ret, 0);
	assert_ptr_equal(end, PTHREAD_CANCELED);
	assert_int_equal(nr_names(), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		FILE_TEST(a_new_file_has_its_exact_size_in_zeros_that_were_written),
		FILE_TEST(where_the_kernel_writes_zeros_the_library_does_not),
		FILE_TEST(committing_replaces_the_old_file_in_one_step),
		FILE_TEST(a_file_that_is_not_committed_leaves_what_was_there),
		FILE_TEST(a_file_system_without_nameless_files_is_served),
		FILE_TEST(the_writing_of_zeros_can_be_interrupted),
		FILE_TEST(a_failed_renaming_leaves_no_trace),
		FILE_TEST(a_failure_says_why_and_leaves_nothing),
		FILE_TEST(permissions_are_those_asked_for),
		FILE_TEST(what_was_lost_is_said_by_every_commit),
		FILE_TEST(a_file_for_a_buffer_that_goes_direct_is_filled),
		FILE_TEST(a_file_for_a_buffer_that_cannot_go_direct_gets_no_zeros),
		FILE_TEST(a_file_whose_blocks_the_module_cannot_find_gets_no_zeros),
		FILE_TEST(without_a_device_a_file_for_a_buffer_gets_no_zeros),
		FILE_TEST(a_refusal_of_the_call_itself_refuses_the_file),
		FILE_TEST(without_proc_a_file_gets_its_name),
		FILE_TEST(where_nothing_could_name_it_a_file_has_a_name_from_the_beginning),
		FILE_TEST(an_interruption_leaves_no_name),
		FILE_TEST(a_child_can_write_to_a_file_and_close_it_but_not_commit_it),
		FILE_TEST(a_file_is_never_a_standard_descriptor),
		FILE_TEST(a_limit_of_the_process_refuses_and_does_not_kill),
		FILE_TEST(a_thread_is_not_cancelled_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
