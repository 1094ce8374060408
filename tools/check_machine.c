// SPDX-License-Identifier: MIT
/* check_machine.c - checks the machine and the user. See cmd_check.h. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd_check.h"
#include "module.h"
#include "mounts.h"
#include "sysfs.h"

/* PROC_PID_INIT_INO: the initial PID namespace. */
#define FIRST_PIDS	"pid:[4026531836]"

/* The oldest supported kernel (kernel/compat.h, docs/design.md). */
#define OLDEST_MAJOR	6
#define OLDEST_MINOR	12

/* Reads /etc/group, as a static program has no getgrgid(). */
static char *group_name(const char *root, gid_t gid)
{
	FILE *f = sysfs_open(root, "/etc/group");
	struct group *group;
	char *name = NULL;

	while (f && !name && (group = fgetgrent(f)))
		if (group->gr_gid == gid)
			name = strdup(group->gr_name);
	if (f)
		fclose(f);
	return name ? name : text_format("%u", (unsigned int)gid);
}

/* "owner 0, group disk, mode 0660", or why the node is missing. */
static char *node_text(const char *root)
{
	char *group, *text;
	struct stat st;

	if (stat(DMABUF_RW_DEVICE, &st))
		return text_format("%s: %s", DMABUF_RW_DEVICE, strerror(errno));
	group = group_name(root, st.st_gid);
	text = text_format("%s: owner %u, group %s, mode %04o", DMABUF_RW_DEVICE,
			   (unsigned int)st.st_uid, text_or_excuse(group), st.st_mode & 07777);
	free(group);
	return text;
}

static struct json_object *tell_loaded(struct check *c, const struct dmabuf_rw_query *query)
{
	struct module_release release;
	struct json_object *o;

	module_release_read(c->root, &release);
	o = fact(&c->facts, "module", release.relation ? FACT_NOTE : FACT_OK, release.remedy,
		 "loaded, %s%s%s%s%s%sinterface %u.%u", release.name[0] ? "release " : "",
		 release.name, release.relation ? " (" : "",
		 release.relation ? release.relation : "", release.relation ? ")" : "",
		 release.name[0] ? ", " : "", query->abi_major, query->abi_minor);
	if (release.name[0])
		json_put_string(o, "release", release.name);
	return o;
}

static void check_module(struct check *c)
{
	struct dmabuf_rw_query query = { .size = sizeof(query) };
	enum fact_state bad = c->kernel_way ? FACT_NOTE : FACT_NO;
	const struct dmabuf_rw_error *error = &c->session.device_error;
	bool loaded = sysfs_exists(c->root, "/sys/module/dmabuf_rw");
	struct json_object *o;
	char *node;

	session_open_device(&c->session, NULL);
	c->module = c->session.device && !dmabuf_rw_device_query(c->session.device, &query);
	if (c->module)
		o = tell_loaded(c, &query);
	else if (loaded && (error->err == ENOENT || error->err == ENXIO))
		o = fact(&c->facts, "module", bad, "give this container the node (--device "
			 DMABUF_RW_DEVICE "), or see that udev runs",
			 "loaded, but its node is not here");
	else
		o = fact_of_error(&c->facts, "module", bad, error);
	json_put_bool(o, "loaded", loaded || c->module);
	json_put_bool(o, "usable", c->module);
	node = node_text(c->root);
	fact(&c->facts, "node", c->module ? FACT_OK : FACT_INFO, NULL, "%s",
	     text_or_excuse(node));
	free(node);
}

static void check_kernel(struct check *c)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;
	bool old;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2) {
		fact(&c->facts, "kernel", FACT_UNKNOWN, NULL, "its version cannot be read");
		return;
	}
	old = major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR);
	fact(&c->facts, "kernel", old && !c->module ? FACT_NO : FACT_OK,
	     old && !c->module ? "boot Linux 6.12 or later" : NULL, "Linux %s, the module takes "
	     "%u.%u or later", name.release, OLDEST_MAJOR, OLDEST_MINOR);
}

/* The kernel's own interface comes second if the module is usable. */
static void check_kernel_way(struct check *c, const struct dmabuf_rw_error *error)
{
	struct json_object *o;

	if (c->kernel_way)
		o = fact(&c->facts, "kernel's way", FACT_OK, NULL,
			 "the kernel has an interface of its own, for raw NVMe disks");
	else
		o = fact(&c->facts, "kernel's way", c->module ? FACT_INFO : FACT_NO,
			 c->module ? NULL : dmabuf_rw_error_remedy(error), "%s (%s)",
			 dmabuf_rw_error_cause(error),
			 error->detail ? dmabuf_rw_errno_name(error->detail) : "no errno");
	json_put_bool(o, "usable", c->kernel_way);
}

/* Without io_uring, queues have fewer transfers in flight. */
static void check_io_uring(struct check *c)
{
	struct dmabuf_rw_queue *queue;
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_QUEUE };
	const struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts), .error = &error, .depth = 1,
	};

	if (!dmabuf_rw_queue_create(&opts, &queue)) {
		error.err = dmabuf_rw_queue_ring_error(queue);
		dmabuf_rw_queue_destroy(queue);
	}
	if (error.err)
		fact_of_error(&c->facts, "io_uring", FACT_NOTE, &error);
	else
		fact(&c->facts, "io_uring", FACT_OK, NULL, "this user may use it");
}

static void check_rights(struct check *c)
{
	unsigned int uid = geteuid();

	if (uid)
		fact(&c->facts, "user", FACT_INFO, "what only root may see is marked with ?",
		     "number %u, not root", uid);
	else
		fact(&c->facts, "user", FACT_INFO, NULL, "root");
}

/* Reports the leases of other processes that this one cannot see. */
static void check_sight(struct check *c)
{
	char *pids = sysfs_link(c->root, "/proc/self/ns/pid");

	if (!leases_are_told(c->root))
		fact(&c->facts, "leases", FACT_UNKNOWN, "mount /proc without subset=pid", "/proc "
		     "has no list of them, so a file is opened whoever has a lease on it");
	else if (pids && strcmp(pids, FIRST_PIDS))
		fact(&c->facts, "leases", FACT_INFO, NULL, "those of processes outside this "
		     "container are not seen, and a file is opened in spite of them");
	free(pids);
}

void check_machine(struct check *c)
{
	struct dmabuf_rw_error error;

	c->kernel_way = dmabuf_rw_has_kernel_way(&error);
	check_rights(c);
	check_sight(c);
	check_module(c);
	check_kernel(c);
	check_kernel_way(c, &error);
	check_io_uring(c);
}
