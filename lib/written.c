// SPDX-License-Identifier: MIT
/*
 * written.c - whether the bytes of a file have been written, according to the file system.
 *
 * The module looks up blocks in another way, and finds none (ENXIO) where nothing was written. On
 * XFS it also finds none in a file that is or was a clone. FIEMAP tells the two apart.
 *
 * Thread-safety: functions of their arguments.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>

#include "private.h"

/* Number of places where BIND looks for blocks, at equal distances from the file's beginning. */
#define PLACES	8

struct one_extent {
	struct fiemap map;
	struct fiemap_extent extent;
};

/* The extent at @off, or the next one: 1; 0: there is none; -1: not known. */
static int find_extent(int fd, uint64_t off, uint32_t flags, struct fiemap_extent *extent)
{
	struct one_extent one = { .map = {
		.fm_start = off, .fm_length = INT64_MAX - off, .fm_flags = flags,
		.fm_extent_count = 1,
	} };

	if (ioctl(fd, FS_IOC_FIEMAP, &one))
		return -1;
	*extent = one.extent;
	return !!one.map.fm_mapped_extents;
}

static bool is_written(const struct fiemap_extent *e)
{
	return !(e->fe_flags & (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DELALLOC |
				FIEMAP_EXTENT_UNKNOWN));
}

static bool is_written_at(int fd, uint64_t off, uint32_t flags)
{
	struct fiemap_extent e;

	return find_extent(fd, off, flags, &e) > 0 && e.fe_logical <= off && is_written(&e);
}

/* True if the file has no written block for certain. */
static bool is_written_nowhere(int fd, uint32_t flags)
{
	struct fiemap_extent e;
	uint64_t off;
	int found;

	for (off = 0; (found = find_extent(fd, off, flags, &e)) > 0;
	     off = e.fe_logical + e.fe_length)
		/* Dirty data will be written. */
		if (is_written(&e) || e.fe_flags & FIEMAP_EXTENT_DELALLOC)
			return false;
	return !found;
}

/* No written block, and no dirty data. */
static bool is_unwritten(const struct fiemap_extent *e)
{
	return (e->fe_flags & (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DELALLOC |
			       FIEMAP_EXTENT_UNKNOWN)) == FIEMAP_EXTENT_UNWRITTEN;
}

uint64_t dmabuf_rw_unwritten_until(int fd, uint64_t off, uint64_t end)
{
	struct fiemap_extent e;
	uint64_t at = off;
	int found;

	/* Each look-up first writes back dirty data, so it sees all earlier writes. */
	while (at < end) {
		found = find_extent(fd, at, FIEMAP_FLAG_SYNC, &e);
		if (found < 0)
			return off;
		if (!found)
			return end;
		if (e.fe_logical > at)
			at = e.fe_logical;
		else if (is_unwritten(&e))
			at = e.fe_logical + e.fe_length;
		else
			break;
	}
	return MIN(at, end);
}

static bool is_on_xfs(int fd, uint64_t *block)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) || fs.f_type != XFS_SUPER_MAGIC || fs.f_bsize <= 0)
		return false;
	*block = fs.f_bsize;
	return true;
}

bool dmabuf_rw_is_clone(const struct dmabuf_rw_info *info, int file_fd)
{
	uint64_t block, nr;
	unsigned int i;

	if (!(info->flags & DMABUF_RW_INFO_NO_BLOCKS) || !is_on_xfs(file_fd, &block))
		return false;
	nr = info->file_bytes / block;
	/* Dirty data may have no block yet, so do not write it back here. */
	for (i = 0; i < PLACES; i++)
		if (is_written_at(file_fd, nr * i / PLACES * block, 0))
			return true;
	return false;
}

DMABUF_RW_API int dmabuf_rw_info_refusal(const struct dmabuf_rw_info *info, int file_fd,
					 struct dmabuf_rw_error *error)
{
	uint32_t reason;

	if (error)
		*error = (struct dmabuf_rw_error){ 0 };
	if (dmabuf_rw_is_clone(info, file_fd))
		reason = DMABUF_RW_REASON_CLONE;
	/* Unwritten space may have dirty pages, but most files need only one look-up. */
	else if (info->flags & DMABUF_RW_INFO_REGULAR && info->file_bytes &&
		 is_written_nowhere(file_fd, 0) &&
		 is_written_nowhere(file_fd, FIEMAP_FLAG_SYNC))
		reason = DMABUF_RW_REASON_NEVER_WRITTEN;
	else
		return 0;
	dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, ENXIO, reason, 0);
	return 1;
}

DMABUF_RW_API void dmabuf_rw_error_explain(struct dmabuf_rw_error *error, int file_fd,
					   uint64_t file_off)
{
	uint64_t block;

	if (error->call != DMABUF_RW_CALL_IO || error->err != ENXIO)
		return;
	if (!is_written_at(file_fd, file_off, FIEMAP_FLAG_SYNC))
		error->reason = DMABUF_RW_REASON_NEVER_WRITTEN;
	else if (is_on_xfs(file_fd, &block))
		error->reason = DMABUF_RW_REASON_CLONE;
}
