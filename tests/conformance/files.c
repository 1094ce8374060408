// SPDX-License-Identifier: MIT
/* files.c - registration of files and of memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

/* ---- files -------------------------------------------------------------------------------- */

static void ask_for_modes(void)
{
	static const struct {
		const char *call, *expected;
		enum basis basis;
		int flags;
	} modes[] = {
		{ "read_write", "ok", DOCUMENTED, O_RDWR },
		{ "read_write_direct", "ok", DOCUMENTED, O_RDWR | O_DIRECT },
		{ "read_only", "ok", RELIED_ON, O_RDONLY },
		{ "write_only", "ok", RELIED_ON, O_WRONLY },
		{ "synchronous", "ok", CHOSEN, O_RDWR | O_SYNC },
		{ "append", "INVALID_FILE_OPEN_FLAG", RELIED_ON, O_WRONLY | O_APPEND },
		{ "path_only", "INVALID_FILE_OPEN_FLAG|INVALID_VALUE", CHOSEN, O_PATH },
	};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		CUfileHandle_t fh = NULL;
		int fd = new_file("modes", 4096, 1, modes[i].flags);
		CUfileError_t status = register_fd(fd, &fh);

		answer(modes[i].basis, modes[i].call, modes[i].expected, "%s",
		       status_word(status));
		if (!status.err)
			cf.HandleDeregister(fh);
		close(fd);
	}
}

static void ask_for_kinds(void)
{
	CUfileHandle_t fh;
	int fd, ends[2];

	fd = open(".", O_RDONLY | O_DIRECTORY);
	answer(CHOSEN, "directory", "INVALID_FILE_TYPE", "%s", status_word(register_fd(fd, &fh)));
	close(fd);
	if (!pipe(ends)) {
		answer(CHOSEN, "pipe", "INVALID_FILE_TYPE", "%s",
		       status_word(register_fd(ends[0], &fh)));
		close(ends[0]);
		close(ends[1]);
	}
	fd = open("/dev/null", O_RDWR);
	answer(CHOSEN, "character_device", "INVALID_FILE_TYPE", "%s",
	       status_word(register_fd(fd, &fh)));
	close(fd);
	answer(CHOSEN, "closed_descriptor", "INVALID_VALUE", "%s",
	       status_word(register_fd(fd, &fh)));
	answer(CHOSEN, "descriptor_-1", "INVALID_VALUE", "%s", status_word(register_fd(-1, &fh)));
}

/* Of a program that has not opened the driver. */
void handles(void)
{
	CUfileHandle_t fh = NULL;
	int fd;

	use_device();
	fd = new_file("first", 4096, 1, O_RDWR);
	answer(RELIED_ON, "register_opens_the_driver", "ok", "%s",
	       status_word(register_fd(fd, &fh)));
	answer(RELIED_ON, "count_then", "1", "%ld", cf.UseCount());
	answer(DOCUMENTED, "handle_is_not_null", "yes", "%s", fh ? "yes" : "no");
	ask_for_modes();
	ask_for_kinds();
}

void handle_twice(void)
{
	CUfileHandle_t fh = NULL, other = NULL, again = NULL;
	int fd, dup_fd;

	use_device();
	fd = new_file("file", 4096, 1, O_RDWR);
	dup_fd = open(path_of("file"), O_RDWR);
	answer(DOCUMENTED, "first", "ok", "%s", status_word(register_fd(fd, &fh)));
	answer(RELIED_ON, "same_descriptor", "HANDLE_ALREADY_REGISTERED", "%s",
	       status_word(register_fd(fd, &again)));
	answer(RELIED_ON, "same_file_by_another_descriptor", "ok", "%s",
	       status_word(register_fd(dup_fd, &other)));
	answer(CHOSEN, "its_handle_is_another_one", "yes", "%s", fh != other ? "yes" : "no");
	cf.HandleDeregister(fh);
	answer(DOCUMENTED, "after_deregistering", "ok", "%s", status_word(register_fd(fd, &fh)));
	cf.HandleDeregister(fh);
	close(fd);
	/* The number is given out again. */
	fd = new_file("other", 4096, 2, O_RDWR);
	answer(DOCUMENTED, "descriptor_used_again", "ok", "%s", status_word(register_fd(fd, &fh)));
}

void handle_of_nothing(void)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD };
	CUfileHandle_t fh;

	use_device();
	descr.handle.fd = new_file("file", 4096, 1, O_RDWR);
	answer(CHOSEN, "no_descriptor", "INVALID_VALUE", "%s",
	       status_word(cf.HandleRegister(&fh, NULL)));
	answer(CHOSEN, "no_handle", "INVALID_VALUE", "%s",
	       status_word(cf.HandleRegister(NULL, &descr)));
	descr.type = 0;
	answer(CHOSEN, "type_0", "IO_NOT_SUPPORTED|INVALID_VALUE", "%s",
	       status_word(cf.HandleRegister(&fh, &descr)));
	descr.type = CU_FILE_HANDLE_TYPE_OPAQUE_WIN32;
	answer(CHOSEN, "type_of_another_system", "IO_NOT_SUPPORTED|INVALID_VALUE", "%s",
	       status_word(cf.HandleRegister(&fh, &descr)));
	descr.type = CU_FILE_HANDLE_TYPE_USERSPACE_FS;
	answer(CHOSEN, "file_system_of_user_space_without_functions",
	       "IO_NOT_SUPPORTED|INVALID_VALUE", "%s",
	       status_word(cf.HandleRegister(&fh, &descr)));
	descr.type = 99;
	answer(CHOSEN, "type_99", "IO_NOT_SUPPORTED|INVALID_VALUE", "%s",
	       status_word(cf.HandleRegister(&fh, &descr)));
	cf.HandleDeregister(NULL);
	answer(CHOSEN, "null_is_deregistered", "returned", "returned");
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Registers and deregisters, so that the cases do not meet. */
static void ask_for_buffer(enum basis basis, const char *call, const char *expected,
			   const void *base, size_t len, int flags)
{
	CUfileError_t status = cf.BufRegister(base, len, flags);

	answer(basis, call, expected, "%s", status_word(status));
	if (!status.err)
		cf.BufDeregister(base);
}

/* Of a program that has not opened the driver, as one is in use. */
void buffers(void)
{
	cuda_ptr p, managed, small;
	void *pinned, *mem;

	use_device();
	p = device_memory(4 * MIB);
	ask_for_buffer(RELIED_ON, "before_opening", "ok", at(p), 4 * MIB, 0);
	ask_for_buffer(DOCUMENTED, "whole_allocation", "ok", at(p), 4 * MIB, 0);
	ask_for_buffer(RELIED_ON, "beginning_of_allocation", "ok", at(p), MIB, 0);
	ask_for_buffer(RELIED_ON, "part_of_allocation", "ok", at(p + MIB), MIB, 0);
	ask_for_buffer(RELIED_ON, "part_that_is_not_aligned", "ok", at(p + 512), 1000, 0);
	small = device_memory(5000);
	ask_for_buffer(RELIED_ON, "small_allocation", "ok", at(small), 5000, 0);
	mem = malloc(MIB);
	ask_for_buffer(DOCUMENTED, "host_memory", "ok", mem, MIB, 0);
	if (cu.MemHostAlloc && !cu.MemHostAlloc(&pinned, MIB, 0))
		ask_for_buffer(DOCUMENTED, "pinned_host_memory", "ok", pinned, MIB, 0);
	if (cu.MemAllocManaged && !cu.MemAllocManaged(&managed, MIB, 1))
		ask_for_buffer(CHOSEN, "managed_memory", "ok|CUDA_MEMORY_TYPE_INVALID",
			       at(managed), MIB, 0);
	free(mem);
}

void buffer_twice(void)
{
	unsigned char *mem = malloc(MIB);
	cuda_ptr p;

	use_device();
	p = device_memory(4 * MIB);
	answer(DOCUMENTED, "first", "ok", "%s", status_word(cf.BufRegister(at(p), 4 * MIB, 0)));
	answer(DOCUMENTED, "same_base", "MEMORY_ALREADY_REGISTERED", "%s",
	       status_word(cf.BufRegister(at(p), 4 * MIB, 0)));
	answer(DOCUMENTED, "same_base_and_shorter", "MEMORY_ALREADY_REGISTERED", "%s",
	       status_word(cf.BufRegister(at(p), MIB, 0)));
	answer(CHOSEN, "part_of_it", "ok", "%s", status_word(cf.BufRegister(at(p + MIB), MIB, 0)));
	answer(CHOSEN, "deregister_by_interior_pointer", "MEMORY_NOT_REGISTERED|INVALID_VALUE",
	       "%s", status_word(cf.BufDeregister(at(p + 4096))));
	answer(DOCUMENTED, "deregister", "ok", "%s", status_word(cf.BufDeregister(at(p))));
	answer(DOCUMENTED, "deregister_again", "MEMORY_NOT_REGISTERED|INVALID_VALUE", "%s",
	       status_word(cf.BufDeregister(at(p))));
	answer(DOCUMENTED, "register_again", "ok", "%s",
	       status_word(cf.BufRegister(at(p), 4 * MIB, 0)));
	answer(DOCUMENTED, "host_memory", "ok", "%s", status_word(cf.BufRegister(mem, MIB, 0)));
	answer(DOCUMENTED, "host_memory_again", "MEMORY_ALREADY_REGISTERED", "%s",
	       status_word(cf.BufRegister(mem, MIB, 0)));
	answer(DOCUMENTED, "deregister_host_memory", "ok", "%s",
	       status_word(cf.BufDeregister(mem)));
	free(mem);
}

void buffers_not_to_be_had(void)
{
	cuda_ptr p;

	use_device();
	p = device_memory(4 * MIB);
	ask_for_buffer(DOCUMENTED, "null", "INVALID_VALUE", NULL, MIB, 0);
	ask_for_buffer(DOCUMENTED, "no_length", "INVALID_VALUE", at(p), 0, 0);
	ask_for_buffer(DOCUMENTED, "rdma_flags", "ok", at(p), MIB, 3);
	ask_for_buffer(CHOSEN, "unknown_flags", "INVALID_VALUE", at(p), MIB, 1 << 20);
	ask_for_buffer(CHOSEN, "longer_than_the_device_has",
		       "CUDA_POINTER_RANGE_ERROR|INVALID_VALUE", at(p), (size_t)1 << 46, 0);
	ask_for_buffer(CHOSEN, "length_that_wraps_around",
		       "CUDA_POINTER_RANGE_ERROR|INVALID_VALUE", at(p), SIZE_MAX, 0);
	answer(CHOSEN, "deregister_null", "MEMORY_NOT_REGISTERED|INVALID_VALUE", "%s",
	       status_word(cf.BufDeregister(NULL)));
}
