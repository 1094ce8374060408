// SPDX-License-Identifier: MIT
/*
 * cmd_info.c - dmabuf-rw info: is it direct, is it peer to peer, and if not, why and
 * what to do.
 *
 * A file and a buffer are judged together, because only a pair has an answer: info
 * binds them as load would, reports what the module found, and transfers nothing. A
 * file alone is tried with one page of system memory as the buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

struct names {
	uint64_t bit;
	const char *name;
};

static void print_row(const struct report *report, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void print_row(const struct report *report, const char *key, const char *format, ...)
{
	va_list ap;

	if (report->json)
		return;
	printf("%-14s ", key);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static const char *flag_names(const struct names *names, size_t nr, uint64_t flags,
			      char *buf, size_t len)
{
	size_t i, used = 0;

	buf[0] = 0;
	for (i = 0; i < nr && used < len; i++)
		if (flags & names[i].bit)
			used += snprintf(buf + used, len - used, "%s%s", used ? ", " : "",
					 names[i].name);
	return used ? buf : "none";
}

#define FLAG_NAMES(names, flags, buf) \
	flag_names(names, ARRAY_SIZE(names), flags, buf, sizeof(buf))

static int show_module(struct report *report, struct session *s)
{
	static const struct names io[] = { { DMABUF_RW_IO_FUA, "fua" } };
	static const struct names bind[] = {
		{ DMABUF_RW_BIND_DEVICE_MEMORY, "device-memory" },
		{ DMABUF_RW_BIND_SPARSE, "sparse" },
	};
	static const struct names uring[] = {
		{ 1ULL << DMABUF_RW_URING_READ, "read" },
		{ 1ULL << DMABUF_RW_URING_WRITE, "write" },
		{ 1ULL << DMABUF_RW_URING_READV, "readv" },
		{ 1ULL << DMABUF_RW_URING_WRITEV, "writev" },
	};
	struct dmabuf_rw_query query = { .size = sizeof(query) };
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_QUERY };
	struct json_object *o = json_object_new_object();
	char text[128], size[24];
	int status;

	json_object_object_add(report->root, "module", o);
	status = session_open_device(s, report);
	json_put_bool(o, "usable", !status);
	if (status)
		return status;
	error.err = -dmabuf_rw_device_query(s->device, &query);
	if (error.err) {
		report_error(report, DMABUF_RW_DEVICE, &error);
		return STATUS_FAILED;
	}
	snprintf(text, sizeof(text), "%u.%u", query.abi_major, query.abi_minor);
	json_put_string(o, "interface", text);
	print_row(report, "module", "usable, interface %s", text);
	json_put_string(o, "bind_flags", FLAG_NAMES(bind, query.bind_flags, text));
	json_put_string(o, "io_flags", FLAG_NAMES(io, query.io_flags, text));
	print_row(report, "per transfer", "at most %s and %u pieces; flags: %s",
		  size_format(query.max_bytes, size, sizeof(size)), query.max_pieces, text);
	json_put_string(o, "io_uring", FLAG_NAMES(uring, query.uring_ops, text));
	print_row(report, "io_uring", "%s", text);
	json_put_u64(o, "max_pieces", query.max_pieces);
	json_put_u64(o, "max_bytes", query.max_bytes);
	return STATUS_OK;
}

static void show_buffer(struct report *report, struct session *s)
{
	struct json_object *o = json_object_new_object();
	char why[BUFFER_WHY], size[24];
	bool mapped = !buffer_map(&s->buffer, why);

	json_put_string(o, "name", s->buffer_name);
	json_put_u64(o, "bytes", s->buffer.size);
	json_put_bool(o, "cpu_view", mapped);
	json_object_object_add(report->root, "buffer", o);
	print_row(report, "buffer", "%s: %s, %s", s->buffer_name,
		  size_format(s->buffer.size, size, sizeof(size)),
		  mapped ? "with a CPU view" : "without a CPU view");
}

static void show_pair(struct report *report, const struct session *s)
{
	const struct dmabuf_rw_info *info = &s->info;
	bool can_read = info->flags & DMABUF_RW_INFO_CAN_READ;
	bool can_write = info->flags & DMABUF_RW_INFO_CAN_WRITE;
	char text[512], size[24], pci[20];

	json_put_bool(report->root, "direct", true);
	json_object_object_add(report->root, "binding", json_of_info(info));

	print_row(report, "file", "%s: %s in blocks of %u, drive %s, %u %s%s", s->file_name,
		  size_format(info->file_bytes, size, sizeof(size)), info->lba_bytes,
		  dmabuf_rw_pci_name(info->nvme_domain, info->nvme_pci, pci, sizeof(pci)),
		  info->paths,
		  info->paths == 1 ? "path" : "paths",
		  info->flags & DMABUF_RW_INFO_WRITE_CACHE ? ", volatile write cache" : "");
	if (info->flags & DMABUF_RW_INFO_REGULAR)
		print_row(report, "kind", "regular file in %llu %s; as long as it is bound, nobody "
			  "can change its size, write it otherwise, rename or remove it",
			  (unsigned long long)info->file_extents,
			  info->file_extents == 1 ? "extent" : "extents");
	print_row(report, "direct", "yes: %s", can_read && can_write ? "load and store" :
		  can_read ? "load only" : "store only");
	dmabuf_rw_info_describe(info, text, sizeof(text));
	print_row(report, "route", "%s", text);
	print_row(report, "memory", "%s, %llu DMA %s", dmabuf_rw_class_name(info->mem_class),
		  (unsigned long long)info->extents,
		  info->extents == 1 ? "extent" : "extents");
	print_row(report, "IOMMU", "%s", dmabuf_rw_iommu_name(info->iommu));
	print_row(report, "alignment", "file offsets and lengths %u, buffer offsets %u",
		  info->file_align, info->buf_align);
	print_row(report, "commands", "at most %s each, SGL %s, polled transfers %s",
		  size_format(info->max_cmd_bytes, size, sizeof(size)),
		  info->flags & DMABUF_RW_INFO_SGL ? "yes" : "no",
		  info->flags & DMABUF_RW_INFO_POLL ? "yes" : "no (nvme.poll_queues=0)");
	print_row(report, "kernel memory", "%llu bytes for this binding",
		  (unsigned long long)info->metadata_bytes);
}

/* Opened for as much as this user may; the answer says which directions that leaves. */
static int open_file(struct session *s, struct report *report, const char *file)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);

	/* Also a disk that may not be written while it is mounted, and a program that runs. */
	if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM || errno == EBUSY ||
		       errno == ETXTBSY))
		return session_open_file(s, report, file, O_RDONLY);
	if (fd >= 0)
		close(fd);
	return session_open_file(s, report, file, O_RDWR);
}

/* In text the rows say it all; in JSON the object has an "error" like any other. */
static void show_refusal(struct report *report, const char *what,
			 const struct dmabuf_rw_error *error)
{
	const char *exporter = dmabuf_rw_errno_name(error->detail);
	const char *name = dmabuf_rw_errno_name(error->err);

	json_put_bool(report->root, "direct", false);
	if (report->json) {
		report_error(report, what, error);
		return;
	}
	print_row(report, "direct", "no");
	print_row(report, "why", "%s (%s)",
		  dmabuf_rw_error_cause(error),
		  name ? name : "an unknown errno");
	if (error->detail && exporter)
		print_row(report, "exporter said", "%s", exporter);
	else if (error->detail)
		print_row(report, "exporter said", "errno %d", error->detail);
	print_row(report, "what to do", "%s",
		  dmabuf_rw_error_remedy(error));
}

static int judge_pair(struct report *report, struct session *s, uint64_t bind_flags)
{
	struct dmabuf_rw_error error = { 0 };
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = bind_flags,
		.error = &error,
	};
	char what[512];

	snprintf(what, sizeof(what), "%s with %s", s->file_name, s->buffer_name);
	if (dmabuf_rw_binding_create(s->device, s->buffer.fd, s->file_fd, &opts,
				     &s->binding)) {
		show_refusal(report, what, &error);
		return STATUS_REFUSED;
	}
	s->info.size = sizeof(s->info);
	error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_INFO };
	error.err = -dmabuf_rw_binding_info(s->binding, &s->info);
	if (error.err) {
		report_error(report, what, &error);
		return STATUS_FAILED;
	}
	show_pair(report, s);
	return STATUS_OK;
}

/* A page of memory as the other half, from whichever exporter this kernel has. */
static int open_some_buffer(struct session *s, struct report *report)
{
	static const char *const names[] = { "udmabuf:4K", "heap:system:4K" };
	struct buffer_spec spec;
	char why[BUFFER_WHY];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		s->buffer_name = names[i];
		if (buffer_parse(names[i], &spec, why) ||
		    buffer_open(&s->buffer, &spec, why))
			continue;
		print_row(report, "tried with", "%s, a page of system memory", names[i]);
		json_put_string(report->root, "tried_with", names[i]);
		return STATUS_OK;
	}
	report_fail(report, "there is no buffer to try the file with: name one, or modprobe "
		    "udmabuf");
	return STATUS_FAILED;
}

static int show(struct report *report, struct session *s, const char *file,
		const char *buffer, uint64_t bind_flags)
{
	int module, status = STATUS_OK;

	module = show_module(report, s);
	if (buffer) {
		status = session_open_buffer(s, report, buffer);
		if (!status)
			show_buffer(report, s);
	}
	if (module || status)
		return module ? module : status;
	if (!file)
		return STATUS_OK;
	status = open_file(s, report, file);
	if (!status && !buffer)
		status = open_some_buffer(s, report);
	return status ? status : judge_pair(report, s, bind_flags);
}

static int run_info(const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "require-device-memory", no_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *file = NULL, *buffer = NULL;
	uint64_t bind_flags = 0;
	struct session session;
	struct report report;
	int c, status = -1;

	report_begin(&report, command->name);
	opterr = 0;
	while (status < 0 && (c = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			bind_flags |= DMABUF_RW_BIND_DEVICE_MEMORY;
			break;
		case 'o':
			if (!report_format(&report, optarg))
				status = usage_error(command, "-o takes text or json, not "
						     "'%s'", optarg);
			break;
		case 'h':
			print_help(command);
			status = STATUS_OK;
			break;
		default:
			status = usage_error(command, c == ':' ? "%s needs a value" :
					     "%s is not an option, or takes no value",
					     argv[optind - 1]);
		}
	}
	for (; status < 0 && optind < argc; optind++) {
		const char **slot = is_buffer_name(argv[optind]) ? &buffer : &file;

		if (*slot)
			status = usage_error(command, "'%s' is one argument too many",
					     argv[optind]);
		*slot = argv[optind];
	}
	if (status >= 0) {
		json_object_put(report.root);
		return status;
	}

	session_init(&session);
	status = show(&report, &session, file, buffer, bind_flags);
	session_close(&session);
	return report_end(&report, status);
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
		"  -o, --output FORMAT      text or json\n"
		"\n"
		"Exit status: 0 yes, 1 something failed, 2 wrong usage, 3 the pair cannot go "
		"direct.\n",
	.run = run_info,
};
