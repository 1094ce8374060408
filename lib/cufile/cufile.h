/* SPDX-License-Identifier: MIT */
/*
 * cufile.h - the cuFile interface, as libcufile.so.0 of dmabuf-rw serves it.
 *
 * Programs built with another header of this name run unchanged: names, values and layouts are
 * those of the public interface. Functions that the library does not serve return
 * CU_FILE_PLATFORM_NOT_SUPPORTED; they are at the end.
 *
 * Differences
 *   - Any file and any memory is accepted. Bytes that the drive cannot move by its own DMA go
 *     through memory. They are counted, and reported once on standard error, with the reason and
 *     the remedy. With DMABUF_RW_CUFILE_DIRECT_ONLY=1 in the environment they are an error.
 *   - Writes into reserved space or holes of a file go direct: the whole file system blocks that
 *     they fill get zeros first, by the drive itself where kernel, file system and drive can, else
 *     as written data. Both are counted, and reported once.
 *   - Descriptors need no O_DIRECT. Offsets and lengths need no alignment. O_SYNC and O_DSYNC
 *     apply, whichever way the bytes go.
 *   - Buffers need no registration. Device memory stays allocated until it is deregistered, or
 *     without registration until half a second after its last use, even if the program frees it
 *     before.
 *   - The first function that needs the driver opens it, within milliseconds. Closing it leaves
 *     handles and buffers alone, since another library of the process may use them.
 *   - A child of fork(2) whose parent has opened the driver gets CU_FILE_DRIVER_NOT_INITIALIZED.
 *     Functions without a result do nothing there. The child keeps copies of the descriptors of
 *     its parent's dma-bufs and bindings: device memory that was in use at the fork stays
 *     allocated until the child calls execve(2) or exits, even if the parent deregisters and frees
 *     it.
 *   - The limits that the setters set are stored and reported, but have no effect.
 *   - When transfers of a batch end, a system call that is never restarted, such as
 *     epoll_wait(2), may give EINTR without a signal in the thread that submitted them.
 *   - Messages go to standard error, unless descriptor 2 is registered as a handle.
 *
 * Environment, read when the driver is opened for the first time
 *   DMABUF_RW_CUFILE_DIRECT_ONLY=1	transfers that cannot go direct fail
 *   DMABUF_RW_CUFILE_REPORT=FILE	at exit, appends to FILE which way the bytes went; "-":
 *					standard error
 *   DMABUF_RW_CUFILE_ZEROS=drive	zeros first only if the drive puts them there; 0: never,
 *					so such writes go through memory
 *   DMABUF_RW_CUFILE_PAGE_CACHE=1	reads of ranges that the page cache holds entirely are
 *					copied from there; not with DIRECT_ONLY. By default
 *					reads come from the drive
 *   DMABUF_RW_CUFILE_BINDINGS=N	pairs of file and allocation to keep bound, see below
 *
 * The first use of a pair of file and allocation binds it. The N most recently used pairs stay
 * bound. N is 1/32 of the process's limit of descriptors, from 8 to 256, since each pair uses up to
 * eight. Up to 64 batches use one descriptor each, for good.
 *
 * Errors. A function that returns CUfileError_t has the error in @err; if that is
 * CU_FILE_CUDA_DRIVER_ERROR, @cu_err is the CUDA driver's. A failed function stores nothing through
 * the caller's pointers. Besides the errors listed at each function:
 *   CU_FILE_DRIVER_NOT_INITIALIZED	a child of fork(2), see above
 *   CU_FILE_INVALID_VALUE		a null pointer, or an unknown flag
 *   CU_FILE_INTERNAL_ERROR		no memory, or no descriptor
 *
 * Thread-safety: any number of threads may call all functions, but destroying a batch must not
 * overlap any other use of it. No function may be called in a signal handler or in a function that
 * a stream calls (cuLaunchHostFunc), and no thread may be cancelled (pthread_cancel) in one.
 */
#ifndef DMABUF_RW_CUFILE_H
#define DMABUF_RW_CUFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#if defined(__has_include)
#if __has_include(<cuda.h>)
#include <cuda.h>
#define CUFILE_HAS_CUDA_H 1
#endif
#endif
#ifndef CUFILE_HAS_CUDA_H
typedef int CUresult;
typedef struct CUstream_st *CUstream;
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define CUFILEOP_BASE_ERR 5000

typedef enum CUfileOpError {
	CU_FILE_SUCCESS				= 0,
	CU_FILE_DRIVER_NOT_INITIALIZED		= CUFILEOP_BASE_ERR + 1,
	CU_FILE_DRIVER_INVALID_PROPS		= CUFILEOP_BASE_ERR + 2,
	CU_FILE_DRIVER_UNSUPPORTED_LIMIT	= CUFILEOP_BASE_ERR + 3,
	CU_FILE_DRIVER_VERSION_MISMATCH		= CUFILEOP_BASE_ERR + 4,
	CU_FILE_DRIVER_VERSION_READ_ERROR	= CUFILEOP_BASE_ERR + 5,
	CU_FILE_DRIVER_CLOSING			= CUFILEOP_BASE_ERR + 6,
	CU_FILE_PLATFORM_NOT_SUPPORTED		= CUFILEOP_BASE_ERR + 7,
	CU_FILE_IO_NOT_SUPPORTED		= CUFILEOP_BASE_ERR + 8,
	CU_FILE_DEVICE_NOT_SUPPORTED		= CUFILEOP_BASE_ERR + 9,
	CU_FILE_NVFS_DRIVER_ERROR		= CUFILEOP_BASE_ERR + 10,
	CU_FILE_CUDA_DRIVER_ERROR		= CUFILEOP_BASE_ERR + 11,
	CU_FILE_CUDA_POINTER_INVALID		= CUFILEOP_BASE_ERR + 12,
	CU_FILE_CUDA_MEMORY_TYPE_INVALID	= CUFILEOP_BASE_ERR + 13,
	CU_FILE_CUDA_POINTER_RANGE_ERROR	= CUFILEOP_BASE_ERR + 14,
	CU_FILE_CUDA_CONTEXT_MISMATCH		= CUFILEOP_BASE_ERR + 15,
	CU_FILE_INVALID_MAPPING_SIZE		= CUFILEOP_BASE_ERR + 16,
	CU_FILE_INVALID_MAPPING_RANGE		= CUFILEOP_BASE_ERR + 17,
	CU_FILE_INVALID_FILE_TYPE		= CUFILEOP_BASE_ERR + 18,
	CU_FILE_INVALID_FILE_OPEN_FLAG		= CUFILEOP_BASE_ERR + 19,
	CU_FILE_DIO_NOT_SET			= CUFILEOP_BASE_ERR + 20,
	CU_FILE_INVALID_VALUE			= CUFILEOP_BASE_ERR + 22,
	CU_FILE_MEMORY_ALREADY_REGISTERED	= CUFILEOP_BASE_ERR + 23,
	CU_FILE_MEMORY_NOT_REGISTERED		= CUFILEOP_BASE_ERR + 24,
	CU_FILE_PERMISSION_DENIED		= CUFILEOP_BASE_ERR + 25,
	CU_FILE_DRIVER_ALREADY_OPEN		= CUFILEOP_BASE_ERR + 26,
	CU_FILE_HANDLE_NOT_REGISTERED		= CUFILEOP_BASE_ERR + 27,
	CU_FILE_HANDLE_ALREADY_REGISTERED	= CUFILEOP_BASE_ERR + 28,
	CU_FILE_DEVICE_NOT_FOUND		= CUFILEOP_BASE_ERR + 29,
	CU_FILE_INTERNAL_ERROR			= CUFILEOP_BASE_ERR + 30,
	CU_FILE_GETNEWFD_FAILED			= CUFILEOP_BASE_ERR + 31,
	CU_FILE_NVFS_SETUP_ERROR		= CUFILEOP_BASE_ERR + 33,
	CU_FILE_IO_DISABLED			= CUFILEOP_BASE_ERR + 34,
	CU_FILE_BATCH_SUBMIT_FAILED		= CUFILEOP_BASE_ERR + 35,
	CU_FILE_GPU_MEMORY_PINNING_FAILED	= CUFILEOP_BASE_ERR + 36,
	CU_FILE_BATCH_FULL			= CUFILEOP_BASE_ERR + 37,
	CU_FILE_ASYNC_NOT_SUPPORTED		= CUFILEOP_BASE_ERR + 38,
	CU_FILE_IO_MAX_ERROR			= CUFILEOP_BASE_ERR + 39,
} CUfileOpError;

typedef struct CUfileError {
	CUfileOpError err;
	CUresult cu_err;
} CUfileError_t;

/* A short sentence. Static storage. */
static inline const char *cufileop_status_error(CUfileOpError status)
{
	switch (status) {
	case CU_FILE_SUCCESS: return "success";
	case CU_FILE_DRIVER_NOT_INITIALIZED: return "the driver is not open";
	case CU_FILE_DRIVER_INVALID_PROPS: return "invalid property";
	case CU_FILE_DRIVER_UNSUPPORTED_LIMIT: return "limit out of range";
	case CU_FILE_DRIVER_CLOSING: return "the driver is being closed";
	case CU_FILE_PLATFORM_NOT_SUPPORTED: return "not supported here";
	case CU_FILE_IO_NOT_SUPPORTED: return "this I/O is not supported";
	case CU_FILE_CUDA_DRIVER_ERROR: return "error of the CUDA driver";
	case CU_FILE_CUDA_POINTER_INVALID: return "invalid device pointer";
	case CU_FILE_CUDA_MEMORY_TYPE_INVALID: return "invalid type of memory";
	case CU_FILE_CUDA_POINTER_RANGE_ERROR: return "the range ends outside the memory";
	case CU_FILE_INVALID_FILE_TYPE: return "neither a regular file nor a block device";
	case CU_FILE_INVALID_FILE_OPEN_FLAG: return "the file is open with O_APPEND or O_PATH";
	case CU_FILE_INVALID_VALUE: return "invalid argument";
	case CU_FILE_MEMORY_ALREADY_REGISTERED: return "the memory is registered already";
	case CU_FILE_MEMORY_NOT_REGISTERED: return "the memory is not registered";
	case CU_FILE_HANDLE_NOT_REGISTERED: return "the handle is not registered";
	case CU_FILE_HANDLE_ALREADY_REGISTERED: return "the descriptor is registered already";
	case CU_FILE_INTERNAL_ERROR: return "internal error";
	case CU_FILE_BATCH_SUBMIT_FAILED: return "the batch cannot be submitted";
	case CU_FILE_BATCH_FULL: return "the batch is full";
	case CU_FILE_ASYNC_NOT_SUPPORTED: return "the CUDA driver has no stream memory operations";
	default: return "unknown error";
	}
}

#define IS_CUFILE_ERR(err)	(abs((int)(err)) > CUFILEOP_BASE_ERR)
#define CUFILE_ERRSTR(err)	cufileop_status_error((CUfileOpError)abs((int)(err)))
#define IS_CUDA_ERR(status)	((status).err == CU_FILE_CUDA_DRIVER_ERROR)
#define CU_FILE_CUDA_ERR(status) ((status).cu_err)

/* ---- the driver --------------------------------------------------------------------------- */

typedef enum CUfileDriverStatusFlags {
	CU_FILE_LUSTRE_SUPPORTED	= 0,	/* bit numbers */
	CU_FILE_WEKAFS_SUPPORTED	= 1,
	CU_FILE_NFS_SUPPORTED		= 2,
	CU_FILE_GPFS_SUPPORTED		= 3,
	CU_FILE_NVME_SUPPORTED		= 4,
	CU_FILE_NVMEOF_SUPPORTED	= 5,
	CU_FILE_SCSI_SUPPORTED		= 6,
} CUfileDriverStatusFlags_t;

typedef enum CUfileDriverControlFlags {
	CU_FILE_USE_POLL_MODE		= 0,	/* bit numbers */
	CU_FILE_ALLOW_COMPAT_MODE	= 1,	/* bouncing is allowed */
} CUfileDriverControlFlags_t;

typedef enum CUfileFeatureFlags {
	CU_FILE_DYN_ROUTING_SUPPORTED	= 0,	/* bit numbers */
	CU_FILE_BATCH_IO_SUPPORTED	= 1,
	CU_FILE_STREAMS_SUPPORTED	= 2,
	CU_FILE_PARALLEL_IO_SUPPORTED	= 3,
} CUfileFeatureFlags_t;

typedef struct CUfileDrvProps {
	struct {
		unsigned int major_version;
		unsigned int minor_version;
		size_t poll_thresh_size;	/* KiB */
		size_t max_direct_io_size;	/* KiB */
		unsigned int dstatusflags;
		unsigned int dcontrolflags;
	} nvfs;
	unsigned int fflags;
	unsigned int max_device_cache_size;	/* KiB */
	unsigned int per_buffer_cache_size;	/* KiB */
	unsigned int max_device_pinned_mem_size; /* KiB */
	unsigned int max_batch_io_size;		/* entries */
	unsigned int max_batch_io_timeout_msecs;
} CUfileDrvProps_t;

/* major * 1000 + minor * 10 of the served interface. */
CUfileError_t cuFileGetVersion(int *version);
/* Opens are counted. If the driver is closed, a function that needs it counts one too. */
CUfileError_t cuFileDriverOpen(void);
/* Undo one open. CU_FILE_DRIVER_NOT_INITIALIZED: the driver is not open. Both do the same. */
CUfileError_t cuFileDriverClose(void);
CUfileError_t cuFileDriverClose_v2(void);
#define cuFileDriverClose cuFileDriverClose_v2
/* The number of opens; 0: the driver is not open. */
long cuFileUseCount(void);
CUfileError_t cuFileDriverGetProperties(CUfileDrvProps_t *props);
/* The threshold is any number of KiB. */
CUfileError_t cuFileDriverSetPollMode(bool poll, size_t poll_threshold_size);
/* Sizes are KiB. CU_FILE_DRIVER_UNSUPPORTED_LIMIT: 0, or 4 TiB or more. */
CUfileError_t cuFileDriverSetMaxDirectIOSize(size_t max_direct_io_size);
CUfileError_t cuFileDriverSetMaxCacheSize(size_t max_cache_size);
CUfileError_t cuFileDriverSetMaxPinnedMemSize(size_t max_pinned_size);

/* ---- files and memory --------------------------------------------------------------------- */

enum CUfileFileHandleType {
	CU_FILE_HANDLE_TYPE_OPAQUE_FD		= 1,
	CU_FILE_HANDLE_TYPE_OPAQUE_WIN32	= 2,	/* not served */
	CU_FILE_HANDLE_TYPE_USERSPACE_FS	= 3,	/* not served */
};

typedef struct cufileRDMAInfo cufileRDMAInfo_t;
typedef struct CUfileFSOps CUfileFSOps_t;

typedef struct CUfileDescr_t {
	enum CUfileFileHandleType type;
	union {
		int fd;
		void *handle;
	} handle;
	const CUfileFSOps_t *fs_ops;
} CUfileDescr_t;

typedef void *CUfileHandle_t;

/*
 * The descriptor stays the caller's, who keeps it open until the handle is deregistered. If it is
 * closed earlier, and perhaps opened for another file, transfers reach the registered file or fail
 * with EBADF. The file may be renamed or unlinked. If the library has to open the file anew, the
 * process loses its fcntl(2) record locks on it, as with every close(2), when the handle is
 * deregistered or one of its pairs makes room for another.
 *   CU_FILE_INVALID_VALUE		the descriptor is not open
 *   CU_FILE_IO_NOT_SUPPORTED		a type other than CU_FILE_HANDLE_TYPE_OPAQUE_FD
 *   CU_FILE_INVALID_FILE_TYPE		neither a regular file nor a block device
 *   CU_FILE_INVALID_FILE_OPEN_FLAG	O_APPEND, O_PATH
 *   CU_FILE_HANDLE_ALREADY_REGISTERED	the descriptor has a handle
 */
CUfileError_t cuFileHandleRegister(CUfileHandle_t *fh, CUfileDescr_t *descr);
/*
 * Waits for the handle's transfers under way, including those of batches. Transfers that a stream
 * has not reached fail. Ignores a handle that is not registered.
 */
void cuFileHandleDeregister(CUfileHandle_t fh);

#define CU_FILE_RDMA_REGISTER		1
#define CU_FILE_RDMA_RELAXED_ORDERING	2

/*
 * Registers @length bytes of device or host memory. @flags: CU_FILE_RDMA_*, which are for network
 * storage and have no effect. Ranges may overlap. From then on CUDA's memory operations on the
 * range are synchronous (CU_POINTER_ATTRIBUTE_SYNC_MEMOPS).
 *   CU_FILE_MEMORY_ALREADY_REGISTERED	a range begins at @base, and its memory was not freed
 *   CU_FILE_CUDA_POINTER_INVALID	the driver knows the pointer, but no allocation there
 *   CU_FILE_CUDA_POINTER_RANGE_ERROR	the device's memory ends before the range does
 */
CUfileError_t cuFileBufRegister(const void *base, size_t length, int flags);
/* CU_FILE_MEMORY_NOT_REGISTERED: no range begins at @base. Transfers that use it go on. */
CUfileError_t cuFileBufDeregister(const void *base);

/*
 * Move bytes between the file at @file_offset and the memory at @base + @buf_offset; all in bytes.
 * Writing extends the file if needed. Two writes to the same page of the file (4096 bytes) must not
 * run at the same time, as with O_DIRECT. Return the number of bytes moved; fewer than @size: the
 * file ends, or there was an error after them. If none was moved: 0 at the file's end;
 *   the negated CUfileOpError
 *	CU_FILE_HANDLE_NOT_REGISTERED
 *	CU_FILE_INVALID_VALUE		@base is null, an offset is negative, or a sum overflows
 *	CU_FILE_CUDA_POINTER_INVALID, CU_FILE_CUDA_POINTER_RANGE_ERROR	as above
 *   -1 with errno
 *	EBADF		the file is not open for that, or the descriptor now is another file's
 *	EIO		a copy by CUDA failed
 *	EOPNOTSUPP, EDOM, ENXIO and others	with DMABUF_RW_CUFILE_DIRECT_ONLY: it cannot go
 *			direct; the reason is on standard error
 *	ENOMEM, EMFILE, ENFILE		no memory or no descriptor
 *   and the errors of pread(2) or pwrite(2), or of the module (dmabuf_rw.h).
 */
ssize_t cuFileRead(CUfileHandle_t fh, void *base, size_t size, off_t file_offset,
		   off_t buf_offset);
ssize_t cuFileWrite(CUfileHandle_t fh, const void *base, size_t size, off_t file_offset,
		    off_t buf_offset);

/* ---- batches ------------------------------------------------------------------------------ */

typedef enum CUfileOpcode {
	CUFILE_READ	= 0,
	CUFILE_WRITE	= 1,
} CUfileOpcode_t;

typedef enum CUfileBatchMode {
	CUFILE_BATCH	= 1,
} CUfileBatchMode_t;

typedef enum CUFILEStatus_enum {
	CUFILE_WAITING	= 1 << 0,
	CUFILE_PENDING	= 1 << 1,
	CUFILE_INVALID	= 1 << 2,
	CUFILE_CANCELED	= 1 << 3,
	CUFILE_COMPLETE	= 1 << 4,
	CUFILE_TIMEOUT	= 1 << 5,
	CUFILE_FAILED	= 1 << 6,
} CUfileStatus_t;

typedef struct CUfileIOParams {
	CUfileBatchMode_t mode;
	union {
		struct {
			void *devPtr_base;
			off_t file_offset;
			off_t devPtr_offset;
			size_t size;
		} batch;
	} u;
	CUfileHandle_t fh;
	CUfileOpcode_t opcode;
	void *cookie;
} CUfileIOParams_t;

/* @ret: bytes; negative, as ssize_t: -errno or the negated CUfileOpError */
typedef struct CUfileIOEvents {
	void *cookie;
	CUfileStatus_t status;
	size_t ret;
} CUfileIOEvents_t;

typedef void *CUfileBatchHandle_t;

/*
 * @nr: entries that may be submitted and not reported yet, from 1 to max_batch_io_size; else
 * CU_FILE_INVALID_VALUE.
 */
CUfileError_t cuFileBatchIOSetUp(CUfileBatchHandle_t *batch, unsigned int nr);
/*
 * Takes all entries or none; @params is the caller's again. The entries run in any order, and
 * without a waiter. But if the drive has moved only a part of one, the rest may wait until the
 * program asks for results, or ends the batch or the handle. An entry that cannot run is taken too,
 * and reported as CUFILE_INVALID (its request makes no sense) or CUFILE_FAILED. @flags: zero.
 *   CU_FILE_BATCH_FULL		fewer than @nr entries are free
 *   CU_FILE_INVALID_VALUE	@nr is 0; or an entry's mode or opcode is unknown
 */
CUfileError_t cuFileBatchIOSubmit(CUfileBatchHandle_t batch, unsigned int nr,
				  CUfileIOParams_t *params, unsigned int flags);
/*
 * Waits until @min_nr entries have ended, or all if there are fewer, or until the relative @timeout
 * is over; null: for ever. Reports up to *@nr entries, each once, and sets *@nr. A reported entry
 * no longer uses its memory or its handle. CU_FILE_INVALID_VALUE: @min_nr is more than *@nr, or
 * @timeout is malformed.
 */
CUfileError_t cuFileBatchIOGetStatus(CUfileBatchHandle_t batch, unsigned int min_nr,
				     unsigned int *nr, CUfileIOEvents_t *events,
				     struct timespec *timeout);
/* Entries that have not begun are reported as CUFILE_CANCELED; the others go on. */
CUfileError_t cuFileBatchIOCancel(CUfileBatchHandle_t batch);
/* Cancels, and waits for entries that have begun. Ignores a batch that is already destroyed. */
void cuFileBatchIODestroy(CUfileBatchHandle_t batch);

/* ---- streams ------------------------------------------------------------------------------ */

#define CU_FILE_STREAM_FIXED_BUF_OFFSET		1
#define CU_FILE_STREAM_FIXED_FILE_OFFSET	2
#define CU_FILE_STREAM_FIXED_FILE_SIZE		4
#define CU_FILE_STREAM_PAGE_ALIGNED_INPUTS	8

/*
 * Like cuFileRead() and cuFileWrite(), in the stream's order. The values behind the pointers are
 * read when the stream reaches the call, and must stay until it has passed. *@bytes is set before
 * the stream goes on: bytes, or negative as in a batch. After an error the call uses nothing of the
 * caller's any more, but bytes may have been moved. A context must be current, and live until the
 * stream has gone on.
 *   CU_FILE_HANDLE_NOT_REGISTERED
 *   CU_FILE_ASYNC_NOT_SUPPORTED	the CUDA driver is too old, or not there
 *   CU_FILE_CUDA_DRIVER_ERROR		the driver refuses the call, see @cu_err: 900
 *					(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) if the stream is
 *					being captured into a graph
 */
CUfileError_t cuFileReadAsync(CUfileHandle_t fh, void *base, size_t *size, off_t *file_offset,
			      off_t *buf_offset, ssize_t *bytes, CUstream stream);
CUfileError_t cuFileWriteAsync(CUfileHandle_t fh, void *base, size_t *size, off_t *file_offset,
			       off_t *buf_offset, ssize_t *bytes, CUstream stream);
/* Accepted, without effect. @flags: CU_FILE_STREAM_*. */
CUfileError_t cuFileStreamRegister(CUstream stream, unsigned int flags);
CUfileError_t cuFileStreamDeregister(CUstream stream);

/* ---- not supported ------------------------------------------------------------------------ */

typedef int CUFileSizeTConfigParameter_t;
typedef int CUFileBoolConfigParameter_t;
typedef int CUFileStringConfigParameter_t;
typedef struct CUfileStatsLevel1 CUfileStatsLevel1_t;
typedef struct CUfileStatsLevel2 CUfileStatsLevel2_t;
typedef struct CUfileStatsLevel3 CUfileStatsLevel3_t;

CUfileError_t cuFileGetParameterSizeT(CUFileSizeTConfigParameter_t param, size_t *value);
CUfileError_t cuFileGetParameterBool(CUFileBoolConfigParameter_t param, bool *value);
CUfileError_t cuFileGetParameterString(CUFileStringConfigParameter_t param, char *value, int len);
CUfileError_t cuFileSetParameterSizeT(CUFileSizeTConfigParameter_t param, size_t value);
CUfileError_t cuFileSetParameterBool(CUFileBoolConfigParameter_t param, bool value);
CUfileError_t cuFileSetParameterString(CUFileStringConfigParameter_t param, const char *value);
CUfileError_t cuFileGetParameterMinMaxValue(CUFileSizeTConfigParameter_t param, size_t *min,
					    size_t *max);
CUfileError_t cuFileGetParameterPosixPoolSlabArray(size_t *sizes, size_t *counts, int nr);
CUfileError_t cuFileSetParameterPosixPoolSlabArray(const size_t *sizes, const size_t *counts,
						   int nr);
CUfileError_t cuFileGetBARSizeInKB(int gpu, size_t *size);
CUfileError_t cuFileSetStatsLevel(int level);
CUfileError_t cuFileGetStatsLevel(int *level);
CUfileError_t cuFileStatsStart(void);
CUfileError_t cuFileStatsStop(void);
CUfileError_t cuFileStatsReset(void);
CUfileError_t cuFileGetStatsL1(CUfileStatsLevel1_t *stats);
CUfileError_t cuFileGetStatsL2(CUfileStatsLevel2_t *stats);
CUfileError_t cuFileGetStatsL3(CUfileStatsLevel3_t *stats);

#ifdef __cplusplus
}
#endif

#endif /* DMABUF_RW_CUFILE_H */
