/* SPDX-License-Identifier: MIT */
/*
 * hsa_driver.h - the part of ROCm's runtime, libhsa-runtime64.so.1, that the library calls; not
 * installed.
 *
 * These declarations are our own, so building needs nothing of ROCm. A function that the runtime
 * lacks is null. Only the command loads the runtime; libcufile does not: a process has device
 * pointers only if something in it, mostly HIP's runtime, has loaded it.
 *
 * Values are those of the public interface: the HSA specification 1.2, and AMD's extensions as ROCm
 * documents them.
 */
#ifndef HSA_DRIVER_H
#define HSA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

struct hsa_agent {
	uint64_t handle;
};

struct hsa_pool {
	uint64_t handle;
};

enum hsa_status {
	HSA_OK			= 0,
	HSA_BREAK		= 1,	/* from a callback: stop the iteration */
	HSA_OUT_OF_RESOURCES	= 0x1008,
	HSA_NOT_INITIALIZED	= 0x100b,
};

enum hsa_system_info {
	HSA_SYSTEM_DMA_BUF	= 0x204,	/* bool */
};

enum hsa_agent_info {
	HSA_AGENT_DEVICE	= 17,		/* HSA_DEVICE_GPU and others, int */
	HSA_AGENT_BDF		= 0xa006,	/* bus, device and function, uint32_t */
	HSA_AGENT_HDP_FLUSH	= 0xa00e,	/* struct hsa_hdp_flush */
	HSA_AGENT_DOMAIN	= 0xa00f,	/* of PCI, uint32_t */
};

#define HSA_DEVICE_GPU		1

/* Registers of the device's host data path; null: nothing to flush. */
struct hsa_hdp_flush {
	volatile uint32_t *memory, *registers;
};

enum hsa_pool_info {
	HSA_POOL_SEGMENT	= 0,	/* HSA_SEGMENT_GLOBAL and others, int */
	HSA_POOL_FLAGS		= 1,	/* HSA_POOL_COARSE and others, uint32_t */
	HSA_POOL_MAY_ALLOCATE	= 5,	/* bool */
};

#define HSA_SEGMENT_GLOBAL	0
#define HSA_POOL_COARSE		4

enum hsa_pointer_type {
	HSA_POINTER_UNKNOWN	= 0,	/* not allocated, or system memory */
	HSA_POINTER_ALLOCATED	= 1,
	HSA_POINTER_LOCKED	= 2,	/* memory of the host, pinned */
	HSA_POINTER_GRAPHICS	= 3,	/* imported from another API */
	HSA_POINTER_IPC		= 4,	/* of another process */
	HSA_POINTER_RESERVED	= 5,	/* addresses without memory */
	HSA_POINTER_VIRTUAL	= 6,	/* memory mapped into reserved addresses */
};

struct hsa_pointer_info {
	uint32_t bytes;		/* size of this structure; in and out */
	int type;
	void *base;		/* for devices */
	void *host_base;
	size_t len;
	void *user_data;
	struct hsa_agent owner;
	uint32_t flags;		/* HSA_POOL_COARSE and others */
};

struct hsa_driver {
	int (*init)(void);
	int (*system_get_info)(int attribute, void *value);
	int (*agent_get_info)(struct hsa_agent agent, int attribute, void *value);
	int (*pointer_info)(const void *p, struct hsa_pointer_info *info,
			    void *(*alloc)(size_t bytes), uint32_t *nr, struct hsa_agent **agents);
	int (*memory_copy)(void *to, const void *from, size_t bytes);
	/* Optional from here on. */
	int (*export_dmabuf)(const void *p, size_t bytes, int *fd, uint64_t *offset);
	int (*close_dmabuf)(int fd);
	int (*on_free)(void *p, void (*fn)(void *p, void *arg), void *arg);
	int (*status_string)(int status, const char **text);
	int (*iterate_agents)(int (*fn)(struct hsa_agent agent, void *arg), void *arg);
	int (*iterate_pools)(struct hsa_agent agent, int (*fn)(struct hsa_pool pool, void *arg),
			     void *arg);
	int (*pool_get_info)(struct hsa_pool pool, int attribute, void *value);
	int (*pool_allocate)(struct hsa_pool pool, size_t bytes, uint32_t flags, void **p);
	int (*pool_free)(void *p);
};

/* Null: this process has no ROCm runtime, or one that lacks needed functions. Cheap. */
const struct hsa_driver *hsa_driver(void);
/* The same, but loads the runtime. For the command. */
const struct hsa_driver *hsa_driver_load(void);

/* The runtime's text for @status; "an HSA error" if it has none. */
const char *hsa_error_name(int status);

#endif /* HSA_DRIVER_H */
