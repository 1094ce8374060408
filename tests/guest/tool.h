/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tool.h - the dmabuf-rw command as tests run it, and what it said.
 *
 * A buffer that the test itself looks at is handed to the command as fd:N. The command
 * speaks JSON where its facts are looked at, so that a sentence may change and they may not.
 */
#ifndef TOOL_H
#define TOOL_H

#include <string.h>
#include <sys/types.h>

#include "buf.h"
#include "fs.h"
#include "harness.h"

#define TOOL	"/usr/bin/dmabuf-rw"

/* What the last run printed. */
extern char out[65536], err[8192];

/* Runs a shell command; its exit status. */
int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define RUNS(status, ...)							\
	do {									\
		int got_ = run(__VA_ARGS__);					\
										\
		if (got_ != (status))						\
			FAIL("status %d, not %d: %s%s", got_, status, err,	\
			     strlen(out) > 900 ? out + strlen(out) - 900 : out);\
	} while (0)

/* What follows "key": in the JSON object, the first time. */
const char *json(const char *key);
u64 json_u64(const char *key);
/* The same in the object of range @i, of those in "files". */
const char *json_range(unsigned int i, const char *key);
u64 json_range_u64(unsigned int i, const char *key);

#define JSON_IS(key, want)							\
	do {									\
		if (strcmp(json(key), want))					\
			FAIL("%s is %s, not %s", key, json(key), want);		\
	} while (0)

/* A name for the buffer that children can open. */
const char *inherited(const struct buf *buf);

/*
 * Starts the command without a shell, as another user if @uid is not 0; @args begin with TOOL
 * and end with NULL. It is ended by run_end().
 */
pid_t run_start(uid_t uid, const char *const *args);
/*
 * The same, but it goes on only in run_until() and after run_release(). It dies with this
 * process.
 */
pid_t run_start_stepped(const char *const *args);
/*
 * Let it go on until @moment gives true, which is asked whenever it enters a system call, where
 * it then stands still; false: it has ended before.
 */
bool run_until(pid_t pid, bool (*moment)(pid_t pid, const void *arg), const void *arg);
/*
 * From now on those that are started find a /proc that shows users other than root only their own
 * processes (hidepid).
 */
void run_hide_processes(void);
/*
 * From now on those that are started find file systems that know no files without a name, so a
 * new file has a temporary one.
 */
void run_forbid_tmpfile(void);
/* It need not stand still any more; the first thing that it gets is @signal, if not 0. */
void run_release(pid_t pid, int signal);
/* Wait for its end; the exit status, or 128 and the signal that ended it, as shells say it. */
int run_end(pid_t pid);

/* A line "@name:\tNUMBER" in the fdinfo of one of its bindings; -1 if it has none. */
s64 run_fdinfo(pid_t pid, const char *name);

/* Bytes that it has written by write(2) and its like, so neither by io_uring nor by the drive. */
u64 run_written(pid_t pid);

/* The file, read from the disk, has the @bytes bytes that @tag has from @pos on, and no more. */
void file_is(const struct fs *fs, const char *name, u64 bytes, u64 tag, u64 pos);
/* All names in the directory, in their order, with a space between them. */
const char *fs_names(const struct fs *fs);

#endif
