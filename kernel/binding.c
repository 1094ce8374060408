// SPDX-License-Identifier: GPL-2.0-only
/*
 * binding.c - a file descriptor that joins one dma-buf to one file.
 *
 * See binding.h. Order in drw_bind(): validate everything, then acquire, publish the
 * descriptor last. Lock order: path_lock > drw_controller.lock > reservation lock.
 */
#include <linux/anon_inodes.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include <uapi/dmabuf_rw.h>
#include "binding.h"
#include "compat.h"
#include "transfer/io.h"
#include "nvme/request.h"
#include "uaccess.h"

/* As the NVMe driver's parameter of that name and its default (drivers/nvme/host/pci.c). */
static unsigned int sgl_threshold = SZ_32K;
module_param(sgl_threshold, uint, 0644);
MODULE_PARM_DESC(sgl_threshold,
		 "use SGLs when the average segment has at least this many bytes, 0: only where PRPs cannot do it (default: 32768)");

/* Open a path that has been found. */
static struct drw_path *drw_path_open(struct drw_binding *b, const struct drw_way *way,
				      struct drw_refusal *refusal)
{
	struct gendisk *disk = way->disk;
	struct drw_path *path;
	u64 max_bytes;
	int ret;

	*refusal = (struct drw_refusal) { };
	path = kzalloc(sizeof(*path), GFP_KERNEL);
	if (!path)
		return ERR_PTR(-ENOMEM);
	get_device(disk_to_dev(disk));
	path->disk = disk;
	path->has_poll = way->has_poll;

	path->ctrl = drw_controller_get(way->dma_dev);
	if (IS_ERR(path->ctrl)) {
		ret = PTR_ERR(path->ctrl);
		goto err_path;
	}
	ret = drw_nvme_probe(&b->target, disk, path->ctrl, &refusal->reason);
	if (ret)
		goto err_dd;
	path->map = drw_map_get(path->ctrl, b->dmabuf, refusal);
	if (IS_ERR(path->map)) {
		ret = PTR_ERR(path->map);
		goto err_dd;
	}

	max_bytes = min_t(u64, (u64)queue_max_hw_sectors(disk->queue) << SECTOR_SHIFT,
			  DRW_MAX_CMD_BYTES);
	path->lim = (struct drw_limits) {
		.max_bytes = max_t(u64, round_down(max_bytes, b->target.lba_bytes),
				   b->target.lba_bytes),
		.lba_bytes = b->target.lba_bytes,
		.max_segs = clamp_t(u32, queue_max_segments(disk->queue), 1, DRW_SGLS_PER_PAGE),
		.sgl_threshold = READ_ONCE(sgl_threshold),
		/* Constant once the probe has succeeded. */
		.sgl = READ_ONCE(path->ctrl->sgl),
	};
	return path;

err_dd:
	drw_controller_put(path->ctrl);
err_path:
	put_device(disk_to_dev(disk));
	kfree(path);
	return ERR_PTR(ret);
}

static void drw_path_close(struct drw_path *path)
{
	drw_map_put(path->map);
	drw_controller_put(path->ctrl);
	put_device(disk_to_dev(path->disk));
	kfree(path);
}

static bool drw_path_dead(struct drw_path *path)
{
	return READ_ONCE(path->map->severed) || !drw_disk_alive(path->disk);
}

/* A live path of the binding that leads through @disk? */
static bool drw_binding_has(struct drw_binding *b, struct gendisk *disk)
{
	struct drw_path *path;

	list_for_each_entry(path, &b->paths, node)
		if (path->disk == disk && !drw_path_dead(path))
			return true;
	return false;
}

/*
 * Look for paths and open those that are new. @refusal is that of the last one that could
 * not be opened. Returns its errno if the binding has no path at all.
 */
static int drw_binding_scan(struct drw_binding *b, struct drw_refusal *refusal)
{
	struct drw_way ways[DRW_MAX_PATHS];
	int nr, i, ret = -ENODEV;

	lockdep_assert_held(&b->path_lock);

	*refusal = (struct drw_refusal) { .reason = DMABUF_RW_REASON_NO_PATH };
	nr = drw_target_find_paths(&b->target, ways, DRW_MAX_PATHS);
	for (i = 0; i < nr; i++) {
		struct drw_path *path;

		if (drw_binding_has(b, ways[i].disk)) {
			drw_way_put(&ways[i]);
			continue;
		}
		path = drw_path_open(b, &ways[i], refusal);
		drw_way_put(&ways[i]);
		if (IS_ERR(path)) {
			ret = PTR_ERR(path);
			continue;
		}
		list_add_tail(&path->node, &b->paths);
		if (!rcu_access_pointer(b->cur))
			rcu_assign_pointer(b->cur, path);
	}
	return list_empty(&b->paths) ? ret : 0;
}

/* Free what no transfer can or does use any more. */
static void drw_binding_reap(struct drw_binding *b)
{
	struct drw_path *cur = rcu_dereference_protected(b->cur,
							 lockdep_is_held(&b->path_lock));
	struct drw_path *path, *next;
	bool retired = false;

	list_for_each_entry_safe(path, next, &b->paths, node) {
		if (path == cur || !drw_path_dead(path))
			continue;
		list_move(&path->node, &b->retired);
		retired = true;
	}
	/* Whoever took one of them as the current path has counted itself after this. */
	if (retired)
		synchronize_rcu();
	list_for_each_entry_safe(path, next, &b->retired, node) {
		if (atomic_read(&path->users))
			continue;
		list_del(&path->node);
		drw_path_close(path);
	}
}

bool drw_binding_has_poll(struct drw_binding *b)
{
	bool ret;

	rcu_read_lock();
	ret = rcu_dereference(b->cur)->has_poll;
	rcu_read_unlock();
	return ret;
}

/**
 * drw_binding_next_path() - a path has failed: choose another
 * @b: binding to a multipath head
 * @failed: the path; only compared, since it may be gone by now
 *
 * Looks for paths that have come since, then takes the first that is alive and has not
 * failed within the last second. May sleep.
 *
 * Return: true if there is one.
 */
bool drw_binding_next_path(struct drw_binding *b, const struct drw_path *failed)
{
	struct drw_path *path;
	struct drw_refusal refusal;
	bool found = false;

	mutex_lock(&b->path_lock);
	drw_binding_scan(b, &refusal);
	list_for_each_entry(path, &b->paths, node) {
		/* Never 0, which means that it has not failed. */
		if (path == failed)
			path->failed_at = jiffies | 1;
		if (found || drw_path_dead(path) ||
		    (path->failed_at && time_before(jiffies, path->failed_at + HZ)))
			continue;
		rcu_assign_pointer(b->cur, path);
		found = true;
	}
	if (found)
		drw_binding_reap(b);
	mutex_unlock(&b->path_lock);
	return found;
}

static void drw_binding_free(struct drw_binding *b)
{
	struct drw_path *path, *next;

	/* Reached from the last close only: no transfer is left. */
	list_splice(&b->retired, &b->paths);
	list_for_each_entry_safe(path, next, &b->paths, node)
		drw_path_close(path);
	free_percpu(b->stats);
	if (b->dmabuf)
		dma_buf_put(b->dmabuf);
	drw_target_exit(&b->target);
	mutex_destroy(&b->path_lock);
	kfree(b);
}

static struct drw_stats drw_binding_stats(struct drw_binding *b)
{
	struct drw_stats sum = { };
	int cpu;

	for_each_possible_cpu(cpu) {
		struct drw_stats *s = per_cpu_ptr(b->stats, cpu);

		sum.reads += READ_ONCE(s->reads);
		sum.writes += READ_ONCE(s->writes);
		sum.read_bytes += READ_ONCE(s->read_bytes);
		sum.write_bytes += READ_ONCE(s->write_bytes);
		sum.errors += READ_ONCE(s->errors);
	}
	return sum;
}

/*
 * Everything that INFO and fdinfo tell. A drain may hold the locks for as long as the drive
 * takes, so a signal ends the wait: 0 or -EINTR.
 */
static int drw_binding_describe(struct drw_binding *b, struct dmabuf_rw_info *info)
{
	struct drw_stats stats = drw_binding_stats(b);
	struct drw_path *cur, *path;
	struct drw_memclass *mc;
	bool mapped;
	int ret;

	if (mutex_lock_interruptible(&b->path_lock))
		return -EINTR;
	cur = rcu_dereference_protected(b->cur, lockdep_is_held(&b->path_lock));
	mc = &cur->map->mc;

	info->flags = (b->can_read ? DMABUF_RW_INFO_CAN_READ : 0) |
		      (b->can_write ? DMABUF_RW_INFO_CAN_WRITE : 0) |
		      (cur->lim.sgl != DRW_SGL_NONE ? DMABUF_RW_INFO_SGL : 0) |
		      (cur->has_poll ? DMABUF_RW_INFO_POLL : 0) |
		      (b->target.multipath ? DMABUF_RW_INFO_MULTIPATH : 0) |
		      (bdev_write_cache(b->target.bdev) ? DMABUF_RW_INFO_WRITE_CACHE : 0) |
		      (drw_inode_regular(b->target.di) ? DMABUF_RW_INFO_REGULAR : 0) |
		      (READ_ONCE(cur->map->revoked) ? DMABUF_RW_INFO_REVOKED : 0);
	info->buf_bytes = b->dmabuf->size;
	info->file_bytes = drw_target_bytes(&b->target);
	info->lba_bytes = b->target.lba_bytes;
	info->file_align = drw_binding_file_align(b);
	info->file_extents = b->target.di->x.nr;
	info->buf_align = drw_binding_buf_align(b);
	info->max_cmd_bytes = cur->lim.max_bytes;
	info->nvme_pci = drw_pci_id(cur->ctrl->dev).id;
	info->nvme_domain = drw_pci_id(cur->ctrl->dev).domain;
	info->metadata_bytes = sizeof(*b) + num_possible_cpus() * sizeof(struct drw_stats) +
			       drw_inode_metadata(b->target.di);

	list_for_each_entry(path, &b->paths, node) {
		struct drw_map *map = path->map;
		size_t bytes;
		u32 extents;

		ret = drw_map_metadata(map, &bytes, &extents);
		if (ret)
			goto unlock;
		info->paths += !drw_path_dead(path);
		info->metadata_bytes += sizeof(struct drw_path) + sizeof(struct drw_controller) +
					bytes;
		info->extents += extents;
		info->remaps += READ_ONCE(map->remaps);
	}

	/* What was true when the buffer was mapped last is still of interest when it is not. */
	ret = dma_resv_lock_interruptible(b->dmabuf->resv, NULL);
	if (ret)
		goto unlock;
	mapped = cur->map->sgt;
	info->mem_class = mc->class;
	info->bar = mc->bar;
	info->bar_pci = mc->bar_pci.id;
	info->bar_domain = mc->bar_pci.domain;
	info->iommu = mc->iommu;
	dma_resv_unlock(b->dmabuf->resv);
	if (mapped)
		info->flags |= DMABUF_RW_INFO_MAPPED;

	info->reads = stats.reads;
	info->writes = stats.writes;
	info->read_bytes = stats.read_bytes;
	info->write_bytes = stats.write_bytes;
	info->errors = stats.errors;
	info->failovers = atomic64_read(&b->failovers);
unlock:
	mutex_unlock(&b->path_lock);
	return ret;
}

static long drw_binding_info(struct drw_binding *b, void __user *uarg)
{
	struct dmabuf_rw_info info;
	u32 usize;
	int ret;

	ret = drw_get_struct(&info, uarg, &usize);
	if (ret)
		return ret;
	if (info.resv0 || memchr_inv(info.resv, 0, sizeof(info.resv)))
		return -EINVAL;
	info = (struct dmabuf_rw_info) { .size = info.size };
	ret = drw_binding_describe(b, &info);
	return ret ?: drw_put_struct(uarg, &info, usize);
}

static long drw_binding_io(struct drw_binding *b, void __user *uarg)
{
	struct dmabuf_rw_io arg;
	struct drw_io *io;
	u32 usize;
	int ret;

	ret = drw_get_struct(&arg, uarg, &usize);
	if (ret)
		return ret;
	if (arg.op > DMABUF_RW_OP_WRITE || arg.error || arg.done ||
	    memchr_inv(arg.resv, 0, sizeof(arg.resv)) ||
	    (arg.nr_pieces ? arg.buf_off || arg.len : arg.pieces))
		return -EINVAL;

	io = drw_io_alloc(b, GFP_KERNEL);
	if (!io)
		return -ENOMEM;
	io->op = arg.op;
	io->flags = arg.flags;
	io->pos = arg.file_off;
	if (arg.nr_pieces) {
		ret = drw_io_set_pieces(io, arg.pieces, arg.nr_pieces, false);
		if (ret)
			goto out;
	} else {
		io->one = (struct dmabuf_rw_piece) { .buf_off = arg.buf_off, .len = arg.len };
	}

	ret = drw_io_check(io);
	if (ret)
		goto out;
	if (io->len) {
		ret = drw_io_begin(io, false);
		if (ret)
			goto out;
		drw_io_run(io);
		ret = drw_io_result(io);
		if (ret < 0)
			goto out;
		arg.done = ret;
		arg.error = -drw_io_error(io);
	}
	ret = drw_put_struct(uarg, &arg, usize);
out:
	drw_io_free(io);
	return ret;
}

static long drw_binding_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct drw_binding *b = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case DMABUF_RW_IOC_IO:
		return drw_restart(drw_binding_io(b, uarg));
	case DMABUF_RW_IOC_INFO:
		return drw_restart(drw_binding_info(b, uarg));
	default:
		return -ENOTTY;
	}
}

static int drw_binding_release(struct inode *inode, struct file *file)
{
	drw_binding_free(file->private_data);
	return 0;
}

static void drw_show_pci(struct seq_file *m, const char *name, u32 domain, u32 id)
{
	seq_printf(m, "%s:\t%04x:%02x:%02x.%u\n", name, domain, id >> 8 & 0xff,
		   id >> 3 & 0x1f, id & 7);
}

static void drw_binding_show_fdinfo(struct seq_file *m, struct file *file)
{
	static const char * const class_names[] = { "unknown", "ram", "bar", "mixed" };
	struct drw_binding *b = file->private_data;
	struct dmabuf_rw_info info = { };

	if (drw_binding_describe(b, &info))
		return;
	seq_printf(m, "buffer-bytes:\t%llu\n", info.buf_bytes);
	seq_printf(m, "class:\t%s\n", class_names[info.mem_class]);
	if (info.mem_class == DMABUF_RW_CLASS_BAR) {
		seq_printf(m, "bar:\t%u\n", info.bar);
		drw_show_pci(m, "bar-device", info.bar_domain, info.bar_pci);
	}
	if (info.flags & DMABUF_RW_INFO_REGULAR) {
		seq_puts(m, "file:\t");
		seq_file_path(m, b->target.file, " \t\n\\");
		seq_printf(m, "\ndisk:\t%pg\n", b->target.bdev);
		seq_printf(m, "file-extents:\t%llu\n", info.file_extents);
	} else {
		seq_printf(m, "file:\t%pg\n", b->target.bdev);
	}
	drw_show_pci(m, "drive", info.nvme_domain, info.nvme_pci);
	seq_printf(m, "paths:\t%u\n", info.paths);
	seq_printf(m, "extents:\t%llu\n", info.extents);
	seq_printf(m, "metadata-bytes:\t%llu\n", info.metadata_bytes);
	seq_printf(m, "reads:\t%llu\n", info.reads);
	seq_printf(m, "read-bytes:\t%llu\n", info.read_bytes);
	seq_printf(m, "writes:\t%llu\n", info.writes);
	seq_printf(m, "write-bytes:\t%llu\n", info.write_bytes);
	seq_printf(m, "errors:\t%llu\n", info.errors);
	seq_printf(m, "remaps:\t%llu\n", info.remaps);
	seq_printf(m, "failovers:\t%llu\n", info.failovers);
	seq_printf(m, "state:\t%s\n",
		   info.flags & DMABUF_RW_INFO_REVOKED ? "revoked" :
		   info.flags & DMABUF_RW_INFO_MAPPED ? "mapped" : "unmapped");
}

static const struct file_operations drw_binding_fops = {
	.owner = THIS_MODULE,
	.release = drw_binding_release,
	.unlocked_ioctl = drw_binding_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = drw_uring_cmd,
	.uring_cmd_iopoll = drw_uring_cmd_iopoll,
	.show_fdinfo = drw_binding_show_fdinfo,
};

static int drw_binding_set_rights(struct drw_binding *b, const struct file *file, u32 *reason)
{
	fmode_t mode = file->f_mode;

	b->can_read = (mode & FMODE_READ) && (b->dmabuf->file->f_mode & FMODE_WRITE);
	/* Where write(2) could only append, a transfer cannot write: the file does not grow. */
	b->can_write = (mode & FMODE_WRITE) &&
		       !(S_ISREG(file_inode(file)->i_mode) &&
			 (file->f_flags & O_APPEND || IS_APPEND(file_inode(file))));
	if (b->can_read || b->can_write)
		return 0;
	*reason = DMABUF_RW_REASON_ACCESS;
	return -EACCES;
}

/**
 * drw_bind() - join a dma-buf to a file
 * @arg: the request, checked for its form; reason and detail are set on failure
 *
 * Return: the binding's descriptor, or a negative errno of the ABI header.
 */
int drw_bind(struct dmabuf_rw_bind *arg)
{
	struct drw_refusal refusal = { };
	struct drw_binding *b;
	struct file *file;
	int fd, ret;

	b = kzalloc(sizeof(*b), GFP_KERNEL);
	if (!b)
		return -ENOMEM;
	mutex_init(&b->path_lock);
	INIT_LIST_HEAD(&b->paths);
	INIT_LIST_HEAD(&b->retired);
	b->flags = arg->flags;

	b->dmabuf = dma_buf_get(arg->dmabuf_fd);
	if (IS_ERR(b->dmabuf)) {
		ret = PTR_ERR(b->dmabuf);
		b->dmabuf = NULL;
		refusal.reason = ret == -EBADF ? DMABUF_RW_REASON_DMABUF_FD :
					     DMABUF_RW_REASON_NOT_DMABUF;
		ret = ret == -EBADF ? -EBADF : -EBADFD;
		goto err_free;
	}

	file = fget(arg->file_fd);
	if (!file) {
		refusal.reason = DMABUF_RW_REASON_FILE_FD;
		ret = -EBADF;
		goto err_free;
	}
	/* A regular file is pinned for those only who can use it. */
	ret = drw_binding_set_rights(b, file, &refusal.reason);
	if (!ret)
		ret = drw_target_init(&b->target, file, b->flags & DMABUF_RW_BIND_SPARSE,
				      &refusal.reason);
	if (ret) {
		fput(file);
		goto err_free;
	}

	ret = -ENOMEM;
	b->stats = alloc_percpu(struct drw_stats);
	if (!b->stats)
		goto err_free;
	mutex_lock(&b->path_lock);
	ret = drw_binding_scan(b, &refusal);
	mutex_unlock(&b->path_lock);
	if (ret)
		goto err_free;
	/* Nobody else knows of the binding yet, so its current path stays. */
	if ((b->flags & DMABUF_RW_BIND_DEVICE_MEMORY) &&
	    !READ_ONCE(rcu_dereference_protected(b->cur, true)->map->mc.device_memory)) {
		refusal.reason = DMABUF_RW_REASON_NOT_DEVICE_MEMORY;
		ret = -EXDEV;
		goto err_free;
	}

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto err_free;
	}
	file = anon_inode_getfile("[dmabuf_rw]", &drw_binding_fops, b, O_RDWR);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		put_unused_fd(fd);
		goto err_free;
	}
	/* The file owns the binding from here on. */
	fd_install(fd, file);
	return fd;

err_free:
	drw_binding_free(b);
	arg->reason = refusal.reason;
	arg->detail = refusal.detail;
	return ret;
}
