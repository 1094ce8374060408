// SPDX-License-Identifier: MIT
/* text.c - see text.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"
#include "text.h"

/* The first errno of stdout. */
static int output_errno;

char *text_vformat(const char *format, va_list ap)
{
	char *text;

	return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

char *text_format(const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	text = text_vformat(format, ap);
	va_end(ap);
	return text;
}

char *text_of_error(const struct dmabuf_rw_error *error)
{
	size_t len = dmabuf_rw_error_format(error, NULL, 0) + 1;
	char *text = malloc(len);

	if (text)
		dmabuf_rw_error_format(error, text, len);
	return text;
}

char *text_of_info(const struct dmabuf_rw_info *info)
{
	size_t len = dmabuf_rw_info_describe(info, NULL, 0) + 1;
	char *text = malloc(len);

	if (text)
		dmabuf_rw_info_describe(info, text, len);
	return text;
}

const char *text_or_excuse(const char *text)
{
	return text ? text : "there is no memory to say more";
}

const char *text_of_way(uint32_t path)
{
	if (path & DMABUF_RW_PATH_KERNEL)
		return path & DMABUF_RW_PATH_MODULE ? " (module and kernel)" : " (kernel)";
	return path & DMABUF_RW_PATH_MODULE ? " (module)" : "";
}

size_t utf8_length(const char *text)
{
	/* The second byte distinguishes characters from overlong encodings. */
	static const struct {
		unsigned char first, last, low, high, length;
	} kinds[] = {
		{ 0x01, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *s = (const unsigned char *)text;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (*s < kinds[i].first || *s > kinds[i].last)
			continue;
		if (s[1] < kinds[i].low || s[1] > kinds[i].high)
			return 0;
		for (j = 2; j < kinds[i].length; j++)
			if (s[j] < 0x80 || s[j] > 0xbf)
				return 0;
		return kinds[i].length;
	}
	return 0;
}

static bool is_control(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	return *u < 0x20 || *u == 0x7f || (*u == 0xc2 && u[1] < 0xa0);
}

static void note_failure(FILE *out)
{
	if (out == stdout && !output_errno)
		output_errno = errno;
}

/* @text with unprintable bytes as \xNN, and a newline; null: no memory. */
static char *escaped_line(const char *text)
{
	char *line = malloc(4 * strlen(text) + 2), *to = line;
	size_t n, i;

	if (!line)
		return NULL;
	for (; *text; text += n) {
		n = utf8_length(text);
		if (n && !is_control(text)) {
			to = mempcpy(to, text, n);
			continue;
		}
		n = n ? n : 1;
		for (i = 0; i < n; i++)
			to += sprintf(to, "\\x%02x", (unsigned char)text[i]);
	}
	strcpy(to, "\n");
	return line;
}

void say(FILE *out, const char *format, ...)
{
	char *text, *line;
	va_list ap;

	va_start(ap, format);
	text = text_vformat(format, ap);
	va_end(ap);
	/* One write, so that output of other processes is not mixed in. */
	line = escaped_line(text_or_excuse(text));
	say_as_is(out, line ? line : "there is no memory to say more\n");
	free(text);
	free(line);
}

void say_as_is(FILE *out, const char *text)
{
	if (fputs(text, out) < 0)
		note_failure(out);
}

int end_of_output(void)
{
	/* Some file systems report errors only on close. */
	if (fclose(stdout))
		note_failure(stdout);
	return output_errno;
}
