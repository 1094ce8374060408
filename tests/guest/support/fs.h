/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fs.h - file systems on the test machine's disks, and files of a wanted layout on them.
 *
 * A test makes its file system anew and ends with fs_finish(), which has it checked. What a
 * failed test leaves behind, the next fs_make() cleans up, and the end of the program.
 *
 * Content is by tag and position (data.h), as everywhere: byte @pos of a file with @tag.
 */
#ifndef FS_H
#define FS_H

#include "buf.h"
#include "disk.h"
#include "drw.h"
#include "harness.h"

#define FS_BLOCK_BYTES	4096ULL

/**
 * struct fs - a file system that has been made
 * @kind:	"ext4" or "xfs"
 * @disk:	what it is on
 * @dir:	where it is mounted, or would be
 * @block:	bytes of its blocks
 */
struct fs {
	const char *kind;
	struct disk disk;
	char dir[48];
	u64 block;
};

/* Those that can be bound. */
#define FS_KINDS 2
extern const char *const fs_kinds[FS_KINDS];

/* In a loop over fs_kinds: the test of that name, for number @i of them. */
#define TEST_OF_KIND(i, fn) TEST_OF_KIND_NAMED(i, fn, #fn)
#define TEST_OF_KIND_NAMED(i, fn, name) \
	test_add(fn, fs_kinds[i], "%s.%s", name, fs_kinds[i])

/* Unmount what tests that ended early have left; fs_make() does so by itself. */
void fs_clean_up(void);
/* Call it in the program's add(): what tests leave mounted goes when the program ends. */
void fs_program(void);

/*
 * Make one on @role and mount it. @bytes: its size, 0: all of the disk; a whole disk with
 * partitions gets its first MiB back from fs_finish(). @mkfs, @mount: further options. What
 * the disk holds is left there: nothing is discarded or zeroed but for metadata.
 */
void fs_make(struct fs *fs, const char *kind, const char *role, u64 bytes,
	     const char *mkfs, const char *mount);
/* The same, but the test is skipped where the tools or the kernel refuse the options. */
void fs_make_or_skip(struct fs *fs, const char *kind, const char *role, u64 bytes,
		     const char *mkfs, const char *mount);
/* 0 or -1, with the words of mount(8) as notes. */
int fs_mount(const struct fs *fs, const char *options);
void fs_unmount(const struct fs *fs);
/* As unmounting and mounting again. */
void fs_remount(const struct fs *fs);
/* Unmount it; the test fails unless its own checker finds nothing. */
void fs_check(const struct fs *fs);
/* The same, and what was on the disk before is there again as far as others need it. */
void fs_finish(const struct fs *fs);

static inline bool fs_is_xfs(const struct fs *fs)
{
	return !strcmp(fs->kind, "xfs");
}

/* Path of a file; of a few at a time, for format strings. */
const char *fs_path(const struct fs *fs, const char *name);
/* open(2), with mode 0600; must work. */
int fs_open(const struct fs *fs, const char *name, int flags);

/* Ordinary buffered access; all of it must work. */
void file_put(int fd, u64 off, const void *mem, u64 len);
void file_get(int fd, u64 off, void *mem, u64 len);
void file_fill(int fd, u64 off, u64 len, u64 tag);
void file_check_at(const char *file, int line, int fd, u64 off, u64 len, u64 tag);
#define file_check(fd, off, len, tag) file_check_at(__FILE__, __LINE__, fd, off, len, tag)
u64 file_bytes(int fd);

/* New files, written and on the disk; descriptors with O_RDWR. */
int file_make(const struct fs *fs, const char *name, u64 bytes, u64 tag);
/* Of many extents of @chunk bytes, with @chunk bytes that belong to nobody between them. */
int file_make_fragmented(const struct fs *fs, const char *name, u64 bytes, u64 chunk,
			 u64 tag);
/* Those between them must be as they were then. */
void file_check_gaps_at(const char *file, int line, const struct fs *fs, int fd, u64 chunk,
			u64 tag);
#define file_check_gaps(fs, fd, chunk, tag) \
	file_check_gaps_at(__FILE__, __LINE__, fs, fd, chunk, tag)
/* Blocks that have never been written. */
int file_make_unwritten(const struct fs *fs, const char *name, u64 bytes);

/* One extent of a file as the file system tells it. */
struct file_extent {
	u64 pos, at, len;	/* in the file, on the disk, length */
	bool unwritten;
	bool shared;
};

/* The extent that @pos is in or before; false if there is none. Writes out what is dirty. */
bool file_extent(int fd, u64 pos, struct file_extent *extent);
unsigned int file_extents(int fd);
/* Bytes from @pos on that have been written, as the file system tells; at most @len. */
u64 file_written(int fd, u64 pos, u64 len);

/*
 * Fill all free space with @byte, again and again, and give it back: what is allocated from
 * then on and not written holds nothing else.
 */
void fs_fill_free_space(const struct fs *fs, u8 byte);

/* What is on the disk, past every cache, must be what @mem says. */
void file_check_on_disk_at(const char *file, int line, const struct fs *fs, int fd,
			   const u8 *mem, u64 len);
#define file_check_on_disk(fs, fd, mem, len) \
	file_check_on_disk_at(__FILE__, __LINE__, fs, fd, mem, len)

void drop_caches(void);

#endif
