// SPDX-License-Identifier: MIT
/* process.c - many threads, many files, and children. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

#define THREADS	16
#define ROUNDS	50
#define PIECE	(16 * KIB)

struct reader {
	pthread_t thread;
	CUfileHandle_t fh;
	cuda_ptr p;
	unsigned int nr, right;
};

/* Without a context of its own, as a thread of a pool. */
static void *read_pieces(void *arg)
{
	struct reader *r = arg;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		off_t off = (r->nr * 7 + i * 3) % 60 * PIECE;

		r->right += cf.Read(r->fh, at(r->p), PIECE, off, r->nr * PIECE) == PIECE;
	}
	return NULL;
}

void threads_share_a_handle(void)
{
	struct reader readers[THREADS];
	unsigned int i, right = 0, last = 0;
	CUfileHandle_t fh;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", MIB, 1, O_RDONLY));
	p = device_memory(THREADS * PIECE);
	for (i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){ .fh = fh, .p = p, .nr = i };
		if (pthread_create(&readers[i].thread, NULL, read_pieces, &readers[i]))
			give_up("no threads");
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		right += readers[i].right;
		last += device_is(p + i * PIECE, PIECE, 1,
				  (i * 7 + (ROUNDS - 1) * 3) % 60 * PIECE);
	}
	answer(RELIED_ON, "reads", "800", "%u", right);
	answer(RELIED_ON, "last_reads_are_right", "16", "%u", last);
}

#define FILES 400

void many_files(void)
{
	struct rlimit limit;
	static CUfileHandle_t handles[FILES];
	unsigned int i, registered = 0, right = 0;
	char name[16];
	cuda_ptr p;

	use_device();
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	p = device_memory(MIB);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		registered += !register_fd(new_file(name, 4096, i % 7, O_RDONLY),
					   &handles[i]).err;
	}
	answer(RELIED_ON, "registered", "400", "%u", registered);
	for (i = 0; i < FILES; i++)
		right += cf.Read(handles[i], at(p), 4096, 0, 0) == 4096 &&
			 device_is(p, 4096, i % 7, 0);
	answer(RELIED_ON, "read", "400", "%u", right);
	for (i = 0; i < FILES; i++)
		cf.HandleDeregister(handles[i]);
	answer(RELIED_ON, "deregistered", "returned", "returned");
}

/* What a child has been told, in memory that it shares with its parent. */
struct told {
	CUfileError_t open, buffer;
	ssize_t read;
	bool over;
};

static void ask_in_child(struct told *told, CUfileHandle_t fh, cuda_ptr p)
{
	alarm(20);
	told->read = cf.Read(fh, at(p), 4096, 0, 0);
	told->open = cf.DriverOpen();
	told->buffer = cf.BufRegister(at(p), 4096, 0);
	told->over = true;
	_exit(0);
}

void fork_after_use(void)
{
	struct told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CUfileHandle_t fh;
	int status = 0;
	cuda_ptr p;
	pid_t child;

	use_device();
	p = device_memory(MIB);
	fh = handle_of(new_file("file", MIB, 1, O_RDWR));
	answer(DOCUMENTED, "before", "4096", "%s", bytes_word(cf.Read(fh, at(p), 4096, 0, 0)));
	child = fork();
	if (!child)
		ask_in_child(told, fh, p);
	if (child < 0 || told == MAP_FAILED || waitpid(child, &status, 0) != child)
		give_up("fork");
	answer(CHOSEN, "child_ends", "yes", "%s", told->over ? "yes" : "no");
	answer(CHOSEN, "read_in_child", "-DRIVER_NOT_INITIALIZED", "%s", bytes_word(told->read));
	answer(CHOSEN, "open_in_child", "DRIVER_NOT_INITIALIZED", "%s", status_word(told->open));
	answer(CHOSEN, "register_in_child", "DRIVER_NOT_INITIALIZED", "%s",
	       status_word(told->buffer));
	answer(DOCUMENTED, "parent_is_as_it_was", "4096", "%s",
	       bytes_word(cf.Read(fh, at(p), 4096, 4096, 0)));
}
