// SPDX-License-Identifier: GPL-2.0-only
/*
 * blocks.c - are the blocks of a regular file where the table says, and written?
 *
 * See inode.h for why this has to be asked at all. The answers are remembered for the
 * i_version that they were right for.
 */
#include <linux/iversion.h>
#include <linux/pagemap.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "storage/inode.h"

/* Byte offset in the block device of the block at @pos; 0: a hole, or never written. */
u64 drw_block_at(struct inode *inode, u64 pos)
{
	sector_t block = pos >> inode->i_blkbits;

	if (bmap(inode, &block))
		return 0;
	return (u64)block << inode->i_blkbits;
}

/* Has the block at @pos been written? 1 or 0, or -EMEDIUMTYPE if it is not where it was. */
static int block_written(struct drw_inode *di, u64 pos)
{
	u64 at, known, unused;

	pos = round_down(pos, PAGE_SIZE);
	if (pos >= di->x.bytes)
		return 0;
	known = drw_inode_locate(di, pos, &unused);
	/* Written since it was bound, by what was in the page cache then. */
	if (known >= DRW_HOLE_AT)
		return 0;
	at = drw_block_at(di->inode, pos);
	if (!at)
		return 0;
	return at == known ? 1 : -EMEDIUMTYPE;
}

/* Look up the blocks of one bit; 1: all are written. */
static int look_up(struct drw_inode *di, u64 bit)
{
	u64 pos = bit << DRW_WRITTEN_SHIFT;
	u64 end = min(pos + (1ULL << DRW_WRITTEN_SHIFT), di->bytes);

	for (; pos < end; pos += PAGE_SIZE) {
		int ret = block_written(di, pos);

		if (ret <= 0)
			return ret;
		cond_resched();
	}
	set_bit(bit, di->written);
	return 1;
}

/*
 * The inode has changed: whatever was known of its blocks may be wrong. 0 or -EINTR.
 *
 * i_version changes before blocks do: fallocate() on ext4 counts it up first, and not again.
 * With the inode locked nobody is between the two, so what is looked up from now on belongs to
 * the version that is noted here, or to a later one.
 */
static int forget(struct drw_inode *di)
{
	lockdep_assert_held(&di->check_lock);

	if (down_read_killable(&di->inode->i_rwsem))
		return -EINTR;
	WRITE_ONCE(di->version, DRW_NO_VERSION);
	/* Pairs with the read barrier in drw_blocks_known(). */
	smp_wmb();
	memset(di->written, 0, drw_written_bytes(di->bytes));
	smp_store_release(&di->version, inode_query_iversion(di->inode));
	inode_unlock_shared(di->inode);
	return 0;
}

/* What does not depend on the range. */
static int check_inode(const struct drw_inode *di)
{
	/* chattr +j, or fs-verity, may come over a file that is pinned. */
	if (READ_ONCE(di->inode->i_mapping->a_ops) != di->a_ops || IS_VERITY(di->inode) ||
	    IS_ENCRYPTED(di->inode) || i_size_read(di->inode) < di->bytes)
		return -EMEDIUMTYPE;
	return 0;
}

static int check_locked(struct drw_inode *di, u64 pos, u64 *len, u64 *version)
{
	u64 at = pos, end = pos + *len;
	int ret;

	ret = check_inode(di);
	if (ret)
		return ret;
	if (!inode_eq_iversion(di->inode, di->version)) {
		ret = forget(di);
		if (ret)
			return ret;
	}
	*version = di->version;

	while (at < end) {
		u64 bit = at >> DRW_WRITTEN_SHIFT;
		u64 bit_end = min((bit + 1) << DRW_WRITTEN_SHIFT, end);

		if (test_bit(bit, di->written)) {
			at = bit_end;
			continue;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = look_up(di, bit);
		if (ret < 0)
			return ret;
		if (ret) {
			at = bit_end;
			continue;
		}
		/* Not all of them: how far, block by block, as far as the transfer goes? */
		while (at < bit_end) {
			ret = block_written(di, at);
			if (ret < 0)
				return ret;
			if (!ret)
				goto stop;
			at = round_down(at, PAGE_SIZE) + PAGE_SIZE;
		}
	}
	return 0;
stop:
	if (at == pos)
		return -ENXIO;
	*len = min(at, end) - pos;
	return 0;
}

/**
 * drw_blocks_check() - how much of a range has been written
 * @di: regular file
 * @pos: where the range begins, within the file
 * @len: its length, not zero; set to what has been written, from the beginning on
 * @version: set to what drw_blocks_hold() wants
 * @nowait: do not sleep
 *
 * Return: 0; -EAGAIN only if @nowait; -ENXIO if nothing has been; -EMEDIUMTYPE if the file
 * is no longer what was bound; -EINTR.
 */
int drw_blocks_check(struct drw_inode *di, u64 pos, u64 *len, u64 *version, bool nowait)
{
	int ret;

	if (likely(drw_blocks_known(di, pos, *len, version)) &&
	    inode_eq_iversion(di->inode, *version))
		return 0;
	if (nowait)
		return -EAGAIN;
	if (mutex_lock_killable(&di->check_lock))
		return -EINTR;
	ret = check_locked(di, pos, len, version);
	mutex_unlock(&di->check_lock);
	return ret;
}

/* Be one more of those who hold the blocks, if there are any and nobody waits for them to go. */
static bool join(struct drw_inode *di, u64 version)
{
	struct inode *inode = di->inode;

	if (!atomic_inc_not_zero(&di->holders))
		return false;
	/* A look at the lock is enough: see inode.h. */
	if (likely(!inode_is_locked(inode) && inode_eq_iversion(inode, version) &&
		   !check_inode(di)))
		return true;
	drw_blocks_release(di);
	return false;
}

/**
 * drw_blocks_hold() - keep blocks that have been checked as they are
 * @di: regular file
 * @version: from drw_blocks_check()
 * @lock: leave the inode locked, shared; not with @nowait
 * @nowait: do not sleep
 *
 * Until drw_blocks_release() nobody changes or frees them.
 *
 * Return: 0; -ESTALE if they have to be checked again; -EMEDIUMTYPE if the file is no longer
 * what was bound; -EAGAIN only if @nowait; -EINTR.
 */
int drw_blocks_hold(struct drw_inode *di, u64 version, bool lock, bool nowait)
{
	struct inode *inode = di->inode;
	int ret;

	if (!lock && join(di, version))
		return 0;
	if (nowait) {
		if (!inode_trylock_shared(inode))
			return -EAGAIN;
	} else if (down_read_killable(&inode->i_rwsem)) {
		return -EINTR;
	}
	ret = inode_eq_iversion(inode, version) ? check_inode(di) : -ESTALE;
	if (likely(!ret)) {
		/* First, so that whoever joins from now on is counted by it. */
		inode_dio_begin(inode);
		if (atomic_inc_return(&di->holders) > 1)
			inode_dio_end(inode);
	}
	if (ret || !lock)
		inode_unlock_shared(inode);
	return ret;
}
