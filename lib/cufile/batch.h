/* SPDX-License-Identifier: MIT */
/*
 * batch.h - shared by the files of batches; not installed.
 *
 * Vocabulary
 *   entry	one transfer of a batch: free, waiting, running, over
 *   group	consecutive entries of one submission, with one file, segment and direction
 *   ring	an io_uring. A group is one entry of it, a batch of the module's, which the kernel
 *		runs without a waiting thread of the process
 *   job	a group, or the rest of one, that a thread of ours runs
 *   waiter	the thread that waits in the ring
 *
 * A group goes by the ring if it has a segment, the module has already bound its file and segment,
 * and all its ranges are aligned: the drive can then move it, and no long preparation is needed.
 * All others are jobs: memory of the host or without a dma-buf, ranges of several segments, writes
 * that extend a file, pairs that meet for the first time, parts of LBAs. Ranges of a group that the
 * module has not moved become a job too, when a thread asks for the batch's results.
 *
 * A group has a reference to its file, and is a user of its segment and its bond, until its entries
 * are over; a batch is not destroyed before that.
 *
 * Files: batch.c has the states of entries, and all waiting; batch_run.c makes groups, and runs
 * them; ring.c enters the kernel.
 *
 * Locks: the batch's protects the states of its entries, the ring, and the list of groups in it. It
 * is held while groups are submitted, and taken before that of jobs.c. A thread owns the groups it
 * has taken from the ring until it ends their entries.
 */
#ifndef CUFILE_BATCH_H
#define CUFILE_BATCH_H

#include "front.h"

enum entry_state { FREE, WAITING, RUNNING, OVER, NR_STATES };

struct ring;
struct group;

struct entry {
	enum entry_state state;		/* protected by the batch's lock, like the next two */
	struct group *group;		/* WAITING: the entry's group */
	CUfileIOEvents_t event;		/* OVER; the cookie earlier, too */
	uint64_t p, len, off;
};

/* Kept until the process ends, and reused. */
struct batch {
	struct batch *next_made, *next_free;	/* by the lock of batch.c */
	pthread_mutex_t lock;
	pthread_cond_t over;
	unsigned int nr;		/* number of entries; 0: destroyed */
	/* protected by @lock */
	struct ring *ring;		/* null: not needed yet, or not available */
	struct group *in_ring;		/* groups in the ring */
	bool has_waiter;
	unsigned int sleepers;		/* threads waiting for @over */
	unsigned int groups;		/* under way */
	unsigned int in_state[NR_STATES];
	unsigned int wanted;		/* the smallest number of finished entries waited for */
	struct entry entries[FRONT_MAX_BATCH];
};

struct group {
	struct front_job job;
	struct batch *batch;
	CUfileHandle_t fh;
	struct front_file *file;
	struct gpu_segment *segment;	/* null: one entry, which runs on its own */
	struct front_bond *bond;	/* while in the ring; else null */
	struct group *next;		/* in a list: to submit, in the ring, or taken from it */
	bool write;
	uint64_t bytes;
	unsigned int nr;
	struct entry *entries[FRONT_MAX_BATCH];
	struct dmabuf_rw_range ranges[FRONT_MAX_BATCH];	/* of the entries, if it has a segment */
};

/* ---- batch.c ------------------------------------------------------------------------------ */

void entry_set_locked(struct batch *b, struct entry *e, enum entry_state state);
void entry_end_locked(struct batch *b, struct entry *e, CUfileStatus_t status, int64_t ret);
/* Bytes, or -errno or a negated CUfileOpError. */
void entry_end_with_locked(struct batch *b, struct entry *e, int64_t n);
/* After entries have ended: wakes waiters whose number is reached. */
void batch_wake_locked(struct batch *b);
/* After groups entered the ring, or the waiter left it: makes a sleeper the waiter. */
void batch_hand_over_locked(struct batch *b);

/* ---- batch_run.c -------------------------------------------------------------------------- */

/* Makes groups of RUNNING entries, and starts them. */
void batch_begin(struct batch *b, struct entry **entries, const CUfileIOParams_t *params,
		 unsigned int nr);
/*
 * Ends groups that have come back from the ring; drops the lock meanwhile. The caller must be the
 * only waiter. False: none had.
 */
bool batch_reap_locked(struct batch *b);

/* ---- ring.c ------------------------------------------------------------------------------- */

/* Null: there is none. */
struct ring *ring_create(void);
/* False: it is full. */
bool ring_add(struct ring *ring, struct group *group);
/* Hands added groups to the kernel; those it does not take must be taken back, one by one. */
void ring_submit(struct ring *ring);
struct group *ring_take_back(struct ring *ring);
/* A group that has ended, or null. */
struct group *ring_take(struct ring *ring, int64_t *moved);
/* Waits for a group to end or for ring_wake(), for @left at most, if not null. May end early. */
void ring_wait(const struct ring *ring, const struct timespec *left);
void ring_wake(struct ring *ring);

#endif /* CUFILE_BATCH_H */
