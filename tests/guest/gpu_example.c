// SPDX-License-Identifier: GPL-2.0
/*
 * gpu_example.c - examples/file_to_gpu.c on drives, with a CUDA driver that is a fake and device
 * memory that is a udmabuf.
 */
#include <cuda.h>

#include "data.h"
#include "disk.h"
#include "fs.h"
#include "harness.h"
#include "require.h"

#define BYTES	(3 * MiB + 777)

static bool was_right;

/* What the example has in its memory when it is over. */
static int look_and_free(CUdeviceptr p)
{
	u8 *want = data_alloc(BYTES);

	data_fill(want, BYTES, 1, 0);
	was_right = !memcmp(fake_cuda_at(p), want, BYTES);
	return cuMemFree_v2(p);
}

#undef cuMemFree
#define cuMemFree look_and_free
#define main file_to_gpu
#include "../../examples/file_to_gpu.c"
#undef main

static void a_file_goes_to_the_device_direct(const void *kind)
{
	char path[128], *argv[] = { "file_to_gpu", path, NULL };
	struct fs fs;
	int fd;

	require_path("/dev/udmabuf", "make device memory");
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", BYTES, 1);
	close(fd);
	snprintf(path, sizeof(path), "%s", fs_path(&fs, "file"));
	CHECK_EQ(file_to_gpu(2, argv), 0);
	CHECK(was_right);
	CHECK_EQ(fake_cuda.copies, 0);
	CHECK_EQ(fake_cuda.flushes, 1);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, a_file_goes_to_the_device_direct);
}

const struct program program = { "gpu_example", add };
