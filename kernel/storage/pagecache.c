// SPDX-License-Identifier: GPL-2.0-only
/* pagecache.c - keeps the page cache coherent with transfers: see pagecache.h. */
#include "storage/pagecache.h"

/* A write to other bytes of a page may make it dirty again before it is dropped. */
#define DRW_PAGECACHE_TRIES	4

/* drw_pagecache_in_the_way() of a file with cached pages. */
bool drw_pagecache_has(struct address_space *mapping, u64 pos, u64 len, bool write)
{
	return write ? filemap_range_has_page(mapping, pos, pos + len - 1) :
		       filemap_range_needs_writeback(mapping, pos, pos + len - 1);
}

/**
 * drw_pagecache_before() - write cached data before a transfer, and drop it before a write
 * @mapping: of the file
 * @pos: where the transfer begins
 * @len: its length, not zero
 * @write: it is a write
 *
 * Sleeps.
 *
 * Return: 0; -EBUSY if pages cannot be dropped; an error of drw_writing_error().
 */
int drw_pagecache_before(struct address_space *mapping, u64 pos, u64 len, bool write)
{
	u64 last = pos + len - 1;
	int ret, tries = DRW_PAGECACHE_TRIES;

	if (!READ_ONCE(mapping->nrpages))
		return 0;
	do {
		ret = filemap_write_and_wait_range(mapping, pos, last);
		if (ret)
			return drw_writing_error(ret);
		if (!write)
			return 0;
		ret = invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT,
						    last >> PAGE_SHIFT);
	} while (ret == -EBUSY && --tries);
	return ret;
}

/* Drop pages that were cached while a range was written. May sleep. */
void drw_pagecache_after(struct address_space *mapping, u64 pos, u64 len)
{
	if (!len || !READ_ONCE(mapping->nrpages))
		return;
	if (invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT,
					  (pos + len - 1) >> PAGE_SHIFT))
		pr_warn_ratelimited("dmabuf_rw: a page could not be dropped after a direct write; cached reads may be stale\n");
}
