/* SPDX-License-Identifier: GPL-2.0 */
/*
 * file_state.h - what a regular file must hold, and what may be known of its blocks.
 *
 * The bytes of a file are known exactly at any time. Whether a block has been written is
 * not: file systems allocate ahead, and write zeros to unwritten blocks beside those that
 * are written to when that spares them an extent. So each block has a state that is as
 * certain as what was done to the file makes it.
 */
#ifndef FILE_STATE_H
#define FILE_STATE_H

#include "harness.h"

#define FS_BLOCK	4096ULL
#define FILE_MAX_BYTES	(1280 * KiB)
#define FILE_BLOCKS	(FILE_MAX_BYTES / FS_BLOCK)

enum block_state {
	BLOCK_UNKNOWN,		/* a hole, unwritten, or zeros that were written */
	BLOCK_HOLE,		/* certainly not allocated */
	BLOCK_UNWRITTEN,	/* allocated, certainly never written */
	BLOCK_MAYBE,		/* allocated, perhaps written */
	BLOCK_WRITTEN,		/* certainly written, at the latest after fsync */
};

/**
 * struct file_state - a file's model
 * @size:	bytes; @data is zero behind it
 * @data:	FILE_MAX_BYTES
 * @zeroes:	the file system may write zeros to unwritten blocks near a write (ext4)
 * @block:	states; those behind the end are BLOCK_UNKNOWN
 */
struct file_state {
	u64 size;
	u8 *data;
	bool zeroes;
	enum block_state block[FILE_BLOCKS];
};

void file_state_init(struct file_state *f, bool zeroes);

/* Ordinary changes. All offsets and ends within FILE_MAX_BYTES. */
void file_state_write(struct file_state *f, u64 off, const void *mem, u64 len);
/* By page fault: the file system may allocate blocks beside it, too. */
void file_state_store(struct file_state *f, u64 off, const void *mem, u64 len);
void file_state_truncate(struct file_state *f, u64 size);
/* One successful fallocate(2), any mode. */
void file_state_fallocate(struct file_state *f, int mode, u64 off, u64 len);

/*
 * Judge the outcome of a transfer between @len bytes at @pos and a buffer: the test fails
 * if it cannot be right, and learns from it. @result is bytes or -errno.
 */
void file_state_judge(struct file_state *f, bool write, u64 pos, u64 len, s64 result);

#endif
