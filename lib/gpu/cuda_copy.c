// SPDX-License-Identifier: MIT
/*
 * cuda_copy.c - copies to and from device memory by the CUDA driver, for bytes that cannot go
 * direct.
 *
 * A copy runs in a thread of the library or of the caller, with any context current. So it makes
 * the segment's context current and restores the previous one. It uses and waits for a stream of
 * its own, which does not wait for the program's: a synchronous copy from pageable memory may
 * return before the data has arrived.
 *
 * Unused streams are kept in a list, by context, for the next copy. If the program destroys a
 * context, its streams end with it, and only leave the list.
 *
 * Thread-safety: "lock" protects the list.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "cuda_copy.h"
#include "cuda_driver.h"
#include "gpu_memory.h"

struct stream {
	struct stream *next;
	cuda_context context;
	unsigned long long context_id;
	cuda_stream stream;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream *unused;	/* by @lock */

static struct stream *take_unused(cuda_context context, unsigned long long id)
{
	struct stream **at = &unused, *s;

	pthread_mutex_lock(&lock);
	while ((s = *at)) {
		if (s->context != context) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		if (s->context_id == id)
			break;
		free(s);
	}
	pthread_mutex_unlock(&lock);
	return s;
}

/* The context is current. Null: no memory, or no stream. */
static struct stream *take_stream(const struct cuda_driver *cuda, cuda_context context)
{
	unsigned long long id = cuda_context_id(cuda, context);
	struct stream *s = take_unused(context, id);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->context = context;
	s->context_id = id;
	if (cuda->stream_create(&s->stream, CUDA_STREAM_NON_BLOCKING)) {
		free(s);
		return NULL;
	}
	return s;
}

static void give_stream(struct stream *s)
{
	pthread_mutex_lock(&lock);
	s->next = unused;
	unused = s;
	pthread_mutex_unlock(&lock);
}

int cuda_copy(const struct gpu_segment *segment, uint64_t p, void *to, const void *from,
	      size_t len)
{
	const struct cuda_driver *cuda = cuda_driver();
	cuda_context before;
	struct stream *s;
	int err;

	if (!cuda || !segment->context || cuda->ctx_push_current(segment->context))
		return -EIO;
	s = take_stream(cuda, segment->context);
	if (!s) {
		cuda->ctx_pop_current(&before);
		return -ENOMEM;
	}
	err = to ? cuda->memcpy_dtoh_async(to, p, len, s->stream) :
		   cuda->memcpy_htod_async(p, from, len, s->stream);
	if (!err)
		err = cuda->stream_synchronize(s->stream);
	if (err) {
			/* The stream may be broken: the next copy makes another one. */
		cuda->stream_destroy(s->stream);
		free(s);
	} else {
		give_stream(s);
	}
	cuda->ctx_pop_current(&before);
	return err ? -EIO : 0;
}

int cuda_flush(const struct gpu_segment *segment)
{
	const struct cuda_driver *cuda = cuda_driver();
	cuda_context before;
	int err;

	if (!cuda || cuda->ctx_push_current(segment->context))
		return -EIO;
	err = cuda->flush_gpudirect_rdma_writes(CUDA_FLUSH_CURRENT_CONTEXT, CUDA_FLUSH_TO_OWNER);
	cuda->ctx_pop_current(&before);
	return err ? -EIO : 0;
}
