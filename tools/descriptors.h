/* SPDX-License-Identifier: MIT */
/*
 * descriptors.h - keeps descriptors 0, 1 and 2 taken; each program of this project begins with it.
 *
 * The parent may have closed them. The next file opened would then get such a number, and output
 * would be written into it.
 */
#ifndef TOOLS_DESCRIPTORS_H
#define TOOLS_DESCRIPTORS_H

#include <fcntl.h>
#include <unistd.h>

/* Opens closed ones of 0, 1 and 2 on /dev/null; ends the program if that fails. */
static inline void take_standard_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* open() returns the lowest free number. */
		if (open("/dev/null", O_RDWR) == fd)
			continue;
		/* Writing to this one fails, but the number is taken. */
		if (open("/", O_RDONLY | O_DIRECTORY) != fd)
			_exit(1);
	}
}

#endif
