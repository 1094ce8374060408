// SPDX-License-Identifier: GPL-2.0-only
/*
 * totals.c - counters of each drive since the module was loaded, shown in
 * /sys/class/misc/dmabuf_rw/drives/NAME (docs/observe.md).
 *
 * A transfer is counted in its binding only. A reader sums the open bindings of a drive; a
 * binding that is closed adds its counters to the drive's. So totals never decrease.
 *
 * A drive is a disk's name and sequence number, without a reference to the disk. Names are
 * reused, so there are no more drives than there have been disks at one time. Sequence numbers
 * are not: a newer disk of the name starts at zero, and the older disk's bindings do not count.
 *
 * totals_lock protects everything. Readers of the files take it, so removing them does not.
 */
#include <linux/miscdevice.h>
#include <linux/slab.h>

#include "binding.h"
#include "ioctl.h"

#define TOTALS_GROUP	"drives"

/**
 * struct drw_totals - counters of a drive
 * @node: in totals_drives, until the module is unloaded
 * @attr: its file
 * @name: name of the disk and of the file
 * @diskseq: sequence number of the disk
 * @gone: sum of the bindings that were closed
 * @bindings: open bindings, drw_binding.totals_node
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
		/* Many bindings and CPUs take long, and anybody may read this. */
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

/* Not charged to a user, because it stays. */
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

/* A newer disk has the name. */
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
	/* Otherwise the disk has just gone, and a newer one has its name. */
	if (t && t->diskseq == disk->diskseq) {
		list_add(&b->totals_node, &t->bindings);
		b->totals = t;
	}
	mutex_unlock(&totals_lock);
	return t ? 0 : -ENOMEM;
}

/* Called when a binding is closed, with no transfer left, even if it was never counted. */
void drw_totals_remove(struct drw_binding *b)
{
	guard(mutex)(&totals_lock);
	if (list_empty(&b->totals_node))
		return;
	drw_binding_sum(b, &b->totals->gone);
	list_del(&b->totals_node);
}

/* No binding is left, and the files were removed with the device. */
void drw_totals_exit(void)
{
	struct drw_totals *t, *next;

	list_for_each_entry_safe(t, next, &totals_drives, node)
		kfree(t);
}
