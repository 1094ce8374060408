// SPDX-License-Identifier: GPL-2.0
/*
 * module.c - the benchmark's own kernel modules, bench/kmod, in the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

void module_load(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/usr/lib/dmabuf-rw/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		die("%s: %m", path);
	close(fd);
}

void module_unload(const char *name)
{
	if (syscall(SYS_delete_module, name, O_NONBLOCK))
		die("%s cannot be unloaded: %m", name);
}
