// SPDX-License-Identifier: GPL-2.0
/*
 * cufile_run.c - what dmabuf-rw run says at a program's start is so on this machine: each drive and
 * directory that it calls direct is, and those that it does not are refused. And what it says at
 * its end is what the program's processes have done, however they have ended.
 *
 * The fake CUDA driver has one GPU, where the device with a memory BAR is. The program whose end
 * matters is this one, with another first argument: client END FILE.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake_cuda.h"
#define CUFILE_HAS_CUDA_H
typedef int CUresult;
#include "cufile.h"

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

/* ---- how processes end ------------------------------------------------------------------- */

#define FILE_BYTES	(4 * MiB)
#define STATUS		5

/* Reads a MiB and writes 64 KiB; @longer: and 4096 bytes after the file's end. 0: it has. */
static int work(const char *path, bool longer)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD };
	CUfileHandle_t fh;
	CUcontext context;
	CUdeviceptr p;
	void *at;

	descr.handle.fd = open(path, O_RDWR | O_CLOEXEC);
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	    cuMemAlloc_v2(&p, MiB) || cuFileHandleRegister(&fh, &descr).err)
		return 1;
	at = (void *)(uintptr_t)p;
	return cuFileRead(fh, at, MiB, 0, 0) != MiB ||
	       cuFileWrite(fh, at, 64 * KiB, MiB, 0) != 64 * KiB ||
	       (longer && cuFileWrite(fh, at, 4096, FILE_BYTES, 0) != 4096);
}

static int client(const char *program, const char *end, const char *path)
{
	int i;

	/* Before the parent uses it, so the children may. */
	for (i = 0; i < 2 && !strcmp(end, "children"); i++)
		if (!fork())
			_exit(work(path, false));
	while (wait(NULL) > 0)
		;
	if (work(path, !strcmp(end, "signal")))
		return 1;
	if (!strcmp(end, "signal"))
		kill(getpid(), SIGKILL);
	if (!strcmp(end, "_exit"))
		_exit(STATUS);
	if (!strcmp(end, "exec"))
		execl("/proc/self/exe", program, "client", "exit", path, NULL);
	return STATUS;
}

extern const struct program program;

int main(int argc, char **argv)
{
	return argc == 4 && !strcmp(argv[1], "client") ? client(argv[0], argv[2], argv[3]) :
							  harness_main(&program, argc, argv);
}

static unsigned int times(const char *text)
{
	const char *p = err;
	unsigned int n;

	for (n = 0; (p = strstr(p, text)); n++)
		p++;
	return n;
}

#define WITHOUT_A_WORD	"(exe), ended by a signal, _exit() or exec(): counted up to then\n"
#define ITSELF		"(exe)\n"
#define BYTES(bounced)	"read: 1048576 bytes direct, 0 bounced, 0 to host memory\n"		\
			"written: 65536 bytes direct, " bounced " bounced, 0 from host memory\n"

static void what_processes_did_is_told_however_they_end(const void *kind)
{
	static const struct {
		const char *end;
		int status;
		unsigned int without_a_word, by_exit;
	} cases[] = {
		{ "exit", STATUS, 0, 1 }, { "_exit", STATUS, 1, 0 }, { "exec", STATUS, 1, 1 },
		{ "children", STATUS, 2, 1 },
	};
	static const char command[] = TOOL " run --quiet --library /usr/lib/libcufile.so.0 -- "
				      "/proc/%d/exe client %s %s";
	struct fs fs;

	require_path("/dev/udmabuf", "make device memory");
	fs_make(&fs, kind, "priv512", 0, "", "");
	close(file_make(&fs, "file", FILE_BYTES, 1));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		RUNS(cases[i].status, command, getpid(), cases[i].end, fs_path(&fs, "file"));
		CHECK(times(WITHOUT_A_WORD BYTES("0")) == cases[i].without_a_word &&
		      times(ITSELF BYTES("0")) == cases[i].by_exit &&
		      times("cuFile, process ") == cases[i].without_a_word + cases[i].by_exit,
		      "%s: %s", cases[i].end, err);
	}
	RUNS(128 + SIGKILL, command, getpid(), "signal", fs_path(&fs, "file"));
	CHECK_EQ(times(WITHOUT_A_WORD BYTES("4096")
		       "bounced: 4096 bytes in 1 transfers: the write makes the file longer"), 1);
	CHECK_EQ(times("cuFile, process "), 1);
	fs_finish(&fs);
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
	for (int i = 0; i < FS_KINDS; i++)
		TEST_OF_KIND(i, what_processes_did_is_told_however_they_end);
}

const struct program program = { "cufile_run", add };
