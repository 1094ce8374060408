// SPDX-License-Identifier: GPL-2.0
/*
 * binds.c - what it takes to bind a file, and to let go of it again: a small one and a huge one.
 *
 * Output: a record for each window, in their order.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dmabuf_rw.h>

#include "mark.h"

#define DISK		"/dev/drw/priv512"
#define MOUNT		"/tmp/binds"
#define BINDS		50
#define ROUNDS		3
#define MIB		(1ULL << 20)
#define BUF_BYTES	MIB

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "binds: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int buffer(void)
{
	struct udmabuf_create create = { .size = BUF_BYTES, .flags = UDMABUF_FLAGS_CLOEXEC };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int mem = memfd_create("binds", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	need(fd >= 0 && mem >= 0 && !ftruncate(mem, BUF_BYTES) &&
	     !fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK), "memory");
	create.memfd = mem;
	mem = ioctl(fd, UDMABUF_CREATE, &create);
	need(mem >= 0, "UDMABUF_CREATE");
	return mem;
}

/* Of @bytes, of which one MiB has been written. */
static int file(const char *name, unsigned long long bytes)
{
	char *data = calloc(1, MIB), path[64];
	int fd;

	snprintf(path, sizeof(path), MOUNT "/%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && data && pwrite(fd, data, MIB, 0) == (ssize_t)MIB &&
	     !ftruncate(fd, bytes) && !fsync(fd), path);
	free(data);
	return fd;
}

static void bind_and_close(int device, int dmabuf, int fd)
{
	struct dmabuf_rw_bind bind = {
		.size = sizeof(bind), .dmabuf_fd = dmabuf, .file_fd = fd,
	};
	int binding = ioctl(device, DMABUF_RW_IOC_BIND, &bind);

	need(binding >= 0, "BIND");
	close(binding);
}

static void measure(int device, int dmabuf, int fd, const char *name)
{
	unsigned int i;

	bind_and_close(device, dmabuf, fd);
	MARK(MARK_BEGIN);
	for (i = 0; i < BINDS; i++)
		bind_and_close(device, dmabuf, fd);
	MARK(MARK_END);
	printf("{\"record\": \"binds\", \"file\": \"%s\", \"binds\": %u}\n", name, BINDS);
}

static void measure_on(int device, int dmabuf, const char *kind, const char *mkfs)
{
	char name[32];
	int small, huge, i;

	need(!system(mkfs) && !mount(DISK, MOUNT, kind, 0, NULL), kind);
	small = file("small", MIB);
	huge = file("huge", MIB * MIB);
	for (i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "%s, 1 MiB", kind);
		measure(device, dmabuf, small, name);
		snprintf(name, sizeof(name), "%s, 1 TiB", kind);
		measure(device, dmabuf, huge, name);
	}
	close(small);
	close(huge);
	need(!umount(MOUNT), "umount");
}

int main(void)
{
	int device = open(DMABUF_RW_DEVICE, O_RDWR | O_CLOEXEC), dmabuf = buffer();

	need(device >= 0, DMABUF_RW_DEVICE);
	mkdir(MOUNT, 0700);
	measure_on(device, dmabuf, "ext4", "mkfs.ext4 -q -F -E lazy_itable_init=0 " DISK);
	measure_on(device, dmabuf, "xfs", "modprobe xfs && mkfs.xfs -q -f " DISK);
	return 0;
}
