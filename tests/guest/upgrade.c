// SPDX-License-Identifier: GPL-2.0
/*
 * upgrade.c - the module's package is upgraded and removed while a binding has transfers in flight.
 *
 * The package's own scripts run, with what this machine lacks in its place: for DKMS, a script that
 * puts modules that are compiled already where DKMS puts its own. The old module is the new one
 * with another release and another sum over its source in it. What asks to load or to unload a
 * module is written down.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "drw.h"
#include "tool.h"

#define NEW_MODULE	"/usr/lib/dmabuf-rw/dmabuf_rw.ko"
#define OLD_MODULE	"/tmp/old.ko"
#define OLD_RELEASE	"0.0.1"
#define RELEASE		"/sys/module/dmabuf_rw/version"
#define MODULES		"/lib/modules/$(uname -r)"
#define INSTALLED	MODULES "/updates/dkms/dmabuf_rw.ko"
#define ASKED		"/tmp/asked"
#define RELOAD		"modprobe -r dmabuf_rw && modprobe dmabuf_rw"

#define LANES		3
#define LANE_BYTES	(256 * KiB)
#define AT		(32 * MiB)

/* What a program that has something bound tells of itself, in memory that it shares. */
struct progress {
	bool stop;
	u64 done;		/* transfers, of all lanes */
};

static struct disk disk;
static struct buf buf;
static struct progress *progress;
static int binding;

/* ---- a program that goes on -------------------------------------------------------------- */

static void *transfer(void *arg)
{
	const u64 off = (uintptr_t)arg * LANE_BYTES;

	while (!__atomic_load_n(&progress->stop, __ATOMIC_SEQ_CST)) {
		buf_fill(&buf, off, LANE_BYTES, 99, 0);
		CHECK_EQ(drw_read(binding, AT + off, off, LANE_BYTES), LANE_BYTES);
		buf_check(&buf, off, LANE_BYTES, 7, off);
		CHECK_EQ(drw_write(binding, AT + off, off, LANE_BYTES), LANE_BYTES);
		__atomic_add_fetch(&progress->done, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static pid_t start_program(void)
{
	pthread_t lanes[LANES];
	pid_t pid;

	disk_open(&disk, "priv512");
	buf_create(&buf, &exporter_mock_scattered, LANES * LANE_BYTES);
	disk_fill(&disk, AT, LANES * LANE_BYTES, 7, 0);
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(progress != MAP_FAILED);
	pid = SYS(fork());
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	binding = OK(drw_bind(buf.fd, disk.fd));
	for (uintptr_t i = 0; i < LANES; i++)
		CHECK(!pthread_create(&lanes[i], NULL, transfer, (void *)i));
	for (int i = 0; i < LANES; i++)
		pthread_join(lanes[i], NULL);
	_exit(0);
}

/* Transfers that begin after this moment end well: those in flight and two more of a lane. */
static void goes_on(pid_t pid)
{
	u64 enough = __atomic_load_n(&progress->done, __ATOMIC_SEQ_CST) + 2 * LANES + 1;
	int status;

	while (__atomic_load_n(&progress->done, __ATOMIC_SEQ_CST) < enough) {
		CHECK_EQ(SYS(waitpid(pid, &status, WNOHANG)), 0);
		usleep(5000);
	}
}

static void end_program(pid_t pid)
{
	int status;

	goes_on(pid);
	__atomic_store_n(&progress->stop, true, __ATOMIC_SEQ_CST);
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	mock_wait_clean(&buf);
}

/* ---- modules and packages ----------------------------------------------------------------- */

static void put(char *module, size_t size, const char *key, const char *value)
{
	const size_t len = strlen(key);
	char *at = module;

	/* Each string of .modinfo follows the end of another. */
	do {
		at = memmem(at + 1, module + size - at - 1, key, len);
		CHECK(at, "the module has no %s", key);
	} while (at[-1]);
	CHECK(strlen(at + len) >= strlen(value));
	memset(at + len, '0', strlen(at + len));
	memcpy(at + len, value, strlen(value));
}

static void make_old_module(void)
{
	static char module[32 * MiB];
	int fd = SYS(open(NEW_MODULE, O_RDONLY | O_CLOEXEC));
	size_t size = SYS(read(fd, module, sizeof(module)));

	CHECK(size < sizeof(module));
	close(fd);
	put(module, size, "version=", OLD_RELEASE);
	put(module, size, "srcversion=", "01D");
	fd = SYS(open(OLD_MODULE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	CHECK_EQ(SYS(write(fd, module, size)), size);
	close(fd);
}

static void write_script(const char *path, const char *text)
{
	int fd = SYS(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700));

	CHECK_EQ(SYS(write(fd, text, strlen(text))), strlen(text));
	close(fd);
}

/*
 * The scripts as the package has them, and what they find: /tmp/upgrade/dkms, as DKMS for packages,
 * and /tmp/watch. Busybox's shell runs its own modprobe whatever PATH says, but not in place of a
 * function.
 */
static void prepare_scripts(void)
{
	SYS(system("mkdir -p /tmp/upgrade; rm -f " ASKED));
	write_script("/tmp/watch",
		     "modprobe() { echo \"modprobe $*\" >>" ASKED "; command modprobe \"$@\"; }\n"
		     "insmod() { echo \"insmod $*\" >>" ASKED "; command insmod \"$@\"; }\n"
		     "rmmod() { echo \"rmmod $*\" >>" ASKED "; command rmmod \"$@\"; }\n");
	write_script("/tmp/upgrade/dkms", "#!/bin/sh\nset -e\ncase $1 in\n"
		     "remove) rm " INSTALLED " ;;\n"
		     "install) mkdir -p " MODULES "/updates/dkms\n"
		     "cp " NEW_MODULE " " INSTALLED " ;;\n"
		     "esac\ndepmod\n");
	write_script("/tmp/prerm-steps", "dkms remove -m dmabuf-rw --all\n");
	write_script("/tmp/postinst-steps",
		     "[ \"$1\" != configure ] || dkms install -m dmabuf-rw\n");
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "postinst" : "prerm";

		CHECK_EQ(sh("sed -e '/^#LOADED#/r /usr/lib/dmabuf-rw/loaded.sh' "
			    "-e '/^#DEBHELPER#/r /tmp/%s-steps' "
			    "/usr/lib/dmabuf-rw/dmabuf-rw-dkms.%s >/tmp/%s", name, name, name), 0);
	}
}

#define SCRIPT(name, words)							\
	RUNS(0, "PATH=/tmp/upgrade:$PATH sh -e -c '. /tmp/watch; . /tmp/" name "' " name " " words)

static void says(const char *text)
{
	CHECK(strstr(out, text), "nothing of '%s' in '%s'", text, out);
}

static void does_not_say(const char *text)
{
	CHECK(!strstr(out, text), "'%s' in '%s'", text, out);
}

static void release_is(const char *want)
{
	CHECK(!strcmp(slurp(RELEASE), want), "'%s' is loaded, not '%s'", slurp(RELEASE), want);
}

static void nobody_asked(void)
{
	CHECK(access(ASKED, F_OK), "asked: %s", slurp(ASKED));
}

/* References of a program that has ended go a moment later. */
static void becomes_possible(const char *command)
{
	int tries = 0;

	while (run("%s", command)) {
		CHECK(tries++ < 100, "%s: %s", command, err);
		usleep(50000);
	}
}

static void save_modules(void)
{
	if (access(NEW_MODULE, F_OK))
		skip("the module is not at " NEW_MODULE);
	CHECK_EQ(sh("mkdir -p /tmp/saved && cp " MODULES "/modules.* /tmp/saved/"), 0);
	prepare_scripts();
}

static void restore_modules(void)
{
	CHECK_EQ(sh("rm -rf " MODULES "/updates " MODULES "/modules.* && "
		    "cp /tmp/saved/modules.* " MODULES "/"), 0);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void upgrade(const void *arg)
{
	char release[32];
	pid_t pid;

	snprintf(release, sizeof(release), "%s", slurp(RELEASE));
	save_modules();
	make_old_module();
	becomes_possible("rmmod dmabuf_rw");
	RUNS(0, "insmod " OLD_MODULE);
	RUNS(0, "/tmp/upgrade/dkms install && cp " OLD_MODULE " " INSTALLED);
	release_is(OLD_RELEASE);
	pid = start_program();
	goes_on(pid);

	SCRIPT("prerm", "upgrade 0.2.0-1");
	CHECK_EQ(sh("[ ! -e " INSTALLED " ]"), 0);
	does_not_say("dmabuf_rw");
	goes_on(pid);
	SCRIPT("postinst", "configure 0.0.1-1");
	says("is loaded (release " OLD_RELEASE ") goes on, and programs with it");
	says("'" RELOAD "', once no program uses it (in use ");
	nobody_asked();
	release_is(OLD_RELEASE);
	goes_on(pid);

	/* What it says does nothing yet; nor does another module come in beside the old one. */
	CHECK(run(". /tmp/watch; " RELOAD), "it was unloaded");
	CHECK(!strcmp(slurp(ASKED), "modprobe -r dmabuf_rw"), "asked: %s", slurp(ASKED));
	RUNS(0, "modprobe dmabuf_rw");
	CHECK(run("insmod " NEW_MODULE), "two are loaded");
	release_is(OLD_RELEASE);
	goes_on(pid);

	/* New programs work with it, and say that it is old. */
	RUNS(0, TOOL " info; " TOOL " check");
	says(OLD_RELEASE ", older than this command: they work together");
	says("note module       loaded, release " OLD_RELEASE " (older than this command), ");
	says(RELOAD);
	RUNS(0, TOOL " load %s --into udmabuf:1M --offset 32M --length 512K --verify", disk.path);
	end_program(pid);

	becomes_possible(RELOAD);
	release_is(release);
	RUNS(0, TOOL " check");
	does_not_say("this command");
	RUNS(0, TOOL " load %s --into udmabuf:1M --offset 32M --length 512K --verify", disk.path);
	/* Again, of what is loaded already. */
	SCRIPT("postinst", "configure 0.2.0-1");
	does_not_say("goes on");
	restore_modules();
}

static void upgrade_interrupts_nobody_and_tells_how_to_load_the_new_module(const void *arg)
{
	drw_with_parameters("", upgrade, NULL);
}

static void removal(const void *arg)
{
	pid_t pid;

	save_modules();
	RUNS(0, "/tmp/upgrade/dkms install");
	pid = start_program();
	goes_on(pid);
	SCRIPT("prerm", "remove");
	says("stays loaded until the next boot, or until 'rmmod dmabuf_rw', once no program uses "
	     "it (in use ");
	nobody_asked();
	CHECK(run("rmmod dmabuf_rw"), "it was unloaded");
	end_program(pid);

	RUNS(0, "/tmp/upgrade/dkms install");
	becomes_possible("[ $(cat /sys/module/dmabuf_rw/refcnt) = 0 ]");
	SCRIPT("prerm", "remove");
	says("or until 'rmmod dmabuf_rw'.");
	RUNS(0, "rmmod dmabuf_rw");
	CHECK(access("/sys/module/dmabuf_rw", F_OK), "still loaded");
	restore_modules();
}

static void removal_says_why_the_module_stays_loaded(const void *arg)
{
	drw_with_parameters("", removal, NULL);
}

static void add(void)
{
	test_limit(120);
	TEST(upgrade_interrupts_nobody_and_tells_how_to_load_the_new_module);
	TEST(removal_says_why_the_module_stays_loaded);
}

const struct program program = { "upgrade", add, .machines = MACHINE_ONE };
