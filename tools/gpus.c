// SPDX-License-Identifier: MIT
/*
 * gpus.c - see gpus.h. Values are those of the public CUDA driver API reference; properties of
 * nodes those of the kernel's drivers/gpu/drm/amd/amdkfd/kfd_topology.c.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpus.h"
#include "sysfs.h"
#include "tool.h"

#define DRIVER		"libcuda.so.1"
#define NO_DEVICE	100	/* CUDA_ERROR_NO_DEVICE */
#define DMA_BUF		124	/* CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED */

struct driver {
	int (*init)(unsigned int flags);
	int (*count)(int *nr);
	int (*get)(int *device, int ordinal);
	int (*name)(char *name, int len, int device);
	int (*pci)(char *pci, int len, int device);
	int (*attribute)(int *value, int attribute, int device);
};

static bool find_driver(struct driver *d)
{
	static const char *const names[] = {
		"cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName",
		"cuDeviceGetPCIBusId", "cuDeviceGetAttribute",
	};
	void **at = (void **)d, *library = dlopen(DRIVER, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	for (i = 0; library && i < ARRAY_SIZE(names); i++) {
		at[i] = dlsym(library, names[i]);
		if (!at[i])
			library = NULL;
	}
	return library;
}

static void list(struct gpus *gpus)
{
	int err, nr = 0, device, i, value;
	struct driver d;

	if (!find_driver(&d)) {
		snprintf(gpus->why_none, sizeof(gpus->why_none), "there is no CUDA driver ("
			 DRIVER ")");
		return;
	}
	err = d.init(0);
	if (!err)
		err = d.count(&nr);
	if (err && err != NO_DEVICE)
		snprintf(gpus->why_none, sizeof(gpus->why_none),
			 "the CUDA driver fails with error %d", err);
	for (i = 0; !err && i < nr && gpus->nr < GPUS_MAX; i++) {
		struct gpu *g = &gpus->gpus[gpus->nr];

		if (d.get(&device, i))
			continue;
		if (d.pci(g->pci, sizeof(g->pci), device))
			g->pci[0] = 0;
		if (d.name(g->name, sizeof(g->name), device))
			g->name[0] = 0;
		g->dma_buf = !d.attribute(&value, DMA_BUF, device) && value;
		gpus->nr++;
	}
	if (!gpus->nr && !gpus->why_none[0])
		snprintf(gpus->why_none, sizeof(gpus->why_none), "the CUDA driver shows none");
}

/* Runs in the child, which has no terminal and takes the driver's leftovers with it. */
static void answer(int fd, pid_t parent)
{
	struct gpus gpus = { 0 };
	int null = open("/dev/null", O_RDWR), i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null < 0 || getppid() != parent)
		_exit(1);
	for (i = 0; i <= STDERR_FILENO; i++)
		dup2(null, i);
	list(&gpus);
	_exit(write(fd, &gpus, sizeof(gpus)) != sizeof(gpus));
}

void gpus_ask(struct gpus_question *q)
{
	pid_t parent = getpid();
	int fds[2], fd;

	*q = (struct gpus_question){ .child = -1, .fd = -1 };
	/* With a larger answer the child would block. */
	_Static_assert(sizeof(struct gpus) <= 65536, "the answer fits into a pipe");
	if (pipe2(fds, O_CLOEXEC))
		return;
	q->child = fork();
	if (!q->child) {
		fd = fcntl(fds[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		answer(fd, parent);
	}
	close(fds[1]);
	q->fd = fds[0];
}

/* False: no answer in time. */
static bool read_answer(int fd, int timeout_ms, struct gpus *gpus)
{
	int64_t end = clock_ns() + timeout_ms * INT64_C(1000000), left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(*gpus)) {
		left = end - clock_ns();
		n = poll(&p, 1, left > 0 ? left / 1000000 : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		n = read(fd, (char *)gpus + got, sizeof(*gpus) - got);
		if (n <= 0)
			break;
		got += n;
	}
	if (got == sizeof(*gpus))
		return true;
	*gpus = (struct gpus){ .why_none = "the CUDA driver could not be asked" };
	return true;
}

void gpus_finish(struct gpus_question *q, int timeout_ms, struct gpus *gpus)
{
	*gpus = (struct gpus){ .why_none = "the CUDA driver could not be asked" };
	if (q->child > 0) {
		if (!read_answer(q->fd, timeout_ms, gpus))
			*gpus = (struct gpus){ .why_none = "the CUDA driver has not answered in "
							   "time" };
		/*
		 * The child ends by itself, or with this process. If it were killed now, the
		 * program would have to repeat the initialization that it has begun.
		 */
		waitpid(q->child, NULL, WNOHANG);
	}
	if (q->fd >= 0)
		close(q->fd);
}

/* ---- ROCm's ------------------------------------------------------------------------------- */

#define NODES "/sys/class/kfd/kfd/topology/nodes"

/* False: the node is a CPU, or cannot be read. */
static bool read_node(const char *root, const char *node, struct gpu *g)
{
	unsigned long long value, compute_units = 0, place = 0, domain = 0, version = 0;
	char path[320], line[128], key[64];
	FILE *f;

	snprintf(path, sizeof(path), NODES "/%s/properties", node);
	f = sysfs_open(root, path);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %llu", key, &value) != 2)
			continue;
		if (!strcmp(key, "simd_count"))
			compute_units = value;
		else if (!strcmp(key, "location_id"))
			place = value;
		else if (!strcmp(key, "domain"))
			domain = value;
		else if (!strcmp(key, "gfx_target_version"))
			version = value;
	}
	if (f)
		fclose(f);
	*g = (struct gpu){ .rocm = true, .dma_buf = true };
	snprintf(g->pci, sizeof(g->pci), "%04x:%02x:%02x.%u", (unsigned int)domain & 0xffffffff,
		 (unsigned int)(place >> 8) & 0xff, (unsigned int)(place >> 3) & 0x1f,
		 (unsigned int)place & 7);
	/* A partition has its number in the function. */
	if (!sysfs_exists(root, "/sys/bus/pci/devices/%s", g->pci))
		g->pci[strlen(g->pci) - 1] = '0';
	/* 90402 is gfx942, 90010 gfx90a. */
	snprintf(g->name, sizeof(g->name), "gfx%llu%llx%llx", version / 10000, version / 100 % 100,
		 version % 100);
	return compute_units;
}

void gpus_of_rocm(const char *root, struct gpus *gpus)
{
	char **names = sysfs_names(root, NODES);
	unsigned int i, j;

	gpus->nr = 0;
	for (i = 0; names && names[i] && gpus->nr < GPUS_MAX; i++) {
		struct gpu *g = &gpus->gpus[gpus->nr];

		if (!read_node(root, names[i], g))
			continue;
		for (j = 0; j < gpus->nr && strcmp(gpus->gpus[j].pci, g->pci); j++)
			;
		gpus->nr += j == gpus->nr;
	}
	sysfs_names_free(names);
}
