// SPDX-License-Identifier: GPL-2.0
/*
 * mock_main.c - device node, requests and life of mock dma-buf exporters.
 *
 * A buffer lives as long as its dma-buf. When that goes, everything the importers took
 * must have been given back: a mapping, attachment or pin that is left, a stray write in
 * a gap or in an arena that was left, is a WARN, and a WARN fails the test run.
 *
 * Only for tests: everybody who can open the node can have memory and read a BAR.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock.h"

void mock_buf_release(struct dma_buf *dmabuf)
{
	struct mock_buf *buf = dmabuf->priv;
	u64 bad;

	mock_move_release(buf);
	WARN(buf->mapped || buf->attached || buf->pinned,
	     "dmabuf_rw_mock: released with %u mappings, %u attachments, %u pins\n",
	     buf->mapped, buf->attached, buf->pinned);
	bad = mock_arena_count_bad_gaps(buf->arena);
	WARN(bad, "dmabuf_rw_mock: %llu bytes written between chunks\n", bad);
	mock_arena_put(buf->arena);
	mock_geom_free(&buf->geom);
	if (buf->pdev) {
		pci_disable_device(buf->pdev);
		pci_dev_put(buf->pdev);
	}
	kfree(buf);
}

static int get_pdev(struct mock_buf *buf)
{
	u32 pci = buf->args.pci;
	struct pci_dev *pdev;
	int ret;

	pdev = pci_get_domain_bus_and_slot(pci >> 16, pci >> 8 & 0xff, pci & 0xff);
	if (!pdev)
		return -ENXIO;
	ret = pci_enable_device_mem(pdev);
	if (ret) {
		pci_dev_put(pdev);
		return ret;
	}
	buf->pdev = pdev;
	return 0;
}

static struct mock_buf *buf_new(const struct mock_create *args)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct mock_buf *buf;
	int ret;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->args = *args;
	INIT_LIST_HEAD(&buf->left);
	init_waitqueue_head(&buf->unmapped);
	init_waitqueue_head(&buf->gate);
	INIT_DELAYED_WORK(&buf->fill_work, mock_fill_work);
	mutex_init(&buf->storm_lock);

	ret = mock_geom_init(&buf->geom, args);
	if (ret)
		goto free_buf;
	if (args->kind == MOCK_BAR) {
		ret = get_pdev(buf);
		if (ret)
			goto free_geom;
		buf->arena = mock_arena_new_bar(&buf->geom, buf->pdev, args->bar,
						args->bar_off);
	} else {
		buf->arena = mock_arena_new(&buf->geom);
	}
	if (IS_ERR(buf->arena)) {
		ret = PTR_ERR(buf->arena);
		goto put_pdev;
	}
	mock_arena_poison_gaps(buf->arena);
	mock_arena_fill(buf->arena, 0);

	info.ops = args->flags & MOCK_DYNAMIC ? &mock_dynamic_ops : &mock_static_ops;
	info.size = args->bytes;
	info.flags = args->flags & MOCK_RDONLY ? O_RDONLY :
		     args->flags & MOCK_WRONLY ? O_WRONLY : O_RDWR;
	info.priv = buf;
	buf->dmabuf = dma_buf_export(&info);
	if (IS_ERR(buf->dmabuf)) {
		ret = PTR_ERR(buf->dmabuf);
		goto put_arena;
	}
	return buf;

put_arena:
	mock_arena_put(buf->arena);
put_pdev:
	if (buf->pdev) {
		pci_disable_device(buf->pdev);
		pci_dev_put(buf->pdev);
	}
free_geom:
	mock_geom_free(&buf->geom);
free_buf:
	kfree(buf);
	return ERR_PTR(ret);
}

static long mock_create(const void __user *user)
{
	struct mock_create args;
	struct mock_buf *buf;
	int fd;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.kind > MOCK_BAR ||
	    args.flags & ~(MOCK_DYNAMIC | MOCK_RDONLY | MOCK_WRONLY | MOCK_REVERSE))
		return -EINVAL;
	buf = buf_new(&args);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	fd = dma_buf_fd(buf->dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(buf->dmabuf);
	return fd;
}

/* Returns with the dma-buf's reference taken; dma_buf_put(buf->dmabuf) drops it. */
static struct mock_buf *get_buf(int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	if (dmabuf->ops != &mock_static_ops && dmabuf->ops != &mock_dynamic_ops) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-EMEDIUMTYPE);
	}
	return dmabuf->priv;
}

static int copy_piece(struct mock_buf *buf, u64 off, void *bounce, u64 n, bool to_buf)
{
	int ret = mock_wait_filled_and_lock(buf);

	if (ret)
		return ret;
	if (to_buf)
		mock_arena_write(buf->arena, off, bounce, n);
	else
		mock_arena_read(buf->arena, off, bounce, n);
	dma_resv_unlock(buf->dmabuf->resv);
	return 0;
}

static long mock_copy(struct mock_buf *buf, const struct mock_copy *req, bool to_buf)
{
	u8 __user *user = u64_to_user_ptr(req->user);
	u64 done, n;
	void *bounce;
	int ret = 0;

	if (req->off > buf->geom.bytes || req->len > buf->geom.bytes - req->off)
		return -ERANGE;
	bounce = kvmalloc(SZ_256K, GFP_KERNEL);
	if (!bounce)
		return -ENOMEM;
	for (done = 0; done < req->len && !ret; done += n) {
		n = min_t(u64, req->len - done, SZ_256K);
		if (to_buf && copy_from_user(bounce, user + done, n))
			ret = -EFAULT;
		if (!ret)
			ret = copy_piece(buf, req->off + done, bounce, n, to_buf);
		if (!ret && !to_buf && copy_to_user(user + done, bounce, n))
			ret = -EFAULT;
	}
	kvfree(bounce);
	return ret;
}

static long mock_set_fault(struct mock_buf *buf, const struct mock_fault *req)
{
	if (req->addr > MOCK_ADDR_FIXED || req->length > MOCK_LENGTH_LONG ||
	    req->attach_errno < 0 || req->attach_errno > MAX_ERRNO ||
	    req->attach_ms > 60000 ||
	    req->map_errno < 0 || req->map_errno > MAX_ERRNO ||
	    (req->length && !req->length_by))
		return -EINVAL;
	dma_resv_lock(buf->dmabuf->resv, NULL);
	buf->fault = *req;
	dma_resv_unlock(buf->dmabuf->resv);
	return 0;
}

static long mock_query(struct mock_buf *buf, struct mock_query *q)
{
	struct mock_arena *arena;
	int ret = mock_wait_filled_and_lock(buf);

	if (ret)
		return ret;
	q->attaches = buf->attaches;
	q->maps = buf->maps;
	q->unmaps = buf->unmaps;
	q->pins = buf->pins;
	q->invalidations = buf->invalidations;
	q->moves = buf->moves;
	q->attached = buf->attached;
	q->mapped = buf->mapped;
	q->pinned = buf->pinned;
	q->chunks = buf->geom.nr_chunks;
	q->gap_bad = mock_arena_count_bad_gaps(buf->arena);
	q->left_bad = buf->left_bad;
	q->direction = buf->direction;
	list_for_each_entry(arena, &buf->left, left_node)
		q->left_bad += mock_arena_count_bad(arena);
	dma_resv_unlock(buf->dmabuf->resv);
	return 0;
}

/* All requests about one buffer begin with its descriptor. */
static long buf_request(unsigned int cmd, void __user *user)
{
	union {
		int dmabuf_fd;
		struct mock_copy copy;
		struct mock_fault fault;
		struct mock_invalidate invalidate;
		struct mock_storm storm;
		struct mock_query query;
	} req;
	struct mock_buf *buf;
	long ret;

	if (_IOC_SIZE(cmd) > sizeof(req))
		return -ENOTTY;
	if (copy_from_user(&req, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	buf = get_buf(req.dmabuf_fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	switch (cmd) {
	case MOCK_IOC_PEEK:
	case MOCK_IOC_POKE:
		ret = mock_copy(buf, &req.copy, cmd == MOCK_IOC_POKE);
		break;
	case MOCK_IOC_FAULT:
		ret = mock_set_fault(buf, &req.fault);
		break;
	case MOCK_IOC_INVALIDATE:
		ret = mock_invalidate(buf, &req.invalidate);
		break;
	case MOCK_IOC_STORM:
		ret = mock_storm_set(buf, req.storm.flags, req.storm.period_us);
		break;
	case MOCK_IOC_QUERY:
		ret = mock_query(buf, &req.query);
		break;
	case MOCK_IOC_OPEN_GATE:
		mock_open_gate(buf);
		ret = 0;
		break;
	default:
		ret = -ENOTTY;
		break;
	}
	dma_buf_put(buf->dmabuf);
	if (!ret && _IOC_DIR(cmd) & _IOC_READ && copy_to_user(user, &req, _IOC_SIZE(cmd)))
		ret = -EFAULT;
	return ret;
}

static long mock_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (_IOC_TYPE(cmd) != 'K')
		return -ENOTTY;
	if (cmd == MOCK_IOC_CREATE)
		return mock_create((const void __user *)arg);
	return buf_request(cmd, (void __user *)arg);
}

static const struct file_operations mock_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = mock_ioctl,
};

static struct miscdevice mock_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_rw_mock",
	.fops = &mock_fops,
	.mode = 0600,
};
module_misc_device(mock_misc);

MODULE_DESCRIPTION("dma-buf exporter whose layout and faults a test chooses");
MODULE_LICENSE("GPL");
/* Spelled out because the argument of MODULE_IMPORT_NS() became a string in 6.13. */
MODULE_INFO(import_ns, "DMA_BUF");
