// SPDX-License-Identifier: GPL-2.0
/*
 * data.c - content for transfers, and its comparison; see data.h.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "data.h"

void *data_alloc(size_t bytes)
{
	void *p = mmap(NULL, ROUND_UP(bytes, 4096), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED, "%zu bytes: %s", bytes, strerror(errno));
	return p;
}

/* Eight bytes at a position that is a multiple of eight. */
static inline u64 word(u64 tag, u64 index)
{
	u64 x = (index + 1) * 0x9e3779b97f4a7c15ULL ^ tag;

	return x ^ x >> 29;
}

void data_fill(void *mem, size_t len, u64 tag, u64 pos)
{
	u8 *p = mem;

	/* Spread small tags over all bits. */
	tag = (tag + 1) * 0xd6e8feb86659fd93ULL;
	while (len) {
		u64 w = word(tag, pos / 8), skip = pos % 8, n = MIN(8 - skip, len);

		if (n == 8) {
			memcpy(p, &w, 8);
		} else {
			memcpy(p, (u8 *)&w + skip, n);
		}
		p += n;
		pos += n;
		len -= n;
	}
}

void data_check_at(const char *file, int line, const char *what, const void *got,
		   const void *want, size_t len, u64 base)
{
	const u8 *g = got, *w = want;
	size_t first, last, bad = 0;

	if (!memcmp(g, w, len))
		return;
	for (first = 0; g[first] == w[first]; first++)
		;
	for (last = len - 1; g[last] == w[last]; last--)
		;
	for (size_t i = first; i <= last; i++)
		bad += g[i] != w[i];
	fail_at(file, line,
		"%s differs: %zu bytes of [%#llx, %#llx], compared [%#llx, %#llx); first %02x, "
		"not %02x",
		what, bad, (unsigned long long)(base + first),
		(unsigned long long)(base + last), (unsigned long long)base,
		(unsigned long long)(base + len), g[first], w[first]);
}

#define PIECE (256 * KiB)

void data_fill_place(const struct data_place *place, u64 off, u64 len, u64 tag, u64 pos)
{
	static __thread void *mem;
	u64 n;

	mem = mem ?: data_alloc(PIECE);
	for (; len; off += n, pos += n, len -= n) {
		n = MIN(len, PIECE);
		data_fill(mem, n, tag, pos);
		place->put(place->object, off, mem, n);
	}
}

void data_check_place(const char *file, int line, const struct data_place *place, u64 off,
		      u64 len, u64 tag, u64 pos)
{
	static __thread void *got, *want;
	u64 n;

	got = got ?: data_alloc(PIECE);
	want = want ?: data_alloc(PIECE);
	for (; len; off += n, pos += n, len -= n) {
		n = MIN(len, PIECE);
		place->get(place->object, off, got, n);
		data_fill(want, n, tag, pos);
		data_check_at(file, line, place->name, got, want, n, off);
	}
}

/* splitmix64 */
u64 rng_next(struct rng *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 rng_below(struct rng *r, u64 n)
{
	return n ? rng_next(r) % n : 0;
}

u64 rng_step(struct rng *r, u64 lo, u64 hi, u64 step)
{
	return lo + rng_below(r, (hi - lo) / step + 1) * step;
}
