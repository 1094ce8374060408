/* SPDX-License-Identifier: GPL-2.0 */
/*
 * owners.h - a bound file that is read and written all the time, and whose each byte is.
 *
 * Every word of every file tells whose it is. All free space is full of a pattern that no
 * file has, and there is so little of it that what one file gives back another gets soon. A
 * test takes blocks away from the file that is bound, or gives it new ones; a neighbour is
 * written at once, who must keep his bytes. What is read from the bound file must be its own.
 *
 * Four threads transfer meanwhile: one call after the other, and by rings of depth 1 and 32.
 */
#ifndef OWNERS_H
#define OWNERS_H

#include "fs.h"
#include "harness.h"

/* Words of the bound file: what it is made with, what transfers write, what others write. */
#define FIRST		0x5353535353535353ULL
#define WRITTEN		0x5757575757575757ULL
#define CHANGED		0x5858585858585858ULL
/* Words that are never its own. */
#define NOBODYS		0xbd
#define DONORS		0x4444444444444444ULL
#define NEIGHBOURS	0x4e4e4e4e00000000ULL

#define OWNER_MOST_BYTES	(256 * KiB)

/**
 * struct owner - the file, and what has become of the transfers
 * @fs: what it is on; its name is "s"
 * @len: its size, at most OWNER_MOST_BYTES
 * @word: what transfers write: FIRST, WRITTEN
 * @also: errno that they may fail with, beside those of holes and ends; or 0
 * @fd: as it is bound
 * @binding: of it
 * @writable: it is bound for writing, too
 * @own: then, a second descriptor of who has bound it; else -1
 * @transfers: that have ended
 * @moved: of them, those that moved bytes
 * @busy: of them, those that gave EBUSY
 * @reused: neighbours that got blocks which were the file's
 */
struct owner {
	struct fs fs;
	u64 len;
	u64 word;
	int also;
	int fd, binding;
	bool writable;
	int own;
	u64 transfers, moved, busy, reused;
};

extern struct owner owner;

/* Once per test: the file system, made by fs_make(), with little space; and the buffer. */
void owner_prepare(void);
/* A new file with FIRST in it, bound; and its end. */
void owner_bind(bool write);
void owner_unbind(void);
/* Transfers, from now on until the call returns. */
void owner_start(void);
void owner_stop(void);
/* Every other phase, from the second on: the file has no byte that could be moved. */
void owner_next_phase(void);

/* A descriptor for changes: the owner's second one, or one of somebody else's. */
int owner_open(void);
void owner_close(int file);

/* @len bytes of @word by write(2). */
void put_words(int file, u64 pos, u64 len, u64 word);
/* A file of @owner.len bytes beside it, on the disk. */
int make_other(const char *name, u64 word);
/* The test fails unless each is one of the bound file's. */
void check_words(const char *what, const u64 *words, u64 len, u64 at);
/* What is on the disk of a file that is there must be @word throughout. */
void check_words_of(const char *name, u64 word);
/* All bytes of the bound file, as others see them. */
void check_owners_words(void);

/* Remember where it is, before it gives that back; and somebody who takes it then. */
void note_blocks(void);
void new_neighbour(void);
void check_neighbours(void);

#endif
