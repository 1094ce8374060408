/* SPDX-License-Identifier: MIT */
/*
 * text.h - formats text of any length, and prints it so that no name in it can control a terminal.
 *
 * setlocale() is never called, so neither numbers nor strerror() depend on the locale.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <libdmabuf_rw.h>

/* The caller frees texts; null: no memory. */
char *text_vformat(const char *format, va_list ap);
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The library's text for @error. */
char *text_of_error(const struct dmabuf_rw_error *error);
char *text_of_info(const struct dmabuf_rw_info *info);
/* The direct way that was taken: " (module)", or "". */
const char *text_of_way(uint32_t path);
/* @text, or an excuse if it is null. */
const char *text_or_excuse(const char *text);

/* Bytes of the UTF-8 character at the start of @s (RFC 3629, section 4); 0: invalid. */
size_t utf8_length(const char *s);

/*
 * Prints one line. Control characters (C0, C1 and DEL) and bytes that are not UTF-8 become
 * \xNN.
 */
void say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the program's own text unchanged. */
void say_as_is(FILE *out, const char *text);
/* Closes stdout. Returns 0, or the errno of lost output. */
int end_of_output(void);

#endif
