// SPDX-License-Identifier: MIT
/*
 * level_zero.c - a file into the memory of an Intel GPU, by the drive's own DMA or not at all.
 *
 * cc -O2 -o level_zero level_zero.c $(pkg-config --cflags --libs libdmabuf_rw) -lze_loader
 * (Debian: libze-dev)
 *
 * usage: level_zero FILE
 *
 * Level Zero exports only memory that was allocated for export. The driver decides whether the
 * memory stays in the device while a drive uses it; the binding requires that
 * (DMABUF_RW_BIND_DEVICE_MEMORY), and is refused otherwise.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <level_zero/ze_api.h>
#include <libdmabuf_rw.h>

#define PAGE (64UL << 10)

struct gpu {
	ze_context_handle_t context;
	ze_device_handle_t device;
};

static int find_gpu(struct gpu *gpu)
{
	ze_context_desc_t desc = { .stype = ZE_STRUCTURE_TYPE_CONTEXT_DESC };
	ze_driver_handle_t driver;
	uint32_t nr = 1;

	if (zeInit(ZE_INIT_FLAG_GPU_ONLY) || zeDriverGet(&nr, &driver) || !nr)
		return -1;
	nr = 1;
	if (zeDeviceGet(driver, &nr, &gpu->device) || !nr)
		return -1;
	return zeContextCreate(driver, &desc, &gpu->context) ? -1 : 0;
}

/* The caller owns the returned dma-buf; -1: failed. */
static int allocate(const struct gpu *gpu, size_t bytes, void **tensor)
{
	ze_external_memory_export_desc_t wish = {
		.stype = ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_EXPORT_DESC,
		.flags = ZE_EXTERNAL_MEMORY_TYPE_FLAG_DMA_BUF,
	};
	ze_device_mem_alloc_desc_t desc = {
		.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC,
		.pNext = &wish,
	};
	ze_external_memory_export_fd_t exported = {
		.stype = ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_EXPORT_FD,
		.flags = ZE_EXTERNAL_MEMORY_TYPE_FLAG_DMA_BUF,
		.fd = -1,
	};
	ze_memory_allocation_properties_t props = {
		.stype = ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES,
		.pNext = &exported,
	};

	if (zeMemAllocDevice(gpu->context, &desc, bytes, PAGE, gpu->device, tensor))
		return -1;
	if (zeMemGetAllocProperties(gpu->context, *tensor, &props, NULL))
		return -1;
	return exported.fd;
}

/* Bytes read, or -1 with *@error. */
static ssize_t read_file(int file_fd, int dmabuf_fd, uint64_t bytes,
			 struct dmabuf_rw_result *result, struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_device_opts device_opts = { .size = sizeof(device_opts), .error = error };
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .error = error, .flags = DMABUF_RW_BIND_DEVICE_MEMORY,
	};
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_device *device;
	ssize_t n;

	if (dmabuf_rw_device_open(&device_opts, &device))
		return -1;
	n = dmabuf_rw_binding_create(device, dmabuf_fd, file_fd, &opts, &binding);
	if (!n) {
		n = dmabuf_rw_read(binding, 0, 0, bytes, DMABUF_RW_IO_WHOLE, result);
		if (n < 0) {
			*error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_IO,
							   .err = result->error };
			dmabuf_rw_error_explain(error, file_fd, 0);
		}
		dmabuf_rw_binding_destroy(binding);
	}
	dmabuf_rw_device_close(device);
	return n < 0 ? -1 : n;
}

int main(int argc, char **argv)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	struct dmabuf_rw_error error = { 0 };
	int file_fd, dmabuf_fd;
	struct gpu gpu;
	struct stat st;
	char text[512];
	void *tensor;

	file_fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (file_fd < 0 || fstat(file_fd, &st)) {
		perror(argc == 2 ? argv[1] : "usage: level_zero FILE");
		return 2;
	}
	if (find_gpu(&gpu)) {
		fprintf(stderr, "there is no GPU of Level Zero's\n");
		return 1;
	}
	dmabuf_fd = allocate(&gpu, (st.st_size + PAGE - 1) & ~(PAGE - 1), &tensor);
	if (dmabuf_fd < 0) {
		fprintf(stderr, "the driver exports no memory as a dma-buf\n");
		return 1;
	}
	if (read_file(file_fd, dmabuf_fd, st.st_size, &result, &error) < 0) {
		dmabuf_rw_error_format(&error, text, sizeof(text));
		fprintf(stderr, "%s: %s\n", argv[1], text);
		return 1;
	}
	printf("%s: %llu bytes direct, %llu bounced\n", argv[1],
	       (unsigned long long)result.direct_bytes, (unsigned long long)result.bounced_bytes);
	close(dmabuf_fd);
	close(file_fd);
	zeMemFree(gpu.context, tensor);
	return zeContextDestroy(gpu.context) ? 1 : 0;
}
