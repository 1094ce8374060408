// SPDX-License-Identifier: MIT
/*
 * conformance_direct.c - the conformance program with libcufile in it, on a module that is a fake,
 * so that its bytes go direct: --library "" asks the program's own functions.
 */
#include "../fake_cuda/fake_cuda.h"

/* A memfd is what the fake module takes for a dma-buf. */
static void __attribute__((constructor)) export_memfds(void)
{
	fake_cuda.memfd = true;
}
