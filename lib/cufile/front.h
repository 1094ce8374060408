/* SPDX-License-Identifier: MIT */
/*
 * front.h - what the files of libcufile share; not installed.
 *
 * Vocabulary
 *   file		what a handle stands for; a descriptor of the program's
 *   segment	an allocation of device memory (gpu_memory.h)
 *   bond		a file and a segment, bound by the library; made by need, kept for next time
 *   stage		memory of the host that what cannot be bound goes through
 *
 * Results of transfers are bytes, -errno, or a negated CUfileOpError, which are all above errnos.
 *
 * Layers, each using those below it only:
 *   batch*.c, ring.c, async.c, api.c	functions as programs call them
 *   transfer.c			one transfer
 *   bonds.c, stage.c		its ways
 *   files.c, jobs.c, report.c	handles; threads; what is told to people. files.c uses the base
 *				library's cache.c, and its way to open a file anew; all else is by
 *				public functions
 *   state.c			whether the driver is open, and what was set
 *
 * Only files.c asks one above it, to have batches end what they do with a file.
 *
 * Locks: each file has its own, held for list operations. Those of bonds.c and files.c are not
 * taken together.
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
	struct dmabuf_rw_device *device;	/* null: there is no module */
	bool direct_only;
	unsigned int max_bonds;
	uint32_t zeros;		/* DMABUF_RW_ZEROS_*, for bonds */
	bool page_cache;	/* what it holds whole is read from there; not with @direct_only */
};

/* Does not change once the driver is open. */
extern struct front front;

/* Opens the driver if it is not. 0 or a CUfileOpError. Cheap when it is open. */
int front_open(void);
/* The same for what only gives up something, and so needs it not open. */
int front_let_go(void);

/* ---- report.c ----------------------------------------------------------------------------- */

/* Why bytes bounced: an error of the library's, or two sentences of ours where @cause is set. */
struct front_reason {
	struct dmabuf_rw_error error;
	const char *cause, *remedy;
	const char *detail;	/* of the cause; or null */
};

struct front_file;

void report_direct(bool write, uint64_t bytes);
void report_host(bool write, uint64_t bytes);
/* Read from the page cache. Says it if it is the first. */
void report_cached(const struct front_file *file, uint64_t bytes);
/* Zeros that were put before a write. Says it if they are the first. */
void report_zeros(const struct front_file *file, const struct dmabuf_rw_result *result);
/* Says it if it is the first. */
void report_bounced(const struct front_file *file, bool write, uint64_t bytes,
		    const struct front_reason *why);
/* Says that a transfer fails since it cannot go direct, if it is the first. */
void report_refused(const struct front_file *file, const struct front_reason *why);
/* A line on standard error, unless the program has put a file there that it has registered. */
void __attribute__((format(printf, 1, 2))) report_say(const char *fmt, ...);
/* Reads the environment and takes a record to count in; once, after front.direct_only is set. */
void report_open(void);

/* ---- files.c ------------------------------------------------------------------------------ */

struct front_file {
	uint64_t number;	/* no other file of the process has had it */
	int fd;			/* the program's */
	dev_t dev;		/* of the file; tells a descriptor that was closed and used again */
	ino_t ino;
	unsigned int generation;	/* of that inode number */
	bool regular;
	bool direct;		/* with O_DIRECT */
	bool may[2];		/* be read, be written: as it is open */
	uint64_t write_flags;	/* DMABUF_RW_IO_*, of writes */
	_Atomic uint64_t word;	/* how often it was used, and the references: files.c */
	_Atomic(struct front_bond *) last_bond;	/* where to look first; or null */
	_Atomic int plain_fd;	/* other openings, ours, made when they are needed; -1: not yet, */
	_Atomic int direct_fd;	/* -2: cannot be had */
};

/* 0 or a CUfileOpError. */
int file_register(int fd, CUfileHandle_t *fh);
void file_deregister(CUfileHandle_t fh);
/* Null: no such handle. */
struct front_file *file_get(CUfileHandle_t fh);
void file_put(struct front_file *file);
/* No handle leads to it any more; once that is so, it stays so for who has a reference. */
bool file_is_retired(const struct front_file *file);
/* Whether the program has registered what is standard error otherwise. */
bool file_is_stderr(void);
/* False: the descriptor is another file's now. Else *@bytes is the file's size, if not null. */
bool file_is_same(const struct front_file *file, uint64_t *bytes);
/* As pread() and pwrite(), of any length and alignment. Bytes or -errno. */
ssize_t file_transfer(struct front_file *file, bool write, void *mem, size_t len, uint64_t off);
/* Whether the page cache holds all of a range that the file has, or of what it has of it. */
bool file_is_cached(struct front_file *file, uint64_t off, uint64_t len);
/*
 * As pread(), of what the page cache holds: -EAGAIN: nothing of it; fewer bytes: not the next one.
 * Nothing is read from the drive, if the file system can be asked for that.
 */
ssize_t file_read_cached(struct front_file *file, void *mem, size_t len, uint64_t off);

/* ---- bonds.c ------------------------------------------------------------------------------ */

struct front_bond {
	struct front_bond *prev, *next;	/* by the lock of bonds.c, as all to @being_made */
	bool listed;
	bool being_made;
	_Atomic uint32_t word;	/* users, and whether there may be more: bonds.c */
	_Atomic uint32_t last_use;	/* by the clock of bonds.c */
	uint64_t file;		/* their numbers */
	uint64_t segment_number;
	struct gpu_segment *segment;	/* with a reference */
	struct dmabuf_rw_binding *binding;
	struct front_reason refusal;	/* why it is bounce-only; else no error */
	uint32_t read_align, write_align, buf_align;
};

/* The bond of the two, used. 0, or -errno with @why, if that is not null, filled. */
int bond_use(struct front_file *file, struct gpu_segment *segment, struct front_bond **bond,
	     struct front_reason *why);
/* The same, but null if it is not made yet. */
struct front_bond *bond_use_made(struct front_file *file, struct gpu_segment *segment);
/*
 * The same without locks, of memory that is @owner's, and that need not be used
 * by the caller: null if it is not the bond that the file has used last.
 */
struct front_bond *bond_use_last(struct front_file *file, uint64_t p, uint64_t len,
				 const struct gpu_owner *owner);
void bond_done(struct front_bond *bond);
/*
 * Whether it is worth while to try again: @ret says that the process lacks descriptors or memory,
 * and a bond that nobody used has gone, or, when none was left, the segments. *@last is false at
 * first.
 */
bool bonds_make_room(int64_t ret, bool *last);
/* Bonds that are not in use go now, others with their last user. */
void bonds_forget_file(const struct front_file *file);
void bonds_forget_segment(struct gpu_segment *segment);

/* ---- stage.c ------------------------------------------------------------------------------ */

/* Moves through host memory, within one segment. Bytes or -errno. */
int64_t stage_move(struct front_file *file, const struct gpu_segment *segment, bool write,
		   uint64_t p, uint64_t len, uint64_t off);
/* The same for reads, as file_read_cached(). */
int64_t stage_read_cached(struct front_file *file, const struct gpu_segment *segment, uint64_t p,
			  uint64_t len, uint64_t off);

/* ---- transfer.c --------------------------------------------------------------------------- */

/* False: what a program has passed is no range of memory, beginning at *@p, or of a file. */
bool transfer_range(const void *base, off_t buf_off, size_t len, off_t off, uint64_t *p);
/* Of such a range. */
int64_t transfer(struct front_file *file, bool write, uint64_t p, uint64_t len, uint64_t off);
/* Of whatever a program passes. */
int64_t transfer_by_handle(CUfileHandle_t fh, bool write, const void *base, off_t buf_off,
			   size_t len, off_t off);
bool transfer_is_aligned(const struct front_bond *bond, bool write, uint64_t off,
			 uint64_t buf_off, uint64_t len);
/* Why bytes of a transfer that has a bond have bounced, for all that is known of its range. */
void transfer_explain(const struct front_bond *bond, bool write, uint64_t off, uint64_t buf_off,
		      uint64_t len, struct front_reason *why);
/* Whether a read is to be served from the page cache. */
bool transfer_is_cached(struct front_file *file, bool write, uint64_t off, uint64_t len);
/* Whether what is written makes the file longer; then *@inside is the bytes that do not. */
bool transfer_grows(const struct front_file *file, uint64_t off, uint64_t len, uint64_t *inside);

/* ---- batch.c ------------------------------------------------------------------------------ */

/* Waits until what batches have in rings of a file that is retired has ended. */
void batches_end_file(const struct front_file *file);

/* ---- jobs.c ------------------------------------------------------------------------------- */

struct front_job {
	struct front_job *next;
	void (*run)(struct front_job *job);
};

/* A thread of ours runs it, sooner or later. 0 or -errno: there is none. */
int job_submit(struct front_job *job);

#endif /* CUFILE_FRONT_H */
