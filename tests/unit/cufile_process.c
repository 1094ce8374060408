// SPDX-License-Identifier: MIT
/*
 * cufile_process.c - libcufile and the process that it is in: names and layouts, the environment,
 * descriptors, fork, exit. Each case is a process of its own, this program with a case's name.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include <dmabuf_rw.h>

#include "cufile_fixture.h"

#define LIBRARY OUT "/shared/libcufile.so.0"

_Static_assert(sizeof(CUfileError_t) == 8, "");
_Static_assert(sizeof(CUfileDescr_t) == 24 && offsetof(CUfileDescr_t, handle) == 8 &&
	       offsetof(CUfileDescr_t, fs_ops) == 16, "");
_Static_assert(sizeof(CUfileDrvProps_t) == 56 && offsetof(CUfileDrvProps_t, fflags) == 32 &&
	       offsetof(CUfileDrvProps_t, nvfs.dstatusflags) == 24 &&
	       offsetof(CUfileDrvProps_t, max_device_cache_size) == 36 &&
	       offsetof(CUfileDrvProps_t, max_batch_io_timeout_msecs) == 52, "");
_Static_assert(sizeof(CUfileIOParams_t) == 64 &&
	       offsetof(CUfileIOParams_t, u.batch.devPtr_base) == 8 &&
	       offsetof(CUfileIOParams_t, u.batch.file_offset) == 16 &&
	       offsetof(CUfileIOParams_t, u.batch.devPtr_offset) == 24 &&
	       offsetof(CUfileIOParams_t, u.batch.size) == 32 &&
	       offsetof(CUfileIOParams_t, fh) == 40 && offsetof(CUfileIOParams_t, opcode) == 48 &&
	       offsetof(CUfileIOParams_t, cookie) == 56, "");
_Static_assert(sizeof(CUfileIOEvents_t) == 24 && offsetof(CUfileIOEvents_t, status) == 8 &&
	       offsetof(CUfileIOEvents_t, ret) == 16, "");
_Static_assert(CU_FILE_CUDA_DRIVER_ERROR == 5011 && CU_FILE_INVALID_VALUE == 5022 &&
	       CU_FILE_DRIVER_UNSUPPORTED_LIMIT == 5003, "");

/* What programs look for by name. */
static const char *const names[] = {
	"cuFileGetVersion", "cuFileDriverOpen", "cuFileDriverClose", "cuFileDriverClose_v2",
	"cuFileUseCount", "cuFileDriverGetProperties", "cuFileDriverSetPollMode",
	"cuFileDriverSetMaxDirectIOSize", "cuFileDriverSetMaxCacheSize",
	"cuFileDriverSetMaxPinnedMemSize", "cuFileHandleRegister", "cuFileHandleDeregister",
	"cuFileBufRegister", "cuFileBufDeregister", "cuFileRead", "cuFileWrite",
	"cuFileBatchIOSetUp", "cuFileBatchIOSubmit", "cuFileBatchIOGetStatus",
	"cuFileBatchIOCancel", "cuFileBatchIODestroy", "cuFileReadAsync", "cuFileWriteAsync",
	"cuFileStreamRegister", "cuFileStreamDeregister", "cuFileGetParameterSizeT",
	"cuFileGetParameterBool", "cuFileGetParameterString", "cuFileSetParameterSizeT",
	"cuFileSetParameterBool", "cuFileSetParameterString", "cuFileGetParameterMinMaxValue",
	"cuFileGetParameterPosixPoolSlabArray", "cuFileSetParameterPosixPoolSlabArray",
	"cuFileGetBARSizeInKB", "cuFileSetStatsLevel", "cuFileGetStatsLevel", "cuFileStatsStart",
	"cuFileStatsStop", "cuFileStatsReset", "cuFileGetStatsL1", "cuFileGetStatsL2",
	"cuFileGetStatsL3",
};

static void all_names_resolve_without_a_version_and_no_others(void **state)
{
	char line[512], name[256], kind;
	size_t i, exported = 0;
	void *library;
	FILE *f;

	(void)state;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail_msg("%s", dlerror());
	for (i = 0; i < COUNT(names); i++)
		if (!dlsym(library, names[i]))
			fail_msg("%s is missing", names[i]);
	f = popen("nm --dynamic --defined-only " LIBRARY, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		assert_int_equal(sscanf(line, "%*s %c %255s", &kind, name), 2);
		assert_null(strchr(name, '@'));
		exported++;
	}
	assert_int_equal(pclose(f), 0);
	assert_int_equal(exported, COUNT(names));
	/* It has threads, so it stays. */
	dlclose(library);
	assert_non_null(dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD));
}

static void what_is_not_served_says_so(void **state)
{
	size_t value;
	int level;

	(void)state;
	FAILS(cuFileGetParameterSizeT(0, &value), CU_FILE_PLATFORM_NOT_SUPPORTED);
	FAILS(cuFileGetStatsLevel(&level), CU_FILE_PLATFORM_NOT_SUPPORTED);
	FAILS(cuFileGetBARSizeInKB(0, &value), CU_FILE_PLATFORM_NOT_SUPPORTED);
	assert_string_equal(CUFILE_ERRSTR(-5022), "invalid argument");
	assert_true(IS_CUFILE_ERR(-5001));
	assert_false(IS_CUFILE_ERR(-1));
}

static void the_header_stands_alone_in_c_and_cpp(void **state)
{
	static const char *const compilers[] = {
		"cc -std=c11 -Wall -Wextra -Werror -x c",
		"c++ -std=c++11 -Wall -Wextra -Werror -x c++",
	};
	char command[1024];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(compilers); i++) {
		snprintf(command, sizeof(command),
			 "! command -v %s >/dev/null || echo '#include <cufile.h>' | "
			 "%s -fsyntax-only -I" TOP "/lib/cufile -", i ? "c++" : "cc",
			 compilers[i]);
		assert_int_equal(system(command), 0);
	}
}

/* ---- cases ------------------------------------------------------------------------------- */

/* Runs this program for a case, and keeps what it writes. */
static char output[4096];

static int run_case(const char *environment, const char *name)
{
	char command[512];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s /proc/%d/exe %s 2>&1", environment, getpid(), name);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = 0;
	return pclose(f);
}

static void expect_output(const char *text)
{
	if (!strstr(output, text))
		fail_msg("\"%s\" is not in:\n%s", text, output);
}

static unsigned int times(const char *text)
{
	const char *p = output;
	unsigned int n;

	for (n = 0; (p = strstr(p, text)); n++)
		p++;
	return n;
}

/* A direct read, a growing write, another one, and host memory. */
static int case_mixed(void)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	CUfileDrvProps_t props;
	char mem[100];
	ssize_t n;

	OK(cuFileDriverGetProperties(&props));
	printf("compat %d\n", !!(props.nvfs.dcontrolflags & 1U << CU_FILE_ALLOW_COMPAT_MODE));
	assert_int_equal(cuFileRead(fh, at(p), 64 * KIB, 0, 0), 64 * KIB);
	n = cuFileWrite(fh, at(p), 4096, 64 * KIB, 0);
	printf("first %zd %d\n", n, n < 0 ? errno : 0);
	n = cuFileWrite(fh, at(p), 4096, 68 * KIB, 0);
	printf("second %zd %d\n", n, n < 0 ? errno : 0);
	assert_int_equal(cuFileRead(fh, mem, 100, 0, 0), 100);
	drop(fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void the_first_bounce_is_said_and_all_are_reported(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=-", "mixed"), 0);
	expect_output("compat 1");
	expect_output("first 4096 0");
	expect_output("second 4096 0");
	assert_int_equal(times("went through memory: the write makes the file longer"), 1);
	expect_output("read: 65536 bytes direct, 0 bounced, 100 to host memory\n");
	expect_output("written: 0 bytes direct, 8192 bounced, 0 from host memory\n");
	expect_output("bounced: 8192 bytes in 2 transfers: the write makes the file longer");
}

/* The way that each byte took, however the process ends. */
static void a_process_that_is_killed_has_its_account(void **state)
{
	static const char run[] = "ASAN_OPTIONS=verify_asan_link_order=0 KILLED=1 " OUT
		"/dmabuf-rw run --quiet --library " LIBRARY " -- ";

	(void)state;
	assert_int_equal(WEXITSTATUS(run_case(run, "mixed")), 128 + SIGKILL);
	expect_output("(exe), ended by a signal, _exit() or exec(): counted up to then\n"
		      "read: 65536 bytes direct, 0 bounced, 100 to host memory\n"
		      "written: 0 bytes direct, 8192 bounced, 0 from host memory\n"
		      "bounced: 8192 bytes in 2 transfers: the write makes the file longer");
	assert_int_equal(times("cuFile, process"), 1);
	assert_int_equal(times("went through memory: "), 1);
	assert_int_equal(WEXITSTATUS(run_case(run, "reserved")), 128 + SIGKILL);
	expect_output("written: 98304 bytes direct, 0 bounced, 0 from host memory\n"
		      "zeros first: 0 bytes by the drive itself, 65536 written; 1.67 bytes");
}

/* A program that leaves the directory that its environment is about. */
static int case_elsewhere(void)
{
	OK(cuFileDriverOpen());
	return chdir("/");
}

static void a_report_goes_where_it_was_meant_to_go(void **state)
{
	char env[256];

	(void)state;
	snprintf(env, sizeof(env), "cd %s; DMABUF_RW_CUFILE_REPORT=report", dir);
	assert_int_equal(run_case(env, "elsewhere"), 0);
	assert_int_equal(access(name_of("report"), F_OK), 0);
}

static void a_report_goes_to_a_file_by_appending(void **state)
{
	char env[256], command[256];

	(void)state;
	snprintf(env, sizeof(env), "DMABUF_RW_CUFILE_REPORT=%s/report", dir);
	assert_int_equal(run_case(env, "mixed"), 0);
	assert_int_equal(run_case(env, "mixed"), 0);
	assert_int_equal(times("bytes direct"), 0);
	snprintf(command, sizeof(command), "[ $(grep -c '^cuFile, process' %s/report) = 2 ]", dir);
	assert_int_equal(system(command), 0);
}

static void bounces_are_errors_where_that_is_asked_for(void **state)
{
	char error[32];

	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1", "mixed"), 0);
	expect_output("compat 0");
	snprintf(error, sizeof(error), "first -1 %d", EOPNOTSUPP);
	expect_output(error);
	assert_int_equal(times("fails, as it cannot go direct: the write makes"), 1);
}

/* What the library says itself, of a pair that is refused, and of a part that cannot. */
static int case_refused(void)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	ssize_t n;

	module.bind_errno = EREMOTEIO;
	module.bind_reason = DMABUF_RW_REASON_MAP;
	module.bind_detail = ENOMEM;
	n = cuFileRead(fh, at(p), 4096, 0, 0);
	printf("%zd %d\n", n, n < 0 ? errno : 0);
	drop(fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void what_may_be_a_full_aperture_is_named(void **state)
{
	(void)state;
	assert_int_equal(run_case("", "refused"), 0);
	expect_output("4096 0");
	expect_output("BAR1");
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1", "refused"), 0);
	expect_output("-1 121");
	expect_output("BAR1");
}

static int case_unaligned(void)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	ssize_t n;

	module.align = 512;
	n = cuFileRead(fh, at(p), 1000, 100, 0);
	printf("%zd %d\n", n, n < 0 ? errno : 0);
	if (n > 0)
		expect_device(p, n, 1, 100);
	n = cuFileRead(fh, at(p), 1024, 512, 0);
	printf("aligned %zd\n", n);
	drop(fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void parts_that_cannot_go_direct_are_told_as_such(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=-", "unaligned"), 0);
	expect_output("1000 0");
	expect_output("aligned 1024");
	expect_output("went through memory");
	expect_output("use multiples of the alignment");
	/* It has bounced, or may not. */
	assert_int_equal(times("allow bouncing"), 0);
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1", "unaligned"), 0);
	expect_output("-1 33");
	expect_output("aligned 1024");
	expect_output("cannot go direct");
	assert_int_equal(times("allow bouncing"), 0);
}

/* A batch of which a part is behind what has been written. */
static int case_partial(void)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUfileIOParams_t io = { .mode = CUFILE_BATCH, .opcode = CUFILE_READ };
	CUdeviceptr p = device_memory(MIB);
	CUfileBatchHandle_t batch;
	CUfileIOEvents_t event;
	unsigned int nr = 1;

	assert_int_equal(ftruncate(fd, 128 * KIB), 0);
	io.fh = handle_of(fd);
	io.u.batch.devPtr_base = at(p);
	io.u.batch.size = 128 * KIB;
	OK(cuFileBatchIOSetUp(&batch, 1));
	OK(cuFileBatchIOSubmit(batch, 1, &io, 0));
	OK(cuFileBatchIOGetStatus(batch, 1, &nr, &event, NULL));
	printf("%zd\n", (ssize_t)event.ret);
	cuFileBatchIODestroy(batch);
	drop(io.fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void batches_that_end_early_say_why(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=-", "partial"), 0);
	expect_output("131072\n");
	expect_output("65536 bytes direct, 65536 bounced");
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1", "partial"), 0);
	expect_output("65536\n");
	expect_output("cannot go direct: ");
	expect_output("write the file first");
	assert_int_equal(times("allow bouncing"), 0);
}

/* Half of a file that is a hole, and then all of it. */
static int case_reserved(void)
{
	int fd = new_file("a", 0, 1, O_RDWR);
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh = handle_of(fd);
	ssize_t n;

	module.tells_holes = true;
	module.puts_zeros = getenv("PUTS_ZEROS");
	assert_int_equal(ftruncate(fd, 64 * KIB), 0);
	n = cuFileWrite(fh, at(p), 32 * KIB, 0, 0);
	printf("half %zd %d\n", n, n < 0 ? errno : 0);
	n = cuFileWrite(fh, at(p), 64 * KIB, 0, 0);
	printf("all %zd %d\n", n, n < 0 ? errno : 0);
	drop(fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void zeros_are_counted_and_said_once(void **state)
{
	char error[32];

	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=-", "reserved"), 0);
	expect_output("all 65536 0");
	assert_int_equal(times("had space that was only reserved: zeros first, which are written"),
			 1);
	expect_output("written: 98304 bytes direct, 0 bounced");
	expect_output("zeros first: 0 bytes by the drive itself, 65536 written; 1.67 bytes to the "
		      "drive for each that was written\n");
	assert_int_equal(run_case("PUTS_ZEROS=1 DMABUF_RW_CUFILE_REPORT=-", "reserved"), 0);
	assert_int_equal(times("had space that was only reserved: zeros first, by the drive"), 1);
	expect_output("written: 98304 bytes direct, 0 bounced");
	expect_output("zeros first: 65536 bytes by the drive itself, 0 written; 1.00 bytes to ");
	/* Where bouncing is forbidden no less. */
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1", "reserved"), 0);
	expect_output("half 32768 0");
	expect_output("all 65536 0");
	/* Where they are not wanted, or not if they cost anything. */
	assert_int_equal(run_case("DMABUF_RW_CUFILE_ZEROS=drive DMABUF_RW_CUFILE_REPORT=-",
				  "reserved"), 0);
	expect_output("written: 32768 bytes direct, 65536 bounced");
	assert_int_equal(run_case("DMABUF_RW_CUFILE_ZEROS=0 PUTS_ZEROS=1 "
				  "DMABUF_RW_CUFILE_REPORT=-", "reserved"), 0);
	expect_output("written: 32768 bytes direct, 65536 bounced");
	assert_int_equal(times("zeros first"), 0);
	assert_int_equal(run_case("DMABUF_RW_CUFILE_ZEROS=0 DMABUF_RW_CUFILE_DIRECT_ONLY=1",
				  "reserved"), 0);
	snprintf(error, sizeof(error), "half -1 %d", ENXIO);
	expect_output(error);
}

/* On tmpfs all that was written is in the page cache, and holes are not. */
static int case_cached(void)
{
	int fd = new_file("a", 64 * KIB + 5, 1, O_RDWR);
	CUfileIOParams_t io = { .mode = CUFILE_BATCH, .opcode = CUFILE_READ };
	CUdeviceptr p = device_memory(MIB);
	CUfileBatchHandle_t batch;
	CUfileIOEvents_t event;
	unsigned int nr = 1;

	io.fh = handle_of(fd);
	printf("read %zd\n", cuFileRead(io.fh, at(p), MIB, 3, 7));
	expect_device(p + 7, 64 * KIB + 2, 1, 3);
	io.u.batch.devPtr_base = at(p);
	io.u.batch.size = 4096;
	OK(cuFileBatchIOSetUp(&batch, 1));
	OK(cuFileBatchIOSubmit(batch, 1, &io, 0));
	OK(cuFileBatchIOGetStatus(batch, 1, &nr, &event, NULL));
	printf("batch %zd\n", (ssize_t)event.ret);
	expect_device(p, 4096, 1, 0);
	cuFileBatchIODestroy(batch);
	/* The last page is not there. */
	assert_int_equal(ftruncate(fd, 128 * KIB), 0);
	module.tells_holes = true;
	printf("partly %zd\n", cuFileRead(io.fh, at(p), 32 * KIB, 60 * KIB, 0));
	drop(io.fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void what_is_cached_whole_is_read_from_there_only_if_that_is_wanted(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=-", "cached"), 0);
	expect_output("read 65538\nbatch 4096\npartly 32768\n");
	assert_int_equal(times("page cache"), 0);
	assert_int_equal(run_case("DMABUF_RW_CUFILE_PAGE_CACHE=1 DMABUF_RW_CUFILE_REPORT=-",
				  "cached"), 0);
	expect_output("read 65538\nbatch 4096\npartly 32768\n");
	assert_int_equal(times("came from the page cache, as DMABUF_RW_CUFILE_PAGE_CACHE wants"),
			 1);
	expect_output("from the page cache: 69634 bytes in 2 transfers\n");
	/* Of what is cached in part nothing is taken from there. */
	expect_output("read: 8192 bytes direct, 24576 bounced");
	/* Direct only means that no byte goes through the CPU. */
	assert_int_equal(run_case("DMABUF_RW_CUFILE_PAGE_CACHE=1 DMABUF_RW_CUFILE_DIRECT_ONLY=1 "
				  "DMABUF_RW_CUFILE_REPORT=-", "cached"), 0);
	expect_output("read 65538\nbatch 4096\npartly 8192\n");
	assert_int_equal(times("page cache"), 0);
}

/* With so few descriptors that bindings have to give some back. */
static int case_full(void)
{
	enum { NR = 30 };
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t handles[NR];
	char name[16];
	int i;

	OK(cuFileBufRegister(at(p), MIB, 0));
	for (i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		handles[i] = handle_of(new_file(name, 4096, i, O_RDONLY));
	}
	leave_descriptors(20);
	for (i = 0; i < NR; i++)
		assert_int_equal(cuFileRead(handles[i], at(p), 4096, 0, 0), 4096);
	give_descriptors_back();
	return 0;
}

static void what_works_the_second_time_is_not_said_to_fail(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1 DMABUF_RW_CUFILE_REPORT=-",
				  "full"), 0);
	expect_output("122880 bytes direct, 0 bounced");
	assert_int_equal(times("refused"), 0);
	assert_int_equal(times("fails"), 0);
}

/* The signals that a thread has blocked; all, while it has not begun. */
static unsigned long blocked_by(const char *task)
{
	char path[300], line[128];
	unsigned long blocked = ~0UL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", task);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SigBlk: %lx", &blocked);
	if (f)
		fclose(f);
	return blocked;
}

/* Threads of ours run no handler of the program's, but for what they do themselves. */
static int case_threads(void)
{
	static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };
	static const int others[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD };
	DIR *tasks;
	struct dirent *e;
	unsigned long blocked;
	unsigned int nr = 0, tries;
	size_t i;

	case_partial();
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while ((e = readdir(tasks))) {
		if (e->d_name[0] == '.' || atoi(e->d_name) == getpid())
			continue;
		nr++;
		blocked = blocked_by(e->d_name);
		for (tries = 0; blocked >> (SIGSEGV - 1) & 1 && tries < 5000; tries++) {
			usleep(1000);
			blocked = blocked_by(e->d_name);
		}
		for (i = 0; i < COUNT(faults); i++)
			assert_false(blocked >> (faults[i] - 1) & 1);
		for (i = 0; i < COUNT(others); i++)
			assert_true(blocked >> (others[i] - 1) & 1);
	}
	closedir(tasks);
	/* For segments that idle, and for the batch. */
	assert_int_equal(nr, 2);
	return 0;
}

static void threads_block_all_signals_but_faults(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_DIRECT_ONLY=1", "threads"), 0);
}

/* Memory that the driver does not export, in a process that has used up what threads keep by. */
static int case_pool(void)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	CUfileHandle_t fh = handle_of(fd);
	pthread_key_t key;
	CUdeviceptr p;

	while (!pthread_key_create(&key, NULL))
		;
	assert_int_equal(fake_cuda_alloc_pool(&p, MIB), 0);
	printf("read %zd\n", cuFileRead(fh, at(p), 64 * KIB, 0, 0));
	expect_device(p, 64 * KIB, 1, 0);
	drop(fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void what_the_driver_says_is_told(void **state)
{
	(void)state;
	assert_int_equal(run_case("", "pool"), 0);
	expect_output("read 65536\n");
	expect_output("CUDA_ERROR_NOT_SUPPORTED");
}

static int case_fork(void)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR), status;
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh;
	pid_t child;

	/* Not opened yet: the child may. */
	child = fork();
	if (!child) {
		status = cuFileDriverOpen().err;
		_exit(status ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fh = handle_of(fd);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	child = fork();
	if (!child) {
		if (cuFileRead(fh, at(p), 4096, 0, 0) != -CU_FILE_DRIVER_NOT_INITIALIZED ||
		    cuFileDriverOpen().err != CU_FILE_DRIVER_NOT_INITIALIZED || cuFileUseCount() ||
		    cuFileBufRegister(at(p), 4096, 0).err != CU_FILE_DRIVER_NOT_INITIALIZED)
			_exit(1);
		cuFileHandleDeregister(fh);
		exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(cuFileRead(fh, at(p), 4096, 4096, 0), 4096);
	/* Its threads are not there even if the driver is closed. */
	while (cuFileUseCount())
		OK(cuFileDriverClose());
	child = fork();
	if (!child)
		_exit(cuFileDriverOpen().err == CU_FILE_DRIVER_NOT_INITIALIZED ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	drop(fh, fd);
	cuMemFree_v2(p);
	return 0;
}

static void a_child_of_fork_gets_a_clear_error(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=-", "fork"), 0);
	assert_int_equal(times("was forked"), 2);
	assert_int_equal(times("bytes direct"), 2);	/* of the parent: read, written */
}

/* With standard descriptors closed, and memory registered before anything else. */
static int case_descriptors(void)
{
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh;
	int fd;

	close(STDIN_FILENO);
	OK(cuFileBufRegister(at(p), MIB, 0));
	fd = new_file("a", 64 * KIB, 1, O_RDWR);
	assert_int_equal(fd, STDIN_FILENO);
	fh = handle_of(fd);
	close(STDERR_FILENO);
	assert_int_equal(cuFileRead(fh, at(p), 64 * KIB, 0, 0), 64 * KIB);
	assert_int_equal(cuFileWrite(fh, at(p), 4096, 64 * KIB, 0), 4096);
	/* Nothing of the library's took their place. */
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
	cuFileHandleDeregister(fh);
	OK(cuFileBufDeregister(at(p)));
	cuMemFree_v2(p);
	return 0;
}

/* The file is where messages go otherwise, and one that is not registered yet. */
static int case_stderr(void)
{
	CUdeviceptr p = device_memory(MIB);
	CUfileHandle_t fh;
	int fd;

	close(STDERR_FILENO);
	fd = new_file("a", 64 * KIB, 1, O_RDWR);
	assert_int_equal(fd, STDERR_FILENO);
	fh = handle_of(fd);
	device_fill(p, 4096, 1, 64 * KIB);
	assert_int_equal(cuFileWrite(fh, at(p), 4096, 64 * KIB, 0), 4096);
	cuFileHandleDeregister(fh);
	expect_file("a", 0, 68 * KIB, 1, 0);
	close(fd);
	cuMemFree_v2(p);
	return 0;
}

static void standard_descriptors_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(run_case("", "descriptors"), 0);
	assert_int_equal(run_case("", "stderr"), 0);
}

/* Transfers from a destructor, after exit() was called, with batches under way. */
static CUfileHandle_t late_handle;
static CUdeviceptr late_memory;

static void late(void)
{
	printf("late %zd\n", cuFileRead(late_handle, at(late_memory), 4096, 0, 0));
}

static int case_exit(void)
{
	CUfileIOParams_t io = { .mode = CUFILE_BATCH, .opcode = CUFILE_READ };
	CUfileBatchHandle_t batch;

	late_memory = device_memory(MIB);
	late_handle = handle_of(new_file("a", 64 * KIB, 1, O_RDWR));
	atexit(late);
	OK(cuFileBatchIOSetUp(&batch, 1));
	io.fh = late_handle;
	io.u.batch.devPtr_base = at(late_memory);
	io.u.batch.size = 4096;
	module.delay_us = 50000;
	OK(cuFileBatchIOSubmit(batch, 1, &io, 0));
	return 0;
}

static void programs_may_exit_with_transfers_under_way(void **state)
{
	(void)state;
	assert_int_equal(run_case("DMABUF_RW_CUFILE_REPORT=- ASAN_OPTIONS=detect_leaks=0", "exit"),
			 0);
	expect_output("late 4096");
	expect_output("bytes direct");
}

/* The thread that the process began with ends, and others go on. */
static void *go_on_alone(void *arg)
{
	int fd = new_file("a", 64 * KIB, 1, O_RDWR);
	char command[128];
	CUfileHandle_t fh;
	CUdeviceptr p;

	(void)arg;
	/* What is the process's in /proc is that thread's. */
	while (!access("/proc/self/fd/1", F_OK))
		usleep(1000);
	assert_int_equal(cuCtxSetCurrent(context), 0);
	p = device_memory(MIB);
	fh = handle_of(fd);
	device_fill(p, 9999, 2, 0);
	printf("written %zd\n", cuFileWrite(fh, at(p), 9999, 64 * KIB, 0));
	printf("read %zd\n", cuFileRead(fh, at(p), MIB, 0, 0));
	drop(fh, fd);
	cuMemFree_v2(p);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	exit(system(command));
}

static int case_alone(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, go_on_alone, NULL), 0);
	pthread_exit(NULL);
}

static void threads_go_on_without_the_first_one(void **state)
{
	(void)state;
	assert_int_equal(run_case("ASAN_OPTIONS=detect_leaks=0", "alone"), 0);
	expect_output("written 9999\n");
	expect_output("read 75535\n");
}

static const struct {
	const char *name;
	int (*run)(void);
} cases[] = {
	{ "mixed", case_mixed }, { "elsewhere", case_elsewhere }, { "refused", case_refused },
	{ "unaligned", case_unaligned }, { "partial", case_partial }, { "reserved", case_reserved },
	{ "cached", case_cached }, { "threads", case_threads },
	{ "pool", case_pool }, { "fork", case_fork }, { "full", case_full },
	{ "descriptors", case_descriptors }, { "stderr", case_stderr }, { "exit", case_exit },
	{ "alone", case_alone },
};

/* An assertion that fails in a case ends it by a signal. */
static int run_here(const char *name)
{
	char command[128];
	size_t i;
	int ret = 2;

	if (setup(NULL))
		return 2;
	for (i = 0; i < COUNT(cases); i++)
		if (!strcmp(name, cases[i].name))
			ret = cases[i].run();
	gpu_drop_idle();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ret = system(command) ? 2 : ret;
	if (getenv("KILLED"))
		kill(getpid(), SIGKILL);
	return ret;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CUFILE_TEST(all_names_resolve_without_a_version_and_no_others),
		CUFILE_TEST(what_is_not_served_says_so),
		CUFILE_TEST(the_header_stands_alone_in_c_and_cpp),
		CUFILE_TEST(the_first_bounce_is_said_and_all_are_reported),
		CUFILE_TEST(a_process_that_is_killed_has_its_account),
		CUFILE_TEST(a_report_goes_where_it_was_meant_to_go),
		CUFILE_TEST(a_report_goes_to_a_file_by_appending),
		CUFILE_TEST(bounces_are_errors_where_that_is_asked_for),
		CUFILE_TEST(what_may_be_a_full_aperture_is_named),
		CUFILE_TEST(parts_that_cannot_go_direct_are_told_as_such),
		CUFILE_TEST(batches_that_end_early_say_why),
		CUFILE_TEST(zeros_are_counted_and_said_once),
		CUFILE_TEST(what_is_cached_whole_is_read_from_there_only_if_that_is_wanted),
		CUFILE_TEST(what_works_the_second_time_is_not_said_to_fail),
		CUFILE_TEST(threads_block_all_signals_but_faults),
		CUFILE_TEST(what_the_driver_says_is_told),
		CUFILE_TEST(a_child_of_fork_gets_a_clear_error),
		CUFILE_TEST(standard_descriptors_are_left_alone),
		CUFILE_TEST(programs_may_exit_with_transfers_under_way),
		CUFILE_TEST(threads_go_on_without_the_first_one),
	};

	if (argc > 1)
		return run_here(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
