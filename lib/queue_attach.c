// SPDX-License-Identifier: MIT
/*
 * queue_attach.c - bindings in the tables of a queue's ring.
 *
 * A module binding may be in the table of files, which saves a look-up. A kernel binding must be in
 * the table of buffers to have entries at all. The index is the same in both tables.
 *
 * A kernel binding may be destroyed while its buffer is in the table. So the queue references its
 * struct dmabuf_rw_kernel, and empties the slot at the next sweep: only the queue's own thread may
 * change the tables.
 *
 * Thread-safety: as queue.c.
 */
#include <errno.h>

#include "queue.h"
#include "uring_dmabuf.h"

int dmabuf_rw_queue_find(const struct dmabuf_rw_queue *q, uint64_t id)
{
	uint32_t i;

	for (i = DMABUF_RW_END_INDEX + 1; i < q->nr_attached; i++)
		if (q->attached[i] == id)
			return i;
	return -1;
}

/* 0 or -errno. */
static int register_kernel(struct dmabuf_rw_queue *q, uint32_t index, struct dmabuf_rw_kernel *k)
{
	int ret = 0;

	if (!q->ring_err && !q->has_buffers) {
		ret = io_uring_register_buffers_sparse(&q->ring, DMABUF_RW_TABLE_MAX);
		q->has_buffers = !ret;
	}
	if (!q->ring_err && !ret)
		ret = dmabuf_rw_uring_register(q->ring.ring_fd, index, k->pool.dmabuf_fd,
					       k->pool.file_fd);
	if (ret)
		return ret;
	atomic_fetch_add(&k->refs, 1);
	q->kernels[index] = k;
	q->nr_kernels++;
	return 0;
}

static void put_kernel(struct dmabuf_rw_queue *q, uint32_t index)
{
	dmabuf_rw_kernel_put(q->kernels[index]);
	q->kernels[index] = NULL;
	q->nr_kernels--;
}

static void detach(struct dmabuf_rw_queue *q, uint32_t index)
{
	int none = -1;

	if (!q->ring_err && q->kernels[index])
		dmabuf_rw_uring_unregister(q->ring.ring_fd, index);
	else if (!q->ring_err)
		io_uring_register_files_update(&q->ring, index, &none, 1);
	if (q->kernels[index])
		put_kernel(q, index);
	q->attached[index] = 0;
	while (q->nr_attached > DMABUF_RW_END_INDEX + 1 && !q->attached[q->nr_attached - 1])
		q->nr_attached--;
}

void dmabuf_rw_queue_sweep(struct dmabuf_rw_queue *q)
{
	uint32_t i;

	for (i = q->nr_attached; q->nr_kernels && i-- > DMABUF_RW_END_INDEX;)
		if (q->kernels[i] && q->kernels[i]->dead)
			detach(q, i);
}

int dmabuf_rw_queue_add(struct dmabuf_rw_queue *q, const struct dmabuf_rw_binding *binding)
{
	int index, ret = 0;

	dmabuf_rw_queue_sweep(q);
	index = dmabuf_rw_queue_find(q, 0);
	if (index < 0)
		index = q->nr_attached;
	if ((uint32_t)index >= q->nr_table)
		return -ENOSPC;
	if (binding->kernel)
		ret = register_kernel(q, index, binding->kernel);
	else if (!q->ring_err)
		ret = io_uring_register_files_update(&q->ring, index, &binding->fd, 1);
	if (ret < 0)
		return ret;
	q->attached[index] = binding->id;
	if ((uint32_t)index == q->nr_attached)
		q->nr_attached++;
	return index;
}

void dmabuf_rw_queue_put_kernels(struct dmabuf_rw_queue *q)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(q->kernels); i++)
		if (q->kernels[i])
			put_kernel(q, i);
}

DMABUF_RW_API int dmabuf_rw_queue_attach(struct dmabuf_rw_queue *queue,
					 const struct dmabuf_rw_binding *binding)
{
	int ret = dmabuf_rw_queue_check_caller(queue);

	if (ret)
		return ret;
	if (!dmabuf_rw_is_direct(binding))
		return -EOPNOTSUPP;
	if (dmabuf_rw_queue_find(queue, binding->id) >= 0)
		return -EEXIST;
	ret = dmabuf_rw_queue_add(queue, binding);
	return ret < 0 ? ret : 0;
}

DMABUF_RW_API void dmabuf_rw_queue_detach(struct dmabuf_rw_queue *queue,
					  const struct dmabuf_rw_binding *binding)
{
	int index = dmabuf_rw_queue_find(queue, binding->id);

	if (index >= 0 && !dmabuf_rw_queue_check_caller(queue))
		detach(queue, index);
}
