/* SPDX-License-Identifier: GPL-2.0 */
/*
 * require.h - what a test needs of its machine. Where that is missing, the test is skipped
 * and says what it is.
 *
 * Disks are asked for by disk_open(), variables of the machine by machine_var(), rings by
 * drw_ring(): these skip as well.
 */
#ifndef REQUIRE_H
#define REQUIRE_H

#include "harness.h"

/* A module of the kernel's, which is loaded; built in is as good. */
void require_module(const char *name);
/* A program, by its name or path. */
void require_tool(const char *name);
/* A file system that the kernel can mount; loads its module. */
void require_filesystem(const char *name);
/* An IOMMU in use; native multipath. */
void require_iommu(void);
void require_multipath(void);
/* A file or directory, such as one of sysfs that shows that the kernel can do @what. */
void require_path(const char *path, const char *what);

/* No, where the kernel asks for a host bridge it knows, and no IOMMU translates. */
bool bars_have_a_route(void);

#endif
