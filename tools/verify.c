// SPDX-License-Identifier: MIT
/*
 * verify.c - comparing a buffer with the file, by the CPU, independently of the
 * transfer: the file past the page cache, the buffer through its CPU view. Device memory
 * is copied out before it is looked at: reading it is slow and must not happen twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sha256.h>

#include "tool.h"

#define CHUNK		(1 << 20)
/* What O_DIRECT takes where the kernel does not tell (before 6.1). */
#define USUAL_ALIGN	4096

/* Copies a range of the mapped buffer out, between the brackets that coherence needs. */
static int read_buffer(struct buffer *b, uint64_t off, void *out, size_t len)
{
	int ret = buffer_cpu_begin(b, false);

	if (ret)
		return ret;
	memcpy(out, (const char *)b->map + off, len);
	return buffer_cpu_end(b, false);
}

/* The file as it is read for the comparison. */
struct source {
	int fd;
	bool direct;
	uint32_t align;		/* of offsets and lengths */
	char *chunk;		/* of CHUNK bytes */
};

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Sets what O_DIRECT takes here; false: it is not to be had. */
static bool find_alignment(int fd, uint32_t *memory, uint32_t *offset)
{
	struct statx sx;

	*memory = USUAL_ALIGN;
	*offset = USUAL_ALIGN;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) || !(sx.stx_mask & STATX_DIOALIGN))
		return true;
	*memory = larger(sx.stx_dio_mem_align, sizeof(void *));
	*offset = sx.stx_dio_offset_align;
	return *offset && CHUNK % *offset == 0 && *memory <= CHUNK;
}

/*
 * Opened anew, so that what is read is what is stored. Where that cannot be, by /proc or for
 * rights, the descriptor that there is does as well, without O_DIRECT.
 */
static int open_source(struct source *s, int fd)
{
	uint32_t memory = USUAL_ALIGN;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s->fd = -1;
	if (find_alignment(fd, &memory, &s->align))
		s->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	s->direct = s->fd >= 0;
	if (!s->direct) {
		s->align = 1;
		s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	if (s->fd < 0)
		return -errno;
	if (posix_memalign((void **)&s->chunk, larger(memory, USUAL_ALIGN), CHUNK)) {
		close(s->fd);
		return -ENOMEM;
	}
	return 0;
}

static void close_source(struct source *s)
{
	free(s->chunk);
	close(s->fd);
}

/* Reads up to @len bytes at @off, fewer at the end of the file; how many, or -errno. */
static ssize_t read_at(const struct source *s, uint64_t off, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(s->fd, s->chunk + done, len - done, off + done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += n;
		/* With O_DIRECT, an odd count is the end. */
		if (!n || (size_t)n % s->align)
			break;
	}
	return done;
}

/* The page cache may have what is not on the drive, and is left no fuller than it was found. */
static void drop_cache(const struct source *s, uint64_t off, size_t len)
{
	posix_fadvise(s->fd, off, len, POSIX_FADV_DONTNEED);
}

/*
 * Points *@at to the @len bytes at @off, or fewer at the end of the file; how many, or -errno.
 * @len: so that they fit into the chunk when both ends are widened to what O_DIRECT takes.
 */
static ssize_t read_source(struct source *s, uint64_t off, size_t len, const char **at)
{
	size_t head = off % s->align;
	ssize_t n;

	if (s->direct) {
		n = read_at(s, off - head, (head + len + s->align - 1) / s->align * s->align);
		*at = s->chunk + head;
		if (n != -EINVAL)
			return n < (ssize_t)head ? n < 0 ? n : 0 : n - (ssize_t)head;
		/* It says so only now. */
		s->direct = false;
		s->align = 1;
		fcntl(s->fd, F_SETFL, O_RDONLY);
	}
	drop_cache(s, off, len);
	n = read_at(s, off, len);
	drop_cache(s, off, len);
	*at = s->chunk;
	return n;
}

static size_t first_difference(const char *a, const char *b, size_t len)
{
	size_t i;

	for (i = 0; i < len && a[i] == b[i]; i++)
		;
	return i;
}

/* One step of verify_range(), of @len bytes. */
static int compare(struct report *report, struct session *s, struct source *source,
		   const char *name, uint64_t file_off, uint64_t buf_off, size_t len, char *copy,
		   size_t *where)
{
	const char *contents;
	ssize_t got = read_source(source, file_off, len, &contents);
	int ret;

	if (got >= 0 && (size_t)got < len)
		got = -ENODATA;
	if (got < 0) {
		report_fail(report, "%s cannot be read at %llu for verification: %s", name,
			    (unsigned long long)file_off, strerror(-got));
		return got;
	}
	ret = read_buffer(&s->buffer, buf_off, copy, len);
	if (ret) {
		report_fail(report, "%s cannot be read for verification: %s", s->buffer_name,
			    strerror(-ret));
		return ret;
	}
	if (!memcmp(contents, copy, len))
		return 0;
	*where = first_difference(contents, copy, len);
	return 1;
}

int verify_range(struct report *report, struct session *s, int file_fd, const char *name,
		 uint64_t file_off, uint64_t buf_off, uint64_t len,
		 volatile sig_atomic_t *stop, uint64_t *where)
{
	char *copy = malloc(CHUNK);
	struct source source = { .fd = -1 };
	uint64_t done = 0;
	int ret = copy ? open_source(&source, file_fd) : -ENOMEM;

	if (ret) {
		report_fail(report, "%s cannot be opened for verification: %s", name,
			    strerror(-ret));
		free(copy);
		return ret;
	}
	while (done < len && !ret) {
		size_t room = CHUNK - (file_off + done) % source.align;
		size_t n = len - done < room ? len - done : room, at = 0;

		if (*stop) {
			report_fail(report, "%s: interrupted during verification", name);
			ret = -EINTR;
			break;
		}
		ret = compare(report, s, &source, name, file_off + done, buf_off + done, n, copy,
			      &at);
		*where = done + at;
		done += n;
	}
	close_source(&source);
	free(copy);
	return ret;
}

int digest_range(struct session *s, uint64_t buf_off, uint64_t len,
		 volatile sig_atomic_t *stop, char text[DIGEST_TEXT])
{
	char *chunk = malloc(CHUNK);
	SHA2_CTX sha;
	uint64_t done = 0;
	int ret = 0;

	if (!chunk)
		return -ENOMEM;
	SHA256Init(&sha);
	while (done < len && !ret) {
		size_t n = len - done < CHUNK ? len - done : CHUNK;

		ret = *stop ? -EINTR : read_buffer(&s->buffer, buf_off + done, chunk, n);
		if (!ret)
			SHA256Update(&sha, (const uint8_t *)chunk, n);
		done += n;
	}
	if (!ret)
		SHA256End(&sha, text);
	free(chunk);
	return ret;
}
