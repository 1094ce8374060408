// SPDX-License-Identifier: MIT
/*
 * batch_run.c - makes groups of a batch's entries, and runs them by the ring or as jobs, as batch.h
 * describes.
 *
 * Entries of a group end together, with one wake-up at most; unfinished ones then go on alone.
 */
#include <errno.h>
#include <stdlib.h>

#include "batch.h"

/* A large submission becomes several parallel groups, so that first results come early. */
#define GROUP_BYTES	(4U << 20)

/* No result: the module has not started the range, or could not report it. */
#define UNASKED		INT64_MIN

/* ---- unfinished entries -------------------------------------------------------------------- */

/* Moves the rest of an entry after @done bytes. */
static int64_t run_rest(const struct group *g, const struct entry *e, uint64_t done)
{
	int64_t n = transfer(g->file, g->write, e->p + done, e->len - done, e->off + done);

	return n >= 0 ? (int64_t)done + n : done ? (int64_t)done : n;
}

/*
 * Whether the entry must go on alone to move its rest or to find its error: the file ends, or has
 * become shorter, the thread was stopped, memory is short, or the range cannot go direct, perhaps
 * because its memory was moved.
 */
static bool is_unfinished(const struct entry *e, int64_t n)
{
	if (n >= 0)
		return (uint64_t)n < e->len;
	return n == UNASKED || n == -ENOSPC || n == -EINTR || n == -EDOM || n == -ENXIO ||
	       n == -EXDEV || n == -ENOMEM;
}

/* Releases the segment and the file, which no entry of the group needs any more. */
static void drop_group(struct group *g)
{
	/* Before the entries end: a thread that sees them over finds nothing in use. */
	if (g->segment)
		gpu_segment_done(g->segment);
	file_put(g->file);
}

static void run_rests(struct front_job *job)
{
	struct group *g = (struct group *)job;
	int64_t results[FRONT_MAX_BATCH];
	struct batch *b = g->batch;
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		results[i] = run_rest(g, g->entries[i],
				      g->ranges[i].result > 0 ? g->ranges[i].result : 0);
	drop_group(g);
	pthread_mutex_lock(&b->lock);
	for (i = 0; i < g->nr; i++)
		entry_end_with_locked(b, g->entries[i], results[i]);
	b->groups--;
	batch_wake_locked(b);
	pthread_mutex_unlock(&b->lock);
	free(g);
}

/* ---- in the ring --------------------------------------------------------------------------- */

/*
 * Counts the bytes that the module has moved, and drops the bond. Moves the unfinished entries to
 * the front of the group, and returns their number. *@error: a flush failed, and is the result of
 * all entries.
 */
static unsigned int settle(struct group *g, int *error)
{
	struct dmabuf_rw_range r;
	unsigned int i, nr = 0;
	uint64_t bytes = 0;
	struct entry *e;

	for (i = 0; i < g->nr; i++)
		bytes += g->ranges[i].result > 0 ? g->ranges[i].result : 0;
	report_direct(g->write, bytes);
	bond_done(g->bond);
	g->bond = NULL;
	*error = g->write ? 0 : gpu_flush(g->segment);
	for (i = 0; i < g->nr && !*error; i++) {
		if (!is_unfinished(g->entries[i], g->ranges[i].result))
			continue;
		e = g->entries[nr];
		r = g->ranges[nr];
		g->entries[nr] = g->entries[i];
		g->ranges[nr++] = g->ranges[i];
		g->entries[i] = e;
		g->ranges[i] = r;
	}
	return nr;
}

/* Ends the finished entries of a group that has come back, and makes the others a job. */
static void end_group(struct group *g)
{
	struct batch *b = g->batch;
	unsigned int i, nr, left;
	int error;

	left = settle(g, &error);
	if (!left)
		drop_group(g);
	nr = g->nr;
	pthread_mutex_lock(&b->lock);
	for (i = left; i < nr; i++)
		entry_end_with_locked(b, g->entries[i], error ? error : g->ranges[i].result);
	b->groups -= !left;
	batch_wake_locked(b);
	pthread_mutex_unlock(&b->lock);
	if (!left) {
		free(g);
		return;
	}
	g->nr = left;
	g->job.run = run_rests;
	/* Without a thread, run it here. */
	if (job_submit(&g->job))
		run_rests(&g->job);
}

static void leave_ring_locked(struct batch *b, struct group *g)
{
	struct group **at = &b->in_ring;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
}

/* The module could not store each result, as the submitting thread is gone: all bytes moved. */
static void all_moved(struct group *g)
{
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		if (g->ranges[i].result == UNASKED)
			g->ranges[i].result = g->ranges[i].len;
}

bool batch_reap_locked(struct batch *b)
{
	struct group *g, *list = NULL;
	int64_t moved;

	while (b->in_ring && (g = ring_take(b->ring, &moved))) {
		leave_ring_locked(b, g);
		if (moved == (int64_t)g->bytes)
			all_moved(g);
		g->next = list;
		list = g;
	}
	if (!list)
		return false;
	pthread_mutex_unlock(&b->lock);
	while ((g = list)) {
		list = g->next;
		end_group(g);
	}
	pthread_mutex_lock(&b->lock);
	return true;
}

/* ---- as jobs ------------------------------------------------------------------------------- */

static void tell_of_bounces(const struct group *g, const struct front_bond *bond,
			    const struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t bytes)
{
	const struct dmabuf_rw_range *r = ranges;
	struct front_reason why;
	unsigned int i;

	/* The first unaligned range, if there is one. */
	for (i = 0; i < nr; i++)
		if (!transfer_is_aligned(bond, g->write, ranges[i].file_off, ranges[i].buf_off,
					 ranges[i].len)) {
			r = &ranges[i];
			break;
		}
	transfer_explain(bond, g->write, r->file_off, r->buf_off, r->len, &why);
	report_bounced(g->file, g->write, bytes, &why);
}

/* For a job: the library has already bounced where allowed, and looked for the file's end. */
static bool is_unfinished_job(const struct group *g, const struct entry *e, int64_t n)
{
	return is_unfinished(e, n) && (n < 0 || g->write || front.direct_only);
}

/* Stores each range's result. 0, or the errno of a flush, which then is the result of all. */
static int run_ranges(const struct group *g, struct front_bond *bond,
		      struct dmabuf_rw_range *ranges, unsigned int nr)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	if (g->write)
		dmabuf_rw_write_many(bond->binding, ranges, nr, g->file->write_flags, &result);
	else
		dmabuf_rw_read_many(bond->binding, ranges, nr, 0, &result);
	report_direct(g->write, result.direct_bytes);
	report_zeros(g->file, &result);
	if (result.bounced_bytes)
		tell_of_bounces(g, bond, ranges, nr, result.bounced_bytes);
	bond_done(bond);
	return g->write ? 0 : gpu_flush(g->segment);
}

static void fill_range(const struct group *g, const struct entry *e, struct dmabuf_rw_range *r)
{
	*r = (struct dmabuf_rw_range){
		.file_off = e->off,
		.buf_off = gpu_segment_offset(g->segment, e->p),
		.len = e->len,
		.result = UNASKED,
	};
}

/* Sets results[i] to the bytes of the entry, or -errno. */
static void run_together(struct group *g, unsigned int nr, int64_t *results)
{
	unsigned int i, kept = 0, which[FRONT_MAX_BATCH];
	struct front_bond *bond;
	uint64_t inside;
	int ret;

	for (i = 0; i < nr; i++) {
		const struct entry *e = g->entries[i];

		if (transfer_is_cached(g->file, g->write, e->off, e->len) ||
		    (g->write && transfer_grows(g->file, e->off, e->len, &inside))) {
			results[i] = run_rest(g, e, 0);
			continue;
		}
		which[kept] = i;
		fill_range(g, e, &g->ranges[kept++]);
	}
	if (!kept)
		return;
	if (bond_use(g->file, g->segment, &bond, NULL)) {
		/* Run alone, each reports why. */
		for (i = 0; i < kept; i++)
			results[which[i]] = run_rest(g, g->entries[which[i]], 0);
		return;
	}
	ret = run_ranges(g, bond, g->ranges, kept);
	for (i = 0; i < kept; i++) {
		const struct entry *e = g->entries[which[i]];
		int64_t n = ret ? ret : g->ranges[i].result;

		results[which[i]] = !ret && is_unfinished_job(g, e, n) ?
			run_rest(g, e, n > 0 ? n : 0) : n;
	}
}

/* Keeps the group's own entries; others were cancelled, and may be in use again. */
static unsigned int begin_entries(struct group *g)
{
	unsigned int i, nr = 0;

	pthread_mutex_lock(&g->batch->lock);
	for (i = 0; i < g->nr; i++) {
		if (g->entries[i]->state != WAITING || g->entries[i]->group != g)
			continue;
		entry_set_locked(g->batch, g->entries[i], RUNNING);
		g->entries[nr++] = g->entries[i];
	}
	pthread_mutex_unlock(&g->batch->lock);
	return nr;
}

static void run_group(struct front_job *job)
{
	struct group *g = (struct group *)job;
	int64_t results[FRONT_MAX_BATCH];
	struct batch *b = g->batch;
	unsigned int i, nr = begin_entries(g);

	if (nr && g->segment)
		run_together(g, nr, results);
	else if (nr)
		results[0] = run_rest(g, g->entries[0], 0);
	drop_group(g);
	pthread_mutex_lock(&b->lock);
	for (i = 0; i < nr; i++)
		entry_end_with_locked(b, g->entries[i], results[i]);
	b->groups--;
	batch_wake_locked(b);
	pthread_mutex_unlock(&b->lock);
	free(g);
}

static void start_job(struct group *g)
{
	struct batch *b = g->batch;
	unsigned int i;

	g->job.run = run_group;
	pthread_mutex_lock(&b->lock);
	b->groups++;
	for (i = 0; i < g->nr; i++) {
		entry_set_locked(b, g->entries[i], WAITING);
		g->entries[i]->group = g;
	}
	pthread_mutex_unlock(&b->lock);
	/* Without a thread, run it here. */
	if (job_submit(&g->job))
		run_group(&g->job);
}

/* ---- beginning ----------------------------------------------------------------------------- */

/* Fills the ranges and takes the bond of a group for the ring. False: it must be a job. */
static bool prepare(struct group *g)
{
	uint64_t file_bits = 0, buf_bits = 0, end = 0, inside;
	unsigned int i;

	if (!g->segment || g->bytes > DMABUF_RW_MAX_BYTES)
		return false;
	/* Only the job checks whether the page cache has the bytes. */
	if (front.page_cache && !g->write)
		return false;
	for (i = 0; i < g->nr; i++) {
		const struct entry *e = g->entries[i];

		fill_range(g, e, &g->ranges[i]);
		file_bits |= e->off | e->len;
		buf_bits |= g->ranges[i].buf_off;
		if (e->off + e->len > end)
			end = e->off + e->len;
	}
	if (g->write && transfer_grows(g->file, end, 0, &inside))
		return false;
	g->bond = bond_use_made(g->file, g->segment);
	if (!g->bond)
		return false;
	/* Alignments are powers of two. */
	if (dmabuf_rw_binding_fd(g->bond->binding) >= 0 &&
	    transfer_is_aligned(g->bond, g->write, file_bits, buf_bits, file_bits))
		return true;
	bond_done(g->bond);
	g->bond = NULL;
	return false;
}

/* Submits the groups of @list. Returns a list of those that cannot be submitted. */
static struct group *enter_ring(struct batch *b, struct group *list)
{
	struct group *g, *next, *refused = NULL;

	pthread_mutex_lock(&b->lock);
	if (!b->ring)
		b->ring = ring_create();
	for (g = list; g; g = next) {
		next = g->next;
		/* A thread that deregisters a file sees all of its groups that are in the ring. */
		if (!b->ring || file_is_retired(g->file) || !ring_add(b->ring, g)) {
			g->next = refused;
			refused = g;
			continue;
		}
		g->next = b->in_ring;
		b->in_ring = g;
		b->groups++;
	}
	if (b->ring && b->in_ring)
		ring_submit(b->ring);
	while (b->ring && (g = ring_take_back(b->ring))) {
		leave_ring_locked(b, g);
		b->groups--;
		g->next = refused;
		refused = g;
	}
	batch_hand_over_locked(b);
	pthread_mutex_unlock(&b->lock);
	return refused;
}

static void start_in_ring(struct batch *b, struct group *list)
{
	struct group *g, *next;

	for (g = enter_ring(b, list); g; g = next) {
		next = g->next;
		bond_done(g->bond);
		g->bond = NULL;
		start_job(g);
	}
}

/* Whether a range of the library, with its 32-bit length, can describe @e's memory in @s. */
static bool is_range_of(const struct gpu_segment *s, const struct entry *e)
{
	return e->len && e->len <= UINT32_MAX && e->p >= s->base &&
	       e->p < gpu_segment_end(s) && e->len <= gpu_segment_end(s) - e->p;
}

/* The segment of an entry that can join a group; null: it runs on its own. */
static struct gpu_segment *find_segment(const struct front_file *file, bool write,
					const struct entry *e)
{
	struct gpu_segment *s;

	if (!e->len || !file->may[write] || gpu_segment_use(e->p, &s))
		return NULL;
	if (s->fd >= 0 && is_range_of(s, e))
		return s;
	gpu_segment_done(s);
	return NULL;
}

static bool goes_with(const struct group *g, const CUfileIOParams_t *io, const struct entry *e)
{
	return g->segment && g->bytes < GROUP_BYTES && g->fh == io->fh &&
	       g->write == (io->opcode == CUFILE_WRITE) && is_range_of(g->segment, e);
}

static void refuse(struct batch *b, struct entry *e, CUfileStatus_t status, int64_t ret)
{
	pthread_mutex_lock(&b->lock);
	entry_end_locked(b, e, status, ret);
	batch_wake_locked(b);
	pthread_mutex_unlock(&b->lock);
}

/* Null: the entry is over already. */
static struct group *new_group(struct batch *b, struct entry *e, const CUfileIOParams_t *io)
{
	struct front_file *file = file_get(io->fh);
	struct group *g = file ? malloc(sizeof(*g)) : NULL;

	if (!g) {
		if (file)
			file_put(file);
		refuse(b, e, file ? CUFILE_FAILED : CUFILE_INVALID,
		       file ? -ENOMEM : -CU_FILE_HANDLE_NOT_REGISTERED);
		return NULL;
	}
	g->batch = b;
	g->fh = io->fh;
	g->file = file;
	g->bond = NULL;
	g->write = io->opcode == CUFILE_WRITE;
	g->segment = find_segment(file, g->write, e);
	g->bytes = 0;
	g->nr = 0;
	return g;
}

/* False: the request makes no sense, and the entry is over. */
static bool take_params(struct batch *b, struct entry *e, const CUfileIOParams_t *io)
{
	struct front_file *file;

	e->event.cookie = io->cookie;
	e->len = io->u.batch.size;
	e->off = io->u.batch.file_offset;
	if (transfer_range(io->u.batch.devPtr_base, io->u.batch.devPtr_offset, e->len, e->off,
			   &e->p))
		return true;
	file = file_get(io->fh);
	if (file)
		file_put(file);
	refuse(b, e, CUFILE_INVALID,
	       file ? -CU_FILE_INVALID_VALUE : -CU_FILE_HANDLE_NOT_REGISTERED);
	return false;
}

/* The group is full: starts it as a job, or adds it to the @list for the ring. */
static void close_group(struct group *g, struct group **list)
{
	if (!prepare(g)) {
		start_job(g);
		return;
	}
	g->next = *list;
	*list = g;
}

void batch_begin(struct batch *b, struct entry **entries, const CUfileIOParams_t *params,
		 unsigned int nr)
{
	struct group *g = NULL, *list = NULL;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		const CUfileIOParams_t *io = &params[i];
		struct entry *e = entries[i];

		if (!take_params(b, e, io))
			continue;
		if (g && !goes_with(g, io, e)) {
			close_group(g, &list);
			g = NULL;
		}
		if (!g)
			g = new_group(b, e, io);
		if (g) {
			g->entries[g->nr++] = e;
			g->bytes += e->len;
		}
	}
	if (g)
		close_group(g, &list);
	if (list)
		start_in_ring(b, list);
}
