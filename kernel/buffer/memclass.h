/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memclass.h - what the bus addresses of a mapped buffer really are, and whether the
 * drive can use them.
 *
 * "Success" of a DMA command says nothing about where the data went: an IOMMU drops what
 * it does not translate, and a software bounce area takes it for itself. So addresses
 * are checked when they come from the exporter, before the first command uses them.
 */
#ifndef _DRW_MEMCLASS_H
#define _DRW_MEMCLASS_H

#include <linux/device.h>
#include <linux/scatterlist.h>

/**
 * struct drw_pci_id - which PCI function
 * @domain: its domain; may have more than 16 bits
 * @id: domain << 16 | bus << 8 | devfn, cut to 32 bits, as the ABI has it; 0: none
 */
struct drw_pci_id {
	u32 domain;
	u32 id;
};

/**
 * struct drw_memclass - what was found
 * @class: enum dmabuf_rw_class
 * @bar: BAR number, for DMABUF_RW_CLASS_BAR
 * @bar_pci: its device
 * @iommu: enum dmabuf_rw_iommu
 * @device_memory: every byte is in some PCI BAR
 */
struct drw_memclass {
	u32 class;
	u32 bar;
	struct drw_pci_id bar_pci;
	u32 iommu;
	bool device_memory;
};

int drw_memclass_check(struct device *dev, struct sg_table *sgt, u64 bytes,
		       struct drw_memclass *mc, u32 *reason);
struct drw_pci_id drw_pci_id(struct device *dev);

#endif /* _DRW_MEMCLASS_H */
