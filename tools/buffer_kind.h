/* SPDX-License-Identifier: MIT */
/*
 * buffer_kind.h - the interface between buffer.c and the kinds of buffers.
 *
 *   buffer.c		the table of kinds, and those that are memory or a descriptor
 *   buffer_vfio.c	BARs
 *   buffer_gpu.c	memory of GPUs
 */
#ifndef TOOLS_BUFFER_KIND_H
#define TOOLS_BUFFER_KIND_H

#include <stdarg.h>
#include <stdio.h>

#include "buffer.h"

/**
 * struct buffer_kind - one kind of buffer
 * @prefix:	start of its names, including the colon
 * @form:	syntax of its names
 * @summary:	description for the help
 * @rounds:	the exporter may round the size up
 * @parse:	parses the rest of a name; fills the spec, except its kind
 * @open:	sets @buffer->fd to the dma-buf; @close releases anything else that it leaves
 * @map:	maps the buffer for the CPU, without brackets; null: map the dma-buf itself
 * @copy:	copies to or from a buffer that the CPU cannot map; null: it can. Any thread
 * @pci_name:	gets the address of the memory's device; null: there is none
 * @close:	releases anything beside the dma-buf and the view; null: nothing
 */
struct buffer_kind {
	const char *prefix;
	const char *form;
	const char *summary;
	bool rounds;
	int (*parse)(const char *text, struct buffer_spec *spec, char **why);
	int (*open)(struct buffer *buffer, char **why);
	int (*map)(struct buffer *buffer, char **why);
	int (*copy)(struct buffer *buffer, bool to_buffer, uint64_t off, void *mem, size_t len);
	bool (*pci_name)(const struct buffer *buffer, char name[BUFFER_PCI]);
	void (*close)(struct buffer *buffer);
};

extern const struct buffer_kind buffer_vfio, buffer_cuda, buffer_hip;

/* Parses a size other than 0 (buffer.c). */
int buffer_parse_bytes(const char *text, uint64_t *size, char **why);

/* Allocated: why a device with another driver is refused; @class: its base class, or -1. */
char *vfio_foreign_driver(const char *pci, const char *driver, int class);

/* Stores the sentence in *@why and returns -@err. */
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
