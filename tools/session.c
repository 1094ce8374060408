// SPDX-License-Identifier: MIT
/*
 * session.c - opening the module, a buffer and a file, and joining them.
 *
 * Everything is checked before anything is transferred, and each failure is reported
 * where it arises, with the name that the user typed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

bool is_buffer_name(const char *text)
{
	static const char *const kinds[] = { "vfio:", "udmabuf:", "heap:", "fd:" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(text, kinds[i], strlen(kinds[i])))
			return true;
	return false;
}

void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
	s->file_fd = -1;
	s->buffer.fd = -1;
	s->buffer.device = -1;
	s->buffer.group = -1;
	s->buffer.container = -1;
}

int session_open_device(struct session *s, struct report *report)
{
	struct dmabuf_rw_device_opts opts = {
		.size = sizeof(opts),
		.error = &s->device_error,
	};

	if (!dmabuf_rw_device_open(&opts, &s->device))
		return STATUS_OK;
	if (report)
		report_error(report, DMABUF_RW_DEVICE, &s->device_error);
	return STATUS_FAILED;
}

static bool parse_buffer(struct report *report, const char *buffer,
			 struct buffer_spec *spec)
{
	char why[BUFFER_WHY];

	if (!buffer_parse(buffer, spec, why))
		return true;
	report_fail(report, "%s", why);
	return false;
}

int session_open_buffer(struct session *s, struct report *report, const char *buffer)
{
	struct buffer_spec spec;
	char why[BUFFER_WHY];

	s->buffer_name = buffer;
	if (!parse_buffer(report, buffer, &spec))
		return STATUS_USAGE;
	if (buffer_open(&s->buffer, &spec, why)) {
		report_fail(report, "%s: %s", buffer, why);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

int session_open_file(struct session *s, struct report *report, const char *file,
		      int open_flags)
{
	static const struct dmabuf_rw_error no_file = {
		.call = DMABUF_RW_CALL_BIND,
		.err = ENOTBLK,
		.reason = DMABUF_RW_REASON_NOT_BLOCK,
	};
	struct stat st;
	int err;

	s->file_name = file;
	/* To be opened for reading, a pipe would wait for who writes to it. */
	if ((open_flags & O_ACCMODE) == O_RDONLY && !stat(file, &st) && S_ISFIFO(st.st_mode)) {
		report_error(report, file, &no_file);
		return STATUS_REFUSED;
	}
	s->file_fd = open(file, open_flags | O_CLOEXEC);
	if (s->file_fd >= 0)
		return STATUS_OK;
	err = errno;
	if (err == EBUSY)
		report_fail(report, "%s is in use (mounted, or part of another device), and "
			    "writing to it would destroy what is there: unmount it first, or "
			    "insist with --force", file);
	else
		report_fail(report, "%s cannot be opened: %s", file, strerror(err));
	return STATUS_FAILED;
}

int session_open(struct session *s, struct report *report, const char *file,
		 const char *buffer, const struct session_opts *opts)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts bind = {
		.size = sizeof(bind),
		.flags = opts->bind_flags,
		.error = &error,
	};
	struct buffer_spec spec;
	char what[512];
	int status;

	session_init(s);
	if (!parse_buffer(report, buffer, &spec))
		return STATUS_USAGE;
	status = session_open_file(s, report, file, opts->open_flags);
	if (status)
		return status;
	status = session_open_device(s, report);
	if (status)
		return status;
	status = session_open_buffer(s, report, buffer);
	if (status)
		return status;

	snprintf(what, sizeof(what), "%s with %s", file, buffer);
	if (dmabuf_rw_binding_create(s->device, s->buffer.fd, s->file_fd, &bind,
				     &s->binding)) {
		report_error(report, what, &error);
		return STATUS_REFUSED;
	}
	s->info.size = sizeof(s->info);
	error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_INFO };
	error.err = -dmabuf_rw_binding_info(s->binding, &s->info);
	if (error.err) {
		report_error(report, what, &error);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

void session_close(struct session *s)
{
	dmabuf_rw_binding_destroy(s->binding);
	buffer_close(&s->buffer);
	if (s->file_fd >= 0)
		close(s->file_fd);
	dmabuf_rw_device_close(s->device);
	session_init(s);
}
