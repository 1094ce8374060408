// SPDX-License-Identifier: GPL-2.0
/*
 * file_refused.c - regular files that cannot be bound, each with its errno and reason.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "require.h"

/* Since 6.14. */
#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS	0x00100000
#endif

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

static void refused_fd(const char *what, int file, int err, u32 reason)
{
	struct dmabuf_rw_bind bind;
	int ret = drw_bind_why(buf.fd, file, 0, &bind);

	CHECK(ret == -err, "%s: bind gave %d (%s), not %s; reason %u", what, ret,
	      ret < 0 ? strerror(-ret) : "a descriptor", strerror(err), bind.reason);
	CHECK_EQ(bind.reason, reason, "%s", what);
	CHECK_EQ(bind.detail, 0, "%s", what);
	mock_check_clean(&buf);
}

static void refused(const char *what, int err, u32 reason)
{
	refused_fd(what, fd, err, reason);
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

static void directories(const void *arg)
{
	open_all(arg, "", "");
	fd = SYS(open(fs.dir, O_RDONLY | O_DIRECTORY));
	refused("directory", ENOTBLK, DMABUF_RW_REASON_NOT_BLOCK);
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
	refused_fd("verity", fd, EOPNOTSUPP, DMABUF_RW_REASON_VERITY);
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
	require_filesystem("overlay");
	CHECK_EQ(sh("cd %s && mkdir l u w m && mount -t overlay -o "
		    "lowerdir=l,upperdir=u,workdir=w overlay m", fs.dir), 0);
	fd = fs_open(&fs, "m/f", O_RDWR | O_CREAT);
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused("overlay", ENOTBLK, DMABUF_RW_REASON_OVERLAY);
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
	require_module("loop");
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

	require_module("dm-mod");
	fs_clean_up();
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
	require_module("raid0");
	fs_clean_up();
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
	CHECK_EQ(sh("mdadm --build /dev/md1 --level=raid0 --raid-devices=2 "
		    "/dev/drw/priv512p1 /dev/drw/priv512p2"), 0);
	on_stacked("/dev/md1", arg);
	CHECK_EQ(sh("mdadm --stop /dev/md1"), 0);
}

/* What has blocks on the disk as ext4 has, of a file system whose promises nobody has looked at. */
struct other {
	const char *type;
	const char *mkfs;
	const char *modules[2];		/* that it needs and the kernel does not find by itself */
};

static void other_file_system(const void *arg)
{
	const struct other *o = arg;
	struct disk d;

	disk_open(&d, ROLE);
	close(d.fd);
	buf_create(&buf, &exporter_mock_scattered, FILE_BYTES);
	require_filesystem(o->type);
	for (size_t i = 0; i < ARRAY_SIZE(o->modules) && o->modules[i]; i++)
		require_module(o->modules[i]);
	fs_clean_up();
	CHECK_EQ(sh("%s %s", o->mkfs, d.path), 0);
	if (sh("mkdir -p /tmp/fs.other && mount -t %s %s /tmp/fs.other", o->type, d.path))
		skip("this kernel does not mount %s", o->type);
	fd = SYS(open("/tmp/fs.other/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	file_fill(fd, 0, FILE_BYTES, 1);
	SYS(fsync(fd));
	refused_fd(o->type, fd, ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
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
	refused_fd("no descriptor left", fd, EMFILE, DMABUF_RW_REASON_NONE);
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
	refused_fd("swap file", fd, ETXTBSY, DMABUF_RW_REASON_SWAP_FILE);
	/* A refusal must not take what is the swap's. */
	CHECK(pwrite(fd, "x", 1, 0) == -1 && errno == ETXTBSY, "it is no swap file any more");
	SYS(swapoff(fs_path(&fs, "f")));
	bindable("no longer a swap file");
	fs_finish(&fs);
}

/* What is read from it may be on another machine still, and only read(2) would wait for it. */
static void filled_by_a_daemon(const void *arg)
{
	int group;

	open_all(arg, "", "");
	close(file_make(&fs, "f", FILE_BYTES, 1));
	group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	if (group < 0)
		skip("this kernel has no pre-content events: %s", strerror(errno));
	if (fanotify_mark(group, FAN_MARK_ADD, FAN_PRE_ACCESS, AT_FDCWD, fs_path(&fs, "f")))
		skip("this kernel has no FAN_PRE_ACCESS: %s", strerror(errno));
	fd = fs_open(&fs, "f", O_RDONLY);
	refused("watched by a daemon", EOPNOTSUPP, DMABUF_RW_REASON_ON_DEMAND);
	close(group);
	fd = fs_open(&fs, "f", O_RDONLY);
	bindable("no longer watched");
	fs_finish(&fs);
}

static void add(void)
{
	static const struct other others[] = {
		{ "ext2", "/usr/sbin/mke2fs -q -F -t ext2 -b 4096" },
		{ "ext3", "/usr/sbin/mke2fs -q -F -t ext3 -b 4096" },
		{ "vfat", "busybox mkdosfs", { "nls_cp437", "nls_ascii" } },
	};

	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND_NAMED(i, directories, "directories_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, overlay, "files_on_overlay_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, on_loop, "files_on_loop_devices_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, on_device_mapper, "files_on_device_mapper_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, on_md, "files_on_md_are_ENOTBLK");
		TEST_OF_KIND_NAMED(i, full_descriptor_table, "full_descriptor_table_is_EMFILE");
		TEST_OF_KIND_NAMED(i, swap_files, "swap_files_are_ETXTBSY");
		TEST_OF_KIND_NAMED(i, filled_by_a_daemon, "files_that_a_daemon_fills_are_refused");
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		test_add(other_file_system, &others[i], "files_on_%s_are_ENOTBLK",
			 others[i].type);
	test_add(realtime_device, NULL, "files_on_a_realtime_device_are_refused.xfs");
	test_add(data_in_the_inode, NULL, "data_in_the_inode_is_refused.ext4");
	test_add(data_in_the_journal, NULL, "data_in_the_journal_is_refused.ext4");
	test_add(encrypted, NULL, "encrypted_files_are_refused.ext4");
	test_add(verity, NULL, "verity_files_are_refused.ext4");
	test_add(dax, NULL, "files_with_DAX_are_refused");
}

const struct program program = { "file_refused", add };
