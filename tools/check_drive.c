// SPDX-License-Identifier: MIT
/* check_drive.c - the drive, and how it reaches the buffer. See cmd_check.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buffer_kind.h"
#include "cmd_check.h"
#include "route.h"
#include "sysfs.h"

static void add_reason(struct facts *f, const char *name, int err, uint32_t reason)
{
	const struct dmabuf_rw_error error = {
		.call = DMABUF_RW_CALL_BIND, .err = err, .reason = reason,
	};

	fact(f, name, FACT_NO, dmabuf_rw_error_remedy(&error), "%s",
	     dmabuf_rw_error_cause(&error));
}

/* ---- the drive -------------------------------------------------------------------------- */

static void check_path(struct check *c, const struct drive *d, const struct drive_path *p)
{
	bool live = !strcmp(p->state, "live");
	bool optimized = !p->ana[0] || !strcmp(p->ana, "optimized");
	char *iommu;

	fact(&c->facts, "path", live && p->pci[0] ? optimized ? FACT_OK : FACT_NOTE :
	     d->multipath ? FACT_NOTE : FACT_NO,
	     live && p->pci[0] ? NULL : !p->pci[0] ? "use a drive on PCI" :
	     "nvme list-subsys shows the paths and their states; bring it back",
	     "%s, %s%s%s%s%s", p->ctrl, p->pci[0] ? p->pci : p->transport[0] ? p->transport :
	     "not on PCI", p->state[0] ? ", " : "", p->state, p->ana[0] ? ", " : "", p->ana);
	if (!p->pci[0])
		return;
	iommu = pci_iommu_mode(c->root, p->pci);
	if (!iommu)
		fact(&c->facts, "IOMMU", FACT_UNKNOWN, NULL, "sysfs does not tell its mode for %s",
		     p->pci);
	else
		fact(&c->facts, "IOMMU", FACT_INFO, NULL, "%s: %s", p->pci,
		     !strcmp(iommu, "none") ? "none, addresses are physical" :
		     !strcmp(iommu, "identity") ? "passes addresses through (identity)" :
		     !strncmp(iommu, "DMA", 3) ? "translates addresses" : iommu);
	free(iommu);
}

static void check_format(struct check *c, const struct drive *d)
{
	struct json_object *o;

	if (d->metadata) {
		add_reason(&c->facts, "format", EMEDIUMTYPE, DMABUF_RW_REASON_METADATA);
		return;
	}
	if (d->zoned) {
		add_reason(&c->facts, "format", EMEDIUMTYPE, DMABUF_RW_REASON_ZONED);
		return;
	}
	o = fact(&c->facts, "format", d->metadata_known ? FACT_OK : FACT_UNKNOWN,
		 d->metadata_known ? NULL : "use Linux 6.8 or later, which tells",
		 "LBAs of %u bytes, %s%s", d->lba, d->metadata_known ? "no metadata" :
		 "whether they have metadata is not known",
		 d->write_cache ? ", volatile write cache" : "");
	json_put_u64(o, "lba_bytes", d->lba);
	json_put_bool(o, "write_cache", d->write_cache);
}

static void check_nvme(struct check *c, const struct drive *d)
{
	struct json_object *o;
	char size[24];
	unsigned int i;

	o = fact(&c->facts, "drive", FACT_OK, NULL, "%s%s%s, firmware %s, %u %s", d->disk,
		 d->model[0] ? ": " : "", d->model, d->firmware[0] ? d->firmware : "not known",
		 d->nr_paths, d->nr_paths == 1 ? "path" : "paths");
	json_put_string(o, "disk", d->disk);
	json_put_string(o, "model", d->model);
	json_put_u64(o, "paths", d->nr_paths);
	json_put_bool(o, "multipath", d->multipath);
	for (i = 0; i < d->nr_paths && i < DRIVE_MAX_PATHS; i++)
		check_path(c, d, &d->paths[i]);
	check_format(c, d);
	if (d->max_command) {
		o = fact(&c->facts, "commands", FACT_INFO, NULL, "at most %s each, by the drive "
			 "(MDTS) and its driver", size_format(d->max_command, size, sizeof(size)));
		json_put_u64(o, "max_bytes", d->max_command);
	}
	if (!d->poll_known)
		fact(&c->facts, "poll queues", FACT_UNKNOWN, NULL, "sysfs does not tell");
	else
		fact(&c->facts, "poll queues", d->poll ? FACT_OK : FACT_NOTE, d->poll ? NULL :
		     "for transfers without interrupts boot with nvme.poll_queues=N", "%s",
		     d->poll ? "yes" : "none, so every transfer ends by an interrupt");
	if (d->partition && d->start % 4096 && !c->module)
		fact(&c->facts, "partition", FACT_NO, "load the dmabuf_rw module (modprobe "
		     "dmabuf_rw)", "%s begins at byte %llu, which is no multiple of 4096: the "
		     "kernel's own interface does not take it", d->name,
		     (unsigned long long)d->start);
}

bool check_drive(struct check *c, dev_t dev, struct drive *d)
{
	static const struct dmabuf_rw_error stacked = {
		.call = DMABUF_RW_CALL_BIND, .err = ENOTBLK, .reason = DMABUF_RW_REASON_STACKED,
	}, other = {
		.call = DMABUF_RW_CALL_BIND, .err = ENOTBLK, .reason = DMABUF_RW_REASON_NOT_NVME,
	};

	if (!drive_read(c->root, dev, d)) {
		fact(&c->facts, "drive", FACT_UNKNOWN, NULL,
		     "the kernel tells of no block device behind it");
		return false;
	}
	switch (d->kind) {
	case DRIVE_NVME:
		check_nvme(c, d);
		break;
	case DRIVE_STACKED:
		fact(&c->facts, "drive", FACT_NO, dmabuf_rw_error_remedy(&stacked),
		     "%s is a device-mapper, md or loop device%s%s", d->disk,
		     d->below[0] ? " on " : "", d->below);
		break;
	case DRIVE_OTHER:
		fact(&c->facts, "drive", FACT_NO, dmabuf_rw_error_remedy(&other), "%s is no NVMe "
		     "disk, so its driver takes no addresses from outside", d->disk);
		break;
	}
	return true;
}

/* ---- the route --------------------------------------------------------------------------- */

/* The buffer's device and BAR; false: none, or unknown. */
static bool find_bar(const struct check *c, bool bound, char *pci, size_t len, unsigned int *bar)
{
	const struct buffer_spec *spec = &c->session.buffer.spec;
	const struct dmabuf_rw_info *info = &c->session.info;

	if (bound && info->mem_class == DMABUF_RW_CLASS_BAR) {
		dmabuf_rw_pci_name(info->bar_domain, info->bar_pci, pci, len);
		*bar = info->bar;
		return true;
	}
	if (spec->kind != &buffer_vfio)
		return false;
	snprintf(pci, len, "%s", spec->name);
	*bar = spec->bar;
	return true;
}

/* Names the authority that permits the route. */
static const char *decider(const struct check *c, enum turn turn)
{
	const struct dmabuf_rw_info *info = &c->session.info;

	if (info->flags & DMABUF_RW_INFO_KERNEL)
		return "the exporter decided, whose addresses the kernel's own interface takes as "
		       "they are";
	if (info->mem_class == DMABUF_RW_CLASS_RAM)
		return "nobody had to: every drive reaches RAM";
	if (info->mem_class != DMABUF_RW_CLASS_BAR)
		return c->bind_flags & DMABUF_RW_BIND_TRUST_ADDRESSES ?
		       "the caller decided, by --trust-addresses" : "the exporter decided";
	switch (info->iommu) {
	case DMABUF_RW_IOMMU_TRANSLATED:
		return "the exporter and the IOMMU decided: it is mapped for the drive";
	case DMABUF_RW_IOMMU_P2P_BUS:
		return "the module decided: below a switch no IOMMU is asked";
	default:
		if (turn == TURN_SWITCH || turn == TURN_ROOT_PORT)
			return "the kernel decided (p2pdma): requests turn round below the host "
			       "bridge";
		return c->bind_flags & DMABUF_RW_BIND_TRUST_ADDRESSES ?
		       "the kernel's list of host bridges (p2pdma) or the caller decided" :
		       "the kernel decided: the host bridge is on its list (p2pdma)";
	}
}

const char *check_prospect(const char *iommu, enum turn turn)
{
	if (turn == TURN_SWITCH || turn == TURN_ROOT_PORT)
		return "direct";
	if (!iommu)
		return "whether direct is not known, as sysfs does not tell of the IOMMU";
	if (!strncmp(iommu, "DMA", 3))
		return "direct if its driver maps it for the drive, as the IOMMU translates";
	return "direct if the host bridge is on the kernel's list (p2pdma)";
}

static const char *who_refused(const struct dmabuf_rw_error *error)
{
	switch (error->reason) {
	case DMABUF_RW_REASON_ATTACH:
	case DMABUF_RW_REASON_MAP:
	case DMABUF_RW_REASON_BAD_MAPPING:
		return "the exporter decided";
	case DMABUF_RW_REASON_NO_ROUTE:
		return "the kernel decided: the host bridge is not on its list (p2pdma)";
	case DMABUF_RW_REASON_NOT_TRANSLATED:
	case DMABUF_RW_REASON_SWIOTLB:
	case DMABUF_RW_REASON_UNKNOWN_ADDRESS:
	case DMABUF_RW_REASON_NOT_DEVICE_MEMORY:
		return "the module decided, by the addresses that the exporter gave";
	default:
		return NULL;
	}
}

struct tree {
	struct facts *facts;
	struct json_object *lines;
};

static void add_line(void *arg, const char *text)
{
	struct tree *tree = arg;

	json_object_array_add(tree->lines, json_object_new_string(text));
	fact_line(tree->facts, text);
}

/* Reads the chains of the drive's paths and, if it has one, of the buffer. Returns their number. */
static unsigned int read_chains(const struct check *c, const struct drive *d,
				struct pci_chain *chains)
{
	unsigned int i, nr = 0;

	for (i = 0; d && i < d->nr_paths && i < DRIVE_MAX_PATHS; i++) {
		if (!d->paths[i].pci[0] ||
		    !pci_chain_read(c->root, d->paths[i].pci, &chains[nr]))
			continue;
		snprintf(chains[nr].label, sizeof(chains[nr].label), "the drive (%s)",
			 d->paths[i].ctrl);
		nr++;
	}
	return nr;
}

static void check_acs(struct check *c, const struct pci_chain *chains, unsigned int nr)
{
	unsigned int i, j, unknown = 0;

	for (i = 0; i < nr; i++)
		for (j = 0; j + 1 < chains[i].nr; j++)
			unknown += chains[i].nodes[j].acs == ACS_UNKNOWN;
	if (unknown)
		fact(&c->facts, "ACS", FACT_UNKNOWN, "run as root",
		     "whether bridges send requests between devices upwards is in registers that "
		     "this user may not read");
}

static void check_aperture(struct check *c, const char *pci, unsigned int nr)
{
	const struct buffer *buffer = &c->session.buffer;
	bool vfio = buffer->spec.kind == &buffer_vfio;
	char whole[24], part[24], most[24];
	struct pci_bar bar;
	struct json_object *o;

	if (buffer->fd < 0)
		return;
	if (!pci_bar_read(c->root, pci, nr, &bar)) {
		fact(&c->facts, "aperture", FACT_UNKNOWN, NULL, "sysfs does not tell the size of "
		     "BAR %u of %s", nr, pci);
		return;
	}
	size_format(bar.bytes, whole, sizeof(whole));
	size_format(buffer->size, part, sizeof(part));
	if (bar.largest > bar.bytes)
		o = fact(&c->facts, "aperture", FACT_NOTE, "enable Resizable BAR (above 4G "
			 "decoding) in the firmware, to reach more at a time", "BAR %u of %s has "
			 "%s and could have %s; the buffer has %s", nr, pci, whole,
			 size_format(bar.largest, most, sizeof(most)), part);
	else
		o = fact(&c->facts, "aperture", FACT_OK, NULL, "BAR %u of %s has %s%s, %s %s", nr,
			 pci, whole, bar.prefetchable ? ", prefetchable" : "",
			 vfio && buffer->size == bar.bytes ? "all of which is" : "the buffer has",
			 vfio && buffer->size == bar.bytes ? "the buffer" : part);
	json_put_u64(o, "bytes", bar.bytes);
}

/* Adds the fact; returns its object, for the tree. */
static struct json_object *add_route(struct check *c, bool bound,
				     const struct dmabuf_rw_error *error,
				     const char *turn_text, enum turn turn)
{
	const char *who = bound ? decider(c, turn) : error ? who_refused(error) : NULL;
	struct json_object *o;
	char *text;

	if (!who)
		return fact(&c->facts, "route", FACT_UNKNOWN, NULL, "not asked for, as "
			    "nothing was bound%s%s", turn_text ? "; " : "",
			    turn_text ? turn_text : "");
	if (bound) {
		text = text_of_info(&c->session.info);
		o = fact(&c->facts, "route", FACT_OK, NULL, "%s%s%s; %s", text_or_excuse(text),
			 turn_text ? "; " : "", turn_text ? turn_text : "", who);
		free(text);
	} else {
		o = fact(&c->facts, "route", FACT_NO, dmabuf_rw_error_remedy(error), "none%s%s; %s",
			 turn_text ? ": " : "", turn_text ? turn_text : "", who);
	}
	json_put_string(o, "decided_by", who);
	return o;
}

void check_route(struct check *c, const struct drive *d, bool bound,
		 const struct dmabuf_rw_error *error)
{
	static struct pci_chain chains[DRIVE_MAX_PATHS + 1];
	const struct pci_chain *all[DRIVE_MAX_PATHS + 1];
	struct tree tree = { .facts = &c->facts, .lines = json_object_new_array() };
	unsigned int nr = read_chains(c, d, chains), bar = 0, i;
	enum turn turn = TURN_HOST;
	const char *turn_text = NULL;
	char pci[BUFFER_NAME];
	bool has_bar = find_bar(c, bound, pci, sizeof(pci), &bar);
	struct json_object *o;

	if (has_bar && pci_chain_read(c->root, pci, &chains[nr])) {
		snprintf(chains[nr].label, sizeof(chains[nr].label), "the buffer (BAR %u)", bar);
		/* The worst of several paths counts. */
		for (i = 0; i < nr; i++)
			if (!i || route_turn(&chains[i], &chains[nr]) > turn)
				turn = route_turn(&chains[i], &chains[nr]);
		turn_text = nr ? route_turn_text(turn) : NULL;
		nr++;
	}
	if (!nr && !bound && !(error && who_refused(error))) {
		json_object_put(tree.lines);
		return;
	}
	o = add_route(c, bound, error, turn_text, turn);
	for (i = 0; i < nr; i++)
		all[i] = &chains[i];
	route_draw(all, nr, add_line, &tree);
	json_object_object_add(o, "tree", tree.lines);
	if (has_bar) {
		check_acs(c, chains, nr);
		check_aperture(c, pci, bar);
	}
}
