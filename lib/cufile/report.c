// SPDX-License-Identifier: MIT
/*
 * report.c - which way bytes went: counted, a message at the first bounce, a report at exit.
 *
 * Under dmabuf-rw run the record is in run's account, and run reports it; otherwise, and if the
 * account is not available, the process reports it at exit (account.h).
 *
 * Thread-safety: each counter is atomic; "lock" protects the table of reasons.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "account.h"
#include "front.h"

static struct account_record own;
/* Both are set by report_open(), before the first transfer. */
static struct account_record *record = &own;
static struct account *account;			/* null: there is none */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool said;				/* by @lock */
static char report_path[4096];

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
	/* In one write, and not through a stream that the program may have changed. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

void report_direct(bool write, uint64_t bytes)
{
	atomic_fetch_add_explicit(&record->direct[write], bytes, memory_order_relaxed);
}

void report_host(bool write, uint64_t bytes)
{
	atomic_fetch_add_explicit(&record->host[write], bytes, memory_order_relaxed);
}

/* Cuts the "or allow bouncing" that ends the library's remedies: it is on, or forbidden. */
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
	/* The answer of a GPU's exporter when its aperture is used up. */
	if (why->error.err == EREMOTEIO && why->error.detail == ENOMEM && n < len)
		snprintf(text + n, len - n, "; the GPU's aperture (BAR1) may be used up: "
			 "register less memory at a time, or enable a larger one in the firmware");
}

/* True if no message was printed yet. */
static bool count_reason(const char *text, uint64_t bytes)
{
	struct account_reason *r = record->reasons;
	bool first;

	pthread_mutex_lock(&lock);
	while (r < &record->reasons[ACCOUNT_REASONS - 1] && r->transfers && strcmp(r->text, text))
		r++;
	/* The last one collects reasons that find no room. */
	if (r == &record->reasons[ACCOUNT_REASONS - 1])
		text = "other reasons";
	if (!r->transfers)
		snprintf(r->text, sizeof(r->text), "%s", text);
	atomic_fetch_add_explicit(&r->bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&r->transfers, 1, memory_order_release);
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
	char text[sizeof(own.reasons[0].text)], name[256];

	atomic_fetch_add_explicit(&record->bounced[write], bytes, memory_order_relaxed);
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

	atomic_fetch_add_explicit(&record->cached_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&record->cached_reads, 1, memory_order_relaxed);
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
	atomic_fetch_add_explicit(&record->zeros_by_drive, result->zeros_by_drive,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&record->zeros_written, result->zeros_written,
				  memory_order_relaxed);
	if (atomic_flag_test_and_set(&is_said))
		return;
	name_of(file, name, sizeof(name));
	report_say("%s had space that was only reserved: zeros first, %s, then direct", name,
		   result->zeros_written ? "which are written, as drive, file system or kernel do "
		   "not put them there by themselves" : "by the drive itself");
}

void report_refused(const struct front_file *file, const struct front_reason *why)
{
	char text[sizeof(own.reasons[0].text)], name[256];

	format_reason(why, text, sizeof(text));
	if (!count_reason(text, 0))
		return;
	name_of(file, name, sizeof(name));
	report_say("a transfer of %s fails, as it cannot go direct: %s", name, text);
}

/* ---- the report --------------------------------------------------------------------------- */

/* Control characters (C0, C1 and DEL) become "?": others may have written them. */
static void write_line(void *arg, const char *text)
{
	char line[1024];
	unsigned int i;

	for (i = 0; text[i] && i < sizeof(line) - 1; i++) {
		unsigned char c = text[i], before = i ? text[i - 1] : 0;
		bool is_control = c < 0x20 || c == 0x7f || (before == 0xc2 && c < 0xa0);

		line[i] = is_control ? '?' : c;
	}
	line[i] = 0;
	dprintf(*(int *)arg, "%s\n", line);
}

/* Whether dmabuf-rw run still runs and has not reported the record yet. */
static bool leave_it_to_run(void)
{
	uint32_t runs = RECORD_RUNS;

	return account && atomic_compare_exchange_strong(&record->state, &runs, RECORD_ENDED) &&
	       (!kill(account->run, 0) || errno == EPERM);
}

static void tell_at_exit(void)
{
	int fd = file_is_stderr() ? -1 : STDERR_FILENO;

	/* A child without exec(2) shares its parent's record. */
	if (getpid() != own.pid || leave_it_to_run())
		return;
	if (strcmp(report_path, "-"))
		fd = open(report_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	pthread_mutex_lock(&lock);
	account_tell(record, "", write_line, &fd);
	pthread_mutex_unlock(&lock);
	if (fd != STDERR_FILENO)
		close(fd);
}

/* Null with errno: not available, or of another layout. */
static struct account *map_account(const char *path, int *fd)
{
	static const char name[] = "/memfd:" ACCOUNT_NAME;
	char target[sizeof(name) - 1] = "";
	struct account *a;
	struct stat st;

	/* Once run has ended, another process may have its pid. */
	if (readlink(path, target, sizeof(target)) < 0)
		return NULL;
	errno = ESTALE;
	if (memcmp(target, name, sizeof(target)))
		return NULL;
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st))
		return NULL;
	errno = EPROTO;
	if (st.st_size != sizeof(*a))
		return NULL;
	a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (a == MAP_FAILED)
		return NULL;
	if (a->magic == ACCOUNT_MAGIC)
		return a;
	munmap(a, sizeof(*a));
	errno = EPROTO;
	return NULL;
}

/* Takes a record of the account, and allocates its memory: writes must not fail. 0 or an errno. */
static int take_record(struct account *a, int fd)
{
	uint32_t i = atomic_fetch_add(&a->used, 1), is_free = RECORD_FREE;
	struct account_record *r;

	if (i >= ACCOUNT_RECORDS)
		return ENOSPC;
	r = &a->records[i];
	if (fallocate(fd, 0, (char *)r - (char *)a, sizeof(*r)))
		return errno;
	memcpy(r->name, own.name, sizeof(r->name));
	r->pid = own.pid;
	r->direct_only = own.direct_only;
	if (!atomic_compare_exchange_strong(&r->state, &is_free, RECORD_RUNS))
		return ESTALE;
	record = r;
	account = a;
	return 0;
}

static void join_account(const char *path)
{
	struct account *a;
	int fd = -1, err;

	a = map_account(path, &fd);
	err = a ? take_record(a, fd) : errno;
	if (fd >= 0)
		close(fd);
	if (!err)
		return;
	if (a)
		munmap(a, sizeof(*a));
	report_say("dmabuf-rw run does not count for this process (%s: %s), which tells at its "
		   "exit what it has done, and not if a signal or _exit() ends it", path,
		   strerror(err));
}

/* Makes the path absolute, as the program may change its directory; "": no path. */
static void find_path(void)
{
	const char *path = getenv("DMABUF_RW_CUFILE_REPORT");
	char *here = NULL;
	int n;

	if (!path || !*path)
		return;
	if (*path != '/' && strcmp(path, "-"))
		here = getcwd(NULL, 0);
	n = snprintf(report_path, sizeof(report_path), "%s%s%s", here ? here : "",
		     here ? "/" : "", path);
	free(here);
	if (n >= (int)sizeof(report_path))
		report_path[0] = 0;
}

void report_open(void)
{
	const char *path = getenv(ACCOUNT_VARIABLE);

	own.pid = getpid();
	own.direct_only = front.direct_only;
	snprintf(own.name, sizeof(own.name), "%s", program_invocation_short_name);
	find_path();
	if (path && *path)
		join_account(path);
	if (account || report_path[0])
		atexit(tell_at_exit);
}
