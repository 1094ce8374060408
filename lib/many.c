// SPDX-License-Identifier: MIT
/*
 * many.c - batches: many transfers in one call of the kernel.
 *
 * The module answers for each range by itself. Most are over then. What is left, because a range
 * was short or may bounce, is done range by range, as if each had been asked for alone
 * (transfer.c). So a batch has two steps, which a queue takes in different threads:
 *
 *   ask		the module, or an entry of a ring, fills in results; take() counts those
 *			that are final
 *   finish		does the rest
 *
 * WHOLE is judged here: a range that the module has ended early may go on by bouncing.
 *
 * Thread-safety: as transfer.c; the ranges are the caller's.
 */
#include <errno.h>

#include "private.h"

/* No result: the module has not looked at the range. */
#define UNASKED INT64_MIN

static bool must_be_whole(const struct dmabuf_rw_transfer *t, const struct dmabuf_rw_range *r)
{
	return t->whole || (r->flags & DMABUF_RW_IO_WHOLE);
}

/* True if the result is not the last word. */
static bool is_unfinished(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_range *r,
			  bool through)
{
	if (r->result == UNASKED || (through && r->result == -EINTR))
		return true;
	return r->result < 0 ? dmabuf_rw_may_bounce(b, -r->result) : r->result < r->len;
}

static void count(struct dmabuf_rw_progress *p, uint64_t direct, uint64_t bounced)
{
	const struct dmabuf_rw_progress one = { .direct = direct, .bounced = bounced };

	p->direct += direct;
	p->bounced += bounced;
	p->done += direct + bounced;
	p->by_path[dmabuf_rw_path_of(&one)]++;
}

void dmabuf_rw_many_reset(const struct dmabuf_rw_transfer *t)
{
	unsigned int i;

	for (i = 0; i < t->nr; i++)
		t->ranges[i].result = UNASKED;
}

int dmabuf_rw_many_take(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			struct dmabuf_rw_progress *p, int err)
{
	int unfinished = 0;
	unsigned int i;

	for (i = 0; i < t->nr; i++) {
		struct dmabuf_rw_range *r = &t->ranges[i];

		/* Refused as a whole. */
		if (r->result == UNASKED && err)
			r->result = -err;
		if (is_unfinished(b, r, t->through))
			unfinished++;
		else
			count(p, r->result > 0 ? r->result : 0, 0);
	}
	return unfinished;
}

/* Does what is left of a range, alone. Returns the errno that ended it, also after a part. */
static int finish_range(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_range *r, struct dmabuf_rw_progress *p)
{
	const struct dmabuf_rw_piece piece = { r->buf_off, r->len };
	const struct dmabuf_rw_transfer one = {
		.op = t->op,
		.plain = true,
		.nr = 1,
		.file_off = r->file_off,
		.len = r->len,
		.flags = (t->flags | r->flags) & ~(uint64_t)DMABUF_RW_IO_WHOLE,
		.pieces = &piece,
		.cancelled = t->cancelled,
	};
	struct dmabuf_rw_progress done = { 0 };
	int err;

	if (r->result > 0)
		done.done = done.direct = r->result;
	err = t->through ? dmabuf_rw_run_through(b, &one, &done) : dmabuf_rw_run(b, &one, &done);
	r->result = dmabuf_rw_outcome(&done, r->len, must_be_whole(t, r), &err);
	count(p, done.direct, done.bounced);
	return err;
}

int dmabuf_rw_many_finish(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			  struct dmabuf_rw_progress *p)
{
	int first = 0, err;
	unsigned int i;

	for (i = 0; i < t->nr; i++) {
		struct dmabuf_rw_range *r = &t->ranges[i];

		if (is_unfinished(b, r, t->through))
			err = finish_range(b, t, r, p);
		else
			err = r->result < 0 ? -r->result : 0;
		first = first ? first : err;
	}
	return first;
}

/* Asks the module for as many ranges as it takes in a call. Returns how many. */
static unsigned int ask_some(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			     unsigned int first, struct dmabuf_rw_progress *p)
{
	struct dmabuf_rw_transfer part = *t;
	uint64_t total = 0;
	struct dmabuf_rw_batch batch = {
		.size = sizeof(batch),
		.op = t->op,
		.flags = t->flags | DMABUF_RW_IO_RESULTS,
		.ranges = (uintptr_t)&t->ranges[first],
	};
	int ret;

	while (first + batch.nr < t->nr && batch.nr < DMABUF_RW_MAX_BATCH) {
		total += t->ranges[first + batch.nr].len;
		if (total > DMABUF_RW_MAX_BYTES)
			break;
		batch.nr++;
	}
	part.ranges = &t->ranges[first];
	part.nr = batch.nr ? batch.nr : 1;
	/* One that is longer than a batch may be is left to the other step. */
	if (batch.nr) {
		do {
			ret = dmabuf_rw_ioctl(b->fd, DMABUF_RW_IOC_BATCH, &batch);
		} while (ret == -EINTR && t->through);
		dmabuf_rw_many_take(b, &part, p, ret < 0 ? -ret : EPROTO);
	}
	return part.nr;
}

int dmabuf_rw_run_many(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_progress *p)
{
	unsigned int i = 0;

	dmabuf_rw_many_reset(t);
	while (b->fd >= 0 && i < t->nr) {
		if (dmabuf_rw_is_cancelled(t))
			break;
		i += ask_some(b, t, i, p);
	}
	return dmabuf_rw_many_finish(b, t, p);
}
