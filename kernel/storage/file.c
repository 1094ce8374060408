// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - regular files: which can be bound, and the part that their bindings share. See file.h.
 */
#include <linux/hashtable.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include <uapi/dmabuf_rw.h>
#include "compat.h"
#include "storage/file.h"

static DEFINE_MUTEX(drw_files_lock);
static DEFINE_HASHTABLE(drw_files, 8);

static bool file_is_on(const struct inode *inode, const char *fs)
{
	return !strcmp(inode->i_sb->s_type->name, fs);
}

static bool file_is_realtime(struct file *file)
{
	struct drw_fileattr fa = { };

	return file_is_on(file_inode(file), "xfs") &&
	       !vfs_fileattr_get(file_dentry(file), &fa.attr) &&
	       (fa.attr.fsx_xflags & FS_XFLAG_REALTIME);
}

/**
 * drw_file_check() - can a regular file be bound?
 * @file: a regular file
 * @refusal: set on failure
 *
 * Only files of file systems that follow the rule in file.h. A file whose data is in the inode
 * or in the journal instead of its blocks has no direct I/O, as statx() reports
 * (STATX_DIOALIGN).
 *
 * Return: 0, -ENOTBLK, -EOPNOTSUPP, -ETXTBSY.
 */
int drw_file_check(struct file *file, struct drw_refusal *refusal)
{
	struct inode *inode = file_inode(file);
	struct kstat stat;

	if (file_is_on(inode, "overlay"))
		return drw_refuse(refusal, DMABUF_RW_REASON_OVERLAY, -ENOTBLK);
	if ((!file_is_on(inode, "ext4") && !file_is_on(inode, "xfs")) ||
	    file->f_mapping->host != inode || !inode->i_sb->s_bdev)
		return drw_refuse(refusal, DMABUF_RW_REASON_FILESYSTEM, -ENOTBLK);
	if (IS_SWAPFILE(inode))
		return drw_refuse(refusal, DMABUF_RW_REASON_SWAP_FILE, -ETXTBSY);
	if (IS_DAX(inode))
		return drw_refuse(refusal, DMABUF_RW_REASON_DAX, -EOPNOTSUPP);
	if (IS_ENCRYPTED(inode))
		return drw_refuse(refusal, DMABUF_RW_REASON_ENCRYPTED, -EOPNOTSUPP);
	if (IS_VERITY(inode))
		return drw_refuse(refusal, DMABUF_RW_REASON_VERITY, -EOPNOTSUPP);
	if (drw_file_on_demand(file))
		return drw_refuse(refusal, DMABUF_RW_REASON_ON_DEMAND, -EOPNOTSUPP);
	if (file_is_realtime(file))
		return drw_refuse(refusal, DMABUF_RW_REASON_REALTIME, -EOPNOTSUPP);
	if (!inode->i_mapping->a_ops->bmap || !IS_I_VERSION(inode) ||
	    vfs_getattr_nosec(&file->f_path, &stat, STATX_BASIC_STATS | STATX_DIOALIGN, 0))
		return drw_refuse(refusal, DMABUF_RW_REASON_LAYOUT, -EOPNOTSUPP);
	if (stat.attributes & STATX_ATTR_COMPRESSED)
		return drw_refuse(refusal, DMABUF_RW_REASON_COMPRESSED, -EOPNOTSUPP);
	if (!(stat.result_mask & STATX_DIOALIGN) || !stat.dio_mem_align)
		return drw_refuse(refusal, DMABUF_RW_REASON_NO_DIRECT, -EOPNOTSUPP);
	return 0;
}

static void file_destroy(struct drw_file *f)
{
	drw_hold_exit(f);
	drw_blocks_free(f);
	mutex_destroy(&f->lookup_lock);
	kfree(f);
}

static struct drw_file *file_create(struct inode *inode,
				    const struct address_space_operations *a_ops)
{
	struct drw_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return ERR_PTR(-ENOMEM);
	f->inode = inode;
	f->a_ops = a_ops;
	f->page_bytes = max_t(u32, PAGE_SIZE, i_blocksize(inode));
	f->version = DRW_NO_VERSION;
	/* In the past, so that the first transfer asks. */
	f->read_at = f->write_at = jiffies - 1;
	mutex_init(&f->lookup_lock);
	xa_init_flags(&f->blocks, XA_FLAGS_ACCOUNT);
	drw_hold_init(f);
	f->versioned = file_is_on(inode, "xfs");
	return f;
}

static struct drw_file *file_find(struct inode *inode)
{
	struct drw_file *f;

	lockdep_assert_held(&drw_files_lock);
	hash_for_each_possible(drw_files, f, node, (unsigned long)inode)
		if (f->inode == inode)
			return f;
	return NULL;
}

/**
 * drw_file_get() - get the shared part of a regular file
 * @file: file that drw_file_check() accepted; open until drw_file_put()
 * @a_ops: its address space operations before that check
 *
 * Return: the shared part, or ERR_PTR(-ENOMEM).
 */
struct drw_file *drw_file_get(struct file *file,
			      const struct address_space_operations *a_ops)
{
	struct inode *inode = file_inode(file);
	struct drw_file *f, *new = NULL;

	mutex_lock(&drw_files_lock);
	f = file_find(inode);
	if (!f) {
		mutex_unlock(&drw_files_lock);
		new = file_create(inode, a_ops);
		if (IS_ERR(new))
			return new;
		mutex_lock(&drw_files_lock);
		f = file_find(inode);
		if (!f) {
			f = new;
			new = NULL;
			hash_add(drw_files, &f->node, (unsigned long)inode);
		}
	}
	f->users++;
	mutex_unlock(&drw_files_lock);
	if (new)
		file_destroy(new);
	return f;
}

/* Drop a use; the last one frees it. May sleep. */
void drw_file_put(struct drw_file *f)
{
	bool last;

	mutex_lock(&drw_files_lock);
	last = !--f->users;
	if (last)
		hash_del(&f->node);
	mutex_unlock(&drw_files_lock);
	if (last)
		file_destroy(f);
}

/**
 * drw_file_ask() - ask the file system whether it still allows access to its files
 * @f: file
 * @file: the open file
 * @write: for writing
 *
 * A file system that is damaged or was told to stop refuses I/O, but no flag of the superblock
 * shows that. Reads and writes of no bytes also fail, since they check this first. So this tries
 * a read, or a write for writes to ext4, which may still allow reads. IOCB_DIRECT makes the read
 * return before it takes a lock; ext4 refuses the nonblocking buffered write, which it does not
 * support, before it does anything.
 *
 * Return: as drw_file_alive().
 */
int drw_file_ask(struct drw_file *f, struct file *file, bool write)
{
	unsigned long now = jiffies;
	struct iov_iter nothing;
	struct kiocb iocb;
	ssize_t ret;

	init_sync_kiocb(&iocb, file);
	iov_iter_kvec(&nothing, write ? ITER_SOURCE : ITER_DEST, NULL, 0, 0);
	if (write && !f->versioned) {
		iocb.ki_flags = IOCB_NOWAIT;
		ret = file->f_op->write_iter(&iocb, &nothing);
	} else {
		iocb.ki_flags = IOCB_NOWAIT | IOCB_DIRECT;
		ret = file->f_op->read_iter(&iocb, &nothing);
	}
	if (ret == -EIO || ret == -EROFS)
		return ret == -EIO ? -EIO : -EPERM;
	WRITE_ONCE(*(write ? &f->write_at : &f->read_at), now);
	return 0;
}
