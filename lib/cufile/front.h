/* SPDX-License-Identifier: MIT */
/*
 * front.h - shared by the files of libcufile; not installed.
 *
 * Vocabulary
 *   file		a registered handle, with a descriptor of the program's
 *   segment	an allocation of device memory (gpu_memory.h)
 *   bond		a binding of a file and a segment; made when needed, kept for later use
 *   stage		host memory, for bytes that cannot go through a binding
 *
 * Results of transfers are bytes, -errno, or a negated CUfileOpError, which are all above errnos.
 *
 * Layers, each using those below it only, except that files.c has batch.c end a file's groups:
 *   batch*.c, ring.c, async.c, api.c	public functions
 *   transfer.c			one transfer
 *   bonds.c, stage.c		its ways
 *   files.c, jobs.c, report.c	handles; threads; messages. files.c uses the base library's
 *				cache.c, and its function to open a file anew; all others use
 *				public functions only
 *   state.c			whether the driver is open, and its settings
 *
 * Locks: each source file has its own, held for list operations. Those of bonds.c and files.c are
 * not taken together.
 */
#ifndef CUFILE_FRONT_H
#define CUFILE_FRONT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <libdmabuf_rw.h>

#include "cufile.h"
#include "gpu/gpu_memory.h"

#define CUFILE_API __attribute__((visibility("default")))

#define FRONT_MAX_BATCH	128

static inline CUfileError_t front_status(int err)
{
	return (CUfileError_t){ .err = (CUfileOpError)err };
}

/* ---- state.c ------------------------------------------------------------------------------ */

struct front {
	struct dmabuf_rw_device *device;	/* null: no module */
	bool direct_only;
	unsigned int max_bonds;
	uint32_t zeros;		/* DMABUF_RW_ZEROS_*, for bonds */
	bool page_cache;	/* read cached ranges from there; not with @direct_only */
};

/* Does not change once the driver is open. */
extern struct front front;

/* Opens the driver if needed. 0 or a CUfileOpError. Cheap when it is open. */
int front_open(void);
/* The same for functions that only release something, which do not open it. */
int front_let_go(void);

/* ---- report.c ----------------------------------------------------------------------------- */

/* Why bytes bounced: an error of the library, or two texts of ours if @cause is set. */
struct front_reason {
	struct dmabuf_rw_error error;
	const char *cause, *remedy;
	const char *detail;	/* of the cause; or null */
};

struct front_file;

void report_direct(bool write, uint64_t bytes);
void report_host(bool write, uint64_t bytes);
/* Counts reads from the page cache. Prints a message the first time. */
void report_cached(const struct front_file *file, uint64_t bytes);
/* Counts zeros put before a write. Prints a message the first time. */
void report_zeros(const struct front_file *file, const struct dmabuf_rw_result *result);
/* Prints a message the first time. */
void report_bounced(const struct front_file *file, bool write, uint64_t bytes,
		    const struct front_reason *why);
/* Prints a message the first time that a transfer fails because it cannot go direct. */
void report_refused(const struct front_file *file, const struct front_reason *why);
/* Prints a line on standard error, unless the program has registered a file as descriptor 2. */
void __attribute__((format(printf, 1, 2))) report_say(const char *fmt, ...);
/* Reads the environment and takes a record for the counts; once, after front.direct_only is set. */
void report_open(void);

/* ---- files.c ------------------------------------------------------------------------------ */

struct front_file {
	uint64_t number;	/* unique in the process */
	int fd;			/* the program's */
	dev_t dev;		/* of the file; detects a descriptor closed and reused */
	ino_t ino;
	unsigned int generation;	/* of that inode */
	bool regular;
	bool direct;		/* open with O_DIRECT */
	bool may[2];		/* open for reading, for writing */
	uint64_t write_flags;	/* DMABUF_RW_IO_*, of writes */
	_Atomic uint64_t word;	/* use count and references, see files.c */
	_Atomic(struct front_bond *) last_bond;	/* where to look first; or null */
	_Atomic int plain_fd;	/* other openings, ours, made when needed; -1: not yet, */
	_Atomic int direct_fd;	/* -2: not available */
};

/* 0 or a CUfileOpError. */
int file_register(int fd, CUfileHandle_t *fh);
void file_deregister(CUfileHandle_t fh);
/* Null: no such handle. */
struct front_file *file_get(CUfileHandle_t fh);
void file_put(struct front_file *file);
/* True: no handle leads to it any more. Stays true while the caller has a reference. */
bool file_is_retired(const struct front_file *file);
/* Whether the program has registered descriptor 2. */
bool file_is_stderr(void);
/* False: the descriptor now is another file's. Else *@bytes is the file's size, if not null. */
bool file_is_same(const struct front_file *file, uint64_t *bytes);
/* Like pread() and pwrite(), of any length and alignment. Bytes or -errno. */
ssize_t file_transfer(struct front_file *file, bool write, void *mem, size_t len, uint64_t off);
/* Whether the page cache holds all of the range, up to the file's end. */
bool file_is_cached(struct front_file *file, uint64_t off, uint64_t len);
/*
 * Like pread(), from the page cache only. -EAGAIN: nothing is cached; fewer bytes: the next one is
 * not. Does not read from the drive, if the file system supports that.
 */
ssize_t file_read_cached(struct front_file *file, void *mem, size_t len, uint64_t off);

/* ---- bonds.c ------------------------------------------------------------------------------ */

struct front_bond {
	struct front_bond *prev, *next;	/* protected by the lock of bonds.c, like the next two */
	bool listed;
	bool being_made;
	_Atomic uint32_t word;	/* users and LIVE, see bonds.c */
	_Atomic uint32_t last_use;	/* by the clock of bonds.c */
	uint64_t file;		/* numbers of file and segment */
	uint64_t segment_number;
	struct gpu_segment *segment;	/* holds a reference */
	struct dmabuf_rw_binding *binding;
	struct front_reason refusal;	/* why it is bounce-only; else no error */
	uint32_t read_align, write_align, buf_align;
};

/* Finds or makes the pair's bond, with a user. 0, or -errno with @why filled, if not null. */
int bond_use(struct front_file *file, struct gpu_segment *segment, struct front_bond **bond,
	     struct front_reason *why);
/* The same, but null if the bond is not made yet. */
struct front_bond *bond_use_made(struct front_file *file, struct gpu_segment *segment);
/*
 * The same without locks, for memory of @owner, of which the caller need not be a user. Null: the
 * memory is not that of the bond that the file used last.
 */
struct front_bond *bond_use_last(struct front_file *file, uint64_t p, uint64_t len,
				 const struct gpu_owner *owner);
void bond_done(struct front_bond *bond);
/*
 * Whether to try again: @ret says that descriptors or memory are lacking, and an idle bond was
 * dropped, or, if there was none, the idle segments. *@last is false at first.
 */
bool bonds_make_room(int64_t ret, bool *last);
/* Idle bonds are destroyed now, others with their last user. */
void bonds_forget_file(const struct front_file *file);
void bonds_forget_segment(struct gpu_segment *segment);

/* ---- stage.c ------------------------------------------------------------------------------ */

/* Moves through host memory, within one segment. Bytes or -errno. */
int64_t stage_move(struct front_file *file, const struct gpu_segment *segment, bool write,
		   uint64_t p, uint64_t len, uint64_t off);
/* The same for reads, like file_read_cached(). */
int64_t stage_read_cached(struct front_file *file, const struct gpu_segment *segment, uint64_t p,
			  uint64_t len, uint64_t off);

/* ---- transfer.c --------------------------------------------------------------------------- */

/* False: the arguments are no range of memory, beginning at *@p, or no range of a file. */
bool transfer_range(const void *base, off_t buf_off, size_t len, off_t off, uint64_t *p);
/* Of a valid range. */
int64_t transfer(struct front_file *file, bool write, uint64_t p, uint64_t len, uint64_t off);
/* Of any arguments. */
int64_t transfer_by_handle(CUfileHandle_t fh, bool write, const void *base, off_t buf_off,
			   size_t len, off_t off);
bool transfer_is_aligned(const struct front_bond *bond, bool write, uint64_t off,
			 uint64_t buf_off, uint64_t len);
/* Finds why bytes of a transfer with a bond have bounced, from all that is known of its range. */
void transfer_explain(const struct front_bond *bond, bool write, uint64_t off, uint64_t buf_off,
		      uint64_t len, struct front_reason *why);
/* Whether to serve a read from the page cache. */
bool transfer_is_cached(struct front_file *file, bool write, uint64_t off, uint64_t len);
/* Whether the write extends the file; *@inside is then the bytes that do not. */
bool transfer_grows(const struct front_file *file, uint64_t off, uint64_t len, uint64_t *inside);

/* ---- batch.c ------------------------------------------------------------------------------ */

/* Waits until groups of a retired file have left all rings. */
void batches_end_file(const struct front_file *file);

/* ---- jobs.c ------------------------------------------------------------------------------- */

struct front_job {
	struct front_job *next;
	void (*run)(struct front_job *job);
};

/* A thread of ours runs it later. 0 or -errno: no thread. */
int job_submit(struct front_job *job);

#endif /* CUFILE_FRONT_H */
