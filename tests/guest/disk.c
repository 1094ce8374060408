// SPDX-License-Identifier: GPL-2.0
/*
 * disk.c - the test machine's disks by role; see disk.h.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "data.h"
#include "disk.h"

bool disk_exists(const char *role)
{
	char link[64];

	snprintf(link, sizeof(link), "/dev/drw/%s", role);
	return !access(link, F_OK);
}

void disk_open(struct disk *disk, const char *role)
{
	char link[64];
	int lba;

	memset(disk, 0, sizeof(*disk));
	snprintf(disk->role, sizeof(disk->role), "%s", role);
	snprintf(link, sizeof(link), "/dev/drw/%s", role);
	if (!realpath(link, disk->path) || access(disk->path, F_OK))
		skip("this machine has no disk %s", role);
	snprintf(disk->name, sizeof(disk->name), "%s", strrchr(disk->path, '/') + 1);
	disk->fd = SYS(open(disk->path, O_RDWR | O_DIRECT | O_CLOEXEC));
	SYS(ioctl(disk->fd, BLKSSZGET, &lba));
	SYS(ioctl(disk->fd, BLKGETSIZE64, &disk->bytes));
	disk->lba = lba;
	snprintf(link, sizeof(link), "/sys/class/block/%s/partition", disk->name);
	disk->first = access(link, F_OK) ? MiB : 0;
}

int disk_fd(const struct disk *disk, int flags)
{
	return SYS(open(disk->path, flags | O_CLOEXEC));
}

void disk_pread(const struct disk *disk, void *mem, u64 len, u64 off)
{
	for (u64 done = 0; done < len;) {
		ssize_t n = pread(disk->fd, mem + done, len - done, off + done);

		CHECK(n > 0, "pread %s at %llu: %s", disk->role,
		      (unsigned long long)(off + done), n ? strerror(errno) : "end");
		done += n;
	}
}

void disk_pwrite(const struct disk *disk, const void *mem, u64 len, u64 off)
{
	CHECK(off >= disk->first, "a test wrote to the partition table");
	for (u64 done = 0; done < len;) {
		ssize_t n = pwrite(disk->fd, mem + done, len - done, off + done);

		CHECK(n > 0, "pwrite %s at %llu: %s", disk->role,
		      (unsigned long long)(off + done), n ? strerror(errno) : "end");
		done += n;
	}
}

#define PIECE (256 * KiB)

void disk_fill(const struct disk *disk, u64 off, u64 len, u64 tag, u64 pos)
{
	static void *mem;
	u64 n;

	mem = mem ?: data_alloc(PIECE);
	for (; len; off += n, pos += n, len -= n) {
		n = MIN(len, PIECE);
		data_fill(mem, n, tag, pos);
		disk_pwrite(disk, mem, n, off);
	}
}

void disk_check_at(const char *file, int line, const struct disk *disk, u64 off, u64 len,
		   u64 tag, u64 pos)
{
	static void *got, *want;
	u64 n;

	got = got ?: data_alloc(PIECE);
	want = want ?: data_alloc(PIECE);
	for (; len; off += n, pos += n, len -= n) {
		n = MIN(len, PIECE);
		disk_pread(disk, got, n, off);
		data_fill(want, n, tag, pos);
		data_check_at(file, line, disk->role, got, want, n, off);
	}
}

const char *machine_var(const char *name)
{
	const char *value = getenv(name);

	if (!value || !*value)
		skip("this machine has no %s", name);
	return value;
}

u32 pci_number(const char *address)
{
	unsigned int domain, bus, dev, fn;

	CHECK_EQ(sscanf(address, "%x:%x:%x.%x", &domain, &bus, &dev, &fn), 4, "%s", address);
	return domain << 16 | bus << 8 | dev << 3 | fn;
}

bool machine_has_iommu(void)
{
	DIR *d = opendir("/sys/class/iommu");
	struct dirent *e;
	bool found = false;

	while (d && (e = readdir(d)))
		found |= e->d_name[0] != '.';
	if (d)
		closedir(d);
	return found;
}

bool machine_has_multipath(void)
{
	return slurp("/sys/module/nvme_core/parameters/multipath")[0] == 'Y';
}
