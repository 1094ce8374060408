// SPDX-License-Identifier: MIT
/* batches.c - batches: limits, results entry by entry, waiting, cancelling. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

#define BLOCK	4096UL
#define MOST	128
#define BYTES	(MOST * BLOCK)

static CUfileIOParams_t params[MOST + 1];
static CUfileIOEvents_t events[MOST + 1];

static CUfileIOParams_t io(CUfileHandle_t fh, CUfileOpcode_t opcode, void *base, off_t buf_off,
			   off_t off, size_t size, uintptr_t cookie)
{
	CUfileIOParams_t p = { .mode = CUFILE_BATCH, .fh = fh, .opcode = opcode,
			       .cookie = (void *)cookie };

	p.u.batch.devPtr_base = base;
	p.u.batch.devPtr_offset = buf_off;
	p.u.batch.file_offset = off;
	p.u.batch.size = size;
	return p;
}

static CUfileBatchHandle_t new_batch(unsigned int nr)
{
	CUfileBatchHandle_t batch = NULL;
	CUfileError_t status = cf.BatchIOSetUp(&batch, nr);

	if (status.err)
		give_up("no batch of %u: %s", nr, status_word(status));
	return batch;
}

static const char *event_word(const CUfileIOEvents_t *event)
{
	static char text[4][64];
	static unsigned int next;
	const char *status = event->status == CUFILE_COMPLETE ? "complete" :
			     event->status == CUFILE_FAILED ? "failed" :
			     event->status == CUFILE_INVALID ? "invalid" :
			     event->status == CUFILE_CANCELED ? "canceled" :
			     event->status == CUFILE_TIMEOUT ? "timeout" :
			     event->status == CUFILE_PENDING ? "pending" :
			     event->status == CUFILE_WAITING ? "waiting" : "unknown";
	char *t = text[next++ % 4];

	snprintf(t, sizeof(text[0]), "%s %s", status, bytes_word((ssize_t)event->ret));
	return t;
}

/* Waits for @nr and puts them where their cookies say. Returns how many have come, each once. */
static unsigned int reap(CUfileBatchHandle_t batch, unsigned int nr)
{
	static CUfileIOEvents_t got[MOST];
	unsigned int i, n, found = 0, rounds = 0;

	memset(events, 0, sizeof(events));
	while (found < nr && rounds++ < 1000) {
		n = nr - found;
		if (cf.BatchIOGetStatus(batch, n, &n, got, NULL).err)
			break;
		for (i = 0; i < n; i++) {
			uintptr_t cookie = (uintptr_t)got[i].cookie;

			if (cookie >= MOST || events[cookie].status)
				return 0;
			events[cookie] = got[i];
			found++;
		}
	}
	return found;
}

void batch_set_up(void)
{
	CUfileBatchHandle_t batch = NULL;
	static const struct {
		const char *call, *expected;
		enum basis basis;
		unsigned int nr;
	} cases[] = {
		{ "of_1", "ok", DOCUMENTED, 1 },
		{ "of_128", "ok", DOCUMENTED, MOST },
		{ "of_129", "INVALID_VALUE", RELIED_ON, MOST + 1 },
		{ "of_0", "INVALID_VALUE", CHOSEN, 0 },
		{ "of_4294967295", "INVALID_VALUE", CHOSEN, UINT32_MAX },
	};
	size_t i;

	use_device();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CUfileError_t status = cf.BatchIOSetUp(&batch, cases[i].nr);

		answer(cases[i].basis, cases[i].call, cases[i].expected, "%s",
		       status_word(status));
		if (!status.err)
			cf.BatchIODestroy(batch);
	}
	answer(CHOSEN, "to_null", "INVALID_VALUE", "%s", status_word(cf.BatchIOSetUp(NULL, 1)));
}

void batch_submit(void)
{
	CUfileBatchHandle_t batch;
	CUfileHandle_t fh;
	unsigned int i;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDONLY));
	p = device_memory(BYTES);
	batch = new_batch(4);
	for (i = 0; i < 5; i++)
		params[i] = io(fh, CUFILE_READ, at(p), i * BLOCK, i * BLOCK, BLOCK, i);
	answer(CHOSEN, "nothing", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOSubmit(batch, 0, params, 0)));
	answer(CHOSEN, "null", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOSubmit(batch, 1, NULL, 0)));
	answer(CHOSEN, "unknown_flags", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOSubmit(batch, 1, params, 1U << 30)));
	answer(CHOSEN, "more_than_it_was_set_up_for", "BATCH_FULL|INVALID_VALUE", "%s",
	       status_word(cf.BatchIOSubmit(batch, 5, params, 0)));
	params[0].opcode = 7;
	answer(CHOSEN, "unknown_opcode", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOSubmit(batch, 1, params, 0)));
	params[0].opcode = CUFILE_READ;
	params[0].mode = 7;
	answer(CHOSEN, "unknown_mode", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOSubmit(batch, 1, params, 0)));
	params[0].mode = CUFILE_BATCH;
	answer(DOCUMENTED, "as_many_as_it_was_set_up_for", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, 4, params, 0)));
	answer(DOCUMENTED, "all_come", "4", "%u", reap(batch, 4));
	answer(CHOSEN, "again_when_all_have_come", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, 4, params, 0)));
	answer(CHOSEN, "all_come_again", "4", "%u", reap(batch, 4));
	answer(DOCUMENTED, "two_at_a_time", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, 2, params, 0)));
	answer(DOCUMENTED, "and_two_more", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, 2, params + 2, 0)));
	answer(DOCUMENTED, "all_four_come", "4", "%u", reap(batch, 4));
	cf.BatchIODestroy(batch);
}

/* As the largest client does: 128 of them, and all are waited for. */
void batch_of_many(void)
{
	CUfileBatchHandle_t batch;
	unsigned int i, right = 0;
	CUfileHandle_t fh;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDWR));
	p = device_memory(BYTES);
	batch = new_batch(MOST);
	for (i = 0; i < MOST; i++)
		params[i] = io(fh, CUFILE_READ, at(p), (MOST - 1 - i) * BLOCK, i * BLOCK, BLOCK, i);
	answer(RELIED_ON, "reads", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, MOST, params, 0)));
	answer(RELIED_ON, "all_reads_come_once", "128", "%u", reap(batch, MOST));
	for (i = 0; i < MOST; i++)
		right += events[i].status == CUFILE_COMPLETE && events[i].ret == BLOCK &&
			 device_is(p + (MOST - 1 - i) * BLOCK, BLOCK, 1, i * BLOCK);
	answer(RELIED_ON, "reads_are_right", "128", "%u", right);
	fill_device(p, BYTES, 2, 0);
	for (i = 0; i < MOST; i++)
		/* An interior pointer, and no offset. */
		params[i] = io(fh, CUFILE_WRITE, at(p + i * BLOCK), 0, i * BLOCK, BLOCK, i);
	answer(RELIED_ON, "writes", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, MOST, params, 0)));
	answer(RELIED_ON, "all_writes_come_once", "128", "%u", reap(batch, MOST));
	answer(RELIED_ON, "writes_are_right", "yes", "%s",
	       file_is("file", 0, BYTES, 2, 0) ? "yes" : "no");
	cf.BatchIODestroy(batch);
}

struct entry {
	const char *call, *expected;
	enum basis basis;
	CUfileIOParams_t params;
};

static void ask_for_entries(const struct entry *entries, unsigned int nr)
{
	CUfileBatchHandle_t batch = new_batch(nr);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		params[i] = entries[i].params;
		params[i].cookie = (void *)(uintptr_t)i;
	}
	answer(RELIED_ON, "submit", "ok", "%s",
	       status_word(cf.BatchIOSubmit(batch, nr, params, 0)));
	if (reap(batch, nr) != nr)
		give_up("not all entries have come");
	for (i = 0; i < nr; i++)
		answer(entries[i].basis, entries[i].call, entries[i].expected, "%s",
		       event_word(&events[i]));
	cf.BatchIODestroy(batch);
}

void batch_results(void)
{
	CUfileHandle_t fh, grown;
	unsigned char *mem;
	cuda_ptr p;

	use_device();
	mem = malloc(2 * BLOCK);
	fh = handle_of(new_file("file", 100000, 1, O_RDONLY));
	grown = handle_of(new_file("grown", 100, 1, O_RDWR));
	p = device_memory(MIB);
	fill_device(p + 512 * KIB, 8192, 2, 0);

	const struct entry entries[] = {
		{ "read", "complete 4096", DOCUMENTED,
		  io(fh, CUFILE_READ, at(p), 0, 0, BLOCK, 0) },
		{ "read_short", "complete 1696", RELIED_ON,
		  io(fh, CUFILE_READ, at(p), 4096, 98304, BLOCK, 0) },
		{ "read_behind_the_end", "complete 0", RELIED_ON,
		  io(fh, CUFILE_READ, at(p), 8192, MIB, BLOCK, 0) },
		{ "read_unaligned", "complete 5001", DOCUMENTED,
		  io(fh, CUFILE_READ, at(p), 12289, 77, 5001, 0) },
		{ "read_to_host_memory", "complete 4000", RELIED_ON,
		  io(fh, CUFILE_READ, mem, 1, 5, 4000, 0) },
		{ "write_that_grows", "complete 8192", RELIED_ON,
		  io(grown, CUFILE_WRITE, at(p), 512 * KIB, 0, 8192, 0) },
		{ "write_read_only", "failed -EBADF|failed -EACCES", CHOSEN,
		  io(fh, CUFILE_WRITE, at(p), 0, 0, BLOCK, 0) },
		{ "no_bytes", "complete 0", CHOSEN, io(fh, CUFILE_READ, at(p), 0, 0, 0, 0) },
		{ "null_handle", "invalid -HANDLE_NOT_REGISTERED", CHOSEN,
		  io(NULL, CUFILE_READ, at(p), 0, 0, BLOCK, 0) },
		{ "null_memory", "invalid -INVALID_VALUE", CHOSEN,
		  io(fh, CUFILE_READ, NULL, 0, 0, BLOCK, 0) },
		{ "negative_offset", "invalid -INVALID_VALUE", CHOSEN,
		  io(fh, CUFILE_READ, at(p), 0, -1, BLOCK, 0) },
		{ "negative_buffer_offset", "invalid -INVALID_VALUE", CHOSEN,
		  io(fh, CUFILE_READ, at(p), -1, 0, BLOCK, 0) },
		{ "size_that_wraps_around", "invalid -INVALID_VALUE", CHOSEN,
		  io(fh, CUFILE_READ, at(p), 0, 0, SIZE_MAX, 0) },
	};

	ask_for_entries(entries, sizeof(entries) / sizeof(entries[0]));
	answer(RELIED_ON, "bytes_that_were_read", "right", "%s",
	       device_is(p, BLOCK, 1, 0) && device_is(p + 4096, 1696, 1, 98304) &&
	       device_is(p + 12289, 5001, 1, 77) && host_is(mem + 1, 4000, 1, 5) ?
	       "right" : "wrong");
	answer(RELIED_ON, "bytes_that_were_written", "right", "%s",
	       file_is("grown", 0, 8192, 2, 0) ? "right" : "wrong");
	free(mem);
}

static void ask_for_wrong_waits(CUfileBatchHandle_t batch)
{
	struct timespec wrong = { 0, -1 };
	unsigned int nr = 1;

	answer(CHOSEN, "more_at_least_than_at_most", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOGetStatus(batch, 2, &nr, events, NULL)));
	nr = 1;
	answer(CHOSEN, "no_count", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOGetStatus(batch, 1, NULL, events, NULL)));
	answer(CHOSEN, "no_events", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOGetStatus(batch, 1, &nr, NULL, NULL)));
	nr = 1;
	answer(CHOSEN, "timeout_that_is_none", "INVALID_VALUE", "%s",
	       status_word(cf.BatchIOGetStatus(batch, 1, &nr, events, &wrong)));
}

void batch_waits(void)
{
	struct timespec none = { 0, 0 }, some = { 5, 0 };
	CUfileBatchHandle_t batch;
	unsigned int i, nr, found, rounds;
	CUfileHandle_t fh;
	CUfileError_t status;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDONLY));
	p = device_memory(BYTES);
	batch = new_batch(8);
	nr = 8;
	status = cf.BatchIOGetStatus(batch, 0, &nr, events, &none);
	answer(CHOSEN, "nothing_under_way", "ok 0", "%s %u", status_word(status), nr);
	for (i = 0; i < 8; i++)
		params[i] = io(fh, CUFILE_READ, at(p), i * BLOCK, i * BLOCK, BLOCK, i);
	cf.BatchIOSubmit(batch, 8, params, 0);
	nr = 8;
	status = cf.BatchIOGetStatus(batch, 1, &nr, events, &some);
	answer(DOCUMENTED, "for_one_at_least", "ok, 1 or more", "%s, %s", status_word(status),
	       nr >= 1 && nr <= 8 ? "1 or more" : "none");
	found = nr;
	/* Two at a time, and each once. */
	for (rounds = 0; found < 8 && rounds < 1000; rounds++) {
		nr = 8 - found < 2 ? 1 : 2;
		if (cf.BatchIOGetStatus(batch, nr, &nr, events, NULL).err || nr > 2)
			break;
		found += nr;
	}
	answer(DOCUMENTED, "for_two_at_a_time_until_all_have_come", "8", "%u", found);
	nr = 8;
	status = cf.BatchIOGetStatus(batch, 0, &nr, events, &none);
	answer(CHOSEN, "none_comes_twice", "ok 0", "%s %u", status_word(status), nr);
	cf.BatchIOSubmit(batch, 8, params, 0);
	nr = 8;
	status = cf.BatchIOGetStatus(batch, 8, &nr, events, &some);
	answer(RELIED_ON, "for_all", "ok 8", "%s %u", status_word(status), nr);
	ask_for_wrong_waits(batch);
	cf.BatchIODestroy(batch);
}

void batch_cancel(void)
{
	CUfileBatchHandle_t batch;
	unsigned int i, nr, ended = 0;
	CUfileHandle_t fh;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDONLY));
	p = device_memory(BYTES);
	answer(CHOSEN, "null", "INVALID_VALUE", "%s", status_word(cf.BatchIOCancel(NULL)));
	batch = new_batch(MOST);
	answer(CHOSEN, "nothing_under_way", "ok", "%s", status_word(cf.BatchIOCancel(batch)));
	for (i = 0; i < MOST; i++)
		params[i] = io(fh, CUFILE_READ, at(p), i * BLOCK, i * BLOCK, BLOCK, i);
	cf.BatchIOSubmit(batch, MOST, params, 0);
	answer(DOCUMENTED, "what_is_under_way", "ok", "%s", status_word(cf.BatchIOCancel(batch)));
	nr = reap(batch, MOST);
	for (i = 0; i < MOST; i++)
		ended += events[i].status == CUFILE_CANCELED ||
			 (events[i].status == CUFILE_COMPLETE && events[i].ret == BLOCK &&
			  device_is(p + i * BLOCK, BLOCK, 1, i * BLOCK));
	answer(CHOSEN, "all_come", "128", "%u", nr);
	answer(CHOSEN, "canceled_or_right", "128", "%u", ended);
	cf.BatchIODestroy(batch);
}

void batch_destroy(void)
{
	CUfileBatchHandle_t batch;
	CUfileHandle_t fh;
	unsigned int i;
	cuda_ptr p;

	use_device();
	fh = handle_of(new_file("file", BYTES, 1, O_RDONLY));
	p = device_memory(BYTES);
	batch = new_batch(MOST);
	for (i = 0; i < MOST; i++)
		params[i] = io(fh, CUFILE_READ, at(p), i * BLOCK, i * BLOCK, BLOCK, i);
	cf.BatchIOSubmit(batch, MOST, params, 0);
	cf.BatchIODestroy(batch);
	answer(CHOSEN, "what_is_under_way", "returned", "returned");
	answer(CHOSEN, "handle_is_as_it_was", "4096", "%s",
	       bytes_word(cf.Read(fh, at(p), BLOCK, 0, 0)));
	cf.BatchIODestroy(NULL);
	answer(CHOSEN, "null", "returned", "returned");
}
