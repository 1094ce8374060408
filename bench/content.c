// SPDX-License-Identifier: GPL-2.0
/*
 * content.c - what is in memory and on the disk, so that every run can be checked.
 *
 * The first word of a sector holds tag and position, the others depend on the position
 * alone; so memory can be given another tag cheaply before a run, and data of an earlier
 * run, or of another place, is never taken for the right one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define WORDS (SECTOR / sizeof(u64))

static u64 head(u32 tag, u64 sector)
{
	return (u64)tag << 32 | (u32)sector;
}

static u64 word(u64 sector, unsigned int i)
{
	return (sector * WORDS + i) * 0x9e3779b97f4a7c15ULL;
}

void content_fill(void *mem, u64 len, u32 tag, u64 pos)
{
	u64 *w = mem, sector;
	unsigned int i;

	for (sector = pos / SECTOR; len; len -= SECTOR, sector++, w += WORDS) {
		w[0] = head(tag, sector);
		for (i = 1; i < WORDS; i++)
			w[i] = word(sector, i);
	}
}

bool content_is(const void *mem, u64 len, u32 tag, u64 pos)
{
	const u64 *w = mem;
	u64 sector;
	unsigned int i;

	for (sector = pos / SECTOR; len; len -= SECTOR, sector++, w += WORDS) {
		if (w[0] != head(tag, sector))
			return false;
		for (i = 1; i < WORDS; i++)
			if (w[i] != word(sector, i))
				return false;
	}
	return true;
}

void content_retag(void *mem, u64 len, u32 tag, u64 pos)
{
	u64 *w = mem, sector;

	for (sector = pos / SECTOR; len; len -= SECTOR, sector++, w += WORDS)
		w[0] = head(tag, sector);
}

static void fill_half(const struct area *area, const char *name)
{
	u8 *mem = aligned_alloc(4096, MAX_BLOCK);
	u64 off;

	if (!mem)
		die("no memory");
	for (off = 0; off < area->half; off += MAX_BLOCK) {
		content_fill(mem, MAX_BLOCK, 0, off);
		if (pwrite(area->fd, mem, MAX_BLOCK, area->base + off) != (ssize_t)MAX_BLOCK)
			die("%s cannot be filled: %s", name, strerror(errno));
	}
	free(mem);
}

void area_open(struct area *area, const char *role, u64 base, u64 half)
{
	char link[64], path[64];

	*area = (struct area){ .base = base, .half = half };
	snprintf(link, sizeof(link), "/dev/drw/%s", role);
	area->fd = open(link, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (area->fd < 0 || !realpath(link, path))
		die("%s: %s", link, strerror(errno));
	snprintf(area->disk, sizeof(area->disk), "%s", strrchr(path, '/') + 1);

	fill_half(area, link);
}

#define FILE_MOUNT	"/tmp/bench"

static void run_command(const char *command)
{
	if (system(command))
		die("failed: %s", command);
}

void area_mount(const struct area *disk, u64 start, u64 bytes)
{
	/* In the kernel only; nothing is written to the disk for it. */
	struct blkpg_partition part = { .start = start, .length = bytes, .pno = 1 };
	struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION, .datalen = sizeof(part),
				       .data = &part };
	char path[64], command[128];

	if (ioctl(disk->fd, BLKPG, &arg))
		die("no partition on %s: %s", disk->disk, strerror(errno));
	snprintf(path, sizeof(path), "/dev/%sp1", disk->disk);
	snprintf(command, sizeof(command),
		 "mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0 %s", path);
	run_command(command);
	mkdir(FILE_MOUNT, 0700);
	if (mount(path, FILE_MOUNT, "ext4", 0, NULL))
		die("mount of %s: %s", path, strerror(errno));
}

void area_open_file(struct area *area, const struct area *disk, const char *name, u64 half,
		    bool read_only)
{
	struct area second;
	char path[64];

	*area = (struct area){ .half = half, .file = true, .read_only = read_only };
	snprintf(area->disk, sizeof(area->disk), "%s", disk->disk);
	snprintf(path, sizeof(path), FILE_MOUNT "/%s", name);
	area->fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	if (area->fd < 0 || fallocate(area->fd, 0, 0, 2 * half))
		die("%s: %s", path, strerror(errno));
	fill_half(area, path);
	/* All of it must have been written once. */
	second = *area;
	second.base = half;
	fill_half(&second, path);
	fsync(area->fd);
	if (!read_only)
		return;
	close(area->fd);
	area->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (area->fd < 0)
		die("%s: %s", path, strerror(errno));
}

void area_unmount(void)
{
	if (umount(FILE_MOUNT))
		die("umount: %s", strerror(errno));
}

/* Documentation/block/stat.rst: the third and the seventh number. */
static u64 sectors(const char *path, bool write)
{
	unsigned long long in, out;
	FILE *f = fopen(path, "re");

	if (!f || fscanf(f, "%*u %*u %llu %*u %*u %*u %llu", &in, &out) != 2)
		die("%s cannot be read", path);
	fclose(f);
	return write ? out : in;
}

u64 area_sectors(const struct area *area, bool write)
{
	char disk[96], part[96];
	u64 all, other;
	int tries = 0;

	/* Of a file: with all that the file system does. */
	snprintf(disk, sizeof(disk), "/sys/block/%s/stat", area->disk);
	snprintf(part, sizeof(part), "/sys/block/%s/%sp1/stat", area->disk, area->disk);
	if (area->file)
		return sectors(part, write);
	if (access(part, F_OK))
		return sectors(disk, write);
	/*
	 * What the file system does in the background is in both, but must not come between
	 * the two looks.
	 */
	do {
		if (tries++ == 1000)
			die("%s: the file system does not stop to write", area->disk);
		other = sectors(part, write);
		all = sectors(disk, write);
	} while (sectors(part, write) != other || sectors(disk, write) != all);
	return all - other;
}
