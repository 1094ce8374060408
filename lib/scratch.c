// SPDX-License-Identifier: MIT
/*
 * scratch.c - odd writes to a file or device that is bound.
 *
 * A bound file takes no pwrite(), and a drive without SGLs takes only whole LBAs from
 * aligned places of a buffer. So the bytes are copied into scratch memory, which is
 * bound to the same file, and written from there. Where a transfer begins or ends within
 * an LBA, that LBA is read into the scratch memory first. A bound device would take
 * pwrite(), but by the page cache, which reads and writes a whole page: LBAs that another
 * transfer may be writing directly at that time.
 *
 * Between reading such an LBA and writing it, nobody else may write its other bytes. Two
 * writes that do not overlap but share an LBA are both odd there, so both come this way;
 * one lock for the whole process around read, change and write keeps them apart, also
 * when they go through different bindings. Other processes are not kept out.
 *
 * Thread-safety: one transfer at a time uses a scratch memory, by its lock, which is
 * taken before the lock of the edges.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/udmabuf.h>

#include "private.h"

/* A multiple of every LBA size. Writes that come here are rare, and mostly edges. */
#define SCRATCH_BYTES	(1U << 20)

static pthread_mutex_t edge_lock = PTHREAD_MUTEX_INITIALIZER;

struct dmabuf_rw_scratch {
	int device_fd;		/* ours */
	int file_fd;		/* ours */
	uint64_t file_bytes;	/* of a bound file; a disk's is asked for, by @lock */
	uint32_t align;
	int unable;		/* the errno where there is no scratch memory */

	pthread_mutex_t lock;
	int fd;			/* the scratch's binding, by @lock; -1: none yet */
	struct dmabuf_rw_view view;	/* by @lock, while @fd is one */
};

/* A dma-buf of memory; a descriptor or -errno. */
static int make_buffer(void)
{
	struct udmabuf_create create = {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = SCRATCH_BYTES,
	};
	int memfd, node, fd;

	memfd = memfd_create("dmabuf-rw scratch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0)
		return -errno;
	if (ftruncate(memfd, SCRATCH_BYTES) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		fd = -errno;
		goto close_memfd;
	}
	node = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (node < 0) {
		fd = -errno;
		goto close_memfd;
	}
	create.memfd = memfd;
	fd = dmabuf_rw_ioctl(node, UDMABUF_CREATE, &create);
	close(node);
close_memfd:
	close(memfd);
	return fd;
}

/* 0, or an errno, positive. */
static int make_ready(struct dmabuf_rw_scratch *s)
{
	struct dmabuf_rw_bind bind = { .size = sizeof(bind), .file_fd = s->file_fd };
	int buffer, fd, ret;

	if (s->fd >= 0)
		return 0;
	buffer = make_buffer();
	if (buffer < 0) {
		ret = buffer;
		goto fail;
	}
	bind.dmabuf_fd = buffer;
	fd = dmabuf_rw_ioctl(s->device_fd, DMABUF_RW_IOC_BIND, &bind);
	ret = fd < 0 ? fd : dmabuf_rw_view_open(&s->view, buffer, NULL, NULL);
	close(buffer);
	if (!ret) {
		s->fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
fail:
	/* Whatever scratch memory fails for, why it is needed is what can be mended. */
	return ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE || ret == -EINTR ?
	       -ret : s->unable;
}

/* A disk may have grown. 0, or an errno, positive. */
static int ask_size(struct dmabuf_rw_scratch *s)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	int ret = dmabuf_rw_ioctl(s->fd, DMABUF_RW_IOC_INFO, &info);

	if (ret < 0)
		return -ret;
	s->file_bytes = info.file_bytes;
	return 0;
}

/* Moves @len bytes; returns how many, and the errno that ended it. */
static uint32_t move(const struct dmabuf_rw_scratch *s, uint32_t op, uint64_t file_off,
		     uint32_t at, uint32_t len, uint64_t flags, int *err)
{
	uint32_t done = 0;

	*err = 0;
	while (done < len && !*err) {
		struct dmabuf_rw_io io = {
			.size = sizeof(io),
			.op = op,
			.flags = flags,
			.file_off = file_off + done,
			.buf_off = at + done,
			.len = len - done,
		};
		int ret = dmabuf_rw_ioctl(s->fd, DMABUF_RW_IOC_IO, &io);

		if (ret < 0)
			*err = -ret;
		else if (io.done > len - done)
			*err = EPROTO;
		else
			*err = io.error;
		if (ret < 0 || *err == EPROTO || !io.done)
			break;
		done += io.done;
	}
	return done;
}

/*
 * Writes @n bytes of the transfer at @p->done, which with what is before them in their
 * first LBA fit into the scratch memory.
 */
static int write_some(struct dmabuf_rw_scratch *s, const struct dmabuf_rw_view *view,
		      const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
		      uint32_t n)
{
	uint64_t off = t->file_off + p->done;
	uint32_t head = off % s->align, whole = (head + n + s->align - 1) / s->align *
						s->align;
	uint64_t low = off - head, high = MIN(low + whole, s->file_bytes);
	uint32_t last = whole - s->align, done;
	bool begins_odd = head, ends_odd = off + n < high, edges = begins_odd || ends_odd;
	int err = 0, ret;

	if (edges)
		pthread_mutex_lock(&edge_lock);
	if (begins_odd)
		move(s, DMABUF_RW_OP_READ, low, 0, MIN(s->align, high - low), 0, &err);
	if (!err && ends_odd && !(begins_odd && last == 0))
		move(s, DMABUF_RW_OP_READ, low + last, last, high - low - last, 0, &err);
	if (err)
		goto unlock;

	ret = dmabuf_rw_cpu_access(s->view.fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_START);
	if (!ret) {
		/* Behind the file's end the drive gets zeros, as the page cache writes. */
		memset(s->view.map + (high - low), 0, whole - (high - low));
		ret = dmabuf_rw_view_copy(view, DMABUF_RW_COPY_FROM_BUFFER, t->pieces,
					  t->nr, p->done, p->done + n,
					  s->view.map + head);
		dmabuf_rw_cpu_access(s->view.fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END);
	}
	if (ret) {
		err = -ret;
		goto unlock;
	}
	done = move(s, DMABUF_RW_OP_WRITE, low, 0, high - low, t->flags, &err);
	if (!err && done < high - low)
		err = EIO;
	done = done > head ? MIN(done - head, n) : 0;
	p->done += done;
	p->bounced += done;
unlock:
	if (edges)
		pthread_mutex_unlock(&edge_lock);
	return err;
}

int dmabuf_rw_scratch_write(struct dmabuf_rw_scratch *s,
			    const struct dmabuf_rw_view *view,
			    const struct dmabuf_rw_transfer *t,
			    struct dmabuf_rw_progress *p, uint64_t end)
{
	int err;

	pthread_mutex_lock(&s->lock);
	err = make_ready(s);
	if (!err && s->unable == EDOM)
		err = ask_size(s);
	while (!err && p->done < end) {
		uint64_t off = t->file_off + p->done, n;

		if (off >= s->file_bytes) {
			err = ENOSPC;
			break;
		}
		n = MIN(end - p->done, s->file_bytes - off);
		n = MIN(n, SCRATCH_BYTES - off % s->align);
		err = write_some(s, view, t, p, n);
	}
	pthread_mutex_unlock(&s->lock);
	/* The odd end of a file, which can be written in no way while it is bound. */
	return err == EDOM ? -s->unable : -err;
}

/* Of a file that is open for writing only, LBAs have to be read all the same. */
static int open_file(int file_fd)
{
	int flags = fcntl(file_fd, F_GETFL), fd;
	char path[32];

	if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
}

int dmabuf_rw_scratch_create(int device_fd, int file_fd, const struct dmabuf_rw_info *info,
			     struct dmabuf_rw_scratch **scratch)
{
	struct dmabuf_rw_scratch *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->device_fd = fcntl(device_fd, F_DUPFD_CLOEXEC, 0);
	if (s->device_fd < 0) {
		ret = -errno;
		goto free_scratch;
	}
	s->file_fd = open_file(file_fd);
	if (s->file_fd < 0) {
		ret = -errno;
		goto close_device;
	}
	s->file_bytes = info->file_bytes;
	s->align = info->file_align ? info->file_align : 1;
	s->unable = info->flags & DMABUF_RW_INFO_REGULAR ? ETXTBSY : EDOM;
	s->fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	*scratch = s;
	return 0;

close_device:
	close(s->device_fd);
free_scratch:
	free(s);
	return ret;
}

void dmabuf_rw_scratch_destroy(struct dmabuf_rw_scratch *scratch)
{
	if (!scratch)
		return;
	if (scratch->fd >= 0) {
		close(scratch->fd);
		dmabuf_rw_view_close(&scratch->view);
	}
	close(scratch->file_fd);
	close(scratch->device_fd);
	pthread_mutex_destroy(&scratch->lock);
	free(scratch);
}
