// SPDX-License-Identifier: MIT
/* cufile_batch.c - batches and streams of libcufile; with module and driver that are fakes. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <unistd.h>

#include "cufile_fixture.h"

#define BLOCK 4096UL
#define MAX_IOS 128

static CUfileIOParams_t ios[MAX_IOS];
static CUfileIOEvents_t events[MAX_IOS];

static CUfileIOParams_t io(CUfileHandle_t fh, CUfileOpcode_t op, CUdeviceptr base, off_t buf_off,
			   off_t off, size_t len, uintptr_t cookie)
{
	CUfileIOParams_t p = { .mode = CUFILE_BATCH, .fh = fh, .opcode = op,
			       .cookie = (void *)cookie };

	p.u.batch.devPtr_base = at(base);
	p.u.batch.devPtr_offset = buf_off;
	p.u.batch.file_offset = off;
	p.u.batch.size = len;
	return p;
}

static CUfileBatchHandle_t new_batch(unsigned int nr)
{
	CUfileBatchHandle_t batch = NULL;

	OK(cuFileBatchIOSetUp(&batch, nr));
	assert_non_null(batch);
	return batch;
}

/* A handle, and what it needs to go by a ring from now on. */
static CUfileHandle_t bound_handle(int fd, CUdeviceptr p)
{
	CUfileHandle_t fh = handle_of(fd);

	assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), 1);
	return fh;
}

/* All of @nr, in the order of their cookies. */
static void reap(CUfileBatchHandle_t batch, unsigned int nr)
{
	static CUfileIOEvents_t got[MAX_IOS];
	unsigned int n = MAX_IOS, i;

	OK(cuFileBatchIOGetStatus(batch, nr, &n, got, NULL));
	assert_int_equal(n, nr);
	memset(events, 0, sizeof(events));
	for (i = 0; i < n; i++) {
		assert_in_range((uintptr_t)got[i].cookie, 0, MAX_IOS - 1);
		assert_int_equal(events[(uintptr_t)got[i].cookie].status, 0);
		events[(uintptr_t)got[i].cookie] = got[i];
	}
}

/* Side by side, and the first results are not kept back until all have come. */
static void long_transfers_are_several_calls(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(16 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch = new_batch(16);
	unsigned int i;

	(void)state;
	for (i = 0; i < 16; i++)
		ios[i] = io(fh, CUFILE_READ, p, i * MIB, 0, MIB, i);
	OK(cuFileBatchIOSubmit(batch, 16, ios, 0));
	reap(batch, 16);
	for (i = 0; i < 16; i++)
		assert_int_equal(events[i].ret, MIB);
	assert_int_equal(module.batches, 4);
	assert_int_equal(module.moved[0], 16 * MIB);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

static void a_batch_moves_all_in_few_calls(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch = new_batch(128);
	unsigned int i;

	(void)state;
	for (i = 0; i < 128; i++)
		ios[i] = io(fh, CUFILE_READ, p, (127 - i) * BLOCK, i * BLOCK, BLOCK, i);
	OK(cuFileBatchIOSubmit(batch, 128, ios, 0));
	reap(batch, 128);
	for (i = 0; i < 128; i++) {
		assert_int_equal(events[i].status, CUFILE_COMPLETE);
		assert_int_equal(events[i].ret, BLOCK);
		expect_device(p + (127 - i) * BLOCK, BLOCK, 1, i * BLOCK);
	}
	assert_int_equal(module.batches, 1);
	assert_int_equal(module.ranges, 128);
	assert_int_equal(module.ios, 0);
	assert_int_equal(module.moved[0], 128 * BLOCK);
	assert_int_equal(module.entries, 0);
	/* Again, with the same batch, by its ring. */
	device_fill(p, MIB, 2, 0);
	for (i = 0; i < 128; i++)
		ios[i].opcode = CUFILE_WRITE;
	OK(cuFileBatchIOSubmit(batch, 128, ios, 0));
	reap(batch, 128);
	expect_file("a", 0, BLOCK, 2, 127 * BLOCK);
	assert_int_equal(module.batches, 2);
	assert_int_equal(module.entries, 1);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* @bound: by a ring, as far as that goes. */
static void check_results(bool bound)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDONLY), other = new_file("b", 100, 2, O_RDWR);
	CUfileHandle_t fh = handle_of(fd), grown = handle_of(other);
	CUdeviceptr p = device_memory(MIB), managed;
	unsigned char *mem = calloc(1, 8192);
	CUfileBatchHandle_t batch = new_batch(16);

	if (bound) {
		assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), 1);
		assert_int_equal(cuFileRead(grown, at(p), 1, 0, 0), 1);
	}
	assert_int_equal(cuMemAllocManaged(&managed, MIB, 1), 0);
	device_fill(p + 512 * KIB, 8192, 3, 0);
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, BLOCK, 0);
	ios[1] = io(fh, CUFILE_READ, p, 4096, 60 * KIB, 8192, 1);	/* short */
	ios[2] = io(fh, CUFILE_READ, p, 16384, MIB, 8192, 2);		/* behind the end */
	ios[3] = io(fh, CUFILE_WRITE, p, 0, 0, BLOCK, 3);		/* read-only */
	ios[4] = io((CUfileHandle_t)77, CUFILE_READ, p, 0, 0, BLOCK, 4);
	ios[5] = io(fh, CUFILE_READ, 0, 0, 0, BLOCK, 5);
	ios[6] = io(fh, CUFILE_READ, p, MIB - 1, 0, BLOCK, 6);		/* outside */
	ios[7] = io(fh, CUFILE_READ, (uintptr_t)mem, 1, 5, 4000, 7);	/* the host's */
	ios[8] = io(grown, CUFILE_WRITE, p, 512 * KIB, 0, 8192, 8);	/* grows */
	ios[9] = io(fh, CUFILE_READ, managed, 0, 0, BLOCK, 9);
	ios[10] = io(fh, CUFILE_READ, p, 0, -1, BLOCK, 10);
	ios[11] = io(fh, CUFILE_READ, p, 0, 0, 0, 11);
	ios[12] = io(fh, CUFILE_READ, -4096, p + 4096, 0, BLOCK, 12);	/* wraps */
	OK(cuFileBatchIOSubmit(batch, 13, ios, 0));
	reap(batch, 13);
	assert_int_equal(events[0].ret, BLOCK);
	assert_int_equal(events[1].ret, BLOCK);
	assert_int_equal(events[1].status, CUFILE_COMPLETE);
	assert_int_equal(events[2].ret, 0);
	assert_int_equal(events[2].status, CUFILE_COMPLETE);
	assert_int_equal(events[3].status, CUFILE_FAILED);
	assert_int_equal((ssize_t)events[3].ret, -EBADF);
	assert_int_equal(events[4].status, CUFILE_INVALID);
	assert_int_equal((ssize_t)events[4].ret, -CU_FILE_HANDLE_NOT_REGISTERED);
	assert_int_equal(events[5].status, CUFILE_INVALID);
	assert_int_equal(events[6].status, CUFILE_FAILED);
	assert_int_equal((ssize_t)events[6].ret, -CU_FILE_CUDA_POINTER_RANGE_ERROR);
	assert_int_equal(events[7].ret, 4000);
	assert_int_equal(mem[1], pattern(1, 5));
	assert_int_equal(events[8].ret, 8192);
	expect_file("b", 0, 8192, 3, 0);
	assert_int_equal(events[9].ret, BLOCK);
	expect_device(managed, BLOCK, 1, 0);
	assert_int_equal(events[10].status, CUFILE_INVALID);
	assert_int_equal(events[11].status, CUFILE_COMPLETE);
	assert_int_equal(events[11].ret, 0);
	assert_int_equal(events[12].status, CUFILE_INVALID);
	assert_int_equal((ssize_t)events[12].ret, -CU_FILE_INVALID_VALUE);
	expect_device(p, BLOCK, 1, 0);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	drop(grown, other);
	cuMemFree_v2(p);
	cuMemFree_v2(managed);
	free(mem);
	assert_int_equal(module.entries > 0, bound);
}

static void each_entry_has_its_own_result(void **state)
{
	(void)state;
	check_results(false);
	check_results(true);
}

static void check_waits(bool bound)
{
	struct timespec none = { 0, 0 }, some = { 0, 20000000 }, wrong = { 0, -1 };
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound ? bound_handle(fd, p) : handle_of(fd);
	CUfileBatchHandle_t batch = new_batch(4);
	unsigned int i, n;

	/* Nothing is under way. */
	n = 4;
	OK(cuFileBatchIOGetStatus(batch, 4, &n, events, NULL));
	assert_int_equal(n, 0);
	/* One is slow, as it is by itself. */
	module.delay_us = 200000;
	for (i = 0; i < 4; i++)
		ios[i] = io(fh, CUFILE_READ, p, i * BLOCK, i * BLOCK, BLOCK, i);
	OK(cuFileBatchIOSubmit(batch, 2, ios, 0));
	n = 4;
	OK(cuFileBatchIOGetStatus(batch, 2, &n, events, &none));
	assert_int_equal(n, 0);
	n = 4;
	OK(cuFileBatchIOGetStatus(batch, 1, &n, events, &some));
	assert_int_equal(n, 0);
	/* Full, and half full. */
	FAILS(cuFileBatchIOSubmit(batch, 3, ios, 0), CU_FILE_BATCH_FULL);
	OK(cuFileBatchIOSubmit(batch, 2, ios + 2, 0));
	n = 1;
	OK(cuFileBatchIOGetStatus(batch, 1, &n, events, NULL));
	assert_int_equal(n, 1);
	n = 4;
	OK(cuFileBatchIOGetStatus(batch, 4, &n, events, NULL));
	assert_int_equal(n, 3);
	n = 1;
	FAILS(cuFileBatchIOGetStatus(batch, 2, &n, events, NULL), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOGetStatus(batch, 1, &n, events, &wrong), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOGetStatus(batch, 1, NULL, events, NULL), CU_FILE_INVALID_VALUE);
	module.delay_us = 0;
	assert_true(module.entries || !bound);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

static void waiting_is_for_as_many_as_asked_for_and_as_long(void **state)
{
	(void)state;
	check_waits(false);
	check_waits(true);
}

static void malformed_batches_are_refused(void **state)
{
	CUfileBatchHandle_t batch;

	(void)state;
	FAILS(cuFileBatchIOSetUp(&batch, 0), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOSetUp(&batch, 129), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOSetUp(NULL, 1), CU_FILE_INVALID_VALUE);
	batch = new_batch(2);
	ios[0] = io(NULL, CUFILE_READ, 1, 0, 0, 1, 0);
	FAILS(cuFileBatchIOSubmit(batch, 0, ios, 0), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOSubmit(batch, 1, NULL, 0), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOSubmit(batch, 1, ios, 1), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOSubmit(batch, 3, ios, 0), CU_FILE_BATCH_FULL);
	ios[0].opcode = 2;
	FAILS(cuFileBatchIOSubmit(batch, 1, ios, 0), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBatchIOCancel(NULL), CU_FILE_INVALID_VALUE);
	cuFileBatchIODestroy(batch);
	cuFileBatchIODestroy(NULL);
}

/* The program's array has as many entries as it says at the most. */
static void a_batch_that_is_too_large_is_not_looked_at(void **state)
{
	CUfileBatchHandle_t batch = new_batch(2);
	CUfileIOParams_t *one = malloc(sizeof(*one));

	(void)state;
	*one = io(NULL, CUFILE_READ, 1, 0, 0, 1, 0);
	FAILS(cuFileBatchIOSubmit(batch, 1000, one, 0), CU_FILE_BATCH_FULL);
	free(one);
	cuFileBatchIODestroy(batch);
}

/* The library's ranges are shorter than an entry may be. */
static void entries_may_be_longer_than_4_gib(void **state)
{
	int fd = new_file("a", 3 * BLOCK, 1, O_RDONLY);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch = new_batch(1);
	CUdeviceptr p;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(&p, 5UL << 30), 0);
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, (4UL << 30) + BLOCK, 0);
	OK(cuFileBatchIOSubmit(batch, 1, ios, 0));
	reap(batch, 1);
	assert_int_equal(events[0].ret, 3 * BLOCK);
	expect_device(p, 3 * BLOCK, 1, 0);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* O_DSYNC and O_SYNC, as write(2) keeps them. */
static void writes_are_durable_where_the_file_is_open_so(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR | O_DSYNC);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch = new_batch(2);

	(void)state;
	ios[0] = io(fh, CUFILE_WRITE, p, 0, 0, BLOCK, 0);
	ios[1] = io(fh, CUFILE_WRITE, p, BLOCK, BLOCK, BLOCK, 1);
	OK(cuFileBatchIOSubmit(batch, 2, ios, 0));
	reap(batch, 2);
	assert_int_equal(events[1].ret, BLOCK);
	assert_int_equal(cuFileWrite(fh, at(p), BLOCK, 0, 0), BLOCK);
	assert_int_equal(module.durable, 3 * BLOCK);
	assert_int_equal(cuFileRead(fh, at(p), BLOCK, 0, 0), BLOCK);
	assert_int_equal(module.durable, 3 * BLOCK);
	drop(fh, fd);
	fd = new_file("a", MIB, 1, O_RDWR);
	fh = handle_of(fd);
	assert_int_equal(cuFileWrite(fh, at(p), BLOCK, 0, 0), BLOCK);
	assert_int_equal(module.durable, 3 * BLOCK);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

static void the_longest_time_is_long(void **state)
{
	struct timespec longest = { LONG_MAX, 999999999 };
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	CUfileBatchHandle_t batch = new_batch(1);
	unsigned int n = 1;

	(void)state;
	module.delay_us = 50000;
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, BLOCK, 0);
	OK(cuFileBatchIOSubmit(batch, 1, ios, 0));
	OK(cuFileBatchIOGetStatus(batch, 1, &n, events, &longest));
	assert_int_equal(n, 1);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* Transfers that have begun; they end when the gate is open. */
static atomic_uint begun;
static atomic_bool gate;

static bool wait_at_gate(uint32_t op, int file, uint64_t off, unsigned char *map, uint64_t buf_off,
			 uint64_t len)
{
	(void)op;
	(void)file;
	(void)off;
	(void)map;
	(void)buf_off;
	(void)len;
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&gate))
		usleep(1000);
	return false;
}

/* Jobs are what is not bound yet: each batch has a file of its own. */
static void cancelling_ends_what_has_not_begun(void **state)
{
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fhs[20];
	CUfileBatchHandle_t batches[20];
	unsigned int i, n, cancelled = 0, complete = 0;
	int fds[20];

	(void)state;
	/* More groups than there are threads. */
	atomic_store(&begun, 0);
	atomic_store(&gate, false);
	module.instead = wait_at_gate;
	close(new_file("a", MIB, 1, O_RDONLY));
	for (i = 0; i < 20; i++) {
		fds[i] = open(name_of("a"), O_RDONLY | O_CLOEXEC);
		fhs[i] = handle_of(fds[i]);
		batches[i] = new_batch(1);
		ios[0] = io(fhs[i], CUFILE_READ, p, i * BLOCK, i * BLOCK, BLOCK, i);
		OK(cuFileBatchIOSubmit(batches[i], 1, ios, 0));
	}
	while (!atomic_load(&begun))
		usleep(1000);
	for (i = 0; i < 20; i++)
		OK(cuFileBatchIOCancel(batches[i]));
	atomic_store(&gate, true);
	for (i = 0; i < 20; i++) {
		n = 1;
		OK(cuFileBatchIOGetStatus(batches[i], 1, &n, events, NULL));
		assert_int_equal(n, 1);
		cancelled += events[0].status == CUFILE_CANCELED;
		complete += events[0].status == CUFILE_COMPLETE;
		/* What was cancelled may be used again at once, before its group is looked at. */
		if (events[0].status == CUFILE_CANCELED) {
			ios[0] = io(fhs[i], CUFILE_READ, p, i * BLOCK, i * BLOCK, BLOCK, i);
			OK(cuFileBatchIOSubmit(batches[i], 1, ios, 0));
			OK(cuFileBatchIOGetStatus(batches[i], 1, &n, events, NULL));
			assert_int_equal(events[0].status, CUFILE_COMPLETE);
		}
		expect_device(p + i * BLOCK, BLOCK, 1, i * BLOCK);
	}
	assert_true(cancelled > 0 && complete > 0 && cancelled + complete == 20);
	assert_int_equal(module.entries, 0);
	for (i = 0; i < 20; i++)
		cuFileBatchIODestroy(batches[i]);
	for (i = 0; i < 20; i++)
		drop(fhs[i], fds[i]);
	cuMemFree_v2(p);
}

/* Of what the ring has, all has begun. */
static void what_has_begun_is_not_cancelled_and_is_waited_for(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	CUfileBatchHandle_t batches[20];
	unsigned int i;

	(void)state;
	module.delay_us = 50000;
	for (i = 0; i < 20; i++) {
		batches[i] = new_batch(2);
		ios[0] = io(fh, CUFILE_READ, p, i * BLOCK, i * BLOCK, BLOCK, 0);
		OK(cuFileBatchIOSubmit(batches[i], 1, ios, 0));
	}
	assert_int_equal(module.entries, 20);
	OK(cuFileBatchIOCancel(batches[0]));
	reap(batches[0], 1);
	assert_int_equal(events[0].status, CUFILE_COMPLETE);
	for (i = 0; i < 20; i++) {
		cuFileBatchIODestroy(batches[i]);
		expect_device(p + i * BLOCK, BLOCK, 1, i * BLOCK);
	}
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* As io_uring says it where something is lacking; and where it could not store the results. */
static void what_a_ring_does_not_do_is_done_all_the_same(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	CUfileBatchHandle_t batch = new_batch(8);
	unsigned int i, round;

	(void)state;
	for (round = 0; round < 3; round++) {
		module.refuse = round == 0;
		module.lose = round == 1;
		device_fill(p, MIB, 9, 0);
		for (i = 0; i < 8; i++)
			ios[i] = io(fh, CUFILE_READ, p, i * BLOCK, i * BLOCK, BLOCK, i);
		OK(cuFileBatchIOSubmit(batch, 8, ios, 0));
		reap(batch, 8);
		for (i = 0; i < 8; i++) {
			assert_int_equal(events[i].status, CUFILE_COMPLETE);
			assert_int_equal(events[i].ret, BLOCK);
		}
		expect_device(p, 8 * BLOCK, 1, 0);
		assert_int_equal(module.entries, round);
	}
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* Nobody has asked for the batch's results before. */
static void deregistering_waits_for_what_batches_have_begun(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	CUfileBatchHandle_t batch = new_batch(2);

	(void)state;
	module.delay_us = 50000;
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, BLOCK, 0);
	ios[1] = io(fh, CUFILE_READ, p, BLOCK, MIB - BLOCK / 2, BLOCK, 1);
	OK(cuFileBatchIOSubmit(batch, 2, ios, 0));
	assert_int_equal(module.entries, 1);
	drop(fh, fd);
	expect_device(p, BLOCK, 1, 0);
	assert_int_equal(fake_module_bindings(), 0);
	reap(batch, 2);
	assert_int_equal(events[0].ret, BLOCK);
	assert_int_equal(events[1].ret, BLOCK / 2);
	cuFileBatchIODestroy(batch);
	cuMemFree_v2(p);
}

struct waiting {
	CUfileBatchHandle_t batch;
	unsigned int min, nr;
	CUfileIOEvents_t events[4];
};

static void *wait_for_entries(void *arg)
{
	struct waiting *w = arg;

	w->nr = 4;
	OK(cuFileBatchIOGetStatus(w->batch, w->min, &w->nr, w->events, NULL));
	return NULL;
}

/* One of them waits in the kernel. */
static void several_threads_wait_for_one_batch(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	struct waiting waiting[3] = { 0 };
	unsigned char *mem = malloc(BLOCK);
	pthread_t threads[3];
	unsigned int i;
	int ret;

	(void)state;
	atomic_store(&begun, 0);
	atomic_store(&gate, false);
	module.instead = wait_at_gate;
	waiting[0].batch = new_batch(4);
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, BLOCK, 0);
	OK(cuFileBatchIOSubmit(waiting[0].batch, 1, ios, 0));
	for (i = 0; i < 3; i++) {
		waiting[i].batch = waiting[0].batch;
		waiting[i].min = 1;
		ret = pthread_create(&threads[i], NULL, wait_for_entries, &waiting[i]);
		assert_int_equal(ret, 0);
	}
	usleep(50000);
	/* Two that a thread does, one after the other, end two of the waits; the ring the third. */
	for (i = 1; i < 3; i++) {
		ios[0] = io(fh, CUFILE_READ, (uintptr_t)mem, 0, i * BLOCK, BLOCK, i);
		OK(cuFileBatchIOSubmit(waiting[0].batch, 1, ios, 0));
		usleep(50000);
	}
	assert_int_equal(module.entries, 1);
	atomic_store(&gate, true);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(waiting[i].nr, 1);
		assert_int_equal(waiting[i].events[0].ret, BLOCK);
	}
	expect_device(p, BLOCK, 1, 0);
	cuFileBatchIODestroy(waiting[0].batch);
	drop(fh, fd);
	cuMemFree_v2(p);
	free(mem);
}

static void do_nothing(int signal)
{
	(void)signal;
}

static void signals_end_no_wait(void **state)
{
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { 0 };
	const struct sigaction handler = { .sa_handler = do_nothing };
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	CUfileBatchHandle_t batch = new_batch(1);

	(void)state;
	module.delay_us = 100000;
	assert_int_equal(sigaction(SIGALRM, &handler, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, BLOCK, 0);
	OK(cuFileBatchIOSubmit(batch, 1, ios, 0));
	reap(batch, 1);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(events[0].ret, BLOCK);
	assert_int_equal(module.entries, 1);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

static void *submit_and_end(void *arg)
{
	CUfileBatchHandle_t *batch = arg;

	assert_int_equal(cuCtxSetCurrent(context), 0);
	OK(cuFileBatchIOSubmit(*batch, 1, ios, 0));
	return NULL;
}

static void a_batch_outlives_the_thread_that_has_submitted_it(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = bound_handle(fd, p);
	CUfileBatchHandle_t batch = new_batch(1);
	pthread_t thread;

	(void)state;
	module.delay_us = 50000;
	ios[0] = io(fh, CUFILE_READ, p, 0, 0, BLOCK, 0);
	assert_int_equal(pthread_create(&thread, NULL, submit_and_end, &batch), 0);
	pthread_join(thread, NULL);
	reap(batch, 1);
	assert_int_equal(events[0].ret, BLOCK);
	expect_device(p, BLOCK, 1, 0);
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
	cuMemFree_v2(p);
}

struct user {
	CUfileHandle_t fh;
	CUdeviceptr p;
	bool wrong;
};

static void *use_batches(void *arg)
{
	struct user *u = arg;
	CUfileIOEvents_t got[32];
	CUfileIOParams_t own[32];
	CUfileBatchHandle_t batch;
	unsigned int i, n, round;

	u->wrong = cuFileBatchIOSetUp(&batch, 32).err;
	for (round = 0; round < 20 && !u->wrong; round++) {
		for (i = 0; i < 32; i++)
			own[i] = io(u->fh, CUFILE_READ, u->p, i * BLOCK, i * BLOCK, BLOCK, i);
		n = 32;
		u->wrong = cuFileBatchIOSubmit(batch, 32, own, 0).err ||
			   cuFileBatchIOGetStatus(batch, 32, &n, got, NULL).err || n != 32;
		for (i = 0; i < 32; i++)
			u->wrong |= got[i].ret != BLOCK;
	}
	cuFileBatchIODestroy(batch);
	return NULL;
}

static void batches_of_many_threads_run_side_by_side(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	pthread_t threads[16];
	struct user users[16];
	int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		users[i] = (struct user){ fh, p + i * 32 * BLOCK, false };
		assert_int_equal(pthread_create(&threads[i], NULL, use_batches, &users[i]), 0);
	}
	for (i = 0; i < 16; i++) {
		pthread_join(threads[i], NULL);
		assert_false(users[i].wrong);
		expect_device(users[i].p, 32 * BLOCK, 1, 0);
	}
	drop(fh, fd);
	cuMemFree_v2(p);
}

static void set_offset(void *arg)
{
	*(off_t *)arg = 5 * BLOCK;
}

static void streams_keep_their_order(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR), i;
	CUdeviceptr p = device_memory(MIB), managed;
	CUfileHandle_t fh = handle_of(fd);
	size_t size[8];
	off_t off[8], buf_off[8];
	ssize_t bytes[8];
	static unsigned char seen[BLOCK];
	CUstream stream;

	(void)state;
	assert_int_equal(cuMemAllocManaged(&managed, MIB, 1), 0);
	assert_int_equal(cuStreamCreate(&stream, 0), 0);
	OK(cuFileStreamRegister(stream, 0xf));
	module.delay_us = 20000;
	for (i = 0; i < 8; i++) {
		size[i] = BLOCK;
		off[i] = i * BLOCK;
		buf_off[i] = 0;
		bytes[i] = 77;
	}
	/* Read, copy out what was read, write it elsewhere: each needs the one before. */
	OK(cuFileReadAsync(fh, at(p), &size[0], &off[0], &buf_off[0], &bytes[0], stream));
	assert_int_equal(cuMemcpyDtoHAsync_v2(seen, p, BLOCK, stream), 0);
	off[1] = 10 * BLOCK;
	OK(cuFileWriteAsync(fh, at(p), &size[1], &off[1], &buf_off[1], &bytes[1], stream));
	OK(cuFileReadAsync(fh, at(p), &size[2], &off[2], &buf_off[2], &bytes[2], stream));
	/* By copies, which a function that a stream calls could not do. */
	OK(cuFileReadAsync(fh, at(managed), &size[3], &off[3], &buf_off[3], &bytes[3], stream));
	off[4] = 2 * MIB;
	OK(cuFileReadAsync(fh, at(p), &size[4], &off[4], &buf_off[4], &bytes[4], stream));
	size[5] = 8 * MIB;
	off[5] = 0;
	OK(cuFileReadAsync(fh, at(p), &size[5], &off[5], &buf_off[5], &bytes[5], stream));
	off[6] = -1;
	OK(cuFileReadAsync(fh, at(p), &size[6], &off[6], &buf_off[6], &bytes[6], stream));
	/* What is not fixed is looked at when the stream is there. */
	assert_int_equal(cuLaunchHostFunc(stream, set_offset, &off[7]), 0);
	OK(cuFileReadAsync(fh, at(p), &size[7], &off[7], &buf_off[7], &bytes[7], stream));
	assert_int_equal(cuStreamSynchronize(stream), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(bytes[i], BLOCK);
	for (i = 0; i < (int)BLOCK; i++)
		assert_int_equal(seen[i], pattern(1, i));
	expect_file("a", 10 * BLOCK, BLOCK, 1, 0);
	expect_device(managed, BLOCK, 1, 3 * BLOCK);
	assert_int_equal(bytes[4], 0);
	assert_int_equal(bytes[5], MIB);
	assert_int_equal(bytes[6], -CU_FILE_INVALID_VALUE);
	assert_int_equal(bytes[7], BLOCK);
	expect_device(p, BLOCK, 1, 5 * BLOCK);
	/* The null stream. */
	OK(cuFileReadAsync(fh, at(p), &size[2], &off[2], &buf_off[2], &bytes[2], NULL));
	expect_device(p, BLOCK, 1, 2 * BLOCK);
	OK(cuFileStreamDeregister(stream));
	cuStreamDestroy_v2(stream);
	drop(fh, fd);
	cuMemFree_v2(p);
	cuMemFree_v2(managed);
}

static void streams_take_nothing_that_is_malformed(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	off_t off = 0, buf_off = p + 4096;
	CUfileError_t status;
	size_t size = BLOCK;
	ssize_t bytes = 77;
	CUstream stream;

	(void)state;
	assert_int_equal(cuStreamCreate(&stream, 0), 0);
	FAILS(cuFileStreamRegister(stream, 0x10), CU_FILE_INVALID_VALUE);
	FAILS(cuFileReadAsync(NULL, at(p), &size, &off, &buf_off, &bytes, stream),
	      CU_FILE_HANDLE_NOT_REGISTERED);
	FAILS(cuFileReadAsync(fh, at(p), NULL, &off, &buf_off, &bytes, stream),
	      CU_FILE_INVALID_VALUE);
	assert_int_equal(bytes, 77);
	/* A graph would do it over and over. */
	fake_cuda.capturing = true;
	status = cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes, stream);
	assert_int_equal(status.err, CU_FILE_CUDA_DRIVER_ERROR);
	assert_int_equal(status.cu_err, 900);
	fake_cuda.capturing = false;
	/* What is looked at later: a sum that wraps. */
	OK(cuFileReadAsync(fh, (void *)-4096L, &size, &off, &buf_off, &bytes, stream));
	assert_int_equal(cuStreamSynchronize(stream), 0);
	assert_int_equal(bytes, -CU_FILE_INVALID_VALUE);
	expect_untouched(p, BLOCK);
	cuStreamDestroy_v2(stream);
	drop(fh, fd);
	cuMemFree_v2(p);
}

static _Atomic bool go_on;

static void wait_for_go(void *arg)
{
	(void)arg;
	while (!go_on)
		usleep(1000);
}

/* One wait of the program's is for all that it has asked for. */
static void a_stream_takes_thousands_of_transfers(void **state)
{
	enum { NR = 3000 };
	int fd = new_file("a", MIB, 1, O_RDONLY), i;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	static ssize_t bytes[NR];
	size_t size = 512;
	off_t off = 4096, buf_off = 0;
	CUstream stream;

	(void)state;
	assert_int_equal(cuStreamCreate(&stream, 0), 0);
	go_on = false;
	assert_int_equal(cuLaunchHostFunc(stream, wait_for_go, NULL), 0);
	for (i = 0; i < NR; i++)
		OK(cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes[i], stream));
	go_on = true;
	assert_int_equal(cuStreamSynchronize(stream), 0);
	for (i = 0; i < NR; i++)
		assert_int_equal(bytes[i], 512);
	cuStreamDestroy_v2(stream);
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* What the first one has registered for streams is gone with it, and is not touched any more. */
static void streams_go_on_in_another_context(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY), i, ret;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	size_t size = BLOCK;
	off_t off = 0, buf_off = 0;
	CUcontext own, popped;
	ssize_t bytes;
	CUstream stream;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(cuCtxCreate_v2(&own, 0, 0), 0);
		assert_int_equal(cuStreamCreate(&stream, 0), 0);
		/* At the most one call is in vain. */
		bytes = 77;
		ret = cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes, stream).err;
		if (ret)
			OK(cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes, stream));
		assert_int_equal(cuStreamSynchronize(stream), 0);
		assert_int_equal(bytes, BLOCK);
		cuStreamDestroy_v2(stream);
		cuCtxPopCurrent_v2(&popped);
		cuCtxDestroy_v2(own);
	}
	drop(fh, fd);
	cuMemFree_v2(p);
}

/* A stream may have failed, and never be there. */
static void a_handle_may_go_before_a_stream_is_there(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	size_t size = BLOCK;
	off_t off = 0, buf_off = 0;
	ssize_t bytes = 77;
	CUstream stream;

	(void)state;
	assert_int_equal(cuStreamCreate(&stream, 0), 0);
	go_on = false;
	assert_int_equal(cuLaunchHostFunc(stream, wait_for_go, NULL), 0);
	OK(cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes, stream));
	drop(fh, fd);
	assert_int_equal(bytes, 77);
	go_on = true;
	assert_int_equal(cuStreamSynchronize(stream), 0);
	assert_int_equal(bytes, -CU_FILE_HANDLE_NOT_REGISTERED);
	expect_untouched(p, BLOCK);
	cuStreamDestroy_v2(stream);
	cuMemFree_v2(p);
}

/* After an error the program may free what it has handed over. */
static void what_a_stream_does_not_take_is_not_done_later(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY), waits;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	size_t size = BLOCK;
	off_t off = 0, buf_off = 0;
	ssize_t bytes;
	CUstream stream;

	(void)state;
	module.delay_us = 20000;
	for (waits = 0; waits < 2; waits++) {
		assert_int_equal(cuStreamCreate(&stream, 0), 0);
		go_on = !waits;
		assert_int_equal(cuLaunchHostFunc(stream, wait_for_go, NULL), 0);
		/* The stream is not there yet; or perhaps it is, and the transfer has begun. */
		if (!waits)
			usleep(20000);
		fake_cuda.wait_error = 801;
		bytes = 77;
		FAILS(cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes, stream),
		      CU_FILE_CUDA_DRIVER_ERROR);
		if (bytes != 77) {
			assert_int_equal(bytes, BLOCK);
			memset(fake_cuda_at(p), 0xee, BLOCK);
		}
		bytes = 77;
		go_on = true;
		assert_int_equal(cuStreamSynchronize(stream), 0);
		usleep(100000);
		assert_int_equal(bytes, 77);
		expect_untouched(p, BLOCK);
		fake_cuda.wait_error = 0;
		cuStreamDestroy_v2(stream);
	}
	drop(fh, fd);
	cuMemFree_v2(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CUFILE_TEST(a_batch_moves_all_in_few_calls),
		CUFILE_TEST(long_transfers_are_several_calls),
		CUFILE_TEST(each_entry_has_its_own_result),
		CUFILE_TEST(waiting_is_for_as_many_as_asked_for_and_as_long),
		CUFILE_TEST(malformed_batches_are_refused),
		CUFILE_TEST(a_batch_that_is_too_large_is_not_looked_at),
		CUFILE_TEST(entries_may_be_longer_than_4_gib),
		CUFILE_TEST(writes_are_durable_where_the_file_is_open_so),
		CUFILE_TEST(the_longest_time_is_long),
		CUFILE_TEST(cancelling_ends_what_has_not_begun),
		CUFILE_TEST(what_has_begun_is_not_cancelled_and_is_waited_for),
		CUFILE_TEST(what_a_ring_does_not_do_is_done_all_the_same),
		CUFILE_TEST(deregistering_waits_for_what_batches_have_begun),
		CUFILE_TEST(several_threads_wait_for_one_batch),
		CUFILE_TEST(signals_end_no_wait),
		CUFILE_TEST(a_batch_outlives_the_thread_that_has_submitted_it),
		CUFILE_TEST(batches_of_many_threads_run_side_by_side),
		CUFILE_TEST(streams_go_on_in_another_context),
		CUFILE_TEST(streams_keep_their_order),
		CUFILE_TEST(streams_take_nothing_that_is_malformed),
		CUFILE_TEST(a_stream_takes_thousands_of_transfers),
		CUFILE_TEST(a_handle_may_go_before_a_stream_is_there),
		CUFILE_TEST(what_a_stream_does_not_take_is_not_done_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
