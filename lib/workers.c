// SPDX-License-Identifier: MIT
/*
 * workers.c - threads that run those transfers of a queue that have to bounce.
 *
 * Why threads and not more entries in the queue's ring: most of the cost of bouncing is the
 * copying. The reaping thread would do it, and reap no direct transfers meanwhile; the exporter
 * may make a copy wait for its device; and a caller's copy function may take long. So a queue
 * without bounced transfers has no threads and no cost, and others overlap copying with their
 * direct transfers. A transfer keeps several chunks in flight itself (bounce.c), so few threads are
 * enough.
 *
 * Without io_uring, the threads run all transfers of a queue, by system calls.
 *
 * A job that finds no idle thread starts one, up to MAX_THREADS; threads stay until the queue is
 * destroyed. They block all signals, which are for the program, except those for faults of the
 * thread itself: a buffer that is taken away during a copy raises SIGBUS, and the program's handler
 * runs here as in its own threads.
 *
 * Invariant: the descriptor is readable if and only if the list of done jobs is not empty.
 *
 * Thread-safety: one thread at a time adds, takes and sweeps. The lock protects the lists, shared
 * with the threads, and the descriptor's state. A job belongs to the thread that runs it, except
 * its atomic cancellation flag.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "workers.h"

#define MAX_THREADS	8

struct list {
	struct dmabuf_rw_job *first, *last;
};

struct dmabuf_rw_workers {
	int event_fd;
	unsigned int nr_threads;	/* owned by the adding thread */
	pthread_t threads[MAX_THREADS];

	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Protected by @lock. */
	struct list waiting;
	struct list done;
	unsigned int nr_idle;	/* waiting threads, including woken ones */
	bool quit;
};

static void append(struct list *list, struct dmabuf_rw_job *job)
{
	job->next = NULL;
	if (list->last)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
}

static struct dmabuf_rw_job *pop(struct list *list)
{
	struct dmabuf_rw_job *job = list->first;

	if (job) {
		list->first = job->next;
		if (!list->first)
			list->last = NULL;
	}
	return job;
}

static void append_done_locked(struct dmabuf_rw_workers *w, struct dmabuf_rw_job *job)
{
	/* Cannot fail: at most one write between two reads. */
	if (!w->done.first)
		eventfd_write(w->event_fd, 1);
	append(&w->done, job);
}

int dmabuf_rw_job_cancel(struct dmabuf_rw_job *job)
{
	return job->transfer.ranges ? dmabuf_rw_many_finish(job->binding, &job->transfer,
							    &job->progress) : ECANCELED;
}

static void run_job(struct dmabuf_rw_workers *w, struct dmabuf_rw_job *job)
{
	job->err = dmabuf_rw_run_through(job->binding, &job->transfer, &job->progress);
	pthread_mutex_lock(&w->lock);
	append_done_locked(w, job);
	pthread_mutex_unlock(&w->lock);
}

static void *worker(void *arg)
{
	struct dmabuf_rw_workers *w = arg;
	struct dmabuf_rw_job *job;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		while (!(job = pop(&w->waiting)) && !w->quit) {
			w->nr_idle++;
			pthread_cond_wait(&w->more, &w->lock);
			w->nr_idle--;
		}
		pthread_mutex_unlock(&w->lock);
		if (!job)
			return NULL;
		run_job(w, job);
	}
}

static void start_thread(struct dmabuf_rw_workers *w)
{
	static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };
	sigset_t most, old;
	size_t i;

	sigfillset(&most);
	for (i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&most, faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	if (!pthread_create(&w->threads[w->nr_threads], NULL, worker, w))
		w->nr_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int dmabuf_rw_workers_create(struct dmabuf_rw_workers **workers)
{
	struct dmabuf_rw_workers *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->event_fd = dmabuf_rw_above_std(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (w->event_fd < 0) {
		ret = -errno;
		free(w);
		return ret;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	*workers = w;
	return 0;
}

void dmabuf_rw_workers_add(struct dmabuf_rw_workers *w, struct dmabuf_rw_job *job)
{
	unsigned int nr_waiting = 1;
	struct dmabuf_rw_job *other;
	bool start;

	pthread_mutex_lock(&w->lock);
	for (other = w->waiting.first; other && nr_waiting <= w->nr_idle;
	     other = other->next)
		nr_waiting++;
	start = nr_waiting > w->nr_idle && w->nr_threads < MAX_THREADS;
	pthread_mutex_unlock(&w->lock);
	if (start)
		start_thread(w);
	if (!w->nr_threads) {
		run_job(w, job);
		return;
	}
	pthread_mutex_lock(&w->lock);
	append(&w->waiting, job);
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}

struct dmabuf_rw_job *dmabuf_rw_workers_take(struct dmabuf_rw_workers *w)
{
	struct dmabuf_rw_job *job;
	eventfd_t value;

	pthread_mutex_lock(&w->lock);
	job = pop(&w->done);
	if (job && !w->done.first)
		eventfd_read(w->event_fd, &value);
	pthread_mutex_unlock(&w->lock);
	return job;
}

void dmabuf_rw_workers_sweep(struct dmabuf_rw_workers *w)
{
	struct dmabuf_rw_job *job;
	struct list waiting;

	pthread_mutex_lock(&w->lock);
	waiting = w->waiting;
	w->waiting = (struct list){ 0 };
	while ((job = pop(&waiting))) {
		if (job->cancelled) {
			job->err = dmabuf_rw_job_cancel(job);
			append_done_locked(w, job);
		} else {
			append(&w->waiting, job);
		}
	}
	pthread_mutex_unlock(&w->lock);
}

int dmabuf_rw_workers_fd(const struct dmabuf_rw_workers *w)
{
	return w->event_fd;
}

void dmabuf_rw_workers_finish(struct dmabuf_rw_workers *w)
{
	unsigned int i;

	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (i = 0; i < w->nr_threads; i++)
		pthread_join(w->threads[i], NULL);
	w->nr_threads = 0;
}

void dmabuf_rw_workers_destroy(struct dmabuf_rw_workers *w)
{
	if (!w)
		return;
	close(w->event_fd);
	/* In a child, threads that do not exist here may hold the lock or wait. */
	if (!w->nr_threads) {
		pthread_cond_destroy(&w->more);
		pthread_mutex_destroy(&w->lock);
	}
	free(w);
}
