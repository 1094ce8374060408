// SPDX-License-Identifier: MIT
/*
 * buffer_vfio.c - a PCI BAR as a dma-buf, from the in-tree vfio-pci driver.
 *
 * The administrator binds the device to vfio-pci; if that or anything else is missing, the error
 * says what to type. The device is opened through its IOMMU group and a container or, on kernels
 * without containers, through its own node and iommufd. (Debian's cloud kernels have no iommufd, so
 * the project's machines test only the first way.) The dma-buf works only while the device is open,
 * so buffer_close() closes all descriptors together.
 *
 * Opening resets most devices, and closing the last descriptor revokes the dma-buf.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "buffer_kind.h"

/* Kernel 6.6; missing from older headers. */
#ifndef VFIO_DEVICE_BIND_IOMMUFD
struct vfio_device_bind_iommufd {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
};
#define VFIO_DEVICE_BIND_IOMMUFD	_IO(VFIO_TYPE, VFIO_BASE + 18)
#endif

/* Kernel 6.19; missing from older headers. */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
#define VFIO_DEVICE_FEATURE_DMA_BUF	11

struct vfio_region_dma_range {
	__u64 offset;
	__u64 length;
};

struct vfio_device_feature_dma_buf {
	__u32 region_index;
	__u32 open_flags;
	__u32 flags;
	__u32 nr_ranges;
	struct vfio_region_dma_range dma_ranges[];
};
#endif

/* The first byte of a class, as in the kernel's pci_ids.h. */
#define PCI_BASE_CLASS_STORAGE	0x01

#define SYSFS "/sys/bus/pci/devices/"

static int parse(const char *text, struct buffer_spec *spec, char **why)
{
	unsigned int domain = 0, bus, device, function;
	const char *slash = strchr(text, '/');
	char pci[16];
	int n = -1;

	if (!slash || (size_t)(slash - text) >= sizeof(pci))
		return buffer_fail(why, EINVAL, "'vfio:%s' is not a buffer: write "
				   "vfio:dddd:bb:dd.f/BAR, for instance "
				   "vfio:0000:00:05.0/2", text);
	memcpy(pci, text, slash - text);
	pci[slash - text] = 0;

	if (!(sscanf(pci, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function,
		     &n) == 4 && n > 0 && !pci[n])) {
		domain = 0;
		n = -1;
		if (!(sscanf(pci, "%2x:%2x.%1x%n", &bus, &device, &function, &n) == 3 &&
		      n > 0 && !pci[n]))
			n = -1;
	}
	/* sscanf() also accepts blanks and signs. */
	if (n < 0 || pci[strspn(pci, "0123456789abcdefABCDEF:.")])
		return buffer_fail(why, EINVAL, "'%s' is not a PCI address: write dddd:bb:dd.f "
				   "as lspci -D does", pci);
	if (device > 0x1f || function > 7)
		return buffer_fail(why, EINVAL, "'%s' is not a PCI address: the device "
				   "goes to 1f and the function to 7", pci);
	if (slash[1] < '0' || slash[1] > '5' || slash[2])
		return buffer_fail(why, EINVAL, "'%s' is not a BAR: write a number from "
				   "0 to 5", slash + 1);
	snprintf(spec->name, sizeof(spec->name), "%04x:%02x:%02x.%x", domain, bus,
		 device, function);
	spec->bar = slash[1] - '0';
	return 0;
}

static char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Allocated; null: no memory. */
static char *path_of(const char *format, ...)
{
	va_list ap;
	char *path;
	int n;

	va_start(ap, format);
	n = vasprintf(&path, format, ap);
	va_end(ap);
	return n < 0 ? NULL : path;
}

static int open_path(const char *path)
{
	if (path)
		return open(path, O_RDWR | O_CLOEXEC);
	errno = ENOMEM;
	return -1;
}

/* Allocated last component of the symbolic link SYSFS/@pci/@name; null: none. */
static char *link_name(const char *pci, const char *name)
{
	char *path = path_of(SYSFS "%s/%s", pci, name);
	char target[PATH_MAX];
	const char *slash;
	ssize_t n;

	n = path ? readlink(path, target, sizeof(target) - 1) : -1;
	free(path);
	if (n < 0)
		return NULL;
	target[n] = 0;
	slash = strrchr(target, '/');
	return strdup(slash ? slash + 1 : target);
}

/* The device's base class, the highest byte of its class; -1: unknown. */
static int class_of(const char *pci)
{
	char *path = path_of(SYSFS "%s/class", pci);
	FILE *f = path ? fopen(path, "re") : NULL;
	unsigned int class;
	int base = -1;

	if (f && fscanf(f, "%x", &class) == 1)
		base = class >> 16 & 0xff;
	if (f)
		fclose(f);
	free(path);
	return base;
}

/* Gives the commands to type, except for a device that may hold the system's disk. */
char *vfio_foreign_driver(const char *pci, const char *driver, int class)
{
	if (class == PCI_BASE_CLASS_STORAGE)
		return path_of("%s is a storage controller that belongs to the driver %s: without it "
			       "its disks are gone, and the system may run from them (lsblk shows "
			       "what is mounted). Name a device that nobody needs", pci, driver);
	return path_of("%s belongs to the driver %s, not to vfio-pci, and whatever uses it through "
		       "that driver (a network, a display) loses it at once. If nothing does: "
		       "modprobe vfio-pci; echo vfio-pci > " SYSFS "%s/driver_override; echo %s > "
		       SYSFS "%s/driver/unbind; echo %s > /sys/bus/pci/drivers_probe", pci, driver,
		       pci, pci, pci, pci);
}

static int check_driver(const char *pci, char **why)
{
	char *path = path_of(SYSFS "%s", pci), *driver;
	int ret = path ? access(path, F_OK) : -1;

	free(path);
	if (ret)
		return buffer_fail(why, ENODEV, "there is no PCI device %s: lspci -D "
				   "shows those that there are", pci);
	driver = link_name(pci, "driver");
	if (!driver)
		return buffer_fail(why, ENODEV, "%s has no driver: modprobe vfio-pci; echo "
				   "vfio-pci > " SYSFS "%s/driver_override; echo %s > "
				   "/sys/bus/pci/drivers_probe", pci, pci, pci);
	if (strcmp(driver, "vfio-pci")) {
		*why = vfio_foreign_driver(pci, driver, class_of(pci));
		ret = -EBUSY;
	}
	free(driver);
	return ret;
}

static int open_by_group(struct buffer *b, const char *path, char **why)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	const char *pci = b->spec.name;
	int err;

	b->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (b->container < 0) {
		err = errno;
		return buffer_fail(why, err, "/dev/vfio/vfio cannot be opened (%s): %s",
				   strerror(err), err == EACCES ? "run as root" :
				   "modprobe vfio_iommu_type1");
	}
	b->group = open_path(path);
	if (b->group < 0) {
		err = errno;
		return buffer_fail(why, err, "%s cannot be opened (%s): %s", path,
				   strerror(err), err == EBUSY ?
				   "another process has the device; end that first" :
				   "run as root, or have the node given to this user");
	}
	if (ioctl(b->group, VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return buffer_fail(why, EBUSY, "the IOMMU group of %s has devices that belong "
				   "to other drivers, and goes as a whole: every device in " SYSFS
				   "%s/iommu_group/devices would have to be bound to vfio-pci, "
				   "and be lost to who uses it. See what they are (lspci -s) "
				   "before", pci, pci);
	if (ioctl(b->group, VFIO_GROUP_SET_CONTAINER, &b->container)) {
		err = errno;
		return buffer_fail(why, err, "%s cannot be put into a container (%s): see the "
				   "kernel log", path, strerror(err));
	}
	if (ioctl(b->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		err = errno;
		return buffer_fail(why, err, "vfio will not use the IOMMU (%s): %s",
				   strerror(err), err == EPERM ?
				   "interrupt remapping is off; if that risk is taken, "
				   "modprobe vfio_iommu_type1 allow_unsafe_interrupts=1" :
				   "modprobe vfio_iommu_type1");
	}
	b->device = ioctl(b->group, VFIO_GROUP_GET_DEVICE_FD, pci);
	if (b->device < 0) {
		err = errno;
		return buffer_fail(why, err, "vfio-pci will not open %s (%s): see the "
				   "kernel log", pci, strerror(err));
	}
	return 0;
}

/* Allocated path of the device's own node; null: none. */
static char *node_path(const char *pci)
{
	char *path = path_of(SYSFS "%s/vfio-dev", pci), *node = NULL;
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && !node && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4))
			node = path_of("/dev/vfio/devices/%s", entry->d_name);
	if (dir)
		closedir(dir);
	free(path);
	return node;
}

static int open_by_node(struct buffer *b, const char *path, char **why)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	int err;

	if (!path)
		return buffer_fail(why, ENOENT, "the kernel gives %s neither a group nor a "
				   "node of its own: it needs VFIO_GROUP or "
				   "VFIO_DEVICE_CDEV", b->spec.name);
	b->container = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (b->container < 0) {
		err = errno;
		return buffer_fail(why, err, "/dev/iommu cannot be opened (%s): %s",
				   strerror(err), err == EACCES ? "run as root" :
				   "modprobe iommufd");
	}
	b->device = open_path(path);
	if (b->device < 0) {
		err = errno;
		return buffer_fail(why, err, "%s cannot be opened (%s): %s", path,
				   strerror(err), err == EBUSY ?
				   "another process has the device; end that first" :
				   "run as root, or have the node given to this user");
	}
	bind.iommufd = b->container;
	if (ioctl(b->device, VFIO_DEVICE_BIND_IOMMUFD, &bind)) {
		err = errno;
		return buffer_fail(why, err, "iommufd will not take %s (%s): %s",
				   b->spec.name, strerror(err), err == EPERM ?
				   "interrupt remapping is off; if that risk is taken, "
				   "modprobe iommufd allow_unsafe_interrupts=1" :
				   "see the kernel log");
	}
	return 0;
}

/* vfio revokes the dma-buf of a BAR while the device's memory decoding is off. */
static int enable_memory(struct buffer *b, char **why)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command;

	if (ioctl(b->device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pread(b->device, &command, 2, config.offset + PCI_COMMAND) != 2)
		return buffer_fail(why, EIO, "the configuration of %s cannot be read: see "
				   "the kernel log", b->spec.name);
	if (command & PCI_COMMAND_MEMORY)
		return 0;
	command |= PCI_COMMAND_MEMORY;
	if (pwrite(b->device, &command, 2, config.offset + PCI_COMMAND) != 2)
		return buffer_fail(why, EIO, "the memory of %s cannot be enabled: see the "
				   "kernel log", b->spec.name);
	return 0;
}

static int export_bar(struct buffer *b, char **why)
{
	struct vfio_region_info region = {
		.argsz = sizeof(region),
		.index = b->spec.bar,
	};
	union {
		struct vfio_device_feature feature;
		char bytes[sizeof(struct vfio_device_feature) +
			   sizeof(struct vfio_device_feature_dma_buf) +
			   sizeof(struct vfio_region_dma_range)];
	} arg = { 0 };
	struct vfio_device_feature_dma_buf *dma_buf = (void *)arg.feature.data;
	const char *pci = b->spec.name;
	long page = sysconf(_SC_PAGESIZE);
	int err;

	if (ioctl(b->device, VFIO_DEVICE_GET_REGION_INFO, &region)) {
		err = errno;
		return buffer_fail(why, err, "BAR %u of %s cannot be asked for (%s): see "
				   "the kernel log", b->spec.bar, pci, strerror(err));
	}
	if (!region.size)
		return buffer_fail(why, ENODEV, "%s has no BAR %u: lspci -v -s %s shows "
				   "those that it has", pci, b->spec.bar, pci);
	if (region.size % page)
		return buffer_fail(why, EINVAL, "BAR %u of %s has %llu bytes, less than a "
				   "page: choose a larger one", b->spec.bar, pci,
				   (unsigned long long)region.size);
	b->region_offset = region.offset;
	b->region_mmap = region.flags & VFIO_REGION_INFO_FLAG_MMAP;

	arg.feature.argsz = sizeof(arg);
	arg.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	dma_buf->region_index = b->spec.bar;
	dma_buf->open_flags = O_RDWR | O_CLOEXEC;
	dma_buf->nr_ranges = 1;
	dma_buf->dma_ranges[0].length = region.size;
	b->fd = ioctl(b->device, VFIO_DEVICE_FEATURE, &arg);
	if (b->fd >= 0)
		return 0;

	err = errno;
	b->fd = -1;
	if (err == ENOTTY || err == EOPNOTSUPP)
		return buffer_fail(why, err, "this kernel's vfio-pci does not export BARs as "
				   "dma-bufs: it takes version 6.19 or later with "
				   "CONFIG_VFIO_PCI_DMABUF");
	if (err == EINVAL || err == ENODEV)
		return buffer_fail(why, err, "BAR %u of %s is not memory that can be "
				   "exported (%s): lspci -v -s %s shows its kind",
				   b->spec.bar, pci, strerror(err), pci);
	return buffer_fail(why, err, "BAR %u of %s cannot be exported (%s): see the kernel "
			   "log", b->spec.bar, pci, strerror(err));
}

static int open_bar(struct buffer *b, char **why)
{
	const char *pci = b->spec.name;
	char *group, *path;
	int ret;

	ret = check_driver(pci, why);
	if (ret)
		return ret;

	group = link_name(pci, "iommu_group");
	if (!group)
		return buffer_fail(why, ENODEV, "%s is behind no IOMMU, which vfio-pci "
				   "needs: enable it in the firmware, and boot with "
				   "intel_iommu=on (Intel)", pci);
	path = path_of("/dev/vfio/%s", group);
	free(group);
	if (path && !access("/dev/vfio/vfio", F_OK) && !access(path, F_OK)) {
		ret = open_by_group(b, path, why);
	} else {
		free(path);
		path = node_path(pci);
		ret = open_by_node(b, path, why);
	}
	free(path);
	if (!ret)
		ret = enable_memory(b, why);
	if (!ret)
		ret = export_bar(b, why);
	return ret;
}

/* The CPU's view of a BAR is vfio's region, uncached. */
static int map_bar(struct buffer *b, char **why)
{
	void *map;
	int err;

	if (!b->region_mmap)
		return buffer_fail(why, EINVAL, "vfio-pci gives the CPU no view of BAR %u of "
				   "%s, so its contents cannot be checked here: leave that "
				   "option out", b->spec.bar, b->spec.name);
	map = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, b->device,
		   b->region_offset);
	if (map == MAP_FAILED) {
		err = errno;
		return buffer_fail(why, err, "BAR %u of %s cannot be mapped for the CPU "
				   "(%s): leave out the option that checks its contents",
				   b->spec.bar, b->spec.name, strerror(err));
	}
	b->map = map;
	return 0;
}

static void close_device(struct buffer *b)
{
	if (b->device >= 0)
		close(b->device);
	if (b->group >= 0)
		close(b->group);
	if (b->container >= 0)
		close(b->container);
	b->device = -1;
	b->group = -1;
	b->container = -1;
}

const struct buffer_kind buffer_vfio = {
	.prefix = "vfio:", .form = "vfio:PCI/BAR",
	.summary = "a BAR of a PCI device bound to vfio-pci",
	.parse = parse, .open = open_bar, .map = map_bar, .close = close_device,
};
