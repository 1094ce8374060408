// SPDX-License-Identifier: GPL-2.0-only
/*
 * drw_floor.c - the least that a passthrough command by io_uring can cost; for benchmarks
 * only, and only by root.
 *
 * The same mechanism as dmabuf_rw, bare: an io_uring command becomes a request without a
 * bio whose data pointer is the buffer's. Nothing is checked, counted or kept coherent, no
 * exporter may move its memory and no drive may go. What this costs is what io_uring, the
 * block layer and the NVMe driver cost, so it is the floor under any module that gives
 * commands to the drive in this way.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nvme.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../../kernel/compat.h"
#include "drw_floor.h"

struct floor {
	struct file *disk_file;
	struct request_queue *queue;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	dma_addr_t *pages;
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
	struct nvme_command c __uninitialized;
	struct request *rq;

	if (issue_flags & (IO_URING_F_CANCEL | IO_URING_F_IOPOLL) || !f->pages)
		return -EINVAL;
	rq = blk_mq_alloc_request(f->queue, write ? REQ_OP_DRV_OUT : REQ_OP_DRV_IN,
				  issue_flags & IO_URING_F_NONBLOCK ? BLK_MQ_REQ_NOWAIT : 0);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	c.rw.opcode = write ? nvme_cmd_write : nvme_cmd_read;
	c.rw.flags = 0;
	c.rw.command_id = 0;
	c.rw.nsid = cpu_to_le32(f->nsid);
	c.rw.cdw2 = 0;
	c.rw.cdw3 = 0;
	c.rw.metadata = 0;
	c.rw.dptr.prp1 = cpu_to_le64(f->pages[buf_off >> PAGE_SHIFT]);
	c.rw.dptr.prp2 = 0;
	c.rw.slba = cpu_to_le64(pos >> f->lba_shift);
	c.rw.length = cpu_to_le16((len >> f->lba_shift) - 1);
	c.rw.control = 0;
	c.rw.dsmgmt = 0;
	c.rw.reftag = 0;
	c.rw.lbat = 0;
	c.rw.lbatm = 0;
	nvme_init_request(rq, &c);
	io_uring_cmd_to_pdu(ucmd, struct floor_pdu)->bytes = len;
	rq->end_io = floor_end_io;
	rq->end_io_data = ucmd;
	blk_execute_rq_nowait(rq, false);
	return -EIOCBQUEUED;
}

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
	kvfree(f->pages);
	*f = (struct floor) { };
}

static int floor_join(struct floor *f, const struct floor_join *join)
{
	struct scatterlist *sg;
	struct gendisk *disk;
	dma_addr_t *page;
	int i;

	f->disk_file = fget(join->disk_fd);
	if (!f->disk_file || !S_ISBLK(file_inode(f->disk_file)->i_mode))
		return -EBADF;
	disk = file_bdev(f->disk_file)->bd_disk;
	f->queue = disk->queue;
	f->nsid = join->nsid;
	f->lba_shift = join->lba_shift;
	f->dmabuf = dma_buf_get(join->dmabuf_fd);
	if (IS_ERR(f->dmabuf))
		return PTR_ERR(f->dmabuf);
	/* The disk's parent is the controller, whose parent is the PCI function. */
	f->attach = dma_buf_attach(f->dmabuf, disk_to_dev(disk)->parent->parent);
	if (IS_ERR(f->attach))
		return PTR_ERR(f->attach);
	f->sgt = dma_buf_map_attachment_unlocked(f->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(f->sgt))
		return PTR_ERR(f->sgt);
	page = kvcalloc(f->dmabuf->size >> PAGE_SHIFT, sizeof(*page), GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	f->pages = page;
	for_each_sgtable_dma_sg(f->sgt, sg, i) {
		u64 at;

		for (at = 0; at < sg_dma_len(sg); at += PAGE_SIZE)
			*page++ = sg_dma_address(sg) + at;
	}
	return 0;
}

static long floor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct floor *f = file->private_data;
	struct floor_join join;
	int ret;

	if (cmd != FLOOR_IOC_JOIN || f->pages)
		return -EINVAL;
	if (copy_from_user(&join, (void __user *)arg, sizeof(join)))
		return -EFAULT;
	ret = floor_join(f, &join);
	if (ret)
		floor_part(f);
	return ret;
}

static int floor_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct floor), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static int floor_release(struct inode *inode, struct file *file)
{
	floor_part(file->private_data);
	kfree(file->private_data);
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
