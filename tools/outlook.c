// SPDX-License-Identifier: MIT
/* outlook.c - see outlook.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmd_check.h"
#include "outlook.h"
#include "sysfs.h"

/* The most lines of each kind. */
#define MAX_DISKS	32
#define MAX_DIRECTORIES	32
/* The most time that asking a GPU driver may add to the program's start. */
#define GPUS_MS		700

struct disk {
	struct drive drive;
	enum fact_state state;
};

struct directory {
	struct mount mount;
	char disk[64];
};

struct outlook {
	FILE *out;
	struct check *check;
	unsigned int nr_disks, more_disks;
	struct disk disks[MAX_DISKS];
	unsigned int nr_directories, more_directories;
	struct directory directories[MAX_DIRECTORIES];
};

/* Prints check's last answer about @what. */
static void tell_answer(struct outlook *o, const char *what)
{
	const char *text, *remedy;

	switch (facts_answer(&o->check->facts, &text, &remedy)) {
	case FACT_OK:
		say(o->out, "dmabuf-rw: %s: direct%s", what,
		    !strncmp(text, "yes, by", 7) ? text + 3 : "");
		break;
	case FACT_NO:
		say(o->out, "dmabuf-rw: %s: not direct: %s%s%s", what, text, remedy ? "; " : "",
		    remedy ? remedy : "");
		break;
	default:
		say(o->out, "dmabuf-rw: %s: not known: %s%s%s", what, text, remedy ? "; " : "",
		    remedy ? remedy : "");
	}
}

/* ---- drives ------------------------------------------------------------------------------- */

static bool is_hidden(const char *root, const char *name)
{
	uint64_t hidden;

	return sysfs_number(root, &hidden, "/sys/block/%s/hidden", name) && hidden;
}

/* "0000:01:00.0, 0000:02:00.0"; the names of paths that are not on PCI. */
static void format_paths(const struct drive *d, char *text, size_t len)
{
	size_t used = 0;
	unsigned int i;

	text[0] = 0;
	for (i = 0; i < d->nr_paths && i < DRIVE_MAX_PATHS && used < len; i++)
		used += snprintf(text + used, len - used, "%s%s", i ? ", " : " at ",
				 d->paths[i].pci[0] ? d->paths[i].pci : d->paths[i].transport);
}

static void look_at_disk(struct outlook *o, const char *name)
{
	char dev[32], node[160], paths[256], what[512];
	struct disk *disk = &o->disks[o->nr_disks];
	unsigned int major_nr, minor_nr;
	const char *root = o->check->root, *text, *remedy;

	if (strncmp(name, "nvme", 4) || is_hidden(root, name) ||
	    !sysfs_copy(root, dev, sizeof(dev), "/sys/block/%s/dev", name) ||
	    sscanf(dev, "%u:%u", &major_nr, &minor_nr) != 2)
		return;
	if (o->nr_disks == MAX_DISKS) {
		o->more_disks++;
		return;
	}
	if (!drive_read(root, makedev(major_nr, minor_nr), &disk->drive))
		return;
	o->nr_disks++;
	snprintf(node, sizeof(node), "%s/dev/%s", root, name);
	check_name(o->check, node);
	disk->state = facts_answer(&o->check->facts, &text, &remedy);
	format_paths(&disk->drive, paths, sizeof(paths));
	snprintf(what, sizeof(what), "drive %s%s", name, paths);
	tell_answer(o, what);
}

static void look_at_disks(struct outlook *o)
{
	char **names = sysfs_names(o->check->root, "/sys/block");
	size_t i;

	for (i = 0; names && names[i]; i++)
		look_at_disk(o, names[i]);
	sysfs_names_free(names);
	if (!o->nr_disks)
		say(o->out, "dmabuf-rw: there is no NVMe drive here");
	if (o->more_disks)
		say(o->out, "dmabuf-rw: and %u more drives", o->more_disks);
}

static enum fact_state state_of_disk(const struct outlook *o, const char *disk)
{
	unsigned int i;

	for (i = 0; i < o->nr_disks; i++)
		if (!strcmp(o->disks[i].drive.disk, disk))
			return o->disks[i].state;
	return FACT_UNKNOWN;
}

/* ---- directories -------------------------------------------------------------------------- */

/* The drive of a mount, by name if the file system has its own device number. */
static bool find_drive(const struct outlook *o, const struct mount *m, struct drive *d)
{
	struct stat st;

	if (drive_read(o->check->root, m->dev, d))
		return true;
	return !strncmp(m->source, "/dev/", 5) && !stat(m->source, &st) && S_ISBLK(st.st_mode) &&
	       drive_read(o->check->root, st.st_rdev, d);
}

/* Adds each file system on an NVMe drive once, at its first mount. */
static void add_directory(void *arg, struct mount *m)
{
	struct outlook *o = arg;
	struct drive d;
	unsigned int i;

	for (i = 0; i < o->nr_directories; i++)
		if (o->directories[i].mount.dev == m->dev ||
		    !strcmp(o->directories[i].mount.source, m->source))
			return;
	if (!find_drive(o, m, &d) ||
	    (d.kind != DRIVE_NVME && (d.kind != DRIVE_STACKED || !strncmp(d.disk, "loop", 4))))
		return;
	if (o->nr_directories == MAX_DIRECTORIES) {
		o->more_directories++;
		return;
	}
	o->directories[o->nr_directories].mount = *m;
	*m = (struct mount){ 0 };
	snprintf(o->directories[o->nr_directories++].disk, sizeof(d.disk), "%s", d.disk);
}

static void look_at_directories(struct outlook *o)
{
	unsigned int i;

	mounts_each(o->check->root, add_directory, o);
	for (i = 0; i < o->nr_directories; i++) {
		struct directory *d = &o->directories[i];
		char *what;

		check_mounted(o->check, &d->mount, state_of_disk(o, d->disk));
		what = text_format("directory %s (%s on %s)", d->mount.dir, d->mount.type,
				   d->disk);
		tell_answer(o, text_or_excuse(what));
		free(what);
		mount_free(&d->mount);
	}
	if (o->more_directories)
		say(o->out, "dmabuf-rw: and %u more directories", o->more_directories);
}

/* ---- GPUs --------------------------------------------------------------------------------- */

/* How a drive reaches a GPU, by its worst path. */
struct prospect {
	enum turn turn;
	const char *text;	/* null: one of the two was not found */
};

static struct prospect prospect_of(const struct outlook *o, const struct drive *d,
				   const struct pci_chain *gpu, bool rocm)
{
	struct prospect p = { .turn = TURN_SWITCH };
	struct pci_chain chain;
	unsigned int i;
	char *iommu;

	for (i = 0; i < d->nr_paths && i < DRIVE_MAX_PATHS; i++) {
		enum turn turn;

		if (!d->paths[i].pci[0] ||
		    !pci_chain_read(o->check->root, d->paths[i].pci, &chain))
			continue;
		turn = route_turn(&chain, gpu);
		if (p.text && turn <= p.turn)
			continue;
		iommu = pci_iommu_mode(o->check->root, d->paths[i].pci);
		p.turn = turn;
		/* amdgpu asks the kernel for the route, whatever the IOMMU's mode. */
		p.text = check_prospect(rocm ? "" : iommu, turn);
		free(iommu);
	}
	return p;
}

/* Lists the drives that go direct, grouped by prospect. */
static char *tell_routes(const struct outlook *o, const struct pci_chain *gpu, bool rocm)
{
	struct prospect all[MAX_DISKS];
	char *text = strdup(""), *longer;
	unsigned int i, j;

	for (i = 0; i < o->nr_disks; i++)
		all[i] = o->disks[i].state == FACT_NO ? (struct prospect){ 0 } :
			 prospect_of(o, &o->disks[i].drive, gpu, rocm);
	for (i = 0; i < o->nr_disks; i++) {
		struct prospect p = all[i];
		bool first = true;

		for (j = i; p.text && j < o->nr_disks; j++) {
			if (all[j].text != p.text || all[j].turn != p.turn)
				continue;
			longer = text_format("%s%s%s", text_or_excuse(text), !first ? ", " :
					     text && *text ? "; " : "", o->disks[j].drive.disk);
			free(text);
			text = longer;
			first = false;
			all[j].text = NULL;
		}
		if (first)
			continue;
		longer = text_format("%s: %s (%s)", text_or_excuse(text), p.text,
				     route_turn_text(p.turn));
		free(text);
		text = longer;
	}
	return text;
}

static void tell_gpu(const struct outlook *o, const char *what, const struct gpu *g)
{
	struct pci_chain chain;
	char *routes;

	if (!g->dma_buf) {
		say(o->out, "dmabuf-rw: %s at %s: not direct: its driver exports no dma-bufs; "
		    "NVIDIA's open kernel modules do (modinfo -F license nvidia says 'Dual "
		    "MIT/GPL')", what, g->pci);
		return;
	}
	if (!g->pci[0] || !pci_chain_read(o->check->root, g->pci, &chain)) {
		say(o->out, "dmabuf-rw: %s at %s: not known: sysfs does not tell where it is", what,
		    g->pci[0] ? g->pci : "an unknown place");
		return;
	}
	routes = tell_routes(o, &chain, g->rocm);
	say(o->out, "dmabuf-rw: %s at %s: %s", what, g->pci,
	    routes && *routes ? routes : "no drive to go direct with");
	free(routes);
}

static void look_at_gpus(struct outlook *o, struct gpus_question *question)
{
	struct gpus cuda, rocm;
	unsigned int i;
	char what[96];

	gpus_finish(question, GPUS_MS, &cuda);
	for (i = 0; i < cuda.nr; i++) {
		snprintf(what, sizeof(what), "GPU %u, %s", i, cuda.gpus[i].name);
		tell_gpu(o, what, &cuda.gpus[i]);
	}
	gpus_of_rocm(o->check->root, &rocm);
	for (i = 0; i < rocm.nr; i++) {
		snprintf(what, sizeof(what), "GPU of ROCm, %s", rocm.gpus[i].name);
		tell_gpu(o, what, &rocm.gpus[i]);
	}
	if (!cuda.nr && !rocm.nr)
		say(o->out, "dmabuf-rw: no GPU: %s, and amdkfd, the kernel's ROCm driver, shows "
		    "none", cuda.why_none);
}

void outlook_tell(struct check *check, FILE *out, struct gpus_question *question)
{
	struct outlook *o = calloc(1, sizeof(*o));

	if (!o)
		return;
	o->out = out;
	o->check = check;
	check_machine(check);
	look_at_disks(o);
	look_at_directories(o);
	look_at_gpus(o, question);
	free(o);
}

void outlook_say(void)
{
	struct check check = { .root = "", .scratch = -1 };
	struct gpus_question question;
	struct report facts;		/* not printed */
	char *why = NULL;

	/* Ask first, as the answer takes time. */
	gpus_ask(&question);
	report_begin(&facts);
	facts.json = true;
	check.report = &facts;
	session_init(&check.session);
	facts_begin(&check.facts, &facts);
	if (pair_open_some_buffer(&check.session, &why))
		free(why);
	outlook_tell(&check, stderr, &question);
	session_close(&check.session);
	json_object_put(facts.root);
}
