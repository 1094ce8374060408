// SPDX-License-Identifier: GPL-2.0
/*
 * require.c - what a test needs of its machine; see require.h.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "require.h"

void require_module(const char *name)
{
	if (sh("modprobe %s", name))
		skip("this kernel has no module %s", name);
}

void require_tool(const char *name)
{
	if (sh("command -v %s >/dev/null", name))
		skip("this machine has no %s", name);
}

void require_filesystem(const char *name)
{
	char line[128], type[64];
	bool found = false;
	FILE *f;

	sh("modprobe -q %s", name);
	f = fopen("/proc/filesystems", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		char *last = strrchr(line, '\t');

		if (last && sscanf(last, "%63s", type) == 1)
			found |= !strcmp(type, name);
	}
	fclose(f);
	if (!found)
		skip("this kernel has no file system %s", name);
}

void require_iommu(void)
{
	if (!machine_has_iommu())
		skip("this machine has no IOMMU in use");
}

void require_multipath(void)
{
	if (!machine_has_multipath())
		skip("native multipath is off");
}

void require_path(const char *path, const char *what)
{
	if (access(path, F_OK))
		skip("this kernel has no %s (%s)", what, path);
}

bool bars_have_a_route(void)
{
	const char *mode = machine_var("DRW_IOMMU");

	return (strcmp(mode, "off") && strcmp(mode, "pt")) ||
	       !sh("grep -q ' pci_p2pdma_distance_many$' /proc/kallsyms");
}
