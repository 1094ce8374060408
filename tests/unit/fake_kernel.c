// SPDX-License-Identifier: MIT
/* fake_kernel.c - see fake_kernel.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernel.h"
#include "unit.h"

#define FIRST_FD	1000
#define MAX_FDS		64

enum fd_kind { FD_FREE, FD_NODE, FD_BINDING };

struct fake_kernel fake;
static enum fd_kind fds[MAX_FDS];

int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_ioctl(int fd, unsigned long request, ...);

void fake_reset(void)
{
	free(fake.file);
	free(fake.buffer);
	memset(&fake, 0, sizeof(fake));
	memset(fds, 0, sizeof(fds));
	fake.abi_major = DMABUF_RW_ABI_MAJOR;
	fake.file_bytes = 1 << 20;
	fake.buf_bytes = 1 << 20;
	fake.max_move = DMABUF_RW_MAX_BYTES;
}

void fake_fill(uint64_t file_bytes, uint64_t buf_bytes)
{
	uint64_t i;

	free(fake.file);
	free(fake.buffer);
	fake.file_bytes = file_bytes;
	fake.buf_bytes = buf_bytes;
	fake.file = malloc(file_bytes);
	fake.buffer = malloc(buf_bytes);
	assert_non_null(fake.file);
	assert_non_null(fake.buffer);
	/* 251 and 241 are prime: no two blocks of a power of two are equal. */
	for (i = 0; i < file_bytes; i++)
		fake.file[i] = i % 251;
	for (i = 0; i < buf_bytes; i++)
		fake.buffer[i] = i % 241 ^ 0x80;
}

static int new_fd(enum fd_kind kind)
{
	int i;

	for (i = 0; i < MAX_FDS; i++) {
		if (fds[i] != FD_FREE)
			continue;
		fds[i] = kind;
		fake.fds++;
		return FIRST_FD + i;
	}
	errno = EMFILE;
	return -1;
}

static enum fd_kind kind_of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + MAX_FDS ? fds[fd - FIRST_FD] : FD_FREE;
}

bool fake_is_binding(int fd)
{
	return kind_of(fd) == FD_BINDING;
}

int __wrap_open(const char *path, int flags, ...)
{
	snprintf(fake.opened, sizeof(fake.opened), "%s", path);
	assert_int_equal(flags, O_RDWR | O_CLOEXEC);
	if (fake.open_errno) {
		errno = fake.open_errno;
		return -1;
	}
	return new_fd(FD_NODE);
}

int __wrap_close(int fd)
{
	assert_int_not_equal(kind_of(fd), FD_FREE);
	fds[fd - FIRST_FD] = FD_FREE;
	fake.fds--;
	return 0;
}

/* What one contiguous piece moves of what may still be moved. */
static uint64_t move_piece(bool write, uint64_t file_off, uint64_t buf_off, uint64_t len,
			   int *err)
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
		memcpy(fake.file + file_off, fake.buffer + buf_off, len);
	else if (fake.file)
		memcpy(fake.buffer + buf_off, fake.file + file_off, len);
	return len;
}

uint64_t fake_move(bool write, uint64_t file_off, const struct dmabuf_rw_piece *pieces,
		   unsigned int nr, uint64_t flags, int *err)
{
	uint64_t done = 0, total = 0, end;
	unsigned int i;

	*err = 0;
	fake.transfers++;
	fake.last_flags = flags;
	if (fake.interrupts) {
		fake.interrupts--;
		*err = EINTR;
		return 0;
	}
	if (flags & ~DMABUF_RW_IO_FLAGS || (flags && !write)) {
		*err = EINVAL;
		return 0;
	}
	for (i = 0; i < nr; i++) {
		if (__builtin_add_overflow(pieces[i].buf_off, pieces[i].len, &end) ||
		    __builtin_add_overflow(total, pieces[i].len, &total) ||
		    __builtin_add_overflow(file_off, total, &end) || end > INT64_MAX) {
			*err = EOVERFLOW;
			return 0;
		}
		if (pieces[i].buf_off + pieces[i].len > fake.buf_bytes) {
			*err = ERANGE;
			return 0;
		}
	}
	for (i = 0; i < nr && !*err && done < fake.max_move; i++) {
		uint64_t len = pieces[i].len, moved;

		if (len > fake.max_move - done)
			len = fake.max_move - done;
		if (!len)
			continue;
		moved = move_piece(write, file_off + done, pieces[i].buf_off, len, err);
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
	return done;
}

static int do_io(struct dmabuf_rw_io *io)
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
	done = fake_move(io->op == DMABUF_RW_OP_WRITE, io->file_off, pieces, nr, io->flags,
			 &err);
	if (err && !done) {
		errno = err;
		return -1;
	}
	io->done = done;
	io->error = err;
	return 0;
}

static int do_query(struct dmabuf_rw_query *query)
{
	assert_int_equal(query->size, sizeof(*query));
	if (fake.query_errno) {
		errno = fake.query_errno;
		return -1;
	}
	query->abi_major = fake.abi_major;
	query->abi_minor = 7;
	query->max_pieces = DMABUF_RW_MAX_PIECES;
	query->max_bytes = DMABUF_RW_MAX_BYTES;
	return 0;
}

static int do_bind(struct dmabuf_rw_bind *bind)
{
	assert_int_equal(bind->size, sizeof(*bind));
	fake.bind = *bind;
	if (fake.bind_errno) {
		bind->reason = fake.bind_reason;
		bind->detail = fake.bind_detail;
		errno = fake.bind_errno;
		return -1;
	}
	return new_fd(FD_BINDING);
}

static bool is_zero(const void *mem, size_t len)
{
	const char *p = mem;

	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

static int do_info(struct dmabuf_rw_info *info)
{
	assert_true(is_zero((char *)info + 4, info->size - 4));
	if (fake.info_errno) {
		errno = fake.info_errno;
		return -1;
	}
	info->buf_bytes = fake.buf_bytes;
	info->file_bytes = fake.file_bytes;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	enum fd_kind kind = kind_of(fd);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);

	if (kind == FD_NODE && request == DMABUF_RW_IOC_QUERY)
		return do_query(arg);
	if (kind == FD_NODE && request == DMABUF_RW_IOC_BIND)
		return do_bind(arg);
	if (kind == FD_BINDING && request == DMABUF_RW_IOC_INFO)
		return do_info(arg);
	if (kind == FD_BINDING && request == DMABUF_RW_IOC_IO)
		return do_io(arg);
	errno = kind == FD_FREE ? EBADF : ENOTTY;
	return -1;
}
