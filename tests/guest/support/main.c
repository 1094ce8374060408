// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - the entry of every test program.
 */
#include "harness.h"

extern const struct program program;

int main(int argc, char **argv)
{
	return harness_main(&program, argc, argv);
}
