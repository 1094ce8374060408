/* SPDX-License-Identifier: MIT */
/*
 * module.h - compares the releases of the loaded module and of this command. After an upgrade the
 * old module stays loaded until it is unloaded.
 */
#ifndef TOOLS_MODULE_H
#define TOOLS_MODULE_H

struct module_release {
	char name[32];		/* "0.2.0"; "": unknown */
	const char *relation;	/* "older than this command"; null: neither older nor newer */
	const char *remedy;	/* null if @relation is */
};

/* @root: see sysfs.h. */
void module_release_read(const char *root, struct module_release *release);

#endif
