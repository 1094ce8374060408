// SPDX-License-Identifier: GPL-2.0
/*
 * demo.c - the demonstration of make demo, inside a test machine on a stock kernel.
 *
 * scripts/demo has compared the kernel's image with its package before it boots the
 * machine, says so in DRW_KERNEL_IMAGE, and prints the last line, "demo: ok", when this
 * program ends with 0 and the kernel's log is clean.
 */
#include <stdio.h>

#include "demo.h"
#include "descriptors.h"

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
	part("It need not be memory: the drive rings another device's doorbell.");
	show_doorbell();
	part("What it costs, as `make bench` measures it at length.");
	show_cost();
	return 0;
}
