// SPDX-License-Identifier: MIT
/*
 * io.c - synchronous transfers.
 *
 * Thread-safety: all state is on the stack, and any number of dmabuf_rw_run() calls may use a
 * binding at once.
 */
#include <errno.h>

#include "private.h"

/* @result is null or long enough; the tail of a longer one is left alone. */
static ssize_t finish(const struct dmabuf_rw_transfer *t, const struct dmabuf_rw_progress *p,
		      int err, struct dmabuf_rw_result *result)
{
	ssize_t ret = dmabuf_rw_outcome(p, t->len, t->whole, &err);

	if (result) {
		result->error = err;
		result->path = dmabuf_rw_path_of(p);
		result->direct_bytes = p->direct;
		result->bounced_bytes = p->bounced;
		result->kernel_bytes = p->kernel;
		result->zeros_by_drive = p->zeros_by_drive;
		result->zeros_written = p->zeros_written;
	}
	return ret;
}

static bool too_short(const struct dmabuf_rw_result *result)
{
	return result && result->size < sizeof(*result);
}

static ssize_t transfer(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_transfer *t,
			struct dmabuf_rw_result *result)
{
	struct dmabuf_rw_progress p = { 0 };
	DMABUF_RW_NO_CANCEL;
	int err;

	t->whole = t->flags & DMABUF_RW_IO_WHOLE;
	t->flags &= ~(uint64_t)DMABUF_RW_IO_WHOLE;
	err = dmabuf_rw_run(binding, t, &p);
	dmabuf_rw_count(binding, &p);
	return finish(t, &p, err, result);
}

static ssize_t transfer_range(const struct dmabuf_rw_binding *binding, uint32_t op,
			      uint64_t file_off, uint64_t buf_off, uint64_t len,
			      uint64_t flags, struct dmabuf_rw_result *result)
{
	const struct dmabuf_rw_piece piece = { buf_off, len };
	struct dmabuf_rw_transfer t = dmabuf_rw_plain_transfer(op, file_off, &piece, flags);

	return too_short(result) ? -EINVAL : transfer(binding, &t, result);
}

static ssize_t transfer_pieces(const struct dmabuf_rw_binding *binding, uint32_t op,
			       uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			       unsigned int nr, uint64_t flags,
			       struct dmabuf_rw_result *result)
{
	const struct dmabuf_rw_progress none = { 0 };
	struct dmabuf_rw_transfer t = {
		.op = op,
		.nr = nr,
		.file_off = file_off,
		.len = dmabuf_rw_sum_pieces(pieces, pieces ? nr : 0),
		.flags = flags,
		.pieces = pieces,
	};

	if (too_short(result))
		return -EINVAL;
	if (nr > DMABUF_RW_MAX_PIECES)
		return finish(&t, &none, EMSGSIZE, result);
	if (nr && !pieces)
		return finish(&t, &none, EFAULT, result);
	/* No pieces: the same as the kernel's plain form with a length of zero. */
	if (!nr)
		return transfer_range(binding, op, file_off, 0, 0, flags, result);
	return transfer(binding, &t, result);
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

static ssize_t transfer_many(const struct dmabuf_rw_binding *binding, uint32_t op,
			     struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			     struct dmabuf_rw_result *result)
{
	const struct dmabuf_rw_progress none = { 0 };
	struct dmabuf_rw_transfer t = {
		.op = op,
		.nr = nr,
		.len = dmabuf_rw_sum_ranges(ranges, ranges ? nr : 0),
		.flags = flags & ~(uint64_t)DMABUF_RW_IO_RESULTS,
		.ranges = ranges,
	};

	if (too_short(result))
		return -EINVAL;
	if (nr && !ranges)
		return finish(&t, &none, EFAULT, result);
	return nr ? transfer(binding, &t, result) : finish(&t, &none, 0, result);
}

DMABUF_RW_API ssize_t dmabuf_rw_read_many(const struct dmabuf_rw_binding *binding,
					  struct dmabuf_rw_range *ranges, unsigned int nr,
					  uint64_t flags, struct dmabuf_rw_result *result)
{
	return transfer_many(binding, DMABUF_RW_OP_READ, ranges, nr, flags, result);
}

DMABUF_RW_API ssize_t dmabuf_rw_write_many(const struct dmabuf_rw_binding *binding,
					   struct dmabuf_rw_range *ranges, unsigned int nr,
					   uint64_t flags, struct dmabuf_rw_result *result)
{
	return transfer_many(binding, DMABUF_RW_OP_WRITE, ranges, nr, flags, result);
}
