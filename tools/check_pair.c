// SPDX-License-Identifier: MIT
/*
 * check_pair.c - checks whether a file, a disk or a directory goes direct with the buffer, and what
 * prevents it. See cmd_check.h.
 *
 * To disturb no one, it opens no pipe, no device other than disks, no file with a write lease, and
 * nothing for writing. It unbinds at once what it has bound.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "cmd_check.h"
#include "mounts.h"

/* The most files of a directory that are tried. */
#define MAX_FILES	64
/* The most kinds of refusals that are reported for them. */
#define MAX_KINDS	8

/* O_NONBLOCK: do not wait for a process that takes a lease meanwhile. */
#define OPEN_FLAGS	(O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

void check_answer(struct check *c, enum fact_state state, const char *remedy,
		  const char *format, ...)
{
	va_list ap;

	/* An obstacle decides the answer even if the pair could not be tried. */
	if (state == FACT_UNKNOWN && (c->facts.in_the_way || (!c->module && !c->kernel_way))) {
		state = FACT_NO;
		fact(&c->facts, "direct", state, NULL, "no, as is said above");
	} else {
		va_start(ap, format);
		fact_of_list(&c->facts, "direct", state, remedy, format, ap);
		va_end(ap);
	}
	c->no |= state == FACT_NO;
	c->unknown |= state == FACT_UNKNOWN;
}

void check_refused(struct check *c, const struct dmabuf_rw_error *error)
{
	bool about_pair = dmabuf_rw_error_is_about_pair(error) ||
			  error->reason == DMABUF_RW_REASON_NO_DEVICE;

	if (error->reason == DMABUF_RW_REASON_NO_DEVICE && c->session.device_error.err)
		error = &c->session.device_error;
	fact_of_error(&c->facts, "direct", about_pair ? FACT_NO : FACT_UNKNOWN, error);
	c->no |= about_pair;
	c->unknown |= !about_pair;
}

/* ---- the file system ------------------------------------------------------------------ */

static void add_reason(struct check *c, const char *name, enum fact_state state, int err,
		       uint32_t reason)
{
	const struct dmabuf_rw_error error = {
		.call = DMABUF_RW_CALL_BIND, .err = err, .reason = reason,
	};

	fact(&c->facts, name, state, dmabuf_rw_error_remedy(&error), "%s",
	     dmabuf_rw_error_cause(&error));
}

/* Checks the attributes that prevent binding the file, or new files of the directory. */
static void check_attributes(struct check *c, int fd, const char *whose)
{
	static const struct {
		uint64_t bit;
		uint32_t reason;
	} attributes[] = {
		{ STATX_ATTR_ENCRYPTED, DMABUF_RW_REASON_ENCRYPTED },
		{ STATX_ATTR_COMPRESSED, DMABUF_RW_REASON_COMPRESSED },
		{ STATX_ATTR_VERITY, DMABUF_RW_REASON_VERITY },
		{ STATX_ATTR_DAX, DMABUF_RW_REASON_DAX },
	};
	struct fsxattr fsx;
	struct statx sx;
	size_t i;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx)) {
		fact(&c->facts, "attributes", FACT_UNKNOWN, NULL, "they cannot be read: %s",
		     strerror(errno));
		return;
	}
	for (i = 0; i < ARRAY_SIZE(attributes); i++)
		if (sx.stx_attributes & attributes[i].bit)
			add_reason(c, whose, FACT_NO, EOPNOTSUPP, attributes[i].reason);
	if (sx.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		fact(&c->facts, whose, FACT_NOTE, "lsattr -d shows it, chattr -i -a takes it off",
		     "immutable or append-only: it can be read, not written");
	if (!ioctl(fd, FS_IOC_FSGETXATTR, &fsx) &&
	    fsx.fsx_xflags & (FS_XFLAG_REALTIME | FS_XFLAG_RTINHERIT))
		add_reason(c, whose, FACT_NO, EOPNOTSUPP, DMABUF_RW_REASON_REALTIME);
}

/* False: no file of this mount can be bound. */
static bool check_mount(struct check *c, const struct mount *m)
{
	bool good = !strcmp(m->type, "ext4") || !strcmp(m->type, "xfs");
	struct json_object *o;

	if (!strcmp(m->type, "overlay")) {
		add_reason(c, "file system", FACT_NO, ENOTBLK, DMABUF_RW_REASON_OVERLAY);
		return false;
	}
	if (good)
		o = fact(&c->facts, "file system", FACT_OK, NULL, "%s on %s (%s)", m->type, m->dir,
			 m->options);
	else
		o = fact(&c->facts, "file system", FACT_NO,
			 "copy the file to an ext4 or XFS file system on an NVMe disk",
			 "%s on %s, and only ext4 and XFS tell where on the drive blocks are",
			 m->type, m->dir);
	json_put_string(o, "type", m->type);
	json_put_string(o, "options", m->options);
	if (mount_has(m, "data=journal"))
		add_reason(c, "journal", FACT_NO, EOPNOTSUPP, DMABUF_RW_REASON_NO_DIRECT);
	if (mount_has(m, "ro"))
		fact(&c->facts, "mount", FACT_NOTE, "mount it read-write for storing",
		     "read-only: files can be loaded, not stored");
	return good;
}

/* The same for the file system of @fd; *@dev: the mounted device, or 0. */
static bool check_file_system(struct check *c, int fd, dev_t *dev)
{
	bool good = true;
	struct mount m;

	if (mount_of(c->root, fd, &m))
		good = check_mount(c, &m);
	else
		fact(&c->facts, "file system", FACT_UNKNOWN, NULL,
		     "/proc does not tell which one it is");
	*dev = m.dev;
	mount_free(&m);
	return good;
}

/* ---- one file or disk ----------------------------------------------------------------- */

static void unbind(struct session *s)
{
	dmabuf_rw_binding_destroy(s->binding);
	s->binding = NULL;
	if (s->file_fd >= 0)
		close(s->file_fd);
	s->file_fd = -1;
}

/* Opening the file would make the kernel ask the holder to give up the lease. */
static bool check_lease(struct check *c, const struct stat *st)
{
	struct lease lease;

	if (!S_ISREG(st->st_mode) || !find_lease(c->root, st->st_dev, st->st_ino, &lease))
		return false;
	fact(&c->facts, "lease", lease.write ? FACT_UNKNOWN : FACT_NOTE, lease.write ?
	     "ask again when it has been given up" : NULL, "process %d has a %s lease on it%s",
	     lease.pid, lease.write ? "write" : "read", lease.write ? ", and would be disturbed "
	     "by whoever opens it" : ", which ends when somebody opens it for writing");
	return lease.write;
}

static void check_commands(struct check *c)
{
	const struct dmabuf_rw_info *info = &c->session.info;
	struct json_object *o;
	char size[24];

	o = fact(&c->facts, "alignment", info->read_align > 1 && !(info->flags &
		 DMABUF_RW_INFO_KERNEL) ? FACT_NOTE : FACT_OK, NULL, "file offsets and lengths "
		 "%u for load, %u for store; buffer offsets %u%s", info->read_align,
		 info->write_align, info->buf_align, info->flags & DMABUF_RW_INFO_KERNEL ? "" :
		 info->flags & DMABUF_RW_INFO_SGL ? "; the drive takes SGLs" :
		 "; the drive takes no SGLs");
	json_put_u64(o, "read_align", info->read_align);
	json_put_u64(o, "write_align", info->write_align);
	json_put_u64(o, "buf_align", info->buf_align);
	if (info->flags & DMABUF_RW_INFO_KERNEL)
		return;
	o = fact(&c->facts, "per command", FACT_INFO, NULL, "%s at most; memory: %s in %llu DMA %s",
		 size_format(info->max_cmd_bytes, size, sizeof(size)),
		 dmabuf_rw_class_name(info->mem_class), (unsigned long long)info->extents,
		 info->extents == 1 ? "extent" : "extents");
	json_put_u64(o, "max_bytes", info->max_cmd_bytes);
	json_put_string(o, "mem_class", dmabuf_rw_class_name(info->mem_class));
}

static void check_other_way(struct check *c)
{
	struct dmabuf_rw_error error;
	uint32_t other = pair_other_way(&c->session, &error);
	const char *name = other == DMABUF_RW_PATH_MODULE ? "module" : "kernel";
	struct json_object *o;

	if (error.err)
		o = fact(&c->facts, "other way", FACT_INFO, NULL, "not by the %s: %s", name,
			 dmabuf_rw_error_cause(&error));
	else
		o = fact(&c->facts, "other way", FACT_OK, NULL, "by the %s, too", name);
	json_put_string(o, "way", name);
	json_put_bool(o, "usable", !error.err);
}

/* Adds the facts of a bound pair. */
static void check_bound(struct check *c, const struct drive *drive)
{
	struct session *s = &c->session;
	bool by_kernel = s->info.flags & DMABUF_RW_INFO_KERNEL, load, store;

	pair_directions(s, &load, &store);
	check_answer(c, FACT_OK, NULL, "yes, by the %s", by_kernel ? "kernel" : "module");
	fact(&c->facts, "rights", load && store ? FACT_OK : FACT_NOTE, load && store ? NULL :
	     store ? "export the buffer for reading and writing" :
	     "for storing, open the file as a user who may write to it, and export the buffer "
	     "for reading", "%s", load && store ? "load and store" : load ? "load only" :
	     store ? "store only" : "neither load nor store");
	check_other_way(c);
	check_commands(c);
	check_route(c, drive, true, NULL);
}

/* Binds the open file and adds the answer. */
static void try_pair(struct check *c, const struct drive *drive)
{
	struct session *s = &c->session;
	struct dmabuf_rw_error error = { 0 };

	if (s->buffer.fd < 0) {
		check_answer(c, FACT_UNKNOWN, NULL, "there is no buffer to try it with");
		check_route(c, drive, false, NULL);
	} else if (session_try_bind(s, c->bind_flags, &error)) {
		check_refused(c, &error);
		check_route(c, drive, false, &error);
	} else if (dmabuf_rw_info_refusal(&s->info, s->file_fd, &error)) {
		check_refused(c, &error);
	} else {
		check_bound(c, drive);
	}
	unbind(s);
}

static void check_file_or_disk(struct check *c, const char *name, const struct stat *st)
{
	bool disk = S_ISBLK(st->st_mode), known;
	dev_t dev = disk ? st->st_rdev : st->st_dev, mounted = 0;
	struct drive drive;
	int err;

	if (check_lease(c, st)) {
		check_answer(c, FACT_UNKNOWN, NULL, "it is not opened because of the lease");
		return;
	}
	c->session.file_name = name;
	c->session.file_fd = open(name, OPEN_FLAGS);
	if (c->session.file_fd < 0) {
		err = errno;
		known = check_drive(c, dev, &drive);
		check_answer(c, FACT_UNKNOWN, err == EACCES || err == EPERM ?
			     "ask as a user who may read it" : NULL, "it cannot be opened: %s",
			     strerror(err));
		check_route(c, known ? &drive : NULL, false, NULL);
		return;
	}
	if (!disk) {
		check_file_system(c, c->session.file_fd, &mounted);
		check_attributes(c, c->session.file_fd, "attributes");
	}
	/* Some file systems report device numbers of their own. */
	known = check_drive(c, mounted ? mounted : dev, &drive);
	try_pair(c, known ? &drive : NULL);
}

/* ---- a directory ------------------------------------------------------------------------ */

struct kind {
	struct dmabuf_rw_error error;
	unsigned int files;
	char example[256];
};

struct survey {
	unsigned int tried, direct, leased, closed;
	struct dmabuf_rw_info info;	/* of the first file that goes direct */
	unsigned int nr_kinds;
	bool more;		/* some files were not tried */
	struct kind kinds[MAX_KINDS];
};

static void count_refusal(struct survey *v, const struct dmabuf_rw_error *error, const char *name)
{
	struct kind *k;

	for (k = v->kinds; k < v->kinds + v->nr_kinds; k++)
		if (k->error.reason == error->reason && k->error.err == error->err)
			break;
	if (k == v->kinds + MAX_KINDS)
		return;
	if (k == v->kinds + v->nr_kinds) {
		v->nr_kinds++;
		k->error = *error;
		snprintf(k->example, sizeof(k->example), "%s", name);
	}
	k->files++;
}

static void try_file(struct check *c, struct survey *v, int dir, const char *name)
{
	struct session *s = &c->session;
	struct dmabuf_rw_error error = { 0 };
	struct lease lease;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return;
	if (v->tried + v->leased + v->closed == MAX_FILES) {
		v->more = true;
		return;
	}
	if (find_lease(c->root, st.st_dev, st.st_ino, &lease) && lease.write) {
		v->leased++;
		return;
	}
	s->file_fd = openat(dir, name, OPEN_FLAGS | O_NOFOLLOW);
	if (s->file_fd < 0) {
		v->closed++;
		return;
	}
	v->tried++;
	s->file_name = name;
	if (session_try_bind(s, c->bind_flags, &error) ||
	    dmabuf_rw_info_refusal(&s->info, s->file_fd, &error))
		count_refusal(v, &error, name);
	else if (!v->direct++)
		v->info = s->info;
	unbind(s);
}

static void survey(struct check *c, struct survey *v, int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (d && !v->more && (entry = readdir(d)))
		try_file(c, v, dir, entry->d_name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

static void tell_survey(struct check *c, const struct survey *v)
{
	struct json_object *o;
	unsigned int i;

	o = fact(&c->facts, "files", v->direct == v->tried ? FACT_OK : FACT_NOTE, NULL,
		 "%u of %u that were tried go direct%s", v->direct, v->tried,
		 v->more ? "; there are more files" : "");
	json_put_u64(o, "files_tried", v->tried);
	json_put_u64(o, "files_direct", v->direct);
	for (i = 0; i < v->nr_kinds; i++) {
		const struct kind *k = &v->kinds[i];

		o = fact(&c->facts, "refused", FACT_NOTE, dmabuf_rw_error_remedy(&k->error),
			 "%u %s, %s for instance: %s", k->files, k->files == 1 ? "file" : "files",
			 k->example, dmabuf_rw_error_cause(&k->error));
		json_object_object_add(o, "error", json_of_error(&k->error));
	}
	if (v->leased)
		fact(&c->facts, "leased", FACT_NOTE, NULL, "%u with a write lease were not opened",
		     v->leased);
	if (v->closed)
		fact(&c->facts, "not opened", FACT_UNKNOWN, "ask as a user who may read them",
		     "%u that this user may not open", v->closed);
}

/* Without a file to try, try the disk of the file system, which has the same route. */
static void try_disk(struct check *c, const struct drive *drive)
{
	char *node = text_format("/dev/%s", drive->name);

	c->session.file_name = text_or_excuse(node);
	c->session.file_fd = node ? open(node, OPEN_FLAGS) : -1;
	if (c->session.file_fd < 0) {
		check_answer(c, FACT_UNKNOWN, "name a file of it that has data in it, or ask as "
			     "root", "there is no file to try it with, and %s cannot be opened: %s",
			     c->session.file_name, strerror(errno));
		check_route(c, drive, false, NULL);
	} else {
		try_pair(c, drive);
	}
	free(node);
}

/* The canary uses a scratch file, so that file decides, not those of the directory. */
static void try_scratch(struct check *c, const char *dir, const struct drive *drive)
{
	c->session.file_name = dir;
	c->no_scratch = check_scratch(c, dir) != STATUS_OK;
	c->session.file_fd = c->no_scratch ? -1 : fcntl(c->scratch, F_DUPFD_CLOEXEC, 0);
	if (c->session.file_fd >= 0) {
		try_pair(c, drive);
	} else {
		check_answer(c, FACT_UNKNOWN, NULL, "there is no file of the canary's own to try");
		check_route(c, drive, false, NULL);
	}
}

static void tell_direct(struct check *c, const struct survey *v, const struct drive *drive)
{
	check_answer(c, FACT_OK, NULL, "yes, files here");
	c->session.info = v->info;
	check_commands(c);
	check_route(c, drive, true, NULL);
}

static void check_directory(struct check *c, const char *name)
{
	int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct survey v = { 0 };
	struct drive drive;
	bool known, good;
	dev_t dev;

	if (dir < 0) {
		check_answer(c, FACT_UNKNOWN, "ask as a user who may read it",
			     "it cannot be opened: %s", strerror(errno));
		return;
	}
	good = check_file_system(c, dir, &dev);
	check_attributes(c, dir, "new files");
	known = good && dev && check_drive(c, dev, &drive);
	if (good && c->session.buffer.fd >= 0)
		survey(c, &v, dir);
	if (v.tried || v.leased || v.closed)
		tell_survey(c, &v);
	if (!good)
		check_answer(c, FACT_NO, NULL, "no file here, as is said above");
	else if (c->canary && c->session.buffer.fd >= 0)
		try_scratch(c, name, known ? &drive : NULL);
	else if (v.direct)
		tell_direct(c, &v, known ? &drive : NULL);
	else if (v.tried)
		check_refused(c, &v.kinds[0].error);
	else if (known)
		try_disk(c, &drive);
	else
		check_answer(c, FACT_UNKNOWN, "name a file of it that has data in it",
			     "there is no file to try it with");
	close(dir);
}

void check_mounted(struct check *c, const struct mount *m, enum fact_state disk)
{
	char *path = mount_path(m);
	struct drive drive;
	bool good;
	int dir;

	facts_about(&c->facts, m->dir);
	good = check_mount(c, m);
	/* Opening other kinds of files may block. */
	dir = good && path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	free(path);
	if (dir >= 0) {
		check_attributes(c, dir, "new files");
		close(dir);
	}
	good = good && check_drive(c, m->dev, &drive) && drive.kind == DRIVE_NVME;
	if (!good)
		check_answer(c, FACT_NO, NULL, "no file here, as is said above");
	else if (!c->module)
		check_answer(c, FACT_NO, "load the dmabuf_rw module (modprobe dmabuf_rw)",
			     "only the module takes files");
	else if (disk == FACT_NO)
		check_answer(c, FACT_NO, NULL, "no, as its disk does not");
	else if (disk == FACT_OK)
		check_answer(c, FACT_OK, NULL, "yes, files here");
	else
		check_answer(c, FACT_UNKNOWN, NULL, "probably direct, as nothing is in the way, "
			     "but %s could not be tried", drive.disk);
}

void check_name(struct check *c, const char *name)
{
	struct stat st;

	facts_about(&c->facts, name);
	if (stat(name, &st))
		check_answer(c, FACT_UNKNOWN, errno == ENOENT ? "check the name" : NULL,
			     "it cannot be looked at: %s", strerror(errno));
	else if (S_ISDIR(st.st_mode))
		check_directory(c, name);
	else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		check_file_or_disk(c, name, &st);
	else
		check_refused(c, &(struct dmabuf_rw_error){
			.call = DMABUF_RW_CALL_BIND, .err = ENOTBLK,
			.reason = DMABUF_RW_REASON_NOT_BLOCK,
		});
}
