// SPDX-License-Identifier: MIT
/* facts.c - see facts.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"

/* The states in text and in JSON. */
static const struct {
	const char *mark, *name;
} states[] = {
	[FACT_OK] = { "ok", "ok" },
	[FACT_NO] = { "NO", "no" },
	[FACT_NOTE] = { "note", "note" },
	[FACT_UNKNOWN] = { "?", "unknown" },
	[FACT_INFO] = { "-", "info" },
};

void facts_begin(struct facts *facts, struct report *report)
{
	*facts = (struct facts){ .report = report, .array = json_object_new_array() };
	json_object_object_add(report->root, "facts", facts->array);
}

void facts_about(struct facts *facts, const char *about)
{
	facts->about = about;
	facts->in_the_way = false;
	if (about && !facts->report->json)
		say(stdout, "%s:", about);
}

static struct json_object *add(struct facts *facts, const char *name, enum fact_state state,
			       const char *remedy, const char *text)
{
	struct json_object *o = json_object_new_object();

	facts->in_the_way |= state == FACT_NO;
	if (facts->about)
		json_put_string(o, "about", facts->about);
	json_put_string(o, "fact", name);
	json_put_string(o, "state", states[state].name);
	json_put_string(o, "text", text);
	if (remedy)
		json_put_string(o, "remedy", remedy);
	json_object_array_add(facts->array, o);
	if (!facts->report->json)
		say(stdout, "%-4s %-12s %s%s%s", states[state].mark, name, text, remedy ? "; " : "",
		    remedy ? remedy : "");
	return o;
}

struct json_object *fact_of_list(struct facts *facts, const char *name, enum fact_state state,
				 const char *remedy, const char *format, va_list ap)
{
	char *text = text_vformat(format, ap);
	struct json_object *o = add(facts, name, state, remedy, text_or_excuse(text));

	free(text);
	return o;
}

struct json_object *fact(struct facts *facts, const char *name, enum fact_state state,
			 const char *remedy, const char *format, ...)
{
	struct json_object *o;
	va_list ap;

	va_start(ap, format);
	o = fact_of_list(facts, name, state, remedy, format, ap);
	va_end(ap);
	return o;
}

struct json_object *fact_of_error(struct facts *facts, const char *name, enum fact_state state,
				  const struct dmabuf_rw_error *error)
{
	const char *errno_name = dmabuf_rw_errno_name(error->err);
	const char *speaker = dmabuf_rw_error_speaker(error);
	const char *said = dmabuf_rw_errno_name(error->detail);
	struct json_object *o;

	o = fact(facts, name, state, dmabuf_rw_error_remedy(error), "%s (%s%s%s%s%s)",
		 dmabuf_rw_error_cause(error), errno_name ? errno_name : "an unknown errno",
		 speaker ? "; the " : "", speaker ? speaker : "", speaker ? " said " : "",
		 speaker ? (said ? said : "an unknown errno") : "");
	json_object_object_add(o, "error", json_of_error(error));
	return o;
}

void fact_line(struct facts *facts, const char *text)
{
	if (!facts->report->json)
		say(stdout, "%-4s %-12s %s", "", "", text);
}

static const char *member(struct json_object *fact, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(fact, key, &value) ? json_object_get_string(value) : NULL;
}

static bool is_about(const struct facts *facts, struct json_object *fact)
{
	const char *about = member(fact, "about");

	return about && facts->about && !strcmp(about, facts->about);
}

enum fact_state facts_answer(const struct facts *facts, const char **text, const char **remedy)
{
	size_t i = json_object_array_length(facts->array);
	enum fact_state state = FACT_UNKNOWN;
	struct json_object *fact, *answer = NULL, *first = NULL;

	/* Search backwards from the last one. */
	while (i-- && is_about(facts, fact = json_object_array_get_idx(facts->array, i))) {
		if (!strcmp(member(fact, "state"), states[FACT_NO].name))
			first = fact;
		if (!answer && !strcmp(member(fact, "fact"), "direct"))
			answer = fact;
	}
	for (i = 0; answer && i < ARRAY_SIZE(states); i++)
		if (!strcmp(member(answer, "state"), states[i].name))
			state = i;
	if (state == FACT_NO && first)
		answer = first;
	*text = answer ? member(answer, "text") : "nothing was found out";
	*remedy = answer ? member(answer, "remedy") : NULL;
	return state;
}
