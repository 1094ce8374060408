/* SPDX-License-Identifier: MIT */
/* fixture.h - one binding of the fake module, for tests of transfers. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <libdmabuf_rw.h>

#include "fake_kernel.h"
#include "unit.h"

static struct dmabuf_rw_binding *binding;

static int bind_setup(void **state)
{
	struct dmabuf_rw_device *device;

	(void)state;
	fake_reset();
	if (dmabuf_rw_device_open(NULL, &device) ||
	    dmabuf_rw_binding_create(device, 11, 12, NULL, &binding))
		return -1;
	dmabuf_rw_device_close(device);
	return 0;
}

static int bind_teardown(void **state)
{
	(void)state;
	dmabuf_rw_binding_destroy(binding);
	if (fake.fds || fake.rings)
		return -1;
	fake_reset();
	return 0;
}

#define TRANSFER_TEST(name) cmocka_unit_test_setup_teardown(name, bind_setup, bind_teardown)

#endif
