// SPDX-License-Identifier: MIT
/*
 * route.c - see route.h. The registers are those of the PCI Express Base Specification 6.0: type
 * 0 and 1 headers (7.5.1), PCI Express capability (7.5.3), ACS extended capability (7.7.11).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "route.h"
#include "size.h"
#include "sysfs.h"
#include "text.h"

#define CONFIG_BYTES	4096
#define CONFIG_OPEN	64	/* readable by everyone */
#define CONFIG_LEGACY	256	/* extended capabilities follow */

/* PCI_CLASS_BRIDGE_PCI of include/linux/pci_ids.h */
#define BRIDGE_CLASS	0x0604

/* With any of these, a bridge does not route requests from below directly to a peer. */
#define ACS_REDIRECT	(PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC)

/* include/linux/ioport.h */
#define RESOURCE_MEM		0x00000200
#define RESOURCE_PREFETCH	0x00002000

static unsigned int get16(const unsigned char *config, unsigned int at)
{
	return config[at] | config[at + 1] << 8;
}

static unsigned int get32(const unsigned char *config, unsigned int at)
{
	return get16(config, at) | (unsigned int)get16(config, at + 2) << 16;
}

/* Returns the bytes of configuration space that could be read. */
static size_t read_config(const char *root, const char *dir, unsigned char *config)
{
	char *path = text_format("%s/config", dir);
	FILE *f = path ? sysfs_open(root, path) : NULL;
	size_t n = 0;

	free(path);
	if (f) {
		n = fread(config, 1, CONFIG_BYTES, f);
		fclose(f);
	}
	return n;
}

static enum port express_port(unsigned int flags)
{
	switch ((flags & PCI_EXP_FLAGS_TYPE) >> 4) {
	case PCI_EXP_TYPE_ROOT_PORT:
		return PORT_ROOT;
	case PCI_EXP_TYPE_UPSTREAM:
	case PCI_EXP_TYPE_DOWNSTREAM:
		return PORT_SWITCH;
	case PCI_EXP_TYPE_ENDPOINT:
	case PCI_EXP_TYPE_LEG_END:
	case PCI_EXP_TYPE_RC_END:
		return PORT_ENDPOINT;
	default:
		return PORT_BRIDGE;
	}
}

static enum port port_of(const unsigned char *config, size_t len)
{
	unsigned int at, hops;

	if (len < CONFIG_LEGACY)
		return PORT_UNKNOWN;
	if (!(get16(config, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return PORT_BRIDGE;
	at = config[PCI_CAPABILITY_LIST] & ~3U;
	for (hops = 0; at >= CONFIG_OPEN && at <= CONFIG_LEGACY - 4 && hops < 48; hops++) {
		if (config[at] == PCI_CAP_ID_EXP)
			return express_port(get16(config, at + PCI_EXP_FLAGS));
		at = config[at + 1] & ~3U;
	}
	return PORT_BRIDGE;
}

static enum acs acs_of(const unsigned char *config, size_t len)
{
	unsigned int at = CONFIG_LEGACY, hops, head;

	if (len < CONFIG_LEGACY)
		return ACS_UNKNOWN;
	if (len < CONFIG_BYTES)
		return ACS_NONE;
	for (hops = 0; at >= CONFIG_LEGACY && at <= CONFIG_BYTES - 8 && hops < 480; hops++) {
		head = get32(config, at);
		if (!head || head == ~0U)
			break;
		if (PCI_EXT_CAP_ID(head) == PCI_EXT_CAP_ID_ACS)
			return get16(config, at + PCI_ACS_CTRL) & ACS_REDIRECT ? ACS_REDIRECTS :
										ACS_OFF;
		at = PCI_EXT_CAP_NEXT(head);
	}
	return ACS_NONE;
}

static void read_node(const char *root, const char *dir, const char *pci, struct pci_node *node)
{
	unsigned char config[CONFIG_BYTES];
	size_t len = read_config(root, dir, config);
	char text[32];

	memset(node, 0, sizeof(*node));
	snprintf(node->pci, sizeof(node->pci), "%s", pci);
	if (len >= 4)
		snprintf(node->ids, sizeof(node->ids), "%04x:%04x", get16(config, 0),
			 get16(config, 2));
	node->port = port_of(config, len);
	node->acs = acs_of(config, len);
	/* Everyone may read the class. */
	if (sysfs_copy(root, text, sizeof(text), "%s/class", dir) &&
	    strtoul(text, NULL, 16) >> 8 != BRIDGE_CLASS) {
		node->port = PORT_ENDPOINT;
		node->acs = ACS_NONE;
	}
}

static bool is_pci_address(const char *name)
{
	unsigned int domain, bus, device, function;
	int end = 0;

	return sscanf(name, "%x:%2x:%2x.%1u%n", &domain, &bus, &device, &function, &end) == 4 &&
	       !name[end];
}

bool pci_chain_read(const char *root, const char *pci, struct pci_chain *chain)
{
	char *path = sysfs_resolve(root, "/sys/bus/pci/devices/%s", pci), *at, *name, *end;

	memset(chain, 0, sizeof(*chain));
	if (!path)
		return false;
	/* /sys/devices/pci0000:00/0000:00:04.0/0000:01:00.0 */
	for (at = path; (at = strchr(at, '/')); at = end ? end : at + 1) {
		name = at + 1;
		end = strchr(name, '/');
		if (end)
			*end = 0;
		if (is_pci_address(name) && chain->nr < ROUTE_DEPTH)
			read_node(root, path, name, &chain->nodes[chain->nr++]);
		else if (!strncmp(name, "pci", 3) && !chain->nr)
			snprintf(chain->host, sizeof(chain->host), "%s", name);
		if (end)
			*end = '/';
	}
	free(path);
	return chain->nr;
}

/* The number of leading nodes that the chains share. */
static unsigned int shared(const struct pci_chain *a, const struct pci_chain *b)
{
	unsigned int i;

	for (i = 0; i < a->nr && i < b->nr; i++)
		if (strcmp(a->nodes[i].pci, b->nodes[i].pci))
			break;
	return i;
}

/* The worst ACS state of the bridges below the first @from nodes. */
static enum acs acs_below(const struct pci_chain *chain, unsigned int from)
{
	enum acs worst = ACS_NONE;
	unsigned int i;

	for (i = from; i + 1 < chain->nr; i++) {
		if (chain->nodes[i].acs == ACS_REDIRECTS)
			return ACS_REDIRECTS;
		if (chain->nodes[i].acs == ACS_UNKNOWN)
			worst = ACS_UNKNOWN;
	}
	return worst;
}

enum turn route_turn(const struct pci_chain *a, const struct pci_chain *b)
{
	unsigned int same = shared(a, b);
	enum acs acs_a, acs_b;

	if (strcmp(a->host, b->host))
		return TURN_BETWEEN_HOSTS;
	/* The same function, or functions of one device: no bridge lies between. */
	if (same == a->nr || same == b->nr)
		same = same ? same - 1 : 0;
	if (!same)
		return TURN_HOST;
	if (a->nodes[same - 1].port == PORT_ROOT ||
	    (a->nodes[same - 1].port == PORT_UNKNOWN && same == 1))
		return TURN_ROOT_PORT;
	acs_a = acs_below(a, same);
	acs_b = acs_below(b, same);
	if (acs_a == ACS_REDIRECTS || acs_b == ACS_REDIRECTS)
		return TURN_REDIRECTED;
	return acs_a == ACS_UNKNOWN || acs_b == ACS_UNKNOWN ? TURN_UNKNOWN : TURN_SWITCH;
}

const char *route_turn_text(enum turn turn)
{
	static const char *const texts[] = {
		[TURN_SWITCH] = "both are below one PCIe switch, and no bridge sends requests "
				"between them upwards (ACS)",
		[TURN_REDIRECTED] = "both are below one PCIe switch, but a bridge sends requests "
				    "between them up to the host bridge (ACS)",
		[TURN_UNKNOWN] = "both are below one PCIe switch; whether a bridge sends requests "
				 "between them upwards (ACS) only root may see",
		[TURN_ROOT_PORT] = "both are below one root port",
		[TURN_HOST] = "they meet at the host bridge",
		[TURN_BETWEEN_HOSTS] = "they are below different host bridges",
	};

	return texts[turn];
}

/* ---- drawing ------------------------------------------------------------------------- */

struct drawing {
	void (*line)(void *arg, const char *text);
	void *arg;
};

static const char *port_text(const struct pci_node *node, unsigned int depth)
{
	switch (node->port) {
	case PORT_ROOT:
		return "root port";
	case PORT_SWITCH:
		return "switch port";
	case PORT_BRIDGE:
		return "bridge";
	default:
		return depth ? "bridge, probably of a switch" : "bridge, probably a root port";
	}
}

static const char *acs_text(enum acs acs)
{
	static const char *const texts[] = {
		[ACS_UNKNOWN] = "ACS: only root may see",
		[ACS_NONE] = "no ACS",
		[ACS_OFF] = "ACS off",
		[ACS_REDIRECTS] = "ACS redirects to the host bridge",
	};

	return texts[acs];
}

static void draw_node(const struct drawing *d, const struct pci_chain *chain, unsigned int depth,
		      const char *indent, bool last)
{
	const struct pci_node *node = &chain->nodes[depth];
	char *text;

	if (depth + 1 == chain->nr)
		text = text_format("%s%s %s  %s", indent, last ? "`-" : "+-", node->pci,
				   chain->label);
	else
		text = text_format("%s%s %s  %s [%s], %s", indent, last ? "`-" : "+-", node->pci,
				   port_text(node, depth), node->ids, acs_text(node->acs));
	d->line(d->arg, text_or_excuse(text));
	free(text);
}

static bool same_node(const struct pci_chain *a, const struct pci_chain *b, unsigned int depth)
{
	return a->nr > depth && b->nr > depth && !strcmp(a->nodes[depth].pci, b->nodes[depth].pci);
}

/* Draws @chains below @depth, down to which they are the same. */
static void draw_level(const struct drawing *d, const struct pci_chain *const *chains,
		       unsigned int nr, unsigned int depth, const char *indent)
{
	const struct pci_chain *group[ROUTE_CHAINS], *left[ROUTE_CHAINS];
	unsigned int nr_left = 0, n, i, kept;
	char *deeper;

	for (i = 0; i < nr; i++)
		if (chains[i]->nr > depth)
			left[nr_left++] = chains[i];
	while (nr_left) {
		for (i = n = kept = 0; i < nr_left; i++) {
			/* Several chains may end at one device: each gets a line. */
			if (i && (!same_node(left[0], left[i], depth) ||
				  left[i]->nr == depth + 1 || left[0]->nr == depth + 1))
				left[kept++ + 1] = left[i];
			else
				group[n++] = left[i];
		}
		draw_node(d, group[0], depth, indent, !kept);
		deeper = text_format("%s%s", indent, kept ? "|  " : "   ");
		draw_level(d, group, n, depth + 1, text_or_excuse(deeper));
		free(deeper);
		memmove(left, left + 1, kept * sizeof(left[0]));
		nr_left = kept;
	}
}

void route_draw(const struct pci_chain *const *chains, unsigned int nr,
		void (*line)(void *arg, const char *text), void *arg)
{
	const struct drawing d = { line, arg };
	const struct pci_chain *below[ROUTE_CHAINS];
	unsigned int i, j, n;
	char *text;

	if (nr > ROUTE_CHAINS)
		nr = ROUTE_CHAINS;
	for (i = 0; i < nr; i++) {
		for (j = 0; j < i && strcmp(chains[j]->host, chains[i]->host); j++)
			;
		if (j < i)
			continue;	/* already drawn */
		for (j = i, n = 0; j < nr; j++)
			if (!strcmp(chains[j]->host, chains[i]->host))
				below[n++] = chains[j];
		text = text_format("%s  host bridge", chains[i]->host);
		line(arg, text_or_excuse(text));
		free(text);
		draw_level(&d, below, n, 0, "");
	}
}

/* ---- BARs and IOMMU -------------------------------------------------------------------- */

bool pci_bar_read(const char *root, const char *pci, unsigned int bar, struct pci_bar *out)
{
	char *path = text_format("/sys/bus/pci/devices/%s/resource", pci), line[128], text[32];
	FILE *f = path ? sysfs_open(root, path) : NULL;
	unsigned long long start, end, flags, sizes;
	bool found = false;
	unsigned int i;

	free(path);
	memset(out, 0, sizeof(*out));
	for (i = 0; f && i <= bar && fgets(line, sizeof(line), f); i++) {
		if (i < bar || sscanf(line, "%llx %llx %llx", &start, &end, &flags) != 3)
			continue;
		found = flags & RESOURCE_MEM && end > start;
		out->bytes = found ? end - start + 1 : 0;
		out->prefetchable = flags & RESOURCE_PREFETCH;
	}
	if (f)
		fclose(f);
	/* Bit n: 2^n MiB. Usually readable only by root. */
	if (found && sysfs_copy(root, text, sizeof(text),
				"/sys/bus/pci/devices/%s/resource%u_resize", pci, bar)) {
		sizes = strtoull(text, NULL, 16);
		if (sizes)
			out->largest = 1ULL << (63 - __builtin_clzll(sizes) + 20) % 64;
	}
	return found;
}

char *pci_iommu_mode(const char *root, const char *pci)
{
	if (!sysfs_exists(root, "/sys/bus/pci/devices/%s", pci))
		return NULL;
	if (!sysfs_exists(root, "/sys/bus/pci/devices/%s/iommu_group", pci))
		return strdup("none");
	return sysfs_read(root, "/sys/bus/pci/devices/%s/iommu_group/type", pci);
}

bool pci_aperture_read(const char *root, const char *pci, struct pci_aperture *out)
{
	uint64_t total, used;
	struct pci_bar bar;
	unsigned int i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < 6; i++) {
		if (!pci_bar_read(root, pci, i, &bar) || bar.bytes <= out->bar.bytes)
			continue;
		out->index = i;
		out->bar = bar;
	}
	out->use_known = sysfs_number(root, &total,
				      "/sys/bus/pci/devices/%s/mem_info_vis_vram_total", pci) &&
			 sysfs_number(root, &used,
				      "/sys/bus/pci/devices/%s/mem_info_vis_vram_used", pci) &&
			 used <= total;
	if (out->use_known)
		out->free = total - used;
	return out->bar.bytes;
}
