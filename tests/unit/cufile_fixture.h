/* SPDX-License-Identifier: MIT */
/* cufile_fixture.h - files in a directory of their own, and memory of a device that is a fake. */
#ifndef CUFILE_FIXTURE_H
#define CUFILE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gpu_vendor.h"
#define CUFILE_HAS_CUDA_H	/* the types are there */
typedef int CUresult;
#include "cufile/cufile.h"
#include "gpu/gpu_memory.h"
#include "fake_module.h"
#include "unit.h"

#define KIB (1UL << 10)
#define MIB (1UL << 20)

static char dir[64];
static CUcontext context;
static const struct vendor *v = &cuda;	/* whose driver is tested, if the test does not say */

static inline const char *name_of(const char *name)
{
	static __thread char path[4][128];
	static __thread unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static inline int setup(void **state)
{
	v = state && *state ? *state : &cuda;
	fake_cuda = (struct fake_gpu){ .memfd = true, .writes_ordering = 200 };
	fake_hsa = fake_cuda;
	module = (struct fake_module){ .bindings = module.bindings };
	snprintf(dir, sizeof(dir), "/tmp/cufile-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0))
		return -1;
	return cuCtxSetCurrent(context);
}

/* Nothing may be left: neither bindings nor memory of the device. */
static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	gpu_drop_idle();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) || module.bindings || v->fake->blocks || v->fake->forbidden) {
		print_error("left: %u bindings, %u blocks of memory, %u forbidden calls\n",
			    module.bindings, v->fake->blocks, v->fake->forbidden);
		return -1;
	}
	return 0;
}

#define CUFILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define OK(call) assert_int_equal((call).err, CU_FILE_SUCCESS)
#define FAILS(call, error) assert_int_equal((call).err, error)

static inline unsigned char pattern(unsigned int tag, uint64_t i)
{
	return (i % 251) + tag * 17 + i / 65536;
}

static inline CUdeviceptr device_memory(size_t bytes)
{
	CUdeviceptr p = v->alloc(bytes);

	assert_true(p);
	memset(v->at(p), 0xee, bytes);
	return p;
}

static inline void device_fill(CUdeviceptr p, size_t len, unsigned int tag, uint64_t pos)
{
	unsigned char *at = v->at(p);
	size_t i;

	for (i = 0; i < len; i++)
		at[i] = pattern(tag, pos + i);
}

static inline void expect_device(CUdeviceptr p, size_t len, unsigned int tag, uint64_t pos)
{
	const unsigned char *at = v->at(p);
	size_t i;

	for (i = 0; i < len; i++)
		if (at[i] != pattern(tag, pos + i))
			fail_msg("byte %zu of the memory is wrong", i);
}

static inline void expect_untouched(CUdeviceptr p, size_t len)
{
	const unsigned char *at = v->at(p);
	size_t i;

	for (i = 0; i < len; i++)
		if (at[i] != 0xee)
			fail_msg("byte %zu of the memory was touched", i);
}

/* A file of @bytes, and a descriptor of it with @flags. */
static inline int new_file(const char *name, size_t bytes, unsigned int tag, int flags)
{
	unsigned char *mem = malloc(bytes + 1);
	int fd = open(name_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
	size_t i;

	assert_true(fd >= 0);
	for (i = 0; i < bytes; i++)
		mem[i] = pattern(tag, i);
	assert_int_equal(write(fd, mem, bytes), bytes);
	free(mem);
	close(fd);
	fd = open(name_of(name), flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void expect_file(const char *name, uint64_t off, size_t len, unsigned int tag,
			       uint64_t pos)
{
	unsigned char *mem = malloc(len);
	int fd = open(name_of(name), O_RDONLY);
	size_t i;

	assert_int_equal(pread(fd, mem, len, off), len);
	for (i = 0; i < len; i++)
		if (mem[i] != pattern(tag, pos + i))
			fail_msg("byte %zu of the file is wrong", i);
	free(mem);
	close(fd);
}

static inline CUfileHandle_t handle_of(int fd)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD, .handle.fd = fd };
	CUfileHandle_t fh = NULL;

	OK(cuFileHandleRegister(&fh, &descr));
	assert_non_null(fh);
	return fh;
}

static inline int handle_error(int fd)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD, .handle.fd = fd };
	CUfileHandle_t fh;

	return cuFileHandleRegister(&fh, &descr).err;
}

static inline void drop(CUfileHandle_t fh, int fd)
{
	cuFileHandleDeregister(fh);
	close(fd);
}

/* All descriptors but @left are in use from here on, until given back. */
static struct rlimit usual;

static inline void leave_descriptors(int left)
{
	int fd = open("/dev/null", O_RDONLY), high;
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	limit = usual;
	/* There are no gaps below it. */
	high = fcntl(fd, F_DUPFD, 0);
	close(fd);
	close(high);
	limit.rlim_cur = fd + left;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static inline void give_descriptors_back(void)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

static inline void *at(CUdeviceptr p)
{
	return (void *)(uintptr_t)p;
}

/* The file "a", of 3 MiB with tag 1, is read into @p and written from there, through memory. */
static inline void expect_copies(CUfileHandle_t fh, CUdeviceptr p)
{
	assert_int_equal(cuFileRead(fh, at(p), 3 * MIB, 0, 0), 3 * MIB);
	expect_device(p, 3 * MIB, 1, 0);
	device_fill(p, 4 * MIB, 2, 0);
	assert_int_equal(cuFileWrite(fh, at(p), 3 * MIB, 0, 0), 3 * MIB);
	expect_file("a", 0, 3 * MIB, 2, 0);
	assert_int_equal(module.moved[0] + module.moved[1], 0);
	assert_true(v->fake->copies > 0);
}

#endif
