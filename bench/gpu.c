// SPDX-License-Identifier: GPL-2.0
/*
 * gpu.c - what a call of libcufile takes beside one of the library, for the same transfer.
 *
 * Memory is that of the tests' CUDA driver, a udmabuf, which both use as a dma-buf; no bounce is
 * allowed. Blocks are read at random, and the last that each thread has read is looked at.
 *
 * Environment: SCALE_CALLS, of each thread and window (4000); SCALE_FILES (64).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CUFILE_HAS_CUDA_H
typedef int CUresult;
#include "../tests/fake_cuda/fake_cuda.h"
#include "cufile/cufile.h"
#include "mark.h"
#include "scale.h"

#define THREADS		16U
#define BATCH_ENTRIES	128U
#define MEMORY		(4 * MiB)
#define RANGE_DMA_BUF	1	/* CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD */

struct user {
	const struct call *call;
	pthread_t thread;
	u64 random;
	u64 block;		/* of the disk, read last */
	u32 slot;		/* of the memory */
	unsigned long calls;
	CUfileBatchHandle_t batch;
};

/* One way to read; @run makes one call and sets u->block. */
struct call {
	const char *name;
	void (*run)(struct user *u);
	bool registered;
};

static struct dmabuf_rw_binding *binding;
static CUfileHandle_t handle;
static CUdeviceptr memory;
static int memory_fd;
static CUcontext context;
static pthread_barrier_t ready_barrier, begin_barrier, end_barrier;

static void *address(void)
{
	return (void *)(uintptr_t)memory;
}

static void expect(const char *what, s64 n, s64 wanted)
{
	if (n != wanted)
		die("%s gave %lld", what, (long long)n);
}

static u64 next_block(struct user *u)
{
	u->block = next_random(&u->random) % DISK_BLOCKS;
	return u->block * BLOCK;
}

static void by_library(struct user *u)
{
	expect("dmabuf_rw_read", dmabuf_rw_read(binding, next_block(u), u->slot * BLOCK, BLOCK, 0,
						NULL), BLOCK);
}

static void by_cufile(struct user *u)
{
	expect("cuFileRead", cuFileRead(handle, address(), BLOCK, next_block(u),
					u->slot * BLOCK), BLOCK);
}

static void many_by_library(struct user *u)
{
	struct dmabuf_rw_range ranges[BATCH_ENTRIES];
	u32 i;

	for (i = 0; i < BATCH_ENTRIES; i++)
		ranges[i] = (struct dmabuf_rw_range){ .file_off = next_block(u),
						      .buf_off = i * BLOCK, .len = BLOCK };
	u->slot = BATCH_ENTRIES - 1;
	expect("dmabuf_rw_read_many",
	       dmabuf_rw_read_many(binding, ranges, BATCH_ENTRIES, 0, NULL),
	       BATCH_ENTRIES * BLOCK);
}

static void many_by_cufile(struct user *u)
{
	CUfileIOParams_t params[BATCH_ENTRIES];
	CUfileIOEvents_t events[BATCH_ENTRIES];
	u32 i, nr = BATCH_ENTRIES;

	for (i = 0; i < BATCH_ENTRIES; i++) {
		params[i] = (CUfileIOParams_t){ .mode = CUFILE_BATCH, .fh = handle,
						.opcode = CUFILE_READ };
		params[i].u.batch.devPtr_base = address();
		params[i].u.batch.file_offset = next_block(u);
		params[i].u.batch.devPtr_offset = i * BLOCK;
		params[i].u.batch.size = BLOCK;
	}
	u->slot = BATCH_ENTRIES - 1;
	if (!u->batch && cuFileBatchIOSetUp(&u->batch, BATCH_ENTRIES).err)
		die("cuFileBatchIOSetUp");
	if (cuFileBatchIOSubmit(u->batch, BATCH_ENTRIES, params, 0).err ||
	    cuFileBatchIOGetStatus(u->batch, BATCH_ENTRIES, &nr, events, NULL).err)
		die("a batch of cuFile");
	expect("cuFileBatchIOGetStatus", nr, BATCH_ENTRIES);
	for (i = 0; i < nr; i++)
		expect("an entry of a batch", events[i].ret, BLOCK);
}

static void *work(void *arg)
{
	struct user *u = arg;
	unsigned long i;

	if (cuCtxSetCurrent(context))
		die("cuCtxSetCurrent");
	/* What is made with the first call is no part of the thousandth. */
	u->call->run(u);
	pthread_barrier_wait(&ready_barrier);
	pthread_barrier_wait(&begin_barrier);
	for (i = 0; i < u->calls; i++)
		u->call->run(u);
	pthread_barrier_wait(&end_barrier);
	if (u->batch)
		cuFileBatchIODestroy(u->batch);
	if (*(u64 *)fake_cuda_at(memory + u->slot * BLOCK) != u->block)
		die("%s has read the wrong block", u->call->name);
	return NULL;
}

static void measure(const char *subject, const struct call *call, unsigned int threads, u32 each)
{
	static u64 seed = 88172645463325252ULL;
	unsigned long calls = setting("SCALE_CALLS", 4000) / each / threads;
	struct user users[THREADS] = { 0 };
	unsigned int i;

	if (pthread_barrier_init(&ready_barrier, NULL, threads + 1) ||
	    pthread_barrier_init(&begin_barrier, NULL, threads + 1) ||
	    pthread_barrier_init(&end_barrier, NULL, threads + 1))
		die("no barrier");
	if (call->registered && cuFileBufRegister(address(), MEMORY, 0).err)
		die("cuFileBufRegister");
	for (i = 0; i < threads; i++) {
		users[i] = (struct user){ .call = call, .random = next_random(&seed), .slot = i,
					  .calls = calls };
		if (pthread_create(&users[i].thread, NULL, work, &users[i]))
			die("no thread");
	}
	/* However long the first calls take, they are over; then all go to sleep. */
	pthread_barrier_wait(&ready_barrier);
	usleep(50000);
	MARK(MARK_BEGIN);
	pthread_barrier_wait(&begin_barrier);
	pthread_barrier_wait(&end_barrier);
	MARK(MARK_END);
	for (i = 0; i < threads; i++)
		pthread_join(users[i].thread, NULL);
	pthread_barrier_destroy(&ready_barrier);
	pthread_barrier_destroy(&begin_barrier);
	pthread_barrier_destroy(&end_barrier);
	if (call->registered && cuFileBufDeregister(address()).err)
		die("cuFileBufDeregister");
	record(subject, call->name, (u64)calls * threads * each);
}

static CUfileHandle_t register_file(int fd)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD, .handle.fd = fd };
	CUfileHandle_t fh;

	if (cuFileHandleRegister(&fh, &descr).err)
		die("cuFileHandleRegister");
	return fh;
}

static void open_memory(void)
{
	if (memory)
		return;
	setenv("DMABUF_RW_CUFILE_DIRECT_ONLY", "1", 1);
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	    cuMemAlloc_v2(&memory, MEMORY) ||
	    cuMemGetHandleForAddressRange(&memory_fd, memory, MEMORY, RANGE_DMA_BUF, 0))
		die("memory of the tests' CUDA driver");
}

void measure_cufile(struct dmabuf_rw_device *device, int disk, unsigned long rounds)
{
	static const struct call single[] = {
		{ "dmabuf_rw_read", by_library, false },
		{ "cuFileRead", by_cufile, true },
		{ "cuFileRead, memory not registered", by_cufile, false },
	}, many[] = {
		{ "dmabuf_rw_read_many", many_by_library, false },
		{ "cuFileBatchIOSubmit", many_by_cufile, true },
	};
	unsigned long i;
	size_t k;

	open_memory();
	errno = -dmabuf_rw_binding_create(device, memory_fd, disk, NULL, &binding);
	if (errno)
		die("bind");
	handle = register_file(disk);
	for (i = 0; i < rounds; i++)
		for (k = 0; k < sizeof(single) / sizeof(single[0]); k++)
			measure("calls", &single[k], 1, 1);
	for (i = 0; i < rounds; i++)
		for (k = 0; k < 2; k++)
			measure("calls of 16 threads", &single[k], THREADS, 1);
	for (i = 0; i < rounds; i++)
		for (k = 0; k < sizeof(many) / sizeof(many[0]); k++)
			measure("batches of 128", &many[k], 1, BATCH_ENTRIES);
	cuFileHandleDeregister(handle);
	dmabuf_rw_binding_destroy(binding);
}

/* A file that nobody has read: open for reading, its blocks on the disk. */
static int new_file(unsigned int nr)
{
	u64 data[BLOCK / sizeof(u64)] = { nr };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), MOUNT "/new-%u", nr);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, data, BLOCK, 0) != BLOCK || fsync(fd))
		die("%s", path);
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

static void read_once_by_library(struct dmabuf_rw_device *device, int fd)
{
	struct dmabuf_rw_binding *b;

	errno = -dmabuf_rw_binding_create(device, memory_fd, fd, NULL, &b);
	if (errno)
		die("bind");
	expect("dmabuf_rw_read", dmabuf_rw_read(b, 0, 0, BLOCK, 0, NULL), BLOCK);
	dmabuf_rw_binding_destroy(b);
}

static void read_once_by_cufile(struct dmabuf_rw_device *device, int fd)
{
	CUfileHandle_t fh = register_file(fd);

	(void)device;
	expect("cuFileRead", cuFileRead(fh, address(), BLOCK, 0, 0), BLOCK);
	cuFileHandleDeregister(fh);
}

static void measure_files(const char *name, struct dmabuf_rw_device *device,
			  void (*read_once)(struct dmabuf_rw_device *device, int fd))
{
	unsigned int files = setting("SCALE_FILES", 64), i;
	int *fds = calloc(files, sizeof(*fds));

	if (!fds)
		die("memory");
	for (i = 0; i < files; i++)
		fds[i] = new_file(i);
	MARK(MARK_BEGIN);
	for (i = 0; i < files; i++)
		read_once(device, fds[i]);
	MARK(MARK_END);
	if (*(u64 *)fake_cuda_at(memory) != files - 1)
		die("%s has read the wrong file", name);
	for (i = 0; i < files; i++)
		close(fds[i]);
	free(fds);
	record("files read once", name, files);
}

void measure_cufile_files(struct dmabuf_rw_device *device, unsigned long rounds)
{
	unsigned long i;

	open_memory();
	for (i = 0; i < rounds; i++) {
		measure_files("bind, dmabuf_rw_read, unbind", device, read_once_by_library);
		measure_files("register, cuFileRead, deregister", device, read_once_by_cufile);
	}
}
