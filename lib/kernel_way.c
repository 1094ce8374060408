// SPDX-License-Identifier: MIT
/*
 * kernel_way.c - kernel bindings: transfers by the kernel's own interface (uring_dmabuf.h).
 *
 * Whether the interface exists and takes a pair is found out by trying. Only after a refusal does
 * dmabuf_rw_uring_probe() check whether the kernel has it at all.
 *
 * A transfer reads or writes the file by a ring in which the buffer is registered, and which it has
 * to itself (pool.c). It is cut into entries of at most DMABUF_RW_KERNEL_ENTRY bytes. Up to
 * DMABUF_RW_KERNEL_DEPTH of them are a round: they are in flight together, and the next round
 * starts when all have ended. So a signal or a cancellation takes effect soon, and the kernel has
 * no entry left when the call returns.
 *
 * An entry that ends with EAGAIN, because the exporter is moving the buffer, is issued again
 * unchanged, for PATIENCE_NS at most and until a signal arrives.
 *
 * Errors have the same meaning as the module's. So the library itself refuses transfers that the kernel
 * would refuse with other errnos, and the rest is translated().
 *
 * Forced durability is a flush after the write (fdatasync(2)), since it is not known whether the
 * interface passes FUA on. fdatasync() reports lost data once for each opening of a file. The
 * flush has an opening of its own, so that the caller's still gets the report.
 *
 * Thread-safety: an object does not change except its pool and its references. In a child process
 * its descriptors still work, and its pool starts empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>
#include <liburing.h>

#include "private.h"
#include "uring_dmabuf.h"

#define NS_PER_S	INT64_C(1000000000)
/* Moving a large buffer of a busy device may take seconds. */
#define PATIENCE_NS	(10 * NS_PER_S)
/* How often an entry is issued again without a pause. */
#define QUICK_TRIES	8
#define PAUSE_NS	1000000
/* Rings of one binding; each has a mapping of the buffer. */
#define MAX_LANES	8

/* ---- whether the kernel has it ------------------------------------------------------- */

DMABUF_RW_API int dmabuf_rw_has_kernel_way(struct dmabuf_rw_error *error)
{
	DMABUF_RW_NO_CANCEL;
	int ret = dmabuf_rw_uring_probe();

	if (error)
		*error = (struct dmabuf_rw_error){ 0 };
	if (ret)
		dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
			       DMABUF_RW_REASON_NO_KERNEL_WAY, -ret);
	return !ret;
}

/* The bind error for a pair that the kernel has refused with @err. */
static int refuse(const struct dmabuf_rw_kernel *k, int err, struct dmabuf_rw_error *error)
{
	int ret;

	if (err == ENOMEM || err == EMFILE || err == ENFILE)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, err, 0, 0);
	ret = dmabuf_rw_uring_probe();
	if (ret)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				      DMABUF_RW_REASON_NO_KERNEL_WAY, -ret);
	if (err == EINVAL && k->buf_bytes > URING_DMABUF_MAX_BYTES)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EFBIG,
				      DMABUF_RW_REASON_KERNEL_SIZE, err);
	return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
			      DMABUF_RW_REASON_KERNEL_REFUSED, err);
}

/* ---- kernel bindings ----------------------------------------------------------------- */

static int open_buffer(struct dmabuf_rw_kernel *k, int dmabuf_fd, struct dmabuf_rw_error *error)
{
	int ret = dmabuf_rw_dmabuf_bytes(dmabuf_fd, &k->buf_bytes);

	if (ret)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, -ret,
				      ret == -EBADF ? DMABUF_RW_REASON_DMABUF_FD :
						      DMABUF_RW_REASON_NOT_DMABUF, 0);
	k->pool.dmabuf_fd = fcntl(dmabuf_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return k->pool.dmabuf_fd < 0 ? dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, errno, 0, 0) :
				       0;
}

/* Bytes of an LBA of the disk now; 0: not a disk. */
static uint32_t lba_of(int file_fd)
{
	int lba;

	return ioctl(file_fd, BLKSSZGET, &lba) || lba < 0 ? 0 : lba;
}

/* Refuses regular files: no kernel takes them, and they would need other rules. */
static int open_file(struct dmabuf_rw_kernel *k, int file_fd, struct dmabuf_rw_error *error)
{
	int mode = fcntl(file_fd, F_GETFL);
	struct stat st;

	if (mode < 0 || mode & O_PATH || fstat(file_fd, &st))
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EBADF,
				      DMABUF_RW_REASON_FILE_FD, 0);
	k->lba = lba_of(file_fd);
	if (!k->lba)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				      DMABUF_RW_REASON_KERNEL_REFUSED, ENOTBLK);
	/*
	 * Open the file anew only if needed, as closing a disk that was open for writing wakes
	 * udev. A duplicate shares the flags of the caller's descriptor: if F_SETFL later clears
	 * O_DIRECT or sets O_APPEND, entries fail or write elsewhere.
	 */
	if (mode & O_DIRECT && !(mode & O_APPEND))
		k->pool.file_fd = fcntl(file_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	else
		k->pool.file_fd = dmabuf_rw_reopen(file_fd, O_DIRECT |
						   (mode & (O_ACCMODE | O_SYNC | O_DSYNC)));
	if (k->pool.file_fd < 0 && (errno == EMFILE || errno == ENFILE))
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, errno, 0, 0);
	if (k->pool.file_fd < 0)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				      DMABUF_RW_REASON_KERNEL_REFUSED, errno);
	k->can[DMABUF_RW_OP_READ] = (mode & O_ACCMODE) != O_WRONLY;
	k->can[DMABUF_RW_OP_WRITE] = (mode & O_ACCMODE) != O_RDONLY;
	return 0;
}

static int check_rights(struct dmabuf_rw_kernel *k, int dmabuf_fd, struct dmabuf_rw_error *error)
{
	int mode = fcntl(dmabuf_fd, F_GETFL) & O_ACCMODE;

	k->can[DMABUF_RW_OP_READ] &= mode != O_RDONLY;
	k->can[DMABUF_RW_OP_WRITE] &= mode != O_WRONLY;
	if (k->can[DMABUF_RW_OP_READ] || k->can[DMABUF_RW_OP_WRITE])
		return 0;
	return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, EACCES, DMABUF_RW_REASON_ACCESS, 0);
}

int dmabuf_rw_kernel_create(int dmabuf_fd, int file_fd, struct dmabuf_rw_error *error,
			    struct dmabuf_rw_kernel **kernel)
{
	struct dmabuf_rw_kernel *k = calloc(1, sizeof(*k));
	struct dmabuf_rw_lane *lane;
	int ret;

	if (!k || !dmabuf_rw_process()) {
		free(k);
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, ENOMEM, 0, 0);
	}
	k->refs = 1;
	k->pool.most = MAX_LANES;
	k->pool.dmabuf_fd = k->pool.file_fd = k->flush_fd = -1;
	ret = open_buffer(k, dmabuf_fd, error);
	if (!ret)
		ret = open_file(k, file_fd, error);
	if (!ret)
		ret = check_rights(k, dmabuf_fd, error);
	if (!ret) {
		lane = dmabuf_rw_lane_get(&k->pool, DMABUF_RW_KERNEL_DEPTH, 0);
		if (lane)
			dmabuf_rw_lane_put(&k->pool, lane);
		else
			ret = refuse(k, errno, error);
	}
	if (ret)
		dmabuf_rw_kernel_destroy(k);
	else
		*kernel = k;
	return ret;
}

void dmabuf_rw_kernel_destroy(struct dmabuf_rw_kernel *k)
{
	if (!k)
		return;
	dmabuf_rw_pool_end(&k->pool);
	if (k->pool.dmabuf_fd >= 0)
		close(k->pool.dmabuf_fd);
	if (k->pool.file_fd >= 0)
		close(k->pool.file_fd);
	if (k->flush_fd >= 0)
		close(k->flush_fd);
	k->dead = true;
	dmabuf_rw_kernel_put(k);
}

void dmabuf_rw_kernel_put(struct dmabuf_rw_kernel *k)
{
	if (atomic_fetch_sub(&k->refs, 1) == 1)
		free(k);
}

DMABUF_RW_API int dmabuf_rw_binding_register(const struct dmabuf_rw_binding *binding, int ring_fd,
					     unsigned int slot)
{
	if (binding->kernel)
		return dmabuf_rw_uring_register(ring_fd, slot, binding->kernel->pool.dmabuf_fd,
						binding->kernel->pool.file_fd);
	return binding->fd < 0 ? -EOPNOTSUPP : 0;
}

int64_t dmabuf_rw_kernel_file_bytes(const struct dmabuf_rw_kernel *k)
{
	uint64_t bytes;

	return ioctl(k->pool.file_fd, BLKGETSIZE64, &bytes) ? -errno : (int64_t)bytes;
}

/* ---- entries ----------------------------------------------------------------------- */

/* Translates the result @res of an entry into the module's. */
static int64_t translated(const struct dmabuf_rw_kernel *k, const struct dmabuf_rw_kernel_io *io,
			  int64_t res)
{
	switch (res) {
	case -EFAULT:
		return -ERANGE;
	case -EINVAL:
		if (lba_of(k->pool.file_fd) != k->lba)
			return -EMEDIUMTYPE;
		/* Everything else that the kernel checks has been checked here. */
		return io->buf_off % k->lba ? -EDOM : -EREMOTEIO;
	case -EAGAIN:
		return -EREMOTEIO;
	case -EREMOTEIO:	/* BLK_STS_TARGET */
	case -ETIME:		/* BLK_STS_DURATION_LIMIT */
	case -EIO:
		/* A removed disk has no capacity. */
		return dmabuf_rw_kernel_file_bytes(k) ? -EIO : -ENODEV;
	default:
		return res;
	}
}

/*
 * The errno of a transfer for which no ring could be made or entered: a resource has run out, a
 * filter or a setting forbids it, or a signal arrived. Any other errno is the exporter's, as the
 * kernel took the pair at bind.
 */
static int ring_errno(int err)
{
	switch (err) {
	case EINTR:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EPERM:
	case EACCES:
	case ENOSYS:
		return err;
	default:
		return EREMOTEIO;
	}
}

/* The kernel has not taken the entry, so there is no result. */
#define UNTAKEN	INT64_MIN

/* A round under way. */
struct round {
	struct dmabuf_rw_kernel *k;
	struct dmabuf_rw_lane *lane;
	uint32_t op;
	struct dmabuf_rw_kernel_io *ios;
	unsigned int busy;	/* entries that have not ended */
	int untaken;		/* errno of entries that the kernel has not taken */
	bool interrupted;
	bool pause;		/* pause before the next submission */
	int64_t give_up;	/* time when EAGAIN becomes final; 0: none so far */
};

static void issue(struct round *r, unsigned int i)
{
	/* The ring has room for all entries. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(r->lane->ring);
	const struct dmabuf_rw_kernel_io *io = &r->ios[i];

	dmabuf_rw_kernel_fill_sqe(sqe, r->k, r->op, 0, io->file_off, io->buf_off, io->len);
	sqe->user_data = i;
}

/* Whether to issue an entry again that has ended with EAGAIN. */
static bool is_patient(struct round *r)
{
	struct timespec ts;
	int64_t now;

	if (r->interrupted)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * NS_PER_S + ts.tv_nsec;
	if (!r->give_up)
		r->give_up = now + PATIENCE_NS;
	return now < r->give_up;
}

static void take_result(struct round *r, unsigned int i, int res)
{
	struct dmabuf_rw_kernel_io *io = &r->ios[i];

	if (res == -EAGAIN && is_patient(r)) {
		r->pause |= ++io->tries > QUICK_TRIES;
		issue(r, i);
		return;
	}
	r->busy--;
	if (res == -EAGAIN && r->interrupted)
		res = -EINTR;
	io->res = res > 0 && (uint32_t)res > io->len ? -EPROTO : translated(r->k, io, res);
}

/* Submits, waits, and takes results. False if the ring is unusable, and no more will come. */
static bool reap(struct round *r)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct io_uring *ring = r->lane->ring;
	int ret = io_uring_submit_and_wait(ring, 1);
	struct io_uring_cqe *cqe;

	if (ret == -EINTR || (ret >= 0 && !io_uring_cq_ready(ring))) {
		/* A call that has submitted something returns that, also after a signal. */
		r->interrupted = true;
	} else if (ret < 0 && r->busy > io_uring_sq_ready(ring)) {
		/* The kernel has no memory for another entry now; those it has will finish. */
		io_uring_wait_cqe(ring, &cqe);
	} else if (ret < 0) {
		r->lane->broken = true;
		/* EAGAIN of the call means no memory. */
		r->untaken = ret == -EAGAIN ? ENOMEM : ring_errno(-ret);
		return false;
	}
	while (io_uring_cq_ready(ring)) {
		uint64_t i;
		int res;

		io_uring_peek_cqe(ring, &cqe);
		i = cqe->user_data;
		res = cqe->res;
		io_uring_cqe_seen(ring, cqe);
		take_result(r, i, res);
	}
	if (r->pause && nanosleep(&pause, NULL))
		r->interrupted = true;
	r->pause = false;
	return true;
}

int dmabuf_rw_kernel_move(struct dmabuf_rw_kernel *k, uint32_t op,
			  struct dmabuf_rw_kernel_io *ios, unsigned int nr)
{
	struct round r = { .k = k, .op = op, .ios = ios, .busy = nr };
	unsigned int i;

	r.lane = dmabuf_rw_lane_get(&k->pool, DMABUF_RW_KERNEL_DEPTH, 0);
	if (!r.lane) {
		int err = ring_errno(errno);

		for (i = 0; i < nr; i++)
			ios[i].res = -err;
		return err;
	}
	for (i = 0; i < nr; i++) {
		ios[i].tries = 0;
		ios[i].res = UNTAKEN;
		issue(&r, i);
	}
	while (r.busy && reap(&r))
		;
	for (i = 0; i < nr && r.busy; i++)
		if (ios[i].res == UNTAKEN)
			ios[i].res = -r.untaken;
	dmabuf_rw_lane_put(&k->pool, r.lane);
	return r.interrupted ? EINTR : 0;
}

/* ---- transfers ---------------------------------------------------------------------- */

bool dmabuf_rw_kernel_takes(const struct dmabuf_rw_kernel *k, const struct dmabuf_rw_transfer *t)
{
	return t->plain && !t->flags && t->len && t->file_off % k->lba == 0 &&
	       t->len % k->lba == 0 && t->pieces[0].buf_off % DMABUF_RW_KERNEL_ALIGN == 0;
}

/* Whether the pieces of this part are whole LBAs, at addresses that a drive accepts. */
static bool is_aligned(const struct dmabuf_rw_kernel *k, const struct dmabuf_rw_transfer *t,
		       uint64_t pos, uint64_t end)
{
	uint64_t at = 0, low, high;
	unsigned int i;

	for (i = 0; i < t->nr; at += t->pieces[i++].len) {
		low = MAX(at, pos);
		high = MIN(at + t->pieces[i].len, end);
		if (low < high && ((t->file_off + low) % k->lba || (high - low) % k->lba ||
				   (t->pieces[i].buf_off + low - at) % DMABUF_RW_KERNEL_ALIGN))
			return false;
	}
	return true;
}

/* Plans the next round, of bytes from @pos up to @end. Returns its number of entries. */
static unsigned int plan(const struct dmabuf_rw_transfer *t, uint64_t pos, uint64_t end,
			 struct dmabuf_rw_kernel_io *ios)
{
	unsigned int i, nr = 0;
	uint64_t at = 0, skip;

	for (i = 0; i < t->nr && pos < end && nr < DMABUF_RW_KERNEL_DEPTH;
	     at += t->pieces[i++].len) {
		while (pos < end && pos - at < t->pieces[i].len && nr < DMABUF_RW_KERNEL_DEPTH) {
			skip = pos - at;
			ios[nr] = (struct dmabuf_rw_kernel_io){
				.file_off = t->file_off + pos,
				.buf_off = t->pieces[i].buf_off + skip,
				.len = MIN(MIN(t->pieces[i].len - skip, end - pos),
					   DMABUF_RW_KERNEL_ENTRY),
			};
			pos += ios[nr++].len;
		}
	}
	return nr;
}

/* Moves all rounds up to @end. Returns 0, also at the end of the file, or an errno, positive. */
static int move_rounds(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
		       struct dmabuf_rw_progress *p, uint64_t end)
{
	struct dmabuf_rw_kernel_io ios[DMABUF_RW_KERNEL_DEPTH];
	unsigned int nr, i;
	int err;

	if (!is_aligned(b->kernel, t, p->done, end))
		return EDOM;
	while (p->done < end) {
		if (dmabuf_rw_is_cancelled(t))
			return ECANCELED;
		nr = plan(t, p->done, end, ios);
		err = dmabuf_rw_kernel_move(b->kernel, t->op, ios, nr);
		if (err && err != EINTR)
			return err;
		for (i = 0; i < nr; i++) {
			if (ios[i].res > 0)
				dmabuf_rw_add_direct(b, p, ios[i].res);
			if (ios[i].res < (int64_t)ios[i].len)
				break;
		}
		if (i < nr && ios[i].res < 0)
			return -ios[i].res;
		/* A short entry's rest is requested; at the end of the file that gives nothing. */
		if (!i && !ios[0].res)
			return 0;
		if (err && p->done < end)
			return err;
	}
	return 0;
}

/*
 * A descriptor for flushes, or negative with errno. Read-only if permitted, as closing a disk that
 * was open for writing wakes udev.
 */
static int flush_fd(struct dmabuf_rw_kernel *k)
{
	int fd = k->flush_fd, other = -1;

	if (fd >= 0)
		return fd;
	fd = dmabuf_rw_reopen(k->pool.file_fd, O_RDONLY);
	if (fd < 0 && errno == EACCES)
		fd = dmabuf_rw_reopen(k->pool.file_fd, O_WRONLY);
	if (fd < 0 || atomic_compare_exchange_strong(&k->flush_fd, &other, fd))
		return fd;
	/* Another thread was first. */
	close(fd);
	return other;
}

int dmabuf_rw_kernel_flush(struct dmabuf_rw_kernel *k)
{
	int fd = flush_fd(k);

	return fd < 0 || fdatasync(fd) ? errno : 0;
}

int dmabuf_rw_kernel_run(const struct dmabuf_rw_binding *b, const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_progress *p, uint64_t end)
{
	uint64_t before = p->done;
	int err = move_rounds(b, t, p, end), lost = 0;

	if (t->flags & DMABUF_RW_IO_FUA && p->done > before)
		lost = dmabuf_rw_kernel_flush(b->kernel);
	if (!lost)
		return err;
		/* Bytes that may not be durable do not count. */
	p->direct -= p->done - before;
	p->kernel -= p->done - before;
	p->done = before;
	return lost;
}
