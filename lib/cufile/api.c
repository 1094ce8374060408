// SPDX-License-Identifier: MIT
/*
 * api.c - registration of files and memory, reading and writing.
 *
 * A registered buffer keeps its segments exported until it is deregistered; transfers find them by
 * address like all others.
 *
 * Locks: "lock" protects the list of buffers.
 */
#include <errno.h>
#include <stdlib.h>

#include "front.h"

struct buffer {
	uintptr_t base;
	struct gpu_memory *memory;	/* null: host memory */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer *buffers;		/* protected by @lock; sorted by @base */
static size_t nr_buffers, room;

CUFILE_API CUfileError_t cuFileHandleRegister(CUfileHandle_t *fh, CUfileDescr_t *descr)
{
	int ret = front_open();

	if (ret)
		return front_status(ret);
	if (!fh || !descr)
		return front_status(CU_FILE_INVALID_VALUE);
	if (descr->type != CU_FILE_HANDLE_TYPE_OPAQUE_FD)
		return front_status(CU_FILE_IO_NOT_SUPPORTED);
	return front_status(file_register(descr->handle.fd, fh));
}

CUFILE_API void cuFileHandleDeregister(CUfileHandle_t fh)
{
	if (!front_let_go())
		file_deregister(fh);
}

/* Index of the first buffer that begins at or after @base. */
static size_t find_locked(uintptr_t base)
{
	size_t low = 0, high = nr_buffers;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (buffers[middle].base < base)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_there_locked(size_t i, uintptr_t base)
{
	return i < nr_buffers && buffers[i].base == base;
}

static bool grow_locked(void)
{
	struct buffer *grown;

	if (nr_buffers == room) {
		grown = realloc(buffers, (room + 64) * sizeof(*grown));
		if (!grown)
			return false;
		buffers = grown;
		room += 64;
	}
	return true;
}

/* 0 or a CUfileOpError. The list takes the memory; the caller destroys *@memory afterwards. */
static int insert(uintptr_t base, struct gpu_memory **memory)
{
	struct gpu_memory *old = NULL;
	size_t i, j;
	int ret = 0;

	pthread_mutex_lock(&lock);
	i = find_locked(base);
	if (is_there_locked(i, base)) {
		old = buffers[i].memory;
		/* Unless the program has freed the registered memory. */
		if (!old || !gpu_memory_is_gone(old))
			ret = CU_FILE_MEMORY_ALREADY_REGISTERED;
	} else if (grow_locked()) {
		for (j = nr_buffers++; j > i; j--)
			buffers[j] = buffers[j - 1];
	} else {
		ret = CU_FILE_INTERNAL_ERROR;
	}
	if (!ret) {
		buffers[i] = (struct buffer){ .base = base, .memory = *memory };
		*memory = old;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

/* 0 or a CUfileOpError, for a result of gpu_memory_create(). */
static int error_of(int ret)
{
	switch (ret) {
	case 0:
		return 0;
	case -ERANGE:
		return CU_FILE_CUDA_POINTER_RANGE_ERROR;
	case -EFAULT:
		return CU_FILE_CUDA_POINTER_INVALID;
	}
	return CU_FILE_INTERNAL_ERROR;
}

CUFILE_API CUfileError_t cuFileBufRegister(const void *base, size_t length, int flags)
{
	struct gpu_memory *memory = NULL;
	int ret = front_open();
	bool last = false;

	if (ret)
		return front_status(ret);
	if (!base || !length || flags & ~(CU_FILE_RDMA_REGISTER | CU_FILE_RDMA_RELAXED_ORDERING))
		return front_status(CU_FILE_INVALID_VALUE);
	do {
		ret = gpu_memory_create((uintptr_t)base, length, &memory);
	} while (bonds_make_room(ret, &last));
	if (ret && ret != -ENXIO)
		return front_status(error_of(ret));
	ret = insert((uintptr_t)base, &memory);
	gpu_memory_destroy(memory);
	return front_status(ret);
}

CUFILE_API CUfileError_t cuFileBufDeregister(const void *base)
{
	struct gpu_memory *memory = NULL;
	int ret = front_let_go();
	size_t i;

	if (ret)
		return front_status(ret);
	pthread_mutex_lock(&lock);
	i = find_locked((uintptr_t)base);
	if (is_there_locked(i, (uintptr_t)base)) {
		memory = buffers[i].memory;
		for (nr_buffers--; i < nr_buffers; i++)
			buffers[i] = buffers[i + 1];
	} else {
		ret = CU_FILE_MEMORY_NOT_REGISTERED;
	}
	pthread_mutex_unlock(&lock);
	gpu_memory_destroy(memory);
	return front_status(ret);
}

static ssize_t move(CUfileHandle_t fh, bool write, const void *base, size_t size, off_t file_offset,
		    off_t buf_offset)
{
	int64_t n;
	int ret = front_open();

	if (ret)
		return -ret;
	n = transfer_by_handle(fh, write, base, buf_offset, size, file_offset);
	if (n < 0 && n > -CUFILEOP_BASE_ERR) {
		errno = -n;
		return -1;
	}
	return n;
}

CUFILE_API ssize_t cuFileRead(CUfileHandle_t fh, void *base, size_t size, off_t file_offset,
			      off_t buf_offset)
{
	return move(fh, false, base, size, file_offset, buf_offset);
}

CUFILE_API ssize_t cuFileWrite(CUfileHandle_t fh, const void *base, size_t size,
			       off_t file_offset, off_t buf_offset)
{
	return move(fh, true, base, size, file_offset, buf_offset);
}
