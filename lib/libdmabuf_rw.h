/* SPDX-License-Identifier: MIT */
/*
 * libdmabuf_rw.h - transfers between storage and dma-bufs, without a copy.
 *
 * Objects
 *   device	the module's node, open
 *   binding	one dma-buf joined to one file: an NVMe disk or partition, or a regular
 *		file on an ext4 or XFS file system on one
 *   queue	many transfers in flight, submitted and reaped like io_uring's
 *
 * A buffer is a dma-buf descriptor and a place in it is a byte offset; there is no
 * pointer. dmabuf_rw.h, the kernel's interface, gives the flags, the structures that
 * are shared with the kernel (query, info, piece) and what each errno means.
 *
 * Conventions
 *   - Offsets and lengths are bytes.
 *   - Functions that can fail return a negative errno (never -1 with errno); on
 *     failure they store nothing in their output parameters, except that a struct
 *     dmabuf_rw_error or dmabuf_rw_result is always filled.
 *   - Option structures begin with their size, set with sizeof(); fields that a
 *     caller does not know are zero. A null pointer means all defaults. Reserved
 *     fields and unknown flags must be zero (-EINVAL).
 *   - Destroying functions take a null pointer, and cannot fail.
 *   - Descriptors that are passed in stay the caller's; the library keeps none.
 *   - Every transfer goes direct or fails; there is no silent copy through memory.
 *
 * Thread-safety
 *   - A device and a binding may be used by any number of threads at once.
 *   - A queue belongs to one thread at a time: the caller sees to it that calls on
 *     one queue do not overlap. With DMABUF_RW_QUEUE_SINGLE_THREAD it belongs to the
 *     thread that created it, for good.
 *   - Destroying an object must not overlap any other use of it.
 *   - After fork() the child must not use queues of the parent.
 */
#ifndef LIBDMABUF_RW_H
#define LIBDMABUF_RW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <dmabuf_rw.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DMABUF_RW_VERSION_MAJOR	0
#define DMABUF_RW_VERSION_MINOR	1
#define DMABUF_RW_VERSION_PATCH	0

struct io_uring_sqe;

struct dmabuf_rw_device;
struct dmabuf_rw_binding;
struct dmabuf_rw_queue;

/* Version of the library that runs, "major.minor.patch". */
const char *dmabuf_rw_version(void);

/* ---- Errors ------------------------------------------------------------------ */

/* What was being done when an error arose; some errnos depend on it. */
enum dmabuf_rw_call {
	DMABUF_RW_CALL_NONE	= 0,
	DMABUF_RW_CALL_OPEN	= 1,	/* opening the module's node */
	DMABUF_RW_CALL_QUERY	= 2,
	DMABUF_RW_CALL_BIND	= 3,
	DMABUF_RW_CALL_INFO	= 4,
	DMABUF_RW_CALL_IO	= 5,	/* a transfer, of either kind */
	DMABUF_RW_CALL_QUEUE	= 6,	/* creating or entering a queue */
	DMABUF_RW_CALL_FILE	= 7,	/* dmabuf_rw_file_*(), which make files */
};

/**
 * struct dmabuf_rw_error - one failure, fit to be turned into a sentence
 * @call:	enum dmabuf_rw_call
 * @err:	errno, positive; 0: no error
 * @reason:	enum dmabuf_rw_reason; 0 where only the errno is known
 * @detail:	errno of the buffer's exporter, positive; 0: none
 * @resv:	zero
 */
struct dmabuf_rw_error {
	uint32_t call;
	int32_t err;
	uint32_t reason;
	int32_t detail;
	uint64_t resv[2];
};

/*
 * What is wrong, and what to do about it: each a sentence without a full stop, never
 * null. Static storage. For an errno alone, fill @call and @err.
 */
const char *dmabuf_rw_error_cause(const struct dmabuf_rw_error *error);
const char *dmabuf_rw_error_remedy(const struct dmabuf_rw_error *error);

/*
 * Both together with the exporter's errno where there is one: "cause (detail):
 * remedy". Returns the length that the whole sentence has, like snprintf(); @buf is
 * always terminated if @len is not 0.
 */
size_t dmabuf_rw_error_format(const struct dmabuf_rw_error *error, char *buf,
			      size_t len);

/* Names as the header spells them: "EADDRNOTAVAIL", "NOT_TRANSLATED"; or null. */
const char *dmabuf_rw_errno_name(int err);
const char *dmabuf_rw_reason_name(unsigned int reason);

/* ---- Device ------------------------------------------------------------------- */

/**
 * struct dmabuf_rw_device_opts - how to open the module's node
 * @size:	sizeof(struct dmabuf_rw_device_opts)
 * @flags:	zero
 * @path:	the node; null: DMABUF_RW_DEVICE
 * @error:	filled on failure, if not null
 */
struct dmabuf_rw_device_opts {
	size_t size;
	uint64_t flags;
	const char *path;
	struct dmabuf_rw_error *error;
};

/*
 * Opens the node and checks that the module's interface is one that this library
 * speaks. -ENOENT, -ENXIO: the module is not loaded; -EACCES: no permission for the
 * node; -EPROTONOSUPPORT: interface of another major version.
 */
int dmabuf_rw_device_open(const struct dmabuf_rw_device_opts *opts,
			  struct dmabuf_rw_device **device);
/* Bindings and queues made through the device stay usable. */
void dmabuf_rw_device_close(struct dmabuf_rw_device *device);
int dmabuf_rw_device_fd(const struct dmabuf_rw_device *device);
/* @query->size must be set; the rest is cleared, then filled. What the module is able to do. */
int dmabuf_rw_device_query(const struct dmabuf_rw_device *device,
			   struct dmabuf_rw_query *query);

/* ---- Binding ------------------------------------------------------------------ */

/**
 * struct dmabuf_rw_binding_opts - how to bind
 * @size:	sizeof(struct dmabuf_rw_binding_opts)
 * @flags:	DMABUF_RW_BIND_*, for instance DMABUF_RW_BIND_DEVICE_MEMORY
 * @error:	filled on failure, if not null: why it was refused
 */
struct dmabuf_rw_binding_opts {
	size_t size;
	uint64_t flags;
	struct dmabuf_rw_error *error;
};

/*
 * Joins @dmabuf_fd to @file_fd. Everything that can be checked is checked now; the
 * caller may close both descriptors afterwards. Errors: the table in dmabuf_rw.h.
 */
int dmabuf_rw_binding_create(struct dmabuf_rw_device *device, int dmabuf_fd,
			     int file_fd,
			     const struct dmabuf_rw_binding_opts *opts,
			     struct dmabuf_rw_binding **binding);
/*
 * Makes a binding of a descriptor that came from elsewhere (another process, a
 * restart). On success the descriptor is the library's. -ENOTTY: not a binding.
 */
int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding);
/* Closes the descriptor. No transfer of a queue may be in flight on the binding. */
void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding);
/* Stays the library's; dup() it to keep or to pass it. */
int dmabuf_rw_binding_fd(const struct dmabuf_rw_binding *binding);
/* @info->size must be set; the rest is cleared, then filled. What bind found, and counters. */
int dmabuf_rw_binding_info(const struct dmabuf_rw_binding *binding,
			   struct dmabuf_rw_info *info);

/* Names for values in struct dmabuf_rw_info: "RAM", "BAR"; "none", "translated". */
const char *dmabuf_rw_class_name(unsigned int mem_class);
const char *dmabuf_rw_iommu_name(unsigned int iommu);
/* "dddd:bb:dd.f" of a PCI address in @info; @buf of at least 16 bytes. */
const char *dmabuf_rw_pci_name(uint32_t pci, char *buf, size_t len);
/*
 * Whether the transfers are peer to peer, over which way, and if not, why: a sentence.
 * Returns its length like snprintf().
 */
size_t dmabuf_rw_info_describe(const struct dmabuf_rw_info *info, char *buf,
			       size_t len);

/* ---- Synchronous transfers ----------------------------------------------------- */

/* The way that the bytes took. */
enum dmabuf_rw_path {
	DMABUF_RW_PATH_NONE	= 0,	/* nothing was moved */
	DMABUF_RW_PATH_DIRECT	= 1,	/* by the drive's own DMA to the buffer */
};

const char *dmabuf_rw_path_name(unsigned int path);

/**
 * struct dmabuf_rw_result - how a transfer went, beyond its byte count
 * @size:	in: sizeof(struct dmabuf_rw_result)
 * @error:	out: errno, positive, that ended it, also where bytes were moved
 *		before; 0: complete, or short at the end of the file
 * @path:	out: enum dmabuf_rw_path
 * @direct_bytes: out: bytes moved by the drive's own DMA
 */
struct dmabuf_rw_result {
	size_t size;
	int32_t error;
	uint32_t path;
	uint64_t direct_bytes;
};

/*
 * Move @len bytes between the file at @file_off and the buffer at @buf_off; read is
 * from file to buffer. @flags: DMABUF_RW_IO_*. @result may be null. Any length:
 * the library asks the kernel again until everything is moved, the file ends, or an
 * error arises.
 *
 * Returns the bytes moved, counted from @file_off without a gap, or -errno where
 * none was. Fewer than @len: the file ended, a signal arrived, or there was an error;
 * @result->error tells. -EINTR: a signal arrived before anything was done.
 */
ssize_t dmabuf_rw_read(const struct dmabuf_rw_binding *binding, uint64_t file_off,
		       uint64_t buf_off, uint64_t len, uint64_t flags,
		       struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_write(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			uint64_t buf_off, uint64_t len, uint64_t flags,
			struct dmabuf_rw_result *result);
/*
 * The same with @nr ranges of the buffer, filled or emptied in their order against
 * one range of the file. At most DMABUF_RW_MAX_PIECES.
 */
ssize_t dmabuf_rw_readv(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			const struct dmabuf_rw_piece *pieces, unsigned int nr,
			uint64_t flags, struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_writev(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			 const struct dmabuf_rw_piece *pieces, unsigned int nr,
			 uint64_t flags, struct dmabuf_rw_result *result);

/* ---- Queue --------------------------------------------------------------------- */

/* Poll for completions; needs a drive with poll queues (nvme.poll_queues). */
#define DMABUF_RW_QUEUE_IOPOLL		(1ULL << 0)
/* A kernel thread submits; costs a CPU while the queue is busy. */
#define DMABUF_RW_QUEUE_SQPOLL		(1ULL << 1)
/*
 * Only the creating thread will ever use the queue, destroying included. Cheaper; not
 * with SQPOLL. Submitting and reaping give other threads -EEXIST.
 */
#define DMABUF_RW_QUEUE_SINGLE_THREAD	(1ULL << 2)

#define DMABUF_RW_QUEUE_MAX_DEPTH	16384
#define DMABUF_RW_QUEUE_MAX_ATTACHED	64

/**
 * struct dmabuf_rw_queue_opts - how to create a queue
 * @size:	sizeof(struct dmabuf_rw_queue_opts)
 * @flags:	DMABUF_RW_QUEUE_*
 * @depth:	transfers in flight at most; 0: 128
 * @sq_idle_ms:	with SQPOLL, how long the kernel thread spins; 0: the kernel's choice
 * @error:	filled on failure, if not null
 */
struct dmabuf_rw_queue_opts {
	size_t size;
	uint64_t flags;
	uint32_t depth;
	uint32_t sq_idle_ms;
	struct dmabuf_rw_error *error;
};

/**
 * struct dmabuf_rw_completion - one finished transfer
 * @user_data:	what was given at submission
 * @bytes:	bytes moved without a gap, or -errno where none was
 * @error:	as in struct dmabuf_rw_result
 * @path:	enum dmabuf_rw_path
 * @direct_bytes: bytes moved by the drive's own DMA
 * @resv:	zero
 */
struct dmabuf_rw_completion {
	uint64_t user_data;
	int64_t bytes;
	int32_t error;
	uint32_t path;
	uint64_t direct_bytes;
	uint64_t resv[2];
};

int dmabuf_rw_queue_create(const struct dmabuf_rw_queue_opts *opts,
			   struct dmabuf_rw_queue **queue);
/*
 * Waits until the drive is done with everything that was submitted, then drops the
 * completions nobody reaped. Transfers that were queued but not yet submitted do not
 * happen. When it returns, nothing touches the buffers any more on the queue's behalf.
 */
void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue);

/*
 * Makes the queue's transfers on @binding cheaper: the kernel looks the binding up once,
 * now, instead of at each of them. For bindings that carry many small transfers; others
 * need not be attached. Until it is detached or the queue destroyed, the queue holds the
 * binding open in the kernel, so detach before destroying the binding.
 * -EEXIST: it is attached; -ENOSPC: DMABUF_RW_QUEUE_MAX_ATTACHED are.
 */
int dmabuf_rw_queue_attach(struct dmabuf_rw_queue *queue,
			   const struct dmabuf_rw_binding *binding);
/* None of its transfers may be pending on the queue. Allowed when not attached. */
void dmabuf_rw_queue_detach(struct dmabuf_rw_queue *queue,
			    const struct dmabuf_rw_binding *binding);

/*
 * Queue one transfer; nothing happens before the next submit or reap. Same meaning as
 * the synchronous calls, any length included. 0, or -EAGAIN: the queue is full, reap
 * first. @pieces must stay until the completion is reaped.
 */
int dmabuf_rw_queue_read(struct dmabuf_rw_queue *queue,
			 const struct dmabuf_rw_binding *binding, uint64_t file_off,
			 uint64_t buf_off, uint64_t len, uint64_t flags,
			 uint64_t user_data);
int dmabuf_rw_queue_write(struct dmabuf_rw_queue *queue,
			  const struct dmabuf_rw_binding *binding, uint64_t file_off,
			  uint64_t buf_off, uint64_t len, uint64_t flags,
			  uint64_t user_data);
int dmabuf_rw_queue_readv(struct dmabuf_rw_queue *queue,
			  const struct dmabuf_rw_binding *binding,
			  uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			  unsigned int nr, uint64_t flags, uint64_t user_data);
int dmabuf_rw_queue_writev(struct dmabuf_rw_queue *queue,
			   const struct dmabuf_rw_binding *binding,
			   uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			   unsigned int nr, uint64_t flags, uint64_t user_data);

/* Hands what was queued to the kernel. Returns 0 or -errno. */
int dmabuf_rw_queue_submit(struct dmabuf_rw_queue *queue);
/*
 * Submits what was queued, waits until @min transfers have finished (or as many as are
 * in flight, if fewer), and stores up to @max completions. @timeout: relative, null
 * for ever. Returns how many were stored: fewer than @min after the timeout or a
 * signal. -EINTR: a signal, and nothing was stored.
 */
int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue,
			 struct dmabuf_rw_completion *completions, unsigned int max,
			 unsigned int min, const struct timespec *timeout);
/* Transfers queued or submitted whose completion has not been reaped. */
unsigned int dmabuf_rw_queue_pending(const struct dmabuf_rw_queue *queue);
unsigned int dmabuf_rw_queue_depth(const struct dmabuf_rw_queue *queue);

/* ---- Entries for a ring that the caller owns ------------------------------------ */

/*
 * Fill a submission queue entry of the caller's own io_uring, of 64 or 128 bytes. All
 * of the first 64 bytes are set, except user_data, which is left as it is; the rest of
 * a 128-byte entry has no meaning. The completion's res is as dmabuf_rw.h says: at
 * most DMABUF_RW_MAX_BYTES, and a short result means "ask for the rest". @pieces must
 * stay as dmabuf_rw.h says.
 */
void dmabuf_rw_prep_read(struct io_uring_sqe *sqe,
			 const struct dmabuf_rw_binding *binding, uint64_t file_off,
			 uint64_t buf_off, uint32_t len, uint64_t flags);
void dmabuf_rw_prep_write(struct io_uring_sqe *sqe,
			  const struct dmabuf_rw_binding *binding, uint64_t file_off,
			  uint64_t buf_off, uint32_t len, uint64_t flags);
void dmabuf_rw_prep_readv(struct io_uring_sqe *sqe,
			  const struct dmabuf_rw_binding *binding,
			  uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			  uint32_t nr, uint64_t flags);
void dmabuf_rw_prep_writev(struct io_uring_sqe *sqe,
			   const struct dmabuf_rw_binding *binding,
			   uint64_t file_off, const struct dmabuf_rw_piece *pieces,
			   uint32_t nr, uint64_t flags);
/*
 * Points a prepared entry at slot @index of the ring's registered files, where the
 * caller has put the binding's descriptor. Saves the kernel a lookup per transfer.
 */
void dmabuf_rw_sqe_set_fixed_file(struct io_uring_sqe *sqe, unsigned int index);

#ifdef __cplusplus
}
#endif

#endif /* LIBDMABUF_RW_H */
