// SPDX-License-Identifier: MIT
/*
 * cufile_test.c - what programs rely on in libcufile: files, memory, reading and writing; with
 * module and driver that are fakes.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include <dmabuf_rw.h>

#include "cufile_fixture.h"

static void versions_properties_and_setters_are_served(void **state)
{
	CUfileDrvProps_t props;
	int version = 0;

	(void)state;
	OK(cuFileGetVersion(&version));
	assert_true(version >= 1100 && version < 2000);
	OK(cuFileDriverGetProperties(&props));
	assert_true(props.nvfs.major_version > 0);
	assert_true(props.nvfs.dstatusflags & 1U << CU_FILE_NVME_SUPPORTED);
	assert_true(props.nvfs.dcontrolflags & 1U << CU_FILE_ALLOW_COMPAT_MODE);
	assert_int_equal(props.max_batch_io_size, 128);
	assert_true(props.fflags & 1U << CU_FILE_BATCH_IO_SUPPORTED);
	OK(cuFileDriverSetPollMode(true, 8));
	OK(cuFileDriverSetMaxDirectIOSize(1024));
	OK(cuFileDriverSetMaxCacheSize(2048));
	OK(cuFileDriverSetMaxPinnedMemSize(4096));
	FAILS(cuFileDriverSetMaxCacheSize(0), CU_FILE_DRIVER_UNSUPPORTED_LIMIT);
	OK(cuFileDriverGetProperties(&props));
	assert_true(props.nvfs.dcontrolflags & 1U << CU_FILE_USE_POLL_MODE);
	assert_int_equal(props.nvfs.poll_thresh_size, 8);
	assert_int_equal(props.nvfs.max_direct_io_size, 1024);
	assert_int_equal(props.max_device_cache_size, 2048);
	assert_int_equal(props.max_device_pinned_mem_size, 4096);
	FAILS(cuFileGetVersion(NULL), CU_FILE_INVALID_VALUE);
}

static void opening_is_counted_and_objects_outlive_it(void **state)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(64 * KIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileBatchHandle_t batch;
	long before = cuFileUseCount();

	(void)state;
	assert_true(before >= 1);
	OK(cuFileDriverOpen());
	assert_int_equal(cuFileUseCount(), before + 1);
	OK(cuFileDriverClose());
	while (cuFileUseCount())
		OK(cuFileDriverClose());
	FAILS(cuFileDriverClose(), CU_FILE_DRIVER_NOT_INITIALIZED);
	/* Another library of this process may have registered it. */
	assert_int_equal(cuFileRead(fh, at(p), 64 * KIB, 0, 0), 64 * KIB);
	assert_int_equal(cuFileUseCount(), 1);
	expect_device(p, 64 * KIB, 1, 0);
	/* What only gives up something opens nothing. */
	OK(cuFileBufRegister(at(p), 64 * KIB, 0));
	OK(cuFileBatchIOSetUp(&batch, 1));
	OK(cuFileDriverClose());
	OK(cuFileBufDeregister(at(p)));
	OK(cuFileBatchIOCancel(batch));
	cuFileBatchIODestroy(batch);
	OK(cuFileStreamDeregister(NULL));
	drop(fh, fd);
	assert_int_equal(cuFileUseCount(), 0);
	v->free(p);
}

/* Registered and not, at any place of an allocation, at any place of the file, both ways. */
static void bytes_go_direct_from_anywhere_to_anywhere(void **state)
{
	int registered, fd = new_file("a", MIB, 1, O_RDWR | O_DIRECT);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	for (registered = 0; registered < 2; registered++) {
		if (registered)
			OK(cuFileBufRegister(at(p), 2 * MIB, 0));
		memset(v->at(p), 0xee, 2 * MIB);
		assert_int_equal(cuFileRead(fh, at(p), 5000, 100, 64 * KIB + 1), 5000);
		expect_untouched(p, 64 * KIB + 1);
		expect_device(p + 64 * KIB + 1, 5000, 1, 100);
		expect_untouched(p + 64 * KIB + 1 + 5000, 64 * KIB);
		/* The same by an interior pointer. */
		memset(v->at(p), 0xee, 2 * MIB);
		assert_int_equal(cuFileRead(fh, at(p + 64 * KIB), 5000, 100, 1), 5000);
		expect_device(p + 64 * KIB + 1, 5000, 1, 100);
		device_fill(p + MIB, 8192, 2 + registered, 0);
		assert_int_equal(cuFileWrite(fh, at(p), 8192, 4096, MIB), 8192);
		expect_file("a", 4096, 8192, 2 + registered, 0);
		expect_file("a", 4096 + 8192, 4096, 1, 4096 + 8192);
		/* Give the file its contents back. */
		close(new_file("a", MIB, 1, O_RDWR));
	}
	assert_int_equal(module.moved[0] + module.moved[1], 2 * (5000 + 5000 + 8192));
	assert_int_equal(v->fake->copies, 0);
	assert_int_equal(v->fake->exports, 1);
	assert_int_equal(module.binds, 1);
	OK(cuFileBufDeregister(at(p)));
	drop(fh, fd);
	v->free(p);
}

static void reads_are_short_at_the_end_and_nothing_behind_it(void **state)
{
	int fd = new_file("a", 10000, 1, O_RDONLY);
	CUdeviceptr p = device_memory(64 * KIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	/* As a loader asks: from whole pages to whole pages. */
	assert_int_equal(cuFileRead(fh, at(p), 4096, 8192, 0), 10000 - 8192);
	expect_device(p, 10000 - 8192, 1, 8192);
	expect_untouched(p + 10000 - 8192, 4096);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 10000, 0), 0);
	assert_int_equal(cuFileRead(fh, at(p), 4096, MIB, 0), 0);
	assert_int_equal(cuFileRead(fh, at(p), 0, 0, 0), 0);
	/* More than the memory has, but not more than the file has. */
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), 10000);
	assert_int_equal(cuFileRead(fh, at(p), MIB, 10000, 0), 0);
	drop(fh, fd);
	v->free(p);
}

static void memory_of_the_host_is_read_and_written(void **state)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR | O_DIRECT);
	unsigned char *mem = malloc(64 * KIB);
	CUfileHandle_t fh = handle_of(fd);
	void *pinned;
	size_t i;

	(void)state;
	OK(cuFileBufRegister(mem, 64 * KIB, 0));
	assert_int_equal(cuFileRead(fh, mem, 10001, 3, 5), 10001);
	for (i = 0; i < 10001; i++)
		assert_int_equal(mem[5 + i], pattern(1, 3 + i));
	for (i = 0; i < 64 * KIB; i++)
		mem[i] = pattern(4, i);
	assert_int_equal(cuFileWrite(fh, mem, 64 * KIB, 4096, 0), 64 * KIB);
	expect_file("a", 4096, 64 * KIB, 4, 0);
	OK(cuFileBufDeregister(mem));
	assert_int_equal(cuMemHostAlloc(&pinned, 8192, 0), 0);
	assert_int_equal(cuFileRead(fh, pinned, 8192, 4096, 0), 8192);
	assert_memory_equal(pinned, mem, 8192);
	cuMemFreeHost(pinned);
	assert_int_equal(module.binds, 0);
	free(mem);
	drop(fh, fd);
}

static void what_is_registered_twice_or_never_is_an_error(void **state)
{
	int fd = new_file("a", 4096, 1, O_RDWR), other;
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd), again;

	(void)state;
	assert_int_equal(handle_error(fd), CU_FILE_HANDLE_ALREADY_REGISTERED);
	/* Another descriptor of the same file is another handle. */
	other = dup(fd);
	again = handle_of(other);
	assert_ptr_not_equal(fh, again);
	drop(again, other);
	OK(cuFileBufRegister(at(p), MIB, 0));
	FAILS(cuFileBufRegister(at(p), MIB, 0), CU_FILE_MEMORY_ALREADY_REGISTERED);
	FAILS(cuFileBufRegister(at(p), 4096, 0), CU_FILE_MEMORY_ALREADY_REGISTERED);
	OK(cuFileBufRegister(at(p + 4096), 4096, 0));
	OK(cuFileBufDeregister(at(p + 4096)));
	OK(cuFileBufDeregister(at(p)));
	FAILS(cuFileBufDeregister(at(p)), CU_FILE_MEMORY_NOT_REGISTERED);
	FAILS(cuFileBufRegister(at(p), 4 * MIB, 0), CU_FILE_CUDA_POINTER_RANGE_ERROR);
	FAILS(cuFileBufRegister(at(p), 0, 0), CU_FILE_INVALID_VALUE);
	FAILS(cuFileBufRegister(NULL, 1, 0), CU_FILE_INVALID_VALUE);
	cuFileHandleDeregister(fh);
	cuFileHandleDeregister(fh);
	cuFileHandleDeregister(NULL);
	assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), -CU_FILE_HANDLE_NOT_REGISTERED);
	assert_int_equal(cuFileRead(NULL, at(p), 1, 0, 0), -CU_FILE_HANDLE_NOT_REGISTERED);
	/* A handle is not taken for the next one of its slot. */
	again = handle_of(fd);
	assert_ptr_not_equal(fh, again);
	assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), -CU_FILE_HANDLE_NOT_REGISTERED);
	assert_int_equal(cuFileRead(again, at(p), 1, 0, 0), 1);
	drop(again, fd);
	v->free(p);
}

static void a_descriptor_that_was_closed_early_leads_nowhere_else(void **state)
{
	int fd = new_file("a", 4096, 1, O_RDWR), other;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd), fresh;

	(void)state;
	close(fd);
	other = new_file("b", 4096, 2, O_RDWR);
	assert_int_equal(other, fd);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), -1);
	assert_int_equal(errno, EBADF);
	expect_untouched(p, 4096);
	fresh = handle_of(other);
	assert_int_equal(cuFileRead(fresh, at(p), 4096, 0, 0), 4096);
	expect_device(p, 4096, 2, 0);
	assert_int_equal(cuFileRead(fh, at(p), 1, 0, 0), -CU_FILE_HANDLE_NOT_REGISTERED);
	drop(fresh, other);
	v->free(p);
}

static void open_modes_are_kept(void **state)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_USERSPACE_FS };
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh;
	int fd, pipes[2];

	(void)state;
	fd = new_file("a", 4096, 1, O_RDONLY);
	fh = handle_of(fd);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	assert_int_equal(cuFileWrite(fh, at(p), 4096, 0, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(cuFileWrite(fh, at(p), 4096, 4096, 0), -1);
	assert_int_equal(errno, EBADF);
	drop(fh, fd);
	fd = new_file("a", 4096, 1, O_WRONLY);
	fh = handle_of(fd);
	assert_int_equal(cuFileWrite(fh, at(p), 4096, 0, 0), 4096);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), -1);
	assert_int_equal(errno, EBADF);
	drop(fh, fd);
	fd = new_file("a", 4096, 1, O_RDWR | O_APPEND);
	assert_int_equal(handle_error(fd), CU_FILE_INVALID_FILE_OPEN_FLAG);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(handle_error(pipes[0]), CU_FILE_INVALID_FILE_TYPE);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(handle_error(-1), CU_FILE_INVALID_VALUE);
	FAILS(cuFileHandleRegister(&fh, &descr), CU_FILE_IO_NOT_SUPPORTED);
	FAILS(cuFileHandleRegister(NULL, &descr), CU_FILE_INVALID_VALUE);
	v->free(p);
}

static void writes_make_files_longer(void **state)
{
	int fd = open(name_of("a"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CUdeviceptr p = device_memory(8 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	struct stat st;

	(void)state;
	device_fill(p, 8 * MIB, 1, 0);
	/* From empty, and of no round length. */
	assert_int_equal(cuFileWrite(fh, at(p), 5 * MIB + 77, 0, 0), 5 * MIB + 77);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 5 * MIB + 77);
	expect_file("a", 0, 5 * MIB + 77, 1, 0);
	assert_int_equal(module.moved[1], 0);
	/* Over the end: what is inside goes direct. */
	device_fill(p, 8 * MIB, 2, 0);
	assert_int_equal(cuFileWrite(fh, at(p), 3 * MIB, 4 * MIB, 0), 3 * MIB);
	expect_file("a", 0, 4 * MIB, 1, 0);
	expect_file("a", 4 * MIB, 3 * MIB, 2, 0);
	assert_int_equal(module.moved[1], MIB);
	/* Now it is all there. */
	assert_int_equal(cuFileWrite(fh, at(p), 7 * MIB, 0, 0), 7 * MIB);
	assert_int_equal(module.moved[1], 8 * MIB);
	/* Behind a hole, and into it. */
	assert_int_equal(cuFileWrite(fh, at(p), 4096, 10 * MIB, 0), 4096);
	assert_int_equal(cuFileWrite(fh, at(p), 8192, 8 * MIB, 4096), 8192);
	expect_file("a", 8 * MIB, 8192, 2, 4096);
	expect_file("a", 10 * MIB, 4096, 2, 0);
	assert_int_equal(module.moved[1], 8 * MIB);
	drop(fh, fd);
	v->free(p);
}

static void holes_read_as_zeros(void **state)
{
	static const char zeros[4096];
	int fd = new_file("a", 4096, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	assert_int_equal(ftruncate(fd, 64 * KIB), 0);
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), 64 * KIB);
	expect_device(p, 4096, 1, 0);
	assert_memory_equal(v->at(p + 60 * KIB), zeros, 4096);
	expect_untouched(p + 64 * KIB, 4096);
	drop(fh, fd);
	v->free(p);
}

/* ---- space that was only reserved ---------------------------------------------------------- */

/* 1 MiB and some bytes, with bytes of @tag 9 at 100000; the rest is holes. */
static int new_sparse_file(void)
{
	int fd = open(name_of("a"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unsigned char byte = pattern(9, 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MIB + 77), 0);
	assert_int_equal(pwrite(fd, &byte, 1, 100000), 1);
	module.tells_holes = true;
	return fd;
}

static void never_written_space_is_written_direct_after_zeros(void **state)
{
	int fd = new_sparse_file();
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	device_fill(p, 2 * MIB, 1, 0);
	v->fake->copies = 0;
	assert_int_equal(cuFileWrite(fh, at(p), MIB + 77, 0, 0), MIB + 77);
	expect_file("a", 0, MIB + 77, 1, 0);
	assert_int_equal(module.moved[1], MIB + 77);
	assert_int_equal(v->fake->copies, 0);
	assert_int_equal(module.zeros, 0);
	drop(fh, fd);
	v->free(p);
}

static void the_drive_puts_the_zeros_of_whole_blocks_that_are_written(void **state)
{
	int fd = new_sparse_file();
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	module.puts_zeros = true;
	device_fill(p, 2 * MIB, 1, 0);
	assert_int_equal(cuFileWrite(fh, at(p), 64 * KIB, 512 * KIB, 0), 64 * KIB);
	assert_int_equal(module.zeros, 64 * KIB);
	assert_int_equal(module.moved[1], 64 * KIB);
	/* Once. */
	assert_int_equal(cuFileWrite(fh, at(p), 64 * KIB, 512 * KIB, 0), 64 * KIB);
	assert_int_equal(module.zeros, 64 * KIB);
	/* The block that has a byte is not zeroed, nor is what is not written. */
	assert_int_equal(cuFileWrite(fh, at(p), 8192, 98304, 0), 8192);
	assert_int_equal(module.zeros, 64 * KIB + 4096);
	expect_file("a", 98304, 8192, 1, 0);
	assert_int_equal(lseek(fd, 98304 + 8192, SEEK_DATA), 512 * KIB);
	drop(fh, fd);
	v->free(p);
}

/* Somebody else may be about to write the others of their blocks. */
static void the_ends_of_an_unaligned_write_into_a_hole_bounce(void **state)
{
	int fd = new_sparse_file();
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	unsigned char byte;

	(void)state;
	module.puts_zeros = true;
	device_fill(p, 2 * MIB, 1, 0);
	/* It begins beside the byte that is there, and ends in a hole. */
	assert_int_equal(cuFileWrite(fh, at(p), 40000, 100001, 0), 40000);
	expect_file("a", 100001, 40000, 1, 0);
	assert_int_equal(pread(fd, &byte, 1, 100000), 1);
	assert_int_equal(byte, pattern(9, 0));
	assert_int_equal(module.zeros % 4096, 0);
	assert_true(module.zeros >= 40000 - 2 * 4096 && module.zeros < 40000);
	assert_true(module.moved[1] >= module.zeros);
	drop(fh, fd);
	v->free(p);
}

static void a_file_may_be_renamed_and_unlinked(void **state)
{
	int fd = open(name_of("tmp"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	device_fill(p, MIB, 3, 0);
	assert_int_equal(cuFileWrite(fh, at(p), MIB, 0, 0), MIB);
	assert_int_equal(rename(name_of("tmp"), name_of("final")), 0);
	expect_file("final", 0, MIB, 3, 0);
	assert_int_equal(unlink(name_of("final")), 0);
	memset(v->at(p), 0, MIB);
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), MIB);
	expect_device(p, MIB, 3, 0);
	/* Grows without a name. */
	assert_int_equal(cuFileWrite(fh, at(p), MIB, MIB, 0), MIB);
	assert_int_equal(cuFileRead(fh, at(p), MIB, MIB, 0), MIB);
	drop(fh, fd);
	v->free(p);
}

static void thousands_of_files_need_few_bindings(void **state)
{
	enum { NR = 300, ROUNDS = 10 };
	static int fds[NR];
	static CUfileHandle_t handles[NR];
	CUdeviceptr p = device_memory(MIB);
	char name[16];
	int i, round;

	(void)state;
	OK(cuFileBufRegister(at(p), MIB, 0));
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR; i++) {
			snprintf(name, sizeof(name), "f%d", i);
			fds[i] = new_file(name, 4096, i, O_RDONLY);
			handles[i] = handle_of(fds[i]);
		}
		for (i = 0; i < NR; i++) {
			assert_int_equal(cuFileRead(handles[i], at(p), 4096, 0, 4096), 4096);
			expect_device(p + 4096, 4096, i, 0);
		}
		for (i = 0; i < NR; i++)
			drop(handles[i], fds[i]);
		assert_int_equal(module.bindings, 0);
	}
	assert_in_range(module.most_bindings, 8, 257);
	assert_int_equal(v->fake->exports, 1);
	OK(cuFileBufDeregister(at(p)));
	v->free(p);
}

struct reader {
	CUfileHandle_t fh;
	CUdeviceptr p;
	unsigned int nr;
	bool wrong;
};

static void *read_much(void *arg)
{
	struct reader *r = arg;
	unsigned int i;

	/* A thread of the program has whatever context is current. */
	for (i = 0; i < 200; i++) {
		uint64_t off = (i * 7 + r->nr) % 256 * 4096;

		r->wrong |= cuFileRead(r->fh, at(r->p), 4096, off, r->nr * 4096) != 4096 ||
			    *v->at(r->p + r->nr * 4096) != pattern(1, off);
	}
	return NULL;
}

static void sixteen_threads_share_a_handle(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY);
	CUdeviceptr p = device_memory(MIB);
	struct reader readers[16];
	pthread_t threads[16];
	int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		readers[i] = (struct reader){ i ? readers[0].fh : handle_of(fd), p, i, false };
		assert_int_equal(pthread_create(&threads[i], NULL, read_much, &readers[i]), 0);
	}
	for (i = 0; i < 16; i++) {
		pthread_join(threads[i], NULL);
		assert_false(readers[i].wrong);
	}
	assert_int_equal(module.binds, 1);
	assert_int_equal(v->fake->exports, 1);
	drop(readers[0].fh, fd);
	v->free(p);
}

struct mover {
	CUfileHandle_t fh;
	CUdeviceptr p;
	ssize_t n;
};

static void *move_slowly(void *arg)
{
	struct mover *m = arg;

	m->n = cuFileRead(m->fh, at(m->p), 4096, 0, 0);
	return NULL;
}

static void what_goes_with_transfers_under_way_goes_after_them(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY), other = new_file("b", MIB, 2, O_RDONLY);
	struct mover m = { .p = device_memory(2 * MIB) };
	CUfileHandle_t second = handle_of(other);
	CUdeviceptr again;
	pthread_t thread;
	int i;

	(void)state;
	m.fh = handle_of(fd);
	module.delay_us = 100000;
	assert_int_equal(pthread_create(&thread, NULL, move_slowly, &m), 0);
	while (!fake_module_bindings())
		usleep(1000);
	cuFileHandleDeregister(m.fh);
	pthread_join(thread, NULL);
	assert_int_equal(m.n, 4096);
	expect_device(m.p, 4096, 1, 0);
	assert_int_equal(module.bindings, 0);
	/*
	 * The memory is freed and is another one's, while a transfer has the old one; or, if it is
	 * late, the first page of the new one.
	 */
	for (i = 0; i < 5; i++) {
		m.fh = second;
		assert_int_equal(pthread_create(&thread, NULL, move_slowly, &m), 0);
		usleep(i * 300);
		v->free(m.p);
		again = device_memory(2 * MIB);
		assert_int_equal(cuFileRead(second, at(again), 4096, 8192, 4096), 4096);
		expect_device(again + 4096, 4096, 2, 8192);
		pthread_join(thread, NULL);
		m.p = again;
	}
	assert_in_range(module.bindings, 0, 1);
	close(fd);
	drop(second, other);
	v->free(again);
}

static void errors_are_minus_one_with_errno_or_negative_codes(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	assert_int_equal(cuFileRead(fh, NULL, 1, 0, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), 1, -1, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), 1, 0, -1), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), SIZE_MAX, 1, 0), -CU_FILE_INVALID_VALUE);
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 2 * MIB - 4096),
			 -CU_FILE_CUDA_POINTER_RANGE_ERROR);
	assert_int_equal(cuFileWrite(fh, at(p), MIB, 0, 2 * MIB - 4096),
			 -CU_FILE_CUDA_POINTER_RANGE_ERROR);
	expect_file("a", 0, MIB, 1, 0);
	module.io_errno = ENODATA;
	module.io_errno_from = 64 * KIB;
	/* What arrived before counts. */
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), 64 * KIB);
	assert_int_equal(cuFileRead(fh, at(p), MIB, 64 * KIB, 0), -1);
	assert_int_equal(errno, ENODATA);
	drop(fh, fd);
	v->free(p);
}

/* A sum that wraps leads to memory that nobody has asked for. */
static void addresses_do_not_wrap(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	unsigned char mem[512];
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	memset(mem, 0xee, sizeof(mem));
	assert_int_equal(cuFileRead(fh, (void *)-4096L, 4096, 0, p + 4096), -CU_FILE_INVALID_VALUE);
	expect_untouched(p, MIB);
	assert_int_equal(cuFileRead(fh, (void *)-4096L, 512, 0, (uintptr_t)mem + 4096),
			 -CU_FILE_INVALID_VALUE);
	assert_int_equal(mem[0], 0xee);
	assert_int_equal(cuFileRead(fh, (void *)-4096L, 8192, 0, 0), -CU_FILE_INVALID_VALUE);
	drop(fh, fd);
	v->free(p);
}

/* Descriptors of this process that lead to the file, with those of @flags that are in @mask. */
static unsigned int openings_of(const char *name, int mask, int flags)
{
	char path[300], to[256];
	unsigned int nr = 0;
	struct dirent *e;
	DIR *fds = opendir("/proc/self/fd");

	assert_non_null(fds);
	while ((e = readdir(fds))) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		n = readlink(path, to, sizeof(to) - 1);
		if (n < 0)
			continue;
		to[n] = 0;
		nr += !strcmp(to, name_of(name)) &&
		      (fcntl(atoi(e->d_name), F_GETFL) & mask) == flags;
	}
	closedir(fds);
	return nr;
}

static void a_file_that_is_opened_anew_stays_synchronous(void **state)
{
	int fd = new_file("a", 8192, 1, O_RDWR | O_DIRECT | O_SYNC);
	CUfileHandle_t fh = handle_of(fd);
	char mem[101];

	(void)state;
	memset(mem, 1, sizeof(mem));
	assert_int_equal(cuFileWrite(fh, mem + 1, 100, 5, 0), 100);
	assert_int_equal(openings_of("a", O_DIRECT, 0), 1);
	assert_int_equal(openings_of("a", O_SYNC, O_SYNC), 2);
	drop(fh, fd);
}

/* What has been bound for other files gives its descriptors back. */
static void files_may_take_nearly_all_descriptors(void **state)
{
	enum { NR = 60 };
	CUdeviceptr p = device_memory(MIB), late = device_memory(2 * MIB);
	CUfileHandle_t handles[NR];
	int fds[NR], i, round;
	char name[16];

	(void)state;
	for (i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fds[i] = new_file(name, 4096, i, O_RDONLY);
		handles[i] = handle_of(fds[i]);
	}
	OK(cuFileBufRegister(at(p), MIB, 0));
	leave_descriptors(40);
	for (round = 0; round < 2; round++)
		for (i = 0; i < NR; i++) {
			assert_int_equal(cuFileRead(handles[i], at(p), 4096, 0, 4096), 4096);
			expect_device(p + 4096, 4096, i, 0);
		}
	assert_int_equal(module.moved[0], 2 * NR * 4096);
	/* As does what has to be exported now. */
	assert_int_equal(cuFileRead(handles[0], at(late), 4096, 0, 0), 4096);
	assert_int_equal(module.moved[0], (2 * NR + 1) * 4096);
	give_descriptors_back();
	for (i = 0; i < NR; i++)
		drop(handles[i], fds[i]);
	OK(cuFileBufDeregister(at(p)));
	v->free(p);
	v->free(late);
}

static void a_lack_of_descriptors_is_not_remembered(void **state)
{
	int fd = new_file("a", 8192, 1, O_RDONLY | O_DIRECT);
	CUfileHandle_t fh = handle_of(fd);
	char mem[101];

	(void)state;
	leave_descriptors(0);
	assert_int_equal(cuFileRead(fh, mem + 1, 100, 5, 0), -1);
	assert_int_equal(errno, EMFILE);
	give_descriptors_back();
	assert_int_equal(cuFileRead(fh, mem + 1, 100, 5, 0), 100);
	assert_int_equal(openings_of("a", O_DIRECT, 0), 1);
	drop(fh, fd);
}

static _Atomic bool stop_opening;

static void *open_and_close(void *arg)
{
	(void)arg;
	while (!stop_opening) {
		cuFileDriverOpen();
		while (!cuFileDriverClose().err)
			;
	}
	return NULL;
}

static void the_driver_may_be_closed_beside_transfers(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR), i;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	pthread_t thread;

	(void)state;
	stop_opening = false;
	assert_int_equal(pthread_create(&thread, NULL, open_and_close, NULL), 0);
	for (i = 0; i < 200; i++)
		assert_int_equal(cuFileRead(fh, at(p), 4096, i * 4096, 0), 4096);
	stop_opening = true;
	pthread_join(thread, NULL);
	drop(fh, fd);
	v->free(p);
}

static void memory_without_a_dma_buf_bounces(void **state)
{
	int kind, fd = new_file("a", 9 * MIB, 1, O_RDWR);
	CUfileHandle_t fh = handle_of(fd);
	CUdeviceptr p;

	(void)state;
	for (kind = 0; kind < 2; kind++) {
		if (kind)
			p = v->alloc_foreign(10 * MIB);
		else
			p = v->alloc_shared(10 * MIB);
		OK(cuFileBufRegister(at(p), 10 * MIB, 0));
		assert_int_equal(cuFileRead(fh, at(p), 9 * MIB - 5, 5, 3), 9 * MIB - 5);
		expect_device(p + 3, 9 * MIB - 5, 1, 5);
		device_fill(p, MIB, 2, 0);
		assert_int_equal(cuFileWrite(fh, at(p), 100, 7, 0), 100);
		expect_file("a", 7, 100, 2, 0);
		close(new_file("a", 9 * MIB, 1, O_RDWR));
		OK(cuFileBufDeregister(at(p)));
		v->free(p);
	}
	assert_int_equal(module.binds, 0);
	drop(fh, fd);
}

/* The library needs /dev/udmabuf to write parts of LBAs, which few containers have. */
static void writes_need_no_alignment_anywhere(void **state)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	module.align = 512;
	device_fill(p, 9000, 2, 0);
	assert_int_equal(cuFileWrite(fh, at(p), 9000, 100, 0), 9000);
	expect_file("a", 0, 100, 1, 0);
	expect_file("a", 100, 9000, 2, 0);
	expect_file("a", 9100, 1000, 1, 9100);
	assert_int_equal(cuFileWrite(fh, at(p), 1024, 512, 0), 1024);
	assert_int_equal(module.moved[1] % 512, 0);
	assert_true(module.moved[1] >= 1024);
	drop(fh, fd);
	v->free(p);
}

static void a_pair_that_is_refused_bounces(void **state)
{
	int fd = new_file("a", 3 * MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(4 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	module.bind_errno = EOPNOTSUPP;
	module.bind_reason = DMABUF_RW_REASON_LAYOUT;
	expect_copies(fh, p);
	drop(fh, fd);
	v->free(p);
}

static void a_range_of_several_segments_is_one_transfer(void **state)
{
	int fd = new_file("a", 8 * MIB, 1, O_RDWR);
	CUfileHandle_t fh = handle_of(fd);
	CUdeviceptr p;
	int i;

	(void)state;
	assert_int_equal(fake_cuda_alloc_segments(&p, 3, 2 * MIB), 0);
	assert_int_equal(cuFileRead(fh, at(p), 4 * MIB, 100, MIB), 4 * MIB);
	expect_device(p + MIB, MIB, 1, 100);
	expect_device(p + 2 * MIB, 2 * MIB, 1, 100 + MIB);
	expect_device(p + 4 * MIB, MIB, 1, 100 + 3 * MIB);
	assert_int_equal(module.moved[0], 4 * MIB);
	assert_int_equal(module.binds, 3);
	for (i = 0; i < 3; i++)
		device_fill(p + i * 2 * MIB, 2 * MIB, 2, i * 2 * MIB);
	assert_int_equal(cuFileWrite(fh, at(p), 6 * MIB, 0, 0), 6 * MIB);
	expect_file("a", 0, 6 * MIB, 2, 0);
	/* Past its end. */
	assert_int_equal(cuFileRead(fh, at(p), 6 * MIB, 0, MIB), -CU_FILE_CUDA_POINTER_RANGE_ERROR);
	drop(fh, fd);
	v->free(p);
}

static void memory_that_is_freed_and_allocated_again_is_the_new_one(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB), again;
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	/* Registered, and freed all the same. */
	OK(cuFileBufRegister(at(p), 2 * MIB, 0));
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), MIB);
	v->free(p);
	again = device_memory(2 * MIB);
	assert_int_equal(again, p);
	assert_int_equal(cuFileRead(fh, at(again), MIB, 0, 0), MIB);
	expect_device(again, MIB, 1, 0);
	/* The registration was of what is gone. */
	OK(cuFileBufRegister(at(again), MIB, 0));
	FAILS(cuFileBufRegister(at(again), MIB, 0), CU_FILE_MEMORY_ALREADY_REGISTERED);
	OK(cuFileBufDeregister(at(p)));
	FAILS(cuFileBufDeregister(at(p)), CU_FILE_MEMORY_NOT_REGISTERED);
	drop(fh, fd);
	v->free(again);
}

/* Nobody has registered it, so it goes half a second after its last use, and not before. */
static void memory_stays_exported_as_long_as_it_is_used(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY), i;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	unsigned int tries;

	(void)state;
	for (i = 0; i < 30; i++) {
		assert_int_equal(cuFileRead(fh, at(p), 4096, i * 4096, 0), 4096);
		expect_device(p, 4096, 1, i * 4096);
		usleep(50000);
	}
	assert_int_equal(v->fake->exports, 1);
	assert_int_equal(module.binds, 1);
	for (tries = 0; fake_module_bindings() && tries < 500; tries++)
		usleep(10000);
	assert_int_equal(fake_module_bindings(), 0);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	assert_int_equal(v->fake->exports, 2);
	drop(fh, fd);
	v->free(p);
}

/* Each finds the one that was used last there, and must look for its own. */
static void a_file_and_two_allocations_are_used_in_turns(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDONLY), i;
	CUdeviceptr p[2] = { device_memory(MIB), device_memory(MIB) };
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_int_equal(cuFileRead(fh, at(p[i % 2]), 4096, i * 4096, i * 4096), 4096);
		expect_device(p[i % 2] + i * 4096, 4096, 1, i * 4096);
		expect_untouched(p[!(i % 2)] + i * 4096, 4096);
	}
	assert_int_equal(module.binds, 2);
	/* Where one ends, the range does. */
	assert_int_equal(cuFileRead(fh, at(p[0]), 4097, 0, MIB - 4096),
			 -CU_FILE_CUDA_POINTER_RANGE_ERROR);
	drop(fh, fd);
	v->free(p[0]);
	v->free(p[1]);
}

static void what_is_about_the_moment_does_not_bounce(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	/* A signal is nothing that programs know of here. */
	module.bind_signals = 2;
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), MIB);
	assert_int_equal(module.moved[0], MIB);
	drop(fh, fd);
	fd = new_file("a", MIB, 1, O_RDWR);
	fh = handle_of(fd);
	module.bind_errno = ENODEV;
	module.bind_reason = DMABUF_RW_REASON_GONE;
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), -1);
	assert_int_equal(errno, ENODEV);
	module.bind_errno = ENOTBLK;
	module.bind_reason = DMABUF_RW_REASON_FILESYSTEM;
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), MIB);
	expect_device(p, MIB, 1, 0);
	drop(fh, fd);
	v->free(p);
}

int main(void)
{
	static const struct vendor_test tests[] = {
		BOTH_TEST(versions_properties_and_setters_are_served),
		BOTH_TEST(opening_is_counted_and_objects_outlive_it),
		BOTH_TEST(bytes_go_direct_from_anywhere_to_anywhere),
		BOTH_TEST(reads_are_short_at_the_end_and_nothing_behind_it),
		BOTH_TEST(memory_of_the_host_is_read_and_written),
		BOTH_TEST(what_is_registered_twice_or_never_is_an_error),
		BOTH_TEST(a_descriptor_that_was_closed_early_leads_nowhere_else),
		BOTH_TEST(open_modes_are_kept),
		BOTH_TEST(writes_make_files_longer),
		BOTH_TEST(holes_read_as_zeros),
		BOTH_TEST(never_written_space_is_written_direct_after_zeros),
		BOTH_TEST(the_drive_puts_the_zeros_of_whole_blocks_that_are_written),
		BOTH_TEST(the_ends_of_an_unaligned_write_into_a_hole_bounce),
		BOTH_TEST(a_file_may_be_renamed_and_unlinked),
		BOTH_TEST(thousands_of_files_need_few_bindings),
		BOTH_TEST(sixteen_threads_share_a_handle),
		BOTH_TEST(what_goes_with_transfers_under_way_goes_after_them),
		BOTH_TEST(errors_are_minus_one_with_errno_or_negative_codes),
		BOTH_TEST(addresses_do_not_wrap),
		BOTH_TEST(a_file_that_is_opened_anew_stays_synchronous),
		BOTH_TEST(files_may_take_nearly_all_descriptors),
		BOTH_TEST(a_lack_of_descriptors_is_not_remembered),
		BOTH_TEST(the_driver_may_be_closed_beside_transfers),
		BOTH_TEST(memory_without_a_dma_buf_bounces),
		BOTH_TEST(writes_need_no_alignment_anywhere),
		BOTH_TEST(a_pair_that_is_refused_bounces),
		CUDA_TEST(a_range_of_several_segments_is_one_transfer),
		BOTH_TEST(memory_that_is_freed_and_allocated_again_is_the_new_one),
		BOTH_TEST(memory_stays_exported_as_long_as_it_is_used),
		BOTH_TEST(a_file_and_two_allocations_are_used_in_turns),
		BOTH_TEST(what_is_about_the_moment_does_not_bounce),
	};

	return run_vendor_tests("cufile_test", tests, COUNT(tests), setup, teardown);
}
