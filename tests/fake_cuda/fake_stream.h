/* SPDX-License-Identifier: MIT */
/* fake_stream.h - what the files of the fake driver share. */
#ifndef FAKE_STREAM_H
#define FAKE_STREAM_H

#include <stdbool.h>

#include "fake_cuda.h"

struct fake_copy {
	uint64_t p;
	void *to;		/* host; or null, and */
	const void *from;
	size_t bytes;
	CUcontext context;
};

int fake_cuda_copy(const struct fake_copy *c);
int fake_stream_copy(CUstream stream, struct fake_copy c);
/* Whether this thread is in a function that a stream has called. */
bool fake_stream_is_calling(void);
void fake_stream_end_context(CUcontext context);
/* Memory of cuMemHostAlloc(), and what is registered. */
bool fake_stream_is_host(uint64_t p);

#endif
