/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dice.h - choices of a randomized test: from a seed, or from a fuzzer's bytes.
 *
 * Both make the same kinds of cases. A fuzzer's bytes run out; then all choices are 0, so
 * whoever chooses puts the simplest thing first.
 */
#ifndef DICE_H
#define DICE_H

#include <string.h>

#include "../../kernel/pure.h"

/**
 * struct dice - where choices come from
 * @data: the fuzzer's bytes, or NULL
 * @left: how many of them are left
 * @state: of the generator, without @data
 */
struct dice {
	const u8 *data;
	size_t left;
	u64 state;
};

static inline u64 dice_u64(struct dice *d)
{
	u64 z;

	if (d->data) {
		size_t n = d->left < sizeof(z) ? d->left : sizeof(z);

		z = 0;
		memcpy(&z, d->data, n);
		d->data += n;
		d->left -= n;
		return z;
	}
	/* splitmix64, Steele and others, "Fast Splittable Pseudorandom Number Generators" */
	z = d->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 0 to n - 1. */
static inline u64 dice_below(struct dice *d, u64 n)
{
	if (d->data && n <= 256) {
		u8 byte = d->left ? *d->data : 0;

		d->data += !!d->left;
		d->left -= !!d->left;
		return byte % n;
	}
	return dice_u64(d) % n;
}

static inline u64 dice_between(struct dice *d, u64 first, u64 last)
{
	return first + dice_below(d, last - first + 1);
}

/* True once in @n times. */
static inline bool dice_one_in(struct dice *d, u64 n)
{
	return dice_below(d, n) == n - 1;
}

#endif
