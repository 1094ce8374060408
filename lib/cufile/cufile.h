/* SPDX-License-Identifier: MIT */
/*
 * cufile.h - the cuFile interface, as libcufile.so.0 of dmabuf-rw serves it.
 *
 * Programs that were built with another header of this name run on the library as they are: names,
 * values and layouts are those of the public interface. What the library does not serve answers
 * CU_FILE_PLATFORM_NOT_SUPPORTED; each such function is marked so below.
 *
 * What differs
 *   - Any file and any memory is taken. What the drive cannot do by its own DMA goes through
 *     memory: counted, and said once on standard error, with the reason and the remedy. With
 *     DMABUF_RW_CUFILE_DIRECT_ONLY=1 in the environment it is an error.
 *   - Writes into space of a file that was only reserved, or into a hole, go direct: whole blocks
 *     of the file system that they fill get zeros first, by the drive itself where kernel, file
 *     system and drive can, else by writing them. Both are counted, and said once.
 *   - Descriptors need no O_DIRECT. Offsets and lengths need no alignment. O_SYNC and O_DSYNC are
 *     kept, whichever way the bytes go.
 *   - Buffers need not be registered. Device memory stays allocated, also when the program has
 *     freed it, until it is deregistered; without registration until half a second after its last
 *     use.
 *   - The driver is opened by the first function that needs it, within milliseconds. Closing it
 *     leaves handles and buffers as they are, since another library of the process may use them.
 *   - A child of fork(2) whose parent has opened the driver gets CU_FILE_DRIVER_NOT_INITIALIZED.
 *     Functions without a result do nothing there.
 *   - The limits that the setters set are kept and reported, and have no effect.
 *   - When transfers of a batch end, a call of the thread that has submitted them which is never
 *     restarted, epoll_wait(2) above all, may give EINTR without a signal.
 *   - Messages go to standard error, unless a handle of descriptor 2 is registered.
 *
 * Environment, read when the driver is opened for the first time
 *   DMABUF_RW_CUFILE_DIRECT_ONLY=1	what cannot go direct fails
 *   DMABUF_RW_CUFILE_REPORT=FILE	at exit, appends to FILE which way the bytes went; "-":
 *					standard error
 *   DMABUF_RW_CUFILE_ZEROS=drive	zeros first only where the drive puts them there; 0: never,
 *					so that such writes go through memory
 *   DMABUF_RW_CUFILE_PAGE_CACHE=1	reads of ranges that the page cache holds whole are copied
 *					from there; not with DIRECT_ONLY. Without it, as usual,
 *					reads come from the drive
 *   DMABUF_RW_CUFILE_BINDINGS=N	pairs of file and allocation that are kept ready, see below
 *
 * A pair of file and allocation is bound when it is first used, and kept for the next time: the N
 * that were used last. N is a 32nd of the descriptors that the process may have, from 8 to 256,
 * since each takes up to eight. Up to 64 batches take one descriptor each, for good.
 *
 * Errors. A function that returns CUfileError_t has the error in @err, and in @cu_err what the
 * CUDA driver said where @err is CU_FILE_CUDA_DRIVER_ERROR. On failure nothing is stored through
 * the caller's pointers. Besides those that are named at a function:
 *   CU_FILE_DRIVER_NOT_INITIALIZED	a child of fork(2), see above
 *   CU_FILE_INVALID_VALUE		a null pointer, or a flag that is not known
 *   CU_FILE_INTERNAL_ERROR		there is no memory, or no descriptor
 *
 * Thread-safety: all functions may be called by any number of threads, but destroying a batch must
 * not overlap any other use of it. None may be called in a signal handler or in a function that a
 * stream calls (cuLaunchHostFunc), and no thread be cancelled (pthread_cancel) in one.
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
	CU_FILE_LUSTRE_SUPPORTED	= 0,	/* numbers of bits */
	CU_FILE_WEKAFS_SUPPORTED	= 1,
	CU_FILE_NFS_SUPPORTED		= 2,
	CU_FILE_GPFS_SUPPORTED		= 3,
	CU_FILE_NVME_SUPPORTED		= 4,
	CU_FILE_NVMEOF_SUPPORTED	= 5,
	CU_FILE_SCSI_SUPPORTED		= 6,
} CUfileDriverStatusFlags_t;

typedef enum CUfileDriverControlFlags {
	CU_FILE_USE_POLL_MODE		= 0,	/* numbers of bits */
	CU_FILE_ALLOW_COMPAT_MODE	= 1,	/* bouncing is allowed */
} CUfileDriverControlFlags_t;

typedef enum CUfileFeatureFlags {
	CU_FILE_DYN_ROUTING_SUPPORTED	= 0,	/* numbers of bits */
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

/* major * 1000 + minor * 10 of the interface that is served. */
CUfileError_t cuFileGetVersion(int *version);
/* Counted; opening that a function needs counts as one when the driver was closed. */
CUfileError_t cuFileDriverOpen(void);
/* Undoes one of those. CU_FILE_DRIVER_NOT_INITIALIZED: it is not open. The two do the same. */
CUfileError_t cuFileDriverClose(void);
CUfileError_t cuFileDriverClose_v2(void);
#define cuFileDriverClose cuFileDriverClose_v2
/* How often it is open; 0: not. */
long cuFileUseCount(void);
CUfileError_t cuFileDriverGetProperties(CUfileDrvProps_t *props);
/* The threshold and the sizes are KiB. CU_FILE_DRIVER_UNSUPPORTED_LIMIT: 0, or 4 TiB or more. */
CUfileError_t cuFileDriverSetPollMode(bool poll, size_t poll_threshold_size);
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
 * The descriptor stays the caller's, who keeps it open until the handle is deregistered: of one
 * that was closed, or closed and used again for another file, transfers reach the file that was
 * registered, or fail with EBADF. The file may be renamed or unlinked. Where the library has to
 * open the file anew, record locks of fcntl(2) that the process has on it are gone when the handle
 * is deregistered, or its pair with some memory makes room for another, as with every close(2).
 *   CU_FILE_INVALID_VALUE		the descriptor is not open
 *   CU_FILE_IO_NOT_SUPPORTED		a type other than CU_FILE_HANDLE_TYPE_OPAQUE_FD
 *   CU_FILE_INVALID_FILE_TYPE		neither a regular file nor a block device
 *   CU_FILE_INVALID_FILE_OPEN_FLAG	O_APPEND, O_PATH
 *   CU_FILE_HANDLE_ALREADY_REGISTERED	the descriptor has a handle
 */
CUfileError_t cuFileHandleRegister(CUfileHandle_t *fh, CUfileDescr_t *descr);
/*
 * Waits for the handle's transfers that are under way, batches' among them. Those that a stream has
 * not reached fail. A handle that is not registered is passed over.
 */
void cuFileHandleDeregister(CUfileHandle_t fh);

#define CU_FILE_RDMA_REGISTER		1
#define CU_FILE_RDMA_RELAXED_ORDERING	2

/*
 * Of the device's or the host's memory, @length bytes. @flags: CU_FILE_RDMA_*, which are about
 * network storage, and without effect. Ranges may overlap. Memory operations of CUDA on it are
 * synchronous from then on (CU_POINTER_ATTRIBUTE_SYNC_MEMOPS).
 *   CU_FILE_MEMORY_ALREADY_REGISTERED	a range begins at @base, and its memory was not freed
 *   CU_FILE_CUDA_POINTER_INVALID	the driver knows the pointer, but no allocation there
 *   CU_FILE_CUDA_POINTER_RANGE_ERROR	the device's memory ends before the range does
 */
CUfileError_t cuFileBufRegister(const void *base, size_t length, int flags);
/* CU_FILE_MEMORY_NOT_REGISTERED: no range begins at @base. Transfers that use it go on. */
CUfileError_t cuFileBufDeregister(const void *base);

/*
 * Between the file at @file_offset and the memory at @base + @buf_offset; all in bytes. Writing
 * makes the file longer where it must. Writes that meet within a page of the file (4096 bytes) must
 * not run at the same time, as with O_DIRECT. Return the bytes that were moved; fewer than @size:
 * the file ends, or there was an error after them. Where none was moved: 0 at the file's end;
 *   the negated CUfileOpError
 *	CU_FILE_HANDLE_NOT_REGISTERED
 *	CU_FILE_INVALID_VALUE		@base is null, an offset is negative, or a sum overflows
 *	CU_FILE_CUDA_POINTER_INVALID, CU_FILE_CUDA_POINTER_RANGE_ERROR	as above
 *   -1 with errno
 *	EBADF		the file is not open for that, or the descriptor is not the file's any more
 *	EIO		a copy of CUDA's has failed
 *	EOPNOTSUPP, EDOM, ENXIO and others	with DMABUF_RW_CUFILE_DIRECT_ONLY: it cannot go
 *			direct, and why is said on standard error
 *	ENOMEM, EMFILE, ENFILE		something is lacking
 *   and what pread(2) or pwrite(2) give, or the module (dmabuf_rw.h).
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
 * @nr: entries that may be submitted and not be reported yet, from 1 to max_batch_io_size; else
 * CU_FILE_INVALID_VALUE.
 */
CUfileError_t cuFileBatchIOSetUp(CUfileBatchHandle_t *batch, unsigned int nr);
/*
 * All of the entries or none is taken; @params is the caller's again. They run in any order, and
 * need nobody who waits; but where the drive has done a part of one, the rest may be done no sooner
 * than somebody asks for results, or ends the batch or the handle. An entry that cannot be done is
 * taken all the same, and reported as CUFILE_INVALID (what it asks for makes no sense) or
 * CUFILE_FAILED. @flags: zero.
 *   CU_FILE_BATCH_FULL		not so many entries are free
 *   CU_FILE_INVALID_VALUE	@nr is 0; or an entry's mode or opcode is none
 */
CUfileError_t cuFileBatchIOSubmit(CUfileBatchHandle_t batch, unsigned int nr,
				  CUfileIOParams_t *params, unsigned int flags);
/*
 * Waits until @min_nr entries have ended, or as many as there are, or @timeout, which is relative,
 * is over; null: for ever. Reports up to *@nr, each once, and sets *@nr. An entry that is reported
 * uses neither its memory nor its handle any more. CU_FILE_INVALID_VALUE: @min_nr is more than
 * *@nr, or @timeout is malformed.
 */
CUfileError_t cuFileBatchIOGetStatus(CUfileBatchHandle_t batch, unsigned int min_nr,
				     unsigned int *nr, CUfileIOEvents_t *events,
				     struct timespec *timeout);
/* Entries that have not begun are reported as CUFILE_CANCELED; others go on. */
CUfileError_t cuFileBatchIOCancel(CUfileBatchHandle_t batch);
/* Cancels, and waits for what has begun. A batch that is destroyed already is passed over. */
void cuFileBatchIODestroy(CUfileBatchHandle_t batch);

/* ---- streams ------------------------------------------------------------------------------ */

#define CU_FILE_STREAM_FIXED_BUF_OFFSET		1
#define CU_FILE_STREAM_FIXED_FILE_OFFSET	2
#define CU_FILE_STREAM_FIXED_FILE_SIZE		4
#define CU_FILE_STREAM_PAGE_ALIGNED_INPUTS	8

/*
 * As cuFileRead() and cuFileWrite(), in the stream's order. What the pointers lead to is read when
 * the stream is there, and stays until it has gone on; *@bytes is set before that: bytes, or
 * negative as in a batch. After an error nothing of it is used any more, but bytes may have been
 * moved. A context must be current, and live until the stream has gone on.
 *   CU_FILE_HANDLE_NOT_REGISTERED
 *   CU_FILE_ASYNC_NOT_SUPPORTED	the CUDA driver is too old, or not there
 *   CU_FILE_CUDA_DRIVER_ERROR		it does not take the call, see @cu_err, which is 900
 *					(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) if the stream is
 *					captured into a graph
 */
CUfileError_t cuFileReadAsync(CUfileHandle_t fh, void *base, size_t *size, off_t *file_offset,
			      off_t *buf_offset, ssize_t *bytes, CUstream stream);
CUfileError_t cuFileWriteAsync(CUfileHandle_t fh, void *base, size_t *size, off_t *file_offset,
			       off_t *buf_offset, ssize_t *bytes, CUstream stream);
/* Allowed, and without effect. @flags: CU_FILE_STREAM_*. */
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
