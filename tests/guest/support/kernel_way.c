// SPDX-License-Identifier: GPL-2.0
/*
 * kernel_way.c - the same tests by the kernel's own interface; see kernel_way.h.
 */
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "buf.h"
#include "drw.h"
#include "kernel_way.h"

#define MAX_BINDINGS	16
/* No descriptor is as high. */
#define FIRST		(1 << 24)
/* A correct entry may end with EAGAIN while the exporter moves the buffer: for so long. */
#define PATIENCE_US	10000000

static struct dmabuf_rw_binding *bindings[MAX_BINDINGS];
static bool taken[MAX_BINDINGS];	/* by a thread; its binding may not be there yet */
/* The ring of this thread that has its buffer, in the slot of the same number; 0: none. */
static __thread int ring_fds[MAX_BINDINGS];

static struct dmabuf_rw_binding *get(int handle)
{
	CHECK(handle >= FIRST && handle < FIRST + MAX_BINDINGS && bindings[handle - FIRST],
	      "%d is no binding", handle);
	return bindings[handle - FIRST];
}

/* Why no kernel takes the pair, whatever becomes of the library; NULL: there is no reason. */
static const char *expected_refusal(int dmabuf, int file)
{
	char link[64], target[256] = "";
	struct stat st;
	u64 start;
	int lba;

	if (!buf_has_whole_pages(dmabuf) || lseek(dmabuf, 0, SEEK_END) % 4096)
		return "it takes whole pages only";
	SYS(fstat(file, &st));
	if (ioctl(file, BLKSSZGET, &lba))
		return "it takes disks only";
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_rdev),
		 minor(st.st_rdev));
	SYS(readlink(link, target, sizeof(target) - 1));
	/* The head of several paths belongs to no controller. */
	if (!strstr(target, "/pci"))
		return "it takes disks of one controller only";
	start = strtoull(slurp("%s/start", link), NULL, 10) * 512;
	return start % 4096 ? "it takes partitions only that begin at a whole page" : NULL;
}

static int take_number(void)
{
	int i;

	for (i = 0; i < MAX_BINDINGS; i++)
		if (!__atomic_test_and_set(&taken[i], __ATOMIC_ACQUIRE))
			return i;
	FAIL("too many bindings");
}

static int bind_pair(int dmabuf, int file)
{
	const char *why = expected_refusal(dmabuf, file);
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .error = &error, .ways = DMABUF_RW_PATH_KERNEL,
	};
	int i, ret;

	/* Chunks are looked at when they are mapped, which is later. */
	if (!buf_has_whole_pages(dmabuf))
		skip("the kernel's own interface: %s", why);
	i = take_number();
	ret = dmabuf_rw_binding_create(NULL, dmabuf, file, &opts, &bindings[i]);
	if (!ret)
		return FIRST + i;
	__atomic_clear(&taken[i], __ATOMIC_RELEASE);
	if (why && error.reason == DMABUF_RW_REASON_KERNEL_REFUSED)
		skip("the kernel's own interface: %s", why);
	note("%s (%s)", dmabuf_rw_error_cause(&error), strerrorname_np(error.detail) ?: "");
	return ret;
}

static void unbind(int handle)
{
	dmabuf_rw_binding_destroy(get(handle));
	bindings[handle - FIRST] = NULL;
	ring_fds[handle - FIRST] = 0;
	__atomic_clear(&taken[handle - FIRST], __ATOMIC_RELEASE);
}

static int info(int handle, struct dmabuf_rw_info *info)
{
	return dmabuf_rw_binding_info(get(handle), info);
}

static s64 judged(s64 n, const struct dmabuf_rw_result *result, u64 asked)
{
	CHECK(n <= (s64)asked, "moved %lld of %llu", (long long)n, (unsigned long long)asked);
	CHECK(n <= 0 || (result->path == DMABUF_RW_PATH_KERNEL && (s64)result->kernel_bytes == n),
	      "another way");
	return n;
}

static s64 io(int handle, u32 op, u64 file_off, u64 buf_off, u64 len, u64 flags)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	return judged((op == DMABUF_RW_OP_WRITE ? dmabuf_rw_write : dmabuf_rw_read)(
			get(handle), file_off, buf_off, len, flags, &result), &result, len);
}

static s64 iov(int handle, u32 op, u64 file_off, const struct dmabuf_rw_piece *pieces, u32 nr,
	       u64 flags)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	u64 asked = 0;

	for (u32 i = 0; i < nr; i++)
		asked += pieces[i].len;
	return judged((op == DMABUF_RW_OP_WRITE ? dmabuf_rw_writev : dmabuf_rw_readv)(
			get(handle), file_off, pieces, nr, flags, &result), &result, asked);
}

static void ring_table(struct io_uring *ring)
{
	OK(io_uring_register_buffers_sparse(ring, MAX_BINDINGS));
}

static s64 ring_io(struct io_uring *ring, int handle, u32 op, u64 file_off, u64 buf_off, u64 len,
		   u64 flags)
{
	struct dmabuf_rw_binding *b = get(handle);
	u64 until = now_us() + PATIENCE_US;
	int slot = handle - FIRST;
	s64 n;

	if (ring_fds[slot] != ring->ring_fd)
		OK(dmabuf_rw_binding_register(b, ring->ring_fd, slot));
	ring_fds[slot] = ring->ring_fd;
	for (;;) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		(op == DMABUF_RW_OP_WRITE ? dmabuf_rw_prep_write : dmabuf_rw_prep_read)(
				sqe, b, file_off, buf_off, len, flags);
		dmabuf_rw_sqe_set_slot(sqe, slot);
		n = drw_ring_one(ring);
		if (n != -EAGAIN || now_us() > until)
			return n;
		usleep(500);
	}
}

static const struct drw_way kernel_way = {
	.bind = bind_pair, .unbind = unbind, .info = info, .io = io, .iov = iov,
	.ring_table = ring_table, .ring_io = ring_io,
};

static void go_by_kernel(void)
{
	struct dmabuf_rw_error error;

	if (!dmabuf_rw_has_kernel_way(&error))
		skip("%s (%s)", dmabuf_rw_error_cause(&error),
		     strerrorname_np(error.detail) ?: "");
	drw_way = &kernel_way;
}

void both_ways_from_here(bool both)
{
	test_twice(both ? "+kernel" : NULL, go_by_kernel);
}
