/* SPDX-License-Identifier: MIT */
/* own_thread.h - threads of the library in a program that does not know of them; not installed. */
#ifndef OWN_THREAD_H
#define OWN_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/*
 * Starts a detached thread that blocks all signals except faults of its own, so it runs no other
 * handlers of the program. 0 or an errno, positive.
 */
static inline int start_own_thread(void *(*fn)(void *arg))
{
	static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };
	sigset_t most, old;
	pthread_t thread;
	size_t i;
	int err;

	sigfillset(&most);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&most, faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	err = pthread_create(&thread, NULL, fn, NULL);
	if (!err)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

#endif /* OWN_THREAD_H */
