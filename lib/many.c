// SPDX-License-Identifier: MIT
/*
 * many.c - batches: many transfers in one call of the kernel.
 *
 * The module, or the ring of a kernel binding, answers for each range separately. Most ranges are
 * then finished. The others, which were short or may bounce, are finished one by one, like separate
 * transfers (transfer.c). So a batch has two steps, which a queue runs in different threads:
 *
 *   ask		the module, or an entry of a ring, fills in results; take() counts those
 *			that are final
 *   finish		moves the rest
 *
 * WHOLE is evaluated here, since a range that ended early may go on by bouncing.
 *
 * Thread-safety: as transfer.c; the ranges are the caller's.
 */
#include <errno.h>

#include "private.h"

/* No result: the range was not started. */
#define UNASKED INT64_MIN

static bool must_be_whole(const struct dmabuf_rw_transfer *t, const struct dmabuf_rw_range *r)
{
	return t->whole || (r->flags & DMABUF_RW_IO_WHOLE);
}

/* True if the result is not final. */
static bool is_unfinished(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_range *r,
			  bool through)
{
	if (r->result == UNASKED || (through && r->result == -EINTR))
		return true;
	return r->result < 0 ? dmabuf_rw_may_go_on(b, -r->result) : r->result < r->len;
}

static void count(struct dmabuf_rw_progress *p, const struct dmabuf_rw_progress *one)
{
	p->direct += one->direct;
	p->kernel += one->kernel;
	p->bounced += one->bounced;
	p->zeros_by_drive += one->zeros_by_drive;
	p->zeros_written += one->zeros_written;
	p->done += one->done;
	p->by_path[dmabuf_rw_path_of(one)]++;
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
	struct dmabuf_rw_progress one;
	int unfinished = 0;
	unsigned int i;

	for (i = 0; i < t->nr; i++) {
		struct dmabuf_rw_range *r = &t->ranges[i];

		/* The whole batch was refused. */
		if (r->result == UNASKED && err)
			r->result = -err;
		if (is_unfinished(b, r, t->through)) {
			unfinished++;
			continue;
		}
		one = (struct dmabuf_rw_progress){ 0 };
		dmabuf_rw_add_direct(b, &one, MAX(r->result, 0));
		count(p, &one);
	}
	return unfinished;
}

/* Makes a transfer of a range. */
static void fill_one(struct dmabuf_rw_transfer *one, const struct dmabuf_rw_transfer *t,
		     const struct dmabuf_rw_range *r, const struct dmabuf_rw_piece *piece)
{
	*one = dmabuf_rw_plain_transfer(t->op, r->file_off, piece, (t->flags | r->flags) &
					~(uint64_t)DMABUF_RW_IO_WHOLE);
	one->cancelled = t->cancelled;
}

/* Moves the rest of a range. Returns the errno that ended it, even after a part. */
static int finish_range(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_range *r, struct dmabuf_rw_progress *p)
{
	const struct dmabuf_rw_piece piece = { r->buf_off, r->len };
	struct dmabuf_rw_progress done = { 0 };
	struct dmabuf_rw_transfer one;
	int err;

	fill_one(&one, t, r, &piece);
	dmabuf_rw_add_direct(b, &done, MAX(r->result, 0));
	if (dmabuf_rw_is_cancelled(t))
		err = ECANCELED;
	else
		err = t->through ? dmabuf_rw_run_through(b, &one, &done) :
				   dmabuf_rw_run(b, &one, &done);
	r->result = dmabuf_rw_outcome(&done, r->len, must_be_whole(t, r), &err);
	count(p, &done);
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

/* How many ranges from @first on, all unasked, fit into one call of the module. */
static unsigned int askable(const struct dmabuf_rw_transfer *t, unsigned int first)
{
	unsigned int nr = 0;
	uint64_t total = 0;

	while (first + nr < t->nr && nr < DMABUF_RW_MAX_BATCH &&
	       t->ranges[first + nr].result == UNASKED) {
		total += t->ranges[first + nr].len;
		if (total > DMABUF_RW_MAX_BYTES)
			break;
		nr++;
	}
	return nr;
}

/*
 * Asks the module for @nr ranges. Ranges that were interrupted before they started become unasked
 * again. Returns false if those are all: a signal, whose handler has run by now, ends the call.
 */
static bool ask(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		unsigned int first, unsigned int nr, struct dmabuf_rw_progress *p)
{
	struct dmabuf_rw_transfer part = *t;
	struct dmabuf_rw_batch batch = {
		.size = sizeof(batch),
		.op = t->op,
		.nr = nr,
		.flags = t->flags | DMABUF_RW_IO_RESULTS,
		.ranges = (uintptr_t)&t->ranges[first],
	};
	int ret = dmabuf_rw_ioctl(b->fd, DMABUF_RW_IOC_BATCH, &batch);
	unsigned int interrupted = 0, i;
	bool again;

	part.ranges = &t->ranges[first];
	part.nr = nr;
	for (i = 0; i < nr; i++) {
		if (part.ranges[i].result == UNASKED)
			part.ranges[i].result = ret < 0 ? ret : -EPROTO;
		interrupted += part.ranges[i].result == -EINTR;
	}
	again = t->through || interrupted < nr;
	for (i = 0; i < nr; i++)
		if (again && part.ranges[i].result == -EINTR)
			part.ranges[i].result = UNASKED;
	dmabuf_rw_many_take(b, &part, p, 0);
	return again;
}

static void interrupt_rest(const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p)
{
	const struct dmabuf_rw_progress none = { 0 };
	unsigned int i;

	for (i = 0; i < t->nr; i++)
		if (t->ranges[i].result == UNASKED) {
			t->ranges[i].result = -EINTR;
			count(p, &none);
		}
}

/*
 * Plans the entry for a range of a kernel binding. False: the range was refused and has its result,
 * or is left to the second step.
 */
static bool plan_range(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_range *r, struct dmabuf_rw_kernel_io *io)
{
	const struct dmabuf_rw_piece piece = { r->buf_off, r->len };
	struct dmabuf_rw_transfer one;
	int err;

	fill_one(&one, t, r, &piece);
	err = dmabuf_rw_check(b, &one);
	if (err)
		r->result = -err;
	/* One flush serves all ranges. */
	one.flags = 0;
	if (err || r->len > DMABUF_RW_KERNEL_ENTRY || !dmabuf_rw_kernel_takes(b->kernel, &one))
		return false;
	*io = (struct dmabuf_rw_kernel_io){
		.file_off = r->file_off,
		.buf_off = r->buf_off,
		.len = r->len,
	};
	return true;
}

/*
 * ask() for a kernel binding: moves the ranges that fit into one entry each, in parallel, at most
 * DMABUF_RW_KERNEL_DEPTH. Interrupted ranges that have moved nothing are left to the second step,
 * unless those are all.
 */
static bool ask_kernel(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		       unsigned int first, unsigned int nr, struct dmabuf_rw_progress *p)
{
	struct dmabuf_rw_kernel_io ios[DMABUF_RW_KERNEL_DEPTH];
	struct dmabuf_rw_range *of[DMABUF_RW_KERNEL_DEPTH];
	struct dmabuf_rw_transfer part = *t;
	unsigned int nr_ios = 0, interrupted = 0, i;
	bool forced = false, again;
	int lost;

	part.ranges = &t->ranges[first];
	part.nr = nr;
	for (i = 0; i < nr; i++)
		if (plan_range(b, t, &part.ranges[i], &ios[nr_ios]))
			of[nr_ios++] = &part.ranges[i];
	if (nr_ios)
		dmabuf_rw_kernel_move(b->kernel, t->op, ios, nr_ios);
	for (i = 0; i < nr_ios; i++) {
		of[i]->result = ios[i].res;
		interrupted += ios[i].res == -EINTR;
		forced |= ios[i].res > 0 && (t->flags | of[i]->flags) & DMABUF_RW_IO_FUA;
	}
	lost = forced ? dmabuf_rw_kernel_flush(b->kernel) : 0;
	again = t->through || !nr_ios || interrupted < nr_ios;
	for (i = 0; i < nr_ios; i++) {
		if (lost && ios[i].res > 0 && (t->flags | of[i]->flags) & DMABUF_RW_IO_FUA)
			of[i]->result = -lost;
		if (again && ios[i].res == -EINTR)
			of[i]->result = UNASKED;
	}
	dmabuf_rw_many_take(b, &part, p, 0);
	return again;
}

int dmabuf_rw_run_many(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_progress *p)
{
	unsigned int i = 0, nr;

	dmabuf_rw_many_reset(t);
	while (dmabuf_rw_is_direct(b) && i < t->nr && !dmabuf_rw_is_cancelled(t)) {
		nr = b->kernel ? MIN(t->nr - i, DMABUF_RW_KERNEL_DEPTH) : askable(t, i);
		if (nr && !(b->kernel ? ask_kernel : ask)(b, t, i, nr, p)) {
			interrupt_rest(t, p);
			break;
		}
		/* Ask the module again for ranges it has not started. */
		i += b->kernel ? nr : !nr;
	}
	return dmabuf_rw_many_finish(b, t, p);
}
