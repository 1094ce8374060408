/* SPDX-License-Identifier: MIT */
/*
 * buffer.h - buffers by name: dma-bufs from the exporters that a stock kernel has.
 *
 *   vfio:PCI/BAR	a BAR of a PCI device that is bound to vfio-pci, 6.19 or later;
 *			PCI is [dddd:]bb:dd.f
 *   udmabuf:SIZE	anonymous memory, through /dev/udmabuf
 *   heap:NAME:SIZE	/dev/dma_heap/NAME
 *   fd:N		a dma-buf descriptor that the process already has
 *
 * Private to this project: the tool, the guest tests and the benchmark use it. It needs
 * nothing but libc and the kernel.
 *
 * Functions that can fail return -errno and then set *@why to a sentence that says what is
 * wrong and what to do. It is the caller's to free(); without memory for it, it is null.
 *
 * Thread-safety: one thread at a time per buffer.
 */
#ifndef TOOLS_BUFFER_H
#define TOOLS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUFFER_NAME	256	/* as long as a file's name can be, and its end */

/* buffer_kind.h */
struct buffer_kind;

extern const struct buffer_kind *const buffer_kinds[];
extern const unsigned int nr_buffer_kinds;

/* What a name says. */
struct buffer_spec {
	const struct buffer_kind *kind;
	char name[BUFFER_NAME];	/* vfio: dddd:bb:dd.f; heap: its name */
	uint64_t size;		/* udmabuf, heap */
	unsigned int bar;	/* vfio */
	int fd;			/* fd */
};

struct buffer {
	struct buffer_spec spec;
	int fd;			/* the dma-buf; ours, also where the name was fd:N */
	uint64_t size;
	void *map;		/* after buffer_map(); else null */

	/* vfio only, else -1 */
	int device;
	int group;
	int container;		/* or the iommufd */
	uint64_t region_offset;
	bool region_mmap;
};

/* A buffer that is not open, which may be closed. */
#define BUFFER_NONE ((struct buffer){ .fd = -1, .device = -1, .group = -1, .container = -1 })

/* True if @text begins as names of buffers do. */
bool buffer_is_name(const char *text);
int buffer_parse(const char *text, struct buffer_spec *spec, char **why);

/* On failure @buffer needs no buffer_close(). */
int buffer_open(struct buffer *buffer, const struct buffer_spec *spec, char **why);

/*
 * Gives the CPU a view of the buffer at @buffer->map, for checks: of the dma-buf
 * itself, or, for a BAR, of the vfio region behind it. Not every buffer has one.
 */
int buffer_map(struct buffer *buffer, char **why);

/* Bracket reads (or writes too) through the map, as DMA_BUF_IOCTL_SYNC wants. */
int buffer_cpu_begin(struct buffer *buffer, bool write);
int buffer_cpu_end(struct buffer *buffer, bool write);

void buffer_close(struct buffer *buffer);

#endif
