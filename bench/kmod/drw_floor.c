// SPDX-License-Identifier: GPL-2.0-only
/*
 * drw_floor.c - the least that a passthrough command by io_uring costs; for benchmarks only,
 * and for root only.
 *
 * The same mechanism as dmabuf_rw, bare: an io_uring command becomes a request without a
 * bio whose data pointer is the buffer's. No range is checked, nothing is counted or kept
 * coherent, no exporter may move its memory and no drive may go. What this costs is what
 * io_uring, the block layer and the NVMe driver cost, so it is the floor under any module
 * that makes a command of each entry and has it completed by interrupt.
 *
 * An open file joins a disk to a buffer once. floor.lock is for that; who finds floor.pages
 * finds all the rest, which is constant until the file is released.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nvme.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../../kernel/compat.h"
#include "drw_floor.h"

/**
 * struct floor - an open file
 * @lock: taken to join
 * @disk_file: reference held
 * @queue: the disk's
 * @dmabuf: reference held
 * @attach: its attachment for the drive
 * @sgt: its mapping
 * @pages: bus address of each page; written last
 * @nsid: the disk's namespace
 * @lba_shift: of its LBA size
 */
struct floor {
	struct mutex lock;
	struct file *disk_file;
	struct request_queue *queue;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	u64 *pages;
	u32 nsid;
	u32 lba_shift;
};

struct floor_pdu {
	u32 bytes;
	int error;
};

static DRW_URING_TASK_CB(floor_task)
{
	unsigned int issue_flags;
	struct io_uring_cmd *ucmd = drw_uring_task_cmd(issue_flags);
	struct floor_pdu *pdu = io_uring_cmd_to_pdu(ucmd, struct floor_pdu);

	drw_uring_cmd_done(ucmd, pdu->error ?: pdu->bytes, issue_flags);
}

static DRW_END_IO(floor_end_io, rq, status)
{
	struct io_uring_cmd *ucmd = rq->end_io_data;
	struct drw_nvme_request *nvme = blk_mq_rq_to_pdu(rq);

	io_uring_cmd_to_pdu(ucmd, struct floor_pdu)->error = nvme->status || status ? -EIO : 0;
	io_uring_cmd_do_in_task_lazy(ucmd, floor_task);
	return RQ_END_IO_FREE;
}

static int floor_uring_cmd(struct io_uring_cmd *ucmd, unsigned int issue_flags)
{
	struct floor *f = ucmd->file->private_data;
	const struct io_uring_sqe *sqe = ucmd->sqe;
	bool write = ucmd->cmd_op == FLOOR_URING_WRITE;
	u64 pos = READ_ONCE(sqe->addr), buf_off = READ_ONCE(sqe->addr3);
	u32 len = READ_ONCE(sqe->len);
	/* As drw_rq_init(). */
	struct nvme_command c __uninitialized;
	struct request *rq;
	u64 *pages;

	if (ucmd->cmd_op != FLOOR_URING_READ && !write)
		return -ENOTTY;
	/* Pairs with the release in floor_ioctl(). */
	pages = smp_load_acquire(&f->pages);
	if (!pages)
		return -ENOTCONN;
	rq = blk_mq_alloc_request(f->queue, write ? REQ_OP_DRV_OUT : REQ_OP_DRV_IN,
				  issue_flags & IO_URING_F_NONBLOCK ? BLK_MQ_REQ_NOWAIT : 0);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	c.rw = (struct nvme_rw_command) {
		.opcode = write ? nvme_cmd_write : nvme_cmd_read,
		.flags = 0,
		.command_id = 0,
		.nsid = cpu_to_le32(f->nsid),
		.cdw2 = 0,
		.cdw3 = 0,
		.metadata = 0,
		.dptr = { .prp1 = cpu_to_le64(pages[buf_off >> PAGE_SHIFT]), .prp2 = 0 },
		.slba = cpu_to_le64(pos >> f->lba_shift),
		.length = cpu_to_le16((len >> f->lba_shift) - 1),
		.control = 0,
		.dsmgmt = 0,
		.reftag = 0,
		.lbat = 0,
		.lbatm = 0,
	};
	nvme_init_request(rq, &c);
	io_uring_cmd_to_pdu(ucmd, struct floor_pdu)->bytes = len;
	rq->end_io = floor_end_io;
	rq->end_io_data = ucmd;
	blk_execute_rq_nowait(rq, false);
	return -EIOCBQUEUED;
}

/* Undo floor_join() as far as it went. */
static void floor_part(struct floor *f)
{
	if (!IS_ERR_OR_NULL(f->sgt))
		dma_buf_unmap_attachment_unlocked(f->attach, f->sgt, DMA_BIDIRECTIONAL);
	if (!IS_ERR_OR_NULL(f->attach))
		dma_buf_detach(f->dmabuf, f->attach);
	if (!IS_ERR_OR_NULL(f->dmabuf))
		dma_buf_put(f->dmabuf);
	if (f->disk_file)
		fput(f->disk_file);
	f->sgt = NULL;
	f->attach = NULL;
	f->dmabuf = NULL;
	f->disk_file = NULL;
}

/* The PCI function of a whole NVMe disk with one path, or NULL. */
static struct device *floor_dma_dev(struct block_device *bdev)
{
	struct device *ctrl = disk_to_dev(bdev->bd_disk)->parent;

	if (bdev_is_partition(bdev) || !ctrl || !ctrl->class ||
	    strcmp(ctrl->class->name, "nvme") || !ctrl->parent || !dev_is_pci(ctrl->parent))
		return NULL;
	return ctrl->parent;
}

/* The bus addresses of all pages, or an ERR_PTR. */
static u64 *floor_pages(const struct floor *f)
{
	u64 nr = f->dmabuf->size >> PAGE_SHIFT, n = 0, *pages;
	struct scatterlist *sg;
	int i;

	pages = kvcalloc(nr, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return ERR_PTR(-ENOMEM);
	for_each_sgtable_dma_sg(f->sgt, sg, i) {
		u64 addr = sg_dma_address(sg), end = addr + sg_dma_len(sg);

		if (!PAGE_ALIGNED(addr) || !PAGE_ALIGNED(end))
			goto invalid;
		for (; addr < end && n < nr; addr += PAGE_SIZE)
			pages[n++] = addr;
	}
	if (n && n == nr && PAGE_ALIGNED(f->dmabuf->size))
		return pages;
invalid:
	kvfree(pages);
	return ERR_PTR(-EINVAL);
}

static u64 *floor_join(struct floor *f, const struct floor_join *join)
{
	struct block_device *bdev;
	struct device *dma_dev;

	f->disk_file = fget(join->disk_fd);
	if (!f->disk_file || !S_ISBLK(file_inode(f->disk_file)->i_mode))
		return ERR_PTR(-EBADF);
	bdev = file_bdev(f->disk_file);
	dma_dev = floor_dma_dev(bdev);
	if (!dma_dev)
		return ERR_PTR(-ENOTBLK);
	if (bdev_logical_block_size(bdev) > PAGE_SIZE || blk_get_integrity(bdev->bd_disk))
		return ERR_PTR(-EINVAL);
	f->queue = bdev_get_queue(bdev);
	f->nsid = join->nsid;
	f->lba_shift = ilog2(bdev_logical_block_size(bdev));
	f->dmabuf = dma_buf_get(join->dmabuf_fd);
	if (IS_ERR(f->dmabuf))
		return ERR_CAST(f->dmabuf);
	f->attach = dma_buf_attach(f->dmabuf, dma_dev);
	if (IS_ERR(f->attach))
		return ERR_CAST(f->attach);
	f->sgt = dma_buf_map_attachment_unlocked(f->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(f->sgt))
		return ERR_CAST(f->sgt);
	return floor_pages(f);
}

static long floor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct floor *f = file->private_data;
	struct floor_join join;
	u64 *pages;

	if (cmd != FLOOR_IOC_JOIN)
		return -ENOTTY;
	if (copy_from_user(&join, (void __user *)arg, sizeof(join)))
		return -EFAULT;

	mutex_lock(&f->lock);
	pages = f->pages ? ERR_PTR(-EISCONN) : floor_join(f, &join);
	if (!IS_ERR(pages))
		/* Pairs with the acquire in floor_uring_cmd(). */
		smp_store_release(&f->pages, pages);
	else if (!f->pages)
		floor_part(f);
	mutex_unlock(&f->lock);
	return PTR_ERR_OR_ZERO(pages);
}

static int floor_open(struct inode *inode, struct file *file)
{
	struct floor *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	mutex_init(&f->lock);
	file->private_data = f;
	return 0;
}

/* No command is left: each holds the file. */
static int floor_release(struct inode *inode, struct file *file)
{
	struct floor *f = file->private_data;

	floor_part(f);
	kvfree(f->pages);
	mutex_destroy(&f->lock);
	kfree(f);
	return 0;
}

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.open = floor_open,
	.release = floor_release,
	.unlocked_ioctl = floor_ioctl,
	.uring_cmd = floor_uring_cmd,
};

static struct miscdevice floor_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "drw_floor",
	.fops = &floor_fops,
	.mode = 0600,
};
module_misc_device(floor_dev);

MODULE_DESCRIPTION("Bare NVMe passthrough for benchmarks");
MODULE_LICENSE("GPL");
DRW_IMPORT_NS_DMA_BUF;
