// SPDX-License-Identifier: MIT
/* totals.c - see totals.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sysfs.h"
#include "totals.h"

#define DIR	"/sys/class/misc/dmabuf_rw/drives"

void totals_free(struct totals *found)
{
	size_t i;

	for (i = 0; i < found->nr; i++)
		free(found->drives[i].name);
	free(found->drives);
	*found = (struct totals){ 0 };
}

const struct total *totals_of(const struct totals *found, const struct total *drive)
{
	size_t i;

	for (i = 0; i < found->nr; i++)
		if (found->drives[i].diskseq == drive->diskseq)
			return &found->drives[i];
	return NULL;
}

/* False: the file has gone or cannot be parsed. */
static bool read_total(const char *root, const char *name, struct total *t)
{
	char *text = sysfs_read(root, DIR "/%s", name);
	uint64_t diskseq;
	int n = 0;

	/* Later modules may append numbers. */
	if (text)
		n = sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			   " %" SCNu64 " %" SCNu64, &t->diskseq, &t->bindings, &t->reads,
			   &t->read_bytes, &t->writes, &t->write_bytes, &t->errors);
	free(text);
	t->gone = !sysfs_number(root, &diskseq, "/sys/block/%s/diskseq", name) ||
		  diskseq != t->diskseq;
	return n == 7;
}

int totals_find(const char *root, struct totals *found)
{
	char **names = sysfs_names(root, DIR);
	size_t i, nr = 0;

	*found = (struct totals){ 0 };
	if (!names)
		return errno == ENOMEM ? -ENOMEM : 0;
	found->known = true;
	while (names[nr])
		nr++;
	found->drives = calloc(nr + 1, sizeof(*found->drives));
	for (i = 0; found->drives && i < nr; i++) {
		struct total *t = &found->drives[found->nr];

		if (!read_total(root, names[i], t))
			continue;
		t->name = strdup(names[i]);
		if (!t->name)
			break;
		found->nr++;
	}
	sysfs_names_free(names);
	if (found->drives && i == nr)
		return 0;
	totals_free(found);
	return -ENOMEM;
}
