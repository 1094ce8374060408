// SPDX-License-Identifier: MIT
/*
 * bounce.c - transfers through memory, for bytes that the drive cannot move.
 *
 * Vocabulary
 *   lane		memory and an io_uring, from the pool of the process (pool.c)
 *   chunk	one read or write of the file, and its place in the lane's memory
 *   window	the chunks of a transfer that are under way, in the file's order
 *
 * A transfer takes a lane, keeps up to "depth" chunks in flight, and copies between lane and buffer
 * while the others are under way. Chunks finish in any order. A chunk's bytes count once all before
 * it have arrived, so the count has no gap and the reported error is the one at the lowest offset.
 *
 * Reads are O_DIRECT at any offset: a chunk is widened to the alignment of O_DIRECT, and only the
 * requested bytes are copied. Writes are O_DIRECT except for the bytes before the first and after
 * the last whole block, which go through the page cache. Blocks are at least a page, so no cached
 * page has bytes that O_DIRECT writes. If the file refuses O_DIRECT, everything goes through the
 * page cache. Transfers of a direct binding are based on LBAs, not pages, so there these edge bytes
 * go through scratch memory (scratch.c), except for two kinds that only the file system can write:
 * bytes for which the module finds no block, and those in the file's last, partial LBA, if the
 * drive takes no SGLs.
 *
 * A read is complete when it is full or a read of its rest gave nothing: a short read alone does
 * not mean the end of the file.
 *
 * The page cache is left as full as it was (cache.c). Chunks that go through it are whole pages,
 * without readahead, and short enough that either all of their pages were cached before or none
 * was. Written pages are waited for when their place in the window is needed again, or when the
 * transfer ends.
 *
 * Thread-safety: any number of transfers may use one struct dmabuf_rw_bounce at once; it does not
 * change, and each transfer has its own lane.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/stat.h>
#include <liburing.h>

#include "private.h"

/* Least alignment of O_DIRECT: a page, see above. */
#define MIN_ALIGN	4096
/* How soon a transfer that waits for the file notices that it is cancelled. */
#define CANCEL_TICK_NS	100000000
/* user_data of the entry that cancels chunks; that of a chunk is its index. */
#define CANCEL_DATA	(UINT64_MAX - 1)
/* Step of the search for data, if the file system cannot seek to it. */
#define BLIND_STEP	(UINT64_C(1) << 20)

#define ALIGN_DOWN(x, a)	((x) / (a) * (a))
#define ALIGN_UP(x, a)		ALIGN_DOWN((x) + (a) - 1, a)

/* One bounced transfer under way. */
struct run {
	const struct dmabuf_rw_bounce *b;
	struct dmabuf_rw_lane *lane;
	const struct dmabuf_rw_transfer *t;
	uint64_t next;		/* first byte without a chunk */
	uint64_t end;
	unsigned int first, nr;	/* the window */
	unsigned int busy;	/* entries in the kernel */
	bool stop;		/* start no more chunks */
	bool interrupted;
	bool cancelled;		/* the chunks under way have been cancelled */
	int sync_fd;		/* opened anew for a write through the page cache: each opening
				 * reports lost data once, and no other user may consume that.
				 * -1: none */
	uint64_t lost;		/* first byte written to the cache but lost before the drive */
	int lost_err;		/* its errno; 0: nothing was lost */
};

/* ---- the page cache ---------------------------------------------------------------- */

static bool is_read(const struct run *r)
{
	return r->t->op == DMABUF_RW_OP_READ;
}

/* True if the kernel itself drops the pages of a read. */
static bool kernel_drops(const struct run *r)
{
	_Atomic int *known = (_Atomic int *)&r->b->dontcache;

	if (!is_read(r))
		return false;
	if (!*known)
		*known = dmabuf_rw_cache_dontcache(r->b->plain_fd) ? 1 : -1;
	return *known > 0;
}

/* Returns how many of a chunk's pages are cached now; -1: not known. */
static int64_t ask_cache(struct run *r, struct dmabuf_rw_chunk *c, uint64_t off, uint32_t len)
{
	if (!is_read(r) && r->sync_fd < 0 && r->b->regular)
		r->sync_fd = dmabuf_rw_reopen(r->b->plain_fd, O_WRONLY);
	c->asked = true;
	return dmabuf_rw_cache_ask(r->b->plain_fd, r->t->op, off, len, &c->cached);
}

/* Lays out a chunk through the page cache, at offset @at of the file. */
static void plan_cached(struct run *r, struct dmabuf_rw_chunk *c, uint64_t at, uint64_t left)
{
	c->len = MIN(left, r->b->chunk - at % MIN_ALIGN);
	while (!kernel_drops(r)) {
		int64_t cached = ask_cache(r, c, at, c->len);
		uint64_t pages = (c->cached.high - c->cached.low) / MIN_ALIGN;

		if (cached <= 0 || (uint64_t)cached >= pages)
			break;
		c->len = c->cached.low + pages / 2 * MIN_ALIGN - at;
	}
	c->want = c->len;
}

/*
 * Waits until a chunk's data is on the drive. The kernel reports a loss once for each opening, and
 * not for which bytes, so the lost chunk may be any that is still waited for.
 */
static void settle(struct run *r, struct dmabuf_rw_chunk *c)
{
	uint64_t lowest = c->pos;
	unsigned int i;
	int err, fd = r->sync_fd >= 0 ? r->sync_fd : r->b->plain_fd;

	for (i = 0; i < r->b->depth; i++)
		if (r->lane->window[i].cached.ours)
			lowest = MIN(lowest, r->lane->window[i].pos);
	err = dmabuf_rw_cache_settle(fd, &c->cached);
	if (err && (!r->lost_err || lowest < r->lost)) {
		r->lost = lowest;
		r->lost_err = err;
		r->stop = true;
	}
}

/* Settles all chunks, and takes back counted bytes that were lost. */
static int settle_all(struct run *r, struct dmabuf_rw_progress *p, int err)
{
	unsigned int i;

	for (i = 0; i < r->b->depth; i++)
		settle(r, &r->lane->window[i]);
	if (!r->lost_err || r->lost >= p->done)
		return err;
	p->bounced -= p->done - r->lost;
	p->done = r->lost;
	return r->lost_err;
}

/* ---- chunks ---------------------------------------------------------------------- */

static char *chunk_memory(const struct run *r, unsigned int index)
{
	return r->lane->memory + (size_t)index * r->b->chunk;
}

/* Lays out the chunk that begins at r->next. */
static struct dmabuf_rw_chunk plan_chunk(struct run *r)
{
	const struct dmabuf_rw_bounce *b = r->b;
	uint64_t at = r->t->file_off + r->next, left = r->end - r->next;
	struct dmabuf_rw_chunk c = { .pos = r->next, .direct = b->direct_fd >= 0 };

	if (!c.direct) {
		plan_cached(r, &c, at, left);
	} else if (is_read(r)) {
		c.head = at % b->align;
		c.len = MIN(left, b->chunk - c.head);
		c.want = ALIGN_UP(c.head + c.len, b->align);
	} else {
		c.direct = at % b->align == 0 && left >= b->align;
		c.len = c.direct ? MIN(ALIGN_DOWN(left, b->align), b->chunk) :
				   MIN(left, b->align - at % b->align);
		c.want = c.len;
	}
	return c;
}

/* Bytes of the transfer that a chunk has moved so far. */
static uint32_t chunk_moved(const struct dmabuf_rw_chunk *c)
{
	if (c->got <= c->head)
		return 0;
	return MIN(c->got - c->head, c->len);
}

/* The kernel's arguments for the rest of a chunk. */
static int chunk_fd(struct run *r, struct dmabuf_rw_chunk *c, uint64_t *off, uint32_t *len,
		    int *rw_flags)
{
	*off = r->t->file_off + c->pos - c->head + c->got;
	*len = c->want - c->got;
	*rw_flags = r->t->flags & DMABUF_RW_IO_FUA ? RWF_DSYNC : 0;
	if (c->direct && *off % r->b->align == 0)
		return r->b->direct_fd;
		/* Behind an unaligned end: only the requested bytes. */
	*len = c->head + c->len - c->got;
	if (kernel_drops(r))
		*rw_flags |= RWF_DONTCACHE;
	else if (!c->asked)
		ask_cache(r, c, *off, *len);
	return r->b->plain_fd;
}

/*
 * Takes the kernel's result; true if the chunk needs another round. Otherwise the bytes of a read
 * are copied to the buffer.
 */
static bool chunk_result(const struct run *r, unsigned int index, int res)
{
	struct dmabuf_rw_chunk *c = &r->lane->window[index];

	if (res == -EINVAL && c->direct && c->got % r->b->align == 0 &&
	    r->b->plain_fd >= 0) {
		/* The file system supports O_DIRECT, but not for this range. */
		c->direct = false;
		return true;
	}
	if ((res == -EINTR || res == -EAGAIN) && !r->cancelled)
		return true;
	if (res < 0) {
		c->err = r->cancelled ? ECANCELED : -res;
	} else if (res == 0) {
		if (!is_read(r))
			c->err = EIO;
	} else {
		c->got += res;
		if (chunk_moved(c) < c->len && !r->cancelled)
			return true;
	}
	if (is_read(r)) {
		int ret = dmabuf_rw_view_copy(&r->b->view, DMABUF_RW_COPY_TO_BUFFER,
					      r->t->pieces, r->t->nr, c->pos,
					      c->pos + chunk_moved(c),
					      chunk_memory(r, index) + c->head);

		if (ret) {
			/* It is not known which bytes arrived. */
			c->err = -ret;
			c->got = 0;
		}
	}
	if (is_read(r))
		dmabuf_rw_cache_drop(r->b->plain_fd, &c->cached);
	else
		dmabuf_rw_cache_write_back(r->b->plain_fd, &c->cached);
	return false;
}

static ssize_t system_call(const struct run *r, int fd, char *mem, uint32_t len,
			   uint64_t off, int rw_flags)
{
	struct iovec iov = { .iov_base = mem, .iov_len = len };
	ssize_t n = is_read(r) ? preadv2(fd, &iov, 1, off, rw_flags) :
				 pwritev2(fd, &iov, 1, off, rw_flags);

	return n < 0 ? -errno : n;
}

/* Gives a chunk's rest to the kernel; without a ring it is complete on return. */
static void issue(struct run *r, unsigned int index)
{
	struct dmabuf_rw_lane *lane = r->lane;
	struct dmabuf_rw_chunk *c = &lane->window[index];
	struct io_uring_sqe *sqe;
	int fd, rw_flags;
	uint64_t off;
	uint32_t len;
	char *mem;

	if (!lane->ring) {
		do {
			fd = chunk_fd(r, c, &off, &len, &rw_flags);
			mem = chunk_memory(r, index) + c->got;
		} while (chunk_result(r, index,
				      system_call(r, fd, mem, len, off, rw_flags)));
		return;
	}

	fd = chunk_fd(r, c, &off, &len, &rw_flags);
	mem = chunk_memory(r, index) + c->got;
	/* The ring has an entry for each chunk of the window. */
	sqe = io_uring_get_sqe(lane->ring);
	if (is_read(r) && lane->registered)
		io_uring_prep_read_fixed(sqe, fd, mem, len, off, 0);
	else if (is_read(r))
		io_uring_prep_read(sqe, fd, mem, len, off);
	else if (lane->registered)
		io_uring_prep_write_fixed(sqe, fd, mem, len, off, 0);
	else
		io_uring_prep_write(sqe, fd, mem, len, off);
	sqe->rw_flags = rw_flags;
	sqe->user_data = index;
	c->busy = true;
	r->busy++;
}

/* Starts the next chunk of the transfer. */
static void begin_chunk(struct run *r)
{
	unsigned int index = (r->first + r->nr) % r->b->depth;
	struct dmabuf_rw_chunk *c = &r->lane->window[index];
	int ret = 0;

	settle(r, c);
	*c = plan_chunk(r);
	r->next += c->len;
	r->nr++;
	if (!is_read(r))
		ret = dmabuf_rw_view_copy(&r->b->view, DMABUF_RW_COPY_FROM_BUFFER,
					  r->t->pieces, r->t->nr, c->pos, c->pos + c->len,
					  chunk_memory(r, index));
	if (ret)
		c->err = -ret;
	else
		issue(r, index);
}

/* Submits, and waits for one chunk, or for a tick if the transfer can be cancelled. */
static int wait_for_chunk(struct run *r)
{
	struct __kernel_timespec tick = { .tv_nsec = CANCEL_TICK_NS };
	struct io_uring *ring = r->lane->ring;
	struct io_uring_cqe *cqe;
	int ret;

	if (!r->t->cancelled || r->cancelled)
		return io_uring_submit_and_wait(ring, 1);
	ret = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &tick, NULL);
	return ret < 0 && io_uring_cq_ready(ring) ? 0 : ret;
}

/* Cancels chunks under way that have not reached the drive. */
static void cancel_chunks(struct run *r)
{
	struct io_uring_sqe *sqe;

	r->stop = true;
	if (r->cancelled || !r->busy)
		return;
	sqe = io_uring_get_sqe(r->lane->ring);
	if (!sqe)
		return;
	r->cancelled = true;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	sqe->user_data = CANCEL_DATA;
	r->busy++;
}

/* Waits for chunks and takes their results. False if the ring is broken, and no more will come. */
static bool reap(struct run *r)
{
	struct io_uring *ring = r->lane->ring;
	unsigned int head, seen = 0, again[DMABUF_RW_BOUNCE_MAX_DEPTH], nr = 0, i;
	struct io_uring_cqe *cqe;
	int ret = wait_for_chunk(r);

	if (ret == -ETIME) {
		/* The caller checks whether to go on. */
	} else if (ret == -EINTR || (ret >= 0 && !io_uring_cq_ready(ring))) {
		/* A call that has submitted something returns that, also after a signal. */
		r->interrupted = true;
	} else if (ret < 0 && r->busy > io_uring_sq_ready(ring)) {
		/* No memory for another entry now; those in the kernel will finish. */
		io_uring_wait_cqe(ring, &cqe);
	} else if (ret < 0) {
		r->lane->broken = true;
		if (dmabuf_rw_ring_is_forbidden(ret))
			dmabuf_rw_pool_without_rings();
		return false;
	}
	io_uring_for_each_cqe(ring, head, cqe) {
		seen++;
		/* Or liburing's own, for kernels that cannot wait with a timeout. */
		if (cqe->user_data >= r->b->depth && cqe->user_data != CANCEL_DATA)
			continue;
		r->busy--;
		if (cqe->user_data == CANCEL_DATA)
			continue;
		r->lane->window[cqe->user_data].busy = false;
		if (chunk_result(r, cqe->user_data, cqe->res))
			again[nr++] = cqe->user_data;
	}
	io_uring_cq_advance(ring, seen);
	for (i = 0; i < nr; i++)
		issue(r, again[i]);
	return true;
}

/*
 * Takes finished chunks off the window's front. Returns false if the transfer ends here, with the
 * errno in @err.
 */
static bool advance(struct run *r, struct dmabuf_rw_progress *p, int *err)
{
	while (r->nr) {
		const struct dmabuf_rw_chunk *c = &r->lane->window[r->first];
		uint32_t moved = chunk_moved(c);

		if (c->busy)
			return true;
		p->done += moved;
		p->bounced += moved;
		if (c->err || moved < c->len) {
			*err = c->err;
			return false;
		}
		r->first = (r->first + 1) % r->b->depth;
		r->nr--;
	}
	return true;
}

/* True if a chunk behind the front ends the transfer. */
static bool ended(const struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nr; i++) {
		const struct dmabuf_rw_chunk *c = &r->lane->window[(r->first + i) % r->b->depth];

		if (!c->busy && (c->err || chunk_moved(c) < c->len))
			return true;
	}
	return false;
}

/* Starts chunks until the window is full. */
static void fill_window(struct run *r)
{
	while (!r->stop && r->next < r->end && r->nr < r->b->depth) {
		begin_chunk(r);
		/* Without a ring the chunk is complete, and may have ended the transfer. */
		if (!r->lane->ring ||
		    r->lane->window[(r->first + r->nr - 1) % r->b->depth].err)
			break;
	}
}

/* Moves the bytes. Returns 0 or the errno that ended it; chunks may still be under way. */
static int run_window(struct run *r, struct dmabuf_rw_progress *p)
{
	bool going = true;
	int err = 0;

	while (going) {
		if (dmabuf_rw_is_cancelled(r->t))
			cancel_chunks(r);
		fill_window(r);
		if (r->busy && !reap(r))
			return ENOMEM;
		going = advance(r, p, &err);
		if (ended(r) || r->interrupted)
			r->stop = true;
		if (going && !r->nr && (r->stop || r->next == r->end))
			going = false;
	}
	if (p->done < r->end && (!err || err == ECANCELED) && dmabuf_rw_is_cancelled(r->t))
		return ECANCELED;
	if (!err && r->interrupted && !r->nr && p->done < r->end)
		return EINTR;
	return err;
}

/* Through one lane, at any offsets. */
static int run_one_lane(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
		    struct dmabuf_rw_progress *p, uint64_t end)
{
	struct run r = { .b = b, .t = t, .next = p->done, .end = end, .sync_fd = -1 };
	int err;

	r.lane = dmabuf_rw_lane_get(NULL, b->depth, b->chunk);
	if (!r.lane)
		return ENOMEM;
	err = run_window(&r, p);
	/* Nothing may touch the lane or the file after the return. */
	while (r.busy && !r.lane->broken)
		reap(&r);
	err = settle_all(&r, p, err);
	if (r.sync_fd >= 0)
		close(r.sync_fd);
	dmabuf_rw_lane_put(NULL, r.lane);
	return err;
}

/*
 * The same; if the process has entered a sandbox that forbids the ring, the rest goes without one.
 */
static int run_lane(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
		    struct dmabuf_rw_progress *p, uint64_t end)
{
	bool had_rings = dmabuf_rw_pool_has_rings();
	int err = run_one_lane(b, t, p, end);

	if (err == ENOMEM && had_rings && !dmabuf_rw_pool_has_rings())
		err = run_one_lane(b, t, p, end);
	return err;
}

/* Moves the bytes before @end that do not fill whole blocks, for a direct binding. */
static int write_edge(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
		      struct dmabuf_rw_progress *p, uint64_t end, uint64_t file_bytes)
{
	uint64_t last = ALIGN_DOWN(file_bytes, b->lba), stop;
	int err;

	for (;;) {
		err = dmabuf_rw_scratch_write(b->scratch, &b->view, t, p, end);
		if (err != ENXIO || !b->regular)
			break;
		stop = dmabuf_rw_bounce_data_after(b, t->file_off + p->done) - t->file_off;
		err = run_lane(b, t, p, MIN(stop, end));
		if (err || p->done == end)
			return err;
	}
	if (err != EDOM || !b->regular || t->file_off + end <= last)
		return err;
	err = 0;
	if (t->file_off + p->done < last)
		err = dmabuf_rw_scratch_write(b->scratch, &b->view, t, p, last - t->file_off);
	return err ? err : run_lane(b, t, p, end);
}

/* A write by a direct binding: within the file's size, leaving other bytes of an LBA alone. */
static int write_bound(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_progress *p, uint64_t end)
{
	uint64_t align = b->align ? b->align : 1, first, last, low, high, stop;
	int64_t bytes = dmabuf_rw_bounce_file_bytes(b);
	int err = 0;

	if (bytes < 0)
		return -bytes;
	if (t->file_off + p->done >= (uint64_t)bytes)
		return ENOSPC;
	stop = low = high = MIN(end, bytes - t->file_off);
	first = ALIGN_UP(t->file_off + p->done, align);
	last = ALIGN_DOWN(t->file_off + stop, align);
	if (b->direct_fd >= 0 && first < last) {
		low = first - t->file_off;
		high = last - t->file_off;
	}
	if (p->done < low)
		err = write_edge(b, t, p, low, bytes);
	if (!err && p->done == low && low < high)
		err = run_lane(b, t, p, high);
	if (!err && p->done == high && high < stop)
		err = write_edge(b, t, p, stop, bytes);
	return !err && p->done == stop && stop < end ? ENOSPC : err;
}

int dmabuf_rw_bounce_run(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_progress *p, uint64_t end)
{
	return b->scratch && t->op == DMABUF_RW_OP_WRITE ? write_bound(b, t, p, end) :
							   run_lane(b, t, p, end);
}

/* ---- the file ---------------------------------------------------------------------- */

/* The alignment of O_DIRECT for the file; 0: not supported. */
static uint32_t direct_align(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) ||
	    !(stx.stx_mask & STATX_DIOALIGN))
		return MIN_ALIGN;
	/* Lanes are laid out in powers of two. */
	if (!stx.stx_dio_offset_align ||
	    stx.stx_dio_offset_align & (stx.stx_dio_offset_align - 1))
		return 0;
	return stx.stx_dio_offset_align > MIN_ALIGN ? stx.stx_dio_offset_align : MIN_ALIGN;
}

/* Opens descriptors of our own, which leave the caller's position and flags alone. */
static int open_file(struct dmabuf_rw_bounce *b, int file_fd,
		     struct dmabuf_rw_error *error)
{
	int mode = fcntl(file_fd, F_GETFL), keep;
	bool reopened = false;
	struct stat st;

	if (mode < 0 || mode & O_PATH || fstat(file_fd, &st))
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EBADF,
				      DMABUF_RW_REASON_FILE_FD, 0);
	if (S_ISDIR(st.st_mode) || lseek(file_fd, 0, SEEK_CUR) < 0)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, ESPIPE,
				      DMABUF_RW_REASON_NOT_SEEKABLE, 0);
	b->regular = S_ISREG(st.st_mode);
	keep = mode & (O_ACCMODE | O_SYNC | O_DSYNC);
	/* Opening a file of another kind may have side effects. */
	if (b->regular || S_ISBLK(st.st_mode)) {
		b->plain_fd = dmabuf_rw_reopen(file_fd, keep);
		reopened = b->plain_fd >= 0;
		/* Readahead would cache more than is dropped again. */
		if (reopened)
			posix_fadvise(b->plain_fd, 0, 0, POSIX_FADV_RANDOM);
		b->align = direct_align(file_fd);
		if (b->align && b->align <= b->chunk)
			b->direct_fd = dmabuf_rw_reopen(file_fd, keep | O_DIRECT);
	}
	if (b->plain_fd < 0)
		b->plain_fd = fcntl(file_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (b->plain_fd < 0)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, errno, 0, 0);

	b->can_read = b->view.writable && (mode & O_ACCMODE) != O_WRONLY;
	b->can_write = b->view.readable && (mode & O_ACCMODE) != O_RDONLY;
	/* With O_APPEND pwrite() ignores the offset. */
	if (!reopened && mode & O_APPEND)
		b->can_write = false;
	if (!b->can_read && !b->can_write)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EACCES,
				      DMABUF_RW_REASON_ACCESS, 0);
	return 0;
}

int64_t dmabuf_rw_bounce_file_bytes(const struct dmabuf_rw_bounce *bounce)
{
	uint64_t bytes;
	struct stat st;

	if (fstat(bounce->plain_fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(bounce->plain_fd, BLKGETSIZE64, &bytes))
			return -errno;
		return bytes;
	}
	return st.st_size;
}

uint64_t dmabuf_rw_bounce_data_after(const struct dmabuf_rw_bounce *bounce,
				     uint64_t file_off)
{
	off_t data = -1;

	/* Not by a duplicate of the caller's descriptor, as this moves the position. */
	if (bounce->direct_fd >= 0)
		data = lseek(bounce->direct_fd, file_off, SEEK_DATA);
	if (data < 0 && errno == ENXIO && bounce->direct_fd >= 0)
		return INT64_MAX;
	return data > (off_t)file_off ? (uint64_t)data :
		ALIGN_DOWN(file_off + BLIND_STEP, MIN_ALIGN);
}

int dmabuf_rw_bounce_create(const struct dmabuf_rw_bounce_params *params,
			    struct dmabuf_rw_error *error,
			    struct dmabuf_rw_bounce **bounce)
{
	struct dmabuf_rw_bounce *b = calloc(1, sizeof(*b));
	int ret;

	if (!b || dmabuf_rw_pool_hold()) {
		free(b);
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, ENOMEM, 0, 0);
	}
	b->depth = params->depth;
	b->chunk = params->chunk;
	b->plain_fd = -1;
	b->direct_fd = -1;

	ret = dmabuf_rw_view_open(&b->view, params->dmabuf_fd, params->copy,
				  params->copy_arg);
	if (ret == -EBADF)
		ret = dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EBADF,
				     DMABUF_RW_REASON_DMABUF_FD, 0);
	else if (ret == -EBADFD)
		ret = dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EBADFD,
				     DMABUF_RW_REASON_NOT_DMABUF, 0);
	else if (ret == -EMFILE || ret == -ENFILE)
		ret = dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, -ret, 0, 0);
	else if (ret)
		ret = dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				     DMABUF_RW_REASON_NO_CPU_ACCESS, -ret);
	if (ret)
		goto free_bounce;
	ret = open_file(b, params->file_fd, error);
	if (ret) {
		dmabuf_rw_bounce_destroy(b);
		return ret;
	}
	*bounce = b;
	return 0;

free_bounce:
	dmabuf_rw_pool_drop();
	free(b);
	return ret;
}

void dmabuf_rw_bounce_destroy(struct dmabuf_rw_bounce *bounce)
{
	if (!bounce)
		return;
	dmabuf_rw_scratch_destroy(bounce->scratch);
	if (bounce->direct_fd >= 0)
		close(bounce->direct_fd);
	if (bounce->plain_fd >= 0)
		close(bounce->plain_fd);
	dmabuf_rw_view_close(&bounce->view);
	dmabuf_rw_pool_drop();
	free(bounce);
}
