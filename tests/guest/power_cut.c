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
 * Between batches other files are stored anew, as a user of the library does it: each is
 * the one that was last committed, whole, or one whose store began later, whole.
 *
 *   cut base		the files hold their first content, durably: the runner may cut
 *   cut begin N	the stores of batch N may arrive from now on
 *   cut forced N	those stores are durable (DMABUF_RW_IO_FUA)
 *   cut synced N	these and all earlier ones to the same files are (fsync)
 *   cut store N	a file is being stored anew
 *   cut stored N	it has been committed
 *   cut flushed N	and the drive's cache was flushed once more, in case that it ignores
 *			that the journal's last write is forced
 *   cut grow N		a file is about to be emptied and written by write(2)
 *   cut grown N	a forced store into it has been acknowledged, and the drive's cache was
 *			flushed: it has its blocks, its size and its bytes from then on
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "require.h"

#define LOG_FILE	"/root/cut.log"
#define MAX_BATCHES	100000U
#define FILES		3
#define FILE_BYTES	(320 * KiB + 1000)	/* the last LBA is the file's in part */
#define MAX_LBAS	(FILE_BYTES / 512 + 1)
#define MAX_STORES	4
#define STORE_BYTES	(48 * KiB)
#define SLOT		(64 * KiB)		/* of the buffer, for a store */
#define CHURN_EVERY	6			/* batches */
#define NEW_FILES	2			/* those that are stored anew */
#define NEW_BYTES	(200 * KiB)
#define NEW_EVERY	2			/* batches */
#define GROW_EVERY	5			/* batches */
#define GROW_BYTES	(64 * KiB)
#define GROW_FILES	2			/* of a system, in turns */
#define TEMPORARY	".dmabuf-rw-"		/* what the library's names begin with */

struct system {
	const char *fs, *role, *mkfs;
	u32 number, lba;
};

static const struct system systems[] = {
	{ "ext4", "priv512p1", "-F -b 4096 -E nodiscard", 0, 512 },
	{ "xfs", "priv4kp1", "-f -K", 1, 4096 },
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

/* A file that is stored anew; number 0 is what it holds first. */
struct new_file {
	u32 system, file;
	u64 number, bytes, tag;
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
static struct dmabuf_rw_device *device;

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
		u64 lba = systems[b->system].lba;
		bool apart = true;

		s->file = rng_below(&rng, FILES);
		s->len = rng_step(&rng, lba, rng_below(&rng, 3) ? 4096 : STORE_BYTES, lba);
		s->pos = rng_step(&rng, 0, ROUND_DOWN(FILE_BYTES, lba), lba);
		/* The last one ends with the file. */
		s->len = MIN(s->len, FILE_BYTES - s->pos);
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

static void fill_in(struct new_file *f, u64 boot, struct rng *rng)
{
	f->bytes = 1 + rng_below(rng, NEW_BYTES);
	f->tag = boot << 48 | 0xffULL << 40 | f->number << 8 | f->system * NEW_FILES | f->file;
}

static void first_new(struct new_file *f, u64 boot, u32 system, u32 file)
{
	struct rng rng = { variable("DRW_CUT_SEED") + system * NEW_FILES + file };

	*f = (struct new_file){ .system = system, .file = file };
	fill_in(f, boot, &rng);
}

static void draw_new(struct new_file *f, u64 boot, u64 number)
{
	struct rng rng = { ~(variable("DRW_CUT_SEED") * 1000003 + boot * MAX_BATCHES + number) };

	*f = (struct new_file){ .number = number,
				.system = rng_below(&rng, ARRAY_SIZE(systems)),
				.file = rng_below(&rng, NEW_FILES) };
	fill_in(f, boot, &rng);
}

/* --- before the cut ------------------------------------------------------------------ */

static void mount_system(struct mounted *m, const struct system *s)
{
	if (!strcmp(s->fs, "xfs"))
		require_filesystem("xfs");
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
	for (u32 i = 0; i < NEW_FILES; i++) {
		struct new_file f;
		char path[64];
		int fd;

		first_new(&f, boot, s->number, i);
		snprintf(path, sizeof(path), "%s/anew%u", m->at, i);
		fd = SYS(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
		data_fill(content, f.bytes, f.tag, 0);
		CHECK_EQ(write(fd, content, f.bytes), f.bytes);
		SYS(fsync(fd));
		close(fd);
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

		OK(drw_wait_cqe(&ring, &cqe));
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

static void store_anew(u64 boot, u64 number)
{
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_file *file;
	struct new_file f;
	char path[64];

	draw_new(&f, boot, number);
	buf_fill(&buf, 0, f.bytes, f.tag, 0);
	snprintf(path, sizeof(path), "%s/anew%u", mounted[f.system].at, f.file);
	say("cut store %llu\n", (unsigned long long)number);
	OK(dmabuf_rw_file_create(path, f.bytes, NULL, &file));
	OK(dmabuf_rw_binding_create(device, buf.fd, dmabuf_rw_file_fd(file), NULL, &binding));
	CHECK_EQ(dmabuf_rw_write(binding, 0, 0, f.bytes, 0, NULL), f.bytes);
	dmabuf_rw_binding_destroy(binding);
	OK(dmabuf_rw_file_commit(file));
	say("cut stored %llu\n", (unsigned long long)number);
	dmabuf_rw_file_close(file);
	SYS(fsync(mounted[f.system].disk.fd));
	say("cut flushed %llu\n", (unsigned long long)number);
}

static u64 grow_tag(u64 boot, u64 number, bool store)
{
	return boot << 48 | 0xfeULL << 40 | number << 1 | store;
}

static u32 grow_system(u64 number)
{
	return number / GROW_EVERY % ARRAY_SIZE(systems);
}

static u32 grow_file(u64 number)
{
	return number / GROW_EVERY / ARRAY_SIZE(systems) % GROW_FILES;
}

/*
 * What write(2) has put into the file is on no disk yet when it is stored into. A forced store
 * is worth nothing unless the file's blocks and size are durable with it.
 */
static void grow(u64 boot, u64 number)
{
	struct mounted *m = &mounted[grow_system(number)];
	char path[64];
	int fd, b;

	say("cut grow %llu\n", (unsigned long long)number);
	snprintf(path, sizeof(path), "%s/grow%u", m->at, grow_file(number));
	fd = SYS(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	SYS(fsync(fd));
	data_fill(content, GROW_BYTES, grow_tag(boot, number, false), 0);
	CHECK_EQ(pwrite(fd, content, GROW_BYTES, 0), GROW_BYTES);
	b = OK(drw_bind(buf.fd, fd));
	buf_fill(&buf, 0, GROW_BYTES, grow_tag(boot, number, true), 0);
	CHECK_EQ(drw_io(b, DMABUF_RW_OP_WRITE, 0, 0, GROW_BYTES, DMABUF_RW_IO_FUA), GROW_BYTES);
	/* In case that the drive ignores that the journal's last write is forced. */
	SYS(fsync(m->disk.fd));
	say("cut grown %llu\n", (unsigned long long)number);
	close(b);
	close(fd);
}

static void stores_run_until_the_cut(const void *arg)
{
	u64 boot = variable("DRW_CUT_BOOT");
	struct batch b;

	OK(dmabuf_rw_device_open(NULL, &device));

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
		if (n % NEW_EVERY == 0)
			store_anew(boot, n);
		if (n % GROW_EVERY == 0)
			grow(boot, n);
	}
	FAIL("the machine was not cut");
}

/* --- after the cut ------------------------------------------------------------------- */

static bool forced[MAX_BATCHES], synced[MAX_BATCHES];
static bool begun_new[MAX_BATCHES], durable_new[MAX_BATCHES];
static u64 last_grow[ARRAY_SIZE(systems)][GROW_FILES];
static u64 last_grown[ARRAY_SIZE(systems)][GROW_FILES];
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
		else if (!strcmp(what, "grow"))
			last_grow[grow_system(number)][grow_file(number)] = number;
		else if (!strcmp(what, "grown"))
			last_grown[grow_system(number)][grow_file(number)] = number;
		else if (!strcmp(what, "store"))
			begun_new[number] = true;
		else if (!strcmp(what, "flushed") || (!strcmp(what, "stored") && trust_forced))
			durable_new[number] = true;
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
			      "file %u at %#llx has neither what was acknowledged nor anything "
			      "later; the last batch there was %llu of %llu",
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
		skip("this QEMU's drives ignore forced unit access; durability checks that it is "
		     "asked for");
	trust_forced = true;
	compare_files(arg);
}

/* Is what @path names @f, whole? */
static bool is_new(const char *path, const struct new_file *f)
{
	static u8 *cached, *disk, *want;
	int fd = SYS(open(path, O_RDONLY | O_CLOEXEC));
	int direct = SYS(open(path, O_RDONLY | O_DIRECT | O_CLOEXEC));
	struct stat st;
	bool same;

	cached = cached ?: data_alloc(NEW_BYTES + 4096);
	disk = disk ?: data_alloc(NEW_BYTES + 4096);
	want = want ?: data_alloc(NEW_BYTES + 4096);
	SYS(fstat(fd, &st));
	same = st.st_size == (off_t)f->bytes;
	if (same) {
		CHECK_EQ(pread(direct, disk, ROUND_UP(f->bytes, 4096), 0), f->bytes);
		CHECK_EQ(pread(fd, cached, NEW_BYTES, 0), f->bytes);
		data_check("the cache", cached, disk, f->bytes, 0);
		data_fill(want, f->bytes, f->tag, 0);
		same = !memcmp(disk, want, f->bytes);
	}
	close(direct);
	close(fd);
	return same;
}

/* The file itself: the last one that is durable, or one that began later. */
static void check_new(const struct mounted *m, const struct system *s, u32 file, u64 boot,
		      u64 *durable)
{
	struct new_file f, last;
	char path[64];
	struct stat st;

	first_new(&last, boot, s->number, file);
	for (u64 n = NEW_EVERY; n < MAX_BATCHES; n += NEW_EVERY) {
		draw_new(&f, boot, n);
		if (durable_new[n] && f.system == s->number && f.file == file)
			last = f;
	}
	*durable = last.number;
	snprintf(path, sizeof(path), "%s/anew%u", m->at, file);
	if (is_new(path, &last))
		return;
	for (u64 n = last.number + NEW_EVERY; n < MAX_BATCHES; n += NEW_EVERY) {
		draw_new(&f, boot, n);
		if (begun_new[n] && f.system == s->number && f.file == file && is_new(path, &f))
			return;
	}
	SYS(stat(path, &st));
	FAIL("%s of %llu bytes is neither the one that was committed as number %llu nor a "
	     "later one",
	     path, (unsigned long long)st.st_size, (unsigned long long)last.number);
}

/*
 * What may be left of the last store: a file that was about to get its name. It is whole, and
 * can be removed.
 */
static u32 check_temporaries(const struct mounted *m, u64 boot)
{
	struct dirent *entry;
	DIR *d = opendir(m->at);
	char path[320];
	u32 nr = 0;

	CHECK(d, "%s: %s", m->at, strerror(errno));
	while ((entry = readdir(d))) {
		bool known = false;

		if (strncmp(entry->d_name, TEMPORARY, strlen(TEMPORARY)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", m->at, entry->d_name);
		for (u64 n = NEW_EVERY; n < MAX_BATCHES && !known; n += NEW_EVERY) {
			struct new_file f;

			draw_new(&f, boot, n);
			known = begun_new[n] && !durable_new[n] && is_new(path, &f);
		}
		CHECK(known, "%s is nothing that was being stored", path);
		SYS(unlink(path));
		nr++;
	}
	closedir(d);
	CHECK(nr <= 1, "%u temporary files", nr);
	return nr;
}

static void stored_files_are_old_or_new(const void *arg)
{
	const struct system *s = arg;
	struct mounted *m = &mounted[s->number];
	u64 boot = variable("DRW_CUT_BOOT") - 1, durable[NEW_FILES];
	u32 left;

	/* Journals rely on it. Without it, a commit counts after the flush that follows it. */
	trust_forced = variable("DRW_CUT_FORCED");
	read_log();
	mount_system(m, s);
	for (u32 i = 0; i < NEW_FILES; i++)
		check_new(m, s, i, boot, &durable[i]);
	left = check_temporaries(m, boot);
	SYS(umount(m->at));
	note("last committed: %llu, %llu; %u temporary files",
	     (unsigned long long)durable[0], (unsigned long long)durable[1], left);
}

static void check_grown(const struct system *s, u64 number)
{
	static u8 *got, *want;
	u64 boot = variable("DRW_CUT_BOOT") - 1;
	char path[64];
	struct stat st;
	int fd;

	got = got ?: data_alloc(GROW_BYTES);
	want = want ?: data_alloc(GROW_BYTES);
	snprintf(path, sizeof(path), "%s/grow%u", mounted[s->number].at, grow_file(number));
	fd = SYS(open(path, O_RDONLY | O_DIRECT | O_CLOEXEC));
	SYS(fstat(fd, &st));
	CHECK_EQ(st.st_size, GROW_BYTES, "number %llu", (unsigned long long)number);
	CHECK_EQ(pread(fd, got, GROW_BYTES, 0), GROW_BYTES);
	data_fill(want, GROW_BYTES, grow_tag(boot, number, true), 0);
	data_check(path, got, want, GROW_BYTES, 0);
	close(fd);
}

static void forced_stores_have_blocks(const void *arg)
{
	const struct system *s = arg;
	u32 nr = 0;

	read_log();
	mount_system(&mounted[s->number], s);
	for (u32 i = 0; i < GROW_FILES; i++) {
		u64 number = last_grown[s->number][i];

		/* Another one that began later may have emptied it. */
		if (!number || last_grow[s->number][i] != number)
			continue;
		check_grown(s, number);
		nr++;
	}
	SYS(umount(mounted[s->number].at));
	if (!nr)
		skip("the machine was cut before one had been acknowledged");
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
		test_add(forced_stores_have_blocks, &systems[i],
			 "%s_has_the_blocks_of_what_was_forced", systems[i].fs);
		test_add(stored_files_are_old_or_new, &systems[i],
			 "%s_has_stored_files_old_or_new_as_a_whole", systems[i].fs);
	}
	test_add(stores_run_until_the_cut, NULL, "stores_run_until_the_cut");
}

const struct program program = { "power_cut", add };
