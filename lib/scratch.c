// SPDX-License-Identifier: MIT
/*
 * scratch.c - LBAs that a write changes in part, for direct bindings.
 *
 * The module writes whole LBAs. So the bytes are copied into scratch memory, which is bound to the
 * same file, and written from there. An LBA in which the transfer begins or ends is read into the
 * scratch memory first. pwrite() would use the page cache, and read and write a whole page: other
 * LBAs of it may be written directly by another transfer at that time.
 *
 * Between reading such an LBA and writing it, no other write may change its other bytes. Two writes
 * that do not overlap but share an LBA are both unaligned there, so both come this way; one lock
 * for the whole process serializes them, even through different bindings. Other processes are not
 * kept out.
 *
 * A process has one scratch memory for all bindings. Each binding binds it to its file at its first
 * write here. It is freed when nothing is bound to it any more. A child process makes and binds one
 * of its own, as its parent may be writing through the inherited one.
 *
 * Lock: "lock" protects everything static here and the fields marked so. It is held while some
 * bytes, at most the whole scratch memory, are read, changed and written.
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

/* A multiple of every LBA size. Writes through it are rare, and mostly edges. */
#define SCRATCH_BYTES	(1U << 20)

struct memory {
	uint64_t process;	/* its owner */
	unsigned int nr_bound;	/* bindings that this process has made of it */
	struct dmabuf_rw_view view;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/*
 * Null: there is none. Changed under @lock: from null to a complete memory, and to null before it
 * is taken apart, as a child may be forked at any moment.
 */
static struct memory *_Atomic memory;

struct dmabuf_rw_scratch {
	int device_fd;		/* owned; -1: make kernel bindings */
	int file_fd;		/* owned */
	uint32_t lba;
	/* Protected by @lock. */
	struct dmabuf_rw_binding *binding;	/* of the scratch memory; null: none yet */
	uint64_t process;	/* the binding's maker */
};

/* Makes a dma-buf of memory. A descriptor or -errno. */
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

static void drop_memory(void)
{
	struct memory *m = atomic_exchange(&memory, NULL);

	if (!m)
		return;
	dmabuf_rw_view_close(&m->view);
	free(m);
}

/* The lock may be held by a thread of the parent, which does not exist here. */
void dmabuf_rw_scratch_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	drop_memory();
}

/* 0 or -errno. */
static int make_memory_locked(void)
{
	struct memory *m = memory;
	int buffer, ret;

	/* A child not made by fork(3) still has its parent's. */
	if (m && m->process != dmabuf_rw_process())
		drop_memory();
	if (memory)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	buffer = make_buffer();
	if (buffer < 0) {
		free(m);
		return buffer;
	}
	m->process = dmabuf_rw_process();
	ret = dmabuf_rw_view_open(&m->view, buffer, NULL, NULL);
	close(buffer);
	if (ret) {
		free(m);
		return ret;
	}
	memory = m;
	return 0;
}

static void unbind_locked(struct dmabuf_rw_scratch *s)
{
	struct memory *m = memory;

	if (!s->binding)
		return;
	dmabuf_rw_binding_destroy(s->binding);
	s->binding = NULL;
	if (m && s->process == m->process && !--m->nr_bound)
		drop_memory();
}

/* 0, or an errno, positive. */
static int make_ready_locked(struct dmabuf_rw_scratch *s)
{
	struct memory *m;
	int ret;

	if (s->binding && s->process == dmabuf_rw_process())
		return 0;
	unbind_locked(s);
	ret = make_memory_locked();
	if (!ret) {
		m = memory;
		ret = dmabuf_rw_bind_plain(s->device_fd, m->view.fd, s->file_fd, &s->binding);
		if (!ret) {
			s->process = m->process;
			m->nr_bound++;
			return 0;
		}
		if (!m->nr_bound)
			drop_memory();
	}
	/* Else report why scratch memory was needed, which the caller can mend. */
	return ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE || ret == -EINTR ?
	       -ret : EDOM;
}

/* The file's current size as the module sees it. 0, or an errno, positive. */
static int ask_size_locked(const struct dmabuf_rw_scratch *s, uint64_t *bytes)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	int ret = dmabuf_rw_binding_info(s->binding, &info);

	*bytes = info.file_bytes;
	return ret < 0 ? -ret : 0;
}

/* Moves @len bytes; returns the number moved, and the errno that ended it. */
static uint32_t move(const struct dmabuf_rw_scratch *s, uint32_t op, uint64_t file_off,
		     uint32_t at, uint32_t len, uint64_t flags, int *err)
{
	const struct dmabuf_rw_piece piece = { at, len };
	const struct dmabuf_rw_transfer t = dmabuf_rw_plain_transfer(op, file_off, &piece, flags);
	struct dmabuf_rw_progress p = { 0 };

	*err = dmabuf_rw_run(s->binding, &t, &p);
	return p.done;
}

/* The bytes to write: the transfer's pieces, or a copy of them. */
struct source {
	const struct dmabuf_rw_view *view;
	const struct dmabuf_rw_transfer *t;
	uint64_t pos;		/* of the first byte in the transfer */
	uint32_t n;
	char *copy;		/* null: use the buffer's mapping */
};

/*
 * Copies the bytes before the lock is taken: a caller's copy function may take long, or write
 * through here itself. 0 or -errno.
 */
static int fetch(struct source *src)
{
	int ret;

	src->copy = NULL;
	if (!src->view->copy)
		return 0;
	src->copy = malloc(src->n);
	if (!src->copy)
		return -ENOMEM;
	ret = dmabuf_rw_view_copy(src->view, DMABUF_RW_COPY_FROM_BUFFER, src->t->pieces,
				  src->t->nr, src->pos, src->pos + src->n, src->copy);
	if (ret) {
		free(src->copy);
		src->copy = NULL;
	}
	return ret;
}

/*
 * Copies the first @n bytes behind the @head bytes in the scratch memory, and clears the part
 * behind the file's end, from @bytes up to @whole, as the page cache does. 0 or -errno.
 */
static int copy_in_locked(const struct source *src, uint32_t n, uint32_t head, uint32_t bytes,
			  uint32_t whole)
{
	const struct dmabuf_rw_view *scratch = &((struct memory *)memory)->view;
	char *map = dmabuf_rw_view_map(scratch);
	int ret;

	if (!map)
		return -errno;
	ret = dmabuf_rw_cpu_access(scratch->fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_START);
	if (ret)
		return ret;
	memset(map + bytes, 0, whole - bytes);
	if (src->copy)
		memcpy(map + head, src->copy, n);
	else
		ret = dmabuf_rw_view_copy(src->view, DMABUF_RW_COPY_FROM_BUFFER,
					  src->t->pieces, src->t->nr, src->pos, src->pos + n,
					  map + head);
	dmabuf_rw_cpu_access(scratch->fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END);
	return ret;
}

/* Reads an LBA of the file, or the part that exists. 0, or an errno, positive. */
static int read_edge(const struct dmabuf_rw_scratch *s, uint64_t file_off, uint32_t at,
		     uint32_t len)
{
	int err;
	uint32_t done = move(s, DMABUF_RW_OP_READ, file_off, at, len, 0, &err);

	/* Missing bytes would be written with another transfer's data. */
	return !err && done < len ? EIO : err;
}

/*
 * Writes @n bytes at @off of the file, which fit into the scratch memory together with the bytes
 * before them in their first LBA. Returns an errno, positive, and the bytes written in @done.
 */
static int write_some_locked(struct dmabuf_rw_scratch *s, const struct source *src,
			     uint64_t off, uint32_t n, uint64_t file_bytes, uint32_t *done)
{
	uint32_t head = off % s->lba, whole = (head + n + s->lba - 1) / s->lba * s->lba;
	uint64_t low = off - head, high = MIN(low + whole, file_bytes);
	uint32_t last = whole - s->lba, moved;
	bool ends_within = off + n < high;
	int err = 0, ret;

	if (head)
		err = read_edge(s, low, 0, MIN(s->lba, high - low));
	if (!err && ends_within && !(head && last == 0))
		err = read_edge(s, low + last, last, high - low - last);
	if (err)
		return err;

	ret = copy_in_locked(src, n, head, high - low, whole);
	if (ret)
		return -ret;
	moved = move(s, DMABUF_RW_OP_WRITE, low, 0, high - low, src->t->flags, &err);
	if (!err && moved < high - low)
		err = EIO;
	*done = moved > head ? MIN(moved - head, n) : 0;
	return err;
}

/* Writes as much as fits. */
static int write_next(struct dmabuf_rw_scratch *s, const struct dmabuf_rw_view *view,
		      const struct dmabuf_rw_transfer *t, struct dmabuf_rw_progress *p,
		      uint64_t end)
{
	uint64_t off = t->file_off + p->done;
	struct source src = {
		.view = view,
		.t = t,
		.pos = p->done,
		.n = MIN(end - p->done, SCRATCH_BYTES - off % s->lba),
	};
	uint64_t bytes = 0;
	uint32_t done = 0;
	int err = -fetch(&src);

	if (err)
		return err;
	pthread_mutex_lock(&lock);
	err = make_ready_locked(s);
	if (!err)
		err = ask_size_locked(s, &bytes);
	if (!err && off >= bytes)
		err = ENOSPC;
	if (!err)
		err = write_some_locked(s, &src, off, MIN(src.n, bytes - off), bytes, &done);
	pthread_mutex_unlock(&lock);
	free(src.copy);
	p->done += done;
	p->bounced += done;
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
	return err;
}

/* Also a write-only file has to be read, for its LBAs. */
static int open_file(int file_fd)
{
	int flags = fcntl(file_fd, F_GETFL), fd = -1;

	if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY)
		fd = dmabuf_rw_reopen(file_fd, O_RDWR);
	return fd >= 0 ? fd : fcntl(file_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int dmabuf_rw_scratch_create(int device_fd, int file_fd, uint32_t lba,
			     struct dmabuf_rw_scratch **scratch)
{
	struct dmabuf_rw_scratch *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->device_fd = device_fd < 0 ? -1 :
		       fcntl(device_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (device_fd >= 0 && s->device_fd < 0) {
		ret = -errno;
		goto free_scratch;
	}
	s->file_fd = open_file(file_fd);
	if (s->file_fd < 0) {
		ret = -errno;
		goto close_device;
	}
	s->lba = lba;
	*scratch = s;
	return 0;

close_device:
	if (s->device_fd >= 0)
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
	if (scratch->device_fd >= 0)
		close(scratch->device_fd);
	free(scratch);
}
