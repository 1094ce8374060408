// SPDX-License-Identifier: GPL-2.0
/*
 * exact.c - work of known size, by which the counter of instructions (plugin.c) is tested.
 *
 * Output: a record for each window, in their order, with the number of instructions that the
 * program executes in it, but for the few of the C code around the loops.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mark.h"

#define LOOPS		100000UL
#define PER_LOOP	3
#define VERSIONS	50
#define CALLS		200

static void loop(unsigned long n)
{
	asm volatile("1: nop\n\tdec %0\n\tjnz 1b" : "+r"(n) : : "cc");
}

/* Enter the same loop at either of two instructions, so that two blocks overlap. */
static void loop_from(unsigned long n, unsigned long second)
{
	asm volatile("test %1, %1\n\tjnz 2f\n\t.p2align 4\n1: nop\n2: nop\n\tdec %0\n\tjnz 1b"
		     : "+r"(n) : "r"(second) : "cc");
}

/* Call @code, which changes no register but the flags. */
static void call(void *code, unsigned long n)
{
	/* What a call stores must not meet the red zone. */
	asm volatile("lea -128(%%rsp), %%rsp\n1: call *%1\n\tdec %0\n\tjnz 1b\n\t"
		     "lea 128(%%rsp), %%rsp" : "+r"(n) : "r"(code) : "cc", "memory");
}

static pthread_barrier_t started, ended;

static void *other_cpu(void *data)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		exit(1);
	pthread_barrier_wait(&started);
	loop(LOOPS);
	pthread_barrier_wait(&ended);
	return data;
}

static void report(const char *name, unsigned long instructions)
{
	printf("{\"record\": \"exact\", \"name\": \"%s\", \"instructions\": %lu}\n", name,
	       instructions);
}

static void two_cpus(void)
{
	pthread_t thread;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    pthread_barrier_init(&started, NULL, 2) || pthread_barrier_init(&ended, NULL, 2) ||
	    pthread_create(&thread, NULL, other_cpu, NULL))
		exit(1);
	MARK(MARK_BEGIN);
	pthread_barrier_wait(&started);
	loop(LOOPS);
	pthread_barrier_wait(&ended);
	MARK(MARK_END);
	pthread_join(thread, NULL);
	report("several_processors_lose_nothing", 2 * PER_LOOP * LOOPS);
}

static void overlapping(void)
{
	MARK(MARK_BEGIN);
	loop_from(LOOPS, 0);
	loop_from(LOOPS, 1);
	MARK(MARK_END);
	report("blocks_may_overlap", 2 * (PER_LOOP + 1) * LOOPS);
}

static void paused(void)
{
	MARK(MARK_BEGIN);
	loop(LOOPS);
	MARK(MARK_PAUSE);
	loop(LOOPS);
	MARK(MARK_RESUME);
	loop(LOOPS);
	MARK(MARK_END);
	report("nothing_is_counted_while_it_pauses", 2 * PER_LOOP * LOOPS);
}

/* Code that changes and changes back at one address. */
static void translated_again(void)
{
	/* N times nop, then ret. */
	static const uint8_t nop = 0x90, ret = 0xc3;
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int version;
	unsigned long n = 0;

	if (code == MAP_FAILED)
		exit(1);
	MARK(MARK_BEGIN);
	for (version = 0; version < VERSIONS; version++) {
		unsigned int nops = version % 2 ? 100 : 200;

		memset(code, nop, nops);
		code[nops] = ret;
		call(code, CALLS);
		n += CALLS * (nops + 1 + PER_LOOP);
	}
	MARK(MARK_END);
	report("code_may_be_translated_again", n);
}

int main(void)
{
	two_cpus();
	overlapping();
	paused();
	translated_again();
	return 0;
}
