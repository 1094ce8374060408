// SPDX-License-Identifier: GPL-2.0
/*
 * file_refused.c - regular files that cannot be bound, each with its errno and reason, and
 * that a refused file is left as it was.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"

#define ROLE		"priv512p2"
#define FILE_BYTES	(64 * KiB)

static struct fs fs;
static struct buf buf;
static int fd;

static void open_all(const char *kind, const char *mkfs, const char *options)
{
	fs_make(&fs, kind, ROLE, 0, mkfs, options);
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
}

static void refused_fd(const char *what, int file, u64 flags, int err, u32 reason)
{
	struct dmabuf_rw_bind bind;
	int ret = drw_bind_why(buf.fd, file, flags, &bind);

	CHECK(ret == -err, "%s: bind gave %d (%s), not %s; reason %u", what, ret,
	      ret < 0 ? strerror(-ret) : "a descriptor", strerror(err), bind.reason);
	CHECK_EQ(bind.reason, reason, "%s", what);
	CHECK_EQ(bind.detail, 0, "%s", what);
	mock_check_clean(&buf);
}

/* And the file is no swap file after that. */
static void refused(const char *what, int err, u32 reason)
{
	refused_fd(what, fd, 0, err, reason);
	CHECK(!file_is_pinned(fd), "%s: it is pinned", what);
	close(fd);
}

static void bindable(const char *what)
{
	int b = drw_bind(buf.fd, fd);

	CHECK(b >= 0, "%s: %s", what, strerror(-b));
	CHECK_EQ(drw_read(b, 0, 0, 512), 512, "%s", what);
	close(b);
	close(fd);
}

static void holes(const void *arg)
{
	static const struct {
		u64 at, len;
	} data[] = { { 0, 4096 }, { FILE_BYTES - 1, 1 }, { 4096, 4096 }, { 0, FILE_BYTES - 4096 } };

	open_all(arg, "", "");
	fd = fs_open(&fs, "all", O_RDWR | O_CREAT);
	SYS(ftruncate(fd, FILE_BYTES));
	refused("nothing but a hole", EOPNOTSUPP, DMABUF_RW_REASON_HOLE);
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		fd = fs_open(&fs, "f", O_RDWR | O_CREAT | O_TRUNC);
		file_fill(fd, data[i].at, data[i].len, 1);
		SYS(ftruncate(fd, FILE_BYTES));
		SYS(fsync(fd));
		refused("hole", EOPNOTSUPP, DMABUF_RW_REASON_HOLE);
	}
	/* As many blocks as its size needs, but not where they are needed. */
	fd = fs_open(&fs, "g", O_RDWR | O_CREAT);
	file_fill(fd, 0, 8192, 1);
	SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 256 * KiB, FILE_BYTES));
	SYS(ftruncate(fd, FILE_BYTES));
	SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 256 * KiB, FILE_BYTES));
	SYS(fsync(fd));
	refused_fd("hole and blocks behind the end", fd, 0, EOPNOTSUPP,
		   fs_is_xfs(&fs) ? DMABUF_RW_REASON_SHARED : DMABUF_RW_REASON_HOLE);
	close(fd);
	fs_finish(&fs);
}

static void empty_files_and_directories(const void *arg)
{
	open_all(arg, "", "");
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	refused("empty", EOPNOTSUPP, DMABUF_RW_REASON_EMPTY);
	fd = fs_open(&fs, "f", O_RDWR);
	SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192));
	refused("blocks, but no byte", EOPNOTSUPP, DMABUF_RW_REASON_EMPTY);
	fd = SYS(open(fs.dir, O_RDONLY | O_DIRECTORY));
	refused_fd("directory", fd, 0, ENOTBLK, DMABUF_RW_REASON_NOT_BLOCK);
	close(fd);
	fs_finish(&fs);
}

static void shared_blocks(const void *arg)
{
	int g, b;

	open_all("xfs", "-m reflink=1", "");
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	g = fs_open(&fs, "g", O_RDWR | O_CREAT);
	SYS(ioctl(g, FICLONE, fd));
	SYS(fsync(g));
	refused("source of a clone", EOPNOTSUPP, DMABUF_RW_REASON_SHARED);
	fd = dup(g);
	refused("clone", EOPNOTSUPP, DMABUF_RW_REASON_SHARED);
	/* With blocks of its own it can be bound, but XFS does not tell what is written. */
	SYS(unlink(fs_path(&fs, "f")));
	close(g);
	fd = fs_open(&fs, "g", O_RDWR);
	file_fill(fd, 0, FILE_BYTES, 2);
	SYS(fsync(fd));
	b = drw_bind(buf.fd, fd);
	if (b >= 0) {
		s64 n = drw_read(b, 0, 0, 4096);

		CHECK(n == 4096 || n == -ENXIO, "%lld", (long long)n);
		if (n > 0)
			buf_check(&buf, 0, 4096, 2, 0);
		close(b);
	} else {
		CHECK_EQ(b, -EOPNOTSUPP);
	}
	close(fd);
	fs_finish(&fs);
}

static void data_in_the_inode(const void *arg)
{
	open_all("ext4", "-O inline_data", "");
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	file_fill(fd, 0, 50, 1);
	SYS(fsync(fd));
	refused("inline data", EOPNOTSUPP, DMABUF_RW_REASON_NO_DIRECT);
	fd = file_make(&fs, "g", FILE_BYTES, 1);
	bindable("larger file");
	fs_finish(&fs);
}

static void data_in_the_journal(const void *arg)
{
	open_all("ext4", "", "data=journal");
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	refused("data=journal", EOPNOTSUPP, DMABUF_RW_REASON_NO_DIRECT);
	fs_unmount(&fs);
	/* Single files have it only without delayed allocation. */
	CHECK_EQ(fs_mount(&fs, "nodelalloc"), 0);
	fd = fs_open(&fs, "f", O_RDWR);
	bindable("journal for metadata only");
	CHECK_EQ(sh("chattr +j %s", fs_path(&fs, "f")), 0);
	fd = fs_open(&fs, "f", O_RDWR);
	refused("chattr +j", EOPNOTSUPP, DMABUF_RW_REASON_NO_DIRECT);
	CHECK_EQ(sh("chattr -j %s", fs_path(&fs, "f")), 0);
	fd = fs_open(&fs, "f", O_RDWR);
	bindable("chattr -j");
	fs_finish(&fs);
}

struct blocks {
	const char *kind;
	const char *mkfs;
};

static void small_blocks(const void *arg)
{
	const struct blocks *b = arg;

	open_all(b->kind, b->mkfs, "");
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	refused(b->mkfs, EOPNOTSUPP, DMABUF_RW_REASON_BLOCK_SIZE);
	fs_finish(&fs);
}

static void encrypted(const void *arg)
{
	struct {
		struct fscrypt_add_key_arg arg;
		u8 raw[64];
	} key = { .arg = { .key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER, .raw_size = 64 } };
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
	};
	int dir;

	open_all("ext4", "-O encrypt", "");
	SYS(mkdir(fs_path(&fs, "d"), 0700));
	dir = SYS(open(fs_path(&fs, "d"), O_RDONLY | O_DIRECTORY));
	for (int i = 0; i < 64; i++)
		key.raw[i] = i;
	if (ioctl(dir, FS_IOC_ADD_ENCRYPTION_KEY, &key))
		skip("this kernel takes no key: %s", strerror(errno));
	memcpy(policy.master_key_identifier, key.arg.key_spec.u.identifier,
	       FSCRYPT_KEY_IDENTIFIER_SIZE);
	if (ioctl(dir, FS_IOC_SET_ENCRYPTION_POLICY, &policy))
		skip("this kernel does not encrypt: %s", strerror(errno));
	close(dir);
	fd = open(fs_path(&fs, "d/f"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		skip("this kernel does not encrypt: %s", strerror(errno));
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused("encrypted", EOPNOTSUPP, DMABUF_RW_REASON_ENCRYPTED);
	fd = file_make(&fs, "g", FILE_BYTES, 1);
	bindable("beside it");
	fs_finish(&fs);
}

static void verity(const void *arg)
{
	struct fsverity_enable_arg enable = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = 4096,
	};

	open_all("ext4", "-O verity", "");
	close(file_make(&fs, "f", FILE_BYTES, 1));
	fd = fs_open(&fs, "f", O_RDONLY);
	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &enable))
		skip("this kernel has no fs-verity: %s", strerror(errno));
	refused_fd("verity", fd, 0, EOPNOTSUPP, DMABUF_RW_REASON_VERITY);
	close(fd);
	fs_finish(&fs);
}

static void dax(const void *arg)
{
	skip("no NVMe drive can do DAX");
}

static void realtime_device(const void *arg)
{
	struct disk rt;
	char mkfs[96], options[96];

	disk_open(&rt, "priv512p1");
	snprintf(mkfs, sizeof(mkfs), "-r rtdev=%s,size=64m", rt.path);
	snprintf(options, sizeof(options), "rtdev=%s", rt.path);
	open_all("xfs", mkfs, options);
	fd = fs_open(&fs, "f", O_RDWR | O_CREAT);
	CHECK_EQ(sh("xfs_io -c 'chattr +r' %s", fs_path(&fs, "f")), 0);
	SYS(fallocate(fd, 0, 0, FILE_BYTES));
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused("realtime", EOPNOTSUPP, DMABUF_RW_REASON_REALTIME);
	fd = file_make(&fs, "g", FILE_BYTES, 1);
	bindable("on the data device");
	fs_unmount(&fs);
	/* The checker wants to be told of the other device. */
	CHECK_EQ(sh("xfs_repair -n -P -o bhash=64 -r %s %s", rt.path, fs.disk.path), 0);
}

static void overlay(const void *arg)
{
	open_all(arg, "", "");
	if (sh("modprobe overlay"))
		skip("this kernel has no overlay file system");
	CHECK_EQ(sh("cd %s && mkdir l u w m && mount -t overlay -o "
		    "lowerdir=l,upperdir=u,workdir=w overlay m", fs.dir), 0);
	fd = fs_open(&fs, "m/f", O_RDWR | O_CREAT);
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused_fd("overlay", fd, 0, ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	close(fd);
	CHECK_EQ(sh("umount %s/m", fs.dir), 0);
	/* The same file below it. */
	fd = fs_open(&fs, "u/f", O_RDWR);
	bindable("upper file");
	fs_finish(&fs);
}

/* A file system on a device that is stacked: made and mounted by hand. */
static void on_stacked(const char *device, const char *kind)
{
	for (int i = 0; i < 100 && access(device, F_OK); i++)
		usleep(20000);
	CHECK_EQ(sh("mkdir -p /tmp/fs.stacked; /usr/sbin/%s %s && mount -t %s %s /tmp/fs.stacked",
		    strcmp(kind, "xfs") ? "mke2fs -q -F -t ext4 -b 4096" :
		    "mkfs.xfs -q -f --unsupported", device, kind, device), 0);
	fd = SYS(open("/tmp/fs.stacked/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused(device, ENOTBLK, DMABUF_RW_REASON_STACKED);
	CHECK_EQ(sh("umount /tmp/fs.stacked"), 0);
}

static void on_loop(const void *arg)
{
	open_all(arg, "", "");
	if (sh("modprobe loop"))
		skip("this kernel has no loop devices");
	fd = fs_open(&fs, "image", O_RDWR | O_CREAT);
	SYS(fallocate(fd, 0, 0, 32 * MiB));
	CHECK_EQ(sh("losetup /dev/loop1 %s", fs_path(&fs, "image")), 0);
	/* The file below a mounted loop device can be written to under it, as always. */
	close(fd);
	on_stacked("/dev/loop1", arg);
	CHECK_EQ(sh("losetup -d /dev/loop1"), 0);
	fs_finish(&fs);
}

static void on_device_mapper(const void *arg)
{
	struct disk d;

	if (sh("modprobe dm-mod"))
		skip("this kernel has no device mapper");
	disk_open(&d, ROLE);
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
	close(d.fd);
	CHECK_EQ(sh("echo 0 %llu linear %s 0 | DM_DISABLE_UDEV=1 dmsetup create --noudevsync "
		    "drwfile", (unsigned long long)d.bytes / 4096 * 8, d.path), 0);
	on_stacked("/dev/mapper/drwfile", arg);
	CHECK_EQ(sh("DM_DISABLE_UDEV=1 dmsetup remove --noudevsync drwfile"), 0);
}

static void on_md(const void *arg)
{
	if (sh("modprobe raid0"))
		skip("this kernel has no md raid0");
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
	CHECK_EQ(sh("mdadm --build /dev/md1 --level=raid0 --raid-devices=2 "
		    "/dev/drw/priv512p1 /dev/drw/priv512p2"), 0);
	on_stacked("/dev/md1", arg);
	CHECK_EQ(sh("mdadm --stop /dev/md1"), 0);
}

/* What has blocks on the disk as ext4 has, of a file system whose promises nobody has looked at. */
struct other {
	const char *type;
	const char *module;	/* NULL: what knows ext4 */
	const char *mkfs;
};

static void other_file_system(const void *arg)
{
	const struct other *o = arg;
	struct disk d;

	disk_open(&d, ROLE);
	close(d.fd);
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
	if (o->module && sh("modprobe %s", o->module))
		skip("this kernel has no module %s", o->module);
	CHECK_EQ(sh("%s %s", o->mkfs, d.path), 0);
	if (sh("mkdir -p /tmp/fs.other && mount -t %s %s /tmp/fs.other", o->type, d.path))
		skip("this kernel does not mount %s", o->type);
	fd = SYS(open("/tmp/fs.other/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused_fd(o->type, fd, 0, ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	refused_fd(o->type, fd, DMABUF_RW_BIND_SPARSE, ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	file_fill(fd, 0, FILE_BYTES, 2);
	file_check(fd, 0, FILE_BYTES, 2);
	close(fd);
	SYS(unlink("/tmp/fs.other/f"));
	CHECK_EQ(sh("umount /tmp/fs.other"), 0);
}

/* What was taken for the binding by then is given back. */
static void full_descriptor_table(const void *arg)
{
	struct rlimit before, limit;

	open_all(arg, "", "");
	fd = file_make(&fs, "f", FILE_BYTES, 1);
	drw_device();
	SYS(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	limit.rlim_cur = SYS(dup(0));
	close(limit.rlim_cur);
	SYS(setrlimit(RLIMIT_NOFILE, &limit));
	refused_fd("no descriptor left", fd, 0, EMFILE, DMABUF_RW_REASON_NONE);
	CHECK(!file_is_pinned(fd));
	SYS(setrlimit(RLIMIT_NOFILE, &before));
	bindable("descriptors left");
	fs_finish(&fs);
}

static void swap_files(const void *arg)
{
	open_all(arg, "", "");
	fd = file_make(&fs, "f", MiB, 1);
	CHECK_EQ(sh("mkswap %s", fs_path(&fs, "f")), 0);
	SYS(fsync(fd));
	SYS(swapon(fs_path(&fs, "f"), 0));
	refused_fd("swap file", fd, 0, ETXTBSY, DMABUF_RW_REASON_SWAP_FILE);
	refused_fd("swap file", fd, DMABUF_RW_BIND_SPARSE, ETXTBSY, DMABUF_RW_REASON_SWAP_FILE);
	/* A refusal must not take what is the swap's. */
	CHECK(file_is_pinned(fd), "it is no swap file any more");
	SYS(swapoff(fs_path(&fs, "f")));
	CHECK(!file_is_pinned(fd));
	bindable("no longer a swap file");
	fs_finish(&fs);
}

static void rights(const void *arg)
{
	int ro, rw, append, own, status;
	struct dmabuf_rw_bind why;

	open_all(arg, "", "");
	drw_device();
	close(file_make(&fs, "f", FILE_BYTES, 1));
	close(file_make(&fs, "a", FILE_BYTES, 1));
	close(file_make(&fs, "own", FILE_BYTES, 1));
	SYS(chown(fs_path(&fs, "own"), 65534, 65534));
	CHECK_EQ(sh("chattr +a %s", fs_path(&fs, "a")), 0);
	ro = fs_open(&fs, "f", O_RDONLY);
	rw = fs_open(&fs, "f", O_RDWR);
	own = fs_open(&fs, "own", O_RDONLY);
	append = fs_open(&fs, "a", O_RDWR | O_APPEND);
	if (!SYS(fork())) {
		SYS(setresgid(65534, 65534, 65534));
		SYS(setresuid(65534, 65534, 65534));
		refused_fd("read-only, of another", ro, 0, EACCES, DMABUF_RW_REASON_PIN_ACCESS);
		refused_fd("append-only, of another", append, 0, EACCES,
			   DMABUF_RW_REASON_PIN_ACCESS);
		close(OK(drw_bind(buf.fd, rw)));
		close(OK(drw_bind(buf.fd, own)));
		/* Also when somebody else has bound it: what the one may is not what another may. */
		OK(drw_bind(buf.fd, rw));
		FAILS(drw_bind_why(buf.fd, ro, 0, &why), EACCES);
		CHECK_EQ(why.reason, DMABUF_RW_REASON_PIN_ACCESS);
		_exit(0);
	}
	SYS(wait(&status));
	if (status)
		_exit(1);
	/* The superuser owns everything. */
	close(OK(drw_bind(buf.fd, ro)));
	CHECK(!file_is_pinned(rw));
	close(ro);
	close(rw);
	close(own);
	close(append);
	CHECK_EQ(sh("chattr -a %s", fs_path(&fs, "a")), 0);
	mock_check_clean(&buf);
	fs_finish(&fs);
}

static void add(void)
{
	static const struct blocks blocks[] = {
		{ "ext4", "-b 1024" }, { "ext4", "-b 2048" },
		{ "xfs", "-b size=1024" }, { "xfs", "-b size=2048" },
	};

	static const struct other others[] = {
		{ "ext2", NULL, "/usr/sbin/mke2fs -q -F -t ext2 -b 4096" },
		{ "ext3", NULL, "/usr/sbin/mke2fs -q -F -t ext3 -b 4096" },
		{ "vfat", "vfat", "busybox mkdosfs" },
	};

	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND_NAMED(i, holes, "holes_are_refused_unless_allowed");
		TEST_OF_KIND_NAMED(i, empty_files_and_directories, "empty_files_and_directories_are_refused");
		TEST_OF_KIND_NAMED(i, overlay, "files_on_overlay_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, on_loop, "files_on_loop_devices_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, on_device_mapper, "files_on_device_mapper_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, on_md, "files_on_md_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, full_descriptor_table, "full_descriptor_table_is_EMFILE");
		TEST_OF_KIND_NAMED(i, swap_files, "swap_files_are_ETXTBSY");
		TEST_OF_KIND_NAMED(i, rights, "only_who_may_change_it_may_bind_it");
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		test_add(other_file_system, &others[i], "files_on_%s_are_ENOTBLK",
			 others[i].type);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		test_add(small_blocks, &blocks[i], "blocks_below_a_page_are_refused.%s.%s",
			 blocks[i].kind, strpbrk(blocks[i].mkfs, "12"));
	test_add(shared_blocks, NULL, "reflinked_files_are_refused.xfs");
	test_add(realtime_device, NULL, "files_on_a_realtime_device_are_refused.xfs");
	test_add(data_in_the_inode, NULL, "data_in_the_inode_is_refused.ext4");
	test_add(data_in_the_journal, NULL, "data_in_the_journal_is_refused.ext4");
	test_add(encrypted, NULL, "encrypted_files_are_refused.ext4");
	test_add(verity, NULL, "verity_files_are_refused.ext4");
	test_add(dax, NULL, "files_with_DAX_are_refused");
}

const struct program program = { "file_refused", add };
