// SPDX-License-Identifier: MIT
/*
 * check_canary.c - the canary's ranges, and what it has proven. See cmd_check.h.
 *
 * In a directory it uses a nameless file of its own, in a file or on a disk the range that the
 * caller gave. It opens a disk exclusively, so that a mounted one is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer_kind.h"
#include "cmd_check.h"
#include "mounts.h"
#include "route.h"

/* Room for the longest round and a spare page on either side. */
#define SCRATCH_BYTES	(2 * (CANARY_BYTES + 65536))

int check_canary_usage(struct report *report, const char *name, bool ranged)
{
	struct stat st;

	if (stat(name, &st))
		return -1;	/* reported when the name is checked */
	if (S_ISDIR(st.st_mode) && ranged)
		return report_usage(report, "in a directory the canary has a file of its own, so "
				    "--range is for files and disks");
	if (!S_ISDIR(st.st_mode) && !ranged)
		return report_usage(report, "--canary overwrites what it is let loose on: name a "
				    "directory, in which it makes a file of its own, or say by "
				    "--range OFFSET:LENGTH what of %s may be lost", name);
	return -1;
}

/* Adds the reason why the canary cannot run. */
static int fail(struct check *c, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct check *c, const char *remedy, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fact_of_list(&c->facts, "canary", FACT_UNKNOWN, remedy, format, ap);
	va_end(ap);
	return STATUS_FAILED;
}

/* Transfers need blocks that have been written. */
static int write_zeros(int fd)
{
	static const char zeros[65536];
	size_t done;
	ssize_t n;

	for (done = 0; done < SCRATCH_BYTES; done += n) {
		n = pwrite(fd, zeros, sizeof(zeros), done);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return n ? errno : ENOSPC;
	}
	return fdatasync(fd) ? errno : 0;
}

/* Opens a file without a name, or, without O_TMPFILE, one whose name is removed at once. */
static int open_nameless(int dir)
{
	int fd = openat(dir, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600), err;
	uint64_t id = 0;
	char name[64];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = clock_ns();
	snprintf(name, sizeof(name), ".dmabuf-rw-canary-%016llx", (unsigned long long)id);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || !unlinkat(dir, name, 0))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int check_scratch(struct check *c, const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return fail(c, NULL, "the directory cannot be opened: %s", strerror(errno));
	c->scratch = open_nameless(fd);
	if (c->scratch < 0)
		err = errno;
	close(fd);
	if (!err)
		err = write_zeros(c->scratch);
	return err ? fail(c, "name a directory that this user may write to, with 4 MiB to spare",
			  "no scratch file can be made in %s: %s", dir, strerror(err)) : STATUS_OK;
}

/* Opens the file that @at (O_PATH) has checked, even if the name has changed. */
static int open_offered(struct check *c, const char *name, int at, const struct stat *st)
{
	struct lease lease;
	char path[32];
	int err;

	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return fail(c, NULL, "%s is neither a file nor a disk any more", name);
	if (S_ISREG(st->st_mode) && find_lease(c->root, st->st_dev, st->st_ino, &lease))
		return fail(c, "ask again when it has been given up", "process %d has a lease on "
			    "%s", lease.pid, name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
	c->session.file_fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
				  (S_ISBLK(st->st_mode) ? O_EXCL : 0));
	err = errno;
	if (c->session.file_fd >= 0)
		return STATUS_OK;
	if (err == EBUSY)
		return fail(c, "name a directory on its file system, or unmount it", "%s is in use "
			    "(mounted, or part of another device), so nothing is written to it",
			    name);
	return fail(c, NULL, "%s cannot be opened for writing: %s", name, strerror(err));
}

static int open_target(struct check *c, const char *name, struct canary_range *range)
{
	int at = open(name, O_PATH | O_CLOEXEC), status;
	struct stat st;

	c->session.file_name = name;
	if (at < 0 || fstat(at, &st)) {
		status = fail(c, NULL, "%s cannot be looked at: %s", name, strerror(errno));
	} else if (!S_ISDIR(st.st_mode)) {
		status = range->len ? open_offered(c, name, at, &st) :
			 fail(c, NULL, "%s is no directory any more", name);
	} else {
		*range = (struct canary_range){ 0, SCRATCH_BYTES };
		status = c->scratch < 0 ? check_scratch(c, name) : STATUS_OK;
		c->session.file_fd = c->scratch;
		c->scratch = -1;
	}
	if (at >= 0)
		close(at);
	return status;
}

/* Writing to registers may start an operation of the device. */
static bool is_registers(const struct check *c)
{
	const struct buffer_spec *spec = &c->session.buffer.spec;
	struct pci_bar bar;

	return spec->kind == &buffer_vfio && pci_bar_read(c->root, spec->name, spec->bar, &bar) &&
	       !bar.prefetchable;
}

/* ---- what was proven ---------------------------------------------------------------------- */

static const char *ctrl_names(const struct canary *y, char *text, size_t len)
{
	char pci[20];
	unsigned int i;

	text[0] = 0;
	for (i = 0; i < y->nr_pci && i < 4; i++)
		snprintf(text + strlen(text), len - strlen(text), "%s%s", i ? " and " : "",
			 dmabuf_rw_pci_name(y->domain[i], y->pci[i], pci, sizeof(pci)));
	return text;
}

static void not_proven(struct check *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void not_proven(struct check *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fact_of_list(&c->facts, "not proven", FACT_INFO, NULL, format, ap);
	va_end(ap);
}

static void tell_limits(struct check *c, const struct canary *y)
{
	const struct dmabuf_rw_info *info = &c->session.info;
	uint64_t end = y->used_memory.off + y->used_memory.len;

	if (!y->seen)
		not_proven(c, "that nothing else in the buffer was changed: the CPU has no view of "
			   "it to look at, or not for writing");
	if (!y->past_cache)
		not_proven(c, "that the bytes are on the drive: the file takes no O_DIRECT, so the "
			   "CPU may have read what the page cache had");
	if (y->file_step > 1)
		not_proven(c, "places in the file that are no multiples of %u, which this drive "
			   "does not read", y->file_step);
	if (y->memory_step > 1)
		not_proven(c, "places in the buffer that are no multiples of %u", y->memory_step);
	if (info->paths > y->nr_pci)
		not_proven(c, "%u of the %u paths: nobody can choose one, and the module did not "
			   "take them", info->paths - y->nr_pci, info->paths);
	if (y->used_memory.off || end < info->buf_bytes)
		not_proven(c, "the buffer before byte %llu and from byte %llu on",
			   (unsigned long long)y->used_memory.off, (unsigned long long)end);
	not_proven(c, "other places of the drive, and that the bytes outlive a loss of power");
}

static void tell_proof(struct check *c, const struct canary *y)
{
	bool by_kernel = c->session.info.flags & DMABUF_RW_INFO_KERNEL;
	struct json_object *rounds = json_object_new_array(), *o;
	char names[128], size[24];
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < y->nr_rounds; i++) {
		const struct canary_round *r = &y->rounds[i];

		bytes += r->len;
		fact(&c->facts, "round", FACT_OK, NULL, "%llu bytes from %llu of the file to %llu "
		     "of the buffer, and from there to %llu of the file",
		     (unsigned long long)r->len, (unsigned long long)r->from,
		     (unsigned long long)r->buf_off, (unsigned long long)r->to);
		o = json_object_new_object();
		json_put_u64(o, "from", r->from);
		json_put_u64(o, "buf_off", r->buf_off);
		json_put_u64(o, "to", r->to);
		json_put_u64(o, "bytes", r->len);
		json_object_array_add(rounds, o);
	}
	o = fact(&c->facts, "proven", FACT_OK, NULL, "in %u %s, %s: what the CPU wrote to the "
		 "file, %s%s read into the buffer and wrote from there to another place of the "
		 "file, where the CPU read it%s; %sno byte of the file's range was changed beside "
		 "that",
		 y->nr_rounds, y->nr_rounds == 1 ? "round" : "rounds",
		 size_format(bytes, size, sizeof(size)), by_kernel ? "the drive" : "the drive at ",
		 by_kernel ? "" : ctrl_names(y, names, sizeof(names)),
		 y->past_cache ? " past the page cache" : "",
		 y->seen ? "the CPU saw the same in the buffer, where no byte beside it was "
		 "changed; " : "");
	json_put_u64(o, "bytes", bytes);
	json_object_object_add(o, "rounds", rounds);
	json_put_bool(o, "seen_in_buffer", y->seen);
	json_put_bool(o, "past_page_cache", y->past_cache);
	tell_limits(c, y);
}

static int tell(struct check *c, const struct canary *y, enum canary_end end)
{
	switch (end) {
	case CANARY_PROVEN:
		tell_proof(c, y);
		return STATUS_OK;
	case CANARY_DIFFERS:
		fact(&c->facts, "canary", FACT_NO, "do not use this pair: report what check says "
		     "of it, and the kernel log", "round %u: %s", y->nr_rounds + 1,
		     text_or_excuse(y->where));
		return STATUS_MISMATCH;
	case CANARY_STOPPED:
		fact(&c->facts, "canary", FACT_UNKNOWN, NULL, "ended by a signal");
		return STATUS_INTERRUPTED;
	default:
		if (!y->error.err)
			return fail(c, NULL, "%s", text_or_excuse(y->why));
		fact_of_error(&c->facts, "canary", FACT_UNKNOWN, &y->error);
		return STATUS_FAILED;
	}
}

int check_canary(struct check *c, const char *name, const struct canary_range *range,
		 const struct canary_range *memory)
{
	struct session *s = &c->session;
	struct canary y = { .file = *range, .memory = *memory, .stop = catch_signals() };
	struct dmabuf_rw_error error = { 0 };
	enum canary_end end;
	char *why = NULL;
	int status;

	if (!memory->len && is_registers(c))
		return fail(c, "name memory, or by --buffer-range what may be lost", "%s is no "
			    "memory, but registers of a device", s->buffer_name);
	status = open_target(c, name, &y.file);
	if (status)
		return status;
	if (session_try_bind(s, c->bind_flags, &error)) {
		fact_of_error(&c->facts, "canary", FACT_NO, &error);
		return bind_status(&error);
	}
	/* Without a CPU view only the way back to the file is checked. */
	if (buffer_map(&s->buffer, &why))
		free(why);
	y.binding = s->binding;
	y.buffer = &s->buffer;
	y.fd = s->file_fd;
	if (!y.memory.len)
		y.memory.len = s->info.buf_bytes;
	end = canary_run(&y);
	status = tell(c, &y, end);
	canary_free(&y);
	return status;
}
