// SPDX-License-Identifier: MIT
/*
 * signals.c - a run that is asked to end does so in order: what it has begun is finished or
 * taken back, and a temporary file is removed.
 *
 * Signals that were ignored when the program was started stay so: who started it (nohup, a
 * shell's background) meant it. SIGKILL and those that tell of a fault of the program's own,
 * or ask for a core dump, act as usual.
 */
#include <signal.h>

#include "tool.h"

static volatile sig_atomic_t stop;

/*
 * Who asks a second time, by hand, does not want to wait. Others repeat themselves: the
 * kernel (SIGXCPU), a terminal that closes and its shell (SIGHUP), a service manager.
 */
static void on_signal(int sig)
{
	if (stop && (sig == SIGINT || sig == SIGTERM)) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	stop = 1;
}

static void (*old_pipe)(int), (*old_xfsz)(int);

void ignore_write_signals(void)
{
	old_pipe = signal(SIGPIPE, SIG_IGN);
	old_xfsz = signal(SIGXFSZ, SIG_IGN);
}

void restore_write_signals(void)
{
	signal(SIGPIPE, old_pipe);
	signal(SIGXFSZ, old_xfsz);
}

static void catch(int sig)
{
	/* No SA_RESTART, so that waits end. */
	struct sigaction action = { .sa_handler = on_signal }, old;

	if (!sigaction(sig, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(sig, &action, NULL);
}

volatile sig_atomic_t *catch_signals(void)
{
	static const int signals[] = {
		SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1,
		SIGUSR2, SIGIO, SIGPWR, SIGSTKFLT,
	};
	size_t i;
	int sig;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		catch(signals[i]);
	for (sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		catch(sig);
	return &stop;
}
