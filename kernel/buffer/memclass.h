/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memclass.h - what the bus addresses of a mapped buffer are, and whether the drive can use
 * them.
 *
 * A DMA command that succeeds does not prove where the data went: an IOMMU drops what it does
 * not translate, a software bounce area keeps it, and a host bridge may drop requests between
 * devices. So addresses are checked when the exporter gives them, before any command uses them.
 *
 * Addresses that no binding can use are refused. Those that only some bindings accept are
 * recorded in lacks: bindings share a mapping, and after every mapping each judges it by its
 * own flags.
 */
#ifndef _DRW_MEMCLASS_H
#define _DRW_MEMCLASS_H

#include <linux/bits.h>
#include <linux/device.h>
#include <linux/scatterlist.h>

#include <uapi/dmabuf_rw.h>
#include "nvme/pci_id.h"
#include "refusal.h"

/* Bits of drw_memclass.lacks: not all of the buffer ... */
#define DRW_LACKS_DEVICE_MEMORY	BIT(0)	/* is in PCI BARs */
#define DRW_LACKS_ROUTE		BIT(1)	/* is known to be reachable from the drive */
#define DRW_LACKS_IDENTITY	BIT(2)	/* is RAM or in a BAR */

/**
 * struct drw_memclass - result of a check
 * @class: enum dmabuf_rw_class
 * @bar: BAR number, for DMABUF_RW_CLASS_BAR
 * @bar_pci: its device
 * @iommu: enum dmabuf_rw_iommu
 * @lacks: DRW_LACKS_*
 */
struct drw_memclass {
	u32 class;
	u32 bar;
	struct drw_pci_id bar_pci;
	u32 iommu;
	u32 lacks;
};

/* The DRW_LACKS_* that a binding with these DMABUF_RW_BIND_* flags does not accept. */
static inline u32 drw_memclass_minds(u64 bind_flags)
{
	return (bind_flags & DMABUF_RW_BIND_DEVICE_MEMORY ? DRW_LACKS_DEVICE_MEMORY : 0) |
	       (bind_flags & DMABUF_RW_BIND_TRUST_ADDRESSES ? 0 :
		DRW_LACKS_ROUTE | DRW_LACKS_IDENTITY);
}

int drw_memclass_check(struct device *dev, struct sg_table *sgt, u64 bytes,
		       struct drw_memclass *mc, struct drw_refusal *refusal);
int drw_memclass_judge(const struct drw_memclass *mc, u64 bind_flags,
		       struct drw_refusal *refusal);

#endif /* _DRW_MEMCLASS_H */
