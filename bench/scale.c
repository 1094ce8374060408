// SPDX-License-Identifier: GPL-2.0
/*
 * scale.c - what must not make a transfer dearer: the number of extents of its buffer and of
 * its file, and the number of CPUs that use a binding at once; and a further file, the number of
 * extents of a buffer that is bound already. And what a page costs to bind, and what libcufile
 * adds to a call (gpu.c).
 *
 * Subjects have cases, which are measured in turns; the first is what others are compared with.
 * Each window is one case for once. Output: a record for each window, in their order, with what
 * is counted in it: transfers, pages of the buffer, or files.
 *
 * Every transfer is a random read of 4 KiB, 32 in flight for each CPU, by io_uring. Each block
 * that is read begins with its number; after a window the last block of each slot is looked at.
 *
 * Environment: SCALE_EXTENTS, how many are many (262144); SCALE_ROUNDS (3); SCALE_IOS, for each
 * CPU and window (20000); SCALE_BIND_MB, size of the buffers that are bound (1024).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../tests/kmod/dmabuf_rw_mock.h"
#include "descriptors.h"
#include "mark.h"
#include "scale.h"

#define FILE_DISK	"/dev/drw/big512"
#define DEPTH		32U
#define MAX_CPUS	4U
#define SMALL_BYTES	(4 * MiB)
#define FILES		1000U

struct place {
	struct dmabuf_rw_binding *binding;
	int buffer;
	u64 buffer_blocks;
	u64 file_blocks;	/* that have been written */
	u64 stride;	/* from one of these to the next, in blocks */
};

struct worker {
	const struct place *place;
	struct io_uring ring;
	pthread_t thread;
	unsigned int cpu;
	u64 random;
	u64 ios;
	u64 at[DEPTH];	/* block of the file that a slot has, or has had last */
	u64 to[DEPTH];	/* block of the buffer */
	u64 first;		/* blocks of the buffer that are this worker's */
	u64 blocks;
};

static pthread_barrier_t ready_barrier, begin_barrier, end_barrier;

void die(const char *format, ...)
{
	va_list ap;

	fputs("scale: ", stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(": %s\n", strerror(errno));
	fflush(stdout);
	exit(1);
}

unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoul(value, NULL, 0) : otherwise;
}

u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void keep_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %u", cpu);
}

void record(const char *subject, const char *name, u64 count)
{
	printf("{\"record\": \"scale\", \"subject\": \"%s\", \"case\": \"%s\", "
	       "\"count\": %llu}\n", subject, name, (unsigned long long)count);
}

/* ---- buffers ---------------------------------------------------------------------------- */

static int mock(const struct mock_create *args)
{
	int node = open(MOCK_DEVICE, O_RDWR | O_CLOEXEC);
	int fd = node < 0 ? -1 : ioctl(node, MOCK_IOC_CREATE, args);

	if (fd < 0)
		die("a buffer of %llu bytes", (unsigned long long)args->bytes);
	close(node);
	return fd;
}

static int contiguous_buffer(void)
{
	const struct mock_create args = { .kind = MOCK_RAM, .bytes = SMALL_BYTES };

	return mock(&args);
}

/*
 * Of @extents, a page each. Where they are not @even the first has two, so that the page's number
 * does not tell the extent, and it has to be searched for.
 */
static int scattered_buffer(u64 extents, bool even)
{
	struct mock_create args = {
		.kind = MOCK_RAM,
		.bytes = extents * BLOCK,
		.nr_pattern = even ? 1 : MOCK_PATTERN,
		.flags = MOCK_REVERSE,
	};
	unsigned int i;

	for (i = 0; i < args.nr_pattern; i++)
		args.pattern[i] = BLOCK;
	if (!even) {
		args.pattern[0] = 2 * BLOCK;
		args.bytes += extents / MOCK_PATTERN * BLOCK;
	}
	return mock(&args);
}

static u64 number_in(int buffer, u64 block)
{
	u64 number;
	struct mock_copy copy = {
		.dmabuf_fd = buffer, .off = block * BLOCK, .len = sizeof(number),
		.user = (uintptr_t)&number,
	};
	int node = open(MOCK_DEVICE, O_RDWR | O_CLOEXEC);

	if (node < 0 || ioctl(node, MOCK_IOC_PEEK, &copy))
		die("the buffer cannot be read");
	close(node);
	return number;
}

/* ---- disk and files --------------------------------------------------------------------- */

static void fill(int fd, u64 blocks, u64 stride)
{
	u64 *data = aligned_alloc(BLOCK, BLOCK), i;

	if (!data)
		die("memory");
	memset(data, 0, BLOCK);
	for (i = 0; i < blocks; i++) {
		*data = i * stride;
		if (pwrite(fd, data, BLOCK, i * stride * BLOCK) != BLOCK)
			die("block %llu cannot be written", (unsigned long long)i);
	}
	if (fsync(fd))
		die("fsync");
	free(data);
}

static int open_file(const char *name, u64 blocks, u64 stride)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), MOUNT "/%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die("%s", path);
	fill(fd, blocks, stride);
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

/* Read all blocks once, so that they have been looked up, and look at some. */
static void meet_blocks(const struct place *place)
{
	struct dmabuf_rw_range ranges[DMABUF_RW_MAX_BATCH];
	u64 block = 0;
	unsigned int i, n;

	for (; block < place->file_blocks; block += n) {
		for (n = 0; n < DMABUF_RW_MAX_BATCH && block + n < place->file_blocks; n++)
			ranges[n] = (struct dmabuf_rw_range){
				.file_off = (block + n) * place->stride * BLOCK,
				.buf_off = n * BLOCK, .len = BLOCK,
			};
		if (dmabuf_rw_read_many(place->binding, ranges, n, DMABUF_RW_IO_WHOLE, NULL) !=
		    (ssize_t)(n * BLOCK))
			die("blocks from %llu on cannot be read", (unsigned long long)block);
		i = block / DMABUF_RW_MAX_BATCH % n;
		if (number_in(place->buffer, i) != (block + i) * place->stride)
			die("block %llu is wrong", (unsigned long long)(block + i));
	}
}

static struct place join(struct dmabuf_rw_device *device, int buffer, int file,
			 u64 file_blocks, u64 stride)
{
	struct place place = {
		.buffer = buffer, .file_blocks = file_blocks, .stride = stride,
	};
	struct dmabuf_rw_info info = { .size = sizeof(info) };

	errno = -dmabuf_rw_binding_create(device, buffer, file, NULL, &place.binding);
	if (errno)
		die("bind");
	if (dmabuf_rw_binding_info(place.binding, &info))
		die("info");
	place.buffer_blocks = info.buf_bytes / BLOCK;
	meet_blocks(&place);
	return place;
}

/* ---- transfers -------------------------------------------------------------------------- */

static void submit(struct worker *w, u32 slot)
{
	const struct place *place = w->place;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);

	w->at[slot] = next_random(&w->random) % place->file_blocks * place->stride;
	/* Each slot has blocks of its own. */
	w->to[slot] = w->first + next_random(&w->random) % (w->blocks / DEPTH) * DEPTH + slot;
	dmabuf_rw_prep_read(sqe, place->binding, w->at[slot] * BLOCK, w->to[slot] * BLOCK, BLOCK,
			    0);
	dmabuf_rw_sqe_set_fixed_file(sqe, 0);
	sqe->user_data = slot;
}

static void turn(struct worker *w)
{
	u64 submitted = DEPTH, done = 0;
	u32 slot;

	for (slot = 0; slot < DEPTH; slot++)
		submit(w, slot);
	while (done < w->ios) {
		u64 inflight = submitted - done;
		unsigned int n = 0, head;
		struct io_uring_cqe *cqe;
		int ret = io_uring_submit_and_wait(&w->ring, inflight < DEPTH / 2 ? inflight :
						   DEPTH / 2);

		if (ret < 0 && ret != -EINTR)
			die("io_uring_enter gives %d", ret);
		io_uring_for_each_cqe(&w->ring, head, cqe) {
			if (cqe->res != BLOCK)
				die("a transfer gave %d", cqe->res);
			n++;
			if (submitted < w->ios) {
				submit(w, cqe->user_data);
				submitted++;
			}
		}
		io_uring_cq_advance(&w->ring, n);
		done += n;
	}
}

static void *work(void *data)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	struct worker *w = data;
	int fd = dmabuf_rw_binding_fd(w->place->binding);

	keep_on(w->cpu);
	if (io_uring_queue_init_params(2 * DEPTH, &w->ring, &params) ||
	    io_uring_register_files(&w->ring, &fd, 1))
		die("no ring");
	pthread_barrier_wait(&ready_barrier);
	pthread_barrier_wait(&begin_barrier);
	turn(w);
	pthread_barrier_wait(&end_barrier);
	io_uring_unregister_files(&w->ring);
	io_uring_queue_exit(&w->ring);
	return NULL;
}

static void check(const struct worker *w)
{
	u32 slot;

	for (slot = 0; slot < DEPTH; slot++)
		if (number_in(w->place->buffer, w->to[slot]) != w->at[slot])
			die("slot %u has the wrong block", slot);
}

/* One window: @cpus workers, which have the last CPUs. */
static void measure(const char *subject, const char *name, const struct place *place,
		    unsigned int cpus)
{
	static u64 seed = 88172645463325252ULL;
	unsigned long ios = setting("SCALE_IOS", 20000);
	struct worker workers[MAX_CPUS] = { 0 };
	unsigned int i, online = sysconf(_SC_NPROCESSORS_ONLN);

	if (pthread_barrier_init(&ready_barrier, NULL, cpus + 1) ||
	    pthread_barrier_init(&begin_barrier, NULL, cpus + 1) ||
	    pthread_barrier_init(&end_barrier, NULL, cpus + 1))
		die("no barrier");
	for (i = 0; i < cpus; i++) {
		workers[i] = (struct worker){
			.place = place, .cpu = online - 1 - i, .random = next_random(&seed),
			.ios = ios, .blocks = place->buffer_blocks / MAX_CPUS,
			.first = i * (place->buffer_blocks / MAX_CPUS),
		};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("no thread");
	}
	/* However long it takes, all rings are there; then all go to sleep. */
	pthread_barrier_wait(&ready_barrier);
	usleep(50000);
	MARK(MARK_BEGIN);
	pthread_barrier_wait(&begin_barrier);
	pthread_barrier_wait(&end_barrier);
	MARK(MARK_END);
	for (i = 0; i < cpus; i++) {
		pthread_join(workers[i].thread, NULL);
		check(&workers[i]);
	}
	record(subject, name, ios * cpus);
}

/* ---- binding ---------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void measure_bind(struct dmabuf_rw_device *device, const char *name, int buffer, int disk,
			 u64 pages)
{
	struct dmabuf_rw_binding *binding;
	double begin = seconds(), end;

	MARK(MARK_BEGIN);
	errno = -dmabuf_rw_binding_create(device, buffer, disk, NULL, &binding);
	MARK(MARK_END);
	end = seconds();
	if (errno)
		die("bind");
	dmabuf_rw_binding_destroy(binding);
	printf("{\"record\": \"scale\", \"subject\": \"to bind a buffer\", \"case\": \"%s\", "
	       "\"count\": %llu, \"seconds\": %.6f}\n", name, (unsigned long long)pages,
	       end - begin);
}

/* Small ones, which have been written. */
static void make_files(int *files)
{
	const struct rlimit limit = { 4 * FILES, 4 * FILES };
	static const char block[BLOCK];
	unsigned int i;
	char path[64];

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("descriptors for %u files", FILES);
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), MOUNT "/bind%u", i);
		files[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (files[i] < 0 || pwrite(files[i], block, BLOCK, 0) != BLOCK)
			die("%s", path);
	}
	if (syncfs(files[0]))
		die("syncfs");
}

/* All but the first, which has the buffer mapped for all. */
static void measure_further(struct dmabuf_rw_device *device, const char *name, int buffer,
			    const int *files)
{
	struct dmabuf_rw_binding *bindings[FILES];
	unsigned int i;
	double time;

	errno = -dmabuf_rw_binding_create(device, buffer, files[0], NULL, &bindings[0]);
	if (errno)
		die("bind");
	time = seconds();
	MARK(MARK_BEGIN);
	for (i = 1; i < FILES && !errno; i++)
		errno = -dmabuf_rw_binding_create(device, buffer, files[i], NULL, &bindings[i]);
	MARK(MARK_END);
	time = seconds() - time;
	if (errno)
		die("bind file %u", i);
	for (i = 0; i < FILES; i++)
		dmabuf_rw_binding_destroy(bindings[i]);
	printf("{\"record\": \"scale\", \"subject\": \"to bind one more file\", "
	       "\"case\": \"%s\", \"count\": %u, \"seconds\": %.6f}\n", name, FILES - 1,
	       time / (FILES - 1));
}

static void bind_buffers(struct dmabuf_rw_device *device, int disk, unsigned long rounds)
{
	u64 bytes = setting("SCALE_BIND_MB", 1024) * MiB;
	const struct mock_create whole = { .kind = MOCK_RAM, .bytes = bytes };
	int pieces = mock(&whole), pages = scattered_buffer(bytes / BLOCK, true);
	int files[FILES];
	unsigned long i;

	for (i = 0; i < rounds; i++) {
		measure_bind(device, "pieces of 4 MiB", pieces, disk, bytes / BLOCK);
		measure_bind(device, "pages", pages, disk, bytes / BLOCK);
	}
	make_files(files);
	for (i = 0; i < rounds; i++) {
		measure_further(device, "pieces of 4 MiB", pieces, files);
		measure_further(device, "pages", pages, files);
	}
	for (i = 0; i < FILES; i++)
		close(files[i]);
	close(pieces);
	close(pages);
}

static void release(const struct place *place)
{
	dmabuf_rw_binding_destroy(place->binding);
}

/* Buffers of one extent and of many, by one CPU; and one of one extent by several. */
static void measure_buffers(struct dmabuf_rw_device *device, int disk, int buffer,
			    unsigned long many, unsigned long rounds)
{
	int pages = scattered_buffer(many, true), search = scattered_buffer(many, false);
	struct place one, paged, searched;
	unsigned long i;

	one = join(device, buffer, disk, DISK_BLOCKS, 1);
	paged = join(device, pages, disk, DISK_BLOCKS, 1);
	searched = join(device, search, disk, DISK_BLOCKS, 1);
	for (i = 0; i < rounds; i++) {
		measure("extents of a buffer", "1", &one, 1);
		measure("extents of a buffer", "many, pages", &paged, 1);
		measure("extents of a buffer", "many, to be searched", &searched, 1);
	}
	for (i = 0; i < rounds; i++) {
		measure("CPUs", "1", &one, 1);
		measure("CPUs", "2", &one, 2);
		measure("CPUs", "4", &one, 4);
	}
	release(&searched);
	release(&paged);
	release(&one);
	close(search);
	close(pages);
}

static void measure_files(struct dmabuf_rw_device *device, int buffer, unsigned long many,
			  unsigned long rounds)
{
	int whole = open_file("whole", DISK_BLOCKS, 1), parts = open_file("parts", many, 2);
	struct place one = join(device, buffer, whole, DISK_BLOCKS, 1);
	struct place fragmented = join(device, buffer, parts, many, 2);
	unsigned long i;

	for (i = 0; i < rounds; i++) {
		measure("extents of a file", "1", &one, 1);
		measure("extents of a file", "many", &fragmented, 1);
	}
	release(&one);
	release(&fragmented);
	close(whole);
	close(parts);
}

int main(void)
{
	unsigned long many = setting("SCALE_EXTENTS", 262144), rounds = setting("SCALE_ROUNDS", 3);
	struct dmabuf_rw_device *device;
	int disk, buffer;

	take_standard_descriptors();
	setvbuf(stdout, NULL, _IOLBF, 0);
	keep_on(0);
	disk = open(DISK, O_RDWR | O_CLOEXEC);
	if (disk < 0 || dmabuf_rw_device_open(NULL, &device))
		die("disk or module");
	fill(disk, DISK_BLOCKS, 1);
	mkdir(MOUNT, 0700);
	if (system("mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=1,lazy_journal_init=1 "
		   FILE_DISK " 8G") || mount(FILE_DISK, MOUNT, "ext4", 0, NULL))
		die("file system");

	report_symbols();
	bind_buffers(device, disk, rounds);
	buffer = contiguous_buffer();
	measure_buffers(device, disk, buffer, many, rounds);
	measure_cufile(device, disk, rounds);
	measure_cufile_files(device, rounds);
	measure_files(device, buffer, many, rounds);
	if (umount(MOUNT))
		die("umount");
	return 0;
}
