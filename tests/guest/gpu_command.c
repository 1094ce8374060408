// SPDX-License-Identifier: GPL-2.0
/*
 * gpu_command.c - the dmabuf-rw command with memory of GPUs, by drivers that are fakes: device
 * memory is a udmabuf, or a BAR.
 *
 * That the drive's own DMA has moved bytes is what the module's counters say (read_bytes,
 * write_bytes), and where the command compares, it does so with what the driver copies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data.h"
#include "fs.h"
#include "require.h"
#include "tool.h"

#define BYTES	(3 * MiB + 777)

/* Has them packed, so that the command finds them. */
int cuInit(unsigned int flags);
int hsa_init(void);

static struct fs fs;

static const char *start(const void *kind)
{
	CHECK_EQ(cuInit(0), 0);
	CHECK_EQ(hsa_init(), 0);
	fs_make(&fs, kind, "priv512", 0, "", "");
	close(file_make(&fs, "file", BYTES, 1));
	return fs_path(&fs, "file");
}

static void a_file_is_loaded_into_cuda_memory_and_stored_direct(const void *kind)
{
	const char *file = start(kind);
	int fd;
	u8 zeros[4096] = { 0 }, got[4096];

	require_path("/dev/udmabuf", "make device memory");
	RUNS(0, TOOL " info %s cuda:0:4M -o json", file);
	JSON_IS("direct", "true");
	JSON_IS("pci", "0000:ff:1f.0");
	RUNS(0, TOOL " load %s --into cuda:0:4M --verify -o json", file);
	JSON_IS("path", "direct");
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("read_bytes"), BYTES);
	CHECK_EQ(json_u64("bounced_bytes"), 0);
	/* Fresh memory is zeros there. */
	RUNS(0, TOOL " store %s --in-place --from cuda:0:2M --length 1M --verify -o json", file);
	JSON_IS("path", "direct");
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("write_bytes"), MiB);
	fd = fs_open(&fs, "file", O_RDONLY);
	file_get(fd, MiB - 4096, got, sizeof(got));
	data_check("file", got, zeros, sizeof(zeros), MiB - 4096);
	file_check(fd, MiB, BYTES - MiB, 1);
	close(fd);
	fs_finish(&fs);
}

/* What is not in the device is not direct, and amdgpu may move it. */
static void hip_memory_that_is_in_ram_is_refused_or_bounces(const void *kind)
{
	const char *file = start(kind);

	require_path("/dev/udmabuf", "make device memory");
	RUNS(3, TOOL " load %s --into hip:0:4M -o json", file);
	CHECK(strstr(out, "NOT_DEVICE_MEMORY") || strstr(out, "device memory"), "%s", out);
	RUNS(3, TOOL " info %s hip:0:4M -o json", file);
	JSON_IS("direct", "false");
	RUNS(0, TOOL " load %s --into hip:0:4M --allow-bounce --verify -o json", file);
	JSON_IS("path", "bounced");
	JSON_IS("verified", "true");
	CHECK_EQ(json_u64("bounced_bytes"), BYTES);
	CHECK(strstr(out, "device memory"), "%s", out);
	fs_finish(&fs);
}

static void memory_in_a_bar_is_filled_peer_to_peer(const void *kind)
{
	static const char *const names[] = { "cuda:0:4M", "hip:0:4M" };
	const char *file = start(kind);
	struct buf buf;

	buf_create(&buf, &exporter_vfio, 4 * MiB);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		buf_fill(&buf, 0, 4 * MiB, 9, 0);
		RUNS(0, "FAKE_GPU_FD=%d " TOOL " load %s --into %s --require-device-memory -o json",
		     atoi(inherited(&buf) + strlen("fd:")), file, names[i]);
		JSON_IS("path", "direct");
		JSON_IS("mem_class", "BAR");
		CHECK_EQ(json_u64("read_bytes"), BYTES);
		buf_check(&buf, 0, BYTES, 1, 0);
		buf_check(&buf, BYTES, 4 * MiB - BYTES, 9, BYTES);
	}
	fs_finish(&fs);
}

/* As amdgpu moves memory, while nobody has it bound. */
static void hip_memory_is_direct_only_while_it_is_in_the_device(const void *kind)
{
	static const u32 to[] = { MOCK_INV_BAR, MOCK_INV_RAM, MOCK_INV_BAR };
	const char *file = start(kind), *trust = "--trust-addresses -o json";
	struct mock_create args = mock_bar_args(4 * MiB);
	struct buf buf;
	int fd;

	args.flags = MOCK_DYNAMIC;
	args.nr_pattern = 1;
	args.pattern[0] = 65536;
	buf_create_mock(&buf, &args);
	fd = atoi(inherited(&buf) + strlen("fd:"));
	for (unsigned int i = 0; i < ARRAY_SIZE(to); i++) {
		CHECK_EQ(mock_invalidate(&buf, MOCK_INV_MOVE | to[i], NULL), 0);
		buf_fill(&buf, 0, 4 * MiB, 9, 0);
		RUNS(to[i] == MOCK_INV_BAR ? 0 : 3, "FAKE_GPU_FD=%d " TOOL " load %s --into "
		     "hip:0:4M %s", fd, file, trust);
		if (to[i] == MOCK_INV_RAM) {
			CHECK(strstr(out, "device memory"), "%s", out);
			buf_check(&buf, 0, 4 * MiB, 9, 0);
			continue;
		}
		JSON_IS("path", "direct");
		JSON_IS("mem_class", "BAR");
		CHECK_EQ(json_u64("read_bytes"), BYTES);
		buf_check(&buf, 0, BYTES, 1, 0);
	}
	/* CUDA's is taken wherever it is: its driver does not move it. */
	CHECK_EQ(mock_invalidate(&buf, MOCK_INV_MOVE | MOCK_INV_RAM, NULL), 0);
	RUNS(0, "FAKE_GPU_FD=%d " TOOL " load %s --into cuda:0:4M %s", fd, file, trust);
	JSON_IS("mem_class", "RAM");
	fs_finish(&fs);
}

static void a_driver_without_dma_bufs_is_refused_with_a_remedy(const void *kind)
{
	const char *file = start(kind);

	RUNS(1, "FAKE_GPU_NO_DMA_BUF=1 " TOOL " load %s --into cuda:0:4M", file);
	CHECK(strstr(err, "open kernel modules"), "%s", err);
	RUNS(1, "FAKE_GPU_NO_DMA_BUF=1 " TOOL " load %s --into hip:0:4M", file);
	CHECK(strstr(err, "amdgpu"), "%s", err);
	RUNS(1, TOOL " load %s --into cuda:3:4M", file);
	CHECK(strstr(err, "no such GPU"), "%s", err);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, a_file_is_loaded_into_cuda_memory_and_stored_direct);
		TEST_OF_KIND(i, hip_memory_that_is_in_ram_is_refused_or_bounces);
		TEST_OF_KIND(i, memory_in_a_bar_is_filled_peer_to_peer);
		TEST_OF_KIND(i, hip_memory_is_direct_only_while_it_is_in_the_device);
	}
	TEST_OF_KIND(0, a_driver_without_dma_bufs_is_refused_with_a_remedy);
}

const struct program program = { "gpu_command", add };
