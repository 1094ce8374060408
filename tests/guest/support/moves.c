// SPDX-License-Identifier: GPL-2.0
/*
 * moves.c - what moves or frees the blocks of a file; see moves.h.
 */
#include <fcntl.h>
#include <linux/ext4.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moves.h"

/* As fs/xfs/libxfs/xfs_fs.h has them, whose package is not needed for anything else. */
struct exchange_range {
	s32 file1_fd;
	u32 pad;
	u64 file1_offset;
	u64 file2_offset;
	u64 length;
	u64 flags;
};
#define XFS_IOC_EXCHANGE_RANGE	_IOW('X', 129, struct exchange_range)

struct xfs_bstime {
	long tv_sec;
	s32 tv_nsec;
};

struct xfs_bulkstat {
	u64 ino;
	u16 mode, nlink;
	u32 uid, gid, rdev;
	s32 blksize;
	s64 size;
	struct xfs_bstime atime, mtime, ctime;
	s64 blocks;
	u32 xflags;
	s32 extsize, extents;
	u32 gen;
	u16 projid_lo, forkoff, projid_hi, sick, checked;
	u8 pad[2];
	u32 cowextsize, dmevmask;
	u16 dmstate, aextents;
};

struct swap_extents {
	s64 version;
	s64 target, temporary;
	s64 offset, length;
	char pad[16];
	struct xfs_bulkstat stat;
};
#define XFS_IOC_SWAPEXT		_IOWR('X', 109, struct swap_extents)

static int result(long long ret)
{
	return ret < 0 ? -errno : 0;
}

static int with_both(const char *from, const char *to, int (*fn)(int src, int dst, u64 arg),
		     u64 arg)
{
	int src = open(from, O_RDWR | O_CLOEXEC), dst = open(to, O_RDWR | O_CLOEXEC), ret;

	CHECK(src >= 0 && dst >= 0, "%s, %s: %s", from, to, strerror(errno));
	ret = fn(src, dst, arg);
	close(src);
	close(dst);
	return ret;
}

int move_clone_fd(int from, int to)
{
	return result(ioctl(to, FICLONE, from));
}

static int clone_all(int src, int dst, u64 arg)
{
	return move_clone_fd(src, dst);
}

int move_clone(const char *from, const char *to)
{
	return with_both(from, to, clone_all, 0);
}

int move_dedupe(const char *from, const char *to, u64 pos, u64 len)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} arg = { .range = { .src_offset = pos, .src_length = len, .dest_count = 1 },
		  .info = { .dest_offset = pos } };
	int src = open(from, O_RDONLY | O_CLOEXEC), ret;

	/* Open for reading is enough for who owns it. */
	arg.info.dest_fd = open(to, O_RDONLY | O_CLOEXEC);
	ret = result(ioctl(src, FIDEDUPERANGE, &arg));
	if (!ret && arg.info.status != FILE_DEDUPE_RANGE_SAME)
		ret = arg.info.status < 0 ? arg.info.status : -EILSEQ;
	close(arg.info.dest_fd);
	close(src);
	return ret;
}

int move_exchange_fd(int from, int to, u64 len)
{
	struct exchange_range range = { .file1_fd = from, .length = len };

	return result(ioctl(to, XFS_IOC_EXCHANGE_RANGE, &range));
}

int move_exchange(const struct fs *fs, const char *from, const char *to, u64 len)
{
	return with_both(from, to, move_exchange_fd, len);
}

int move_extents_fd(int donor, int to, u64 block, u64 blocks)
{
	struct move_extent move = { .donor_fd = donor, .orig_start = block, .donor_start = block,
				    .len = blocks };

	return result(ioctl(to, EXT4_IOC_MOVE_EXT, &move));
}

static int all_extents(int src, int dst, u64 blocks)
{
	return move_extents_fd(src, dst, 0, blocks);
}

int move_extents(const char *donor, const char *to, u64 blocks)
{
	return with_both(donor, to, all_extents, blocks);
}
