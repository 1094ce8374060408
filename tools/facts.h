/* SPDX-License-Identifier: MIT */
/*
 * facts.h - the table that check prints: one line for each fact, with a remedy for each problem;
 * and the same as the array "facts" of the JSON object.
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
 * Adds a fact; @remedy may be null. Returns its JSON object, for further members; the report owns
 * it.
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
 * The answer for the current subject: the state of its fact "direct", with *@text, of that fact or
 * of the first obstacle, and *@remedy, which may be null. The facts own the texts.
 */
enum fact_state facts_answer(const struct facts *facts, const char **text, const char **remedy);
/* A further line of the one before: text only. */
void fact_line(struct facts *facts, const char *text);

#endif
