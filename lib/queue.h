/* SPDX-License-Identifier: MIT */
/*
 * queue.h - shared by the files of the queue.
 *
 *   queue.c		making, filling and destroying queues
 *   queue_attach.c	bindings in the tables of the ring
 *   queue_reap.c	waiting, and turning results into completions
 */
#ifndef DMABUF_RW_QUEUE_H
#define DMABUF_RW_QUEUE_H

#include <liburing.h>

#include "workers.h"

#define DMABUF_RW_NO_SLOT	UINT32_MAX
/* In the ring's table of files, before the bindings: the write end of a pipe. */
#define DMABUF_RW_END_INDEX	0
#define DMABUF_RW_TABLE_MAX	(DMABUF_RW_QUEUE_MAX_ATTACHED + 1)

enum dmabuf_rw_place {
	DMABUF_RW_FREE,
	DMABUF_RW_HELD,		/* queued; given to the workers by the next submit */
	DMABUF_RW_IN_RING,	/* has one entry, submitted or not */
	DMABUF_RW_WORKING,	/* with the workers */
};

/* One transfer from queueing to reaping. */
struct dmabuf_rw_slot {
	struct dmabuf_rw_job job;	/* the whole transfer, and its progress */
	struct dmabuf_rw_piece range;	/* its one piece, if it is plain */
	uint64_t user_data;
	uint64_t left;		/* bytes still to move */
	const struct dmabuf_rw_piece *pieces;	/* of @left: the caller's or @rest; or null */
	struct dmabuf_rw_piece *rest;	/* owned: the remaining pieces after a short run */
	uint32_t nr_pieces;
	int fd;			/* or, if @attached, its index in the ring's table */
	bool attached;
	bool taken_back;	/* the entry has become a NOP */
	uint32_t uring_op;	/* enum dmabuf_rw_uring_op */
	enum dmabuf_rw_place place;
	uint32_t next;		/* in the list of free or held slots */
};

/* See queue.c. The thread that uses the queue owns everything. */
struct dmabuf_rw_queue {
	struct io_uring ring;
	struct dmabuf_rw_private_fd ring_fd;
	int ring_err;		/* why there is no ring; 0: there is one */
	int end_fd;		/* ends when the kernel has released the ring; -1: no ring */
	int wake_fd;		/* an eventfd that the ring signals; -1: not needed yet */
	int epoll_fd;		/* of @wake_fd and the workers' descriptor; -1: not needed yet */
	uint64_t process;	/* its maker */
	uint64_t flags;
	uint32_t depth;
	uint32_t pending;
	uint32_t free_head;
	uint32_t held_head, held_tail;
	struct dmabuf_rw_workers *workers;	/* null: not needed yet */
	uint32_t nr_working;	/* slots with the workers, finished or not */
	/* Ids of bindings by their index in the ring's table; 0: free. */
	uint64_t attached[DMABUF_RW_TABLE_MAX];
	/* The kernel bindings among them; the queue holds a reference to each. */
	struct dmabuf_rw_kernel *kernels[DMABUF_RW_TABLE_MAX];
	uint32_t nr_kernels;
	bool has_buffers;	/* the ring has a table of buffers for kernel bindings */
	uint32_t nr_table;	/* entries of the table */
	uint32_t nr_attached;	/* all entries in use are below this */
	pthread_t owner;	/* with SINGLE_THREAD */
	struct dmabuf_rw_slot slots[];
};

/* 0, or -errno if the caller may not use the queue. */
int dmabuf_rw_queue_check_caller(const struct dmabuf_rw_queue *q);
/* Queues the entry for the rest of a slot. 0 or -EAGAIN. */
int dmabuf_rw_queue_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot);
/* Gives a slot to the workers. Without threads, it is done on return. */
int dmabuf_rw_queue_give(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot);
/* Gives the held slots to the workers. */
int dmabuf_rw_queue_submit_held(struct dmabuf_rw_queue *q);
/* Submits all entries in the ring. 0 or -errno. */
int dmabuf_rw_queue_submit_ring(struct dmabuf_rw_queue *q);
/* Removes the first cancelled slot from the held ones; null: there is none. */
struct dmabuf_rw_slot *dmabuf_rw_queue_unhold_cancelled(struct dmabuf_rw_queue *q);
/* The index of the binding with @id in the ring's tables, or -1. */
int dmabuf_rw_queue_find(const struct dmabuf_rw_queue *q, uint64_t id);
/* Attaches the binding. Returns its index, or -errno. */
int dmabuf_rw_queue_add(struct dmabuf_rw_queue *q, const struct dmabuf_rw_binding *binding);
/* Drops the references to kernel bindings, when the queue has no ring any more. */
void dmabuf_rw_queue_put_kernels(struct dmabuf_rw_queue *q);
/* Detaches kernel bindings that were destroyed. */
void dmabuf_rw_queue_sweep(struct dmabuf_rw_queue *q);
/* Makes wake_fd if needed. Only with a ring. 0 or -errno. */
int dmabuf_rw_queue_need_wake(struct dmabuf_rw_queue *q);
void dmabuf_rw_queue_free_slot(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot);

/* Others belong to entries of liburing's, for kernels that cannot wait with a timeout. */
static inline bool dmabuf_rw_is_slot(const struct dmabuf_rw_queue *q, uint64_t user_data)
{
	return user_data < q->depth;
}

static inline struct dmabuf_rw_slot *dmabuf_rw_slot_of(struct dmabuf_rw_job *job)
{
	return (struct dmabuf_rw_slot *)((char *)job - offsetof(struct dmabuf_rw_slot, job));
}

/*
 * True if an entry's result is not final. All errors of a kernel binding go to a worker, which
 * tries again and translates the errno.
 */
static inline bool dmabuf_rw_is_for_worker(const struct dmabuf_rw_binding *b, int32_t res)
{
	return (b->kernel && res < 0) || dmabuf_rw_may_go_on(b, -res);
}

/* True if the kernel has completions that appear only when the queue's thread enters it. */
static inline bool dmabuf_rw_has_deferred(const struct dmabuf_rw_queue *q)
{
	return IO_URING_READ_ONCE(*q->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

/* -EAGAIN from the kernel means no memory; from the queue it would mean that it is full. */
static inline int dmabuf_rw_kernel_errno(int ret)
{
	return ret == -EAGAIN ? -ENOMEM : ret;
}

#endif /* DMABUF_RW_QUEUE_H */
