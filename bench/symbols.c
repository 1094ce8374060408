// SPDX-License-Identifier: GPL-2.0
/*
 * symbols.c - where the kernel's functions are, for those who read the plugin's counts.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define PER_RECORD	500

void report_symbols(void)
{
	char line[512], name[256], module[64], type;
	unsigned long long address;
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned int nr = 0;

	if (!f)
		die("/proc/kallsyms: %m");
	while (fgets(line, sizeof(line), f)) {
		strcpy(module, "kernel");
		if (sscanf(line, "%llx %c %255s [%63[^]]", &address, &type, name, module) < 3 ||
		    !strchr("tTwW", type) || !strncmp(name, "__pfx_", 6))
			continue;
		if (!address)
			die("/proc/kallsyms shows no addresses");
		printf("%s%llx %s %s", nr % PER_RECORD ? "," :
		       nr ? "\"}\n{\"record\": \"symbols\", \"list\": \"" :
		       "{\"record\": \"symbols\", \"list\": \"", address, name, module);
		nr++;
	}
	fclose(f);
	if (!nr)
		die("/proc/kallsyms names no function");
	printf("\"}\n");
}
