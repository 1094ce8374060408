// SPDX-License-Identifier: GPL-2.0
/*
 * remote.c - storage behind a network: what the module refuses, the library can bounce.
 *
 * Both ends are in this machine, joined by the loopback device: an NVMe target and host over
 * TCP, and an NFS server and client.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(2 * MiB)
#define NVMET		"/sys/kernel/config/nvmet"
#define EXPORTED	"/tmp/exported"
#define IMPORTED	"/tmp/imported"

static struct disk disk;	/* what is behind it all */
static struct buf buf;
static u8 *got, *want;

static void open_all(const char *role)
{
	disk_open(&disk, role);
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	got = data_alloc(BUF_BYTES);
	want = data_alloc(BUF_BYTES);
	CHECK_EQ(sh("ip link set lo up && "
		    "{ ip addr add 127.0.0.1/8 dev lo 2>/dev/null; true; }"), 0);
}

static void need_modules(const char *names)
{
	if (sh("for m in %s; do modprobe $m || exit 1; done", names))
		skip("this kernel has not all modules of: %s", names);
}

/* The module must say no; the library, if it may bounce, must do it and say so. */
static void refused_and_bounced(int fd, int err, u32 reason)
{
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .allow_bounce = 1 };
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_device *device;
	struct dmabuf_rw_error error;
	struct dmabuf_rw_bind bind;
	const u64 at = MiB, len = BUF_BYTES - 8192;
	int ret;

	ret = drw_bind_why(buf.fd, fd, 0, &bind);
	CHECK(ret == -err && bind.reason == reason, "bind gave %d (%s), reason %u", ret,
	      strerror(-ret), bind.reason);

	OK(dmabuf_rw_device_open(NULL, &device));
	FAILS(dmabuf_rw_binding_create(device, buf.fd, fd, NULL, &binding), err);
	OK(dmabuf_rw_binding_create(device, buf.fd, fd, &opts, &binding));
	CHECK_EQ(dmabuf_rw_binding_refusal(binding, &error), 1);
	CHECK_EQ(error.err, err);
	CHECK_EQ(error.reason, reason);
	note("bounced, because: %s", dmabuf_rw_error_cause(&error));
	OK(dmabuf_rw_binding_info(binding, &info));
	CHECK(info.flags & DMABUF_RW_INFO_BOUNCE_ONLY);

	buf_fill(&buf, 0, BUF_BYTES, 1, 0);
	CHECK_EQ(dmabuf_rw_write(binding, at, 4096, len, 0, &result), len);
	CHECK_EQ(result.path, DMABUF_RW_PATH_BOUNCED);
	CHECK_EQ(result.bounced_bytes, len);
	CHECK_EQ(result.direct_bytes, 0);
	SYS(fsync(fd));

	/* Back into another place, from an odd one. */
	buf_fill(&buf, 0, BUF_BYTES, 2, 0);
	CHECK_EQ(dmabuf_rw_read(binding, at + 4321, 1234, 1000001, 0, &result), 1000001);
	CHECK_EQ(result.path, DMABUF_RW_PATH_BOUNCED);
	CHECK_EQ(result.bounced_bytes, 1000001);
	data_fill(want, BUF_BYTES, 2, 0);
	data_fill(want + 1234, 1000001, 1, 4096 + 4321);
	buf_get(&buf, 0, got, BUF_BYTES);
	data_check("buffer", got, want, BUF_BYTES, 0);

	OK(dmabuf_rw_binding_stats(binding, &stats));
	CHECK_EQ(stats.bounced_transfers, 2);
	CHECK_EQ(stats.bounced_bytes, len + 1000001);
	CHECK_EQ(stats.direct_bytes, 0);
	dmabuf_rw_binding_destroy(binding);
	dmabuf_rw_device_close(device);
}

/* Nodes come and go: find the one of a subsystem. */
static void find_disk(const char *nqn, char *path, size_t size)
{
	path[0] = 0;
	for (int i = 0; i < 200 && !path[0]; i++) {
		FILE *f;
		char command[256];

		snprintf(command, sizeof(command),
			 "for d in /sys/block/nvme*; do n=/dev/${d##*/}; [ -b $n ] && "
			 "grep -qs '^%s$' $d/device/subsysnqn && echo $n; done", nqn);
		f = popen(command, "r");
		if (fgets(path, size, f))
			path[strcspn(path, "\n")] = 0;
		pclose(f);
		usleep(20000);
	}
	CHECK(path[0], "no disk came");
}

static void nvme_over_tcp_is_refused_and_bounces(const void *arg)
{
	char path[64];
	int fd;

	open_all("priv512p2");
	need_modules("nvmet-tcp nvme-tcp");
	if (access(NVMET, F_OK))
		sh("mount -t configfs none /sys/kernel/config");
	CHECK_EQ(sh("cd " NVMET " && mkdir subsystems/tcp subsystems/tcp/namespaces/1 ports/7 "
		    "&& echo 1 >subsystems/tcp/attr_allow_any_host "
		    "&& echo %s >subsystems/tcp/namespaces/1/device_path "
		    "&& echo 1 >subsystems/tcp/namespaces/1/enable && cd ports/7 "
		    "&& echo tcp >addr_trtype && echo ipv4 >addr_adrfam "
		    "&& echo 127.0.0.1 >addr_traddr && echo 4420 >addr_trsvcid "
		    "&& ln -s " NVMET "/subsystems/tcp subsystems/tcp", disk.path), 0);
	CHECK_EQ(sh("nvme connect -t tcp -a 127.0.0.1 -s 4420 -n tcp"), 0);
	find_disk("tcp", path, sizeof(path));
	fd = SYS(open(path, O_RDWR | O_CLOEXEC));
	/* Behind a multipath head, what is looked for is a path on PCI. */
	if (machine_has_multipath())
		refused_and_bounced(fd, ENODEV, DMABUF_RW_REASON_NO_PATH);
	else
		refused_and_bounced(fd, EPROTONOSUPPORT, DMABUF_RW_REASON_NOT_PCI);
	/* It is on the disk behind the network. */
	disk_check(&disk, MiB, BUF_BYTES - 8192, 1, 4096);
	close(fd);
	CHECK_EQ(sh("nvme disconnect -n tcp"), 0);
	CHECK_EQ(sh("cd " NVMET " && rm ports/7/subsystems/tcp && rmdir ports/7 "
		    "subsystems/tcp/namespaces/1 subsystems/tcp"), 0);
}

/*
 * What mountd would answer, the server is told before it asks: who 127.0.0.1 is, and that
 * the directory is exported to it as the root of all exports (flags of linux/nfsd/export.h:
 * fsid, no subtree check, any port).
 */
static void start_nfs_server(void)
{
	CHECK_EQ(sh("grep -q ' nfsd ' /proc/mounts || mount -t nfsd nfsd /proc/fs/nfsd"), 0);
	CHECK_EQ(sh("cd /proc/fs/nfsd && echo '-3 +4' >versions && echo 10 >nfsv4leasetime && "
		    "echo 10 >nfsv4gracetime"), 0);
	CHECK_EQ(sh("cd /proc/net/rpc && never=2147483647 && "
		    "echo \"nfsd 127.0.0.1 $never here\" >auth.unix.ip/channel && "
		    "echo \"here " EXPORTED " $never 9218 65534 65534 0\" >nfsd.export/channel && "
		    "echo \"here 1 \\\\x00000000 $never " EXPORTED "\" >nfsd.fh/channel"), 0);
	CHECK_EQ(sh("cd /proc/fs/nfsd && echo 'tcp 2049' >portlist && echo 2 >threads"), 0);
}

static void nfs_is_refused_and_bounces(const void *arg)
{
	int fd, behind;

	open_all("priv512p1");
	need_modules("nfsd nfsv4");
	SYS(mkdir(EXPORTED, 0755));
	SYS(mkdir(IMPORTED, 0755));
	CHECK_EQ(sh("mkfs.ext4 -q -F %s", disk.path), 0);
	SYS(mount(disk.path, EXPORTED, "ext4", 0, NULL));
	start_nfs_server();
	SYS(mount("127.0.0.1:/", IMPORTED, "nfs4", 0,
		  "vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,sec=sys"));
	/* The server's grace period passes before this returns. */
	fd = SYS(open(IMPORTED "/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	SYS(ftruncate(fd, 4 * MiB));
	refused_and_bounced(fd, ENOTBLK, DMABUF_RW_REASON_FILESYSTEM);
	close(fd);

	/* It is in the server's file. */
	behind = SYS(open(EXPORTED "/file", O_RDONLY | O_CLOEXEC));
	CHECK_EQ(pread(behind, got, BUF_BYTES - 8192, MiB), BUF_BYTES - 8192);
	data_fill(want, BUF_BYTES - 8192, 1, 4096);
	data_check("the server's file", got, want, BUF_BYTES - 8192, MiB);
	close(behind);
	SYS(umount(IMPORTED));
	CHECK_EQ(sh("echo 0 >/proc/fs/nfsd/threads"), 0);
	/* Or it would hold the file system until its entry expires. */
	CHECK_EQ(sh("for c in nfsd.fh nfsd.export; do date +%%s >/proc/net/rpc/$c/flush; done; "
		    "umount " EXPORTED), 0);
}

static void add(void)
{
	const char *config = getenv("DRW_CONFIG");

	TEST(nvme_over_tcp_is_refused_and_bounces);
	/* The shortest grace period has ten seconds: once for each kernel is enough. */
	if (config && !strcmp(config, "strict"))
		TEST(nfs_is_refused_and_bounces);
}

const struct program program = { "remote", add };
