// SPDX-License-Identifier: MIT
/* cufile_rocm.c - libcufile with ROCm's memory: what is so with no other. */
#include "cufile_fixture.h"
#include "cufile/front.h"

/*
 * ROCm's kernel driver moves memory out of the device where the drive cannot reach it there, and
 * lets the drive have it. That would be told as direct.
 */
static void memory_that_was_moved_out_of_the_device_bounces(void **state)
{
	int fd = new_file("a", 3 * MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(4 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	module.in_ram = true;
	expect_copies(fh, p);
	cuFileHandleDeregister(fh);
	close(fd);
	v->free(p);
}

/* It may be moved while it is bound, and back. */
static void memory_that_moves_while_it_is_bound_bounces_meanwhile(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	assert_int_equal(v->fake->copies, 0);
	module.io_errno = EXDEV;
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), MIB);
	expect_device(p, MIB, 1, 0);
	assert_true(v->fake->copies > 0);
	module.io_errno = 0;
	v->fake->copies = 0;
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), MIB);
	assert_int_equal(v->fake->copies, 0);
	assert_int_equal(module.binds, 1);
	cuFileHandleDeregister(fh);
	close(fd);
	v->free(p);
}

/* The same of a batch, whose pair is bound, so that its entries go by the ring. */
static void a_batch_of_memory_that_was_moved_goes_through_memory(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileIOParams_t ios[4];
	CUfileIOEvents_t events[4];
	CUfileBatchHandle_t batch;
	unsigned int i, nr = 4;

	(void)state;
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	module.io_errno = EXDEV;
	for (i = 0; i < nr; i++) {
		ios[i] = (CUfileIOParams_t){ .mode = CUFILE_BATCH, .fh = fh,
					     .opcode = CUFILE_READ };
		ios[i].u.batch.devPtr_base = at(p);
		ios[i].u.batch.devPtr_offset = i * 65536;
		ios[i].u.batch.file_offset = i * 65536;
		ios[i].u.batch.size = 65536;
	}
	OK(cuFileBatchIOSetUp(&batch, nr));
	OK(cuFileBatchIOSubmit(batch, nr, ios, 0));
	OK(cuFileBatchIOGetStatus(batch, nr, &nr, events, NULL));
	assert_int_equal(nr, 4);
	for (i = 0; i < nr; i++) {
		assert_int_equal(events[i].status, CUFILE_COMPLETE);
		assert_int_equal(events[i].ret, 65536);
	}
	expect_device(p, 4 * 65536, 1, 0);
	assert_true(v->fake->copies > 0);
	cuFileBatchIODestroy(batch);
	cuFileHandleDeregister(fh);
	close(fd);
	v->free(p);
}

/* Small allocations share a block, which the dma-buf is of. */
static void small_allocations_are_met_where_they_begin(void **state)
{
	CUdeviceptr first = device_memory(5000), second = device_memory(5000);
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	assert_int_equal(cuFileRead(fh, at(second), 4000, 100, 1000), 4000);
	expect_device(second + 1000, 4000, 1, 100);
	expect_untouched(second, 1000);
	expect_untouched(first, 5000);
	device_fill(first, 5000, 2, 0);
	assert_int_equal(cuFileWrite(fh, at(first), 5000, 0, 0), 5000);
	expect_file("a", 0, 5000, 2, 0);
	assert_int_equal(fake_hsa.copies, 0);
	assert_int_equal(module.moved[0] + module.moved[1], 9000);
	cuFileHandleDeregister(fh);
	close(fd);
	v->free(first);
	v->free(second);
}

static void a_bounce_that_is_forbidden_says_that_the_memory_has_moved(void **state)
{
	int fd = new_file("a", MIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(2 * MIB);
	CUfileHandle_t fh = handle_of(fd);

	(void)state;
	module.in_ram = true;
	front.direct_only = true;
	assert_int_equal(cuFileRead(fh, at(p), MIB, 0, 0), -1);
	front.direct_only = false;
	expect_untouched(p, MIB);
	assert_int_equal(fake_hsa.copies, 0);
	cuFileHandleDeregister(fh);
	close(fd);
	v->free(p);
}

int main(void)
{
	static const struct vendor_test tests[] = {
		ROCM_TEST(memory_that_was_moved_out_of_the_device_bounces),
		ROCM_TEST(memory_that_moves_while_it_is_bound_bounces_meanwhile),
		ROCM_TEST(a_batch_of_memory_that_was_moved_goes_through_memory),
		ROCM_TEST(small_allocations_are_met_where_they_begin),
		ROCM_TEST(a_bounce_that_is_forbidden_says_that_the_memory_has_moved),
	};

	return run_vendor_tests("cufile_rocm", tests, COUNT(tests), setup, teardown);
}
