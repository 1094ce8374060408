/* SPDX-License-Identifier: MIT */
/*
 * private.h - what the library's files share; not installed.
 *
 * struct dmabuf_rw_device and struct dmabuf_rw_binding do not change after they were
 * made, but for the binding's totals, which are atomic, and its scratch memory and its pool
 * of rings, which have locks of their own; that is why they need no lock. struct
 * dmabuf_rw_queue is private to queue.h's files, struct dmabuf_rw_file to file.h's.
 *
 * Vocabulary
 *   way		how bytes go: by the module, by the kernel's own interface
 *			(uring_dmabuf.h), or bounced, that is, copied through memory; libdmabuf_rw.h
 *			says when each is taken
 *   module binding	one that the module has made; it has a descriptor
 *   kernel binding	one whose pair the kernel's own interface has taken; it has a struct
 *			dmabuf_rw_kernel
 *   direct binding	either of these. If bouncing is allowed, and the buffer has a view, it also
 *			has a struct dmabuf_rw_bounce, for what the drive cannot move
 *   bounce-only binding	neither; has a struct dmabuf_rw_bounce
 *
 * Layers, each using those below it only, but for scratch.c and fork.c:
 *   file.c, file_*.c	new files
 *   queue.c, queue_attach.c, queue_reap.c, workers.c; io.c
 *			transfers as callers see them
 *   binding.c		what a binding is
 *   transfer.c, many.c	one transfer, and a batch of them, on each other; the former is direct where
 *			possible and bounced elsewhere
 *   bounce.c		the pipeline through memory
 *   scratch.c		LBAs that a write changes in part. It has a direct binding of its own, of
 *			scratch memory, so it uses binding.c and transfer.c; what they do for that
 *			binding never comes back here
 *   kernel_way.c	transfers by the kernel's own interface
 *   pool.c		the rings of both, and the memory of all pipelines of the process
 *   cache.c		what they leave in the page cache
 *   view.c		the CPU's way to a buffer
 *   zeros.c		zeros in blocks that have not
 *   written.c		which blocks of a file have been written
 *   sqe.c, uring_dmabuf.c
 *			entries for rings; the kernel's own interface, call by call
 *   fork.c		which process this is. Around fork(3) it has pool.c and scratch.c do what is
 *			theirs
 *   device.c, pieces.c, error.c, describe.c
 *			calls of the module, options, ranges, errors and names
 *
 * Locks: those of pool.c, fork.c (below it), workers.c are held for a list operation; the one
 * of scratch.c during its transfers. No copy function of a caller's runs under a lock.
 */
#ifndef DMABUF_RW_PRIVATE_H
#define DMABUF_RW_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libdmabuf_rw.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/*
 * For locks that fork() takes: it may be called in a signal handler, so no handler runs in a
 * thread that has one. @old is for unlocking.
 */
static inline void dmabuf_rw_lock_for_fork(pthread_mutex_t *lock, sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
	pthread_mutex_lock(lock);
}

static inline void dmabuf_rw_unlock_for_fork(pthread_mutex_t *lock, const sigset_t *old)
{
	pthread_mutex_unlock(lock);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

#define DMABUF_RW_API __attribute__((visibility("default")))

static inline int dmabuf_rw_cancel_off(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static inline void dmabuf_rw_cancel_back(const int *old)
{
	pthread_setcancelstate(*old, NULL);
}

/* Among the declarations of a public function: pthread_cancel() has no effect in it. */
#define DMABUF_RW_NO_CANCEL \
	int no_cancel_ __attribute__((cleanup(dmabuf_rw_cancel_back), unused)) = \
		dmabuf_rw_cancel_off()

/* No structure of any version is longer; what says so has no size set. */
#define DMABUF_RW_MAX_STRUCT	4096

/* What every caller has of a structure: the fields up to @last. */
#define MIN_OPTS(type, last) (offsetof(struct type, last) + \
			      sizeof(((struct type *)0)->last))

struct dmabuf_rw_device {
	int fd;			/* the module's node; ours */
};

/* Combinations of enum dmabuf_rw_path. */
#define DMABUF_RW_PATHS	8

/* Each is counted by itself, relaxed. */
struct dmabuf_rw_totals {
	_Atomic uint64_t transfers[DMABUF_RW_PATHS];	/* by enum dmabuf_rw_path */
	_Atomic uint64_t direct_bytes;
	_Atomic uint64_t kernel_bytes;	/* of these */
	_Atomic uint64_t bounced_bytes;
	_Atomic uint64_t zeros_by_drive;
	_Atomic uint64_t zeros_written;
};

struct dmabuf_rw_bounce;
struct dmabuf_rw_kernel;
struct dmabuf_rw_zeros;

struct dmabuf_rw_binding {
	uint64_t id;		/* no other binding of the process has had it */
	int fd;			/* the binding; ours. -1: not by the module */
	struct dmabuf_rw_kernel *kernel;	/* of a kernel binding, else null; ours */
	uint64_t buf_bytes;	/* size of the buffer; never changes */
	uint32_t file_align[2];	/* by enum dmabuf_rw_op, as bind found them; at least 1 */
	uint32_t buf_align;
	struct dmabuf_rw_bounce *bounce;	/* null: bouncing is not allowed, or the
						 * buffer cannot; ours */
	struct dmabuf_rw_zeros *zeros;	/* null: blocks that were never written stay so; ours */
	struct dmabuf_rw_error module_refusal;	/* why @fd is -1; else no error */
	struct dmabuf_rw_error kernel_refusal;	/* why @kernel is null, if it was tried */
	struct dmabuf_rw_totals totals;
};

/* False: bounce-only. */
static inline bool dmabuf_rw_is_direct(const struct dmabuf_rw_binding *b)
{
	return b->fd >= 0 || b->kernel;
}

/* ---- calls and options: device.c ------------------------------------------------ */

/* ioctl() that says -errno. A signal is reported, not retried. */
int dmabuf_rw_ioctl(int fd, unsigned long request, void *arg);

/* What all option structures begin with. */
struct dmabuf_rw_opts_head {
	size_t size;
	struct dmabuf_rw_error *error;
};

/*
 * Copies an option structure by the rule of sized structures: a short one gets zeros, a
 * longer one must have a tail of zeros (-E2BIG), one shorter than @min_size is malformed
 * (-EINVAL). Fills its error, if it is long enough to have one. A null @src gives all zeros.
 */
int dmabuf_rw_copy_opts(void *dst, size_t dst_size, const void *src, size_t min_size,
			enum dmabuf_rw_call call);

/* Fills @error, if there is one, and returns -@err. */
int dmabuf_rw_fail(struct dmabuf_rw_error *error, enum dmabuf_rw_call call, int err,
		   uint32_t reason, int32_t detail);

/*
 * Clears what follows the size, 32 bits, that a structure of the kernel's begins with, as the
 * kernel wants it. -EINVAL: that is less than @min, or no size of a structure at all.
 */
int dmabuf_rw_clear_but_size(void *sized, uint32_t min);

/* Another opening of the same file, through /proc. -1 with errno. */
int dmabuf_rw_reopen(int fd, int flags);
/*
 * The same, but made when it is first asked for and kept at *@at, which is -1 until then, and may
 * have another negative number for the caller's reasons. What is at *@at, or -1 with errno.
 */
int dmabuf_rw_reopen_once(_Atomic int *at, int fd, int flags);

/*
 * @fd, or a duplicate that is above the three standard descriptors in its place: a program
 * that has closed those would print into it. Negative is passed on, with errno.
 */
int dmabuf_rw_above_std(int fd);
struct io_uring;
/* The same for a ring's. 0 or -errno. */
int dmabuf_rw_ring_above_std(struct io_uring *ring);
/* True if io_uring_setup(2) or what follows says that io_uring cannot be had at all. */
bool dmabuf_rw_ring_is_forbidden(int ret);

/* ---- which process this is: fork.c ------------------------------------------------ */

/* A number that no ancestor of this process has; 0: it cannot be told. */
uint64_t dmabuf_rw_process(void);

/* A descriptor that children do not keep. */
struct dmabuf_rw_private_fd {
	struct dmabuf_rw_private_fd *prev, *next;	/* fork.c's */
	uint64_t process;	/* whose it is */
	int fd;			/* -1: this is a child, and it is closed */
};

void dmabuf_rw_private_fd_add(struct dmabuf_rw_private_fd *p, int fd);
/* Before whose it is closes it. In a child, closes it. */
void dmabuf_rw_private_fd_drop(struct dmabuf_rw_private_fd *p);

/* ---- pieces: pieces.c -------------------------------------------------------------- */

/*
 * Writes to @dst what remains of @nr pieces after the first @done bytes; @dst has room
 * for @nr. Returns how many pieces that is.
 */
unsigned int dmabuf_rw_trim_pieces(struct dmabuf_rw_piece *dst,
				   const struct dmabuf_rw_piece *pieces,
				   unsigned int nr, uint64_t done);

/* The same for the bytes from @from up to @to of them. */
unsigned int dmabuf_rw_cut_pieces(struct dmabuf_rw_piece *dst,
				  const struct dmabuf_rw_piece *pieces, unsigned int nr,
				  uint64_t from, uint64_t to);

/* Sum of the lengths, saturating. */
uint64_t dmabuf_rw_sum_pieces(const struct dmabuf_rw_piece *pieces, unsigned int nr);

uint64_t dmabuf_rw_sum_ranges(const struct dmabuf_rw_range *ranges, unsigned int nr);

/* ---- one transfer: transfer.c -------------------------------------------------------- */

/*
 * A transfer as it was asked for. A plain range is one piece, with @plain set: the
 * kernel is then given the range. @pieces outlives the transfer.
 */
struct dmabuf_rw_transfer {
	uint32_t op;		/* enum dmabuf_rw_op */
	bool plain;
	bool whole;		/* to be short is an error; in place of DMABUF_RW_IO_WHOLE */
	bool asked;		/* of a batch: the module has answered */
	bool through;		/* of a batch: no signal ends it */
	unsigned int nr;
	uint64_t file_off;
	uint64_t len;		/* sum of the pieces, saturating */
	uint64_t flags;
	const struct dmabuf_rw_piece *pieces;
	struct dmabuf_rw_range *ranges;	/* not null: a batch (many.c), of @nr; no pieces */
	const _Atomic bool *cancelled;	/* null: it cannot be cancelled */
};

/* One range. @piece: of the buffer; must outlive it. */
static inline struct dmabuf_rw_transfer
dmabuf_rw_plain_transfer(uint32_t op, uint64_t file_off, const struct dmabuf_rw_piece *piece,
			 uint64_t flags)
{
	return (struct dmabuf_rw_transfer){
		.op = op,
		.plain = true,
		.nr = 1,
		.file_off = file_off,
		.len = piece->len,
		.flags = flags,
		.pieces = piece,
	};
}

static inline bool dmabuf_rw_is_cancelled(const struct dmabuf_rw_transfer *t)
{
	return t->cancelled && atomic_load_explicit(t->cancelled, memory_order_relaxed);
}

/* How far it is. @done is the sum of the other two, and has no gap. */
struct dmabuf_rw_progress {
	uint64_t done;
	uint64_t direct;
	uint64_t bounced;
	uint64_t kernel;	/* of @direct, by a kernel binding */
	uint64_t zeros_by_drive;	/* that were put before it, and are none of these bytes */
	uint64_t zeros_written;
	uint32_t by_path[DMABUF_RW_PATHS];	/* of a batch: transfers, by enum dmabuf_rw_path */
};

static inline void dmabuf_rw_add_direct(const struct dmabuf_rw_binding *b,
					struct dmabuf_rw_progress *p, uint64_t bytes)
{
	p->done += bytes;
	p->direct += bytes;
	if (b->kernel)
		p->kernel += bytes;
}

/* enum dmabuf_rw_path of what was moved. */
static inline uint32_t dmabuf_rw_path_of(const struct dmabuf_rw_progress *p)
{
	return (p->direct > p->kernel ? DMABUF_RW_PATH_MODULE : 0) |
	       (p->kernel ? DMABUF_RW_PATH_KERNEL : 0) |
	       (p->bounced ? DMABUF_RW_PATH_BOUNCED : 0);
}

/*
 * What a transfer of @len bytes that has ended with *@err came to: bytes or -errno. Where it
 * must be @whole, *@err is set if it is not.
 */
static inline int64_t dmabuf_rw_outcome(const struct dmabuf_rw_progress *p, uint64_t len,
					bool whole, int *err)
{
	if (whole && p->done < len && !*err)
		*err = ESPIPE;
	return p->done && !(whole && *err) ? (int64_t)p->done : -*err;
}

/*
 * Moves what is left of @t, direct where the drive can and bounced where it may be.
 * Returns 0, also at the end of the file, or the errno (positive) that ended it.
 */
int dmabuf_rw_run(const struct dmabuf_rw_binding *binding,
		  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);

/*
 * The same, but no signal ends it. Nor do a stop of the process, the freezer or a debugger,
 * which interrupt system calls of threads that have all signals blocked, too.
 */
int dmabuf_rw_run_through(const struct dmabuf_rw_binding *binding,
			  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);

/* ---- batches: many.c; called by those above, and by queue_reap.c ------------------------- */

/* The whole of a batch, as dmabuf_rw_run(). */
int dmabuf_rw_run_many(const struct dmabuf_rw_binding *binding,
		       const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);
/* Before the module is asked. */
void dmabuf_rw_many_reset(const struct dmabuf_rw_transfer *t);
/*
 * It has answered, with @err (positive) where it refused the batch as a whole. Adds results that
 * are final to @p, and returns how many are not.
 */
int dmabuf_rw_many_take(const struct dmabuf_rw_binding *binding,
			const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p, int err);
/* Does the others. Returns the errno (positive) of the first range that has one. */
int dmabuf_rw_many_finish(const struct dmabuf_rw_binding *binding,
			  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);

/*
 * The judgement that the module would make, where it is not asked; of all but alignment. 0 or an
 * errno, positive.
 */
int dmabuf_rw_check(const struct dmabuf_rw_binding *binding, const struct dmabuf_rw_transfer *t);

/* True if @err of a direct transfer may be made good by bouncing. */
bool dmabuf_rw_may_bounce(const struct dmabuf_rw_binding *binding, int err);
/* The same, or perhaps by zeros. */
bool dmabuf_rw_may_go_on(const struct dmabuf_rw_binding *binding, int err);

/* Adds a finished transfer to the binding's totals. */
void dmabuf_rw_count(const struct dmabuf_rw_binding *binding,
		     const struct dmabuf_rw_progress *p);

/* ---- the CPU's way to a buffer: view.c ------------------------------------------------ */

struct dmabuf_rw_view {
	int fd;			/* the dma-buf; ours */
	uint64_t bytes;
	_Atomic(struct dmabuf_rw_mapping *) map;	/* null with @copy; the newest */
	bool readable;		/* bytes can be taken from the buffer */
	bool writable;		/* and put into it */
	dmabuf_rw_copy_fn copy;
	void *copy_arg;
};

/* The mapping of this process, made if need be; null with errno. Not with @copy. */
char *dmabuf_rw_view_map(const struct dmabuf_rw_view *view);

/* Size of a dma-buf. -EBADFD: it is none; or another -errno. */
int dmabuf_rw_dmabuf_bytes(int fd, uint64_t *bytes);

/* DMA_BUF_IOCTL_SYNC with DMA_BUF_SYNC_* @flags. Returns 0 or -errno, never -EINTR. */
int dmabuf_rw_cpu_access(int fd, uint64_t flags);

/* -EBADFD: not a dma-buf; else -errno of what gives the CPU no access. */
int dmabuf_rw_view_open(struct dmabuf_rw_view *view, int dmabuf_fd,
			dmabuf_rw_copy_fn copy, void *copy_arg);
void dmabuf_rw_view_close(struct dmabuf_rw_view *view);

/*
 * Copies the bytes from @from up to @to of @pieces to or from @host. Returns 0 or
 * -errno; never -EINTR.
 */
int dmabuf_rw_view_copy(const struct dmabuf_rw_view *view, enum dmabuf_rw_copy direction,
			const struct dmabuf_rw_piece *pieces, unsigned int nr,
			uint64_t from, uint64_t to, void *host);

/* ---- what was not cached before: cache.c ------------------------------------------------ */

/* Linux 6.14; the headers that this is built with may be older. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE	0x80
#endif

/* Of the page cache, on x86; on others nothing is dropped that should not be. */
#define DMABUF_RW_CACHE_PAGE	4096

/* Pages that a read touches, or that a write covers. */
struct dmabuf_rw_cached {
	uint64_t low, high;	/* in the file */
	bool ours;		/* nobody had cached any, and they are not dropped yet */
};

/* True if the file at @fd can be read with RWF_DONTCACHE, which needs none of the rest. */
bool dmabuf_rw_cache_dontcache(int fd);
/*
 * Before a read or write, enum dmabuf_rw_op @op: sets @c. Returns how many of its pages are
 * cached, or -1 if there are none or it cannot be known.
 */
int64_t dmabuf_rw_cache_ask(int fd, uint32_t op, uint64_t off, uint32_t len,
			    struct dmabuf_rw_cached *c);
/* After a read. */
void dmabuf_rw_cache_drop(int fd, struct dmabuf_rw_cached *c);
/* After a write, and some time later: waits for the former. Returns an errno, positive. */
void dmabuf_rw_cache_write_back(int fd, struct dmabuf_rw_cached *c);
int dmabuf_rw_cache_settle(int fd, struct dmabuf_rw_cached *c);

/* ---- rings, and memory to bounce through: pool.c ----------------------------------------- */

/* One read or write of the file, and its place in a lane's memory. */
struct dmabuf_rw_chunk {
	uint64_t pos;		/* of its first byte in the transfer */
	uint32_t len;		/* bytes of the transfer in it */
	uint32_t head;		/* bytes in front of them, read for alignment */
	uint32_t want;		/* bytes to move between file and memory: all of it */
	uint32_t got;		/* of these, moved */
	bool direct;
	bool busy;		/* the kernel has it */
	bool asked;		/* @cached is set */
	struct dmabuf_rw_cached cached;	/* what it takes of the page cache */
	int err;
};

/* An io_uring with memory or a dma-buf registered, which serves one transfer at a time. */
struct dmabuf_rw_lane {
	struct dmabuf_rw_lane *prev, *next;	/* pool.c's */
	bool idle;		/* pool.c's */
	uint32_t depth;		/* chunks */
	uint32_t chunk;		/* bytes of each */
	char *memory;		/* null: it is for a dma-buf */
	struct io_uring *ring;	/* null: chunk after chunk, by system calls */
	struct dmabuf_rw_private_fd ring_fd;
	bool registered;	/* the ring's buffer 0 */
	bool broken;		/* not to be kept for another transfer */
	struct dmabuf_rw_chunk window[DMABUF_RW_BOUNCE_MAX_DEPTH];
};

/* Lanes for a dma-buf; what is zero at first is pool.c's. */
struct dmabuf_rw_pool {
	int dmabuf_fd;		/* not the pool's */
	int file_fd;		/* its file, with O_DIRECT; nor this */
	unsigned int most;	/* lanes that run; 0: as many as are wanted */
	sem_t room;		/* how many more may; if there is a @most */
	struct dmabuf_rw_lane *lanes;	/* all of @process */
	unsigned int nr_running, nr_idle;
	_Atomic uint64_t process;	/* set last */
};

/* Frees its lanes, of which none runs. */
void dmabuf_rw_pool_end(struct dmabuf_rw_pool *pool);

/*
 * While somebody holds the pool of memory, a lane of it is kept for the next transfer.
 * -ENOMEM: this process cannot be told from its children.
 */
int dmabuf_rw_pool_hold(void);
void dmabuf_rw_pool_drop(void);
/* Around fork(3), the latter in both processes. */
void dmabuf_rw_pool_before_fork(void);
void dmabuf_rw_pool_after_fork(void);
/*
 * @pool null: with memory; else @chunk is 0. Null with errno; EINTR: a signal came while others
 * ran the most lanes that may. All of the window is zero.
 */
struct dmabuf_rw_lane *dmabuf_rw_lane_get(struct dmabuf_rw_pool *pool, uint32_t depth,
					  uint32_t chunk);
void dmabuf_rw_lane_put(struct dmabuf_rw_pool *pool, struct dmabuf_rw_lane *lane);
/* From now on no lane with memory has a ring: the kernel takes nothing from this process. */
void dmabuf_rw_pool_without_rings(void);
bool dmabuf_rw_pool_has_rings(void);

/* ---- through memory: bounce.c, scratch.c ------------------------------------------------ */

/* What bouncing needs to know; the binding's options, resolved. */
struct dmabuf_rw_bounce_params {
	int dmabuf_fd;
	int file_fd;
	int device_fd;		/* -1: none */
	uint32_t depth;
	uint32_t chunk;
	dmabuf_rw_copy_fn copy;
	void *copy_arg;
};

/* Does not change while its binding lives, but for what is atomic. */
struct dmabuf_rw_bounce {
	struct dmabuf_rw_view view;
	int plain_fd;		/* the file without O_DIRECT, if we could have that */
	int direct_fd;		/* the same with it; -1: the file refuses it, or we may not */
	uint32_t align;		/* of file offsets and lengths with O_DIRECT */
	bool can_read;		/* from file to buffer */
	bool can_write;
	bool regular;
	_Atomic int dontcache;	/* the file knows RWF_DONTCACHE: 1; -1: no; 0: not tried */
	uint32_t depth;
	uint32_t chunk;
	struct dmabuf_rw_scratch *scratch;	/* null: not bound, or not writable; ours */
	uint32_t lba;		/* with @scratch: bytes of an LBA */
};

/*
 * A direct binding that does not bounce: a module binding, or with @device_fd negative a kernel
 * binding. 0 or -errno. binding.c's.
 */
int dmabuf_rw_bind_plain(int device_fd, int dmabuf_fd, int file_fd,
			 struct dmabuf_rw_binding **binding);

/* Fills @error on failure, with the reason. */
int dmabuf_rw_bounce_create(const struct dmabuf_rw_bounce_params *params,
			    struct dmabuf_rw_error *error,
			    struct dmabuf_rw_bounce **bounce);
void dmabuf_rw_bounce_destroy(struct dmabuf_rw_bounce *bounce);

/* Size of the file now, or -errno. */
int64_t dmabuf_rw_bounce_file_bytes(const struct dmabuf_rw_bounce *bounce);

/*
 * Moves the bytes of @t from @p->done up to @end. Returns 0, also when the file ended
 * before, or an errno, positive.
 */
int dmabuf_rw_bounce_run(struct dmabuf_rw_bounce *bounce,
			 const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_progress *p, uint64_t end);

/*
 * Where the module may find blocks again, when it has found none at @file_off: a file offset
 * behind that.
 */
uint64_t dmabuf_rw_bounce_data_after(const struct dmabuf_rw_bounce *bounce,
				     uint64_t file_off);

/*
 * Scratch memory bound to what a binding is bound to, in the same way (dmabuf_rw_bind_plain()),
 * whose LBAs have @lba bytes. It is made by the first write that needs it. The descriptors are
 * duplicated. 0 or -errno.
 */
int dmabuf_rw_scratch_create(int device_fd, int file_fd, uint32_t lba,
			     struct dmabuf_rw_scratch **scratch);
void dmabuf_rw_scratch_destroy(struct dmabuf_rw_scratch *scratch);
/* In a child, once, while it has one thread. */
void dmabuf_rw_scratch_after_fork(void);
/*
 * As dmabuf_rw_bounce_run(), for writes; @view is the buffer's. EDOM: there is no scratch
 * memory, or the drive cannot write the file's last, partial LBA. ENXIO: no block is there.
 */
int dmabuf_rw_scratch_write(struct dmabuf_rw_scratch *scratch,
			    const struct dmabuf_rw_view *view,
			    const struct dmabuf_rw_transfer *t,
			    struct dmabuf_rw_progress *p, uint64_t end);

/* ---- kernel bindings: kernel_way.c ------------------------------------------------------- */

/* Entries in flight of one transfer, and bytes of each at most. */
#define DMABUF_RW_KERNEL_DEPTH	64
#define DMABUF_RW_KERNEL_ENTRY	(1U << 20)
/* PRP entries begin at dwords (NVM Express Base Specification 2.0, 4.1.1). */
#define DMABUF_RW_KERNEL_ALIGN	4

struct dmabuf_rw_kernel {
	struct dmabuf_rw_pool pool;	/* with the two descriptors, which are ours */
	uint64_t buf_bytes;
	uint32_t lba;		/* what file offsets and lengths are multiples of */
	bool can[2];		/* by enum dmabuf_rw_op */
	_Atomic int flush_fd;	/* the disk, opened by the first flush; -1: not yet; ours */
	_Atomic unsigned int refs;	/* its binding's, and those of queues that have it */
	_Atomic bool dead;	/* its binding is gone */
};

/* -errno with @error filled, which may be about the pair or about the call. */
int dmabuf_rw_kernel_create(int dmabuf_fd, int file_fd, struct dmabuf_rw_error *error,
			    struct dmabuf_rw_kernel **kernel);
/* All but the structure goes, which is there while it has @refs. Takes null. */
void dmabuf_rw_kernel_destroy(struct dmabuf_rw_kernel *kernel);
/* Gives up one of the @refs. Makes no system call, so it is no cancellation point. */
void dmabuf_rw_kernel_put(struct dmabuf_rw_kernel *kernel);

/* Size of the disk now, or -errno. */
int64_t dmabuf_rw_kernel_file_bytes(const struct dmabuf_rw_kernel *kernel);

/* One entry. */
struct dmabuf_rw_kernel_io {
	uint64_t file_off, buf_off;
	uint32_t len;
	unsigned int tries;	/* kernel_way.c's */
	int64_t res;		/* out: bytes; or -errno as the module would have told it */
};

/*
 * Moves @nr, at most DMABUF_RW_KERNEL_DEPTH, side by side. Each has its result afterwards. EINTR:
 * a signal arrived. Another errno, positive: none was begun.
 */
int dmabuf_rw_kernel_move(struct dmabuf_rw_kernel *kernel, uint32_t op,
			  struct dmabuf_rw_kernel_io *ios, unsigned int nr);
/* What was written is durable after it. 0 or an errno, positive. */
int dmabuf_rw_kernel_flush(struct dmabuf_rw_kernel *kernel);
/* True if a transfer that dmabuf_rw_check() lets pass can be one entry. */
bool dmabuf_rw_kernel_takes(const struct dmabuf_rw_kernel *kernel,
			    const struct dmabuf_rw_transfer *t);
/*
 * Moves the bytes from p->done up to @end. Returns 0, also at the end of the file, or the errno
 * that ended it.
 */
int dmabuf_rw_kernel_run(const struct dmabuf_rw_binding *binding,
			 const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
			 uint64_t end);

/* ---- what has been written: written.c ------------------------------------------------ */

/*
 * True if BIND has found no block, by @info, where the file system shows some that have been
 * written.
 */
bool dmabuf_rw_is_clone(const struct dmabuf_rw_info *info, int file_fd);
/*
 * Up to where, at most @end, nothing was written from @off on; @off if that cannot be known. Writes
 * out what is dirty in the file.
 */
uint64_t dmabuf_rw_unwritten_until(int fd, uint64_t off, uint64_t end);

/* ---- zeros where nothing was written: zeros.c ------------------------------------------- */

struct dmabuf_rw_zeros {
	int fd;			/* the file, to be opened anew by; of the bounce, or ours */
	bool ours;
	_Atomic int plain, direct;	/* opened anew for writing, without and with O_DIRECT; -1 */
	uint32_t how;		/* DMABUF_RW_ZEROS_* */
	uint64_t block;		/* bytes of those of the file system, or of a page */
	_Atomic bool drive_cannot;	/* it, or the file system, or the kernel, has refused */
	_Atomic unsigned int in_vain;	/* times that the module has found none of the zeros */
};

/* Has the file system and the drive put zeros there. 0 or -errno: some -errno where they cannot. */
int dmabuf_rw_drive_zeros(int fd, uint64_t off, uint64_t len);
/*
 * 0, with null where there is nothing for it: not a regular file, not writable; or -errno. What
 * @bounce has, which may be null, is used, and outlives it.
 */
int dmabuf_rw_zeros_create(int file_fd, const struct dmabuf_rw_bounce *bounce, uint32_t how,
			   struct dmabuf_rw_zeros **zeros);
void dmabuf_rw_zeros_destroy(struct dmabuf_rw_zeros *zeros);
/*
 * Before a write of @len bytes at @off: puts zeros into blocks of it from @off on. Returns how many
 * bytes are written to now; 0: none, as there are no blocks to put them into; or -errno.
 */
int64_t dmabuf_rw_zeros_put(struct dmabuf_rw_zeros *zeros, uint64_t off, uint64_t len,
			    struct dmabuf_rw_progress *p);

/* ---- entries of a ring: sqe.c ------------------------------------------------------- */

/* Fills the first 64 bytes of @sqe but user_data; see enum dmabuf_rw_uring_op. */
void dmabuf_rw_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t op,
			uint64_t file_off, uint64_t addr3, uint32_t len,
			uint64_t flags);
/* The same for enum dmabuf_rw_op @op of a kernel binding. */
void dmabuf_rw_kernel_fill_sqe(struct io_uring_sqe *sqe, const struct dmabuf_rw_kernel *kernel,
			       uint32_t op, uint32_t slot, uint64_t file_off, uint64_t buf_off,
			       uint32_t len);

#endif /* DMABUF_RW_PRIVATE_H */
