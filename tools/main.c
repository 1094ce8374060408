// SPDX-License-Identifier: MIT
/*
 * main.c - the dmabuf-rw command: its table of subcommands.
 */
#include <string.h>

#include "descriptors.h"
#include "tool.h"

static const struct command *const commands[] = {
	&cmd_load,
	&cmd_store,
	&cmd_info,
	&cmd_bench,
};

static volatile sig_atomic_t stop;

/* The second one, of whichever kind, acts as usual. */
static void on_signal(int sig)
{
	if (stop) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	stop = 1;
}

volatile sig_atomic_t *catch_signals(void)
{
	/* No SA_RESTART: waits are to end. */
	struct sigaction action = { .sa_handler = on_signal };
	static const int signals[] = { SIGINT, SIGTERM };
	struct sigaction old;
	size_t i;

	/* Who started us with a signal ignored (nohup, a shell's background) meant it. */
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	return &stop;
}

static void overview(FILE *out)
{
	size_t i;

	fprintf(out,
		"usage: dmabuf-rw COMMAND [ARGUMENT...]\n"
		"\n"
		"Moves data between NVMe storage and dma-bufs, by the drive's own DMA.\n"
		"\n"
		"commands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out,
		"\n"
		"buffers:\n"
		"  vfio:PCI/BAR      a BAR of a PCI device bound to vfio-pci\n"
		"  udmabuf:SIZE      anonymous memory\n"
		"  heap:NAME:SIZE    a dma-heap, for instance heap:system:64M\n"
		"  fd:N              a dma-buf descriptor inherited from the parent\n"
		"\n"
		"Sizes: K, M, G, T or KiB, MiB ... are powers of 1024; KB, MB ... of 1000.\n"
		"dmabuf-rw COMMAND --help says more; dmabuf-rw --version names the release.\n");
}

int main(int argc, char **argv)
{
	size_t i;

	take_standard_descriptors();
	if (argc < 2) {
		overview(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		overview(stdout);
		return STATUS_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("dmabuf-rw %s\n", dmabuf_rw_version());
		return STATUS_OK;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i]->name))
			return commands[i]->run(commands[i], argc - 1, argv + 1);

	fprintf(stderr, "dmabuf-rw: there is no command '%s'; dmabuf-rw --help shows them\n",
		argv[1]);
	return STATUS_USAGE;
}
