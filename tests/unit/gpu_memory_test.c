// SPDX-License-Identifier: MIT
/*
 * gpu_memory_test.c - dma-bufs from device pointers, with drivers that are fakes: what holds for
 * each vendor's driver, and what for one's only.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gpu/cuda_driver.h"
#include "gpu/gpu_library.h"
#include "gpu/gpu_memory.h"
#include "gpu_vendor.h"
#include "unit.h"

#define MIB (1UL << 20)

static CUcontext context;

static const struct vendor *v;	/* whose driver is tested */

static int setup(void **state)
{
	v = *state;
	*v->fake = (struct fake_gpu){ .memfd = true, .writes_ordering = 200,
				      .blocks = v->fake->blocks };
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0))
		return -1;
	return cuCtxSetCurrent(context);
}

static int teardown(void **state)
{
	(void)state;
	gpu_drop_idle();
	return v->fake->blocks || v->fake->forbidden ? -1 : 0;
}

static uint64_t allocate(size_t bytes)
{
	uint64_t p = v->alloc(bytes);

	assert_true(p);
	return p;
}

static struct gpu_segment *use(uint64_t p)
{
	struct gpu_segment *s;

	assert_int_equal(gpu_segment_use(p, &s), 0);
	return s;
}

static void host_memory_is_told_from_device_memory(void **state)
{
	struct gpu_segment *s;
	void *pinned;

	(void)state;
	assert_int_equal(gpu_segment_use((uintptr_t)&s, &s), -ENXIO);
	pinned = v->pin();
	assert_int_equal(gpu_segment_use((uintptr_t)pinned, &s), -ENXIO);
	v->unpin(pinned);
}

/*
 * Finding the driver waits for the loader's lock, which a thread has that runs constructors; one of
 * these may ask for the driver, too.
 */
static bool is_first_search = true, search_ended;
static _Atomic unsigned int searches;

static void *search(void *arg)
{
	(void)arg;
	cuda_driver();
	search_ended = true;
	return NULL;
}

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
	struct timespec until;
	pthread_t constructor;

	searches++;
	if (is_first_search) {
		is_first_search = false;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 5;
		assert_int_equal(pthread_create(&constructor, NULL, search, NULL), 0);
		if (pthread_timedjoin_np(constructor, NULL, &until))
			pthread_detach(constructor);
		else
			assert_true(search_ended);
	}
	return __real_dlopen(name, flags);
}

/* A process has the drivers of one vendor, mostly, and each transfer asks for the others. */
static void a_driver_that_is_not_there_is_not_looked_for_each_time(void **state)
{
	static void *table;
	static struct gpu_library library = {
		.soname = "libno-such-driver.so.1", .table = &table, .bytes = sizeof(table),
	};
	unsigned int before = searches;
	void *other;

	(void)state;
	assert_null(gpu_library_find(&library));
	assert_null(gpu_library_find(&library));
	assert_int_equal(searches, before + 1);
	/* It might have been this one. */
	other = __real_dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
	assert_non_null(other);
	assert_null(gpu_library_find(&library));
	assert_int_equal(searches, before + 2);
	dlclose(other);
}

static void a_constructor_may_look_for_the_driver_meanwhile(void **state)
{
	(void)state;
	assert_non_null(cuda_driver());
	assert_false(is_first_search);
	assert_true(search_ended);
}

static void an_allocation_is_exported_once_and_shared(void **state)
{
	uint64_t p = allocate(3 * MIB);
	struct gpu_segment *a = use(p), *b = use(p + 2 * MIB + 5);

	(void)state;
	assert_ptr_equal(a, b);
	assert_int_equal(v->fake->exports, 1);
	assert_int_equal(v->fake->sync_memops, v == &cuda);
	assert_int_equal(a->may_move, v->may_move);
	assert_true(a->fd > 2);
	assert_int_equal(a->base, p);
	assert_int_equal(a->bytes, 3 * MIB);
	assert_int_equal(gpu_segment_offset(a, p + 77), 77);
	gpu_segment_done(a);
	gpu_segment_done(b);
	a = use(p);
	assert_int_equal(v->fake->exports, 1);
	gpu_segment_done(a);
	v->free(p);
}

static void an_address_that_is_used_again_is_another_segment(void **state)
{
	uint64_t p = allocate(2 * MIB), again;
	struct gpu_segment *a = use(p), *b;
	struct stat before, after;

	(void)state;
	assert_int_equal(fstat(a->fd, &before), 0);
	v->free(p);
	again = allocate(2 * MIB);
	assert_int_equal(again, p);
	b = use(p);
	assert_ptr_not_equal(a, b);
	assert_int_equal(fstat(b->fd, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	/* The old one is there as long as somebody uses it. */
	assert_int_equal(fstat(a->fd, &before), 0);
	gpu_segment_done(a);
	gpu_segment_done(b);
	v->free(again);
}

/* A larger allocation where there were two before. */
static void an_allocation_over_others_that_are_gone(void **state)
{
	uint64_t p = allocate(2 * MIB), q = allocate(2 * MIB), large;
	struct gpu_segment *s;

	(void)state;
	gpu_segment_done(use(p));
	gpu_segment_done(use(q));
	v->free(p);
	v->free(q);
	large = allocate(4 * MIB);
	assert_int_equal(large, p);
	s = use(large + 3 * MIB);
	assert_int_equal(s->base, large);
	gpu_segment_done(s);
	s = use(large);
	assert_int_equal(s->bytes, 4 * MIB);
	gpu_segment_done(s);
	v->free(large);
}

static void memory_that_is_freed_is_not_kept_for_long(void **state)
{
	uint64_t p = allocate(2 * MIB);
	struct gpu_segment *s = use(p);
	char path[32];
	int i;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	gpu_segment_done(s);
	v->free(p);
	for (i = 0; i < 500 && !access(path, F_OK); i++)
		usleep(10000);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void what_cannot_be_exported_says_why(void **state)
{
	uint64_t p;
	struct gpu_segment *s;

	(void)state;
	p = v->alloc_shared(2 * MIB);
	s = use(p);
	assert_int_equal(s->fd, -1);
	assert_int_equal(s->refusal, GPU_MANAGED);
	gpu_segment_done(s);
	v->free(p);

	p = v->alloc_foreign(2 * MIB);
	s = use(p);
	assert_int_equal(s->refusal, GPU_REFUSED);
	assert_non_null(strstr(gpu_segment_cause(s), v->name));
	if (v == &cuda) {
		assert_string_equal(gpu_segment_detail(s), "CUDA_ERROR_NOT_SUPPORTED");
		assert_ptr_equal(s->context, context);
	} else {
		/* It was not asked. */
		assert_null(gpu_segment_detail(s));
	}
	gpu_segment_done(s);
	v->free(p);

	p = allocate(MIB);
	v->fake->no_dma_buf = true;
	s = use(p);
	assert_int_equal(s->refusal, GPU_NO_DMA_BUFS);
	gpu_segment_done(s);
	v->free(p);
}

/* What the driver lacks now it may have next time. */
static void a_lack_of_room_is_not_remembered(void **state)
{
	uint64_t p = allocate(MIB);
	struct gpu_segment *s, *t;

	(void)state;
	v->fake->export_error = v->lack;
	s = use(p);
	assert_int_equal(s->fd, -1);
	assert_int_equal(s->refusal, GPU_NO_ROOM);
	v->fake->export_error = 0;
	t = use(p);
	assert_true(t->fd >= 0);
	gpu_segment_done(s);
	gpu_segment_done(t);
	v->free(p);
}

static void what_lingers_makes_room(void **state)
{
	uint64_t p = allocate(MIB), lingering = allocate(MIB);
	struct gpu_segment *s;

	(void)state;
	gpu_segment_done(use(lingering));
	v->fake->export_error = v->lack;
	v->fake->export_failures = 1;
	s = use(p);
	assert_true(s->fd >= 0);
	gpu_segment_done(s);
	v->free(p);
	v->free(lingering);
}

static void a_lack_of_descriptors_is_told_as_such(void **state)
{
	struct rlimit none = { 0, 0 }, usual;
	uint64_t p = allocate(MIB), other = allocate(MIB);
	struct gpu_segment *s;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none.rlim_max = usual.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(gpu_segment_use(p, &s), -EMFILE);
	assert_int_equal(gpu_segment_use(other, &s), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	s = use(p);
	assert_true(s->fd >= 0);
	gpu_segment_done(s);
	v->free(p);
	v->free(other);
}

/* How often threads other than this one have gone to sleep. */
static unsigned long sleeps_of_others(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned long all = 0, nr;
	struct dirent *e;
	char path[300], line[128];

	assert_non_null(tasks);
	while ((e = readdir(tasks))) {
		FILE *f;

		if (e->d_name[0] == '.' || atoi(e->d_name) == gettid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "voluntary_ctxt_switches: %lu", &nr) == 1)
				all += nr;
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return all;
}

static void memory_that_comes_and_goes_wakes_nobody(void **state)
{
	uint64_t p = allocate(MIB);
	unsigned long before;
	int i;

	(void)state;
	gpu_segment_done(use(p));
	before = sleeps_of_others();
	for (i = 0; i < 400; i++) {
		gpu_segment_done(use(p));
		usleep(100);
	}
	assert_in_range(sleeps_of_others() - before, 0, 40);
	v->free(p);
}

static void writes_are_flushed_where_they_must_be(void **state)
{
	uint64_t p = allocate(MIB);
	struct gpu_segment *s = use(p);

	(void)state;
	assert_int_equal(gpu_flush(s), 0);
	assert_int_equal(v->fake->flushes, 0);
	gpu_segment_done(s);
	gpu_drop_idle();
	v->fake->writes_ordering = 0;
	s = use(p);
	cuCtxSetCurrent(NULL);
	assert_int_equal(gpu_flush(s), 0);
	assert_int_equal(v->fake->flushes, 1);
	gpu_segment_done(s);
	v->free(p);
}

static void copies_move_bytes_both_ways(void **state)
{
	uint64_t p = allocate(MIB);
	struct gpu_segment *s = use(p);
	char out[1000], in[1000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(out); i++)
		out[i] = i * 7;
	assert_int_equal(gpu_copy_to(s, p + 100, out, sizeof(out)), 0);
	assert_memory_equal(v->at(p + 100), out, sizeof(out));
	assert_int_equal(gpu_copy_from(s, p + 100, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(out));
	v->fake->copy_error = v->lack;
	assert_int_equal(gpu_copy_to(s, p, out, sizeof(out)), -EIO);
	assert_int_equal(gpu_copy_from(s, p, in, sizeof(in)), -EIO);
	gpu_segment_done(s);
	v->free(p);
}

/* ---- CUDA's only ------------------------------------------------------------------------ */

/* A thread of the library has no context, and one of the program's perhaps another one. */
static void memory_is_found_and_exported_without_a_context(void **state)
{
	CUdeviceptr p = allocate(MIB), pool;
	struct gpu_segment *s;
	CUcontext now;

	(void)state;
	assert_int_equal(fake_cuda_alloc_pool(&pool, MIB), 0);
	cuCtxSetCurrent(NULL);
	s = use(p + 4096);
	assert_int_equal(s->base, p);
	assert_true(s->fd >= 0);
	assert_int_equal(fake_cuda.sync_memops, 1);
	gpu_segment_done(s);
	s = use(pool);
	assert_int_equal(s->refusal, GPU_REFUSED);
	gpu_segment_done(s);
	cuCtxGetCurrent(&now);
	assert_null(now);
	cuMemFree_v2(p);
	cuMemFree_v2(pool);
}

static void ranges_grow_to_what_the_driver_takes(void **state)
{
	CUdeviceptr small = allocate(100), other = allocate(5000);
	struct gpu_segment *s;

	(void)state;
	/* Not at the beginning of its page, nor of its block. */
	assert_int_equal(other % 4096, 512);
	s = use(other + 4999);
	assert_int_equal(s->base, other);
	assert_int_equal(s->start, small);
	assert_int_equal(gpu_segment_offset(s, other), 512);
	assert_int_equal(s->span, 8192);
	gpu_segment_done(s);
	gpu_drop_idle();
	fake_cuda.grain = 64 << 10;
	s = use(other);
	assert_int_equal(s->span, 64 << 10);
	gpu_segment_done(s);
	gpu_drop_idle();
	fake_cuda.grain = 2 << 20;
	s = use(other);
	assert_int_equal(s->span, 2 << 20);
	gpu_segment_done(s);
	cuMemFree_v2(small);
	cuMemFree_v2(other);
}

static void a_range_of_several_segments_knows_each_byte(void **state)
{
	struct gpu_memory *m;
	struct gpu_place at;
	CUdeviceptr p;

	(void)state;
	assert_int_equal(fake_cuda_alloc_segments(&p, 3, 2 * MIB), 0);
	assert_int_equal(gpu_memory_create(p + MIB, 4 * MIB, &m), 0);
	assert_int_equal(fake_cuda.exports, 3);
	gpu_memory_find(m, 0, &at);
	assert_int_equal(at.segment->base, p);
	assert_int_equal(gpu_segment_offset(at.segment, p + MIB + 0), MIB);
	assert_int_equal(at.len, MIB);
	gpu_memory_find(m, MIB, &at);
	assert_int_equal(at.segment->base, p + 2 * MIB);
	assert_int_equal(gpu_segment_offset(at.segment, p + MIB + MIB), 0);
	assert_int_equal(at.len, 2 * MIB);
	gpu_memory_find(m, 3 * MIB + 1, &at);
	assert_int_equal(at.segment->base, p + 4 * MIB);
	assert_int_equal(gpu_segment_offset(at.segment, p + MIB + 3 * MIB + 1), 1);
	assert_int_equal(at.len, MIB - 1);
	gpu_memory_destroy(m);
	assert_int_equal(gpu_memory_create(p + MIB, 6 * MIB, &m), -ERANGE);
	assert_int_equal(gpu_memory_create(p, 0, &m), -ERANGE);
	assert_int_equal(gpu_memory_create(p, -1, &m), -ERANGE);
	assert_int_equal(gpu_memory_create((uintptr_t)&m, 4096, &m), -ENXIO);
	cuMemFree_v2(p);
}

static void copies_use_the_context_of_the_allocation(void **state)
{
	CUcontext other, popped;
	char out[1000], in[1000];
	struct gpu_segment *s;
	CUdeviceptr p;
	size_t i;

	(void)state;
	assert_int_equal(cuCtxCreate_v2(&other, 0, 0), 0);
	p = allocate(MIB);
	assert_int_equal(cuCtxPopCurrent_v2(&popped), 0);
	for (i = 0; i < sizeof(out); i++)
		out[i] = i * 7;
	s = use(p);
	assert_ptr_equal(s->context, other);
	assert_int_equal(gpu_copy_to(s, p + 100, out, sizeof(out)), 0);
	assert_memory_equal(fake_cuda_at(p + 100), out, sizeof(out));
	assert_int_equal(gpu_copy_from(s, p + 100, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(out));
	cuCtxGetCurrent(&popped);
	assert_ptr_equal(popped, context);
	fake_cuda.copy_error = 2;
	assert_int_equal(gpu_copy_to(s, p, out, sizeof(out)), -EIO);
	fake_cuda.copy_error = 0;
	assert_int_equal(gpu_copy_to(s, p, out, sizeof(out)), 0);
	gpu_segment_done(s);
	cuMemFree_v2(p);
	cuCtxDestroy_v2(other);
}

/* Its streams are gone with it, and another one may be at the same address. */
static void copies_outlive_a_context_that_is_destroyed(void **state)
{
	CUcontext first, second, popped;
	struct gpu_segment *s;
	CUdeviceptr p;
	char out[64] = "bytes";
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(cuCtxCreate_v2(i ? &second : &first, 0, 0), 0);
		p = allocate(MIB);
		cuCtxPopCurrent_v2(&popped);
		s = use(p);
		assert_int_equal(gpu_copy_to(s, p, out, sizeof(out)), 0);
		assert_int_equal(gpu_copy_to(s, p, out, sizeof(out)), 0);
		gpu_segment_done(s);
		cuMemFree_v2(p);
		cuCtxDestroy_v2(popped);
	}
	assert_ptr_equal(first, second);
}

static void a_range_of_segments_lacks_descriptors_midway(void **state)
{
	struct rlimit none = { 0, 0 }, usual;
	struct gpu_memory *m;
	CUdeviceptr p;

	(void)state;
	assert_int_equal(fake_cuda_alloc_segments(&p, 2, 2 * MIB), 0);
	gpu_segment_done(use(p));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none.rlim_max = usual.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(gpu_memory_create(p, 4 * MIB, &m), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	cuMemFree_v2(p);
}

/* ---- ROCm's only ------------------------------------------------------------------------ */

/* Before any other test. */
static void a_runtime_that_nobody_has_begun_is_left_alone(void **state)
{
	struct gpu_segment *s;

	(void)state;
	assert_int_equal(gpu_segment_use((uintptr_t)&s, &s), -ENXIO);
	assert_int_equal(hsa_shut_down(), 0x100b);
	fake_hsa.forbidden = 0;
}

/* Else the runtime would end, with all that it has, when the program has done with it. */
static void a_runtime_in_use_does_not_end_with_the_program_s_last_use(void **state)
{
	uint64_t p = allocate(MIB);
	struct gpu_segment *s = use(p);

	(void)state;
	assert_int_equal(hsa_shut_down(), 0);
	assert_int_equal(gpu_copy_from(s, p, (char [1]){ 0 }, 1), 0);
	assert_int_equal(hsa_init(), 0);
	gpu_segment_done(s);
	v->free(p);
}

/* A small allocation is a part of a block, and so of the dma-buf. */
static void an_allocation_begins_where_the_runtime_says(void **state)
{
	uint64_t first = allocate(100), other = allocate(5000);
	struct gpu_segment *s;

	(void)state;
	s = use(other + 4999);
	assert_int_equal(s->base, other);
	assert_int_equal(s->bytes, 5000);
	assert_int_equal(gpu_segment_offset(s, other), other - first);
	assert_int_not_equal(other, first);
	assert_int_equal(s->span, 2 * MIB);
	gpu_segment_done(s);
	v->free(first);
	v->free(other);
}

static void memory_whose_end_is_not_told_is_not_exported(void **state)
{
	uint64_t p = allocate(2 * MIB), again;
	struct gpu_segment *a, *b;
	char byte = 1;

	(void)state;
	fake_hsa.no_notices = true;
	a = use(p);
	assert_int_equal(a->fd, -1);
	assert_int_equal(a->refusal, GPU_NO_NOTICE);
	assert_int_equal(fake_hsa.exports, 0);
	/* It can be copied, and is another one each time. */
	assert_int_equal(gpu_copy_to(a, p, &byte, 1), 0);
	b = use(p);
	assert_int_not_equal(a->identity, b->identity);
	gpu_segment_done(a);
	gpu_segment_done(b);
	v->free(p);
	again = allocate(4 * MIB);
	assert_int_equal(again, p);
	a = use(again);
	assert_int_equal(a->bytes, 4 * MIB);
	gpu_segment_done(a);
	v->free(again);
}

static void the_runtime_s_refusal_has_its_words(void **state)
{
	uint64_t p = allocate(MIB);
	struct gpu_segment *s;

	(void)state;
	fake_hsa.export_error = 0x1003;
	s = use(p);
	assert_int_equal(s->refusal, GPU_REFUSED);
	assert_string_equal(gpu_segment_detail(s), "HSA_STATUS_ERROR_INVALID_ALLOCATION: fake");
	gpu_segment_done(s);
	v->free(p);
}

/* Each driver is asked, and knows its own. */
static void pointers_of_both_vendors_are_told_apart(void **state)
{
	uint64_t p = fake_hsa_alloc(MIB), q = cuda_alloc(MIB);
	struct gpu_segment *s = use(p), *t = use(q);

	(void)state;
	fake_cuda.memfd = true;
	assert_ptr_equal(s->driver, &gpu_hsa);
	assert_ptr_equal(t->driver, &gpu_cuda);
	gpu_segment_done(s);
	gpu_segment_done(t);
	gpu_drop_idle();
	hsa_free(p);
	cuda_free(q);
}

struct race {
	atomic_bool end;
	uint64_t p;
};

static void *use_always(void *arg)
{
	struct race *race = arg;
	struct gpu_segment *s;

	while (!atomic_load(&race->end)) {
		assert_int_equal(gpu_segment_use(race->p, &s), 0);
		gpu_segment_done(s);
	}
	return NULL;
}

/* Notices come in the middle of lookups of other memory. */
static void allocations_come_and_go_while_others_are_used(void **state)
{
	struct race race = { .p = allocate(2 * MIB) };
	struct gpu_segment *s;
	pthread_t threads[2];
	uint64_t p;
	int i;

	(void)state;
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_always, &race), 0);
	for (i = 0; i < 200; i++) {
		p = allocate((1 + i % 3) * 2 * MIB);
		s = use(p);
		assert_int_equal(s->base, p);
		assert_int_equal(s->bytes, (1 + i % 3) * 2 * MIB);
		gpu_segment_done(s);
		v->free(p);
	}
	atomic_store(&race.end, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	v->free(race.p);
}

int main(void)
{
	static const struct vendor_test tests[] = {
		CUDA_TEST(a_constructor_may_look_for_the_driver_meanwhile),
		CUDA_TEST(a_driver_that_is_not_there_is_not_looked_for_each_time),
		ROCM_TEST(a_runtime_that_nobody_has_begun_is_left_alone),
		BOTH_TEST(an_allocation_is_exported_once_and_shared),
		BOTH_TEST(host_memory_is_told_from_device_memory),
		BOTH_TEST(an_address_that_is_used_again_is_another_segment),
		BOTH_TEST(an_allocation_over_others_that_are_gone),
		BOTH_TEST(memory_that_is_freed_is_not_kept_for_long),
		BOTH_TEST(what_cannot_be_exported_says_why),
		BOTH_TEST(a_lack_of_room_is_not_remembered),
		BOTH_TEST(what_lingers_makes_room),
		BOTH_TEST(a_lack_of_descriptors_is_told_as_such),
		BOTH_TEST(memory_that_comes_and_goes_wakes_nobody),
		BOTH_TEST(copies_move_bytes_both_ways),
		BOTH_TEST(writes_are_flushed_where_they_must_be),
		CUDA_TEST(memory_is_found_and_exported_without_a_context),
		CUDA_TEST(ranges_grow_to_what_the_driver_takes),
		CUDA_TEST(a_range_of_several_segments_knows_each_byte),
		CUDA_TEST(a_range_of_segments_lacks_descriptors_midway),
		CUDA_TEST(copies_use_the_context_of_the_allocation),
		CUDA_TEST(copies_outlive_a_context_that_is_destroyed),
		ROCM_TEST(a_runtime_in_use_does_not_end_with_the_program_s_last_use),
		ROCM_TEST(an_allocation_begins_where_the_runtime_says),
		ROCM_TEST(memory_whose_end_is_not_told_is_not_exported),
		ROCM_TEST(the_runtime_s_refusal_has_its_words),
		ROCM_TEST(pointers_of_both_vendors_are_told_apart),
		ROCM_TEST(allocations_come_and_go_while_others_are_used),
	};

	return run_vendor_tests("gpu_memory_test", tests, COUNT(tests), setup, teardown);
}
