// SPDX-License-Identifier: GPL-2.0-only
/*
 * target.c - from an open file to the NVMe disks that take its commands.
 *
 * See storage.h. No public function identifies an NVMe namespace, so this file relies on the
 * driver's place in the device tree. It is visible in sysfs and has kept its shape since native
 * multipath (4.15):
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

#include "compat.h"
#include "buffer/extents.h"
#include "storage/storage.h"

/*
 * Without integrity support in the block layer, namespaces with protection information look like
 * others, and our commands would make the drive use a metadata pointer that was never set.
 */
#ifndef CONFIG_BLK_DEV_INTEGRITY
#error "dmabuf_rw needs a kernel with CONFIG_BLK_DEV_INTEGRITY"
#endif

static bool target_has_class(struct device *dev, const char *name)
{
	return dev && dev->class && !strcmp(dev->class->name, name);
}

/*
 * The PCI function that does DMA for @disk, or NULL if it is not an NVMe-PCI disk. The caller
 * keeps the controller, by an open block device or by walking the device tree.
 */
static struct device *target_dma_dev(struct gendisk *disk)
{
	struct device *ctrl = disk_to_dev(disk)->parent;

	if (!target_has_class(ctrl, "nvme") || !ctrl->parent || !dev_is_pci(ctrl->parent))
		return NULL;
	return ctrl->parent;
}

/* Take references; the caller keeps the controller. */
static bool target_get_disk(struct drw_disk *d, struct gendisk *disk)
{
	struct blk_mq_tag_set *set = disk->queue->tag_set;
	struct device *dma_dev = target_dma_dev(disk);

	if (!dma_dev || !set)
		return false;
	get_device(disk_to_dev(disk));
	d->disk = disk;
	d->dma_dev = get_device(dma_dev);
	d->has_poll = set->nr_maps > HCTX_TYPE_POLL && set->map[HCTX_TYPE_POLL].nr_queues;
	return true;
}

/*
 * Bytes of metadata per LBA, or a negative errno. The block layer has an integrity profile only
 * for metadata in a separate buffer. The driver hides interleaved protection information: each
 * of its commands makes the drive strip it, while a command that does not ask for that moves more
 * bytes than its LBAs have. Only sysfs has the number, since 6.8 (drivers/nvme/host/sysfs.c).
 */
static int target_metadata_bytes(struct gendisk *disk, gfp_t gfp)
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
			/* sysfs_emit() requires a page. */
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

/* The slow part of drw_target_check_format(), once a tick. */
int drw_target_ask_format(struct drw_storage *s, struct gendisk *disk)
{
	unsigned long now = jiffies;
	int bytes = target_metadata_bytes(disk, GFP_NOWAIT | __GFP_NOWARN);

	if (bytes)
		return bytes == -ENOMEM ? -ENOMEM : -EMEDIUMTYPE;
	WRITE_ONCE(s->format_at, now);
	return 0;
}

static int target_check_format(struct block_device *bdev, struct drw_refusal *refusal)
{
	u32 lba = bdev_logical_block_size(bdev);
	int metadata = target_metadata_bytes(bdev->bd_disk, GFP_KERNEL);

	if (metadata == -ENOMEM)
		return metadata;
	if (metadata < 0)
		return drw_refuse(refusal, DMABUF_RW_REASON_DRIVER, -EPROTO);
	/*
	 * The driver gives a namespace that it cannot serve no capacity. With metadata an LBA is
	 * longer than it looks, and not even the self-test may read it.
	 */
	if (metadata || blk_get_integrity(bdev->bd_disk) || !get_capacity(bdev->bd_disk))
		return drw_refuse(refusal, DMABUF_RW_REASON_METADATA, -EMEDIUMTYPE);
	if (bdev_is_zoned(bdev))
		return drw_refuse(refusal, DMABUF_RW_REASON_ZONED, -EMEDIUMTYPE);
	if (!is_power_of_2(lba) || lba < 512 || lba > DRW_PAGE_BYTES ||
	    ((bdev->bd_start_sect | bdev_nr_sectors(bdev)) & ((lba >> SECTOR_SHIFT) - 1)))
		return drw_refuse(refusal, DMABUF_RW_REASON_LBA_SIZE, -EMEDIUMTYPE);
	return 0;
}

/* The block device that a file's bytes are on, or NULL. */
static struct block_device *target_bdev(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (S_ISBLK(inode->i_mode))
		return I_BDEV(file->f_mapping->host);
	return S_ISREG(inode->i_mode) ? inode->i_sb->s_bdev : NULL;
}

/* Is the disk an NVMe namespace on PCI? 0, -ENOTBLK, -EPROTONOSUPPORT or -ENODEV. */
static int target_check_disk(struct gendisk *disk, bool *multipath, struct drw_refusal *refusal)
{
	struct device *parent = disk_to_dev(disk)->parent;

	*multipath = target_has_class(parent, "nvme-subsystem");
	if (!*multipath && !target_has_class(parent, "nvme"))
		return drw_refuse(refusal, strstarts(disk->disk_name, "dm-") ||
				  strstarts(disk->disk_name, "md") || disk->major == MD_MAJOR ||
				  disk->major == LOOP_MAJOR ? DMABUF_RW_REASON_STACKED :
				  DMABUF_RW_REASON_NOT_NVME, -ENOTBLK);
	if (!*multipath && !target_dma_dev(disk))
		return drw_refuse(refusal, DMABUF_RW_REASON_NOT_PCI, -EPROTONOSUPPORT);
	if (!drw_disk_alive(disk))
		return drw_refuse(refusal, DMABUF_RW_REASON_GONE, -ENODEV);
	return 0;
}

/**
 * drw_target_find() - find the namespace that a file is on
 * @s: sets bdev, nsid, lba_bytes, lba_shift, multipath and format_at
 * @file: an open file
 * @refusal: set on failure
 *
 * Return: 0, -ENOTBLK, -EPROTONOSUPPORT, -EMEDIUMTYPE, -EPROTO, -ENODEV, -ENOMEM.
 */
int drw_target_find(struct drw_storage *s, struct file *file, struct drw_refusal *refusal)
{
	struct block_device *bdev = target_bdev(file);
	struct gendisk *disk;
	int nsid, ret;

	if (!bdev)
		return drw_refuse(refusal, DMABUF_RW_REASON_NOT_BLOCK, -ENOTBLK);
	disk = bdev->bd_disk;
	ret = target_check_disk(disk, &s->multipath, refusal);
	if (!ret)
		ret = target_check_format(bdev, refusal);
	if (ret)
		return ret;
	if (!disk->fops->ioctl)
		return drw_refuse(refusal, DMABUF_RW_REASON_DRIVER, -EPROTO);
	nsid = disk->fops->ioctl(bdev, 0, NVME_IOCTL_ID, 0);
	if (nsid <= 0)
		return drw_refuse(refusal, DMABUF_RW_REASON_GONE, -ENODEV);
	s->bdev = bdev;
	s->nsid = nsid;
	s->lba_bytes = bdev_logical_block_size(bdev);
	s->lba_shift = ilog2(s->lba_bytes);
	/* In the past, so that the first request checks again. */
	s->format_at = jiffies - 1;
	return 0;
}

/* A search for paths to head nvme<subsys>n<head>. */
struct target_search {
	int subsys;
	int head;
	struct drw_disk *disks;
	int nr;
	int max;
};

static int target_search_disk(struct device *dev, void *data)
{
	struct target_search *s = data;
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
	if (target_get_disk(&s->disks[s->nr], disk))
		s->nr++;
	return 0;
}

static int target_search_ctrl(struct device *dev, void *data)
{
	if (!target_has_class(dev, "nvme"))
		return 0;
	return device_for_each_child(dev, data, target_search_disk);
}

static int target_search_pci(struct device *dev, void *data)
{
	return device_for_each_child(dev, data, target_search_ctrl);
}

/**
 * drw_target_find_disks() - find the disks whose queues now take the namespace's commands
 * @s: storage
 * @disks: filled; the caller drops each with drw_disk_put()
 * @max: places in @disks
 *
 * Return: how many; 0 for a multipath head with no live path on PCI.
 */
int drw_target_find_disks(const struct drw_storage *s, struct drw_disk *disks, int max)
{
	struct target_search search = { .disks = disks, .max = max };
	struct gendisk *disk = s->bdev->bd_disk;

	/* An open disk keeps its controller. */
	if (!s->multipath)
		return target_get_disk(&disks[0], disk);
	if (sscanf(disk->disk_name, "nvme%dn%d", &search.subsys, &search.head) != 2)
		return 0;
	bus_for_each_dev(&pci_bus_type, NULL, &search, target_search_pci);
	return search.nr;
}

void drw_disk_put(struct drw_disk *d)
{
	put_device(d->dma_dev);
	put_device(disk_to_dev(d->disk));
}
