/* SPDX-License-Identifier: GPL-2.0 */
/*
 * moves.h - what moves or frees the blocks of a file, by their paths or descriptors. All
 * return 0 or -errno; -ENOTTY and -EOPNOTSUPP where the kernel does not know it.
 */
#ifndef MOVES_H
#define MOVES_H

#include "fs.h"
#include "harness.h"

/* All of @to shares the blocks of @from (XFS). */
int move_clone(const char *from, const char *to);
int move_clone_fd(int from, int to);
/* The same for a range, if both have the same bytes there. */
int move_dedupe(const char *from, const char *to, u64 pos, u64 len);
/* The first @len bytes of both change places, bytes and blocks (XFS). */
int move_exchange(const struct fs *fs, const char *from, const char *to, u64 len);
int move_exchange_fd(int from, int to, u64 len);
/* The same for all blocks, as defragmentation does it (XFS): the bytes must be the same. */
/* The first @blocks blocks change places, the bytes stay where they are (ext4). */
int move_extents(const char *donor, const char *to, u64 blocks);
int move_extents_fd(int donor, int to, u64 block, u64 blocks);

#endif
