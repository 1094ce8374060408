// SPDX-License-Identifier: MIT
/*
 * io.c - synchronous transfers.
 *
 * The kernel moves at most DMABUF_RW_MAX_BYTES in one call and may stop earlier for
 * an error; transfer() asks for the rest until nothing is left, the file ends or an
 * error is reported. The byte count never has a gap, because every request begins
 * where the last one stopped.
 *
 * Thread-safety: the binding is only read and everything else is on the stack, so any
 * number of calls may run at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

unsigned int dmabuf_rw_trim_pieces(struct dmabuf_rw_piece *dst,
				   const struct dmabuf_rw_piece *pieces,
				   unsigned int nr, uint64_t done)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr; i++) {
		if (done >= pieces[i].len) {
			done -= pieces[i].len;
			continue;
		}
		dst[n].buf_off = pieces[i].buf_off + done;
		dst[n].len = pieces[i].len - done;
		done = 0;
		n++;
	}
	return n;
}

uint64_t dmabuf_rw_sum_pieces(const struct dmabuf_rw_piece *pieces, unsigned int nr)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (__builtin_add_overflow(sum, pieces[i].len, &sum))
			return UINT64_MAX;
	return sum;
}

/* @result is null or long enough; a longer one's tail is not ours to touch. */
static ssize_t finish(uint64_t done, int err, struct dmabuf_rw_result *result)
{
	if (result) {
		result->error = err;
		result->path = done ? DMABUF_RW_PATH_DIRECT : DMABUF_RW_PATH_NONE;
		result->direct_bytes = done;
	}
	return done ? (ssize_t)done : -err;
}

/*
 * @pieces null: @buf_off and @len say it all. Returns the bytes moved and stores the
 * errno that ended the transfer, or 0.
 */
static uint64_t transfer(int fd, uint32_t op, uint64_t file_off, uint64_t buf_off,
			 uint64_t len, const struct dmabuf_rw_piece *pieces,
			 unsigned int nr, uint64_t flags, int *err)
{
	struct dmabuf_rw_piece *rest = NULL;
	uint64_t done = 0;
	int ret;

	*err = 0;
	for (;;) {
		struct dmabuf_rw_io io = {
			.size = sizeof(io),
			.op = op,
			.flags = flags,
			.file_off = file_off + done,
		};

		if (pieces) {
			io.pieces = (uintptr_t)pieces;
			io.nr_pieces = nr;
		} else {
			io.buf_off = buf_off + done;
			io.len = len - done;
		}
		ret = dmabuf_rw_ioctl(fd, DMABUF_RW_IOC_IO, &io);
		if (ret < 0) {
			*err = -ret;
			break;
		}
		if (io.done > len - done) {
			*err = EPROTO;
			break;
		}
		done += io.done;
		if (io.error > 0)
			*err = io.error;
		if (io.error || !io.done || done == len)
			break;

		if (pieces) {
			if (!rest) {
				rest = calloc(nr, sizeof(*rest));
				if (!rest) {
					*err = ENOMEM;
					break;
				}
			}
			/* In place after the first time: it only moves down. */
			nr = dmabuf_rw_trim_pieces(rest, pieces, nr, io.done);
			pieces = rest;
		}
	}
	free(rest);
	return done;
}

static ssize_t transfer_range(const struct dmabuf_rw_binding *binding, uint32_t op,
			      uint64_t file_off, uint64_t buf_off, uint64_t len,
			      uint64_t flags, struct dmabuf_rw_result *result)
{
	uint64_t done;
	int err;

	if (result && result->size < sizeof(*result))
		return -EINVAL;
	done = transfer(binding->fd, op, file_off, buf_off, len, NULL, 0, flags, &err);
	return finish(done, err, result);
}

static ssize_t transfer_pieces(const struct dmabuf_rw_binding *binding, uint32_t op,
			       uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			       unsigned int nr, uint64_t flags,
			       struct dmabuf_rw_result *result)
{
	uint64_t done, len;
	int err;

	if (result && result->size < sizeof(*result))
		return -EINVAL;
	if (nr > DMABUF_RW_MAX_PIECES)
		return finish(0, EMSGSIZE, result);
	if (nr && !pieces)
		return finish(0, EFAULT, result);
	/* Without pieces, the kernel's plain form with a length of zero says the same. */
	len = dmabuf_rw_sum_pieces(pieces, nr);
	done = transfer(binding->fd, op, file_off, 0, len, nr ? pieces : NULL, nr,
			flags, &err);
	return finish(done, err, result);
}

DMABUF_RW_API ssize_t dmabuf_rw_read(const struct dmabuf_rw_binding *binding,
				     uint64_t file_off, uint64_t buf_off, uint64_t len,
				     uint64_t flags, struct dmabuf_rw_result *result)
{
	return transfer_range(binding, DMABUF_RW_OP_READ, file_off, buf_off, len,
			      flags, result);
}

DMABUF_RW_API ssize_t dmabuf_rw_write(const struct dmabuf_rw_binding *binding,
				      uint64_t file_off, uint64_t buf_off,
				      uint64_t len, uint64_t flags,
				      struct dmabuf_rw_result *result)
{
	return transfer_range(binding, DMABUF_RW_OP_WRITE, file_off, buf_off, len,
			      flags, result);
}

DMABUF_RW_API ssize_t dmabuf_rw_readv(const struct dmabuf_rw_binding *binding,
				      uint64_t file_off,
				      const struct dmabuf_rw_piece *pieces,
				      unsigned int nr, uint64_t flags,
				      struct dmabuf_rw_result *result)
{
	return transfer_pieces(binding, DMABUF_RW_OP_READ, file_off, pieces, nr, flags,
			       result);
}

DMABUF_RW_API ssize_t dmabuf_rw_writev(const struct dmabuf_rw_binding *binding,
				       uint64_t file_off,
				       const struct dmabuf_rw_piece *pieces,
				       unsigned int nr, uint64_t flags,
				       struct dmabuf_rw_result *result)
{
	return transfer_pieces(binding, DMABUF_RW_OP_WRITE, file_off, pieces, nr,
			       flags, result);
}
