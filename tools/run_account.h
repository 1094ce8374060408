/* SPDX-License-Identifier: MIT */
/*
 * run_account.h - the account that the processes of a program count in (lib/cufile/account.h), as
 * dmabuf-rw run makes it and tells it.
 *
 * The program's processes open it by this process's descriptor, in /proc: nothing is left behind,
 * however this process ends, and the program inherits no descriptor.
 */
#ifndef TOOLS_RUN_ACCOUNT_H
#define TOOLS_RUN_ACCOUNT_H

#include <stdio.h>
#include <sys/types.h>

#include "cufile/account.h"

struct run_account {
	struct account *account;
	int fd;			/* -1: none */
	dev_t dev;
	ino_t ino;
	char path[48];		/* for ACCOUNT_VARIABLE */
};

/* 0, or -1 with errno. */
int run_account_open(struct run_account *a);
/* Prints each process's totals and how it ended, and closes the account to new records. */
void run_account_tell(struct run_account *a, FILE *out);
void run_account_close(struct run_account *a);

#endif
