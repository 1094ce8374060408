// SPDX-License-Identifier: GPL-2.0
/*
 * tool.c - runs of the dmabuf-rw command; see tool.h.
 *
 * A stepped run is traced. So a moment is looked for while nothing of it moves on, and a test
 * finds it on any machine, however slow.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data.h"
#include "tool.h"

char out[65536], err[8192];

static void take(const char *path, char *text, size_t size)
{
	int fd = SYS(open(path, O_RDONLY | O_CLOEXEC));
	ssize_t n = SYS(read(fd, text, size - 1));

	text[n] = 0;
	close(fd);
}

static void take_both(void)
{
	take("/tmp/out", out, sizeof(out));
	take("/tmp/err", err, sizeof(err));
}

static void need_tool(void)
{
	if (access(TOOL, X_OK))
		skip("the command is not in this machine");
}

int run(const char *fmt, ...)
{
	char line[1024], command[1200];
	va_list ap;
	int status;

	need_tool();
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "{ %s; } >/tmp/out 2>/tmp/err", line);
	status = system(command);
	take_both();
	CHECK(WIFEXITED(status), "%s", line);
	return WEXITSTATUS(status);
}

/* ---- JSON -------------------------------------------------------------------------- */

static const char *value_after(const char *text, const char *key)
{
	static char value[1024];
	char pattern[64];
	const char *p;

	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	p = strstr(text, pattern);
	CHECK(p, "no %s in %s", key, text);
	p += strlen(pattern);
	if (*p == '"')
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + 1, "\""), p + 1);
	else
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, ",}\n"), p);
	return value;
}

const char *json(const char *key)
{
	return value_after(out, key);
}

u64 json_u64(const char *key)
{
	return strtoull(json(key), NULL, 10);
}

const char *json_range(unsigned int i, const char *key)
{
	const char *p = strstr(out, "\"files\":");

	CHECK(p, "no files in %s", out);
	/* Each object of the array begins with the file's name. */
	for (unsigned int n = 0; n <= i; n++) {
		p = strstr(p + 1, "\"file\":");
		CHECK(p, "no range %u in %s", n, out);
	}
	return value_after(p, key);
}

u64 json_range_u64(unsigned int i, const char *key)
{
	return strtoull(json_range(i, key), NULL, 10);
}

const char *inherited(const struct buf *buf)
{
	static char name[16];

	snprintf(name, sizeof(name), "fd:%d", (int)SYS(dup(buf->fd)));
	return name;
}

/* ---- runs that can be looked at while they last ------------------------------------- */

static bool tmpfile_forbidden, processes_hidden;

void run_hide_processes(void)
{
	processes_hidden = true;
}

static int hide_processes(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("proc", "/proc", "proc", 0, "hidepid=2");
}

void run_forbid_tmpfile(void)
{
	tmpfile_forbidden = true;
}

/* As a file system does that does not know it. */
static int refuse_tmpfile(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		/* Without the bit of O_DIRECTORY, which is part of it. */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static pid_t start(uid_t uid, bool stepped, const char *const *args)
{
	int fds[2];
	pid_t pid;

	need_tool();
	fds[0] = SYS(open("/tmp/out", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
	fds[1] = SYS(open("/tmp/err", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
	pid = SYS(fork());
	if (!pid) {
		dup2(fds[0], 1);
		dup2(fds[1], 2);
		if (processes_hidden && hide_processes())
			_exit(99);
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(99);
		if (tmpfile_forbidden && refuse_tmpfile())
			_exit(99);
		if (stepped && ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(99);
		execv(TOOL, (char *const *)args);
		_exit(98);
	}
	close(fds[0]);
	close(fds[1]);
	return pid;
}

pid_t run_start(uid_t uid, const char *const *args)
{
	return start(uid, false, args);
}

pid_t run_start_stepped(const char *const *args)
{
	cpu_set_t one;
	pid_t pid;
	int status;

	/* Only one of the two runs at a time, so an emulated machine is spared the wake-ups. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	SYS(sched_setaffinity(0, sizeof(one), &one));
	pid = start(0, true, args);
	/* It has stopped in execve(). */
	SYS(waitpid(pid, &status, 0));
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "status %#x", status);
	SYS(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	return pid;
}

/* Whether it has stopped because it enters a system call, and not as it leaves one. */
static bool enters_call(pid_t pid)
{
	struct __ptrace_syscall_info info;

	SYS(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info));
	return info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

bool run_until(pid_t pid, bool (*moment)(pid_t pid, const void *arg), const void *arg)
{
	int signal = 0;
	siginfo_t info;

	do {
		SYS(ptrace(PTRACE_SYSCALL, pid, NULL, signal));
		/* Who has ended stays, for run_end(). */
		SYS(waitid(P_PID, pid, &info, WSTOPPED | WEXITED | WNOWAIT));
		if (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED)
			return false;
		SYS(waitid(P_PID, pid, &info, WSTOPPED));
		signal = info.si_status == (SIGTRAP | 0x80) ? 0 : info.si_status;
	} while (signal || !enters_call(pid) || !moment(pid, arg));
	return true;
}

void run_release(pid_t pid, int signal)
{
	/* SIGKILL has effect at once; others when they are sent to who is let go. */
	if (signal)
		SYS(kill(pid, signal));
	if (signal != SIGKILL)
		SYS(ptrace(PTRACE_DETACH, pid, NULL, NULL));
}

int run_end(pid_t pid)
{
	int status;

	do {
		SYS(waitpid(pid, &status, 0));
	} while (WIFSTOPPED(status));
	take_both();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

s64 run_fdinfo(pid_t pid, const char *name)
{
	char path[64], line[256], pattern[64];
	struct dirent *entry;
	long long value = -1;
	DIR *dir;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	snprintf(pattern, sizeof(pattern), "%s:\t%%lld", name);
	dir = opendir(path);
	while (dir && value < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, entry->d_name);
		f = fopen(path, "re");
		while (f && value < 0 && fgets(line, sizeof(line), f))
			if (sscanf(line, pattern, &value) != 1)
				value = -1;
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return value;
}

u64 run_written(pid_t pid)
{
	unsigned long long written = 0;
	char path[64], line[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "wchar: %llu", &written);
	if (f)
		fclose(f);
	return written;
}

/* ---- files as others see them ------------------------------------------------------- */

void file_is(const struct fs *fs, const char *name, u64 bytes, u64 tag, u64 pos)
{
	u8 *got = data_alloc(bytes), *want = data_alloc(bytes);
	int fd;

	drop_caches();
	fd = fs_open(fs, name, O_RDONLY);
	CHECK_EQ(file_bytes(fd), bytes, "%s", name);
	file_get(fd, 0, got, bytes);
	data_fill(want, bytes, tag, pos);
	data_check(name, got, want, bytes, 0);
	close(fd);
	munmap(got, bytes);
	munmap(want, bytes);
}

const char *fs_names(const struct fs *fs)
{
	static char text[512];
	struct dirent **list;
	int n = SYS(scandir(fs->dir, &list, NULL, alphasort));

	text[0] = 0;
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (strcmp(name, ".") && strcmp(name, "..") && strcmp(name, "lost+found"))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 text[0] ? " " : "", name);
	}
	return text;
}
