// SPDX-License-Identifier: GPL-2.0
/*
 * plugin.c - a plugin of QEMU that counts the guest's instructions between two marks.
 *
 * The program in the guest executes the marks (mark.h). The first opens a window, the second
 * closes it and writes what all virtual CPUs have executed in between. Two more pause the window
 * and resume it.
 *
 * QEMU translates code in blocks and enters a block at its first instruction only. Each block
 * has a counter for each virtual CPU, which the translated code itself increments, all the
 * time; a window is a sum of differences. So counting costs an addition a block, and nothing is
 * lost between virtual CPUs.
 *
 * A block is known by its address and the lengths of its instructions. The same code that is
 * translated again gets the counter that it had; blocks that overlap, or other code at the
 * same address, have counters of their own. With the lengths, a reader knows of every
 * instruction how often it was executed.
 *
 * What is not exact: a block that a fault ends early counts whole, a string instruction
 * counts as one whatever it moves, and the blocks with the marks in them count as a part of
 * what ends with them.
 *
 * Output, to the file that the option "out" names:
 *
 *	block NUMBER ADDRESS LENGTHS	before its first count; a hexadecimal digit for each
 *					instruction
 *	window NUMBER			windows are numbered from 0 on
 *	NUMBER COUNT			how often this block was entered; none that was not
 *	end
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "qemu_plugin.h"

typedef uint64_t u64;

#define MAX_INSNS	512	/* QEMU's own limit for a block */
#define HASH_SIZE	(1 << 16)
#define BATCH_BLOCKS	512

struct block {
	struct block *next;	/* with the same hash */
	u64 address;
	struct qemu_plugin_u64 counter;
	char lengths[];		/* as in the output */
};

/* Blocks whose counters lie side by side. */
struct batch {
	struct batch *next;
	struct qemu_plugin_scoreboard *score;
	unsigned int nr;
	struct block *block[BATCH_BLOCKS];
	bool told[BATCH_BLOCKS];	/* the file has its line */
	/* Of the window; while it counts, less what the counters were when it began to. */
	u64 sums[BATCH_BLOCKS];
};

/* Protects everything below but the counters, and the output. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *hash[HASH_SIZE];
static struct batch *first, *last;
static unsigned int windows;
static bool open, counting;
static FILE *out;

static void *allocate(size_t size)
{
	void *mem = calloc(1, size);

	if (!mem)
		abort();
	return mem;
}

/* Add @times what each counter of a batch is, over the virtual CPUs, to its sum. */
static void add_counters(struct batch *batch, u64 times)
{
	int cpu, cpus = qemu_plugin_num_vcpus();
	unsigned int i;

	for (cpu = 0; cpu < cpus; cpu++) {
		const u64 *counters = qemu_plugin_scoreboard_find(batch->score, cpu);

		for (i = 0; i < batch->nr; i++)
			batch->sums[i] += times * __atomic_load_n(&counters[i], __ATOMIC_RELAXED);
	}
}

static void set_counting(bool on)
{
	struct batch *batch;

	for (batch = first; batch && on != counting; batch = batch->next)
		add_counters(batch, on ? -1 : 1);
	counting = on;
}

static void window_begin(unsigned int cpu, void *data)
{
	struct batch *batch;

	pthread_mutex_lock(&lock);
	for (batch = first; batch; batch = batch->next)
		memset(batch->sums, 0, sizeof(batch->sums));
	counting = false;
	set_counting(true);
	open = true;
	pthread_mutex_unlock(&lock);
}

static void window_pause(unsigned int cpu, void *data)
{
	pthread_mutex_lock(&lock);
	set_counting(false);
	pthread_mutex_unlock(&lock);
}

static void window_resume(unsigned int cpu, void *data)
{
	pthread_mutex_lock(&lock);
	set_counting(open);
	pthread_mutex_unlock(&lock);
}

static void write_batch(struct batch *batch, unsigned int number)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++, number++) {
		struct block *block = batch->block[i];

		if (!batch->sums[i])
			continue;
		if (!batch->told[i])
			fprintf(out, "block %u %lx %s\n", number, block->address, block->lengths);
		batch->told[i] = true;
		fprintf(out, "%u %lu\n", number, batch->sums[i]);
	}
}

static void window_end(unsigned int cpu, void *data)
{
	unsigned int number = 0;
	struct batch *batch;

	pthread_mutex_lock(&lock);
	set_counting(false);
	if (open) {
		fprintf(out, "window %u\n", windows++);
		for (batch = first; batch; number += batch->nr, batch = batch->next)
			write_batch(batch, number);
		fprintf(out, "end\n");
		if (fflush(out)) {
			perror("plugin: writing the counts");
			exit(1);
		}
	}
	open = false;
	pthread_mutex_unlock(&lock);
}

static struct qemu_plugin_u64 new_counter(struct block *block)
{
	struct batch *batch = last;

	if (!batch || batch->nr == BATCH_BLOCKS) {
		batch = allocate(sizeof(*batch));
		batch->score = qemu_plugin_scoreboard_new(BATCH_BLOCKS * sizeof(u64));
		if (last)
			last->next = batch;
		else
			first = batch;
		last = batch;
	}
	batch->block[batch->nr] = block;
	return (struct qemu_plugin_u64) { batch->score, batch->nr++ * sizeof(u64) };
}

static struct block *find_block(u64 address, const char *lengths)
{
	struct block **head = &hash[address % HASH_SIZE], *block;

	for (block = *head; block; block = block->next)
		if (block->address == address && !strcmp(block->lengths, lengths))
			return block;
	block = allocate(sizeof(*block) + strlen(lengths) + 1);
	block->address = address;
	strcpy(block->lengths, lengths);
	block->counter = new_counter(block);
	block->next = *head;
	*head = block;
	return block;
}

static void watch_for_mark(struct qemu_plugin_insn *insn)
{
	static const unsigned char prefix[] = { MARK_PREFIX };
	static void (*const marks[])(unsigned int cpu, void *data) = {
		[MARK_BEGIN] = window_begin, [MARK_END] = window_end,
		[MARK_PAUSE] = window_pause, [MARK_RESUME] = window_resume,
	};
	unsigned char code[MARK_BYTES], mark;

	if (qemu_plugin_insn_size(insn) != MARK_BYTES ||
	    qemu_plugin_insn_data(insn, code, MARK_BYTES) != MARK_BYTES ||
	    memcmp(code, prefix, sizeof(prefix)))
		return;
	mark = code[MARK_BYTES - 1];
	if (mark < sizeof(marks) / sizeof(marks[0]) && marks[mark])
		qemu_plugin_register_vcpu_insn_exec_cb(insn, marks[mark],
						       QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, nr = qemu_plugin_tb_n_insns(tb);
	char lengths[MAX_INSNS + 1];
	struct block *block;

	if (nr > MAX_INSNS)
		abort();
	for (i = 0; i < nr; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		lengths[i] = "0123456789abcdef"[qemu_plugin_insn_size(insn) & 15];
		watch_for_mark(insn);
	}
	lengths[nr] = 0;
	pthread_mutex_lock(&lock);
	block = find_block(qemu_plugin_tb_vaddr(tb), lengths);
	pthread_mutex_unlock(&lock);
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64,
							  block->counter, 1);
}

__attribute__((visibility("default"))) int qemu_plugin_version = QEMU_PLUGIN_VERSION;

__attribute__((visibility("default")))
int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
			char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "plugin: out=FILE says where the counts go\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		perror(argv[0] + 4);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
