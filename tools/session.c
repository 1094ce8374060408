// SPDX-License-Identifier: MIT
/*
 * session.c - opens the module, a buffer and a file, and binds the pair.
 *
 * All checks come before any transfer, and each failure is reported where it occurs, with the name
 * that the user typed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer_kind.h"
#include "tool.h"

void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
	s->file_fd = -1;
	s->buffer = BUFFER_NONE;
}

int session_open_device(struct session *s, struct report *report)
{
	struct dmabuf_rw_device_opts opts = {
		.size = sizeof(opts),
		.error = &s->device_error,
	};

	if (!dmabuf_rw_device_open(&opts, &s->device) || !report)
		return STATUS_OK;
	/* Another way remains; binding reports whether it works. */
	if (s->ways ? s->ways != DMABUF_RW_PATH_MODULE : dmabuf_rw_has_kernel_way(NULL))
		return STATUS_OK;
	report_error(report, DMABUF_RW_DEVICE, &s->device_error);
	return STATUS_FAILED;
}

int session_refused(const struct session *s, struct report *report, const char *what,
		    const struct dmabuf_rw_error *error, const char *hint)
{
	/* The device's error says why there is no module. */
	if (error->reason == DMABUF_RW_REASON_NO_DEVICE && s->device_error.err) {
		report_error(report, DMABUF_RW_DEVICE, &s->device_error);
		return STATUS_FAILED;
	}
	report_error_and(report, what, error, hint);
	return bind_status(error);
}

int parse_way(struct report *report, const char *text, uint32_t *path)
{
	static const char *const names[] = { "module", "bounce", "kernel" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]))
			continue;
		*path = 1 << i;
		return -1;
	}
	return report_usage(report, "--way takes module, kernel or bounce, not '%s'", text);
}

int parse_direct_way(struct report *report, const char *text, uint32_t *path)
{
	int status = parse_way(report, text, path);

	if (status < 0 && *path == DMABUF_RW_PATH_BOUNCED)
		return report_usage(report, "--way takes module or kernel here");
	return status;
}

int session_parse_buffer(struct report *report, const char *buffer, struct buffer_spec *spec)
{
	char *why;

	if (!buffer_parse(buffer, spec, &why))
		return STATUS_OK;
	report_fail(report, "%s", text_or_excuse(why));
	free(why);
	return STATUS_USAGE;
}

int session_open_buffer(struct session *s, struct report *report, const char *buffer)
{
	struct buffer_spec spec;
	char *why;
	int status;

	s->buffer_name = buffer;
	status = session_parse_buffer(report, buffer, &spec);
	if (status)
		return status;
	if (!buffer_open(&s->buffer, &spec, &why))
		return STATUS_OK;
	report_fail(report, "%s: %s", buffer, text_or_excuse(why));
	free(why);
	return STATUS_FAILED;
}

/*
 * Opening a pipe for reading waits for a writer, and opening a device may have side effects. So
 * check both without opening them.
 */
static bool may_be_opened(const struct stat *st, int open_flags)
{
	if ((open_flags & O_ACCMODE) == O_RDONLY)
		return !S_ISFIFO(st->st_mode) && !S_ISSOCK(st->st_mode);
	return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

int refuse_file(struct report *report, const char *file)
{
	static const struct dmabuf_rw_error no_file = {
		.call = DMABUF_RW_CALL_BIND,
		.err = ENOTBLK,
		.reason = DMABUF_RW_REASON_NOT_BLOCK,
	};

	report_error(report, file, &no_file);
	return STATUS_REFUSED;
}

int check_file(struct report *report, const char *file, int open_flags)
{
	struct stat st;

	if (!stat(file, &st))
		return may_be_opened(&st, open_flags) ? STATUS_OK : refuse_file(report, file);
	report_fail(report, "%s cannot be opened: %s", file, strerror(errno));
	return STATUS_FAILED;
}

int open_file(struct report *report, const char *file, int open_flags, int *fd)
{
	int status = check_file(report, file, open_flags);
	int err;

	if (status)
		return status;
	*fd = open(file, open_flags | O_CLOEXEC | O_NOCTTY);
	if (*fd >= 0)
		return STATUS_OK;
	err = errno;
	if (err == EINTR) {
		report_fail(report, "%s: interrupted while it was opened", file);
		return STATUS_INTERRUPTED;
	}
	if (err == EBUSY)
		report_fail(report, "%s is in use (mounted, or part of another device), and "
			    "writing to it would destroy what is there: unmount it first, or "
			    "insist with --force", file);
	else
		report_fail(report, "%s cannot be opened: %s", file, strerror(err));
	return STATUS_FAILED;
}

int bind_status(const struct dmabuf_rw_error *error)
{
	return dmabuf_rw_error_is_about_pair(error) ? STATUS_REFUSED : STATUS_FAILED;
}

static int copy(void *arg, enum dmabuf_rw_copy direction, uint64_t off, void *mem, size_t len)
{
	struct buffer *buffer = arg;

	return buffer->spec.kind->copy(buffer, direction == DMABUF_RW_COPY_TO_BUFFER, off, mem,
				       len);
}

int bind_buffer(struct dmabuf_rw_device *device, struct buffer *buffer, int file_fd,
		const struct dmabuf_rw_binding_opts *opts, struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_binding_opts bouncing = *opts, strict = *opts;
	struct dmabuf_rw_error unused;
	int ret;

	if (opts->allow_bounce && buffer->spec.kind->copy) {
		bouncing.copy = copy;
		bouncing.copy_arg = buffer;
	}
	if (!buffer->may_move || opts->ways == DMABUF_RW_PATH_BOUNCED)
		return dmabuf_rw_binding_create(device, buffer->fd, file_fd, &bouncing, binding);
	strict.flags |= DMABUF_RW_BIND_DEVICE_MEMORY;
	strict.allow_bounce = 0;
	strict.ways &= ~DMABUF_RW_PATH_BOUNCED;
	ret = dmabuf_rw_binding_create(device, buffer->fd, file_fd, &strict, binding);
	if (!ret || !opts->allow_bounce || !dmabuf_rw_error_is_about_pair(opts->error))
		return ret;
	bouncing.ways = DMABUF_RW_PATH_BOUNCED;
	bouncing.error = &unused;
	return dmabuf_rw_binding_create(device, buffer->fd, file_fd, &bouncing, binding);
}

int session_try_bind(struct session *s, uint64_t bind_flags, struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = bind_flags,
		.error = error,
		.allow_bounce = s->ways == DMABUF_RW_PATH_BOUNCED,
		.ways = s->ways,
	};
	int ret = bind_buffer(s->device, &s->buffer, s->file_fd, &opts, &s->binding);

	if (ret)
		return ret;
	s->info.size = sizeof(s->info);
	ret = dmabuf_rw_binding_info(s->binding, &s->info);
	*error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_INFO, .err = -ret };
	return ret;
}

int session_bind(struct session *s, struct report *report, uint64_t bind_flags,
		 int (*refused)(const struct session *s, struct report *report,
				const char *what, const struct dmabuf_rw_error *error,
				const char *hint))
{
	char *what = text_format("%s with %s", s->file_name, s->buffer_name);
	struct dmabuf_rw_error error = { 0 };
	int status = STATUS_OK;

	if (session_try_bind(s, bind_flags, &error)) {
		if (s->binding) {
			report_error(report, text_or_excuse(what), &error);
			status = STATUS_FAILED;
		} else {
			status = refused(s, report, text_or_excuse(what), &error, "");
		}
	}
	free(what);
	return status;
}

int session_open(struct session *s, struct report *report, const char *file,
		 const char *buffer, const struct session_opts *opts)
{
	struct buffer_spec spec;
	int status;

	session_init(s);
	s->file_name = file;
	s->ways = opts->ways;
	status = session_parse_buffer(report, buffer, &spec);
	if (!status)
		status = open_file(report, file, opts->open_flags, &s->file_fd);
	if (!status)
		status = session_open_device(s, report);
	if (!status)
		status = session_open_buffer(s, report, buffer);
	if (!status)
		status = session_bind(s, report, opts->bind_flags, session_refused);
	return status;
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
