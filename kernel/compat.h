/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - differences between supported kernels, and declarations of the NVMe driver that
 * no public header has.
 *
 * The code targets the newest kernel. Differences are found by compiling the files in
 * probes/, never by version numbers, because distributions backport; compat_config.h has the
 * results. Each wrapper names the change that it hides and the first kernel that does not
 * need it.
 */
#ifndef _DRW_COMPAT_H
#define _DRW_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/fileattr.h>
#include <linux/io_uring/cmd.h>
#include <linux/module.h>
#include <linux/nvme.h>

#include "compat_config.h"

/* For bus addresses and 64-bit divisions; hardly any 32-bit host has such a drive. */
#ifndef CONFIG_64BIT
#error "dmabuf_rw needs a 64-bit kernel"
#endif

/* For ranges in xarrays; huge pages of any kind select it. */
#ifndef CONFIG_XARRAY_MULTI
#error "dmabuf_rw needs a kernel with huge pages (CONFIG_XARRAY_MULTI)"
#endif

/*
 * Exported by nvme-core (EXPORT_SYMBOL_GPL), declared only in drivers/nvme/host/nvme.h.
 * Copies @cmd into the request's private area and sets REQ_FAILFAST_DRIVER. The prototype is
 * the same in 6.1, 6.12 and 7.3.
 */
void nvme_init_request(struct request *req, struct nvme_command *cmd);

/*
 * The head of struct nvme_request, the private area of an NVMe request, declared only in
 * drivers/nvme/host/nvme.h. The same in 6.12 and 7.3; drw_selftest() proves where
 * command and status are.
 */
struct drw_nvme_request {
	struct nvme_command *cmd;
	union nvme_result result;
	u8 genctr;
	u8 retries;
	u8 flags;
	u16 status;
};

/* MODULE_IMPORT_NS takes a string since 6.13 (cdd30ebb1b9f). */
#ifdef DRW_HAVE_IMPORT_NS_TOKEN
#define DRW_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#else
#define DRW_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#endif

/* dma_buf_attach_ops.move_notify became .invalidate_mappings in 7.0. */
#ifdef DRW_HAVE_INVALIDATE_MAPPINGS
#define drw_invalidate_cb	invalidate_mappings
#else
#define drw_invalidate_cb	move_notify
#endif

/* rq_end_io_fn got the completion batch as a third argument in 7.0. */
#ifdef DRW_HAVE_END_IO_BATCH
#define DRW_END_IO(fn, rq, err) \
	enum rq_end_io_ret fn(struct request *rq, blk_status_t err, \
			      const struct io_comp_batch *unused_iob)
#else
#define DRW_END_IO(fn, rq, err) \
	enum rq_end_io_ret fn(struct request *rq, blk_status_t err)
#endif

/* struct fileattr became struct file_kattr in 6.17. */
struct drw_fileattr {
#ifdef DRW_HAVE_FILE_KATTR
	struct file_kattr attr;
#else
	struct fileattr attr;
#endif
};

/* Not in the first releases of 6.12: 6.12.95 lacks it, 6.12.117 has it. */
#ifndef DRW_HAVE_INODE_LOCK_KILLABLE
static inline int inode_lock_killable(struct inode *inode)
{
	return down_write_killable(&inode->i_rwsem);
}
#endif

/* 6.14 added files that a daemon fills when they are read (fanotify's pre-content events). */
static inline bool drw_file_on_demand(const struct file *file)
{
#ifdef FMODE_FSNOTIFY_HSM
	return FMODE_FSNOTIFY_HSM(file->f_mode);
#else
	return false;
#endif
}

/*
 * Is the inode lock held exclusively? No public function tells exclusive from shared;
 * rwsem_assert_held_write_nolockdep() tests the same bit (include/linux/rwsem.h). PREEMPT_RT
 * has no such bit: there any holder counts, which only costs look-ups.
 */
static inline bool drw_inode_locked_exclusive(struct inode *inode)
{
#ifdef CONFIG_PREEMPT_RT
	return inode_is_locked(inode);
#else
	return atomic_long_read(&inode->i_rwsem.count) & RWSEM_WRITER_LOCKED;
#endif
}

/*
 * Before 6.14 a command's queue entry stays in memory that user space may reuse as soon as the
 * entry has been submitted. For a worker io_uring copies it, but leaves ucmd->sqe as it was; an
 * entry behind a link is not copied. See io_uring_cmd() of 6.12.
 */
#ifdef DRW_HAVE_STABLE_SQE
static inline bool drw_uring_sqe_is_stable(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	return true;
}

static inline void drw_uring_keep_sqe(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
}
#else
/* Is the entry as submitted? It is during its submission, and if it was copied. */
static inline bool drw_uring_sqe_is_stable(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	const struct io_kiocb *req = cmd_to_io_kiocb(ucmd);
	const struct io_ring_ctx *ctx = req->ctx;

	return ucmd->sqe == req->async_data ||
	       ((issue_flags & IO_URING_F_NONBLOCK) &&
		READ_ONCE(ctx->rings->sq.head) != ctx->cached_sq_head);
}

/* Use io_uring's copy of a stable entry from now on: a worker will run the command. */
static inline void drw_uring_keep_sqe(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	void *copy = cmd_to_io_kiocb(ucmd)->async_data;

	if (!(issue_flags & IO_URING_F_NONBLOCK) || ucmd->sqe == copy)
		return;
	memcpy(copy, ucmd->sqe, sizeof(*ucmd->sqe) << !!(issue_flags & IO_URING_F_SQE128));
	ucmd->sqe = copy;
}
#endif

/*
 * Until 6.18 the task-work callback of a uring_cmd takes the command and the issue flags, from
 * 6.19 on a struct io_tw_req. io_uring_cmd_done() lost its res2 argument in 6.18.
 */
#ifdef DRW_HAVE_IO_TW_REQ
#define DRW_URING_TASK_CB(fn) void fn(struct io_tw_req tw_req, io_tw_token_t tw)
#define drw_uring_task_cmd(issue_flags) \
	({ issue_flags = IO_URING_CMD_TASK_WORK_ISSUE_FLAGS; \
	   io_uring_cmd_from_tw(tw_req); })
#else
#define DRW_URING_TASK_CB(fn) void fn(struct io_uring_cmd *tw_cmd, unsigned int tw_flags)
#define drw_uring_task_cmd(issue_flags) ({ issue_flags = tw_flags; tw_cmd; })
#endif

static inline void drw_uring_cmd_done(struct io_uring_cmd *cmd, s32 res,
				      unsigned int issue_flags)
{
#ifdef DRW_HAVE_URING_DONE3
	io_uring_cmd_done(cmd, res, issue_flags);
#else
	io_uring_cmd_done(cmd, res, 0, issue_flags);
#endif
}

#endif /* _DRW_COMPAT_H */
