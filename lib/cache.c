// SPDX-License-Identifier: MIT
/*
 * cache.c - leaves the page cache as full as it was.
 *
 * If a file does not support O_DIRECT, its bytes go through the page cache and would push out
 * pages that others need. So pages that were not cached before are dropped again:
 *   - For reads the kernel does so, and knows best who uses which page (RWF_DONTCACHE; Linux
 *     6.14, if the file system supports it). A read drops its own pages, so none is forgotten.
 *   - Else cachestat(2) tells before the read whether any page is cached, and if none is,
 *     POSIX_FADV_DONTNEED drops the pages afterwards. The kernel keeps pages that are mapped or
 *     have become dirty since.
 *   - Writes always use the latter. With RWF_DONTCACHE the end of writeback drops a page, but
 *     not if it is an interrupt. A page cannot be dropped before it is on the drive, so writes
 *     wait for that, which takes as long as O_DIRECT and reports the same errors. Pages that
 *     are written in part stay: the next write probably needs them.
 *
 * If cachestat() fails (before Linux 6.5, or because the file is neither ours nor writable for us),
 * the pages may have been cached for others, and stay.
 *
 * Thread-safety: no state. Two users of a page at the same time may both find it cached, and leave
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "private.h"

/* Linux 6.5; the build's headers may be older. */
#ifndef SYS_cachestat
#define SYS_cachestat	451
#endif

#define PAGE	DMABUF_RW_CACHE_PAGE

/* struct cachestat_range and struct cachestat */
struct range {
	uint64_t off, len;
};

struct state {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;	/* pages */
};

bool dmabuf_rw_cache_dontcache(int fd)
{
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };

	/* Far behind the end there is nothing to read, but the kernel checks the flags. */
	return preadv2(fd, &iov, 1, INT64_MAX - 1, RWF_DONTCACHE) >= 0;
}

int64_t dmabuf_rw_cache_ask(int fd, uint32_t op, uint64_t off, uint32_t len,
			    struct dmabuf_rw_cached *c)
{
	struct state state;
	struct range range;

	c->low = op == DMABUF_RW_OP_READ ? off / PAGE * PAGE : (off + PAGE - 1) / PAGE * PAGE;
	c->high = (off + len + (op == DMABUF_RW_OP_READ ? PAGE - 1 : 0)) / PAGE * PAGE;
	c->ours = false;
	if (c->low >= c->high)
		return -1;
	range = (struct range){ c->low, c->high - c->low };
	if (syscall(SYS_cachestat, fd, &range, &state, 0))
		return -1;
	c->ours = !state.cached;
	return state.cached;
}

void dmabuf_rw_cache_drop(int fd, struct dmabuf_rw_cached *c)
{
	if (c->ours)
		posix_fadvise(fd, c->low, c->high - c->low, POSIX_FADV_DONTNEED);
	c->ours = false;
}

void dmabuf_rw_cache_write_back(int fd, struct dmabuf_rw_cached *c)
{
	/* For instance not a regular file. */
	if (c->ours && sync_file_range(fd, c->low, c->high - c->low, SYNC_FILE_RANGE_WRITE))
		c->ours = false;
}

int dmabuf_rw_cache_settle(int fd, struct dmabuf_rw_cached *c)
{
	int err = 0;

	if (c->ours && sync_file_range(fd, c->low, c->high - c->low,
				       SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				       SYNC_FILE_RANGE_WAIT_AFTER))
		err = errno;
	dmabuf_rw_cache_drop(fd, c);
	return err;
}
