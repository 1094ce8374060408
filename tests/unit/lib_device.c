// SPDX-License-Identifier: MIT
/* lib_device.c - opening, binding and asking, against the fake module. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libdmabuf_rw.h>

#include "fake_kernel.h"
#include "private.h"
#include "unit.h"

static int setup(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static struct dmabuf_rw_device *open_device(void)
{
	struct dmabuf_rw_device *device = NULL;

	assert_int_equal(dmabuf_rw_device_open(NULL, &device), 0);
	assert_non_null(device);
	return device;
}

static void opening_takes_the_default_node_or_the_one_named(void **state)
{
	struct dmabuf_rw_device_opts opts = { .size = sizeof(opts), .path = "/dev/other" };
	struct dmabuf_rw_device *device = open_device();

	(void)state;
	assert_string_equal(fake.opened, "/dev/dmabuf_rw");
	assert_true(dmabuf_rw_device_fd(device) >= 0);
	dmabuf_rw_device_close(device);
	assert_int_equal(dmabuf_rw_device_open(&opts, &device), 0);
	assert_string_equal(fake.opened, "/dev/other");
	dmabuf_rw_device_close(device);
	assert_int_equal(fake.fds, 0);
}

#define SAME DMABUF_RW_ABI_MAJOR

static void a_failed_open_says_why_and_leaks_nothing(void **state)
{
	static const struct {
		int open_errno, query_errno;
		uint16_t major;
		int err;
		enum dmabuf_rw_call call;
		uint32_t reason;
	} cases[] = {
		{ ENOENT, 0, SAME, ENOENT, DMABUF_RW_CALL_OPEN, 0 },
		{ EACCES, 0, SAME, EACCES, DMABUF_RW_CALL_OPEN, 0 },
		{ 0, ENOTTY, SAME, ENOTTY, DMABUF_RW_CALL_QUERY, 0 },
		{ 0, 0, SAME - 1, EPROTONOSUPPORT, DMABUF_RW_CALL_QUERY,
		  DMABUF_RW_REASON_MODULE_OLDER },
		{ 0, 0, SAME + 1, EPROTONOSUPPORT, DMABUF_RW_CALL_QUERY,
		  DMABUF_RW_REASON_MODULE_NEWER },
	};
	struct dmabuf_rw_device *device = (void *)1;
	struct dmabuf_rw_error error;
	struct dmabuf_rw_device_opts opts = { .size = sizeof(opts), .error = &error };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		fake.open_errno = cases[i].open_errno;
		fake.query_errno = cases[i].query_errno;
		fake.abi_major = cases[i].major;
		assert_int_equal(dmabuf_rw_device_open(&opts, &device), -cases[i].err);
		assert_int_equal(error.err, cases[i].err);
		assert_int_equal(error.call, cases[i].call);
		assert_int_equal(error.reason, cases[i].reason);
		assert_int_equal(fake.fds, 0);
		assert_ptr_equal(device, (void *)1);
	}
}

static void options_follow_the_rule_of_sized_structures(void **state)
{
	struct dmabuf_rw_device *device;
	struct {
		struct dmabuf_rw_device_opts opts;
		uint64_t newer;
	} longer = { .opts = { .size = sizeof(longer) } };
	struct dmabuf_rw_device_opts opts = { .size = 8 };

	(void)state;
	assert_int_equal(dmabuf_rw_device_open(&opts, &device), -EINVAL);
	opts.size = sizeof(opts);
	opts.flags = 1;
	assert_int_equal(dmabuf_rw_device_open(&opts, &device), -EINVAL);
	longer.newer = 1;
	assert_int_equal(dmabuf_rw_device_open(&longer.opts, &device), -E2BIG);
	longer.newer = 0;
	assert_int_equal(dmabuf_rw_device_open(&longer.opts, &device), 0);
	dmabuf_rw_device_close(device);
}

/* The size of nothing, of something shorter, and of something newer that is in use. */
static void options_of_a_wrong_size_are_an_error_that_is_told(void **state)
{
	struct dmabuf_rw_device *device = open_device();
	struct {
		struct dmabuf_rw_binding_opts opts;
		uint64_t newer;
	} longer = { .newer = 1 };
	static const struct {
		size_t size;
		int err;
		bool told;
	} cases[] = {
		{ 0, EINVAL, false },
		{ sizeof(size_t), EINVAL, false },
		{ sizeof(struct dmabuf_rw_opts_head), EINVAL, true },
		{ (size_t)-1, EINVAL, true },
		{ sizeof(longer), E2BIG, true },
	};
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_error error;
	char text[512];
	size_t i;

	(void)state;
	longer.opts.error = &error;
	for (i = 0; i < COUNT(cases); i++) {
		error = (struct dmabuf_rw_error){ 0 };
		longer.opts.size = cases[i].size;
		assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, &longer.opts,
							  &binding), -cases[i].err);
		assert_int_equal(error.err, cases[i].told ? cases[i].err : 0);
		assert_int_equal(error.call, cases[i].told ? DMABUF_RW_CALL_BIND : 0);
	}
	dmabuf_rw_error_format(&error, text, sizeof(text));
	assert_non_null(strstr(text, "install a newer one"));
	dmabuf_rw_device_close(device);
}

/* Rubbish, as in memory that nobody has set. */
static void a_size_that_cannot_be_is_refused_before_anything_is_written(void **state)
{
	static const uint32_t sizes[] = { 0, 4, 0xa5a5a5a5, UINT32_MAX };
	struct dmabuf_rw_device *device = open_device();
	struct dmabuf_rw_binding *binding;
	union {
		struct dmabuf_rw_info info;
		struct dmabuf_rw_query query;
		struct dmabuf_rw_stats stats;
	} u;
	size_t i;

	(void)state;
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, NULL, &binding), 0);
	for (i = 0; i < COUNT(sizes); i++) {
		memset(&u, 0xa5, sizeof(u));
		u.info.size = sizes[i];
		assert_int_equal(dmabuf_rw_binding_info(binding, &u.info), -EINVAL);
		assert_int_equal(dmabuf_rw_device_query(device, &u.query), -EINVAL);
		u.stats.size = sizes[i];
		assert_int_equal(dmabuf_rw_binding_stats(binding, &u.stats), -EINVAL);
		assert_int_equal(u.info.resv[0], 0xa5a5a5a5a5a5a5a5);
	}
	dmabuf_rw_binding_destroy(binding);
	dmabuf_rw_device_close(device);
}

static void binding_hands_over_both_descriptors_and_the_flags(void **state)
{
	struct dmabuf_rw_device *device = open_device();
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = DMABUF_RW_BIND_DEVICE_MEMORY,
	};
	struct dmabuf_rw_info info;
	struct dmabuf_rw_binding *binding;

	(void)state;
	memset(&info, 0xee, sizeof(info));
	info.size = sizeof(info);
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, &opts, &binding), 0);
	assert_int_equal(fake.bind.dmabuf_fd, 11);
	assert_int_equal(fake.bind.file_fd, 12);
	assert_int_equal(fake.bind.flags, DMABUF_RW_BIND_DEVICE_MEMORY);
	assert_int_equal(fake.bind.reason | fake.bind.detail, 0);
	dmabuf_rw_device_close(device);

	/* The binding lives on. */
	assert_int_equal(dmabuf_rw_binding_info(binding, &info), 0);
	assert_int_equal(info.file_bytes, fake.file_bytes);
	dmabuf_rw_binding_destroy(binding);
	assert_int_equal(fake.fds, 0);
}

static void a_refused_binding_tells_reason_and_exporters_errno(void **state)
{
	struct dmabuf_rw_device *device = open_device();
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_binding *binding = (void *)1;

	(void)state;
	fake.bind_errno = EREMOTEIO;
	fake.bind_reason = DMABUF_RW_REASON_MAP;
	fake.bind_detail = EINVAL;
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, &opts, &binding),
			 -EREMOTEIO);
	assert_int_equal(error.call, DMABUF_RW_CALL_BIND);
	assert_int_equal(error.err, EREMOTEIO);
	assert_int_equal(error.reason, DMABUF_RW_REASON_MAP);
	assert_int_equal(error.detail, EINVAL);
	assert_ptr_equal(binding, (void *)1);
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, NULL, &binding),
			 -EREMOTEIO);
	dmabuf_rw_device_close(device);
	assert_int_equal(fake.fds, 0);
}

static void a_binding_that_cannot_be_asked_is_closed_again(void **state)
{
	struct dmabuf_rw_device *device = open_device();
	struct dmabuf_rw_binding *binding;

	(void)state;
	fake.info_errno = ENOMEM;
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, NULL, &binding),
			 -ENOMEM);
	dmabuf_rw_device_close(device);
	assert_int_equal(fake.fds, 0);
}

static void only_a_binding_can_be_adopted_and_then_it_is_owned(void **state)
{
	struct dmabuf_rw_device *device = open_device();
	struct dmabuf_rw_binding *binding, *adopted;
	int fd;

	(void)state;
	assert_int_equal(dmabuf_rw_binding_create(device, 11, 12, NULL, &binding), 0);
	fd = dmabuf_rw_binding_fd(binding);
	assert_int_equal(dmabuf_rw_binding_adopt(dmabuf_rw_device_fd(device), &adopted),
			 -ENOTTY);
	assert_int_equal(dmabuf_rw_binding_adopt(3, &adopted), -EBADF);
	assert_int_equal(fake.fds, 2);

	assert_int_equal(dmabuf_rw_binding_adopt(fd, &adopted), 0);
	assert_int_equal(dmabuf_rw_binding_fd(adopted), fd);
	dmabuf_rw_binding_destroy(adopted);
	assert_int_equal(fake.fds, 1);
	dmabuf_rw_device_close(device);
	/* Its descriptor is gone; only the memory of the first is left. */
	free(binding);
}

static void destroying_nothing_is_allowed(void **state)
{
	(void)state;
	dmabuf_rw_device_close(NULL);
	dmabuf_rw_binding_destroy(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(opening_takes_the_default_node_or_the_one_named,
				       setup),
		cmocka_unit_test_setup(a_failed_open_says_why_and_leaks_nothing, setup),
		cmocka_unit_test_setup(options_follow_the_rule_of_sized_structures, setup),
		cmocka_unit_test_setup(options_of_a_wrong_size_are_an_error_that_is_told, setup),
		cmocka_unit_test_setup(
			a_size_that_cannot_be_is_refused_before_anything_is_written, setup),
		cmocka_unit_test_setup(binding_hands_over_both_descriptors_and_the_flags,
				       setup),
		cmocka_unit_test_setup(a_refused_binding_tells_reason_and_exporters_errno,
				       setup),
		cmocka_unit_test_setup(a_binding_that_cannot_be_asked_is_closed_again, setup),
		cmocka_unit_test_setup(only_a_binding_can_be_adopted_and_then_it_is_owned,
				       setup),
		cmocka_unit_test(destroying_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
