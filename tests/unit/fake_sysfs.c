// SPDX-License-Identifier: MIT
/* fake_sysfs.c - see fake_sysfs.h. */
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "fake_sysfs.h"
#include "unit.h"

#define PATH	512

char fake_root[64];

void fake_sysfs_make(void)
{
	strcpy(fake_root, "/tmp/fake_sysfs-XXXXXX");
	assert_non_null(mkdtemp(fake_root));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

void fake_sysfs_remove(void)
{
	nftw(fake_root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The directories of a path. */
static void make_above(char *path)
{
	char *at;

	for (at = path + strlen(fake_root) + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(path, 0755);
		*at = '/';
	}
}

static void put(const void *bytes, size_t len, char *path)
{
	FILE *f;

	make_above(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

#define PUT_AT(path, format)							\
	do {									\
		size_t n_ = snprintf(path, sizeof(path), "%s", fake_root);	\
		va_list ap_;							\
										\
		va_start(ap_, format);						\
		vsnprintf(path + n_, sizeof(path) - n_, format, ap_);		\
		va_end(ap_);							\
	} while (0)

void fake_bytes(const void *bytes, size_t len, const char *format, ...)
{
	char path[PATH];

	PUT_AT(path, format);
	put(bytes, len, path);
}

void fake_attribute(const char *text, const char *format, ...)
{
	char path[PATH], line[PATH];

	PUT_AT(path, format);
	put(line, snprintf(line, sizeof(line), "%s\n", text), path);
}

void fake_link(const char *path, const char *target)
{
	char from[PATH], to[PATH];

	snprintf(from, sizeof(from), "%s%s", fake_root, path);
	snprintf(to, sizeof(to), "%s%s", fake_root, target);
	make_above(from);
	unlink(from);
	assert_int_equal(symlink(to, from), 0);
}

void fake_pci(const char *place, int port, enum fake_acs acs, size_t readable)
{
	unsigned char config[4096] = { 0x86, 0x80, 0xc0, 0x29 };
	const char *name = strrchr(place, '/') + 1;
	char link[128], target[PATH];

	config[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	config[PCI_CAPABILITY_LIST] = 0x50;
	/* One that is of no interest comes first. */
	config[0x50] = PCI_CAP_ID_MSI;
	config[0x51] = 0x80;
	config[0x80] = PCI_CAP_ID_EXP;
	config[0x80 + PCI_EXP_FLAGS] = (port < 0 ? PCI_EXP_TYPE_ENDPOINT : port) << 4 | 2;
	config[0x100] = PCI_EXT_CAP_ID_ERR;
	if (acs != FAKE_NO_ACS) {
		/* The next one is at 0x148; its version, 1, is in the same word. */
		config[0x102] = 0x81;
		config[0x103] = 0x14;
		config[0x148] = PCI_EXT_CAP_ID_ACS;
		config[0x148 + PCI_ACS_CTRL] = acs == FAKE_ACS_REDIRECTS ?
					       PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR : PCI_ACS_SV;
	}
	fake_bytes(config, readable, "/sys/devices/%s/config", place);
	fake_attribute(port < 0 ? "0x010802" : "0x060400", "/sys/devices/%s/class", place);
	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s", name);
	snprintf(target, sizeof(target), "/sys/devices/%s", place);
	fake_link(link, target);
}

void fake_nvme(const char *ctrl, const char *place, const char *model)
{
	char link[128], target[PATH];

	snprintf(target, sizeof(target), "/sys/devices/%s/nvme/%s", place, ctrl);
	fake_attribute(model, "%s/model", target);
	fake_attribute("1.0   ", "%s/firmware_rev", target);
	fake_attribute("live", "%s/state", target);
	fake_attribute("pcie", "%s/transport", target);
	fake_attribute(strrchr(place, '/') + 1, "%s/address", target);
	snprintf(link, sizeof(link), "/sys/class/nvme/%s", ctrl);
	fake_link(link, target);
}

void fake_disk(const char *dir, const char *dev, unsigned int lba)
{
	char link[128], number[16];

	snprintf(number, sizeof(number), "%u", lba);
	fake_attribute(dev, "%s/dev", dir);
	fake_attribute(number, "%s/queue/logical_block_size", dir);
	fake_attribute("512", "%s/queue/max_hw_sectors_kb", dir);
	fake_attribute("none", "%s/queue/zoned", dir);
	fake_attribute("write back", "%s/queue/write_cache", dir);
	fake_attribute("0", "%s/queue/io_poll", dir);
	fake_attribute("0", "%s/metadata_bytes", dir);
	snprintf(link, sizeof(link), "/sys/dev/block/%s", dev);
	fake_link(link, dir);
}
