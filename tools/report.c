// SPDX-License-Identifier: MIT
/*
 * report.c - results and failures, as text for people or JSON for programs.
 *
 * With -o json, stdout carries exactly one JSON object, also after a failure, which is
 * then in its "error" member; sentences go to stderr in either format. Only a command line
 * that cannot be understood gets no object: it may not have said which format is wanted.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

void report_begin(struct report *report, const char *command)
{
	report->command = command;
	report->json = false;
	report->root = json_object_new_object();
	json_put_string(report->root, "command", command);
}

bool report_format(struct report *report, const char *format)
{
	report->json = !strcmp(format, "json");
	return report->json || !strcmp(format, "text");
}

/* The first failure is the one that explains the rest. */
static void add_error(struct report *report, struct json_object *error)
{
	if (json_object_object_get_ex(report->root, "error", NULL))
		json_object_put(error);
	else
		json_object_object_add(report->root, "error", error);
}

void report_fail(struct report *report, const char *format, ...)
{
	struct json_object *error = json_object_new_object();
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);

	fprintf(stderr, "dmabuf-rw %s: %s\n", report->command, text);
	json_put_string(error, "message", text);
	add_error(report, error);
}

void report_error(struct report *report, const char *what,
		  const struct dmabuf_rw_error *error)
{
	char text[1024];

	dmabuf_rw_error_format(error, text, sizeof(text));
	fprintf(stderr, "dmabuf-rw %s: %s: %s\n", report->command, what, text);
	add_error(report, json_of_error(error));
}

struct json_object *json_of_error(const struct dmabuf_rw_error *error)
{
	struct json_object *object = json_object_new_object();
	const char *name = dmabuf_rw_errno_name(error->err);
	const char *reason = dmabuf_rw_reason_name(error->reason);
	char text[1024];

	dmabuf_rw_error_format(error, text, sizeof(text));
	json_put_string(object, "message", text);
	json_put_string(object, "cause", dmabuf_rw_error_cause(error));
	json_put_string(object, "remedy", dmabuf_rw_error_remedy(error));
	json_put_u64(object, "errno", error->err);
	json_put_string(object, "errno_name", name ? name : "unknown");
	json_put_u64(object, "reason", error->reason);
	json_put_string(object, "reason_name", reason ? reason : "unknown");
	json_put_u64(object, "detail", error->detail);
	return object;
}

int report_end(struct report *report, int status)
{
	if (report->json) {
		json_put_u64(report->root, "status", status);
		printf("%s\n", json_object_to_json_string_ext(report->root,
				JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	json_object_put(report->root);
	report->root = NULL;
	if ((fflush(stdout) || ferror(stdout)) && status == STATUS_OK) {
		perror("dmabuf-rw: stdout");
		status = STATUS_FAILED;
	}
	return status;
}

int usage_error(const struct command *command, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "dmabuf-rw %s: ", command->name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "; dmabuf-rw %s --help shows how\n", command->name);
	return STATUS_USAGE;
}

void print_help(const struct command *command)
{
	printf("usage: dmabuf-rw %s", command->help);
}

void json_put_u64(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_put_double(struct json_object *object, const char *key, double value)
{
	char text[32];

	/* Seventeen digits, which is what json-c prints by itself, help nobody. */
	snprintf(text, sizeof(text), "%.6f", value);
	json_object_object_add(object, key, json_object_new_double_s(value, text));
}

void json_put_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

/* Length of the character at @s in UTF-8 (RFC 3629, section 4), 0: it is none. */
static size_t utf8_length(const unsigned char *s)
{
	/* The second byte is what tells characters from longer ways to write them. */
	static const struct {
		unsigned char first, last, low, high, length;
	} kinds[] = {
		{ 0x01, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (*s < kinds[i].first || *s > kinds[i].last)
			continue;
		if (s[1] < kinds[i].low || s[1] > kinds[i].high)
			return 0;
		for (j = 2; j < kinds[i].length; j++)
			if (s[j] < 0x80 || s[j] > 0xbf)
				return 0;
		return kinds[i].length;
	}
	return 0;
}

/* JSON is UTF-8; names of files are any bytes, and a message may end within a character. */
void json_put_string(struct json_object *object, const char *key, const char *value)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *text = malloc(3 * strlen(value) + 1), *to = text;
	const char *s = value;

	while (text && *s) {
		size_t n = utf8_length((const unsigned char *)s);

		memcpy(to, n ? s : replacement, n ? n : 3);
		to += n ? n : 3;
		s += n ? n : 1;
	}
	if (text)
		*to = 0;
	json_object_object_add(object, key, json_object_new_string(text ? text : ""));
	free(text);
}

struct json_object *json_of_info(const struct dmabuf_rw_info *info)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} flags[] = {
		{ DMABUF_RW_INFO_CAN_READ, "can_read" },
		{ DMABUF_RW_INFO_CAN_WRITE, "can_write" },
		{ DMABUF_RW_INFO_SGL, "sgl" },
		{ DMABUF_RW_INFO_POLL, "poll" },
		{ DMABUF_RW_INFO_MULTIPATH, "multipath" },
		{ DMABUF_RW_INFO_WRITE_CACHE, "write_cache" },
		{ DMABUF_RW_INFO_MAPPED, "mapped" },
		{ DMABUF_RW_INFO_REVOKED, "revoked" },
		{ DMABUF_RW_INFO_REGULAR, "regular" },
		{ DMABUF_RW_INFO_BOUNCE_ONLY, "bounce_only" },
	};
	struct json_object *o = json_object_new_object();
	char text[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		json_put_bool(o, flags[i].name, info->flags & flags[i].flag);
	json_put_u64(o, "buf_bytes", info->buf_bytes);
	json_put_u64(o, "file_bytes", info->file_bytes);
	json_put_u64(o, "lba_bytes", info->lba_bytes);
	json_put_u64(o, "file_align", info->file_align);
	json_put_u64(o, "buf_align", info->buf_align);
	json_put_u64(o, "max_cmd_bytes", info->max_cmd_bytes);
	json_put_string(o, "mem_class", dmabuf_rw_class_name(info->mem_class));
	if (info->mem_class == DMABUF_RW_CLASS_BAR) {
		json_put_u64(o, "bar", info->bar);
		json_put_string(o, "bar_pci", dmabuf_rw_pci_name(info->bar_domain, info->bar_pci,
								 text, sizeof(text)));
	}
	json_put_string(o, "nvme_pci", dmabuf_rw_pci_name(info->nvme_domain, info->nvme_pci,
							  text, sizeof(text)));
	json_put_string(o, "iommu", dmabuf_rw_iommu_name(info->iommu));
	json_put_u64(o, "paths", info->paths);
	json_put_u64(o, "extents", info->extents);
	json_put_u64(o, "file_extents", info->file_extents);
	json_put_u64(o, "metadata_bytes", info->metadata_bytes);
	json_put_u64(o, "reads", info->reads);
	json_put_u64(o, "writes", info->writes);
	json_put_u64(o, "read_bytes", info->read_bytes);
	json_put_u64(o, "write_bytes", info->write_bytes);
	json_put_u64(o, "errors", info->errors);
	json_put_u64(o, "remaps", info->remaps);
	json_put_u64(o, "failovers", info->failovers);
	dmabuf_rw_info_describe(info, text, sizeof(text));
	json_put_string(o, "description", text);
	return o;
}
