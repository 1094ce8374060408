/* SPDX-License-Identifier: GPL-2.0-only */
/* pci_id.h - what a PCI function is called. */
#ifndef _DRW_PCI_ID_H
#define _DRW_PCI_ID_H

#include <linux/pci.h>

/**
 * struct drw_pci_id - which PCI function
 * @domain: its domain; may have more than 16 bits
 * @id: domain << 16 | bus << 8 | devfn, cut to 32 bits, as the ABI has it; 0: none
 */
struct drw_pci_id {
	u32 domain;
	u32 id;
};

/* Zeros for what is no PCI function. Not once its driver has gone: its domain may go, too. */
static inline struct drw_pci_id drw_pci_id(struct device *dev)
{
	struct pci_dev *pdev;
	u32 domain;

	if (!dev_is_pci(dev))
		return (struct drw_pci_id) { };
	pdev = to_pci_dev(dev);
	domain = pci_domain_nr(pdev->bus);
	return (struct drw_pci_id) {
		.domain = domain,
		.id = domain << 16 | pci_dev_id(pdev),
	};
}

#endif /* _DRW_PCI_ID_H */
