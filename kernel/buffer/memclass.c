// SPDX-License-Identifier: GPL-2.0-only
/*
 * memclass.c - what the bus addresses of a mapped buffer really are, and whether the
 * drive can use them. See memclass.h.
 *
 * No locks of our own. The caller holds the buffer's reservation lock, which keeps the
 * scatter list in place.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include <uapi/dmabuf_rw.h>
#include "buffer/memclass.h"

/* Zeros for what is no PCI function. */
struct drw_pci_id drw_pci_id(struct device *dev)
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

static bool same_pci_id(struct drw_pci_id a, struct drw_pci_id b)
{
	return a.domain == b.domain && a.id == b.id;
}

/* A BAR that has been given addresses. */
static bool is_memory_bar(const struct resource *res)
{
	return (res->flags & IORESOURCE_MEM) && !(res->flags & IORESOURCE_UNSET) &&
	       resource_size(res);
}

/**
 * struct walk - state of one check
 * @pdev: the drive
 * @domain: its translating domain, or NULL if bus addresses are physical addresses
 * @mc: the answer so far
 * @seen: something has been classified
 * @ram_chunk: address of the last 2 MiB chunk that was found to be RAM, so that
 *	neighbouring pages need no walk through the resource tree
 * @bar_start: the last BAR that was hit,
 * @bar_end: and its last byte
 * @bar: its number
 * @bar_pci: its device
 */
struct walk {
	struct pci_dev *pdev;
	struct iommu_domain *domain;
	struct drw_memclass *mc;
	bool seen;
	phys_addr_t ram_chunk;
	phys_addr_t bar_start;
	phys_addr_t bar_end;
	u32 bar;
	struct drw_pci_id bar_pci;
};

static bool find_bar(struct walk *w, phys_addr_t phys)
{
	struct pci_dev *pdev = NULL;
	int i;

	if (w->bar_end && phys >= w->bar_start && phys <= w->bar_end)
		return true;

	for_each_pci_dev(pdev) {
		for (i = 0; i < PCI_STD_NUM_BARS; i++) {
			struct resource *res = &pdev->resource[i];

			if (!is_memory_bar(res) || phys < res->start || phys > res->end)
				continue;
			w->bar_start = res->start;
			w->bar_end = res->end;
			w->bar = i;
			w->bar_pci = drw_pci_id(&pdev->dev);
			pci_dev_put(pdev);
			return true;
		}
	}
	return false;
}

static bool is_ram(struct walk *w, phys_addr_t phys)
{
	phys_addr_t chunk = ALIGN_DOWN(phys, SZ_2M);

	/* Zero means none: the first 2 MiB of a machine are never all RAM. */
	if (chunk && chunk == w->ram_chunk)
		return true;
	if (!page_is_ram(PHYS_PFN(phys)))
		return false;
	/* Memory resources are no finer than this in practice; both ends are proof enough. */
	if (page_is_ram(PHYS_PFN(chunk)) && page_is_ram(PHYS_PFN(chunk + SZ_2M - 1)))
		w->ram_chunk = chunk;
	return true;
}

static void classify(struct walk *w, phys_addr_t phys)
{
	struct drw_memclass *mc = w->mc;
	struct drw_pci_id bar_pci = { };
	u32 class, bar = 0;

	if (is_ram(w, phys)) {
		class = DMABUF_RW_CLASS_RAM;
	} else if (find_bar(w, phys)) {
		class = DMABUF_RW_CLASS_BAR;
		bar = w->bar;
		bar_pci = w->bar_pci;
	} else {
		class = DMABUF_RW_CLASS_UNKNOWN;
	}

	if (class != DMABUF_RW_CLASS_BAR)
		mc->device_memory = false;
	if (!w->seen) {
		w->seen = true;
		mc->class = class;
		mc->bar = bar;
		mc->bar_pci = bar_pci;
	} else if (mc->class != class || mc->bar != bar ||
		   !same_pci_id(mc->bar_pci, bar_pci)) {
		mc->class = DMABUF_RW_CLASS_MIXED;
		mc->bar = 0;
		mc->bar_pci = (struct drw_pci_id) { };
	}
}

/* Do bridges between @pdev and @top send peer requests up to the root complex? */
static bool acs_redirects(struct pci_dev *pdev, struct pci_dev *top)
{
	struct pci_dev *up;

	for (up = pci_upstream_bridge(pdev); up && up != top; up = pci_upstream_bridge(up)) {
		int pos = pci_find_ext_capability(up, PCI_EXT_CAP_ID_ACS);
		u16 ctrl;

		if (!pos)
			continue;
		if (pci_read_config_word(up, pos + PCI_ACS_CTRL, &ctrl) ||
		    (ctrl & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC)))
			return true;
	}
	return false;
}

/*
 * An address that the IOMMU does not translate is good all the same if it never gets to
 * the IOMMU: a BAR below a switch that both devices share, and no ACS redirection on the
 * way. @addr is a bus address; BARs are compared by bus address, too.
 */
static bool is_p2p_bus_address(struct walk *w, dma_addr_t addr, phys_addr_t *phys)
{
	struct pci_dev *peer = NULL;
	int i;

	for_each_pci_dev(peer) {
		for (i = 0; i < PCI_STD_NUM_BARS; i++) {
			struct pci_bus_region region;
			struct resource *res = &peer->resource[i];
			struct pci_dev *a, *b;

			if (!is_memory_bar(res))
				continue;
			pcibios_resource_to_bus(peer->bus, &region, res);
			if (addr < region.start || addr > region.end)
				continue;

			*phys = res->start + (addr - region.start);
			for (a = pci_upstream_bridge(w->pdev); a; a = pci_upstream_bridge(a))
				for (b = pci_upstream_bridge(peer); b; b = pci_upstream_bridge(b))
					if (a == b)
						goto common;
			pci_dev_put(peer);
			return false;
common:
			/* A root port is not a switch: what passes it meets the IOMMU. */
			if (pci_pcie_type(a) == PCI_EXP_TYPE_ROOT_PORT ||
			    acs_redirects(w->pdev, a) || acs_redirects(peer, a)) {
				pci_dev_put(peer);
				return false;
			}
			pci_dev_put(peer);
			return true;
		}
	}
	return false;
}

static int check_byte(struct walk *w, dma_addr_t addr, u32 *reason)
{
	phys_addr_t phys;

	if (!w->domain) {
		phys = dma_to_phys(&w->pdev->dev, addr);
	} else {
		phys = iommu_iova_to_phys(w->domain, addr);
		if (!phys) {
			if (!is_p2p_bus_address(w, addr, &phys)) {
				*reason = DMABUF_RW_REASON_NOT_TRANSLATED;
				return -EADDRNOTAVAIL;
			}
			w->mc->iommu = DMABUF_RW_IOMMU_P2P_BUS;
		}
	}
	classify(w, phys);
	return 0;
}

/**
 * drw_memclass_check() - check and classify the addresses of a mapped buffer
 * @dev: the drive's PCI function
 * @sgt: what the exporter returned
 * @bytes: bytes of it that will be used
 * @mc: filled
 * @reason: enum dmabuf_rw_reason, set on failure
 *
 * Looks at the first and the last byte of every segment and at every 2 MiB boundary
 * between them: exporters and IOMMU drivers map segments as a whole, so a segment whose
 * marks are in order has no hole.
 *
 * Return: 0, or -EADDRNOTAVAIL if the drive cannot reach the buffer.
 */
int drw_memclass_check(struct device *dev, struct sg_table *sgt, u64 bytes,
		       struct drw_memclass *mc, u32 *reason)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct walk w = { .pdev = to_pci_dev(dev), .mc = mc };
	struct scatterlist *sg;
	u64 left = bytes;
	int i, ret;

	*mc = (struct drw_memclass) { .device_memory = true };
	mc->iommu = DMABUF_RW_IOMMU_NONE;
	if (domain) {
		mc->iommu = DMABUF_RW_IOMMU_PASSTHROUGH;
		if (domain->type & __IOMMU_DOMAIN_PAGING) {
			mc->iommu = DMABUF_RW_IOMMU_TRANSLATED;
			w.domain = domain;
		}
	}

	for_each_sgtable_dma_sg(sgt, sg, i) {
		dma_addr_t addr = sg_dma_address(sg), last, at;
		u64 len = min_t(u64, sg_dma_len(sg), left);

		if (!len)
			continue;
		last = addr + len - 1;
		if (last < addr || last > dma_get_mask(dev)) {
			*reason = DMABUF_RW_REASON_NOT_TRANSLATED;
			return -EADDRNOTAVAIL;
		}

		/*
		 * With direct mapping, an address that needs sync is in swiotlb memory, or
		 * the device is not coherent. Behind a translating IOMMU the answer is only
		 * meaningful for coherence: page-sized memory is never bounced there.
		 */
		if (w.domain ? !dev_is_dma_coherent(dev) : dma_need_sync(dev, addr)) {
			*reason = DMABUF_RW_REASON_SWIOTLB;
			return -EADDRNOTAVAIL;
		}

		ret = check_byte(&w, addr, reason);
		for (at = ALIGN(addr + 1, SZ_2M); !ret && at > addr && at < last; at += SZ_2M)
			ret = check_byte(&w, at, reason);
		if (!ret && last != addr)
			ret = check_byte(&w, last, reason);
		if (ret)
			return ret;

		if (!(i & 1023))
			cond_resched();
		left -= len;
		if (!left)
			break;
	}
	if (!w.seen)
		mc->device_memory = false;
	return 0;
}
