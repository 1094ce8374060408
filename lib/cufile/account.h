/* SPDX-License-Identifier: MIT */
/*
 * account.h - which way bytes went, as libcufile counts and dmabuf-rw run tells it; not installed.
 *
 * A process counts in a record. Under dmabuf-rw run the record is one of an account: a memfd of
 * run's that it and all processes of the program have mapped, so that what was counted is there
 * however a process ends. The memfd's size is sealed. Elsewhere the record is the process's own,
 * and the process tells it at exit.
 *
 * Each record is told once as the whole: by run, when the program has ended; or by its process at
 * exit, if run is gone by then, or has told it while the process still ran. @state settles which.
 *
 * Whoever has mapped an account may write anything there: numbers are clamped, and texts are read
 * up to their array's end.
 */
#ifndef CUFILE_ACCOUNT_H
#define CUFILE_ACCOUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* The variable that leads to the account: /proc/PID/fd/N of run. */
#define ACCOUNT_VARIABLE	"DMABUF_RW_CUFILE_ACCOUNT"
#define ACCOUNT_NAME		"dmabuf-rw-run"
/* "drwacct" and the version of the layout. */
#define ACCOUNT_MAGIC		UINT64_C(0x6472776163637401)

#define ACCOUNT_RECORDS		1024	/* processes; pages that none uses take no memory */
#define ACCOUNT_REASONS		16	/* of a process; the last one is for all others */

enum account_state {
	RECORD_FREE	= 0,
	RECORD_RUNS	= 1,	/* its process has not come to its exit() */
	RECORD_ENDED	= 2,	/* it has, and leaves it to run to tell it */
	RECORD_TOLD	= 3,	/* run has told what was counted so far */
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
	_Atomic uint64_t direct[2], bounced[2], host[2];	/* by whether it is a write */
	_Atomic uint64_t zeros_by_drive, zeros_written, cached_bytes, cached_reads;
	struct account_reason reasons[ACCOUNT_REASONS];
} __attribute__((aligned(64)));

struct account {
	uint64_t magic;
	int32_t run;		/* its process */
	_Atomic uint32_t used;	/* records asked for, in order; may be more than there are */
	struct account_record records[ACCOUNT_RECORDS];
};

/*
 * Tells a record line by line: without newlines, but with whatever characters names have. @end:
 * what to say of the process's end, or "".
 */
void account_tell(const struct account_record *r, const char *end,
		  void (*line)(void *arg, const char *text), void *arg);

#endif /* CUFILE_ACCOUNT_H */
