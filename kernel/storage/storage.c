// SPDX-License-Identifier: GPL-2.0-only
/* storage.c - the storage side of a binding: see storage.h. */
#include <linux/magic.h>

#include "storage/storage.h"
#include "trace.h"

/**
 * drw_storage_init() - check a file and find its namespace
 * @s: filled; takes over the caller's reference to @file only on success
 * @file: an open file
 * @refusal: set on failure
 *
 * Return: 0, -ENOMEM, or an error of drw_file_check() or drw_target_find().
 */
int drw_storage_init(struct drw_storage *s, struct file *file, struct drw_refusal *refusal)
{
	/* Read before the check, so that the first look-up sees any change after it. */
	const struct address_space_operations *a_ops = READ_ONCE(file->f_mapping->a_ops);
	struct drw_file *f;
	int ret;

	if (S_ISREG(file_inode(file)->i_mode)) {
		ret = drw_file_check(file, refusal);
		if (ret)
			return ret;
	}
	ret = drw_target_find(s, file, refusal);
	if (ret)
		return ret;
	if (S_ISREG(file_inode(file)->i_mode)) {
		f = drw_file_get(file, a_ops);
		if (IS_ERR(f))
			return PTR_ERR(f);
		s->regular = f;
		/* On XFS a clone looks like a file without blocks. */
		s->no_blocks = file_inode(file)->i_sb->s_magic == XFS_SUPER_MAGIC &&
			       drw_blocks_none(file);
	}
	drw_stamp_init(s);
	s->mapping = file->f_mapping;
	s->file = file;
	return 0;
}

/* Undo drw_storage_init(), if it succeeded. May sleep. */
void drw_storage_exit(struct drw_storage *s)
{
	if (!s->file)
		return;
	if (s->regular) {
		drw_stamp_exit(s);
		drw_file_put(s->regular);
	}
	fput(s->file);
}

static bool storage_as_checked(const struct drw_storage *s, const struct drw_span *span, u64 size)
{
	u64 end = span->pos + span->len;

	if (unlikely(end > size))
		return false;
	/* A file that became longer may have data where a write fills its last LBA with zeros. */
	return !span->write || !(end & (s->lba_bytes - 1)) || end == size;
}

/* Have flags of the inode changed since BIND in a way that forbids the transfer? */
static bool storage_flags_changed(const struct inode *inode, bool write)
{
	return inode->i_flags & (S_VERITY | S_ENCRYPTED | S_DAX | S_SWAPFILE |
				 (write ? S_IMMUTABLE | S_APPEND : 0));
}

static bool storage_must_commit(const struct drw_file *f, const struct drw_span *span)
{
	return !drw_blocks_are_committed(f) || (span->lock && !span->prepared);
}

/* drw_storage_enter() of a write to a regular file: freeze protection. */
static noinline int storage_enter_write(struct drw_storage *s, const struct drw_span *span)
{
	struct drw_file *f = s->regular;
	struct super_block *sb = f->inode->i_sb;

	if ((!span->prepared && !drw_is_stamped(f)) ||
	    (span->fua && storage_must_commit(f, span)) || !sb_start_write_trylock(sb))
		return -EAGAIN;
	if (READ_ONCE(f->stamp) != jiffies)
		drw_stamp_later(s);
	/* For lockdep: the context that ends the write releases it. */
	__sb_writers_release(sb, SB_FREEZE_WRITE);
	return 0;
}

static noinline void storage_leave_write(struct drw_storage *s)
{
	struct super_block *sb = s->regular->inode->i_sb;

	__sb_writers_acquired(sb, SB_FREEZE_WRITE);
	sb_end_write(sb);
}

/* drw_storage_enter() of a regular file. */
int drw_storage_enter_regular(struct drw_storage *s, const struct drw_span *span)
{
	struct drw_file *f = s->regular;
	struct inode *inode = f->inode;
	int ret;

	ret = drw_file_alive(f, s->file, span->write);
	if (unlikely(ret))
		return ret;
	if (unlikely(storage_flags_changed(inode, span->write)))
		return -EAGAIN;
	if (span->write) {
		ret = storage_enter_write(s, span);
		if (ret)
			return ret;
	}
	if (unlikely(span->lock) ? !drw_hold_locked(f) : !drw_hold(f))
		goto leave_write;
	/* The size may have changed between the check and the hold. */
	if (likely(storage_as_checked(s, span, i_size_read(inode))))
		return 0;
	drw_hold_release(f);
leave_write:
	if (span->write)
		storage_leave_write(s);
	return -EAGAIN;
}

/* drw_storage_leave() of a regular file. */
void drw_storage_leave_regular(struct drw_storage *s, bool write)
{
	drw_hold_release(s->regular);
	if (write)
		storage_leave_write(s);
}

/* -EBUSY becomes -EAGAIN for a file only: a mounted file system may keep a disk's pages in use. */
static int storage_uncache(struct drw_storage *s, const struct drw_span *span)
{
	int ret = drw_pagecache_before(s->mapping, span->pos, span->len, span->write);

	return ret == -EBUSY && s->regular ? -EAGAIN : ret;
}

/* drw_storage_prepare() of a write to a regular file, before blocks are looked up. */
static int storage_prepare_write(struct drw_storage *s)
{
	struct super_block *sb = s->regular->inode->i_sb;
	int ret;

	/* Waits for a thaw. */
	sb_start_write(sb);
	ret = drw_is_stamped(s->regular) ? 0 : drw_stamp(s);
	sb_end_write(sb);
	return ret;
}

/* Are blocks looked up by drw_storage_lock()? */
static bool storage_looks_up_locked(const struct drw_storage *s, const struct drw_span *span)
{
	return span->look_up && s->regular->versioned;
}

static int storage_look_up(struct drw_storage *s, struct drw_span *span, bool locked)
{
	int ret = drw_blocks_look_up(s->regular, span->pos, &span->len, locked);

	trace_drw_lookup(s->regular->inode, span->pos, ret ? 0 : span->len, ret);
	/* A file system that has shut itself down also causes -ENXIO. */
	return ret == -ENXIO ? drw_file_ask(s->regular, s->file, span->write) ?: ret : ret;
}

/* Make the blocks in the map durable. Sleeps. 0 or a negative errno. */
int drw_storage_commit(struct drw_storage *s)
{
	struct drw_file *f = s->regular;

	return f && !drw_blocks_are_committed(f) ? drw_blocks_commit(f, s->file) : 0;
}

/**
 * drw_storage_prepare() - wait for what is in the way of a span, and look up its blocks
 * @s: storage
 * @span: checked, not empty; len is cut at the first unwritten block
 *
 * Sleeps, and holds nothing when it returns, so its results may be outdated by then.
 *
 * Return: 0; -EAGAIN if others were in the way; -ENXIO if the block at span->pos is not written;
 * -EINTR, -ENOMEM, -ENOSPC, -EBUSY, -EIO, -EPERM, -EMEDIUMTYPE.
 */
int drw_storage_prepare(struct drw_storage *s, struct drw_span *span)
{
	struct drw_file *f = s->regular;
	int ret;

	span->prepared = false;
	if (f && span->write) {
		ret = storage_prepare_write(s);
		if (ret)
			return ret;
	}
	ret = storage_uncache(s, span);
	if (ret)
		return ret;
	if (f) {
		ret = storage_looks_up_locked(s, span) ? 0 : storage_look_up(s, span, false);
		if (ret)
			return ret;
		if (span->fua && storage_must_commit(f, span)) {
			ret = drw_blocks_commit(f, s->file);
			if (ret)
				return ret;
		}
	}
	/* The size may have changed. */
	if (f)
		span->lock |= span->look_up ||
			      (span->write && drw_storage_needs_lock(s, span,
								     i_size_read(f->inode)));
	span->prepared = true;
	return 0;
}

static int storage_lock_inode(struct drw_storage *s, struct drw_span *span)
{
	struct inode *inode = s->regular->inode;

	/* Zeros fill the last LBA. On XFS others can make the file longer with a shared lock. */
	span->exclusive = s->regular->versioned && span->write &&
			  ((span->pos + span->len) & (s->lba_bytes - 1));
	if (!span->exclusive)
		return down_read_killable(&inode->i_rwsem);
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	inode_dio_wait(inode);
	return 0;
}

/**
 * drw_storage_lock() - lock the inode for a span with @lock set
 * @s: a regular file; the caller holds nothing
 * @span: prepared; if look_up is set, on XFS its blocks are looked up here
 *
 * Sleeps. The same task calls drw_storage_unlock().
 *
 * Return: 0, or an error of drw_storage_prepare() with nothing locked.
 */
int drw_storage_lock(struct drw_storage *s, struct drw_span *span)
{
	struct drw_file *f = s->regular;
	bool look_up = storage_looks_up_locked(s, span);
	int ret = 0;

	/* Before the inode lock, in the lock order of look-ups. Keeps those of others away. */
	if (span->look_up && mutex_lock_killable(&f->lookup_lock))
		return -EINTR;
	/* ext4 without a journal takes the inode lock for this. */
	if (span->look_up && !look_up && span->fua)
		ret = drw_storage_commit(s);
	if (!ret)
		ret = storage_lock_inode(s, span);
	if (ret)
		goto unlock;
	ret = storage_uncache(s, span);
	if (!ret && look_up)
		ret = storage_look_up(s, span, true);
	if (!ret && look_up && span->fua)
		ret = drw_storage_commit(s);
	if (ret)
		drw_storage_unlock(s, span);
unlock:
	if (span->look_up)
		mutex_unlock(&f->lookup_lock);
	return ret;
}

void drw_storage_unlock(struct drw_storage *s, const struct drw_span *span)
{
	struct inode *inode = s->regular->inode;

	if (span->exclusive)
		inode_unlock(inode);
	else
		inode_unlock_shared(inode);
}

/**
 * drw_storage_finish() - drop pages that were cached while a span was written
 * @s: storage
 * @span: a write whose commands have ended
 * @written: bytes written, from its beginning
 *
 * Sleeps. If span->lock, call it before drw_storage_unlock().
 */
void drw_storage_finish(struct drw_storage *s, const struct drw_span *span, u64 written)
{
	drw_pagecache_after(s->mapping, span->pos, written);
}

/* The storage side's part of INFO. */
void drw_storage_describe(struct drw_storage *s, struct dmabuf_rw_info *info)
{
	info->flags |= (s->multipath ? DMABUF_RW_INFO_MULTIPATH : 0) |
		       (bdev_write_cache(s->bdev) ? DMABUF_RW_INFO_WRITE_CACHE : 0) |
		       (s->regular ? DMABUF_RW_INFO_REGULAR : 0) |
		       (s->no_blocks ? DMABUF_RW_INFO_NO_BLOCKS : 0);
	info->file_bytes = drw_storage_bytes(s);
	info->lba_bytes = s->lba_bytes;
	info->write_align = s->lba_bytes;
	if (s->regular) {
		info->file_extents = READ_ONCE(s->regular->extents);
		info->metadata_bytes += sizeof(*s->regular) + drw_blocks_metadata(s->regular);
	}
}
