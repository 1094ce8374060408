// SPDX-License-Identifier: MIT
/*
 * async.c - transfers in the order of a stream.
 *
 * A function that a stream calls may not use CUDA, but copies and flushes do. So the stream calls
 * a function that only hands a job to a thread of ours, and then waits for a word of host memory,
 * which the job sets when the transfer has ended. No stream waits for another stream's job.
 *
 * Words are never reset. Each use of a word increments its number, and the stream waits for that
 * number or a later one. So a word may be used again once it is set, whether or not the stream has
 * seen it. There are as many words as there were transfers in streams at a time.
 *
 * If a stream accepts the function but not the wait, the program gets an error; by then the
 * transfer must have ended, or must never begin. A stream that has failed never calls the function.
 * So the function looks up the handle, and nothing of the program's waits for such a stream.
 *
 * Locks: "lock" protects the free words; it is not held while CUDA is called.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "front.h"
#include "gpu/cuda_driver.h"

#define NR_WORDS 1024	/* made at a time */

struct word {
	struct word *next;	/* while free */
	struct words *of;
	uint32_t *at;		/* in host memory mapped by the device */
	cuda_ptr device_at;
	uint32_t number;	/* its next value */
};

/* The words of a context. The device's mapping ends with the context, the memory does not. */
struct words {
	struct words *next;
	unsigned long long context_id;
	struct word *free;	/* by @lock */
};

enum async_state { IN_STREAM, BEGUN, OVER, GIVEN_UP };

struct async {
	struct front_job job;
	_Atomic int state;		/* enum async_state */
	_Atomic int refs;		/* start()'s, and the stream's */
	CUfileHandle_t fh;
	struct word *word;
	bool write;
	char *base;
	/* The program's variables, read and set in the stream's order. */
	const size_t *size;
	const off_t *file_off, *buf_off;
	ssize_t *bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct words *all_words;		/* by @lock */

static struct words *find_words_locked(unsigned long long context_id)
{
	struct words *of = all_words;

	while (of && of->context_id != context_id)
		of = of->next;
	if (of)
		return of;
	of = calloc(1, sizeof(*of));
	if (!of)
		return NULL;
	of->context_id = context_id;
	of->next = all_words;
	all_words = of;
	return of;
}

/* In the current context; never freed. 0 or a driver error. */
static int make_words(const struct cuda_driver *cuda, struct words *of)
{
	struct word *words = calloc(NR_WORDS, sizeof(*words));
	uint32_t *mem = aligned_alloc(4096, NR_WORDS * sizeof(*mem));
	cuda_ptr device = 0;
	size_t i;
	int err = !words || !mem ? CUDA_OUT_OF_MEMORY :
		cuda->mem_host_register(mem, NR_WORDS * sizeof(*mem),
					CUDA_HOST_PORTABLE | CUDA_HOST_DEVICEMAP);

	if (err) {
		free(mem);
		free(words);
		return err;
	}
	err = cuda->mem_host_get_device_pointer(&device, mem, 0);
	if (err) {
		/* The memory stays registered. */
		free(words);
		return err;
	}
	for (i = 0; i < NR_WORDS; i++) {
		mem[i] = 0;
		words[i].of = of;
		words[i].at = &mem[i];
		words[i].device_at = device + i * sizeof(*mem);
		words[i].next = &words[i + 1];
	}
	pthread_mutex_lock(&lock);
	words[NR_WORDS - 1].next = of->free;
	of->free = words;
	pthread_mutex_unlock(&lock);
	return 0;
}

/* A word of the current context. 0 or a driver error. */
static int take_word(const struct cuda_driver *cuda, struct word **word)
{
	unsigned long long id;
	cuda_context context;
	struct words *of;
	struct word *w;
	int err;

	err = cuda->ctx_get_current(&context);
	if (err || !context)
		return err ? err : CUDA_INVALID_CONTEXT;
	id = cuda_context_id(cuda, context);
	do {
		pthread_mutex_lock(&lock);
		of = find_words_locked(id);
		w = of ? of->free : NULL;
		if (w) {
			of->free = w->next;
			w->number++;
		}
		pthread_mutex_unlock(&lock);
		if (!w)
			err = of ? make_words(cuda, of) : CUDA_OUT_OF_MEMORY;
	} while (!w && !err);
	*word = w;
	return err;
}

static void set_word(struct word *w)
{
	__atomic_store_n(w->at, w->number, __ATOMIC_RELEASE);
	pthread_mutex_lock(&lock);
	w->next = w->of->free;
	w->of->free = w;
	pthread_mutex_unlock(&lock);
}

static void put_async(struct async *a)
{
	if (atomic_fetch_sub(&a->refs, 1) == 1)
		free(a);
}

/* Lets the stream go on. Nothing touches the program's variables afterwards. */
static void end_async(struct async *a)
{
	atomic_store(&a->state, OVER);
	set_word(a->word);
	put_async(a);
}

static void run_async(struct front_job *job)
{
	struct async *a = (struct async *)job;

	*a->bytes = transfer_by_handle(a->fh, a->write, a->base, *a->buf_off, *a->size,
				       *a->file_off);
	end_async(a);
}

/* Called by the driver; must not call the driver. */
static void stream_is_there(void *arg)
{
	struct async *a = arg;
	int in_stream = IN_STREAM;

	if (!atomic_compare_exchange_strong(&a->state, &in_stream, BEGUN)) {
		end_async(a);
	} else if (job_submit(&a->job)) {
		*a->bytes = -ENOMEM;
		end_async(a);
	}
}

/* Returns when the transfer has ended, or will never begin. */
static void give_up(struct async *a)
{
	int in_stream = IN_STREAM;

	if (!atomic_compare_exchange_strong(&a->state, &in_stream, GIVEN_UP))
		while (atomic_load(&a->state) != OVER)
			usleep(1000);
}

static bool can_order(const struct cuda_driver *cuda)
{
	return cuda && cuda->stream_is_capturing && cuda->launch_host_func &&
	       cuda->stream_wait_value32 && cuda->mem_host_register &&
	       cuda->mem_host_get_device_pointer;
}

static CUfileError_t cuda_status(int err)
{
	CUfileError_t status = front_status(CU_FILE_CUDA_DRIVER_ERROR);

	status.cu_err = (CUresult)err;
	return status;
}

/* A transfer runs once, but a captured graph runs at each launch. */
static int check_stream(const struct cuda_driver *cuda, cuda_stream stream)
{
	int capturing, err = cuda->stream_is_capturing(stream, &capturing);

	return err ? err : capturing ? CUDA_CAPTURE_UNSUPPORTED : 0;
}

/* Hands @a to the stream. 0, or a driver error, after which @a has no effect. */
static int enqueue(const struct cuda_driver *cuda, struct async *a, cuda_stream stream)
{
	uint32_t number = 0;
	cuda_ptr at = 0;
	int err = check_stream(cuda, stream);

	if (!err)
		err = take_word(cuda, &a->word);
	if (!err) {
		/* Once the stream has the word, another transfer may soon take it. */
		number = a->word->number;
		at = a->word->device_at;
		err = cuda->launch_host_func(stream, stream_is_there, a);
		if (err)
			set_word(a->word);
	}
	if (err) {
		put_async(a);
		return err;
	}
	err = cuda->stream_wait_value32(stream, at, number, CUDA_WAIT_VALUE_GEQ);
	if (err)
		give_up(a);
	return err;
}

static CUfileError_t start(CUfileHandle_t fh, bool write, void *base, const size_t *size,
			   const off_t *file_off, const off_t *buf_off, ssize_t *bytes,
			   CUstream stream)
{
	const struct cuda_driver *cuda = cuda_driver();
	struct front_file *file;
	struct async *a;
	int ret = front_open();

	if (ret)
		return front_status(ret);
	if (!base || !size || !file_off || !buf_off || !bytes)
		return front_status(CU_FILE_INVALID_VALUE);
	if (!can_order(cuda))
		return front_status(CU_FILE_ASYNC_NOT_SUPPORTED);
	file = file_get(fh);
	if (!file)
		return front_status(CU_FILE_HANDLE_NOT_REGISTERED);
	file_put(file);
	a = calloc(1, sizeof(*a));
	if (!a)
		return front_status(CU_FILE_INTERNAL_ERROR);
	*a = (struct async){ .job.run = run_async, .refs = 2, .fh = fh, .write = write,
			     .base = base, .size = size, .file_off = file_off,
			     .buf_off = buf_off, .bytes = bytes };
	ret = enqueue(cuda, a, (cuda_stream)stream);
	put_async(a);
	return ret ? cuda_status(ret) : front_status(0);
}

CUFILE_API CUfileError_t cuFileReadAsync(CUfileHandle_t fh, void *base, size_t *size,
					 off_t *file_offset, off_t *buf_offset, ssize_t *bytes,
					 CUstream stream)
{
	return start(fh, false, base, size, file_offset, buf_offset, bytes, stream);
}

CUFILE_API CUfileError_t cuFileWriteAsync(CUfileHandle_t fh, void *base, size_t *size,
					  off_t *file_offset, off_t *buf_offset, ssize_t *bytes,
					  CUstream stream)
{
	return start(fh, true, base, size, file_offset, buf_offset, bytes, stream);
}

CUFILE_API CUfileError_t cuFileStreamRegister(CUstream stream, unsigned int flags)
{
	const unsigned int known = CU_FILE_STREAM_FIXED_BUF_OFFSET |
		CU_FILE_STREAM_FIXED_FILE_OFFSET | CU_FILE_STREAM_FIXED_FILE_SIZE |
		CU_FILE_STREAM_PAGE_ALIGNED_INPUTS;
	int ret = front_open();

	(void)stream;
	return front_status(ret ? ret : flags & ~known ? CU_FILE_INVALID_VALUE : 0);
}

CUFILE_API CUfileError_t cuFileStreamDeregister(CUstream stream)
{
	(void)stream;
	return front_status(front_let_go());
}
