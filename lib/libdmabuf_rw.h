/* SPDX-License-Identifier: MIT */
/*
 * libdmabuf_rw.h - transfers between storage and dma-bufs, without a copy.
 *
 * Objects
 *   device	the module's node, open
 *   binding	one dma-buf joined to one file: an NVMe disk or partition, or a regular
 *		file on an ext4 or XFS file system on one
 *   queue	many transfers in flight, submitted and reaped like io_uring's
 *   file	a new regular file of a known size. It can be written directly, and gets its
 *		name when its contents are complete
 *
 * A buffer is a dma-buf descriptor, and a place in it is a byte offset; there are no
 * pointers. dmabuf_rw.h, the kernel's interface, defines the flags, the structures shared
 * with the kernel (query, info, piece) and the meaning of each errno.
 *
 * Conventions
 *   - Offsets and lengths are bytes.
 *   - Functions that can fail return a negative errno, never -1 with errno. On failure they
 *     leave their output parameters alone, except a struct dmabuf_rw_error or
 *     dmabuf_rw_result, which they always fill if the size set by the caller includes it.
 *   - Structures that may grow begin with their size, set with sizeof(). Fields that a caller
 *     does not know are zero. Null options mean all defaults. Reserved fields and unknown
 *     flags must be zero (-EINVAL), as must options of a newer library (-E2BIG).
 *   - Destroying functions accept a null pointer, and cannot fail.
 *   - Descriptors passed in stay the caller's, and may be closed afterwards. A module binding
 *     uses one descriptor; a kernel binding two, and one for each of up to eight transfers at
 *     a time; bouncing adds up to seven. A queue uses two, up to five with its
 *     dmabuf_rw_queue_fd().
 *   - Every transfer goes direct or fails, unless the caller has allowed that binding to bounce.
 *     Every result says which way its bytes went; a batch has one such result for all ranges.
 *
 * Files. A binding does not keep others from changing, truncating, renaming or removing its file;
 * a transfer sees the file as it is at that moment. Direct transfers do not extend it, and reach
 * only blocks that have been written: see ENXIO in dmabuf_rw.h, and dmabuf_rw_error_explain().
 *
 * Ways. Bytes go by the module; else, from Linux 7.4 on, by the kernel's own interface; else, if
 * allowed, they bounce. Binding tries these in order, and the binding keeps the first that works.
 * A null device only leaves out the module; to get a bounce-only binding, set @ways to
 * DMABUF_RW_PATH_BOUNCED alone.
 *
 * A kernel binding uses the kernel's own interface, which takes raw NVMe disks and partitions on
 * PCI, opened with O_DIRECT (the library reopens other descriptors by /proc/self/fd), and whole
 * buffers of up to 1 GiB, later 4 GiB. It differs from a module binding:
 *   - File offsets, and lengths of transfers and pieces, are multiples of an LBA; others get
 *     EDOM, or bounce.
 *   - The addresses of the buffer are not checked to lead to it.
 *   - DMABUF_RW_IO_FUA is an fdatasync(2) of the disk after the write. It also writes back the
 *     disk's dirty page cache, and fails if any of that fails. The first one opens one more
 *     descriptor.
 *   - After a revocation transfers get the exporter's errno or EREMOTEIO, not ESTALE. EREMOTEIO
 *     also means that the buffer was being moved for ten seconds.
 *   - A transfer may also fail with the errors of creating a ring: ENOMEM, EMFILE, ENFILE, or
 *     EPERM, EACCES, ENOSYS if io_uring was forbidden after bind. dmabuf_rw_queue_attach() may
 *     return any errno of the registration; the queue then works without attaching.
 *   - A signal does not interrupt the kernel's own wait for a buffer that is being moved.
 *   - It has no descriptor to pass on. It works in a child process.
 *   - At most eight synchronous transfers run at a time; others wait for them, or for a signal.
 *   - In queues, threads run pieces, batches and unaligned transfers, like bounced ones.
 *   - It shares the flags of a descriptor that has O_DIRECT: while it lives, F_SETFL of
 *     fcntl(2) must neither clear O_DIRECT nor set O_APPEND there.
 *
 * Bouncing. With allow_bounce a binding takes any file that pread() and pwrite() take. The library
 * moves the bytes that cannot go direct through its own locked memory: it reads or writes the file
 * (with O_DIRECT where possible, several chunks at a time), and copies to or from the buffer
 * through its CPU mapping or the caller's copy function. The memory is @bounce_depth times
 * @bounce_chunk for each transfer that is bouncing, whatever the number of bindings. These bounce:
 *   - everything, if no direct way takes the pair: a bounce-only binding, whose
 *     dmabuf_rw_binding_refusal() has the reason. A write then extends a regular file, like
 *     pwrite();
 *   - if the pair can go direct, the ranges that are refused with EDOM (alignment) or ENXIO
 *     (holes and blocks that were never written).
 * The library opens the file anew and closes it again. As with every close(2), the process then
 * loses its fcntl(2) record locks on the file; those of flock(2) and F_OFD_SETLK stay.
 *
 * Unaligned writes. The drive writes whole LBAs (write_align in the info), or up to the end of a
 * regular file. If a write begins or ends elsewhere, the library reads, changes and writes the rest
 * of that LBA, and counts this as bouncing. The whole write fails with EDOM if bouncing is not
 * allowed, if the buffer has neither a CPU mapping nor a copy function, or if /dev/udmabuf, the
 * source of the scratch memory, is missing. A lock of the process keeps such writes, through
 * bindings that allow bouncing, from undoing each other; other processes must not write to the same
 * LBA at the same time. If the drive does not take SGLs, the last, partial LBA of a file goes
 * through the page cache instead, and writes to the same page must not run at the same time.
 *
 * The page cache. A transfer does not leave more in it than before. Direct and O_DIRECT transfers
 * bypass it; others drop the pages that were not cached before. They wait for the pages they write,
 * so the data is on the drive, as after O_DIRECT. Exceptions, which stay cached:
 *   - pages that a bounced write covers in part, at most two for each write;
 *   - pages in use by two transfers, or by a transfer and another program, at the same time;
 *   - everything, if the kernel does not tell the caller which pages were cached: before Linux
 *     6.5, or if the file is neither writable by the caller nor its own. Reads of such a file
 *     leave nothing if its file system knows RWF_DONTCACHE (Linux 6.14);
 *   - the kernel's readahead, if the file cannot be opened anew by /proc/self/fd;
 *   - pages that ext4 writes through its journal (data=journal), until the journal is emptied.
 *
 * Thread-safety
 *   - Any number of threads may use a device or a binding at once.
 *   - A queue belongs to one thread at a time: the caller keeps calls from overlapping.
 *     With DMABUF_RW_QUEUE_SINGLE_THREAD it belongs to the thread that created it, for good.
 *   - A file object belongs to one thread at a time.
 *   - Destroying an object must not overlap any other use of it.
 *   - A queue's own threads run bounced transfers. They block all signals except those that
 *     report their own faults, such as SIGBUS.
 *   - No function is a cancellation point of pthread_cancel(3). No function may be called in a
 *     signal handler; set a flag there, or use signalfd(2). A handler may call fork(3).
 *
 * Fork. What a child process may do with the objects of its parent:
 *   device	everything
 *   binding	everything, also while the parent does. Each process bounces through memory of
 *		its own. Data that a copy function uses must survive the fork
 *   queue	destroy it, which releases the child's part and does not wait; all other
 *		calls give -ECHILD, and nothing is pending. The parent's transfers go on
 *   file	use its descriptor, and close it, which does not affect the parent's file.
 *		Committing gives -ECHILD
 * The child keeps copies of the descriptors of its parent's bindings. After the parent has
 * destroyed a binding, its buffer stays allocated, and a module binding stays bound, until the
 * child destroys it too, calls execve(2) or exits. A daemon creates its queues and files after it
 * has forked. A child that closes all descriptors must not touch the objects it inherited.
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

/* Version of the running library, "major.minor.patch". */
const char *dmabuf_rw_version(void);

/* ---- Errors ------------------------------------------------------------------ */

/* The operation that failed; some errnos depend on it. */
enum dmabuf_rw_call {
	DMABUF_RW_CALL_NONE	= 0,
	DMABUF_RW_CALL_OPEN	= 1,	/* opening the module's node */
	DMABUF_RW_CALL_QUERY	= 2,
	DMABUF_RW_CALL_BIND	= 3,
	DMABUF_RW_CALL_INFO	= 4,
	DMABUF_RW_CALL_IO	= 5,	/* a transfer, synchronous or queued */
	DMABUF_RW_CALL_QUEUE	= 6,	/* creating or entering a queue */
	DMABUF_RW_CALL_FILE	= 7,	/* dmabuf_rw_file_*(), which make files */
};

/* The library's own reasons. The kernel's (enum dmabuf_rw_reason) stay below the first. */
enum dmabuf_rw_library_reason {
	DMABUF_RW_REASON_NO_DEVICE		= 1000,	/* ENODEV: bound without a device */
	/* EOPNOTSUPP: the buffer has neither CPU mapping nor copy function; detail = errno */
	DMABUF_RW_REASON_NO_CPU_ACCESS		= 1001,
	DMABUF_RW_REASON_NOT_SEEKABLE		= 1002,	/* ESPIPE: no pread() and pwrite() */
	/* EINVAL: bouncing allowed, device memory insisted on */
	DMABUF_RW_REASON_CONTRADICTION		= 1003,

	/* New files; see dmabuf_rw_file_create(). */
	DMABUF_RW_REASON_DANGLING_LINK		= 1004,	/* ENOENT: a link to nothing */
	DMABUF_RW_REASON_DESCRIPTOR		= 1005,	/* EEXIST: the path leads to /proc */
	DMABUF_RW_REASON_UNTRUSTED_LINK		= 1006,	/* EACCES: another user's link */
	DMABUF_RW_REASON_FILE_ATTRIBUTE		= 1007,	/* EPERM: immutable or append-only */
	DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE	= 1008,	/* EPERM: so is its directory */
	DMABUF_RW_REASON_STICKY			= 1009,	/* EPERM: another user's file */
	DMABUF_RW_REASON_MOUNT_POINT		= 1010,	/* EBUSY: something is mounted on it */
	DMABUF_RW_REASON_LABEL			= 1011,	/* any: the old label cannot be set */

	/* Files. */
	DMABUF_RW_REASON_NEVER_WRITTEN		= 1012,	/* ENXIO: a hole, or only allocated */
	DMABUF_RW_REASON_CLONE			= 1013,	/* ENXIO: is or was a reflink on XFS */

	/* Ways. EOPNOTSUPP: @ways excludes this one, or an earlier one worked */
	DMABUF_RW_REASON_NOT_CHOSEN		= 1014,
	/* EOPNOTSUPP: the kernel has no interface, or forbids io_uring; detail = errno */
	DMABUF_RW_REASON_NO_KERNEL_WAY		= 1015,
	/* EOPNOTSUPP: the kernel's interface refuses the pair; detail = errno */
	DMABUF_RW_REASON_KERNEL_REFUSED		= 1016,
	DMABUF_RW_REASON_KERNEL_SIZE		= 1017,	/* EFBIG: it refuses the buffer's size */
	/* EOPNOTSUPP: only the module can tell that a buffer is device memory */
	DMABUF_RW_REASON_KERNEL_BLIND		= 1018,

	/* Opening the module. EPROTONOSUPPORT: its interface has an older or a newer major */
	DMABUF_RW_REASON_MODULE_OLDER		= 1019,
	DMABUF_RW_REASON_MODULE_NEWER		= 1020,
};

/**
 * struct dmabuf_rw_error - one failure, as the functions below describe it
 * @call:	enum dmabuf_rw_call
 * @err:	errno, positive; 0: no error
 * @reason:	enum dmabuf_rw_reason or dmabuf_rw_library_reason; 0: only the errno is known
 * @detail:	errno, positive, of the exporter, or for *KERNEL_* of the kernel; 0: none
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
 * Cause and remedy: sentences without a full stop, never null, in static storage. To explain an
 * errno alone, fill @call and @err.
 */
const char *dmabuf_rw_error_cause(const struct dmabuf_rw_error *error);
const char *dmabuf_rw_error_remedy(const struct dmabuf_rw_error *error);

/* The source of the errno in @detail: "kernel" or "exporter"; null: there is no detail. */
const char *dmabuf_rw_error_speaker(const struct dmabuf_rw_error *error);

/*
 * Formats "cause (detail): remedy", or "cause: remedy" without a detail. Returns the full length,
 * like snprintf(); @buf is terminated if @len is not 0.
 */
size_t dmabuf_rw_error_format(const struct dmabuf_rw_error *error, char *buf, size_t len);

/* 1: a bind error is about the pair; 0: about the call, or temporary (no memory, a signal). */
int dmabuf_rw_error_is_about_pair(const struct dmabuf_rw_error *error);

/*
 * Sets the reason of a transfer's ENXIO to NEVER_WRITTEN or CLONE; leaves other errors alone.
 * @file_off: the first byte that was not moved; @file_fd: its file, open in any mode. Writes back
 * the file's dirty pages.
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
 * Opens the node, and checks the module's interface. -ENOENT, -ENXIO: the module is not loaded;
 * -EACCES: no permission for the node; -EPROTONOSUPPORT: its interface has another major version,
 * see DMABUF_RW_REASON_MODULE_OLDER.
 */
int dmabuf_rw_device_open(const struct dmabuf_rw_device_opts *opts,
			  struct dmabuf_rw_device **device);
/* Bindings and queues made through the device stay usable. */
void dmabuf_rw_device_close(struct dmabuf_rw_device *device);
int dmabuf_rw_device_fd(const struct dmabuf_rw_device *device);
/* The module's abilities. The caller sets @query->size; -EINVAL: it fits no version. */
int dmabuf_rw_device_query(const struct dmabuf_rw_device *device, struct dmabuf_rw_query *query);

/* ---- Binding ------------------------------------------------------------------ */

/* Direction of a copy. */
enum dmabuf_rw_copy {
	DMABUF_RW_COPY_TO_BUFFER	= 0,	/* from @host to the buffer */
	DMABUF_RW_COPY_FROM_BUFFER	= 1,	/* from the buffer to @host */
};

/*
 * Copies @len bytes between @host and the buffer at @buf_off; the range is always inside the
 * buffer. Returns 0 when the bytes have arrived, or -errno, which ends the transfer with that errno
 * (EIO for EINTR and ECANCELED). Runs in the caller's threads or a queue's, in several at once.
 */
typedef int (*dmabuf_rw_copy_fn)(void *arg, enum dmabuf_rw_copy direction,
				 uint64_t buf_off, void *host, size_t len);

/*
 * How a write may fill whole blocks that it will overwrite, and that have never been written, with
 * zeros first, so that it goes direct. Bits of @zeros.
 */
#define DMABUF_RW_ZEROS_BY_DRIVE	(1U << 0)	/* without sending data (Linux 6.17) */
#define DMABUF_RW_ZEROS_WRITTEN		(1U << 1)	/* as data, if the drive cannot */

/* Limits of @bounce_chunk and @bounce_depth. */
#define DMABUF_RW_BOUNCE_MIN_CHUNK	65536
#define DMABUF_RW_BOUNCE_MAX_CHUNK	(16U << 20)
#define DMABUF_RW_BOUNCE_MAX_DEPTH	64

/**
 * struct dmabuf_rw_binding_opts - how to bind
 * @size:	sizeof(struct dmabuf_rw_binding_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_BIND_*, for instance DMABUF_RW_BIND_DEVICE_MEMORY
 * @allow_bounce: 1: may bounce; not with DMABUF_RW_BIND_DEVICE_MEMORY
 * @bounce_depth: chunks in flight in a bounced transfer; 0: the library's choice
 * @bounce_chunk: bytes of a chunk, a power of two; 0: the library's choice
 * @copy:	copies to and from the buffer, in place of its CPU mapping; null: use the mapping
 * @copy_arg:	for @copy
 * @ways:	enum dmabuf_rw_path, or'ed: the ways to try; 0: all. BOUNCED alone, which needs
 *		@allow_bounce, makes a bounce-only binding; a null device does not
 * @zeros:	DMABUF_RW_ZEROS_*, or'ed, for regular files; 0: writes to blocks that were never
 *		written bounce, or fail
 *
 * Without @allow_bounce, all from @bounce_depth to @copy_arg is zero.
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
	uint32_t ways;
	uint32_t zeros;
};

/*
 * Joins @dmabuf_fd to @file_fd, after all possible checks. Errors: the table in dmabuf_rw.h, and
 * enum dmabuf_rw_library_reason; -ENXIO: the file is a CLONE. With a null @device the kernel's own
 * interface is the only direct way; the error is then -ENODEV with NO_DEVICE, or one about that
 * interface.
 *
 * With bouncing allowed, a refusal that is about the pair makes a bounce-only binding. One about
 * the call is still an error: a bad descriptor or no dma-buf, open modes that allow neither
 * direction, a drive that is gone, a signal, no memory or descriptors left. If the buffer has
 * neither a CPU mapping nor a copy function, a pair that cannot go direct is refused, and for other
 * pairs the ranges that would have to bounce fail.
 *
 * If the exporter takes a mapped buffer away, touching its CPU mapping raises SIGBUS.
 */
int dmabuf_rw_binding_create(const struct dmabuf_rw_device *device, int dmabuf_fd, int file_fd,
			     const struct dmabuf_rw_binding_opts *opts,
			     struct dmabuf_rw_binding **binding);
/*
 * Makes a binding of a descriptor that came from elsewhere (another process, a restart). On success
 * the library owns @fd. The binding does not bounce. -ENOTTY: not a binding.
 */
int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding);
/* No queue may have a transfer pending on it: reap them, or destroy the queue first. */
void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding);
/* Stays the library's; dup() it to keep or to pass it. -1: not a module binding. */
int dmabuf_rw_binding_fd(const struct dmabuf_rw_binding *binding);
/*
 * 1: it is bounce-only, and *@error is the error that bind without bouncing would have returned.
 * 0: it is not, and *@error is cleared.
 */
int dmabuf_rw_binding_refusal(const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_error *error);

/* The ways its transfers may take: enum dmabuf_rw_path, never NONE. */
uint32_t dmabuf_rw_binding_path(const struct dmabuf_rw_binding *binding);
/*
 * 1: transfers do not take @path, DMABUF_RW_PATH_MODULE or _KERNEL, and *@error says why;
 * NOT_CHOSEN: it was not tried. 0: they do; *@error is cleared.
 */
int dmabuf_rw_binding_way_refusal(const struct dmabuf_rw_binding *binding, uint32_t path,
				  struct dmabuf_rw_error *error);
/* 1: this kernel has an interface of its own, for some pairs; 0, with *@error: it has none. */
int dmabuf_rw_has_kernel_way(struct dmabuf_rw_error *error);

/* Set by the library in the info of a bounce-only or a kernel binding; never by the module. */
#define DMABUF_RW_INFO_BOUNCE_ONLY	(1ULL << 63)
#define DMABUF_RW_INFO_KERNEL		(1ULL << 62)

/*
 * Results of bind, and counters. The caller sets @info->size; -EINVAL: it fits no version. For a
 * bounce-only binding the library fills CAN_READ, CAN_WRITE, REGULAR, BOUNCE_ONLY, the two sizes
 * and alignments of 1; for a kernel binding CAN_READ, CAN_WRITE, KERNEL, the two sizes, @lba_bytes,
 * the alignments and @metadata_bytes, but not where the buffer is, which is unknown.
 */
int dmabuf_rw_binding_info(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_info *info);
/*
 * 1: no transfer of a bound pair would go direct now, as the file has no block for the drive.
 * *@error says why: CLONE, or NEVER_WRITTEN, which ends when the file is written. 0: some would;
 * *@error is cleared. @info comes from a binding of the file at @file_fd, open in any mode. May
 * write back the file's dirty pages.
 */
int dmabuf_rw_info_refusal(const struct dmabuf_rw_info *info, int file_fd,
			   struct dmabuf_rw_error *error);

/**
 * struct dmabuf_rw_stats - totals of a binding, over all queues and calls
 * @size:	in: sizeof(struct dmabuf_rw_stats)
 * @direct_transfers: out: transfers that the drive's own DMA moved entirely
 * @bounced_transfers: out: transfers that were copied through memory entirely
 * @mixed_transfers: out: transfers with bytes of both kinds
 * @direct_bytes: out: bytes moved by the drive's own DMA
 * @bounced_bytes: out: bytes copied through memory
 * @kernel_bytes: out: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL
 * @zeros_by_drive, @zeros_written: out: bytes of zeros put before writes, as DMABUF_RW_ZEROS_*;
 *		the latter went to the drive as data
 *
 * Counts this object's use by this process, except for entries for the caller's own rings. Each
 * range of a batch is a transfer. The numbers are consistent while no transfer runs.
 */
struct dmabuf_rw_stats {
	size_t size;
	uint64_t direct_transfers;
	uint64_t bounced_transfers;
	uint64_t mixed_transfers;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
	uint64_t zeros_by_drive;
	uint64_t zeros_written;
};

int dmabuf_rw_binding_stats(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_stats *stats);

/* Names for values in struct dmabuf_rw_info: "RAM", "BAR"; "none", "translated". */
const char *dmabuf_rw_class_name(unsigned int mem_class);
const char *dmabuf_rw_iommu_name(unsigned int iommu);
/* "dddd:bb:dd.f" of a PCI address and its domain in @info; @buf of at least 20 bytes. */
const char *dmabuf_rw_pci_name(uint32_t domain, uint32_t pci, char *buf, size_t len);
/* A sentence: whether transfers are peer to peer, by which route, or why not. As snprintf(). */
size_t dmabuf_rw_info_describe(const struct dmabuf_rw_info *info, char *buf, size_t len);

/* ---- Synchronous transfers ----------------------------------------------------- */

/*
 * The ways that bytes took, one bit each, or'ed for several transfers. Direct is the drive's own
 * DMA to the buffer.
 */
enum dmabuf_rw_path {
	DMABUF_RW_PATH_NONE	= 0,		/* nothing was moved */
	DMABUF_RW_PATH_MODULE	= 1 << 0,	/* direct, by the dmabuf_rw module */
	DMABUF_RW_PATH_BOUNCED	= 1 << 1,	/* copied through memory */
	DMABUF_RW_PATH_KERNEL	= 1 << 2,	/* direct, by the kernel's own interface */
};

/* "none", "direct", "bounced", "mixed" (both); "unknown" for other bits. */
const char *dmabuf_rw_path_name(unsigned int path);

/**
 * struct dmabuf_rw_result - how a transfer went, beyond its byte count
 * @size:	in: sizeof(struct dmabuf_rw_result)
 * @error:	out: errno, positive, that ended it, even after a part; 0: complete, or short at
 *		the end of the file. For a struct dmabuf_rw_error it is @err, and @call is
 *		DMABUF_RW_CALL_IO
 * @path:	out: enum dmabuf_rw_path
 * @direct_bytes: out: bytes moved by the drive's own DMA
 * @bounced_bytes: out: bytes copied through memory
 * @kernel_bytes: out: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL
 * @zeros_by_drive, @zeros_written: out: bytes of zeros put before it, see struct dmabuf_rw_stats
 */
struct dmabuf_rw_result {
	size_t size;
	int32_t error;
	uint32_t path;
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
	uint64_t zeros_by_drive;
	uint64_t zeros_written;
};

/*
 * Move any number of bytes, @len, between the file at @file_off and the buffer at @buf_off; read is
 * from file to buffer. @flags: DMABUF_RW_IO_*. @result may be null.
 *
 * Returns the bytes moved, counted from @file_off without a gap, or -errno if none was. Fewer than
 * @len: the file ended, a signal arrived, or there was an error, which @result->error has.
 * -EINTR: a signal arrived before anything was done.
 */
ssize_t dmabuf_rw_read(const struct dmabuf_rw_binding *binding, uint64_t file_off, uint64_t buf_off,
		       uint64_t len, uint64_t flags, struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_write(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			uint64_t buf_off, uint64_t len, uint64_t flags,
			struct dmabuf_rw_result *result);
/* With @nr ranges of the buffer, at most DMABUF_RW_MAX_PIECES, in array order. */
ssize_t dmabuf_rw_readv(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			const struct dmabuf_rw_piece *pieces, unsigned int nr, uint64_t flags,
			struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_writev(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			 const struct dmabuf_rw_piece *pieces, unsigned int nr, uint64_t flags,
			 struct dmabuf_rw_result *result);

/*
 * A batch: @nr transfers of one direction, each with its own place in the file and in the buffer.
 * Their number and total length are not limited (none: 0); DMABUF_RW_MAX_BATCH of them, or
 * DMABUF_RW_MAX_BYTES, go to the kernel together. They run in parallel, in any order, and succeed
 * or fail separately: each @result is the bytes moved without a gap, or -errno if none was. It is
 * always stored, unless @ranges is null or @result too small. A result below @len may be the file's
 * end or an error: ask for the rest, or set DMABUF_RW_IO_WHOLE to get the error.
 *
 * Returns the sum of the bytes moved. If that is 0, or DMABUF_RW_IO_WHOLE is in @flags, returns
 * -errno of the first range in the array that failed, if any; failed ranges may have moved a part.
 * @result->error is that errno in either case. The rest of @result covers all ranges together. It
 * includes the bytes that a range moved before it failed, except perhaps for a range with
 * DMABUF_RW_IO_WHOLE in its own flags.
 *
 * @flags apply to every range, in addition to its own. A signal that does not end the process cuts
 * a batch short only if none of the ranges given to the kernel together has moved anything: all
 * that remain then end with EINTR. A range that bounces, or waits for the buffer to be mapped
 * again, may end with EINTR on its own.
 */
ssize_t dmabuf_rw_read_many(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_range *ranges,
			    unsigned int nr, uint64_t flags, struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_write_many(const struct dmabuf_rw_binding *binding,
			     struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			     struct dmabuf_rw_result *result);

/* ---- Queue --------------------------------------------------------------------- */

/* Only the creating thread uses the queue, which is cheaper. Others may destroy it; -EEXIST. */
#define DMABUF_RW_QUEUE_SINGLE_THREAD	(1ULL << 0)

#define DMABUF_RW_QUEUE_MAX_DEPTH	16384
#define DMABUF_RW_QUEUE_MAX_ATTACHED	64

/**
 * struct dmabuf_rw_queue_opts - how to create a queue
 * @size:	sizeof(struct dmabuf_rw_queue_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_QUEUE_*
 * @depth:	maximum of transfers in flight; a batch counts as one; 0: 128
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
 * @user_data:	as given at submission
 * @bytes:	bytes moved without a gap, or -errno if none was
 * @error:	as in struct dmabuf_rw_result; ECANCELED: the transfer was cancelled
 * @path:	enum dmabuf_rw_path
 * @direct_bytes: bytes moved by the drive's own DMA
 * @bounced_bytes: bytes copied through memory
 * @kernel_bytes: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL
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

/* Without io_uring, threads make system calls: at most eight transfers or batches at a time. */
int dmabuf_rw_queue_create(const struct dmabuf_rw_queue_opts *opts, struct dmabuf_rw_queue **queue);
/*
 * Waits for all submitted transfers, direct or bounced, and drops the completions that were not
 * reaped. Transfers that were not submitted do not happen. When it returns, the queue no longer
 * touches any buffer. To wait less, cancel first. Shortly afterwards, while the kernel takes the
 * ring apart, a system call of this thread that is never restarted, such as epoll_wait(2), may
 * give EINTR without a signal.
 *
 * Another thread may destroy a SINGLE_THREAD queue that its own thread no longer uses. Transfers
 * then end where they are: a remainder that would need another submission may be missing.
 */
void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue);
/* 0, or the errno (positive) that keeps the queue from using io_uring. */
int dmabuf_rw_queue_ring_error(const struct dmabuf_rw_queue *queue);

/*
 * Makes the queue's transfers on @binding cheaper: the kernel looks the binding up once, now. For
 * bindings that carry many small transfers. The queue holds the binding open in the kernel until it
 * is detached or the queue is destroyed, so detach before destroying the binding. The first
 * transfer attaches a kernel binding, if there is room; the first reap after its end detaches it.
 * -EEXIST: it is attached; -ENOSPC: DMABUF_RW_QUEUE_MAX_ATTACHED are; -EOPNOTSUPP: bounce-only.
 */
int dmabuf_rw_queue_attach(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding);
/* The queue must have none of its transfers pending. No effect if it is not attached. */
void dmabuf_rw_queue_detach(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding);

/*
 * Queue one transfer, like the synchronous calls; nothing happens before the next submit or reap.
 * -EAGAIN: the queue is full, reap first. @pieces must stay until the completion is reaped.
 */
int dmabuf_rw_queue_read(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding,
			 uint64_t file_off, uint64_t buf_off, uint64_t len, uint64_t flags,
			 uint64_t user_data);
int dmabuf_rw_queue_write(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding,
			  uint64_t file_off, uint64_t buf_off, uint64_t len, uint64_t flags,
			  uint64_t user_data);
int dmabuf_rw_queue_readv(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding,
			  uint64_t file_off, const struct dmabuf_rw_piece *pieces, unsigned int nr,
			  uint64_t flags, uint64_t user_data);
int dmabuf_rw_queue_writev(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding,
			   uint64_t file_off, const struct dmabuf_rw_piece *pieces, unsigned int nr,
			   uint64_t flags, uint64_t user_data);

/*
 * Queue a batch, like dmabuf_rw_read_many(). It takes one place in the queue and has one
 * completion, whose @bytes and @error are those of the synchronous call. The queue owns @ranges
 * until the batch is reaped, when the results are there, or until the queue is destroyed, which
 * may also store results. -EINVAL: no range; -EMSGSIZE: more than DMABUF_RW_MAX_BATCH;
 * -EOVERFLOW: more than DMABUF_RW_MAX_BYTES in all.
 */
int dmabuf_rw_queue_read_many(struct dmabuf_rw_queue *queue,
			      const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			      uint64_t user_data);
int dmabuf_rw_queue_write_many(struct dmabuf_rw_queue *queue,
			       const struct dmabuf_rw_binding *binding,
			       struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			       uint64_t user_data);

/* Hands all queued transfers to the kernel. 0, or -errno: some may not have been handed over. */
int dmabuf_rw_queue_submit(struct dmabuf_rw_queue *queue);
/*
 * Submits, waits until @min transfers have finished (or all, if fewer are in flight), and stores up
 * to @max completions. @timeout: relative; null: for ever; zero: do not wait. Returns the number
 * stored: fewer than @min after the timeout or a signal. -EINTR: a signal, and nothing was stored.
 * -EINVAL: a malformed timeout, or size in the first completion.
 */
int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue, struct dmabuf_rw_completion *completions,
			 unsigned int max, unsigned int min, const struct timespec *timeout);
/*
 * A descriptor for poll(2) and event loops, or -errno. It is readable while
 * dmabuf_rw_queue_reap() would find completions of submitted transfers, and sometimes when it would
 * not. It stays the queue's: remove it from epoll sets before the queue is destroyed. With EPOLLET,
 * reap until nothing is left.
 */
int dmabuf_rw_queue_fd(struct dmabuf_rw_queue *queue);
/*
 * Cancel the pending transfers that have @user_data, or all. Each still gets its completion: with
 * ECANCELED if it had not ended, and the bytes moved so far. A transfer that was not submitted does
 * not happen, and completes at the next submit or reap. A bounced transfer stops at its next chunk.
 * Commands that the drive has run to their end, so a direct transfer of one command mostly
 * completes. Each range of a batch has its result, -ECANCELED if it moved nothing. Return the
 * number of transfers told to end, finished ones included; -ENOENT: none is pending.
 */
int dmabuf_rw_queue_cancel(struct dmabuf_rw_queue *queue, uint64_t user_data);
int dmabuf_rw_queue_cancel_all(struct dmabuf_rw_queue *queue);
/* Transfers queued or submitted whose completion has not been reaped; a batch counts as one. */
unsigned int dmabuf_rw_queue_pending(const struct dmabuf_rw_queue *queue);
unsigned int dmabuf_rw_queue_depth(const struct dmabuf_rw_queue *queue);

/* ---- New files ------------------------------------------------------------------- */

/*
 * The file will be written from the buffer @dmabuf_fd through @device. If that pair cannot go
 * direct, the file gets no zeros, as they would be useless: dmabuf_rw_file_refusal().
 */
#define DMABUF_RW_FILE_FOR_BUFFER	(1ULL << 0)

/**
 * struct dmabuf_rw_file_opts - how to make a file
 * @size:	sizeof(struct dmabuf_rw_file_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_FILE_*
 * @mode:	permissions, before the umask and a default access control list of the
 *		directory; 0: those of the file that it replaces, see below, or else 0666
 * @dmabuf_fd:	the buffer with DMABUF_RW_FILE_FOR_BUFFER, else zero
 * @device:	the device, or null if there is none, with DMABUF_RW_FILE_FOR_BUFFER; else null
 * @interrupted: if not null, called before every few MiB of zeros; a result other than 0
 *		gives up the file with -EINTR
 * @arg:	argument of @interrupted
 * @bind_flags:	DMABUF_RW_BIND_* of the later binding, with DMABUF_RW_FILE_FOR_BUFFER
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
 * Makes a file of @bytes zero bytes that can be written directly at any place: its blocks are
 * allocated and written. It is in the directory of its target, without a name, or, if the file
 * system or the kernel requires one, with a temporary one that begins with ".dmabuf-rw-". An
 * existing target stays as it is until the file is committed.
 *
 * The target is what @path leads to; symbolic links are followed, and stay. It is a regular file
 * or does not exist; anything else is refused, and not opened. Conditions that would make the
 * commit fail are refused now, as far as they can be known. Errors, by reason where there is one:
 *   -ENOENT	DANGLING_LINK: a link to nothing, perhaps meant for a disk that is not
 *		mounted; otherwise the directory does not exist
 *   -EISDIR	a directory
 *   -EEXIST	DESCRIPTOR: the path leads to /proc, as /dev/stdout does; otherwise a device,
 *		a pipe or a socket
 *   -ELOOP	more than 40 links
 *   -EACCES	UNTRUSTED_LINK: a link that belongs to neither the caller nor the directory's
 *		owner, in a directory where everyone may write and only owners may remove
 *		files; LABEL; otherwise no permission for the directory
 *   -EPERM	FILE_ATTRIBUTE, DIRECTORY_ATTRIBUTE: immutable or append-only (chattr(1));
 *		STICKY: another user's file in a directory where only owners may remove files
 *   -EBUSY	MOUNT_POINT: something is mounted on the file
 *   -EFBIG	@bytes, rounded up, exceeds RLIMIT_FSIZE or the file system's limit
 *   -EINTR	a signal, or @interrupted
 * With DMABUF_RW_FILE_FOR_BUFFER also the errors of bind, with its reasons and
 * DMABUF_RW_CALL_BIND, that are about the call rather than the pair.
 *
 * Rights. With @mode 0 a file that replaces another one gets these, before its first byte is
 * written and while only the caller can open it:
 *   - the old file's owner and group, as far as the caller may set them;
 *   - its permissions and access control list, as a whole; a default list of the directory has
 *     no effect;
 *   - its security labels: attributes named security.*, except capability, ima and evm, which
 *     describe the old contents. If one cannot be set, there is no new file (LABEL).
 * Whatever fails, nobody but the caller has more rights to the new file than to the old one at any
 * moment. If the group cannot be set, group and others get only the rights that both had. If the
 * list cannot be set, or a default list cannot be removed, only the owner has access. S_ISUID needs
 * the owner, S_ISGID the group; the commit sets both, also those of @mode, since writing clears
 * them. The commit copies the rights again if the old file has changed or been replaced since.
 *
 * Attributes named user.* and trusted.*, those of chattr(1) and further hard links stay with the
 * old file, as they may be about its contents. With a nonzero @mode nothing is copied from it.
 *
 * Writing the zeros costs as much as writing @bytes bytes, unless kernel, file system and drive
 * can write zeros without data (FALLOC_FL_WRITE_ZEROES).
 */
int dmabuf_rw_file_create(const char *path, uint64_t bytes, const struct dmabuf_rw_file_opts *opts,
			  struct dmabuf_rw_file **file);
/*
 * Open for reading and writing until the file is closed; stays the library's. Never 0, 1 or 2.
 * If the caller's fsync(2) on it reports an error, commit does not see that error again.
 */
int dmabuf_rw_file_fd(const struct dmabuf_rw_file *file);
/*
 * 1, with bind's error in *@error: the file was made with DMABUF_RW_FILE_FOR_BUFFER, and the pair
 * cannot go direct. Its blocks are reserved, if the file system can, but not written: write it
 * through a bounce-only binding, or by pwrite(2). 0, with *@error cleared: it has its zeros, and
 * can be bound.
 */
int dmabuf_rw_file_refusal(const struct dmabuf_rw_file *file, struct dmabuf_rw_error *error);
/*
 * Makes all data written to the file durable, puts the file in the place of its target in one step
 * (rename(2)), and makes that durable too. Once. No transfer to the file may be under way; its
 * bindings may stay. After an error the old file is still there, and commit may be tried again (the
 * new file may keep a temporary name until it is closed), except after
 *   -EINVAL	it is already committed
 *   -EUCLEAN	the file has its name, which may not be durable
 *   -EIO, -ENOSPC, -EDQUOT and any other errno of fsync(2): written data is lost. The kernel
 *		reports that once; every further commit reports it again
 *   -ECHILD	this process is a child of the one that made the file
 */
int dmabuf_rw_file_commit(struct dmabuf_rw_file *file);
/* Removes a file that was not committed; in a child process, only closes the descriptors. */
void dmabuf_rw_file_close(struct dmabuf_rw_file *file);

/* ---- Entries for a ring that the caller owns ------------------------------------ */

/*
 * Fill the first 64 bytes, except user_data, of a submission queue entry of the caller's own
 * io_uring, of 64 or 128 bytes. The entry's flags are cleared, so set IOSQE_* afterwards. The rest
 * has no meaning. The completion's res is as dmabuf_rw.h says: at most DMABUF_RW_MAX_BYTES, and a
 * short result means "ask for the rest". @pieces must stay as dmabuf_rw.h says. Entries do not
 * bounce, and one for a bounce-only binding gives -EBADF.
 *
 * For a kernel binding the ring must have the buffer, see dmabuf_rw_binding_register(), and the
 * kernel's own rules apply: an unaligned transfer gives -EINVAL, one outside the buffer -EFAULT,
 * and after -EAGAIN submit the same entry again. Pieces, ranges and flags give -EBADF.
 */
void dmabuf_rw_prep_read(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
			 uint64_t file_off, uint64_t buf_off, uint32_t len, uint64_t flags);
void dmabuf_rw_prep_write(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
			  uint64_t file_off, uint64_t buf_off, uint32_t len, uint64_t flags);
void dmabuf_rw_prep_readv(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
			  uint64_t file_off, const struct dmabuf_rw_piece *pieces, uint32_t nr,
			  uint64_t flags);
void dmabuf_rw_prep_writev(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
			   uint64_t file_off, const struct dmabuf_rw_piece *pieces, uint32_t nr,
			   uint64_t flags);
/*
 * A batch: up to DMABUF_RW_MAX_BATCH transfers of DMABUF_RW_MAX_BYTES in all. @ranges must stay
 * until the completion. Their results are stored only with DMABUF_RW_IO_RESULTS in @flags.
 */
void dmabuf_rw_prep_read_many(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_range *ranges, uint32_t nr, uint64_t flags);
void dmabuf_rw_prep_write_many(struct io_uring_sqe *sqe, const struct dmabuf_rw_binding *binding,
			       struct dmabuf_rw_range *ranges, uint32_t nr, uint64_t flags);
/*
 * Points an entry for a module binding at slot @index of the ring's registered files, where the
 * caller has put the binding's descriptor. Saves the kernel a lookup per transfer.
 */
void dmabuf_rw_sqe_set_fixed_file(struct io_uring_sqe *sqe, unsigned int index);
/*
 * Puts the buffer of a kernel binding at @slot of the ring's table of registered buffers, which
 * must exist (io_uring_register_buffers_sparse(3)); does nothing for a module binding. Buffer and
 * disk are in use until io_uring_register_buffers_update_tag(3) replaces or empties the slot, or
 * the ring ends. -EOPNOTSUPP: bounce-only; else -errno of io_uring_register(2).
 */
int dmabuf_rw_binding_register(const struct dmabuf_rw_binding *binding, int ring_fd,
			       unsigned int slot);
/* Points a prepared entry at that slot; the default is 0. Leaves entries for the module alone. */
void dmabuf_rw_sqe_set_slot(struct io_uring_sqe *sqe, unsigned int slot);

#ifdef __cplusplus
}
#endif

#endif /* LIBDMABUF_RW_H */
