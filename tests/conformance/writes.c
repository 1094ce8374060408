// SPDX-License-Identifier: MIT
/* writes.c - writing: into files as they are, and beyond their ends. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conformance.h"

#define MEM_BYTES	(3 * MIB)

struct write_case {
	const char *call, *expected;
	enum basis basis;
	size_t before;		/* bytes of the file */
	size_t size;
	off_t off, buf_off;
};

static const struct write_case cases[] = {
	{ "in_place", "8192 right, file of 1000000", DOCUMENTED, 1000000, 8192, 4096, 0 },
	{ "from_buffer_offset", "8192 right, file of 1000000", DOCUMENTED, 1000000, 8192, 4096,
	  65536 },
	{ "unaligned", "5001 right, file of 1000000", DOCUMENTED, 1000000, 5001, 777, 33 },
	{ "one_byte", "1 right, file of 1000000", DOCUMENTED, 1000000, 1, 5, 5 },
	{ "up_to_the_end", "576 right, file of 1000000", DOCUMENTED, 1000000, 576, 999424, 0 },
	{ "over_the_end", "8192 right, file of 1007616", RELIED_ON, 1000000, 8192, 999424, 0 },
	{ "at_the_end", "4096 right, file of 1004096", RELIED_ON, 1000000, 4096, 1000000, 0 },
	{ "behind_the_end", "4096 right, file of 2101248", RELIED_ON, 1000000, 4096, 2097152, 0 },
	{ "into_an_empty_file", "1048576 right, file of 1048576", RELIED_ON, 0, MIB, 0, 0 },
	{ "into_an_empty_file_unaligned", "100001 right, file of 100001", RELIED_ON, 0, 100001, 0,
	  0 },
	{ "no_bytes", "0, file of 1000000", CHOSEN, 1000000, 0, 0, 0 },
	{ "no_bytes_behind_the_end", "0, file of 1000000", CHOSEN, 1000000, 0, 2097152, 0 },
	{ "negative_offset", "-INVALID_VALUE, file of 1000000", CHOSEN, 1000000, 4096, -1, 0 },
	{ "negative_buffer_offset", "-INVALID_VALUE, file of 1000000", CHOSEN, 1000000, 4096, 0,
	  -1 },
	{ "more_than_the_memory", "-CUDA_POINTER_RANGE_ERROR, file of 1000000", CHOSEN, 1000000,
	  1L << 46, 0, 0 },
	{ "size_that_wraps_around", "-INVALID_VALUE, file of 1000000", CHOSEN, 1000000, SIZE_MAX,
	  0, 0 },
};

/* What was written is right, and what is before it is as it was. */
static const char *judge(const struct write_case *c, ssize_t n)
{
	static char text[96];
	struct stat st;
	size_t kept = c->off < (off_t)c->before ? (size_t)c->off : c->before;
	bool right = n <= 0 || (file_is("file", c->off, n, 2, c->buf_off) &&
				file_is("file", 0, kept, 1, 0));
	size_t end = c->off + n;

	if (n > 0 && end < c->before)
		right &= file_is("file", end, c->before - end, 1, end);
	if (n <= 0)
		right = file_is("file", 0, c->before, 1, 0);
	if (stat(path_of("file"), &st))
		return "gone";
	snprintf(text, sizeof(text), "%s, file of %lld",
		 n <= 0 && right ? "" : right ? " right" : " wrong", (long long)st.st_size);
	return text;
}

void writes(void)
{
	cuda_ptr p;
	size_t i;

	use_device();
	p = device_memory(MEM_BYTES);
	fill_device(p, MEM_BYTES, 2, 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct write_case *c = &cases[i];
		int fd = new_file("file", c->before, 1, O_RDWR);
		CUfileHandle_t fh = handle_of(fd);
		ssize_t n = cf.Write(fh, at(p), c->size, c->off, c->buf_off);
		char result[48];

		snprintf(result, sizeof(result), "%s", bytes_word(n));
		answer(c->basis, c->call, c->expected, "%s%s", result, judge(c, n));
		cf.HandleDeregister(fh);
		close(fd);
	}
}

static const char *write_block(const char *name, int flags, const void *mem)
{
	static char text[64];
	int fd = new_file(name, 64 * KIB, 1, flags);
	CUfileHandle_t fh = handle_of(fd);
	ssize_t n = cf.Write(fh, mem, 8192, 4096, 0);
	const char *result = bytes_word(n);

	snprintf(text, sizeof(text), "%s%s", result,
		 n == 8192 && file_is(name, 4096, 8192, 2, 0) ? " right" :
		 n < 0 && file_is(name, 0, 64 * KIB, 1, 0) ? "" : " wrong");
	cf.HandleDeregister(fh);
	close(fd);
	return text;
}

void writes_by_descriptor(void)
{
	unsigned char *mem = malloc(MIB);
	void *pinned;
	cuda_ptr p;

	use_device();
	p = device_memory(MEM_BYTES);
	fill_device(p, MEM_BYTES, 2, 0);
	fill_host(mem, MIB, 2, 0);
	answer(DOCUMENTED, "read_write", "8192 right", "%s", write_block("a", O_RDWR, at(p)));
	answer(RELIED_ON, "write_only", "8192 right", "%s", write_block("b", O_WRONLY, at(p)));
	answer(DOCUMENTED, "direct", "8192 right", "%s",
	       write_block("c", O_RDWR | O_DIRECT, at(p)));
	answer(CHOSEN, "read_only", "-1 EBADF|-1 EACCES", "%s",
	       write_block("d", O_RDONLY, at(p)));
	answer(DOCUMENTED, "from_host_memory", "8192 right", "%s", write_block("e", O_RDWR, mem));
	answer(CHOSEN, "from_host_memory_read_only", "-1 EBADF|-1 EACCES", "%s",
	       write_block("f", O_RDONLY, mem));
	if (cu.MemHostAlloc && !cu.MemHostAlloc(&pinned, MIB, 0)) {
		fill_host(pinned, MIB, 2, 0);
		answer(DOCUMENTED, "from_pinned_host_memory", "8192 right", "%s",
		       write_block("g", O_RDWR | O_DIRECT, pinned));
	}
	answer(CHOSEN, "from_null", "-INVALID_VALUE", "%s", write_block("h", O_RDWR, NULL));
	free(mem);
}

/* As programs that save do: by pieces under another name, and into space that was reserved. */
void writes_that_grow(void)
{
	CUfileHandle_t fh;
	ssize_t n = 0, m;
	cuda_ptr p;
	off_t off;
	int fd;

	use_device();
	p = device_memory(MEM_BYTES);
	fill_device(p, MEM_BYTES, 2, 0);
	fd = new_file("file.tmp", 0, 1, O_RDWR);
	fh = handle_of(fd);
	for (off = 0; off < 3000000; off += 1000000) {
		m = cf.Write(fh, at(p), 1000000, off, off);
		n += m > 0 ? m : 0;
	}
	answer(RELIED_ON, "by_pieces", "3000000", "%s", bytes_word(n));
	if (rename(path_of("file.tmp"), path_of("file")))
		give_up("rename");
	cf.HandleDeregister(fh);
	close(fd);
	answer(RELIED_ON, "by_pieces_then_renamed", "right", "%s",
	       file_is("file", 0, 3000000, 2, 0) ? "right" : "wrong");

	fd = new_file("slab", 0, 1, O_RDWR | O_DIRECT);
	if (posix_fallocate(fd, 0, 2 * MIB))
		give_up("posix_fallocate");
	fh = handle_of(fd);
	unlink(path_of("slab"));
	n = cf.Write(fh, at(p), MIB, 512 * KIB, 0);
	answer(RELIED_ON, "into_reserved_space_of_an_unlinked_file", "1048576", "%s",
	       bytes_word(n));
	fill_device(p, MEM_BYTES, 3, 0);
	n = cf.Read(fh, at(p), MIB, 512 * KIB, 0);
	answer(RELIED_ON, "and_read_again", "1048576 right", "%s %s", bytes_word(n),
	       n > 0 && device_is(p, n, 2, 0) ? "right" : "wrong");
}
