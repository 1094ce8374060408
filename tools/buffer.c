// SPDX-License-Identifier: MIT
/*
 * buffer.c - names of buffers, and the exporters other than vfio.
 *
 * A struct buffer that buffer_open() filled owns every descriptor and mapping in it;
 * buffer_close() returns them all, whatever state it is in.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/magic.h>
#include <linux/udmabuf.h>

#include "buffer.h"
#include "size.h"

#define FORMS "a buffer is vfio:PCI/BAR, udmabuf:SIZE, heap:NAME:SIZE or fd:N"

int buffer_fail(char **why, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (vasprintf(why, format, ap) < 0)
		*why = NULL;
	va_end(ap);
	return -err;
}

/* Digits only, up to @max. */
static bool parse_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && !*end && *value <= max;
}

static int parse_vfio(const char *text, struct buffer_spec *spec, char **why)
{
	unsigned int domain = 0, bus, device, function;
	const char *slash = strchr(text, '/');
	char pci[16];
	unsigned long bar;
	int n = -1;

	if (!slash || (size_t)(slash - text) >= sizeof(pci))
		return buffer_fail(why, EINVAL, "'vfio:%s' is not a buffer: write "
				   "vfio:dddd:bb:dd.f/BAR, for instance "
				   "vfio:0000:00:05.0/2", text);
	memcpy(pci, text, slash - text);
	pci[slash - text] = 0;

	if (!(sscanf(pci, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function,
		     &n) == 4 && n > 0 && !pci[n])) {
		domain = 0;
		n = -1;
		if (!(sscanf(pci, "%2x:%2x.%1x%n", &bus, &device, &function, &n) == 3 &&
		      n > 0 && !pci[n]))
			n = -1;
	}
	/* sscanf() takes blanks and signs as well. */
	if (n < 0 || pci[strspn(pci, "0123456789abcdefABCDEF:.")])
		return buffer_fail(why, EINVAL, "'%s' is not a PCI address: write dddd:bb:dd.f "
				   "as lspci -D does", pci);
	if (device > 0x1f || function > 7)
		return buffer_fail(why, EINVAL, "'%s' is not a PCI address: the device "
				   "goes to 1f and the function to 7", pci);
	if (!parse_number(slash + 1, 5, &bar))
		return buffer_fail(why, EINVAL, "'%s' is not a BAR: write a number from "
				   "0 to 5", slash + 1);
	snprintf(spec->name, sizeof(spec->name), "%04x:%02x:%02x.%x", domain, bus,
		 device, function);
	spec->bar = bar;
	return 0;
}

static int parse_bytes(const char *text, uint64_t *size, char **why)
{
	int ret = size_parse(text, size);

	if (ret == -ERANGE)
		return buffer_fail(why, ERANGE, "the size '%s' is too large", text);
	if (ret || !*size)
		return buffer_fail(why, EINVAL, "'%s' is not a size: write a number with "
				   "an optional K, M or G, for instance 64M", text);
	return 0;
}

static int parse_heap(const char *text, struct buffer_spec *spec, char **why)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!len || len >= sizeof(spec->name) || memchr(text, '/', len) ||
	    text[0] == '.')
		return buffer_fail(why, EINVAL, "'heap:%s' is not a buffer: write "
				   "heap:NAME:SIZE, for instance heap:system:64M", text);
	memcpy(spec->name, text, len);
	spec->name[len] = 0;
	return parse_bytes(colon + 1, &spec->size, why);
}

int buffer_parse(const char *text, struct buffer_spec *spec, char **why)
{
	unsigned long fd;

	memset(spec, 0, sizeof(*spec));
	spec->fd = -1;
	if (!strncmp(text, "vfio:", 5)) {
		spec->kind = BUFFER_VFIO;
		return parse_vfio(text + 5, spec, why);
	}
	if (!strncmp(text, "udmabuf:", 8)) {
		spec->kind = BUFFER_UDMABUF;
		return parse_bytes(text + 8, &spec->size, why);
	}
	if (!strncmp(text, "heap:", 5)) {
		spec->kind = BUFFER_HEAP;
		return parse_heap(text + 5, spec, why);
	}
	if (!strncmp(text, "fd:", 3)) {
		spec->kind = BUFFER_FD;
		if (!parse_number(text + 3, INT_MAX, &fd))
			return buffer_fail(why, EINVAL, "'%s' is not a descriptor: write "
					   "its number", text + 3);
		spec->fd = fd;
		return 0;
	}
	return buffer_fail(why, EINVAL, "'%s' is not a buffer: " FORMS, text);
}

/* What to do about @err, where @other is not known better. */
static const char *remedy(int err, const char *other)
{
	switch (err) {
	case EMFILE:
	case ENFILE:
		return "close descriptors, or raise the limit (ulimit -n)";
	case EFBIG:
		return "raise the limit of file sizes (ulimit -f), or make it smaller";
	case EACCES:
	case EPERM:
		return "run as root, or join the group that owns it";
	default:
		return other;
	}
}

/*
 * Exporters of memory give what they are asked for until the kernel ends other processes to
 * have some. 0 or -errno.
 */
static int check_memory(const struct buffer *b, char **why)
{
	unsigned long long kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];

	while (f && fgets(line, sizeof(line), f) && !kib)
		if (sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
			kib = 0;
	if (f)
		fclose(f);
	if (!kib || b->size >> 10 <= kib)
		return 0;
	return buffer_fail(why, ENOMEM, "the machine has %llu MiB of memory left, and %llu MiB "
			   "were asked for: make it smaller", kib >> 10,
			   (unsigned long long)b->size >> 20);
}

/* What the udmabuf module allows, in MiB; 0: not known. */
static long udmabuf_limit_mb(void)
{
	FILE *f = fopen("/sys/module/udmabuf/parameters/size_limit_mb", "re");
	long mb = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &mb) != 1)
		mb = 0;
	fclose(f);
	return mb;
}

static int open_udmabuf(struct buffer *b, char **why)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC };
	long page = sysconf(_SC_PAGESIZE), limit;
	int memfd, node, err;

	if (b->size % page)
		return buffer_fail(why, EINVAL, "the size of a udmabuf must be a multiple "
				   "of the page size, %ld", page);

	node = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (node < 0) {
		err = errno;
		return buffer_fail(why, err, "/dev/udmabuf cannot be opened (%s): %s",
				   strerror(err),
				   remedy(err, "load the driver with modprobe udmabuf"));
	}
	memfd = memfd_create("dmabuf-rw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0 || ftruncate(memfd, b->size) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		err = errno;
		buffer_fail(why, err, "memory for the udmabuf cannot be had (%s): %s",
			    strerror(err), remedy(err, "free some, or make it smaller"));
		goto close_both;
	}

	create.memfd = memfd;
	create.size = b->size;
	b->fd = ioctl(node, UDMABUF_CREATE, &create);
	err = b->fd < 0 ? errno : 0;
	if (err) {
		limit = udmabuf_limit_mb();
		if (err == EINVAL && limit && b->size >> 20 > (uint64_t)limit)
			buffer_fail(why, err, "a udmabuf may have %ld MiB here: raise "
				    "/sys/module/udmabuf/parameters/size_limit_mb, or "
				    "make it smaller", limit);
		else
			buffer_fail(why, err, "the udmabuf cannot be made (%s): %s",
				    strerror(err), remedy(err, err == ENOMEM ?
				    "free memory, or make it smaller" :
				    "see the kernel log"));
	}
close_both:
	if (memfd >= 0)
		close(memfd);
	close(node);
	return -err;
}

static int open_heap(struct buffer *b, char **why)
{
	struct dma_heap_allocation_data alloc = {
		.len = b->size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	char path[sizeof("/dev/dma_heap/") + BUFFER_NAME];
	int heap, err;

	strcpy(stpcpy(path, "/dev/dma_heap/"), b->spec.name);
	heap = open(path, O_RDONLY | O_CLOEXEC);
	if (heap < 0) {
		err = errno;
		return buffer_fail(why, err, "%s cannot be opened (%s): %s", path,
				   strerror(err),
				   remedy(err, "ls /dev/dma_heap shows the heaps that there "
					  "are"));
	}
	err = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &alloc) ? errno : 0;
	close(heap);
	if (err)
		return buffer_fail(why, err, "the heap '%s' cannot give this much (%s): %s",
				   b->spec.name, strerror(err),
				   remedy(err, "free memory, or make it smaller"));
	b->fd = alloc.fd;
	return 0;
}

static int open_fd(struct buffer *b, char **why)
{
	b->fd = fcntl(b->spec.fd, F_DUPFD_CLOEXEC, 3);
	if (b->fd < 0 && errno == EBADF)
		return buffer_fail(why, EBADF, "descriptor %d is not open: have the "
				   "parent process pass it on", b->spec.fd);
	if (b->fd < 0)
		return buffer_fail(why, errno, "descriptor %d cannot be duplicated (%s): %s",
				   b->spec.fd, strerror(errno),
				   remedy(errno, "pass a lower one"));
	return 0;
}

/*
 * What has been opened is a dma-buf, which has a file system of its own, and tells its size. A
 * heap may have rounded up what was asked for. 0 or -errno.
 */
static int settle_size(struct buffer *b, char **why)
{
	struct statfs fs;
	off_t size = -1;

	if (!fstatfs(b->fd, &fs) && fs.f_type == DMA_BUF_MAGIC)
		size = lseek(b->fd, 0, SEEK_END);
	if (size <= 0)
		return buffer_fail(why, EBADFD, "the descriptor is open but is not a dma-buf: "
				   "pass one that an exporter made");
	if (b->spec.kind != BUFFER_HEAP || b->size > (uint64_t)size)
		b->size = size;
	return 0;
}

int buffer_open(struct buffer *buffer, const struct buffer_spec *spec, char **why)
{
	int ret;

	*buffer = (struct buffer){
		.spec = *spec,
		.size = spec->size,
		.fd = -1,
		.device = -1,
		.group = -1,
		.container = -1,
	};
	switch (spec->kind) {
	case BUFFER_VFIO:
		ret = buffer_vfio_open(buffer, why);
		break;
	case BUFFER_UDMABUF:
		ret = check_memory(buffer, why);
		if (!ret)
			ret = open_udmabuf(buffer, why);
		break;
	case BUFFER_HEAP:
		ret = check_memory(buffer, why);
		if (!ret)
			ret = open_heap(buffer, why);
		break;
	default:
		ret = open_fd(buffer, why);
		break;
	}
	if (!ret)
		ret = settle_size(buffer, why);
	if (ret)
		buffer_close(buffer);
	return ret;
}

int buffer_map(struct buffer *buffer, char **why)
{
	void *map;
	int err;

	if (buffer->map)
		return 0;
	if (buffer->spec.kind == BUFFER_VFIO)
		return buffer_vfio_map(buffer, why);

	map = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
	/* One that the exporter gave for reading only can be stored and looked at. */
	if (map == MAP_FAILED && errno == EACCES)
		map = mmap(NULL, buffer->size, PROT_READ, MAP_SHARED, buffer->fd, 0);
	if (map == MAP_FAILED) {
		err = errno;
		return buffer_fail(why, err, "the buffer's exporter gives the CPU no view "
				   "of it (mmap: %s), so its contents cannot be checked "
				   "here: leave that option out", strerror(err));
	}
	buffer->map = map;
	return 0;
}

static int cpu_access(struct buffer *buffer, uint64_t edge, bool write)
{
	struct dma_buf_sync sync = {
		.flags = edge | DMA_BUF_SYNC_READ | (write ? DMA_BUF_SYNC_WRITE : 0),
	};
	int ret;

	/* A BAR is seen through vfio, uncached; there is nothing to bracket. */
	if (buffer->spec.kind == BUFFER_VFIO)
		return 0;
	do {
		ret = ioctl(buffer->fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret ? -errno : 0;
}

int buffer_cpu_begin(struct buffer *buffer, bool write)
{
	return cpu_access(buffer, DMA_BUF_SYNC_START, write);
}

int buffer_cpu_end(struct buffer *buffer, bool write)
{
	return cpu_access(buffer, DMA_BUF_SYNC_END, write);
}

void buffer_close(struct buffer *buffer)
{
	if (buffer->map)
		munmap(buffer->map, buffer->size);
	if (buffer->fd >= 0)
		close(buffer->fd);
	buffer_vfio_close(buffer);
	buffer->map = NULL;
	buffer->fd = -1;
}
