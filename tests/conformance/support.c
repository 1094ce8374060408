// SPDX-License-Identifier: MIT
/* support.c - files and memory with content that can be told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

void use_device(void)
{
	void *context;
	int device = 0, err;

	if (!cu.Init || !cu.DevicePrimaryCtxRetain || !cu.CtxSetCurrent || !cu.MemAlloc)
		give_up("the CUDA driver has not the functions that are needed");
	err = cu.Init(0);
	if (!err && cu.DeviceGet)
		err = cu.DeviceGet(&device, 0);
	if (!err)
		err = cu.DevicePrimaryCtxRetain(&context, device);
	if (!err)
		err = cu.CtxSetCurrent(context);
	if (err)
		give_up("there is no device to be had: CUDA error %d", err);
}

cuda_ptr device_memory(size_t bytes)
{
	void *fresh = malloc(bytes);
	cuda_ptr p;

	if (!fresh)
		give_up("no memory");
	memset(fresh, FRESH, bytes);
	if (cu.MemAlloc(&p, bytes) || cu.MemcpyHtoD(p, fresh, bytes))
		give_up("no device memory of %zu bytes", bytes);
	free(fresh);
	return p;
}

unsigned char content(unsigned int tag, uint64_t i)
{
	return (i % 227 + tag * 29 + i / 65536) % 0xee;
}

void fill_host(void *mem, size_t len, unsigned int tag, uint64_t pos)
{
	unsigned char *m = mem;
	size_t i;

	for (i = 0; i < len; i++)
		m[i] = content(tag, pos + i);
}

void fill_device(cuda_ptr p, size_t len, unsigned int tag, uint64_t pos)
{
	void *mem = malloc(len + 1);

	if (!mem)
		give_up("no memory");
	fill_host(mem, len, tag, pos);
	if (cu.MemcpyHtoD(p, mem, len))
		give_up("device memory cannot be filled");
	free(mem);
}

bool host_is(const void *mem, size_t len, unsigned int tag, uint64_t pos)
{
	const unsigned char *m = mem;
	size_t i;

	for (i = 0; i < len; i++)
		if (m[i] != content(tag, pos + i))
			return false;
	return true;
}

bool host_is_fresh(const void *mem, size_t len)
{
	const unsigned char *m = mem;

	return !len || (m[0] == FRESH && !memcmp(m, m + 1, len - 1));
}

static void *copy_of_device(cuda_ptr p, size_t len)
{
	void *mem = malloc(len + 1);

	if (!mem || (len && cu.MemcpyDtoH(mem, p, len)))
		give_up("device memory cannot be read");
	return mem;
}

bool device_is(cuda_ptr p, size_t len, unsigned int tag, uint64_t pos)
{
	void *mem = copy_of_device(p, len);
	bool is = host_is(mem, len, tag, pos);

	free(mem);
	return is;
}

bool device_is_fresh(cuda_ptr p, size_t len)
{
	void *mem = copy_of_device(p, len);
	bool is = host_is_fresh(mem, len);

	free(mem);
	return is;
}

const char *path_of(const char *name)
{
	static char paths[4][64];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "./%s", name);
	return path;
}

int new_file(const char *name, size_t bytes, unsigned int tag, int flags)
{
	int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unsigned char *mem = malloc(bytes + 1);

	if (fd < 0 || !mem)
		give_up("%s: %s", name, strerror(errno));
	fill_host(mem, bytes, tag, 0);
	/* On the drive, and not in memory only. */
	if (write(fd, mem, bytes) != (ssize_t)bytes || fsync(fd) ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		give_up("%s: %s", name, strerror(errno));
	free(mem);
	close(fd);
	fd = open(path_of(name), flags | O_CLOEXEC);
	/* Not every file system has it. */
	if (fd < 0 && errno == EINVAL)
		fd = open(path_of(name), (flags & ~O_DIRECT) | O_CLOEXEC);
	if (fd < 0)
		give_up("%s: %s", name, strerror(errno));
	return fd;
}

bool file_is(const char *name, uint64_t off, size_t len, unsigned int tag, uint64_t pos)
{
	int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
	unsigned char *mem = malloc(len + 1);
	bool is;

	if (fd < 0 || !mem)
		give_up("%s: %s", name, strerror(errno));
	is = pread(fd, mem, len, off) == (ssize_t)len && host_is(mem, len, tag, pos);
	free(mem);
	close(fd);
	return is;
}

CUfileError_t register_fd(int fd, CUfileHandle_t *fh)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD, .handle.fd = fd };

	return cf.HandleRegister(fh, &descr);
}

CUfileHandle_t handle_of(int fd)
{
	CUfileHandle_t fh = NULL;
	CUfileError_t status = register_fd(fd, &fh);

	if (status.err)
		give_up("the file cannot be registered: %s", status_word(status));
	return fh;
}
