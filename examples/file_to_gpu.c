// SPDX-License-Identifier: MIT
/*
 * file_to_gpu.c - a file into the memory of an NVIDIA GPU, by the drive's own DMA or not at all.
 *
 * cc -O2 -o file_to_gpu file_to_gpu.c $(pkg-config --cflags --libs libdmabuf_rw) -lcuda
 *
 * usage: file_to_gpu FILE
 *
 * It never bounces: a binding bounces only if it is allowed to (allow_bounce). Needs a driver with
 * the open kernel modules.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cuda.h>
#include <libdmabuf_rw.h>

/* Allocations of this size have pages of their own, and can be exported whole. */
#define PAGE (2UL << 20)

static int tell_cuda(const char *what, CUresult err)
{
	const char *name = NULL;

	cuGetErrorName(err, &name);
	fprintf(stderr, "%s: %s\n", what, name ? name : "unknown error of CUDA");
	return 1;
}

static int tell(const char *what, struct dmabuf_rw_error *error)
{
	char text[512];

	dmabuf_rw_error_format(error, text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	return 1;
}

/* Allocates device memory, and exports it as a dma-buf. 0, or CUDA's error. */
static CUresult allocate(size_t bytes, CUdeviceptr *tensor, int *dmabuf_fd)
{
	CUcontext context;
	CUdevice gpu;
	CUresult err;

	if ((err = cuInit(0)) || (err = cuDeviceGet(&gpu, 0)) ||
	    (err = cuDevicePrimaryCtxRetain(&context, gpu)) ||
	    (err = cuCtxSetCurrent(context)) || (err = cuMemAlloc(tensor, bytes)))
		return err;
	return cuMemGetHandleForAddressRange(dmabuf_fd, *tensor, bytes,
					     CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0);
}

/* Bytes read, or -1 with *@error. */
static ssize_t read_file(int file_fd, int dmabuf_fd, uint64_t bytes,
			 struct dmabuf_rw_result *result, struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_device_opts device_opts = { .size = sizeof(device_opts), .error = error };
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = error };
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
	CUdeviceptr tensor;
	struct stat st;
	CUresult err;

	file_fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (file_fd < 0 || fstat(file_fd, &st)) {
		perror(argc == 2 ? argv[1] : "usage: file_to_gpu FILE");
		return 2;
	}
	err = allocate((st.st_size + PAGE - 1) & ~(PAGE - 1), &tensor, &dmabuf_fd);
	if (err)
		return tell_cuda("device memory", err);
	if (read_file(file_fd, dmabuf_fd, st.st_size, &result, &error) < 0)
		return tell(argv[1], &error);
	/* Kernels launched from here on see the bytes. */
	err = cuFlushGPUDirectRDMAWrites(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
					 CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER);
	if (err)
		return tell_cuda("flush", err);
	printf("%s: %llu bytes direct, %llu bounced\n", argv[1],
	       (unsigned long long)result.direct_bytes, (unsigned long long)result.bounced_bytes);
	close(dmabuf_fd);
	close(file_fd);
	return cuMemFree(tensor) ? 1 : 0;
}
