// SPDX-License-Identifier: MIT
/*
 * buffer.c - the table of buffer kinds, and the kinds that need only a call to their exporter.
 *
 * A struct buffer that buffer_open() filled owns every descriptor and mapping in it;
 * buffer_close() releases them all, in any state.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

#include "buffer_kind.h"
#include "size.h"

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

int buffer_parse_bytes(const char *text, uint64_t *size, char **why)
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
	return buffer_parse_bytes(colon + 1, &spec->size, why);
}

static int parse_udmabuf(const char *text, struct buffer_spec *spec, char **why)
{
	return buffer_parse_bytes(text, &spec->size, why);
}

static int parse_fd(const char *text, struct buffer_spec *spec, char **why)
{
	unsigned long fd;

	if (!parse_number(text, INT_MAX, &fd))
		return buffer_fail(why, EINVAL, "'%s' is not a descriptor: write its number",
				   text);
	spec->fd = fd;
	return 0;
}

/* The remedy for @err, or @other if there is none. */
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
 * Memory exporters have no limit of their own: a large request can make the kernel kill other
 * processes. 0 or -errno.
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
	/* Leave a sixteenth for others. */
	if (!kib || b->size >> 10 <= kib - kib / 16)
		return 0;
	return buffer_fail(why, ENOMEM, "the machine has %llu MiB of memory left, of which a "
			   "sixteenth stays for others, and %llu MiB were asked for: make it smaller",
			   kib >> 10, (unsigned long long)b->size >> 20);
}

/* The udmabuf module's limit in MiB; 0: unknown. */
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
	int memfd, node, err = -check_memory(b, why);

	if (err)
		return -err;
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
	int heap, err = -check_memory(b, why);

	if (err)
		return -err;
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
 * Checks that the descriptor is a dma-buf, by its file system, and takes its size. A heap may have
 * rounded the requested size up. 0 or -errno.
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
	if (!b->spec.kind->rounds || b->size > (uint64_t)size)
		b->size = size;
	return 0;
}

/* ---- the table ----------------------------------------------------------------------- */

static const struct buffer_kind udmabuf = {
	.prefix = "udmabuf:", .form = "udmabuf:SIZE", .summary = "anonymous memory",
	.parse = parse_udmabuf, .open = open_udmabuf,
};

static const struct buffer_kind heap = {
	.prefix = "heap:", .form = "heap:NAME:SIZE",
	.summary = "a dma-heap, for instance heap:system:64M", .rounds = true,
	.parse = parse_heap, .open = open_heap,
};

static const struct buffer_kind descriptor = {
	.prefix = "fd:", .form = "fd:N",
	.summary = "a dma-buf descriptor inherited from the parent",
	.parse = parse_fd, .open = open_fd,
};

const struct buffer_kind *const buffer_kinds[] = {
	&buffer_vfio, &udmabuf, &heap, &descriptor, &buffer_cuda, &buffer_hip,
};
const unsigned int nr_buffer_kinds = sizeof(buffer_kinds) / sizeof(buffer_kinds[0]);

static const struct buffer_kind *find_kind(const char *text)
{
	unsigned int i;

	for (i = 0; i < nr_buffer_kinds; i++)
		if (!strncmp(text, buffer_kinds[i]->prefix, strlen(buffer_kinds[i]->prefix)))
			return buffer_kinds[i];
	return NULL;
}

bool buffer_is_name(const char *text)
{
	return find_kind(text);
}

/* Returns all forms in one allocated text; null: no memory. */
static char *list_forms(void)
{
	char *list = strdup(""), *more;
	unsigned int i;

	for (i = 0; i < nr_buffer_kinds && list; i++) {
		if (asprintf(&more, "%s%s%s", list, !i ? "" : i + 1 < nr_buffer_kinds ? ", " :
			     " or ", buffer_kinds[i]->form) < 0)
			more = NULL;
		free(list);
		list = more;
	}
	return list;
}

int buffer_parse(const char *text, struct buffer_spec *spec, char **why)
{
	const struct buffer_kind *kind = find_kind(text);
	char *forms;
	int ret;

	*spec = (struct buffer_spec){ .kind = kind, .fd = -1 };
	if (kind)
		return kind->parse(text + strlen(kind->prefix), spec, why);
	forms = list_forms();
	ret = buffer_fail(why, EINVAL, "'%s' is not a buffer: a buffer is %s", text,
			  forms ? forms : "named by its exporter");
	free(forms);
	return ret;
}

int buffer_open(struct buffer *buffer, const struct buffer_spec *spec, char **why)
{
	int ret;

	*buffer = BUFFER_NONE;
	buffer->spec = *spec;
	buffer->size = spec->size;
	ret = spec->kind->open(buffer, why);
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

	if (buffer->map || buffer->spec.kind->copy)
		return 0;
	if (buffer->spec.kind->map)
		return buffer->spec.kind->map(buffer, why);

	map = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
	/* A read-only buffer can still be stored and compared. */
	buffer->read_only = map == MAP_FAILED && errno == EACCES;
	if (buffer->read_only)
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

bool buffer_is_readable(const struct buffer *buffer)
{
	return buffer->map || (buffer->spec.kind && buffer->spec.kind->copy);
}

bool buffer_is_writable(const struct buffer *buffer)
{
	return buffer_is_readable(buffer) && !buffer->read_only;
}

bool buffer_pci_name(const struct buffer *buffer, char name[BUFFER_PCI])
{
	const struct buffer_kind *kind = buffer->spec.kind;

	return kind && kind->pci_name && kind->pci_name(buffer, name);
}

bool buffer_has_mapping(const struct buffer *buffer)
{
	void *map = mmap(NULL, buffer->size, PROT_READ, MAP_SHARED, buffer->fd, 0);

	if (map != MAP_FAILED)
		munmap(map, buffer->size);
	return map != MAP_FAILED;
}

static int cpu_access(struct buffer *buffer, uint64_t edge, bool write)
{
	struct dma_buf_sync sync = {
		.flags = edge | DMA_BUF_SYNC_READ | (write ? DMA_BUF_SYNC_WRITE : 0),
	};
	int ret;

	if (buffer->spec.kind->map)
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

int buffer_read(struct buffer *buffer, uint64_t off, void *out, size_t len)
{
	int ret;

	if (buffer->spec.kind->copy)
		return buffer->spec.kind->copy(buffer, false, off, out, len);
	ret = buffer_cpu_begin(buffer, false);
	if (ret)
		return ret;
	memcpy(out, (const char *)buffer->map + off, len);
	return buffer_cpu_end(buffer, false);
}

int buffer_write(struct buffer *buffer, uint64_t off, const void *from, size_t len)
{
	int ret;

	if (buffer->spec.kind->copy)
		return buffer->spec.kind->copy(buffer, true, off, (void *)from, len);
	ret = buffer_cpu_begin(buffer, true);
	if (ret)
		return ret;
	memcpy((char *)buffer->map + off, from, len);
	return buffer_cpu_end(buffer, true);
}

void buffer_close(struct buffer *buffer)
{
	if (buffer->map)
		munmap(buffer->map, buffer->size);
	if (buffer->fd >= 0)
		close(buffer->fd);
	if (buffer->spec.kind && buffer->spec.kind->close)
		buffer->spec.kind->close(buffer);
	buffer->map = NULL;
	buffer->fd = -1;
}
