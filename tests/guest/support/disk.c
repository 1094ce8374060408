// SPDX-License-Identifier: GPL-2.0
/*
 * disk.c - the test machine's disks by role; see disk.h.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
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
	int lba, tries;

	memset(disk, 0, sizeof(*disk));
	snprintf(disk->role, sizeof(disk->role), "%s", role);
	snprintf(link, sizeof(link), "/dev/drw/%s", role);
	if (!realpath(link, disk->path) || access(disk->path, F_OK))
		skip("this machine has no disk %s", role);
	snprintf(disk->name, sizeof(disk->name), "%s", strrchr(disk->path, '/') + 1);
	/* A disk that has just come has a node a moment before it can be opened. */
	for (tries = 0; tries < 100; tries++) {
		disk->fd = open(disk->path, O_RDWR | O_DIRECT | O_CLOEXEC);
		if (disk->fd >= 0 || errno != ENXIO)
			break;
		usleep(50000);
	}
	SYS(disk->fd);
	SYS(ioctl(disk->fd, BLKSSZGET, &lba));
	SYS(ioctl(disk->fd, BLKGETSIZE64, &disk->bytes));
	disk->lba = lba;
	snprintf(link, sizeof(link), "/sys/class/block/%s/partition", disk->name);
	disk->first = access(link, F_OK) ? MiB : 0;
}

static bool link_disk(const char *name, const char *serial)
{
	char role[32], node[64], link[64], text[64];
	int parts;

	snprintf(node, sizeof(node), "/dev/%s", name);
	snprintf(text, sizeof(text), "%s", slurp("/sys/block/%s/device/serial", name));
	text[strcspn(text, " ")] = 0;
	if (strcmp(text, serial) || access(node, F_OK))
		return false;
	snprintf(role, sizeof(role), "%s%s", serial + strlen("drw-"),
		 atoi(slurp("/sys/block/%s/queue/logical_block_size", name)) == 4096 ?
		 "4k" : "512");
	snprintf(link, sizeof(link), "/dev/drw/%s", role);
	/* Made since the start of this round: the second path without multipath. */
	if (!access(link, F_OK))
		snprintf(link, sizeof(link), "/dev/drw/%sb", role);
	unlink(link);
	SYS(symlink(node, link));
	for (parts = 1; parts <= 2; parts++) {
		char part[80], part_link[80];

		snprintf(part, sizeof(part), "%sp%d", node, parts);
		snprintf(part_link, sizeof(part_link), "%sp%d", link, parts);
		unlink(part_link);
		if (!access(part, F_OK))
			SYS(symlink(part, part_link));
	}
	return true;
}

void disk_relink(const char *serial, unsigned int count)
{
	unsigned int found = 0;

	for (int tries = 0; tries < 200; tries++) {
		DIR *d = opendir("/sys/block");
		struct dirent *e;
		char cmd[128];

		snprintf(cmd, sizeof(cmd), "rm -f /dev/drw/%s512* /dev/drw/%s4k*",
			 serial + strlen("drw-"), serial + strlen("drw-"));
		if (system(cmd))
			FAIL("%s", cmd);
		found = 0;
		while ((e = readdir(d)))
			if (!strncmp(e->d_name, "nvme", 4))
				found += link_disk(e->d_name, serial);
		closedir(d);
		if (found >= count)
			return;
		usleep(50000);
	}
	FAIL("%u of %u disks of %s came back", found, count, serial);
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

static void place_put(const void *object, u64 off, const void *mem, u64 len)
{
	disk_pwrite(object, mem, len, off);
}

static void place_get(const void *object, u64 off, void *mem, u64 len)
{
	disk_pread(object, mem, len, off);
}

static struct data_place place_of(const struct disk *disk)
{
	return (struct data_place){ disk->role, disk, place_put, place_get };
}

void disk_fill(const struct disk *disk, u64 off, u64 len, u64 tag, u64 pos)
{
	struct data_place place = place_of(disk);

	data_fill_place(&place, off, len, tag, pos);
}

void disk_check_at(const char *file, int line, const struct disk *disk, u64 off, u64 len,
		   u64 tag, u64 pos)
{
	struct data_place place = place_of(disk);

	data_check_place(file, line, &place, off, len, tag, pos);
}

/* A controller's name is another after each return of it, its address is not. */
static int open_ctrl(const char *pci)
{
	char path[64], node[300] = "";
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/nvme", pci);
	dir = opendir(path);
	CHECK(dir, "%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(node, sizeof(node), "/dev/%s", entry->d_name);
	closedir(dir);
	return SYS(open(node, O_RDWR | O_CLOEXEC));
}

static int admin(const char *pci, struct nvme_admin_cmd *cmd)
{
	int fd = open_ctrl(pci), ret = ioctl(fd, NVME_IOCTL_ADMIN_CMD, cmd);

	close(fd);
	return ret;
}

/* NVM Express Base Specification 2.1: Identify Controller, bytes 78 and 79. */
static u16 controller_id(const char *pci)
{
	u16 *data = data_alloc(4096);
	struct nvme_admin_cmd cmd = {
		.opcode = 0x06, .addr = (uintptr_t)data, .data_len = 4096, .cdw10 = 1,
	};

	CHECK_EQ(admin(pci, &cmd), 0);
	return data[39];
}

/* Same specification: Namespace Attachment, Controller List. */
bool disk_attach(const struct disk *disk, const char *pci, bool attach)
{
	u16 *list = data_alloc(4096);
	struct nvme_admin_cmd cmd = {
		.opcode = 0x15, .addr = (uintptr_t)list, .data_len = 4096,
		.cdw10 = !attach,
	};

	cmd.nsid = SYS(ioctl(disk->fd, NVME_IOCTL_ID));
	list[0] = 1;
	list[1] = controller_id(pci);
	return !admin(pci, &cmd);
}

/* Error Recovery feature, DULBE: NVM Command Set Specification, section 4.1.3.2. */
bool disk_set_dulbe(const struct disk *disk, const char *const *ctrls, bool on)
{
	for (; *ctrls; ctrls++) {
		struct nvme_admin_cmd cmd = {
			.opcode = 0x09,		/* Set Features */
			.cdw10 = 0x05,		/* Error Recovery */
			.cdw11 = on ? 1U << 16 : 0,
		};

		cmd.nsid = SYS(ioctl(disk->fd, NVME_IOCTL_ID));
		if (admin(machine_var(*ctrls), &cmd))
			return false;
	}
	return true;
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
