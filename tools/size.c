// SPDX-License-Identifier: MIT
/* size.c - byte counts with suffixes. No state; thread-safe. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "size.h"

int size_parse(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	uint64_t value, factor = 1;
	const char *unit;
	char *end;
	int i;

	/* strtoull() would accept a sign and leading blanks. */
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, strncasecmp(text, "0x", 2) ? 10 : 16);
	if (errno == ERANGE)
		return -ERANGE;
	if (errno || end == text)
		return -EINVAL;

	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit) {
			const char *rest = end + 1;
			int base = 1024;

			if (!strcasecmp(rest, "b"))
				base = 1000;
			else if (*rest && strcasecmp(rest, "ib"))
				return -EINVAL;
			for (i = 0; i <= unit - units; i++)
				factor *= base;
		} else if (strcasecmp(end, "b")) {
			return -EINVAL;
		}
	}
	if (__builtin_mul_overflow(value, factor, &value) || value > INT64_MAX)
		return -ERANGE;
	*bytes = value;
	return 0;
}

int size_parse_range(const char *text, uint64_t *off, uint64_t *len)
{
	const char *colon = strchr(text, ':');
	char *first = colon ? strndup(text, colon - text) : NULL;
	bool fits = first && !size_parse(first, off) && !size_parse(colon + 1, len);

	free(first);
	return fits ? 0 : -EINVAL;
}

const char *size_format(double bytes, char *buf, size_t len)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	unsigned int i = 0;

	/* 1023.96 would print as 1024.0. */
	while (bytes >= 1023.95 && i < ARRAY_SIZE(units) - 1) {
		bytes /= 1024;
		i++;
	}
	if (i == 0)
		snprintf(buf, len, "%.0f B", bytes);
	else
		snprintf(buf, len, "%.1f %s", bytes, units[i]);
	return buf;
}
