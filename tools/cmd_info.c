// SPDX-License-Identifier: MIT
/*
 * cmd_info.c - dmabuf-rw info: whether a pair goes direct and peer to peer, and if not, why and
 * what to do.
 *
 * Only a pair of file and buffer has an answer: info binds them as load would, reports the result
 * and transfers nothing. A file alone is tried with one page of system memory as the buffer.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"
#include "options.h"
#include "route.h"

struct names {
	uint64_t bit;
	const char *name;
};

static void print_row(const struct report *report, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void print_row(const struct report *report, const char *key, const char *format, ...)
{
	va_list ap;
	char *text;

	if (report->json)
		return;
	va_start(ap, format);
	text = text_vformat(format, ap);
	va_end(ap);
	say(stdout, "%-14s %s", key, text_or_excuse(text));
	free(text);
}

/* The allocated names of @flags; null: no memory. */
static char *flag_names(const struct names *names, size_t nr, uint64_t flags)
{
	char *text = strdup(""), *more;
	size_t i;

	for (i = 0; i < nr && text; i++) {
		if (!(flags & names[i].bit))
			continue;
		more = text_format("%s%s%s", text, *text ? ", " : "", names[i].name);
		free(text);
		text = more;
	}
	if (text && !*text) {
		free(text);
		text = strdup("none");
	}
	return text;
}

#define FLAG_NAMES(names, flags) flag_names(names, ARRAY_SIZE(names), flags)

static void show_release(struct report *report, struct json_object *o)
{
	struct module_release release;

	module_release_read("", &release);
	if (!release.name[0])
		return;
	json_put_string(o, "release", release.name);
	if (!release.relation) {
		print_row(report, "release", "%s", release.name);
		return;
	}
	json_put_string(o, "relation", release.relation);
	print_row(report, "release", "%s, %s: %s", release.name, release.relation, release.remedy);
}

static void show_query(struct report *report, struct json_object *o,
		       const struct dmabuf_rw_query *query)
{
	static const struct names io[] = {
		{ DMABUF_RW_IO_FUA, "fua" },
		{ DMABUF_RW_IO_WHOLE, "whole" },
		{ DMABUF_RW_IO_RESULTS, "results" },
	};
	static const struct names bind[] = {
		{ DMABUF_RW_BIND_DEVICE_MEMORY, "device-memory" },
		{ DMABUF_RW_BIND_TRUST_ADDRESSES, "trust-addresses" },
	};
	static const struct names uring[] = {
		{ 1ULL << DMABUF_RW_URING_READ, "read" },
		{ 1ULL << DMABUF_RW_URING_WRITE, "write" },
		{ 1ULL << DMABUF_RW_URING_READV, "readv" },
		{ 1ULL << DMABUF_RW_URING_WRITEV, "writev" },
		{ 1ULL << DMABUF_RW_URING_READ_MANY, "read_many" },
		{ 1ULL << DMABUF_RW_URING_WRITE_MANY, "write_many" },
	};
	char *version, *bind_flags, *io_flags, *uring_ops, size[24];

	version = text_format("%u.%u", query->abi_major, query->abi_minor);
	bind_flags = FLAG_NAMES(bind, query->bind_flags);
	io_flags = FLAG_NAMES(io, query->io_flags);
	uring_ops = FLAG_NAMES(uring, query->uring_ops);
	json_put_string(o, "interface", text_or_excuse(version));
	json_put_string(o, "bind_flags", text_or_excuse(bind_flags));
	json_put_string(o, "io_flags", text_or_excuse(io_flags));
	json_put_string(o, "io_uring", text_or_excuse(uring_ops));
	print_row(report, "module", "usable, interface %s", text_or_excuse(version));
	show_release(report, o);
	print_row(report, "per transfer", "at most %s and %u pieces; flags: %s",
		  size_format(query->max_bytes, size, sizeof(size)), query->max_pieces,
		  text_or_excuse(io_flags));
	print_row(report, "io_uring", "%s", text_or_excuse(uring_ops));
	free(version);
	free(bind_flags);
	free(io_flags);
	free(uring_ops);
	json_put_u64(o, "max_pieces", query->max_pieces);
	json_put_u64(o, "max_bytes", query->max_bytes);
}

static int show_module(struct report *report, struct session *s)
{
	struct dmabuf_rw_query query = { .size = sizeof(query) };
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_QUERY };
	struct json_object *o = json_object_new_object();
	int status;

	json_object_object_add(report->root, "module", o);
	status = session_open_device(s, report);
	json_put_bool(o, "usable", s->device);
	if (!s->device && !status) {
		json_put_string(o, "why", dmabuf_rw_error_cause(&s->device_error));
		print_row(report, "module", "not usable: %s",
			  dmabuf_rw_error_cause(&s->device_error));
	}
	if (!s->device)
		return status;
	error.err = -dmabuf_rw_device_query(s->device, &query);
	if (error.err) {
		report_error(report, DMABUF_RW_DEVICE, &error);
		return STATUS_FAILED;
	}
	show_query(report, o, &query);
	return STATUS_OK;
}

/* Has the kernel an interface of its own? */
static bool show_kernel(struct report *report)
{
	struct json_object *o = json_object_new_object();
	struct dmabuf_rw_error error;
	bool usable = dmabuf_rw_has_kernel_way(&error);

	json_object_object_add(report->root, "kernel", o);
	json_put_bool(o, "usable", usable);
	if (!usable)
		json_put_string(o, "why", dmabuf_rw_error_cause(&error));
	print_row(report, "kernel's way", "%s", usable ? "usable: for disks, without the module" :
		  dmabuf_rw_error_cause(&error));
	return usable;
}

/* Reports whether the direct way that the pair does not take would work, or why not. */
static void show_other_way(struct report *report, const struct session *s)
{
	struct json_object *o = json_object_new_object();
	struct dmabuf_rw_error error;
	const char *other;
	char *why;

	other = pair_other_way(s, &error) == DMABUF_RW_PATH_MODULE ? "module" : "kernel";
	json_put_string(o, "way", other);
	json_put_bool(o, "usable", !error.err);
	if (error.err)
		json_put_string(o, "why", dmabuf_rw_error_cause(&error));
	json_object_object_add(report->root, "other_way", o);
	why = text_format("by the %s", other);
	print_row(report, text_or_excuse(why), "%s%s", error.err ? "no: " : "yes, too",
		  error.err ? dmabuf_rw_error_cause(&error) : "");
	free(why);
}

/* A GPU's exports need free space in its aperture. */
static void show_aperture(struct report *report, const struct session *s,
			  struct json_object *buffer)
{
	struct json_object *o = json_object_new_object();
	char pci[BUFFER_PCI], size[24], left[24];
	struct pci_aperture a;

	json_object_object_add(buffer, "gpu", o);
	if (!buffer_pci_name(&s->buffer, pci)) {
		print_row(report, "aperture", "not known: the driver does not name the GPU's "
			  "device");
		return;
	}
	json_put_string(o, "pci", pci);
	if (!pci_aperture_read("", pci, &a)) {
		print_row(report, "aperture", "not known: sysfs tells of no BAR of the GPU at %s",
			  pci);
		return;
	}
	json_put_u64(o, "aperture_bar", a.index);
	json_put_u64(o, "aperture_bytes", a.bar.bytes);
	size_format(a.bar.bytes, size, sizeof(size));
	if (a.use_known) {
		json_put_u64(o, "aperture_free", a.free);
		print_row(report, "aperture", "BAR %u of the GPU at %s: %s; of the memory that it "
			  "shows %s are free", a.index, pci, size,
			  size_format(a.free, left, sizeof(left)));
	} else {
		print_row(report, "aperture", "BAR %u of the GPU at %s: %s; how much of it is free "
			  "cannot be known here", a.index, pci, size);
	}
}

static void show_buffer(struct report *report, struct session *s)
{
	struct json_object *o = json_object_new_object();
	char *why = NULL, size[24];
	bool seen = !buffer_map(&s->buffer, &why) && s->buffer.map;
	bool mapped = buffer_has_mapping(&s->buffer);

	json_put_string(o, "name", s->buffer_name);
	json_put_u64(o, "bytes", s->buffer.size);
	json_put_bool(o, "cpu_view", seen);
	json_put_bool(o, "cpu_mapping", mapped);
	json_object_object_add(report->root, "buffer", o);
	print_row(report, "buffer", "%s: %s", s->buffer_name,
		  size_format(s->buffer.size, size, sizeof(size)));
	print_row(report, "by the CPU", "%s", mapped ? "can be looked at, and copied (--allow-bounce)" :
		  s->buffer.segment ? "by its driver, which copies (--verify, --allow-bounce)" :
		  seen ? "can be looked at (--verify), but not copied: the dma-buf has no CPU mapping" :
		  "can neither be looked at (--verify) nor copied (--allow-bounce): it has no CPU "
		  "mapping");
	if (s->buffer.segment)
		show_aperture(report, s, o);
	free(why);
}

static void show_drive(struct report *report, const struct session *s)
{
	const struct dmabuf_rw_info *info = &s->info;
	char size[24], pci[20];

	print_row(report, "file", "%s: %s in blocks of %u, drive %s, %u %s%s", s->file_name,
		  size_format(info->file_bytes, size, sizeof(size)), info->lba_bytes,
		  dmabuf_rw_pci_name(info->nvme_domain, info->nvme_pci, pci, sizeof(pci)),
		  info->paths,
		  info->paths == 1 ? "path" : "paths",
		  info->flags & DMABUF_RW_INFO_WRITE_CACHE ? ", volatile write cache" : "");
	if (info->flags & DMABUF_RW_INFO_REGULAR)
		print_row(report, "kind", "regular file");
}

static void show_mapping(struct report *report, const struct dmabuf_rw_info *info)
{
	print_row(report, "memory", "%s, %llu DMA %s", dmabuf_rw_class_name(info->mem_class),
		  (unsigned long long)info->extents,
		  info->extents == 1 ? "extent" : "extents");
	print_row(report, "IOMMU", "%s", dmabuf_rw_iommu_name(info->iommu));
}

static void show_pair(struct report *report, const struct session *s)
{
	const struct dmabuf_rw_info *info = &s->info;
	bool by_kernel = info->flags & DMABUF_RW_INFO_KERNEL, load, store;
	char size[24], *route;

	pair_directions(s, &load, &store);
	json_put_bool(report->root, "direct", true);
	json_put_bool(report->root, "can_load", load);
	json_put_bool(report->root, "can_store", store);
	json_put_path(report->root, dmabuf_rw_binding_path(s->binding));
	json_object_object_add(report->root, "binding", json_of_info(info));

	if (by_kernel)
		print_row(report, "file", "%s: %s in blocks of %u", s->file_name,
			  size_format(info->file_bytes, size, sizeof(size)), info->lba_bytes);
	else
		show_drive(report, s);
	print_row(report, "direct", "yes: %s, by the %s", load && store ? "load and store" :
		  load ? "load only" : "store only", by_kernel ? "kernel" : "module");
	show_other_way(report, s);
	route = text_of_info(info);
	print_row(report, "route", "%s", text_or_excuse(route));
	free(route);
	if (!by_kernel)
		show_mapping(report, info);
	print_row(report, "alignment", "file offsets and lengths %u for load, %u for store; "
		  "buffer offsets %u", info->read_align, info->write_align, info->buf_align);
	if (!by_kernel)
		print_row(report, "commands", "at most %s each, SGL %s, polled transfers %s",
			  size_format(info->max_cmd_bytes, size, sizeof(size)),
			  info->flags & DMABUF_RW_INFO_SGL ? "yes" : "no",
			  info->flags & DMABUF_RW_INFO_POLL ? "yes" :
							      "no (nvme.poll_queues=0)");
	print_row(report, "kernel memory", "%llu bytes for this binding",
		  (unsigned long long)info->metadata_bytes);
}

/* In text the rows are complete; in JSON the object has an "error" like any other. */
static int show_refusal(const struct session *s, struct report *report, const char *what,
			const struct dmabuf_rw_error *error, const char *hint)
{
	const char *name = dmabuf_rw_errno_name(error->err), *speaker, *said;
	int status = bind_status(error);
	char key[16];

	json_put_bool(report->root, "direct", false);
	if (error->reason == DMABUF_RW_REASON_NO_DEVICE && s->device_error.err) {
		error = &s->device_error;
		status = STATUS_FAILED;
	}
	if (report->json) {
		if (!s->ways)
			show_other_way(report, s);
		report_error_and(report, what, error, hint);
		return status;
	}
	print_row(report, "direct", "no");
	print_row(report, "why", "%s (%s)", dmabuf_rw_error_cause(error),
		  name ? name : "an unknown errno");
	speaker = dmabuf_rw_error_speaker(error);
	said = dmabuf_rw_errno_name(error->detail);
	snprintf(key, sizeof(key), "%s said", speaker ? speaker : "nobody");
	if (speaker && said)
		print_row(report, key, "%s", said);
	else if (speaker)
		print_row(report, key, "errno %d", error->detail);
	print_row(report, "what to do", "%s", dmabuf_rw_error_remedy(error));
	if (!s->ways)
		show_other_way(report, s);
	return status;
}

static int open_some_buffer(struct session *s, struct report *report)
{
	char *why;

	if (!pair_open_some_buffer(s, &why)) {
		print_row(report, "tried with", "%s, a page of system memory", s->buffer_name);
		json_put_string(report->root, "tried_with", s->buffer_name);
		return STATUS_OK;
	}
	report_fail(report, "there is no buffer to try the file with: name one; %s",
		    text_or_excuse(why));
	free(why);
	return STATUS_FAILED;
}

/* A bound file may still have no written block. */
static int show_bound(struct report *report, struct session *s)
{
	struct dmabuf_rw_error error;

	if (dmabuf_rw_info_refusal(&s->info, s->file_fd, &error))
		return show_refusal(s, report, s->file_name, &error, "");
	show_pair(report, s);
	return STATUS_OK;
}

static int show(struct report *report, struct session *s, const char *file,
		const char *buffer, uint64_t bind_flags)
{
	int module, status = STATUS_OK;
	bool usable = true;

	module = show_module(report, s);
	if (!module)
		usable = show_kernel(report) || s->ways != DMABUF_RW_PATH_KERNEL;
	if (buffer) {
		status = session_open_buffer(s, report, buffer);
		if (!status)
			show_buffer(report, s);
	}
	if (module || status)
		return module ? module : status;
	if (!file)
		return usable ? STATUS_OK : STATUS_FAILED;
	s->file_name = file;
	status = open_file(report, file, O_RDONLY, &s->file_fd);
	if (!status && !buffer)
		status = open_some_buffer(s, report);
	if (!status)
		status = session_bind(s, report, bind_flags, show_refusal);
	return status ? status : show_bound(report, s);
}

struct question {
	const char *file;
	const char *buffer;
	uint64_t bind_flags;
	uint32_t way;
};

static int add_argument(struct report *report, void *into, const char *text)
{
	struct question *q = into;
	const char **slot = buffer_is_name(text) ? &q->buffer : &q->file;

	if (!*text)
		return report_usage(report, "the name of the file is empty");
	if (*slot)
		return report_usage(report, "'%s' is one argument too many", text);
	*slot = text;
	return -1;
}

static const struct command_option options[] = {
	DIRECT_BIND_OPTIONS(struct question),
	{ 0 }
};

static int run_info(const struct command *command, struct report *report, int argc, char **argv)
{
	struct question q = { 0 };
	struct session session;
	int status;

	status = options_parse(command, report, &q, argc, argv);
	if (status >= 0)
		return status;
	session_init(&session);
	session.ways = q.way;
	status = show(report, &session, q.file, q.buffer, q.bind_flags);
	session_close(&session);
	return status;
}

const struct command cmd_info = {
	.name = "info",
	.summary = "say whether a file and a buffer can go direct, and if not, why",
	.help = "info [FILE] [BUFFER] [OPTION...]\n"
		"\n"
		"Without arguments, says whether the module is usable. With a file, a buffer or "
		"both,\n"
		"says what they are; for a pair, whether transfers go direct, whether peer to "
		"peer,\n"
		"by which route, with what limits, and if they cannot: why, and what to do. "
		"Nothing\n"
		"is transferred.\n"
		"\n"
		"  --require-device-memory  refuse unless the buffer lies in PCI BARs\n"
		"  --trust-addresses        take addresses that the kernel cannot vouch for\n"
		"  --way WAY                only by the module, or the kernel\n"
		"  -o, --output FORMAT      text or json\n"
		"\n"
		"Exit status: 0 yes, 1 something failed, 2 wrong usage, 3 the pair cannot go "
		"direct.\n",
	.options = options,
	.argument = add_argument,
	.run = run_info,
};
