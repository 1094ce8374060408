// SPDX-License-Identifier: MIT
/*
 * state.c - the driver: whether it is open, how often, and its settings.
 *
 * The first function that needs the driver opens it, which only opens the module's node. The node
 * stays open, like handles and buffers, when the use count is zero, since libraries that open and
 * close the driver share the process.
 *
 * A child of fork(2) has none of the library's threads and shares the drive's view of buffers with
 * its parent. So it is refused if its parent has ever opened the driver; else it may open it.
 *
 * The first open makes everything, and it does not change afterwards: transfers go on while the
 * driver is closed and opened again.
 *
 * Locks: "lock" protects the use count, together with the state, and the properties. A child
 * initializes it again before it first takes it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "front.h"

#undef cuFileDriverClose

#define VERSION		1150	/* of the interface: 1.15 */
/* Version of the kernel driver that programs look for; 0.0 would mean that there is none. */
#define DRIVER_MAJOR	2
#define DRIVER_MINOR	20

#define LEAST_BONDS	8
#define MOST_BONDS	256
#define FDS_PER_BOND	32	/* of the process's limit */

enum state { CLOSED, OPEN, FORKED };

struct front front;

static _Atomic int state = CLOSED;	/* enum state; changed under @lock */
static _Atomic long use_count;		/* changed under @lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;	/* starts again after a fork during it */
static CUfileDrvProps_t props = {	/* protected by @lock */
	.nvfs = {
		.major_version = DRIVER_MAJOR,
		.minor_version = DRIVER_MINOR,
		.poll_thresh_size = 4,
		.max_direct_io_size = 16384,
		.dstatusflags = 1U << CU_FILE_NVME_SUPPORTED,
	},
	.fflags = 1U << CU_FILE_BATCH_IO_SUPPORTED | 1U << CU_FILE_STREAMS_SUPPORTED,
	.max_device_cache_size = 128 << 10,
	.per_buffer_cache_size = 1024,
	.max_device_pinned_mem_size = 32 << 20,
	.max_batch_io_size = FRONT_MAX_BATCH,
	.max_batch_io_timeout_msecs = 0,
};

/* In a child of a process that has opened the driver, or was about to. */
static void in_child(void)
{
	pthread_mutex_init(&lock, NULL);
	atomic_store(&state, FORKED);
	atomic_store(&use_count, 0);
}

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value && strcmp(value, "0");
}

/* How zeros are put into blocks never written, so that writes go direct there. */
static uint32_t find_zeros(void)
{
	const char *value = getenv("DMABUF_RW_CUFILE_ZEROS");

	if (value && !strcmp(value, "0"))
		return 0;
	if (value && !strcmp(value, "drive"))
		return DMABUF_RW_ZEROS_BY_DRIVE;
	return DMABUF_RW_ZEROS_BY_DRIVE | DMABUF_RW_ZEROS_WRITTEN;
}

static unsigned int find_max_bonds(void)
{
	const char *value = getenv("DMABUF_RW_CUFILE_BINDINGS");
	struct rlimit limit;
	unsigned long n;

	if (value && *value)
		n = strtoul(value, NULL, 10);
	else if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur / FDS_PER_BOND > MOST_BONDS)
		n = MOST_BONDS;
	else
		n = limit.rlim_cur / FDS_PER_BOND;
	return n < LEAST_BONDS ? LEAST_BONDS : n > MOST_BONDS ? MOST_BONDS : n;
}

static void open_first(void)
{
	pthread_atfork(NULL, NULL, in_child);
	gpu_on_drop(bonds_forget_segment);
	front.direct_only = is_set("DMABUF_RW_CUFILE_DIRECT_ONLY");
	report_open();
	front.max_bonds = find_max_bonds();
	front.zeros = find_zeros();
	front.page_cache = !front.direct_only && is_set("DMABUF_RW_CUFILE_PAGE_CACHE");
	/* Without the module, the kernel's own interface or bouncing may work. */
	dmabuf_rw_device_open(NULL, &front.device);
}

static int refuse_child(void)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&said))
		report_say("this process was forked from one that uses cuFile, and cannot use it: "
			   "start it by exec(2), or fork before the first use");
	return CU_FILE_DRIVER_NOT_INITIALIZED;
}

/* @count: add a use if it is already open. */
static int open_for(bool count)
{
	int now = atomic_load_explicit(&state, memory_order_acquire);

	if (now == OPEN && !count)
		return 0;
	if (now == FORKED)
		return refuse_child();
	pthread_once(&once, open_first);
	pthread_mutex_lock(&lock);
	if (count || atomic_load(&state) == CLOSED)
		atomic_fetch_add(&use_count, 1);
	atomic_store_explicit(&state, OPEN, memory_order_release);
	pthread_mutex_unlock(&lock);
	return 0;
}

int front_open(void)
{
	return open_for(false);
}

int front_let_go(void)
{
	return atomic_load(&state) == FORKED ? refuse_child() : 0;
}

CUFILE_API CUfileError_t cuFileGetVersion(int *version)
{
	if (!version)
		return front_status(CU_FILE_INVALID_VALUE);
	*version = VERSION;
	return front_status(0);
}

CUFILE_API CUfileError_t cuFileDriverOpen(void)
{
	return front_status(open_for(true));
}

/* Another copy of the library may be in the process: a name may lead there. */
static CUfileError_t close_driver(void)
{
	bool last = false;
	int ret = front_let_go();

	if (ret)
		return front_status(ret);
	pthread_mutex_lock(&lock);
	if (atomic_load(&state) != OPEN)
		ret = CU_FILE_DRIVER_NOT_INITIALIZED;
	else
		last = atomic_fetch_sub(&use_count, 1) == 1;
	if (last)
		atomic_store(&state, CLOSED);
	pthread_mutex_unlock(&lock);
	/* Handles and registered buffers stay. */
	if (last)
		gpu_drop_idle();
	return front_status(ret);
}

CUFILE_API CUfileError_t cuFileDriverClose_v2(void)
{
	return close_driver();
}

CUFILE_API CUfileError_t cuFileDriverClose(void)
{
	return close_driver();
}

CUFILE_API long cuFileUseCount(void)
{
	return atomic_load(&use_count);
}

CUFILE_API CUfileError_t cuFileDriverGetProperties(CUfileDrvProps_t *out)
{
	int ret = front_open();

	if (ret || !out)
		return front_status(ret ? ret : CU_FILE_INVALID_VALUE);
	pthread_mutex_lock(&lock);
	*out = props;
	pthread_mutex_unlock(&lock);
	if (!front.direct_only)
		out->nvfs.dcontrolflags |= 1U << CU_FILE_ALLOW_COMPAT_MODE;
	return front_status(0);
}

CUFILE_API CUfileError_t cuFileDriverSetPollMode(bool poll, size_t poll_threshold_size)
{
	const unsigned int bit = 1U << CU_FILE_USE_POLL_MODE;
	int ret = front_open();

	if (ret)
		return front_status(ret);
	pthread_mutex_lock(&lock);
	props.nvfs.dcontrolflags = poll ? bit : 0;
	props.nvfs.poll_thresh_size = poll_threshold_size;
	pthread_mutex_unlock(&lock);
	return front_status(0);
}

CUFILE_API CUfileError_t cuFileDriverSetMaxDirectIOSize(size_t max_direct_io_size)
{
	int ret = front_open();

	if (!ret && (!max_direct_io_size || max_direct_io_size > UINT32_MAX))
		ret = CU_FILE_DRIVER_UNSUPPORTED_LIMIT;
	if (ret)
		return front_status(ret);
	pthread_mutex_lock(&lock);
	props.nvfs.max_direct_io_size = max_direct_io_size;
	pthread_mutex_unlock(&lock);
	return front_status(0);
}

static CUfileError_t set_limit(unsigned int *limit, size_t value)
{
	int ret = front_open();

	if (!ret && (!value || value > UINT32_MAX))
		ret = CU_FILE_DRIVER_UNSUPPORTED_LIMIT;
	if (ret)
		return front_status(ret);
	pthread_mutex_lock(&lock);
	*limit = value;
	pthread_mutex_unlock(&lock);
	return front_status(0);
}

CUFILE_API CUfileError_t cuFileDriverSetMaxCacheSize(size_t max_cache_size)
{
	return set_limit(&props.max_device_cache_size, max_cache_size);
}

CUFILE_API CUfileError_t cuFileDriverSetMaxPinnedMemSize(size_t max_pinned_size)
{
	return set_limit(&props.max_device_pinned_mem_size, max_pinned_size);
}
