// SPDX-License-Identifier: MIT
/* unsupported.c - functions that only fail, for programs that look up all names. */
#include "front.h"

#define UNSUPPORTED(name, ...)						\
	CUFILE_API CUfileError_t name(__VA_ARGS__)			\
	{								\
		return front_status(CU_FILE_PLATFORM_NOT_SUPPORTED);	\
	}

#pragma GCC diagnostic ignored "-Wunused-parameter"

UNSUPPORTED(cuFileGetParameterSizeT, CUFileSizeTConfigParameter_t param, size_t *value)
UNSUPPORTED(cuFileGetParameterBool, CUFileBoolConfigParameter_t param, bool *value)
UNSUPPORTED(cuFileGetParameterString, CUFileStringConfigParameter_t param, char *value, int len)
UNSUPPORTED(cuFileSetParameterSizeT, CUFileSizeTConfigParameter_t param, size_t value)
UNSUPPORTED(cuFileSetParameterBool, CUFileBoolConfigParameter_t param, bool value)
UNSUPPORTED(cuFileSetParameterString, CUFileStringConfigParameter_t param, const char *value)
UNSUPPORTED(cuFileGetParameterMinMaxValue, CUFileSizeTConfigParameter_t param, size_t *min,
	    size_t *max)
UNSUPPORTED(cuFileGetParameterPosixPoolSlabArray, size_t *sizes, size_t *counts, int nr)
UNSUPPORTED(cuFileSetParameterPosixPoolSlabArray, const size_t *sizes, const size_t *counts,
	    int nr)
UNSUPPORTED(cuFileGetBARSizeInKB, int gpu, size_t *size)
UNSUPPORTED(cuFileSetStatsLevel, int level)
UNSUPPORTED(cuFileGetStatsLevel, int *level)
UNSUPPORTED(cuFileStatsStart, void)
UNSUPPORTED(cuFileStatsStop, void)
UNSUPPORTED(cuFileStatsReset, void)
UNSUPPORTED(cuFileGetStatsL1, CUfileStatsLevel1_t *stats)
UNSUPPORTED(cuFileGetStatsL2, CUfileStatsLevel2_t *stats)
UNSUPPORTED(cuFileGetStatsL3, CUfileStatsLevel3_t *stats)
