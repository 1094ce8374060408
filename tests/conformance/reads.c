// SPDX-License-Identifier: MIT
/*
 * reads.c - reading: how many bytes, which ones, and nothing besides them.
 *
 * The file has a length that no block and no page divides.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

#define FILE_BYTES	1000000UL
#define LONG_BYTES	(3 * MIB)
#define MEM_BYTES	(2 * MIB)

enum place { DEVICE, REGISTERED, INTERIOR };

struct read_case {
	const char *call, *expected;
	enum basis basis;
	enum place place;
	size_t size;
	off_t off, buf_off;
};

/* What was read is right, and what is around it is as it was. */
static const char *judge(cuda_ptr p, off_t buf_off, ssize_t n, off_t off)
{
	uint64_t end = n > 0 ? buf_off + n : 0;

	if (n <= 0)
		return device_is_fresh(p, MEM_BYTES) ? "nothing touched" : "memory touched";
	if (!device_is(p + buf_off, n, 1, off))
		return "wrong";
	if (!device_is_fresh(p, buf_off) || !device_is_fresh(p + end, MEM_BYTES - end))
		return "right, more touched";
	return "right";
}

static const struct read_case cases[] = {
	{ "whole_file", "1000000 right", DOCUMENTED, DEVICE, FILE_BYTES, 0, 0 },
	{ "whole_file_to_registered", "1000000 right", DOCUMENTED, REGISTERED, FILE_BYTES, 0, 0 },
	{ "length_rounded_up_to_pages", "1000000 right", RELIED_ON, DEVICE, 1003520, 0, 0 },
	{ "from_offset", "4096 right", DOCUMENTED, DEVICE, 4096, 8192, 0 },
	{ "to_buffer_offset", "4096 right", DOCUMENTED, REGISTERED, 4096, 0, 65536 },
	{ "to_buffer_offset_unregistered", "4096 right", RELIED_ON, DEVICE, 4096, 0, 65536 },
	{ "to_interior_pointer", "4096 right", RELIED_ON, INTERIOR, 4096, 4096, 0 },
	{ "to_interior_pointer_and_offset", "4096 right", RELIED_ON, INTERIOR, 4096, 0, 8192 },
	{ "from_unaligned_offset", "5000 right", DOCUMENTED, DEVICE, 5000, 123, 0 },
	{ "unaligned_length", "4097 right", DOCUMENTED, REGISTERED, 4097, 4096, 0 },
	{ "to_unaligned_memory", "4096 right", DOCUMENTED, DEVICE, 4096, 0, 77 },
	{ "all_unaligned", "99999 right", DOCUMENTED, INTERIOR, 99999, 33, 5 },
	{ "one_byte", "1 right", DOCUMENTED, DEVICE, 1, 999999, 3 },
	{ "short_at_the_end", "576 right", RELIED_ON, DEVICE, 4096, 999424, 0 },
	{ "at_the_end", "0 nothing touched", RELIED_ON, DEVICE, 4096, FILE_BYTES, 0 },
	{ "behind_the_end", "0 nothing touched", RELIED_ON, DEVICE, 4096, 1003520, 0 },
	{ "far_behind_the_end", "0 nothing touched", CHOSEN, DEVICE, 4096, 1L << 40, 0 },
	{ "no_bytes", "0 nothing touched", CHOSEN, DEVICE, 0, 0, 0 },
	{ "negative_offset", "-INVALID_VALUE nothing touched", CHOSEN, DEVICE, 4096, -4096, 0 },
	{ "negative_buffer_offset", "-INVALID_VALUE nothing touched", CHOSEN, DEVICE, 4096, 0,
	  -4096 },
	{ "more_than_the_memory_of_a_shorter_file", "1000000 right", CHOSEN, DEVICE,
	  1L << 46, 0, 0 },
	{ "size_that_wraps_around", "-INVALID_VALUE nothing touched", CHOSEN, DEVICE, SIZE_MAX,
	  0, 0 },
};

void reads(void)
{
	cuda_ptr memory[2];
	CUfileHandle_t fh;
	size_t i;

	use_device();
	fh = handle_of(new_file("file", FILE_BYTES, 1, O_RDONLY));
	memory[DEVICE] = device_memory(MEM_BYTES);
	memory[REGISTERED] = device_memory(MEM_BYTES);
	if (cf.BufRegister(at(memory[REGISTERED]), MEM_BYTES, 0).err)
		give_up("memory cannot be registered");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct read_case *c = &cases[i];
		size_t inside = c->place == INTERIOR ? 65536 : 0;
		cuda_ptr p = memory[c->place == REGISTERED];
		char result[48];
		void *fresh;
		ssize_t n;

		n = cf.Read(fh, at(p + inside), c->size, c->off, c->buf_off);
		snprintf(result, sizeof(result), "%s", bytes_word(n));
		answer(c->basis, c->call, c->expected, "%s %s", result,
		       judge(p, c->buf_off + inside, n, c->off));
		fresh = malloc(MEM_BYTES);
		memset(fresh, FRESH, MEM_BYTES);
		cu.MemcpyHtoD(p, fresh, MEM_BYTES);
		free(fresh);
	}
}

/* ---- memory that is not a device's, or nobody's -------------------------------------------- */

static void ask_for_host(enum basis basis, const char *call, CUfileHandle_t fh,
			 unsigned char *mem, size_t size, off_t off, off_t buf_off)
{
	char expected[48];
	ssize_t n;

	memset(mem, FRESH, MIB);
	snprintf(expected, sizeof(expected), "%zu right", size);
	n = cf.Read(fh, mem, size, off, buf_off);
	answer(basis, call, expected, "%s %s", bytes_word(n),
	       n <= 0 || (host_is(mem + buf_off, n, 1, off) && host_is_fresh(mem, buf_off) &&
			  host_is_fresh(mem + buf_off + n, MIB - buf_off - n)) ?
	       "right" : "wrong");
}

void reads_of_odd_memory(void)
{
	unsigned char *mem = malloc(MIB);
	cuda_ptr managed, freed, p;
	CUfileHandle_t fh, large;
	void *pinned;
	ssize_t n;

	use_device();
	fh = handle_of(new_file("file", FILE_BYTES, 1, O_RDONLY | O_DIRECT));
	large = handle_of(new_file("large", LONG_BYTES, 1, O_RDONLY));
	ask_for_host(DOCUMENTED, "host_memory", fh, mem, 8192, 4096, 0);
	ask_for_host(CHOSEN, "host_memory_unaligned", fh, mem, 10001, 3, 5);
	if (!cf.BufRegister(mem, MIB, 0).err) {
		ask_for_host(DOCUMENTED, "host_memory_registered", fh, mem, 8192, 4096, 0);
		cf.BufDeregister(mem);
	}
	if (cu.MemHostAlloc && !cu.MemHostAlloc(&pinned, MIB, 0))
		ask_for_host(DOCUMENTED, "pinned_host_memory", fh, pinned, 8192, 4096, 4096);
	if (cu.MemAllocManaged && !cu.MemAllocManaged(&managed, MIB, 1)) {
		n = cf.Read(fh, at(managed), 8192, 4096, 0);
		answer(CHOSEN, "managed_memory", "8192 right", "%s %s", bytes_word(n),
		       n == 8192 && device_is(managed, 8192, 1, 4096) ? "right" : "wrong");
	}
	p = device_memory(MEM_BYTES);
	answer(CHOSEN, "more_than_the_memory_of_a_longer_file", "-CUDA_POINTER_RANGE_ERROR", "%s",
	       bytes_word(cf.Read(large, at(p), LONG_BYTES, 0, 0)));
	answer(CHOSEN, "nothing_of_it_is_read", "yes", "%s",
	       device_is_fresh(p, MEM_BYTES) ? "yes" : "no");
	answer(CHOSEN, "null", "-INVALID_VALUE", "%s", bytes_word(cf.Read(fh, NULL, 4096, 0, 0)));
	answer(CHOSEN, "not_mapped", "-1 EFAULT|-CUDA_POINTER_INVALID", "%s",
	       bytes_word(cf.Read(fh, at(4096), 4096, 0, 0)));
	freed = device_memory(8 * MIB);
	cu.MemFree(freed);
	answer(CHOSEN, "freed", "-1 EFAULT|-CUDA_POINTER_INVALID", "%s",
	       bytes_word(cf.Read(fh, at(freed), 4096, 0, 0)));
	free(mem);
}

/* ---- descriptors and files ---------------------------------------------------------------- */

static const char *read_block(CUfileHandle_t fh, cuda_ptr p, off_t off)
{
	static char text[64];
	ssize_t n = cf.Read(fh, at(p), 4096, off, 0);

	snprintf(text, sizeof(text), "%s%s", bytes_word(n),
		 n <= 0 ? "" : device_is(p, n, 1, off) ? " right" : " wrong");
	return text;
}

void reads_by_descriptor(void)
{
	cuda_ptr p;

	use_device();
	p = device_memory(MIB);
	answer(DOCUMENTED, "read_only", "4096 right", "%s",
	       read_block(handle_of(new_file("a", FILE_BYTES, 1, O_RDONLY)), p, 0));
	answer(DOCUMENTED, "read_write", "4096 right", "%s",
	       read_block(handle_of(new_file("b", FILE_BYTES, 1, O_RDWR)), p, 4096));
	answer(DOCUMENTED, "direct", "4096 right", "%s",
	       read_block(handle_of(new_file("c", FILE_BYTES, 1, O_RDWR | O_DIRECT)), p, 0));
	answer(DOCUMENTED, "direct_and_unaligned", "4096 right", "%s",
	       read_block(handle_of(new_file("d", FILE_BYTES, 1, O_RDWR | O_DIRECT)), p, 77));
	answer(CHOSEN, "write_only", "-1 EBADF|-1 EACCES", "%s",
	       read_block(handle_of(new_file("e", FILE_BYTES, 1, O_WRONLY)), p, 0));
	answer(RELIED_ON, "empty_file", "0", "%s",
	       read_block(handle_of(new_file("f", 0, 1, O_RDONLY)), p, 0));
}

void reads_of_files_that_change(void)
{
	CUfileHandle_t fh;
	cuda_ptr p;
	int fd;

	use_device();
	p = device_memory(MIB);
	fd = new_file("file", FILE_BYTES, 1, O_RDWR);
	fh = handle_of(fd);
	answer(DOCUMENTED, "before", "4096 right", "%s", read_block(fh, p, 4096));
	if (rename(path_of("file"), path_of("other")))
		give_up("rename");
	answer(RELIED_ON, "renamed", "4096 right", "%s", read_block(fh, p, 8192));
	unlink(path_of("other"));
	answer(RELIED_ON, "unlinked", "4096 right", "%s", read_block(fh, p, 12288));
	if (ftruncate(fd, 5000))
		give_up("ftruncate");
	answer(CHOSEN, "shortened", "904 right", "%s", read_block(fh, p, 4096));
	answer(CHOSEN, "behind_the_new_end", "0", "%s", read_block(fh, p, 8192));
	close(fd);
	answer(CHOSEN, "closed", "-1 EBADF|4096 right", "%s", read_block(fh, p, 0));
	/* Another file has the number; nobody may be given its bytes. */
	fd = new_file("new", FILE_BYTES, 2, O_RDWR);
	answer(CHOSEN, "descriptor_is_another_file", "-1 EBADF|4096 right", "%s",
	       read_block(fh, p, 0));
}

void read_by_stale_handle(void)
{
	CUfileHandle_t fh;
	cuda_ptr p;

	use_device();
	p = device_memory(MIB);
	fh = handle_of(new_file("file", FILE_BYTES, 1, O_RDONLY));
	cf.HandleDeregister(fh);
	answer(CHOSEN, "read", "-HANDLE_NOT_REGISTERED|-INVALID_VALUE|-1 EINVAL", "%s",
	       read_block(fh, p, 0));
	cf.HandleDeregister(fh);
	answer(CHOSEN, "deregister_again", "returned", "returned");
}

void read_by_null_handle(void)
{
	cuda_ptr p;

	use_device();
	p = device_memory(MIB);
	answer(CHOSEN, "read", "-HANDLE_NOT_REGISTERED|-INVALID_VALUE|-1 EINVAL", "%s",
	       read_block(NULL, p, 0));
	answer(CHOSEN, "write", "-HANDLE_NOT_REGISTERED|-INVALID_VALUE|-1 EINVAL", "%s",
	       bytes_word(cf.Write(NULL, at(p), 4096, 0, 0)));
}
