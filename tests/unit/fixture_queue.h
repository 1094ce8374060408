/* SPDX-License-Identifier: MIT */
/* fixture_queue.h - a queue, for tests of queues. */
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

#endif
