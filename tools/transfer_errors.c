// SPDX-License-Identifier: MIT
/*
 * transfer_errors.c - the error messages of load and store.
 *
 * The library's remedies end with "or allow bouncing". A user who has allowed it is told instead
 * why it does not work.
 */
#include <errno.h>
#include <stdlib.h>

#include "transfer.h"

/* The remedy if bouncing is allowed; null: the library's applies. */
static const char *remedy_of_bouncer(const struct dmabuf_rw_error *error)
{
	if (error->reason == DMABUF_RW_REASON_NEVER_WRITTEN)
		return "write the file first (cp --sparse=never, dmabuf-rw store without --in-place); "
		       "--allow-bounce could not help, as the buffer has no CPU mapping to copy by";
	if (error->reason == DMABUF_RW_REASON_CLONE)
		return "make a copy with blocks of its own, cp --reflink=never FILE COPY, and use "
		       "that; --allow-bounce could not help, as the buffer has no CPU mapping to copy "
		       "by";
	if (error->err == EDOM)
		return "use multiples of the alignment that dmabuf-rw info FILE BUFFER reports; "
		       "--allow-bounce could not help, as copying needs a CPU mapping of the buffer "
		       "and, for writes, /dev/udmabuf (modprobe udmabuf)";
	return NULL;
}

void report_transfer_error(struct run *r, const char *what, const struct dmabuf_rw_error *error)
{
	const char *remedy = r->o.allow_bounce ? remedy_of_bouncer(error) : NULL;

	if (remedy)
		report_error_but(r->report, what, error, remedy);
	else
		report_error(r->report, what, error);
}

/* Whether to suggest --allow-bounce; for a clone the library does so. */
static bool may_bounce(const struct run *r, const struct dmabuf_rw_error *error)
{
	return !r->o.allow_bounce && dmabuf_rw_error_is_about_pair(error) &&
	       error->reason != DMABUF_RW_REASON_NOT_BLOCK &&
	       error->reason != DMABUF_RW_REASON_CLONE;
}

/* Why a pair that cannot bounce cannot go direct either. False: not determined. */
static bool find_direct_refusal(const struct run *r, const struct input *input,
				struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .flags = transfer_bind_flags(r), .error = error,
		.ways = r->o.way & ~DMABUF_RW_PATH_BOUNCED,
	};
	struct dmabuf_rw_binding *binding;

	if (r->o.way == DMABUF_RW_PATH_BOUNCED)
		return false;
	if (dmabuf_rw_binding_create(r->session.device, r->session.buffer.fd, input->fd, &opts,
				     &binding))
		return true;
	dmabuf_rw_binding_destroy(binding);
	return false;
}

int report_refusal(struct run *r, const struct input *input, const char *what,
		   const struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_error direct;
	const char *remedy;

	if (error->reason != DMABUF_RW_REASON_NO_CPU_ACCESS ||
	    !find_direct_refusal(r, input, &direct))
		return session_refused(&r->session, r->report, what, error, may_bounce(r, error) ?
				       "; or have it copied through memory (--allow-bounce)" : "");
	remedy = remedy_of_bouncer(&direct);
	if (!remedy)
		return session_refused(&r->session, r->report, what, &direct,
				       "; --allow-bounce does not help, as the buffer has no CPU "
				       "mapping to copy by");
	report_error_but(r->report, what, &direct, remedy);
	return bind_status(&direct);
}
