// SPDX-License-Identifier: GPL-2.0-only
/* trace.c - code of the trace events: see trace.h. */
#include <linux/random.h>
#include <linux/siphash.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

static siphash_key_t trace_key __ro_after_init;

void __init drw_trace_init(void)
{
	get_random_bytes(&trace_key, sizeof(trace_key));
}

/* Distinct among transfers in flight, and does not reveal the address. */
u64 drw_trace_id(const void *transfer)
{
	return siphash_1u64((unsigned long)transfer, &trace_key);
}
