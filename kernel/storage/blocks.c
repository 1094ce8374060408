// SPDX-License-Identifier: GPL-2.0-only
/*
 * blocks.c - where the blocks of a file are: the map, and how it is filled.
 *
 * See file.h for why a look-up is as it is. ->bmap() gives 0 for a hole and for a block that
 * was allocated and never written, so what is in the map has been written.
 */
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include "storage/file.h"
#include "storage/pagecache.h"

/* Extents that are looked up before they go into the map together. */
#define DRW_LOOKUP_EXTENTS	16

/*
 * A look-up goes on to whole ranges of this size, because one costs less than to come back for
 * the next block. ->bmap() takes a microsecond or less.
 */
#define DRW_LOOKUP_BYTES	SZ_128K

/* A longer one is a step at a time, so that others' changes do not undo all of it. */
#define DRW_LOOKUP_MAX		SZ_32M

/* Places that drw_blocks_none() looks at. */
#define DRW_LOOKUP_SAMPLES	8

struct blocks_extent {
	u64 block;	/* of the file */
	u64 at;		/* of the disk */
	u64 nr;
};

/**
 * struct blocks_lookup - a look-up in progress
 * @f: file
 * @ended: drw_file.ended when it began
 * @locked: the caller has the inode lock, so no epoch is needed, nor a moment's lock
 * @ext: what was found and is not in the map yet
 * @nr: how many of them
 */
struct blocks_lookup {
	struct drw_file *f;
	int ended;
	bool locked;
	struct blocks_extent ext[DRW_LOOKUP_EXTENTS];
	unsigned int nr;
};

/*
 * Would a hold that begins now find the map as true as the last one left it? The caller has
 * the inode lock, shared, or needs no more than a guess.
 */
bool drw_blocks_true(const struct drw_file *f)
{
	/* Pairs with the release in blocks_forget(): the map is at least as new. */
	u64 version = smp_load_acquire(&f->version);

	return version != DRW_NO_VERSION && inode_eq_iversion(f->inode, version) &&
	       f->inode->i_mapping->a_ops == f->a_ops;
}

/*
 * The caller has the inode lock, shared. A reader under a hold sees no entry, or one that was
 * found after this.
 */
static void blocks_forget(struct drw_file *f)
{
	lockdep_assert_held(&f->lookup_lock);
	WRITE_ONCE(f->version, DRW_NO_VERSION);
	mtree_destroy(&f->blocks);
	WRITE_ONCE(f->extents, 0);
	if (f->versioned)
		smp_store_release(&f->version, inode_query_iversion(f->inode));
}

/*
 * An entry of the map: how far an extent's place on the disk is from its place in the file, modulo
 * 2^63. That is the same for all of its blocks, so the entry stays right while its range grows,
 * which the maple tree does in place, before the eyes of readers.
 */
static void *blocks_entry(u64 block, u64 at)
{
	return xa_mk_value((at - block) & LONG_MAX);
}

/* What the map has from @first to @last, @block among them: an extent, or NULL for none. */
static void *blocks_find(struct drw_file *f, u64 block, u64 *first, u64 *last)
{
	MA_STATE(mas, &f->blocks, block, block);
	void *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	rcu_read_unlock();
	*first = mas.index;
	*last = mas.last;
	return entry;
}

/**
 * drw_blocks_locate() - where a byte of a file is
 * @f: file; the caller has a hold
 * @pos: its offset
 * @at: set to its offset in the file system's block device
 * @bytes: set to how many bytes from there on are consecutive
 *
 * Does not sleep.
 *
 * Return: false if it must be looked up.
 */
bool drw_blocks_locate(struct drw_file *f, u64 pos, u64 *at, u64 *bytes)
{
	u8 shift = f->inode->i_blkbits;
	u64 block = pos >> shift, off = pos - (block << shift), first, last;
	void *entry;

	/* Pairs with the release in blocks_forget(): the map is at least as new. */
	if (f->versioned && !inode_eq_iversion(f->inode, smp_load_acquire(&f->version)))
		return false;
	entry = blocks_find(f, block, &first, &last);
	if (!entry)
		return false;
	*at = (((block + xa_to_value(entry)) & LONG_MAX) << shift) + off;
	*bytes = ((last - block + 1) << shift) - off;
	return true;
}

/* The first block from @block on that is not in the map, and with @known the first that is. */
static u64 blocks_next(struct drw_file *f, u64 block, u64 last, bool known)
{
	u64 first, end;

	for (; block <= last; block = end + 1) {
		if (!blocks_find(f, block, &first, &end) == !known)
			return block;
		if (end >= last)
			break;
	}
	return last + 1;
}

/* Merged with its neighbours where they are consecutive. 0 or -ENOMEM. */
static int blocks_store(struct drw_file *f, const struct blocks_extent *ext)
{
	u64 first = ext->block, last = ext->block + ext->nr - 1, begin, end;
	void *entry = blocks_entry(first, ext->at);
	u64 extents = f->extents + 1;
	int ret;

	lockdep_assert_held(&f->lookup_lock);
	if (blocks_find(f, last + 1, &begin, &end) == entry) {
		last = end;
		extents--;
	}
	if (first && blocks_find(f, first - 1, &begin, &end) == entry) {
		first = begin;
		extents--;
	}
	ret = mtree_store_range(&f->blocks, first, last, entry, GFP_KERNEL_ACCOUNT);
	if (!ret)
		WRITE_ONCE(f->extents, extents);
	return ret;
}

/*
 * Put what was found into the map, once its data is on the disk. Who allocates a block holds the
 * inode lock, exclusive, or the invalidate lock, shared, until the page is dirty. To have had both
 * proves that those who did so before the look-up have finished. 0; -EAGAIN if the epoch has ended;
 * -EINTR; -ENOMEM; -EIO.
 */
static int blocks_settle(struct blocks_lookup *l)
{
	struct inode *inode = l->f->inode;
	struct address_space *mapping = inode->i_mapping;
	u8 shift = inode->i_blkbits;
	unsigned int i;
	int ret;

	if (!l->nr)
		return 0;
	if (!l->locked) {
		if (down_read_killable(&inode->i_rwsem))
			return -EINTR;
		inode_unlock_shared(inode);
	}
	if (down_write_killable(&mapping->invalidate_lock))
		return -EINTR;
	up_write(&mapping->invalidate_lock);
	for (i = 0; i < l->nr && READ_ONCE(mapping->nrpages); i++) {
		const struct blocks_extent *ext = &l->ext[i];

		ret = filemap_write_and_wait_range(mapping, ext->block << shift,
						   ((ext->block + ext->nr) << shift) - 1);
		if (ret)
			return drw_writing_error(ret);
	}
	/*
	 * If the epoch ends right after this, a wrong block may get into the map. But the next
	 * one begins only with a map that is true, or after us, with an empty one.
	 */
	if (!l->locked && atomic_read_acquire(&l->f->ended) != l->ended)
		return -EAGAIN;
	for (i = 0; i < l->nr; i++) {
		ret = blocks_store(l->f, &l->ext[i]);
		if (ret)
			return ret;
	}
	l->nr = 0;
	WRITE_ONCE(l->f->looked_up, l->f->looked_up + 1);
	return 0;
}

static int blocks_add(struct blocks_lookup *l, u64 block, u64 at)
{
	struct blocks_extent *last = l->nr ? &l->ext[l->nr - 1] : NULL;
	int ret;

	if (last && last->block + last->nr == block && last->at + last->nr == at) {
		last->nr++;
		return 0;
	}
	if (l->nr == DRW_LOOKUP_EXTENTS) {
		ret = blocks_settle(l);
		if (ret)
			return ret;
	}
	l->ext[l->nr++] = (struct blocks_extent) { .block = block, .at = at, .nr = 1 };
	return 0;
}

/* Look up what is not known of a range. @end: the first block that has not been written. */
static int blocks_walk_range(struct blocks_lookup *l, u64 block, u64 last, u64 *end)
{
	struct drw_file *f = l->f;
	u64 stop = block;
	int ret;

	for (;; block++) {
		sector_t at;

		if (block == stop) {
			block = blocks_next(f, block, last, false);
			stop = blocks_next(f, block, last, true);
		}
		if (block > last)
			break;
		at = block;
		if (bmap(f->inode, &at) || !at)
			break;
		ret = blocks_add(l, block, at);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	*end = min(block, last + 1);
	return blocks_settle(l);
}

/* The same for the range and what is around it. */
static int blocks_walk(struct blocks_lookup *l, u64 block, u64 last, u64 *end)
{
	struct inode *inode = l->f->inode;
	u64 around = max_t(u64, DRW_LOOKUP_BYTES >> inode->i_blkbits, 1), unused;
	u64 size = DIV_ROUND_UP_ULL(i_size_read(inode), i_blocksize(inode));
	u64 first = round_down(block, around), after = min(round_up(last + 1, around), size);
	int ret;

	ret = blocks_walk_range(l, block, last, end);
	/* Of a file that has dirty pages, ->bmap() writes all of them for each block (ext4). */
	if (ret || *end <= last || mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY))
		return ret;
	/* Nobody has asked for these, so nobody hears of it if they cannot be had. */
	if (first < block && blocks_walk_range(l, first, block - 1, &unused))
		return 0;
	if (last + 1 < after)
		blocks_walk_range(l, last + 1, after - 1, &unused);
	return 0;
}

/*
 * Begin: the timer gets a hold, under which the look-up runs, and a map that is not true goes,
 * unless an epoch keeps it so. The inode lock is held throughout, so blocks stay where they are
 * between the two. 0, -EINTR, -EMEDIUMTYPE.
 */
static int blocks_begin(struct blocks_lookup *l)
{
	struct drw_file *f = l->f;
	struct inode *inode = f->inode;
	int ret = 0;

	if (!l->locked && down_read_killable(&inode->i_rwsem))
		return -EINTR;
	/* chattr +j or fs-verity may have come over a file that is bound. */
	if (inode->i_mapping->a_ops != f->a_ops || IS_VERITY(inode) || IS_ENCRYPTED(inode)) {
		ret = -EMEDIUMTYPE;
		goto unlock;
	}
	if (!drw_blocks_true(f) && (f->versioned || !atomic_read(&f->holders)))
		blocks_forget(f);
	if (l->locked)
		return 0;
	WRITE_ONCE(f->busy, true);
	do {
		drw_hold_linger(f);
		l->ended = atomic_read_acquire(&f->ended);
		/* The tick may just have given it back. */
	} while (!test_bit(DRW_FILE_LINGERS, &f->state));
unlock:
	if (!l->locked)
		inode_unlock_shared(inode);
	return ret;
}

/**
 * drw_blocks_look_up() - make the blocks of a range known
 * @f: file
 * @pos: where the range begins
 * @len: its length, not zero; set to what has been written, from the beginning on, or to
 *	less of it
 * @locked: the caller has lookup_lock and the inode lock, on XFS; else nothing
 *
 * Sleeps. What is found stays in the map until it may have changed, which may be at once,
 * unless @locked.
 *
 * Return: 0; -EAGAIN if others were in the way; -ENXIO if nothing has been written; -EINTR,
 * -ENOMEM, -ENOSPC, -EIO, -EMEDIUMTYPE.
 */
int drw_blocks_look_up(struct drw_file *f, u64 pos, u64 *len, bool locked)
{
	struct address_space *mapping = f->inode->i_mapping;
	struct blocks_lookup l = { .f = f, .locked = locked };
	u8 shift = f->inode->i_blkbits;
	u64 end;
	int ret;

	*len = min(*len, DRW_LOOKUP_MAX - (pos & (DRW_LOOKUP_MAX - 1)));
	/* ->bmap() does this, too, but cannot say what has failed. */
	ret = READ_ONCE(mapping->nrpages) ? filemap_write_and_wait(mapping) : 0;
	if (ret)
		return drw_writing_error(ret);
	if (!locked && mutex_lock_killable(&f->lookup_lock))
		return -EINTR;
	ret = blocks_begin(&l);
	if (!ret) {
		ret = blocks_walk(&l, pos >> shift, (pos + *len - 1) >> shift, &end);
		/* A map that survives its epoch needs nobody who lingers. */
		if (f->versioned)
			drw_hold_stop_lingering(f);
	}
	if (!locked)
		mutex_unlock(&f->lookup_lock);
	if (ret)
		return ret;
	end <<= shift;
	if (end <= pos)
		return -ENXIO;
	*len = min(*len, end - pos);
	return 0;
}

/* Make what is known of blocks durable, as fdatasync(2) does. Sleeps. 0 or a negative errno. */
int drw_blocks_commit(struct drw_file *f, struct file *file)
{
	u32 looked_up = READ_ONCE(f->looked_up);
	int ret;

	ret = vfs_fsync(file, 1);
	if (ret)
		return drw_writing_error(ret);
	WRITE_ONCE(f->committed, looked_up);
	return 0;
}

/* Memory that the map takes, in bytes: a node of 256 has at least 8 extents, but for the root. */
u64 drw_blocks_metadata(struct drw_file *f)
{
	return DIV_ROUND_UP_ULL(READ_ONCE(f->extents), 8) * 256;
}

/* Has a file space, yet no block at any of a few places? Then transfers will find none either. */
bool drw_blocks_none(struct file *file)
{
	struct inode *inode = file_inode(file);
	u64 blocks = i_size_read(inode) >> inode->i_blkbits;
	struct kstat stat;
	unsigned int i;

	if (!blocks || vfs_getattr_nosec(&file->f_path, &stat, STATX_BLOCKS, 0) || !stat.blocks)
		return false;
	for (i = 0; i < DRW_LOOKUP_SAMPLES; i++) {
		sector_t at = div_u64(blocks * i, DRW_LOOKUP_SAMPLES);

		if (!bmap(inode, &at) && at)
			return false;
	}
	return true;
}
