// SPDX-License-Identifier: GPL-2.0
/*
 * machine.c - describes the machine, and shows what it cannot do without the module.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "demo.h"

/* Documentation/admin-guide/tainted-kernels.rst: the flag that loading our module sets. */
#define TAINT_OUT_OF_TREE	(1UL << 12)
#define TAINT_UNSIGNED		(1UL << 13)

/* The file's first line; empty if there is no such file. */
static const char *first_line(const char *path)
{
	static char text[512];
	FILE *f = fopen(path, "re");

	text[0] = 0;
	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = 0;
		fclose(f);
	}
	text[strcspn(text, "\n")] = 0;
	return text;
}

/* Finds out-of-tree modules; there must be one, ours. */
static void check_modules(void)
{
	struct dirent *e;
	char path[300];
	DIR *dir;

	dir = opendir("/sys/module");
	if (!dir)
		die("/sys/module: %s", strerror(errno));
	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/module/%s/taint", e->d_name);
		if (*first_line(path) && strcmp(e->d_name, "dmabuf_rw"))
			die("the module %s is not the kernel's own", e->d_name);
	}
	closedir(dir);
	if (access("/sys/module/dmabuf_rw", F_OK))
		die("dmabuf_rw is not loaded");
}

void show_kernel(void)
{
	const char *package = machine_setting("DRW_KERNEL_PACKAGE");
	const char *image = machine_setting("DRW_KERNEL_IMAGE");
	const char *version = strchr(package, ' ');
	unsigned long taint;
	struct utsname uts;

	uname(&uts);
	if (!version || !strstr(package, uts.release) ||
	    !strstr(first_line("/proc/version"), version + 1))
		die("the kernel that runs, %s, is not the one of %s", uts.release, package);
	fact("kernel", "%s, built by Debian as %s", uts.release, version + 1);
	fact("image", "%s", image);

	/* The test machine loads a mock exporter, which this does not need. */
	if (syscall(SYS_delete_module, "dmabuf_rw_mock", O_NONBLOCK) && errno != ENOENT)
		die("dmabuf_rw_mock cannot be unloaded: %s", strerror(errno));
	check_modules();
	taint = strtoul(first_line("/proc/sys/kernel/tainted"), NULL, 10);
	if (taint & ~(TAINT_OUT_OF_TREE | TAINT_UNSIGNED))
		die("the kernel is tainted by more than an own module: %lu", taint);
	fact("added", "one module, dmabuf_rw; all others are the kernel's own");
}

static void check_driver(const char *pci)
{
	char link[96], target[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/driver", pci);
	n = readlink(link, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = 0;
	if (n <= 0 || strcmp(strrchr(target, '/') + 1, "vfio-pci"))
		die("%s is not bound to vfio-pci", pci);
	/* A module without the in-tree mark taints the kernel; its taint file shows that. */
	if (access("/sys/module/vfio_pci/taint", F_OK) ||
	    *first_line("/sys/module/vfio_pci/taint"))
		die("vfio_pci is not the kernel's own module");
}

void show_exporter(void)
{
	const char *pci = machine_setting("DRW_BAR_PCI");
	const char *bar = machine_setting("DRW_BAR_INDEX");
	struct target t;

	check_driver(pci);
	fact("driver", "%s belongs to vfio-pci, the kernel's own module (no taint)", pci);
	target_open_bar(&t);
	if (strcmp(t.exporter, "vfio-pci"))
		die("the BAR comes from %s", t.exporter);
	fact("buffer", "BAR %s of %s, %llu MiB, exported by it as a dma-buf", bar, pci,
	     (unsigned long long)(t.bytes / MiB));
	buffer_close(&t.buffer);
}

static void expect(const char *what, bool failed, int err, int want)
{
	if (!failed)
		die("%s works here, which it should not", what);
	if (err != want)
		die("%s fails with %s, and %s was expected", what, strerrorname_np(err),
		    strerrorname_np(want));
}

void show_impossible(void)
{
	const char *disk = machine_setting("DRW_PRIV512");
	struct target t;
	void *map;
	ssize_t n;
	int fd;

	target_open_bar(&t);
	fd = open(disk, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", disk, strerror(errno));
	n = pread(fd, t.map, 4096, 0);
	expect("O_DIRECT into the BAR's mapping", n < 0, errno, EFAULT);
	fact("O_DIRECT", "pread(%s) into the BAR's mapping fails: EFAULT", disk);
	close(fd);

	map = mmap(NULL, t.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	expect("mmap of the dma-buf", map == MAP_FAILED, errno, EINVAL);
	fact("dma-buf", "mmap of the dma-buf itself fails: EINVAL");
	buffer_close(&t.buffer);
}
