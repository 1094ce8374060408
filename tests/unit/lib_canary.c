// SPDX-License-Identifier: MIT
/*
 * lib_canary.c - the proof of check --canary, over a module that moves what it likes: it finds
 * every way in which bytes do not arrive, and touches nothing that was not offered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffer_kind.h"
#include "canary.h"
#include "fake_module.h"
#include "unit.h"

#define PAGE		4096
#define FILE_BYTES	(4 << 20)
#define BUFFER_BYTES	(2 << 20)
#define OFFERED		(64 * 1024)
/* What nobody has offered holds this. */
#define NOT_OFFERED	0x33

static struct canary canary;
static struct buffer buffer;
static struct dmabuf_rw_device *device;
static struct dmabuf_rw_binding *binding;
static volatile sig_atomic_t stop;
static unsigned char *file_map;
static int file_fd;
static unsigned int transfers;	/* that were asked for */

static void bind_pair(void)
{
	assert_int_equal(dmabuf_rw_binding_create(device, buffer.fd, file_fd, NULL, &binding), 0);
}

static int setup(void **state)
{
	char path[] = "/tmp/lib_canary-XXXXXX";

	(void)state;
	memset(&module, 0, sizeof(module));
	stop = 0;
	transfers = 0;
	file_fd = mkostemp(path, O_CLOEXEC);
	buffer = BUFFER_NONE;
	buffer.fd = memfd_create("buffer", MFD_CLOEXEC);
	buffer.size = BUFFER_BYTES;
	buffer.spec.kind = buffer_kinds[1];
	if (file_fd < 0 || unlink(path) || ftruncate(file_fd, FILE_BYTES) ||
	    ftruncate(buffer.fd, BUFFER_BYTES) || dmabuf_rw_device_open(NULL, &device))
		return -1;
	file_map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd, 0);
	buffer.map = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd, 0);
	memset(file_map, NOT_OFFERED, FILE_BYTES);
	memset(buffer.map, NOT_OFFERED, BUFFER_BYTES);
	bind_pair();
	canary = (struct canary){
		.binding = binding, .buffer = &buffer, .fd = file_fd, .stop = &stop,
		.file = { 8 * PAGE, OFFERED }, .memory = { 2 * PAGE, OFFERED },
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	canary_free(&canary);
	dmabuf_rw_binding_destroy(binding);
	dmabuf_rw_device_close(device);
	munmap(file_map, FILE_BYTES);
	buffer_close(&buffer);
	close(file_fd);
	return module.bindings ? -1 : 0;
}

static void untouched_but(const unsigned char *mem, uint64_t bytes, const struct canary_range *r)
{
	uint64_t i;

	for (i = 0; i < bytes; i++)
		if ((i < r->off || i >= r->off + r->len) && mem[i] != NOT_OFFERED)
			fail_msg("byte %llu was not offered", (unsigned long long)i);
}

/* Nothing beside what was offered has changed, whatever the canary has found. */
static enum canary_end run(void)
{
	enum canary_end end = canary_run(&canary);

	untouched_but(file_map, FILE_BYTES, &canary.file);
	untouched_but(buffer.map, BUFFER_BYTES, &canary.memory);
	return end;
}

static void what_works_is_proven_at_odd_places_too(void **state)
{
	unsigned int i, odd = 0;

	(void)state;
	assert_int_equal(run(), CANARY_PROVEN);
	assert_int_equal(canary.nr_rounds, CANARY_ROUNDS);
	assert_true(canary.seen);
	assert_null(canary.why);
	assert_null(canary.where);
	for (i = 0; i < canary.nr_rounds; i++) {
		const struct canary_round *r = &canary.rounds[i];

		odd += r->from % 2 && r->buf_off % 2;
		assert_true(r->len > 0);
		assert_in_range(r->from, canary.file.off, r->to);
		assert_true(r->from + r->len <= r->to);
		assert_true(r->to + r->len <= canary.file.off + canary.file.len);
		assert_true(r->buf_off >= canary.memory.off);
		assert_true(r->buf_off + r->len <= canary.memory.off + canary.memory.len);
	}
	assert_true(odd >= 2);
	assert_int_equal(module.moved[DMABUF_RW_OP_READ], module.moved[DMABUF_RW_OP_WRITE]);
}

/* ---- what is found -------------------------------------------------------------------- */

enum { READ = DMABUF_RW_OP_READ, WRITE = DMABUF_RW_OP_WRITE };

/* What goes wrong with a transfer of the direction; it is the @spoilt_transfer'th. */
static struct wrong {
	const char *name;
	uint32_t op;
	int64_t file_by, buffer_by;	/* that it goes to, or comes from, another place */
	int64_t flip_buffer, flip_file;	/* bytes that are changed; from the end if negative */
	bool flips_buffer, flips_file;
	bool nothing;			/* is moved */
	bool needs_view;		/* the way back to the file does not show it */
} wrong;
static unsigned int spoilt_transfer;

static void flip(int file, uint64_t off)
{
	unsigned char byte;

	assert_int_equal(pread(file, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(file, &byte, 1, off), 1);
}

static bool spoil(uint32_t op, int file, uint64_t off, unsigned char *map, uint64_t buf_off,
		  uint64_t len)
{
	uint64_t at;

	if (op != wrong.op || ++transfers != spoilt_transfer)
		return false;
	if (wrong.nothing)
		return true;
	if (op == READ)
		assert_int_equal(pread(file, map + buf_off + wrong.buffer_by, len,
				       off + wrong.file_by), len);
	else
		assert_int_equal(pwrite(file, map + buf_off + wrong.buffer_by, len,
					off + wrong.file_by), len);
	at = wrong.flip_buffer < 0 ? len + wrong.flip_buffer : (uint64_t)wrong.flip_buffer;
	if (wrong.flips_buffer)
		map[buf_off + at] ^= 0x10;
	at = wrong.flip_file < 0 ? len + wrong.flip_file : (uint64_t)wrong.flip_file;
	if (wrong.flips_file)
		flip(file, off + at);
	return true;
}

static const struct wrong wrongs[] = {
	{ "a byte that is read", READ, .flips_buffer = true, .flip_buffer = 1234 },
	{ "the first one", READ, .flips_buffer = true },
	{ "the last one", READ, .flips_buffer = true, .flip_buffer = -1 },
	{ "nothing is read", READ, .nothing = true },
	{ "read from the next byte", READ, .file_by = 1 },
	{ "read from the block before", READ, .file_by = 512 },
	{ "read to another place", READ, .buffer_by = 1 },
	{ "a byte beside it in the buffer", READ, .flips_buffer = true, .flip_buffer = 8192 * 4,
	  .needs_view = true },
	{ "a byte of what was read from", READ, .flips_file = true, .flip_file = 17 },
	{ "a byte that is written", WRITE, .flips_file = true, .flip_file = 77 },
	{ "the last one", WRITE, .flips_file = true, .flip_file = -1 },
	{ "nothing is written", WRITE, .nothing = true },
	{ "written from another place", WRITE, .buffer_by = 3 },
	{ "written over what is before it", WRITE, .file_by = -512 },
	{ "the buffer, by what only reads it", WRITE, .flips_buffer = true, .flip_buffer = 5,
	  .needs_view = true },
};

static void every_way_to_lose_bytes_is_found(void **state)
{
	void *map = buffer.map;
	unsigned int round;
	size_t i;

	module.instead = spoil;
	for (i = 0; i < COUNT(wrongs); i++) {
		for (round = 1; round <= 3; round++) {
			wrong = wrongs[i];
			spoilt_transfer = round;
			transfers = 0;
			canary.nr_rounds = canary.nr_pci = 0;
			if (canary_run(&canary) != CANARY_DIFFERS)
				fail_msg("%s: round %u found nothing", wrong.name, round);
			assert_int_equal(canary.nr_rounds, round - 1);
			assert_non_null(canary.where);
			canary_free(&canary);
		}
	}
	/* Where the CPU does not see the buffer, the way back has to do. */
	for (i = 0; i < COUNT(wrongs); i++) {
		wrong = wrongs[i];
		transfers = 0;
		spoilt_transfer = 1;
		canary.nr_rounds = canary.nr_pci = 0;
		buffer.map = NULL;
		if ((canary_run(&canary) == CANARY_DIFFERS) == wrong.needs_view)
			fail_msg("%s, without a view", wrong.name);
		buffer.map = map;
		assert_false(canary.seen);
		canary_free(&canary);
	}
	(void)state;
}

/* What the first round has left in the buffer is not taken for what the second is to bring. */
static void what_is_stale_is_not_taken_for_new(void **state)
{
	(void)state;
	wrong = (struct wrong){ .op = READ, .nothing = true };
	module.instead = spoil;
	spoilt_transfer = 2;
	assert_int_equal(run(), CANARY_DIFFERS);
	assert_int_equal(canary.nr_rounds, 1);
	assert_non_null(strstr(canary.where, "of the buffer is not what the drive was to read"));
}

/* ---- limits ---------------------------------------------------------------------------- */

static void places_are_those_that_the_drive_takes(void **state)
{
	unsigned int i, j;

	(void)state;
	module.align = 512;
	assert_int_equal(run(), CANARY_PROVEN);
	assert_int_equal(canary.file_step, 512);
	assert_true(canary.nr_rounds >= 3);
	for (i = 0; i < canary.nr_rounds; i++) {
		assert_int_equal(canary.rounds[i].from % 512, 0);
		for (j = 0; j < i; j++)
			assert_false(canary.rounds[i].from == canary.rounds[j].from &&
				     canary.rounds[i].buf_off == canary.rounds[j].buf_off);
	}
}

/* The CPU writes whole pages, so the parts of pages at both ends are left alone. */
static void an_odd_range_is_used_within_its_bounds(void **state)
{
	static const struct canary_range ranges[] = {
		{ 1, 3 * PAGE }, { 4095, 12 * PAGE }, { PAGE + 1, 5 * PAGE + 7 },
		{ 8 * PAGE - 1, 2 * PAGE + 2 }, { FILE_BYTES - 2 * PAGE, 2 * PAGE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(ranges); i++) {
		memset(file_map, NOT_OFFERED, FILE_BYTES);
		memset(buffer.map, NOT_OFFERED, BUFFER_BYTES);
		canary.nr_rounds = 0;
		canary.file = ranges[i];
		canary.memory = (struct canary_range){ 4097 + i, 8191 };
		assert_int_equal(run(), CANARY_PROVEN);
		assert_int_equal(canary.used.off % PAGE, 0);
		assert_int_equal(canary.used.len % (2 * PAGE), 0);
	}
}

static void a_large_range_is_not_used_up(void **state)
{
	(void)state;
	canary.file = (struct canary_range){ 0, FILE_BYTES };
	canary.memory = (struct canary_range){ 0, BUFFER_BYTES };
	assert_int_equal(run(), CANARY_PROVEN);
	assert_true(canary.used.len < FILE_BYTES);
	assert_int_equal(file_map[FILE_BYTES - 1], NOT_OFFERED);
	assert_int_equal(((unsigned char *)buffer.map)[BUFFER_BYTES - 1], NOT_OFFERED);
	assert_int_equal(canary.rounds[0].len, CANARY_BYTES);
}

static void what_is_too_small_or_outside_is_refused_before_anything_is_written(void **state)
{
	static const struct {
		struct canary_range file, memory;
		const char *words;
	} cases[] = {
		{ { 0, PAGE }, { 0, OFFERED }, "two whole blocks" },
		{ { 1, 2 * PAGE }, { 0, OFFERED }, "two whole blocks" },
		{ { FILE_BYTES - PAGE, 2 * PAGE }, { 0, OFFERED }, "not within the file" },
		{ { UINT64_MAX - PAGE, 2 * PAGE }, { 0, OFFERED }, "not within the file" },
		{ { 0, UINT64_MAX }, { 0, OFFERED }, "not within the file" },
		{ { 0, OFFERED }, { BUFFER_BYTES, 1 }, "not within the buffer" },
		{ { 0, OFFERED }, { 1, UINT64_MAX }, "not within the buffer" },
		{ { 0, OFFERED }, { 0, 0 }, "too small" },
	};
	const struct canary_range none = { 0, 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		canary.file = cases[i].file;
		canary.memory = cases[i].memory;
		assert_int_equal(canary_run(&canary), CANARY_FAILED);
		assert_non_null(strstr(canary.why, cases[i].words));
		untouched_but(file_map, FILE_BYTES, &none);
		untouched_but(buffer.map, BUFFER_BYTES, &none);
		canary_free(&canary);
	}
	assert_int_equal(module.ios, 0);
}

static void what_may_bounce_proves_nothing(void **state)
{
	const struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .allow_bounce = 1 };

	(void)state;
	dmabuf_rw_binding_destroy(binding);
	assert_int_equal(dmabuf_rw_binding_create(device, buffer.fd, file_fd, &opts, &binding), 0);
	canary.binding = binding;
	assert_int_equal(run(), CANARY_FAILED);
	assert_non_null(strstr(canary.why, "proves nothing"));
}

static void an_error_of_the_drive_is_told(void **state)
{
	(void)state;
	module.io_errno = EIO;
	module.io_errno_from = canary.file.off + OFFERED / 2;
	assert_int_equal(run(), CANARY_FAILED);
	assert_int_equal(canary.error.err, EIO);
	assert_int_equal(canary.error.call, DMABUF_RW_CALL_IO);
	assert_null(canary.why);
}

static bool stop_now(uint32_t op, int file, uint64_t off, unsigned char *map, uint64_t buf_off,
		     uint64_t len)
{
	(void)op, (void)file, (void)off, (void)map, (void)buf_off, (void)len;
	stop = ++transfers == 3;
	return false;
}

static void it_ends_when_it_is_asked_to(void **state)
{
	(void)state;
	module.instead = stop_now;
	assert_int_equal(run(), CANARY_STOPPED);
	assert_int_equal(transfers, 3);
	assert_int_equal(canary.nr_rounds, 1);
}

static void the_controllers_that_were_used_are_kept(void **state)
{
	(void)state;
	module.info = (struct dmabuf_rw_info){ .nvme_pci = 0x18, .nvme_domain = 0 };
	assert_int_equal(run(), CANARY_PROVEN);
	assert_int_equal(canary.nr_pci, 1);
	assert_int_equal(canary.pci[0], 0x18);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_works_is_proven_at_odd_places_too),
		TEST(every_way_to_lose_bytes_is_found),
		TEST(what_is_stale_is_not_taken_for_new),
		TEST(places_are_those_that_the_drive_takes),
		TEST(an_odd_range_is_used_within_its_bounds),
		TEST(a_large_range_is_not_used_up),
		TEST(what_is_too_small_or_outside_is_refused_before_anything_is_written),
		TEST(what_may_bounce_proves_nothing),
		TEST(an_error_of_the_drive_is_told),
		TEST(it_ends_when_it_is_asked_to),
		TEST(the_controllers_that_were_used_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
