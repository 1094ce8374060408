// SPDX-License-Identifier: MIT
/*
 * describe.c - names and sentences for the module's report about a binding.
 *
 * Thread-safety: constant tables and the caller's buffers only.
 */
#include <stdio.h>

#include "private.h"

#define STR_(x) #x
#define STR(x) STR_(x)

DMABUF_RW_API const char *dmabuf_rw_version(void)
{
	return STR(DMABUF_RW_VERSION_MAJOR) "." STR(DMABUF_RW_VERSION_MINOR) "."
	       STR(DMABUF_RW_VERSION_PATCH);
}

static const char *name_of(const char *const *names, size_t nr, unsigned int value)
{
	return value < nr ? names[value] : "unknown";
}

#define NAME_OF(names, value) name_of(names, ARRAY_SIZE(names), value)

DMABUF_RW_API const char *dmabuf_rw_class_name(unsigned int mem_class)
{
	static const char *const names[] = {
		[DMABUF_RW_CLASS_UNKNOWN] = "unknown",
		[DMABUF_RW_CLASS_RAM] = "RAM",
		[DMABUF_RW_CLASS_BAR] = "BAR",
		[DMABUF_RW_CLASS_MIXED] = "mixed",
	};

	return NAME_OF(names, mem_class);
}

DMABUF_RW_API const char *dmabuf_rw_iommu_name(unsigned int iommu)
{
	static const char *const names[] = {
		[DMABUF_RW_IOMMU_NONE] = "none",
		[DMABUF_RW_IOMMU_PASSTHROUGH] = "passthrough",
		[DMABUF_RW_IOMMU_TRANSLATED] = "translated",
		[DMABUF_RW_IOMMU_P2P_BUS] = "bus-address",
	};

	return NAME_OF(names, iommu);
}

DMABUF_RW_API const char *dmabuf_rw_path_name(unsigned int path)
{
	enum { MODULE = DMABUF_RW_PATH_MODULE, KERNEL = DMABUF_RW_PATH_KERNEL,
	       BOUNCED = DMABUF_RW_PATH_BOUNCED };
	static const char *const names[] = {
		[DMABUF_RW_PATH_NONE] = "none",
		[MODULE] = "direct", [KERNEL] = "direct", [MODULE | KERNEL] = "direct",
		[BOUNCED] = "bounced",
		[BOUNCED | MODULE] = "mixed", [BOUNCED | KERNEL] = "mixed",
		[BOUNCED | MODULE | KERNEL] = "mixed",
	};

	return NAME_OF(names, path);
}

DMABUF_RW_API const char *dmabuf_rw_pci_name(uint32_t domain, uint32_t pci, char *buf,
					     size_t len)
{
	snprintf(buf, len, "%04x:%02x:%02x.%x", domain | pci >> 16, pci >> 8 & 0xff,
		 pci >> 3 & 0x1f, pci & 7);
	return buf;
}

/* A sentence if there is no route to describe; else null. */
static const char *without_route(const struct dmabuf_rw_info *info)
{
	if (info->flags & DMABUF_RW_INFO_BOUNCE_ONLY)
		return "not direct: every byte is copied through memory by the CPU";
	if (info->flags & DMABUF_RW_INFO_KERNEL)
		return "direct, by the kernel's own interface, which does not tell where the "
		       "buffer lies, nor by which route the drive reaches it";
	if (info->flags & DMABUF_RW_INFO_REVOKED)
		return "no transfer is possible: the exporter has revoked the buffer; export it "
		       "anew and bind again";
	return NULL;
}

DMABUF_RW_API size_t dmabuf_rw_info_describe(const struct dmabuf_rw_info *info,
					     char *buf, size_t len)
{
	static const char *const routes[] = {
		[DMABUF_RW_IOMMU_NONE] = "by physical address, with no IOMMU between",
		[DMABUF_RW_IOMMU_PASSTHROUGH] =
			"by physical address, the IOMMU passing it through",
		[DMABUF_RW_IOMMU_TRANSLATED] = "through the IOMMU's translation",
		[DMABUF_RW_IOMMU_P2P_BUS] =
			"by bus address below the PCIe switch that both share",
	};
	const char *route = info->iommu < ARRAY_SIZE(routes) ?
			    routes[info->iommu] : "by a route unknown to this library";
	const char *routeless = without_route(info);
	char drive[20], bar[20];
	int n;

	if (routeless) {
		n = snprintf(buf, len, "%s", routeless);
		return n < 0 ? 0 : n;
	}
	dmabuf_rw_pci_name(info->nvme_domain, info->nvme_pci, drive, sizeof(drive));
	switch (info->mem_class) {
	case DMABUF_RW_CLASS_BAR:
		dmabuf_rw_pci_name(info->bar_domain, info->bar_pci, bar, sizeof(bar));
		n = snprintf(buf, len,
			     "peer to peer: the drive %s reaches BAR %u of %s %s", drive,
			     info->bar, bar, route);
		break;
	case DMABUF_RW_CLASS_RAM:
		n = snprintf(buf, len,
			     "direct, but not peer to peer: the buffer is in system RAM; "
			     "the drive %s reaches it %s. For peer to peer, export "
			     "device memory (a PCI BAR or GPU memory)", drive, route);
		break;
	case DMABUF_RW_CLASS_MIXED:
		n = snprintf(buf, len,
			     "direct, partly peer to peer: the buffer lies in more than "
			     "one kind of memory; the drive %s reaches it %s. To insist on "
			     "device memory, bind with the device-memory flag", drive,
			     route);
		break;
	default:
		n = snprintf(buf, len,
			     "direct; whether peer to peer cannot be said: the buffer's "
			     "addresses are neither system RAM nor in a PCI BAR; the drive "
			     "%s reaches them %s", drive, route);
		break;
	}
	return n < 0 ? 0 : n;
}
