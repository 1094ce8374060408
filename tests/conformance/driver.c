// SPDX-License-Identifier: MIT
/* driver.c - names, versions, opening and closing, properties. */
#include "conformance.h"

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

/* What programs look for: the first ones all of them, the others those with newer headers. */
void names_are_there(void)
{
	static const struct {
		const char *name;
		enum basis basis;
	} names[] = {
		{ "cuFileGetVersion", RELIED_ON },
		{ "cuFileDriverOpen", DOCUMENTED },
		{ "cuFileDriverClose", DOCUMENTED },
		{ "cuFileDriverClose_v2", RELIED_ON },
		{ "cuFileUseCount", DOCUMENTED },
		{ "cuFileDriverGetProperties", DOCUMENTED },
		{ "cuFileDriverSetPollMode", DOCUMENTED },
		{ "cuFileDriverSetMaxDirectIOSize", DOCUMENTED },
		{ "cuFileDriverSetMaxCacheSize", DOCUMENTED },
		{ "cuFileDriverSetMaxPinnedMemSize", DOCUMENTED },
		{ "cuFileHandleRegister", DOCUMENTED },
		{ "cuFileHandleDeregister", DOCUMENTED },
		{ "cuFileBufRegister", DOCUMENTED },
		{ "cuFileBufDeregister", DOCUMENTED },
		{ "cuFileRead", DOCUMENTED },
		{ "cuFileWrite", DOCUMENTED },
		{ "cuFileBatchIOSetUp", DOCUMENTED },
		{ "cuFileBatchIOSubmit", DOCUMENTED },
		{ "cuFileBatchIOGetStatus", DOCUMENTED },
		{ "cuFileBatchIOCancel", DOCUMENTED },
		{ "cuFileBatchIODestroy", DOCUMENTED },
		{ "cuFileReadAsync", DOCUMENTED },
		{ "cuFileWriteAsync", DOCUMENTED },
		{ "cuFileStreamRegister", DOCUMENTED },
		{ "cuFileStreamDeregister", DOCUMENTED },
		{ "cuFileGetParameterSizeT", CHOSEN },
		{ "cuFileGetParameterBool", CHOSEN },
		{ "cuFileGetParameterString", CHOSEN },
		{ "cuFileSetParameterSizeT", CHOSEN },
		{ "cuFileSetParameterBool", CHOSEN },
		{ "cuFileSetParameterString", CHOSEN },
		{ "cuFileGetParameterMinMaxValue", CHOSEN },
		{ "cuFileGetParameterPosixPoolSlabArray", CHOSEN },
		{ "cuFileSetParameterPosixPoolSlabArray", CHOSEN },
		{ "cuFileGetBARSizeInKB", CHOSEN },
		{ "cuFileSetStatsLevel", CHOSEN },
		{ "cuFileGetStatsLevel", CHOSEN },
		{ "cuFileStatsStart", CHOSEN },
		{ "cuFileStatsStop", CHOSEN },
		{ "cuFileStatsReset", CHOSEN },
		{ "cuFileGetStatsL1", CHOSEN },
		{ "cuFileGetStatsL2", CHOSEN },
		{ "cuFileGetStatsL3", CHOSEN },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		answer(names[i].basis, names[i].name, "there", "%s",
		       library_symbol(names[i].name) ? "there" : "missing");
}

void driver_is_counted(void)
{
	int version = 0;
	CUfileError_t status;

	use_device();
	answer(DOCUMENTED, "version", "ok", "%s", status_word(cf.GetVersion(&version)));
	answer(RELIED_ON, "version_is_1000_times_major_and_10_times_minor", "yes", "%s",
	       yes_no(version >= 1000 && version < 10000 && !(version % 10)));
	answer(CHOSEN, "version_to_null", "INVALID_VALUE", "%s", status_word(cf.GetVersion(NULL)));
	answer(DOCUMENTED, "count_before_opening", "0", "%ld", cf.UseCount());
	answer(CHOSEN, "close_before_opening", "DRIVER_NOT_INITIALIZED", "%s",
	       status_word(cf.DriverClose()));
	answer(DOCUMENTED, "open", "ok", "%s", status_word(cf.DriverOpen()));
	answer(DOCUMENTED, "count_when_open", "1", "%ld", cf.UseCount());
	answer(RELIED_ON, "open_again", "ok", "%s", status_word(cf.DriverOpen()));
	answer(RELIED_ON, "count_when_open_twice", "2", "%ld", cf.UseCount());
	answer(DOCUMENTED, "close", "ok", "%s", status_word(cf.DriverClose()));
	answer(RELIED_ON, "count_when_closed_once", "1", "%ld", cf.UseCount());
	status = cf.DriverClose();
	answer(DOCUMENTED, "close_again", "ok", "%s", status_word(status));
	answer(DOCUMENTED, "count_when_closed", "0", "%ld", cf.UseCount());
	answer(CHOSEN, "close_when_closed", "DRIVER_NOT_INITIALIZED", "%s",
	       status_word(cf.DriverClose()));
	answer(DOCUMENTED, "open_when_closed", "ok", "%s", status_word(cf.DriverOpen()));
	answer(DOCUMENTED, "count_when_open_anew", "1", "%ld", cf.UseCount());
}

static void ask_for_limits(void)
{
	CUfileDrvProps_t props = { 0 };

	answer(DOCUMENTED, "set_poll_mode", "ok", "%s",
	       status_word(cf.DriverSetPollMode(true, 8)));
	answer(DOCUMENTED, "set_max_direct_io_size", "ok", "%s",
	       status_word(cf.DriverSetMaxDirectIOSize(1024)));
	answer(DOCUMENTED, "set_max_cache_size", "ok", "%s",
	       status_word(cf.DriverSetMaxCacheSize(65536)));
	answer(DOCUMENTED, "set_max_pinned_mem_size", "ok", "%s",
	       status_word(cf.DriverSetMaxPinnedMemSize(1048576)));
	cf.DriverGetProperties(&props);
	answer(DOCUMENTED, "poll_mode_is_reported", "yes", "%s",
	       yes_no(props.nvfs.dcontrolflags & 1U << CU_FILE_USE_POLL_MODE));
	answer(DOCUMENTED, "poll_threshold_is_reported", "8", "%zu", props.nvfs.poll_thresh_size);
	answer(DOCUMENTED, "max_direct_io_size_is_reported", "1024", "%zu",
	       props.nvfs.max_direct_io_size);
	answer(DOCUMENTED, "max_cache_size_is_reported", "65536", "%u",
	       props.max_device_cache_size);
	answer(DOCUMENTED, "max_pinned_mem_size_is_reported", "1048576", "%u",
	       props.max_device_pinned_mem_size);
	answer(DOCUMENTED, "set_max_direct_io_size_0", "DRIVER_UNSUPPORTED_LIMIT", "%s",
	       status_word(cf.DriverSetMaxDirectIOSize(0)));
	answer(CHOSEN, "set_max_cache_size_0", "DRIVER_UNSUPPORTED_LIMIT|ok", "%s",
	       status_word(cf.DriverSetMaxCacheSize(0)));
	answer(CHOSEN, "set_max_pinned_mem_size_0", "DRIVER_UNSUPPORTED_LIMIT|ok", "%s",
	       status_word(cf.DriverSetMaxPinnedMemSize(0)));
	answer(CHOSEN, "set_max_cache_size_too_large", "DRIVER_UNSUPPORTED_LIMIT", "%s",
	       status_word(cf.DriverSetMaxCacheSize(SIZE_MAX)));
}

/* By a program that has not opened the driver. */
void driver_properties(void)
{
	CUfileDrvProps_t props = { 0 };

	use_device();
	answer(RELIED_ON, "get", "ok", "%s", status_word(cf.DriverGetProperties(&props)));
	answer(CHOSEN, "get_has_opened_the_driver", "1", "%ld", cf.UseCount());
	answer(CHOSEN, "get_to_null", "INVALID_VALUE", "%s",
	       status_word(cf.DriverGetProperties(NULL)));
	answer(RELIED_ON, "kernel_driver_has_a_version", "yes", "%s",
	       yes_no(props.nvfs.major_version || props.nvfs.minor_version));
	answer(RELIED_ON, "nvme_is_supported", "yes", "%s",
	       yes_no(props.nvfs.dstatusflags & 1U << CU_FILE_NVME_SUPPORTED));
	answer(RELIED_ON, "batches_are_supported", "yes", "%s",
	       yes_no(props.fflags & 1U << CU_FILE_BATCH_IO_SUPPORTED));
	answer(RELIED_ON, "streams_are_supported", "yes", "%s",
	       yes_no(props.fflags & 1U << CU_FILE_STREAMS_SUPPORTED));
	answer(RELIED_ON, "bouncing_is_allowed", "yes", "%s",
	       yes_no(props.nvfs.dcontrolflags & 1U << CU_FILE_ALLOW_COMPAT_MODE));
	answer(RELIED_ON, "max_batch_io_size", "128", "%u", props.max_batch_io_size);
	answer(DOCUMENTED, "max_direct_io_size_is_not_0", "yes", "%s",
	       yes_no(props.nvfs.max_direct_io_size));
	ask_for_limits();
}

/* A library may serve them; then it does so without an error. */
void functions_not_served(void)
{
	CUfileError_t (*get_size)(int param, size_t *value);
	CUfileError_t (*get_level)(int *level);
	size_t value = 0;
	int level = 0;

	use_device();
	*(void **)&get_size = library_symbol("cuFileGetParameterSizeT");
	*(void **)&get_level = library_symbol("cuFileGetStatsLevel");
	if (!get_size || !get_level)
		give_up("the library is older than parameters and statistics");
	answer(CHOSEN, "get_parameter", "PLATFORM_NOT_SUPPORTED|ok", "%s",
	       status_word(get_size(0, &value)));
	answer(CHOSEN, "get_stats_level", "PLATFORM_NOT_SUPPORTED|ok", "%s",
	       status_word(get_level(&level)));
}
