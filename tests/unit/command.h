/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * command.h - plans and builds commands as io.c does, and checks all that can be checked.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "layout.h"

/**
 * command_check() - the next command: plan it, build it, let a controller walk it
 * @t: transfer
 * @off: how far it is
 * @left: bytes of it that are left, not more than its pieces have
 * @lim: limits
 * @it: stands at @off; moved on if the command can be built
 * @plan: out: what drw_plan() said
 * @d: chooses where list memory is
 *
 * What is planned and built without a walk is compared with what the walk says.
 *
 * Return: false if the next LBA cannot be expressed, and drw_plan() said so.
 */
bool command_check(const struct transfer *t, u64 off, u64 left, const struct drw_limits *lim,
		   struct drw_iter *it, struct drw_plan *plan, struct dice *d);

/* A whole transfer from @base on; returns how far it came. */
u64 transfer_check(const struct transfer *t, u64 base, u64 len, const struct drw_limits *lim,
		   struct dice *d);

#endif
