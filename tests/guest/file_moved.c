// SPDX-License-Identifier: GPL-2.0
/*
 * file_moved.c - what moves or frees the blocks of a file while transfers run, and that no
 * transfer reads or overwrites a block that is somebody else's by then; see owners.h.
 */
#include <fcntl.h>
#include <linux/ext4.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "moves.h"
#include "owners.h"

#define ROLE		"priv4kp1"
#define FS_BYTES	(48 * MiB)
#define SMALL_BYTES	(40 * KiB)	/* what ext4 converts to have no extents */
#define SECONDS		2		/* for each way of binding */
#define MOVES		6		/* of one file */

struct mover {
	const char *name, *kind, *mkfs, *mount;
	/* Moves once; 0 or -errno, which ends the test as a skip where the kernel cannot. */
	int (*move)(unsigned int nr);
	bool once;		/* a file can only be moved once */
	bool small;
	bool keeps;		/* gives no blocks back */
	bool only_reads;	/* wants a file that nobody writes to */
	bool same;		/* wants a file whose bytes do not change */
	int also;		/* what transfers may fail with */
};

static int result(long long ret)
{
	return ret < 0 ? -errno : 0;
}

/* Gives it all its bytes again, in the cache or on the disk. */
static void refill(int file, unsigned int nr)
{
	put_words(file, 0, owner.len, CHANGED);
	if (nr & 1)
		SYS(fsync(file));
}

/* An operation that leaves @left bytes at the most; then others have what it had. */
static void give_away(int file, unsigned int nr, u64 left, int (*give)(int file, u64 left))
{
	note_blocks();
	SYS(give(file, left));
	if (!left)
		owner_next_phase();
	new_neighbour();
	if (!left)
		owner_next_phase();
	refill(file, nr);
}

/* All of it now and then; when there is some left, transfers have more to do. */
static u64 left_of_it(unsigned int nr)
{
	return nr % 3 ? owner.len / 4 * (nr % 3) : 0;
}

static int cut(int file, u64 left)
{
	return ftruncate(file, left);
}

static int truncate_it(unsigned int nr)
{
	int file = owner_open();

	give_away(file, nr, left_of_it(nr), cut);
	owner_close(file);
	return 0;
}

static int punch(int file, u64 left)
{
	return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, left, owner.len - left);
}

static int punch_it(unsigned int nr)
{
	int file = owner_open();

	give_away(file, nr, left_of_it(nr), punch);
	owner_close(file);
	return 0;
}

static int zero_it(unsigned int nr)
{
	int file = owner_open();

	SYS(fallocate(file, FALLOC_FL_ZERO_RANGE, 0, owner.len));
	refill(file, nr);
	owner_close(file);
	return 0;
}

static int collapse_it(unsigned int nr)
{
	int file = owner_open();

	note_blocks();
	SYS(fallocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, owner.len / 2));
	new_neighbour();
	put_words(file, owner.len / 2, owner.len / 2, CHANGED);
	owner_close(file);
	return 0;
}

/* Who has its old blocks gives them away. */
static void drop_other(const char *name, int file)
{
	close(file);
	SYS(unlink(fs_path(&owner.fs, name)));
	new_neighbour();
}

static int move_it(unsigned int nr)
{
	int file = owner_open(), donor = make_other("d", DONORS), ret;

	note_blocks();
	/* Page by page now and then, so that there are more moments to be in between. */
	ret = 0;
	if (nr & 1)
		ret = move_extents_fd(donor, file, 0, owner.len / owner.fs.block);
	for (u64 b = 0; !(nr & 1) && !ret && b < owner.len / owner.fs.block; b += 8)
		ret = move_extents_fd(donor, file, b, 8);
	owner_close(file);
	drop_other("d", donor);
	return ret;
}

/* The boot loader's inode has the file's blocks for a while, and the file its: none. */
static int swap_boot_it(unsigned int nr)
{
	int file = owner_open(), ret;

	note_blocks();
	ret = result(ioctl(file, EXT4_IOC_SWAP_BOOT));
	if (!ret && nr & 1) {
		owner_next_phase();
		usleep(20000);
		owner_next_phase();
	} else if (!ret) {
		put_words(file, 0, owner.len, CHANGED);
		SYS(fsync(file));
		note_blocks();
		SYS(ftruncate(file, 0));
		owner_next_phase();
		new_neighbour();
		owner_next_phase();
	}
	if (!ret)
		ret = result(ioctl(file, EXT4_IOC_SWAP_BOOT));
	owner_close(file);
	return ret;
}

static int change_flags(int file, unsigned int set, unsigned int clear)
{
	int flags;

	SYS(ioctl(file, FS_IOC_GETFLAGS, &flags));
	flags = (flags & ~clear) | set;
	return result(ioctl(file, FS_IOC_SETFLAGS, &flags));
}

static int migrate_it(unsigned int nr)
{
	int file = owner_open(), ret;

	ret = change_flags(file, 0, FS_EXTENT_FL);
	if (!ret) {
		if (nr & 1)
			put_words(file, 0, owner.len, CHANGED);
		SYS(fsync(file));
		ret = nr & 2 ? result(ioctl(file, EXT4_IOC_MIGRATE))
			     : change_flags(file, FS_EXTENT_FL, 0);
	}
	owner_close(file);
	return ret;
}

static int journal_it(unsigned int nr)
{
	int file = owner_open(), ret;

	ret = change_flags(file, FS_JOURNAL_DATA_FL, 0);
	if (!ret) {
		/* In the journal only, at first. */
		put_words(file, 0, owner.len, CHANGED);
		if (nr & 1)
			SYS(fsync(file));
		usleep(5000);
		ret = change_flags(file, 0, FS_JOURNAL_DATA_FL);
	}
	owner_close(file);
	return ret;
}

static int seal_it(unsigned int nr)
{
	struct fsverity_enable_arg enable = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = 4096,
	};
	int ret = result(ioctl(owner.fd, FS_IOC_ENABLE_VERITY, &enable));

	if (!ret)
		FAILS(drw_read(owner.binding, 0, 0, 4096), EMEDIUMTYPE);
	return ret;
}

static int dedupe_it(unsigned int nr)
{
	int other = make_other("d", FIRST), ret;

	note_blocks();
	ret = move_dedupe(fs_path(&owner.fs, "d"), fs_path(&owner.fs, "s"), 0, owner.len);
	/* Its old blocks are free; those that it has now are the other's, too. */
	close(other);
	if (!ret)
		new_neighbour();
	SYS(unlink(fs_path(&owner.fs, "d")));
	return ret;
}

/* A clone of it keeps what it had at that moment. */
static int clone_it(unsigned int nr)
{
	int other = fs_open(&owner.fs, "d", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT), file, ret;
	static u8 *before, *after;

	before = before ?: data_alloc(OWNER_MOST_BYTES);
	after = after ?: data_alloc(OWNER_MOST_BYTES);
	ret = move_clone_fd(owner.fd, other);
	if (!ret) {
		file_get(other, 0, before, owner.len);
		/* Elsewhere, since they are shared. */
		file = owner_open();
		put_words(file, 0, owner.len, CHANGED);
		SYS(fsync(file));
		owner_close(file);
		usleep(20000);
		file_get(other, 0, after, owner.len);
		data_check("clone", after, before, owner.len, 0);
	}
	close(other);
	SYS(unlink(fs_path(&owner.fs, "d")));
	return ret;
}

static int clone_over_it(unsigned int nr)
{
	int other = make_other("d", CHANGED), file = owner_open(), ret;

	note_blocks();
	ret = move_clone_fd(other, file);
	owner_close(file);
	close(other);
	if (!ret)
		new_neighbour();
	check_words_of("d", CHANGED);
	SYS(unlink(fs_path(&owner.fs, "d")));
	return ret;
}

static int exchange_it(unsigned int nr)
{
	int other = make_other("d", CHANGED), file = owner_open(), ret;

	note_blocks();
	ret = move_exchange_fd(other, file, owner.len);
	owner_close(file);
	drop_other("d", other);
	return ret;
}

/* XFS_IOC_SWAPEXT is not one of them: it waits for nothing in flight, not even XFS's own. */
static const struct mover movers[] = {
	{ "truncate", "ext4", .move = truncate_it },
	{ "punch", "ext4", .move = punch_it },
	{ "zero_range", "ext4", .move = zero_it, .keeps = true },
	{ "collapse", "ext4", .move = collapse_it },
	{ "move_extents", "ext4", .move = move_it },
	{ "swap_boot", "ext4", .move = swap_boot_it },
	{ "migrate", "ext4", .move = migrate_it, .small = true, .keeps = true },
	{ "data_journal", "ext4", .mount = "nodelalloc", .move = journal_it, .keeps = true,
	  .also = EMEDIUMTYPE },
	{ "verity", "ext4", .mkfs = "-O verity", .move = seal_it, .once = true, .keeps = true,
	  .only_reads = true, .also = EMEDIUMTYPE },
	{ "truncate_without_extents", "ext4", .mkfs = "-O ^extents,^64bit", .move = truncate_it },
	{ "truncate_without_delayed_allocation", "ext4", .mount = "nodelalloc",
	  .move = truncate_it },
	{ "truncate", "xfs", .move = truncate_it },
	{ "punch", "xfs", .move = punch_it },
	{ "zero_range", "xfs", .move = zero_it, .keeps = true },
	{ "collapse", "xfs", .move = collapse_it },
	{ "dedupe", "xfs", .move = dedupe_it, .once = true, .same = true },
	{ "clone", "xfs", .move = clone_it, .once = true, .keeps = true },
	{ "clone_over", "xfs", .move = clone_over_it, .once = true },
	{ "exchange_range", "xfs", .mkfs = "-i exchange=1", .move = exchange_it },
};

/*
 * @write: it is bound for writing, too, and the mover is who has bound it; else somebody else
 * opens it for each move.
 */
static u64 move_on_and_on(const struct mover *m, bool write)
{
	u64 until = now_us() + SECONDS * 1000000ULL * harness_slow(), nr = 0;
	int ret = 0;

	do {
		owner_bind(write);
		owner_start();
		for (int i = 0; i < (m->once ? 1 : MOVES) && !ret; i++)
			ret = m->move(nr++);
		owner_stop();
		if (ret == -EOPNOTSUPP || ret == -ENOTTY || ret == -ENOSYS)
			skip("this kernel cannot do that: %s", strerror(-ret));
		/* Others had changed it meanwhile, and it was left as it was. */
		if (ret == -EBUSY || ret == -EAGAIN || (m->same && ret == -EILSEQ))
			ret = 0;
		CHECK_EQ(ret, 0);
		check_owners_words();
		owner_unbind();
	} while (now_us() < until);
	return nr;
}

static void nothing_of_others_is_read_or_overwritten(const void *arg)
{
	const struct mover *m = arg;
	u64 nr[2] = { };

	owner.len = m->small ? SMALL_BYTES : OWNER_MOST_BYTES;
	owner.word = m->same ? FIRST : WRITTEN;
	owner.also = m->also;
	fs_make_or_skip(&owner.fs, m->kind, ROLE, FS_BYTES, m->mkfs ?: "", m->mount ?: "");
	owner_prepare();
	nr[0] = move_on_and_on(m, false);
	if (!m->only_reads)
		nr[1] = move_on_and_on(m, true);
	note("%llu and %llu moves, %llu neighbours got its blocks, %llu of %llu transfers moved "
	     "bytes, %llu were EBUSY",
	     (unsigned long long)nr[0], (unsigned long long)nr[1],
	     (unsigned long long)owner.reused, (unsigned long long)owner.moved,
	     (unsigned long long)owner.transfers, (unsigned long long)owner.busy);
	fs_finish(&owner.fs);
	/* On a busy machine the drive's other owner may be too slow to be of use. */
	if ((!m->keeps && !owner.reused) || owner.moved <= nr[0] + nr[1])
		skip("nobody got a block that was the file's, or hardly a transfer moved anything");
}

/*
 * The last descriptor of a file without a name is closed while transfers are in flight. They
 * end as they began, and only then are its blocks somebody else's.
 */
static void an_unlinked_file_has_its_blocks_until_the_last_transfer_ends(const void *arg)
{
	u64 until = now_us() + SECONDS * 1000000ULL * harness_slow(), nr = 0;
	int null = SYS(open("/dev/null", O_RDWR | O_CLOEXEC));

	owner.len = OWNER_MOST_BYTES;
	owner.word = WRITTEN;
	/* What the threads go on with is no binding any more, and knows no such request. */
	owner.also = ENOTTY;
	fs_make(&owner.fs, arg, ROLE, FS_BYTES, "", "");
	owner_prepare();
	do {
		owner_bind(nr & 1);
		owner_start();
		note_blocks();
		SYS(unlink(fs_path(&owner.fs, "s")));
		close(owner.fd);
		if (owner.own >= 0)
			close(owner.own);
		/* Closes it, and keeps its number. */
		SYS(dup2(null, owner.binding));
		new_neighbour();
		owner_stop();
		new_neighbour();
		close(owner.binding);
		check_neighbours();
		nr++;
	} while (now_us() < until);
	note("%llu files, %llu neighbours got their blocks, %llu of %llu transfers moved bytes",
	     (unsigned long long)nr, (unsigned long long)owner.reused,
	     (unsigned long long)owner.moved, (unsigned long long)owner.transfers);
	CHECK(owner.moved, "no transfer moved anything");
	fs_finish(&owner.fs);
	if (!owner.reused)
		skip("nobody got a block that was the file's");
}

/*
 * The kernel opens files for listeners of fanotify without telling anybody: not for the first
 * time between two transfers, and for writing.
 */
static void a_descriptor_that_nobody_hears_of_moves_blocks(const void *kind)
{
	struct fanotify_event_metadata event[4];
	const u64 bytes = 256 * KiB;
	int file, donor, listener, binding;
	struct buf buf;
	struct fs fs;

	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_mock_scattered, bytes);
	/* Of so many extents that the inode does not change when they are exchanged. */
	close(file_make_fragmented(&fs, "f", bytes, 4096, 1));
	donor = file_make(&fs, "d", bytes, 2);
	file = fs_open(&fs, "f", O_RDONLY);
	binding = OK(drw_bind(buf.fd, file));
	listener = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDWR | O_CLOEXEC);
	if (listener < 0 && errno == ENOSYS)
		skip("this kernel has no fanotify");
	SYS(listener);
	SYS(fanotify_mark(listener, FAN_MARK_ADD, FAN_CLOSE_NOWRITE, AT_FDCWD,
			  fs_path(&fs, "f")));
	close(fs_open(&fs, "f", O_RDONLY));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(drw_read(binding, 0, 0, bytes), bytes);
		buf_check(&buf, 0, bytes, 1, 0);
		buf_fill(&buf, 0, bytes, 99, 0);
		if (i)
			break;
		CHECK(SYS(read(listener, event, sizeof(event))) > 0 && event[0].fd >= 0);
		OK(move_extents_fd(donor, event[0].fd, 0, bytes / 4096));
		SYS(close(event[0].fd));
		file_fill(donor, 0, bytes, 77);
		SYS(fsync(donor));
	}
	close(listener);
	close(binding);
	close(donor);
	close(file);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, an_unlinked_file_has_its_blocks_until_the_last_transfer_ends);
	test_add(a_descriptor_that_nobody_hears_of_moves_blocks, "ext4",
		 "a_descriptor_that_nobody_hears_of_moves_blocks.ext4");
	for (size_t i = 0; i < ARRAY_SIZE(movers); i++)
		test_add(nothing_of_others_is_read_or_overwritten, &movers[i],
			 "nothing_of_others_is_read_or_overwritten.%s.%s", movers[i].name,
			 movers[i].kind);
}

const struct program program = { "file_moved", add, .debug = true };
