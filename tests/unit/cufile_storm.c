// SPDX-License-Identifier: MIT
/*
 * cufile_storm.c - all that programs do with libcufile, by many threads at a time, at random: each
 * byte that was moved is looked at. Memory is freed and allocated again under the same addresses,
 * by other threads; files and buffers come and go; the driver is opened and closed beside.
 */
#include <pthread.h>

#include "cufile_fixture.h"

#define THREADS	6
#define ROUNDS	120
#define BYTES	(256 * KIB)	/* of a thread's memory */
#define SHARED	(512 * KIB)	/* of the file that all read */
#define ENTRIES	8

struct player {
	unsigned int nr;
	unsigned int seed;
	CUfileHandle_t shared, own;
	int fd;
	uint64_t own_bytes;	/* of its file */
	unsigned int tag;	/* of what is in it */
	CUdeviceptr p;
	bool registered;
	CUstream stream;
};

static uint64_t roll(struct player *l, uint64_t below)
{
	return rand_r(&l->seed) % below;
}

static void read_shared(struct player *l)
{
	uint64_t off = roll(l, SHARED), at_off = roll(l, BYTES / 2), len = 1 + roll(l, BYTES / 2);
	uint64_t want = len < SHARED - off ? len : SHARED - off;

	memset(fake_cuda_at(l->p), 0xee, BYTES);
	assert_int_equal(cuFileRead(l->shared, at(l->p), len, off, at_off), want);
	expect_device(l->p + at_off, want, 1, off);
	expect_untouched(l->p + at_off + want, BYTES - at_off - want);
}

static void write_own(struct player *l)
{
	uint64_t off = roll(l, l->own_bytes + 1), len = 1 + roll(l, BYTES / 2);

	l->tag = 2 + roll(l, 100);
	device_fill(l->p, len, l->tag, off);
	assert_int_equal(cuFileWrite(l->own, at(l->p), len, off, 0), len);
	if (off + len > l->own_bytes)
		l->own_bytes = off + len;
	memset(fake_cuda_at(l->p), 0xee, BYTES);
	assert_int_equal(cuFileRead(l->own, at(l->p), BYTES / 2, off, 1),
			 BYTES / 2 < l->own_bytes - off ? BYTES / 2 : l->own_bytes - off);
	expect_device(l->p + 1, len, l->tag, off);
}

static void read_in_stream(struct player *l)
{
	off_t off = roll(l, SHARED - 4096), buf_off = roll(l, BYTES - 4096);
	size_t size = 1 + roll(l, 4096);
	ssize_t bytes = 77;

	OK(cuFileReadAsync(l->shared, at(l->p), &size, &off, &buf_off, &bytes, l->stream));
	assert_int_equal(cuStreamSynchronize(l->stream), 0);
	assert_int_equal(bytes, size);
	expect_device(l->p + buf_off, size, 1, off);
}

/* Sometimes cancelled, and sometimes left behind. */
static void read_batch(struct player *l)
{
	CUfileIOParams_t ios[ENTRIES] = { 0 };
	CUfileIOEvents_t events[ENTRIES];
	CUfileBatchHandle_t batch;
	unsigned int i, nr = ENTRIES, end = roll(l, 4);

	OK(cuFileBatchIOSetUp(&batch, ENTRIES));
	for (i = 0; i < ENTRIES; i++) {
		ios[i].mode = CUFILE_BATCH;
		ios[i].fh = l->shared;
		ios[i].cookie = (void *)(uintptr_t)i;
		ios[i].u.batch.devPtr_base = at(l->p);
		ios[i].u.batch.devPtr_offset = i * 8192;
		ios[i].u.batch.file_offset = roll(l, SHARED - 8192);
		ios[i].u.batch.size = 1 + roll(l, 8192);
	}
	OK(cuFileBatchIOSubmit(batch, ENTRIES, ios, 0));
	if (end == 0)
		OK(cuFileBatchIOCancel(batch));
	if (end < 3) {
		OK(cuFileBatchIOGetStatus(batch, ENTRIES, &nr, events, NULL));
		assert_int_equal(nr, ENTRIES);
		for (i = 0; i < nr; i++) {
			const CUfileIOParams_t *io = &ios[(uintptr_t)events[i].cookie];

			if (events[i].status == CUFILE_CANCELED)
				continue;
			assert_int_equal(events[i].status, CUFILE_COMPLETE);
			assert_int_equal(events[i].ret, io->u.batch.size);
			expect_device(l->p + io->u.batch.devPtr_offset, io->u.batch.size, 1,
				      io->u.batch.file_offset);
		}
	}
	cuFileBatchIODestroy(batch);
}

static void change_memory(struct player *l)
{
	if (l->registered && roll(l, 4))
		OK(cuFileBufDeregister(at(l->p)));
	cuMemFree_v2(l->p);
	/* A registration that was left behind is replaced, if the address is the same. */
	l->p = device_memory(BYTES);
	l->registered = false;
}

static void change_registration(struct player *l)
{
	if (l->registered)
		OK(cuFileBufDeregister(at(l->p)));
	else
		/* Another thread may have left one behind at this address. */
		OK(cuFileBufRegister(at(l->p), BYTES, 0));
	l->registered = !l->registered;
}

static void change_file(struct player *l)
{
	char name[16];

	if (l->own)
		drop(l->own, l->fd);
	snprintf(name, sizeof(name), "own%u", l->nr);
	l->fd = new_file(name, 0, 0, O_RDWR | (roll(l, 2) ? O_DIRECT : 0));
	l->own = handle_of(l->fd);
	l->own_bytes = 0;
}

static void open_and_close(struct player *l)
{
	(void)l;
	OK(cuFileDriverOpen());
	OK(cuFileDriverClose());
}

static void *play(void *arg)
{
	static void (*const moves[])(struct player *l) = {
		read_shared, read_shared, write_own, read_in_stream, read_batch, change_memory,
		change_registration, change_file, open_and_close,
	};
	struct player *l = arg;
	unsigned int i;

	assert_int_equal(cuCtxSetCurrent(context), 0);
	assert_int_equal(cuStreamCreate(&l->stream, 0), 0);
	l->p = device_memory(BYTES);
	change_file(l);
	for (i = 0; i < ROUNDS; i++)
		moves[roll(l, COUNT(moves))](l);
	if (l->registered)
		OK(cuFileBufDeregister(at(l->p)));
	cuMemFree_v2(l->p);
	drop(l->own, l->fd);
	cuStreamDestroy_v2(l->stream);
	return NULL;
}

static void play_together(void)
{
	int fd = new_file("shared", SHARED, 1, O_RDONLY), i;
	CUfileHandle_t fh = handle_of(fd);
	struct player players[THREADS] = { 0 };
	pthread_t threads[THREADS];

	fake_cuda.writes_ordering = 0;
	for (i = 0; i < THREADS; i++) {
		players[i].nr = i;
		players[i].shared = fh;
		players[i].seed = i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	drop(fh, fd);
}

static void many_threads_do_all_at_a_time(void **state)
{
	(void)state;
	play_together();
}

static void many_threads_do_all_on_a_drive_with_lbas(void **state)
{
	(void)state;
	module.align = 512;
	play_together();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CUFILE_TEST(many_threads_do_all_at_a_time),
		CUFILE_TEST(many_threads_do_all_on_a_drive_with_lbas),
	};

	/* So few that they are given back all the time. */
	setenv("DMABUF_RW_CUFILE_BINDINGS", "8", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
