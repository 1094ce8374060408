/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * transfer.h - one transfer between a file and a buffer.
 *
 * Objects
 *   request	what a caller asks for; after drw_request_check() only its end is cut
 *   attempt	one try to move the rest of a request: commands that are in flight together
 *   grip	all that an attempt holds: its span of the file (storage.h), a path, the mapping
 *   transfer	a request and its progress
 *
 * Life of a transfer
 *   A caller that may not sleep makes one attempt. It takes the grip, gives all commands to the
 *   drive or none, and returns; the last completion continues. If anything is in the way, the
 *   attempt fails with -EAGAIN, and io_uring calls again from a worker that may sleep. The
 *   worker, and the ioctl, use drw_transfer_run(), which repeats two steps until all is moved:
 *   prepare, which may wait and holds nothing afterwards; and an attempt, which holds the grip
 *   and waits only for the drive. retry.c decides which errors are worth another round. Requests
 *   fail fast, so no attempt sits in a queue while a controller resets.
 *
 * Bytes
 *   Drives move whole LBAs, so pads widen an attempt to whole LBAs: head bytes before the span
 *   and tail bytes after it. A read puts them in scratch memory; a write has a tail of zeros
 *   only, beyond the end of a regular file. Offsets within an attempt include the pads. @moved of
 *   an ended attempt counts the bytes that arrived without a gap, so no attempt moves again
 *   bytes that were reported.
 *
 * Locks: an attempt's lock is taken in any context, and no lock is taken inside. The grip sets
 * the rules for an attempt, see storage.h and mapping.h. In particular no allocation may reclaim,
 * since an exporter may evict from a shrinker.
 */
#ifndef _DRW_TRANSFER_H
#define _DRW_TRANSFER_H

#include <linux/completion.h>
#include <linux/io_uring/cmd.h>

#include "binding.h"
#include "nvme/request.h"

/**
 * struct drw_request - a request
 * @b: binding; the caller keeps its file
 * @write: buffer to file
 * @flags: DMABUF_RW_IO_*
 * @pos: file offset
 * @len: bytes; drw_request_check() cuts it to the largest transfer
 * @pc: pieces of the buffer; &@one, or an array that drw_request_free() frees
 * @nr_pc: how many
 */
struct drw_request {
	struct drw_binding *b;
	bool write;
	u64 flags;
	u64 pos;
	u64 len;
	struct dmabuf_rw_piece *pc;
	u32 nr_pc;
	struct dmabuf_rw_piece one;
};

struct drw_attempt;

/**
 * struct drw_cmd - one command of an attempt
 * @attempt: the attempt
 * @next: in the attempt's chain
 * @rq: request; invalid once it has been executed
 * @queue: its queue, for polling
 * @hctx: its hardware context, for polling
 * @off: first byte, as an offset within the attempt
 * @bytes: how many
 * @list_nr: for drw_list_free()
 * @ended: its completion has run
 * @list: list memory
 */
struct drw_cmd {
	struct drw_attempt *attempt;
	struct drw_cmd *next;
	struct request *rq;
	struct request_queue *queue;
	struct blk_mq_hw_ctx *hctx;
	u64 off;
	u32 bytes;
	u8 list_nr;
	bool ended;
	struct drw_list list;
};

enum drw_mode {
	DRW_SOME,	/* as many commands as possible; for a task that may sleep */
	DRW_ALL,	/* all commands or none, and few; for a task that may not sleep */
	DRW_POLLED,	/* like DRW_ALL, on poll queues */
};

/**
 * struct drw_attempt - one try to move the rest of a request
 * @rq: the request
 * @mode: enum drw_mode
 * @ended: called when it has ended, in any context
 * @private: for @ended
 * @span: the part of the file that it moves
 * @path: the path it takes. With multipath it may be freed once the attempt has ended, and then
 *	is only compared, unless the attempt is polled.
 * @head: bytes of the first LBA before the span
 * @tail: bytes of the last LBA after the span
 * @issued: end of the bytes that were given to the drive
 * @pending: commands in flight, and one for the issuer
 * @lock: protects @fail_off and @error while commands are in flight
 * @fail_off: lowest byte that failed, or U64_MAX
 * @error: its negative errno
 * @moved: once the attempt has ended, bytes of the span that arrived without a gap
 * @on_map: on drw_map.polled, while @mode is DRW_POLLED and commands are in flight
 * @chain: commands other than @first; constant while commands of a polled attempt are in flight,
 *	because pollers walk it
 * @first: the first command needs no allocation
 */
struct drw_attempt {
	struct drw_request *rq;
	enum drw_mode mode;
	void (*ended)(struct drw_attempt *a);
	void *private;
	struct drw_span span;
	struct drw_path *path;
	u16 head;
	u16 tail;
	u64 issued;
	atomic_t pending;
	spinlock_t lock;
	u64 fail_off;
	int error;
	u64 moved;
	struct drw_polled on_map;
	struct drw_cmd *chain;
	struct drw_cmd first;
};

/**
 * struct drw_retry - retries since the last progress
 * @deadline: when to give up waiting for a path; 0: no path error
 * @nomem: retries for want of memory
 * @notag: retries for want of a tag
 * @transient: retries after errors of the drive
 * @others: retries because others changed the file or the buffer meanwhile
 * @others_deadline: when to give up on @others; 0: none yet
 */
struct drw_retry {
	unsigned long deadline;
	unsigned int nomem;
	unsigned int notag;
	unsigned int transient;
	unsigned int others;
	unsigned long others_deadline;
};

/**
 * struct drw_transfer - a request and its progress
 * @rq: the request
 * @done: bytes moved, from its beginning
 * @error: negative errno of the transfer, or of its last attempt; 0: none
 * @failed: path of the last attempt; only compared
 * @crowded: others were in the way too often, see drw_span.look_up
 * @cancelled: true once the result is no longer wanted; NULL if it cannot be cancelled
 * @retry: retries since the last progress
 */
struct drw_transfer {
	struct drw_request rq;
	u64 done;
	int error;
	const struct drw_path *failed;
	bool crowded;
	const bool *cancelled;
	struct drw_retry retry;
};

/* Internal: the exporter returned -ENOMEM, for want of memory or aperture, which may pass. */
#define DRW_ENOAPERTURE	EXFULL

/* transfer.c */
int drw_request_set_pieces(struct drw_request *rq, u64 uaddr, u64 nr, bool nowait);
void drw_request_free(struct drw_request *rq);
int drw_check_unaligned(struct drw_binding *b, bool write, u64 pos, u64 len, u64 buf_offs);
void drw_request_cut(struct drw_request *rq, u64 len);
int drw_transfer_prepare_map(struct drw_binding *b, const struct drw_path **used);
void drw_transfer_run(struct drw_transfer *t);
s64 drw_transfer_result(struct drw_transfer *t);
int drw_transfer_sync(struct drw_binding *b, struct dmabuf_rw_io *arg);

/* attempt.c */
int drw_attempt_start(struct drw_attempt *a);
void drw_attempt_free(struct drw_attempt *a);
int drw_attempt_poll(struct drw_attempt *a, struct io_comp_batch *iob);
int drw_transfer_init(void);
void drw_transfer_exit(void);

/* retry.c */
bool drw_retry(struct drw_transfer *t);

/* uring.c */
int drw_uring_cmd(struct io_uring_cmd *ucmd, unsigned int issue_flags);
int drw_uring_cmd_iopoll(struct io_uring_cmd *ucmd, struct io_comp_batch *iob,
			 unsigned int poll_flags);

/**
 * drw_check_amount() - check position and length, cut the length to the largest transfer
 * @b: binding
 * @write: buffer to file
 * @flags: DMABUF_RW_IO_*
 * @pos: file offset
 * @len: sum of the pieces, from drw_pieces_check(); cut to the largest transfer
 * @buf_offs: their buffer offsets, or-ed together
 *
 * Return: 0, -EOVERFLOW, -EDOM.
 */
static __always_inline int drw_check_amount(struct drw_binding *b, bool write, u64 flags, u64 pos,
					    u64 *len, u64 buf_offs)
{
	u32 lba_mask = b->storage.lba_bytes - 1;
	u64 end, most;

	/* Cannot wrap unnoticed: the length has 63 bits. */
	end = pos + *len;
	if ((pos | end) > LLONG_MAX)
		return -EOVERFLOW;
	if ((unlikely((pos | *len) & lba_mask) || unlikely(buf_offs & 3)) &&
	    drw_check_unaligned(b, write, pos, *len, buf_offs))
		return -EDOM;
	/* A cheap test for most lengths; the exact limit follows. */
	if (unlikely(*len > DMABUF_RW_MAX_BYTES / 2)) {
		most = (DMABUF_RW_MAX_BYTES & ~lba_mask) - (pos & lba_mask);
		if (*len > most && (flags & DMABUF_RW_IO_WHOLE))
			return -EOVERFLOW;
		*len = min(*len, most);
	}
	return 0;
}

/**
 * drw_request_check() - check all that does not depend on the state of the file
 * @rq: all but len is set; len is set to the sum of the pieces, cut to the largest transfer
 *
 * drw_storage_check() does the rest. Does not sleep.
 *
 * Return: 0 or a negative errno of the ABI header.
 */
static inline int drw_request_check(struct drw_request *rq)
{
	struct drw_binding *b = rq->b;
	u64 buf_offs = 0;
	u32 i;
	int ret;

	ret = drw_binding_may(b, rq->write, rq->flags);
	if (!ret)
		ret = drw_pieces_check(rq->pc, rq->nr_pc, b->dmabuf->size, &rq->len);
	if (ret)
		return ret;
	for (i = 0; i < rq->nr_pc; i++)
		buf_offs |= rq->pc[i].buf_off;
	return drw_check_amount(b, rq->write, rq->flags, rq->pos, &rq->len, buf_offs);
}

static inline bool drw_transfer_cancelled(const struct drw_transfer *t)
{
	return t->cancelled && READ_ONCE(*t->cancelled);
}

/* Interruption (-EINTR) and unwritten blocks (-ENXIO) do not count as failures. */
static inline bool drw_is_failure(int error)
{
	return error && error != -EINTR && error != -ENXIO;
}

/* May the next attempt succeed after this error? See drw_retry(). */
static inline bool drw_may_pass(int error)
{
	return error == -DRW_ETRANSIENT || error == -ENOLINK || error == -ENODEV ||
	       error == -ETIMEDOUT;
}

/* The result of a transfer: bytes, or a negative errno. */
static inline s64 drw_result(u64 done, int error, u64 flags)
{
	return error && (!done || (flags & DMABUF_RW_IO_WHOLE)) ? (s64)error : (s64)done;
}

/* The span of a request from byte @done on. */
static inline struct drw_span drw_request_span(const struct drw_request *rq, u64 done)
{
	return (struct drw_span) {
		.pos = rq->pos + done,
		.len = rq->len - done,
		.write = rq->write,
		.fua = rq->flags & DMABUF_RW_IO_FUA,
		.whole = rq->flags & DMABUF_RW_IO_WHOLE,
	};
}

/* Release a grip; any context. If @polled keep the path, whose queues pollers may use. */
static inline void drw_grip_end(struct drw_binding *b, bool write, struct drw_path *path,
				bool polled)
{
	drw_map_release(path->map);
	if (!polled)
		drw_path_put(&b->paths, path);
	drw_storage_leave(&b->storage, write);
}

static inline void drw_grip_drop(struct drw_binding *b, bool write, struct drw_path *path)
{
	drw_grip_end(b, write, path, false);
}

/**
 * drw_grip_take() - take all that an attempt holds
 * @b: binding
 * @span: checked
 * @path: set to the path
 *
 * Does not sleep.
 *
 * Return: 0; -EAGAIN if something must be prepared; -EXDEV or -EADDRNOTAVAIL if the binding
 * refuses the memory that the buffer is in now; an error of drw_storage_enter().
 */
static __always_inline int drw_grip_take(struct drw_binding *b, const struct drw_span *span,
					 struct drw_path **path)
{
	struct drw_path *p;
	struct drw_map *map;
	int ret;

	ret = drw_storage_enter(&b->storage, span);
	if (unlikely(ret))
		return ret;
	p = drw_path_get(&b->paths);
	map = p->map;
	if (unlikely(!drw_map_try_acquire(map))) {
		drw_path_put(&b->paths, p);
		drw_storage_leave(&b->storage, span->write);
		return -EAGAIN;
	}
	if (unlikely(map->mc.lacks & b->minds)) {
		struct drw_refusal refusal;

		ret = drw_memclass_judge(&map->mc, b->flags, &refusal);
		drw_grip_drop(b, span->write, p);
		return ret;
	}
	*path = p;
	return 0;
}

#endif /* _DRW_TRANSFER_H */
