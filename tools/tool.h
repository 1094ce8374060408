/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the parts of the dmabuf-rw command share.
 *
 * The tool has one thread, except in bench, whose threads share only a binding. main() makes the
 * only struct report, and every run ends with report_end().
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

#include <libdmabuf_rw.h>

#include "buffer.h"
#include "size.h"
#include "text.h"

/* Exit statuses; dmabuf-rw(1) documents them. */
enum {
	STATUS_OK		= 0,
	STATUS_FAILED		= 1,	/* a transfer or another operation failed */
	STATUS_USAGE		= 2,
	STATUS_REFUSED		= 3,	/* the pair cannot go direct */
	STATUS_MISMATCH		= 4,	/* --verify found a difference */
	STATUS_INTERRUPTED	= 130,	/* 128 + SIGINT, as in shells */
};

struct report;
struct option;
struct command_option;

/**
 * struct command - a subcommand
 * @options:	its table (options.h); the short ones are SHORT_OPTIONS
 * @argument:	takes an argument that is not an option; -1: go on; else the exit status
 * @program:	the words after "--" belong to a program, not to the command
 */
struct command {
	const char *name;
	const char *summary;
	const char *help;
	const struct command_option *options;
	int (*argument)(struct report *report, void *into, const char *text);
	bool program;
	int (*run)(const struct command *command, struct report *report, int argc, char **argv);
};

/* "-": getopt_long() returns other arguments in order, despite POSIXLY_CORRECT. */
#define SHORT_OPTIONS "-:o:h"

extern const struct command cmd_load, cmd_store, cmd_info, cmd_check, cmd_stat, cmd_bench, cmd_run;

/* ---- report.c: results and failures, as text or JSON ---------------------------- */

struct report {
	const char *command;		/* null: none yet */
	bool json;
	struct json_object *root;	/* printed with json only */
};

void report_begin(struct report *report);
void report_command(struct report *report, const char *command);
/*
 * Checks the argument of -o, which main() has already applied. -1: go on; else the exit status.
 */
int report_check_format(struct report *report, const char *format);
bool report_knows_format(const char *format);
/* Reports a failure on stderr and as "error" of the JSON object. */
void report_fail(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same with the library's text, about @what. */
void report_error(struct report *report, const char *what,
		  const struct dmabuf_rw_error *error);
/* The same with a further remedy. */
void report_error_and(struct report *report, const char *what,
		      const struct dmabuf_rw_error *error, const char *hint);
/* The same with @remedy in place of the library's. */
void report_error_but(struct report *report, const char *what,
		      const struct dmabuf_rw_error *error, const char *remedy);
/* Reports wrong usage and points to the help. STATUS_USAGE. */
int report_usage(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Reports getopt_long()'s failure @c, ':' or '?'. STATUS_USAGE. */
int report_option(struct report *report, const struct option *options, int c, char **argv);
/* A further sentence on stderr. */
void report_note(const struct report *report, const char *text);
/* Prints help in place of a result. STATUS_OK. */
int report_help(struct report *report, const struct command *command);
/*
 * The end of every run: prints the JSON object and flushes all output. Returns @status, or
 * STATUS_FAILED if output was lost.
 */
int report_end(struct report *report, int status);

/* ---- json.c ------------------------------------------------------------------------ */

void json_put_u64(struct json_object *object, const char *key, uint64_t value);
void json_put_double(struct json_object *object, const char *key, double value);
void json_put_bool(struct json_object *object, const char *key, bool value);
void json_put_string(struct json_object *object, const char *key, const char *value);
/* An error in words and numbers. */
struct json_object *json_of_error(const struct dmabuf_rw_error *error);
/* Adds "path" and "ways" for enum dmabuf_rw_path. */
void json_put_path(struct json_object *object, uint32_t path);
/* All fields of @info by their names. */
struct json_object *json_of_info(const struct dmabuf_rw_info *info);
void json_print(FILE *out, struct json_object *object);

/* ---- session.c: a file and a buffer, joined ------------------------------------- */

struct session {
	const char *file_name;
	const char *buffer_name;
	struct dmabuf_rw_device *device;
	struct dmabuf_rw_error device_error;	/* why there is none */
	uint32_t ways;		/* for bind; 0: all */
	struct dmabuf_rw_binding *binding;
	struct buffer buffer;
	int file_fd;
	struct dmabuf_rw_info info;
};

struct session_opts {
	int open_flags;		/* for the file */
	uint64_t bind_flags;
	uint32_t ways;
};

/* STATUS_OK, or a status after the failure was reported. Always session_close(). */
int session_open(struct session *s, struct report *report, const char *file,
		 const char *buffer, const struct session_opts *opts);
void session_close(struct session *s);
/* The steps of session_open(). */
void session_init(struct session *s);
/*
 * Without the module, stores the reason in @s->device_error. That is a failure only if @report is
 * not null, and @s->ways is the module's, or all and the kernel has no interface of its own.
 */
int session_open_device(struct session *s, struct report *report);
/*
 * Reports why a pair is refused, with @hint, or why there is no module if that is the reason.
 * Returns the status.
 */
int session_refused(const struct session *s, struct report *report, const char *what,
		    const struct dmabuf_rw_error *error, const char *hint);
int session_parse_buffer(struct report *report, const char *buffer, struct buffer_spec *spec);
int session_open_buffer(struct session *s, struct report *report, const char *buffer);
/*
 * Binds the open file and buffer, and fills @s->info. 0, or -errno with *@error; then @s->binding
 * is null unless only reading the info failed.
 */
/*
 * Calls dmabuf_rw_binding_create() with the buffer's needs: a copy function to bounce, and device
 * memory for memory that may move. If the latter is refused but bouncing is allowed, makes a
 * bounce-only binding and returns 0 with the reason in *@opts->error, which must not be null.
 */
int bind_buffer(struct dmabuf_rw_device *device, struct buffer *buffer, int file_fd,
		const struct dmabuf_rw_binding_opts *opts, struct dmabuf_rw_binding **binding);
int session_try_bind(struct session *s, uint64_t bind_flags, struct dmabuf_rw_error *error);
/* The same; reports a refusal. */
int session_bind(struct session *s, struct report *report, uint64_t bind_flags,
		 int (*refused)(const struct session *s, struct report *report,
				const char *what, const struct dmabuf_rw_error *error,
				const char *hint));
/* The status for an error of bind. */
int bind_status(const struct dmabuf_rw_error *error);
/* The argument of --way: enum dmabuf_rw_path. -1: go on; else the status to leave with. */
int parse_way(struct report *report, const char *text, uint32_t *path);
/* The same where only a direct way makes sense. */
int parse_direct_way(struct report *report, const char *text, uint32_t *path);
/* Whether the file exists and may be opened; for writing, only files and disks may. */
int check_file(struct report *report, const char *file, int open_flags);
/* Reports that it may not. Returns the status. */
int refuse_file(struct report *report, const char *file);
/* Calls check_file() and opens the file with O_CLOEXEC. */
int open_file(struct report *report, const char *file, int open_flags, int *fd);

/* ---- pair.c: facts about a pair without a transfer -------------------------------- */

/* Opens a page of memory as the buffer, from any exporter. 0, or -1 with @why. */
int pair_open_some_buffer(struct session *s, char **why);
/*
 * Whether the permissions allow load and store. Checks writing without opening the file for it:
 * udev rescans a disk that was open for writing, and a running program cannot be opened for
 * writing.
 */
void pair_directions(const struct session *s, bool *load, bool *store);
/*
 * Why a pair does not take the other direct way; err 0: that would work, too. Returns that way,
 * DMABUF_RW_PATH_MODULE or _KERNEL; for a refused pair, the kernel's.
 */
uint32_t pair_other_way(const struct session *s, struct dmabuf_rw_error *error);

/* ---- engine.c: one long transfer, pipelined -------------------------------------- */

struct engine {
	/* in */
	struct dmabuf_rw_queue *queue;	/* with nothing pending */
	const struct dmabuf_rw_binding *binding;
	bool write;
	uint64_t file_off;
	uint64_t buf_off;
	uint64_t len;
	uint64_t block;		/* bytes of one transfer */
	uint64_t io_flags;
	volatile sig_atomic_t *stop;	/* set: submit no more, and cancel */
	/* Called occasionally; may be null. */
	void (*progress)(void *arg, uint64_t done, uint32_t path);
	void *progress_arg;

	/* out */
	uint64_t moved;		/* bytes moved, anywhere in the range */
	uint64_t gapless;	/* bytes moved, counted from its beginning without a gap */
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t kernel_bytes;
	uint64_t completions;
	uint32_t path;		/* enum dmabuf_rw_path, all ways taken */
	bool ended;		/* the file ended early */
	struct dmabuf_rw_error error;	/* err 0: none */
};

/*
 * 0; -EINTR: stopped; else -errno, with @error filled. Nothing is in flight afterwards, unless the
 * queue itself failed; so destroy the queue before the binding.
 */
int engine_run(struct engine *e);

/* ---- progress.c: a bar on a terminal ---------------------------------------------- */

struct progress {
	bool shown;
	const char *verb;
	uint64_t total;
	int64_t begin_ns;
	int64_t last_ns;
};

/* "auto", "always" or "never"; false if @when is none of them. */
bool progress_mode(const char *when, bool *shown);
void progress_begin(struct progress *p, bool shown, const char *verb, uint64_t total);
void progress_update(void *progress, uint64_t done, uint32_t path);
void progress_end(struct progress *p, uint64_t done, uint32_t path);

int64_t clock_ns(void);
/* The process's CPU time in seconds, user and system. */
double cpu_seconds(void);

/* ---- verify.c: comparison and checksum --------------------------------------------- */

#define DIGEST_TEXT 65

/*
 * Compares @len bytes of the mapped buffer with the file @fd, read past the page cache (source.h).
 * @name is for messages. 0: equal; 1: *@where is the first difference; -errno after the failure was
 * reported.
 */
int verify_range(struct report *report, struct session *s, int fd, const char *name,
		 uint64_t file_off, uint64_t buf_off, uint64_t len,
		 volatile sig_atomic_t *stop, uint64_t *where);
/* SHA-256 of a range of the mapped buffer, in hexadecimal. -EINTR: stopped. */
int digest_range(struct session *s, uint64_t buf_off, uint64_t len,
		 volatile sig_atomic_t *stop, char text[DIGEST_TEXT]);

/* ---- signals.c ---------------------------------------------------------------------- */

/* Makes a failed write an error instead of a fatal signal. */
void ignore_write_signals(void);
/* Restores those signals, before exec. */
void restore_write_signals(void);
/* Makes terminating signals set the returned flag instead of ending the process. */
volatile sig_atomic_t *catch_signals(void);

#endif
