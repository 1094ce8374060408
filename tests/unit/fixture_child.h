/* SPDX-License-Identifier: MIT */
/* fixture_child.h - a child process, for tests of what it may do. */
#ifndef FIXTURE_CHILD_H
#define FIXTURE_CHILD_H

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* Runs @work in a child, whose checks end it; true if it came to its end. */
static bool in_child(bool (*work)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		alarm(30);
		_exit(work(arg) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

#endif
