/* SPDX-License-Identifier: GPL-2.0-only */
/* pci_id.h - the address of a PCI function. */
#ifndef _DRW_PCI_ID_H
#define _DRW_PCI_ID_H

#include <linux/pci.h>

/**
 * struct drw_pci_id - a PCI function
 * @domain: its domain; may have more than 16 bits
 * @id: domain << 16 | bus << 8 | devfn, cut to 32 bits, as in the ABI; 0: none
 */
struct drw_pci_id {
	u32 domain;
	u32 id;
};

/* Zeros if it is not a PCI function. Its bus must be there: the domain may go with the bus. */
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
