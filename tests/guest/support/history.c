// SPDX-License-Identifier: GPL-2.0
/*
 * history.c - the last steps of a test that draws them at random; see history.h.
 */
#include <stdarg.h>
#include <stdio.h>

#include "history.h"

static char history[60][160];
u64 steps;

void remember(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(history[steps++ % ARRAY_SIZE(history)], sizeof(history[0]), fmt, ap);
	va_end(ap);
}

void history_tell(u64 count, const char *what)
{
	note("seed %llu, after %llu %s; last steps:", (unsigned long long)harness_seed(),
	     (unsigned long long)count, what);
	for (u64 i = steps > ARRAY_SIZE(history) ? steps - ARRAY_SIZE(history) : 0; i < steps;
	     i++)
		note("%llu %s", (unsigned long long)i, history[i % ARRAY_SIZE(history)]);
}
