/* SPDX-License-Identifier: MIT */
/*
 * buffer.h - buffers by name: dma-bufs from the exporters that a stock kernel has.
 *
 *   vfio:PCI/BAR	a BAR of a PCI device that is bound to vfio-pci, 6.19 or later;
 *			PCI is [dddd:]bb:dd.f
 *   udmabuf:SIZE	anonymous memory, through /dev/udmabuf
 *   heap:NAME:SIZE	/dev/dma_heap/NAME
 *   fd:N		a dma-buf descriptor that the process already has
 *   cuda:GPU:SIZE	memory of an NVIDIA GPU, by the CUDA driver
 *   hip:GPU:SIZE	memory of an AMD GPU, by ROCm's runtime
 *
 * Private to this project: the tool, the demonstration and the benchmark use it. It needs only libc
 * and the kernel; opening one of the last two kinds loads its vendor's library.
 *
 * Functions that can fail return -errno and set *@why to a sentence that describes the problem and
 * the remedy. The caller frees it; it is null without memory.
 *
 * Thread-safety: one thread at a time per buffer.
 */
#ifndef TOOLS_BUFFER_H
#define TOOLS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUFFER_PCI	16	/* "dddd:bb:dd.f" */
#define BUFFER_NAME	256	/* NAME_MAX and a NUL */

/* buffer_kind.h, gpu_memory.h */
struct buffer_kind;
struct gpu_segment;

extern const struct buffer_kind *const buffer_kinds[];
extern const unsigned int nr_buffer_kinds;

/* A parsed name. */
struct buffer_spec {
	const struct buffer_kind *kind;
	char name[BUFFER_NAME];	/* vfio: dddd:bb:dd.f; heap: its name */
	uint64_t size;		/* all but vfio and fd */
	unsigned int bar;	/* vfio */
	unsigned int gpu;	/* cuda, hip */
	int fd;			/* fd */
};

struct buffer {
	struct buffer_spec spec;
	int fd;			/* the dma-buf; owned, even for fd:N */
	uint64_t size;
	void *map;		/* after buffer_map(); else null */
	bool read_only;		/* the view is read-only */

	/* vfio only, else -1 */
	int device;
	int group;
	int container;		/* or the iommufd */
	uint64_t region_offset;
	bool region_mmap;

	/* cuda and hip only */
	uint64_t address;		/* of the memory; 0: none */
	struct gpu_segment *segment;	/* null: not exported */
	bool may_move;	/* out of the device: bind only as device memory */
};

/* A buffer that is not open; buffer_close() accepts it. */
#define BUFFER_NONE ((struct buffer){ .fd = -1, .device = -1, .group = -1, .container = -1 })

/* True if @text begins with the prefix of a kind. */
bool buffer_is_name(const char *text);
int buffer_parse(const char *text, struct buffer_spec *spec, char **why);

/* On failure @buffer needs no buffer_close(). */
int buffer_open(struct buffer *buffer, const struct buffer_spec *spec, char **why);

/*
 * Maps the buffer at @buffer->map, for checks: the dma-buf itself or, for a BAR, the vfio region
 * behind it. Not every buffer can be mapped. GPU memory cannot, but the call succeeds, as
 * buffer_read() and buffer_write() copy it.
 */
int buffer_map(struct buffer *buffer, char **why);
/* Whether buffer_read() and buffer_write() work after buffer_map(). */
bool buffer_is_readable(const struct buffer *buffer);
bool buffer_is_writable(const struct buffer *buffer);

/* Whether the dma-buf itself has a CPU mapping, which the library needs to bounce. */
bool buffer_has_mapping(const struct buffer *buffer);

/* Bracket reads (@write: also writes) through the map with DMA_BUF_IOCTL_SYNC. */
int buffer_cpu_begin(struct buffer *buffer, bool write);
int buffer_cpu_end(struct buffer *buffer, bool write);
/* Copy a range out of or into the buffer, inside these brackets. 0 or -errno. */
int buffer_read(struct buffer *buffer, uint64_t off, void *out, size_t len);
int buffer_write(struct buffer *buffer, uint64_t off, const void *from, size_t len);

/* The PCI address of the memory's GPU; false: none, or unknown. */
bool buffer_pci_name(const struct buffer *buffer, char name[BUFFER_PCI]);

void buffer_close(struct buffer *buffer);

#endif
