/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench.h - the parts of the benchmark that runs inside a test machine.
 *
 * Vocabulary
 *   cell	what is measured: block size, pattern, direction, transfers in flight
 *   lane	one way to bring data from the drive to a place, or back
 *   target	a dma-buf that lanes move data to and from, with a CPU view of it
 *   run	one lane at work on one cell for some time; yields a sample
 *   slot	one of the transfers in flight, with its own place in memory
 *
 * Everything is single-threaded. An error of any kind ends the program: a benchmark
 * that went wrong has no result.
 */
#ifndef BENCH_H
#define BENCH_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include <libdmabuf_rw.h>

#include "buffer.h"

typedef uint8_t u8;
typedef int64_t s64;
typedef uint32_t u32;
typedef uint64_t u64;

#define KiB		1024ULL
#define MiB		(1024 * KiB)
#define SECTOR		512
#define MAX_DEPTH	32
#define MAX_BLOCK	MiB
/* Transfers of a batch. */
#define BATCH		16
/* What a run moves into and out of memory at most at a time. */
#define MAX_CALL	(8 * MiB)
#define MEM_BYTES	(MAX_DEPTH * MAX_BLOCK)

/* Prints "PROGRAM: reason" and ends the program with status 1. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ---- cpu.c: instructions, and time that the CPUs were busy ---------------------------- */

struct cpu_mark {
	double clock;
	double idle;
	long sleeps;
	double mark;	/* how long the plugin took for its mark */
};

struct cpu_use {
	unsigned int window;	/* the plugin's number for the instructions */
	unsigned long sleeps;	/* of this thread */
	double seconds;	/* elapsed */
	double busy;	/* CPU seconds that the machine's CPUs were not idle */
};

/* Loads drw_idle; keeps this thread on the last CPU, away from what runs on the first. */
void cpu_init(void);
void cpu_exit(void);
void cpu_begin(struct cpu_mark *mark);
void cpu_end(const struct cpu_mark *begin, struct cpu_use *use);
/* Sleeps, which is in no number of instructions. Returns the time after it. */
double cpu_rest(double seconds);
double clock_seconds(void);

/* ---- symbols.c ------------------------------------------------------------------------ */

/* Prints records of all functions that the kernel has now, with their addresses. */
void report_symbols(void);

/* ---- module.c: the benchmark's own kernel modules ---------------------------------- */

/* Does nothing if it is loaded. */
void module_load(const char *name);
void module_unload(const char *name);

/* ---- copy.c: the fastest copy that this machine has ------------------------------- */

typedef void (*copy_fn)(void *to, const void *from, u64 len);

/* Tries all on the real memory; @name is set to static storage. */
copy_fn copy_choose(void *to, const void *from, u64 len, const char **name);

/* ---- target.c ----------------------------------------------------------------------- */

struct target {
	const char *name;	/* "bar", "udmabuf", "heap" */
	const char *exporter;	/* who made it */
	const char *mapping;	/* how the CPU sees it */
	int fd;
	u64 bytes;
	u8 *map;
	bool filled;		/* all of it that lanes use has known content */
	struct buffer buffer;	/* vfio and heap */
};

/*
 * The machine's PCIe BAR, whole: from vfio-pci where the machine has an IOMMU, else
 * from the mock exporter, as vfio-pci needs one.
 */
void target_open_bar(struct target *t);
/* Give each page of a mapping its memory, in random order, so that no two adjoin. */
void populate_scattered(u8 *map, u64 bytes);
/* Memory of such pages. */
void target_open_udmabuf(struct target *t, u64 bytes);
void target_open_heap(struct target *t, u64 bytes);
/* A further dma-buf of the BAR's first @bytes; the caller closes it. */
int target_bar_part(const struct target *bar, u64 bytes);

/* ---- content.c: what is in memory and on the disk ---------------------------------- */

/*
 * The part of the disk that is used: the first half is read, its content is known; the
 * second is written to.
 */
struct area {
	int fd;			/* O_DIRECT, and O_RDWR or, if @read_only, O_RDONLY */
	bool read_only;
	bool file;		/* on a file system, which writes to the disk, too */
	char disk[32];		/* "nvme0n1" */
	u64 base;
	u64 half;
};

/* Opens /dev/drw/@role and fills the half that is read. */
void area_open(struct area *area, const char *role, u64 base, u64 half);
/*
 * Regular files with the same, on an ext4 file system that is made on a partition of that
 * disk, which begins at @start and has @bytes.
 */
void area_mount(const struct area *disk, u64 start, u64 bytes);
void area_open_file(struct area *area, const struct area *disk, const char *name, u64 half,
		    bool read_only);
/* All files are closed. */
void area_unmount(void);
/* Sectors that the block layer counts as read or written by ordinary I/O so far. */
u64 area_sectors(const struct area *area, bool write);

/* Content is a function of a tag and a position; @pos and @len in whole sectors. */
void content_fill(void *mem, u64 len, u32 tag, u64 pos);
bool content_is(const void *mem, u64 len, u32 tag, u64 pos);
/* Changes the tag of filled memory; costs a store per sector. */
void content_retag(void *mem, u64 len, u32 tag, u64 pos);

/* ---- lane.c -------------------------------------------------------------------------- */

struct cell {
	u64 block;
	u32 depth;
	bool random;
	bool write;
};

void cell_name(const struct cell *cell, char name[64]);

enum lane_kind {
	LANE_DIRECT,	/* dmabuf_rw: the drive's DMA goes to and from the target */
	LANE_BATCH,	/* the same, BATCH of them with each entry */
	LANE_FIXED,	/* io_uring READ_FIXED and WRITE_FIXED, O_DIRECT, host memory */
	LANE_BOUNCE,	/* the same, and a copy between that memory and the target */
	LANE_LIBRARY,	/* the library's bouncing, one call a transfer */
	LANE_FLOOR,	/* the same command, with nothing checked: bench/kmod/drw_floor.c */
	LANE_KERNEL,	/* READ_FIXED and WRITE_FIXED with the target registered (Linux 7.4) */
	LANE_NAIVE,	/* pread() or pwrite(), O_DIRECT, and then, or before, a copy */
	LANE_CALL,	/* as DIRECT, each by a call that waits */
	LANE_PREAD,	/* as FIXED, each by pread() or pwrite() */
};

struct lane {
	const char *name;
	enum lane_kind kind;
	const struct area *area;
	struct target *target;			/* not FIXED */
	struct dmabuf_rw_binding *binding;	/* DIRECT, BATCH, CALL, KERNEL, LIBRARY */
	int floor_fd;				/* FLOOR */
	u64 skew;				/* bytes that reads are off block boundaries */
	bool poll;				/* the ring has IOPOLL */
	struct io_uring ring;
	u8 *stage;				/* FIXED, BOUNCE, PREAD: registered buffer 0 */
	bool filled;				/* FIXED: as in struct target */
	copy_fn copy_in, copy_out;		/* BOUNCE: to and from the target */
	const char *copy_in_name, *copy_out_name;
};

/* @flags: of its ring, in addition: IORING_SETUP_IOPOLL */
void lane_open_direct(struct lane *lane, const char *name, const struct area *area,
		      struct dmabuf_rw_device *device, struct target *target,
		      unsigned int flags);
/* Turns a DIRECT or FIXED one into one of batches, or of calls. */
void lane_make(struct lane *lane, enum lane_kind kind);
/* Whether it makes one call after the other. */
bool lane_calls(const struct lane *lane);
/* By the kernel's own interface, which it must have. */
void lane_open_kernel(struct lane *lane, const char *name, const struct area *area,
		      struct target *target);
/* Transfers with each entry. */
u32 lane_batch(const struct lane *lane);
/* Whether a binding counts what it does. */
bool lane_is_direct(const struct lane *lane);
void lane_open_floor(struct lane *lane, const char *name, const struct area *area,
		     struct target *target);
/* @huge: in memory of huge pages; or of single pages, none beside its neighbour. */
void lane_open_fixed(struct lane *lane, const char *name, const struct area *area, bool huge,
		     unsigned int flags);
void lane_open_bounce(struct lane *lane, const char *name, const struct area *area,
		      struct target *target);
/*
 * Bounces that are one call: the library's, with chunks of @chunk bytes of which @depth are in
 * flight (0: as it chooses), or the simplest.
 */
void lane_open_library(struct lane *lane, const char *name, const struct area *area,
		       struct target *target, u32 chunk, u32 depth);
void lane_open_naive(struct lane *lane, const char *name, const struct area *area,
		     struct target *target);
/* Whether this is a cell for it. */
bool lane_takes(const struct lane *lane, const struct cell *cell);
/* Where the CPU finds what the lane has moved, or will. */
u8 *lane_view(const struct lane *lane);
void lane_info(const struct lane *lane, struct dmabuf_rw_info *info);
/* Gives everything back at once, so that the modules can go. */
void lane_close(struct lane *lane);

/* ---- loop.c --------------------------------------------------------------------------- */

struct sample {
	u64 ios;
	u64 polls;		/* how often a polled lane needs to ask the driver */
	struct cpu_use use;
};

/*
 * Runs for about @seconds and checks that everything was real: the results, the
 * counters of the binding or of the block layer, and the data of the last transfers.
 */
void lane_run(struct lane *lane, const struct cell *cell, double seconds,
	      struct sample *sample);

#endif
