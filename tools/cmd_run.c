// SPDX-License-Identifier: MIT
/*
 * cmd_run.c - dmabuf-rw run: runs a program with this project's libcufile in place of another one,
 * and reports which way its bytes went.
 *
 * LD_LIBRARY_PATH serves programs that open the library by its name or are linked with it.
 * LD_PRELOAD puts it before a library that they open by a full path, and into their list of mapped
 * files. The library counts in shared memory of this process, one record per process; the report
 * follows when the program has ended (run_account.h).
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "outlook.h"
#include "run_account.h"

#ifndef CUFILE_DIR
#define CUFILE_DIR "/usr/local/lib/dmabuf-rw"
#endif
#define LIBRARY "libcufile.so.0"

/* The exit statuses of shells. */
#define STATUS_NOT_FOUND	127
#define STATUS_NOT_STARTED	126
#define STATUS_SIGNALLED	128

struct plan {
	bool direct_only;
	bool quiet;
	const char *report_path;	/* null: standard error */
	const char *given_library;	/* null: as installed */
	char library[PATH_MAX];
	FILE *out;			/* for the report on processes */
	struct run_account account;
	char **program;
};

static const struct command_option options[] = {
	{ "direct-only", OPTION_FLAG, AT(struct plan, direct_only) },
	{ "quiet", OPTION_FLAG, AT(struct plan, quiet) },
	{ "report", OPTION_TEXT, AT(struct plan, report_path) },
	{ "library", OPTION_TEXT, AT(struct plan, given_library) },
	{ 0 }
};

static int refuse_argument(struct report *report, void *into, const char *text)
{
	(void)into, (void)text;
	return report_usage(report, "the program comes after '--'");
}

/* -1: go on; else the status to leave with. */
static int parse(const struct command *command, struct report *report, struct plan *plan, int argc,
		 char **argv)
{
	int status = options_parse(command, report, plan, argc, argv);

	if (status >= 0)
		return status;
	plan->program = argv + optind;
	if (!plan->program[0])
		return report_usage(report, "the program is missing; it comes after '--'");
	if (report->json)
		return report_usage(report, "the output is the program's; there is no other "
				    "format");
	return -1;
}

/* STATUS_OK, or the status for what was reported. */
static int find_library(struct report *report, struct plan *plan)
{
	const char *path = plan->given_library ? plan->given_library : CUFILE_DIR "/" LIBRARY;

	if (!realpath(path, plan->library)) {
		report_fail(report, "%s: %s: install dmabuf-rw, or name the library by --library",
			    path, strerror(errno));
		return STATUS_FAILED;
	}
	/* Separators in the two variables. */
	if (strpbrk(plan->library, ": ")) {
		report_fail(report, "%s: a path with a space or a colon cannot be preloaded",
			    plan->library);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

/* "NAME=@first" or "NAME=@first:what was there". */
static int put_first(const char *name, const char *first)
{
	const char *old = getenv(name);
	char *value;
	int ret;

	value = old && *old ? text_format("%s:%s", first, old) : strdup(first);
	if (!value)
		return -1;
	ret = setenv(name, value, 1);
	free(value);
	return ret;
}

static int open_report(struct report *report, struct plan *plan)
{
	/* Truncated here; processes that report by themselves append to it. */
	FILE *f = plan->report_path ? fopen(plan->report_path, "we") : NULL;

	if (f)
		fclose(f);
	plan->out = plan->report_path ? f ? fopen(plan->report_path, "ae") : NULL : stderr;
	if (plan->out)
		return STATUS_OK;
	report_fail(report, "%s: %s", plan->report_path, strerror(errno));
	return STATUS_FAILED;
}

static int set_environment(struct report *report, const struct plan *plan)
{
	char dir[PATH_MAX];

	/* The program may change its directory. */
	if (plan->report_path && !realpath(plan->report_path, dir)) {
		report_fail(report, "%s: %s", plan->report_path, strerror(errno));
		return STATUS_FAILED;
	}
	if (setenv("DMABUF_RW_CUFILE_REPORT", plan->report_path ? dir : "-", 1) ||
	    setenv(ACCOUNT_VARIABLE, plan->account.path, 1) ||
	    (plan->direct_only && setenv("DMABUF_RW_CUFILE_DIRECT_ONLY", "1", 1)))
		goto no_memory;
	strcpy(dir, plan->library);
	*strrchr(dir, '/') = 0;
	if (!put_first("LD_LIBRARY_PATH", dir) && !put_first("LD_PRELOAD", plan->library))
		return STATUS_OK;
no_memory:
	report_fail(report, "%s", strerror(ENOMEM));
	return STATUS_FAILED;
}

/* STATUS_OK, or the status for what was reported. */
static int prepare(struct report *report, struct plan *plan)
{
	int status = find_library(report, plan);

	if (!status)
		status = open_report(report, plan);
	if (status)
		return status;
	if (run_account_open(&plan->account)) {
		report_fail(report, "memory to count in: %s", strerror(errno));
		return STATUS_FAILED;
	}
	return set_environment(report, plan);
}

/* Prints the outlook, or that nothing can go direct. */
static void say_what_to_expect(void)
{
	struct dmabuf_rw_error error, no_kernel;
	struct dmabuf_rw_device_opts opts = { .size = sizeof(opts), .error = &error };
	struct dmabuf_rw_device *device;
	char text[512];

	if (!dmabuf_rw_device_open(&opts, &device)) {
		dmabuf_rw_device_close(device);
	} else {
		dmabuf_rw_error_format(&error, text, sizeof(text));
		if (!dmabuf_rw_has_kernel_way(&no_kernel)) {
			say(stderr, "dmabuf-rw: nothing will go direct: %s", text);
			return;
		}
		say(stderr, "dmabuf-rw: only whole disks and partitions go direct: %s", text);
	}
	outlook_say();
}

/* Signals ignored at the start stay ignored in the program. */
struct signals {
	void (*old_int)(int), (*old_quit)(int);
	sigset_t mask;
};

static void start(const struct plan *plan, const struct signals *before)
{
	restore_write_signals();
	signal(SIGINT, before->old_int);
	signal(SIGQUIT, before->old_quit);
	sigprocmask(SIG_SETMASK, &before->mask, NULL);
	execvp(plan->program[0], plan->program);
	say(stderr, "dmabuf-rw: %s: %s", plan->program[0], strerror(errno));
	_exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_STARTED);
}

static volatile pid_t child;

static void pass_on(int sig)
{
	kill(child, sig);
}

/* Waits for the program; returns its status as a shell does. */
static int wait_for_it(void)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_FAILED;
	return WIFSIGNALED(status) ? STATUS_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_program(struct report *report, const struct plan *plan)
{
	struct signals before;
	sigset_t passed_on;

	/* Block the signals to pass on until the program exists. */
	sigemptyset(&passed_on);
	sigaddset(&passed_on, SIGTERM);
	sigaddset(&passed_on, SIGHUP);
	sigprocmask(SIG_BLOCK, &passed_on, &before.mask);
	/* A terminal also sends these to the program; this process stays to report. */
	before.old_int = signal(SIGINT, SIG_IGN);
	before.old_quit = signal(SIGQUIT, SIG_IGN);
	fflush(NULL);
	child = fork();
	if (!child)
		start(plan, &before);
	if (child < 0) {
		report_fail(report, "fork: %s", strerror(errno));
		return STATUS_FAILED;
	}
	signal(SIGTERM, pass_on);
	signal(SIGHUP, pass_on);
	sigprocmask(SIG_SETMASK, &before.mask, NULL);
	return wait_for_it();
}

static int run_run(const struct command *command, struct report *report, int argc, char **argv)
{
	struct plan plan = { .account = { .fd = -1 } };
	int status = parse(command, report, &plan, argc, argv);

	if (status >= 0)
		return status;
	status = prepare(report, &plan);
	if (!status) {
		if (!plan.quiet)
			say_what_to_expect();
		status = run_program(report, &plan);
		run_account_tell(&plan.account, plan.out);
	}
	run_account_close(&plan.account);
	if (plan.out && plan.out != stderr && fclose(plan.out))
		report_fail(report, "%s: %s", plan.report_path, strerror(errno));
	return status;
}

const struct command cmd_run = {
	.name = "run",
	.summary = "run a cuFile program with this project's libcufile",
	.help = "run [OPTION...] -- PROGRAM [ARGUMENT...]\n"
		"\n"
		"The program finds this project's libcufile.so.0 where it looks for another one. "
		"At its\n"
		"start it is said which drives, directories and GPUs will go direct; when it has "
		"ended,\n"
		"each process's bytes are shown by the way that they took, and why.\n"
		"\n"
		"  --direct-only            what cannot go direct fails\n"
		"  --quiet                  say nothing at the start\n"
		"  --report FILE            write that into FILE in place of standard error\n"
		"  --library FILE           the libcufile to use (that of this installation)\n"
		"\n"
		"Exit status: the program's; 126 or 127 if it could not be started, 128 and the "
		"signal's\n"
		"number if one has ended it, 1 failed before that, 2 wrong usage.\n",
	.options = options,
	.argument = refuse_argument,
	.program = true,
	.run = run_run,
};
