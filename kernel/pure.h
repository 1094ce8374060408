/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pure.h - what the arithmetic files need, in the kernel and in a host program.
 *
 * extents.c and cmdlist.c hold no kernel state, take no locks and allocate nothing, so unit
 * tests and fuzzers compile the same files. This header gives both builds the same names.
 */
#ifndef _DRW_PURE_H
#define _DRW_PURE_H

#ifdef __KERNEL__

#include <asm/byteorder.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/types.h>

#else /* host programs */

#include <endian.h>
#include <errno.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define noinline		__attribute__((noinline))
#ifndef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#endif
#define U32_MAX			UINT32_MAX
#define cpu_to_le32(x)		htole32(x)
#define cpu_to_le64(x)		htole64(x)
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define min_t(t, a, b)		((t)(a) < (t)(b) ? (t)(a) : (t)(b))

#endif

#endif /* _DRW_PURE_H */
