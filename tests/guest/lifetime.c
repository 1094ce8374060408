// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime.c - who may end before whom: processes, descriptors, the module.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"

#define BUF_BYTES	(2 * MiB)
#define AT		(32 * MiB)
#define MODULE		"/usr/lib/dmabuf-rw/dmabuf_rw.ko"

static struct disk disk;
static struct buf buf;
static int binding;

static void open_all(void)
{
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
}

static void check_works(int b, u64 tag)
{
	disk_fill(&disk, AT, 64 * KiB, tag, 0);
	CHECK_EQ(drw_read(b, AT, 8192, 64 * KiB), 64 * KiB);
	buf_check(&buf, 8192, 64 * KiB, tag, 0);
	CHECK_EQ(drw_write(b, AT + MiB, 8192, 64 * KiB), 64 * KiB);
	disk_check(&disk, AT + MiB, 64 * KiB, tag, 0);
}

static void binding_holds_what_it_joins(const void *arg)
{
	struct disk other;
	struct buf udma;
	u8 *got = data_alloc(64 * KiB), *want = data_alloc(64 * KiB);
	int b;

	disk_open(&disk, "priv512p1");
	disk_open(&other, "priv512p1");
	buf_create(&udma, &exporter_udmabuf, 64 * KiB);
	b = OK(drw_bind(udma.fd, other.fd));
	close(other.fd);
	close(udma.fd);
	disk_fill(&disk, AT, 64 * KiB, 3, 0);
	CHECK_EQ(drw_read(b, AT, 0, 64 * KiB), 64 * KiB);
	data_fill(want, 64 * KiB, 3, 0);
	memcpy(got, udma.map, 64 * KiB);
	data_check("buffer", got, want, 64 * KiB, 0);
	close(b);
}

static void last_close_unbinds(const void *arg)
{
	struct mock_query q;
	int copy;

	open_all();
	copy = SYS(dup(binding));
	close(binding);
	mock_query(&buf, &q);
	CHECK_EQ(q.attached, 1);
	check_works(copy, 1);
	close(copy);
	mock_check_clean(&buf);
}

static void child_inherits_a_binding(const void *arg)
{
	int status;
	pid_t pid;

	open_all();
	pid = fork();
	if (!pid) {
		usleep(200000);
		check_works(binding, 2);
		_exit(0);
	}
	close(binding);
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	mock_check_clean(&buf);
}

static void binding_is_closed_on_exec(const void *arg)
{
	open_all();
	CHECK_EQ(SYS(fcntl(binding, F_GETFD)), FD_CLOEXEC);
}

static void send_fd(int sock, int fd)
{
	char data = 'x', control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { &data, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	SYS(sendmsg(sock, &msg, 0));
}

static int receive_fd(int sock)
{
	char data, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { &data, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int fd;

	SYS(recvmsg(sock, &msg, 0));
	c = CMSG_FIRSTHDR(&msg);
	CHECK(c && c->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* Rights go with the descriptor: the receiver has opened neither disk nor node. */
static void binding_outlives_the_process_that_made_it(const void *arg)
{
	int s[2], status;
	pid_t pid;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid = fork();
	if (!pid) {
		binding = OK(drw_bind(buf.fd, disk.fd));
		send_fd(s[0], binding);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	pid = fork();
	if (!pid) {
		SYS(setresuid(65534, 65534, 65534));
		check_works(receive_fd(s[1]), 4);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	close(s[0]);
	close(s[1]);
	mock_check_clean(&buf);
}

static void *sync_load(void *arg)
{
	for (u64 i = 0;; i++)
		drw_read(binding, AT + i % 64 * MiB, 0, MiB);
	return NULL;
}

static void killed_process_leaves_nothing(const void *arg)
{
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	for (int round = 0; round < 5; round++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			pthread_t t;

			binding = OK(drw_bind(buf.fd, disk.fd));
			for (int i = 0; i < 3; i++)
				pthread_create(&t, NULL, sync_load, NULL);
			pause();
		}
		usleep(150000 + round * 20000);
		SYS(kill(pid, SIGKILL));
		SYS(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status), "%#x", status);
		mock_check_clean(&buf);
	}
}

/* A call in progress keeps its binding; the descriptor's number may mean nothing by then. */
static void *load_until_closed(void *arg)
{
	u64 *done = arg;
	s64 n;

	for (;;) {
		n = drw_read(binding, AT, 0, BUF_BYTES);
		if (n == -EBADF)
			return NULL;
		CHECK_EQ(n, BUF_BYTES);
		++*done;
	}
}

static void close_during_transfers_is_harmless(const void *arg)
{
	open_all();
	disk_fill(&disk, AT, BUF_BYTES, 5, 0);
	for (int round = 0; round < 10; round++) {
		pthread_t threads[3];
		u64 done[3] = {};

		for (int i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, load_until_closed, &done[i]);
		usleep(100000);
		close(binding);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		CHECK(done[0] + done[1] + done[2], "no transfer was done");
		mock_check_clean(&buf);
		buf_check(&buf, 0, BUF_BYTES, 5, 0);
		binding = OK(drw_bind(buf.fd, disk.fd));
	}
}

static void many_bindings_of_one_pair_share_a_mapping(const void *arg)
{
	struct mock_query q;
	int b[200];

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	for (int i = 0; i < 200; i++)
		b[i] = OK(drw_bind(buf.fd, disk.fd));
	mock_query(&buf, &q);
	CHECK_EQ(q.attached, 1);
	CHECK_EQ(q.mapped, 1);
	check_works(b[137], 6);
	for (int i = 0; i < 199; i++)
		close(b[i]);
	check_works(b[199], 7);
	close(b[199]);
	mock_check_clean(&buf);
}

/* ---- the module ------------------------------------------------------------------ */

static int unload(void)
{
	return syscall(SYS_delete_module, "dmabuf_rw", O_NONBLOCK) ? -errno : 0;
}

static void load(void)
{
	int fd = SYS(open(MODULE, O_RDONLY | O_CLOEXEC));

	SYS(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
}

static void check_unload_refused(const char *while_what)
{
	int ret = unload();

	CHECK(ret == -EWOULDBLOCK || ret == -EBUSY, "%s: %d", while_what, ret);
}

/* The harness opens nothing of the module itself, so that only the test's own counts. */
static void module_stays_while_it_is_used(const void *arg)
{
	struct io_uring ring;
	int node;

	if (access(MODULE, F_OK))
		skip("the module is not at " MODULE);
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);

	node = SYS(open(DMABUF_RW_DEVICE, O_RDWR));
	check_unload_refused("node open");
	binding = OK(drw_bind(buf.fd, disk.fd));
	close(node);
	close(drw_device());
	check_unload_refused("bound");
	check_works(binding, 8);
	drw_ring(&ring, 4, 0);
	OK(io_uring_register_files(&ring, &binding, 1));
	close(binding);
	check_unload_refused("in a table of registered files");
	io_uring_queue_exit(&ring);
	mock_check_clean(&buf);

	/* References of the last file go a moment after its release. */
	for (int i = 0; i < 100 && unload(); i++)
		usleep(20000);
	CHECK(access("/sys/module/dmabuf_rw", F_OK), "still loaded");
	CHECK(access(DMABUF_RW_DEVICE, F_OK), "the node is still there");
	load();
}

static void module_can_be_loaded_again_and_again(const void *arg)
{
	if (access(MODULE, F_OK))
		skip("the module is not at " MODULE);
	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	for (int i = 0; i < 8; i++) {
		int status, node = SYS(open(DMABUF_RW_DEVICE, O_RDWR));
		pid_t pid;

		close(node);
		/* A child, because the device descriptor stays open in who has used it. */
		pid = fork();
		if (!pid) {
			binding = OK(drw_bind(buf.fd, disk.fd));
			check_works(binding, 9 + i);
			_exit(0);
		}
		SYS(waitpid(pid, &status, 0));
		CHECK_EQ(status, 0);
		for (int j = 0; j < 100 && unload(); j++)
			usleep(20000);
		CHECK(access("/sys/module/dmabuf_rw", F_OK), "still loaded");
		mock_check_clean(&buf);
		load();
	}
}

/* ---- fdinfo ---------------------------------------------------------------------- */

static u64 fdinfo_number(const char *name)
{
	char text[64];

	CHECK(drw_fdinfo(binding, name, text, sizeof(text)), "fdinfo has no %s", name);
	return strtoull(text, NULL, 10);
}

static void fdinfo_says_what_info_says(const void *arg)
{
	struct dmabuf_rw_info info;
	char text[64], want[64];
	struct disk p;

	disk_open(&disk, "priv512");
	disk_open(&p, "priv512p1");
	buf_create(&buf, &exporter_mock_scattered, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, p.fd));
	CHECK_EQ(drw_read(binding, 0, 0, 8192), 8192);
	CHECK_EQ(drw_write(binding, 0, 0, 4096), 4096);
	CHECK_EQ(drw_write(binding, 8192, 0, 4096), 4096);
	FAILS(drw_write(binding, 8192, BUF_BYTES, 4096), ERANGE);
	OK(drw_info(binding, &info));
	CHECK_EQ(info.reads, 1);
	CHECK_EQ(info.writes, 2);
	CHECK_EQ(info.read_bytes, 8192);
	CHECK_EQ(info.write_bytes, 8192);

	CHECK_EQ(fdinfo_number("buffer-bytes"), BUF_BYTES);
	CHECK_EQ(fdinfo_number("paths"), info.paths);
	CHECK_EQ(fdinfo_number("extents"), info.extents);
	CHECK_EQ(fdinfo_number("metadata-bytes"), info.metadata_bytes);
	CHECK_EQ(fdinfo_number("reads"), info.reads);
	CHECK_EQ(fdinfo_number("read-bytes"), info.read_bytes);
	CHECK_EQ(fdinfo_number("writes"), info.writes);
	CHECK_EQ(fdinfo_number("write-bytes"), info.write_bytes);
	CHECK_EQ(fdinfo_number("errors"), info.errors);
	CHECK_EQ(fdinfo_number("remaps"), info.remaps);
	CHECK_EQ(fdinfo_number("failovers"), info.failovers);
	CHECK(drw_fdinfo(binding, "class", text, sizeof(text)) && !strcmp(text, "ram"), "%s",
	      text);
	CHECK(drw_fdinfo(binding, "file", text, sizeof(text)) && !strcmp(text, p.name), "%s",
	      text);
	CHECK(drw_fdinfo(binding, "state", text, sizeof(text)) && !strcmp(text, "mapped"),
	      "%s", text);
	CHECK(drw_fdinfo(binding, "drive", text, sizeof(text)));
	snprintf(want, sizeof(want), "%s", machine_var("DRW_PRIV_PCI"));
	CHECK(!strcmp(text, want), "drive %s, not %s", text, want);
	CHECK_EQ(info.nvme_pci, pci_number(want));
}

static void fdinfo_names_the_bar(const void *arg)
{
	char text[64];

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_bar, BUF_BYTES);
	binding = OK(drw_bind(buf.fd, disk.fd));
	CHECK(drw_fdinfo(binding, "class", text, sizeof(text)) && !strcmp(text, "bar"), "%s",
	      text);
	CHECK_EQ(fdinfo_number("bar"), atoi(machine_var("DRW_BAR_INDEX")));
	CHECK(drw_fdinfo(binding, "bar-device", text, sizeof(text)) &&
	      !strcmp(text, machine_var("DRW_BAR_PCI")), "%s", text);
}

static void fdinfo_can_be_read_during_transfers(const void *arg)
{
	pthread_t thread;
	u64 done = 0, last = 0;

	open_all();
	disk_fill(&disk, AT, BUF_BYTES, 5, 0);
	pthread_create(&thread, NULL, load_until_closed, &done);
	for (int i = 0; i < 200; i++) {
		struct dmabuf_rw_info info;
		u64 reads = fdinfo_number("reads");

		OK(drw_info(binding, &info));
		CHECK(reads >= last && info.reads >= reads, "counters run backwards");
		last = reads;
	}
	close(binding);
	pthread_join(thread, NULL);
	mock_check_clean(&buf);
}

static void add(void)
{
	test_limit(60);
	TEST(binding_holds_what_it_joins);
	TEST(last_close_unbinds);
	TEST(child_inherits_a_binding);
	TEST(binding_is_closed_on_exec);
	TEST(binding_outlives_the_process_that_made_it);
	TEST(killed_process_leaves_nothing);
	TEST(close_during_transfers_is_harmless);
	TEST(many_bindings_of_one_pair_share_a_mapping);
	TEST(module_stays_while_it_is_used);
	TEST(module_can_be_loaded_again_and_again);
	TEST(fdinfo_says_what_info_says);
	TEST(fdinfo_names_the_bar);
	TEST(fdinfo_can_be_read_during_transfers);
}

const struct program program = {
	"lifetime", add, .machines = MACHINES_EACH_KIND, .debug = true,
};
