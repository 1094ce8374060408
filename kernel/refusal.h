/* SPDX-License-Identifier: GPL-2.0-only */
/* refusal.h - why something was refused, in more detail than an errno. */
#ifndef _DRW_REFUSAL_H
#define _DRW_REFUSAL_H

#include <linux/types.h>

/* @reason: enum dmabuf_rw_reason; @detail: the exporter's errno, positive, or 0. */
struct drw_refusal {
	u32 reason;
	s32 detail;
};

/* Store the reason and return @error. */
static inline int drw_refuse(struct drw_refusal *refusal, u32 reason, int error)
{
	refusal->reason = reason;
	return error;
}

#endif /* _DRW_REFUSAL_H */
