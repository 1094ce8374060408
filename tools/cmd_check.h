/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.h - one run of check, and its parts:
 *
 *   cmd_check.c	command line and order of the checks
 *   check_machine.c	module, kernel and rights, for every pair
 *   check_pair.c	a file, disk or directory with the buffer
 *   check_drive.c	the drive, and its route to the buffer
 *   check_canary.c	the canary's (canary.c) ranges, and what it has proven
 *
 * Only the canary opens files for writing and writes.
 */
#ifndef TOOLS_CMD_CHECK_H
#define TOOLS_CMD_CHECK_H

#include "canary.h"
#include "drive.h"
#include "facts.h"
#include "mounts.h"
#include "route.h"

struct check {
	const char *root;	/* for sysfs.h */
	struct report *report;
	struct facts facts;
	struct session session;	/* device, buffer and the current file */
	uint64_t bind_flags;

	/* of the canary */
	bool canary;		/* run it */
	int scratch;		/* its nameless file in a directory; -1: none yet */
	bool no_scratch;	/* none can be made; reported already */

	bool module;		/* usable */
	bool kernel_way;	/* the kernel has an interface of its own */

	/* of all names */
	bool no;		/* something will not go direct */
	bool unknown;		/* for something the answer is unknown */
};

/* check_machine.c */
void check_machine(struct check *c);

/* check_pair.c */
void check_name(struct check *c, const char *name);
/*
 * Checks a mounted file system without trying its files; @disk is the answer for its disk.
 */
void check_mounted(struct check *c, const struct mount *mount, enum fact_state disk);
/* Adds the answer for the current name, and remembers it. */
void check_answer(struct check *c, enum fact_state state, const char *remedy,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for a refusal of the library. */
void check_refused(struct check *c, const struct dmabuf_rw_error *error);

/* check_drive.c */
/* Reads the drive and adds its facts; false: there is none. */
bool check_drive(struct check *c, dev_t dev, struct drive *drive);
/*
 * Adds how the drive reaches the buffer. @bound: the session's info is valid. Otherwise @error says
 * why binding failed, or is null if it could not be tried; the places of both are still reported.
 * @drive may be null.
 */
void check_route(struct check *c, const struct drive *drive, bool bound,
		 const struct dmabuf_rw_error *error);

/*
 * Describes the prospect of memory and a drive without binding them, by the mode of the drive's
 * IOMMU, which may be null, and where requests turn round.
 */
const char *check_prospect(const char *iommu, enum turn turn);

/* check_canary.c */
/*
 * @range: of @name, if @ranged; a directory has none, as it gets a scratch file. @memory: of the
 * buffer. STATUS_OK: proven; else the exit status.
 */
int check_canary(struct check *c, const char *name, const struct canary_range *range,
		 const struct canary_range *memory);
/* Makes @c->scratch in @dir. STATUS_OK, or a status after the reason was reported. */
int check_scratch(struct check *c, const char *dir);
/* Whether the canary may run on @name. -1: yes; else the status of wrong usage. */
int check_canary_usage(struct report *report, const char *name, bool ranged);

#endif
