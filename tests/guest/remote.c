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
	CHECK_EQ(sh("ip link set lo up && { ip addr add 127.0.0.1/8 dev lo 2>/dev/null; true; }"), 0);
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

static void add(void)
{
	TEST(nvme_over_tcp_is_refused_and_bounces);
}

const struct program program = { "remote", add };
