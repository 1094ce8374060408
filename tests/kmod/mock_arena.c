// SPDX-License-Identifier: GPL-2.0
/*
 * mock_arena.c - the memory of a mock buffer.
 *
 * An arena is a row of equal blocks, each physically contiguous: page allocations for
 * RAM, slices of one PCI BAR for device memory. A geometry says where in it each
 * chunk of the buffer lies; all bytes outside the chunks are gaps and hold poison.
 *
 * Invariants: a chunk never crosses a block; chunks do not overlap; the chunks in
 * their order cover the buffer without a hole.
 *
 * Locks: none here. The content of an arena is the caller's business.
 */
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "mock.h"

#define MOCK_MAX_BLOCK	SZ_4M
#define MOCK_MAX_BYTES	SZ_2G
#define MOCK_MAX_CHUNKS	(SZ_1M / 2)

static u32 chunk_len(const struct mock_create *args, const struct mock_geom *geom,
		     u64 pos, u32 i)
{
	u64 left = geom->bytes - pos;
	u64 len = args->nr_pattern ? args->pattern[i % args->nr_pattern]
				   : geom->block_bytes;

	return min(left, len);
}

static u64 block_bytes(const struct mock_create *args, u32 align)
{
	u64 most = 0;
	u32 i;

	if (!args->nr_pattern) {
		if (args->kind == MOCK_BAR)
			return round_up(args->bytes, PAGE_SIZE);
		return min_t(u64, roundup_pow_of_two(max_t(u64, args->bytes, PAGE_SIZE)),
			     MOCK_MAX_BLOCK);
	}
	if (args->block)
		return args->block;
	for (i = 0; i < args->nr_pattern; i++)
		most = max_t(u64, most, args->pattern[i]);
	most = roundup_pow_of_two(most + align + args->gap);
	return clamp_t(u64, most, SZ_64K, MOCK_MAX_BLOCK);
}

/* Place the chunks one behind the other, from the last one on if reversed. */
static int place(struct mock_geom *geom, const struct mock_create *args, u32 align)
{
	bool reverse = args->flags & MOCK_REVERSE;
	u64 at = args->gap, block = 0, used = 0;
	u32 n;

	for (n = 0; n < geom->nr_chunks; n++) {
		struct mock_chunk *c = &geom->chunks[reverse ?
						     geom->nr_chunks - 1 - n : n];

		at = round_up(at, align);
		if (at + c->len > geom->block_bytes) {
			block++;
			at = round_up((u64)args->gap, align);
			if (at + c->len > geom->block_bytes)
				return -EINVAL;
		}
		if (block > U32_MAX - 1)
			return -EFBIG;
		c->block = block;
		c->off = at;
		at += c->len + args->gap;
		used += c->len;
	}
	geom->nr_blocks = block + 1;
	geom->gaps = used != geom->nr_blocks * geom->block_bytes;
	return 0;
}

int mock_geom_init(struct mock_geom *geom, const struct mock_create *args)
{
	u32 align = args->align ?: PAGE_SIZE;
	u64 pos;
	u32 i;
	int ret;

	if (!args->bytes || args->bytes > MOCK_MAX_BYTES ||
	    args->nr_pattern > MOCK_PATTERN || !is_power_of_2(align) ||
	    align > PAGE_SIZE || args->gap > SZ_1M)
		return -EINVAL;
	if (args->block && (!is_power_of_2(args->block) || args->block < PAGE_SIZE ||
			    args->block > MOCK_MAX_BLOCK))
		return -EINVAL;
	if (!args->nr_pattern && args->gap)
		return -EINVAL;
	for (i = 0; i < args->nr_pattern; i++)
		if (!args->pattern[i] || args->pattern[i] > MOCK_MAX_BLOCK)
			return -EINVAL;

	geom->bytes = args->bytes;
	geom->block_bytes = block_bytes(args, align);
	for (pos = 0, i = 0; pos < geom->bytes; i++) {
		if (i == MOCK_MAX_CHUNKS)
			return -EFBIG;
		pos += chunk_len(args, geom, pos, i);
	}
	geom->nr_chunks = i;
	geom->chunks = kvcalloc(i, sizeof(*geom->chunks), GFP_KERNEL);
	if (!geom->chunks)
		return -ENOMEM;
	for (pos = 0, i = 0; i < geom->nr_chunks; i++) {
		geom->chunks[i].pos = pos;
		geom->chunks[i].len = chunk_len(args, geom, pos, i);
		pos += geom->chunks[i].len;
	}
	ret = place(geom, args, align);
	if (ret)
		mock_geom_free(geom);
	return ret;
}

void mock_geom_free(struct mock_geom *geom)
{
	kvfree(geom->chunks);
	geom->chunks = NULL;
}

static void arena_release(struct kref *ref)
{
	struct mock_arena *arena = container_of(ref, struct mock_arena, ref);
	u32 i;

	if (arena->io) {
		if (arena->vaddr)
			iounmap(arena->vaddr);
	} else if (arena->blocks) {
		for (i = 0; i < arena->geom->nr_blocks; i++)
			if (arena->blocks[i])
				__free_pages(arena->blocks[i],
					     get_order(arena->geom->block_bytes));
		kvfree(arena->blocks);
	}
	kfree(arena);
}

void mock_arena_put(struct mock_arena *arena)
{
	kref_put(&arena->ref, arena_release);
}

/* The geometry must outlive the arena. */
struct mock_arena *mock_arena_new(const struct mock_geom *geom)
{
	struct mock_arena *arena;
	u32 i;

	if (geom->block_bytes > MOCK_MAX_BLOCK)
		return ERR_PTR(-EINVAL);
	arena = kzalloc(sizeof(*arena), GFP_KERNEL);
	if (!arena)
		return ERR_PTR(-ENOMEM);
	kref_init(&arena->ref);
	INIT_LIST_HEAD(&arena->left_node);
	arena->geom = geom;
	arena->blocks = kvcalloc(geom->nr_blocks, sizeof(*arena->blocks), GFP_KERNEL);
	if (!arena->blocks)
		goto nomem;
	for (i = 0; i < geom->nr_blocks; i++) {
		arena->blocks[i] = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN,
					       get_order(geom->block_bytes));
		if (!arena->blocks[i])
			goto nomem;
	}
	return arena;

nomem:
	mock_arena_put(arena);
	return ERR_PTR(-ENOMEM);
}

struct mock_arena *mock_arena_new_bar(const struct mock_geom *geom,
				      struct pci_dev *pdev, u32 bar, u64 off)
{
	u64 need = geom->nr_blocks * geom->block_bytes;
	struct mock_arena *arena;

	if (bar >= PCI_STD_NUM_BARS || !(pci_resource_flags(pdev, bar) & IORESOURCE_MEM))
		return ERR_PTR(-ENXIO);
	if (!PAGE_ALIGNED(off) || off > pci_resource_len(pdev, bar) ||
	    need > pci_resource_len(pdev, bar) - off)
		return ERR_PTR(-ENOSPC);
	arena = kzalloc(sizeof(*arena), GFP_KERNEL);
	if (!arena)
		return ERR_PTR(-ENOMEM);
	kref_init(&arena->ref);
	INIT_LIST_HEAD(&arena->left_node);
	arena->geom = geom;
	arena->io = true;
	arena->phys = pci_resource_start(pdev, bar) + off;
	arena->vaddr = ioremap_wc(arena->phys, need);
	if (!arena->vaddr) {
		mock_arena_put(arena);
		return ERR_PTR(-ENOMEM);
	}
	return arena;
}

phys_addr_t mock_chunk_phys(const struct mock_arena *arena, const struct mock_chunk *c)
{
	if (arena->io)
		return arena->phys + c->block * arena->geom->block_bytes + c->off;
	return page_to_phys(arena->blocks[c->block]) + c->off;
}

/* The page that holds the first byte of a chunk; RAM only. */
struct page *mock_chunk_page(const struct mock_arena *arena, const struct mock_chunk *c)
{
	return arena->blocks[c->block] + (c->off >> PAGE_SHIFT);
}

static void block_read(const struct mock_arena *arena, u32 block, u64 off, void *buf,
		       u64 len)
{
	if (arena->io)
		memcpy_fromio(buf, arena->vaddr + block * arena->geom->block_bytes + off,
			      len);
	else
		memcpy(buf, page_address(arena->blocks[block]) + off, len);
}

static void block_write(const struct mock_arena *arena, u32 block, u64 off,
			const void *buf, u64 len)
{
	if (arena->io)
		memcpy_toio(arena->vaddr + block * arena->geom->block_bytes + off, buf,
			    len);
	else
		memcpy(page_address(arena->blocks[block]) + off, buf, len);
}

static void block_set(const struct mock_arena *arena, u32 block, u64 off, u8 byte,
		      u64 len)
{
	if (arena->io)
		memset_io(arena->vaddr + block * arena->geom->block_bytes + off, byte,
			  len);
	else
		memset(page_address(arena->blocks[block]) + off, byte, len);
}

/* The chunk that holds byte @pos of the buffer, which must be inside. */
static const struct mock_chunk *find_chunk(const struct mock_geom *geom, u64 pos)
{
	u32 lo = 0, hi = geom->nr_chunks;

	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;

		if (geom->chunks[mid].pos <= pos)
			lo = mid;
		else
			hi = mid;
	}
	return &geom->chunks[lo];
}

void mock_arena_read(const struct mock_arena *arena, u64 pos, void *buf, u64 len)
{
	const struct mock_chunk *c;

	for (c = len ? find_chunk(arena->geom, pos) : NULL; len; c++) {
		u64 skip = pos - c->pos, n = min(len, c->len - skip);

		block_read(arena, c->block, c->off + skip, buf, n);
		pos += n;
		buf += n;
		len -= n;
	}
}

void mock_arena_write(const struct mock_arena *arena, u64 pos, const void *buf, u64 len)
{
	const struct mock_chunk *c;

	for (c = len ? find_chunk(arena->geom, pos) : NULL; len; c++) {
		u64 skip = pos - c->pos, n = min(len, c->len - skip);

		block_write(arena, c->block, c->off + skip, buf, n);
		pos += n;
		buf += n;
		len -= n;
	}
}

void mock_arena_fill(const struct mock_arena *arena, u8 byte)
{
	u32 i;

	for (i = 0; i < arena->geom->nr_chunks; i++) {
		const struct mock_chunk *c = &arena->geom->chunks[i];

		block_set(arena, c->block, c->off, byte, c->len);
	}
}

/* Does not allocate: it runs before a fence signals. */
void mock_arena_copy(const struct mock_arena *to, const struct mock_arena *from)
{
	u64 pos, n, bytes = to->geom->bytes;
	u8 bounce[1024];

	for (pos = 0; pos < bytes; pos += n) {
		n = min_t(u64, sizeof(bounce), bytes - pos);
		mock_arena_read(from, pos, bounce, n);
		mock_arena_write(to, pos, bounce, n);
	}
}

void mock_arena_poison(const struct mock_arena *arena)
{
	u32 i;

	for (i = 0; i < arena->geom->nr_blocks; i++)
		block_set(arena, i, 0, MOCK_POISON, arena->geom->block_bytes);
}

/* Call @fn for each gap; chunks of one block are in rising or falling order. */
static void for_each_gap(const struct mock_arena *arena,
			 void (*fn)(const struct mock_arena *arena, u32 block, u64 off,
				    u64 len, void *ctx),
			 void *ctx)
{
	const struct mock_geom *geom = arena->geom;
	bool reverse = geom->chunks[0].block > geom->chunks[geom->nr_chunks - 1].block ||
		       (geom->chunks[0].block == geom->chunks[geom->nr_chunks - 1].block &&
			geom->chunks[0].off > geom->chunks[geom->nr_chunks - 1].off);
	u64 at = 0;
	u32 block = 0, n;

	for (n = 0; n < geom->nr_chunks; n++) {
		const struct mock_chunk *c =
			&geom->chunks[reverse ? geom->nr_chunks - 1 - n : n];

		if (c->block != block) {
			if (at < geom->block_bytes)
				fn(arena, block, at, geom->block_bytes - at, ctx);
			block = c->block;
			at = 0;
		}
		if (c->off > at)
			fn(arena, block, at, c->off - at, ctx);
		at = c->off + c->len;
	}
	if (at < geom->block_bytes)
		fn(arena, block, at, geom->block_bytes - at, ctx);
}

static void poison_gap(const struct mock_arena *arena, u32 block, u64 off, u64 len,
		       void *ctx)
{
	block_set(arena, block, off, MOCK_POISON, len);
}

void mock_arena_poison_gaps(const struct mock_arena *arena)
{
	if (arena->geom->gaps)
		for_each_gap(arena, poison_gap, NULL);
}

static void count_gap(const struct mock_arena *arena, u32 block, u64 off, u64 len,
		      void *ctx)
{
	u64 *bad = ctx;
	u8 b[256];
	u64 n, i;

	for (; len; off += n, len -= n) {
		n = min_t(u64, len, sizeof(b));
		block_read(arena, block, off, b, n);
		if (!memchr_inv(b, MOCK_POISON, n))
			continue;
		for (i = 0; i < n; i++)
			*bad += b[i] != MOCK_POISON;
	}
}

u64 mock_arena_count_bad_gaps(const struct mock_arena *arena)
{
	u64 bad = 0;

	if (arena->geom->gaps)
		for_each_gap(arena, count_gap, &bad);
	return bad;
}

u64 mock_arena_count_bad(const struct mock_arena *arena)
{
	u64 bad = 0;
	u32 i;

	for (i = 0; i < arena->geom->nr_blocks; i++)
		count_gap(arena, i, 0, arena->geom->block_bytes, &bad);
	return bad;
}
