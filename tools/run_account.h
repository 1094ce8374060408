/* SPDX-License-Identifier: MIT */
/*
 * run_account.h - dmabuf-rw run makes and reports the account in which the program's processes
 * count (lib/cufile/account.h).
 *
 * The processes open it in /proc by this process's descriptor. So nothing is left behind when this
 * process ends, and the program inherits no descriptor.
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
