/* SPDX-License-Identifier: MIT */
/*
 * conformance.h - what the files of the conformance program share.
 *
 * Vocabulary
 *   answer	what a call has given, in words without addresses, times or process ids, so that the
 *		output for two libraries can be compared by diff(1)
 *   basis	why an answer is expected: the public interface says so, programs that are in use
 *		rely on it, or libcufile of dmabuf-rw has chosen it where neither does
 *   group	calls that need a driver that is not open yet; each is a process of its own, so that
 *		a library that dies or hangs in one leaves the others alone
 *
 * Functions of both libraries are found at run time, and are null where a library has none.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cufile/cufile.h"

typedef unsigned long long cuda_ptr;

/* CUresult and the handles are an int and pointers, whatever they are called. */
struct cuda {
	int (*Init)(unsigned int flags);
	int (*DeviceGet)(int *device, int ordinal);
	int (*DevicePrimaryCtxRetain)(void **context, int device);
	int (*CtxSetCurrent)(void *context);
	int (*MemAlloc)(cuda_ptr *p, size_t bytes);
	int (*MemAllocManaged)(cuda_ptr *p, size_t bytes, unsigned int flags);
	int (*MemFree)(cuda_ptr p);
	int (*MemcpyHtoD)(cuda_ptr p, const void *host, size_t bytes);
	int (*MemcpyDtoH)(void *host, cuda_ptr p, size_t bytes);
	int (*MemHostAlloc)(void **mem, size_t bytes, unsigned int flags);
	int (*StreamCreate)(CUstream *stream, unsigned int flags);
	int (*StreamSynchronize)(CUstream stream);
	int (*LaunchHostFunc)(CUstream stream, void (*fn)(void *arg), void *arg);
};

/* Those that every library has; for the others, library_symbol(). */
struct cufile {
	CUfileError_t (*GetVersion)(int *version);
	CUfileError_t (*DriverOpen)(void);
	CUfileError_t (*DriverClose)(void);
	long (*UseCount)(void);
	CUfileError_t (*DriverGetProperties)(CUfileDrvProps_t *props);
	CUfileError_t (*DriverSetPollMode)(bool poll, size_t threshold);
	CUfileError_t (*DriverSetMaxDirectIOSize)(size_t kib);
	CUfileError_t (*DriverSetMaxCacheSize)(size_t kib);
	CUfileError_t (*DriverSetMaxPinnedMemSize)(size_t kib);
	CUfileError_t (*HandleRegister)(CUfileHandle_t *fh, CUfileDescr_t *descr);
	void (*HandleDeregister)(CUfileHandle_t fh);
	CUfileError_t (*BufRegister)(const void *base, size_t bytes, int flags);
	CUfileError_t (*BufDeregister)(const void *base);
	ssize_t (*Read)(CUfileHandle_t fh, void *base, size_t size, off_t off, off_t buf_off);
	ssize_t (*Write)(CUfileHandle_t fh, const void *base, size_t size, off_t off,
			 off_t buf_off);
	CUfileError_t (*BatchIOSetUp)(CUfileBatchHandle_t *batch, unsigned int nr);
	CUfileError_t (*BatchIOSubmit)(CUfileBatchHandle_t batch, unsigned int nr,
				       CUfileIOParams_t *params, unsigned int flags);
	CUfileError_t (*BatchIOGetStatus)(CUfileBatchHandle_t batch, unsigned int min_nr,
					  unsigned int *nr, CUfileIOEvents_t *events,
					  struct timespec *timeout);
	CUfileError_t (*BatchIOCancel)(CUfileBatchHandle_t batch);
	void (*BatchIODestroy)(CUfileBatchHandle_t batch);
	CUfileError_t (*ReadAsync)(CUfileHandle_t fh, void *base, size_t *size, off_t *off,
				   off_t *buf_off, ssize_t *bytes, CUstream stream);
	CUfileError_t (*WriteAsync)(CUfileHandle_t fh, void *base, size_t *size, off_t *off,
				    off_t *buf_off, ssize_t *bytes, CUstream stream);
	CUfileError_t (*StreamRegister)(CUstream stream, unsigned int flags);
	CUfileError_t (*StreamDeregister)(CUstream stream);
};

extern struct cuda cu;
extern struct cufile cf;

void *library_symbol(const char *name);

/* ---- answers (main.c) ------------------------------------------------------------------- */

enum basis { DOCUMENTED, RELIED_ON, CHOSEN };

/* @expected: one answer or several, separated by '|'. The answer is formatted from @fmt. */
void __attribute__((format(printf, 4, 5)))
answer(enum basis basis, const char *call, const char *expected, const char *fmt, ...);
/* Ends the group: what it needs is not there. */
void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *fmt, ...);

/*
 * Words for results, for one answer(): "ok", "INVALID_VALUE"; "4096", "-1 EBADF",
 * "-INVALID_VALUE". With errno as the call has left it.
 */
const char *status_word(CUfileError_t status);
const char *error_word(int error);
const char *bytes_word(ssize_t n);

/* ---- files and memory (support.c) --------------------------------------------------------- */

#define KIB (1UL << 10)
#define MIB (1UL << 20)
#define FRESH 0xee	/* what new memory is filled with */

/* Makes the primary context of the first device current; once in a group. */
void use_device(void);
cuda_ptr device_memory(size_t bytes);
static inline void *at(cuda_ptr p)
{
	return (void *)(uintptr_t)p;
}

/* The byte at @i of content number @tag; never FRESH. */
unsigned char content(unsigned int tag, uint64_t i);
void fill_host(void *mem, size_t len, unsigned int tag, uint64_t pos);
void fill_device(cuda_ptr p, size_t len, unsigned int tag, uint64_t pos);
bool host_is(const void *mem, size_t len, unsigned int tag, uint64_t pos);
bool device_is(cuda_ptr p, size_t len, unsigned int tag, uint64_t pos);
bool host_is_fresh(const void *mem, size_t len);
bool device_is_fresh(cuda_ptr p, size_t len);

/* Of the group's own directory; valid until four more were asked for. */
const char *path_of(const char *name);
/* A file of @bytes, and a descriptor of it with @flags of open(2). */
int new_file(const char *name, size_t bytes, unsigned int tag, int flags);
bool file_is(const char *name, uint64_t off, size_t len, unsigned int tag, uint64_t pos);
/* A handle, or the group ends. */
CUfileHandle_t handle_of(int fd);
/* cuFileHandleRegister() of a descriptor. */
CUfileError_t register_fd(int fd, CUfileHandle_t *fh);

/* ---- groups ------------------------------------------------------------------------------- */

void names_are_there(void);
void driver_is_counted(void);
void driver_properties(void);
void functions_not_served(void);
void handles(void);
void handle_twice(void);
void handle_of_nothing(void);
void buffers(void);
void buffer_twice(void);
void buffers_not_to_be_had(void);
void reads(void);
void reads_of_odd_memory(void);
void reads_by_descriptor(void);
void reads_of_files_that_change(void);
void read_by_stale_handle(void);
void read_by_null_handle(void);
void writes(void);
void writes_by_descriptor(void);
void writes_that_grow(void);
void batch_set_up(void);
void batch_submit(void);
void batch_of_many(void);
void batch_results(void);
void batch_waits(void);
void batch_cancel(void);
void batch_destroy(void);
void streams(void);
void streams_refuse(void);
void streams_read_late(void);
void threads_share_a_handle(void);
void many_files(void);
void fork_after_use(void);

#endif
