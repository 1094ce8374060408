// SPDX-License-Identifier: GPL-2.0
/*
 * doorbell.c - a dma-buf that is no memory: registers of a device, rung by a drive.
 *
 * The device is QEMU's "edu". A write of four bytes to FACTORIAL has it compute, one to RAISE has
 * it interrupt; registers below WIDE take four bytes at a time and nothing else, those from there
 * on eight as well. So a transfer that came in other pieces, or in more bytes than were asked for,
 * would show. The CPU looks at the registers through vfio-pci's mapping; it writes none that a
 * test is about.
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "fs.h"
#include "require.h"
#include "vfio_bar.h"

/* QEMU, docs/specs/edu.rst. */
#define LIVENESS	0x04	/* gives what was written, inverted */
#define FACTORIAL	0x08
#define STATUS		0x20
#define STATUS_COMPUTING 1
#define CAUSE		0x24	/* of the interrupt; RAISE adds to it, ACKNOWLEDGE takes away */
#define RAISE		0x60
#define ACKNOWLEDGE	0x64
#define WIDE		0x80	/* source address of the device's own DMA */

#define AT		(8 * MiB)
/* No LBA begins there, nor a dword. */
#define ODD		(AT + 5 * 4096 + 301)
#define LOAD_BYTES	(256 * KiB)

static struct vfio_bar device;
static struct buf data;
static struct disk disk;
static struct fs fs;
static struct io_uring ring;
static int door, load, irq;	/* bindings of the registers and of data; the interrupt */

static u32 reg(unsigned int at)
{
	return *(volatile u32 *)((u8 *)device.map + at);
}

static void set_reg(unsigned int at, u32 value)
{
	*(volatile u32 *)((u8 *)device.map + at) = value;
}

static void open_device(void)
{
	vfio_bar_open_of(&device, machine_var("DRW_DOORBELL_PCI"), 0);
	set_reg(LIVENESS, 0x12345678);
	CHECK_EQ(reg(LIVENESS), 0xedcba987);
}

/* Bound to the registers as a whole; 16 MiB of any file from ODD on may be used. */
static void bind_door(int file)
{
	int dmabuf = vfio_bar_export(&device, 0, device.bytes);
	struct dmabuf_rw_info info;

	door = OK(drw_bind(dmabuf, file));
	close(dmabuf);
	OK(drw_info(door, &info));
	CHECK_EQ(info.mem_class, DMABUF_RW_CLASS_BAR);
}

static void open_irq(void)
{
	struct {
		struct vfio_irq_set set;
		s32 fd;
	} req = {
		.set = {
			.argsz = sizeof(req),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSI_IRQ_INDEX,
			.count = 1,
		},
	};

	irq = SYS(eventfd(0, EFD_CLOEXEC));
	req.fd = irq;
	SYS(ioctl(device.device, VFIO_DEVICE_SET_IRQS, &req));
}

static bool irq_within(int ms)
{
	struct pollfd p = { .fd = irq, .events = POLLIN };
	u64 count;

	if (SYS(poll(&p, 1, ms)) == 0)
		return false;
	CHECK_EQ(read(irq, &count, sizeof(count)), sizeof(count));
	CHECK_EQ(count, 1);
	return true;
}

static u32 factorial(u32 n)
{
	u32 f = 1;

	while (n > 0)
		f *= n--;
	return f;
}

static void check_computed(u32 n)
{
	for (int i = 0; i < 2000 && reg(STATUS) & STATUS_COMPUTING; i++)
		usleep(1000);
	CHECK(!(reg(STATUS) & STATUS_COMPUTING), "it computes for ever");
	CHECK_EQ(reg(FACTORIAL), factorial(n), "of %u", n);
	/* The register beside it. */
	CHECK_EQ(reg(LIVENESS), 0xedcba987);
}

/* Through the page cache to the disk or file. */
static void put_values(int fd, const u32 *values, u32 nr)
{
	CHECK_EQ(pwrite(fd, values, nr * sizeof(*values), ODD), nr * sizeof(*values));
	SYS(fsync(fd));
}

enum { ON_DISK, ON_EXT4, ON_XFS };

struct from {
	const char *name;
	int where;
	bool use_ring;
};

static const struct from froms[] = {
	{ "disk", ON_DISK, false }, { "disk.ring", ON_DISK, true },
	{ "ext4", ON_EXT4, false }, { "ext4.ring", ON_EXT4, true },
	{ "xfs", ON_XFS, false }, { "xfs.ring", ON_XFS, true },
};

/* Opens what values come from; the descriptor can be written with any bytes. */
static int open_from(const struct from *from)
{
	int fd;

	if (from->use_ring)
		drw_ring(&ring, 4, 0);
	if (from->where == ON_DISK) {
		disk_open(&disk, "priv512");
		return disk_fd(&disk, O_RDWR);
	}
	fs_make(&fs, fs_kinds[from->where - ON_EXT4], "priv512", 0, "", "");
	fd = fs_open(&fs, "values", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, ODD + 16 * MiB));
	return fd;
}

static void close_from(const struct from *from, int fd)
{
	close(door);
	close(fd);
	if (from->where != ON_DISK)
		fs_finish(&fs);
}

static s64 ring_door(const struct from *from, u64 at, unsigned int to, u32 len)
{
	if (from->use_ring)
		return drw_ring_io(&ring, door, DMABUF_RW_OP_READ, at, to, len,
				   DMABUF_RW_IO_WHOLE);
	return drw_io(door, DMABUF_RW_OP_READ, at, to, len, DMABUF_RW_IO_WHOLE);
}

static void every_value_makes_the_device_compute(const void *arg)
{
	const struct from *from = arg;
	u32 values[17];
	int fd;

	open_device();
	fd = open_from(from);
	for (u32 n = 0; n < ARRAY_SIZE(values); n++)
		values[n] = n;
	put_values(fd, values, ARRAY_SIZE(values));
	bind_door(fd);
	for (int n = ARRAY_SIZE(values) - 1; n >= 0; n--) {
		CHECK_EQ(ring_door(from, ODD + n * sizeof(*values), FACTORIAL, 4), 4);
		check_computed(n);
	}
	close_from(from, fd);
}

/* The device keeps four bytes of them if they come as two writes of four, or one of four. */
static void eight_bytes_arrive_as_one_write(const void *arg)
{
	const struct from *from = arg;
	const u64 values[] = { 0x0123456789abcdefULL, ~0ULL, 1, 0x8000000000000000ULL, 0 };
	int fd;

	open_device();
	fd = open_from(from);
	put_values(fd, (const u32 *)values, 2 * ARRAY_SIZE(values));
	bind_door(fd);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CHECK_EQ(ring_door(from, ODD + i * sizeof(*values), WIDE, 8), 8);
		CHECK_EQ(*(volatile u64 *)((u8 *)device.map + WIDE), values[i]);
	}
	close_from(from, fd);
}

static void drive_interrupts_through_the_device(const void *arg)
{
	const u32 causes[] = { 1, 0x80000000, 0x00010100, 0xffffffff };
	const struct from *from = arg;
	int fd;

	open_device();
	open_irq();
	fd = open_from(from);
	put_values(fd, causes, ARRAY_SIZE(causes));
	bind_door(fd);
	CHECK(!irq_within(50), "an interrupt before all began");
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		CHECK_EQ(ring_door(from, ODD + i * sizeof(*causes), RAISE, 4), 4);
		CHECK(irq_within(5000), "no interrupt");
		CHECK_EQ(reg(CAUSE), causes[i]);
		set_reg(ACKNOWLEDGE, causes[i]);
		CHECK_EQ(reg(CAUSE), 0);
	}
	close_from(from, fd);
}

/* Loads @len bytes at @at into data, then rings RAISE with the value at ODD; results in res. */
static void load_then_ring(u64 at, u64 len, u64 flags, s64 res[2])
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;

	drw_prep(sqe, load, DMABUF_RW_URING_READ, at, 0, len, flags);
	sqe->user_data = 0;
	sqe->flags |= IOSQE_IO_LINK;
	sqe = io_uring_get_sqe(&ring);
	drw_prep(sqe, door, DMABUF_RW_URING_READ, ODD, RAISE, 4, DMABUF_RW_IO_WHOLE);
	sqe->user_data = 1;
	sqe->flags |= IOSQE_ASYNC;	/* Linux 6.12: DMABUF_RW_URING_READ */
	CHECK_EQ(io_uring_submit(&ring), 2);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(drw_wait_cqe(&ring, &cqe), 0);
		res[cqe->user_data] = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
}

/* With the file or disk @fd behind both. */
static void open_load(int fd, const struct exporter *exporter)
{
	const u32 one = 1;

	put_values(fd, &one, 1);
	open_irq();
	drw_ring(&ring, 4, 0);
	buf_create(&data, exporter, LOAD_BYTES);
	load = OK(drw_bind(data.fd, fd));
	bind_door(fd);
}

/* As the device would: it looks at the data as soon as it is told to begin. */
static void *consumer(void *arg)
{
	const u64 *round = arg;

	CHECK(irq_within(20000), "no interrupt");
	buf_check(&data, 0, LOAD_BYTES, *round, 0);
	return NULL;
}

static void data_is_there_when_the_device_is_told(const void *arg)
{
	open_device();
	disk_open(&disk, "priv512");
	open_load(disk_fd(&disk, O_RDWR), &exporter_udmabuf);
	for (u64 round = 1; round <= 30; round++) {
		pthread_t thread;
		s64 res[2];

		disk_fill(&disk, AT + MiB, LOAD_BYTES, round, 0);
		pthread_create(&thread, NULL, consumer, &round);
		load_then_ring(AT + MiB, LOAD_BYTES, DMABUF_RW_IO_WHOLE, res);
		pthread_join(thread, NULL);
		CHECK_EQ(res[0], LOAD_BYTES);
		CHECK_EQ(res[1], 4);
		CHECK_EQ(reg(CAUSE), 1);
		set_reg(ACKNOWLEDGE, 1);
	}
}

/* @error: of the load; 0: it is short, and no failure. */
static void check_not_rung(u64 at, u64 flags, int error)
{
	s64 res[2];

	load_then_ring(at, LOAD_BYTES, flags, res);
	if (error) {
		CHECK_EQ(res[0], -error);
		CHECK_EQ(res[1], -ECANCELED);
		CHECK(!irq_within(100), "an interrupt");
		CHECK_EQ(reg(CAUSE), 0);
		return;
	}
	CHECK(res[0] > 0 && res[0] < (s64)LOAD_BYTES, "%lld", (long long)res[0]);
	CHECK_EQ(res[1], 4);
	CHECK(irq_within(5000), "no interrupt");
	set_reg(ACKNOWLEDGE, 1);
}

/* To be short is no failure, for which io_uring would break a link, unless WHOLE makes it one. */
static void load_beyond_the_end_rings_nothing(const void *arg)
{
	int fd;

	open_device();
	fs_make(&fs, arg, "priv512", 0, "", "");
	fd = file_make(&fs, "f", ODD + MiB + 100, 1);
	open_load(fd, &exporter_udmabuf);
	check_not_rung(ODD + MiB + 100 - 8192, DMABUF_RW_IO_WHOLE, ESPIPE);
	check_not_rung(ODD + MiB + 100 - 8192, 0, 0);
	close(load);
	close(door);
	close(fd);
	fs_finish(&fs);
}

static void load_of_unwritten_blocks_rings_nothing(const void *arg)
{
	int fd;

	open_device();
	fs_make(&fs, arg, "priv512", 0, "", "");
	fd = file_make_unwritten(&fs, "f", ODD + 8 * MiB);
	open_load(fd, &exporter_udmabuf);
	check_not_rung(AT + 4 * MiB, DMABUF_RW_IO_WHOLE, ENXIO);
	check_not_rung(AT + 4 * MiB, 0, ENXIO);
	/* Half of it has been written. */
	file_fill(fd, AT + 2 * MiB, LOAD_BYTES / 2, 1);
	SYS(fsync(fd));
	if (file_written(fd, AT + 2 * MiB, LOAD_BYTES) == LOAD_BYTES / 2)
		check_not_rung(AT + 2 * MiB, DMABUF_RW_IO_WHOLE, ENXIO);
	close(load);
	close(door);
	close(fd);
	fs_finish(&fs);
}

static void load_into_revoked_memory_rings_nothing(const void *arg)
{
	s64 res[2];

	open_device();
	disk_open(&disk, "priv512");
	open_load(disk_fd(&disk, O_RDWR), &exporter_mock_contiguous);
	OK(mock_invalidate(&data, MOCK_INV_REVOKE, NULL));
	check_not_rung(AT + MiB, DMABUF_RW_IO_WHOLE, ESTALE);
	/* Bound anew, it is loaded, and then it rings. */
	OK(mock_invalidate(&data, MOCK_INV_RESTORE, NULL));
	close(load);
	load = OK(drw_bind(data.fd, disk.fd));
	disk_fill(&disk, AT + MiB, LOAD_BYTES, 7, 0);
	load_then_ring(AT + MiB, LOAD_BYTES, DMABUF_RW_IO_WHOLE, res);
	CHECK_EQ(res[0], LOAD_BYTES);
	CHECK_EQ(res[1], 4);
	CHECK(irq_within(5000), "no interrupt");
	buf_check(&data, 0, LOAD_BYTES, 7, 0);
	set_reg(ACKNOWLEDGE, 1);
	close(load);
	close(door);
	mock_check_clean(&data);
}

/* Registers are read in their width, whatever the library asks for. */
static int copy_registers(void *arg, enum dmabuf_rw_copy direction, uint64_t off, void *host,
			  size_t len)
{
	u32 value;

	CHECK_EQ(direction, DMABUF_RW_COPY_FROM_BUFFER);
	CHECK(off % 4 == 0 && len % 4 == 0, "%zu at %llu", len, (unsigned long long)off);
	for (size_t i = 0; i < len; i += 4) {
		value = reg(off + i);
		memcpy((u8 *)host + i, &value, 4);
	}
	return 0;
}

/* Part of an LBA: the library puts it into what is around it, and says that it was no DMA. */
static void answer_goes_to_the_drive(const void *arg)
{
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .allow_bounce = 1,
					       .copy = copy_registers };
	struct dmabuf_rw_device_opts device_opts = { .size = sizeof(device_opts) };
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	u32 values[11], answers[ARRAY_SIZE(values)];
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_device *node;
	int dmabuf, fd;

	open_device();
	disk_open(&disk, "priv512");
	fd = disk_fd(&disk, O_RDWR);
	disk_fill(&disk, AT, MiB, 9, 0);
	for (u32 n = 0; n < ARRAY_SIZE(values); n++)
		values[n] = n;
	put_values(fd, values, ARRAY_SIZE(values));
	dmabuf = vfio_bar_export(&device, 0, device.bytes);
	OK(dmabuf_rw_device_open(&device_opts, &node));
	OK(dmabuf_rw_binding_create(node, dmabuf, fd, &opts, &binding));
	for (u32 n = 0; n < ARRAY_SIZE(values); n++) {
		CHECK_EQ(dmabuf_rw_read(binding, ODD + 4 * n, FACTORIAL, 4, 0, &result), 4);
		CHECK_EQ(result.direct_bytes, 4);
		check_computed(n);
		CHECK_EQ(dmabuf_rw_write(binding, ODD + MiB + 4 * n, FACTORIAL, 4, 0, &result),
			 4);
		CHECK_EQ(result.bounced_bytes, 4);
	}
	CHECK_EQ(pread(fd, answers, sizeof(answers), ODD + MiB), sizeof(answers));
	for (u32 n = 0; n < ARRAY_SIZE(values); n++)
		CHECK_EQ(answers[n], factorial(n), "of %u", n);
	dmabuf_rw_binding_destroy(binding);
	dmabuf_rw_device_close(node);
}

/* examples/load_then_ring.c, in a process of its own: the device is not open here meanwhile. */
static int run_example(u64 load_at)
{
	return sh("/usr/lib/dmabuf-rw/load_then_ring %s %llu %llu %llu %s 0 %#x", disk.path,
		  (unsigned long long)load_at, LOAD_BYTES, (unsigned long long)ODD,
		  machine_var("DRW_DOORBELL_PCI"), FACTORIAL);
}

static void example_loads_and_rings(const void *arg)
{
	const u32 values[] = { 9, 5 };
	int fd;

	require_iommu();
	disk_open(&disk, "priv512");
	fd = disk_fd(&disk, O_RDWR);
	put_values(fd, &values[0], 1);
	if (run_example(AT + MiB)) {
		open_device();
		vfio_bar_export(&device, 0, 4096);
		FAIL("the example failed");
	}
	/* Beyond the disk's end. */
	put_values(fd, &values[1], 1);
	CHECK_EQ(run_example(disk.bytes - LOAD_BYTES / 2), 1);
	open_device();
	check_computed(values[0]);
}

static void add(void)
{
	test_limit(60);
	fs_program();
	for (size_t i = 0; i < ARRAY_SIZE(froms); i++) {
		test_add(every_value_makes_the_device_compute, &froms[i],
			 "every_value_makes_the_device_compute.%s", froms[i].name);
		test_add(eight_bytes_arrive_as_one_write, &froms[i],
			 "eight_bytes_arrive_as_one_write.%s", froms[i].name);
		test_add(drive_interrupts_through_the_device, &froms[i],
			 "drive_interrupts_through_the_device.%s", froms[i].name);
	}
	TEST(data_is_there_when_the_device_is_told);
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, load_beyond_the_end_rings_nothing);
		TEST_OF_KIND(i, load_of_unwritten_blocks_rings_nothing);
	}
	TEST(load_into_revoked_memory_rings_nothing);
	TEST(answer_goes_to_the_drive);
	TEST(example_loads_and_rings);
}

const struct program program = { "doorbell", add };
