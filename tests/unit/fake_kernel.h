/* SPDX-License-Identifier: MIT */
/*
 * fake_kernel.h - the module as the library sees it, in the test's own process.
 *
 * open(), close() and ioctl() of the code under test come here (by the linker's --wrap);
 * fake_ring.c puts an io_uring on top. A transfer is done by memcpy() between two
 * arrays, or only counted where there are none, with the limits and errors that the
 * test has set. Everything is one thread.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <dmabuf_rw.h>

#define FAKE_RING_MAX 4096
#define FAKE_TABLE 64

struct fake_kernel {
	/* set by the test */
	int open_errno;
	int query_errno;
	uint16_t abi_major;
	int bind_errno;
	uint32_t bind_reason;
	int32_t bind_detail;
	int info_errno;
	uint64_t file_bytes;
	uint64_t buf_bytes;
	unsigned char *file;		/* null: transfers are only counted */
	unsigned char *buffer;
	uint64_t max_move;		/* bytes that one transfer moves at most */
	uint64_t bad_from, bad_to;	/* range of the file that cannot be moved */
	int bad_errno;
	unsigned int interrupts;	/* so many transfers fail with EINTR first */
	bool lie;			/* report more bytes than were asked for */

	/* the ring, set by the test */
	int table_errno;		/* registering files fails */
	int ring_errno;			/* io_uring_queue_init_params() fails */
	bool last_first;		/* complete the newest submitted entry first */
	unsigned int per_wait;		/* completions that one wait gives; 0: enough */
	unsigned int wait_interrupts;	/* so many waits fail with EINTR first */
	int wait_errno;			/* waits fail, -errno */
	unsigned int submit_refuse;	/* the next submission fails with EAGAIN, so often */
	bool never_complete;		/* timeouts only */

	/* seen by the test */
	char opened[256];
	struct dmabuf_rw_bind bind;
	unsigned int fds;		/* open now */
	unsigned int transfers;		/* tried */
	uint64_t moved;
	uint64_t last_flags;
	unsigned int ring_flags;
	unsigned int rings;		/* in existence */
	unsigned int enters;		/* calls into the ring that a system call stands for */
	bool has_table;			/* registered files */
	unsigned int by_table;		/* transfers that named one */
	unsigned int in_flight;		/* submitted, not completed */
};

extern struct fake_kernel fake;

/* Sane values: a file of 1 MiB, a buffer of 1 MiB, no errors. Arrays are freed. */
void fake_reset(void);
/* Gives the arrays contents: file and buffer different. */
void fake_fill(uint64_t file_bytes, uint64_t buf_bytes);

bool fake_is_binding(int fd);

/*
 * One transfer as the module does it. Returns the bytes moved; @err gets the errno that
 * ended it, or 0.
 */
uint64_t fake_move(bool write, uint64_t file_off, const struct dmabuf_rw_piece *pieces,
		   unsigned int nr, uint64_t flags, int *err);

#endif
