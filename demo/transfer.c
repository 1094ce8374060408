// SPDX-License-Identifier: GPL-2.0
/*
 * transfer.c - moves data from the drive into a buffer and back, by the command.
 *
 * The data is random; pwrite() writes it to the drive. The CPU looks at each buffer before the
 * load, when the data must not be there, and after it. Each store goes to a place of its own, which
 * is read back by pread(). The last buffer is not memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sha256.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

#define BYTES		(16 * MiB)
#define PIECE		(256 * KiB)
#define CHILD_FD	9	/* the buffer's descriptor in the command */

typedef char digest[SHA256_DIGEST_STRING_LENGTH];

struct disk {
	const char *path;
	int fd;
	u64 source;	/* disk offset of the data */
	u64 next;	/* disk offset of the next store */
	digest sum;	/* of the data */
};

static struct disk disk;

static void digest_of(const void *mem, digest sum)
{
	SHA256Data(mem, BYTES, sum);
}

/* The data and the stores are on the disk, so both are moved in whole pieces. */
static void read_back(u64 off, digest sum)
{
	u8 *mem = aligned_alloc(4096, BYTES);
	u64 done;

	if (!mem)
		die("no memory");
	for (done = 0; done < BYTES; done += PIECE)
		if (pread(disk.fd, mem + done, PIECE, off + done) != (ssize_t)PIECE)
			die("%s cannot be read: %s", disk.path, strerror(errno));
	digest_of(mem, sum);
	free(mem);
}

static void make_source(void)
{
	u8 *mem = aligned_alloc(4096, PIECE);
	SHA256_CTX ctx;
	u64 done;

	disk.path = machine_setting("DRW_PRIV512");
	disk.source = strtoull(machine_setting("DRW_FREE_MB"), NULL, 10) * MiB;
	disk.next = disk.source + BYTES;
	disk.fd = open(disk.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk.fd < 0 || !mem)
		die("%s: %s", disk.path, strerror(errno));
	SHA256Init(&ctx);
	for (done = 0; done < BYTES; done += PIECE) {
		if (getrandom(mem, PIECE, 0) != (ssize_t)PIECE)
			die("no random data");
		SHA256Update(&ctx, mem, PIECE);
		if (pwrite(disk.fd, mem, PIECE, disk.source + done) != (ssize_t)PIECE)
			die("%s cannot be written: %s", disk.path, strerror(errno));
	}
	SHA256End(&ctx, disk.sum);
	free(mem);
}

/* Runs dmabuf-rw, prints its command line, and checks that its output has "direct". */
static void run_command(const char *const argv[], int buffer_fd)
{
	posix_spawn_file_actions_t actions;
	char text[2048];
	size_t len = 0;
	int out[2], status;
	unsigned int i;
	ssize_t n;
	pid_t pid;

	printf("  $ dmabuf-rw");
	for (i = 1; argv[i]; i++)
		printf(" %s", argv[i]);
	putchar('\n');

	if (pipe2(out, O_CLOEXEC))
		die("no pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, out[1], 2);
	if (buffer_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, buffer_fd, CHILD_FD);
	if (posix_spawnp(&pid, "dmabuf-rw", &actions, NULL, (char *const *)argv, environ))
		die("dmabuf-rw cannot be run");
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	while ((n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(out[0]);
	text[len] = 0;
	if (waitpid(pid, &status, 0) != pid || status)
		die("dmabuf-rw %s failed: %s", argv[1], text);
	if (!strstr(text, ", direct"))
		die("dmabuf-rw %s does not say that the data went direct: %s", argv[1], text);
}

static const char *in_mib(u64 bytes, char text[32])
{
	snprintf(text, 32, "%lluM", (unsigned long long)(bytes / MiB));
	return text;
}

static void load(const char *buffer, int buffer_fd, bool device_memory)
{
	char offset[32], length[32];
	const char *argv[] = {
		"dmabuf-rw", "load", disk.path, "--offset", in_mib(disk.source, offset),
		"--length", in_mib(BYTES, length), "--into", buffer,
		device_memory ? "--require-device-memory" : NULL, NULL,
	};

	run_command(argv, buffer_fd);
}

/* Returns the disk offset. */
static u64 store(const char *buffer, int buffer_fd)
{
	char offset[32], length[32];
	u64 off = disk.next;
	const char *argv[] = {
		"dmabuf-rw", "store", disk.path, "--offset", in_mib(off, offset),
		"--length", in_mib(BYTES, length), "--from", buffer, NULL,
	};

	disk.next += BYTES;
	run_command(argv, buffer_fd);
	return off;
}

static void expect_sum(const char *where, const digest sum)
{
	if (strcmp(sum, disk.sum))
		die("%s: the checksum is %s, and %s was expected", where, sum, disk.sum);
}

static void expect_stored(u64 off)
{
	digest sum;

	read_back(off, sum);
	expect_sum("the drive, after the store", sum);
}

void show_bar(void)
{
	const char *pci = machine_setting("DRW_BAR_PCI");
	struct target t;
	char name[64];
	digest sum;
	u64 off;

	make_source();
	fact("source", "%llu MiB of random data on %s at %llu MiB: sha256 %.16s...",
	     (unsigned long long)(BYTES / MiB), disk.path,
	     (unsigned long long)(disk.source / MiB), disk.sum);

	/*
	 * The command opens the device itself, which only one process can do at a time. The BAR
	 * keeps its contents meanwhile, as the checksums show.
	 */
	target_open_bar(&t);
	memset(t.map, 0xa5, BYTES);
	buffer_close(&t.buffer);
	snprintf(name, sizeof(name), "vfio:%s/%s", pci, machine_setting("DRW_BAR_INDEX"));
	load(name, -1, true);
	target_open_bar(&t);
	digest_of(t.map, sum);
	buffer_close(&t.buffer);
	expect_sum("the BAR, after the load", sum);
	fact("BAR", "read by CPU: sha256 %.16s... as it should be", sum);

	off = store(name, -1);
	expect_stored(off);
	fact("drive", "read by pread(2) at %llu MiB: sha256 %.16s... as it should be",
	     (unsigned long long)(off / MiB), disk.sum);
}

static void show_other(const char *about, const char *what, const char *spec_text)
{
	struct buffer_spec spec;
	struct buffer buffer;
	char *why = NULL, name[16];
	digest sum;

	if (buffer_parse(spec_text, &spec, &why) || buffer_open(&buffer, &spec, &why) ||
	    buffer_map(&buffer, &why))
		die("%s: %s", about, why ? why : "no memory");
	snprintf(name, sizeof(name), "fd:%d", CHILD_FD);
	fact(about, "%s, its dma-buf passed on as descriptor %d", what, CHILD_FD);

	buffer_cpu_begin(&buffer, true);
	memset(buffer.map, 0xa5, BYTES);
	buffer_cpu_end(&buffer, true);
	load(name, buffer.fd, false);
	buffer_cpu_begin(&buffer, false);
	digest_of(buffer.map, sum);
	buffer_cpu_end(&buffer, false);
	expect_sum(about, sum);

	expect_stored(store(name, buffer.fd));
	fact("", "in the buffer after load, on the drive after store: sha256 %.16s...", sum);
	buffer_close(&buffer);
}

void show_others(void)
{
	show_other("udmabuf", "memory of a process", "udmabuf:16M");
	show_other("heap", "memory of the system heap", "heap:system:16M");
}

/*
 * The device's registers keep their values while it is not open. It computes the factorial of the
 * value written to the register at 8, and accepts only 4-byte accesses there.
 */
void show_doorbell(void)
{
	const char *pci = machine_setting("DRW_DOORBELL_PCI");
	const u32 place = 301, value = 10, answer = 3628800;
	char name[64], offset[32], *why = NULL;
	struct buffer_spec spec;
	struct buffer buffer;
	const char *argv[] = {
		"dmabuf-rw", "load", disk.path, "--offset", offset, "--length", "4",
		"--into", name, "--buf-offset", "8", NULL,
	};
	u8 *mem = aligned_alloc(4096, 4096);
	u32 is = 0;

	if (!mem)
		die("no memory");
	memset(mem, 0xa5, 4096);
	memcpy(mem + place, &value, sizeof(value));
	if (pwrite(disk.fd, mem, 4096, disk.next) != 4096)
		die("%s cannot be written: %s", disk.path, strerror(errno));
	free(mem);
	snprintf(offset, sizeof(offset), "%llu", (unsigned long long)disk.next + place);
	snprintf(name, sizeof(name), "vfio:%s/0", pci);
	fact("device", "%s computes n! when n is written to a register of its BAR 0", pci);
	run_command(argv, -1);

	if (buffer_parse(name, &spec, &why) || buffer_open(&buffer, &spec, &why) ||
	    buffer_map(&buffer, &why))
		die("%s: %s", name, why ? why : "no memory");
	for (int i = 0; i < 1000 && is != answer; i++) {
		is = *(volatile u32 *)((u8 *)buffer.map + 8);
		usleep(1000);
	}
	buffer_close(&buffer);
	if (is != answer)
		die("the register holds %u, and %u was expected", is, answer);
	fact("rung", "four bytes from the middle of an LBA, %u: the register holds %u", value, is);
	close(disk.fd);
}
