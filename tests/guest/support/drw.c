// SPDX-License-Identifier: GPL-2.0
/*
 * drw.c - the kernel interface as the tests call it; see drw.h.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drw.h"

const struct drw_way *drw_way;

int drw_device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(DMABUF_RW_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		FAIL("%s: %s", DMABUF_RW_DEVICE, strerror(errno));
	return fd;
}

int drw_bind_why(int dmabuf, int file, u64 flags, struct dmabuf_rw_bind *bind)
{
	struct dmabuf_rw_bind local;
	int fd;

	if (!bind)
		bind = &local;
	*bind = (struct dmabuf_rw_bind){
		.size = sizeof(*bind),
		.dmabuf_fd = dmabuf,
		.file_fd = file,
		.flags = flags,
	};
	fd = ioctl(drw_device(), DMABUF_RW_IOC_BIND, bind);
	return fd < 0 ? -errno : fd;
}

int drw_bind(int dmabuf, int file)
{
	struct dmabuf_rw_bind bind;
	int fd;

	if (drw_way)
		return drw_way->bind(dmabuf, file);
	fd = drw_bind_why(dmabuf, file, 0, &bind);
	/* A kernel without PCI_P2PDMA knows no way to a BAR but a common switch. */
	if (fd == -EADDRNOTAVAIL && bind.reason == DMABUF_RW_REASON_NO_ROUTE)
		fd = drw_bind_why(dmabuf, file, DMABUF_RW_BIND_TRUST_ADDRESSES, NULL);
	return fd;
}

void drw_unbind(int binding)
{
	if (drw_way)
		drw_way->unbind(binding);
	else
		close(binding);
}

int drw_info(int binding, struct dmabuf_rw_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (drw_way)
		return drw_way->info(binding, info);
	return ioctl(binding, DMABUF_RW_IOC_INFO, info) ? -errno : 0;
}

int drw_do(int binding, struct dmabuf_rw_io *io)
{
	io->size = sizeof(*io);
	return ioctl(binding, DMABUF_RW_IOC_IO, io) ? -errno : 0;
}

/* What must be true of every outcome of the I/O call. */
static s64 outcome(int ret, const struct dmabuf_rw_io *io, u64 asked)
{
	if (ret)
		return ret;
	CHECK(io->done <= asked, "moved %llu of %llu", (unsigned long long)io->done,
	      (unsigned long long)asked);
	CHECK(io->error >= 0, "%d", io->error);
	CHECK(!io->error || io->done, "success with error %d and nothing moved", io->error);
	return io->done;
}

s64 drw_io(int binding, enum dmabuf_rw_op op, u64 file_off, u64 buf_off, u64 len,
	   u64 flags)
{
	struct dmabuf_rw_io io = {
		.op = op, .flags = flags, .file_off = file_off, .buf_off = buf_off,
		.len = len,
	};

	if (drw_way)
		return drw_way->io(binding, op, file_off, buf_off, len, flags);
	return outcome(drw_do(binding, &io), &io, len);
}

s64 drw_iov(int binding, enum dmabuf_rw_op op, u64 file_off,
	    const struct dmabuf_rw_piece *pieces, u32 nr, u64 flags)
{
	struct dmabuf_rw_io io = {
		.op = op, .flags = flags, .file_off = file_off, .nr_pieces = nr,
		.pieces = (uintptr_t)pieces,
	};
	u64 asked = 0;
	int ret;

	if (drw_way)
		return drw_way->iov(binding, op, file_off, pieces, nr, flags);
	ret = drw_do(binding, &io);
	if (ret)
		return ret;
	for (u32 i = 0; i < nr; i++)
		asked += pieces[i].len;
	return outcome(ret, &io, asked);
}

int drw_do_batch(int binding, struct dmabuf_rw_batch *batch)
{
	batch->size = sizeof(*batch);
	return ioctl(binding, DMABUF_RW_IOC_BATCH, batch) ? -errno : 0;
}

s64 drw_many(int binding, enum dmabuf_rw_op op, struct dmabuf_rw_range *ranges, u32 nr,
	     u64 flags)
{
	struct dmabuf_rw_batch batch = {
		.op = op, .flags = flags, .ranges = (uintptr_t)ranges, .nr = nr,
	};
	u64 asked = 0;
	int ret = drw_do_batch(binding, &batch);

	if (ret)
		return ret;
	for (u32 i = 0; i < nr; i++)
		asked += ranges[i].len;
	CHECK(batch.done <= asked, "moved %llu of %llu", (unsigned long long)batch.done,
	      (unsigned long long)asked);
	CHECK(batch.error >= 0 && (!batch.error || batch.done), "%d", batch.error);
	return batch.done;
}

static void prep(struct io_uring_sqe *sqe, int binding, u32 op, u64 file_off, u64 addr3,
		 u32 len, u64 flags)
{
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, binding, (void *)(uintptr_t)file_off, len,
			 0);
	sqe->cmd_op = op;
	sqe->addr3 = addr3;
	memcpy(sqe->cmd + DMABUF_RW_URING_FLAGS_OFFSET, &flags, sizeof(flags));
}

void drw_prep(struct io_uring_sqe *sqe, int binding, enum dmabuf_rw_uring_op op,
	      u64 file_off, u64 buf_off, u32 len, u64 flags)
{
	prep(sqe, binding, op, file_off, buf_off, len, flags);
}

void drw_prepv(struct io_uring_sqe *sqe, int binding, enum dmabuf_rw_uring_op op,
	       u64 file_off, const struct dmabuf_rw_piece *pieces, u32 nr, u64 flags)
{
	prep(sqe, binding, op, file_off, (uintptr_t)pieces, nr, flags);
}

void drw_prep_many(struct io_uring_sqe *sqe, int binding, enum dmabuf_rw_op op,
		   struct dmabuf_rw_range *ranges, u32 nr, u64 flags)
{
	prep(sqe, binding, op == DMABUF_RW_OP_READ ? DMABUF_RW_URING_READ_MANY
						   : DMABUF_RW_URING_WRITE_MANY,
	     0, (uintptr_t)ranges, nr, flags);
}

void drw_ring(struct io_uring *ring, unsigned int entries, unsigned int flags)
{
	int ret = io_uring_queue_init(entries, ring, flags);

	if (ret == -EINVAL && flags)
		skip("this kernel has no io_uring set-up flags %#x", flags);
	OK(ret);
	if (drw_way)
		drw_way->ring_table(ring);
}

s64 drw_ring_one(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	s64 res;

	OK(io_uring_submit_and_wait(ring, 1));
	OK(drw_wait_cqe(ring, &cqe));
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

s64 drw_ring_io(struct io_uring *ring, int binding, enum dmabuf_rw_op op, u64 file_off,
		u64 buf_off, u64 len, u64 flags)
{
	if (drw_way)
		return drw_way->ring_io(ring, binding, op, file_off, buf_off, len, flags);
	drw_prep(io_uring_get_sqe(ring), binding,
		 op == DMABUF_RW_OP_READ ? DMABUF_RW_URING_READ : DMABUF_RW_URING_WRITE,
		 file_off, buf_off, len, flags);
	return drw_ring_one(ring);
}

s64 drw_slice(struct io_uring *ring, bool batch, int binding, enum dmabuf_rw_op op, u64 at,
	      u64 off, u64 len)
{
	const u64 sizes[] = { 4096, 4096, len / 4 - 8192, len / 4, len - len / 2 };
	struct dmabuf_rw_range ranges[ARRAY_SIZE(sizes)];
	u64 done = 0;

	if (!batch)
		return ring ? drw_ring_io(ring, binding, op, at, off, len, DMABUF_RW_IO_WHOLE)
			    : drw_io(binding, op, at, off, len, DMABUF_RW_IO_WHOLE);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ranges[i] = (struct dmabuf_rw_range){ .file_off = at + done,
						      .buf_off = off + done, .len = sizes[i] };
		done += sizes[i];
	}
	if (!ring)
		return drw_many(binding, op, ranges, ARRAY_SIZE(ranges), DMABUF_RW_IO_WHOLE);
	drw_prep_many(io_uring_get_sqe(ring), binding, op, ranges, ARRAY_SIZE(ranges),
		      DMABUF_RW_IO_WHOLE);
	return drw_ring_one(ring);
}

bool drw_fdinfo(int binding, const char *name, char *value, size_t size)
{
	char path[64], line[512];
	size_t n = strlen(name);
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", binding);
	f = fopen(path, "r");
	CHECK(f, "%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, n) || line[n] != ':')
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(value, size, "%s", line + n + 1 + strspn(line + n + 1, " \t"));
		found = true;
	}
	fclose(f);
	return found;
}

#define MODULE "/usr/lib/dmabuf-rw/dmabuf_rw.ko"

static void reload(const char *parameters)
{
	int module = SYS(open(MODULE, O_RDONLY | O_CLOEXEC)), tries;

	/* What a process that has just ended held may still be on its way. */
	for (tries = 0; tries < 100; tries++) {
		if (!syscall(SYS_delete_module, "dmabuf_rw", O_NONBLOCK) || errno == ENOENT)
			break;
		usleep(50000);
	}
	SYS(syscall(SYS_finit_module, module, parameters, 0));
	close(module);
	/* The node is made by a kernel thread. */
	for (tries = 0; tries < 100 && access(DMABUF_RW_DEVICE, F_OK); tries++)
		usleep(20000);
}

void drw_with_parameters(const char *parameters, void (*fn)(const void *arg),
			 const void *arg)
{
	int status;
	pid_t pid;

	reload(parameters);
	pid = SYS(fork());
	if (!pid) {
		fn(arg);
		fflush(stdout);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	reload("");
	/* The child has said why. */
	if (status)
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
