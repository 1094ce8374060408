// SPDX-License-Identifier: MIT
/* hsa_driver.c - the functions of ROCm's runtime. */
#include "gpu_library.h"
#include "hsa_driver.h"

#define NEEDED(field, symbol)	{ offsetof(struct hsa_driver, field), symbol, true }
#define OPTIONAL(field, symbol)	{ offsetof(struct hsa_driver, field), symbol, false }

static const struct gpu_symbol functions[] = {
	NEEDED(init, "hsa_init"),
	NEEDED(system_get_info, "hsa_system_get_info"),
	NEEDED(agent_get_info, "hsa_agent_get_info"),
	NEEDED(pointer_info, "hsa_amd_pointer_info"),
	NEEDED(memory_copy, "hsa_memory_copy"),
	/* Later versions only. */
	OPTIONAL(export_dmabuf, "hsa_amd_portable_export_dmabuf"),
	OPTIONAL(close_dmabuf, "hsa_amd_portable_close_dmabuf"),
	OPTIONAL(on_free, "hsa_amd_register_deallocation_callback"),
	OPTIONAL(status_string, "hsa_status_string"),
		/* For allocating. */
	OPTIONAL(iterate_agents, "hsa_iterate_agents"),
	OPTIONAL(iterate_pools, "hsa_amd_agent_iterate_memory_pools"),
	OPTIONAL(pool_get_info, "hsa_amd_memory_pool_get_info"),
	OPTIONAL(pool_allocate, "hsa_amd_memory_pool_allocate"),
	OPTIONAL(pool_free, "hsa_amd_memory_pool_free"),
};

static struct hsa_driver table;
static struct gpu_library library = {
	.soname = "libhsa-runtime64.so.1", .symbols = functions,
	.nr = sizeof(functions) / sizeof(functions[0]), .table = &table, .bytes = sizeof(table),
};

_Static_assert(sizeof(table) <= GPU_TABLE_BYTES, "the table is too long");

const struct hsa_driver *hsa_driver(void)
{
	return gpu_library_find(&library);
}

const struct hsa_driver *hsa_driver_load(void)
{
	return gpu_library_load(&library);
}

const char *hsa_error_name(int status)
{
	const struct hsa_driver *hsa = hsa_driver();
	const char *text;

	if (!hsa || !hsa->status_string || hsa->status_string(status, &text) || !text)
		return "an HSA error";
	return text;
}
