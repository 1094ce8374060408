/* SPDX-License-Identifier: MIT */
/*
 * account.h - which way bytes went: libcufile counts, dmabuf-rw run reports; not installed.
 *
 * A process counts in a record. Under dmabuf-rw run the record is in an account: a memfd of run's,
 * of sealed size, that run and all processes of the program map, so that the counts survive however
 * a process ends. Otherwise the record is the process's own, and the process reports it at exit.
 *
 * Each record is reported once as a whole: by run, when the program has ended; or by its process at
 * exit, if run has ended, or has reported it while the process still ran. @state decides which.
 *
 * Any process that has mapped an account may write anything there: readers clamp numbers, and read
 * texts up to the end of their array.
 */
#ifndef CUFILE_ACCOUNT_H
#define CUFILE_ACCOUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* The environment variable with the path of the account: /proc/PID/fd/N of run. */
#define ACCOUNT_VARIABLE	"DMABUF_RW_CUFILE_ACCOUNT"
#define ACCOUNT_NAME		"dmabuf-rw-run"
/* "drwacct" and the version of the layout. */
#define ACCOUNT_MAGIC		UINT64_C(0x6472776163637401)

#define ACCOUNT_RECORDS		1024	/* processes; unused pages take no memory */
#define ACCOUNT_REASONS		16	/* of a process; the last one collects all others */

enum account_state {
	RECORD_FREE	= 0,
	RECORD_RUNS	= 1,	/* its process has not reached its exit() */
	RECORD_ENDED	= 2,	/* it has, and leaves the report to run */
	RECORD_TOLD	= 3,	/* run has reported the counts so far */
};

struct account_reason {
	char text[512];		/* written before @transfers is set */
	_Atomic uint64_t bytes, transfers;
};

struct account_record {
	_Atomic uint32_t state;	/* enum account_state */
	int32_t pid;
	uint32_t direct_only;	/* 0 or 1 */
	char name[64];
	_Atomic uint64_t direct[2], bounced[2], host[2];	/* [1]: writes */
	_Atomic uint64_t zeros_by_drive, zeros_written, cached_bytes, cached_reads;
	struct account_reason reasons[ACCOUNT_REASONS];
} __attribute__((aligned(64)));

struct account {
	uint64_t magic;
	int32_t run;		/* pid of run */
	_Atomic uint32_t used;	/* records requested, in order; may exceed their number */
	struct account_record records[ACCOUNT_RECORDS];
};

/*
 * Reports a record line by line: without newlines, but with any other characters that names have.
 * @end: text about the end of the process, or "".
 */
void account_tell(const struct account_record *r, const char *end,
		  void (*line)(void *arg, const char *text), void *arg);

#endif /* CUFILE_ACCOUNT_H */
