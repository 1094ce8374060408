/* SPDX-License-Identifier: MIT */
/*
 * workers.h - threads that run those transfers of a queue that have to bounce.
 */
#ifndef DMABUF_RW_WORKERS_H
#define DMABUF_RW_WORKERS_H

#include "private.h"

/* One transfer. The workers own it from _add() to _take(). */
struct dmabuf_rw_job {
	const struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_transfer transfer;
	struct dmabuf_rw_progress progress;	/* in and out */
	int err;			/* out: as dmabuf_rw_run() */
	_Atomic bool cancelled;		/* may be set at any time; the job then ends soon */
	struct dmabuf_rw_job *next;	/* owned by workers.c */
};

/* Ends a cancelled job that no worker has, without I/O. Returns its errno. */
int dmabuf_rw_job_cancel(struct dmabuf_rw_job *job);

struct dmabuf_rw_workers;

int dmabuf_rw_workers_create(struct dmabuf_rw_workers **workers);
/* Cannot fail: without a thread, the job runs before this returns. */
void dmabuf_rw_workers_add(struct dmabuf_rw_workers *workers, struct dmabuf_rw_job *job);
/* A done job, or null. */
struct dmabuf_rw_job *dmabuf_rw_workers_take(struct dmabuf_rw_workers *workers);
/* Ends cancelled jobs that wait for a thread. */
void dmabuf_rw_workers_sweep(struct dmabuf_rw_workers *workers);
/* Readable while a done job waits to be taken. */
int dmabuf_rw_workers_fd(const struct dmabuf_rw_workers *workers);
/* Runs all jobs to their end, and ends the threads. */
void dmabuf_rw_workers_finish(struct dmabuf_rw_workers *workers);
/* After _finish(), or in a child process, which has no threads of its parent. Takes null. */
void dmabuf_rw_workers_destroy(struct dmabuf_rw_workers *workers);

#endif /* DMABUF_RW_WORKERS_H */
