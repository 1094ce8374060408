/* SPDX-License-Identifier: MIT */
/*
 * fixture_kernel.h - bindings of both direct ways, against the fake of the kernel's own interface
 * and the fake module.
 *
 * BOTH() is one test by each way, KERNEL_TEST() one of the former only.
 */
#ifndef FIXTURE_KERNEL_H
#define FIXTURE_KERNEL_H

#include "fixture_bounce.h"

#define BYTES	(4 << 20)
#define LBA	512

static bool by_kernel;		/* the way that is tried */

static inline int kernel_setup(void **state)
{
	int ret = bounce_setup(state);

	by_kernel = true;
	fake.kernel_way = true;
	fake.lba = LBA;
	fake.buf_align = 4;
	fake_pair(BYTES, BYTES);
	return ret;
}

static inline int module_setup(void **state)
{
	int ret = kernel_setup(state);

	by_kernel = false;
	fake.read_align = fake.write_align = LBA;
	fake.no_partial_end = true;
	return ret;
}

static inline struct dmabuf_rw_binding_opts way_opts(bool bounce)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .error = &bind_error, .allow_bounce = bounce,
	};

	return opts;
}

static inline void bind_way(bool bounce)
{
	struct dmabuf_rw_binding_opts opts = way_opts(bounce);

	assert_int_equal(bind_pair(by_kernel ? NULL : device, fake.dmabuf_fd, fake.file_fd, &opts),
			 0);
	assert_int_equal(dmabuf_rw_binding_path(binding) & ~DMABUF_RW_PATH_BOUNCED,
			 by_kernel ? DMABUF_RW_PATH_KERNEL : DMABUF_RW_PATH_MODULE);
}

static inline uint32_t path_direct(void)
{
	return by_kernel ? DMABUF_RW_PATH_KERNEL : DMABUF_RW_PATH_MODULE;
}

#define KERNEL_TEST(name) cmocka_unit_test_setup_teardown(name, kernel_setup, bounce_teardown)
#define BOTH(name) \
	{ #name "_by_the_module", name, module_setup, bounce_teardown, NULL }, \
	{ #name "_by_the_kernel", name, kernel_setup, bounce_teardown, NULL }

#endif
