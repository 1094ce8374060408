// SPDX-License-Identifier: MIT
/*
 * verify.c - comparing a buffer with the file, by the CPU, independently of the
 * transfer: the file through a fresh descriptor and O_DIRECT, the buffer through its
 * CPU view. Device memory is copied out before it is looked at: reading it is slow and
 * must not happen twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sha256.h>

#include "tool.h"

#define CHUNK		(1 << 20)
#define CHUNK_ALIGN	4096

/* Copies a range of the mapped buffer out, between the brackets that coherence needs. */
static int read_buffer(struct buffer *b, uint64_t off, void *out, size_t len)
{
	int ret = buffer_cpu_begin(b, false);

	if (ret)
		return ret;
	memcpy(out, (const char *)b->map + off, len);
	return buffer_cpu_end(b, false);
}

/* Up to @len bytes, fewer at the end of the file; how many, or -errno. */
static ssize_t read_file(int fd, uint64_t off, char *out, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, out + done, len - done, off + done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += n;
		/* With O_DIRECT, an odd count is the end. */
		if (!n || n % 512)
			break;
	}
	return done;
}

/* Opened anew, so that what is read is what is stored. */
static int open_again(int fd, bool *direct)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	*direct = again >= 0;
	if (again < 0 && errno == EINVAL)
		again = open(path, O_RDONLY | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static size_t first_difference(const char *a, const char *b, size_t len)
{
	size_t i;

	for (i = 0; i < len && a[i] == b[i]; i++)
		;
	return i;
}

int verify_range(struct report *report, struct session *s, int file_fd, const char *name,
		 uint64_t file_off, uint64_t buf_off, uint64_t len,
		 volatile sig_atomic_t *stop, uint64_t *where)
{
	char *from_file = NULL, *from_buffer = NULL;
	uint64_t done = 0;
	bool direct;
	int fd, ret = 0;

	fd = open_again(file_fd, &direct);
	if (fd < 0) {
		report_fail(report, "%s cannot be opened for verification: %s", name,
			    strerror(-fd));
		return fd;
	}
	from_file = aligned_alloc(CHUNK_ALIGN, CHUNK);
	from_buffer = malloc(CHUNK);
	if (!from_file || !from_buffer) {
		ret = -ENOMEM;
		report_fail(report, "there is no memory for the verification");
		goto out;
	}

	while (done < len) {
		/* Widened to what O_DIRECT takes. */
		size_t head = (file_off + done) % CHUNK_ALIGN;
		size_t n = len - done < CHUNK - head ? len - done : CHUNK - head;
		ssize_t got;

		if (*stop) {
			ret = -EINTR;
			report_fail(report, "interrupted during verification");
			goto out;
		}
		got = read_file(fd, file_off + done - head, from_file,
				(head + n + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN);
		if (got >= 0 && (size_t)got < head + n)
			got = -ENODATA;
		if (got < 0) {
			ret = got;
			report_fail(report, "%s cannot be read at %llu for verification: %s",
				    name, (unsigned long long)(file_off + done),
				    strerror(-ret));
			goto out;
		}
		ret = read_buffer(&s->buffer, buf_off + done, from_buffer, n);
		if (ret) {
			report_fail(report, "%s cannot be read for verification: %s",
				    s->buffer_name, strerror(-ret));
			goto out;
		}
		if (memcmp(from_file + head, from_buffer, n)) {
			*where = done + first_difference(from_file + head, from_buffer, n);
			ret = 1;
			goto out;
		}
		done += n;
	}
out:
	/* The page cache is left no fuller than it was found. */
	if (!direct)
		posix_fadvise(fd, file_off, len, POSIX_FADV_DONTNEED);
	free(from_file);
	free(from_buffer);
	close(fd);
	return ret;
}

int digest_range(struct session *s, uint64_t buf_off, uint64_t len,
		 char text[DIGEST_TEXT])
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

		ret = read_buffer(&s->buffer, buf_off + done, chunk, n);
		if (!ret)
			SHA256Update(&sha, (const uint8_t *)chunk, n);
		done += n;
	}
	if (!ret)
		SHA256End(&sha, text);
	free(chunk);
	return ret;
}
