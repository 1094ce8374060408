// SPDX-License-Identifier: MIT
/*
 * report.c - which way bytes went: counted, said at the first bounce, written down at exit.
 *
 * Thread-safety: counters are atomic, each right by itself; "lock" guards the table of reasons.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front.h"

#define MAX_REASONS	16

struct reason {
	char text[512];
	uint64_t bytes, transfers;
};

static _Atomic uint64_t direct[2], bounced[2], host[2];	/* by whether it is a write */
static _Atomic uint64_t zeros_by_drive, zeros_written, cached_bytes, cached_reads;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct reason reasons[MAX_REASONS];	/* by @lock */
static bool said;				/* by @lock */
static char report_path[4096];
static pid_t owner;

void report_say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	if (file_is_stderr())
		return;
	n = snprintf(line, sizeof(line), "libcufile (dmabuf-rw): ");
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* In one piece, and not through a stream that the program may have changed. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

void report_direct(bool write, uint64_t bytes)
{
	atomic_fetch_add_explicit(&direct[write], bytes, memory_order_relaxed);
}

void report_host(bool write, uint64_t bytes)
{
	atomic_fetch_add_explicit(&host[write], bytes, memory_order_relaxed);
}

/* The library's remedies end with "or allow bouncing", which is done here, or was forbidden. */
static const char *remedy_but_bouncing(const struct dmabuf_rw_error *error)
{
	if (error->reason == DMABUF_RW_REASON_NEVER_WRITTEN)
		return "write the file first (cp --sparse=never)";
	if (error->reason == DMABUF_RW_REASON_CLONE)
		return "make a copy with blocks of its own, cp --reflink=never FILE COPY, and use that";
	if (error->err == ENXIO && error->call == DMABUF_RW_CALL_IO)
		return "make a plain copy, cp --reflink=never --sparse=never FILE COPY, and use that";
	if (error->err == EDOM)
		return "use multiples of the alignment that dmabuf-rw info FILE udmabuf:1M reports";
	return NULL;
}

static void format_reason(const struct front_reason *why, char *text, size_t len)
{
	const char *remedy = remedy_but_bouncing(&why->error);
	size_t n;

	if (!why->cause && remedy) {
		snprintf(text, len, "%s (%s); %s", dmabuf_rw_error_cause(&why->error),
			 dmabuf_rw_errno_name(why->error.err), remedy);
		return;
	}
	if (why->cause) {
		snprintf(text, len, why->detail ? "%s (%s): %s" : "%s%s: %s", why->cause,
			 why->detail ? why->detail : "", why->remedy);
		return;
	}
	n = dmabuf_rw_error_format(&why->error, text, len);
	/* What the exporter of a GPU's memory says when its aperture is used up. */
	if (why->error.err == EREMOTEIO && why->error.detail == ENOMEM && n < len)
		snprintf(text + n, len - n, "; the GPU's aperture (BAR1) may be used up: "
			 "register less memory at a time, or enable a larger one in the firmware");
}

/* True if nothing has been said yet. */
static bool count_reason(const char *text, uint64_t bytes)
{
	bool first;
	int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_REASONS - 1; i++)
		if (!reasons[i].text[0] || !strcmp(reasons[i].text, text))
			break;
	/* The last one is for all that find no room. */
	if (i == MAX_REASONS - 1)
		text = "other reasons";
	snprintf(reasons[i].text, sizeof(reasons[i].text), "%s", text);
	reasons[i].bytes += bytes;
	reasons[i].transfers++;
	first = !said;
	said = true;
	pthread_mutex_unlock(&lock);
	return first;
}

static void name_of(const struct front_file *file, char *name, size_t len)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", file->fd);
	n = readlink(link, name, len - 1);
	snprintf(name + (n > 0 ? n : 0), len - (n > 0 ? n : 0), "%s", n > 0 ? "" : "a file");
}

void report_bounced(const struct front_file *file, bool write, uint64_t bytes,
		    const struct front_reason *why)
{
	char text[sizeof(reasons[0].text)], name[256];

	atomic_fetch_add_explicit(&bounced[write], bytes, memory_order_relaxed);
	format_reason(why, text, sizeof(text));
	if (!count_reason(text, bytes))
		return;
	name_of(file, name, sizeof(name));
	report_say("%llu bytes %s %s went through memory: %s", (unsigned long long)bytes,
		   write ? "to" : "from", name, text);
}

void report_cached(const struct front_file *file, uint64_t bytes)
{
	static atomic_flag is_said = ATOMIC_FLAG_INIT;
	char name[256];

	atomic_fetch_add_explicit(&cached_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&cached_reads, 1, memory_order_relaxed);
	if (atomic_flag_test_and_set(&is_said))
		return;
	name_of(file, name, sizeof(name));
	report_say("%llu bytes of %s came from the page cache, as DMABUF_RW_CUFILE_PAGE_CACHE "
		   "wants it", (unsigned long long)bytes, name);
}

void report_zeros(const struct front_file *file, const struct dmabuf_rw_result *result)
{
	static atomic_flag is_said = ATOMIC_FLAG_INIT;
	char name[256];

	if (!(result->zeros_by_drive | result->zeros_written))
		return;
	atomic_fetch_add_explicit(&zeros_by_drive, result->zeros_by_drive, memory_order_relaxed);
	atomic_fetch_add_explicit(&zeros_written, result->zeros_written, memory_order_relaxed);
	if (atomic_flag_test_and_set(&is_said))
		return;
	name_of(file, name, sizeof(name));
	report_say("%s had space that was only reserved: zeros first, %s, then direct", name,
		   result->zeros_written ? "which are written, as drive, file system or kernel do "
		   "not put them there by themselves" : "by the drive itself");
}

void report_refused(const struct front_file *file, const struct front_reason *why)
{
	char text[sizeof(reasons[0].text)], name[256];

	format_reason(why, text, sizeof(text));
	if (!count_reason(text, 0))
		return;
	name_of(file, name, sizeof(name));
	report_say("a transfer of %s fails, as it cannot go direct: %s", name, text);
}

static unsigned long long load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What writes into space that was only reserved have cost the drive. */
static void write_zeros(int fd)
{
	unsigned long long new = load(&direct[1]) + load(&bounced[1]) + load(&host[1]);
	unsigned long long as_data = load(&zeros_written);

	if (!as_data && !load(&zeros_by_drive))
		return;
	dprintf(fd, "zeros first: %llu bytes by the drive itself, %llu written; %.2f bytes to the "
		"drive for each that was written\n", load(&zeros_by_drive), as_data,
		new ? (double)(new + as_data) / new : 0);
}

static void write_report(void)
{
	int i, fd = file_is_stderr() ? -1 : STDERR_FILENO;

	/* A child that has not called exec(2) has the counters of its parent. */
	if (getpid() != owner)
		return;
	if (strcmp(report_path, "-"))
		fd = open(report_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	dprintf(fd, "cuFile, process %d (%s)\n"
		"read: %llu bytes direct, %llu bounced, %llu to host memory\n"
		"written: %llu bytes direct, %llu bounced, %llu from host memory\n",
		owner, program_invocation_short_name, load(&direct[0]), load(&bounced[0]),
		load(&host[0]), load(&direct[1]), load(&bounced[1]), load(&host[1]));
	if (load(&cached_reads))
		dprintf(fd, "from the page cache: %llu bytes in %llu transfers\n",
			load(&cached_bytes), load(&cached_reads));
	write_zeros(fd);
	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_REASONS && reasons[i].text[0]; i++)
		dprintf(fd, "%s: %llu bytes in %llu transfers: %s\n",
			front.direct_only ? "refused" : "bounced",
			(unsigned long long)reasons[i].bytes,
			(unsigned long long)reasons[i].transfers, reasons[i].text);
	pthread_mutex_unlock(&lock);
	if (fd != STDERR_FILENO)
		close(fd);
}

void report_open(void)
{
	const char *path = getenv("DMABUF_RW_CUFILE_REPORT");
	char *here = NULL;
	int n;

	if (!path || !*path)
		return;
	/* The program may leave this directory. */
	if (*path != '/' && strcmp(path, "-"))
		here = getcwd(NULL, 0);
	n = snprintf(report_path, sizeof(report_path), "%s%s%s", here ? here : "",
		     here ? "/" : "", path);
	free(here);
	if (n >= (int)sizeof(report_path))
		return;
	owner = getpid();
	atexit(write_report);
}
