// SPDX-License-Identifier: MIT
/*
 * device.c - opening the module's node, binding, and what the module says about both.
 *
 * Invariants: a device or binding that a caller holds has an open descriptor of its
 * own, and never changes; so every function here but the destroying ones may run in
 * any number of threads at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "private.h"

/* The fields of the first release's option structures; what every caller has. */
#define MIN_OPTS(type, last) (offsetof(struct type, last) + \
			      sizeof(((struct type *)0)->last))

int dmabuf_rw_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int dmabuf_rw_copy_opts(void *dst, size_t dst_size, const void *src, size_t min_size)
{
	const unsigned char *tail;
	size_t src_size, i;

	memset(dst, 0, dst_size);
	if (!src)
		return 0;

	memcpy(&src_size, src, sizeof(src_size));
	if (src_size < min_size)
		return -EINVAL;
	tail = src;
	for (i = dst_size; i < src_size; i++)
		if (tail[i])
			return -E2BIG;
	memcpy(dst, src, src_size < dst_size ? src_size : dst_size);
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

DMABUF_RW_API int dmabuf_rw_device_open(const struct dmabuf_rw_device_opts *opts,
					struct dmabuf_rw_device **device)
{
	struct dmabuf_rw_query query = { .size = sizeof(query) };
	struct dmabuf_rw_device_opts o;
	struct dmabuf_rw_device *dev;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts,
				  MIN_OPTS(dmabuf_rw_device_opts, error));
	if (ret)
		return ret;
	if (o.flags || !device)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_OPEN, EINVAL, 0, 0);

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_OPEN, ENOMEM, 0, 0);

	dev->fd = open(o.path ? o.path : DMABUF_RW_DEVICE, O_RDWR | O_CLOEXEC);
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
				     0, 0);
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
	if (!device)
		return;
	close(device->fd);
	free(device);
}

DMABUF_RW_API int dmabuf_rw_device_fd(const struct dmabuf_rw_device *device)
{
	return device->fd;
}

/* What the kernel fills must come to it as zeros. Both structures begin so. */
static void clear_but_size(void *sized)
{
	uint32_t size;

	memcpy(&size, sized, sizeof(size));
	if (size > sizeof(size))
		memset((char *)sized + sizeof(size), 0, size - sizeof(size));
}

DMABUF_RW_API int dmabuf_rw_device_query(const struct dmabuf_rw_device *device,
					 struct dmabuf_rw_query *query)
{
	clear_but_size(query);
	return dmabuf_rw_ioctl(device->fd, DMABUF_RW_IOC_QUERY, query);
}

/* Takes over @fd on success only. */
static int binding_of_fd(int fd, struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_binding *b;
	int ret;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	ret = dmabuf_rw_ioctl(fd, DMABUF_RW_IOC_INFO, &info);
	if (ret < 0) {
		free(b);
		return ret;
	}
	b->fd = fd;
	b->buf_bytes = info.buf_bytes;
	*binding = b;
	return 0;
}

DMABUF_RW_API int
dmabuf_rw_binding_create(struct dmabuf_rw_device *device, int dmabuf_fd, int file_fd,
			 const struct dmabuf_rw_binding_opts *opts,
			 struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_bind bind = {
		.size = sizeof(bind),
		.dmabuf_fd = dmabuf_fd,
		.file_fd = file_fd,
	};
	struct dmabuf_rw_binding_opts o;
	int fd, ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts,
				  MIN_OPTS(dmabuf_rw_binding_opts, error));
	if (ret)
		return ret;
	if (!device || !binding)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);

	bind.flags = o.flags;
	fd = dmabuf_rw_ioctl(device->fd, DMABUF_RW_IOC_BIND, &bind);
	if (fd < 0)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_BIND, -fd, bind.reason,
				      bind.detail);

	ret = binding_of_fd(fd, binding);
	if (ret) {
		close(fd);
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_INFO, -ret, 0, 0);
	}
	return 0;
}

DMABUF_RW_API int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding)
{
	if (!binding)
		return -EINVAL;
	return binding_of_fd(fd, binding);
}

DMABUF_RW_API void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding)
{
	if (!binding)
		return;
	close(binding->fd);
	free(binding);
}

DMABUF_RW_API int dmabuf_rw_binding_fd(const struct dmabuf_rw_binding *binding)
{
	return binding->fd;
}

DMABUF_RW_API int dmabuf_rw_binding_info(const struct dmabuf_rw_binding *binding,
					 struct dmabuf_rw_info *info)
{
	clear_but_size(info);
	return dmabuf_rw_ioctl(binding->fd, DMABUF_RW_IOC_INFO, info);
}
