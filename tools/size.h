/* SPDX-License-Identifier: MIT */
/* size.h - byte counts with suffixes, in and out. Thread-safe. */
#ifndef TOOLS_SIZE_H
#define TOOLS_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Parses "4096", "0x1000", "64K", "64KiB" (1024 each), "64KB" (1000 each), and so on
 * with M, G, T. Case does not matter. 0, -EINVAL: not a size; -ERANGE: over 63 bits.
 */
int size_parse(const char *text, uint64_t *bytes);

/* "OFFSET:LENGTH", both as above. 0 or -EINVAL. */
int size_parse_range(const char *text, uint64_t *off, uint64_t *len);

/* "1.5 GiB", "512 B"; @buf has at least 24 bytes. Returns @buf. */
const char *size_format(double bytes, char *buf, size_t len);

#endif
