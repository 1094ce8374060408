// SPDX-License-Identifier: MIT
/*
 * transfer.c - one transfer from beginning to end: direct where the drive can, else bounced if
 * allowed.
 *
 * The kernel moves at most DMABUF_RW_MAX_BYTES in one call and may stop earlier at an error;
 * module_part() requests the rest until nothing is left, the file ends or an error is reported. The
 * byte count has no gap, because every request begins where the last one stopped. kernel_way.c does
 * the same for kernel bindings, with the same errnos.
 *
 * Direct is tried first and for the whole transfer, since the kernel knows best. It may refuse with
 *   EDOM		an unaligned end: the bytes before the first whole LBA and after the last
 *		one are bounced, and the middle is tried again. If that is refused too, for example
 *		because of the place in the buffer, the rest is bounced.
 *   ENXIO	no written block: if this is a write and the binding may, zeros are put there
 *		(zeros.c), and direct is tried again. Else bytes are bounced up to the next data,
 *		and direct is tried again.
 *
 * Thread-safety: the binding is only read, except its atomic totals; everything else is the
 * caller's.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

bool dmabuf_rw_may_bounce(const struct dmabuf_rw_binding *binding, int err)
{
	return binding->bounce && (err == EDOM || err == ENXIO);
}

bool dmabuf_rw_may_go_on(const struct dmabuf_rw_binding *binding, int err)
{
	return dmabuf_rw_may_bounce(binding, err) || (binding->zeros && err == ENXIO);
}

int dmabuf_rw_check(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t)
{
	bool write = t->op == DMABUF_RW_OP_WRITE;
	uint64_t end;
	unsigned int i;

	if (t->flags & ~DMABUF_RW_IO_FUA || (t->flags && !write))
		return EINVAL;
	if (!(b->kernel ? b->kernel->can[t->op] :
	      write ? b->bounce->can_write : b->bounce->can_read))
		return EACCES;
	if (__builtin_add_overflow(t->file_off, t->len, &end) || end > INT64_MAX)
		return EOVERFLOW;
	for (i = 0; i < t->nr; i++) {
		if (__builtin_add_overflow(t->pieces[i].buf_off, t->pieces[i].len, &end) ||
		    end > INT64_MAX)
			return EOVERFLOW;
		if (end > b->buf_bytes)
			return ERANGE;
	}
	return 0;
}

static void add(_Atomic uint64_t *total, uint64_t n)
{
	if (n)
		atomic_fetch_add_explicit(total, n, memory_order_relaxed);
}

void dmabuf_rw_count(const struct dmabuf_rw_binding *binding,
		     const struct dmabuf_rw_progress *p)
{
	/* The only part of a binding that changes. */
	struct dmabuf_rw_totals *totals = (struct dmabuf_rw_totals *)&binding->totals;
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(p->by_path); i++) {
		add(&totals->transfers[i], p->by_path[i]);
		nr += p->by_path[i];
	}
	if (!nr)
		add(&totals->transfers[dmabuf_rw_path_of(p)], 1);
	add(&totals->direct_bytes, p->direct);
	add(&totals->kernel_bytes, p->kernel);
	add(&totals->bounced_bytes, p->bounced);
	add(&totals->zeros_by_drive, p->zeros_by_drive);
	add(&totals->zeros_written, p->zeros_written);
}

/*
 * Asks the module for the bytes from p->done up to @end. Returns 0, also at the end of the file, or
 * the errno that ended it.
 */
static int module_part(const struct dmabuf_rw_binding *b,
		       const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
		       uint64_t end)
{
	const struct dmabuf_rw_piece *pieces = t->pieces;
	struct dmabuf_rw_piece *rest = NULL;
	unsigned int nr = t->nr;
	int err = 0, ret;

	for (;;) {
		struct dmabuf_rw_io io = {
			.size = sizeof(io),
			.op = t->op,
			.flags = t->flags,
			.file_off = t->file_off + p->done,
		};

		if (dmabuf_rw_is_cancelled(t)) {
			err = ECANCELED;
			break;
		}
		if (t->plain) {
			io.buf_off = t->pieces->buf_off + p->done;
			io.len = end - p->done;
		} else {
			if (p->done || end < t->len) {
				if (!rest)
					rest = calloc(t->nr, sizeof(*rest));
				if (!rest) {
					err = ENOMEM;
					break;
				}
				nr = dmabuf_rw_cut_pieces(rest, t->pieces, t->nr, p->done,
							  end);
				pieces = rest;
			}
			io.pieces = (uintptr_t)pieces;
			io.nr_pieces = nr;
		}
		ret = dmabuf_rw_ioctl(b->fd, DMABUF_RW_IOC_IO, &io);
		if (ret < 0) {
			err = -ret;
			break;
		}
		if (io.done > end - p->done) {
			err = EPROTO;
			break;
		}
		dmabuf_rw_add_direct(b, p, io.done);
		if (io.error > 0)
			err = io.error;
		if (io.error || !io.done || p->done == end)
			break;
	}
	free(rest);
	return err;
}

static int direct_part(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_progress *p, uint64_t end)
{
	return b->kernel ? dmabuf_rw_kernel_run(b, t, p, end) : module_part(b, t, p, end);
}

/*
 * The whole LBAs of the rest: from *@low up to *@high of the transfer. False if there are none that
 * the drive could move, by bind's alignments.
 */
static bool whole_lbas(const struct dmabuf_rw_binding *b,
		       const struct dmabuf_rw_transfer *t, uint64_t done, uint64_t *low,
		       uint64_t *high)
{
	uint64_t align = b->file_align[t->op], head = -(t->file_off + done) % align;
	uint64_t tail = (t->file_off + t->len) % align;

	if (align < 2 || t->len - done <= head + tail)
		return false;
	*low = done + head;
	*high = t->len - tail;
	return !t->plain || (t->pieces->buf_off + *low) % b->buf_align == 0;
}

/*
 * For a write whose byte at p->done has no block. 1: it has one now; 0: it must go another way; or
 * -errno, which ends the transfer. *@put: the end of zeros put before.
 */
static int put_zeros(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		     struct dmabuf_rw_progress *p, uint64_t stop, uint64_t *put)
{
	int64_t n;

	if (!b->zeros || t->op != DMABUF_RW_OP_WRITE)
		return 0;
	if (p->done < *put) {
		atomic_fetch_add(&b->zeros->in_vain, 1);
		return 0;
	}
	n = dmabuf_rw_zeros_put(b->zeros, t->file_off + p->done, stop - p->done, p);
	if (n > 0)
		*put = p->done + n;
	if (n == -EINTR || (n < 0 && !b->bounce))
		return n;
	return n > 0;
}

/* The end of the bytes that bounce for want of a block: @data, or an earlier place for zeros. */
static uint64_t bounce_until(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			     uint64_t done, uint64_t data)
{
	uint64_t part = b->zeros && t->op == DMABUF_RW_OP_WRITE ?
			-(t->file_off + done) % b->zeros->block : 0;

	return MIN(part ? MIN(done + part, data) : data, t->len);
}

int dmabuf_rw_run(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		  struct dmabuf_rw_progress *p)
{
	uint64_t stop = t->len, low, high, put = 0;
	bool split = false;
	int err, zeros;

	if (t->ranges)
		return t->asked ? dmabuf_rw_many_finish(b, t, p) : dmabuf_rw_run_many(b, t, p);
	if (b->fd < 0) {
		err = dmabuf_rw_check(b, t);
		if (err || !b->kernel)
			return err ? err : dmabuf_rw_bounce_run(b->bounce, t, p, t->len);
	}
	for (;;) {
		err = direct_part(b, t, p, stop);
		if (!err && p->done == stop && stop < t->len)
			return dmabuf_rw_bounce_run(b->bounce, t, p, t->len);
		zeros = err == ENXIO ? put_zeros(b, t, p, stop, &put) : 0;
		if (zeros > 0)
			continue;
		if (!err || zeros || !dmabuf_rw_may_bounce(b, err))
			return zeros ? -zeros : err;

		if (err == ENXIO) {
			uint64_t data = dmabuf_rw_bounce_data_after(b->bounce,
					t->file_off + p->done) - t->file_off;

			low = bounce_until(b, t, p->done, data);
		} else if (!split && whole_lbas(b, t, p->done, &low, &high)) {
			split = true;
			stop = high;
		} else {
			return dmabuf_rw_bounce_run(b->bounce, t, p, t->len);
		}
		if (low > p->done) {
			err = dmabuf_rw_bounce_run(b->bounce, t, p, low);
			if (err || p->done < low)
				return err;
		}
		if (p->done == t->len)
			return 0;
		if (p->done >= stop)
			stop = t->len;
	}
}

int dmabuf_rw_run_through(const struct dmabuf_rw_binding *b,
			  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p)
{
	int err;

	if (t->ranges) {
		struct dmabuf_rw_transfer through = *t;

		through.through = true;
		return dmabuf_rw_run(b, &through, p);
	}
	do {
		err = dmabuf_rw_run(b, t, p);
	} while (err == EINTR);
	return err;
}
