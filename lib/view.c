// SPDX-License-Identifier: MIT
/*
 * view.c - the CPU's access to a buffer: the dma-buf's mapping, or the caller's function.
 *
 * DMA_BUF_IOCTL_SYNC brackets each copy through the mapping: a copy sees what devices wrote before
 * it, and devices see what it wrote once it returns. The brackets are around single copies rather
 * than transfers, because the drive may be moving other ranges of the same buffer meanwhile.
 *
 * The mapping is made when the view is opened, so that a buffer without one is refused then. If the
 * exporter takes the buffer away later, touching the mapping raises SIGBUS, like any mapping of it.
 * A child process makes its own mapping when it first needs one, since exporters may not pass
 * theirs on, and its address may be in other use then.
 *
 * Thread-safety: an open view does not change, except that new mappings are added atomically at the
 * head of its list.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "private.h"

struct dmabuf_rw_mapping {
	uint64_t process;
	char *map;
	struct dmabuf_rw_mapping *older;	/* an ancestor's */
};

int dmabuf_rw_cpu_access(int fd, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };
	int ret;

	/* Waits for fences, without a time limit; a signal may interrupt that. */
	do {
		ret = dmabuf_rw_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret == -EINTR || ret == -EAGAIN);
	return ret < 0 ? ret : 0;
}

static struct dmabuf_rw_mapping *mapping_new(const struct dmabuf_rw_view *view,
					     struct dmabuf_rw_mapping *older)
{
	struct dmabuf_rw_mapping *m = calloc(1, sizeof(*m));

	if (!m) {
		errno = ENOMEM;
		return NULL;
	}
	m->process = dmabuf_rw_process();
	m->older = older;
	m->map = mmap(NULL, view->bytes, PROT_READ | (view->writable ? PROT_WRITE : 0),
		      MAP_SHARED, view->fd, 0);
	if (m->map == MAP_FAILED) {
		free(m);
		return NULL;
	}
	/* A child would keep the mapping, and with it the buffer, after all others released it. */
	madvise(m->map, view->bytes, MADV_DONTFORK);
	return m;
}

char *dmabuf_rw_view_map(const struct dmabuf_rw_view *view)
{
	/* The only part of a view that changes. */
	_Atomic(struct dmabuf_rw_mapping *) *head =
		(_Atomic(struct dmabuf_rw_mapping *) *)&view->map;
	struct dmabuf_rw_mapping *m = atomic_load(head), *own;

	if (m->process == dmabuf_rw_process())
		return m->map;
	own = mapping_new(view, m);
	if (!own)
		return NULL;
	if (!atomic_compare_exchange_strong(head, &m, own)) {
		/* Another thread was first. */
		munmap(own->map, view->bytes);
		free(own);
		return m->map;
	}
	return own->map;
}

int dmabuf_rw_dmabuf_bytes(int fd, uint64_t *bytes)
{
	struct dma_buf_sync sync = { .flags = ~UINT64_C(0) };
	off_t size;

	if (fcntl(fd, F_GETFL) < 0)
		return -errno;
	/*
	 * A dma-buf refuses unknown flags before it calls its exporter, who might move the buffer
	 * or wait for fences; other descriptors do not know the request.
	 */
	if (dmabuf_rw_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) != -EINVAL)
		return -EBADFD;
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0)
		return size ? -errno : -EBADFD;
	*bytes = size;
	return 0;
}

int dmabuf_rw_view_open(struct dmabuf_rw_view *view, int dmabuf_fd,
			dmabuf_rw_copy_fn copy, void *copy_arg)
{
	int mode = fcntl(dmabuf_fd, F_GETFL), ret;
	uint64_t bytes;

	ret = dmabuf_rw_dmabuf_bytes(dmabuf_fd, &bytes);
	if (ret)
		return ret;
	*view = (struct dmabuf_rw_view){
		.bytes = bytes,
		.copy = copy,
		.copy_arg = copy_arg,
		.readable = (mode & O_ACCMODE) != O_WRONLY,
		.writable = (mode & O_ACCMODE) != O_RDONLY,
	};
	view->fd = fcntl(dmabuf_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (view->fd < 0)
		return -errno;
	if (copy)
		return 0;

	view->map = mapping_new(view, NULL);
	if (!view->map) {
		ret = -errno;
		close(view->fd);
		return ret;
	}
	return 0;
}

void dmabuf_rw_view_close(struct dmabuf_rw_view *view)
{
	struct dmabuf_rw_mapping *m = view->map, *older;

	for (; m; m = older) {
		older = m->older;
		if (m->process == dmabuf_rw_process())
			munmap(m->map, view->bytes);
		free(m);
	}
	close(view->fd);
}

/* @map: null with a copy function. */
static int copy_piece(const struct dmabuf_rw_view *view, char *map,
		      enum dmabuf_rw_copy direction, uint64_t buf_off, void *host, uint64_t len)
{
	int ret;

	if (view->copy) {
		ret = view->copy(view->copy_arg, direction, buf_off, host, len);
		if (!ret)
			return 0;
		/* EINTR and ECANCELED would mean that a signal or the caller ended it. */
		return ret < 0 && ret >= -4095 && ret != -EINTR && ret != -ECANCELED ? ret : -EIO;
	}
	if (direction == DMABUF_RW_COPY_TO_BUFFER)
		memcpy(map + buf_off, host, len);
	else
		memcpy(host, map + buf_off, len);
	return 0;
}

int dmabuf_rw_view_copy(const struct dmabuf_rw_view *view, enum dmabuf_rw_copy direction,
			const struct dmabuf_rw_piece *pieces, unsigned int nr,
			uint64_t from, uint64_t to, void *host)
{
	uint64_t flags = direction == DMABUF_RW_COPY_TO_BUFFER ? DMA_BUF_SYNC_WRITE :
								  DMA_BUF_SYNC_READ;
	uint64_t left = to - from;
	char *map = NULL;
	unsigned int i;
	int ret = 0, end;

	if (!left)
		return 0;
	if (!view->copy) {
		map = dmabuf_rw_view_map(view);
		if (!map)
			return -errno;
		ret = dmabuf_rw_cpu_access(view->fd, flags | DMA_BUF_SYNC_START);
		if (ret)
			return ret;
	}
	for (i = 0; i < nr && left && !ret; i++) {
		uint64_t len;

		if (from >= pieces[i].len) {
			from -= pieces[i].len;
			continue;
		}
		len = MIN(pieces[i].len - from, left);
		ret = copy_piece(view, map, direction, pieces[i].buf_off + from, host, len);
		host = (char *)host + len;
		left -= len;
		from = 0;
	}
	if (map) {
		end = dmabuf_rw_cpu_access(view->fd, flags | DMA_BUF_SYNC_END);
		if (!ret)
			ret = end;
	}
	return ret;
}
