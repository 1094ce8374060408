// SPDX-License-Identifier: GPL-2.0
/*
 * say.c - prints the demonstration's lines, and reads the machine's settings. All other files use
 * it.
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
