// SPDX-License-Identifier: MIT
/* run_account.c - see run_account.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "run_account.h"
#include "tool.h"

int run_account_open(struct run_account *a)
{
	/* No process may shrink the shared memory. */
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	a->fd = memfd_create(ACCOUNT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (a->fd < 0 || ftruncate(a->fd, sizeof(*a->account)) ||
	    fcntl(a->fd, F_ADD_SEALS, seals) || fstat(a->fd, &st))
		return -1;
	a->account = mmap(NULL, sizeof(*a->account), PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (a->account == MAP_FAILED) {
		a->account = NULL;
		return -1;
	}
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	a->account->run = getpid();
	a->account->magic = ACCOUNT_MAGIC;
	snprintf(a->path, sizeof(a->path), "/proc/%d/fd/%d", getpid(), a->fd);
	return 0;
}

void run_account_close(struct run_account *a)
{
	if (a->account)
		munmap(a->account, sizeof(*a->account));
	if (a->fd >= 0)
		close(a->fd);
}

/* False after exit or exec(2). True also if it cannot be determined. */
static bool has_mapped(const struct run_account *a, pid_t pid)
{
	unsigned int major_nr, minor_nr;
	unsigned long ino;
	bool found = false;
	char line[4096];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/maps", pid);
	f = fopen(line, "re");
	if (!f)
		return errno == EACCES || errno == EPERM;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %*s %*s %x:%x %lu", &major_nr, &minor_nr, &ino) == 3 &&
			makedev(major_nr, minor_nr) == a->dev && ino == a->ino;
	fclose(f);
	return found;
}

/* A process that counts again after exec(2) has several records; only the last may run. */
static bool may_run(const struct run_account *a, uint32_t i, uint32_t nr)
{
	const struct account_record *records = a->account->records;
	pid_t pid = records[i].pid;

	while (++i < nr)
		if (records[i].pid == pid)
			return false;
	return pid > 0 && has_mapped(a, pid);
}

static const char *end_of(struct run_account *a, uint32_t i, uint32_t nr)
{
	struct account_record *r = &a->account->records[i];
	uint32_t runs = RECORD_RUNS;

	if (atomic_load(&r->state) == RECORD_ENDED)
		return "";
	/* On success the process reports the record; otherwise it has just ended. */
	if (may_run(a, i, nr) && atomic_compare_exchange_strong(&r->state, &runs, RECORD_TOLD))
		return ", which still runs: counted so far";
	return atomic_load(&r->state) == RECORD_ENDED ? "" :
	       ", ended by a signal, _exit() or exec(): counted up to then";
}

static void tell_line(void *out, const char *text)
{
	say(out, "%s", text);
}

void run_account_tell(struct run_account *a, FILE *out)
{
	uint32_t used = atomic_exchange(&a->account->used, ACCOUNT_RECORDS), nr, i;

	nr = used < ACCOUNT_RECORDS ? used : ACCOUNT_RECORDS;
	for (i = 0; i < nr; i++) {
		uint32_t is_free = RECORD_FREE;

		/* Reserved, but never filled. */
		if (!atomic_compare_exchange_strong(&a->account->records[i].state, &is_free,
						    RECORD_TOLD))
			account_tell(&a->account->records[i], end_of(a, i, nr), tell_line, out);
	}
	if (used > nr)
		say(out, "dmabuf-rw: and %u more processes, which were not counted here, as there "
		    "is room for %u: they tell at their exit", used - nr, ACCOUNT_RECORDS);
	if (!used)
		say(out, "dmabuf-rw: no process of the program has told that it used cuFile");
}
