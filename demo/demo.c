// SPDX-License-Identifier: GPL-2.0
/*
 * demo.c - the story that make demo tells, inside a test machine on a stock kernel.
 *
 * scripts/demo has compared the kernel's image with its package before it boots the
 * machine, says so in DRW_KERNEL_IMAGE, and prints the last line, "demo: ok", when this
 * program ends with 0 and the kernel's log is clean.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "demo.h"
#include "descriptors.h"

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

int main(void)
{
	take_standard_descriptors();
	setvbuf(stdout, NULL, _IOLBF, 0);

	part("The kernel is a distribution's, unmodified.");
	show_kernel();
	part("The memory is a PCI device's, and an in-tree driver hands it out.");
	show_exporter();
	part("The usual ways to bring data from a drive into that memory fail.");
	show_impossible();
	part("With dmabuf_rw the drive's own DMA goes there, and back.");
	show_bar();
	part("The same with memory of other exporters.");
	show_others();
	part("What it costs, as `make bench` measures it at length.");
	show_cost();
	return 0;
}
