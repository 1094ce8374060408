/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mock.h - the parts of the mock exporter among themselves.
 *
 * mock_arena.c	memory of a buffer: where chunks lie, poison, CPU copies
 * mock_map.c	dma_buf_ops: attach, map, pin, and their faults
 * mock_move.c	invalidation, moves, fences, storms
 * mock_main.c	device node, requests, life of a buffer
 *
 * Locks. The reservation lock of the dma-buf protects everything in struct mock_buf
 * that is not said to be constant. No user memory is touched under it (its order
 * against mmap_lock is the other way round).
 */
#ifndef MOCK_H
#define MOCK_H

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dmabuf_rw_mock.h"

/* One chunk; constant. */
struct mock_chunk {
	u64 pos;		/* in the buffer */
	u32 block;		/* of the arena */
	u32 off;		/* in the block */
	u32 len;
};

/* Where the chunks lie, the same in every arena of a buffer; constant. */
struct mock_geom {
	u64 bytes;
	u64 block_bytes;
	u32 nr_blocks;
	u32 nr_chunks;
	bool gaps;		/* some byte of the arena is in no chunk */
	struct mock_chunk *chunks;
};

/*
 * Memory for one geometry. Referred to by the buffer while in use, by each mapping,
 * and by the list of left arenas. Constant but for @left_node.
 */
struct mock_arena {
	struct kref ref;
	const struct mock_geom *geom;
	bool io;
	phys_addr_t phys;	/* io */
	void __iomem *vaddr;	/* io */
	struct page **blocks;	/* !io */
	struct list_head left_node;
};

struct mock_buf {
	struct dma_buf *dmabuf;	/* constant, not counted */
	struct mock_geom geom;	/* constant */
	struct mock_create args; /* constant */
	struct pci_dev *pdev;	/* constant; counted and enabled; NULL: RAM */

	struct mock_arena *arena;
	struct mock_fault fault;
	bool revoked;
	bool user_mapped;	/* mmap was used: the arena must stay */

	/* Arenas that were left, poisoned; at most MOCK_MAX_LEFT. */
	struct list_head left;
	u32 nr_left;
	u64 left_bad;		/* stray bytes found in those already freed */

	u64 attaches, maps, unmaps, pins, invalidations, moves;
	u32 attached, pinned;
	u32 direction;		/* of the last map */
	u32 mapped;
	u32 generation;		/* of @arena */
	u32 mapped_now;		/* mappings of this generation */
	wait_queue_head_t unmapped;

	/*
	 * A move whose content is still to come; @fill_from says so. While it does,
	 * @arena stays as it is, and the work may read it without the lock. While
	 * @gate_closed, which is opened without the lock, the work has not been
	 * scheduled.
	 */
	struct delayed_work fill_work;
	struct dma_fence *fill_fence;
	struct mock_arena *fill_from;
	bool gate_closed;
	wait_queue_head_t gate;	/* for @gate_closed to change */

	/* Storm; under storm_lock, which is taken before the reservation lock. */
	struct mutex storm_lock;
	struct task_struct *storm;
	u32 storm_flags, storm_us;
};

#define MOCK_MAX_LEFT	4

/* mock_arena.c */
int mock_geom_init(struct mock_geom *geom, const struct mock_create *args);
void mock_geom_free(struct mock_geom *geom);
struct mock_arena *mock_arena_new(const struct mock_geom *geom);
struct mock_arena *mock_arena_new_bar(const struct mock_geom *geom,
				      struct pci_dev *pdev, u32 bar, u64 off);
void mock_arena_put(struct mock_arena *arena);
phys_addr_t mock_chunk_phys(const struct mock_arena *arena,
			    const struct mock_chunk *c);
struct page *mock_chunk_page(const struct mock_arena *arena,
			     const struct mock_chunk *c);
void mock_arena_read(const struct mock_arena *arena, u64 pos, void *buf, u64 len);
void mock_arena_write(const struct mock_arena *arena, u64 pos, const void *buf,
		      u64 len);
void mock_arena_fill(const struct mock_arena *arena, u8 byte);
void mock_arena_copy(const struct mock_arena *to, const struct mock_arena *from);
void mock_arena_poison(const struct mock_arena *arena);
void mock_arena_poison_gaps(const struct mock_arena *arena);
u64 mock_arena_count_bad(const struct mock_arena *arena);
u64 mock_arena_count_bad_gaps(const struct mock_arena *arena);

/* mock_map.c */
extern const struct dma_buf_ops mock_static_ops;
extern const struct dma_buf_ops mock_dynamic_ops;

/* mock_move.c */
int mock_invalidate(struct mock_buf *buf, struct mock_invalidate *req);
int mock_storm_set(struct mock_buf *buf, u32 flags, u32 period_us);
int mock_wait_filled_and_lock(struct mock_buf *buf);
void mock_fill_work(struct work_struct *work);
void mock_open_gate(struct mock_buf *buf);
void mock_move_release(struct mock_buf *buf);

/* mock_main.c */
void mock_buf_release(struct dma_buf *dmabuf);

#endif /* MOCK_H */
