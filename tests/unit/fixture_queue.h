/* SPDX-License-Identifier: MIT */
/* fixture_queue.h - a queue, and what comes out of it. */
#ifndef FIXTURE_QUEUE_H
#define FIXTURE_QUEUE_H

#include <libdmabuf_rw.h>

#include "unit.h"

static struct dmabuf_rw_queue *new_queue(uint32_t depth, uint64_t flags)
{
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts),
		.depth = depth,
		.flags = flags,
	};
	struct dmabuf_rw_queue *queue;

	assert_int_equal(dmabuf_rw_queue_create(&opts, &queue), 0);
	return queue;
}

static inline void reap_one(struct dmabuf_rw_queue *queue, struct dmabuf_rw_completion *c)
{
	*c = (struct dmabuf_rw_completion){ .size = sizeof(*c) };
	assert_int_equal(dmabuf_rw_queue_reap(queue, c, 1, 1, NULL), 1);
}

#endif
