// SPDX-License-Identifier: MIT
/*
 * zeros.c - zeros in blocks that were never written, so that the drive can write to them.
 *
 * A transfer changes no metadata, so it finds no block in reserved space or in a hole. Once zeros
 * are there it does. The drive itself puts them where kernel, file system and drive can
 * (FALLOC_FL_WRITE_ZEROES: no data is sent), else they are written as data.
 *
 * Zeros replace whatever is there, so they are put only if
 *   - the file system says, after writing back dirty data, that nothing was written there, and
 *   - the write will overwrite every byte: they are whole blocks of it, or the file's last one if
 *     the write goes up to the file's end.
 * A concurrent writer of these bytes writes to what is being overwritten; if the write fails
 * before it gets there, the zeros stay. Bytes beside them are not touched, in the page cache or on
 * the drive. The ends of the write, in blocks that it does not fill, go through memory as usual.
 *
 * Stale data is never visible: the file system promises that blocks stay unwritten until the zeros
 * are there.
 *
 * Thread-safety: only the atomic fields of struct dmabuf_rw_zeros change. Openings of the file are
 * kept, since closing one drops the process's record locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "private.h"

/* Linux 6.17; the build's headers may be older. */
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

/* Zeros that the file system writes in one call; a drive may take a second for them. */
#define DRIVE_ZEROS	(UINT64_C(1) << 30)
/* Zeros written as data in one call. */
#define WRITTEN_ZEROS	(1U << 20)
#define PAGE		DMABUF_RW_CACHE_PAGE
/* Zeros put before as much data. More would leave more time for others to write in between. */
#define MOST_AT_ONCE	(UINT64_C(16) << 20)
/* How often the module may find no block after zeros were put, as in clones on XFS. */
#define MOST_IN_VAIN	3

#define ALIGN_DOWN(x, a)	((x) / (a) * (a))
#define ALIGN_UP(x, a)		ALIGN_DOWN((x) + (a) - 1, a)

/* Never touched, so it takes no memory. */
static char zeros[WRITTEN_ZEROS] __attribute__((aligned(4096)));

int dmabuf_rw_drive_zeros(int fd, uint64_t off, uint64_t len)
{
	uint64_t n;

	for (; len; off += n, len -= n) {
		n = MIN(len, DRIVE_ZEROS);
		if (fallocate(fd, FALLOC_FL_WRITE_ZEROES, off, n))
			return -errno;
	}
	return 0;
}

/* Few bindings ever need it, so borrow a descriptor that the binding has anyway. */
int dmabuf_rw_zeros_create(int file_fd, const struct dmabuf_rw_bounce *bounce, uint32_t how,
			   struct dmabuf_rw_zeros **out)
{
	int mode = fcntl(file_fd, F_GETFL), err;
	struct dmabuf_rw_zeros *z;
	struct statfs fs;
	struct stat st;

	*out = NULL;
	if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY || fstat(file_fd, &st) ||
	    !S_ISREG(st.st_mode) || fstatfs(file_fd, &fs) || fs.f_bsize <= 0)
		return 0;
	z = calloc(1, sizeof(*z));
	if (!z)
		return -ENOMEM;
	z->how = how;
	z->plain = z->direct = -1;
	z->block = ALIGN_UP((uint64_t)fs.f_bsize, PAGE);
	z->ours = !bounce;
	z->fd = bounce ? bounce->plain_fd : fcntl(file_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (z->fd < 0) {
		err = errno;
		free(z);
		return -err;
	}
	*out = z;
	return 0;
}

static void close_opening(int fd)
{
	if (fd >= 0)
		close(fd);
}

void dmabuf_rw_zeros_destroy(struct dmabuf_rw_zeros *z)
{
	if (!z)
		return;
	close_opening(z->plain);
	close_opening(z->direct);
	if (z->ours)
		close(z->fd);
	free(z);
}

static int write_zeros(int fd, uint64_t off, uint64_t len, uint64_t *written)
{
	ssize_t n;

	for (; len; off += n, len -= n) {
		n = pwrite(fd, zeros, MIN(len, WRITTEN_ZEROS), off);
		if (n <= 0)
			return n ? -errno : -EIO;
		*written += n;
	}
	return 0;
}

/*
 * Opens the file of @fd anew. The first call keeps the descriptor at *@at, which is -1 until then,
 * and later ones return it. -1 with errno.
 */
static int reopen_once(_Atomic int *at, int fd, int flags)
{
	int kept = atomic_load(at), none = -1;

	if (kept != -1)
		return kept;
	fd = dmabuf_rw_reopen(fd, flags);
	if (fd < 0 || atomic_compare_exchange_strong(at, &none, fd))
		return fd;
	/* Another thread was first. */
	close(fd);
	return none;
}

/* Writes whole blocks of zeros, past the page cache. */
static int write_blocks(struct dmabuf_rw_zeros *z, uint64_t off, uint64_t len, uint64_t *written)
{
	int fd = reopen_once(&z->direct, z->fd, O_WRONLY | O_DIRECT);

	return fd < 0 ? -errno : write_zeros(fd, off, len, written);
}

/* Writes the file's part of its last block: O_DIRECT would extend the file. */
static int write_end(int fd, uint64_t off, uint64_t len, uint64_t *written)
{
	int ret = write_zeros(fd, off, len, written);

	if (!ret && sync_file_range(fd, off, len, SYNC_FILE_RANGE_WAIT_BEFORE |
				    SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
		ret = -errno;
	return ret;
}

static int put_blocks(struct dmabuf_rw_zeros *z, int fd, uint64_t off, uint64_t len,
		      struct dmabuf_rw_progress *p)
{
	int ret = -EOPNOTSUPP;

	if (z->how & DMABUF_RW_ZEROS_BY_DRIVE && !atomic_load(&z->drive_cannot)) {
		ret = dmabuf_rw_drive_zeros(fd, off, len);
		if (!ret)
			p->zeros_by_drive += len;
		else if (ret != -EINTR && ret != -ENOSPC && ret != -EDQUOT)
			atomic_store(&z->drive_cannot, true);
	}
	if (ret && ret != -EINTR && z->how & DMABUF_RW_ZEROS_WRITTEN)
		ret = write_blocks(z, off, len, &p->zeros_written);
	return ret;
}

/* Like dmabuf_rw_zeros_put(), by @fd, open for writing without O_DIRECT. */
static int64_t put(struct dmabuf_rw_zeros *z, int fd, uint64_t off, uint64_t len,
		   struct dmabuf_rw_progress *p)
{
	uint64_t end = off + len, blocks, bytes;
	struct stat st;
	int ret = 0;

	if (fstat(fd, &st))
		return -errno;
	bytes = st.st_size;
	end = dmabuf_rw_unwritten_until(fd, off, MIN(end, bytes));
	if (end != bytes || !(z->how & DMABUF_RW_ZEROS_WRITTEN))
		end = ALIGN_DOWN(end, z->block);
	if (end <= off)
		return 0;
	blocks = ALIGN_DOWN(end, z->block);
	if (blocks > off)
		ret = put_blocks(z, fd, off, blocks - off, p);
	if (!ret && end > blocks)
		ret = write_end(fd, blocks, end - blocks, &p->zeros_written);
	return ret ? ret : (int64_t)(end - off);
}

int64_t dmabuf_rw_zeros_put(struct dmabuf_rw_zeros *z, uint64_t off, uint64_t len,
			    struct dmabuf_rw_progress *p)
{
	int64_t n;
	int fd;

	if (off % z->block || atomic_load(&z->in_vain) >= MOST_IN_VAIN)
		return 0;
	fd = reopen_once(&z->plain, z->fd, O_WRONLY);
	if (fd >= 0) {
		n = put(z, fd, off, MIN(len, MOST_AT_ONCE), p);
	} else {
		n = errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	}
	/* Zeros that cannot be put there are no failure of the write. */
	return n == -EOPNOTSUPP || n == -ENOSYS || n == -EINVAL ? 0 : n;
}
