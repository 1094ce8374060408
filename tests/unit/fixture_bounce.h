/* SPDX-License-Identifier: MIT */
/*
 * fixture_bounce.h - bindings of the fake module that may bounce. A test makes its pair
 * and its binding itself; what it leaves is undone, and leaks fail it.
 */
#ifndef FIXTURE_BOUNCE_H
#define FIXTURE_BOUNCE_H

#include <errno.h>
#include <fcntl.h>
#include <libdmabuf_rw.h>
#include <stdio.h>

#include "fake_kernel.h"
#include "unit.h"

static struct dmabuf_rw_device *device;
static struct dmabuf_rw_binding *binding;
static struct dmabuf_rw_error bind_error;

static inline int bounce_setup(void **state)
{
	(void)state;
	fake_reset();
	binding = NULL;
	return dmabuf_rw_device_open(NULL, &device);
}

static inline void close_device(void)
{
	dmabuf_rw_device_close(device);
	device = NULL;
}

static inline void unbind(void)
{
	dmabuf_rw_binding_destroy(binding);
	binding = NULL;
}

static inline int bounce_teardown(void **state)
{
	(void)state;
	unbind();
	close_device();
	if (fake.fds || fake.real_fds || fake.rings || fake.maps || fake.open_syncs)
		return -1;
	fake_reset();
	return 0;
}

/* Another opening of the same, which the fakes know as the test's. */
static inline int open_anew(int fd, int flags)
{
	char path[32];
	int anew;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	anew = openat(AT_FDCWD, path, flags | O_CLOEXEC);
	assert_true(anew >= 0);
	return anew;
}

/* Small chunks, so that a little data is many. */
static inline struct dmabuf_rw_binding_opts bounce_opts(void)
{
	return (struct dmabuf_rw_binding_opts){
		.size = sizeof(struct dmabuf_rw_binding_opts),
		.error = &bind_error,
		.allow_bounce = 1,
		.bounce_chunk = DMABUF_RW_BOUNCE_MIN_CHUNK,
		.bounce_depth = 4,
	};
}

static inline void refuse(int err, uint32_t reason)
{
	fake.bind_errno = err;
	fake.bind_reason = reason;
}

/* Null options are bounce_opts(). */
static inline int bind_pair(struct dmabuf_rw_device *dev, int dmabuf_fd, int file_fd,
			    const struct dmabuf_rw_binding_opts *opts)
{
	struct dmabuf_rw_binding_opts usual = bounce_opts();

	unbind();
	return dmabuf_rw_binding_create(dev, dmabuf_fd, file_fd, opts ? opts : &usual,
					&binding);
}

static inline int bind_bounce(const struct dmabuf_rw_binding_opts *opts)
{
	return bind_pair(device, fake.dmabuf_fd, fake.file_fd, opts);
}

/* @plain: the file refuses O_DIRECT. */
static inline void bounce_only_binding(uint64_t file_bytes, uint64_t buf_bytes, bool plain)
{
	fake_pair(file_bytes, buf_bytes);
	fake.direct_errno = plain ? EINVAL : 0;
	fake.io_bad_errno = 0;
	fake.io_max = 0;
	refuse(EOPNOTSUPP, DMABUF_RW_REASON_LAYOUT);
	assert_int_equal(bind_bounce(NULL), 0);
}

/* One that goes direct within a drive's alignments; without SGLs, those of reads as well. */
static inline void mixed_binding(uint64_t file_bytes, uint64_t buf_bytes,
				 uint32_t file_align, uint32_t buf_align)
{
	fake_pair(file_bytes, buf_bytes);
	fake.bind_errno = 0;
	fake.read_align = file_align;
	fake.write_align = file_align;
	fake.buf_align = buf_align;
	assert_int_equal(bind_bounce(NULL), 0);
}

/* A regular file, on a drive that takes SGLs if @sgl. */
static inline void file_binding(uint64_t file_bytes, uint64_t buf_bytes, bool sgl)
{
	fake.info_flags = DMABUF_RW_INFO_REGULAR;
	fake.no_partial_end = !sgl;
	mixed_binding(file_bytes, buf_bytes, 512, sgl ? 1 : 4);
	unbind();
	fake.read_align = sgl ? 1 : 512;
	assert_int_equal(bind_bounce(NULL), 0);
}

#define PATH_MIXED (DMABUF_RW_PATH_MODULE | DMABUF_RW_PATH_BOUNCED)

#define CHUNK DMABUF_RW_BOUNCE_MIN_CHUNK

static struct dmabuf_rw_result result;	/* of the last move() */

static inline ssize_t move(bool write, uint64_t file_off, uint64_t buf_off, uint64_t len)
{
	result = (struct dmabuf_rw_result){ .size = sizeof(result) };
	return (write ? dmabuf_rw_write : dmabuf_rw_read)(binding, file_off, buf_off, len, 0,
							  &result);
}

/* What a range of the buffer, or of the file, holds if nothing was moved there. */
static inline void expect_buffer_untouched(uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (fake.buffer[from] != fake_buffer_byte(from))
			fail_msg("byte %llu of the buffer was touched",
				 (unsigned long long)from);
}

static inline void expect_file_untouched(uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (fake.file[from] != fake_file_byte(from))
			fail_msg("byte %llu of the file was touched",
				 (unsigned long long)from);
}

#define BOUNCE_TEST(name) cmocka_unit_test_setup_teardown(name, bounce_setup, bounce_teardown)

#endif
