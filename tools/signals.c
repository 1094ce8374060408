// SPDX-License-Identifier: MIT
/*
 * signals.c - on a signal that asks it to end, a run finishes or undoes what it has begun and
 * removes its temporary file.
 *
 * Signals that were ignored at the start stay ignored, as the parent (nohup, a shell's background
 * job) intends. SIGKILL, and signals of a fault or for a core dump, act as usual.
 */
#include <signal.h>

#include "tool.h"

static volatile sig_atomic_t stop;

/*
 * A second SIGINT or SIGTERM means that the user does not want to wait. Other signals repeat
 * without such a meaning: from the kernel (SIGXCPU), or from a closing terminal and its shell
 * (SIGHUP).
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
