/* SPDX-License-Identifier: MIT */
/*
 * outlook.h - a line for each drive, each mount point of a file system on one, and each GPU:
 * whether it will go direct, and if not, why.
 *
 * It is a summary of check's facts (cmd_check.h). It writes nothing, opens no file, and touches no
 * GPU.
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
