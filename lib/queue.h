/* SPDX-License-Identifier: MIT */
/*
 * queue.h - what the files of the queue share.
 *
 *   queue.c		making, filling and destroying queues
 *   queue_attach.c	bindings that the kernel knows beforehand
 *   queue_reap.c	waiting, and turning what comes back into completions
 */
#ifndef DMABUF_RW_QUEUE_H
#define DMABUF_RW_QUEUE_H

#include <liburing.h>

#include "workers.h"

#define DMABUF_RW_NO_SLOT	UINT32_MAX
/* In the ring's table of files, before the bindings: the end of a pipe. */
#define DMABUF_RW_END_INDEX	0
#define DMABUF_RW_TABLE_MAX	(DMABUF_RW_QUEUE_MAX_ATTACHED + 1)

enum dmabuf_rw_place {
	DMABUF_RW_FREE,
	DMABUF_RW_HELD,		/* queued; goes to the workers when it is submitted */
	DMABUF_RW_IN_RING,	/* has one entry, submitted or not */
	DMABUF_RW_WORKING,	/* the workers' */
};

/* One transfer from queueing to reaping. */
struct dmabuf_rw_slot {
	struct dmabuf_rw_job job;	/* the whole transfer, and how far it is */
	struct dmabuf_rw_piece range;	/* its one piece, if it is plain */
	uint64_t user_data;
	uint64_t left;		/* bytes still to move */
	const struct dmabuf_rw_piece *pieces;	/* of these: the caller's or @rest; or null */
	struct dmabuf_rw_piece *rest;	/* ours: what remains of them after a short run */
	uint32_t nr_pieces;
	int fd;			/* or, if @attached, its index in the ring's table */
	bool attached;
	bool taken_back;	/* the entry is a NOP now */
	uint32_t uring_op;	/* enum dmabuf_rw_uring_op */
	enum dmabuf_rw_place place;
	uint32_t next;		/* free or held: the next one */
};

/* See queue.c. Everything is the one thread's that uses the queue. */
struct dmabuf_rw_queue {
	struct io_uring ring;
	struct dmabuf_rw_private_fd ring_fd;
	int ring_err;		/* why there is no ring; 0: there is one */
	int end_fd;		/* ends when the kernel has let go of the ring; -1 without one */
	int wake_fd;		/* an eventfd that the ring signals; -1 until it is needed */
	int epoll_fd;		/* of it and the workers'; -1 until it is asked for */
	uint64_t process;	/* that made it */
	uint64_t flags;
	uint32_t depth;
	uint32_t pending;
	uint32_t free_head;
	uint32_t held_head, held_tail;
	struct dmabuf_rw_workers *workers;	/* null until the first is needed */
	uint32_t nr_working;	/* slots with them, finished or not */
	/* Ids of bindings by their index in the ring's table; 0: free. */
	uint64_t attached[DMABUF_RW_TABLE_MAX];
	/* Of these the kernel bindings, to which we hold references. */
	struct dmabuf_rw_kernel *kernels[DMABUF_RW_TABLE_MAX];
	uint32_t nr_kernels;
	bool has_buffers;	/* the ring has a table of buffers for them */
	uint32_t nr_table;	/* entries that the table has */
	uint32_t nr_attached;	/* all in use are before this */
	pthread_t owner;	/* with SINGLE_THREAD */
	struct dmabuf_rw_slot slots[];
};

/* 0, or -errno if the caller may not use the queue. */
int dmabuf_rw_queue_check_caller(const struct dmabuf_rw_queue *q);
/* Queues the entry for what is left of a slot. 0 or -EAGAIN. */
int dmabuf_rw_queue_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot);
/* Gives a slot to the workers. Where there can be none, it is done when this returns. */
int dmabuf_rw_queue_give(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot);
/* Gives them what is held. */
int dmabuf_rw_queue_submit_held(struct dmabuf_rw_queue *q);
/* Submits what is in the ring, all of it. 0 or -errno. */
int dmabuf_rw_queue_submit_ring(struct dmabuf_rw_queue *q);
/* Takes the first held slot out of the list; only one that is cancelled, or null. */
struct dmabuf_rw_slot *dmabuf_rw_queue_unhold_cancelled(struct dmabuf_rw_queue *q);
/* The index that the binding with @id has in the ring's tables, or -1. */
int dmabuf_rw_queue_find(const struct dmabuf_rw_queue *q, uint64_t id);
/* The one that a binding gets, or -errno. */
int dmabuf_rw_queue_add(struct dmabuf_rw_queue *q, const struct dmabuf_rw_binding *binding);
/* Gives up the references to kernel bindings, when the queue has no ring any more. */
void dmabuf_rw_queue_put_kernels(struct dmabuf_rw_queue *q);
/* Detaches kernel bindings that were destroyed. */
void dmabuf_rw_queue_sweep(struct dmabuf_rw_queue *q);
/* Sees to it that there is a wake_fd. Not without a ring. 0 or -errno. */
int dmabuf_rw_queue_need_wake(struct dmabuf_rw_queue *q);
void dmabuf_rw_queue_free_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot);

/* Others are of the entry that liburing makes where the kernel cannot wait with a timeout. */
static inline bool dmabuf_rw_is_slot(const struct dmabuf_rw_queue *q, uint64_t user_data)
{
	return user_data < q->depth;
}

static inline struct dmabuf_rw_slot *dmabuf_rw_slot_of(struct dmabuf_rw_job *job)
{
	return (struct dmabuf_rw_slot *)((char *)job - offsetof(struct dmabuf_rw_slot, job));
}

/*
 * True if an entry's result is not the last word. Any error of a kernel binding is for a worker,
 * which asks again and knows what the error means.
 */
static inline bool dmabuf_rw_is_for_worker(const struct dmabuf_rw_binding *b, int32_t res)
{
	return (b->kernel && res < 0) || dmabuf_rw_may_go_on(b, -res);
}

/* True if the kernel has completions for which the queue's thread has to enter it. */
static inline bool dmabuf_rw_has_deferred(const struct dmabuf_rw_queue *q)
{
	return IO_URING_READ_ONCE(*q->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

/* -EAGAIN from the kernel is want of memory; here it would say "queue full". */
static inline int dmabuf_rw_kernel_errno(int ret)
{
	return ret == -EAGAIN ? -ENOMEM : ret;
}

#endif /* DMABUF_RW_QUEUE_H */
