/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * dmabuf_rw_mock.h - interface of the mock exporter, a test tool.
 *
 * The mock makes dma-bufs whose layout and behaviour the caller chooses, so that
 * importers meet every kind of exporter without its hardware. All requests go to
 * MOCK_DEVICE; those about one buffer name it by its dma-buf descriptor. Programs and
 * module are always built together, so the structures carry no sizes.
 *
 * Vocabulary
 *   chunk	a piece of the buffer that is contiguous in physical memory
 *   arena	the memory that holds all chunks of a buffer at one time; a move
 *		replaces it
 *   poison	the byte MOCK_POISON, in the gaps between chunks and all over an
 *		arena that the buffer has left: whoever writes there is found out
 */
#ifndef DMABUF_RW_MOCK_H
#define DMABUF_RW_MOCK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MOCK_DEVICE	"/dev/dmabuf_rw_mock"
#define MOCK_PATTERN	16
#define MOCK_POISON	0xdb
/* The bytes that a delayed move shows until its fence signals. */
#define MOCK_UNMOVED	0x5a

enum mock_kind {
	MOCK_RAM	= 0,
	MOCK_BAR	= 1,
};

#define MOCK_DYNAMIC	(1U << 0)	/* exporter with pin and unpin */
#define MOCK_RDONLY	(1U << 1)	/* dma-buf file opened for reading only */
#define MOCK_REVERSE	(1U << 2)	/* later chunks at lower addresses */
#define MOCK_WRONLY	(1U << 3)	/* dma-buf file opened for writing only */

/*
 * struct mock_create - make a buffer; the ioctl returns its dma-buf descriptor
 * @kind:	enum mock_kind
 * @flags:	MOCK_DYNAMIC, ...
 * @bytes:	size of the buffer
 * @nr_pattern:	entries of @pattern that are used in turn as chunk lengths; zero: one
 *		chunk (BAR), chunks of up to 4 MiB (RAM)
 * @align:	chunks begin at multiples of this power of two; zero: 4096
 * @gap:	least distance between chunks
 * @block:	RAM: bytes of one physically contiguous block of the arena, power of
 *		two from 4096 to 4 MiB, zero: chosen. BAR: ignored
 * @pci:	BAR: the device, domain << 16 | bus << 8 | devfn
 * @bar:	BAR: its number
 * @bar_off:	BAR: where the arena begins in it
 */
struct mock_create {
	__u32 kind;
	__u32 flags;
	__u64 bytes;
	__u32 nr_pattern;
	__u32 align;
	__u32 pattern[MOCK_PATTERN];
	__u32 gap;
	__u32 block;
	__u32 pci;
	__u32 bar;
	__u64 bar_off;
};

/* struct mock_copy - move bytes between the buffer and user memory by CPU */
struct mock_copy {
	__s32 dmabuf_fd;
	__u32 resv;
	__u64 off;
	__u64 len;
	__u64 user;
};

/* What a later map gives instead of proper addresses. */
enum mock_addr {
	MOCK_ADDR_MAPPED	= 0,	/* right */
	MOCK_ADDR_RAW		= 1,	/* physical, never given to the IOMMU */
	MOCK_ADDR_FIXED		= 2,	/* from @addr_base on, wherever that is */
};

enum mock_length {
	MOCK_LENGTH_RIGHT	= 0,
	MOCK_LENGTH_SHORT	= 1,	/* @length_by bytes are missing at the end */
	MOCK_LENGTH_LONG	= 2,	/* @length_by bytes too many at the end */
};

/*
 * struct mock_fault - how the buffer behaves from now on; all zero: well
 * @attach_errno, @map_errno: positive errno that attach and map fail with
 * @addr, @length: enum mock_addr, enum mock_length, for later maps
 * @attach_ms: attach takes this long, with no lock held
 * @map_failures: so many maps fail with @map_errno, 0: all
 */
struct mock_fault {
	__s32 dmabuf_fd;
	__s32 attach_errno;
	__s32 map_errno;
	__u32 addr;
	__u64 addr_base;
	__u32 length;
	__u32 length_by;
	__u32 attach_ms;
	__u32 map_failures;
};

#define MOCK_INV_MOVE	(1U << 0)	/* change to a new arena of the same kind */
#define MOCK_INV_RAM	(1U << 1)	/* with MOVE: change to a RAM arena */
#define MOCK_INV_BAR	(1U << 2)	/* with MOVE: change back to the BAR */
#define MOCK_INV_REVOKE	(1U << 3)	/* map gives ENODEV from now on */
#define MOCK_INV_RESTORE (1U << 4)	/* undo REVOKE; no notification */
#define MOCK_INV_FORCE	(1U << 5)	/* even if the buffer is pinned */
#define MOCK_INV_GATE	(1U << 6)	/* with MOVE: the content arrives after OPEN_GATE */

/*
 * struct mock_invalidate - notify all importers now, and change the buffer
 * @flags:	MOCK_INV_*
 * @fence_ms:	with MOVE: the content arrives only after this time, under a fence of
 *		kernel usage that importers have to wait for; with GATE ignored, as the
 *		fence is there until MOCK_IOC_OPEN_GATE, for which all other requests about
 *		the buffer wait
 * @mapped:	out: mappings of the left arena when the callbacks had returned
 * @still_mapped: out: the same after waiting up to two seconds for the unmaps
 * @callback_us: out: time that the importers' callbacks took
 */
struct mock_invalidate {
	__s32 dmabuf_fd;
	__u32 flags;
	__u32 fence_ms;
	__u32 mapped;
	__u32 still_mapped;
	__u32 callback_us;
};

/* struct mock_storm - invalidate every @period_us from a thread; zero stops it */
struct mock_storm {
	__s32 dmabuf_fd;
	__u32 flags;
	__u32 period_us;
	__u32 resv;
};

/*
 * struct mock_query - counters, and the search for stray writes
 * @attached, @mapped, @pinned: out: now
 * @gap_bad:	out: bytes of the gaps of the arena in use that lost their poison
 * @left_bad:	out: bytes that were written in arenas after the buffer left them
 * @direction:	out: enum dma_data_direction of the last map
 */
struct mock_query {
	__s32 dmabuf_fd;
	__u32 resv;
	__u64 attaches;
	__u64 maps;
	__u64 unmaps;
	__u64 pins;
	__u64 invalidations;
	__u64 moves;
	__u32 attached;
	__u32 mapped;
	__u32 pinned;
	__u32 chunks;
	__u64 gap_bad;
	__u64 left_bad;
	__u32 direction;
	__u32 resv1;
};

#define MOCK_IOC_CREATE		_IOW('K', 0x40, struct mock_create)
#define MOCK_IOC_PEEK		_IOW('K', 0x41, struct mock_copy)
#define MOCK_IOC_POKE		_IOW('K', 0x42, struct mock_copy)
#define MOCK_IOC_FAULT		_IOW('K', 0x43, struct mock_fault)
#define MOCK_IOC_INVALIDATE	_IOWR('K', 0x44, struct mock_invalidate)
#define MOCK_IOC_STORM		_IOW('K', 0x45, struct mock_storm)
#define MOCK_IOC_QUERY		_IOWR('K', 0x46, struct mock_query)
#define MOCK_IOC_OPEN_GATE	_IOW('K', 0x47, __s32)	/* the buffer's descriptor */

#endif /* DMABUF_RW_MOCK_H */
