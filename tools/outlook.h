/* SPDX-License-Identifier: MIT */
/*
 * outlook.h - what of this machine will go direct, in a line for each drive, each directory that a
 * file system of one is mounted on, and each GPU; and why not.
 *
 * All of it is what check finds out (cmd_check.h), told in short. Nothing is written, no file is
 * opened, and no GPU is touched.
 */
#ifndef TOOLS_OUTLOOK_H
#define TOOLS_OUTLOOK_H

#include <stdio.h>

#include "gpus.h"

struct check;

/* Prints the outlook on standard error. */
void outlook_say(void);
/* The same with a @check whose buffer is open; its facts are not printed. */
void outlook_tell(struct check *check, FILE *out, struct gpus_question *question);

#endif
