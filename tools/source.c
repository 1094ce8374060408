// SPDX-License-Identifier: MIT
/* source.c - see source.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

/* O_DIRECT's alignment if the kernel does not report it (before 6.1). */
#define USUAL_ALIGN	4096

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Sets O_DIRECT's alignment; false: no O_DIRECT. */
static bool find_alignment(int fd, uint32_t *memory, uint32_t *offset)
{
	struct statx sx;

	*memory = USUAL_ALIGN;
	*offset = USUAL_ALIGN;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) || !(sx.stx_mask & STATX_DIOALIGN))
		return true;
	*memory = larger(sx.stx_dio_mem_align, sizeof(void *));
	*offset = sx.stx_dio_offset_align;
	return *offset && SOURCE_CHUNK % *offset == 0 && *memory <= SOURCE_CHUNK;
}

int source_open(struct source *s, int fd)
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
	if (posix_memalign((void **)&s->chunk, larger(memory, USUAL_ALIGN), SOURCE_CHUNK)) {
		close(s->fd);
		return -ENOMEM;
	}
	return 0;
}

void source_close(struct source *s)
{
	free(s->chunk);
	close(s->fd);
}

/* Reads up to @len bytes at @off. Returns the count, short at the end of the file, or -errno. */
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
		/* With O_DIRECT, an unaligned count means the end of the file. */
		if (!n || (size_t)n % s->align)
			break;
	}
	return done;
}

/* Drops pages before a read, as they may differ from the drive, and after it. */
static void drop_cache(const struct source *s, uint64_t off, size_t len)
{
	posix_fadvise(s->fd, off, len, POSIX_FADV_DONTNEED);
}

ssize_t source_read(struct source *s, uint64_t off, size_t len, const char **at)
{
	size_t head = off % s->align;
	ssize_t n;

	if (s->direct) {
		n = read_at(s, off - head, (head + len + s->align - 1) / s->align * s->align);
		*at = s->chunk + head;
		if (n != -EINVAL)
			return n < (ssize_t)head ? n < 0 ? n : 0 : n - (ssize_t)head;
		/* Some files refuse O_DIRECT only on reads. */
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
