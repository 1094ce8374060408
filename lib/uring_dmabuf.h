/* SPDX-License-Identifier: MIT */
/*
 * uring_dmabuf.h - the kernel's own interface for dma-bufs, in io_uring from Linux 7.4 on.
 *
 * It is from the series "dma-buf backed registered buffers" on the io_uring list. The names are
 * those of include/uapi/linux/io_uring.h, prefixed with URING_: the build's headers do not have
 * them yet, and later headers must not clash.
 *
 * IORING_REGISTER_BUFFERS_UPDATE updates a ring's table of buffers. A word of flags replaces a
 * reserved one in struct io_uring_rsrc_update2; older kernels answer EINVAL. A slot of the table
 * joins one dma-buf to one file that is open with O_DIRECT. READ_FIXED and WRITE_FIXED on that file
 * name the slot, and give the offset in the dma-buf as their address.
 */
#ifndef DMABUF_RW_URING_DMABUF_H
#define DMABUF_RW_URING_DMABUF_H

#include <stdint.h>

/* Flag: data points to an array of struct uring_regbuf_desc, not iovec. */
#define URING_RSRC_UPDATE_EXTENDED	(1U << 1)

enum uring_regbuf_type {
	URING_REGBUF_TYPE_EMPTY		= 0,
	URING_REGBUF_TYPE_UADDR		= 1,
	URING_REGBUF_TYPE_DMABUF	= 2,
};

struct uring_rsrc_update2 {
	uint32_t offset;	/* first slot */
	uint32_t flags;
	uint64_t data;
	uint64_t tags;
	uint32_t nr;
	uint32_t resv2;
};

struct uring_regbuf_desc {
	uint32_t type;		/* enum uring_regbuf_type */
	uint32_t flags;
	uint64_t size;		/* zero except with UADDR: a dma-buf is registered entirely */
	uint64_t uaddr;		/* zero except with UADDR */
	int32_t dmabuf_fd;	/* zero except with DMABUF */
	int32_t target_fd;	/* zero except with DMABUF */
	uint64_t resv[6];
};

_Static_assert(sizeof(struct uring_rsrc_update2) == 32, "its size is an argument of the call");
_Static_assert(sizeof(struct uring_regbuf_desc) == 80, "elements of an array");

/* Every version of the interface takes buffers of this size; later ones take 4 GiB. */
#define URING_DMABUF_MAX_BYTES	(UINT64_C(1) << 30)

/* Joins the two at @slot of the ring's table, which must exist. 0 or -errno. */
int dmabuf_rw_uring_register(int ring_fd, uint32_t slot, int dmabuf_fd, int file_fd);
/* Empties the slot. */
void dmabuf_rw_uring_unregister(int ring_fd, uint32_t slot);
/* 0 if the kernel has the interface, else the -errno that makes it unusable. */
int dmabuf_rw_uring_probe(void);

#endif /* DMABUF_RW_URING_DMABUF_H */
