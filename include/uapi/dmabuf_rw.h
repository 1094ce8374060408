/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * dmabuf_rw.h - the interface between the dmabuf_rw module and user space.
 *
 * Vocabulary
 *   buffer	the dma-buf: the memory side of every transfer
 *   file	the storage side: a whole NVMe disk, a partition, or a regular file on an
 *		ext4 or XFS file system on one of them
 *   binding	a file descriptor that joins one buffer to one file; closing its
 *		last reference unbinds
 *   LBA	logical block of the namespace, 512 or 4096 bytes
 *   piece	a byte range of the buffer: (buffer offset, length)
 *   batch	many transfers of one binding and direction in one call
 *
 * Conventions
 *   - All offsets and lengths are bytes. File offset 0 is the first byte of the file, disk or
 *     partition that was opened; buffer offset 0 is the first byte of the dma-buf.
 *   - Every structure passed by pointer, except arrays of pieces and ranges, begins with its
 *     own size, which the caller sets with sizeof(). A kernel that knows a longer structure
 *     takes the missing tail as zero. One that knows a shorter structure refuses a tail that
 *     is not zero (E2BIG), and does not fill in output fields of the tail. So the kernel
 *     knows a request by its number, and ignores the _IOC_SIZE in its code.
 *   - Reserved fields and unknown flags must be zero (EINVAL), so that they can get a meaning
 *     later.
 *   - An ioctl reads each structure and array once. For io_uring see enum dmabuf_rw_uring_op.
 *
 * Rights come from the two descriptors alone, as they are at bind time. Reading from the file
 * needs the file open for reading and the buffer open for writing; writing to the file needs
 * the file open for writing and the buffer open for reading. Passing the binding's descriptor
 * to another process passes its rights on.
 *
 * Regular files. A binding changes nothing for others: they may open, write, truncate, rename,
 * unlink, defragment or clone the file as ever. An operation that frees or moves its blocks
 * waits for the transfers in flight, as it waits for direct I/O, and the next transfer looks
 * the blocks up again. Blocks are looked up when they are first used. A transfer uses the size
 * that the file has at that moment, and is short at the end; a write does not make the file
 * longer. A transfer ends where no block has been written: see ENXIO.
 *
 * Alignment. DMABUF_RW_INFO reports the alignment that offsets and lengths need. A read may
 * begin and end at any byte if the drive takes SGLs of any bytes: the rest of the first and the
 * last LBA goes to scratch memory. A write is of whole LBAs, or ends where a regular file does:
 * the rest of that LBA is written with zeros.
 *
 * Thread-safety. Every call may be made from any number of threads at once, on one binding or
 * many. Transfers are not ordered with respect to one another. Where two overlap in the buffer
 * or on the disk, the bytes are those of either, as with O_DIRECT.
 *
 * Errors. Each errno has one meaning over the whole interface. BIND also stores a reason (enum
 * dmabuf_rw_reason) that says which of the possible causes it was.
 *
 *   errno           | call      | meaning
 *   ----------------+-----------+----------------------------------------------------------------
 *   EINVAL          | all       | malformed request: structure too small, reserved field or
 *                   |           | unknown flag set, flag without meaning here
 *   E2BIG           | all       | structure longer than this kernel's, tail not zero
 *   EFAULT          | all       | a pointer is not readable or writable user memory
 *   ENOTTY          | all       | no such request on this descriptor
 *   EINTR           | all       | a signal arrived before anything was done; with
 *                   |           | DMABUF_RW_IO_WHOLE, before everything was done
 *   ENOMEM          | all       | the kernel has no memory for the bookkeeping
 *   EMFILE, ENFILE  | BIND      | no descriptor left in the process, in the system
 *   EBADF           | BIND      | dmabuf_fd or file_fd is not an open descriptor
 *   EBADFD          | BIND      | dmabuf_fd is open but is not a dma-buf
 *   ENOTBLK         | BIND      | file_fd does not lead straight to the blocks of an NVMe
 *                   |           | namespace (other file system than ext4 and XFS, device-mapper,
 *                   |           | md, loop, SCSI, ...)
 *   EPROTONOSUPPORT | BIND      | NVMe, but not on PCI (fabrics, Apple, loop target)
 *   EMEDIUMTYPE     | BIND, I/O | the namespace's format cannot be served: metadata or protection
 *                   |           | information per block, zoned, or LBA size out of range; or since
 *                   |           | BIND the namespace was reformatted or made smaller, or a regular
 *                   |           | file's data has moved to the journal or was sealed (verity)
 *   EADDRNOTAVAIL   | BIND, I/O | the drive cannot reach the buffer at the addresses that its
 *                   |           | exporter gave: not translated by the IOMMU, in a software bounce
 *                   |           | (swiotlb) area, in memory that needs cache maintenance for the
 *                   |           | drive, behind a host bridge that is not known to route it, or of
 *                   |           | no known device
 *   EXDEV           | BIND, I/O | DMABUF_RW_BIND_DEVICE_MEMORY is set, and the buffer lies, at
 *                   |           | least partly, in system RAM or at an address that cannot be
 *                   |           | identified
 *   EREMOTEIO       | BIND, I/O | the exporter refused to attach or to map; BIND stores the
 *                   |           | exporter's own errno in detail
 *   EPROTO          | BIND      | the kernel's NVMe driver does not behave as this module
 *                   |           | expects, or this could not be checked; nothing was transferred
 *   EACCES          | BIND, I/O | the descriptors' open modes do not allow it; a regular file that
 *                   |           | was append-only at bind time is not open for writing
 *   EPERM           | I/O       | write to a device that has become read-only, to a file system
 *                   |           | that has been remounted read-only or has made itself so after an
 *                   |           | error, or to a file made immutable or append-only
 *   ETXTBSY         | BIND, I/O | the file is in use as swap
 *   ENODEV          | BIND, I/O | the drive or namespace is gone (unbound, unplugged, removed;
 *                   |           | after BIND also: left without capacity)
 *   ESTALE          | I/O       | the exporter revoked the buffer for good
 *   EOVERFLOW       | I/O       | an offset plus its length does not fit in 63 bits; or a batch, or
 *                   |           | a transfer that must be whole, exceeds DMABUF_RW_MAX_BYTES
 *   ERANGE          | I/O       | a piece ends outside the buffer
 *   ENXIO           | I/O       | the file has no written block here: a hole, or space that was
 *                   |           | only allocated; or, on XFS, the file is or was a clone (reflink)
 *   EDOM            | I/O       | an offset or a length is not a multiple of the alignment that
 *                   |           | DMABUF_RW_INFO reports, or the pieces cannot be expressed in
 *                   |           | whole LBAs for this drive
 *   EMSGSIZE        | I/O       | too many pieces (DMABUF_RW_MAX_PIECES), or transfers in a batch
 *                   |           | (DMABUF_RW_MAX_BATCH)
 *   ESPIPE          | I/O       | the file ends before a transfer that must be whole
 *                   |           | (DMABUF_RW_IO_WHOLE)
 *   ENOSPC          | I/O       | write that begins at or after the file's end; or the drive
 *                   |           | reports that its capacity is used up, or the file system has no
 *                   |           | space for cached data that must be written first
 *   EOPNOTSUPP      | BIND      | the file's blocks cannot be used in place: data inside the inode
 *                   |           | or the journal, encryption, verity, DAX, ...
 *   EOPNOTSUPP      | I/O       | polled I/O, and the drive's queues have no poll queue
 *                   |           | (nvme.poll_queues=0); or, on a kernel before 6.14, a queue entry
 *                   |           | in a chain of links without IOSQE_ASYNC, which the kernel does
 *                   |           | not preserve
 *   ENODATA         | I/O       | the drive reports an unrecovered medium error
 *   ENOLINK         | I/O       | no path to the namespace is left that works
 *   ETIMEDOUT       | I/O       | the drive did not answer in time. No kernel so far returns this:
 *                   |           | its NVMe driver cancels the command, which is then repeated and
 *                   |           | in the end gives ENOLINK
 *   EILSEQ          | I/O       | the drive reports a protection information error
 *   EBADE           | I/O       | the drive reports a reservation conflict
 *   EBUSY           | I/O       | write to a range that somebody holds in the page cache and that
 *                   |           | cannot be dropped from it, such as metadata of a mounted file
 *                   |           | system; or others write a file so busily that no transfer got a
 *                   |           | turn
 *   EIO             | I/O       | any other error status of the drive, or the file's file system
 *                   |           | has shut itself down
 *
 * A synchronous caller never sees EAGAIN. io_uring sees it when it tries a command without
 * blocking, and then runs the command from a worker.
 */
#ifndef _UAPI_DMABUF_RW_H
#define _UAPI_DMABUF_RW_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The device node: misc device, mode 0660, "/dev/dmabuf_rw". */
#define DMABUF_RW_DEVICE	"/dev/dmabuf_rw"

/* Version of this interface. Within a major version it only grows, and stays compatible. */
#define DMABUF_RW_ABI_MAJOR	1
#define DMABUF_RW_ABI_MINOR	0

/* Pieces in one vectored transfer; equals UIO_MAXIOV (include/uapi/linux/uio.h). */
#define DMABUF_RW_MAX_PIECES	1024

/* Transfers in one batch. */
#define DMABUF_RW_MAX_BATCH	256

/*
 * The most bytes that one transfer moves, counted from the start of its first LBA: MAX_RW_COUNT
 * (include/linux/fs.h) for 4 KiB pages, the limit of read(2) and of an io_uring result. A
 * longer request gets a short result, or EOVERFLOW if it must be whole. A batch may not exceed
 * it in total.
 */
#define DMABUF_RW_MAX_BYTES	0x7ffff000U

/**
 * struct dmabuf_rw_query - what this module can do; /dev/dmabuf_rw
 * @size:	in: sizeof(struct dmabuf_rw_query)
 * @abi_major:	out: DMABUF_RW_ABI_MAJOR of the module
 * @abi_minor:	out: DMABUF_RW_ABI_MINOR of the module
 * @resv0:	must be zero
 * @bind_flags:	out: known DMABUF_RW_BIND_*
 * @io_flags:	out: known DMABUF_RW_IO_*
 * @uring_ops:	out: bit n set: command n of enum dmabuf_rw_uring_op is known
 * @max_pieces:	out: most pieces in a vectored transfer
 * @max_batch:	in: zero; out: most transfers in a batch
 * @max_bytes:	out: most bytes that one transfer moves
 */
struct dmabuf_rw_query {
	__u32 size;
	__u16 abi_major;
	__u16 abi_minor;
	__u64 resv0;
	__u64 bind_flags;
	__u64 io_flags;
	__u64 uring_ops;
	__u32 max_pieces;
	__u32 max_batch;
	__u64 max_bytes;
};

/*
 * BIND fails with EXDEV unless the whole buffer lies in PCI BARs. This is checked again
 * whenever the exporter moves the buffer.
 */
#define DMABUF_RW_BIND_DEVICE_MEMORY	(1ULL << 0)
/*
 * Accept addresses that the kernel cannot vouch for: a BAR behind a host bridge that it does
 * not know to route peer to peer, and addresses that are neither RAM nor a BAR. If the hardware
 * drops such DMA, a transfer succeeds and no data arrives: set this only after a test of the data.
 */
#define DMABUF_RW_BIND_TRUST_ADDRESSES	(1ULL << 1)
#define DMABUF_RW_BIND_FLAGS		(DMABUF_RW_BIND_DEVICE_MEMORY | \
					 DMABUF_RW_BIND_TRUST_ADDRESSES)

/*
 * Why BIND refused, in more detail than the errno. Values are stable. New ones may be added, so
 * treat an unknown value as "see the errno".
 */
enum dmabuf_rw_reason {
	DMABUF_RW_REASON_NONE			= 0,
	DMABUF_RW_REASON_DMABUF_FD		= 1,	/* EBADF: dmabuf_fd not open */
	DMABUF_RW_REASON_FILE_FD		= 2,	/* EBADF: file_fd not open */
	DMABUF_RW_REASON_NOT_DMABUF		= 3,	/* EBADFD */
	DMABUF_RW_REASON_NOT_BLOCK		= 4,	/* ENOTBLK: not a block device */
	DMABUF_RW_REASON_NOT_NVME		= 5,	/* ENOTBLK: other block device */
	DMABUF_RW_REASON_STACKED		= 6,	/* ENOTBLK: dm, md or loop */
	DMABUF_RW_REASON_NOT_PCI		= 7,	/* EPROTONOSUPPORT */
	DMABUF_RW_REASON_METADATA		= 8,	/* EMEDIUMTYPE: metadata or PI */
	DMABUF_RW_REASON_ZONED			= 9,	/* EMEDIUMTYPE */
	DMABUF_RW_REASON_LBA_SIZE		= 10,	/* EMEDIUMTYPE */
	DMABUF_RW_REASON_NOT_TRANSLATED		= 11,	/* EADDRNOTAVAIL: IOMMU */
	DMABUF_RW_REASON_SWIOTLB		= 12,	/* EADDRNOTAVAIL: bounce or sync */
	DMABUF_RW_REASON_NOT_DEVICE_MEMORY	= 13,	/* EXDEV */
	DMABUF_RW_REASON_ATTACH			= 14,	/* EREMOTEIO: detail = errno */
	DMABUF_RW_REASON_MAP			= 15,	/* EREMOTEIO: detail = errno */
	DMABUF_RW_REASON_BAD_MAPPING		= 16,	/* EREMOTEIO: ranges wrap, or are
							 * shorter than the buffer */
	DMABUF_RW_REASON_DRIVER			= 17,	/* EPROTO */
	DMABUF_RW_REASON_ACCESS			= 18,	/* EACCES: neither direction */
	DMABUF_RW_REASON_GONE			= 19,	/* ENODEV */
	DMABUF_RW_REASON_NO_PATH		= 20,	/* ENODEV: multipath, no live PCI path */
	DMABUF_RW_REASON_FILESYSTEM		= 21,	/* ENOTBLK: other file system */
	DMABUF_RW_REASON_OVERLAY		= 22,	/* ENOTBLK: overlayfs; try the file below */
	DMABUF_RW_REASON_SWAP_FILE		= 23,	/* ETXTBSY */
	DMABUF_RW_REASON_NO_DIRECT		= 24,	/* EOPNOTSUPP: data in inode or journal */
	DMABUF_RW_REASON_ENCRYPTED		= 25,	/* EOPNOTSUPP */
	DMABUF_RW_REASON_VERITY			= 26,	/* EOPNOTSUPP */
	DMABUF_RW_REASON_COMPRESSED		= 27,	/* EOPNOTSUPP */
	DMABUF_RW_REASON_DAX			= 28,	/* EOPNOTSUPP */
	DMABUF_RW_REASON_REALTIME		= 29,	/* EOPNOTSUPP: on XFS's realtime device */
	DMABUF_RW_REASON_LAYOUT			= 30,	/* EOPNOTSUPP: no access to its blocks */
	DMABUF_RW_REASON_ON_DEMAND		= 31,	/* EOPNOTSUPP: a daemon fills it on read */
	DMABUF_RW_REASON_UNREADABLE		= 32,	/* EPROTO: reads failed, driver untested */
	DMABUF_RW_REASON_NO_ROUTE		= 33,	/* EADDRNOTAVAIL: BAR, no known route */
	DMABUF_RW_REASON_UNKNOWN_ADDRESS	= 34,	/* EADDRNOTAVAIL: neither RAM nor BAR */
};

/**
 * struct dmabuf_rw_bind - join a dma-buf to a file; /dev/dmabuf_rw
 * @size:	in: sizeof(struct dmabuf_rw_bind)
 * @dmabuf_fd:	in: descriptor of the buffer
 * @file_fd:	in: descriptor of the file, opened with or without O_DIRECT
 * @reason:	in: zero; out, on failure: enum dmabuf_rw_reason
 * @flags:	in: DMABUF_RW_BIND_*
 * @detail:	in: zero; out, on failure: the exporter's errno (positive), else zero
 * @resv0:	must be zero
 * @resv:	must be zero
 *
 * The ioctl returns the binding's descriptor (close-on-exec), or -1 with errno. The binding
 * holds the buffer and the file; the caller may close both descriptors.
 */
struct dmabuf_rw_bind {
	__u32 size;
	__s32 dmabuf_fd;
	__s32 file_fd;
	__u32 reason;
	__u64 flags;
	__s32 detail;
	__u32 resv0;
	__u64 resv[4];
};

/* The buffer's memory, identified by the addresses that the drive uses. */
enum dmabuf_rw_class {
	DMABUF_RW_CLASS_UNKNOWN		= 0,	/* neither RAM nor a PCI BAR */
	DMABUF_RW_CLASS_RAM		= 1,	/* system RAM */
	DMABUF_RW_CLASS_BAR		= 2,	/* one BAR of one PCI device */
	DMABUF_RW_CLASS_MIXED		= 3,	/* more than one of the above */
};

/* How the drive's addresses are translated. */
enum dmabuf_rw_iommu {
	DMABUF_RW_IOMMU_NONE		= 0,	/* no IOMMU for the drive */
	DMABUF_RW_IOMMU_PASSTHROUGH	= 1,	/* identity domain */
	DMABUF_RW_IOMMU_TRANSLATED	= 2,	/* translating domain */
	DMABUF_RW_IOMMU_P2P_BUS		= 3,	/* translating domain, but the buffer is
						 * reached by bus address below a
						 * switch that both devices share */
};

#define DMABUF_RW_INFO_CAN_READ		(1ULL << 0)	/* file to buffer */
#define DMABUF_RW_INFO_CAN_WRITE	(1ULL << 1)	/* buffer to file */
#define DMABUF_RW_INFO_SGL		(1ULL << 2)	/* drive takes SGLs */
#define DMABUF_RW_INFO_POLL		(1ULL << 3)	/* poll queues present */
#define DMABUF_RW_INFO_MULTIPATH	(1ULL << 4)	/* native multipath head */
#define DMABUF_RW_INFO_WRITE_CACHE	(1ULL << 5)	/* volatile: durable after FUA or fsync */
#define DMABUF_RW_INFO_MAPPED		(1ULL << 6)	/* mapped now; clear between an
							 * invalidation and the next
							 * transfer */
#define DMABUF_RW_INFO_REVOKED		(1ULL << 7)	/* transfers give ESTALE */
#define DMABUF_RW_INFO_REGULAR		(1ULL << 8)	/* a regular file is bound */
#define DMABUF_RW_INFO_NO_BLOCKS	(1ULL << 9)	/* XFS: the file has blocks, but BIND
							 * found none at a few places: never
							 * written, or a clone */

/**
 * struct dmabuf_rw_info - what BIND found, and counters; on a binding
 * @size:	in: sizeof(struct dmabuf_rw_info)
 * @resv0:	must be zero
 * @flags:	out: DMABUF_RW_INFO_*
 * @buf_bytes:	out: size of the buffer
 * @file_bytes:	out: current size of the file, disk or partition
 * @lba_bytes:	out: LBA size
 * @read_align: out: file offsets and lengths of reads must be multiples of this; a length may
 *		also end at a regular file's end, if the drive takes SGLs or the buffer's
 *		pages allow it
 * @write_align: out: file offsets and lengths of writes must be multiples of this, the LBA
 *		size; a length may also end at a regular file's end, under the same conditions
 * @buf_align:	out: buffer offsets must be multiples of this
 * @max_cmd_bytes: out: most bytes that one NVMe command moves; longer transfers are split into
 *		commands that run together
 * @mem_class:	out: enum dmabuf_rw_class
 * @bar:	out: BAR number, if @mem_class is DMABUF_RW_CLASS_BAR
 * @bar_pci:	out: the BAR's device: domain << 16 | bus << 8 | devfn, with the lowest 16 bits
 *		of the domain
 * @nvme_pci:	out: the drive (of the current path), in the same form
 * @bar_domain:	out: the whole domain of @bar_pci, above 65535 behind a volume management
 *		device (VMD)
 * @nvme_domain: out: the whole domain of @nvme_pci
 * @iommu:	out: enum dmabuf_rw_iommu
 * @paths:	out: paths to the namespace that are bound, 1 without multipath
 * @resv1:	must be zero
 * @extents:	out: merged DMA extents of the buffer, over all paths
 * @metadata_bytes: out: kernel memory held for this binding and its mappings. Bindings of a
 *		buffer to files of one drive share a mapping, and each reports all of it
 * @reads:	out: transfers from file to buffer that moved data
 * @writes:	out: transfers from buffer to file that moved data
 * @read_bytes:	out: bytes moved from file to buffer
 * @write_bytes: out: bytes moved from buffer to file
 * @errors:	out: transfers, also those of a batch, that met an error other than EINTR and
 *		ENXIO. A short end of file is an error only with DMABUF_RW_IO_WHOLE
 * @remaps:	out: times the buffer was mapped again after an invalidation, since the first of
 *		the bindings that share the mapping
 * @failovers:	out: times a transfer moved to another path
 * @file_extents: out: extents of a regular file that have been looked up so far, else 0
 * @resv:	must be zero
 */
struct dmabuf_rw_info {
	__u32 size;
	__u32 resv0;
	__u64 flags;
	__u64 buf_bytes;
	__u64 file_bytes;
	__u32 lba_bytes;
	__u32 read_align;
	__u32 write_align;
	__u32 buf_align;
	__u32 max_cmd_bytes;
	__u32 mem_class;
	__u32 bar;
	__u32 bar_pci;
	__u32 nvme_pci;
	__u32 bar_domain;
	__u32 nvme_domain;
	__u32 iommu;
	__u32 paths;
	__u32 resv1;
	__u64 extents;
	__u64 metadata_bytes;
	__u64 reads;
	__u64 writes;
	__u64 read_bytes;
	__u64 write_bytes;
	__u64 errors;
	__u64 remaps;
	__u64 failovers;
	__u64 file_extents;
	__u64 resv[3];
};

/*
 * Force unit access (NVM Command Set Specification, Read and Write commands, CDW12 bit 30): when
 * the write completes, it is on the medium, not only in the drive's cache. Like RWF_DSYNC. Only
 * for writes; EINVAL on a read.
 */
#define DMABUF_RW_IO_FUA		(1ULL << 0)
/*
 * All bytes, or an errno: a transfer that would be short is an error, even if bytes were moved.
 * So a request linked behind it (IOSQE_IO_LINK) does not begin.
 */
#define DMABUF_RW_IO_WHOLE		(1ULL << 1)
/*
 * Store the result of each transfer of a batch. Only in the flags of a batch, not of a range.
 * Libdmabuf_rw's calls and queues set it themselves; dmabuf_rw_prep_*_many() do not.
 */
#define DMABUF_RW_IO_RESULTS		(1ULL << 2)
#define DMABUF_RW_IO_FLAGS		(DMABUF_RW_IO_FUA | DMABUF_RW_IO_WHOLE | \
					 DMABUF_RW_IO_RESULTS)

/**
 * struct dmabuf_rw_piece - one byte range of the buffer
 * @buf_off:	where it begins in the buffer
 * @len:	its length; zero is allowed and moves nothing
 */
struct dmabuf_rw_piece {
	__u64 buf_off;
	__u64 len;
};

/**
 * struct dmabuf_rw_range - one transfer of a batch
 * @file_off:	where it begins in the file
 * @buf_off:	where it begins in the buffer
 * @len:	bytes to move
 * @flags:	DMABUF_RW_IO_FUA, DMABUF_RW_IO_WHOLE; added to those of the batch
 * @result:	in: anything; out, with DMABUF_RW_IO_RESULTS: bytes moved, without a gap, or
 *		-errno if none was, or not all with DMABUF_RW_IO_WHOLE
 */
struct dmabuf_rw_range {
	__u64 file_off;
	__u64 buf_off;
	__u32 len;
	__u32 flags;
	__s64 result;
};

enum dmabuf_rw_op {
	DMABUF_RW_OP_READ	= 0,	/* file to buffer */
	DMABUF_RW_OP_WRITE	= 1,	/* buffer to file */
};

/**
 * struct dmabuf_rw_io - one synchronous transfer; on a binding
 * @size:	in: sizeof(struct dmabuf_rw_io)
 * @op:		in: enum dmabuf_rw_op
 * @flags:	in: DMABUF_RW_IO_*, without DMABUF_RW_IO_RESULTS
 * @file_off:	in: where the transfer begins in the file
 * @buf_off:	in: where it begins in the buffer; zero if @nr_pieces is not zero
 * @len:	in: bytes to move; zero if @nr_pieces is not zero
 * @pieces:	in: user address of @nr_pieces struct dmabuf_rw_piece, which are filled or
 *		emptied in their order against one range of the file; else zero
 * @nr_pieces:	in: number of pieces; zero: @buf_off and @len are used
 * @error:	in: zero; out: if positive, the errno that ended the transfer after @done bytes
 * @done:	in: zero; out: bytes moved, counted from @file_off without a gap
 * @resv:	must be zero
 *
 * The ioctl returns 0 if bytes were moved or none were asked for (@len 0, or a read at the end
 * of the file): see @done and @error. It returns -1 with errno if an error left nothing moved,
 * or not everything with DMABUF_RW_IO_WHOLE. A transfer that crosses the end of the file is
 * short, as with O_DIRECT.
 */
struct dmabuf_rw_io {
	__u32 size;
	__u32 op;
	__u64 flags;
	__u64 file_off;
	__u64 buf_off;
	__u64 len;
	__u64 pieces;
	__u32 nr_pieces;
	__s32 error;
	__u64 done;
	__u64 resv[2];
};

/**
 * struct dmabuf_rw_batch - many transfers in one call; on a binding
 * @size:	in: sizeof(struct dmabuf_rw_batch)
 * @op:		in: enum dmabuf_rw_op, of all transfers
 * @flags:	in: DMABUF_RW_IO_*, of all transfers
 * @ranges:	in: user address of @nr struct dmabuf_rw_range
 * @nr:		in: number of transfers, up to DMABUF_RW_MAX_BATCH
 * @error:	in: zero; out: errno, positive, of the first transfer in the array that failed;
 *		else zero
 * @done:	in: zero; out: sum of the transfers' results, errors not counted
 * @resv:	must be zero
 *
 * Each transfer succeeds or fails by itself, in any order. The ioctl returns 0 if bytes were moved
 * or nothing failed, else -1 with the errno that @error would have. With DMABUF_RW_IO_WHOLE in
 * @flags it returns that errno whenever a transfer failed. A signal that does not end the process
 * cuts no batch short, but a transfer that waits for the buffer to be mapped again may fail with
 * EINTR.
 */
struct dmabuf_rw_batch {
	__u32 size;
	__u32 op;
	__u64 flags;
	__u64 ranges;
	__u32 nr;
	__s32 error;
	__u64 done;
	__u64 resv[2];
};

#define DMABUF_RW_IOC_MAGIC	0xDB

/* On /dev/dmabuf_rw. */
#define DMABUF_RW_IOC_QUERY	_IOWR(DMABUF_RW_IOC_MAGIC, 0x00, struct dmabuf_rw_query)
#define DMABUF_RW_IOC_BIND	_IOWR(DMABUF_RW_IOC_MAGIC, 0x01, struct dmabuf_rw_bind)
/* On a binding. */
#define DMABUF_RW_IOC_INFO	_IOWR(DMABUF_RW_IOC_MAGIC, 0x10, struct dmabuf_rw_info)
#define DMABUF_RW_IOC_IO	_IOWR(DMABUF_RW_IOC_MAGIC, 0x11, struct dmabuf_rw_io)
#define DMABUF_RW_IOC_BATCH	_IOWR(DMABUF_RW_IOC_MAGIC, 0x12, struct dmabuf_rw_batch)

/*
 * IORING_OP_URING_CMD on a binding, in a submission queue entry of 64 or 128 bytes
 * (include/uapi/linux/io_uring.h). The binding may be a registered file.
 *
 *   sqe field    | READ, WRITE         | READV, WRITEV            | READ_MANY, WRITE_MANY
 *   -------------+---------------------+--------------------------+------------------------
 *   fd           | the binding         | the binding              | the binding
 *   cmd_op       | enum dmabuf_rw_uring_op
 *   addr         | file offset         | file offset              | zero
 *   len          | bytes               | number of pieces         | number of ranges
 *   addr3        | buffer offset       | user address of          | user address of
 *                |                     | struct dmabuf_rw_piece[] | struct dmabuf_rw_range[]
 *   cmd[8..15]   | DMABUF_RW_IO_* flags, 64 bits, native byte order
 *
 * The other fields that URING_CMD leaves free (ioprio, buf_index, uring_cmd_flags,
 * splice_fd_in) must be zero. A worker may read pieces and ranges again long after the
 * submission, so they must stay unchanged until the completion has arrived. The completion's
 * res is the bytes moved, or -errno if none was, or not all with DMABUF_RW_IO_WHOLE. After a
 * short result that is not at the end of the file, asking for the rest gives the error.
 *
 * READ_MANY and WRITE_MANY are a batch: see struct dmabuf_rw_batch. They complete once, when all
 * transfers have ended, with EFAULT if the results could not be stored.
 */
enum dmabuf_rw_uring_op {
	DMABUF_RW_URING_READ	= 1,
	DMABUF_RW_URING_WRITE	= 2,
	DMABUF_RW_URING_READV	= 3,
	DMABUF_RW_URING_WRITEV	= 4,
	DMABUF_RW_URING_READ_MANY	= 5,
	DMABUF_RW_URING_WRITE_MANY	= 6,
};

/* Byte offset of the flags within sqe->cmd. */
#define DMABUF_RW_URING_FLAGS_OFFSET	8

#endif /* _UAPI_DMABUF_RW_H */
