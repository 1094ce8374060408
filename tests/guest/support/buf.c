// SPDX-License-Identifier: GPL-2.0
/*
 * buf.c - buffers of every exporter, and their content; see buf.h.
 *
 * The exporters of the mock differ in layout:
 *
 *   mock_contiguous	one chunk as far as memory allows (4 MiB)
 *   mock_scattered	pages in falling order: no two neighbours are contiguous
 *   mock_mixed		runs of pages with gaps between them, dynamic exporter
 *   mock_512		512-byte chunks at odd places: more chunks than pages
 *   mock_dword		chunks of odd multiples of 4: nothing that a PRP list can say
 *   mock_bar		one chunk in a PCI BAR
 *   mock_bar_mixed	runs of pages in a BAR
 */
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <dmabuf_rw.h>
#include "buf.h"
#include "data.h"
#include "disk.h"
#include "vfio_bar.h"

static void map_buf(struct buf *buf, int fd)
{
	buf->map = mmap(NULL, buf->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(buf->map != MAP_FAILED, "%s: %s", buf->exporter->name, strerror(errno));
}

static void create_udmabuf(struct buf *buf)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC };
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	if (dev < 0)
		skip("/dev/udmabuf: %s", strerror(errno));
	/* The default limit is smaller than the largest transfer of these tests. */
	spit("256", "/sys/module/udmabuf/parameters/size_limit_mb");
	buf->helper_fd = SYS(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	create.size = ROUND_UP(buf->bytes, 4096);
	SYS(ftruncate(buf->helper_fd, create.size));
	SYS(fcntl(buf->helper_fd, F_ADD_SEALS, F_SEAL_SHRINK));
	create.memfd = buf->helper_fd;
	buf->fd = SYS(ioctl(dev, UDMABUF_CREATE, &create));
	close(dev);
	map_buf(buf, buf->helper_fd);
}

static void allocate_heap(struct buf *buf, int mode)
{
	struct dma_heap_allocation_data data = {
		.len = buf->bytes,
		.fd_flags = mode | O_CLOEXEC,
	};
	int dev = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);

	if (dev < 0)
		skip("/dev/dma_heap/system: %s", strerror(errno));
	SYS(ioctl(dev, DMA_HEAP_IOCTL_ALLOC, &data));
	close(dev);
	buf->fd = data.fd;
	buf->sync = true;
}

static void create_heap(struct buf *buf)
{
	allocate_heap(buf, O_RDWR);
	map_buf(buf, buf->fd);
}

static void create_vfio(struct buf *buf)
{
	struct vfio_bar bar;

	vfio_bar_open(&bar);
	if (buf->bytes > bar.bytes)
		skip("the BAR has only %llu bytes", (unsigned long long)bar.bytes);
	buf->fd = vfio_bar_export(&bar, 0, buf->bytes);
	buf->map = bar.map;
	buf->helper_fd = bar.device;
}

int mock_device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(MOCK_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		FAIL("%s: %s", MOCK_DEVICE, strerror(errno));
	return fd;
}

static void create_mock(struct buf *buf)
{
	struct mock_create args = buf->exporter->args;

	if (args.kind == MOCK_BAR) {
		struct mock_create bar = mock_bar_args(buf->bytes);

		args.pci = bar.pci;
		args.bar = bar.bar;
	}
	args.bytes = buf->bytes;
	buf->fd = SYS(ioctl(mock_device(), MOCK_IOC_CREATE, &args));
}

const struct exporter exporter_udmabuf = {
	.name = "udmabuf", .mem_class = DMABUF_RW_CLASS_RAM, .create = create_udmabuf,
};

const struct exporter exporter_heap = {
	.name = "system_heap", .mem_class = DMABUF_RW_CLASS_RAM, .create = create_heap,
};

const struct exporter exporter_vfio = {
	.name = "vfio_bar", .mem_class = DMABUF_RW_CLASS_BAR, .create = create_vfio,
};

const struct exporter exporter_mock_contiguous = {
	.name = "mock_contiguous", .mem_class = DMABUF_RW_CLASS_RAM, .mock = true,
	.create = create_mock, .args = { .flags = MOCK_DYNAMIC },
};

const struct exporter exporter_mock_scattered = {
	.name = "mock_scattered", .mem_class = DMABUF_RW_CLASS_RAM, .mock = true,
	.create = create_mock,
	.args = { .flags = MOCK_REVERSE, .nr_pattern = 1, .pattern = { 4096 } },
};

static const struct exporter mock_mixed = {
	.name = "mock_mixed", .mem_class = DMABUF_RW_CLASS_RAM, .mock = true,
	.create = create_mock,
	.args = { .flags = MOCK_DYNAMIC, .nr_pattern = 4, .gap = 4096,
		  .pattern = { 4096, 8192, 65536, 12288 } },
};

static const struct exporter mock_512 = {
	.name = "mock_512", .mem_class = DMABUF_RW_CLASS_RAM, .mock = true, .odd = true,
	.max = 8 * MiB, .create = create_mock,
	.args = { .nr_pattern = 1, .pattern = { 512 }, .align = 512, .gap = 512 },
};

static const struct exporter mock_dword = {
	.name = "mock_dword", .mem_class = DMABUF_RW_CLASS_RAM, .mock = true, .odd = true,
	.max = 8 * MiB, .create = create_mock,
	.args = { .nr_pattern = 7, .align = 4, .gap = 4,
		  .pattern = { 520, 4, 4092, 8, 65532, 12, 1028 } },
};

const struct exporter exporter_mock_bar = {
	.name = "mock_bar", .mem_class = DMABUF_RW_CLASS_BAR, .mock = true,
	.create = create_mock, .args = { .kind = MOCK_BAR },
};

static const struct exporter mock_bar_mixed = {
	.name = "mock_bar_mixed", .mem_class = DMABUF_RW_CLASS_BAR, .mock = true,
	.max = 32 * MiB, .create = create_mock,
	.args = { .kind = MOCK_BAR, .flags = MOCK_DYNAMIC, .nr_pattern = 3, .gap = 4096,
		  .pattern = { 65536, 4096, 16384 } },
};

const struct exporter *const exporters[] = {
	&exporter_udmabuf, &exporter_heap, &exporter_vfio, &exporter_mock_contiguous,
	&exporter_mock_scattered, &mock_mixed, &mock_512, &mock_dword, &exporter_mock_bar,
	&mock_bar_mixed,
};
const size_t nr_exporters = ARRAY_SIZE(exporters);

/* Buffers with other chunks than whole pages, by descriptor. */
static bool odd_fds[1024];

static void note_odd(int fd, bool odd)
{
	CHECK(fd < (int)ARRAY_SIZE(odd_fds));
	odd_fds[fd] = odd;
}

bool buf_has_whole_pages(int fd)
{
	return fd < 0 || fd >= (int)ARRAY_SIZE(odd_fds) || !odd_fds[fd];
}

void buf_create(struct buf *buf, const struct exporter *exporter, u64 bytes)
{
	*buf = (struct buf){ .exporter = exporter, .fd = -1, .bytes = bytes,
			     .helper_fd = -1 };
	CHECK(!exporter->max || bytes <= exporter->max, "%s", exporter->name);
	exporter->create(buf);
	note_odd(buf->fd, exporter->odd);
}

void buf_create_heap(struct buf *buf, u64 bytes, int mode)
{
	*buf = (struct buf){ .exporter = &exporter_heap, .fd = -1, .bytes = bytes,
			     .helper_fd = -1 };
	allocate_heap(buf, mode);
	note_odd(buf->fd, false);
	/* The CPU sees it only where its descriptor allows. */
	if (mode == O_RDWR)
		map_buf(buf, buf->fd);
}

void buf_create_mock(struct buf *buf, const struct mock_create *args)
{
	static const struct exporter custom = { .name = "mock", .mock = true };
	bool odd = false;

	*buf = (struct buf){ .exporter = &custom, .bytes = args->bytes, .helper_fd = -1 };
	buf->fd = SYS(ioctl(mock_device(), MOCK_IOC_CREATE, args));
	for (u32 i = 0; i < args->nr_pattern; i++)
		odd |= args->pattern[i] % 4096;
	note_odd(buf->fd, odd);
}

void buf_destroy(struct buf *buf)
{
	if (buf->map)
		munmap(buf->map, buf->bytes);
	if (buf->helper_fd >= 0)
		close(buf->helper_fd);
	close(buf->fd);
	buf->fd = -1;
	buf->map = NULL;
}

static void cpu_access(const struct buf *buf, u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	if (buf->sync)
		SYS(ioctl(buf->fd, DMA_BUF_IOCTL_SYNC, &sync));
}

void buf_put(const struct buf *buf, u64 off, const void *mem, u64 len)
{
	if (buf->map) {
		cpu_access(buf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
		memcpy(buf->map + off, mem, len);
		cpu_access(buf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	} else {
		struct mock_copy copy = { .dmabuf_fd = buf->fd, .off = off, .len = len,
					  .user = (uintptr_t)mem };

		SYS(ioctl(mock_device(), MOCK_IOC_POKE, &copy));
	}
}

void buf_get(const struct buf *buf, u64 off, void *mem, u64 len)
{
	if (buf->map) {
		cpu_access(buf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
		memcpy(mem, buf->map + off, len);
		cpu_access(buf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	} else {
		struct mock_copy copy = { .dmabuf_fd = buf->fd, .off = off, .len = len,
					  .user = (uintptr_t)mem };

		SYS(ioctl(mock_device(), MOCK_IOC_PEEK, &copy));
	}
}

static void place_put(const void *object, u64 off, const void *mem, u64 len)
{
	buf_put(object, off, mem, len);
}

static void place_get(const void *object, u64 off, void *mem, u64 len)
{
	buf_get(object, off, mem, len);
}

static struct data_place place_of(const struct buf *buf)
{
	return (struct data_place){ buf->exporter->name, buf, place_put, place_get };
}

void buf_fill(const struct buf *buf, u64 off, u64 len, u64 tag, u64 pos)
{
	struct data_place place = place_of(buf);

	data_fill_place(&place, off, len, tag, pos);
}

void buf_check_at(const char *file, int line, const struct buf *buf, u64 off, u64 len,
		  u64 tag, u64 pos)
{
	struct data_place place = place_of(buf);

	data_check_place(file, line, &place, off, len, tag, pos);
}

int mock_fault(const struct buf *buf, struct mock_fault fault)
{
	fault.dmabuf_fd = buf->fd;
	return ioctl(mock_device(), MOCK_IOC_FAULT, &fault) ? -errno : 0;
}

int mock_invalidate(const struct buf *buf, u32 flags, struct mock_invalidate *result)
{
	struct mock_invalidate req = { .dmabuf_fd = buf->fd, .flags = flags };

	if (result)
		req.fence_ms = result->fence_ms;
	if (ioctl(mock_device(), MOCK_IOC_INVALIDATE, &req))
		return -errno;
	if (result)
		*result = req;
	return 0;
}

int mock_storm(const struct buf *buf, u32 flags, u32 period_us)
{
	struct mock_storm storm = { .dmabuf_fd = buf->fd, .flags = flags,
				    .period_us = period_us };

	return ioctl(mock_device(), MOCK_IOC_STORM, &storm) ? -errno : 0;
}

void mock_query(const struct buf *buf, struct mock_query *query)
{
	memset(query, 0, sizeof(*query));
	query->dmabuf_fd = buf->fd;
	SYS(ioctl(mock_device(), MOCK_IOC_QUERY, query));
}

/* A ring or another process may hold a binding for a moment after it has been closed. */
void mock_check_clean(const struct buf *buf)
{
	u64 start = now_us();
	struct mock_query q;

	do {
		mock_query(buf, &q);
	} while (q.attached && now_us() - start < 10000000 && !usleep(500));
	CHECK_EQ(q.attached, 0);
	CHECK_EQ(q.mapped, 0);
	CHECK_EQ(q.pinned, 0);
	CHECK_EQ(q.maps, q.unmaps);
	CHECK_EQ(q.gap_bad, 0);
	CHECK_EQ(q.left_bad, 0);
}

struct mock_create mock_bar_args(u64 bytes)
{
	const char *pci = machine_var("DRW_BAR_PCI");

	/* With vfio-pci bound and the device closed, the BAR may be powered down. */
	vfio_bar_release(pci);
	return (struct mock_create){ .kind = MOCK_BAR, .bytes = bytes, .bar = 2,
				     .pci = pci_number(pci) };
}

void mock_wait_clean(const struct buf *buf)
{
	struct mock_query q;

	for (int i = 0; i < 500; i++) {
		mock_query(buf, &q);
		if (!q.attached)
			break;
		usleep(20000);
	}
	mock_check_clean(buf);
}
