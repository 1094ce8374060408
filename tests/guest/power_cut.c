// SPDX-License-Identifier: GPL-2.0
/*
 * power_cut.c - what is left of stores into files when the machine loses power.
 *
 * Runs on machines that the runner cuts (tests/vm/powercut.py): stores_run_until_the_cut
 * stores batches, which are a function of seed, boot and number, and says of each when it
 * begins and when it has been acknowledged as durable. The runner keeps what was said, and
 * gives it to the next boot in cut.log, whose other tests look at the files: each LBA must
 * hold the content after the last durable store to it, or after any later one that began.
 *
 *   cut base		the files hold their first content, durably: the runner may cut
 *   cut begin N	the stores of batch N may arrive from now on
 *   cut forced N	those stores are durable (DMABUF_RW_IO_FUA)
 *   cut synced N	these and all earlier ones to the same files are (fsync)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define LOG_FILE	"/root/cut.log"
#define MAX_BATCHES	100000U
#define FILES		3
#define FILE_BYTES	(320 * KiB + 1000)	/* the last LBA is the file's in part */
#define MAX_LBAS	(FILE_BYTES / 512 + 1)
#define MAX_STORES	4
#define STORE_BYTES	(48 * KiB)
#define SLOT		(64 * KiB)		/* of the buffer, for a store */
#define CHURN_EVERY	6			/* batches */

struct system {
	const char *fs, *role, *mkfs;
	u32 number;
};

static const struct system systems[] = {
	{ "ext4", "priv512p1", "-F -b 4096 -E nodiscard", 0 },
	{ "xfs", "priv4kp1", "-f -K", 1 },
};

struct store {
	u32 file;
	u64 pos, len, buf_off, tag;
};

struct batch {
	u32 system, nr;
	enum { PLAIN, FORCED, SYNCED } how;
	struct store stores[MAX_STORES];
};

/* One file system of a machine that runs. */
struct mounted {
	struct disk disk;
	char at[32];
	int fds[FILES], bindings[FILES];
};

static struct mounted mounted[ARRAY_SIZE(systems)];
static struct buf buf;
static struct io_uring ring;
static u8 *content;

static u64 variable(const char *name)
{
	return strtoull(machine_var(name), NULL, 0);
}

static u64 base_tag(u64 boot, u32 system, u32 file)
{
	return boot << 48 | (system * FILES + file + 1ULL) << 40;
}

static void draw_batch(struct batch *b, u64 boot, u64 number)
{
	struct rng rng = { variable("DRW_CUT_SEED") * 1000003 + boot * MAX_BATCHES + number };
	u32 want = 1 + rng_below(&rng, MAX_STORES);

	b->system = rng_below(&rng, ARRAY_SIZE(systems));
	b->how = rng_below(&rng, 3);
	b->nr = 0;
	while (want--) {
		struct store *s = &b->stores[b->nr];
		bool apart = true;

		s->file = rng_below(&rng, FILES);
		s->len = 1 + rng_below(&rng, rng_below(&rng, 3) ? 3000 : STORE_BYTES);
		s->pos = rng_below(&rng, FILE_BYTES - s->len + 1);
		s->buf_off = b->nr * SLOT + rng_below(&rng, SLOT - s->len);
		s->tag = boot << 48 | number << 8 | b->nr;
		/* Stores that run together touch no LBA in common. */
		for (u32 i = 0; i < b->nr; i++)
			apart &= b->stores[i].file != s->file ||
				 b->stores[i].pos + b->stores[i].len + 4096 <= s->pos ||
				 s->pos + s->len + 4096 <= b->stores[i].pos;
		b->nr += apart;
	}
}

/* --- before the cut ------------------------------------------------------------------ */

static void mount_system(struct mounted *m, const struct system *s)
{
	if (!strcmp(s->fs, "xfs"))
		CHECK_EQ(sh("modprobe xfs"), 0);
	disk_open(&m->disk, s->role);
	snprintf(m->at, sizeof(m->at), "/tmp/%s", s->fs);
	SYS(mkdir(m->at, 0700) && errno != EEXIST ? -1 : 0);
	/* A test that failed may have left it. */
	umount(m->at);
	SYS(mount(m->disk.path, m->at, s->fs, 0, NULL));
}

static int open_file(const struct mounted *m, u32 file, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/file%u", m->at, file);
	return SYS(open(path, flags | O_CLOEXEC, 0600));
}

/* First content, by ordinary means, and bindings. */
static void start_system(const struct system *s, u64 boot)
{
	struct mounted *m = &mounted[s->number];

	if (!boot)
		CHECK_EQ(sh("TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x mkfs.%s -q %s /dev/drw/%s",
			    s->fs, s->mkfs, s->role), 0);
	mount_system(m, s);
	for (u32 i = 0; i < FILES; i++) {
		m->fds[i] = open_file(m, i, O_RDWR | O_CREAT);
		data_fill(content, FILE_BYTES, base_tag(boot, s->number, i), 0);
		CHECK_EQ(pwrite(m->fds[i], content, FILE_BYTES, 0), FILE_BYTES);
		SYS(fsync(m->fds[i]));
		m->bindings[i] = OK(drw_bind(buf.fd, m->fds[i]));
	}
	SYS(syncfs(m->fds[0]));
	/* A flush, in case that the drive ignores that the journal's last write is forced. */
	SYS(fsync(m->disk.fd));
}

__attribute__((format(printf, 1, 2)))
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	/* The port takes it before it lets us go on. */
	fflush(stdout);
}

static void run_batch(const struct batch *b, u64 number)
{
	const struct mounted *m = &mounted[b->system];
	u64 flags = b->how == FORCED ? DMABUF_RW_IO_FUA : 0;

	for (u32 i = 0; i < b->nr; i++) {
		const struct store *s = &b->stores[i];

		buf_fill(&buf, s->buf_off, s->len, s->tag, s->pos);
		drw_prep(io_uring_get_sqe(&ring), m->bindings[s->file], DMABUF_RW_URING_WRITE,
			 s->pos, s->buf_off, s->len, flags);
	}
	say("cut begin %llu\n", (unsigned long long)number);
	CHECK_EQ(io_uring_submit(&ring), b->nr);
	for (u32 i = 0; i < b->nr; i++) {
		struct io_uring_cqe *cqe;

		OK(io_uring_wait_cqe(&ring, &cqe));
		CHECK(cqe->res > 0, "%s", strerror(-cqe->res));
		io_uring_cqe_seen(&ring, cqe);
	}
	if (b->how == FORCED) {
		say("cut forced %llu\n", (unsigned long long)number);
	} else if (b->how == SYNCED) {
		for (u32 i = 0; i < b->nr; i++)
			SYS(fsync(m->fds[b->stores[i].file]));
		say("cut synced %llu\n", (unsigned long long)number);
	}
}

/* Something for the journals; and the file's own inode changes, too. */
static void churn(u64 number)
{
	struct mounted *m = &mounted[number / CHURN_EVERY % ARRAY_SIZE(systems)];
	u32 file = number % FILES;
	char from[64], to[64];
	int fd;

	close(m->bindings[file]);
	snprintf(from, sizeof(from), "%s/new%llu", m->at, (unsigned long long)number % 7);
	snprintf(to, sizeof(to), "%s/old%llu", m->at, (unsigned long long)number % 5);
	fd = SYS(open(from, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
	CHECK_EQ(write(fd, content, 5000), 5000);
	if (number % 4 == 0)
		SYS(fsync(fd));
	close(fd);
	SYS(rename(from, to));
	m->bindings[file] = OK(drw_bind(buf.fd, m->fds[file]));
}

static void stores_run_until_the_cut(const void *arg)
{
	u64 boot = variable("DRW_CUT_BOOT");
	struct batch b;

	content = data_alloc(FILE_BYTES);
	buf_create(&buf, &exporter_udmabuf, MAX_STORES * SLOT);
	drw_ring(&ring, 8, 0);
	for (size_t i = 0; i < ARRAY_SIZE(systems); i++)
		start_system(&systems[i], boot);
	say("cut base\n");
	for (u64 n = 1; n < MAX_BATCHES; n++) {
		draw_batch(&b, boot, n);
		run_batch(&b, n);
		if (n % CHURN_EVERY == 0)
			churn(n);
	}
	FAIL("the machine was not cut");
}

/* --- after the cut ------------------------------------------------------------------- */

static bool forced[MAX_BATCHES], synced[MAX_BATCHES];
static bool trust_forced;

/* Number of the last batch that began. */
static u64 read_log(void)
{
	unsigned long long number, last = 0;
	char line[64], what[16];
	FILE *f = fopen(LOG_FILE, "r");

	CHECK(f, LOG_FILE ": %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "cut %15s %llu", what, &number) != 2)
			continue;
		CHECK(number < MAX_BATCHES);
		if (!strcmp(what, "begin"))
			last = number;
		else if (!strcmp(what, "forced"))
			forced[number] = trust_forced;
		else if (!strcmp(what, "synced"))
			synced[number] = true;
	}
	fclose(f);
	return last;
}

struct found {
	u8 *disk, *model;
	bool right[MAX_LBAS];
	u64 last[MAX_LBAS];	/* batch that changed it last, for the report */
};

/* Compare an LBA with what the model says at this time. */
static bool same(const struct found *f, u64 lba, u32 lba_bytes)
{
	u64 from = lba * lba_bytes;

	return !memcmp(f->disk + from, f->model + from, MIN(lba_bytes, FILE_BYTES - from));
}

/* What is read from the disk and what is cached must be one. */
static void read_found(struct found *f, const struct mounted *m, u32 file)
{
	u8 *cached = data_alloc(FILE_BYTES);
	int direct = open_file(m, file, O_RDONLY | O_DIRECT);
	int fd = open_file(m, file, O_RDONLY);
	struct stat st;

	SYS(fstat(fd, &st));
	CHECK_EQ(st.st_size, FILE_BYTES);
	f->disk = data_alloc(FILE_BYTES);
	f->model = data_alloc(FILE_BYTES);
	CHECK_EQ(pread(direct, f->disk, ROUND_UP(FILE_BYTES, 4096), 0), FILE_BYTES);
	CHECK_EQ(pread(fd, cached, FILE_BYTES, 0), FILE_BYTES);
	data_check("the cache", cached, f->disk, FILE_BYTES, 0);
	close(direct);
	close(fd);
}

/* Let the stores of the boot before happen once more, in memory. */
static void replay(struct found *files, const struct system *s, u64 boot, u32 lba, u64 last)
{
	struct batch b;

	for (u64 n = 1; n <= last; n++) {
		draw_batch(&b, boot, n);
		if (b.system != s->number)
			continue;
		for (u32 i = 0; i < b.nr; i++) {
			const struct store *t = &b.stores[i];
			struct found *f = &files[t->file];

			data_fill(f->model + t->pos, t->len, t->tag, t->pos);
			for (u64 l = t->pos / lba; l <= (t->pos + t->len - 1) / lba; l++) {
				f->right[l] = same(f, l, lba) || (f->right[l] && !forced[n]);
				f->last[l] = n;
			}
		}
		for (u32 i = 0; i < b.nr && synced[n]; i++) {
			struct found *f = &files[b.stores[i].file];

			for (u64 l = 0; l * lba < FILE_BYTES; l++)
				f->right[l] = same(f, l, lba);
		}
	}
}

static void compare_files(const struct system *s)
{
	static struct found files[FILES];
	struct mounted *m = &mounted[s->number];
	u64 boot = variable("DRW_CUT_BOOT") - 1, last = read_log(), durable = 0;
	u32 lba;

	mount_system(m, s);
	lba = m->disk.lba;
	for (u32 i = 0; i < FILES; i++) {
		read_found(&files[i], m, i);
		data_fill(files[i].model, FILE_BYTES, base_tag(boot, s->number, i), 0);
		for (u64 l = 0; l * lba < FILE_BYTES; l++)
			files[i].right[l] = same(&files[i], l, lba);
	}
	replay(files, s, boot, lba, last);
	for (u32 i = 0; i < FILES; i++)
		for (u64 l = 0; l * lba < FILE_BYTES; l++)
			CHECK(files[i].right[l],
			      "file %u at %#llx has neither what was acknowledged nor anything later; the last batch there was %llu of %llu",
			      i, (unsigned long long)(l * lba),
			      (unsigned long long)files[i].last[l], (unsigned long long)last);
	SYS(umount(m->at));
	for (u64 n = 1; n <= last; n++)
		durable += forced[n] || synced[n];
	note("%llu batches had begun, %llu were acknowledged as durable",
	     (unsigned long long)last, (unsigned long long)durable);
}

static void synced_stores_are_there(const void *arg)
{
	trust_forced = false;
	compare_files(arg);
}

static void forced_stores_are_there(const void *arg)
{
	/* The runner has counted what reached the medium that way, the journals' writes too. */
	if (!variable("DRW_CUT_FORCED"))
		skip("this QEMU's drives ignore forced unit access; durability checks that it is asked for");
	trust_forced = true;
	compare_files(arg);
}

static void mounts_and_checks_clean(const void *arg)
{
	const struct system *s = arg;
	struct mounted *m = &mounted[s->number];

	/* The journal is replayed by the mount. */
	mount_system(m, s);
	SYS(umount(m->at));
	if (!strcmp(s->fs, "xfs"))
		CHECK_EQ(sh("xfs_repair -n %s", m->disk.path), 0);
	else
		CHECK_EQ(sh("e2fsck -fn %s", m->disk.path), 0);
	CHECK_EQ(sh("! dmesg | grep -E 'EXT4-fs.*(error|warning)|XFS.*([Cc]orrupt|[Ee]rror)'"),
		 0, "the kernel found a fault");
}

static void add(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(systems); i++) {
		test_add(mounts_and_checks_clean, &systems[i], "%s_mounts_and_checks_clean",
			 systems[i].fs);
		test_add(synced_stores_are_there, &systems[i], "%s_has_what_was_synced",
			 systems[i].fs);
		test_add(forced_stores_are_there, &systems[i], "%s_has_what_was_forced",
			 systems[i].fs);
	}
	test_add(stores_run_until_the_cut, NULL, "stores_run_until_the_cut");
}

const struct program program = { "power_cut", add };
