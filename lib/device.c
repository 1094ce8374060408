// SPDX-License-Identifier: MIT
/*
 * device.c - opens the module's node and queries it; also sized options and errors, which all calls
 * use.
 *
 * Invariants: a caller's device has a descriptor of its own, and never changes; so any number of
 * threads may call every function here at once, except the closing one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <liburing.h>

#include "private.h"

int dmabuf_rw_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

_Static_assert(offsetof(struct dmabuf_rw_device_opts, error) == sizeof(size_t), "the head");
_Static_assert(offsetof(struct dmabuf_rw_binding_opts, error) == sizeof(size_t), "the head");
_Static_assert(offsetof(struct dmabuf_rw_queue_opts, error) == sizeof(size_t), "the head");
_Static_assert(offsetof(struct dmabuf_rw_file_opts, error) == sizeof(size_t), "the head");

int dmabuf_rw_copy_opts(void *dst, size_t dst_size, const void *src, size_t min_size,
			enum dmabuf_rw_call call)
{
	struct dmabuf_rw_opts_head head = { 0 };
	const unsigned char *tail = src;
	size_t i;

	memset(dst, 0, dst_size);
	if (!src)
		return 0;

	memcpy(&head.size, src, sizeof(head.size));
	if (head.size >= sizeof(head))
		memcpy(&head, src, sizeof(head));
	if (head.size < min_size || head.size > DMABUF_RW_MAX_STRUCT)
		return dmabuf_rw_fail(head.error, call, EINVAL, 0, 0);
	for (i = dst_size; i < head.size; i++)
		if (tail[i])
			return dmabuf_rw_fail(head.error, call, E2BIG, 0, 0);
	memcpy(dst, src, MIN(head.size, dst_size));
	return 0;
}

int dmabuf_rw_fail(struct dmabuf_rw_error *error, enum dmabuf_rw_call call, int err,
		   uint32_t reason, int32_t detail)
{
	if (error)
		*error = (struct dmabuf_rw_error){
			.call = call,
			.err = err,
			.reason = reason,
			.detail = detail,
		};
	return -err;
}

DMABUF_RW_API int dmabuf_rw_error_is_about_pair(const struct dmabuf_rw_error *refusal)
{
	switch (refusal->err) {
	case EINVAL:
	case E2BIG:
	case EFAULT:
	case ENOTTY:
	case EINTR:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EBADF:
	case EBADFD:
	case EACCES:
		return false;
	case ENODEV:
		return refusal->reason != DMABUF_RW_REASON_GONE;
	default:
		return true;
	}
}

DMABUF_RW_API int dmabuf_rw_device_open(const struct dmabuf_rw_device_opts *opts,
					struct dmabuf_rw_device **device)
{
	struct dmabuf_rw_query query = { .size = sizeof(query) };
	struct dmabuf_rw_device_opts o;
	struct dmabuf_rw_device *dev;
	DMABUF_RW_NO_CANCEL;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts,
				  MIN_OPTS(dmabuf_rw_device_opts, path), DMABUF_RW_CALL_OPEN);
	if (ret)
		return ret;
	if (o.flags || !device)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_OPEN, EINVAL, 0, 0);

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_OPEN, ENOMEM, 0, 0);

	dev->fd = dmabuf_rw_above_std(open(o.path ? o.path : DMABUF_RW_DEVICE,
					   O_RDWR | O_CLOEXEC));
	if (dev->fd < 0) {
		ret = dmabuf_rw_fail(o.error, DMABUF_RW_CALL_OPEN, errno, 0, 0);
		goto free_device;
	}

	ret = dmabuf_rw_ioctl(dev->fd, DMABUF_RW_IOC_QUERY, &query);
	if (ret < 0) {
		ret = dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUERY, -ret, 0, 0);
		goto close_node;
	}
	if (query.abi_major != DMABUF_RW_ABI_MAJOR) {
		ret = dmabuf_rw_fail(o.error, DMABUF_RW_CALL_QUERY, EPROTONOSUPPORT,
				     query.abi_major < DMABUF_RW_ABI_MAJOR ?
				     DMABUF_RW_REASON_MODULE_OLDER : DMABUF_RW_REASON_MODULE_NEWER,
				     0);
		goto close_node;
	}

	*device = dev;
	return 0;

close_node:
	close(dev->fd);
free_device:
	free(dev);
	return ret;
}

DMABUF_RW_API void dmabuf_rw_device_close(struct dmabuf_rw_device *device)
{
	DMABUF_RW_NO_CANCEL;

	if (!device)
		return;
	close(device->fd);
	free(device);
}

DMABUF_RW_API int dmabuf_rw_device_fd(const struct dmabuf_rw_device *device)
{
	return device->fd;
}

int dmabuf_rw_clear_but_size(void *sized, uint32_t min)
{
	uint32_t size;

	memcpy(&size, sized, sizeof(size));
	if (size < min || size > DMABUF_RW_MAX_STRUCT)
		return -EINVAL;
	memset((char *)sized + sizeof(size), 0, size - sizeof(size));
	return 0;
}

int dmabuf_rw_above_std(int fd)
{
	int above, err;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	err = errno;
	close(fd);
	errno = err;
	return above;
}

int dmabuf_rw_ring_above_std(struct io_uring *ring)
{
	int fd = dmabuf_rw_above_std(ring->ring_fd);

	if (fd < 0)
		return -errno;
	ring->ring_fd = ring->enter_ring_fd = fd;
	return 0;
}

/* Forbidden by a setting or a filter, not built in, or too old. */
bool dmabuf_rw_ring_is_forbidden(int ret)
{
	return ret == -EPERM || ret == -EACCES || ret == -ENOSYS || ret == -EINVAL ||
	       ret == -EOPNOTSUPP;
}

int dmabuf_rw_reopen(int fd, int flags)
{
	/* /proc/thread-self: /proc/self stops working when the first thread has exited. */
	char path[32];

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	do {
		fd = open(path, flags | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return dmabuf_rw_above_std(fd);
}

DMABUF_RW_API int dmabuf_rw_device_query(const struct dmabuf_rw_device *device,
					 struct dmabuf_rw_query *query)
{
	int ret = dmabuf_rw_clear_but_size(query, sizeof(*query));

	return ret ? ret : dmabuf_rw_ioctl(device->fd, DMABUF_RW_IOC_QUERY, query);
}
