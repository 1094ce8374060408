// SPDX-License-Identifier: MIT
/*
 * buffer_gpu.c - memory of a GPU, allocated and exported by its vendor's driver.
 *
 * Opening such a buffer loads the driver; without one, nothing depends on it. Memory that cannot be
 * exported is refused with the reason. The CPU has no view of this memory; the driver copies it.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "buffer_kind.h"
#include "gpu/gpu_alloc.h"
#include "gpu/gpu_memory.h"

/* A multiple of this gets pages, and so a dma-buf, of its own. */
#define GRAIN	(UINT64_C(2) << 20)

struct vendor {
	const struct buffer_kind *kind;
	const struct gpu_allocator *allocator;
	const char *driver, *library, *remedy, *tool;
};

static const struct vendor vendors[] = {
	{ &buffer_cuda, &gpu_cuda_allocator, "the CUDA driver", "libcuda.so.1",
	  "install NVIDIA's driver, or its libraries where it is in a container",
	  "nvidia-smi -L" },
	{ &buffer_hip, &gpu_hsa_allocator, "ROCm's runtime", "libhsa-runtime64.so.1",
	  "install ROCm's hsa-rocr, or have LD_LIBRARY_PATH name its directory, such as "
	  "/opt/rocm/lib", "rocminfo" },
};

static const struct vendor *vendor_of(const struct buffer *b)
{
	return &vendors[b->spec.kind == &buffer_hip];
}

static int parse(const char *kind, const char *text, struct buffer_spec *spec, char **why)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 4 || text[digits] != ':')
		return buffer_fail(why, EINVAL, "'%s%s' is not a buffer: write %sGPU:SIZE, for "
				   "instance %s0:64M", kind, text, kind, kind);
	spec->gpu = atoi(text);
	return buffer_parse_bytes(text + digits + 1, &spec->size, why);
}

static int parse_cuda(const char *text, struct buffer_spec *spec, char **why)
{
	return parse(buffer_cuda.prefix, text, spec, why);
}

static int parse_hip(const char *text, struct buffer_spec *spec, char **why)
{
	return parse(buffer_hip.prefix, text, spec, why);
}

static int say_failure(const struct vendor *v, int err, const struct gpu_failure *f, char **why)
{
	const char *said = f->said ? f->said : "no more is known";

	switch (err) {
	case ELIBACC:
		return buffer_fail(why, err, "%s is not to be had: there is no %s, or one that "
				   "lacks functions; %s", v->driver, v->library, v->remedy);
	case ENODEV:
		if (!f->gpus)
			break;
		return buffer_fail(why, err, "there is no such GPU: %s counts %u, from 0 on (%s)",
				   v->driver, f->gpus, v->tool);
	case ENOMEM:
		return buffer_fail(why, err, "the GPU does not give this much memory (%s): make it "
				   "smaller, or end what else uses the GPU (%s)", said, v->tool);
	}
	return buffer_fail(why, err, "%s finds no GPU (%s): see that its kernel driver is loaded, "
			   "and that this user may use it (%s)", v->driver, said, v->tool);
}

/* Replaces remedies of the library that only a program can follow. */
static const char *remedy_of(const struct buffer *b)
{
	switch (b->segment->refusal) {
	case GPU_REFUSED:
		return "it is plain memory, so the driver exports none here: see its version, and "
		       "the kernel log";
	case GPU_NO_ROOM:
		return "make it smaller, or end what else has memory of this GPU exported: its "
		       "aperture may be used up";
	default:
		return gpu_segment_remedy(b->segment);
	}
}

/* Exports freshly allocated memory. 0 or -errno. */
static int export(struct buffer *b, char **why)
{
	const char *detail;
	int ret = gpu_segment_use(b->address, &b->segment);

	if (ret) {
		b->segment = NULL;
		return buffer_fail(why, -ret, "%s does not know its own memory (%s): this is an "
				   "error there", vendor_of(b)->driver, strerror(-ret));
	}
	if (b->segment->fd < 0) {
		detail = gpu_segment_detail(b->segment);
		return buffer_fail(why, EOPNOTSUPP, "%s%s%s%s: %s", gpu_segment_cause(b->segment),
				   detail ? " (" : "", detail ? detail : "", detail ? ")" : "",
				   remedy_of(b));
	}
	if (gpu_segment_offset(b->segment, b->address))
		return buffer_fail(why, EOPNOTSUPP, "the dma-buf has other memory before this: "
				   "have it larger, in steps of 2M");
	b->may_move = b->segment->may_move;
	b->fd = fcntl(b->segment->fd, F_DUPFD_CLOEXEC, 3);
	if (b->fd < 0)
		return buffer_fail(why, errno, "the dma-buf cannot be duplicated (%s): close "
				   "descriptors, or raise the limit (ulimit -n)", strerror(errno));
	return 0;
}

static int open_gpu(struct buffer *b, char **why)
{
	const struct vendor *v = vendor_of(b);
	struct gpu_failure failure;
	uint64_t bytes;
	int ret;

	if (__builtin_add_overflow(b->size, GRAIN - 1, &bytes))
		return buffer_fail(why, ERANGE, "the size is too large");
	ret = v->allocator->allocate(b->spec.gpu, bytes & ~(GRAIN - 1), &b->address, &failure);
	if (ret)
		return say_failure(v, -ret, &failure, why);
	return export(b, why);
}

/* The drive's writes are visible before the driver copies. */
static int copy(struct buffer *b, bool to_buffer, uint64_t off, void *mem, size_t len)
{
	int ret;

	if (to_buffer)
		return gpu_copy_to(b->segment, b->address + off, mem, len);
	ret = gpu_flush(b->segment);
	return ret ? ret : gpu_copy_from(b->segment, b->address + off, mem, len);
}

static bool pci_name(const struct buffer *b, char name[BUFFER_PCI])
{
	_Static_assert(BUFFER_PCI == GPU_PCI_NAME, "PCI names are of one length");
	return vendor_of(b)->allocator->pci_name(b->spec.gpu, name);
}

static void close_gpu(struct buffer *b)
{
	if (b->segment)
		gpu_segment_done(b->segment);
	/* The idle dma-buf would keep the memory allocated. */
	gpu_drop_idle();
	if (b->address)
		vendor_of(b)->allocator->release(b->address);
	b->segment = NULL;
	b->address = 0;
}

const struct buffer_kind buffer_cuda = {
	.prefix = "cuda:", .form = "cuda:GPU:SIZE",
	.summary = "memory of an NVIDIA GPU, for instance cuda:0:64M", .rounds = true,
	.parse = parse_cuda, .open = open_gpu, .copy = copy, .pci_name = pci_name,
	.close = close_gpu,
};

const struct buffer_kind buffer_hip = {
	.prefix = "hip:", .form = "hip:GPU:SIZE",
	.summary = "memory of an AMD GPU, for instance hip:0:64M", .rounds = true,
	.parse = parse_hip, .open = open_gpu, .copy = copy, .pci_name = pci_name,
	.close = close_gpu,
};
