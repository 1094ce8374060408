/* SPDX-License-Identifier: GPL-2.0 */
/*
 * data.h - content for transfers, and its comparison.
 *
 * Content is a function of a tag and a position, so that data which is right in itself
 * but in the wrong place, or from an earlier step, does not compare equal.
 */
#ifndef DATA_H
#define DATA_H

#include "harness.h"

/* Page-aligned memory that stays until the test ends. */
void *data_alloc(size_t bytes);

/* The content that @tag has from @pos on. Any position and length. */
void data_fill(void *mem, size_t len, u64 tag, u64 pos);

/* Fails the test with the place and extent of the first difference. */
void data_check_at(const char *file, int line, const char *what, const void *got,
		   const void *want, size_t len, u64 base);
#define data_check(what, got, want, len, base) \
	data_check_at(__FILE__, __LINE__, what, got, want, len, base)

/* Where content is: a buffer, a disk, a file. */
struct data_place {
	const char *name;
	const void *object;
	void (*put)(const void *object, u64 off, const void *mem, u64 len);
	void (*get)(const void *object, u64 off, void *mem, u64 len);
};

/* Put the content that @tag has from @pos on to @off. Any length. */
void data_fill_place(const struct data_place *place, u64 off, u64 len, u64 tag, u64 pos);
/* Fail the test if it is not there. */
void data_check_place(const char *file, int line, const struct data_place *place, u64 off,
		      u64 len, u64 tag, u64 pos);

/* A generator of its own, so that a seed gives the same run on every C library. */
struct rng {
	u64 s;
};

u64 rng_next(struct rng *r);
/* From 0 to n - 1. */
u64 rng_below(struct rng *r, u64 n);
/* A multiple of @step from @lo to @hi, both multiples and included. */
u64 rng_step(struct rng *r, u64 lo, u64 hi, u64 step);

#endif
