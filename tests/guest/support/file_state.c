// SPDX-License-Identifier: GPL-2.0
/*
 * file_state.c - what a regular file must hold; see file_state.h.
 */
#include <linux/falloc.h>

#include "data.h"
#include "file_state.h"

/* Since 6.17. */
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

void file_state_init(struct file_state *f, bool zeroes)
{
	memset(f, 0, sizeof(*f));
	f->zeroes = zeroes;
	f->data = data_alloc(FILE_MAX_BYTES);
}

static u64 blocks(u64 size)
{
	return ROUND_UP(size, FS_BLOCK) / FS_BLOCK;
}

/* Any change of the file may make its file system write zeros elsewhere in it. */
static void blur(struct file_state *f)
{
	for (u64 b = 0; f->zeroes && b < FILE_BLOCKS; b++)
		if (f->block[b] == BLOCK_UNWRITTEN)
			f->block[b] = BLOCK_MAYBE;
}

static void forget_behind_end(struct file_state *f)
{
	for (u64 b = blocks(f->size); b < FILE_BLOCKS; b++)
		f->block[b] = BLOCK_UNKNOWN;
}

void file_state_write(struct file_state *f, u64 off, const void *mem, u64 len)
{
	blur(f);
	memcpy(f->data + off, mem, len);
	f->size = MAX(f->size, off + len);
	for (u64 b = off / FS_BLOCK; b < blocks(off + len); b++)
		f->block[b] = BLOCK_WRITTEN;
}

void file_state_store(struct file_state *f, u64 off, const void *mem, u64 len)
{
	/* A fault allocates, and makes dirty, as much as the cache holds in one piece. */
	for (u64 b = 0; b < FILE_BLOCKS; b++) {
		if (f->block[b] == BLOCK_UNWRITTEN)
			f->block[b] = BLOCK_MAYBE;
		if (f->block[b] == BLOCK_HOLE)
			f->block[b] = BLOCK_UNKNOWN;
	}
	file_state_write(f, off, mem, len);
}

void file_state_truncate(struct file_state *f, u64 size)
{
	blur(f);
	if (size < f->size)
		memset(f->data + size, 0, f->size - size);
	f->size = size;
	forget_behind_end(f);
}

static void punch(struct file_state *f, u64 off, u64 end)
{
	for (u64 b = off / FS_BLOCK; b < blocks(end); b++) {
		u64 from = b * FS_BLOCK, to = from + FS_BLOCK;

		if (off <= from && to <= end)
			f->block[b] = BLOCK_HOLE;
		else if (off <= from && f->size <= end && f->block[b] != BLOCK_HOLE)
			/* All that there is of the last block. */
			f->block[b] = BLOCK_UNKNOWN;
	}
}

static void zero(struct file_state *f, u64 off, u64 end)
{
	for (u64 b = off / FS_BLOCK; b < blocks(end); b++) {
		u64 from = b * FS_BLOCK, to = from + FS_BLOCK;
		bool all = off <= from && (to <= end || f->size <= end);

		if (all || f->block[b] != BLOCK_WRITTEN)
			f->block[b] = BLOCK_MAYBE;
	}
}

static void allocate(struct file_state *f, u64 off, u64 end)
{
	for (u64 b = off / FS_BLOCK; b < blocks(end); b++) {
		if (f->block[b] == BLOCK_HOLE)
			f->block[b] = BLOCK_UNWRITTEN;
		else if (f->block[b] == BLOCK_UNKNOWN)
			f->block[b] = BLOCK_MAYBE;
	}
}

void file_state_fallocate(struct file_state *f, int mode, u64 off, u64 len)
{
	u64 end = off + len, first = off / FS_BLOCK, nr = len / FS_BLOCK;
	u64 behind = FILE_BLOCKS - first - nr;

	blur(f);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_WRITE_ZEROES))
		memset(f->data + off, 0, len);
	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case FALLOC_FL_COLLAPSE_RANGE:
		memmove(f->data + off, f->data + end, FILE_MAX_BYTES - end);
		memset(f->data + FILE_MAX_BYTES - len, 0, len);
		memmove(&f->block[first], &f->block[first + nr], behind * sizeof(f->block[0]));
		f->size -= len;
		break;
	case FALLOC_FL_INSERT_RANGE:
		memmove(f->data + end, f->data + off, FILE_MAX_BYTES - end);
		memset(f->data + off, 0, len);
		memmove(&f->block[first + nr], &f->block[first], behind * sizeof(f->block[0]));
		for (u64 b = first; b < first + nr; b++)
			f->block[b] = BLOCK_HOLE;
		f->size += len;
		break;
	case FALLOC_FL_PUNCH_HOLE:
		punch(f, off, end);
		break;
	case FALLOC_FL_ZERO_RANGE:
		zero(f, off, end);
		break;
	case FALLOC_FL_WRITE_ZEROES:
		for (u64 b = off / FS_BLOCK; b < blocks(end); b++)
			f->block[b] = BLOCK_WRITTEN;
		break;
	default:
		allocate(f, off, end);
	}
	if (!(mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)))
		f->size = MAX(f->size, end);
	forget_behind_end(f);
}

static void must_be(bool right, const struct file_state *f, bool write, u64 pos, u64 len,
		    s64 result, const char *why)
{
	if (right)
		return;
	FAIL("%s of %#llx bytes at %#llx of %#llx gave %lld: %s (block states %d, %d)",
	     write ? "write" : "read", (unsigned long long)len, (unsigned long long)pos,
	     (unsigned long long)f->size, (long long)result, why,
	     pos < f->size ? (int)f->block[pos / FS_BLOCK] : -1,
	     result > 0 ? (int)f->block[(pos + result - 1) / FS_BLOCK] : -1);
}

void file_state_judge(struct file_state *f, bool write, u64 pos, u64 len, s64 result)
{
#define MUST(cond, why) must_be(cond, f, write, pos, len, result, why)
	u64 end;

	if (!len || pos >= f->size) {
		MUST(result == (len && write ? -ENOSPC : 0), "nothing is there");
		return;
	}
	len = MIN(len, f->size - pos);
	if (result < 0) {
		enum block_state *b = &f->block[pos / FS_BLOCK];

		MUST(result == -ENXIO, "no such error can be");
		MUST(*b != BLOCK_WRITTEN, "the first block has been written");
		/* It stays so until the next change. */
		if (*b == BLOCK_MAYBE)
			*b = BLOCK_UNWRITTEN;
		return;
	}
	MUST(result > 0, "nothing was moved");
	end = pos + result;
	MUST(result <= (s64)len, "more than there is");
	if (result < (s64)len) {
		MUST(end % FS_BLOCK == 0, "it ended within a block");
		MUST(f->block[end / FS_BLOCK] != BLOCK_WRITTEN, "it ended too early");
	}
	for (u64 b = pos / FS_BLOCK; b < blocks(end); b++) {
		MUST(f->block[b] != BLOCK_UNWRITTEN && f->block[b] != BLOCK_HOLE,
		     "it went over a block that was never written");
		f->block[b] = BLOCK_WRITTEN;
	}
#undef MUST
}
