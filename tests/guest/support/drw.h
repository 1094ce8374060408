/* SPDX-License-Identifier: GPL-2.0 */
/*
 * drw.h - the kernel interface as the tests call it, straight from its header.
 *
 * The library is left out on purpose: what is tested here is the module. All calls
 * return a value or -errno. Structures that a test wants to spoil it fills itself.
 */
#ifndef DRW_H
#define DRW_H

#include <liburing.h>

#include <dmabuf_rw.h>
#include "harness.h"

/* How those below go that kernel_way.h names; NULL: by the module. */
struct drw_way {
	int (*bind)(int dmabuf, int file);
	void (*unbind)(int binding);
	int (*info)(int binding, struct dmabuf_rw_info *info);
	s64 (*io)(int binding, u32 op, u64 file_off, u64 buf_off, u64 len, u64 flags);
	s64 (*iov)(int binding, u32 op, u64 file_off, const struct dmabuf_rw_piece *pieces,
		   u32 nr, u64 flags);
	void (*ring_table)(struct io_uring *ring);
	s64 (*ring_io)(struct io_uring *ring, int binding, u32 op, u64 file_off, u64 buf_off,
		       u64 len, u64 flags);
};

extern const struct drw_way *drw_way;

/* The device node, opened once per process; skips the test if it is not there. */
int drw_device(void);

/* Bind; the descriptor or -errno. @bind may be NULL, else it is zeroed and filled. */
int drw_bind_why(int dmabuf, int file, u64 flags, struct dmabuf_rw_bind *bind);
int drw_bind(int dmabuf, int file);

/* As close(), of a binding that may be another way's. */
void drw_unbind(int binding);

int drw_info(int binding, struct dmabuf_rw_info *info);

/* One transfer as the caller made it; 0 or -errno. Sets io->size. */
int drw_do(int binding, struct dmabuf_rw_io *io);
/* Bytes moved or -errno. */
s64 drw_io(int binding, enum dmabuf_rw_op op, u64 file_off, u64 buf_off, u64 len,
	   u64 flags);
s64 drw_iov(int binding, enum dmabuf_rw_op op, u64 file_off,
	    const struct dmabuf_rw_piece *pieces, u32 nr, u64 flags);

/* A batch as the caller made it; 0 or -errno. Sets batch->size. */
int drw_do_batch(int binding, struct dmabuf_rw_batch *batch);
/* Bytes moved by all of a batch, or -errno. */
s64 drw_many(int binding, enum dmabuf_rw_op op, struct dmabuf_rw_range *ranges, u32 nr,
	     u64 flags);

#define drw_read(b, file_off, buf_off, len) \
	drw_io(b, DMABUF_RW_OP_READ, file_off, buf_off, len, 0)
#define drw_write(b, file_off, buf_off, len) \
	drw_io(b, DMABUF_RW_OP_WRITE, file_off, buf_off, len, 0)

/* io_uring. */
void drw_prep(struct io_uring_sqe *sqe, int binding, enum dmabuf_rw_uring_op op,
	      u64 file_off, u64 buf_off, u32 len, u64 flags);
void drw_prepv(struct io_uring_sqe *sqe, int binding, enum dmabuf_rw_uring_op op,
	       u64 file_off, const struct dmabuf_rw_piece *pieces, u32 nr, u64 flags);
void drw_prep_many(struct io_uring_sqe *sqe, int binding, enum dmabuf_rw_op op,
		   struct dmabuf_rw_range *ranges, u32 nr, u64 flags);
/* A ring, or the test is skipped when the kernel refuses the flags. */
void drw_ring(struct io_uring *ring, unsigned int entries, unsigned int flags);
/* As io_uring_wait_cqe(), which a child of another thread's system(3) may end with EINTR. */
static inline int drw_wait_cqe(struct io_uring *ring, struct io_uring_cqe **cqe)
{
	int ret;

	do {
		ret = io_uring_wait_cqe(ring, cqe);
	} while (ret == -EINTR);
	return ret;
}

/* Submit what is prepared, which is one entry, and wait for it; its result. */
s64 drw_ring_one(struct io_uring *ring);
/* One transfer through a ring. */
s64 drw_ring_io(struct io_uring *ring, int binding, enum dmabuf_rw_op op, u64 file_off,
		u64 buf_off, u64 len, u64 flags);

/*
 * All of @len bytes, by the ring or, if that is NULL, by ioctl: as one transfer, or as a batch of
 * what takes a command and what takes a list.
 */
s64 drw_slice(struct io_uring *ring, bool batch, int binding, enum dmabuf_rw_op op, u64 at,
	      u64 off, u64 len);

/*
 * Run @fn(@arg) in a process of its own, with the module loaded anew with @parameters, and
 * load it again without them whatever becomes of it. The caller must not hold the device,
 * so this comes before everything else.
 */
void drw_with_parameters(const char *parameters, void (*fn)(const void *arg),
			 const void *arg);

/* Value of one "name:\tvalue" line in the binding's fdinfo; false if not there. */
bool drw_fdinfo(int binding, const char *name, char *value, size_t size);

#endif
