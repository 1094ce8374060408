/* SPDX-License-Identifier: MIT */
/* shell.h - what a program says when it is run by a shell. For one test program at a time. */
#ifndef SHELL_H
#define SHELL_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "unit.h"

static char output[65536];

/* What it has said on standard output is in "output"; returns its status. */
static inline int run(const char *command)
{
	FILE *f = popen(command, "r");
	size_t n;
	int status;

	assert_non_null(f);
	n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = 0;
	status = pclose(f);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void expect(const char *text)
{
	if (!strstr(output, text))
		fail_msg("\"%s\" is not in:\n%s", text, output);
}

#endif
