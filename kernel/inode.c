// SPDX-License-Identifier: GPL-2.0-only
/*
 * inode.c - what all bindings of one file share: see inode.h.
 *
 * The blocks of a regular file come from its file system by the interface that swapon(2)
 * uses (mm/swapfile.c: claim_swapfile(), setup_swap_extents()), with a swap_info_struct of
 * our own. It refuses holes and shared blocks, and with S_SWAPFILE set the kernel keeps
 * everybody from moving the blocks. Three things it does not give:
 *
 *  - whether a block has been written. ->bmap() gives 0 for one that has not, so each
 *    range is asked for once, before its first transfer (drw_inode_check_written()).
 *  - the last page, if the file ends within it; ->bmap() gives its block, too.
 *  - whether the file's data is where its blocks are: in the journal or in the inode it is
 *    not. Such files cannot be opened for direct I/O, which statx() tells (STATX_DIOALIGN).
 */
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/swap.h>

#include "../include/uapi/dmabuf_rw.h"
#include "compat.h"
#include "inode.h"

static DEFINE_MUTEX(drw_inodes_lock);
static LIST_HEAD(drw_inodes);

static bool is_xfs(const struct inode *inode)
{
	return !strcmp(inode->i_sb->s_type->name, "xfs");
}

static int refuse(u32 *reason, u32 why, int error)
{
	*reason = why;
	return error;
}

/**
 * drw_inode_bdev() - the block device that a regular file's blocks are on
 * @file: a regular file
 *
 * Only file systems where the guarantees of the pin are known to hold. Others with
 * ->swap_activate() want ->swap_deactivate() as well, spread files over devices (Btrfs), or
 * are remote.
 *
 * Return: it, or NULL if the file system is another one.
 */
struct block_device *drw_inode_bdev(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (strcmp(inode->i_sb->s_type->name, "ext4") && !is_xfs(inode))
		return NULL;
	return file->f_mapping->host == inode ? inode->i_sb->s_bdev : NULL;
}

/* What can be refused by looking at the inode, without a change to it. */
static int check_regular(struct file *file, bool sparse, u32 *reason)
{
	struct inode *inode = file_inode(file);
	struct kstat stat;
	int ret;

	if (!(file->f_mode & FMODE_WRITE) &&
	    !inode_owner_or_capable(file_mnt_idmap(file), inode))
		return refuse(reason, DMABUF_RW_REASON_PIN_ACCESS, -EACCES);
	if (IS_DAX(inode))
		return refuse(reason, DMABUF_RW_REASON_DAX, -EOPNOTSUPP);
	if (IS_ENCRYPTED(inode))
		return refuse(reason, DMABUF_RW_REASON_ENCRYPTED, -EOPNOTSUPP);
	if (IS_VERITY(inode))
		return refuse(reason, DMABUF_RW_REASON_VERITY, -EOPNOTSUPP);
	/* Blocks below a page's size lose their logical order in swap extents. */
	if (inode->i_blkbits != PAGE_SHIFT)
		return refuse(reason, DMABUF_RW_REASON_BLOCK_SIZE, -EOPNOTSUPP);

	ret = vfs_getattr_nosec(&file->f_path, &stat, STATX_BASIC_STATS | STATX_DIOALIGN, 0);
	if (ret)
		return refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	if (!inode->i_mapping->a_ops->swap_activate || !inode->i_mapping->a_ops->bmap)
		return refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	if (stat.attributes & STATX_ATTR_COMPRESSED)
		return refuse(reason, DMABUF_RW_REASON_COMPRESSED, -EOPNOTSUPP);
	if (!(stat.result_mask & STATX_DIOALIGN) || !stat.dio_mem_align)
		return refuse(reason, DMABUF_RW_REASON_NO_DIRECT, -EOPNOTSUPP);
	/* Others are found, less politely, by ->swap_activate(). */
	if (!sparse && stat.blocks << SECTOR_SHIFT < stat.size)
		return refuse(reason, DMABUF_RW_REASON_HOLE, -EOPNOTSUPP);
	return 0;
}

static void free_swap_extents(struct swap_info_struct *sis)
{
	while (!RB_EMPTY_ROOT(&sis->swap_extent_root)) {
		struct rb_node *rb = sis->swap_extent_root.rb_node;

		rb_erase(rb, &sis->swap_extent_root);
		kfree(rb_entry(rb, struct swap_extent, rb_node));
	}
}

/* Feed the file system's extents into @b; they must leave nothing out. */
static int walk_swap_extents(struct swap_info_struct *sis, struct drw_extents_builder *b)
{
	struct rb_node *rb;
	int ret;

	for (rb = rb_first(&sis->swap_extent_root); rb; rb = rb_next(rb)) {
		struct swap_extent *se = rb_entry(rb, struct swap_extent, rb_node);

		if ((u64)se->start_page << PAGE_SHIFT != b->bytes)
			return -EINVAL;
		ret = drw_extents_add(b, (u64)se->start_block << PAGE_SHIFT,
				      (u64)se->nr_pages << PAGE_SHIFT);
		if (ret)
			return ret;
	}
	return 0;
}

/* Byte offset in the block device of the block at @pos; 0: a hole, or never written. */
static u64 block_at(struct inode *inode, u64 pos)
{
	sector_t block = pos >> inode->i_blkbits;

	if (bmap(inode, &block))
		return 0;
	return (u64)block << inode->i_blkbits;
}

/* The same by looking at each block; those that were never written count as holes. */
static int walk_blocks(struct drw_inode *di, struct drw_extents_builder *b)
{
	u64 pos, at;
	int ret;

	for (pos = 0; pos < round_down(di->bytes, PAGE_SIZE); pos += PAGE_SIZE) {
		at = block_at(di->inode, pos);
		ret = drw_extents_add(b, at ?: DRW_HOLE_AT + pos, PAGE_SIZE);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* @sis: NULL for a file with holes. */
static int build_extents(struct drw_inode *di, struct swap_info_struct *sis, u64 tail_at)
{
	struct drw_extents_builder b = { };
	/* Without a tail that has been written, the table ends before the file does. */
	u64 bytes = tail_at ? round_up(di->bytes, PAGE_SIZE) : round_down(di->bytes, PAGE_SIZE);
	int ret, pass;

	/* Once to count, once to store. */
	for (pass = 0; pass < 2; pass++) {
		if (pass) {
			b = (struct drw_extents_builder) {
				.ext = kvmalloc_array(b.nr, sizeof(*b.ext), GFP_KERNEL_ACCOUNT),
				.cap = b.nr,
			};
			if (!b.ext)
				return -ENOMEM;
		}
		ret = sis ? walk_swap_extents(sis, &b) : walk_blocks(di, &b);
		/* The whole last block is the file's, so the table may speak of all of it. */
		if (!ret && tail_at)
			ret = drw_extents_add(&b, tail_at, PAGE_SIZE);
		if (!ret && b.bytes != bytes)
			ret = -EINVAL;
		if (ret) {
			kvfree(b.ext);
			return ret;
		}
	}
	di->x = drw_extents_built(&b);
	di->x_bytes = array_size(b.cap, sizeof(*b.ext));
	return 0;
}

/*
 * Set S_SWAPFILE, and have the file system give the blocks, unless they are to be looked up
 * one by one. The inode is locked.
 */
static int pin_locked(struct drw_inode *di, struct file *file, struct swap_info_struct *sis,
		      u32 *reason)
{
	struct inode *inode = di->inode;
	sector_t span;
	int ret;

	if (IS_SWAPFILE(inode))
		return refuse(reason, DMABUF_RW_REASON_SWAP_FILE, -ETXTBSY);
	di->bytes = i_size_read(inode);
	if (!di->bytes)
		return refuse(reason, DMABUF_RW_REASON_EMPTY, -EOPNOTSUPP);
	/* Direct writes in flight may still allocate or convert blocks. */
	inode_dio_wait(inode);

	if (di->sparse) {
		/* As ->swap_activate() does: no block is new in memory only. */
		ret = vfs_fsync(file, 1);
		if (ret)
			return refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	} else if (di->bytes >= PAGE_SIZE) {
		/* Less than a page has no swap extent, which would be complained about. */

		/* The file system stops at max, silently; build_extents() would notice. */
		sis->max = UINT_MAX;
		sis->bdev = inode->i_sb->s_bdev;
		sis->swap_file = file;
		ret = inode->i_mapping->a_ops->swap_activate(sis, file, &span);
		if (ret == -EINTR || ret == -ERESTARTSYS || ret == -ENOMEM)
			return ret == -ENOMEM ? ret : -EINTR;
		if (sis->bdev != inode->i_sb->s_bdev)
			return refuse(reason, DMABUF_RW_REASON_REALTIME, -EOPNOTSUPP);
		if (ret < 0)
			return refuse(reason, is_xfs(inode) ? DMABUF_RW_REASON_SHARED :
				      DMABUF_RW_REASON_HOLE, -EOPNOTSUPP);
	}
	inode->i_flags |= S_SWAPFILE;
	return 0;
}

static void clear_pin(struct inode *inode)
{
	inode_lock(inode);
	inode->i_flags &= ~S_SWAPFILE;
	inode_unlock(inode);
}

static int pin(struct drw_inode *di, struct file *file, bool sparse, u32 *reason)
{
	struct inode *inode = di->inode;
	struct swap_info_struct *sis;
	u64 tail_at = 0;
	int ret;

	ret = check_regular(file, sparse, reason);
	if (ret)
		return ret;
	di->sparse = sparse;
	sis = kvzalloc(sizeof(*sis), GFP_KERNEL);
	if (!sis)
		return -ENOMEM;
	sis->swap_extent_root = RB_ROOT;

	if (inode_lock_killable(inode)) {
		ret = -EINTR;
		goto out;
	}
	ret = pin_locked(di, file, sis, reason);
	inode_unlock(inode);
	if (ret)
		goto out;

	/* ->bmap() locks the inode itself. */
	if (di->bytes & ~PAGE_MASK)
		tail_at = block_at(inode, di->bytes);
	di->bdev = inode->i_sb->s_bdev;
	ret = build_extents(di, di->sparse ? NULL : sis, tail_at);
	if (ret) {
		if (ret != -ENOMEM && ret != -EINTR)
			ret = refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
		goto unpin;
	}
	ret = -ENOMEM;
	di->written = kvcalloc(BITS_TO_LONGS((di->bytes >> DRW_WRITTEN_SHIFT) + 1),
			       sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!di->written)
		goto free;
	di->a_ops = inode->i_mapping->a_ops;
	di->modified = false;
	ret = 0;
	goto out;

free:
	kvfree(di->x.ext);
	di->x = (struct drw_extents) { };
unpin:
	di->bdev = NULL;
	clear_pin(inode);
out:
	free_swap_extents(sis);
	kvfree(sis);
	return ret;
}

static void unpin(struct drw_inode *di, struct file *file)
{
	struct super_block *sb = di->inode->i_sb;

	if (!drw_inode_regular(di))
		return;
	clear_pin(di->inode);
	/* Not on a frozen file system: nobody wants close() to wait for the thaw. */
	if (di->modified && (file->f_mode & FMODE_WRITE) && sb_start_write_trylock(sb)) {
		file_update_time(file);
		sb_end_write(sb);
	}
	kvfree(di->x.ext);
	di->x = (struct drw_extents) { };
	kvfree(di->written);
	di->written = NULL;
	di->bdev = NULL;
}

static struct drw_inode *find_or_create(struct inode *inode)
{
	struct drw_inode *di, *new;

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return NULL;
	if (percpu_init_rwsem(&new->writers)) {
		kfree(new);
		return NULL;
	}
	new->inode = inode;
	mutex_init(&new->pin_lock);

	mutex_lock(&drw_inodes_lock);
	list_for_each_entry(di, &drw_inodes, node)
		if (di->inode == inode)
			goto found;
	di = new;
	new = NULL;
	list_add(&di->node, &drw_inodes);
found:
	di->ref++;
	mutex_unlock(&drw_inodes_lock);
	if (new) {
		percpu_free_rwsem(&new->writers);
		kfree(new);
	}
	return di;
}

static void drop(struct drw_inode *di)
{
	mutex_lock(&drw_inodes_lock);
	if (--di->ref) {
		mutex_unlock(&drw_inodes_lock);
		return;
	}
	list_del(&di->node);
	mutex_unlock(&drw_inodes_lock);
	percpu_free_rwsem(&di->writers);
	mutex_destroy(&di->pin_lock);
	kfree(di);
}

/**
 * drw_inode_get() - the shared part of a file, pinned if it is a regular one
 * @file: block device or regular file; the caller keeps it until drw_inode_put()
 * @sparse: a regular file may have holes
 * @reason: enum dmabuf_rw_reason, set on failure
 *
 * Return: it, or an ERR_PTR: -ENOTBLK, -EACCES, -EOPNOTSUPP, -ETXTBSY, -EINTR, -ENOMEM.
 */
struct drw_inode *drw_inode_get(struct file *file, bool sparse, u32 *reason)
{
	struct drw_inode *di = find_or_create(file->f_mapping->host);
	int ret = 0;

	if (!di)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&di->pin_lock);
	if (S_ISREG(di->inode->i_mode)) {
		/* What one caller may do is not what the next one may. */
		if (di->pins)
			ret = check_regular(file, sparse, reason);
		else
			ret = pin(di, file, sparse, reason);
	}
	if (!ret)
		di->pins++;
	mutex_unlock(&di->pin_lock);
	if (!ret)
		return di;
	drop(di);
	return ERR_PTR(ret);
}

/* Give it back; the last one unpins. May sleep. */
void drw_inode_put(struct drw_inode *di, struct file *file)
{
	mutex_lock(&di->pin_lock);
	if (!--di->pins)
		unpin(di, file);
	mutex_unlock(&di->pin_lock);
	drop(di);
}

/**
 * drw_inode_recheck() - is the file's data still where its blocks are?
 * @di: file
 *
 * chattr +j, or fs-verity, may come over a file that is pinned.
 *
 * Return: 0 or -EMEDIUMTYPE.
 */
int drw_inode_recheck(const struct drw_inode *di)
{
	if (!drw_inode_regular(di))
		return 0;
	if (unlikely(READ_ONCE(di->inode->i_mapping->a_ops) != di->a_ops ||
		     IS_VERITY(di->inode) || IS_ENCRYPTED(di->inode)))
		return -EMEDIUMTYPE;
	return 0;
}

/* Has the block at @pos been written? 1 or 0, or -EIO if it is not where it was. */
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
	at = block_at(di->inode, pos);
	if (!at)
		return 0;
	return WARN_ON_ONCE(at != known) ? -EIO : 1;
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

/**
 * drw_inode_check_written() - how much of a range has been written
 * @di: regular file
 * @pos: where the range begins, within the file
 * @len: its length, not zero; set to what has been written, from the beginning on
 * @nowait: do not sleep
 *
 * Blocks that have been written stay so while the file is pinned.
 *
 * Return: 0; -EAGAIN only if @nowait; -ENXIO if nothing has been; -EIO if the file system
 * contradicts itself.
 */
int drw_inode_check_written(struct drw_inode *di, u64 pos, u64 *len, bool nowait)
{
	u64 at = pos, end = pos + *len;

	while (at < end) {
		u64 bit = at >> DRW_WRITTEN_SHIFT;
		u64 bit_end = min((bit + 1) << DRW_WRITTEN_SHIFT, end);
		int ret;

		if (likely(test_bit(bit, di->written))) {
			at = bit_end;
			continue;
		}
		if (nowait)
			return -EAGAIN;
		if (signal_pending(current) && at == pos)
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
 * drw_inode_start_write() - before the first command of a write
 * @di: file
 * @file: as what it was opened
 * @exclusive: the write covers parts of LBAs; not with @nowait
 * @nowait: do not sleep
 *
 * A frozen file system is waited for, and the file's times and privileges are changed as
 * with any write. What is taken is given back by drw_inode_end_write(), by anybody.
 *
 * Return: 0; -EAGAIN only if @nowait; an errno of changing the inode.
 */
int drw_inode_start_write(struct drw_inode *di, struct file *file, bool exclusive,
			  bool nowait)
{
	struct super_block *sb = di->inode->i_sb;
	int ret;

	if (drw_inode_regular(di)) {
		if (!nowait)
			sb_start_write(sb);
		else if (!READ_ONCE(di->modified) || !sb_start_write_trylock(sb))
			return -EAGAIN;
		if (!READ_ONCE(di->modified)) {
			inode_lock(di->inode);
			ret = file_modified(file);
			inode_unlock(di->inode);
			if (ret) {
				sb_end_write(sb);
				return ret == -EINTR || ret == -ENOMEM || ret == -ENOSPC ?
				       ret : -EIO;
			}
			WRITE_ONCE(di->modified, true);
		}
	}

	if (exclusive) {
		percpu_down_write(&di->writers);
		/* Lockdep: whoever ends the write has it from here on. */
		percpu_rwsem_release(&di->writers, _THIS_IP_);
	} else {
		if (!nowait) {
			percpu_down_read(&di->writers);
		} else if (!percpu_down_read_trylock(&di->writers)) {
			if (drw_inode_regular(di))
				sb_end_write(sb);
			return -EAGAIN;
		}
		percpu_rwsem_release(&di->writers, _THIS_IP_);
	}
	if (drw_inode_regular(di))
		__sb_writers_release(sb, SB_FREEZE_WRITE);
	return 0;
}

/* The last command of a write has ended; any context for shared ones. */
void drw_inode_end_write(struct drw_inode *di, bool exclusive)
{
	if (exclusive) {
		percpu_rwsem_acquire(&di->writers, 0, _THIS_IP_);
		percpu_up_write(&di->writers);
	} else {
		percpu_rwsem_acquire(&di->writers, 1, _THIS_IP_);
		percpu_up_read(&di->writers);
	}
	if (drw_inode_regular(di)) {
		__sb_writers_acquired(di->inode->i_sb, SB_FREEZE_WRITE);
		sb_end_write(di->inode->i_sb);
	}
}

/* Memory that the file takes, in bytes. */
size_t drw_inode_metadata(const struct drw_inode *di)
{
	size_t bytes = sizeof(*di) + num_possible_cpus() * sizeof(unsigned int);

	if (drw_inode_regular(di))
		bytes += di->x_bytes + BITS_TO_LONGS((di->bytes >> DRW_WRITTEN_SHIFT) + 1) *
				       sizeof(long);
	return bytes;
}
