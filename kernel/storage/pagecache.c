// SPDX-License-Identifier: GPL-2.0-only
/*
 * pagecache.c - transfers and the page cache of the same file agree, as with O_DIRECT.
 *
 * Before a read, dirty pages of the range are written. Before a write they are written
 * and dropped; after it, what a concurrent reader has brought in meanwhile is dropped
 * again. The rules and their order are those of mm/filemap.c for direct I/O
 * (kiocb_write_and_wait(), kiocb_invalidate_pages(),
 * kiocb_invalidate_post_direct_write()). A file with no cached page costs one load.
 */
#include <linux/pagemap.h>

#include "transfer/io.h"

static struct address_space *io_mapping(struct drw_io *io)
{
	return io->b->target.file->f_mapping;
}

/**
 * drw_pagecache_before() - make the disk hold what the cache holds
 * @io: transfer, with at least one byte
 * @nowait: do not sleep
 *
 * Return: 0; -EAGAIN if @nowait and there are pages to be written or dropped; -EBUSY if pages
 * cannot be dropped; an error of writing them.
 */
int drw_pagecache_before(struct drw_io *io, bool nowait)
{
	struct address_space *mapping = io_mapping(io);
	loff_t last = io->pos + io->len - 1;
	int ret, tries = 4;

	if (likely(!READ_ONCE(mapping->nrpages)))
		return 0;
	if (nowait) {
		bool wait = io->op == DMABUF_RW_OP_WRITE ?
			    filemap_range_has_page(mapping, io->pos, last) :
			    filemap_range_needs_writeback(mapping, io->pos, last);

		return wait ? -EAGAIN : 0;
	}

	do {
		ret = filemap_write_and_wait_range(mapping, io->pos, last);
		if (ret)
			return ret == -ENOMEM || ret == -ENOSPC ? ret : -EIO;
		if (io->op != DMABUF_RW_OP_WRITE)
			return 0;
		ret = invalidate_inode_pages2_range(mapping, io->pos >> PAGE_SHIFT,
						    last >> PAGE_SHIFT);
		/* Who writes other bytes of a page may have made it dirty again. */
	} while (ret == -EBUSY && --tries);
	return ret;
}

/* Drop what was cached while we wrote. May sleep. */
void drw_pagecache_after(struct drw_io *io)
{
	struct address_space *mapping = io_mapping(io);

	if (io->op != DMABUF_RW_OP_WRITE || !io->len || !READ_ONCE(mapping->nrpages))
		return;
	if (invalidate_inode_pages2_range(mapping, io->pos >> PAGE_SHIFT,
					  (io->pos + io->len - 1) >> PAGE_SHIFT))
		pr_warn_ratelimited("dmabuf_rw: %pg: a page could not be dropped after a direct write; cached reads may be stale\n",
				    io->b->target.bdev);
}
