/* SPDX-License-Identifier: GPL-2.0 */
/*
 * history.h - the last steps of a test that draws them at random, for a failure's report.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "harness.h"

/* Steps that have been remembered so far. */
extern u64 steps;

__attribute__((format(printf, 1, 2)))
void remember(const char *fmt, ...);

/* The seed, how many of @what there were, and the last steps, as notes. */
void history_tell(u64 count, const char *what);

#endif
