/* SPDX-License-Identifier: MIT */
/*
 * gpu_vendor.h - the fakes of both vendors' drivers by one interface, and tests that are run with
 * each: one that has to hold for both is BOTH_TEST(), and has the vendor as its initial state.
 */
#ifndef GPU_VENDOR_H
#define GPU_VENDOR_H

#include <stdio.h>
#include <stdlib.h>

#include "../fake_cuda/fake_cuda.h"
#include "../fake_gpu/fake_hsa.h"
#include "unit.h"

static inline uint64_t cuda_alloc(size_t bytes)
{
	CUdeviceptr p;

	assert_int_equal(cuMemAlloc_v2(&p, bytes), 0);
	return p;
}

static inline uint64_t cuda_alloc_managed(size_t bytes)
{
	CUdeviceptr p;

	assert_int_equal(cuMemAllocManaged(&p, bytes, 1), 0);
	return p;
}

static inline uint64_t cuda_alloc_pool(size_t bytes)
{
	CUdeviceptr p;

	assert_int_equal(fake_cuda_alloc_pool(&p, bytes), 0);
	return p;
}

static inline void cuda_free(uint64_t p)
{
	assert_int_equal(cuMemFree_v2(p), 0);
}

static inline unsigned char *cuda_at(uint64_t p)
{
	return fake_cuda_at(p);
}

static inline void *cuda_pin(void)
{
	void *pinned;

	assert_int_equal(cuMemHostAlloc(&pinned, 4096, 0), 0);
	return pinned;
}

static inline void cuda_unpin(void *pinned)
{
	cuMemFreeHost(pinned);
}

static inline void hsa_free(uint64_t p)
{
	assert_int_equal(hsa_amd_memory_pool_free((void *)(uintptr_t)p), 0);
}

static inline void *hsa_pin(void)
{
	void *mem = malloc(4096), *pinned;

	assert_int_equal(hsa_amd_memory_lock(mem, 4096, NULL, 0, &pinned), 0);
	return pinned;
}

static inline void hsa_unpin(void *pinned)
{
	hsa_amd_memory_unlock(pinned);
	free(pinned);
}

struct vendor {
	const char *name;
	struct fake_gpu *fake;
	uint64_t (*alloc)(size_t bytes);
	uint64_t (*alloc_shared)(size_t bytes);		/* between host and device */
	uint64_t (*alloc_foreign)(size_t bytes);	/* that the driver does not export */
	void (*free)(uint64_t p);
	unsigned char *(*at)(uint64_t p);
	void *(*pin)(void);
	void (*unpin)(void *pinned);
	int lack;	/* the error for what is lacking now */
	bool may_move;
};

static const struct vendor cuda __attribute__((unused)) = {
	.name = "CUDA", .fake = &fake_cuda, .alloc = cuda_alloc, .alloc_shared = cuda_alloc_managed,
	.alloc_foreign = cuda_alloc_pool, .free = cuda_free, .at = cuda_at, .pin = cuda_pin,
	.unpin = cuda_unpin, .lack = 2,
};

static const struct vendor hsa __attribute__((unused)) = {
	.name = "ROCm", .fake = &fake_hsa, .alloc = fake_hsa_alloc,
	.alloc_shared = fake_hsa_alloc_fine, .alloc_foreign = fake_hsa_alloc_ipc, .free = hsa_free,
	.at = fake_hsa_at, .pin = hsa_pin, .unpin = hsa_unpin, .lack = 0x1008, .may_move = true,
};

struct vendor_test {
	const char *name;
	CMUnitTestFunction fn;
	bool of[2];	/* vendors */
};

#define BOTH_TEST(name) { #name, name, { true, true } }
#define CUDA_TEST(name) { #name, name, { true, false } }
#define ROCM_TEST(name) { #name, name, { false, true } }

static inline int run_vendor_tests(const char *group, const struct vendor_test *all, size_t nr,
				   CMFixtureFunction setup, CMFixtureFunction teardown)
{
	static const struct vendor *const vendors[] = { &cuda, &hsa };
	struct CMUnitTest *tests = calloc(2 * nr, sizeof(*tests));
	size_t i, n = 0;
	char *name;
	int which;

	if (!tests)
		abort();
	for (i = 0; i < nr; i++)
		for (which = 0; which < 2; which++) {
			if (!all[i].of[which])
				continue;
			if (asprintf(&name, "%s+%s", all[i].name, vendors[which]->name) < 0)
				abort();
			tests[n++] = (struct CMUnitTest){ name, all[i].fn, setup, teardown,
							  (void *)vendors[which] };
		}
	which = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	for (i = 0; i < n; i++)
		free((char *)tests[i].name);
	free(tests);
	return which;
}

#endif
