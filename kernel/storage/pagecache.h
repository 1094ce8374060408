/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pagecache.h - keeps the page cache coherent with transfers, as O_DIRECT does.
 *
 * Before a read, dirty pages of the range are written. Before a write they are written and
 * all pages dropped; after it, pages that a concurrent reader has brought in are dropped
 * again. The rules and their order are those of mm/filemap.c for direct I/O
 * (kiocb_write_and_wait(), kiocb_invalidate_pages(), kiocb_invalidate_post_direct_write()).
 */
#ifndef _DRW_PAGECACHE_H
#define _DRW_PAGECACHE_H

#include <linux/pagemap.h>

/* The errno that is reported for a file system's failure to write. */
static inline int drw_writing_error(int ret)
{
	return !ret || ret == -ENOMEM || ret == -ENOSPC || ret == -EINTR ? ret : -EIO;
}

int drw_pagecache_before(struct address_space *mapping, u64 pos, u64 len, bool write);
void drw_pagecache_after(struct address_space *mapping, u64 pos, u64 len);
bool drw_pagecache_has(struct address_space *mapping, u64 pos, u64 len, bool write);

/* Has drw_pagecache_before() anything to do? One load for a file without cached pages. */
static inline bool drw_pagecache_in_the_way(struct address_space *mapping, u64 pos, u64 len,
					    bool write)
{
	return unlikely(READ_ONCE(mapping->nrpages)) &&
	       drw_pagecache_has(mapping, pos, len, write);
}

#endif /* _DRW_PAGECACHE_H */
