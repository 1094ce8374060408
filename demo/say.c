// SPDX-License-Identifier: GPL-2.0
/*
 * say.c - what the demonstration prints, and where it learns what the machine is. All its
 * other files stand on this one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "demo.h"

void part(const char *title)
{
	printf("\n%s\n", title);
}

void fact(const char *about, const char *format, ...)
{
	va_list ap;

	printf("  %-10s ", about);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

void die(const char *format, ...)
{
	va_list ap;

	fputs("demo: ", stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	exit(1);
}

const char *machine_setting(const char *name)
{
	const char *value = getenv(name);

	if (!value || !*value)
		die("the machine does not say its %s", name);
	return value;
}
