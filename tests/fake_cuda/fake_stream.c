// SPDX-License-Identifier: MIT
/*
 * fake_stream.c - streams: each has a thread that does what was asked for, in order.
 *
 * A synchronous copy of the real driver may return before the data is there; these do their work
 * late, so that who does not wait is found out. The null stream does all at once.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_stream.h"

#define CONTEXT_IS_DESTROYED 709

enum what { COPY, CALL, WAIT, END };

struct work {
	struct work *next;
	enum what what;
	struct fake_copy copy;
	void (*fn)(void *arg);
	void *arg;
	uint32_t *at;
	uint32_t value;
};

struct CUstream_st {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct work *head, **tail;	/* by @lock */
	unsigned int pending;
	int error;			/* sticky */
	CUcontext context;
	unsigned long long context_id;	/* the stream is gone if the context has another one */
};

#define MAX_HOST 64
static struct host {
	void *mem;		/* null: free */
	size_t bytes;
	CUcontext context;	/* with which it goes */
	bool registered;	/* the program's */
} host[MAX_HOST];		/* by the lock */
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;

static __thread bool calling;

bool fake_stream_is_calling(void)
{
	return calling;
}

static int do_work(struct work *w)
{
	switch (w->what) {
	case COPY:
		usleep(200);
		return fake_cuda_copy(&w->copy);
	case CALL:
		calling = true;
		w->fn(w->arg);
		calling = false;
		return 0;
	case WAIT:
		while ((int32_t)(__atomic_load_n(w->at, __ATOMIC_ACQUIRE) - w->value) < 0)
			usleep(20);
		return 0;
	case END:
		break;
	}
	return 0;
}

static void *run(void *arg)
{
	struct CUstream_st *s = arg;
	struct work *w;
	bool end = false;
	int err;

	while (!end) {
		pthread_mutex_lock(&s->lock);
		while (!s->head)
			pthread_cond_wait(&s->changed, &s->lock);
		w = s->head;
		s->head = w->next;
		if (!s->head)
			s->tail = &s->head;
		pthread_mutex_unlock(&s->lock);
		err = do_work(w);
		end = w->what == END;
		free(w);
		pthread_mutex_lock(&s->lock);
		if (err && !s->error)
			s->error = err;
		s->pending--;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static bool is_gone(CUstream s)
{
	unsigned long long id;

	return cuCtxGetId(s->context, &id) || id != s->context_id;
}

static int add(CUstream s, struct work work)
{
	struct work *w;

	if (!s)
		return do_work(&work);
	if (work.what != END && is_gone(s))
		return CONTEXT_IS_DESTROYED;
	w = malloc(sizeof(*w));
	if (!w)
		return 2;
	*w = work;
	w->next = NULL;
	pthread_mutex_lock(&s->lock);
	*s->tail = w;
	s->tail = &w->next;
	s->pending++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int cuStreamCreate(CUstream *stream, unsigned int flags)
{
	struct CUstream_st *s = calloc(1, sizeof(*s));
	CUcontext context;

	(void)flags;
	cuCtxGetCurrent(&context);
	if (!context || !s) {
		free(s);
		return 201;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->tail = &s->head;
	s->context = context;
	cuCtxGetId(context, &s->context_id);
	if (pthread_create(&s->thread, NULL, run, s)) {
		free(s);
		return 2;
	}
	*stream = s;
	return 0;
}

int cuStreamDestroy_v2(CUstream stream)
{
	if (is_gone(stream))
		return CONTEXT_IS_DESTROYED;
	add(stream, (struct work){ .what = END });
	pthread_join(stream->thread, NULL);
	free(stream);
	return 0;
}

int cuStreamSynchronize(CUstream stream)
{
	int ret;

	if (!stream)
		return 0;
	pthread_mutex_lock(&stream->lock);
	while (stream->pending)
		pthread_cond_wait(&stream->changed, &stream->lock);
	ret = stream->error;
	pthread_mutex_unlock(&stream->lock);
	return ret;
}

int fake_stream_copy(CUstream stream, struct fake_copy c)
{
	return add(stream, (struct work){ .what = COPY, .copy = c });
}

int cuStreamIsCapturing(CUstream stream, int *status)
{
	(void)stream;
	*status = fake_cuda.capturing;
	return 0;
}

int cuLaunchHostFunc(CUstream stream, void (*fn)(void *), void *arg)
{
	if (fake_cuda.capturing)
		add(stream, (struct work){ .what = CALL, .fn = fn, .arg = arg });
	return add(stream, (struct work){ .what = CALL, .fn = fn, .arg = arg });
}

int cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr p, uint32_t value, unsigned int flags)
{
	if (fake_cuda.wait_error)
		return fake_cuda.wait_error;
	if (flags || !fake_stream_is_host(p))
		return 1;
	return add(stream, (struct work){ .what = WAIT, .at = (uint32_t *)(uintptr_t)p,
					  .value = value });
}

/* ---- pinned host memory ----------------------------------------------------------------- */

/* Null for *@mem: memory of ours. */
static int add_host(void **mem, size_t bytes)
{
	CUcontext context;
	int i, ret = 2;

	cuCtxGetCurrent(&context);
	if (!context || calling)
		return 201;
	pthread_mutex_lock(&host_lock);
	for (i = 0; i < MAX_HOST && ret; i++) {
		struct host *h = &host[i];

		if (h->mem)
			continue;
		*h = (struct host){ .mem = *mem, .bytes = bytes, .context = context,
				    .registered = *mem };
		if (!h->mem && posix_memalign(&h->mem, 4096, bytes))
			h->mem = NULL;
		*mem = h->mem;
		ret = h->mem ? 0 : 2;
	}
	pthread_mutex_unlock(&host_lock);
	return ret;
}

int cuMemHostAlloc(void **mem, size_t bytes, unsigned int flags)
{
	(void)flags;
	*mem = NULL;
	return add_host(mem, bytes);
}

int cuMemHostRegister_v2(void *mem, size_t bytes, unsigned int flags)
{
	(void)flags;
	return add_host(&mem, bytes);
}

static void drop_host(struct host *h)
{
	if (!h->registered)
		free(h->mem);
	h->mem = NULL;
}

void fake_stream_end_context(CUcontext context)
{
	int i;

	pthread_mutex_lock(&host_lock);
	for (i = 0; i < MAX_HOST; i++)
		if (host[i].mem && host[i].context == context)
			drop_host(&host[i]);
	pthread_mutex_unlock(&host_lock);
}

int cuMemFreeHost(void *mem)
{
	int i, ret = 1;

	pthread_mutex_lock(&host_lock);
	for (i = 0; i < MAX_HOST && ret; i++)
		if (host[i].mem && host[i].mem == mem) {
			drop_host(&host[i]);
			ret = 0;
		}
	pthread_mutex_unlock(&host_lock);
	return ret;
}

bool fake_stream_is_host(uint64_t p)
{
	bool found = false;
	int i;

	pthread_mutex_lock(&host_lock);
	for (i = 0; i < MAX_HOST; i++)
		found |= host[i].mem && p >= (uintptr_t)host[i].mem &&
			 p - (uintptr_t)host[i].mem < host[i].bytes;
	pthread_mutex_unlock(&host_lock);
	return found;
}

int cuMemHostGetDevicePointer_v2(CUdeviceptr *p, void *mem, unsigned int flags)
{
	*p = (uintptr_t)mem;
	return flags || !fake_stream_is_host(*p) ? 1 : 0;
}
