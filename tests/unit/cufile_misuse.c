// SPDX-License-Identifier: MIT
/*
 * cufile_misuse.c - what programs do too early, too late, too often, or by mistake: no byte goes
 * where it does not belong, nothing hangs, and each call has the answer that cufile.h names.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "cufile_fixture.h"

#define BLOCK	4096UL
#define ENTRIES	32
#define THREADS	4

static CUfileIOParams_t ios[ENTRIES];
static CUfileIOEvents_t events[ENTRIES];

static CUfileIOParams_t io(CUfileHandle_t fh, CUdeviceptr base, off_t buf_off, off_t off,
			   size_t len)
{
	CUfileIOParams_t p = { .mode = CUFILE_BATCH, .fh = fh, .opcode = CUFILE_READ };

	p.cookie = (void *)(uintptr_t)(buf_off / BLOCK);
	p.u.batch.devPtr_base = at(base);
	p.u.batch.devPtr_offset = buf_off;
	p.u.batch.file_offset = off;
	p.u.batch.size = len;
	return p;
}

/* Reads the first blocks of a file to the same place. */
static void submit_blocks(CUfileBatchHandle_t batch, CUfileHandle_t fh, CUdeviceptr p)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++)
		ios[i] = io(fh, p, i * BLOCK, i * BLOCK, BLOCK);
	OK(cuFileBatchIOSubmit(batch, ENTRIES, ios, 0));
}

static void reap_all(CUfileBatchHandle_t batch)
{
	unsigned int n = ENTRIES;

	OK(cuFileBatchIOGetStatus(batch, ENTRIES, &n, events, NULL));
	assert_int_equal(n, ENTRIES);
}

static void a_batch_is_destroyed_once(void **state)
{
	CUfileBatchHandle_t batch, first, second;

	(void)state;
	OK(cuFileBatchIOSetUp(&batch, 4));
	cuFileBatchIODestroy(batch);
	cuFileBatchIODestroy(batch);
	OK(cuFileBatchIOSetUp(&first, 4));
	OK(cuFileBatchIOSetUp(&second, 4));
	assert_ptr_not_equal(first, second);
	cuFileBatchIODestroy(first);
	cuFileBatchIODestroy(second);
}

/* Each allocation that was read into lingers with a descriptor. */
static void what_lingers_gives_descriptors_back(void **state)
{
	enum { NR = 60 };
	int fd = new_file("a", 4096, 1, O_RDWR), i;
	CUfileHandle_t fh = handle_of(fd);
	CUdeviceptr p[NR];

	(void)state;
	for (i = 0; i < NR; i++)
		p[i] = device_memory(2 * MIB);
	leave_descriptors(40);
	for (i = 0; i < NR; i++)
		assert_int_equal(cuFileRead(fh, at(p[i]), 4096, 0, 0), 4096);
	gpu_drop_idle();
	/* What is registered does not, and that there is no more is an error soon. */
	for (i = 0; i < NR && !cuFileBufRegister(at(p[i]), MIB, 0).err; i++)
		;
	assert_in_range(i, 1, NR - 1);
	assert_int_equal(cuFileRead(fh, at(p[NR - 1]), 4096, 0, 0), -1);
	assert_int_equal(errno, EMFILE);
	give_descriptors_back();
	while (i--)
		OK(cuFileBufDeregister(at(p[i])));
	for (i = 0; i < NR; i++)
		v->free(p[i]);
	drop(fh, fd);
}

static void a_range_that_lacks_descriptors_is_an_error_soon(void **state)
{
	int fd = new_file("a", 4096, 1, O_RDWR);
	CUfileHandle_t fh = handle_of(fd);
	CUdeviceptr p;

	(void)state;
	assert_int_equal(fake_cuda_alloc_segments(&p, 40, 2 * MIB), 0);
	leave_descriptors(20);
	FAILS(cuFileBufRegister(at(p), 80 * MIB, 0), CU_FILE_INTERNAL_ERROR);
	assert_int_equal(cuFileWrite(fh, at(p), 80 * MIB, 0, 0), -1);
	assert_int_equal(errno, EMFILE);
	give_descriptors_back();
	drop(fh, fd);
	cuMemFree_v2(p);
}

static void a_batch_has_results_when_descriptors_lack(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR), left;
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch;
	unsigned int i;

	(void)state;
	for (left = 0; left < 10; left++) {
		OK(cuFileBatchIOSetUp(&batch, ENTRIES));
		leave_descriptors(left);
		submit_blocks(batch, fh, p);
		reap_all(batch);
		give_descriptors_back();
		for (i = 0; i < ENTRIES; i++)
			if (events[i].status == CUFILE_COMPLETE)
				expect_device(p + (uintptr_t)events[i].cookie * BLOCK, BLOCK, 1,
					      (uintptr_t)events[i].cookie * BLOCK);
			else
				assert_int_equal(events[i].ret, -EMFILE);
		cuFileBatchIODestroy(batch);
		gpu_drop_idle();
	}
	drop(fh, fd);
	v->free(p);
}

/* ---- one batch of many threads ------------------------------------------------------------- */

static struct {
	CUfileBatchHandle_t batch;
	CUfileHandle_t fh;
	CUdeviceptr p;
	_Atomic bool stop;
	_Atomic unsigned int submitted, reported, wrong;
} shared;

/* Each has memory of its own, and may have its entries there several times. */
static void *submit_often(void *arg)
{
	unsigned int seed = (uintptr_t)arg, i, nr, tries;
	CUdeviceptr own = shared.p + (uintptr_t)arg * ENTRIES * BLOCK;
	CUfileIOParams_t mine[ENTRIES];

	for (tries = 0; tries < 200; tries++) {
		nr = 1 + rand_r(&seed) % (ENTRIES / 4);
		for (i = 0; i < nr; i++)
			mine[i] = io(shared.fh, own, i * BLOCK, i * BLOCK,
				     rand_r(&seed) % 8 ? BLOCK : 0);
		while (cuFileBatchIOSubmit(shared.batch, nr, mine, 0).err)
			usleep(500);
		shared.submitted += nr;
	}
	return NULL;
}

static void report(unsigned int min, unsigned int n, struct timespec *timeout)
{
	CUfileIOEvents_t got[ENTRIES];
	unsigned int i;

	OK(cuFileBatchIOGetStatus(shared.batch, min, &n, got, timeout));
	for (i = 0; i < n; i++)
		shared.wrong += got[i].status != CUFILE_CANCELED &&
				(got[i].status != CUFILE_COMPLETE ||
				 (got[i].ret && got[i].ret != BLOCK));
	shared.reported += n;
}

static void *report_often(void *arg)
{
	unsigned int seed = (uintptr_t)arg + 100, n;

	while (!shared.stop) {
		struct timespec timeout = { 0, rand_r(&seed) % 2000000 };

		n = rand_r(&seed) % (ENTRIES + 1);
		report(rand_r(&seed) % (n + 1), n, rand_r(&seed) % 4 ? &timeout : NULL);
	}
	return NULL;
}

static void *cancel_often(void *arg)
{
	(void)arg;
	while (!shared.stop) {
		OK(cuFileBatchIOCancel(shared.batch));
		usleep(500);
	}
	return NULL;
}

/* Deregistering looks at all batches. */
static void *deregister_often(void *arg)
{
	int fd = new_file("other", 4096, 1, O_RDWR);

	(void)arg;
	while (!shared.stop) {
		cuFileHandleDeregister(handle_of(fd));
		usleep(100);
	}
	close(fd);
	return NULL;
}

static void do_nothing(int signal)
{
	(void)signal;
}

static void share_a_batch(bool bound)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	const struct sigaction handler = { .sa_handler = do_nothing };
	void *(*const others[])(void *) = { report_often, report_often, cancel_often,
					    deregister_often };
	pthread_t submitters[THREADS], threads[COUNT(others)];
	int fd = new_file("a", MIB, 1, O_RDWR);
	uintptr_t i;

	shared.fh = handle_of(fd);
	shared.p = device_memory(2 * MIB);
	shared.submitted = shared.reported = shared.wrong = 0;
	shared.stop = false;
	if (bound)
		assert_int_equal(cuFileRead(shared.fh, at(shared.p), 1, 0, 0), 1);
	OK(cuFileBatchIOSetUp(&shared.batch, ENTRIES));
	module.delay_us = 300;
	assert_int_equal(sigaction(SIGALRM, &handler, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (i = 0; i < THREADS; i++)
		pthread_create(&submitters[i], NULL, submit_often, (void *)i);
	for (i = 0; i < COUNT(others); i++)
		pthread_create(&threads[i], NULL, others[i], (void *)i);
	for (i = 0; i < THREADS; i++)
		pthread_join(submitters[i], NULL);
	shared.stop = true;
	for (i = 0; i < COUNT(others); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	report(ENTRIES, ENTRIES, NULL);
	assert_int_equal(shared.reported, shared.submitted);
	assert_int_equal(shared.wrong, 0);
	cuFileBatchIODestroy(shared.batch);
	drop(shared.fh, fd);
	v->free(shared.p);
}

static void all_threads_may_use_one_batch(void **state)
{
	(void)state;
	share_a_batch(true);
}

static void all_threads_may_use_one_batch_without_a_ring(void **state)
{
	(void)state;
	module.align = 512;
	share_a_batch(false);
}

/* ---- what goes while it is used ------------------------------------------------------------ */

/* The descriptor is another file's when the batch is looked at, and that file is registered. */
static void a_descriptor_is_used_again_with_a_batch_under_way(void **state)
{
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileBatchHandle_t batch;
	unsigned int round, i;
	CUfileHandle_t fh;
	int fd, other;

	(void)state;
	OK(cuFileBatchIOSetUp(&batch, ENTRIES));
	for (round = 0; round < 20; round++) {
		fd = new_file("a", MIB, 1, O_RDWR);
		fh = handle_of(fd);
		if (round % 2)
			assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), 1);
		module.delay_us = round % 5 * 1000;
		submit_blocks(batch, fh, p);
		if (round % 3) {
			close(fd);
			other = new_file("b", MIB, 2, O_RDWR);
			assert_int_equal(fd, other);
			fh = handle_of(other);
		}
		drop(fh, fd);
		reap_all(batch);
		for (i = 0; i < ENTRIES; i++) {
			CUdeviceptr to = p + (uintptr_t)events[i].cookie * BLOCK;

			if (events[i].status == CUFILE_COMPLETE)
				expect_device(to, BLOCK, 1, to - p);
			else
				assert_true(round % 3 && (int)events[i].ret == -EBADF);
		}
	}
	cuFileBatchIODestroy(batch);
	v->free(p);
}

/* The addresses are other memory's at once, and nothing of the batch is to be seen there. */
static void memory_is_freed_with_a_batch_under_way(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch;
	CUdeviceptr p, again;
	unsigned int round;

	(void)state;
	OK(cuFileBatchIOSetUp(&batch, ENTRIES));
	for (round = 0; round < 20; round++) {
		p = device_memory(2 * MIB);
		assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), 1);
		if (round % 3)
			OK(cuFileBufRegister(at(p), 2 * MIB, 0));
		module.delay_us = round % 4 * 1000;
		submit_blocks(batch, fh, p);
		v->free(p);
		again = device_memory(2 * MIB);
		assert_int_equal(again, p);
		reap_all(batch);
		expect_untouched(again, ENTRIES * BLOCK);
		if (round % 3)
			OK(cuFileBufDeregister(at(p)));
		v->free(again);
	}
	cuFileBatchIODestroy(batch);
	drop(fh, fd);
}

static void *shrink_and_grow(void *arg)
{
	unsigned char *mem = malloc(MIB);
	int fd = *(int *)arg;
	unsigned int seed = 7;
	size_t i;

	for (i = 0; i < MIB; i++)
		mem[i] = pattern(1, i);
	while (!shared.stop) {
		off_t to = rand_r(&seed) % MIB;

		assert_int_equal(ftruncate(fd, to), 0);
		assert_int_equal(pwrite(fd, mem + to, MIB - to, to), MIB - to);
	}
	free(mem);
	return NULL;
}

static void files_shrink_and_grow_under_reads(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR), i;
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	pthread_t thread;

	(void)state;
	shared.stop = false;
	module.align = 512;
	assert_int_equal(pthread_create(&thread, NULL, shrink_and_grow, &fd), 0);
	for (i = 0; i < 500; i++) {
		off_t off = i * 7919L % (off_t)MIB;

		assert_in_range(cuFileRead(fh, at(p), MIB, off, 5), 0, MIB - off);
	}
	shared.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(cuFileRead(fh, at(p), 2 * MIB, 0, 0), MIB);
	expect_device(p, MIB, 1, 0);
	drop(fh, fd);
	v->free(p);
}

/* ---- what is taken ------------------------------------------------------------------------- */

static void only_files_and_disks_have_handles(void **state)
{
	int fds[2], fd;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(handle_error(fds[0]), CU_FILE_INVALID_FILE_TYPE);
	assert_int_equal(handle_error(fds[1]), CU_FILE_INVALID_FILE_TYPE);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(handle_error(fds[0]), CU_FILE_INVALID_FILE_TYPE);
	close(fds[0]);
	close(fds[1]);
	fd = open(dir, O_RDONLY);
	assert_int_equal(handle_error(fd), CU_FILE_INVALID_FILE_TYPE);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	assert_int_equal(handle_error(fd), CU_FILE_INVALID_FILE_TYPE);
	close(fd);
	assert_int_equal(handle_error(-1), CU_FILE_INVALID_VALUE);
	assert_int_equal(handle_error(INT32_MAX), CU_FILE_INVALID_VALUE);
}

static void memory_files_are_files(void **state)
{
	int fd = memfd_create("m", MFD_ALLOW_SEALING);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	device_fill(p, 10000, 1, 0);
	assert_int_equal(cuFileWrite(fh, at(p), 10000, 0, 0), 10000);
	assert_int_equal(cuFileRead(fh, at(p + MIB), 20000, 0, 0), 10000);
	expect_device(p + MIB, 10000, 1, 0);
	cuFileHandleDeregister(fh);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	fh = handle_of(fd);
	assert_int_equal(cuFileWrite(fh, at(p), 10, 0, 0), -1);
	assert_int_equal(errno, EPERM);
	drop(fh, fd);
	v->free(p);
}

static void numbers_may_be_anything(void **state)
{
	int fd = new_file("a", 20001, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	assert_int_equal(cuFileRead(fh, at(p), SIZE_MAX, 0, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), INT64_MAX, 1, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), 1, -1, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), 1, 0, -1), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), 1, INT64_MAX, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), 1, INT64_MAX - 1, 0), 0);
	assert_int_equal(cuFileRead(fh, at(p), 0, 0, 0), 0);
	/* What the file has is read, whatever was asked for. */
	assert_int_equal(cuFileRead(fh, at(p), INT64_MAX, 0, 0), 20001);
	expect_device(p, 20001, 1, 0);
	assert_int_equal(cuFileWrite(fh, at(p), INT64_MAX, 0, 0),
			 -CU_FILE_CUDA_POINTER_RANGE_ERROR);
	drop(fh, fd);
	v->free(p);
}

static void ten_thousand_ranges_are_registered(void **state)
{
	enum { NR = 10000 };
	CUdeviceptr p = device_memory(64 * MIB);
	unsigned int i;

	(void)state;
	for (i = 0; i < NR; i++)
		OK(cuFileBufRegister(at(p + i * 7919UL % NR * BLOCK), 2 * BLOCK, 0));
	FAILS(cuFileBufRegister(at(p), BLOCK, 0), CU_FILE_MEMORY_ALREADY_REGISTERED);
	for (i = 0; i < NR; i++)
		OK(cuFileBufDeregister(at(p + i * BLOCK)));
	FAILS(cuFileBufDeregister(at(p)), CU_FILE_MEMORY_NOT_REGISTERED);
	assert_int_equal(v->fake->exports, 1);
	v->free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CUFILE_TEST(a_batch_is_destroyed_once),
		CUFILE_TEST(what_lingers_gives_descriptors_back),
		CUFILE_TEST(a_range_that_lacks_descriptors_is_an_error_soon),
		CUFILE_TEST(a_batch_has_results_when_descriptors_lack),
		CUFILE_TEST(all_threads_may_use_one_batch),
		CUFILE_TEST(all_threads_may_use_one_batch_without_a_ring),
		CUFILE_TEST(a_descriptor_is_used_again_with_a_batch_under_way),
		CUFILE_TEST(memory_is_freed_with_a_batch_under_way),
		CUFILE_TEST(files_shrink_and_grow_under_reads),
		CUFILE_TEST(only_files_and_disks_have_handles),
		CUFILE_TEST(memory_files_are_files),
		CUFILE_TEST(numbers_may_be_anything),
		CUFILE_TEST(ten_thousand_ranges_are_registered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
