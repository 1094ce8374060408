// SPDX-License-Identifier: GPL-2.0
/*
 * drive_commands.c - which commands a transfer becomes, when, and who makes them, of which
 * neither its result nor the data tells.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "trace.h"

#define BUF_BYTES	(16 * MiB)
#define AT		(16 * MiB)
/* Commands that are made without sleeping; of a longer transfer none is. */
#define NOWAIT_CMDS	16

static struct disk disk;
static struct buf buf;
static struct io_uring ring;
static struct dmabuf_rw_info info;
static struct trace_event events[1024];
static unsigned int nr_events;
static int binding;

static void open_all(const struct exporter *exporter, unsigned int ring_flags)
{
	disk_open(&disk, "priv512");
	buf_create(&buf, exporter, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	OK(drw_info(binding, &info));
	drw_ring(&ring, 4, ring_flags);
}

static void stop(void)
{
	nr_events = trace_stop(events, ARRAY_SIZE(events));
}

static s64 transfer(bool use_ring, enum dmabuf_rw_op op, u64 file_off, u64 buf_off, u64 len)
{
	return use_ring ? drw_ring_io(&ring, binding, op, file_off, buf_off, len, 0)
			: drw_io(binding, op, file_off, buf_off, len, 0);
}

/* The drive must have more than one to work on, however quickly it answers. */
static void commands_of_a_transfer_are_in_flight_together(const void *arg)
{
	const bool use_ring = arg;
	u64 len = 4 * MiB;

	open_all(&exporter_mock_contiguous, 0);
	/* Until a worker makes them, a ring's may end one by one where the drive is quick. */
	if (use_ring)
		len = MAX(len, (NOWAIT_CMDS + 1) * (u64)info.max_cmd_bytes);
	CHECK(info.max_cmd_bytes < len && len <= BUF_BYTES, "%u", info.max_cmd_bytes);
	disk_fill(&disk, AT, len, 1, 0);
	buf_fill(&buf, 0, len, 2, 0);
	for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++) {
		unsigned int made = 0;
		u64 bytes = 0;

		trace_start(&disk);
		CHECK_EQ(transfer(use_ring, op, AT, 0, len), len);
		stop();
		for (unsigned int i = 0; i < nr_events && !events[i].end; i++)
			made++;
		for (unsigned int i = 0; i < nr_events; i++)
			bytes += (u64)events[i].blocks * disk.lba;
		CHECK_EQ(bytes, len);
		CHECK(made >= 2, "%u commands were made before one had ended, of %u", made,
		      trace_count(events, nr_events, op == DMABUF_RW_OP_WRITE));
		note("%s: %u commands were made before one had ended", op ? "write" : "read",
		     made);
	}
	buf_check(&buf, 0, len, 1, 0);
}

static void one_read(bool use_ring, u64 pos, u64 buf_off, u64 len)
{
	u64 first = (AT + pos) / disk.lba, last = (AT + pos + len - 1) / disk.lba;

	buf_fill(&buf, buf_off, len, 2, 0);
	trace_start(&disk);
	CHECK_EQ(transfer(use_ring, DMABUF_RW_OP_READ, AT + pos, buf_off, len), len);
	stop();
	CHECK_EQ(trace_count(events, nr_events, true), 0);
	CHECK_EQ(trace_count(events, nr_events, false), 1, "%llu bytes at %llu",
		 (unsigned long long)len, (unsigned long long)pos);
	CHECK_EQ(events[0].lba, first);
	CHECK_EQ(events[0].blocks, last - first + 1);
	buf_check(&buf, buf_off, len, 1, pos);
}

/* No second command for the edges, and no LBA that is not needed. */
static void odd_reads_of_one_commands_size_are_one_command(const void *arg)
{
	const bool use_ring = arg;
	u32 max;

	open_all(&exporter_mock_contiguous, 0);
	if (info.read_align > 1)
		skip("this drive takes whole LBAs only");
	max = info.max_cmd_bytes;
	disk_fill(&disk, AT, MiB, 1, 0);
	one_read(use_ring, 1, 0, 1);
	one_read(use_ring, 511, 4096, 2);
	one_read(use_ring, 123, 1001, 4096);
	one_read(use_ring, 0, 3, 64 * KiB - 1);
	one_read(use_ring, 4095, 7, 64 * KiB);
	/* Widened, it is just what a command moves. */
	one_read(use_ring, 7, 5, max - 100);
}

/* Was a command made by who submitted, who then may have had to wait for something? */
static bool made_by_submitter(void)
{
	for (unsigned int i = 0; i < nr_events; i++)
		if (!events[i].end && events[i].task == gettid())
			return true;
	return false;
}

static void long_transfers_are_made_by_a_worker(const void *arg)
{
	const unsigned int *flags = arg;

	open_all(&exporter_mock_contiguous, *flags);
	for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++) {
		u64 len = (NOWAIT_CMDS + 1) * (u64)info.max_cmd_bytes;

		CHECK(len <= BUF_BYTES, "%u", info.max_cmd_bytes);
		trace_start(&disk);
		CHECK_EQ(transfer(true, op, AT, 0, len), len);
		stop();
		CHECK(trace_count(events, nr_events, op == DMABUF_RW_OP_WRITE) > NOWAIT_CMDS);
		CHECK(!made_by_submitter(), "op %d", op);
	}
}

/* Writing out what is cached takes as long as it takes. */
static void cached_pages_are_written_by_a_worker(const void *arg)
{
	const u64 len = 64 * KiB;
	const unsigned int *flags = arg;
	u8 *mem = data_alloc(len);
	int cached;

	open_all(&exporter_mock_contiguous, *flags);
	cached = disk_fd(&disk, O_RDWR);
	for (int op = DMABUF_RW_OP_READ; op <= DMABUF_RW_OP_WRITE; op++) {
		/* Pages that have been dirty for long might be written at any time. */
		SYS(fsync(cached));
		data_fill(mem, len, 3 + op, 0);
		CHECK_EQ(pwrite(cached, mem, len, AT), len);
		buf_fill(&buf, 0, len, 5, 0);
		trace_start(&disk);
		CHECK_EQ(transfer(true, op, AT, 0, len), len);
		stop();
		/* The cached pages, and then what was asked for. */
		CHECK(trace_count(events, nr_events, true) >= 1);
		CHECK(trace_count(events, nr_events, op == DMABUF_RW_OP_WRITE) >= 1U + op);
		CHECK(!made_by_submitter(), "op %d", op);
		if (op == DMABUF_RW_OP_READ)
			buf_check(&buf, 0, len, 3, 0);
		else
			disk_check(&disk, AT, len, 5, 0);
	}
}

/* What an administrator has set is a limit of commands too; the default of that is none. */
static void commands_keep_to_max_sectors_kb(const void *arg)
{
	char name[128], before[32];
	struct disk d;
	struct buf b;

	disk_open(&d, "priv512");
	buf_create(&b, &exporter_mock_contiguous, MiB);
	snprintf(name, sizeof(name), "/sys/block/%s/queue/max_sectors_kb", d.name);
	snprintf(before, sizeof(before), "%s", slurp(name));
	OK(spit("64", name));
	binding = OK(drw_bind(b.fd, d.fd));
	/* The default again. */
	if (spit("0", name))
		OK(spit(before, name));
	OK(drw_info(binding, &info));
	CHECK_EQ(info.max_cmd_bytes, 64 * KiB);
	trace_start(&d);
	CHECK_EQ(drw_read(binding, 16 * MiB, 0, MiB), MiB);
	CHECK_EQ(trace_count(events, trace_stop(events, ARRAY_SIZE(events)), false), 16);
}

static void add(void)
{
	static const struct {
		const char *name;
		unsigned int flags;
	} rings[] = {
		{ "plain", 0 },
		{ "defer_taskrun", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
	};
	static const char *const ways[] = { "ioctl", "io_uring" };

	test_limit(60);
	for (long i = 0; i < 2; i++) {
		test_add(commands_of_a_transfer_are_in_flight_together, (void *)i,
			 "commands_of_a_transfer_are_in_flight_together.%s", ways[i]);
		test_add(odd_reads_of_one_commands_size_are_one_command, (void *)i,
			 "odd_reads_of_one_commands_size_are_one_command.%s", ways[i]);
	}
	TEST(commands_keep_to_max_sectors_kb);
	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		test_add(long_transfers_are_made_by_a_worker, &rings[i].flags,
			 "long_transfers_are_made_by_a_worker.%s", rings[i].name);
		test_add(cached_pages_are_written_by_a_worker, &rings[i].flags,
			 "cached_pages_are_written_by_a_worker.%s", rings[i].name);
	}
}

const struct program program = { "drive_commands", add };
