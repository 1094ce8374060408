// SPDX-License-Identifier: GPL-2.0-only
/* info.c - what a binding reports: DMABUF_RW_IOC_INFO and /proc/PID/fdinfo. */
#include <linux/dma-resv.h>
#include <linux/seq_file.h>

#include "binding.h"
#include "uaccess.h"

/* Add a binding's counters to @sum. */
void drw_binding_sum(const struct drw_binding *b, struct drw_stats *sum)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct drw_stats *s = per_cpu_ptr(b->stats, cpu);

		sum->reads += READ_ONCE(s->reads);
		sum->writes += READ_ONCE(s->writes);
		sum->read_bytes += READ_ONCE(s->read_bytes);
		sum->write_bytes += READ_ONCE(s->write_bytes);
		sum->errors += READ_ONCE(s->errors);
	}
}

static void info_stats(struct drw_binding *b, struct dmabuf_rw_info *info)
{
	struct drw_stats sum = { };

	drw_binding_sum(b, &sum);
	info->reads = sum.reads;
	info->writes = sum.writes;
	info->read_bytes = sum.read_bytes;
	info->write_bytes = sum.write_bytes;
	info->errors = sum.errors;
	info->failovers = atomic64_read(&b->failovers);
}

/* The current path: its limits, and the memory that the buffer is in. 0 or -EINTR. */
static int info_current(struct drw_binding *b, struct dmabuf_rw_info *info)
{
	struct drw_path *cur = rcu_dereference_protected(b->paths.cur,
							 lockdep_is_held(&b->paths.lock));
	const struct drw_memclass *mc = &cur->map->mc;

	info->flags |= (cur->lim.sgl != DRW_SGL_NONE ? DMABUF_RW_INFO_SGL : 0) |
		       (cur->has_poll ? DMABUF_RW_INFO_POLL : 0) |
		       (READ_ONCE(cur->map->revoked) ? DMABUF_RW_INFO_REVOKED : 0);
	info->read_align = drw_read_align(cur->lim.sgl, b->storage.lba_bytes);
	info->buf_align = drw_buf_align(cur->lim.sgl);
	info->max_cmd_bytes = cur->lim.max_bytes;
	info->nvme_pci = cur->ctrl->pci.id;
	info->nvme_domain = cur->ctrl->pci.domain;

	/* While the buffer is not mapped, report its last mapping. */
	if (dma_resv_lock_interruptible(b->dmabuf->resv, NULL))
		return -EINTR;
	info->flags |= cur->map->sgt ? DMABUF_RW_INFO_MAPPED : 0;
	info->mem_class = mc->class;
	info->bar = mc->bar;
	info->bar_pci = mc->bar_pci.id;
	info->bar_domain = mc->bar_pci.domain;
	info->iommu = mc->iommu;
	dma_resv_unlock(b->dmabuf->resv);
	return 0;
}

/*
 * All that INFO and fdinfo report. A drain may hold the locks for as long as the drive takes,
 * so a signal ends the wait. 0 or -EINTR.
 */
static int info_fill(struct drw_binding *b, struct dmabuf_rw_info *info)
{
	struct drw_path *path;
	int ret;

	info->flags = (b->can[DMABUF_RW_OP_READ] ? DMABUF_RW_INFO_CAN_READ : 0) |
		      (b->can[DMABUF_RW_OP_WRITE] ? DMABUF_RW_INFO_CAN_WRITE : 0);
	info->buf_bytes = b->dmabuf->size;
	info->metadata_bytes = sizeof(*b) + num_possible_cpus() * sizeof(struct drw_stats);
	drw_storage_describe(&b->storage, info);
	info_stats(b, info);

	if (mutex_lock_interruptible(&b->paths.lock))
		return -EINTR;
	ret = info_current(b, info);
	list_for_each_entry(path, &b->paths.live, node) {
		size_t bytes;
		u32 extents;

		if (ret)
			break;
		ret = drw_map_metadata(path->map, &bytes, &extents);
		if (ret)
			break;
		info->paths += !drw_path_dead(path);
		info->metadata_bytes += sizeof(*path) + sizeof(*path->ctrl) + bytes;
		info->extents += extents;
		info->remaps += READ_ONCE(path->map->remaps);
	}
	mutex_unlock(&b->paths.lock);
	return ret;
}

/* DMABUF_RW_IOC_INFO. */
long drw_info(struct drw_binding *b, void __user *uarg)
{
	struct dmabuf_rw_info info;
	u32 usize;
	int ret;

	ret = drw_get_struct(&info, uarg, &usize);
	if (ret)
		return ret;
	if (info.resv0 || info.resv1 || memchr_inv(info.resv, 0, sizeof(info.resv)))
		return -EINVAL;
	info = (struct dmabuf_rw_info) { .size = info.size };
	ret = info_fill(b, &info);
	return ret ?: drw_put_struct(uarg, &info, usize);
}

static void info_show_pci(struct seq_file *m, const char *name, u32 domain, u32 id)
{
	seq_printf(m, "%s:\t%04x:%02x:%02x.%u\n", name, domain, id >> 8 & 0xff,
		   id >> 3 & 0x1f, id & 7);
}

static void info_show_file(struct seq_file *m, const struct drw_storage *s,
			   const struct dmabuf_rw_info *info)
{
	if (!(info->flags & DMABUF_RW_INFO_REGULAR)) {
		seq_printf(m, "file:\t%pg\n", s->bdev);
		return;
	}
	seq_puts(m, "file:\t");
	seq_file_path(m, s->file, " \t\n\\");
	seq_printf(m, "\ndisk:\t%pg\n", s->bdev);
	seq_printf(m, "file-extents:\t%llu\n", info->file_extents);
}

/* The lines of /proc/PID/fdinfo/FD. */
void drw_info_show(struct seq_file *m, struct file *file)
{
	static const char * const class_names[] = { "unknown", "ram", "bar", "mixed" };
	struct drw_binding *b = file->private_data;
	struct dmabuf_rw_info info = { };

	if (info_fill(b, &info))
		return;
	seq_printf(m, "buffer-bytes:\t%llu\n", info.buf_bytes);
	seq_printf(m, "class:\t%s\n", class_names[info.mem_class]);
	if (info.mem_class == DMABUF_RW_CLASS_BAR) {
		seq_printf(m, "bar:\t%u\n", info.bar);
		info_show_pci(m, "bar-device", info.bar_domain, info.bar_pci);
	}
	info_show_file(m, &b->storage, &info);
	info_show_pci(m, "drive", info.nvme_domain, info.nvme_pci);
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
