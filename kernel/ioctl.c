// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl.c - calls on /dev/dmabuf_rw and on a binding.
 *
 * The device node answers queries and creates bindings; everything else happens on a binding's
 * descriptor. A binding holds the module (file_operations.owner). BIND validates everything,
 * then acquires, and publishes the descriptor last.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "binding.h"
#include "compat.h"
#include "ioctl.h"
#include "trace.h"
#include "transfer/batch.h"
#include "uaccess.h"

/* A code without the length of its structure, which may grow. */
#define IOCTL_CODE(cmd) ((cmd) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))

static long ioctl_query(void __user *uarg)
{
	struct dmabuf_rw_query q;
	u32 usize;
	int ret;

	ret = drw_get_struct(&q, uarg, &usize);
	if (ret)
		return ret;
	if (q.resv0 || q.max_batch)
		return -EINVAL;
	q = (struct dmabuf_rw_query) {
		.size = q.size,
		.abi_major = DMABUF_RW_ABI_MAJOR,
		.abi_minor = DMABUF_RW_ABI_MINOR,
		.bind_flags = DMABUF_RW_BIND_FLAGS,
		.io_flags = DMABUF_RW_IO_FLAGS,
		.uring_ops = BIT_ULL(DMABUF_RW_URING_READ) | BIT_ULL(DMABUF_RW_URING_WRITE) |
			     BIT_ULL(DMABUF_RW_URING_READV) | BIT_ULL(DMABUF_RW_URING_WRITEV) |
			     BIT_ULL(DMABUF_RW_URING_READ_MANY) |
			     BIT_ULL(DMABUF_RW_URING_WRITE_MANY),
		.max_pieces = DMABUF_RW_MAX_PIECES,
		.max_batch = DMABUF_RW_MAX_BATCH,
		.max_bytes = DMABUF_RW_MAX_BYTES,
	};
	return drw_put_struct(uarg, &q, usize);
}

static void binding_free(struct drw_binding *b)
{
	drw_totals_remove(b);
	drw_paths_exit(b);
	free_percpu(b->stats);
	if (b->dmabuf)
		dma_buf_put(b->dmabuf);
	drw_storage_exit(&b->storage);
	kfree(b);
}

static int binding_release(struct inode *inode, struct file *file)
{
	trace_drw_unbind(file);
	binding_free(file->private_data);
	return 0;
}

static long binding_io(struct file *file, void __user *uarg)
{
	struct dmabuf_rw_io arg;
	u32 usize;
	int ret;

	ret = drw_get_struct(&arg, uarg, &usize);
	if (ret)
		return ret;
	if (arg.op > DMABUF_RW_OP_WRITE || arg.error || arg.done || arg.resv[0] || arg.resv[1] ||
	    (arg.nr_pieces ? arg.buf_off || arg.len : arg.pieces))
		return -EINVAL;
	trace_drw_submit(file, &arg, arg.op, false, arg.flags, arg.nr_pieces ?: 1, arg.file_off,
			 arg.buf_off, arg.len);
	ret = drw_transfer_sync(file->private_data, &arg);
	trace_drw_complete(file, &arg, arg.op, ret ?: (s64)arg.done);
	return ret ?: drw_put_struct(uarg, &arg, usize);
}

static long binding_batch(struct file *file, void __user *uarg)
{
	struct dmabuf_rw_batch arg;
	u32 usize;
	int ret;

	ret = drw_get_struct(&arg, uarg, &usize);
	if (ret)
		return ret;
	if (arg.op > DMABUF_RW_OP_WRITE || arg.error || arg.done || arg.resv[0] || arg.resv[1])
		return -EINVAL;
	trace_drw_submit(file, &arg, arg.op, false, arg.flags, arg.nr, 0, 0, 0);
	ret = drw_batch_sync(file->private_data, &arg);
	trace_drw_complete(file, &arg, arg.op, ret ?: (s64)arg.done);
	return ret ?: drw_put_struct(uarg, &arg, usize);
}

static long binding_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (IOCTL_CODE(cmd)) {
	case IOCTL_CODE(DMABUF_RW_IOC_IO):
		return drw_restart(binding_io(file, uarg));
	case IOCTL_CODE(DMABUF_RW_IOC_BATCH):
		return drw_restart(binding_batch(file, uarg));
	case IOCTL_CODE(DMABUF_RW_IOC_INFO):
		return drw_restart(drw_info(file->private_data, uarg));
	default:
		return -ENOTTY;
	}
}

static const struct file_operations binding_fops = {
	.owner = THIS_MODULE,
	.release = binding_release,
	.unlocked_ioctl = binding_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = drw_uring_cmd,
	.uring_cmd_iopoll = drw_uring_cmd_iopoll,
	.show_fdinfo = drw_info_show,
};

/* Get the binding's buffer: 0, -EBADF or -EBADFD. */
static int bind_buffer(struct drw_binding *b, int fd, struct drw_refusal *refusal)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);

	if (!IS_ERR(dmabuf)) {
		b->dmabuf = dmabuf;
		return 0;
	}
	if (PTR_ERR(dmabuf) == -EBADF) {
		refusal->reason = DMABUF_RW_REASON_DMABUF_FD;
		return -EBADF;
	}
	refusal->reason = DMABUF_RW_REASON_NOT_DMABUF;
	return -EBADFD;
}

static int bind_rights(struct drw_binding *b, const struct file *file, struct drw_refusal *refusal)
{
	fmode_t mode = file->f_mode, buf_mode = b->dmabuf->file->f_mode;

	b->can[DMABUF_RW_OP_READ] = (mode & FMODE_READ) && (buf_mode & FMODE_WRITE);
	/* No writes where write(2) only appends: a transfer does not make the file longer. */
	b->can[DMABUF_RW_OP_WRITE] = (mode & FMODE_WRITE) && (buf_mode & FMODE_READ) &&
		       !(S_ISREG(file_inode(file)->i_mode) &&
			 (file->f_flags & O_APPEND || IS_APPEND(file_inode(file))));
	if (b->can[DMABUF_RW_OP_READ] || b->can[DMABUF_RW_OP_WRITE])
		return 0;
	refusal->reason = DMABUF_RW_REASON_ACCESS;
	return -EACCES;
}

/* Get the binding's file. */
static int bind_file(struct drw_binding *b, int fd, struct drw_refusal *refusal)
{
	struct file *file = fget(fd);
	int ret;

	if (!file) {
		refusal->reason = DMABUF_RW_REASON_FILE_FD;
		return -EBADF;
	}
	ret = bind_rights(b, file, refusal);
	if (!ret)
		ret = drw_storage_init(&b->storage, file, refusal);
	if (ret)
		fput(file);
	return ret;
}

/* Give the binding a descriptor, which then owns it. */
static int bind_publish(struct drw_binding *b)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_create_getfile("[dmabuf_rw]", &binding_fops, b, O_RDWR, NULL);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	trace_drw_bind(file);
	fd_install(fd, file);
	return fd;
}

/* Join a dma-buf to a file: the binding's descriptor or a negative errno. */
static int bind(const struct dmabuf_rw_bind *arg, struct drw_refusal *refusal)
{
	struct drw_binding *b;
	int ret;

	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return -ENOMEM;
	drw_paths_init(b);
	INIT_LIST_HEAD(&b->totals_node);
	b->flags = arg->flags;
	b->minds = drw_memclass_minds(arg->flags);
	ret = bind_buffer(b, arg->dmabuf_fd, refusal);
	if (ret)
		goto err_free;
	ret = bind_file(b, arg->file_fd, refusal);
	if (ret)
		goto err_free;
	ret = -ENOMEM;
	b->stats = alloc_percpu_gfp(struct drw_stats, GFP_KERNEL_ACCOUNT);
	if (!b->stats)
		goto err_free;
	ret = drw_paths_open(b, refusal);
	if (ret)
		goto err_free;
	/* Perhaps that of a path that could not be opened beside another. */
	*refusal = (struct drw_refusal) { };
	ret = drw_totals_add(b) ?: bind_publish(b);
	if (ret >= 0)
		return ret;
err_free:
	binding_free(b);
	return ret;
}

static long ioctl_bind(void __user *uarg)
{
	struct drw_refusal refusal = { };
	struct dmabuf_rw_bind arg;
	u32 usize;
	int ret;

	ret = drw_get_struct(&arg, uarg, &usize);
	if (ret)
		return ret;
	if (arg.reason || arg.detail || arg.resv0 || (arg.flags & ~DMABUF_RW_BIND_FLAGS) ||
	    memchr_inv(arg.resv, 0, sizeof(arg.resv)))
		return -EINVAL;
	ret = bind(&arg, &refusal);
	if (ret >= 0)
		return ret;
	arg.reason = refusal.reason;
	arg.detail = refusal.detail;
	return drw_put_struct(uarg, &arg, usize) ?: ret;
}

/* Calls on /dev/dmabuf_rw. */
long drw_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (IOCTL_CODE(cmd)) {
	case IOCTL_CODE(DMABUF_RW_IOC_QUERY):
		return ioctl_query(uarg);
	case IOCTL_CODE(DMABUF_RW_IOC_BIND):
		return drw_restart(ioctl_bind(uarg));
	default:
		return -ENOTTY;
	}
}
