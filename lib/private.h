/* SPDX-License-Identifier: MIT */
/*
 * private.h - shared by the library's files; not installed.
 *
 * struct dmabuf_rw_device and struct dmabuf_rw_binding do not change after they are made, so they
 * need no lock. Exceptions are the binding's totals, which are atomic, and its scratch memory and
 * pool of rings, which have locks of their own. struct dmabuf_rw_queue is private to the files of
 * queue.h, struct dmabuf_rw_file to those of file.h.
 *
 * Vocabulary
 *   way		how bytes go: by the module, by the kernel's own interface
 *			(uring_dmabuf.h), or bounced, that is, copied through memory; libdmabuf_rw.h
 *			says when each is taken
 *   module binding	made by the module; has a descriptor
 *   kernel binding	taken by the kernel's own interface; has a struct dmabuf_rw_kernel
 *   direct binding	either of these. If bouncing is allowed, and the buffer has a view, it also
 *			has a struct dmabuf_rw_bounce, for bytes that the drive cannot move
 *   bounce-only binding	neither; has a struct dmabuf_rw_bounce
 *
 * Layers, each using those below it only, except scratch.c and fork.c:
 *   file.c, file_*.c	new files
 *   queue.c, queue_attach.c, queue_reap.c, workers.c; io.c
 *			transfers as callers see them
 *   binding.c		making bindings
 *   transfer.c, many.c	one transfer, and a batch, which use each other; a transfer is direct where
 *			possible and bounced elsewhere
 *   bounce.c		the pipeline through memory
 *   scratch.c		LBAs that a write changes in part. It has a direct binding of its own, of
 *			scratch memory, so it uses binding.c and transfer.c; that binding never
 *			bounces, so it does not lead back here
 *   kernel_way.c	transfers by the kernel's own interface
 *   pool.c		the rings of both, and the memory of all pipelines of the process
 *   cache.c		keeps the page cache as it was
 *   view.c		the CPU's access to a buffer
 *   zeros.c		zeros for blocks never written
 *   written.c		which blocks of a file have been written
 *   sqe.c, uring_dmabuf.c
 *			entries for rings; the calls of the kernel's own interface
 *   fork.c		which process this is. Around fork(3) it calls handlers of pool.c and
 *			scratch.c
 *   device.c, pieces.c, error.c, describe.c
 *			calls of the module, options, ranges, errors and names
 *
 * Locks: those of pool.c, fork.c (below it) and workers.c are held for a list operation; the one
 * of scratch.c during its transfers. No copy function of a caller runs under a lock.
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
 * For locks that fork() takes. A signal handler may call fork(3), so none may run in a thread that
 * holds one. @old is for unlocking.
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

/* Goes among a public function's declarations: pthread_cancel() has no effect in it. */
#define DMABUF_RW_NO_CANCEL \
	int no_cancel_ __attribute__((cleanup(dmabuf_rw_cancel_back), unused)) = \
		dmabuf_rw_cancel_off()

/* No structure of any version is longer; a larger size was not set at all. */
#define DMABUF_RW_MAX_STRUCT	4096

/* Every caller has at least the fields up to @last. */
#define MIN_OPTS(type, last) (offsetof(struct type, last) + \
			      sizeof(((struct type *)0)->last))

struct dmabuf_rw_device {
	int fd;			/* the module's node; owned */
};

/* Combinations of enum dmabuf_rw_path. */
#define DMABUF_RW_PATHS	8

/* Each counter is relaxed. */
struct dmabuf_rw_totals {
	_Atomic uint64_t transfers[DMABUF_RW_PATHS];	/* by enum dmabuf_rw_path */
	_Atomic uint64_t direct_bytes;
	_Atomic uint64_t kernel_bytes;	/* of @direct_bytes */
	_Atomic uint64_t bounced_bytes;
	_Atomic uint64_t zeros_by_drive;
	_Atomic uint64_t zeros_written;
};

struct dmabuf_rw_bounce;
struct dmabuf_rw_kernel;
struct dmabuf_rw_zeros;

struct dmabuf_rw_binding {
	uint64_t id;		/* unique in the process */
	int fd;			/* the module's binding; owned. -1: not by the module */
	struct dmabuf_rw_kernel *kernel;	/* of a kernel binding, else null; owned */
	uint64_t buf_bytes;	/* size of the buffer; constant */
	uint32_t file_align[2];	/* by enum dmabuf_rw_op, as bind found them; at least 1 */
	uint32_t buf_align;
	struct dmabuf_rw_bounce *bounce;	/* null: bouncing is not allowed, or the
						 * buffer cannot; owned */
	struct dmabuf_rw_zeros *zeros;	/* null: no zeros for unwritten blocks; owned */
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

/* ioctl() that returns -errno. A signal is reported, not retried. */
int dmabuf_rw_ioctl(int fd, unsigned long request, void *arg);

/* The first fields of all option structures. */
struct dmabuf_rw_opts_head {
	size_t size;
	struct dmabuf_rw_error *error;
};

/*
 * Copies an option structure by the rules of sized structures: the missing tail of a short one is
 * zero, the excess tail of a long one must be zero (-E2BIG), and one shorter than @min_size is
 * malformed (-EINVAL). Fills its error, if it has one. A null @src gives all zeros.
 */
int dmabuf_rw_copy_opts(void *dst, size_t dst_size, const void *src, size_t min_size,
			enum dmabuf_rw_call call);

/* Fills @error, if not null, and returns -@err. */
int dmabuf_rw_fail(struct dmabuf_rw_error *error, enum dmabuf_rw_call call, int err,
		   uint32_t reason, int32_t detail);

/*
 * Clears everything after the 32-bit size that begins a kernel structure, as the kernel requires.
 * -EINVAL: the size is less than @min, or fits no structure.
 */
int dmabuf_rw_clear_but_size(void *sized, uint32_t min);

/* Opens the same file anew, through /proc. -1 with errno. */
int dmabuf_rw_reopen(int fd, int flags);

/*
 * @fd, or a duplicate above the three standard descriptors in its place: a program that has closed
 * those would print into it. Passes on a negative @fd, with errno.
 */
int dmabuf_rw_above_std(int fd);
struct io_uring;
/* The same for a ring's descriptor. 0 or -errno. */
int dmabuf_rw_ring_above_std(struct io_uring *ring);
/* True if @ret, of io_uring_setup(2) or a later call, means that io_uring is not available. */
bool dmabuf_rw_ring_is_forbidden(int ret);

/* ---- which process this is: fork.c ------------------------------------------------ */

/* A number that no ancestor of this process has; 0: not known. */
uint64_t dmabuf_rw_process(void);

/* A descriptor that is closed in children. */
struct dmabuf_rw_private_fd {
	struct dmabuf_rw_private_fd *prev, *next;	/* owned by fork.c */
	uint64_t process;	/* its owner */
	int fd;			/* -1: closed, as this is a child */
};

void dmabuf_rw_private_fd_add(struct dmabuf_rw_private_fd *p, int fd);
/* In the owning process: call before closing it. In a child: closes it. */
void dmabuf_rw_private_fd_drop(struct dmabuf_rw_private_fd *p);

/* ---- pieces: pieces.c -------------------------------------------------------------- */

/*
 * Writes to @dst the rest of @nr pieces after the first @done bytes; @dst has room for @nr. Returns
 * the number of pieces.
 */
unsigned int dmabuf_rw_trim_pieces(struct dmabuf_rw_piece *dst,
				   const struct dmabuf_rw_piece *pieces,
				   unsigned int nr, uint64_t done);

/* The same for bytes @from up to @to. */
unsigned int dmabuf_rw_cut_pieces(struct dmabuf_rw_piece *dst,
				  const struct dmabuf_rw_piece *pieces, unsigned int nr,
				  uint64_t from, uint64_t to);

/* Sum of the lengths, saturating. */
uint64_t dmabuf_rw_sum_pieces(const struct dmabuf_rw_piece *pieces, unsigned int nr);

uint64_t dmabuf_rw_sum_ranges(const struct dmabuf_rw_range *ranges, unsigned int nr);

/* ---- one transfer: transfer.c -------------------------------------------------------- */

/*
 * A requested transfer. A plain range is one piece, with @plain set: the kernel is then given the
 * range. @pieces outlives the transfer.
 */
struct dmabuf_rw_transfer {
	uint32_t op;		/* enum dmabuf_rw_op */
	bool plain;
	bool whole;		/* a short result is an error; replaces DMABUF_RW_IO_WHOLE */
	bool asked;		/* of a batch: the module has answered */
	bool through;		/* of a batch: signals do not end it */
	unsigned int nr;
	uint64_t file_off;
	uint64_t len;		/* sum of the pieces, saturating */
	uint64_t flags;
	const struct dmabuf_rw_piece *pieces;
	struct dmabuf_rw_range *ranges;	/* not null: a batch (many.c), of @nr; no pieces */
	const _Atomic bool *cancelled;	/* null: cannot be cancelled */
};

/* A transfer of one range. @piece, of the buffer, outlives it. */
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

/* Bytes moved so far. @done is @direct + @bounced, without a gap. */
struct dmabuf_rw_progress {
	uint64_t done;
	uint64_t direct;
	uint64_t bounced;
	uint64_t kernel;	/* of @direct, by a kernel binding */
	uint64_t zeros_by_drive;	/* put before it; not counted in @done */
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

/* enum dmabuf_rw_path of the moved bytes. */
static inline uint32_t dmabuf_rw_path_of(const struct dmabuf_rw_progress *p)
{
	return (p->direct > p->kernel ? DMABUF_RW_PATH_MODULE : 0) |
	       (p->kernel ? DMABUF_RW_PATH_KERNEL : 0) |
	       (p->bounced ? DMABUF_RW_PATH_BOUNCED : 0);
}

/*
 * The result of a transfer of @len bytes that ended with *@err: bytes or -errno. Sets *@err if it
 * must be @whole and is not.
 */
static inline int64_t dmabuf_rw_outcome(const struct dmabuf_rw_progress *p, uint64_t len,
					bool whole, int *err)
{
	if (whole && p->done < len && !*err)
		*err = ESPIPE;
	return p->done && !(whole && *err) ? (int64_t)p->done : -*err;
}

/*
 * Moves the rest of @t, direct where the drive can and bounced where allowed. Returns 0, also at
 * the end of the file, or the errno (positive) that ended it.
 */
int dmabuf_rw_run(const struct dmabuf_rw_binding *binding,
		  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);

/*
 * The same, but no signal ends it; nor do a stop of the process, the freezer or a debugger, which
 * interrupt system calls even of threads that block all signals.
 */
int dmabuf_rw_run_through(const struct dmabuf_rw_binding *binding,
			  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);

/* ---- batches: many.c; called by those above, and by queue_reap.c ------------------------- */

/* Runs a whole batch, like dmabuf_rw_run(). */
int dmabuf_rw_run_many(const struct dmabuf_rw_binding *binding,
		       const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);
/* Call before asking the module. */
void dmabuf_rw_many_reset(const struct dmabuf_rw_transfer *t);
/*
 * Takes the module's answer; @err (positive): it refused the whole batch. Adds final results to @p,
 * and returns the number of others.
 */
int dmabuf_rw_many_take(const struct dmabuf_rw_binding *binding,
			const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p, int err);
/* Finishes the others. Returns the errno (positive) of the first range that has one. */
int dmabuf_rw_many_finish(const struct dmabuf_rw_binding *binding,
			  const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p);

/*
 * Checks everything but alignment like the module, for transfers that it does not see. 0 or an
 * errno, positive.
 */
int dmabuf_rw_check(const struct dmabuf_rw_binding *binding, const struct dmabuf_rw_transfer *t);

/* True if bouncing may move the bytes for which a direct transfer failed with @err. */
bool dmabuf_rw_may_bounce(const struct dmabuf_rw_binding *binding, int err);
/* The same for bouncing or zeros. */
bool dmabuf_rw_may_go_on(const struct dmabuf_rw_binding *binding, int err);

/* Adds a finished transfer to the binding's totals. */
void dmabuf_rw_count(const struct dmabuf_rw_binding *binding,
		     const struct dmabuf_rw_progress *p);

/* ---- the CPU's access to a buffer: view.c --------------------------------------------- */

struct dmabuf_rw_view {
	int fd;			/* the dma-buf; owned */
	uint64_t bytes;
	_Atomic(struct dmabuf_rw_mapping *) map;	/* null with @copy; the newest */
	bool readable;		/* the CPU can read the buffer */
	bool writable;		/* and write it */
	dmabuf_rw_copy_fn copy;
	void *copy_arg;
};

/* This process's mapping, made if needed; null with errno. Not with @copy. */
char *dmabuf_rw_view_map(const struct dmabuf_rw_view *view);

/* Size of a dma-buf. -EBADFD: not a dma-buf; or another -errno. */
int dmabuf_rw_dmabuf_bytes(int fd, uint64_t *bytes);

/* DMA_BUF_IOCTL_SYNC with DMA_BUF_SYNC_* @flags. Returns 0 or -errno, never -EINTR. */
int dmabuf_rw_cpu_access(int fd, uint64_t flags);

/* -EBADFD: not a dma-buf; else the -errno that denies the CPU access. */
int dmabuf_rw_view_open(struct dmabuf_rw_view *view, int dmabuf_fd,
			dmabuf_rw_copy_fn copy, void *copy_arg);
void dmabuf_rw_view_close(struct dmabuf_rw_view *view);

/* Copies bytes @from up to @to of @pieces to or from @host. Returns 0 or -errno; never -EINTR. */
int dmabuf_rw_view_copy(const struct dmabuf_rw_view *view, enum dmabuf_rw_copy direction,
			const struct dmabuf_rw_piece *pieces, unsigned int nr,
			uint64_t from, uint64_t to, void *host);

/* ---- keeping the page cache as it was: cache.c ------------------------------------------ */

/* Linux 6.14; the build's headers may be older. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE	0x80
#endif

/* The page size on x86; with other sizes fewer pages may be dropped, never too many. */
#define DMABUF_RW_CACHE_PAGE	4096

/* Pages that a read touches, or that a write covers entirely. */
struct dmabuf_rw_cached {
	uint64_t low, high;	/* in the file */
	bool ours;		/* none was cached before, and they are not dropped yet */
};

/* True if the file at @fd can be read with RWF_DONTCACHE; nothing else is then needed. */
bool dmabuf_rw_cache_dontcache(int fd);
/*
 * Sets @c before a read or write, enum dmabuf_rw_op @op. Returns the number of its pages that are
 * cached, or -1 if it has none or the number cannot be known.
 */
int64_t dmabuf_rw_cache_ask(int fd, uint32_t op, uint64_t off, uint32_t len,
			    struct dmabuf_rw_cached *c);
/* Call after a read. */
void dmabuf_rw_cache_drop(int fd, struct dmabuf_rw_cached *c);
/* Start writeback after a write; later wait for it and drop the pages. An errno, positive, or 0. */
void dmabuf_rw_cache_write_back(int fd, struct dmabuf_rw_cached *c);
int dmabuf_rw_cache_settle(int fd, struct dmabuf_rw_cached *c);

/* ---- rings, and memory to bounce through: pool.c ----------------------------------------- */

/* One read or write of the file, and its place in a lane's memory. */
struct dmabuf_rw_chunk {
	uint64_t pos;		/* of its first byte in the transfer */
	uint32_t len;		/* bytes of the transfer in it */
	uint32_t head;		/* bytes before them, read for alignment */
	uint32_t want;		/* all bytes to move between file and memory */
	uint32_t got;		/* bytes moved so far */
	bool direct;
	bool busy;		/* the kernel has it */
	bool asked;		/* @cached is set */
	struct dmabuf_rw_cached cached;	/* its pages in the page cache */
	int err;
};

/* An io_uring with registered memory or a dma-buf; serves one transfer at a time. */
struct dmabuf_rw_lane {
	struct dmabuf_rw_lane *prev, *next;	/* owned by pool.c */
	bool idle;		/* owned by pool.c */
	uint32_t depth;		/* chunks */
	uint32_t chunk;		/* bytes of each */
	char *memory;		/* null: the lane is for a dma-buf */
	struct io_uring *ring;	/* null: one chunk at a time, by system calls */
	struct dmabuf_rw_private_fd ring_fd;
	bool registered;	/* the ring's buffer 0 */
	bool broken;		/* do not keep it for another transfer */
	struct dmabuf_rw_chunk window[DMABUF_RW_BOUNCE_MAX_DEPTH];
};

/* Lanes for a dma-buf. pool.c owns the fields that are zero at first. */
struct dmabuf_rw_pool {
	int dmabuf_fd;		/* borrowed */
	int file_fd;		/* its file, with O_DIRECT; borrowed */
	unsigned int most;	/* limit of running lanes; 0: none */
	sem_t room;		/* lanes that may still start, if there is a limit */
	struct dmabuf_rw_lane *lanes;	/* all of @process */
	unsigned int nr_running, nr_idle;
	_Atomic uint64_t process;	/* set last */
};

/* Frees its lanes; none may be running. */
void dmabuf_rw_pool_end(struct dmabuf_rw_pool *pool);

/*
 * While the pool of memory is held, it keeps a lane for the next transfer. -ENOMEM: this process
 * cannot be told from its children.
 */
int dmabuf_rw_pool_hold(void);
void dmabuf_rw_pool_drop(void);
/* Called around fork(3), the latter in both processes. */
void dmabuf_rw_pool_before_fork(void);
void dmabuf_rw_pool_after_fork(void);
/*
 * @pool null: a lane with memory; else @chunk is 0. Null with errno; EINTR: a signal arrived while
 * waiting for room. The whole window is zero.
 */
struct dmabuf_rw_lane *dmabuf_rw_lane_get(struct dmabuf_rw_pool *pool, uint32_t depth,
					  uint32_t chunk);
void dmabuf_rw_lane_put(struct dmabuf_rw_pool *pool, struct dmabuf_rw_lane *lane);
/* No lane with memory gets a ring from now on: the kernel refuses this process. */
void dmabuf_rw_pool_without_rings(void);
bool dmabuf_rw_pool_has_rings(void);

/* ---- through memory: bounce.c, scratch.c ------------------------------------------------ */

/* The binding's options for bouncing, resolved. */
struct dmabuf_rw_bounce_params {
	int dmabuf_fd;
	int file_fd;
	int device_fd;		/* -1: none */
	uint32_t depth;
	uint32_t chunk;
	dmabuf_rw_copy_fn copy;
	void *copy_arg;
};

/* Constant while its binding lives, except the atomic fields. */
struct dmabuf_rw_bounce {
	struct dmabuf_rw_view view;
	int plain_fd;		/* the file without O_DIRECT, if it could be opened */
	int direct_fd;		/* with O_DIRECT; -1: the file refuses it, or no permission */
	uint32_t align;		/* of file offsets and lengths with O_DIRECT */
	bool can_read;		/* from file to buffer */
	bool can_write;
	bool regular;
	_Atomic int dontcache;	/* the file knows RWF_DONTCACHE: 1; -1: no; 0: not tried */
	uint32_t depth;
	uint32_t chunk;
	struct dmabuf_rw_scratch *scratch;	/* null: not bound, or not writable; owned */
	uint32_t lba;		/* bytes of an LBA, with @scratch */
};

/*
 * Makes a direct binding without bouncing: a module binding, or with a negative @device_fd a kernel
 * binding. 0 or -errno. In binding.c.
 */
int dmabuf_rw_bind_plain(int device_fd, int dmabuf_fd, int file_fd,
			 struct dmabuf_rw_binding **binding);

/* Fills @error with the reason on failure. */
int dmabuf_rw_bounce_create(const struct dmabuf_rw_bounce_params *params,
			    struct dmabuf_rw_error *error,
			    struct dmabuf_rw_bounce **bounce);
void dmabuf_rw_bounce_destroy(struct dmabuf_rw_bounce *bounce);

/* Current size of the file, or -errno. */
int64_t dmabuf_rw_bounce_file_bytes(const struct dmabuf_rw_bounce *bounce);

/*
 * Moves the bytes of @t from @p->done up to @end. Returns 0, also if the file ends before, or an
 * errno, positive.
 */
int dmabuf_rw_bounce_run(struct dmabuf_rw_bounce *bounce,
			 const struct dmabuf_rw_transfer *t,
			 struct dmabuf_rw_progress *p, uint64_t end);

/* The next offset after @file_off, where the module found no block, at which it may find one. */
uint64_t dmabuf_rw_bounce_data_after(const struct dmabuf_rw_bounce *bounce,
				     uint64_t file_off);

/*
 * Scratch memory, to be bound to the binding's file in the same way (dmabuf_rw_bind_plain()). An
 * LBA has @lba bytes. The first write that needs it makes the binding. Duplicates the descriptors.
 * 0 or -errno.
 */
int dmabuf_rw_scratch_create(int device_fd, int file_fd, uint32_t lba,
			     struct dmabuf_rw_scratch **scratch);
void dmabuf_rw_scratch_destroy(struct dmabuf_rw_scratch *scratch);
/* Called once in a child, while it has one thread. */
void dmabuf_rw_scratch_after_fork(void);
/*
 * Like dmabuf_rw_bounce_run(), for writes; @view is the buffer's. EDOM: no scratch memory, or the
 * drive cannot write the file's last, partial LBA. ENXIO: no block.
 */
int dmabuf_rw_scratch_write(struct dmabuf_rw_scratch *scratch,
			    const struct dmabuf_rw_view *view,
			    const struct dmabuf_rw_transfer *t,
			    struct dmabuf_rw_progress *p, uint64_t end);

/* ---- kernel bindings: kernel_way.c ------------------------------------------------------- */

/* Maximum of a transfer's entries in flight, and of an entry's bytes. */
#define DMABUF_RW_KERNEL_DEPTH	64
#define DMABUF_RW_KERNEL_ENTRY	(1U << 20)
/* PRP entries begin at dwords (NVM Express Base Specification 2.0, 4.1.1). */
#define DMABUF_RW_KERNEL_ALIGN	4

struct dmabuf_rw_kernel {
	struct dmabuf_rw_pool pool;	/* owns its two descriptors */
	uint64_t buf_bytes;
	uint32_t lba;		/* unit of file offsets and lengths */
	bool can[2];		/* by enum dmabuf_rw_op */
	_Atomic int flush_fd;	/* the disk, opened by the first flush; -1: not yet; owned */
	_Atomic unsigned int refs;	/* its binding's, and those of queues that attached it */
	_Atomic bool dead;	/* its binding is destroyed */
};

/* -errno with @error filled, which may be about the pair or about the call. */
int dmabuf_rw_kernel_create(int dmabuf_fd, int file_fd, struct dmabuf_rw_error *error,
			    struct dmabuf_rw_kernel **kernel);
/* Frees everything but the structure, which stays until @refs drops to 0. Takes null. */
void dmabuf_rw_kernel_destroy(struct dmabuf_rw_kernel *kernel);
/* Drops one of @refs. Makes no system call, so it is no cancellation point. */
void dmabuf_rw_kernel_put(struct dmabuf_rw_kernel *kernel);

/* Current size of the disk, or -errno. */
int64_t dmabuf_rw_kernel_file_bytes(const struct dmabuf_rw_kernel *kernel);

/* One entry. */
struct dmabuf_rw_kernel_io {
	uint64_t file_off, buf_off;
	uint32_t len;
	unsigned int tries;	/* owned by kernel_way.c */
	int64_t res;		/* out: bytes; or -errno, translated to the module's */
};

/*
 * Moves @nr entries, at most DMABUF_RW_KERNEL_DEPTH, in parallel, and sets the result of each.
 * EINTR: a signal arrived. Another errno, positive: none was started.
 */
int dmabuf_rw_kernel_move(struct dmabuf_rw_kernel *kernel, uint32_t op,
			  struct dmabuf_rw_kernel_io *ios, unsigned int nr);
/* Makes written data durable. 0 or an errno, positive. */
int dmabuf_rw_kernel_flush(struct dmabuf_rw_kernel *kernel);
/* True if a transfer that passed dmabuf_rw_check() can be one entry. */
bool dmabuf_rw_kernel_takes(const struct dmabuf_rw_kernel *kernel,
			    const struct dmabuf_rw_transfer *t);
/*
 * Moves the bytes from p->done up to @end. Returns 0, also at the end of the file, or the errno
 * that ended it.
 */
int dmabuf_rw_kernel_run(const struct dmabuf_rw_binding *binding,
			 const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
			 uint64_t end);

/* ---- blocks that have been written: written.c ---------------------------------------- */

/* True if BIND found no block, by @info, but the file system shows blocks that were written. */
bool dmabuf_rw_is_clone(const struct dmabuf_rw_info *info, int file_fd);
/*
 * The end, at most @end, of a range from @off on that was never written; @off if not known. Writes
 * back the file's dirty pages.
 */
uint64_t dmabuf_rw_unwritten_until(int fd, uint64_t off, uint64_t end);

/* ---- zeros for blocks never written: zeros.c -------------------------------------------- */

struct dmabuf_rw_zeros {
	int fd;			/* the file, for opening it anew; of the bounce, or owned */
	bool ours;
	_Atomic int plain, direct;	/* opened for writing, without and with O_DIRECT; -1 */
	uint32_t how;		/* DMABUF_RW_ZEROS_* */
	uint64_t block;		/* size of a file system block, or of a page */
	_Atomic bool drive_cannot;	/* drive, file system or kernel has refused */
	_Atomic unsigned int in_vain;	/* times that the module found no block after zeros */
};

/* Lets file system and drive write zeros without data. 0 or -errno, also if they cannot. */
int dmabuf_rw_drive_zeros(int fd, uint64_t off, uint64_t len);
/*
 * 0, with null if the file is not regular or not writable; or -errno. Borrows descriptors from
 * @bounce, which may be null, and must outlive it.
 */
int dmabuf_rw_zeros_create(int file_fd, const struct dmabuf_rw_bounce *bounce, uint32_t how,
			   struct dmabuf_rw_zeros **zeros);
void dmabuf_rw_zeros_destroy(struct dmabuf_rw_zeros *zeros);
/*
 * Before a write of @len bytes at @off: puts zeros into its blocks from @off on. Returns the number
 * of bytes that now have written blocks; 0: no block can get zeros; or -errno.
 */
int64_t dmabuf_rw_zeros_put(struct dmabuf_rw_zeros *zeros, uint64_t off, uint64_t len,
			    struct dmabuf_rw_progress *p);

/* ---- entries of a ring: sqe.c ------------------------------------------------------- */

/* Fills the first 64 bytes of @sqe except user_data; see enum dmabuf_rw_uring_op. */
void dmabuf_rw_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t op,
			uint64_t file_off, uint64_t addr3, uint32_t len,
			uint64_t flags);
/* The same for enum dmabuf_rw_op @op of a kernel binding. */
void dmabuf_rw_kernel_fill_sqe(struct io_uring_sqe *sqe, const struct dmabuf_rw_kernel *kernel,
			       uint32_t op, uint32_t slot, uint64_t file_off, uint64_t buf_off,
			       uint32_t len);

#endif /* DMABUF_RW_PRIVATE_H */
