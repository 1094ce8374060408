/* SPDX-License-Identifier: MIT */
/*
 * module.h - the release of the module that is loaded, beside this command's. After an upgrade the
 * old one goes on until it is unloaded.
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
