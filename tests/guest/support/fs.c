// SPDX-License-Identifier: GPL-2.0
/*
 * fs.c - file systems on the test machine's disks; see fs.h.
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "require.h"

#define MOUNTS	"/tmp/fs."	/* and the role */
#define SAVED	"/tmp/first."	/* and the role: the first MiB of a whole disk */

/* ---- file systems ------------------------------------------------------------------ */

/* Unmount @dir if something is mounted there; whoever keeps it busy may be on its way out. */
static int unmount(const char *dir)
{
	for (int tries = 0; tries < 100; tries++) {
		if (!umount2(dir, 0) || errno == EINVAL || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		usleep(50000);
	}
	return -errno;
}

static void first_mib(const char *role, bool save)
{
	char path[64];
	struct disk d;
	void *mem;
	int fd;

	snprintf(path, sizeof(path), SAVED "%s", role);
	disk_open(&d, role);
	/* A partition has no table. */
	if (!d.first)
		goto out;
	mem = data_alloc(MiB);
	fd = open(path, save ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY, 0600);
	/* What a failed test has saved is older, and right; nothing saved is nothing to do. */
	if (fd < 0)
		goto out;
	if (save) {
		disk_pread(&d, mem, MiB, 0);
		CHECK_EQ(write(fd, mem, MiB), MiB);
	} else if (read(fd, mem, MiB) == (ssize_t)MiB) {
		CHECK_EQ(pwrite(d.fd, mem, MiB, 0), MiB);
		unlink(path);
	}
	close(fd);
out:
	close(d.fd);
}

/* Unmount everything of ours, and give whole disks their partition tables back. */
void fs_clean_up(void)
{
	char line[256], dir[128];
	bool again = true;
	FILE *f;

	while (again) {
		again = false;
		f = fopen("/proc/mounts", "r");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "%*s %127s", dir) != 1 ||
			    strncmp(dir, MOUNTS, strlen(MOUNTS)))
				continue;
			if (unmount(dir))
				umount2(dir, MNT_DETACH);
			again = true;
			break;
		}
		if (f)
			fclose(f);
	}
	f = popen("ls " SAVED "* 2>/dev/null", "r");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		first_mib(line + strlen(SAVED), false);
	}
	if (f)
		pclose(f);
}

const char *const fs_kinds[FS_KINDS] = { "ext4", "xfs" };

void fs_program(void)
{
	atexit(fs_clean_up);
}

int fs_mount(const struct fs *fs, const char *options)
{
	return sh("mount -t %s -o '%s' %s %s", fs->kind, *options ? options : "rw",
		  fs->disk.path, fs->dir) ? -1 : 0;
}

/* Why it could not be made, or NULL. */
static const char *make(struct fs *fs, const char *kind, const char *role, u64 bytes,
			const char *mkfs, const char *mount)
{
	static bool cleaned;
	struct statvfs st;
	int ret;

	if (!cleaned)
		fs_clean_up();
	cleaned = true;
	*fs = (struct fs){ .kind = kind };
	disk_open(&fs->disk, role);
	snprintf(fs->dir, sizeof(fs->dir), MOUNTS "%s", role);
	if (mkdir(fs->dir, 0755) && errno != EEXIST)
		FAIL("%s: %s", fs->dir, strerror(errno));
	first_mib(role, true);
	fs->disk.first = 0;
	bytes = bytes ?: ROUND_DOWN(fs->disk.bytes, 4096);
	if (fs_is_xfs(fs)) {
		require_filesystem("xfs");
		/* Smaller than what is supported officially. */
		ret = sh("/usr/sbin/mkfs.xfs -q -f -K --unsupported -d size=%llu %s %s",
			 (unsigned long long)bytes, mkfs, fs->disk.path);
	} else {
		/* Nothing that runs later: it would write by itself. */
		ret = sh("/usr/sbin/mke2fs -q -F -t ext4 -b 4096 -m 0 %s "
			 "-E nodiscard,lazy_itable_init=0,lazy_journal_init=0 %s %s %lluk",
			 strstr(mkfs, "^has_journal") ? "" : "-J size=4", mkfs,
			 fs->disk.path, (unsigned long long)bytes / 1024);
	}
	if (ret)
		return "the tools do not make";
	if (fs_mount(fs, mount))
		return "the kernel does not mount";
	SYS(statvfs(fs->dir, &st));
	fs->block = st.f_bsize;
	return NULL;
}

void fs_make(struct fs *fs, const char *kind, const char *role, u64 bytes,
	     const char *mkfs, const char *mount)
{
	const char *why = make(fs, kind, role, bytes, mkfs, mount);

	CHECK(!why, "%s %s on %s, %s, %s", why, kind, role, mkfs, mount);
}

void fs_make_or_skip(struct fs *fs, const char *kind, const char *role, u64 bytes,
		     const char *mkfs, const char *mount)
{
	const char *why = make(fs, kind, role, bytes, mkfs, mount);

	if (why)
		skip("%s %s with '%s' and '%s'", why, kind, mkfs, mount);
}

void fs_unmount(const struct fs *fs)
{
	OK(unmount(fs->dir));
}

void fs_remount(const struct fs *fs)
{
	fs_unmount(fs);
	CHECK_EQ(fs_mount(fs, ""), 0);
}

void fs_check(const struct fs *fs)
{
	fs_unmount(fs);
	if (fs_is_xfs(fs))
		CHECK_EQ(sh("xfs_repair -n -P -o bhash=64 %s >/tmp/repair 2>&1 || "
			    "{ cat /tmp/repair; false; }",
			    fs->disk.path), 0);
	else
		CHECK_EQ(sh("e2fsck -fn %s >/tmp/repair 2>&1 || { cat /tmp/repair; false; }",
			    fs->disk.path), 0);
}

void fs_finish(const struct fs *fs)
{
	fs_check(fs);
	first_mib(fs->disk.role, false);
}

/* ---- files --------------------------------------------------------------------------- */

const char *fs_path(const struct fs *fs, const char *name)
{
	static char paths[8][128];
	static unsigned int next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", fs->dir, name);
	return path;
}

int fs_open(const struct fs *fs, const char *name, int flags)
{
	int fd = open(fs_path(fs, name), flags | O_CLOEXEC, 0600);

	CHECK(fd >= 0, "%s, flags %#x: %s", name, flags, strerror(errno));
	return fd;
}

void file_put(int fd, u64 off, const void *mem, u64 len)
{
	for (u64 done = 0; done < len;)
		done += SYS(pwrite(fd, mem + done, len - done, off + done));
}

void file_get(int fd, u64 off, void *mem, u64 len)
{
	for (u64 done = 0; done < len;) {
		ssize_t n = SYS(pread(fd, mem + done, len - done, off + done));

		CHECK(n, "the file ends at %llu", (unsigned long long)(off + done));
		done += n;
	}
}

static void place_put(const void *object, u64 off, const void *mem, u64 len)
{
	file_put(*(const int *)object, off, mem, len);
}

static void place_get(const void *object, u64 off, void *mem, u64 len)
{
	file_get(*(const int *)object, off, mem, len);
}

void file_fill(int fd, u64 off, u64 len, u64 tag)
{
	struct data_place place = { "file", &fd, place_put, place_get };

	data_fill_place(&place, off, len, tag, off);
}

void file_check_at(const char *file, int line, int fd, u64 off, u64 len, u64 tag)
{
	struct data_place place = { "file", &fd, place_put, place_get };

	data_check_place(file, line, &place, off, len, tag, off);
}

u64 file_bytes(int fd)
{
	struct stat st;

	SYS(fstat(fd, &st));
	return st.st_size;
}

int file_make(const struct fs *fs, const char *name, u64 bytes, u64 tag)
{
	int fd = fs_open(fs, name, O_RDWR | O_CREAT | O_TRUNC);

	/* All blocks at once, so that they come in few extents. */
	SYS(fallocate(fd, 0, 0, bytes));
	file_fill(fd, 0, bytes, tag);
	SYS(fsync(fd));
	return fd;
}

int file_make_fragmented(const struct fs *fs, const char *name, u64 bytes, u64 chunk,
			 u64 tag)
{
	u64 nr = (bytes + chunk - 1) / chunk, i;
	struct file_extent e, next;
	int fd = fs_open(fs, name, O_RDWR | O_CREAT | O_TRUNC);

	/* Every other chunk of a contiguous file is taken out, from the front on. */
	SYS(fallocate(fd, 0, 0, (2 * nr + 1) * chunk));
	for (i = 1; i < nr; i++)
		SYS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, i * chunk, chunk));
	SYS(ftruncate(fd, bytes));
	file_fill(fd, 0, bytes, tag);
	SYS(syncfs(fd));
	CHECK(file_extents(fd) >= nr, "%u extents", file_extents(fd));

	/* Nobody owns what is between them. */
	CHECK(file_extent(fd, 0, &e));
	for (; file_extent(fd, e.pos + e.len, &next); e = next)
		if (next.at == e.at + e.len + chunk)
			disk_fill(&fs->disk, e.at + e.len, chunk, tag + 1, e.pos);
	return fd;
}

void file_check_gaps_at(const char *file, int line, const struct fs *fs, int fd, u64 chunk,
			u64 tag)
{
	struct file_extent e, next;
	unsigned int nr = 0;

	CHECK(file_extent(fd, 0, &e));
	for (; file_extent(fd, e.pos + e.len, &next); e = next) {
		if (next.at != e.at + e.len + chunk)
			continue;
		disk_check_at(file, line, &fs->disk, e.at + e.len, chunk, tag + 1, e.pos);
		nr++;
	}
	CHECK(nr > 4, "%u gaps", nr);
}

int file_make_unwritten(const struct fs *fs, const char *name, u64 bytes)
{
	int fd = fs_open(fs, name, O_RDWR | O_CREAT | O_TRUNC);

	SYS(fallocate(fd, 0, 0, bytes));
	SYS(fsync(fd));
	return fd;
}

void fs_fill_free_space(const struct fs *fs, u8 byte)
{
	int fd = fs_open(fs, ".fill", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT);
	u64 step = MiB, at = 0;
	u8 *mem = data_alloc(MiB);

	memset(mem, byte, MiB);
	/* Ever smaller pieces, down to a block. */
	while (step >= fs->block) {
		ssize_t n = pwrite(fd, mem, step, at);

		if (n > 0) {
			at += n;
			continue;
		}
		CHECK(errno == ENOSPC, "%s", strerror(errno));
		step /= 2;
	}
	SYS(fsync(fd));
	close(fd);
	SYS(unlink(fs_path(fs, ".fill")));
	/* The journal gives freed blocks back when it has committed. */
	fd = SYS(open(fs->dir, O_RDONLY | O_DIRECTORY));
	SYS(syncfs(fd));
	close(fd);
	munmap(mem, MiB);
}

bool file_extent(int fd, u64 pos, struct file_extent *extent)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent;
	} m = { .map = { .fm_start = pos, .fm_length = ~0ULL - pos, .fm_extent_count = 1,
			 .fm_flags = FIEMAP_FLAG_SYNC } };

	SYS(ioctl(fd, FS_IOC_FIEMAP, &m));
	if (!m.map.fm_mapped_extents)
		return false;
	*extent = (struct file_extent){
		.pos = m.extent.fe_logical,
		.at = m.extent.fe_physical,
		.len = m.extent.fe_length,
		.unwritten = m.extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN,
		.shared = m.extent.fe_flags & FIEMAP_EXTENT_SHARED,
	};
	return true;
}

unsigned int file_extents(int fd)
{
	struct file_extent e;
	unsigned int nr = 0;

	for (u64 pos = 0; file_extent(fd, pos, &e); pos = e.pos + e.len)
		nr++;
	return nr;
}

u64 file_written(int fd, u64 pos, u64 len)
{
	struct file_extent e;
	u64 at = pos;

	while (at < pos + len && file_extent(fd, at, &e) && e.pos <= at && !e.unwritten)
		at = e.pos + e.len;
	return MIN(at - pos, len);
}

void file_check_on_disk_at(const char *file, int line, const struct fs *fs, int fd,
			   const u8 *mem, u64 len)
{
	u8 *got = data_alloc(MiB), *want = data_alloc(MiB);
	struct file_extent e;
	u64 off, n;

	for (u64 pos = 0; pos < len; pos = e.pos + e.len) {
		CHECK(file_extent(fd, pos, &e) && e.pos <= pos && !e.unwritten,
		      "no written extent at %llu", (unsigned long long)pos);
		for (off = 0; off < e.len && e.pos + off < len; off += n) {
			u64 known = len - e.pos - off;

			n = MIN(e.len - off, MiB);
			disk_pread(&fs->disk, got, n, e.at + off);
			/* What the last block has behind the end is zero. */
			if (known < n) {
				n = ROUND_UP(known, fs->block);
				memset(want + known, 0, n - known);
			}
			memcpy(want, mem + e.pos + off, MIN(known, n));
			data_check_at(file, line, "disk", got, want, n, e.pos + off);
		}
	}
	munmap(got, MiB);
	munmap(want, MiB);
}

void drop_caches(void)
{
	OK(spit("3", "/proc/sys/vm/drop_caches"));
}
