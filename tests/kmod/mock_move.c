// SPDX-License-Identifier: GPL-2.0
/*
 * mock_move.c - invalidation of a mock buffer, with or without a change of memory.
 *
 * A move notifies the importers, and from the moment at which the callbacks have
 * returned and the fences of the importers have signalled, no one may touch the old
 * arena: it is filled with poison and kept for a while, and whatever is found changed
 * in it counts as stray. An importer that reads from it is found out by the poison
 * in what it reads.
 *
 * A move with a delay gives the importers a fence of kernel usage; the content arrives
 * in the new arena just before that fence signals. The delay is a time, or ends when the
 * test opens the gate, so that it can tell what happened before from what happened after.
 *
 * Locks: see mock.h. Importers wait for the fence under the reservation lock, so nothing
 * that comes before its signal may take that lock or allocate. Copying needs neither: the
 * arenas of a delayed move are fixed until the work has run, since every other request
 * waits for it (mock_wait_filled_and_lock()), without the lock. Opening the gate is what
 * they all wait for, so it takes no lock.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "mock.h"

static DEFINE_SPINLOCK(mock_fence_lock);

static const char *mock_fence_name(struct dma_fence *fence)
{
	return "dmabuf_rw_mock";
}

static const struct dma_fence_ops mock_fence_ops = {
	.get_driver_name = mock_fence_name,
	.get_timeline_name = mock_fence_name,
};

/* The name of this call changed with kernel 7.0; goes with support of 6.x kernels. */
static void mock_notify(struct dma_buf *dmabuf)
{
#ifdef MOCK_HAVE_INVALIDATE_MAPPINGS
	dma_buf_invalidate_mappings(dmabuf);
#else
	dma_buf_move_notify(dmabuf);
#endif
}

static void drop_left(struct mock_buf *buf, struct mock_arena *arena)
{
	dma_resv_assert_held(buf->dmabuf->resv);
	buf->left_bad += mock_arena_count_bad(arena);
	list_del(&arena->left_node);
	buf->nr_left--;
	mock_arena_put(arena);
}

static void keep_left(struct mock_buf *buf, struct mock_arena *arena)
{
	dma_resv_assert_held(buf->dmabuf->resv);
	mock_arena_poison(arena);
	list_add_tail(&arena->left_node, &buf->left);
	buf->nr_left++;
	if (buf->nr_left > MOCK_MAX_LEFT)
		drop_left(buf, list_first_entry(&buf->left, struct mock_arena, left_node));
}

static struct mock_arena *new_arena(struct mock_buf *buf, u32 flags)
{
	struct mock_arena *arena, *next;
	u64 off = buf->args.bar_off, slot;

	dma_resv_assert_held(buf->dmabuf->resv);
	if (!(flags & MOCK_INV_BAR) && ((flags & MOCK_INV_RAM) || !buf->arena->io))
		return mock_arena_new(&buf->geom);
	if (!buf->pdev)
		return ERR_PTR(-EINVAL);

	/* Two places in the BAR take turns; the one to be used now must be checked. */
	list_for_each_entry_safe(arena, next, &buf->left, left_node)
		if (arena->io)
			drop_left(buf, arena);
	slot = round_up(buf->geom.nr_blocks * buf->geom.block_bytes, PAGE_SIZE);
	if (buf->arena->io && buf->arena->phys ==
			      pci_resource_start(buf->pdev, buf->args.bar) + off)
		off += slot;
	return mock_arena_new_bar(&buf->geom, buf->pdev, buf->args.bar, off);
}

void mock_fill_work(struct work_struct *work)
{
	struct mock_buf *buf = container_of(to_delayed_work(work), struct mock_buf,
					    fill_work);
	struct dma_fence *fence = buf->fill_fence;

	mock_arena_copy(buf->arena, buf->fill_from);
	dma_fence_signal(fence);
	dma_fence_put(fence);

	dma_resv_lock(buf->dmabuf->resv, NULL);
	keep_left(buf, buf->fill_from);
	buf->fill_from = NULL;
	buf->fill_fence = NULL;
	buf->moves++;
	dma_resv_unlock(buf->dmabuf->resv);
}

/* Let the content come that a move has kept back; nothing if none is. */
void mock_open_gate(struct mock_buf *buf)
{
	if (!xchg(&buf->gate_closed, false))
		return;
	schedule_delayed_work(&buf->fill_work, 0);
	wake_up_all(&buf->gate);
}

/* Take the reservation lock at a moment at which no delayed content is due. */
int mock_wait_filled_and_lock(struct mock_buf *buf)
{
	for (;;) {
		/* Who maps it waits for the gate with the lock. */
		if (wait_event_killable(buf->gate, !READ_ONCE(buf->gate_closed)))
			return -EINTR;
		dma_resv_lock(buf->dmabuf->resv, NULL);
		if (!buf->fill_from)
			return 0;
		dma_resv_unlock(buf->dmabuf->resv);
		flush_delayed_work(&buf->fill_work);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

/* A fence for a move that is to come; the reservation has room for it afterwards. */
static struct dma_fence *new_fence(struct mock_buf *buf)
{
	struct dma_fence *fence;
	int ret;

	dma_resv_assert_held(buf->dmabuf->resv);
	ret = dma_resv_reserve_fences(buf->dmabuf->resv, 1);
	if (ret)
		return ERR_PTR(ret);
	fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	if (!fence)
		return ERR_PTR(-ENOMEM);
	dma_fence_init(fence, &mock_fence_ops, &mock_fence_lock,
		       dma_fence_context_alloc(1), 1);
	return fence;
}

static int invalidate_locked(struct mock_buf *buf, struct mock_invalidate *req)
{
	bool move = req->flags & MOCK_INV_MOVE, gate = req->flags & MOCK_INV_GATE;
	bool delayed = gate || req->fence_ms;
	struct mock_arena *to = NULL, *from = buf->arena;
	struct dma_fence *fence = NULL;
	ktime_t start;

	dma_resv_assert_held(buf->dmabuf->resv);

	if (req->flags & MOCK_INV_RESTORE) {
		buf->revoked = false;
		return 0;
	}
	if (buf->pinned && !(req->flags & MOCK_INV_FORCE))
		return -EBUSY;
	if (move && buf->user_mapped)
		return -EBUSY;

	/* Get all that can fail before anybody is told. */
	if (move) {
		to = new_arena(buf, req->flags);
		if (IS_ERR(to))
			return PTR_ERR(to);
	}
	if (move && delayed) {
		fence = new_fence(buf);
		if (IS_ERR(fence)) {
			mock_arena_put(to);
			return PTR_ERR(fence);
		}
	}

	if (req->flags & MOCK_INV_REVOKE)
		buf->revoked = true;
	buf->invalidations++;
	start = ktime_get();
	mock_notify(buf->dmabuf);
	req->callback_us = ktime_us_delta(ktime_get(), start);
	req->mapped = buf->mapped_now;
	/* What importers could not stop at once they have put under a fence. */
	dma_resv_wait_timeout(buf->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	if (!move)
		return 0;

	buf->arena = to;
	buf->generation++;
	buf->mapped_now = 0;
	mock_arena_poison(to);
	if (!fence) {
		mock_arena_copy(to, from);
		keep_left(buf, from);
		buf->moves++;
		return 0;
	}
	mock_arena_fill(to, MOCK_UNMOVED);
	buf->fill_from = from;
	buf->fill_fence = fence;
	dma_resv_add_fence(buf->dmabuf->resv, fence, DMA_RESV_USAGE_KERNEL);
	if (gate)
		WRITE_ONCE(buf->gate_closed, true);
	else
		schedule_delayed_work(&buf->fill_work, msecs_to_jiffies(req->fence_ms));
	return 0;
}

static u32 count_mapped_before(struct mock_buf *buf, u32 generation)
{
	u32 n;

	dma_resv_lock(buf->dmabuf->resv, NULL);
	n = generation == buf->generation ? buf->mapped_now
					  : buf->mapped - buf->mapped_now;
	dma_resv_unlock(buf->dmabuf->resv);
	return n;
}

int mock_invalidate(struct mock_buf *buf, struct mock_invalidate *req)
{
	u32 generation;
	int ret;

	if (req->flags & ~(MOCK_INV_MOVE | MOCK_INV_RAM | MOCK_INV_BAR | MOCK_INV_REVOKE |
			   MOCK_INV_RESTORE | MOCK_INV_FORCE | MOCK_INV_GATE))
		return -EINVAL;
	if (req->flags & MOCK_INV_GATE && !(req->flags & MOCK_INV_MOVE))
		return -EINVAL;
	req->mapped = 0;
	req->still_mapped = 0;
	req->callback_us = 0;

	ret = mock_wait_filled_and_lock(buf);
	if (ret)
		return ret;
	generation = buf->generation;
	ret = invalidate_locked(buf, req);
	dma_resv_unlock(buf->dmabuf->resv);
	if (ret)
		return ret;

	/*
	 * Without a move, importers may have mapped anew by now, so that only a move
	 * or a revocation tells late unmaps from new maps.
	 */
	if (req->flags & (MOCK_INV_MOVE | MOCK_INV_REVOKE) && req->mapped)
		wait_event_timeout(buf->unmapped, !count_mapped_before(buf, generation),
				   2 * HZ);
	if (req->flags & (MOCK_INV_MOVE | MOCK_INV_REVOKE))
		req->still_mapped = count_mapped_before(buf, generation);
	return 0;
}

static int storm_thread(void *data)
{
	struct mock_buf *buf = data;

	while (!kthread_should_stop()) {
		struct mock_invalidate req = { .flags = buf->storm_flags };

		if (mock_invalidate(buf, &req))
			fsleep(1000);
		fsleep(buf->storm_us);
	}
	return 0;
}

int mock_storm_set(struct mock_buf *buf, u32 flags, u32 period_us)
{
	int ret = 0;

	if (flags & ~(MOCK_INV_MOVE | MOCK_INV_FORCE))
		return -EINVAL;
	mutex_lock(&buf->storm_lock);
	if (buf->storm)
		kthread_stop(buf->storm);
	buf->storm = NULL;
	if (period_us) {
		buf->storm_flags = flags;
		buf->storm_us = period_us;
		buf->storm = kthread_run(storm_thread, buf, "mock_storm");
		if (IS_ERR(buf->storm)) {
			ret = PTR_ERR(buf->storm);
			buf->storm = NULL;
		}
	}
	mutex_unlock(&buf->storm_lock);
	return ret;
}

/* The buffer goes away; nobody else refers to it. */
void mock_move_release(struct mock_buf *buf)
{
	struct mock_arena *arena, *next;
	u64 bad;

	mock_storm_set(buf, 0, 0);
	mock_open_gate(buf);
	/* With no delayed content due this does nothing. */
	flush_delayed_work(&buf->fill_work);

	dma_resv_lock(buf->dmabuf->resv, NULL);
	list_for_each_entry_safe(arena, next, &buf->left, left_node)
		drop_left(buf, arena);
	bad = buf->left_bad;
	dma_resv_unlock(buf->dmabuf->resv);
	WARN(bad, "dmabuf_rw_mock: %llu bytes written where the buffer was before\n", bad);
}
