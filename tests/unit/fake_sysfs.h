/* SPDX-License-Identifier: MIT */
/*
 * fake_sysfs.h - a tree in the place of /sys and /proc: attributes and links as a kernel makes
 * them, of a machine that the test thinks up.
 */
#ifndef FAKE_SYSFS_H
#define FAKE_SYSFS_H

#include <stddef.h>
#include <stdint.h>

/* The root, for functions that take one. */
extern char fake_root[64];

void fake_sysfs_make(void);
void fake_sysfs_remove(void);

/* An attribute with a newline at its end, and the directories above it. */
void fake_attribute(const char *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same of any bytes. */
void fake_bytes(const void *bytes, size_t len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A link at @path to @target, both below the root. */
void fake_link(const char *path, const char *target);

/* What ACS is to say in a bridge's configuration space. */
enum fake_acs { FAKE_NO_ACS, FAKE_ACS_OFF, FAKE_ACS_REDIRECTS };

/*
 * A PCI function: @place is its directory, "pci0000:00/0000:00:01.0". @port: the type in its
 * PCI Express capability, -1: an endpoint that is no bridge. @readable: bytes of its configuration
 * space that this user may read.
 */
void fake_pci(const char *place, int port, enum fake_acs acs, size_t readable);
/* An NVMe controller on such a function. */
void fake_nvme(const char *ctrl, const char *place, const char *model);
/* The attributes of a block device's queue. @dev: "259:0". */
void fake_disk(const char *dir, const char *dev, unsigned int lba);

#endif
