/* SPDX-License-Identifier: MIT */
/*
 * libdmabuf_rw.h - transfers between storage and dma-bufs, without a copy.
 *
 * Objects
 *   device	the module's node, open
 *   binding	one dma-buf joined to one file: an NVMe disk or partition, or a regular
 *		file on an ext4 or XFS file system on one
 *   queue	many transfers in flight, submitted and reaped like io_uring's
 *   file	a new regular file of a known size, made so that it can be written to
 *		directly, which gets its name when its contents are there
 *
 * A buffer is a dma-buf descriptor and a place in it is a byte offset; there is no
 * pointer. dmabuf_rw.h, the kernel's interface, gives the flags, the structures that
 * are shared with the kernel (query, info, piece) and what each errno means.
 *
 * Conventions
 *   - Offsets and lengths are bytes.
 *   - Functions that can fail return a negative errno (never -1 with errno); on
 *     failure they store nothing in their output parameters, except that a struct
 *     dmabuf_rw_error or dmabuf_rw_result is always filled, unless the size that comes
 *     before it is too small to have it.
 *   - Structures that may grow begin with their size, set with sizeof(); fields that a
 *     caller does not know are zero. A null pointer to options means all defaults. Reserved
 *     fields and unknown flags must be zero (-EINVAL). Options that this library does not
 *     know, since the program was built for a newer one, must be zero (-E2BIG).
 *   - Destroying functions take a null pointer, and cannot fail.
 *   - Descriptors that are passed in stay the caller's; the library keeps none, but
 *     duplicates of its own where bouncing is allowed.
 *     A binding takes one descriptor, with bouncing up to seven; a queue two, and with
 *     dmabuf_rw_queue_fd() up to five.
 *   - Every transfer goes direct or fails, unless the caller has allowed that binding
 *     to bounce. Every result says which way its bytes took.
 *
 * Files. A binding keeps nobody from changing, truncating, renaming or removing its file; a
 * transfer sees the file as it is at that moment. Transfers that go direct do not make it
 * longer, and find only what has been written: see ENXIO in dmabuf_rw.h, and
 * dmabuf_rw_error_explain().
 *
 * Bouncing. A binding that was made with allow_bounce takes any file that pread() and
 * pwrite() take. What the kernel's module cannot do, the library does by reading into or
 * writing from memory of its own (O_DIRECT where the file has it, several chunks at a time)
 * and copying between that and the buffer: through the buffer's CPU mapping, or by a function
 * of the caller's. The memory is @bounce_depth times @bounce_chunk for each transfer that
 * bounces at the time, whatever the number of bindings, and locked down. What bounces is
 *   - everything, if the module refused the pair or is not there: a bounce-only binding,
 *     whose refusal dmabuf_rw_binding_refusal() keeps. Writing behind the end of a regular
 *     file makes it grow then, as with pwrite();
 *   - of a pair that can go direct, the ranges that the module refuses with EDOM
 *     (alignment) and ENXIO (holes, and what was never written). All else stays direct.
 *
 * Unaligned writes. The drive writes whole LBAs (write_align in the info), or up to the end
 * of a regular file. Where a write begins or ends elsewhere, the rest of that LBA must be
 * read, changed and written, which is bouncing: those bytes are counted as bounced, and
 * without permission, or where the buffer has neither a CPU mapping nor a copy function, the
 * whole write fails with EDOM. It takes scratch memory, which is bound to the same file or
 * disk (/dev/udmabuf; without it EDOM), and a lock of this process. So writes that meet
 * within an LBA do not undo each other if the same process makes them through bindings that
 * allow bouncing. Other processes are not kept out: theirs must not be within the same LBA
 * at the same time. If the drive takes no SGLs, the last, partial LBA of a file goes through
 * the page cache instead, and writes to the same page must not run at the same time.
 *
 * Bouncing opens the file anew and closes it again. As with every close(2), record locks of
 * fcntl(2) that the process has on that file are gone then; those of flock(2) and
 * F_OFD_SETLK are not.
 *
 * The page cache. A transfer leaves it no fuller than it was. What goes direct does not
 * touch it, nor does O_DIRECT. What has to go through it, because the file refuses
 * O_DIRECT, is dropped again if it was not there before; written pages are waited for, so
 * they are on the drive as after O_DIRECT. This stays in the page cache all the same:
 *   - pages that a bounced write covers in part, so two at most for each of them;
 *   - pages that two transfers share, or a transfer and somebody else, at the same time;
 *   - all that was read or written, if the kernel may not be asked what was there before:
 *     Linux before 6.5; or the file is not writable for the caller nor its own, unless it
 *     is only read, and its file system knows RWF_DONTCACHE (Linux 6.14);
 *   - what the kernel reads ahead, if the file cannot be opened anew by /proc/self/fd;
 *   - what ext4 writes by way of its journal (data=journal), until that has been emptied.
 *
 * Thread-safety
 *   - A device and a binding may be used by any number of threads at once.
 *   - A queue belongs to one thread at a time: the caller sees to it that calls on
 *     one queue do not overlap. With DMABUF_RW_QUEUE_SINGLE_THREAD it belongs to the
 *     thread that created it, for good.
 *   - A file object belongs to one thread at a time.
 *   - Destroying an object must not overlap any other use of it.
 *   - A queue runs bounced transfers in threads of its own, which block all signals but
 *     those that tell of a fault in what they do, SIGBUS among them.
 *   - No function is a cancellation point of pthread_cancel(3), and none may be called in a
 *     signal handler: have it set a flag, or use signalfd(2). fork(3) may.
 *
 * Fork. What a child process may do with the objects of its parent:
 *   device	everything
 *   binding	everything, as the parent may at the same time; bounced transfers have
 *		memory of their own in each process. A copy function is called in the child
 *		like any other, so what it uses must have survived the fork
 *   queue	be destroyed, which lets go of the child's part and waits for nothing; all
 *		else gives -ECHILD, and nothing is pending. The parent's transfers go on
 *   file	its descriptor, and be closed, which leaves the parent's file alone. Committing
 *		gives -ECHILD
 * A program that becomes a daemon makes its queues and files afterwards. A child that closes
 * all descriptors must leave the objects that it inherited alone.
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
#define DMABUF_RW_VERSION_MINOR	2
#define DMABUF_RW_VERSION_PATCH	0

struct io_uring_sqe;

struct dmabuf_rw_device;
struct dmabuf_rw_binding;
struct dmabuf_rw_queue;
struct dmabuf_rw_file;

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

/*
 * Reasons that are the library's own. The kernel's (enum dmabuf_rw_reason) stay below
 * the first of them.
 */
enum dmabuf_rw_library_reason {
	/* ENODEV: bound without a device */
	DMABUF_RW_REASON_NO_DEVICE		= 1000,
	/*
	 * EOPNOTSUPP: bouncing, and the buffer has neither a CPU mapping nor a copy function;
	 * detail = errno
	 */
	DMABUF_RW_REASON_NO_CPU_ACCESS		= 1001,
	/* ESPIPE: bouncing, and the file takes no pread() and pwrite() */
	DMABUF_RW_REASON_NOT_SEEKABLE		= 1002,
	/* EINVAL: bouncing allowed, device memory insisted on */
	DMABUF_RW_REASON_CONTRADICTION		= 1003,

	/* Of new files. ENOENT: a link to nothing */
	DMABUF_RW_REASON_DANGLING_LINK		= 1004,
	/* EEXIST: the path leads to /proc */
	DMABUF_RW_REASON_DESCRIPTOR		= 1005,
	/* EACCES: another user's link in a directory like /tmp */
	DMABUF_RW_REASON_UNTRUSTED_LINK		= 1006,
	/* EPERM: the file is immutable or append-only */
	DMABUF_RW_REASON_FILE_ATTRIBUTE		= 1007,
	/* EPERM: so is its directory */
	DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE	= 1008,
	/* EPERM: another user's file in a directory like /tmp */
	DMABUF_RW_REASON_STICKY			= 1009,
	/* EBUSY: something is mounted on the file */
	DMABUF_RW_REASON_MOUNT_POINT		= 1010,
	/* any errno: the old file's security label cannot be given */
	DMABUF_RW_REASON_LABEL			= 1011,

	/* Of files. ENXIO: a hole, or space that was only allocated */
	DMABUF_RW_REASON_NEVER_WRITTEN		= 1012,
	/* ENXIO: the file is or was a clone (reflink) on XFS */
	DMABUF_RW_REASON_CLONE			= 1013,
};

/**
 * struct dmabuf_rw_error - one failure, fit to be turned into a sentence
 * @call:	enum dmabuf_rw_call
 * @err:	errno, positive; 0: no error
 * @reason:	enum dmabuf_rw_reason or enum dmabuf_rw_library_reason; 0 where only the
 *		errno is known
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

/*
 * 1 if an error of bind says that this pair cannot go direct; 0 if it is about the call, or the
 * moment: a descriptor that is not open, no memory, a signal.
 */
int dmabuf_rw_error_is_about_pair(const struct dmabuf_rw_error *error);

/*
 * Finds out more about an error of a transfer: with the errno ENXIO, @file_off being the
 * first byte that was not moved and @file_fd its file, open in any mode, it sets the reason
 * to NEVER_WRITTEN or CLONE. Writes out what is dirty in the file. Leaves other errors alone.
 */
void dmabuf_rw_error_explain(struct dmabuf_rw_error *error, int file_fd, uint64_t file_off);

/* Names as the header spells them: "EADDRNOTAVAIL", "NOT_TRANSLATED"; or null. */
const char *dmabuf_rw_errno_name(int err);
const char *dmabuf_rw_reason_name(unsigned int reason);

/* ---- Device ------------------------------------------------------------------- */

/**
 * struct dmabuf_rw_device_opts - how to open the module's node
 * @size:	sizeof(struct dmabuf_rw_device_opts)
 * @error:	filled on failure, if not null
 * @flags:	zero
 * @path:	the node; null: DMABUF_RW_DEVICE
 */
struct dmabuf_rw_device_opts {
	size_t size;
	struct dmabuf_rw_error *error;
	uint64_t flags;
	const char *path;
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
/*
 * @query->size must be set; the rest is cleared, then filled. What the module is able to do.
 * -EINVAL: the size is that of no version of the structure.
 */
int dmabuf_rw_device_query(const struct dmabuf_rw_device *device,
			   struct dmabuf_rw_query *query);

/* ---- Binding ------------------------------------------------------------------ */

/* Which way a copy function copies. */
enum dmabuf_rw_copy {
	DMABUF_RW_COPY_TO_BUFFER	= 0,	/* from @host to the buffer */
	DMABUF_RW_COPY_FROM_BUFFER	= 1,	/* from the buffer to @host */
};

/*
 * Copies @len bytes between @host and the buffer at @buf_off, and returns 0 when they are
 * there, or -errno, which ends the transfer and is told as it is (but EINTR and ECANCELED,
 * which become EIO). Never called for a range outside the buffer. Called by the thread that
 * transfers or by a queue's, and by several at once.
 */
typedef int (*dmabuf_rw_copy_fn)(void *arg, enum dmabuf_rw_copy direction,
				 uint64_t buf_off, void *host, size_t len);

/* Limits of @bounce_chunk and @bounce_depth. */
#define DMABUF_RW_BOUNCE_MIN_CHUNK	65536
#define DMABUF_RW_BOUNCE_MAX_CHUNK	(16U << 20)
#define DMABUF_RW_BOUNCE_MAX_DEPTH	64

/**
 * struct dmabuf_rw_binding_opts - how to bind
 * @size:	sizeof(struct dmabuf_rw_binding_opts)
 * @error:	filled on failure, if not null: why it was refused
 * @flags:	DMABUF_RW_BIND_*, for instance DMABUF_RW_BIND_DEVICE_MEMORY
 * @allow_bounce: 1: transfers that cannot go direct may go through memory, see "Bouncing"
 *		above; not together with DMABUF_RW_BIND_DEVICE_MEMORY
 * @bounce_depth: chunks in flight in a bounced transfer; 0: the library's choice
 * @bounce_chunk: bytes of a chunk, a power of two; 0: the library's choice
 * @copy:	copies to and from the buffer in place of its CPU mapping; null: use that
 * @copy_arg:	for @copy
 *
 * What follows @allow_bounce is zero unless that is 1.
 */
struct dmabuf_rw_binding_opts {
	size_t size;
	struct dmabuf_rw_error *error;
	uint64_t flags;
	uint32_t allow_bounce;
	uint32_t bounce_depth;
	uint64_t bounce_chunk;
	dmabuf_rw_copy_fn copy;
	void *copy_arg;
};

/*
 * Joins @dmabuf_fd to @file_fd. Everything that can be checked is checked now; the
 * caller may close both descriptors afterwards. Errors: the table in dmabuf_rw.h, and
 * enum dmabuf_rw_library_reason; -ENXIO: the file is a CLONE. @device may be null if @opts
 * allows bouncing: then nothing goes direct.
 *
 * With bouncing allowed, a refusal that is about the pair makes a bounce-only binding. One
 * that is about the call itself is still an error: a descriptor that is not open or no
 * dma-buf, open modes that allow neither direction, a drive that is gone, a signal, no
 * memory or descriptors left. A pair that cannot go direct is refused if the buffer has
 * neither a CPU mapping nor a copy function; of one that can, the ranges that would have to
 * bounce fail then as if bouncing were not allowed.
 *
 * A buffer that its exporter takes away while it is mapped raises SIGBUS when it is
 * touched, as in every mapping of it.
 */
int dmabuf_rw_binding_create(const struct dmabuf_rw_device *device, int dmabuf_fd,
			     int file_fd,
			     const struct dmabuf_rw_binding_opts *opts,
			     struct dmabuf_rw_binding **binding);
/*
 * Makes a binding of a descriptor that came from elsewhere (another process, a restart).
 * It does not bounce, as only a descriptor was passed on. On success the descriptor is the
 * library's. -ENOTTY: not a binding.
 */
int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding);
/*
 * Closes the descriptor. No transfer of a queue may be pending on it: reap
 * them, or destroy the queue first.
 */
void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding);
/* Stays the library's; dup() it to keep or to pass it. -1: the binding is bounce-only. */
int dmabuf_rw_binding_fd(const struct dmabuf_rw_binding *binding);
/*
 * Why a binding is bounce-only: 1, with *@error as it would have been returned if bouncing
 * were not allowed. 0 for every other binding, with *@error cleared.
 */
int dmabuf_rw_binding_refusal(const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_error *error);

/* The ways that its transfers may take: enum dmabuf_rw_path, never NONE. */
uint32_t dmabuf_rw_binding_path(const struct dmabuf_rw_binding *binding);

/* In the info of a bounce-only binding; never set by the kernel. */
#define DMABUF_RW_INFO_BOUNCE_ONLY	(1ULL << 63)

/*
 * @info->size must be set; the rest is cleared, then filled. What bind found, and counters.
 * -EINVAL: the size is that of no version of the structure.
 * For a bounce-only binding the library fills CAN_READ, CAN_WRITE, REGULAR, BOUNCE_ONLY,
 * the two sizes and alignments of 1; nothing is known of a drive.
 */
int dmabuf_rw_binding_info(const struct dmabuf_rw_binding *binding,
			   struct dmabuf_rw_info *info);
/*
 * Whether, of a pair that can be bound, no transfer would go direct now, as the file has no
 * block that the drive could be asked for: 1, with *@error saying why (CLONE, or
 * NEVER_WRITTEN, which ends when the file is written). 0: some would; *@error is cleared.
 * @info is of a binding of the file at @file_fd, open in any mode. May write out what is dirty
 * in the file.
 */
int dmabuf_rw_info_refusal(const struct dmabuf_rw_info *info, int file_fd,
			   struct dmabuf_rw_error *error);

/**
 * struct dmabuf_rw_stats - what went through a binding, by whatever queue or call
 * @size:	in: sizeof(struct dmabuf_rw_stats)
 * @direct_transfers: out: transfers of which all bytes moved by the drive's own DMA
 * @bounced_transfers: out: transfers of which all bytes were copied through memory
 * @mixed_transfers: out: transfers with bytes of both kinds
 * @direct_bytes: out: bytes moved by the drive's own DMA
 * @bounced_bytes: out: bytes copied through memory
 * @kernel_bytes: out: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL: zero
 *
 * Counts what this object was used for, by this process; entries for rings of the
 * caller's own are not in it. Each number is right by itself; together they are only
 * when no transfer runs.
 */
struct dmabuf_rw_stats {
	size_t size;
	uint64_t direct_transfers;
	uint64_t bounced_transfers;
	uint64_t mixed_transfers;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
};

int dmabuf_rw_binding_stats(const struct dmabuf_rw_binding *binding,
			    struct dmabuf_rw_stats *stats);

/* Names for values in struct dmabuf_rw_info: "RAM", "BAR"; "none", "translated". */
const char *dmabuf_rw_class_name(unsigned int mem_class);
const char *dmabuf_rw_iommu_name(unsigned int iommu);
/* "dddd:bb:dd.f" of a PCI address and its domain in @info; @buf of at least 20 bytes. */
const char *dmabuf_rw_pci_name(uint32_t domain, uint32_t pci, char *buf, size_t len);
/*
 * Whether the transfers are peer to peer, over which way, and if not, why: a sentence.
 * Returns its length like snprintf().
 */
size_t dmabuf_rw_info_describe(const struct dmabuf_rw_info *info, char *buf,
			       size_t len);

/* ---- Synchronous transfers ----------------------------------------------------- */

/*
 * The ways that bytes took, one bit for each; several transfers' are or'ed. Not bounced is
 * direct: the drive's own DMA to the buffer.
 */
enum dmabuf_rw_path {
	DMABUF_RW_PATH_NONE	= 0,		/* nothing was moved */
	DMABUF_RW_PATH_MODULE	= 1 << 0,	/* direct, by the dmabuf_rw module */
	DMABUF_RW_PATH_BOUNCED	= 1 << 1,	/* copied through memory */
	DMABUF_RW_PATH_KERNEL	= 1 << 2,	/* direct, by an interface of the kernel's own:
						 * reserved, never set */
};

/* "none", "direct", "bounced", "mixed" (the two together); "unknown" for other bits. */
const char *dmabuf_rw_path_name(unsigned int path);

/**
 * struct dmabuf_rw_result - how a transfer went, beyond its byte count
 * @size:	in: sizeof(struct dmabuf_rw_result)
 * @error:	out: errno, positive, that ended it, also where bytes were moved
 *		before; 0: complete, or short at the end of the file. For the sentences of
 *		dmabuf_rw_error_format(), put it into a struct dmabuf_rw_error as @err, with
 *		@call DMABUF_RW_CALL_IO.
 * @path:	out: enum dmabuf_rw_path
 * @direct_bytes: out: bytes moved by the drive's own DMA
 * @bounced_bytes: out: bytes copied through memory
 * @kernel_bytes: out: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL: zero
 */
struct dmabuf_rw_result {
	size_t size;
	int32_t error;
	uint32_t path;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
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

/*
 * A batch: @nr transfers of one direction, each with a place in the file and in the buffer of its
 * own, for a fraction of what they cost one by one. Any number; DMABUF_RW_MAX_BATCH of them go
 * to the kernel at a time. They run side by side, in any order, and each succeeds or fails by
 * itself: its @result is the bytes that were moved, without a gap, or -errno where none was. What
 * the module cannot do bounces, where that is allowed.
 *
 * Returns the bytes that all have moved, or -errno of the first that failed where none was.
 * @result->error: errno of the first that met one. @flags are added to those of each range;
 * with DMABUF_RW_IO_WHOLE in @flags an error of any of them is returned.
 */
ssize_t dmabuf_rw_read_many(const struct dmabuf_rw_binding *binding,
			    struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			    struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_write_many(const struct dmabuf_rw_binding *binding,
			     struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			     struct dmabuf_rw_result *result);

/* ---- Queue --------------------------------------------------------------------- */

/*
 * One thread uses the queue: the one that creates it. Cheaper. Calls of other threads give
 * -EEXIST, but for destroying.
 */
#define DMABUF_RW_QUEUE_SINGLE_THREAD	(1ULL << 0)

#define DMABUF_RW_QUEUE_MAX_DEPTH	16384
#define DMABUF_RW_QUEUE_MAX_ATTACHED	64

/**
 * struct dmabuf_rw_queue_opts - how to create a queue
 * @size:	sizeof(struct dmabuf_rw_queue_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_QUEUE_*
 * @depth:	transfers in flight at most; 0: 128
 * @resv:	zero
 */
struct dmabuf_rw_queue_opts {
	size_t size;
	struct dmabuf_rw_error *error;
	uint64_t flags;
	uint32_t depth;
	uint32_t resv;
};

/**
 * struct dmabuf_rw_completion - one finished transfer
 * @size:	sizeof(struct dmabuf_rw_completion), the distance of elements in an array. The
 *		caller sets it in the first element, the library in each that it fills
 * @user_data:	what was given at submission
 * @bytes:	bytes moved without a gap, or -errno where none was
 * @error:	as in struct dmabuf_rw_result; ECANCELED: the transfer was cancelled
 * @path:	enum dmabuf_rw_path
 * @direct_bytes: bytes moved by the drive's own DMA
 * @bounced_bytes: bytes copied through memory
 * @kernel_bytes: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL: zero
 */
struct dmabuf_rw_completion {
	size_t size;
	uint64_t user_data;
	int64_t bytes;
	int32_t error;
	uint32_t path;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
};

/*
 * Where io_uring is forbidden or missing, as in many containers, the queue does without: its
 * threads make system calls, and at most eight transfers are under way at a time. See
 * dmabuf_rw_queue_ring_error().
 */
int dmabuf_rw_queue_create(const struct dmabuf_rw_queue_opts *opts,
			   struct dmabuf_rw_queue **queue);
/*
 * Waits until everything that was submitted is done, by the drive or by bouncing, then
 * drops the completions nobody reaped. Transfers that were queued but not yet submitted do
 * not happen. When it returns, nothing touches the buffers any more on the queue's behalf.
 * To wait less, cancel first. Shortly afterwards a call of this thread that is never
 * restarted, epoll_wait(2) above all, may give EINTR without a signal, as the kernel takes
 * the ring apart.
 *
 * Another thread than the one that a SINGLE_THREAD queue belongs to may destroy it, when that
 * thread uses it no more. The transfers end where they are then: what they have not moved in
 * one piece may be missing.
 */
void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue);
/* 0, or the errno (positive) of io_uring_setup(2) because of which the queue does without it. */
int dmabuf_rw_queue_ring_error(const struct dmabuf_rw_queue *queue);

/*
 * Makes the queue's transfers on @binding cheaper: the kernel looks the binding up once,
 * now, instead of at each of them. For bindings that carry many small transfers; others
 * need not be attached. Until it is detached or the queue destroyed, the queue holds the
 * binding open in the kernel, so detach before destroying the binding.
 * -EEXIST: it is attached; -ENOSPC: DMABUF_RW_QUEUE_MAX_ATTACHED are; -EOPNOTSUPP: a
 * bounce-only binding is nothing that the kernel knows.
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

/*
 * Queue a batch, as dmabuf_rw_read_many(): it takes one place in the queue, and has one
 * completion, whose @bytes and @error are those of all. Each range has its result by then.
 * @ranges must stay until the completion is reaped. -EINVAL: no range; -EMSGSIZE: more than
 * DMABUF_RW_MAX_BATCH; -EOVERFLOW: more than DMABUF_RW_MAX_BYTES.
 */
int dmabuf_rw_queue_read_many(struct dmabuf_rw_queue *queue,
			      const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_range *ranges, unsigned int nr,
			      uint64_t flags, uint64_t user_data);
int dmabuf_rw_queue_write_many(struct dmabuf_rw_queue *queue,
			       const struct dmabuf_rw_binding *binding,
			       struct dmabuf_rw_range *ranges, unsigned int nr,
			       uint64_t flags, uint64_t user_data);

/* Hands all that was queued to the kernel. 0, or -errno: some may not have been. */
int dmabuf_rw_queue_submit(struct dmabuf_rw_queue *queue);
/*
 * Submits what was queued, waits until @min transfers have finished (or as many as are
 * in flight, if fewer), and stores up to @max completions. @timeout: relative, null
 * for ever, zero: what has finished by now. Returns how many were stored: fewer than @min
 * after the timeout or a signal. -EINTR: a signal, and nothing was stored. -EINVAL: the
 * timeout, or the size in the first completion, is malformed.
 */
int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue,
			 struct dmabuf_rw_completion *completions, unsigned int max,
			 unsigned int min, const struct timespec *timeout);
/*
 * A descriptor for poll(2) and event loops: readable while dmabuf_rw_queue_reap() would find
 * completions of what was submitted; now and then when it would not. It stays the queue's, so
 * take it out of an epoll set before the queue is destroyed. It is level-triggered; with
 * EPOLLET reap until there is nothing. -errno if there can be none.
 */
int dmabuf_rw_queue_fd(struct dmabuf_rw_queue *queue);
/*
 * Cancel the pending transfers that have @user_data, or all. Each of them still gets its
 * completion: with the error ECANCELED if it was not over, and the bytes that were moved
 * before. What was not submitted does not happen, and has its completion at the next submit or
 * reap. A bounced transfer stops at its next chunk. Commands that the drive has run to their
 * end, so a direct transfer of one command mostly completes as if nothing had been said.
 * Return how many are told to end, finished ones that were not reaped included; -ENOENT:
 * none is pending.
 */
int dmabuf_rw_queue_cancel(struct dmabuf_rw_queue *queue, uint64_t user_data);
int dmabuf_rw_queue_cancel_all(struct dmabuf_rw_queue *queue);
/* Transfers queued or submitted whose completion has not been reaped. */
unsigned int dmabuf_rw_queue_pending(const struct dmabuf_rw_queue *queue);
unsigned int dmabuf_rw_queue_depth(const struct dmabuf_rw_queue *queue);

/* ---- New files ------------------------------------------------------------------- */

/*
 * The file will be written from the buffer @dmabuf_fd through @device. If that pair cannot go
 * direct the file gets no zeros, which would be written for nothing: see
 * dmabuf_rw_file_refusal().
 */
#define DMABUF_RW_FILE_FOR_BUFFER	(1ULL << 0)

/**
 * struct dmabuf_rw_file_opts - how to make a file
 * @size:	sizeof(struct dmabuf_rw_file_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_FILE_*
 * @mode:	permissions, before the umask and a default access control list of the
 *		directory; 0: the rights of the file that is there already, see below, or
 *		else 0666
 * @dmabuf_fd:	with DMABUF_RW_FILE_FOR_BUFFER the buffer, else zero
 * @device:	with DMABUF_RW_FILE_FOR_BUFFER the device, or null if there is none; else null
 * @interrupted: if not null, asked before every few MiB of zeros; if it returns other than
 *		0, the file is given up with -EINTR
 * @arg:	its argument
 * @bind_flags:	with DMABUF_RW_FILE_FOR_BUFFER the flags of the binding that will be made,
 *		DMABUF_RW_BIND_*; else zero
 */
struct dmabuf_rw_file_opts {
	size_t size;
	struct dmabuf_rw_error *error;
	uint64_t flags;
	uint32_t mode;
	int32_t dmabuf_fd;
	const struct dmabuf_rw_device *device;
	int (*interrupted)(void *arg);
	void *arg;
	uint64_t bind_flags;
};

/*
 * Makes a file of @bytes bytes, all zero, that can be written to directly at any place:
 * its blocks are there and have been written. It is in the directory of its target
 * but has no name yet, or, where the file system or the kernel want one, a temporary one
 * beginning with ".dmabuf-rw-". What is there stays as it is until the file is committed.
 *
 * The target is what @path leads to: symbolic links are followed, and stay. It is nothing yet
 * or a regular file; anything else is refused, and not opened. What would make the commit
 * fail is refused now, if it can be known. Errors, by reason where there is one:
 *   -ENOENT	DANGLING_LINK: a link to nothing, which may be meant for a disk that is
 *		not there; otherwise the directory does not exist
 *   -EISDIR	a directory
 *   -EEXIST	DESCRIPTOR: the path leads to /proc, as /dev/stdout does; otherwise a device,
 *		a pipe or a socket
 *   -ELOOP	more than 40 links
 *   -EACCES	UNTRUSTED_LINK: a link in a directory that everyone may write to and only
 *		owners may remove from, which belongs neither to the caller nor to the owner
 *		of the directory; LABEL; otherwise no permission for the directory
 *   -EPERM	FILE_ATTRIBUTE, DIRECTORY_ATTRIBUTE: immutable or append-only (chattr(1));
 *		STICKY: another user's file in a directory that only owners may remove from
 *   -EBUSY	MOUNT_POINT: something is mounted on the file
 *   -EFBIG	@bytes, rounded up, are beyond RLIMIT_FSIZE or what the file system can do
 *   -EINTR	a signal, or @interrupted
 * and those of bind, with its reasons, if with DMABUF_RW_FILE_FOR_BUFFER it refuses the call
 * rather than the pair; the error's call is DMABUF_RW_CALL_BIND then.
 *
 * Rights. With @mode 0 a file that replaces another one has, before its first byte is
 * written and while nobody but the caller can open it, been given
 *   - its owner and group, as far as the caller may;
 *   - its permissions and access control list, as a whole. A default list of the directory
 *     has no effect;
 *   - its security labels: extended attributes named security.*, but for capability, ima and
 *     evm, which are about the old contents. If one cannot be given, there is no new file
 *     (LABEL).
 * Whatever fails, nobody but the caller ever has more rights to the new file than to the old
 * one at that moment. Where the group cannot be given, group and others get what both had.
 * Where the list cannot be, or a default list cannot be taken off, the file is its owner's
 * alone. S_ISUID goes with the owner, S_ISGID with the group; they, and those of @mode, are
 * set when the file is committed, since writing to it takes them away. The rights are taken
 * again at the commit, if the old file has changed since or another one is there.
 *
 * Extended attributes named user.* and trusted.*, attributes of chattr(1) and further hard
 * links stay with the old file: they may be about its contents. With another @mode nothing is
 * taken over from the old file.
 *
 * Writing the zeros costs as much as writing @bytes bytes, unless kernel, file system and
 * drive can do it by themselves (FALLOC_FL_WRITE_ZEROES).
 */
int dmabuf_rw_file_create(const char *path, uint64_t bytes,
			  const struct dmabuf_rw_file_opts *opts,
			  struct dmabuf_rw_file **file);
/*
 * Open for reading and writing, until the file is closed; stays the library's. Never 0, 1 or
 * 2. Who calls fsync(2) on it is told of an error that commit is not told of again.
 */
int dmabuf_rw_file_fd(const struct dmabuf_rw_file *file);
/*
 * 1, with *@error as bind has given it: the file was made with DMABUF_RW_FILE_FOR_BUFFER, and
 * the pair cannot go direct. Its blocks are reserved where the file system can do that, but
 * were never written: write it through a binding without a device and with allow_bounce, or
 * by pwrite(2). 0: it has its zeros, and can be bound; *@error is cleared.
 */
int dmabuf_rw_file_refusal(const struct dmabuf_rw_file *file, struct dmabuf_rw_error *error);
/*
 * Puts the file in the place of what is at its target, in one step (rename(2)), when all that
 * was written to it is durable; and makes that durable too. Once. No transfer to the file may
 * be under way; its bindings may stay. After an error the old file is still there, and commit
 * may be tried again (the new one may keep a temporary name until it is closed); but
 *   -EINVAL	it is committed already
 *   -EUCLEAN	the file has its name, only it could not be seen to that the name is durable
 *   -EIO, -ENOSPC, -EDQUOT and whatever fsync(2) gave: something that was written is lost.
 *		The kernel says that once; every further commit says it again
 *   -ECHILD	this process is a child of the one that made the file
 */
int dmabuf_rw_file_commit(struct dmabuf_rw_file *file);
/*
 * Closes it. A file that was not committed is gone then; but in a child of the process that
 * made it, only the child's descriptors are.
 */
void dmabuf_rw_file_close(struct dmabuf_rw_file *file);

/* ---- Entries for a ring that the caller owns ------------------------------------ */

/*
 * Fill a submission queue entry of the caller's own io_uring, of 64 or 128 bytes. All
 * of the first 64 bytes are set, except user_data, which is left as it is; the rest of
 * a 128-byte entry has no meaning. The completion's res is as dmabuf_rw.h says: at
 * most DMABUF_RW_MAX_BYTES, and a short result means "ask for the rest". @pieces must
 * stay as dmabuf_rw.h says. Nothing here bounces: what the module cannot do is an error,
 * and an entry for a bounce-only binding gives -EBADF.
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
 * A batch: many transfers, one entry and one completion, at a fraction of the cost. @ranges stay
 * until the completion. With DMABUF_RW_IO_RESULTS in @flags each gets its result.
 */
void dmabuf_rw_prep_read_many(struct io_uring_sqe *sqe,
			      const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_range *ranges, uint32_t nr, uint64_t flags);
void dmabuf_rw_prep_write_many(struct io_uring_sqe *sqe,
			       const struct dmabuf_rw_binding *binding,
			       struct dmabuf_rw_range *ranges, uint32_t nr, uint64_t flags);
/*
 * Points a prepared entry at slot @index of the ring's registered files, where the
 * caller has put the binding's descriptor. Saves the kernel a lookup per transfer.
 */
void dmabuf_rw_sqe_set_fixed_file(struct io_uring_sqe *sqe, unsigned int index);

#ifdef __cplusplus
}
#endif

#endif /* LIBDMABUF_RW_H */
