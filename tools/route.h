/* SPDX-License-Identifier: MIT */
/*
 * route.h - where PCI devices are in the tree, and what lies between two of them.
 *
 * All facts are from sysfs. ACS and the kind of a port are in configuration space beyond the first
 * 64 bytes, which only CAP_SYS_ADMIN may read.
 *
 * Vocabulary
 *   chain	the bridges from a host bridge down to a device, and the device
 *   turn	where requests from one device to another turn round: the last bridge that the
 *		chains share, else the host bridge
 */
#ifndef TOOLS_ROUTE_H
#define TOOLS_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#define ROUTE_DEPTH	16
#define ROUTE_CHAINS	20	/* the most that are drawn */
#define ROUTE_PCI	24	/* "10000:00:00.0" and a NUL */

enum acs {
	ACS_UNKNOWN,		/* not readable by this user */
	ACS_NONE,		/* the bridge has no ACS */
	ACS_OFF,		/* requests to peers go directly */
	ACS_REDIRECTS,		/* requests to peers go up to the root complex */
};

enum port {
	PORT_UNKNOWN,
	PORT_ENDPOINT,
	PORT_ROOT,
	PORT_SWITCH,		/* upstream or downstream */
	PORT_BRIDGE,		/* another bridge, such as to PCI */
};

struct pci_node {
	char pci[ROUTE_PCI];
	enum port port;
	enum acs acs;
	char ids[16];		/* "8086:29c0" */
};

struct pci_chain {
	char host[24];		/* "pci0000:00" */
	unsigned int nr;
	struct pci_node nodes[ROUTE_DEPTH];	/* the last one is the device */
	char label[96];		/* the device's description, for the drawing */
};

struct pci_bar {
	uint64_t bytes;
	bool prefetchable;
	uint64_t largest;	/* largest size that it can be resized to; 0: unknown */
};

/* Where the requests turn, from the best to the worst. */
enum turn {
	TURN_SWITCH,		/* at a switch, before any IOMMU */
	TURN_REDIRECTED,	/* below a shared switch, ACS sends requests up */
	TURN_UNKNOWN,		/* below a shared switch, ACS unknown */
	TURN_ROOT_PORT,		/* both below one root port, without a switch */
	TURN_HOST,		/* at one host bridge */
	TURN_BETWEEN_HOSTS,	/* between two host bridges */
};

/* False: there is no such device. */
bool pci_chain_read(const char *root, const char *pci, struct pci_chain *chain);
enum turn route_turn(const struct pci_chain *a, const struct pci_chain *b);
/* A sentence about @turn. */
const char *route_turn_text(enum turn turn);
/* Draws the tree of up to ROUTE_CHAINS chains; calls @line for each line. */
void route_draw(const struct pci_chain *const *chains, unsigned int nr,
		void (*line)(void *arg, const char *text), void *arg);
/* False: not in sysfs. */
bool pci_bar_read(const char *root, const char *pci, unsigned int bar, struct pci_bar *out);

/* The window through which other devices reach a device's memory. */
struct pci_aperture {
	unsigned int index;	/* of the BAR */
	struct pci_bar bar;
	bool use_known;		/* only amdgpu reports it */
	uint64_t free;
};

/* The largest memory BAR; false: none, or not in sysfs. */
bool pci_aperture_read(const char *root, const char *pci, struct pci_aperture *out);
/* Allocated: "DMA", "DMA-FQ", "identity" or "none"; null: not in sysfs. */
char *pci_iommu_mode(const char *root, const char *pci);

#endif
