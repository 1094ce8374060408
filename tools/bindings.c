// SPDX-License-Identifier: MIT
/* bindings.c - see bindings.h. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bindings.h"
#include "mounts.h"
#include "sysfs.h"
#include "text.h"

/* The link target of a binding's descriptor; see kernel/ioctl.c. */
#define LINK	"anon_inode:[dmabuf_rw]"

static void bound_clear(struct bound *b)
{
	char **const texts[] = { &b->command, &b->file, &b->disk, &b->drive, &b->class,
				 &b->state, &b->bar };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(*texts[i]);
	free(b->holders);
}

void bindings_free(struct bindings *found)
{
	size_t i;

	for (i = 0; i < found->nr; i++)
		bound_clear(&found->bound[i]);
	free(found->bound);
	*found = (struct bindings){ 0 };
}

const struct bound *bindings_with(const struct bindings *found, uint64_t id)
{
	size_t i;

	for (i = 0; i < found->nr; i++)
		if (found->bound[i].id == id)
			return &found->bound[i];
	return NULL;
}

static void take_text(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
}

/* One line of fdinfo. */
static void take_line(struct bound *b, const char *key, const char *value)
{
	const struct {
		const char *key;
		char **text;
		uint64_t *number;
	} known[] = {
		{ "file", &b->file, NULL },
		{ "disk", &b->disk, NULL },
		{ "drive", &b->drive, NULL },
		{ "class", &b->class, NULL },
		{ "state", &b->state, NULL },
		/* fdinfo has the device after the BAR's number; the text has it before. */
		{ "bar", &b->bar, NULL },
		{ "ino", NULL, &b->id },
		{ "buffer-bytes", NULL, &b->buffer_bytes },
		{ "reads", NULL, &b->reads },
		{ "read-bytes", NULL, &b->read_bytes },
		{ "writes", NULL, &b->writes },
		{ "write-bytes", NULL, &b->write_bytes },
		{ "errors", NULL, &b->errors },
		{ "remaps", NULL, &b->remaps },
		{ "failovers", NULL, &b->failovers },
	};
	char *bar;
	size_t i;

	if (!strcmp(key, "bar-device")) {
		bar = text_format("%s/%s", value, b->bar ? b->bar : "?");
		free(b->bar);
		b->bar = bar;
	}
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(key, known[i].key))
			continue;
		if (known[i].text)
			take_text(known[i].text, value);
		else
			*known[i].number = strtoull(value, NULL, 10);
	}
}

/* False: the descriptor was closed meanwhile. */
static bool read_lines(const char *root, pid_t pid, int fd, struct bound *b)
{
	char path[64], *line = NULL, *colon;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = sysfs_open(root, path);
	if (!f)
		return false;
	while (getline(&line, &size, f) > 0) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon++ = 0;
		colon += strspn(colon, "\t ");
		colon[strcspn(colon, "\n")] = 0;
		take_line(b, line, colon);
	}
	free(line);
	fclose(f);
	/* The last line; a signal that ends the wait for a drain omits it. */
	b->told = b->state;
	return b->id;
}

static int add_holder(struct bound *b, pid_t pid, int fd)
{
	struct holder *more = reallocarray(b->holders, b->nr_holders + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	b->holders = more;
	b->holders[b->nr_holders++] = (struct holder){ pid, fd };
	return 0;
}

static bool is_binding(const char *root, pid_t pid, int fd)
{
	char *link = sysfs_link(root, "/proc/%d/fd/%d", pid, fd);
	bool is = link && !strcmp(link, LINK);

	free(link);
	return is;
}

/* The descriptor was a binding's; its number may belong to another file now. */
static int take_descriptor(const char *root, pid_t pid, int fd, struct bindings *found)
{
	struct bound b = { 0 }, *more;
	size_t i;

	if (!read_lines(root, pid, fd, &b) || !is_binding(root, pid, fd)) {
		bound_clear(&b);
		return 0;
	}
	for (i = 0; i < found->nr; i++) {
		if (found->bound[i].id == b.id) {
			bound_clear(&b);
			return add_holder(&found->bound[i], pid, fd);
		}
	}
	b.command = sysfs_read(root, "/proc/%d/comm", pid);
	more = reallocarray(found->bound, found->nr + 1, sizeof(*more));
	if (more)
		found->bound = more;
	if (!more || add_holder(&b, pid, fd)) {
		bound_clear(&b);
		return -ENOMEM;
	}
	found->bound[found->nr++] = b;
	return 0;
}

static int look_into(const char *root, pid_t pid, struct bindings *found)
{
	char **fds;
	int ret = 0;
	size_t i;

	errno = 0;
	fds = sysfs_names(root, "/proc/%d/fd", pid);
	if (!fds) {
		/* Otherwise the process may have ended. */
		found->unseen += errno == EACCES || errno == EPERM;
		return errno == ENOMEM ? -ENOMEM : 0;
	}
	for (i = 0; fds[i] && !ret; i++)
		if (is_binding(root, pid, atoi(fds[i])))
			ret = take_descriptor(root, pid, atoi(fds[i]), found);
	sysfs_names_free(fds);
	return ret;
}

int bindings_find(const char *root, pid_t pid, struct bindings *found)
{
	char **pids;
	int ret = 0;
	size_t i;

	*found = (struct bindings){ 0 };
	if (pid) {
		ret = sysfs_exists(root, "/proc/%d", pid) ? look_into(root, pid, found) : -ESRCH;
	} else {
		pids = sysfs_names(root, "/proc");
		if (!pids)
			return errno ? -errno : -ENOMEM;
		for (i = 0; pids[i] && !ret; i++)
			if (isdigit((unsigned char)pids[i][0]))
				ret = look_into(root, atoi(pids[i]), found);
		sysfs_names_free(pids);
	}
	/* A visible process of another user means that /proc hides none from this user. */
	found->hidden = !found->unseen && proc_hides_processes(root);
	if (ret)
		bindings_free(found);
	return ret;
}
