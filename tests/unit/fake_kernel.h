/* SPDX-License-Identifier: MIT */
/*
 * fake_kernel.h - the module as the library sees it, in the test's own process.
 *
 * The system calls of the code under test come here (by the linker's --wrap);
 * fake_transfer.c moves bytes, and fake_ring.c puts an io_uring on top. A transfer is done
 * by memcpy() between two arrays, or only counted where there are none, with the limits and
 * errors that the test has set.
 *
 * Tests of bouncing use fake_pair(): a real file and a real memfd in the place of the
 * dma-buf, which the library maps, reopens and reads as it would; the arrays are then
 * mappings of the two. The promises of O_DIRECT's alignment are checked.
 *
 * A queue has threads, so all that is here is under one lock. What a test sets, it sets
 * while no transfer is under way.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <dmabuf_rw.h>

#define FAKE_RING_MAX 4096
#define FAKE_TABLE 65	/* bindings, and what tells of the ring's end */
#define FAKE_PAGE 4096
#define FAKE_PAGES 4096

/* Of a page of the file in the page cache: it can be dropped when it is clean. */
enum fake_page { FAKE_ABSENT, FAKE_CLEAN, FAKE_WRITEBACK, FAKE_DIRTY };

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
	int batch_errno;		/* batches are refused as a whole */
	bool reads_nothing;		/* as at the end of a file */
	bool lie;			/* report more bytes than were asked for */
	uint32_t read_align, write_align;	/* EDOM, also for lengths; 0: 1 */
	bool no_partial_end;		/* nor may a length end where a regular file does */
	uint32_t buf_align;		/* EDOM */
	uint64_t info_flags;

	/* what the file system tells of the file, set by the test */
	bool xfs;
	uint64_t written_from, written_to;	/* range that has been written (FIEMAP) */
	uint32_t extent_flags;		/* FIEMAP_EXTENT_*, of that range */

	/* the file and the buffer without the module, set by the test */
	int reopen_errno;		/* through /proc/self/fd */
	int direct_errno;		/* the same, with O_DIRECT */
	int dup_errno;			/* F_DUPFD_CLOEXEC */
	int mmap_errno;			/* mapping the buffer */
	int pool_errno;			/* mapping memory of one's own */
	int udmabuf_errno;		/* opening /dev/udmabuf */
	int sync_errno;			/* DMA_BUF_IOCTL_SYNC */
	unsigned int sync_interrupts;	/* so many of them fail with EINTR first */
	uint32_t io_max;		/* bytes that one read or write moves at most; 0: all */
	uint64_t io_bad_from, io_bad_to;	/* range of the file that cannot be moved */
	int io_bad_errno;
	uint64_t io_end;		/* reads from here on give nothing; 0: none */
	uint64_t io_end_to;		/* but do again from here on: the file has grown */
	int io_direct_errno;		/* O_DIRECT is refused when it is used */
	unsigned int io_interrupts;	/* so many reads or writes fail with EINTR first */
	bool dontcache;			/* the file knows RWF_DONTCACHE */
	int cachestat_errno;
	int sync_range_errno;		/* sync_file_range() */
	uint64_t lost_from, lost_to;	/* range of the file that is not written back */
	int lost_errno;
	unsigned char pages[FAKE_PAGES];	/* enum fake_page; seen by the test, too */

	/* the kernel's own interface, set by the test; only with fake_pair() */
	bool kernel_way;		/* it is there */
	uint32_t lba;			/* of the file, which is a disk then; 0: no disk */
	int kernel_errno;		/* it refuses the pair */
	uint64_t kernel_max;		/* bytes of a buffer that it takes */
	bool gone;			/* the disk is: EIO, and it has no size */
	unsigned int kernel_again;	/* so many entries give EAGAIN first */
	unsigned int sleep_interrupts;	/* so many nanosleep() fail with EINTR first */
	unsigned int clock_step;	/* seconds that pass at each look at the clock */

	/* the ring, set by the test */
	int register_errno;		/* registering buffers fails */
	int table_errno;		/* registering files fails */
	int ring_errno;			/* io_uring_queue_init_params() fails */
	bool last_first;		/* complete the newest submitted entry first */
	unsigned int per_wait;		/* completions that a look, or a wait with a timeout,
					 * gives; 0: enough */
	unsigned int wait_interrupts;	/* so many waits fail with EINTR first */
	int wait_errno;			/* waits fail, -errno */
	int enter_errno;		/* every call that enters a ring fails */
	unsigned int submit_max;	/* entries that one call takes; 0: all */
	unsigned int submit_refuse;	/* the next submission fails with EAGAIN, so often */
	bool never_complete;		/* timeouts only */

	/* seen by the test */
	char opened[256];
	struct dmabuf_rw_bind bind;
	unsigned int fds;		/* the fake's, open now */
	unsigned int real_fds;		/* opened or duplicated by the library, open now */
	int file_fd, dmabuf_fd;		/* of fake_pair() */
	int open_syncs;			/* brackets around the CPU's access that are open */
	unsigned int syncs;
	unsigned int direct_ios;	/* reads and writes with O_DIRECT */
	unsigned int plain_ios;		/* and without */
	unsigned int fixed_ios;		/* with a registered buffer */
	unsigned int random_fds;	/* descriptors without read-ahead */
	unsigned int drops;		/* of ranges of the page cache */
	int last_rw_flags;
	unsigned int maps;		/* mappings of the library's */
	unsigned int transfers;		/* tried */
	unsigned int batches;		/* asked for */
	unsigned int registered;	/* buffers of the kernel's interface, now */
	unsigned int most_registered;	/* and at any time */
	unsigned int kernel_ios;	/* entries of it */
	int registered_file;		/* the last one's */
	unsigned int flushes;		/* fdatasync() */
	uint64_t clock;			/* seconds that it is fast */
	uint64_t moved;
	uint64_t last_flags;
	unsigned int ring_flags;
	unsigned int rings;		/* in existence */
	unsigned int enters;		/* calls into the ring that a system call stands for */
	unsigned int by_table;		/* transfers that named one */
	unsigned int in_flight;		/* submitted, not completed */
};

extern struct fake_kernel fake;

/* Sane values: a file of 1 MiB, a buffer of 1 MiB, no errors. Arrays are freed. */
void fake_reset(void);
/* Gives the arrays contents: file and buffer different. */
void fake_fill(uint64_t file_bytes, uint64_t buf_bytes);

/*
 * The same with a real file and a memfd, as file_fd and dmabuf_fd. They and the arrays go
 * with fake_reset().
 */
void fake_pair(uint64_t file_bytes, uint64_t buf_bytes);
/* As fake_fill() fills them. */
unsigned char fake_file_byte(uint64_t i);
unsigned char fake_buffer_byte(uint64_t i);

bool fake_is_binding(int fd);
/* A descriptor for a ring. */
int fake_ring_fd(void);
void fake_close(int fd);

/* One read or write of the file without the module; bytes or -errno. */
int fake_rw(bool write, int fd, void *mem, uint32_t len, uint64_t off, int rw_flags);

void fake_lock(void);
void fake_unlock(void);

/*
 * What the kernel's interface says to a pair: a descriptor of the fake's that stands for the
 * buffer, or -errno. One entry of it; bytes or -errno.
 */
int fake_register(int dmabuf_fd, int file_fd);
int fake_kernel_rw(int registered, bool write, uint32_t len, uint64_t file_off, uint64_t buf_off);
/* fake_ring.c's: io_uring_register(2). */
long fake_ring_register(int fd, unsigned int op, const void *arg, unsigned int nr)
	__attribute__((weak));

/* What is behind a binding, or a registered buffer. Null: transfers are only counted. */
unsigned char *fake_buffer_of(int fd, uint64_t *bytes);

/*
 * One transfer as the module does it. Returns the bytes moved; @err gets the errno that
 * ended it, or 0.
 */
uint64_t fake_move(int binding, bool write, uint64_t file_off, const struct dmabuf_rw_piece *pieces,
		   unsigned int nr, uint64_t flags, int *err);
/* A batch as the module takes it: bytes, or -errno. */
int64_t fake_batch(int binding, bool write, struct dmabuf_rw_range *ranges, unsigned int nr,
		   uint64_t flags);
/* The two by ioctl(); 0, or -1 with errno. */
int fake_do_io(int fd, struct dmabuf_rw_io *io);
int fake_do_batch(int fd, struct dmabuf_rw_batch *batch);

#endif
