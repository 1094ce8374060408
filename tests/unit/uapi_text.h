/* SPDX-License-Identifier: MIT */
/*
 * uapi_text.h - what the interface's header says in its text: the error table, which is
 * a comment, and the names of the reasons. Read at run time, so that what is new there
 * is asked for by the tests at once.
 */
#ifndef UAPI_TEXT_H
#define UAPI_TEXT_H

#define MAX_NAMES 128

/*
 * The errnos in the first column of the table, and for each the calls it belongs to.
 * Returns how many.
 */
int table_errnos(int *errnos, char calls[][32]);

/* Names, without their prefix, and values of enum dmabuf_rw_reason. */
int enum_reasons(char names[][48], unsigned int *values);

/* A whole file as a string, to be freed. */
char *read_text(const char *path);

#endif
