// SPDX-License-Identifier: GPL-2.0
/*
 * errors_bind.c - what BIND and QUERY refuse, each with its errno and reason, and that a
 * refused bind leaves nothing behind.
 */
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "require.h"

static struct disk disk;
static struct buf buf;

static void open_both(void)
{
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_udmabuf, 64 * KiB);
}

static void refused(const char *what, int dmabuf, int file, u64 flags, int err, u32 reason)
{
	struct dmabuf_rw_bind bind;
	int ret = drw_bind_why(dmabuf, file, flags, &bind);

	CHECK(ret == -err, "%s: bind gave %d (%s), not %s", what, ret,
	      ret < 0 ? strerror(-ret) : "a descriptor", strerror(err));
	CHECK_EQ(bind.reason, reason, "%s", what);
	if (reason != DMABUF_RW_REASON_ATTACH && reason != DMABUF_RW_REASON_MAP)
		CHECK_EQ(bind.detail, 0, "%s", what);
}

static void closed_descriptors_are_EBADF(const void *arg)
{
	int path;

	open_both();
	refused("dmabuf_fd -1", -1, disk.fd, 0, EBADF, DMABUF_RW_REASON_DMABUF_FD);
	refused("dmabuf_fd 1000", 1000, disk.fd, 0, EBADF, DMABUF_RW_REASON_DMABUF_FD);
	refused("file_fd -1", buf.fd, -1, 0, EBADF, DMABUF_RW_REASON_FILE_FD);
	refused("file_fd 1000", buf.fd, 1000, 0, EBADF, DMABUF_RW_REASON_FILE_FD);
	/* An O_PATH descriptor is not an open file. */
	path = disk_fd(&disk, O_PATH);
	refused("O_PATH file", buf.fd, path, 0, EBADF, DMABUF_RW_REASON_FILE_FD);
	refused("O_PATH buffer", path, disk.fd, 0, EBADF, DMABUF_RW_REASON_DMABUF_FD);
}

static void other_descriptors_than_dma_bufs_are_EBADFD(const void *arg)
{
	int p[2], s[2];

	open_both();
	SYS(pipe(p));
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	refused("pipe", p[0], disk.fd, 0, EBADFD, DMABUF_RW_REASON_NOT_DMABUF);
	refused("socket", s[0], disk.fd, 0, EBADFD, DMABUF_RW_REASON_NOT_DMABUF);
	refused("memfd", buf.helper_fd, disk.fd, 0, EBADFD, DMABUF_RW_REASON_NOT_DMABUF);
	refused("disk", disk.fd, disk.fd, 0, EBADFD, DMABUF_RW_REASON_NOT_DMABUF);
	refused("own node", drw_device(), disk.fd, 0, EBADFD, DMABUF_RW_REASON_NOT_DMABUF);
	refused("binding", OK(drw_bind(buf.fd, disk.fd)), disk.fd, 0, EBADFD,
		DMABUF_RW_REASON_NOT_DMABUF);
}

static void other_files_than_block_devices_are_ENOTBLK(const void *arg)
{
	int p[2];

	open_both();
	SYS(pipe(p));
	refused("file in memory", buf.fd, SYS(open("/tmp/f", O_RDWR | O_CREAT, 0600)), 0,
		ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	refused("memfd", buf.fd, buf.helper_fd, 0, ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	refused("kernel's own file", buf.fd, SYS(open("/proc/cmdline", O_RDONLY)), 0, ENOTBLK,
		DMABUF_RW_REASON_FILESYSTEM);
	refused("directory", buf.fd, SYS(open("/tmp", O_RDONLY)), 0, ENOTBLK,
		DMABUF_RW_REASON_NOT_BLOCK);
	refused("pipe", buf.fd, p[1], 0, ENOTBLK, DMABUF_RW_REASON_NOT_BLOCK);
	refused("/dev/zero", buf.fd, SYS(open("/dev/zero", O_RDWR)), 0, ENOTBLK,
		DMABUF_RW_REASON_NOT_BLOCK);
	refused("nvme controller", buf.fd, SYS(open("/dev/nvme0", O_RDWR)), 0, ENOTBLK,
		DMABUF_RW_REASON_NOT_BLOCK);
	refused("nvme generic namespace", buf.fd, SYS(open("/dev/ng0n1", O_RDWR)), 0,
		ENOTBLK, DMABUF_RW_REASON_NOT_BLOCK);
	refused("dma-buf", buf.fd, buf.fd, 0, ENOTBLK, DMABUF_RW_REASON_NOT_BLOCK);
	unlink("/tmp/f");
}

static int open_block(const char *path)
{
	/* A new device's node is made by a kernel thread. */
	for (int i = 0; i < 100 && access(path, F_OK); i++)
		usleep(20000);
	return SYS(open(path, O_RDWR | O_CLOEXEC));
}

static void other_block_devices_are_ENOTBLK(const void *arg)
{
	int fd;

	open_both();
	require_module("brd");
	fd = open_block("/dev/ram0");
	refused("ram disk", buf.fd, fd, 0, ENOTBLK, DMABUF_RW_REASON_NOT_NVME);
	close(fd);
	sh("rmmod brd");
}

static void loop_devices_are_ENOTBLK(const void *arg)
{
	int fd;

	open_both();
	require_module("loop");
	CHECK_EQ(sh("losetup /dev/loop0 %s", disk.path), 0);
	fd = open_block("/dev/loop0");
	refused("loop over nvme", buf.fd, fd, 0, ENOTBLK, DMABUF_RW_REASON_STACKED);
	close(fd);
	CHECK_EQ(sh("losetup -d /dev/loop0"), 0);
}

static void device_mapper_devices_are_ENOTBLK(const void *arg)
{
	int fd;

	open_both();
	require_module("dm-mod");
	CHECK_EQ(sh("echo 0 2048 linear %s 0 | "
		    "DM_DISABLE_UDEV=1 dmsetup create --noudevsync drwtest", disk.path), 0);
	fd = open_block("/dev/mapper/drwtest");
	refused("dm-linear over nvme", buf.fd, fd, 0, ENOTBLK, DMABUF_RW_REASON_STACKED);
	close(fd);
	CHECK_EQ(sh("DM_DISABLE_UDEV=1 dmsetup remove --noudevsync drwtest"), 0);
}

static void md_arrays_are_ENOTBLK(const void *arg)
{
	int fd;

	open_both();
	require_module("raid0");
	CHECK_EQ(sh("mdadm --build /dev/md0 --level=raid0 --raid-devices=2 "
		    "/dev/drw/priv512p1 /dev/drw/priv512p2"), 0);
	fd = open_block("/dev/md0");
	refused("md over nvme", buf.fd, fd, 0, ENOTBLK, DMABUF_RW_REASON_STACKED);
	close(fd);
	CHECK_EQ(sh("mdadm --stop /dev/md0"), 0);
}

/* An NVMe target and host in one machine: NVMe, but no PCI. */
static void nvme_without_pci_is_refused(const void *arg)
{
	const char *cfg = "/sys/kernel/config/nvmet";
	char path[64] = "";
	int fd;

	open_both();
	require_module("nvme-loop");
	if (access(cfg, F_OK))
		sh("mount -t configfs none /sys/kernel/config");
	CHECK_EQ(sh("cd %s && mkdir subsystems/t subsystems/t/namespaces/1 ports/1 && "
		    "echo 1 >subsystems/t/attr_allow_any_host && "
		    "echo %s >subsystems/t/namespaces/1/device_path && "
		    "echo 1 >subsystems/t/namespaces/1/enable && "
		    "echo loop >ports/1/addr_trtype && "
		    "ln -s %s/subsystems/t ports/1/subsystems/t", cfg,
		    "/dev/drw/priv512p2", cfg), 0);
	CHECK_EQ(sh("nvme connect -t loop -n t"), 0);
	for (int i = 0; i < 100 && !path[0]; i++) {
		FILE *f = popen("for d in /sys/block/nvme*; do n=/dev/${d##*/}; "
				"[ -b $n ] && grep -qs '^t$' $d/device/subsysnqn && "
				"echo $n; done", "r");

		if (fgets(path, sizeof(path), f))
			path[strcspn(path, "\n")] = 0;
		pclose(f);
		usleep(20000);
	}
	CHECK(path[0], "no disk came with nvme-loop");
	fd = open_block(path);
	/* Behind a multipath head, what is looked for is a path on PCI. */
	if (machine_has_multipath())
		refused(path, buf.fd, fd, 0, ENODEV, DMABUF_RW_REASON_NO_PATH);
	else
		refused(path, buf.fd, fd, 0, EPROTONOSUPPORT, DMABUF_RW_REASON_NOT_PCI);
	close(fd);
	CHECK_EQ(sh("nvme disconnect -n t"), 0);
	CHECK_EQ(sh("cd %s && rm ports/1/subsystems/t && rmdir ports/1 "
		    "subsystems/t/namespaces/1 subsystems/t", cfg), 0);
}

static void formats_that_cannot_be_served_are_EMEDIUMTYPE(const void *arg)
{
	struct disk d;

	buf_create(&buf, &exporter_udmabuf, 64 * KiB);
	disk_open(&d, "meta512");
	refused("metadata with PI", buf.fd, d.fd, 0, EMEDIUMTYPE,
		DMABUF_RW_REASON_METADATA);
	disk_open(&d, "zoned");
	refused("zoned", buf.fd, d.fd, 0, EMEDIUMTYPE, DMABUF_RW_REASON_ZONED);
}

/*
 * Interleaved metadata without protection information: the kernel gives such a
 * namespace no capacity, so opening works and binding must not.
 */
static void interleaved_metadata_is_EMEDIUMTYPE(const void *arg)
{
	char path[64];
	int fd;

	buf_create(&buf, &exporter_udmabuf, 64 * KiB);
	if (!realpath("/dev/drw/meta4k", path))
		skip("this machine has no disk meta4k");
	fd = SYS(open(path, O_RDWR));
	refused("extended LBA", buf.fd, fd, 0, EMEDIUMTYPE, DMABUF_RW_REASON_METADATA);
}

/*
 * With protection information the kernel serves such a namespace, by telling the drive in
 * each command to strip it. Nothing of the block layer shows that.
 */
static void interleaved_protection_information_is_EMEDIUMTYPE(const void *arg)
{
	const char *role = arg;
	struct disk d;

	buf_create(&buf, &exporter_udmabuf, 64 * KiB);
	disk_open(&d, role);
	CHECK(d.bytes > 0, "%s has no capacity", role);
	refused(role, buf.fd, d.fd, 0, EMEDIUMTYPE, DMABUF_RW_REASON_METADATA);
	/* And still serves it. */
	disk_fill(&d, MiB, 16384, 1, 0);
	disk_check(&d, MiB, 16384, 1, 0);
}

static void rights_come_from_the_open_modes(const void *arg)
{
	static const struct exporter *e = &exporter_mock_scattered;
	const u64 all = DMABUF_RW_INFO_CAN_READ | DMABUF_RW_INFO_CAN_WRITE;
	struct mock_create ro = e->args;
	struct dmabuf_rw_info info;
	struct buf rdonly;
	const struct {
		int mode;
		bool ro_buf;
		u64 can;
	} cases[] = {
		{ O_RDWR, false, all },
		{ O_RDONLY, false, DMABUF_RW_INFO_CAN_READ },
		{ O_WRONLY, false, DMABUF_RW_INFO_CAN_WRITE },
		{ O_RDWR, true, DMABUF_RW_INFO_CAN_WRITE },
		{ O_WRONLY, true, DMABUF_RW_INFO_CAN_WRITE },
	};

	disk_open(&disk, "priv512");
	buf_create(&buf, e, 64 * KiB);
	ro.flags |= MOCK_RDONLY;
	ro.bytes = 64 * KiB;
	buf_create_mock(&rdonly, &ro);

	refused("read-only buffer and file", rdonly.fd, disk_fd(&disk, O_RDONLY), 0, EACCES,
		DMABUF_RW_REASON_ACCESS);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int b = OK(drw_bind(cases[i].ro_buf ? rdonly.fd : buf.fd,
				    disk_fd(&disk, cases[i].mode)));

		OK(drw_info(b, &info));
		CHECK_EQ(info.flags & all, cases[i].can, "case %zu", i);
		if (cases[i].can & DMABUF_RW_INFO_CAN_READ)
			CHECK_EQ(drw_read(b, MiB, 0, 512), 512, "case %zu", i);
		else
			FAILS(drw_read(b, MiB, 0, 512), EACCES);
		if (cases[i].can & DMABUF_RW_INFO_CAN_WRITE)
			CHECK_EQ(drw_write(b, MiB, 0, 512), 512, "case %zu", i);
		else
			FAILS(drw_write(b, MiB, 0, 512), EACCES);
		close(b);
	}
	mock_check_clean(&buf);
	mock_check_clean(&rdonly);
}

/* The drive must not do for a buffer's user what its descriptor does not allow. */
static void write_only_buffers_cannot_be_read(const void *arg)
{
	const struct {
		u32 flags;
		u32 direction;	/* enum dma_data_direction */
	} cases[] = { { 0, 0 }, { MOCK_RDONLY, 1 }, { MOCK_WRONLY, 2 } };
	struct mock_create args = { .flags = MOCK_DYNAMIC | MOCK_WRONLY, .bytes = 64 * KiB };
	struct dma_heap_allocation_data heap = {
		.len = 64 * KiB, .fd_flags = O_WRONLY | O_CLOEXEC,
	};
	struct dmabuf_rw_info info;
	struct mock_query q;
	int dev, b;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	refused("write-only buffer and file", buf.fd, disk_fd(&disk, O_WRONLY), 0, EACCES,
		DMABUF_RW_REASON_ACCESS);
	b = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(b, &info));
	CHECK_EQ(info.flags & DMABUF_RW_INFO_CAN_WRITE, 0);
	FAILS(drw_write(b, MiB, 0, 4096), EACCES);
	disk_fill(&disk, MiB, 64 * KiB, 3, 0);
	CHECK_EQ(drw_read(b, MiB, 0, 64 * KiB), 64 * KiB);
	buf_check(&buf, 0, 64 * KiB, 3, 0);
	close(b);
	mock_check_clean(&buf);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		args.flags = MOCK_DYNAMIC | cases[i].flags;
		buf_create_mock(&buf, &args);
		b = OK(drw_bind(buf.fd, disk.fd));
		mock_query(&buf, &q);
		CHECK_EQ(q.direction, cases[i].direction, "flags %#x", cases[i].flags);
		close(b);
	}

	dev = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return;
	SYS(ioctl(dev, DMA_HEAP_IOCTL_ALLOC, &heap));
	b = OK(drw_bind(heap.fd, disk.fd));
	FAILS(drw_write(b, MiB, 0, 4096), EACCES);
	CHECK_EQ(drw_read(b, MiB, 0, 4096), 4096);
}

/* The exporter's own errno is told, and what it gave is given back. */
static void exporters_refusal_is_EREMOTEIO(const void *arg)
{
	const int errnos[] = { EOPNOTSUPP, EBUSY, EINVAL, ENODEV, EPERM, EAGAIN, ENOMEM };
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 64 * KiB };
	struct dmabuf_rw_bind bind;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++) {
		OK(mock_fault(&buf, (struct mock_fault){ .attach_errno = errnos[i] }));
		FAILS(drw_bind_why(buf.fd, disk.fd, 0, &bind), EREMOTEIO);
		CHECK_EQ(bind.reason, DMABUF_RW_REASON_ATTACH);
		CHECK_EQ(bind.detail, errnos[i]);
		mock_check_clean(&buf);

		OK(mock_fault(&buf, (struct mock_fault){ .map_errno = errnos[i] }));
		FAILS(drw_bind_why(buf.fd, disk.fd, 0, &bind), EREMOTEIO);
		CHECK_EQ(bind.reason, DMABUF_RW_REASON_MAP);
		CHECK_EQ(bind.detail, errnos[i]);
		mock_check_clean(&buf);
	}
	OK(mock_fault(&buf, (struct mock_fault){}));
	OK(drw_bind(buf.fd, disk.fd));
}

static void mapping_that_is_too_short_is_EREMOTEIO(const void *arg)
{
	const u32 by[] = { 1, 512, 4096, 60 * KiB };
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 64 * KiB,
				    .nr_pattern = 1, .pattern = { 8192 }, .gap = 4096 };

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		OK(mock_fault(&buf, (struct mock_fault){ .length = MOCK_LENGTH_SHORT,
							 .length_by = by[i] }));
		refused("short", buf.fd, disk.fd, 0, EREMOTEIO,
			DMABUF_RW_REASON_BAD_MAPPING);
		mock_check_clean(&buf);
	}
}

/* As exporters do that round up to large pages. */
static void mapping_that_is_too_long_serves_the_buffer_only(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 64 * KiB,
				    .nr_pattern = 1, .pattern = { 8192 }, .gap = 4096 };
	struct dmabuf_rw_info info;
	int b;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	OK(mock_fault(&buf, (struct mock_fault){ .length = MOCK_LENGTH_LONG,
						 .length_by = 4096 }));
	b = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(b, &info));
	CHECK_EQ(info.buf_bytes, args.bytes);
	disk_fill(&disk, MiB, args.bytes, 1, 0);
	CHECK_EQ(drw_read(b, MiB, 0, args.bytes), args.bytes);
	buf_check(&buf, 0, args.bytes, 1, 0);
	FAILS(drw_read(b, MiB, args.bytes, 512), ERANGE);
	close(b);
	mock_check_clean(&buf);
}

static void addresses_that_wrap_are_refused(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 64 * KiB };
	int ret;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	OK(mock_fault(&buf, (struct mock_fault){ .addr = MOCK_ADDR_FIXED,
						 .addr_base = -(u64)(32 * KiB) }));
	ret = drw_bind(buf.fd, disk.fd);
	CHECK(ret == -EREMOTEIO || ret == -EADDRNOTAVAIL, "%d", ret);
	mock_check_clean(&buf);
}

static bool machine_translates(void)
{
	struct dmabuf_rw_info info;
	struct disk d;
	struct buf bar;
	int b;

	disk_open(&d, "priv512");
	buf_create(&bar, &exporter_mock_scattered, 4096);
	b = OK(drw_bind(bar.fd, d.fd));
	OK(drw_info(b, &info));
	close(b);
	return info.iommu == DMABUF_RW_IOMMU_TRANSLATED;
}

/* The trap of exporters that give physical addresses: success without data. */
static void raw_is_EADDRNOTAVAIL_or_right(const char *what, const struct mock_create *args)
{
	int b;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, args);
	OK(mock_fault(&buf, (struct mock_fault){ .addr = MOCK_ADDR_RAW }));
	if (machine_translates()) {
		refused(what, buf.fd, disk.fd, 0, EADDRNOTAVAIL,
			DMABUF_RW_REASON_NOT_TRANSLATED);
	} else {
		b = OK(drw_bind(buf.fd, disk.fd));
		disk_fill(&disk, MiB, args->bytes, 2, 0);
		CHECK_EQ(drw_read(b, MiB, 0, args->bytes), args->bytes);
		buf_check(&buf, 0, args->bytes, 2, 0);
		close(b);
	}
	mock_check_clean(&buf);
}

static void untranslated_addresses_are_EADDRNOTAVAIL_or_right(const void *arg)
{
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 64 * KiB };

	raw_is_EADDRNOTAVAIL_or_right("raw", &args);
}

static void untranslated_bar_is_EADDRNOTAVAIL_or_right(const void *arg)
{
	struct mock_create args = mock_bar_args(64 * KiB);

	raw_is_EADDRNOTAVAIL_or_right("raw BAR", &args);
}

static void unidentified_addresses_are_taken_on_trust_only(const void *arg)
{
	/* Far above the machine's memory and BARs, within the drive's reach. */
	const struct mock_fault nowhere = { .addr = MOCK_ADDR_FIXED, .addr_base = 1ULL << 38 };
	struct mock_create args = { .flags = MOCK_DYNAMIC, .bytes = 64 * KiB };
	bool translated = machine_translates();
	struct dmabuf_rw_info info;
	int b;

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &args);
	OK(mock_fault(&buf, nowhere));
	if (translated) {
		refused("nowhere", buf.fd, disk.fd, 0, EADDRNOTAVAIL,
			DMABUF_RW_REASON_NOT_TRANSLATED);
		return;
	}
	refused("nowhere", buf.fd, disk.fd, 0, EADDRNOTAVAIL,
		DMABUF_RW_REASON_UNKNOWN_ADDRESS);
	/* Who says that the address is good has not said that it is device memory. */
	refused("nowhere", buf.fd, disk.fd,
		DMABUF_RW_BIND_DEVICE_MEMORY | DMABUF_RW_BIND_TRUST_ADDRESSES, EXDEV,
		DMABUF_RW_REASON_NOT_DEVICE_MEMORY);
	b = OK(drw_bind_why(buf.fd, disk.fd, DMABUF_RW_BIND_TRUST_ADDRESSES, NULL));
	/* The mapping is shared, the judgement is not. */
	refused("nowhere", buf.fd, disk.fd, 0, EADDRNOTAVAIL,
		DMABUF_RW_REASON_UNKNOWN_ADDRESS);
	OK(drw_info(b, &info));
	CHECK_EQ(info.mem_class, DMABUF_RW_CLASS_UNKNOWN);
	close(b);
	mock_check_clean(&buf);
}

/* Without an IOMMU that translates, and without a kernel that knows the host bridge. */
static void bar_without_a_route_is_EADDRNOTAVAIL(const void *arg)
{
	int b;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_bar, 64 * KiB);
	if (bars_have_a_route()) {
		OK(drw_bind_why(buf.fd, disk.fd, 0, NULL));
		return;
	}
	refused("BAR", buf.fd, disk.fd, 0, EADDRNOTAVAIL, DMABUF_RW_REASON_NO_ROUTE);
	refused("BAR", buf.fd, disk.fd, DMABUF_RW_BIND_DEVICE_MEMORY, EADDRNOTAVAIL,
		DMABUF_RW_REASON_NO_ROUTE);
	mock_check_clean(&buf);
	b = OK(drw_bind_why(buf.fd, disk.fd, DMABUF_RW_BIND_TRUST_ADDRESSES, NULL));
	CHECK_EQ(drw_read(b, MiB, 0, 4096), 4096);
	refused("BAR", buf.fd, disk.fd, 0, EADDRNOTAVAIL, DMABUF_RW_REASON_NO_ROUTE);
	close(b);
	mock_check_clean(&buf);
}

static void device_memory_flag_refuses_ram(const void *arg)
{
	struct buf bar;
	int b;

	open_both();
	refused("udmabuf", buf.fd, disk.fd, DMABUF_RW_BIND_DEVICE_MEMORY, EXDEV,
		DMABUF_RW_REASON_NOT_DEVICE_MEMORY);
	buf_create(&bar, &exporter_mock_bar, 64 * KiB);
	b = OK(drw_bind_why(bar.fd, disk.fd, DMABUF_RW_BIND_DEVICE_MEMORY |
			    DMABUF_RW_BIND_TRUST_ADDRESSES, NULL));
	CHECK_EQ(drw_read(b, MiB, 0, 4096), 4096);
	close(b);
	mock_check_clean(&bar);
}

/* With software bounce buffers the addresses are not the buffer's. */
static void bounced_buffers_are_EADDRNOTAVAIL(const void *arg)
{
	if (!strstr(slurp("/proc/cmdline"), "swiotlb=force"))
		skip("this machine was not booted with swiotlb=force");
	open_both();
	refused("udmabuf", buf.fd, disk.fd, 0, EADDRNOTAVAIL, DMABUF_RW_REASON_SWIOTLB);
	buf_create(&buf, &exporter_heap, 64 * KiB);
	refused("heap", buf.fd, disk.fd, 0, EADDRNOTAVAIL, DMABUF_RW_REASON_SWIOTLB);
}

static int bind_raw(void *arg)
{
	int fd = ioctl(drw_device(), DMABUF_RW_IOC_BIND, arg);

	return fd < 0 ? -errno : fd;
}

static void malformed_requests_are_EINVAL(const void *arg)
{
	struct dmabuf_rw_bind good, bad;

	open_both();
	good = (struct dmabuf_rw_bind){ .size = sizeof(good), .dmabuf_fd = buf.fd,
					.file_fd = disk.fd };
	OK(bind_raw(&good));

#define SPOIL(field, value)				\
	do {						\
		bad = good;				\
		bad.field = value;			\
		FAILS(bind_raw(&bad), EINVAL);		\
	} while (0)

	SPOIL(size, 0);
	SPOIL(size, 4);
	SPOIL(size, offsetof(struct dmabuf_rw_bind, flags));
	SPOIL(reason, 1);
	SPOIL(flags, DMABUF_RW_BIND_FLAGS + 1);
	SPOIL(flags, 1ULL << 63);
	SPOIL(detail, 1);
	SPOIL(resv0, 1);
	SPOIL(resv[0], 1);
	SPOIL(resv[3], 1ULL << 63);
#undef SPOIL
}

static void longer_structures_are_taken_if_the_tail_is_zero(const void *arg)
{
	struct {
		struct dmabuf_rw_bind bind;
		u8 tail[64];
	} big = {};
	struct {
		struct dmabuf_rw_query query;
		u8 tail[64];
	} query = {};

	open_both();
	big.bind = (struct dmabuf_rw_bind){ .size = sizeof(big), .dmabuf_fd = buf.fd,
					    .file_fd = disk.fd };
	close(OK(bind_raw(&big)));
	big.tail[0] = 1;
	FAILS(bind_raw(&big), E2BIG);
	big.tail[0] = 0;
	big.tail[63] = 0x80;
	FAILS(bind_raw(&big), E2BIG);

	query.query.size = sizeof(query);
	SYS(ioctl(drw_device(), DMABUF_RW_IOC_QUERY, &query));
	/* The code that a newer header would have. */
	query.query = (struct dmabuf_rw_query){ .size = sizeof(query) };
	SYS(ioctl(drw_device(), _IOWR(DMABUF_RW_IOC_MAGIC, 0, query), &query));
	CHECK_EQ(query.query.abi_major, DMABUF_RW_ABI_MAJOR);
	query.tail[5] = 1;
	CHECK(ioctl(drw_device(), DMABUF_RW_IOC_QUERY, &query) == -1 && errno == E2BIG, "%d",
	      errno);
}

static void pointers_to_nowhere_are_EFAULT(const void *arg)
{
	u8 *page = data_alloc(8192);
	struct dmabuf_rw_bind *edge = (void *)(page + 4096 - sizeof(*edge) / 2);
	struct dmabuf_rw_bind *ro = (void *)page;

	open_both();
	FAILS(bind_raw(NULL), EFAULT);
	FAILS(bind_raw((void *)-4096UL), EFAULT);
	SYS(munmap(page + 4096, 4096));
	edge->size = sizeof(*edge);
	FAILS(bind_raw(edge), EFAULT);

	/* The reason cannot be stored. */
	*ro = (struct dmabuf_rw_bind){ .size = sizeof(*ro), .dmabuf_fd = -1,
				       .file_fd = disk.fd };
	SYS(mprotect(page, 4096, PROT_READ));
	FAILS(bind_raw(ro), EFAULT);
}

static void unknown_requests_are_ENOTTY(const void *arg)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	const unsigned long unknown[] = {
		_IOWR(DMABUF_RW_IOC_MAGIC, 0x0f, struct dmabuf_rw_info),
		_IOWR(DMABUF_RW_IOC_MAGIC, 0x7f, struct dmabuf_rw_info),
		_IOWR('?', 0x00, struct dmabuf_rw_info),
		BLKGETSIZE64,
	};
	int b;

	open_both();
	b = OK(drw_bind(buf.fd, disk.fd));
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		CHECK(ioctl(b, unknown[i], &info) == -1 && errno == ENOTTY, "%zu: %d", i,
		      errno);
		CHECK(ioctl(drw_device(), unknown[i], &info) == -1 && errno == ENOTTY,
		      "%zu: %d", i, errno);
	}
	CHECK(ioctl(drw_device(), DMABUF_RW_IOC_INFO, &info) == -1 && errno == ENOTTY, "%d",
	      errno);
	CHECK(ioctl(b, DMABUF_RW_IOC_BIND, &info) == -1 && errno == ENOTTY, "%d", errno);
	CHECK(ioctl(b, DMABUF_RW_IOC_QUERY, &info) == -1 && errno == ENOTTY, "%d", errno);
}

static void full_descriptor_table_is_EMFILE(const void *arg)
{
	struct rlimit limit;
	int last;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, 64 * KiB);
	drw_device();
	mock_device();
	last = SYS(dup(0));
	close(last);
	limit.rlim_cur = limit.rlim_max = last;
	SYS(setrlimit(RLIMIT_NOFILE, &limit));
	FAILS(drw_bind(buf.fd, disk.fd), EMFILE);
	mock_check_clean(&buf);
}

/* Only the owner of CAP_SYS_ADMIN may exceed the system's number of open files. */
static void full_file_table_is_ENFILE(const void *arg)
{
	char before[64];
	int err;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, 64 * KiB);
	drw_device();
	mock_device();
	snprintf(before, sizeof(before), "%s", slurp("/proc/sys/fs/file-max"));
	/* The count is approximate, but never below zero. */
	OK(spit("0", "/proc/sys/fs/file-max"));
	if (!fork()) {
		SYS(setresuid(65534, 65534, 65534));
		_exit(-drw_bind(buf.fd, disk.fd) & 0xff);
	}
	SYS(wait(&err));
	OK(spit(before, "/proc/sys/fs/file-max"));
	CHECK_EQ(WEXITSTATUS(err), ENFILE);
	mock_check_clean(&buf);
}

static void node_is_all_the_privilege_that_is_needed(const void *arg)
{
	int status;

	open_both();
	drw_device();
	if (!fork()) {
		int b;

		SYS(setresgid(65534, 65534, 65534));
		SYS(setresuid(65534, 65534, 65534));
		CHECK(open(DMABUF_RW_DEVICE, O_RDWR) == -1 && errno == EACCES,
		      "anybody may open the node: %d", errno);
		b = OK(drw_bind(buf.fd, disk.fd));
		CHECK_EQ(drw_write(b, MiB, 0, 4096), 4096);
		CHECK_EQ(drw_read(b, MiB, 4096, 4096), 4096);
		_exit(0);
	}
	SYS(wait(&status));
	if (status)
		_exit(1);
}

static void query_tells_the_abi(const void *arg)
{
	struct dmabuf_rw_query q = { .size = sizeof(q) };

	SYS(ioctl(drw_device(), DMABUF_RW_IOC_QUERY, &q));
	CHECK_EQ(q.abi_major, DMABUF_RW_ABI_MAJOR);
	CHECK_EQ(q.abi_minor, DMABUF_RW_ABI_MINOR);
	CHECK_EQ(q.bind_flags, DMABUF_RW_BIND_FLAGS);
	CHECK_EQ(q.io_flags, DMABUF_RW_IO_FLAGS);
	CHECK_EQ(q.uring_ops, 1 << DMABUF_RW_URING_READ | 1 << DMABUF_RW_URING_WRITE |
			      1 << DMABUF_RW_URING_READV | 1 << DMABUF_RW_URING_WRITEV |
			      1 << DMABUF_RW_URING_READ_MANY | 1 << DMABUF_RW_URING_WRITE_MANY);
	CHECK_EQ(q.max_pieces, DMABUF_RW_MAX_PIECES);
	CHECK_EQ(q.max_batch, DMABUF_RW_MAX_BATCH);
	CHECK_EQ(q.max_bytes, DMABUF_RW_MAX_BYTES);
	q.resv0 = 1;
	CHECK(ioctl(drw_device(), DMABUF_RW_IOC_QUERY, &q) == -1 && errno == EINVAL, "%d",
	      errno);
}

static void add(void)
{
	test_limit(60);
	TEST(query_tells_the_abi);
	TEST(closed_descriptors_are_EBADF);
	TEST(other_descriptors_than_dma_bufs_are_EBADFD);
	TEST(other_files_than_block_devices_are_ENOTBLK);
	TEST(other_block_devices_are_ENOTBLK);
	TEST(loop_devices_are_ENOTBLK);
	TEST(device_mapper_devices_are_ENOTBLK);
	TEST(md_arrays_are_ENOTBLK);
	TEST(nvme_without_pci_is_refused);
	TEST(formats_that_cannot_be_served_are_EMEDIUMTYPE);
	TEST(interleaved_metadata_is_EMEDIUMTYPE);
	test_add(interleaved_protection_information_is_EMEDIUMTYPE, "pi512",
		 "interleaved_protection_information_is_EMEDIUMTYPE.pi512");
	test_add(interleaved_protection_information_is_EMEDIUMTYPE, "pi4k",
		 "interleaved_protection_information_is_EMEDIUMTYPE.pi4k");
	TEST(rights_come_from_the_open_modes);
	TEST(write_only_buffers_cannot_be_read);
	TEST(exporters_refusal_is_EREMOTEIO);
	TEST(mapping_that_is_too_short_is_EREMOTEIO);
	TEST(mapping_that_is_too_long_serves_the_buffer_only);
	TEST(addresses_that_wrap_are_refused);
	TEST(untranslated_addresses_are_EADDRNOTAVAIL_or_right);
	TEST(untranslated_bar_is_EADDRNOTAVAIL_or_right);
	TEST(unidentified_addresses_are_taken_on_trust_only);
	TEST(bar_without_a_route_is_EADDRNOTAVAIL);
	TEST(device_memory_flag_refuses_ram);
	TEST(bounced_buffers_are_EADDRNOTAVAIL);
	TEST(malformed_requests_are_EINVAL);
	TEST(longer_structures_are_taken_if_the_tail_is_zero);
	TEST(pointers_to_nowhere_are_EFAULT);
	TEST(unknown_requests_are_ENOTTY);
	TEST(full_descriptor_table_is_EMFILE);
	TEST(full_file_table_is_ENFILE);
	TEST(node_is_all_the_privilege_that_is_needed);
}

const struct program program = {
	"errors_bind", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
