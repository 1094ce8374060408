// SPDX-License-Identifier: MIT
/* sysfs.c - see sysfs.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sysfs.h"
#include "text.h"

/* An attribute has at most a page. */
#define ATTRIBUTE	4096

static char *below(const char *root, const char *format, va_list ap)
{
	char *path = text_vformat(format, ap), *all;

	if (!path)
		return NULL;
	all = text_format("%s%s", root, path);
	free(path);
	return all;
}

#define BELOW(path, root, format)		\
	do {					\
		va_list ap_;			\
						\
		va_start(ap_, format);		\
		path = below(root, format, ap_);\
		va_end(ap_);			\
	} while (0)

static bool read_line(const char *path, char *text, size_t len)
{
	FILE *f = path ? fopen(path, "re") : NULL;
	size_t n;

	text[0] = 0;
	if (!f)
		return false;
	n = fread(text, 1, len - 1, f);
	text[n] = 0;
	fclose(f);
	n = strcspn(text, "\n");
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = 0;
	return true;
}

char *sysfs_read(const char *root, const char *format, ...)
{
	char text[ATTRIBUTE], *path;
	bool found;

	BELOW(path, root, format);
	found = read_line(path, text, sizeof(text));
	free(path);
	return found ? strdup(text) : NULL;
}

bool sysfs_copy(const char *root, char *text, size_t len, const char *format, ...)
{
	char *path;
	bool found;

	BELOW(path, root, format);
	found = read_line(path, text, len);
	free(path);
	return found;
}

bool sysfs_number(const char *root, uint64_t *value, const char *format, ...)
{
	char text[64], *path, *end;
	bool found;

	BELOW(path, root, format);
	found = read_line(path, text, sizeof(text)) && isdigit((unsigned char)text[0]);
	free(path);
	if (!found)
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end;
}

bool sysfs_exists(const char *root, const char *format, ...)
{
	char *path;
	bool found;

	BELOW(path, root, format);
	found = path && !access(path, F_OK);
	free(path);
	return found;
}

char *sysfs_resolve(const char *root, const char *format, ...)
{
	char *path, *real;
	size_t skip = strlen(root);

	BELOW(path, root, format);
	real = path ? realpath(path, NULL) : NULL;
	free(path);
	if (!real)
		return NULL;
	/* Refuse a path that leads out of the root. */
	if (strncmp(real, root, skip)) {
		free(real);
		errno = ENOENT;
		return NULL;
	}
	memmove(real, real + skip, strlen(real + skip) + 1);
	return real;
}

char *sysfs_link(const char *root, const char *format, ...)
{
	char text[PATH_MAX], *path;
	ssize_t n;

	BELOW(path, root, format);
	n = path ? readlink(path, text, sizeof(text) - 1) : -1;
	free(path);
	if (n < 0)
		return NULL;
	text[n] = 0;
	return strdup(text);
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

char **sysfs_names(const char *root, const char *format, ...)
{
	struct dirent **entries = NULL;
	char *path, **names;
	int n, i;

	BELOW(path, root, format);
	n = path ? scandir(path, &entries, no_dots, versionsort) : -1;
	free(path);
	if (n < 0)
		return NULL;
	names = calloc(n + 1, sizeof(*names));
	for (i = 0; i < n; i++) {
		if (names)
			names[i] = strdup(entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return names;
}

void sysfs_names_free(char **names)
{
	size_t i;

	for (i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

FILE *sysfs_open(const char *root, const char *path)
{
	char *all = text_format("%s%s", root, path);
	FILE *f = all ? fopen(all, "re") : NULL;

	free(all);
	return f;
}
