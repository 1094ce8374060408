// SPDX-License-Identifier: MIT
/*
 * verify.c - compares a buffer with the file by the CPU, independently of the transfer: reads the
 * file past the page cache (source.c) and the buffer through its CPU view. Device memory is copied
 * out first, as reading it is slow and must not happen twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sha256.h>

#include "source.h"
#include "tool.h"

#define CHUNK		SOURCE_CHUNK

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
	ssize_t got = source_read(source, file_off, len, &contents);
	int ret;

	if (got >= 0 && (size_t)got < len)
		got = -ENODATA;
	if (got < 0) {
		report_fail(report, "%s cannot be read at %llu for verification: %s", name,
			    (unsigned long long)file_off, strerror(-got));
		return got;
	}
	ret = buffer_read(&s->buffer, buf_off, copy, len);
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
	int ret = copy ? source_open(&source, file_fd) : -ENOMEM;

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
	source_close(&source);
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

		ret = *stop ? -EINTR : buffer_read(&s->buffer, buf_off + done, chunk, n);
		if (!ret)
			SHA256Update(&sha, (const uint8_t *)chunk, n);
		done += n;
	}
	if (!ret)
		SHA256End(&sha, text);
	free(chunk);
	return ret;
}
