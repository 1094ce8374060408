// SPDX-License-Identifier: MIT
/* streams.c - transfers in the order of a stream. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "conformance.h"

#define BLOCK	4096UL
#define BYTES	MIB

struct request {
	size_t size;
	off_t off, buf_off;
	ssize_t bytes;
};

static CUstream new_stream(void)
{
	CUstream stream;

	if (!cu.StreamCreate || !cu.StreamSynchronize || cu.StreamCreate(&stream, 1))
		give_up("there is no stream to be had");
	return stream;
}

static CUfileError_t start(bool write, CUfileHandle_t fh, cuda_ptr p, struct request *r,
			   CUstream stream)
{
	r->bytes = 77777;
	return (write ? cf.WriteAsync : cf.ReadAsync)(fh, at(p), &r->size, &r->off, &r->buf_off,
						      &r->bytes, stream);
}

/* Each needs what the one before has left; one synchronisation for all of them. */
void streams(void)
{
	struct request r[8] = {
		{ .size = BLOCK, .off = 0 },
		{ .size = BLOCK, .off = 10 * BLOCK },
		{ .size = BLOCK, .off = 2 * BLOCK },
		{ .size = BLOCK, .off = BYTES - 100 },
		{ .size = BLOCK, .off = 2 * BYTES },
		{ .size = BLOCK, .off = -1 },
		{ .size = 5000, .off = 333, .buf_off = 8193 },
		{ .size = BLOCK, .off = 3 * BLOCK, .buf_off = 4 * BLOCK },
	};
	CUfileHandle_t fh;
	CUstream stream;
	cuda_ptr p;
	int i;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDWR));
	p = device_memory(BYTES);
	stream = new_stream();
	answer(DOCUMENTED, "register", "ok", "%s", status_word(cf.StreamRegister(stream, 0)));
	answer(DOCUMENTED, "read", "ok", "%s", status_word(start(false, fh, p, &r[0], stream)));
	answer(DOCUMENTED, "write", "ok", "%s", status_word(start(true, fh, p, &r[1], stream)));
	for (i = 2; i < 8; i++)
		start(false, fh, p, &r[i], stream);
	answer(DOCUMENTED, "synchronize", "0", "%d", cu.StreamSynchronize(stream));
	answer(DOCUMENTED, "bytes_read", "4096", "%s", bytes_word(r[0].bytes));
	answer(DOCUMENTED, "bytes_written", "4096", "%s", bytes_word(r[1].bytes));
	answer(DOCUMENTED, "bytes_read_after_writing", "4096", "%s", bytes_word(r[2].bytes));
	answer(RELIED_ON, "bytes_at_the_end", "100", "%s", bytes_word(r[3].bytes));
	answer(RELIED_ON, "bytes_behind_the_end", "0", "%s", bytes_word(r[4].bytes));
	answer(CHOSEN, "bytes_of_a_negative_offset", "-INVALID_VALUE", "%s",
	       bytes_word(r[5].bytes));
	answer(DOCUMENTED, "bytes_unaligned", "5000", "%s", bytes_word(r[6].bytes));
	answer(RELIED_ON, "order_was_kept", "yes", "%s",
	       file_is("file", 10 * BLOCK, BLOCK, 1, 0) && device_is(p, 100, 1, BYTES - 100) &&
	       device_is(p + 100, BLOCK - 100, 1, 2 * BLOCK + 100) ? "yes" : "no");
	answer(DOCUMENTED, "memory_is_right", "yes", "%s",
	       device_is(p + 8193, 5000, 1, 333) && device_is(p + 4 * BLOCK, BLOCK, 1, 3 * BLOCK) ?
	       "yes" : "no");
	answer(DOCUMENTED, "deregister", "ok", "%s", status_word(cf.StreamDeregister(stream)));
	start(false, fh, p, &r[2], stream);
	cu.StreamSynchronize(stream);
	answer(DOCUMENTED, "stream_that_is_not_registered", "4096", "%s", bytes_word(r[2].bytes));
	start(false, fh, p, &r[0], NULL);
	cu.StreamSynchronize(NULL);
	answer(DOCUMENTED, "null_stream", "4096", "%s", bytes_word(r[0].bytes));
}

void streams_refuse(void)
{
	struct request r = { .size = BLOCK };
	CUfileHandle_t fh;
	CUstream stream;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDWR));
	p = device_memory(BYTES);
	stream = new_stream();
	answer(DOCUMENTED, "register_with_all_flags", "ok", "%s",
	       status_word(cf.StreamRegister(stream, 15)));
	answer(CHOSEN, "register_with_unknown_flags", "INVALID_VALUE", "%s",
	       status_word(cf.StreamRegister(stream, 16)));
	answer(CHOSEN, "null_handle", "HANDLE_NOT_REGISTERED|INVALID_VALUE", "%s",
	       status_word(start(false, NULL, p, &r, stream)));
	answer(CHOSEN, "null_memory", "INVALID_VALUE", "%s",
	       status_word(start(false, fh, 0, &r, stream)));
	answer(CHOSEN, "null_size", "INVALID_VALUE", "%s",
	       status_word(cf.ReadAsync(fh, at(p), NULL, &r.off, &r.buf_off, &r.bytes, stream)));
	answer(CHOSEN, "null_offset", "INVALID_VALUE", "%s",
	       status_word(cf.ReadAsync(fh, at(p), &r.size, NULL, &r.buf_off, &r.bytes, stream)));
	answer(CHOSEN, "null_bytes", "INVALID_VALUE", "%s",
	       status_word(cf.WriteAsync(fh, at(p), &r.size, &r.off, &r.buf_off, NULL, stream)));
	answer(CHOSEN, "stream_is_as_it_was", "0", "%d", cu.StreamSynchronize(stream));
}

static void set_offset(void *arg)
{
	*(off_t *)arg = 5 * BLOCK;
}

/* What is not fixed is looked at when the stream is there. */
void streams_read_late(void)
{
	struct request r = { .size = BLOCK };
	CUfileHandle_t fh;
	CUstream stream;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDWR));
	p = device_memory(BYTES);
	stream = new_stream();
	if (!cu.LaunchHostFunc || cu.LaunchHostFunc(stream, set_offset, &r.off))
		give_up("streams of this driver call no functions");
	start(false, fh, p, &r, stream);
	cu.StreamSynchronize(stream);
	answer(DOCUMENTED, "bytes", "4096", "%s", bytes_word(r.bytes));
	answer(DOCUMENTED, "are_of_the_offset_that_was_set_before", "yes", "%s",
	       device_is(p, BLOCK, 1, 5 * BLOCK) ? "yes" : "no");
}
