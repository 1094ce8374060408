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
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

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
	char *text;

	if (report->json)
		return;
	va_start(ap, format);
	text = text_vformat(format, ap);
	va_end(ap);
	say(stdout, "%-14s %s", key, text_or_excuse(text));
	free(text);
}

/* Those of @flags, allocated; null: no memory. */
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

static int show_module(struct report *report, struct session *s)
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
	struct dmabuf_rw_query query = { .size = sizeof(query) };
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_QUERY };
	struct json_object *o = json_object_new_object();
	char *version, *bind_flags, *io_flags, *uring_ops, size[24];
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
	version = text_format("%u.%u", query.abi_major, query.abi_minor);
	bind_flags = FLAG_NAMES(bind, query.bind_flags);
	io_flags = FLAG_NAMES(io, query.io_flags);
	uring_ops = FLAG_NAMES(uring, query.uring_ops);
	json_put_string(o, "interface", text_or_excuse(version));
	json_put_string(o, "bind_flags", text_or_excuse(bind_flags));
	json_put_string(o, "io_flags", text_or_excuse(io_flags));
	json_put_string(o, "io_uring", text_or_excuse(uring_ops));
	print_row(report, "module", "usable, interface %s", text_or_excuse(version));
	print_row(report, "per transfer", "at most %s and %u pieces; flags: %s",
		  size_format(query.max_bytes, size, sizeof(size)), query.max_pieces,
		  text_or_excuse(io_flags));
	print_row(report, "io_uring", "%s", text_or_excuse(uring_ops));
	free(version);
	free(bind_flags);
	free(io_flags);
	free(uring_ops);
	json_put_u64(o, "max_pieces", query.max_pieces);
	json_put_u64(o, "max_bytes", query.max_bytes);
	return STATUS_OK;
}

static void show_buffer(struct report *report, struct session *s)
{
	struct json_object *o = json_object_new_object();
	char *why = NULL, size[24];
	bool mapped = !buffer_map(&s->buffer, &why);

	json_put_string(o, "name", s->buffer_name);
	json_put_u64(o, "bytes", s->buffer.size);
	json_put_bool(o, "cpu_view", mapped);
	json_object_object_add(report->root, "buffer", o);
	print_row(report, "buffer", "%s: %s, %s", s->buffer_name,
		  size_format(s->buffer.size, size, sizeof(size)),
		  mapped ? "with a CPU view" : "without a CPU view");
	free(why);
}

/*
 * What load and store could do. The file is opened for reading only: a disk that was open for
 * writing is read anew by udev when it is closed, and a program that runs cannot be opened so.
 * So whether it could be written is asked in another way.
 */
static void find_directions(const struct session *s, bool *load, bool *store)
{
	int mode = fcntl(s->buffer.fd, F_GETFL), read_only = 0;
	struct stat st;

	*load = s->info.flags & DMABUF_RW_INFO_CAN_READ;
	*store = mode >= 0 && (mode & O_ACCMODE) != O_WRONLY &&
		 !faccessat(AT_FDCWD, s->file_name, W_OK, AT_EACCESS);
	if (!fstat(s->file_fd, &st) && S_ISBLK(st.st_mode) &&
	    (ioctl(s->file_fd, BLKROGET, &read_only) || read_only))
		*store = false;
}

static void show_pair(struct report *report, const struct session *s)
{
	const struct dmabuf_rw_info *info = &s->info;
	bool load, store;
	char size[24], pci[20], *route;

	find_directions(s, &load, &store);
	json_put_bool(report->root, "direct", true);
	json_put_bool(report->root, "can_load", load);
	json_put_bool(report->root, "can_store", store);
	json_put_path(report->root, dmabuf_rw_binding_path(s->binding));
	json_object_object_add(report->root, "binding", json_of_info(info));

	print_row(report, "file", "%s: %s in blocks of %u, drive %s, %u %s%s", s->file_name,
		  size_format(info->file_bytes, size, sizeof(size)), info->lba_bytes,
		  dmabuf_rw_pci_name(info->nvme_domain, info->nvme_pci, pci, sizeof(pci)),
		  info->paths,
		  info->paths == 1 ? "path" : "paths",
		  info->flags & DMABUF_RW_INFO_WRITE_CACHE ? ", volatile write cache" : "");
	if (info->flags & DMABUF_RW_INFO_REGULAR)
		print_row(report, "kind", "regular file");
	print_row(report, "direct", "yes: %s, by the module", load && store ? "load and store" :
		  load ? "load only" : "store only");
	route = text_of_info(info);
	print_row(report, "route", "%s", text_or_excuse(route));
	free(route);
	print_row(report, "memory", "%s, %llu DMA %s", dmabuf_rw_class_name(info->mem_class),
		  (unsigned long long)info->extents,
		  info->extents == 1 ? "extent" : "extents");
	print_row(report, "IOMMU", "%s", dmabuf_rw_iommu_name(info->iommu));
	print_row(report, "alignment", "file offsets and lengths %u for load, %u for store; "
		  "buffer offsets %u", info->read_align, info->write_align, info->buf_align);
	print_row(report, "commands", "at most %s each, SGL %s, polled transfers %s",
		  size_format(info->max_cmd_bytes, size, sizeof(size)),
		  info->flags & DMABUF_RW_INFO_SGL ? "yes" : "no",
		  info->flags & DMABUF_RW_INFO_POLL ? "yes" : "no (nvme.poll_queues=0)");
	print_row(report, "kernel memory", "%llu bytes for this binding",
		  (unsigned long long)info->metadata_bytes);
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

/* A page of memory as the other half, from whichever exporter this kernel has. */
static int open_some_buffer(struct session *s, struct report *report)
{
	static const char *const names[] = { "udmabuf:4K", "heap:system:4K" };
	char *first = NULL, *why = NULL;
	struct buffer_spec spec;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		s->buffer_name = names[i];
		if (buffer_parse(names[i], &spec, &why) ||
		    buffer_open(&s->buffer, &spec, &why)) {
			if (!first)
				first = why;
			else
				free(why);
			continue;
		}
		print_row(report, "tried with", "%s, a page of system memory", names[i]);
		json_put_string(report->root, "tried_with", names[i]);
		free(first);
		return STATUS_OK;
	}
	report_fail(report, "there is no buffer to try the file with: name one; %s",
		    text_or_excuse(first));
	free(first);
	return STATUS_FAILED;
}

/* Bound; but is there a block in the file that the drive could be asked for? */
static int show_bound(struct report *report, struct session *s)
{
	struct dmabuf_rw_error error;

	if (dmabuf_rw_info_refusal(&s->info, s->file_fd, &error)) {
		show_refusal(report, s->file_name, &error);
		return bind_status(&error);
	}
	show_pair(report, s);
	return STATUS_OK;
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
	s->file_name = file;
	status = open_file(report, file, O_RDONLY, &s->file_fd);
	if (!status && !buffer)
		status = open_some_buffer(s, report);
	if (!status)
		status = session_bind(s, report, bind_flags, show_refusal);
	return status ? status : show_bound(report, s);
}

static const struct option options[] = {
	{ "require-device-memory", no_argument, NULL, 'd' },
	{ "trust-addresses", no_argument, NULL, 't' },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct question {
	const char *file;
	const char *buffer;
	uint64_t bind_flags;
};

/* -1: go on; else the status to leave with. */
static int add_argument(struct report *report, struct question *q, const char *text)
{
	const char **slot = buffer_is_name(text) ? &q->buffer : &q->file;

	if (!*text)
		return report_usage(report, "the name of the file is empty");
	if (*slot)
		return report_usage(report, "'%s' is one argument too many", text);
	*slot = text;
	return -1;
}

static int parse_arguments(const struct command *command, struct report *report,
			   struct question *q, int argc, char **argv)
{
	int c, status = -1;

	while (status < 0 &&
	       (c = getopt_long(argc, argv, SHORT_OPTIONS, options, NULL)) != -1) {
		switch (c) {
		case 1:
			status = add_argument(report, q, optarg);
			break;
		case 'd':
			q->bind_flags |= DMABUF_RW_BIND_DEVICE_MEMORY;
			break;
		case 't':
			q->bind_flags |= DMABUF_RW_BIND_TRUST_ADDRESSES;
			break;
		case 'o':
			status = report_check_format(report, optarg);
			break;
		case 'h':
			return report_help(report, command);
		default:
			return report_option(report, c, argv);
		}
	}
	for (; status < 0 && optind < argc; optind++)
		status = add_argument(report, q, argv[optind]);
	return status;
}

static int run_info(const struct command *command, struct report *report, int argc, char **argv)
{
	struct question q = { 0 };
	struct session session;
	int status;

	status = parse_arguments(command, report, &q, argc, argv);
	if (status >= 0)
		return status;
	session_init(&session);
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
		"  -o, --output FORMAT      text or json\n"
		"\n"
		"Exit status: 0 yes, 1 something failed, 2 wrong usage, 3 the pair cannot go "
		"direct.\n",
	.options = options,
	.run = run_info,
};
