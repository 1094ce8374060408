// SPDX-License-Identifier: MIT
/*
 * cufile_client.c - a program that looks for libcufile, for cufile_run.c; it has no sanitizer, as
 * those of users have not.
 *
 * usage: cufile_client HOW FILE; HOW: name, devel, default, maps. Reads 4096 bytes of FILE into
 * memory of the host, and exits with 5.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cufile/cufile.h"

static void *by_maps(void)
{
	char line[4096], *path = NULL;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && !path && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (strstr(line, "libcufile.so"))
			path = strchr(line, '/');
	}
	return path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
}

static void *find_library(const char *how)
{
	if (!strcmp(how, "name"))
		return dlopen("libcufile.so.0", RTLD_NOW);
	if (!strcmp(how, "devel"))
		return dlopen("libcufile.so", RTLD_NOW);
	if (!strcmp(how, "maps"))
		return by_maps();
	return dlopen(NULL, RTLD_NOW);
}

int main(int argc, char **argv)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD };
	void *library = argc == 3 ? find_library(argv[1]) : NULL;
	ssize_t (*read_file)(CUfileHandle_t, void *, size_t, off_t, off_t);
	CUfileError_t (*add)(CUfileHandle_t *, CUfileDescr_t *);
	CUfileHandle_t fh;
	char mem[4096];

	if (!library)
		return 9;
	*(void **)&add = dlsym(library, "cuFileHandleRegister");
	*(void **)&read_file = dlsym(library, "cuFileRead");
	descr.handle.fd = open(argv[2], O_RDONLY);
	if (!add || !read_file || add(&fh, &descr).err)
		return 8;
	printf("read %zd\n", read_file(fh, mem, sizeof(mem), 0, 0));
	return 5;
}
