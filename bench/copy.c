// SPDX-License-Identifier: GPL-2.0
/*
 * copy.c - the fastest copy that this machine has.
 *
 * The bounce lanes must not lose because of a copy that suits the machine badly: under
 * emulation "rep movsb", which memcpy() uses for large blocks, goes byte by byte. So a
 * few are tried on the memory in question, and the fastest is taken. None is a string
 * instruction: that would count as one, whatever it copies.
 */
#include <immintrin.h>
#include <string.h>

#include "bench.h"

#define TRIES 5

static void copy_libc(void *to, const void *from, u64 len)
{
	memcpy(to, from, len);
}

static void copy_words(void *to, const void *from, u64 len)
{
	const u64 *s = from;
	u64 *d = to;

	for (len /= sizeof(*s); len; len -= 8, s += 8, d += 8) {
		u64 a = s[0], b = s[1], c = s[2], e = s[3];
		u64 f = s[4], g = s[5], h = s[6], i = s[7];

		d[0] = a;
		d[1] = b;
		d[2] = c;
		d[3] = e;
		d[4] = f;
		d[5] = g;
		d[6] = h;
		d[7] = i;
		/* Or the compiler makes a call of memcpy() of it. */
		asm volatile("" : : : "memory");
	}
}

static void copy_sse(void *to, const void *from, u64 len)
{
	const __m128i *s = from;
	__m128i *d = to;

	for (len /= sizeof(*s); len; len -= 4, s += 4, d += 4) {
		__m128i a = _mm_load_si128(s), b = _mm_load_si128(s + 1);
		__m128i c = _mm_load_si128(s + 2), e = _mm_load_si128(s + 3);

		_mm_store_si128(d, a);
		_mm_store_si128(d + 1, b);
		_mm_store_si128(d + 2, c);
		_mm_store_si128(d + 3, e);
		asm volatile("" : : : "memory");
	}
}

__attribute__((target("avx"))) static void copy_avx(void *to, const void *from, u64 len)
{
	const __m256i *s = from;
	__m256i *d = to;

	for (len /= sizeof(*s); len; len -= 4, s += 4, d += 4) {
		__m256i a = _mm256_load_si256(s), b = _mm256_load_si256(s + 1);
		__m256i c = _mm256_load_si256(s + 2), e = _mm256_load_si256(s + 3);

		_mm256_store_si256(d, a);
		_mm256_store_si256(d + 1, b);
		_mm256_store_si256(d + 2, c);
		_mm256_store_si256(d + 3, e);
		asm volatile("" : : : "memory");
	}
}

copy_fn copy_choose(void *to, const void *from, u64 len, const char **name)
{
	static const struct {
		const char *name;
		copy_fn fn;
		bool avx;
	} all[] = {
		{ "memcpy", copy_libc, false },
		{ "64-bit loop", copy_words, false },
		{ "SSE2 loop", copy_sse, false },
		{ "AVX loop", copy_avx, true },
	};
	double best = 1e9;
	copy_fn fn = NULL;
	unsigned int i, k;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].avx && !__builtin_cpu_supports("avx"))
			continue;
		for (k = 0; k < TRIES; k++) {
			double begun = clock_seconds(), took;

			all[i].fn(to, from, len);
			took = clock_seconds() - begun;
			if (took < best) {
				best = took;
				fn = all[i].fn;
				*name = all[i].name;
			}
		}
	}
	return fn;
}
