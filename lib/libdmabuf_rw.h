/* SPDX-License-Identifier: MIT */
/*
 * libdmabuf_rw.h - transfers between storage and dma-bufs, without a copy.
 *
 * Objects
 *   device	the module's node, open
 *   binding	one dma-buf joined to one file: an NVMe disk or partition, or a regular
 *		file on an ext4 or XFS file system on one
 *   queue	many transfers in flight, submitted and reaped like io_uring's
 *   file	a new regular file of a known size, which can be written to directly, and gets
 *		its name when its contents are there
 *
 * A buffer is a dma-buf descriptor and a place in it is a byte offset; there is no
 * pointer. dmabuf_rw.h, the kernel's interface, gives the flags, the structures that
 * are shared with the kernel (query, info, piece) and what each errno means.
 *
 * Conventions
 *   - Offsets and lengths are bytes.
 *   - Functions that can fail return a negative errno, never -1 with errno. On failure they
 *     store nothing in their output parameters, but a struct dmabuf_rw_error or
 *     dmabuf_rw_result is always filled, unless the size before it is too small to have it.
 *   - Structures that may grow begin with their size, set with sizeof(); fields that a caller
 *     does not know are zero. A null pointer to options means all defaults. Reserved fields
 *     and unknown flags must be zero (-EINVAL), and so must options of a newer library (-E2BIG).
 *   - Destroying functions take a null pointer, and cannot fail.
 *   - Descriptors that are passed in stay the caller's, and may be closed afterwards. A binding
 *     takes one of its own; a kernel binding two, and one for each of up to eight transfers at a
 *     time; with bouncing up to seven more. A queue takes two, up to five with its
 *     dmabuf_rw_queue_fd().
 *   - Every transfer goes direct or fails, unless the caller has allowed that binding to bounce.
 *     Every result says which way its bytes took; that of a batch, of all its ranges together.
 *
 * Files. A binding keeps nobody from changing, truncating, renaming or removing its file; a
 * transfer sees the file as it is at that moment. Direct transfers do not make it longer, and
 * find only what has been written: see ENXIO in dmabuf_rw.h, and dmabuf_rw_error_explain().
 *
 * Ways. Bytes go by the module; else, from Linux 7.4 on, by the kernel's own interface; else,
 * where that is allowed, they bounce. A binding takes the first of these that works, which is
 * found out by trying, and keeps it. Without a device the module is left out, and nothing else:
 * DMABUF_RW_PATH_BOUNCED alone in @ways of the options is what makes a binding bounce-only.
 *
 * A kernel binding is one of the kernel's own interface, which takes raw NVMe disks and partitions
 * on PCI, opened with O_DIRECT (another descriptor is opened anew by /proc/self/fd), and buffers
 * of up to 1 GiB, later 4 GiB, always as a whole. What differs from the module:
 *   - File offsets, and lengths of transfers and pieces, are multiples of an LBA, else EDOM (or
 *     bouncing).
 *   - Nobody looks whether the addresses of the buffer lead to it.
 *   - DMABUF_RW_IO_FUA is an fdatasync(2) of the disk after the write: it also writes back what is
 *     dirty in the disk's page cache, and fails if any of that does. From the first of them on it
 *     takes one descriptor more.
 *   - A revoked buffer gives what its exporter says to the drive, or EREMOTEIO, and not ESTALE.
 *     EREMOTEIO also tells of a buffer that was being moved for ten seconds.
 *   - A transfer may also give what making a ring gives: ENOMEM, EMFILE, ENFILE, or EPERM, EACCES,
 *     ENOSYS where io_uring was forbidden after bind. dmabuf_rw_queue_attach() gives any errno of
 *     the registration, and the queue works without.
 *   - A signal does not end the kernel's own wait for a buffer that is being moved.
 *   - It has no descriptor that could be passed on. It works in a child process.
 *   - At most eight transfers that wait run at a time; others wait for them, or for a signal.
 *   - In queues, pieces, batches and what is not aligned are run by threads, like what bounces.
 *   - It shares the flags of a descriptor that has O_DIRECT: as long as it lives, F_SETFL of
 *     fcntl(2) must neither clear O_DIRECT nor set O_APPEND there.
 *
 * Bouncing. With allow_bounce a binding takes any file that pread() and pwrite() take. What
 * cannot go direct, the library reads into or writes from memory of its own (with O_DIRECT where
 * the file has it, several chunks at a time), and copies between that and the buffer, through
 * the buffer's CPU mapping or by a function of the caller's. The memory is @bounce_depth times
 * @bounce_chunk for each transfer that bounces at the time, whatever the number of bindings, and
 * locked down. What bounces is
 *   - everything, if no other way has taken the pair: a bounce-only binding, whose refusal
 *     dmabuf_rw_binding_refusal() keeps. Writing behind the end of a regular file makes it grow
 *     then, as with pwrite();
 *   - of a pair that can go direct, the ranges that are refused with EDOM (alignment) and ENXIO
 *     (holes, and what was never written).
 * It opens the file anew and closes it again. As with every close(2), the process then has no
 * record locks of fcntl(2) on that file any more; those of flock(2) and F_OFD_SETLK stay.
 *
 * Unaligned writes. The drive writes whole LBAs (write_align in the info), or up to the end of a
 * regular file. Where a write begins or ends elsewhere, the rest of that LBA is read, changed and
 * written, which is bouncing and counted so. Without permission to bounce, where the buffer has
 * neither a CPU mapping nor a copy function, or without /dev/udmabuf, which the scratch memory
 * for it comes from, the whole write fails with EDOM. A lock of the process keeps such writes from
 * undoing each other, through bindings that allow bouncing; other processes are not kept out, and
 * theirs must not be within the same LBA at the same time. If the drive takes no SGLs, the last,
 * partial LBA of a file goes through the page cache instead, and writes to the same page must
 * not run at the same time.
 *
 * The page cache. A transfer leaves it no fuller than it was: what goes direct, or by O_DIRECT,
 * does not touch it, and what has to go through it is dropped again if it was not there before;
 * written pages are waited for, so they are on the drive as after O_DIRECT. All the same there
 * stay
 *   - pages that a bounced write covers in part, so two at most for each of them;
 *   - pages that two transfers, or a transfer and somebody else, share at the same time;
 *   - all that was read or written, if the kernel may not be asked what was there before: Linux
 *     before 6.5; or the file is neither writable for the caller nor its own, unless it is only
 *     read, and its file system knows RWF_DONTCACHE (Linux 6.14);
 *   - what the kernel reads ahead, if the file cannot be opened anew by /proc/self/fd;
 *   - what ext4 writes by way of its journal (data=journal), until that has been emptied.
 *
 * Thread-safety
 *   - A device and a binding may be used by any number of threads at once.
 *   - A queue belongs to one thread at a time: the caller sees to it that calls do not overlap.
 *     With DMABUF_RW_QUEUE_SINGLE_THREAD it belongs to the thread that created it, for good.
 *   - A file object belongs to one thread at a time.
 *   - Destroying an object must not overlap any other use of it.
 *   - A queue runs bounced transfers in threads of its own, which block all signals but
 *     those that tell of a fault in what they do, SIGBUS among them.
 *   - No function is a cancellation point of pthread_cancel(3), and none may be called in a
 *     signal handler: have it set a flag, or use signalfd(2). fork(3) may.
 *
 * Fork. What a child process may do with the objects of its parent:
 *   device	everything
 *   binding	everything, as the parent may at the same time; bounced transfers have memory of
 *		their own in each process. What a copy function uses must have survived the fork
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

/* Reasons of the library's own. The kernel's (enum dmabuf_rw_reason) stay below the first. */
enum dmabuf_rw_library_reason {
	DMABUF_RW_REASON_NO_DEVICE		= 1000,	/* ENODEV: bound without a device */
	/* EOPNOTSUPP: the buffer has neither CPU mapping nor copy function; detail = errno */
	DMABUF_RW_REASON_NO_CPU_ACCESS		= 1001,
	DMABUF_RW_REASON_NOT_SEEKABLE		= 1002,	/* ESPIPE: no pread() and pwrite() */
	/* EINVAL: bouncing allowed, device memory insisted on */
	DMABUF_RW_REASON_CONTRADICTION		= 1003,

	/* Of new files; dmabuf_rw_file_create() says more. */
	DMABUF_RW_REASON_DANGLING_LINK		= 1004,	/* ENOENT: a link to nothing */
	DMABUF_RW_REASON_DESCRIPTOR		= 1005,	/* EEXIST: the path leads to /proc */
	DMABUF_RW_REASON_UNTRUSTED_LINK		= 1006,	/* EACCES: another user's link */
	DMABUF_RW_REASON_FILE_ATTRIBUTE		= 1007,	/* EPERM: immutable or append-only */
	DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE	= 1008,	/* EPERM: so is its directory */
	DMABUF_RW_REASON_STICKY			= 1009,	/* EPERM: another user's file */
	DMABUF_RW_REASON_MOUNT_POINT		= 1010,	/* EBUSY: something is mounted on it */
	DMABUF_RW_REASON_LABEL			= 1011,	/* any: the old label cannot be given */

	/* Of files. */
	DMABUF_RW_REASON_NEVER_WRITTEN		= 1012,	/* ENXIO: a hole, or only allocated */
	DMABUF_RW_REASON_CLONE			= 1013,	/* ENXIO: is or was a reflink on XFS */

	/* Of ways. EOPNOTSUPP: another one was chosen, or was there before it */
	DMABUF_RW_REASON_NOT_CHOSEN		= 1014,
	/* EOPNOTSUPP: no interface in the kernel, or no io_uring allowed; detail = errno */
	DMABUF_RW_REASON_NO_KERNEL_WAY		= 1015,
	/* EOPNOTSUPP: it has one, and refuses the pair; detail = errno */
	DMABUF_RW_REASON_KERNEL_REFUSED		= 1016,
	DMABUF_RW_REASON_KERNEL_SIZE		= 1017,	/* EFBIG: so, for the buffer's size */
	/* EOPNOTSUPP: only the module can tell that a buffer is device memory */
	DMABUF_RW_REASON_KERNEL_BLIND		= 1018,

	/* Of opening the module. EPROTONOSUPPORT: its interface is of an older or a newer major */
	DMABUF_RW_REASON_MODULE_OLDER		= 1019,
	DMABUF_RW_REASON_MODULE_NEWER		= 1020,
};

/**
 * struct dmabuf_rw_error - one failure, fit to be turned into a sentence
 * @call:	enum dmabuf_rw_call
 * @err:	errno, positive; 0: no error
 * @reason:	enum dmabuf_rw_reason or dmabuf_rw_library_reason; 0: only the errno is known
 * @detail:	errno, positive, of the exporter, or with *KERNEL_* of the kernel; 0: none
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
 * What is wrong, and what to do about it: sentences without a full stop, never null, in static
 * storage. For an errno alone, fill @call and @err.
 */
const char *dmabuf_rw_error_cause(const struct dmabuf_rw_error *error);
const char *dmabuf_rw_error_remedy(const struct dmabuf_rw_error *error);

/* Whose errno the @detail is: "kernel" or "exporter"; null: it has none. */
const char *dmabuf_rw_error_speaker(const struct dmabuf_rw_error *error);

/*
 * Both, and the detail where there is one: "cause (detail): remedy". Returns the length of it all,
 * like snprintf(); @buf is terminated if @len is not 0.
 */
size_t dmabuf_rw_error_format(const struct dmabuf_rw_error *error, char *buf, size_t len);

/* 1: an error of bind is about the pair; 0: about the call, or the moment (no memory, a signal). */
int dmabuf_rw_error_is_about_pair(const struct dmabuf_rw_error *error);

/*
 * Sets the reason of a transfer's ENXIO to NEVER_WRITTEN or CLONE. @file_off: the first byte that
 * was not moved; @file_fd: its file, open in any mode. Writes out what is dirty in the file.
 * Leaves other errors alone.
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
 * -EACCES: no permission for the node; -EPROTONOSUPPORT: its interface is of another major
 * version, see DMABUF_RW_REASON_MODULE_OLDER.
 */
int dmabuf_rw_device_open(const struct dmabuf_rw_device_opts *opts,
			  struct dmabuf_rw_device **device);
/* Bindings and queues made through the device stay usable. */
void dmabuf_rw_device_close(struct dmabuf_rw_device *device);
int dmabuf_rw_device_fd(const struct dmabuf_rw_device *device);
/* What the module can do. @query->size is set by the caller; -EINVAL: to that of no version. */
int dmabuf_rw_device_query(const struct dmabuf_rw_device *device, struct dmabuf_rw_query *query);

/* ---- Binding ------------------------------------------------------------------ */

/* Which way a copy function copies. */
enum dmabuf_rw_copy {
	DMABUF_RW_COPY_TO_BUFFER	= 0,	/* from @host to the buffer */
	DMABUF_RW_COPY_FROM_BUFFER	= 1,	/* from the buffer to @host */
};

/*
 * Copies @len bytes between @host and the buffer at @buf_off, never outside of it, and returns 0
 * when they are there, or -errno, which ends the transfer and is told as it is (but EINTR and
 * ECANCELED as EIO). Called by the thread that transfers or by a queue's, and by several at once.
 */
typedef int (*dmabuf_rw_copy_fn)(void *arg, enum dmabuf_rw_copy direction,
				 uint64_t buf_off, void *host, size_t len);

/*
 * What a write may do first where the file has no block that has been written: fill whole blocks
 * that it will overwrite with zeros, so that it goes direct. Bits of @zeros.
 */
#define DMABUF_RW_ZEROS_BY_DRIVE	(1U << 0)	/* no data goes there (Linux 6.17) */
#define DMABUF_RW_ZEROS_WRITTEN		(1U << 1)	/* written, if the other cannot be */

/* Limits of @bounce_chunk and @bounce_depth. */
#define DMABUF_RW_BOUNCE_MIN_CHUNK	65536
#define DMABUF_RW_BOUNCE_MAX_CHUNK	(16U << 20)
#define DMABUF_RW_BOUNCE_MAX_DEPTH	64

/**
 * struct dmabuf_rw_binding_opts - how to bind
 * @size:	sizeof(struct dmabuf_rw_binding_opts)
 * @error:	filled on failure, if not null: why it was refused
 * @flags:	DMABUF_RW_BIND_*, for instance DMABUF_RW_BIND_DEVICE_MEMORY
 * @allow_bounce: 1: what cannot go direct may bounce; not with DMABUF_RW_BIND_DEVICE_MEMORY
 * @bounce_depth: chunks in flight in a bounced transfer; 0: the library's choice
 * @bounce_chunk: bytes of a chunk, a power of two; 0: the library's choice
 * @copy:	copies to and from the buffer in place of its CPU mapping; null: use that
 * @copy_arg:	for @copy
 * @ways:	enum dmabuf_rw_path, or'ed: only these are tried; 0: all. BOUNCED alone, which
 *		needs @allow_bounce, makes a bounce-only binding; a null device does not
 * @zeros:	DMABUF_RW_ZEROS_*, or'ed: of regular files; 0: what was never written bounces,
 *		or is an error
 *
 * From @bounce_depth to @copy_arg all is zero unless @allow_bounce is 1.
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
 * Joins @dmabuf_fd to @file_fd, and checks all that can be checked. Errors: the table in
 * dmabuf_rw.h, and enum dmabuf_rw_library_reason; -ENXIO: the file is a CLONE. @device may be
 * null: nothing goes by the module then, but what the kernel's own interface takes goes direct all
 * the same. Without another way the errors are -ENODEV, NO_DEVICE or one about that interface.
 *
 * With bouncing allowed, a refusal that is about the pair makes a bounce-only binding. One about
 * the call is still an error: a descriptor that is not open or no dma-buf, open modes that allow
 * neither direction, a drive that is gone, a signal, no memory or descriptors left. If the buffer
 * has neither a CPU mapping nor a copy function, a pair that cannot go direct is refused, and of
 * another one ranges that would have to bounce fail.
 *
 * A mapping of a buffer that its exporter takes away raises SIGBUS when it is touched.
 */
int dmabuf_rw_binding_create(const struct dmabuf_rw_device *device, int dmabuf_fd, int file_fd,
			     const struct dmabuf_rw_binding_opts *opts,
			     struct dmabuf_rw_binding **binding);
/*
 * Makes a binding of a descriptor that came from elsewhere (another process, a restart), which is
 * the library's on success. It does not bounce. -ENOTTY: not a binding.
 */
int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding);
/* No transfer of a queue may be pending on it: reap them, or destroy the queue first. */
void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding);
/* Stays the library's; dup() it to keep or to pass it. -1: nothing goes by the module. */
int dmabuf_rw_binding_fd(const struct dmabuf_rw_binding *binding);
/*
 * 1: it is bounce-only, and *@error is what would have been returned if bouncing were not allowed.
 * 0: it is not, and *@error is cleared.
 */
int dmabuf_rw_binding_refusal(const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_error *error);

/* The ways that its transfers may take: enum dmabuf_rw_path, never NONE. */
uint32_t dmabuf_rw_binding_path(const struct dmabuf_rw_binding *binding);
/*
 * 1: transfers do not take the way @path, DMABUF_RW_PATH_MODULE or _KERNEL, and *@error says why;
 * NOT_CHOSEN: it was not tried. 0: they do; *@error is cleared.
 */
int dmabuf_rw_binding_way_refusal(const struct dmabuf_rw_binding *binding, uint32_t path,
				  struct dmabuf_rw_error *error);
/* Whether this kernel has an interface of its own, for whatever pairs. 1; 0 with *@error. */
int dmabuf_rw_has_kernel_way(struct dmabuf_rw_error *error);

/* In the info of a bounce-only binding, and of a kernel binding; never set by the module. */
#define DMABUF_RW_INFO_BOUNCE_ONLY	(1ULL << 63)
#define DMABUF_RW_INFO_KERNEL		(1ULL << 62)

/*
 * What bind found, and counters. @info->size is set by the caller; -EINVAL: to that of no version.
 * For a bounce-only binding the library fills CAN_READ, CAN_WRITE, REGULAR, BOUNCE_ONLY, the two
 * sizes and alignments of 1; for a kernel binding CAN_READ, CAN_WRITE, KERNEL, the two sizes,
 * @lba_bytes, the alignments and @metadata_bytes: nothing tells where the buffer is.
 */
int dmabuf_rw_binding_info(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_info *info);
/*
 * 1: no transfer of a bound pair would go direct now, as the file has no block for the drive, and
 * *@error says why: CLONE, or NEVER_WRITTEN, which ends when the file is written. 0: some would;
 * *@error is cleared. @info is of a binding of the file at @file_fd, open in any mode. May write
 * out what is dirty in the file.
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
 * @kernel_bytes: out: of @direct_bytes, those by DMABUF_RW_PATH_KERNEL
 * @zeros_by_drive, @zeros_written: out: bytes of zeros put before writes, as DMABUF_RW_ZEROS_*;
 *		the latter have gone to the drive as data
 *
 * Counts what this process used this object for, without entries for rings of the caller's own.
 * Each range of a batch is a transfer. The numbers agree when no transfer runs.
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
/* A sentence: are transfers peer to peer, by which route, or why not. Length as snprintf(). */
size_t dmabuf_rw_info_describe(const struct dmabuf_rw_info *info, char *buf, size_t len);

/* ---- Synchronous transfers ----------------------------------------------------- */

/*
 * The ways that bytes took, one bit for each; several transfers' are or'ed. Not bounced is
 * direct: the drive's own DMA to the buffer.
 */
enum dmabuf_rw_path {
	DMABUF_RW_PATH_NONE	= 0,		/* nothing was moved */
	DMABUF_RW_PATH_MODULE	= 1 << 0,	/* direct, by the dmabuf_rw module */
	DMABUF_RW_PATH_BOUNCED	= 1 << 1,	/* copied through memory */
	DMABUF_RW_PATH_KERNEL	= 1 << 2,	/* direct, by the kernel's own interface */
};

/* "none", "direct", "bounced", "mixed" (the two together); "unknown" for other bits. */
const char *dmabuf_rw_path_name(unsigned int path);

/**
 * struct dmabuf_rw_result - how a transfer went, beyond its byte count
 * @size:	in: sizeof(struct dmabuf_rw_result)
 * @error:	out: errno, positive, that ended it, also after a part; 0: complete, or short at
 *		the end of the file. It is @err of a struct dmabuf_rw_error, with @call
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
 * Move @len bytes, any number, between the file at @file_off and the buffer at @buf_off; read is
 * from file to buffer. @flags: DMABUF_RW_IO_*. @result may be null.
 *
 * Returns the bytes moved, counted from @file_off without a gap, or -errno where none was. Fewer
 * than @len: the file ended, a signal arrived, or there was an error; @result->error tells.
 * -EINTR: a signal arrived before anything was done.
 */
ssize_t dmabuf_rw_read(const struct dmabuf_rw_binding *binding, uint64_t file_off, uint64_t buf_off,
		       uint64_t len, uint64_t flags, struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_write(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			uint64_t buf_off, uint64_t len, uint64_t flags,
			struct dmabuf_rw_result *result);
/* With @nr ranges of the buffer, at most DMABUF_RW_MAX_PIECES, in their order. */
ssize_t dmabuf_rw_readv(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			const struct dmabuf_rw_piece *pieces, unsigned int nr, uint64_t flags,
			struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_writev(const struct dmabuf_rw_binding *binding, uint64_t file_off,
			 const struct dmabuf_rw_piece *pieces, unsigned int nr, uint64_t flags,
			 struct dmabuf_rw_result *result);

/*
 * A batch: @nr transfers of one direction, each with a place in the file and in the buffer of its
 * own. Any number and any length in all (none: 0); DMABUF_RW_MAX_BATCH of them, or
 * DMABUF_RW_MAX_BYTES, go to the kernel together. They run side by side, in any order, and each
 * succeeds or fails by itself: its @result is the bytes that were moved, without a gap, or -errno
 * where none was. It is always stored, unless @ranges is null or @result too small. Less than @len
 * may be the file's end or an error: ask for the rest, or set DMABUF_RW_IO_WHOLE, and it tells.
 *
 * Returns the sum of the bytes moved; if that is 0, or DMABUF_RW_IO_WHOLE is in @flags, -errno of
 * the first range in the array that failed, if one did; failed ones may have moved a part.
 * @result->error: that errno, in any case. The rest of @result is about all ranges together. What a
 * range moved before it failed is in the sums, but perhaps not if it has DMABUF_RW_IO_WHOLE in its
 * own flags.
 *
 * @flags apply to every range, together with its own. A signal that does not end the process cuts
 * a batch short only where nothing of what the kernel was asked for together has moved: all that
 * is left ends with EINTR then. A range that bounces, or waits until the buffer is mapped again,
 * may end with EINTR by itself.
 */
ssize_t dmabuf_rw_read_many(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_range *ranges,
			    unsigned int nr, uint64_t flags, struct dmabuf_rw_result *result);
ssize_t dmabuf_rw_write_many(const struct dmabuf_rw_binding *binding,
			     struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			     struct dmabuf_rw_result *result);

/* ---- Queue --------------------------------------------------------------------- */

/* The thread that creates the queue uses it, which is cheaper. Others may destroy it; -EEXIST. */
#define DMABUF_RW_QUEUE_SINGLE_THREAD	(1ULL << 0)

#define DMABUF_RW_QUEUE_MAX_DEPTH	16384
#define DMABUF_RW_QUEUE_MAX_ATTACHED	64

/**
 * struct dmabuf_rw_queue_opts - how to create a queue
 * @size:	sizeof(struct dmabuf_rw_queue_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_QUEUE_*
 * @depth:	transfers in flight at most, a batch being one; 0: 128
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

/* Without io_uring, threads make system calls: eight transfers or batches at most at a time. */
int dmabuf_rw_queue_create(const struct dmabuf_rw_queue_opts *opts, struct dmabuf_rw_queue **queue);
/*
 * Waits until all that was submitted is done, by the drive or by bouncing, then drops the
 * completions nobody reaped. What was not submitted does not happen. When it returns, nothing
 * touches the buffers any more on the queue's behalf. To wait less, cancel first. Shortly
 * afterwards a call of this thread that is never restarted, epoll_wait(2) above all, may give
 * EINTR without a signal, as the kernel takes the ring apart.
 *
 * Another thread may destroy a SINGLE_THREAD queue that its own thread uses no more. Transfers end
 * where they are then: what they have not moved in one piece may be missing.
 */
void dmabuf_rw_queue_destroy(struct dmabuf_rw_queue *queue);
/* 0, or the errno (positive) because of which the queue does without io_uring. */
int dmabuf_rw_queue_ring_error(const struct dmabuf_rw_queue *queue);

/*
 * Makes the queue's transfers on @binding cheaper: the kernel looks the binding up once, now. For
 * bindings that carry many small transfers. The queue holds the binding open in the kernel until it
 * is detached or the queue destroyed, so detach before destroying the binding. A kernel binding is
 * attached by its first transfer, if there is room, and detached by the first reap after its end.
 * -EEXIST: it is attached; -ENOSPC: DMABUF_RW_QUEUE_MAX_ATTACHED are; -EOPNOTSUPP: bounce-only.
 */
int dmabuf_rw_queue_attach(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding);
/* None of its transfers may be pending on the queue. Allowed when not attached. */
void dmabuf_rw_queue_detach(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding);

/*
 * Queue one transfer, as by the synchronous calls; nothing happens before the next submit or reap.
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
 * Queue a batch, as dmabuf_rw_read_many(), with one place in the queue, and one completion, whose
 * @bytes and @error are what the synchronous call would return and store. @ranges are the queue's
 * until it is reaped, when the results are there, or the queue is destroyed, which may store
 * some, too. -EINVAL: no range; -EMSGSIZE: more than DMABUF_RW_MAX_BATCH; -EOVERFLOW: more than
 * DMABUF_RW_MAX_BYTES in all.
 */
int dmabuf_rw_queue_read_many(struct dmabuf_rw_queue *queue,
			      const struct dmabuf_rw_binding *binding,
			      struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			      uint64_t user_data);
int dmabuf_rw_queue_write_many(struct dmabuf_rw_queue *queue,
			       const struct dmabuf_rw_binding *binding,
			       struct dmabuf_rw_range *ranges, unsigned int nr, uint64_t flags,
			       uint64_t user_data);

/* Hands all that was queued to the kernel. 0, or -errno: some may not have been. */
int dmabuf_rw_queue_submit(struct dmabuf_rw_queue *queue);
/*
 * Submits what was queued, waits until @min transfers have finished (or all, if fewer are in
 * flight), and stores up to @max completions. @timeout: relative, null: for ever, zero: what has
 * finished by now. Returns how many were stored: fewer than @min after the timeout or a signal.
 * -EINTR: a signal, and nothing was stored. -EINVAL: a malformed timeout, or size in the first.
 */
int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue, struct dmabuf_rw_completion *completions,
			 unsigned int max, unsigned int min, const struct timespec *timeout);
/*
 * A descriptor for poll(2) and event loops, or -errno: readable while dmabuf_rw_queue_reap() would
 * find completions of what was submitted; now and then when it would not. It stays the queue's:
 * take it out of epoll sets before the queue is destroyed. With EPOLLET reap until nothing is left.
 */
int dmabuf_rw_queue_fd(struct dmabuf_rw_queue *queue);
/*
 * Cancel the pending transfers that have @user_data, or all. Each still gets its completion: with
 * the error ECANCELED if it was not over, and the bytes that were moved before. What was not
 * submitted does not happen, and has its completion at the next submit or reap. A bounced transfer
 * stops at its next chunk. Commands that the drive has run to their end, so a direct transfer of
 * one command mostly completes. Of a batch, each range has its result, -ECANCELED where nothing
 * of it was moved. Return how many are told to end, also finished ones; -ENOENT: none is pending.
 */
int dmabuf_rw_queue_cancel(struct dmabuf_rw_queue *queue, uint64_t user_data);
int dmabuf_rw_queue_cancel_all(struct dmabuf_rw_queue *queue);
/* Transfers queued or submitted whose completion has not been reaped; a batch is one. */
unsigned int dmabuf_rw_queue_pending(const struct dmabuf_rw_queue *queue);
unsigned int dmabuf_rw_queue_depth(const struct dmabuf_rw_queue *queue);

/* ---- New files ------------------------------------------------------------------- */

/*
 * The file will be written from the buffer @dmabuf_fd through @device. If that pair cannot go
 * direct, it gets no zeros, which would be for nothing: dmabuf_rw_file_refusal().
 */
#define DMABUF_RW_FILE_FOR_BUFFER	(1ULL << 0)

/**
 * struct dmabuf_rw_file_opts - how to make a file
 * @size:	sizeof(struct dmabuf_rw_file_opts)
 * @error:	filled on failure, if not null
 * @flags:	DMABUF_RW_FILE_*
 * @mode:	permissions, before the umask and a default access control list of the
 *		directory; 0: those of the file that is there already, see below, or else 0666
 * @dmabuf_fd:	with DMABUF_RW_FILE_FOR_BUFFER the buffer, else zero
 * @device:	with it the device, or null if there is none; else null
 * @interrupted: if not null, asked before every few MiB of zeros; other than 0: the file is given
 *		up with -EINTR
 * @arg:	its argument
 * @bind_flags:	with DMABUF_RW_FILE_FOR_BUFFER those of the later binding, DMABUF_RW_BIND_*
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
 * Makes a file of @bytes bytes, all zero, that can be written to directly at any place: its blocks
 * are there and have been written. It is in the directory of its target but has no name yet, or,
 * where the file system or the kernel want one, a temporary one beginning with ".dmabuf-rw-".
 * What is there stays as it is until the file is committed.
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
 *		owners may remove from, which is neither the caller's nor the directory's
 *		owner's; LABEL; otherwise no permission for the directory
 *   -EPERM	FILE_ATTRIBUTE, DIRECTORY_ATTRIBUTE: immutable or append-only (chattr(1));
 *		STICKY: another user's file in a directory that only owners may remove from
 *   -EBUSY	MOUNT_POINT: something is mounted on the file
 *   -EFBIG	@bytes, rounded up, are beyond RLIMIT_FSIZE or what the file system can do
 *   -EINTR	a signal, or @interrupted
 * and those of bind, with its reasons and DMABUF_RW_CALL_BIND, if with DMABUF_RW_FILE_FOR_BUFFER it
 * refuses the call rather than the pair.
 *
 * Rights. With @mode 0 a file that replaces another one is given, before its first byte is
 * written and while nobody but the caller can open it,
 *   - its owner and group, as far as the caller may;
 *   - its permissions and access control list, as a whole; a default list of the directory has
 *     no effect;
 *   - its security labels: attributes named security.*, but for capability, ima and evm, which are
 *     about the old contents. If one cannot be given, there is no new file (LABEL).
 * Whatever fails, nobody but the caller ever has more rights to the new file than to the old
 * one at that moment. Where the group cannot be given, group and others get what both had.
 * Where the list cannot be, or a default list cannot be taken off, the file is its owner's
 * alone. S_ISUID goes with the owner, S_ISGID with the group; they, and those of @mode, are set by
 * the commit, since writing takes them away. The commit takes the rights again, if the old file
 * has changed since or another one is there.
 *
 * Attributes named user.* and trusted.*, those of chattr(1) and further hard links stay with the
 * old file: they may be about its contents. With another @mode nothing is taken over from it.
 *
 * Writing the zeros costs as much as writing @bytes bytes, unless kernel, file system and
 * drive can do it by themselves (FALLOC_FL_WRITE_ZEROES).
 */
int dmabuf_rw_file_create(const char *path, uint64_t bytes, const struct dmabuf_rw_file_opts *opts,
			  struct dmabuf_rw_file **file);
/*
 * Open for reading and writing until the file is closed; stays the library's. Never 0, 1 or 2.
 * An error that fsync(2) on it has told of, commit is not told of again.
 */
int dmabuf_rw_file_fd(const struct dmabuf_rw_file *file);
/*
 * 1, with *@error as bind has given it: the file was made with DMABUF_RW_FILE_FOR_BUFFER, and the
 * pair cannot go direct. Its blocks are reserved, where the file system can do that, but never
 * written: write it through a bounce-only binding, or by pwrite(2). 0, with *@error cleared: it has
 * its zeros, and can be bound.
 */
int dmabuf_rw_file_refusal(const struct dmabuf_rw_file *file, struct dmabuf_rw_error *error);
/*
 * Puts the file in the place of what is at its target, in one step (rename(2)), when all that was
 * written to it is durable; and makes that durable too. Once. No transfer to the file may be under
 * way; its bindings may stay. After an error the old file is still there, and commit may be tried
 * again (the new one may keep a temporary name until it is closed); but
 *   -EINVAL	it is committed already
 *   -EUCLEAN	the file has its name, which may not be durable
 *   -EIO, -ENOSPC, -EDQUOT and whatever fsync(2) gave: something that was written is lost.
 *		The kernel says that once; every further commit says it again
 *   -ECHILD	this process is a child of the one that made the file
 */
int dmabuf_rw_file_commit(struct dmabuf_rw_file *file);
/* A file that was not committed is gone then; in a child process, only its descriptors are. */
void dmabuf_rw_file_close(struct dmabuf_rw_file *file);

/* ---- Entries for a ring that the caller owns ------------------------------------ */

/*
 * Fill a submission queue entry of the caller's own io_uring, of 64 or 128 bytes: the first 64, but
 * for user_data. The entry's flags are cleared, so IOSQE_* are set afterwards. The rest has no
 * meaning. The completion's res is as dmabuf_rw.h says: at most DMABUF_RW_MAX_BYTES, and a short
 * result means "ask for the rest". @pieces must stay as dmabuf_rw.h says. Nothing here bounces, and
 * an entry for a bounce-only binding gives -EBADF.
 *
 * For a kernel binding the ring must have the buffer, see dmabuf_rw_binding_register(). The entry
 * has the kernel's own rules then: what is not aligned gives -EINVAL, what is outside the buffer
 * -EFAULT, and -EAGAIN means to submit the same entry again. Pieces, ranges and flags are not to be
 * had: -EBADF.
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
 * A batch: up to DMABUF_RW_MAX_BATCH transfers of DMABUF_RW_MAX_BYTES in all. @ranges stay until
 * the completion. Only with DMABUF_RW_IO_RESULTS in @flags each gets its result.
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
 * has to be there (io_uring_register_buffers_sparse(3)); for a module binding it does nothing.
 * Buffer and disk are in use until the slot gets something else, or nothing, by
 * io_uring_register_buffers_update_tag(3), or the ring ends. -EOPNOTSUPP: bounce-only; else -errno
 * of io_uring_register(2).
 */
int dmabuf_rw_binding_register(const struct dmabuf_rw_binding *binding, int ring_fd,
			       unsigned int slot);
/* Points a prepared entry at that slot; without this it is 0. Changes no entry for the module. */
void dmabuf_rw_sqe_set_slot(struct io_uring_sqe *sqe, unsigned int slot);

#ifdef __cplusplus
}
#endif

#endif /* LIBDMABUF_RW_H */
