// SPDX-License-Identifier: MIT
/* canary.c - see canary.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "canary.h"
#include "source.h"

/* The fill of bytes that are not moved, in the file's range and in the buffer's. */
#define FILE_FILL	0xa5
#define BUFFER_FILL	0x5a

/*
 * Where each round begins in the halves of the range and in the buffer, before it is rounded up to
 * the drive's alignment: aligned; unaligned on one side and on both; at different places in a page.
 */
static const struct { uint32_t file, memory; } places[CANARY_ROUNDS] = {
	{ 0, 0 }, { 0, 1 }, { 1, 0 }, { 511, 3 }, { 513, 4093 }, { 4095, 2051 },
};

struct work {
	struct canary *c;
	struct dmabuf_rw_info info;
	uint64_t seed;
	uint64_t half;		/* bytes of the first half; the second follows it */
	char *image;		/* the expected contents of the whole range */
	char *copy;		/* of the buffer's range */
	struct source source;
};

static uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) / align * align;
}

static uint64_t round_down(uint64_t value, uint64_t align)
{
	return value / align * align;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum canary_end fail(struct canary *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static enum canary_end fail(struct canary *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	c->why = text_vformat(format, ap);
	va_end(ap);
	return CANARY_FAILED;
}

/* Byte @i of the pattern, whose words differ in every place and every round. */
static char pattern(uint64_t seed, uint64_t i)
{
	uint64_t x = seed + (i / 8 + 1) * 0x9e3779b97f4a7c15ULL;	/* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (x ^ x >> 31) >> i % 8 * 8;
}

/* ---- ranges and places ----------------------------------------------------------------- */

static bool within(const struct canary_range *range, uint64_t bytes)
{
	return range->len <= bytes && range->off <= bytes - range->len;
}

static enum canary_end find_ranges(struct work *w)
{
	struct canary *c = w->c;
	/* The CPU writes through the page cache: use only whole pages. */
	uint64_t unit = sysconf(_SC_PAGESIZE), end;
	struct statfs fs;
	int ret;

	w->info.size = sizeof(w->info);
	ret = dmabuf_rw_binding_info(c->binding, &w->info);
	if (ret) {
		c->error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_INFO, .err = -ret };
		return CANARY_FAILED;
	}
	if (dmabuf_rw_binding_path(c->binding) & DMABUF_RW_PATH_BOUNCED)
		return fail(c, "the pair would be copied through memory, which proves nothing");
	if (!within(&c->file, w->info.file_bytes))
		return fail(c, "the range is not within the file, which has %llu bytes",
			    (unsigned long long)w->info.file_bytes);
	if (!within(&c->memory, w->info.buf_bytes))
		return fail(c, "the range is not within the buffer, which has %llu bytes",
			    (unsigned long long)w->info.buf_bytes);
	if (w->info.write_align > unit)
		unit = w->info.write_align;
	/* A file system writes back whole blocks, which may be larger. */
	if (w->info.flags & DMABUF_RW_INFO_REGULAR && !fstatfs(c->fd, &fs) &&
	    (uint64_t)fs.f_bsize > unit)
		unit = fs.f_bsize;
	c->used.off = round_up(c->file.off, unit);
	end = round_down(c->file.off + c->file.len, unit);
	w->half = end > c->used.off ? round_down((end - c->used.off) / 2, unit) : 0;
	w->half = smaller(w->half, CANARY_BYTES + unit);
	c->used.len = 2 * w->half;
	c->used_memory.off = c->memory.off;
	c->used_memory.len = smaller(c->memory.len, CANARY_BYTES + unit);
	if (!w->half)
		return fail(c, "the range of the file is too small: it has to have two whole "
			    "blocks of %llu bytes, so offer 64 KiB or more",
			    (unsigned long long)unit);
	if (c->used_memory.len < w->info.write_align)
		return fail(c, "the range of the buffer is too small: offer %u bytes or more",
			    w->info.write_align);
	c->file_step = w->info.read_align;
	c->memory_step = w->info.buf_align;
	return CANARY_PROVEN;
}

/* Places round @i; false: there is no room, or it would repeat another round. */
static bool place_round(const struct work *w, unsigned int i, struct canary_round *r)
{
	const struct canary *c = w->c;
	uint64_t file = round_up(places[i].file, w->info.read_align);
	uint64_t memory = round_up(c->used_memory.off + places[i].memory, w->info.buf_align);
	uint64_t end = c->used_memory.off + c->used_memory.len;
	unsigned int j;

	if (file >= w->half || memory >= end)
		return false;
	*r = (struct canary_round){
		.from = c->used.off + file,
		.to = c->used.off + w->half,
		.buf_off = memory,
		.len = smaller(smaller(w->half - file, end - memory), CANARY_BYTES),
	};
	/* The same length is also written, and writes are aligned. */
	r->len = round_down(r->len, w->info.write_align);
	for (j = 0; j < c->nr_rounds; j++)
		if (c->rounds[j].from == r->from && c->rounds[j].buf_off == r->buf_off)
			return false;
	return r->len;
}

/* ---- one round ------------------------------------------------------------------------ */

static enum canary_end write_all(struct work *w)
{
	struct canary *c = w->c;
	uint64_t done = 0;
	ssize_t n;

	while (done < c->used.len) {
		n = pwrite(c->fd, w->image + done, c->used.len - done, c->used.off + done);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return fail(c, "the pattern cannot be written: %s",
				    strerror(n ? errno : ENOSPC));
		done += n > 0 ? n : 0;
	}
	/* Now the pages are clean, and on the drive. */
	if (fdatasync(c->fd))
		return fail(c, "the pattern cannot be written to the drive: %s", strerror(errno));
	return CANARY_PROVEN;
}

static enum canary_end prepare(struct work *w)
{
	struct canary *c = w->c;
	uint64_t i;
	int ret;

	if (getrandom(&w->seed, sizeof(w->seed), 0) != sizeof(w->seed))
		return fail(c, "there are no random numbers: %s", strerror(errno));
	for (i = 0; i < w->half; i++)
		w->image[i] = pattern(w->seed, i);
	memset(w->image + w->half, FILE_FILL, w->half);
	if (c->seen) {
		memset(w->copy, BUFFER_FILL, c->used_memory.len);
		ret = buffer_write(c->buffer, c->used_memory.off, w->copy, c->used_memory.len);
		if (ret)
			return fail(c, "the buffer cannot be filled: %s", strerror(-ret));
	}
	return write_all(w);
}

static enum canary_end move(struct work *w, const struct canary_round *r, bool write)
{
	struct canary *c = w->c;
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	ssize_t n;

	do {
		n = write ? dmabuf_rw_write(c->binding, r->to, r->buf_off, r->len, 0, &result) :
			    dmabuf_rw_read(c->binding, r->from, r->buf_off, r->len, 0, &result);
		if (*c->stop)
			return CANARY_STOPPED;
	} while (result.error == EINTR);
	if (result.error) {
		c->error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_IO,
						     .err = result.error };
		dmabuf_rw_error_explain(&c->error, c->fd, (write ? r->to : r->from) +
					(n > 0 ? n : 0));
		return CANARY_FAILED;
	}
	if (n < 0 || (uint64_t)n != r->len || result.direct_bytes != r->len)
		return fail(c, "a transfer of %llu bytes moved %lld, %llu of them direct",
			    (unsigned long long)r->len, (long long)n,
			    (unsigned long long)result.direct_bytes);
	return CANARY_PROVEN;
}

static uint64_t first_difference(const char *a, const char *b, uint64_t len)
{
	uint64_t i;

	for (i = 0; i < len && a[i] == b[i]; i++)
		;
	return i;
}

static enum canary_end differ(struct canary *c, const char *what, uint64_t at, bool moved,
			      const char *which)
{
	c->where = text_format("byte %llu of the %s %s", (unsigned long long)at, what,
			       moved ? which : "was changed, and was not to be touched");
	return CANARY_DIFFERS;
}

/* Compares every byte of the buffer's range with the expected contents. */
static enum canary_end look_at_buffer(struct work *w, const struct canary_round *r)
{
	struct canary *c = w->c;
	uint64_t i, at;
	char want;
	int ret;

	if (!c->seen)
		return CANARY_PROVEN;
	ret = buffer_read(c->buffer, c->used_memory.off, w->copy, c->used_memory.len);
	if (ret)
		return fail(c, "the buffer cannot be looked at: %s", strerror(-ret));
	for (i = 0; i < c->used_memory.len; i++) {
		bool moved;

		at = c->used_memory.off + i;
		moved = at >= r->buf_off && at - r->buf_off < r->len;
		want = moved ? pattern(w->seed, r->from - c->used.off + at - r->buf_off) :
			       (char)BUFFER_FILL;
		if (w->copy[i] != want)
			return differ(c, "buffer", at, moved, "is not what the drive was to read");
	}
	return CANARY_PROVEN;
}

/* Compares the file's range as it is on the drive. */
static enum canary_end look_at_file(struct work *w, const struct canary_round *r)
{
	struct canary *c = w->c;
	uint64_t done, n, bad;
	const char *got;
	ssize_t have;

	memcpy(w->image + w->half, w->image + (r->from - c->used.off), r->len);
	for (done = 0; done < c->used.len; done += n) {
		n = SOURCE_CHUNK - (c->used.off + done) % w->source.align;
		n = smaller(c->used.len - done, n);
		have = source_read(&w->source, c->used.off + done, n, &got);
		if (have < 0)
			return fail(c, "the file cannot be read by the CPU: %s", strerror(-have));
		if ((uint64_t)have < n)
			return fail(c, "the file has become shorter meanwhile");
		bad = first_difference(got, w->image + done, n);
		if (bad < n)
			return differ(c, "file", c->used.off + done + bad,
				      done + bad >= w->half && done + bad - w->half < r->len,
				      "is not what the drive was to write");
	}
	c->past_cache = w->source.direct;
	return CANARY_PROVEN;
}

/* The path of a multipath namespace cannot be chosen, so record the one that was used. */
static void note_path(struct canary *c)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	unsigned int i;

	if (dmabuf_rw_binding_info(c->binding, &info))
		return;
	for (i = 0; i < c->nr_pci; i++)
		if (c->pci[i] == info.nvme_pci && c->domain[i] == info.nvme_domain)
			return;
	if (i == CANARY_PATHS)
		return;
	c->pci[i] = info.nvme_pci;
	c->domain[i] = info.nvme_domain;
	c->nr_pci++;
}

static enum canary_end run_round(struct work *w, const struct canary_round *r)
{
	enum canary_end end = prepare(w);

	if (!end)
		end = move(w, r, false);
	if (!end)
		end = look_at_buffer(w, r);
	if (!end)
		end = move(w, r, true);
	if (!end)
		end = look_at_buffer(w, r);
	if (!end)
		end = look_at_file(w, r);
	note_path(w->c);
	return end;
}

static enum canary_end run_rounds(struct work *w)
{
	struct canary *c = w->c;
	struct canary_round round;
	enum canary_end end;
	unsigned int i;

	for (i = 0; i < CANARY_ROUNDS; i++) {
		if (!place_round(w, i, &round))
			continue;
		end = *c->stop ? CANARY_STOPPED : run_round(w, &round);
		if (end)
			return end;
		c->rounds[c->nr_rounds++] = round;
	}
	return c->nr_rounds ? CANARY_PROVEN :
			      fail(c, "there is no room for a transfer in what was offered");
}

enum canary_end canary_run(struct canary *c)
{
	struct work w = { .c = c };
	enum canary_end end = find_ranges(&w);
	int ret;

	if (end)
		return end;
	c->seen = buffer_is_writable(c->buffer);
	ret = source_open(&w.source, c->fd);
	if (ret)
		return fail(c, "the file cannot be opened anew: %s", strerror(-ret));
	w.image = malloc(c->used.len);
	w.copy = malloc(c->used_memory.len);
	end = w.image && w.copy ? run_rounds(&w) : fail(c, "there is no memory to compare with");
	free(w.image);
	free(w.copy);
	source_close(&w.source);
	return end;
}

void canary_free(struct canary *c)
{
	free(c->why);
	free(c->where);
	c->why = c->where = NULL;
}
