// SPDX-License-Identifier: MIT
/*
 * sqe.c - submission queue entries: URING_CMD for module bindings, READ_FIXED and WRITE_FIXED for
 * kernel bindings.
 *
 * The layout of URING_CMD is the table above enum dmabuf_rw_uring_op in dmabuf_rw.h. Only the first
 * 64 bytes are touched: sqe->cmd of a 128-byte entry begins at the same place, and its rest has no
 * meaning.
 *
 * Thread-safety: functions of their arguments; the binding is only read.
 */
#include <string.h>

#include <liburing.h>

#include "private.h"

_Static_assert(sizeof(struct io_uring_sqe) == 64, "sqe->cmd has no size of its own");
_Static_assert(offsetof(struct io_uring_sqe, cmd) ==
	       offsetof(struct io_uring_sqe, addr3), "addr3 is cmd[0..7]");

void dmabuf_rw_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t op,
			uint64_t file_off, uint64_t addr3, uint32_t len,
			uint64_t flags)
{
	uint64_t user_data = sqe->user_data;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	/* cmd_op overlaps off, whose upper half must stay zero. */
	sqe->cmd_op = op;
	sqe->addr = file_off;
	sqe->len = len;
	sqe->user_data = user_data;
	sqe->addr3 = addr3;
	memcpy((char *)sqe + offsetof(struct io_uring_sqe, cmd) +
	       DMABUF_RW_URING_FLAGS_OFFSET, &flags, sizeof(flags));
}

void dmabuf_rw_kernel_fill_sqe(struct io_uring_sqe *sqe, const struct dmabuf_rw_kernel *kernel,
			       uint32_t op, uint32_t slot, uint64_t file_off, uint64_t buf_off,
			       uint32_t len)
{
	uint64_t user_data = sqe->user_data;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op == DMABUF_RW_OP_WRITE ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	sqe->fd = kernel->pool.file_fd;
	sqe->off = file_off;
	sqe->addr = buf_off;
	sqe->len = len;
	sqe->buf_index = slot;
	sqe->user_data = user_data;
}

/* A kernel binding's fd is -1, so an entry that it does not support ends with EBADF. */
static void prep_range(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
		       uint32_t op, uint64_t file_off, uint64_t buf_off, uint32_t len,
		       uint64_t flags)
{
	if (binding->kernel && !flags)
		dmabuf_rw_kernel_fill_sqe(sqe, binding->kernel, op, 0, file_off, buf_off, len);
	else
		dmabuf_rw_fill_sqe(sqe, binding->fd, op == DMABUF_RW_OP_WRITE ?
				   DMABUF_RW_URING_WRITE : DMABUF_RW_URING_READ, file_off, buf_off,
				   len, flags);
}

DMABUF_RW_API void dmabuf_rw_prep_read(struct io_uring_sqe *sqe,
				       const struct dmabuf_rw_binding *binding,
				       uint64_t file_off, uint64_t buf_off,
				       uint32_t len, uint64_t flags)
{
	prep_range(sqe, binding, DMABUF_RW_OP_READ, file_off, buf_off, len, flags);
}

DMABUF_RW_API void dmabuf_rw_prep_write(struct io_uring_sqe *sqe,
					const struct dmabuf_rw_binding *binding,
					uint64_t file_off, uint64_t buf_off,
					uint32_t len, uint64_t flags)
{
	prep_range(sqe, binding, DMABUF_RW_OP_WRITE, file_off, buf_off, len, flags);
}

DMABUF_RW_API void dmabuf_rw_prep_readv(struct io_uring_sqe *sqe,
					const struct dmabuf_rw_binding *binding,
					uint64_t file_off,
					const struct dmabuf_rw_piece *pieces,
					uint32_t nr, uint64_t flags)
{
	dmabuf_rw_fill_sqe(sqe, binding->fd, DMABUF_RW_URING_READV, file_off,
			   (uintptr_t)pieces, nr, flags);
}

DMABUF_RW_API void dmabuf_rw_prep_writev(struct io_uring_sqe *sqe,
					 const struct dmabuf_rw_binding *binding,
					 uint64_t file_off,
					 const struct dmabuf_rw_piece *pieces,
					 uint32_t nr, uint64_t flags)
{
	dmabuf_rw_fill_sqe(sqe, binding->fd, DMABUF_RW_URING_WRITEV, file_off,
			   (uintptr_t)pieces, nr, flags);
}

DMABUF_RW_API void dmabuf_rw_prep_read_many(struct io_uring_sqe *sqe,
					    const struct dmabuf_rw_binding *binding,
					    struct dmabuf_rw_range *ranges, uint32_t nr,
					    uint64_t flags)
{
	dmabuf_rw_fill_sqe(sqe, binding->fd, DMABUF_RW_URING_READ_MANY, 0,
			   (uintptr_t)ranges, nr, flags);
}

DMABUF_RW_API void dmabuf_rw_prep_write_many(struct io_uring_sqe *sqe,
					     const struct dmabuf_rw_binding *binding,
					     struct dmabuf_rw_range *ranges, uint32_t nr,
					     uint64_t flags)
{
	dmabuf_rw_fill_sqe(sqe, binding->fd, DMABUF_RW_URING_WRITE_MANY, 0,
			   (uintptr_t)ranges, nr, flags);
}

DMABUF_RW_API void dmabuf_rw_sqe_set_fixed_file(struct io_uring_sqe *sqe,
						unsigned int index)
{
	sqe->fd = (int)index;
	sqe->flags |= IOSQE_FIXED_FILE;
}

DMABUF_RW_API void dmabuf_rw_sqe_set_slot(struct io_uring_sqe *sqe, unsigned int slot)
{
	if (sqe->opcode == IORING_OP_READ_FIXED || sqe->opcode == IORING_OP_WRITE_FIXED)
		sqe->buf_index = slot;
}
