// SPDX-License-Identifier: GPL-2.0
/*
 * observe.c - what docs/observe.md promises to those who watch: trace events with their fields, and
 * holds of files that end with the transfers they were taken for, so that there is nothing to end.
 *
 * Lines of the trace, as TP_printk() of kernel/trace.h has them:
 *
 *   TASK-PID [CPU] FLAGS TIME: drw_submit: binding=12 id=0123456789abcdef dev=259:0 ...
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "fs.h"
#include "require.h"
#include "tool.h"

#define TRACING		"/sys/kernel/tracing"
#define EVENTS		TRACING "/events/dmabuf_rw"
#define MODULE		"/usr/lib/dmabuf-rw/dmabuf_rw.ko"
#define AT		(16 * MiB)
#define BUF_BYTES	(1 * MiB)

static struct fs fs;
static struct disk disk;
static struct buf buf;
static int binding;

/* ---- the trace ------------------------------------------------------------------------------ */

/* A line from the event's name on. */
static char lines[4096][256];
static unsigned int nr_lines;

static void events_on(void)
{
	if (access(TRACING "/trace", F_OK))
		sh("mount -t tracefs none " TRACING);
	if (access(EVENTS "/enable", F_OK))
		skip("this kernel has no trace events");
	OK(spit("0", TRACING "/tracing_on"));
	OK(spit("counter", TRACING "/trace_clock"));
	close(SYS(open(TRACING "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC)));
	OK(spit("1", EVENTS "/enable"));
	OK(spit("1", TRACING "/tracing_on"));
}

/* Their lines are in @lines, in their order, until the next call. */
static void events_off(void)
{
	char line[512], *event;
	FILE *f;

	OK(spit("0", TRACING "/tracing_on"));
	OK(spit("0", EVENTS "/enable"));
	nr_lines = 0;
	f = fopen(TRACING "/trace", "r");
	CHECK(f, "%s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		event = strstr(line, ": drw_");
		if (!event)
			continue;
		CHECK(nr_lines < ARRAY_SIZE(lines), "too many events");
		snprintf(lines[nr_lines++], sizeof(lines[0]), "%s ", strtok(event + 2, "\n"));
	}
	fclose(f);
	/* This empties the trace. */
	OK(spit("local", TRACING "/trace_clock"));
}

/* Is it the event of that name, with these words: "binding=3 op=read"? */
static bool is_event(const char *line, const char *name, const char *words)
{
	char copy[256], with[128], *word, *next;

	snprintf(with, sizeof(with), "%s: ", name);
	if (strncmp(line, with, strlen(with)))
		return false;
	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next)) {
		snprintf(with, sizeof(with), " %s ", word);
		if (!strstr(line, with))
			return false;
	}
	return true;
}

static void tell_lines(void)
{
	for (unsigned int i = 0; i < nr_lines; i++)
		note("%s", lines[i]);
}

/* The first one from line @from on; it must be there. Its line's number. */
static unsigned int find_event(unsigned int from, const char *name, const char *format, ...)
{
	char words[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	for (unsigned int i = from; i < nr_lines; i++)
		if (is_event(lines[i], name, words))
			return i;
	tell_lines();
	FAIL("no %s with %s from line %u on", name, words, from);
}

static unsigned int count_events(const char *name, const char *words)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < nr_lines; i++)
		nr += is_event(lines[i], name, words);
	return nr;
}

/* A word of a line, behind "key=". */
static const char *word_of(unsigned int line, const char *key)
{
	static char word[64];
	const char *p;

	snprintf(word, sizeof(word), " %s=", key);
	p = strstr(lines[line], word);
	CHECK(p, "no %s in: %s", key, lines[line]);
	p += strlen(word);
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
	return word;
}

/* The number by which the kernel tells a binding or a buffer. */
static u64 ino_of(int fd)
{
	char value[32];

	CHECK(drw_fdinfo(fd, "ino", value, sizeof(value)));
	return strtoull(value, NULL, 10);
}

static const char *dev_of(int fd)
{
	static char text[32];
	struct stat st;
	dev_t dev;

	SYS(fstat(fd, &st));
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(text, sizeof(text), "%u:%u", major(dev), minor(dev));
	return text;
}

/* Its buffer can be moved and revoked. */
static void open_disk(void)
{
	static const struct mock_create scattered = {
		.flags = MOCK_DYNAMIC, .bytes = BUF_BYTES, .nr_pattern = 3, .gap = 4096,
		.pattern = { 4096, 16384, 65536 },
	};

	disk_open(&disk, "priv512");
	buf_create_mock(&buf, &scattered);
}

/* ---- bindings and transfers ----------------------------------------------------------------- */

static void bindings_are_told_of(const void *arg)
{
	u64 ino;

	open_disk();
	events_on();
	binding = OK(drw_bind(buf.fd, disk.fd));
	ino = ino_of(binding);
	close(binding);
	events_off();
	find_event(find_event(0, "drw_bind", "binding=%llu dev=%s ino=0 buffer=%llu "
			      "buffer_bytes=%llu can_read=1 can_write=1", ino, dev_of(disk.fd),
			      ino_of(buf.fd), BUF_BYTES),
		   "drw_unbind", "binding=%llu dev=%s", ino, dev_of(disk.fd));
	CHECK_EQ(count_events("drw_bind", ""), 1);
	CHECK_EQ(count_events("drw_unbind", ""), 1);
}

/* Both events of a transfer, of one id; the line of the second. */
static unsigned int find_pair(unsigned int from, const char *op, const char *asked, s64 result)
{
	unsigned int begin = find_event(from, "drw_submit", "binding=%llu dev=%s op=%s %s",
					ino_of(binding), dev_of(disk.fd), op, asked);
	char id[64];

	snprintf(id, sizeof(id), "%s", word_of(begin, "id"));
	CHECK_EQ(strlen(id), 16);
	return find_event(begin, "drw_complete", "binding=%llu id=%s dev=%s op=%s result=%lld",
			  ino_of(binding), id, dev_of(disk.fd), op, result);
}

static void transfers_by_calls_have_both_events(const void *arg)
{
	const struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 8192, 4096 }, { 4096, 512 } };
	struct dmabuf_rw_range ranges[5];
	unsigned int at;

	open_disk();
	binding = OK(drw_bind(buf.fd, disk.fd));
	for (u32 i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct dmabuf_rw_range){ AT + i * 4096, i * 8192, 4096 };
	events_on();
	CHECK_EQ(drw_read(binding, AT, 4096, 128 * KiB), 128 * KiB);
	CHECK_EQ(drw_io(binding, DMABUF_RW_OP_WRITE, AT, 0, 4096, DMABUF_RW_IO_FUA), 4096);
	CHECK_EQ(drw_iov(binding, DMABUF_RW_OP_READ, AT, pieces, 3, 0), 8704);
	CHECK_EQ(drw_many(binding, DMABUF_RW_OP_READ, ranges, ARRAY_SIZE(ranges), 0), 5 * 4096);
	FAILS(drw_read(binding, AT, BUF_BYTES, 4096), ERANGE);
	events_off();
	at = find_pair(0, "read",
		       "worker=0 flags=0x0 nr=1 file_off=16777216 buf_off=4096 len=131072",
		       128 * KiB);
	at = find_pair(at, "write", "worker=0 flags=0x1 nr=1 file_off=16777216 buf_off=0 len=4096",
		       4096);
	at = find_pair(at, "read", "nr=3 file_off=16777216 buf_off=0 len=0", 8704);
	at = find_pair(at, "read", "nr=5 file_off=0 buf_off=0 len=0", 5 * 4096);
	find_pair(at, "read", "nr=1 buf_off=1048576 len=4096", -ERANGE);
	CHECK_EQ(count_events("drw_submit", ""), 5);
	CHECK_EQ(count_events("drw_complete", ""), 5);
	close(binding);
}

static void transfers_by_rings_have_both_events(const void *arg)
{
	const struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 8192, 4096 } };
	struct dmabuf_rw_range ranges[5];
	struct io_uring ring;
	unsigned int at;

	open_disk();
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 8, 0);
	for (u32 i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct dmabuf_rw_range){ AT + i * 4096, i * 8192, 4096 };
	events_on();
	/* One command, many commands, a list of pieces, a batch, a refusal. */
	CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 8192, 512, 0), 512);
	CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, AT, 0, BUF_BYTES, 0), BUF_BYTES);
	drw_prepv(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_READV, AT, pieces, 2, 0);
	CHECK_EQ(drw_ring_one(&ring), 8192);
	drw_prep_many(io_uring_get_sqe(&ring), binding, DMABUF_RW_OP_READ, ranges,
		      ARRAY_SIZE(ranges), 0);
	CHECK_EQ(drw_ring_one(&ring), 5 * 4096);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, BUF_BYTES, 4096, 0), ERANGE);
	events_off();
	at = find_pair(0, "read", "worker=0 flags=0x0 nr=1 file_off=16777216 buf_off=8192 len=512",
		       512);
	at = find_pair(at, "write", "worker=0 nr=1 buf_off=0 len=1048576", BUF_BYTES);
	at = find_pair(at, "read", "worker=0 nr=2 file_off=16777216 buf_off=0 len=0", 8192);
	at = find_pair(at, "read", "worker=0 nr=5 file_off=0 buf_off=0 len=0", 5 * 4096);
	find_pair(at, "read", "worker=0 nr=1 buf_off=1048576 len=4096", -ERANGE);
	CHECK_EQ(count_events("drw_complete", ""), 5);
	io_uring_queue_exit(&ring);
	close(binding);
}

/* The worker goes on with the entry of that id; there is one end. */
static void what_a_worker_takes_over_keeps_its_id(const void *arg)
{
	unsigned int first, second;
	struct io_uring ring;
	char id[64];

	open_disk();
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 8, 0);
	/* So that it is in the way. */
	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL));
	events_on();
	CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 4096, 0), 4096);
	events_off();
	first = find_event(0, "drw_submit", "worker=0 len=4096");
	snprintf(id, sizeof(id), "%s", word_of(first, "id"));
	second = find_event(first + 1, "drw_submit", "worker=1 len=4096 id=%s", id);
	find_event(second, "drw_complete", "id=%s result=4096", id);
	CHECK_EQ(count_events("drw_complete", ""), 1);
	io_uring_queue_exit(&ring);
	close(binding);
}

static void polled_transfers_have_both_events(const void *arg)
{
	struct io_uring ring;
	s64 n;

	open_disk();
	binding = OK(drw_bind(buf.fd, disk.fd));
	drw_ring(&ring, 8, IORING_SETUP_IOPOLL);
	events_on();
	n = drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, AT, 0, 64 * KiB, 0);
	events_off();
	find_pair(0, "read", "worker=0 nr=1 len=65536", n);
	CHECK(n == 64 * KiB || n == -EOPNOTSUPP, "%lld", (long long)n);
	io_uring_queue_exit(&ring);
	close(binding);
}

/* ---- buffers and files ---------------------------------------------------------------------- */

static void moves_and_revocations_are_told_of(const void *arg)
{
	unsigned int at;
	u64 ino;

	open_disk();
	binding = OK(drw_bind(buf.fd, disk.fd));
	ino = ino_of(buf.fd);
	events_on();
	OK(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_FORCE, NULL));
	CHECK_EQ(drw_read(binding, AT, 0, 4096), 4096);
	OK(mock_invalidate(&buf, MOCK_INV_REVOKE | MOCK_INV_FORCE, NULL));
	FAILS(drw_read(binding, AT, 0, 4096), ESTALE);
	events_off();
	at = find_event(0, "drw_invalidate", "buffer=%llu drive=%s", ino,
			machine_var("DRW_PRIV_PCI"));
	at = find_event(at, "drw_invalidated", "buffer=%llu drive=%s", ino,
			machine_var("DRW_PRIV_PCI"));
	at = find_event(at, "drw_map", "buffer=%llu drive=%s error=0", ino,
			machine_var("DRW_PRIV_PCI"));
	CHECK(atoi(word_of(at, "extents")) > 0, "%s", lines[at]);
	at = find_event(at, "drw_invalidate", "buffer=%llu", ino);
	at = find_event(at, "drw_invalidated", "buffer=%llu", ino);
	find_event(at, "drw_map", "buffer=%llu extents=0 error=%d", ino, -ESTALE);
	close(binding);
}

static void holds_and_look_ups_are_told_of(const void *kind)
{
	unsigned int at;
	struct stat st;
	u64 ino;
	int fd;

	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "f", MiB, 1);
	SYS(fstat(fd, &st));
	ino = st.st_ino;
	buf_create(&buf, &exporter_udmabuf, MiB);
	events_on();
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(drw_read(binding, 0, 0, 64 * KiB), 64 * KiB);
	close(binding);
	events_off();
	find_event(0, "drw_bind", "ino=%llu dev=%s", ino, dev_of(fd));
	at = find_event(0, "drw_lookup", "dev=%s ino=%llu file_off=0 len=65536 error=0", dev_of(fd),
			ino);
	find_event(at, "drw_release", "dev=%s ino=%llu", dev_of(fd), ino);
	CHECK(count_events("drw_hold", "") > 0);
	/* Nothing is left when the last binding has gone. */
	CHECK_EQ(count_events("drw_hold", ""), count_events("drw_release", ""));
	close(fd);
	fs_finish(&fs);
}

/* ---- the interface -------------------------------------------------------------------------- */

/* What docs/observe.md says of an event's fields: name and bytes. New ones come at the end. */
static const struct {
	const char *event;
	const char *fields;
} documented[] = {
	{ "drw_bind", "binding:8 buffer:8 buffer_bytes:8 ino:8 dev:4 can_read:1 can_write:1" },
	{ "drw_unbind", "binding:8 dev:4" },
	{ "drw_submit", "binding:8 id:8 file_off:8 buf_off:8 len:8 flags:8 nr:4 dev:4 write:1 "
			"worker:1" },
	{ "drw_complete", "binding:8 id:8 result:8 dev:4 write:1" },
	{ "drw_map", "buffer:8 extents:4 error:4 drive:4" },
	{ "drw_invalidate", "buffer:8 drive:4" },
	{ "drw_invalidated", "buffer:8 drive:4" },
	{ "drw_hold", "ino:8 dev:4" },
	{ "drw_release", "ino:8 dev:4" },
	{ "drw_lookup", "ino:8 file_off:8 len:8 dev:4 error:4" },
};

static void fields_are_as_documented(const void *arg)
{
	char line[256], name[64], found[512], path[128];
	unsigned int size;
	FILE *f;

	events_on();
	events_off();
	for (size_t i = 0; i < ARRAY_SIZE(documented); i++) {
		snprintf(path, sizeof(path), EVENTS "/%s/format", documented[i].event);
		f = fopen(path, "r");
		CHECK(f, "%s: %s", path, strerror(errno));
		found[0] = 0;
		while (fgets(line, sizeof(line), f)) {
			char *type = strstr(line, "field:"), *end = strchr(line, ';');

			if (!type || strstr(line, " common_"))
				continue;
			/* An address would be of no use to anybody but attackers. */
			CHECK(!strchr(type, '*'), "%s", line);
			CHECK(end && sscanf(strstr(end, "size:"), "size:%u", &size) == 1, "%s",
			      line);
			*end = 0;
			snprintf(name, sizeof(name), "%s", strrchr(type, ' ') + 1);
			name[strcspn(name, "[")] = 0;
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s:%u",
				 found[0] ? " " : "", name, size);
		}
		fclose(f);
		CHECK(!strcmp(found, documented[i].fields), "%s has %s", documented[i].event, found);
	}
	CHECK_EQ(sh("test $(ls -d " EVENTS "/drw_* | wc -l) = %zu", ARRAY_SIZE(documented)), 0);
}

/* examples/latency.sh, as it is. */
static void latencies_can_be_had_without_other_tools(const void *arg)
{
	unsigned int total = 0;
	const char *p;

	open_disk();
	events_on();
	events_off();
	require_path(TRACING "/synthetic_events", "events that are made of others");
	RUNS(0, "/usr/lib/dmabuf-rw/latency " TOOL " load %s --into %s --offset 16M --length 1M "
	     "--block-size 4K", disk.path, inherited(&buf));
	for (p = out; (p = strstr(p, "hitcount: ")); p++)
		total += atoi(p + strlen("hitcount: "));
	CHECK(total >= 256, "%u of 256: %s%s", total, out, err);
	CHECK(strstr(out, "us: ~ 2^"), "%s", out);
	/* Nothing is left behind. */
	CHECK(access(TRACING "/events/synthetic/drw_latency", F_OK), "its event is still there");
	CHECK(!*slurp(EVENTS "/drw_submit/trigger") || strstr(slurp(EVENTS "/drw_submit/trigger"),
	      "# Available"), "%s", slurp(EVENTS "/drw_submit/trigger"));
}

/* The harness has opened nothing of the module. */
static void the_module_goes_while_its_events_are_on(const void *arg)
{
	int fd;

	if (access(MODULE, F_OK))
		skip("the module is not at " MODULE);
	events_on();
	for (int i = 0; i < 100 && syscall(SYS_delete_module, "dmabuf_rw", O_NONBLOCK); i++)
		usleep(20000);
	CHECK(access("/sys/module/dmabuf_rw", F_OK), "still loaded");
	CHECK(access(EVENTS, F_OK), "its events are still there");
	fd = SYS(open(MODULE, O_RDONLY | O_CLOEXEC));
	SYS(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	for (int i = 0; i < 100 && access(DMABUF_RW_DEVICE, F_OK); i++)
		usleep(20000);
	bindings_are_told_of(NULL);
}

/* ---- holds end by themselves ---------------------------------------------------------------- */

enum { ONE, LIST, BATCH, WAYS };

static void prepare(struct io_uring *ring, int way)
{
	static const struct dmabuf_rw_piece pieces[] = { { 0, 4096 }, { 64 * KiB, 4096 } };
	static struct dmabuf_rw_range ranges[4];
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	for (u32 i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct dmabuf_rw_range){ i * 8192, i * 8192, 4096 };
	if (way == ONE)
		drw_prep(sqe, binding, DMABUF_RW_URING_READ, 0, 0, 4096, 0);
	else if (way == LIST)
		drw_prepv(sqe, binding, DMABUF_RW_URING_READV, 0, pieces, 2, 0);
	else
		drw_prep_many(sqe, binding, DMABUF_RW_OP_READ, ranges, ARRAY_SIZE(ranges), 0);
}

/* Transfers are under way when it stops, and it never looks at what has become of them. */
static void stop_during_transfers(int way)
{
	struct io_uring ring;

	drw_ring(&ring, 64, 0);
	for (int i = 0; i < 32; i++)
		prepare(&ring, way);
	CHECK_EQ(io_uring_submit(&ring), 32);
	raise(SIGSTOP);
	_exit(0);
}

/*
 * A hold is there for transfers in flight, and they end without the process that has asked for
 * them. So who has to change a file need not end anybody's binding, nor hold.
 */
static void a_stopped_process_keeps_no_file_from_others(const void *kind)
{
	int fd, status;
	pid_t pid;
	u64 begun;

	fs_make(&fs, kind, "priv512", 0, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	for (int way = 0; way < WAYS; way++) {
		fd = file_make(&fs, "f", MiB, 1);
		binding = OK(drw_bind(buf.fd, fd));
		CHECK_EQ(drw_read(binding, 0, 0, MiB), MiB);
		events_on();
		pid = SYS(fork());
		if (!pid)
			stop_during_transfers(way);
		SYS(waitpid(pid, &status, WUNTRACED));
		CHECK(WIFSTOPPED(status), "%#x", status);
		begun = now_us();
		SYS(ftruncate(fd, 4096));
		CHECK(now_us() - begun < 5000000ULL * harness_slow(), "%llu us",
		      (unsigned long long)(now_us() - begun));
		/* Nor is one taken again while nobody asks for transfers. */
		usleep(50000);
		events_off();
		CHECK(count_events("drw_submit", "") >= 32);
		CHECK(count_events("drw_release", "") > 0);
		CHECK(count_events("drw_hold", "") <= count_events("drw_release", ""));
		SYS(kill(pid, SIGKILL));
		SYS(waitpid(pid, &status, 0));
		/* The binding is as good as ever. */
		CHECK_EQ(drw_read(binding, 0, 0, MiB), 4096);
		close(binding);
		SYS(unlink(fs_path(&fs, "f")));
		close(fd);
	}
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	TEST(bindings_are_told_of);
	TEST(transfers_by_calls_have_both_events);
	TEST(transfers_by_rings_have_both_events);
	TEST(what_a_worker_takes_over_keeps_its_id);
	TEST(polled_transfers_have_both_events);
	TEST(moves_and_revocations_are_told_of);
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, holds_and_look_ups_are_told_of);
	TEST(fields_are_as_documented);
	TEST(latencies_can_be_had_without_other_tools);
	TEST(the_module_goes_while_its_events_are_on);
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, a_stopped_process_keeps_no_file_from_others);
}

const struct program program = { "observe", add, MACHINES_IOMMU_OR_NOT };
