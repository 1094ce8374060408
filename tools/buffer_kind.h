/* SPDX-License-Identifier: MIT */
/*
 * buffer_kind.h - what the kinds of buffers have to tell buffer.c.
 *
 *   buffer.c		the table of kinds, and those that are memory or a descriptor
 *   buffer_vfio.c	BARs
 */
#ifndef TOOLS_BUFFER_KIND_H
#define TOOLS_BUFFER_KIND_H

#include <stdarg.h>
#include <stdio.h>

#include "buffer.h"

/**
 * struct buffer_kind - one kind of buffer
 * @prefix:	what its names begin with, colon included
 * @form:	how they are written
 * @summary:	what it is
 * @rounds:	the exporter may give more than was asked for
 * @parse:	the rest of a name; fills the spec, but for its kind
 * @open:	makes @buffer->fd the dma-buf; what it leaves in @buffer, @close takes away
 * @map:	the CPU's view, if it is not the dma-buf's own; else null. There is nothing to
 *		bracket then
 * @close:	takes away what is left beside the dma-buf and the view; null: nothing
 */
struct buffer_kind {
	const char *prefix;
	const char *form;
	const char *summary;
	bool rounds;
	int (*parse)(const char *text, struct buffer_spec *spec, char **why);
	int (*open)(struct buffer *buffer, char **why);
	int (*map)(struct buffer *buffer, char **why);
	void (*close)(struct buffer *buffer);
};

extern const struct buffer_kind buffer_vfio;

/* Writes the sentence and returns -@err. */
static inline int __attribute__((format(printf, 3, 4)))
buffer_fail(char **why, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (vasprintf(why, format, ap) < 0)
		*why = NULL;
	va_end(ap);
	return -err;
}

#endif
