/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mark.h - how a program in the guest tells plugin.c what to count.
 *
 * A mark is "nopl disp32(%rax,%rax)", which does nothing, with a displacement that nobody else
 * has: "DRW" and one of the MARK_ numbers.
 */
#ifndef MARK_H
#define MARK_H

#define MARK_BYTES	8
#define MARK_PREFIX	0x0f, 0x1f, 0x84, 0x00, 0x44, 0x52, 0x57
#define MARK_BEGIN	1
#define MARK_END	2
/* What is executed between these two, within a window, is not counted. */
#define MARK_PAUSE	3
#define MARK_RESUME	4

#define MARK__(...)	asm volatile(".byte " #__VA_ARGS__ : : : "memory")
#define MARK_(...)	MARK__(__VA_ARGS__)
/* @which is one of the above, by its name. */
#define MARK(which)	MARK_(MARK_PREFIX, which)

#endif
