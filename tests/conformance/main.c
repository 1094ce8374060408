// SPDX-License-Identifier: MIT
/*
 * main.c - conformance: what a libcufile answers, call by call, beside what is expected of it.
 *
 * The two libraries are opened at run time, so that the same program runs on any libcufile.so.0
 * with any libcuda.so.1. One line for each call, of five columns that tabs separate:
 *
 *   CALL  BASIS  EXPECTED  ANSWER  ok|differs
 *
 * Lines that begin with '#' are about this run. What a library writes on the standard output goes
 * to the standard error. The exit status is 0 if nothing differs, 1 if something does, 2 if a
 * group or all could not be asked.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

/* No group takes a second here; another library may take some to open. */
#define GROUP_SECONDS 120

struct counts {
	unsigned int ok, differs, groups_without;
};

static const struct group {
	const char *name;
	void (*run)(void);
} groups[] = {
#define GROUP(name) { #name, name }
	GROUP(names_are_there), GROUP(driver_is_counted), GROUP(driver_properties),
	GROUP(functions_not_served), GROUP(handles), GROUP(handle_twice),
	GROUP(handle_of_nothing), GROUP(buffers), GROUP(buffer_twice),
	GROUP(buffers_not_to_be_had), GROUP(reads), GROUP(reads_of_odd_memory),
	GROUP(reads_by_descriptor), GROUP(reads_of_files_that_change),
	GROUP(read_by_stale_handle), GROUP(read_by_null_handle), GROUP(writes),
	GROUP(writes_by_descriptor), GROUP(writes_that_grow), GROUP(batch_set_up),
	GROUP(batch_submit), GROUP(batch_of_many), GROUP(batch_results), GROUP(batch_waits),
	GROUP(batch_cancel), GROUP(batch_destroy), GROUP(streams), GROUP(streams_refuse),
	GROUP(streams_read_late), GROUP(threads_share_a_handle), GROUP(many_files),
	GROUP(fork_after_use),
};

#define NR_GROUPS (sizeof(groups) / sizeof(groups[0]))

struct cuda cu;
struct cufile cf;

static const char *library_name = "libcufile.so.0";
static const char *cuda_name = "libcuda.so.1";
static void *library, *cuda_library;
static const char *group_name;
static struct counts *counts;	/* shared with the groups */
static FILE *out;		/* the standard output as it was */

/* ---- words -------------------------------------------------------------------------------- */

static const char *word(char *fmt_buffer, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fmt_buffer, len, fmt, ap);
	va_end(ap);
	return fmt_buffer;
}

const char *error_word(int error)
{
	static const char *const names[] = {
		[1] = "DRIVER_NOT_INITIALIZED", [2] = "DRIVER_INVALID_PROPS",
		[3] = "DRIVER_UNSUPPORTED_LIMIT", [4] = "DRIVER_VERSION_MISMATCH",
		[5] = "DRIVER_VERSION_READ_ERROR", [6] = "DRIVER_CLOSING",
		[7] = "PLATFORM_NOT_SUPPORTED", [8] = "IO_NOT_SUPPORTED",
		[9] = "DEVICE_NOT_SUPPORTED", [10] = "NVFS_DRIVER_ERROR",
		[11] = "CUDA_DRIVER_ERROR", [12] = "CUDA_POINTER_INVALID",
		[13] = "CUDA_MEMORY_TYPE_INVALID", [14] = "CUDA_POINTER_RANGE_ERROR",
		[15] = "CUDA_CONTEXT_MISMATCH", [16] = "INVALID_MAPPING_SIZE",
		[17] = "INVALID_MAPPING_RANGE", [18] = "INVALID_FILE_TYPE",
		[19] = "INVALID_FILE_OPEN_FLAG", [20] = "DIO_NOT_SET",
		[22] = "INVALID_VALUE", [23] = "MEMORY_ALREADY_REGISTERED",
		[24] = "MEMORY_NOT_REGISTERED", [25] = "PERMISSION_DENIED",
		[26] = "DRIVER_ALREADY_OPEN", [27] = "HANDLE_NOT_REGISTERED",
		[28] = "HANDLE_ALREADY_REGISTERED", [29] = "DEVICE_NOT_FOUND",
		[30] = "INTERNAL_ERROR", [31] = "GETNEWFD_FAILED", [33] = "NVFS_SETUP_ERROR",
		[34] = "IO_DISABLED", [35] = "BATCH_SUBMIT_FAILED",
		[36] = "GPU_MEMORY_PINNING_FAILED", [37] = "BATCH_FULL",
		[38] = "ASYNC_NOT_SUPPORTED",
	};
	static char text[4][32];
	static unsigned int next;
	int i = error - CUFILEOP_BASE_ERR;

	if (!error)
		return "ok";
	if (i > 0 && i < (int)(sizeof(names) / sizeof(names[0])) && names[i])
		return names[i];
	return word(text[next++ % 4], sizeof(text[0]), "%d", error);
}

const char *status_word(CUfileError_t status)
{
	static char text[48];

	if (status.err == CU_FILE_CUDA_DRIVER_ERROR)
		return word(text, sizeof(text), "CUDA_DRIVER_ERROR %d", (int)status.cu_err);
	return error_word(status.err);
}

const char *bytes_word(ssize_t n)
{
	static char text[48];

	if (n >= 0)
		return word(text, sizeof(text), "%zd", n);
	if (n == -1)
		return word(text, sizeof(text), "-1 %s", strerrorname_np(errno));
	/* Batches and streams have errnos as such. */
	if (n > -CUFILEOP_BASE_ERR && strerrorname_np(-n))
		return word(text, sizeof(text), "-%s", strerrorname_np(-n));
	return word(text, sizeof(text), "-%s", error_word(-n));
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool is_expected(const char *expected, const char *got)
{
	size_t len = strlen(got), n;

	for (;; expected += n + 1) {
		n = strcspn(expected, "|");
		if (n == len && !memcmp(expected, got, n))
			return true;
		if (!expected[n])
			return false;
	}
}

void answer(enum basis basis, const char *call, const char *expected, const char *fmt, ...)
{
	static const char *const names[] = { "documented", "relied-on", "chosen" };
	char got[256];
	bool ok;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(got, sizeof(got), fmt, ap);
	va_end(ap);
	ok = is_expected(expected, got);
	fprintf(out, "%s/%s\t%s\t%s\t%s\t%s\n", group_name, call, names[basis], expected, got,
		ok ? "ok" : "differs");
	fflush(out);
	if (ok)
		counts->ok++;
	else
		counts->differs++;
}

void give_up(const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "# %s: ", group_name);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fprintf(out, "\n");
	fflush(out);
	_exit(3);
}

/* ---- libraries ---------------------------------------------------------------------------- */

void *library_symbol(const char *name)
{
	return dlsym(library, name);
}

static void find_functions_of_cuda(void)
{
#define FIND(field, symbol) (*(void **)&cu.field = dlsym(cuda_library, symbol))
	FIND(Init, "cuInit");
	FIND(DeviceGet, "cuDeviceGet");
	FIND(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain");
	FIND(CtxSetCurrent, "cuCtxSetCurrent");
	FIND(MemAlloc, "cuMemAlloc_v2");
	FIND(MemAllocManaged, "cuMemAllocManaged");
	FIND(MemFree, "cuMemFree_v2");
	FIND(MemcpyHtoD, "cuMemcpyHtoD_v2");
	FIND(MemcpyDtoH, "cuMemcpyDtoH_v2");
	FIND(MemHostAlloc, "cuMemHostAlloc");
	FIND(StreamCreate, "cuStreamCreate");
	FIND(StreamSynchronize, "cuStreamSynchronize");
	FIND(LaunchHostFunc, "cuLaunchHostFunc");
#undef FIND
}

static void find_functions(void)
{
#define FIND(field) (*(void **)&cf.field = dlsym(library, "cuFile" #field))
	FIND(GetVersion);
	FIND(DriverOpen);
	FIND(DriverClose);
	FIND(UseCount);
	FIND(DriverGetProperties);
	FIND(DriverSetPollMode);
	FIND(DriverSetMaxDirectIOSize);
	FIND(DriverSetMaxCacheSize);
	FIND(DriverSetMaxPinnedMemSize);
	FIND(HandleRegister);
	FIND(HandleDeregister);
	FIND(BufRegister);
	FIND(BufDeregister);
	FIND(Read);
	FIND(Write);
	FIND(BatchIOSetUp);
	FIND(BatchIOSubmit);
	FIND(BatchIOGetStatus);
	FIND(BatchIOCancel);
	FIND(BatchIODestroy);
	FIND(ReadAsync);
	FIND(WriteAsync);
	FIND(StreamRegister);
	FIND(StreamDeregister);
#undef FIND
}

/* Within the group, as a process that has opened one of them cannot fork. */
static void open_libraries(void)
{
	cuda_library = dlopen(cuda_name, RTLD_NOW | RTLD_GLOBAL);
	if (!cuda_library)
		give_up("%s", dlerror());
	library = dlopen(*library_name ? library_name : NULL, RTLD_NOW);
	if (!library)
		give_up("%s", dlerror());
	find_functions_of_cuda();
	find_functions();
}

/* ---- groups ------------------------------------------------------------------------------- */

/* How the group has ended, as an answer of its own. */
static void judge_end(int status)
{
	const char *const expected = "exit 0";

	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		counts->groups_without++;
	else if (WIFEXITED(status))
		answer(RELIED_ON, "end", expected, "exit %d", WEXITSTATUS(status));
	else if (WTERMSIG(status) == SIGALRM)
		answer(RELIED_ON, "end", expected, "no end in %d s", GROUP_SECONDS);
	else
		answer(RELIED_ON, "end", expected, "signal %d", WTERMSIG(status));
}

static void run_group(const struct group *g)
{
	char dir[] = "conformance-XXXXXX", command[64];
	int status = 0;
	pid_t child;

	group_name = g->name;
	if (!mkdtemp(dir)) {
		perror("conformance: no directory for files can be made here");
		exit(2);
	}
	fflush(NULL);
	child = fork();
	if (!child) {
		alarm(GROUP_SECONDS);
		if (chdir(dir))
			give_up("%s: %s", dir, strerror(errno));
		open_libraries();
		g->run();
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("conformance: fork");
		exit(2);
	}
	judge_end(status);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "conformance: %s is left\n", dir);
}

/* The groups have another directory. */
static const char *whole_path(const char *name)
{
	char *path = strchr(name, '/') ? realpath(name, NULL) : NULL;

	return path ? path : name;
}

static int usage(void)
{
	fprintf(stderr, "usage: conformance [--library FILE] [--cuda FILE] [--dir DIR] "
		"[--list | GROUP...]\n"
		"\n"
		"  --library FILE  the libcufile to ask (libcufile.so.0; \"\": this program)\n"
		"  --cuda FILE     the CUDA driver (libcuda.so.1)\n"
		"  --dir DIR       where files are made, such as on an NVMe drive (.)\n"
		"\n"
		"One line for each call: CALL, BASIS, EXPECTED, ANSWER, ok or differs; by tabs.\n");
	return 2;
}

static bool is_chosen(const struct group *g, char **words)
{
	if (!*words)
		return true;
	for (; *words; words++)
		if (!strcmp(*words, g->name))
			return true;
	return false;
}

/* 0 or -1. */
static int prepare(void)
{
	int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -1;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	return counts == MAP_FAILED ? -1 : 0;
}

static int finish(void)
{
	fprintf(out, "# %u as expected, %u different, %u groups could not be asked\n", counts->ok,
		counts->differs, counts->groups_without);
	if (counts->differs)
		return 1;
	return counts->ok && !counts->groups_without ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "library", required_argument, NULL, 'l' },
		{ "cuda", required_argument, NULL, 'c' },
		{ "dir", required_argument, NULL, 'd' },
		{ "list", no_argument, NULL, 'n' },
		{ 0 }
	};
	bool list = false;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			library_name = whole_path(optarg);
			break;
		case 'c':
			cuda_name = whole_path(optarg);
			break;
		case 'd':
			if (chdir(optarg)) {
				perror(optarg);
				return 2;
			}
			break;
		case 'n':
			list = true;
			break;
		default:
			return usage();
		}
	}
	if (prepare()) {
		perror("conformance");
		return 2;
	}
	for (i = 0; i < NR_GROUPS; i++) {
		if (!is_chosen(&groups[i], argv + optind))
			continue;
		if (list)
			fprintf(out, "%s\n", groups[i].name);
		else
			run_group(&groups[i]);
	}
	return list ? fclose(out) : finish();
}
