// SPDX-License-Identifier: MIT
/*
 * cufile_client.c - a program that looks for libcufile, for cufile_run.c; it has no sanitizer, as
 * those of users have not.
 *
 * usage: cufile_client HOW FILE [LIFE]; HOW: name, devel, default, maps. Reads 4096 bytes of FILE
 * into memory of the host, and exits with 5; LIFE is what else becomes of it, of those below.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cufile/account.h"
#include "cufile/cufile.h"

static void *library;
static char **arguments;

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

/* The file's first bytes, by @fd. */
static int read_some(int fd)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD, .handle.fd = fd };
	ssize_t (*read_file)(CUfileHandle_t, void *, size_t, off_t, off_t);
	CUfileError_t (*add)(CUfileHandle_t *, CUfileDescr_t *);
	CUfileHandle_t fh;
	char mem[4096];

	*(void **)&add = dlsym(library, "cuFileHandleRegister");
	*(void **)&read_file = dlsym(library, "cuFileRead");
	if (!add || !read_file || add(&fh, &descr).err)
		return 8;
	printf("read %zd\n", read_file(fh, mem, sizeof(mem), 0, 0));
	fflush(stdout);
	return 5;
}

static int read_again(void)
{
	return read_some(open(arguments[2], O_RDONLY | O_CLOEXEC));
}

static int by_signal(int fd)
{
	read_some(fd);
	kill(getpid(), SIGKILL);
	return 7;
}

static int by_exit(int fd)
{
	_exit(read_some(fd));
}

static int by_exec(int fd)
{
	read_some(fd);
	execl("/proc/self/exe", arguments[0], arguments[1], arguments[2], NULL);
	return 7;
}

static int in_children(int nr)
{
	int status, i;

	for (i = 0; i < nr; i++) {
		if (!fork())
			_exit(read_again());
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 5)
			return 7;
	}
	return 5;
}

static int three_children(int fd)
{
	return in_children(3) == 5 ? read_some(fd) : 7;
}

static int too_many_children(int fd)
{
	(void)fd;
	return in_children(ACCOUNT_RECORDS + 2);
}

static int closes_all(int fd)
{
	read_some(fd);
	closefrom(STDERR_FILENO + 1);
	/* The first one's number is registered. */
	return by_signal(fcntl(open(arguments[2], O_RDONLY), F_DUPFD, fd + 1));
}

static int as_nobody(int fd)
{
	return setuid(65534) ? 77 : read_some(fd);
}

static int elsewhere(int fd)
{
	return chroot(TOP "/man") ? 77 : read_some(fd);
}

/* The process that made the account. */
static pid_t run_of(const char *path)
{
	int pid = 0;

	return path && sscanf(path, "/proc/%d/", &pid) == 1 ? pid : 0;
}

/* A child reads once while the command is there, and once when it has gone. */
static int outlives(int fd)
{
	pid_t run = run_of(getenv(ACCOUNT_VARIABLE));
	int ready[2], n;
	char c = 0;

	if (pipe(ready) || !run)
		return 7;
	if (fork())
		return read(ready[0], &c, 1) == 1 ? 5 : 7;
	n = read_some(fd);
	if (write(ready[1], &c, 1) != 1)
		return 7;
	while (!kill(run, 0))
		usleep(1000);
	return n == 5 ? read_again() : n;
}

/* Ends the command, which is then not there to tell anything. */
static int kills_the_command(int fd)
{
	pid_t run = run_of(getenv(ACCOUNT_VARIABLE));
	int n = read_some(fd);

	kill(run, SIGKILL);
	while (!kill(run, 0))
		usleep(1000);
	return n;
}

/* Whatever may be there, is; and the account stays as long as it was. */
static int spoils_it(int fd)
{
	struct account *a = MAP_FAILED;

	if (read_some(fd) != 5)
		return 7;
	fd = open(getenv(ACCOUNT_VARIABLE), O_RDWR);
	if (fd >= 0)
		a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (a == MAP_FAILED || !ftruncate(fd, 0))
		return 7;
	memset(a, 033, sizeof(*a));
	memset(&a->records[1], 0xff, sizeof(a->records[1]));
	a->records[2].pid = 0;
	a->records[3].state = RECORD_RUNS;
	return 5;
}

static const struct {
	const char *name;
	int (*run)(int fd);
} lives[] = {
	{ "signal", by_signal }, { "_exit", by_exit }, { "exec", by_exec },
	{ "children", three_children }, { "many", too_many_children }, { "closed", closes_all },
	{ "nobody", as_nobody }, { "chroot", elsewhere }, { "outlives", outlives },
	{ "kills", kills_the_command }, { "spoils", spoils_it },
};

int main(int argc, char **argv)
{
	size_t i;
	int fd;

	library = argc >= 3 ? find_library(argv[1]) : NULL;
	if (!library)
		return 9;
	arguments = argv;
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	for (i = 0; argc > 3 && i < sizeof(lives) / sizeof(lives[0]); i++)
		if (!strcmp(argv[3], lives[i].name))
			return lives[i].run(fd);
	return argc > 3 ? 9 : read_some(fd);
}
