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
 *    range is asked for once, before its first transfer (blocks.c).
 *  - the last page, if the file ends within it; ->bmap() gives its block, too.
 *  - whether the file's data is where its blocks are: in the journal or in the inode it is
 *    not. Such files cannot be opened for direct I/O, which statx() tells (STATX_DIOALIGN).
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hash.h>
#include <linux/iversion.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/swap.h>
#include <linux/uio.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "storage/inode.h"

/* ext4's own limit; the bits for it take 16 MiB. */
#define DRW_MAX_FILE_BYTES	(16ULL << 40)

#define DRW_MAX_FAILURES	10
#define DRW_FAILURE_TIME	(10 * HZ)

/* Of the users of one hash value: one user's failures are not to be another's trouble. */
static struct failures {
	atomic_t nr;
	unsigned long at;
} failures[64];

static DEFINE_MUTEX(drw_inodes_lock);
static LIST_HEAD(drw_inodes);

static bool is_xfs(const struct inode *inode)
{
	return !strcmp(inode->i_sb->s_type->name, "xfs");
}

static int refuse(u32 *reason, u32 refusal, int error)
{
	*reason = refusal;
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

	/* Without swap nobody looks at S_SWAPFILE, and nothing would keep the blocks. */
	if (!IS_ENABLED(CONFIG_SWAP))
		return NULL;
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

	/* Who may only append may not keep others from appending. */
	if ((!(file->f_mode & FMODE_WRITE) || IS_APPEND(inode)) &&
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
	if (!IS_I_VERSION(inode))
		return refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	/* Other holes are found, less politely, by ->swap_activate(). */
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
		cond_resched();
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
		cond_resched();
	}
	return 0;
}

/* The same by looking at each block; those that were never written count as holes. */
static int walk_blocks(struct drw_inode *di, struct drw_extents_builder *b)
{
	u64 pos, at;
	int ret;

	for (pos = 0; pos < round_down(di->bytes, PAGE_SIZE); pos += PAGE_SIZE) {
		at = drw_block_at(di->inode, pos);
		ret = drw_extents_add(b, at ?: DRW_HOLE_AT + pos, PAGE_SIZE);
		if (ret)
			return ret;
		/* A long file takes long, and whoever waits may want no more. */
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static bool has_holes(const struct drw_inode *di)
{
	u32 i;

	for (i = 0; i < di->x.nr; i++)
		if (di->x.ext[i].addr >= DRW_HOLE_AT)
			return true;
	return false;
}

/* @sis: NULL to look at the blocks. */
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
				.ext = drw_extents_alloc(b.nr),
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

static struct failures *my_failures(void)
{
	return &failures[hash_32(__kuid_val(current_euid()), ilog2(ARRAY_SIZE(failures)))];
}

/*
 * ->swap_activate() writes the name of each file that it refuses to the kernel log. Anybody who
 * may bind could fill the log, so after a few failures in a row a user's files are looked at
 * block by block for a while, where blocks that were never written look like holes.
 */
static bool too_many_failures(void)
{
	struct failures *f = my_failures();

	/* Who administers the machine may have what is written to its log. */
	if (ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN))
		return false;
	return atomic_read(&f->nr) >= DRW_MAX_FAILURES &&
	       time_before(jiffies, READ_ONCE(f->at) + DRW_FAILURE_TIME);
}

static void count_failure(void)
{
	struct failures *f = my_failures();

	if (time_after(jiffies, READ_ONCE(f->at) + DRW_FAILURE_TIME))
		atomic_set(&f->nr, 0);
	atomic_inc(&f->nr);
	WRITE_ONCE(f->at, jiffies);
}

/*
 * Set S_SWAPFILE, and have the file system give the blocks, unless they are to be looked up
 * one by one (@walk). The inode is locked.
 */
static int pin_locked(struct drw_inode *di, struct file *file, struct swap_info_struct *sis,
		      bool *walk, u32 *reason)
{
	struct inode *inode = di->inode;
	sector_t span;
	int ret;

	if (IS_SWAPFILE(inode))
		return refuse(reason, DMABUF_RW_REASON_SWAP_FILE, -ETXTBSY);
	di->bytes = i_size_read(inode);
	if (!di->bytes)
		return refuse(reason, DMABUF_RW_REASON_EMPTY, -EOPNOTSUPP);
	/* A bit for each range has to fit in an allocation. */
	if (di->bytes > DRW_MAX_FILE_BYTES)
		return refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	/* Direct writes in flight may still allocate or convert blocks. */
	inode_dio_wait(inode);

	/* Less than a page has no swap extent, which would be complained about. */
	if (di->sparse || di->bytes < PAGE_SIZE || too_many_failures()) {
		*walk = true;
		/* As ->swap_activate() does: no block is new in memory only. */
		ret = vfs_fsync(file, 1);
		if (ret)
			return refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	} else {
		*walk = false;
		/* The file system stops at max, silently; build_extents() would notice. */
		sis->max = UINT_MAX;
		sis->bdev = inode->i_sb->s_bdev;
		sis->swap_file = file;
		ret = inode->i_mapping->a_ops->swap_activate(sis, file, &span);
		if (ret == -EINTR || ret == -ERESTARTSYS || ret == -ENOMEM)
			return ret == -ENOMEM ? ret : -EINTR;
		if (sis->bdev != inode->i_sb->s_bdev)
			return refuse(reason, DMABUF_RW_REASON_REALTIME, -EOPNOTSUPP);
		if (ret < 0) {
			count_failure();
			return refuse(reason, ret != -EINVAL ? DMABUF_RW_REASON_LAYOUT :
				      is_xfs(inode) ? DMABUF_RW_REASON_SHARED :
				      DMABUF_RW_REASON_HOLE, -EOPNOTSUPP);
		}
	}
	/* Repeated under the lock, as the journal mode may change before it. */
	ret = check_regular(file, di->sparse, reason);
	if (ret)
		return ret;
	di->a_ops = inode->i_mapping->a_ops;
	di->version = inode_query_iversion(inode);
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
	bool walk;
	int ret, tries = 3;

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
	ret = pin_locked(di, file, sis, &walk, reason);
	inode_unlock(inode);
	if (ret)
		goto out;

	/* ->bmap() locks the inode itself. */
	if (di->bytes & ~PAGE_MASK)
		tail_at = drw_block_at(inode, di->bytes);
	di->bdev = inode->i_sb->s_bdev;
	/* Looking at blocks one by one, it may find some that are written meanwhile. */
	do {
		ret = build_extents(di, walk ? NULL : sis, tail_at);
	} while (walk && --tries && (ret == -ENOSPC || ret == -EINVAL));
	if (!ret && walk && !di->sparse && has_holes(di)) {
		ret = refuse(reason, DMABUF_RW_REASON_HOLE, -EOPNOTSUPP);
		goto free;
	}
	if (ret) {
		if (ret != -ENOMEM && ret != -EINTR)
			ret = refuse(reason, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
		goto unpin;
	}
	ret = -ENOMEM;
	di->written = kvzalloc(drw_written_bytes(di->bytes), GFP_KERNEL_ACCOUNT);
	if (!di->written)
		goto free;
	di->stamp = 0;
	/* Not now: the first transfer asks. */
	di->read_at = di->write_at = jiffies - 1;
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

static void unpin(struct drw_inode *di)
{
	if (!drw_inode_regular(di))
		return;
	clear_pin(di->inode);
	kvfree(di->x.ext);
	di->x = (struct drw_extents) { };
	kvfree(di->written);
	di->written = NULL;
	di->bdev = NULL;
}

static struct drw_inode *find_or_create(struct inode *inode)
{
	struct drw_inode *di, *new;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	new->inode = inode;
	mutex_init(&new->pin_lock);
	mutex_init(&new->check_lock);
	drw_writers_init(new);

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
	kfree(new);
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
	mutex_destroy(&di->pin_lock);
	mutex_destroy(&di->check_lock);
	mutex_destroy(&di->odd_lock);
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
	if (mutex_lock_killable(&di->pin_lock)) {
		drop(di);
		return ERR_PTR(-EINTR);
	}
	if (S_ISREG(di->inode->i_mode)) {
		/* What one caller may do is not what the next one may. */
		if (!di->pins)
			ret = pin(di, file, sparse, reason);
		else
			/* What it has holes in may have come behind its end since. */
			ret = check_regular(file, true, reason);
		if (!ret && di->sparse && !sparse && has_holes(di)) {
			if (!di->pins)
				unpin(di);
			ret = refuse(reason, DMABUF_RW_REASON_HOLE, -EOPNOTSUPP);
		}
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
	struct super_block *sb = di->inode->i_sb;

	mutex_lock(&di->pin_lock);
	drw_writers_forget(di, file);
	/* Not on a frozen file system: nobody wants close() to wait for the thaw. */
	if (drw_inode_regular(di) && di->stamp && (file->f_mode & FMODE_WRITE) &&
	    sb_start_write_trylock(sb)) {
		file_update_time(file);
		sb_end_write(sb);
	}
	if (!--di->pins)
		unpin(di);
	mutex_unlock(&di->pin_lock);
	drop(di);
}

/**
 * drw_inode_ask() - ask the file system whether it still stands for its files
 * @di: regular file
 * @file: as what it was opened
 * @write: for writing
 *
 * After it has found itself damaged, or has been told to stop, a file system has nothing done
 * any more, but no flag of the superblock says so. Reading or writing nothing does: both file
 * systems look at their state before anything else. O_DIRECT has it return before it takes a
 * lock; the nonblocking buffered write, which neither knows, before it does anything.
 *
 * Return: as drw_inode_alive().
 */
int drw_inode_ask(struct drw_inode *di, struct file *file, bool write)
{
	unsigned long now = jiffies;
	struct iov_iter nothing;
	struct kiocb iocb;
	ssize_t ret;

	init_sync_kiocb(&iocb, file);
	iocb.ki_flags = IOCB_NOWAIT | IOCB_DIRECT;
	iov_iter_kvec(&nothing, ITER_DEST, NULL, 0, 0);
	ret = file->f_op->read_iter(&iocb, &nothing);
	if (ret == -EIO)
		return -EIO;
	if (write) {
		iocb.ki_flags = IOCB_NOWAIT;
		iov_iter_kvec(&nothing, ITER_SOURCE, NULL, 0, 0);
		ret = file->f_op->write_iter(&iocb, &nothing);
		if (ret == -EIO || ret == -EROFS)
			return ret == -EIO ? -EIO : -EPERM;
	}
	WRITE_ONCE(*(write ? &di->write_at : &di->read_at), now);
	return 0;
}

/* Memory that the file takes, in bytes. */
size_t drw_inode_metadata(const struct drw_inode *di)
{
	size_t bytes = sizeof(*di);

	if (drw_inode_regular(di))
		bytes += di->x_bytes + drw_written_bytes(di->bytes);
	return bytes;
}
