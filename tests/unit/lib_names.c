// SPDX-License-Identifier: MIT
/* lib_names.c - sizes and names of buffers, as the command takes them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "buffer_kind.h"
#include "size.h"
#include "unit.h"

static void sizes_with_suffixes_are_understood(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 }, { "4096", 4096 }, { "0x1000", 4096 }, { "0X10", 16 },
		{ "010", 10 }, { "5b", 5 }, { "5B", 5 },
		{ "1k", 1024 }, { "1K", 1024 }, { "1KiB", 1024 }, { "1kib", 1024 },
		{ "1KB", 1000 }, { "1kB", 1000 },
		{ "64M", 64ULL << 20 }, { "64MiB", 64ULL << 20 }, { "64MB", 64000000 },
		{ "3G", 3ULL << 30 }, { "3GB", 3000000000 }, { "2T", 2ULL << 40 },
		{ "2TB", 2000000000000 }, { "0x10K", 16384 },
		{ "9223372036854775807", INT64_MAX },
	};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (size_parse(cases[i].text, &bytes))
			fail_msg("'%s' is refused", cases[i].text);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void what_is_not_a_size_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "-1", "+1", "K", "1KK", "1Ki", "1KiBs", "1.5G", "1P", "0x",
		"x10", "1,000", "1MBB", "nan",
	};
	static const char *const large[] = {
		"9223372036854775808", "99999999999999999999", "8388608T", "16777216T",
		"0xffffffffffffffff", "18446744073709551615K",
	};
	uint64_t bytes = 42;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++)
		if (size_parse(bad[i], &bytes) != -EINVAL)
			fail_msg("'%s' is not refused", bad[i]);
	for (i = 0; i < COUNT(large); i++)
		if (size_parse(large[i], &bytes) != -ERANGE)
			fail_msg("'%s' is not refused as too large", large[i]);
	assert_int_equal(bytes, 42);
}

static void sizes_are_shown_short(void **state)
{
	static const struct {
		double bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" }, { 512, "512 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" }, { 1048575, "1.0 MiB" }, { 67108864, "64.0 MiB" },
		{ 1e18, "888.2 PiB" },
	};
	char text[24];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		assert_string_equal(size_format(cases[i].bytes, text, sizeof(text)),
				    cases[i].text);
}

static struct buffer_spec parse(const char *text)
{
	struct buffer_spec spec;
	char *why;

	if (buffer_parse(text, &spec, &why))
		fail_msg("'%s' is refused: %s", text, why);
	return spec;
}

static void every_kind_of_buffer_has_its_name(void **state)
{
	struct buffer_spec s;

	(void)state;
	s = parse("vfio:0000:00:05.0/2");
	assert_string_equal(s.kind->prefix, "vfio:");
	assert_string_equal(s.name, "0000:00:05.0");
	assert_int_equal(s.bar, 2);
	s = parse("vfio:C1:1f.7/0");
	assert_string_equal(s.name, "0000:c1:1f.7");
	assert_int_equal(s.bar, 0);
	s = parse("udmabuf:64M");
	assert_string_equal(s.kind->prefix, "udmabuf:");
	assert_int_equal(s.size, 64 << 20);
	s = parse("heap:system:4KiB");
	assert_string_equal(s.kind->prefix, "heap:");
	assert_string_equal(s.name, "system");
	assert_int_equal(s.size, 4096);
	s = parse("heap:linux,cma:1M");
	assert_string_equal(s.name, "linux,cma");
	s = parse("cuda:0:64M");
	assert_string_equal(s.kind->prefix, "cuda:");
	assert_int_equal(s.gpu, 0);
	assert_int_equal(s.size, 64 << 20);
	s = parse("hip:12:4KiB");
	assert_string_equal(s.kind->prefix, "hip:");
	assert_int_equal(s.gpu, 12);
	assert_int_equal(s.size, 4096);
	s = parse("fd:17");
	assert_string_equal(s.kind->prefix, "fd:");
	assert_int_equal(s.fd, 17);
}

static void a_wrong_name_is_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = {
		"", "vfio", "vfio:", "vfio:0000:00:05.0", "vfio:0000:00:05.0/",
		"vfio:0000:00:05.0/6", "vfio:0000:00:05.0/-1", "vfio:0000:00:05.0/2x",
		"vfio:0000:00:20.0/2", "vfio:0000:00:05.8/2", "vfio:00:05/2",
		"vfio:0000:00:05.0.1/2", "vfio:00000:00:05.0/2", "vfio:xx:05.0/2",
		"vfio:../../../etc/2", "udmabuf", "udmabuf:", "udmabuf:0", "udmabuf:x",
		"udmabuf:-4K", "heap:system", "heap::4K", "heap:../mem:4K", "heap:a/b:4K",
		"heap:system:0", "heap:..:4K", "fd:", "fd:-1", "fd:x", "fd:1x",
		"fd:99999999999", "cuda", "cuda:", "cuda:4M",
		"cuda:0", "cuda:0:", "cuda:0:0", "cuda:-1:4M", "cuda::4M", "cuda:x:4M",
		"cuda:12345:4M", "hip:0:x", "hip:0x1:4M", "hip:0/4M", "memfd:4K", "/dev/nvme0n1",
		"UDMABUF:4K",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		struct buffer_spec spec;
		char *why;

		if (!buffer_parse(bad[i], &spec, &why))
			fail_msg("'%s' is taken", bad[i]);
		if (strlen(why) < 10)
			fail_msg("'%s' is refused without a sentence", bad[i]);
		free(why);
	}
}

/* Who has mistyped one sees them all. */
static void all_kinds_are_in_the_sentence(void **state)
{
	struct buffer_spec spec;
	unsigned int i;
	char *why;

	(void)state;
	assert_true(buffer_parse("memfd:4K", &spec, &why) < 0);
	for (i = 0; i < nr_buffer_kinds; i++)
		assert_non_null(strstr(why, buffer_kinds[i]->form));
	free(why);
}

/* What is long is refused as well, and all of it is in the sentence. */
static void the_sentence_is_as_long_as_it_must_be(void **state)
{
	static const char *const frames[] = {
		"%s", "vfio:%s/0", "udmabuf:%s", "heap:%s:4K", "fd:%s", "cuda:%s", "hip:0:%s",
	};
	char word[5001], name[5100];
	size_t i;

	(void)state;
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	for (i = 0; i < COUNT(frames); i++) {
		struct buffer_spec spec;
		char *why;

		snprintf(name, sizeof(name), frames[i], word);
		assert_true(buffer_parse(name, &spec, &why) < 0);
		assert_non_null(strstr(why, word));
		/* It ends with what a name should be, or is for. */
		assert_true(strlen(strstr(why, word) + strlen(word)) > 10);
		free(why);
	}
}

static void a_device_that_is_not_there_is_named(void **state)
{
	struct buffer_spec spec = parse("vfio:ffff:ff:1f.7/0");
	struct buffer buffer;
	char *why;

	(void)state;
	assert_int_equal(buffer_open(&buffer, &spec, &why), -ENODEV);
	assert_non_null(strstr(why, "ffff:ff:1f.7"));
	assert_non_null(strstr(why, "lspci"));
	free(why);
}

/* What may be pasted takes no disk away, and what it takes away is said before it. */
static void no_remedy_unbinds_a_drive(void **state)
{
	char *why = vfio_foreign_driver("0000:00:03.0", "nvme", 0x01), *warning;

	(void)state;
	assert_non_null(strstr(why, "the system may run from them"));
	assert_null(strstr(why, "echo"));
	assert_null(strstr(why, "unbind"));
	free(why);
	why = vfio_foreign_driver("0000:00:05.0", "e1000e", 0x02);
	warning = strstr(why, "loses it at once");
	assert_non_null(warning);
	assert_true(warning < strstr(why, "echo vfio-pci"));
	assert_non_null(strstr(why, "0000:00:05.0/driver/unbind"));
	free(why);
	why = vfio_foreign_driver("0000:00:05.0", "some", -1);
	assert_non_null(strstr(why, "loses it at once"));
	free(why);
}

static void a_descriptor_that_is_not_open_is_refused(void **state)
{
	struct buffer_spec spec = parse("fd:1000000");
	struct buffer buffer;
	char *why;

	(void)state;
	assert_true(buffer_open(&buffer, &spec, &why) < 0);
	assert_non_null(strstr(why, "1000000"));
	free(why);
}

/* A pipe has no size, so it is no dma-buf. */
static void a_descriptor_of_another_kind_is_refused_and_not_leaked(void **state)
{
	struct buffer_spec spec;
	struct buffer buffer;
	char name[32], *why;
	int fds[2], next;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	snprintf(name, sizeof(name), "fd:%d", fds[0]);
	spec = parse(name);
	next = dup(fds[0]);
	close(next);
	assert_int_equal(buffer_open(&buffer, &spec, &why), -EBADFD);
	free(why);
	assert_int_equal(buffer.fd, -1);
	assert_int_equal(dup(fds[0]), next);
	close(next);
	close(fds[0]);
	close(fds[1]);
}

int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_fstatfs(int fd, struct statfs *fs);

static bool is_dmabuf;

int __wrap_fstatfs(int fd, struct statfs *fs)
{
	int ret = __real_fstatfs(fd, fs);

	if (is_dmabuf)
		fs->f_type = DMA_BUF_MAGIC;
	return ret;
}

/* Files and memfds have a size, and may be closed descriptors or /dev/null in disguise. */
static void what_is_no_dma_buf_is_refused_whatever_its_size(void **state)
{
	static const off_t sizes[] = { 0, 4096 };
	char path[] = "/tmp/lib_names-XXXXXX", name[32], *why;
	int file = mkstemp(path), memfd = memfd_create("test", MFD_CLOEXEC);
	struct buffer_spec spec;
	struct buffer buffer;
	size_t i;

	(void)state;
	unlink(path);
	for (i = 0; i < COUNT(sizes) * 2; i++) {
		int fd = i & 1 ? file : memfd;

		assert_int_equal(ftruncate(fd, sizes[i / 2]), 0);
		snprintf(name, sizeof(name), "fd:%d", fd);
		spec = parse(name);
		assert_int_equal(buffer_open(&buffer, &spec, &why), -EBADFD);
		free(why);
	}
	close(file);
	close(memfd);
}

static void more_memory_than_there_is_is_not_asked_for(void **state)
{
	static const char *const names[] = { "udmabuf:1024T", "heap:system:1024T" };
	struct buffer_spec spec;
	struct buffer buffer;
	char *why;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		spec = parse(names[i]);
		assert_int_equal(buffer_open(&buffer, &spec, &why), -ENOMEM);
		assert_non_null(strstr(why, "make it smaller"));
		free(why);
	}
}

/* A memfd has a size and a mapping, which is all that buffer.c looks at besides. */
static void an_inherited_descriptor_is_duplicated_and_measured(void **state)
{
	int memfd = memfd_create("test", MFD_CLOEXEC);
	struct buffer_spec spec;
	struct buffer buffer;
	char name[32], *why;

	(void)state;
	assert_true(memfd >= 0);
	assert_int_equal(ftruncate(memfd, 12288), 0);
	assert_int_equal(pwrite(memfd, "data", 4, 4096), 4);
	snprintf(name, sizeof(name), "fd:%d", memfd);
	spec = parse(name);
	is_dmabuf = true;
	assert_int_equal(buffer_open(&buffer, &spec, &why), 0);
	is_dmabuf = false;
	close(memfd);
	assert_int_equal(buffer.size, 12288);
	assert_int_not_equal(buffer.fd, memfd);
	assert_int_equal(buffer_map(&buffer, &why), 0);
	assert_memory_equal((char *)buffer.map + 4096, "data", 4);
	/* Not a dma-buf, so there is no bracket to be had. */
	assert_int_equal(buffer_cpu_begin(&buffer, false), -ENOTTY);
	buffer_close(&buffer);
	buffer_close(&buffer);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_with_suffixes_are_understood),
		cmocka_unit_test(what_is_not_a_size_is_refused),
		cmocka_unit_test(sizes_are_shown_short),
		cmocka_unit_test(every_kind_of_buffer_has_its_name),
		cmocka_unit_test(a_wrong_name_is_refused_with_a_sentence),
		cmocka_unit_test(all_kinds_are_in_the_sentence),
		cmocka_unit_test(the_sentence_is_as_long_as_it_must_be),
		cmocka_unit_test(a_device_that_is_not_there_is_named),
		cmocka_unit_test(no_remedy_unbinds_a_drive),
		cmocka_unit_test(a_descriptor_that_is_not_open_is_refused),
		cmocka_unit_test(a_descriptor_of_another_kind_is_refused_and_not_leaked),
		cmocka_unit_test(what_is_no_dma_buf_is_refused_whatever_its_size),
		cmocka_unit_test(more_memory_than_there_is_is_not_asked_for),
		cmocka_unit_test(an_inherited_descriptor_is_duplicated_and_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
