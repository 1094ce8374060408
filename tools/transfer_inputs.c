// SPDX-License-Identifier: MIT
/*
 * transfer_inputs.c - opens, binds, checks and closes the files of load and store.
 *
 * All files are opened, bound and checked before the first byte moves, so that a problem with the
 * last is found early. Only the first ones stay open and bound, to limit the number of descriptors;
 * the rest are opened and bound twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "transfer.h"

#define MAX_HELD	64
/* The most descriptors of an input: its own, its binding's and those for bouncing. */
#define HELD_FDS	8

char *pair_name(const struct run *r, const struct input *input)
{
	return text_format("%s %s %s", input->name, r->write ? "from" : "into", r->o.buffer);
}

int interrupted(struct run *r, const char *name)
{
	if (r->moving)
		report_fail(r->report, "%s: interrupted; the first %llu of %llu bytes are done%s",
			    name, (unsigned long long)r->gapless, (unsigned long long)r->total,
			    r->file ? ", and the file is as it was" : "");
	else
		report_fail(r->report, "%s: interrupted before anything was %s%s", name,
			    r->write ? "stored" : "loaded",
			    r->write ? "; what was there is as it was" : "");
	return STATUS_INTERRUPTED;
}

/* ---- opening and binding ---------------------------------------------------------- */

static struct identity identity_of(int fd)
{
	struct identity id = { 0 };
	struct stat st;

	if (fstat(fd, &st))
		return id;
	id = (struct identity){
		.dev = st.st_dev, .rdev = st.st_rdev, .ino = st.st_ino, .bytes = st.st_size,
	};
	if (S_ISBLK(st.st_mode))
		ioctl(fd, BLKGETSIZE64, &id.bytes);
	return id;
}

static bool same(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->rdev == b->rdev && a->ino == b->ino &&
	       a->bytes == b->bytes;
}

static int open_flags(const struct run *r)
{
	if (!r->write)
		return O_RDONLY;
	/* On a block device O_EXCL fails while a file system or another device has it. */
	return r->o.force ? O_RDWR : O_RDWR | O_EXCL;
}

static int open_input(struct run *r, struct input *input)
{
	struct identity id;
	int status = open_file(r->report, input->name, open_flags(r), &input->fd);

	if (status)
		return status;
	id = identity_of(input->fd);
	if ((input->known && !same(&id, &input->identity)) ||
	    /* A file has replaced the disk. */
	    (r->write && !r->o.in_place && !id.rdev)) {
		report_fail(r->report, "%s is another file than when it was checked, or has "
			    "another size: let nobody change it meanwhile", input->name);
		close(input->fd);
		input->fd = -1;
		return STATUS_FAILED;
	}
	input->identity = id;
	input->known = true;
	return STATUS_OK;
}

static int update_info(struct run *r, struct input *input, const char *what)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_INFO };

	input->info = (struct dmabuf_rw_info){ .size = sizeof(input->info) };
	error.err = -dmabuf_rw_binding_info(input->binding, &input->info);
	if (!error.err)
		return STATUS_OK;
	report_error(r->report, what, &error);
	return STATUS_FAILED;
}

uint64_t transfer_bind_flags(const struct run *r)
{
	return (r->o.device_memory ? DMABUF_RW_BIND_DEVICE_MEMORY : 0) |
	       (r->o.trust_addresses ? DMABUF_RW_BIND_TRUST_ADDRESSES : 0);
}

static int bind_input(struct run *r, struct input *input)
{
	struct dmabuf_rw_error error = { 0 };
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = transfer_bind_flags(r),
		.allow_bounce = r->o.allow_bounce,
		.error = &error,
		.ways = !r->o.way ? 0 :
			r->o.way | (r->o.allow_bounce ? DMABUF_RW_PATH_BOUNCED : 0),
	};
	struct dmabuf_rw_device *device = r->session.device;
	char *what = pair_name(r, input);
	int status, ret;

	input->refusal = (struct dmabuf_rw_error){ 0 };
	/* A file without zeros has no blocks for the drive to write to. */
	if (r->file && dmabuf_rw_file_refusal(r->file, &input->refusal)) {
		device = NULL;
		opts.ways = DMABUF_RW_PATH_BOUNCED;
	}
	do {
		ret = bind_buffer(device, &r->session.buffer, input->fd, &opts, &input->binding);
	} while (ret == -EINTR && !*r->stop);
	if (ret) {
		if (ret == -EINTR) {
			status = interrupted(r, text_or_excuse(what));
		} else {
			status = report_refusal(r, input, text_or_excuse(what), &error);
		}
		free(what);
		return status;
	}
	/* bind_buffer() has already stored the reason if it bound in two steps. */
	if (!input->refusal.err && r->session.buffer.may_move)
		input->refusal = error;
	if (!input->refusal.err)
		dmabuf_rw_binding_refusal(input->binding, &input->refusal);
	/* The device's error says why there is no module. */
	if (input->refusal.reason == DMABUF_RW_REASON_NO_DEVICE && r->session.device_error.err)
		input->refusal = r->session.device_error;
	status = update_info(r, input, text_or_excuse(what));
	free(what);
	return status;
}

int input_get(struct run *r, struct input *input, bool bind)
{
	int status = input->fd < 0 ? open_input(r, input) : STATUS_OK;

	if (!status && bind && !input->binding)
		status = bind_input(r, input);
	return status;
}

void input_unbind(struct input *input)
{
	if (input->binding) {
		input->info = (struct dmabuf_rw_info){ .size = sizeof(input->info) };
		dmabuf_rw_binding_info(input->binding, &input->info);
	}
	dmabuf_rw_binding_destroy(input->binding);
	input->binding = NULL;
}

void input_put(struct run *r, struct input *input)
{
	input_unbind(input);
	/* The library owns the new file's descriptor. */
	if (input->fd >= 0 && !r->file)
		close(input->fd);
	input->fd = -1;
}

void inputs_close(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->o.nr_inputs; i++)
		input_put(r, &r->o.inputs[i]);
	dmabuf_rw_file_close(r->file);
}

/* ---- the new file of store --------------------------------------------------------- */

/* Anything but a disk becomes a new file or is refused. */
static bool is_no_disk(const struct run *r)
{
	struct stat st;

	return r->write && !r->o.in_place &&
	       (stat(r->o.inputs[0].name, &st) || !S_ISBLK(st.st_mode));
}

static int is_set(void *arg)
{
	return *(volatile sig_atomic_t *)arg;
}

static int settle_length(struct run *r, struct part *part)
{
	uint64_t room = r->session.buffer.size - r->o.buf_off;

	if (!part->len_given)
		part->len = room;
	part->len_given = true;
	if (part->len <= room)
		return STATUS_OK;
	report_fail(r->report, "%s has only %llu bytes after the buffer offset, and %llu were "
		    "asked for", r->o.buffer, (unsigned long long)room,
		    (unsigned long long)part->len);
	return STATUS_USAGE;
}

/* Makes the file with its final size; with zeros only if it can go direct. */
static int make_file(struct run *r)
{
	struct dmabuf_rw_error error;
	struct input *input = &r->o.inputs[0];
	uint64_t len = r->o.parts[0].len;
	struct dmabuf_rw_file_opts opts = {
		.size = sizeof(opts), .error = &error, .interrupted = is_set,
		.arg = (void *)r->stop,
		.flags = len ? DMABUF_RW_FILE_FOR_BUFFER : 0,
		.dmabuf_fd = len ? r->session.buffer.fd : 0,
		.device = len ? r->session.device : NULL,
		.bind_flags = len ? transfer_bind_flags(r) : 0,
	};
	char *what;

	if (dmabuf_rw_file_create(input->name, len, &opts, &r->file)) {
		if (error.err == EINTR)
			return interrupted(r, input->name);
		report_error(r->report, input->name, &error);
		return STATUS_FAILED;
	}
	input->fd = dmabuf_rw_file_fd(r->file);
	if (r->o.allow_bounce || !dmabuf_rw_file_refusal(r->file, &error))
		return STATUS_OK;
	what = pair_name(r, input);
	session_refused(&r->session, r->report, text_or_excuse(what), &error, "");
	free(what);
	return error.reason == DMABUF_RW_REASON_NO_DEVICE ? STATUS_FAILED : STATUS_REFUSED;
}

/* ---- ranges ------------------------------------------------------------------------ */

/* The alignment of file offsets and lengths, unless bouncing is allowed. */
static uint32_t file_align(const struct run *r, const struct dmabuf_rw_info *info)
{
	uint32_t align = r->write ? info->write_align : info->read_align;

	return align && !r->o.allow_bounce ? align : 1;
}

static bool is_aligned(struct run *r, const struct input *input,
		       const struct part *part)
{
	const struct dmabuf_rw_info *info = &input->info;
	bool to_end = part->file_off + part->len == info->file_bytes &&
		      info->flags & DMABUF_RW_INFO_REGULAR;
	uint32_t align = file_align(r, info);
	const char *what = NULL;

	if (part->file_off % align)
		what = "offset";
	else if (part->len % align && !to_end)
		what = "length";
	else if (r->o.block % align && r->o.block < part->len)
		what = "--block-size";
	if (what) {
		report_fail(r->report, "the %s must be a multiple of %u, as the drive moves whole "
			    "blocks of that size to or from %s%s; or allow the rest to go "
			    "through memory with --allow-bounce", what, align, input->name,
			    *what == 'l' && info->flags & DMABUF_RW_INFO_REGULAR ?
			    ", or end where the file does" : "");
		return false;
	}
	if (!r->o.allow_bounce && info->buf_align &&
	    (part->buf_off % info->buf_align || r->o.block % info->buf_align)) {
		report_fail(r->report, "the buffer offset and the block size must be multiples "
			    "of %u for this drive; or allow the transfer to go through memory "
			    "with --allow-bounce", info->buf_align);
		return false;
	}
	return true;
}

static bool has_bytes(const struct input *input, uint64_t file_off)
{
	char byte;

	return pread(input->fd, &byte, 1, file_off) > 0;
}

/* The remedy for a file that is too short. */
static const char *longer(const struct run *r)
{
	return r->write && r->o.in_place ? ", and --in-place makes no file longer: leave it out" :
					   "";
}

/* Settles a part's length and its place in the buffer; reports an impossible part. */
static bool check_part(struct run *r, struct part *part, uint64_t *buf_off)
{
	const struct input *input = &r->o.inputs[part->input];
	const struct dmabuf_rw_info *info = &input->info;
	uint64_t file_room, buf_room = r->session.buffer.size - *buf_off;

	if (part->file_off > info->file_bytes) {
		report_fail(r->report, "%s ends at %llu, before the offset %llu", input->name,
			    (unsigned long long)info->file_bytes,
			    (unsigned long long)part->file_off);
		return false;
	}
	file_room = info->file_bytes - part->file_off;
	if (!part->len_given) {
		part->len = file_room;
		/* A single file may be longer than the buffer; several must fit. */
		if (r->o.nr_parts == 1 && part->len > buf_room)
			part->len = buf_room;
		if (part->len < file_room)
			part->len -= part->len % file_align(r, info);
	}
	/* Some files report size 0 but have data, which would not be moved. */
	if (!file_room && !part->len_given &&
	    (r->write || input->identity.rdev || part->file_off ||
	     has_bytes(input, part->file_off))) {
		report_fail(r->report, "%s tells no bytes %s the offset %llu, so nothing can be "
			    "%s%s", input->name, r->write ? "to be written over at" : "at",
			    (unsigned long long)part->file_off, r->write ? "stored" : "loaded",
			    longer(r));
		return false;
	}
	if (file_room && !part->len && !part->len_given) {
		report_fail(r->report, "%s has room for %llu bytes after the buffer offset, which is "
			    "less than a block of the drive, so nothing would be %s; use a larger "
			    "buffer", r->o.buffer, (unsigned long long)buf_room,
			    r->write ? "stored" : "loaded");
		return false;
	}
	/* Do not extend the file, even if an unbound empty one could be extended. */
	if (part->len > file_room) {
		report_fail(r->report, "%s has only %llu bytes after the offset, and %llu "
			    "were asked for%s", input->name, (unsigned long long)file_room,
			    (unsigned long long)part->len, longer(r));
		return false;
	}
	if (part->len > buf_room) {
		report_fail(r->report, "%s has only %llu bytes after the buffer offset%s, and "
			    "%llu were asked for", r->o.buffer, (unsigned long long)buf_room,
			    r->o.nr_parts > 1 ? " and the files before" : "",
			    (unsigned long long)part->len);
		return false;
	}
	part->buf_off = *buf_off;
	*buf_off += part->len;
	r->total += part->len;
	return is_aligned(r, input, part);
}

/* ---- all inputs ---------------------------------------------------------------------- */

static int look_at(struct run *r, const char *name)
{
	int status = check_file(r->report, name, open_flags(r));
	struct stat st;

	/* A character device has no size. */
	if (!status && !stat(name, &st) && S_ISCHR(st.st_mode))
		return refuse_file(r->report, name);
	return status;
}

/*
 * A new file below /dev was meant for a device that is missing. This does not apply to other file
 * systems mounted below it.
 */
static bool is_missing_device(const char *name)
{
	char *path = strdup(name), *slash = path ? strrchr(path, '/') : NULL;
	struct stat st, dev, root;
	bool missing = false;

	if (slash && slash != path) {
		*slash = 0;
		missing = lstat(name, &st) && !stat("/dev", &dev) && !stat("/", &root) &&
			  !stat(path, &st) && st.st_dev == dev.st_dev &&
			  dev.st_dev != root.st_dev;
	}
	free(path);
	return missing;
}

int inputs_look(struct run *r)
{
	unsigned int i;
	int status = STATUS_OK;

	r->makes_file = is_no_disk(r);
	if (r->makes_file && is_missing_device(r->o.inputs[0].name)) {
		report_fail(r->report, "%s: there is no such device (lsblk shows those that there "
			    "are), and /dev is no place for files", r->o.inputs[0].name);
		return STATUS_FAILED;
	}
	if (r->makes_file) {
		if (!r->o.parts[0].file_off)
			return STATUS_OK;
		report_fail(r->report, "--offset needs --in-place: what is stored to a regular "
			    "file becomes all of it");
		return STATUS_USAGE;
	}
	for (i = 0; i < r->o.nr_inputs && !status; i++)
		status = *r->stop ? interrupted(r, r->o.inputs[i].name) :
				    look_at(r, r->o.inputs[i].name);
	return status;
}

static int check_new_file(struct run *r)
{
	struct part *part = &r->o.parts[0];
	int status = settle_length(r, part);

	if (!status)
		status = make_file(r);
	part->buf_off = r->o.buf_off;
	r->total = part->len;
	/* An empty file cannot be bound, and needs no binding. */
	if (status || !part->len)
		return status;
	status = bind_input(r, &r->o.inputs[0]);
	if (status)
		return status;
	return is_aligned(r, &r->o.inputs[0], part) ? STATUS_OK : STATUS_USAGE;
}

static int check_old_files(struct run *r)
{
	uint64_t buf_off = r->o.buf_off;
	unsigned int i, part = 0;
	int status;

	for (i = 0; i < r->o.nr_inputs; i++) {
		struct input *input = &r->o.inputs[i];

		status = *r->stop ? interrupted(r, input->name) :
				    input_get(r, input, true);
		if (status)
			return status;
		for (; part < r->o.nr_parts && r->o.parts[part].input == i; part++)
			if (!check_part(r, &r->o.parts[part], &buf_off))
				return STATUS_USAGE;
		if (i >= r->nr_held)
			input_put(r, input);
	}
	return STATUS_OK;
}

int inputs_check(struct run *r)
{
	struct rlimit limit;

	if (r->o.buf_off > r->session.buffer.size) {
		report_fail(r->report, "%s has %llu bytes, fewer than the buffer offset %llu",
			    r->o.buffer, (unsigned long long)r->session.buffer.size,
			    (unsigned long long)r->o.buf_off);
		return STATUS_USAGE;
	}
	r->nr_held = MAX_HELD;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur / HELD_FDS < MAX_HELD)
		r->nr_held = limit.rlim_cur > HELD_FDS ? limit.rlim_cur / HELD_FDS : 1;
	return r->makes_file ? check_new_file(r) : check_old_files(r);
}
