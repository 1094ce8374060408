// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_bar.c - a PCI device under vfio-pci; see vfio_bar.h.
 *
 * Needs an IOMMU (the stock kernels have no mode without) and, for the export, kernel
 * 6.19 with CONFIG_VFIO_PCI_DMABUF. The machine binds the device to vfio-pci at boot;
 * tests of the mock may have taken it away since, so binding is done again.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk.h"
#include "vfio_bar.h"

static bool has_driver(const char *pci, const char *driver)
{
	char link[128], target[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/driver", pci);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	return !strcmp(strrchr(target, '/') + 1, driver);
}

void vfio_bar_release(const char *pci)
{
	/* The device may be still in use by the file of a test that just ended. */
	for (int i = 0; i < 100 && has_driver(pci, "vfio-pci"); i++) {
		spit(pci, "/sys/bus/pci/drivers/vfio-pci/unbind");
		if (has_driver(pci, "vfio-pci"))
			usleep(20000);
	}
}

void vfio_bar_claim(const char *pci)
{
	if (has_driver(pci, "vfio-pci"))
		return;
	spit("vfio-pci", "/sys/bus/pci/devices/%s/driver_override", pci);
	OK(spit(pci, "/sys/bus/pci/drivers_probe"));
	CHECK(has_driver(pci, "vfio-pci"), "vfio-pci did not take %s", pci);
}

static int open_group(const char *pci)
{
	char link[128], target[PATH_MAX], path[64];
	ssize_t n;
	int fd;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", pci);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		skip("no IOMMU, which vfio-pci needs");
	target[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	/* One opener at a time: the test before may still be going away. */
	for (int i = 0; i < 100; i++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 || errno != EBUSY)
			break;
		usleep(20000);
	}
	return SYS(fd);
}

/*
 * A BAR is only exported while the device's memory decoding is on. An interrupt is a write to
 * memory by the device.
 */
static void enable_device(int device)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	u16 command;

	SYS(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config));
	CHECK_EQ(pread(device, &command, 2, config.offset + PCI_COMMAND), 2);
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	CHECK_EQ(pwrite(device, &command, 2, config.offset + PCI_COMMAND), 2);
}

void vfio_bar_open(struct vfio_bar *bar)
{
	vfio_bar_open_of(bar, machine_var("DRW_BAR_PCI"), atoi(machine_var("DRW_BAR_INDEX")));
}

void vfio_bar_open_of(struct vfio_bar *bar, const char *pci, u32 index)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	int container, group;

	if (!machine_has_iommu())
		skip("no IOMMU, which vfio-pci needs");
	if (access("/sys/bus/pci/drivers/vfio-pci", F_OK))
		skip("vfio-pci is not loaded");
	vfio_bar_claim(pci);
	bar->pci = pci_number(pci);
	bar->index = index;

	container = SYS(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
	group = open_group(pci);
	SYS(ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		skip("the device's IOMMU group is not viable");
	SYS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	SYS(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
	bar->device = SYS(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, pci));
	enable_device(bar->device);

	region.index = bar->index;
	SYS(ioctl(bar->device, VFIO_DEVICE_GET_REGION_INFO, &region));
	bar->bytes = region.size;
	bar->map = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, bar->device,
			region.offset);
	CHECK(bar->map != MAP_FAILED, "mmap of the BAR: %s", strerror(errno));
}

const char *vfio_bar_name(void)
{
	static char name[64];

	if (!machine_has_iommu())
		skip("vfio-pci needs an IOMMU");
	if (atof(machine_var("DRW_KERNEL")) < 6.19)
		skip("vfio-pci exports no BARs before 6.19");
	vfio_bar_claim(machine_var("DRW_BAR_PCI"));
	snprintf(name, sizeof(name), "vfio:%s/%s", machine_var("DRW_BAR_PCI"),
		 machine_var("DRW_BAR_INDEX"));
	return name;
}

int vfio_bar_export(const struct vfio_bar *bar, u64 off, u64 len)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf get;
		struct vfio_region_dma_range range;
	} req = {
		.feature = {
			.argsz = sizeof(req),
			.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		},
		.get = {
			.region_index = bar->index,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = 1,
		},
		.range = { .offset = off, .length = ROUND_UP(len, 4096) },
	};
	int fd = ioctl(bar->device, VFIO_DEVICE_FEATURE, &req);

	if (fd < 0 && errno == ENOTTY)
		skip("this kernel's vfio-pci exports no dma-buf");
	return SYS(fd);
}
