/* SPDX-License-Identifier: MIT */
/*
 * private.h - what the library's files share; not installed.
 *
 * struct dmabuf_rw_device and struct dmabuf_rw_binding do not change after they were
 * made, which is why they need no lock. struct dmabuf_rw_queue is private to queue.c.
 */
#ifndef DMABUF_RW_PRIVATE_H
#define DMABUF_RW_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libdmabuf_rw.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define DMABUF_RW_API __attribute__((visibility("default")))

struct dmabuf_rw_device {
	int fd;			/* the module's node; ours */
};

struct dmabuf_rw_binding {
	int fd;			/* the binding; ours */
	uint64_t buf_bytes;	/* size of the buffer; never changes */
};

/* ioctl() that says -errno. A signal is reported, not retried. */
int dmabuf_rw_ioctl(int fd, unsigned long request, void *arg);

/*
 * Copies an option structure of @src_size bytes by the rule of sized structures: a
 * short one gets zeros, a longer one must have a tail of zeros (-E2BIG), one shorter
 * than @min_size is malformed (-EINVAL). A null @src gives all zeros.
 */
int dmabuf_rw_copy_opts(void *dst, size_t dst_size, const void *src, size_t min_size);

/* Fills @error, if there is one, and returns -@err. */
int dmabuf_rw_fail(struct dmabuf_rw_error *error, enum dmabuf_rw_call call, int err,
		   uint32_t reason, int32_t detail);

/*
 * Writes to @dst what remains of @nr pieces after the first @done bytes; @dst has room
 * for @nr. Returns how many pieces that is.
 */
unsigned int dmabuf_rw_trim_pieces(struct dmabuf_rw_piece *dst,
				   const struct dmabuf_rw_piece *pieces,
				   unsigned int nr, uint64_t done);

/* Sum of the lengths, saturating. */
uint64_t dmabuf_rw_sum_pieces(const struct dmabuf_rw_piece *pieces, unsigned int nr);

/* Fills the first 64 bytes of @sqe but user_data; see enum dmabuf_rw_uring_op. */
void dmabuf_rw_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t op,
			uint64_t file_off, uint64_t addr3, uint32_t len,
			uint64_t flags);

#endif /* DMABUF_RW_PRIVATE_H */
