// SPDX-License-Identifier: GPL-2.0-only
/*
 * memclass.c - what the bus addresses of a mapped buffer are, and whether the drive can use
 * them. See memclass.h.
 *
 * The caller holds the buffer's reservation lock, which keeps the scatter list in place.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sizes.h>

#include "buffer/memclass.h"

/**
 * struct memclass_bar - a BAR
 * @start: its first address, physical or on the bus
 * @end: its last address; 0: no BAR
 * @on_bus: these are bus addresses
 * @nr: its number
 * @pci: its device
 * @switched: the drive reaches it by bus address below a switch that both share
 * @routed: the kernel knows that the drive reaches it
 */
struct memclass_bar {
	u64 start;
	u64 end;
	bool on_bus;
	u32 nr;
	struct drw_pci_id pci;
	bool switched;
	bool routed;
};

/**
 * struct memclass_walk - state of one check
 * @pdev: the drive
 * @domain: its translating domain, or NULL if bus addresses are physical addresses
 * @mc: the result so far
 * @seen: something has been classified
 * @ram_chunk: last 2 MiB chunk found to be RAM: spares its pages a walk of the resource tree
 * @bar: the last BAR found, for the same purpose
 */
struct memclass_walk {
	struct pci_dev *pdev;
	struct iommu_domain *domain;
	struct drw_memclass *mc;
	bool seen;
	phys_addr_t ram_chunk;
	struct memclass_bar bar;
};

/* Do bridges between @pdev and @top send peer requests up to the root complex? */
static bool memclass_acs_redirects(struct pci_dev *pdev, struct pci_dev *top)
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

/* Do requests from @pdev to @peer turn at a switch, without meeting an IOMMU? */
static bool memclass_switched(struct pci_dev *pdev, struct pci_dev *peer)
{
	struct pci_dev *a, *b;

	for (a = pci_upstream_bridge(pdev); a; a = pci_upstream_bridge(a))
		for (b = pci_upstream_bridge(peer); b; b = pci_upstream_bridge(b))
			if (a == b)
				/* A root port is not a switch. */
				return pci_pcie_type(a) != PCI_EXP_TYPE_ROOT_PORT &&
				       !memclass_acs_redirects(pdev, a) &&
				       !memclass_acs_redirects(peer, a);
	return false;
}

/* Is @addr in BAR @i of @peer? If so, fill w->bar. */
static bool memclass_try_bar(struct memclass_walk *w, u64 addr, bool on_bus,
			     struct pci_dev *peer, int i)
{
	struct resource *res = &peer->resource[i];
	struct pci_bus_region region = { .start = res->start, .end = res->end };
	struct device *drive = &w->pdev->dev;

	/* The BAR must have been given addresses. */
	if (!(res->flags & IORESOURCE_MEM) || (res->flags & IORESOURCE_UNSET) ||
	    !resource_size(res))
		return false;
	if (on_bus)
		pcibios_resource_to_bus(peer->bus, &region, res);
	if (addr < region.start || addr > region.end)
		return false;

	w->bar = (struct memclass_bar) {
		.start = region.start,
		.end = region.end,
		.on_bus = on_bus,
		.nr = i,
		.pci = drw_pci_id(&peer->dev),
		.switched = memclass_switched(w->pdev, peer),
	};
	/* Without CONFIG_PCI_P2PDMA the kernel knows no route. */
	w->bar.routed = w->bar.switched ||
			pci_p2pdma_distance_many(peer, &drive, 1, false) >= 0;
	return true;
}

/* Find the BAR that contains @addr, physical or on the bus, and fill w->bar. */
static bool memclass_find_bar(struct memclass_walk *w, u64 addr, bool on_bus)
{
	struct pci_dev *peer = NULL;
	int i;

	if (w->bar.end && w->bar.on_bus == on_bus && addr >= w->bar.start && addr <= w->bar.end)
		return true;

	for_each_pci_dev(peer) {
		for (i = 0; i < PCI_STD_NUM_BARS; i++) {
			if (memclass_try_bar(w, addr, on_bus, peer, i)) {
				pci_dev_put(peer);
				return true;
			}
		}
	}
	return false;
}

static bool memclass_is_ram(struct memclass_walk *w, phys_addr_t phys)
{
	phys_addr_t chunk = ALIGN_DOWN(phys, SZ_2M);

	/* Zero means none: the first 2 MiB of a machine are never all RAM. */
	if (chunk && chunk == w->ram_chunk)
		return true;
	if (!page_is_ram(PHYS_PFN(phys)))
		return false;
	/* Memory resources are no finer than this in practice, so both ends are proof enough. */
	if (page_is_ram(PHYS_PFN(chunk)) && page_is_ram(PHYS_PFN(chunk + SZ_2M - 1)))
		w->ram_chunk = chunk;
	return true;
}

/* Add the class of one address to the result. @bar: for DMABUF_RW_CLASS_BAR, else NULL. */
static void memclass_add(struct memclass_walk *w, u32 class, const struct memclass_bar *bar)
{
	struct drw_memclass *mc = w->mc;
	u32 nr = bar ? bar->nr : 0;
	struct drw_pci_id pci = bar ? bar->pci : (struct drw_pci_id) { };

	if (class != DMABUF_RW_CLASS_BAR)
		mc->lacks |= DRW_LACKS_DEVICE_MEMORY;
	if (class == DMABUF_RW_CLASS_UNKNOWN)
		mc->lacks |= DRW_LACKS_IDENTITY;
	if (!w->seen) {
		w->seen = true;
		mc->class = class;
		mc->bar = nr;
		mc->bar_pci = pci;
	} else if (mc->class != class || mc->bar != nr || mc->bar_pci.domain != pci.domain ||
		   mc->bar_pci.id != pci.id) {
		mc->class = DMABUF_RW_CLASS_MIXED;
		mc->bar = 0;
		mc->bar_pci = (struct drw_pci_id) { };
	}
}

/* Check and classify one address, as the drive uses it. */
static int memclass_check_byte(struct memclass_walk *w, dma_addr_t addr,
			       struct drw_refusal *refusal)
{
	phys_addr_t phys;

	phys = w->domain ? iommu_iova_to_phys(w->domain, addr) : dma_to_phys(&w->pdev->dev, addr);
	if (w->domain && !phys) {
		/* Still usable if a switch forwards it before it meets the IOMMU. */
		if (!memclass_find_bar(w, addr, true) || !w->bar.switched)
			return drw_refuse(refusal, DMABUF_RW_REASON_NOT_TRANSLATED,
					  -EADDRNOTAVAIL);
		w->mc->iommu = DMABUF_RW_IOMMU_P2P_BUS;
		memclass_add(w, DMABUF_RW_CLASS_BAR, &w->bar);
	} else if (memclass_is_ram(w, phys)) {
		memclass_add(w, DMABUF_RW_CLASS_RAM, NULL);
	} else if (memclass_find_bar(w, phys, false)) {
		memclass_add(w, DMABUF_RW_CLASS_BAR, &w->bar);
		/* An IOMMU forwards what it translates. */
		if (!w->domain && !w->bar.routed)
			w->mc->lacks |= DRW_LACKS_ROUTE;
	} else {
		memclass_add(w, DMABUF_RW_CLASS_UNKNOWN, NULL);
	}
	return 0;
}

/* Consecutive bus addresses: check the first, the last, and each 2 MiB boundary between. */
static int memclass_check_range(struct memclass_walk *w, dma_addr_t addr, u64 len,
				struct drw_refusal *refusal)
{
	struct device *dev = &w->pdev->dev;
	dma_addr_t last = addr + len - 1, at;
	int ret;

	if (last < addr || last > dma_get_mask(dev))
		return drw_refuse(refusal, DMABUF_RW_REASON_NOT_TRANSLATED, -EADDRNOTAVAIL);
	/*
	 * With direct mapping, an address that needs sync lies in swiotlb memory, or the device is
	 * not coherent. Behind a translating IOMMU only coherence matters: page-sized memory is
	 * never bounced there.
	 */
	if (w->domain ? !dev_is_dma_coherent(dev) : dma_need_sync(dev, addr))
		return drw_refuse(refusal, DMABUF_RW_REASON_SWIOTLB, -EADDRNOTAVAIL);

	ret = memclass_check_byte(w, addr, refusal);
	for (at = ALIGN(addr + 1, SZ_2M); !ret && at > addr && at < last; at += SZ_2M)
		ret = memclass_check_byte(w, at, refusal);
	if (!ret && last != addr)
		ret = memclass_check_byte(w, last, refusal);
	return ret;
}

/**
 * drw_memclass_check() - check and classify the addresses of a mapped buffer
 * @dev: the drive's PCI function
 * @sgt: the exporter's table
 * @bytes: bytes of it that will be used
 * @mc: filled
 * @refusal: the cause, on failure
 *
 * Checks a few addresses of each segment. That is enough: exporters and IOMMU drivers map
 * segments as a whole.
 *
 * Return: 0, or -EADDRNOTAVAIL if the drive cannot reach the buffer.
 */
int drw_memclass_check(struct device *dev, struct sg_table *sgt, u64 bytes,
		       struct drw_memclass *mc, struct drw_refusal *refusal)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct memclass_walk w = { .pdev = to_pci_dev(dev), .mc = mc };
	struct scatterlist *sg;
	u64 left = bytes;
	int i;

	*mc = (struct drw_memclass) {
		.iommu = domain ? DMABUF_RW_IOMMU_PASSTHROUGH : DMABUF_RW_IOMMU_NONE,
	};
	if (domain && domain->type & __IOMMU_DOMAIN_PAGING) {
		mc->iommu = DMABUF_RW_IOMMU_TRANSLATED;
		w.domain = domain;
	}

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 len = min_t(u64, sg_dma_len(sg), left);
		int ret = len ? memclass_check_range(&w, sg_dma_address(sg), len, refusal) : 0;

		if (ret)
			return ret;
		left -= len;
		if (!left)
			break;
		if (!(i & 1023))
			cond_resched();
	}
	if (!w.seen)
		mc->lacks |= DRW_LACKS_DEVICE_MEMORY;
	return 0;
}

/**
 * drw_memclass_judge() - check that a binding accepts the buffer's memory
 * @mc: from drw_memclass_check()
 * @bind_flags: DMABUF_RW_BIND_* of the binding
 * @refusal: the cause, on failure
 *
 * Return: 0, -EXDEV or -EADDRNOTAVAIL.
 */
int drw_memclass_judge(const struct drw_memclass *mc, u64 bind_flags,
		       struct drw_refusal *refusal)
{
	u32 bad = READ_ONCE(mc->lacks) & drw_memclass_minds(bind_flags);

	if (bad & DRW_LACKS_DEVICE_MEMORY)
		return drw_refuse(refusal, DMABUF_RW_REASON_NOT_DEVICE_MEMORY, -EXDEV);
	if (bad & DRW_LACKS_IDENTITY)
		return drw_refuse(refusal, DMABUF_RW_REASON_UNKNOWN_ADDRESS, -EADDRNOTAVAIL);
	if (bad & DRW_LACKS_ROUTE)
		return drw_refuse(refusal, DMABUF_RW_REASON_NO_ROUTE, -EADDRNOTAVAIL);
	return 0;
}
