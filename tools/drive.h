/* SPDX-License-Identifier: MIT */
/*
 * drive.h - facts from sysfs about the block device behind a file or a disk.
 *
 * Vocabulary
 *   disk	a whole block device; with native multipath the head, which has the node
 *   path	one controller that leads to the disk; without multipath there is only one
 */
#ifndef TOOLS_DRIVE_H
#define TOOLS_DRIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DRIVE_MAX_PATHS	16

enum drive_kind {
	DRIVE_NVME,
	DRIVE_STACKED,		/* device-mapper, md, loop */
	DRIVE_OTHER,
};

struct drive_path {
	char ctrl[32];		/* "nvme0" */
	char pci[24];		/* "0000:00:03.0"; "": not on PCI */
	char transport[16];
	char state[24];		/* "live" */
	char ana[32];		/* "optimized"; "": unknown */
};

/* Unknown numbers are 0, unknown texts "". */
struct drive {
	enum drive_kind kind;
	char name[64];		/* the requested device: "nvme0n1p1" */
	char disk[64];		/* "nvme0n1" */
	bool partition;
	uint64_t start;		/* of the partition, in bytes */
	char model[64];
	char firmware[16];
	char below[256];	/* stacked: the names of the devices below */
	uint32_t lba;
	bool metadata_known;	/* Linux 6.8 and later */
	uint32_t metadata;	/* bytes in each LBA */
	uint64_t max_command;	/* bytes: the drive's limit (MDTS), capped by the driver */
	bool zoned;
	bool write_cache;
	bool poll_known;
	bool poll;
	bool multipath;		/* a head */
	unsigned int nr_paths;	/* found; at most DRIVE_MAX_PATHS are kept */
	struct drive_path paths[DRIVE_MAX_PATHS];
};

/* False: the kernel has no block device of this number. */
bool drive_read(const char *root, dev_t dev, struct drive *drive);

#endif
