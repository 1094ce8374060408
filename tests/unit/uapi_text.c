// SPDX-License-Identifier: MIT
/* uapi_text.c - see uapi_text.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uapi_text.h"
#include "unit.h"

#define HEADER TOP "/include/uapi/dmabuf_rw.h"

#define MAX_TEXT (1 << 18)

char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, MAX_TEXT);

	if (!f)
		fail_msg("%s cannot be opened", path);
	assert_non_null(text);
	assert_in_range(fread(text, 1, MAX_TEXT, f), 100, MAX_TEXT - 1);
	fclose(f);
	return text;
}

/* errno by its name, through libc's own table. */
static int errno_of(const char *name)
{
	int e;

	for (e = 1; e < 4096; e++) {
		const char *n = strerrorname_np(e);

		if (n && !strcmp(n, name))
			return e;
	}
	return 0;
}

/* Rows are " *   ERRNO, ERRNO | call | meaning"; the column continues in rows below. */
int table_errnos(int *errnos, char calls[][32])
{
	char *text = read_text(HEADER), *save, *line;
	int n = 0, in_table = 0;
	char call[32] = "";

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *bar = strchr(line, '|'), *bar2, *p, name[32];
		size_t len;

		if (strstr(line, "errno ") && bar) {
			in_table = 1;
			continue;
		}
		if (!in_table || strstr(line, "---"))
			continue;
		if (!bar)
			break;
		bar2 = strchr(bar + 1, '|');
		if (!bar2)
			continue;	/* a footnote */
		*bar2 = 0;
		for (p = bar + 1; *p == ' '; p++)
			;
		if (*p)
			snprintf(call, sizeof(call), "%s", p);
		*bar = 0;
		for (p = line; *p; p += len ? len : 1) {
			len = 0;
			while (isupper((unsigned char)p[len]) ||
			       isdigit((unsigned char)p[len]))
				len++;
			if (len < 2 || *p != 'E')
				continue;
			snprintf(name, sizeof(name), "%.*s", (int)len, p);
			errnos[n] = errno_of(name);
			if (!errnos[n])
				fail_msg("the header names an errno %s unknown to libc",
					 name);
			snprintf(calls[n], 32, "%s", call);
			n++;
			assert_true(n < MAX_NAMES);
		}
	}
	free(text);
	return n;
}

int enum_reasons(char names[][48], unsigned int *values)
{
	char *text = read_text(HEADER), *p = strstr(text, "enum dmabuf_rw_reason {");
	char *end;
	int n = 0;

	assert_non_null(p);
	end = strstr(p, "};");
	assert_non_null(end);
	*end = 0;
	while ((p = strstr(p, "DMABUF_RW_REASON_"))) {
		p += strlen("DMABUF_RW_REASON_");
		assert_int_equal(sscanf(p, "%47[A-Z0-9_] = %u", names[n], &values[n]), 2);
		n++;
		assert_true(n < MAX_NAMES);
	}
	free(text);
	return n;
}
