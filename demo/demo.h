/* SPDX-License-Identifier: GPL-2.0 */
/*
 * demo.h - the parts of the demonstration.
 *
 * Every printed line states something that has just been checked; if a check fails, die()
 * (bench.h) prints what was expected and ends the program.
 */
#ifndef DEMO_H
#define DEMO_H

#include "bench.h"

/* say.c: a heading, and a line below it: a subject and a statement. */
void part(const char *title);
void fact(const char *about, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Environment variable of the machine. */
const char *machine_setting(const char *name);

/* machine.c: the kernel is stock, the memory is a device's, and nothing else can do it. */
void show_kernel(void);
void show_exporter(void);
void show_impossible(void);

/* transfer.c: load and store, by the command. */
void show_bar(void);
void show_others(void);
void show_doorbell(void);

/* cost.c: memory and CPU time. */
void show_cost(void);

#endif
