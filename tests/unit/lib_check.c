// SPDX-License-Identifier: MIT
/*
 * lib_check.c - what check finds out, on machines that are made up: drives, trees of PCI devices,
 * mounts, leases; and the answers, over a module that is a fake.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "buffer_kind.h"
#include "cmd_check.h"
#include "fake_module.h"
#include "fake_sysfs.h"
#include "mounts.h"
#include "outlook.h"
#include "route.h"
#include "sysfs.h"
#include "unit.h"

#define ALL	4096	/* of configuration space */
#define OPEN	64

#define DRIVE	"pci0000:00/0000:00:03.0"
#define DISK	"/sys/devices/" DRIVE "/nvme/nvme0/nvme0n1"

/* A private drive with a partition, and a BAR, both on the root bus. */
static void make_plain_machine(void)
{
	fake_pci(DRIVE, -1, FAKE_NO_ACS, OPEN);
	fake_nvme("nvme0", DRIVE, "QEMU NVMe Ctrl");
	fake_disk(DISK, "259:0", 512);
	fake_attribute("1", DISK "/nvme0n1p1/partition");
	fake_attribute("2048", DISK "/nvme0n1p1/start");
	fake_link("/sys/dev/block/259:1", DISK "/nvme0n1p1");
	fake_pci("pci0000:00/0000:00:09.0", -1, FAKE_NO_ACS, OPEN);
	fake_attribute("0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		       "0x00000000fe000000 0x00000000fe000fff 0x0000000000040200\n"
		       "0x0000000380000000 0x0000000387ffffff 0x000000000014220c",
		       "/sys/bus/pci/devices/0000:00:09.0/resource");
}

/* ---- drives ----------------------------------------------------------------------------- */

static void a_private_drive_is_read_through_its_partition(void **state)
{
	struct drive d;

	(void)state;
	make_plain_machine();
	assert_true(drive_read(fake_root, makedev(259, 1), &d));
	assert_int_equal(d.kind, DRIVE_NVME);
	assert_string_equal(d.name, "nvme0n1p1");
	assert_string_equal(d.disk, "nvme0n1");
	assert_true(d.partition);
	assert_int_equal(d.start, 1 << 20);
	assert_string_equal(d.model, "QEMU NVMe Ctrl");
	assert_string_equal(d.firmware, "1.0");
	assert_int_equal(d.lba, 512);
	assert_int_equal(d.max_command, 512 << 10);
	assert_true(d.metadata_known);
	assert_int_equal(d.metadata, 0);
	assert_false(d.zoned);
	assert_true(d.write_cache);
	assert_true(d.poll_known);
	assert_false(d.poll);
	assert_false(d.multipath);
	assert_int_equal(d.nr_paths, 1);
	assert_string_equal(d.paths[0].pci, "0000:00:03.0");
	assert_string_equal(d.paths[0].state, "live");
	assert_false(drive_read(fake_root, makedev(259, 77), &d));
}

static void a_multipath_head_has_all_its_paths(void **state)
{
	static const char head[] = "/sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n2";
	struct drive d;
	unsigned int i;

	(void)state;
	make_plain_machine();
	fake_disk(head, "259:4", 4096);
	fake_attribute("Shared", "/sys/devices/virtual/nvme-subsystem/nvme-subsys1/model");
	for (i = 1; i < 4; i++) {
		char ctrl[16], place[64];

		snprintf(ctrl, sizeof(ctrl), "nvme%u", i);
		snprintf(place, sizeof(place), "pci0000:00/0000:00:0%u.0/0000:0%u:00.0", i + 3, i);
		fake_pci(place, -1, FAKE_NO_ACS, OPEN);
		fake_nvme(ctrl, place, "Shared");
		/* The third one has another namespace of the subsystem. */
		fake_attribute(i == 1 ? "optimized" : "inaccessible",
			       "/sys/devices/%s/nvme/%s/nvme1c%un%u/ana_state", place, ctrl, i,
			       i < 3 ? 2 : 1);
	}
	fake_attribute("connecting", "/sys/class/nvme/nvme2/state");
	assert_true(drive_read(fake_root, makedev(259, 4), &d));
	assert_true(d.multipath);
	assert_string_equal(d.model, "Shared");
	assert_int_equal(d.lba, 4096);
	assert_int_equal(d.nr_paths, 2);
	assert_string_equal(d.paths[0].ctrl, "nvme1");
	assert_string_equal(d.paths[0].pci, "0000:01:00.0");
	assert_string_equal(d.paths[0].ana, "optimized");
	assert_string_equal(d.paths[1].ctrl, "nvme2");
	assert_string_equal(d.paths[1].state, "connecting");
}

static void a_drive_that_is_not_on_pci_has_no_address(void **state)
{
	struct drive d;

	(void)state;
	make_plain_machine();
	fake_attribute("tcp", "/sys/class/nvme/nvme0/transport");
	fake_attribute("traddr=192.0.2.1,trsvcid=4420", "/sys/class/nvme/nvme0/address");
	assert_true(drive_read(fake_root, makedev(259, 0), &d));
	assert_string_equal(d.paths[0].pci, "");
	assert_string_equal(d.paths[0].transport, "tcp");
}

static void what_a_stacked_device_lies_on_is_named(void **state)
{
	struct drive d;

	(void)state;
	make_plain_machine();
	fake_disk("/sys/devices/virtual/block/dm-0", "252:0", 512);
	fake_link("/sys/devices/virtual/block/dm-0/slaves/nvme0n1p1", DISK "/nvme0n1p1");
	fake_link("/sys/devices/virtual/block/dm-0/slaves/nvme0n1p10", DISK "/nvme0n1p1");
	assert_true(drive_read(fake_root, makedev(252, 0), &d));
	assert_int_equal(d.kind, DRIVE_STACKED);
	assert_string_equal(d.below, "nvme0n1p1, nvme0n1p10");
	fake_disk("/sys/devices/virtual/block/loop0", "7:0", 512);
	fake_attribute("/images/disk", "/sys/devices/virtual/block/loop0/loop/backing_file");
	assert_true(drive_read(fake_root, makedev(7, 0), &d));
	assert_string_equal(d.below, "/images/disk");
	fake_disk("/sys/devices/pci0000:00/0000:00:07.0/ata1/sda", "8:0", 512);
	assert_true(drive_read(fake_root, makedev(8, 0), &d));
	assert_int_equal(d.kind, DRIVE_OTHER);
}

/* ---- routes ----------------------------------------------------------------------------- */

/* Two devices below a switch whose downstream ports have this ACS. */
static enum turn turn_at_switch(enum fake_acs a, enum fake_acs b, size_t readable)
{
	static struct pci_chain chains[2];
	const char *top = "pci0000:00/0000:00:01.0/0000:01:00.0";
	char place[128];

	fake_pci("pci0000:00/0000:00:01.0", PCI_EXP_TYPE_ROOT_PORT, FAKE_ACS_REDIRECTS, readable);
	fake_pci(top, PCI_EXP_TYPE_UPSTREAM, FAKE_NO_ACS, readable);
	snprintf(place, sizeof(place), "%s/0000:02:00.0", top);
	fake_pci(place, PCI_EXP_TYPE_DOWNSTREAM, a, readable);
	snprintf(place, sizeof(place), "%s/0000:02:00.0/0000:03:00.0", top);
	fake_pci(place, -1, FAKE_NO_ACS, readable);
	snprintf(place, sizeof(place), "%s/0000:02:01.0", top);
	fake_pci(place, PCI_EXP_TYPE_DOWNSTREAM, b, readable);
	snprintf(place, sizeof(place), "%s/0000:02:01.0/0000:04:00.0", top);
	fake_pci(place, -1, FAKE_NO_ACS, readable);
	assert_true(pci_chain_read(fake_root, "0000:03:00.0", &chains[0]));
	assert_true(pci_chain_read(fake_root, "0000:04:00.0", &chains[1]));
	assert_int_equal(chains[0].nr, 4);
	assert_string_equal(chains[0].host, "pci0000:00");
	assert_string_equal(chains[0].nodes[0].ids, "8086:29c0");
	return route_turn(&chains[0], &chains[1]);
}

/* The root port's ACS is above the switch, and says nothing. */
static void requests_turn_at_a_switch_unless_acs_redirects_them(void **state)
{
	(void)state;
	assert_int_equal(turn_at_switch(FAKE_NO_ACS, FAKE_ACS_OFF, ALL), TURN_SWITCH);
	assert_int_equal(turn_at_switch(FAKE_ACS_REDIRECTS, FAKE_ACS_OFF, ALL), TURN_REDIRECTED);
	assert_int_equal(turn_at_switch(FAKE_NO_ACS, FAKE_ACS_REDIRECTS, ALL), TURN_REDIRECTED);
	/* Extended capabilities are there on PCI Express only. */
	assert_int_equal(turn_at_switch(FAKE_ACS_REDIRECTS, FAKE_NO_ACS, 256), TURN_SWITCH);
}

static void an_unprivileged_user_is_told_that_acs_is_not_known(void **state)
{
	(void)state;
	assert_int_equal(turn_at_switch(FAKE_ACS_REDIRECTS, FAKE_NO_ACS, OPEN), TURN_UNKNOWN);
}

static void devices_meet_where_their_bridges_say(void **state)
{
	struct pci_chain a, b, c;

	(void)state;
	make_plain_machine();
	fake_pci("pci0000:80/0000:80:01.0", PCI_EXP_TYPE_ROOT_PORT, FAKE_NO_ACS, ALL);
	fake_pci("pci0000:80/0000:80:01.0/0000:81:00.0", -1, FAKE_NO_ACS, ALL);
	fake_pci("pci0000:80/0000:80:01.0/0000:81:00.1", -1, FAKE_NO_ACS, ALL);
	assert_true(pci_chain_read(fake_root, "0000:00:03.0", &a));
	assert_true(pci_chain_read(fake_root, "0000:00:09.0", &b));
	assert_int_equal(route_turn(&a, &b), TURN_HOST);
	assert_int_equal(route_turn(&a, &a), TURN_HOST);
	assert_true(pci_chain_read(fake_root, "0000:81:00.0", &b));
	assert_true(pci_chain_read(fake_root, "0000:81:00.1", &c));
	assert_int_equal(route_turn(&a, &b), TURN_BETWEEN_HOSTS);
	assert_int_equal(route_turn(&b, &c), TURN_ROOT_PORT);
	assert_int_equal(route_turn(&b, &b), TURN_ROOT_PORT);
	assert_false(pci_chain_read(fake_root, "0000:7f:00.0", &a));
}

static char drawn[4096];

static void add_line(void *arg, const char *text)
{
	(void)arg;
	strcat(strcat(drawn, text), "\n");
}

static void the_tree_is_drawn(void **state)
{
	static struct pci_chain chains[4];
	const struct pci_chain *all[] = { &chains[0], &chains[1], &chains[2], &chains[3] };
	static const char *const places[] = { "0000:03:00.0", "0000:04:00.0", "10000:e1:00.0",
					      "0000:00:03.0" };
	unsigned int i;

	(void)state;
	make_plain_machine();
	turn_at_switch(FAKE_ACS_REDIRECTS, FAKE_ACS_OFF, ALL);
	/* Behind a volume management device domains have five digits. */
	fake_pci("pci10000:e0/10000:e0:01.0", PCI_EXP_TYPE_ROOT_PORT, FAKE_NO_ACS, OPEN);
	fake_pci("pci10000:e0/10000:e0:01.0/10000:e1:00.0", -1, FAKE_NO_ACS, OPEN);
	for (i = 0; i < COUNT(places); i++) {
		assert_true(pci_chain_read(fake_root, places[i], &chains[i]));
		snprintf(chains[i].label, sizeof(chains[i].label), "device %u", i);
	}
	drawn[0] = 0;
	route_draw(all, COUNT(all), add_line, NULL);
	assert_string_equal(drawn,
		"pci0000:00  host bridge\n"
		"+- 0000:00:01.0  root port [8086:29c0], ACS redirects to the host bridge\n"
		"|  `- 0000:01:00.0  switch port [8086:29c0], no ACS\n"
		"|     +- 0000:02:00.0  switch port [8086:29c0], ACS redirects to the host bridge\n"
		"|     |  `- 0000:03:00.0  device 0\n"
		"|     `- 0000:02:01.0  switch port [8086:29c0], ACS off\n"
		"|        `- 0000:04:00.0  device 1\n"
		"`- 0000:00:03.0  device 3\n"
		"pci10000:e0  host bridge\n"
		"`- 10000:e0:01.0  bridge, probably a root port [8086:29c0], ACS: only root may "
		"see\n"
		"   `- 10000:e1:00.0  device 2\n");
}

static void bars_and_iommus_are_read(void **state)
{
	struct pci_aperture aperture;
	struct pci_bar bar;
	char *mode;

	(void)state;
	make_plain_machine();
	assert_true(pci_bar_read(fake_root, "0000:00:09.0", 2, &bar));
	assert_int_equal(bar.bytes, 128 << 20);
	assert_true(bar.prefetchable);
	assert_int_equal(bar.largest, 0);
	fake_attribute("0000000000000780", "/sys/bus/pci/devices/0000:00:09.0/resource2_resize");
	assert_true(pci_bar_read(fake_root, "0000:00:09.0", 2, &bar));
	assert_int_equal(bar.largest, 1 << 30);
	assert_true(pci_bar_read(fake_root, "0000:00:09.0", 1, &bar));
	assert_int_equal(bar.bytes, 4096);
	assert_false(bar.prefetchable);
	assert_false(pci_bar_read(fake_root, "0000:00:09.0", 0, &bar));
	assert_false(pci_bar_read(fake_root, "0000:00:09.0", 5, &bar));
	assert_true(pci_aperture_read(fake_root, "0000:00:09.0", &aperture));
	assert_int_equal(aperture.index, 2);
	assert_int_equal(aperture.bar.bytes, 128 << 20);
	assert_false(aperture.use_known);
	/* As amdgpu tells it. */
	fake_attribute("134217728", "/sys/bus/pci/devices/0000:00:09.0/mem_info_vis_vram_total");
	fake_attribute("34217728", "/sys/bus/pci/devices/0000:00:09.0/mem_info_vis_vram_used");
	assert_true(pci_aperture_read(fake_root, "0000:00:09.0", &aperture));
	assert_true(aperture.use_known);
	assert_int_equal(aperture.free, 100000000);
	assert_false(pci_aperture_read(fake_root, "0000:7f:00.0", &aperture));
	mode = pci_iommu_mode(fake_root, "0000:00:03.0");
	assert_string_equal(mode, "none");
	free(mode);
	fake_attribute("DMA-FQ", "/sys/bus/pci/devices/0000:00:03.0/iommu_group/type");
	mode = pci_iommu_mode(fake_root, "0000:00:03.0");
	assert_string_equal(mode, "DMA-FQ");
	free(mode);
	assert_null(pci_iommu_mode(fake_root, "0000:7f:00.0"));
}

/* ---- mounts and leases -------------------------------------------------------------------- */

static uint64_t mount_id(int fd)
{
	struct statx sx;

	assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx), 0);
	return sx.stx_mnt_id;
}

static void make_mount(int fd, const char *dev, const char *type, const char *options)
{
	char text[512];

	snprintf(text, sizeof(text), "1 0 8:1 / / rw,noatime - btrfs /dev/sda1 rw,space_cache\n"
		 "%llu 1 %s / /data rw,relatime shared:7 master:1 - %s /dev/x %s",
		 (unsigned long long)mount_id(fd), dev, type, options);
	fake_attribute(text, "/proc/self/mountinfo");
}

static void a_mount_is_found_by_its_number(void **state)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct mount m;

	(void)state;
	make_mount(fd, "259:1", "ext4", "ro,data=journal");
	assert_true(mount_of(fake_root, fd, &m));
	assert_string_equal(m.type, "ext4");
	assert_string_equal(m.dir, "/data");
	assert_int_equal(m.dev, makedev(259, 1));
	assert_true(mount_has(&m, "data=journal"));
	assert_true(mount_has(&m, "data"));
	assert_true(mount_has(&m, "relatime"));
	assert_true(mount_has(&m, "ro"));
	assert_false(mount_has(&m, "atime"));
	assert_false(mount_has(&m, "jour"));
	mount_free(&m);
	fake_attribute("", "/proc/self/mountinfo");
	assert_false(mount_of(fake_root, fd, &m));
	close(fd);
}

/* A blank is four bytes in its name, so a path that the kernel takes may have 16 KiB there. */
static void a_mounts_name_and_options_may_have_any_length(void **state)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static char name[16000], options[4000], text[24000];
	struct mount m;
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(name) - 1; n++)
		name[n] = "/\\040"[n % 5];
	memset(options, 'x', sizeof(options) - 1);
	/* An empty device is two blanks in a row. */
	snprintf(text, sizeof(text), "%llu 1 259:1 / %s ro,noatime shared:7 - ext4  rw,%s,"
		 "data=journal\n", (unsigned long long)mount_id(fd), name, options);
	fake_bytes(text, strlen(text), "/proc/self/mountinfo");
	assert_true(mount_of(fake_root, fd, &m));
	assert_string_equal(m.type, "ext4");
	assert_string_equal(m.dir, name);
	assert_int_equal(m.dev, makedev(259, 1));
	assert_true(mount_has(&m, "ro"));
	assert_true(mount_has(&m, "data=journal"));
	mount_free(&m);
	/* Half a line is none. */
	fake_bytes(text, 12000, "/proc/self/mountinfo");
	assert_false(mount_of(fake_root, fd, &m));
	close(fd);
}

static void what_proc_hides_is_found_out(void **state)
{
	static const struct {
		const char *option, *caps;
		bool first, hides;
	} cases[] = {
		{ "hidepid=invisible", "0", false, true },
		{ "hidepid=invisible,gid=4", "0", true, true },
		{ "hidepid=2", "0", false, true },
		{ "hidepid=ptraceable", "0", false, true },
		/* Processes of others are there, and are told to be no business of the user's. */
		{ "hidepid=noaccess", "0", true, false },
		{ "hidepid=1", "0", true, false },
		{ "nosuid", "0", true, false },
		/* Root, and root of a container that sees the machine's processes. */
		{ "hidepid=invisible", "000001ffffffffff", true, false },
		{ "hidepid=invisible", "000001ffffffffff", false, true },
		{ "hidepid=invisible", "000001fffff7ffff", true, true },
	};
	char path[96], text[256];
	size_t i;
	int fd;

	(void)state;
	fake_attribute("0.1 0.2", "/proc/uptime");
	snprintf(path, sizeof(path), "%s/proc", fake_root);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "%llu 1 0:5 / /proc rw,relatime - proc proc rw,%s",
			 (unsigned long long)mount_id(fd), cases[i].option);
		fake_attribute(text, "/proc/self/mountinfo");
		snprintf(text, sizeof(text), "Name:\tcheck\nCapEff:\t%s\nCapBnd:\t0",
			 cases[i].caps);
		fake_attribute(text, "/proc/self/status");
		snprintf(path, sizeof(path), "%s/proc/1", fake_root);
		if (cases[i].first)
			mkdir(path, 0755);
		else
			rmdir(path);
		if (proc_hides_processes(fake_root) != cases[i].hides)
			fail_msg("case %zu", i);
	}
	close(fd);
}

static void leases_are_told_from_locks(void **state)
{
	struct lease lease;

	(void)state;
	assert_false(leases_are_told(fake_root));
	fake_attribute("1: POSIX  ADVISORY  WRITE 12 103:01:77 0 EOF\n"
		       "2: LEASE  ACTIVE    READ 4711 103:01:78 0 EOF\n"
		       "2: -> FLOCK  ADVISORY  WRITE 12 103:01:79 0 EOF\n"
		       "3: LEASE  ACTIVE    WRITE 4712 103:01:79 0 EOF", "/proc/locks");
	assert_true(leases_are_told(fake_root));
	assert_false(find_lease(fake_root, makedev(0x103, 1), 77, &lease));
	assert_true(find_lease(fake_root, makedev(0x103, 1), 78, &lease));
	assert_false(lease.write);
	assert_int_equal(lease.pid, 4711);
	assert_true(find_lease(fake_root, makedev(0x103, 1), 79, &lease));
	assert_true(lease.write);
	assert_false(find_lease(fake_root, makedev(0x103, 2), 79, &lease));
}

/* ---- the answers -------------------------------------------------------------------------- */

static struct report report;
static struct check check;
static char *said;		/* at a program's start */
static char dir[64], file[80];
static int file_fd;

static void new_file(const char *name)
{
	snprintf(file, sizeof(file), "%s/%s", dir, name);
	file_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file_fd >= 0);
	assert_int_equal(ftruncate(file_fd, 1 << 20), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_sysfs_make();
	memset(&module, 0, sizeof(module));
	module.info = (struct dmabuf_rw_info){
		.flags = DMABUF_RW_INFO_CAN_READ | DMABUF_RW_INFO_CAN_WRITE | DMABUF_RW_INFO_SGL,
		.mem_class = DMABUF_RW_CLASS_BAR, .bar = 2, .bar_pci = 9 << 3, .nvme_pci = 3 << 3,
		.iommu = DMABUF_RW_IOMMU_TRANSLATED, .paths = 1, .extents = 1,
		.max_cmd_bytes = 512 << 10,
	};
	strcpy(dir, "/tmp/lib_check-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	new_file("file");
	make_mount(file_fd, "259:1", "ext4", "rw");
	report_begin(&report);
	report.json = true;
	check = (struct check){ .root = fake_root, .report = &report, .scratch = -1 };
	session_init(&check.session);
	check.session.buffer_name = "fd:9";
	check.session.buffer.fd = memfd_create("buffer", MFD_CLOEXEC);
	check.session.buffer.size = 1 << 20;
	check.session.buffer.spec.kind = buffer_kinds[1];
	facts_begin(&check.facts, &report);
	return ftruncate(check.session.buffer.fd, 1 << 20);
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	json_object_put(report.root);
	session_close(&check.session);
	if (check.scratch >= 0)
		close(check.scratch);
	free(said);
	said = NULL;
	close(file_fd);
	fake_sysfs_remove();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) || module.bindings ? -1 : 0;
}

static struct json_object *find_fact(const char *name)
{
	struct json_object *value;
	size_t i;

	for (i = 0; i < json_object_array_length(check.facts.array); i++) {
		struct json_object *o = json_object_array_get_idx(check.facts.array, i);

		if (json_object_object_get_ex(o, "fact", &value) &&
		    !strcmp(json_object_get_string(value), name))
			return o;
	}
	return NULL;
}

static const char *member(const char *name, const char *key)
{
	struct json_object *o = find_fact(name), *value;

	if (!o || !json_object_object_get_ex(o, key, &value))
		return "";
	return json_object_get_string(value);
}

/* The fact has this state, and says this; "": no such fact. */
static void fact_is(const char *name, const char *state, const char *words)
{
	if (strcmp(member(name, "state"), state) || !strstr(member(name, "text"), words))
		fail_msg("%s is '%s': %s", name, member(name, "state"), member(name, "text"));
}

/* What is in the way has a remedy, or one that was told before. */
static void every_bad_fact_has_a_remedy(void)
{
	struct json_object *state, *o;
	size_t i;

	for (i = 0; i < json_object_array_length(check.facts.array); i++) {
		o = json_object_array_get_idx(check.facts.array, i);
		assert_true(json_object_object_get_ex(o, "state", &state));
		if (!strcmp(json_object_get_string(state), "no") &&
		    !json_object_object_get_ex(o, "remedy", NULL) &&
		    !strstr(json_object_to_json_string(o), "said above"))
			fail_msg("no remedy: %s", json_object_to_json_string(o));
	}
}

static void a_file_that_goes_direct_has_all_its_facts(void **state)
{
	(void)state;
	make_plain_machine();
	check_machine(&check);
	check_name(&check, file);
	fact_is("module", "ok", "loaded, interface ");
	fact_is("kernel", "ok", "Linux ");
	fact_is("file system", "ok", "ext4 on /data");
	fact_is("drive", "ok", "nvme0n1: QEMU NVMe Ctrl, firmware 1.0, 1 path");
	fact_is("path", "ok", "nvme0, 0000:00:03.0, live");
	fact_is("IOMMU", "info", "none");
	fact_is("format", "ok", "LBAs of 512 bytes, no metadata");
	fact_is("commands", "info", "512.0 KiB");
	fact_is("poll queues", "note", "none");
	fact_is("direct", "ok", "yes, by the module");
	fact_is("rights", "ok", "load and store");
	fact_is("route", "ok", "peer to peer: the drive 0000:00:03.0 reaches BAR 2 of ");
	fact_is("route", "ok", "they meet at the host bridge; the exporter and the IOMMU decided");
	fact_is("aperture", "ok", "BAR 2 of 0000:00:09.0 has 128.0 MiB, prefetchable");
	assert_non_null(strstr(member("route", "tree"), "0000:00:03.0  the drive (nvme0)"));
	assert_non_null(strstr(member("route", "tree"), "0000:00:09.0  the buffer (BAR 2)"));
	assert_false(check.no || check.unknown);
	every_bad_fact_has_a_remedy();
}

static void a_file_that_is_refused_is_a_no_in_the_librarys_words(void **state)
{
	(void)state;
	make_plain_machine();
	check_machine(&check);
	module.bind_errno = EADDRNOTAVAIL;
	module.bind_reason = DMABUF_RW_REASON_NO_ROUTE;
	check.session.buffer.spec.kind = &buffer_vfio;
	strcpy(check.session.buffer.spec.name, "0000:00:09.0");
	check.session.buffer.spec.bar = 2;
	check_name(&check, file);
	fact_is("direct", "no", "does not know that the host bridge");
	assert_non_null(strstr(member("direct", "remedy"), "below one PCIe switch"));
	fact_is("route", "no", "none: they meet at the host bridge; the kernel decided");
	assert_true(check.no);
	every_bad_fact_has_a_remedy();
}

/* For who has to find out why the BAR is no buffer yet. */
static void where_drive_and_buffer_are_is_told_to_who_cannot_bind(void **state)
{
	(void)state;
	make_plain_machine();
	check_machine(&check);
	close(check.session.buffer.fd);
	check.session.buffer.fd = -1;
	check.session.buffer.spec.kind = &buffer_vfio;
	strcpy(check.session.buffer.spec.name, "0000:00:09.0");
	check.session.buffer.spec.bar = 2;
	check_name(&check, file);
	fact_is("direct", "unknown", "no buffer to try it with");
	fact_is("route", "unknown", "nothing was bound; they meet at the host bridge");
	assert_non_null(strstr(member("route", "tree"), "0000:00:03.0  the drive (nvme0)"));
	assert_non_null(strstr(member("route", "tree"), "0000:00:09.0  the buffer (BAR 2)"));
	assert_string_equal(member("route", "decided_by"), "");
}

static void without_module_and_kernels_way_the_answer_is_no(void **state)
{
	(void)state;
	make_plain_machine();
	module.absent = true;
	check_machine(&check);
	check_name(&check, file);
	fact_is("module", "no", "not loaded");
	fact_is("direct", "no", "");
	assert_true(check.no);
	every_bad_fact_has_a_remedy();
}

/* As in a container: the module is there, its node is not. */
static void a_node_that_is_missing_is_told_from_a_module_that_is(void **state)
{
	(void)state;
	module.absent = true;
	fake_attribute("1", "/sys/module/dmabuf_rw/refcnt");
	check_machine(&check);
	fact_is("module", "no", "loaded, but its node is not here");
}

/* After an upgrade the old one stays until nobody uses it. */
static void a_module_of_another_release_is_a_note(void **state)
{
	static const struct {
		const char *release, *state, *text, *remedy;
	} cases[] = {
		{ "0.1.99", "note", "loaded, release 0.1.99 (older than this command), interface ",
		  "modprobe -r dmabuf_rw && modprobe dmabuf_rw" },
		{ "99.0.0", "note", "loaded, release 99.0.0 (newer than this command), interface ",
		  "install the command and the library of the module's release" },
		{ NULL, "ok", ", interface ", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		fake_attribute(cases[i].release ? cases[i].release : dmabuf_rw_version(),
			       "/sys/module/dmabuf_rw/version");
		facts_begin(&check.facts, &report);
		session_close(&check.session);
		session_init(&check.session);
		check_machine(&check);
		fact_is("module", cases[i].state, cases[i].text);
		assert_non_null(strstr(member("module", "remedy"), cases[i].remedy));
		assert_true(check.module);
	}
}

/* By check and by info. */
static void a_module_of_another_interface_is_a_no_with_what_to_do(void **state)
{
	static const struct {
		int ahead;
		const char *cause, *remedy;
	} cases[] = {
		{ -1, "that is loaded is older than this library",
		  "modprobe -r dmabuf_rw && modprobe dmabuf_rw" },
		{ 1, "this library is older than the dmabuf_rw module",
		  "install the library of the module's release" },
	};
	char *argv[] = { "info", NULL };
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		module.abi_ahead = cases[i].ahead;
		json_object_put(report.root);
		report_begin(&report);
		report.json = true;
		facts_begin(&check.facts, &report);
		check_machine(&check);
		fact_is("module", "no", cases[i].cause);
		assert_non_null(strstr(member("module", "remedy"), cases[i].remedy));
		assert_false(check.module);
		assert_int_equal(cmd_info.run(&cmd_info, &report, 1, argv), STATUS_FAILED);
		text = json_object_to_json_string(report.root);
		assert_non_null(strstr(text, cases[i].cause));
		assert_non_null(strstr(text, cases[i].remedy));
	}
}

static void leases_that_nothing_lists_are_said_not_to_be_seen(void **state)
{
	(void)state;
	check_machine(&check);
	fact_is("leases", "unknown", "no list of them");
}

/* In a process namespace of this number; the first one's is known. */
static void check_machine_in(const char *pids)
{
	char path[96];

	fake_attribute("", "/proc/locks");
	fake_attribute("", "/proc/self/ns/mnt");
	snprintf(path, sizeof(path), "%s/proc/self/ns/pid", fake_root);
	assert_int_equal(symlink(pids, path), 0);
	check_machine(&check);
}

static void leases_outside_a_container_are_said_not_to_be_seen(void **state)
{
	(void)state;
	check_machine_in("pid:[4026532444]");
	fact_is("leases", "info", "outside this container");
}

static void where_all_leases_are_seen_nothing_is_said(void **state)
{
	(void)state;
	check_machine_in("pid:[4026531836]");
	assert_null(find_fact("leases"));
}

/* Opening it would have its holder asked to give the lease up. */
static void a_leased_file_is_not_opened(void **state)
{
	char text[96];
	struct stat st;

	(void)state;
	make_plain_machine();
	check_machine(&check);
	assert_int_equal(fstat(file_fd, &st), 0);
	snprintf(text, sizeof(text), "1: LEASE  ACTIVE    WRITE 4711 %02x:%02x:%llu 0 EOF",
		 major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	fake_attribute(text, "/proc/locks");
	check_name(&check, file);
	fact_is("lease", "unknown", "process 4711 has a write lease");
	fact_is("direct", "unknown", "not opened");
	assert_int_equal(module.binds, 0);
	assert_true(check.unknown);
	check_name(&check, dir);
	fact_is("leased", "note", "1 with a write lease");
	assert_int_equal(module.binds, 0);
}

static void a_directory_says_what_of_it_goes_direct(void **state)
{
	int fd = file_fd;

	(void)state;
	make_plain_machine();
	check_machine(&check);
	new_file("other");
	close(fd);
	check_name(&check, dir);
	fact_is("files", "ok", "2 of 2 that were tried go direct");
	fact_is("direct", "ok", "yes, files here");
	fact_is("route", "ok", "peer to peer");
	assert_false(check.no || check.unknown);
}

static void a_directory_whose_files_are_refused_is_a_no(void **state)
{
	(void)state;
	make_plain_machine();
	check_machine(&check);
	module.bind_errno = EOPNOTSUPP;
	module.bind_reason = DMABUF_RW_REASON_ENCRYPTED;
	check_name(&check, dir);
	fact_is("files", "note", "0 of 1");
	fact_is("refused", "note", "1 file, file for instance: the file is encrypted");
	fact_is("direct", "no", "encrypted");
	assert_true(check.no);
}

static void other_file_systems_are_a_no(void **state)
{
	(void)state;
	make_plain_machine();
	check_machine(&check);
	make_mount(file_fd, "0:44", "btrfs", "rw");
	check_name(&check, dir);
	fact_is("file system", "no", "btrfs on /data");
	fact_is("direct", "no", "no file here");
	assert_int_equal(module.binds, 0);
	every_bad_fact_has_a_remedy();
}

/* Nobody has to be able to open the file for that. */
static void a_stacked_device_is_a_no_even_for_who_cannot_try(void **state)
{
	(void)state;
	make_plain_machine();
	fake_disk("/sys/devices/virtual/block/dm-0", "252:0", 512);
	fake_link("/sys/devices/virtual/block/dm-0/slaves/nvme0n1p1", DISK "/nvme0n1p1");
	make_mount(file_fd, "252:0", "xfs", "rw");
	check_machine(&check);
	close(check.session.buffer.fd);
	check.session.buffer.fd = -1;
	check_name(&check, file);
	fact_is("file system", "ok", "xfs on /data");
	fact_is("drive", "no", "dm-0 is a device-mapper, md or loop device on nvme0n1p1");
	fact_is("direct", "no", "as is said above");
	assert_true(check.no);
	every_bad_fact_has_a_remedy();
}

static void formats_that_cannot_be_served_are_named(void **state)
{
	(void)state;
	make_plain_machine();
	fake_attribute("8", DISK "/metadata_bytes");
	check_machine(&check);
	check_name(&check, file);
	fact_is("format", "no", "metadata");
	every_bad_fact_has_a_remedy();
}

/* Each thing that sysfs does not tell is said not to be known, and no number is made up. */
static void what_is_not_told_is_not_known(void **state)
{
	(void)state;
	make_plain_machine();
	assert_int_equal(unlinkat(AT_FDCWD, strcat(strcpy(drawn, fake_root),
						   DISK "/metadata_bytes"), 0), 0);
	assert_int_equal(unlinkat(AT_FDCWD, strcat(strcpy(drawn, fake_root),
						   DISK "/queue/io_poll"), 0), 0);
	fake_link("/sys/devices/" DRIVE "/iommu_group", "/sys/kernel/iommu_groups/7");
	fake_attribute("x", "/sys/kernel/iommu_groups/7/name");
	check_machine(&check);
	check_name(&check, file);
	fact_is("format", "unknown", "not known");
	fact_is("poll queues", "unknown", "");
	fact_is("IOMMU", "unknown", "0000:00:03.0");
}

static void no_file_is_open_for_writing_and_none_stays_bound(void **state)
{
	(void)state;
	make_plain_machine();
	/* Who may not write to it may ask all the same. */
	assert_int_equal(fchmod(file_fd, 0400), 0);
	check_machine(&check);
	check_name(&check, file);
	check_name(&check, dir);
	assert_int_equal(module.binds, 2);
	assert_int_equal(module.bindings, 0);
	assert_int_equal(check.session.file_fd, -1);
	assert_int_equal(module.ios + module.batches, 0);
}

static void what_is_no_storage_is_not_opened(void **state)
{
	char path[128];

	(void)state;
	check_machine(&check);
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	check_name(&check, path);
	fact_is("direct", "no", "neither a block device nor a regular file");
	snprintf(path, sizeof(path), "%s/nothing", dir);
	check_name(&check, path);
	assert_true(check.unknown);
}

/* ---- the canary's part ---------------------------------------------------------------------- */

static const struct canary_range whole;

static void a_scratch_file_has_no_name_and_leaves_nothing(void **state)
{
	char command[128];

	(void)state;
	check_machine(&check);
	assert_int_equal(check_canary(&check, dir, &whole, &whole), STATUS_OK);
	fact_is("proven", "ok", "in 6 rounds");
	fact_is("proven", "ok", "no byte of the file's range was changed beside that");
	fact_is("not proven", "info", "");
	assert_true(module.moved[DMABUF_RW_OP_READ] > 0);
	snprintf(command, sizeof(command), "test \"$(ls -A %s)\" = file", dir);
	assert_int_equal(system(command), 0);
}

/* Nobody has anything to do with what else is there. */
static void a_directory_is_judged_by_the_canarys_own_file(void **state)
{
	struct stat st;

	(void)state;
	make_plain_machine();
	check_machine(&check);
	check.canary = true;
	check_name(&check, dir);
	fact_is("files", "ok", "1 of 1");
	fact_is("direct", "ok", "yes, by the module");
	fact_is("route", "ok", "peer to peer");
	assert_int_equal(module.binds, 2);
	assert_true(check.scratch >= 0);
	assert_int_equal(fstat(check.scratch, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	/* The same one is used. */
	assert_int_equal(check_canary(&check, dir, &whole, &whole), STATUS_OK);
	assert_int_equal(check.scratch, -1);
	module.bind_errno = EOPNOTSUPP;
	module.bind_reason = DMABUF_RW_REASON_ENCRYPTED;
	close(check.session.file_fd);
	dmabuf_rw_binding_destroy(check.session.binding);
	check.session.binding = NULL;
	check_name(&check, dir);
	assert_true(check.no);
}

static void a_canary_without_room_for_its_file_knows_nothing(void **state)
{
	const struct rlimit little = { 1 << 20, RLIM_INFINITY };
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	(void)state;
	make_plain_machine();
	check_machine(&check);
	check.canary = true;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	check_name(&check, dir);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	fact_is("canary", "unknown", "no scratch file can be made in ");
	fact_is("direct", "unknown", "no file of the canary's own");
	assert_true(check.no_scratch && check.unknown && !check.no);
}

static bool lose(uint32_t op, int fd, uint64_t off, unsigned char *map, uint64_t buf_off,
		 uint64_t len)
{
	(void)fd, (void)off, (void)map, (void)buf_off, (void)len;
	return op == DMABUF_RW_OP_READ;
}

static void bytes_that_do_not_arrive_are_status_4(void **state)
{
	(void)state;
	module.instead = lose;
	check_machine(&check);
	assert_int_equal(check_canary(&check, dir, &whole, &whole), STATUS_MISMATCH);
	fact_is("canary", "no", "is not what the drive was to read");
	assert_true(member("canary", "remedy")[0]);
}

static void of_a_file_only_the_range_is_written(void **state)
{
	const struct canary_range range = { 65536, 65536 };
	unsigned char mem[3];

	(void)state;
	check_machine(&check);
	assert_int_equal(pwrite(file_fd, "ab", 2, 65534), 2);
	assert_int_equal(pwrite(file_fd, "c", 1, 131072), 1);
	assert_int_equal(check_canary(&check, file, &range, &whole), STATUS_OK);
	assert_int_equal(pread(file_fd, mem, 2, 65534), 2);
	assert_int_equal(pread(file_fd, mem + 2, 1, 131072), 1);
	assert_memory_equal(mem, "abc", 3);
}

static void a_directory_that_cannot_be_written_to_is_status_1(void **state)
{
	(void)state;
	check_machine(&check);
	assert_int_equal(check_canary(&check, "/proc", &whole, &whole), STATUS_FAILED);
	fact_is("canary", "unknown", "no scratch file can be made in /proc");
}

/* ---- what a program is told at its start ----------------------------------------------------- */

/* A regular file in the place of the disk's node, on what make_mount() says. */
static void make_node(const char *name)
{
	fake_attribute("", "/dev/%s", name);
}

static void make_outlook_machine(void)
{
	make_plain_machine();
	fake_link("/sys/block/nvme0n1", DISK);
	make_node("nvme0n1");
	/* A path of another head, which has no node. */
	fake_attribute("259:9", "/sys/block/nvme1c0n1/dev");
	fake_attribute("1", "/sys/block/nvme1c0n1/hidden");
}

static void look(const char *gpus)
{
	struct gpus_question question;
	size_t len;
	FILE *f;

	free(said);
	f = open_memstream(&said, &len);
	assert_int_equal(setenv("FAKE_CUDA_GPUS", gpus, 1), 0);
	gpus_ask(&question);
	outlook_tell(&check, f, &question);
	assert_int_equal(fclose(f), 0);
}

static void the_outlook_has_a_line_for_each_drive_directory_and_gpu(void **state)
{
	char more[512];

	(void)state;
	make_outlook_machine();
	snprintf(more, sizeof(more), "rw\n90 1 259:1 / /again rw - ext4 /dev/x rw\n"
		 "91 1 259:0 / /boot\\040efi rw - vfat /dev/y rw\n"
		 "92 1 0:50 / /run rw - tmpfs tmpfs rw");
	make_mount(file_fd, "259:1", "ext4", more);
	look("0000:00:09.0,0000:7f:00.0");
	assert_string_equal(said,
		"dmabuf-rw: drive nvme0n1 at 0000:00:03.0: direct, by the module\n"
		"dmabuf-rw: directory /data (ext4 on nvme0n1): direct\n"
		"dmabuf-rw: directory /boot\\040efi (vfat on nvme0n1): not direct: vfat on /boot\\040efi, "
		"and only ext4 and XFS tell where on the drive blocks are; copy the file to an "
		"ext4 or XFS file system on an NVMe disk\n"
		"dmabuf-rw: GPU 0, Fake 0 at 0000:00:09.0: nvme0n1: direct if the host bridge is "
		"on the kernel's list (p2pdma) (they meet at the host bridge)\n"
		"dmabuf-rw: GPU 1, Fake 1 at 0000:7f:00.0: not known: sysfs does not tell where it "
		"is\n");
	/* The disk; no file was tried. */
	assert_int_equal(module.binds, 1);
}

static void what_a_drive_is_refused_for_is_said_of_all_that_is_on_it(void **state)
{
	(void)state;
	make_outlook_machine();
	module.bind_errno = EOPNOTSUPP;
	module.bind_reason = DMABUF_RW_REASON_LAYOUT;
	look("0000:00:09.0");
	assert_non_null(strstr(said, "drive nvme0n1 at 0000:00:03.0: not direct: "));
	assert_non_null(strstr(said, "directory /data (ext4 on nvme0n1): not direct: no, as its "
			       "disk does not\n"));
	assert_non_null(strstr(said, "GPU 0, Fake 0 at 0000:00:09.0: no drive to go direct "
			       "with\n"));
}

/* As for a user who may use the module, but not open disks. */
static void a_drive_that_cannot_be_tried_is_not_known(void **state)
{
	(void)state;
	make_outlook_machine();
	assert_int_equal(unlink(strcat(strcpy(drawn, fake_root), "/dev/nvme0n1")), 0);
	look("");
	assert_non_null(strstr(said, "drive nvme0n1 at 0000:00:03.0: not known: it cannot be "
			       "looked at"));
	assert_non_null(strstr(said, "directory /data (ext4 on nvme0n1): not known: probably "
			       "direct, as nothing is in the way, but nvme0n1 could not be tried\n"));
	assert_non_null(strstr(said, "no GPU: the CUDA driver shows none, and amdkfd, "
			       "the kernel's ROCm driver, shows none\n"));
}

static void without_the_module_directories_are_not_direct(void **state)
{
	(void)state;
	make_outlook_machine();
	module.absent = true;
	look("");
	assert_non_null(strstr(said, "directory /data (ext4 on nvme0n1): not direct: only the "
			       "module takes files; load the dmabuf_rw module"));
}

static void a_gpu_below_the_drives_switch_is_direct(void **state)
{
	static const char place[] = "pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00.0";
	static const char disk[] = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/"
				   "0000:03:00.0/nvme/nvme2/nvme2n1";

	(void)state;
	make_outlook_machine();
	turn_at_switch(FAKE_NO_ACS, FAKE_ACS_OFF, ALL);
	fake_nvme("nvme2", place, "Near");
	fake_disk(disk, "259:6", 512);
	fake_link("/sys/block/nvme2n1", disk);
	make_node("nvme2n1");
	fake_link("/sys/devices/" DRIVE "/iommu_group", "/sys/kernel/iommu_groups/7");
	fake_attribute("DMA-FQ", "/sys/kernel/iommu_groups/7/type");
	look("0000:04:00.0");
	assert_non_null(strstr(said, "GPU 0, Fake 0 at 0000:04:00.0: nvme0n1: direct if its driver "
			       "maps it for the drive, as the IOMMU translates (they meet at the "
			       "host bridge); nvme2n1: direct (both are below one PCIe switch, "));
}

/* A processor, a GPU, another one in two partitions, and one that must not be read. */
static void make_rocm_nodes(void)
{
	fake_attribute("cpu_cores_count 64\nsimd_count 0\nlocation_id 0\ndomain 0",
		       "/sys/class/kfd/kfd/topology/nodes/0/properties");
	fake_attribute("cpu_cores_count 0\nsimd_count 304\ngfx_target_version 90402\n"
		       "vendor_id 4098\nlocation_id 1024\ndomain 0",
		       "/sys/class/kfd/kfd/topology/nodes/1/properties");
	fake_attribute("simd_count 440\ngfx_target_version 90010\nlocation_id 268435528\ndomain 0",
		       "/sys/class/kfd/kfd/topology/nodes/2/properties");
	fake_attribute("simd_count 440\ngfx_target_version 90010\nlocation_id 73\ndomain 0",
		       "/sys/class/kfd/kfd/topology/nodes/3/properties");
	fake_attribute("0", "/sys/class/kfd/kfd/topology/nodes/4/gpu_id");
}

static void rocms_gpus_are_told_by_the_route_that_amdgpu_asks_for(void **state)
{
	(void)state;
	make_outlook_machine();
	turn_at_switch(FAKE_NO_ACS, FAKE_ACS_OFF, ALL);
	fake_link("/sys/devices/" DRIVE "/iommu_group", "/sys/kernel/iommu_groups/7");
	fake_attribute("DMA-FQ", "/sys/kernel/iommu_groups/7/type");
	make_rocm_nodes();
	look("");
	assert_non_null(strstr(said, "GPU of ROCm, gfx942 at 0000:04:00.0: nvme0n1: direct if the "
			       "host bridge is on the kernel's list (p2pdma) (they meet at the "
			       "host bridge)\n"));
	assert_non_null(strstr(said, "GPU of ROCm, gfx90a at 0000:00:09.0: nvme0n1: direct if the "
			       "host bridge is on the kernel's list"));
	/* Each once, and CUDA is not missed where there is a GPU. */
	assert_null(strstr(strstr(said, "gfx90a") + 1, "gfx90a"));
	assert_null(strstr(said, "no GPU"));
}

static void a_driver_that_does_not_answer_is_not_waited_for(void **state)
{
	int64_t begin = clock_ns();

	(void)state;
	make_outlook_machine();
	assert_int_equal(setenv("FAKE_CUDA_DELAY", "20000", 1), 0);
	look("0000:00:09.0");
	assert_int_equal(unsetenv("FAKE_CUDA_DELAY"), 0);
	assert_non_null(strstr(said, "no GPU: the CUDA driver has not answered in time, "));
	assert_true(clock_ns() - begin < INT64_C(10000000000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_private_drive_is_read_through_its_partition),
		TEST(a_multipath_head_has_all_its_paths),
		TEST(a_drive_that_is_not_on_pci_has_no_address),
		TEST(what_a_stacked_device_lies_on_is_named),
		TEST(requests_turn_at_a_switch_unless_acs_redirects_them),
		TEST(an_unprivileged_user_is_told_that_acs_is_not_known),
		TEST(devices_meet_where_their_bridges_say),
		TEST(the_tree_is_drawn),
		TEST(bars_and_iommus_are_read),
		TEST(a_mount_is_found_by_its_number),
		TEST(a_mounts_name_and_options_may_have_any_length),
		TEST(what_proc_hides_is_found_out),
		TEST(leases_are_told_from_locks),
		TEST(a_file_that_goes_direct_has_all_its_facts),
		TEST(a_file_that_is_refused_is_a_no_in_the_librarys_words),
		TEST(where_drive_and_buffer_are_is_told_to_who_cannot_bind),
		TEST(without_module_and_kernels_way_the_answer_is_no),
		TEST(a_node_that_is_missing_is_told_from_a_module_that_is),
		TEST(a_module_of_another_release_is_a_note),
		TEST(a_module_of_another_interface_is_a_no_with_what_to_do),
		TEST(leases_that_nothing_lists_are_said_not_to_be_seen),
		TEST(leases_outside_a_container_are_said_not_to_be_seen),
		TEST(where_all_leases_are_seen_nothing_is_said),
		TEST(a_leased_file_is_not_opened),
		TEST(a_directory_says_what_of_it_goes_direct),
		TEST(a_directory_whose_files_are_refused_is_a_no),
		TEST(other_file_systems_are_a_no),
		TEST(a_stacked_device_is_a_no_even_for_who_cannot_try),
		TEST(formats_that_cannot_be_served_are_named),
		TEST(what_is_not_told_is_not_known),
		TEST(no_file_is_open_for_writing_and_none_stays_bound),
		TEST(what_is_no_storage_is_not_opened),
		TEST(a_scratch_file_has_no_name_and_leaves_nothing),
		TEST(a_directory_is_judged_by_the_canarys_own_file),
		TEST(a_canary_without_room_for_its_file_knows_nothing),
		TEST(bytes_that_do_not_arrive_are_status_4),
		TEST(of_a_file_only_the_range_is_written),
		TEST(a_directory_that_cannot_be_written_to_is_status_1),
		TEST(the_outlook_has_a_line_for_each_drive_directory_and_gpu),
		TEST(what_a_drive_is_refused_for_is_said_of_all_that_is_on_it),
		TEST(a_drive_that_cannot_be_tried_is_not_known),
		TEST(without_the_module_directories_are_not_direct),
		TEST(a_gpu_below_the_drives_switch_is_direct),
		TEST(rocms_gpus_are_told_by_the_route_that_amdgpu_asks_for),
		TEST(a_driver_that_does_not_answer_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
