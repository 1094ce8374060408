// SPDX-License-Identifier: MIT
/* module.c - see module.h. */
#include <libdmabuf_rw.h>
#include <string.h>

#include "module.h"
#include "sysfs.h"

void module_release_read(const char *root, struct module_release *release)
{
	int order;

	*release = (struct module_release){ 0 };
	if (!sysfs_copy(root, release->name, sizeof(release->name),
			"/sys/module/dmabuf_rw/version"))
		return;
	order = strverscmp(release->name, dmabuf_rw_version());
	if (order < 0) {
		release->relation = "older than this command";
		release->remedy = "they work together; the installed module comes with the next "
				  "boot, or, once no program uses the old one (dmabuf-rw stat), "
				  "by modprobe -r dmabuf_rw && modprobe dmabuf_rw";
	} else if (order > 0) {
		release->relation = "newer than this command";
		release->remedy = "they work together; for what is new install the command and the "
				  "library of the module's release";
	}
}
