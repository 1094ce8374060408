/* SPDX-License-Identifier: GPL-2.0 */
/*
 * disk.h - the test machine's disks by role (tests/README.md), and ordinary access.
 *
 * Tests may overwrite any disk of these; partition tables are kept by staying out of
 * the first MiB of a whole disk, and content of one test means nothing to the next.
 */
#ifndef DISK_H
#define DISK_H

#include "harness.h"

struct disk {
	char role[32];
	char path[64];		/* /dev/nvme... */
	char name[32];		/* nvme0n1 or nvme0n1p1 */
	int fd;			/* O_RDWR | O_DIRECT */
	u32 lba;
	u64 bytes;
	u64 first;		/* the first offset that tests may write */
};

/* True if the role exists on this machine. */
bool disk_exists(const char *role);
/* Open by role; the test is skipped when the machine has no such disk. */
void disk_open(struct disk *disk, const char *role);
/*
 * Make the links of the disks of one serial number anew (drw-plug, drw-mp, ...), as the
 * machine's init does, after controllers were taken away and brought back; waits up to
 * ten seconds until there are @count disks.
 */
void disk_relink(const char *serial, unsigned int count);
/* A further descriptor with flags of the caller's choice. */
int disk_fd(const struct disk *disk, int flags);

/* Ordinary O_DIRECT access; offsets and lengths in whole LBAs; memory page-aligned. */
void disk_pread(const struct disk *disk, void *mem, u64 len, u64 off);
void disk_pwrite(const struct disk *disk, const void *mem, u64 len, u64 off);

/* Content by tag and position (data.h), in ordinary O_DIRECT pieces. */
void disk_fill(const struct disk *disk, u64 off, u64 len, u64 tag, u64 pos);
void disk_check_at(const char *file, int line, const struct disk *disk, u64 off, u64 len,
		   u64 tag, u64 pos);
#define disk_check(disk, off, len, tag, pos) \
	disk_check_at(__FILE__, __LINE__, disk, off, len, tag, pos)

/*
 * Have the drive report reads of deallocated blocks of a namespace as errors, or no longer;
 * @ctrls: variables with its controllers' PCI addresses, NULL at the end. False: it cannot.
 */
bool disk_set_dulbe(const struct disk *disk, const char *const *ctrls, bool on);
/* Let the controller at this PCI address have the namespace or not; false: it refuses. */
bool disk_attach(const struct disk *disk, const char *pci, bool attach);

/* Environment variable of the machine, or the test is skipped. */
const char *machine_var(const char *name);
/* domain << 16 | bus << 8 | devfn of "0000:00:03.0". */
u32 pci_number(const char *address);
/* Whether the machine was booted with an IOMMU in use. */
bool machine_has_iommu(void);
/* Whether native multipath is on. */
bool machine_has_multipath(void);

#endif
