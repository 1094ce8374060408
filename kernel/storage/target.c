// SPDX-License-Identifier: GPL-2.0-only
/*
 * target.c - the storage side of a binding: from an open file to NVMe request queues.
 *
 * See target.h. Nothing public says "this is an NVMe namespace"; what is used here is
 * the driver's place in the device tree, which is visible in sysfs and has kept its shape
 * since native multipath came (4.15):
 *
 *   PCI function > nvme class device > disk			without multipath
 *   nvme-subsystem class device > disk (head)			with it, and behind the head
 *   PCI function > nvme class device > hidden disk nvme<S>c<C>n<N>, one per path,
 *						for the head nvme<S>n<N>
 */
#include <linux/blk-integrity.h>
#include <linux/major.h>
#include <linux/nvme_ioctl.h>
#include <linux/pci.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "storage/target.h"

/*
 * Without integrity support in the block layer, namespaces with protection information
 * could not be told from others, and commands to them would let the drive use a metadata
 * pointer that nobody set.
 */
#ifndef CONFIG_BLK_DEV_INTEGRITY
#error "dmabuf_rw needs a kernel with CONFIG_BLK_DEV_INTEGRITY"
#endif

static bool has_class(struct device *dev, const char *name)
{
	return dev && dev->class && !strcmp(dev->class->name, name);
}

/*
 * The PCI function that does DMA for @disk, or NULL if it is not an NVMe-PCI disk. The
 * caller keeps the controller: by an open block device, or by walking the device tree.
 */
static struct device *disk_dma_dev(struct gendisk *disk)
{
	struct device *ctrl = disk_to_dev(disk)->parent;

	if (!has_class(ctrl, "nvme") || !ctrl->parent || !dev_is_pci(ctrl->parent))
		return NULL;
	return ctrl->parent;
}

/* Take references; the caller keeps the controller. */
static bool way_get(struct drw_way *way, struct gendisk *disk)
{
	struct blk_mq_tag_set *set = disk->queue->tag_set;
	struct device *dma_dev = disk_dma_dev(disk);

	if (!dma_dev || !set)
		return false;
	get_device(disk_to_dev(disk));
	way->disk = disk;
	way->dma_dev = get_device(dma_dev);
	way->has_poll = set->nr_maps > HCTX_TYPE_POLL && set->map[HCTX_TYPE_POLL].nr_queues;
	return true;
}

/*
 * Bytes of metadata that each LBA has, or a negative errno. The block layer does not know:
 * it has an integrity profile only for metadata in a buffer of its own. Of interleaved
 * protection information the driver has the drive strip it, command by command, and nobody
 * else sees it; yet a command that does not say so moves more bytes than its LBAs have. The
 * driver shows the number in sysfs since 6.8 (drivers/nvme/host/sysfs.c), and there alone.
 */
static int metadata_bytes(struct gendisk *disk, gfp_t gfp)
{
	const struct attribute_group **group = disk_to_dev(disk)->groups;
	struct device *dev = disk_to_dev(disk);
	struct attribute **attr;
	unsigned int bytes;
	char *text;
	int ret;

	for (; group && *group; group++) {
		for (attr = (*group)->attrs; attr && *attr; attr++) {
			struct device_attribute *da = container_of(*attr, typeof(*da), attr);

			if (strcmp((*attr)->name, "metadata_bytes"))
				continue;
			/* sysfs_emit() insists on a page. */
			text = (char *)__get_free_page(gfp);
			if (!text)
				return -ENOMEM;
			ret = da->show(dev, da, text);
			if (ret >= 0)
				ret = kstrtouint(text, 10, &bytes);
			free_page((unsigned long)text);
			return ret ?: min_t(unsigned int, bytes, INT_MAX);
		}
	}
	return -EPROTO;
}

/* drw_target_check_format() once a tick. */
int drw_target_ask_format(struct drw_target *t, struct gendisk *disk)
{
	unsigned long now = jiffies;
	int bytes = metadata_bytes(disk, GFP_NOWAIT | __GFP_NOWARN);

	if (bytes)
		return bytes == -ENOMEM ? -ENOMEM : -EMEDIUMTYPE;
	WRITE_ONCE(t->format_at, now);
	return 0;
}

static int check_format(struct block_device *bdev, u32 *reason)
{
	u32 lba = bdev_logical_block_size(bdev);
	int metadata = metadata_bytes(bdev->bd_disk, GFP_KERNEL);

	if (metadata < 0) {
		*reason = metadata == -ENOMEM ? DMABUF_RW_REASON_NONE : DMABUF_RW_REASON_DRIVER;
		return metadata == -ENOMEM ? -ENOMEM : -EPROTO;
	}
	/*
	 * No capacity is what the driver gives to a namespace that it cannot serve. Not even
	 * the probe may read an LBA that is longer than it looks.
	 */
	if (metadata || blk_get_integrity(bdev->bd_disk) || !get_capacity(bdev->bd_disk)) {
		*reason = DMABUF_RW_REASON_METADATA;
		return -EMEDIUMTYPE;
	}
	if (bdev_is_zoned(bdev)) {
		*reason = DMABUF_RW_REASON_ZONED;
		return -EMEDIUMTYPE;
	}
	if (!is_power_of_2(lba) || lba < 512 || lba > DRW_PAGE_BYTES ||
	    ((bdev->bd_start_sect | bdev_nr_sectors(bdev)) & ((lba >> SECTOR_SHIFT) - 1))) {
		*reason = DMABUF_RW_REASON_LBA_SIZE;
		return -EMEDIUMTYPE;
	}
	return 0;
}

/**
 * drw_target_init() - check a file and find its namespace
 * @t: filled; takes over the caller's reference to @file only on success
 * @file: an open file
 * @sparse: a regular file may have holes
 * @reason: enum dmabuf_rw_reason, set on failure
 *
 * Return: 0, -ENOTBLK, -EPROTONOSUPPORT, -EMEDIUMTYPE, -EPROTO, -ENODEV, -ENOMEM, or an
 * error of drw_inode_get().
 */
int drw_target_init(struct drw_target *t, struct file *file, bool sparse, u32 *reason)
{
	struct block_device *bdev;
	struct gendisk *disk;
	struct device *parent;
	int nsid, ret;

	if (S_ISBLK(file_inode(file)->i_mode)) {
		bdev = I_BDEV(file->f_mapping->host);
	} else if (S_ISREG(file_inode(file)->i_mode)) {
		bdev = drw_inode_bdev(file);
		if (!bdev) {
			*reason = DMABUF_RW_REASON_FILESYSTEM;
			return -ENOTBLK;
		}
	} else {
		*reason = DMABUF_RW_REASON_NOT_BLOCK;
		return -ENOTBLK;
	}
	disk = bdev->bd_disk;
	parent = disk_to_dev(disk)->parent;

	if (has_class(parent, "nvme-subsystem")) {
		t->multipath = true;
	} else if (has_class(parent, "nvme")) {
		t->multipath = false;
		if (!disk_dma_dev(disk)) {
			*reason = DMABUF_RW_REASON_NOT_PCI;
			return -EPROTONOSUPPORT;
		}
	} else {
		*reason = strstarts(disk->disk_name, "dm-") || disk->major == MD_MAJOR ||
			  disk->major == LOOP_MAJOR || strstarts(disk->disk_name, "md") ?
			  DMABUF_RW_REASON_STACKED : DMABUF_RW_REASON_NOT_NVME;
		return -ENOTBLK;
	}

	if (!drw_disk_alive(disk)) {
		*reason = DMABUF_RW_REASON_GONE;
		return -ENODEV;
	}
	ret = check_format(bdev, reason);
	if (ret)
		return ret;

	if (!disk->fops->ioctl) {
		*reason = DMABUF_RW_REASON_DRIVER;
		return -EPROTO;
	}
	nsid = disk->fops->ioctl(bdev, 0, NVME_IOCTL_ID, 0);
	if (nsid <= 0) {
		*reason = DMABUF_RW_REASON_GONE;
		return -ENODEV;
	}

	t->di = drw_inode_get(file, sparse, reason);
	if (IS_ERR(t->di))
		return PTR_ERR(t->di);
	t->file = file;
	t->bdev = bdev;
	t->nsid = nsid;
	t->lba_bytes = bdev_logical_block_size(bdev);
	t->lba_shift = ilog2(t->lba_bytes);
	/* Not now: the first request looks again. */
	t->format_at = jiffies - 1;
	return 0;
}

/* Undo drw_target_init(), if it succeeded. May sleep. */
void drw_target_exit(struct drw_target *t)
{
	if (!t->file)
		return;
	drw_inode_put(t->di, t->file);
	fput(t->file);
}

/* Search state: paths to head nvme<subsys>n<head>. */
struct path_search {
	int subsys;
	int head;
	struct drw_way *ways;
	int nr;
	int max;
};

static int search_disk(struct device *dev, void *data)
{
	struct path_search *s = data;
	int subsys, ctrl, head;
	struct gendisk *disk;

	if (!dev->type || strcmp(dev->type->name, "disk"))
		return 0;
	disk = dev_to_disk(dev);
	if (!(disk->flags & GENHD_FL_HIDDEN) ||
	    sscanf(disk->disk_name, "nvme%dc%dn%d", &subsys, &ctrl, &head) != 3 ||
	    subsys != s->subsys || head != s->head || !drw_disk_alive(disk))
		return 0;
	if (s->nr == s->max)
		return 1;
	if (way_get(&s->ways[s->nr], disk))
		s->nr++;
	return 0;
}

static int search_ctrl(struct device *dev, void *data)
{
	return has_class(dev, "nvme") ? device_for_each_child(dev, data, search_disk) : 0;
}

static int search_pci(struct device *dev, void *data)
{
	return device_for_each_child(dev, data, search_ctrl);
}

/**
 * drw_target_find_paths() - the disks whose queues take this namespace's commands, now
 * @t: target
 * @ways: filled, each with references for the caller
 * @max: places in @ways
 *
 * Return: how many; 0 for a multipath head with no live path on PCI.
 */
int drw_target_find_paths(const struct drw_target *t, struct drw_way *ways, int max)
{
	struct path_search s = { .ways = ways, .max = max };
	struct gendisk *disk = t->bdev->bd_disk;

	/* An open disk keeps its controller. */
	if (!t->multipath)
		return way_get(&ways[0], disk);
	if (sscanf(disk->disk_name, "nvme%dn%d", &s.subsys, &s.head) != 2)
		return 0;
	bus_for_each_dev(&pci_bus_type, NULL, &s, search_pci);
	return s.nr;
}
