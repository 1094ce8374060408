// SPDX-License-Identifier: GPL-2.0
/*
 * file_attributes.c - attributes that a file gets while it is bound: what they mean for transfers.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv4kp1"
#define FILE_BYTES	(256 * KiB - 100)
#define BUF_BYTES	(2 * MiB)
#define TAG		1

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static int fd, binding;

static void open_all(const char *kind)
{
	fs_make(&fs, kind, ROLE, 0, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 8, 0);
}

static void check_transfers(u64 tag)
{
	buf_fill(&buf, 0, FILE_BYTES, 99, 0);
	CHECK_EQ(drw_read(binding, 0, 0, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, 0, FILE_BYTES, tag, 0);
}

static int change_flags(int f, unsigned int set, unsigned int clear)
{
	int flags;

	SYS(ioctl(f, FS_IOC_GETFLAGS, &flags));
	flags = (flags & ~clear) | set;
	return ioctl(f, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

/* Whatever becomes of the attempt, a transfer gives the file's bytes or says why not. */
static void attributes_may_change_while_bound(const void *arg)
{
	static const struct {
		const char *what;
		unsigned int flag;
		bool ext4_only;
	} cases[] = {
		{ "immutable", FS_IMMUTABLE_FL },
		{ "append-only", FS_APPEND_FL },
		{ "data journal", FS_JOURNAL_DATA_FL, true },
		{ "sync", FS_SYNC_FL },
	};

	open_all(arg);
	/* A single file's data goes to the journal only without delayed allocation. */
	if (!fs_is_xfs(&fs)) {
		fs_unmount(&fs);
		CHECK_EQ(fs_mount(&fs, "nodelalloc"), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		s64 n;

		if (cases[i].ext4_only && fs_is_xfs(&fs))
			continue;
		fd = file_make(&fs, "f", FILE_BYTES, TAG);
		binding = OK(drw_bind(buf.fd, fd));
		OK(change_flags(fd, cases[i].flag, 0));
		buf_fill(&buf, 0, FILE_BYTES, 99, 0);
		n = drw_read(binding, 0, 0, FILE_BYTES);
		if (cases[i].flag == FS_JOURNAL_DATA_FL) {
			CHECK_EQ(n, -EMEDIUMTYPE);
			buf_check(&buf, 0, FILE_BYTES, 99, 0);
			FAILS(drw_write(binding, 0, 0, FILE_BYTES), EMEDIUMTYPE);
			FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 0, 0, 4096, 0),
			      EMEDIUMTYPE);
		} else {
			CHECK_EQ(n, FILE_BYTES, "%s", cases[i].what);
			buf_check(&buf, 0, FILE_BYTES, TAG, 0);
		}
		close(binding);
		OK(change_flags(fd, 0, cases[i].flag));
		file_check(fd, 0, FILE_BYTES, TAG);
		binding = OK(drw_bind(buf.fd, fd));
		check_transfers(TAG);
		close(binding);
		close(fd);
		SYS(unlink(fs_path(&fs, "f")));
	}
	fs_finish(&fs);
}

static void verity_may_come_while_bound(const void *arg)
{
	struct fsverity_enable_arg enable = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = 4096,
	};

	fs_make(&fs, "ext4", ROLE, 0, "-O verity", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 8, 0);
	close(file_make(&fs, "f", FILE_BYTES, TAG));
	/* It wants a file that nobody has open for writing. */
	fd = fs_open(&fs, "f", O_RDONLY);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &enable)) {
		if (errno == EOPNOTSUPP || errno == ENOTTY)
			skip("this kernel has no fs-verity");
		FAIL("a bound file cannot be sealed: %s", strerror(errno));
	}
	FAILS(drw_read(binding, 0, 0, FILE_BYTES), EMEDIUMTYPE);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 0, 0, 4096, 0), EMEDIUMTYPE);
	close(binding);
	file_check(fd, 0, FILE_BYTES, TAG);
	close(fd);
	fs_finish(&fs);
}

/* Short and long, and the file's last block: each has its own way. */
static const struct {
	u64 pos, len;
} writes[] = {
	{ 0, 4096 },
	{ 8192, 128 * KiB },
	{ ROUND_DOWN(FILE_BYTES, 4096), FILE_BYTES % 4096 },
};

static s64 write_bytes(bool use_ring, u64 pos, u64 len)
{
	/* Aligned as in the file, so that the last bytes can be written without SGLs, too. */
	return use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, pos, MiB + pos, len, 0)
			: drw_write(binding, pos, MiB + pos, len);
}

static void writes_end_and_reads_go_on(const void *arg)
{
	static const unsigned int flags[] = { FS_IMMUTABLE_FL, FS_APPEND_FL };

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	/* So that blocks are known, and nothing but the attribute keeps a write from its way. */
	check_transfers(TAG);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		buf_fill(&buf, MiB, MiB, 2, 0);
		OK(change_flags(fd, flags[i], 0));
		for (size_t w = 0; w < ARRAY_SIZE(writes); w++) {
			for (int use_ring = 0; use_ring <= 1; use_ring++)
				FAILS(write_bytes(use_ring, writes[w].pos, writes[w].len), EPERM);
		}
		check_transfers(TAG);
		CHECK_EQ(drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 4096, 0, 4096, 0), 4096);
		buf_check(&buf, 0, 4096, TAG, 4096);
		drop_caches();
		file_check(fd, 0, FILE_BYTES, TAG);

		/* It was that, and nothing else. */
		OK(change_flags(fd, 0, flags[i]));
		buf_fill(&buf, MiB, MiB, TAG, 0);
		for (size_t w = 0; w < ARRAY_SIZE(writes); w++) {
			for (int use_ring = 0; use_ring <= 1; use_ring++)
				CHECK_EQ(write_bytes(use_ring, writes[w].pos, writes[w].len),
					 writes[w].len);
		}
		check_transfers(TAG);
	}
	close(binding);
	file_check(fd, 0, FILE_BYTES, TAG);
	close(fd);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, attributes_may_change_while_bound);
		TEST_OF_KIND_NAMED(i, writes_end_and_reads_go_on,
				   "writes_end_and_reads_go_on_when_it_is_made_immutable");
	}
	TEST(verity_may_come_while_bound);
}

const struct program program = { "file_attributes", add };
