// SPDX-License-Identifier: MIT
/*
 * pieces.c - arithmetic on lists of ranges of a buffer.
 *
 * Thread-safety: functions of their arguments.
 */
#include "private.h"

unsigned int dmabuf_rw_cut_pieces(struct dmabuf_rw_piece *dst,
				  const struct dmabuf_rw_piece *pieces, unsigned int nr,
				  uint64_t from, uint64_t to)
{
	uint64_t left = to - from;
	unsigned int i, n = 0;

	for (i = 0; i < nr && left; i++) {
		if (from >= pieces[i].len) {
			from -= pieces[i].len;
			continue;
		}
		dst[n].buf_off = pieces[i].buf_off + from;
		dst[n].len = MIN(pieces[i].len - from, left);
		left -= dst[n].len;
		from = 0;
		n++;
	}
	return n;
}

unsigned int dmabuf_rw_trim_pieces(struct dmabuf_rw_piece *dst,
				   const struct dmabuf_rw_piece *pieces,
				   unsigned int nr, uint64_t done)
{
	return dmabuf_rw_cut_pieces(dst, pieces, nr, done, UINT64_MAX);
}

uint64_t dmabuf_rw_sum_ranges(const struct dmabuf_rw_range *ranges, unsigned int nr)
{
	uint64_t sum = 0;
	unsigned int i;

	/* 32-bit lengths, so too few to overflow. */
	for (i = 0; i < nr; i++)
		sum += ranges[i].len;
	return sum;
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
