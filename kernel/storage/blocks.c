// SPDX-License-Identifier: GPL-2.0-only
/*
 * blocks.c - the map of a file's blocks, and the look-ups that fill it.
 *
 * See file.h for the steps of a look-up. ->bmap() gives 0 for a hole and for a block that was
 * allocated but never written, so the map has written blocks only.
 */
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include "storage/file.h"
#include "storage/pagecache.h"

/* Extents that enter the map together. */
#define DRW_LOOKUP_EXTENTS	16

/*
 * A look-up is extended to whole ranges of this size, which costs less than another look-up.
 * ->bmap() takes a microsecond or less.
 */
#define DRW_LOOKUP_BYTES	SZ_128K

/* Longer look-ups are done in steps, so that changes by others undo one step only. */
#define DRW_LOOKUP_MAX		SZ_32M

/* Blocks that drw_blocks_none() looks up. */
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
 * @locked: the caller has the inode lock, so neither an epoch nor that lock is needed
 * @ext: extents found and not in the map yet
 * @nr: how many
 */
struct blocks_lookup {
	struct drw_file *f;
	int ended;
	bool locked;
	struct blocks_extent ext[DRW_LOOKUP_EXTENTS];
	unsigned int nr;
};

/*
 * Is the map still valid if an epoch begins now? Without the inode lock, shared, the answer is a
 * guess.
 */
bool drw_blocks_true(const struct drw_file *f)
{
	/* Pairs with the release in blocks_forget(): the map is at least as new. */
	u64 version = smp_load_acquire(&f->version);

	return version != DRW_NO_VERSION && inode_eq_iversion(f->inode, version) &&
	       f->inode->i_mapping->a_ops == f->a_ops;
}

/* Empty the map. The caller has lookup_lock, or excludes readers. May sleep. */
void drw_blocks_free(struct drw_file *f)
{
	struct drw_run *run, *before = NULL;
	unsigned long block;

	RCU_INIT_POINTER(f->largest, NULL);
	xa_for_each(&f->blocks, block, run) {
		xa_erase(&f->blocks, block);
		if (before && before != run)
			kfree_rcu(before, rcu);
		before = run;
		cond_resched();
	}
	if (before)
		kfree_rcu(before, rcu);
	/* A failed store may have left nodes without entries. */
	xa_destroy(&f->blocks);
	WRITE_ONCE(f->extents, 0);
}

/*
 * The caller has the inode lock. From now on a reader with a hold finds no entry, or one that is
 * newer than this.
 */
static void blocks_forget(struct drw_file *f)
{
	lockdep_assert_held(&f->lookup_lock);
	WRITE_ONCE(f->version, DRW_NO_VERSION);
	drw_blocks_free(f);
	if (f->versioned)
		smp_store_release(&f->version, inode_query_iversion(f->inode));
}

/**
 * drw_blocks_find() - find the run of a block
 * @f: file; the caller is under RCU
 * @block: of the file
 *
 * Return: the run, or NULL if the map lacks the block.
 */
const struct drw_run *drw_blocks_find(struct drw_file *f, u64 block)
{
	XA_STATE(xas, &f->blocks, block);
	const struct drw_run *run;

	do {
		run = xas_load(&xas);
	} while (xas_retry(&xas, run));
	return run;
}

/* The first block from @block to @last that the map lacks, else @last + 1. */
static u64 blocks_unknown(struct drw_file *f, u64 block, u64 last)
{
	const struct drw_run *run;

	lockdep_assert_held(&f->lookup_lock);
	while (block <= last && (run = xa_load(&f->blocks, block)))
		block = run->last + 1;
	return min(block, last + 1);
}

/* The first block from @block to @last that the map has, else @last + 1. */
static u64 blocks_known(struct drw_file *f, u64 block, u64 last)
{
	unsigned long at = block;

	return xa_find(&f->blocks, &at, last, XA_PRESENT) ? at : last + 1;
}

/* The run at @block, if its blocks are @ahead. */
static struct drw_run *blocks_neighbour(struct drw_file *f, u64 block, u64 ahead)
{
	struct drw_run *run = xa_load(&f->blocks, block);

	return run && run->ahead == ahead ? run : NULL;
}

static const struct drw_run *blocks_largest(struct drw_file *f)
{
	return rcu_dereference_protected(f->largest, lockdep_is_held(&f->lookup_lock));
}

/*
 * Storing a run from @first to @last failed: remove the whole range, since entries of a part do
 * not match the run. @other: the run that was merged with it, or NULL. Needs no memory.
 */
static void blocks_drop(struct drw_file *f, u64 first, u64 last, struct drw_run *run,
			struct drw_run *other)
{
	const struct drw_run *largest = blocks_largest(f);

	if (largest == run || largest == other)
		RCU_INIT_POINTER(f->largest, NULL);
	xa_store_range(&f->blocks, first, last, NULL, 0);
	kfree_rcu(run, rcu);
	if (other)
		kfree_rcu(other, rcu);
}

/*
 * Store an extent, merged with consecutive neighbours: one large range takes few nodes. 0; or
 * -ENOMEM, and then the map may have lost the neighbours.
 */
static int blocks_store(struct drw_file *f, const struct blocks_extent *ext)
{
	u64 first = ext->block, last = first + ext->nr - 1, ahead = ext->at - first;
	struct drw_run *left, *right, *run;
	const struct drw_run *largest;

	lockdep_assert_held(&f->lookup_lock);
	left = first ? blocks_neighbour(f, first - 1, ahead) : NULL;
	right = blocks_neighbour(f, last + 1, ahead);
	run = left ?: right ?: kmalloc(sizeof(*run), GFP_KERNEL_ACCOUNT);
	if (!run)
		return -ENOMEM;
	if (!left && !right)
		*run = (struct drw_run) { .first = first, .last = last, .ahead = ahead };
	first = min(first, run->first);
	last = right ? right->last : last;
	if (xa_store_range(&f->blocks, first, last, run, GFP_KERNEL)) {
		blocks_drop(f, first, last, run, left ? right : NULL);
		WRITE_ONCE(f->extents, f->extents - !!left - !!right);
		return -ENOMEM;
	}
	/* Like the store, a release: readers of the new range see drw_file.looked_up. */
	smp_store_release(&run->first, first);
	smp_store_release(&run->last, last);
	largest = blocks_largest(f);
	if (!largest || largest == right || largest->last - largest->first < last - first)
		rcu_assign_pointer(f->largest, run);
	if (left && right)
		kfree_rcu(right, rcu);
	WRITE_ONCE(f->extents, f->extents + 1 - !!left - !!right);
	return 0;
}

/*
 * Store the extents, once their data is on the disk. A writer that allocates a block holds the
 * inode lock, exclusive, or the invalidate lock, shared, until the page is dirty. Taking both
 * waits for all that began before the look-up. 0; -EAGAIN if the epoch has ended; -EINTR, -ENOMEM,
 * -ENOSPC, -EIO.
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
	 * If the epoch ends right after this check, a wrong block may enter the map. But the next
	 * epoch begins with a valid map, or with one that blocks_begin() empties after this.
	 */
	if (!l->locked && atomic_read_acquire(&l->f->ended) != l->ended)
		return -EAGAIN;
	/* Before readers can find them; storing a range is a release. */
	WRITE_ONCE(l->f->looked_up, l->f->looked_up + 1);
	for (i = 0; i < l->nr; i++) {
		ret = blocks_store(l->f, &l->ext[i]);
		if (ret)
			return ret;
	}
	l->nr = 0;
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

/* Look up blocks that the map lacks. *@end: the first unwritten one, at most @last + 1. */
static int blocks_walk_range(struct blocks_lookup *l, u64 block, u64 last, u64 *end)
{
	struct drw_file *f = l->f;
	u64 stop = block;
	int ret;

	for (;; block++) {
		sector_t at;

		if (block == stop) {
			block = blocks_unknown(f, block, last);
			stop = blocks_known(f, block, last);
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

/* Look up a range and its surroundings. *@end: as in blocks_walk_range(), for the range. */
static int blocks_walk(struct blocks_lookup *l, u64 block, u64 last, u64 *end)
{
	struct inode *inode = l->f->inode;
	u64 around = max_t(u64, DRW_LOOKUP_BYTES >> inode->i_blkbits, 1), unused;
	u64 size = DIV_ROUND_UP_ULL(i_size_read(inode), i_blocksize(inode));
	u64 first = round_down(block, around), after = min(round_up(last + 1, around), size);
	int ret;

	ret = blocks_walk_range(l, block, last, end);
	/* While a file has dirty pages, each ->bmap() writes all of them (ext4). */
	if (ret || *end <= last || mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY))
		return ret;
	/* These are extra, but -ENOMEM may have removed blocks of the range (blocks_store()). */
	if (first < block)
		ret = blocks_walk_range(l, first, block - 1, &unused);
	if (!ret && last + 1 < after)
		ret = blocks_walk_range(l, last + 1, after - 1, &unused);
	return ret == -ENOMEM && blocks_unknown(l->f, block, last) <= last ? ret : 0;
}

/*
 * Begin a look-up: empty an invalid map, unless an epoch keeps it valid, and give the timer a hold
 * for the look-up, unless the caller has the inode lock. The inode lock keeps blocks in place
 * between the two steps. 0, -EINTR, -EMEDIUMTYPE.
 */
static int blocks_begin(struct blocks_lookup *l)
{
	struct drw_file *f = l->f;
	struct inode *inode = f->inode;
	int ret = 0;

	if (!l->locked && down_read_killable(&inode->i_rwsem))
		return -EINTR;
	/* chattr +j or fs-verity may have changed the file since BIND. */
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
		/* A tick may have released it at once. */
	} while (!test_bit(DRW_FILE_LINGERS, &f->state));
unlock:
	if (!l->locked)
		inode_unlock_shared(inode);
	return ret;
}

/**
 * drw_blocks_look_up() - look up the blocks of a range
 * @f: file
 * @pos: where the range begins
 * @len: its length, not zero; cut to the written blocks at its beginning, or to fewer
 * @locked: the caller has lookup_lock and the inode lock (XFS only); else it has neither
 *
 * Sleeps. Unless @locked, the blocks may change, and leave the map, at once.
 *
 * Return: 0; -EAGAIN if others were in the way; -ENXIO if the first block is not written; -EINTR,
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
	/* ->bmap() does this as well, but reports no error. */
	ret = READ_ONCE(mapping->nrpages) ? filemap_write_and_wait(mapping) : 0;
	if (ret)
		return drw_writing_error(ret);
	if (!locked && mutex_lock_killable(&f->lookup_lock))
		return -EINTR;
	ret = blocks_begin(&l);
	if (!ret) {
		ret = blocks_walk(&l, pos >> shift, (pos + *len - 1) >> shift, &end);
		/* This map outlives its epoch, so the epoch need not linger. */
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

/* Make the blocks in the map durable, like fdatasync(2). Sleeps. 0 or a negative errno. */
int drw_blocks_commit(struct drw_file *f, struct file *file)
{
	u32 looked_up = READ_ONCE(f->looked_up);
	int ret;

	ret = vfs_fsync(file, 1);
	if (ret)
		return drw_writing_error(ret);
	/* Another task may have committed more meanwhile. */
	if ((s32)(looked_up - READ_ONCE(f->committed)) > 0)
		WRITE_ONCE(f->committed, looked_up);
	return 0;
}

/* Memory of the map in bytes, roughly: a leaf for each place where two long runs meet. */
u64 drw_blocks_metadata(struct drw_file *f)
{
	return READ_ONCE(f->extents) * (sizeof(struct drw_run) + sizeof(struct xa_node));
}

/* Has a file space, but no block at any of a few places? Then transfers will find none. */
bool drw_blocks_none(struct file *file)
{
	struct inode *inode = file_inode(file);
	u64 blocks = i_size_read(inode) >> inode->i_blkbits;
	struct kstat stat;
	unsigned int i;

	if (!blocks || vfs_getattr_nosec(&file->f_path, &stat, STATX_BLOCKS, 0) || !stat.blocks)
		return false;
	/* Of a file that has dirty pages, ->bmap() writes all of them (XFS). */
	if (mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY))
		return false;
	for (i = 0; i < DRW_LOOKUP_SAMPLES; i++) {
		sector_t at = div_u64(blocks * i, DRW_LOOKUP_SAMPLES);

		if (!bmap(inode, &at) && at)
			return false;
	}
	return true;
}
