// SPDX-License-Identifier: GPL-2.0
/*
 * file_stale.c - blocks that a file gets while transfers run: between their allocation and
 * their first data they hold what somebody else has left there, and no transfer reads it. See
 * owners.h.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "owners.h"

#define ROLE		"priv512p1"
#define FS_BYTES	(48 * MiB)
#define SECONDS		2

struct layout {
	const char *name, *kind, *mkfs, *mount;
};

/* Without extents ext4 has no mark for a block that was not written yet. */
static const struct layout layouts[] = {
	{ "plain", "ext4", "", "" },
	{ "nodelalloc", "ext4", "", "nodelalloc" },
	{ "no_extents", "ext4", "-O ^extents,^64bit", "" },
	{ "no_extents_nodelalloc", "ext4", "-O ^extents,^64bit", "nodelalloc" },
	{ "no_journal_nodelalloc", "ext4", "-O ^has_journal", "nodelalloc" },
	{ "writeback_nodelalloc", "ext4", "", "data=writeback,nodelalloc" },
	{ "small_blocks_nodelalloc", "ext4", "-b 1024", "nodelalloc" },
	{ "plain", "xfs", "", "" },
	{ "small_blocks", "xfs", "-b size=1024", "" },
};

/* ---- ways to give a file blocks -------------------------------------------------------- */

static u64 *page;

static void by_write(int file, u64 pos)
{
	file_put(file, pos, page, 4096);
}

static void by_small_writes(int file, u64 pos)
{
	for (u64 at = 0; at < 4096; at += 512)
		file_put(file, pos + at, page, 512);
}

static void by_direct_write(int file, u64 pos)
{
	int direct = fs_open(&owner.fs, "s", O_WRONLY | O_DIRECT);

	file_put(direct, pos, page, 4096);
	close(direct);
}

static void by_store(int file, u64 pos)
{
	u64 *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, pos);

	CHECK(map != MAP_FAILED, "%s", strerror(errno));
	/* A word makes all of the page dirty, and the rest of it is zeros. */
	map[7] = CHANGED;
	munmap(map, 4096);
}

static void by_allocation(int file, u64 pos)
{
	if (fallocate(file, 0, pos, 4096))
		/* Without extents it cannot. */
		CHECK(errno == EOPNOTSUPP, "%s", strerror(errno));
}

static void (*const ways[])(int file, u64 pos) = {
	by_write, by_store, by_small_writes, by_direct_write, by_allocation, by_store,
};

static u64 fill_holes_on_and_on(bool write)
{
	u64 until = now_us() + SECONDS * 1000000ULL * harness_slow(), rounds = 0;
	int file;

	owner_bind(write);
	owner_start();
	do {
		file = owner_open();
		/*
		 * All of its blocks go. One neighbour takes them; another one has gone, and what he
		 * wrote is still in his.
		 */
		SYS(ftruncate(file, 0));
		new_neighbour();
		SYS(ftruncate(file, owner.len));
		for (u64 pos = 0; pos < owner.len; pos += 4096)
			ways[(pos / 4096 + rounds) % ARRAY_SIZE(ways)](file, pos);
		if (rounds & 1)
			SYS(fsync(file));
		owner_close(file);
		rounds++;
	} while (now_us() < until);
	owner_stop();
	check_owners_words();
	owner_unbind();
	return rounds;
}

static void open_all(const struct layout *l)
{
	owner.len = OWNER_MOST_BYTES / 2;
	owner.word = WRITTEN;
	fs_make_or_skip(&owner.fs, l->kind, ROLE, FS_BYTES, l->mkfs, l->mount);
	owner_prepare();
	page = data_alloc(4096);
	for (int i = 0; i < 512; i++)
		page[i] = CHANGED;
}

static void old_bytes_of_new_blocks_are_not_read(const void *arg)
{
	u64 rounds[2];

	open_all(arg);
	rounds[0] = fill_holes_on_and_on(false);
	rounds[1] = fill_holes_on_and_on(true);
	note("filled %llu and %llu times; %llu of %llu transfers moved bytes, %llu were EBUSY",
	     (unsigned long long)rounds[0], (unsigned long long)rounds[1],
	     (unsigned long long)owner.moved, (unsigned long long)owner.transfers,
	     (unsigned long long)owner.busy);
	CHECK(owner.moved, "no transfer moved anything");
	fs_finish(&owner.fs);
}

/* ---- frozen ------------------------------------------------------------------------------ */

#define FREEZES	6

static volatile u64 *map;
static u64 fault_at;
static int faulted;

static void *store_once(void *arg)
{
	map[fault_at / 8] = CHANGED;
	__atomic_store_n(&faulted, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A fault that has begun, and waits for the thaw before it has a block or has filled it. */
static void a_fault_on_a_frozen_file_system_shows_nothing_old(const void *arg)
{
	pthread_t thread;
	u64 before;
	int file;

	open_all(arg);
	owner_bind(true);
	file = owner_open();
	map = mmap(NULL, owner.len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(map != MAP_FAILED, "%s", strerror(errno));
	for (int i = 0; i < FREEZES; i++) {
		SYS(ftruncate(file, 0));
		SYS(ftruncate(file, owner.len));
		/* Some of it is there, so that there is something to read. */
		put_words(file, 0, owner.len / 2, CHANGED);
		SYS(fsync(file));
		fault_at = owner.len / 2 + i * 8192;
		owner.writable = false;
		owner_start();
		SYS(ioctl(file, FIFREEZE, 0));
		faulted = 0;
		pthread_create(&thread, NULL, store_once, NULL);
		before = __atomic_load_n(&owner.moved, __ATOMIC_SEQ_CST);
		/* Reads go on, and stop at what it has not written. */
		for (int tries = 0; tries < 2000 &&
		     __atomic_load_n(&owner.moved, __ATOMIC_SEQ_CST) < before + 50; tries++)
			usleep(1000);
		CHECK(__atomic_load_n(&owner.moved, __ATOMIC_SEQ_CST) >= before + 50,
		      "reads wait for the thaw");
		CHECK(!__atomic_load_n(&faulted, __ATOMIC_SEQ_CST), "it was not frozen");
		SYS(ioctl(file, FITHAW, 0));
		pthread_join(thread, NULL);
		usleep(10000);
		owner_stop();
		CHECK_EQ(map[fault_at / 8], CHANGED);
	}
	munmap((void *)map, owner.len);
	owner_close(file);
	check_owners_words();
	owner_unbind();
	fs_finish(&owner.fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct layout *l = &layouts[i];

		test_add(old_bytes_of_new_blocks_are_not_read, l,
			 "old_bytes_of_new_blocks_are_not_read.%s.%s", l->kind, l->name);
		if (!strcmp(l->name, "plain") || strstr(l->name, "extents_nodelalloc"))
			test_add(a_fault_on_a_frozen_file_system_shows_nothing_old, l,
				 "a_fault_on_a_frozen_file_system_shows_nothing_old.%s.%s",
				 l->kind, l->name);
	}
}

const struct program program = { "file_stale", add, .debug = true };
