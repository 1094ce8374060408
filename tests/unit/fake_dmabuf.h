/* SPDX-License-Identifier: MIT */
/* fake_dmabuf.h - what stands for a dma-buf in the fakes: a memfd. */
#ifndef FAKE_DMABUF_H
#define FAKE_DMABUF_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline bool fake_is_dmabuf(int fd)
{
	char path[32], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	return !strncmp(target, "/memfd:", 7);
}

#endif
