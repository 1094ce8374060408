/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io.h - one transfer between a file and a buffer.
 *
 * Life of a transfer
 *   drw_io_alloc(), fields filled, drw_io_check(): everything that can be refused
 *   drw_io_begin(): the page cache, what a regular file needs, locks against other writes
 *   drw_io_issue(): commands are built and given to the drive, several in flight together
 *   ->done(): from the last completion, in any context
 *   drw_io_run(): in process context, if drw_io_needs_process(): repeats what is worth
 *	repeating, and drops cached pages
 *   drw_io_result(), drw_io_free()
 *
 * Drives move whole LBAs. A transfer that does not begin or end with one is widened by
 * pads: head bytes before and tail bytes after those asked for, which go to, or come from,
 * scratch memory. All offsets within a transfer count them.
 *
 * An attempt moves bytes [base, len) of the transfer. When it ends, base has advanced to
 * the first byte that did not arrive, and error says why. So a repetition never does
 * twice what has been reported done, and the count is right whatever order commands end.
 */
#ifndef _DRW_IO_H
#define _DRW_IO_H

#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/workqueue.h>

#include "binding.h"

struct drw_io;

/**
 * struct drw_cmd - one command of a transfer
 * @io: the transfer
 * @next: in the attempt's chain
 * @rq: request; gone once it has been executed
 * @queue: its queue, for polling
 * @hctx: its hardware context, for polling
 * @off: first byte, counted within the transfer
 * @bytes: how many
 * @list_nr: for drw_list_free()
 * @ended: its completion has run
 * @list: list memory
 */
struct drw_cmd {
	struct drw_io *io;
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

/**
 * struct drw_io - one transfer
 * @b: binding; the caller keeps its file
 * @op: enum dmabuf_rw_op
 * @flags: DMABUF_RW_IO_*
 * @pos: file offset, a whole number of LBAs once drw_io_check() has widened the transfer
 * @len: bytes to move, pads included; cut at the end of the file by drw_io_check()
 * @head: bytes of the first LBA before those asked for
 * @tail: bytes of the last LBA after those asked for
 * @rmw: a write with pads that hold other data
 * @tail_block: a write to the last, partial block of a regular file: the inode stays locked,
 *	because truncate() to a greater length writes that block, too
 * @solo: one of these; it runs to its end before its issuer goes on
 * @writing: drw_writers_start() has been done,
 * @odd: and like this
 * @version: regular file: for drw_blocks_hold()
 * @locked: an attempt has left the inode locked
 * @stop: errno that follows the last byte of a transfer that was cut short
 * @edges: with @rmw, the first and the last LBA as they are on the drive, for an attempt
 * @pc: pieces, as long as the transfer without its pads; &@one, or an array that
 *	drw_io_free() frees
 * @nr_pc: how many
 * @polled: commands go to poll queues; only for transfers that are issued without sleeping
 * @repeated: this is not the first attempt
 * @done: called when an attempt has ended
 * @ucmd: for ->done() of io_uring
 * @wait: for ->done() of those who wait
 * @work: what has to wait for process context
 * @base: see above
 * @path: path of the attempt; with multipath, only to be compared once it has ended
 * @polled_path: kept in use for pollers until the transfer is freed
 * @issued: end of what the attempt has given to the drive
 * @pending: commands in flight, and one for the issuer
 * @lock: protects @fail_off and @error while commands are in flight
 * @fail_off: lowest byte that failed, or U64_MAX
 * @error: its negative errno
 * @deadline: when to give up looking for another path; 0: no path error since the last
 *	progress
 * @nomem: repetitions for want of memory since then
 * @transient: repetitions after errors of the drive since then
 * @spare: memory for one command, or NULL, for an attempt that gets none
 * @chain: commands of the first attempt, @first excluded; pollers walk it, so it only
 *	changes before the transfer is on its way
 * @repeats: commands of later attempts, which nobody polls for
 * @on_map: while @polled commands are in flight
 * @first: the first command needs no allocation
 */
struct drw_io {
	struct drw_binding *b;
	u32 op;
	bool polled;
	bool repeated;
	u64 flags;
	u64 pos;
	u64 len;
	u16 head;
	u16 tail;
	bool rmw;
	bool tail_block;
	bool solo;
	bool writing;
	bool odd;
	bool locked;
	u64 version;
	int stop;
	struct drw_page edges[2];
	struct dmabuf_rw_piece *pc;
	u32 nr_pc;
	struct dmabuf_rw_piece one;

	void (*done)(struct drw_io *io);
	struct io_uring_cmd *ucmd;
	struct completion wait;
	struct delayed_work work;

	u64 base;
	struct drw_path *path;
	struct drw_path *polled_path;
	u64 issued;
	atomic_t pending;
	spinlock_t lock;
	u64 fail_off;
	int error;
	unsigned long deadline;
	unsigned int nomem;
	unsigned int transient;
	struct drw_cmd *spare;
	struct drw_cmd *chain;
	struct drw_cmd *repeats;
	struct drw_polled on_map;
	struct drw_cmd first;
};

struct drw_io *drw_io_alloc(struct drw_binding *b, gfp_t gfp);
void drw_io_free(struct drw_io *io);
int drw_io_set_pieces(struct drw_io *io, u64 uaddr, u64 nr, bool nowait);
int drw_io_check(struct drw_io *io);
int drw_io_begin(struct drw_io *io, bool nowait);
void drw_io_end_write(struct drw_io *io);
int drw_io_issue(struct drw_io *io, bool nowait);
void drw_io_reserve(struct drw_io *io);
bool drw_io_needs_process(struct drw_io *io);
void drw_io_run(struct drw_io *io);
int drw_io_result(struct drw_io *io);
int drw_io_error(const struct drw_io *io);
int drw_io_poll(struct drw_io *io, struct io_comp_batch *iob);

/* pads.c */
int drw_pads_set(struct drw_io *io, struct drw_iter *it);
void drw_pads_free(struct drw_io *io);

/* retry.c */
bool drw_io_again(struct drw_io *io);

/* pagecache.c */
int drw_pagecache_before(struct drw_io *io, bool nowait);
void drw_pagecache_after(struct drw_io *io);

/* uring.c */
int drw_uring_cmd(struct io_uring_cmd *ucmd, unsigned int issue_flags);
int drw_uring_cmd_iopoll(struct io_uring_cmd *ucmd, struct io_comp_batch *iob,
			 unsigned int poll_flags);

int drw_io_init(void);
void drw_io_exit(void);
extern struct workqueue_struct *drw_wq;

#endif /* _DRW_IO_H */
