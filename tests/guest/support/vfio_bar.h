/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vfio_bar.h - a PCI device under vfio-pci, and its BAR as a dma-buf.
 */
#ifndef VFIO_BAR_H
#define VFIO_BAR_H

#include "harness.h"

struct vfio_bar {
	int device;		/* keeps container and group alive */
	u32 pci;
	u32 index;		/* BAR number */
	u64 bytes;
	void *map;		/* the whole BAR as the CPU sees it */
};

/*
 * Opens the machine's device with a BAR of memory, or the one at @pci with this BAR; the device
 * may write to memory. Skips the test where the kernel or the machine cannot do it.
 */
void vfio_bar_open(struct vfio_bar *bar);
void vfio_bar_open_of(struct vfio_bar *bar, const char *pci, u32 index);
/* A dma-buf of a part of the BAR; skips where this kernel's vfio-pci exports none. */
int vfio_bar_export(const struct vfio_bar *bar, u64 off, u64 len);
/* Gives the device to vfio-pci, for other programs; a test before may have taken it away. */
void vfio_bar_claim(const char *pci);
/*
 * The machine's BAR as the command names it, and its device for the command's vfio-pci; skips where
 * this kernel's exports none.
 */
const char *vfio_bar_name(void);
/* Takes the device from vfio-pci if that has it. */
void vfio_bar_release(const char *pci);

#endif
