/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * controller.h - an NVMe controller's view of a command's data pointer.
 *
 * It is given the 16 bytes of the data pointer and memory on the bus, walks what is there
 * by the rules of the NVM Express Base Specification 2.0, sections 4.1.1 (PRP) and 4.1.2
 * (SGL), with CC.MPS = 4 KiB, and says for each byte of the transfer its bus address. It
 * shares no code and no type with what is tested, and is stricter than controllers are:
 * all that the specification lets a controller not check is checked, and what it leaves
 * unused must be zero.
 */
#ifndef CONTROLLER_H
#define CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct ctl_region - memory on the bus that a controller may read
 * @bus: its bus address
 * @virt: its contents
 * @fetched: one byte for each of its bytes; set to 1 when the controller reads it
 * @len: its length
 */
struct ctl_region {
	uint64_t bus;
	const uint8_t *virt;
	uint8_t *fetched;
	uint32_t len;
};

/**
 * struct ctl - one controller, while it walks one command
 * @regions: memory that it may read
 * @nr_regions: how many
 * @sgl_dwords: it takes SGLs in whole dwords only
 * @got: out: bus address of each byte of the transfer, in its order
 * @bytes: length of the transfer
 * @done: out: bytes walked
 * @entries: out: PRP entries used, PRP1 included and links not, or SGL data blocks
 * @why: out: what is wrong with the command
 */
struct ctl {
	const struct ctl_region *regions;
	unsigned int nr_regions;
	bool sgl_dwords;
	uint64_t *got;
	uint32_t bytes;
	uint32_t done;
	uint32_t entries;
	char why[120];
};

/* Return: true if the command is sound; else why is set. */
bool ctl_walk_prp(struct ctl *c, const void *dptr);
bool ctl_walk_sgl(struct ctl *c, const void *dptr);

#endif
