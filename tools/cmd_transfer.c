// SPDX-License-Identifier: MIT
/*
 * cmd_transfer.c - dmabuf-rw load and store: ranges of files, one range of a buffer.
 *
 * The two differ in direction and in a few options, so they share everything else.
 * Order: parse, open and bind (which checks each pair), map the buffer if its contents
 * are to be looked at, check the ranges, transfer, flush, verify, report. Nothing is
 * transferred before everything that can be refused has been.
 *
 * Storing to a regular file makes a new one beside it, which takes its place when all is
 * done and durable; so nobody sees half of it, and after an interruption or a crash the
 * old one is there. --in-place writes into the file that is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer.h"

/* One run of load or store. */
struct run {
	struct report report;
	struct session session;	/* device and buffer; the files are the inputs */
	struct transfer_options o;
	bool write;
	struct dmabuf_rw_file *file;	/* the new file of store; else null */
	uint64_t total;

	/* of the transfer */
	uint64_t before;	/* bytes of the parts that are done */
	struct progress progress;
	uint64_t moved, gapless, direct_bytes, bounced_bytes, completions;
	double seconds, cpu;
};

static const char *pair_name(const struct run *r, const struct input *input, char *buf,
			     size_t len)
{
	snprintf(buf, len, "%s %s %s", input->name, r->write ? "from" : "into",
		 r->o.buffer);
	return buf;
}

/* ---- opening and binding ---------------------------------------------------------- */

/*
 * Binding a file keeps others from changing it, so the module wants to see that this user
 * may change it: by owning it, or by having it open for writing.
 */
static void reopen_to_bind(int *fd)
{
	struct stat st;
	char path[32];
	int again;

	if (!geteuid() || fstat(*fd, &st) || !S_ISREG(st.st_mode) || st.st_uid == geteuid())
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return;
	close(*fd);
	*fd = again;
}

static int open_input(struct run *r, struct input *input)
{
	int flags = r->write ? O_RDWR : O_RDONLY, status;
	struct session *s = &r->session;

	/* On a block device O_EXCL fails while a file system or another device has it. */
	if (r->write && !r->o.force)
		flags |= O_EXCL;
	status = session_open_file(s, &r->report, input->name, flags);
	input->fd = s->file_fd;
	s->file_fd = -1;
	if (!status && !r->write)
		reopen_to_bind(&input->fd);
	return status;
}

static int bind_input(struct run *r, struct input *input)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = r->o.device_memory ? DMABUF_RW_BIND_DEVICE_MEMORY : 0,
		.allow_bounce = r->o.allow_bounce,
		.error = &error,
	};
	char what[512];

	pair_name(r, input, what, sizeof(what));
	if (dmabuf_rw_binding_create(r->session.device, r->session.buffer.fd, input->fd,
				     &opts, &input->binding)) {
		report_error(&r->report, what, &error);
		return STATUS_REFUSED;
	}
	/* Why there is no module says more than that there is none. */
	if (dmabuf_rw_binding_refusal(input->binding, &input->refusal) &&
	    input->refusal.reason == DMABUF_RW_REASON_NO_DEVICE &&
	    r->session.device_error.err)
		input->refusal = r->session.device_error;
	input->info.size = sizeof(input->info);
	error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_INFO };
	error.err = -dmabuf_rw_binding_info(input->binding, &input->info);
	if (error.err) {
		report_error(&r->report, what, &error);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

/*
 * True if store makes a new file: there is none, or a regular one. A link to nothing is
 * refused: it may be meant for a disk that is not there, and would become a file in memory.
 */
static bool makes_file(struct run *r, int *status)
{
	const char *name = r->o.inputs[0].name;
	struct stat st;

	if (!r->write || r->o.in_place)
		return false;
	if (lstat(name, &st))
		return errno == ENOENT;
	if (S_ISLNK(st.st_mode) && stat(name, &st)) {
		report_fail(&r->report, "%s is a symbolic link to something that is not there "
			    "(%s): remove the link, or store to what it is meant for", name,
			    strerror(errno));
		*status = STATUS_FAILED;
		return false;
	}
	return S_ISREG(st.st_mode);
}

static int is_set(void *arg)
{
	return *(volatile sig_atomic_t *)arg;
}

/* The new file of store, of the size that will be stored. */
static int make_file(struct run *r)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_file_opts opts = {
		.size = sizeof(opts), .error = &error, .interrupted = is_set,
		.arg = (void *)catch_signals(),
	};
	struct input *input = &r->o.inputs[0];
	struct part *part = &r->o.parts[0];
	uint64_t room = r->session.buffer.size;

	if (part->file_off) {
		report_fail(&r->report, "--offset needs --in-place: what is stored to a regular "
			    "file becomes all of it");
		return STATUS_USAGE;
	}
	room -= r->o.buf_off < room ? r->o.buf_off : room;
	if (!part->len_given)
		part->len = room;
	part->len_given = true;
	if (part->len > room) {
		report_fail(&r->report, "%s has only %llu bytes after the buffer offset, and "
			    "%llu were asked for", r->o.buffer, (unsigned long long)room,
			    (unsigned long long)part->len);
		return STATUS_USAGE;
	}
	if (dmabuf_rw_file_create(input->name, part->len, &opts, &r->file)) {
		if (error.err == EINTR) {
			report_fail(&r->report, "%s: interrupted before anything was stored; what "
				    "was there is as it was", input->name);
			return STATUS_INTERRUPTED;
		}
		report_error(&r->report, input->name, &error);
		return STATUS_FAILED;
	}
	input->fd = dmabuf_rw_file_fd(r->file);
	return STATUS_OK;
}

static int open_all(struct run *r)
{
	struct transfer_options *o = &r->o;
	struct buffer_spec spec;
	char why[BUFFER_WHY];
	unsigned int i;
	int status = STATUS_OK;
	bool makes;

	session_init(&r->session);
	makes = makes_file(r, &status);
	if (status)
		return status;
	if (buffer_parse(o->buffer, &spec, why)) {
		report_fail(&r->report, "%s", why);
		return STATUS_USAGE;
	}
	for (i = 0; i < o->nr_inputs && !makes && !status; i++)
		status = open_input(r, &o->inputs[i]);
	if (!status)
		status = session_open_device(&r->session, o->allow_bounce ? NULL : &r->report);
	/* Without the module there is still the bounce. */
	if (o->allow_bounce && r->session.device_error.err)
		status = STATUS_OK;
	if (!status)
		status = session_open_buffer(&r->session, &r->report, o->buffer);
	if (!status && makes)
		status = make_file(r);
	/* An empty file cannot be bound, and need not be. */
	if (r->file && !o->parts[0].len)
		return status;
	for (i = 0; i < o->nr_inputs && !status; i++)
		status = bind_input(r, &o->inputs[i]);
	return status;
}

static void close_all(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->o.nr_inputs; i++) {
		dmabuf_rw_binding_destroy(r->o.inputs[i].binding);
		if (r->o.inputs[i].fd >= 0 && !r->file)
			close(r->o.inputs[i].fd);
	}
	dmabuf_rw_file_close(r->file);
	session_close(&r->session);
}

/* ---- ranges ------------------------------------------------------------------------ */

static bool is_aligned(struct run *r, const struct input *input,
		       const struct part *part)
{
	const struct dmabuf_rw_info *info = &input->info;
	bool to_end = part->file_off + part->len == info->file_bytes;

	/* What the drive cannot address goes another way then. */
	if (r->o.allow_bounce)
		return true;
	if (info->file_align && (part->file_off % info->file_align ||
				 (part->len % info->file_align && !to_end) ||
				 r->o.block % info->file_align)) {
		report_fail(&r->report, "the offset, the length and the block size must be "
			    "multiples of %u, the block size of %s; or allow the rest to go "
			    "through memory with --allow-bounce", info->file_align,
			    input->name);
		return false;
	}
	if (info->buf_align && (part->buf_off % info->buf_align ||
				r->o.block % info->buf_align)) {
		report_fail(&r->report, "the buffer offset and the block size must be multiples "
			    "of %u for this drive; or allow the transfer to go through memory "
			    "with --allow-bounce", info->buf_align);
		return false;
	}
	return true;
}

/* Settles one part's length and its place in the buffer, and refuses what cannot be. */
static bool check_part(struct run *r, struct part *part, uint64_t *buf_off)
{
	const struct input *input = &r->o.inputs[part->input];
	const struct dmabuf_rw_info *info = &input->info;
	uint64_t file_room, buf_room = r->session.buffer.size - *buf_off;

	if (part->file_off > info->file_bytes) {
		report_fail(&r->report, "%s ends at %llu, before the offset %llu", input->name,
			    (unsigned long long)info->file_bytes,
			    (unsigned long long)part->file_off);
		return false;
	}
	file_room = info->file_bytes - part->file_off;
	if (!part->len_given) {
		part->len = file_room;
		/* One file may be longer than the buffer; of several, all is meant. */
		if (r->o.nr_parts == 1 && part->len > buf_room)
			part->len = buf_room;
		if (info->file_align && part->len < file_room && !r->o.allow_bounce)
			part->len -= part->len % info->file_align;
	}
	/* Not even where a file could grow, because it is not bound, is it made to. */
	if (part->len > file_room) {
		report_fail(&r->report, "%s has only %llu bytes after the offset, and %llu "
			    "were asked for", input->name, (unsigned long long)file_room,
			    (unsigned long long)part->len);
		return false;
	}
	if (part->len > buf_room) {
		report_fail(&r->report, "%s has only %llu bytes after the buffer offset%s, and "
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

static bool check_ranges(struct run *r)
{
	uint64_t buf_off = r->o.buf_off;
	unsigned int i;

	if (buf_off > r->session.buffer.size) {
		report_fail(&r->report, "%s has %llu bytes, fewer than the buffer offset %llu",
			    r->o.buffer, (unsigned long long)r->session.buffer.size,
			    (unsigned long long)buf_off);
		return false;
	}
	if (r->file) {
		r->o.parts[0].buf_off = buf_off;
		r->total = r->o.parts[0].len;
		return !r->total || is_aligned(r, &r->o.inputs[0], &r->o.parts[0]);
	}
	for (i = 0; i < r->o.nr_parts; i++)
		if (!check_part(r, &r->o.parts[i], &buf_off))
			return false;
	return true;
}

/* ---- afterwards -------------------------------------------------------------------- */

static int flush(struct run *r)
{
	const struct input *input = &r->o.inputs[0];

	/* A new file is flushed when it gets its name. */
	if (!r->o.fsync || r->file || !fsync(input->fd))
		return STATUS_OK;
	report_fail(&r->report, "%s: the drive's cache could not be flushed: %s", input->name,
		    strerror(errno));
	return STATUS_FAILED;
}

static int verify_part(struct run *r, const struct part *part,
		       volatile sig_atomic_t *stop)
{
	const struct input *input = &r->o.inputs[part->input];
	struct report *report = &r->report;
	uint64_t where;
	int ret;

	ret = verify_range(report, &r->session, input->fd, input->name, part->file_off,
			   part->buf_off, part->len, stop, &where);
	if (ret == -EINTR)
		return STATUS_INTERRUPTED;
	if (ret < 0)
		return STATUS_FAILED;
	if (!ret)
		return STATUS_OK;
	json_put_bool(report->root, "verified", false);
	json_put_u64(report->root, "first_difference", where);
	report_fail(report, "%s and %s differ, first at byte %llu of the range (file offset "
		    "%llu, buffer offset %llu)", input->name, r->o.buffer,
		    (unsigned long long)where, (unsigned long long)(part->file_off + where),
		    (unsigned long long)(part->buf_off + where));
	return STATUS_MISMATCH;
}

static int check_contents(struct run *r, volatile sig_atomic_t *stop,
			  char digest[DIGEST_TEXT])
{
	unsigned int i;
	int ret;

	for (i = 0; i < r->o.nr_parts && r->o.verify; i++) {
		ret = verify_part(r, &r->o.parts[i], stop);
		if (ret)
			return ret;
	}
	if (r->o.verify)
		json_put_bool(r->report.root, "verified", true);
	if (r->o.checksum) {
		ret = digest_range(&r->session, r->o.buf_off, r->total, digest);
		if (ret) {
			report_fail(&r->report, "%s cannot be read for its checksum: %s",
				    r->o.buffer, strerror(-ret));
			return STATUS_FAILED;
		}
		json_put_string(r->report.root, "sha256", digest);
	}
	return STATUS_OK;
}

/* Gives the new file its name; it must be unbound first. */
static int commit(struct run *r)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_FILE };
	struct input *input = &r->o.inputs[0];

	if (!r->file)
		return STATUS_OK;
	dmabuf_rw_binding_destroy(input->binding);
	input->binding = NULL;
	error.err = -dmabuf_rw_file_commit(r->file);
	if (!error.err)
		return STATUS_OK;
	report_error(&r->report, input->name, &error);
	return STATUS_FAILED;
}

static uint32_t path_of(uint64_t direct, uint64_t bounced)
{
	if (!direct && !bounced)
		return DMABUF_RW_PATH_NONE;
	return !bounced ? DMABUF_RW_PATH_DIRECT : !direct ? DMABUF_RW_PATH_BOUNCED :
							    DMABUF_RW_PATH_MIXED;
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
		json_put_string(o, "path", dmabuf_rw_path_name(path_of(part->direct_bytes,
								       part->bounced_bytes)));
		if (input->refusal.err)
			json_object_object_add(o, "not_direct", json_of_error(&input->refusal));
		json_object_array_add(files, o);
	}
	json_object_object_add(r->report.root, "files", files);
}

static void put_result(const struct run *r)
{
	const struct input *first = &r->o.inputs[0];
	struct json_object *root = r->report.root;

	json_put_string(root, "file", first->name);
	json_put_string(root, "buffer", r->o.buffer);
	json_put_u64(root, "file_offset", r->o.parts[0].file_off);
	json_put_u64(root, "buf_offset", r->o.buf_off);
	json_put_u64(root, "length", r->total);
	json_put_u64(root, "bytes", r->gapless);
	json_put_u64(root, "bytes_moved", r->moved);
	json_put_u64(root, "direct_bytes", r->direct_bytes);
	json_put_u64(root, "bounced_bytes", r->bounced_bytes);
	json_put_string(root, "path",
			dmabuf_rw_path_name(path_of(r->direct_bytes, r->bounced_bytes)));
	json_put_u64(root, "transfers", r->completions);
	json_put_u64(root, "depth", r->o.depth);
	json_put_u64(root, "block_size", r->o.block);
	json_put_double(root, "seconds", r->seconds);
	json_put_double(root, "bytes_per_second", r->seconds > 0 ? r->moved / r->seconds : 0);
	json_put_double(root, "cpu_seconds", r->cpu);
	json_object_object_add(root, "binding", json_of_info(&first->info));
	put_parts(r);
}

static void print_result(const struct run *r, const char *digest)
{
	char size[24], rate[24], direct[24], bounced[24], text[1024], more[32] = "";
	const struct input *first = &r->o.inputs[0];
	unsigned int i;

	if (r->o.nr_inputs > 1)
		snprintf(more, sizeof(more), " and %u more", r->o.nr_inputs - 1);
	printf("%s %s%s %s %s: %s (%llu bytes) in %.3f s, %s/s, %s\n",
	       r->write ? "stored" : "loaded", first->name, more,
	       r->write ? "from" : "into", r->o.buffer,
	       size_format(r->moved, size, sizeof(size)), (unsigned long long)r->moved,
	       r->seconds,
	       size_format(r->seconds > 0 ? r->moved / r->seconds : 0, rate, sizeof(rate)),
	       dmabuf_rw_path_name(path_of(r->direct_bytes, r->bounced_bytes)));
	if (r->o.allow_bounce)
		printf("direct %s (%llu bytes), bounced %s (%llu bytes)\n",
		       size_format(r->direct_bytes, direct, sizeof(direct)),
		       (unsigned long long)r->direct_bytes,
		       size_format(r->bounced_bytes, bounced, sizeof(bounced)),
		       (unsigned long long)r->bounced_bytes);
	for (i = 0; i < r->o.nr_inputs; i++) {
		const struct input *input = &r->o.inputs[i];

		if (input->refusal.err) {
			dmabuf_rw_error_format(&input->refusal, text, sizeof(text));
			printf("%s is not direct: %s\n", input->name, text);
		} else if (!i && r->total) {
			dmabuf_rw_info_describe(&input->info, text, sizeof(text));
			printf("%s\n", text);
		}
	}
	if (r->o.verify)
		printf("verified: the buffer equals the %s\n",
		       r->o.nr_inputs > 1 ? "files" : "file");
	if (r->o.checksum)
		printf("sha256 %s\n", digest);
}

/* ---- the transfer ------------------------------------------------------------------- */

static void show_progress(void *arg, uint64_t done, uint32_t path)
{
	struct run *r = arg;

	progress_update(&r->progress, r->before + done, path);
}

/* Part after part; the first that does not come to its end is the last. */
static int transfer_parts(struct run *r, volatile sig_atomic_t *stop,
			  struct dmabuf_rw_error *error, unsigned int *last)
{
	uint32_t path = DMABUF_RW_PATH_NONE;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < r->o.nr_parts && r->total && !ret; i++) {
		struct part *part = &r->o.parts[i];
		struct engine e = {
			.binding = r->o.inputs[part->input].binding,
			.write = r->write,
			.file_off = part->file_off,
			.buf_off = part->buf_off,
			.len = part->len,
			.block = r->o.block,
			.depth = r->o.depth,
			.io_flags = r->o.fua ? DMABUF_RW_IO_FUA : 0,
			.stop = stop,
			.progress = show_progress,
			.progress_arg = r,
		};

		*last = part->input;
		ret = engine_run(&e);
		part->gapless = e.gapless;
		part->direct_bytes = e.direct_bytes;
		part->bounced_bytes = e.bounced_bytes;
		r->before += e.moved;
		r->moved += e.moved;
		r->gapless += e.gapless;
		r->direct_bytes += e.direct_bytes;
		r->bounced_bytes += e.bounced_bytes;
		r->completions += e.completions;
		*error = e.error;
		path = path_of(r->direct_bytes, r->bounced_bytes);
	}
	progress_end(&r->progress, r->moved, path);
	return ret;
}

static int transfer(struct run *r)
{
	volatile sig_atomic_t *stop = catch_signals();
	char what[512], digest[DIGEST_TEXT] = "", why[BUFFER_WHY];
	struct dmabuf_rw_error error = { 0 };
	struct report *report = &r->report;
	unsigned int last = 0;
	int status, ret;

	if ((r->o.verify || r->o.checksum) && buffer_map(&r->session.buffer, why)) {
		report_fail(report, "%s: %s", r->o.buffer, why);
		return STATUS_FAILED;
	}
	progress_begin(&r->progress, r->o.progress, r->write ? "store" : "load", r->total);
	r->cpu = cpu_seconds();
	ret = transfer_parts(r, stop, &error, &last);
	status = ret ? STATUS_OK : flush(r);
	r->seconds = (clock_ns() - r->progress.begin_ns) / 1e9;
	r->cpu = cpu_seconds() - r->cpu;

	if (r->o.inputs[0].binding) {
		r->o.inputs[0].info = (struct dmabuf_rw_info){
			.size = sizeof(r->o.inputs[0].info),
		};
		dmabuf_rw_binding_info(r->o.inputs[0].binding, &r->o.inputs[0].info);
	}
	put_result(r);
	pair_name(r, &r->o.inputs[last], what, sizeof(what));
	if (ret == -EINTR && !error.err) {
		report_fail(report, "%s: interrupted; the first %llu of %llu bytes are done%s",
			    what, (unsigned long long)r->gapless,
			    (unsigned long long)r->total,
			    r->file ? ", and the file is as it was" : "");
		return STATUS_INTERRUPTED;
	}
	if (ret) {
		report_error(report, what, &error);
		fprintf(stderr, "dmabuf-rw %s: the first %llu of %llu bytes are done%s\n",
			report->command, (unsigned long long)r->gapless,
			(unsigned long long)r->total,
			r->file ? ", and the file is as it was" : "");
		return STATUS_FAILED;
	}
	if (!status)
		status = check_contents(r, stop, digest);
	if (!status)
		status = commit(r);
	if (!status && !report->json)
		print_result(r, digest);
	return status;
}

static int run(const struct command *command, int argc, char **argv, bool write)
{
	struct run r = { .write = write };
	int status;

	report_begin(&r.report, command->name);
	status = transfer_options_parse(command, &r.o, &r.report, write, argc, argv);
	if (status >= 0) {
		json_object_put(r.report.root);
		transfer_options_free(&r.o);
		return status;
	}
	status = open_all(&r);
	if (!status)
		status = check_ranges(&r) ? transfer(&r) : STATUS_USAGE;
	close_all(&r);
	transfer_options_free(&r.o);
	return report_end(&r.report, status);
}

static int run_load(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, false);
}

static int run_store(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, true);
}

#define COMMON_HELP \
	"  --offset SIZE            where to begin in the file (0)\n" \
	"  --length SIZE            how much (all that file and buffer have)\n" \
	"  --buf-offset SIZE        where to begin in the buffer (0)\n" \
	"  --block-size SIZE        bytes of one transfer (1M)\n" \
	"  --depth N                transfers in flight (32); 1 does without io_uring\n" \
	"  --verify                 read the file again and compare, by the CPU\n" \
	"  --checksum               print the SHA-256 of the buffer's range\n" \
	"  --allow-bounce           what cannot go direct may be copied through memory\n" \
	"  --require-device-memory  fail unless the buffer lies in PCI BARs\n" \
	"  --progress WHEN          auto, always or never (auto: on a terminal)\n" \
	"  -o, --output FORMAT      text or json\n"

#define STATUS_HELP \
	"Exit status: 0 done, 1 failed, 2 wrong usage, 3 the pair cannot go direct,\n" \
	"4 the verification found a difference, 130 interrupted.\n"

const struct command cmd_load = {
	.name = "load",
	.summary = "read NVMe disks, partitions or files into a buffer",
	.help = "load FILE... --into BUFFER [OPTION...]\n"
		"\n"
		"Reads NVMe disks, partitions or files on them into a dma-buf, by the drive's "
		"own\n"
		"DMA. Several files go one after the other into the buffer.\n"
		"\n"
		"  --range OFFSET:LENGTH    of the file named before it, or of the first; can "
		"be\n"
		"                           given several times for a file\n"
		COMMON_HELP
		"\n"
		STATUS_HELP,
	.run = run_load,
};

const struct command cmd_store = {
	.name = "store",
	.summary = "write from a buffer to an NVMe disk, partition or file",
	.help = "store FILE --from BUFFER [OPTION...]\n"
		"\n"
		"Writes from a dma-buf to an NVMe disk, a partition or a file on one, by the "
		"drive's\n"
		"own DMA. A regular file is made anew, and gets its name when it is complete.\n"
		"\n"
		COMMON_HELP
		"  --in-place               write into the regular file that is there\n"
		"  --fua                    each write is on the medium when it is done\n"
		"  --fsync                  flush the drive's cache at the end\n"
		"  --force                  also write to a device that is mounted or in use\n"
		"\n"
		STATUS_HELP,
	.run = run_store,
};
