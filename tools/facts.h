/* SPDX-License-Identifier: MIT */
/*
 * facts.h - the table that check prints: one line for each fact, with what to do where it is not
 * as it should be; and the same as the array "facts" of the JSON object.
 */
#ifndef TOOLS_FACTS_H
#define TOOLS_FACTS_H

#include "tool.h"

enum fact_state {
	FACT_OK,	/* no problem */
	FACT_NO,	/* prevents direct transfers */
	FACT_NOTE,	/* does not prevent them, but could be better */
	FACT_UNKNOWN,	/* unknown, usually to this user */
	FACT_INFO,	/* for information */
};

struct facts {
	struct report *report;
	struct json_object *array;
	const char *about;	/* null: the machine */
	bool in_the_way;	/* @about has a FACT_NO */
};

void facts_begin(struct facts *facts, struct report *report);
/* Sets the subject of the next facts; null: the machine. */
void facts_about(struct facts *facts, const char *about);
/*
 * Adds one. @remedy may be null. Returns its JSON object, for numbers and names that the text has,
 * too; it stays the report's.
 */
struct json_object *fact(struct facts *facts, const char *name, enum fact_state state,
			 const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
struct json_object *fact_of_list(struct facts *facts, const char *name, enum fact_state state,
				 const char *remedy, const char *format, va_list ap);
/* The same for a failure of the library, with its text. */
struct json_object *fact_of_error(struct facts *facts, const char *name, enum fact_state state,
				  const struct dmabuf_rw_error *error);
/*
 * The answer about what was looked at last: the state of its fact "direct", with *@text, of that or
 * of the first thing that is in the way, and *@remedy, which may be null. The texts are the facts'.
 */
enum fact_state facts_answer(const struct facts *facts, const char **text, const char **remedy);
/* A further line of the one before: text only. */
void fact_line(struct facts *facts, const char *text);

#endif
