// SPDX-License-Identifier: MIT
/*
 * pair.c - what info and check find out about a pair without a transfer. See tool.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "tool.h"

int pair_open_some_buffer(struct session *s, char **why)
{
	static const char *const names[] = { "udmabuf:4K", "heap:system:4K" };
	struct buffer_spec spec;
	char *first = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		s->buffer_name = names[i];
		if (!buffer_parse(names[i], &spec, why) && !buffer_open(&s->buffer, &spec, why)) {
			free(first);
			return 0;
		}
		if (first)
			free(*why);
		else
			first = *why;
	}
	*why = first;
	return -1;
}

void pair_directions(const struct session *s, bool *load, bool *store)
{
	int mode = fcntl(s->buffer.fd, F_GETFL), read_only = 0;
	struct stat st;

	*load = s->info.flags & DMABUF_RW_INFO_CAN_READ;
	*store = mode >= 0 && (mode & O_ACCMODE) != O_WRONLY &&
		 !faccessat(AT_FDCWD, s->file_name, W_OK, AT_EACCESS);
	if (!fstat(s->file_fd, &st) && S_ISBLK(st.st_mode) &&
	    (ioctl(s->file_fd, BLKROGET, &read_only) || read_only))
		*store = false;
}

uint32_t pair_other_way(const struct session *s, struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_binding *binding;
	const struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .error = error, .ways = DMABUF_RW_PATH_KERNEL,
		.flags = s->buffer.may_move ? DMABUF_RW_BIND_DEVICE_MEMORY : 0,
	};

	if (s->binding && dmabuf_rw_binding_path(s->binding) & DMABUF_RW_PATH_KERNEL) {
		dmabuf_rw_binding_way_refusal(s->binding, DMABUF_RW_PATH_MODULE, error);
		if (error->reason == DMABUF_RW_REASON_NO_DEVICE && s->device_error.err)
			*error = s->device_error;
		return DMABUF_RW_PATH_MODULE;
	}
	if (!dmabuf_rw_binding_create(NULL, s->buffer.fd, s->file_fd, &opts, &binding)) {
		dmabuf_rw_binding_destroy(binding);
		*error = (struct dmabuf_rw_error){ 0 };
	}
	return DMABUF_RW_PATH_KERNEL;
}
