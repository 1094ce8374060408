// SPDX-License-Identifier: MIT
/* mounts.c - see mounts.h; the formats are those of proc(5). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mounts.h"
#include "sysfs.h"
#include "text.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID	0x1000U
#endif

/* The kernel writes blanks, line feeds and backslashes in octal: "\040". */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = 0;
}

/*
 * One line: "36 35 98:0 /root /dir rw,noatime shared:1 - ext4 /dev/sda rw,errors=continue". Any
 * number of fields like "shared:1" may precede the dash. A name has no length limit, as each byte
 * may be four here. Takes over @line, even on failure.
 */
static bool parse_line(char *line, struct mount *m)
{
	enum { ID, PARENT, DEV, ROOT, DIR, OPTIONS, NR };
	char *fields[NR], *field, *rest = line;
	unsigned int major_nr, minor_nr, i;

	*m = (struct mount){ .line = line };
	for (i = 0; i < NR; i++)
		fields[i] = strsep(&rest, " \n");
	do
		field = strsep(&rest, " \n");
	while (field && strcmp(field, "-"));
	m->type = strsep(&rest, " \n");
	m->source = strsep(&rest, " \n");
	field = strsep(&rest, " \n");
	if (!field || sscanf(fields[ID], "%llu", &m->id) != 1 ||
	    sscanf(fields[DEV], "%u:%u", &major_nr, &minor_nr) != 2)
		return false;
	m->dir = fields[DIR];
	unescape(m->source);
	m->dev = makedev(major_nr, minor_nr);
	m->options = text_format("%s,%s", fields[OPTIONS], field);
	return m->options;
}

char *mount_path(const struct mount *mount)
{
	char *path = strdup(mount->dir);

	if (path)
		unescape(path);
	return path;
}

void mount_free(struct mount *mount)
{
	free(mount->line);
	free(mount->options);
	*mount = (struct mount){ 0 };
}

/* Replaces *@m by the next valid line. False: there is none, and *@m is empty. */
static bool next_mount(FILE *f, struct mount *m)
{
	char *line;
	size_t len;

	do {
		mount_free(m);
		line = NULL;
		len = 0;
		if (getline(&line, &len, f) <= 0) {
			free(line);
			return false;
		}
	} while (!parse_line(line, m));
	return true;
}

bool mount_of(const char *root, int fd, struct mount *mount)
{
	FILE *f = sysfs_open(root, "/proc/self/mountinfo");
	bool found = false;
	struct statx sx;

	*mount = (struct mount){ 0 };
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &sx))
		memset(&sx, 0, sizeof(sx));
	while (f && !found && next_mount(f, mount)) {
		if (sx.stx_mask & STATX_MNT_ID)
			found = mount->id == sx.stx_mnt_id;
		else
			found = mount->dev == makedev(sx.stx_dev_major, sx.stx_dev_minor);
	}
	if (f)
		fclose(f);
	if (!found)
		mount_free(mount);
	return found;
}

void mounts_each(const char *root, void (*each)(void *arg, struct mount *mount), void *arg)
{
	FILE *f = sysfs_open(root, "/proc/self/mountinfo");
	struct mount m = { 0 };

	while (f && next_mount(f, &m))
		each(arg, &m);
	mount_free(&m);
	if (f)
		fclose(f);
}

bool mount_has(const struct mount *mount, const char *option)
{
	size_t len = strlen(option);
	const char *at = mount->options;

	for (; at; at = strchr(at, ','), at += !!at)
		if (!strncmp(at, option, len) && (!at[len] || at[len] == ',' || at[len] == '='))
			return true;
	return false;
}

/* CAP_SYS_PTRACE of include/uapi/linux/capability.h */
#define CAP_PTRACE	(1ULL << 19)

/* Whether this process may inspect those of others. */
static bool may_trace(const char *root)
{
	FILE *f = sysfs_open(root, "/proc/self/status");
	unsigned long long caps = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	/* In its own user namespace the capability covers only processes there. */
	return caps & CAP_PTRACE && sysfs_exists(root, "/proc/1");
}

bool proc_hides_processes(const char *root)
{
	/* Before Linux 5.8, a number. */
	static const char *const hiding[] = {
		"hidepid=invisible", "hidepid=ptraceable", "hidepid=2", "hidepid=4",
	};
	char *path = text_format("%s/proc", root);
	int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	bool hides = false;
	struct mount m;
	size_t i;

	free(path);
	if (fd < 0)
		return false;
	if (mount_of(root, fd, &m))
		for (i = 0; i < sizeof(hiding) / sizeof(hiding[0]); i++)
			hides |= mount_has(&m, hiding[i]);
	mount_free(&m);
	close(fd);
	return hides && !may_trace(root);
}

bool leases_are_told(const char *root)
{
	FILE *f = sysfs_open(root, "/proc/locks");

	if (f)
		fclose(f);
	return f;
}

/* "1: LEASE  ACTIVE    WRITE 4711 103:02:131 0 EOF" */
bool find_lease(const char *root, dev_t dev, ino_t ino, struct lease *lease)
{
	FILE *f = sysfs_open(root, "/proc/locks");
	char line[256], kind[16], state[16], mode[16];
	unsigned int major_nr, minor_nr;
	unsigned long long inode;
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*u: %15s %15s %15s %d %x:%x:%llu", kind, state, mode,
			   &lease->pid, &major_nr, &minor_nr, &inode) != 7)
			continue;
		found = !strcmp(kind, "LEASE") && inode == ino &&
			makedev(major_nr, minor_nr) == dev;
		lease->write = !strcmp(mode, "WRITE");
	}
	if (f)
		fclose(f);
	return found;
}
