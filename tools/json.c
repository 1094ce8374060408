// SPDX-License-Identifier: MIT
/* json.c - the JSON objects of results and errors. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

void json_put_u64(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_put_double(struct json_object *object, const char *key, double value)
{
	/* json-c would print seventeen digits. */
	char *text = text_format("%.6f", value);

	json_object_object_add(object, key, json_object_new_double_s(value, text ? text : "0"));
	free(text);
}

void json_put_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

/* JSON is UTF-8, but file names can hold any bytes. */
void json_put_string(struct json_object *object, const char *key, const char *value)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *text = malloc(3 * strlen(value) + 1), *to = text;
	const char *s = value;

	while (text && *s) {
		size_t n = utf8_length(s);

		to = mempcpy(to, n ? s : replacement, n ? n : 3);
		s += n ? n : 1;
	}
	if (text)
		*to = 0;
	json_object_object_add(object, key, json_object_new_string(text ? text : ""));
	free(text);
}

/* The same for an allocated text, which it frees. */
static void put_text(struct json_object *object, const char *key, char *text)
{
	json_put_string(object, key, text_or_excuse(text));
	free(text);
}

struct json_object *json_of_error(const struct dmabuf_rw_error *error)
{
	struct json_object *object = json_object_new_object();
	const char *name = dmabuf_rw_errno_name(error->err);
	const char *reason = dmabuf_rw_reason_name(error->reason);

	put_text(object, "message", text_of_error(error));
	json_put_string(object, "cause", dmabuf_rw_error_cause(error));
	json_put_string(object, "remedy", dmabuf_rw_error_remedy(error));
	json_put_u64(object, "errno", error->err);
	json_put_string(object, "errno_name", name ? name : "unknown");
	json_put_u64(object, "reason", error->reason);
	json_put_string(object, "reason_name", reason ? reason : "unknown");
	json_put_u64(object, "detail", error->detail);
	return object;
}

void json_put_path(struct json_object *object, uint32_t path)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} ways[] = {
		{ DMABUF_RW_PATH_MODULE, "module" },
		{ DMABUF_RW_PATH_KERNEL, "kernel" },
		{ DMABUF_RW_PATH_BOUNCED, "bounce" },
	};
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (path & ways[i].bit)
			json_object_array_add(array, json_object_new_string(ways[i].name));
	json_put_string(object, "path", dmabuf_rw_path_name(path));
	json_object_object_add(object, "ways", array);
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
		{ DMABUF_RW_INFO_NO_BLOCKS, "no_blocks" },
		{ DMABUF_RW_INFO_BOUNCE_ONLY, "bounce_only" },
	};
	struct json_object *o = json_object_new_object();
	char pci[24];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		json_put_bool(o, flags[i].name, info->flags & flags[i].flag);
	json_put_u64(o, "buf_bytes", info->buf_bytes);
	json_put_u64(o, "file_bytes", info->file_bytes);
	json_put_u64(o, "lba_bytes", info->lba_bytes);
	json_put_u64(o, "read_align", info->read_align);
	json_put_u64(o, "write_align", info->write_align);
	json_put_u64(o, "buf_align", info->buf_align);
	json_put_u64(o, "max_cmd_bytes", info->max_cmd_bytes);
	json_put_string(o, "mem_class", dmabuf_rw_class_name(info->mem_class));
	if (info->mem_class == DMABUF_RW_CLASS_BAR) {
		json_put_u64(o, "bar", info->bar);
		json_put_string(o, "bar_pci", dmabuf_rw_pci_name(info->bar_domain, info->bar_pci,
								 pci, sizeof(pci)));
	}
	json_put_string(o, "nvme_pci", dmabuf_rw_pci_name(info->nvme_domain, info->nvme_pci,
							  pci, sizeof(pci)));
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
	put_text(o, "description", text_of_info(info));
	return o;
}

/* Escapes DEL and C1, which json-c does not; they occur only within strings. */
void json_print(FILE *out, struct json_object *object)
{
	const char *s = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
						       JSON_C_TO_STRING_NOSLASHESCAPE);
	char *text = s ? malloc(6 * strlen(s) + 2) : NULL, *to = text;

	if (!text) {
		say_as_is(out, "{}\n");
		return;
	}
	for (; *s; s++) {
		unsigned char c = *s, next = s[1];

		if (c == 0x7f || (c == 0xc2 && next < 0xa0)) {
			to += sprintf(to, "\\u%04x", c == 0x7f ? c : next);
			s += c != 0x7f;
		} else {
			*to++ = c;
		}
	}
	strcpy(to, "\n");
	say_as_is(out, text);
	free(text);
}
