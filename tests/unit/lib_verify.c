// SPDX-License-Identifier: MIT
/*
 * lib_verify.c - comparing a buffer with a file, over a file that takes reads only as a drive
 * with large blocks does, and a buffer that is a memfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer_kind.h"
#include "tool.h"
#include "unit.h"

#define BYTES	(3 * 1024 * 1024 + 777)

static struct {
	uint32_t told;		/* what statx() says of the offsets; 0: no O_DIRECT; 1: nothing */
	uint32_t memory;	/* and of memory */
	uint32_t want;		/* what pread() insists on with O_DIRECT */
	bool no_proc;
	unsigned int direct, buffered, drops;
	uint64_t end_after;	/* sets stop when so many reads were made */
	int direct_fd;
} fake;

static volatile sig_atomic_t stop;
static struct session session;
static struct report report;
static int file_fd;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *sx);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_pread(int fd, void *mem, size_t len, off_t off);
ssize_t __real_pread(int fd, void *mem, size_t len, off_t off);
int __wrap_posix_fadvise(int fd, off_t off, off_t len, int advice);

/* The brackets of CPU access. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	(void)request;
	return 0;
}

int __wrap_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *sx)
{
	(void)dir;
	(void)path;
	(void)flags;
	memset(sx, 0, sizeof(*sx));
	sx->stx_mask = fake.told == 1 ? 0 : mask;
	sx->stx_dio_offset_align = fake.told;
	sx->stx_dio_mem_align = fake.memory;
	return 0;
}

/* Only the file is opened; anew, and by its descriptor. */
int __wrap_open(const char *path, int flags, ...)
{
	int fd;

	if (fake.no_proc) {
		errno = ENOENT;
		return -1;
	}
	assert_int_equal(atoi(strrchr(path, '/') + 1), file_fd);
	fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
	if (flags & O_DIRECT)
		fake.direct_fd = fd;
	return fd;
}

ssize_t __wrap_pread(int fd, void *mem, size_t len, off_t off)
{
	bool direct = fd == fake.direct_fd && !fake.buffered;

	if (direct && ((uint64_t)off % fake.want || len % fake.want ||
		       (uintptr_t)mem % (fake.memory ? fake.memory : 1))) {
		/* From now on it is read without. */
		fake.direct_fd = -1;
		errno = EINVAL;
		return -1;
	}
	if (direct)
		fake.direct++;
	else
		fake.buffered++;
	if (fake.end_after && fake.direct + fake.buffered >= fake.end_after)
		stop = 1;
	return __real_pread(fd, mem, len, off);
}

int __wrap_posix_fadvise(int fd, off_t off, off_t len, int advice)
{
	(void)fd;
	(void)off;
	(void)len;
	assert_int_equal(advice, POSIX_FADV_DONTNEED);
	fake.drops++;
	return 0;
}

static int setup(void **state)
{
	char *map;
	size_t i;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.direct_fd = -1;
	fake.told = 4096;
	fake.memory = 512;
	fake.want = 4096;
	stop = 0;
	report_begin(&report);
	file_fd = memfd_create("file", MFD_CLOEXEC);
	session = (struct session){
		.buffer_name = "fd:1",
		.buffer = {
			.fd = memfd_create("buffer", MFD_CLOEXEC), .size = BYTES,
			.spec.kind = &buffer_vfio,
			.device = -1, .group = -1, .container = -1,
		},
	};
	if (ftruncate(file_fd, BYTES) || ftruncate(session.buffer.fd, BYTES))
		return -1;
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, session.buffer.fd, 0);
	for (i = 0; i < BYTES; i++)
		map[i] = i * 7 % 251;
	session.buffer.map = map;
	return pwrite(file_fd, map, BYTES, 0) == BYTES ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	json_object_put(report.root);
	buffer_close(&session.buffer);
	close(file_fd);
	return 0;
}

static int verify(uint64_t off, uint64_t len, uint64_t *where)
{
	return verify_range(&report, &session, file_fd, "file", off, off, len, &stop, where);
}

static void reads_are_aligned_to_what_the_file_takes(void **state)
{
	static const uint32_t aligns[] = { 512, 4096, 16384, 65536 };
	uint64_t where;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(aligns); i++) {
		fake.told = aligns[i];
		fake.want = aligns[i];
		fake.direct_fd = -1;
		assert_int_equal(verify(0, BYTES, &where), 0);
		assert_int_equal(verify(777, BYTES - 778, &where), 0);
		assert_int_equal(verify(BYTES - 1, 1, &where), 0);
	}
	assert_int_equal(fake.buffered, 0);
	assert_true(fake.direct > 8);
}

/* Kernels that do not tell it, and those that tell something else. */
static void what_refuses_direct_reads_is_read_by_way_of_the_cache(void **state)
{
	static const uint32_t told[] = { 1, 512, 0 };
	uint64_t where;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(told); i++) {
		fake.told = told[i];
		fake.want = 16384;
		fake.direct_fd = -1;
		fake.buffered = 0;
		fake.drops = 0;
		assert_int_equal(verify(4873, BYTES - 4873, &where), 0);
		assert_true(fake.buffered >= 3);
		/* Before each, because of what is there, and after it. */
		assert_int_equal(fake.drops, 2 * fake.buffered);
	}
}

static void without_proc_it_is_verified_too(void **state)
{
	uint64_t where;

	(void)state;
	fake.no_proc = true;
	assert_int_equal(verify(5, BYTES - 6, &where), 0);
	assert_int_equal(fake.direct, 0);
	assert_int_equal(fake.drops, 2 * fake.buffered);
}

static void the_first_difference_is_found(void **state)
{
	static const uint64_t places[] = { 777, 4096, 1048576, 2000001, BYTES - 1 };
	char byte = (char)0xff;
	uint64_t where;
	size_t i;

	(void)state;
	for (i = COUNT(places); i--;) {
		assert_int_equal(pwrite(file_fd, &byte, 1, places[i]), 1);
		assert_int_equal(verify(700, BYTES - 700, &where), 1);
		assert_int_equal(where, places[i] - 700);
	}
}

static void a_file_that_ends_early_is_an_error(void **state)
{
	uint64_t where;

	(void)state;
	assert_int_equal(ftruncate(file_fd, BYTES - 1), 0);
	assert_int_equal(verify(0, BYTES, &where), -ENODATA);
}

static void verification_and_checksum_stop_when_asked(void **state)
{
	char text[DIGEST_TEXT];
	uint64_t where;

	(void)state;
	fake.end_after = 2;
	assert_int_equal(verify(0, BYTES, &where), -EINTR);
	assert_int_equal(fake.direct, 2);
	assert_int_equal(digest_range(&session, 0, BYTES, &stop, text), -EINTR);
	stop = 0;
	assert_int_equal(digest_range(&session, 0, BYTES, &stop, text), 0);
	assert_int_equal(strlen(text), 64);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(reads_are_aligned_to_what_the_file_takes),
		TEST(what_refuses_direct_reads_is_read_by_way_of_the_cache),
		TEST(without_proc_it_is_verified_too),
		TEST(the_first_difference_is_found),
		TEST(a_file_that_ends_early_is_an_error),
		TEST(verification_and_checksum_stop_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
