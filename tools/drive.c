// SPDX-License-Identifier: MIT
/* drive.c - see drive.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "drive.h"
#include "sysfs.h"
#include "text.h"

#define SECTOR	512	/* sysfs's unit for the start of a partition */

/* Cuts the last name off @path and points to it. */
static char *cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return path;
	*slash = 0;
	return slash + 1;
}

static void copy(char *to, size_t len, const char *from)
{
	snprintf(to, len, "%s", from);
}

static void read_queue(const char *root, const char *disk, struct drive *d)
{
	uint64_t number;
	char text[32];

	if (sysfs_number(root, &number, "%s/queue/logical_block_size", disk))
		d->lba = number;
	if (sysfs_number(root, &number, "%s/queue/max_hw_sectors_kb", disk))
		d->max_command = number << 10;
	if (sysfs_copy(root, text, sizeof(text), "%s/queue/zoned", disk))
		d->zoned = strcmp(text, "none");
	if (sysfs_copy(root, text, sizeof(text), "%s/queue/write_cache", disk))
		d->write_cache = !strcmp(text, "write back");
	d->poll_known = sysfs_number(root, &number, "%s/queue/io_poll", disk);
	d->poll = d->poll_known && number;
	d->metadata_known = sysfs_number(root, &number, "%s/metadata_bytes", disk);
	if (d->metadata_known)
		d->metadata = number;
}

/* @hidden: the name of the path's own disk, or null. */
static void add_path(const char *root, const char *ctrl, const char *hidden, struct drive *d)
{
	struct drive_path *p = &d->paths[d->nr_paths];

	if (d->nr_paths++ >= DRIVE_MAX_PATHS)
		return;
	copy(p->ctrl, sizeof(p->ctrl), ctrl);
	sysfs_copy(root, p->transport, sizeof(p->transport), "/sys/class/nvme/%s/transport", ctrl);
	sysfs_copy(root, p->state, sizeof(p->state), "/sys/class/nvme/%s/state", ctrl);
	if (!strcmp(p->transport, "pcie"))
		sysfs_copy(root, p->pci, sizeof(p->pci), "/sys/class/nvme/%s/address", ctrl);
	if (hidden)
		sysfs_copy(root, p->ana, sizeof(p->ana), "/sys/class/nvme/%s/%s/ana_state", ctrl,
			   hidden);
}

/* Behind a head named nvme1n2 are nvme1c0n2, nvme1c1n2 and so on, each below its controller. */
static void find_paths(const char *root, struct drive *d)
{
	unsigned int subsystem, head, ctrl;
	char **names, hidden[64];
	size_t i;

	if (sscanf(d->disk, "nvme%un%u", &subsystem, &head) != 2)
		return;
	names = sysfs_names(root, "/sys/class/nvme");
	for (i = 0; names && names[i]; i++) {
		if (sscanf(names[i], "nvme%u", &ctrl) != 1)
			continue;
		snprintf(hidden, sizeof(hidden), "nvme%uc%un%u", subsystem, ctrl, head);
		if (sysfs_exists(root, "/sys/class/nvme/%s/%s", names[i], hidden))
			add_path(root, names[i], hidden, d);
	}
	sysfs_names_free(names);
}

/* A disk's directory is in its controller's, a head's in its subsystem's. */
static void read_nvme(const char *root, const char *disk, struct drive *d)
{
	char *parent = strdup(disk), *owner;

	if (!parent)
		return;
	cut_name(parent);
	sysfs_copy(root, d->model, sizeof(d->model), "%s/model", parent);
	sysfs_copy(root, d->firmware, sizeof(d->firmware), "%s/firmware_rev", parent);
	owner = cut_name(parent);
	d->multipath = !strncmp(owner, "nvme-subsys", 11);
	if (d->multipath)
		find_paths(root, d);
	else
		add_path(root, owner, NULL, d);
	free(parent);
}

static void read_below(const char *root, const char *disk, struct drive *d)
{
	char **names = sysfs_names(root, "%s/slaves", disk);
	size_t i, used = 0;

	for (i = 0; names && names[i] && used < sizeof(d->below); i++)
		used += snprintf(d->below + used, sizeof(d->below) - used, "%s%s",
				 used ? ", " : "", names[i]);
	sysfs_names_free(names);
	if (!used)
		sysfs_copy(root, d->below, sizeof(d->below), "%s/loop/backing_file", disk);
}

static enum drive_kind kind_of(const char *disk)
{
	if (!strncmp(disk, "nvme", 4))
		return DRIVE_NVME;
	if (!strncmp(disk, "dm-", 3) || !strncmp(disk, "md", 2) || !strncmp(disk, "loop", 4))
		return DRIVE_STACKED;
	return DRIVE_OTHER;
}

bool drive_read(const char *root, dev_t dev, struct drive *d)
{
	char *path = sysfs_resolve(root, "/sys/dev/block/%u:%u", major(dev), minor(dev));
	uint64_t start;

	memset(d, 0, sizeof(*d));
	if (!path || !strrchr(path, '/')) {
		free(path);
		return false;
	}
	copy(d->name, sizeof(d->name), strrchr(path, '/') + 1);
	d->partition = sysfs_exists(root, "%s/partition", path);
	if (d->partition) {
		if (sysfs_number(root, &start, "%s/start", path))
			d->start = start * SECTOR;
		cut_name(path);
	}
	copy(d->disk, sizeof(d->disk), strrchr(path, '/') + 1);
	d->kind = kind_of(d->disk);
	read_queue(root, path, d);
	if (d->kind == DRIVE_NVME)
		read_nvme(root, path, d);
	else if (d->kind == DRIVE_STACKED)
		read_below(root, path, d);
	free(path);
	return true;
}
