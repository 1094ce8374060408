// SPDX-License-Identifier: MIT
/*
 * jobs.c - threads of ours, for work that programs do not wait for.
 *
 * If no thread is idle, a job gets a new one, up to MAX_THREADS; threads stay. Jobs may wait for
 * the drive, but not for other jobs.
 *
 * Locks: "lock" protects the list and the counts.
 */
#include "front.h"
#include "gpu/own_thread.h"

#define MAX_THREADS 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t added = PTHREAD_COND_INITIALIZER;
static struct front_job *head, **tail = &head;	/* protected by @lock, like all below */
static unsigned int nr_threads, nr_idle, nr_waiting;

static void *run_jobs(void *arg)
{
	struct front_job *job;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		nr_idle++;
		while (!head)
			pthread_cond_wait(&added, &lock);
		nr_idle--;
		nr_waiting--;
		job = head;
		head = job->next;
		if (!head)
			tail = &head;
		pthread_mutex_unlock(&lock);
		job->run(job);
	}
	return NULL;
}

int job_submit(struct front_job *job)
{
	int ret = 0;

	pthread_mutex_lock(&lock);
	if (nr_idle <= nr_waiting && nr_threads < MAX_THREADS) {
		ret = -start_own_thread(run_jobs);
		if (!ret)
			nr_threads++;
		else if (nr_threads)
			ret = 0;
	}
	if (!ret) {
		job->next = NULL;
		*tail = job;
		tail = &job->next;
		nr_waiting++;
		pthread_cond_signal(&added);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}
