// SPDX-License-Identifier: MIT
/*
 * load_then_ring.c - a drive fills memory, and then tells a device to begin.
 *
 *	load_then_ring FILE OFFSET LENGTH VALUE-OFFSET PCI BAR REGISTER
 *
 * Reads LENGTH bytes of FILE at OFFSET into memory of the system heap, and then four bytes at
 * VALUE-OFFSET into a register of a PCI device that is bound to vfio-pci (Linux 6.19 or later).
 * Both are DMA of the drive; no CPU touches the device. If the first is not complete, the second
 * does not begin.
 *
 *	cc load_then_ring.c -ldmabuf_rw -luring
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libdmabuf_rw.h>
#include <liburing.h>
#include <linux/dma-heap.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int heap_buffer(uint64_t bytes)
{
	struct dma_heap_allocation_data request = { .len = bytes, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);

	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request))
		err(1, "/dev/dma_heap/system");
	close(heap);
	return request.fd;
}

/* Keep the device open: its BAR is exported only for as long. */
static int open_device(const char *pci)
{
	char path[64], link[256], *group_name;
	int container, group, device;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", pci);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		err(1, "%s", path);
	link[n] = 0;
	group_name = strrchr(link, '/') + 1;
	snprintf(path, sizeof(path), "/dev/vfio/%s", group_name);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (container < 0 || group < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))
		err(1, "%s: is %s bound to vfio-pci?", path, pci);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, pci);
	if (device < 0)
		err(1, "%s", pci);
	return device;
}

/* Exports the page of the BAR with the register. */
static int export_page(int device, uint32_t bar, uint64_t offset)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf get;
		struct vfio_region_dma_range range;
	} request = {
		.feature = { .argsz = sizeof(request),
			     .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		.get = { .region_index = bar, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 },
		.range = { .offset = offset, .length = 4096 },
	};
	uint16_t command;
	int dmabuf;

	/* A BAR answers only while the device decodes memory addresses. */
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pread(device, &command, 2, config.offset + 4) != 2)
		err(1, "configuration space");
	command |= 2;
	if (pwrite(device, &command, 2, config.offset + 4) != 2)
		err(1, "configuration space");
	dmabuf = ioctl(device, VFIO_DEVICE_FEATURE, &request);
	if (dmabuf < 0)
		err(1, "vfio-pci exports no dma-buf of BAR %u", bar);
	return dmabuf;
}

static struct dmabuf_rw_binding *join(struct dmabuf_rw_device *module, int dmabuf, int file)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_binding *binding;
	char text[1024];

	if (dmabuf_rw_binding_create(module, dmabuf, file, &opts, &binding)) {
		dmabuf_rw_error_format(&error, text, sizeof(text));
		errx(1, "%s", text);
	}
	return binding;
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
	struct dmabuf_rw_binding *data, *doorbell;
	struct dmabuf_rw_device *module;
	struct io_uring_sqe *load, *then;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int file, device, ret, failed = 0;
	uint64_t reg;

	if (argc != 8)
		errx(2, "usage: load_then_ring FILE OFFSET LENGTH VALUE-OFFSET PCI BAR REGISTER");
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", argv[1]);
	ret = dmabuf_rw_device_open(NULL, &module);
	if (ret)
		errx(1, "/dev/dmabuf_rw: %s", strerror(-ret));
	reg = number(argv[7]);
	device = open_device(argv[5]);
	data = join(module, heap_buffer(number(argv[3])), file);
	doorbell = join(module, export_page(device, number(argv[6]), reg & ~4095ULL), file);

	ret = io_uring_queue_init(2, &ring, 0);
	if (ret)
		errx(1, "io_uring: %s", strerror(-ret));
	load = io_uring_get_sqe(&ring);
	dmabuf_rw_prep_read(load, data, number(argv[2]), 0, number(argv[3]), DMABUF_RW_IO_WHOLE);
	io_uring_sqe_set_data64(load, 0);
	/* DMABUF_RW_IO_WHOLE makes a short load an error, which breaks the link. */
	load->flags |= IOSQE_IO_LINK;
	then = io_uring_get_sqe(&ring);
	dmabuf_rw_prep_read(then, doorbell, number(argv[4]), reg & 4095, 4, DMABUF_RW_IO_WHOLE);
	io_uring_sqe_set_data64(then, 1);
	ret = io_uring_submit(&ring);
	if (ret != 2)
		errx(1, "io_uring: %s", ret < 0 ? strerror(-ret) : "not all was taken");
	for (int i = 0; i < 2; i++) {
		ret = io_uring_wait_cqe(&ring, &cqe);
		if (ret)
			errx(1, "io_uring: %s", strerror(-ret));
		printf("%s: %s\n", cqe->user_data ? "ring" : "load",
		       cqe->res < 0 ? strerror(-cqe->res) : "done, by the drive");
		failed |= cqe->res < 0;
		io_uring_cqe_seen(&ring, cqe);
	}
	return failed;
}
