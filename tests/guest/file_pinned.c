// SPDX-License-Identifier: GPL-2.0
/*
 * file_pinned.c - a file that is bound stays where it is whatever is done to it, and is an
 * ordinary file again when the last binding has gone.
 */
#include <fcntl.h>
#include <linux/ext4.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv4kp1"
#define FILE_BYTES	(256 * KiB)
#define BUF_BYTES	(2 * MiB)
#define TAG		1

static struct fs fs;
static struct buf buf;
static struct io_uring ring;
static int fd, binding;

static void open_all(const char *kind)
{
	/* XFS can only exchange blocks if it was made for that. */
	fs_make(&fs, kind, ROLE, 0, strcmp(kind, "xfs") ? "" : "-i exchange=1", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	drw_ring(&ring, 8, 0);
}

static void check_transfers(u64 tag)
{
	buf_fill(&buf, 0, FILE_BYTES, 99, 0);
	CHECK_EQ(drw_read(binding, 0, 0, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, 0, FILE_BYTES, tag, 0);
}

/* ---- what others try ---------------------------------------------------------------- */

static const char *path_f, *path_g;

static int result(long long ret)
{
	return ret < 0 ? -errno : 0;
}

static int with(const char *path, int flags, int (*fn)(int other))
{
	int other = open(path, flags | O_CLOEXEC, 0600), ret;

	if (other < 0)
		return -errno;
	ret = fn(other);
	close(other);
	return ret;
}

static int do_write(int f)
{
	return result(pwrite(f, "x", 1, 4096));
}

static int try_write(void)
{
	return with(path_f, O_RDWR, do_write);
}

static int do_direct(int f)
{
	return result(pwrite(f, data_alloc(4096), 4096, 4096));
}

static int try_direct_write(void)
{
	return with(path_f, O_RDWR | O_DIRECT, do_direct);
}

static int try_append(void)
{
	return with(path_f, O_WRONLY | O_APPEND, do_write);
}

static int try_truncate(void)
{
	return result(truncate(path_f, 5000));
}

static int do_ftruncate(int f)
{
	return result(ftruncate(f, 0));
}

static int try_ftruncate(void)
{
	return with(path_f, O_RDWR, do_ftruncate);
}

static int nothing(int f)
{
	return 0;
}

static int try_O_TRUNC(void)
{
	return with(path_f, O_WRONLY | O_TRUNC, nothing);
}

#define TRY_FALLOCATE(name, mode, off, len)			\
static int do_##name(int f)					\
{								\
	return result(fallocate(f, mode, off, len));		\
}								\
								\
static int try_##name(void)					\
{								\
	return with(path_f, O_RDWR, do_##name);			\
}

TRY_FALLOCATE(allocate, 0, 0, 2 * FILE_BYTES)
TRY_FALLOCATE(punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192)
TRY_FALLOCATE(zero, FALLOC_FL_ZERO_RANGE, 8192, 8192)
TRY_FALLOCATE(collapse, FALLOC_FL_COLLAPSE_RANGE, 8192, 8192)
TRY_FALLOCATE(insert, FALLOC_FL_INSERT_RANGE, 8192, 8192)
TRY_FALLOCATE(keep_size, FALLOC_FL_KEEP_SIZE, FILE_BYTES, 8192)

static int do_copy_to(int f)
{
	loff_t in = 0, out = 4096;
	int g = open(path_g, O_RDONLY | O_CLOEXEC), ret;

	ret = result(copy_file_range(g, &in, f, &out, 8192, 0));
	close(g);
	return ret;
}

static int try_copy_to(void)
{
	return with(path_f, O_RDWR, do_copy_to);
}

static int do_copy_from(int g)
{
	loff_t in = 0, out = 4096;
	int f = open(path_f, O_RDONLY | O_CLOEXEC), ret;

	ret = result(copy_file_range(f, &in, g, &out, 8192, 0));
	close(f);
	return ret;
}

static int try_copy_from(void)
{
	return with(path_g, O_RDWR, do_copy_from);
}

static int do_clone_to(int f)
{
	int g = open(path_g, O_RDONLY | O_CLOEXEC), ret;

	ret = result(ioctl(f, FICLONE, g));
	close(g);
	return ret;
}

static int try_clone_to(void)
{
	return with(path_f, O_RDWR, do_clone_to);
}

static int do_clone_from(int g)
{
	int f = open(path_f, O_RDONLY | O_CLOEXEC), ret;

	ret = result(ioctl(g, FICLONE, f));
	close(f);
	return ret;
}

static int try_clone_from(void)
{
	return with(path_g, O_RDWR, do_clone_from);
}

static int dedupe(const char *from, const char *to)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} arg = { .range = { .src_length = 65536, .dest_count = 1 } };
	int src = open(from, O_RDWR | O_CLOEXEC), dst = open(to, O_RDWR | O_CLOEXEC), ret;

	arg.info.dest_fd = dst;
	ret = result(ioctl(src, FIDEDUPERANGE, &arg));
	if (!ret && arg.info.status != FILE_DEDUPE_RANGE_SAME)
		ret = arg.info.status;
	close(src);
	close(dst);
	return ret;
}

static int try_dedupe_to(void)
{
	return dedupe(path_g, path_f);
}

static int try_dedupe_from(void)
{
	return dedupe(path_f, path_g);
}

/* As fs/xfs/libxfs/xfs_fs.h has it, whose package is not needed for anything else. */
struct exchange_range {
	s32 file1_fd;
	u32 pad;
	u64 file1_offset;
	u64 file2_offset;
	u64 length;
	u64 flags;
};
#define XFS_IOC_EXCHANGE_RANGE	_IOW('X', 129, struct exchange_range)

/* All blocks of @from become those of @to, and the other way round. */
static int exchange(const char *from, const char *to)
{
	struct exchange_range range = { .length = FILE_BYTES };
	struct move_extent move = { .len = FILE_BYTES / FS_BLOCK_BYTES };
	int src = open(from, O_RDWR | O_CLOEXEC), dst = open(to, O_RDWR | O_CLOEXEC), ret;

	range.file1_fd = move.donor_fd = src;
	ret = result(fs_is_xfs(&fs) ? ioctl(dst, XFS_IOC_EXCHANGE_RANGE, &range)
				    : ioctl(dst, EXT4_IOC_MOVE_EXT, &move));
	close(src);
	close(dst);
	return ret;
}

static int try_exchange_to(void)
{
	return exchange(path_g, path_f);
}

static int try_exchange_from(void)
{
	return exchange(path_f, path_g);
}

static int do_swap_boot(int f)
{
	return result(ioctl(f, EXT4_IOC_SWAP_BOOT));
}

static int try_swap_boot(void)
{
	return with(path_f, O_RDWR, do_swap_boot);
}

static int try_unlink(void)
{
	return result(unlink(path_f));
}

static int try_rename(void)
{
	return result(rename(path_f, fs_path(&fs, "h")));
}

static int try_rename_over(void)
{
	return result(rename(path_g, path_f));
}

static int do_map(int f)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, 4096);
	return 0;
}

static int try_map(void)
{
	return with(path_f, O_RDWR, do_map);
}

static int try_swapon(void)
{
	if (swapon(path_f, 0))
		return -errno;
	SYS(swapoff(path_f));
	return 0;
}

static const struct {
	const char *what;
	int (*try)(void);
	int err;
	const char *only;	/* on this kind of file system */
	bool mkswap;
} attempts[] = {
	{ "pwrite", try_write, ETXTBSY },
	{ "O_DIRECT pwrite", try_direct_write, ETXTBSY },
	{ "append", try_append, ETXTBSY },
	{ "truncate", try_truncate, ETXTBSY },
	{ "ftruncate", try_ftruncate, ETXTBSY },
	{ "O_TRUNC", try_O_TRUNC, ETXTBSY },
	{ "fallocate", try_allocate, ETXTBSY },
	{ "FALLOC_FL_PUNCH_HOLE", try_punch, ETXTBSY },
	{ "FALLOC_FL_ZERO_RANGE", try_zero, ETXTBSY },
	{ "FALLOC_FL_COLLAPSE_RANGE", try_collapse, ETXTBSY },
	{ "FALLOC_FL_INSERT_RANGE", try_insert, ETXTBSY },
	{ "FALLOC_FL_KEEP_SIZE", try_keep_size, ETXTBSY },
	{ "copy_file_range to it", try_copy_to, ETXTBSY },
	{ "copy_file_range from it", try_copy_from, ETXTBSY },
	{ "FICLONE to it", try_clone_to, ETXTBSY, "xfs" },
	{ "FICLONE from it", try_clone_from, ETXTBSY, "xfs" },
	{ "FIDEDUPERANGE to it", try_dedupe_to, ETXTBSY, "xfs" },
	{ "FIDEDUPERANGE from it", try_dedupe_from, ETXTBSY, "xfs" },
	{ "an exchange of blocks to it", try_exchange_to, ETXTBSY },
	{ "an exchange of blocks from it", try_exchange_from, ETXTBSY },
	{ "EXT4_IOC_SWAP_BOOT", try_swap_boot, EINVAL, "ext4" },
	{ "mmap for shared writing", try_map, ETXTBSY },
	{ "unlink", try_unlink, EPERM },
	{ "rename", try_rename, EPERM },
	{ "rename over it", try_rename_over, EPERM },
	{ "swapon", try_swapon, EBUSY, .mkswap = true },
};

static void changes_fail_while_bound_and_work_after(const void *arg)
{
	int ret;

	open_all(arg);
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		const char *what = attempts[i].what;

		if (attempts[i].only && strcmp(attempts[i].only, fs.kind))
			continue;
		path_f = strdup(fs_path(&fs, "f"));
		path_g = strdup(fs_path(&fs, "g"));
		close(file_make(&fs, "g", FILE_BYTES, TAG));
		fd = file_make(&fs, "f", FILE_BYTES, TAG);
		if (attempts[i].mkswap) {
			CHECK_EQ(sh("mkswap %s", path_f), 0);
			SYS(fsync(fd));
		}
		binding = OK(drw_bind(buf.fd, fd));
		close(fd);
		ret = attempts[i].try();
		CHECK_EQ(ret, -attempts[i].err, "%s, while it is bound", what);
		CHECK_EQ(access(path_f, F_OK), 0, "%s has removed it", what);
		if (!attempts[i].mkswap)
			check_transfers(TAG);
		close(binding);
		ret = attempts[i].try();
		CHECK_EQ(ret, 0, "%s, after it was bound", what);
		unlink(path_f);
		unlink(path_g);
		unlink(fs_path(&fs, "h"));
	}
	fs_finish(&fs);
}

/* Growing moves no block: where it is not refused, transfers end where they did before. */
static void growing_it_changes_nothing_for_transfers(const void *arg)
{
	int ret;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES - 1000, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	ret = ftruncate(fd, FILE_BYTES + MiB) ? errno : 0;
	CHECK(ret == 0 || ret == ETXTBSY, "%d", ret);
	note("growing a bound file by ftruncate: %s", ret ? strerror(ret) : "allowed");
	for (int use_ring = 0; use_ring <= 1; use_ring++) {
		buf_fill(&buf, 0, FILE_BYTES, 5, 0);
		CHECK_EQ(use_ring ? drw_ring_io(&ring, binding, DMABUF_RW_OP_READ, 0, 0,
						FILE_BYTES, 0)
				  : drw_read(binding, 0, 0, FILE_BYTES), FILE_BYTES - 1000);
		buf_check(&buf, 0, FILE_BYTES - 1000, TAG, 0);
		buf_check(&buf, FILE_BYTES - 1000, 1000, 5, FILE_BYTES - 1000);
		buf_fill(&buf, 0, FILE_BYTES, TAG, 0);
		/* The rest of the last LBA may be data by now, so it cannot be made zero. */
		if (ret)
			CHECK_EQ(drw_write(binding, 0, 0, FILE_BYTES), FILE_BYTES - 1000);
		else
			FAILS(drw_write(binding, 0, 0, FILE_BYTES), EMEDIUMTYPE);
		CHECK_EQ(drw_write(binding, 0, 0, FILE_BYTES - 4096), FILE_BYTES - 4096);
	}
	if (!ret) {
		u8 *zeros = data_alloc(MiB), *got = data_alloc(MiB);

		file_get(fd, FILE_BYTES - 1000, got, MiB);
		data_check("what it has grown by", got, zeros, MiB, FILE_BYTES - 1000);
	}
	close(binding);
	close(fd);
	fs_finish(&fs);
}

static void stores_to_its_mappings_are_SIGBUS_or_seen(const void *arg)
{
	int status;
	u8 *map, byte;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[0] = map[0];
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	/* Writing it out has taken the page's permission. */
	if (!SYS(fork())) {
		map[0] = 0x77;
		_exit(0);
	}
	SYS(wait(&status));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "%#x", status);
	check_transfers(TAG);
	/* Through it the file can be read, and changed when it is not bound. */
	file_get(fd, 4096, &byte, 1);
	CHECK_EQ(map[4096], byte);
	close(binding);
	map[0] = 0x77;
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(drw_read(binding, 0, 0, 4096), 4096);
	buf_get(&buf, 0, &byte, 1);
	CHECK_EQ(byte, 0x77);
	close(binding);
	munmap(map, FILE_BYTES);
	close(fd);
	fs_finish(&fs);
}

static void defragmenters_leave_it_alone(const void *arg)
{
	const u64 bytes = MiB, chunk = 16 * KiB;
	unsigned int before, after;
	struct file_extent first, now;

	open_all(arg);
	/* e4defrag wants it. */
	if (symlink("/proc/self/mounts", "/etc/mtab") && errno != EEXIST)
		FAIL("/etc/mtab: %s", strerror(errno));
	fd = file_make_fragmented(&fs, "f", bytes, chunk, TAG);
	before = file_extents(fd);
	CHECK(file_extent(fd, 0, &first));
	binding = OK(drw_bind(buf.fd, fd));
	for (int bound = 1; bound >= 0; bound--) {
		if (fs_is_xfs(&fs))
			sh("xfs_fsr -v %s", fs_path(&fs, "f"));
		else
			sh("e4defrag -v %s", fs_path(&fs, "f"));
		after = file_extents(fd);
		CHECK(file_extent(fd, 0, &now));
		if (bound) {
			CHECK_EQ(after, before);
			CHECK_EQ(now.at, first.at);
			CHECK_EQ(drw_read(binding, 0, 0, bytes), bytes);
			buf_check(&buf, 0, bytes, TAG, 0);
			close(binding);
			/* Or there is nobody to be kept from it. */
			SYS(fsync(fd));
		} else {
			CHECK(after < before, "%u extents, %u before", after, before);
		}
	}
	file_check(fd, 0, bytes, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(drw_read(binding, 0, 0, bytes), bytes);
	buf_check(&buf, 0, bytes, TAG, 0);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

/* ---- the file system around it -------------------------------------------------------- */

static void its_file_system_cannot_be_unmounted(const void *arg)
{
	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	close(fd);
	CHECK(umount2(fs.dir, 0) == -1 && errno == EBUSY, "%d", errno);
	/* It may be written to, so it cannot become read-only. */
	CHECK(sh("mount -o remount,ro %s", fs.dir), "remounted read-only");
	check_transfers(TAG);
	close(binding);
	/* A binding that only reads does not mind. */
	fd = fs_open(&fs, "f", O_RDONLY);
	binding = OK(drw_bind(buf.fd, fd));
	CHECK_EQ(sh("mount -o remount,ro %s", fs.dir), 0);
	check_transfers(TAG);
	CHECK_EQ(sh("mount -o remount,rw %s", fs.dir), 0);
	check_transfers(TAG);
	close(binding);
	/* One made while nothing can be written. */
	CHECK_EQ(sh("mount -o remount,ro %s", fs.dir), 0);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	close(binding);
	close(fd);
	CHECK_EQ(sh("mount -o remount,rw %s", fs.dir), 0);
	fd = fs_open(&fs, "f", O_RDWR);
	file_fill(fd, 0, FILE_BYTES, 2);
	close(fd);
	fs_finish(&fs);
}

static int frozen_result = -1;

static bool is_read_only(void)
{
	struct statvfs st;

	SYS(statvfs(fs.dir, &st));
	return st.f_flag & ST_RDONLY;
}

/* The only way that leads from "open for writing" to a read-only file system. */
static void an_emergency_remount_ends_writes_and_no_reads(const void *arg)
{
	int sysrq, tries;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	close(fd);
	check_transfers(TAG);
	sysrq = SYS(open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC));
	CHECK_EQ(write(sysrq, "u", 1), 1);
	close(sysrq);
	for (tries = 0; tries < 200 && !is_read_only(); tries++)
		usleep(50000);
	CHECK(is_read_only());
	FAILS(drw_write(binding, 0, 0, FILE_BYTES), EPERM);
	FAILS(drw_ring_io(&ring, binding, DMABUF_RW_OP_WRITE, 0, 0, 4096, 0), EPERM);
	check_transfers(TAG);
	close(binding);
	/* What it was pinned with is gone when it can be written to again. */
	fs_remount(&fs);
	fd = fs_open(&fs, "f", O_RDWR);
	CHECK(!file_is_pinned(fd));
	file_check(fd, 0, FILE_BYTES, TAG);
	close(fd);
	fs_finish(&fs);
}

static void *write_while_frozen(void *arg)
{
	s64 n = drw_write(binding, 0, 0, FILE_BYTES);

	__atomic_store_n(&frozen_result, n, __ATOMIC_SEQ_CST);
	return NULL;
}

static void writes_wait_for_the_thaw_and_reads_do_not(const void *arg)
{
	struct io_uring_cqe *cqe;
	pthread_t thread;
	u64 start;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	SYS(ioctl(fd, FIFREEZE, 0));
	pthread_create(&thread, NULL, write_while_frozen, NULL);
	start = now_us();
	drw_prep(io_uring_get_sqe(&ring), binding, DMABUF_RW_URING_WRITE, 0, 0, 4096, 0);
	CHECK_EQ(io_uring_submit(&ring), 1);
	CHECK(now_us() - start < 5000000, "submitting took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	usleep(300000);
	CHECK_EQ(__atomic_load_n(&frozen_result, __ATOMIC_SEQ_CST), -1);
	CHECK_EQ(io_uring_peek_cqe(&ring, &cqe), -EAGAIN);
	/* Elsewhere in the buffer, since the writes read from its beginning. */
	CHECK_EQ(drw_read(binding, 0, MiB, FILE_BYTES), FILE_BYTES);
	buf_check(&buf, MiB, FILE_BYTES, TAG, 0);
	SYS(ioctl(fd, FITHAW, 0));
	pthread_join(thread, NULL);
	CHECK_EQ(frozen_result, FILE_BYTES);
	OK(io_uring_wait_cqe(&ring, &cqe));
	CHECK_EQ(cqe->res, 4096);
	io_uring_cqe_seen(&ring, cqe);
	/* The last close on a frozen file system waits for nobody. */
	CHECK_EQ(drw_write(binding, 0, 0, FILE_BYTES), FILE_BYTES);
	SYS(ioctl(fd, FIFREEZE, 0));
	start = now_us();
	close(binding);
	CHECK(now_us() - start < 5000000, "close took %llu ms",
	      (unsigned long long)(now_us() - start) / 1000);
	SYS(ioctl(fd, FITHAW, 0));
	CHECK(!file_is_pinned(fd));
	io_uring_queue_exit(&ring);
	close(fd);
	fs_finish(&fs);
}

static volatile bool stop;

static void *transfer_on_and_on(void *arg)
{
	unsigned int *rounds = arg;

	while (!stop) {
		buf_fill(&buf, 0, FILE_BYTES, *rounds, 0);
		CHECK_EQ(drw_write(binding, 0, 0, FILE_BYTES), FILE_BYTES);
		CHECK_EQ(drw_read(binding, 0, MiB, FILE_BYTES), FILE_BYTES);
		buf_check(&buf, MiB, FILE_BYTES, *rounds, 0);
		++*rounds;
	}
	return NULL;
}

static void the_file_system_grows_while_transfers_run(const void *arg)
{
	unsigned int rounds = 0;
	pthread_t thread;

	/* Made smaller than the disk. */
	fs_make(&fs, arg, ROLE, 48 * MiB, "", "");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	binding = OK(drw_bind(buf.fd, fd));
	pthread_create(&thread, NULL, transfer_on_and_on, &rounds);
	usleep(50000);
	if (fs_is_xfs(&fs))
		CHECK_EQ(sh("xfs_growfs %s", fs.dir), 0);
	else
		CHECK_EQ(sh("resize2fs %s", fs.disk.path), 0);
	usleep(50000);
	stop = true;
	pthread_join(thread, NULL);
	CHECK(rounds > 1, "%u", rounds);
	file_check(fd, 0, FILE_BYTES, rounds - 1);
	close(binding);
	close(fd);
	/* There is room for what did not fit before. */
	close(file_make(&fs, "g", 60 * MiB, 3));
	fs_finish(&fs);
}

/* ---- who holds it ---------------------------------------------------------------------- */

static void only_the_last_unbind_lets_go(const void *arg)
{
	struct dmabuf_rw_bind why;
	struct buf second;
	int again, b[4];

	open_all(arg);
	buf_create(&second, &exporter_udmabuf, BUF_BYTES);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	again = fs_open(&fs, "f", O_RDONLY);
	CHECK(!file_is_pinned(fd));
	b[0] = OK(drw_bind(buf.fd, fd));
	b[1] = OK(drw_bind(second.fd, fd));
	b[2] = OK(drw_bind(buf.fd, again));
	b[3] = SYS(dup(b[0]));
	/* A bind that fails neither takes nor gives. */
	FAILS(drw_bind_why(second.fd, fd, DMABUF_RW_BIND_DEVICE_MEMORY, &why), EXDEV);
	for (int i = 0; i < 4; i++) {
		CHECK(file_is_pinned(fd), "after %d closes", i);
		binding = b[3];
		check_transfers(TAG);
		close(b[i]);
	}
	CHECK(!file_is_pinned(fd), "after the last close");

	FAILS(drw_bind_why(second.fd, fd, DMABUF_RW_BIND_DEVICE_MEMORY, &why), EXDEV);
	CHECK(!file_is_pinned(fd), "after a bind that failed for the buffer");
	OK(mock_fault(&buf, (struct mock_fault){ .attach_errno = EBUSY }));
	FAILS(drw_bind(buf.fd, fd), EREMOTEIO);
	CHECK(!file_is_pinned(fd), "after a bind that the exporter refused");
	OK(mock_fault(&buf, (struct mock_fault){}));
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(TAG);
	close(binding);
	close(again);
	close(fd);
	fs_finish(&fs);
}

static void run_until_killed(void)
{
	int b = OK(drw_bind(buf.fd, fd));
	struct io_uring own;

	drw_ring(&own, 64, 0);
	for (;;) {
		struct io_uring_cqe *cqe;

		for (int i = 0; i < 32; i++)
			drw_prep(io_uring_get_sqe(&own), b, i & 1 ? DMABUF_RW_URING_READ :
				 DMABUF_RW_URING_WRITE, i * 7777 % 100000, i * 32768,
				 20000 + i, 0);
		OK(io_uring_submit(&own));
		for (int i = 0; i < 32; i++) {
			OK(io_uring_wait_cqe(&own, &cqe));
			CHECK(cqe->res > 0, "%d", cqe->res);
			io_uring_cqe_seen(&own, cqe);
		}
	}
}

static void a_killed_process_lets_go(const void *arg)
{
	int status, tries;
	pid_t pid;

	open_all(arg);
	fd = file_make(&fs, "f", FILE_BYTES, TAG);
	for (int i = 0; i < 4; i++) {
		pid = SYS(fork());
		if (!pid)
			run_until_killed();
		usleep(20000 + i * 30000);
		kill(pid, SIGKILL);
		SYS(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", status);
		/* What a ring held goes a little later. */
		for (tries = 0; tries < 200 && file_is_pinned(fd); tries++)
			usleep(20000);
		CHECK(!file_is_pinned(fd));
	}
	mock_check_clean(&buf);
	file_fill(fd, 0, FILE_BYTES, 3);
	binding = OK(drw_bind(buf.fd, fd));
	check_transfers(3);
	close(binding);
	close(fd);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, changes_fail_while_bound_and_work_after);
		TEST_OF_KIND(i, growing_it_changes_nothing_for_transfers);
		TEST_OF_KIND(i, stores_to_its_mappings_are_SIGBUS_or_seen);
		TEST_OF_KIND(i, defragmenters_leave_it_alone);
		TEST_OF_KIND(i, its_file_system_cannot_be_unmounted);
		TEST_OF_KIND(i, an_emergency_remount_ends_writes_and_no_reads);
		TEST_OF_KIND(i, writes_wait_for_the_thaw_and_reads_do_not);
		TEST_OF_KIND(i, the_file_system_grows_while_transfers_run);
		TEST_OF_KIND(i, only_the_last_unbind_lets_go);
		TEST_OF_KIND(i, a_killed_process_lets_go);
	}
}

const struct program program = { "file_pinned", add };
