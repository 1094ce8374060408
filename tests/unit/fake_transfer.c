// SPDX-License-Identifier: MIT
/*
 * fake_transfer.c - transfers of the fake module and of the fake of the kernel's own interface,
 * with the limits and errors that the test has set; see fake_kernel.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernel.h"
#include "unit.h"

/* What one contiguous piece moves of what may still be moved. */
static uint64_t move_piece(unsigned char *buffer, bool write, uint64_t file_off,
			   uint64_t buf_off, uint64_t len, int *err)
{
	if (file_off >= fake.file_bytes) {
		if (write)
			*err = ENOSPC;
		return 0;
	}
	if (len > fake.file_bytes - file_off)
		len = fake.file_bytes - file_off;
	if (fake.bad_errno && file_off < fake.bad_to && file_off + len > fake.bad_from) {
		*err = fake.bad_errno;
		len = file_off < fake.bad_from ? fake.bad_from - file_off : 0;
	}
	if (fake.file && write)
		memcpy(fake.file + file_off, buffer + buf_off, len);
	else if (fake.file)
		memcpy(buffer + buf_off, fake.file + file_off, len);
	return len;
}

/* 0, or what the module refuses a transfer for before it moves anything. */
static int judge(uint64_t buf_bytes, bool write, uint64_t file_off,
		 const struct dmabuf_rw_piece *pieces, unsigned int nr, uint64_t flags,
		 uint64_t *total)
{
	uint32_t align = write ? fake.write_align : fake.read_align;
	uint64_t end = 0;
	unsigned int i;
	bool odd = false;

	*total = 0;
	if (flags & ~DMABUF_RW_IO_FLAGS || (flags && !write))
		return EINVAL;
	for (i = 0; i < nr; i++) {
		if (__builtin_add_overflow(pieces[i].buf_off, pieces[i].len, &end) ||
		    __builtin_add_overflow(*total, pieces[i].len, total) ||
		    __builtin_add_overflow(file_off, *total, &end) || end > INT64_MAX)
			return EOVERFLOW;
		if (pieces[i].buf_off + pieces[i].len > buf_bytes)
			return ERANGE;
		odd |= fake.buf_align && pieces[i].buf_off % fake.buf_align;
	}
	end = file_off + *total;
	if (end >= fake.file_bytes && !fake.no_partial_end)
		end = 0;
	odd |= align && (file_off % align || end % align);
	return odd ? EDOM : 0;
}

uint64_t fake_move(int binding, bool write, uint64_t file_off,
		   const struct dmabuf_rw_piece *pieces, unsigned int nr, uint64_t flags,
		   int *err)
{
	uint64_t done = 0, total, buf_bytes;
	unsigned char *buffer = fake_buffer_of(binding, &buf_bytes);
	unsigned int i;

	fake_lock();
	fake.transfers++;
	fake.last_flags = flags;
	if (fake.interrupts) {
		fake.interrupts--;
		*err = EINTR;
		goto out;
	}
	*err = judge(buf_bytes, write, file_off, pieces, nr, flags, &total);
	if (*err || (!write && fake.reads_nothing))
		goto out;
	for (i = 0; i < nr && !*err && done < fake.max_move; i++) {
		uint64_t len = pieces[i].len, moved;

		if (len > fake.max_move - done)
			len = fake.max_move - done;
		if (!len)
			continue;
		moved = move_piece(buffer, write, file_off + done, pieces[i].buf_off, len,
				   err);
		done += moved;
		if (moved < len)
			break;
	}
	if (fake.lie)
		done = total + 512;
	fake.moved += done;
	/* At the end of the file, what was moved before counts. */
	if (done && *err == ENOSPC)
		*err = 0;
out:
	fake_unlock();
	return done;
}

int fake_kernel_rw(int registered, bool write, uint32_t len, uint64_t file_off, uint64_t buf_off)
{
	struct dmabuf_rw_piece piece = { buf_off, len };
	uint64_t done, bytes;
	int err;

	fake_buffer_of(registered, &bytes);
	fake.kernel_ios++;
	if (fake.gone)
		return -EIO;
	/* The longest that io_uring takes with a registered buffer (MAX_RW_COUNT). */
	if (len > (INT32_MAX & ~4095U) || buf_off > bytes || len > bytes - buf_off)
		return -EFAULT;
	if (file_off % fake.lba || len % fake.lba || (fake.buf_align && buf_off % fake.buf_align))
		return -EINVAL;
	if (fake.kernel_again) {
		fake.kernel_again--;
		return -EAGAIN;
	}
	done = fake_move(registered, write, file_off, &piece, 1, 0, &err);
	assert_int_not_equal(err, EDOM);
	return done ? (int)done : -err;
}

int fake_do_io(int fd, struct dmabuf_rw_io *io)
{
	struct dmabuf_rw_piece one = { io->buf_off, io->len };
	const struct dmabuf_rw_piece *pieces = &one;
	unsigned int nr = 1;
	uint64_t done;
	int err;

	assert_int_equal(io->size, sizeof(*io));
	assert_int_equal(io->error, 0);
	assert_int_equal(io->done, 0);
	assert_int_equal(io->resv[0] | io->resv[1], 0);
	if (io->nr_pieces) {
		assert_int_equal(io->buf_off | io->len, 0);
		assert_in_range(io->nr_pieces, 1, DMABUF_RW_MAX_PIECES);
		pieces = (const void *)(uintptr_t)io->pieces;
		nr = io->nr_pieces;
	} else {
		assert_int_equal(io->pieces, 0);
	}
	done = fake_move(fd, io->op == DMABUF_RW_OP_WRITE, io->file_off, pieces, nr,
			 io->flags, &err);
	if (err && !done) {
		errno = err;
		return -1;
	}
	io->done = done;
	io->error = err;
	return 0;
}

int64_t fake_batch(int binding, bool write, struct dmabuf_rw_range *ranges, unsigned int nr,
		   uint64_t flags)
{
	int64_t done = 0;
	int first = 0;
	unsigned int i;

	assert_in_range(nr, 1, DMABUF_RW_MAX_BATCH);
	assert_true(flags & DMABUF_RW_IO_RESULTS);
	flags &= ~(uint64_t)DMABUF_RW_IO_RESULTS;
	fake_lock();
	fake.batches++;
	fake_unlock();
	if (fake.batch_errno)
		return -fake.batch_errno;
	if (flags & ~DMABUF_RW_IO_FUA || (flags && !write))
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		struct dmabuf_rw_piece piece = { ranges[i].buf_off, ranges[i].len };
		bool whole = ranges[i].flags & DMABUF_RW_IO_WHOLE;
		uint64_t moved;
		int err;

		moved = fake_move(binding, write, ranges[i].file_off, &piece, 1,
				  flags | (ranges[i].flags & ~DMABUF_RW_IO_WHOLE), &err);
		if (whole && moved < ranges[i].len && !err)
			err = ESPIPE;
		ranges[i].result = err && (!moved || whole) ? -err : (int64_t)moved;
		done += moved;
		if (err && !first)
			first = err;
	}
	return first && !done ? -first : done;
}

int fake_do_batch(int fd, struct dmabuf_rw_batch *batch)
{
	int64_t ret;

	assert_int_equal(batch->size, sizeof(*batch));
	assert_int_equal(batch->error, 0);
	assert_int_equal(batch->done, 0);
	assert_int_equal(batch->resv[0] | batch->resv[1], 0);
	ret = fake_batch(fd, batch->op == DMABUF_RW_OP_WRITE, (void *)(uintptr_t)batch->ranges,
			 batch->nr, batch->flags);
	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	batch->done = ret;
	return 0;
}
