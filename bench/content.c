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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

void area_open(struct area *area, const char *role, u64 base, u64 half)
{
	char link[64], path[64];
	u8 *mem;
	u64 off;

	*area = (struct area){ .base = base, .half = half };
	snprintf(link, sizeof(link), "/dev/drw/%s", role);
	area->fd = open(link, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (area->fd < 0 || !realpath(link, path))
		die("%s: %s", link, strerror(errno));
	snprintf(area->disk, sizeof(area->disk), "%s", strrchr(path, '/') + 1);

	mem = aligned_alloc(4096, MAX_BLOCK);
	if (!mem)
		die("no memory");
	for (off = 0; off < half; off += MAX_BLOCK) {
		content_fill(mem, MAX_BLOCK, 0, off);
		if (pwrite(area->fd, mem, MAX_BLOCK, base + off) != (ssize_t)MAX_BLOCK)
			die("%s cannot be filled: %s", link, strerror(errno));
	}
	free(mem);
}

/* Documentation/block/stat.rst: the third and the seventh number. */
u64 area_sectors(const struct area *area, bool write)
{
	unsigned long long in, out;
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", area->disk);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*u %*u %llu %*u %*u %*u %llu", &in, &out) != 2)
		die("%s cannot be read", path);
	fclose(f);
	return write ? out : in;
}
