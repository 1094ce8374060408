// SPDX-License-Identifier: MIT
/* transfer_result.c - the reports of load and store. */
#include <stdlib.h>

#include "transfer.h"

/* Bytes per second over the whole time. */
static double rate_of(const struct run *r)
{
	return r->seconds > 0 ? r->moved / r->seconds : 0;
}

static void put_parts(const struct run *r)
{
	struct json_object *files = json_object_new_array(), *o;
	unsigned int i;

	for (i = 0; i < r->o.nr_parts; i++) {
		const struct part *part = &r->o.parts[i];
		const struct input *input = &r->o.inputs[part->input];

		o = json_object_new_object();
		json_put_string(o, "file", input->name);
		json_put_u64(o, "file_offset", part->file_off);
		json_put_u64(o, "buf_offset", part->buf_off);
		json_put_u64(o, "length", part->len);
		json_put_u64(o, "bytes", part->gapless);
		json_put_u64(o, "direct_bytes", part->direct_bytes);
		json_put_u64(o, "bounced_bytes", part->bounced_bytes);
		json_put_u64(o, "kernel_bytes", part->kernel_bytes);
		json_put_path(o, part->path);
		if (input->refusal.err)
			json_object_object_add(o, "not_direct", json_of_error(&input->refusal));
		json_object_array_add(files, o);
	}
	json_object_object_add(r->report->root, "files", files);
}

void put_result(const struct run *r)
{
	const struct input *first = &r->o.inputs[0];
	struct json_object *root = r->report->root;

	json_put_string(root, "file", first->name);
	json_put_string(root, "buffer", r->o.buffer);
	json_put_u64(root, "file_offset", r->o.parts[0].file_off);
	json_put_u64(root, "buf_offset", r->o.buf_off);
	json_put_u64(root, "length", r->total);
	json_put_u64(root, "bytes", r->gapless);
	json_put_u64(root, "bytes_moved", r->moved);
	json_put_u64(root, "direct_bytes", r->direct_bytes);
	json_put_u64(root, "bounced_bytes", r->bounced_bytes);
	json_put_u64(root, "kernel_bytes", r->kernel_bytes);
	json_put_path(root, r->path);
	json_put_u64(root, "transfers", r->completions);
	json_put_u64(root, "depth", r->o.depth);
	json_put_u64(root, "block_size", r->o.block);
	json_put_bool(root, "io_uring", r->io_uring);
	json_put_double(root, "seconds", r->seconds);
	json_put_double(root, "transfer_seconds", r->transfer_seconds);
	json_put_double(root, "bytes_per_second", rate_of(r));
	json_put_double(root, "cpu_seconds", r->cpu);
	/* An empty part was not bound. */
	if (first->info.size)
		json_object_object_add(root, "binding", json_of_info(&first->info));
	put_parts(r);
}

/* Prints why some bytes bounced although the pair can go direct. */
static void print_why_bounced(const struct run *r, const struct part *part)
{
	const struct input *input = &r->o.inputs[part->input];
	uint32_t align = r->write ? input->info.write_align : input->info.read_align;
	uint32_t buf_align = input->info.buf_align;
	bool to_end = part->file_off + part->len == input->info.file_bytes;

	if (align && (part->file_off % align || (part->len % align && !to_end) ||
		      (r->o.block % align && r->o.block < part->len)))
		say(stdout, "bounced of %s: what begins or ends within a block of %u bytes, which the "
		    "drive moves whole (offset, length, --block-size), and what was never written",
		    input->name, align);
	else if (buf_align && (part->buf_off % buf_align || r->o.block % buf_align))
		say(stdout, "bounced of %s: what does not begin at a multiple of %u in the buffer, "
		    "where the drive cannot put it (--buf-offset), and what was never written",
		    input->name, buf_align);
	else
		say(stdout, "bounced of %s: what was never written (a hole, or only reserved), of "
		    "which the drive has no block; or ends that it cannot address", input->name);
}

static void print_routes(const struct run *r)
{
	bool described = false;
	unsigned int i;
	char *text;

	for (i = 0; i < r->o.nr_inputs; i++) {
		const struct input *input = &r->o.inputs[i];

		if (input->refusal.reason == DMABUF_RW_REASON_NOT_CHOSEN) {
			say(stdout, "%s was not asked to go direct (--way)", input->name);
			continue;
		}
		if (input->refusal.err) {
			text = text_of_error(&input->refusal);
			say(stdout, "%s is not direct: %s", input->name, text_or_excuse(text));
			free(text);
			continue;
		}
		if (r->direct_bytes && !described) {
			text = text_of_info(&input->info);
			say(stdout, "%s: %s", input->name, text_or_excuse(text));
			free(text);
			described = true;
		}
	}
	for (i = 0; i < r->o.nr_parts; i++) {
		const struct part *part = &r->o.parts[i];

		if (!part->bounced_bytes || r->o.inputs[part->input].refusal.err)
			continue;
		print_why_bounced(r, part);
		break;
	}
}

void print_result(const struct run *r)
{
	char size[24], rate[24], direct[24], bounced[24];
	unsigned int others = r->o.nr_inputs - 1;
	char *more = others ? text_format(" and %u more", others) : NULL;

	say(stdout, "%s %s%s %s %s: %s (%llu bytes) in %.3f s (%.3f s of it to move them), "
	    "%s/s, %s%s", r->write ? "stored" : "loaded", r->o.inputs[0].name, more ? more : "",
	    r->write ? "from" : "into", r->o.buffer,
	    size_format(r->moved, size, sizeof(size)), (unsigned long long)r->moved,
	    r->seconds, r->transfer_seconds, size_format(rate_of(r), rate, sizeof(rate)),
	    dmabuf_rw_path_name(r->path), text_of_way(r->path));
	free(more);
	if (r->o.allow_bounce)
		say(stdout, "direct %s (%llu bytes), bounced %s (%llu bytes)",
		    size_format(r->direct_bytes, direct, sizeof(direct)),
		    (unsigned long long)r->direct_bytes,
		    size_format(r->bounced_bytes, bounced, sizeof(bounced)),
		    (unsigned long long)r->bounced_bytes);
	print_routes(r);
	if (r->o.verify)
		say(stdout, "verified: the buffer equals the %s", others ? "files" : "file");
	if (r->o.checksum)
		say(stdout, "sha256 %s", r->digest);
}
