// SPDX-License-Identifier: GPL-2.0-only
/* trace.c - the trace events' code: see trace.h. */
#include <linux/random.h>
#include <linux/siphash.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

static siphash_key_t trace_key __ro_after_init;

void __init drw_trace_init(void)
{
	get_random_bytes(&trace_key, sizeof(trace_key));
}

/* Of no other transfer at the same time, and without the address for who reads it. */
u64 drw_trace_id(const void *transfer)
{
	return siphash_1u64((unsigned long)transfer, &trace_key);
}
