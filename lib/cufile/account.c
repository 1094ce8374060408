// SPDX-License-Identifier: MIT
/* account.c - a record in words; see account.h. Part of libcufile and of the command. */
#include <stdarg.h>
#include <stdio.h>

#include "account.h"

struct telling {
	void (*line)(void *arg, const char *text);
	void *arg;
};

static void __attribute__((format(printf, 2, 3)))
tell(const struct telling *t, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->line(t->arg, text);
}

static unsigned long long load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The cost to the drive of writes into space that was only reserved. */
static void tell_zeros(const struct telling *t, const struct account_record *r)
{
	unsigned long long new = load(&r->direct[1]) + load(&r->bounced[1]) + load(&r->host[1]);
	unsigned long long by_drive = load(&r->zeros_by_drive), as_data = load(&r->zeros_written);

	if (by_drive || as_data)
		tell(t, "zeros first: %llu bytes by the drive itself, %llu written; %.2f bytes to "
		     "the drive for each that was written", by_drive, as_data,
		     new ? ((double)new + as_data) / new : 0);
}

void account_tell(const struct account_record *r, const char *end,
		  void (*line)(void *arg, const char *text), void *arg)
{
	const struct telling t = { line, arg };
	unsigned long long transfers;
	int i;

	tell(&t, "cuFile, process %d (%.*s)%s", r->pid, (int)sizeof(r->name), r->name, end);
	tell(&t, "read: %llu bytes direct, %llu bounced, %llu to host memory", load(&r->direct[0]),
	     load(&r->bounced[0]), load(&r->host[0]));
	tell(&t, "written: %llu bytes direct, %llu bounced, %llu from host memory",
	     load(&r->direct[1]), load(&r->bounced[1]), load(&r->host[1]));
	if (load(&r->cached_reads))
		tell(&t, "from the page cache: %llu bytes in %llu transfers",
		     load(&r->cached_bytes), load(&r->cached_reads));
	tell_zeros(&t, r);
	for (i = 0; i < ACCOUNT_REASONS; i++) {
		const struct account_reason *why = &r->reasons[i];

		transfers = atomic_load_explicit(&why->transfers, memory_order_acquire);
		if (transfers)
			tell(&t, "%s: %llu bytes in %llu transfers: %.*s",
			     r->direct_only ? "refused" : "bounced", load(&why->bytes), transfers,
			     (int)sizeof(why->text), why->text);
	}
}
