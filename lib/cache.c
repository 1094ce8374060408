// SPDX-License-Identifier: MIT
/*
 * cache.c - leaving the page cache no fuller than it was found.
 *
 * What must be read or written through the page cache, because the file takes no O_DIRECT,
 * stays there afterwards and pushes out what others need. So what was not cached before is
 * dropped again:
 *   - For reads the kernel does that, and knows best who uses what (RWF_DONTCACHE; Linux
 *     6.14, if the file system knows it). A read drops its pages where it is made, so none
 *     is forgotten.
 *   - Else cachestat(2) says before the read what is cached, and POSIX_FADV_DONTNEED drops
 *     the pages afterwards if none was. Pages that are mapped, or that somebody has made
 *     dirty since, the kernel keeps.
 *   - Writes do the latter in any case. With RWF_DONTCACHE a page is dropped by whoever
 *     finishes writing it back, and where that is an interrupt, it is not. A page cannot be
 *     dropped before it is on the drive, so that is waited for, which takes as long as
 *     O_DIRECT does and tells of the same errors. Pages that are written in part are left
 *     alone: who writes the bytes beside them needs them next.
 *
 * What cachestat() does not tell (before Linux 6.5, or because the file is neither ours nor
 * writable for us) may be cached for somebody else, and is left.
 *
 * Thread-safety: none of this has a state. Two who use a page at the same time may both find
 * that it is cached, and leave it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "private.h"

/* Linux 6.5; the headers that this is built with may be older. */
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

	/* Far behind the end there is nothing to read, but flags are looked at. */
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
	/* No regular file, for instance. */
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
