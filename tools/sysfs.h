/* SPDX-License-Identifier: MIT */
/*
 * sysfs.h - reads /sys and /proc below a root, which tests replace by a tree of their own.
 *
 * @root is "" for the machine itself, else the real path of a directory. Paths begin with
 * "/sys/" or "/proc/". Nothing here opens a device or writes.
 *
 * The caller frees texts; null with errno if there is nothing to read.
 */
#ifndef TOOLS_SYSFS_H
#define TOOLS_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The first line of an attribute, without trailing blanks. */
char *sysfs_read(const char *root, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same into @text, truncated; false and "" if there is nothing to read. */
bool sysfs_copy(const char *root, char *text, size_t len, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A decimal number; false: there is none. */
bool sysfs_number(const char *root, uint64_t *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool sysfs_exists(const char *root, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The real path of a link, below the root. */
char *sysfs_resolve(const char *root, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The text of a link, which may dangle. */
char *sysfs_link(const char *root, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The sorted names in a directory, null-terminated; free each of them and the array. */
char **sysfs_names(const char *root, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void sysfs_names_free(char **names);
FILE *sysfs_open(const char *root, const char *path);

#endif
