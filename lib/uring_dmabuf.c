// SPDX-License-Identifier: MIT
/*
 * uring_dmabuf.c - the calls of the kernel's own interface; see uring_dmabuf.h.
 *
 * Thread-safety: no state. A ring's table belongs to the ring's user.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#include "uring_dmabuf.h"

static int update(int ring_fd, uint32_t slot, const struct uring_regbuf_desc *desc)
{
	const struct uring_rsrc_update2 update = {
		.offset = slot,
		.flags = URING_RSRC_UPDATE_EXTENDED,
		.data = (uintptr_t)desc,
		.nr = 1,
	};

	return syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
		       sizeof(update)) < 0 ? -errno : 0;
}

int dmabuf_rw_uring_register(int ring_fd, uint32_t slot, int dmabuf_fd, int file_fd)
{
	const struct uring_regbuf_desc desc = {
		.type = URING_REGBUF_TYPE_DMABUF,
		.dmabuf_fd = dmabuf_fd,
		.target_fd = file_fd,
	};

	return update(ring_fd, slot, &desc);
}

void dmabuf_rw_uring_unregister(int ring_fd, uint32_t slot)
{
	/* The kernel refuses any descriptor but zero here, even -1. */
	const struct uring_regbuf_desc desc = { .type = URING_REGBUF_TYPE_EMPTY };

	update(ring_fd, slot, &desc);
}

int dmabuf_rw_uring_probe(void)
{
	struct io_uring_params params = { 0 };
	struct io_uring ring;
	int ret = io_uring_queue_init_params(1, &ring, &params);

	if (ret)
		return ret;
	ret = io_uring_register_buffers_sparse(&ring, 1);
	/* The descriptors are not open: a kernel that knows the request answers EBADF. */
	if (!ret)
		ret = dmabuf_rw_uring_register(ring.ring_fd, 0, -1, -1);
	io_uring_queue_exit(&ring);
	return ret == -EBADF ? 0 : ret ? ret : -EOPNOTSUPP;
}
