// SPDX-License-Identifier: GPL-2.0
/*
 * cufile_run.c - what dmabuf-rw run says at a program's start is so on this machine: each drive and
 * directory that it calls direct is, and those that it does not are refused.
 *
 * The fake CUDA driver has one GPU, where the device with a memory BAR is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "fs.h"
#include "require.h"
#include "tool.h"

#define RUN "FAKE_CUDA_GPUS=%s " TOOL " run --library /usr/lib/libcufile.so.0 %s -- echo program"

/* Whether a line says this of @what. */
static bool says(const char *what, const char *words)
{
	const char *line;
	char begin[160];

	snprintf(begin, sizeof(begin), "dmabuf-rw: %s", what);
	line = strstr(err, begin);
	return line && memmem(line, strcspn(line, "\n"), words, strlen(words));
}

static void each_drive_is_called_what_check_calls_it(const void *arg)
{
	static const char *const roles[] = {
		"priv512", "priv4k", "mp512", "meta512", "zoned", "big512",
	};
	unsigned int nr_direct = 0, nr = 0;
	char what[128];

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		struct disk disk;
		bool direct;

		if (!disk_exists(roles[i]))
			continue;
		disk_open(&disk, roles[i]);
		close(disk.fd);
		snprintf(what, sizeof(what), "drive %s at ", disk.name);
		RUNS(0, RUN, "", "");
		direct = says(what, ": direct, by the module");
		CHECK(direct || says(what, ": not direct: "), "%s: %s", what, err);
		CHECK_EQ(run(TOOL " check %s udmabuf:4K", disk.path), direct ? 0 : 3);
		nr_direct += direct;
		nr++;
	}
	CHECK(nr_direct && nr_direct < nr, "%u of %u drives are direct", nr_direct, nr);
}

static void directories_of_drives_are_told(const void *kind)
{
	char what[160];
	struct fs fs;

	fs_make(&fs, kind, "priv512", 0, "", "");
	snprintf(what, sizeof(what), "directory %s (%s on ", fs.dir, fs.kind);
	RUNS(0, RUN, "", "");
	CHECK(says(what, "): direct"), "%s", err);
	CHECK(strstr(err, "no GPU: the CUDA driver shows none"), "%s", err);
	/* Nobody has an open file or a binding there afterwards. */
	fs_finish(&fs);
}

static void a_directory_of_another_file_system_is_not_direct(const void *arg)
{
	struct disk disk;

	disk_open(&disk, "priv512p1");
	close(disk.fd);
	if (sh("busybox mkdosfs %s >/dev/null && mkdir -p /tmp/vfat && modprobe -a vfat nls_cp437 "
	       "nls_ascii && mount -t vfat -o iocharset=ascii %s /tmp/vfat", disk.path, disk.path))
		skip("vfat cannot be mounted here");
	run(RUN, "", "");
	sh("umount /tmp/vfat");
	CHECK(says("directory /tmp/vfat (vfat on ", "): not direct: "), "%s", err);
}

static void the_gpu_has_its_route_to_each_drive(const void *arg)
{
	const char *mode = machine_var("DRW_IOMMU"), *pci = machine_var("DRW_BAR_PCI");
	char what[64];

	RUNS(0, RUN, pci, "");
	snprintf(what, sizeof(what), "GPU 0, Fake 0 at %s: ", pci);
	CHECK(says(what, "they meet at the host bridge"), "%s", err);
	CHECK(says(what, !strcmp(mode, "strict") ?
		   "direct if its driver maps it for the drive, as the IOMMU translates" :
		   "direct if the host bridge is on the kernel's list (p2pdma)"), "%s", err);
}

static void quiet_is_quiet_and_the_rest_takes_no_time(const void *arg)
{
	struct timespec begin, end;

	RUNS(0, RUN, "", "--quiet");
	CHECK(!strstr(err, "direct"), "%s", err);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	RUNS(0, RUN, "", "");
	clock_gettime(CLOCK_MONOTONIC, &end);
	note("%lld ms", (long long)((end.tv_sec - begin.tv_sec) * 1000 +
				    (end.tv_nsec - begin.tv_nsec) / 1000000));
}

static void without_the_module_it_is_one_line(const void *arg)
{
	RUNS(0, "mv /dev/dmabuf_rw /dev/away");
	run(RUN, "", "");
	sh("mv /dev/away /dev/dmabuf_rw");
	CHECK(strstr(err, "dmabuf-rw: nothing will go direct: ") ||
	      strstr(err, "dmabuf-rw: only whole disks and partitions go direct: "), "%s", err);
	CHECK(!strstr(err, ": direct, by the module"), "%s", err);
}

static void add(void)
{
	fs_program();
	TEST(each_drive_is_called_what_check_calls_it);
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, directories_of_drives_are_told);
	TEST(a_directory_of_another_file_system_is_not_direct);
	TEST(the_gpu_has_its_route_to_each_drive);
	TEST(quiet_is_quiet_and_the_rest_takes_no_time);
	TEST(without_the_module_it_is_one_line);
}

const struct program program = { "cufile_run", add };
