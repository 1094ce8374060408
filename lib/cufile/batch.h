/* SPDX-License-Identifier: MIT */
/*
 * batch.h - what the files of batches share; not installed.
 *
 * Vocabulary
 *   entry	one transfer of a batch: free, waiting, running, over
 *   group	entries of one submission that follow each other, of one file, segment and
 *		direction
 *   ring	an io_uring: a group is one entry of it, a batch of the module's, which the kernel
 *		does while no thread of the process waits
 *   job	a group, or what is left of one, that a thread of ours does
 *   waiter	the thread that waits in the ring
 *
 * A group goes by the ring if it has a segment, its file and segment are bound already, by the
 * module, and all its ranges are aligned: then the drive can do it, and nothing has to be made that
 * takes long. All others are jobs: memory of the host or without a dma-buf, ranges of several
 * segments, writes that make a file longer, pairs that meet for the first time, parts of LBAs. What
 * the module has not moved of a group is a job, too, when somebody asks for the batch's results.
 *
 * A group has a reference to its file, and is a user of its segment and its bond, until its entries
 * are over; a batch is not destroyed before that.
 *
 * Files: batch.c has the states of entries, and all that waits; batch_run.c makes groups, and does
 * them; ring.c enters the kernel.
 *
 * Locks: the batch's guards the states of its entries, the ring, and the list of groups in it. It
 * is held while groups are submitted, and taken before that of jobs.c. What a thread has taken from
 * the ring is its own until it ends the entries.
 */
#ifndef CUFILE_BATCH_H
#define CUFILE_BATCH_H

#include "front.h"

enum entry_state { FREE, WAITING, RUNNING, OVER, NR_STATES };

struct ring;
struct group;

struct entry {
	enum entry_state state;		/* by the batch's lock, as the next */
	struct group *group;		/* WAITING: whose it is */
	CUfileIOEvents_t event;		/* OVER; the cookie before, too */
	uint64_t p, len, off;
};

/* Stays until the process ends, and is used again. */
struct batch {
	struct batch *next_made, *next_free;	/* by the lock of batch.c */
	pthread_mutex_t lock;
	pthread_cond_t over;
	unsigned int nr;		/* entries there are; 0: destroyed */
	/* by @lock */
	struct ring *ring;		/* null: not needed yet, or not to be had */
	struct group *in_ring;		/* groups that are there */
	bool has_waiter;
	unsigned int sleepers;		/* who wait for @over */
	unsigned int groups;		/* under way */
	unsigned int in_state[NR_STATES];
	unsigned int wanted;		/* entries that are over, by who wants the fewest */
	struct entry entries[FRONT_MAX_BATCH];
};

struct group {
	struct front_job job;
	struct batch *batch;
	CUfileHandle_t fh;
	struct front_file *file;
	struct gpu_segment *segment;	/* null: it has one entry, which goes by itself */
	struct front_bond *bond;	/* while it is in the ring; else null */
	struct group *next;		/* in a list: to be submitted, in the ring, taken from it */
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
/* After entries have ended: whoever has waited for as many goes on. */
void batch_wake_locked(struct batch *b);
/* After groups went into the ring, or the waiter has left it: somebody who waits does it there. */
void batch_hand_over_locked(struct batch *b);

/* ---- batch_run.c -------------------------------------------------------------------------- */

/* Makes groups of entries that are RUNNING, and begins them. */
void batch_begin(struct batch *b, struct entry **entries, const CUfileIOParams_t *params,
		 unsigned int nr);
/*
 * Ends what has come back from the ring; gives up the lock meanwhile. There must be no waiter but
 * the caller. False: nothing had.
 */
bool batch_reap_locked(struct batch *b);

/* ---- ring.c ------------------------------------------------------------------------------- */

/* Null: there is none. */
struct ring *ring_create(void);
/* False: it is full. */
bool ring_add(struct ring *ring, struct group *group);
/* Hands to the kernel what was added; what it does not take is to be taken back, one by one. */
void ring_submit(struct ring *ring);
struct group *ring_take_back(struct ring *ring);
/* One that has ended, or null. */
struct group *ring_take(struct ring *ring, int64_t *moved);
/* Until there may be one, or somebody has called ring_wake(), or for @left at most, if not null. */
void ring_wait(const struct ring *ring, const struct timespec *left);
void ring_wake(struct ring *ring);

#endif /* CUFILE_BATCH_H */
