// SPDX-License-Identifier: MIT
/*
 * bounce.c - transfers through memory, for what the drive cannot do by itself.
 *
 * Vocabulary
 *   pool		memory of our own, locked down by being registered with an io_uring
 *   lane		one pool with its io_uring; serves one transfer at a time
 *   chunk	one read or write of the file, and its place in the pool
 *   window	the chunks of a transfer that are under way, in the file's order
 *
 * A transfer takes a lane, keeps up to "depth" chunks in flight, and copies between pool
 * and buffer while the others are under way. Chunks finish in any order; bytes count
 * when all before them have arrived, so the count has no gap and the error that is
 * reported is the one at the lowest offset.
 *
 * Reads are O_DIRECT whatever the offsets are: a chunk is widened to what O_DIRECT takes,
 * and only the bytes asked for are copied. Writes are O_DIRECT but for the bytes before
 * the first and after the last whole block, which go through the page cache; blocks are
 * at least a page, so no page of the cache has bytes that O_DIRECT writes. Where the file
 * refuses O_DIRECT everything goes through the page cache. What is bound has transfers that
 * know LBAs and not pages, so there the odd bytes go by way of scratch memory (scratch.c).
 *
 * A read is complete when it is full or a read of its rest gave nothing: a short read by
 * itself does not mean the end of the file.
 *
 * The page cache is left no fuller than it was found (cache.c). What has to go through it
 * goes in chunks of whole pages, without read-ahead, and a chunk is so short that before it
 * either all of its pages were cached or none was. Pages that were written are waited for
 * when their place in the window is needed again, or the transfer ends.
 *
 * Thread-safety: any number of transfers at once on one struct dmabuf_rw_bounce. Its
 * lock guards the list of idle lanes and is never held during I/O.
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

/* What O_DIRECT is aligned to at least: a page, see above. */
#define MIN_ALIGN	4096
/* Lanes kept for the next transfer; more are made while more threads transfer. */
#define MAX_IDLE	8
/* How far to look for data again where the file system does not say it. */
#define BLIND_STEP	(UINT64_C(1) << 20)

#define ALIGN_DOWN(x, a)	((x) / (a) * (a))
#define ALIGN_UP(x, a)		ALIGN_DOWN((x) + (a) - 1, a)

struct chunk {
	uint64_t pos;		/* of its first byte in the transfer */
	uint32_t len;		/* bytes of the transfer in it */
	uint32_t head;		/* bytes in front of them, read for alignment */
	uint32_t want;		/* bytes to move between file and pool: all of it */
	uint32_t got;		/* of these, moved */
	bool direct;
	bool busy;		/* the kernel has it */
	bool asked;		/* @cached is set */
	struct dmabuf_rw_cached cached;	/* what it takes of the page cache */
	int err;
};

struct dmabuf_rw_lane {
	struct dmabuf_rw_lane *next;
	struct io_uring ring;
	bool has_ring;		/* else chunk after chunk, by system calls */
	bool registered;	/* the pool, as the ring's buffer 0 */
	bool broken;		/* not to be used again */
	bool probed;		/* @dontcache is set */
	bool dontcache;		/* the file knows RWF_DONTCACHE */
	int sync_fd;		/* the file, opened anew: what is lost is told to each opening
				 * once, and another lane must not take it away. -1: none */
	char *pool;
	size_t pool_bytes;
	struct chunk window[DMABUF_RW_BOUNCE_MAX_DEPTH];
};

/* One bounced transfer under way. */
struct run {
	const struct dmabuf_rw_bounce *b;
	struct dmabuf_rw_lane *lane;
	const struct dmabuf_rw_transfer *t;
	uint64_t next;		/* first byte that no chunk has */
	uint64_t end;
	unsigned int first, nr;	/* the window */
	unsigned int busy;
	bool stop;		/* begin no more chunks */
	bool interrupted;
	uint64_t lost;		/* first byte that was written, but not back to the drive */
	int lost_err;		/* why; 0: there is none */
};

/* ---- lanes ----------------------------------------------------------------------- */

static int reopen(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static void lane_free(struct dmabuf_rw_lane *lane)
{
	if (lane->has_ring)
		io_uring_queue_exit(&lane->ring);
	if (lane->sync_fd >= 0)
		close(lane->sync_fd);
	munmap(lane->pool, lane->pool_bytes);
	free(lane);
}

static struct dmabuf_rw_lane *lane_new(const struct dmabuf_rw_bounce *b)
{
	struct io_uring_params params = { 0 };
	struct dmabuf_rw_lane *lane = calloc(1, sizeof(*lane));
	struct iovec pool;

	if (!lane)
		return NULL;
	lane->pool_bytes = (size_t)b->depth * b->chunk;
	lane->pool = mmap(NULL, lane->pool_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lane->pool == MAP_FAILED) {
		free(lane);
		return NULL;
	}
	lane->sync_fd = b->regular && b->can_write ? reopen(b->plain_fd, O_WRONLY) : -1;
	/* Without io_uring, or over the limit of locked memory, all works, but slower. */
	lane->has_ring = !io_uring_queue_init_params(b->depth, &lane->ring, &params);
	if (lane->has_ring) {
		pool.iov_base = lane->pool;
		pool.iov_len = lane->pool_bytes;
		lane->registered = !io_uring_register_buffers(&lane->ring, &pool, 1);
	}
	return lane;
}

static struct dmabuf_rw_lane *lane_get(struct dmabuf_rw_bounce *b)
{
	struct dmabuf_rw_lane *lane;

	pthread_mutex_lock(&b->lock);
	lane = b->idle;
	if (lane) {
		b->idle = lane->next;
		b->nr_idle--;
	}
	pthread_mutex_unlock(&b->lock);
	return lane ? lane : lane_new(b);
}

static void lane_put(struct dmabuf_rw_bounce *b, struct dmabuf_rw_lane *lane)
{
	pthread_mutex_lock(&b->lock);
	if (b->nr_idle < MAX_IDLE && !lane->broken) {
		lane->next = b->idle;
		b->idle = lane;
		b->nr_idle++;
		lane = NULL;
	}
	pthread_mutex_unlock(&b->lock);
	if (lane)
		lane_free(lane);
}

/* ---- the page cache ---------------------------------------------------------------- */

static bool is_read(const struct run *r)
{
	return r->t->op == DMABUF_RW_OP_READ;
}

/* True if the kernel itself sees to it that a read leaves nothing there. */
static bool kernel_drops(const struct run *r)
{
	struct dmabuf_rw_lane *lane = r->lane;

	if (is_read(r) && !lane->probed) {
		lane->dontcache = dmabuf_rw_cache_dontcache(r->b->plain_fd);
		lane->probed = true;
	}
	return is_read(r) && lane->dontcache;
}

/* Returns how many of the pages that a chunk takes are cached now; -1: not known. */
static int64_t ask_cache(const struct run *r, struct chunk *c, uint64_t off, uint32_t len)
{
	c->asked = true;
	return dmabuf_rw_cache_ask(r->b->plain_fd, r->t->op, off, len, &c->cached);
}

/* Lays out a chunk at @at of the file that goes through the page cache. */
static void plan_cached(const struct run *r, struct chunk *c, uint64_t at, uint64_t left)
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
 * Waits until what a chunk wrote is on the drive. The kernel tells an open file once that
 * something was lost, and not what, so it may have been any chunk that is still waited for.
 */
static void settle(struct run *r, struct chunk *c)
{
	uint64_t lowest = c->pos;
	unsigned int i;
	int err, fd = r->lane->sync_fd >= 0 ? r->lane->sync_fd : r->b->plain_fd;

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

/* The same for all, and takes back what was counted but has not got there. */
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
	return r->lane->pool + (size_t)index * r->b->chunk;
}

/* Lays out the chunk that begins at r->next. */
static struct chunk plan_chunk(const struct run *r)
{
	const struct dmabuf_rw_bounce *b = r->b;
	uint64_t at = r->t->file_off + r->next, left = r->end - r->next;
	struct chunk c = { .pos = r->next, .direct = b->direct_fd >= 0 };

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
static uint32_t chunk_moved(const struct chunk *c)
{
	if (c->got <= c->head)
		return 0;
	return MIN(c->got - c->head, c->len);
}

/* What the kernel is asked for: the rest of a chunk. */
static int chunk_fd(const struct run *r, struct chunk *c, uint64_t *off, uint32_t *len,
		    int *rw_flags)
{
	*off = r->t->file_off + c->pos - c->head + c->got;
	*len = c->want - c->got;
	*rw_flags = r->t->flags & DMABUF_RW_IO_FUA ? RWF_DSYNC : 0;
	if (c->direct && *off % r->b->align == 0)
		return r->b->direct_fd;
	/* Behind an odd end: only what was asked for. */
	*len = c->head + c->len - c->got;
	if (kernel_drops(r))
		*rw_flags |= RWF_DONTCACHE;
	else if (!c->asked)
		ask_cache(r, c, *off, *len);
	return r->b->plain_fd;
}

/*
 * Takes in what the kernel said; true if the chunk needs another round. When it does
 * not, and this is a read, its bytes go to the buffer.
 */
static bool chunk_result(const struct run *r, unsigned int index, int res)
{
	struct chunk *c = &r->lane->window[index];

	if (res == -EINVAL && c->direct && c->got % r->b->align == 0 &&
	    r->b->plain_fd >= 0) {
		/* The file system takes O_DIRECT, but not this. */
		c->direct = false;
		return true;
	}
	if (res == -EINTR || res == -EAGAIN)
		return true;
	if (res < 0) {
		c->err = -res;
	} else if (res == 0) {
		if (!is_read(r))
			c->err = EIO;
	} else {
		c->got += res;
		if (chunk_moved(c) < c->len)
			return true;
	}
	if (is_read(r)) {
		int ret = dmabuf_rw_view_copy(&r->b->view, DMABUF_RW_COPY_TO_BUFFER,
					      r->t->pieces, r->t->nr, c->pos,
					      c->pos + chunk_moved(c),
					      chunk_memory(r, index) + c->head);

		if (ret) {
			/* What of it arrived is not known. */
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

/* Gives a chunk's rest to the kernel; without a ring it is done when this returns. */
static void issue(struct run *r, unsigned int index)
{
	struct dmabuf_rw_lane *lane = r->lane;
	struct chunk *c = &lane->window[index];
	struct io_uring_sqe *sqe;
	int fd, rw_flags;
	uint64_t off;
	uint32_t len;
	char *mem;

	if (!lane->has_ring) {
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
	sqe = io_uring_get_sqe(&lane->ring);
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

/* Begins the next chunk of the transfer. */
static void begin_chunk(struct run *r)
{
	unsigned int index = (r->first + r->nr) % r->b->depth;
	struct chunk *c = &r->lane->window[index];
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

/*
 * Waits for chunks and takes them in. False if no more will come because the ring is
 * out of order.
 */
static bool reap(struct run *r)
{
	struct io_uring *ring = &r->lane->ring;
	unsigned int head, seen = 0, again[DMABUF_RW_BOUNCE_MAX_DEPTH], nr = 0, i;
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait(ring, 1);

	/* Where something was submitted, a signal shows only in that nothing has come. */
	if (ret == -EINTR || (ret >= 0 && !io_uring_cq_ready(ring))) {
		r->interrupted = true;
	} else if (ret < 0 && r->busy > io_uring_sq_ready(ring)) {
		/* No memory for another one now; but those that it has will finish. */
		io_uring_wait_cqe(ring, &cqe);
	} else if (ret < 0) {
		r->lane->broken = true;
		return false;
	}
	io_uring_for_each_cqe(ring, head, cqe) {
		seen++;
		r->lane->window[cqe->user_data].busy = false;
		r->busy--;
		if (chunk_result(r, cqe->user_data, cqe->res))
			again[nr++] = cqe->user_data;
	}
	io_uring_cq_advance(ring, seen);
	for (i = 0; i < nr; i++)
		issue(r, again[i]);
	return true;
}

/*
 * Takes finished chunks off the window's front. Returns false when the transfer ends
 * here, with the errno in @err.
 */
static bool advance(struct run *r, struct dmabuf_rw_progress *p, int *err)
{
	while (r->nr) {
		const struct chunk *c = &r->lane->window[r->first];
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

/* True if some chunk behind the front has come to an end already. */
static bool ended(const struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nr; i++) {
		const struct chunk *c = &r->lane->window[(r->first + i) % r->b->depth];

		if (!c->busy && (c->err || chunk_moved(c) < c->len))
			return true;
	}
	return false;
}

/* Through the pool, whatever the offsets are. */
static int run_pool(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
		    struct dmabuf_rw_progress *p, uint64_t end)
{
	struct run r = { .b = b, .t = t, .next = p->done, .end = end };
	bool going = true;
	int err = 0;

	r.lane = lane_get(b);
	if (!r.lane)
		return ENOMEM;

	while (going) {
		while (!r.stop && r.next < end && r.nr < b->depth) {
			begin_chunk(&r);
			/* What has no ring is done, and may have ended the transfer. */
			if (!r.lane->has_ring || r.lane->window[(r.first + r.nr - 1) %
								b->depth].err)
				break;
		}
		if (r.busy && !reap(&r)) {
			err = ENOMEM;
			break;
		}
		going = advance(&r, p, &err);
		if (ended(&r) || r.interrupted)
			r.stop = true;
		if (going && !r.nr && (r.stop || r.next == end))
			going = false;
	}
	/* Nothing may touch the pool, or the file, when this returns. */
	while (r.busy && !r.lane->broken)
		reap(&r);
	if (!err && r.interrupted && !r.nr && p->done < end)
		err = EINTR;
	err = settle_all(&r, p, err);
	lane_put(b, r.lane);
	return err;
}

/*
 * A write to what is bound. Its odd ends go by way of scratch memory, and so does all of
 * it where there is no other way: a regular file takes no pwrite() while it is bound.
 */
static int write_bound(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_progress *p, uint64_t end)
{
	uint64_t align = b->align ? b->align : 1;
	uint64_t first = ALIGN_DOWN(t->file_off + p->done + align - 1, align);
	uint64_t last = ALIGN_DOWN(t->file_off + end, align), low = end, high = end;
	int err = 0;

	if (!b->pinned && b->direct_fd >= 0 && first < last) {
		low = first - t->file_off;
		high = last - t->file_off;
	}
	if (p->done < low)
		err = -dmabuf_rw_scratch_write(b->scratch, &b->view, t, p, low);
	if (!err && p->done == low && low < high)
		err = run_pool(b, t, p, high);
	if (!err && p->done == high && high < end)
		err = -dmabuf_rw_scratch_write(b->scratch, &b->view, t, p, end);
	return err;
}

int dmabuf_rw_bounce_run(struct dmabuf_rw_bounce *b, const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_progress *p, uint64_t end)
{
	return b->scratch && t->op == DMABUF_RW_OP_WRITE ? write_bound(b, t, p, end) :
							   run_pool(b, t, p, end);
}

/* ---- the file ---------------------------------------------------------------------- */

/* What the file takes with O_DIRECT; 0: it does not. */
static uint32_t direct_align(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) ||
	    !(stx.stx_mask & STATX_DIOALIGN))
		return MIN_ALIGN;
	/* Pools are laid out in powers of two. */
	if (!stx.stx_dio_offset_align ||
	    stx.stx_dio_offset_align & (stx.stx_dio_offset_align - 1))
		return 0;
	return stx.stx_dio_offset_align > MIN_ALIGN ? stx.stx_dio_offset_align : MIN_ALIGN;
}

/* The file by descriptors of our own, without touching the caller's position and flags. */
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
	/* Opening another kind of file may have effects of its own. */
	if (b->regular || S_ISBLK(st.st_mode)) {
		b->plain_fd = reopen(file_fd, keep);
		reopened = b->plain_fd >= 0;
		/* Read-ahead would bring in more than is dropped again. */
		if (reopened)
			posix_fadvise(b->plain_fd, 0, 0, POSIX_FADV_RANDOM);
		b->align = direct_align(file_fd);
		if (b->align && b->align <= b->chunk)
			b->direct_fd = reopen(file_fd, keep | O_DIRECT);
	}
	if (b->plain_fd < 0)
		b->plain_fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
	if (b->plain_fd < 0)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, errno, 0, 0);

	b->can_read = b->view.writable && (mode & O_ACCMODE) != O_WRONLY;
	b->can_write = (mode & O_ACCMODE) != O_RDONLY;
	/* With O_APPEND pwrite() writes elsewhere. */
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

	/* Not through a duplicate of the caller's descriptor, whose position this moves. */
	if (bounce->direct_fd >= 0)
		data = lseek(bounce->direct_fd, file_off, SEEK_DATA);
	if (data < 0 && errno == ENXIO && bounce->direct_fd >= 0)
		return INT64_MAX;
	return data > (off_t)file_off ? (uint64_t)data :
		ALIGN_DOWN(file_off + BLIND_STEP, MIN_ALIGN);
}

int dmabuf_rw_bounce_check(const struct dmabuf_rw_bounce *bounce,
			   const struct dmabuf_rw_transfer *t)
{
	uint64_t end;
	unsigned int i;

	if (t->flags & ~DMABUF_RW_IO_FLAGS || (t->flags && t->op == DMABUF_RW_OP_READ))
		return EINVAL;
	if (!(t->op == DMABUF_RW_OP_READ ? bounce->can_read : bounce->can_write))
		return EACCES;
	if (__builtin_add_overflow(t->file_off, t->len, &end) || end > INT64_MAX)
		return EOVERFLOW;
	for (i = 0; i < t->nr; i++) {
		if (__builtin_add_overflow(t->pieces[i].buf_off, t->pieces[i].len, &end) ||
		    end > INT64_MAX)
			return EOVERFLOW;
		if (end > bounce->view.bytes)
			return ERANGE;
	}
	return 0;
}

int dmabuf_rw_bounce_create(const struct dmabuf_rw_bounce_params *params,
			    struct dmabuf_rw_error *error,
			    struct dmabuf_rw_bounce **bounce)
{
	struct dmabuf_rw_bounce *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, ENOMEM, 0, 0);
	b->depth = params->depth;
	b->chunk = params->chunk;
	b->plain_fd = -1;
	b->direct_fd = -1;
	pthread_mutex_init(&b->lock, NULL);

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
	pthread_mutex_destroy(&b->lock);
	free(b);
	return ret;
}

void dmabuf_rw_bounce_destroy(struct dmabuf_rw_bounce *bounce)
{
	struct dmabuf_rw_lane *lane;

	if (!bounce)
		return;
	dmabuf_rw_scratch_destroy(bounce->scratch);
	while ((lane = bounce->idle)) {
		bounce->idle = lane->next;
		lane_free(lane);
	}
	if (bounce->direct_fd >= 0)
		close(bounce->direct_fd);
	if (bounce->plain_fd >= 0)
		close(bounce->plain_fd);
	dmabuf_rw_view_close(&bounce->view);
	pthread_mutex_destroy(&bounce->lock);
	free(bounce);
}
