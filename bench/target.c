// SPDX-License-Identifier: GPL-2.0
/*
 * target.c - the dma-bufs of the benchmark.
 *
 * Targets stay open until the program ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/udmabuf.h>
#include <linux/vfio.h>

#include "../tests/kmod/dmabuf_rw_mock.h"
#include "bench.h"

static const char *machine_var(const char *name)
{
	const char *value = getenv(name);

	if (!value || !*value)
		die("the machine does not say its %s", name);
	return value;
}

static void open_named(struct target *t, const char *text)
{
	struct buffer_spec spec;
	char *why = NULL;

	if (buffer_parse(text, &spec, &why) || buffer_open(&t->buffer, &spec, &why) ||
	    buffer_map(&t->buffer, &why))
		die("%s: %s", text, why ? why : "no memory");
	t->fd = t->buffer.fd;
	t->bytes = t->buffer.size;
	t->map = t->buffer.map;
}

static int mock_bar(u64 bytes)
{
	struct mock_create args = { .kind = MOCK_BAR, .bytes = bytes };
	unsigned int domain, bus, device, function;
	const char *pci = machine_var("DRW_BAR_PCI");
	int node, fd;

	if (sscanf(pci, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
		die("'%s' is not a PCI address", pci);
	args.pci = domain << 16 | bus << 8 | device << 3 | function;
	args.bar = atoi(machine_var("DRW_BAR_INDEX"));
	node = open(MOCK_DEVICE, O_RDWR | O_CLOEXEC);
	if (node < 0)
		die("%s: %s", MOCK_DEVICE, strerror(errno));
	fd = ioctl(node, MOCK_IOC_CREATE, &args);
	if (fd < 0)
		die("the mock exporter gives no %llu bytes of BAR %u: %s",
		    (unsigned long long)bytes, args.bar, strerror(errno));
	close(node);
	return fd;
}

static void map_whole(struct target *t, int fd)
{
	t->map = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->map == MAP_FAILED)
		die("%s cannot be mapped: %s", t->name, strerror(errno));
}

void target_open_bar(struct target *t)
{
	const char *pci = machine_var("DRW_BAR_PCI");
	const char *bar = machine_var("DRW_BAR_INDEX");
	char text[128];

	*t = (struct target){ .name = "bar", .fd = -1 };
	snprintf(text, sizeof(text), "/sys/bus/pci/devices/%s/iommu_group", pci);
	if (!access(text, F_OK)) {
		t->exporter = "vfio-pci";
		t->mapping = "mmap of the VFIO region, uncached";
		snprintf(text, sizeof(text), "vfio:%s/%s", pci, bar);
		open_named(t, text);
	} else {
		t->exporter = "mock";
		t->mapping = "mmap of the dma-buf, write-combining";
		t->bytes = strtoull(machine_var("DRW_BAR_MB"), NULL, 10) * MiB;
		t->fd = mock_bar(t->bytes);
		map_whole(t, t->fd);
	}
}

int target_bar_part(const struct target *bar, u64 bytes)
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
			.region_index = bar->buffer.spec.bar,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = 1,
		},
		.range = { .length = bytes },
	};
	int fd;

	if (!strcmp(bar->exporter, "mock"))
		return mock_bar(bytes);
	fd = ioctl(bar->buffer.device, VFIO_DEVICE_FEATURE, &req);
	if (fd < 0)
		die("vfio-pci exports no part of the BAR: %s", strerror(errno));
	return fd;
}

void populate_scattered(u8 *map, u64 bytes)
{
	u64 pages = bytes / 4096, i, k, random = 88172645463325252ULL;
	u32 *order = calloc(pages, sizeof(*order));

	if (!order)
		die("no memory");
	for (i = 0; i < pages; i++)
		order[i] = i;
	for (i = pages - 1; i; i--) {
		u32 other;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		k = random % (i + 1);
		other = order[k];
		order[k] = order[i];
		order[i] = other;
	}
	for (i = 0; i < pages; i++)
		*(volatile u8 *)(map + order[i] * 4096ULL) = 0;
	free(order);
}

void target_open_udmabuf(struct target *t, u64 bytes)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = bytes };
	int node = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int memfd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	*t = (struct target){ .name = "udmabuf", .exporter = "udmabuf", .bytes = bytes,
			      .mapping = "mmap of the memfd, cached" };
	if (node < 0)
		die("/dev/udmabuf: %s", strerror(errno));
	if (memfd < 0 || ftruncate(memfd, bytes) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		die("memfd: %s", strerror(errno));
	map_whole(t, memfd);
	populate_scattered(t->map, bytes);
	create.memfd = memfd;
	t->fd = ioctl(node, UDMABUF_CREATE, &create);
	if (t->fd < 0)
		die("udmabuf: %s", strerror(errno));
	close(memfd);
	close(node);
}

void target_open_heap(struct target *t, u64 bytes)
{
	char text[64];

	*t = (struct target){ .name = "heap", .exporter = "system heap", .fd = -1,
			      .mapping = "mmap of the dma-buf, cached" };
	snprintf(text, sizeof(text), "heap:system:%lluM", (unsigned long long)(bytes / MiB));
	open_named(t, text);
}
