// SPDX-License-Identifier: GPL-2.0-only
/*
 * totals.c - what has gone through each drive since the module was loaded, as
 * /sys/class/misc/dmabuf_rw/drives/NAME shows it (docs/observe.md).
 *
 * Transfers are counted by their binding alone. Its counters are added to its drive's when it goes,
 * and until then by whoever reads, so totals never go back.
 *
 * A drive is a disk's name and sequence number; nothing of the disk is held. Names are given out
 * again, so there are no more of them than there have been disks at a time. The number is not: a
 * newer disk of the name begins at zero, and what is still bound to the old one counts no more.
 *
 * Locks: totals_lock protects all of it. Files are removed without it, since their readers take it.
 */
#include <linux/miscdevice.h>
#include <linux/slab.h>

#include "binding.h"
#include "ioctl.h"

#define TOTALS_GROUP	"drives"

/**
 * struct drw_totals - of a drive
 * @node: in totals_drives; all are there until the module goes
 * @attr: its file
 * @name: and that one's name
 * @diskseq: sequence number of the disk
 * @gone: sum of the bindings that have gone
 * @bindings: the others, drw_binding.totals_node
 */
struct drw_totals {
	struct list_head node;
	struct device_attribute attr;
	char name[DISK_NAME_LEN];
	u64 diskseq;
	struct drw_stats gone;
	struct list_head bindings;
};

static DEFINE_MUTEX(totals_lock);
static LIST_HEAD(totals_drives);

static struct attribute *totals_none[] = { NULL };
static const struct attribute_group totals_group = { .name = TOTALS_GROUP, .attrs = totals_none };
const struct attribute_group *drw_totals_groups[] = { &totals_group, NULL };

static ssize_t totals_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct drw_totals *t = container_of(attr, struct drw_totals, attr);
	const struct drw_binding *b;
	unsigned int nr = 0;
	struct drw_stats s;

	if (mutex_lock_interruptible(&totals_lock))
		return -EINTR;
	s = t->gone;
	list_for_each_entry(b, &t->bindings, totals_node) {
		drw_binding_sum(b, &s);
		nr++;
		/* Of many bindings and CPUs it takes its time, and everybody may ask. */
		cond_resched();
	}
	mutex_unlock(&totals_lock);
	return sysfs_emit(text, "%llu %u %llu %llu %llu %llu %llu\n", t->diskseq, nr, s.reads,
			  s.read_bytes, s.writes, s.write_bytes, s.errors);
}

static struct drw_totals *totals_find(const char *name)
{
	struct drw_totals *t;

	lockdep_assert_held(&totals_lock);
	list_for_each_entry(t, &totals_drives, node)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

/* It stays, so no user pays for it. */
static struct drw_totals *totals_create(const char *name)
{
	struct drw_totals *t = kzalloc(sizeof(*t), GFP_KERNEL);

	lockdep_assert_held(&totals_lock);
	if (!t)
		return NULL;
	strscpy(t->name, name);
	INIT_LIST_HEAD(&t->bindings);
	sysfs_attr_init(&t->attr.attr);
	t->attr.attr.name = t->name;
	t->attr.attr.mode = 0444;
	t->attr.show = totals_show;
	if (sysfs_add_file_to_group(&drw_misc.this_device->kobj, &t->attr.attr, TOTALS_GROUP)) {
		kfree(t);
		return NULL;
	}
	list_add_tail(&t->node, &totals_drives);
	return t;
}

/* Another disk has the name now. */
static void totals_restart(struct drw_totals *t, u64 diskseq)
{
	struct drw_binding *b, *next;

	list_for_each_entry_safe(b, next, &t->bindings, totals_node)
		list_del_init(&b->totals_node);
	t->gone = (struct drw_stats) { };
	t->diskseq = diskseq;
}

/* Count a new binding for its drive. 0, -ENOMEM or -EINTR. */
int drw_totals_add(struct drw_binding *b)
{
	const struct gendisk *disk = b->storage.bdev->bd_disk;
	struct drw_totals *t;

	if (mutex_lock_interruptible(&totals_lock))
		return -EINTR;
	t = totals_find(disk->disk_name) ?: totals_create(disk->disk_name);
	if (t && t->diskseq < disk->diskseq)
		totals_restart(t, disk->diskseq);
	/* Else it has just gone, and a newer one has its name. */
	if (t && t->diskseq == disk->diskseq) {
		list_add(&b->totals_node, &t->bindings);
		b->totals = t;
	}
	mutex_unlock(&totals_lock);
	return t ? 0 : -ENOMEM;
}

/* The binding goes, and no transfer is left. Harmless if it was never added. */
void drw_totals_remove(struct drw_binding *b)
{
	guard(mutex)(&totals_lock);
	if (list_empty(&b->totals_node))
		return;
	drw_binding_sum(b, &b->totals->gone);
	list_del(&b->totals_node);
}

/* No binding is left, and the files have gone with the device. */
void drw_totals_exit(void)
{
	struct drw_totals *t, *next;

	list_for_each_entry_safe(t, next, &totals_drives, node)
		kfree(t);
}
