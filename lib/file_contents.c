// SPDX-License-Identifier: MIT
/*
 * file_contents.c - the blocks of a new file, and the zeros in them.
 *
 * Blocks that were never written cannot be transferred, so a file that is to be bound is filled
 * with zeros first, by the drive itself if it can. A file whose pair cannot go direct is written
 * through memory and needs no zeros. To find out, the pair is bound once, when the first block has
 * been written.
 *
 * Thread-safety: one thread at a time per file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "file.h"

/* Zeros that the file system writes in one call; a drive may take a second for them. */
#define DRIVE_ZEROS	(UINT64_C(1) << 30)
/* Zeros written in one call: enough for several of the drive's commands. */
#define ZEROS		(4U << 20)

int dmabuf_rw_file_check_size(const struct dmabuf_rw_file *f, struct dmabuf_rw_error *error)
{
	struct rlimit limit;

	/* Beyond the limit the kernel would also send SIGXFSZ. */
	if (f->bytes > INT64_MAX - DMABUF_RW_FILE_BLOCK ||
	    (!getrlimit(RLIMIT_FSIZE, &limit) && dmabuf_rw_file_whole(f) > limit.rlim_cur))
		return dmabuf_rw_file_fail(error, EFBIG, 0);
	return 0;
}

/* Writes zeros from the beginning to @end. */
static int write_zeros(const struct dmabuf_rw_file *f, const char *zeros, uint64_t end)
{
	uint64_t off = 0;

	while (off < end) {
		ssize_t n;

		if (f->interrupted && f->interrupted(f->arg))
			return -EINTR;
		n = pwrite(f->fd, zeros, MIN(end - off, ZEROS), off);
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		off += n;
	}
	return 0;
}

/* The same with O_DIRECT; -EINVAL if the file system does not support it. */
static int write_zeros_direct(const struct dmabuf_rw_file *f, const char *zeros, uint64_t end)
{
	int flags = fcntl(f->fd, F_GETFL), ret;

	if (flags < 0 || fcntl(f->fd, F_SETFL, flags | O_DIRECT))
		return -EINVAL;
	ret = write_zeros(f, zeros, end);
	if (fcntl(f->fd, F_SETFL, flags))
		return -errno;
	return ret;
}

/* Leaves the page cache as full as it was. */
static int fill(const struct dmabuf_rw_file *f, uint64_t end)
{
	char *zeros = mmap(NULL, ZEROS, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (zeros == MAP_FAILED)
		return -ENOMEM;
	ret = write_zeros_direct(f, zeros, end);
	if (ret == -EINVAL) {
		ret = write_zeros(f, zeros, end);
		if (!ret && fdatasync(f->fd))
			ret = -errno;
		if (!ret)
			posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	munmap(zeros, ZEROS);
	return ret;
}

/* If kernel, file system and drive can; else -errno. */
static int let_drive_write_zeros(const struct dmabuf_rw_file *f, uint64_t end)
{
	uint64_t off;
	int ret;

	for (off = 0; off < end; off += DRIVE_ZEROS) {
		if (off && f->interrupted && f->interrupted(f->arg))
			return -EINTR;
		ret = dmabuf_rw_drive_zeros(f->fd, off, MIN(end - off, DRIVE_ZEROS));
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Reserves space, in one piece if possible, so that the file system cannot fill up later. 0 also
 * if the file system cannot reserve. With @mode 0 the file then has the size.
 */
static int reserve(const struct dmabuf_rw_file *f, int mode, uint64_t bytes)
{
	if (!fallocate(f->fd, mode, 0, bytes))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return mode || !ftruncate(f->fd, bytes) ? 0 : -errno;
}

/*
 * Binds the file, which then has one block, to the buffer. If the pair cannot go direct,
 * @f->refusal says why.
 */
static int try_pair(struct dmabuf_rw_file *f, const struct dmabuf_rw_file_opts *opts,
		    struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_binding_opts bind = {
		.size = sizeof(bind), .flags = opts->bind_flags, .error = error,
	};
	struct dmabuf_rw_binding *binding;
	int ret;

	if (!opts->device) {
		dmabuf_rw_fail(&f->refusal, DMABUF_RW_CALL_BIND, ENODEV,
			       DMABUF_RW_REASON_NO_DEVICE, 0);
		return 0;
	}
	ret = reserve(f, FALLOC_FL_KEEP_SIZE, dmabuf_rw_file_whole(f));
	if (!ret)
		ret = fill(f, DMABUF_RW_FILE_BLOCK);
	if (ret)
		return dmabuf_rw_file_fail(error, -ret, 0);
	ret = dmabuf_rw_binding_create(opts->device, opts->dmabuf_fd, f->fd, &bind, &binding);
	if (!ret)
		dmabuf_rw_binding_destroy(binding);
	else if (dmabuf_rw_error_is_about_pair(error))
		f->refusal = *error;
	else
		return ret;
	return 0;
}

int dmabuf_rw_file_make_contents(struct dmabuf_rw_file *f,
				 const struct dmabuf_rw_file_opts *opts,
				 struct dmabuf_rw_error *error)
{
	uint64_t whole = dmabuf_rw_file_whole(f);
	int ret = 0;

	if (whole && opts->flags & DMABUF_RW_FILE_FOR_BUFFER) {
		ret = try_pair(f, opts, error);
		if (ret)
			return ret;
	}
	if (whole)
		ret = reserve(f, 0, whole);
	if (!ret && whole && !f->refusal.err) {
		ret = let_drive_write_zeros(f, whole);
		if (ret && ret != -EINTR && ret != -ENOSPC && ret != -EDQUOT)
			ret = fill(f, whole);
	}
	/* Cut off the end of the last block. */
	if (!ret && whole != f->bytes && ftruncate(f->fd, f->bytes))
		ret = -errno;
	/* Makes the zeros durable, and reports errors of writing them. */
	if (!ret && fsync(f->fd))
		ret = -errno;
	if (ret)
		return dmabuf_rw_file_fail(error, -ret, 0);
	/* The truncation has left the last page in the cache. */
	posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}
