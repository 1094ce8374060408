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
 * one lock for the whole process keeps them apart, also when they go through different
 * bindings. Other processes are not kept out.
 *
 * A process has one scratch memory, whatever the number of its bindings. Each of them binds
 * it to its file when it first writes here. It goes when nothing is bound to it any more. A
 * child process makes one of its own, as its parent may be writing through the one that it
 * inherits, and binds that anew.
 *
 * Lock: "lock" guards everything that is static here and what is marked so, and is held while
 * some bytes, at most all of the scratch memory, are read, changed and written.
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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* By @lock. */
static struct {
	uint64_t process;	/* whose it is; 0: there is none */
	unsigned int nr_bound;	/* bindings of it that this process has made */
	struct dmabuf_rw_view view;
} memory;

struct dmabuf_rw_scratch {
	int device_fd;		/* ours */
	int file_fd;		/* ours */
	uint64_t file_bytes;	/* of a bound file; a disk's is asked for, by @lock */
	uint32_t align;
	int unable;		/* the errno where there is no scratch memory */
	/* By @lock. */
	int fd;			/* the scratch memory's binding; -1: none yet */
	uint64_t process;	/* which made it */
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

/* In a child. What the parent holds there is its own. */
static void forget_inherited_locked(void)
{
	if (!memory.process || memory.process == dmabuf_rw_process())
		return;
	dmabuf_rw_view_close(&memory.view);
	memory.process = 0;
	memory.nr_bound = 0;
}

/* The lock may be another thread's of the parent, which does not exist here. */
void dmabuf_rw_scratch_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	forget_inherited_locked();
}

/* 0 or -errno. */
static int make_memory_locked(void)
{
	int buffer, ret;

	forget_inherited_locked();
	if (memory.process)
		return 0;
	buffer = make_buffer();
	if (buffer < 0)
		return buffer;
	ret = dmabuf_rw_view_open(&memory.view, buffer, NULL, NULL);
	close(buffer);
	if (!ret)
		memory.process = dmabuf_rw_process();
	return ret;
}

static void unbind_locked(struct dmabuf_rw_scratch *s)
{
	bool own = s->process == dmabuf_rw_process();

	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	if (!own || --memory.nr_bound)
		return;
	dmabuf_rw_view_close(&memory.view);
	memory.process = 0;
}

/* 0, or an errno, positive. */
static int make_ready_locked(struct dmabuf_rw_scratch *s)
{
	struct dmabuf_rw_bind bind = { .size = sizeof(bind), .file_fd = s->file_fd };
	int fd, ret;

	if (s->fd >= 0 && s->process == dmabuf_rw_process())
		return 0;
	unbind_locked(s);
	ret = make_memory_locked();
	if (!ret) {
		bind.dmabuf_fd = memory.view.fd;
		fd = dmabuf_rw_ioctl(s->device_fd, DMABUF_RW_IOC_BIND, &bind);
		if (fd >= 0) {
			s->fd = fd;
			s->process = memory.process;
			memory.nr_bound++;
			return 0;
		}
		ret = fd;
		if (!memory.nr_bound) {
			dmabuf_rw_view_close(&memory.view);
			memory.process = 0;
		}
	}
	/* Whatever scratch memory fails for, why it is needed is what can be mended. */
	return ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE || ret == -EINTR ?
	       -ret : s->unable;
}

/* A disk may have grown. 0, or an errno, positive. */
static int ask_size_locked(struct dmabuf_rw_scratch *s)
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
 * Copies @n bytes of the transfer behind the @head bytes that are in the scratch memory, and
 * clears what is behind the file's end, from @bytes up to @whole: that is what the page cache
 * writes there. 0 or -errno.
 */
static int copy_in(const struct dmabuf_rw_view *view, const struct dmabuf_rw_transfer *t,
		   uint64_t pos, uint32_t head, uint32_t n, uint32_t bytes, uint32_t whole)
{
	char *map = dmabuf_rw_view_map(&memory.view);
	int ret;

	if (!map)
		return -ENOMEM;
	ret = dmabuf_rw_cpu_access(memory.view.fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_START);
	if (ret)
		return ret;
	memset(map + bytes, 0, whole - bytes);
	ret = dmabuf_rw_view_copy(view, DMABUF_RW_COPY_FROM_BUFFER, t->pieces, t->nr, pos,
				  pos + n, map + head);
	dmabuf_rw_cpu_access(memory.view.fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END);
	return ret;
}

/*
 * Writes @n bytes of the transfer at @p->done, which with what is before them in their
 * first LBA fit into the scratch memory.
 */
static int write_some_locked(struct dmabuf_rw_scratch *s, const struct dmabuf_rw_view *view,
			     const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
			     uint32_t n)
{
	uint64_t off = t->file_off + p->done;
	uint32_t head = off % s->align, whole = (head + n + s->align - 1) / s->align *
						s->align;
	uint64_t low = off - head, high = MIN(low + whole, s->file_bytes);
	uint32_t last = whole - s->align, done;
	bool begins_odd = head, ends_odd = off + n < high;
	int err = 0, ret;

	if (begins_odd)
		move(s, DMABUF_RW_OP_READ, low, 0, MIN(s->align, high - low), 0, &err);
	if (!err && ends_odd && !(begins_odd && last == 0))
		move(s, DMABUF_RW_OP_READ, low + last, last, high - low - last, 0, &err);
	if (err)
		return err;

	ret = copy_in(view, t, p->done, head, n, high - low, whole);
	if (ret)
		return -ret;
	done = move(s, DMABUF_RW_OP_WRITE, low, 0, high - low, t->flags, &err);
	if (!err && done < high - low)
		err = EIO;
	done = done > head ? MIN(done - head, n) : 0;
	p->done += done;
	p->bounced += done;
	return err;
}

/* As much as fits. */
static int write_next(struct dmabuf_rw_scratch *s, const struct dmabuf_rw_view *view,
		      const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
		      uint64_t end)
{
	uint64_t off = t->file_off + p->done, n;
	int err;

	pthread_mutex_lock(&lock);
	err = make_ready_locked(s);
	if (!err && s->unable == EDOM)
		err = ask_size_locked(s);
	if (!err && off >= s->file_bytes)
		err = ENOSPC;
	if (!err) {
		n = MIN(end - p->done, s->file_bytes - off);
		n = MIN(n, SCRATCH_BYTES - off % s->align);
		err = write_some_locked(s, view, t, p, n);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

int dmabuf_rw_scratch_write(struct dmabuf_rw_scratch *s,
			    const struct dmabuf_rw_view *view,
			    const struct dmabuf_rw_transfer *t,
			    struct dmabuf_rw_progress *p, uint64_t end)
{
	int err = 0;

	while (!err && p->done < end)
		err = dmabuf_rw_is_cancelled(t) ? ECANCELED : write_next(s, view, t, p, end);
	/* The odd end of a file, which can be written in no way while it is bound. */
	return err == EDOM ? -s->unable : -err;
}

/* Of a file that is open for writing only, LBAs have to be read all the same. */
static int open_file(int file_fd)
{
	int flags = fcntl(file_fd, F_GETFL), fd = -1;

	if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY)
		fd = dmabuf_rw_reopen(file_fd, O_RDWR);
	return fd >= 0 ? fd : fcntl(file_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int dmabuf_rw_scratch_create(int device_fd, int file_fd, const struct dmabuf_rw_info *info,
			     struct dmabuf_rw_scratch **scratch)
{
	struct dmabuf_rw_scratch *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->device_fd = fcntl(device_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
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
	pthread_mutex_lock(&lock);
	unbind_locked(scratch);
	pthread_mutex_unlock(&lock);
	close(scratch->file_fd);
	close(scratch->device_fd);
	free(scratch);
}
