/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the parts of the dmabuf-rw command share.
 *
 * The tool is one thread, except bench, whose threads share only a binding. Each
 * command makes one struct report and one struct session, and leaves through
 * report_end().
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

/* Exit statuses; dmabuf-rw(1) documents them. */
enum {
	STATUS_OK		= 0,
	STATUS_FAILED		= 1,	/* a transfer or something around it failed */
	STATUS_USAGE		= 2,
	STATUS_REFUSED		= 3,	/* the pair cannot go direct */
	STATUS_MISMATCH		= 4,	/* --verify found a difference */
	STATUS_INTERRUPTED	= 130,	/* 128 + SIGINT, as shells say it */
};

struct command {
	const char *name;
	const char *summary;
	const char *help;
	int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command cmd_load, cmd_store, cmd_info, cmd_bench;

/* ---- report.c: results and failures, as text or JSON ---------------------------- */

struct report {
	const char *command;
	bool json;
	struct json_object *root;	/* with json only */
};

/* "-o json" or "-o text"; false after saying what is wrong with @format. */
bool report_format(struct report *report, const char *format);
void report_begin(struct report *report, const char *command);
/* Says a failure: the sentence on stderr, and in the JSON object as "error". */
void report_fail(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same with the library's sentence, about @what. */
void report_error(struct report *report, const char *what,
		  const struct dmabuf_rw_error *error);
/* Prints the JSON object; returns @status. */
int report_end(struct report *report, int status);
/* Wrong usage: says it, and where help is. */
int usage_error(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* True after printing help, which goes to stdout. */
void print_help(const struct command *command);

void json_put_u64(struct json_object *object, const char *key, uint64_t value);
void json_put_double(struct json_object *object, const char *key, double value);
void json_put_bool(struct json_object *object, const char *key, bool value);
void json_put_string(struct json_object *object, const char *key, const char *value);
/* What an error is, in words and numbers. */
struct json_object *json_of_error(const struct dmabuf_rw_error *error);
/* All of @info under its field names. */
struct json_object *json_of_info(const struct dmabuf_rw_info *info);

/* ---- session.c: a file and a buffer, joined ------------------------------------- */

struct session {
	const char *file_name;
	const char *buffer_name;
	struct dmabuf_rw_device *device;
	struct dmabuf_rw_error device_error;	/* why there is none */
	struct dmabuf_rw_binding *binding;
	struct buffer buffer;
	int file_fd;
	struct dmabuf_rw_info info;
};

struct session_opts {
	int open_flags;		/* for the file; O_CLOEXEC is added */
	uint64_t bind_flags;
};

/* STATUS_OK, or a status after the failure was reported. Always session_close(). */
int session_open(struct session *s, struct report *report, const char *file,
		 const char *buffer, const struct session_opts *opts);
void session_close(struct session *s);
/* The steps of it, for info. */
void session_init(struct session *s);
/* @report null: the failure is only kept in @s->device_error. */
int session_open_device(struct session *s, struct report *report);
int session_open_buffer(struct session *s, struct report *report, const char *buffer);
int session_open_file(struct session *s, struct report *report, const char *file,
		      int open_flags);
bool is_buffer_name(const char *text);

/* ---- engine.c: one long transfer, pipelined -------------------------------------- */

struct engine {
	/* in */
	const struct dmabuf_rw_binding *binding;
	bool write;
	uint64_t file_off;
	uint64_t buf_off;
	uint64_t len;
	uint64_t block;		/* bytes of one transfer */
	uint32_t depth;		/* 1: synchronous, without io_uring */
	uint64_t io_flags;
	volatile sig_atomic_t *stop;	/* set: submit no more */
	/* Now and then; may be null. */
	void (*progress)(void *arg, uint64_t done, uint32_t path);
	void *progress_arg;

	/* out */
	uint64_t moved;		/* bytes moved, anywhere in the range */
	uint64_t gapless;	/* bytes moved, counted from its beginning without a gap */
	uint64_t direct_bytes;
	uint64_t bounced_bytes;
	uint64_t completions;
	uint32_t path;		/* enum dmabuf_rw_path of all that was moved */
	struct dmabuf_rw_error error;	/* err 0: none */
};

/* 0; -EINTR: stopped; else -errno, with @error filled. Nothing is in flight then. */
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
/* Seconds of CPU time that the process has used, user and system. */
double cpu_seconds(void);

/* ---- verify.c: what arrived -------------------------------------------------------- */

#define DIGEST_TEXT 65

/*
 * Compares @len bytes of the mapped buffer with the file @fd, which @name is for messages,
 * read through another descriptor, with O_DIRECT where the file has it. 0: equal; 1: they
 * differ first at *@where; -errno after the failure was reported.
 */
int verify_range(struct report *report, struct session *s, int fd, const char *name,
		 uint64_t file_off, uint64_t buf_off, uint64_t len,
		 volatile sig_atomic_t *stop, uint64_t *where);
/* SHA-256 of a range of the mapped buffer, in hexadecimal. */
int digest_range(struct session *s, uint64_t buf_off, uint64_t len,
		 char text[DIGEST_TEXT]);

/* ---- main.c ------------------------------------------------------------------------ */

/* Makes SIGINT and SIGTERM set *the flag* instead of ending the process. */
volatile sig_atomic_t *catch_signals(void);

#endif
